import type { Bytes } from '../core/memory.ts'
import { checksumOf, sumBytes } from './checksum.ts'
import { Drop } from './drop.ts'
import type { IpHeader } from './ip.ts'

/** IPv4 (RFC 791). */
export const IPV4_MIN_HEADER = 20

const MAPPED = 0xffff
const DONT_FRAGMENT = 0x4000
const MORE_FRAGMENTS = 0x2000

/**
 * Parses the IPv4 header at `start` of a packet that ends at or before `end` (a link may pad it).
 * @returns `Drop.none`, with every field of `into` set, or why the packet must be dropped
 */
export const parseIpv4 = (into: IpHeader, bytes: Bytes, start: number, end: number): number => {
  const reason = readIpv4(into, bytes, start, end)
  if (reason !== Drop.none) return reason
  if (into.payloadEnd > end) return Drop['ipv4-truncated']
  return sumBytes(bytes, start, into.payloadStart) === 0xffff ? Drop.none : Drop['ipv4-checksum']
}

/**
 * As `parseIpv4`, for a header whose packet may be cut short and whose checksum may be stale, as in a quotation:
 * `into.payloadEnd` may lie beyond `end`.
 */
export const readIpv4 = (into: IpHeader, bytes: Bytes, start: number, end: number): number => {
  if (end - start < IPV4_MIN_HEADER) return Drop['ipv4-truncated']
  const { u8, view } = bytes
  const first = u8[start]!
  if (first >>> 4 !== 4) return Drop['ipv4-version']
  const headerLength = (first & 0xf) << 2
  if (headerLength < IPV4_MIN_HEADER) return Drop['ipv4-header-length']
  if (headerLength > end - start) return Drop['ipv4-truncated']
  const totalLength = view.getUint16(start + 2)
  if (totalLength < headerLength) return Drop['ipv4-total-length']
  const fragment = view.getUint16(start + 6)
  into.version = 4
  into.headerLength = headerLength
  into.trafficClass = u8[start + 1]!
  into.flowLabel = 0
  into.identification = view.getUint16(start + 4)
  into.dontFragment = (fragment & DONT_FRAGMENT) !== 0
  into.moreFragments = (fragment & MORE_FRAGMENTS) !== 0
  into.fragmentOffset = (fragment & 0x1fff) << 3
  into.hopLimit = u8[start + 8]!
  into.protocol = u8[start + 9]!
  into.source0 = 0
  into.source1 = 0
  into.source2 = MAPPED
  into.source3 = view.getInt32(start + 12)
  into.destination0 = 0
  into.destination1 = 0
  into.destination2 = MAPPED
  into.destination3 = view.getInt32(start + 16)
  into.optionsStart = start + IPV4_MIN_HEADER
  into.nextHeaderAt = start + 9
  into.payloadStart = start + headerLength
  into.payloadEnd = start + totalLength
  return Drop.none
}

/**
 * Writes an IPv4 header of `header.headerLength` bytes at `start`, for a payload of `payloadLength` bytes behind it.
 * Options, if `headerLength` is over 20, must be in their place already (see `emitIpv4Options`); they are summed.
 */
export const emitIpv4 = (header: IpHeader, bytes: Bytes, start: number, payloadLength: number): void => {
  const { u8, view } = bytes
  const headerLength = header.headerLength
  u8[start] = 0x40 | (headerLength >>> 2)
  u8[start + 1] = header.trafficClass
  view.setUint16(start + 2, headerLength + payloadLength)
  view.setUint16(start + 4, header.identification)
  view.setUint16(
    start + 6,
    (header.dontFragment ? DONT_FRAGMENT : 0) |
      (header.moreFragments ? MORE_FRAGMENTS : 0) |
      (header.fragmentOffset >>> 3),
  )
  u8[start + 8] = header.hopLimit
  u8[start + 9] = header.protocol
  view.setInt32(start + 12, header.source3)
  view.setInt32(start + 16, header.destination3)
  setIpv4Checksum(bytes, start, headerLength)
}

/** Computes anew the checksum of the IPv4 header of `headerLength` bytes at `start`. */
export const setIpv4Checksum = (bytes: Bytes, start: number, headerLength: number): void => {
  bytes.view.setUint16(start + 10, 0)
  bytes.view.setUint16(start + 10, checksumOf(sumBytes(bytes, start, start + headerLength)))
}
