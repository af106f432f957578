import type { IpAddress } from '../wire/address.ts'
import { type DnsMx, type DnsRecord, type DnsSoa, type DnsSrv, DnsType } from '../wire/dns.ts'

/** Records as `dns.resolve` and its like tell them. */

export const NAPTR = 35
export const CAA = 257

/** How an answer to a question of a type is told. */
export const readRecords = (type: number, records: readonly DnsRecord[]): unknown[] => {
  const reader = READERS.get(type)
  return reader === undefined ? [] : records.filter((record) => record.type === type).map(reader)
}

/** All of an answer, each record with its type. */
export const readAny = (records: readonly DnsRecord[]): object[] =>
  records.flatMap((record): object[] => {
    const name = NAMES.get(record.type)
    const reader = READERS.get(record.type)
    if (name === undefined || reader === undefined) return []
    const value = reader(record)
    if (record.type === DnsType.A || record.type === DnsType.AAAA) {
      return [{ address: value as string, ttl: record.ttl, type: name }]
    }
    if (record.type === DnsType.TXT) return [{ entries: value, type: name }]
    return [typeof value === 'string' ? { value, type: name } : { ...(value as object), type: name }]
  })

const NAMES = new Map<number, string>([
  [DnsType.A, 'A'],
  [DnsType.AAAA, 'AAAA'],
  [DnsType.CNAME, 'CNAME'],
  [DnsType.MX, 'MX'],
  [DnsType.NS, 'NS'],
  [DnsType.PTR, 'PTR'],
  [DnsType.SOA, 'SOA'],
  [DnsType.SRV, 'SRV'],
  [DnsType.TXT, 'TXT'],
  [NAPTR, 'NAPTR'],
  [CAA, 'CAA'],
])

const address = ({ data }: DnsRecord): string => (data as IpAddress).toString()
const name = ({ data }: DnsRecord): string => data as string

const READERS = new Map<number, (record: DnsRecord) => unknown>([
  [DnsType.A, address],
  [DnsType.AAAA, address],
  [DnsType.CNAME, name],
  [DnsType.NS, name],
  [DnsType.PTR, name],
  [DnsType.TXT, ({ data }) => [...(data as readonly string[])]],
  [
    DnsType.MX,
    ({ data }) => {
      const { exchange, preference } = data as DnsMx
      return { exchange, priority: preference }
    },
  ],
  [
    DnsType.SRV,
    ({ data }) => {
      const { target, port, priority, weight } = data as DnsSrv
      return { name: target, port, priority, weight }
    },
  ],
  [
    DnsType.SOA,
    ({ data }) => {
      const { server, mailbox, numbers } = data as DnsSoa
      const [serial, refresh, retry, expire, minttl] = numbers
      return { nsname: server, hostmaster: mailbox, serial, refresh, retry, expire, minttl }
    },
  ],
  [NAPTR, ({ data }) => readNaptr(data as Uint8Array)],
  [CAA, ({ data }) => readCaa(data as Uint8Array)],
])

const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes)

/** RFC 3403 section 4.1: the name is not shortened. */
const readNaptr = (bytes: Uint8Array): object => {
  const u16 = (at: number): number => (bytes[at] ?? 0) * 0x100 + (bytes[at + 1] ?? 0)
  let at = 4
  const string = (): string => {
    const length = bytes[at] ?? 0
    const start = at + 1
    at = start + length
    return text(bytes.subarray(start, at))
  }
  const [flags, service, regexp] = [string(), string(), string()]
  const labels: string[] = []
  for (let label = string(); label !== ''; label = string()) labels.push(label)
  return { flags, service, regexp, replacement: labels.join('.'), order: u16(0), preference: u16(2) }
}

/** RFC 8659 section 4.1. */
const readCaa = (bytes: Uint8Array): object => {
  const [critical = 0, length = 0] = bytes
  return { critical, [text(bytes.subarray(2, 2 + length))]: text(bytes.subarray(2 + length)) }
}
