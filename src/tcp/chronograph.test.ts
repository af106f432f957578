import { describe, expect, it } from 'vitest'
import { established, type TcpBench } from '../../test/support/tcp.ts'
import { ms } from '../core/clock.ts'
import { Readiness } from '../core/readiness.ts'
import { tcpInfo } from './info.ts'

/** Busy, limited by the peer's window, limited by the send queue: milliseconds. */
const times = (s: TcpBench): number[] => {
  const { tcpi_busy_time, tcpi_rwnd_limited, tcpi_sndbuf_limited } = tcpInfo(s.connection)
  return [tcpi_busy_time, tcpi_rwnd_limited, tcpi_sndbuf_limited].map((micros) => micros / 1000)
}

describe('what a sender waited for (tcp_info)', () => {
  it('nothing, the network, the peer', () => {
    const s = established({ active: true, mss: 1000, window: 2000, sack: true })
    s.advance(ms(500))
    expect(times(s)).toEqual([0, 0, 0])
    s.send(1000)
    s.sent()
    s.advance(ms(30))
    expect(times(s)).toEqual([30, 0, 0])
    s.receive({ flags: 'A', seq: 1, ack: 1001, window: 0 })
    s.advance(ms(70))
    expect(times(s)).toEqual([30, 0, 0])
    s.send(1000)
    s.advance(ms(100))
    expect(times(s)).toEqual([130, 100, 0])
    s.receive({ flags: 'A', seq: 1, ack: 1001, window: 2000 })
    expect(times(s)).toEqual([130, 100, 0])
    s.advance(ms(20))
    expect(times(s)).toEqual([150, 100, 0])
    s.receive({ flags: 'A', seq: 1, ack: 2001, window: 2000 })
    s.advance(ms(20))
    expect(times(s)).toEqual([150, 100, 0])
  })

  it('the send queue, when all of it is sent and the window has room', () => {
    // The same as google/packetdrill's tcp-info-sndbuf-limited.pkt, which Linux passes.
    const s = established({
      active: true,
      mss: 1000,
      windowScale: 8,
      window: 10_000,
      sack: true,
      sendBuffer: 20_000,
      rtt: ms(10),
    })
    let left = 150_000
    const go = (): void => {
      while (left > 0) {
        const taken = s.send(left)
        left -= Math.max(0, taken)
        if (taken <= 0) return
      }
    }
    const acknowledge = (wait: number, ack: number): void => {
      s.advance(ms(wait))
      s.events = 0
      s.receive({ flags: 'A', seq: 1, ack, window: 10_000 })
      if ((s.events & Readiness.Out) !== 0) go()
    }
    go()
    acknowledge(10, 10_001)
    acknowledge(10, 30_001)
    acknowledge(10, 70_001)
    acknowledge(20, 95_001)
    expect(times(s)).toEqual([50, 0, 20])
    acknowledge(20, 150_001)
    expect(left).toBe(0)
    expect(times(s)).toEqual([70, 0, 20])
  })
})
