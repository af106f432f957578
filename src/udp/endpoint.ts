import { Errno } from '../core/errno.ts'
import { type Frame, FrameChecksum, FrameQueue, type FrameWatcher } from '../core/frame.ts'
import { Readiness, type ReadinessObserver } from '../core/readiness.ts'
import type { Destination } from '../ip/destination.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { IcmpError } from '../ip/protocol.ts'
import type { IpStack } from '../ip/stack.ts'
import { frameTruesize } from '../ip/truesize.ts'
import { IPV4_ANY, IPV6_ANY, type IpAddress } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { type IpHeader, IpProtocol } from '../wire/ip.ts'
import { IPV4_MIN_HEADER } from '../wire/ipv4.ts'
import { IPV6_HEADER } from '../wire/ipv6.ts'
import { fillPartialChecksum, fillTransportChecksum } from '../wire/transport.ts'
import { UDP_HEADER, type UdpHeader } from '../wire/udp.ts'
import { copyIn, copyOut } from './copy.ts'
import { noteInterface, readDatagram, type SourceAddress } from './datagram.ts'
import { ErrorOrigin, ErrorQueue, type QueuedError, queuedIcmpError } from './error-queue.ts'
import { Memberships } from './membership.ts'
import { MessageFlag, PathMtuDiscovery, UdpOptions } from './options.ts'
import { narrowed, sendFlags } from './path-mtu.ts'

/** Where a datagram is to go. */
export interface UdpAddress {
  readonly address: IpAddress
  readonly port: number
  /** The scope of a link-local address. */
  readonly interface?: NetworkInterface | null
}

/**
 * What a single datagram may have otherwise than its endpoint's options say (IP_PKTINFO, IP_TTL, IP_TOS,
 * IPV6_DONTFRAG), and who is told that it leaves.
 */
export interface DatagramOptions {
  readonly source?: IpAddress | null
  readonly interface?: NetworkInterface | null
  readonly hopLimit?: number
  readonly trafficClass?: number
  readonly dontFragment?: boolean
  readonly watcher?: FrameWatcher
}

/** The most data that a datagram can hold: an IPv4 packet's 65,535 bytes without its headers. */
const UDP_MAX_PAYLOAD = 65_507
/** Over IPv6 the fixed header does not count. */
const UDP_MAX_PAYLOAD6 = 65_527

/** One end of UDP: what a datagram socket rests on (RFC 768, RFC 1122 section 4.1). The calls never block. */
export class UdpEndpoint {
  readonly stack: IpStack
  readonly options = new UdpOptions()
  readonly memberships: Memberships
  readonly errors = new ErrorQueue()
  /** Is it a socket of IPv6, which speaks IPv4 too unless `v6Only`? */
  readonly isIpv6: boolean
  v6Only = false
  observer: ReadinessObserver | null = null
  localAddress: IpAddress
  /** 0 until it is bound. */
  localPort = 0
  /** The one peer, once connected. */
  remoteAddress: IpAddress | null = null
  remotePort = 0
  /** SO_BINDTODEVICE, or the scope of a link-local address. */
  boundInterface: NetworkInterface | null = null
  /** Datagrams dropped because RecvQ was full: the last column of /proc/net/udp. */
  drops = 0
  /** Bytes that RecvQ is charged with, against `options.receiveBuffer`. */
  charged = 0
  private readonly queue = new FrameQueue()
  private pendingError = 0
  private boundAddress = false
  /** Is the address that it is bound to one to send from, as a group's and everybody's are not? */
  private sendsFromBound = true
  private receiveShut = false
  private sendShut = false
  private closed = false
  /** Gathered by MSG_MORE or UDP_CORK, and where it goes. */
  private gathered: Frame | null = null
  private gatheredTo: Destination | null = null
  private gatheredPort = 0
  private gatheredSpecial: DatagramOptions | null = null

  constructor(stack: IpStack, isIpv6: boolean) {
    this.stack = stack
    this.isIpv6 = isIpv6
    this.localAddress = isIpv6 ? IPV6_ANY : IPV4_ANY
    this.memberships = new Memberships(stack)
  }

  /** Datagrams in RecvQ. */
  get queued(): number {
    return this.queue.length
  }

  /** Bytes of data in RecvQ: what netstat shows. */
  get queuedBytes(): number {
    return this.queue.bytes
  }

  /** Bytes of the datagram that `receive` would give next; -1 when there is none (FIONREAD). */
  get nextLength(): number {
    return this.queue.first === null ? -1 : this.queue.first.length
  }

  get isConnected(): boolean {
    return this.remoteAddress !== null
  }

  /** `Readiness` bits that hold now. */
  get readiness(): number {
    let bits: number = Readiness.Out
    if (this.queue.length > 0 || this.receiveShut) bits |= Readiness.In
    if (this.pendingError !== 0 || this.errors.length > 0) bits |= Readiness.Err
    if (this.receiveShut) bits |= Readiness.RdHup
    if (this.receiveShut && this.sendShut) bits |= Readiness.Hup
    return bits
  }

  /** Is nothing more to be received, or sent? */
  get isReceiveShut(): boolean {
    return this.receiveShut
  }

  get isSendShut(): boolean {
    return this.sendShut
  }

  /**
   * Gives it its own address and port; whoever calls has made sure that they are free.
   * @param isSource is the address one to send from? Those of groups and of everybody on a network are not
   */
  bind(address: IpAddress, port: number, isSource = true): void {
    this.localAddress = address
    this.localPort = port
    this.boundAddress = !address.isUnspecified
    this.sendsFromBound = isSource && !address.isMulticast && !address.isLimitedBroadcast
  }

  /**
   * Sets the one peer; the local address follows when it is not bound. As on Linux, one that an earlier call has chosen
   * stays.
   * @returns 0, or the error that the way there gives; -EACCES for a broadcast address without SO_BROADCAST
   */
  connect(address: IpAddress, port: number, iface: NetworkInterface | null = null): number {
    const problem = this.checkFamily(address)
    if (problem !== 0) return problem
    const way = this.resolve(address, this.ownSource(address), iface ?? this.boundInterface)
    if (typeof way === 'number') return way
    if (way.kind === 'broadcast' && !this.options.broadcast) return -Errno.EACCES
    this.remoteAddress = way.address
    this.remotePort = port
    if (iface !== null && address.isLinkLocal && !address.isIpv4) this.boundInterface = iface
    if (this.localAddress.isUnspecified) this.localAddress = way.source
    return 0
  }

  /** Undoes `connect` (AF_UNSPEC). */
  disconnect(): void {
    this.remoteAddress = null
    this.remotePort = 0
    if (!this.boundAddress) this.localAddress = this.isIpv6 ? IPV6_ANY : IPV4_ANY
  }

  /** Ends one direction or both. @returns 0, or -ENOTCONN when it is not connected (and yet done, as on Linux) */
  shutdown(receive: boolean, send: boolean): number {
    if (receive) this.receiveShut = true
    if (send) this.sendShut = true
    if (receive) this.observer?.ready(this.readiness & ~Readiness.Out)
    return this.isConnected ? 0 : -Errno.ENOTCONN
  }

  /** Takes the pending error, positive, or 0: SO_ERROR. */
  takeError(): number {
    const error = this.pendingError
    this.pendingError = 0
    return error
  }

  /** Takes the oldest error of the error queue: MSG_ERRQUEUE. */
  takeQueuedError(): QueuedError | null {
    const error = this.errors.shift()
    // The error that is reported in passing follows the queue.
    if (error !== null) this.pendingError = this.errors.pendingAfter(error, this.pendingError)
    return error
  }

  /**
   * Does a datagram belong here: port, addresses, interface, and for groups what was joined? For `UdpDemux.eachMember`
   * and for the slow way of `lookup`.
   */
  accepts(header: IpHeader, udp: UdpHeader, from: NetworkInterface): boolean {
    if (this.localPort !== udp.destinationPort) return false
    if (this.boundInterface !== null && this.boundInterface !== from) return false
    if (header.version === 4 ? this.isIpv6 && this.v6Only : !this.isIpv6) return false
    const { localAddress, remoteAddress } = this
    if (!localAddress.isUnspecified && !header.destinationIs(localAddress)) return false
    // An IPv6 socket that is bound to an IPv4 address, be it any, speaks IPv4 alone.
    if (header.version === 6 && localAddress.isIpv4) return false
    if (remoteAddress !== null && (udp.sourcePort !== this.remotePort || !header.sourceIs(remoteAddress))) return false
    return this.stack.arrival !== 'multicast' || this.wantsGroup(header, from)
  }

  private wantsGroup(header: IpHeader, from: NetworkInterface): boolean {
    const { options } = this
    return this.memberships.wants(header, from, header.version === 4 ? options.multicastAll : options.multicastAll6)
  }

  /**
   * Sends `length` bytes of `u8` from `at` as one datagram, or adds them to the one that is being gathered.
   * @param to where to; the peer unless given
   * @param flags `MessageFlag` bits: More
   * @param special what this datagram has of its own
   * @returns `length`; or -EMSGSIZE, -EDESTADDRREQ, -EACCES (broadcast), -EPIPE, -ENETUNREACH …, or a pending error
   */
  send(
    u8: Uint8Array,
    at: number,
    length: number,
    to: UdpAddress | null = null,
    flags = 0,
    special: DatagramOptions | null = null,
  ): number {
    if ((flags & MessageFlag.Oob) !== 0) return -Errno.EOPNOTSUPP
    if (length > UDP_MAX_PAYLOAD6) return -Errno.EMSGSIZE
    const more = this.options.cork || (flags & MessageFlag.More) !== 0
    if (this.gathered !== null) return this.gather(u8, at, length, more)
    const way = this.wayTo(to, special)
    if (typeof way === 'number') return way
    if (way.kind === 'broadcast' && !this.options.broadcast) return -Errno.EACCES
    if (length > mostPayload(way)) return -Errno.EMSGSIZE
    if (this.pendingError !== 0) return -this.takeError()
    if (this.sendShut) return -Errno.EPIPE
    const port = to === null ? this.remotePort : to.port
    const frame = this.stack.world.frames.allocate(UDP_HEADER + (more ? mostPayload(way) : length))
    if (frame === null) return -Errno.ENOBUFS
    frame.end = frame.start + UDP_HEADER
    if (more) {
      this.gathered = frame
      this.gatheredTo = way
      this.gatheredPort = port
      this.gatheredSpecial = special
      return this.gather(u8, at, length, more)
    }
    this.append(frame, u8, at, length)
    const result = this.transmit(frame, way, port, special)
    return result < 0 ? result : length
  }

  /** Is a datagram being gathered, whose address is known already? */
  get isGathering(): boolean {
    return this.gathered !== null
  }

  /** Sets UDP_CORK; taking it off sends what was gathered. @returns 0 or the error of sending it */
  setCork(on: boolean): number {
    this.options.cork = on
    return on ? 0 : this.flush()
  }

  /**
   * Takes the next datagram, or leaves it with MessageFlag.Peek.
   * @param from filled with where it came from, if given
   * @param peekAt bytes to pass over, datagram by datagram (SO_PEEK_OFF), and as many empty ones in front as
   *   `peekedEmpty`; negative for none
   * @returns bytes put into `target` from `into` on, or the datagram's whole length with MessageFlag.Trunc; 0 also
   *   after `shutdown`; -EAGAIN when there is none, or a pending error
   */
  receive(
    target: Uint8Array,
    into: number,
    length: number,
    flags: number,
    from: SourceAddress | null = null,
    peekAt = -1,
    peekedEmpty = 0,
  ): number {
    if (this.pendingError !== 0) return -this.takeError()
    let frame = this.queue.first
    let skip = Math.max(0, peekAt)
    let empty = peekedEmpty
    // Datagrams that were looked at to their ends are passed over.
    while (peekAt >= 0 && frame !== null && skip >= frame.end - frame.start && (skip > 0 || empty-- > 0)) {
      skip -= frame.end - frame.start
      frame = frame.next
    }
    if (frame === null) return this.receiveShut ? 0 : -Errno.EAGAIN
    const { memory, frames } = this.stack.world
    const whole = frame.end - frame.start
    const count = Math.min(length, whole - skip)
    if (count > 0) copyOut(memory.u8, frame.start + skip, target, into, count)
    if (from !== null) {
      readDatagram(from, memory, frame)
      from.truncated = count < whole - skip
    }
    if ((flags & MessageFlag.Peek) === 0) {
      this.queue.shift()
      this.charged -= frameTruesize(frame)
      frames.release(frame)
    }
    return (flags & MessageFlag.Trunc) !== 0 ? whole : count
  }

  /** A datagram for this endpoint: its data at `frame.start` to `frame.end`, its headers before it. Owns the frame. */
  deliver(frame: Frame, from: NetworkInterface): void {
    const { stack, options } = this
    const { memory } = stack.world
    const v4 = memory.u8[frame.network]! >>> 4 === 4
    const counters = v4 ? stack.mib.udp : stack.mib.udp6
    if (this.closed) {
      counters.InErrors++
      stack.drop(frame, Drop['udp-no-socket'])
      return
    }
    // One datagram may go over the limit, as on Linux.
    if (this.charged > options.receiveBuffer) {
      this.drops++
      counters.RcvbufErrors++
      counters.InErrors++
      stack.drop(frame, Drop['udp-receive-buffer-full'])
      return
    }
    counters.InDatagrams++
    noteInterface(memory, frame, from.index)
    this.charged += frameTruesize(frame)
    this.queue.push(frame)
    this.observer?.ready(Readiness.In)
  }

  /** An ICMP error about a datagram that was sent from here (RFC 1122 section 4.1.3.3). */
  icmpError(error: IcmpError): void {
    const { stack, options } = this
    let { hard } = error
    if (error.errno === Errno.EMSGSIZE) {
      const { pathMtuDiscovery } = options
      const mayBelieve = pathMtuDiscovery < PathMtuDiscovery.Interface
      if (mayBelieve) stack.updatePathMtu(error.quoted.destination, error.mtu, this.boundInterface)
      hard = pathMtuDiscovery !== PathMtuDiscovery.Dont
      // As on Linux: over IPv4 who searches no path is not told, over IPv6 who goes by the device's MTU.
      if (error.version === 4 ? !hard : !mayBelieve) return
    }
    if (options.receiveErrors) {
      this.errors.push(queuedIcmpError(error, stack.world.memory.u8, error.errno))
    } else if (!hard || !this.isConnected) return
    this.fail(error.errno)
  }

  /** Gives up everything: what is queued and gathered, and the groups. */
  close(): void {
    if (this.closed) return
    this.closed = true
    const { frames } = this.stack.world
    this.queue.clear(frames)
    this.charged = 0
    this.forgetGathered()
    this.errors.clear()
    this.memberships.clear()
    this.observer = null
  }

  private fail(errno: number): void {
    this.pendingError = errno
    this.observer?.ready(Readiness.Err)
  }

  /** The way that a datagram takes, or why there is none. */
  private wayTo(to: UdpAddress | null, special: DatagramOptions | null): Destination | number {
    const address = to === null ? this.remoteAddress : to.address
    if (address === null) return -Errno.EDESTADDRREQ
    if (to !== null) {
      if (to.port === 0) return -Errno.EINVAL
      const problem = this.checkFamily(address)
      if (problem !== 0) return problem
    }
    const source = special?.source ?? this.ownSource(address)
    const iface = special?.interface ?? to?.interface ?? this.boundInterface
    return this.resolve(address, source, iface)
  }

  /** The address to send from, when it has one; an address of the other family is none for this destination. */
  private ownSource(destination: IpAddress): IpAddress | null {
    const { localAddress } = this
    const usable = this.sendsFromBound && !localAddress.isUnspecified && localAddress.isIpv4 === destination.isIpv4
    return usable ? localAddress : null
  }

  private resolve(address: IpAddress, source: IpAddress | null, iface: NetworkInterface | null): Destination | number {
    const { stack } = this
    const { multicastInterface, unicastInterface } = this.options
    const out = iface ?? (address.isMulticast ? multicastInterface : unicastInterface)
    const way = stack.resolve(address, source, out)
    if (way === -Errno.ENETUNREACH) {
      if (address.isIpv4) stack.mib.ip.OutNoRoutes++
      else stack.mib.ip6.OutNoRoutes++
    }
    return way
  }

  private checkFamily(address: IpAddress): number {
    if (!this.isIpv6) return address.isIpv4 ? 0 : -Errno.EAFNOSUPPORT
    return address.isIpv4 && this.v6Only ? -Errno.ENETUNREACH : 0
  }

  private append(frame: Frame, u8: Uint8Array, at: number, length: number): void {
    copyIn(this.stack.world.memory.u8, frame.end, u8, at, length)
    frame.end += length
  }

  /** Adds to the datagram being gathered, and sends it unless more is to come. */
  private gather(u8: Uint8Array, at: number, length: number, more: boolean): number {
    const frame = this.gathered!
    if (this.pendingError !== 0) return -this.takeError()
    if (this.sendShut) return -Errno.EPIPE
    if (frame.length - UDP_HEADER + length > mostPayload(this.gatheredTo!)) {
      // What was gathered is lost with it, as on Linux.
      this.forgetGathered()
      return -Errno.EMSGSIZE
    }
    this.append(frame, u8, at, length)
    if (more) return length
    const result = this.flush()
    return result < 0 ? result : length
  }

  private forgetGathered(): void {
    if (this.gathered !== null) this.stack.world.frames.release(this.gathered)
    this.gathered = null
    this.gatheredTo = null
    this.gatheredSpecial = null
  }

  private flush(): number {
    const { gathered, gatheredTo } = this
    if (gathered === null || gatheredTo === null) return 0
    this.gathered = null
    this.gatheredTo = null
    const special = this.gatheredSpecial
    this.gatheredSpecial = null
    return this.transmit(gathered, gatheredTo, this.gatheredPort, special)
  }

  /** Writes the header of the datagram in `frame` and sends it. Owns the frame. @returns 0 or a negative errno */
  private transmit(frame: Frame, known: Destination, port: number, special: DatagramOptions | null): number {
    const { stack, options } = this
    const { memory } = stack.world
    const { view } = memory
    const { start, end } = frame
    const v4 = known.address.isIpv4
    view.setUint16(start, this.localPort)
    view.setUint16(start + 2, port)
    view.setUint16(start + 4, end - start)
    const packet = end - start + (v4 ? IPV4_MIN_HEADER : IPV6_HEADER)
    if (options.pathMtuDiscovery === PathMtuDiscovery.Interface && packet > known.interface.mtu) {
      stack.drop(frame, Drop['ip-too-big'])
      return this.sent(-Errno.EMSGSIZE, known, port, v4, known.interface.mtu)
    }
    const dontFragment = special?.dontFragment ?? options.dontFragment
    const way = options.fragmentSize === 0 ? known : narrowed(options, known, packet, dontFragment)
    const flags = sendFlags(options, way, packet, dontFragment)
    const { tx } = stack
    tx.version = v4 ? 4 : 6
    tx.source = way.source
    tx.destination = way.address
    if (v4 && options.noChecksum) view.setUint16(start + 6, 0)
    else if (way.interface.port.features.checksumOffload) {
      fillPartialChecksum(tx, IpProtocol.Udp, memory, start, end)
      frame.checksum = FrameChecksum.Partial
    } else fillTransportChecksum(tx, IpProtocol.Udp, memory, start, end)
    const group = way.kind === 'multicast'
    const hopLimit = special?.hopLimit ?? (group ? options.multicastHopLimit : options.hopLimit)
    const trafficClass = special?.trafficClass ?? options.trafficClass
    const mtuBefore = way.mtu
    frame.watcher = special?.watcher ?? null
    const result = stack.send(frame, way, way.source, IpProtocol.Udp, hopLimit, trafficClass, flags)
    return this.sent(result, way, port, v4, mtuBefore)
  }

  /** Counts what became of a datagram, and queues an error of our own where that is asked for. */
  private sent(result: number, way: Destination, port: number, v4: boolean, mtu: number): number {
    const { stack, options } = this
    const counters = v4 ? stack.mib.udp : stack.mib.udp6
    if (result === 0) {
      counters.OutDatagrams++
      return 0
    }
    if (result === -Errno.EMSGSIZE && options.receiveErrors) {
      const { address: destination } = way
      const local = { errno: Errno.EMSGSIZE, origin: ErrorOrigin.Local, type: 0, code: 0, info: mtu }
      this.errors.push({ ...local, offender: null, destination, port, data: new Uint8Array(0) })
      this.observer?.ready(Readiness.Err)
    }
    if (result !== -Errno.ENOBUFS || options.receiveErrors) return result
    // A queue on the way is full: that is as good as lost in the network.
    counters.SndbufErrors++
    return 0
  }
}

const mostPayload = (way: Destination): number => (way.address.isIpv4 ? UDP_MAX_PAYLOAD : UDP_MAX_PAYLOAD6)
