import type { Timer } from '../core/timer.ts'
import type { Host } from '../host/host.ts'
import type { OpenFile } from '../socket/open-file.ts'
import { PortOwner } from '../socket/ports.ts'
import type { Socket } from '../socket/socket.ts'
import { TcpSocket } from '../socket/tcp.ts'
import { Nagle, Pending, Shutdown, TcpConnection } from '../tcp/connection.ts'
import { sendQueued } from '../tcp/flow.ts'
import { tcpInfo } from '../tcp/info.ts'
import type { TcpListener } from '../tcp/listener.ts'
import { Request } from '../tcp/request.ts'
import { TcpState, tcpStateName } from '../tcp/state.ts'
import { TimeWait } from '../tcp/time-wait.ts'
import type { TupleEntry } from '../tcp/tuple.ts'
import { receiveQueued, spaceOfWindow } from '../tcp/window.ts'
import { listDatagramSockets } from './snapshot-datagrams.ts'
import {
  endpoint,
  type Holder,
  type MemorySnapshot,
  NO_MEMORY,
  NO_OPTIONS,
  nobody,
  type OptionsSnapshot,
  type SocketSnapshot,
  socketOptions,
  type TcpSnapshot,
  type TimerKind,
  type TimerSnapshot,
} from './snapshot-types.ts'
import { listUnixSockets } from './snapshot-unix.ts'

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
  const found: SocketSnapshot[] = [...listDatagramSockets(host, holders), ...listUnixSockets(host, holders)]
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
  return sortSockets(found)
}

/** Sockets in the order in which a snapshot lists them. */
export const sortSockets = (sockets: readonly SocketSnapshot[]): SocketSnapshot[] =>
  sockets
    .map((socket) => [sortKey(socket), socket] as const)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([, socket]) => socket)

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

const connectionOptions = (c: TcpConnection, socket: Socket | null): OptionsSnapshot => ({
  ...(socket === null ? NO_OPTIONS : socketOptions(socket)),
  keepalive: c.options.keepalive,
  noDelay: (c.nagle & Nagle.Off) !== 0,
  cork: (c.nagle & Nagle.Cork) !== 0,
  oobInline: c.options.oobInline,
  trafficClass: c.options.trafficClass,
  hopLimit: c.options.hopLimit,
})

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
  portIsFixed: false,
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
    portIsFixed: socket.portIsFixed,
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
    portIsFixed: socket.portIsFixed,
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
    portIsFixed: socket === null ? wasBound(c) : socket.portIsFixed,
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

/** Had the socket that is gone bound its port? As far as can be told: what shares a listener's was accepted. */
const wasBound = ({ hold }: TcpConnection): boolean => hold instanceof PortOwner && !hold.automatic && !hold.hasListener

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
