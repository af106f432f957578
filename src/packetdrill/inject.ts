import type { Frame } from '../core/frame.ts'
import type { World } from '../core/world.ts'
import type { IpAddress } from '../wire/address.ts'
import { EtherType } from '../wire/ethernet.ts'
import { emitIcmp, ICMP_HEADER, IcmpMessage } from '../wire/icmp.ts'
import { emitIcmpv6, Icmpv6Message } from '../wire/icmpv6.ts'
import { Ecn, IpHeader, IpProtocol } from '../wire/ip.ts'
import { emitIpv4 } from '../wire/ipv4.ts'
import { emitIpv6 } from '../wire/ipv6.ts'
import { padOptions } from '../wire/options.ts'
import { TCP_MAX_HEADER, TCP_MIN_HEADER } from '../wire/tcp.ts'
import { emitTcpOptionList } from '../wire/tcp-options.ts'
import { fillTransportChecksum } from '../wire/transport.ts'
import { UDP_HEADER } from '../wire/udp.ts'
import { toWire } from './options.ts'
import { FLAG_BITS } from './packet.ts'
import type { IpSpec, TcpOptionSpec } from './script.ts'

/** Packets of the peer, built into frames of the world. Payload is zeros, as in everything that scripts send. */

/** Between which addresses, and what the script says of the IP header. */
export interface Envelope {
  readonly source: IpAddress
  readonly destination: IpAddress
  readonly ip: IpSpec
}

/** A TCP segment with live numbers. */
export interface InboundSegment {
  readonly sourcePort: number
  readonly destinationPort: number
  readonly flags: string
  readonly seq: number
  readonly length: number
  readonly ack: number | null
  readonly window: number
  readonly urgent: number
  readonly options: readonly TcpOptionSpec[]
}

const TTL = 255

/**
 * @param mss a payload that is longer counts as so many segments; 0 for one segment, however long
 * @returns null when the packet is longer than any can be
 */
export const buildTcp = (world: World, envelope: Envelope, segment: InboundSegment, mss: number): Frame | null => {
  const options = padOptions(emitTcpOptionList(segment.options.map(toWire)))
  const headerLength = TCP_MIN_HEADER + options.length
  if (headerLength > TCP_MAX_HEADER) return null
  const frame = allocate(world, headerLength + segment.length)
  if (frame === null) return null
  const { view, u8 } = world.memory
  const at = frame.transport
  const bits = FLAG_BITS.reduce((sum, [letter, bit]) => sum | (segment.flags.includes(letter) ? bit : 0), 0)
  view.setUint16(at, segment.sourcePort)
  view.setUint16(at + 2, segment.destinationPort)
  view.setUint32(at + 4, segment.seq)
  view.setUint32(at + 8, segment.ack ?? 0)
  view.setUint16(at + 12, ((headerLength >>> 2) << 12) | bits)
  view.setUint16(at + 14, segment.window)
  view.setUint16(at + 18, segment.urgent)
  u8.set(options, at + TCP_MIN_HEADER)
  if (mss > 0 && segment.length > mss) frame.segmentSize = mss
  return finish(world, frame, envelope, IpProtocol.Tcp)
}

/** A UDP datagram with `length` bytes of payload. */
export const buildUdp = (
  world: World,
  envelope: Envelope,
  sourcePort: number,
  destinationPort: number,
  length: number,
): Frame | null => {
  const frame = allocate(world, UDP_HEADER + length)
  if (frame === null) return null
  const { view } = world.memory
  view.setUint16(frame.transport, sourcePort)
  view.setUint16(frame.transport + 2, destinationPort)
  view.setUint16(frame.transport + 4, UDP_HEADER + length)
  return finish(world, frame, envelope, IpProtocol.Udp)
}

/** What an ICMP error quotes: the first bytes of a packet of the host under test. */
export interface Quote {
  readonly protocol: number
  readonly sourcePort: number
  readonly destinationPort: number
  readonly seq: number
  /** Bytes of payload that the quoted packet had. */
  readonly length: number
}

/** An ICMP message, of the version that the addresses have. @param quote null for what is no error */
export const buildIcmp = (
  world: World,
  envelope: Envelope,
  message: { readonly type: number; readonly code: number; readonly mtu: number; readonly id: number },
  quote: Quote | null,
): Frame | null => {
  const isIpv4 = envelope.source.isIpv4
  const innerHeader = isIpv4 ? 20 : 40
  const frame = allocate(world, ICMP_HEADER + (quote === null ? 0 : innerHeader + TCP_MIN_HEADER))
  if (frame === null) return null
  const { memory } = world
  const start = frame.transport
  if (quote !== null) {
    const inner = start + ICMP_HEADER + innerHeader
    memory.view.setUint16(inner, quote.sourcePort)
    memory.view.setUint16(inner + 2, quote.destinationPort)
    memory.view.setUint32(inner + 4, quote.seq)
    const header = ipHeader(envelope.destination, envelope.source, quote.protocol, 64, 0)
    const length = TCP_MIN_HEADER + quote.length
    if (isIpv4) emitIpv4(header, memory, start + ICMP_HEADER, length)
    else emitIpv6(header, memory, start + ICMP_HEADER, length)
  }
  if (isIpv4) {
    const icmp = Object.assign(new IcmpMessage(), { ...message, identifier: message.id })
    emitIcmp(icmp, memory, start, frame.end)
  } else {
    const icmp = Object.assign(new Icmpv6Message(), { ...message, identifier: message.id })
    emitIcmpv6(
      icmp,
      ipHeader(envelope.source, envelope.destination, IpProtocol.Icmpv6, 64, 0),
      memory,
      start,
      frame.end,
    )
  }
  return finish(world, frame, envelope, isIpv4 ? IpProtocol.Icmp : IpProtocol.Icmpv6)
}

const allocate = (world: World, length: number): Frame | null => {
  const frame = world.frames.allocate(length)
  if (frame === null) return null
  frame.end = frame.transport + length
  world.memory.u8.fill(0, frame.transport, frame.end)
  return frame
}

const ipHeader = (
  source: IpAddress,
  destination: IpAddress,
  protocol: number,
  ttl: number,
  tos: number,
  flowLabel = 0,
): IpHeader =>
  Object.assign(new IpHeader(), {
    version: source.isIpv4 ? 4 : 6,
    headerLength: source.isIpv4 ? 20 : 40,
    trafficClass: tos,
    flowLabel,
    hopLimit: ttl,
    protocol,
    source,
    destination,
  })

/** Writes the checksum and the IP header. */
const finish = (world: World, frame: Frame, envelope: Envelope, protocol: number): Frame => {
  const { source, destination, ip } = envelope
  const { memory } = world
  const length = frame.end - frame.transport
  const header = ipHeader(source, destination, protocol, ip.ttl ?? TTL, tosOf(ip), ip.flowLabel ?? 0)
  const isIcmp = protocol === IpProtocol.Icmp || protocol === IpProtocol.Icmpv6
  if (!isIcmp) fillTransportChecksum(header, protocol, memory, frame.transport, frame.end)
  frame.network = frame.transport - header.headerLength
  frame.start = frame.network
  if (source.isIpv4) emitIpv4(header, memory, frame.start, length)
  else emitIpv6(header, memory, frame.start, length)
  frame.etherType = source.isIpv4 ? EtherType.Ipv4 : EtherType.Ipv6
  return frame
}

const ECN_BITS = { noecn: Ecn.NotEct, ect0: Ecn.Ect0, ect1: Ecn.Ect1, ce: Ecn.Ce, ect01: Ecn.Ect0 } as const

const tosOf = ({ tos, ecn }: IpSpec): number => tos ?? (ecn === null ? 0 : ECN_BITS[ecn])
