import { type IpAddress, parseIpAddress } from '../wire/address.ts'
import { DNS_PORT, type DnsRecord, DnsType, reverseName } from '../wire/dns.ts'
import type { NetContext } from './context.ts'
import { PendingAnswer } from './dns-pending.ts'
import { type QueryPlan, resolveQuery } from './dns-query.ts'
import { CAA, NAPTR, readAny, readRecords } from './dns-records.ts'
import { type DnsServer, formatServer, parseServers } from './dns-servers.ts'
import {
  type CodedError,
  dnsException,
  dnsSetServersFailed,
  invalidArgType,
  invalidArgValue,
  invalidLocalAddress,
} from './errors.ts'
import type { Asking } from './platform.ts'
import { isIPv4, isIPv6, validateFunction, validateInt32, validateString } from './validate.ts'

/** What c-ares does unless told otherwise: milliseconds, and rounds. */
const TIMEOUT = 2000
const TRIES = 4
/** Who is asked when a host knows nobody: somebody on it. */
export const NOBODY: readonly DnsServer[] = [{ address: '127.0.0.1', port: DNS_PORT }]

type Answer = readonly DnsRecord[] | string

/** How a kind of question is named in errors, and what it asks for. */
interface Question {
  readonly syscall: string
  readonly type: number
}

/** By the type that `resolve` takes. */
const QUESTIONS = {
  ANY: { syscall: 'queryAny', type: DnsType.ANY },
  A: { syscall: 'queryA', type: DnsType.A },
  AAAA: { syscall: 'queryAaaa', type: DnsType.AAAA },
  CAA: { syscall: 'queryCaa', type: CAA },
  CNAME: { syscall: 'queryCname', type: DnsType.CNAME },
  MX: { syscall: 'queryMx', type: DnsType.MX },
  NS: { syscall: 'queryNs', type: DnsType.NS },
  TXT: { syscall: 'queryTxt', type: DnsType.TXT },
  SRV: { syscall: 'querySrv', type: DnsType.SRV },
  PTR: { syscall: 'queryPtr', type: DnsType.PTR },
  NAPTR: { syscall: 'queryNaptr', type: NAPTR },
  SOA: { syscall: 'querySoa', type: DnsType.SOA },
} as const satisfies Record<string, Question>

export type RecordType = keyof typeof QUESTIONS
export const RECORD_TYPES = Object.keys(QUESTIONS) as RecordType[]

export interface ResolverOptions {
  readonly timeout?: number
  readonly tries?: number
}

/** The name of an address that a host knows without asking anybody. */
export const knownName = ({ host, names }: NetContext, address: IpAddress): string | undefined =>
  names.nameOf(address.toString()) ?? host.resolver.hosts.find((entry) => entry.address.equals(address))?.names[0]

/** What both kinds of resolvers do: ask name servers, and nobody else. */
export class ResolverCore {
  private readonly surroundings: Asking
  private readonly timeout: number
  private readonly tries: number
  /** Null for those of the host. */
  private servers: readonly DnsServer[] | null = null
  private local: QueryPlan['localAddress'] = { ipv4: null, ipv6: null }
  private readonly pending = new Set<PendingAnswer<Answer>>()

  constructor(surroundings: Asking, options: ResolverOptions = {}) {
    const { timeout = -1, tries = TRIES } = options
    validateInt32(timeout, 'options.timeout', -1)
    validateInt32(tries, 'options.tries', 1)
    this.surroundings = surroundings
    this.timeout = timeout
    this.tries = tries
  }

  cancel(): void {
    for (const pending of this.pending) pending.cancel('ECANCELLED')
    this.pending.clear()
  }

  getServers(): string[] {
    return this.currentServers.map(formatServer)
  }

  /** @param isDefault what is asked already goes on as it was */
  setServers(servers: unknown, isDefault = false): void {
    const parsed = parseServers(servers)
    if (this.pending.size > 0 && !isDefault) {
      throw dnsSetServersFailed('There are pending queries.', parsed.map(formatServer).join(','))
    }
    this.servers = parsed
  }

  setLocalAddress(ipv4: unknown, ipv6?: unknown): void {
    validateString(ipv4, 'ipv4')
    if (ipv6 !== undefined) validateString(ipv6, 'ipv6')
    const given = [ipv4, ipv6].filter((address) => address !== undefined)
    for (const address of given) {
      if (!isIPv4(address) && !isIPv6(address)) throw invalidLocalAddress('Invalid IP address.')
    }
    const [one, other] = [given.find(isIPv4) ?? null, given.find(isIPv6) ?? null]
    if (given.length === 2 && (one === null || other === null)) {
      throw invalidLocalAddress(`Cannot specify two IPv${one === null ? 6 : 4} addresses.`)
    }
    this.local = { ipv4: one as string | null, ipv6: other as string | null }
  }

  /** Whom it asks now. */
  get currentServers(): readonly DnsServer[] {
    if (this.servers !== null) return this.servers
    const { servers } = this.surroundings.current().host.resolver
    return servers.length > 0 ? servers : NOBODY
  }

  /** Asks. @param done told in a turn of its own: the error, or the records as the caller wants them */
  query(
    kind: RecordType,
    name: string,
    options: unknown,
    done: (error: CodedError | null, records?: unknown) => void,
  ): void {
    const { syscall, type } = QUESTIONS[kind]
    const wantsTtl = (options as { ttl?: boolean } | undefined)?.ttl === true
    this.ask(name, type, (answer) => {
      if (typeof answer === 'string') done(dnsException(answer, syscall, name))
      else if (kind === 'ANY') done(null, readAny(answer))
      else if (kind === 'SOA') done(null, readRecords(type, answer)[0])
      else if (wantsTtl && (kind === 'A' || kind === 'AAAA')) {
        const ttls = answer.map(({ ttl }) => ttl)
        done(
          null,
          readRecords(type, answer).map((address, index) => ({ address, ttl: ttls[index] })),
        )
      } else done(null, readRecords(type, answer))
    })
  }

  /** Asks for the names of an address. @throws when it is none */
  reverse(address: string, done: (error: CodedError | null, names?: unknown) => void): void {
    const parsed = parseIpAddress(address)
    if (parsed === undefined) throw Object.assign(dnsException(-22, 'getHostByAddr', address), { code: 'EINVAL' })
    const known = knownName(this.surroundings.current(), parsed)
    if (known !== undefined) {
      new PendingAnswer<string>(this.surroundings, (name) => done(null, [name])).settle(known)
      return
    }
    this.ask(reverseName(parsed), DnsType.PTR, (answer) => {
      if (typeof answer === 'string') done(dnsException(answer, 'getHostByAddr', address))
      else done(null, readRecords(DnsType.PTR, answer))
    })
  }

  private ask(name: string, type: number, done: (answer: Answer) => void): void {
    const { surroundings, pending } = this
    const plan: QueryPlan = {
      servers: this.currentServers,
      timeout: this.timeout < 0 ? TIMEOUT : this.timeout,
      tries: this.tries,
      localAddress: this.local,
    }
    const waiting = new PendingAnswer<Answer>(surroundings, (answer) => {
      pending.delete(waiting)
      done(answer)
    })
    pending.add(waiting)
    waiting.find(surroundings, (sys) => resolveQuery(sys, plan, name, type))
  }
}

type Callback = (error: CodedError | null, records?: unknown) => void

/** The type that `resolve` is asked for. */
export const readRecordType = (type: unknown): RecordType => {
  if (typeof type !== 'string') throw invalidArgType('rrtype', 'string', type)
  if (!Object.hasOwn(QUESTIONS, type)) throw invalidArgValue('rrtype', type)
  return type as RecordType
}

/** `resolve4` for `A` and so on: the method of a resolver that asks for a type. */
export const methodOf = (type: RecordType): string => {
  if (type === 'A') return 'resolve4'
  if (type === 'AAAA') return 'resolve6'
  return `resolve${type.charAt(0)}${type.slice(1).toLowerCase()}`
}

/** One question in the way of callbacks: name, options that may be left out, callback. */
export const queryWithCallback = (core: ResolverCore, type: RecordType, args: readonly unknown[]): object => {
  const [name] = args
  const [options, callback] = args.length > 2 ? [args[1], args[2]] : [undefined, args[1]]
  validateString(name, 'name')
  validateFunction(callback, 'callback')
  core.query(type, name, options, callback as Callback)
  return {}
}

/** One question in the way of promises. */
export const queryWithPromise = (core: ResolverCore, type: RecordType, args: readonly unknown[]): Promise<unknown> => {
  const [name, options] = args
  validateString(name, 'name')
  return settle((done) => core.query(type, name, options, done))
}

export const settle = (begin: (done: Callback) => void): Promise<unknown> =>
  new Promise((resolve, reject) => {
    begin((error, value) => {
      if (error === null) resolve(value)
      else reject(error)
    })
  })
