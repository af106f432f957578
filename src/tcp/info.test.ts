import { expect, it } from 'vitest'
import { established } from '../../test/support/tcp.ts'
import { ms } from '../core/clock.ts'
import { tcpInfo } from './info.ts'

it('tcpi_bytes_acked goes on behind four gigabytes, where sequence numbers begin anew', () => {
  const s = established({ mss: 1000, rtt: ms(10) })
  s.send(3000)
  s.sent()
  s.receive({ flags: 'A', seq: 1, ack: 2001 })
  expect(tcpInfo(s.connection).tcpi_bytes_acked).toBe(2000)
  // As if three times round had been sent before, and some of it again.
  s.connection.cc.bytesSent += 3 * 2 ** 32 + 1_000_000
  s.connection.cc.bytesRetransmitted += 1_000_000
  expect(tcpInfo(s.connection).tcpi_bytes_acked).toBe(3 * 2 ** 32 + 2000)
})

it('an ACK from before the numbers began anew is an old one, not one from before the connection (RFC 5961 section 5.2)', () => {
  const old = (round: number): number => {
    const s = established({ mss: 1000, rtt: ms(10), window: 60_000 })
    s.send(3000)
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 2001 })
    s.connection.cc.bytesSent += round
    s.receive({ flags: 'A', seq: 1, ack: -9000 })
    return s.sent().length
  }
  // Answered with a challenge; dropped without a word.
  expect([old(0), old(2 ** 32)]).toEqual([1, 0])
})
