import { tableOf } from '../core/table.ts'
import { type IpAddress, type MacAddress, parseIpAddress, parseMac, prefixMask } from '../wire/address.ts'
import { servicePort } from '../wire/service-names.ts'
import { UsageError } from './options.ts'

/**
 * Reads the expressions of pcap-filter(7). `and` and `or` bind equally, from left to right; `not` binds more tightly.
 */

export type Direction = 'src' | 'dst' | 'src or dst' | 'src and dst'

/** What stands before a name or number; one that lacks them has those of the one before. */
export interface Qualifiers {
  readonly protocol: string | null
  readonly direction: Direction | null
  readonly type: string | null
}

export type Test =
  | { kind: 'protocol'; protocol: string; qualifiers: Qualifiers }
  | { kind: 'number'; number: number; qualifiers: Qualifiers }
  | { kind: 'vlan'; id: number | null; qualifiers: Qualifiers }
  | { kind: 'broadcast' | 'multicast'; qualifiers: Qualifiers }
  | { kind: 'port'; low: number; high: number; qualifiers: Qualifiers }
  | { kind: 'mac'; mac: MacAddress; qualifiers: Qualifiers }
  | { kind: 'net'; words: readonly number[]; mask: readonly number[]; qualifiers: Qualifiers }

export type Value =
  | { kind: 'number'; value: number }
  | { kind: 'length' }
  | { kind: 'bytes'; protocol: string; offset: Value; size: number }
  | { kind: 'operation'; operator: string; left: Value; right: Value }

export type FilterNode =
  | { kind: 'and' | 'or'; left: FilterNode; right: FilterNode }
  | { kind: 'not'; of: FilterNode }
  | { kind: 'test'; test: Test }
  | { kind: 'compare'; operator: string; left: Value; right: Value }

/** @returns null for an empty expression @throws UsageError, in one line */
export const parseFilter = (expression: string): FilterNode | null => {
  const tokens = tokenize(expression)
  if (tokens.length === 0) return null
  const parser = new Parser(tokens)
  const node = parser.expression()
  if (!parser.atEnd) throw syntaxError()
  return node
}

const syntaxError = (): UsageError => new UsageError("tcpdump: can't parse filter expression: syntax error")

/** In this order: addresses with colons, ranges, numbers and addresses, words, operators. */
const TOKEN =
  /\s*(?:((?:[0-9a-f]{0,4}:){2,}(?:[0-9a-f]{0,4}:)*[0-9a-f.]*)|(\d+-\d+(?![\d.]))|(0x[0-9a-f]+|\d+(?:\.\d+){0,3})|(\\?[a-z](?:[\w.-]*[\w])?)|(&&|\|\||[!=<>]=|<<|>>|[-+*/%&|^()[\]:!<>=]))/iy

const tokenize = (expression: string): string[] => {
  const tokens: string[] = []
  TOKEN.lastIndex = 0
  for (let at = 0; at < expression.trimEnd().length; ) {
    TOKEN.lastIndex = at
    const match = TOKEN.exec(expression)
    if (match === null) throw new UsageError(`tcpdump: can't parse filter expression: illegal token: ${expression[at]}`)
    at = TOKEN.lastIndex
    const range = match[2]
    // What is no range of ports is a difference.
    if (range !== undefined && tokens.at(-1) !== 'portrange') {
      const [low = '', high = ''] = range.split('-')
      tokens.push(low, '-', high)
    } else tokens.push(match.slice(1).find((part) => part !== undefined)!)
  }
  return tokens.map((token) => ALIASES[token] ?? token)
}

const ALIASES: Readonly<Record<string, string>> = tableOf({ and: '&&', or: '||', not: '!', '==': '=' })

const PROTOCOLS = new Set(
  'ether link ip ip6 arp rarp tcp udp sctp icmp icmp6 igmp igrp pim vrrp carp ah esp'.split(' '),
)
const TYPES = new Set(['host', 'net', 'port', 'portrange', 'proto'])
const COMPARISONS = new Set(['=', '!=', '<', '>', '<=', '>='])
/** Operators of arithmetic, by how tightly they bind. */
const LEVELS: readonly ReadonlySet<string>[] = [
  new Set(['|']),
  new Set(['^']),
  new Set(['&']),
  new Set(['<<', '>>']),
  new Set(['+', '-']),
  new Set(['*', '/', '%']),
]

const CONSTANTS: Readonly<Record<string, number>> = tableOf({
  tcpflags: 13,
  'tcp-fin': 1,
  'tcp-syn': 2,
  'tcp-rst': 4,
  'tcp-push': 8,
  'tcp-ack': 16,
  'tcp-urg': 32,
  'tcp-ece': 64,
  'tcp-cwr': 128,
  icmptype: 0,
  icmpcode: 1,
  'icmp-echoreply': 0,
  'icmp-unreach': 3,
  'icmp-sourcequench': 4,
  'icmp-redirect': 5,
  'icmp-echo': 8,
  'icmp-routeradvert': 9,
  'icmp-routersolicit': 10,
  'icmp-timxceed': 11,
  'icmp-paramprob': 12,
  'icmp-tstamp': 13,
  'icmp-tstampreply': 14,
  icmp6type: 0,
  icmp6code: 1,
  'icmp6-destinationunreach': 1,
  'icmp6-packettoobig': 2,
  'icmp6-timeexceeded': 3,
  'icmp6-parameterproblem': 4,
  'icmp6-echo': 128,
  'icmp6-echoreply': 129,
  'icmp6-multicastlistenerquery': 130,
  'icmp6-routersolicit': 133,
  'icmp6-routeradvert': 134,
  'icmp6-neighborsolicit': 135,
  'icmp6-neighboradvert': 136,
  'icmp6-redirect': 137,
})

const NONE: Qualifiers = { protocol: null, direction: null, type: null }

/** An attempt to read arithmetic has failed: it is something else. */
class NoArithmetic extends Error {}

class Parser {
  private readonly tokens: readonly string[]
  private at = 0
  /** Those of the last name or number. */
  private qualifiers: Qualifiers | null = null

  constructor(tokens: readonly string[]) {
    this.tokens = tokens
  }

  get atEnd(): boolean {
    return this.at >= this.tokens.length
  }

  expression(): FilterNode {
    let left = this.term()
    for (;;) {
      const operator = this.tokens[this.at]
      if (operator !== '&&' && operator !== '||') return left
      this.at++
      left = { kind: operator === '&&' ? 'and' : 'or', left, right: this.term() }
    }
  }

  private term(): FilterNode {
    if (this.take('!')) return { kind: 'not', of: this.term() }
    const relation = this.relation()
    if (relation !== null) return relation
    if (this.take('(')) {
      const inner = this.expression()
      this.expect(')')
      return inner
    }
    return this.primitive()
  }

  /** `tcp[13] & 2 != 0`; null when what comes is none. */
  private relation(): FilterNode | null {
    const before = this.at
    try {
      const left = this.arithmetic(0)
      const operator = this.tokens[this.at]
      if (operator === undefined || !COMPARISONS.has(operator)) throw new NoArithmetic()
      this.at++
      return { kind: 'compare', operator, left, right: this.arithmetic(0) }
    } catch (error) {
      if (!(error instanceof NoArithmetic)) throw error
      this.at = before
      return null
    }
  }

  private arithmetic(level: number): Value {
    const operators = LEVELS[level]
    if (operators === undefined) return this.operand()
    let left = this.arithmetic(level + 1)
    for (;;) {
      const operator = this.tokens[this.at]
      if (operator === undefined || !operators.has(operator)) return left
      this.at++
      left = { kind: 'operation', operator, left, right: this.arithmetic(level + 1) }
    }
  }

  private operand(): Value {
    const token = this.tokens[this.at++]
    if (token === undefined) throw new NoArithmetic()
    if (/^(0x[0-9a-f]+|\d+)$/i.test(token)) return { kind: 'number', value: numberOf(token) }
    if (token in CONSTANTS) return { kind: 'number', value: CONSTANTS[token]! }
    if (token === 'len') return { kind: 'length' }
    if (token === '-') {
      return { kind: 'operation', operator: '-', left: { kind: 'number', value: 0 }, right: this.operand() }
    }
    if (token === '(') {
      const inner = this.arithmetic(0)
      if (!this.take(')')) throw new NoArithmetic()
      return inner
    }
    if (!PROTOCOLS.has(token) || !this.take('[')) throw new NoArithmetic()
    const offset = this.arithmetic(0)
    let size = 1
    if (this.take(':')) {
      size = Number(this.tokens[this.at++])
      if (size !== 1 && size !== 2 && size !== 4) throw new UsageError('tcpdump: data size must be 1, 2, or 4')
    }
    this.expect(']')
    return { kind: 'bytes', protocol: token, offset, size }
  }

  /** Qualifiers and what they qualify: `tcp dst port 80`, `host a`, `arp`, `less 100`. */
  private primitive(): FilterNode {
    const protocol = PROTOCOLS.has(this.tokens[this.at] ?? '') ? this.tokens[this.at++]! : null
    const direction = this.direction()
    const type = TYPES.has(this.tokens[this.at] ?? '') ? this.tokens[this.at++]! : null
    const isBare = direction === null && type === null
    const token = this.tokens[this.at]
    if (isBare && (token === 'broadcast' || token === 'multicast')) {
      this.at++
      return test({ kind: token, qualifiers: { ...NONE, protocol } })
    }
    if (isBare && protocol !== null && !this.isName(token)) {
      return test({ kind: 'protocol', protocol, qualifiers: NONE })
    }
    if (isBare && protocol === null) {
      const special = this.special(token)
      if (special !== null) return special
    }
    // A name without qualifiers has those of the name before.
    if (!isBare || protocol !== null) this.qualifiers = { protocol, direction, type }
    return this.names()
  }

  /** One name or number, or several in parentheses: `port (80 or 443)`. */
  private names(): FilterNode {
    if (!this.take('(')) return test(this.named())
    let left = this.names()
    for (;;) {
      const operator = this.tokens[this.at]
      if (operator !== '&&' && operator !== '||') break
      this.at++
      left = { kind: operator === '&&' ? 'and' : 'or', left, right: this.names() }
    }
    this.expect(')')
    return left
  }

  private direction(): Direction | null {
    const first = this.tokens[this.at]
    if (first !== 'src' && first !== 'dst') return null
    this.at++
    const operator = this.tokens[this.at]
    const second = this.tokens[this.at + 1]
    const isPair =
      (operator === '||' || operator === '&&') && (second === 'src' || second === 'dst') && second !== first
    // `src or dst port 80`, but not `src a or dst b`.
    if (!isPair) return first
    this.at += 2
    return operator === '||' ? 'src or dst' : 'src and dst'
  }

  private special(token: string | undefined): FilterNode | null {
    switch (token) {
      case 'less':
      case 'greater': {
        this.at++
        const value = numberOf(this.tokens[this.at++] ?? '')
        const operator = token === 'less' ? '<=' : '>='
        return { kind: 'compare', operator, left: { kind: 'length' }, right: { kind: 'number', value } }
      }
      case 'vlan': {
        this.at++
        const next = this.tokens[this.at]
        const id = next !== undefined && /^\d+$/.test(next) ? Number(this.tokens[this.at++]) : null
        return test({ kind: 'vlan', id, qualifiers: NONE })
      }
      default:
        return null
    }
  }

  private isName(token: string | undefined): boolean {
    return token !== undefined && !/^(&&|\|\||\)|\[|!)$/.test(token)
  }

  private named(): Test {
    const { qualifiers } = this
    if (qualifiers === null) throw syntaxError()
    // A backslash makes a keyword a name.
    const token = this.tokens[this.at++]?.replace(/^\\/, '')
    if (token === undefined || !/[\w:]/.test(token)) throw syntaxError()
    switch (qualifiers.type) {
      case 'port': {
        const port = portOf(token, qualifiers)
        return { kind: 'port', low: port, high: port, qualifiers }
      }
      case 'portrange': {
        const [low = '', high = low] = token.split('-')
        const ends = [portOf(low, qualifiers), portOf(high, qualifiers)].sort((a, b) => a - b)
        return { kind: 'port', low: ends[0]!, high: ends[1]!, qualifiers }
      }
      case 'proto':
        return { kind: 'number', number: protocolOf(token, qualifiers), qualifiers }
      case 'net':
        return this.network(token, qualifiers)
      default:
        return hostTest(token, qualifiers)
    }
  }

  private network(token: string, qualifiers: Qualifiers): Test {
    if (this.take('/')) {
      const length = Number(this.tokens[this.at++])
      const { words } = wordsOf(token)
      if (!(length >= 0 && length <= words.length * 32))
        throw new UsageError(`tcpdump: mask length must be <= ${words.length * 32}`)
      return netTest(words, maskOf(length, words.length), qualifiers)
    }
    if (this.take('mask')) {
      const { words: mask } = wordsOf(this.tokens[this.at++] ?? '')
      return netTest(wordsOf(token).words, mask, qualifiers)
    }
    const { words, length } = wordsOf(token)
    return netTest(words, maskOf(length, words.length), qualifiers)
  }

  private take(token: string): boolean {
    if (this.tokens[this.at] !== token) return false
    this.at++
    return true
  }

  private expect(token: string): void {
    if (!this.take(token)) throw syntaxError()
  }
}

const test = (of: Test): FilterNode => ({ kind: 'test', test: of })

const numberOf = (text: string): number => {
  const value = Number(text)
  if (text === '' || !Number.isInteger(value)) throw syntaxError()
  return value >>> 0
}

const portOf = (text: string, { protocol }: Qualifiers): number => {
  if (/^\d+$/.test(text)) {
    if (Number(text) > 65_535) throw new UsageError(`tcpdump: illegal port number ${text} > 65535`)
    return Number(text)
  }
  const known = protocol === 'udp' ? servicePort(text, 'udp') : (servicePort(text, 'tcp') ?? servicePort(text, 'udp'))
  if (known === undefined) throw new UsageError(`tcpdump: unknown port '${text}'`)
  return known
}

const IP_PROTOCOLS: Readonly<Record<string, number>> = tableOf({
  icmp: 1,
  igmp: 2,
  tcp: 6,
  udp: 17,
  icmp6: 58,
  pim: 103,
  sctp: 132,
})
const ETHER_PROTOCOLS: Readonly<Record<string, number>> = tableOf({ ip: 0x800, arp: 0x806, rarp: 0x8035, ip6: 0x86dd })

const protocolOf = (text: string, { protocol }: Qualifiers): number => {
  if (/^(0x[0-9a-f]+|\d+)$/i.test(text)) return numberOf(text)
  const known = protocol === 'ether' ? ETHER_PROTOCOLS[text] : IP_PROTOCOLS[text]
  if (known === undefined) throw new UsageError(`tcpdump: unknown ${protocol ?? 'ip'} proto '${text}'`)
  return known
}

const hostTest = (token: string, qualifiers: Qualifiers): Test => {
  if (qualifiers.protocol === 'ether' || qualifiers.protocol === 'link') {
    const mac = parseMac(token)
    if (mac === undefined) throw new UsageError(`tcpdump: unknown ether host '${token}'`)
    return { kind: 'mac', mac, qualifiers }
  }
  const { words } = wordsOf(token)
  return netTest(words, maskOf(words.length * 32, words.length), qualifiers)
}

const netTest = (words: readonly number[], mask: readonly number[], qualifiers: Qualifiers): Test => {
  if (words.some((word, i) => (word & ~mask[i]!) !== 0)) throw new UsageError('tcpdump: non-network bits set')
  return { kind: 'net', words, mask, qualifiers }
}

/** The words of an address; parts of a quad that are missing are 0 and do not count for the length, bits. */
const wordsOf = (text: string): { words: number[]; length: number } => {
  if (/^\d+(\.\d+){0,2}$/.test(text) && text.split('.').every((part) => Number(part) < 256)) {
    const parts = text.split('.').map(Number)
    const word = parts.reduce((sum, part, i) => sum | (part << (24 - 8 * i)), 0)
    return { words: [word], length: parts.length * 8 }
  }
  const address: IpAddress | undefined = parseIpAddress(text)
  if (address === undefined) throw new UsageError(`tcpdump: unknown host '${text}'`)
  if (address.isIpv4 && !text.includes(':')) return { words: [address.w3], length: 32 }
  return { words: [address.w0, address.w1, address.w2, address.w3], length: 128 }
}

const maskOf = (length: number, words: number): number[] =>
  Array.from({ length: words }, (_, i) => prefixMask(length - i * 32))
