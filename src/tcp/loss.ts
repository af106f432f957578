import { seqGt } from '../core/seq.ts'
import { CaState } from './congestion/state.ts'
import { Feature, Pending, type TcpConnection } from './connection.ts'
import { sentAfter } from './rate.ts'
import { splitRecord, unlinkSent } from './records.ts'
import { Sacked, type SendRecord } from './send-queue.ts'
import { armRetransmit } from './timers.ts'

/**
 * Which segments are lost: by time (RACK, RFC 8985), by the number of segments SACKed above them (RFC 6675), or,
 * without SACK, the first one after three duplicate ACKs and at each partial ACK (NewReno, RFC 6582).
 */

/** Settling time is given in whole ticks that make sure it has passed, microseconds. */
const SETTLING_SLACK = 2000
/** Bits of tcp_recovery. */
const Recovery = {
  Rack: 1,
  /** The reordering window does not follow D-SACKs. */
  StaticWindow: 2,
  /** Three SACKed segments are no reason to give up the reordering window. */
  NoThreshold: 4,
} as const

/** Does RACK find losses (RFC 8985), rather than the count of duplicate ACKs? */
export const usesRack = (c: TcpConnection): boolean => (c.layer.settings.tcp_recovery & Recovery.Rack) !== 0

/** Takes a record for lost: the first time, or again when its retransmission is lost too. */
export const markLost = (c: TcpConnection, record: SendRecord): void => {
  const cc = c.cc
  const sacked = record.sacked
  if ((sacked & Sacked.Acked) !== 0) return
  if ((sacked & Sacked.Lost) === 0) {
    cc.lostOut += record.segments
    record.sacked = sacked | Sacked.Lost
    cc.lost += record.segments
  } else if ((sacked & Sacked.Retransmitted) !== 0) {
    record.sacked = sacked & ~Sacked.Retransmitted
    cc.retransOut -= record.segments
    cc.lost += record.segments
    c.layer.mib.tcpExt.TCPLostRetransmit += record.segments
  } else return
  // Look for something to retransmit from here on.
  if (!cc.hasRetransmitHint || seqGt(cc.retransmitHint, record.seq)) {
    cc.retransmitHint = record.seq
    cc.hasRetransmitHint = true
  }
}

/** A record was delivered: RACK's clock may move on (RFC 8985 section 6.2, step 2). */
export const rackAdvance = (c: TcpConnection, sacked: number, end: number, sentAt: number): void => {
  const cc = c.cc
  const rtt = (c.layer.loop.now32 - sentAt) | 0
  if (rtt < cc.minRtt.value && (sacked & (Sacked.Retransmitted | Sacked.EverRetransmitted)) !== 0) {
    // Which of the two copies was delivered is not known; it was hardly the one just sent.
    return
  }
  cc.rackAdvanced = true
  cc.rackRtt = rtt
  if (!cc.rackStarted || sentAfter(sentAt, end, cc.rackSentAt, cc.rackEnd)) {
    cc.rackStarted = true
    cc.rackSentAt = sentAt
    cc.rackEnd = end
  }
}

/**
 * The reordering window, microseconds (step 4): none until reordering
 * was seen, then a quarter of the least RTT and more after DSACKs.
 */
const reorderingWindow = (c: TcpConnection): number => {
  const cc = c.cc
  if (cc.reorderingSeen === 0) {
    if (cc.state >= CaState.Recovery) return 0
    if (cc.sackedOut >= cc.reordering && (c.layer.settings.tcp_recovery & Recovery.NoThreshold) === 0) return 0
  }
  return Math.min((cc.minRtt.value >>> 2) * cc.rackWindowSteps, c.rtt.srtt8 >> 3)
}

/** How long a record may still be on its way, microseconds: not positive when it must be lost. */
const rackRemaining = (c: TcpConnection, record: SendRecord, window: number): number =>
  c.cc.rackRtt + window - ((c.layer.loop.now32 - record.sentAt) | 0)

/** Would RACK give this record more time? */
export const rackSpares = (c: TcpConnection, record: SendRecord): boolean => rackRemaining(c, record, 0) > 0

/**
 * Takes for lost what was sent sufficiently before something that was delivered (step 5).
 * @returns microseconds until the last of those that are still given time; 0 when there is none
 */
export const rackDetect = (c: TcpConnection): number => {
  const cc = c.cc
  const window = reorderingWindow(c)
  let wait = 0
  let next: SendRecord | null = null
  for (let record = cc.oldestSent; record !== null; record = next) {
    next = record.later
    if ((record.sacked & (Sacked.Lost | Sacked.Retransmitted)) === Sacked.Lost) continue
    if (!sentAfter(cc.rackSentAt, cc.rackEnd, record.sentAt, record.end)) break
    const remaining = rackRemaining(c, record, window)
    if (remaining <= 0) {
      markLost(c, record)
      unlinkSent(cc, record)
    } else wait = Math.max(wait, remaining)
  }
  return wait
}

/** Marks losses after an ACK. @returns whether a timer was set for segments that are given time */
const rackMark = (c: TcpConnection): boolean => {
  const cc = c.cc
  if (!cc.rackAdvanced) return false
  cc.rackAdvanced = false
  const wait = rackDetect(c)
  if (wait === 0) return false
  armRetransmit(c, Pending.Reorder, Math.min(wait + SETTLING_SLACK, c.rtt.rto))
  return true
}

/** A DSACK shows that the reordering window was too small: enlarge it for the next sixteen recoveries (step 4). */
export const updateReorderingWindow = (c: TcpConnection, priorDelivered: number): void => {
  const cc = c.cc
  if (priorDelivered < 0 || (c.layer.settings.tcp_recovery & Recovery.StaticWindow) !== 0) return
  // One step a round trip is enough.
  if (priorDelivered < cc.rackRoundDelivered) cc.rackDsackSeen = false
  if (cc.rackDsackSeen) {
    cc.rackWindowSteps = Math.min(255, cc.rackWindowSteps + 1)
    cc.rackDsackSeen = false
    cc.rackRoundDelivered = cc.delivered
    cc.rackPersist = RECOVERIES_THAT_KEEP_WINDOW
  } else if (cc.rackPersist === 0) cc.rackWindowSteps = 1
}

export const RECOVERIES_THAT_KEEP_WINDOW = 16

/** Without SACK: the first segment is lost after three duplicate ACKs, and at each partial ACK in recovery. */
const newRenoMark = (c: TcpConnection, advanced: boolean): void => {
  const cc = c.cc
  const starts = cc.state < CaState.Recovery && cc.sackedOut >= cc.reordering
  if (!starts && !(cc.state === CaState.Recovery && advanced)) return
  const queue = c.queue!
  const head = queue.firstSent
  if (head === null || (head.sacked & Sacked.Lost) !== 0) return
  const mss = head.segmentSize
  if (head.segments > 1 && head.dataLength > mss) splitRecord(c, queue, 0, mss, mss)
  markLost(c, head)
}

/** RFC 6675, IsLost: at least three segments above it have been SACKed. */
const sackMark = (c: TcpConnection): void => {
  const cc = c.cc
  const queue = c.queue!
  let above = cc.sackedOut
  for (let i = 0; i < queue.sentCount; i++) {
    const record = queue.at(i)
    if ((record.sacked & Sacked.Acked) !== 0) above -= record.segments
    if (above < cc.reordering) return
    if ((record.sacked & Sacked.Lost) === 0) markLost(c, record)
  }
}

/** What `identifyLosses` found, as bits. */
export const Found = { SettlingTimer: 1, LostRetransmission: 2 } as const

/** Marks what this ACK shows to be lost. @param advanced did SND.UNA move */
export const identifyLosses = (c: TcpConnection, advanced: boolean): number => {
  const queue = c.queue
  if (queue === null || queue.sentCount === 0) return 0
  if (!c.has(Feature.Sack)) {
    newRenoMark(c, advanced)
    return 0
  }
  if (!usesRack(c)) {
    sackMark(c)
    return 0
  }
  const before = c.cc.retransOut
  let found = rackMark(c) ? Found.SettlingTimer : 0
  if (before > c.cc.retransOut) found |= Found.LostRetransmission
  return found
}
