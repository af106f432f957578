import { seqGt, seqLeq, seqLt } from '../core/seq.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { AckFlag } from './ack-flags.ts'
import { cleanQueue, releaseAcked, takeRtt } from './acked.ts'
import { Chrono, stopChrono } from './chronograph.ts'
import { CaState, EcnFlag } from './congestion/state.ts'
import { AckPending, Feature, Pending, type TcpConnection } from './connection.ts'
import { retransmitTooLarge } from './icmp.ts'
import { acknowledged } from './info.ts'
import { rackAdvance, updateReorderingWindow } from './loss.ts'
import { syncMss } from './mss.ts'
import { restartAfterIdle, windowEnd } from './output.ts'
import { completeSample, rateOfOnly, updatePacingRate } from './rate.ts'
import { countSegments, splitRecord, unlinkSent } from './records.ts'
import { countDelivered, handleAlert, processProbeAck, Resend, resendAfter } from './recovery.ts'
import { reduceWindow } from './reduction.ts'
import { applySack, highestSack } from './sack.ts'
import type { Segment } from './segment.ts'
import { Sacked, type SendQueue } from './send-queue.ts'
import {
  armRetransmit,
  persistDelay,
  rearmRetransmit,
  scheduleLossProbe,
  stopRetransmit,
  withinProbeTimeout,
} from './timers.ts'

/** The fifth step of RFC 9293 section 3.10.7.4: what the ACK field of a segment means. */

/** Of these the first alone: a retransmission was acknowledged, and none was found to be lost. */
const REPAIR = AckFlag.RetransmittedAcked | AckFlag.LostRetransmission

/** What `processAck` found. */
export const AckResult = {
  /** The ACK is acceptable and has been dealt with, though it may be an old one. */
  Ok: 0,
  /** It acknowledges what was never sent (RFC 9293 section 3.10.7.4: send an ACK, drop). */
  Unsent: 1,
  /** It is older than the window is wide: probably a blind attack (RFC 5961 section 5.2). */
  TooOld: 2,
} as const

/**
 * Takes in the acknowledgment of `segment`: window, SACK, round-trip time, loss recovery, congestion window; sends
 * again what is lost. What else may be sent now is left to the caller.
 * @param flags `AckFlag` bits known beforehand
 * @returns one of `AckResult`
 */
export const processAck = (c: TcpConnection, segment: Segment, flags: number): number => {
  const { snd } = c
  const { ack } = segment
  const priorUna = snd.una
  if (seqLt(ack, priorUna)) {
    // RFC 5961 section 5.2: acceptable is SND.UNA - MAX.SND.WND <= SEG.ACK, but not what was before the connection.
    const acked = acknowledged(c)
    if (seqLt(ack, (priorUna - Math.min(snd.maxWnd, acked)) | 0)) return AckResult.TooOld
    oldAck(c, segment, priorUna)
    return AckResult.Ok
  }
  if (seqGt(ack, snd.nxt)) {
    if (!c.probeByteOut || ack !== ((snd.nxt + 1) | 0)) return AckResult.Unsent
    adoptProbeByte(c)
  }
  const { layer } = c
  if (seqGt(ack, priorUna)) {
    flags |= AckFlag.Advanced
    c.retransmits = 0
    if (c.cc.timeoutStampMs !== 0) {
      c.cc.timeoutMs += (layer.loop.nowMs32 - c.cc.timeoutStampMs) >>> 0
      c.cc.timeoutStampMs = 0
    }
  }
  if ((flags & AckFlag.UpdateTimestamp) !== 0) replaceTimestamp(c, segment)
  if (segment.length > 0) flags |= AckFlag.Data
  const sample = layer.rateSample
  const outcome = layer.sackOutcome
  sample.reset()
  outcome.reset(snd.nxt)
  const cc = c.cc
  const priorHighest = c.has(Feature.Sack) ? highestSack(c) : priorUna
  const priorOut = cc.packetsOut
  const lostBefore = cc.lost
  const deliveredBefore = cc.delivered
  sample.priorInFlight = cc.inFlight
  flags |= updateWindow(c, segment)
  // Also with nothing in flight: a D-SACK may take a reduction back.
  if (segment.sackCount > 0 && c.has(Feature.Sack) && cc !== layer.pristineCongestion) {
    flags |= applySack(c, segment, priorUna, outcome, sample)
  }
  if (c.has(Feature.Ecn)) flags |= receiveEcn(c, segment)
  if (outcome.delivered > 0) countDelivered(c, outcome.delivered, (flags & AckFlag.Ece) !== 0)
  c.softError = 0
  c.probes = 0
  c.lastAckMs = layer.loop.nowMs32
  if (priorOut === 0) {
    nothingWasOut(c, flags, priorUna)
    return AckResult.Ok
  }
  flags |= cleanQueue(c, priorHighest, priorUna, outcome, flags)
  updateReorderingWindow(c, sample.priorDelivered)
  if (cc.tlpActive) processProbeAck(c, ack, flags)
  let resend: number = Resend.Nothing
  if ((flags & AckFlag.NotDuplicate) === 0 || (flags & AckFlag.Alert) !== 0 || cc.state !== CaState.Open) {
    const alert = layer.alert
    alert.flags = flags
    alert.priorUna = priorUna
    const duplicate = (flags & (AckFlag.Advanced | AckFlag.NotDuplicate | AckFlag.Dsack)) === 0
    alert.duplicates = duplicate ? Math.max(1, segment.segments) : 0
    alert.resend = Resend.Nothing
    handleAlert(c, alert)
    flags = alert.flags
    resend = alert.resend
  }
  if ((flags & AckFlag.SetTimer) !== 0 && !scheduleLossProbe(c, true)) rearmRetransmit(c)
  if ((flags & AckFlag.Progress) !== 0 || (flags & AckFlag.NotDuplicate) === 0) c.destination?.confirm()
  const delivered = cc.delivered - deliveredBefore
  if (delivered > 0) {
    layer.mib.tcpExt.TCPDelivered += delivered
    if ((flags & AckFlag.Ece) !== 0) layer.mib.tcpExt.TCPDeliveredCE += delivered
  }
  completeSample(c, delivered, cc.lost - lostBefore, cc.reneged, sample)
  controlCongestion(c, ack, delivered, flags)
  if (resend === Resend.TooLarge) retransmitTooLarge(c)
  else resendAfter(c, resend)
  return AckResult.Ok
}

/** An ACK older than SND.UNA changes nothing, but its SACK blocks may tell something (RFC 9293: it is ignored). */
const oldAck = (c: TcpConnection, segment: Segment, priorUna: number): void => {
  if (segment.sackCount === 0 || !c.has(Feature.Sack) || c.cc.packetsOut === 0) return
  const { layer } = c
  const sample = layer.rateSample
  const outcome = layer.sackOutcome
  sample.reset()
  outcome.reset(c.snd.nxt)
  const alert = layer.alert
  alert.flags = applySack(c, segment, priorUna, outcome, sample)
  if (outcome.delivered > 0) countDelivered(c, outcome.delivered, false)
  alert.priorUna = priorUna
  alert.duplicates = 0
  alert.resend = Resend.Nothing
  handleAlert(c, alert)
  resendAfter(c, alert.resend)
}

/** The byte that probed a shut window was taken: it counts as sent (see timeouts.ts). */
const adoptProbeByte = (c: TcpConnection): void => {
  const queue = c.queue!
  const cc = c.ownCongestionState()
  const record = queue.firstUnsent
  c.probeByteOut = false
  if (record === null) return
  if (record.length > 1) splitRecord(c, queue, queue.sentCount, 1, 1)
  record.sentAt = c.layer.loop.now32
  // It was sent probe after probe: no round-trip time may be taken from it (Karn's rule).
  record.sacked |= Sacked.EverRetransmitted
  countSegments(record, 1)
  queue.sentCount++
  cc.packetsOut += record.segments
  c.snd.nxt = record.end
}

/** TS.Recent follows segments at the left edge of the window (RFC 7323 section 4.3). */
const replaceTimestamp = (c: TcpConnection, segment: Segment): void => {
  const { rcv } = c
  if (!segment.hasTimestamps || !c.has(Feature.Timestamps) || seqGt(segment.seq, rcv.wup)) return
  // Not older than what is there, unless that is so old that the clock may have gone round (section 5.5). A peer may
  // send 0 in its SYN and a true value later: 0 is no value.
  const now = c.layer.nowSeconds
  if (((segment.timestamp - rcv.tsRecent) | 0) >= 0 || rcv.tsRecent === 0 || now >= rcv.tsRecentAt + PAWS_DAYS) {
    rcv.tsRecent = segment.timestamp
    rcv.tsRecentAt = now
  }
}

/** 24 days in seconds: after so long a time stamp says nothing (RFC 7323 section 5.5). */
export const PAWS_DAYS = 24 * 86_400

/** The window that a segment announces, bytes; that of a SYN is never scaled (RFC 7323 section 2.2). */
export const announcedWindow = (c: TcpConnection, segment: Segment): number =>
  (segment.flags & TcpFlag.Syn) !== 0 ? segment.window : segment.window << c.snd.wndScale

/** Does the segment's window count: is it not older than the last one that did (RFC 9293 section 3.10.7.4)? */
export const setsWindow = (c: TcpConnection, segment: Segment): boolean => {
  const { snd } = c
  if (seqGt(segment.ack, snd.una) || seqGt(segment.seq, snd.wl1)) return true
  if (segment.seq !== snd.wl1) return false
  const window = announcedWindow(c, segment)
  return window > snd.wnd || window === 0
}

/** Takes the peer's window where it counts, and moves SND.UNA. */
const updateWindow = (c: TcpConnection, segment: Segment): number => {
  const { snd } = c
  const { ack, seq } = segment
  let flags = 0
  if (setsWindow(c, segment)) {
    const window = announcedWindow(c, segment)
    flags = AckFlag.WindowUpdate
    snd.wl1 = seq
    if (snd.wnd !== window) {
      snd.wnd = window
      if (c.queue?.hasUnsent) restartAfterIdle(c)
      if (window > snd.maxWnd) {
        snd.maxWnd = window
        syncMss(c, snd.pathMtu)
      }
    }
  }
  snd.una = ack
  return flags
}

/** ECE asks for a reduction; CWR says that the peer has made one (RFC 3168 section 6.1). */
const receiveEcn = (c: TcpConnection, segment: Segment): number => {
  if ((segment.flags & TcpFlag.Cwr) !== 0) {
    if ((c.cc.ecn & EcnFlag.DemandCwr) !== 0) c.ownCongestionState().ecn &= ~EcnFlag.DemandCwr
    // The peer's window may be down to one segment now: its ACK must not wait.
    if (segment.length > 0) c.rcv.pending |= AckPending.Now
  }
  return (segment.flags & (TcpFlag.Ece | TcpFlag.Syn)) === TcpFlag.Ece ? AckFlag.Ece : 0
}

/** An ACK with nothing in flight: a window update, or the answer to a probe. */
const nothingWasOut = (c: TcpConnection, flags: number, priorUna: number): void => {
  const cc = c.cc
  if ((flags & AckFlag.Dsack) !== 0) {
    const alert = c.layer.alert
    alert.flags = flags
    alert.priorUna = priorUna
    alert.duplicates = 0
    handleAlert(c, alert)
  }
  const record = c.queue?.firstUnsent
  if (record !== null && record !== undefined && c.pending === Pending.Persist) {
    if (!seqGt(record.end, windowEnd(c))) {
      c.backoff = 0
      c.probesSinceMs = 0
      stopRetransmit(c)
    } else armRetransmit(c, Pending.Persist, withinProbeTimeout(c, persistDelay(c)))
  }
  if (cc.tlpActive) processProbeAck(c, c.snd.una, flags)
}

/** Sets the window as the state calls for: reduced, or grown. */
const controlCongestion = (c: TcpConnection, ack: number, delivered: number, flags: number): void => {
  const cc = c.cc
  if (c.control.control !== undefined) {
    c.control.control(c, c.layer.rateSample, ack)
    return
  }
  if (cc.isReducing) {
    reduceWindow(c, delivered, isSafeAck(c, flags))
  } else {
    // With much reordering any delivery counts, else only what is in order (RFC 5681 section 3.1).
    const mayGrow = cc.reordering > c.layer.settings.tcp_reordering ? AckFlag.Progress : AckFlag.DataAcked
    if ((flags & mayGrow) !== 0) growCongestionWindow(c, ack, delivered)
  }
  updatePacingRate(c)
}

/** Does an ACK show that the reduction goes well, so that it may let one segment more go (RFC 6937 section 3)? */
const isSafeAck = (c: TcpConnection, flags: number): boolean =>
  c.layer.settings.personality.safeAck === 'repairs'
    ? (flags & REPAIR) === AckFlag.RetransmittedAcked
    : (flags & AckFlag.Advanced) !== 0 && c.layer.rateSample.losses === 0

const growCongestionWindow = (c: TcpConnection, ack: number, delivered: number): void => {
  c.control.avoid(c, ack, delivered)
  c.cc.cwndStampMs = c.layer.loop.nowMs32
}

// What is expected: see prediction.ts.

/**
 * Takes in what a segment that is expected says beside its text and a
 * new ACK: time stamp, window, and that the peer is there.
 */
export const takeExpectedHeader = (c: TcpConnection, segment: Segment): void => {
  const { snd } = c
  replaceTimestamp(c, segment)
  if (announcedWindow(c, segment) !== snd.wnd) updateWindow(c, segment)
  else if (seqGt(segment.ack, snd.una) || seqGt(segment.seq, snd.wl1)) snd.wl1 = segment.seq
  c.softError = 0
  c.probes = 0
  c.lastAckMs = c.layer.loop.nowMs32
}

/**
 * Takes in an ACK of all that is in flight, one record that was sent
 * once, while nothing is amiss: what `processAck` comes to for it.
 */
export const takeExpectedAck = (c: TcpConnection, segment: Segment, queue: SendQueue): void => {
  const { snd, layer, cc } = c
  const { ack } = segment
  const { now32 } = layer.loop
  const bytes = (ack - snd.una) | 0
  c.retransmits = 0
  takeExpectedHeader(c, segment)
  snd.una = ack
  const record = queue.shift()
  const { segments, sentAt } = record
  countDelivered(c, segments, false)
  rackAdvance(c, 0, record.end, sentAt)
  cc.packetsOut -= segments
  unlinkSent(cc, record)
  stopChrono(c, Chrono.Busy)
  queue.trim()
  releaseAcked(c)
  if (seqLeq(snd.urgentSeq, ack)) snd.urgentSeq = ack
  const rtt = (now32 - sentAt) | 0
  const maybeDelayed = segments === 1 && bytes < snd.mss && record.delivered + 1 === cc.delivered
  if (rtt >= 0) takeRtt(c, rtt, rtt, maybeDelayed)
  c.control.acked?.(c, segments, rtt)
  updateReorderingWindow(c, record.delivered)
  stopRetransmit(c)
  c.destination?.confirm()
  layer.mib.tcpExt.TCPDelivered += segments
  rateOfOnly(c, record)
  layer.records.give(record)
  growCongestionWindow(c, ack, segments)
  updatePacingRate(c)
}
