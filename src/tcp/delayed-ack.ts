import { SECOND } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import type { Timer } from '../core/timer.ts'
import { AckPending, Feature, Shutdown, type TcpConnection, TcpTimer } from './connection.ts'
import { TcpState } from './state.ts'
import { DELAYED_ACK_MAX, DELAYED_ACK_MIN, mostAckDelay } from './timers.ts'
import { sendBareAck } from './transmit.ts'
import { receiveQueued, shouldUpdateWindow, windowToOffer } from './window.ts'

/**
 * When to acknowledge (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2): every second full segment at once, anything
 * else within 200 ms, and everything at once while the peer is in slow start or something is amiss. An application that
 * answers each request within the delay makes the connection interactive ("ping-pong"): then ACKs ride on the answers.
 */

/** ACKs sent at once at the beginning, and after trouble. */
export const MAX_QUICK_ACKS = 16

const isInteractive = (c: TcpConnection): boolean => c.rcv.pingpong >= 1

const acknowledgesAtOnce = (c: TcpConnection): boolean => c.rcv.quick > 0 && !isInteractive(c)

/** Lets the next ACKs leave at once: as many as half a window of segments, up to `most`. */
export const allowQuickAcks = (c: TcpConnection, most: number): void => {
  const { rcv } = c
  const half = Math.floor(rcv.wnd / (2 * Math.max(1, rcv.mssEstimate)))
  rcv.quick = Math.max(rcv.quick, Math.min(half === 0 ? 2 : half, most))
}

/** The same, and forgets that the traffic was interactive. */
export const enterQuickAckMode = (c: TcpConnection, most: number): void => {
  allowQuickAcks(c, most)
  c.rcv.pingpong = 0
  c.rcv.ato = DELAYED_ACK_MIN
}

/** Takes note that data has arrived: adapts the delay to the time between segments. */
export const dataArrived = (c: TcpConnection): void => {
  const { rcv } = c
  const now = c.layer.loop.nowMs32
  rcv.pending |= AckPending.Scheduled
  if (rcv.ato === 0) {
    allowQuickAcks(c, MAX_QUICK_ACKS)
    rcv.ato = DELAYED_ACK_MIN
  } else {
    const gap = ((now - rcv.lastDataMs) | 0) * 1000
    if (gap <= DELAYED_ACK_MIN / 2) rcv.ato = (rcv.ato >> 1) + DELAYED_ACK_MIN / 2
    else if (gap < rcv.ato) rcv.ato = Math.min((rcv.ato >> 1) + gap, c.rtt.rto)
    else if (gap > c.rtt.rto) allowQuickAcks(c, MAX_QUICK_ACKS)
  }
  rcv.lastDataMs = now
}

/** Acknowledges now or later what this segment brought. @param outOfOrder may there be a gap to report? */
export const acknowledge = (c: TcpConnection, outOfOrder: boolean): void => {
  const { rcv } = c
  if ((rcv.pending & AckPending.Scheduled) === 0) return
  const unacknowledged = (rcv.nxt - rcv.wup) | 0
  if (
    // More than a full segment, and the window's edge can move, or the reader would tell of it.
    (unacknowledged > rcv.mssEstimate &&
      (((rcv.nxt - rcv.copied) | 0) < c.options.receiveLowat || windowToOffer(c) >= rcv.wnd)) ||
    acknowledgesAtOnce(c) ||
    (rcv.pending & AckPending.Now) !== 0
  ) {
    sendAck(c)
    return
  }
  if (!outOfOrder || c.reassembly === null || c.reassembly.count === 0) {
    delayAck(c)
    return
  }
  compressAck(c)
}

/** Sends an ACK by itself; later, if it cannot leave this host now. */
export const sendAck = (c: TcpConnection): void => {
  if (c.state === TcpState.Closed || sendBareAck(c) !== Errno.ENOBUFS) return
  const { loop } = c.layer
  c.rcv.ato = DELAYED_ACK_MIN
  c.rcv.pending |= AckPending.Scheduled | AckPending.Timer
  loop.timers.schedule(ackTimer(c), loop.now + DELAYED_ACK_MAX)
}

/** Sets the timer for an ACK that may ride on data until then. */
const delayAck = (c: TcpConnection): void => {
  const { rcv } = c
  const { loop } = c.layer
  let delay = rcv.ato
  if (delay > DELAYED_ACK_MIN) {
    let most = isInteractive(c) || (rcv.pending & AckPending.Pushed) !== 0 ? DELAYED_ACK_MAX : SECOND / 2
    if (c.rtt.srtt8 !== 0) most = Math.min(most, Math.max(c.rtt.srtt, DELAYED_ACK_MIN))
    delay = Math.min(delay, most)
  }
  delay = Math.min(delay, mostAckDelay(c))
  let deadline = loop.now + delay
  const timer = ackTimer(c)
  if ((rcv.pending & AckPending.Timer) !== 0 && timer.isSet) {
    // About to go off anyhow: do not make two wake-ups of it.
    if (timer.deadline <= loop.now + (delay >> 2)) {
      sendAck(c)
      return
    }
    deadline = Math.min(deadline, timer.deadline)
  }
  rcv.pending |= AckPending.Scheduled | AckPending.Timer
  loop.timers.schedule(timer, deadline)
}

/** Holds an ACK of an out-of-order segment back for a moment, as many like it are likely to follow. */
const compressAck = (c: TcpConnection): void => {
  const { settings, loop } = c.layer
  const sacks = c.sacks
  if (!c.has(Feature.Sack) || sacks === null || sacks.compressed >= settings.tcp_comp_sack_nr) {
    sendAck(c)
    return
  }
  if (sacks.compressedAt !== c.rcv.nxt) {
    // The peer needs its first three duplicate ACKs unmerged.
    sacks.compressedAt = c.rcv.nxt
    sacks.duplicateAcks = 0
    sacks.compressed = 0
  }
  if (sacks.duplicateAcks < 3) {
    sacks.duplicateAcks++
    sendAck(c)
    return
  }
  sacks.compressed++
  if (sacks.compressed > 1) return
  const rtt =
    c.tuning === null || c.tuning.rtt === 0 ? c.rtt.srtt8 : Math.min(c.tuning.rtt, c.rtt.srtt8 || c.tuning.rtt)
  const delay = Math.min(settings.tcp_comp_sack_delay_ns / 1000, (rtt >> 3) / 20)
  loop.timers.schedule(ackTimer(c), loop.now + delay)
  c.rcv.pending |= AckPending.Scheduled
}

/**
 * The application has read `copied` bytes: is that a reason for an ACK or a window update (RFC 9293 section 3.8.6.2.2)?
 */
export const acknowledgeRead = (c: TcpConnection, copied: number): void => {
  const { rcv } = c
  if ((rcv.pending & AckPending.Scheduled) !== 0) {
    const readAll = receiveQueued(c) === 0
    const pushed =
      (rcv.pending & AckPending.Pushed2) !== 0 || ((rcv.pending & AckPending.Pushed) !== 0 && !isInteractive(c))
    if (((rcv.nxt - rcv.wup) | 0) > rcv.mssEstimate || (copied > 0 && pushed && readAll)) {
      sendReadAck(c)
      return
    }
  }
  if (copied > 0 && (c.shutdown & Shutdown.Receive) === 0 && shouldUpdateWindow(c)) sendReadAck(c)
}

/** An ACK of a call that has not read the clock. */
const sendReadAck = (c: TcpConnection): void => {
  c.layer.loop.refresh()
  sendAck(c)
}

/** The timer of the delayed or held-back ACK has fired. */
export const onAckTimer = (c: TcpConnection): void => {
  const { rcv } = c
  if (c.state === TcpState.Closed || c.state === TcpState.Listen) return
  const sacks = c.sacks
  if (sacks !== null && sacks.compressed > 0) {
    c.layer.mib.tcpExt.TCPAckCompressed += sacks.compressed - 1
    sacks.compressed = 0
    sendAck(c)
    return
  }
  if ((rcv.pending & AckPending.Timer) === 0) return
  rcv.pending &= ~AckPending.Timer
  if ((rcv.pending & AckPending.Scheduled) === 0) return
  if (!isInteractive(c)) {
    // Nothing came to ride on: wait longer next time.
    rcv.ato = Math.min(rcv.ato << 1, c.rtt.rto)
  } else {
    rcv.pingpong = 0
    rcv.ato = DELAYED_ACK_MIN
  }
  sendAck(c)
  c.layer.mib.tcpExt.DelayedACKs++
}

const ackTimer = (c: TcpConnection): Timer => {
  c.ackTimer ??= c.layer.newTimer(c, TcpTimer.DelayedAck)
  return c.ackTimer
}
