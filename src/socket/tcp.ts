import { Errno } from '../core/errno.ts'
import { packFlags } from '../core/flags.ts'
import { Readiness } from '../core/readiness.ts'
import type { IcmpError } from '../ip/protocol.ts'
import { Arrivals } from '../tcp/arrivals.ts'
import { abort, closeConnection, shutdownSend } from '../tcp/close.ts'
import { prepareConnect, sendSyn } from '../tcp/connect.ts'
import { Shutdown, type TcpConnection, type TcpObserver } from '../tcp/connection.ts'
import { FastOpenAttempt, FastOpenMode } from '../tcp/fast-open.ts'
import { TcpListener } from '../tcp/listener.ts'
import { isAtMark, ReadEnd, read, readEnd } from '../tcp/read.ts'
import { stateIn, stateSet, TcpState } from '../tcp/state.ts'
import { WriteFlag, write, writeError } from '../tcp/write.ts'
import { type Endpoint, isUnspec, type Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { ControlMessage } from './control.ts'
import type { SocketLayer } from './layer.ts'
import { PortOwner } from './ports.ts'
import { type MemoryUse, type Received, TCP_FLAGS } from './socket.ts'
import type { OptionFailure, OptionValue } from './socket-options.ts'
import { TcpEndpoint } from './tcp-endpoint.ts'
import { stampFlags, stampsArrivals, stampsOfSend, TcpNotices } from './tcp-notices.ts'
import {
  copyTcpOptions,
  getTcpOption,
  inheritedOptions,
  setMaxPacingRate,
  setReceiveLowat,
  setTcpBuffer,
  setTcpOption,
  tcpIpOptionsChanged,
  tcpOptionChanged,
} from './tcp-options.ts'
import { readableRun, tcpIoctl, tcpMemory, tcpReadiness } from './tcp-queues.ts'
import { describeArrival, receiveUrgent } from './tcp-receive.ts'

const LINGERS = stateSet(TcpState.FinWait1, TcpState.Closing, TcpState.LastAck)

/** How far connect(2) has come, whatever has become of the connection since: Linux's `socket_state`. */
const Phase = { Unconnected: 0, Connecting: 1, Connected: 2, Disconnecting: 3 } as const

/** Where `phase` lies in `OpenFile.bits`, behind the socket's flags. */
const PHASE_SHIFT = TCP_FLAGS + 2

/** A stream socket of the Internet families. */
export class TcpSocket extends TcpEndpoint implements TcpObserver {
  /** connect(2) was put off until there is data for the SYN (TCP_FASTOPEN_CONNECT). */
  declare isDeferred: boolean
  /** TCP_INQ: recvmsg(2) tells how much is left to read. */
  declare tellsInq: boolean
  /** The error queue; null until something asks for it. */
  notices: TcpNotices | null = null

  /** @param connection one that was accepted; a fresh socket makes its own */
  constructor(layer: SocketLayer, domain: number, connection: TcpConnection | null = null) {
    super(layer, domain, connection)
    if (connection !== null) this.phase = Phase.Connected
    this.c.observer = this
  }

  static {
    packFlags(TcpSocket.prototype, ['isDeferred', 'tellsInq'], TCP_FLAGS, PHASE_SHIFT)
  }

  /** One of `Phase`. */
  private get phase(): number {
    return (this.bits >>> PHASE_SHIFT) & 3
  }

  private set phase(phase: number) {
    this.bits = (this.bits & ~(3 << PHASE_SHIFT)) | (phase << PHASE_SHIFT)
  }

  override listen(backlog: number): number {
    if (this.listener !== null) {
      this.listener.setBacklog(backlog < 0 ? C.SOMAXCONN : backlog)
      return 0
    }
    if (this.phase !== Phase.Unconnected || this.c.state !== TcpState.Closed) return -Errno.EINVAL
    if (this.hold === null) {
      const hold = this.takePort(0)
      if (hold === null) return -Errno.EADDRINUSE
      this.keepPort(hold, false)
    }
    const { options, layer } = this.c
    if (options.fastOpenQueue === 0 && layer.fastOpen.allows(FastOpenMode.EveryListener | FastOpenMode.Server)) {
      this.c.ownOptions().fastOpenQueue = Math.min(backlog < 0 ? C.SOMAXCONN : backlog, layer.settings.somaxconn)
    }
    const listener = new TcpListener(this.c.layer, this.localPort, this.hold, inheritedOptions(this.c))
    // With SO_REUSEADDR two may be bound to one port, but only one may listen on it.
    if (this.layer.tcpPorts.isTaken(this.localPort, this, this.hold)) return -Errno.EADDRINUSE
    listener.setBacklog(backlog < 0 ? C.SOMAXCONN : backlog)
    listener.observer = this
    this.enlist(listener)
    return 0
  }

  override accept(): TcpSocket | number {
    const { listener } = this
    if (listener === null) return -Errno.EINVAL
    const connection = listener.accept()
    if (connection === undefined) return -Errno.EAGAIN
    const socket = new TcpSocket(this.layer, this.domain, connection)
    socket.inheritOptions(this)
    return socket
  }

  connect(given: Sockaddr): number {
    if (isUnspec(given)) {
      this.disconnect()
      return 0
    }
    if (this.isDeferred) return -Errno.EISCONN
    const result = this.prepareTo(given)
    if (result !== null) return result
    const { c } = this
    if (c.options.fastOpenConnect && this.attemptFastOpen()) {
      this.isDeferred = true
      return 0
    }
    sendSyn(c)
    return -Errno.EINPROGRESS
  }

  override connectResult(again: boolean): number {
    const { c } = this
    if (c.isOpening) return again ? -Errno.EALREADY : -Errno.EINPROGRESS
    if (c.state !== TcpState.Closed) {
      this.phase = Phase.Connected
      return 0
    }
    // It was refused, has timed out, or was reset since.
    const errno = this.takeError() || Errno.ECONNABORTED
    this.disconnect()
    return -errno
  }

  override opensBySending(flags: number): boolean {
    return this.isDeferred || (flags & C.MSG_FASTOPEN) !== 0
  }

  override openBySending(source: Uint8Array, at: number, length: number, flags: number, to: Sockaddr | null): number {
    if (!this.c.layer.fastOpen.allows(FastOpenMode.Client) || (to !== null && isUnspec(to))) return -Errno.EOPNOTSUPP
    if (this.isDeferred) {
      this.isDeferred = false
      const taken = sendSyn(this.c, source, at, length)
      return this.pinned(taken, flags, taken < length && this.waits(flags))
    }
    const result = this.prepareTo(to)
    if (result !== null) return result
    const taken = sendSyn(this.c, this.attemptFastOpen() ? source : null, at, length)
    return this.pinned(taken, flags, taken < length && this.waits(flags))
  }

  /** @returns whether the SYN may carry data */
  private attemptFastOpen(): boolean {
    const { c } = this
    c.fastOpen = new FastOpenAttempt()
    return c.fastOpen.prepare(c.layer.fastOpen, c.remote, c.options.fastOpenNoCookie)
  }

  /** Makes all ready for the SYN to a peer. @returns null, or what connect(2) gives when there is to be none */
  private prepareTo(given: Sockaddr | null): number | null {
    if (this.phase === Phase.Connected) return -Errno.EISCONN
    if (this.phase === Phase.Connecting) return this.connectResult(true)
    if (this.phase === Phase.Disconnecting || given === null) return -Errno.EINVAL
    if (this.listener !== null || this.c.state !== TcpState.Closed) return -Errno.EISCONN
    const endpoint = this.readOwnEndpoint(given)
    if (typeof endpoint === 'number') return endpoint
    const problem = this.prepare(endpoint)
    return problem === 0 ? null : problem
  }

  /** Chooses what the endpoints lack, and enters them. @returns 0 or a negative `Errno` */
  private prepare(endpoint: Endpoint): number {
    if (!endpoint.address.isIpv4 && endpoint.address.isMulticast) return -Errno.ENETUNREACH
    const destination = this.resolveRemote(endpoint)
    if (typeof destination === 'number') return destination
    if (destination.kind === 'broadcast' || destination.kind === 'multicast') return -Errno.ENETUNREACH
    const scope = destination.requestedInterface
    const { c } = this
    c.local = this.boundAddress.isUnspecified ? destination.source : this.boundAddress
    c.remote = destination.address
    c.remotePort = endpoint.port
    c.scope = scope
    const problem = this.enter(c, destination)
    if (problem !== 0) {
      c.localPort = 0
      c.remotePort = 0
      return problem
    }
    c.error = 0
    this.ipOptionsChanged()
    prepareConnect(c, destination, c.snd.iss)
    this.phase = Phase.Connecting
    return 0
  }

  /**
   * Ends the connection, or stops listening: the socket may be used anew. A connection that was open leaves ECONNRESET.
   */
  private disconnect(): void {
    this.isDeferred = false
    if (this.listener !== null) this.stopListening()
    else if (this.c.state !== TcpState.Closed) abort(this.c)
    this.phase = Phase.Unconnected
    this.dropPort()
    this.reset()
  }

  /** Takes a connection that was never opened in place of one that was, with the same options. */
  private reset(): void {
    const old = this.c
    if (old.localPort === 0 && old.remotePort === 0 && old.shutdown === 0) return
    const c = this.newConnection()
    copyTcpOptions(old, c)
    c.error = old.error
    closeConnection(old, false)
    this.c = c
    c.observer = this
  }

  send(
    source: Uint8Array,
    at: number,
    length: number,
    flags: number,
    _to: Sockaddr | null,
    control: readonly ControlMessage[] | null = null,
  ): number {
    const { c } = this
    if (this.listener !== null) return -Errno.EPIPE
    const problem = writeError(c)
    if (problem !== 0) return problem < 0 ? -Errno.EAGAIN : -problem
    if (length === 0) return 0
    const stamps = stampsOfSend(this.kept.timestamping, control)
    if (stamps < 0) return stamps
    const writeFlags =
      ((flags & C.MSG_OOB) !== 0 ? WriteFlag.Urgent : 0) |
      ((flags & C.MSG_MORE) !== 0 ? WriteFlag.More : 0) |
      ((flags & C.MSG_EOR) !== 0 ? WriteFlag.EndOfRecord : 0) |
      (stamps === 0 ? 0 : stampFlags(stamps, this.waits(flags)))
    const taken = write(c, source, at, length, writeFlags)
    if (taken > 0) return this.pinned(taken, flags, taken < length && this.waits(flags))
    if (taken < 0) return taken
    c.wantsSpace = true
    return -Errno.EAGAIN
  }

  private waits(flags: number): boolean {
    return !this.nonBlocking && (flags & C.MSG_DONTWAIT) === 0
  }

  /**
   * Notes `taken` bytes just queued with MSG_ZEROCOPY, which is told of when they are acknowledged.
   * @returns `taken`
   */
  private pinned(taken: number, flags: number, goesOn: boolean): number {
    if (taken > 0 && (flags & C.MSG_ZEROCOPY) !== 0 && this.kept.zerocopy) {
      this.ownNotices().pin(this.c.snd.writeSeq, (flags & C.MSG_CONTINUED) !== 0, goesOn)
      this.c.watchesAcks = true
    }
    return taken
  }

  override sendEnded(): void {
    this.notices?.endPin()
  }

  private ownNotices(): TcpNotices {
    this.notices ??= new TcpNotices()
    return this.notices
  }

  stamped(stage: number, seq: number): void {
    const { now } = this.layer.ip.world.loop
    if (this.ownNotices().stamp(stage, seq, now, this.kept.timestamping)) this.wake(Readiness.Err)
  }

  acknowledged(una: number): void {
    const { notices, c } = this
    if (notices === null) return
    if (notices.release(una)) this.wake(Readiness.Err)
    c.watchesAcks = notices.hasPinned
  }

  icmpError(error: IcmpError): void {
    this.ownNotices().icmpError(error)
  }

  receive(target: Uint8Array, at: number, length: number, flags: number, received: Received | null): number {
    const { c } = this
    if ((flags & C.MSG_ERRQUEUE) !== 0) {
      return this.notices === null ? -Errno.EAGAIN : this.notices.take(this.family, this.layer.ip.wallClock, received)
    }
    if (this.listener !== null) return -Errno.ENOTCONN
    if ((flags & C.MSG_OOB) !== 0) return receiveUrgent(c, target, at, length, flags, received)
    if (c.isOpening) return -Errno.EAGAIN
    const peek = (flags & C.MSG_PEEK) !== 0
    const into = (flags & C.MSG_TRUNC) !== 0 ? null : target
    const count = read(c, into, at, length, peek, Math.max(0, this.peekPlace(flags)))
    if (count > 0) {
      this.movePeek(count, flags)
      if (received !== null && received.control !== null) describeArrival(this, received.control, peek)
      return count
    }
    if (length === 0 && c.receiveQueueBytes > 0) return 0
    const end = readEnd(c, peek)
    if (end === ReadEnd.Wait) return -Errno.EAGAIN
    return end === ReadEnd.Eof ? 0 : -end
  }

  override receiveTarget(length: number): number {
    return Math.max(1, Math.min(this.c.options.receiveLowat, length))
  }

  override get hasError(): boolean {
    return this.c.error !== 0
  }

  override get receivable(): number {
    return this.c.receiveRing?.length ?? 0
  }

  override noteWriter(waits: boolean): void {
    this.c.writerWaits = waits
  }

  override get endsRun(): boolean {
    return isAtMark(this.c)
  }

  shutdown(how: number): number {
    if (how < C.SHUT_RD || how > C.SHUT_RDWR) return -Errno.EINVAL
    const bits = how + 1
    const { c } = this
    if (this.phase === Phase.Connecting) {
      this.phase = c.isOpening || c.state === TcpState.Closed ? Phase.Disconnecting : Phase.Connected
    }
    if (this.listener !== null || c.state === TcpState.SynSent) {
      // Stops listening and wakes whoever waits in accept(2); or stops connecting.
      if (c.state === TcpState.SynSent || (bits & Shutdown.Receive) !== 0) this.disconnect()
      this.wake(0)
      return 0
    }
    const wasOver = c.state === TcpState.Closed
    if ((bits & Shutdown.Send) !== 0 && !wasOver) shutdownSend(c)
    c.shutdown |= wasOver ? bits : bits & Shutdown.Receive
    this.wake(0)
    return wasOver ? -Errno.ENOTCONN : 0
  }

  poll(): number {
    return tcpReadiness(this)
  }

  ready(events: number): void {
    if (this.c.state === TcpState.Closed && this.listener === null) {
      this.dropPort()
      this.notices?.releaseAll()
    }
    this.wake(events)
  }

  urgent(): void {
    this.layer.onUrgent?.(this)
    this.wake(Readiness.Pri)
  }

  override takeError(): number {
    const { c } = this
    const { error } = c
    c.error = 0
    return error
  }

  /** SO_ERROR: an error that did not end the connection is told too. */
  takeAnyError(): number {
    const error = this.takeError()
    if (error !== 0) return error
    const { softError } = this.c
    this.c.softError = 0
    return softError
  }

  override get isLingering(): boolean {
    return stateIn(this.c.state, LINGERS)
  }

  /** The FIN leaves, and the socket stays to be told of its ACK. */
  override beginLingeringClose(): boolean {
    const { c } = this
    // What was not read, and a connection that is not open, is a matter of a moment.
    if (this.listener !== null || this.receivable > 0 || this.lingerSeconds <= 0) return false
    shutdownSend(c)
    c.shutdown = Shutdown.Both
    return this.isLingering
  }

  override ioctl(request: number, value: number): number {
    return tcpIoctl(this, request) ?? super.ioctl(request, value)
  }

  /** Bytes that can be read before the urgent mark, or in all. */
  override get runLength(): number {
    return readableRun(this.c)
  }

  override get sendBuffer(): number {
    return this.c.sendBuffer
  }

  override get receiveBuffer(): number {
    return this.c.receiveBuffer
  }

  override setBuffer(which: 'send' | 'receive', asked: number): void {
    setTcpBuffer(this, which, asked)
    this.optionsChanged()
  }

  override setOption(level: number, name: number, value: OptionValue): number {
    const result = level === C.SOL_TCP ? setTcpOption(this, name, value) : super.setOption(level, name, value)
    if (result === 0) this.optionsChanged()
    return result
  }

  override get memoryUse(): MemoryUse {
    return tcpMemory(this)
  }

  override getOption(level: number, name: number): OptionValue | OptionFailure {
    if (level === C.SOL_TCP) return getTcpOption(this, name)
    return level === C.SOL_SOCKET && name === C.SO_ERROR ? this.takeAnyError() : super.getOption(level, name)
  }

  ipOptionsChanged(): number {
    tcpIpOptionsChanged(this)
    return 0
  }

  override optionChanged(name: number, value: number): number {
    switch (name) {
      case C.SO_REUSEADDR:
      case C.SO_REUSEPORT: {
        const { hold } = this.c
        if (hold instanceof PortOwner) this.c.hold = hold.withFlags(this.reuseAddress, this.reusePort)
        return 0
      }
      case C.SO_BINDTODEVICE:
        this.enlistAnew()
        return 0
      case C.SO_RCVLOWAT:
        this.ownKept().receiveLowat = setReceiveLowat(this)
        return 0
      case C.SO_TIMESTAMPING: {
        const { c } = this
        const isConnected = this.listener === null && c.state !== TcpState.Closed
        const problem = this.ownNotices().setTimestamping(c, value, isConnected)
        if (problem === 0) this.noteArrivals(stampsArrivals(value))
        return problem
      }
      case C.SO_MAX_PACING_RATE:
        setMaxPacingRate(this)
        return 0
      case C.SO_TIMESTAMP:
      case C.SO_TIMESTAMPNS:
        this.noteArrivals(value !== 0)
        return 0
      default:
        tcpOptionChanged(this.c, name, value)
        return 0
    }
  }

  /** Is it to be noted from now on when data arrives? */
  private noteArrivals(on: boolean): void {
    const { c, kept } = this
    if (on) c.arrivals ??= new Arrivals()
    else if (!kept.timestamp && !kept.timestampNs && !stampsArrivals(kept.timestamping)) c.arrivals = null
  }

  /** What connections are to inherit from now on. */
  private optionsChanged(): void {
    if (this.listener !== null) Object.assign(this.listener.inherited, inheritedOptions(this.c))
  }

  protected override release(): void {
    super.release()
    if (this.listener !== null) this.stopListening()
    closeConnection(this.c, this.lingerSeconds === 0)
    this.hold?.release()
    this.hold = null
  }
}
