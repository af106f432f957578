import type { Bytes } from '../core/memory.ts'
import { ArpPacket, parseArp } from './arp.ts'
import { Drop } from './drop.ts'
import { ETHERNET_FCS, EthernetHeader, EtherType, parseEthernet, verifyFcs } from './ethernet.ts'
import { IcmpMessage, parseIcmp } from './icmp.ts'
import { Icmpv6Message, isMld, isNdp, parseIcmpv6 } from './icmpv6.ts'
import { IgmpMessage, parseIgmp } from './igmp.ts'
import { IpHeader, IpProtocol } from './ip.ts'
import { parseIpv4 } from './ipv4.ts'
import { Ipv4OptionScan, scanIpv4Options } from './ipv4-options.ts'
import { Ipv6Chain, parseIpv6, parseIpv6Extensions, parseIpv6HopByHop } from './ipv6.ts'
import { MldMessage, parseMld } from './mld.ts'
import { NdpMessage, parseNdp } from './ndp.ts'
import { parseTcp, TcpHeader } from './tcp.ts'
import { verifyTransportChecksum } from './transport.ts'
import { parseUdp, UdpHeader } from './udp.ts'

/** The headers that `decodeFrame` knows, by the name of the field that holds them. */
export type DecodedLayer =
  | 'none'
  | 'ethernet'
  | 'arp'
  | 'ip'
  | 'tcp'
  | 'udp'
  | 'icmp'
  | 'icmpv6'
  | 'ndp'
  | 'igmp'
  | 'mld'

/** A frame taken apart: every header on the way to the innermost. One object is filled for frame after frame. */
export class DecodedFrame {
  readonly ethernet = new EthernetHeader()
  readonly arp = new ArpPacket()
  readonly ip = new IpHeader()
  readonly ipv4Options = new Ipv4OptionScan()
  readonly ipv6Chain = new Ipv6Chain()
  readonly tcp = new TcpHeader()
  readonly udp = new UdpHeader()
  readonly icmp = new IcmpMessage()
  readonly icmpv6 = new Icmpv6Message()
  readonly ndp = new NdpMessage()
  readonly igmp = new IgmpMessage()
  readonly mld = new MldMessage()
  /**
   * The innermost header that could be parsed: its field and those of the layers around it are filled. A fragment has
   * `ip`; NDP and MLD have `icmpv6` filled too.
   */
  layer: DecodedLayer = 'none'
  /** EtherType of what the link carries; 0 before it is known. */
  etherType = 0
  /** Where the ARP packet or IP header starts. */
  networkAt = 0
  /** What lies behind the innermost header, without the link's padding. */
  payloadStart = 0
  payloadEnd = 0
}

/**
 * Takes apart the frame from `start` to `end`, verifying every length and checksum on the way.
 * @param medium does the frame begin with an Ethernet header or with its IP header?
 * @param fcs does it end with a frame check sequence, to be verified?
 * @returns `Drop.none`, or the first reason to drop the frame that lies in the frame itself; `into` then holds what
 *   was parsed before it. A fragment is not looked into, an IPv4 source route is no reason
 */
export const decodeFrame = (
  into: DecodedFrame,
  bytes: Bytes,
  start: number,
  end: number,
  medium: 'ethernet' | 'ip',
  fcs = false,
): number => {
  into.layer = 'none'
  into.etherType = 0
  into.networkAt = start
  into.payloadStart = start
  into.payloadEnd = end
  let dataEnd = end
  if (fcs) {
    if (!verifyFcs(bytes, start, end)) return end - start < ETHERNET_FCS ? Drop['eth-truncated'] : Drop['eth-fcs']
    dataEnd -= ETHERNET_FCS
  }
  if (medium === 'ip') return decodeByVersion(into, bytes, start, dataEnd)
  const reason = parseEthernet(into.ethernet, bytes, start, dataEnd)
  if (reason !== Drop.none) return reason
  const at = start + into.ethernet.headerLength
  enter(into, 'ethernet', at, dataEnd)
  into.etherType = into.ethernet.etherType
  into.networkAt = at
  switch (into.etherType) {
    case EtherType.Arp:
      return decodeArp(into, bytes, at, dataEnd)
    case EtherType.Ipv4:
      return decodeIpv4(into, bytes, at, dataEnd)
    case EtherType.Ipv6:
      return decodeIpv6(into, bytes, at, dataEnd)
    default:
      return Drop['eth-unknown-type']
  }
}

const enter = (into: DecodedFrame, layer: DecodedLayer, payloadStart: number, payloadEnd: number): number => {
  into.layer = layer
  into.payloadStart = payloadStart
  into.payloadEnd = payloadEnd
  return Drop.none
}

const decodeByVersion = (into: DecodedFrame, bytes: Bytes, start: number, end: number): number => {
  if (end <= start) return Drop['ip-version']
  switch (bytes.u8[start]! >>> 4) {
    case 4:
      into.etherType = EtherType.Ipv4
      return decodeIpv4(into, bytes, start, end)
    case 6:
      into.etherType = EtherType.Ipv6
      return decodeIpv6(into, bytes, start, end)
    default:
      return Drop['ip-version']
  }
}

const decodeArp = (into: DecodedFrame, bytes: Bytes, start: number, end: number): number => {
  const reason = parseArp(into.arp, bytes, start, end)
  return reason === Drop.none ? enter(into, 'arp', end, end) : reason
}

const decodeIpv4 = (into: DecodedFrame, bytes: Bytes, start: number, end: number): number => {
  const { ip } = into
  let reason = parseIpv4(ip, bytes, start, end)
  if (reason === Drop.none) reason = scanIpv4Options(into.ipv4Options, ip, bytes)
  if (reason !== Drop.none) return reason
  enter(into, 'ip', ip.payloadStart, ip.payloadEnd)
  return ip.isFragment ? Drop.none : decodeTransport(into, bytes)
}

const decodeIpv6 = (into: DecodedFrame, bytes: Bytes, start: number, end: number): number => {
  const { ip, ipv6Chain } = into
  let reason = parseIpv6(ip, bytes, start, end)
  if (reason === Drop.none) reason = parseIpv6HopByHop(ip, ipv6Chain, bytes)
  if (reason === Drop.none) reason = parseIpv6Extensions(ip, ipv6Chain, bytes)
  if (reason !== Drop.none) return reason
  enter(into, 'ip', ip.payloadStart, ip.payloadEnd)
  return ip.isFragment ? Drop.none : decodeTransport(into, bytes)
}

const decodeTransport = (into: DecodedFrame, bytes: Bytes): number => {
  const { ip } = into
  const reason = verifyTransportChecksum(ip, bytes)
  if (reason !== Drop.none) return reason
  switch (ip.protocol) {
    case IpProtocol.Tcp:
      return decodeTcp(into, bytes)
    case IpProtocol.Udp:
      return decodeUdp(into, bytes)
    case IpProtocol.Icmp:
      return ip.version === 4 ? decodeIcmp(into, bytes) : Drop['ip-unknown-protocol']
    case IpProtocol.Igmp:
      return ip.version === 4 ? decodeIgmp(into, bytes) : Drop['ip-unknown-protocol']
    case IpProtocol.Icmpv6:
      return ip.version === 6 ? decodeIcmpv6(into, bytes) : Drop['ip-unknown-protocol']
    default:
      return Drop['ip-unknown-protocol']
  }
}

const decodeTcp = (into: DecodedFrame, bytes: Bytes): number => {
  const { ip, tcp } = into
  const reason = parseTcp(tcp, bytes, ip.payloadStart, ip.payloadEnd)
  return reason === Drop.none ? enter(into, 'tcp', ip.payloadStart + tcp.headerLength, ip.payloadEnd) : reason
}

const decodeUdp = (into: DecodedFrame, bytes: Bytes): number => {
  const { ip, udp } = into
  const reason = parseUdp(udp, bytes, ip.payloadStart, ip.payloadEnd)
  return reason === Drop.none ? enter(into, 'udp', udp.payloadStart, udp.payloadEnd) : reason
}

const decodeIcmp = (into: DecodedFrame, bytes: Bytes): number => {
  const { ip, icmp } = into
  const reason = parseIcmp(icmp, bytes, ip.payloadStart, ip.payloadEnd)
  return reason === Drop.none ? enter(into, 'icmp', icmp.dataStart, icmp.dataEnd) : reason
}

const decodeIgmp = (into: DecodedFrame, bytes: Bytes): number => {
  const { ip } = into
  const reason = parseIgmp(into.igmp, bytes, ip.payloadStart, ip.payloadEnd)
  return reason === Drop.none ? enter(into, 'igmp', ip.payloadEnd, ip.payloadEnd) : reason
}

const decodeIcmpv6 = (into: DecodedFrame, bytes: Bytes): number => {
  const { ip, icmpv6 } = into
  const start = ip.payloadStart
  const end = ip.payloadEnd
  const reason = parseIcmpv6(icmpv6, bytes, start, end)
  if (reason !== Drop.none) return reason
  if (isNdp(icmpv6.type)) {
    const ndpReason = parseNdp(into.ndp, ip, bytes, start, end)
    return ndpReason === Drop.none ? enter(into, 'ndp', end, end) : ndpReason
  }
  if (isMld(icmpv6.type)) {
    const mldReason = parseMld(into.mld, ip, into.ipv6Chain, bytes, start, end)
    return mldReason === Drop.none ? enter(into, 'mld', end, end) : mldReason
  }
  return enter(into, 'icmpv6', icmpv6.dataStart, icmpv6.dataEnd)
}
