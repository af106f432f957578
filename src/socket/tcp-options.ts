import { MILLISECOND, SECOND } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import { MIN_RECEIVE_BUFFER, MIN_SEND_BUFFER } from '../ip/truesize.ts'
import { AckPending, BufferLock, Nagle, type TcpConnection } from '../tcp/connection.ts'
import { acknowledgeRead, allowQuickAcks, MAX_QUICK_ACKS } from '../tcp/delayed-ack.ts'
import { bytesOfKeys, FastOpenMode, keysOfBytes } from '../tcp/fast-open.ts'
import { TICK, tcpInfo } from '../tcp/info.ts'
import type { Inherited } from '../tcp/listener.ts'
import { MD5_LONGEST_KEY, withMd5Key } from '../tcp/md5.ts'
import { pushPending } from '../tcp/output.ts'
import { changeControl } from '../tcp/reduction.ts'
import { TcpState } from '../tcp/state.ts'
import { armKeepalive, DELAYED_ACK_MAX, keepIdle, leastRto, mostRto, silence, stopKeepalive } from '../tcp/timers.ts'
import { readSockaddr, type Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { OptionFailure, OptionValue } from './socket-options.ts'
import type { TcpSocket } from './tcp.ts'

/** The options of TCP sockets: what setsockopt(2) and getsockopt(2) take and give, with Linux's limits (tcp(7)). */

const MAX_SEGMENT = 32_767
const MIN_SEGMENT = 88
const MAX_KEEP = 32_767
const MAX_KEEP_COUNT = 127
const MAX_SYN_COUNT = 127
const MAX_LINGER2 = 120
/** Bounds of TCP_RTO_MAX_MS, TCP_RTO_MIN_US and TCP_DELACK_MAX_US, which are kept in ticks of Linux's clock. */
const LEAST_RTO_MAX = 1000
const MOST_RTO = 120 * SECOND
const DEFAULT_LEAST_RTO = 200 * MILLISECOND
const LEAST_TIME = TICK + 1
const inTicks = (micros: number): number => Math.ceil(micros / TICK) * TICK
const SWITCH = [0, 1] as const

/** The least and the greatest value of options that are refused beyond. */
const RANGES: Readonly<Record<number, readonly [least: number, greatest: number]>> = {
  [C.TCP_KEEPIDLE]: [1, MAX_KEEP],
  [C.TCP_KEEPINTVL]: [1, MAX_KEEP],
  [C.TCP_KEEPCNT]: [1, MAX_KEEP_COUNT],
  [C.TCP_SYNCNT]: [1, MAX_SYN_COUNT],
  [C.TCP_RTO_MAX_MS]: [LEAST_RTO_MAX, MOST_RTO / MILLISECOND],
  [C.TCP_RTO_MIN_US]: [LEAST_TIME, DEFAULT_LEAST_RTO],
  [C.TCP_DELACK_MAX_US]: [LEAST_TIME, DELAYED_ACK_MAX],
  [C.TCP_THIN_LINEAR_TIMEOUTS]: SWITCH,
  [C.TCP_THIN_DUPACK]: SWITCH,
  [C.TCP_INQ]: SWITCH,
  [C.TCP_SAVE_SYN]: [0, 2],
}

/** Sets an option at IPPROTO_TCP. @returns 0 or a negative `Errno` */
export const setTcpOption = (socket: TcpSocket, name: number, value: OptionValue): number => {
  if (name === C.TCP_CONGESTION) return setCongestion(socket, value)
  if (name === C.TCP_MD5SIG || name === C.TCP_MD5SIG_EXT) return setMd5Key(socket, name, value)
  if (name === C.TCP_FASTOPEN_KEY) return setFastOpenKey(socket.c, value)
  if (name === C.TCP_ULP) return typeof value === 'string' ? -Errno.ENOENT : -Errno.EINVAL
  if (typeof value !== 'number' || !Number.isInteger(value)) return -Errno.EINVAL
  return setAtTcp(socket, name, value)
}

/** SO_SNDBUF and SO_RCVBUF: doubled, for the overhead of packets, where that is counted (socket(7)). */
export const setTcpBuffer = (socket: TcpSocket, which: 'send' | 'receive', asked: number): void => {
  const { c } = socket
  const least = which === 'send' ? MIN_SEND_BUFFER : MIN_RECEIVE_BUFFER
  const isPlain = c.layer.settings.personality.bufferAccounting === 'data'
  const size = isPlain ? Math.max(1, asked) : Math.max(asked * 2, least)
  if (which === 'receive') {
    c.bufferLocks |= BufferLock.Receive
    c.receiveBuffer = size
    return
  }
  c.bufferLocks |= BufferLock.Send
  c.sendBuffer = size
  // There may be room now.
  socket.wake(socket.poll() & Readiness.Out)
}

/** SO_RCVLOWAT: no more than half of what RecvQ may grow to, and RecvQ grows so that it can be met. */
export const setReceiveLowat = (socket: TcpSocket): number => {
  const { c } = socket
  const { settings } = c.layer
  const locked = (c.bufferLocks & BufferLock.Receive) !== 0
  const most = (locked ? c.receiveBuffer : settings.tcp_rmem[2]) >> 1
  const lowat = Math.max(1, Math.min(socket.kept.receiveLowat, most))
  c.ownOptions().receiveLowat = lowat
  const isPlain = settings.personality.bufferAccounting === 'data'
  if (!locked) c.receiveBuffer = Math.max(c.receiveBuffer, isPlain ? lowat : lowat * 2)
  socket.wake(socket.poll() & Readiness.In)
  return lowat
}

/** Gives a connection what was set for another one of its socket. */
export const copyTcpOptions = (from: TcpConnection, to: TcpConnection): void => {
  to.options = from.options
  to.control = from.control
  to.nagle = from.nagle
  to.bufferLocks = from.bufferLocks
  if ((from.bufferLocks & BufferLock.Send) !== 0) to.sendBuffer = from.sendBuffer
  if ((from.bufferLocks & BufferLock.Receive) !== 0) to.receiveBuffer = from.receiveBuffer
}

/** What connections get from the listener that they come through, whose socket has the connection `c`. */
export const inheritedOptions = (c: TcpConnection): Inherited => {
  const { options, sendBuffer, receiveBuffer, bufferLocks, nagle, control, arrivals } = c
  return { notesArrivals: arrivals !== null, options, sendBuffer, receiveBuffer, bufferLocks, nagle, control }
}

/** SO_MAX_PACING_RATE, bytes a second. */
export const setMaxPacingRate = ({ c, kept }: TcpSocket): void => {
  c.ownOptions().maxPacingRate = kept.maxPacingRate
  c.cc.pacingRate = Math.min(c.cc.pacingRate, c.options.maxPacingRate)
}

/** Options at IPPROTO_IP or IPPROTO_IPV6 were set, or the version has become known: the connection follows them. */
export const tcpIpOptionsChanged = (socket: TcpSocket): void => {
  const { c, ipOptions } = socket
  const is4 = socket.family === 4 || c.remote.isIpv4
  const hops = is4 ? ipOptions.ttl : Math.max(0, ipOptions.hops)
  const trafficClass = is4 ? ipOptions.tos : ipOptions.trafficClass
  const receiveErrors = socket.family === 4 ? ipOptions.receiveErrors : ipOptions.receiveErrors6
  const minHopLimit = is4 ? ipOptions.minTtl : ipOptions.minHops
  const pathMtuDiscovery = is4 ? ipOptions.pathMtuDiscovery : ipOptions.pathMtuDiscovery6
  const { options: before } = c
  const isSame = before.hopLimit === hops && before.trafficClass === trafficClass
  const passesSame = before.minHopLimit === minHopLimit && before.pathMtuDiscovery === pathMtuDiscovery
  if (isSame && passesSame && before.receiveErrors === receiveErrors) return
  Object.assign(c.ownOptions(), { receiveErrors, hopLimit: hops, trafficClass, minHopLimit, pathMtuDiscovery })
}

/** An option at SOL_SOCKET that the connection follows was set. */
export const tcpOptionChanged = (c: TcpConnection, name: number, value: number): void => {
  const on = value !== 0
  if (name === C.SO_BUF_LOCK) c.bufferLocks = value
  if (name === C.SO_OOBINLINE) c.ownOptions().oobInline = on
  if (name !== C.SO_KEEPALIVE) return
  const wasOn = c.options.keepalive
  c.ownOptions().keepalive = on
  if (c.state === TcpState.Closed || c.state === TcpState.SynSent) return
  if (!on) stopKeepalive(c)
  else if (!wasOn) armKeepalive(c, keepIdle(c))
}

const setAtTcp = (socket: TcpSocket, name: number, value: number): number => {
  const { c } = socket
  const range = RANGES[name]
  if (range !== undefined && (value < range[0] || value > range[1])) return -Errno.EINVAL
  switch (name) {
    case C.TCP_NODELAY:
      c.nagle = value !== 0 ? c.nagle | Nagle.Off : c.nagle & ~Nagle.Off
      if (value !== 0) pushWaiting(c)
      return 0
    case C.TCP_CORK:
      c.nagle = value !== 0 ? c.nagle | Nagle.Cork : c.nagle & ~Nagle.Cork
      if (value === 0) pushWaiting(c)
      return 0
    case C.TCP_MAXSEG:
      if (value !== 0 && (value < MIN_SEGMENT || value > MAX_SEGMENT)) return -Errno.EINVAL
      c.ownOptions().maxSegment = value
      return 0
    case C.TCP_KEEPIDLE:
      c.ownOptions().keepIdle = value
      if (c.options.keepalive && c.state !== TcpState.Closed && c.state !== TcpState.SynSent)
        armKeepalive(c, Math.max(0, keepIdle(c) - silence(c)))
      return 0
    case C.TCP_KEEPINTVL:
      c.ownOptions().keepInterval = value
      return 0
    case C.TCP_KEEPCNT:
      c.ownOptions().keepCount = value
      return 0
    case C.TCP_SYNCNT:
      c.ownOptions().synRetries = value
      return 0
    case C.TCP_LINGER2:
      c.ownOptions().linger2 = value < 0 ? -1 : Math.min(value, MAX_LINGER2)
      return 0
    case C.TCP_DEFER_ACCEPT:
      c.ownOptions().deferAccept = retransmissionsIn(value)
      return 0
    case C.TCP_WINDOW_CLAMP:
      if (value === 0 && (c.state !== TcpState.Closed || socket.isListening)) return -Errno.EINVAL
      c.ownOptions().windowClamp = value === 0 ? 0 : Math.max(value, MIN_RECEIVE_BUFFER / 2)
      if (c.state !== TcpState.Closed) {
        c.rcv.windowClamp = c.options.windowClamp
        c.rcv.ssthresh = Math.min(c.rcv.ssthresh, c.rcv.windowClamp)
      }
      return 0
    case C.TCP_QUICKACK:
      setQuickAck(socket, value)
      return 0
    case C.TCP_USER_TIMEOUT:
      if (value < 0) return -Errno.EINVAL
      c.ownOptions().userTimeoutMs = value
      return 0
    case C.TCP_RTO_MAX_MS:
      c.ownOptions().mostRtoMs = value
      return 0
    case C.TCP_RTO_MIN_US:
      c.ownOptions().leastRto = inTicks(value)
      return 0
    case C.TCP_DELACK_MAX_US:
      c.ownOptions().mostAckDelay = inTicks(value)
      return 0
    case C.TCP_TIMESTAMP:
      // For who repairs a connection only.
      return -Errno.EPERM
    case C.TCP_NOTSENT_LOWAT:
      c.ownOptions().notSentLowat = value >>> 0
      socket.wake(socket.poll())
      return 0
    case C.TCP_THIN_LINEAR_TIMEOUTS:
      c.ownOptions().thinLinearTimeouts = value === 1
      return 0
    case C.TCP_THIN_DUPACK:
      return 0
    case C.TCP_INQ:
      socket.tellsInq = value === 1
      return 0
    case C.TCP_SAVE_SYN:
      c.ownOptions().saveSyn = value
      return 0
    case C.TCP_FASTOPEN:
    case C.TCP_FASTOPEN_CONNECT:
    case C.TCP_FASTOPEN_NO_COOKIE:
      return setFastOpen(socket, name, value)
    default:
      return -Errno.ENOPROTOOPT
  }
}

/** Sends what has waited for more to come. */
const pushWaiting = (c: TcpConnection): void => {
  if (c.queue !== null) pushPending(c, c.nagle | Nagle.Push)
}

/** The options of fast open: they count for connections that are still to be. */
const setFastOpen = (socket: TcpSocket, name: number, value: number): number => {
  const { c } = socket
  const { fastOpen, settings } = c.layer
  const isSwitch = value === 0 || value === 1
  if (name === C.TCP_FASTOPEN_CONNECT) {
    if (!isSwitch) return -Errno.EINVAL
    if (!fastOpen.allows(FastOpenMode.Client)) return -Errno.EOPNOTSUPP
  }
  if (c.state !== TcpState.Closed || (socket.isListening && name !== C.TCP_FASTOPEN)) return -Errno.EINVAL
  if (name === C.TCP_FASTOPEN) {
    if (value < 0) return -Errno.EINVAL
    c.ownOptions().fastOpenQueue = Math.min(value, settings.somaxconn)
    return 0
  }
  if (!isSwitch) return -Errno.EINVAL
  if (name === C.TCP_FASTOPEN_CONNECT) c.ownOptions().fastOpenConnect = value === 1
  else c.ownOptions().fastOpenNoCookie = value === 1
  return 0
}

/** `struct tcp_md5sig`. */
export interface TcpMd5Sig {
  tcpm_addr: Sockaddr
  /** TCP_MD5SIG_FLAG_PREFIX, with TCP_MD5SIG_EXT. */
  tcpm_flags?: number
  tcpm_prefixlen?: number
  /** Empty to take the key away. */
  tcpm_key: Uint8Array
}

const setMd5Key = (socket: TcpSocket, name: number, value: OptionValue): number => {
  if (typeof value !== 'object' || !('tcpm_key' in value)) return -Errno.EINVAL
  const { tcpm_addr, tcpm_key, tcpm_flags = 0, tcpm_prefixlen = 0 } = value as TcpMd5Sig
  if (!(tcpm_key instanceof Uint8Array) || tcpm_key.length > MD5_LONGEST_KEY) return -Errno.EINVAL
  const endpoint = readSockaddr(tcpm_addr, socket.family, () => 0)
  if (typeof endpoint === 'number') return -Errno.EINVAL
  const { address } = endpoint
  const bits = address.isIpv4 ? 32 : 128
  const hasPrefix = name === C.TCP_MD5SIG_EXT && (tcpm_flags & C.TCP_MD5SIG_FLAG_PREFIX) !== 0
  if (hasPrefix && tcpm_prefixlen > bits) return -Errno.EINVAL
  const { c } = socket
  const keys = withMd5Key(c.options.md5Keys, {
    address,
    length: hasPrefix ? tcpm_prefixlen : bits,
    key: tcpm_key.slice(),
  })
  if (tcpm_key.length === 0 && keys.length === c.options.md5Keys.length) return -Errno.ENOENT
  c.ownOptions().md5Keys = keys
  return 0
}

const setFastOpenKey = (c: TcpConnection, value: OptionValue): number => {
  const keys = value instanceof Uint8Array ? keysOfBytes(value) : null
  if (keys === null) return -Errno.EINVAL
  c.ownOptions().fastOpenKeys = keys
  return 0
}

/** How many retransmissions of a SYN+ACK fit into so many seconds: TCP_DEFER_ACCEPT counts in them. */
const retransmissionsIn = (seconds: number): number => {
  let count = 0
  if (seconds > 0) {
    count = 1
    for (let period = 1, timeout = 1; seconds > period && count < 255; count++) {
      timeout = Math.min(timeout * 2, 120)
      period += timeout
    }
  }
  return count
}

const secondsOf = (retransmissions: number): number => {
  let period = 0
  for (let i = 0, timeout = 1; i < retransmissions; i++, timeout = Math.min(timeout * 2, 120)) period += timeout
  return period
}

/** TCP_QUICKACK: leave the interactive mode now, and send what is owed; or enter it. */
const setQuickAck = (socket: TcpSocket, value: number): void => {
  const { c } = socket
  if (value === 0) {
    c.rcv.pingpong = Math.max(1, c.rcv.pingpong)
    return
  }
  c.rcv.pingpong = 0
  allowQuickAcks(c, MAX_QUICK_ACKS)
  if (c.state === TcpState.Established || c.state === TcpState.CloseWait) {
    if ((c.rcv.pending & AckPending.Scheduled) !== 0) {
      c.rcv.pending |= AckPending.Pushed
      acknowledgeRead(c, 1)
      // An even value asks for it this once only.
      if ((value & 1) === 0) c.rcv.pingpong = 1
    }
  }
}

const setCongestion = (socket: TcpSocket, value: OptionValue): number => {
  if (typeof value !== 'string') return -Errno.EINVAL
  const { c } = socket
  const control = c.layer.congestionControls.find(value)
  if (control === undefined) return -Errno.ENOENT
  if (control === c.control) return 0
  changeControl(c, control)
  return 0
}

/** Reads an option at IPPROTO_TCP. */
export const getTcpOption = (socket: TcpSocket, name: number): OptionValue | OptionFailure => {
  const { c } = socket
  const { settings } = c.layer
  switch (name) {
    case C.TCP_NODELAY:
      return Number((c.nagle & Nagle.Off) !== 0)
    case C.TCP_CORK:
      return Number((c.nagle & Nagle.Cork) !== 0)
    case C.TCP_MAXSEG:
      return c.state === TcpState.Closed && c.options.maxSegment > 0 ? c.options.maxSegment : c.snd.mss
    case C.TCP_KEEPIDLE:
      return c.options.keepIdle || settings.tcp_keepalive_time
    case C.TCP_KEEPINTVL:
      return c.options.keepInterval || settings.tcp_keepalive_intvl
    case C.TCP_KEEPCNT:
      return c.options.keepCount || settings.tcp_keepalive_probes
    case C.TCP_SYNCNT:
      return c.options.synRetries || settings.tcp_syn_retries
    case C.TCP_LINGER2:
      return c.options.linger2 === 0 ? settings.tcp_fin_timeout : c.options.linger2
    case C.TCP_DEFER_ACCEPT:
      return secondsOf(c.options.deferAccept)
    case C.TCP_WINDOW_CLAMP:
      return c.state === TcpState.Closed ? c.options.windowClamp : c.rcv.windowClamp
    case C.TCP_INFO:
      return tcpInfo(c)
    case C.TCP_QUICKACK:
      return Number(c.rcv.pingpong === 0)
    case C.TCP_CONGESTION:
      return c.control.name
    case C.TCP_USER_TIMEOUT:
      return c.options.userTimeoutMs
    case C.TCP_NOTSENT_LOWAT:
      return c.options.notSentLowat | 0
    case C.TCP_RTO_MAX_MS:
      return mostRto(c) / MILLISECOND
    case C.TCP_RTO_MIN_US:
      return leastRto(c)
    case C.TCP_DELACK_MAX_US:
      return c.options.mostAckDelay || DELAYED_ACK_MAX
    case C.TCP_TIMESTAMP:
      return (c.layer.loop.nowMs32 + c.timestampOffset) >>> 0
    case C.TCP_CC_INFO:
      return c.control.info?.(c) ?? ''
    case C.TCP_ULP:
      return ''
    case C.TCP_IS_MPTCP:
      return 0
    case C.TCP_THIN_LINEAR_TIMEOUTS:
      return Number(c.options.thinLinearTimeouts)
    case C.TCP_THIN_DUPACK:
      return 0
    case C.TCP_INQ:
      return Number(socket.tellsInq)
    case C.TCP_SAVE_SYN:
      return c.options.saveSyn
    case C.TCP_SAVED_SYN: {
      const saved = c.options.savedSyn ?? new Uint8Array(0)
      // It is told once.
      if (saved.length > 0) c.ownOptions().savedSyn = null
      return saved
    }
    case C.TCP_FASTOPEN:
      return c.options.fastOpenQueue
    case C.TCP_FASTOPEN_KEY:
      return bytesOfKeys(c.options.fastOpenKeys ?? c.layer.fastOpen.hostKeys)
    case C.TCP_FASTOPEN_CONNECT:
      return Number(c.options.fastOpenConnect)
    case C.TCP_FASTOPEN_NO_COOKIE:
      return Number(c.options.fastOpenNoCookie)
    default:
      return { errno: Errno.ENOPROTOOPT }
  }
}
