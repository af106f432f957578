import { parseOptions, UsageError } from './options.ts'
import type { Snapshot } from './snapshot.ts'
import { parseSsFilter, type SsFilter } from './ss-filter.ts'

/** What a command line of ss asks for. */

/** Tables of sockets, as bits. `Other` stands for those that this stack does not have, and that ss would look into. */
export const Table = { Tcp: 1, Udp: 2, Raw: 4, UnixStream: 8, UnixDatagram: 16, UnixSeqpacket: 32, Other: 64 } as const
const UNIX = Table.UnixStream | Table.UnixDatagram | Table.UnixSeqpacket
const INET = Table.Tcp | Table.Udp | Table.Raw | Table.Other
const ALL_TABLES = INET | UNIX

/** States by the names that netstat writes; ss has its own for its columns and its filters. */
export const STATES: readonly (readonly [state: string, shown: string, filter: string])[] = [
  ['ESTABLISHED', 'ESTAB', 'established'],
  ['SYN_SENT', 'SYN-SENT', 'syn-sent'],
  ['SYN_RECV', 'SYN-RECV', 'syn-recv'],
  ['FIN_WAIT1', 'FIN-WAIT-1', 'fin-wait-1'],
  ['FIN_WAIT2', 'FIN-WAIT-2', 'fin-wait-2'],
  ['TIME_WAIT', 'TIME-WAIT', 'time-wait'],
  ['CLOSE', 'UNCONN', 'unconnected'],
  ['CLOSE_WAIT', 'CLOSE-WAIT', 'close-wait'],
  ['LAST_ACK', 'LAST-ACK', 'last-ack'],
  ['LISTEN', 'LISTEN', 'listening'],
  ['CLOSING', 'CLOSING', 'closing'],
]
const STATE_NAMES = STATES.map(([state]) => state)

export type StateSet = ReadonlySet<string>
const ALL_STATES: StateSet = new Set(STATE_NAMES)
const without = (states: StateSet, ...gone: string[]): StateSet => new Set([...states].filter((s) => !gone.includes(s)))
const union = (a: StateSet, b: StateSet): StateSet => new Set([...a, ...b])
/** What is shown unless something else is asked for. */
const CONNECTED = without(ALL_STATES, 'LISTEN', 'CLOSE', 'TIME_WAIT', 'SYN_RECV')
const ESTABLISHED: StateSet = new Set(['ESTABLISHED'])

/** Sets of states by the names of `state` and `exclude`. */
const stateSet = (name: string): StateSet => {
  const wanted = name.toLowerCase()
  switch (wanted) {
    case 'close':
    case 'closed':
      return new Set(['CLOSE'])
    case 'syn-rcv':
      return new Set(['SYN_RECV'])
    case 'all':
      return ALL_STATES
    case 'connected':
      return without(ALL_STATES, 'CLOSE', 'LISTEN')
    case 'synchronized':
      return without(ALL_STATES, 'CLOSE', 'LISTEN', 'SYN_SENT')
    case 'bucket':
      return new Set(['SYN_RECV', 'TIME_WAIT'])
    case 'big':
      return without(ALL_STATES, 'SYN_RECV', 'TIME_WAIT')
  }
  const found = STATES.find(([, , filter]) => filter === wanted)
  if (found === undefined) throw new UsageError(`ss: wrong state name: ${name}`)
  return new Set([found[0]])
}

const SPEC = {
  short: 'naletuwxro460pf:miA:sHOh',
  long: {
    numeric: 'n',
    resolve: 'r',
    options: 'o',
    extended: 'e',
    memory: 'm',
    info: 'i',
    processes: 'p',
    tcp: 't',
    udp: 'u',
    raw: 'w',
    unix: 'x',
    all: 'a',
    listening: 'l',
    ipv4: '4',
    ipv6: '6',
    packet: '0',
    'family:': 'f',
    'socket:': 'A',
    'query:': 'A',
    summary: 's',
    'no-header': 'H',
    oneline: 'O',
    help: 'h',
  },
} as const

const USAGE = 'Usage: ss [ -nralomiepOH ] [ -tuwx46 ] [ -A QUERY ] [ -s ] [ state STATE ] [ EXPRESSION ]'

/** What a command line asks for. */
export interface SsRequest {
  numeric: boolean
  resolve: boolean
  options: boolean
  extended: boolean
  memory: boolean
  info: boolean
  processes: boolean
  summary: boolean
  header: boolean
  oneLine: boolean
  tables: number
  /** Families asked for, and the last of them. */
  families: Set<4 | 6 | 'unix' | 'other'>
  preferred: 4 | 6 | null
  states: StateSet
  /** Was nothing said of tables or families? */
  isDefault: boolean
  filter: SsFilter
}

const FLAGS: Readonly<Record<string, keyof SsRequest>> = {
  n: 'numeric',
  r: 'resolve',
  o: 'options',
  m: 'memory',
  i: 'info',
  p: 'processes',
  s: 'summary',
  O: 'oneLine',
}

const QUERIES: Readonly<Record<string, number>> = {
  all: ALL_TABLES,
  inet: INET,
  tcp: Table.Tcp,
  udp: Table.Udp,
  raw: Table.Raw,
  unix: UNIX,
  unix_stream: Table.UnixStream,
  u_str: Table.UnixStream,
  unix_dgram: Table.UnixDatagram,
  u_dgr: Table.UnixDatagram,
  unix_seqpacket: Table.UnixSeqpacket,
  u_seq: Table.UnixSeqpacket,
}

/** Reads arguments: see `read`. */
export class SsRequestReader {
  readonly request: SsRequest = {
    numeric: false,
    resolve: false,
    options: false,
    extended: false,
    memory: false,
    info: false,
    processes: false,
    summary: false,
    header: true,
    oneLine: false,
    tables: 0,
    families: new Set(),
    preferred: null,
    states: new Set(),
    isDefault: true,
    filter: () => true,
  }
  /** What -a, -l, state and exclude have set; null for nothing. */
  private chosen: StateSet | null = null
  private sawQuery = false

  /** @throws UsageError for arguments that ss does not understand */
  read(args: readonly string[], snapshot: Snapshot): SsRequest {
    const { options, operands } = parseOptions('ss', SPEC, args)
    for (const { name, value } of options) this.option(name, value)
    const { request } = this
    const words = [...operands]
    this.readStates(words)
    if (request.isDefault) {
      this.chosen ??= CONNECTED
      request.tables |= ALL_TABLES
    }
    if (this.chosen !== null && this.chosen.size > 0) request.states = this.chosen
    this.mergeDefaults()
    request.filter = parseSsFilter(words, {
      protocols: [...((request.tables & Table.Udp) !== 0 ? (['udp'] as const) : []), 'tcp'],
      ephemeral: ephemeralPorts(snapshot),
    })
    return request
  }

  private option(name: string, value: string): void {
    const { request } = this
    const flag = FLAGS[name]
    if (flag !== undefined) {
      Object.assign(request, { [flag]: true })
      return
    }
    switch (name) {
      case 'e':
        request.options = true
        request.extended = true
        return
      case 'H':
        request.header = false
        return
      case 'a':
        this.chosen = ALL_STATES
        return
      case 'l':
        this.chosen = new Set(['LISTEN', 'CLOSE'])
        return
      case 't':
        this.table(Table.Tcp, CONNECTED)
        return
      case 'u':
        this.table(Table.Udp, ESTABLISHED)
        return
      case 'w':
        this.table(Table.Raw, ESTABLISHED)
        return
      case 'x':
        this.family('unix')
        return
      case '4':
        this.family(4)
        return
      case '6':
        this.family(6)
        return
      case '0':
        this.family('other')
        return
      case 'f':
        this.familyNamed(value)
        return
      case 'A':
        this.query(value)
        return
      default:
        throw new UsageError(USAGE)
    }
  }

  private table(table: number, states: StateSet): void {
    this.request.tables |= table
    this.request.states = union(this.request.states, states)
    this.request.isDefault = false
  }

  private family(family: 4 | 6 | 'unix' | 'other'): void {
    const { request } = this
    request.families.add(family)
    request.states = union(request.states, family === 'other' ? new Set(['CLOSE']) : CONNECTED)
    request.isDefault = false
    request.preferred = family === 4 || family === 6 ? family : null
  }

  private familyNamed(name: string): void {
    if (name === 'inet') this.family(4)
    else if (name === 'inet6') this.family(6)
    else if (name === 'unix') this.family('unix')
    else if (name === 'link' || name === 'netlink' || name === 'vsock' || name === 'tipc') this.family('other')
    else throw new UsageError(`ss: "${name}" is invalid family`)
  }

  private query(names: string): void {
    const { request } = this
    if (!this.sawQuery) {
      request.tables = 0
      this.chosen ??= CONNECTED
      this.sawQuery = true
      request.isDefault = false
    }
    for (const name of names.split(',')) {
      const isExcluded = name.startsWith('!')
      const tables = QUERIES[isExcluded ? name.slice(1) : name]
      if (tables === undefined) throw new UsageError(`ss: "${name}" is illegal socket table id`)
      if (isExcluded) request.tables &= ~tables
      else request.tables |= tables
    }
  }

  /** `state NAME` and `exclude NAME` stand before the expression. */
  private readStates(words: string[]): void {
    let isFirst = true
    while (words[0] === 'state' || words[0] === 'exclude' || words[0] === 'excl') {
      const [verb, name] = words.splice(0, 2)
      if (name === undefined) throw new UsageError('Command line is not complete. Try option "help"')
      if (verb === 'state')
        this.chosen = union(isFirst || this.chosen === null ? new Set() : this.chosen, stateSet(name))
      else this.chosen = without(isFirst || this.chosen === null ? ALL_STATES : this.chosen, ...stateSet(name))
      isFirst = false
    }
  }

  /** A table that was asked for brings its families, and a family its tables, unless one of them was named. */
  private mergeDefaults(): void {
    const { request } = this
    const { families } = request
    if ((request.tables & INET) !== 0 && !families.has(4) && !families.has(6)) {
      families.add(4)
      families.add(6)
    }
    if ((request.tables & UNIX) !== 0) families.add('unix')
    if ((families.has(4) || families.has(6)) && (request.tables & INET) === 0) request.tables |= INET
    if (families.has('unix') && (request.tables & UNIX) === 0) request.tables |= UNIX
    if (families.has('other')) request.tables |= Table.Other
    if (request.states.size === 0) throw new UsageError('ss: no socket states to show with such filter.')
    if (request.tables === 0) throw new UsageError('ss: no socket tables to show with such filter.')
  }
}

export const ephemeralPorts = (snapshot: Snapshot): [number, number] => {
  const [first, last] = (snapshot.sysctl['net.ipv4.ip_local_port_range'] ?? '32768\t60999').split('\t').map(Number)
  return [first!, last!]
}
