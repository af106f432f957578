import { LinkType } from '../../link/pcapng.ts'
import { EtherType } from '../../wire/ethernet.ts'
import { type Dissection, named } from './dissection.ts'
import { putRest } from './dump.ts'
import { hasVlanTag, MAX_LENGTH, putEthernet, putEtherPayload, putType, vlanTag } from './ethernet.ts'
import { ETHERTYPE_NAMES } from './ethertype.ts'
import { putIpv4 } from './ipv4.ts'
import { putIpv6 } from './ipv6.ts'
import { putLlc } from './llc.ts'

/** The headers of links other than Ethernet (tcpdump.org, "Link-layer header types"), and what lies behind each. */

/** Names of link types as tcpdump has them. */
export const LINK_NAMES: ReadonlyMap<number, readonly [name: string, title: string]> = new Map([
  [LinkType.Null, ['NULL', 'BSD loopback']],
  [LinkType.Ethernet, ['EN10MB', 'Ethernet']],
  [LinkType.RawBsd, ['RAW', 'Raw IP']],
  [LinkType.Raw, ['RAW', 'Raw IP']],
  [LinkType.Loop, ['LOOP', 'OpenBSD loopback']],
  [LinkType.Cooked, ['LINUX_SLL', 'Linux cooked v1']],
  [LinkType.Ipv4, ['IPV4', 'Raw IPv4']],
  [LinkType.Ipv6, ['IPV6', 'Raw IPv6']],
  [LinkType.Cooked2, ['LINUX_SLL2', 'Linux cooked v2']],
])

/** The header of Linux's cooked captures, in their two versions: where the fields lie that are told, and its length. */
interface CookedForm {
  readonly name: string
  readonly header: number
  readonly packetType: number
  readonly packetTypeBytes: 1 | 2
  readonly addressLength: number
  readonly addressLengthBytes: 1 | 2
  readonly address: number
  readonly protocol: number
  /** Does it say on which interface a packet was? */
  readonly hasInterface: boolean
}

const COOKED: CookedForm = {
  name: 'sll',
  header: 16,
  packetType: 0,
  packetTypeBytes: 2,
  addressLength: 4,
  addressLengthBytes: 2,
  address: 6,
  protocol: 14,
  hasInterface: false,
}

const COOKED2: CookedForm = {
  name: 'sll2',
  header: 20,
  packetType: 10,
  packetTypeBytes: 1,
  addressLength: 11,
  addressLengthBytes: 1,
  address: 12,
  protocol: 0,
  hasInterface: true,
}

/** Where the second version says on which interface a packet was. */
const INTERFACE_INDEX = 4

/** Where the header of a packet of IP begins behind the header of a link, and where the type of it stands. */
export const COOKED_HEADERS: ReadonlyMap<number, { readonly header: number; readonly protocol: number }> = new Map([
  [LinkType.Cooked, COOKED],
  [LinkType.Cooked2, COOKED2],
])

const PACKET_TYPES: ReadonlyMap<number, string> = new Map([
  [0, 'In'],
  [1, 'B'],
  [2, 'M'],
  [3, 'P'],
  [4, 'Out'],
])

/** Protocols of a cooked packet that are no EtherTypes. */
const COOKED_8023 = 1
const COOKED_LLC = 4

/** Bytes of the address family in front of a packet of a BSD loopback. */
export const NULL_HEADER = 4
const FAMILIES: ReadonlyMap<number, string> = new Map([
  [2, 'IPv4'],
  [6, 'NS'],
  [7, 'ISO'],
  [16, 'Appletalk'],
  [23, 'IPX'],
  [24, 'IPv6'],
  [28, 'IPv6'],
  [30, 'IPv6'],
])

/** The version of IP that an address family stands for: AF_INET, and AF_INET6 as three systems have it; else null. */
export const familyVersion = (family: number): 4 | 6 | null => {
  const name = FAMILIES.get(family)
  return name === 'IPv4' ? 4 : name === 'IPv6' ? 6 : null
}

/** An address family in the byte order of whoever captured: it is small in one of the two. */
export const familyOf = (word: number): number => {
  const swapped = ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0
  return word >>> 16 === 0 ? word : swapped
}

/** A packet of `length` bytes from a link of a type. */
export const putLink = (d: Dissection, linkType: number, length: number): void => {
  switch (linkType) {
    case LinkType.Ethernet:
      putEthernet(d, length)
      break
    case LinkType.Raw:
    case LinkType.RawBsd:
    case LinkType.Ipv4:
    case LinkType.Ipv6:
      putRaw(d, length)
      break
    case LinkType.Null:
    case LinkType.Loop:
      putNull(d, length)
      break
    case LinkType.Cooked:
      putCooked(d, COOKED, length)
      break
    case LinkType.Cooked2:
      putCooked(d, COOKED2, length)
      break
    default:
      d.put(`[link-type ${linkType}, length ${length}]`)
  }
}

const putRaw = (d: Dissection, length: number): void => {
  if (d.options.link) d.put('ip: ')
  d.protocol = 'raw'
  const version = d.u8(0) >> 4
  if (version === 4) putIpv4(d, 0, length)
  else if (version === 6) putIpv6(d, 0, length)
  else d.put(`unknown ip ${version}`)
}

const putNull = (d: Dissection, length: number): void => {
  const { options } = d
  d.protocol = 'null'
  const family = familyOf(d.u32(0))
  d.linkHeader = NULL_HEADER
  const inside = length - NULL_HEADER
  const tell = (): void => {
    if (options.quiet) d.put(named(FAMILIES, family, 'Unknown AF %'))
    else d.put(`AF ${named(FAMILIES, family, 'Unknown')} (${family})`)
    d.put(`, length ${length}: `)
  }
  if (options.link) tell()
  const version = familyVersion(family)
  if (version === 4) putIpv4(d, NULL_HEADER, inside)
  else if (version === 6) putIpv6(d, NULL_HEADER, inside)
  else {
    if (!options.link) tell()
    putRest(d, NULL_HEADER)
  }
}

const putCooked = (d: Dissection, form: CookedForm, length: number): void => {
  const { options } = d
  d.protocol = form.name
  if (!d.has(0, form.header)) {
    d.cutShort()
    d.linkHeader = d.end
    return
  }
  putPacketType(d, form)
  if (options.link) putCookedHeader(d, form, length)
  let type = d.u16(form.protocol)
  let at = form.header
  while (type === EtherType.Vlan) {
    if (!hasVlanTag(d, at)) return
    if (options.link) d.put(`${vlanTag(d.u16(at))}, `)
    type = d.u16(at + 2)
    at += 4
    if (type <= MAX_LENGTH) type = COOKED_LLC
    if (!options.quiet) d.put(`ethertype ${named(ETHERTYPE_NAMES, type, 'Unknown')}, `)
  }
  d.linkHeader = at
  if (type === COOKED_LLC) {
    // As tcpdump: what nobody knows counts no header.
    d.linkHeader += Math.max(putLlc(d, at, length - at, null), 0)
    return
  }
  if (type > MAX_LENGTH && putEtherPayload(d, type, at, length - at)) return
  if (type > MAX_LENGTH && !options.link) putCookedHeader(d, form, length)
  putRest(d, at)
}

/** Whom it was for. The first version tells that with the rest of the header only. */
const putPacketType = (d: Dissection, form: CookedForm, isInHeader = false): void => {
  if (form.hasInterface === isInHeader) return
  const packetType = form.packetTypeBytes === 1 ? d.u8(form.packetType) : d.u16(form.packetType)
  const name = named(PACKET_TYPES, packetType, '?')
  // The name of an interface is that machine's affair.
  d.put(form.hasInterface ? `${'?'.padEnd(5)} ${name.padEnd(3)} ` : `${name.padStart(3)} `)
}

/** Who sent it, and what it is. */
const putCookedHeader = (d: Dissection, form: CookedForm, length: number): void => {
  putPacketType(d, form, true)
  if (form.hasInterface) d.put(`ifindex ${d.u32(INTERFACE_INDEX)} `)
  const addressLength = form.addressLengthBytes === 1 ? d.u8(form.addressLength) : d.u16(form.addressLength)
  if (addressLength === 6) d.put(`${d.mac(form.address)} `)
  if (d.options.quiet) return
  const type = d.u16(form.protocol)
  if (type === COOKED_8023) d.put('802.3')
  else if (type === COOKED_LLC) d.put('802.2')
  else putType(d, type)
  d.put(`, length ${length}: `)
}
