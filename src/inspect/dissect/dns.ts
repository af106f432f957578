import { type Dissection, named } from './dissection.ts'
import { putName, skipName } from './dns-name.ts'
import { putDnsRecord, RecordType, recordTypeName } from './dns-record.ts'

/**
 * Messages of DNS (RFC 1035) and multicast DNS (RFC 6762), in the shorthand of tcpdump: `24832+ A? a.example. (27)`.
 */

const HEADER = 12

const OPERATIONS = [
  '',
  ' inv_q',
  ' stat',
  ' op3',
  ' notify',
  ' update',
  ' op6',
  ' op7',
  ' op8',
  ' updateA',
  ' updateD',
  ' updateDA',
  ' updateM',
  ' updateMA',
  ' zoneInit',
  ' zoneRef',
]

const INVERSE_QUERY = 1

const RESPONSES = [
  '',
  ' FormErr',
  ' ServFail',
  ' NXDomain',
  ' NotImp',
  ' Refused',
  ' YXDomain',
  ' YXRRSet',
  ' NXRRSet',
  ' NotAuth',
  ' NotZone',
  ' Resp11',
  ' Resp12',
  ' Resp13',
  ' Resp14',
  ' NoChange',
]

/** Response codes that need the upper bits of EDNS (RFC 6891 section 6.1.3). */
const EXTENDED_RESPONSES: ReadonlyMap<number, string> = new Map([
  [16, ' BadVers'],
  [23, ' BadCookie'],
])

const Flag = { Response: 0x8000, Authoritative: 0x400, Truncated: 0x200, Desired: 0x100, Available: 0x80 } as const
const AUTHENTIC = 0x20
const CHECKING_DISABLED = 0x10
/** Bits that a query has no use for. */
const ODD_IN_QUERY = 0x6cf

const CLASSES: ReadonlyMap<number, string> = new Map([
  [3, 'CHAOS'],
  [4, 'HS'],
  [255, 'ANY'],
])
const INTERNET = 1

/** In multicast DNS the class's top bit asks for an answer to the asker alone, or says that old records are void. */
const TOP_BIT = 0x8000

/** A message whose records are being read, one after another. */
export interface DnsMessage {
  /** Where it begins; names point back to here. */
  readonly start: number
  readonly isMulticast: boolean
}

/** Could a record not be read? Then the rest cannot be found either. */
type Next = number | null

/** A message of `length` bytes at `at`. */
export const putDns = (d: Dissection, at: number, length: number, isMulticast: boolean): void => {
  d.protocol = 'domain'
  if (length < HEADER) {
    d.put(`domain [length ${length} < ${HEADER}]`)
    d.invalid()
    return
  }
  d.need(at, HEADER)
  const message = { start: at, isMulticast }
  const isResponse = (d.u16(at + 2) & Flag.Response) !== 0
  const isWhole = isResponse ? putResponse(d, message) : putQuery(d, message)
  if (isWhole) d.put(` (${length})`)
  else d.cutShort()
}

const counts = (
  d: Dissection,
  at: number,
): { questions: number; answers: number; authority: number; more: number } => ({
  questions: d.u16(at + 4),
  answers: d.u16(at + 6),
  authority: d.u16(at + 8),
  more: d.u16(at + 10),
})

const putResponse = (d: Dissection, message: DnsMessage): boolean => {
  const { start } = message
  const flags = d.u16(start + 2)
  const { questions, answers, authority, more } = counts(d, start)
  const marks = [
    flags & Flag.Authoritative ? '*' : '',
    flags & Flag.Available ? '' : '-',
    flags & Flag.Truncated ? '|' : '',
    flags & AUTHENTIC ? '$' : '',
  ].join('')
  d.put(`${d.u16(start)}${OPERATIONS[(flags >> 11) & 0xf]}${responseName(responseCode(d, message))}${marks}`)
  if (questions !== 1) d.put(` [${questions}q]`)
  let at: Next = start + HEADER
  for (let i = 0; i < questions; i++) {
    if (i > 0) d.put(',')
    if (d.options.verbose > 1) d.put(' q:')
    const end: Next = d.options.verbose > 1 ? putQuestion(d, at, message) : past(skipName(d, at), 4)
    if (end === null) return false
    at = end
  }
  d.put(` ${answers}/${authority}/${more}`)
  at = putRecords(d, message, at, answers, '')
  if (d.options.verbose > 1) {
    if (at !== null) at = putRecords(d, message, at, authority, ' ns:')
    if (at !== null) at = putRecords(d, message, at, more, ' ar:')
  }
  return at !== null
}

const putQuery = (d: Dissection, message: DnsMessage): boolean => {
  const { start } = message
  const flags = d.u16(start + 2)
  const { questions, answers, authority, more } = counts(d, start)
  const operation = (flags >> 11) & 0xf
  d.put(`${d.u16(start)}${OPERATIONS[operation]}`)
  d.put(`${flags & Flag.Desired ? '+' : ''}${flags & CHECKING_DISABLED ? '%' : ''}`)
  if ((flags & ODD_IN_QUERY) !== 0) d.put(` [b2&3=0x${flags.toString(16)}]`)
  const count = (number: number, letters: string, usual = 0): string =>
    number === usual ? '' : ` [${number}${letters}]`
  if (operation === INVERSE_QUERY) d.put(count(questions, 'q') + count(answers, 'a', 1))
  else d.put(count(answers, 'a') + count(questions, 'q', 1))
  d.put(count(authority, 'n') + count(more, 'au'))
  let at: Next = start + HEADER
  for (let i = 0; i < questions; i++) {
    if (i > 0 && at >= d.end) return false
    const end: Next = putQuestion(d, at, message)
    if (end === null) return false
    at = end
  }
  if (d.options.verbose < 2) return true
  const sections = [
    [answers, ''],
    [authority, ' ns:'],
    [more, ' ar:'],
  ] as const
  for (const [number, title] of sections) {
    const end: Next = putRecords(d, message, at, number, title)
    if (end === null) return false
    at = end
  }
  return true
}

/** So many records of a section. @returns where the next section begins */
const putRecords = (d: Dissection, message: DnsMessage, start: number, number: number, title: string): Next => {
  let at = start
  for (let i = 0; i < number; i++) {
    if ((i > 0 || title !== '') && at >= d.end) return null
    d.put(i > 0 ? ',' : title)
    const end: Next = putRecord(d, message, at)
    if (end === null) return null
    at = end
  }
  return at
}

/** ` A? a.example.` */
const putQuestion = (d: Dissection, at: number, message: DnsMessage): Next => {
  const fields = skipName(d, at)
  if (fields === null || !d.has(fields, 4)) return null
  const whole = d.u16(fields + 2)
  d.put(` ${recordTypeName(d.u16(fields))}${className(whole, message.isMulticast)}`)
  if (message.isMulticast) d.put((whole & TOP_BIT) !== 0 ? ' (QU)' : ' (QM)')
  d.put('? ')
  return past(putName(d, at, message.start), 4)
}

/** ` A 10.0.0.1`; with `-v` the name it belongs to, with `-vvv` how long it may be kept. */
const putRecord = (d: Dissection, message: DnsMessage, at: number): Next => {
  if (d.options.verbose > 0) d.put(' ')
  const fields = d.options.verbose > 0 ? putName(d, at, message.start) : skipName(d, at)
  if (fields === null) return d.options.verbose > 0 ? null : d.end
  if (!d.has(fields, 10)) return d.end
  const type = d.u16(fields)
  const whole = d.u16(fields + 2)
  if (type !== RecordType.Opt) d.put(className(whole, message.isMulticast))
  if (message.isMulticast && (whole & TOP_BIT) !== 0) d.put(' (Cache flush)')
  if (type !== RecordType.Opt && d.options.verbose > 2) d.put(` [${duration(d.u32(fields + 4))}]`)
  const start = fields + 10
  const end = start + d.u16(fields + 8)
  d.put(` ${recordTypeName(type)}`)
  if (end > d.end) return null
  const edns = { size: message.isMulticast ? whole & ~TOP_BIT : whole, flags: d.u16(fields + 6) }
  return putDnsRecord(d, type, start, end, message.start, edns) ? end : null
}

const className = (whole: number, isMulticast: boolean): string => {
  const value = isMulticast ? whole & ~TOP_BIT : whole
  return value === INTERNET ? '' : ` ${named(CLASSES, value, '(Class %)')}`
}

const past = (at: Next, bytes: number): Next => (at === null ? null : at + bytes)

/** The response code, with the upper bits that an OPT record among the additional records has for it. */
const responseCode = (d: Dissection, { start }: DnsMessage): number => {
  const code = d.u16(start + 2) & 0xf
  const { questions, answers, authority, more } = counts(d, start)
  let at: Next = start + HEADER
  for (let i = 0; i < questions; i++) {
    at = past(skipName(d, at), 4)
    if (at === null || at >= d.end) return code
  }
  for (let i = 0; i < answers + authority + more; i++) {
    const fields: Next = skipName(d, at)
    if (fields === null) return code
    const isMore = i >= answers + authority
    if (isMore && d.has(fields, 5) && d.u16(fields) === RecordType.Opt) return code | (d.u8(fields + 4) << 4)
    if (!d.has(fields, 10)) return code
    at = fields + 10 + d.u16(fields + 8)
    if (at >= d.end) return code
  }
  return code
}

const responseName = (code: number): string => RESPONSES[code] ?? named(EXTENDED_RESPONSES, code, ' Resp%')

const UNITS = [
  [31_536_000, 'y'],
  [604_800, 'w'],
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'm'],
  [1, 's'],
] as const

/** Seconds as `1w2d3h4m5s`. */
const duration = (seconds: number): string => {
  if (seconds === 0) return '0s'
  let rest = seconds
  let text = ''
  for (const [unit, letter] of UNITS) {
    if (rest >= unit) text += `${Math.floor(rest / unit)}${letter}`
    rest %= unit
  }
  return text
}
