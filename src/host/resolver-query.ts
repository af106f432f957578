import { Errno, SystemError } from '../core/errno.ts'
import * as C from '../socket/constants.ts'
import {
  DNS_UDP_LIMIT,
  DnsCode,
  type DnsMessage,
  type DnsRecord,
  DnsType,
  dnsQuery,
  isDnsName,
  parseDns,
  sameName,
  writeDns,
} from '../wire/dns.ts'
import type { Sys } from './calls.ts'
import type { NameServer } from './resolver-config.ts'

/** Asking name servers, over UDP, and over TCP what does not fit (resolver(3)). */

/** How a question ended. */
export type DnsOutcome =
  | { readonly kind: 'found'; readonly records: readonly DnsRecord[]; readonly name: string }
  /** The name is there and has no such record; there is no such name; nobody has answered well; what was asked is no name. */
  | { readonly kind: 'no data' | 'no name' | 'again' | 'failed' }

/**
 * Asks for a name, and for it in each of the domains that are searched, until there is an answer.
 * @param name one with a dot at its end is tried as it is alone
 */
export const searchDns = async (sys: Sys, name: string, type: number): Promise<DnsOutcome> => {
  const { search, ndots } = sys.process.host.resolver
  if (name.endsWith('.')) return queryDns(sys, name.slice(0, -1), type)
  const dots = name.split('.').length - 1
  const candidates = search.map((domain) => `${name}.${domain.replace(/\.$/, '')}`)
  if (dots >= ndots) candidates.unshift(name)
  else candidates.push(name)
  let hasData = false
  let failed = false
  for (const candidate of candidates) {
    const outcome = await queryDns(sys, candidate, type)
    if (outcome.kind === 'found' || outcome.kind === 'failed') return outcome
    if (outcome.kind === 'again') failed = true
    if (outcome.kind === 'no data') hasData = true
  }
  return { kind: hasData ? 'no data' : failed ? 'again' : 'no name' }
}

/** Asks for a name as it is. */
export const queryDns = async (sys: Sys, name: string, type: number): Promise<DnsOutcome> => {
  if (!isDnsName(name)) return { kind: 'failed' }
  const response = await askServers(sys, name, type)
  if (response === null) return { kind: 'again' }
  if (response.code === DnsCode.NxDomain) return { kind: 'no name' }
  if (response.code !== DnsCode.NoError) return { kind: 'failed' }
  const { owner, records } = followAliases(response.answers, name, type)
  return records.length > 0 ? { kind: 'found', records, name: owner } : { kind: 'no data' }
}

/** What an answer says of a name, through its aliases. */
export const followAliases = (
  answers: readonly DnsRecord[],
  name: string,
  type: number,
): { owner: string; records: DnsRecord[] } => {
  let owner = name
  for (let left = answers.length; left > 0; left--) {
    const alias = answers.find((record) => record.type === DnsType.CNAME && sameName(record.name, owner))
    if (alias === undefined || typeof alias.data !== 'string' || type === DnsType.CNAME) break
    owner = alias.data
  }
  const isAny = type === DnsType.ANY
  return { owner, records: answers.filter((record) => sameName(record.name, owner) && (isAny || record.type === type)) }
}

/** Asks every server in turn, and all of them again. @returns null when none has answered well */
const askServers = async (sys: Sys, name: string, type: number): Promise<DnsMessage | null> => {
  const { servers, timeout, attempts } = sys.process.host.resolver
  for (let attempt = 0; attempt < attempts; attempt++) {
    for (const [index, server] of servers.entries()) {
      // The further ones are given longer, and share it, as with glibc.
      const seconds = index === 0 ? timeout : Math.max(1, Math.floor((timeout * 2 ** index) / servers.length))
      const response = await ask(sys, server, name, type, seconds)
      if (response !== null && !REFUSALS.has(response.code)) return response
    }
  }
  return null
}

/** What one server says is not what another one would. */
const REFUSALS: ReadonlySet<number> = new Set([DnsCode.ServFail, DnsCode.NotImp, DnsCode.Refused])

/** Asks one server. @returns null when it does not answer in time, or cannot be reached */
const ask = async (
  sys: Sys,
  server: NameServer,
  name: string,
  type: number,
  seconds: number,
): Promise<DnsMessage | null> => {
  const query = dnsQuery(sys.process.host.random.below(0x1_0000), name, type)
  try {
    return await exchange(sys, server, query, seconds)
  } catch (error) {
    if (error instanceof SystemError && error.errno !== -Errno.EINTR && error.errno !== -Errno.EMFILE) return null
    throw error
  }
}

/**
 * Asks one server over UDP, and over TCP what does not fit.
 * @param from the address to ask from; null for any
 * @returns null when it does not answer in time
 * @throws SystemError when it cannot be reached
 */
export const exchange = async (
  sys: Sys,
  server: NameServer,
  query: DnsMessage,
  seconds: number,
  from: string | null = null,
): Promise<DnsMessage | null> => {
  const response = await askByUdp(sys, server, query, seconds, from)
  return response?.isTruncated === true ? await askByTcp(sys, server, query, seconds, from) : response
}

const open = async (sys: Sys, server: NameServer, type: number, from: string | null): Promise<number> => {
  const fd = sys.socket(server.address.includes(':') ? C.AF_INET6 : C.AF_INET, type | C.SOCK_CLOEXEC)
  try {
    if (from !== null) sys.bind(fd, { address: from, port: 0 })
    await sys.connect(fd, server)
  } catch (error) {
    await sys.close(fd)
    throw error
  }
  return fd
}

const askByUdp = async (
  sys: Sys,
  server: NameServer,
  query: DnsMessage,
  seconds: number,
  from: string | null,
): Promise<DnsMessage | null> => {
  // A connected socket hears of nobody else, and of ICMP errors.
  const fd = await open(sys, server, C.SOCK_DGRAM, from)
  try {
    await sys.send(fd, writeDns(query))
    const deadline = sys.now + seconds * 1e6
    const buffer = new Uint8Array(DNS_UDP_LIMIT)
    for (;;) {
      const left = Math.ceil((deadline - sys.now) / 1000)
      if (left <= 0 || (await sys.poll([{ fd, events: C.POLLIN, revents: 0 }], left)) === 0) return null
      const count = await sys.recv(fd, buffer)
      const response = parseDns(buffer.subarray(0, count))
      if (response !== null && isAnswer(response, query)) return response
    }
  } finally {
    if (sys.process.isAlive) await sys.close(fd)
  }
}

const askByTcp = async (
  sys: Sys,
  server: NameServer,
  query: DnsMessage,
  seconds: number,
  from: string | null,
): Promise<DnsMessage | null> => {
  const fd = await open(sys, server, C.SOCK_STREAM, from)
  try {
    sys.setsockopt(fd, C.SOL_SOCKET, C.SO_RCVTIMEO, {
      tv_sec: Math.floor(seconds),
      tv_usec: Math.round((seconds % 1) * 1e6),
    })
    const bytes = writeDns(query)
    await sys.writev(fd, [Uint8Array.of(bytes.length >>> 8, bytes.length & 0xff), bytes])
    const prefix = new Uint8Array(2)
    if ((await sys.recv(fd, prefix, 2, C.MSG_WAITALL)) < 2) return null
    const answer = new Uint8Array(prefix[0]! * 0x100 + prefix[1]!)
    if ((await sys.recv(fd, answer, answer.length, C.MSG_WAITALL)) < answer.length) return null
    const response = parseDns(answer)
    return response !== null && isAnswer(response, query) ? response : null
  } finally {
    if (sys.process.isAlive) await sys.close(fd)
  }
}

/** Is it the answer to this question, and not to one that somebody would have us think of (RFC 5452 section 9.1)? */
const isAnswer = (response: DnsMessage, query: DnsMessage): boolean => {
  const [question] = response.questions
  const [asked] = query.questions
  if (!response.isResponse || response.id !== query.id || response.questions.length !== 1) return false
  return question!.type === asked!.type && sameName(question!.name, asked!.name)
}
