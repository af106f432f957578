import type { Micros } from '../core/clock.ts'
import type { Socket } from '../socket/socket.ts'
import type { TcpInfo } from '../tcp/info.ts'
import { IPV4_ANY, IPV6_ANY, type IpAddress } from '../wire/address.ts'

/** Sockets as a snapshot has them. */

/** A descriptor of a process that refers to a socket. */
export interface Holder {
  pid: number
  process: string
  uid: number
  fd: number
}

/** An address, and a port where there is one. */
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
  /** Was the local port asked for by number with bind(2)? What accept(2) gives has its listener's, and did not ask. */
  portIsFixed: boolean
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
  /** SO_PRIORITY and SO_MARK. */
  priority: number
  mark: number
}

/** What a connection's timer waits for, in netstat's words. */
export type TimerKind =
  | 'retransmit'
  | 'loss probe'
  | 'reorder'
  | 'persist'
  | 'keepalive'
  | 'delayed ack'
  | 'syn-ack'
  | 'time-wait'

/** The timer that netstat -o and ss -o show. */
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
   * is not acknowledged; a FIN and a SYN count one. Of a listener, `receiveQueue` is the accept queue's length; ss
   * shows `backlog` in place of `sendQueue`.
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
  /**
   * `receiveQueue` is the memory that the datagrams take, headers and
   * overhead included, as on Linux; here how many there are.
   */
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
  /** The inodes of those who have connected to it and were not accepted. */
  waiting: number[]
  memory: MemorySnapshot
  shutdown: number
}

export type InternetSnapshot = TcpSnapshot | UdpSnapshot | RawSnapshot
export type SocketSnapshot = InternetSnapshot | UnixSnapshot

/** What follows from the socket structure itself. */
export const socketOptions = (socket: Socket): OptionsSnapshot => ({
  ...NO_OPTIONS,
  reuseAddress: socket.reuseAddress,
  reusePort: socket.reusePort,
  linger: socket.lingerSeconds < 0 ? null : socket.lingerSeconds,
  priority: socket.kept.priority,
  mark: socket.kept.mark,
})

export const NO_OPTIONS: OptionsSnapshot = {
  reuseAddress: false,
  reusePort: false,
  linger: null,
  keepalive: false,
  noDelay: false,
  cork: false,
  oobInline: false,
  trafficClass: 0,
  hopLimit: 0,
  priority: 0,
  mark: 0,
}

export const endpoint = (address: IpAddress, port: number): EndpointSnapshot => ({ address: `${address}`, port })

/** The wildcard of a family, without a port: the peer of a socket that has none. */
export const nobody = (family: 4 | 6): EndpointSnapshot => endpoint(family === 4 ? IPV4_ANY : IPV6_ANY, 0)

export const NO_MEMORY: MemorySnapshot = { receive: 0, receiveBuffer: 0, sendBuffer: 0, send: 0, drops: 0 }
