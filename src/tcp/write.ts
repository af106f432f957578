import { Errno } from '../core/errno.ts'
import { seqGt } from '../core/seq.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { Chrono, startChrono } from './chronograph.ts'
import { CaState } from './congestion/state.ts'
import { Feature, Nagle, Shutdown, type TcpConnection } from './connection.ts'
import { hasSendSpace, moderateSendBuffer, sendQueued } from './flow.ts'
import { currentMss, recordGoal } from './mss.ts'
import { pushPending, restartAfterIdle, SendMode, sendAlone, sendPending } from './output.ts'
import { mustPace } from './pacing.ts'
import { checkApplicationLimited } from './rate.ts'
import { RecordMark, type SendQueue, type SendRecord } from './send-queue.ts'
import { stateIn, stateSet, TcpState } from './state.ts'

/** SEND (RFC 9293 section 3.10.2): bytes from the application to the send queue, and on. */

/** Flags of `write`, as bits. */
export const WriteFlag = {
  /** MSG_OOB: the last byte is urgent. */
  Urgent: 1,
  /** MSG_MORE: more comes at once. */
  More: 2,
  /** MSG_EOR: what is written later may not share a record with it. */
  EndOfRecord: 4,
  /** Time stamps are asked of the last byte, if all can be queued; or of the last that can. */
  Timestamp: 8,
  TimestampPart: 16,
  /** Which of them: `RecordMark`'s bits, four places up. */
  StampSent: 32,
  StampScheduled: 64,
  StampAcknowledged: 128,
} as const

const CAN_SEND = stateSet(TcpState.Established, TcpState.CloseWait)

/** May the application write now? @returns 0; -1 while the connection is being opened; or an `Errno` */
export const writeError = (c: TcpConnection): number => {
  if (c.error !== 0) {
    const { error } = c
    c.error = 0
    return error
  }
  if ((c.shutdown & Shutdown.Send) !== 0) return Errno.EPIPE
  if (stateIn(c.state, CAN_SEND)) return 0
  if (c.isOpening) return -1
  return c.handshake !== null && c.state === TcpState.SynReceived ? 0 : Errno.EPIPE
}

/**
 * Queues up to `length` bytes, as many as there is room for, and sends what may be sent.
 * @returns how many were taken: 0 when there is no room yet; -ENOBUFS when there is no memory, and nothing queued whose
 *   acknowledgment could bring some
 */
export const write = (c: TcpConnection, source: Uint8Array, at: number, length: number, flags: number): number => {
  const { snd, layer } = c
  c.ownCongestionState()
  checkApplicationLimited(c)
  const queue = c.sendQueue()
  const mss = currentMss(c)
  if (queue.length === 0) {
    restartAfterIdle(c)
    if (layer.predicts && flags === 0 && goesAtOnce(c, length, mss))
      return writeAtOnce(c, queue, source, at, length, mss)
  }
  const goal = (flags & WriteFlag.Urgent) !== 0 ? mss : recordGoal(c, mss)
  let taken = 0
  while (taken < length) {
    let record = queue.hasUnsent ? queue.last! : null
    let room = record === null || (record.marks & RecordMark.EndOfRecord) !== 0 ? 0 : goal - record.length
    if (room <= 0) {
      if (!hasSendSpace(c)) break
      if (layer.isExhausted && queue.length > 0) {
        moderateSendBuffer(c)
        break
      }
      record = null
      room = goal
    }
    let count = Math.min(room, length - taken)
    if (layer.settings.personality.bufferAccounting === 'data') {
      count = Math.min(count, c.sendBuffer - sendQueued(c))
      if (count <= 0) break
    }
    if (!c.ownSendRing().append(source, at + taken, count)) break
    layer.queuedBytes += count
    record = extend(c, record, count, taken === 0)
    taken += count
    if (taken === length && (flags & WriteFlag.EndOfRecord) !== 0) record.marks |= RecordMark.EndOfRecord
    if (taken === length || record.length < goal || (flags & WriteFlag.Urgent) !== 0) continue
    // A full record: send while the rest is copied.
    if (mustPush(c)) {
      markPush(c, record)
      pushPending(c, Nagle.Push)
    } else if (queue.firstUnsent === record) sendPending(c, mss, Nagle.Push, SendMode.One)
  }
  if (taken === 0) return queue.length === 0 ? -Errno.ENOBUFS : 0
  if (((flags & WriteFlag.Timestamp) !== 0 && taken === length) || (flags & WriteFlag.TimestampPart) !== 0) {
    markTimestamp(c, flags)
  }
  // Before it is sent: that the queue is the limit counts.
  if (taken < length) c.wantsSpace = true
  finishWrite(c, flags, taken === length)
  if ((flags & WriteFlag.Urgent) !== 0) snd.urgentSeq = snd.writeSeq
  return taken
}

/** May `length` bytes leave at once in one segment, of a connection with nothing queued and nothing rare about it? */
const goesAtOnce = (c: TcpConnection, length: number, mss: number): boolean =>
  length <= mss &&
  length <= c.snd.wnd &&
  length <= c.sendBuffer &&
  length > 0 &&
  (c.nagle & Nagle.Cork) === 0 &&
  c.cc.state === CaState.Open &&
  c.cc.cwnd > 0 &&
  c.isOrdinary &&
  !c.has(Feature.Ecn) &&
  hasSendSpace(c) &&
  !c.layer.isOverLimit &&
  !mustPace(c)

/** The whole of `write` for them. @returns as `write` does */
const writeAtOnce = (
  c: TcpConnection,
  queue: SendQueue,
  source: Uint8Array,
  at: number,
  length: number,
  mss: number,
): number => {
  if (!c.ownSendRing().append(source, at, length)) return -Errno.ENOBUFS
  c.layer.queuedBytes += length
  const record = extend(c, null, length, true)
  markPush(c, record)
  sendAlone(c, queue, record, mss)
  return length
}

/**
 * Adds `count` bytes of sequence space to the last record, or makes a new one of them.
 * @param isFirst are they the first of a write? PSH stood for the end of the one before then
 */
const extend = (c: TcpConnection, last: SendRecord | null, count: number, isFirst: boolean): SendRecord => {
  const { snd } = c
  const end = (snd.writeSeq + count) | 0
  if (last === null) {
    const record = c.layer.records.take(snd.writeSeq, end, 0)
    const queue = c.sendQueue()
    if (!queue.hasUnsent) startChrono(c, Chrono.Busy)
    queue.push(record)
    snd.writeSeq = end
    return record
  }
  last.end = end
  if (isFirst) last.flags &= ~TcpFlag.Psh
  last.segments = 0
  snd.writeSeq = end
  return last
}

/** Time stamps are wanted of the last byte written, unless it has left already. */
const markTimestamp = (c: TcpConnection, flags: number): void => {
  const queue = c.sendQueue()
  const record = queue.hasUnsent ? queue.last : null
  if (record === null) return
  record.marks |= (flags >> 4) & RecordMark.Stamps
  record.stampSeq = (c.snd.writeSeq - 1) | 0
}

/** Has half a window been written since PSH was last set? */
const mustPush = (c: TcpConnection): boolean => seqGt(c.snd.writeSeq, (c.snd.pushedSeq + (c.snd.maxWnd >>> 1)) | 0)

const markPush = (c: TcpConnection, record: SendRecord): void => {
  record.flags |= TcpFlag.Psh
  c.snd.pushedSeq = c.snd.writeSeq
}

/**
 * The end of a write: PSH on its last segment, and out with what may go (RFC 9293 section 3.9.1.2). Where the queue is
 * full, neither Nagle's rule nor a cork holds anything back: no more can be added to it.
 */
const finishWrite = (c: TcpConnection, flags: number, complete: boolean): void => {
  const more = (flags & WriteFlag.More) !== 0 && complete
  const record = c.sendQueue().last
  if (record !== null && (!more || mustPush(c))) markPush(c, record)
  if ((flags & WriteFlag.Urgent) !== 0) c.snd.urgentSeq = c.snd.writeSeq
  pushPending(c, more ? Nagle.Cork : complete ? c.nagle : Nagle.Push)
}

/** Queues the FIN behind what was written, and sends what may be sent. */
export const writeFin = (c: TcpConnection): void => {
  const { snd } = c
  const queue = c.sendQueue()
  const last = queue.hasUnsent ? queue.last : null
  if (last !== null) {
    last.flags |= TcpFlag.Fin
    last.end = (last.end + 1) | 0
  } else {
    c.ownCongestionState()
    startChrono(c, Chrono.Busy)
    queue.push(c.layer.records.take(snd.writeSeq, (snd.writeSeq + 1) | 0, TcpFlag.Fin))
  }
  snd.writeSeq = (snd.writeSeq + 1) | 0
  pushPending(c, Nagle.Off)
}
