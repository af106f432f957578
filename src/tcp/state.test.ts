import { describe, expect, it } from 'vitest'
import { type BenchState, inState, TcpBench } from '../../test/support/tcp.ts'
import { seconds } from '../core/clock.ts'
import { AFTER, stateIn, stateSet, type TcpEvent, TcpState, TRANSITIONS, tcpStateName } from './state.ts'

/** Every state and every event: what the table says is what a connection does, and nothing else. */

/** The states by netstat's names, with the numbers that come next: the peer's, and ours. */
const STATES: Record<'CLOSE' | BenchState, { state: number; seq: number; ack: number }> = {
  CLOSE: { state: TcpState.Closed, seq: 0, ack: 0 },
  LISTEN: { state: TcpState.Listen, seq: 0, ack: 0 },
  SYN_SENT: { state: TcpState.SynSent, seq: 0, ack: 1 },
  SYN_RECV: { state: TcpState.SynReceived, seq: 1, ack: 1 },
  ESTABLISHED: { state: TcpState.Established, seq: 1, ack: 1 },
  FIN_WAIT1: { state: TcpState.FinWait1, seq: 1, ack: 2 },
  FIN_WAIT2: { state: TcpState.FinWait2, seq: 1, ack: 2 },
  CLOSE_WAIT: { state: TcpState.CloseWait, seq: 2, ack: 1 },
  CLOSING: { state: TcpState.Closing, seq: 2, ack: 2 },
  LAST_ACK: { state: TcpState.LastAck, seq: 2, ack: 2 },
  TIME_WAIT: { state: TcpState.TimeWait, seq: 2, ack: 2 },
}

type Name = keyof typeof STATES

const HAS_SENT_FIN = new Set<Name>(['FIN_WAIT1', 'FIN_WAIT2', 'CLOSING', 'LAST_ACK', 'TIME_WAIT'])
const HAS_NO_CONNECTION = new Set<Name>(['CLOSE', 'LISTEN'])

/** How each event is brought about; undefined where it cannot come. */
const EVENTS: Record<TcpEvent, (name: Name) => ((s: TcpBench) => void) | undefined> = {
  'open actively': (name) => (name === 'CLOSE' ? (s) => s.connect() : undefined),
  'open passively': (name) => (name === 'CLOSE' ? (s) => void s.listen() : undefined),
  'receive SYN': (name) =>
    name === 'CLOSE' ? undefined : (s) => s.receive({ flags: 'S', seq: fresh(name), mss: 1460 }),
  'receive SYN+ACK': (name) => (s) => s.receive({ flags: 'SA', seq: fresh(name), ack: STATES[name].ack, mss: 1460 }),
  'receive ACK of SYN': (name) =>
    name === 'SYN_RECV' || !HAS_SENT_FIN.has(name)
      ? (s) => s.receive({ flags: 'A', seq: STATES[name].seq, ack: STATES[name].ack })
      : undefined,
  close: (name) => {
    if (name === 'CLOSE') return undefined
    if (name === 'LISTEN') return closeListener
    // shutdown(2) waits for the connection to stand, close(2) does not.
    if (name === 'SYN_RECV') return (s) => s.close()
    return (s) => s.shutdown()
  },
  'receive FIN': (name) => (s) =>
    s.receive({
      flags: HAS_NO_CONNECTION.has(name) ? 'F' : 'FA',
      seq: 1,
      ack: name === 'FIN_WAIT1' || name === 'CLOSING' || name === 'LAST_ACK' ? 1 : STATES[name].ack,
    }),
  'receive ACK of FIN': (name) =>
    HAS_SENT_FIN.has(name) ? (s) => s.receive({ flags: 'A', seq: STATES[name].seq, ack: 2 }) : undefined,
  'receive FIN and ACK of FIN': (name) =>
    HAS_SENT_FIN.has(name) ? (s) => s.receive({ flags: 'FA', seq: 1, ack: 2 }) : undefined,
  'time out': (name) => {
    if (name === 'CLOSE' || name === 'LISTEN') return undefined
    return (s) => {
      // What nobody waits for does not time out: there must be something to acknowledge, or nobody to hold it.
      if (name === 'ESTABLISHED' || name === 'CLOSE_WAIT') s.send('data')
      if (name === 'FIN_WAIT2') s.close()
      s.advance(seconds(2000))
    }
  },
  'receive RST': (name) => (s) =>
    s.receive({ flags: name === 'SYN_SENT' ? 'RA' : 'R', seq: STATES[name].seq, ack: STATES[name].ack }),
}

/** A SYN's number that no structure takes for an old one, nor, in TIME_WAIT, for a new connection's. */
const fresh = (name: Name): number => STATES[name].seq

const closeListener = (s: TcpBench): void => {
  for (const claim of s.demux.listeners.all()) s.demux.listeners.remove(claim)
  s.listener!.close()
}

const shown = (s: TcpBench): string => {
  const state = s.shownState
  return state === 'CLOSE' && s.listener !== null && !s.listener.closed && s.connection === undefined ? 'LISTEN' : state
}

describe('every state and event (RFC 9293 section 3.3.2, figure 5)', () => {
  for (const name of Object.keys(STATES) as Name[]) {
    for (const event of Object.keys(EVENTS) as TcpEvent[]) {
      const act = EVENTS[event](name)
      if (act === undefined) {
        // What cannot come has no place in the table either.
        if (TRANSITIONS[STATES[name].state]?.[event] !== undefined) throw new Error(`${name}: ${event} is not tried`)
        continue
      }
      const next = tcpStateName(AFTER[event][STATES[name].state]!)
      it(`${name}: ${event}: ${next}`, () => {
        const s = name === 'CLOSE' ? new TcpBench() : inState(name)
        s.advance(1000)
        act(s)
        expect(shown(s)).toBe(next)
      })
    }
  }
})

describe('names and sets', () => {
  it('prints the names of netstat', () => {
    expect(Object.values(TcpState).map(tcpStateName)).toEqual([
      'ESTABLISHED',
      'SYN_SENT',
      'SYN_RECV',
      'FIN_WAIT1',
      'FIN_WAIT2',
      'TIME_WAIT',
      'CLOSE',
      'CLOSE_WAIT',
      'LAST_ACK',
      'LISTEN',
      'CLOSING',
    ])
    expect(tcpStateName(99)).toBe('UNKNOWN')
  })

  it('knows what is in a set', () => {
    const set = stateSet(TcpState.Established, TcpState.Closing)
    expect(Object.values(TcpState).filter((state) => stateIn(state, set))).toEqual([1, 11])
  })
})
