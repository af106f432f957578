import { bytesOf } from '../core/memory.ts'
import { ip } from '../wire/address.ts'
import { checksumOf, sumBytes } from '../wire/checksum.ts'
import { IpHeader, IpProtocol } from '../wire/ip.ts'
import { emitIpv4, IPV4_MIN_HEADER } from '../wire/ipv4.ts'
import { emitTcp, TCP_MIN_HEADER, TcpHeader } from '../wire/tcp.ts'
import { fillTransportChecksum } from '../wire/transport.ts'

/** Packets that nobody has sent: for scenarios in which somebody lies about who he is. */

/** A TCP segment without options. */
export interface ForgedSegment {
  readonly from: string
  readonly to: string
  readonly sourcePort: number
  readonly destinationPort: number
  readonly flags: number
  readonly seq: number
  readonly ack?: number
  readonly payload?: Uint8Array
}

/** The segment as an IPv4 packet, with right checksums. */
export const forgeSegment = (segment: ForgedSegment): Uint8Array => {
  const payload = segment.payload ?? new Uint8Array(0)
  const length = TCP_MIN_HEADER + payload.length
  const bytes = bytesOf(new Uint8Array(IPV4_MIN_HEADER + length))
  const tcp = new TcpHeader()
  tcp.sourcePort = segment.sourcePort
  tcp.destinationPort = segment.destinationPort
  tcp.seq = segment.seq
  tcp.ack = segment.ack ?? 0
  tcp.flags = segment.flags
  tcp.window = 1000
  emitTcp(tcp, bytes, IPV4_MIN_HEADER)
  bytes.u8.set(payload, IPV4_MIN_HEADER + TCP_MIN_HEADER)
  const header = ipHeader(segment.from, segment.to, IpProtocol.Tcp)
  fillTransportChecksum(header, IpProtocol.Tcp, bytes, IPV4_MIN_HEADER, IPV4_MIN_HEADER + length)
  emitIpv4(header, bytes, 0, length)
  return bytes.u8.subarray(0, IPV4_MIN_HEADER + length)
}

/**
 * An ICMP error of a router, as an IPv4 packet, that quotes the beginning of another packet.
 * @param mtu of the next hop
 */
export const forgeIcmpError = (
  from: string,
  to: string,
  type: number,
  code: number,
  mtu: number,
  about: Uint8Array,
): Uint8Array => {
  const quote = about.subarray(0, IPV4_MIN_HEADER + 8)
  const length = 8 + quote.length
  const bytes = bytesOf(new Uint8Array(IPV4_MIN_HEADER + length))
  const at = IPV4_MIN_HEADER
  bytes.u8[at] = type
  bytes.u8[at + 1] = code
  bytes.view.setUint16(at + 6, mtu)
  bytes.u8.set(quote, at + 8)
  bytes.view.setUint16(at + 2, checksumOf(sumBytes(bytes, at, at + length)))
  emitIpv4(ipHeader(from, to, IpProtocol.Icmp), bytes, 0, length)
  return bytes.u8.subarray(0, IPV4_MIN_HEADER + length)
}

const ipHeader = (from: string, to: string, protocol: number): IpHeader => {
  const header = new IpHeader()
  header.protocol = protocol
  header.source = ip(from)
  header.destination = ip(to)
  return header
}
