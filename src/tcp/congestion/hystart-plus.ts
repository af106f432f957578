import { seqGt } from '../../core/seq.ts'
import type { TcpConnection } from '../connection.ts'
import { paces } from '../pacing.ts'
import { INFINITE_SSTHRESH } from './state.ts'

/**
 * HyStart++ (RFC 9406): the first slow start ends before it overflows the path, when the delay grows from one round
 * trip to the next. What follows is conservative slow start, which goes back to slow start when the delay falls again
 * and to congestion avoidance when it does not.
 */

/** Growth of the least delay that ends slow start, microseconds: an eighth of it, within these bounds. */
const LEAST_GROWTH = 4000
const MOST_GROWTH = 16_000
/** Measurements without which a round trip says nothing. */
const SAMPLES = 8
/** Conservative slow start grows by this part of what slow start would, for so many round trips. */
const DIVISOR = 4
const CONSERVATIVE_ROUNDS = 5
/** The most segments that one ACK counts for, unless the sender paces. */
const SEGMENTS_PER_ACK = 8
const UNKNOWN = 0x7fff_ffff

/** Where a connection is in its first slow start. */
export class HystartPlus {
  /** The round trip ends when this is acknowledged. */
  roundEnd: number
  /** The least delay of the last round trip, and of this one so far, microseconds. */
  lastLeast = UNKNOWN
  least = UNKNOWN
  samples = 0
  /** The delay at which conservative slow start began; `UNKNOWN` outside it. */
  baseline = UNKNOWN
  /** Round trips of conservative slow start that have begun. */
  conservativeRounds = 0
  /** Segments acknowledged that have not made a whole one. */
  remainder = 0

  constructor(roundEnd: number) {
    this.roundEnd = roundEnd
  }
}

const stateOf = (c: TcpConnection): HystartPlus | null => {
  const { cc } = c
  // It is for the first slow start alone: later ones know from the loss how far to go (section 4.3).
  if (c.layer.settings.personality.slowStartExit !== 'hystart++' || cc.ssthresh !== INFINITE_SSTHRESH) return null
  cc.hystart ??= new HystartPlus(c.snd.nxt)
  return cc.hystart
}

/** An ACK has come. @param rtt that it measures, microseconds; negative for none */
export const watchDelay = (c: TcpConnection, rtt: number): void => {
  const state = stateOf(c)
  if (state === null) return
  if (seqGt(c.snd.una, state.roundEnd)) beginRound(c, state)
  if (rtt < 0) return
  state.least = Math.min(state.least, rtt)
  state.samples++
  if (state.samples < SAMPLES) return
  if (state.baseline === UNKNOWN) {
    const growth = Math.min(Math.max(state.lastLeast >> 3, LEAST_GROWTH), MOST_GROWTH)
    if (state.lastLeast === UNKNOWN || state.least < state.lastLeast + growth) return
    state.baseline = state.least
    state.conservativeRounds = 1
    state.remainder = 0
  } else if (state.least < state.baseline) state.baseline = UNKNOWN
}

const beginRound = (c: TcpConnection, state: HystartPlus): void => {
  state.roundEnd = c.snd.nxt
  state.lastLeast = state.least
  state.least = UNKNOWN
  state.samples = 0
  if (state.baseline === UNKNOWN) return
  if (state.conservativeRounds === CONSERVATIVE_ROUNDS) {
    const { cc, layer } = c
    cc.ssthresh = cc.cwnd
    layer.mib.tcpExt.TCPHystartDelayDetect++
    layer.mib.tcpExt.TCPHystartDelayCwnd += cc.cwnd
  } else state.conservativeRounds++
}

/** How many of the segments that an ACK acknowledges slow start may grow by. */
export const slowStartShare = (c: TcpConnection, acked: number): number => {
  const state = stateOf(c)
  if (state === null) return acked
  const counted = paces(c) ? acked : Math.min(acked, SEGMENTS_PER_ACK)
  if (state.baseline === UNKNOWN) return counted
  state.remainder += counted
  const share = Math.floor(state.remainder / DIVISOR)
  state.remainder -= share * DIVISOR
  return share
}
