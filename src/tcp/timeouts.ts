import { MILLISECOND, SECOND } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import { seqGt, seqLt } from '../core/seq.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { CaState } from './congestion/state.ts'
import { Feature, Nagle, Pending, type TcpConnection, TcpTimer } from './connection.ts'
import { onAckTimer } from './delayed-ack.ts'
import { detectBlackHole } from './fast-open-client.ts'
import { failConnection, resetAndFail } from './finish.ts'
import { currentMss } from './mss.ts'
import { suspectBlackHole } from './mtu-probe.ts'
import { pushPending, SendMode, sendNew, sendPending, windowEnd } from './output.ts'
import { countSegments, splitRecord } from './records.ts'
import { enterLoss, onSettled } from './recovery.ts'
import { resend, retransmit, retransmitLost } from './retransmit.ts'
import { stateIn, stateSet, TcpState } from './state.ts'
import { enterTimeWait } from './time-wait.ts'
import {
  armKeepalive,
  armRetransmit,
  keepCount,
  keepIdle,
  keepInterval,
  leastRto,
  mostRto,
  persistDelay,
  RESOURCE_INTERVAL,
  rearmRetransmit,
  silence,
  withinProbeTimeout,
} from './timers.ts'
import { sendByteBeyondWindow, sendOldSequence } from './transmit.ts'

/** What happens when a connection's timers fire. */

const HANDSHAKE = stateSet(TcpState.SynSent, TcpState.SynReceived)
/** Retransmissions of a thin stream that keep their interval. */
const THIN_RETRIES = 6

/** One of the connection's timers has fired. @param kind of `TcpTimer` */
export const fireTimer = (c: TcpConnection, kind: number): void => {
  if (kind === TcpTimer.DelayedAck) onAckTimer(c)
  else if (kind === TcpTimer.Keepalive) onKeepalive(c)
  else if (kind === TcpTimer.Retransmit) onRetransmitTimer(c)
  else if (kind === TcpTimer.Pacing) onPacingTimer(c)
}

const MAY_SEND = stateSet(
  TcpState.Established,
  TcpState.FinWait1,
  TcpState.Closing,
  TcpState.CloseWait,
  TcpState.LastAck,
)

/** The time has come for what had to wait for its pace. */
const onPacingTimer = (c: TcpConnection): void => {
  if (!stateIn(c.state, MAY_SEND)) return
  if (c.cc.lostOut > c.cc.retransOut) retransmitLost(c)
  pushPending(c, c.nagle)
}

const onRetransmitTimer = (c: TcpConnection): void => {
  if (c.state === TcpState.Closed || c.state === TcpState.Listen) return
  const { pending } = c
  switch (pending) {
    case Pending.Reorder:
      onSettled(c)
      break
    case Pending.LossProbe:
      sendLossProbe(c)
      break
    case Pending.Retransmit:
      c.pending = Pending.None
      onRetransmissionTimeout(c)
      break
    case Pending.Persist:
      c.pending = Pending.None
      onPersist(c)
      break
  }
}

/**
 * Sends new data, or the last segment again, so that a loss at the
 * end of a flight shows in an ACK (RFC 8985 section 7.3).
 */
const sendLossProbe = (c: TcpConnection): void => {
  const queue = c.sendQueue()
  const cc = c.ownCongestionState()
  if (!cc.tlpActive && queue.sentCount > 0) {
    const mss = currentMss(c)
    const next = queue.firstUnsent
    cc.tlpRetransmitted = false
    let sent = false
    if (next !== null && !seqGt((next.seq + Math.min(next.length, mss)) | 0, windowEnd(c))) {
      const before = cc.packetsOut
      sendPending(c, mss, Nagle.Off, SendMode.Probe)
      sent = cc.packetsOut > before
    } else {
      sent = resendLastSegment(c, mss)
      cc.tlpRetransmitted = sent
    }
    if (sent) {
      cc.tlpActive = true
      cc.tlpHighSeq = c.snd.nxt
      c.layer.mib.tcpExt.TCPLossProbes++
      // The time-out begins anew with the probe.
      c.pending = Pending.None
    }
  }
  rearmRetransmit(c)
}

const resendLastSegment = (c: TcpConnection, mss: number): boolean => {
  const queue = c.sendQueue()
  const last = queue.lastSent!
  let index = queue.sentCount - 1
  if (last.segments > 1 && last.dataLength > (last.segments - 1) * mss) {
    splitRecord(c, queue, index, (last.segments - 1) * mss, mss)
    index++
  }
  // A probe is not counted as a retransmission in flight.
  return resend(c, queue, index, 1) === 0
}

/** The retransmission time-out (RFC 6298 section 5.4 to 5.7). */
const onRetransmissionTimeout = (c: TcpConnection): void => {
  const cc = c.cc
  if (cc.packetsOut === 0 || c.queue === null || c.queue.firstSent === null) return
  const { settings, mib } = c.layer
  const isOrphan = c.observer === null && c.listener === null
  if (c.snd.wnd === 0 && !isOrphan && !stateIn(c.state, HANDSHAKE)) {
    // The peer has shut a window that data had been sent into: the retransmissions are probes then.
    if (shutWindowTimedOut(c)) {
      giveUp(c)
      return
    }
    enterLoss(c)
    retransmit(c, 0, 1)
    c.destination = null
    backOff(c)
    return
  }
  mib.tcpExt.TCPTimeouts++
  if (hasTimedOut(c)) {
    giveUp(c)
    return
  }
  if (c.retransmits === 0) countFailedRecovery(c)
  enterLoss(c)
  if (c.retransmits === 0) {
    cc.timeoutRecoveries++
    cc.timeoutStampMs = c.layer.loop.nowMs32 || 1
  }
  cc.timeouts++
  c.retransmits++
  if (retransmit(c, 0, 1) === Errno.ENOBUFS) {
    // Could not leave this host: try again soon, without counting it.
    armRetransmit(c, Pending.Retransmit, RESOURCE_INTERVAL)
    return
  }
  backOff(c)
  if (retransmissionsTimedOut(c, settings.tcp_retries1 + 1, 0)) c.destination = null
}

const countFailedRecovery = (c: TcpConnection): void => {
  const counters = c.layer.mib.tcpExt
  const sack = c.has(Feature.Sack)
  if (c.cc.state === CaState.Recovery) {
    if (sack) counters.TCPSackRecoveryFail++
    else counters.TCPRenoRecoveryFail++
  } else if (c.cc.state === CaState.Loss) counters.TCPLossFailures++
  else if (c.cc.state === CaState.Disorder || c.cc.sackedOut > 0) {
    if (sack) counters.TCPSackFailures++
    else counters.TCPRenoFailures++
  }
}

/** Doubles the time-out and sets the timer with it. */
const backOff = (c: TcpConnection): void => {
  const { settings } = c.layer
  const thin = settings.tcp_thin_linear_timeouts || c.options.thinLinearTimeouts
  if (c.state === TcpState.Established && thin && isThin(c) && c.retransmits <= THIN_RETRIES) {
    c.backoff = 0
    c.rtt.updateRto(mostRto(c))
  } else if (c.state !== TcpState.SynSent || c.retransmits > settings.tcp_syn_linear_timeouts) {
    c.backoff++
    c.rtt.rto = Math.min(c.rtt.rto * 2, mostRto(c))
  }
  armRetransmit(c, Pending.Retransmit, withinUserTimeout(c, c.rtt.rto))
}

/** Fewer than four segments out, and past the initial slow start. */
const isThin = (c: TcpConnection): boolean => c.cc.packetsOut < 4 && !c.cc.inSlowStart

/** TCP_USER_TIMEOUT cuts a wait short that would pass it (RFC 5482). */
const withinUserTimeout = (c: TcpConnection, delay: number): number => {
  const limit = c.options.userTimeoutMs
  if (limit === 0 || c.retransmitStamp === 0) return delay
  const elapsed = (c.layer.loop.nowMs32 - c.retransmitStamp) | 0
  return Math.min(delay, Math.max(1, (limit - elapsed) * MILLISECOND))
}

/** How long `count` time-outs take that begin with `base` and double up to the greatest, microseconds. */
const modelTimeout = (c: TcpConnection, count: number, base: number): number => {
  const most = mostRto(c)
  const doublings = 31 - Math.clz32(Math.floor(most / base))
  if (count <= doublings) return (2 ** (count + 1) - 1) * base
  return (2 ** (doublings + 1) - 1) * base + (count - doublings) * most
}

/** Have retransmissions gone on for as long as `count` time-outs take, or for `limitMs`? */
const retransmissionsTimedOut = (c: TcpConnection, count: number, limitMs: number): boolean => {
  if (c.retransmits === 0 || c.retransmitStamp === 0) return false
  const base = stateIn(c.state, HANDSHAKE) ? SECOND : leastRto(c)
  const limit = limitMs > 0 ? limitMs : modelTimeout(c, count, base) / MILLISECOND
  return ((c.layer.loop.nowMs32 - c.retransmitStamp) | 0) >= limit
}

/** Has the time come to give up (RFC 9293 section 3.8.3)? */
const hasTimedOut = (c: TcpConnection): boolean => {
  const { settings } = c.layer
  let retries = settings.tcp_retries2
  let expired = false
  if (stateIn(c.state, HANDSHAKE)) {
    retries = c.options.synRetries || settings.tcp_syn_retries
    expired = c.retransmits >= retries + (c.state === TcpState.SynSent ? settings.tcp_syn_linear_timeouts : 0)
  } else {
    // A black hole? Let IP look for another route.
    if (retransmissionsTimedOut(c, settings.tcp_retries1, 0)) {
      suspectBlackHole(c)
      c.destination = null
    }
    if (c.observer === null && c.listener === null) retries = orphanRetries(c, c.rtt.rto < mostRto(c))
  }
  expired ||= retransmissionsTimedOut(c, retries, c.options.userTimeoutMs)
  detectBlackHole(c, expired)
  return expired
}

/** Retries for a connection that nobody holds. @param alive is there still hope */
const orphanRetries = (c: TcpConnection, alive: boolean): number => {
  if (c.softError !== 0 && !alive) return 0
  const retries = c.layer.settings.tcp_orphan_retries
  return retries === 0 && alive ? 8 : retries
}

/** The window is shut on data in flight: that ends only when the peer is silent, or the user said so. */
const shutWindowTimedOut = (c: TcpConnection): boolean => {
  const { now32, nowMs32 } = c.layer.loop
  const userLimit = c.options.userTimeoutMs
  const waited =
    c.retransmitStamp !== 0
      ? (nowMs32 - c.retransmitStamp) | 0
      : Math.floor(((now32 - c.queue!.firstSent!.sentAt) | 0) / MILLISECOND)
  // A user's limit counts progress, which answers without room are not.
  if (userLimit > 0 && waited > userLimit) return true
  const most = (mostRto(c) * 2) / MILLISECOND
  const limit = userLimit > 0 ? Math.min(most, userLimit) : most
  return ((nowMs32 - c.lastAckMs) | 0) > limit && waited > limit
}

const timeoutError = (c: TcpConnection): number => c.softError || Errno.ETIMEDOUT

const giveUp = (c: TcpConnection): void => {
  c.layer.mib.tcpExt.TCPAbortOnTimeout++
  failConnection(c, timeoutError(c))
}

/** The window is shut and nothing is in flight: ask (RFC 9293 section 3.8.6.1). */
const onPersist = (c: TcpConnection): void => {
  const { settings, loop } = c.layer
  if (c.cc.packetsOut > 0 || c.queue === null || !c.queue.hasUnsent) {
    c.probes = 0
    c.probesSinceMs = 0
    return
  }
  const userLimit = c.options.userTimeoutMs
  if (c.probesSinceMs === 0) c.probesSinceMs = loop.nowMs32 || 1
  else if (userLimit > 0 && ((loop.nowMs32 - c.probesSinceMs) | 0) >= userLimit) {
    giveUp(c)
    return
  }
  let most = settings.tcp_retries2
  if (c.observer === null && c.listener === null) {
    const alive = persistDelay(c) < mostRto(c)
    most = orphanRetries(c, alive)
    if (!alive && c.backoff >= most) {
      giveUp(c)
      return
    }
  }
  if (c.probes >= most) giveUp(c)
  else sendProbe(c)
}

const sendProbe = (c: TcpConnection): void => {
  if (!hasOpenWindow(c)) c.layer.mib.tcpExt.TCPWinProbe++
  const errno = probe(c)
  if (c.cc.packetsOut > 0 || !c.queue!.hasUnsent) {
    c.probes = 0
    c.backoff = 0
    c.probesSinceMs = 0
    return
  }
  c.probes++
  let delay = RESOURCE_INTERVAL
  if (errno !== Errno.ENOBUFS) {
    if (c.backoff < c.layer.settings.tcp_retries2) c.backoff++
    delay = persistDelay(c)
  }
  armRetransmit(c, Pending.Persist, withinProbeTimeout(c, delay))
}

/** Is there any room in the peer's window, and something to fill it? */
const hasOpenWindow = (c: TcpConnection): boolean => {
  const record = c.queue?.firstUnsent
  return record !== null && record !== undefined && seqLt(record.seq, windowEnd(c))
}

/**
 * Draws an ACK from the peer: with what its window has room for, or with nothing new.
 * @returns 0 or an `Errno`
 */
const probe = (c: TcpConnection): number => {
  const queue = c.queue
  const record = queue?.firstUnsent ?? null
  if (queue === null || record === null || !hasOpenWindow(c)) {
    if (record !== null && c.layer.settings.personality.zeroWindowProbe === 'byte')
      return sendByteBeyondWindow(c, record)
    return sendOldSequence(c)
  }
  // There is some room, which silly-window avoidance had not used.
  const mss = currentMss(c)
  const size = Math.min((windowEnd(c) - record.seq) | 0, mss)
  if (seqLt(c.snd.pushedSeq, record.end)) c.snd.pushedSeq = record.end
  if (record.dataLength > size) splitRecord(c, queue, queue.sentCount, size, mss)
  if (record.segments === 0) countSegments(record, mss)
  record.flags |= TcpFlag.Psh
  return sendNew(c, queue, record, mss)
}

/** Keepalive (RFC 9293 section 3.8.4), and the end of an orphan's FIN_WAIT_2. */
const onKeepalive = (c: TcpConnection): void => {
  if (c.state === TcpState.Listen) return
  if (c.state === TcpState.FinWait2 && c.observer === null) {
    const rest = finWait2Time(c) - c.layer.settings.time_wait_ms * MILLISECOND
    if (c.options.linger2 >= 0 && rest > 0) enterTimeWait(c, TcpState.FinWait2, rest)
    else resetAndFail(c, 0)
    return
  }
  if (!c.options.keepalive || c.state === TcpState.Closed || c.state === TcpState.SynSent) return
  const idleLimit = keepIdle(c)
  if (c.cc.packetsOut > 0 || c.queue?.hasUnsent) {
    armKeepalive(c, idleLimit)
    return
  }
  const idle = silence(c)
  if (idle < idleLimit) {
    armKeepalive(c, idleLimit - idle)
    return
  }
  const userLimit = c.options.userTimeoutMs * MILLISECOND
  const over = userLimit > 0 ? idle >= userLimit && c.probes > 0 : c.probes >= keepCount(c)
  if (over) {
    c.layer.mib.tcpExt.TCPAbortOnTimeout++
    resetAndFail(c, timeoutError(c))
    return
  }
  c.layer.mib.tcpExt.TCPKeepAlive++
  if (probe(c) !== Errno.ENOBUFS) {
    c.probes++
    armKeepalive(c, keepInterval(c))
  } else armKeepalive(c, RESOURCE_INTERVAL)
}

/**
 * How long an orphan stays in FIN_WAIT_2, microseconds: TCP_LINGER2 or tcp_fin_timeout, but 3.5 time-outs at the least.
 */
export const finWait2Time = (c: TcpConnection): number => {
  const limit = (c.options.linger2 || c.layer.settings.tcp_fin_timeout) * SECOND
  const rto = c.rtt.rto
  return Math.max(limit, (rto << 2) - (rto >> 1))
}
