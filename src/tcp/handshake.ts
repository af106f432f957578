import { MILLISECOND } from '../core/clock.ts'
import { Readiness } from '../core/readiness.ts'
import { seqGt, seqLt } from '../core/seq.ts'
import { Drop } from '../wire/drop.ts'
import { TCP_MIN_HEADER, TcpFlag } from '../wire/tcp.ts'
import { AckResult, announcedWindow, processAck } from './ack.ts'
import { CaState, INFINITE_SSTHRESH } from './congestion/state.ts'
import { AckPending, Feature, Pending, type TcpConnection, TcpTimer } from './connection.ts'
import { enterQuickAckMode, MAX_QUICK_ACKS, sendAck } from './delayed-ack.ts'
import { receiveFastOpenAnswer } from './fast-open-client.ts'
import { peerReset, setState } from './finish.ts'
import { pushData } from './flow.ts'
import { MD5_OPTION_LENGTH, signs } from './md5.ts'
import {
  ALIGNED_TIMESTAMPS_LENGTH,
  advertisedMss,
  DEFAULT_MSS,
  DEFAULT_MSS_IPV6,
  initialWindow,
  syncMss,
} from './mss.ts'
import { beginMtuSearch } from './mtu-probe.ts'
import { updatePacingRate } from './rate.ts'
import { receiveUrgent } from './receive.ts'
import { anyRetransmitted, undoRecovery } from './recovery.ts'
import type { Segment } from './segment.ts'
import { AFTER } from './state.ts'
import { armKeepalive, armRetransmit, DELAYED_ACK_MAX, keepIdle, rearmRetransmit } from './timers.ts'
import { transmitRecord } from './transmit.ts'
import { initialBuffers, initialMssEstimate, MAX_UNSCALED } from './window.ts'

/** The three-way handshake, its active side and its crossed form (RFC 9293 section 3.5 and 3.10.7.3). */

const RESET = -1
/** How long a connection waits before it repeats a SYN whose answer made no sense, microseconds. */
const SOON = 2 * MILLISECOND

/** A segment arrives in SYN_SENT. @returns as `receiveSegment` does */
export const receiveInSynSent = (c: TcpConnection, segment: Segment): number => {
  const { snd } = c
  const isReset = segment.has(TcpFlag.Rst)
  // For the peer there is nothing here yet.
  if (c.isPutOff) return isReset ? Drop['tcp-no-socket'] : RESET
  if (!segment.has(TcpFlag.Ack)) {
    // Without an ACK a RST means nothing; a SYN crosses ours.
    if (isReset || !segment.has(TcpFlag.Syn)) return Drop['tcp-flags']
    return openSimultaneously(c, segment)
  }
  if (!seqGt(segment.ack, snd.una) || seqGt(segment.ack, snd.nxt)) {
    // First: an ACK that is not of our SYN, from an old connection perhaps. Reset that, and try again soon.
    if (c.retransmits === 0) armRetransmit(c, Pending.Retransmit, SOON)
    return isReset ? Drop['tcp-invalid-ack'] : RESET
  }
  const echo = segment.hasTimestamps && c.layer.settings.tcp_timestamps ? segment.timestampEcho : 0
  if (echo !== 0 && !isEchoOfSyn(c, echo)) {
    c.layer.mib.tcpExt.PAWSActive++
    return isReset ? Drop['tcp-paws'] : RESET
  }
  if (isReset) {
    peerReset(c)
    return Drop['tcp-reset']
  }
  if (!segment.has(TcpFlag.Syn)) return Drop['tcp-flags']
  acceptPeerSyn(c, segment, TcpFlag.Ece)
  // The time-out of a SYN whose answer was on its way is no reason to begin with a small window.
  if (echo !== 0 && echo === ((c.synSentMs + c.timestampOffset) | 0)) c.ownCongestionState().undoable = false
  if (processAck(c, segment, 0) !== AckResult.Ok) return Drop['tcp-invalid-ack']
  finishConnect(c)
  // What was not acknowledged has been sent again, and that is an ACK too.
  if (c.fastOpen !== null && receiveFastOpenAnswer(c, segment)) {
    pushData(c)
    return Drop.none
  }
  if (mayAcknowledgeLater(c)) {
    c.rcv.pending |= AckPending.Scheduled | AckPending.Timer
    enterQuickAckMode(c, MAX_QUICK_ACKS)
    c.ackTimer ??= c.layer.newTimer(c, TcpTimer.DelayedAck)
    c.layer.loop.timers.schedule(c.ackTimer, c.layer.loop.now + DELAYED_ACK_MAX)
  } else sendAck(c)
  // What else it carries is not taken without fast open, as on Linux:
  // the peer sends it again. Its urgent pointer is heeded.
  if (segment.has(TcpFlag.Urg)) receiveUrgent(c, segment)
  pushData(c)
  if (c.fastOpen === null) c.forgetHandshake()
  return Drop.none
}

/** Is the echo one that a SYN of ours can have caused? */
const isEchoOfSyn = (c: TcpConnection, echo: number): boolean => {
  const now = (c.layer.loop.nowMs32 + c.timestampOffset) | 0
  const first = (c.synSentMs + c.timestampOffset) | 0
  return !seqLt(echo, first) && !seqGt(echo, now)
}

/** The handshake's last ACK can ride on data that waits already. */
const mayAcknowledgeLater = (c: TcpConnection): boolean =>
  c.writerWaits || c.queue?.hasUnsent === true || c.options.deferAccept > 0 || c.rcv.pingpong > 0

/**
 * Takes over what the peer's SYN says: sequence number, window, options (RFC 7323, 2018).
 * @param ecn the flags, of ECE and CWR, that agree to our offer of ECN (RFC 3168 section 6.1.1)
 */
const acceptPeerSyn = (c: TcpConnection, segment: Segment, ecn: number): void => {
  const { rcv, snd, layer } = c
  rcv.irs = segment.seq
  rcv.nxt = (segment.seq + 1) | 0
  rcv.wup = rcv.nxt
  rcv.copied = rcv.nxt
  snd.wnd = segment.window
  snd.maxWnd = Math.max(snd.maxWnd, segment.window)
  snd.wl1 = segment.seq
  const { settings } = layer
  c.features = c.ecnOffered && (segment.flags & (TcpFlag.Ece | TcpFlag.Cwr)) === ecn ? Feature.Ecn : 0
  if (segment.windowScale >= 0 && settings.tcp_window_scaling) {
    c.features |= Feature.WindowScale
    snd.wndScale = segment.windowScale
  } else {
    rcv.wndScale = 0
    rcv.windowClamp = Math.min(rcv.windowClamp, MAX_UNSCALED)
  }
  if (segment.sackPermitted && settings.tcp_sack) c.features |= Feature.Sack
  snd.headerLength = TCP_MIN_HEADER + (signs(c.options.md5Keys, c.remote) ? MD5_OPTION_LENGTH : 0)
  if (segment.hasTimestamps && settings.tcp_timestamps) {
    c.features |= Feature.Timestamps
    snd.headerLength += ALIGNED_TIMESTAMPS_LENGTH
    rcv.advertisedMss = advertisedMss(c) - ALIGNED_TIMESTAMPS_LENGTH
    rcv.tsRecent = segment.timestamp
    rcv.tsRecentAt = layer.nowSeconds
  }
  snd.mssClamp = peerMss(c, segment.mss)
  syncMss(c, c.destination?.mtu ?? snd.pathMtu)
  initialMssEstimate(c)
}

/** The MSS that a peer's option allows, or its absence (RFC 9293 section 3.7.1), and the application. */
export const peerMss = (c: TcpConnection, option: number): number => {
  const announced = option > 0 ? option : c.remote.isIpv4 ? DEFAULT_MSS : DEFAULT_MSS_IPV6
  return c.options.maxSegment > 0 ? Math.min(announced, c.options.maxSegment) : announced
}

/** Both sides have sent a SYN: SYN_RCVD, and a SYN+ACK in the place of the SYN (RFC 9293 section 3.5, figure 7). */
const openSimultaneously = (c: TcpConnection, segment: Segment): number => {
  setState(c, AFTER['receive SYN'][c.state]!)
  acceptPeerSyn(c, segment, TcpFlag.Ece | TcpFlag.Cwr)
  const syn = c.sendQueue().firstSent
  if (syn === null) return Drop['tcp-flags']
  syn.flags = TcpFlag.Syn | (c.has(Feature.Ecn) ? TcpFlag.Ece : 0)
  syn.sentAt = c.layer.loop.now32
  transmitRecord(c, syn, c.snd.mss)
  return Drop.none
}

/** Our SYN is acknowledged: the connection stands. */
const finishConnect = (c: TcpConnection): void => {
  const { layer } = c
  setState(c, AFTER['receive SYN+ACK'][c.state]!)
  startTransfer(c)
  if (c.options.keepalive) armKeepalive(c, keepIdle(c))
  c.lastAckMs = layer.loop.nowMs32
  c.ready(Readiness.Out)
}

/** What both sides of a connection begin with when it is established. */
export const startTransfer = (c: TcpConnection): void => {
  const { layer } = c
  const now = layer.loop.nowMs32
  // No measurement from the handshake: it was resent (RFC 6298 section 5.7).
  if (c.rtt.srtt8 === 0) c.rtt.distrust()
  c.backoff = 0
  c.retransmitStamp = 0
  beginMtuSearch(c)
  const cc = c.cc
  if (cc !== layer.pristineCongestion) {
    // One segment only, if the SYN or its answer had to be sent more than twice (RFC 5681 section 3.1). Beyond that,
    // what was lost of the handshake says nothing about the path.
    cc.cwnd = cc.totalRetransmitted > 1 && cc.undoable ? 1 : initialWindow(c)
    cc.ssthresh = INFINITE_SSTHRESH
    cc.state = CaState.Open
    cc.undoable = false
    cc.frto = false
    cc.cwndStampMs = now
    c.control.init(c)
    updatePacingRate(c)
  }
  c.snd.lastSentMs = now
  c.rcv.lastDataMs = now
  c.snd.ringSeq = c.snd.una
  initialBuffers(c)
}

/** The third message of a fast open has come: loss recovery and timers go on as in any connection. */
export const completeHandshake = (c: TcpConnection, segment: Segment): void => {
  const cc = c.ownCongestionState()
  c.handshake?.complete(segment)
  c.handshake = null
  // The SYN+ACK, which is no record, is delivered.
  cc.delivered++
  // Was the time-out of the SYN+ACK a mistake?
  if (cc.state === CaState.Loss && cc.packetsOut === 0) undoRecovery(c)
  c.retransmits = 0
  if (!anyRetransmitted(c)) c.retransmitStamp = 0
  rearmRetransmit(c)
}

/** The same, in SYN_RCVD: the connection, which exchanges data already, is ESTABLISHED. */
export const establishFast = (c: TcpConnection, segment: Segment): void => {
  const { snd } = c
  completeHandshake(c, segment)
  setState(c, AFTER['receive ACK of SYN'][c.state]!)
  snd.una = segment.ack
  snd.wnd = announcedWindow(c, segment)
  snd.maxWnd = Math.max(snd.maxWnd, snd.wnd)
  snd.wl1 = segment.seq
  snd.lastSentMs = c.layer.loop.nowMs32
  if (c.control.control === undefined) updatePacingRate(c)
  initialMssEstimate(c)
  if (c.options.keepalive) armKeepalive(c, keepIdle(c))
  c.ready(Readiness.Out)
}

/** The ACK of our SYN+ACK, after SYNs have crossed: SYN_RCVD becomes ESTABLISHED. */
export const establish = (c: TcpConnection, segment: Segment): void => {
  const { snd } = c
  setState(c, AFTER['receive ACK of SYN'][c.state]!)
  snd.una = segment.ack
  snd.wnd = announcedWindow(c, segment)
  snd.maxWnd = Math.max(snd.maxWnd, snd.wnd)
  snd.wl1 = segment.seq
  startTransfer(c)
  if (c.options.keepalive) armKeepalive(c, keepIdle(c))
  c.ready(Readiness.Out)
}
