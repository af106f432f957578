import { Errno } from '../core/errno.ts'
import type { Destination } from '../ip/destination.ts'
import { TcpConnection } from '../tcp/connection.ts'
import type { TcpListener } from '../tcp/listener.ts'
import { stateIn, stateSet, TcpState } from '../tcp/state.ts'
import { TimeWait } from '../tcp/time-wait.ts'
import type { IpAddress } from '../wire/address.ts'
import { anyAddress, formatSockaddr, type KnownSockaddr, type Sockaddr } from './address.ts'
import * as C from './constants.ts'
import { InetSocket } from './inet.ts'
import type { SocketLayer } from './layer.ts'
import type { PortOwner } from './ports.ts'
import type { ListenerClaim } from './tcp-demux.ts'

const HAS_NO_PEER = stateSet(TcpState.SynSent, TcpState.Closed)

/**
 * What a TCP socket is known by: the port that it holds, what it
 * listens as, and the pair of endpoints that its connection has.
 */
export abstract class TcpEndpoint extends InetSocket {
  /** Its connection: made with the socket, and made anew when it is connected again. Queues and options live there. */
  c: TcpConnection
  protected hold: PortOwner | null = null
  /** What it listens as; null while it does not. */
  private claim: ListenerClaim | null = null

  constructor(layer: SocketLayer, domain: number, connection: TcpConnection | null) {
    super(layer, domain, C.SOCK_STREAM, C.IPPROTO_TCP)
    this.c = connection ?? this.newConnection()
    if (connection !== null) this.localPort = connection.localPort
    else this.ipOptionsChanged()
  }

  get listener(): TcpListener | null {
    return this.claim === null ? null : this.claim.listener
  }

  override get isListening(): boolean {
    return this.claim !== null
  }

  /** Enters a listener where packets are looked up. */
  protected enlist(listener: TcpListener): void {
    const { boundAddress: local, localPort, family, v6only, boundInterface, reusePort, uid } = this
    this.claim = { listener, local, localPort, family, v6only, boundInterface, reusePort, uid }
    this.layer.tcp.listeners.add(this.claim)
  }

  /** Enters it once more, after what it claims has changed. */
  protected enlistAnew(): void {
    if (this.claim === null) return
    this.layer.tcp.listeners.remove(this.claim)
    this.enlist(this.claim.listener)
  }

  protected stopListening(): void {
    if (this.claim !== null) this.layer.tcp.listeners.remove(this.claim)
    const { listener } = this
    this.claim = null
    listener?.close()
  }

  get pathMtu(): number {
    return this.c.destination?.mtu ?? 0
  }

  get local(): IpAddress {
    return this.c.localPort !== 0 ? this.c.local : this.boundAddress
  }

  bind(given: Sockaddr): number {
    const { c } = this
    const endpoint = this.checkBind(given, this.isNumbered || c.state !== TcpState.Closed || this.isListening)
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
  protected takePort(port: number): PortOwner | null {
    const { tcpPorts } = this.layer
    if (port !== 0) return tcpPorts.bind(port, this)
    // One that nobody has, if there is one.
    return (
      this.chooseEphemeral((candidate) => (tcpPorts.has(candidate) ? null : tcpPorts.bindAlone(candidate, this))) ??
      this.chooseEphemeral((candidate) => tcpPorts.bindAlone(candidate, this))
    )
  }

  protected keepPort(hold: PortOwner, isFixed: boolean): void {
    this.hold = hold
    this.localPort = hold.port
    this.portIsFixed = isFixed
  }

  /**
   * Finds a local port that makes the pair of endpoints unique, if there is none yet, and enters the pair. When it was
   * in TIME_WAIT, ISS is where sequence numbers are to begin, else 0.
   */
  protected enter(c: TcpConnection, destination: Destination): number {
    const { layer, hold } = this
    c.snd.iss = 0
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
    if (table.insert(c)) return true
    const there = table.findLike(c)
    if (!(there instanceof TimeWait) || !there.mayBeReused(destination.interface.isLoopback)) return false
    c.snd.iss = there.reopenSequence
    there.end()
    c.layer.mib.tcpExt.TWRecycled++
    return table.insert(c)
  }

  /** Gives up the port, unless it was asked for by number. */
  protected dropPort(): void {
    if (this.portIsFixed) return
    this.hold?.release()
    this.hold = null
  }

  protected newConnection(): TcpConnection {
    const any = anyAddress(this.family)
    return new TcpConnection(this.layer.tcp.layer, any, 0, any, 0)
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

  private chooseEphemeral<T>(take: (port: number) => T | null): T | null {
    return this.layer.chooseEphemeral(take, this.ipOptions.portRange)
  }
}
