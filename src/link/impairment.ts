import { type Micros, ms } from '../core/clock.ts'

/** What a link does to frames in one direction, in the units in which people say it. Everything is off by default. */
export interface ImpairmentOptions {
  /** Time that every frame takes, milliseconds. */
  readonly delay?: number
  /** Variation of the delay, milliseconds: the most it differs either way, or the standard deviation if normal. */
  readonly jitter?: number
  /** How the delay varies; uniform unless given. */
  readonly jitterShape?: 'uniform' | 'normal'
  /** Bits per second, at least 1, on the wire: see `overhead`. */
  readonly rate?: number
  /**
   * Bytes that each frame takes on the wire beside its own, when there is a rate. On Ethernet 24 unless given: preamble
   * 8, frame check sequence 4, gap 12; frames below 60 bytes count as 60. On links of IP packets 0.
   */
  readonly overhead?: number
  /** Frames that may wait behind the one being transmitted, when there is a rate; 1000 unless given. */
  readonly queue?: number
  /** Bytes that may wait there, counted as in `ChannelStatistics.sentBytes`; no bound unless given. */
  readonly queueBytes?: number
  /** The share of frames that are lost, each independently of the others: 0 to 1. */
  readonly loss?: number
  /** Loss in bursts, beside `loss`. */
  readonly burst?: BurstOptions
  /** The share of frames that arrive twice. */
  readonly duplicate?: number
  /** The share of frames that are held back so that later ones overtake them. */
  readonly reorder?: number
  /** How long those are held back, milliseconds; 1 unless given. */
  readonly reorderDelay?: number
  /** The share of frames in which bits are flipped. */
  readonly corrupt?: number
  /** How many different bits are flipped in such a frame, 1 to 64; 1 unless given. */
  readonly corruptBits?: number
  /** IP packets of more bytes vanish without a word: a path-MTU black hole. No bound but the link's unless given. */
  readonly mtu?: number
}

/**
 * Loss in bursts: two states, good and bad, that change before each frame with the given probabilities (Gilbert 1960,
 * Elliott 1963). The bad state lasts 1 / `leave` frames on average and takes enter / (enter + leave) of all frames.
 */
export interface BurstOptions {
  /** Probability of going from good to bad. */
  readonly enter: number
  /** Probability of going from bad to good. */
  readonly leave: number
  /** Probability of loss in the good state; 0 unless given. */
  readonly lossGood?: number
  /** Probability of loss in the bad state; 1 unless given. */
  readonly lossBad?: number
}

/** What `ImpairmentOptions` say, complete and in the units of the code. Immutable. */
export interface Impairment {
  readonly delay: Micros
  readonly jitter: Micros
  readonly normal: boolean
  /** Bits per second; 0 when there is no bound. */
  readonly rate: number
  /** Bytes; -1: what the medium takes. */
  readonly overhead: number
  readonly queue: number
  readonly queueBytes: number
  readonly loss: number
  readonly burst: Required<BurstOptions> | null
  readonly duplicate: number
  readonly reorder: number
  readonly reorderDelay: Micros
  readonly corrupt: number
  readonly corruptBits: number
  readonly mtu: number
  /** Is there nothing that the channel has to do? */
  readonly none: boolean
  /** Must frames that stand for several segments be cut first, because segments fare differently? */
  readonly perSegment: boolean
  /** Do all frames fare alike: does each arrive `delay` after it has left, and nothing else happen to it? */
  readonly even: boolean
}

/** The most bits that `corruptBits` may ask for. */
export const MAX_CORRUPT_BITS = 64

const FIELDS: readonly (keyof ImpairmentOptions)[] = [
  'delay',
  'jitter',
  'jitterShape',
  'rate',
  'overhead',
  'queue',
  'queueBytes',
  'loss',
  'burst',
  'duplicate',
  'reorder',
  'reorderDelay',
  'corrupt',
  'corruptBits',
  'mtu',
]
const BURST_FIELDS: readonly (keyof BurstOptions)[] = ['enter', 'leave', 'lossGood', 'lossBad']

/**
 * Checks options and turns them into the units of the code. Takes what a scenario or a JSON file says.
 * @throws TypeError with one line that names the field and what it wants
 */
export const parseImpairment = (options: unknown): Impairment => {
  const o = fieldsOf<ImpairmentOptions>(options, 'impairment', FIELDS)
  const shape = o.jitterShape
  if (shape !== undefined && shape !== 'uniform' && shape !== 'normal') {
    throw wrong('impairment.jitterShape', "'uniform' or 'normal'", shape)
  }
  const jitter = ms(atLeast(o, 'jitter', 0, 0))
  const delay = ms(atLeast(o, 'delay', 0, 0))
  const rate = o.rate === undefined ? 0 : atLeast(o, 'rate', 1, 0)
  const loss = fraction(o, 'loss', 0)
  const duplicate = fraction(o, 'duplicate', 0)
  const reorder = fraction(o, 'reorder', 0)
  const corrupt = fraction(o, 'corrupt', 0)
  const burst = o.burst === undefined ? null : parseBurst(o.burst)
  const mtu = whole(o, 'mtu', 1, Number.POSITIVE_INFINITY)
  const alike = loss === 0 && burst === null && duplicate === 0 && reorder === 0 && corrupt === 0
  const perSegment = !alike || rate > 0 || mtu !== Number.POSITIVE_INFINITY
  return {
    delay,
    jitter,
    normal: shape === 'normal',
    rate,
    overhead: o.overhead === undefined ? -1 : whole(o, 'overhead', 0, 0),
    queue: whole(o, 'queue', 0, 1000),
    queueBytes: whole(o, 'queueBytes', 0, Number.POSITIVE_INFINITY),
    loss,
    burst,
    duplicate,
    reorder,
    reorderDelay: ms(positive(o, 'reorderDelay', 1)),
    corrupt,
    corruptBits: whole(o, 'corruptBits', 1, 1, MAX_CORRUPT_BITS),
    mtu,
    none: !perSegment && delay === 0 && jitter === 0,
    perSegment,
    even: alike && jitter === 0,
  }
}

const parseBurst = (options: unknown): Required<BurstOptions> => {
  const o = fieldsOf<BurstOptions>(options, 'impairment.burst', BURST_FIELDS)
  const probability = (field: keyof BurstOptions, fallback?: number): number =>
    fraction(o, field, fallback, 'impairment.burst')
  return {
    enter: probability('enter'),
    leave: probability('leave'),
    lossGood: probability('lossGood', 0),
    lossBad: probability('lossBad', 1),
  }
}

/** What somebody has given for options of type `T`, its fields not checked yet. */
type Fields<T> = { readonly [K in keyof T]?: unknown }

const fieldsOf = <T>(value: unknown, name: string, known: readonly (keyof T & string)[]): Fields<T> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(name, 'an object', value)
  for (const field of Object.keys(value)) {
    if (!(known as readonly string[]).includes(field))
      throw new TypeError(`${name}.${field} is unknown; there are ${known.join(', ')}`)
  }
  return value as Fields<T>
}

type Named = Readonly<Record<string, unknown>>

const fraction = (o: Named, field: string, fallback?: number, of = 'impairment'): number =>
  numberOf(o, field, fallback, (n) => n >= 0 && n <= 1, 'a fraction from 0 to 1', of)

const atLeast = (o: Named, field: string, least: number, fallback: number): number =>
  numberOf(o, field, fallback, (n) => n >= least && n < Number.POSITIVE_INFINITY, `a number from ${least} on`)

const positive = (o: Named, field: string, fallback: number): number =>
  numberOf(o, field, fallback, (n) => n > 0 && n < Number.POSITIVE_INFINITY, 'a number above 0')

const whole = (o: Named, field: string, least: number, fallback: number, most = Number.MAX_SAFE_INTEGER): number =>
  numberOf(
    o,
    field,
    fallback,
    (n) => Number.isInteger(n) && n >= least && n <= most,
    most === Number.MAX_SAFE_INTEGER ? `a whole number from ${least} on` : `a whole number from ${least} to ${most}`,
  )

const numberOf = (
  o: Named,
  field: string,
  fallback: number | undefined,
  fits: (n: number) => boolean,
  wanted: string,
  of = 'impairment',
): number => {
  const value = o[field]
  if (value === undefined && fallback !== undefined) return fallback
  if (typeof value !== 'number' || !fits(value)) throw wrong(`${of}.${field}`, wanted, value)
  return value
}

/** One line, however odd the value. */
const wrong = (field: string, wanted: string, value: unknown): TypeError => {
  const shown =
    typeof value === 'string' ? JSON.stringify(value) : typeof value === 'object' ? kindOf(value) : String(value)
  return new TypeError(`${field} must be ${wanted}, not ${shown.length > 40 ? `${shown.slice(0, 40)}…` : shown}`)
}

const kindOf = (value: object | null): string =>
  value === null ? 'null' : Array.isArray(value) ? 'an array' : 'an object'
