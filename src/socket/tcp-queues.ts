import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import { Shutdown, type TcpConnection } from '../tcp/connection.ts'
import { isWritable, sendQueued } from '../tcp/flow.ts'
import { isAtMark } from '../tcp/read.ts'
import { TcpState } from '../tcp/state.ts'
import { receiveQueued, spaceOfWindow } from '../tcp/window.ts'
import * as C from './constants.ts'
import type { MemoryUse } from './socket.ts'
import type { TcpSocket } from './tcp.ts'

/** What a TCP socket says of its queues: to poll(2) and its like, and to ioctl(2). */

/** What poll(2) says of a socket: `Readiness` bits. Whoever is told that there is no room is told when there is. */
export const tcpReadiness = (socket: TcpSocket): number => {
  const { c, listener } = socket
  if (listener !== null) return listener.acceptQueue.length > 0 ? Readiness.In : 0
  let events = 0
  if (c.shutdown === Shutdown.Both || c.state === TcpState.Closed) events |= Readiness.Hup
  if ((c.shutdown & Shutdown.Receive) !== 0) events |= Readiness.In | Readiness.RdHup
  if (!c.isOpening) {
    if (c.receiveQueueBytes >= c.options.receiveLowat + (isAtMark(c) && !c.options.oobInline ? 1 : 0)) {
      events |= Readiness.In
    }
    if ((c.shutdown & Shutdown.Send) !== 0 || isWritable(c)) events |= Readiness.Out
    else c.wantsSpace = true
    if (c.urgent !== null && c.urgent.stage === 'here') events |= Readiness.Pri
  } else if (socket.isDeferred) events |= Readiness.Out
  if (c.error !== 0 || (socket.notices !== null && socket.notices.length > 0)) events |= Readiness.Err
  return events
}

/** What a TCP socket's queues take, as ss has it. */
export const tcpMemory = ({ c }: TcpSocket): MemoryUse => ({
  receive: spaceOfWindow(c, receiveQueued(c)),
  send: 0,
  queued: sendQueued(c),
  drops: 0,
})

/** ioctl(2) about the queues. @returns what was asked for, a negative `Errno`, or null for other requests */
export const tcpIoctl = (socket: TcpSocket, request: number): number | null => {
  const { c } = socket
  const listens = socket.isListening
  switch (request) {
    case C.FIONREAD:
      return listens ? -Errno.EINVAL : socket.runLength
    case C.TIOCOUTQ:
      if (listens) return -Errno.EINVAL
      return c.isOpening ? 0 : c.sendQueueBytes
    case C.SIOCOUTQNSD:
      if (listens) return -Errno.EINVAL
      return c.isOpening ? 0 : (c.snd.writeSeq - c.snd.nxt) | 0
    case C.SIOCATMARK:
      return Number(isAtMark(c))
    default:
      return null
  }
}

/** Bytes that can be read before the urgent mark, or in all. */
export const readableRun = (c: TcpConnection): number => {
  if (c.isOpening) return 0
  const receivable = c.receiveRing?.length ?? 0
  if (c.urgent === null || c.options.oobInline) return receivable
  const distance = (c.urgent.seq - c.rcv.copied) | 0
  return distance >= 0 && distance < receivable ? distance : receivable
}
