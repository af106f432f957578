import { describe, expect, it } from 'vitest'
import { established, type TcpBench } from '../../test/support/tcp.ts'
import { hasSendSpace, isWritable } from './flow.ts'

/**
 * TCP_NOTSENT_LOWAT and tcp_notsent_lowat: more may be written while less
 * than that is unsent, and poll(2) says so while less than half of it is.
 */

const bench = (host: number, option: number): TcpBench => {
  const s = established({ mss: 1000, window: 60_000, sendBuffer: 400_000, settings: { tcp_notsent_lowat: host } })
  s.connection.options.notSentLowat = option
  return s
}

/**
 * With 10 segments sent, all that the congestion window lets go, and
 * so many bytes unsent: may more be written, and does poll say so?
 */
const look = (s: TcpBench, unsent: number): [boolean, boolean] => {
  s.send(10_000 + unsent)
  expect(s.sent().length).toBe(10)
  return [hasSendSpace(s.connection), isWritable(s.connection)]
}

describe('the limit of what is unsent', () => {
  it.each([
    ['none', 0xffff_ffff, 0, 'w+p w+p w+p w+p'],
    ["the host's", 4000, 0, 'w+p w w -'],
    ["the socket's", 0xffff_ffff, 4000, 'w+p w w -'],
    ["the socket's before the host's", 1000, 8000, 'w+p w+p w+p w'],
  ])('%s', (_, host, option, expected) => {
    const seen = [1999, 2000, 3999, 4000].map((unsent) => {
      const [write, poll] = look(bench(host, option), unsent)
      return write ? (poll ? 'w+p' : 'w') : '-'
    })
    expect(seen.join(' ')).toBe(expected)
  })

  it('more is welcome again when ACKs have let enough go', () => {
    const s = bench(0xffff_ffff, 4000)
    expect(look(s, 5000)).toEqual([false, false])
    // Slow start: two segments leave for each that is acknowledged.
    s.receive({ flags: 'A', seq: 1, ack: 2001, window: 60_000 })
    expect(isWritable(s.connection)).toBe(true)
  })
})
