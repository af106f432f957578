import type { Sys } from '../host/calls.ts'
import type { Program } from '../host/process.ts'
import type { Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'
import {
  DNS_PORT,
  DNS_UDP_LIMIT,
  DnsCode,
  type DnsData,
  type DnsMessage,
  type DnsRecord,
  DnsType,
  parseDns,
  sameName,
  writeDns,
} from '../wire/dns.ts'
import { listenOn } from './serve.ts'

/** One record of a zone: its name, type and data, and how long it may be kept, seconds (300 unless given). */
export interface ZoneRecord {
  readonly name: string
  readonly type: number
  readonly data: DnsData
  readonly ttl?: number
}

/** How a name server answers. */
export interface DnsServerOptions {
  readonly port?: number
  /** Names outside these domains are refused; every name is this server's unless given. */
  readonly domains?: readonly string[]
  /** Told of each question and how it was answered. */
  readonly onQuery?: (question: string, over: 'udp' | 'tcp', code: number) => void
}

const TTL = 300
/** The longest chain of aliases that is followed. */
const MOST_ALIASES = 8

/** A name server that knows some records and asks nobody: over UDP, and over TCP what does not fit there. */
export const dnsServer =
  (zone: readonly ZoneRecord[], options: DnsServerOptions = {}): Program =>
  async (sys) => {
    const port = options.port ?? DNS_PORT
    const udp = sys.socket(C.AF_INET6, C.SOCK_DGRAM)
    sys.setsockopt(udp, C.SOL_IPV6, C.IPV6_V6ONLY, 0)
    sys.bind(udp, { address: '::', port })
    const listener = listenOn(sys, port)
    void sys.thread(() => serveTcp(sys, listener, zone, options))
    const buffer = new Uint8Array(0x1_0000)
    for (;;) {
      const from: Sockaddr = {}
      const count = await sys.recvfrom(udp, buffer, buffer.length, 0, from)
      const answer = answerBytes(buffer.subarray(0, count), zone, options, 'udp')
      if (answer !== null) await sys.sendto(udp, answer, answer.length, 0, from)
    }
  }

const serveTcp = async (
  sys: Sys,
  listener: number,
  zone: readonly ZoneRecord[],
  options: DnsServerOptions,
): Promise<void> => {
  for (;;) {
    const fd = await sys.accept(listener)
    void sys.thread(() => serveConnection(sys, fd, zone, options))
  }
}

/** Questions of one connection, each behind its length (RFC 7766). */
const serveConnection = async (
  sys: Sys,
  fd: number,
  zone: readonly ZoneRecord[],
  options: DnsServerOptions,
): Promise<void> => {
  const prefix = new Uint8Array(2)
  try {
    while ((await sys.recv(fd, prefix, 2, C.MSG_WAITALL)) === 2) {
      const query = new Uint8Array(prefix[0]! * 0x100 + prefix[1]!)
      if ((await sys.recv(fd, query, query.length, C.MSG_WAITALL)) < query.length) break
      const answer = answerBytes(query, zone, options, 'tcp')
      if (answer === null) break
      await sys.writev(fd, [Uint8Array.of(answer.length >>> 8, answer.length & 0xff), answer])
    }
  } catch {
    // A client that has gone ends its own connection only.
  }
  if (sys.process.isAlive) await sys.close(fd)
}

/** @returns null for what is no question */
const answerBytes = (
  bytes: Uint8Array,
  zone: readonly ZoneRecord[],
  options: DnsServerOptions,
  over: 'udp' | 'tcp',
): Uint8Array | null => {
  const query = parseDns(bytes)
  if (query === null || query.isResponse) return null
  const response = answer(query, zone, options.domains ?? [''])
  const [question] = query.questions
  if (question !== undefined) options.onQuery?.(`${question.name} ${typeName(question.type)}`, over, response.code)
  return writeDns(response, over === 'udp' ? DNS_UDP_LIMIT : undefined)
}

/** The answer to a question from a zone (RFC 1034 section 4.3.2), with the aliases that lead to it. */
const answer = (query: DnsMessage, zone: readonly ZoneRecord[], domains: readonly string[]): DnsMessage => {
  const [question] = query.questions
  const respond = (code: number, answers: readonly DnsRecord[] = []): DnsMessage => ({
    ...query,
    isResponse: true,
    isAuthoritative: code === DnsCode.NoError || code === DnsCode.NxDomain,
    isTruncated: false,
    hasRecursion: false,
    code,
    answers,
    authorities: [],
  })
  if (query.opcode !== 0) return respond(DnsCode.NotImp)
  if (question === undefined || query.questions.length !== 1) return respond(DnsCode.FormErr)
  if (!domains.some((domain) => isWithin(question.name, domain))) return respond(DnsCode.Refused)
  const answers: DnsRecord[] = []
  let name = question.name
  for (let left = MOST_ALIASES; left > 0; left--) {
    const own = zone.filter((record) => sameName(record.name, name))
    const wanted = own.filter(({ type }) => type === question.type || question.type === DnsType.ANY)
    const alias = wanted.length > 0 ? undefined : own.find(({ type }) => type === DnsType.CNAME)
    for (const record of alias === undefined ? wanted : [alias]) {
      answers.push({ name: record.name, type: record.type, ttl: record.ttl ?? TTL, data: record.data })
    }
    if (own.length === 0 && !zone.some((record) => isWithin(record.name, name)))
      return respond(DnsCode.NxDomain, answers)
    if (typeof alias?.data !== 'string') break
    name = alias.data
  }
  return respond(DnsCode.NoError, answers)
}

const isWithin = (name: string, domain: string): boolean =>
  domain === '' || sameName(name, domain) || name.toLowerCase().endsWith(`.${domain.toLowerCase()}`)

const typeName = (type: number): string =>
  Object.entries(DnsType).find(([, number]) => number === type)?.[0] ?? `TYPE${type}`
