import type { Bytes } from '../core/memory.ts'
import { IPV4_MAPPED } from './address.ts'
import { checksumOf, foldSum, sumBytes, sumWord } from './checksum.ts'
import { Drop } from './drop.ts'
import type { IpHeader } from './ip.ts'

/** IPv4 (RFC 791). */
export const IPV4_MIN_HEADER = 20

const DONT_FRAGMENT = 0x4000
export const MORE_FRAGMENTS = 0x2000

/**
 * Parses the IPv4 header at `start` of a packet that ends at or before `end` (a link may pad it).
 * @returns `Drop.none`, with every field of `into` set, or why the packet must be dropped
 */
export const parseIpv4 = (into: IpHeader, bytes: Bytes, start: number, end: number): number => {
  const sum = readWords(into, bytes, start, end)
  if (sum < 0) return -sum
  if (into.payloadEnd > end) return Drop['ipv4-truncated']
  const { headerLength } = into
  const whole =
    headerLength === IPV4_MIN_HEADER ? sum : sum + sumBytes(bytes, start + IPV4_MIN_HEADER, start + headerLength)
  return foldSum(whole) === 0xffff ? Drop.none : Drop['ipv4-checksum']
}

/**
 * As `parseIpv4`, for a header whose packet may be cut short and whose checksum may be stale, as in a quotation:
 * `into.payloadEnd` may lie beyond `end`.
 */
export const readIpv4 = (into: IpHeader, bytes: Bytes, start: number, end: number): number => {
  const sum = readWords(into, bytes, start, end)
  return sum < 0 ? -sum : Drop.none
}

/**
 * Reads the header in five words, which takes a third of the loads, each of them checked, that its fields would.
 * @returns the sum of these words as for `foldSum`, or the negated reason to drop
 */
const readWords = (into: IpHeader, bytes: Bytes, start: number, end: number): number => {
  if (end - start < IPV4_MIN_HEADER) return -Drop['ipv4-truncated']
  const { view } = bytes
  const first = view.getInt32(start)
  if (first >>> 28 !== 4) return -Drop['ipv4-version']
  const headerLength = (first >>> 22) & 0x3c
  if (headerLength < IPV4_MIN_HEADER) return -Drop['ipv4-header-length']
  if (headerLength > end - start) return -Drop['ipv4-truncated']
  const totalLength = first & 0xffff
  if (totalLength < headerLength) return -Drop['ipv4-total-length']
  const second = view.getInt32(start + 4)
  const third = view.getInt32(start + 8)
  const source = view.getInt32(start + 12)
  const destination = view.getInt32(start + 16)
  into.version = 4
  into.headerLength = headerLength
  into.trafficClass = (first >>> 16) & 0xff
  into.flowLabel = 0
  into.identification = second >>> 16
  into.dontFragment = (second & DONT_FRAGMENT) !== 0
  into.moreFragments = (second & MORE_FRAGMENTS) !== 0
  into.fragmentOffset = (second & 0x1fff) << 3
  into.hopLimit = third >>> 24
  into.protocol = (third >>> 16) & 0xff
  into.source0 = 0
  into.source1 = 0
  into.source2 = IPV4_MAPPED
  into.source3 = source
  into.destination0 = 0
  into.destination1 = 0
  into.destination2 = IPV4_MAPPED
  into.destination3 = destination
  into.optionsStart = start + IPV4_MIN_HEADER
  into.nextHeaderAt = start + 9
  into.payloadStart = start + headerLength
  into.payloadEnd = start + totalLength
  return sumWord(first) + sumWord(second) + sumWord(third) + sumWord(source) + sumWord(destination)
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
  view.setInt32(start, (first << 16) | total)
  view.setInt32(start + 4, (ident << 16) | fragment)
  view.setInt32(start + 8, (life << 16) | checksumOf(sum))
  view.setInt32(start + 12, source)
  view.setInt32(start + 16, destination)
}

/** Computes anew the checksum of the IPv4 header of `headerLength` bytes at `start`. */
export const setIpv4Checksum = (bytes: Bytes, start: number, headerLength: number): void => {
  bytes.view.setUint16(start + 10, 0)
  bytes.view.setUint16(start + 10, checksumOf(sumBytes(bytes, start, start + headerLength)))
}
