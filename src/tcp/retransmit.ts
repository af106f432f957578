import { Errno } from '../core/errno.ts'
import { seqGt, seqLt } from '../core/seq.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { CaState } from './congestion/state.ts'
import { Feature, Pending, type TcpConnection } from './connection.ts'
import { currentMss, segmentsNow } from './mss.ts'
import { mtuProbeInconclusive } from './mtu-probe.ts'
import { stampRecord, windowEnd } from './output.ts'
import { mustPace } from './pacing.ts'
import { countSegments, recountSegments, splitRecord, unlinkSent } from './records.ts'
import { Sacked, type SendQueue } from './send-queue.ts'
import { armRetransmit } from './timers.ts'
import { transmitRecord } from './transmit.ts'

/** Sending again: which records, how many now, and what is noted of it. */

/**
 * Sends the record at `index` again, at most `segments` segments of it.
 * @returns 0, or the `Errno` that kept it back
 */
export const resend = (c: TcpConnection, queue: SendQueue, index: number, segments: number): number => {
  mtuProbeInconclusive(c)
  const mss = currentMss(c)
  let record = queue.at(index)
  if (seqLt(record.seq, c.snd.una)) trimFront(c, queue, index)
  record = queue.at(index)
  let window = (windowEnd(c) - record.seq) | 0
  if (window <= 0) {
    // The window has shrunk below it. The first segment goes all the same: it is a probe then.
    if (record.seq !== c.snd.una) return Errno.EAGAIN
    window = mss
  }
  let length = mss * segments
  if (length > window) length = window < mss ? window : window - (window % mss)
  if (record.dataLength > length) splitRecord(c, queue, index, length, mss)
  else {
    recountSegments(c, record, mss)
    if (record.dataLength < Math.min(window, mss)) collapse(c, queue, index, Math.min(window, mss))
  }
  // A SYN that asked for ECN and was lost may have been lost for that (RFC 3168 section 6.1.1.1).
  if ((record.flags & TcpFlag.Syn) !== 0 && c.layer.settings.tcp_ecn_fallback) {
    record.flags &= ~(TcpFlag.Ece | TcpFlag.Cwr)
  }
  const cc = c.cc
  cc.totalRetransmitted += record.segments
  cc.bytesRetransmitted += record.dataLength
  c.layer.mib.tcp.RetransSegs += record.segments
  if ((record.flags & TcpFlag.Syn) !== 0) c.layer.mib.tcpExt.TCPSynRetrans++
  const errno = transmitRecord(c, record, mss)
  // Marked in any case: a round-trip time must not be taken from a sending that never was.
  record.sacked |= Sacked.EverRetransmitted
  if (errno === 0) stampRecord(c, record)
  else c.layer.mib.tcpExt.TCPRetransFail += record.segments
  return errno
}

/** Sends the record at `index` again and counts it as in flight. @returns 0 or an `Errno` */
export const retransmit = (c: TcpConnection, index: number, segments: number): number => {
  const queue = c.sendQueue()
  const cc = c.ownCongestionState()
  const errno = resend(c, queue, index, segments)
  const record = queue.at(index)
  if (errno === 0) {
    if ((record.sacked & Sacked.Retransmitted) === 0) {
      record.sacked |= Sacked.Retransmitted
      cc.retransOut += record.segments
    }
  }
  if (c.retransmitStamp === 0) c.retransmitStamp = c.layer.loop.nowMs32 || 1
  if (cc.undoRetrans < 0) cc.undoRetrans = 0
  cc.undoRetrans += record.segments
  return errno
}

/** Sends again what is lost, as far as the congestion window allows. */
export const retransmitLost = (c: TcpConnection): void => {
  const cc = c.cc
  const queue = c.queue
  if (queue === null || cc.packetsOut === 0) return
  const most = segmentsNow(c, currentMss(c))
  let rearm = false
  let index = cc.hasRetransmitHint ? queue.indexOf(cc.retransmitHint) : 0
  cc.hasRetransmitHint = false
  for (; index < queue.sentCount; index++) {
    const record = queue.at(index)
    const room = cc.cwnd - cc.inFlight
    if (room <= 0 || cc.retransOut >= cc.lostOut) break
    if ((record.sacked & Sacked.Lost) === 0) continue
    if ((record.sacked & (Sacked.Acked | Sacked.Retransmitted)) !== 0) continue
    if (mustPace(c)) break
    if (retransmit(c, index, Math.min(room, most)) !== 0) break
    if (cc.state === CaState.Loss) c.layer.mib.tcpExt.TCPSlowStartRetrans += record.segments
    else c.layer.mib.tcpExt.TCPFastRetrans += record.segments
    if (cc.isReducing) cc.prrOut += record.segments
    if (index === 0 && c.pending !== Pending.Reorder) rearm = true
  }
  if (index < queue.sentCount) {
    cc.retransmitHint = queue.at(index).seq
    cc.hasRetransmitHint = true
  }
  if (rearm) armRetransmit(c, Pending.Retransmit, c.rtt.rto)
}

/** Cuts off what of the record has been acknowledged. */
const trimFront = (c: TcpConnection, queue: SendQueue, index: number): void => {
  const record = queue.at(index)
  if (!seqGt(c.snd.una, record.seq)) return
  record.seq = c.snd.una
  record.flags &= ~TcpFlag.Syn
  const size = record.segmentSize || c.snd.mss
  if (record.segments > 1) recountSegments(c, record, size)
}

/** Fills a small record up to `space` bytes with those that follow it, so that they are sent in one segment. */
const collapse = (c: TcpConnection, queue: SendQueue, index: number, space: number): void => {
  const cc = c.cc
  if (!c.layer.settings.tcp_retrans_collapse) return
  const record = queue.at(index)
  if (record.segments > 1 || (record.flags & TcpFlag.Syn) !== 0) return
  while (index + 1 < queue.sentCount) {
    const next = queue.at(index + 1)
    if (next.segments > 1 || (next.sacked & Sacked.Acked) !== 0) return
    if ((record.flags & TcpFlag.Fin) !== 0 || record.marks !== 0 || record.dataLength + next.dataLength > space) return
    if (seqGt(next.end, windowEnd(c))) return
    record.end = next.end
    record.flags |= next.flags
    record.marks |= next.marks
    record.stampSeq = next.stampSeq
    record.sacked |= next.sacked & Sacked.EverRetransmitted
    if ((next.sacked & Sacked.Lost) !== 0) cc.lostOut -= next.segments
    if ((next.sacked & Sacked.Retransmitted) !== 0) cc.retransOut -= next.segments
    cc.packetsOut -= next.segments
    if (cc.sackedOut > 0 && !c.has(Feature.Sack)) cc.sackedOut--
    unlinkSent(cc, next)
    queue.removeAt(index + 1)
    c.layer.records.give(next)
    countSegments(record, Math.max(record.dataLength, 1))
  }
}
