import { seqGt, seqLeq, seqLt } from '../core/seq.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { AckFlag } from './ack-flags.ts'
import { Chrono, stopChrono } from './chronograph.ts'
import { Feature, type TcpConnection, TxStage } from './connection.ts'
import { rackAdvance } from './loss.ts'
import { mtuProbeArrived } from './mtu-probe.ts'
import { currentSsthresh } from './output.ts'
import { rateOnDelivered } from './rate.ts'
import { unlinkSent } from './records.ts'
import { countDelivered, removeDuplicates } from './recovery.ts'
import { noteReordering, type SackOutcome } from './sack.ts'
import { RecordMark, Sacked, type SendRecord } from './send-queue.ts'
import { leastRto, mostRto } from './timers.ts'

/**
 * What an ACK takes off the retransmission queue, and the round-trip times that it tells: for ack.ts and prediction.
 */

/** What `cleanQueue` gathers while it walks. One object serves all. */
export class Cleaning {
  flags = 0
  firstSentAt = 0
  lastSentAt = 0
  hasTime = false
  segments = 0
  reordered = 0
  whole = true
}

/** Takes off the retransmission queue what is acknowledged. @returns `AckFlag` bits to add */
export const cleanQueue = (
  c: TcpConnection,
  priorHighest: number,
  priorUna: number,
  outcome: SackOutcome,
  flags: number,
): number => {
  const { snd, layer } = c
  const queue = c.queue!
  const cc = c.cc
  const state = layer.cleaning
  state.flags = 0
  state.hasTime = false
  state.segments = 0
  state.reordered = snd.una
  state.whole = true
  const ece = (flags & AckFlag.Ece) !== 0
  while (queue.sentCount > 0) {
    const record = queue.at(0)
    if (!takeAcked(c, record, ece)) break
    if (!state.whole) break
    if ((record.marks & RecordMark.StampAcknowledged) !== 0) c.observer?.stamped(TxStage.Acknowledged, record.stampSeq)
    unlinkSent(cc, record)
    queue.shift()
    layer.records.give(record)
  }
  if (queue.sentCount === 0) stopChrono(c, Chrono.Busy)
  queue.trim()
  if (seqGt(snd.una, snd.ringSeq)) releaseAcked(c)
  // The urgent pointer has done its work once its data is
  // acknowledged. Left behind it would lie ahead after 2^31 bytes.
  if (seqLeq(snd.urgentSeq, snd.una)) snd.urgentSeq = snd.una
  const first = queue.firstSent
  if (first !== null && (first.sacked & Sacked.Acked) !== 0) state.flags |= AckFlag.Reneging
  const measured = measureRtt(c, outcome, flags, priorUna)
  if ((state.flags & AckFlag.Acked) !== 0) {
    state.flags |= AckFlag.SetTimer
    if (mtuProbeArrived(c)) cc.ssthresh = currentSsthresh(c)
    if (!c.has(Feature.Sack)) {
      removeDuplicates(c, state.segments, ece)
      // Which copy was acknowledged is not known.
      if ((state.flags & AckFlag.RetransmittedAcked) !== 0) state.flags &= ~AckFlag.OriginalAcked
    } else if (seqLt(state.reordered, priorHighest)) noteReordering(c, state.reordered, false)
  } else if (
    first !== null &&
    measured &&
    outcome.hasRtt &&
    ((layer.loop.now32 - outcome.firstSentAt) | 0) > ((layer.loop.now32 - first.sentAt) | 0)
  ) {
    // SACK of data sent after the head was last sent: the head's time-out must not be put off by it.
    state.flags |= AckFlag.SetTimer
  }
  c.control.acked?.(c, state.segments, layer.rateSample.rtt)
  return state.flags
}

/** Accounts for what of the first record is acknowledged. @returns whether anything of it is */
const takeAcked = (c: TcpConnection, record: SendRecord, ece: boolean): boolean => {
  const { snd, layer } = c
  const cc = c.cc
  const state = layer.cleaning
  const { sacked } = record
  let segments = record.segments
  const startSeq = record.seq
  if (seqGt(record.end, snd.una)) {
    // Acknowledged in part: only whole segments count.
    if (segments === 1 || !seqGt(snd.una, record.seq)) return false
    const size = record.segmentSize
    const remaining = Math.max(1, Math.ceil((record.dataLength - ((snd.una - record.seq) | 0)) / size))
    segments -= remaining
    state.whole = false
    if (segments <= 0) return false
  }
  if ((sacked & (Sacked.Retransmitted | Sacked.EverRetransmitted)) !== 0) {
    if ((sacked & Sacked.Retransmitted) !== 0) cc.retransOut -= segments
    state.flags |= AckFlag.RetransmittedAcked
  } else if ((sacked & Sacked.Acked) === 0) {
    state.lastSentAt = record.sentAt
    if (!state.hasTime) state.firstSentAt = record.sentAt
    state.hasTime = true
    if (seqLt(startSeq, state.reordered)) state.reordered = startSeq
    if (!seqGt(record.end, cc.highSeq)) state.flags |= AckFlag.OriginalAcked
  }
  if ((sacked & Sacked.Acked) !== 0) cc.sackedOut -= segments
  else if (c.has(Feature.Sack)) {
    countDelivered(c, segments, ece)
    if (!isSpuriousRetransmission(c, record)) rackAdvance(c, sacked, record.end, record.sentAt)
  }
  if ((sacked & Sacked.Lost) !== 0) cc.lostOut -= segments
  cc.packetsOut -= segments
  state.segments += segments
  rateOnDelivered(c, record, layer.rateSample)
  if ((record.flags & TcpFlag.Syn) === 0) state.flags |= AckFlag.DataAcked
  else {
    state.flags |= AckFlag.SynAcked
    c.retransmitStamp = 0
  }
  if (!state.whole) {
    const counted = record.segments - segments
    record.segments = counted
    trimFrontCounted(c, record, counted)
  }
  return true
}

/** Cuts a record at SND.UNA when its counts have been corrected already. */
const trimFrontCounted = (c: TcpConnection, record: SendRecord, segments: number): void => {
  record.seq = c.snd.una
  record.flags &= ~TcpFlag.Syn
  record.segments = segments
}

/** Does the echoed time stamp come from before this record was sent again: was the original delivered? */
const isSpuriousRetransmission = (c: TcpConnection, record: SendRecord): boolean => {
  if ((record.sacked & Sacked.EverRetransmitted) === 0) return false
  const segment = c.layer.segment
  if (!c.has(Feature.Timestamps) || !segment.hasTimestamps || segment.timestampEcho === 0) return false
  // The time stamp that it was last sent with.
  const age = (c.layer.loop.now32 - record.sentAt) | 0
  const sentMs = Math.floor((c.layer.loop.now - age) / 1000)
  return seqLt(segment.timestampEcho, (sentMs + c.timestampOffset) | 0)
}

/** Gives the bytes up to SND.UNA back from the send ring. */
export const releaseAcked = (c: TcpConnection): void => {
  const { snd } = c
  const ring = c.sendRing
  const bytes = (snd.una - snd.ringSeq) | 0
  const held = ring === null ? 0 : Math.min(bytes, ring.length)
  if (held > 0) {
    ring!.drop(held)
    c.layer.queuedBytes -= held
  }
  snd.ringSeq = snd.una
  if (c.watchesAcks) c.observer?.acknowledged(snd.una)
}

/** Takes round-trip times from this ACK (RFC 6298 section 3, RFC 7323 section 4.1). @returns whether there was one */
const measureRtt = (c: TcpConnection, outcome: SackOutcome, flags: number, priorUna: number): boolean => {
  const { layer, snd } = c
  const { loop } = layer
  const state = layer.cleaning
  const sample = layer.rateSample
  const cc = c.cc
  let rtt = -1
  let latest = -1
  let maybeDelayed = false
  if (state.hasTime && (state.flags & AckFlag.RetransmittedAcked) === 0) {
    rtt = (loop.now32 - state.firstSentAt) | 0
    latest = (loop.now32 - state.lastSentAt) | 0
    maybeDelayed =
      state.segments === 1 &&
      state.whole &&
      cc.sackedOut === 0 &&
      ((snd.una - priorUna) | 0) < snd.mss &&
      sample.priorDelivered + 1 === cc.delivered &&
      ((flags | state.flags) & (AckFlag.Alert | AckFlag.SynAcked)) === 0
  }
  if (outcome.hasRtt) {
    if (rtt < 0) rtt = (loop.now32 - outcome.firstSentAt) | 0
    latest = (loop.now32 - outcome.lastSentAt) | 0
  }
  const segment = layer.segment
  if (rtt < 0 && (state.flags & AckFlag.Acked) !== 0 && c.has(Feature.Timestamps)) {
    if (segment.hasTimestamps && segment.timestampEcho !== 0) {
      // Of a retransmission: the echo tells which copy was answered.
      const echoed = (loop.nowMs32 + c.timestampOffset - segment.timestampEcho) | 0
      if (echoed >= 0 && echoed < 2_000_000) {
        rtt = Math.max(1, echoed) * 1000
        latest = rtt
      }
    }
  }
  sample.rtt = latest
  sample.ackDelayed = maybeDelayed
  if (rtt < 0) return false
  takeRtt(c, rtt, latest, maybeDelayed)
  return true
}

/**
 * Takes a round-trip time.
 * @param rtt of the oldest segment acknowledged, microseconds
 * @param latest of the newest; `maybeDelayed`: was its ACK probably held back?
 */
export const takeRtt = (c: TcpConnection, rtt: number, latest: number, maybeDelayed: boolean): void => {
  const { cc, snd } = c
  const { loop, settings } = c.layer
  if (!maybeDelayed || latest <= cc.minRtt.value) {
    cc.minRtt.update(loop.nowMs32, settings.tcp_min_rtt_wlen * 1000, latest || 1)
  }
  snd.measure(rtt, snd.una, snd.nxt, leastRto(c))
  snd.updateRto(mostRto(c))
  c.backoff = 0
}
