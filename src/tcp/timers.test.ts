import { describe, expect, it } from 'vitest'
import { established, inState, TcpBench } from '../../test/support/tcp.ts'
import { ms, seconds } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import { Pending } from './connection.ts'
import { BSD } from './settings.ts'

/** Times of what was sent, milliseconds after `from`. */
const timesOf = (s: TcpBench, from: number): number[] => s.sent().map(({ at }) => (at - from) / 1000)

/** Where a time-out of `first` ms doubles up to 120 s: when it fires, ms. */
const doubling = (first: number, count: number): number[] => {
  const times: number[] = []
  let time = 0
  let delay = first
  for (let i = 0; i < count; i++) {
    time += delay
    times.push(time)
    delay = Math.min(delay * 2, 120_000)
  }
  return times
}

describe('handshake (tcp_syn_retries, tcp_synack_retries)', () => {
  it('TCP_SYNCNT 2: SYN at 0, 1 and 3 s, ETIMEDOUT at 7 s', () => {
    const s = new TcpBench()
    s.connect((c) => {
      c.ownOptions().synRetries = 2
    })
    s.advanceTo(seconds(7) - 1)
    expect(timesOf(s, 0)).toEqual([0, 1000, 3000])
    expect(s.state).toBe('SYN_SENT')
    s.advance(1)
    expect(s.state).toBe('CLOSE')
    expect(s.end).toBe(Errno.ETIMEDOUT)
  })

  it('tcp_syn_linear_timeouts 4: the first five a second apart, ETIMEDOUT at 131 s', () => {
    const s = new TcpBench({ settings: { tcp_syn_linear_timeouts: 4 } })
    s.connect()
    s.advanceTo(seconds(131) - 1)
    expect(timesOf(s, 0)).toEqual([0, 1000, 2000, 3000, 4000, 5000, 7000, 11_000, 19_000, 35_000, 67_000])
    s.advance(1)
    expect(s.end).toBe(Errno.ETIMEDOUT)
  })

  it('tcp_syn_retries 1 with them: the time of one retry, 3 s, is over first (Linux 6.18)', () => {
    const s = new TcpBench({ settings: { tcp_syn_linear_timeouts: 4, tcp_syn_retries: 1 } })
    s.connect()
    s.advanceTo(seconds(3))
    expect(timesOf(s, 0)).toEqual([0, 1000, 2000])
    expect(s.end).toBe(Errno.ETIMEDOUT)
  })

  it('SYN+ACK at 0, 1, 3, 7, 15 and 31 s, then the half-open connection goes, at 63 s', () => {
    const s = inState('LISTEN')
    s.receive({ flags: 'S', mss: 1460 })
    s.advanceTo(seconds(63) - 1)
    expect(timesOf(s, 0)).toEqual([0, 1000, 3000, 7000, 15_000, 31_000])
    expect(s.listener!.requests).toBe(1)
    s.advance(1)
    expect(s.listener!.requests).toBe(0)
    s.listener!.close()
    s.expectNothingLeft()
  })

  it('after a SYN was lost the first time-out of data is 3 s, if nothing was measured (RFC 6298 section 5.7)', () => {
    const s = inState('SYN_SENT')
    s.advanceTo(seconds(1))
    s.expectSent({ flags: 'S' })
    s.receive({ flags: 'SA', seq: 0, ack: 1, mss: 1000 })
    s.sent()
    s.send('x')
    s.advance(seconds(3) - 1)
    s.expectSent({ seq: 1 })
    s.advance(1)
    s.expectSent({ seq: 1 })
  })
})

describe('RTO (RFC 6298, with a least of 200 ms)', () => {
  it('SRTT and RTTVAR: 7/8 and 3/4 of the old, 1/8 and 1/4 of the new', () => {
    const s = established({ rtt: ms(100) })
    expect(s.connection.rtt.srtt).toBe(100_000)
    expect(s.connection.rtt.rto).toBe(300_000)
    s.send('a')
    s.receive({ flags: 'A', seq: 1, ack: 2 }, { at: ms(300) })
    expect(s.connection.rtt.srtt).toBe(112_500)
    // Four times 3/4 of 50 ms and 1/4 of the 100 ms by which it was off.
    expect(s.connection.rtt.rto).toBe(362_500)
  })

  it('a jump of the round-trip time: SRTT + 4 RTTVAR', () => {
    const s = established({ rtt: ms(100), settings: { tcp_rto_min_us: 1000 } })
    // 2 R / 2 * 4 is 200 ms in all.
    expect(s.connection.rtt.rto).toBe(300_000)
    s.connection.rtt.measure(1_000_000, 2, 1, 1000)
    s.connection.rtt.updateRto(120_000_000)
    expect(s.connection.rtt.srtt).toBe(212_500)
    expect(s.connection.rtt.rto).toBe(1_262_500)
  })

  it('a fall of the round-trip time counts an eighth of a rise for the deviation, as on Linux', () => {
    const s = established({ rtt: ms(400) })
    const { rtt } = s.connection
    // 400 ms and a deviation of 200 ms.
    expect([rtt.srtt, rtt.variation]).toEqual([400_000, 200_000])
    s.send('a')
    s.advance(ms(40))
    s.receive({ flags: 'A', seq: 1, ack: 2 })
    // 360 ms less: SRTT falls by 45 ms; 160 ms beyond the deviation add a 32nd of that.
    expect([rtt.srtt, rtt.variation]).toEqual([355_000, 205_000])
  })

  it('never less than 200 ms beyond the round-trip time', () => {
    const s = established({ rtt: ms(10) })
    for (let i = 0; i < 50; i++) {
      s.send('a')
      s.advance(ms(10))
      s.receive({ flags: 'A', seq: 1, ack: 2 + i })
    }
    expect(s.connection.rtt.rto).toBe(210_000)
  })

  it('doubles at each time-out (5.5), and starts anew with each ACK (5.3)', () => {
    const s = established({ mss: 1000, rtt: ms(10) })
    s.send(2000)
    s.advanceTo(ms(110))
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 1001 })
    // The RTT of 100 ms makes SRTT 21.25 ms.
    const { rto } = s.connection.rtt
    expect(rto).toBe(221_250)
    s.advance(rto - 1)
    s.expectNothing()
    s.advance(1)
    s.expectSent({ seq: 1001, length: 1000 })
    s.advance(2 * rto)
    s.expectSent({ seq: 1001, length: 1000, at: ms(110) + 3 * rto })
    s.advance(4 * rto)
    s.expectSent({ seq: 1001, length: 1000, at: ms(110) + 7 * rto })
  })

  it('takes no time from what was sent twice, and keeps the time-out backed off (Karn)', () => {
    const s = established({ rtt: ms(10) })
    s.send('a')
    s.advance(ms(210))
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 2 }, { at: ms(225) })
    expect(s.connection.rtt.srtt).toBe(10_000)
    expect(s.connection.rtt.rto).toBe(420_000)
    s.send('b')
    s.receive({ flags: 'A', seq: 1, ack: 3 }, { at: ms(235) })
    expect(s.connection.rtt.rto).toBe(210_000)
  })

  it('with time stamps the echo tells which copy was answered', () => {
    const s = established({ rtt: ms(10), timestamps: true })
    s.send('a')
    s.advance(ms(210))
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 2 }, { at: ms(230) })
    // 7/8 of 10 ms and 1/8 of the 10 ms since the second copy left, at 220 ms.
    expect(s.connection.rtt.srtt).toBe(10_000)
    expect(s.connection.rtt.rto).toBe(210_000)
  })

  it('stops when everything is acknowledged (5.2)', () => {
    const s = established({ rtt: ms(10) })
    s.send('a')
    s.receive({ flags: 'A', seq: 1, ack: 2 }, { at: ms(20) })
    expect(s.connection.pending).toBe(Pending.None)
    expect(s.connection.retransmitTimer!.isSet).toBe(false)
  })
})

describe('giving up (RFC 9293 section 3.8.3; tcp_retries2)', () => {
  it('15 retransmissions, ETIMEDOUT 924.6 s after the first of them at the least', () => {
    const s = established({ rtt: ms(1) })
    s.send('x')
    s.sent()
    const fires = doubling(201, 16)
    s.advanceTo(ms(1 + fires[15]!) - 1)
    expect(s.state).toBe('ESTABLISHED')
    expect(timesOf(s, ms(1))).toEqual(fires.slice(0, 15))
    s.advance(1)
    expect(s.state).toBe('CLOSE')
    expect(fires[15]! - fires[0]!).toBeGreaterThanOrEqual(924_600)
    expect(s.end).toBe(Errno.ETIMEDOUT)
    s.expectNothing()
    s.close()
    s.listener!.close()
    s.expectNothingLeft()
  })

  it('counts time, not retransmissions: a longer RTO means fewer', () => {
    const s = established({ rtt: ms(900) })
    s.send('x')
    s.sent()
    s.advance(seconds(2000))
    expect(s.state).toBe('CLOSE')
    // Up to the first time-out that lies 924.6 s or more after the first retransmission: that of 1010.1 s.
    expect(timesOf(s, ms(900))).toEqual([
      2700, 8100, 18_900, 40_500, 83_700, 170_100, 290_100, 410_100, 530_100, 650_100, 770_100, 890_100,
    ])
  })

  it('an ACK begins the count anew', () => {
    const s = established({ mss: 1000, rtt: ms(1) })
    s.send(1000)
    s.advance(seconds(900))
    expect(s.state).toBe('ESTABLISHED')
    s.receive({ flags: 'A', seq: 1, ack: 1001 })
    s.send(1000)
    s.advance(seconds(900))
    expect(s.state).toBe('ESTABLISHED')
  })

  it('tcp_retries2 3: 200 ms, doubled three times', () => {
    const s = established({ rtt: ms(1), settings: { tcp_retries2: 3 } })
    s.send('x')
    s.sent()
    s.advance(ms(3015) - 1)
    expect(timesOf(s, ms(1))).toEqual([201, 603, 1407])
    // At 3.015 s only 2.8 s have passed since the first retransmission, of 3 s that it takes.
    s.advance(1)
    s.expectSent({ seq: 1 })
    s.advance(seconds(4))
    expect(s.state).toBe('CLOSE')
  })

  it('TCP_USER_TIMEOUT 5 s: counted from the first retransmission', () => {
    const s = established({ rtt: ms(1), options: { userTimeoutMs: 5000 } })
    s.send('x')
    s.sent()
    s.advance(ms(5201) - 1)
    expect(timesOf(s, ms(1))).toEqual([201, 603, 1407, 3015])
    expect(s.state).toBe('ESTABLISHED')
    s.advance(1)
    expect(s.state).toBe('CLOSE')
    expect(s.end).toBe(Errno.ETIMEDOUT)
  })
})

describe('keepalive (RFC 9293 section 3.8.4)', () => {
  const alive = (options = {}): TcpBench => {
    const s = established({ active: true, options: { keepalive: true, ...options } })
    s.sent()
    return s
  }

  it('7200 s of silence, 9 probes 75 s apart, RST and ETIMEDOUT', () => {
    const s = alive()
    s.advanceTo(seconds(7200) - 1)
    s.expectNothing()
    const probes = Array.from({ length: 9 }, (_, i) => ({
      flags: 'A',
      seq: 0,
      ack: 1,
      length: 0,
      at: seconds(7200 + 75 * i),
    }))
    s.advanceTo(seconds(7875) - 1)
    s.expectSent(...probes)
    expect(s.state).toBe('ESTABLISHED')
    s.advance(1)
    s.expectSent({ flags: 'RA', seq: 1, ack: 1 })
    expect(s.state).toBe('CLOSE')
    expect(s.end).toBe(Errno.ETIMEDOUT)
  })

  it('TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT', () => {
    const s = alive({ keepIdle: 10, keepInterval: 5, keepCount: 3 })
    s.advanceTo(seconds(25))
    expect(timesOf(s, 0)).toEqual([10_000, 15_000, 20_000, 25_000])
    expect(s.state).toBe('CLOSE')
  })

  it('an answer starts the idle time anew', () => {
    const s = alive({ keepIdle: 10, keepInterval: 5, keepCount: 3 })
    s.advanceTo(seconds(10))
    s.expectSent({ seq: 0 })
    s.receive({ flags: 'A', seq: 1, ack: 1 }, { at: seconds(11) })
    s.advanceTo(seconds(21) - 1)
    s.expectNothing()
    s.advance(1)
    s.expectSent({ seq: 0, at: seconds(21) })
  })

  it('a peer that has restarted answers RST: ECONNRESET', () => {
    const s = alive({ keepIdle: 10 })
    s.advanceTo(seconds(10))
    s.receive({ flags: 'R', seq: 1 })
    expect(s.end).toBe(Errno.ECONNRESET)
  })

  it('TCP_USER_TIMEOUT takes the place of the number of probes', () => {
    const s = alive({ keepIdle: 10, keepInterval: 5, userTimeoutMs: 12_000 })
    s.advanceTo(seconds(15) - 1)
    s.expectSent({ seq: 0, at: seconds(10) })
    s.advance(1)
    expect(s.state).toBe('CLOSE')
    expect(s.end).toBe(Errno.ETIMEDOUT)
  })

  it('sends no probe while data is in flight', () => {
    const s = alive({ keepIdle: 1 })
    s.send('x')
    s.advance(seconds(20))
    for (const { seq, length } of s.sent()) expect([seq, length]).toEqual([1, 1])
  })
})

describe('persist (RFC 9293 section 3.8.6.1)', () => {
  /** The peer has taken 1000 bytes and shut its window; 100 more wait. */
  const shut = (options = {}): TcpBench => {
    const s = established({ mss: 1000, rtt: ms(1), ...options })
    s.send(1000)
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 1001, window: 0 }, { at: ms(2) })
    s.send(100)
    s.expectNothing()
    return s
  }

  it('Linux: probes without data, with an old number, at 201 ms and doubling up to 120 s; answered, they never end', () => {
    const s = shut()
    const at: number[] = []
    while (s.clock.now() < seconds(4000)) {
      s.advanceUntilSent()
      for (const segment of s.sent()) {
        expect(segment).toMatchObject({ flags: 'A', seq: 1000, ack: 1, length: 0 })
        at.push((segment.at - ms(2)) / 1000)
        s.receive({ flags: 'A', seq: 1, ack: 1001, window: 0 })
      }
    }
    expect(at.slice(0, 14)).toEqual(doubling(201, 14))
    expect(at.length).toBeGreaterThan(30)
    expect(s.state).toBe('ESTABLISHED')
    // The window opens: what waits leaves at once.
    s.receive({ flags: 'A', seq: 1, ack: 1001, window: 5000 })
    s.expectSent({ flags: 'PA', seq: 1001, length: 100 })
  })

  it('not answered, the connection ends after 15 probes', () => {
    const s = shut()
    const fires = doubling(201, 16)
    s.advanceTo(ms(2 + fires[15]!) - 1)
    expect(timesOf(s, ms(2))).toEqual(fires.slice(0, 15))
    expect(s.state).toBe('ESTABLISHED')
    s.advance(1)
    expect(s.state).toBe('CLOSE')
    expect(s.end).toBe(Errno.ETIMEDOUT)
  })

  it('TCP_USER_TIMEOUT ends it sooner, answered or not', () => {
    const s = shut({ options: { userTimeoutMs: 3000 } })
    for (let i = 0; i < 50 && s.state !== 'CLOSE'; i++) {
      s.advanceTo(s.world.loop.timers.nextWake())
      for (const _ of s.sent()) s.receive({ flags: 'A', seq: 1, ack: 1001, window: 0 })
    }
    expect(s.end).toBe(Errno.ETIMEDOUT)
    expect((s.clock.now() - ms(2)) / 1000).toBe(3201)
  })

  it('BSD: probes with the first byte beyond the window, which counts as sent when it is taken', () => {
    const s = shut({ settings: { personality: BSD } })
    s.advanceTo(ms(203))
    s.expectSent({ flags: 'PA', seq: 1001, ack: 1, length: 1 })
    s.receive({ flags: 'A', seq: 1, ack: 1001, window: 0 })
    s.advanceTo(ms(203 + 402))
    s.expectSent({ flags: 'PA', seq: 1001, length: 1 })
    s.receive({ flags: 'A', seq: 1, ack: 1002, window: 500 })
    s.expectSent({ flags: 'PA', seq: 1002, length: 99 })
  })

  it('the window shuts on data in flight: it is sent again with back-off, for ever while ACKs come', () => {
    const s = established({ mss: 1000, rtt: ms(1) })
    s.send(1000)
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 1, window: 0 })
    for (let i = 0; i < 40; i++) {
      s.advanceUntilSent()
      s.expectSent({ seq: 1, length: 1000 })
      s.receive({ flags: 'A', seq: 1, ack: 1, window: 0 })
    }
    expect(s.clock.now()).toBeGreaterThan(seconds(3000))
    expect(s.state).toBe('ESTABLISHED')
  })

  it("a lost window update does not hang the connection: the probe's answer brings it", () => {
    const s = shut()
    s.advanceTo(ms(203))
    s.expectSent({ seq: 1000, length: 0 })
    s.receive({ flags: 'A', seq: 1, ack: 1001, window: 1000 })
    s.expectSent({ flags: 'PA', seq: 1001, length: 100 })
    expect(s.connection.pending).toBe(Pending.Retransmit)
  })
})

describe('delayed ACK (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2)', () => {
  /** A connection whose quick ACKs of the beginning are used up: 16 segments of 100 bytes have come. */
  const warm = (rtt = ms(1)): { s: TcpBench; next: number } => {
    const s = established({ rtt })
    let next = 1
    for (let i = 0; i < 16; i++) {
      s.advance(ms(1))
      s.receive({ flags: 'A', seq: next, ack: 1, payload: 100 })
      next += 100
      s.expectSent({ flags: 'A', ack: next })
    }
    return { s, next }
  }

  it('the first 16 segments are acknowledged at once, the next after 40 ms', () => {
    const { s, next } = warm()
    s.receive({ flags: 'A', seq: next, ack: 1, payload: 100 })
    const now = s.clock.now()
    s.advance(ms(40) - 1)
    s.expectNothing()
    s.advance(1)
    s.expectSent({ flags: 'A', ack: next + 100, at: now + ms(40) })
  })

  it('more than a full segment is acknowledged at once', () => {
    const { s, next } = warm()
    s.read()
    s.sent()
    s.receive({ flags: 'A', seq: next, ack: 1, payload: 1460 })
    s.read()
    s.expectNothing()
    s.receive({ flags: 'A', seq: next + 1460, ack: 1, payload: 1460 })
    s.expectSent({ flags: 'A', ack: next + 2920 })
  })

  it('waits longer while nothing comes to ride on: 40, 80, 160, 200 ms at the most', () => {
    const { s, next } = warm(ms(300))
    const delays: number[] = []
    for (let i = 0; i < 5; i++) {
      s.receive({ flags: 'A', seq: next + 100 * i, ack: 1, payload: 100 })
      const now = s.clock.now()
      s.advance(ms(250))
      delays.push((s.sent()[0]!.at - now) / 1000)
    }
    expect(delays).toEqual([40, 80, 160, 200, 200])
  })

  it('rides on data that goes the other way', () => {
    const { s, next } = warm()
    s.receive({ flags: 'PA', seq: next, ack: 1, payload: 'request' })
    s.expectNothing()
    s.send('answer')
    s.expectSent({ flags: 'PA', seq: 1, ack: next + 7, payload: 'answer' })
    s.advance(ms(39))
    s.expectNothing()
  })

  it('an application that answers at once makes the connection interactive: even quick ACKs wait', () => {
    const s = established({ rtt: ms(1) })
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'one' })
    s.expectSent({ flags: 'A', ack: 4 })
    s.send('1')
    s.expectSent({ seq: 1 })
    s.receive({ flags: 'PA', seq: 4, ack: 2, payload: 'two' })
    s.expectNothing()
    s.advance(ms(40))
    s.expectSent({ flags: 'A', ack: 7 })
  })

  it('reading all of a pushed segment draws the ACK', () => {
    const { s, next } = warm()
    s.read()
    s.sent()
    s.receive({ flags: 'PA', seq: next, ack: 1, payload: 'end of write' })
    s.expectNothing()
    s.read()
    s.expectSent({ flags: 'A', ack: next + 12 })
  })
})
