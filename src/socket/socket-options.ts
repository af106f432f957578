import type { Micros } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { INT_MAX } from '../ip/settings.ts'
import * as C from './constants.ts'
import type { Credentials } from './control.ts'
import type { KeptOptions, Socket } from './socket.ts'

/** Options at SOL_SOCKET (socket(7)), with Linux's limits. */

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

/** `struct sock_txtime`. */
export interface TransmitTime {
  clockid: number
  flags: number
}

/** The value of a socket option: a number, or the structure that it takes. */
export type OptionValue = number | string | Linger | Timeval | TransmitTime | object

/** Why getsockopt(2) has no value to give. */
export interface OptionFailure {
  /** Positive. */
  readonly errno: number
}

/** Is it no value, but why there is none? */
export const isFailure = (value: OptionValue | OptionFailure): value is OptionFailure =>
  typeof value === 'object' && 'errno' in value

/** Whom nobody is known of. */
export const NO_CREDENTIALS: Credentials = { pid: 0, uid: 0xffff_ffff, gid: 0xffff_ffff }
/** Options that are only kept, and are a flag. */
type Flag = {
  [K in keyof KeptOptions]: KeptOptions[K] extends boolean ? K : never
}[keyof KeptOptions]

const FLAGS: Readonly<Record<number, Flag>> = {
  [C.SO_DONTROUTE]: 'dontRoute',
  [C.SO_BROADCAST]: 'broadcast',
  [C.SO_KEEPALIVE]: 'keepAlive',
  [C.SO_OOBINLINE]: 'outOfBandInline',
  [C.SO_NO_CHECK]: 'noCheck',
  [C.SO_RXQ_OVFL]: 'dropCount',
}

/** Sizes of queues are doubled, and have to fit into an int then. */
const MOST_BUFFER = INT_MAX >> 1
/** The greatest priority that is not the superuser's alone. */
const MAX_PRIORITY = 6

/** Bits of SO_TIMESTAMPING that mean nothing without another. */
const isCoherent = (flags: number): boolean =>
  ((flags & C.SOF_TIMESTAMPING_OPT_ID_TCP) === 0 || (flags & C.SOF_TIMESTAMPING_OPT_ID) !== 0) &&
  ((flags & C.SOF_TIMESTAMPING_OPT_STATS) === 0 || (flags & C.SOF_TIMESTAMPING_OPT_TSONLY) !== 0)

/** All bits of SO_TIMESTAMPING. */
const MAX_TIMESTAMPING = 0x7_ffff

/** @returns 0 or a negative `Errno` */
export const setSocketOption = (socket: Socket, name: number, value: OptionValue): number => {
  if (name === C.SO_LINGER) return setLinger(socket, value as Linger)
  if (name === C.SO_RCVTIMEO || name === C.SO_RCVTIMEO_NEW) return setTimeLimit(socket, C.SO_RCVTIMEO, value as Timeval)
  if (name === C.SO_SNDTIMEO || name === C.SO_SNDTIMEO_NEW) return setTimeLimit(socket, C.SO_SNDTIMEO, value as Timeval)
  if (name === C.SO_TXTIME) return setTransmitTime(socket, value)
  if (name === C.SO_BINDTODEVICE) return bindToDevice(socket, value)
  if (typeof value !== 'number' || !Number.isInteger(value)) return -Errno.EINVAL
  return setNumber(socket, name, value)
}

/** SO_TXTIME. Nothing here goes by the times of packets, as on Linux without a queueing discipline for them. */
const setTransmitTime = (socket: Socket, value: OptionValue): number => {
  if (typeof value !== 'object' || !('clockid' in value)) return -Errno.EINVAL
  const { clockid, flags } = value as TransmitTime
  if ((flags & ~(C.SOF_TXTIME_DEADLINE_MODE | C.SOF_TXTIME_REPORT_ERRORS)) !== 0) return -Errno.EINVAL
  if (clockid !== C.CLOCK_MONOTONIC && socket.uid !== 0) return -Errno.EPERM
  if (![C.CLOCK_REALTIME, C.CLOCK_MONOTONIC, C.CLOCK_TAI].includes(clockid)) return -Errno.EINVAL
  socket.ownKept().transmitTime = { clockid, flags }
  return 0
}

const setNumber = (socket: Socket, name: number, value: number): number => {
  const { layer, uid } = socket
  if (name === C.SO_BINDTOIFINDEX) return bindToIndex(socket, value)
  const kept = socket.ownKept()
  const on = value !== 0
  const flag = FLAGS[name]
  if (flag !== undefined) {
    kept[flag] = on
    return socket.optionChanged(name, value)
  }
  switch (name) {
    case C.SO_DEBUG:
      if (on && uid !== 0) return -Errno.EACCES
      kept.debug = on
      return 0
    case C.SO_REUSEADDR:
      socket.reuseAddress = on
      break
    case C.SO_REUSEPORT:
      socket.reusePort = on
      break
    case C.SO_PRIORITY:
      if (uid !== 0 && (value < 0 || value > MAX_PRIORITY)) return -Errno.EPERM
      kept.priority = value
      break
    case C.SO_MARK:
      if (uid !== 0) return -Errno.EPERM
      kept.mark = value
      return 0
    case C.SO_TIMESTAMP:
    case C.SO_TIMESTAMPNS:
      kept.timestamp = on && name === C.SO_TIMESTAMP
      kept.timestampNs = on && name === C.SO_TIMESTAMPNS
      break
    case C.SO_TIMESTAMPING: {
      if (value < 0 || value > MAX_TIMESTAMPING || !isCoherent(value)) return -Errno.EINVAL
      const problem = socket.optionChanged(name, value)
      if (problem === 0) kept.timestamping = value
      return problem
    }
    case C.SO_MAX_PACING_RATE:
      // -1 is no limit; a negative number is a large one of 32 bits.
      kept.maxPacingRate = value === -1 ? Number.POSITIVE_INFINITY : value < 0 ? value >>> 0 : value
      break
    case C.SO_ZEROCOPY:
      if (value !== 0 && value !== 1) return -Errno.EINVAL
      if (socket.protocol !== C.IPPROTO_TCP) return -Errno.EOPNOTSUPP
      kept.zerocopy = on
      break
    case C.SO_PEEK_OFF:
      if (!hasPeekOffset(socket)) return -Errno.EOPNOTSUPP
      kept.peekOffset = value
      break
    case C.SO_RCVLOWAT:
      kept.receiveLowat = value < 0 ? INT_MAX : value || 1
      break
    case C.SO_SNDBUF:
    case C.SO_RCVBUF: {
      const which = name === C.SO_SNDBUF ? 'send' : 'receive'
      const most = which === 'send' ? layer.settings.wmem_max : layer.settings.rmem_max
      kept.bufferLocks |= lockOf(name)
      // A negative size is a very large one, as the kernel sees it.
      socket.setBuffer(which, Math.min(value < 0 ? most : Math.min(value, most), MOST_BUFFER))
      return 0
    }
    case C.SO_SNDBUFFORCE:
    case C.SO_RCVBUFFORCE:
      if (uid !== 0) return -Errno.EPERM
      kept.bufferLocks |= lockOf(name)
      socket.setBuffer(name === C.SO_SNDBUFFORCE ? 'send' : 'receive', Math.min(Math.max(0, value), MOST_BUFFER))
      return 0
    case C.SO_BUF_LOCK:
      if ((value & ~(C.SOCK_SNDBUF_LOCK | C.SOCK_RCVBUF_LOCK)) !== 0) return -Errno.EINVAL
      kept.bufferLocks = value
      break
    case C.SO_SELECT_ERR_QUEUE:
      kept.tellsErrorQueue = on
      return 0
    case C.SO_BSDCOMPAT:
      return 0
    case C.SO_PASSCRED:
    case C.SO_PASSSEC:
      return -Errno.EOPNOTSUPP
    default:
      return -Errno.ENOPROTOOPT
  }
  return socket.optionChanged(name, value)
}

/** @returns the option's value, or why there is none */
export const getSocketOption = (socket: Socket, name: number): OptionValue | OptionFailure => {
  const { kept } = socket
  const flag = FLAGS[name]
  if (flag !== undefined) return Number(kept[flag])
  switch (name) {
    case C.SO_DEBUG:
      return Number(kept.debug)
    case C.SO_REUSEADDR:
      return Number(socket.reuseAddress)
    case C.SO_REUSEPORT:
      return Number(socket.reusePort)
    case C.SO_TYPE:
      return socket.type
    case C.SO_PROTOCOL:
      return socket.protocol
    case C.SO_DOMAIN:
      return socket.domain
    case C.SO_ACCEPTCONN:
      return Number(socket.isListening)
    case C.SO_ERROR:
      return socket.takeError()
    case C.SO_PRIORITY:
      return kept.priority
    case C.SO_MARK:
      return kept.mark
    case C.SO_TIMESTAMP:
      return Number(kept.timestamp)
    case C.SO_TIMESTAMPNS:
      return Number(kept.timestampNs)
    case C.SO_TIMESTAMPING:
      return kept.timestamping
    case C.SO_MAX_PACING_RATE:
      // As a program learns it that asks for 32 bits.
      return Math.min(kept.maxPacingRate, 0xffff_ffff)
    case C.SO_ZEROCOPY:
      return Number(kept.zerocopy)
    case C.SO_PEEK_OFF:
      return hasPeekOffset(socket) ? kept.peekOffset : { errno: Errno.EOPNOTSUPP }
    case C.SO_RCVLOWAT:
      return kept.receiveLowat
    case C.SO_SNDLOWAT:
      return 1
    case C.SO_SNDBUF:
      return socket.sendBuffer
    case C.SO_RCVBUF:
      return socket.receiveBuffer
    case C.SO_LINGER: {
      const isOn = socket.lingerSeconds >= 0
      return { l_onoff: Number(isOn), l_linger: isOn ? socket.lingerSeconds : kept.idleLinger }
    }
    case C.SO_RCVTIMEO:
    case C.SO_RCVTIMEO_NEW:
      return timeval(socket.receiveTimeout)
    case C.SO_SNDTIMEO:
    case C.SO_SNDTIMEO_NEW:
      return timeval(socket.sendTimeout)
    case C.SO_BINDTODEVICE:
      return socket.boundInterface?.name ?? ''
    case C.SO_BINDTOIFINDEX:
      return socket.boundInterface?.index ?? 0
    case C.SO_COOKIE:
      return socket.inode
    case C.SO_BSDCOMPAT:
      return 0
    case C.SO_PEERNAME: {
      const peer = socket.peerAddress()
      return typeof peer === 'number' ? { errno: -peer } : peer
    }
    case C.SO_PEERCRED:
      return NO_CREDENTIALS
    case C.SO_MEMINFO: {
      const { receive, send, queued, drops } = socket.memoryUse
      return [receive, socket.receiveBuffer, send, socket.sendBuffer, 0, queued, 0, 0, drops]
    }
    case C.SO_BUF_LOCK:
      return kept.bufferLocks
    case C.SO_SELECT_ERR_QUEUE:
      return Number(kept.tellsErrorQueue)
    case C.SO_TXTIME:
      return kept.transmitTime ?? { clockid: 0, flags: 0 }
    case C.SO_PASSCRED:
    case C.SO_PASSSEC:
      return { errno: Errno.EOPNOTSUPP }
    default:
      return { errno: Errno.ENOPROTOOPT }
  }
}

const lockOf = (name: number): number =>
  name === C.SO_SNDBUF || name === C.SO_SNDBUFFORCE ? C.SOCK_SNDBUF_LOCK : C.SOCK_RCVBUF_LOCK

const hasPeekOffset = ({ domain, type, protocol }: Socket): boolean =>
  domain === C.AF_UNIX || (type !== C.SOCK_RAW && (protocol === C.IPPROTO_TCP || protocol === C.IPPROTO_UDP))

const setLinger = (socket: Socket, value: Linger): number => {
  if (typeof value !== 'object' || typeof value.l_onoff !== 'number') return -Errno.EINVAL
  if (value.l_onoff === 0) {
    if (socket.lingerSeconds >= 0) socket.ownKept().idleLinger = socket.lingerSeconds
    socket.lingerSeconds = -1
    return 0
  }
  // A negative time is a very long one.
  socket.lingerSeconds = value.l_linger < 0 ? INT_MAX : value.l_linger
  return 0
}

const setTimeLimit = (socket: Socket, name: number, value: Timeval): number => {
  if (typeof value !== 'object' || typeof value.tv_sec !== 'number') return -Errno.EINVAL
  const usec = value.tv_usec ?? 0
  if (usec < 0 || usec >= 1_000_000) return -Errno.EDOM
  const limit = value.tv_sec < 0 ? -1 : value.tv_sec * 1_000_000 + usec
  if (name === C.SO_RCVTIMEO) socket.receiveTimeout = limit
  else socket.sendTimeout = limit
  return 0
}

/** SO_BINDTOIFINDEX: an interface by its number, 0 for none. */
const bindToIndex = (socket: Socket, index: number): number => {
  if (index < 0) return socket.boundInterface !== null && socket.uid !== 0 ? -Errno.EPERM : -Errno.EINVAL
  return bindTo(socket, index === 0 ? null : (socket.layer.ip.interfaceAt(index) ?? undefined))
}

/** @param iface null for any; undefined for one that is not there */
const bindTo = (socket: Socket, iface: NetworkInterface | null | undefined): number => {
  // Who is not the superuser may bind a socket to a device, but not to another one later.
  if (socket.boundInterface !== null && socket.uid !== 0) return -Errno.EPERM
  if (iface === undefined) return -Errno.ENODEV
  socket.boundInterface = iface
  return socket.optionChanged(C.SO_BINDTODEVICE, 0)
}

const bindToDevice = (socket: Socket, value: OptionValue): number => {
  if (typeof value !== 'string') return -Errno.EINVAL
  return bindTo(socket, value === '' ? null : (socket.layer.ip.interfaceNamed(value) ?? undefined))
}

const timeval = (limit: Micros): Timeval => ({
  tv_sec: Math.max(0, Math.floor(limit / 1_000_000)),
  tv_usec: Math.max(0, limit) % 1_000_000,
})
