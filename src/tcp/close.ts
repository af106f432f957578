import { MILLISECOND } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import { Shutdown, type TcpConnection } from './connection.ts'
import { destroyConnection, failConnection, finishConnection, sendReset, setState } from './finish.ts'
import { AFTER, stateIn, stateSet, TcpState } from './state.ts'
import { enterTimeWait } from './time-wait.ts'
import { finWait2Time } from './timeouts.ts'
import { armKeepalive } from './timers.ts'
import { sendResetSegment } from './transmit.ts'
import { writeFin } from './write.ts'

/** CLOSE and ABORT (RFC 9293 sections 3.10.4 and 3.10.5). */

const OPEN_TO_SEND = stateSet(TcpState.Established, TcpState.SynReceived, TcpState.CloseWait)
const CLOSING_UNSENT = stateSet(TcpState.Closing, TcpState.LastAck)

/**
 * Sends no more: FIN behind what is queued, which goes on being sent.
 * In SYN_RCVD that waits until the connection stands.
 */
export const shutdownSend = (c: TcpConnection): void => {
  if ((c.shutdown & Shutdown.Send) !== 0) return
  c.shutdown |= Shutdown.Send
  if (c.state !== TcpState.SynReceived) closeSending(c)
}

/** Moves on by the application's close, with a FIN where the state sends one. */
export const closeSending = (c: TcpConnection): void => {
  if (c.state === TcpState.SynSent) {
    finishConnection(c)
    return
  }
  if (!stateIn(c.state, OPEN_TO_SEND)) return
  setState(c, AFTER.close[c.state]!)
  writeFin(c)
}

/**
 * The last descriptor is closed: the connection is nobody's from now on and ends by itself.
 * @param abortive SO_LINGER with 0 seconds: what is queued is thrown away, and the peer gets a RST
 */
export const closeConnection = (c: TcpConnection, abortive: boolean): void => {
  const { layer } = c
  const unread = c.receiveRing === null ? 0 : c.receiveRing.length
  c.shutdown = Shutdown.Both
  if (c.state === TcpState.Closed) {
    c.observer = null
    destroyConnection(c)
    return
  }
  if (unread > 0) {
    // What was not read is lost, and the peer must learn that (RFC 2525 section 2.17; RFC 9293 section 3.6.1).
    layer.mib.tcpExt.TCPAbortOnClose++
    c.observer = null
    sendResetSegment(c)
    finishConnection(c)
    return
  }
  if (abortive) {
    layer.mib.tcpExt.TCPAbortOnData++
    c.observer = null
    abort(c)
    return
  }
  closeSending(c)
  orphan(c)
}

/** Lets go of a connection that still has something to do. */
const orphan = (c: TcpConnection): void => {
  const { layer } = c
  c.observer = null
  if ((c.state as number) === TcpState.Closed) {
    destroyConnection(c)
    return
  }
  c.isOrphan = true
  layer.orphans++
  if (c.state === TcpState.FinWait2) {
    if (c.options.linger2 < 0) {
      layer.mib.tcpExt.TCPAbortOnLinger++
      sendReset(c)
      finishConnection(c)
      return
    }
    const limit = finWait2Time(c)
    const timeWait = layer.settings.time_wait_ms * MILLISECOND
    if (limit > timeWait) armKeepalive(c, limit - timeWait)
    else enterTimeWait(c, TcpState.FinWait2, limit)
    return
  }
  if (layer.orphans > layer.settings.tcp_max_orphans) {
    layer.mib.tcpExt.TCPAbortOnMemory++
    sendReset(c)
    finishConnection(c)
  }
}

/** Ends the connection at once, with a RST where the peer has to be told (RFC 9293 section 3.10.5). */
export const abort = (c: TcpConnection): void => {
  if (stateIn(c.state, CLOSING_UNSENT) && c.snd.nxt !== c.snd.writeSeq) sendResetSegment(c)
  else sendReset(c)
  failConnection(c, Errno.ECONNRESET)
}
