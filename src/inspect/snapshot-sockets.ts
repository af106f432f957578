import type { Micros } from '../core/clock.ts'
import type { Timer } from '../core/timer.ts'
import type { Host } from '../host/host.ts'
import type { OpenFile } from '../socket/open-file.ts'
import { PortOwner } from '../socket/ports.ts'
import type { Socket } from '../socket/socket.ts'
import { TcpSocket } from '../socket/tcp.ts'
import { Nagle, Pending, Shutdown, TcpConnection } from '../tcp/connection.ts'
import { sendQueued } from '../tcp/flow.ts'
import { type TcpInfo, tcpInfo } from '../tcp/info.ts'
import type { TcpListener } from '../tcp/listener.ts'
import { Request } from '../tcp/request.ts'
import { TcpState, tcpStateName } from '../tcp/state.ts'
import { TimeWait } from '../tcp/time-wait.ts'
import type { TupleEntry } from '../tcp/tuple.ts'
import { receiveQueued, spaceOfWindow } from '../tcp/window.ts'
import { IPV4_ANY, IPV6_ANY, type IpAddress } from '../wire/address.ts'

/** A descriptor of a process that refers to a socket. */
export interface Holder {
  pid: number
  process: string
  uid: number
  fd: number
}

export interface EndpointSnapshot {
  /** Without a zone. An IPv4 address of an IPv6 socket is written as IPv4. */
  address: string
  port: number
}

/** What all kinds of sockets have. */
export interface SocketCommon {
  /** Names the socket as long as a descriptor refers to it, as an inode does; 0 for what is no descriptor's. */
  inode: number
  /** Names the structure as long as it lasts, socket or not. */
  cookie: number
  /** Its socket's: 4 for AF_INET, 6 for AF_INET6. */
  family: 4 | 6
  local: EndpointSnapshot
  remote: EndpointSnapshot
  /** The interface that it is bound to, or whose link-local address it has; null for any. */
  interface: string | null
  uid: number
  holders: Holder[]
  /** As netstat shows them, bytes: see the kinds. */
  receiveQueue: number
  sendQueue: number
  memory: MemorySnapshot
  /** Directions that are over: bit 0 receiving, bit 1 sending. */
  shutdown: number
  /** IPV6_V6ONLY. */
  v6only: boolean
  options: OptionsSnapshot
}

/** Memory of a socket as `ss -m` shows it, bytes. */
export interface MemorySnapshot {
  receive: number
  /** SO_RCVBUF and SO_SNDBUF. */
  receiveBuffer: number
  sendBuffer: number
  /** Held by what is to be sent. */
  send: number
  /** Packets dropped for want of room. */
  drops: number
}

/** Options of SOL_SOCKET, and of the protocol where they are set. */
export interface OptionsSnapshot {
  reuseAddress: boolean
  reusePort: boolean
  /** SO_LINGER, seconds; null when it is off. */
  linger: number | null
  keepalive: boolean
  noDelay: boolean
  cork: boolean
  oobInline: boolean
  /** IP_TOS or IPV6_TCLASS; IP_TTL or IPV6_UNICAST_HOPS, 0 for the host's default. */
  trafficClass: number
  hopLimit: number
}

export type TimerKind =
  | 'retransmit'
  | 'loss probe'
  | 'reorder'
  | 'persist'
  | 'keepalive'
  | 'delayed ack'
  | 'syn-ack'
  | 'time-wait'

export interface TimerSnapshot {
  kind: TimerKind
  /** Time until it fires, microseconds; 0 for one that is due. */
  left: Micros
}

/** Anything that TCP has under a pair of endpoints, or listens with. */
export interface TcpSnapshot extends SocketCommon {
  protocol: 'tcp'
  /** `half-open`: a SYN was answered, its third message has not come. `closed`: a socket without a connection. */
  kind: 'listener' | 'connection' | 'half-open' | 'time-wait' | 'closed'
  /** As netstat writes it: `ESTABLISHED`, `FIN_WAIT2`, `SYN_RECV`. What is left of an orphan may be in FIN_WAIT2. */
  state: string
  /** Who has it: a socket, the accept queue of a listener, or, as an orphan or in TIME_WAIT, nobody. */
  owner: 'socket' | 'accept queue' | 'nobody'
  /**
   * Of a connection, `receiveQueue` counts what has arrived in order and was not read, `sendQueue` what was written and
   * is not acknowledged; a FIN and a SYN count one. Of a listener, `receiveQueue` is the accept queue's length; ss shows
   * `backlog` in place of `sendQueue`.
   */
  backlog: number
  /** Half-open connections of a listener. */
  halfOpen: number
  timers: TimerSnapshot[]
  /** Time-outs in a row, exponent of the back-off, and probes without an answer. */
  retransmits: number
  backoff: number
  probes: number
  /** Bytes sent and not acknowledged; received beyond a gap. */
  inFlight: number
  outOfOrder: number
  /** An error that the socket has still to report, as `Errno`; 0 for none. */
  error: number
  /** The congestion control's name; null where there is none. */
  congestion: string | null
  info: TcpInfo | null
}

/** A UDP socket. */
export interface UdpSnapshot extends SocketCommon {
  protocol: 'udp'
  /** `ESTABLISHED` when it is connected, `CLOSE` otherwise. */
  state: string
  /** `receiveQueue` is the memory that the datagrams take, headers and overhead included, as on Linux; here how many there are. */
  datagrams: number
  /** Bytes of data in them. */
  dataBytes: number
}

/** A raw socket, or a ping socket. */
export interface RawSnapshot extends SocketCommon {
  protocol: 'raw' | 'icmp'
  state: string
  /** The protocol above IP that it receives; for a ping socket the identifier is the local port. */
  ipProtocol: number
  datagrams: number
  dataBytes: number
}

/** A socket of the Unix domain. */
export interface UnixSnapshot {
  protocol: 'unix'
  type: 'stream' | 'dgram' | 'seqpacket'
  /** As netstat writes it: `LISTENING`, `CONNECTED`, `CONNECTING`, `DISCONNECTING`, or empty. */
  state: string
  inode: number
  cookie: number
  /** The peer's; 0 for none. */
  peer: number
  /** Null for a socket without a name; a name in the abstract space begins with `@`. */
  path: string | null
  references: number
  uid: number
  holders: Holder[]
  receiveQueue: number
  sendQueue: number
  /** Of a listening socket. */
  backlog: number
  memory: MemorySnapshot
  shutdown: number
}

export type InternetSnapshot = TcpSnapshot | UdpSnapshot | RawSnapshot
export type SocketSnapshot = InternetSnapshot | UnixSnapshot

/** Who has which file open, in order of processes and descriptors. */
export const listHolders = (host: Host): Map<OpenFile, Holder[]> => {
  const holders = new Map<OpenFile, Holder[]>()
  for (const process of host.processes.values()) {
    if (!process.isAlive) continue
    for (const fd of process.files.numbers()) {
      const file = process.files.get(fd)!
      const holder = { pid: process.pid, process: process.name, uid: process.uid, fd }
      const known = holders.get(file)
      if (known === undefined) holders.set(file, [holder])
      else known.push(holder)
    }
  }
  return holders
}

/** Every socket of a host, and what TCP has beside them. */
export const listSockets = (host: Host, holders: ReadonlyMap<OpenFile, Holder[]>): SocketSnapshot[] => {
  const found: SocketSnapshot[] = []
  const { sockets } = host
  for (const socket of sockets.sockets) {
    const own = holders.get(socket) ?? []
    if (socket instanceof TcpSocket) {
      if (socket.listener !== null) found.push(listener(socket, socket.listener, own))
      else if (!socket.c.inTable) found.push(unconnected(socket, own))
    }
  }
  for (const entry of sockets.tcp.table.entries()) {
    if (entry instanceof TcpConnection) found.push(connection(entry, holders))
    else if (entry instanceof Request) found.push(halfOpen(entry))
    else if (entry instanceof TimeWait) found.push(timeWait(entry))
  }
  return found
    .map((socket) => [sortKey(socket), socket] as const)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([, socket]) => socket)
}

const PROTOCOL_ORDER = ['tcp', 'udp', 'raw', 'icmp', 'unix']

/** Text whose order is that of the list. */
const sortKey = (socket: SocketSnapshot): string => {
  const digits = (value: number): string => String(value).padStart(10, '0')
  const protocol = PROTOCOL_ORDER.indexOf(socket.protocol)
  if (socket.protocol === 'unix') return `${protocol} ${digits(socket.inode)}`
  const listens = socket.protocol === 'tcp' && socket.kind === 'listener' ? 0 : 1
  const { local, remote } = socket
  const ports = `${digits(local.port)} ${local.address} ${digits(remote.port)} ${remote.address}`
  return `${protocol} ${socket.family} ${listens} ${ports} ${digits(socket.inode)} ${digits(socket.cookie)}`
}

/** What follows from the socket structure itself. */
export const socketOptions = (socket: Socket): OptionsSnapshot => ({
  ...NO_OPTIONS,
  reuseAddress: socket.reuseAddress,
  reusePort: socket.reusePort,
  linger: socket.lingerSeconds < 0 ? null : socket.lingerSeconds,
})

const NO_OPTIONS: OptionsSnapshot = {
  reuseAddress: false,
  reusePort: false,
  linger: null,
  keepalive: false,
  noDelay: false,
  cork: false,
  oobInline: false,
  trafficClass: 0,
  hopLimit: 0,
}

const connectionOptions = (c: TcpConnection, socket: Socket | null): OptionsSnapshot => ({
  ...(socket === null ? NO_OPTIONS : socketOptions(socket)),
  keepalive: c.options.keepalive,
  noDelay: (c.nagle & Nagle.Off) !== 0,
  cork: (c.nagle & Nagle.Cork) !== 0,
  oobInline: c.options.oobInline,
  trafficClass: c.options.trafficClass,
  hopLimit: c.options.hopLimit,
})

export const endpoint = (address: IpAddress, port: number): EndpointSnapshot => ({ address: `${address}`, port })

/** The wildcard of a family, without a port: the peer of a socket that has none. */
export const nobody = (family: 4 | 6): EndpointSnapshot => endpoint(family === 4 ? IPV4_ANY : IPV6_ANY, 0)

const NO_MEMORY: MemorySnapshot = { receive: 0, receiveBuffer: 0, sendBuffer: 0, send: 0, drops: 0 }

/** What is the same for everything of TCP that has no connection. */
const blank = {
  protocol: 'tcp' as const,
  receiveQueue: 0,
  sendQueue: 0,
  backlog: 0,
  halfOpen: 0,
  timers: [] as TimerSnapshot[],
  retransmits: 0,
  backoff: 0,
  probes: 0,
  inFlight: 0,
  outOfOrder: 0,
  error: 0,
  shutdown: 0,
  v6only: false,
  congestion: null,
  info: null,
}

const connectionMemory = (c: TcpConnection): MemorySnapshot => ({
  receive: spaceOfWindow(c, receiveQueued(c)),
  receiveBuffer: c.receiveBuffer,
  sendBuffer: c.sendBuffer,
  send: sendQueued(c),
  drops: 0,
})

const listener = (socket: TcpSocket, passive: TcpListener, holders: Holder[]): TcpSnapshot => {
  const { c } = socket
  return {
    ...blank,
    kind: 'listener',
    state: tcpStateName(TcpState.Listen),
    owner: 'socket',
    inode: socket.inode,
    cookie: socket.inode,
    family: socket.family,
    local: endpoint(socket.local, socket.localPort),
    remote: nobody(socket.family),
    interface: (socket.boundInterface ?? c.scope)?.name ?? null,
    uid: socket.uid,
    holders,
    receiveQueue: passive.acceptQueue.length,
    backlog: passive.backlog,
    halfOpen: passive.requests,
    v6only: socket.v6only,
    memory: connectionMemory(c),
    options: connectionOptions(c, socket),
    congestion: c.control.name,
    info: {
      ...tcpInfo(c),
      tcpi_state: TcpState.Listen,
      tcpi_unacked: passive.acceptQueue.length,
      tcpi_sacked: passive.backlog,
    },
  }
}

/** A socket that is bound at the most, or whose connection has ended. */
const unconnected = (socket: TcpSocket, holders: Holder[]): TcpSnapshot => {
  const { c } = socket
  const isOver = c.remotePort !== 0
  return {
    ...blank,
    kind: 'closed',
    state: tcpStateName(TcpState.Closed),
    owner: 'socket',
    inode: socket.inode,
    cookie: socket.inode,
    family: socket.family,
    local: endpoint(isOver ? c.local : socket.local, socket.localPort),
    remote: isOver ? endpoint(c.remote, c.remotePort) : nobody(socket.family),
    interface: (socket.boundInterface ?? c.scope)?.name ?? null,
    uid: socket.uid,
    holders,
    receiveQueue: c.receiveQueueBytes,
    shutdown: c.shutdown,
    error: c.error,
    v6only: socket.v6only,
    memory: connectionMemory(c),
    options: connectionOptions(c, socket),
    congestion: c.control.name,
    info: tcpInfo(c),
  }
}

/** What is known of anything in the table. */
const tupleOf = (entry: TupleEntry, family: 4 | 6) => ({
  cookie: entry.hash >>> 0,
  family,
  local: endpoint(entry.local, entry.localPort),
  remote: endpoint(entry.remote, entry.remotePort),
  interface: entry.scope === null ? null : entry.scope.name,
})

/** The family of the socket that an entry came from, as far as it is still known. */
const familyOf = (entry: TupleEntry, socket: Socket | null): 4 | 6 => {
  if (socket !== null) return socket.family
  return entry.hold instanceof PortOwner ? entry.hold.claim.family : entry.local.family
}

const connection = (c: TcpConnection, holders: ReadonlyMap<OpenFile, Holder[]>): TcpSnapshot => {
  const socket = c.observer instanceof TcpSocket ? c.observer : null
  const through = c.listener?.observer instanceof TcpSocket ? c.listener.observer : null
  return {
    ...blank,
    ...tupleOf(c, familyOf(c, socket ?? through)),
    kind: 'connection',
    state: tcpStateName(c.state),
    owner: socket !== null ? 'socket' : through !== null ? 'accept queue' : 'nobody',
    inode: socket === null ? 0 : socket.inode,
    uid: (socket ?? through)?.uid ?? 0,
    holders: (socket === null ? undefined : holders.get(socket)) ?? [],
    receiveQueue: c.receiveQueueBytes,
    sendQueue: c.sendQueueBytes,
    timers: connectionTimers(c),
    retransmits: c.retransmits,
    backoff: c.backoff,
    probes: c.probes,
    inFlight: Math.max(0, (c.snd.nxt - c.snd.una) | 0),
    outOfOrder: c.reassembly === null ? 0 : c.reassembly.bytes,
    error: c.error,
    shutdown: c.shutdown & Shutdown.Both,
    v6only: (socket ?? through)?.v6only ?? false,
    memory: connectionMemory(c),
    options: connectionOptions(c, socket),
    congestion: c.control.name,
    info: tcpInfo(c),
  }
}

const PENDING_KINDS: Readonly<Record<number, TimerKind>> = {
  [Pending.Retransmit]: 'retransmit',
  [Pending.LossProbe]: 'loss probe',
  [Pending.Persist]: 'persist',
  [Pending.Reorder]: 'reorder',
}

const connectionTimers = (c: TcpConnection): TimerSnapshot[] => {
  const timers: TimerSnapshot[] = []
  const { now } = c.layer.loop
  const add = (kind: TimerKind | undefined, timer: Timer | null): void => {
    if (kind !== undefined && timer?.isSet) timers.push({ kind, left: Math.max(0, timer.deadline - now) })
  }
  add(PENDING_KINDS[c.pending], c.retransmitTimer)
  add('keepalive', c.keepaliveTimer)
  add('delayed ack', c.ackTimer)
  return timers
}

const halfOpen = (request: Request): TcpSnapshot => {
  const { observer, layer } = request.listener
  const socket = observer instanceof TcpSocket ? observer : null
  return {
    ...blank,
    ...tupleOf(request, familyOf(request, socket)),
    kind: 'half-open',
    state: tcpStateName(TcpState.SynReceived),
    owner: 'nobody',
    inode: 0,
    uid: socket?.uid ?? 0,
    holders: [],
    timers: [{ kind: 'syn-ack', left: Math.max(0, request.deadline - layer.loop.now) }],
    retransmits: request.timeouts,
    v6only: socket?.v6only ?? false,
    memory: NO_MEMORY,
    options: NO_OPTIONS,
  }
}

const timeWait = (rest: TimeWait): TcpSnapshot => ({
  ...blank,
  ...tupleOf(rest, familyOf(rest, null)),
  kind: 'time-wait',
  state: tcpStateName(rest.state),
  owner: 'nobody',
  inode: 0,
  uid: 0,
  holders: [],
  timers: [{ kind: 'time-wait', left: Math.max(0, rest.timer.deadline - rest.layer.loop.now) }],
  memory: NO_MEMORY,
  options: { ...NO_OPTIONS, trafficClass: rest.trafficClass, hopLimit: rest.hopLimit },
})
