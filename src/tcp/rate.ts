import { seqGt } from '../core/seq.ts'
import type { RateSample } from './congestion/control.ts'
import type { CongestionState } from './congestion/state.ts'
import type { TcpConnection } from './connection.ts'
import { Sacked, type SendRecord } from './send-queue.ts'

/**
 * How fast segments are delivered (draft-cheng-iccrg-delivery-rate-estimation): each record remembers how much had been
 * delivered when it left; when it is acknowledged, the difference over the time between is a sample.
 */

/** Notes the state of delivery in a record that leaves now. */
export const rateOnSend = (c: TcpConnection, record: SendRecord): void => {
  const cc = c.cc
  const now = c.layer.loop.now32
  if (cc.packetsOut === 0) {
    cc.firstSentAt = now
    cc.deliveredAt = now
    // What was delivered before says nothing of this flight; after half an hour its time would seem to be yet to come.
    cc.rackStarted = false
  }
  record.firstSentAt = cc.firstSentAt
  record.deliveredAt = cc.deliveredAt
  record.delivered = cc.delivered
  record.deliveredCe = cc.deliveredCe
  record.lostAtSend = cc.lost
  record.applicationLimited = cc.applicationLimitedUntil !== 0
  record.rated = true
}

/** Was a segment sent at `time1` ending at `end1` sent after the other? */
export const sentAfter = (time1: number, end1: number, time2: number, end2: number): boolean => {
  const later = (time1 - time2) | 0
  return later > 0 || (later === 0 && seqGt(end1, end2))
}

/** A record was acknowledged or SACKed: the sample is that of the one sent last. */
export const rateOnDelivered = (c: TcpConnection, record: SendRecord, sample: RateSample): void => {
  if (!record.rated) return
  const cc = c.cc
  if (sample.priorDelivered < 0 || sentAfter(record.sentAt, record.end, cc.firstSentAt, sample.lastEnd)) {
    sample.priorDelivered = record.delivered
    sample.priorDeliveredCe = record.deliveredCe
    sample.priorDeliveredAt = record.deliveredAt
    sample.applicationLimited = record.applicationLimited
    sample.retransmitted = (record.sacked & (Sacked.Retransmitted | Sacked.EverRetransmitted)) !== 0
    sample.lastEnd = record.end
    sample.lostAtSend = record.lostAtSend
    sample.inFlightAtSend = record.inFlightAtSend
    cc.firstSentAt = record.sentAt
    sample.interval = (record.sentAt - record.firstSentAt) | 0
  }
  // A SACKed record is not used again when the cumulative ACK reaches it.
  if ((record.sacked & Sacked.Acked) !== 0) record.rated = false
}

/** Completes the sample of an ACK that delivered `delivered` segments and showed `lost` to be lost. */
export const completeSample = (
  c: TcpConnection,
  delivered: number,
  lost: number,
  reneged: boolean,
  sample: RateSample,
): void => {
  const cc = c.cc
  const now = c.layer.loop.now32
  noteDelivery(cc, delivered, now)
  sample.ackedSacked = delivered
  sample.losses = lost
  if (sample.priorDelivered < 0 || reneged) {
    sample.delivered = -1
    sample.interval = -1
    return
  }
  sample.delivered = cc.delivered - sample.priorDelivered
  sample.deliveredCe = cc.deliveredCe - sample.priorDeliveredCe
  sample.interval = Math.max(sample.interval, (now - sample.priorDeliveredAt) | 0)
  // Less than the least RTT: ambiguous because of a retransmission.
  if (sample.interval < cc.minRtt.value) {
    sample.interval = -1
    return
  }
  takeRate(cc, sample.delivered, sample.interval, sample.applicationLimited)
}

const noteDelivery = (cc: CongestionState, delivered: number, now: number): void => {
  if (cc.applicationLimitedUntil !== 0 && cc.delivered > cc.applicationLimitedUntil) cc.applicationLimitedUntil = 0
  if (delivered > 0) cc.deliveredAt = now
}

/** `delivered` segments in `interval` are the rate now, unless the application kept it low. */
const takeRate = (cc: CongestionState, delivered: number, interval: number, applicationLimited: boolean): void => {
  if (applicationLimited && delivered * cc.rateInterval < cc.rateDelivered * interval) return
  cc.rateDelivered = delivered
  cc.rateInterval = interval
  cc.rateApplicationLimited = applicationLimited
}

/** The only record in flight, sent once, was acknowledged: what `rateOnDelivered` and `completeSample` come to. */
export const rateOfOnly = (c: TcpConnection, record: SendRecord): void => {
  const cc = c.cc
  const now = c.layer.loop.now32
  cc.firstSentAt = record.sentAt
  noteDelivery(cc, record.segments, now)
  const interval = Math.max((record.sentAt - record.firstSentAt) | 0, (now - record.deliveredAt) | 0)
  if (interval < cc.minRtt.value) return
  takeRate(cc, cc.delivered - record.delivered, interval, record.applicationLimited)
}

/** Notes when it is the application, not the network, that limits the rate. */
export const checkApplicationLimited = (c: TcpConnection): void => {
  const cc = c.cc
  if (
    ((c.snd.writeSeq - c.snd.nxt) | 0) < c.snd.mss &&
    cc.inFlight < cc.cwnd &&
    cc.lostOut <= cc.retransOut &&
    cc !== c.layer.pristineCongestion
  ) {
    cc.applicationLimitedUntil = Math.max(1, cc.delivered + cc.inFlight)
  }
}

/** What the window is worth in bytes a second, with some headroom: twice in slow start, 1.2 times later. */
export const updatePacingRate = (c: TcpConnection): void => {
  const cc = c.cc
  const { settings } = c.layer
  if (c.rtt.srtt8 === 0 || c.control.control !== undefined) return
  const ratio = cc.cwnd < cc.ssthresh / 2 ? settings.tcp_pacing_ss_ratio : settings.tcp_pacing_ca_ratio
  const rate = Math.floor((c.snd.mss * 80_000 * ratio * Math.max(cc.cwnd, cc.packetsOut)) / c.rtt.srtt8)
  cc.pacingRate = Math.min(rate, c.options.maxPacingRate)
}
