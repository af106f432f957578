import { Errno } from '../core/errno.ts'
import { Shutdown, type TcpConnection } from '../tcp/connection.ts'
import { readUrgent } from '../tcp/read.ts'
import { TcpState } from '../tcp/state.ts'
import * as C from './constants.ts'
import type { ControlMessage } from './control.ts'
import type { Received } from './socket.ts'
import type { TcpSocket } from './tcp.ts'
import { arrivalMessages } from './tcp-notices.ts'

/** What recv(2) and recvmsg(2) of TCP give beside the bytes of the stream. */

/** What recvmsg(2) tells beside the data: when it arrived, and how much is left, with one for the end (TCP_INQ). */
export const describeArrival = (socket: TcpSocket, control: ControlMessage[], peek: boolean): void => {
  const { c, kept } = socket
  control.length = 0
  const at = c.arrivals === null || peek ? -1 : c.arrivals.take(c.rcv.copied)
  if (at >= 0) control.push(...arrivalMessages(kept, socket.layer.ip.wallClock.at(at)))
  if (socket.tellsInq) {
    const data = Math.max(c.receiveQueueBytes, Number(c.receivedFin))
    control.push({ cmsg_level: C.SOL_TCP, cmsg_type: C.TCP_CM_INQ, data })
  }
}

/** recv(2) with MSG_OOB: the urgent byte. @returns 1, 0 at the end, or a negative `Errno` */
export const receiveUrgent = (
  c: TcpConnection,
  target: Uint8Array,
  at: number,
  length: number,
  flags: number,
  received: Received | null,
): number => {
  const isOver = c.state === TcpState.Closed
  let byte = readUrgent(c, true)
  if (byte === -Errno.EINVAL) return byte
  if (isOver && !c.receivedFin) return -Errno.ENOTCONN
  if (byte === -Errno.EAGAIN) return isOver || (c.shutdown & Shutdown.Receive) !== 0 ? 0 : byte
  byte = readUrgent(c, (flags & C.MSG_PEEK) !== 0)
  if (received !== null) received.flags |= length > 0 ? C.MSG_OOB : C.MSG_TRUNC
  if (length > 0) target[at] = byte
  return Math.min(1, length)
}
