import type { Bytes } from '../core/memory.ts'
import { checksumOf, foldSum, sumBytes, sumWord } from './checksum.ts'
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
  return isSumRight(bytes, start, into.headerLength) ? Drop.none : Drop['ipv4-checksum']
}

/** Is the checksum of the header right? Of one without options, on whole words, in the machine's order of bytes. */
const isSumRight = (bytes: Bytes, start: number, headerLength: number): boolean => {
  if (headerLength > IPV4_MIN_HEADER || (start & 3) !== 0)
    return sumBytes(bytes, start, start + headerLength) === 0xffff
  const { u32 } = bytes
  const at = start >>> 2
  const sum =
    sumWord(u32[at]!) + sumWord(u32[at + 1]!) + sumWord(u32[at + 2]!) + sumWord(u32[at + 3]!) + sumWord(u32[at + 4]!)
  return foldSum(sum) === 0xffff
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
  const { headerLength, trafficClass, identification, hopLimit, protocol, source3, destination3 } = header
  const fragment = fragmentField(header.dontFragment, header.moreFragments, header.fragmentOffset)
  const life = ((hopLimit & 0xff) << 8) | (protocol & 0xff)
  writeIpv4(
    bytes,
    start,
    headerLength,
    headerLength + payloadLength,
    trafficClass,
    identification,
    fragment,
    life,
    source3,
    destination3,
  )
}

/** The field of flags and fragment offset; that one in bytes. */
const fragmentField = (dontFragment: boolean, moreFragments: boolean, fragmentOffset: number): number =>
  (dontFragment ? DONT_FRAGMENT : 0) | (moreFragments ? MORE_FRAGMENTS : 0) | (fragmentOffset >>> 3)

/** Writes the header of a whole packet: `emitIpv4` without an object in between. */
export const emitWholeIpv4 = (
  bytes: Bytes,
  start: number,
  headerLength: number,
  totalLength: number,
  trafficClass: number,
  identification: number,
  dontFragment: boolean,
  hopLimit: number,
  protocol: number,
  source: number,
  destination: number,
): void => {
  const fragment = dontFragment ? DONT_FRAGMENT : 0
  const life = ((hopLimit & 0xff) << 8) | protocol
  writeIpv4(bytes, start, headerLength, totalLength, trafficClass, identification, fragment, life, source, destination)
}

/** Writes the fields, and their checksum, which is made of them as they are. @param life TTL and protocol */
const writeIpv4 = (
  bytes: Bytes,
  start: number,
  headerLength: number,
  totalLength: number,
  trafficClass: number,
  identification: number,
  fragment: number,
  life: number,
  source: number,
  destination: number,
): void => {
  const { view } = bytes
  const first = ((0x40 | (headerLength >>> 2)) << 8) | (trafficClass & 0xff)
  const total = totalLength & 0xffff
  const ident = identification & 0xffff
  let sum = first + total + ident + fragment + life + sumWord(source) + sumWord(destination)
  if (headerLength > IPV4_MIN_HEADER) sum += sumBytes(bytes, start + IPV4_MIN_HEADER, start + headerLength)
  view.setUint16(start, first)
  view.setUint16(start + 2, total)
  view.setUint16(start + 4, ident)
  view.setUint16(start + 6, fragment)
  view.setUint16(start + 8, life)
  view.setUint16(start + 10, checksumOf(sum))
  view.setInt32(start + 12, source)
  view.setInt32(start + 16, destination)
}

/** Computes anew the checksum of the IPv4 header of `headerLength` bytes at `start`. */
export const setIpv4Checksum = (bytes: Bytes, start: number, headerLength: number): void => {
  bytes.view.setUint16(start + 10, 0)
  bytes.view.setUint16(start + 10, checksumOf(sumBytes(bytes, start, start + headerLength)))
}
