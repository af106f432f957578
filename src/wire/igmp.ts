import type { Bytes } from '../core/memory.ts'
import { checksumOf, sumBytes } from './checksum.ts'
import { Drop } from './drop.ts'

/** IGMP versions 1 to 3 (RFC 1112 appendix I, RFC 2236, RFC 3376). Groups and sources are signed integers. */
export const IGMP_LENGTH = 8
const V3_QUERY_LENGTH = 12
const RECORD_LENGTH = 8

/** Types of messages (IANA "IGMP Type Numbers"). */
export const IgmpType = {
  Query: 0x11,
  ReportV1: 0x12,
  ReportV2: 0x16,
  Leave: 0x17,
  ReportV3: 0x22,
} as const

/** Types of the records in reports of IGMPv3 and MLDv2 (RFC 3376 section 4.2.12, RFC 3810 section 5.2.12). */
export const GroupRecordType = {
  ModeIsInclude: 1,
  ModeIsExclude: 2,
  ChangeToInclude: 3,
  ChangeToExclude: 4,
  AllowNewSources: 5,
  BlockOldSources: 6,
} as const

/** An IGMP message as plain values. One object is filled for message after message. */
export class IgmpMessage {
  /** One of `IgmpType`. */
  type: number = IgmpType.Query
  /** Which version of the protocol the message belongs to: 1, 2 or 3. */
  version = 2
  /** Query: time within which to answer, tenths of a second; 0 in version 1, which means 10 seconds. */
  maxResponse = 0
  /** The group; 0 in a general query and in a version 3 report. */
  group = 0
  /** Version 3 query: routers are not to move their timers. */
  suppress = false
  /** Version 3 query: robustness variable, 0 when over 7. */
  robustness = 0
  /** Version 3 query: interval between queries, seconds. */
  interval = 0
  /** Version 3 query: how many sources, four bytes each, lie at `sourcesAt`. */
  sourceCount = 0
  sourcesAt = 0
  /** Version 3 report: how many records there are, the first at `recordsAt` (see `readIgmpRecord`). */
  recordCount = 0
  recordsAt = 0
}

/** A record of a version 3 report: where it stands in the parsed bytes. */
export class IgmpRecord {
  /** One of `GroupRecordType`, or an unknown value: such records are to be ignored (RFC 3376 section 4.2.12). */
  type = 0
  group = 0
  sourceCount = 0
  /** The sources lie here, four bytes each. */
  sourcesAt = 0
}

/**
 * Parses the IGMP message from `start` to `end`. The checksum is not looked at (see wire/transport.ts).
 * @returns `Drop.none`, with every field of `into` set and all records and sources within the message, or why the
 *   message must be dropped: a query of 9 to 11 bytes is of no version (RFC 3376 section 7.1)
 */
export const parseIgmp = (into: IgmpMessage, bytes: Bytes, start: number, end: number): number => {
  const length = end - start
  if (length < IGMP_LENGTH) return Drop['igmp-truncated']
  const { u8, view } = bytes
  const type = u8[start]!
  into.type = type
  into.maxResponse = 0
  into.group = view.getInt32(start + 4)
  into.suppress = false
  into.robustness = 0
  into.interval = 0
  into.sourceCount = 0
  into.sourcesAt = end
  into.recordCount = 0
  into.recordsAt = end
  switch (type) {
    case IgmpType.ReportV1:
      into.version = 1
      return Drop.none
    case IgmpType.ReportV2:
    case IgmpType.Leave:
      into.version = 2
      return Drop.none
    case IgmpType.ReportV3:
      return parseReport(into, bytes, start, end)
    case IgmpType.Query:
      into.maxResponse = u8[start + 1]!
      into.version = length > IGMP_LENGTH ? 3 : into.maxResponse === 0 ? 1 : 2
      return into.version === 3 ? parseQueryV3(into, bytes, start, end) : Drop.none
    default:
      return Drop['igmp-type']
  }
}

const parseQueryV3 = (into: IgmpMessage, { u8, view }: Bytes, start: number, end: number): number => {
  if (end - start < V3_QUERY_LENGTH) return Drop['igmp-truncated']
  into.maxResponse = decodeIgmpTime(u8[start + 1]!)
  into.suppress = (u8[start + 8]! & 8) !== 0
  into.robustness = u8[start + 8]! & 7
  into.interval = decodeIgmpTime(u8[start + 9]!)
  into.sourceCount = view.getUint16(start + 10)
  into.sourcesAt = start + V3_QUERY_LENGTH
  return into.sourceCount * 4 > end - into.sourcesAt ? Drop['igmp-truncated'] : Drop.none
}

const parseReport = (into: IgmpMessage, { u8, view }: Bytes, start: number, end: number): number => {
  into.version = 3
  into.group = 0
  into.recordCount = view.getUint16(start + 6)
  into.recordsAt = start + IGMP_LENGTH
  let at = into.recordsAt
  for (let i = 0; i < into.recordCount; i++) {
    if (end - at < RECORD_LENGTH) return Drop['igmp-truncated']
    at += RECORD_LENGTH + view.getUint16(at + 2) * 4 + u8[at + 1]! * 4
    if (at > end) return Drop['igmp-truncated']
  }
  return Drop.none
}

/** Reads the record at `at` of a parsed report. @returns where the next one lies */
export const readIgmpRecord = (into: IgmpRecord, { u8, view }: Bytes, at: number): number => {
  into.type = u8[at]!
  into.sourceCount = view.getUint16(at + 2)
  into.group = view.getInt32(at + 4)
  into.sourcesAt = at + RECORD_LENGTH
  return into.sourcesAt + into.sourceCount * 4 + u8[at + 1]! * 4
}

/**
 * Writes a message that is no version 3 report at `start`, with its checksum. The sources of a version 3 query must be
 * in their place already, at `start` + 12.
 * @returns its length in bytes
 */
export const emitIgmp = (message: IgmpMessage, bytes: Bytes, start: number): number => {
  const { u8, view } = bytes
  const isQueryV3 = message.type === IgmpType.Query && message.version === 3
  let length = IGMP_LENGTH
  u8[start] = message.type
  u8[start + 1] = isQueryV3 ? encodeIgmpTime(message.maxResponse) : message.maxResponse
  view.setInt32(start + 4, message.group)
  if (isQueryV3) {
    u8[start + 8] = (message.suppress ? 8 : 0) | (message.robustness > 7 ? 0 : message.robustness)
    u8[start + 9] = encodeIgmpTime(message.interval)
    view.setUint16(start + 10, message.sourceCount)
    length = V3_QUERY_LENGTH + message.sourceCount * 4
  }
  return finish(bytes, start, length)
}

/** What a record of a report to be sent says. */
export interface IgmpRecordContent {
  /** One of `GroupRecordType`. */
  readonly type: number
  readonly group: number
  readonly sources: readonly number[]
}

/** Bytes of a version 3 report with these records. */
export const igmpReportLength = (records: readonly IgmpRecordContent[]): number => {
  let length = IGMP_LENGTH
  for (const record of records) length += RECORD_LENGTH + record.sources.length * 4
  return length
}

/** Writes a version 3 report at `start`, with its checksum. @returns its length in bytes */
export const emitIgmpReport = (records: readonly IgmpRecordContent[], bytes: Bytes, start: number): number => {
  const { u8, view } = bytes
  u8[start] = IgmpType.ReportV3
  u8[start + 1] = 0
  view.setInt32(start + 4, records.length)
  let at = start + IGMP_LENGTH
  for (const record of records) {
    u8[at] = record.type
    u8[at + 1] = 0
    view.setUint16(at + 2, record.sources.length)
    view.setInt32(at + 4, record.group)
    at += RECORD_LENGTH
    for (const source of record.sources) {
      view.setInt32(at, source)
      at += 4
    }
  }
  return finish(bytes, start, at - start)
}

const finish = (bytes: Bytes, start: number, length: number): number => {
  bytes.view.setUint16(start + 2, 0)
  bytes.view.setUint16(start + 2, checksumOf(sumBytes(bytes, start, start + length)))
  return length
}

/** A time as a byte says it: as it is below 128, else by exponent and mantissa (RFC 3376 section 4.1.1). */
export const decodeIgmpTime = (code: number): number =>
  code < 128 ? code : ((code & 0xf) | 0x10) << (((code >>> 4) & 7) + 3)

/** The byte for a time, or for the longest time below it that a byte can say. */
export const encodeIgmpTime = (time: number): number => {
  if (time < 128) return time
  if (time >= 31_744) return 0xff
  const exponent = 31 - Math.clz32(time) - 7
  return 0x80 | (exponent << 4) | ((time >>> (exponent + 3)) & 0xf)
}
