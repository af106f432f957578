import type { Random } from '../../src/core/random.ts'
import * as C from '../../src/socket/constants.ts'
import { type Kind, oneIn, pick } from './case.ts'
import { SegmentPlay } from './segment-play.ts'
import { drawSetup, type SegmentSetup } from './tcp-setup.ts'

/**
 * A peer that knows the sequence numbers plays segments that are nearly right, or quite wrong, to connections in every
 * state, while an application writes, reads and closes, and time passes.
 */

/** Where a sequence number is counted from. */
export type SeqBase = 'nxt' | 'edge' | 'hole' | 'irs'
export type AckBase = 'una' | 'nxt' | 'written' | 'record' | 'iss'

/** A segment, in all that can be said of it. */
export interface SegmentFields {
  /** Which of the peer's ports it comes from. */
  readonly port: number
  readonly flags: number
  readonly seqFrom: SeqBase
  readonly seq: number
  readonly ackFrom: AckBase
  readonly ack: number
  readonly window: number
  readonly length: number
  readonly urgent: number
  /** SACK blocks: from SND.UNA in bytes, or by the numbers of records in flight. */
  readonly sackRecords: boolean
  readonly sack: readonly (readonly [number, number])[]
  /** Time stamps: off what they should be; null for none, 'right' as they should be. */
  readonly stamp: readonly [number, number] | null | 'right'
  readonly mss: number
  readonly windowScale: number
  readonly sackPermitted: boolean
  /** Fast open's cookie. */
  readonly cookie: 'none' | 'ask' | 'right' | 'wrong' | 'experiment'
  readonly md5: 'right' | 'wrong' | 'none'
  /** The ECN field of the IP header. */
  readonly ecn: number
  /** Payload in each segment that this stands for (GRO); 0 for one. */
  readonly merged: number
  /** XORed with the checksum. */
  readonly damage: number
}

/** A segment as a case has it: what is not said is as in `PLAIN`. */
export type SegmentStep = { readonly op: 'segment' } & Partial<SegmentFields>

/** An ACK of all that was sent, with nothing in it. */
export const PLAIN: SegmentFields = {
  port: 0,
  flags: 16,
  seqFrom: 'nxt',
  seq: 0,
  ackFrom: 'nxt',
  ack: 0,
  window: 65_535,
  length: 0,
  urgent: 0,
  sackRecords: true,
  sack: [],
  stamp: 'right',
  mss: 0,
  windowScale: -1,
  sackPermitted: false,
  cookie: 'none',
  md5: 'none',
  ecn: 0,
  merged: 0,
  damage: 0,
}

export type TcpStep =
  | SegmentStep
  | {
      readonly op: 'icmp'
      readonly port: number
      readonly type: number
      readonly code: number
      readonly mtu: number
      readonly seq: number
    }
  | { readonly op: 'wait'; readonly time: number }
  | { readonly op: 'timers'; readonly count: number }
  | { readonly op: 'send'; readonly on: number; readonly length: number; readonly flags: number }
  | { readonly op: 'receive'; readonly on: number; readonly length: number; readonly flags: number }
  | { readonly op: 'shutdown'; readonly on: number; readonly how: number }
  | { readonly op: 'close'; readonly on: number; readonly linger: boolean }
  | { readonly op: 'accept' }
  | { readonly op: 'listen'; readonly backlog: number }
  | { readonly op: 'connect'; readonly on: number; readonly port: number }
  | {
      readonly op: 'option'
      readonly on: number
      readonly level: number
      readonly name: number
      readonly value: number
    }
  | { readonly op: 'full'; readonly full: boolean }

/** Mostly near to what is expected, where things happen; sometimes anywhere. */
const near = (random: Random): number => {
  switch (random.below(12)) {
    case 0:
      return random.next32()
    case 1:
      return random.below(0x2_0000) - 0x1_0000
    case 2:
    case 3:
      return random.below(9000) - 3000
    case 4:
    case 5:
      return random.below(7) - 3
    case 6:
      return pick(random, [1460, 1448, -1460, 2920, 536, 100])
    default:
      return 0
  }
}

const F = 1
const S = 2
const R = 4
const P = 8
const A = 16
const U = 32
const E = 64
const W = 128

const flags = (random: Random): number => {
  if (oneIn(random, 12)) return random.below(512)
  const base = pick(random, [A, A, A, A, A, A | P, A | P, A | F, A | F, S, S, S | A, R, R | A, A | U, F, 0])
  return oneIn(random, 10) ? base | pick(random, [E, W, E | W, U, P]) : base
}

const segment = (random: Random, setup: SegmentSetup): SegmentFields => {
  const bits = flags(random)
  const syn = (bits & S) !== 0
  const blocks = setup.sack && oneIn(random, 2) ? 1 + random.below(3) : oneIn(random, 20) ? 4 : 0
  return {
    port: oneIn(random, 8) ? random.below(4) : 0,
    flags: bits,
    seqFrom: oneIn(random, 5) ? pick(random, ['edge', 'hole', 'irs'] as const) : 'nxt',
    seq: near(random),
    ackFrom: pick(random, ['una', 'una', 'nxt', 'nxt', 'record', 'record', 'written', 'iss'] as const),
    ack: oneIn(random, 3) ? near(random) : 0,
    window: oneIn(random, 3) ? pick(random, [0, 0, 1, 500, 65_535, random.below(65_536)]) : setup.window,
    length: oneIn(random, 2) ? 0 : pick(random, [1, 2, 100, 536, 1000, 1448, 1460, random.below(1461)]),
    urgent: oneIn(random, 12) ? pick(random, [0, 1, 2, 100, random.below(65_536)]) : 0,
    sackRecords: !oneIn(random, 4),
    sack: Array.from(
      { length: blocks },
      () =>
        [
          oneIn(random, 3) ? near(random) : random.below(12),
          oneIn(random, 3) ? near(random) : 1 + random.below(4),
        ] as const,
    ),
    stamp: oneIn(random, 6) ? (oneIn(random, 3) ? null : [near(random), near(random)]) : 'right',
    mss: syn && !oneIn(random, 4) ? setup.mss : 0,
    windowScale: syn && !oneIn(random, 4) ? setup.windowScale : -1,
    sackPermitted: syn && setup.sack,
    cookie: syn
      ? pick(random, ['none', 'none', 'none', 'ask', 'right', 'right', 'wrong', 'experiment'] as const)
      : 'none',
    md5: oneIn(random, 15) ? pick(random, ['wrong', 'none'] as const) : setup.md5 ? 'right' : 'none',
    ecn: oneIn(random, 5) ? random.below(4) : 0,
    merged: oneIn(random, 12) ? pick(random, [100, 536, 1448]) : 0,
    damage: oneIn(random, 60) ? 1 + random.below(0xffff) : 0,
  }
}

/** The step that says of `fields` what is not plain. */
const brief = (fields: SegmentFields): SegmentStep => {
  const said = Object.entries(fields).filter(([name, value]) => {
    const plain = PLAIN[name as keyof SegmentFields]
    return Array.isArray(value) ? value.length > 0 : value !== plain
  })
  return { op: 'segment', ...Object.fromEntries(said) }
}

const SEND_FLAGS = [0, 0, 0, 0, C.MSG_OOB, C.MSG_MORE, C.MSG_EOR, C.MSG_ZEROCOPY, C.MSG_FASTOPEN]
const RECEIVE_FLAGS = [0, 0, 0, 0, C.MSG_PEEK, C.MSG_TRUNC, C.MSG_OOB, C.MSG_OOB | C.MSG_PEEK, C.MSG_ERRQUEUE]
const OPTIONS = [
  [C.SOL_SOCKET, C.SO_SNDBUF],
  [C.SOL_SOCKET, C.SO_RCVBUF],
  [C.SOL_SOCKET, C.SO_KEEPALIVE],
  [C.SOL_SOCKET, C.SO_OOBINLINE],
  [C.SOL_SOCKET, C.SO_RCVLOWAT],
  [C.SOL_SOCKET, C.SO_TIMESTAMPING],
  [C.SOL_TCP, C.TCP_NODELAY],
  [C.SOL_TCP, C.TCP_CORK],
  [C.SOL_TCP, C.TCP_MAXSEG],
  [C.SOL_TCP, C.TCP_QUICKACK],
  [C.SOL_TCP, C.TCP_WINDOW_CLAMP],
  [C.SOL_TCP, C.TCP_USER_TIMEOUT],
  [C.SOL_TCP, C.TCP_LINGER2],
  [C.SOL_TCP, C.TCP_DEFER_ACCEPT],
  [C.SOL_TCP, C.TCP_NOTSENT_LOWAT],
  [C.SOL_TCP, C.TCP_INQ],
] as const

const step = (random: Random, setup: SegmentSetup): TcpStep => {
  const on = oneIn(random, 6) ? random.below(4) : 0
  const what = random.below(40)
  if (what < 20) return brief(segment(random, setup))
  if (what < 26)
    return {
      op: 'send',
      on,
      length: pick(random, [1, 10, 1000, 1460, 5000, 20_000, 65_000]),
      flags: pick(random, SEND_FLAGS),
    }
  if (what < 29)
    return { op: 'receive', on, length: pick(random, [1, 10, 1000, 5000, 100_000]), flags: pick(random, RECEIVE_FLAGS) }
  if (what < 32)
    return {
      op: 'wait',
      time: pick(random, [1, 1000, 5000, 40_000, 250_000, 1_000_000, 70_000_000, random.below(10_000_000)]),
    }
  if (what < 34) return { op: 'timers', count: 1 + random.below(6) }
  switch (random.below(9)) {
    case 0:
    case 1:
      return { op: 'accept' }
    case 2:
      return { op: 'shutdown', on, how: random.below(3) }
    case 3:
      return { op: 'close', on, linger: oneIn(random, 3) }
    case 4: {
      const [level, name] = pick(random, OPTIONS)
      return { op: 'option', on, level, name, value: pick(random, [0, 1, 2, 100, 1000, 5000, 100_000, -1, 0x1_ffff]) }
    }
    case 5:
      return {
        op: 'icmp',
        port: 0,
        type: setup.ipv6 ? pick(random, [1, 2, 3, 4]) : pick(random, [3, 3, 4, 11, 12]),
        code: random.below(8) === 0 ? random.below(256) : random.below(5),
        mtu: pick(random, [0, 68, 552, 1280, 1400, 9000, random.below(65_536)]),
        seq: oneIn(random, 3) ? near(random) : 0,
      }
    case 6:
      return { op: 'connect', on, port: random.below(2) }
    case 7:
      return oneIn(random, 2) ? { op: 'listen', backlog: random.below(4) } : { op: 'full', full: oneIn(random, 2) }
    default:
      return { op: 'timers', count: 1 }
  }
}

/** Another value for one field of a segment; another step for other steps. */
const tweak = (random: Random, before: TcpStep, setup: SegmentSetup): TcpStep => {
  if (before.op !== 'segment') return step(random, setup)
  const other = segment(random, setup)
  const name = pick(random, Object.keys(other)) as keyof SegmentFields
  return { ...before, [name]: other[name] }
}

export const segments: Kind<SegmentSetup, TcpStep> = {
  name: 'segments',
  longest: 500,
  setup: drawSetup,
  step,
  tweak,
  run(played, seen) {
    const play = new SegmentPlay(played.setup, seen)
    for (const [i, input] of played.steps.entries()) {
      seen.step = i
      play.take(input)
    }
    play.end()
  },
}
