import { MILLISECOND, SECOND } from '../core/clock.ts'
import { CaState } from './congestion/state.ts'
import { Feature, Pending, type TcpConnection, TcpTimer } from './connection.ts'

/** Setting a connection's timers. What happens when they fire is in timeouts.ts. */

/** When a segment could not leave for want of local resources: how long to wait, microseconds. */
export const RESOURCE_INTERVAL = SECOND / 2
/** Bounds of the time that an ACK may be delayed, microseconds (RFC 9293 section 3.8.6.3 allows 500 ms). */
export const DELAYED_ACK_MIN = 40 * MILLISECOND
export const DELAYED_ACK_MAX = 200 * MILLISECOND
/** The least that a probe waits beyond two round trips, microseconds. */
const PROBE_SLACK = 2 * MILLISECOND

/** The least and the greatest retransmission time-out, microseconds: the connection's own, or the host's. */
export const leastRto = (c: TcpConnection): number => c.options.leastRto || c.layer.settings.tcp_rto_min_us
export const mostRto = (c: TcpConnection): number =>
  (c.options.mostRtoMs || c.layer.settings.tcp_rto_max_ms) * MILLISECOND

/** The longest that an ACK is delayed, microseconds: never so long that the peer's time-out, if it is as ours, could come first. */
export const mostAckDelay = (c: TcpConnection): number =>
  Math.min(c.options.mostAckDelay || DELAYED_ACK_MAX, leastRto(c))

/** Sets the retransmission timer for `pending`, `delay` microseconds from now. */
export const armRetransmit = (c: TcpConnection, pending: number, delay: number): void => {
  c.pending = pending
  c.retransmitTimer ??= c.layer.newTimer(c, TcpTimer.Retransmit)
  const { loop } = c.layer
  loop.timers.schedule(c.retransmitTimer, loop.now + Math.min(Math.max(delay, 1), mostRto(c)))
}

/** Stops it: the next data sets it again. */
export const stopRetransmit = (c: TcpConnection): void => {
  c.pending = Pending.None
  if (c.retransmitTimer !== null) c.layer.loop.timers.pause(c.retransmitTimer)
}

/** How long it is until the oldest segment in flight times out, microseconds; negative when that is past. */
const untilRto = (c: TcpConnection): number => {
  const first = c.queue!.firstSent!
  return (first.sentAt + c.rtt.rto - c.layer.loop.now32) | 0
}

/**
 * Starts the retransmission time-out anew, after progress (RFC 6298
 * section 5.3), or stops it when nothing is in flight (5.2).
 */
export const rearmRetransmit = (c: TcpConnection): void => {
  // Until the handshake is complete its own timer stands for all.
  if (c.handshake !== null) return
  if (c.cc.packetsOut === 0) {
    stopRetransmit(c)
    return
  }
  let delay = c.rtt.rto
  // A probe or settling time ran in its place: what has passed of the time-out counts.
  if (c.pending === Pending.Reorder || c.pending === Pending.LossProbe) delay = Math.max(untilRto(c), 1)
  armRetransmit(c, Pending.Retransmit, delay)
}

/**
 * Sets the timer for a tail loss probe in place of the retransmission time-out (RFC 8985 section 7.2).
 * @param advancing does the flight's oldest segment change with this ACK, so that the time-out begins anew
 * @returns whether it did
 */
export const scheduleLossProbe = (c: TcpConnection, advancing = false): boolean => {
  const cc = c.cc
  const mode = c.layer.settings.tcp_early_retrans
  if ((mode !== 3 && mode !== 4) || cc.packetsOut === 0 || !c.has(Feature.Sack) || c.handshake !== null) return false
  if (cc.state !== CaState.Open && cc.state !== CaState.Cwr) return false
  let delay = SECOND
  if (c.rtt.srtt8 !== 0) {
    // With one segment out the peer may delay its ACK.
    delay = (c.rtt.srtt8 >> 2) + (cc.packetsOut === 1 ? leastRto(c) : PROBE_SLACK)
  }
  const rto = advancing ? c.rtt.rto : untilRto(c)
  if (rto > 0) delay = Math.min(delay, rto)
  armRetransmit(c, Pending.LossProbe, delay)
  return true
}

/** The interval of zero-window probes before it grows. */
const persistBase = (c: TcpConnection): number => Math.max(c.rtt.rto, leastRto(c))

/** The interval to the next probe, with back-off (RFC 9293 section 3.8.6.1). */
export const persistDelay = (c: TcpConnection): number => {
  const most = 32 - Math.clz32(Math.floor(mostRto(c) / leastRto(c)))
  return Math.min(persistBase(c) * 2 ** Math.min(c.backoff, most), mostRto(c))
}

/** Cuts a wait for the next probe short where TCP_USER_TIMEOUT ends it earlier. */
export const withinProbeTimeout = (c: TcpConnection, delay: number): number => {
  const limit = c.options.userTimeoutMs
  if (limit === 0 || c.probesSinceMs === 0) return delay
  const left = limit - ((c.layer.loop.nowMs32 - c.probesSinceMs) | 0)
  return Math.min(delay, Math.max(1, left) * MILLISECOND)
}

/** Data waits, the peer's window is shut, nothing is in flight: ask it from time to time. */
export const armPersist = (c: TcpConnection): void => {
  if (c.cc.packetsOut === 0 && c.pending === Pending.None && c.handshake === null)
    armRetransmit(c, Pending.Persist, persistBase(c))
}

/** Keepalive settings: the connection's own, or the host's. Microseconds, and a count. */
export const keepIdle = (c: TcpConnection): number =>
  (c.options.keepIdle || c.layer.settings.tcp_keepalive_time) * SECOND
export const keepInterval = (c: TcpConnection): number =>
  (c.options.keepInterval || c.layer.settings.tcp_keepalive_intvl) * SECOND
export const keepCount = (c: TcpConnection): number => c.options.keepCount || c.layer.settings.tcp_keepalive_probes

/** How long nothing was heard of the peer, microseconds. */
export const silence = (c: TcpConnection): number => {
  const { nowMs32 } = c.layer.loop
  return Math.min((nowMs32 - c.rcv.lastDataMs) >>> 0, (nowMs32 - c.lastAckMs) >>> 0) * MILLISECOND
}

/** Sets the timer of keepalive, which orphans in FIN_WAIT_2 use too, `delay` microseconds from now. */
export const armKeepalive = (c: TcpConnection, delay: number): void => {
  c.keepaliveTimer ??= c.layer.newTimer(c, TcpTimer.Keepalive)
  const { loop } = c.layer
  loop.timers.schedule(c.keepaliveTimer, loop.now + delay)
}

export const stopKeepalive = (c: TcpConnection): void => {
  if (c.keepaliveTimer !== null) c.layer.loop.timers.cancel(c.keepaliveTimer)
}

/** Gives every timer back, when the connection ends. */
export const stopTimers = (c: TcpConnection): void => {
  const { layer, retransmitTimer, ackTimer, keepaliveTimer, pacingTimer } = c
  c.pending = Pending.None
  if (retransmitTimer !== null) layer.recycleTimer(retransmitTimer)
  if (ackTimer !== null) layer.recycleTimer(ackTimer)
  if (keepaliveTimer !== null) layer.recycleTimer(keepaliveTimer)
  if (pacingTimer !== null) layer.recycleTimer(pacingTimer)
  c.retransmitTimer = null
  c.ackTimer = null
  c.keepaliveTimer = null
  c.pacingTimer = null
}
