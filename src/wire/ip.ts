import { IpAddress } from './address.ts'
import { foldSum, sumWord } from './checksum.ts'

/** Numbers of the protocols above IP (IANA "Protocol Numbers"). */
export const IpProtocol = {
  HopByHop: 0,
  Icmp: 1,
  Igmp: 2,
  Tcp: 6,
  Udp: 17,
  Ipv6: 41,
  Routing: 43,
  Fragment: 44,
  Icmpv6: 58,
  NoNextHeader: 59,
  DestinationOptions: 60,
} as const

/**
 * Bytes of the longest packet, as far as a length field of 16 bits
 * goes: the whole of an IPv4 packet, the payload of an IPv6 one.
 */
export const MAX_PACKET = 0xffff

/** Explicit congestion notification, the low two bits of the traffic class (RFC 3168 section 5). */
export const Ecn = { NotEct: 0, Ect1: 1, Ect0: 2, Ce: 3, Mask: 3 } as const

/**
 * An IP header of either version as plain values. One object is filled for packet after packet: input functions read
 * it before they return and never keep it. Addresses are four words each, IPv4 in mapped form (see `IpAddress`).
 */
export class IpHeader {
  /** 4 or 6. */
  version = 4
  /** Bytes of header, with options or extension headers, to the payload. */
  headerLength = 20
  /** DSCP and ECN: IPv4's type of service, IPv6's traffic class. */
  trafficClass = 0
  /** IPv6 only; 0 for IPv4. */
  flowLabel = 0
  /** TTL or hop limit. */
  hopLimit = 64
  /** The protocol of the payload: the last next-header value for IPv6. */
  protocol = 0
  /** Identification: 16 bits for IPv4, 32 for an IPv6 fragment header. As a signed integer. */
  identification = 0
  dontFragment = false
  moreFragments = false
  /** Offset of this fragment in bytes. */
  fragmentOffset = 0
  source0 = 0
  source1 = 0
  source2 = 0
  source3 = 0
  destination0 = 0
  destination1 = 0
  destination2 = 0
  destination3 = 0
  /** Where the payload lies, as offsets into the bytes that were parsed. */
  payloadStart = 0
  payloadEnd = 0
  /** IPv4 options or IPv6 extension headers: they lie from here to `payloadStart`. */
  optionsStart = 0
  /** IPv6 only: where the field lies that names the payload's protocol, for errors and for fragmenting. */
  nextHeaderAt = 0

  /** Is it a fragment of a larger packet? */
  get isFragment(): boolean {
    return this.moreFragments || this.fragmentOffset !== 0
  }

  get payloadLength(): number {
    return this.payloadEnd - this.payloadStart
  }

  /** The source as a value of its own. */
  get source(): IpAddress {
    return new IpAddress(this.source0, this.source1, this.source2, this.source3)
  }

  set source(address: IpAddress) {
    this.source0 = address.w0
    this.source1 = address.w1
    this.source2 = address.w2
    this.source3 = address.w3
  }

  /** The destination as a value of its own. */
  get destination(): IpAddress {
    return new IpAddress(this.destination0, this.destination1, this.destination2, this.destination3)
  }

  set destination(address: IpAddress) {
    this.destination0 = address.w0
    this.destination1 = address.w1
    this.destination2 = address.w2
    this.destination3 = address.w3
  }

  /** Is the source ::? */
  get sourceIsUnspecified6(): boolean {
    return this.source3 === 0 && this.source2 === 0 && this.source1 === 0 && this.source0 === 0
  }

  /** Is `address` the source? */
  sourceIs(address: IpAddress): boolean {
    return (
      this.source3 === address.w3 &&
      this.source2 === address.w2 &&
      this.source1 === address.w1 &&
      this.source0 === address.w0
    )
  }

  /** Is `address` the destination? */
  destinationIs(address: IpAddress): boolean {
    return (
      this.destination3 === address.w3 &&
      this.destination2 === address.w2 &&
      this.destination1 === address.w1 &&
      this.destination0 === address.w0
    )
  }

  /** Partial sum of the pseudo-header for a payload of `length` bytes (RFC 9293 section 3.1, RFC 8200 section 8.1). */
  pseudoSum(protocol: number, length: number): number {
    let sum = protocol + sumWord(length) + sumWord(this.source3) + sumWord(this.destination3)
    if (this.version === 6) {
      sum += sumWord(this.source0) + sumWord(this.source1) + sumWord(this.source2)
      sum += sumWord(this.destination0) + sumWord(this.destination1) + sumWord(this.destination2)
    }
    return foldSum(sum)
  }
}

/** Partial sum of the pseudo-header between two addresses of one family; add a new length with `foldSum`. */
export const pseudoHeaderSum = (
  source: IpAddress,
  destination: IpAddress,
  protocol: number,
  length: number,
): number => {
  let sum = protocol + sumWord(length) + sumWord(source.w3) + sumWord(destination.w3)
  if (!destination.isIpv4) {
    sum += sumWord(source.w0) + sumWord(source.w1) + sumWord(source.w2)
    sum += sumWord(destination.w0) + sumWord(destination.w1) + sumWord(destination.w2)
  }
  return foldSum(sum)
}
