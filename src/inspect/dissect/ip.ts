import { IpProtocol } from '../../wire/ip.ts'
import type { ServiceProtocol } from '../../wire/service-names.ts'
import { checksum, type Dissection } from './dissection.ts'

/** The header of IP in front of what a dissector above it reads. */
export interface IpContext {
  readonly version: 4 | 6
  /** Where the header begins. */
  readonly at: number
  /** The protocol that the header itself names: an extension header's, perhaps. */
  readonly protocol: number
  /** Is it a fragment? Then checksums cannot be checked. */
  readonly isFragment: boolean
}

/** Protocols that have ports, and tell the addresses with them. */
export const WITH_PORTS: ReadonlySet<number> = new Set([IpProtocol.Tcp, IpProtocol.Udp])

/** Names of protocols above IP, as headers are told with `-v`. */
export const PROTOCOL_NAMES: ReadonlyMap<number, string> = new Map([
  [0, 'Options'],
  [1, 'ICMP'],
  [2, 'IGMP'],
  [4, 'IPIP'],
  [6, 'TCP'],
  [8, 'EGP'],
  [9, 'IGRP'],
  [17, 'UDP'],
  [33, 'DCCP'],
  [41, 'IPv6'],
  [43, 'Routing'],
  [44, 'Fragment'],
  [46, 'RSVP'],
  [47, 'GRE'],
  [50, 'ESP'],
  [51, 'AH'],
  [55, 'Mobile IP'],
  [58, 'ICMPv6'],
  [59, 'No Next Header'],
  [62, 'Mobile IP (old)'],
  [88, 'EIGRP'],
  [89, 'OSPF'],
  [103, 'PIM'],
  [108, 'Compressed IP'],
  [112, 'VRRP'],
  [113, 'PGM'],
  [132, 'SCTP'],
  [135, 'Mobility'],
])

export const sourceText = (d: Dissection, { version, at }: IpContext): string =>
  version === 6 ? d.ipv6(at + 8) : d.ipv4(at + 12)

export const destinationText = (d: Dissection, { version, at }: IpContext): string =>
  version === 6 ? d.ipv6(at + 24) : d.ipv4(at + 16)

/** `10.0.0.1.80 > 10.0.0.2.1024: `; behind extension headers the addresses have been told already. */
export const putEndpoints = (
  d: Dissection,
  ip: IpContext,
  protocol: number,
  name: ServiceProtocol,
  source: number,
  destination: number,
): void => {
  const isDirect = ip.protocol === protocol
  const from = isDirect ? `${sourceText(d, ip)}.` : ''
  const to = isDirect ? `${destinationText(d, ip)}.` : ''
  d.put(`${from}${d.port(source, name)} > ${to}${d.port(destination, name)}: `)
}

/** The checksum of what lies from `start` to `end`, with the pseudo-header; 0 when it is right. */
export const transportChecksum = (
  d: Dissection,
  ip: IpContext,
  protocol: number,
  start: number,
  end: number,
): number => {
  const addressLength = ip.version === 6 ? 16 : 4
  const source = ip.at + (ip.version === 6 ? 8 : 12)
  const destination = ip.version === 6 ? lastIpv6Destination(d, ip.at) : lastIpv4Destination(d, ip.at)
  let sum = protocol + (end - start)
  for (const address of [source, destination]) {
    d.need(address, addressLength)
    for (let i = 0; i < addressLength; i += 2) sum += d.u16(address + i)
  }
  return checksum(d.bytes, start, end, sum)
}

const LOOSE_ROUTE = 131
const STRICT_ROUTE = 137

/** Where the address lies that the packet ends at: behind a source route it is the route's last. */
const lastIpv4Destination = (d: Dissection, header: number): number => {
  const end = header + (d.u8(header) & 0xf) * 4
  for (let at = header + 20; at < end; ) {
    const kind = d.u8(at)
    if (kind === 0) break
    const length = kind === 1 ? 1 : d.u8(at + 1)
    if (length < 2 && kind !== 1) break
    if (at + length > end || !d.has(at, length)) break
    if ((kind === LOOSE_ROUTE || kind === STRICT_ROUTE) && length >= 7) return at + length - 4
    at += length
  }
  return header + 16
}

/** The same of IPv6, with routing headers of types 0, 2 and 4 (RFC 2460 section 4.4, RFC 6275, RFC 8754). */
const lastIpv6Destination = (d: Dissection, header: number): number => {
  let next = d.u8(header + 6)
  for (let at = header + 40; d.has(at, 8); ) {
    if (next === IpProtocol.Routing) return lastOfRoute(d, at) ?? header + 24
    if (next === IpProtocol.Fragment) {
      next = d.u8(at)
      at += 8
    } else if (next === IpProtocol.HopByHop || next === IpProtocol.DestinationOptions) {
      next = d.u8(at)
      at += (d.u8(at + 1) + 1) * 8
    } else break
  }
  return header + 24
}

const lastOfRoute = (d: Dissection, at: number): number | undefined => {
  const length = d.u8(at + 1)
  const type = d.u8(at + 2)
  if (length % 2 === 1 || length === 0) return undefined
  // A segment routing header lists the last address first.
  const last = type === 4 ? at + 8 : type === 0 || type === 2 ? at + 8 * length - 8 : undefined
  return last !== undefined && d.has(last, 16) ? last : undefined
}
