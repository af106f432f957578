import { seqGt } from '../core/seq.ts'

/**
 * Round-trip time and retransmission time-out: RFC 6298 with Linux's refinements: the variation is not allowed to fall
 * while one window is acknowledged, and never lies below the least RTO, so that RTO = SRTT + max(RTTVAR, 200 ms).
 *
 * Times in microseconds. SRTT is kept times 8 and the deviation times 4, as in Jacobson's "Congestion Avoidance and
 * Control" (1988), appendix A.
 */
export class RttEstimator {
  /** Smoothed round-trip time times 8; 0 before the first measurement. */
  srtt8 = 0
  /** Mean deviation times 4, its maximum in this round, and the variation that counts. */
  private mdev4: number
  private mdevMax: number
  private rttvar: number
  /** SND.NXT when this round began. */
  private roundEnd = 0
  /** The time-out now, microseconds; doubled by back-off. */
  rto: number

  /** @param initialRto microseconds, before the first measurement (RFC 6298 section 2.1) */
  constructor(initialRto = 1_000_000) {
    this.mdev4 = initialRto
    this.mdevMax = initialRto
    this.rttvar = initialRto
    this.rto = initialRto
  }

  /** Smoothed round-trip time, 0 before the first measurement. */
  get srtt(): number {
    return this.srtt8 >> 3
  }

  /** The variation as `tcp_info` shows it. */
  get variation(): number {
    return this.mdev4 >> 2
  }

  /**
   * Takes a measurement of a segment that was sent once.
   * @param sample microseconds
   * @param least the least RTO, microseconds
   */
  measure(sample: number, una: number, nxt: number, least: number): void {
    // What is eight times as long still fits 31 bits.
    const measured = Math.min(sample, LONGEST)
    if (this.srtt8 === 0) {
      this.srtt8 = Math.max(1, measured << 3)
      this.mdev4 = measured << 1
      this.rttvar = Math.max(this.mdev4, least)
      this.mdevMax = this.rttvar
      this.roundEnd = nxt
      return
    }
    let error = measured - (this.srtt8 >> 3)
    this.srtt8 = Math.max(1, this.srtt8 + error)
    if (error < 0) {
      error = -error - (this.mdev4 >> 2)
      // A sudden fall of the RTT must not inflate the deviation: gain 1/32 instead of 1/4.
      if (error > 0) error >>= 3
    } else error -= this.mdev4 >> 2
    this.mdev4 += error
    if (this.mdev4 > this.mdevMax) {
      this.mdevMax = this.mdev4
      if (this.mdevMax > this.rttvar) this.rttvar = this.mdevMax
    }
    if (seqGt(una, this.roundEnd)) {
      if (this.mdevMax < this.rttvar) this.rttvar -= (this.rttvar - this.mdevMax) >> 2
      this.roundEnd = nxt
      this.mdevMax = least
    }
  }

  /** Computes the time-out from the measurements, undoing any back-off. */
  updateRto(most: number): void {
    this.rto = Math.min((this.srtt8 >> 3) + this.rttvar, most)
  }

  /**
   * After a SYN had to be resent nothing measured counts, and three
   * seconds are more honest than one (RFC 6298 section 5.7).
   */
  distrust(): void {
    this.srtt8 = 0
    this.rttvar = 3_000_000
    this.mdevMax = 3_000_000
    this.mdev4 = 3_000_000
    this.rto = 3_000_000
  }
}

/** The longest round-trip time that is told from longer ones, microseconds. */
const LONGEST = 120_000_000
