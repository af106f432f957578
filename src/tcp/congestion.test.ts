import { describe, expect, it } from 'vitest'
import { type EstablishedOptions, established, inState, TcpBench } from '../../test/support/tcp.ts'
import { ms, seconds } from '../core/clock.ts'
import { CaState, INFINITE_SSTHRESH } from './congestion/state.ts'
import type { TcpConnection } from './connection.ts'
import { changeControl } from './reduction.ts'
import { LINUX } from './settings.ts'

const use = (s: TcpBench, name: string): void => {
  s.connection.control = s.demux.layer.congestionControls.find(name)!
}

/** A connection with `control` whose window is `cwnd`, past slow start if `ssthresh` says so, and much to send. */
const sending = (control: string, cwnd: number, ssthresh: number, options: EstablishedOptions = {}): TcpBench => {
  const s = established({ mss: 1000, rtt: ms(100), windowScale: 7, window: 30_000, sendBuffer: 4_000_000, ...options })
  use(s, control)
  const cc = s.connection.ownCongestionState()
  cc.cwnd = cwnd
  cc.ssthresh = ssthresh
  s.send(1_000_000)
  return s
}

/** One round trip: all that is out is acknowledged, one ACK for each segment. */
const round = (s: TcpBench): number => {
  const sent = s.sent()
  s.advance(ms(100))
  for (const { seq, length } of sent) s.receive({ flags: 'A', seq: 1, ack: seq + length, window: 30_000 })
  return sent.length
}

describe('the window (RFC 5681)', () => {
  it('begins with 10 segments (RFC 6928)', () => {
    const s = established({ mss: 1000 })
    s.send(20_000)
    expect(s.sent().length).toBe(10)
  })

  it('begins with 1 when the SYN was lost more than once (section 3.1)', () => {
    const s = inState('SYN_SENT')
    s.advance(seconds(3))
    expect(s.sent().length).toBe(2)
    s.receive({ flags: 'SA', seq: 0, ack: 1, mss: 1000 })
    s.sent()
    s.send(20_000)
    expect(s.sent().length).toBe(1)
  })

  it('slow start doubles it each round trip', () => {
    const s = sending('reno', 10, 0x7fff_ffff)
    expect([round(s), round(s), round(s), round(s)]).toEqual([10, 20, 40, 80])
  })

  it('an ACK of two segments is worth two', () => {
    const s = sending('reno', 10, 0x7fff_ffff)
    s.sent()
    s.advance(ms(100))
    s.receive({ flags: 'A', seq: 1, ack: 2001, window: 30_000 })
    expect(s.sent().length).toBe(4)
  })

  it('slow start ends at ssthresh, then Reno grows by one segment each round trip', () => {
    const s = sending('reno', 10, 16)
    expect([round(s), round(s), round(s), round(s)]).toEqual([10, 16, 17, 18])
  })

  it('does not grow while the application, not the window, is the limit (RFC 7661, RFC 2861)', () => {
    const s = established({ mss: 1000, rtt: ms(10) })
    for (let i = 0; i < 30; i++) {
      s.send(1000)
      s.advance(ms(10))
      s.receive({ flags: 'A', seq: 1, ack: 1001 + i * 1000 })
    }
    expect(s.connection.cc.cwnd).toBe(10)
  })

  it('Reno halves it at a loss, CUBIC takes 0.7 of it, none goes below 2', () => {
    for (const [control, cwnd, ssthresh] of [
      ['reno', 40, 20],
      ['cubic', 40, 28],
      ['reno', 3, 2],
      ['cubic', 2, 2],
    ] as const) {
      const s = established()
      use(s, control)
      s.connection.ownCongestionState().cwnd = cwnd
      expect(s.connection.control.ssthresh(s.connection), `${control} at ${cwnd}`).toBe(ssthresh)
    }
  })
})

it('a reduction is not taken back by another congestion control (TCP_CONGESTION in the midst of recovery)', () => {
  const s = established({ mss: 1000, rtt: ms(10), sack: true, timestamps: true, sendBuffer: 4e6 })
  s.send(10_000)
  s.sent()
  s.advance(ms(10))
  s.receive({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 5001]] })
  const { cc } = s.connection
  expect([cc.state, cc.priorSsthresh]).toEqual([CaState.Recovery, INFINITE_SSTHRESH])
  changeControl(s.connection, s.demux.layer.congestionControls.find('reno')!)
  expect([s.connection.control.name, cc.priorSsthresh]).toEqual(['reno', 0])
})

describe('CUBIC (RFC 9438)', () => {
  /** A connection with CUBIC whose window has just been reduced from `before`. */
  const reduced = (before: number): TcpConnection => {
    const s = established({ rtt: ms(100) })
    const c = s.connection
    const cc = c.ownCongestionState()
    cc.cwnd = before
    cc.ssthresh = c.control.ssthresh(c)
    cc.cwnd = cc.ssthresh
    cc.cwndLimited = true
    c.control.acked?.(c, 1, 100_000)
    grow = (time) => {
      while (s.clock.now() < time) {
        s.clock.advanceTo(s.clock.now() + ms(100))
        s.run()
        const { cwnd } = cc
        for (let i = 0; i < cwnd; i++) c.control.avoid(c, 0, 1)
      }
    }
    return c
  }
  let grow: (time: number) => void

  it('comes back to the old window after K = cbrt(W_max (1 - beta) / C), flat, and then grows beyond', () => {
    const c = reduced(1000)
    const start = c.layer.loop.now
    const { cc } = c
    expect(cc.cwnd).toBe(700)
    const k = Math.cbrt(300 / 0.4)
    const windowAt = (t: number): number => 1000 + 0.4 * (t - k) ** 3
    for (const t of [2, 4, 6, 8, k, 11, 13]) {
      grow(start + seconds(t))
      // The target is that of one round trip later.
      expect(Math.abs(cc.cwnd - windowAt((c.layer.loop.now - start) / 1e6 + 0.1)), `after ${t} s`).toBeLessThan(12)
    }
  })

  it('is never slower than Reno would be (section 4.3)', () => {
    const c = reduced(20)
    const start = c.layer.loop.now
    grow(start + seconds(2))
    // 14, and 3 (1 - beta) / (1 + beta) = 0.53 segments a round trip.
    expect(c.cc.cwnd).toBeGreaterThanOrEqual(23)
    expect(c.cc.cwnd).toBeLessThanOrEqual(26)
  })

  it('fast convergence: a window that was not reached again makes room for others (section 4.7)', () => {
    const c = reduced(1000)
    c.cc.cwnd = 800
    c.cc.ssthresh = c.control.ssthresh(c)
    expect(c.cc.ssthresh).toBe(560)
    // W_max is 800 (1 + beta) / 2 = 680, less than where the growth ended.
    c.cc.cwnd = 560
    const start = c.layer.loop.now
    grow(start + seconds(4))
    const k = Math.cbrt(120 / 0.4)
    expect(Math.abs(c.cc.cwnd - (680 + 0.4 * (4.1 - k) ** 3))).toBeLessThan(12)
  })

  it('leaves slow start when the delay grows (HyStart)', () => {
    const s = sending('cubic', 20, 0x7fff_ffff)
    round(s)
    const sent = s.sent()
    s.advance(ms(130))
    for (const { seq, length } of sent) {
      s.receive({ flags: 'A', seq: 1, ack: seq + length, window: 30_000 })
      s.advance(ms(3))
    }
    expect(s.count('tcpExt.TCPHystartDelayDetect')).toBe(1)
    expect(s.connection.cc.ssthresh).toBeLessThan(100)
  })

  it('leaves it when ACKs come in a row for half the delay; for all of it where the sender itself paces them', () => {
    const trainAfter = (options: EstablishedOptions = {}): number => {
      const s = established({ mss: 1000, rtt: ms(100), windowScale: 7, window: 30_000, sendBuffer: 4e6, ...options })
      Object.assign(s.connection.ownCongestionState(), { cwnd: 200, pacingRate: 1e9 })
      s.send(200_000)
      s.advance(ms(100))
      // One ACK a millisecond.
      for (let at = 1; at <= 120; at++) {
        const ack = s.connection.snd.una - s.isn! + 1000
        s.receive({ flags: 'A', seq: 1, ack, window: 30_000 })
        if (s.count('tcpExt.TCPHystartTrainDetect') === 1) return at
        s.advance(ms(1))
      }
      return 0
    }
    expect(trainAfter()).toBe(52)
    expect(trainAfter({ options: { maxPacingRate: 100_000_000 } })).toBe(103)
  })
})

describe('after a pause (RFC 5681 section 4.1; tcp_slow_start_after_idle)', () => {
  it('the window is halved for each RTO of silence, down to the initial one', () => {
    const s = established({ mss: 1000, rtt: ms(10) })
    const cc = s.connection.ownCongestionState()
    cc.cwnd = 80
    s.advance(ms(525))
    s.send(200_000)
    // Two and a half RTO of 210 ms.
    expect(s.connection.cc.cwnd).toBe(20)
    expect(s.sent().length).toBe(20)
    expect(s.connection.cc.ssthresh).toBe(0x7fff_ffff)
    const t = established({ mss: 1000, rtt: ms(10) })
    t.connection.ownCongestionState().cwnd = 80
    t.advance(seconds(10))
    t.send(1000)
    expect(t.connection.cc.cwnd).toBe(10)
  })

  it("the initial window is the route's, where it has one (initcwnd)", () => {
    const s = established({ mss: 1000, rtt: ms(10) })
    const { connection: c } = s
    c.destination = Object.assign(Object.create(c.destination!), { initialCwnd: 30 })
    c.ownCongestionState().cwnd = 80
    s.advance(seconds(10))
    s.send(1000)
    expect(c.cc.cwnd).toBe(30)
  })

  it('tcp_slow_start_after_idle 0: it stays', () => {
    const s = established({ mss: 1000, rtt: ms(10), settings: { tcp_slow_start_after_idle: 0 } })
    s.connection.ownCongestionState().cwnd = 80
    s.advance(seconds(10))
    s.send(1000)
    expect(s.connection.cc.cwnd).toBe(80)
  })
})

describe('ECN (RFC 3168)', () => {
  const withEcn = (): TcpBench => {
    const s = new TcpBench({ settings: { tcp_ecn: 1 } })
    s.connect()
    s.expectSent({ flags: 'SEW', ecn: 0 })
    s.advance(ms(10))
    s.receive({ flags: 'SAE', seq: 0, ack: 1, mss: 1000 })
    s.expectSent({ flags: 'A', ecn: 0 })
    return s
  }

  it('is agreed to on the passive side, when the SYN asks and is not marked itself', () => {
    const s = inState('LISTEN')
    s.receive({ flags: 'SEW', mss: 1000 })
    s.expectSent({ flags: 'SAE', ecn: 0 })
    const t = inState('LISTEN')
    t.receive({ flags: 'SEW', mss: 1000, ecn: 2 })
    t.expectSent({ flags: 'SA' })
    const u = new TcpBench({ settings: { tcp_ecn: 0 } })
    u.listen()
    u.receive({ flags: 'SEW', mss: 1000 })
    u.expectSent({ flags: 'SA' })
  })

  it('is not used with a peer that does not agree, and only asked for with tcp_ecn 1', () => {
    const s = new TcpBench({ settings: { tcp_ecn: 1 } })
    s.connect()
    s.expectSent({ flags: 'SEW' })
    s.receive({ flags: 'SA', seq: 0, ack: 1, mss: 1000 })
    s.sent()
    s.send('x')
    s.expectSent({ flags: 'PA', ecn: 0 })
    const t = inState('SYN_SENT')
    t.receive({ flags: 'SAE', seq: 0, ack: 1, mss: 1000 })
    t.sent()
    t.send('x')
    t.expectSent({ flags: 'PA', ecn: 0 })
  })

  it('a SYN that is lost is sent again without it (section 6.1.1.1)', () => {
    const s = new TcpBench({ settings: { tcp_ecn: 1 } })
    s.connect()
    s.expectSent({ flags: 'SEW' })
    s.advance(seconds(1))
    s.expectSent({ flags: 'S' })
  })

  it('ECT(0) is on new data, not on ACKs, and not on what is sent again', () => {
    const s = withEcn()
    s.send('x')
    s.expectSent({ flags: 'PA', seq: 1, ecn: 2 })
    s.advance(seconds(1))
    s.expectSent({ flags: 'PA', seq: 1, ecn: 0 }, { flags: 'PA', seq: 1, ecn: 0 })
    s.receive({ flags: 'PA', seq: 1, ack: 2, payload: 'y', ecn: 2 })
    s.expectSent({ flags: 'A', ecn: 0 })
  })

  it('ECE: the window is reduced once a round trip, and the next new data carries CWR', () => {
    const s = withEcn()
    s.send(20_000)
    expect(s.sent().length).toBe(10)
    s.advance(ms(10))
    s.receive({ flags: 'AE', seq: 1, ack: 1001 })
    const { cc } = s.connection
    expect([cc.state, cc.ssthresh]).toEqual([CaState.Cwr, 7])
    const sent = []
    for (let i = 2; i <= 9; i++) {
      s.receive({ flags: 'AE', seq: 1, ack: 1 + i * 1000 })
      sent.push(...s.sent())
    }
    expect(sent[0]!.flags).toContain('W')
    expect(sent.slice(1).some(({ flags }) => flags.includes('W'))).toBe(false)
    expect(cc.ssthresh).toBe(7)
    expect(s.count('tcp.RetransSegs')).toBe(0)
  })

  it('below the threshold an ACK without a loss lets one more go than it brought, where the personality has it (Linux 6.18)', () => {
    for (const [safeAck, windows] of [
      ['repairs', [4, 4]],
      ['advances', [5, 5]],
    ] as const) {
      const s = new TcpBench({ settings: { tcp_ecn: 1, personality: { ...LINUX, safeAck } } })
      s.connect()
      s.sent()
      s.advance(ms(10))
      s.receive({ flags: 'SAE', seq: 0, ack: 1, mss: 1000 })
      use(s, 'reno')
      s.send(4000)
      s.advance(ms(10))
      const seen: number[] = []
      for (const ack of [1001, 2001]) {
        s.receive({ flags: 'AE', seq: 1, ack })
        seen.push(s.connection.cc.cwnd)
      }
      expect(s.connection.cc.ssthresh).toBe(5)
      expect(seen, safeAck).toEqual(windows)
    }
  })

  it('a CE mark is echoed on every ACK until CWR comes (section 6.1.3)', () => {
    const s = withEcn()
    let next = 1
    const data = (flags: string, ecn: number): string[] => {
      s.receive({ flags, seq: next, ack: 1, payload: 1000, ecn })
      next += 1000
      s.advance(ms(300))
      return s.sent().map((segment) => segment.flags)
    }
    expect(data('A', 2)).toEqual(['A'])
    expect(data('A', 3)).toEqual(['AE'])
    expect(data('A', 2)).toEqual(['AE'])
    expect(data('AW', 2)).toEqual(['A'])
    expect(data('A', 2)).toEqual(['A'])
  })
})
