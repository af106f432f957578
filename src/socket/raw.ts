import { Errno } from '../core/errno.ts'
import type { Frame } from '../core/frame.ts'
import type { Destination } from '../ip/destination.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { IcmpError } from '../ip/protocol.ts'
import { foldSum, sumBytes } from '../wire/checksum.ts'
import { Drop } from '../wire/drop.ts'
import { type IpHeader, MAX_PACKET } from '../wire/ip.ts'
import { verifyTransportChecksum } from '../wire/transport.ts'
import { anyAddress, type Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { ControlMessage } from './control.ts'
import type { SocketLayer } from './layer.ts'
import { PacketSocket } from './packet-socket.ts'
import type { RawReceiver } from './raw-demux.ts'
import type { OptionFailure, OptionValue } from './socket-options.ts'

/**
 * `struct icmp_filter`, one word, and `struct icmp6_filter`, eight: a bit that is set keeps messages of its type out.
 */
export interface IcmpFilter {
  data: number | readonly number[]
}

/**
 * A raw socket (raw(7)): it gets a copy of every packet of its protocol, with the IP header over IPv4 and without over
 * IPv6, and sends payloads, or whole packets with IP_HDRINCL.
 */
export class RawSocket extends PacketSocket implements RawReceiver {
  /** ICMP_FILTER or ICMPV6_FILTER, as words. */
  private filter: readonly number[] = []
  /** IPV6_CHECKSUM: where the checksum lies that is to be filled in and verified, bytes; -1 for none. */
  private checksumAt = -1

  constructor(layer: SocketLayer, domain: number, protocol: number) {
    super(layer, domain, C.SOCK_RAW, protocol)
    // getsockname(2) tells the protocol in place of a port.
    this.localPort = protocol
    if (protocol === C.IPPROTO_RAW) this.ownIpOptions().headerIncluded = true
    if (this.isIcmpv6) this.checksumAt = 2
    this.reuseAddress = true
    layer.raw.add(this)
  }

  get isNumbered(): boolean {
    return false
  }

  private get isIcmpv6(): boolean {
    return this.family === 6 && this.protocol === C.IPPROTO_ICMPV6
  }

  bind(given: Sockaddr): number {
    if (this.isConnected) return -Errno.EINVAL
    // Whatever family the structure names, its address is taken for one of IPv4; where that lies, sockaddr_in6 has 0.
    if (this.family === 4)
      given = { address: given.address?.includes(':') === true ? '0.0.0.0' : (given.address ?? '0.0.0.0') }
    const named = this.readEndpoint(given)
    if (this.family === 6 && typeof named !== 'number' && named.said === C.AF_INET6 && named.address.isIpv4) {
      return -Errno.EADDRNOTAVAIL
    }
    const endpoint = this.checkBind({ ...given, port: 0 }, false)
    if (typeof endpoint === 'number') return endpoint
    this.noteBound(endpoint)
    this.local = endpoint.address
    return 0
  }

  override connect(given: Sockaddr): number {
    const result = super.connect(given)
    if (!this.isUndo(given)) return result
    // What bind(2) has set is undone with it.
    this.boundAddress = anyAddress(this.family)
    this.local = this.boundAddress
    this.localPort = 0
    return result
  }

  send(
    source: Uint8Array,
    at: number,
    length: number,
    flags: number,
    to: Sockaddr | null,
    control: readonly ControlMessage[] | null = null,
  ): number {
    if ((flags & C.MSG_OOB) !== 0) return length > MAX_PACKET ? -Errno.EMSGSIZE : -Errno.EOPNOTSUPP
    const problem = this.family === 6 && to !== null ? this.checkTarget6(to) : 0
    if (problem !== 0) return problem
    if (length > MAX_PACKET) return -Errno.EMSGSIZE
    const way = this.prepare(to, control)
    if (typeof way === 'number') return way
    const isWhole = this.ipOptions.headerIncluded
    if (isWhole && length > way.interface.mtu) return -Errno.EMSGSIZE
    if (isWhole && length < (this.family === 4 ? 20 : 40)) return -Errno.EINVAL
    const { ip } = this.layer
    const frame = ip.world.frames.allocate(length)
    if (frame === null) return -Errno.ENOBUFS
    const { u8 } = ip.world.memory
    u8.set(source.subarray(at, at + length), frame.start)
    frame.end = frame.start + length
    if (isWhole) {
      if (u8[frame.start]! >>> 4 === this.family) {
        this.watch(frame)
        return this.sent(ip.sendRaw(frame, way), length)
      }
      ip.world.frames.release(frame)
      return -Errno.EINVAL
    }
    if (this.checksumAt >= 0 && this.family === 6 && !this.fillChecksum(frame, way)) {
      ip.world.frames.release(frame)
      return -Errno.EINVAL
    }
    if (this.protocol === C.IPPROTO_ICMP && length > 0 && this.family === 4) ip.icmp.countOut(u8[frame.start]!)
    if (this.isIcmpv6 && length > 0) ip.icmpv6.countOut(u8[frame.start]!)
    return this.transmit(frame, way, length)
  }

  /** A port, where sockaddr_in6 has one, may only repeat the protocol. */
  private checkTarget6({ family, port = 0, address = '::' }: Sockaddr): number {
    if (!address.includes(':')) return -Errno.EINVAL
    if (family !== undefined && family !== C.AF_UNSPEC && family !== C.AF_INET6) return -Errno.EAFNOSUPPORT
    const isOther = port !== this.protocol && this.protocol !== C.IPPROTO_RAW
    return port !== 0 && (isOther || port > 255) ? -Errno.EINVAL : 0
  }

  /** @returns false when the packet is too short to have a checksum there */
  private fillChecksum(frame: Frame, way: Destination): boolean {
    const { ip } = this.layer
    const { memory } = ip.world
    const { start, end } = frame
    const at = start + this.checksumAt
    if (at + 2 > end) return false
    const { tx } = ip
    tx.version = 6
    tx.source = way.source
    tx.destination = way.address
    memory.view.setUint16(at, 0)
    const sum = foldSum(tx.pseudoSum(this.protocol, end - start) + sumBytes(memory, start, end))
    memory.view.setUint16(at, ~sum & 0xffff || 0xffff)
    return true
  }

  take(header: IpHeader, frame: Frame, from: NetworkInterface): boolean {
    if (header.version !== this.family || header.protocol !== this.protocol) return false
    if (this.boundInterface !== null && this.boundInterface !== from) return false
    if (this.remote !== null && !header.sourceIs(this.remote.address)) return false
    if (!this.isAddressed(header, from)) return false
    const { ip } = this.layer
    const { memory, frames } = ip.world
    if (this.isFiltered(header, memory.u8[header.payloadStart]!)) return true
    if (this.isIcmpv6 && verifyTransportChecksum(header, memory) !== Drop.none) return true
    if (this.checksumAt >= 0 && !this.isIcmpv6 && !this.verifies(header)) return true
    const copy = frames.copy(frame)
    if (copy === null) {
      ip.mib.drops[Drop['no-memory']]!++
      return true
    }
    const shift = copy.base - frame.base
    copy.start = (this.family === 4 ? frame.network : header.payloadStart) + shift
    copy.end = header.payloadEnd + shift
    this.enqueue(copy, from.index)
    return true
  }

  private isAddressed(header: IpHeader, from: NetworkInterface): boolean {
    const { local, ipOptions } = this
    const isBound = !local.isUnspecified
    const isOwn = !isBound || header.destinationIs(local)
    if (this.layer.ip.arrival !== 'multicast') return isOwn
    // An IPv6 socket that is bound to nothing hears all groups that the host is in.
    if (this.family === 6) return isOwn || this.memberships.wants(header, from, ipOptions.multicastAll6)
    return isOwn && this.memberships.wants(header, from, ipOptions.multicastAll)
  }

  private isFiltered(header: IpHeader, type: number): boolean {
    if (header.payloadLength === 0) return false
    return ((this.filter[type >>> 5] ?? 0) & (1 << (type & 31))) !== 0
  }

  private verifies(header: IpHeader): boolean {
    const { payloadStart, payloadEnd } = header
    const { memory } = this.layer.ip.world
    const pseudo = header.pseudoSum(this.protocol, payloadEnd - payloadStart)
    return foldSum(pseudo + sumBytes(memory, payloadStart, payloadEnd)) === 0xffff
  }

  hear(error: IcmpError): boolean {
    const { quoted } = error
    if (error.version !== this.family || quoted.protocol !== this.protocol) return false
    if (!this.local.isUnspecified && !quoted.sourceIs(this.local)) return false
    if (this.remote !== null && !quoted.destinationIs(this.remote.address)) return false
    this.noteError(error)
    return true
  }

  override setOption(level: number, name: number, value: OptionValue): number {
    if (this.family === 4 && level === C.SOL_IP && name === C.IP_HDRINCL) return this.setHeaderIncluded(value)
    if (this.family === 6) {
      if (level === C.SOL_IP) return -Errno.ENOPROTOOPT
      if (level === C.SOL_IPV6 && name === C.IPV6_V6ONLY) return -Errno.EINVAL
      if (level === C.SOL_IPV6 && name === C.IPV6_HDRINCL) return this.setHeaderIncluded(value)
      if ((level === C.SOL_IPV6 || level === C.SOL_RAW) && name === C.IPV6_CHECKSUM) return this.setChecksum(value)
      if (level === C.SOL_ICMPV6) return this.setFilter(name, value, 8, C.IPPROTO_ICMPV6)
    } else if (level === C.SOL_RAW) return this.setFilter(name, value, 1, C.IPPROTO_ICMP)
    return super.setOption(level, name, value)
  }

  private setHeaderIncluded(value: OptionValue): number {
    if (typeof value !== 'number') return -Errno.EINVAL
    this.ownIpOptions().headerIncluded = value !== 0
    return 0
  }

  /** ICMPv6's checksum is where it is; others lie at an even place. */
  private setChecksum(value: OptionValue): number {
    if (typeof value !== 'number') return -Errno.EINVAL
    if (this.isIcmpv6) return value === 2 ? 0 : -Errno.EINVAL
    if (value > 0 && (value & 1) === 1) return -Errno.EINVAL
    this.checksumAt = value < 0 ? -1 : value
    return 0
  }

  private setFilter(name: number, value: OptionValue, words: number, protocol: number): number {
    if (this.protocol !== protocol) return -Errno.EOPNOTSUPP
    if (name !== C.ICMP_FILTER) return -Errno.ENOPROTOOPT
    const data = typeof value === 'number' ? value : (value as Partial<IcmpFilter>).data
    if (data === undefined) return -Errno.EINVAL
    const given = typeof data === 'number' ? [data] : data
    this.filter = Array.from({ length: words }, (_, i) => (given[i] ?? 0) | 0)
    return 0
  }

  override getOption(level: number, name: number): OptionValue | OptionFailure {
    if (this.family === 6) {
      if (level === C.SOL_IP) return { errno: Errno.ENOPROTOOPT }
      if (level === C.SOL_IPV6 && name === C.IPV6_V6ONLY) return 0
      if (level === C.SOL_IPV6 && name === C.IPV6_HDRINCL) return Number(this.ipOptions.headerIncluded)
      if ((level === C.SOL_IPV6 || level === C.SOL_RAW) && name === C.IPV6_CHECKSUM) return this.checksumAt
      if (level === C.SOL_ICMPV6) return this.getFilter(name, 8, C.IPPROTO_ICMPV6)
    } else if (level === C.SOL_RAW) return this.getFilter(name, 1, C.IPPROTO_ICMP)
    return super.getOption(level, name)
  }

  private getFilter(name: number, words: number, protocol: number): OptionValue | OptionFailure {
    if (this.protocol !== protocol) return { errno: Errno.EOPNOTSUPP }
    if (name !== C.ICMP_FILTER) return { errno: Errno.ENOPROTOOPT }
    return words === 1
      ? { data: this.filter[0] ?? 0 }
      : { data: Array.from({ length: 8 }, (_, i) => this.filter[i] ?? 0) }
  }

  protected override release(): void {
    this.layer.raw.remove(this)
    super.release()
  }
}
