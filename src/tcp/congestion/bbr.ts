import type { TcpConnection } from '../connection.ts'
import { WindowedMaximum } from '../windowed.ts'
import { type BbrInfo, type CongestionControl, CwndEvent, RateSample } from './control.ts'
import { CaState, INFINITE_SSTHRESH } from './state.ts'

/**
 * BBR, version 1 (Cardwell et al., "BBR: Congestion-Based Congestion Control", 2016;
 * draft-cardwell-iccrg-bbr-congestion-control-00), with what Linux added to it: the estimate of policers and of ACK
 * aggregation. It measures the path's bandwidth and its least round-trip time, sends at that bandwidth, and keeps about
 * twice their product in flight.
 *
 * Bandwidths are segments per microsecond.
 */

const Mode = {
  /** Doubles the rate each round trip, until the bandwidth grows no more. */
  Startup: 0,
  /** Lets the queue drain that this has made. */
  Drain: 1,
  /** Cycles around the bandwidth, to find more if there is more. */
  ProbeBandwidth: 2,
  /** Nearly stops for a moment, to see the path without its queue. */
  ProbeRtt: 3,
} as const

/** Round trips that the greatest bandwidth is taken over. */
const BANDWIDTH_ROUNDS = 10
/** How long the least round-trip time counts, and how long a probe of it lasts, milliseconds. */
const MIN_RTT_WINDOW = 10_000
const PROBE_RTT_TIME = 200
/** 2 / ln 2, the least gain that doubles the rate each round trip, and its inverse. */
const HIGH_GAIN = 2885 / 1000 + 1 / 256
const DRAIN_GAIN = 1000 / 2885
const CWND_GAIN = 2
const CYCLE = [5 / 4, 3 / 4, 1, 1, 1, 1, 1, 1] as const
/** The cycle begins at any phase but that which drains. */
const CYCLE_START_CHOICES = 7
const MIN_CWND = 4
/** Below this rate, bytes per second, records are of single segments. */
const MIN_RECORD_RATE = 1_200_000 / 8
/** Paces a little below the bandwidth, so that queues shrink. */
const PACING_MARGIN = 0.99
/** The bandwidth has to grow by a quarter within three round trips, or the pipe is full. */
const FULL_GROWTH = 5 / 4
const FULL_ROUNDS = 3
/** A policer: two intervals of at least four round trips, a fifth of the segments lost, and nearly the same rate. */
const POLICED_ROUNDS = 4
const POLICED_LOSS = 50 / 256
const POLICED_RATIO = 1 / 8
const POLICED_DIFFERENCE = 4000 / 8
/** Round trips for which the policer's rate is used. */
const POLICED_LIFE = 48
/** ACK aggregation: the greatest excess of five to ten round trips, at most what is sent in 100 ms. */
const AGGREGATION_ROUNDS = 5
const AGGREGATION_TIME = 100_000
const AGGREGATION_RESET = 1 << 20
/** The largest record, in segments. */
const MOST_RECORD = 127
const LARGEST_RECORD = 0x1_0000 - 1 - 320

class BbrState {
  mode: number = Mode.Startup
  /** Least round-trip time, microseconds, Infinity while unknown; when it was measured, milliseconds. */
  minRtt = Number.POSITIVE_INFINITY
  minRttAtMs = 0
  /** The end of the present probe of it, 0 while none has begun to count; has it lasted a round trip? */
  probeRttEndMs = 0
  probeRttRoundDone = false
  readonly bandwidth = new WindowedMaximum()
  /** Round trips so far; segments delivered at the end of the present one; does this ACK begin a new one? */
  rounds = 0
  nextRoundDelivered = 0
  roundStart = false
  priorCaState: number = CaState.Open
  packetConservation = false
  idleRestart = false
  hasSeenRtt = false
  /** Window to go back to after recovery or a probe. */
  priorCwnd = 0
  fullBandwidth = 0
  fullRounds = 0
  isFull = false
  cycle = 0
  cycleAt = 0
  pacingGain = HIGH_GAIN
  cwndGain = HIGH_GAIN

  /** The policer's rate, and the interval that it is measured in. */
  policedBandwidth = 0
  usesPoliced = false
  isSampling = false
  policedRounds = 0
  sampleAtMs = 0
  sampleDelivered = 0
  sampleLost = 0

  /** What was acknowledged in an epoch of ACKs, and the greatest excess over the bandwidth in two windows. */
  epochAt = 0
  epochAcked = 0
  excess: [number, number] = [0, 0]
  excessIndex: 0 | 1 = 0
  excessRounds = 0

  /** What the sender goes by. */
  get rate(): number {
    return this.usesPoliced ? this.policedBandwidth : this.bandwidth.value
  }
}

const stateOf = (c: TcpConnection): BbrState => c.cc.private_ as BbrState

export const bbr: CongestionControl = {
  name: 'bbr',
  sendBufferFactor: 3,

  init(c) {
    const { cc, layer } = c
    const s = new BbrState()
    cc.private_ = s
    cc.ssthresh = INFINITE_SSTHRESH
    cc.paces = true
    s.nextRoundDelivered = cc.delivered
    if (cc.minRtt.value !== UNKNOWN_MIN_RTT) s.minRtt = cc.minRtt.value
    s.minRttAtMs = layer.loop.nowMs32
    s.epochAt = layer.loop.now32
    resetPolicer(c, s)
    pacingFromRtt(c, s)
  },

  ssthresh(c) {
    saveCwnd(c, stateOf(c))
    return c.cc.ssthresh
  },

  avoid() {},

  undo(c) {
    const s = stateOf(c)
    s.fullBandwidth = 0
    s.fullRounds = 0
    resetPolicer(c, s)
    return c.cc.cwnd
  },

  stateChanges(c, state) {
    if (state !== CaState.Loss) return
    const s = stateOf(c)
    s.priorCaState = CaState.Loss
    s.fullBandwidth = 0
    // A time-out is the end of a round trip.
    s.roundStart = true
    samplePolicer(c, s, TIMED_OUT)
  },

  event(c, event) {
    if (event !== CwndEvent.TransmitStart || c.cc.applicationLimitedUntil === 0) return
    const s = stateOf(c)
    s.idleRestart = true
    s.epochAt = c.layer.loop.now32
    s.epochAcked = 0
    // After idleness there is no hurry: what is known of the path is enough.
    if (s.mode === Mode.ProbeBandwidth) setPacingRate(c, s, 1)
    else if (s.mode === Mode.ProbeRtt) checkProbeRttDone(c, s)
  },

  control(c, sample) {
    const s = stateOf(c)
    updateBandwidth(c, s, sample)
    updateAggregation(c, s, sample)
    if (s.mode === Mode.ProbeBandwidth && isPhaseOver(c, s, sample)) nextPhase(c, s)
    checkFull(s, sample)
    checkDrain(c, s)
    updateMinRtt(c, s, sample)
    updateGains(s)
    setPacingRate(c, s, s.pacingGain)
    setCwnd(c, s, sample)
  },

  info(c): BbrInfo {
    // There is none before anything was sent.
    const s = (c.cc.private_ as BbrState | null) ?? new BbrState()
    const bandwidth = Math.floor(s.rate * c.snd.mss * 1e6)
    return {
      bbr_bw_lo: bandwidth >>> 0,
      bbr_bw_hi: Math.floor(bandwidth / 2 ** 32),
      bbr_min_rtt: Math.min(s.minRtt, 0xffff_ffff),
      bbr_pacing_gain: Math.floor(s.pacingGain * 256),
      bbr_cwnd_gain: Math.floor(s.cwndGain * 256),
    }
  },

  minimumSegments: (c) => (c.cc.pacingRate < MIN_RECORD_RATE ? 1 : 2),
}

const UNKNOWN_MIN_RTT = 0x7fff_ffff
/** What a time-out is to the estimate of policers: a loss. */
const TIMED_OUT = Object.assign(new RateSample(), { losses: 1 })

// The rate.

const bytesPerSecond = (c: TcpConnection, bandwidth: number, gain: number): number =>
  Math.floor(Math.min(bandwidth * c.snd.mss * gain * 1e6 * PACING_MARGIN, c.options.maxPacingRate))

/** The first rate: a window each round trip, or each millisecond while none is known. */
const pacingFromRtt = (c: TcpConnection, s: BbrState): void => {
  let rtt = 1000
  if (c.rtt.srtt8 !== 0) {
    rtt = Math.max(1, c.rtt.srtt)
    s.hasSeenRtt = true
  }
  c.cc.pacingRate = bytesPerSecond(c, c.cc.cwnd / rtt, HIGH_GAIN)
}

const setPacingRate = (c: TcpConnection, s: BbrState, gain: number): void => {
  const rate = bytesPerSecond(c, s.rate, gain)
  if (!s.hasSeenRtt && c.rtt.srtt8 !== 0) pacingFromRtt(c, s)
  if (s.isFull || rate > c.cc.pacingRate) c.cc.pacingRate = rate
}

// The window.

/** The bandwidth-delay product times `gain`, segments. */
const product = (c: TcpConnection, s: BbrState, bandwidth: number, gain: number): number =>
  s.minRtt === Number.POSITIVE_INFINITY ? c.layer.settings.initial_cwnd : Math.ceil(bandwidth * s.minRtt * gain)

/** Segments of a record at the present rate. */
const recordGoal = (c: TcpConnection): number => {
  const bytes = Math.min(c.cc.pacingRate / 1024, LARGEST_RECORD)
  const least = c.cc.pacingRate < MIN_RECORD_RATE ? 1 : 2
  return Math.min(Math.max(Math.floor(bytes / c.snd.mss), least), MOST_RECORD)
}

/** Adds what the ends need beside the path: three records, an even number, and room for a probe of small products. */
const withBudget = (c: TcpConnection, s: BbrState, cwnd: number): number => {
  const even = (cwnd + 3 * recordGoal(c) + 1) & ~1
  return s.mode === Mode.ProbeBandwidth && s.cycle === 0 ? even + 2 : even
}

const inFlightTarget = (c: TcpConnection, s: BbrState, gain: number): number =>
  withBudget(c, s, product(c, s, s.bandwidth.value, gain))

/** Segments that will be in the network when the next may leave. */
const inNetworkAtNextSend = (c: TcpConnection, s: BbrState, inFlight: number): number => {
  const wait = Math.max(0, c.cc.nextSendAt - c.layer.loop.now)
  const delivered = Math.floor(s.rate * wait)
  return Math.max(0, inFlight + (s.pacingGain > 1 ? recordGoal(c) : 0) - delivered)
}

const saveCwnd = (c: TcpConnection, s: BbrState): void => {
  const { cwnd } = c.cc
  const isWhole = s.priorCaState < CaState.Recovery && s.mode !== Mode.ProbeRtt
  s.priorCwnd = isWhole ? cwnd : Math.max(s.priorCwnd, cwnd)
}

const setCwnd = (c: TcpConnection, s: BbrState, sample: RateSample): void => {
  const { cc, layer } = c
  const acked = sample.ackedSacked
  let cwnd = cc.cwnd
  if (acked > 0) {
    cwnd = recoverOrRestore(c, s, sample)
    if (!s.packetConservation) {
      const target = withBudget(c, s, product(c, s, s.rate, s.cwndGain) + aggregationCwnd(s))
      if (s.isFull) cwnd = Math.min(cwnd + acked, target)
      else if (cwnd < target || cc.delivered < layer.settings.initial_cwnd) cwnd += acked
      cwnd = Math.max(cwnd, MIN_CWND)
    }
  }
  cc.cwnd = s.mode === Mode.ProbeRtt ? Math.min(cwnd, MIN_CWND) : cwnd
}

/** One segment for each that is delivered in the first round trip of recovery; the old window after it. */
const recoverOrRestore = (c: TcpConnection, s: BbrState, sample: RateSample): number => {
  const cc = c.cc
  const acked = sample.ackedSacked
  const prior = s.priorCaState
  let cwnd = sample.losses > 0 ? Math.max(cc.cwnd - sample.losses, 1) : cc.cwnd
  if (cc.state === CaState.Recovery && prior !== CaState.Recovery) {
    s.packetConservation = true
    s.nextRoundDelivered = cc.delivered
    cwnd = cc.inFlight + acked
  } else if (prior >= CaState.Recovery && cc.state < CaState.Recovery) {
    cwnd = Math.max(cwnd, s.priorCwnd)
    s.packetConservation = false
  }
  s.priorCaState = cc.state
  return s.packetConservation ? Math.max(cwnd, cc.inFlight + acked) : cwnd
}

// The cycle of gains.

const isPhaseOver = (c: TcpConnection, s: BbrState, sample: RateSample): boolean => {
  const isLong = (c.cc.deliveredAt - s.cycleAt) >>> 0 > s.minRtt
  if (s.pacingGain === 1) return isLong
  const inFlight = inNetworkAtNextSend(c, s, sample.priorInFlight)
  // Probing up goes on until the path is really filled, unless it loses segments for it.
  if (s.pacingGain > 1) return isLong && (sample.losses > 0 || inFlight >= inFlightTarget(c, s, s.pacingGain))
  return isLong || inFlight <= inFlightTarget(c, s, 1)
}

const nextPhase = (c: TcpConnection, s: BbrState): void => {
  s.cycle = (s.cycle + 1) % CYCLE.length
  s.cycleAt = c.cc.deliveredAt
}

const startCycle = (c: TcpConnection, s: BbrState): void => {
  s.mode = Mode.ProbeBandwidth
  s.cycle = CYCLE.length - 1 - c.layer.random.below(CYCLE_START_CHOICES)
  nextPhase(c, s)
}

const updateGains = (s: BbrState): void => {
  switch (s.mode) {
    case Mode.Startup:
      s.pacingGain = HIGH_GAIN
      s.cwndGain = HIGH_GAIN
      break
    case Mode.Drain:
      s.pacingGain = DRAIN_GAIN
      s.cwndGain = HIGH_GAIN
      break
    case Mode.ProbeBandwidth:
      s.pacingGain = s.usesPoliced ? 1 : CYCLE[s.cycle]!
      s.cwndGain = CWND_GAIN
      break
    default:
      s.pacingGain = 1
      s.cwndGain = 1
  }
}

// The model of the path.

const updateBandwidth = (c: TcpConnection, s: BbrState, sample: RateSample): void => {
  s.roundStart = false
  if (sample.delivered < 0 || sample.interval <= 0) return
  if (sample.priorDelivered >= s.nextRoundDelivered) {
    s.nextRoundDelivered = c.cc.delivered
    s.rounds++
    s.roundStart = true
    s.packetConservation = false
  }
  samplePolicer(c, s, sample)
  const bandwidth = sample.delivered / sample.interval
  // What the application limited says nothing, unless it is more than was known.
  if (!sample.applicationLimited || bandwidth >= s.bandwidth.value) {
    s.bandwidth.update(s.rounds, BANDWIDTH_ROUNDS, bandwidth)
  }
}

const checkFull = (s: BbrState, sample: RateSample): void => {
  if (s.isFull || !s.roundStart || sample.applicationLimited) return
  if (s.bandwidth.value >= s.fullBandwidth * FULL_GROWTH) {
    s.fullBandwidth = s.bandwidth.value
    s.fullRounds = 0
    return
  }
  s.isFull = ++s.fullRounds >= FULL_ROUNDS
}

const checkDrain = (c: TcpConnection, s: BbrState): void => {
  if (s.mode === Mode.Startup && s.isFull) {
    s.mode = Mode.Drain
    c.cc.ssthresh = inFlightTarget(c, s, 1)
  }
  if (s.mode === Mode.Drain && inNetworkAtNextSend(c, s, c.cc.inFlight) <= inFlightTarget(c, s, 1)) startCycle(c, s)
}

const updateMinRtt = (c: TcpConnection, s: BbrState, sample: RateSample): void => {
  const cc = c.cc
  const now = c.layer.loop.nowMs32
  const isExpired = ((now - s.minRttAtMs) | 0) > MIN_RTT_WINDOW
  if (sample.rtt >= 0 && (sample.rtt < s.minRtt || (isExpired && !sample.ackDelayed))) {
    s.minRtt = sample.rtt
    s.minRttAtMs = now
  }
  if (isExpired && !s.idleRestart && s.mode !== Mode.ProbeRtt) {
    s.mode = Mode.ProbeRtt
    saveCwnd(c, s)
    s.probeRttEndMs = 0
  }
  if (s.mode === Mode.ProbeRtt) probeRtt(c, s, now)
  // Idleness is over when new data is acknowledged.
  if (sample.delivered > 0) s.idleRestart = false
  if (cc.pacingRate === 0) pacingFromRtt(c, s)
}

const probeRtt = (c: TcpConnection, s: BbrState, now: number): void => {
  const cc = c.cc
  // The low rates of these moments do not count.
  cc.applicationLimitedUntil = cc.delivered + cc.inFlight || 1
  if (s.probeRttEndMs === 0) {
    if (cc.inFlight > MIN_CWND) return
    s.probeRttEndMs = (now + PROBE_RTT_TIME) | 0 || 1
    s.probeRttRoundDone = false
    s.nextRoundDelivered = cc.delivered
    return
  }
  if (s.roundStart) s.probeRttRoundDone = true
  if (s.probeRttRoundDone) checkProbeRttDone(c, s)
}

const checkProbeRttDone = (c: TcpConnection, s: BbrState): void => {
  const now = c.layer.loop.nowMs32
  if (s.probeRttEndMs === 0 || ((now - s.probeRttEndMs) | 0) <= 0) return
  s.minRttAtMs = now
  c.cc.cwnd = Math.max(c.cc.cwnd, s.priorCwnd)
  if (s.isFull) startCycle(c, s)
  else s.mode = Mode.Startup
}

// ACKs that come in bunches: the window has to bridge the time between them.

const updateAggregation = (c: TcpConnection, s: BbrState, sample: RateSample): void => {
  if (sample.ackedSacked <= 0 || sample.delivered < 0 || sample.interval <= 0) return
  if (s.roundStart && ++s.excessRounds >= AGGREGATION_ROUNDS) {
    s.excessRounds = 0
    s.excessIndex = s.excessIndex === 0 ? 1 : 0
    s.excess[s.excessIndex] = 0
  }
  let expected = Math.floor(s.rate * ((c.cc.deliveredAt - s.epochAt) >>> 0))
  if (s.epochAcked <= expected || s.epochAcked + sample.ackedSacked >= AGGREGATION_RESET) {
    s.epochAcked = 0
    s.epochAt = c.cc.deliveredAt
    expected = 0
  }
  s.epochAcked += sample.ackedSacked
  s.excess[s.excessIndex] = Math.max(s.excess[s.excessIndex], Math.min(s.epochAcked - expected, c.cc.cwnd))
}

const aggregationCwnd = (s: BbrState): number =>
  s.isFull ? Math.min(Math.max(s.excess[0], s.excess[1]), Math.floor(s.rate * AGGREGATION_TIME)) : 0

// Policers, which let bursts through and then drop whatever exceeds a rate.

/** World time of the last delivery, whole milliseconds, which do not go round as `deliveredAt` does. */
const deliveredAtMs = ({ cc, layer }: TcpConnection): number =>
  Math.floor((layer.loop.now - ((layer.loop.now32 - cc.deliveredAt) >>> 0)) / 1000)

const resetSample = (c: TcpConnection, s: BbrState): void => {
  s.sampleAtMs = deliveredAtMs(c)
  s.sampleDelivered = c.cc.delivered
  s.sampleLost = c.cc.lost
  s.policedRounds = 0
}

const resetPolicer = (c: TcpConnection, s: BbrState): void => {
  s.policedBandwidth = 0
  s.usesPoliced = false
  s.isSampling = false
  resetSample(c, s)
}

const samplePolicer = (c: TcpConnection, s: BbrState, sample: RateSample): void => {
  if (s.usesPoliced) {
    if (s.mode === Mode.ProbeBandwidth && s.roundStart && ++s.policedRounds >= POLICED_LIFE) {
      resetPolicer(c, s)
      startCycle(c, s)
    }
    return
  }
  // From the first loss on: the policer's tokens are used up.
  if (!s.isSampling) {
    if (sample.losses === 0) return
    resetSample(c, s)
    s.isSampling = true
  }
  if (sample.applicationLimited) {
    resetPolicer(c, s)
    return
  }
  if (s.roundStart) s.policedRounds++
  if (s.policedRounds < POLICED_ROUNDS) return
  if (s.policedRounds > 4 * POLICED_ROUNDS) {
    resetPolicer(c, s)
    return
  }
  // Up to a loss, too.
  if (sample.losses === 0) return
  const lost = c.cc.lost - s.sampleLost
  const delivered = c.cc.delivered - s.sampleDelivered
  if (delivered === 0 || lost < POLICED_LOSS * delivered) return
  const time = deliveredAtMs(c) - s.sampleAtMs
  if (time >= 1) endSample(c, s, delivered / (time * 1000))
}

const endSample = (c: TcpConnection, s: BbrState, bandwidth: number): void => {
  const before = s.policedBandwidth
  if (before > 0) {
    const difference = Math.abs(bandwidth - before)
    if (difference <= POLICED_RATIO * before || bytesPerSecond(c, difference, 1) <= POLICED_DIFFERENCE) {
      s.policedBandwidth = (bandwidth + before) / 2
      s.usesPoliced = true
      s.pacingGain = 1
      s.policedRounds = 0
      return
    }
  }
  s.policedBandwidth = bandwidth
  resetSample(c, s)
}
