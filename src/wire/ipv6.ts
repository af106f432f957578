import type { Bytes } from '../core/memory.ts'
import { IPV4_MAPPED } from './address.ts'
import { Drop } from './drop.ts'
import { type IpHeader, IpProtocol } from './ip.ts'

/** IPv6 (RFC 8200): the fixed header and the chain of extension headers. */
export const IPV6_HEADER = 40
/** The MTU that every IPv6 link must carry (RFC 8200 section 5). */
export const IPV6_MIN_MTU = 1280
export const IPV6_FRAGMENT_HEADER = 8
/** Bytes of a hop-by-hop header with nothing but the router alert. */
export const IPV6_ROUTER_ALERT = 8

/** Extension headers in one packet, at the most: more are an attack, not a need. */
export const MAX_EXTENSIONS = 8

/** Types of options in hop-by-hop and destination headers (IANA "IPv6 Parameters"). */
const Ipv6OptionType = { Pad1: 0, PadN: 1, RouterAlert: 5, Jumbo: 0xc2 } as const

/** Values of the router alert (RFC 2711 section 2.1). */
export const Ipv6RouterAlert = { Mld: 0, Rsvp: 1, ActiveNetworks: 2 } as const

/** Codes of ICMPv6 parameter problem (RFC 4443 section 3.4, RFC 7112 section 5). */
export const Ipv6Problem = { HeaderField: 0, NextHeader: 1, Option: 2, IncompleteChain: 3 } as const

/** What the extension headers say beside `IpHeader`. One object is filled for packet after packet. */
export class Ipv6Chain {
  /** Value of the router alert; -1 when absent. */
  routerAlert = -1
  /** Where the fragment header lies; -1 when there is none. What lies before it is in every fragment. */
  fragmentAt = -1
  /** Where the next-header field lies that announces the fragment header. */
  fragmentNextHeaderAt = 0
  /** When the packet calls for a parameter problem: one of `Ipv6Problem`; else -1. */
  problem = -1
  /** The parameter problem's pointer: bytes from the start of the packet. */
  problemPointer = 0
  /** Is the parameter problem due even when the packet was sent to a multicast address? */
  problemToMulticast = false

  clear(): void {
    this.routerAlert = -1
    this.fragmentAt = -1
    this.fragmentNextHeaderAt = 0
    this.problem = -1
    this.problemPointer = 0
    this.problemToMulticast = false
  }
}

/**
 * Parses the fixed header at `start` of a packet that ends at or before `end`. `into.protocol` is the first next-header
 * value; the payload begins behind the fixed header until `parseIpv6HopByHop` and `parseIpv6Extensions` have moved it.
 *
 * IPv4-mapped addresses are refused: they never belong on the wire, and inside the stack they are IPv4.
 * @returns `Drop.none`, with every field of `into` set, or why the packet must be dropped
 */
export const parseIpv6 = (into: IpHeader, bytes: Bytes, start: number, end: number): number => {
  const reason = readIpv6(into, bytes, start, end)
  if (reason !== Drop.none) return reason
  if (into.payloadEnd > end) return Drop['ipv6-truncated']
  // No length and a hop-by-hop header mean a jumbogram (RFC 2675), which no link here carries.
  if (into.payloadEnd === into.payloadStart && into.protocol === IpProtocol.HopByHop) {
    return Drop['ipv6-payload-length']
  }
  return Drop.none
}

/** As `parseIpv6`, for a packet that may be cut short, as in a quotation: `into.payloadEnd` may lie beyond `end`. */
export const readIpv6 = (into: IpHeader, bytes: Bytes, start: number, end: number): number => {
  if (end - start < IPV6_HEADER) return Drop['ipv6-truncated']
  const { u8, view } = bytes
  const first = view.getInt32(start)
  if (first >>> 28 !== 6) return Drop['ipv6-version']
  into.version = 6
  into.headerLength = IPV6_HEADER
  into.trafficClass = (first >>> 20) & 0xff
  into.flowLabel = first & 0xf_ffff
  into.identification = 0
  into.dontFragment = true
  into.moreFragments = false
  into.fragmentOffset = 0
  into.hopLimit = u8[start + 7]!
  into.protocol = u8[start + 6]!
  into.source0 = view.getInt32(start + 8)
  into.source1 = view.getInt32(start + 12)
  into.source2 = view.getInt32(start + 16)
  into.source3 = view.getInt32(start + 20)
  into.destination0 = view.getInt32(start + 24)
  into.destination1 = view.getInt32(start + 28)
  into.destination2 = view.getInt32(start + 32)
  into.destination3 = view.getInt32(start + 36)
  if (into.source2 === IPV4_MAPPED && into.source0 === 0 && into.source1 === 0) return Drop['ipv6-source']
  if (into.destination2 === IPV4_MAPPED && into.destination0 === 0 && into.destination1 === 0) {
    return Drop['ipv6-destination']
  }
  into.optionsStart = start + IPV6_HEADER
  into.nextHeaderAt = start + 6
  into.payloadStart = start + IPV6_HEADER
  into.payloadEnd = start + IPV6_HEADER + view.getUint16(start + 4)
  return Drop.none
}

/**
 * Clears `chain` and reads the hop-by-hop header, if there is one: the part of the chain that concerns routers too
 * (RFC 8200 section 4.3). `header` is what `parseIpv6` filled; its payload moves behind the header.
 */
export const parseIpv6HopByHop = (header: IpHeader, chain: Ipv6Chain, bytes: Bytes): number => {
  chain.clear()
  if (header.protocol !== IpProtocol.HopByHop) return Drop.none
  const length = extensionLength(header, bytes)
  if (length === 0) return Drop['ipv6-extension-truncated']
  const at = header.payloadStart
  const reason = parseOptions(header, chain, bytes, at + 2, at + length, true)
  if (reason === Drop.none) advance(header, bytes, length)
  return reason
}

/**
 * Reads the other extension headers, as the packet's destination does, up to the first that is none (RFC 8200 section
 * 4). `header.protocol`, `nextHeaderAt` and `payloadStart` move along. In a fragment the walk ends behind the fragment
 * header: what follows is read when the packet is whole. A fragment header of a packet that is whole is skipped
 * (RFC 6946).
 * @returns `Drop.none`, or why the packet must be dropped; then `chain.problem` tells whether and what to answer
 */
export const parseIpv6Extensions = (header: IpHeader, chain: Ipv6Chain, bytes: Bytes): number => {
  for (let count = 0; ; count++) {
    const protocol = header.protocol
    if (protocol === IpProtocol.Tcp || protocol === IpProtocol.Udp || protocol === IpProtocol.Icmpv6) return Drop.none
    if (!isExtension(protocol)) return protocol === IpProtocol.NoNextHeader ? Drop['ipv6-no-next-header'] : Drop.none
    if (count === MAX_EXTENSIONS) return Drop['ipv6-extension-limit']
    // Hop-by-hop only comes first (RFC 8200 section 4.1), and a packet is a fragment of one packet only.
    if (protocol === IpProtocol.HopByHop || (protocol === IpProtocol.Fragment && chain.fragmentAt >= 0)) {
      return problem(header, chain, Ipv6Problem.NextHeader, header.nextHeaderAt, Drop['ipv6-extension-order'])
    }
    const length = extensionLength(header, bytes)
    if (length === 0) return Drop['ipv6-extension-truncated']
    let reason: number = Drop.none
    if (protocol === IpProtocol.Fragment) reason = parseFragment(header, chain, bytes)
    else if (protocol === IpProtocol.Routing) reason = parseRouting(header, chain, bytes)
    else reason = parseOptions(header, chain, bytes, header.payloadStart + 2, header.payloadStart + length, false)
    if (reason !== Drop.none) return reason
    advance(header, bytes, length)
    if (header.isFragment) return header.fragmentOffset === 0 ? checkFirstFragment(header, chain, bytes) : Drop.none
  }
}

const isExtension = (protocol: number): boolean =>
  protocol === IpProtocol.HopByHop ||
  protocol === IpProtocol.Routing ||
  protocol === IpProtocol.Fragment ||
  protocol === IpProtocol.DestinationOptions

/** Bytes of the extension header that `header`'s payload begins with; 0 when they are not all there. */
const extensionLength = (header: IpHeader, bytes: Bytes): number => {
  const at = header.payloadStart
  if (header.payloadEnd - at < 8) return 0
  const length = header.protocol === IpProtocol.Fragment ? IPV6_FRAGMENT_HEADER : (bytes.u8[at + 1]! + 1) << 3
  return length > header.payloadEnd - at ? 0 : length
}

/** Moves the payload behind an extension header of `length` bytes. */
const advance = (header: IpHeader, bytes: Bytes, length: number): void => {
  header.nextHeaderAt = header.payloadStart
  header.protocol = bytes.u8[header.payloadStart]!
  header.payloadStart += length
  header.headerLength += length
}

/** Notes a parameter problem about the byte at `at`. @returns `reason` */
const problem = (header: IpHeader, chain: Ipv6Chain, code: number, at: number, reason: number): number => {
  chain.problem = code
  chain.problemPointer = at - packetStart(header)
  chain.problemToMulticast = false
  return reason
}

/** Where the fixed header lies. */
const packetStart = (header: IpHeader): number => header.optionsStart - IPV6_HEADER

/** Options from `start` to `end` of a hop-by-hop or destination header (RFC 8200 section 4.2). */
const parseOptions = (
  header: IpHeader,
  chain: Ipv6Chain,
  bytes: Bytes,
  start: number,
  end: number,
  hopByHop: boolean,
): number => {
  const { u8, view } = bytes
  let at = start
  while (at < end) {
    const type = u8[at]!
    if (type === Ipv6OptionType.Pad1) {
      at++
      continue
    }
    if (at + 2 > end) return problem(header, chain, Ipv6Problem.HeaderField, at, Drop['ipv6-extension-option'])
    const length = u8[at + 1]!
    if (at + 2 + length > end) {
      return problem(header, chain, Ipv6Problem.HeaderField, at + 1, Drop['ipv6-extension-option'])
    }
    if (type === Ipv6OptionType.RouterAlert && hopByHop) {
      if (length !== 2) {
        return problem(header, chain, Ipv6Problem.HeaderField, at + 1, Drop['ipv6-extension-option'])
      }
      chain.routerAlert = view.getUint16(at + 2)
    } else if (type !== Ipv6OptionType.PadN && type >>> 6 !== SKIP) {
      return unknownOption(header, chain, type >>> 6, at)
    }
    at += 2 + length
  }
  return Drop.none
}

/** What to do with an unknown option: the top two bits of its type (RFC 8200 section 4.2). */
const SKIP = 0
const DISCARD = 1
const DISCARD_AND_TELL = 2

const unknownOption = (header: IpHeader, chain: Ipv6Chain, action: number, at: number): number => {
  if (action === DISCARD) return Drop['ipv6-extension-option']
  problem(header, chain, Ipv6Problem.Option, at, Drop.none)
  chain.problemToMulticast = action === DISCARD_AND_TELL
  return Drop['ipv6-extension-option']
}

/**
 * No type of routing header is known, type 0 by intent (RFC 5095): it is skipped when it has no segments left, else
 * the packet is refused (RFC 8200 section 4.4).
 */
const parseRouting = (header: IpHeader, chain: Ipv6Chain, bytes: Bytes): number => {
  const at = header.payloadStart
  if (bytes.u8[at + 3] === 0) return Drop.none
  return problem(header, chain, Ipv6Problem.HeaderField, at + 2, Drop['ipv6-routing-header'])
}

/** The fragment header (RFC 8200 section 4.5). */
const parseFragment = (header: IpHeader, chain: Ipv6Chain, bytes: Bytes): number => {
  const at = header.payloadStart
  const word = bytes.view.getUint16(at + 2)
  const length = header.payloadEnd - at - IPV6_FRAGMENT_HEADER
  chain.fragmentAt = at
  chain.fragmentNextHeaderAt = header.nextHeaderAt
  header.fragmentOffset = word & 0xfff8
  header.moreFragments = (word & 1) === 1
  header.identification = bytes.view.getInt32(at + 4)
  if (header.moreFragments && (length & 7) !== 0) {
    return problem(header, chain, Ipv6Problem.HeaderField, packetStart(header) + 4, Drop['fragment-length'])
  }
  // The payload of the whole packet counts the extension headers before this one too.
  if (header.fragmentOffset + length + (at - header.optionsStart) > 0xffff) {
    return problem(header, chain, Ipv6Problem.HeaderField, at + 2, Drop['fragment-too-big'])
  }
  return Drop.none
}

/** The first fragment must hold every header up to that of the protocol above (RFC 8200 section 4.5, RFC 7112). */
const checkFirstFragment = (header: IpHeader, chain: Ipv6Chain, bytes: Bytes): number => {
  const { u8 } = bytes
  const end = header.payloadEnd
  let at = header.payloadStart
  let protocol = header.protocol
  for (let count = 0; isExtension(protocol) && count < MAX_EXTENSIONS; count++) {
    if (end - at < 8) return incomplete(header, chain)
    protocol = u8[at]!
    at += (u8[at + 1]! + 1) << 3
  }
  return end - at < leastHeader(protocol) ? incomplete(header, chain) : Drop.none
}

const incomplete = (header: IpHeader, chain: Ipv6Chain): number =>
  problem(header, chain, Ipv6Problem.IncompleteChain, packetStart(header), Drop['fragment-truncated'])

/** Bytes of the shortest header of a protocol above IP. */
const leastHeader = (protocol: number): number => {
  if (protocol === IpProtocol.Tcp) return 20
  if (protocol === IpProtocol.Udp || protocol === IpProtocol.Icmpv6) return 8
  return protocol === IpProtocol.NoNextHeader ? 0 : 1
}

/**
 * Writes the fixed header at `start`.
 * @param length bytes behind it: extension headers and payload
 * @param nextHeader what comes first behind it, when that is an extension header
 */
export const emitIpv6 = (
  header: IpHeader,
  bytes: Bytes,
  start: number,
  length: number,
  nextHeader: number = header.protocol,
): void => {
  const { u8, view } = bytes
  view.setInt32(start, (6 << 28) | (header.trafficClass << 20) | header.flowLabel)
  view.setUint16(start + 4, length)
  u8[start + 6] = nextHeader
  u8[start + 7] = header.hopLimit
  view.setInt32(start + 8, header.source0)
  view.setInt32(start + 12, header.source1)
  view.setInt32(start + 16, header.source2)
  view.setInt32(start + 20, header.source3)
  view.setInt32(start + 24, header.destination0)
  view.setInt32(start + 28, header.destination1)
  view.setInt32(start + 32, header.destination2)
  view.setInt32(start + 36, header.destination3)
}

/**
 * Writes a fragment header at `at`, from `header.fragmentOffset`, `moreFragments` and `identification`.
 * @param nextHeader what the fragmented part begins with
 * @returns its length, 8 bytes
 */
export const emitIpv6Fragment = (header: IpHeader, bytes: Bytes, at: number, nextHeader: number): number => {
  const { u8, view } = bytes
  u8[at] = nextHeader
  u8[at + 1] = 0
  view.setUint16(at + 2, header.fragmentOffset | (header.moreFragments ? 1 : 0))
  view.setInt32(at + 4, header.identification)
  return IPV6_FRAGMENT_HEADER
}

/**
 * Writes a hop-by-hop header with a router alert (RFC 2711) at `at`, as MLD needs it.
 * @param nextHeader what follows
 * @returns its length, 8 bytes
 */
export const emitIpv6RouterAlert = (bytes: Bytes, at: number, nextHeader: number, value: number): number => {
  const { u8, view } = bytes
  u8[at] = nextHeader
  u8[at + 1] = 0
  view.setUint16(at + 2, (Ipv6OptionType.RouterAlert << 8) | 2)
  view.setUint16(at + 4, value)
  view.setUint16(at + 6, Ipv6OptionType.PadN << 8)
  return IPV6_ROUTER_ALERT
}

/**
 * Opens a gap of `length` bytes in front of the byte at `at`, for an extension header, by moving what lies before it
 * down; its payload length is set anew. The caller writes the header at `at - length` and names it in the next-header
 * field before it.
 * @param start where the packet starts now; `length` bytes below must be free
 * @returns where the packet starts then
 */
export const openIpv6Gap = (bytes: Bytes, start: number, at: number, length: number): number => {
  const to = start - length
  bytes.u8.copyWithin(to, start, at)
  bytes.view.setUint16(to + 4, bytes.view.getUint16(to + 4) + length)
  return to
}
