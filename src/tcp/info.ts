import { Chrono } from './chronograph.ts'
import { INFINITE_SSTHRESH } from './congestion/state.ts'
import { Feature, RECEIVE_ROUND, type TcpConnection } from './connection.ts'
import { TcpState } from './state.ts'
import { firstSpace } from './window.ts'

/**
 * What TCP_INFO tells: the fields of Linux's `struct tcp_info`, without those of accurate ECN (Linux 6.18), which is
 * not negotiated. Times in microseconds or, where it says so there, milliseconds.
 */
export interface TcpInfo {
  tcpi_state: number
  tcpi_ca_state: number
  tcpi_retransmits: number
  tcpi_probes: number
  tcpi_backoff: number
  /** Bits: 1 timestamps, 2 SACK, 4 window scale, 8 ECN, 32 data in the SYN. */
  tcpi_options: number
  tcpi_snd_wscale: number
  tcpi_rcv_wscale: number
  tcpi_delivery_rate_app_limited: number
  /** Why fast open came to nothing: 1 no cookie, 2 data not acknowledged, 3 SYN sent again. */
  tcpi_fastopen_client_fail: number
  tcpi_rto: number
  tcpi_ato: number
  tcpi_snd_mss: number
  tcpi_rcv_mss: number
  tcpi_unacked: number
  tcpi_sacked: number
  tcpi_lost: number
  tcpi_retrans: number
  tcpi_fackets: number
  tcpi_last_data_sent: number
  tcpi_last_ack_sent: number
  tcpi_last_data_recv: number
  tcpi_last_ack_recv: number
  tcpi_pmtu: number
  tcpi_rcv_ssthresh: number
  tcpi_rtt: number
  tcpi_rttvar: number
  tcpi_snd_ssthresh: number
  tcpi_snd_cwnd: number
  tcpi_advmss: number
  tcpi_reordering: number
  tcpi_rcv_rtt: number
  tcpi_rcv_space: number
  tcpi_total_retrans: number
  tcpi_pacing_rate: number
  /** The most that SO_MAX_PACING_RATE allows. */
  tcpi_max_pacing_rate: number
  tcpi_bytes_acked: number
  tcpi_bytes_received: number
  tcpi_segs_out: number
  tcpi_segs_in: number
  tcpi_notsent_bytes: number
  tcpi_min_rtt: number
  tcpi_data_segs_in: number
  tcpi_data_segs_out: number
  tcpi_delivery_rate: number
  tcpi_delivered: number
  tcpi_delivered_ce: number
  tcpi_bytes_sent: number
  tcpi_bytes_retrans: number
  tcpi_dsack_dups: number
  tcpi_reord_seen: number
  tcpi_rcv_ooopack: number
  /**
   * Microseconds with something to send, and of these with the peer's window and the send queue's size for the limit.
   */
  tcpi_busy_time: number
  tcpi_rwnd_limited: number
  tcpi_sndbuf_limited: number
  tcpi_snd_wnd: number
  tcpi_rcv_wnd: number
  /** How often another path was tried: never, for the flow label stays. */
  tcpi_rehash: number
  /** Time-outs in all, episodes of them, and the milliseconds that those took. */
  tcpi_total_rto: number
  tcpi_total_rto_recoveries: number
  tcpi_total_rto_time: number
}

/** What Linux counts its time-outs in, microseconds (CONFIG_HZ=250), rounding up. */
export const TICK = 4000
/** All bits of 64, as near as a number comes. */
const NO_LIMIT = 2 ** 64
const UNKNOWN_MIN_RTT = 0x7fff_ffff

const ROUND = 2 ** 32

/** Sequence numbers acknowledged in all: how often they have gone round is known from what was sent. */
export const acknowledged = ({ snd, cc }: TcpConnection): number => {
  const low = (snd.una - snd.iss) >>> 0
  const about = cc.bytesSent - cc.bytesRetransmitted - ((snd.nxt - snd.una) | 0)
  return low + Math.max(0, Math.round((about - low) / ROUND)) * ROUND
}

/** Sequence numbers received behind the SYN. */
const received = ({ rcv }: TcpConnection): number =>
  Math.floor(rcv.pending / RECEIVE_ROUND) * ROUND + ((rcv.nxt - rcv.irs) >>> 0) - 1

/** Takes a snapshot of a connection. */
export const tcpInfo = (c: TcpConnection): TcpInfo => {
  const { snd, rcv, cc, rtt, layer } = c
  const { nowMs32 } = layer.loop
  const since = (ms: number): number => (nowMs32 - ms) >>> 0
  const optionBits =
    (c.has(Feature.Timestamps) ? 1 : 0) |
    (c.has(Feature.Sack) ? 2 : 0) |
    (c.has(Feature.WindowScale) ? 4 : 0) |
    (c.has(Feature.Ecn) ? 8 : 0) |
    (c.has(Feature.FastOpen) ? 32 : 0)
  const peerLimited = cc.chrono.total(Chrono.PeerWindow, nowMs32)
  const bufferLimited = cc.chrono.total(Chrono.SendBuffer, nowMs32)
  const opened = c.state !== TcpState.SynSent && c.state !== TcpState.Closed
  return {
    tcpi_state: c.state,
    tcpi_ca_state: cc.state,
    tcpi_retransmits: c.retransmits,
    tcpi_probes: c.probes,
    tcpi_backoff: c.backoff,
    tcpi_options: optionBits,
    tcpi_snd_wscale: c.has(Feature.WindowScale) ? snd.wndScale : 0,
    tcpi_rcv_wscale: c.has(Feature.WindowScale) ? rcv.wndScale : 0,
    tcpi_delivery_rate_app_limited: cc.rateApplicationLimited ? 1 : 0,
    tcpi_fastopen_client_fail: c.fastOpen === null ? 0 : c.fastOpen.failure,
    tcpi_rto: Math.ceil(rtt.rto / TICK) * TICK,
    tcpi_ato: rcv.ato,
    tcpi_snd_mss: snd.mss,
    tcpi_rcv_mss: rcv.mssEstimate,
    tcpi_unacked: cc.packetsOut,
    tcpi_sacked: cc.sackedOut,
    tcpi_lost: cc.lostOut,
    tcpi_retrans: cc.retransOut,
    tcpi_fackets: 0,
    tcpi_last_data_sent: since(snd.lastSentMs),
    tcpi_last_ack_sent: 0,
    tcpi_last_data_recv: since(rcv.lastDataMs),
    tcpi_last_ack_recv: since(c.lastAckMs),
    tcpi_pmtu: snd.pathMtu,
    tcpi_rcv_ssthresh: rcv.ssthresh,
    tcpi_rtt: rtt.srtt,
    tcpi_rttvar: rtt.variation,
    tcpi_snd_ssthresh: Math.min(cc.ssthresh, INFINITE_SSTHRESH),
    tcpi_snd_cwnd: cc.cwnd,
    tcpi_advmss: rcv.advertisedMss,
    tcpi_reordering: cc.reordering,
    tcpi_rcv_rtt: c.tuning === null ? 0 : c.tuning.rtt >> 3,
    tcpi_rcv_space: c.tuning !== null ? c.tuning.space : opened ? firstSpace(c) : 0,
    tcpi_total_retrans: cc.totalRetransmitted,
    tcpi_pacing_rate: cc.pacingRate,
    tcpi_max_pacing_rate: Math.min(c.options.maxPacingRate, NO_LIMIT),
    // Of the side that connects, Linux counts the SYN too.
    tcpi_bytes_acked: opened ? acknowledged(c) - (c.isActive ? 0 : 1) : 0,
    tcpi_bytes_received: opened ? received(c) : 0,
    tcpi_segs_out: c.segmentsOut,
    tcpi_segs_in: c.segmentsIn,
    tcpi_notsent_bytes: Math.max(0, (snd.writeSeq - snd.nxt) | 0),
    tcpi_min_rtt: cc.minRtt.value === UNKNOWN_MIN_RTT ? 0xffff_ffff : cc.minRtt.value,
    tcpi_data_segs_in: c.dataSegmentsIn,
    tcpi_data_segs_out: cc.dataSegmentsSent,
    tcpi_delivery_rate: cc.rateInterval > 0 ? Math.floor((cc.rateDelivered * snd.mss * 1e6) / cc.rateInterval) : 0,
    tcpi_delivered: cc.delivered,
    tcpi_delivered_ce: cc.deliveredCe,
    tcpi_bytes_sent: cc.bytesSent,
    tcpi_bytes_retrans: cc.bytesRetransmitted,
    tcpi_dsack_dups: cc.dsacksReceived,
    tcpi_reord_seen: cc.reorderingSeen,
    tcpi_rcv_ooopack: c.outOfOrderIn,
    tcpi_busy_time: peerLimited + bufferLimited + cc.chrono.total(Chrono.Busy, nowMs32),
    tcpi_rwnd_limited: peerLimited,
    tcpi_sndbuf_limited: bufferLimited,
    tcpi_snd_wnd: snd.wnd,
    tcpi_rcv_wnd: rcv.wnd,
    tcpi_rehash: 0,
    tcpi_total_rto: cc.timeouts,
    tcpi_total_rto_recoveries: cc.timeoutRecoveries,
    tcpi_total_rto_time: cc.timeoutMs + (cc.timeoutStampMs === 0 ? 0 : since(cc.timeoutStampMs)),
  }
}
