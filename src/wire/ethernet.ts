import type { Bytes } from '../core/memory.ts'
import type { MacAddress } from './address.ts'
import { Drop } from './drop.ts'

/** Ethernet II frames (IEEE 802.3), 802.1Q and 802.1ad tags, and the frame check sequence. */

export const ETHERNET_HEADER = 14
/** Bytes of one 802.1Q tag. */
export const VLAN_TAG = 4
/** Bytes of the frame check sequence. */
export const ETHERNET_FCS = 4
/** Bytes to which a shorter frame is padded, its frame check sequence not counted (64 with it). */
export const ETHERNET_MIN_FRAME = 60

/** What a frame carries (IANA "IEEE 802 Numbers"). Values below 0x600 are the length of an 802.3 frame instead. */
export const EtherType = {
  Ipv4: 0x0800,
  Arp: 0x0806,
  WakeOnLan: 0x0842,
  ReverseArp: 0x8035,
  Vlan: 0x8100,
  Ipv6: 0x86dd,
  SlowProtocols: 0x8809,
  Mpls: 0x8847,
  MplsMulticast: 0x8848,
  PppoeDiscovery: 0x8863,
  PppoeSession: 0x8864,
  Eapol: 0x888e,
  /** The outer tag of 802.1ad. */
  ServiceVlan: 0x88a8,
  Lldp: 0x88cc,
  Macsec: 0x88e5,
  Ptp: 0x88f7,
  Fcoe: 0x8906,
  FcoeInitialization: 0x8914,
  Roce: 0x8915,
  Loopback: 0x9000,
} as const

/** The least value that is an EtherType and no length. */
const ETHERTYPE_MIN = 0x600

const NAMES: ReadonlyMap<number, string> = new Map([
  [EtherType.Ipv4, 'IPv4'],
  [EtherType.Arp, 'ARP'],
  [EtherType.WakeOnLan, 'Wake-on-LAN'],
  [EtherType.ReverseArp, 'RARP'],
  [EtherType.Vlan, '802.1Q'],
  [EtherType.Ipv6, 'IPv6'],
  [EtherType.SlowProtocols, 'slow protocols'],
  [EtherType.Mpls, 'MPLS'],
  [EtherType.MplsMulticast, 'MPLS multicast'],
  [EtherType.PppoeDiscovery, 'PPPoE discovery'],
  [EtherType.PppoeSession, 'PPPoE session'],
  [EtherType.Eapol, 'EAPOL'],
  [EtherType.ServiceVlan, '802.1ad'],
  [EtherType.Lldp, 'LLDP'],
  [EtherType.Macsec, 'MACsec'],
  [EtherType.Ptp, 'PTP'],
  [EtherType.Fcoe, 'FCoE'],
  [EtherType.FcoeInitialization, 'FIP'],
  [EtherType.Roce, 'RoCE'],
  [EtherType.Loopback, 'loopback'],
])

/** The name of an EtherType, `'802.3'` for a length, or four hexadecimal digits: `'0x1234'`. */
export const etherTypeName = (etherType: number): string =>
  NAMES.get(etherType) ?? (etherType < ETHERTYPE_MIN ? '802.3' : `0x${etherType.toString(16).padStart(4, '0')}`)

/** One 802.1Q tag as plain values. */
export class VlanTag {
  /** The EtherType that announces the tag: `EtherType.Vlan` or `EtherType.ServiceVlan`. */
  protocol: number = EtherType.Vlan
  /** Priority code point, 0 to 7. */
  priority = 0
  dropEligible = false
  /** VLAN identifier, 0 to 4095; 0 means priority only, 4095 is reserved. */
  id = 0
}

/** An Ethernet header as plain values. One object is filled for frame after frame. */
export class EthernetHeader {
  destination: MacAddress = 0
  source: MacAddress = 0
  /** What lies behind the header and its tags. */
  etherType = 0
  /** Bytes of header with tags. */
  headerLength = ETHERNET_HEADER
  /** Tags: 0, 1 or 2. */
  tags = 0
  /** The tag next to the EtherType (the customer's), when there is one. */
  readonly vlan = new VlanTag()
  /** The tag in front of it (the provider's), when there are two. */
  readonly outerVlan = new VlanTag()
}

/** The MAC address at `at`. */
export const readMac = (bytes: Bytes, at: number): MacAddress =>
  bytes.view.getUint16(at) * 0x1_0000_0000 + bytes.view.getUint32(at + 2)

/**
 * The upper 16 and the lower 32 bits of a MAC address: on the way of
 * a packet two integers are compared, or written, sooner.
 */
export const macHigh = (mac: MacAddress): number => Math.floor(mac / 0x1_0000_0000)
export const macLow = (mac: MacAddress): number => mac | 0

/** Are the six bytes at `at` the address of these upper and lower bits? */
export const isMac = (bytes: Bytes, at: number, high: number, low: number): boolean =>
  bytes.view.getInt32(at + 2) === low && bytes.view.getUint16(at) === high

/** Writes a MAC address to the six bytes at `at`. */
export const writeMac = (bytes: Bytes, at: number, mac: MacAddress): void => {
  writeMacParts(bytes, at, macHigh(mac), macLow(mac))
}

/** The same, of its upper and lower bits. */
export const writeMacParts = (bytes: Bytes, at: number, high: number, low: number): void => {
  bytes.view.setUint16(at, high)
  bytes.view.setInt32(at + 2, low)
}

/**
 * Parses the Ethernet header at `start` of a frame that ends at `end`, its frame check sequence not counted. A third
 * tag is left in place, as the EtherType.
 * @returns `Drop.none`, with every field of `into` set, or why the frame must be dropped
 */
export const parseEthernet = (into: EthernetHeader, bytes: Bytes, start: number, end: number): number => {
  if (end - start < ETHERNET_HEADER) return Drop['eth-truncated']
  const { view } = bytes
  into.destination = readMac(bytes, start)
  into.source = readMac(bytes, start + 6)
  let etherType = view.getUint16(start + 12)
  let at = start + ETHERNET_HEADER
  let tags = 0
  while ((etherType === EtherType.Vlan || etherType === EtherType.ServiceVlan) && tags < 2) {
    if (end - at < VLAN_TAG) return Drop['eth-truncated']
    if (tags === 1) copyTag(into.outerVlan, into.vlan)
    const control = view.getUint16(at)
    into.vlan.protocol = etherType
    into.vlan.priority = control >>> 13
    into.vlan.dropEligible = (control & 0x1000) !== 0
    into.vlan.id = control & 0xfff
    etherType = view.getUint16(at + 2)
    at += VLAN_TAG
    tags++
  }
  into.tags = tags
  into.etherType = etherType
  into.headerLength = at - start
  return Drop.none
}

const copyTag = (to: VlanTag, from: VlanTag): void => {
  to.protocol = from.protocol
  to.priority = from.priority
  to.dropEligible = from.dropEligible
  to.id = from.id
}

/** Writes the header at `start` with its tags, and sets `header.headerLength`. @returns its length in bytes */
export const emitEthernet = (header: EthernetHeader, bytes: Bytes, start: number): number => {
  writeMac(bytes, start, header.destination)
  writeMac(bytes, start + 6, header.source)
  let at = start + 12
  if (header.tags === 2) at = emitTag(header.outerVlan, bytes, at)
  if (header.tags > 0) at = emitTag(header.vlan, bytes, at)
  bytes.view.setUint16(at, header.etherType)
  header.headerLength = at + 2 - start
  return header.headerLength
}

const emitTag = (tag: VlanTag, bytes: Bytes, at: number): number => {
  bytes.view.setUint16(at, tag.protocol)
  bytes.view.setUint16(at + 2, (tag.priority << 13) | (tag.dropEligible ? 0x1000 : 0) | tag.id)
  return at + VLAN_TAG
}

/** Fills the frame up to the least size with zeros. @returns where it ends now */
export const padEthernet = (bytes: Bytes, start: number, end: number): number => {
  const least = start + ETHERNET_MIN_FRAME
  if (end >= least) return end
  bytes.u8.fill(0, end, least)
  return least
}

/**
 * CRC-32 as Ethernet computes it (IEEE 802.3 clause 3.2.9), reflected: the polynomial's lowest term is the top bit.
 * Table k tells what a byte does to the remainder that has k more bytes to go, so that four bytes go in at a time.
 */
const CRC_TABLES: readonly Int32Array[] = (() => {
  const tables = [new Int32Array(256), new Int32Array(256), new Int32Array(256), new Int32Array(256)]
  for (let i = 0; i < 256; i++) {
    let remainder = i
    for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ ((remainder & 1) === 1 ? 0xedb8_8320 : 0)
    tables[0]![i] = remainder
  }
  for (let k = 1; k < 4; k++) {
    for (let i = 0; i < 256; i++) {
      const before = tables[k - 1]![i]!
      tables[k]![i] = tables[0]![before & 0xff]! ^ (before >>> 8)
    }
  }
  return tables
})()

/** CRC-32 of the bytes from `start` to `end`, as a signed integer. */
export const crc32 = (bytes: Bytes, start: number, end: number): number => {
  const { u8 } = bytes
  const t0 = CRC_TABLES[0]!
  const t1 = CRC_TABLES[1]!
  const t2 = CRC_TABLES[2]!
  const t3 = CRC_TABLES[3]!
  let crc = -1
  let at = start
  for (; at + 4 <= end; at += 4) {
    crc ^= u8[at]! | (u8[at + 1]! << 8) | (u8[at + 2]! << 16) | (u8[at + 3]! << 24)
    crc = t3[crc & 0xff]! ^ t2[(crc >>> 8) & 0xff]! ^ t1[(crc >>> 16) & 0xff]! ^ t0[crc >>> 24]!
  }
  for (; at < end; at++) crc = t0[(crc ^ u8[at]!) & 0xff]! ^ (crc >>> 8)
  return ~crc
}

/** Writes the frame check sequence of `start` to `end` behind it. @returns where the frame ends now */
export const emitFcs = (bytes: Bytes, start: number, end: number): number => {
  bytes.view.setInt32(end, crc32(bytes, start, end), true)
  return end + ETHERNET_FCS
}

/** Do the last four of the bytes from `start` to `end` hold the frame check sequence of those before them? */
export const verifyFcs = (bytes: Bytes, start: number, end: number): boolean =>
  end - start >= ETHERNET_FCS &&
  bytes.view.getInt32(end - ETHERNET_FCS, true) === crc32(bytes, start, end - ETHERNET_FCS)
