import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import type { Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'
import { Received } from '../socket/socket.ts'
import { isFailure } from '../socket/socket-options.ts'
import type { NetContext } from './context.ts'
import { type AddressInfo, SocketHandle } from './socket-handle.ts'
import { UV_UDP_IPV6ONLY, UV_UDP_REUSEADDR, UV_UDP_REUSEPORT } from './uv.ts'

/** Whom a datagram handle tells what has happened. */
export interface DatagramOwner {
  /** Memory for a datagram of so many bytes, which covers its whole `ArrayBuffer`. */
  newBuffer(bytes: number): Uint8Array
  /** @param count bytes, or a negative `Errno` with neither data nor sender */
  onMessage(count: number, data: Uint8Array | null, from: AddressInfo | null): void
  /** The last word, after `close`. */
  onClosed(): void
}

/** Datagrams that are received before others have their turn. */
const RECEIVES = 32

/** A UDP socket as libuv has it: what Node's UDP handles do. Calls return 0 or a negative `Errno`. */
export class DatagramHandle extends SocketHandle {
  readonly owner: DatagramOwner
  private receiving = false

  constructor(context: NetContext, owner: DatagramOwner) {
    super(context)
    this.owner = owner
  }

  bind(family: 4 | 6, address: Sockaddr, flags: number): number {
    if (this.isMute) return 0
    if (this.isClosing) return -Errno.EBADF
    if (this.socket === null) {
      const opened = this.create(family === 4 ? C.AF_INET : C.AF_INET6, C.SOCK_DGRAM)
      if (opened !== 0) return opened
    }
    const socket = this.socket!
    if ((flags & UV_UDP_REUSEADDR) !== 0) socket.setOption(C.SOL_SOCKET, C.SO_REUSEADDR, 1)
    if ((flags & UV_UDP_REUSEPORT) !== 0) socket.setOption(C.SOL_SOCKET, C.SO_REUSEPORT, 1)
    if (family === 6 && (flags & UV_UDP_IPV6ONLY) !== 0) socket.setOption(C.SOL_IPV6, C.IPV6_V6ONLY, 1)
    const result = socket.bind(address)
    return result === -Errno.EAFNOSUPPORT ? -Errno.EINVAL : result
  }

  connect(address: Sockaddr): number {
    return this.call((socket) => socket.connect(address))
  }

  disconnect(): number {
    return this.call((socket) => socket.connect({ family: C.AF_UNSPEC }))
  }

  /** Sends one datagram, now. @param to null for the connected peer @returns bytes, or a negative `Errno` */
  send(chunks: readonly Uint8Array[], to: Sockaddr | null): number {
    const { socket } = this
    if (socket === null) return -Errno.EBADF
    this.enter()
    const data = chunks.length === 1 ? chunks[0]! : concat(chunks)
    return socket.send(data, 0, data.length, 0, to)
  }

  receiveStart(): number {
    if (this.socket === null) return -Errno.EINVAL
    this.receiving = true
    this.interest = Readiness.In
    this.setWorking(true)
    if ((this.socket.poll() & READABLE) !== 0) this.events.post(this)
    return 0
  }

  receiveStop(): number {
    this.receiving = false
    this.interest = 0
    this.setWorking(false)
    return 0
  }

  setBroadcast(on: boolean): number {
    return this.setOption(C.SOL_SOCKET, C.SO_BROADCAST, Number(on))
  }

  /** @param ttl 1 to 255 */
  setTtl(ttl: number): number {
    if (!(ttl >= 1 && ttl <= 255)) return -Errno.EINVAL
    return this.isIpv6 ? this.setOption(C.SOL_IPV6, C.IPV6_UNICAST_HOPS, ttl) : this.setOption(C.SOL_IP, C.IP_TTL, ttl)
  }

  setMulticastTtl(ttl: number): number {
    return this.isIpv6
      ? this.setOption(C.SOL_IPV6, C.IPV6_MULTICAST_HOPS, ttl)
      : this.setOption(C.SOL_IP, C.IP_MULTICAST_TTL, ttl)
  }

  setMulticastLoopback(on: boolean): number {
    return this.isIpv6
      ? this.setOption(C.SOL_IPV6, C.IPV6_MULTICAST_LOOP, Number(on))
      : this.setOption(C.SOL_IP, C.IP_MULTICAST_LOOP, Number(on))
  }

  /** @param address of the interface, or for IPv6 one with its zone */
  setMulticastInterface(address: string): number {
    if (address.includes(':') !== this.isIpv6) return -Errno.EINVAL
    if (!this.isIpv6)
      return this.setOption(C.SOL_IP, C.IP_MULTICAST_IF, { imr_multiaddr: '0.0.0.0', imr_address: address })
    return this.setOption(C.SOL_IPV6, C.IPV6_MULTICAST_IF, this.zoneOf(address))
  }

  /** Joins or leaves a group. @param on address of the interface; any unless given */
  setMembership(group: string, on: string | null, join: boolean): number {
    if (group.includes(':') !== this.isIpv6) return -Errno.EINVAL
    if (this.isIpv6) {
      const request = { ipv6mr_multiaddr: group, ipv6mr_interface: on === null ? 0 : this.zoneOf(on) }
      return this.setOption(C.SOL_IPV6, join ? C.IPV6_JOIN_GROUP : C.IPV6_LEAVE_GROUP, request)
    }
    const request = { imr_multiaddr: group, imr_interface: on ?? '0.0.0.0' }
    return this.setOption(C.SOL_IP, join ? C.IP_ADD_MEMBERSHIP : C.IP_DROP_MEMBERSHIP, request)
  }

  setSourceMembership(source: string, group: string, on: string | null, join: boolean): number {
    if (group.includes(':') !== this.isIpv6 || source.includes(':') !== this.isIpv6) return -Errno.EINVAL
    if (this.isIpv6) {
      const request = {
        gsr_interface: on === null ? 0 : this.zoneOf(on),
        gsr_group: { address: group },
        gsr_source: { address: source },
      }
      return this.setOption(C.SOL_IPV6, join ? C.MCAST_JOIN_SOURCE_GROUP : C.MCAST_LEAVE_SOURCE_GROUP, request)
    }
    const request = { imr_multiaddr: group, imr_interface: on ?? '0.0.0.0', imr_sourceaddr: source }
    return this.setOption(C.SOL_IP, join ? C.IP_ADD_SOURCE_MEMBERSHIP : C.IP_DROP_SOURCE_MEMBERSHIP, request)
  }

  /** SO_RCVBUF or SO_SNDBUF: reads it for 0, else sets it. @returns bytes, or a negative `Errno` */
  bufferSize(size: number, isReceive: boolean): number {
    const { socket } = this
    if (socket === null) return -Errno.EBADF
    const name = isReceive ? C.SO_RCVBUF : C.SO_SNDBUF
    if (size !== 0) {
      const result = this.setOption(C.SOL_SOCKET, name, size)
      return result === 0 ? size : result
    }
    const value = socket.getOption(C.SOL_SOCKET, name)
    if (isFailure(value)) return -value.errno
    return value as number
  }

  hangUp(): void {
    this.receiveStop()
  }

  handleEvents(): void {
    if (this.isClosing) {
      this.owner.onClosed()
      this.events.afterCallback()
      return
    }
    const received = new Received()
    for (let left = RECEIVES; left > 0 && this.receiving && this.socket !== null; left--) {
      this.enter()
      const { socket } = this
      const length = Math.max(0, socket.ioctl(C.FIONREAD, 0))
      const data = this.owner.newBuffer(length)
      const count = socket.receive(data, 0, length, C.MSG_DONTWAIT, received)
      if (count === -Errno.EAGAIN) return
      this.tellMessage(count, data, received)
    }
    if (this.receiving) this.events.post(this)
  }

  private tellMessage(count: number, data: Uint8Array, { from }: Received): void {
    if (count < 0 || from === null) this.owner.onMessage(count, null, null)
    else {
      const sender: AddressInfo = { address: '', family: 'IPv4', port: 0 }
      this.tell(from, sender)
      this.owner.onMessage(count, data, sender)
    }
    this.events.afterCallback()
  }

  private get isIpv6(): boolean {
    return this.socket?.domain === C.AF_INET6
  }

  private zoneOf(address: string): number {
    const zone = /%(.*)$/.exec(address)?.[1]
    return zone === undefined ? 0 : this.context.host.sockets.zoneIndex(zone)
  }

  private call(body: (socket: NonNullable<SocketHandle['socket']>) => number): number {
    if (this.socket === null) return -Errno.EBADF
    this.enter()
    return body(this.socket)
  }
}

const READABLE = Readiness.In | Readiness.Err

const concat = (chunks: readonly Uint8Array[]): Uint8Array => {
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const chunk of chunks) {
    all.set(chunk, at)
    at += chunk.length
  }
  return all
}
