import { describe, expect, it } from 'vitest'
import { type BenchState, established, inState, type TcpBench } from '../../test/support/tcp.ts'
import { ms, seconds } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import { LINUX } from './settings.ts'

/** RFC 9293 section 3.10.7.4: each step, in each state. */

/** Each state with the numbers that come next: the peer's and ours. */
const SYNCHRONIZED: { state: BenchState; seq: number; ack: number }[] = [
  { state: 'ESTABLISHED', seq: 1, ack: 1 },
  { state: 'FIN_WAIT1', seq: 1, ack: 2 },
  { state: 'FIN_WAIT2', seq: 1, ack: 2 },
  { state: 'CLOSE_WAIT', seq: 2, ack: 1 },
  { state: 'CLOSING', seq: 2, ack: 2 },
  { state: 'LAST_ACK', seq: 2, ack: 2 },
]

/** A state a moment later than the last answer to a segment out of window. */
const rested = (state: BenchState): TcpBench => {
  const s = inState(state)
  s.advance(ms(1))
  return s
}

describe('first: the sequence number', () => {
  for (const { state, seq, ack } of SYNCHRONIZED) {
    it(`${state}: acknowledges a segment beyond the window, and drops it`, () => {
      const s = rested(state)
      s.receive({ flags: 'PA', seq: seq + 70_000, ack: 1, payload: 'x' })
      s.expectSent({ flags: 'A', seq: ack, ack: seq, length: 0 })
      expect(s.dropped('tcp-out-of-window')).toBe(1)
      expect(s.state).toBe(state)
    })
    it(`${state}: acknowledges an old segment, and drops it`, () => {
      const s = rested(state)
      s.receive({ flags: 'A', seq: seq - 20, ack: 1, payload: 10 })
      s.expectSent({ flags: 'A', seq: ack, ack: seq, length: 0 })
      expect(s.dropped('tcp-out-of-window')).toBe(1)
      expect(s.state).toBe(state)
    })
  }

  it('answers bare ACKs that are out of window twice a second at most (tcp_invalid_ratelimit)', () => {
    const s = established()
    s.receive({ flags: 'A', seq: 70_001, ack: 1 }, { at: ms(10) })
    s.expectSent({ flags: 'A', seq: 1, ack: 1 })
    s.receive({ flags: 'A', seq: 70_001, ack: 1 }, { at: ms(509) })
    s.expectNothing()
    expect(s.count('tcpExt.TCPACKSkippedSeq')).toBe(1)
    s.receive({ flags: 'A', seq: 70_001, ack: 1 }, { at: ms(510) })
    s.expectSent({ flags: 'A', seq: 1, ack: 1 })
  })

  it('answers data out of window every time', () => {
    const s = established()
    for (let i = 0; i < 3; i++) {
      s.receive({ flags: 'A', seq: 70_001, ack: 1, payload: 1 })
      s.expectSent({ flags: 'A', seq: 1, ack: 1 })
    }
  })

  it('takes the end of the window as inside, and not what begins one beyond', () => {
    const s = established()
    const end = 1 + s.connection.rcv.wnd
    s.receive({ flags: 'A', seq: end, ack: 1 })
    s.expectNothing()
    s.receive({ flags: 'A', seq: end + 1, ack: 1 })
    s.expectSent({ flags: 'A', seq: 1, ack: 1 })
  })

  it('takes what is new of a segment whose front is old', () => {
    const s = established()
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'abcd' })
    s.expectSent({ flags: 'A', ack: 5 })
    s.receive({ flags: 'PA', seq: 3, ack: 1, payload: 'cdef' })
    s.expectSent({ flags: 'A', ack: 7 })
    expect(s.read()).toBe('abcdef')
  })

  it('acknowledges a duplicate at once', () => {
    const s = established()
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'abcd' })
    s.sent()
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'abcd' })
    s.expectSent({ flags: 'A', seq: 1, ack: 5 })
    expect(s.read()).toBe('abcd')
  })

  it('takes what the window has room for, and no more', () => {
    const s = established({ receiveBuffer: 4000 })
    expect(s.connection.rcv.wnd).toBe(1460)
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 3000 })
    s.sent()
    expect(s.read().length).toBe(2000)
  })
})

describe('second: RST (RFC 5961 section 3.2)', () => {
  for (const { state, seq, ack } of SYNCHRONIZED) {
    const errno = state === 'CLOSE_WAIT' ? Errno.EPIPE : Errno.ECONNRESET
    it(`${state}: at exactly RCV.NXT it ends the connection`, () => {
      const s = rested(state)
      s.receive({ flags: 'R', seq })
      s.expectNothing()
      expect(s.state).toBe('CLOSE')
      expect(s.connection.error).toBe(errno)
      expect(s.demux.table.size).toBe(0)
      s.close()
      s.expectNothingLeft()
    })
    it(`${state}: elsewhere in the window it draws a challenge ACK`, () => {
      const s = rested(state)
      s.receive({ flags: 'R', seq: seq + 1 })
      s.expectSent({ flags: 'A', seq: ack, ack: seq })
      expect(s.state).toBe(state)
      expect(s.count('tcpExt.TCPChallengeACK')).toBe(1)
    })
    it(`${state}: outside of the window it is ignored`, () => {
      const s = rested(state)
      s.receive({ flags: 'R', seq: seq + 70_000 })
      s.receive({ flags: 'RA', seq: seq - 5, ack: 1 })
      s.expectNothing()
      expect(s.state).toBe(state)
      expect(s.dropped('tcp-out-of-window')).toBe(2)
    })
  }

  it('SYN_RECV of crossed SYNs: ends the connection', () => {
    const s = inState('SYN_RECV')
    s.receive({ flags: 'R', seq: 1 })
    expect(s.state).toBe('CLOSE')
    expect(s.end).toBe(Errno.ECONNRESET)
  })

  it("behind the peer's FIN, a RST with the number of the FIN counts (the peer has forgotten that it sent it)", () => {
    for (const state of ['CLOSE_WAIT', 'CLOSING', 'LAST_ACK'] as const) {
      const s = rested(state)
      s.receive({ flags: 'R', seq: 1 })
      expect(s.state).toBe('CLOSE')
    }
  })

  it('at the end of what SACK reported it counts too', () => {
    const s = established({ sack: true })
    s.receive({ flags: 'A', seq: 101, ack: 1, payload: 100 })
    s.expectSent({ flags: 'A', ack: 1, sack: [[101, 201]] })
    s.receive({ flags: 'R', seq: 150 }, { at: seconds(1) })
    s.expectSent({ flags: 'A', ack: 1 })
    s.receive({ flags: 'R', seq: 201 })
    expect(s.state).toBe('CLOSE')
  })

  it('what arrived before stays to be read, then the error is told, once', () => {
    const s = established()
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'last words' })
    s.sent()
    s.receive({ flags: 'R', seq: 11 })
    expect(s.read()).toBe('last words')
    expect(s.end).toBe(Errno.ECONNRESET)
    expect(s.end).toBe('eof')
  })
})

describe('the limits of challenge ACKs (RFC 5961 section 7)', () => {
  it('one connection: one in half a second', () => {
    const s = established()
    s.receive({ flags: 'R', seq: 2 }, { at: ms(10) })
    s.expectSent({ flags: 'A' })
    s.receive({ flags: 'R', seq: 2 }, { at: ms(500) })
    s.expectNothing()
    expect(s.count('tcpExt.TCPACKSkippedChallenge')).toBe(1)
    s.receive({ flags: 'R', seq: 2 }, { at: ms(510) })
    s.expectSent({ flags: 'A' })
  })

  it('the host: tcp_challenge_ack_limit a second, blurred by chance', () => {
    const s = established({ settings: { tcp_challenge_ack_limit: 10, tcp_invalid_ratelimit: 0 } })
    s.advance(ms(10))
    for (let i = 0; i < 40; i++) s.receive({ flags: 'R', seq: 2 })
    const first = s.sent().length
    expect(first).toBeGreaterThanOrEqual(5)
    expect(first).toBeLessThanOrEqual(15)
    s.advance(seconds(1))
    s.receive({ flags: 'R', seq: 2 })
    expect(s.sent().length).toBe(1)
  })
})

describe('fourth: SYN (RFC 5961 section 4.2)', () => {
  for (const { state, seq, ack } of SYNCHRONIZED) {
    it(`${state}: challenged in the window, and outside of it, but not taken`, () => {
      for (const at of [seq, seq + 100, seq + 100_000, seq - 1]) {
        const s = rested(state)
        s.receive({ flags: 'S', seq: at, mss: 1460 })
        s.expectSent({ flags: 'A', seq: ack, ack: seq, length: 0 })
        expect(s.state).toBe(state)
        expect(s.count('tcpExt.TCPSYNChallenge')).toBe(1)
      }
    })
  }

  it('SYN+ACK that comes again, as our last ACK was lost: is acknowledged', () => {
    const s = established({ active: true })
    s.advance(ms(1))
    s.receive({ flags: 'SA', seq: 0, ack: 1, mss: 1460 })
    s.expectSent({ flags: 'A', seq: 1, ack: 1 })
    expect(s.state).toBe('ESTABLISHED')
  })
})

describe('fifth: ACK', () => {
  for (const { state, seq, ack } of SYNCHRONIZED) {
    it(`${state}: a segment without ACK is dropped`, () => {
      const s = rested(state)
      s.receive({ flags: '', seq, payload: 'x' })
      s.receive({ flags: 'F', seq })
      s.expectNothing()
      expect(s.state).toBe(state)
      expect(s.dropped('tcp-flags')).toBe(2)
    })
    it(`${state}: an ACK of what was never sent is challenged`, () => {
      const s = rested(state)
      s.settings.personality = { ...LINUX, challengesUnsentAck: true }
      s.receive({ flags: 'A', seq, ack: ack + 1 })
      s.expectSent({ flags: 'A', seq: ack, ack: seq })
      expect(s.state).toBe(state)
      expect(s.dropped('tcp-invalid-ack')).toBe(1)
    })
    it(`${state}: an ACK from before the connection is challenged (RFC 5961 section 5.2)`, () => {
      const s = rested(state)
      s.receive({ flags: 'A', seq, ack: -70_000 })
      s.expectSent({ flags: 'A', seq: ack, ack: seq })
      expect(s.state).toBe(state)
      expect(s.dropped('tcp-old-ack')).toBe(1)
    })
  }

  it('ESTABLISHED: Linux drops an ACK of what was never sent without a word', () => {
    const s = rested('ESTABLISHED')
    s.receive({ flags: 'A', seq: 1, ack: 2 })
    s.expectNothing()
    expect(s.dropped('tcp-invalid-ack')).toBe(1)
  })

  it('SYN_RECV of crossed SYNs: an ACK of something else is reset, and the connection waits on', () => {
    const s = inState('SYN_RECV')
    // Also one that is up to SND.UNA and does not acknowledge the SYN.
    for (const ack of [2, 0]) {
      s.receive({ flags: 'A', seq: 1, ack })
      s.expectSent({ flags: 'R', seq: ack })
      expect(s.state).toBe('SYN_RECV')
    }
  })

  it('accepts an ACK that is older by no more than the largest window', () => {
    const s = established({ mss: 1000, window: 2000 })
    s.send(2000)
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 2001, window: 2000 })
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'old ack' })
    expect(s.read()).toBe('old ack')
    s.sent()
    s.send(2000)
    s.sent()
    s.receive({ flags: 'A', seq: 8, ack: 4001, window: 2000 })
    s.receive({ flags: 'PA', seq: 8, ack: 2000, payload: 'too old' })
    s.expectSent({ flags: 'A', seq: 4001, ack: 8 })
    expect(s.read()).toBe('')
  })

  it('takes the window of a newer segment, and not of an older one (SND.WL1 and SND.WL2)', () => {
    const s = established({ window: 5000 })
    s.receive({ flags: 'A', seq: 101, ack: 1, payload: 100, window: 7000 })
    expect(s.connection.snd.wnd).toBe(7000)
    s.receive({ flags: 'A', seq: 1, ack: 1, payload: 100, window: 6000 })
    expect(s.connection.snd.wnd).toBe(7000)
    s.receive({ flags: 'A', seq: 201, ack: 1, window: 3000 })
    expect(s.connection.snd.wnd).toBe(3000)
    // Of the same age: only a larger one, or none at all, is news.
    s.receive({ flags: 'A', seq: 201, ack: 1, window: 2000 })
    expect(s.connection.snd.wnd).toBe(3000)
    s.receive({ flags: 'A', seq: 201, ack: 1, window: 4000 })
    expect(s.connection.snd.wnd).toBe(4000)
  })
})

describe('seventh: text', () => {
  for (const state of ['ESTABLISHED', 'FIN_WAIT1', 'FIN_WAIT2'] as const) {
    it(`${state}: is taken and acknowledged`, () => {
      const s = inState(state)
      const ack = state === 'ESTABLISHED' ? 1 : 2
      s.receive({ flags: 'PA', seq: 1, ack: state === 'FIN_WAIT2' ? 2 : 1, payload: 'text' })
      s.expectSent({ flags: 'A', seq: ack, ack: 5 })
      expect(s.read()).toBe('text')
      expect(s.state).toBe(state)
    })
  }

  for (const { state, seq, ack } of SYNCHRONIZED.slice(3)) {
    it(`${state}: comes after the peer's FIN, and is not taken`, () => {
      const s = rested(state)
      s.receive({ flags: 'PA', seq, ack: 1, payload: 'text' })
      expect(s.read()).toBe('')
      expect(s.state).toBe(state)
      expect(s.connection.rcv.nxt).toBe((s.connection.rcv.irs + seq) | 0)
      for (const segment of s.sent()) expect(segment).toMatchObject({ flags: 'A', seq: ack, ack: seq })
    })
  }

  it('out of order: a duplicate ACK for each, then one for all when the gap closes', () => {
    const s = established()
    s.receive({ flags: 'A', seq: 101, ack: 1, payload: 100 })
    s.expectSent({ flags: 'A', seq: 1, ack: 1 })
    s.receive({ flags: 'A', seq: 201, ack: 1, payload: 100 })
    s.expectSent({ flags: 'A', seq: 1, ack: 1 })
    s.receive({ flags: 'A', seq: 1, ack: 1, payload: 100 })
    s.expectSent({ flags: 'A', seq: 1, ack: 301 })
    expect(s.read().length).toBe(300)
  })
})

describe('eighth: FIN', () => {
  it('ESTABLISHED to CLOSE_WAIT, with data', () => {
    const s = established()
    s.receive({ flags: 'FPA', seq: 1, ack: 1, payload: 'bye' })
    expect(s.state).toBe('CLOSE_WAIT')
    expect(s.read()).toBe('bye')
    expect(s.end).toBe('eof')
    s.advance(ms(40))
    s.expectSent({ flags: 'A', seq: 1, ack: 5 })
  })

  it('FIN_WAIT1 to CLOSING, without an ACK of ours', () => {
    const s = inState('FIN_WAIT1')
    s.receive({ flags: 'FA', seq: 1, ack: 1 })
    s.expectSent({ flags: 'A', seq: 2, ack: 2 })
    expect(s.state).toBe('CLOSING')
  })

  it('FIN_WAIT1 to TIME_WAIT, with it', () => {
    const s = inState('FIN_WAIT1')
    s.receive({ flags: 'FA', seq: 1, ack: 2 })
    s.expectSent({ flags: 'A', seq: 2, ack: 2 })
    expect(s.shownState).toBe('TIME_WAIT')
  })

  for (const { state, seq, ack } of SYNCHRONIZED.slice(3)) {
    it(`${state}: comes again, is acknowledged again, and changes nothing`, () => {
      const s = rested(state)
      s.receive({ flags: 'FA', seq: 1, ack: 1 })
      s.expectSent({ flags: 'A', seq: ack, ack: seq })
      expect(s.state).toBe(state)
    })
  }

  it('a second FIN behind the first, in a segment that overlaps it, is nothing', () => {
    const s = rested('CLOSE_WAIT')
    s.receive({ flags: 'FA', seq: 0, ack: 1, payload: 'xy' })
    s.expectSent({ flags: 'A', seq: 1, ack: 2 })
    expect(s.end).toBe('eof')
  })

  it('out of order: waits for the data before it', () => {
    const s = established()
    s.receive({ flags: 'FA', seq: 4, ack: 1 })
    s.expectSent({ flags: 'A', ack: 1 })
    expect(s.state).toBe('ESTABLISHED')
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'abc' })
    s.expectSent({ flags: 'A', ack: 5 })
    expect(s.state).toBe('CLOSE_WAIT')
    expect(s.read()).toBe('abc')
    expect(s.end).toBe('eof')
  })

  it('into a window that is shut: is taken, needing no room', () => {
    const s = established({ receiveBuffer: 4000 })
    s.receive({ flags: 'A', seq: 1, ack: 1, payload: 1460 })
    s.advance(ms(500))
    s.receive({ flags: 'PA', seq: 1461, ack: 1, payload: 540 })
    s.advance(ms(500))
    s.sent()
    const next = (s.connection.rcv.nxt - s.connection.rcv.irs) | 0
    expect(s.connection.rcv.wnd).toBe(0)
    s.receive({ flags: 'FA', seq: next, ack: 1 })
    expect(s.state).toBe('CLOSE_WAIT')
    s.advance(ms(500))
    s.expectSent({ flags: 'A', ack: next + 1, window: 0 })
  })
})
