import { Errno } from '../core/errno.ts'
import { seqGt } from '../core/seq.ts'
import { Shutdown, type TcpConnection } from './connection.ts'
import { acknowledgeRead } from './delayed-ack.ts'
import { TcpState } from './state.ts'
import { adjustReceiveBuffer } from './window.ts'

/** RECEIVE (RFC 9293 section 3.10.3): bytes from the receive queue to the application. */

/**
 * Copies up to `length` bytes that have arrived in order. An urgent byte ends the run, or is left out of it (RFC 6093).
 * @param peek leave them in the queue
 * @param skip with `peek`, how many bytes from the front to pass over
 * @returns how many: 0 when there are none (see `readEnd`)
 */
export const read = (
  c: TcpConnection,
  target: Uint8Array | null,
  at: number,
  length: number,
  peek: boolean,
  skip = 0,
): number => {
  const ring = c.receiveRing
  if (ring === null || ring.length <= skip || length === 0) return 0
  if (c.urgent !== null) return readAroundUrgent(c, target, at, length, peek, skip)
  const count = Math.min(length, ring.length - skip)
  if (target !== null) ring.peek(target, at, skip, count)
  if (!peek) consume(c, count)
  return count
}

/** Takes `count` bytes off the queue, and tells the peer of the room if that is due. */
const consume = (c: TcpConnection, count: number): void => {
  c.receiveRing!.drop(count)
  c.layer.queuedBytes -= count
  c.rcv.copied = (c.rcv.copied + count) | 0
  // A FIN that lies behind the last byte is taken with it.
  if (c.receivedFin && c.receiveRing!.length === 0) c.rcv.copied = c.rcv.nxt
  adjustReceiveBuffer(c)
  acknowledgeRead(c, count)
}

/** Reads up to the urgent byte; at it, passes over it, unless it is to stay in line (SO_OOBINLINE). */
const readAroundUrgent = (
  c: TcpConnection,
  target: Uint8Array | null,
  at: number,
  length: number,
  peek: boolean,
  skip: number,
): number => {
  const ring = c.receiveRing!
  const urgent = c.urgent!
  let from = skip
  let count = Math.min(length, ring.length - from)
  const distance = (urgent.seq - c.rcv.copied - from) | 0
  if (distance > 0 && distance < count) count = distance
  if (distance === 0 && !c.options.oobInline) {
    if (peek) from++
    else dropUrgentByte(c)
    count = Math.min(length, ring.length - from)
  }
  if (count <= 0) return 0
  if (target !== null) ring.peek(target, at, from, count)
  if (!peek) consume(c, count)
  if (c.urgent !== null && seqGt(c.rcv.copied, c.urgent.seq)) c.urgent = null
  return count
}

/** Takes the urgent byte out of the stream, which the reader has come to. */
export const dropUrgentByte = (c: TcpConnection): void => {
  c.receiveRing!.drop(1)
  c.layer.queuedBytes -= 1
  c.rcv.copied = (c.rcv.copied + 1) | 0
  c.urgent = null
}

/** Is the reader at the urgent mark (SIOCATMARK, sockatmark(3))? */
export const isAtMark = (c: TcpConnection): boolean => c.urgent !== null && c.urgent.seq === c.rcv.copied

/** What a read means that finds no byte, once the queue is empty. */
export const ReadEnd = {
  /** More may come. */
  Wait: -1,
  /** The peer has finished: end of file. */
  Eof: 0,
} as const

/** @returns `ReadEnd.Wait`, `ReadEnd.Eof`, or the `Errno` to report, which is reported once */
export const readEnd = (c: TcpConnection, peek = false): number => {
  const hasFinished = (c.shutdown & Shutdown.Receive) !== 0
  if (c.receivedFin) {
    // Reading the end of file takes the FIN off the queue.
    if (!peek && c.receiveQueueBytes === 1) c.rcv.copied = c.rcv.nxt
    return ReadEnd.Eof
  }
  if (c.error !== 0) {
    const { error } = c
    c.error = 0
    return error
  }
  if (hasFinished) return ReadEnd.Eof
  return c.state === TcpState.Closed ? Errno.ENOTCONN : ReadEnd.Wait
}

/** Reads the urgent byte (MSG_OOB). @returns the byte, or a negative `Errno` */
export const readUrgent = (c: TcpConnection, peek: boolean): number => {
  const { urgent } = c
  if (c.options.oobInline || urgent === null || urgent.stage === 'read') return -Errno.EINVAL
  if (urgent.stage === 'here') {
    if (!peek) urgent.stage = 'read'
    return urgent.byte
  }
  return -Errno.EAGAIN
}
