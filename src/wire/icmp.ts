import type { Bytes } from '../core/memory.ts'
import { checksumOf, sumBytes } from './checksum.ts'
import { Drop } from './drop.ts'

/** ICMP for IPv4 (RFC 792, RFC 1122 section 3.2.2, RFC 1812 section 5.2.7, RFC 4884). */
export const ICMP_HEADER = 8
/** Bytes of a timestamp message. */
export const ICMP_TIMESTAMP_LENGTH = 20

/** Types of messages (IANA "ICMP Parameters"). */
export const IcmpType = {
  EchoReply: 0,
  DestinationUnreachable: 3,
  SourceQuench: 4,
  Redirect: 5,
  Echo: 8,
  RouterAdvertisement: 9,
  RouterSolicitation: 10,
  TimeExceeded: 11,
  ParameterProblem: 12,
  Timestamp: 13,
  TimestampReply: 14,
} as const

/** Codes of destination unreachable (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1). */
export const IcmpUnreachable = {
  Net: 0,
  Host: 1,
  Protocol: 2,
  Port: 3,
  FragmentationNeeded: 4,
  SourceRouteFailed: 5,
  NetUnknown: 6,
  HostUnknown: 7,
  HostIsolated: 8,
  NetProhibited: 9,
  HostProhibited: 10,
  NetTos: 11,
  HostTos: 12,
  CommunicationProhibited: 13,
  HostPrecedence: 14,
  PrecedenceCutoff: 15,
} as const

/** Codes of redirect. */
export const IcmpRedirect = { Net: 0, Host: 1, NetTos: 2, HostTos: 3 } as const

/** Codes of time exceeded. */
export const IcmpTimeExceeded = { Ttl: 0, Reassembly: 1 } as const

/** Codes of parameter problem. */
export const IcmpParameterProblem = { Pointer: 0, MissingOption: 1, BadLength: 2 } as const

/** An ICMP message as plain values. One object is filled for message after message. */
export class IcmpMessage {
  /** One of `IcmpType`, or another value. */
  type = 0
  code = 0
  checksum = 0
  /** Echo and timestamp. */
  identifier = 0
  sequence = 0
  /** Next hop's MTU in fragmentation needed, bytes; 0 from routers before RFC 1191, and in other messages. */
  mtu = 0
  /** Parameter problem: bytes from the start of the quoted packet to what is wrong. */
  pointer = 0
  /** Redirect: the better gateway's address as a signed integer. */
  gateway = 0
  /** Timestamps, milliseconds since midnight UTC, as signed integers. */
  originate = 0
  receive = 0
  transmit = 0
  /** What lies behind the header: an echo's data; in an error the packet it is about. */
  dataStart = 0
  dataEnd = 0

  /** Is it about another packet, which it quotes? */
  get isError(): boolean {
    return isIcmpError(this.type)
  }
}

/** Is a message of this type about another packet, which it quotes? */
export const isIcmpError = (type: number): boolean =>
  type === IcmpType.DestinationUnreachable ||
  type === IcmpType.SourceQuench ||
  type === IcmpType.Redirect ||
  type === IcmpType.TimeExceeded ||
  type === IcmpType.ParameterProblem

/**
 * Parses the ICMP message from `start` to `end`. The checksum is not looked at (see wire/transport.ts).
 * @returns `Drop.none`, with the fields of `into` set that its type has and the others zero, or why the message must
 *   be dropped: unknown types are (RFC 1122 section 3.2.2)
 */
export const parseIcmp = (into: IcmpMessage, bytes: Bytes, start: number, end: number): number => {
  if (end - start < ICMP_HEADER) return Drop['icmp-truncated']
  const { u8, view } = bytes
  const type = u8[start]!
  into.type = type
  into.code = u8[start + 1]!
  into.checksum = view.getUint16(start + 2)
  into.identifier = 0
  into.sequence = 0
  into.mtu = 0
  into.pointer = 0
  into.gateway = 0
  into.originate = 0
  into.receive = 0
  into.transmit = 0
  into.dataStart = start + ICMP_HEADER
  into.dataEnd = end
  switch (type) {
    case IcmpType.Echo:
    case IcmpType.EchoReply:
      into.identifier = view.getUint16(start + 4)
      into.sequence = view.getUint16(start + 6)
      return Drop.none
    case IcmpType.Timestamp:
    case IcmpType.TimestampReply:
      if (end - start < ICMP_TIMESTAMP_LENGTH) return Drop['icmp-truncated']
      into.identifier = view.getUint16(start + 4)
      into.sequence = view.getUint16(start + 6)
      into.originate = view.getInt32(start + 8)
      into.receive = view.getInt32(start + 12)
      into.transmit = view.getInt32(start + 16)
      into.dataStart = start + ICMP_TIMESTAMP_LENGTH
      return Drop.none
    case IcmpType.DestinationUnreachable:
      if (needsFragmentation(into)) into.mtu = view.getUint16(start + 6)
      into.dataEnd = quoteEnd(u8[start + 5]! << 2, start, end)
      return Drop.none
    case IcmpType.TimeExceeded:
      into.dataEnd = quoteEnd(u8[start + 5]! << 2, start, end)
      return Drop.none
    case IcmpType.ParameterProblem:
      into.pointer = u8[start + 4]!
      into.dataEnd = quoteEnd(u8[start + 5]! << 2, start, end)
      return Drop.none
    case IcmpType.Redirect:
      into.gateway = view.getInt32(start + 4)
      return Drop.none
    case IcmpType.SourceQuench:
      return Drop.none
    default:
      return Drop['icmp-type']
  }
}

const needsFragmentation = (message: IcmpMessage): boolean =>
  message.type === IcmpType.DestinationUnreachable && message.code === IcmpUnreachable.FragmentationNeeded

/**
 * Where the quoted packet ends, when the header says how long it is because extensions follow it (RFC 4884 section
 * 4): 0 says nothing, and so does a length that cannot be.
 */
const quoteEnd = (length: number, start: number, end: number): number =>
  length === 0 || length > end - start - ICMP_HEADER ? end : start + ICMP_HEADER + length

/**
 * Writes the header of `message` at `start` and the checksum of all up to `end`. What belongs behind the header, echo
 * data or the packet that an error quotes, must be in its place already (at `start` + 8).
 */
export const emitIcmp = (message: IcmpMessage, bytes: Bytes, start: number, end: number): void => {
  const { u8, view } = bytes
  u8[start] = message.type
  u8[start + 1] = message.code
  view.setUint16(start + 2, 0)
  switch (message.type) {
    case IcmpType.Timestamp:
    case IcmpType.TimestampReply:
      view.setInt32(start + 8, message.originate)
      view.setInt32(start + 12, message.receive)
      view.setInt32(start + 16, message.transmit)
      view.setUint16(start + 4, message.identifier)
      view.setUint16(start + 6, message.sequence)
      break
    case IcmpType.Echo:
    case IcmpType.EchoReply:
      view.setUint16(start + 4, message.identifier)
      view.setUint16(start + 6, message.sequence)
      break
    case IcmpType.Redirect:
      view.setInt32(start + 4, message.gateway)
      break
    case IcmpType.ParameterProblem:
      view.setInt32(start + 4, message.pointer << 24)
      break
    default:
      view.setInt32(start + 4, needsFragmentation(message) ? Math.min(message.mtu, 0xffff) : 0)
  }
  message.checksum = checksumOf(sumBytes(bytes, start, end))
  view.setUint16(start + 2, message.checksum)
}
