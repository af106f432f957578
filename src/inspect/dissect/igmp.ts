import { checksum, type Dissection } from './dissection.ts'

/** IGMP (RFC 1112, 2236, 3376): `igmp v3 report, 1 group record(s)`. */

const Type = { Query: 0x11, ReportV1: 0x12, ReportV2: 0x16, Leave: 0x17, ReportV3: 0x22 } as const

const RECORDS: ReadonlyMap<number, string> = new Map([
  [1, 'is_in'],
  [2, 'is_ex'],
  [3, 'to_in'],
  [4, 'to_ex'],
  [5, 'allow'],
  [6, 'block'],
])

/** A message at `at`, of `length` bytes as IP has it. */
export const putIgmp = (d: Dissection, at: number, length: number): void => {
  d.protocol = 'igmp'
  if (d.options.quiet) {
    d.put('igmp')
    return
  }
  const type = d.u8(at)
  switch (type) {
    case Type.Query:
      d.put('igmp query')
      if (length >= 12) putQueryV3(d, at, length)
      else putQuery(d, at)
      break
    case Type.ReportV1:
      d.put(`igmp v1 report ${d.ipv4(at + 4)}`)
      if (length !== 8) d.put(` [len ${length}]`)
      break
    case Type.ReportV2:
      d.put(`igmp v2 report ${d.ipv4(at + 4)}`)
      break
    case Type.ReportV3:
      putReportV3(d, at, length)
      break
    case Type.Leave:
      d.put(`igmp leave ${d.ipv4(at + 4)}`)
      break
    default:
      d.put(`igmp-${type}`)
  }
  if (d.options.verbose > 0 && d.options.checksums && d.has(at, length)) {
    if (checksum(d.bytes, at, at + length) !== 0) d.put(` bad igmp cksum ${d.u16(at + 2).toString(16)}!`)
  }
}

const putQuery = (d: Dissection, at: number): void => {
  const response = d.u8(at + 1)
  d.put(` v${response === 0 ? 1 : 2}`)
  if (response > 0 && response !== 100) {
    d.put(` [max resp time ${response}]`)
  }
  if (d.u32(at + 4) !== 0) d.put(` [gaddr ${d.ipv4(at + 4)}]`)
}

/** Values of 128 and above are a mantissa and an exponent (RFC 3376 section 4.1.1). */
const coded = (value: number): number => (value < 128 ? value : ((value & 0xf) | 0x10) << (((value >> 4) & 7) + 3))

const putQueryV3 = (d: Dissection, at: number, length: number): void => {
  d.put(' v3')
  const response = coded(d.u8(at + 1))
  if (response !== 100) {
    const isShort = response < 1000
    d.put(` [max resp time ${isShort ? `${(response / 10).toFixed(1)}s` : shortTime(Math.floor(response / 10))}]`)
  }
  if (length < 12) return
  const sources = d.u16(at + 10)
  if (sources > 0) {
    d.put(` [gaddr ${d.ipv4(at + 4)}`)
    if (length < 12 + sources * 4) d.put(' [invalid number of sources]')
    else if (d.options.verbose > 1) {
      d.put(' {')
      for (let i = 0; i < sources; i++) d.put(` ${d.ipv4(at + 12 + i * 4)}`)
      d.put(' }')
    } else d.put(`, ${sources} source(s)`)
    d.put(']')
  } else if (d.u32(at + 4) !== 0) d.put(` [gaddr ${d.ipv4(at + 4)}]`)
}

const shortTime = (seconds: number): string => {
  if (seconds < 60) return `${seconds}s`
  return `${Math.floor(seconds / 60)}m${seconds % 60 === 0 ? '' : `${seconds % 60}s`}`
}

const putReportV3 = (d: Dissection, at: number, length: number): void => {
  d.put('igmp v3 report')
  if (length < 16 || (length & 3) !== 0) {
    d.put(` [invalid len ${length}]`)
    return
  }
  const records = d.u16(at + 6)
  d.put(`, ${records} group record(s)`)
  if (d.options.verbose === 0) return
  for (let i = 0, record = at + 8; i < records && record + 8 <= at + length; i++) {
    d.put(` [gaddr ${d.ipv4(record + 4)}`)
    const sources = d.u16(record + 2)
    const type = d.u8(record)
    d.put(` ${RECORDS.get(type) ?? `v3-report-#${type}`}`)
    if (record + 8 + sources * 4 > at + length) {
      d.put(` [invalid number of sources ${sources}]`)
      return
    }
    if (sources === 0) {
      // A record of inclusion without sources is that of leaving.
      d.put(d.options.verbose > 1 ? ' { }' : ', 0 source(s)')
    } else if (d.options.verbose > 1) {
      d.put(' {')
      for (let j = 0; j < sources; j++) d.put(` ${d.ipv4(record + 8 + j * 4)}`)
      d.put(' }')
    } else d.put(`, ${sources} source(s)`)
    d.put(']')
    record += 8 + sources * 4
  }
}
