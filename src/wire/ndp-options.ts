import type { Bytes } from '../core/memory.ts'
import { IpAddress, type MacAddress } from './address.ts'
import { writeMac } from './ethernet.ts'

/** Options of neighbour discovery (RFC 4861 section 4.6, RFC 4191, RFC 7527, RFC 8106). */

/** A lifetime without end. */
export const NDP_INFINITY = 0xffff_ffff

/** Types of options (IANA "IPv6 Neighbor Discovery Option Formats"). */
export const NdpOptionType = {
  SourceLinkLayer: 1,
  TargetLinkLayer: 2,
  PrefixInformation: 3,
  RedirectedHeader: 4,
  Mtu: 5,
  Nonce: 14,
  RouteInformation: 24,
  RecursiveDns: 25,
} as const

/** Preference of a router or route (RFC 4191 section 2.1). */
export const NdpPreference = { Low: -1, Medium: 0, High: 1 } as const

/** A prefix that a router advertises (RFC 4861 section 4.6.2). */
export class NdpPrefix {
  /** Bits. */
  length = 0
  onLink = false
  autonomous = false
  /** Seconds; NDP_INFINITY for ever. */
  validLifetime = 0
  preferredLifetime = 0
  prefix0 = 0
  prefix1 = 0
  prefix2 = 0
  prefix3 = 0

  get prefix(): IpAddress {
    return new IpAddress(this.prefix0, this.prefix1, this.prefix2, this.prefix3)
  }

  set prefix(prefix: IpAddress) {
    this.prefix0 = prefix.w0
    this.prefix1 = prefix.w1
    this.prefix2 = prefix.w2
    this.prefix3 = prefix.w3
  }
}

/** A route that a router advertises (RFC 4191 section 2.3). */
export class NdpRoute {
  /** Bits. */
  length = 0
  /** One of `NdpPreference`. */
  preference = 0
  /** Seconds; NDP_INFINITY for ever. */
  lifetime = 0
  prefix0 = 0
  prefix1 = 0
  prefix2 = 0
  prefix3 = 0

  get prefix(): IpAddress {
    return new IpAddress(this.prefix0, this.prefix1, this.prefix2, this.prefix3)
  }

  set prefix(prefix: IpAddress) {
    this.prefix0 = prefix.w0
    this.prefix1 = prefix.w1
    this.prefix2 = prefix.w2
    this.prefix3 = prefix.w3
  }
}

/** A name server that a router advertises (RFC 8106 section 5.1). */
export class NdpDnsServer {
  /** Seconds; NDP_INFINITY for ever. */
  lifetime = 0
  address0 = 0
  address1 = 0
  address2 = 0
  address3 = 0

  get address(): IpAddress {
    return new IpAddress(this.address0, this.address1, this.address2, this.address3)
  }

  set address(address: IpAddress) {
    this.address0 = address.w0
    this.address1 = address.w1
    this.address2 = address.w2
    this.address3 = address.w3
  }
}

/** The value of the two bits that means no preference at all (RFC 4191 section 2.1). */
export const RESERVED_PREFERENCE = -2

/** The preference in a byte of flags: two bits in its middle, as a signed number. */
export const preferenceOf = (flags: number): number => (flags << 27) >> 30

/** The preference as it lies in a byte of flags. */
export const preferenceBits = (preference: number): number => (preference & 3) << 3

/** Reads a prefix information option of 32 bytes. */
export const readPrefix = (prefix: NdpPrefix, { u8, view }: Bytes, at: number): void => {
  const flags = u8[at + 3]!
  prefix.length = u8[at + 2]!
  prefix.onLink = (flags & 0x80) !== 0
  prefix.autonomous = (flags & 0x40) !== 0
  prefix.validLifetime = view.getUint32(at + 4)
  prefix.preferredLifetime = view.getUint32(at + 8)
  prefix.prefix0 = view.getInt32(at + 16)
  prefix.prefix1 = view.getInt32(at + 20)
  prefix.prefix2 = view.getInt32(at + 24)
  prefix.prefix3 = view.getInt32(at + 28)
}

/** Reads a route information option of `length` bytes, 8 to 24. */
export const readRoute = (route: NdpRoute, { u8, view }: Bytes, at: number, length: number): void => {
  route.length = u8[at + 2]!
  route.preference = preferenceOf(u8[at + 3]!)
  route.lifetime = view.getUint32(at + 4)
  route.prefix0 = length > 8 ? view.getInt32(at + 8) : 0
  route.prefix1 = length > 8 ? view.getInt32(at + 12) : 0
  route.prefix2 = length > 16 ? view.getInt32(at + 16) : 0
  route.prefix3 = length > 16 ? view.getInt32(at + 20) : 0
}

/** Bytes of a route information option for a prefix of so many bits: as many as it needs, in units of 8. */
export const routeLength = (bits: number): number => (bits === 0 ? 8 : bits <= 64 ? 16 : 24)

/** Reads the server whose address lies at `at`, of an option that gives all its servers one lifetime. */
export const readDnsServer = (server: NdpDnsServer, { view }: Bytes, at: number, lifetime: number): void => {
  server.lifetime = lifetime
  server.address0 = view.getInt32(at)
  server.address1 = view.getInt32(at + 4)
  server.address2 = view.getInt32(at + 8)
  server.address3 = view.getInt32(at + 12)
}

/** Writes an option with six bytes: a link-layer address or a nonce. @returns where it ends */
export const writeMacOption = (bytes: Bytes, at: number, type: number, mac: MacAddress): number => {
  bytes.u8[at] = type
  bytes.u8[at + 1] = 1
  writeMac(bytes, at + 2, mac)
  return at + 8
}

/** Writes a prefix information option. @returns where it ends */
export const writePrefix = (prefix: NdpPrefix, { u8, view }: Bytes, at: number): number => {
  u8[at] = NdpOptionType.PrefixInformation
  u8[at + 1] = 4
  u8[at + 2] = prefix.length
  u8[at + 3] = (prefix.onLink ? 0x80 : 0) | (prefix.autonomous ? 0x40 : 0)
  view.setUint32(at + 4, prefix.validLifetime)
  view.setUint32(at + 8, prefix.preferredLifetime)
  view.setInt32(at + 12, 0)
  view.setInt32(at + 16, prefix.prefix0)
  view.setInt32(at + 20, prefix.prefix1)
  view.setInt32(at + 24, prefix.prefix2)
  view.setInt32(at + 28, prefix.prefix3)
  return at + 32
}

/** Writes a route information option. @returns where it ends */
export const writeRoute = (route: NdpRoute, { u8, view }: Bytes, at: number): number => {
  const length = routeLength(route.length)
  u8[at] = NdpOptionType.RouteInformation
  u8[at + 1] = length >>> 3
  u8[at + 2] = route.length
  u8[at + 3] = preferenceBits(route.preference)
  view.setUint32(at + 4, route.lifetime)
  if (length > 8) {
    view.setInt32(at + 8, route.prefix0)
    view.setInt32(at + 12, route.prefix1)
  }
  if (length > 16) {
    view.setInt32(at + 16, route.prefix2)
    view.setInt32(at + 20, route.prefix3)
  }
  return at + length
}

/** Writes an option with one name server. @returns where it ends */
export const writeDnsServer = (server: NdpDnsServer, { u8, view }: Bytes, at: number): number => {
  u8[at] = NdpOptionType.RecursiveDns
  u8[at + 1] = 3
  view.setUint16(at + 2, 0)
  view.setUint32(at + 4, server.lifetime)
  view.setInt32(at + 8, server.address0)
  view.setInt32(at + 12, server.address1)
  view.setInt32(at + 16, server.address2)
  view.setInt32(at + 20, server.address3)
  return at + 24
}
