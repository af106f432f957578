import { seqGt } from '../../core/seq.ts'
import type { TcpConnection } from '../connection.ts'
import { paces } from '../pacing.ts'
import { type CongestionControl, CwndEvent } from './control.ts'
import { watchDelay } from './hystart-plus.ts'
import { additiveIncrease, isWindowUsed, slowStart } from './reno.ts'
import { CaState } from './state.ts'

/** CUBIC (RFC 9438), with fast convergence, the Reno-friendly region, and HyStart as Linux does them, or HyStart++. */

/** C, in segments per second cubed, and the factor by which the window shrinks (717/1024, close to 0.7). */
const C = 0.4
const BETA = 717 / 1024
/**
 * Segments of the Reno-friendly estimate's increase a window, times 8:
 * 8 * 3 (1 - BETA) / (1 + BETA), inverted and cut to a whole number.
 */
const RENO_SCALE = Math.floor((8 * (1024 + 717)) / 3 / (1024 - 717))
const HYSTART_LOW_WINDOW = 16
const HYSTART_SAMPLES = 8
/** Two ACKs at most so far apart belong to one train, microseconds. */
const HYSTART_ACK_GAP = 2000

class CubicState {
  /** Segments to be acknowledged for one more in the window. */
  count = 0
  /** W_max, the window before the last reduction; 0 before the first. */
  windowMax = 0
  lastWindow = 0
  lastTime = 0
  /** Where the plateau lies, and how long it takes to it, seconds. */
  origin = 0
  k = 0
  /** The least delay seen, microseconds; 0 before the first measurement. */
  delayMin = 0
  /**
   * When the present epoch began: milliseconds modulo 2^32
   * (microseconds would go round in 71 minutes), and whether one has.
   */
  epochStart = 0
  inEpoch = false
  ackCount = 0
  renoWindow = 0

  // HyStart
  roundStart = 0
  roundEnd = 0
  lastAck = 0
  currentRtt = 0x7fff_ffff
  samples = 0
  found = false

  reset(): void {
    this.count = 0
    this.windowMax = 0
    this.lastWindow = 0
    this.lastTime = 0
    this.origin = 0
    this.k = 0
    this.delayMin = 0
    this.epochStart = 0
    this.inEpoch = false
    this.ackCount = 0
    this.renoWindow = 0
    this.found = false
  }
}

const stateOf = (c: TcpConnection): CubicState => c.cc.private_ as CubicState

export const cubic: CongestionControl = {
  name: 'cubic',

  init(c) {
    const { cc } = c
    const state = cc.private_ instanceof CubicState ? cc.private_ : new CubicState()
    state.reset()
    cc.private_ = state
    startRound(c, state)
  },

  ssthresh(c) {
    const state = stateOf(c)
    const cwnd = c.cc.cwnd
    state.inEpoch = false
    // Fast convergence (RFC 9438 section 4.7): give room to flows that have come since.
    state.windowMax = cwnd < state.windowMax ? Math.floor((cwnd * (1 + BETA)) / 2) : cwnd
    return Math.max(Math.floor(cwnd * BETA), 2)
  },

  avoid(c, _ack, acked) {
    if (!isWindowUsed(c)) return
    const cc = c.cc
    let left = acked
    if (cc.inSlowStart) {
      left = slowStart(c, left)
      if (left === 0) return
    }
    const state = stateOf(c)
    updateCount(c, state, left)
    additiveIncrease(cc, state.count, left)
  },

  undo: (c) => Math.max(c.cc.cwnd, c.cc.priorCwnd),

  stateChanges(c, next) {
    if (next !== CaState.Loss) return
    const state = stateOf(c)
    state.reset()
    startRound(c, state)
  },

  event(c, event) {
    if (event !== CwndEvent.TransmitStart) return
    const state = stateOf(c)
    // Time in which nothing was sent does not count: the epoch moves along (RFC 9438 section 5.8).
    const now = c.layer.loop.nowMs32
    const idle = Math.max(0, (now - c.snd.lastSentMs) | 0)
    if (!state.inEpoch || idle === 0) return
    state.epochStart = (state.epochStart + idle) | 0
    if (((state.epochStart - now) | 0) > 0) state.epochStart = now
  },

  acked(c, _segments, rtt) {
    watchDelay(c, rtt)
    if (rtt < 0) return
    const state = stateOf(c)
    // Delays right after a recovery tell of the recovery.
    if (state.inEpoch && ((c.layer.loop.nowMs32 - state.epochStart) | 0) < 1000) return
    const delay = Math.max(1, rtt)
    if (state.delayMin === 0 || state.delayMin > delay) state.delayMin = delay
    const { slowStartExit } = c.layer.settings.personality
    if (slowStartExit === 'hystart' && !state.found && c.cc.inSlowStart && c.cc.cwnd >= HYSTART_LOW_WINDOW)
      hystart(c, state, delay)
  },
}

/** Computes how many segments have to be acknowledged for one more in the window (RFC 9438 sections 4.2 to 4.5). */
const updateCount = (c: TcpConnection, state: CubicState, acked: number): void => {
  const now = c.layer.loop.nowMs32
  const cwnd = c.cc.cwnd
  state.ackCount += acked
  if (state.inEpoch && state.lastWindow === cwnd && ((now - state.lastTime) | 0) <= 1000 / 32) return
  if (!state.inEpoch || now !== state.lastTime) {
    state.lastWindow = cwnd
    state.lastTime = now
    if (!state.inEpoch) beginEpoch(state, cwnd, acked, now)
    const elapsed = ((now - state.epochStart) | 0) / 1e3 + state.delayMin / 1e6
    const offset = elapsed - state.k
    const growth = Math.floor(C * Math.abs(offset) ** 3)
    const target = offset < 0 ? state.origin - growth : state.origin + growth
    state.count = target > cwnd ? Math.floor(cwnd / (target - cwnd)) : 100 * cwnd
    // Before the first loss nothing is known of the path: one segment in twenty at least.
    if (state.windowMax === 0 && state.count > 20) state.count = 20
  }
  // The Reno-friendly region (section 4.3): never slower than Reno would be.
  const perIncrease = (cwnd * RENO_SCALE) >> 3
  while (state.ackCount > perIncrease) {
    state.ackCount -= perIncrease
    state.renoWindow++
  }
  if (state.renoWindow > cwnd) state.count = Math.min(state.count, Math.floor(cwnd / (state.renoWindow - cwnd)))
  state.count = Math.max(state.count, 2)
}

const beginEpoch = (state: CubicState, cwnd: number, acked: number, now: number): void => {
  state.inEpoch = true
  state.epochStart = now
  state.ackCount = acked
  state.renoWindow = cwnd
  if (state.windowMax <= cwnd) {
    state.k = 0
    state.origin = cwnd
  } else {
    state.k = Math.cbrt((state.windowMax - cwnd) / C)
    state.origin = state.windowMax
  }
}

const startRound = (c: TcpConnection, state: CubicState): void => {
  state.roundStart = c.layer.loop.now32
  state.lastAck = state.roundStart
  state.roundEnd = c.snd.nxt
  state.currentRtt = 0x7fff_ffff
  state.samples = 0
}

/**
 * Leaves slow start before it overflows the path: on a long train of ACKs, or when the delay grows (Ha and Rhee, 2011).
 */
const hystart = (c: TcpConnection, state: CubicState, delay: number): void => {
  if (seqGt(c.snd.una, state.roundEnd)) startRound(c, state)
  const counters = c.layer.mib.tcpExt
  const now = c.layer.loop.now32
  if (((now - state.lastAck) | 0) <= HYSTART_ACK_GAP) {
    state.lastAck = now
    // Half of it, unless pacing spreads the segments, and so their ACKs, over as much.
    const delayOfTrain = state.delayMin + ackDelay(c)
    const threshold = paces(c) ? delayOfTrain : delayOfTrain >> 1
    if (((now - state.roundStart) | 0) > threshold) {
      state.found = true
      counters.TCPHystartTrainDetect++
      counters.TCPHystartTrainCwnd += c.cc.cwnd
      c.cc.ssthresh = c.cc.cwnd
    }
  }
  if (state.currentRtt > delay) state.currentRtt = delay
  if (state.samples < HYSTART_SAMPLES) {
    state.samples++
  } else if (state.currentRtt > state.delayMin + Math.min(Math.max(state.delayMin >> 3, 4000), 16_000)) {
    state.found = true
    counters.TCPHystartDelayDetect++
    counters.TCPHystartDelayCwnd += c.cc.cwnd
    c.cc.ssthresh = c.cc.cwnd
  }
}

/** How long the ACKs of one large record may take, microseconds: they come together and are no sign of a queue. */
const ackDelay = (c: TcpConnection): number => {
  const rate = c.cc.pacingRate
  return rate === 0 ? 0 : Math.min(1000, Math.floor((0x1_0000 * 4 * 1e6) / rate))
}
