import { seqGt, seqLeq, seqLt } from '../core/seq.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { Chrono, checkSendBufferLimit, startChrono, stopChrono } from './chronograph.ts'
import { CwndEvent } from './congestion/control.ts'
import { CaState } from './congestion/state.ts'
import { Nagle, Pending, type TcpConnection } from './connection.ts'
import { currentMss, initialWindow, segmentsNow } from './mss.ts'
import { MtuProbe, mtuProbeSent, mtuProbeSize } from './mtu-probe.ts'
import { mustPace } from './pacing.ts'
import { rateOnSend } from './rate.ts'
import { countSegments, linkNewest, splitRecord } from './records.ts'
import type { SendQueue, SendRecord } from './send-queue.ts'
import { armPersist, rearmRetransmit, scheduleLossProbe } from './timers.ts'
import { transmitAlone, transmitRecord } from './transmit.ts'

/**
 * What may be sent now. What is sent for the first time passes through `sendPending`, which asks, in this order: is
 * there room in the congestion window; does the peer's window reach so far (RFC 9293 section 3.8.6); does Nagle's rule,
 * a cork, or the hope for a larger record keep it back (sections 3.7.4 and 3.8.6.2.1); and how much of the record may
 * go. Where nothing is queued and the answers are known beforehand it is `sendAlone`.
 */

/** How much `sendPending` should send. */
export const SendMode = {
  All: 0,
  /** One record. */
  One: 1,
  /** One segment, whatever the congestion window says: a tail loss probe. */
  Probe: 2,
} as const

/** End of the peer's window: the first sequence number that may not be sent. */
export const windowEnd = (c: TcpConnection): number => (c.snd.una + c.snd.wnd) | 0

/**
 * Sends what may be sent, with `nagle` in place of the connection's own rule; sets the persist timer when nothing may.
 */
export const pushPending = (c: TcpConnection, nagle: number): void => {
  if (c.queue === null || !c.queue.hasUnsent) return
  if (sendPending(c, currentMss(c), nagle, SendMode.All)) armPersist(c)
}

/**
 * Sends what may be sent of what waits.
 * @returns whether data waits and nothing is in flight: only the peer's next window update, or a probe, can help then
 */
export const sendPending = (c: TcpConnection, mss: number, nagle: number, mode: number): boolean => {
  const queue = c.sendQueue()
  const cc = c.ownCongestionState()
  let most = 0
  let sent = 0
  let cwndLimited = false
  let peerLimited = false
  let owesTimer = false
  if (c.mtuSearch !== null && mode === SendMode.All) {
    const probe = sendMtuProbe(c, queue)
    if (probe === MtuProbe.Wait) return false
    if (probe > 0) sent = 1
  }
  for (let record = queue.firstUnsent; record !== null; record = queue.firstUnsent) {
    if (mustPace(c)) break
    const index = queue.sentCount
    let quota = congestionQuota(c)
    if (quota === 0) {
      if (mode !== SendMode.Probe && !isLoneFin(c, record, mss)) break
      quota = 1
    }
    const isLast = index === queue.length - 1
    if (!isLast || record.dataLength > mss) {
      if (most === 0) most = segmentsNow(c, mss)
      quota = Math.min(quota, most)
      if (!isLast && c.layer.settings.personality.fillsRecords) fillRecord(c, queue, index, quota * mss)
    }
    if (record.segments === 0 || (record.segments > 1 && record.segmentSize !== mss)) countSegments(record, mss)
    if (!fitsWindow(c, record, mss)) {
      peerLimited = true
      break
    }
    // What lay behind it may be part of it now.
    const endsQueue = index === queue.length - 1
    if (record.segments === 1) {
      if (!nagleAllows(c, record, mss, endsQueue ? nagle : Nagle.Push)) break
    } else if (mode === SendMode.All) {
      const wait = shouldDefer(c, record, endsQueue, most)
      if (wait !== Defer.No) {
        if (wait === Defer.ForCongestionWindow) cwndLimited = true
        else if (wait === Defer.ForPeerWindow) peerLimited = true
        break
      }
    }
    const limit = record.segments > 1 && !isUrgent(c) ? splitPoint(c, record, mss, quota, nagle, endsQueue) : mss
    if (record.dataLength > limit) splitRecord(c, queue, index, limit, mss)
    if (record.segments === 0) countSegments(record, mss)
    const needsTimer = cc.packetsOut === 0 || c.pending === Pending.LossProbe
    if (sendRecord(c, queue, record, mss) !== 0) break
    owesTimer ||= needsTimer
    sent += record.segments
    if (mode !== SendMode.All) break
  }
  if (peerLimited) startChrono(c, Chrono.PeerWindow)
  else stopChrono(c, Chrono.PeerWindow)
  if (cc.inFlight >= cc.cwnd) cwndLimited = true
  if (sent > 0 || cwndLimited) validateWindow(c, cwndLimited)
  if (sent > 0) {
    if (cc.isReducing) cc.prrOut += sent
    // One of the two: where a probe is due first, the time-out need not be set.
    if ((mode === SendMode.Probe || !scheduleLossProbe(c)) && owesTimer) rearmRetransmit(c)
    return false
  }
  return cc.packetsOut === 0 && queue.hasUnsent
}

/**
 * Sends a segment larger than the path is known to take, if it is time to (RFC 4821).
 * @returns its size, or one of `MtuProbe`
 */
const sendMtuProbe = (c: TcpConnection, queue: SendQueue): number => {
  const size = mtuProbeSize(c, (c.snd.writeSeq - c.snd.nxt) | 0)
  if (size <= 0) return size
  if (mustPace(c) || !canGather(queue, size)) return MtuProbe.None
  const index = queue.sentCount
  const record = queue.at(index)
  while (record.dataLength < size) fillRecord(c, queue, index, size)
  if (record.dataLength > size) splitRecord(c, queue, index, size, size)
  countSegments(record, size)
  if (sendNew(c, queue, record, size) !== 0) return MtuProbe.None
  mtuProbeSent(c, record.seq, record.end)
  return size
}

/** Can the first `size` unsent bytes be one record? */
const canGather = (queue: SendQueue, size: number): boolean => {
  let left = size
  for (let i = queue.sentCount; i < queue.length && left > 0; i++) {
    const record = queue.at(i)
    if (record.marks !== 0 || (record.flags & TcpFlag.Fin) !== 0) return false
    left -= record.dataLength
  }
  return left <= 0
}

/**
 * Fills an unsent record up to `most` bytes with those behind it: what was written with another MSS in mind, or bit by
 * bit, need not leave in small segments.
 */
const fillRecord = (c: TcpConnection, queue: SendQueue, index: number, most: number): void => {
  const record = queue.at(index)
  const missing = most - record.dataLength
  if (missing <= 0 || index + 1 >= queue.length || record.marks !== 0) return
  const next = queue.at(index + 1)
  const length = next.dataLength
  record.segments = 0
  if (length > missing) {
    record.end = (record.end + missing) | 0
    next.seq = record.end
    next.segments = 0
    return
  }
  record.end = next.end
  record.flags |= next.flags
  record.marks |= next.marks
  record.stampSeq = next.stampSeq
  queue.removeAt(index + 1)
  c.layer.records.give(next)
}

/** Segments that the congestion window has room for, at most half of it at a time, so that ACKs keep coming. */
const congestionQuota = (c: TcpConnection): number => {
  const cc = c.cc
  const room = cc.cwnd - cc.inFlight
  return room <= 0 ? 0 : Math.min(Math.max(cc.cwnd >> 1, 1), room)
}

/** Is it a segment with the FIN, which need not wait for the congestion window? */
const isLoneFin = (c: TcpConnection, record: SendRecord, mss: number): boolean =>
  (record.flags & TcpFlag.Fin) !== 0 && record.dataLength <= mss && c.layer.settings.personality.finIgnoresWindow

/** Does the record's first segment lie inside the peer's window? */
const fitsWindow = (c: TcpConnection, record: SendRecord, mss: number): boolean => {
  const end = record.dataLength > mss ? (record.seq + mss) | 0 : record.end
  return seqLeq(end, windowEnd(c))
}

const isUrgent = (c: TcpConnection): boolean => c.snd.urgentSeq !== c.snd.una && seqGt(c.snd.urgentSeq, c.snd.una)

/** May this last, single segment leave (RFC 9293 section 3.7.4)? */
const nagleAllows = (c: TcpConnection, record: SendRecord, mss: number, nagle: number): boolean => {
  if ((nagle & Nagle.Push) !== 0) return true
  if (isUrgent(c) || (record.flags & TcpFlag.Fin) !== 0) return true
  return !keepsBack(c, record.dataLength < mss, nagle)
}

/**
 * Would a segment that is not full have to wait: for the cork, or for the ACK of the last that was not full (Minshall)?
 */
const keepsBack = (c: TcpConnection, partial: boolean, nagle: number): boolean => {
  if (!partial) return false
  if ((nagle & Nagle.Cork) !== 0) return true
  return nagle === 0 && c.cc.packetsOut > 0 && smallSegmentIsOut(c)
}

/** Is a segment that was not full in flight? */
const smallSegmentIsOut = (c: TcpConnection): boolean =>
  seqGt(c.snd.smallSeq, c.snd.una) && seqLeq(c.snd.smallSeq, c.snd.nxt)

const Defer = { No: 0, ForCongestionWindow: 1, ForPeerWindow: 2, ForData: 3 } as const

/**
 * Is it better to wait until a larger record can leave at once? Only while ACKs are about to come and open the windows.
 */
const shouldDefer = (c: TcpConnection, record: SendRecord, isLast: boolean, most: number): number => {
  const cc = c.cc
  if (cc.state >= CaState.Recovery) return Defer.No
  // After a pause a burst would only be delayed.
  if (((c.layer.loop.now32 - c.snd.lastSentAt) | 0) > 1000) return Defer.No
  const sendWindow = (windowEnd(c) - record.seq) | 0
  const congestionWindow = (cc.cwnd - cc.inFlight) * c.snd.mss
  const limit = Math.min(sendWindow, congestionWindow)
  if (limit >= most * c.snd.mss) return Defer.No
  if (!isLast && limit >= record.dataLength) return Defer.No
  const divisor = c.layer.settings.tcp_tso_win_divisor
  if (divisor > 0) {
    if (limit >= Math.floor(Math.min(c.snd.wnd, cc.cwnd * c.snd.mss) / divisor)) return Defer.No
  } else if (limit > 3 * c.snd.mss) return Defer.No
  const head = c.queue!.firstSent
  if (head === null) return Defer.No
  // The next ACK is far off: half a round trip has not passed since the oldest segment left.
  if (((c.layer.loop.now32 - head.sentAt) | 0) < c.rtt.srtt8 >> 4) return Defer.No
  if (congestionWindow < sendWindow) {
    if (congestionWindow <= record.dataLength) return Defer.ForCongestionWindow
  } else if (sendWindow <= record.dataLength) return Defer.ForPeerWindow
  if ((record.flags & TcpFlag.Fin) !== 0 || record.marks !== 0) return Defer.No
  return Defer.ForData
}

/** How many bytes of a record of several segments may leave now: whole segments, unless the last may be short. */
const splitPoint = (
  c: TcpConnection,
  record: SendRecord,
  mss: number,
  quota: number,
  nagle: number,
  isLast: boolean,
): number => {
  const window = (windowEnd(c) - record.seq) | 0
  const most = mss * quota
  if (most <= window && !isLast) return most
  const needed = Math.min(record.dataLength, window)
  if (most <= needed) return most
  const partial = needed % mss
  return keepsBack(c, partial !== 0, nagle) ? needed - partial : needed
}

/** The same as `sendRecord`, and sees to the retransmission timer. */
export const sendNew = (c: TcpConnection, queue: SendQueue, record: SendRecord, mss: number): number => {
  const needsTimer = c.cc.packetsOut === 0 || c.pending === Pending.LossProbe
  const errno = sendRecord(c, queue, record, mss)
  if (errno === 0 && needsTimer) rearmRetransmit(c)
  return errno
}

/**
 * Sends the only record of the queue, a segment that nothing keeps back: what `sendPending` comes to for it. If it
 * cannot leave now, the persist timer sees to it.
 */
export const sendAlone = (c: TcpConnection, queue: SendQueue, record: SendRecord, mss: number): void => {
  const cc = c.cc
  record.segments = 1
  if (transmitAlone(c, record) !== 0) {
    armPersist(c)
    return
  }
  noteSent(c, queue, record, mss)
  validateWindow(c, cc.cwnd === 1)
  if (!scheduleLossProbe(c)) rearmRetransmit(c)
}

/**
 * Sends a record for the first time and moves SND.NXT over it.
 * @returns 0, or the `Errno` for which it could not leave
 */
const sendRecord = (c: TcpConnection, queue: SendQueue, record: SendRecord, mss: number): number => {
  const errno = transmitRecord(c, record, mss)
  if (errno === 0) noteSent(c, queue, record, mss)
  return errno
}

/** A record has been sent for the first time. */
const noteSent = (c: TcpConnection, queue: SendQueue, record: SendRecord, mss: number): void => {
  const { snd } = c
  stampRecord(c, record)
  queue.sentCount++
  if (seqLt(snd.nxt, record.end)) snd.nxt = record.end
  c.cc.packetsOut += record.segments
  c.probeByteOut = false
  c.layer.mib.tcpExt.TCPOrigDataSent += record.segments
  if (record.dataLength < record.segments * mss) snd.smallSeq = record.end
}

/** Notes that a record leaves now: for round-trip times, RACK and the delivery rate. */
export const stampRecord = (c: TcpConnection, record: SendRecord): void => {
  const cc = c.cc
  record.sentAt = c.layer.loop.now32
  rateOnSend(c, record)
  linkNewest(cc, record)
  record.inFlightAtSend = cc.inFlight + (record.sacked === 0 ? record.segments : 0)
}

/**
 * Starts the window anew when nothing was sent for longer than the time-out (RFC 5681 section 4.1, as Linux does it).
 */
export const restartAfterIdle = (c: TcpConnection): void => {
  const cc = c.cc
  const { settings, loop } = c.layer
  if (!settings.tcp_slow_start_after_idle || cc.packetsOut > 0 || c.control.control !== undefined) return
  const idle = (loop.nowMs32 - c.snd.lastSentMs) >>> 0
  const rto = c.rtt.rto / 1000
  if (idle <= rto) return
  const own = c.ownCongestionState()
  const restart = Math.min(initialWindow(c), own.cwnd)
  c.control.event?.(c, CwndEvent.Restart)
  own.ssthresh = currentSsthresh(c)
  let cwnd = own.cwnd
  for (let left = idle - rto; left > 0 && cwnd > restart; left -= rto) cwnd >>= 1
  own.cwnd = Math.max(cwnd, restart)
  own.cwndStampMs = loop.nowMs32
  own.cwndUsed = 0
}

/** The threshold that three quarters of the present window justify (RFC 2861 section 3.2). */
export const currentSsthresh = (c: TcpConnection): number => {
  const cc = c.cc
  return cc.isReducing ? cc.ssthresh : Math.max(cc.ssthresh, (cc.cwnd >> 1) + (cc.cwnd >> 2))
}

/**
 * Notes whether the window was what limited sending; lets it shrink when the application did not fill it (RFC 2861).
 */
const validateWindow = (c: TcpConnection, limited: boolean): void => {
  const cc = c.cc
  const now = c.layer.loop.nowMs32
  if (!seqLt(c.snd.una, cc.cwndUsageSeq) || limited || (!cc.cwndLimited && cc.packetsOut > cc.maxPacketsOut)) {
    cc.cwndLimited = limited
    cc.maxPacketsOut = cc.packetsOut
    cc.cwndUsageSeq = c.snd.nxt
  }
  if (cc.cwndLimited || (cc.inSlowStart && cc.cwnd < 2 * cc.maxPacketsOut)) {
    cc.cwndUsed = 0
    cc.cwndStampMs = now
    return
  }
  if (cc.packetsOut > cc.cwndUsed) cc.cwndUsed = cc.packetsOut
  checkSendBufferLimit(c)
  const idle = ((now - cc.cwndStampMs) >>> 0) * 1000 >= c.rtt.rto
  if (c.layer.settings.tcp_slow_start_after_idle && idle && c.control.control === undefined) applicationLimited(c)
}

/** The application has not filled the window for a whole time-out: halve the distance to what it uses. */
const applicationLimited = (c: TcpConnection): void => {
  const cc = c.cc
  if (cc.state === CaState.Open && c.observer !== null && !c.wantsSpace) {
    const used = Math.max(cc.cwndUsed, initialWindow(c))
    if (used < cc.cwnd) {
      cc.ssthresh = currentSsthresh(c)
      cc.cwnd = (cc.cwnd + used) >> 1
    }
    cc.cwndUsed = 0
  }
  cc.cwndStampMs = c.layer.loop.nowMs32
}
