import type { Micros } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { SocketLayer } from './layer.ts'
import { OpenFile } from './open-file.ts'

/** `struct linger`. */
export interface Linger {
  l_onoff: number
  /** Seconds. */
  l_linger: number
}

/** `struct timeval`. */
export interface Timeval {
  tv_sec: number
  tv_usec: number
}

/** The value of a socket option: a number, or the structure that it takes. */
export type OptionValue = number | string | Linger | Timeval | object

/** What a receive call learns beside the data. One object a call. */
export class Received {
  /** Who sent it; null where the socket does not tell. */
  from: Required<Sockaddr> | null = null
  /** MSG_TRUNC, MSG_OOB, MSG_CTRUNC …: what became of the message. */
  flags = 0
}

/**
 * The socket structure, behind the descriptor: what all kinds of sockets share. Calls do not block here: they return a
 * count or 0, or a negative `Errno`, -EAGAIN where a blocking call would wait (see host/calls.ts).
 */
export abstract class Socket extends OpenFile {
  readonly layer: SocketLayer
  /** AF_INET, AF_INET6 or AF_UNIX; SOCK_*; IPPROTO_*. */
  readonly domain: number
  readonly type: number
  readonly protocol: number
  reuseAddress = false
  reusePort = false
  /** SO_SNDTIMEO and SO_RCVTIMEO, microseconds; 0 for no limit. */
  sendTimeout: Micros = 0
  receiveTimeout: Micros = 0
  /** SO_BINDTODEVICE. */
  boundInterface: NetworkInterface | null = null
  /** SO_LINGER: seconds, -1 when it is off. */
  lingerSeconds = -1
  /** Who made it. */
  uid = 0
  /** Names the socket for those who look: netstat, ss, lsof. */
  readonly inode: number

  constructor(layer: SocketLayer, domain: number, type: number, protocol: number) {
    super()
    this.layer = layer
    this.domain = domain
    this.type = type
    this.protocol = protocol
    this.inode = layer.newInode()
    layer.sockets.add(this)
  }

  /** 4 or 6, for sockets of the Internet families. */
  get family(): 4 | 6 {
    return this.domain === C.AF_INET6 ? 6 : 4
  }

  abstract bind(address: Sockaddr): number
  /** @returns 0, -EINPROGRESS when it has begun and is not over, or another negative `Errno` */
  abstract connect(address: Sockaddr): number
  abstract send(source: Uint8Array, at: number, length: number, flags: number, to: Sockaddr | null): number
  abstract receive(target: Uint8Array, at: number, length: number, flags: number, received: Received | null): number
  abstract shutdown(how: number): number
  /** getsockname(2) and getpeername(2). @returns the address, or a negative `Errno` */
  abstract localAddress(): Required<Sockaddr> | number
  abstract peerAddress(): Required<Sockaddr> | number

  listen(_backlog: number): number {
    return -Errno.EOPNOTSUPP
  }

  /** The next connection; -EAGAIN when none waits, or another negative `Errno`. */
  accept(): Socket | number {
    return -Errno.EOPNOTSUPP
  }

  /** The error that waits to be reported (SO_ERROR), taken; 0 for none. */
  takeError(): number {
    return 0
  }

  /** How many bytes a blocking receive of `length` bytes waits for. */
  receiveTarget(_length: number): number {
    return 1
  }

  /** Must send(2) go on until everything is taken: is it a stream? */
  get isStream(): boolean {
    return this.type === C.SOCK_STREAM
  }

  /** Does a close with SO_LINGER still have to wait? */
  get isLingering(): boolean {
    return false
  }

  override read(target: Uint8Array, at: number, length: number): number {
    return this.receive(target, at, length, 0, null)
  }

  override write(source: Uint8Array, at: number, length: number): number {
    return this.send(source, at, length, 0, null)
  }

  /** Sets an option at SOL_SOCKET; the kinds of sockets add theirs. @returns 0 or a negative `Errno` */
  setOption(level: number, name: number, value: OptionValue): number {
    if (level !== C.SOL_SOCKET) return -Errno.ENOPROTOOPT
    if (name === C.SO_LINGER) return this.setLinger(value as Linger)
    if (name === C.SO_RCVTIMEO || name === C.SO_SNDTIMEO) return this.setTimeout(name, value as Timeval)
    if (name === C.SO_BINDTODEVICE) return this.bindToDevice(value)
    if (typeof value !== 'number') return -Errno.EINVAL
    switch (name) {
      case C.SO_REUSEADDR:
        this.reuseAddress = value !== 0
        return 0
      case C.SO_REUSEPORT:
        if (this.type === C.SOCK_RAW) return -Errno.EOPNOTSUPP
        this.reusePort = value !== 0
        return 0
      case C.SO_TYPE:
      case C.SO_PROTOCOL:
      case C.SO_DOMAIN:
      case C.SO_ERROR:
      case C.SO_ACCEPTCONN:
        return -Errno.ENOPROTOOPT
      default:
        return this.setSocketOption(name, value)
    }
  }

  /** Options at SOL_SOCKET that depend on the kind of socket. */
  protected abstract setSocketOption(name: number, value: number): number
  protected abstract getSocketOption(name: number): number

  /** Reads an option. @returns its value, or a negative `Errno` */
  getOption(level: number, name: number): OptionValue {
    if (level !== C.SOL_SOCKET) return -Errno.ENOPROTOOPT
    switch (name) {
      case C.SO_REUSEADDR:
        return Number(this.reuseAddress)
      case C.SO_REUSEPORT:
        return Number(this.reusePort)
      case C.SO_TYPE:
        return this.type
      case C.SO_PROTOCOL:
        return this.protocol
      case C.SO_DOMAIN:
        return this.domain
      case C.SO_ERROR:
        return this.takeError()
      case C.SO_LINGER:
        return { l_onoff: Number(this.lingerSeconds >= 0), l_linger: Math.max(0, this.lingerSeconds) }
      case C.SO_RCVTIMEO:
        return timeval(this.receiveTimeout)
      case C.SO_SNDTIMEO:
        return timeval(this.sendTimeout)
      case C.SO_BINDTODEVICE:
        return this.boundInterface?.name ?? ''
      default:
        return this.getSocketOption(name)
    }
  }

  protected override release(): void {
    this.layer.sockets.delete(this)
  }

  private setLinger(value: Linger): number {
    if (typeof value !== 'object' || typeof value.l_onoff !== 'number') return -Errno.EINVAL
    this.lingerSeconds = value.l_onoff === 0 ? -1 : Math.max(0, value.l_linger)
    return 0
  }

  private setTimeout(name: number, value: Timeval): number {
    if (typeof value !== 'object' || typeof value.tv_sec !== 'number') return -Errno.EINVAL
    const usec = value.tv_usec ?? 0
    if (usec < 0 || usec >= 1_000_000) return -Errno.EDOM
    // A negative time-out means not to wait at all; the least that can be told from none is taken.
    const limit = value.tv_sec < 0 ? 1 : value.tv_sec * 1_000_000 + usec
    if (name === C.SO_RCVTIMEO) this.receiveTimeout = limit
    else this.sendTimeout = limit
    return 0
  }

  private bindToDevice(value: OptionValue): number {
    if (typeof value !== 'string') return -Errno.EINVAL
    if (value === '') {
      this.boundInterface = null
      return 0
    }
    const found = this.layer.ip.interfaceNamed(value)
    if (found === null) return -Errno.ENODEV
    this.boundInterface = found
    return 0
  }
}

const timeval = (limit: Micros): Timeval => ({
  tv_sec: Math.floor(limit / 1_000_000),
  tv_usec: limit % 1_000_000,
})
