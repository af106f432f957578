import { Errno } from '../core/errno.ts'
import { type Frame, FrameQueue } from '../core/frame.ts'
import { Readiness } from '../core/readiness.ts'
import type { Destination } from '../ip/destination.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { IcmpError } from '../ip/protocol.ts'
import { frameTruesize } from '../ip/truesize.ts'
import { noteInterface, readDatagram, SourceAddress } from '../udp/datagram.ts'
import { ErrorQueue, type QueuedError, queuedIcmpError } from '../udp/error-queue.ts'
import { Memberships } from '../udp/membership.ts'
import { narrowed, sendFlags } from '../udp/path-mtu.ts'
import type { IpAddress } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { anyAddress, type Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { ControlMessage } from './control.ts'
import { DatagramSocket, NO_TARGET } from './datagram.ts'
import type { Special } from './datagram-control.ts'
import type { SocketLayer } from './layer.ts'
import type { Received } from './socket.ts'

/** A socket that speaks IP itself, without ports: what raw and ping sockets have in common. */
export abstract class PacketSocket extends DatagramSocket {
  readonly memberships: Memberships
  readonly errors = new ErrorQueue()
  /** The one peer, once connected. */
  remote: { address: IpAddress; port: number } | null = null
  /** The address to send from and to receive at; unspecified for any. */
  local: IpAddress
  charged = 0
  dropped = 0
  receiveBuffer: number
  sendBuffer: number
  shutdownBits = 0
  private isBroadcaster = false
  private pendingError = 0
  private readonly packets = new FrameQueue()
  private readonly source = new SourceAddress()

  constructor(layer: SocketLayer, domain: number, type: number, protocol: number) {
    super(layer, domain, type, protocol)
    this.memberships = new Memberships(layer.ip)
    this.local = anyAddress(this.family)
    this.receiveBuffer = layer.settings.rmem_default
    this.sendBuffer = layer.settings.wmem_default
    // They speak the one version of IP that their family names.
    if (this.family === 6) this.v6only = true
  }

  get isConnected(): boolean {
    return this.remote !== null
  }

  get queued(): number {
    return this.packets.length
  }

  get queuedBytes(): number {
    return this.packets.bytes
  }

  connect(given: Sockaddr): number {
    if (this.isUndo(given)) {
      this.remote = null
      this.boundInterface = null
      this.local = this.boundAddress
      return 0
    }
    const problem = this.readPeer(given)
    if (problem !== 0) return problem
    const { target } = this
    const way = this.wayTo(target.address, this.sourceFor(null), target.interface)
    if (typeof way === 'number') return way
    this.remote = { address: way.address, port: target.port }
    if (this.local.isUnspecified) this.local = way.source
    return 0
  }

  /**
   * The way to an address, for this socket.
   * @returns it, or a negative `Errno`: -EACCES for everybody, without SO_BROADCAST
   */
  private wayTo(address: IpAddress, source: IpAddress | null, iface: NetworkInterface | null): Destination | number {
    const { ipOptions, layer } = this
    const { multicastInterface, multicastInterface6, unicastInterface, unicastInterface6 } = ipOptions
    let out = iface ?? this.boundInterface
    if (address.isMulticast) out ??= address.isIpv4 ? multicastInterface : multicastInterface6
    else out ??= address.isIpv4 ? unicastInterface : unicastInterface6
    const way = layer.ip.resolve(address, source, out)
    if (typeof way === 'number') return way
    return way.kind === 'broadcast' && !this.isBroadcaster ? -Errno.EACCES : way
  }

  private sourceFor(special: Special | null): IpAddress | null {
    if (special?.source !== undefined) return special.source
    return this.local.isUnspecified || this.local.isMulticast ? null : this.local
  }

  /**
   * What every send begins with: the address, control messages, and the way there.
   * @returns the way, or a negative `Errno`
   */
  protected prepare(to: Sockaddr | null, control: readonly ControlMessage[] | null): Destination | number {
    const { target } = this
    let address = this.remote === null ? null : this.remote.address
    let iface: NetworkInterface | null = null
    if (to !== null) {
      const problem = this.readTarget(to)
      if (problem < 0) return problem
      if (problem !== NO_TARGET) {
        address = target.address
        iface = target.interface
      }
    }
    if (address === null) return -Errno.EDESTADDRREQ
    const special = this.readControl(control, this.family === 4)
    if (typeof special === 'number') return special
    this.special = special
    const way = this.wayTo(address, this.sourceFor(special), special?.interface ?? iface)
    if (typeof way === 'number') return way
    if (this.pendingError !== 0) return -this.takeError()
    return (this.shutdownBits & 2) !== 0 && this.type !== C.SOCK_RAW ? -Errno.EPIPE : way
  }

  /** What control messages have asked of the packet that is being sent. */
  private special: Special | null = null

  /**
   * Sends the transport packet in a frame, with the socket's options. Owns the frame.
   * @returns `length` or a negative `Errno`
   */
  protected transmit(frame: Frame, way: Destination, length: number): number {
    const { ipOptions, family, special } = this
    const isGroup = way.kind === 'multicast'
    const is4 = family === 4
    const own = is4 ? ipOptions.ttl : Math.max(0, ipOptions.hops)
    const toGroup = is4 ? ipOptions.multicastTtl : ipOptions.multicastHops
    const hopLimit = special?.hopLimit ?? (isGroup ? toGroup : own)
    const trafficClass = special?.trafficClass ?? (is4 ? ipOptions.tos : ipOptions.trafficClass)
    const loops = is4 ? ipOptions.multicastLoop : ipOptions.multicastLoop6
    const packet = frame.end - frame.start + (is4 ? 20 : 40)
    const dontFragment = special?.dontFragment ?? (!is4 && ipOptions.dontFragment)
    const sizes = {
      pathMtuDiscovery: is4 ? ipOptions.pathMtuDiscovery : ipOptions.pathMtuDiscovery6,
      fragmentSize: is4 ? 0 : ipOptions.fragmentSize,
      multicastLoop: loops,
    }
    const path = sizes.fragmentSize === 0 ? way : narrowed(sizes, way, packet, dontFragment)
    const flags = sendFlags(sizes, path, packet, dontFragment)
    const { ip } = this.layer
    this.watch(frame)
    return this.sent(ip.send(frame, path, path.source, this.protocol, hopLimit, trafficClass, flags), length)
  }

  /** Has the packet stamped that is about to leave, where that is asked for. */
  protected watch(frame: Frame): void {
    this.special = this.withStamps(this.special)
    frame.watcher = this.special?.watcher ?? null
  }

  /** A full queue on the way is as good as a loss in the network, unless errors are asked for. */
  protected sent(result: number, length: number): number {
    this.afterStamped(this.special, result)
    if (result === 0) return length
    return result === -Errno.ENOBUFS && !this.wantsErrors ? length : result
  }

  /** Takes a copy of a packet in: what is read from it lies from `frame.start` on. Owns the frame. */
  protected enqueue(frame: Frame, from: number): void {
    const { world } = this.layer.ip
    const drop = this.charged >= this.receiveBuffer
    if (drop || (this.shutdownBits & 1) !== 0) {
      if (drop) this.dropped++
      this.layer.ip.drop(frame, Drop['raw-receive-buffer-full'])
      return
    }
    noteInterface(world.memory, frame, from)
    this.charged += frameTruesize(frame)
    this.packets.push(frame)
    this.wake(Readiness.In)
  }

  receive(target: Uint8Array, at: number, length: number, flags: number, received: Received | null): number {
    if ((flags & C.MSG_OOB) !== 0) return -Errno.EOPNOTSUPP
    if ((flags & C.MSG_ERRQUEUE) !== 0) return this.receiveError(target, at, length, received)
    if (this.pendingError !== 0) return -this.takeError()
    const frame = this.packets.first
    if (frame === null) return (this.shutdownBits & 1) !== 0 && (flags & C.MSG_DONTWAIT) === 0 ? 0 : -Errno.EAGAIN
    const { memory, frames } = this.layer.ip.world
    const whole = frame.length
    const count = Math.min(length, whole)
    target.set(memory.u8.subarray(frame.start, frame.start + count), at)
    if (received !== null) {
      const { source } = this
      readDatagram(source, memory, frame)
      source.port = 0
      source.truncated = count < whole
      this.tell(received, source)
    }
    if ((flags & C.MSG_PEEK) === 0) {
      this.packets.shift()
      this.charged -= frameTruesize(frame)
      frames.release(frame)
    }
    return (flags & C.MSG_TRUNC) !== 0 ? whole : count
  }

  protected get wantsErrors(): boolean {
    return this.family === 4 ? this.ipOptions.receiveErrors : this.ipOptions.receiveErrors6
  }

  /** An ICMP error about a packet that was sent from here. */
  protected noteError(error: IcmpError): void {
    const { wantsErrors, ipOptions } = this
    const is4 = this.family === 4
    const discovery = is4 ? ipOptions.pathMtuDiscovery : ipOptions.pathMtuDiscovery6
    const isTooBig = error.errno === Errno.EMSGSIZE
    // As on Linux: IPv4 believes unless the socket goes by the device's MTU, IPv6 whom the error is told.
    const isTold = wantsErrors || this.isConnected
    if (isTooBig && (is4 ? discovery < C.IP_PMTUDISC_INTERFACE : isTold)) {
      this.layer.ip.updatePathMtu(error.quoted.destination, error.mtu, this.boundInterface)
    }
    if (!isTold) return
    const searches = is4 ? discovery !== C.IP_PMTUDISC_DONT : discovery === C.IP_PMTUDISC_DO
    const isHard = isTooBig ? searches : error.hard
    if (wantsErrors) {
      const { u8 } = this.layer.ip.world.memory
      this.errors.push({ ...queuedIcmpError(error, u8, error.errno), port: 0 })
    }
    if (!wantsErrors && !isHard) return
    this.pendingError = error.errno
    this.wake(Readiness.Err)
  }

  noteQueued(error: QueuedError): void {
    this.errors.push(error)
    this.wake(Readiness.Err)
  }

  protected takeQueuedError(): QueuedError | null {
    const error = this.errors.shift()
    if (error !== null) this.pendingError = this.errors.pendingAfter(error, this.pendingError)
    return error
  }

  override takeError(): number {
    const { pendingError } = this
    this.pendingError = 0
    return pendingError
  }

  shutdown(how: number): number {
    if (how < C.SHUT_RD || how > C.SHUT_RDWR) return -Errno.EINVAL
    this.shutdownBits |= how + 1
    this.wake(0)
    return this.isConnected ? 0 : -Errno.ENOTCONN
  }

  poll(): number {
    const { shutdownBits } = this
    let events: number = Readiness.Out | C.POLLWRBAND
    if (this.packets.length > 0) events |= Readiness.In
    if ((shutdownBits & 1) !== 0) events |= Readiness.In | Readiness.RdHup
    if (shutdownBits === 3) events |= Readiness.Hup
    if (this.pendingError !== 0 || this.errors.length > 0) {
      events |= this.kept.tellsErrorQueue ? Readiness.Err | Readiness.Pri : Readiness.Err
    }
    return events
  }

  override ioctl(request: number, value: number): number {
    if (request === C.FIONREAD) return this.packets.first?.length ?? 0
    return request === C.TIOCOUTQ ? 0 : super.ioctl(request, value)
  }

  override setBuffer(which: 'send' | 'receive', asked: number): void {
    if (which === 'send') this.sendBuffer = this.bufferSize(which, asked)
    else this.receiveBuffer = this.bufferSize(which, asked)
  }

  override optionChanged(name: number, value: number): number {
    if (name === C.SO_BROADCAST) this.isBroadcaster = value !== 0
    return super.optionChanged(name, value)
  }

  ipOptionsChanged(): number {
    return 0
  }

  protected override release(): void {
    super.release()
    this.packets.clear(this.layer.ip.world.frames)
    this.charged = 0
    this.errors.clear()
    this.memberships.clear()
  }
}
