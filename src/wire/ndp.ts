import type { Bytes } from '../core/memory.ts'
import { IpAddress, isLinkLocal6, isMulticast6, type MacAddress } from './address.ts'
import { Drop } from './drop.ts'
import { readMac } from './ethernet.ts'
import { Icmpv6Type } from './icmpv6.ts'
import { type IpHeader, IpProtocol } from './ip.ts'
import {
  NdpDnsServer,
  NdpOptionType,
  NdpPreference,
  NdpPrefix,
  NdpRoute,
  preferenceBits,
  preferenceOf,
  RESERVED_PREFERENCE,
  readDnsServer,
  readPrefix,
  readRoute,
  routeLength,
  writeDnsServer,
  writeMacOption,
  writePrefix,
  writeRoute,
} from './ndp-options.ts'
import { fillTransportChecksum } from './transport.ts'

/**
 * Neighbour discovery (RFC 4861, RFC 4862) with the options of RFC 4191, 7527 and 8106. Link-layer addresses are MACs.
 */

/** The hop limit with which every message is sent, so that none can come from beyond a router. */
export const NDP_HOP_LIMIT = 255
/** Entries of each kind that are kept of one message; what a router says beyond them is left out. */
export const NDP_MAX_ENTRIES = 16

/**
 * A message as plain values: the fields that its type has are set, the others are at the value that `clear` gives. One
 * object is filled for message after message. The lists have a fixed length: only the first `prefixCount`, `routeCount`
 * and `dnsServerCount` count.
 */
export class NdpMessage {
  /** One of `Icmpv6Type`, from router solicitation to redirect. */
  type = 0
  /** What a solicitation or advertisement is about; the better next hop of a redirect. */
  target0 = 0
  target1 = 0
  target2 = 0
  target3 = 0
  /** Redirect: the destination that is to be sent elsewhere. */
  destination0 = 0
  destination1 = 0
  destination2 = 0
  destination3 = 0
  /** Neighbour advertisement: is the sender a router, is it an answer, does it override what is known? */
  isRouter = false
  isSolicited = false
  isOverride = false
  /** Router advertisement: 0 for a hop limit, reachable time or timer that the router leaves open. */
  hopLimit = 0
  /** Are addresses, or other settings, to be had by DHCPv6? */
  isManaged = false
  isOtherConfig = false
  /** One of `NdpPreference`. */
  preference = 0
  /** Seconds; 0 when the sender is no default router. */
  routerLifetime = 0
  /** Milliseconds. */
  reachableTime = 0
  retransmitTimer = 0
  /** Options: MAC addresses, -1 when absent. */
  sourceMac: MacAddress = -1
  targetMac: MacAddress = -1
  /** Bytes; 0 when absent. */
  mtu = 0
  /** What duplicate address detection knows its own solicitations by (RFC 7527): 48 bits, -1 when absent. */
  nonce = -1
  readonly prefixes: readonly NdpPrefix[] = Array.from({ length: NDP_MAX_ENTRIES }, () => new NdpPrefix())
  prefixCount = 0
  readonly routes: readonly NdpRoute[] = Array.from({ length: NDP_MAX_ENTRIES }, () => new NdpRoute())
  routeCount = 0
  readonly dnsServers: readonly NdpDnsServer[] = Array.from({ length: NDP_MAX_ENTRIES }, () => new NdpDnsServer())
  dnsServerCount = 0
  /** Redirect: the packet that led to it, as far as it is quoted; both 0 when it is not. */
  quoteStart = 0
  quoteEnd = 0
  /** Options that this stack does not know. */
  unknownOptions = 0

  clear(): void {
    this.target0 = this.target1 = this.target2 = this.target3 = 0
    this.destination0 = this.destination1 = this.destination2 = this.destination3 = 0
    this.isRouter = this.isSolicited = this.isOverride = false
    this.hopLimit = 0
    this.isManaged = this.isOtherConfig = false
    this.preference = NdpPreference.Medium
    this.routerLifetime = this.reachableTime = this.retransmitTimer = 0
    this.sourceMac = this.targetMac = -1
    this.mtu = 0
    this.nonce = -1
    this.prefixCount = this.routeCount = this.dnsServerCount = 0
    this.quoteStart = this.quoteEnd = 0
    this.unknownOptions = 0
  }

  get target(): IpAddress {
    return new IpAddress(this.target0, this.target1, this.target2, this.target3)
  }

  set target(address: IpAddress) {
    this.target0 = address.w0
    this.target1 = address.w1
    this.target2 = address.w2
    this.target3 = address.w3
  }

  get destination(): IpAddress {
    return new IpAddress(this.destination0, this.destination1, this.destination2, this.destination3)
  }

  set destination(address: IpAddress) {
    this.destination0 = address.w0
    this.destination1 = address.w1
    this.destination2 = address.w2
    this.destination3 = address.w3
  }

  /** One more prefix, for the caller to fill; null when there are NDP_MAX_ENTRIES. */
  addPrefix(): NdpPrefix | null {
    if (this.prefixCount === NDP_MAX_ENTRIES) return null
    return this.prefixes[this.prefixCount++]!
  }

  /** One more route, for the caller to fill; null when there are NDP_MAX_ENTRIES. */
  addRoute(): NdpRoute | null {
    if (this.routeCount === NDP_MAX_ENTRIES) return null
    return this.routes[this.routeCount++]!
  }

  /** One more name server, for the caller to fill; null when there are NDP_MAX_ENTRIES. */
  addDnsServer(): NdpDnsServer | null {
    if (this.dnsServerCount === NDP_MAX_ENTRIES) return null
    return this.dnsServers[this.dnsServerCount++]!
  }
}

/**
 * Parses and validates the message from `start` to `end` by RFC 4861 sections 6.1, 7.1 and 8.1. The checksum is not
 * looked at (see wire/transport.ts).
 * @param ip the packet's header: hop limit and addresses must suit the message
 * @returns `Drop.none`, or why the message must be dropped
 */
export const parseNdp = (into: NdpMessage, ip: IpHeader, bytes: Bytes, start: number, end: number): number => {
  if (end - start < 8) return Drop['ndp-truncated']
  if (ip.hopLimit !== NDP_HOP_LIMIT) return Drop['ndp-hop-limit']
  const { u8 } = bytes
  const type = u8[start]!
  const fixed = fixedLength(type)
  if (fixed === 0) return Drop['icmp-type']
  if (u8[start + 1] !== 0) return Drop['ndp-code']
  if (end - start < fixed) return Drop['ndp-truncated']
  into.clear()
  into.type = type
  if (type === Icmpv6Type.RouterAdvertisement) readRouterAdvertisement(into, bytes, start)
  else if (type !== Icmpv6Type.RouterSolicitation) readTarget(into, bytes, start)
  const reason = parseOptions(into, bytes, start + fixed, end)
  return reason === Drop.none ? validate(into, ip) : reason
}

/** Bytes in front of the options; 0 for a type that is not NDP's. */
const fixedLength = (type: number): number => {
  switch (type) {
    case Icmpv6Type.RouterSolicitation:
      return 8
    case Icmpv6Type.RouterAdvertisement:
      return 16
    case Icmpv6Type.NeighborSolicitation:
    case Icmpv6Type.NeighborAdvertisement:
      return 24
    case Icmpv6Type.Redirect:
      return 40
    default:
      return 0
  }
}

const readRouterAdvertisement = (into: NdpMessage, { u8, view }: Bytes, start: number): void => {
  const flags = u8[start + 5]!
  into.hopLimit = u8[start + 4]!
  into.isManaged = (flags & 0x80) !== 0
  into.isOtherConfig = (flags & 0x40) !== 0
  into.preference = preferenceOf(flags)
  // The reserved preference counts as medium (RFC 4191 section 2.2).
  if (into.preference === RESERVED_PREFERENCE) into.preference = NdpPreference.Medium
  into.routerLifetime = view.getUint16(start + 6)
  into.reachableTime = view.getUint32(start + 8)
  into.retransmitTimer = view.getUint32(start + 12)
}

const readTarget = (into: NdpMessage, { u8, view }: Bytes, start: number): void => {
  if (into.type === Icmpv6Type.NeighborAdvertisement) {
    const flags = u8[start + 4]!
    into.isRouter = (flags & 0x80) !== 0
    into.isSolicited = (flags & 0x40) !== 0
    into.isOverride = (flags & 0x20) !== 0
  }
  into.target0 = view.getInt32(start + 8)
  into.target1 = view.getInt32(start + 12)
  into.target2 = view.getInt32(start + 16)
  into.target3 = view.getInt32(start + 20)
  if (into.type === Icmpv6Type.Redirect) {
    into.destination0 = view.getInt32(start + 24)
    into.destination1 = view.getInt32(start + 28)
    into.destination2 = view.getInt32(start + 32)
    into.destination3 = view.getInt32(start + 36)
  }
}

/** An option of a known type whose length is not its own makes the message invalid, as one of length zero does. */
const parseOptions = (into: NdpMessage, bytes: Bytes, start: number, end: number): number => {
  const { u8 } = bytes
  let at = start
  while (at < end) {
    const length = end - at < 8 ? 0 : u8[at + 1]! << 3
    if (length === 0 || length > end - at || !parseOption(into, bytes, at, length)) return Drop['ndp-option']
    at += length
  }
  return Drop.none
}

/** @returns false when the option's content does not fit its `length` bytes */
const parseOption = (into: NdpMessage, bytes: Bytes, at: number, length: number): boolean => {
  switch (bytes.u8[at]!) {
    case NdpOptionType.SourceLinkLayer:
      into.sourceMac = readMac(bytes, at + 2)
      return length === 8
    case NdpOptionType.TargetLinkLayer:
      into.targetMac = readMac(bytes, at + 2)
      return length === 8
    case NdpOptionType.PrefixInformation:
      return length === 32 && parsePrefix(into, bytes, at)
    case NdpOptionType.RedirectedHeader:
      into.quoteStart = at + 8
      into.quoteEnd = at + length
      return true
    case NdpOptionType.Mtu:
      if (length !== 8) return false
      into.mtu = bytes.view.getUint32(at + 4)
      return true
    case NdpOptionType.Nonce:
      if (length === 8) into.nonce = readMac(bytes, at + 2)
      else into.unknownOptions++
      return true
    case NdpOptionType.RouteInformation:
      return parseRoute(into, bytes, at, length)
    case NdpOptionType.RecursiveDns:
      return parseDnsServers(into, bytes, at, length)
    default:
      into.unknownOptions++
      return true
  }
}

const parsePrefix = (into: NdpMessage, bytes: Bytes, at: number): boolean => {
  if (bytes.u8[at + 2]! > 128) return false
  const prefix = into.addPrefix()
  if (prefix !== null) readPrefix(prefix, bytes, at)
  return true
}

const parseRoute = (into: NdpMessage, bytes: Bytes, at: number, length: number): boolean => {
  const bits = bytes.u8[at + 2]!
  if (length > 24 || bits > 128 || length < routeLength(bits)) return false
  // A route of the reserved preference is to be ignored (RFC 4191 section 2.3).
  if (preferenceOf(bytes.u8[at + 3]!) === RESERVED_PREFERENCE) return true
  const route = into.addRoute()
  if (route !== null) readRoute(route, bytes, at, length)
  return true
}

const parseDnsServers = (into: NdpMessage, bytes: Bytes, at: number, length: number): boolean => {
  if (length < 24 || (length & 15) !== 8) return false
  const lifetime = bytes.view.getUint32(at + 4)
  for (let i = 8; i < length; i += 16) {
    const server = into.addDnsServer()
    if (server === null) return true
    readDnsServer(server, bytes, at + i, lifetime)
  }
  return true
}

/** What a message's addresses must be. */
const validate = (message: NdpMessage, ip: IpHeader): number => {
  const unspecified = ip.sourceIsUnspecified6
  switch (message.type) {
    case Icmpv6Type.RouterSolicitation:
      return unspecified && message.sourceMac >= 0 ? Drop['ndp-option'] : Drop.none
    case Icmpv6Type.RouterAdvertisement:
      return isLinkLocal6(ip.source0) ? Drop.none : Drop['ndp-source']
    case Icmpv6Type.NeighborSolicitation:
      if (isMulticast6(message.target0)) return Drop['ndp-target']
      if (!unspecified) return Drop.none
      if (!isSolicitedNode(ip)) return Drop['ndp-destination']
      return message.sourceMac >= 0 ? Drop['ndp-option'] : Drop.none
    case Icmpv6Type.NeighborAdvertisement:
      if (isMulticast6(message.target0)) return Drop['ndp-target']
      return message.isSolicited && isMulticast6(ip.destination0) ? Drop['ndp-destination'] : Drop.none
    default:
      if (!isLinkLocal6(ip.source0)) return Drop['ndp-source']
      if (isMulticast6(message.destination0)) return Drop['ndp-destination']
      return isLinkLocal6(message.target0) || targetIsDestination(message) ? Drop.none : Drop['ndp-target']
  }
}

/** ff02::1:ff00:0/104 */
const isSolicitedNode = (ip: IpHeader): boolean =>
  ip.destination0 === SOLICITED_NODE_0 &&
  ip.destination1 === 0 &&
  ip.destination2 === 1 &&
  ip.destination3 >>> 24 === 0xff

const SOLICITED_NODE_0 = 0xff02_0000 | 0

const targetIsDestination = (m: NdpMessage): boolean =>
  m.target0 === m.destination0 &&
  m.target1 === m.destination1 &&
  m.target2 === m.destination2 &&
  m.target3 === m.destination3

/** The solicited-node multicast address of `address` (RFC 4291 section 2.7.1). */
export const solicitedNode = (address: IpAddress): IpAddress =>
  new IpAddress(SOLICITED_NODE_0, 0, 1, 0xff00_0000 | (address.w3 & 0xff_ffff))

/** Bytes that `emitNdp` writes for `message`, the quotation of a redirect not counted. */
export const ndpLength = (message: NdpMessage): number => {
  let length = fixedLength(message.type)
  if (message.sourceMac >= 0) length += 8
  if (message.targetMac >= 0) length += 8
  if (message.mtu > 0) length += 8
  if (message.nonce >= 0) length += 8
  length += message.prefixCount * 32
  for (let i = 0; i < message.routeCount; i++) length += routeLength(message.routes[i]!.length)
  return length + message.dnsServerCount * 24
}

/**
 * Writes `message` at `start` with its options and checksum. A redirect's quotation, padded to a multiple of 8 bytes,
 * must be in its place already: `quoteStart` to `quoteEnd`, 8 bytes behind what `ndpLength` tells.
 * @param ip names the addresses of the packet, for the pseudo-header
 * @returns the message's length in bytes
 */
export const emitNdp = (message: NdpMessage, ip: IpHeader, bytes: Bytes, start: number): number => {
  const { u8, view } = bytes
  const fixed = fixedLength(message.type)
  u8.fill(0, start, start + fixed)
  u8[start] = message.type
  if (message.type === Icmpv6Type.RouterAdvertisement) writeRouterAdvertisement(message, bytes, start)
  else if (message.type !== Icmpv6Type.RouterSolicitation) writeTarget(message, bytes, start)
  let at = start + fixed
  if (message.sourceMac >= 0) at = writeMacOption(bytes, at, NdpOptionType.SourceLinkLayer, message.sourceMac)
  if (message.targetMac >= 0) at = writeMacOption(bytes, at, NdpOptionType.TargetLinkLayer, message.targetMac)
  if (message.mtu > 0) {
    view.setInt32(at, (NdpOptionType.Mtu << 24) | (1 << 16))
    view.setUint32(at + 4, message.mtu)
    at += 8
  }
  if (message.nonce >= 0) at = writeMacOption(bytes, at, NdpOptionType.Nonce, message.nonce)
  for (let i = 0; i < message.prefixCount; i++) at = writePrefix(message.prefixes[i]!, bytes, at)
  for (let i = 0; i < message.routeCount; i++) at = writeRoute(message.routes[i]!, bytes, at)
  for (let i = 0; i < message.dnsServerCount; i++) at = writeDnsServer(message.dnsServers[i]!, bytes, at)
  if (message.quoteEnd > message.quoteStart) {
    view.setInt32(at, (NdpOptionType.RedirectedHeader << 24) | ((8 + message.quoteEnd - message.quoteStart) << 13))
    view.setInt32(at + 4, 0)
    at = message.quoteEnd
  }
  fillTransportChecksum(ip, IpProtocol.Icmpv6, bytes, start, at)
  return at - start
}

const writeRouterAdvertisement = (message: NdpMessage, { u8, view }: Bytes, start: number): void => {
  u8[start + 4] = message.hopLimit
  u8[start + 5] =
    (message.isManaged ? 0x80 : 0) | (message.isOtherConfig ? 0x40 : 0) | preferenceBits(message.preference)
  view.setUint16(start + 6, message.routerLifetime)
  view.setUint32(start + 8, message.reachableTime)
  view.setUint32(start + 12, message.retransmitTimer)
}

const writeTarget = (message: NdpMessage, { u8, view }: Bytes, start: number): void => {
  if (message.type === Icmpv6Type.NeighborAdvertisement) {
    u8[start + 4] = (message.isRouter ? 0x80 : 0) | (message.isSolicited ? 0x40 : 0) | (message.isOverride ? 0x20 : 0)
  }
  view.setInt32(start + 8, message.target0)
  view.setInt32(start + 12, message.target1)
  view.setInt32(start + 16, message.target2)
  view.setInt32(start + 20, message.target3)
  if (message.type === Icmpv6Type.Redirect) {
    view.setInt32(start + 24, message.destination0)
    view.setInt32(start + 28, message.destination1)
    view.setInt32(start + 32, message.destination2)
    view.setInt32(start + 36, message.destination3)
  }
}
