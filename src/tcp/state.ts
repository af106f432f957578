/**
 * The states of a connection (RFC 9293 section 3.3.2), with Linux's numbers, which `tcp_info`, netstat and ss show.
 */
export const TcpState = {
  Established: 1,
  SynSent: 2,
  SynReceived: 3,
  FinWait1: 4,
  FinWait2: 5,
  TimeWait: 6,
  Closed: 7,
  CloseWait: 8,
  LastAck: 9,
  Listen: 10,
  Closing: 11,
} as const

/** The names as netstat prints them. */
const NAMES = [
  '',
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
] as const

/** The state's name as netstat prints it: `'FIN_WAIT1'`. */
export const tcpStateName = (state: number): string => NAMES[state] ?? 'UNKNOWN'

/** A set of states as bits, for `stateIn`. */
export const stateSet = (...states: number[]): number => states.reduce((set, state) => set | (1 << state), 0)

/** Is `state` in a set made by `stateSet`? */
export const stateIn = (state: number, set: number): boolean => ((set >>> state) & 1) !== 0

/** What makes a connection change its state. */
export type TcpEvent =
  | 'open actively'
  | 'open passively'
  | 'receive SYN'
  | 'receive SYN+ACK'
  | 'receive ACK of SYN'
  | 'close'
  | 'receive FIN'
  | 'receive ACK of FIN'
  | 'receive FIN and ACK of FIN'
  | 'time out'
  | 'receive RST'

/**
 * Every change of state that is allowed: figure 5 of RFC 9293, with the notes below it and the changes of section
 * 3.10.7. An event that is missing from a state leaves the state as it is. Time-outs and resets lead to Closed from
 * everywhere but Listen, and from SynReceived of a passive open too: there the half-open connection goes and the
 * listener, which is a structure of its own, stays.
 */
export const TRANSITIONS: Readonly<Record<number, Partial<Record<TcpEvent, number>>>> = {
  [TcpState.Closed]: { 'open actively': TcpState.SynSent, 'open passively': TcpState.Listen },
  [TcpState.Listen]: { 'receive SYN': TcpState.SynReceived, close: TcpState.Closed },
  [TcpState.SynSent]: {
    'receive SYN+ACK': TcpState.Established,
    'receive SYN': TcpState.SynReceived,
    close: TcpState.Closed,
    'time out': TcpState.Closed,
    'receive RST': TcpState.Closed,
  },
  [TcpState.SynReceived]: {
    'receive ACK of SYN': TcpState.Established,
    'receive FIN': TcpState.CloseWait,
    close: TcpState.FinWait1,
    'time out': TcpState.Closed,
    'receive RST': TcpState.Closed,
  },
  [TcpState.Established]: {
    close: TcpState.FinWait1,
    'receive FIN': TcpState.CloseWait,
    'time out': TcpState.Closed,
    'receive RST': TcpState.Closed,
  },
  [TcpState.FinWait1]: {
    'receive ACK of FIN': TcpState.FinWait2,
    'receive FIN': TcpState.Closing,
    'receive FIN and ACK of FIN': TcpState.TimeWait,
    'time out': TcpState.Closed,
    'receive RST': TcpState.Closed,
  },
  [TcpState.FinWait2]: {
    'receive FIN': TcpState.TimeWait,
    'receive FIN and ACK of FIN': TcpState.TimeWait,
    'time out': TcpState.Closed,
    'receive RST': TcpState.Closed,
  },
  [TcpState.CloseWait]: {
    close: TcpState.LastAck,
    'time out': TcpState.Closed,
    'receive RST': TcpState.Closed,
  },
  [TcpState.Closing]: {
    'receive ACK of FIN': TcpState.TimeWait,
    'receive FIN and ACK of FIN': TcpState.TimeWait,
    'time out': TcpState.Closed,
    'receive RST': TcpState.Closed,
  },
  [TcpState.LastAck]: {
    'receive ACK of FIN': TcpState.Closed,
    'receive FIN and ACK of FIN': TcpState.Closed,
    'time out': TcpState.Closed,
    'receive RST': TcpState.Closed,
  },
  [TcpState.TimeWait]: { 'time out': TcpState.Closed, 'receive RST': TcpState.Closed },
}

/**
 * The same by event, for a look-up that costs nothing: the state that follows each state, itself where nothing changes.
 */
export const AFTER = ((): Readonly<Record<TcpEvent, Int8Array>> => {
  const after = (event: TcpEvent): Int8Array =>
    Int8Array.from(NAMES, (_, state) => TRANSITIONS[state]?.[event] ?? state)
  return {
    'open actively': after('open actively'),
    'open passively': after('open passively'),
    'receive SYN': after('receive SYN'),
    'receive SYN+ACK': after('receive SYN+ACK'),
    'receive ACK of SYN': after('receive ACK of SYN'),
    close: after('close'),
    'receive FIN': after('receive FIN'),
    'receive ACK of FIN': after('receive ACK of FIN'),
    'receive FIN and ACK of FIN': after('receive FIN and ACK of FIN'),
    'time out': after('time out'),
    'receive RST': after('receive RST'),
  }
})()
