import { Errno } from '../core/errno.ts'
import { Readiness, type ReadinessObserver } from '../core/readiness.ts'
import { SourceAddress } from '../udp/datagram.ts'
import { UdpEndpoint } from '../udp/endpoint.ts'
import type { QueuedError } from '../udp/error-queue.ts'
import type { Memberships } from '../udp/membership.ts'
import type { IpAddress } from '../wire/address.ts'
import { MAX_PACKET } from '../wire/ip.ts'
import type { Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { ControlMessage } from './control.ts'
import { DatagramSocket, NO_TARGET } from './datagram.ts'
import type { Special } from './datagram-control.ts'
import type { SocketLayer } from './layer.ts'
import type { PortOwner } from './ports.ts'
import type { Received } from './socket.ts'
import type { OptionFailure, OptionValue } from './socket-options.ts'
import type { UdpClaim } from './udp-demux.ts'

/** A datagram socket of the Internet families, over UDP (udp(7)). */
export class UdpSocket extends DatagramSocket implements UdpClaim, ReadinessObserver {
  readonly endpoint: UdpEndpoint
  private hold: PortOwner | null = null
  /** The version of IP whose options the endpoint has now. */
  private spoken = 0
  /** Where the datagram that is being read came from. */
  private readonly source = new SourceAddress()

  constructor(layer: SocketLayer, domain: number) {
    super(layer, domain, C.SOCK_DGRAM, C.IPPROTO_UDP)
    this.endpoint = new UdpEndpoint(layer.ip, this.family === 6)
    this.endpoint.observer = this
    this.endpoint.options.receiveBuffer = layer.settings.rmem_default
    this.endpoint.options.sendBuffer = layer.settings.wmem_default
    this.follow()
  }

  get memberships(): Memberships {
    return this.endpoint.memberships
  }

  get local(): IpAddress {
    return this.endpoint.localPort === 0 ? this.boundAddress : this.endpoint.localAddress
  }

  get remote(): { address: IpAddress; port: number } | null {
    const { remoteAddress, remotePort } = this.endpoint
    return remoteAddress === null ? null : { address: remoteAddress, port: remotePort }
  }

  get isNumbered(): boolean {
    return this.hold !== null
  }

  get isConnected(): boolean {
    return this.endpoint.isConnected
  }

  get queued(): number {
    return this.endpoint.queued
  }

  get queuedBytes(): number {
    return this.endpoint.queuedBytes
  }

  get charged(): number {
    return this.endpoint.charged
  }

  get dropped(): number {
    return this.endpoint.drops
  }

  get shutdownBits(): number {
    return Number(this.endpoint.isReceiveShut) | (Number(this.endpoint.isSendShut) << 1)
  }

  bind(given: Sockaddr): number {
    const endpoint = this.checkBind(given, this.isNumbered || this.isConnected)
    if (typeof endpoint === 'number') return endpoint
    if (endpoint.port === 0 && this.bindAddressNoPort) {
      this.noteBound(endpoint)
      return 0
    }
    const hold = this.bindTo(endpoint, (port) => this.takePort(port))
    if (hold === null) return -Errno.EADDRINUSE
    this.portIsFixed = endpoint.port !== 0
    this.enter(hold)
    return 0
  }

  /** Takes a port, any that may be chosen for 0; null when it cannot be had. */
  private takePort(port: number): PortOwner | null {
    const { udpPorts } = this.layer
    if (port !== 0) return udpPorts.bind(port, this)
    return this.layer.chooseEphemeral((candidate) => udpPorts.bind(candidate, this), this.ipOptions.portRange)
  }

  /** Takes any port if it has none yet. @returns whether it has one now */
  private obtainPort(): boolean {
    if (this.hold !== null) return true
    const hold = this.takePort(0)
    if (hold === null) return false
    this.portIsFixed = false
    this.enter(hold)
    return true
  }

  /** Enters the socket, which has a port now, where datagrams are looked up. */
  private enter(hold: PortOwner): void {
    const { ip } = this.layer
    const { w0, w1, w2, w3 } = this.boundAddress
    this.hold = hold
    this.localPort = hold.port
    const isSource = ip.routes.lookupLocal(w0, w1, w2, w3, null)?.type !== 'broadcast'
    this.endpoint.bind(this.boundAddress, hold.port, isSource)
    this.follow()
    this.layer.udp.add(this)
  }

  connect(given: Sockaddr): number {
    if (this.isUndo(given)) {
      this.disconnect()
      return 0
    }
    if (!this.obtainPort()) return -Errno.EAGAIN
    // An IPv4 structure is too short for any other family.
    const isShort = given.address?.includes(':') === false && (given.family ?? C.AF_INET) !== C.AF_INET
    if (this.family === 6 && isShort) return -Errno.EINVAL
    const problem = this.readPeer(given)
    if (problem !== 0) return problem
    const { endpoint, target, layer } = this
    this.speak(target.address.isIpv4 ? 4 : 6)
    layer.udp.remove(this)
    const result = endpoint.connect(target.address, target.port, target.interface)
    this.boundInterface = endpoint.boundInterface
    layer.udp.add(this)
    return result
  }

  private disconnect(): void {
    const { endpoint, layer } = this
    if (this.hold !== null) layer.udp.remove(this)
    endpoint.disconnect()
    this.boundInterface = null
    this.follow()
    if (this.hold === null) return
    if (this.portIsFixed) {
      layer.udp.add(this)
      return
    }
    this.hold.release()
    this.hold = null
    this.localPort = 0
    endpoint.localPort = 0
  }

  send(
    source: Uint8Array,
    at: number,
    length: number,
    flags: number,
    to: Sockaddr | null,
    control: readonly ControlMessage[] | null = null,
  ): number {
    if (!this.obtainPort()) return -Errno.EAGAIN
    const { endpoint, target } = this
    let address = endpoint.remoteAddress
    let isNamed = false
    const isRefused = this.family === 4 && (length > MAX_PACKET || (flags & C.MSG_OOB) !== 0)
    if (to !== null && !isRefused && !endpoint.isGathering) {
      const problem = this.readTarget(to)
      if (problem < 0) return problem
      isNamed = problem !== NO_TARGET
      if (isNamed) address = target.address
    }
    let special: Special | null = null
    if (address !== null) {
      this.speak(address.isIpv4 ? 4 : 6)
      const read = this.readControl(control, address.isIpv4)
      if (typeof read === 'number') return read
      special = read
      if (address.isMulticast && address.isIpv4) special = this.multicastSource(special)
    }
    // Over IPv6 nobody minds MSG_OOB.
    const heeded = this.family === 4 || address?.isIpv4 === true ? flags : flags & ~C.MSG_OOB
    if (!endpoint.isGathering) special = this.withStamps(special)
    const result = endpoint.send(source, at, length, isNamed ? target : null, heeded, special)
    return this.afterStamped(special, result)
  }

  /** Groups are sent to from the address that IP_MULTICAST_IF has named, if it has. */
  private multicastSource(special: Special | null): Special | null {
    const { multicastAddress } = this.ipOptions
    if (multicastAddress.isUnspecified || !this.local.isUnspecified || special?.source !== undefined) return special
    return { ...special, source: multicastAddress }
  }

  receive(target: Uint8Array, at: number, length: number, flags: number, received: Received | null): number {
    if ((flags & C.MSG_ERRQUEUE) !== 0) return this.receiveError(target, at, length, received)
    const { endpoint, source } = this
    const wasEmpty = endpoint.queued === 0
    const whence = this.peekPlace(flags)
    const told = received === null ? null : source
    const count = endpoint.receive(target, at, length, flags, told, whence, this.kept.peekedEmpty)
    if (count < 0) return count
    // After shutdown(2) only a call that would wait is told of the end.
    if (wasEmpty) return this.nonBlocking || (flags & C.MSG_DONTWAIT) !== 0 ? -Errno.EAGAIN : 0
    this.movePeek(count, flags)
    if (count === 0 && length > 0) this.notePeekedEmpty(flags)
    if (received !== null) this.tell(received, source)
    return count
  }

  protected takeQueuedError(): QueuedError | null {
    return this.endpoint.takeQueuedError()
  }

  shutdown(how: number): number {
    if (how < C.SHUT_RD || how > C.SHUT_RDWR) return -Errno.EINVAL
    const result = this.endpoint.shutdown(how !== C.SHUT_WR, how !== C.SHUT_RD)
    this.wake(0)
    return result
  }

  poll(): number {
    let events = this.endpoint.readiness
    if ((events & Readiness.Err) !== 0 && this.kept.tellsErrorQueue) events |= Readiness.Pri
    return (events & Readiness.Out) !== 0 ? events | C.POLLWRBAND : events
  }

  ready(events: number): void {
    this.wake(events)
  }

  noteQueued(error: QueuedError): void {
    this.endpoint.errors.push(error)
    this.wake(Readiness.Err)
  }

  override takeError(): number {
    return this.endpoint.takeError()
  }

  override ioctl(request: number, value: number): number {
    if (request === C.FIONREAD) return Math.max(0, this.endpoint.nextLength)
    return request === C.TIOCOUTQ ? 0 : super.ioctl(request, value)
  }

  override get sendBuffer(): number {
    return this.endpoint.options.sendBuffer
  }

  override get receiveBuffer(): number {
    return this.endpoint.options.receiveBuffer
  }

  override setBuffer(which: 'send' | 'receive', asked: number): void {
    const { options } = this.endpoint
    if (which === 'send') options.sendBuffer = this.bufferSize(which, asked)
    else options.receiveBuffer = this.bufferSize(which, asked)
  }

  override setOption(level: number, name: number, value: OptionValue): number {
    if (level !== C.SOL_UDP) return super.setOption(level, name, value)
    if (typeof value !== 'number') return -Errno.EINVAL
    return name === C.UDP_CORK ? this.endpoint.setCork(value !== 0) : -Errno.ENOPROTOOPT
  }

  override getOption(level: number, name: number): OptionValue | OptionFailure {
    if (level !== C.SOL_UDP) return super.getOption(level, name)
    return name === C.UDP_CORK ? Number(this.endpoint.options.cork) : { errno: Errno.ENOPROTOOPT }
  }

  override optionChanged(name: number, value: number): number {
    const { options } = this.endpoint
    if (name === C.SO_BROADCAST) options.broadcast = value !== 0
    else if (name === C.SO_NO_CHECK) options.noChecksum = value !== 0
    else if (name === C.SO_BINDTODEVICE) this.follow()
    return super.optionChanged(name, value)
  }

  ipOptionsChanged(): number {
    this.follow()
    return 0
  }

  /** Tells the endpoint what it has to know. */
  private follow(): void {
    const { endpoint, ipOptions } = this
    endpoint.boundInterface = this.boundInterface
    endpoint.v6Only = this.v6only
    endpoint.options.multicastAll = ipOptions.multicastAll
    endpoint.options.multicastAll6 = ipOptions.multicastAll6
    const { spoken } = this
    this.spoken = 0
    this.speak(spoken || this.family)
  }

  speak(version: number): void {
    if (version === this.spoken) return
    this.spoken = version
    const { ipOptions } = this
    const { options } = this.endpoint
    if (version === 4) {
      options.hopLimit = ipOptions.ttl
      options.trafficClass = ipOptions.tos
      options.pathMtuDiscovery = ipOptions.pathMtuDiscovery
      options.receiveErrors = ipOptions.receiveErrors
      options.multicastHopLimit = ipOptions.multicastTtl
      options.multicastLoop = ipOptions.multicastLoop
      options.multicastInterface = ipOptions.multicastInterface
      options.unicastInterface = ipOptions.unicastInterface
      options.dontFragment = false
      options.fragmentSize = 0
      return
    }
    options.hopLimit = Math.max(0, ipOptions.hops)
    options.trafficClass = ipOptions.trafficClass
    options.pathMtuDiscovery = ipOptions.pathMtuDiscovery6
    options.dontFragment = ipOptions.dontFragment
    options.fragmentSize = ipOptions.fragmentSize
    options.receiveErrors = ipOptions.receiveErrors6
    options.multicastHopLimit = ipOptions.multicastHops
    options.multicastLoop = ipOptions.multicastLoop6
    options.multicastInterface = ipOptions.multicastInterface6
    options.unicastInterface = ipOptions.unicastInterface6
  }

  protected override release(): void {
    super.release()
    if (this.hold !== null) {
      this.layer.udp.remove(this)
      this.hold.release()
      this.hold = null
    }
    this.endpoint.close()
  }
}
