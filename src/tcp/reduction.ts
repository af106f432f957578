import { type CongestionControl, CwndEvent } from './congestion/control.ts'
import { CaState, EcnFlag, INFINITE_SSTHRESH } from './congestion/state.ts'
import { Feature, type TcpConnection } from './connection.ts'

/** How the congestion window is reduced, once it has to be (RFC 6937, RFC 3168 section 6.1.2). */

/** Moves to one of `CaState`, and tells the congestion control. */
export const setCaState = (c: TcpConnection, state: number): void => {
  const cc = c.cc
  c.control.stateChanges?.(c, state)
  cc.state = state
}

/**
 * Goes over to another congestion control. A reduction that the one before has made is not taken back to what that had.
 */
export const changeControl = (c: TcpConnection, control: CongestionControl): void => {
  c.control = control
  if (c.cc === c.layer.pristineCongestion) return
  c.cc.priorSsthresh = 0
  control.init(c)
}

/** Begins a reduction that lasts until what is out now is acknowledged. */
export const beginReduction = (c: TcpConnection): void => {
  const cc = c.cc
  cc.highSeq = c.snd.nxt
  cc.tlpActive = false
  cc.cwndCount = 0
  cc.priorCwnd = cc.cwnd
  cc.prrDelivered = 0
  cc.prrOut = 0
  cc.ssthresh = c.control.ssthresh(c)
  if (c.has(Feature.Ecn)) cc.ecn |= EcnFlag.QueueCwr
}

/**
 * Proportional rate reduction (RFC 6937): sends in proportion to what is delivered, down to the threshold; below it
 * what was delivered and not yet made up for, and one more where that is safe.
 * @param isSafe does the ACK show that the reduction goes well: see `TcpPersonality.safeAck`
 */
export const reduceWindow = (c: TcpConnection, delivered: number, isSafe: boolean): void => {
  const cc = c.cc
  if (delivered <= 0 || cc.priorCwnd === 0) return
  cc.prrDelivered += delivered
  const room = cc.ssthresh - cc.inFlight
  let send = 0
  if (room < 0) {
    send = Math.floor((cc.ssthresh * cc.prrDelivered + cc.priorCwnd - 1) / cc.priorCwnd) - cc.prrOut
  } else {
    send = Math.max(cc.prrDelivered - cc.prrOut, delivered)
    if (isSafe) send++
    send = Math.min(room, send)
  }
  // The first retransmission goes out at once.
  cc.cwnd = cc.inFlight + Math.max(send, cc.prrOut > 0 ? 0 : 1)
}

/** The reduction is over: the window is what it was to be reduced to. */
export const endReduction = (c: TcpConnection): void => {
  const cc = c.cc
  if (c.control.control !== undefined) return
  if (cc.ssthresh < INFINITE_SSTHRESH && (cc.state === CaState.Cwr || cc.undoable)) {
    cc.cwnd = cc.ssthresh
    cc.cwndStampMs = c.layer.loop.nowMs32
  }
  c.control.event?.(c, CwndEvent.ReductionDone)
}

/** Reduces the window for congestion that cost no segment: ECN, a full queue of our own. */
export const enterCwr = (c: TcpConnection): void => {
  const cc = c.ownCongestionState()
  cc.priorSsthresh = 0
  if (cc.state >= CaState.Cwr) return
  cc.undoable = false
  beginReduction(c)
  setCaState(c, CaState.Cwr)
}
