import { Errno, SystemError } from '../core/errno.ts'
import * as C from '../socket/constants.ts'
import {
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
  /** What there is of the types asked for; none where an alias leads to nothing. */
  | { readonly kind: 'found'; readonly records: readonly DnsRecord[]; readonly name: string }
  /** The name is there and has no such record; there is no such name; it was refused, or is none. */
  | { readonly kind: 'no data' | 'no name' | 'failed' }
  /** Nobody has answered well: whoever answered had failed; nobody answered in time; nobody could be reached. */
  | { readonly kind: 'again'; readonly why: 'failure' | 'silence' | 'unreachable' }

/**
 * Asks for records of types of a name, and of it in each of the
 * domains that are searched, until there are some of any of the types.
 * @param name one with a dot at its end is tried as it is alone
 */
export const searchDns = async (sys: Sys, name: string, types: readonly number[]): Promise<DnsOutcome> => {
  const { search, ndots, asksTopLevel } = sys.process.host.resolver
  if (name.endsWith('.')) return queryDns(sys, name.slice(0, -1), types)
  const dots = name.split('.').length - 1
  const first = dots >= ndots ? await queryDns(sys, name, types) : null
  if (first?.kind === 'found') return first
  let hasData = false
  let hasFailed = false
  let last: DnsOutcome | null = first
  for (const domain of search) {
    last = await queryDns(sys, domain === '' ? name : `${name}.${domain}`, types)
    if (last.kind === 'found') return last
    if (last.kind === 'no data') hasData = true
    else if (last.kind === 'again') {
      if (last.why === 'unreachable') return last
      if (last.why === 'silence') break
      hasFailed = true
    } else if (last.kind === 'failed') break
  }
  if (first === null && !search.includes('') && (dots > 0 || search.length === 0 || asksTopLevel)) {
    last = await queryDns(sys, name, types)
    if (last.kind === 'found') return last
  }
  // What was said of the name as it is counts for more than what its absence behind a domain says.
  if (first !== null) return first
  if (hasData) return { kind: 'no data' }
  return hasFailed ? { kind: 'again', why: 'failure' } : last!
}

/** Asks for records of types of a name as it is. */
export const queryDns = async (sys: Sys, name: string, types: readonly number[]): Promise<DnsOutcome> => {
  if (!isDnsName(name)) return { kind: 'failed' }
  const { responses, why } = await askServers(sys, name, types)
  const answered = responses.filter((response) => response !== null)
  if (answered.length === 0) return { kind: 'again', why }
  const useful = answered.filter(({ code, answers }) => code === DnsCode.NoError && answers.length > 0)
  if (useful.length === 0) {
    const codes = answered.map(({ code }) => code)
    const code = codes.find((one) => one !== DnsCode.NoError) ?? DnsCode.NoError
    return { kind: code === DnsCode.NoError ? 'no data' : code === DnsCode.NxDomain ? 'no name' : 'failed' }
  }
  const found = useful.map(({ answers, questions }) => followAliases(answers, name, questions[0]!.type))
  const { owner } = found.find(({ records }) => records.length > 0) ?? found[0]!
  return { kind: 'found', records: found.flatMap(({ records }) => records), name: owner }
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

/** What came of a question of several types, type by type: null where nobody has answered well. */
interface ServerOutcome {
  readonly responses: readonly (DnsMessage | null)[]
  readonly why: 'failure' | 'silence' | 'unreachable'
}

/** Asks every server in turn, and all of them again. */
const askServers = async (sys: Sys, name: string, types: readonly number[]): Promise<ServerOutcome> => {
  const { servers, timeout, attempts, rotates } = sys.process.host.resolver
  const offset = rotates ? sys.process.host.random.below(servers.length) : 0
  let why: ServerOutcome['why'] = 'unreachable'
  for (let attempt = 0; attempt < attempts; attempt++) {
    for (let index = 0; index < servers.length; index++) {
      // The further ones are given longer, and share it, as with glibc.
      const seconds = index === 0 ? timeout : Math.floor((timeout * 2 ** index) / servers.length)
      const server = servers[(index + offset) % servers.length]!
      const outcome = await askServer(sys, server, name, types, Math.max(1, seconds))
      if (outcome.responses.some((response) => response !== null)) return outcome
      if (outcome.why !== 'unreachable') why = outcome.why
    }
  }
  return { responses: types.map(() => null), why }
}

/** What one server says is not what another one would; or it sends us on to others, which is not its task. */
const isUsable = ({ code, answers, isAuthoritative, hasRecursion }: DnsMessage): boolean => {
  if (code === DnsCode.ServFail || code === DnsCode.NotImp || code === DnsCode.Refused) return false
  return code !== DnsCode.NoError || answers.length > 0 || isAuthoritative || hasRecursion
}

/**
 * Asks one server for all types at once. When it leaves some unanswered it may be one that takes one question at a
 * time, or one from a port: it is asked so.
 */
const askServer = async (
  sys: Sys,
  server: NameServer,
  name: string,
  types: readonly number[],
  seconds: number,
): Promise<ServerOutcome> => {
  const { usesTcp, asksSingly } = sys.process.host.resolver
  const queries = types.map((type) => dnsQuery(sys.process.host.random.below(0x1_0000), name, type))
  let why: ServerOutcome['why'] = 'silence'
  const usable = (response: DnsMessage | null): DnsMessage | null => {
    if (response === null || isUsable(response)) return response
    if (response.code === DnsCode.ServFail) why = 'failure'
    return null
  }
  try {
    if (usesTcp) return { responses: (await askByTcp(sys, server, queries, seconds, null)).map(usable), why }
    if (!asksSingly) {
      const responses = await askByUdp(sys, server, queries, seconds, null)
      const good = responses.map(usable)
      const isLeftOpen = responses.includes(null) && good.some((response) => response !== null)
      if (!isLeftOpen) return { responses: good, why }
    }
    let good: (DnsMessage | null)[] = []
    for (let tries = queries.length; tries > 0; tries--) {
      good = []
      for (const query of queries) {
        const [response = null] = await askByUdp(sys, server, [query], seconds, null)
        good.push(usable(response))
        if (response === null || good[0] === null) break
      }
      if (good.length === queries.length && !good.includes(null)) break
      if (good[0] === null) break
    }
    return { responses: good, why }
  } catch (error) {
    if (error instanceof SystemError && error.errno !== -Errno.EINTR && error.errno !== -Errno.EMFILE) {
      return { responses: [], why: 'unreachable' }
    }
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
): Promise<DnsMessage | null> => (await askByUdp(sys, server, [query], seconds, from))[0]!

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

/** Some servers send more than the 512 bytes that there may be, and say nothing of it. */
const UDP_BUFFER = 0x1_0000

/**
 * Asks over UDP; over TCP as soon as one answer does not fit.
 * @returns an answer for each query; null for none in time
 */
const askByUdp = async (
  sys: Sys,
  server: NameServer,
  queries: readonly DnsMessage[],
  seconds: number,
  from: string | null,
): Promise<(DnsMessage | null)[]> => {
  const responses: (DnsMessage | null)[] = queries.map(() => null)
  let isTruncated = false
  // A connected socket hears of nobody else, and of ICMP errors.
  const fd = await open(sys, server, C.SOCK_DGRAM, from)
  try {
    for (const query of queries) await sys.send(fd, writeDns(query))
    const deadline = sys.now + seconds * 1e6
    const buffer = new Uint8Array(UDP_BUFFER)
    while (responses.includes(null) && !isTruncated) {
      const left = Math.ceil((deadline - sys.now) / 1000)
      if (left <= 0 || (await sys.poll([{ fd, events: C.POLLIN, revents: 0 }], left)) === 0) break
      const count = await sys.recv(fd, buffer)
      const response = parseDns(buffer.subarray(0, count))
      if (response === null || !keep(responses, queries, response)) continue
      isTruncated = response.isTruncated
    }
  } finally {
    if (sys.process.isAlive) await sys.close(fd)
  }
  return isTruncated ? await askByTcp(sys, server, queries, seconds, from) : responses
}

/** Puts an answer in its place. @returns whether it is one */
const keep = (responses: (DnsMessage | null)[], queries: readonly DnsMessage[], response: DnsMessage): boolean => {
  const index = queries.findIndex((query, i) => responses[i] === null && isAnswer(response, query))
  if (index >= 0) responses[index] = response
  return index >= 0
}

/** As `askByUdp`, all queries over one connection. */
const askByTcp = async (
  sys: Sys,
  server: NameServer,
  queries: readonly DnsMessage[],
  seconds: number,
  from: string | null,
): Promise<(DnsMessage | null)[]> => {
  const responses: (DnsMessage | null)[] = queries.map(() => null)
  const fd = await open(sys, server, C.SOCK_STREAM, from)
  try {
    sys.setsockopt(fd, C.SOL_SOCKET, C.SO_RCVTIMEO, {
      tv_sec: Math.floor(seconds),
      tv_usec: Math.round((seconds % 1) * 1e6),
    })
    const messages = queries.map((query) => writeDns(query))
    await sys.writev(
      fd,
      messages.flatMap((bytes) => [Uint8Array.of(bytes.length >>> 8, bytes.length & 0xff), bytes]),
    )
    const prefix = new Uint8Array(2)
    while (responses.includes(null)) {
      if ((await sys.recv(fd, prefix, 2, C.MSG_WAITALL)) < 2) break
      const answer = new Uint8Array(prefix[0]! * 0x100 + prefix[1]!)
      if ((await sys.recv(fd, answer, answer.length, C.MSG_WAITALL)) < answer.length) break
      const response = parseDns(answer)
      if (response === null || !keep(responses, queries, response)) break
    }
    return responses
  } catch (error) {
    // What has come before the time was over counts.
    if (error instanceof SystemError && error.errno === -Errno.EAGAIN) return responses
    throw error
  } finally {
    if (sys.process.isAlive) await sys.close(fd)
  }
}

/** Is it the answer to this question, and not to one that somebody would have us think of (RFC 5452 section 9.1)? */
const isAnswer = (response: DnsMessage, query: DnsMessage): boolean => {
  const [question] = response.questions
  const [asked] = query.questions
  if (!response.isResponse || response.id !== query.id || response.questions.length !== 1) return false
  return question!.type === asked!.type && question!.class === undefined && sameName(question!.name, asked!.name)
}
