import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import type { Destination } from '../ip/destination.ts'
import type { IcmpError } from '../ip/protocol.ts'
import { Arrivals } from '../tcp/arrivals.ts'
import { abort, closeConnection, shutdownSend } from '../tcp/close.ts'
import { prepareConnect, sendSyn } from '../tcp/connect.ts'
import { BufferLock, Shutdown, TcpConnection, type TcpObserver } from '../tcp/connection.ts'
import { FastOpenAttempt, FastOpenMode } from '../tcp/fast-open.ts'
import { isWritable } from '../tcp/flow.ts'
import { type Inherited, TcpListener } from '../tcp/listener.ts'
import { isAtMark, ReadEnd, read, readEnd, readUrgent } from '../tcp/read.ts'
import { stateIn, stateSet, TcpState } from '../tcp/state.ts'
import { TimeWait } from '../tcp/time-wait.ts'
import { WriteFlag, write, writeError } from '../tcp/write.ts'
import type { IpAddress } from '../wire/address.ts'
import { anyAddress, type Endpoint, formatSockaddr, isUnspec, type KnownSockaddr, type Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { ControlMessage } from './control.ts'
import { InetSocket } from './inet.ts'
import type { SocketLayer } from './layer.ts'
import { PortOwner } from './ports.ts'
import type { Received } from './socket.ts'
import type { OptionFailure, OptionValue } from './socket-options.ts'
import type { ListenerClaim } from './tcp-demux.ts'
import { arrivalMessages, stampsArrivals, TcpNotices } from './tcp-notices.ts'
import { getTcpOption, setReceiveLowat, setTcpBuffer, setTcpOption, tcpOptionChanged } from './tcp-options.ts'

const HAS_NO_PEER = stateSet(TcpState.SynSent, TcpState.Closed)
const LINGERS = stateSet(TcpState.FinWait1, TcpState.Closing, TcpState.LastAck)

/** How far connect(2) has come, whatever has become of the connection since: Linux's `socket_state`. */
const Phase = { Unconnected: 0, Connecting: 1, Connected: 2, Disconnecting: 3 } as const

/** A stream socket of the Internet families. */
export class TcpSocket extends InetSocket implements TcpObserver {
  /** Its connection: made with the socket, and made anew when it is connected again. Queues and options live there. */
  c: TcpConnection
  listener: TcpListener | null = null
  private hold: PortOwner | null = null
  private claim: ListenerClaim | null = null
  private phase: number = Phase.Unconnected
  /** Where sequence numbers are to begin, when the pair of endpoints was in TIME_WAIT; 0 for anywhere. */
  private reopenSequence = 0
  /** connect(2) was put off until there is data for the SYN (TCP_FASTOPEN_CONNECT). */
  private isDeferred = false
  /** TCP_INQ: recvmsg(2) tells how much is left to read. */
  tellsInq = false
  /** The error queue; null until something asks for it. */
  private notices: TcpNotices | null = null

  /** @param connection one that was accepted; a fresh socket makes its own */
  constructor(layer: SocketLayer, domain: number, connection: TcpConnection | null = null) {
    super(layer, domain, C.SOCK_STREAM, C.IPPROTO_TCP)
    this.c = connection ?? this.newConnection()
    if (connection !== null) {
      this.localPort = connection.localPort
      this.phase = Phase.Connected
    }
    this.c.observer = this
  }

  override get isListening(): boolean {
    return this.listener !== null
  }

  get pathMtu(): number {
    return this.c.destination?.mtu ?? 0
  }

  get local(): IpAddress {
    return this.c.localPort !== 0 ? this.c.local : this.boundAddress
  }

  bind(given: Sockaddr): number {
    const { c } = this
    const endpoint = this.checkBind(given, this.isNumbered || c.state !== TcpState.Closed || this.listener !== null)
    if (typeof endpoint === 'number') return endpoint
    // The address of a connection that is over counts no more.
    c.localPort = 0
    if (endpoint.port === 0 && this.bindAddressNoPort) {
      this.noteBound(endpoint)
      return 0
    }
    const hold = this.bindTo(endpoint, (port) => this.takePort(port))
    if (hold === null) return -Errno.EADDRINUSE
    this.keepPort(hold, endpoint.port !== 0)
    return 0
  }

  get isNumbered(): boolean {
    return this.hold !== null || this.c.hold !== null
  }

  /** Takes a port for this socket, any that may be chosen for 0; null when it cannot be had. */
  private takePort(port: number): PortOwner | null {
    const { tcpPorts } = this.layer
    if (port !== 0) return tcpPorts.bind(port, this)
    // One that nobody has, if there is one.
    return (
      this.chooseEphemeral((candidate) => (tcpPorts.has(candidate) ? null : tcpPorts.bindAlone(candidate, this))) ??
      this.chooseEphemeral((candidate) => tcpPorts.bindAlone(candidate, this))
    )
  }

  private keepPort(hold: PortOwner, isFixed: boolean): void {
    this.hold = hold
    this.localPort = hold.port
    this.portIsFixed = isFixed
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
    const listener = new TcpListener(this.c.layer, this.localPort, this.hold, this.inheritance())
    // With SO_REUSEADDR two may be bound to one port, but only one may listen on it.
    this.listener = listener
    if (this.layer.tcpPorts.isTaken(this.localPort, this, this.hold)) {
      this.listener = null
      return -Errno.EADDRINUSE
    }
    listener.setBacklog(backlog < 0 ? C.SOMAXCONN : backlog)
    listener.observer = this
    this.enlist(listener)
    return 0
  }

  /** Enters a listener where packets are looked up. */
  private enlist(listener: TcpListener): void {
    const { boundAddress: local, localPort, family, v6only, boundInterface, reusePort, uid } = this
    this.claim = { listener, local, localPort, family, v6only, boundInterface, reusePort, uid }
    this.layer.tcp.listeners.add(this.claim)
  }

  /** What connections get from the listener that they come through. */
  private inheritance(): Inherited {
    const { options, sendBuffer, receiveBuffer, bufferLocks, nagle, control, arrivals } = this.c
    const notesArrivals = arrivals !== null
    return { notesArrivals, options, sendBuffer, receiveBuffer, bufferLocks, nagle, control }
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
    if (this.phase === Phase.Connected) return -Errno.EISCONN
    if (this.isDeferred) return -Errno.EISCONN
    if (this.phase === Phase.Connecting) return this.connectResult(true)
    if (this.phase === Phase.Disconnecting) return -Errno.EINVAL
    if (this.listener !== null || this.c.state !== TcpState.Closed) return -Errno.EISCONN
    const endpoint = this.readOwnEndpoint(given)
    if (typeof endpoint === 'number') return endpoint
    const problem = this.prepare(endpoint)
    if (problem !== 0) return problem
    const { c } = this
    if (c.options.fastOpenConnect && this.attemptFastOpen(new FastOpenAttempt())) {
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
    if (this.phase === Phase.Connected) return -Errno.EISCONN
    if (this.phase === Phase.Connecting) return this.connectResult(true)
    if (this.phase === Phase.Disconnecting || to === null) return -Errno.EINVAL
    if (this.listener !== null || this.c.state !== TcpState.Closed) return -Errno.EISCONN
    const endpoint = this.readOwnEndpoint(to)
    if (typeof endpoint === 'number') return endpoint
    const problem = this.prepare(endpoint)
    if (problem !== 0) return problem
    const mayCarry = this.attemptFastOpen(new FastOpenAttempt())
    const taken = sendSyn(this.c, mayCarry ? source : null, at, length)
    return this.pinned(taken, flags, taken < length && this.waits(flags))
  }

  /** @returns whether the SYN may carry data */
  private attemptFastOpen(attempt: FastOpenAttempt): boolean {
    const { c } = this
    c.fastOpen = attempt
    return attempt.prepare(c.layer.fastOpen, c.remote, c.options.fastOpenNoCookie)
  }

  /** Chooses what the endpoints lack, and enters them: all is ready for the SYN. */
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
    prepareConnect(c, destination, this.reopenSequence)
    this.phase = Phase.Connecting
    return 0
  }

  /** Finds a local port that makes the pair of endpoints unique, if there is none yet, and enters the pair. */
  private enter(c: TcpConnection, destination: Destination): number {
    const { layer, hold } = this
    this.reopenSequence = 0
    if (hold !== null) {
      c.localPort = hold.port
      if (!this.insert(c, destination)) return -Errno.EADDRNOTAVAIL
      // The connection may outlive the socket, and is to keep the port as long.
      c.hold = hold.forChild(c.local)
      return 0
    }
    const claim = layer.tcpPorts.claimOfConnection(this, c.local)
    c.hold = this.chooseEphemeral((port) => {
      if (!layer.tcpPorts.mayShare(port)) return null
      c.localPort = port
      return this.insert(c, destination) ? layer.tcpPorts.share(port, claim) : null
    })
    if (c.hold === null) {
      c.localPort = 0
      return -Errno.EADDRNOTAVAIL
    }
    this.localPort = c.localPort
    return 0
  }

  /** Enters the pair of endpoints; one in TIME_WAIT gives way where that is allowed (tcp_tw_reuse). */
  private insert(c: TcpConnection, destination: Destination): boolean {
    const { table } = this.layer.tcp
    const there = table.findLike(c)
    if (there === null) return table.insert(c)
    if (!(there instanceof TimeWait) || !there.mayBeReused(destination.interface.isLoopback)) return false
    this.reopenSequence = there.reopenSequence
    there.end()
    c.layer.mib.tcpExt.TWRecycled++
    return table.insert(c)
  }

  private newConnection(): TcpConnection {
    const any = anyAddress(this.family)
    return new TcpConnection(this.layer.tcp.layer, any, 0, any, 0)
  }

  /** Ends the connection, or stops listening: the socket may be used anew. A connection that was open leaves ECONNRESET. */
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
    c.options = old.options
    c.control = old.control
    c.nagle = old.nagle
    c.bufferLocks = old.bufferLocks
    c.error = old.error
    if ((old.bufferLocks & BufferLock.Send) !== 0) c.sendBuffer = old.sendBuffer
    if ((old.bufferLocks & BufferLock.Receive) !== 0) c.receiveBuffer = old.receiveBuffer
    closeConnection(old, false)
    this.c = c
    c.observer = this
  }

  /** Gives up the port, unless it was asked for by number. */
  private dropPort(): void {
    if (this.portIsFixed) return
    this.hold?.release()
    this.hold = null
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
    const writeFlags =
      ((flags & C.MSG_OOB) !== 0 ? WriteFlag.Urgent : 0) |
      ((flags & C.MSG_MORE) !== 0 ? WriteFlag.More : 0) |
      ((flags & C.MSG_EOR) !== 0 ? WriteFlag.EndOfRecord : 0) |
      this.stampFlags(flags, control)
    const taken = write(c, source, at, length, writeFlags)
    if (taken > 0) return this.pinned(taken, flags, taken < length && this.waits(flags))
    c.wantsSpace = true
    return -Errno.EAGAIN
  }

  private waits(flags: number): boolean {
    return !this.nonBlocking && (flags & C.MSG_DONTWAIT) === 0
  }

  /** `WriteFlag` bits for the time stamps that SO_TIMESTAMPING asks for, of all sends or, as a control message, of this one. */
  private stampFlags(flags: number, control: readonly ControlMessage[] | null): number {
    let asked = this.kept.timestamping
    for (const { cmsg_level, cmsg_type, data } of control ?? []) {
      if (cmsg_level === C.SOL_SOCKET && cmsg_type === C.SO_TIMESTAMPING && typeof data === 'number') asked = data
    }
    if (!TcpNotices.stampsSends(asked)) return 0
    return this.waits(flags) ? WriteFlag.Timestamp : WriteFlag.Timestamp | WriteFlag.TimestampPart
  }

  /** Notes `taken` bytes just queued with MSG_ZEROCOPY, which is told of when they are acknowledged. @returns `taken` */
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
    if ((flags & C.MSG_OOB) !== 0) return this.receiveUrgent(target, at, length, flags, received)
    if (c.isOpening) return -Errno.EAGAIN
    const peek = (flags & C.MSG_PEEK) !== 0
    const into = (flags & C.MSG_TRUNC) !== 0 ? null : target
    const count = read(c, into, at, length, peek)
    if (count > 0) {
      if (received !== null && received.control !== null) this.describe(received.control, peek)
      return count
    }
    if (length === 0 && c.receiveQueueBytes > 0) return 0
    const end = readEnd(c, peek)
    if (end === ReadEnd.Wait) return -Errno.EAGAIN
    return end === ReadEnd.Eof ? 0 : -end
  }

  /** What recvmsg(2) tells beside the data: when it arrived, and how much is left, with one for the end (TCP_INQ). */
  private describe(control: ControlMessage[], peek: boolean): void {
    const { c, kept } = this
    control.length = 0
    const at = c.arrivals === null || peek ? -1 : c.arrivals.take(c.rcv.copied)
    if (at >= 0) control.push(...arrivalMessages(kept, this.layer.ip.wallClock.at(at)))
    if (this.tellsInq) {
      const data = Math.max(c.receiveQueueBytes, Number(c.receivedFin))
      control.push({ cmsg_level: C.SOL_TCP, cmsg_type: C.TCP_CM_INQ, data })
    }
  }

  private receiveUrgent(
    target: Uint8Array,
    at: number,
    length: number,
    flags: number,
    received: Received | null,
  ): number {
    const { c } = this
    const isOver = c.state === TcpState.Closed
    let byte = readUrgent(c, true)
    if (byte === -Errno.EINVAL) return byte
    if (isOver && !c.receivedFin) return -Errno.ENOTCONN
    if (byte === -Errno.EAGAIN) return isOver || (c.shutdown & Shutdown.Receive) !== 0 ? 0 : byte
    byte = readUrgent(c, (flags & C.MSG_PEEK) !== 0)
    if (received !== null) received.flags |= length > 0 ? C.MSG_OOB : C.MSG_TRUNC
    if (length > 0) target[at] = byte
    return Math.min(1, length)
  }

  override receiveTarget(length: number): number {
    return Math.max(1, Math.min(this.c.options.receiveLowat, length))
  }

  override get hasError(): boolean {
    return this.c.error !== 0
  }

  override get receivable(): number {
    return this.c.receiveRing === null ? 0 : this.c.receiveRing.length
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

  private stopListening(): void {
    if (this.claim !== null) this.layer.tcp.listeners.remove(this.claim)
    this.claim = null
    this.listener?.close()
    this.listener = null
  }

  localAddress(): KnownSockaddr {
    return formatSockaddr(this.local, this.localPort, this.family, (this.c.scope ?? this.boundInterface)?.index)
  }

  peerAddress(): KnownSockaddr | number {
    return stateIn(this.c.state, HAS_NO_PEER) ? -Errno.ENOTCONN : this.acceptedPeer()
  }

  override acceptedPeer(): KnownSockaddr | number {
    const { c } = this
    if (c.remotePort === 0) return -Errno.ENOTCONN
    return formatSockaddr(c.remote, c.remotePort, this.family, c.scope?.index)
  }

  poll(): number {
    const { c, listener } = this
    if (listener !== null) return listener.acceptQueue.length > 0 ? Readiness.In : 0
    let events = 0
    if (c.shutdown === Shutdown.Both || c.state === TcpState.Closed) events |= Readiness.Hup
    if ((c.shutdown & Shutdown.Receive) !== 0) events |= Readiness.In | Readiness.RdHup
    if (!c.isOpening) {
      if (c.receiveQueueBytes >= c.options.receiveLowat + (isAtMark(c) && !c.options.oobInline ? 1 : 0)) {
        events |= Readiness.In
      }
      if ((c.shutdown & Shutdown.Send) !== 0 || isWritable(c)) events |= Readiness.Out
      else c.wantsSpace = true
      if (c.urgent !== null && c.urgent.stage === 'here') events |= Readiness.Pri
    } else if (this.isDeferred) events |= Readiness.Out
    if (c.error !== 0 || (this.notices !== null && this.notices.length > 0)) events |= Readiness.Err
    return events
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
    const { c } = this
    const listens = this.listener !== null
    switch (request) {
      case C.FIONREAD:
        return listens ? -Errno.EINVAL : this.runLength
      case C.TIOCOUTQ:
        if (listens) return -Errno.EINVAL
        return c.isOpening ? 0 : c.sendQueueBytes
      case C.SIOCOUTQNSD:
        if (listens) return -Errno.EINVAL
        return c.isOpening ? 0 : (c.snd.writeSeq - c.snd.nxt) | 0
      case C.SIOCATMARK:
        return Number(isAtMark(c))
      default:
        return super.ioctl(request, value)
    }
  }

  /** Bytes that can be read before the urgent mark, or in all. */
  override get runLength(): number {
    const { c } = this
    if (c.isOpening) return 0
    if (c.urgent === null || c.options.oobInline) return this.receivable
    const distance = (c.urgent.seq - c.rcv.copied) | 0
    return distance >= 0 && distance < this.receivable ? distance : this.receivable
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

  override getOption(level: number, name: number): OptionValue | OptionFailure {
    if (level === C.SOL_TCP) return getTcpOption(this, name)
    return level === C.SOL_SOCKET && name === C.SO_ERROR ? this.takeAnyError() : super.getOption(level, name)
  }

  ipOptionsChanged(): number {
    const { c, ipOptions } = this
    const is4 = this.family === 4 || c.remote.isIpv4
    const hops = is4 ? ipOptions.ttl : Math.max(0, ipOptions.hops)
    const trafficClass = is4 ? ipOptions.tos : ipOptions.trafficClass
    const receiveErrors = this.family === 4 ? ipOptions.receiveErrors : ipOptions.receiveErrors6
    const { options: before } = c
    const isSame = before.hopLimit === hops && before.trafficClass === trafficClass
    if (isSame && before.receiveErrors === receiveErrors) return 0
    const options = c.ownOptions()
    options.receiveErrors = receiveErrors
    options.hopLimit = hops
    options.trafficClass = trafficClass
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
        if (this.listener !== null && this.claim !== null) {
          this.layer.tcp.listeners.remove(this.claim)
          this.enlist(this.listener)
        }
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
      case C.SO_MAX_PACING_RATE: {
        const { maxPacingRate } = this.kept
        const { c } = this
        c.ownOptions().maxPacingRate = maxPacingRate === 0xffff_ffff ? Number.POSITIVE_INFINITY : maxPacingRate
        c.cc.pacingRate = Math.min(c.cc.pacingRate, c.options.maxPacingRate)
        return 0
      }
      case C.SO_TIMESTAMP:
      case C.SO_TIMESTAMPNS:
        this.noteArrivals(value !== 0)
        return 0
      default:
        tcpOptionChanged(this.c, name, value !== 0)
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
    if (this.listener !== null) Object.assign(this.listener.inherited, this.inheritance())
  }

  private chooseEphemeral<T>(take: (port: number) => T | null): T | null {
    return this.layer.chooseEphemeral(take, this.ipOptions.portRange)
  }

  protected override release(): void {
    super.release()
    if (this.listener !== null) this.stopListening()
    closeConnection(this.c, this.lingerSeconds === 0)
    this.hold?.release()
    this.hold = null
  }
}
