import { Errno } from '../core/errno.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { MIN_RECEIVE_BUFFER, MIN_SEND_BUFFER } from '../ip/truesize.ts'
import type { SourceAddress } from '../udp/datagram.ts'
import type { QueuedError } from '../udp/error-queue.ts'
import type { Memberships } from '../udp/membership.ts'
import { IPV4_ANY, IPV4_LOOPBACK, type IpAddress } from '../wire/address.ts'
import { type Endpoint, formatSockaddr, hasScope, isUnspec, type KnownSockaddr, type Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { ControlMessage } from './control.ts'
import { describeArrival, describeError, describeStamp, readSpecial, type Special } from './datagram-control.ts'
import { StampedPacket, stampsPackets } from './datagram-stamps.ts'
import { InetSocket } from './inet.ts'
import { isMembershipOption, setMembership } from './multicast-options.ts'
import type { MemoryUse, Received } from './socket.ts'
import type { OptionValue } from './socket-options.ts'

/** Where a datagram goes: filled anew for each. */
class Target {
  address: IpAddress = IPV4_ANY
  port = 0
  interface: NetworkInterface | null = null
}

/** That an address of AF_UNSPEC stands for no address at all. */
export const NO_TARGET = 1

/** A socket that sends and receives packets whole: what UDP, raw and ping sockets have in common. */
export abstract class DatagramSocket extends InetSocket {
  abstract readonly memberships: Memberships
  /** Where the datagram that is being sent goes. */
  protected readonly target = new Target()
  /** The address that was read last, and what it was read from: most programs send to one for long. */
  private given: Sockaddr = {}
  private readLast: Endpoint | null = null
  /** SOF_TIMESTAMPING_OPT_ID: the number of the next packet that is stamped. */
  private nextStamp = 0

  /** Packets and bytes of data that wait to be read, what they are charged with, and how many found no room. */
  abstract get queued(): number
  abstract get queuedBytes(): number
  abstract get charged(): number
  abstract get dropped(): number
  abstract get isConnected(): boolean
  /** Directions that are over: bit 0 receiving, bit 1 sending. */
  abstract get shutdownBits(): number
  abstract get remote(): { address: IpAddress; port: number } | null

  protected abstract takeQueuedError(): QueuedError | null
  /** Puts something into the error queue, and tells of it. */
  abstract noteQueued(error: QueuedError): void

  override get isStream(): boolean {
    return false
  }

  override get memoryUse(): MemoryUse {
    return { receive: this.charged, send: 0, queued: 0, drops: this.dropped }
  }

  /**
   * Reads where a datagram is to go, as sendto(2) has it, into `target`.
   * @returns 0, `NO_TARGET`, or a negative `Errno`
   */
  protected readTarget(given: Sockaddr): number {
    const endpoint = this.readAgain(given)
    if (typeof endpoint === 'number') return endpoint
    const { said, scope } = endpoint
    if (this.family === 4) {
      if (said !== C.AF_INET && said !== C.AF_UNSPEC) return -Errno.EAFNOSUPPORT
      if (!endpoint.address.isIpv4) return -Errno.EAFNOSUPPORT
    } else {
      if (said === C.AF_UNSPEC) return NO_TARGET
      if (said !== C.AF_INET6 && said !== C.AF_INET) return -Errno.EINVAL
    }
    const address = this.reachable(endpoint.address)
    if (typeof address === 'number') return address
    const { target } = this
    target.address = address
    target.port = endpoint.port
    target.interface = null
    if (scope !== 0 && hasScope(address)) {
      target.interface = this.layer.ip.interfaceAt(scope)
      if (target.interface === null) return -Errno.ENODEV
    }
    return 0
  }

  /** Reads the peer that connect(2) names into `target`. @returns 0 or a negative `Errno` */
  protected readPeer(given: Sockaddr): number {
    const endpoint = this.readEndpoint(given)
    if (typeof endpoint === 'number') return endpoint
    const { said, written } = endpoint
    const as4 = this.family === 6 && written === C.AF_INET && said === C.AF_INET
    if (as4 && this.v6only) return -Errno.EAFNOSUPPORT
    if (!as4 && said !== (this.family === 4 ? C.AF_INET : C.AF_INET6)) return -Errno.EAFNOSUPPORT
    const address = this.reachable(endpoint.address)
    if (typeof address === 'number') return address
    const { target } = this
    target.address = address
    target.port = endpoint.port
    const scope = this.scopeOf(endpoint)
    if (typeof scope !== 'number') target.interface = scope
    else if (address.isMulticast && this.ipOptions.multicastInterface6 !== null) {
      target.interface = this.ipOptions.multicastInterface6
    } else return scope
    return 0
  }

  /** The address that is meant, if a socket like this can send there; else a negative `Errno`. */
  private reachable(address: IpAddress): IpAddress | number {
    if (this.family === 4) return address
    if (address.isIpv4) return this.v6only ? -Errno.ENETUNREACH : address
    if (!this.local.isIpv4) return address
    return address.isUnspecified ? IPV4_LOOPBACK : -Errno.EAFNOSUPPORT
  }

  private readAgain(given: Sockaddr): Endpoint | number {
    const { given: last, readLast } = this
    if (
      readLast !== null &&
      given.address === last.address &&
      given.port === last.port &&
      given.family === last.family &&
      given.scopeId === last.scopeId
    ) {
      return readLast
    }
    const endpoint = this.readEndpoint(given)
    if (typeof endpoint === 'number') return endpoint
    this.given = { ...given }
    this.readLast = endpoint
    return endpoint
  }

  /**
   * What control messages ask of one datagram to an address.
   * @returns null when there are none, or a negative `Errno`
   */
  protected readControl(control: readonly ControlMessage[] | null, isIpv4: boolean): Special | null | number {
    return control === null || control.length === 0 ? null : readSpecial(this, control, isIpv4)
  }

  /** Sees to it that a packet is stamped, where the socket or a control message asks for that (SO_TIMESTAMPING). */
  protected withStamps(special: Special | null): Special | null {
    const { timestamping } = this.kept
    const asked = special?.stamps ?? timestamping
    if (!stampsPackets(asked)) return special
    const isNumbered = (timestamping & C.SOF_TIMESTAMPING_OPT_ID) !== 0
    const id = special?.stampId ?? (isNumbered ? this.nextStamp++ : 0)
    return { ...special, watcher: new StampedPacket(this, asked, id >>> 0) }
  }

  /** What was to be stamped could not be sent: the next packet has its number. @returns `result` */
  protected afterStamped(special: Special | null, result: number): number {
    const hasOwn = special?.stampId !== undefined || (this.kept.timestamping & C.SOF_TIMESTAMPING_OPT_ID) === 0
    if (result < 0 && special?.watcher !== undefined && !hasOwn) this.nextStamp--
    return result
  }

  override optionChanged(name: number, value: number): number {
    if (name !== C.SO_TIMESTAMPING) return 0
    const numbers = (value & C.SOF_TIMESTAMPING_OPT_ID) !== 0
    if (numbers && (this.kept.timestamping & C.SOF_TIMESTAMPING_OPT_ID) === 0) this.nextStamp = 0
    return 0
  }

  /** Fills in what recvmsg(2) tells of a datagram beside its data. `source.port` is 0 where there are no ports. */
  protected tell(received: Received, source: SourceAddress): void {
    const { address } = source
    received.from = formatSockaddr(address, source.port, this.family, source.interfaceIndex)
    if (source.truncated) received.flags |= C.MSG_TRUNC
    if (received.control !== null) describeArrival(this, received.control, source)
  }

  /** Takes the oldest error of the queue (MSG_ERRQUEUE), with as much as is known of what it is about. */
  protected receiveError(target: Uint8Array, at: number, length: number, received: Received | null): number {
    const error = this.takeQueuedError()
    if (error === null) return -Errno.EAGAIN
    const count = Math.min(length, error.data.length)
    target.set(error.data.subarray(0, count), at)
    if (received !== null) {
      if (error.stamp === undefined) received.from = formatSockaddr(error.destination, error.port, this.family)
      received.flags |= C.MSG_ERRQUEUE
      if (count < error.data.length) received.flags |= C.MSG_TRUNC
      const { control } = received
      if (control !== null && error.stamp !== undefined) describeStamp(this, control, error)
      else if (control !== null) control.push(describeError(this.family, error))
    }
    return count
  }

  /** Does connect(2) undo a connection? */
  protected isUndo(given: Sockaddr): boolean {
    return isUnspec(given)
  }

  peerAddress(): KnownSockaddr | number {
    const { remote } = this
    if (remote === null || remote.port === 0) return -Errno.ENOTCONN
    return formatSockaddr(remote.address, remote.port, this.family, this.boundInterface?.index)
  }

  localAddress(): KnownSockaddr {
    return formatSockaddr(this.local, this.localPort, this.family, this.boundInterface?.index)
  }

  get pathMtu(): number {
    const { remote } = this
    if (remote === null) return 0
    const way = this.layer.ip.resolve(remote.address, this.local.isMulticast ? null : this.local, this.boundInterface)
    return typeof way === 'number' ? 0 : way.mtu
  }

  override setOption(level: number, name: number, value: OptionValue): number {
    const isOwn = level === C.SOL_IP || this.family === 6
    if (isOwn && isMembershipOption(level, name)) {
      return setMembership(this.memberships, this.layer.ip, level, name, value)
    }
    return super.setOption(level, name, value)
  }

  /** What SO_SNDBUF and SO_RCVBUF come to: the double, for the overhead of packets, and no less than some. */
  protected bufferSize(which: 'send' | 'receive', asked: number): number {
    return Math.max(asked * 2, which === 'send' ? MIN_SEND_BUFFER : MIN_RECEIVE_BUFFER)
  }
}
