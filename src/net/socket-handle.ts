import { Errno } from '../core/errno.ts'
import { ALWAYS_REPORTED } from '../core/readiness.ts'
import type { KnownSockaddr } from '../socket/address.ts'
import { AF_INET6 } from '../socket/constants.ts'
import type { Socket } from '../socket/socket.ts'
import type { OptionValue } from '../socket/socket-options.ts'
import type { NetContext } from './context.ts'
import { Handle } from './events.ts'

/** An address as Node tells it. */
export interface AddressInfo {
  address: string
  family: 'IPv4' | 'IPv6'
  port: number
}

/** A handle over a socket, which has a descriptor in the program's process. */
export abstract class SocketHandle extends Handle {
  readonly context: NetContext
  /** Its socket; null before it has one, and after it was closed. */
  socket: Socket | null = null
  /** The descriptor; -1 for none. */
  fd = -1
  /** The stack of the call that has made it, when that was kept. */
  origin: string | null = null
  isClosing = false
  /** `Readiness` bits that it wants to hear of. */
  protected interest = 0

  constructor(context: NetContext) {
    super(context.events)
    this.context = context
  }

  /** To be called on every way into the stack: makes the time true. */
  protected enter(): void {
    this.context.host.world.loop.refresh()
  }

  /** Makes a socket. @returns 0 or a negative `Errno` */
  protected create(domain: number, type: number): number {
    this.enter()
    const { host, process } = this.context
    const socket = host.makeSocket(domain, type, 0, process.uid)
    if (typeof socket === 'number') return socket
    return this.install(socket)
  }

  /** Takes a socket, and a descriptor for it. */
  protected install(socket: Socket): number {
    const fd = this.context.process.files.add(socket)
    if (fd < 0) return fd
    socket.nonBlocking = true
    this.fd = fd
    this.socket = socket
    socket.wait(this)
    this.context.handles.add(this)
    return 0
  }

  wake(events: number): boolean {
    if (events !== 0 && (events & (this.interest | ALWAYS_REPORTED)) === 0) return false
    this.events.post(this)
    return true
  }

  setOption(level: number, name: number, value: OptionValue): number {
    if (this.socket === null) return -Errno.EBADF
    this.enter()
    return this.socket.setOption(level, name, value)
  }

  /** getsockname(2). @returns 0 or a negative `Errno` */
  localAddress(out: Partial<AddressInfo>): number {
    if (this.socket === null) return -Errno.EINVAL
    return this.tell(this.socket.localAddress(), out)
  }

  /** getpeername(2). */
  peerAddress(out: Partial<AddressInfo>): number {
    if (this.socket === null) return -Errno.EINVAL
    return this.tell(this.socket.peerAddress(), out)
  }

  /** Fills in an address as Node tells it; a link-local one with its interface. */
  protected tell(address: KnownSockaddr | number, out: Partial<AddressInfo>): number {
    if (typeof address === 'number') return address
    const isIpv6 = address.family === AF_INET6
    const link = address.scopeId === 0 ? null : this.context.host.ip.interfaceAt(address.scopeId)
    out.address = link === null ? address.address : `${address.address}%${link.name}`
    out.family = isIpv6 ? 'IPv6' : 'IPv4'
    out.port = address.port
    return 0
  }

  /** The process is over, but not the program that has this handle. */
  abstract hangUp(): void

  /** Closes the descriptor at once. What was pending is cancelled in the next turn, and then `onClosed` comes. */
  close(): void {
    if (this.isClosing) return
    this.isClosing = true
    this.setWorking(false)
    this.leave()
    this.socket = null
    this.context.handles.delete(this)
    if (this.fd >= 0) {
      this.enter()
      this.context.process.files.take(this.fd)?.unref()
      this.fd = -1
    }
    this.events.post(this)
  }
}
