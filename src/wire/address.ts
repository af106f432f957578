/**
 * Addresses as values of numbers.
 *
 * An IP address is four 32-bit words; an IPv4 address is held as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2), so that
 * tables and sockets need one kind of key. A MAC address is a whole number below 2^48.
 */

/** An IP address of either family. Immutable. */
export class IpAddress {
  readonly w0: number
  readonly w1: number
  readonly w2: number
  readonly w3: number

  /** Four 32-bit words, the most significant first, as signed integers. */
  constructor(w0: number, w1: number, w2: number, w3: number) {
    this.w0 = w0
    this.w1 = w1
    this.w2 = w2
    this.w3 = w3
  }

  /** 4 or 6. */
  get family(): 4 | 6 {
    return this.isIpv4 ? 4 : 6
  }

  get isIpv4(): boolean {
    return this.w2 === IPV4_MAPPED && this.w0 === 0 && this.w1 === 0
  }

  /** 0.0.0.0 or ::. */
  get isUnspecified(): boolean {
    return this.w3 === 0 && this.w0 === 0 && this.w1 === 0 && (this.w2 === 0 || this.w2 === IPV4_MAPPED)
  }

  /** 127.0.0.0/8 or ::1. */
  get isLoopback(): boolean {
    if (this.isIpv4) return this.w3 >>> 24 === 127
    return this.w0 === 0 && this.w1 === 0 && this.w2 === 0 && this.w3 === 1
  }

  /** 224.0.0.0/4 or ff00::/8. */
  get isMulticast(): boolean {
    return this.isIpv4 ? this.w3 >>> 28 === 0xe : this.w0 >>> 24 === 0xff
  }

  /** 169.254.0.0/16 or fe80::/10. */
  get isLinkLocal(): boolean {
    return this.isIpv4 ? this.w3 >>> 16 === 0xa9fe : this.w0 >>> 22 === 0x3fa
  }

  /** 255.255.255.255. */
  get isLimitedBroadcast(): boolean {
    return this.w3 === -1 && this.isIpv4
  }

  equals(other: IpAddress): boolean {
    return this.w3 === other.w3 && this.w2 === other.w2 && this.w1 === other.w1 && this.w0 === other.w0
  }

  /** The address as it is printed: dotted quad, or RFC 5952. */
  toString(): string {
    return this.isIpv4 ? formatIpv4(this.w3) : formatIpv6(this.w0, this.w1, this.w2, this.w3)
  }
}

/**
 * The third word of an IPv4 address, which is kept as the IPv6 address that it is mapped to (RFC 4291 section 2.5.5.2).
 */
export const IPV4_MAPPED = 0xffff

/** An IPv4 address from its 32 bits. */
export const ipv4 = (bits: number): IpAddress => new IpAddress(0, 0, IPV4_MAPPED, bits | 0)

export const IPV4_ANY = ipv4(0)
export const IPV4_LOOPBACK = ipv4(0x7f00_0001)
export const IPV6_ANY = new IpAddress(0, 0, 0, 0)
export const IPV6_LOOPBACK = new IpAddress(0, 0, 0, 1)

/** fe80::/10, by the first word. */
export const isLinkLocal6 = (w0: number): boolean => w0 >>> 22 === 0x3fa

/** ff00::/8, by the first word. */
export const isMulticast6 = (w0: number): boolean => w0 >>> 24 === 0xff

/** 224.0.0.0/4. */
export const isMulticast4 = (bits: number): boolean => bits >>> 28 === 0xe

/** 127.0.0.0/8. */
export const isLoopback4 = (bits: number): boolean => bits >>> 24 === 127

/** A dotted quad: of an IPv4 address, or of a netmask. */
export const formatIpv4 = (bits: number): string =>
  `${bits >>> 24}.${(bits >>> 16) & 0xff}.${(bits >>> 8) & 0xff}.${bits & 0xff}`

const formatIpv6 = (w0: number, w1: number, w2: number, w3: number): string => {
  // As inet_ntop(3): an IPv4-compatible address (RFC 4291 section 2.5.5.1).
  if ((w0 | w1 | w2) === 0 && w3 >>> 16 !== 0) return `::${formatIpv4(w3)}`
  const groups = [w0 >>> 16, w0 & 0xffff, w1 >>> 16, w1 & 0xffff, w2 >>> 16, w2 & 0xffff, w3 >>> 16, w3 & 0xffff]
  // The longest run of two or more zero groups, the first of equals, becomes "::" (RFC 5952 section 4.2).
  let best = -1
  let bestLength = 1
  for (let i = 0; i < 8; i++) {
    let length = 0
    while (i + length < 8 && groups[i + length] === 0) length++
    if (length > bestLength) {
      best = i
      bestLength = length
    }
    i += length
  }
  const text = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((g) => g.toString(16))
      .join(':')
  return best < 0 ? text(0, 8) : `${text(0, best)}::${text(best + bestLength, 8)}`
}

/** The 32 bits of a dotted quad of four decimal numbers, without leading zeros; `undefined` for anything else. */
const parseIpv4Bits = (text: string): number | undefined => {
  let bits = 0
  let byte = -1
  let dots = 0
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - ZERO
    if (digit === DOT - ZERO) {
      if (byte < 0 || ++dots > 3) return undefined
      bits = (bits << 8) | byte
      byte = -1
    } else if (digit < 0 || digit > 9 || byte === 0) return undefined
    else {
      byte = byte < 0 ? digit : byte * 10 + digit
      if (byte > 255) return undefined
    }
  }
  return dots < 3 || byte < 0 ? undefined : (bits << 8) | byte
}

const ZERO = 48
const DOT = 46

/**
 * An address from its text: a dotted quad, or IPv6 as RFC 4291 section 2.2 writes it, without a zone.
 * @returns undefined when the text is no address
 */
export const parseIpAddress = (text: string): IpAddress | undefined => {
  if (!text.includes(':')) {
    const bits = parseIpv4Bits(text)
    return bits === undefined ? undefined : ipv4(bits)
  }
  let rest = text
  const groups: number[] = []
  let tail: number[] | undefined
  // A dotted quad may stand for the last two groups.
  const lastColon = rest.lastIndexOf(':')
  let quad: number | undefined
  if (rest.includes('.')) {
    quad = parseIpv4Bits(rest.slice(lastColon + 1))
    if (quad === undefined) return undefined
    rest = `${rest.slice(0, lastColon + 1)}0:0`
  }
  const halves = rest.split('::')
  if (halves.length > 2) return undefined
  const parse = (half: string, into: number[]): boolean => {
    if (half === '') return true
    for (const group of half.split(':')) {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return false
      into.push(Number.parseInt(group, 16))
    }
    return true
  }
  if (!parse(halves[0]!, groups)) return undefined
  if (halves.length === 2) {
    tail = []
    if (!parse(halves[1]!, tail)) return undefined
    if (groups.length + tail.length > 7) return undefined
    while (groups.length + tail.length < 8) groups.push(0)
    groups.push(...tail)
  }
  if (groups.length !== 8) return undefined
  if (quad !== undefined) {
    groups[6] = quad >>> 16
    groups[7] = quad & 0xffff
  }
  const word = (i: number): number => (groups[i * 2]! << 16) | groups[i * 2 + 1]!
  return new IpAddress(word(0), word(1), word(2), word(3))
}

/** An address that is known to be well formed, such as a constant. Throws a TypeError otherwise. */
export const ip = (text: string): IpAddress => {
  const address = parseIpAddress(text)
  if (address === undefined) throw new TypeError(`not an IP address: ${text}`)
  return address
}

/** Do the first `length` bits of two addresses agree? For IPv4 the length counts from its 32 bits. */
export const samePrefix = (a: IpAddress, b: IpAddress, length: number): boolean => {
  if (a.isIpv4 !== b.isIpv4) return false
  if (a.isIpv4) return ((a.w3 ^ b.w3) & prefixMask(length)) === 0
  return (
    ((a.w0 ^ b.w0) & prefixMask(length)) === 0 &&
    ((a.w1 ^ b.w1) & prefixMask(length - 32)) === 0 &&
    ((a.w2 ^ b.w2) & prefixMask(length - 64)) === 0 &&
    ((a.w3 ^ b.w3) & prefixMask(length - 96)) === 0
  )
}

/** A 32-bit mask of `length` leading ones; lengths beyond 0 and 32 count as those. */
export const prefixMask = (length: number): number => (length <= 0 ? 0 : length >= 32 ? -1 : -1 << (32 - length))

/** The address with all bits behind the first `length` cleared. */
export const networkOf = (address: IpAddress, length: number): IpAddress => {
  if (address.isIpv4) return ipv4(address.w3 & prefixMask(length))
  return new IpAddress(
    address.w0 & prefixMask(length),
    address.w1 & prefixMask(length - 32),
    address.w2 & prefixMask(length - 64),
    address.w3 & prefixMask(length - 96),
  )
}

/** An address with the length of its network's prefix: `10.0.0.1/24`. */
export interface IpPrefix {
  readonly address: IpAddress
  /** Bits: 0 to 32, or 0 to 128. */
  readonly length: number
}

/** A prefix from its text, `ADDRESS/LENGTH`; without a length it is the single address. `undefined` when malformed. */
export const parseIpPrefix = (text: string): IpPrefix | undefined => {
  const slash = text.indexOf('/')
  const address = parseIpAddress(slash < 0 ? text : text.slice(0, slash))
  if (address === undefined) return undefined
  const most = address.isIpv4 ? 32 : 128
  if (slash < 0) return { address, length: most }
  const lengthText = text.slice(slash + 1)
  if (!/^[0-9]{1,3}$/.test(lengthText) || Number(lengthText) > most) return undefined
  return { address, length: Number(lengthText) }
}

/** A MAC address: a whole number below 2^48. */
export type MacAddress = number

export const MAC_BROADCAST: MacAddress = 0xffff_ffff_ffff

/** `02:00:0a:00:00:01`. */
export const formatMac = (mac: MacAddress): string =>
  mac
    .toString(16)
    .padStart(12, '0')
    .replace(/(..)(?=.)/g, '$1:')

/** A MAC address from six hexadecimal bytes with colons or hyphens; `undefined` for anything else. */
export const parseMac = (text: string): MacAddress | undefined =>
  /^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$/.test(text) ? Number.parseInt(text.replace(/[:-]/g, ''), 16) : undefined

/** Is the group bit set: multicast or broadcast? */
export const isGroupMac = (mac: MacAddress): boolean => (Math.floor(mac / 0x100_0000_0000) & 1) === 1

/** The MAC address that an IP multicast group maps to (RFC 1112 section 6.4, RFC 2464 section 7). */
export const multicastMac = (group: IpAddress): MacAddress =>
  group.isIpv4 ? 0x0100_5e00_0000 + (group.w3 & 0x7f_ffff) : 0x3333_0000_0000 + (group.w3 >>> 0)
