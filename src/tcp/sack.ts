import { seqGeq, seqGt, seqLeq, seqLt } from '../core/seq.ts'
import { AckFlag } from './ack-flags.ts'
import type { RateSample } from './congestion/control.ts'
import { CaState } from './congestion/state.ts'
import type { TcpConnection } from './connection.ts'
import { rackAdvance } from './loss.ts'
import { currentMss } from './mss.ts'
import { rateOnDelivered } from './rate.ts'
import { splitRecord, unlinkSent } from './records.ts'
import type { Segment } from './segment.ts'
import { Sacked, type SendQueue, type SendRecord } from './send-queue.ts'

/**
 * The scoreboard of the sending side (RFC 2018 section 5, RFC 6675 section 4, RFC 2883): what the SACK blocks of a
 * segment say about the records in flight.
 */

/** What the blocks of one segment, and the ACK that they came with, have shown. One object serves all. */
export class SackOutcome {
  /** When the first and the last of the newly SACKed records, sent once, had been sent; `hasRtt` when there is any. */
  firstSentAt = 0
  lastSentAt = 0
  hasRtt = false
  /** Lowest sequence number below the highest SACK that arrived late without having been sent again: reordering. */
  reordered = 0
  /** Segments delivered out of order. */
  delivered = 0

  reset(sndNxt: number): void {
    this.hasRtt = false
    this.reordered = sndNxt
    this.delivered = 0
  }
}

/** Blocks of the segment at hand that are worth looking at, in order of sequence numbers. */
const MAX_BLOCKS = 4

/** Applies the SACK blocks of `segment`. @returns `AckFlag` bits */
export const applySack = (
  c: TcpConnection,
  segment: Segment,
  priorUna: number,
  outcome: SackOutcome,
  sample: RateSample,
): number => {
  const cc = c.cc
  if (cc.sackedOut === 0) cc.highestSack = c.snd.una
  let flags = checkDuplicate(c, segment, priorUna, outcome)
  const hasDuplicate = (flags & AckFlag.Dsack) !== 0
  // An ACK so old that what its blocks say has no meaning now.
  if (seqLt(segment.ack, (priorUna - c.snd.maxWnd) | 0)) return flags
  if (cc.packetsOut === 0) return flags
  const blocks = c.layer.sackBlocks
  let count = 0
  let duplicateAt = -1
  for (let i = 0; i < segment.sackCount; i++) {
    const start = segment.sack[i * 2]!
    const end = segment.sack[i * 2 + 1]!
    const isDuplicate = i === 0 && hasDuplicate
    if (!isValidBlock(c, isDuplicate, start, end)) {
      countInvalid(c, segment, isDuplicate, end)
      continue
    }
    if (!seqGt(end, priorUna)) continue
    // Insert in order.
    let at = count++
    while (at > 0 && seqGt(blocks[at * 2 - 2]!, start)) {
      blocks[at * 2] = blocks[at * 2 - 2]!
      blocks[at * 2 + 1] = blocks[at * 2 - 1]!
      if (duplicateAt === at - 1) duplicateAt = at
      at--
    }
    blocks[at * 2] = start
    blocks[at * 2 + 1] = end
    if (isDuplicate) duplicateAt = at
  }
  const mss = currentMss(c)
  for (let i = 0; i < Math.min(count, MAX_BLOCKS); i++) {
    flags |= markBlock(c, blocks[i * 2]!, blocks[i * 2 + 1]!, i === duplicateAt, mss, outcome, sample)
  }
  if (cc.state !== CaState.Loss || cc.undoable) noteReordering(c, outcome.reordered, false)
  return flags
}

/** Can a block be meant for this connection's data (RFC 2883 section 5, RFC 6675 section 4)? */
const isValidBlock = (c: TcpConnection, isDuplicate: boolean, start: number, end: number): boolean => {
  const { una, nxt, maxWnd } = c.snd
  if (seqGt(end, nxt) || !seqLt(start, end) || !seqLt(start, nxt)) return false
  if (seqGt(start, una)) return true
  const cc = c.cc
  if (!isDuplicate || !cc.undoable) return false
  // A duplicate lies below SND.UNA, and tells something if it lies in the present episode.
  if (seqGt(end, una)) return false
  if (seqGeq(start, cc.undoMarker)) return true
  if (!seqGt(end, cc.undoMarker)) return false
  return !seqLt(start, (end - maxWnd) | 0)
}

const countInvalid = (c: TcpConnection, segment: Segment, isDuplicate: boolean, end: number): void => {
  const counters = c.layer.mib.tcpExt
  if (isDuplicate) {
    if (c.cc.undoable) counters.TCPDSACKIgnoredOld++
    else counters.TCPDSACKIgnoredNoUndo++
  } else if (segment.ack === c.snd.una || seqGt(end, c.snd.una)) counters.TCPSACKDiscard++
}

/** Does the first block report a duplicate (RFC 2883 section 4)? */
const checkDuplicate = (c: TcpConnection, segment: Segment, priorUna: number, outcome: SackOutcome): number => {
  const cc = c.cc
  const counters = c.layer.mib.tcpExt
  const start = segment.sack[0]!
  const end = segment.sack[1]!
  if (seqLt(start, segment.ack)) counters.TCPDSACKRecv++
  else {
    if (segment.sackCount < 2) return 0
    if (seqGt(end, segment.sack[3]!) || seqLt(start, segment.sack[2]!)) return 0
    counters.TCPDSACKOfoRecv++
  }
  const length = (end - start) | 0
  if (length <= 0 || length > c.snd.maxWnd) {
    counters.TCPDSACKIgnoredDubious++
    return 0
  }
  let flags: number = AckFlag.Dsack
  let segments = 1
  if (length > c.snd.mss) segments = Math.ceil(length / c.snd.mss)
  else if (cc.tlpActive && cc.tlpHighSeq === end) flags |= AckFlag.DsackOfProbe
  cc.dsacksReceived += segments
  // More duplicates than we ever sent again: the network makes them.
  if (cc.dsacksReceived > cc.totalRetransmitted) {
    counters.TCPDSACKIgnoredDubious++
    return 0
  }
  if (cc.reorderingSeen > 0 && (flags & AckFlag.DsackOfProbe) === 0) cc.rackDsackSeen = true
  outcome.delivered += segments
  counters.TCPDSACKRecvSegs += segments
  if (cc.undoable && cc.undoRetrans > 0 && !seqGt(end, priorUna) && seqGt(end, cc.undoMarker)) {
    cc.undoRetrans = Math.max(0, cc.undoRetrans - segments)
  }
  return flags
}

/** Marks every record that the block covers, cutting those that it covers in part. */
const markBlock = (
  c: TcpConnection,
  start: number,
  end: number,
  isDuplicate: boolean,
  mss: number,
  outcome: SackOutcome,
  sample: RateSample,
): number => {
  const queue = c.queue!
  let flags = 0
  for (let i = queue.indexOf(start); i < queue.sentCount; i++) {
    const record = queue.at(i)
    if (!seqLt(record.seq, end)) break
    const covered = coverRecord(c, queue, i, start, end, mss)
    if (covered < 0) break
    if (covered === 0) continue
    flags |= markRecord(c, queue.at(i), isDuplicate, outcome)
    rateOnDelivered(c, record, sample)
    if ((record.sacked & Sacked.Acked) !== 0) unlinkSent(c.cc, record)
    if (seqGt(record.end, c.cc.highestSack)) c.cc.highestSack = record.end
  }
  return flags
}

/**
 * Sees to it that the record at `index` is covered by the block as a whole, cutting it at whole segments if need be.
 * @returns 1 when it is; 0 when it is not, and the next one may be; -1 when no further one can be
 */
const coverRecord = (
  c: TcpConnection,
  queue: SendQueue,
  index: number,
  start: number,
  end: number,
  mss: number,
): number => {
  const record = queue.at(index)
  const startsInside = seqLeq(start, record.seq)
  if (startsInside && seqGeq(end, record.end)) return 1
  const size = record.segmentSize || mss
  if (record.segments <= 1 || !seqGt(record.end, start)) return 0
  let keep = 0
  if (startsInside) {
    // The block ends inside: its whole segments are covered.
    keep = (end - record.seq) | 0
    if (keep < size) return -1
    keep -= keep % size
  } else {
    // The block begins inside: cut so that the rest begins with it, or with the next whole segment.
    keep = Math.max((start - record.seq) | 0, size)
    const whole = keep - (keep % size)
    keep = whole < keep ? whole + size : whole
  }
  // A FIN alone may be left over: it is not covered.
  if (keep >= record.dataLength && !startsInside) return 0
  splitRecord(c, queue, index, keep, size)
  return startsInside ? 1 : 0
}

const markRecord = (c: TcpConnection, record: SendRecord, isDuplicate: boolean, outcome: SackOutcome): number => {
  const cc = c.cc
  const { segments } = record
  let sacked = record.sacked
  const wasResent = (sacked & (Sacked.Retransmitted | Sacked.EverRetransmitted)) !== 0
  let flags = 0
  if (isDuplicate && wasResent) {
    if (cc.undoable && cc.undoRetrans > 0 && seqGt(record.end, cc.undoMarker)) {
      cc.undoRetrans = Math.max(0, cc.undoRetrans - segments)
    }
    if ((sacked & Sacked.Acked) !== 0 && seqLt(record.seq, outcome.reordered)) outcome.reordered = record.seq
  }
  if (!seqGt(record.end, c.snd.una)) return 0
  if ((sacked & Sacked.Acked) === 0) {
    rackAdvance(c, sacked, record.end, record.sentAt)
    if ((sacked & Sacked.Retransmitted) !== 0) {
      // Not known to be lost: the retransmission may still be on its way.
      if ((sacked & Sacked.Lost) !== 0) {
        sacked &= ~(Sacked.Lost | Sacked.Retransmitted)
        cc.lostOut -= segments
        cc.retransOut -= segments
      }
    } else {
      if (!wasResent) flags |= noteOriginal(c, record, outcome)
      if ((sacked & Sacked.Lost) !== 0) {
        sacked &= ~Sacked.Lost
        cc.lostOut -= segments
      }
    }
    sacked |= Sacked.Acked
    flags |= AckFlag.DataSacked
    cc.sackedOut += segments
    outcome.delivered += segments
  }
  if (isDuplicate && (sacked & Sacked.Retransmitted) !== 0) {
    sacked &= ~Sacked.Retransmitted
    cc.retransOut -= segments
  }
  record.sacked = sacked
  return flags
}

/** A record that was sent once has been SACKed: take its time, and see whether it was overtaken. */
const noteOriginal = (c: TcpConnection, record: SendRecord, outcome: SackOutcome): number => {
  const cc = c.cc
  if (seqLt(record.seq, highestSack(c)) && seqLt(record.seq, outcome.reordered)) outcome.reordered = record.seq
  if (!outcome.hasRtt) outcome.firstSentAt = record.sentAt
  outcome.hasRtt = true
  outcome.lastSentAt = record.sentAt
  return seqGt(record.end, cc.highSeq) ? 0 : AckFlag.OriginalAcked
}

/** Where what the peer holds ends, as far as SACK told. */
export const highestSack = (c: TcpConnection): number => (c.cc.sackedOut === 0 ? c.snd.una : c.cc.highestSack)

/** Something at `low` was delivered after what lies at the highest SACK: by so much does the network reorder. */
export const noteReordering = (c: TcpConnection, low: number, byTimestamp: boolean): void => {
  const cc = c.cc
  const distance = (highestSack(c) - low) | 0
  if (distance <= 0) return
  const { mss } = c.snd
  if (distance > cc.reordering * mss) {
    cc.reordering = Math.min(Math.ceil(distance / mss), c.layer.settings.tcp_max_reordering)
  }
  cc.reorderingSeen++
  if (byTimestamp) c.layer.mib.tcpExt.TCPTSReorder++
  else c.layer.mib.tcpExt.TCPSACKReorder++
}
