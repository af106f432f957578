import { type IpAddress, ip, parseIpAddress, prefixMask } from '../wire/address.ts'
import { type ServiceProtocol, servicePort } from '../wire/service-names.ts'
import { UsageError } from './options.ts'
import type { InternetSnapshot } from './snapshot-types.ts'

/**
 * The filter expressions of ss: `( sport = :80 or dport = :http ) and not src 10.0.0.0/8`. Conditions are joined from
 * left to right: `and`, `or` and standing side by side bind equally.
 */

export type SsFilter = (socket: InternetSnapshot) => boolean

/** What expressions may refer to. */
export interface SsFilterContext {
  /** Which protocols' port names are known. */
  readonly protocols: readonly ServiceProtocol[]
  /** The ports that are chosen for sockets that have none. */
  readonly ephemeral: readonly [first: number, last: number]
}

const SYNTAX = 'ss: bison bellows (while parsing filter): "syntax error!" Sorry.'

/**
 * Reads an expression.
 * @param words each an argument, which may hold several words
 * @returns a filter that takes everything when there are none
 * @throws UsageError
 */
export const parseSsFilter = (words: readonly string[], context: SsFilterContext): SsFilter => {
  const tokens = words.flatMap((word) => word.split(/[ \t]+/)).filter((word) => word !== '')
  if (tokens.length === 0) return () => true
  const parser = new FilterParser(tokens, context)
  const filter = parser.list()
  if (!parser.atEnd) throw new UsageError(SYNTAX)
  return filter
}

const NOT = new Set(['!', 'not'])
const AND = new Set(['&', '&&', 'and'])
const OR = new Set(['|', '||', 'or'])

type Comparison = '=' | '!=' | '>=' | '<=' | '>' | '<'

const COMPARISONS: Readonly<Record<string, Comparison>> = {
  '=': '=',
  '==': '=',
  eq: '=',
  '!=': '!=',
  ne: '!=',
  neq: '!=',
  '>=': '>=',
  ge: '>=',
  geq: '>=',
  '<=': '<=',
  le: '<=',
  leq: '<=',
  '>': '>',
  gt: '>',
  '<': '<',
  lt: '<',
}

class FilterParser {
  private readonly tokens: readonly string[]
  private readonly context: SsFilterContext
  private at = 0

  constructor(tokens: readonly string[], context: SsFilterContext) {
    this.tokens = tokens
    this.context = context
  }

  get atEnd(): boolean {
    return this.at === this.tokens.length
  }

  /** Conditions up to the end or a closing parenthesis. */
  list(): SsFilter {
    let filter = this.condition()
    while (!this.atEnd && this.tokens[this.at] !== ')') {
      const before = filter
      const word = this.tokens[this.at]!
      if (OR.has(word)) {
        this.at++
        const next = this.condition()
        filter = (socket) => before(socket) || next(socket)
      } else {
        if (AND.has(word)) this.at++
        const next = this.condition()
        filter = (socket) => before(socket) && next(socket)
      }
    }
    return filter
  }

  private condition(): SsFilter {
    const word = this.take()
    if (NOT.has(word)) {
      const inner = this.condition()
      return (socket) => !inner(socket)
    }
    switch (word) {
      case '(': {
        const inner = this.list()
        if (this.take() !== ')') throw new UsageError(SYNTAX)
        return inner
      }
      case 'src':
      case 'dst':
        return this.host(word === 'src')
      case 'sport':
      case 'dport':
        return this.port(word === 'sport')
      case 'dev':
        return this.device()
      case 'autobound': {
        const [first, last] = this.context.ephemeral
        return ({ local }) => local.port >= first && local.port <= last
      }
      default:
        throw new UsageError(SYNTAX)
    }
  }

  private take(): string {
    const word = this.tokens[this.at++]
    if (word === undefined) throw new UsageError(SYNTAX)
    return word
  }

  /** The comparison that comes next; `=` when none does. */
  private comparison(): Comparison {
    const found = COMPARISONS[this.tokens[this.at] ?? '']
    if (found === undefined) return '='
    this.at++
    return found
  }

  private host(isSource: boolean): SsFilter {
    if (this.comparison() !== '=') throw new UsageError(SYNTAX)
    const { prefix, port } = this.endpoint(this.take())
    return (socket) => {
      const end = isSource ? socket.local : socket.remote
      if (port !== null && end.port !== port) return false
      return prefix === null || matches(prefix, end.address, socket.family)
    }
  }

  private port(isSource: boolean): SsFilter {
    const comparison = this.comparison()
    const wanted = this.portNumber(this.take().replace(/^:/, ''))
    return (socket) => {
      const { port } = isSource ? socket.local : socket.remote
      // A port that is not named matches all, and in order comes before 0.
      const target = wanted ?? -1
      switch (comparison) {
        case '=':
          return wanted === null || port === target
        case '!=':
          return wanted !== null && port !== target
        case '>=':
          return port >= target
        case '<=':
          return port <= target
        case '>':
          return port > target
        case '<':
          return port < target
      }
    }
  }

  private device(): SsFilter {
    const comparison = this.comparison()
    if (comparison !== '=' && comparison !== '!=') throw new UsageError(SYNTAX)
    const name = this.take()
    return (socket) => (socket.interface === name) === (comparison === '=')
  }

  /** `ADDRESS[/LENGTH][:PORT]`, IPv6 addresses in brackets; `*` for any. */
  private endpoint(text: string): { prefix: Prefix | null; port: number | null } {
    const rest = text.replace(/^inet6?:/, '')
    let host = rest
    let port = ''
    if (rest.startsWith('[')) {
      const end = rest.indexOf(']')
      if (end < 0) throw new UsageError('Cannot parse dst/src address.')
      host = rest.slice(1, end)
      port = rest.slice(end + 1)
    } else if (rest.startsWith('*')) {
      host = ''
      port = rest.slice(1)
    } else {
      const slash = Math.max(0, rest.indexOf('/'))
      const colon = rest.lastIndexOf(':')
      if (colon >= slash && colon >= 0) {
        host = rest.slice(0, colon)
        port = rest.slice(colon)
      }
    }
    return { prefix: parsePrefix(host), port: this.portNumber(port.replace(/^:/, '')) }
  }

  private portNumber(text: string): number | null {
    if (text === '' || text === '*') return null
    if (/^(0x[0-9a-fA-F]+|[0-9]+)$/.test(text)) return Number(text)
    const found = this.context.protocols
      .map((protocol) => servicePort(text, protocol))
      .find((port) => port !== undefined)
    if (found === undefined) throw new UsageError(`Error: "${text}" does not look like a port.`)
    return found
  }
}

interface Prefix {
  /** As it was written: an IPv4-mapped address is one of IPv6, and takes only what IPv6 sockets have. */
  readonly family: 4 | 6
  readonly address: IpAddress
  /** Of the 128 bits of the address's four words. */
  readonly length: number
}

const parsePrefix = (text: string): Prefix | null => {
  if (text === '' || text === '*') return null
  const [host = '', lengthText] = text.split('/', 2)
  const family = host.includes(':') ? 6 : 4
  // An IPv4 address may be cut short: 10.1 is 10.1.0.0.
  const full = /^[0-9]+(\.[0-9]+){0,2}$/.test(host) ? [...host.split('.'), '0', '0', '0'].slice(0, 4).join('.') : host
  const address = parseIpAddress(full)
  const most = family === 4 ? 32 : 128
  const length = lengthText === undefined ? most : lengthOf(lengthText)
  if (address === undefined || length === undefined || length > most) {
    throw new UsageError(`Error: an inet prefix is expected rather than "${text}".`)
  }
  return { family, address, length: family === 4 ? 96 + length : length }
}

/** A length in bits, or one that a netmask stands for. */
const lengthOf = (text: string): number | undefined => {
  if (/^[0-9]{1,3}$/.test(text)) return Number(text)
  const mask = parseIpAddress(text)
  if (!mask?.isIpv4) return undefined
  const length = Math.clz32(~mask.w3)
  return prefixMask(length) === mask.w3 ? length : undefined
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
