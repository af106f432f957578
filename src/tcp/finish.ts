import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import { Shutdown, type TcpConnection } from './connection.ts'
import { releaseRecords } from './records.ts'
import { stateIn, stateSet, TcpState } from './state.ts'
import { stopTimers } from './timers.ts'
import { sendResetSegment } from './transmit.ts'

/** The end of a connection. */

const SYNCHRONIZED_OPEN = stateSet(TcpState.Established, TcpState.CloseWait)
const NEEDS_RESET = stateSet(
  TcpState.Established,
  TcpState.CloseWait,
  TcpState.FinWait1,
  TcpState.FinWait2,
  TcpState.SynReceived,
)

/** Moves to another state and counts as the MIB does (RFC 4022). */
export const setState = (c: TcpConnection, state: number): void => {
  const { tcp } = c.layer.mib
  const wasOpen = stateIn(c.state, SYNCHRONIZED_OPEN)
  const isOpen = stateIn(state, SYNCHRONIZED_OPEN)
  if (isOpen && !wasOpen) tcp.CurrEstab++
  else if (wasOpen && !isOpen) tcp.CurrEstab--
  if (wasOpen && state === TcpState.Closed) tcp.EstabResets++
  if (state === TcpState.Established) c.wasEstablished = true
  c.state = state
}

const endHandshake = (c: TcpConnection): void => {
  c.handshake?.abandon()
  c.handshake = null
}

/** Nothing but a FIN, out of order, came of a fast open: a box on the way has swallowed the rest (RFC 7413 section 7.1). */
const judgeFastOpen = (c: TcpConnection): void => {
  const { fastOpen: attempt, reassembly, layer } = c
  if (attempt === null || !attempt.offered) return
  if (c.dataSegmentsIn > 0) {
    if (attempt.afterPause && c.destination?.interface.isLoopback === false) layer.fastOpen.noteSuccess()
  } else if (reassembly !== null && reassembly.count === 1 && reassembly.hasFin) layer.fastOpen.noteBlackHole()
}

/** Throws away what was still to be sent. */
const discardSendQueue = (c: TcpConnection): void => {
  releaseRecords(c)
  const ring = c.sendRing
  if (ring !== null) {
    c.layer.queuedBytes -= ring.length
    ring.clear()
  }
  const cc = c.cc
  if (cc !== c.layer.pristineCongestion) {
    cc.packetsOut = 0
    cc.sackedOut = 0
    cc.lostOut = 0
    cc.retransOut = 0
    cc.hasRetransmitHint = false
  }
  c.snd.writeSeq = c.snd.nxt
  c.snd.una = c.snd.nxt
  c.snd.ringSeq = c.snd.nxt
}

/**
 * Closes the connection: no timer, no place in the table, nothing to send. What has been received stays, for whoever
 * holds the socket to read.
 */
export const finishConnection = (c: TcpConnection): void => {
  if (c.state === TcpState.Closed && !c.inTable) return
  const { layer } = c
  if (c.state === TcpState.SynSent || c.state === TcpState.SynReceived) layer.mib.tcp.AttemptFails++
  judgeFastOpen(c)
  stop(c)
  if (!c.keepsPort) c.releasePort()
  c.shutdown = Shutdown.Both
  const { observer } = c
  // One that waits to be accepted stays where it is: accept(2) returns it, and what is done with it then tells of its end.
  if (observer === null && c.listener === null) discard(c)
  else observer?.ready(Readiness.In | Readiness.Out | Readiness.RdHup | Readiness.Hup | (c.error ? Readiness.Err : 0))
}

/** Ends the connection with an error, which the socket reports once. */
export const failConnection = (c: TcpConnection, errno: number): void => {
  c.error = errno
  finishConnection(c)
}

/** Tells the peer with a RST, and ends the connection. @param errno 0 for none to report */
export const resetAndFail = (c: TcpConnection, errno: number): void => {
  sendReset(c)
  failConnection(c, errno)
}

/** Sends a RST for the connection as it stands (RFC 9293 section 3.10.5). */
export const sendReset = (c: TcpConnection): void => {
  if (stateIn(c.state, NEEDS_RESET)) sendResetSegment(c)
}

/** The peer has reset the connection (RFC 9293 section 3.10.7.4, second step). */
export const peerReset = (c: TcpConnection): void => {
  let errno: number = Errno.ECONNRESET
  if (c.state === TcpState.SynSent) errno = Errno.ECONNREFUSED
  else if (c.state === TcpState.CloseWait) errno = Errno.EPIPE
  failConnection(c, errno)
}

/** No timer, no place in the table, nothing to send. */
const stop = (c: TcpConnection): void => {
  stopTimers(c)
  endHandshake(c)
  if (c.inTable) c.layer.table.remove(c)
  discardSendQueue(c)
  setState(c, TcpState.Closed)
}

/** Closes a connection that nobody holds, and gives back all that it has. */
export const destroyConnection = (c: TcpConnection): void => {
  stop(c)
  discard(c)
}

/** Gives back the last of what a closed connection that nobody holds has. */
const discard = (c: TcpConnection): void => {
  if (c.isOrphan) {
    c.isOrphan = false
    c.layer.orphans--
  }
  c.releasePort()
  const ring = c.receiveRing
  if (ring !== null) {
    c.layer.queuedBytes -= ring.length
    ring.clear()
  }
  c.reassembly = null
  c.sacks = null
  c.tuning = null
  c.urgent = null
  c.giveBack()
}
