import { describe, expect, it } from 'vitest'
import { type EstablishedOptions, established, type TcpBench } from '../../test/support/tcp.ts'
import type { SentSegment } from '../../test/support/tcp-wire.ts'
import { ms } from '../core/clock.ts'
import { CaState } from './congestion/state.ts'

/** Ten segments of 1000 bytes are in flight, sent at 10 ms with a round-trip time of 10 ms; it is 20 ms. */
const tenOut = (options: EstablishedOptions = {}, more = 0): TcpBench => {
  const s = established({ mss: 1000, rtt: ms(10), ...options })
  s.send(10_000 + more)
  expect(s.sent().map(({ seq }) => seq)).toEqual([1, 1001, 2001, 3001, 4001, 5001, 6001, 7001, 8001, 9001])
  s.advance(ms(10))
  return s
}

const ack = (s: TcpBench, number: number, ...sack: [number, number][]): void =>
  s.receive({ flags: 'A', seq: 1, ack: number, sack })

const seqs = (segments: SentSegment[]): number[] => segments.map(({ seq }) => seq)

describe('fast retransmit and NewReno without SACK (RFC 5681 section 3.2, RFC 6582)', () => {
  it('the third duplicate ACK sends the first segment again', () => {
    const s = tenOut()
    ack(s, 1)
    ack(s, 1)
    s.expectNothing()
    expect(s.connection.cc.state).toBe(CaState.Disorder)
    ack(s, 1)
    s.expectSent({ flags: 'A', seq: 1, length: 1000 })
    expect(s.connection.cc.state).toBe(CaState.Recovery)
    expect(s.count('tcpExt.TCPRenoRecovery')).toBe(1)
    expect(s.count('tcpExt.TCPFastRetrans')).toBe(1)
    // CUBIC: 717/1024 of 10.
    expect(s.connection.cc.ssthresh).toBe(7)
  })

  it('the first two bring out new data (limited transmit, RFC 3042)', () => {
    const s = tenOut({}, 5000)
    ack(s, 1)
    s.expectSent({ seq: 10_001 })
    s.advance(ms(2))
    ack(s, 1)
    s.expectSent({ seq: 11_001 })
    s.advance(ms(2))
    ack(s, 1)
    s.expectSent({ seq: 1 })
  })

  it('a segment with data, or with a larger window, is no duplicate ACK', () => {
    const s = tenOut()
    for (let i = 0; i < 4; i++) s.receive({ flags: 'PA', seq: 1 + i, ack: 1, payload: 'x' })
    for (let i = 0; i < 4; i++) s.receive({ flags: 'A', seq: 5, ack: 1, window: 60_000 + i * 1000 })
    for (const { length } of s.sent()) expect(length).toBe(0)
    expect(s.connection.cc.state).toBe(CaState.Open)
  })

  it('a partial ACK sends the next hole at once, a full one ends it with the window at ssthresh', () => {
    const s = tenOut()
    for (let i = 0; i < 3; i++) ack(s, 1)
    s.expectSent({ seq: 1 })
    ack(s, 4001)
    s.expectSent({ seq: 4001, length: 1000 })
    expect(s.connection.cc.state).toBe(CaState.Recovery)
    ack(s, 10_001)
    s.expectNothing()
    expect(s.connection.cc.cwnd).toBe(7)
    expect(s.connection.cc.packetsOut).toBe(0)
  })

  it('duplicates of the last ACK of an episode start no other (RFC 6582 section 3.2)', () => {
    const s = tenOut()
    for (let i = 0; i < 3; i++) ack(s, 1)
    ack(s, 10_001)
    s.sent()
    s.send(1000)
    s.expectSent({ seq: 10_001 })
    for (let i = 0; i < 4; i++) ack(s, 10_001)
    s.expectNothing()
    ack(s, 11_001)
    expect(s.connection.cc.state).toBe(CaState.Open)
  })

  it('after a time-out, what was out is sent again as the window grows from 1', () => {
    const s = tenOut()
    s.advanceTo(ms(220))
    s.expectSent({ seq: 1, at: ms(220) })
    expect([s.connection.cc.cwnd, s.connection.cc.ssthresh, s.connection.cc.state]).toEqual([1, 7, CaState.Loss])
    ack(s, 1001)
    s.expectSent({ seq: 1001 }, { seq: 2001 })
    ack(s, 2001)
    s.expectSent({ seq: 3001 }, { seq: 4001 })
    ack(s, 10_001)
    expect(s.connection.cc.packetsOut).toBe(0)
  })
})

describe('SACK (RFC 2018, RFC 6675, with tcp_recovery 0)', () => {
  const options: EstablishedOptions = { sack: true, settings: { tcp_recovery: 0 } }

  it('three segments above the hole: it is lost; two are not enough', () => {
    const s = tenOut(options)
    ack(s, 1, [1001, 2001])
    ack(s, 1, [1001, 3001])
    s.expectNothing()
    ack(s, 1, [1001, 4001])
    s.expectSent({ seq: 1, length: 1000 })
    expect(s.count('tcpExt.TCPSackRecovery')).toBe(1)
  })

  it('sends every hole again and nothing else', () => {
    const s = tenOut(options)
    ack(s, 1, [1001, 2001], [3001, 4001])
    ack(s, 1, [5001, 10_001], [1001, 2001], [3001, 4001])
    const holes = seqs(s.sent())
    ack(s, 1001, [5001, 10_001], [1001, 2001], [3001, 4001])
    ack(s, 2001, [5001, 10_001], [3001, 4001])
    holes.push(...seqs(s.sent()))
    expect(holes).toEqual([1, 2001, 4001])
    ack(s, 10_001)
    expect(s.connection.cc.state).toBe(CaState.Open)
    expect(s.connection.cc.cwnd).toBe(7)
  })

  it('ignores blocks that make no sense', () => {
    const s = tenOut(options)
    ack(s, 1, [20_001, 21_001])
    ack(s, 1, [9001, 12_001])
    ack(s, 1, [3001, 2001])
    expect(s.connection.cc.sackedOut).toBe(0)
    s.expectNothing()
    expect(s.count('tcpExt.TCPSACKDiscard')).toBeGreaterThan(0)
  })

  it('the peer takes back what it had SACKed: all is sent again after the time-out (RFC 2018 section 8)', () => {
    const s = tenOut(options)
    ack(s, 1, [1001, 3001])
    // Acknowledged is only the hole: what was SACKed is gone.
    ack(s, 1001)
    s.expectNothing()
    s.advance(ms(10))
    expect(seqs(s.sent())[0]).toBe(1001)
    expect(s.count('tcpExt.TCPSACKReneging')).toBe(1)
    expect(s.connection.cc.sackedOut).toBe(0)
  })
})

describe('RACK (RFC 8985)', () => {
  const options: EstablishedOptions = { sack: true }

  it('one segment SACKed: the one before is given a quarter of the least RTT, and then is lost', () => {
    const s = tenOut(options)
    ack(s, 1, [1001, 2001])
    s.expectNothing()
    s.advance(ms(4.5) - 1)
    s.expectNothing()
    s.advance(1)
    s.expectSent({ seq: 1, length: 1000, at: ms(24.5) })
    expect(s.connection.cc.state).toBe(CaState.Recovery)
  })

  it('three segments SACKed: it is lost at once', () => {
    const s = tenOut(options)
    ack(s, 1, [1001, 4001])
    s.expectSent({ seq: 1, length: 1000 })
  })

  it('what arrives within the settling time was only reordered', () => {
    const s = tenOut(options)
    ack(s, 1, [1001, 2001])
    s.advance(ms(2))
    ack(s, 2001)
    s.advance(ms(20))
    for (const { seq } of s.sent()) expect(seq).toBe(9001)
    expect(s.connection.cc.reorderingSeen).toBe(1)
    expect(s.connection.cc.lost).toBe(0)
  })

  it('a retransmission that is lost is found by what was sent after it', () => {
    const s = tenOut(options, 10_000)
    ack(s, 1, [1001, 4001])
    expect(seqs(s.sent())[0]).toBe(1)
    ack(s, 1, [1001, 5001])
    ack(s, 1, [1001, 6001])
    s.sent()
    s.advance(ms(10))
    s.receive({
      flags: 'A',
      seq: 1,
      ack: 1,
      sack: [
        [10_001, 12_001],
        [1001, 6001],
      ],
    })
    s.advance(ms(5))
    expect(seqs(s.sent())).toContain(1)
    expect(s.count('tcpExt.TCPLostRetransmit')).toBe(1)
  })
})

describe('tail loss probe (RFC 8985 section 7)', () => {
  it('two segments out: the last again after two round trips and 2 ms, without touching the window', () => {
    const s = established({ mss: 1000, rtt: ms(10), sack: true })
    s.send(2000)
    s.sent()
    s.advanceTo(ms(32) - 1)
    s.expectNothing()
    s.advance(1)
    s.expectSent({ flags: 'PA', seq: 1001, length: 1000, at: ms(32) })
    expect(s.connection.cc.cwnd).toBe(10)
    expect(s.count('tcpExt.TCPLossProbes')).toBe(1)
    // Then the time-out, anew.
    s.advanceTo(ms(242))
    s.expectSent({ seq: 1, at: ms(242) })
    expect(s.connection.cc.state).toBe(CaState.Loss)
  })

  it('one segment out: the ACK may be delayed, and the probe goes at the time-out', () => {
    const s = established({ mss: 1000, rtt: ms(10), sack: true })
    s.send(1000)
    s.sent()
    s.advanceTo(ms(220))
    s.expectSent({ seq: 1, at: ms(220) })
    expect(s.connection.cc.state).toBe(CaState.Open)
    s.advanceTo(ms(430))
    s.expectSent({ seq: 1, at: ms(430) })
    expect(s.connection.cc.state).toBe(CaState.Loss)
  })

  it('sends new data where there is some, whatever the congestion window says', () => {
    const s = established({ mss: 1000, rtt: ms(10), sack: true })
    s.send(12_000)
    expect(s.sent().length).toBe(10)
    s.advanceTo(ms(32))
    s.expectSent({ seq: 10_001, length: 1000 })
  })

  it('an ACK that shows both copies to have come (D-SACK): nothing was lost', () => {
    const s = established({ mss: 1000, rtt: ms(10), sack: true })
    s.send(2000)
    s.advanceTo(ms(32))
    s.sent()
    ack(s, 2001)
    ack(s, 2001, [1001, 2001])
    s.send(1000)
    s.sent()
    ack(s, 3001)
    expect(s.connection.cc.cwnd).toBe(10)
    expect(s.count('tcpExt.TCPLossProbeRecovery')).toBe(0)
  })

  it('an ACK without one: the probe filled a hole, and the window is reduced', () => {
    const s = established({ mss: 1000, rtt: ms(10), sack: true })
    s.send(2000)
    s.advanceTo(ms(32))
    s.sent()
    ack(s, 2001)
    s.send(1000)
    s.sent()
    ack(s, 3001)
    expect(s.connection.cc.cwnd).toBe(7)
    expect(s.count('tcpExt.TCPLossProbeRecovery')).toBe(1)
  })

  it('a SACK from the probe brings fast recovery of the rest', () => {
    const s = established({ mss: 1000, rtt: ms(10), sack: true })
    s.send(4000)
    s.advanceTo(ms(32))
    s.expectSent({ seq: 1 }, { seq: 1001 }, { seq: 2001 }, { seq: 3001 }, { seq: 3001 })
    s.receive({ flags: 'A', seq: 1, ack: 1, sack: [[3001, 4001]] }, { at: ms(42) })
    // What was sent a round trip before the probe is lost; it is sent again as fast as ACKs come (RFC 6937).
    s.expectSent({ seq: 1 })
    s.receive({ flags: 'A', seq: 1, ack: 1001, sack: [[3001, 4001]] }, { at: ms(52) })
    s.expectSent({ seq: 1001 }, { seq: 2001 })
    expect(s.connection.cc.state).toBe(CaState.Recovery)
  })

  it('tcp_early_retrans 0: none', () => {
    const s = established({ mss: 1000, rtt: ms(10), sack: true, settings: { tcp_early_retrans: 0 } })
    s.send(2000)
    s.sent()
    s.advanceTo(ms(220) - 1)
    s.expectNothing()
    s.advance(1)
    s.expectSent({ seq: 1 })
  })
})

describe('proportional rate reduction (RFC 6937)', () => {
  it('from 10 to 7: of what is delivered, seven tenths are sent', () => {
    const s = tenOut({ sack: true }, 20_000)
    ack(s, 1, [1001, 2001])
    s.advance(ms(1.5))
    ack(s, 1, [1001, 3001])
    s.expectSent({ seq: 10_001 }, { seq: 11_001 })
    s.advance(ms(1.5))
    ack(s, 1, [1001, 4001])
    s.expectSent({ seq: 1 })
    const sent: number[] = []
    for (let end = 5001; end <= 10_001; end += 1000) {
      ack(s, 1, [1001, end])
      sent.push(s.sent().length)
    }
    expect(sent).toEqual([1, 1, 0, 0, 1, 1])
    expect(s.connection.cc.inFlight).toBe(7)
    // The hole is filled: the window stands at ssthresh.
    ack(s, 12_001)
    expect(s.connection.cc.state).toBe(CaState.Open)
    expect(s.connection.cc.ssthresh).toBe(7)
  })

  it('few in flight: slow start up to ssthresh', () => {
    const s = tenOut({ sack: true }, 20_000)
    // Nine of ten lost, seen by the last one and the settling time.
    ack(s, 1, [9001, 10_001])
    s.sent()
    s.advance(ms(4.5))
    expect(seqs(s.sent())[0]).toBe(1)
    const { cc } = s.connection
    expect(cc.inFlight).toBeLessThanOrEqual(cc.ssthresh)
  })
})

describe('F-RTO (RFC 5682)', () => {
  const options: EstablishedOptions = { mss: 1000, rtt: ms(10), sack: true, settings: { tcp_early_retrans: 0 } }

  it('the time-out was spurious: ACKs of the originals come in, the reduction is taken back', () => {
    const s = established(options)
    s.send(3000)
    s.sent()
    s.advanceTo(ms(220))
    s.expectSent({ seq: 1 })
    s.send(3000)
    s.expectNothing()
    // The ACK of the first may be of either copy: new data is sent to see.
    ack(s, 1001)
    expect(seqs(s.sent())).toEqual([3001, 4001])
    ack(s, 2001)
    expect(s.count('tcpExt.TCPSpuriousRTOs')).toBe(1)
    expect(s.connection.cc.state).toBe(CaState.Open)
    expect(s.connection.cc.cwnd).toBeGreaterThanOrEqual(10)
    expect(seqs(s.sent())).toEqual([5001])
  })

  it('the loss was real: a duplicate ACK shows it, and the rest is sent again', () => {
    const s = established(options)
    s.send(3000)
    s.sent()
    s.advanceTo(ms(220))
    s.sent()
    s.send(3000)
    ack(s, 1001)
    expect(seqs(s.sent())).toEqual([3001, 4001])
    ack(s, 1001, [3001, 4001])
    expect(seqs(s.sent())[0]).toBe(1001)
    expect(s.count('tcpExt.TCPSpuriousRTOs')).toBe(0)
    expect(s.connection.cc.state).toBe(CaState.Loss)
  })

  it('tcp_frto 0: everything is sent again at once', () => {
    const s = established({ ...options, settings: { tcp_early_retrans: 0, tcp_frto: 0 } })
    s.send(3000)
    s.sent()
    s.advanceTo(ms(220))
    s.sent()
    s.send(3000)
    ack(s, 1001)
    expect(seqs(s.sent())).toEqual([1001, 2001])
  })
})

describe('taking a reduction back', () => {
  it('D-SACK: every retransmission came twice (RFC 3708)', () => {
    const s = tenOut({ sack: true })
    ack(s, 1, [1001, 4001])
    s.expectSent({ seq: 1 })
    ack(s, 10_001)
    expect(s.connection.cc.ssthresh).toBe(7)
    expect(s.connection.cc.cwnd).toBeLessThan(10)
    ack(s, 10_001, [1, 1001])
    expect(s.count('tcpExt.TCPDSACKUndo')).toBe(1)
    expect(s.connection.cc.cwnd).toBe(10)
    expect(s.connection.cc.ssthresh).toBeGreaterThanOrEqual(10)
  })

  it('time stamps: the ACK echoes a time before the retransmission (Eifel, RFC 3522)', () => {
    const s = established({ mss: 1000, rtt: ms(10), timestamps: true })
    s.send(1000)
    const [original] = s.sent()
    s.advanceTo(ms(220))
    s.expectSent({ seq: 1 })
    s.receive({ flags: 'A', seq: 1, ack: 989, timestamps: { echo: original!.timestamps!.value } })
    expect(s.count('tcpExt.TCPLossUndo')).toBe(1)
    expect(s.connection.cc.cwnd).toBe(10)
  })

  it('in fast recovery too', () => {
    const s = established({ mss: 1012, rtt: ms(10), timestamps: true, sack: true })
    s.send(10_000)
    const [original] = s.sent()
    s.advance(ms(10))
    ack(s, 1, [1001, 4001])
    s.expectSent({ seq: 1 })
    s.receive({ flags: 'A', seq: 1, ack: 10_001, timestamps: { echo: original!.timestamps!.value } })
    expect(s.count('tcpExt.TCPFullUndo')).toBe(1)
    // Back in slow start, which counts the seven segments that this ACK has delivered.
    expect(s.connection.cc.cwnd).toBe(17)
  })
})

describe('records of several segments (a link with segmentation offload)', () => {
  const options: EstablishedOptions = { mss: 1000, rtt: ms(1), offload: true }

  it('leave whole, and come back in part', () => {
    const s = established(options)
    s.send(5000)
    s.expectSent({ flags: 'PA', seq: 1, length: 5000 })
    ack(s, 2001)
    s.expectNothing()
    expect(s.connection.cc.packetsOut).toBe(3)
    s.advance(ms(300))
    s.expectSent({ flags: 'A', seq: 2001, length: 1000 })
    ack(s, 3001)
    s.expectSent({ flags: 'PA', seq: 3001, length: 2000 })
    ack(s, 5001)
    expect(s.connection.cc.packetsOut).toBe(0)
  })

  it('an ACK in the middle of a segment counts the whole ones only', () => {
    const s = established(options)
    s.send(5000)
    s.sent()
    ack(s, 2501)
    expect(s.connection.cc.packetsOut).toBe(3)
    s.advance(ms(300))
    expect(s.sent()[0]!.seq).toBe(2501)
    ack(s, 5001)
    expect(s.connection.cc.packetsOut).toBe(0)
    expect(s.connection.sendQueueBytes).toBe(0)
  })

  it('are as large as what is sent in a millisecond (tcp_tso_rtt_log), two segments at the least', () => {
    const s = established({ ...options, rtt: ms(10) })
    s.send(5000)
    s.expectSent({ seq: 1, length: 2000 }, { seq: 2001, length: 2000 }, { seq: 4001, length: 1000 })
  })

  it('are cut where SACK says', () => {
    const s = established({ ...options, rtt: ms(10), sack: true })
    s.send(10_000)
    s.sent()
    s.advance(ms(10))
    ack(s, 1, [2001, 3001], [5001, 10_001])
    expect(s.connection.cc.sackedOut).toBe(6)
    const sent = s.sent().map(({ seq, length }) => [seq, length])
    ack(s, 2001, [5001, 10_001], [2001, 3001])
    sent.push(...s.sent().map(({ seq, length }) => [seq, length]))
    expect(sent).toEqual([
      [1, 2000],
      [3001, 1000],
      [4001, 1000],
    ])
  })

  it('three duplicate ACKs without SACK send one segment again', () => {
    const s = established(options)
    s.send(5000)
    s.sent()
    for (let i = 0; i < 3; i++) ack(s, 1)
    s.expectSent({ seq: 1, length: 1000 })
  })

  it('small segments leave together when they are sent again (tcp_retrans_collapse)', () => {
    const s = established({ mss: 1000, rtt: ms(10), nodelay: true })
    for (const text of ['ab', 'cd', 'ef']) s.send(text)
    expect(s.sent().length).toBe(3)
    s.advance(ms(210))
    s.expectSent({ flags: 'PA', seq: 1, payload: 'abcdef' })
    ack(s, 7)
    expect(s.connection.cc.packetsOut).toBe(0)
  })
})
