import { SECOND } from '../core/clock.ts'
import { TCP_MIN_HEADER } from '../wire/tcp.ts'
import { CaState } from './congestion/state.ts'
import type { TcpConnection } from './connection.ts'
import { ipHeaderLength, mssToMtu, mtuToMss, syncMss } from './mss.ts'

/**
 * The path MTU found by trying (RFC 4821), as Linux does it: a segment larger than the path is known to take is sent
 * now and then; what arrives moves the lower bound of the search, what does not the upper one. No ICMP error is needed.
 */

/** The search of one connection. Sizes are of whole packets, bytes. */
export class MtuSearch {
  /** Are probes sent: always (tcp_mtu_probing = 2), or since time-outs looked like a black hole (1)? */
  isOn: boolean
  low: number
  high: number
  /** The packet that is out; 0 for none. Its sequence numbers. */
  probeSize = 0
  probeStart = 0
  probeEnd = 0
  /** When the search began: world time, microseconds. */
  begunAt: number

  constructor(c: TcpConnection, isOn: boolean) {
    const { settings, loop } = c.layer
    this.isOn = isOn
    this.low = mssToMtu(c, settings.tcp_base_mss)
    this.high = c.snd.mssClamp + TCP_MIN_HEADER + ipHeaderLength(c)
    this.begunAt = loop.now
  }
}

/** Begins the search of a connection, where the host wants one. */
export const beginMtuSearch = (c: TcpConnection): void => {
  const { tcp_mtu_probing: mode } = c.layer.settings
  c.mtuSearch = mode === 0 ? null : new MtuSearch(c, mode > 1)
}

/** What `mtuProbeSize` says where it gives no size. */
export const MtuProbe = {
  /** Go on as usual. */
  None: 0,
  /** Send nothing now: windows are about to have room for a probe. */
  Wait: -1,
} as const

/** Windows below this have no room for a probe beside the segments that have to show its loss. */
const LEAST_CWND = 11

/** Bytes of data of the probe that is to be sent now, or one of `MtuProbe`. @param unsent bytes */
export const mtuProbeSize = (c: TcpConnection, unsent: number): number => {
  const search = c.mtuSearch
  const { cc, snd } = c
  if (search === null || !search.isOn || search.probeSize > 0) return MtuProbe.None
  // Blocks in the header would make it vary.
  const reports = c.sacks !== null && (c.sacks.count > 0 || c.sacks.hasDuplicate)
  if (cc.state !== CaState.Open || cc.cwnd < LEAST_CWND || reports) return MtuProbe.None
  const size = mtuToMss(c, (search.high + search.low) >> 1)
  if (size > mtuToMss(c, search.high) || search.high - search.low < c.layer.settings.tcp_probe_threshold) {
    searchAgain(c, search)
    return MtuProbe.None
  }
  // Enough must follow for three duplicates to show that it was lost.
  const needed = size + (cc.reordering + 1) * snd.mss
  if (unsent < needed || snd.wnd < needed) return MtuProbe.None
  if (((snd.nxt + needed - snd.una - snd.wnd) | 0) > 0) return MtuProbe.Wait
  if (cc.inFlight + 2 > cc.cwnd) return cc.inFlight === 0 ? MtuProbe.None : MtuProbe.Wait
  return size
}

/** The path may have changed: every tcp_probe_interval seconds the search begins anew. */
const searchAgain = (c: TcpConnection, search: MtuSearch): void => {
  const { loop, settings } = c.layer
  if (loop.now - search.begunAt < settings.tcp_probe_interval * SECOND) return
  search.probeSize = 0
  search.high = c.snd.mssClamp + TCP_MIN_HEADER + ipHeaderLength(c)
  search.low = mssToMtu(c, c.snd.mss)
  search.begunAt = loop.now
}

/** A probe has left. It counts as two segments: one less for a while. */
export const mtuProbeSent = (c: TcpConnection, start: number, end: number): void => {
  const search = c.mtuSearch!
  search.probeSize = mssToMtu(c, (end - start) | 0)
  search.probeStart = start
  search.probeEnd = end
  c.cc.cwnd--
}

/** Is a probe acknowledged now? Then the path takes its size: the window, in segments, becomes less by as much. */
export const mtuProbeArrived = (c: TcpConnection): boolean => {
  const search = c.mtuSearch
  if (search === null || search.probeSize === 0 || ((c.snd.una - search.probeEnd) | 0) < 0) return false
  const { cc, snd } = c
  cc.cwnd = Math.max(1, Math.floor((cc.cwnd * mssToMtu(c, snd.mss)) / search.probeSize))
  cc.cwndCount = 0
  cc.cwndStampMs = c.layer.loop.nowMs32
  search.low = search.probeSize
  search.probeSize = 0
  syncMss(c, snd.pathMtu)
  c.layer.mib.tcpExt.TCPMTUPSuccess++
  return true
}

/**
 * Is it the probe that is missing, so that the loss is none of
 * congestion (RFC 4821 section 7.6.2)? Then it is given up.
 */
export const mtuProbeLost = (c: TcpConnection): boolean => {
  const search = c.mtuSearch
  if (search === null || search.probeSize === 0 || c.cc.state >= CaState.Cwr) return false
  if (c.snd.una !== search.probeStart) return false
  search.high = search.probeSize - 1
  search.probeSize = 0
  c.cc.cwnd++
  c.layer.mib.tcpExt.TCPMTUPFail++
  return true
}

/**
 * Something is sent again while a probe is out: whether its ACK is that of the probe, or of the same bytes in smaller
 * segments, is not known, and nothing is learnt of it (RFC 4821 section 7.6.3).
 */
export const mtuProbeInconclusive = (c: TcpConnection): void => {
  if (c.mtuSearch !== null) c.mtuSearch.probeSize = 0
}

/** Time-outs in a row: large packets may vanish on the way without a word (section 7.7). Tries smaller ones. */
export const suspectBlackHole = (c: TcpConnection): void => {
  const { settings, loop } = c.layer
  // The setting as it is now counts, also for connections that were opened before.
  if (settings.tcp_mtu_probing === 0) return
  c.mtuSearch ??= new MtuSearch(c, false)
  const search = c.mtuSearch
  if (!search.isOn) {
    search.isOn = true
    search.begunAt = loop.now
  } else {
    const half = Math.min(settings.tcp_base_mss, mtuToMss(c, search.low) >> 1)
    search.low = mssToMtu(c, Math.max(half, settings.tcp_mtu_probe_floor, settings.tcp_min_snd_mss))
  }
  syncMss(c, c.snd.pathMtu)
}
