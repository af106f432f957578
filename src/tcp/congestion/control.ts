import type { TcpConnection } from '../connection.ts'

/** What one ACK told of the rate at which segments are delivered (draft-cheng-iccrg-delivery-rate-estimation). */
export class RateSample {
  /** `delivered` of the connection when the newest acknowledged segment was sent; -1 when there is no sample. */
  priorDelivered = -1
  priorDeliveredCe = 0
  /** When the last delivery before that was noted: microseconds modulo 2^32. */
  priorDeliveredAt = 0
  /** Segments delivered over `interval` microseconds, of them with CE; interval -1 when the sample is not valid. */
  delivered = 0
  deliveredCe = 0
  interval = -1
  /** Of the segment that the sample is taken from, microseconds; -1 when it was retransmitted. */
  rtt = -1
  /** Was it probably answered late, by a delayed ACK? */
  ackDelayed = false
  /** Segments newly taken for lost by this ACK, and those newly acknowledged or SACKed. */
  losses = 0
  ackedSacked = 0
  /** In flight before this ACK. */
  priorInFlight = 0
  applicationLimited = false
  retransmitted = false
  /** End of the segment that the sample is taken from. */
  lastEnd = 0
  lostAtSend = 0
  inFlightAtSend = 0
  isEce = false

  reset(): void {
    this.priorDelivered = -1
    this.delivered = 0
    this.deliveredCe = 0
    this.interval = -1
    this.rtt = -1
    this.ackDelayed = false
    this.losses = 0
    this.ackedSacked = 0
    this.priorInFlight = 0
    this.applicationLimited = false
    this.retransmitted = false
    this.isEce = false
  }
}

/** Things that happen to a sender and that a congestion control may want to know. */
export const CwndEvent = {
  /** Data leaves while nothing was in flight. */
  TransmitStart: 0,
  /** The window starts anew after idleness. */
  Restart: 1,
  /** A reduction has ended. */
  ReductionDone: 2,
  /** A retransmission time-out. */
  Loss: 3,
} as const

/** `struct tcp_bbr_info`: bytes per second as two words, microseconds, and gains in parts of 256. */
export interface BbrInfo {
  bbr_bw_lo: number
  bbr_bw_hi: number
  bbr_min_rtt: number
  bbr_pacing_gain: number
  bbr_cwnd_gain: number
}

/** A congestion control: four functions, and what some need beside them. It keeps its state in `c.cc.private_`. */
export interface CongestionControl {
  readonly name: string
  /** Begins with a connection, or takes one over from another congestion control. */
  init(c: TcpConnection): void
  /** The slow-start threshold after congestion, in segments. */
  ssthresh(c: TcpConnection): number
  /** Grows the window by an ACK of `acked` segments while nothing is amiss. @param ack the acknowledgment number */
  avoid(c: TcpConnection, ack: number, acked: number): void
  /** The window to go back to when a reduction turns out to have been a mistake, in segments. */
  undo(c: TcpConnection): number

  /** The connection goes to another `CaState`. */
  stateChanges?(c: TcpConnection, state: number): void
  /** One of `CwndEvent`. */
  event?(c: TcpConnection, event: number): void
  /** `segments` were acknowledged; `rtt` microseconds, -1 when not measured. */
  acked?(c: TcpConnection, segments: number, rtt: number): void
  /** Decides window and pacing rate itself, in every state, in place of `avoid` and of proportional rate reduction. */
  control?(c: TcpConnection, sample: RateSample, ack: number): void
  /** The least number of segments in a record. */
  minimumSegments?(c: TcpConnection): number
  /** What TCP_CC_INFO tells. */
  info?(c: TcpConnection): BbrInfo
  /** How many windows the send queue should hold; 2 unless said. */
  readonly sendBufferFactor?: number
}
