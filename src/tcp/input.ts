import { seqDiff, seqGt, seqLt } from '../core/seq.ts'
import { Drop } from '../wire/drop.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { AckResult, PAWS_DAYS, processAck, setsWindow } from './ack.ts'
import { AckFlag } from './ack-flags.ts'
import { closeSending } from './close.ts'
import { Feature, Shutdown, type TcpConnection } from './connection.ts'
import { HANDSHAKE_PASSED } from './connection-fields.ts'
import { acknowledge, enterQuickAckMode, MAX_QUICK_ACKS, sendAck } from './delayed-ack.ts'
import { finishConnection, peerReset, setState } from './finish.ts'
import { pushData } from './flow.ts'
import { completeHandshake, establish, establishFast, receiveInSynSent } from './handshake.ts'
import { receiveExpected, UNEXPECTED } from './prediction.ts'
import { receiveText, receiveUrgent, reportDuplicate } from './receive.ts'
import { isLikelyData, type Segment } from './segment.ts'
import { AFTER, stateIn, stateSet, TcpState } from './state.ts'
import { enterTimeWait } from './time-wait.ts'
import { finWait2Time } from './timeouts.ts'
import { armKeepalive } from './timers.ts'
import { openWindow } from './window.ts'

/**
 * A segment arrives for a connection: RFC 9293 section 3.10.7, in its order. Section 3.10.7.1 (Closed) and 3.10.7.2
 * (Listen) are in reply.ts and listener.ts, 3.10.7.3 (Syn-Sent) in handshake.ts; here is 3.10.7.4.
 */

/** States in which text is taken. */
const TAKES_TEXT = stateSet(TcpState.Established, TcpState.FinWait1, TcpState.FinWait2)
const PEER_HAS_FINISHED = stateSet(TcpState.CloseWait, TcpState.Closing, TcpState.LastAck)

/** What a segment led to. */
export const Verdict = {
  Done: 0,
  /** Send a RST for it, as for a segment that belongs nowhere. */
  Reset: -1,
} as const

/**
 * Deals with `segment`, whose bytes lie in the world's memory for as long as the call lasts.
 * @returns `Verdict.Done`, `Verdict.Reset`, or the reason why it was dropped (`Drop`)
 */
export const receiveSegment = (c: TcpConnection, segment: Segment): number => {
  if (c.layer.predicts) {
    const verdict = receiveExpected(c, segment)
    if (verdict !== UNEXPECTED) return verdict
  }
  c.segmentsIn += segment.segments
  if (segment.dataLength > 0) c.dataSegmentsIn += segment.segments
  if (c.state === TcpState.SynSent) return receiveInSynSent(c, segment)
  if (c.state === TcpState.Closed) return Verdict.Reset
  if (c.handshake !== null) {
    const verdict = c.handshake.screen(segment)
    if (verdict !== HANDSHAKE_PASSED) return verdict
  }
  // RFC 9293 wants ACK in every segment from here on but SYN and RST.
  if ((segment.flags & (TcpFlag.Ack | TcpFlag.Rst | TcpFlag.Syn)) === 0) return Drop['tcp-flags']
  const refusal = checkAcceptable(c, segment)
  if (refusal !== ACCEPTABLE) return refusal
  if (!segment.has(TcpFlag.Ack)) return Drop['tcp-flags']

  // Fifth: the ACK. In Syn-Received it has to be of our SYN: SND.UNA < SEG.ACK, not just SND.UNA = SEG.ACK.
  // A connection made by fast open counts it as acknowledged already.
  if (c.state === TcpState.SynReceived) {
    const isOfSyn = c.handshake === null ? seqGt(segment.ack, c.snd.una) : !seqLt(segment.ack, c.snd.una)
    if (!isOfSyn) return Verdict.Reset
  }
  const result = processAck(c, segment, AckFlag.UpdateTimestamp)
  if (result !== AckResult.Ok) {
    if (c.state === TcpState.SynReceived) return Verdict.Reset
    if (c.state !== TcpState.Established || result !== AckResult.Unsent || challengesUnsent(c)) sendChallenge(c)
    return Drop[result === AckResult.TooOld ? 'tcp-old-ack' : 'tcp-invalid-ack']
  }
  if (c.state !== TcpState.Established) {
    const over = advanceState(c, segment)
    if (over !== GO_ON) return over
  }

  // Sixth: the urgent pointer.
  if (segment.has(TcpFlag.Urg) || c.urgent !== null) receiveUrgent(c, segment)

  // Seventh and eighth: text and FIN.
  let reason: number = Drop.none
  if (segment.length > 0) {
    const takes = stateIn(c.state, TAKES_TEXT)
    // Behind its FIN the peer may only repeat itself.
    if (takes || (stateIn(c.state, PEER_HAS_FINISHED) && seqLt(segment.seq, c.rcv.nxt))) {
      if (c.state !== TcpState.Established && isDataAfterClose(c, segment)) {
        // Nobody will read it: the peer must learn that (RFC 9293
        // section 3.6.1, MAY-1 and SHLD-3; RFC 2525 section 2.17).
        c.layer.mib.tcpExt.TCPAbortOnData++
        peerReset(c)
        return Verdict.Reset
      }
      // Nor is there a second FIN behind the first.
      if (!takes && seqGt(segment.end, c.rcv.nxt)) segment.trimBack(segment.dataLength)
      reason = receiveText(c, segment)
    }
  }
  if ((c.state as number) === TcpState.Closed) return reason
  pushData(c)
  acknowledge(c, true)
  return reason
}

const challengesUnsent = (c: TcpConnection): boolean => c.layer.settings.personality.challengesUnsentAck

const ACCEPTABLE = -2
const GO_ON = -3

/** First to fourth: sequence number, RST, SYN, with RFC 7323's time stamps before them and RFC 5961's care. */
const checkAcceptable = (c: TcpConnection, segment: Segment): number => {
  const { rcv } = c
  const isReset = segment.has(TcpFlag.Rst)
  // A RST need not carry a fresh time stamp (RFC 7323 section 5.2).
  if (segment.hasTimestamps && !isReset && c.has(Feature.Timestamps) && isTooOld(c, segment)) {
    return segment.has(TcpFlag.Syn) ? challengeSyn(c) : refuseOldTimestamp(c, segment)
  }
  // Linux's test: some byte of it lies between the last ACK sent and the end of the window.
  if (seqLt(segment.end, rcv.wup) || seqGt(segment.seq, (rcv.nxt + openWindow(c)) | 0)) {
    if (isReset) {
      if (!isBeforeFin(c, segment.seq)) return Drop['tcp-out-of-window']
      peerReset(c)
      return Drop['tcp-reset']
    }
    if (segment.has(TcpFlag.Syn)) return challengeSyn(c)
    if (!isRateLimited(c, segment)) sendDuplicateAck(c, segment)
    else c.layer.mib.tcpExt.TCPACKSkippedSeq++
    return Drop['tcp-out-of-window']
  }
  if (isReset) {
    // Only a RST at exactly RCV.NXT, or at the end of what SACK told of, is the peer's for sure (RFC 5961 section 3.2).
    if (segment.seq === rcv.nxt || isBeforeFin(c, segment.seq) || isAtSackEdge(c, segment.seq)) {
      peerReset(c)
      return Drop['tcp-reset']
    }
    sendChallenge(c)
    return Drop['tcp-reset']
  }
  if (segment.has(TcpFlag.Syn)) {
    // The SYN+ACK of a simultaneous open repeats the SYN that brought us here; any other SYN is challenged.
    const isCrossed =
      c.state === TcpState.SynReceived &&
      segment.has(TcpFlag.Ack) &&
      segment.dataLength === 0 &&
      ((segment.seq + 1) | 0) === rcv.nxt &&
      segment.ack === c.snd.nxt
    if (!isCrossed) return challengeSyn(c)
  }
  return ACCEPTABLE
}

/** A peer that has sent FIN may reset with the FIN's own number: it does not count it as sent any more. */
const isBeforeFin = (c: TcpConnection, seq: number): boolean =>
  seq === ((c.rcv.nxt - 1) | 0) && stateIn(c.state, PEER_HAS_FINISHED)

const isAtSackEdge = (c: TcpConnection, seq: number): boolean => {
  const sacks = c.sacks
  if (sacks === null || sacks.count === 0) return false
  let edge = sacks.blocks[1]!
  for (let i = 1; i < sacks.count; i++) if (seqGt(sacks.blocks[i * 2 + 1]!, edge)) edge = sacks.blocks[i * 2 + 1]!
  return seq === edge
}

/** RFC 5961 section 4.2: a SYN in a synchronized state draws a challenge ACK. */
const challengeSyn = (c: TcpConnection): number => {
  c.layer.mib.tcp.InErrs++
  c.layer.mib.tcpExt.TCPSYNChallenge++
  sendChallenge(c)
  return Drop['tcp-invalid-syn']
}

/** PAWS (RFC 7323 section 5): is the time stamp older than the last one in order? */
const isTooOld = (c: TcpConnection, segment: Segment): boolean => {
  const { rcv, snd } = c
  const age = seqDiff(rcv.tsRecent, segment.timestamp)
  if (age <= 1 || rcv.tsRecent === 0) return false
  if (c.layer.nowSeconds >= rcv.tsRecentAt + PAWS_DAYS) return false
  // A pure ACK that was only overtaken by the next one, within a time-out or so, is harmless.
  const isOvertaken =
    isPureAck(segment) &&
    segment.seq === rcv.nxt &&
    segment.ack === snd.una &&
    !setsWindow(c, segment) &&
    age * 1000 <= c.rtt.rto * 1.2
  return !isOvertaken
}

const isPureAck = (segment: Segment): boolean => segment.length === 0 && segment.has(TcpFlag.Ack)

/**
 * Drops a segment that PAWS rejects, and answers it (RFC 7323 section
 * 5.3, R1); an old ACK is common and gets no answer.
 */
const refuseOldTimestamp = (c: TcpConnection, segment: Segment): number => {
  const counters = c.layer.mib.tcpExt
  if (isPureAck(segment) && seqLt(segment.seq, c.rcv.nxt)) {
    counters.PAWSOldAck++
    return Drop['tcp-paws']
  }
  counters.PAWSEstab++
  if (!isRateLimited(c, segment)) sendDuplicateAck(c, segment)
  else counters.TCPACKSkippedPAWS++
  return Drop['tcp-paws']
}

/** Has an ACK for an unacceptable segment been sent a moment ago? Segments with data or FIN are always answered. */
const isRateLimited = (c: TcpConnection, segment: Segment): boolean => !isLikelyData(segment) && answeredJustNow(c)

const answeredJustNow = (c: TcpConnection): boolean => {
  const now = c.layer.loop.nowMs32
  const last = c.lastInvalidAckMs
  if (last !== 0) {
    const elapsed = (now - last) | 0
    if (elapsed >= 0 && elapsed < c.layer.settings.tcp_invalid_ratelimit) return true
  }
  c.lastInvalidAckMs = now || 1
  return false
}

/** Sends a challenge ACK, within its limits (RFC 5961 section 7). */
const sendChallenge = (c: TcpConnection): void => {
  if (answeredJustNow(c)) {
    c.layer.mib.tcpExt.TCPACKSkippedChallenge++
    return
  }
  if (!c.layer.allowChallenge()) return
  c.layer.mib.tcpExt.TCPChallengeACK++
  sendAck(c)
}

/** Answers a segment that is out of the window, reporting it by D-SACK when it is an old one. */
const sendDuplicateAck = (c: TcpConnection, segment: Segment): void => {
  if (segment.length > 0 && seqLt(segment.seq, c.rcv.nxt)) {
    c.layer.mib.tcpExt.DelayedACKLost++
    enterQuickAckMode(c, MAX_QUICK_ACKS)
    reportDuplicate(c, segment.seq, seqGt(segment.end, c.rcv.nxt) ? c.rcv.nxt : segment.end)
  }
  sendAck(c)
}

const allIsAcknowledged = (c: TcpConnection): boolean => c.snd.una === c.snd.writeSeq

/** What an acceptable ACK does to a connection that is not in Established. */
const advanceState = (c: TcpConnection, segment: Segment): number => {
  switch (c.state) {
    case TcpState.SynReceived:
      if (c.handshake === null) establish(c, segment)
      else establishFast(c, segment)
      // shutdown(2) had to wait for the connection to stand.
      if ((c.shutdown & Shutdown.Send) !== 0) closeSending(c)
      break
    case TcpState.FinWait1:
      if (c.handshake !== null) completeHandshake(c, segment)
      if (allIsAcknowledged(c)) return finAcknowledged(c, segment)
      break
    case TcpState.Closing:
      if (allIsAcknowledged(c)) {
        enterTimeWait(c, TcpState.TimeWait, 0)
        return Drop.none
      }
      break
    case TcpState.LastAck:
      if (allIsAcknowledged(c)) {
        finishConnection(c)
        return Drop.none
      }
      break
  }
  return GO_ON
}

/** Our FIN is acknowledged: FIN_WAIT_2, and for an orphan a time limit (RFC 9293 section 3.10.7.4; tcp_fin_timeout). */
const finAcknowledged = (c: TcpConnection, segment: Segment): number => {
  setState(c, AFTER['receive ACK of FIN'][c.state]!)
  c.shutdown |= Shutdown.Send
  c.destination?.confirm()
  if (c.observer !== null) {
    // Wakes a close that lingers.
    c.ready(0)
    return GO_ON
  }
  if (c.options.linger2 < 0 || isDataAfterClose(c, segment)) {
    c.layer.mib.tcpExt.TCPAbortOnData++
    finishConnection(c)
    return Verdict.Reset
  }
  const limit = finWait2Time(c)
  const timeWait = c.layer.settings.time_wait_ms * 1000
  if (limit > timeWait) armKeepalive(c, limit - timeWait)
  else if (segment.has(TcpFlag.Fin)) armKeepalive(c, limit)
  else {
    enterTimeWait(c, TcpState.FinWait2, limit)
    return Drop.none
  }
  return GO_ON
}

/** Does the segment bring data that comes after the application has closed? */
const isDataAfterClose = (c: TcpConnection, segment: Segment): boolean =>
  (c.shutdown & Shutdown.Receive) !== 0 &&
  segment.length > 0 &&
  seqGt((segment.end - (segment.has(TcpFlag.Fin) ? 1 : 0)) | 0, c.rcv.nxt)
