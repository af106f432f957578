import type { Bytes } from '../core/memory.ts'
import { type IpAddress, ipv4 } from './address.ts'
import { Drop } from './drop.ts'
import type { IpHeader } from './ip.ts'
import { concatBytes, joinOption, padOptions, splitOptions, word16, word32 } from './options.ts'

/** Options of IPv4 (RFC 791 section 3.1, RFC 1108, RFC 2113), and what hosts and routers do with them. */

/** Types of options: copied flag, class and number in one byte (IANA "IP Option Numbers"). */
export const Ipv4OptionType = {
  End: 0,
  Nop: 1,
  RecordRoute: 7,
  Timestamp: 68,
  Security: 130,
  LooseSourceRoute: 131,
  StreamId: 136,
  StrictSourceRoute: 137,
  RouterAlert: 148,
} as const

/** What a timestamp option collects. */
const Ipv4TimestampFlag = { TimeOnly: 0, WithAddress: 1, Prespecified: 3 } as const

/** Is the option carried by every fragment, not the first only? */
export const isCopiedOption = (type: number): boolean => (type & 0x80) !== 0

/** What the options of a packet are, as `scanIpv4Options` found it. One object is filled for packet after packet. */
export class Ipv4OptionScan {
  /** Where the option lies whose route the packet is to take; -1 when there is none. */
  sourceRouteAt = -1
  /** Must the route be taken to the letter? */
  isStrict = false
  /** Where the record-route option lies; -1 when there is none. */
  recordRouteAt = -1
  /** Where the timestamp option lies; -1 when there is none. */
  timestampAt = -1
  /** Is every router on the way to look at the packet (RFC 2113)? */
  routerAlert = false
  /** What a parameter problem points to when the options are wrong: bytes from the start of the packet. */
  problemPointer = 0

  clear(): void {
    this.sourceRouteAt = -1
    this.isStrict = false
    this.recordRouteAt = -1
    this.timestampAt = -1
    this.routerAlert = false
    this.problemPointer = 0
  }
}

/**
 * Checks the options of a parsed header, so that what follows can trust their lengths and pointers.
 * @returns `Drop.none`, or `Drop['ipv4-options']` with `into.problemPointer` set
 */
export const scanIpv4Options = (into: Ipv4OptionScan, header: IpHeader, bytes: Bytes): number => {
  into.clear()
  const { u8 } = bytes
  const end = header.payloadStart
  let at = header.optionsStart
  while (at < end) {
    const type = u8[at]!
    if (type === Ipv4OptionType.End) break
    if (type === Ipv4OptionType.Nop) {
      at++
      continue
    }
    const length = at + 2 > end ? 0 : u8[at + 1]!
    if (length < 2 || at + length > end) return wrong(into, header, at)
    const fault = scanOption(into, bytes, type, at, length)
    if (fault >= 0) return wrong(into, header, at + fault)
    at += length
  }
  return Drop.none
}

const wrong = (into: Ipv4OptionScan, header: IpHeader, at: number): number => {
  into.problemPointer = at - header.payloadStart + header.headerLength
  return Drop['ipv4-options']
}

/**
 * @returns -1, or which byte of the option is wrong. A second one of
 *   a kind is wrong as a whole (RFC 1122 section 3.2.1.8).
 */
const scanOption = (into: Ipv4OptionScan, bytes: Bytes, type: number, at: number, length: number): number => {
  switch (type) {
    case Ipv4OptionType.RecordRoute:
      if (into.recordRouteAt >= 0) return 0
      into.recordRouteAt = at
      return routeFault(bytes, at, length)
    case Ipv4OptionType.LooseSourceRoute:
    case Ipv4OptionType.StrictSourceRoute:
      if (into.sourceRouteAt >= 0) return 0
      into.sourceRouteAt = at
      into.isStrict = type === Ipv4OptionType.StrictSourceRoute
      return routeFault(bytes, at, length)
    case Ipv4OptionType.Timestamp:
      if (into.timestampAt >= 0) return 0
      into.timestampAt = at
      return timestampFault(bytes, at, length)
    case Ipv4OptionType.RouterAlert:
      if (length !== 4) return 1
      into.routerAlert = bytes.view.getUint16(at + 2) === 0
      return -1
    default:
      return -1
  }
}

/** A route is full when the pointer is beyond its end, else an address must fit where the pointer points to. */
const routeFault = (bytes: Bytes, at: number, length: number): number => {
  if (length < 3) return 1
  const pointer = bytes.u8[at + 2]!
  return pointer < 4 || (pointer <= length && pointer + 3 > length) ? 2 : -1
}

const timestampFault = (bytes: Bytes, at: number, length: number): number => {
  if (length < 4) return 1
  const pointer = bytes.u8[at + 2]!
  const flag = bytes.u8[at + 3]! & 0xf
  if (pointer < 5) return 2
  if (flag !== Ipv4TimestampFlag.TimeOnly && flag !== Ipv4TimestampFlag.WithAddress) {
    if (flag !== Ipv4TimestampFlag.Prespecified) return 3
  }
  return pointer <= length && pointer - 1 + entrySize(flag) > length ? 2 : -1
}

const entrySize = (flag: number): number => (flag === Ipv4TimestampFlag.TimeOnly ? 4 : 8)

/** Who tells which addresses are a host's own. */
export interface Ipv4AddressOwner {
  /** @param bits the address as a signed integer */
  ownsIpv4(bits: number): boolean
}

/**
 * Writes this host into the record-route and timestamp options of a packet that it passes on or receives (RFC 1812
 * section 5.3.13). The header's checksum has to be computed anew afterwards (`setIpv4Checksum`).
 * @param scan the packet's options, checked
 * @param address this host's address on the interface where the packet leaves, as a signed integer
 * @param time milliseconds since midnight UTC
 * @returns `Drop.none`, or `Drop['ipv4-options']` when the count of hosts without room for a timestamp overflows;
 *   `scan.problemPointer` is then set
 */
export const recordIpv4Options = (
  scan: Ipv4OptionScan,
  header: IpHeader,
  bytes: Bytes,
  address: number,
  time: number,
  owner: Ipv4AddressOwner,
): number => {
  const { u8, view } = bytes
  if (scan.recordRouteAt >= 0) {
    const at = scan.recordRouteAt
    const pointer = u8[at + 2]!
    if (pointer <= u8[at + 1]!) {
      view.setInt32(at + pointer - 1, address)
      u8[at + 2] = pointer + 4
    }
  }
  if (scan.timestampAt < 0) return Drop.none
  return recordTimestamp(scan, header, bytes, address, time, owner)
}

const recordTimestamp = (
  scan: Ipv4OptionScan,
  header: IpHeader,
  bytes: Bytes,
  address: number,
  time: number,
  owner: Ipv4AddressOwner,
): number => {
  const { u8, view } = bytes
  const at = scan.timestampAt
  const pointer = u8[at + 2]!
  const flag = u8[at + 3]! & 0xf
  if (pointer > u8[at + 1]!) {
    // Prespecified hosts that come too late are not missed (RFC 791 section 3.1).
    if (flag === Ipv4TimestampFlag.Prespecified) return Drop.none
    if (u8[at + 3]! >= 0xf0) return wrong(scan, header, at + 3)
    u8[at + 3]! += 0x10
    return Drop.none
  }
  let to = at + pointer - 1
  if (flag === Ipv4TimestampFlag.Prespecified && !owner.ownsIpv4(view.getInt32(to))) return Drop.none
  if (flag === Ipv4TimestampFlag.WithAddress) view.setInt32(to, address)
  if (flag !== Ipv4TimestampFlag.TimeOnly) to += 4
  view.setInt32(to, time)
  u8[at + 2] = pointer + entrySize(flag)
  return Drop.none
}

/**
 * An option as a plain object, for tools. A list says exactly what the bytes say: emitting what was parsed gives the
 * same bytes, whatever they are.
 */
export type Ipv4Option =
  /** End of options; `padding` is whatever follows it. */
  | { readonly name: 'eol'; readonly padding: Uint8Array }
  | { readonly name: 'nop' }
  /** A route, recorded or to be taken; `pointer` counts from 1 and from the option's first byte. */
  | {
      readonly name: 'recordRoute' | 'looseSourceRoute' | 'strictSourceRoute'
      readonly pointer: number
      readonly addresses: readonly IpAddress[]
    }
  /** `slots` holds words as they lie: times, or addresses and times by turns, as `flag` says. */
  | {
      readonly name: 'timestamp'
      readonly pointer: number
      readonly overflow: number
      readonly flag: number
      readonly slots: readonly number[]
    }
  | { readonly name: 'routerAlert'; readonly value: number }
  | { readonly name: 'security'; readonly data: Uint8Array }
  /** A type that is not known, or one that is with a length that is not its own. */
  | { readonly name: 'unknown'; readonly type: number; readonly data: Uint8Array }
  /** Everything from the first option on whose length is under 2 or goes beyond the end. */
  | { readonly name: 'malformed'; readonly data: Uint8Array }

/** The options in `bytes`: an IPv4 header's bytes from 20 to its length. */
export const parseIpv4OptionList = (bytes: Uint8Array): Ipv4Option[] => {
  const { options, rest } = splitOptions(bytes)
  const list = options.map(({ kind, data }) => parseOption(kind, data))
  if (rest.length > 0) list.push({ name: 'malformed', data: rest })
  return list
}

const ROUTES = new Map([
  [Ipv4OptionType.RecordRoute as number, 'recordRoute'],
  [Ipv4OptionType.LooseSourceRoute, 'looseSourceRoute'],
  [Ipv4OptionType.StrictSourceRoute, 'strictSourceRoute'],
] as const)

const parseOption = (type: number, data: Uint8Array | null): Ipv4Option => {
  if (data === null) return { name: 'nop' }
  const view = new DataView(data.buffer)
  const words = (from: number): number[] =>
    Array.from({ length: (data.length - from) / 4 }, (_, i) => view.getUint32(from + i * 4))
  switch (type) {
    case Ipv4OptionType.End:
      return { name: 'eol', padding: data }
    case Ipv4OptionType.RecordRoute:
    case Ipv4OptionType.LooseSourceRoute:
    case Ipv4OptionType.StrictSourceRoute:
      if (data.length % 4 === 1) return { name: ROUTES.get(type)!, pointer: data[0]!, addresses: words(1).map(ipv4) }
      break
    case Ipv4OptionType.Timestamp:
      if (data.length >= 2 && data.length % 4 === 2) {
        const [pointer, flags] = [data[0]!, data[1]!]
        return { name: 'timestamp', pointer, overflow: flags >>> 4, flag: flags & 0xf, slots: words(2) }
      }
      break
    case Ipv4OptionType.RouterAlert:
      if (data.length === 2) return { name: 'routerAlert', value: view.getUint16(0) }
      break
    case Ipv4OptionType.Security:
      return { name: 'security', data }
  }
  return { name: 'unknown', type, data }
}

/** The bytes of a list of options, with no padding but what the list says. */
export const emitIpv4OptionList = (list: readonly Ipv4Option[]): Uint8Array => concatBytes(list.map(emitOption))

const emitOption = (option: Ipv4Option): Uint8Array => {
  switch (option.name) {
    case 'eol':
      return concatBytes([Uint8Array.of(Ipv4OptionType.End), option.padding])
    case 'nop':
      return Uint8Array.of(Ipv4OptionType.Nop)
    case 'recordRoute':
      return joinRoute(Ipv4OptionType.RecordRoute, option.pointer, option.addresses)
    case 'looseSourceRoute':
      return joinRoute(Ipv4OptionType.LooseSourceRoute, option.pointer, option.addresses)
    case 'strictSourceRoute':
      return joinRoute(Ipv4OptionType.StrictSourceRoute, option.pointer, option.addresses)
    case 'timestamp': {
      const flags = (option.overflow << 4) | option.flag
      return joinOption(Ipv4OptionType.Timestamp, [option.pointer, flags, ...option.slots.flatMap(word32)])
    }
    case 'routerAlert':
      return joinOption(Ipv4OptionType.RouterAlert, word16(option.value))
    case 'security':
      return joinOption(Ipv4OptionType.Security, option.data)
    case 'unknown':
      return joinOption(option.type, option.data)
    case 'malformed':
      return option.data
  }
}

const joinRoute = (type: number, pointer: number, addresses: readonly IpAddress[]): Uint8Array =>
  joinOption(type, [pointer, ...addresses.flatMap((address) => word32(address.w3))])

/** Writes a list of options at `start`, padded to whole words. @returns their length: what `headerLength` grows by */
export const emitIpv4Options = (list: readonly Ipv4Option[], bytes: Bytes, start: number): number => {
  const options = padOptions(emitIpv4OptionList(list))
  bytes.u8.set(options, start)
  return options.length
}
