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

it.each(['in order', 'out of order'])('tcpi_bytes_received does so too: %s', (order) => {
  const s = established({ mss: 1000, rtt: ms(10) })
  const { rcv } = s.connection
  // As if all but 500 of the sequence numbers were gone by.
  rcv.irs = (rcv.nxt + 500) | 0
  const at = order === 'in order' ? [1, 1001] : [1001, 1]
  for (const seq of at) s.receive({ flags: 'A', seq, ack: 1, payload: 'x'.repeat(1000) })
  expect(tcpInfo(s.connection).tcpi_bytes_received).toBe(2 ** 32 + 1500 - 1)
  s.advance(ms(500))
  expect(rcv.wup).toBe(rcv.nxt)
  s.receive({ flags: 'FA', seq: 2001, ack: 1 })
  expect(tcpInfo(s.connection).tcpi_bytes_received).toBe(2 ** 32 + 1500)
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
