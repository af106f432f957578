import { policyLabel } from '../ip/select.ts'
import type { Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'
import { inet_aton, inet_ntoa } from '../socket/inet-text.ts'
import { IPV4_LOOPBACK, type IpAddress, parseIpAddress } from '../wire/address.ts'
import { type DnsRecord, DnsType, isHostName, reverseName, sameName } from '../wire/dns.ts'
import { protocolName, protocolNumber, serviceName, servicePort } from '../wire/service-names.ts'
import type { Sys } from './calls.ts'
import { type DnsOutcome, queryDns, searchDns } from './resolver-query.ts'

/**
 * <netdb.h>: names and numbers of hosts, services and protocols. The hosts table first, then DNS (nsswitch: files dns).
 */

export const AI_PASSIVE = 0x01
export const AI_CANONNAME = 0x02
export const AI_NUMERICHOST = 0x04
export const AI_V4MAPPED = 0x08
export const AI_ALL = 0x10
export const AI_ADDRCONFIG = 0x20
export const AI_NUMERICSERV = 0x400
const AI_KNOWN = 0x43f

export const NI_NUMERICHOST = 1
export const NI_NUMERICSERV = 2
export const NI_NOFQDN = 4
export const NI_NAMEREQD = 8
export const NI_DGRAM = 16
const NI_KNOWN = 31

/** Errors of getaddrinfo(3) and getnameinfo(3), with glibc's numbers and messages (gai_strerror(3)). */
const EAI = {
  EAI_BADFLAGS: [-1, 'Bad value for ai_flags'],
  EAI_NONAME: [-2, 'Name or service not known'],
  EAI_AGAIN: [-3, 'Temporary failure in name resolution'],
  EAI_FAIL: [-4, 'Non-recoverable failure in name resolution'],
  EAI_NODATA: [-5, 'No address associated with hostname'],
  EAI_FAMILY: [-6, 'ai_family not supported'],
  EAI_SOCKTYPE: [-7, 'ai_socktype not supported'],
  EAI_SERVICE: [-8, 'Servname not supported for ai_socktype'],
  EAI_ADDRFAMILY: [-9, 'Address family for hostname not supported'],
} as const

/** The codes of getaddrinfo(3), by their names. */
export type EaiCode = keyof typeof EAI

/** What getaddrinfo(3) and getnameinfo(3) fail with. */
export class AddressInfoError extends Error {
  override readonly name = 'AddressInfoError'
  readonly code: EaiCode
  /** Negative, as EAI_* are. */
  readonly errno: number
  readonly syscall: string

  constructor(code: EaiCode, syscall: string, what: string) {
    super(`${code}: ${EAI[code][1]}, ${syscall}${what === '' ? '' : ` ${what}`}`)
    this.code = code
    this.errno = EAI[code][0]
    this.syscall = syscall
  }
}

/** What gethostbyname(3) and gethostbyaddr(3) fail with: h_errno. */
export type HostErrorCode = 'HOST_NOT_FOUND' | 'TRY_AGAIN' | 'NO_RECOVERY' | 'NO_DATA'

/** The error that bears one of them. */
export class HostError extends Error {
  override readonly name = 'HostError'
  readonly code: HostErrorCode

  constructor(code: HostErrorCode, what: string) {
    super(`${code}: ${what}`)
    this.code = code
  }
}

/** `struct addrinfo`, as a hint. */
export interface AddressHints {
  readonly ai_flags?: number
  readonly ai_family?: number
  readonly ai_socktype?: number
  readonly ai_protocol?: number
}

/** `struct addrinfo`, as a result. */
export interface AddressInfo {
  ai_family: number
  ai_socktype: number
  ai_protocol: number
  ai_addr: Required<Pick<Sockaddr, 'family' | 'address' | 'port' | 'scopeId'>>
  /** Of the first result, with AI_CANONNAME. */
  ai_canonname: string | null
}

/** A kind of sockets, as glibc knows them. */
interface Kind {
  readonly socktype: number
  readonly protocol: number
  /** In services(5); null for what has no services. */
  readonly name: string | null
  /** Is it given where no kind is asked for? */
  readonly isUsual: boolean
}

/** In the order in which they are given. */
const KINDS: readonly Kind[] = [
  { socktype: C.SOCK_STREAM, protocol: C.IPPROTO_TCP, name: 'tcp', isUsual: true },
  { socktype: C.SOCK_DGRAM, protocol: C.IPPROTO_UDP, name: 'udp', isUsual: true },
  { socktype: 6, protocol: 33, name: 'dccp', isUsual: false },
  { socktype: C.SOCK_DGRAM, protocol: 136, name: 'udplite', isUsual: false },
  { socktype: C.SOCK_STREAM, protocol: 132, name: 'sctp', isUsual: false },
  { socktype: C.SOCK_SEQPACKET, protocol: 132, name: 'sctp', isUsual: false },
  { socktype: C.SOCK_RAW, protocol: 0, name: null, isUsual: true },
]

/**
 * getaddrinfo(3): what there is to connect or bind to, the best first (RFC 6724).
 * @param node a name or an address; null for this host
 * @param service a name or a number; null for no port
 * @throws AddressInfoError
 */
export const getaddrinfo = async (
  sys: Sys,
  node: string | null,
  service: string | null,
  hints: AddressHints = {},
): Promise<AddressInfo[]> => {
  sys.enter()
  const fail = (code: EaiCode): AddressInfoError => new AddressInfoError(code, 'getaddrinfo', node ?? service ?? '')
  const { ai_flags: flags = 0, ai_family: family = C.AF_UNSPEC, ai_socktype = 0, ai_protocol = 0 } = hints
  // An asterisk stands for nothing.
  const name = node === '*' ? null : node
  const wanted = service === '*' ? null : service
  if (name === null && wanted === null) throw fail('EAI_NONAME')
  if ((flags & ~AI_KNOWN) !== 0 || ((flags & AI_CANONNAME) !== 0 && name === null)) throw fail('EAI_BADFLAGS')
  if (![C.AF_UNSPEC, C.AF_INET, C.AF_INET6].includes(family as 0)) throw fail('EAI_FAMILY')
  const ports = portsOf(wanted, ai_socktype, ai_protocol, flags)
  if (typeof ports === 'string') throw fail(ports)
  const found = name === null ? ownAddresses(family, flags) : await lookUp(sys, name, family, flags)
  if (typeof found === 'string') throw fail(found)
  const addresses = sortAddresses(sys, found.addresses)
  return addresses.flatMap((address, index) =>
    ports.map(({ socktype, protocol, port }, place) => ({
      ai_family: address.ip.isIpv4 && !address.mapped ? C.AF_INET : C.AF_INET6,
      ai_socktype: socktype,
      ai_protocol: protocol,
      ai_addr: {
        family: address.ip.isIpv4 && !address.mapped ? C.AF_INET : C.AF_INET6,
        address: address.mapped ? `::ffff:${address.ip}` : `${address.ip}`,
        port,
        scopeId: address.scope,
      },
      ai_canonname: index === 0 && place === 0 && (flags & AI_CANONNAME) !== 0 ? found.name : null,
    })),
  )
}

interface Port {
  readonly socktype: number
  readonly protocol: number
  readonly port: number
}

/** The ports that a service has for what kinds of sockets; or why there is none. */
const portsOf = (
  service: string | null,
  socktype: number,
  protocol: number,
  flags: number,
): readonly Port[] | EaiCode => {
  const isAny = socktype === 0 && protocol === 0
  const kind = KINDS.find(
    (one) =>
      (socktype === 0 || one.socktype === socktype) &&
      (protocol === 0 || one.name === null || one.protocol === protocol),
  )
  if (kind === undefined) return socktype !== 0 ? 'EAI_SOCKTYPE' : 'EAI_SERVICE'
  const number = service === null || service === '' ? 0 : portNumber(service)
  if (number === null && (flags & AI_NUMERICSERV) !== 0) return 'EAI_NONAME'
  const isNamed = number === null || number < 0
  const withPort = (of: Kind): readonly Port[] => {
    const own = { socktype: of.socktype, protocol: of.name === null ? protocol : of.protocol }
    if (!isNamed) return [{ ...own, port: number & 0xffff }]
    const port = of.name === 'tcp' || of.name === 'udp' ? servicePort(service!, of.name) : undefined
    return port === undefined ? [] : [{ ...own, port }]
  }
  if (isAny) {
    const ports = KINDS.filter(({ isUsual }) => isUsual).flatMap(withPort)
    return ports.length > 0 ? ports : 'EAI_SERVICE'
  }
  if (kind.name === null && service !== null && service !== '') return 'EAI_SERVICE'
  const ports = withPort(kind)
  return ports.length > 0 ? ports : 'EAI_SERVICE'
}

/**
 * A port as strtoul(3) reads it into an int: its 32 bits count, of which the port is the lower half. Null for a name.
 */
const portNumber = (service: string): number | null => {
  const digits = /^\s*([+-]?)([0-9]+)$/.exec(service)
  if (digits === null) return null
  const most = 2n ** 64n - 1n
  const value = BigInt(digits[2]!)
  const cut = value > most ? most : value
  return Number(BigInt.asIntN(32, digits[1] === '-' && value <= most ? -cut : cut))
}

interface Candidate {
  readonly ip: IpAddress
  readonly scope: number
  /** Is it to be given as an IPv4-mapped IPv6 address (AI_V4MAPPED)? */
  readonly mapped: boolean
}

interface Found {
  readonly name: string
  readonly addresses: readonly Candidate[]
}

const candidate = (ip: IpAddress, scope = 0, mapped = false): Candidate => ({ ip, scope, mapped })

/** The wildcard for who listens, the loopback for who connects. */
const ownAddresses = (family: number, flags: number): Found => {
  const texts = (flags & AI_PASSIVE) !== 0 ? ['0.0.0.0', '::'] : ['::1', '127.0.0.1']
  const addresses = texts.map((text) => candidate(parseIpAddress(text)!)).filter(({ ip }) => isOf(ip, family))
  return { name: '', addresses }
}

const isOf = (ip: IpAddress, family: number): boolean => family === C.AF_UNSPEC || ip.isIpv4 === (family === C.AF_INET)

const lookUp = async (sys: Sys, node: string, family: number, flags: number): Promise<Found | EaiCode> => {
  const literal = readLiteral(sys, node, family, flags)
  if (typeof literal === 'string') return literal
  if (literal !== null) return { name: node, addresses: [literal] }
  if ((flags & AI_NUMERICHOST) !== 0 || (family === C.AF_INET && isBrokenQuad(node))) return 'EAI_NONAME'
  const wanted = configured(sys, family, flags)
  const wantsMapped = family === C.AF_INET6 && (flags & AI_V4MAPPED) !== 0
  const wantsAll = wantsMapped && (flags & AI_ALL) !== 0
  const withMapped = async (find: (family: number) => Promise<Found | EaiCode>): Promise<Found | EaiCode> => {
    const found = await find(wanted)
    if (!wantsMapped || (typeof found !== 'string' && !wantsAll)) return found
    const v4 = await find(C.AF_INET)
    if (typeof v4 === 'string') return found
    const mapped = v4.addresses.map(({ ip }) => candidate(ip, 0, true))
    return { name: v4.name, addresses: [...(typeof found === 'string' ? [] : found.addresses), ...mapped] }
  }
  const own = await withMapped(async (one) => findInTable(sys, node, one) ?? 'EAI_NONAME')
  return typeof own !== 'string' ? own : withMapped((one) => findByDns(sys, node, one))
}

/** An address in a text, with its zone, as one of a family; or why it is none of it. Null for a name. */
const readLiteral = (sys: Sys, text: string, family: number, flags: number): Candidate | EaiCode | null => {
  if (!text.includes(':')) {
    // Of IPv4 also the forms of inet_aton(3), 10.1 and 0x7f.1, as glibc takes them.
    const number = /\s/.test(text) ? null : inet_aton(text)
    if (number === null) return null
    const ip = parseIpAddress(inet_ntoa(number))!
    if (family !== C.AF_INET6) return candidate(ip)
    return (flags & AI_V4MAPPED) !== 0 ? candidate(ip, 0, true) : 'EAI_ADDRFAMILY'
  }
  const at = text.indexOf('%')
  const ip = parseIpAddress(at < 0 ? text : text.slice(0, at))
  if (ip === undefined) return null
  if (family === C.AF_INET) return ip.isIpv4 ? candidate(ip) : 'EAI_ADDRFAMILY'
  const scope = at < 0 ? 0 : zoneOf(sys, ip, text.slice(at + 1))
  return scope === null ? 'EAI_NONAME' : candidate(ip, scope, ip.isIpv4)
}

/** The number of a zone: of addresses of the link an interface's name, of all a number. */
const zoneOf = (sys: Sys, ip: IpAddress, zone: string): number | null => {
  const { sockets } = sys.process.host
  const isOfLink = ip.isLinkLocal || (ip.w0 & 0xff0f_0000) >>> 0 === 0xff02_0000
  const named = isOfLink && !/^[0-9]*$/.test(zone) ? sockets.zoneIndex(zone) : 0
  if (named !== 0) return named
  return /^[0-9]+$/.test(zone) && Number(zone) <= 0xffff_ffff ? Number(zone) : null
}

/** AI_ADDRCONFIG: the families of which this host has addresses beside the loopback's. */
const configured = (sys: Sys, family: number, flags: number): number => {
  if (family !== C.AF_UNSPEC || (flags & AI_ADDRCONFIG) === 0) return family
  const own = sys.process.host.ip.interfaces
    .filter(({ isLoopback }) => !isLoopback)
    .flatMap(({ addresses }) => addresses)
  const has4 = own.some(({ address }) => address.isIpv4)
  const has6 = own.some(({ address }) => !address.isIpv4 && !address.isLinkLocal)
  if (has4 === has6) return family
  return has4 ? C.AF_INET : C.AF_INET6
}

/** What the hosts table has. As with glibc ::1 is 127.0.0.1 to who asks for IPv4. */
const findInTable = (sys: Sys, name: string, family: number): Found | null => {
  const entries = sys.process.host.resolver.hosts.filter(({ names }) => names.some((own) => sameName(own, name)))
  const own = entries.flatMap(({ address, names }) => {
    const ip = family === C.AF_INET && !address.isIpv4 && address.isLoopback ? IPV4_LOOPBACK : address
    return isOf(ip, family) ? [{ ip, names }] : []
  })
  return own.length === 0 ? null : { name: own[0]!.names[0]!, addresses: own.map(({ ip }) => candidate(ip)) }
}

const findByDns = async (sys: Sys, name: string, family: number): Promise<Found | EaiCode> => {
  const { hosts, servers } = sys.process.host.resolver
  if (name === '' || !isHostName(name)) return 'EAI_NONAME'
  if (servers.length === 0) {
    return hosts.some(({ names }) => names.some((own) => sameName(own, name))) ? 'EAI_ADDRFAMILY' : 'EAI_NONAME'
  }
  const types = [DnsType.A, DnsType.AAAA].filter(
    (type) => family === C.AF_UNSPEC || (type === DnsType.A) === (family === C.AF_INET),
  )
  const outcome = await searchDns(sys, name, types)
  if (outcome.kind !== 'found') return OUTCOMES[outcome.kind]
  const addresses = outcome.records.flatMap(addressOf)
  return addresses.length > 0 ? { name: outcome.name, addresses } : 'EAI_NONAME'
}

/** Digits and dots that are no address: nothing that is asked for where only addresses of IPv4 are wanted. */
const isBrokenQuad = (name: string): boolean => /^[0-9][0-9.]*$/.test(name) && !name.endsWith('.')

const findAddresses = async (sys: Sys, name: string, family: number): Promise<Found | EaiCode> =>
  findInTable(sys, name, family) ?? (await findByDns(sys, name, family))

const addressOf = ({ data }: DnsRecord): Candidate[] =>
  typeof data === 'object' && 'w3' in data ? [candidate(data)] : []

/** What is told when a question was not answered. */
const OUTCOMES = { again: 'EAI_AGAIN', 'no data': 'EAI_NODATA', 'no name': 'EAI_NONAME', failed: 'EAI_FAIL' } as const

/**
 * Those that can be reached first, then those for which there is a source of the same kind, then by precedence
 * (RFC 6724 section 6, rules 1, 5 and 6); else in the order in which they came.
 */
const sortAddresses = (sys: Sys, addresses: readonly Candidate[]): Candidate[] => {
  const { host } = sys.process
  const rank = ({ ip, scope }: Candidate): number => {
    const route = host.ip.resolve(ip, null, scope === 0 ? null : host.ip.interfaceAt(scope))
    if (typeof route === 'number') return UNREACHABLE
    return policyLabel(route.source) === policyLabel(ip) ? 0 : 1
  }
  return addresses
    .map((address) => ({ address, rank: rank(address) }))
    .sort((a, b) => a.rank - b.rank || precedence(b.address.ip) - precedence(a.address.ip))
    .map(({ address }) => address)
}

const UNREACHABLE = 2

/** As glibc's table has it unless gai.conf(5) says otherwise: that of RFC 3484 section 2.1. */
const precedence = (ip: IpAddress): number => {
  if (ip.isIpv4) return 10
  if (ip.isLoopback) return 50
  return ip.w0 >>> 16 === 0x2002 ? 30 : 40
}

/**
 * getnameinfo(3): the names of an address and its port.
 * @throws AddressInfoError EAI_NONAME with NI_NAMEREQD, EAI_AGAIN, EAI_FAMILY
 */
export const getnameinfo = async (
  sys: Sys,
  address: Sockaddr,
  flags = 0,
): Promise<{ host: string; service: string }> => {
  sys.enter()
  const text = address.address ?? ''
  const fail = (code: EaiCode): AddressInfoError => new AddressInfoError(code, 'getnameinfo', text)
  if ((flags & ~NI_KNOWN) !== 0) throw fail('EAI_BADFLAGS')
  const ip = parseIpAddress(text.split('%')[0]!)
  if (ip === undefined) throw fail('EAI_FAMILY')
  const port = address.port ?? 0
  const protocol = (flags & NI_DGRAM) !== 0 ? 'udp' : 'tcp'
  const service = ((flags & NI_NUMERICSERV) !== 0 ? undefined : serviceName(port, protocol)) ?? `${port}`
  const found = (flags & NI_NUMERICHOST) !== 0 ? null : await nameOf(sys, ip)
  if (typeof found === 'object' && found !== null) {
    const isShort = (flags & NI_NOFQDN) !== 0
    return { host: isShort ? found.name.replace(/\..*/, '') : found.name, service }
  }
  if (found === 'again' && (flags & NI_NAMEREQD) !== 0) throw fail('EAI_AGAIN')
  if ((flags & NI_NAMEREQD) !== 0) throw fail('EAI_NONAME')
  return { host: text, service }
}

const nameOf = async (sys: Sys, ip: IpAddress): Promise<{ name: string } | DnsOutcome['kind']> => {
  const { hosts, servers } = sys.process.host.resolver
  const entry = hosts.find(({ address }) => address.equals(ip))
  if (entry !== undefined) return { name: entry.names[0]! }
  if (servers.length === 0) return 'no name'
  const outcome = await queryDns(sys, reverseName(ip), [DnsType.PTR])
  if (outcome.kind !== 'found') return outcome.kind
  const data = outcome.records[0]?.data
  // What is no name of a host might be taken for something else by who prints or compares it.
  return typeof data === 'string' && isHostName(data) ? { name: data } : 'no data'
}

/** `struct hostent`. */
export interface HostEntry {
  h_name: string
  h_aliases: string[]
  h_addrtype: number
  h_addr_list: string[]
}

/** gethostbyname(3): IPv4 alone. @throws HostError */
export const gethostbyname = async (sys: Sys, name: string): Promise<HostEntry> => {
  sys.enter()
  const literal = parseIpAddress(name)
  if (literal?.isIpv4 === true) return { h_name: name, h_aliases: [], h_addrtype: C.AF_INET, h_addr_list: [name] }
  const found = isBrokenQuad(name) ? 'EAI_NONAME' : await findAddresses(sys, name, C.AF_INET)
  if (typeof found === 'string') throw new HostError(HOST_ERRORS[found] ?? 'HOST_NOT_FOUND', name)
  const entry = sys.process.host.resolver.hosts.find(({ names }) => names.some((own) => sameName(own, name)))
  const aliases = entry === undefined ? [name].filter((own) => !sameName(own, found.name)) : entry.names.slice(1)
  return {
    h_name: found.name,
    h_aliases: [...aliases],
    h_addrtype: C.AF_INET,
    h_addr_list: found.addresses.map(({ ip }) => `${ip}`),
  }
}

const HOST_ERRORS: Readonly<Partial<Record<EaiCode, HostErrorCode>>> = {
  EAI_AGAIN: 'TRY_AGAIN',
  EAI_NODATA: 'NO_DATA',
  EAI_ADDRFAMILY: 'NO_DATA',
  EAI_FAIL: 'NO_RECOVERY',
}

/** gethostbyaddr(3). @throws HostError */
export const gethostbyaddr = async (sys: Sys, address: string): Promise<HostEntry> => {
  sys.enter()
  const ip = parseIpAddress(address)
  if (ip === undefined) throw new HostError('NO_RECOVERY', address)
  const found = await nameOf(sys, ip)
  if (typeof found === 'string') {
    throw new HostError(found === 'again' ? 'TRY_AGAIN' : found === 'no data' ? 'NO_DATA' : 'HOST_NOT_FOUND', address)
  }
  const family = ip.isIpv4 ? C.AF_INET : C.AF_INET6
  return { h_name: found.name, h_aliases: [], h_addrtype: family, h_addr_list: [`${ip}`] }
}

/** `struct servent`; the port is a number in host order. */
export interface ServiceEntry {
  s_name: string
  s_port: number
  s_proto: 'tcp' | 'udp'
}

/** getservbyname(3). @param protocol null for any @returns null for a name that is not known */
export const getservbyname = (name: string, protocol: 'tcp' | 'udp' | null = null): ServiceEntry | null => {
  for (const s_proto of protocol === null ? (['tcp', 'udp'] as const) : [protocol]) {
    const port = servicePort(name, s_proto)
    if (port !== undefined) return { s_name: name, s_port: port, s_proto }
  }
  return null
}

/** getservbyport(3). @param port in host order */
export const getservbyport = (port: number, protocol: 'tcp' | 'udp' | null = null): ServiceEntry | null => {
  for (const s_proto of protocol === null ? (['tcp', 'udp'] as const) : [protocol]) {
    const name = serviceName(port, s_proto)
    if (name !== undefined) return { s_name: name, s_port: port, s_proto }
  }
  return null
}

/** `struct protoent`. */
export interface ProtocolEntry {
  p_name: string
  p_proto: number
}

/** getprotobyname(3). */
export const getprotobyname = (name: string): ProtocolEntry | null => {
  const number = protocolNumber(name.toLowerCase())
  return number === undefined ? null : { p_name: name.toLowerCase(), p_proto: number }
}

/** getprotobynumber(3). */
export const getprotobynumber = (number: number): ProtocolEntry | null => {
  const name = protocolName(number)
  return name === undefined ? null : { p_name: name, p_proto: number }
}
