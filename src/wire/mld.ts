import type { Bytes } from '../core/memory.ts'
import { IpAddress, isLinkLocal6 } from './address.ts'
import { Drop } from './drop.ts'
import { Icmpv6Type } from './icmpv6.ts'
import { decodeIgmpTime, encodeIgmpTime } from './igmp.ts'
import { type IpHeader, IpProtocol } from './ip.ts'
import { type Ipv6Chain, Ipv6RouterAlert } from './ipv6.ts'
import { fillTransportChecksum } from './transport.ts'

/** Multicast listener discovery versions 1 and 2 (RFC 2710, RFC 3810): IGMP for IPv6, as ICMPv6 messages. */
export const MLD_LENGTH = 24
const V2_QUERY_LENGTH = 28
const REPORT_HEADER = 8
const RECORD_LENGTH = 20

/** An MLD message as plain values. One object is filled for message after message. */
export class MldMessage {
  /** One of `Icmpv6Type`: MulticastListenerQuery, -Report, -Done or -ReportV2. */
  type: number = Icmpv6Type.MulticastListenerQuery
  /** Which version of the protocol the message belongs to: 1 or 2. */
  version = 1
  /** Query: time within which to answer, milliseconds. */
  maxResponse = 0
  /** The group; unspecified in a general query and in a version 2 report. */
  group0 = 0
  group1 = 0
  group2 = 0
  group3 = 0
  /** Version 2 query: routers are not to move their timers. */
  suppress = false
  /** Version 2 query: robustness variable, 0 when over 7. */
  robustness = 0
  /** Version 2 query: interval between queries, seconds. */
  interval = 0
  /** Version 2 query: how many sources, 16 bytes each, lie at `sourcesAt`. */
  sourceCount = 0
  sourcesAt = 0
  /** Version 2 report: how many records there are, the first at `recordsAt` (see `readMldRecord`). */
  recordCount = 0
  recordsAt = 0

  get group(): IpAddress {
    return new IpAddress(this.group0, this.group1, this.group2, this.group3)
  }

  set group(group: IpAddress) {
    this.group0 = group.w0
    this.group1 = group.w1
    this.group2 = group.w2
    this.group3 = group.w3
  }
}

/** A record of a version 2 report: where it stands in the parsed bytes. */
export class MldRecord {
  /** One of `GroupRecordType` (wire/igmp.ts), or an unknown value: such records are to be ignored. */
  type = 0
  group0 = 0
  group1 = 0
  group2 = 0
  group3 = 0
  sourceCount = 0
  /** The sources lie here, 16 bytes each. */
  sourcesAt = 0

  get group(): IpAddress {
    return new IpAddress(this.group0, this.group1, this.group2, this.group3)
  }
}

/**
 * Parses the message from `start` to `end` and checks the hop limit of 1 and the source, which must be link-local; a
 * report may also come from the unspecified address (RFC 3590, RFC 3810 section 5.2.13). Version 2 must come with a
 * router alert (RFC 3810 section 5). The checksum is not looked at (see wire/transport.ts).
 * @param chain what the packet's extension headers said
 * @returns `Drop.none`, with every field of `into` set and all records and sources within the message, or why the
 *   message must be dropped: a query of 25 to 27 bytes is of no version (RFC 3810 section 8.1)
 */
export const parseMld = (
  into: MldMessage,
  ip: IpHeader,
  chain: Ipv6Chain,
  bytes: Bytes,
  start: number,
  end: number,
): number => {
  const length = end - start
  if (length < REPORT_HEADER) return Drop['mld-truncated']
  if (ip.hopLimit !== 1) return Drop['mld-hop-limit']
  const type = bytes.u8[start]!
  into.type = type
  into.version = 1
  into.maxResponse = 0
  into.group0 = into.group1 = into.group2 = into.group3 = 0
  into.suppress = false
  into.robustness = 0
  into.interval = 0
  into.sourceCount = 0
  into.sourcesAt = end
  into.recordCount = 0
  into.recordsAt = end
  const isReport = type === Icmpv6Type.MulticastListenerReport || type === Icmpv6Type.MulticastListenerReportV2
  if (!isLinkLocal6(ip.source0) && !(isReport && ip.sourceIsUnspecified6)) return Drop['mld-source']
  const isQueryV2 = type === Icmpv6Type.MulticastListenerQuery && length > MLD_LENGTH
  if (isQueryV2 || type === Icmpv6Type.MulticastListenerReportV2) {
    if (chain.routerAlert !== Ipv6RouterAlert.Mld) return Drop['mld-router-alert']
  }
  if (type === Icmpv6Type.MulticastListenerReportV2) return parseReport(into, bytes, start, end)
  if (type < Icmpv6Type.MulticastListenerQuery || type > Icmpv6Type.MulticastListenerDone) return Drop['icmp-type']
  if (length < MLD_LENGTH) return Drop['mld-truncated']
  into.maxResponse = bytes.view.getUint16(start + 4)
  into.group0 = bytes.view.getInt32(start + 8)
  into.group1 = bytes.view.getInt32(start + 12)
  into.group2 = bytes.view.getInt32(start + 16)
  into.group3 = bytes.view.getInt32(start + 20)
  return isQueryV2 ? parseQueryV2(into, bytes, start, end) : Drop.none
}

const parseQueryV2 = (into: MldMessage, { u8, view }: Bytes, start: number, end: number): number => {
  if (end - start < V2_QUERY_LENGTH) return Drop['mld-truncated']
  into.version = 2
  into.maxResponse = decodeMldTime(view.getUint16(start + 4))
  into.suppress = (u8[start + 24]! & 8) !== 0
  into.robustness = u8[start + 24]! & 7
  into.interval = decodeIgmpTime(u8[start + 25]!)
  into.sourceCount = view.getUint16(start + 26)
  into.sourcesAt = start + V2_QUERY_LENGTH
  return into.sourceCount * 16 > end - into.sourcesAt ? Drop['mld-truncated'] : Drop.none
}

const parseReport = (into: MldMessage, { u8, view }: Bytes, start: number, end: number): number => {
  into.version = 2
  into.recordCount = view.getUint16(start + 6)
  into.recordsAt = start + REPORT_HEADER
  let at = into.recordsAt
  for (let i = 0; i < into.recordCount; i++) {
    if (end - at < RECORD_LENGTH) return Drop['mld-truncated']
    at += RECORD_LENGTH + view.getUint16(at + 2) * 16 + u8[at + 1]! * 4
    if (at > end) return Drop['mld-truncated']
  }
  return Drop.none
}

/** Reads the record at `at` of a parsed report. @returns where the next one lies */
export const readMldRecord = (into: MldRecord, { u8, view }: Bytes, at: number): number => {
  into.type = u8[at]!
  into.sourceCount = view.getUint16(at + 2)
  into.group0 = view.getInt32(at + 4)
  into.group1 = view.getInt32(at + 8)
  into.group2 = view.getInt32(at + 12)
  into.group3 = view.getInt32(at + 16)
  into.sourcesAt = at + RECORD_LENGTH
  return into.sourcesAt + into.sourceCount * 16 + u8[at + 1]! * 4
}

/**
 * Writes a message that is no version 2 report at `start`, with its checksum. The sources of a version 2 query must be
 * in their place already, at `start` + 28.
 * @param ip names the addresses of the packet, for the pseudo-header
 * @returns its length in bytes
 */
export const emitMld = (message: MldMessage, ip: IpHeader, bytes: Bytes, start: number): number => {
  const { u8, view } = bytes
  const isQueryV2 = message.type === Icmpv6Type.MulticastListenerQuery && message.version === 2
  let length = MLD_LENGTH
  u8[start] = message.type
  u8[start + 1] = 0
  view.setUint16(start + 4, isQueryV2 ? encodeMldTime(message.maxResponse) : message.maxResponse)
  view.setUint16(start + 6, 0)
  view.setInt32(start + 8, message.group0)
  view.setInt32(start + 12, message.group1)
  view.setInt32(start + 16, message.group2)
  view.setInt32(start + 20, message.group3)
  if (isQueryV2) {
    u8[start + 24] = (message.suppress ? 8 : 0) | (message.robustness > 7 ? 0 : message.robustness)
    u8[start + 25] = encodeIgmpTime(message.interval)
    view.setUint16(start + 26, message.sourceCount)
    length = V2_QUERY_LENGTH + message.sourceCount * 16
  }
  fillTransportChecksum(ip, IpProtocol.Icmpv6, bytes, start, start + length)
  return length
}

/** What a record of a report to be sent says. */
export interface MldRecordContent {
  /** One of `GroupRecordType` (wire/igmp.ts). */
  readonly type: number
  readonly group: IpAddress
  readonly sources: readonly IpAddress[]
}

/** Bytes of a version 2 report with these records. */
export const mldReportLength = (records: readonly MldRecordContent[]): number => {
  let length = REPORT_HEADER
  for (const record of records) length += RECORD_LENGTH + record.sources.length * 16
  return length
}

/**
 * Writes a version 2 report at `start`, with its checksum.
 * @param ip names the addresses of the packet, for the pseudo-header
 * @returns its length in bytes
 */
export const emitMldReport = (
  records: readonly MldRecordContent[],
  ip: IpHeader,
  bytes: Bytes,
  start: number,
): number => {
  const { u8, view } = bytes
  u8[start] = Icmpv6Type.MulticastListenerReportV2
  u8[start + 1] = 0
  view.setInt32(start + 4, records.length)
  let at = start + REPORT_HEADER
  for (const record of records) {
    u8[at] = record.type
    u8[at + 1] = 0
    view.setUint16(at + 2, record.sources.length)
    writeAddress(bytes, at + 4, record.group)
    at += RECORD_LENGTH
    for (const source of record.sources) {
      writeAddress(bytes, at, source)
      at += 16
    }
  }
  fillTransportChecksum(ip, IpProtocol.Icmpv6, bytes, start, at)
  return at - start
}

const writeAddress = ({ view }: Bytes, at: number, address: IpAddress): void => {
  view.setInt32(at, address.w0)
  view.setInt32(at + 4, address.w1)
  view.setInt32(at + 8, address.w2)
  view.setInt32(at + 12, address.w3)
}

/** A time as 16 bits say it: as it is below 32,768, else by exponent and mantissa (RFC 3810 section 5.1.3). */
export const decodeMldTime = (code: number): number =>
  code < 0x8000 ? code : ((code & 0xfff) | 0x1000) << (((code >>> 12) & 7) + 3)

/** The 16 bits for a time, or for the longest time below it that they can say. */
export const encodeMldTime = (time: number): number => {
  if (time < 0x8000) return time
  if (time >= 0x1fff << 10) return 0xffff
  const exponent = 31 - Math.clz32(time) - 15
  return 0x8000 | (exponent << 12) | ((time >>> (exponent + 3)) & 0xfff)
}
