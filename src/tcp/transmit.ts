import { Errno } from '../core/errno.ts'
import { type Frame, FrameChecksum } from '../core/frame.ts'
import type { Memory } from '../core/memory.ts'
import type { Ring } from '../core/ring.ts'
import { seqLt } from '../core/seq.ts'
import { SendFlag } from '../ip/output.ts'
import { PathMtuDiscovery } from '../udp/options.ts'
import { checksumOf, foldSum, sumBytes, sumWord } from '../wire/checksum.ts'
import { Ecn, IpProtocol } from '../wire/ip.ts'
import {
  emitTcp,
  FastOpenForm,
  TCP_MAX_HEADER,
  TCP_MIN_HEADER,
  TcpFlag,
  type TcpHeader,
  tcpOptionsLength,
} from '../wire/tcp.ts'
import { CwndEvent } from './congestion/control.ts'
import { EcnFlag } from './congestion/state.ts'
import { AckPending, Feature, type TcpConnection, TxStage } from './connection.ts'
import { findMd5Key, fitsSigned, signSegment, signs } from './md5.ts'
import { ALIGNED_TIMESTAMPS_LENGTH, advertisedMss, refreshDestination, sackBlocksToSend } from './mss.ts'
import { paceAfter } from './pacing.ts'
import { enterCwr } from './reduction.ts'
import { RecordMark, type SendRecord } from './send-queue.ts'
import { TcpState } from './state.ts'
import { DELAYED_ACK_MIN } from './timers.ts'
import { MAX_UNSCALED, selectWindow } from './window.ts'

/**
 * Where segments are made: every segment of a connection leaves through `emit`. What may leave is decided in output.ts.
 */

/**
 * Sends a record, or its first `length` bytes, cut into segments if the link does not do that itself.
 * @returns 0, or the `Errno` with which the first segment failed
 */
export const transmitRecord = (c: TcpConnection, record: SendRecord, mss: number): number => {
  const { snd } = c
  const length = record.dataLength
  const ringAt = (record.seq - snd.ringSeq) | 0
  const isNew = !seqLt(record.seq, snd.nxt)
  let flags = record.flags | TcpFlag.Ack
  // Whoever puts segments together again on the way must not wait for more behind the record's last (Linux does so).
  if (record.segments > 1) flags |= TcpFlag.Psh
  if ((flags & TcpFlag.Syn) !== 0 && c.state === TcpState.SynSent) flags &= ~TcpFlag.Ack
  if (length > 0 && isNew && (c.cc.ecn & EcnFlag.QueueCwr) !== 0 && c.has(Feature.Ecn)) {
    c.cc.ecn &= ~EcnFlag.QueueCwr
    flags |= TcpFlag.Cwr
  }
  const carriesEct = isNew && length > 0
  let errno = 0
  if (length <= mss || fitsOffload(c, length)) {
    errno = emit(c, flags, record.seq, ringAt, length, length <= mss ? 0 : mss, carriesEct)
  } else {
    for (let at = 0; at < length; at += mss) {
      const size = Math.min(mss, length - at)
      let segmentFlags = flags
      if (at > 0) segmentFlags &= ~TcpFlag.Cwr
      if (at + size < length) segmentFlags &= ~(TcpFlag.Psh | TcpFlag.Fin)
      const failed = emit(c, segmentFlags, (record.seq + at) | 0, ringAt + at, size, 0, carriesEct)
      // If the first segment left, what holds up another is a loss like any other.
      if (at === 0 && failed !== 0) {
        errno = failed
        break
      }
    }
  }
  if (errno === 0 && length > 0) {
    dataSent(c, record)
    paceAfter(c, length)
  }
  if (errno === 0 && (record.marks & RecordMark.Stamps) !== 0) {
    if ((record.marks & RecordMark.StampScheduled) !== 0) c.observer?.stamped(TxStage.Scheduled, record.stampSeq)
    if ((record.marks & RecordMark.StampSent) !== 0) c.observer?.stamped(TxStage.Sent, record.stampSeq)
  }
  return errno
}

/**
 * Sends a record of one segment of a connection without ECN: what `transmitRecord` comes to for it.
 * @returns 0 or an `Errno`
 */
export const transmitAlone = (c: TcpConnection, record: SendRecord): number => {
  const { seq } = record
  const length = (record.end - seq) | 0
  const errno = emit(c, record.flags | TcpFlag.Ack, seq, (seq - c.snd.ringSeq) | 0, length, 0, false)
  if (errno === 0) {
    dataSent(c, record)
    paceAfter(c, length)
  }
  return errno
}

/** Sends a SYN with the data of the record behind it (RFC 7413 section 4.2.1). @returns 0 or an `Errno` */
export const transmitSynData = (c: TcpConnection, syn: SendRecord, data: SendRecord): number => {
  const errno = emit(c, syn.flags, syn.seq, 0, data.length, 0, false)
  if (errno === 0) dataSent(c, data)
  return errno
}

/** The most that headers take in front of a record's data. */
const HEADERS = 120

/** Does the link take a record of `length` bytes whole and cut it itself? */
const fitsOffload = (c: TcpConnection, length: number): boolean => {
  // A link that cuts segments cannot sign them.
  if (c.destination === null || c.options.md5Keys.length > 0) return false
  const { maxSegmentedPacket } = c.destination.interface.port.features
  return maxSegmentedPacket > 0 && length + HEADERS <= maxSegmentedPacket
}

/**
 * Data has left, for the first time or again: does the congestion
 * control's clock run on, is the connection interactive?
 */
const dataSent = (c: TcpConnection, record: SendRecord): void => {
  const cc = c.cc
  const now = c.layer.loop.nowMs32
  cc.dataSegmentsSent += record.segments
  cc.bytesSent += record.dataLength
  if (cc.inFlight === 0) c.control.event?.(c, CwndEvent.TransmitStart)
  c.snd.lastSentMs = now
  // A reply within the delayed-ACK time: ACKs can ride on replies.
  if (((now - c.rcv.lastDataMs) | 0) * 1000 < c.rcv.ato && c.rcv.pingpong < 255) c.rcv.pingpong++
}

/** Sends an ACK without data. @returns 0 or an `Errno` */
export const sendBareAck = (c: TcpConnection): number => sendControl(c, TcpFlag.Ack, acceptableSequence(c))

/** Tells the peer that the connection is over, as far as it is concerned (RFC 9293 section 3.10.5). */
export const sendResetSegment = (c: TcpConnection): void => {
  c.layer.mib.tcp.OutRsts++
  sendControl(c, TcpFlag.Rst | TcpFlag.Ack, acceptableSequence(c))
}

/** SND.NXT, or the end of the peer's window where that has shrunk below it: what the peer takes to be in its window. */
const acceptableSequence = (c: TcpConnection): number => {
  const { snd } = c
  const beyond = (snd.nxt - snd.una - snd.wnd) | 0
  // A window that was rounded down to its scale has not shrunk.
  const isRounding = c.has(Feature.WindowScale) && beyond < 1 << c.rcv.wndScale
  return beyond <= 0 || isRounding ? snd.nxt : (snd.una + snd.wnd) | 0
}

/** Sends a segment without data that takes no sequence space, with the sequence number given. */
const sendControl = (c: TcpConnection, flags: number, seq: number): number => emit(c, flags, seq, 0, 0, 0, false)

/**
 * Draws an ACK with a sequence number that the peer has acknowledged
 * already; tells of urgent data too, if there is any.
 */
export const sendOldSequence = (c: TcpConnection): number => {
  const { snd } = c
  const ahead = (snd.urgentSeq - snd.una) | 0
  if (ahead > 0 && ahead <= 0xffff) sendControl(c, TcpFlag.Ack, snd.una)
  return sendControl(c, TcpFlag.Ack, (snd.una - 1) | 0)
}

/** Draws an ACK with the first byte of `record`, which lies beyond the peer's window (RFC 9293 section 3.8.6.1). */
export const sendByteBeyondWindow = (c: TcpConnection, record: SendRecord): number => {
  if ((record.flags & TcpFlag.Fin) !== 0 && record.length === 1) return sendOldSequence(c)
  c.probeByteOut = true
  return emit(c, TcpFlag.Ack | TcpFlag.Psh, record.seq, (record.seq - c.snd.ringSeq) | 0, 1, 0, false)
}

/**
 * Builds one segment and gives it to IP.
 * @param ringAt where its data begins in the send ring
 * @param length bytes of data
 * @param segmentSize bytes of data in each segment that the link is to make of it; 0 when it is one
 * @param carriesEct may it be marked by routers: new data of a
 *   connection that does ECN (RFC 3168 section 6.1.4 and 6.1.5)
 * @returns 0 or an `Errno`
 */
const emit = (
  c: TcpConnection,
  flags: number,
  seq: number,
  ringAt: number,
  length: number,
  segmentSize: number,
  carriesEct: boolean,
): number => {
  const { layer } = c
  refreshDestination(c)
  const destination = c.destination
  if (destination === null) return Errno.EHOSTUNREACH
  if (destination.interface.port.isFull === true) {
    enterCwr(c)
    return Errno.ENOBUFS
  }
  // Before the header is filled in: what that notes as sent must have been.
  const frame = layer.world.frames.allocate(TCP_MAX_HEADER + length)
  if (frame === null) return Errno.ENOBUFS
  const offloads = destination.interface.port.features.checksumOffload
  if (layer.predicts && isPlain(c, flags, seq)) writePlain(c, frame, offloads, flags, seq, ringAt, length)
  else writeAny(c, frame, offloads, flags, seq, ringAt, length)
  frame.segmentSize = segmentSize
  const segments = segmentSize > 0 ? Math.ceil(length / segmentSize) : 1
  layer.mib.tcp.OutSegs += segments
  c.segmentsOut += segments
  c.snd.lastSentAt = layer.loop.now32
  if ((flags & TcpFlag.Ack) !== 0) ackSent(c)
  let trafficClass = c.options.trafficClass
  if (carriesEct && c.has(Feature.Ecn)) trafficClass |= Ecn.Ect0
  const { hopLimit, pathMtuDiscovery } = c.options
  const ipFlags = pathMtuDiscovery === PathMtuDiscovery.Want ? SendFlag.DontFragment : fragmentFlags(c)
  // Not with a sign before it: -0 is a number that V8 has to allocate.
  return 0 - layer.ip.send(frame, destination, c.local, IpProtocol.Tcp, hopLimit, trafficClass, ipFlags)
}

/** What IP is to know of segments that are sent with another value of IP_MTU_DISCOVER than the usual one. */
const fragmentFlags = (c: TcpConnection): number => {
  if (!c.remote.isIpv4) return SendFlag.DontFragment
  return c.options.pathMtuDiscovery === PathMtuDiscovery.Do ? SendFlag.DontFragment | SendFlag.EvenLocked : 0
}

/** Has the header no options but time stamps, and none of the rare flags? */
const isPlain = (c: TcpConnection, flags: number, seq: number): boolean =>
  (flags & (TcpFlag.Syn | TcpFlag.Ack)) === TcpFlag.Ack &&
  !c.has(Feature.Ecn) &&
  (c.sacks === null || (c.sacks.count === 0 && !c.sacks.hasDuplicate)) &&
  !seqLt(seq, c.snd.urgentSeq) &&
  c.options.md5Keys.length === 0

/** NOP, NOP, time stamps, length 10. */
const TIMESTAMPS_HIGH = 0x0101
const TIMESTAMPS_LOW = 0x080a

/**
 * Writes a plain segment into `frame`: its header straight from the connection's variables, whose sum is taken on the
 * way.
 * @param offloads does the link compute the checksum?
 */
const writePlain = (
  c: TcpConnection,
  frame: Frame,
  offloads: boolean,
  flags: number,
  seq: number,
  ringAt: number,
  length: number,
): void => {
  const { layer, rcv } = c
  const { memory } = layer.world
  const stamped = c.has(Feature.Timestamps)
  const headerLength = stamped ? TCP_MIN_HEADER + ALIGNED_TIMESTAMPS_LENGTH : TCP_MIN_HEADER
  const start = frame.transport
  const data = start + headerLength
  frame.end = data + length
  const window = selectWindow(c)
  const ack = rcv.nxt
  const marks = (headerLength << 10) | flags
  let sum = c.pseudoSum + headerLength + length
  const pseudo = sum
  const { view } = memory
  view.setInt32(start, (c.localPort << 16) | c.remotePort)
  view.setInt32(start + 4, seq)
  view.setInt32(start + 8, ack)
  view.setInt32(start + 12, (marks << 16) | window)
  sum += c.localPort + c.remotePort + sumWord(seq) + sumWord(ack) + marks + window
  if (stamped) {
    const now = (layer.loop.nowMs32 + c.timestampOffset) | 0
    const echo = rcv.tsRecent
    view.setInt32(start + 20, (TIMESTAMPS_HIGH << 16) | TIMESTAMPS_LOW)
    view.setInt32(start + 24, now)
    view.setInt32(start + 28, echo)
    sum += TIMESTAMPS_HIGH + TIMESTAMPS_LOW + sumWord(now) + sumWord(echo)
  }
  if (offloads) {
    if (length > 0) c.sendRing!.copyTo(data, ringAt, length)
    frame.checksum = FrameChecksum.Partial
    view.setInt32(start + 16, foldSum(pseudo) << 16)
    return
  }
  if (length > 0) sum += copyAndSum(memory, c.sendRing!, ringAt, length, data)
  view.setInt32(start + 16, checksumOf(sum) << 16)
}

/** Writes any segment into `frame`. */
const writeAny = (
  c: TcpConnection,
  frame: Frame,
  offloads: boolean,
  flags: number,
  seq: number,
  ringAt: number,
  length: number,
): void => {
  const { layer } = c
  const { out } = layer
  fillHeader(c, out, flags, seq)
  const md5Key = c.options.md5Keys.length === 0 ? null : findMd5Key(c.options.md5Keys, c.remote)
  if (md5Key !== null) out.md5At = 0
  const cookie = out.fastOpen === FastOpenForm.None ? null : c.fastOpen!.offer!.cookie
  const headerLength = TCP_MIN_HEADER + tcpOptionsLength(out, cookie)
  const start = frame.transport
  const data = start + headerLength
  frame.end = data + length
  const { memory } = layer.world
  const pseudo = foldSum(c.pseudoSum + headerLength + length)
  let dataSum = 0
  if (offloads) {
    if (length > 0) c.sendRing!.copyTo(data, ringAt, length)
    frame.checksum = FrameChecksum.Partial
  } else if (length > 0) dataSum = copyAndSum(memory, c.sendRing!, ringAt, length, data)
  out.checksum = offloads ? pseudo : 0
  emitTcp(out, memory, start, cookie)
  if (md5Key !== null) signSegment(layer, start, frame.end, c.local, c.remote, md5Key)
  if (!offloads) memory.view.setUint16(start + 16, checksumOf(pseudo + sumBytes(memory, start, data) + dataSum))
}

/** Copies data of the send queue to `to`. @returns its partial checksum */
const copyAndSum = (memory: Memory, ring: Ring, ringAt: number, length: number, to: number): number => {
  const from = ring.offsetOf(ringAt, length)
  if (memory.sumsCopies && from >= 0) return memory.kernels!.copySum(from, from + length, to)
  ring.copyTo(to, ringAt, length)
  return sumBytes(memory, to, to + length)
}

const fillHeader = (c: TcpConnection, out: TcpHeader, flags: number, seq: number): void => {
  const { snd, rcv } = c
  out.sourcePort = c.localPort
  out.destinationPort = c.remotePort
  out.seq = seq
  out.ack = (flags & TcpFlag.Ack) !== 0 ? rcv.nxt : 0
  out.urgent = 0
  out.clearOptions()
  if ((flags & TcpFlag.Syn) !== 0) {
    out.flags = flags
    // The window of a SYN is never scaled (RFC 7323 section 2.2).
    out.window = Math.min(rcv.wnd, MAX_UNSCALED)
    fillSynOptions(c, out)
    return
  }
  out.window = selectWindow(c)
  if (c.has(Feature.Ecn) && (c.cc.ecn & EcnFlag.DemandCwr) !== 0) flags |= TcpFlag.Ece
  if (c.has(Feature.Timestamps)) {
    out.hasTimestamps = true
    out.timestamp = (c.layer.loop.nowMs32 + c.timestampOffset) | 0
    out.timestampEcho = rcv.tsRecent
  }
  if (c.sacks !== null) fillSackBlocks(c, out)
  // Urgent data lies ahead: point behind its last byte, or as far as the field reaches (RFC 6093 section 2.3).
  if (snd.urgentSeq !== snd.una && seqLt(seq, snd.urgentSeq)) {
    const distance = (snd.urgentSeq - seq) | 0
    if (distance < 0x1_0000) {
      out.urgent = distance
      flags |= TcpFlag.Urg
    } else if (((seq + 0xffff - snd.nxt) | 0) > 0) {
      out.urgent = 0xffff
      flags |= TcpFlag.Urg
    }
  }
  out.flags = flags
}

/**
 * What a SYN offers: MSS, window scale, SACK, timestamps (RFC 7323, 2018). The SYN+ACK of a simultaneous open offers it
 * again, whatever the peer's SYN has offered, as on Linux.
 */
const fillSynOptions = (c: TcpConnection, out: TcpHeader): void => {
  const { settings } = c.layer
  out.mss = advertisedMss(c)
  // There is no room for both (RFC 2385 section 4.5), as Linux sees it.
  if (settings.tcp_timestamps && !signs(c.options.md5Keys, c.remote)) {
    out.hasTimestamps = true
    out.timestamp = (c.layer.loop.nowMs32 + c.timestampOffset) | 0
    out.timestampEcho = c.rcv.tsRecent
  }
  if (settings.tcp_window_scaling) out.windowScale = c.offeredScale
  if (settings.tcp_sack) out.sackPermitted = true
  const offer = c.fastOpen === null ? null : c.fastOpen.offer
  if (offer === null || c.state !== TcpState.SynSent) return
  out.fastOpen = offer.experimental ? FastOpenForm.Experimental : FastOpenForm.Standard
  if (!fitsSigned(out, offer.cookie, c.options.md5Keys, c.remote)) out.fastOpen = FastOpenForm.None
}

const fillSackBlocks = (c: TcpConnection, out: TcpHeader): void => {
  const sacks = c.sacks!
  const count = sackBlocksToSend(c)
  if (count === 0) return
  let at = 0
  if (sacks.hasDuplicate) {
    out.sack[0] = sacks.duplicateStart
    out.sack[1] = sacks.duplicateEnd
    sacks.hasDuplicate = false
    at = 1
  }
  for (let i = 0; at < count; i++, at++) {
    out.sack[at * 2] = sacks.blocks[i * 2]!
    out.sack[at * 2 + 1] = sacks.blocks[i * 2 + 1]!
  }
  out.sackCount = count
}

/** An acknowledgment leaves, alone or with data: none is owed any more. */
const ackSent = (c: TcpConnection): void => {
  const { rcv, sacks } = c
  if (rcv.quick > 0 && (rcv.pending & AckPending.Scheduled) !== 0 && --rcv.quick === 0) rcv.ato = DELAYED_ACK_MIN
  if (sacks !== null && sacks.compressed > 0) {
    c.layer.mib.tcpExt.TCPAckCompressed += sacks.compressed
    sacks.compressed = 0
  }
  rcv.pending &= ~AckPending.All
  if (c.ackTimer !== null) c.layer.loop.timers.pause(c.ackTimer)
}
