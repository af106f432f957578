import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import type { Destination } from '../ip/destination.ts'
import { abort, closeConnection, shutdownSend } from '../tcp/close.ts'
import { startConnect } from '../tcp/connect.ts'
import { BufferLock, Shutdown, TcpConnection, type TcpObserver } from '../tcp/connection.ts'
import { isWritable } from '../tcp/flow.ts'
import { TcpListener } from '../tcp/listener.ts'
import { isAtMark, ReadEnd, read, readEnd, readUrgent } from '../tcp/read.ts'
import { stateIn, stateSet, TcpState } from '../tcp/state.ts'
import { TimeWait } from '../tcp/time-wait.ts'
import { WriteFlag, write, writeError } from '../tcp/write.ts'
import type { IpAddress } from '../wire/address.ts'
import {
  anyAddress,
  type Endpoint,
  formatSockaddr,
  isUnspec,
  loopbackFor,
  parseSockaddr,
  type Sockaddr,
} from './address.ts'
import * as C from './constants.ts'
import type { SocketLayer } from './layer.ts'
import type { Claimant } from './listener-table.ts'
import type { PortClaim, PortOwner } from './ports.ts'
import { type OptionValue, type Received, Socket } from './socket.ts'
import type { ListenerClaim } from './tcp-demux.ts'
import { getTcpOption, setTcpOption } from './tcp-options.ts'

const CONNECTED = stateSet(
  TcpState.Established,
  TcpState.FinWait1,
  TcpState.FinWait2,
  TcpState.CloseWait,
  TcpState.Closing,
  TcpState.LastAck,
  TcpState.TimeWait,
)
const OPENING = stateSet(TcpState.SynSent, TcpState.SynReceived)
const LINGERS = stateSet(TcpState.FinWait1, TcpState.Closing, TcpState.LastAck)

/** A stream socket of the Internet families. */
export class TcpSocket extends Socket implements TcpObserver, PortClaim, Claimant {
  /** Its connection: made with the socket, and made anew when it is connected again. Queues and options live there. */
  c: TcpConnection
  listener: TcpListener | null = null
  /** The address and port that it is bound to; unspecified and 0 for none. */
  local: IpAddress
  localPort = 0
  v6only: boolean
  /** IP_BIND_ADDRESS_NO_PORT, IP_FREEBIND. */
  bindAddressNoPort = false
  freeBind = false
  readonly isTimeWait = false
  private hold: PortOwner | null = null
  private claim: ListenerClaim | null = null
  /** connect(2) has begun and its end was not reported yet. */
  private connecting = false

  /** @param connection one that was accepted; a fresh socket makes its own */
  constructor(layer: SocketLayer, domain: number, connection: TcpConnection | null = null) {
    super(layer, domain, C.SOCK_STREAM, C.IPPROTO_TCP)
    this.v6only = domain === C.AF_INET6 && layer.settings.bindv6only !== 0
    this.local = anyAddress(this.family)
    this.c = connection ?? this.newConnection()
    if (connection !== null) {
      this.local = connection.local
      this.localPort = connection.localPort
    }
    this.c.observer = this
  }

  get isListening(): boolean {
    return this.listener !== null
  }

  bind(given: Sockaddr): number {
    const endpoint = parseSockaddr(given, this.family, (zone) => this.layer.zoneIndex(zone))
    if (typeof endpoint === 'number') return endpoint
    if (this.localPort !== 0 || this.c.state !== TcpState.Closed || this.listener !== null) return -Errno.EINVAL
    const problem = this.checkBindAddress(endpoint)
    if (problem !== 0) return problem
    const { settings } = this.layer
    if (endpoint.port > 0 && endpoint.port < settings.ip_unprivileged_port_start && this.uid !== 0) return -Errno.EACCES
    const before = this.local
    this.local = endpoint.address
    if (endpoint.scope !== 0) this.c.scope = this.layer.ip.interfaceAt(endpoint.scope)
    if (endpoint.port === 0 && this.bindAddressNoPort) return 0
    const hold = this.takePort(endpoint.port)
    if (hold === null) {
      this.local = before
      return -Errno.EADDRINUSE
    }
    this.hold = hold
    this.localPort = hold.port
    this.c.keepsPort = true
    return 0
  }

  /** Takes a port for this socket, any that may be chosen for 0; null when it cannot be had. */
  private takePort(port: number): PortOwner | null {
    const { tcpPorts } = this.layer
    if (port !== 0) return tcpPorts.bind(port, this)
    return (
      this.layer.chooseEphemeral((candidate) =>
        // A port of its own, if there is one: SO_REUSEADDR alone is no reason to share.
        tcpPorts.find(candidate) === undefined ? tcpPorts.bind(candidate, this) : null,
      ) ?? this.layer.chooseEphemeral((candidate) => tcpPorts.bind(candidate, this))
    )
  }

  private checkBindAddress({ address, scope }: Endpoint): number {
    if (address.isUnspecified) return 0
    if (this.family === 6 && address.isIpv4 && this.v6only) return -Errno.EINVAL
    if (address.isMulticast || address.isLimitedBroadcast) return -Errno.EADDRNOTAVAIL
    if (!address.isIpv4 && address.isLinkLocal && scope === 0 && this.boundInterface === null) return -Errno.EINVAL
    if (this.freeBind || this.layer.settings.ip_nonlocal_bind !== 0) return 0
    return this.layer.ip.isLocal(address) ? 0 : -Errno.EADDRNOTAVAIL
  }

  override listen(backlog: number): number {
    if (this.listener !== null) {
      this.listener.setBacklog(backlog < 0 ? C.SOMAXCONN : backlog)
      return 0
    }
    if (this.c.state !== TcpState.Closed || this.connecting) return -Errno.EINVAL
    if (this.localPort === 0) {
      this.hold = this.takePort(0)
      if (this.hold === null) return -Errno.EADDRINUSE
      this.localPort = this.hold.port
    }
    const { c, layer } = this
    const listener = new TcpListener(c.layer, this.localPort, this.hold, {
      options: c.options,
      sendBuffer: c.sendBuffer,
      receiveBuffer: c.receiveBuffer,
      bufferLocks: c.bufferLocks,
      nagle: c.nagle,
      control: c.control,
    })
    // With SO_REUSEADDR two may be bound to one port, but only one may listen on it.
    this.listener = listener
    if (layer.tcpPorts.isTaken(this.localPort, this, this.hold)) {
      this.listener = null
      return -Errno.EADDRINUSE
    }
    listener.setBacklog(backlog < 0 ? C.SOMAXCONN : backlog)
    listener.observer = this
    this.claim = {
      listener,
      local: this.local,
      localPort: this.localPort,
      family: this.family,
      v6only: this.v6only,
      boundInterface: this.boundInterface ?? c.scope,
      reusePort: this.reusePort,
    }
    layer.tcp.listeners.add(this.claim)
    return 0
  }

  override accept(): TcpSocket | number {
    const { listener } = this
    if (listener === null) return -Errno.EINVAL
    const connection = listener.accept()
    if (connection === undefined) return -Errno.EAGAIN
    const socket = new TcpSocket(this.layer, this.domain, connection)
    socket.inherit(this)
    return socket
  }

  /** Takes over what accept(2) hands down from the listening socket; the rest the connection has already. */
  private inherit(from: TcpSocket): void {
    this.reuseAddress = from.reuseAddress
    this.reusePort = from.reusePort
    this.sendTimeout = from.sendTimeout
    this.receiveTimeout = from.receiveTimeout
    this.boundInterface = from.boundInterface
    this.lingerSeconds = from.lingerSeconds
    this.v6only = from.v6only
    this.uid = from.uid
  }

  connect(given: Sockaddr): number {
    if (isUnspec(given)) return this.disconnect()
    const endpoint = parseSockaddr(given, this.family, (zone) => this.layer.zoneIndex(zone))
    if (typeof endpoint === 'number') return endpoint
    const { c } = this
    if (this.listener !== null) return -Errno.EISCONN
    if (this.connecting) return this.connectResult(true)
    if (c.state !== TcpState.Closed) return -Errno.EISCONN
    if (c.error !== 0) return -this.takeError()
    return this.open(endpoint)
  }

  /** How a connect that had begun has ended. @param again is another connect(2) asking */
  connectResult(again: boolean): number {
    const { c } = this
    if (stateIn(c.state, OPENING)) return again ? -Errno.EALREADY : -Errno.EINPROGRESS
    this.connecting = false
    if (c.state === TcpState.Closed && !c.wasEstablished) return -(this.takeError() || Errno.ECONNABORTED)
    const error = this.takeError()
    return error === 0 ? 0 : -error
  }

  /** Chooses what the endpoints lack, enters them, and sends the SYN. */
  private open(endpoint: Endpoint): number {
    const { layer } = this
    const remote = loopbackFor(endpoint.address)
    if (remote.isMulticast || remote.isLimitedBroadcast) return -Errno.ENETUNREACH
    if (this.family === 6 && remote.isIpv4 && this.v6only) return -Errno.ENETUNREACH
    if (!remote.isIpv4 && remote.isLinkLocal && endpoint.scope === 0 && this.boundInterface === null) {
      return -Errno.EINVAL
    }
    const scope = this.boundInterface ?? (endpoint.scope !== 0 ? layer.ip.interfaceAt(endpoint.scope) : null)
    const source = this.local.isUnspecified ? null : this.local
    if (source !== null && source.isIpv4 !== remote.isIpv4) return -Errno.ENETUNREACH
    const destination = layer.ip.resolve(remote, source, scope)
    if (typeof destination === 'number') return destination
    if (destination.kind === 'broadcast') return -Errno.EACCES
    const c = this.freshConnection()
    c.local = source ?? destination.source
    c.remote = remote
    c.remotePort = endpoint.port
    c.scope = scope
    const problem = this.enter(c, destination)
    if (problem !== 0) {
      c.remotePort = 0
      return problem
    }
    this.connecting = true
    const errno = startConnect(c, destination, this.reopenSequence)
    if (errno !== 0) {
      abort(c)
      this.connecting = false
      return -errno
    }
    return -Errno.EINPROGRESS
  }

  private reopenSequence = 0

  /** Finds a local port that makes the pair of endpoints unique, if there is none yet, and enters the pair. */
  private enter(c: TcpConnection, destination: Destination): number {
    const { layer } = this
    this.reopenSequence = 0
    if (this.localPort !== 0) {
      c.localPort = this.localPort
      return this.insert(c, destination) ? 0 : -Errno.EADDRNOTAVAIL
    }
    const claim: PortClaim = {
      local: c.local,
      family: this.family,
      v6only: this.v6only,
      boundInterface: this.boundInterface,
      reuseAddress: this.reuseAddress,
      reusePort: this.reusePort,
      uid: this.uid,
      isListening: false,
      isTimeWait: false,
    }
    const hold = layer.chooseEphemeral((port) => {
      const bucket = layer.tcpPorts.find(port)
      if (bucket !== undefined && !bucket.automatic) return null
      c.localPort = port
      return this.insert(c, destination) ? layer.tcpPorts.share(port, claim) : null
    })
    if (hold === null) {
      c.localPort = 0
      return -Errno.EADDRNOTAVAIL
    }
    c.hold = hold
    this.localPort = hold.port
    this.portIsAutomatic = true
    return 0
  }

  /** The port was chosen by connect(2): it goes with the connection. */
  private portIsAutomatic = false

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

  /** A connection that was never opened: this socket's own, or, after one has ended, a new one with the same options. */
  private freshConnection(): TcpConnection {
    const old = this.c
    if (old.snd.iss === 0 && old.remotePort === 0) return old
    const c = this.newConnection()
    c.options = old.options
    c.control = old.control
    c.nagle = old.nagle
    c.bufferLocks = old.bufferLocks
    c.keepsPort = old.keepsPort
    if ((old.bufferLocks & BufferLock.Send) !== 0) c.sendBuffer = old.sendBuffer
    if ((old.bufferLocks & BufferLock.Receive) !== 0) c.receiveBuffer = old.receiveBuffer
    closeConnection(old, false)
    if (this.portIsAutomatic) {
      this.localPort = 0
      this.portIsAutomatic = false
    }
    this.c = c
    c.observer = this
    return c
  }

  private newConnection(): TcpConnection {
    const any = anyAddress(this.family)
    return new TcpConnection(this.layer.tcp.layer, any, 0, any, 0)
  }

  /** connect(2) to AF_UNSPEC: ends the connection, or stops listening; the socket may be used anew. */
  private disconnect(): number {
    if (this.listener !== null) this.stopListening()
    else if (this.c.state !== TcpState.Closed) abort(this.c)
    this.connecting = false
    this.freshConnection()
    this.c.error = 0
    return 0
  }

  send(source: Uint8Array, at: number, length: number, flags: number, _to: Sockaddr | null): number {
    const { c } = this
    if (this.listener !== null) return -Errno.EPIPE
    const problem = writeError(c)
    if (problem !== 0) return problem < 0 ? -Errno.EAGAIN : -problem
    if (length === 0) return 0
    const writeFlags =
      ((flags & C.MSG_OOB) !== 0 ? WriteFlag.Urgent : 0) |
      ((flags & C.MSG_MORE) !== 0 ? WriteFlag.More : 0) |
      ((flags & C.MSG_EOR) !== 0 ? WriteFlag.EndOfRecord : 0)
    const taken = write(c, source, at, length, writeFlags)
    if (taken > 0) return taken
    c.wantsSpace = true
    return -Errno.EAGAIN
  }

  receive(target: Uint8Array, at: number, length: number, flags: number, received: Received | null): number {
    const { c } = this
    if (this.listener !== null) return -Errno.ENOTCONN
    if ((flags & C.MSG_OOB) !== 0) return this.receiveUrgent(target, at, length, flags, received)
    if (stateIn(c.state, OPENING)) return -Errno.EAGAIN
    const peek = (flags & C.MSG_PEEK) !== 0
    const into = (flags & C.MSG_TRUNC) !== 0 ? null : target
    const count = read(c, into, at, length, peek)
    if (count > 0) return count
    if (length === 0 && c.receiveQueueBytes > 0) return 0
    const end = readEnd(c, peek)
    if (end === ReadEnd.Wait) return -Errno.EAGAIN
    return end === ReadEnd.Eof ? 0 : -end
  }

  private receiveUrgent(
    target: Uint8Array,
    at: number,
    length: number,
    flags: number,
    received: Received | null,
  ): number {
    const byte = readUrgent(this.c, (flags & C.MSG_PEEK) !== 0)
    if (byte < 0) {
      const over = this.c.state === TcpState.Closed || (this.c.shutdown & Shutdown.Receive) !== 0
      return byte === -Errno.EAGAIN && over ? 0 : byte
    }
    if (received !== null) received.flags |= length > 0 ? C.MSG_OOB : C.MSG_TRUNC
    if (length > 0) target[at] = byte
    return Math.min(1, length)
  }

  override receiveTarget(length: number): number {
    return Math.max(1, Math.min(this.c.options.receiveLowat, length))
  }

  shutdown(how: number): number {
    if (how < C.SHUT_RD || how > C.SHUT_RDWR) return -Errno.EINVAL
    const bits = how + 1
    const { c } = this
    if (this.listener !== null) {
      // Stops listening and wakes whoever waits in accept(2).
      if ((bits & Shutdown.Receive) !== 0) this.stopListening()
      this.wake(0)
      return 0
    }
    if (c.state === TcpState.Closed) return -Errno.ENOTCONN
    if (c.state === TcpState.SynSent) {
      abort(c)
      this.connecting = false
      return 0
    }
    if ((bits & Shutdown.Receive) !== 0) c.shutdown |= Shutdown.Receive
    if ((bits & Shutdown.Send) !== 0) shutdownSend(c)
    this.wake(0)
    return 0
  }

  private stopListening(): void {
    if (this.claim !== null) this.layer.tcp.listeners.remove(this.claim)
    this.claim = null
    this.listener?.close()
    this.listener = null
  }

  localAddress(): Required<Sockaddr> {
    const bound = this.c.localPort !== 0 ? this.c.local : this.local
    return formatSockaddr(bound, this.localPort, this.family, this.c.scope?.index)
  }

  peerAddress(): Required<Sockaddr> | number {
    const { c } = this
    if (!stateIn(c.state, CONNECTED) || c.remotePort === 0) return -Errno.ENOTCONN
    return formatSockaddr(c.remote, c.remotePort, this.family, c.scope?.index)
  }

  poll(): number {
    const { c, listener } = this
    if (listener !== null) return listener.acceptQueue.length > 0 ? Readiness.In : 0
    let events = 0
    if (c.shutdown === Shutdown.Both || c.state === TcpState.Closed) events |= Readiness.Hup
    if ((c.shutdown & Shutdown.Receive) !== 0) events |= Readiness.In | Readiness.RdHup
    if (!stateIn(c.state, OPENING)) {
      if (c.receiveQueueBytes >= c.options.receiveLowat + (isAtMark(c) && !c.options.oobInline ? 1 : 0)) {
        events |= Readiness.In
      }
      if ((c.shutdown & Shutdown.Send) !== 0 || isWritable(c)) events |= Readiness.Out
      else c.wantsSpace = true
      if (c.urgent !== null && c.urgent.stage === 'here') events |= Readiness.Pri
    }
    if (c.error !== 0) events |= Readiness.Err
    return events
  }

  ready(events: number): void {
    this.wake(events)
  }

  urgent(): void {
    this.layer.onUrgent?.(this)
  }

  override takeError(): number {
    const { error } = this.c
    this.c.error = 0
    return error
  }

  override get isLingering(): boolean {
    return stateIn(this.c.state, LINGERS)
  }

  /** What close(2) does before it waits with SO_LINGER: the FIN leaves, and the socket stays to be told of its ACK. */
  beginLingeringClose(): void {
    shutdownSend(this.c)
    this.c.shutdown = Shutdown.Both
  }

  override ioctl(request: number, _value: number): number {
    const { c } = this
    switch (request) {
      case C.FIONREAD:
        if (this.listener !== null) return -Errno.EINVAL
        return c.receiveRing === null ? 0 : c.receiveRing.length
      case C.TIOCOUTQ:
        if (this.listener !== null) return -Errno.EINVAL
        return c.state === TcpState.SynSent || c.state === TcpState.Closed ? 0 : c.sendQueueBytes
      case C.SIOCOUTQNSD:
        return this.listener !== null ? -Errno.EINVAL : (c.snd.writeSeq - c.snd.nxt) | 0
      case C.SIOCATMARK:
        return Number(isAtMark(c))
      default:
        return super.ioctl(request, _value)
    }
  }

  override setOption(level: number, name: number, value: OptionValue): number {
    return level === C.SOL_SOCKET ? super.setOption(level, name, value) : setTcpOption(this, level, name, value)
  }

  override getOption(level: number, name: number): OptionValue {
    return level === C.SOL_SOCKET ? super.getOption(level, name) : getTcpOption(this, level, name)
  }

  protected setSocketOption(name: number, value: number): number {
    return setTcpOption(this, C.SOL_SOCKET, name, value)
  }

  protected getSocketOption(name: number): number {
    return getTcpOption(this, C.SOL_SOCKET, name) as number
  }

  protected override release(): void {
    super.release()
    if (this.listener !== null) this.stopListening()
    closeConnection(this.c, this.lingerSeconds === 0)
    this.hold?.release()
    this.hold = null
  }
}
