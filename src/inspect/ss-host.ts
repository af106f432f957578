import { type IpAddress, ip, parseIpAddress, prefixMask } from '../wire/address.ts'
import { type ServiceProtocol, servicePort } from '../wire/service-names.ts'
import type { Names } from './names.ts'
import { UsageError } from './options.ts'
import type { SocketSnapshot } from './snapshot-types.ts'

/** The hosts and ports of ss's filters: `[FAMILY:]ADDRESS[/LENGTH][:PORT]`, or a pattern of Unix socket names. */

/** Families as ss tells them apart; `other` stands for those that this stack does not have. */
export type SsFamily = 4 | 6 | 'unix' | 'other'

/** One end of a connection, as a condition has it. */
export interface SsHost {
  /** The family that was named, or that the command line prefers; null for both of IP. */
  readonly family: SsFamily | null
  /** Any of these prefixes will do; null for any address. */
  readonly prefixes: readonly Prefix[] | null
  /** Null for any port. */
  readonly port: number | null
  /** Of a Unix socket's name; null for hosts of other families. */
  readonly pattern: RegExp | null
}

interface Prefix {
  /** As it was written: an IPv4-mapped address is one of IPv6, and takes only what IPv6 sockets have. */
  readonly family: 4 | 6
  readonly address: IpAddress
  /** Of the 128 bits of the address's four words. */
  readonly length: number
}

/** What hosts may refer to. */
export interface SsHostContext {
  /** Which protocols' port names are known. */
  readonly protocols: readonly ServiceProtocol[]
  readonly names?: Names | undefined
}

/** Families that ss knows and this stack has none of, by the words before the colon. */
const OTHER_FAMILY = /^(link|netlink|tipc|vsock):/

/**
 * Reads a host.
 * @param preferred the family that the command line, or a condition before, has asked for
 * @param isPort is it what stands behind sport and dport?
 * @throws UsageError
 */
export const parseSsHost = (
  text: string,
  preferred: SsFamily | null,
  isPort: boolean,
  context: SsHostContext,
): SsHost => {
  if (text.startsWith('unix:') || (preferred === 'unix' && !/^inet6?:/.test(text))) {
    const pattern = isPort ? null : globPattern(text.replace(/^unix:/, ''))
    return { family: 'unix', prefixes: null, port: isPort ? -1 : null, pattern }
  }
  if (OTHER_FAMILY.test(text) || preferred === 'other') {
    return { family: 'other', prefixes: null, port: null, pattern: null }
  }
  const named = /^inet(6?):/.exec(text)
  const family = named === null ? preferred : named[1] === '6' ? 6 : 4
  const rest = named === null ? text : text.slice(named[0].length)
  const { host, port } = isPort ? { host: '', port: rest } : splitEndpoint(rest)
  return {
    family,
    prefixes: host === '' || host === '*' ? null : parsePrefixes(host, family, context.names),
    port: portNumber(port.replace(/^:/, ''), context.protocols),
    pattern: null,
  }
}

/** `ADDRESS:PORT`, IPv6 addresses in brackets; `*` for any. */
const splitEndpoint = (text: string): { host: string; port: string } => {
  if (text.startsWith('[')) {
    const end = text.indexOf(']')
    if (end < 0) throw new UsageError('Cannot parse dst/src address.')
    return { host: text.slice(1, end), port: text.slice(end + 1) }
  }
  if (text.startsWith('*')) return { host: '', port: text.slice(1) }
  const slash = Math.max(0, text.indexOf('/'))
  const colon = text.lastIndexOf(':')
  return colon >= slash && colon >= 0
    ? { host: text.slice(0, colon), port: text.slice(colon) }
    : { host: text, port: '' }
}

/** A number as strtol(3) reads it when it is told no base. */
export const parseInteger = (text: string): number | undefined => {
  if (/^-?(0[xX][0-9a-fA-F]+|[1-9][0-9]*|0)$/.test(text)) {
    return text.startsWith('-') ? -Number(text.slice(1)) : Number(text)
  }
  return /^-?0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : undefined
}

const portNumber = (text: string, protocols: readonly ServiceProtocol[]): number | null => {
  if (text === '' || text.startsWith('*')) return null
  const number = parseInteger(text)
  if (number !== undefined) return number === -1 ? null : number
  const found = protocols.map((protocol) => servicePort(text, protocol)).find((port) => port !== undefined)
  if (found === undefined) throw new UsageError(`Error: "${text}" does not look like a port.`)
  return found
}

/** An address with or without a prefix length, or the addresses of a name. */
const parsePrefixes = (text: string, family: SsFamily | null, names: Names | undefined): Prefix[] | null => {
  if (text === 'any' || text === 'all' || text === 'default') return null
  const known = parsePrefix(text)
  if (known !== null && (family === null || family === known.family)) return [known]
  const found = text === 'localhost' ? ['127.0.0.1', '::1'] : (names?.addresses?.(text) ?? [])
  const prefixes = found.map(parsePrefix).filter((prefix) => prefix !== null)
  const wanted = prefixes.filter((prefix) => family === null || family === prefix.family)
  if (wanted.length === 0) throw new UsageError(`Error: an inet prefix is expected rather than "${text}".`)
  return wanted
}

const parsePrefix = (text: string): Prefix | null => {
  const [host = '', lengthText] = text.split('/', 2)
  const family = host.includes(':') ? 6 : 4
  const address = family === 6 ? parseIpAddress(host) : parseIpv4(host)
  const most = family === 4 ? 32 : 128
  const length = lengthText === undefined ? most : lengthOf(lengthText)
  if (address === undefined || length === undefined || length > most) return null
  return { family, address, length: family === 4 ? 96 + length : length }
}

/** An IPv4 address may be cut short, 10.1 is 10.1.0.0; each of its numbers may be hexadecimal or octal. */
const parseIpv4 = (text: string): IpAddress | undefined => {
  const numbers = text.split('.').map(parseInteger)
  if (numbers.length > 4 || numbers.some((number) => number === undefined || number < 0 || number > 255)) {
    return undefined
  }
  return parseIpAddress([...numbers, 0, 0, 0].slice(0, 4).join('.'))
}

/** A length in bits, or one that a netmask stands for. */
const lengthOf = (text: string): number | undefined => {
  const bits = parseInteger(text)
  if (bits !== undefined) return bits < 0 ? undefined : bits
  const mask = parseIpAddress(text)
  if (!mask?.isIpv4) return undefined
  const length = Math.clz32(~mask.w3)
  return prefixMask(length) === mask.w3 ? length : undefined
}

/** Is this end of a socket such a host? */
export const isSsHost = ({ prefixes, port, pattern }: SsHost, socket: SocketSnapshot, isSource: boolean): boolean => {
  if (socket.protocol === 'unix') {
    return pattern?.test((isSource ? socket.path : null) ?? '') === true
  }
  if (pattern !== null) return false
  const end = isSource ? socket.local : socket.remote
  if (port !== null && end.port !== port) return false
  return prefixes === null || prefixes.some((prefix) => matches(prefix, end.address, socket.family))
}

/** An IPv4 prefix takes the IPv4 addresses of IPv6 sockets too, but an IPv6 prefix nothing of IPv4 sockets. */
const matches = ({ family, address, length }: Prefix, text: string, socketFamily: 4 | 6): boolean => {
  if (family === 6 && socketFamily === 4) return false
  const own = ip(text)
  return (
    ((own.w0 ^ address.w0) & prefixMask(length)) === 0 &&
    ((own.w1 ^ address.w1) & prefixMask(length - 32)) === 0 &&
    ((own.w2 ^ address.w2) & prefixMask(length - 64)) === 0 &&
    ((own.w3 ^ address.w3) & prefixMask(length - 96)) === 0
  )
}

/** A pattern as fnmatch(3) has it with FNM_CASEFOLD: `*`, `?`, `[abc]`, `[!a-c]`, and backslashes before others. */
const globPattern = (glob: string): RegExp => {
  let source = ''
  for (let i = 0; i < glob.length; i++) {
    const letter = glob[i]!
    const set = letter === '[' ? /^\[([!^]?)(\]?[^\]]*)\]/.exec(glob.slice(i)) : null
    if (set !== null) {
      const [whole, negation, members] = set
      source += `[${negation === '' ? '' : '^'}${members!.replace(/[\\\]^[]/g, '\\$&')}]`
      i += whole.length - 1
    } else if (letter === '*') source += '[^]*'
    else if (letter === '?') source += '[^]'
    else if (letter === '\\' && i + 1 < glob.length) source += escapeLetter(glob[++i]!)
    else source += escapeLetter(letter)
  }
  return new RegExp(`^${source}$`, 'i')
}

const escapeLetter = (letter: string): string => letter.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&')
