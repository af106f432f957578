import type { Micros } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import { packFlags } from '../core/flags.ts'
import { Readiness } from '../core/readiness.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { KnownSockaddr, Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { ControlMessage } from './control.ts'
import type { SocketLayer } from './layer.ts'
import { OpenFile, SOCKET_FLAGS } from './open-file.ts'
import {
  getSocketOption,
  type OptionFailure,
  type OptionValue,
  setSocketOption,
  type TransmitTime,
} from './socket-options.ts'

/** The first of the bits in `OpenFile.bits` that sockets of the Internet families have, and of those of TCP. */
export const INET_FLAGS = 5
export const TCP_FLAGS = 10

/** Bytes, and a count. */
export interface MemoryUse {
  readonly receive: number
  /** Of packets that have not left, and of a queue that is kept until it is acknowledged. */
  readonly send: number
  readonly queued: number
  readonly drops: number
}

const NO_MEMORY_USE: MemoryUse = { receive: 0, send: 0, queued: 0, drops: 0 }

/** What a receive call learns beside the data. One object a call. */
export class Received {
  /** Who sent it; null where the socket does not tell. */
  from: KnownSockaddr | null = null
  /** MSG_TRUNC, MSG_OOB, MSG_CTRUNC …: what became of the message. */
  flags = 0
  /** Control messages, for those who ask for them; null for others. */
  control: ControlMessage[] | null = null
  /** Open files that came with the message, each with a reference that is the caller's now; null for none. */
  files: OpenFile[] | null = null
}

/**
 * The socket structure, behind the descriptor: what all kinds of sockets share. Calls do not block here: they return a
 * count or 0, or a negative `Errno`, -EAGAIN where a blocking call would wait (see host/calls.ts).
 */
export abstract class Socket extends OpenFile {
  readonly layer: SocketLayer
  /** Domain, type and protocol in one number: bits 24 and above, 16 to 23, and 0 to 15. */
  private readonly kind: number
  declare reuseAddress: boolean
  declare reusePort: boolean
  /** Options at SOL_SOCKET that are only kept, or that few set. Not to be written: see `ownKept`. */
  kept: KeptOptions
  declare private keepsOwn: boolean
  /** Names it among the host's sockets. */
  readonly inode: number
  /** Its neighbours in `SocketLayer.sockets`. */
  previousSocket: Socket | null = null
  nextSocket: Socket | null = null

  constructor(layer: SocketLayer, domain: number, type: number, protocol: number) {
    super()
    this.layer = layer
    this.kind = (domain << 24) | (type << 16) | protocol
    this.kept = layer.defaultKept
    this.inode = layer.newInode()
    layer.sockets.add(this)
  }

  override get isSocket(): boolean {
    return true
  }

  static {
    packFlags(Socket.prototype, ['reuseAddress', 'reusePort', 'keepsOwn'], SOCKET_FLAGS, INET_FLAGS)
  }

  /** SO_BINDTODEVICE, or the scope of a link-local address. */
  get boundInterface(): NetworkInterface | null {
    return this.kept.boundInterface
  }

  set boundInterface(iface: NetworkInterface | null) {
    if (iface !== this.kept.boundInterface) this.ownKept().boundInterface = iface
  }

  /** Who made it: 0 is the superuser. */
  get uid(): number {
    return this.kept.uid
  }

  set uid(uid: number) {
    if (uid === this.kept.uid) return
    if (this.kept === this.layer.defaultKept) this.kept = this.layer.keptOf(uid)
    else this.ownKept().uid = uid
  }

  /** AF_INET, AF_INET6, AF_UNIX … */
  get domain(): number {
    return this.kind >>> 24
  }

  /** SOCK_STREAM … */
  get type(): number {
    return (this.kind >>> 16) & 0xff
  }

  /** IPPROTO_TCP … */
  get protocol(): number {
    return this.kind & 0xffff
  }

  /** SO_SNDTIMEO, microseconds; 0 for no limit, less for not to wait at all. */
  get sendTimeout(): Micros {
    return this.kept.sendTimeout
  }

  set sendTimeout(limit: Micros) {
    this.ownKept().sendTimeout = limit
  }

  /** SO_RCVTIMEO, alike. */
  get receiveTimeout(): Micros {
    return this.kept.receiveTimeout
  }

  set receiveTimeout(limit: Micros) {
    this.ownKept().receiveTimeout = limit
  }

  /** SO_LINGER: seconds, -1 when it is off. */
  get lingerSeconds(): number {
    return this.kept.lingerSeconds
  }

  set lingerSeconds(seconds: number) {
    this.ownKept().lingerSeconds = seconds
  }

  /** 4 or 6, for sockets of the Internet families. */
  get family(): 4 | 6 {
    return this.domain === C.AF_INET6 ? 6 : 4
  }

  /** Where a receive with `flags` begins to look, by SO_PEEK_OFF; -1 when it takes, or looks at what is first. */
  protected peekPlace(flags: number): number {
    const { peekOffset } = this.kept
    return peekOffset >= 0 && (flags & C.MSG_PEEK) !== 0 ? peekOffset : -1
  }

  /**
   * `count` bytes were received with `flags`: SO_PEEK_OFF goes along with both, what is taken and what is looked at.
   */
  protected movePeek(count: number, flags: number): void {
    const { peekOffset } = this.kept
    if (peekOffset < 0) return
    const moved = (flags & C.MSG_PEEK) !== 0 ? peekOffset + count : Math.max(0, peekOffset - count)
    if (moved !== peekOffset) this.ownKept().peekOffset = moved
  }

  /** An empty datagram was received with `flags`: with SO_PEEK_OFF the next look is at what comes behind it. */
  protected notePeekedEmpty(flags: number): void {
    if (this.peekPlace(flags) >= 0) this.ownKept().peekedEmpty++
    else if (this.kept.peekedEmpty > 0 && (flags & C.MSG_PEEK) === 0) this.ownKept().peekedEmpty--
  }

  /** `kept`, made this socket's own so that it may be written. */
  ownKept(): KeptOptions {
    if (!this.keepsOwn) this.kept = Object.assign(new KeptOptions(), this.kept)
    this.keepsOwn = true
    return this.kept
  }

  /** Begins with what the socket that it was accepted from was set to. */
  protected inheritOptions(from: Socket): void {
    this.reuseAddress = from.reuseAddress
    this.reusePort = from.reusePort
    this.kept = from.kept
    from.keepsOwn = false
  }

  abstract bind(address: Sockaddr): number
  /** @returns 0, -EINPROGRESS when it has begun and is not over, or another negative `Errno` */
  abstract connect(address: Sockaddr): number
  /** @param control what sendmsg(2) has beside the data */
  abstract send(
    source: Uint8Array,
    at: number,
    length: number,
    flags: number,
    to: Sockaddr | null,
    control?: readonly ControlMessage[] | null,
  ): number
  abstract receive(target: Uint8Array, at: number, length: number, flags: number, received: Received | null): number
  abstract shutdown(how: number): number
  /** getsockname(2) and getpeername(2). @returns the address, or a negative `Errno` */
  abstract localAddress(): KnownSockaddr | number
  abstract peerAddress(): KnownSockaddr | number

  /** SO_SNDBUF and SO_RCVBUF as they are, bytes. */
  abstract get sendBuffer(): number
  abstract get receiveBuffer(): number
  /** @param asked bytes, cut to what is allowed, and not yet doubled */
  abstract setBuffer(which: 'send' | 'receive', asked: number): void

  /** What SO_MEMINFO tells of memory: what waits to be read, what waits to leave or to be acknowledged, and how often there was no room. */
  get memoryUse(): MemoryUse {
    return NO_MEMORY_USE
  }

  listen(_backlog: number): number {
    return -Errno.EOPNOTSUPP
  }

  /** The next connection; -EAGAIN when none waits, or another negative `Errno`. */
  accept(): Socket | number {
    return -Errno.EOPNOTSUPP
  }

  /**
   * How a connect that was begun stands: 0, -EINPROGRESS, or why it failed.
   * @param _again is it another connect(2) asking?
   */
  connectResult(_again: boolean): number {
    return 0
  }

  /** The peer of a connection just accepted, which may have ended already. */
  acceptedPeer(): KnownSockaddr | number {
    return this.peerAddress()
  }

  /** The error that waits to be reported (SO_ERROR), taken; 0 for none. */
  takeError(): number {
    return 0
  }

  /** Does an error wait to be reported, by `takeError` or the next call? */
  get hasError(): boolean {
    return (this.poll() & Readiness.Err) !== 0
  }

  /** How many bytes a blocking receive of `length` bytes waits for. */
  receiveTarget(_length: number): number {
    return 1
  }

  /** Bytes that a receive could take now, on a stream. */
  get receivable(): number {
    return 0
  }

  /** Does a send with `flags` open a connection: MSG_FASTOPEN, or a connect(2) that was put off until there is data? */
  opensBySending(_flags: number): boolean {
    return false
  }

  /**
   * Opens a connection with data in its SYN (RFC 7413).
   * @returns how many bytes the SYN has taken, or a negative `Errno`; how the connection stands tells `connectResult`
   */
  openBySending(_source: Uint8Array, _at: number, _length: number, _flags: number, _to: Sockaddr | null): number {
    return -Errno.EOPNOTSUPP
  }

  /** A send that had to wait for room ends before all is sent. */
  sendEnded(): void {}

  /** Bytes that a receive could take now without passing an urgent mark. */
  get runLength(): number {
    return this.receivable
  }

  /** Has the last receive ended where no more may be added to it: at the urgent mark? */
  get endsRun(): boolean {
    return false
  }

  /** Does connect(2) wait where it would give EAGAIN? */
  get connectWaits(): boolean {
    return false
  }

  /** Does send(2) wait while there is no room? */
  get sendWaits(): boolean {
    return this.isStream
  }

  /** A call begins, or ends, to wait for room to send. */
  noteWriter(_waits: boolean): void {}

  /** Must send(2) go on until everything is taken: is it a stream? */
  get isStream(): boolean {
    return this.type === C.SOCK_STREAM
  }

  get isListening(): boolean {
    return false
  }

  /** Does a close with SO_LINGER still have to wait? */
  get isLingering(): boolean {
    return false
  }

  /** What close(2) does before it waits with SO_LINGER. @returns whether there is something to wait for */
  beginLingeringClose(): boolean {
    return false
  }

  override read(target: Uint8Array, at: number, length: number): number {
    return this.receive(target, at, length, 0, null)
  }

  override write(source: Uint8Array, at: number, length: number): number {
    return this.send(source, at, length, 0, null)
  }

  /** Sets an option. @returns 0 or a negative `Errno` */
  setOption(level: number, name: number, value: OptionValue): number {
    return level === C.SOL_SOCKET ? setSocketOption(this, name, value) : -Errno.ENOPROTOOPT
  }

  /** Reads an option. */
  getOption(level: number, name: number): OptionValue | OptionFailure {
    return level === C.SOL_SOCKET ? getSocketOption(this, name) : { errno: Errno.EOPNOTSUPP }
  }

  /** An option at SOL_SOCKET was set that a kind of socket may have to follow. @returns 0 or a negative `Errno` */
  optionChanged(_name: number, _value: number): number {
    return 0
  }

  protected override release(): void {
    this.layer.sockets.delete(this)
  }

  protected override notifyOwner(): void {
    this.layer.onAsync?.(this)
  }
}

/** What `Socket.kept` has. One object serves all sockets that left it alone. */
export class KeptOptions {
  boundInterface: NetworkInterface | null = null
  uid = 0
  sendTimeout: Micros = 0
  receiveTimeout: Micros = 0
  lingerSeconds = -1
  debug = false
  dontRoute = false
  broadcast = false
  keepAlive = false
  outOfBandInline = false
  noCheck = false
  priority = 0
  mark = 0
  /** SO_TIMESTAMP, SO_TIMESTAMPNS, and SO_TIMESTAMPING's bits. */
  timestamp = false
  timestampNs = false
  timestamping = 0
  zerocopy = false
  /** SO_MAX_PACING_RATE, bytes per second. */
  maxPacingRate = Number.POSITIVE_INFINITY
  /** SO_BUF_LOCK. */
  bufferLocks = 0
  /** SO_SELECT_ERR_QUEUE. */
  tellsErrorQueue = false
  /** SO_TXTIME; null while it was not set. */
  transmitTime: TransmitTime | null = null
  dropCount = false
  /** SO_PASSSEC: there are no labels of security. */
  passesLabels = false
  receiveLowat = 1
  /** SO_PEEK_OFF: where MSG_PEEK begins, bytes from the first that was not read; less than 0 for always there. */
  peekOffset = -1
  /** Empty datagrams in front that MSG_PEEK has passed over. */
  peekedEmpty = 0
  /** l_linger while SO_LINGER is off. */
  idleLinger = 0
}
