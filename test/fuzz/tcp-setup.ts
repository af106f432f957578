import type { Random } from '../../src/core/random.ts'
import { oneIn, pick } from './case.ts'
import type { WorldSetup } from './tcp-world.ts'

/** How a case of segments begins: settings of the host, what the peer offers, and the state in which it starts. */

export const STARTS = [
  'CLOSED',
  'LISTEN',
  'SYN_SENT',
  'SYN_RECV',
  'SYN_RECV crossed',
  'ESTABLISHED',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'CLOSE_WAIT',
  'CLOSING',
  'LAST_ACK',
  'TIME_WAIT',
] as const
export type Start = (typeof STARTS)[number]

export interface SegmentSetup extends WorldSetup {
  readonly start: Start
  /** Does the host connect? */
  readonly active: boolean
  /** What the peer offers in its SYN, and the window field of its segments. */
  readonly mss: number
  readonly window: number
  readonly windowScale: number
  readonly sack: boolean
  readonly timestamps: boolean
  readonly ecn: boolean
  /** Do both sides sign (RFC 2385)? */
  readonly md5: boolean
  /** Options of the socket that listens or connects. */
  readonly options: readonly (readonly [level: number, name: number, value: number])[]
  /** Is everything given up at once in the end, in place of being left to run out? */
  readonly abrupt: boolean
}

/** Settings that lead elsewhere, with values to draw from; most are left alone. */
const SYSCTLS: readonly (readonly [string, readonly (number | string)[]])[] = [
  ['net.ipv4.tcp_sack', [0]],
  ['net.ipv4.tcp_dsack', [0]],
  ['net.ipv4.tcp_timestamps', [0, 2]],
  ['net.ipv4.tcp_window_scaling', [0]],
  ['net.ipv4.tcp_ecn', [0, 1]],
  ['net.ipv4.tcp_fastopen', [0, 3, 0x403, 0x207]],
  ['net.ipv4.tcp_congestion_control', ['reno', 'bbr', 'cubic']],
  ['net.ipv4.tcp_recovery', [0, 2]],
  ['net.ipv4.tcp_early_retrans', [0]],
  ['net.ipv4.tcp_frto', [0]],
  ['net.ipv4.tcp_syncookies', [0, 2]],
  ['net.ipv4.tcp_mtu_probing', [1, 2]],
  ['net.ipv4.tcp_rfc1337', [1]],
  ['net.ipv4.tcp_stdurg', [1]],
  ['net.ipv4.tcp_shrink_window', [1]],
  ['net.ipv4.tcp_workaround_signed_windows', [1]],
  ['net.ipv4.tcp_abort_on_overflow', [1]],
  ['net.ipv4.tcp_challenge_ack_limit', [2]],
  ['net.ipv4.tcp_moderate_rcvbuf', [0]],
  ['net.ipv4.tcp_retrans_collapse', [0]],
  ['net.ipv4.tcp_slow_start_after_idle', [0]],
  ['net.ipv4.tcp_fin_timeout', [5, 120]],
  ['net.ipv4.tcp_max_tw_buckets', [0]],
  ['net.ipv4.tcp_max_orphans', [0, 1]],
  ['net.ipv4.tcp_tw_reuse', [1]],
  ['net.ipv4.tcp_retries2', [3]],
  ['net.ipv4.tcp_syn_retries', [1]],
  ['net.ipv4.tcp_synack_retries', [1]],
  ['net.ipv4.tcp_notsent_lowat', [1, 5000]],
  ['net.ipv4.tcp_rmem', ['4096 8192 16384']],
  ['net.ipv4.tcp_wmem', ['4096 4096 8192']],
  ['net.ipv4.tcp_mem', ['1 2 4', '8 16 32']],
  ['netglass.initial_cwnd', [1, 2, 100]],
]

const SOL_SOCKET = 1
const SOL_TCP = 6
const OPTIONS: SegmentSetup['options'] = [
  [SOL_SOCKET, 7, 2048],
  [SOL_SOCKET, 7, 50_000],
  [SOL_SOCKET, 8, 1],
  [SOL_SOCKET, 8, 3000],
  [SOL_SOCKET, 8, 100_000],
  [SOL_SOCKET, 9, 1],
  [SOL_SOCKET, 10, 1],
  [SOL_SOCKET, 18, 2000],
  [SOL_SOCKET, 47, 20_000],
  [SOL_SOCKET, 60, 1],
  [SOL_TCP, 1, 1],
  [SOL_TCP, 2, 100],
  [SOL_TCP, 3, 1],
  [SOL_TCP, 4, 2],
  [SOL_TCP, 8, -1],
  [SOL_TCP, 9, 3],
  [SOL_TCP, 10, 1000],
  [SOL_TCP, 18, 3000],
  [SOL_TCP, 23, 4],
  [SOL_TCP, 25, 1000],
  [SOL_TCP, 30, 1],
  [SOL_TCP, 34, 1],
]

const some = <T>(random: Random, values: readonly T[], most: number): T[] =>
  Array.from({ length: random.below(most + 1) }, () => pick(random, values))

export const drawSetup = (random: Random): SegmentSetup => ({
  seed: random.below(1_000_000),
  start: oneIn(random, 4) ? 'ESTABLISHED' : pick(random, STARTS),
  active: oneIn(random, 3),
  ipv6: oneIn(random, 4),
  bsd: oneIn(random, 6),
  mtu: pick(random, [1500, 1500, 1500, 1280, 9000]),
  offload: oneIn(random, 3),
  pages: pick(random, [32, 64, 64, 128]),
  sysctl: Object.fromEntries(some(random, SYSCTLS, 3).map(([name, values]) => [name, pick(random, values)])),
  mss: pick(random, [0, 1460, 1460, 1460, 1440, 536, 100, 1, 9000, 65_535]),
  window: pick(random, [0, 1, 1000, 5000, 20_000, 65_535, 65_535]),
  windowScale: pick(random, [-1, -1, 0, 2, 7, 14]),
  sack: !oneIn(random, 3),
  timestamps: oneIn(random, 2),
  ecn: oneIn(random, 4),
  md5: oneIn(random, 12),
  options: some(random, OPTIONS, 2),
  abrupt: oneIn(random, 3),
})
