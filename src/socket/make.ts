import { Errno } from '../core/errno.ts'
import * as C from './constants.ts'
import type { SocketLayer } from './layer.ts'
import { PingSocket } from './ping.ts'
import { RawSocket } from './raw.ts'
import type { Socket } from './socket.ts'
import { TcpSocket } from './tcp.ts'
import { UdpSocket } from './udp.ts'
import { UnixSocket } from './unix.ts'
import { UnixDatagramSocket } from './unix-datagram.ts'
import { UnixSeqpacketSocket } from './unix-seqpacket.ts'
import { UnixStreamSocket } from './unix-stream.ts'

/** One more than the last number of an address family, a socket type and a protocol that Linux has heard of. */
const AF_MAX = 46
const SOCK_MAX = 11
const IPPROTO_MAX = 263

/**
 * socket(2): makes a socket of a kind.
 * @param type without SOCK_NONBLOCK and SOCK_CLOEXEC
 * @returns it; or -EAFNOSUPPORT, -EINVAL, -ESOCKTNOSUPPORT, -EPROTONOSUPPORT, -EPERM, -EACCES, in this order
 */
export const makeSocket = (
  layer: SocketLayer,
  domain: number,
  type: number,
  protocol: number,
  uid: number,
): Socket | number => {
  if (domain < 0 || domain >= AF_MAX) return -Errno.EAFNOSUPPORT
  if (type < 0 || type >= SOCK_MAX) return -Errno.EINVAL
  if (domain === C.AF_UNIX) return makeUnix(layer, type, protocol, uid)
  if (domain !== C.AF_INET && domain !== C.AF_INET6) return -Errno.EAFNOSUPPORT
  // An old name for sockets of AF_PACKET, which there are none of.
  if (type === C.SOCK_PACKET && domain === C.AF_INET) return uid === 0 ? -Errno.EAFNOSUPPORT : -Errno.EPERM
  if (protocol < 0 || protocol >= IPPROTO_MAX) return -Errno.EINVAL
  const socket = make(layer, domain, type, protocol, uid)
  if (typeof socket !== 'number') socket.uid = uid
  return socket
}

/** socketpair(2): two sockets that are connected with each other. @returns them, or a negative `Errno` */
export const makeSocketPair = (
  layer: SocketLayer,
  domain: number,
  type: number,
  protocol: number,
  uid: number,
): [UnixSocket, UnixSocket] | number => {
  const one = makeSocket(layer, domain, type, protocol, uid)
  if (typeof one === 'number') return one
  const two = makeSocket(layer, domain, type, protocol, uid)
  if (one instanceof UnixSocket && two instanceof UnixSocket) {
    one.pairWith(two)
    return [one, two]
  }
  for (const socket of [one, two]) if (typeof socket !== 'number') socket.unref()
  return -Errno.EOPNOTSUPP
}

const makeUnix = (layer: SocketLayer, type: number, protocol: number, uid: number): Socket | number => {
  if (protocol !== 0 && protocol !== C.AF_UNIX) return -Errno.EPROTONOSUPPORT
  const socket = makeUnixOf(layer, type)
  if (typeof socket !== 'number') socket.uid = uid
  return socket
}

const makeUnixOf = (layer: SocketLayer, type: number): Socket | number => {
  switch (type) {
    case C.SOCK_STREAM:
      return new UnixStreamSocket(layer, C.SOCK_STREAM)
    case C.SOCK_SEQPACKET:
      return new UnixSeqpacketSocket(layer)
    // A raw one is no different.
    case C.SOCK_DGRAM:
    case C.SOCK_RAW:
      return new UnixDatagramSocket(layer, C.SOCK_DGRAM)
    default:
      return -Errno.ESOCKTNOSUPPORT
  }
}

const make = (layer: SocketLayer, domain: number, type: number, protocol: number, uid: number): Socket | number => {
  switch (type) {
    case C.SOCK_STREAM:
      if (protocol !== 0 && protocol !== C.IPPROTO_TCP) return -Errno.EPROTONOSUPPORT
      return new TcpSocket(layer, domain)
    case C.SOCK_DGRAM:
      if (protocol === 0 || protocol === C.IPPROTO_UDP) return new UdpSocket(layer, domain)
      if (protocol !== (domain === C.AF_INET ? C.IPPROTO_ICMP : C.IPPROTO_ICMPV6)) return -Errno.EPROTONOSUPPORT
      return mayPing(layer, uid) ? new PingSocket(layer, domain) : -Errno.EACCES
    case C.SOCK_RAW:
      if (protocol === 0) return -Errno.EPROTONOSUPPORT
      return uid === 0 ? new RawSocket(layer, domain, protocol) : -Errno.EPERM
    default:
      return -Errno.ESOCKTNOSUPPORT
  }
}

/** Is a user's group one of `ping_group_range`? */
const mayPing = ({ settings }: SocketLayer, uid: number): boolean => {
  const [first, last] = settings.ping_group_range
  return uid >= first && uid <= last
}
