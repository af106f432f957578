import type { Frame } from '../core/frame.ts'
import type { Memory } from '../core/memory.ts'
import { IPV4_MAPPED, IpAddress } from '../wire/address.ts'

/**
 * Where a received datagram came from, and what else a receiver may ask for (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS,
 * SO_TIMESTAMP). One object is filled for datagram after datagram. Addresses are four words (see `IpAddress`).
 */
export class SourceAddress {
  w0 = 0
  w1 = 0
  w2 = IPV4_MAPPED
  w3 = 0
  port = 0
  /** Where it was sent to. */
  destination0 = 0
  destination1 = 0
  destination2 = IPV4_MAPPED
  destination3 = 0
  /** Index of the interface through which it came; also the scope of a link-local source. */
  interfaceIndex = 0
  /** TTL or hop limit with which it arrived. */
  hopLimit = 0
  /** Type of service or traffic class. */
  trafficClass = 0
  /** World time at which it arrived, microseconds. */
  time = 0
  /** Bytes of the whole datagram. */
  length = 0
  /** Was more than fitted: MSG_TRUNC? */
  truncated = false

  get address(): IpAddress {
    return new IpAddress(this.w0, this.w1, this.w2, this.w3)
  }

  get destination(): IpAddress {
    return new IpAddress(this.destination0, this.destination1, this.destination2, this.destination3)
  }
}

/** Notes the interface in the frame's headroom, which nobody needs any more, for `readDatagram`. */
export const noteInterface = (memory: Memory, frame: Frame, index: number): void => {
  memory.view.setInt32(frame.base, index)
}

/** Fills `into` from the headers that a queued datagram still has before its payload. */
export const readDatagram = (into: SourceAddress, memory: Memory, frame: Frame): void => {
  const { view } = memory
  into.port = view.getUint16(frame.start - 8)
  into.interfaceIndex = view.getInt32(frame.base)
  into.time = frame.time
  into.length = frame.end - frame.start
  readIpHeader(into, memory, frame.network)
}

/** Fills `into` with what the IP header at `at` says. */
export const readIpHeader = (into: SourceAddress, memory: Memory, at: number): void => {
  const { u8, view } = memory
  if (u8[at]! >>> 4 === 4) {
    into.w0 = 0
    into.w1 = 0
    into.w2 = IPV4_MAPPED
    into.w3 = view.getInt32(at + 12)
    into.destination0 = 0
    into.destination1 = 0
    into.destination2 = IPV4_MAPPED
    into.destination3 = view.getInt32(at + 16)
    into.trafficClass = u8[at + 1]!
    into.hopLimit = u8[at + 8]!
    return
  }
  into.w0 = view.getInt32(at + 8)
  into.w1 = view.getInt32(at + 12)
  into.w2 = view.getInt32(at + 16)
  into.w3 = view.getInt32(at + 20)
  into.destination0 = view.getInt32(at + 24)
  into.destination1 = view.getInt32(at + 28)
  into.destination2 = view.getInt32(at + 32)
  into.destination3 = view.getInt32(at + 36)
  into.trafficClass = (view.getUint16(at) >>> 4) & 0xff
  into.hopLimit = u8[at + 7]!
}
