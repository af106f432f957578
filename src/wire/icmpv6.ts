import type { Bytes } from '../core/memory.ts'
import { Drop } from './drop.ts'
import { type IpHeader, IpProtocol } from './ip.ts'
import { fillTransportChecksum } from './transport.ts'

/** ICMPv6 (RFC 4443, RFC 4884). Neighbour discovery is in wire/ndp.ts, multicast listener discovery in wire/mld.ts. */
export const ICMPV6_HEADER = 8

/** Types of messages (IANA "ICMPv6 Parameters"); those below 128 are errors. */
export const Icmpv6Type = {
  DestinationUnreachable: 1,
  PacketTooBig: 2,
  TimeExceeded: 3,
  ParameterProblem: 4,
  EchoRequest: 128,
  EchoReply: 129,
  MulticastListenerQuery: 130,
  MulticastListenerReport: 131,
  MulticastListenerDone: 132,
  RouterSolicitation: 133,
  RouterAdvertisement: 134,
  NeighborSolicitation: 135,
  NeighborAdvertisement: 136,
  Redirect: 137,
  MulticastListenerReportV2: 143,
} as const

/** Codes of destination unreachable (RFC 4443 section 3.1). */
export const Icmpv6Unreachable = {
  NoRoute: 0,
  Prohibited: 1,
  BeyondScope: 2,
  Address: 3,
  Port: 4,
  SourcePolicy: 5,
  RejectRoute: 6,
} as const

/** Codes of time exceeded. The codes of parameter problem are `Ipv6Problem` in wire/ipv6.ts. */
export const Icmpv6TimeExceeded = { HopLimit: 0, Reassembly: 1 } as const

/** Is a message of this type about another packet, which it quotes (RFC 4443 section 2.1)? */
export const isIcmpv6Error = (type: number): boolean => type < 128

/** Does wire/ndp.ts parse messages of this type? */
export const isNdp = (type: number): boolean => type >= Icmpv6Type.RouterSolicitation && type <= Icmpv6Type.Redirect

/** Does wire/mld.ts parse messages of this type? */
export const isMld = (type: number): boolean =>
  (type >= Icmpv6Type.MulticastListenerQuery && type <= Icmpv6Type.MulticastListenerDone) ||
  type === Icmpv6Type.MulticastListenerReportV2

/** An ICMPv6 message as plain values. One object is filled for message after message. */
export class Icmpv6Message {
  /** One of `Icmpv6Type`, or another value. */
  type = 0
  code = 0
  checksum = 0
  /** Echo. */
  identifier = 0
  sequence = 0
  /** Packet too big: the next hop's MTU, bytes, unsigned. */
  mtu = 0
  /** Parameter problem: bytes from the start of the quoted packet to what is wrong, unsigned. */
  pointer = 0
  /** What lies behind the header: an echo's data; in an error the packet it is about. */
  dataStart = 0
  dataEnd = 0

  /** Is it about another packet, which it quotes? */
  get isError(): boolean {
    return isIcmpv6Error(this.type)
  }
}

/**
 * Parses the ICMPv6 message from `start` to `end`: all of it for echo and errors, type and code alone where `isNdp` or
 * `isMld` hold. The checksum is not looked at (see wire/transport.ts). An error of unknown type is an error all the
 * same, for the protocol above to hear of (RFC 4443 section 2.4 (a)).
 * @returns `Drop.none`, with the fields of `into` set that its type has and the others zero, or why the message must
 *   be dropped: unknown types that are no errors are (RFC 4443 section 2.4 (b))
 */
export const parseIcmpv6 = (into: Icmpv6Message, bytes: Bytes, start: number, end: number): number => {
  if (end - start < ICMPV6_HEADER) return Drop['icmp-truncated']
  const { u8, view } = bytes
  const type = u8[start]!
  into.type = type
  into.code = u8[start + 1]!
  into.checksum = view.getUint16(start + 2)
  into.identifier = 0
  into.sequence = 0
  into.mtu = 0
  into.pointer = 0
  into.dataStart = start + ICMPV6_HEADER
  into.dataEnd = end
  switch (type) {
    case Icmpv6Type.EchoRequest:
    case Icmpv6Type.EchoReply:
      into.identifier = view.getUint16(start + 4)
      into.sequence = view.getUint16(start + 6)
      return Drop.none
    case Icmpv6Type.PacketTooBig:
      into.mtu = view.getUint32(start + 4)
      return Drop.none
    case Icmpv6Type.ParameterProblem:
      into.pointer = view.getUint32(start + 4)
      return Drop.none
    case Icmpv6Type.DestinationUnreachable:
    case Icmpv6Type.TimeExceeded:
      into.dataEnd = quoteEnd(u8[start + 4]! << 3, start, end)
      return Drop.none
    default:
      return isIcmpv6Error(type) || isNdp(type) || isMld(type) ? Drop.none : Drop['icmp-type']
  }
}

/** As in wire/icmp.ts: the length counts words of 64 bits here. */
const quoteEnd = (length: number, start: number, end: number): number =>
  length === 0 || length > end - start - ICMPV6_HEADER ? end : start + ICMPV6_HEADER + length

/**
 * Writes the header of `message` at `start` and the checksum of all up to `end`. What belongs behind the header, echo
 * data or the packet that an error quotes, must be in its place already (at `start` + 8).
 * @param ip names the addresses of the packet, for the pseudo-header
 */
export const emitIcmpv6 = (message: Icmpv6Message, ip: IpHeader, bytes: Bytes, start: number, end: number): void => {
  const { u8, view } = bytes
  u8[start] = message.type
  u8[start + 1] = message.code
  if (message.type === Icmpv6Type.EchoRequest || message.type === Icmpv6Type.EchoReply) {
    view.setUint16(start + 4, message.identifier)
    view.setUint16(start + 6, message.sequence)
  } else if (message.type === Icmpv6Type.PacketTooBig) view.setUint32(start + 4, message.mtu)
  else if (message.type === Icmpv6Type.ParameterProblem) view.setUint32(start + 4, message.pointer)
  else view.setInt32(start + 4, 0)
  fillTransportChecksum(ip, IpProtocol.Icmpv6, bytes, start, end)
  message.checksum = view.getUint16(start + 2)
}
