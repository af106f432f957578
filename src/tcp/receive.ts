import { Readiness } from '../core/readiness.ts'
import { seqGeq, seqGt, seqLeq, seqLt } from '../core/seq.ts'
import { Drop } from '../wire/drop.ts'
import { Ecn } from '../wire/ip.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { EcnFlag } from './congestion/state.ts'
import {
  AckPending,
  Feature,
  RECEIVE_ROUND,
  type ReceiveVariables,
  SackReport,
  Shutdown,
  type TcpConnection,
} from './connection.ts'
import { UrgentState } from './connection-fields.ts'
import { dataArrived, enterQuickAckMode, MAX_QUICK_ACKS, sendAck } from './delayed-ack.ts'
import { setState } from './finish.ts'
import { dropUrgentByte, isAtMark } from './read.ts'
import { Reassembly } from './reassembly.ts'
import type { Segment } from './segment.ts'
import { AFTER, TcpState } from './state.ts'
import { enterTimeWait } from './time-wait.ts'
import {
  estimateMss,
  growWindow,
  measureReceiverRtt,
  measureReceiverRttByEcho,
  openWindow,
  receiveQueued,
  startTuning,
  windowOfSpace,
} from './window.ts'

/** The sixth to eighth step of RFC 9293 section 3.10.7.4: urgent data, text, FIN. */

/**
 * Queues the text of a segment that passed the checks: in order to the receive queue, out of order to its place in it.
 * @returns `Drop.none`, or why nothing of it was taken
 */
export const receiveText = (c: TcpConnection, segment: Segment): number => {
  const { rcv } = c
  if (segment.length === 0) return Drop.none
  if (segment.seq === rcv.nxt) {
    // Some peers send nothing but FIN, over and over, into a window that is shut: it needs no room.
    const needsRoom = segment.dataLength > 0 || !segment.has(TcpFlag.Fin)
    return needsRoom && openWindow(c) === 0 ? zeroWindow(c) : receiveInOrder(c, segment)
  }
  if (!seqGt(segment.end, rcv.nxt)) {
    // Known already: the peer has not seen our ACK.
    c.layer.mib.tcpExt.DelayedACKLost++
    reportDuplicate(c, segment.seq, segment.end)
    enterQuickAckMode(c, MAX_QUICK_ACKS)
    rcv.pending |= AckPending.Scheduled
    return Drop['tcp-overlap']
  }
  if (!seqLt(segment.seq, (rcv.nxt + openWindow(c)) | 0)) {
    enterQuickAckMode(c, MAX_QUICK_ACKS)
    rcv.pending |= AckPending.Scheduled
    c.layer.mib.tcpExt.BeyondWindow++
    return Drop['tcp-out-of-window']
  }
  if (seqLt(segment.seq, rcv.nxt)) {
    // The front is known, the rest is new.
    reportDuplicate(c, segment.seq, rcv.nxt)
    if (openWindow(c) === 0) return zeroWindow(c)
    segment.trimFront((rcv.nxt - segment.seq) | 0)
    return receiveInOrder(c, segment)
  }
  return receiveOutOfOrder(c, segment)
}

/** Moves RCV.NXT, and notes when it has gone round. */
const advanceNxt = (rcv: ReceiveVariables, count: number): void => {
  rcv.nxt = (rcv.nxt + count) | 0
  if ((rcv.nxt - rcv.irs) >>> 0 < count) rcv.pending += RECEIVE_ROUND
}

const zeroWindow = (c: TcpConnection): number => {
  enterQuickAckMode(c, MAX_QUICK_ACKS)
  c.rcv.pending |= AckPending.Scheduled
  c.layer.mib.tcpExt.TCPZeroWindowDrop++
  return Drop['tcp-zero-window']
}

const receiveInOrder = (c: TcpConnection, segment: Segment): number => {
  const { rcv, layer } = c
  const room = roomFor(c)
  if (segment.dataLength > room) segment.trimBack(room)
  const length = segment.dataLength
  if (length > 0) {
    if (layer.isExhausted && c.receiveQueueBytes > 0) {
      // Not even an ACK: it comes again, when there may be memory.
      layer.mib.tcpExt.TCPRcvQDrop++
      c.ready(Readiness.In)
      return Drop['no-memory']
    }
    if (!queueText(c, segment, length)) return Drop['no-memory']
  }
  if (segment.has(TcpFlag.Fin)) {
    advanceNxt(rcv, 1)
    receiveFin(c)
  }
  if (c.reassembly !== null) closeGap(c, c.reassembly)
  if (length > 0) tellOfText(c)
  return Drop.none
}

/** Takes the text of a segment that is expected (see prediction.ts). @returns as `receiveText` does */
export const receiveExpectedText = (c: TcpConnection, segment: Segment): number => {
  if (!queueText(c, segment, segment.dataLength)) return Drop['no-memory']
  tellOfText(c)
  return Drop.none
}

/** Puts text in order in the queue, all of which has room. @returns false when memory is out */
const queueText = (c: TcpConnection, segment: Segment, length: number): boolean => {
  const { rcv, layer } = c
  if (!c.ownReceiveRing().appendFrom(segment.dataStart, length)) return false
  layer.queuedBytes += length
  advanceNxt(rcv, length)
  c.arrivals?.note(rcv.nxt, layer.loop.now)
  noteArrival(c, segment)
  return true
}

/** Wakes the reader, if there is enough for him. */
const tellOfText = (c: TcpConnection): void => {
  const bytes = c.receiveQueueBytes
  if (bytes >= c.options.receiveLowat || bytes >= windowOfSpace(c, c.receiveBuffer)) c.ready(Readiness.In)
}

/** Takes the text that came with the peer's SYN, and a FIN behind it (RFC 7413 section 4.2). */
export const receiveSynText = (c: TcpConnection, segment: Segment): void => {
  segment.trimFront(1)
  if (segment.length === 0) return
  const length = segment.dataLength
  if (length > 0 && !c.ownReceiveRing().appendFrom(segment.dataStart, length)) return
  c.layer.queuedBytes += length
  c.rcv.nxt = (c.rcv.nxt + length) | 0
  c.features |= Feature.FastOpen
  if (segment.has(TcpFlag.Fin)) {
    c.rcv.nxt = segment.end
    receiveFin(c)
  } else c.ready(Readiness.In)
}

/** How many bytes in order the queue takes: what was announced in any case. */
const roomFor = (c: TcpConnection): number =>
  Math.max(windowOfSpace(c, c.receiveBuffer) - receiveQueued(c), openWindow(c))

/** What every arrival of data changes beside the queue: delayed ACK, estimates, ECN, the announced window's growth. */
const noteArrival = (c: TcpConnection, segment: Segment): void => {
  estimateMss(c, segment)
  const tuning = c.tuning ?? startTuning(c)
  measureReceiverRtt(c, tuning)
  measureReceiverRttByEcho(c, tuning, segment)
  dataArrived(c)
  checkCongestionExperienced(c, segment)
  if (segment.dataLength >= 128) growWindow(c, segment.dataLength)
}

/** A router has marked the segment: tell the peer until it says that it has slowed down (RFC 3168 section 6.1.3). */
const checkCongestionExperienced = (c: TcpConnection, segment: Segment): void => {
  if (!c.has(Feature.Ecn)) return
  if (segment.ecn === Ecn.NotEct) {
    // Without the mark that the others carry it is probably a retransmission.
    if ((c.cc.ecn & EcnFlag.Seen) !== 0) enterQuickAckMode(c, 2)
    return
  }
  const cc = c.ownCongestionState()
  if (segment.ecn === Ecn.Ce && (cc.ecn & EcnFlag.DemandCwr) === 0) {
    enterQuickAckMode(c, 2)
    cc.ecn |= EcnFlag.DemandCwr
  }
  cc.ecn |= EcnFlag.Seen
}

/** The segment in front of what waits out of order has come, or part of it: count what follows without a gap. */
const closeGap = (c: TcpConnection, reassembly: Reassembly): void => {
  const { rcv } = c
  const before = rcv.nxt
  if (reassembly.hasFin && seqLt(reassembly.finSeq, before)) {
    // Data in the place of a FIN: the peer contradicts itself, and nothing that came early can be trusted.
    dropOutOfOrder(c)
    return
  }
  reportOverlap(c, reassembly, before)
  let end = reassembly.advance(before)
  const hasFin = reassembly.hasFin && seqLt(reassembly.finSeq, end)
  // What the peer has sent beyond its FIN is nothing.
  if (hasFin) end = reassembly.finSeq
  const moved = (end - before) | 0
  if (moved > 0) {
    c.receiveRing!.extend(moved)
    c.layer.queuedBytes += moved
    advanceNxt(rcv, moved)
    c.arrivals?.note(end, c.layer.loop.now)
  }
  // All gaps are closed: tell at once (RFC 5681 section 4.2).
  if (reassembly.count === 0 || hasFin) rcv.pending |= AckPending.Now
  if (hasFin) {
    advanceNxt(rcv, 1)
    receiveFin(c)
    return
  }
  if (reassembly.count === 0) c.reassembly = null
  pruneSackBlocks(c)
}

/** What the segment in front had in common with what came early has come twice. */
const reportOverlap = (c: TcpConnection, reassembly: Reassembly, next: number): void => {
  for (let i = 0; i < reassembly.count && seqLt(reassembly.startAt(i), next); i++) {
    const end = reassembly.endAt(i)
    extendDuplicate(c, reassembly.startAt(i), seqLt(end, next) ? end : next)
  }
}

const receiveOutOfOrder = (c: TcpConnection, segment: Segment): number => {
  const { rcv, layer } = c
  checkCongestionExperienced(c, segment)
  rcv.pending |= AckPending.Scheduled
  const length = segment.dataLength
  const end = (segment.seq + length) | 0
  const limit = windowOfSpace(c, c.receiveBuffer)
  if (((end - rcv.copied) | 0) > Math.max(limit, openWindow(c) + receiveQueued(c))) {
    layer.mib.tcpExt.TCPOFODrop++
    return Drop['tcp-receive-buffer-full']
  }
  if (layer.isExhausted) {
    layer.mib.tcpExt.TCPOFODrop++
    return Drop['no-memory']
  }
  c.reassembly ??= new Reassembly()
  const reassembly = c.reassembly
  if (reassembly.count >= MAX_RANGES) {
    layer.mib.tcpExt.TCPOFODrop++
    return Drop['tcp-receive-buffer-full']
  }
  layer.mib.tcpExt.TCPOFOQueue++
  c.outOfOrderIn += segment.segments
  if (length > 0 && !c.ownReceiveRing().place(segment.dataStart, length, (segment.seq - rcv.copied) | 0)) {
    if (reassembly.count === 0) c.reassembly = null
    return Drop['no-memory']
  }
  if (reassembly.overlaps(segment.seq, segment.end)) {
    reportDuplicate(c, reassembly.lastStart, reassembly.lastEnd)
    layer.mib.tcpExt.TCPOFOMerge++
  }
  reassembly.insert(segment.seq, segment.end)
  if (segment.has(TcpFlag.Fin)) reassembly.noteFin(end)
  if (length > 0) estimateMss(c, segment)
  if (c.has(Feature.Sack)) {
    addSackBlock(c, reassembly.lastStart, reassembly.lastEnd)
    // Without SACK the window stays as it is, so that the ACKs are seen to be duplicates.
    if (length > 0) growWindow(c, length)
  }
  return Drop.none
}

/** Ranges kept beyond the first gap: each costs time when another is put among them. */
const MAX_RANGES = 16_384

// SACK, receiving side (RFC 2018 section 4).

/** Puts the block that has just grown first; it takes in those that it covers or touches. */
const addSackBlock = (c: TcpConnection, start: number, end: number): void => {
  c.sacks ??= new SackReport()
  const sacks = c.sacks
  const { blocks } = sacks
  let kept = 0
  // Keep, in order, the blocks that the new one does not cover.
  for (let i = 0; i < sacks.count; i++) {
    const left = blocks[i * 2]!
    const right = blocks[i * 2 + 1]!
    if (seqLeq(start, right) && seqGeq(end, left)) continue
    blocks[kept * 2] = left
    blocks[kept * 2 + 1] = right
    kept++
  }
  // A third block may not reach the peer beside what it has not heard of yet: tell it of that first.
  if (kept >= EXPECTED_BLOCKS && sacks.compressed > 0) {
    c.layer.mib.tcpExt.TCPAckCompressed += sacks.compressed - 1
    sacks.compressed = 0
    sendAck(c)
    c.rcv.pending |= AckPending.Scheduled
  }
  if (kept === 4) kept = 3
  blocks.copyWithin(2, 0, kept * 2)
  blocks[0] = start
  blocks[1] = end
  sacks.count = kept + 1
}

const EXPECTED_BLOCKS = 2

/** Drops the blocks that RCV.NXT has passed. */
const pruneSackBlocks = (c: TcpConnection): void => {
  const sacks = c.sacks
  if (sacks === null) return
  if (c.reassembly === null || c.reassembly.count === 0) {
    sacks.count = 0
    return
  }
  let kept = 0
  for (let i = 0; i < sacks.count; i++) {
    if (!seqLt(c.rcv.nxt, sacks.blocks[i * 2]!)) continue
    sacks.blocks[kept * 2] = sacks.blocks[i * 2]!
    sacks.blocks[kept * 2 + 1] = sacks.blocks[i * 2 + 1]!
    kept++
  }
  sacks.count = kept
}

/** Has the next ACK report a duplicate (RFC 2883), in place of one that was not reported yet. */
export const reportDuplicate = (c: TcpConnection, start: number, end: number): void => {
  if (!c.has(Feature.Sack) || !c.layer.settings.tcp_dsack) return
  const counters = c.layer.mib.tcpExt
  if (seqLt(start, c.rcv.nxt)) counters.TCPDSACKOldSent++
  else counters.TCPDSACKOfoSent++
  c.sacks ??= new SackReport()
  const sacks = c.sacks
  sacks.hasDuplicate = true
  sacks.duplicateStart = start
  sacks.duplicateEnd = end
}

/**
 * The same, but a duplicate that was not reported yet stays: it takes
 * this one in if they touch, else this one is let go.
 */
const extendDuplicate = (c: TcpConnection, start: number, end: number): void => {
  const { sacks } = c
  if (sacks === null || !sacks.hasDuplicate) {
    reportDuplicate(c, start, end)
    return
  }
  if (seqGt(start, sacks.duplicateEnd) || seqGt(sacks.duplicateStart, end)) return
  if (seqLt(start, sacks.duplicateStart)) sacks.duplicateStart = start
  if (seqGt(end, sacks.duplicateEnd)) sacks.duplicateEnd = end
}

// FIN.

/** The peer sends no more (RFC 9293 section 3.10.7.4, eighth step). */
const receiveFin = (c: TcpConnection): void => {
  c.rcv.pending |= AckPending.Scheduled
  c.shutdown |= Shutdown.Receive
  c.receivedFin = true
  const next = AFTER['receive FIN'][c.state]!
  switch (c.state) {
    case TcpState.SynReceived:
    case TcpState.Established:
      setState(c, next)
      // Its program will close soon: the ACK can wait for our FIN.
      c.rcv.pingpong = Math.max(c.rcv.pingpong, 1)
      break
    case TcpState.FinWait1:
      sendAck(c)
      setState(c, next)
      break
    case TcpState.FinWait2:
      sendAck(c)
      dropOutOfOrder(c)
      enterTimeWait(c, TcpState.TimeWait, 0)
      return
  }
  dropOutOfOrder(c)
  c.ready(Readiness.In | Readiness.RdHup | (c.shutdown === Shutdown.Both ? Readiness.Hup : 0))
}

/** What came from beyond the FIN is nothing. */
const dropOutOfOrder = (c: TcpConnection): void => {
  if (c.reassembly !== null) {
    c.reassembly = null
    c.receiveRing?.forgetAhead()
  }
  if (c.sacks !== null) c.sacks.count = 0
}

// Urgent data.

/** Looks at the urgent pointer, and takes the urgent byte when it is here (RFC 9293 section 3.8.5). */
export const receiveUrgent = (c: TcpConnection, segment: Segment): void => {
  if (segment.has(TcpFlag.Urg)) checkUrgentPointer(c, segment)
  const { urgent } = c
  if (urgent === null || urgent.stage !== 'announced') return
  const at = (urgent.seq - segment.seq - (segment.has(TcpFlag.Syn) ? 1 : 0)) | 0
  if (at < 0 || at >= segment.dataLength) return
  urgent.byte = c.layer.world.memory.u8[segment.dataStart + at]!
  urgent.stage = 'here'
  c.ready(Readiness.Pri)
}

const checkUrgentPointer = (c: TcpConnection, segment: Segment): void => {
  const { rcv } = c
  // The field points behind the urgent byte, or, by the letter of RFC 1122, at it (tcp_stdurg).
  let pointer = segment.urgent
  if (pointer > 0 && !c.layer.settings.tcp_stdurg) pointer--
  const seq = (segment.seq + pointer) | 0
  if (seqGt(rcv.copied, seq) || seqLt(seq, rcv.nxt)) return
  if (c.urgent !== null && !seqGt(seq, c.urgent.seq)) return
  c.observer?.urgent()
  // At the mark of an urgent byte: it must not turn into ordinary data because another is announced. Elsewhere it does.
  if (isAtMark(c) && !c.options.oobInline && c.receiveRing !== null && c.receiveRing.length > 0) dropUrgentByte(c)
  c.urgent ??= new UrgentState()
  c.urgent.seq = seq
  c.urgent.stage = 'announced'
}
