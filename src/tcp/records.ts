import { seqLt } from '../core/seq.ts'
import { TcpFlag } from '../wire/tcp.ts'
import type { CongestionState } from './congestion/state.ts'
import { Feature, type TcpConnection } from './connection.ts'
import { RecordMark, Sacked, type SendQueue, type SendRecord } from './send-queue.ts'

/** Bookkeeping of send records: how many segments each is, splitting and joining them, and their order of sending. */

/** Counts the segments of a record for an MSS. */
export const countSegments = (record: SendRecord, mss: number): number => {
  const length = record.dataLength
  if (length <= mss) {
    record.segments = 1
    record.segmentSize = 0
  } else {
    record.segments = Math.ceil(length / mss)
    record.segmentSize = mss
  }
  return record.segments
}

/** Corrects the counts in `cc` when a sent record comes to stand for `fewer` segments less. */
const adjustCounts = (c: TcpConnection, cc: CongestionState, record: SendRecord, fewer: number): void => {
  cc.packetsOut -= fewer
  if ((record.sacked & Sacked.Acked) !== 0) cc.sackedOut -= fewer
  if ((record.sacked & Sacked.Retransmitted) !== 0) cc.retransOut -= fewer
  if ((record.sacked & Sacked.Lost) !== 0) cc.lostOut -= fewer
  // Without SACK the count of duplicate ACKs stands for segments that have arrived.
  if (fewer > 0 && cc.sackedOut > 0 && !c.has(Feature.Sack)) cc.sackedOut -= Math.min(cc.sackedOut, fewer)
}

/** Counts a sent record's segments again, for a new MSS. */
export const recountSegments = (c: TcpConnection, record: SendRecord, mss: number): void => {
  const before = record.segments
  const fewer = before - countSegments(record, mss)
  if (fewer !== 0) adjustCounts(c, c.cc, record, fewer)
}

/**
 * Cuts the record at `index` so that it keeps its first `length` bytes; the rest becomes the next record.
 * @returns the rest
 */
export const splitRecord = (
  c: TcpConnection,
  queue: SendQueue,
  index: number,
  length: number,
  mss: number,
): SendRecord => {
  const record = queue.at(index)
  const rest = c.layer.records.take((record.seq + length) | 0, record.end, record.flags)
  const staysStamped = (record.marks & RecordMark.Stamps) !== 0 && seqLt(record.stampSeq, rest.seq)
  rest.marks = staysStamped ? record.marks & ~RecordMark.Stamps : record.marks
  rest.stampSeq = record.stampSeq
  rest.sacked = record.sacked
  rest.sentAt = record.sentAt
  rest.delivered = record.delivered
  rest.deliveredAt = record.deliveredAt
  rest.deliveredCe = record.deliveredCe
  rest.firstSentAt = record.firstSentAt
  rest.applicationLimited = record.applicationLimited
  rest.rated = record.rated
  rest.inFlightAtSend = record.inFlightAtSend
  rest.lostAtSend = record.lostAtSend
  record.end = rest.seq
  record.flags &= ~(TcpFlag.Psh | TcpFlag.Fin)
  record.marks = staysStamped ? record.marks & RecordMark.Stamps : 0
  const sent = index < queue.sentCount
  const before = record.segments
  countSegments(record, mss)
  countSegments(rest, mss)
  queue.insertAfter(index, rest)
  if (sent) {
    const fewer = before - record.segments - rest.segments
    if (fewer !== 0) adjustCounts(c, c.cc, record, fewer)
    if (isLinked(c.cc, record)) linkAfter(c.cc, record, rest)
  } else {
    record.segments = 0
    rest.segments = 0
  }
  return rest
}

/** Is the record in the list of records in order of sending time? Records that are acknowledged or SACKed are not. */
const isLinked = (cc: CongestionState, record: SendRecord): boolean =>
  record.earlier !== null || record.later !== null || cc.oldestSent === record

/** Puts a record that is being sent at the end of the list in order of sending time. */
export const linkNewest = (cc: CongestionState, record: SendRecord): void => {
  if (cc.newestSent === record) return
  unlinkSent(cc, record)
  record.earlier = cc.newestSent
  if (cc.newestSent === null) cc.oldestSent = record
  else cc.newestSent.later = record
  cc.newestSent = record
}

const linkAfter = (cc: CongestionState, record: SendRecord, next: SendRecord): void => {
  next.earlier = record
  next.later = record.later
  if (record.later === null) cc.newestSent = next
  else record.later.earlier = next
  record.later = next
}

/** Takes a record out of the list in order of sending time. */
export const unlinkSent = (cc: CongestionState, record: SendRecord): void => {
  if (!isLinked(cc, record)) return
  if (record.earlier === null) cc.oldestSent = record.later
  else record.earlier.later = record.later
  if (record.later === null) cc.newestSent = record.earlier
  else record.later.earlier = record.earlier
  record.earlier = null
  record.later = null
}

/** Gives back every record, when the connection ends or its queue is thrown away. */
export const releaseRecords = (c: TcpConnection): void => {
  const queue = c.queue
  if (queue === null) return
  while (queue.length > 0) {
    const record = queue.shift()
    unlinkSent(c.cc, record)
    c.layer.records.give(record)
  }
  queue.trim()
}
