import { seqGt, seqLt } from '../core/seq.ts'
import type { IpHeader } from '../wire/ip.ts'
import { Ecn } from '../wire/ip.ts'
import { TcpFlag, TcpHeader } from '../wire/tcp.ts'

/**
 * A segment that has arrived, in the terms of RFC 9293 section 3.3.1: its header, and where its data lies. One object a
 * host is filled for segment after segment.
 */
export class Segment extends TcpHeader {
  /** SEG.LEN: bytes of data, with one for SYN and one for FIN. */
  length = 0
  /** SEG.SEQ + SEG.LEN. */
  end = 0
  /** Where the data lies in the world's memory, and how many bytes there are. */
  dataStart = 0
  dataLength = 0
  /** The IP header's ECN field. */
  ecn = 0
  /** Segments that this one stands for when it came over a link with offload; 1 otherwise. */
  segments = 1
  /** Where our sequence numbers must begin when this SYN takes over a pair of endpoints from TIME_WAIT; 0 otherwise. */
  reopenSequence = 0

  /** Derives the rest from the header and the IP packet that brought it. */
  complete(ip: IpHeader, segmentSize: number): void {
    this.dataStart = ip.payloadStart + this.headerLength
    this.dataLength = ip.payloadEnd - this.dataStart
    const flags = this.flags
    this.length = this.dataLength + ((flags & TcpFlag.Syn) !== 0 ? 1 : 0) + ((flags & TcpFlag.Fin) !== 0 ? 1 : 0)
    this.end = (this.seq + this.length) | 0
    this.ecn = ip.trafficClass & Ecn.Mask
    this.reopenSequence = 0
    this.segments = segmentSize > 0 ? Math.ceil(this.dataLength / segmentSize) : 1
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0
  }

  /** Cuts off the first `count` bytes of sequence space, which are known already. */
  trimFront(count: number): void {
    if ((this.flags & TcpFlag.Syn) !== 0) {
      this.flags &= ~TcpFlag.Syn
      count--
      this.length--
      this.seq = (this.seq + 1) | 0
    }
    this.seq = (this.seq + count) | 0
    this.dataStart += count
    this.dataLength -= count
    this.length -= count
  }

  /** Keeps the first `bytes` bytes of data; what is cut off will be sent again, FIN and all. */
  trimBack(bytes: number): void {
    const cut = this.dataLength - bytes + ((this.flags & TcpFlag.Fin) !== 0 ? 1 : 0)
    this.flags &= ~TcpFlag.Fin
    this.dataLength = bytes
    this.length -= cut
    this.end = (this.end - cut) | 0
  }
}

/** Does any of the segment lie in the window of `window` bytes from `next` on (RFC 9293 section 3.10.7.4, table 6)? */
export const isInWindow = (segment: Segment, next: number, window: number): boolean => {
  const end = (next + window) | 0
  if (segment.seq === next) return true
  if (seqGt(segment.end, next) && seqLt(segment.seq, end)) return true
  return segment.seq === end && segment.length === 0
}

/** Is it no part of a loop of ACKs that two confused ends exchange: must it be answered however often it comes? */
export const isLikelyData = (segment: Segment): boolean => segment.length > 0 && (segment.flags & TcpFlag.Syn) === 0
