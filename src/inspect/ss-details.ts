import type { TcpInfo } from '../tcp/info.ts'
import { general } from './format.ts'
import type { Holder, InternetSnapshot, MemorySnapshot, SocketSnapshot, TcpSnapshot } from './snapshot-types.ts'

/** What ss says of a socket beside its queues and addresses. */

/** The longest name of a process that Linux keeps. */
const COMMAND_LENGTH = 15

/** ` users:(…)`: who holds it, the last that was found first; empty for nobody. A process has one thread. */
export const usersText = (holders: readonly Holder[], threads: boolean): string => {
  if (holders.length === 0) return ''
  const each = [...holders].reverse().map(({ process, pid, fd }) => {
    const thread = threads ? `,tid=${pid}` : ''
    return `("${process.slice(0, COMMAND_LENGTH)}",pid=${pid}${thread},fd=${fd})`
  })
  return ` users:(${each.join(',')})`
}

/** ` timer:(…)`: the timer that is pending, the time left, and retransmissions or probes. */
export const timerText = (socket: TcpSnapshot): string => {
  const [timer] = socket.timers.filter(({ kind }) => kind !== 'delayed ack')
  if (timer === undefined) return ''
  const left = formatTime(Math.floor(timer.left / 1000))
  switch (timer.kind) {
    case 'persist':
    case 'keepalive':
      return ` timer:(${timer.kind},${left},${socket.probes})`
    case 'time-wait':
      return ` timer:(timewait,${left},0)`
    default:
      return ` timer:(on,${left},${socket.retransmits})`
  }
}

/** Milliseconds the way ss writes them: `200ms`, `3.928ms`, `59sec`, `1min59sec`, `118min`. */
const formatTime = (milliseconds: number): string => {
  const minutes = Math.floor(milliseconds / 60_000)
  let seconds = Math.floor(milliseconds / 1000) % 60
  let rest = milliseconds % 1000
  let text = ''
  if (minutes > 0) {
    rest = 0
    text = `${minutes}min`
    if (minutes > 9) seconds = 0
  }
  if (seconds > 0) {
    if (seconds > 9) rest = 0
    text += `${seconds}${rest > 0 ? '.' : 'sec'}`
  }
  return rest > 0 ? `${text}${String(rest).padStart(3, '0')}ms` : text
}

/** ` uid:… ino:… sk:…`, and for whole sockets their directions; of a Unix listener who waits to be accepted. */
export const extendedText = (socket: SocketSnapshot): string => {
  const arrows = ` ${(socket.shutdown & 1) !== 0 ? '-' : '<'}-${(socket.shutdown & 2) !== 0 ? '-' : '>'}`
  if (socket.protocol === 'unix') {
    if (socket.state !== 'LISTENING') return arrows
    return `${arrows} peers:${socket.waiting.map((inode) => ` ${inode}`).join('')}`
  }
  const uid = socket.uid === 0 ? '' : ` uid:${socket.uid}`
  const mark = socket.options.mark === 0 ? '' : ` fwmark:0x${(socket.options.mark >>> 0).toString(16)}`
  const text = `${uid} ino:${socket.inode} sk:${socket.cookie.toString(16)}${mark}`
  if (socket.protocol === 'tcp' && (socket.kind === 'half-open' || socket.kind === 'time-wait')) return text
  const isUnconnected = socket.state === 'LISTEN' || socket.state === 'CLOSE'
  const v6only = socket.family === 6 && isUnconnected ? ` v6only:${Number(socket.v6only)}` : ''
  return `${text}${v6only}${arrows}`
}

/** ` tos:… class_id:…`: IP_TOS, IPV6_TCLASS, and the priority of SO_PRIORITY. */
export const tosText = ({ family, options }: InternetSnapshot): string => {
  const { trafficClass, priority } = options
  const number = (value: number): string => (value === 0 ? '0' : `0x${value.toString(16)}`)
  const tclass = family === 6 ? ` tclass:${number(trafficClass)}` : ''
  return ` tos:${number(family === 6 ? 0 : trafficClass)}${tclass} class_id:${number(priority)}`
}

/** ` skmem:(…)`. This stack has no backlog of a locked socket and charges nothing in advance. */
export const memoryText = ({ receive, receiveBuffer, sendBuffer, send, drops }: MemorySnapshot): string =>
  ` skmem:(r${receive},rb${receiveBuffer},t0,tb${sendBuffer},f0,w${send},o0,bl0,d${drops})`

/** Bits a second: a whole number with -n, else with a unit. */
const bandwidth = (bits: number, numeric: boolean): string => {
  if (numeric) return `${Math.round(bits)}`
  for (const [unit, size] of [
    ['T', 1e12],
    ['G', 1e9],
    ['M', 1e6],
    ['k', 1e3],
  ] as const) {
    if (bits >= size) return `${general(bits / size, 3)}${unit}`
  }
  return general(bits)
}

/** Bits of `tcpi_options`. */
const INFO_OPTIONS = [
  [1, 'ts'],
  [2, 'sack'],
  [8, 'ecn'],
  [16, 'ecnseen'],
  [32, 'fastopen'],
] as const
const OPTION_WINDOW_SCALE = 4
/** An RTO that says that nothing was measured, and thresholds from here on: none is set. */
const UNKNOWN_RTO = 3_000_000
const UNSET_THRESHOLD = 0xffff
const UNKNOWN_MIN_RTT = 0xffff_ffff
const USUAL_REORDERING = 3

/**
 * ` cubic wscale:7,7 rto:204 …`: what TCP_INFO tells.
 * @param options are the options that the sides agreed to named (-o, -e)?
 */
export const infoText = (socket: TcpSnapshot, options: boolean, numeric: boolean): string => {
  const { info } = socket
  if (info === null) return ''
  const parts: string[] = []
  const add = (value: number, text: string): void => {
    if (value !== 0) parts.push(text)
  }
  /** `NAME:VALUE`, unless it is 0. */
  const count = (name: string, value: number): void => add(value, `${name}:${value}`)
  const millis = (name: string, micros: number): void => add(micros, `${name}:${general(micros / 1000)}`)
  const rate = (bits: number): string => `${bandwidth(bits, numeric)}bps`

  if (options) for (const [bit, name] of INFO_OPTIONS) add(info.tcpi_options & bit, name)
  if (socket.congestion !== null) parts.push(socket.congestion)
  add(info.tcpi_options & OPTION_WINDOW_SCALE, `wscale:${info.tcpi_snd_wscale},${info.tcpi_rcv_wscale}`)
  if (socket.kind === 'listener') {
    count('cwnd', info.tcpi_snd_cwnd)
    count('unacked', info.tcpi_unacked)
    return join(parts)
  }
  if (info.tcpi_rto !== UNKNOWN_RTO) millis('rto', info.tcpi_rto)
  count('backoff', info.tcpi_backoff)
  add(info.tcpi_rtt, `rtt:${general(info.tcpi_rtt / 1000)}/${general(info.tcpi_rttvar / 1000)}`)
  millis('ato', info.tcpi_ato)
  count('mss', info.tcpi_snd_mss)
  count('pmtu', info.tcpi_pmtu)
  count('rcvmss', info.tcpi_rcv_mss)
  count('advmss', info.tcpi_advmss)
  count('cwnd', info.tcpi_snd_cwnd)
  if (info.tcpi_snd_ssthresh < UNSET_THRESHOLD) count('ssthresh', info.tcpi_snd_ssthresh)
  addTraffic(info, count)
  const sendRate = (info.tcpi_snd_cwnd * info.tcpi_snd_mss * 8e6) / (info.tcpi_rtt || 1)
  if (info.tcpi_rtt > 0) add(sendRate, `send ${rate(sendRate)}`)
  count('lastsnd', info.tcpi_last_data_sent)
  count('lastrcv', info.tcpi_last_data_recv)
  count('lastack', info.tcpi_last_ack_recv)
  add(info.tcpi_pacing_rate, `pacing_rate ${rate(info.tcpi_pacing_rate * 8)}`)
  add(info.tcpi_delivery_rate, `delivery_rate ${rate(info.tcpi_delivery_rate * 8)}`)
  count('delivered', info.tcpi_delivered)
  count('delivered_ce', info.tcpi_delivered_ce)
  add(info.tcpi_delivery_rate_app_limited, 'app_limited')
  count('unacked', info.tcpi_unacked)
  add(info.tcpi_retrans + info.tcpi_total_retrans, `retrans:${info.tcpi_retrans}/${info.tcpi_total_retrans}`)
  count('lost', info.tcpi_lost)
  count('sacked', info.tcpi_sacked)
  count('dsack_dups', info.tcpi_dsack_dups)
  if (info.tcpi_reordering !== USUAL_REORDERING) parts.push(`reordering:${info.tcpi_reordering}`)
  count('reord_seen', info.tcpi_reord_seen)
  millis('rcv_rtt', info.tcpi_rcv_rtt)
  count('rcv_space', info.tcpi_rcv_space)
  count('rcv_ssthresh', info.tcpi_rcv_ssthresh)
  count('notsent', info.tcpi_notsent_bytes)
  if (info.tcpi_min_rtt !== UNKNOWN_MIN_RTT) millis('minrtt', info.tcpi_min_rtt)
  count('rcv_ooopack', info.tcpi_rcv_ooopack)
  count('snd_wnd', info.tcpi_snd_wnd)
  return join(parts)
}

const addTraffic = (info: TcpInfo, count: (name: string, value: number) => void): void => {
  count('bytes_sent', info.tcpi_bytes_sent)
  count('bytes_retrans', info.tcpi_bytes_retrans)
  count('bytes_acked', info.tcpi_bytes_acked)
  count('bytes_received', info.tcpi_bytes_received)
  count('segs_out', info.tcpi_segs_out)
  count('segs_in', info.tcpi_segs_in)
  count('data_segs_out', info.tcpi_data_segs_out)
  count('data_segs_in', info.tcpi_data_segs_in)
}

const join = (parts: readonly string[]): string => parts.map((part) => ` ${part}`).join('')
