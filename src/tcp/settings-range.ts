import { INT_MAX } from '../ip/settings.ts'
import type { TcpSettings } from './settings.ts'

/** The least and the greatest value that a setting takes. */
export type SettingRange = readonly [least: number, most: number]

type NumberName = { [K in keyof TcpSettings]: TcpSettings[K] extends string | object ? never : K }[keyof TcpSettings]

const BYTE: SettingRange = [0, 255]
const FLAG: SettingRange = [0, 1]
const INT: SettingRange = [0, INT_MAX]

/**
 * What Linux 6.18 takes, found by trying; but for negative numbers, which some of its settings take and make no sense
 * of. What is not here takes any `int` from 0 on.
 */
const RANGES: { readonly [K in NumberName]?: SettingRange } = {
  tcp_syn_retries: [1, 127],
  tcp_syn_linear_timeouts: [0, 127],
  tcp_synack_retries: BYTE,
  tcp_retries1: BYTE,
  tcp_retries2: BYTE,
  tcp_orphan_retries: BYTE,
  tcp_rto_min_us: [1, INT_MAX],
  tcp_rto_max_ms: [1000, 120_000],
  tcp_thin_linear_timeouts: BYTE,
  tcp_syncookies: BYTE,
  tcp_abort_on_overflow: BYTE,
  tcp_fin_timeout: [0, 8_589_934],
  tcp_tw_reuse: [0, 2],
  tcp_tw_reuse_delay: [1, 60_000],
  tcp_rfc1337: BYTE,
  tcp_keepalive_time: [0, 8_589_934],
  tcp_keepalive_intvl: [0, 8_589_934],
  tcp_keepalive_probes: BYTE,
  tcp_window_scaling: BYTE,
  tcp_sack: BYTE,
  tcp_dsack: BYTE,
  tcp_timestamps: BYTE,
  tcp_ecn: [0, 2],
  tcp_ecn_fallback: FLAG,
  tcp_slow_start_after_idle: BYTE,
  initial_cwnd: [1, INT_MAX],
  tcp_reordering: [1, 300],
  tcp_max_reordering: [1, INT_MAX],
  tcp_recovery: BYTE,
  tcp_early_retrans: [0, 4],
  tcp_frto: BYTE,
  tcp_tso_win_divisor: BYTE,
  tcp_min_tso_segs: [1, 255],
  tcp_tso_rtt_log: BYTE,
  tcp_pacing_ss_ratio: [0, 1000],
  tcp_pacing_ca_ratio: [0, 1000],
  tcp_notsent_lowat: [0, 0xffff_ffff],
  tcp_comp_sack_nr: BYTE,
  tcp_comp_sack_delay_ns: [0, Number.MAX_SAFE_INTEGER],
  tcp_stdurg: BYTE,
  tcp_retrans_collapse: BYTE,
  tcp_min_rtt_wlen: [0, 86_400],
  tcp_moderate_rcvbuf: BYTE,
  tcp_app_win: [0, 31],
  tcp_shrink_window: FLAG,
  tcp_workaround_signed_windows: BYTE,
  tcp_mtu_probing: BYTE,
  tcp_mtu_probe_floor: [48, 65_535],
  tcp_probe_interval: [0, 17_179_869],
  tcp_min_snd_mss: [48, 65_535],
}

/** The range of each number of a setting of TCP. */
export const tcpSettingRange = (name: string): SettingRange =>
  name === 'tcp_rmem' || name === 'tcp_wmem' ? [1, INT_MAX] : (RANGES[name as NumberName] ?? INT)
