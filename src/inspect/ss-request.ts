import { tableOf } from '../core/table.ts'
import type { Names } from './names.ts'
import { parseOptions, UsageError } from './options.ts'
import type { Snapshot } from './snapshot.ts'
import { parseSsFilter, type SsFilter } from './ss-filter.ts'
import type { SsFamily } from './ss-host.ts'

/** What a command line of ss asks for. */

/**
 * Tables of sockets, as bits. Those behind `UnixSeqpacket` are of families and protocols that this stack does not have.
 */
export const Table = {
  Tcp: 1,
  Udp: 2,
  Raw: 4,
  UnixStream: 8,
  UnixDatagram: 16,
  UnixSeqpacket: 32,
  Dccp: 64,
  Sctp: 128,
  Mptcp: 256,
  PacketRaw: 512,
  PacketDatagram: 1024,
  Netlink: 2048,
  VsockStream: 4096,
  VsockDatagram: 8192,
  Tipc: 16_384,
  Xdp: 32_768,
} as const
const UNIX = Table.UnixStream | Table.UnixDatagram | Table.UnixSeqpacket
const INET = Table.Tcp | Table.Udp | Table.Raw | Table.Dccp | Table.Sctp | Table.Mptcp
const PACKET = Table.PacketRaw | Table.PacketDatagram
const VSOCK = Table.VsockStream | Table.VsockDatagram
const ALL_TABLES = INET | UNIX | PACKET | VSOCK | Table.Netlink | Table.Tipc | Table.Xdp

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
  short: 'naletuwxMSdro460pTf:miA:D:F:N:bsEKHOZzhV',
  long: {
    numeric: 'n',
    resolve: 'r',
    options: 'o',
    extended: 'e',
    memory: 'm',
    info: 'i',
    processes: 'p',
    threads: 'T',
    bpf: 'b',
    events: 'E',
    kill: 'K',
    tcp: 't',
    udp: 'u',
    raw: 'w',
    unix: 'x',
    mptcp: 'M',
    sctp: 'S',
    dccp: 'd',
    tipc: 'tipc',
    vsock: 'vsock',
    xdp: 'xdp',
    all: 'a',
    listening: 'l',
    ipv4: '4',
    ipv6: '6',
    packet: '0',
    'family:': 'f',
    'socket:': 'A',
    'query:': 'A',
    'diag:': 'D',
    'filter:': 'F',
    'net:': 'N',
    context: 'Z',
    contexts: 'z',
    tos: 'tos',
    cgroup: 'cgroup',
    tipcinfo: 'tipcinfo',
    'inet-sockopt': 'inet-sockopt',
    summary: 's',
    'no-header': 'H',
    oneline: 'O',
    version: 'V',
    help: 'h',
  },
} as const

/** Of its options, what is here. */
export const SS_USAGE =
  'Usage: ss [ -nralomiepTOH ] [ --tos ] [ -tuwx46 ] [ -f FAMILY ] [ -A QUERY ] [ -s ] [ state STATE ] [ EXPRESSION ]'

/** What ss can, and what looks at a snapshot cannot. */
const REFUSED: Readonly<Record<string, string>> = tableOf({
  K: 'ss: -K: a snapshot is only looked at: close a socket in its own program',
  E: 'ss: -E: a snapshot is of one moment: look again instead',
  D: 'ss: -D: there is no raw form of what the kernel would say',
  F: 'ss: -F: give the filter on the command line',
  N: 'ss: -N: there are no network namespaces: name a stack with --stack',
  Z: 'ss: SELinux is not enabled.',
  z: 'ss: SELinux is not enabled.',
  cgroup: 'ss: --cgroup: sockets here belong to no control group',
  'inet-sockopt': 'ss: --inet-sockopt: not known here: -e and -m show what there is',
  V: 'ss utility of netglass, after iproute2-6.1.0',
})

const CLOSED: StateSet = new Set(['CLOSE'])

/** Families that there are none of here: their tables, and the states that are shown unless others are asked for. */
const OTHER_FAMILIES: Readonly<Record<string, readonly [tables: number, states: StateSet]>> = tableOf({
  link: [PACKET, CLOSED],
  netlink: [Table.Netlink, CLOSED],
  vsock: [VSOCK, CONNECTED],
  tipc: [Table.Tipc, CONNECTED],
  xdp: [Table.Xdp, CLOSED],
})

/** What a command line asks for. */
export interface SsRequest {
  numeric: boolean
  resolve: boolean
  options: boolean
  extended: boolean
  memory: boolean
  info: boolean
  processes: boolean
  threads: boolean
  tos: boolean
  summary: boolean
  header: boolean
  oneLine: boolean
  tables: number
  /** Families asked for, and the last of them. */
  families: Set<SsFamily>
  preferred: SsFamily | null
  states: StateSet
  /** Was nothing said of tables or families? */
  isDefault: boolean
  filter: SsFilter
}

const FLAGS: Readonly<Record<string, keyof SsRequest>> = tableOf({
  n: 'numeric',
  r: 'resolve',
  o: 'options',
  m: 'memory',
  i: 'info',
  p: 'processes',
  s: 'summary',
  O: 'oneLine',
  tos: 'tos',
})

const QUERIES: Readonly<Record<string, number>> = tableOf({
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
  dccp: Table.Dccp,
  sctp: Table.Sctp,
  mptcp: Table.Mptcp,
  packet: PACKET,
  packet_raw: Table.PacketRaw,
  p_raw: Table.PacketRaw,
  packet_dgram: Table.PacketDatagram,
  p_dgr: Table.PacketDatagram,
  netlink: Table.Netlink,
  vsock: VSOCK,
  vsock_stream: Table.VsockStream,
  v_str: Table.VsockStream,
  vsock_dgram: Table.VsockDatagram,
  v_dgr: Table.VsockDatagram,
  tipc: Table.Tipc,
  xdp: Table.Xdp,
})

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
    threads: false,
    tos: false,
    summary: false,
    header: true,
    oneLine: false,
    tables: 0,
    families: new Set(),
    preferred: null,
    states: new Set(),
    isDefault: true,
    filter: { family: null, takes: () => true },
  }
  /** What -a, -l, state and exclude have set; null for nothing. */
  private chosen: StateSet | null = null
  private sawQuery = false
  /** Tables of the families that there are none of here, of those that were asked for. */
  private others = 0

  /** @throws UsageError for arguments that ss does not understand */
  read(args: readonly string[], snapshot: Snapshot, names?: Names): SsRequest {
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
      interfaces: new Map(snapshot.interfaces.map(({ index, name }) => [index, name])),
      preferred: request.preferred,
      names,
    })
    const { family } = request.filter
    if (family !== null) {
      request.families = new Set([family])
      request.preferred = family
    }
    return request
  }

  private option(name: string, value: string): void {
    const { request } = this
    const flag = FLAGS[name]
    if (flag !== undefined) {
      Object.assign(request, { [flag]: true })
      return
    }
    const refused = REFUSED[name]
    if (refused !== undefined) throw new UsageError(refused)
    switch (name) {
      case 'T':
        request.processes = true
        request.threads = true
        return
      case 'b':
        // There are no socket filters to show; ss shows timers along with them.
        request.options = true
        return
      case 'tipcinfo':
        return
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
      case 'M':
        this.table(Table.Mptcp, CONNECTED)
        return
      case 'S':
        this.table(Table.Sctp, CONNECTED)
        return
      case 'd':
        this.table(Table.Dccp, CONNECTED)
        return
      case '0':
        this.familyNamed('link')
        return
      case 'tipc':
      case 'vsock':
      case 'xdp':
        this.familyNamed(name)
        return
      case 'f':
        this.familyNamed(value)
        return
      case 'A':
        this.query(value)
        return
      default:
        throw new UsageError(SS_USAGE)
    }
  }

  private table(table: number, states: StateSet): void {
    this.request.tables |= table
    this.request.states = union(this.request.states, states)
    this.request.isDefault = false
  }

  /** @param states shown unless something else is asked for */
  private family(family: SsFamily, states = CONNECTED): void {
    const { request } = this
    request.families.add(family)
    request.states = union(request.states, states)
    request.isDefault = false
    request.preferred = family
  }

  private familyNamed(name: string): void {
    if (name === 'inet') this.family(4)
    else if (name === 'inet6') this.family(6)
    else if (name === 'unix') this.family('unix')
    else if (name === 'help') throw new UsageError(SS_USAGE)
    else if (OTHER_FAMILIES[name] !== undefined) {
      const [tables, states] = OTHER_FAMILIES[name]
      this.others |= tables
      this.family('other', states)
    } else throw new UsageError(`ss: "${name}" is invalid family`)
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
    if ((request.tables & ~(INET | UNIX)) !== 0) families.add('other')
    if ((request.tables & this.others) === 0) request.tables |= this.others
    if (request.states.size === 0) throw new UsageError('ss: no socket states to show with such filter.')
    if (request.tables === 0) throw new UsageError('ss: no socket tables to show with such filter.')
  }
}

export const ephemeralPorts = (snapshot: Snapshot): [number, number] => {
  const [first, last] = (snapshot.sysctl['net.ipv4.ip_local_port_range'] ?? '32768\t60999').split('\t').map(Number)
  return [first!, last!]
}
