import { MAX_PACKET } from '../wire/ip.ts'
import { IPV4_MIN_HEADER } from '../wire/ipv4.ts'
import { IPV6_HEADER } from '../wire/ipv6.ts'
import { TCP_MAX_OPTIONS, TCP_MIN_HEADER } from '../wire/tcp.ts'
import type { TcpConnection } from './connection.ts'

/** Sizes of segments: MSS, path MTU, and how large a record may be for the link to segment. */

export const ALIGNED_TIMESTAMPS_LENGTH = 12
/** A send MSS when the peer announces none (RFC 9293 section 3.7.1, MUST-15): IPv4, IPv6. */
export const DEFAULT_MSS = 536
export const DEFAULT_MSS_IPV6 = 1220
/** Bytes of headers that a segmented packet leaves room for. */
const SEGMENTED_HEADERS = 321

/** The first window, segments: the route's (`initcwnd`), or the host's. */
export const initialWindow = (c: TcpConnection): number => c.destination?.initialCwnd || c.layer.settings.initial_cwnd

/** Bytes of the IP header before the connection's segments. */
export const ipHeaderLength = (c: TcpConnection): number => (c.remote.isIpv4 ? IPV4_MIN_HEADER : IPV6_HEADER)

/** The MSS to announce: what the interface takes in one packet, or less if the application says so (RFC 6691). */
export const advertisedMss = (c: TcpConnection): number => {
  const fromRoute = c.destination?.advertisedMss ?? 0
  const mtu = c.destination?.interface.mtu ?? DEFAULT_MSS + IPV4_MIN_HEADER + TCP_MIN_HEADER
  const routeMtu = c.destination === null ? mtu : Math.min(mtu, c.destination.mtu)
  const mss = Math.min(
    Math.max(routeMtu - ipHeaderLength(c) - TCP_MIN_HEADER, 256),
    MAX_PACKET - ipHeaderLength(c) - TCP_MIN_HEADER,
  )
  const announced = fromRoute > 0 ? fromRoute : mss
  return c.options.maxSegment > 0 ? Math.min(announced, c.options.maxSegment) : announced
}

/** Bytes of data in a packet of `mtu` bytes with the options that every segment of `c` carries. */
export const mtuToMss = (c: TcpConnection, mtu: number): number => {
  const mss = Math.min(mtu - ipHeaderLength(c) - TCP_MIN_HEADER, c.snd.mssClamp)
  return Math.max(mss, c.layer.settings.tcp_min_snd_mss) - (c.snd.headerLength - TCP_MIN_HEADER)
}

/** The packet that holds `mss` bytes of data. */
export const mssToMtu = (c: TcpConnection, mss: number): number => mss + c.snd.headerLength + ipHeaderLength(c)

/** Takes over a new path MTU. */
export const syncMss = (c: TcpConnection, mtu: number): void => {
  c.snd.pathMtu = mtu
  const mss = boundToHalfWindow(c, mtuToMss(c, mtu))
  const search = c.mtuSearch
  if (search !== null && search.high > mtu) search.high = mtu
  c.snd.mss = search?.isOn ? Math.min(mss, mtuToMss(c, search.low)) : mss
}

/**
 * No segment is larger than half the largest window the peer ever
 * offered, so that two fit (RFC 9293 section 3.8.6.2.1).
 */
const boundToHalfWindow = (c: TcpConnection, size: number): number => {
  const most = c.snd.maxWnd > DEFAULT_MSS ? c.snd.maxWnd >>> 1 : c.snd.maxWnd
  return most > 0 && size > most ? Math.max(most, 68 - c.snd.headerLength) : size
}

/** Looks the route up again when something about routes has changed since. */
export const refreshDestination = (c: TcpConnection): void => {
  const ip = c.layer.ip
  const known = c.destination
  if (known !== null && known.generation === ip.generation) return
  const found = ip.resolve(c.remote, c.local, c.scope)
  if (typeof found !== 'number') c.destination = found
}

/**
 * The MSS for what is sent now: with the SACK blocks that this moment's ACK must carry, over the path as the last
 * segment took it: a changed route counts from the next segment on, as on Linux.
 */
export const currentMss = (c: TcpConnection): number => {
  const mtu = c.destination?.mtu ?? c.snd.pathMtu
  if (mtu !== c.snd.pathMtu) syncMss(c, mtu)
  const blocks = sackBlocksToSend(c)
  return blocks === 0 ? c.snd.mss : c.snd.mss - 4 - blocks * 8
}

/** How many SACK blocks the next segment carries: three fit beside timestamps, four alone. */
export const sackBlocksToSend = (c: TcpConnection): number => {
  const sacks = c.sacks
  if (sacks === null) return 0
  const count = sacks.count + (sacks.hasDuplicate ? 1 : 0)
  const others = c.snd.headerLength - TCP_MIN_HEADER
  return Math.min(count, Math.max(0, Math.floor((TCP_MAX_OPTIONS - others - 4) / 8)))
}

/** How many bytes one record may collect while it waits to be sent: as many segments as a link segments in one go. */
export const recordGoal = (c: TcpConnection, mss: number): number => {
  const most = boundToHalfWindow(c, 0x1_0000 - SEGMENTED_HEADERS)
  const goal = c.snd.offloadSegments * mss
  if (most < goal || most >= goal + mss) c.snd.offloadSegments = Math.floor(most / mss)
  return Math.max(c.snd.offloadSegments * mss, mss)
}

/**
 * How many segments a record should have now: what is sent in a
 * millisecond or so, more on short paths (tcp_tso_rtt_log).
 */
export const segmentsNow = (c: TcpConnection, mss: number): number => {
  const { settings } = c.layer
  const least = c.control.minimumSegments?.(c) ?? settings.tcp_min_tso_segs
  const most = 0x1_0000 - SEGMENTED_HEADERS
  let bytes = c.cc.pacingRate === 0 ? most : Math.min(c.cc.pacingRate / 1024, most)
  const shift = c.cc.minRtt.value >>> settings.tcp_tso_rtt_log
  if (shift < 32) bytes += most >>> shift
  return Math.max(Math.floor(Math.min(bytes, most) / mss), least)
}
