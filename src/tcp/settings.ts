/**
 * What of TCP can be set, with Linux's defaults. One object belongs to each host and may change at any time;
 * `net.ipv4.` before a field's snake-case name gives the sysctl.
 */
export class TcpSettings {
  /** SYNs resent before connect(2) gives up. */
  tcp_syn_retries = 6
  /**
   * How many of those are sent a second apart before the interval doubles. Linux 6.5 and later: 4; the catalogue, and
   * every Linux before, 0.
   */
  tcp_syn_linear_timeouts = 0
  tcp_synack_retries = 5
  /** Retransmissions after which IP is asked for another route. */
  tcp_retries1 = 3
  /** Retransmissions after which a connection ends, counted as the time that they take from an RTO of 200 ms. */
  tcp_retries2 = 15
  /** The same for a connection that nobody holds; 0 means 8. */
  tcp_orphan_retries = 0
  /** Least and greatest retransmission time-out, ms. */
  tcp_rto_min_us = 200_000
  tcp_rto_max_ms = 120_000
  /** Does an ACK of part of the flight count as progress for doubling the time-out of a thin stream? */
  tcp_thin_linear_timeouts = 0

  tcp_max_syn_backlog = 4096
  /** 0: never, 1: when the SYN queue is full, 2: always. */
  tcp_syncookies = 1
  tcp_abort_on_overflow = 0
  /** net.core.somaxconn: the most that listen(2) takes. */
  somaxconn = 4096

  /** How long an orphan stays in FIN_WAIT_2, seconds. */
  tcp_fin_timeout = 60
  /** TIME_WAIT, milliseconds: a constant on Linux. */
  time_wait_ms = 60_000
  /** May connect(2) take a pair of endpoints that is in TIME_WAIT? 0: no, 1: yes, 2: on loopback only. */
  tcp_tw_reuse = 2
  /** How long a pair must have been in TIME_WAIT for that, milliseconds. */
  tcp_tw_reuse_delay = 1000
  tcp_max_tw_buckets = 131_072
  tcp_max_orphans = 131_072
  tcp_rfc1337 = 0

  tcp_keepalive_time = 7200
  tcp_keepalive_intvl = 75
  tcp_keepalive_probes = 9

  tcp_window_scaling = 1
  tcp_sack = 1
  tcp_dsack = 1
  /** 0: off, 1: with a random offset per pair of hosts, 2: without. */
  tcp_timestamps = 1
  /** 0: off, 1: ask for it and agree to it, 2: agree to it. */
  tcp_ecn = 2
  /** Ask for ECN again without it when the SYN that asked is lost (RFC 3168 section 6.1.1.1)? */
  tcp_ecn_fallback = 1
  /** `FastOpenMode` bits. */
  tcp_fastopen = 1
  /** Four words of hexadecimal digits, and four of a key before it; empty until one is drawn. */
  tcp_fastopen_key = ''
  /** How long no connection is opened fast after data in a SYN was swallowed, seconds; 0: it is always tried. */
  tcp_fastopen_blackhole_timeout_sec = 0
  tcp_congestion_control = 'cubic'
  tcp_slow_start_after_idle = 1
  /** Segments sent before the first ACK (RFC 6928). */
  initial_cwnd = 10
  /** Duplicate ACKs that mean loss, and how far that may grow with reordering. */
  tcp_reordering = 3
  tcp_max_reordering = 300
  /**
   * Bit 0: RACK (RFC 8985), without which RFC 6675 finds losses; 1:
   * its reordering window stays; 2: no limit of three SACKs.
   */
  tcp_recovery = 1
  /** 3 and 4: tail loss probes. */
  tcp_early_retrans = 3
  /** 0: no F-RTO, 2: with SACK too (RFC 5682). */
  tcp_frto = 2
  tcp_challenge_ack_limit = 0x7fff_ffff
  /** Least time between two ACKs of segments that are out of window, milliseconds. */
  tcp_invalid_ratelimit = 500
  tcp_tso_win_divisor = 3
  tcp_min_tso_segs = 2
  tcp_tso_rtt_log = 9
  tcp_pacing_ss_ratio = 200
  tcp_pacing_ca_ratio = 120
  tcp_notsent_lowat = 0xffff_ffff
  /** ACKs of out-of-order segments held back: at most so many, at most so long (ns). */
  tcp_comp_sack_nr = 44
  tcp_comp_sack_delay_ns = 1_000_000
  tcp_stdurg = 0
  tcp_retrans_collapse = 1
  tcp_min_rtt_wlen = 300

  /** Least, default and greatest size of the queues, bytes. */
  tcp_rmem: [number, number, number] = [4096, 131_072, 6_291_456]
  tcp_wmem: [number, number, number] = [4096, 16_384, 4_194_304]
  /** Low, pressure and limit for all queues of the host, in pages of 4096 bytes. */
  tcp_mem: [number, number, number] = [286_245, 381_661, 572_490]
  tcp_moderate_rcvbuf = 1
  tcp_app_win = 31
  tcp_shrink_window = 0
  tcp_workaround_signed_windows = 0

  tcp_mtu_probing = 0
  tcp_base_mss = 1024
  tcp_mtu_probe_floor = 48
  tcp_probe_interval = 600
  tcp_probe_threshold = 8
  /** The least MSS that a peer or a path may impose. */
  tcp_min_snd_mss = 48

  /** What differs between systems and is no sysctl. */
  personality: TcpPersonality = LINUX
}

/** What systems do differently, where there is no setting for it on any of them. */
export interface TcpPersonality {
  readonly name: string
  /**
   * What a zero-window probe carries: nothing, with a sequence number that the peer has already acknowledged, to draw
   * an ACK (Linux); or the first byte beyond the window (BSD; RFC 9293 section 3.8.6.1).
   */
  readonly zeroWindowProbe: 'empty' | 'byte'
  /** The accept queue holds `backlog * numerator / denominator + extra` connections. */
  readonly acceptQueue: { readonly numerator: number; readonly denominator: number; readonly extra: number }
  /**
   * Is a queue's size what SO_SNDBUF and SO_RCVBUF were given, in bytes of data, or twice that with overhead counted?
   */
  readonly bufferAccounting: 'doubled' | 'data'
  /** The most that is offered of the receive window before data has come, bytes. */
  readonly firstWindow: number
  /** Is an ACK of something not yet sent answered in ESTABLISHED too (RFC 5961 section 5.2)? */
  readonly challengesUnsentAck: boolean
  /**
   * May the FIN leave when the congestion window is full, if it is in a segment by itself? Linux 6.11 and later: no.
   */
  readonly finIgnoresWindow: boolean
  /** Are records that wait filled up with what waits behind them before they leave? Linux 6.11 and later: yes. */
  readonly fillsRecords: boolean
  /**
   * Which ACKs let a reduction below its threshold send one segment more than was delivered,
   * while nothing more is lost: those of a retransmission (RFC 6937, as packetdrill's suite
   * has it), or all that move SND.UNA (SafeACK of its successor; Linux 6.18)?
   */
  readonly safeAck: 'repairs' | 'advances'
  /**
   * How slow start may end before a loss: by growing delays and trains of ACKs, of CUBIC alone (Linux); by growing
   * delays, of Reno too (RFC 9406); or not at all.
   */
  readonly slowStartExit: 'hystart' | 'hystart++' | 'none'
}

export const LINUX: TcpPersonality = {
  name: 'linux',
  zeroWindowProbe: 'empty',
  acceptQueue: { numerator: 1, denominator: 1, extra: 1 },
  bufferAccounting: 'doubled',
  firstWindow: 65_535,
  challengesUnsentAck: false,
  finIgnoresWindow: true,
  fillsRecords: false,
  safeAck: 'repairs',
  slowStartExit: 'hystart',
}

export const BSD: TcpPersonality = {
  name: 'bsd',
  zeroWindowProbe: 'byte',
  acceptQueue: { numerator: 3, denominator: 2, extra: 0 },
  bufferAccounting: 'data',
  firstWindow: Number.POSITIVE_INFINITY,
  challengesUnsentAck: true,
  finIgnoresWindow: false,
  fillsRecords: true,
  safeAck: 'advances',
  slowStartExit: 'hystart',
}
