import { tableOf } from '../core/table.ts'
import type { ServiceProtocol } from '../wire/service-names.ts'
import type { Names } from './names.ts'
import { UsageError } from './options.ts'
import type { InternetSnapshot, SocketSnapshot, UnixSnapshot } from './snapshot-types.ts'
import { isSsHost, parseInteger, parseSsHost, type SsFamily } from './ss-host.ts'

/**
 * The filter expressions of ss: `( sport = :80 or dport = :http ) and not src 10.0.0.0/8`. Conditions are joined from
 * left to right: `and`, `or` and standing side by side bind equally.
 */

/** A filter, and the family that its hosts ask for, as `-f` does; null for none. */
export interface SsFilter {
  readonly family: SsFamily | null
  takes(socket: SocketSnapshot): boolean
}

/** What expressions may refer to. */
export interface SsFilterContext {
  /** Which protocols' port names are known. */
  readonly protocols: readonly ServiceProtocol[]
  /** The ports that are chosen for sockets that have none. */
  readonly ephemeral: readonly [first: number, last: number]
  /** Names of interfaces, by their indices. */
  readonly interfaces: ReadonlyMap<number, string>
  /** The family of hosts that name none. */
  readonly preferred: SsFamily | null
  readonly names?: Names | undefined
}

/**
 * A condition is asked twice of a socket of the Internet families, and so is an expression: by the kernel, which knows
 * whether a port was asked for, and by ss, which sees its number. Of the rest they say the same.
 */
type Condition = (socket: SocketSnapshot, inKernel: boolean) => boolean

const SYNTAX = 'ss: bison bellows (while parsing filter): "syntax error!" Sorry.'

/**
 * Reads an expression.
 * @param words each an argument, which may hold several words
 * @returns a filter that takes everything when there are none
 * @throws UsageError
 */
export const parseSsFilter = (words: readonly string[], context: SsFilterContext): SsFilter => {
  const tokens = words.flatMap((word) => word.split(/[ \t]+/)).filter((word) => word !== '')
  if (tokens.length === 0) return { family: null, takes: () => true }
  const parser = new FilterParser(tokens, context)
  const condition = parser.list()
  if (!parser.atEnd) throw new UsageError(SYNTAX)
  const takes = (socket: SocketSnapshot): boolean =>
    (socket.protocol === 'unix' || condition(socket, true)) && condition(socket, false)
  return { family: parser.family, takes }
}

const NOT = new Set(['!', 'not'])
const AND = new Set(['&', '&&', 'and'])
const OR = new Set(['|', '||', 'or'])

type Comparison = '=' | '!=' | '>=' | '<=' | '>' | '<'

const COMPARISONS: Readonly<Record<string, Comparison>> = tableOf({
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
})

/** Words that are never a host. */
const RESERVED = /^([)&|=<>]|!=|[=<>]=|&&|\|\||and|or|eq|neq?|[gl](t|eq?))$/

class FilterParser {
  private readonly tokens: readonly string[]
  private readonly context: SsFilterContext
  private at = 0
  /** The family that the hosts so far have asked for. */
  family: SsFamily | null = null

  constructor(tokens: readonly string[], context: SsFilterContext) {
    this.tokens = tokens
    this.context = context
  }

  private get preferred(): SsFamily | null {
    return this.family ?? this.context.preferred
  }

  get atEnd(): boolean {
    return this.at === this.tokens.length
  }

  /** Conditions up to the end or a closing parenthesis. */
  list(): Condition {
    let filter = this.condition()
    while (!this.atEnd && this.tokens[this.at] !== ')') {
      const before = filter
      const word = this.tokens[this.at]!
      if (OR.has(word)) {
        this.at++
        const next = this.condition()
        filter = (socket, inKernel) => before(socket, inKernel) || next(socket, inKernel)
      } else {
        if (AND.has(word)) this.at++
        const next = this.condition()
        filter = (socket, inKernel) => before(socket, inKernel) && next(socket, inKernel)
      }
    }
    return filter
  }

  private condition(): Condition {
    const word = this.take()
    if (NOT.has(word)) {
      const inner = this.condition()
      return (socket, inKernel) => !inner(socket, inKernel)
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
      case 'fwmark':
        return this.mark()
      case 'cgroup':
        throw new UsageError('ss: cgroup: sockets here belong to no control group')
      case 'autobound':
        return (socket, inKernel) =>
          socket.protocol === 'unix' ? isAutobound(socket) : this.isAutobound(socket, inKernel)
      default:
        // ss takes any other word for a host, and complains of it first.
        if (!RESERVED.test(word)) parseSsHost(word, this.preferred, false, this.context)
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

  /** `=` or `!=`. @returns is it `=`? */
  private equality(): boolean {
    const comparison = this.comparison()
    if (comparison !== '=' && comparison !== '!=') throw new UsageError(SYNTAX)
    return comparison === '='
  }

  private host(isSource: boolean): Condition {
    if (this.comparison() !== '=') throw new UsageError(SYNTAX)
    const host = parseSsHost(this.take(), this.preferred, false, this.context)
    this.family = host.family
    return (socket) => isSsHost(host, socket, isSource)
  }

  private port(isSource: boolean): Condition {
    const comparison = this.comparison()
    const { port: wanted, family } = parseSsHost(this.take(), this.preferred, true, this.context)
    this.family = family
    return (socket) => {
      const port = portOf(socket, isSource)
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

  private device(): Condition {
    const isWanted = this.equality()
    const given = this.take()
    const { interfaces } = this.context
    const index = parseInteger(given)
    const isName = [...interfaces.values()].includes(given)
    if (!isName && (index === undefined || index < 0)) throw new UsageError('Cannot parse device.')
    const name = isName ? given : interfaces.get(index!)
    return (socket) => (socket.protocol !== 'unix' && name !== undefined && socket.interface === name) === isWanted
  }

  /** `MARK` or `MARK/MASK`. */
  private mark(): Condition {
    const isWanted = this.equality()
    const given = this.take()
    const [mark, mask] = given.split('/').map((text) => parseInteger(text))
    if (mark === undefined || (given.includes('/') && mask === undefined)) {
      throw new UsageError(`Cannot parse mark ${given}.`)
    }
    const bits = mask ?? 0xffff_ffff
    return (socket) => {
      const own = socket.protocol === 'unix' ? 0 : socket.options.mark
      return ((own & bits) === (mark | 0)) === isWanted
    }
  }

  private isAutobound({ portIsFixed, local }: InternetSnapshot, inKernel: boolean): boolean {
    const [first, last] = this.context.ephemeral
    return inKernel ? !portIsFixed : local.port >= first && local.port <= last
  }
}

/** Linux's own names are five hexadecimal digits in the abstract space. */
const isAutobound = ({ path }: UnixSnapshot): boolean => path === null || /^@[0-9a-f]{5}$/.test(path)

/** What ss shows in the column of the port: of Unix sockets the inode. */
const portOf = (socket: SocketSnapshot, isSource: boolean): number => {
  if (socket.protocol === 'unix') return isSource ? socket.inode : socket.peer
  return (isSource ? socket.local : socket.remote).port
}
