import { hexByte } from '../format.ts'
import { type Dissection, named } from './dissection.ts'
import { putName } from './dns-name.ts'

/** Types of records whose data are told; of the others the name alone. */
export const RecordType = {
  A: 1,
  Ns: 2,
  Cname: 5,
  Soa: 6,
  Ptr: 12,
  Mx: 15,
  Txt: 16,
  Aaaa: 28,
  Srv: 33,
  Dname: 39,
  Opt: 41,
  Uri: 256,
} as const

const TYPE_NAMES: ReadonlyMap<number, string> = new Map(
  (
    '1 A,2 NS,3 MD,4 MF,5 CNAME,6 SOA,7 MB,8 MG,9 MR,10 NULL,11 WKS,12 PTR,13 HINFO,14 MINFO,15 MX,16 TXT,17 RP,' +
    '18 AFSDB,19 X25,20 ISDN,21 RT,22 NSAP,23 NSAP_PTR,24 SIG,25 KEY,26 PX,27 GPOS,28 AAAA,29 LOC,30 NXT,31 EID,' +
    '32 NIMLOC,33 SRV,34 ATMA,35 NAPTR,36 KX,37 CERT,38 A6,39 DNAME,40 SINK,41 OPT,42 APL,43 DS,44 SSHFP,' +
    '45 IPSECKEY,46 RRSIG,47 NSEC,48 DNSKEY,99 SPF,100 UINFO,101 UID,102 GID,103 UNSPEC,104 UNSPECA,249 TKEY,' +
    '250 TSIG,251 IXFR,252 AXFR,253 MAILB,254 MAILA,255 ANY,256 URI'
  )
    .split(',')
    .map((entry) => entry.split(' ') as [string, string])
    .map(([number, name]) => [Number(number), name]),
)

export const recordTypeName = (type: number): string => named(TYPE_NAMES, type, 'Type%')

/** Options of EDNS (RFC 6891 section 6.1.2). */
const EdnsOption = { Cookie: 10, Keepalive: 11, Padding: 12 } as const

const EDNS_OPTION_NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'LLQ'],
  [2, 'UL'],
  [3, 'NSID'],
  [5, 'DAU'],
  [6, 'DHU'],
  [7, 'N3U'],
  [8, 'ECS'],
  [9, 'EXPIRE'],
  [EdnsOption.Cookie, 'COOKIE'],
  [EdnsOption.Keepalive, 'KEEPALIVE'],
  [EdnsOption.Padding, 'PADDING'],
  [13, 'CHAIN'],
  [14, 'KEY-TAG'],
  [16, 'CLIENT-TAG'],
  [17, 'SERVER-TAG'],
])

/** What an OPT record says outside its data. */
export interface Edns {
  /** Bytes of UDP payload that the sender takes. */
  readonly size: number
  readonly flags: number
}

/** DNSSEC OK (RFC 3225). */
const DNSSEC_OK = 0x8000

/**
 * The data of a record, from `at` to `end`, of a message at `message`.
 * @returns false when they are malformed or cut short
 */
export const putDnsRecord = (
  d: Dissection,
  type: number,
  at: number,
  end: number,
  message: number,
  edns: Edns,
): boolean => {
  switch (type) {
    case RecordType.A:
      if (!d.has(at, 4)) return false
      d.put(` ${[0, 1, 2, 3].map((i) => d.u8(at + i)).join('.')}`)
      return true
    case RecordType.Aaaa:
      if (!d.has(at, 16)) return false
      d.put(` ${d.ipv6Number(at)}`)
      return true
    case RecordType.Ns:
    case RecordType.Cname:
    case RecordType.Ptr:
    case RecordType.Dname:
      d.put(' ')
      return putName(d, at, message) !== null
    case RecordType.Soa:
      return d.options.verbose === 0 || putAuthority(d, at, message)
    case RecordType.Mx:
      d.put(' ')
      if (!d.has(at, 2) || putName(d, at + 2, message) === null) return false
      d.put(` ${d.u16(at)}`)
      return true
    case RecordType.Txt:
      return putStrings(d, at, end)
    case RecordType.Srv:
      d.put(' ')
      if (!d.has(at, 6) || putName(d, at + 6, message) === null) return false
      d.put(`:${d.u16(at + 4)} ${d.u16(at)} ${d.u16(at + 2)}`)
      return true
    case RecordType.Uri:
      d.put(` ${d.u16(at)} ${d.u16(at + 2)} ${d.characters(at + 4, Math.max(0, end - at - 4))}`)
      return true
    case RecordType.Opt:
      d.put(` UDPsize=${edns.size}${(edns.flags & DNSSEC_OK) !== 0 ? ' DO' : ''}`)
      return at >= end || putEdnsOptions(d, at, end)
    default:
      return true
  }
}

const putAuthority = (d: Dissection, at: number, message: number): boolean => {
  d.put(' ')
  const mailbox = putName(d, at, message)
  if (mailbox === null) return false
  d.put(' ')
  const numbers = putName(d, mailbox, message)
  if (numbers === null || !d.has(numbers, 20)) return false
  for (let i = 0; i < 20; i += 4) d.put(` ${d.u32(numbers + i)}`)
  return true
}

const putStrings = (d: Dissection, start: number, end: number): boolean => {
  for (let at = start; at < end; ) {
    const length = d.u8(at)
    d.put(' "')
    d.put(d.characters(at + 1, Math.min(length, d.end - at - 1)))
    if (!d.has(at + 1, length)) return false
    d.put('"')
    at += 1 + length
  }
  return true
}

const putEdnsOptions = (d: Dissection, start: number, end: number): boolean => {
  d.put(' [')
  for (let at = start; at < end; ) {
    if (!d.has(at, 2)) return false
    const code = d.u16(at)
    d.put(named(EDNS_OPTION_NAMES, code, 'Opt%'))
    if (!d.has(at + 2, 2)) return false
    const length = d.u16(at + 2)
    const value = at + 4
    if (!d.has(value, length)) return false
    if (length > 0) {
      d.put(' ')
      putEdnsValue(d, code, value, length)
    }
    at = value + length
    if (at < end) d.put(',')
  }
  d.put(']')
  return true
}

const putEdnsValue = (d: Dissection, code: number, at: number, length: number): void => {
  if (code === EdnsOption.Cookie) {
    if (length < 8 || (length > 8 && length < 16) || length > 40) d.invalid()
    else d.put(`${d.hexBytes(at, 8)}${length > 8 ? ` ${d.hexBytes(at + 8, length - 8)}` : ''}`)
  } else if (code === EdnsOption.Keepalive) {
    if (length !== 2) d.invalid()
    else d.put(`${(d.u16(at) / 10).toFixed(1)} sec`)
  } else if (code === EdnsOption.Padding) d.put(`(${length})`)
  else for (let i = 0; i < length; i++) d.put(hexByte(d.u8(at + i)))
}
