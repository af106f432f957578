import { describe, expect, it } from 'vitest'
import { type EstablishedOptions, established } from '../../test/support/tcp.ts'
import { type Micros, ms, seconds } from '../core/clock.ts'

/**
 * Time stamps of 32 bits go round: what counts microseconds seems to lie ahead after 36 minutes, and eight times as
 * long no longer fits after four. A connection that was silent for so long goes on as if it had not been.
 */
const SILENCES = [seconds(1), seconds(300), seconds(540), 40 * seconds(60), 70 * seconds(60), 5 * seconds(3600)]

describe('after a long silence', () => {
  /**
   * Three segments are sent: the first is lost, the second SACKed.
   * @returns how long it takes until the first is sent again
   */
  const recovery = (silence: Micros): Micros => {
    const s = established({ mss: 1000, rtt: ms(100), sack: true, settings: { tcp_slow_start_after_idle: 0 } })
    s.send(1000)
    s.advance(ms(100))
    s.receive({ flags: 'A', seq: 1, ack: 1001 })
    s.advance(silence)
    s.sent()
    const began = s.clock.now()
    s.send(1000)
    s.advance(ms(10))
    s.send(1000)
    s.advance(ms(60))
    s.send(1000)
    s.advance(ms(41))
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 1001, sack: [[2001, 3001]] })
    s.advanceUntilSent()
    const [again] = s.sent()
    expect(again!.seq).toBe(1001)
    return again!.at - began
  }

  it('RACK goes by what was delivered since (RFC 8985 section 6.2)', () => {
    // A round trip, a quarter of one, and 3 ms. After five minutes
    // the least round trip has been measured anew, and is longer.
    for (const silence of SILENCES) expect(Math.floor(recovery(silence) / 1000)).toBe(128)
  })

  it.each([1, 25 * 24, 40 * 24])('the window begins anew after %i hours (RFC 5681 section 4.1)', (hours) => {
    const s = established({ mss: 1000, rtt: ms(20), window: 65_000 })
    let sent = 1
    for (let i = 0; i < 3; i++) {
      s.send(60_000)
      sent += s.sent().reduce((sum, { length }) => sum + length, 0)
      s.advance(ms(20))
      s.receive({ flags: 'A', seq: 1, ack: sent, window: 65_000 })
    }
    while (s.connection.cc.packetsOut > 0) {
      sent += s.sent().reduce((sum, { length }) => sum + length, 0)
      s.receive({ flags: 'A', seq: 1, ack: sent, window: 65_000 })
    }
    expect(s.connection.cc.cwnd).toBeGreaterThan(20)
    s.advance(hours * seconds(3600))
    s.send(60_000)
    expect(s.sent().length).toBe(10)
  })

  /** A peer sends for twenty round trips of 20 ms what the window takes. @returns what RecvQ may hold then */
  const queueGrowth = (silence: Micros, options: EstablishedOptions): number => {
    const s = established({ mss: 1460, rtt: ms(20), windowScale: 7, ...options })
    let seq = 1
    const round = (bytes: number): void => {
      for (let left = bytes; left > 0; left -= 1460) {
        s.receive({ flags: 'A', seq, ack: 1, payload: 'x'.repeat(1460) })
        seq += 1460
        s.read()
      }
      s.sent()
      s.advance(ms(20))
    }
    for (let i = 0; i < 3; i++) round(2 * 1460)
    s.advance(silence)
    for (let i = 0; i < 8; i++) round(Math.min(s.connection.rcv.wnd, 1460 << i))
    return s.connection.receiveBuffer
  }

  it('RecvQ grows with what the program reads', () => {
    expect(SILENCES.map((silence) => queueGrowth(silence, {}))).toEqual(SILENCES.map(() => 2_476_160))
  })

  it('with time stamps too, of which the first echo is as old as the silence', () => {
    for (const silence of SILENCES) expect(queueGrowth(silence, { timestamps: true })).toBeGreaterThan(1_000_000)
  })
})
