import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import { MIN_RECEIVE_BUFFER, MIN_SEND_BUFFER } from '../ip/truesize.ts'
import type { KnownSockaddr, Sockaddr } from './address.ts'
import * as C from './constants.ts'
import { type ControlMessage, type Credentials, isCredentials, isPassedFiles } from './control.ts'
import type { SocketLayer } from './layer.ts'
import type { OpenFile } from './open-file.ts'
import { type MemoryUse, type Received, Socket } from './socket.ts'
import { NO_CREDENTIALS, type OptionFailure, type OptionValue } from './socket-options.ts'
import { collectUnix } from './unix-gc.ts'
import { readUnixName } from './unix-names.ts'
import { type UnixMessage, UnixQueue } from './unix-queue.ts'

/** Who a message is from where nobody has said so: the overflow user. */
const UNKNOWN: Credentials = { pid: 0, uid: 65_534, gid: 65_534 }

export type UnixState = 'closed' | 'listening' | 'connected'

/** What is sent beside the data. */
interface Ancillary {
  readonly files: OpenFile[] | null
  readonly credentials: Credentials | null
}

/** A Unix domain socket (unix(7)): what stream, datagram and seqpacket sockets have in common. */
export abstract class UnixSocket extends Socket {
  state: UnixState = 'closed'
  /** As getsockname(2) gives it; null for none. */
  name: string | null = null
  /** Whom it is connected to: that one may be closed already. */
  peer: UnixSocket | null = null
  /** Nobody has it open any more. */
  isClosed = false
  /** Directions that are over: bit 0 receiving, bit 1 sending. */
  shutdownBits = 0
  /** Has a descriptor referred to it: is it more than a connection that waits to be accepted? */
  wasHanded = true
  readonly inbox: UnixQueue
  /** Memory that what it has sent and nobody has read takes, bytes. */
  charged = 0
  sendBuffer: number
  receiveBuffer: number
  /** SO_PEERCRED. */
  peerCredentials: Credentials | null = null
  /** How many references of it are in messages that nobody has read. */
  inFlight = 0
  protected error = 0
  private passesCredentials = false
  /** Those that have found its queue full. */
  private readonly turnedAway = new Set<UnixSocket>()
  /** Whose queues this one has found full; null for none so far. */
  private foundFull: Set<UnixSocket> | null = null

  constructor(layer: SocketLayer, type: number) {
    super(layer, C.AF_UNIX, type, 0)
    this.inbox = new UnixQueue(layer.ip.world.memory)
    this.sendBuffer = layer.settings.wmem_default
    this.receiveBuffer = layer.settings.rmem_default
  }

  bind(address: Sockaddr): number {
    const name = readUnixName(address)
    if (typeof name === 'number') return name
    if (name === '') return this.bindItself()
    const { unixNames, caller } = this.layer
    if (name.startsWith('\0')) {
      if (this.name !== null) return -Errno.EINVAL
      const taken = unixNames.bindAbstract(this, name)
      if (taken === 0) this.name = name
      return taken
    }
    // The path is looked at before the socket, as on Linux.
    const taken = unixNames.bindPath(this, name, caller.uid)
    if (taken !== 0) return taken
    if (this.name !== null) {
      unixNames.unlink(name, 0)
      return -Errno.EINVAL
    }
    this.name = name
    return 0
  }

  /** Takes a free name in the abstract space, unless it has a name. */
  protected bindItself(): number {
    if (this.name !== null) return 0
    const { unixNames, random } = this.layer
    this.name = unixNames.choose(this, random.below(0x10_0000))
    return this.name === null ? -Errno.ENOSPC : 0
  }

  /** Those who tell who they are need a name for it. */
  protected bindForCredentials(): void {
    if (this.passesCredentials) this.bindItself()
  }

  /** The socket that an address names. @returns a negative `Errno` for none */
  protected findPeer(name: string): UnixSocket | number {
    return this.layer.unixNames.find(name, this.type, this.layer.caller.uid)
  }

  /** socketpair(2): the two are each other's peers. */
  pairWith(other: UnixSocket): void {
    this.connectWith(other)
    this.peerCredentials = other.peerCredentials = this.layer.caller.credentials
  }

  /** The two are each other's peers from now on. */
  protected connectWith(other: UnixSocket): void {
    this.peer = other
    other.peer = this
    this.state = other.state = 'connected'
  }

  /** Is there no room for another connection or datagram in its queue? */
  abstract get isFull(): boolean
  /** Connections that wait to be accepted. */
  abstract get waitingConnections(): Iterable<UnixSocket>

  /** May more be sent without waiting? Less than a quarter of SO_SNDBUF is in use. */
  protected get isWritable(): boolean {
    return this.state !== 'listening' && this.charged * 4 <= this.sendBuffer
  }

  /** `from` has found the queue full: it is told when there is room. */
  turnAway(from: UnixSocket): void {
    this.turnedAway.add(from)
    from.foundFull ??= new Set()
    from.foundFull.add(this)
  }

  /** There is room in the queue: those who were turned away may come again. */
  protected admit(): void {
    if (this.turnedAway.size === 0) return
    const waiting = [...this.turnedAway]
    this.turnedAway.clear()
    for (const socket of waiting) {
      socket.foundFull?.delete(this)
      socket.wake(Readiness.Out)
    }
  }

  /**
   * Reads what is sent beside the data.
   * @returns it, with references of its own to the files, or a negative `Errno`
   */
  protected readAncillary(control: readonly ControlMessage[] | null, to: UnixSocket | null): Ancillary | number {
    const { caller } = this.layer
    let files: OpenFile[] | null = null
    let credentials: Credentials | null = null
    for (const { cmsg_level, cmsg_type, data } of control ?? []) {
      if (cmsg_level !== C.SOL_SOCKET) continue
      if (cmsg_type === C.SCM_RIGHTS && isPassedFiles(data)) files = [...(files ?? []), ...data.files]
      else if (cmsg_type === C.SCM_CREDENTIALS && isCredentials(data)) {
        const { pid, uid, gid } = data
        const isOwn = pid === caller.pid && uid === caller.uid && gid === caller.credentials.gid
        if (caller.uid !== 0 && !isOwn) return -Errno.EPERM
        credentials = { pid, uid, gid }
      } else return -Errno.EINVAL
    }
    if (files !== null && files.length > C.SCM_MAX_FD) return -Errno.EINVAL
    if (credentials === null && (this.passesCredentials || to?.passesCredentials === true)) {
      credentials = caller.credentials
    }
    return { files: files !== null && files.length > 0 ? files : null, credentials }
  }

  /** Puts a message into the queue of `to`. @returns false when memory is out */
  protected deliver(
    to: UnixSocket,
    source: Uint8Array,
    at: number,
    length: number,
    charge: number,
    beside: Ancillary,
  ): boolean {
    const message = {
      sender: this,
      left: length,
      charge,
      files: beside.files,
      credentials: beside.credentials,
      isTaken: false,
    }
    if (!to.inbox.push(message, source, at)) return false
    this.charged += charge
    for (const file of message.files ?? []) {
      file.retain()
      if (file instanceof UnixSocket) this.layer.noteInFlight(file, 1)
    }
    to.wake(Readiness.In)
    return true
  }

  /** A message is gone: its sender may send more. */
  protected settle({ sender, charge }: UnixMessage): void {
    sender.charged -= charge
    if (sender.isWritable) sender.wake(Readiness.Out)
  }

  /** Tells a receive call what came with a message. @param keeps does the message stay in the queue? */
  protected tellAncillary(message: UnixMessage, received: Received | null, keeps: boolean): void {
    const { files } = message
    if (received !== null) {
      received.from = message.sender.name === null ? null : formatUnix(message.sender.name)
      if (received.control !== null && this.passesCredentials && !received.control.some(isCredentialsMessage)) {
        received.control.push({
          cmsg_level: C.SOL_SOCKET,
          cmsg_type: C.SCM_CREDENTIALS,
          data: message.credentials ?? UNKNOWN,
        })
      }
    }
    if (files === null) return
    if (received !== null && received.control !== null) {
      for (const file of files) file.retain()
      received.files = files
    } else if (received !== null) received.flags |= C.MSG_CTRUNC
    if (!keeps) this.dropFiles(message)
  }

  /**
   * Receives a message whole: what does not fit is lost.
   * @returns bytes copied; with MSG_TRUNC, bytes of the message
   */
  protected receiveMessage(
    target: Uint8Array,
    at: number,
    length: number,
    flags: number,
    received: Received | null,
  ): number {
    const isPeek = (flags & C.MSG_PEEK) !== 0
    const { ring, messages } = this.inbox
    const place = this.peekPlace(flags)
    let skip = Math.max(0, place)
    let empty = place < 0 ? 0 : this.kept.peekedEmpty
    let index = 0
    let start = 0
    // Messages that were looked at to their ends are passed over.
    while (index < messages.length && skip >= messages.at(index).left && (skip > 0 || empty-- > 0)) {
      skip -= messages.at(index).left
      start += messages.at(index++).left
    }
    if (index === messages.length) return -Errno.EAGAIN
    const message = messages.at(index)
    const left = message.left - skip
    const count = Math.min(length, left)
    ring.peek(target, at, start + skip, count)
    this.tellAncillary(message, received, isPeek)
    if (received !== null && count < left) received.flags |= C.MSG_TRUNC
    this.movePeek(isPeek ? count : message.left, flags)
    if (message.left === 0) this.notePeekedEmpty(flags)
    if (!isPeek) {
      this.inbox.shift()
      this.settle(message)
      this.admit()
    }
    return (flags & C.MSG_TRUNC) !== 0 ? left : count
  }

  /** Does it matter who a message is from: may two not be read as one? */
  protected differs(a: UnixMessage, b: UnixMessage): boolean {
    if (!this.passesCredentials) return false
    const x = a.credentials ?? UNKNOWN
    const y = b.credentials ?? UNKNOWN
    return x.pid !== y.pid || x.uid !== y.uid || x.gid !== y.gid
  }

  /** Lets go of the files that came with a message. */
  protected dropFiles(message: UnixMessage): void {
    const { files } = message
    message.files = null
    for (const file of files ?? []) {
      if (file instanceof UnixSocket) this.layer.noteInFlight(file, -1)
      file.unref()
    }
  }

  /** Throws away what was received. */
  dropQueue(): void {
    while (this.inbox.messages.length > 0) {
      const message = this.inbox.shift()
      this.settle(message)
      this.dropFiles(message)
    }
    this.admit()
  }

  shutdown(how: number): number {
    if (how !== C.SHUT_RD && how !== C.SHUT_WR && how !== C.SHUT_RDWR) return -Errno.EINVAL
    const bits = how + 1
    this.shutdownBits |= bits
    const { peer } = this
    if (peer !== null && this.type !== C.SOCK_DGRAM) {
      peer.shutdownBits |= ((bits & 1) << 1) | (bits >> 1)
      peer.wake(0)
    }
    this.wake(0)
    this.admit()
    return 0
  }

  localAddress(): KnownSockaddr {
    return formatUnix(this.name)
  }

  peerAddress(): KnownSockaddr | number {
    return this.peer === null ? -Errno.ENOTCONN : formatUnix(this.peer.name)
  }

  override get sendWaits(): boolean {
    return true
  }

  override takeError(): number {
    const { error } = this
    this.error = 0
    return error
  }

  fail(error: number): void {
    this.error = error
    this.wake(Readiness.Err)
  }

  setBuffer(which: 'send' | 'receive', asked: number): void {
    if (which === 'send') {
      this.sendBuffer = Math.max(asked * 2, MIN_SEND_BUFFER)
      // There may be room now.
      if (this.isWritable) this.wake(Readiness.Out)
    } else this.receiveBuffer = Math.max(asked * 2, MIN_RECEIVE_BUFFER)
  }

  override setOption(level: number, name: number, value: OptionValue): number {
    if (level !== C.SOL_SOCKET || name === C.SO_REUSEPORT) return -Errno.EOPNOTSUPP
    if (name === C.SO_PASSSEC && typeof value === 'number') {
      this.ownKept().passesLabels = value !== 0
      return 0
    }
    if (name !== C.SO_PASSCRED) return super.setOption(level, name, value)
    if (typeof value !== 'number') return -Errno.EINVAL
    this.passesCredentials = value !== 0
    return 0
  }

  override getOption(level: number, name: number): OptionValue | OptionFailure {
    if (level !== C.SOL_SOCKET) return { errno: Errno.EOPNOTSUPP }
    if (name === C.SO_PASSCRED) return Number(this.passesCredentials)
    if (name === C.SO_PASSSEC) return Number(this.kept.passesLabels)
    if (name === C.SO_PEERCRED) return this.peerCredentials ?? NO_CREDENTIALS
    return super.getOption(level, name)
  }

  override get memoryUse(): MemoryUse {
    return { receive: 0, send: this.charged, queued: 0, drops: 0 }
  }

  override ioctl(request: number, value: number): number {
    if (request === C.SIOCATMARK) return -Errno.EOPNOTSUPP
    if (request === C.TIOCOUTQ) return this.charged
    if (request === C.FIONREAD) return this.state === 'listening' ? -Errno.EINVAL : this.readableBytes
    return super.ioctl(request, value)
  }

  /** What FIONREAD tells. */
  protected abstract get readableBytes(): number

  /** Takes over what a listener was set to. */
  inheritFrom(listener: UnixSocket): void {
    this.inheritOptions(listener)
    this.passesCredentials = listener.passesCredentials
  }

  /** Nobody has it open: what it has received is lost, and its peer learns of the end. */
  protected override release(): void {
    this.isClosed = true
    this.shutdownBits = 3
    if (this.name !== null && this.wasHanded) this.layer.unixNames.release(this, this.name)
    this.leavePeer()
    this.dropQueue()
    for (const full of this.foundFull ?? []) full.turnedAway.delete(this)
    this.foundFull = null
    super.release()
    if (this.layer.unixInFlight.size > 0) collectUnix(this.layer)
  }

  /** Tells the peer that this end is gone. */
  protected abstract leavePeer(): void
}

const isCredentialsMessage = ({ cmsg_type }: ControlMessage): boolean => cmsg_type === C.SCM_CREDENTIALS

/** A name as programs read it. */
const formatUnix = (name: string | null): KnownSockaddr => ({
  family: C.AF_UNIX,
  address: '',
  port: 0,
  flowinfo: 0,
  scopeId: 0,
  path: name ?? '',
})
