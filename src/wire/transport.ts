import type { Bytes } from '../core/memory.ts'
import { checksumOf, foldSum, sumBytes } from './checksum.ts'
import { Drop } from './drop.ts'
import { type IpHeader, IpProtocol } from './ip.ts'

/**
 * Checksums of what IP carries, in one place for every protocol. TCP and UDP count the pseudo-header on either version
 * of IP, ICMPv6 on its own (RFC 4443 section 2.3); ICMP and IGMP do not.
 */

/** Where the checksum field lies in the header of `protocol` over IP `version`; -1 for a protocol without one here. */
export const transportChecksumOffset = (version: number, protocol: number): number => {
  if (protocol === IpProtocol.Tcp) return 16
  if (protocol === IpProtocol.Udp) return 6
  if (version === 6) return protocol === IpProtocol.Icmpv6 ? 2 : -1
  return protocol === IpProtocol.Icmp || protocol === IpProtocol.Igmp ? 2 : -1
}

/** The part of the checksum that does not lie in the payload, for a payload of `length` bytes. */
const outerSum = (ip: IpHeader, protocol: number, length: number): number =>
  protocol === IpProtocol.Icmp || protocol === IpProtocol.Igmp ? 0 : ip.pseudoSum(protocol, length)

/**
 * Verifies the checksum of a whole packet: `ip` is its header, parsed; no fragment. A protocol that is not known here
 * passes. A UDP datagram without a checksum passes over IPv4 and is refused over IPv6 (RFC 8200 section 8.1).
 * @returns `Drop.none`, or the reason by the protocol's name
 */
export const verifyTransportChecksum = (ip: IpHeader, bytes: Bytes): number => {
  const start = ip.payloadStart
  const end = ip.payloadEnd
  switch (ip.protocol) {
    case IpProtocol.Tcp:
      return end - start < 20 ? Drop['tcp-truncated'] : verify(ip, bytes, end, Drop['tcp-checksum'])
    case IpProtocol.Udp:
      return verifyUdp(ip, bytes, start, end)
    case IpProtocol.Icmpv6:
      if (ip.version === 4) return Drop.none
      return end - start < 4 ? Drop['icmp-truncated'] : verify(ip, bytes, end, Drop['icmp-checksum'])
    case IpProtocol.Icmp:
      if (ip.version === 6) return Drop.none
      return end - start < 4 ? Drop['icmp-truncated'] : verify(ip, bytes, end, Drop['icmp-checksum'])
    case IpProtocol.Igmp:
      if (ip.version === 6) return Drop.none
      return end - start < 8 ? Drop['igmp-truncated'] : verify(ip, bytes, end, Drop['igmp-checksum'])
    default:
      return Drop.none
  }
}

const verify = (ip: IpHeader, bytes: Bytes, end: number, reason: number): number => {
  const start = ip.payloadStart
  const sum = outerSum(ip, ip.protocol, end - start) + sumBytes(bytes, start, end)
  return foldSum(sum) === 0xffff ? Drop.none : reason
}

const verifyUdp = (ip: IpHeader, bytes: Bytes, start: number, end: number): number => {
  if (end - start < 8) return Drop['udp-truncated']
  const length = bytes.view.getUint16(start + 4)
  if (length < 8) return Drop['udp-length']
  if (length > end - start) return Drop['udp-truncated']
  if (bytes.view.getUint16(start + 6) === 0) return ip.version === 6 ? Drop['udp-no-checksum'] : Drop.none
  return verify(ip, bytes, start + length, Drop['udp-checksum'])
}

/**
 * Computes the checksum of the message of `protocol` from `start` to `end` and writes it into its field. Of `ip`, the
 * addresses and the version count. A UDP checksum that comes out as zero is sent as 0xffff (RFC 768).
 */
export const fillTransportChecksum = (
  ip: IpHeader,
  protocol: number,
  bytes: Bytes,
  start: number,
  end: number,
): void => {
  const at = start + transportChecksumOffset(ip.version, protocol)
  bytes.view.setUint16(at, 0)
  completeChecksum(bytes, start, end, at, outerSum(ip, protocol, end - start), protocol)
}

/**
 * Writes the sum of the pseudo-header into the checksum field, for somebody else to complete: `FrameChecksum.Partial`.
 * TCP and UDP only.
 */
export const fillPartialChecksum = (ip: IpHeader, protocol: number, bytes: Bytes, start: number, end: number): void => {
  bytes.view.setUint16(start + transportChecksumOffset(ip.version, protocol), ip.pseudoSum(protocol, end - start))
}

const completeChecksum = (
  bytes: Bytes,
  start: number,
  end: number,
  at: number,
  outer: number,
  protocol: number,
): void => {
  const checksum = checksumOf(outer + sumBytes(bytes, start, end))
  bytes.view.setUint16(at, checksum === 0 && protocol === IpProtocol.Udp ? 0xffff : checksum)
}
