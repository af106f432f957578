import { describe, expect, it } from 'vitest'
import { established, type TcpBench } from '../../../test/support/tcp.ts'
import { ms, seconds } from '../../core/clock.ts'

const RTT = ms(100)

/** A connection with BBR and much to send, over a round trip of 100 ms. */
const sending = (): TcpBench =>
  established({
    mss: 1000,
    windowScale: 10,
    window: 30_000,
    rtt: RTT,
    sack: true,
    sendBuffer: 50_000_000,
    settings: { tcp_congestion_control: 'bbr' },
  })

/** A path: each segment is acknowledged a round trip after it left, no faster than `rate` segments per second. */
const drive = (s: TcpBench, rate: number, until: number, watch: () => void = () => {}): void => {
  const acks: { at: number; ack: number }[] = []
  let free = 0
  const take = (): void => {
    for (const { seq, length, at } of s.sent()) {
      if (length === 0) continue
      for (let done = 0; done < length; done += 1000) {
        free = Math.max(free + 1e6 / rate, at)
        acks.push({ at: free + RTT, ack: seq + Math.min(done + 1000, length) })
      }
    }
  }
  take()
  while (s.clock.now() < until) {
    const timer = s.world.loop.timers.nextWake()
    const next = Math.min(timer, acks[0]?.at ?? Number.POSITIVE_INFINITY)
    s.advanceTo(next)
    while (acks.length > 0 && acks[0]!.at <= next) {
      s.receive({ flags: 'A', seq: 1, ack: acks.shift()!.ack, window: 30_000 })
    }
    take()
    watch()
  }
}

describe('BBR', () => {
  it('paces from the first window on: ten segments, then evenly', () => {
    const s = sending()
    s.send(1_000_000)
    expect(s.sent().length).toBe(10)
    // 2.89 windows each round trip, less one percent.
    expect(s.connection.cc.pacingRate).toBe(Math.floor(10 * 10 * 1000 * (2.885 + 1 / 256) * 0.99))
  })

  it('finds the bandwidth, drains the queue that this made, and stays there', () => {
    const s = sending()
    s.send(40_000_000)
    const start = s.clock.now()
    let most = 0
    drive(s, 1000, start + seconds(5), () => {
      most = Math.max(most, s.connection.cc.inFlight)
    })
    const { cc } = s.connection
    // The product is 100 segments: start-up puts nearly three times as much into the network.
    expect(most).toBeGreaterThan(200)
    expect(most).toBeLessThan(320)
    expect(cc.inFlight).toBeGreaterThan(70)
    expect(cc.inFlight).toBeLessThan(140)
    expect(cc.cwnd).toBeGreaterThan(200)
    expect(cc.cwnd).toBeLessThan(225)
    const rates = new Set<number>()
    drive(s, 1000, start + seconds(7), () => {
      rates.add(Math.round((cc.pacingRate / 1e6 / 0.99) * 100) / 100)
    })
    // The cycle of gains around one megabyte per second.
    expect([...rates].sort()).toEqual([0.75, 1, 1.25])
  })

  it('nearly stops for 200 ms every ten seconds, to see the path without a queue', () => {
    const s = sending()
    s.send(40_000_000)
    const start = s.clock.now()
    let least = Number.POSITIVE_INFINITY
    let at = 0
    drive(s, 1000, start + seconds(5))
    drive(s, 1000, start + seconds(12), () => {
      const { cwnd } = s.connection.cc
      if (cwnd < least) {
        least = cwnd
        at = s.clock.now() - start
      }
    })
    expect(least).toBe(4)
    expect(at).toBeGreaterThan(seconds(9.9))
    expect(at).toBeLessThan(seconds(11))
    expect(s.connection.cc.cwnd).toBeGreaterThan(200)
  })

  it('does not take a loss for congestion', () => {
    const s = sending()
    s.send(40_000_000)
    const start = s.clock.now()
    drive(s, 1000, start + seconds(5))
    const { cc } = s.connection
    const rate = cc.pacingRate
    const { una } = s.connection.snd
    const relative = una - s.isn!
    s.receive({ flags: 'A', seq: 1, ack: relative, window: 30_000, sack: [[relative + 1000, relative + 5000]] })
    expect(s.count('tcpExt.TCPSackRecovery')).toBe(1)
    expect(cc.pacingRate).toBeGreaterThan(rate * 0.7)
  })
})

describe('pacing with SO_MAX_PACING_RATE', () => {
  it('holds back what CUBIC would send at once', () => {
    const s = established({ mss: 1000, windowScale: 7, window: 30_000, rtt: RTT, options: { maxPacingRate: 100_000 } })
    s.send(20_000)
    // Ten segments are free; each other takes ten milliseconds at 100 kB/s.
    expect(s.sent().reduce((sum, { length }) => sum + length, 0)).toBe(10_000)
    s.connection.cc.cwnd = 30
    s.advance(RTT)
    s.receive({ flags: 'A', seq: 1, ack: 1001, window: 30_000 })
    const start = s.clock.now()
    s.advance(ms(200))
    const times = s.sent().map(({ at, length }) => [(at - start) / 1000, length])
    expect(times.reduce((sum, [, length]) => sum + length!, 0)).toBe(10_000)
    // Two thousand bytes at a time, a record of two segments, every 20 ms.
    const gaps = times.slice(1).map(([at], i) => at! - times[i]![0]!)
    expect(new Set(gaps.filter((gap) => gap > 0))).toEqual(new Set([20]))
  })
})
