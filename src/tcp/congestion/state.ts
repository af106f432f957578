import { Chronograph } from '../chronograph.ts'
import type { SendRecord } from '../send-queue.ts'
import { WindowedMinimum } from '../windowed.ts'
import type { HystartPlus } from './hystart-plus.ts'

/**
 * Where the sender stands in telling loss from reordering: Linux's names and numbers, as `tcpi_ca_state` shows them.
 */
export const CaState = {
  /** Nothing is amiss. */
  Open: 0,
  /** Duplicate ACKs or SACKs, not enough to call it loss. */
  Disorder: 1,
  /** The window is being reduced for a reason that is no loss: ECN, a local queue. */
  Cwr: 2,
  /** Fast recovery. */
  Recovery: 3,
  /** Recovery after a retransmission time-out. */
  Loss: 4,
} as const

/** A threshold that is not set: slow start goes on until the first loss. */
export const INFINITE_SSTHRESH = 0x7fff_ffff

/** ECN on the sending side, as bits (RFC 3168 section 6.1). */
export const EcnFlag = {
  /** The next new data carries CWR. */
  QueueCwr: 1,
  /** ACKs carry ECE until a CWR arrives. */
  DemandCwr: 2,
  /** The peer has shown that it marks and echoes. */
  Seen: 4,
} as const

/**
 * What the sender knows of the network: congestion window, what is in flight, loss recovery, RACK, delivery rate. A
 * connection that never sent data shares one untouched object of these with all others like it.
 *
 * Counts are in segments, as on Linux; sequence numbers are signed integers; times are microseconds modulo 2^32 unless
 * the name says milliseconds.
 */
export class CongestionState {
  /** Congestion window, slow-start threshold, and what counts towards the next increase. */
  cwnd: number
  ssthresh = INFINITE_SSTHRESH
  cwndCount = 0
  /** One of `CaState`. */
  state: number = CaState.Open

  /** Segments sent and not acknowledged; of these: SACKed, taken for lost, and sent again. */
  packetsOut = 0
  sackedOut = 0
  lostOut = 0
  retransOut = 0

  /** SND.NXT when the present episode began: it ends when this is acknowledged. */
  highSeq = 0
  /** Window and threshold before the present episode, to go back to if it was a mistake. */
  priorCwnd = 0
  priorSsthresh = 0
  /**
   * SND.UNA when the episode began, 0 with `undoable` false when it cannot be
   * undone; retransmissions not yet known to be spurious, -1 when unknown.
   */
  undoMarker = 0
  undoable = false
  undoRetrans = -1
  /** Proportional rate reduction (RFC 6937): segments delivered and sent in this episode. */
  prrDelivered = 0
  prrOut = 0
  /** F-RTO is under way (RFC 5682). */
  frto = false
  /** Where to look on for a lost segment to send again. */
  retransmitHint = 0
  hasRetransmitHint = false
  /** Where the highest SACKed record ends; SND.UNA counts while nothing is SACKed. */
  highestSack = 0
  /** The peer has taken back what it had SACKed, in this episode. */
  reneged = false
  /**
   * Segments of a non-SACK peer that duplicate ACKs speak of are in
   * `sackedOut`; how far the network reorders, in segments.
   */
  reordering: number
  reorderingSeen = 0

  /** Validation of the window (RFC 2861 as Linux does it). */
  cwndUsed = 0
  cwndStampMs = 0
  cwndUsageSeq = 0
  maxPacketsOut = 0
  cwndLimited = false

  /** RACK (RFC 8985): the most recently sent segment that was delivered. */
  rackSentAt = 0
  rackEnd = 0
  rackRtt = 0
  rackAdvanced = false
  rackStarted = false
  /**
   * Reordering window, in quarters of the least RTT, how many
   * recoveries it stays, and the round that DSACKs are counted in.
   */
  rackWindowSteps = 1
  rackPersist = 0
  rackRoundDelivered = 0
  rackDsackSeen = false
  /** A tail loss probe is out, up to this number; was it a retransmission? */
  tlpActive = false
  tlpHighSeq = 0
  tlpRetransmitted = false

  /** Delivery rate (draft-cheng-iccrg-delivery-rate-estimation). The SYN or SYN+ACK counts as a segment delivered. */
  delivered = 1
  deliveredCe = 0
  deliveredAt = 0
  firstSentAt = 0
  lost = 0
  /** Packets delivered at which the present application-limited phase ends; 0 when there is none. */
  applicationLimitedUntil = 0
  rateDelivered = 0
  rateInterval = 0
  rateApplicationLimited = false
  /** Bytes a second that the window is worth: for pacing and for sizing records. 0 when unknown: no limit. */
  pacingRate = 0
  /** Is data to leave evenly at that rate, and when may the next leave: world time, microseconds? */
  paces = false
  nextSendAt = 0
  /** Least round-trip time of the last minutes. */
  readonly minRtt = new WindowedMinimum()

  /** What the sender waited for. */
  readonly chrono = new Chronograph()

  /** `EcnFlag` bits. */
  ecn = 0
  /** Segments retransmitted in all, for those who look. */
  totalRetransmitted = 0
  /**
   * Time-outs in all, episodes of them that are over, and the milliseconds that those took; when the present one began.
   */
  timeouts = 0
  timeoutRecoveries = 0
  timeoutMs = 0
  timeoutStampMs = 0
  bytesSent = 0
  bytesRetransmitted = 0
  dataSegmentsSent = 0
  dsacksReceived = 0
  /** HyStart++ (RFC 9406), where it is used. */
  hystart: HystartPlus | null = null
  /** What the congestion control keeps for itself: what another connection had here, until `init` begins. */
  private_: object | null = null
  /** The records in flight in order of the time when each was last sent: first and last of the list. */
  oldestSent: SendRecord | null = null
  newestSent: SendRecord | null = null

  /** @param initialCwnd and `reordering` in segments */
  constructor(initialCwnd: number, reordering: number) {
    this.cwnd = initialCwnd
    this.reordering = reordering
  }

  /** Makes it as it was at first, for another connection. */
  reset(initialCwnd: number, reordering: number): this {
    this.cwnd = initialCwnd
    this.reordering = reordering
    this.minRtt.clear()
    this.chrono.clear()
    this.ssthresh = INFINITE_SSTHRESH
    this.cwndCount = 0
    this.state = CaState.Open
    this.packetsOut = 0
    this.sackedOut = 0
    this.lostOut = 0
    this.retransOut = 0
    this.highSeq = 0
    this.priorCwnd = 0
    this.priorSsthresh = 0
    this.undoMarker = 0
    this.undoable = false
    this.undoRetrans = -1
    this.prrDelivered = 0
    this.prrOut = 0
    this.frto = false
    this.retransmitHint = 0
    this.hasRetransmitHint = false
    this.highestSack = 0
    this.reneged = false
    this.reorderingSeen = 0
    this.cwndUsed = 0
    this.cwndStampMs = 0
    this.cwndUsageSeq = 0
    this.maxPacketsOut = 0
    this.cwndLimited = false
    this.rackSentAt = 0
    this.rackEnd = 0
    this.rackRtt = 0
    this.rackAdvanced = false
    this.rackStarted = false
    this.rackWindowSteps = 1
    this.rackPersist = 0
    this.rackRoundDelivered = 0
    this.rackDsackSeen = false
    this.tlpActive = false
    this.tlpHighSeq = 0
    this.tlpRetransmitted = false
    this.delivered = 1
    this.deliveredCe = 0
    this.deliveredAt = 0
    this.firstSentAt = 0
    this.lost = 0
    this.applicationLimitedUntil = 0
    this.rateDelivered = 0
    this.rateInterval = 0
    this.rateApplicationLimited = false
    this.pacingRate = 0
    this.paces = false
    this.nextSendAt = 0
    this.ecn = 0
    this.totalRetransmitted = 0
    this.timeouts = 0
    this.timeoutRecoveries = 0
    this.timeoutMs = 0
    this.timeoutStampMs = 0
    this.bytesSent = 0
    this.bytesRetransmitted = 0
    this.dataSegmentsSent = 0
    this.dsacksReceived = 0
    this.hystart = null
    this.oldestSent = null
    this.newestSent = null
    return this
  }

  /** Segments taken to be in the network. */
  get inFlight(): number {
    return this.packetsOut - this.sackedOut - this.lostOut + this.retransOut
  }

  get inSlowStart(): boolean {
    return this.cwnd < this.ssthresh
  }

  /** Is the window being reduced: in Cwr or Recovery? */
  get isReducing(): boolean {
    return this.state === CaState.Cwr || this.state === CaState.Recovery
  }
}
