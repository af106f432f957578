import { Errno } from '../core/errno.ts'
import { AckPending, BufferLock, Nagle } from '../tcp/connection.ts'
import { acknowledgeRead, allowQuickAcks, MAX_QUICK_ACKS } from '../tcp/delayed-ack.ts'
import { tcpInfo } from '../tcp/info.ts'
import { pushPending } from '../tcp/output.ts'
import { TcpState } from '../tcp/state.ts'
import { armKeepalive, keepIdle, stopKeepalive } from '../tcp/timers.ts'
import * as C from './constants.ts'
import type { OptionValue } from './socket.ts'
import type { TcpSocket } from './tcp.ts'

/** The options of TCP sockets: what setsockopt(2) and getsockopt(2) take and give, with Linux's limits. */

/** The least sizes of queues, where they are doubled. */
const MIN_SEND_BUFFER = 4608
const MIN_RECEIVE_BUFFER = 2304
const MAX_SEGMENT = 32_767
const MIN_SEGMENT = 88
const MAX_KEEP = 32_767
const MAX_KEEP_COUNT = 127
const MAX_SYN_COUNT = 127
const MAX_LINGER2 = 120

/** @returns 0 or a negative `Errno` */
export const setTcpOption = (socket: TcpSocket, level: number, name: number, value: OptionValue): number => {
  if (level === C.SOL_TCP && name === C.TCP_CONGESTION) return setCongestion(socket, value)
  if (typeof value !== 'number' || !Number.isInteger(value)) return -Errno.EINVAL
  if (level === C.SOL_TCP) return setAtTcp(socket, name, value)
  if (level === C.SOL_SOCKET) return setAtSocket(socket, name, value)
  if (level === C.SOL_IP) return setAtIp(socket, name, value)
  if (level === C.SOL_IPV6) return socket.family === 6 ? setAtIpv6(socket, name, value) : -Errno.ENOPROTOOPT
  return -Errno.ENOPROTOOPT
}

const setAtSocket = (socket: TcpSocket, name: number, value: number): number => {
  const { c } = socket
  switch (name) {
    case C.SO_SNDBUF:
    case C.SO_SNDBUFFORCE: {
      const limited = name === C.SO_SNDBUF ? Math.min(value, socket.layer.settings.wmem_max) : value
      c.bufferLocks |= BufferLock.Send
      c.sendBuffer = bufferSize(socket, limited, MIN_SEND_BUFFER)
      socket.wake(socket.poll())
      return 0
    }
    case C.SO_RCVBUF:
    case C.SO_RCVBUFFORCE: {
      const limited = name === C.SO_RCVBUF ? Math.min(value, socket.layer.settings.rmem_max) : value
      c.bufferLocks |= BufferLock.Receive
      c.receiveBuffer = bufferSize(socket, limited, MIN_RECEIVE_BUFFER)
      return 0
    }
    case C.SO_KEEPALIVE:
      c.ownOptions().keepalive = value !== 0
      if (c.state === TcpState.Closed || c.state === TcpState.SynSent) return 0
      if (value === 0) stopKeepalive(c)
      else armKeepalive(c, keepIdle(c))
      return 0
    case C.SO_OOBINLINE:
      c.ownOptions().oobInline = value !== 0
      return 0
    case C.SO_RCVLOWAT:
      c.ownOptions().receiveLowat = value <= 0 ? (value < 0 ? 0x7fff_ffff : 1) : value
      return 0
    case C.SO_SNDLOWAT:
      return -Errno.ENOPROTOOPT
    case C.SO_BROADCAST:
    case C.SO_DONTROUTE:
    case C.SO_DEBUG:
    case C.SO_PRIORITY:
    case C.SO_TIMESTAMP:
      return 0
    default:
      return -Errno.ENOPROTOOPT
  }
}

/** The size of a queue for what was asked: doubled, for the overhead of packets, where that is counted (socket(7)). */
const bufferSize = (socket: TcpSocket, asked: number, least: number): number =>
  socket.c.layer.settings.personality.bufferAccounting === 'data' ? Math.max(1, asked) : Math.max(asked * 2, least)

const setAtTcp = (socket: TcpSocket, name: number, value: number): number => {
  const { c } = socket
  const inRange = (low: number, high: number): boolean => value >= low && value <= high
  switch (name) {
    case C.TCP_NODELAY:
      if (value === 0) c.nagle &= ~Nagle.Off
      else {
        c.nagle |= Nagle.Off
        if (c.queue !== null) pushPending(c, c.nagle | Nagle.Push)
      }
      return 0
    case C.TCP_CORK:
      if (value !== 0) c.nagle |= Nagle.Cork
      else {
        c.nagle &= ~Nagle.Cork
        if (c.queue !== null) pushPending(c, c.nagle | Nagle.Push)
      }
      return 0
    case C.TCP_MAXSEG:
      if (value !== 0 && !inRange(MIN_SEGMENT, MAX_SEGMENT)) return -Errno.EINVAL
      c.ownOptions().maxSegment = value
      return 0
    case C.TCP_KEEPIDLE:
      if (!inRange(1, MAX_KEEP)) return -Errno.EINVAL
      c.ownOptions().keepIdle = value
      if (c.options.keepalive && c.state !== TcpState.Closed) armKeepalive(c, keepIdle(c))
      return 0
    case C.TCP_KEEPINTVL:
      if (!inRange(1, MAX_KEEP)) return -Errno.EINVAL
      c.ownOptions().keepInterval = value
      return 0
    case C.TCP_KEEPCNT:
      if (!inRange(1, MAX_KEEP_COUNT)) return -Errno.EINVAL
      c.ownOptions().keepCount = value
      return 0
    case C.TCP_SYNCNT:
      if (!inRange(1, MAX_SYN_COUNT)) return -Errno.EINVAL
      c.ownOptions().synRetries = value
      return 0
    case C.TCP_LINGER2:
      c.ownOptions().linger2 = value < 0 ? -1 : value > MAX_LINGER2 ? MAX_LINGER2 : value
      return 0
    case C.TCP_DEFER_ACCEPT:
      c.ownOptions().deferAccept = retransmissionsIn(value)
      return 0
    case C.TCP_WINDOW_CLAMP:
      if (value === 0 && c.state !== TcpState.Closed) return -Errno.EINVAL
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
    case C.TCP_NOTSENT_LOWAT:
      c.ownOptions().notSentLowat = value >>> 0
      socket.wake(socket.poll())
      return 0
    case C.TCP_THIN_LINEAR_TIMEOUTS:
      if (!inRange(0, 1)) return -Errno.EINVAL
      c.ownOptions().thinLinearTimeouts = value === 1
      return 0
    case C.TCP_THIN_DUPACK:
      return inRange(0, 1) ? 0 : -Errno.EINVAL
    default:
      return -Errno.ENOPROTOOPT
  }
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
  c.control = control
  if (c.cc !== c.layer.pristineCongestion) control.init(c)
  return 0
}

const setAtIp = (socket: TcpSocket, name: number, value: number): number => {
  const { c } = socket
  switch (name) {
    case C.IP_TOS:
      if (value < 0 || value > 255) return -Errno.EINVAL
      // The ECN bits are TCP's own.
      c.ownOptions().trafficClass = value & ~3
      return 0
    case C.IP_TTL:
      if (value !== -1 && (value < 1 || value > 255)) return -Errno.EINVAL
      c.ownOptions().hopLimit = value === -1 ? 0 : value
      return 0
    case C.IP_FREEBIND:
    case C.IP_TRANSPARENT:
      socket.freeBind = value !== 0
      return 0
    case C.IP_BIND_ADDRESS_NO_PORT:
      socket.bindAddressNoPort = value !== 0
      return 0
    case C.IP_MTU_DISCOVER:
      return value < C.IP_PMTUDISC_DONT || value > 5 ? -Errno.EINVAL : 0
    case C.IP_RECVERR:
      return 0
    default:
      return -Errno.ENOPROTOOPT
  }
}

const setAtIpv6 = (socket: TcpSocket, name: number, value: number): number => {
  const { c } = socket
  switch (name) {
    case C.IPV6_V6ONLY:
      if (socket.localPort !== 0) return -Errno.EINVAL
      socket.v6only = value !== 0
      return 0
    case C.IPV6_UNICAST_HOPS:
      if (value < -1 || value > 255) return -Errno.EINVAL
      c.ownOptions().hopLimit = value === -1 ? 0 : value
      return 0
    case C.IPV6_TCLASS:
      if (value < -1 || value > 255) return -Errno.EINVAL
      c.ownOptions().trafficClass = value === -1 ? 0 : value & ~3
      return 0
    case C.IPV6_RECVERR:
    case C.IPV6_MTU_DISCOVER:
      return 0
    default:
      return -Errno.ENOPROTOOPT
  }
}

/** @returns the option's value, or a negative `Errno` */
export const getTcpOption = (socket: TcpSocket, level: number, name: number): OptionValue => {
  if (level === C.SOL_SOCKET) return getAtSocket(socket, name)
  if (level === C.SOL_TCP) return getAtTcp(socket, name)
  const { options } = socket.c
  if (level === C.SOL_IP) {
    if (name === C.IP_TOS) return options.trafficClass
    if (name === C.IP_TTL) return options.hopLimit || socket.layer.ip.settings.ip_default_ttl
    if (name === C.IP_FREEBIND || name === C.IP_TRANSPARENT) return Number(socket.freeBind)
    if (name === C.IP_BIND_ADDRESS_NO_PORT) return Number(socket.bindAddressNoPort)
    if (name === C.IP_MTU) return socket.c.destination?.mtu ?? -Errno.ENOTCONN
    return -Errno.ENOPROTOOPT
  }
  if (level === C.SOL_IPV6 && socket.family === 6) {
    if (name === C.IPV6_V6ONLY) return Number(socket.v6only)
    if (name === C.IPV6_UNICAST_HOPS) return options.hopLimit || 64
    if (name === C.IPV6_TCLASS) return options.trafficClass
    if (name === C.IPV6_MTU) return socket.c.destination?.mtu ?? -Errno.ENOTCONN
  }
  return -Errno.ENOPROTOOPT
}

const getAtSocket = (socket: TcpSocket, name: number): number => {
  const { c } = socket
  switch (name) {
    case C.SO_SNDBUF:
      return c.sendBuffer
    case C.SO_RCVBUF:
      return c.receiveBuffer
    case C.SO_KEEPALIVE:
      return Number(c.options.keepalive)
    case C.SO_OOBINLINE:
      return Number(c.options.oobInline)
    case C.SO_RCVLOWAT:
      return c.options.receiveLowat
    case C.SO_SNDLOWAT:
      return 1
    case C.SO_ACCEPTCONN:
      return Number(socket.isListening)
    case C.SO_BROADCAST:
    case C.SO_DONTROUTE:
    case C.SO_DEBUG:
    case C.SO_PRIORITY:
    case C.SO_TIMESTAMP:
      return 0
    default:
      return -Errno.ENOPROTOOPT
  }
}

const getAtTcp = (socket: TcpSocket, name: number): OptionValue => {
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
      return c.options.notSentLowat || settings.tcp_notsent_lowat
    case C.TCP_THIN_LINEAR_TIMEOUTS:
      return Number(c.options.thinLinearTimeouts)
    case C.TCP_THIN_DUPACK:
      return 0
    default:
      return -Errno.ENOPROTOOPT
  }
}
