import type { Bytes } from '../core/memory.ts'
import type { MacAddress } from './address.ts'
import { Drop } from './drop.ts'
import { EtherType, readMac, writeMac } from './ethernet.ts'

/** ARP between Ethernet and IPv4 addresses (RFC 826, RFC 5227). */
export const ARP_LENGTH = 28

/** The operations (IANA "ARP Parameters"). */
export const ArpOperation = { Request: 1, Reply: 2 } as const

const HARDWARE_ETHERNET = 1
/** Six bytes of hardware address, four of protocol address. */
const ADDRESS_LENGTHS = 0x0604

/** An ARP packet as plain values. One object is filled for packet after packet; IPv4 addresses are signed integers. */
export class ArpPacket {
  /** One of `ArpOperation`. */
  operation: number = ArpOperation.Request
  senderMac: MacAddress = 0
  senderIp = 0
  targetMac: MacAddress = 0
  targetIp = 0

  /** Does the sender ask whether an address is free that it does not yet use (RFC 5227 section 2.1.1)? */
  get isProbe(): boolean {
    return this.operation === ArpOperation.Request && this.senderIp === 0
  }

  /** Does the sender tell everybody its own address, by request (RFC 5227 section 2.3) or by reply (gratuitous)? */
  get isAnnouncement(): boolean {
    return this.senderIp === this.targetIp && this.senderIp !== 0
  }
}

/**
 * Parses the ARP packet at `start`, which ends at or before `end` (a link pads it).
 * @returns `Drop.none`, with every field of `into` set, or why the packet must be dropped
 */
export const parseArp = (into: ArpPacket, bytes: Bytes, start: number, end: number): number => {
  if (end - start < ARP_LENGTH) return Drop['arp-truncated']
  const { view } = bytes
  if (
    view.getUint16(start) !== HARDWARE_ETHERNET ||
    view.getUint16(start + 2) !== EtherType.Ipv4 ||
    view.getUint16(start + 4) !== ADDRESS_LENGTHS
  ) {
    return Drop['arp-not-ethernet-ipv4']
  }
  const operation = view.getUint16(start + 6)
  if (operation !== ArpOperation.Request && operation !== ArpOperation.Reply) return Drop['arp-bad-operation']
  into.operation = operation
  into.senderMac = readMac(bytes, start + 8)
  into.senderIp = view.getInt32(start + 14)
  into.targetMac = readMac(bytes, start + 18)
  into.targetIp = view.getInt32(start + 24)
  return Drop.none
}

/** Writes the packet at `start`. @returns its length, 28 bytes */
export const emitArp = (packet: ArpPacket, bytes: Bytes, start: number): number => {
  const { view } = bytes
  view.setUint16(start, HARDWARE_ETHERNET)
  view.setUint16(start + 2, EtherType.Ipv4)
  view.setUint16(start + 4, ADDRESS_LENGTHS)
  view.setUint16(start + 6, packet.operation)
  writeMac(bytes, start + 8, packet.senderMac)
  view.setInt32(start + 14, packet.senderIp)
  writeMac(bytes, start + 18, packet.targetMac)
  view.setInt32(start + 24, packet.targetIp)
  return ARP_LENGTH
}
