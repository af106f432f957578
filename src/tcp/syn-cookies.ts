import { MINUTE } from '../core/clock.ts'
import type { Loop } from '../core/loop.ts'
import type { Random } from '../core/random.ts'
import { SipHasher } from '../core/siphash.ts'
import type { IpHeader } from '../wire/ip.ts'
import type { Segment } from './segment.ts'

/**
 * SYN cookies (RFC 4987 section 3.6), as Linux makes them: when the queue of half-open connections is full, the
 * SYN+ACK's sequence number says what would have been kept, and the ACK brings it back.
 *
 *     cookie = hash1 + peer's sequence number + (minutes << 24) + (hash2(minutes) + index of the MSS) mod 2^24
 *
 * What the SYN offered beside its MSS returns in the echo of our time stamp, or not at all.
 */

const MINUTES_BITS = 24
const DATA_MASK = 0xff_ffff
/** A cookie is taken for two minutes, counted by the clock's minutes. */
const OLDEST = 2
/** Of these the greatest is remembered that the peer's MSS reaches. */
const MSS_IPV4 = [536, 1300, 1440, 1460] as const
const MSS_IPV6 = [1220, 1420, 1440, 8940] as const
/** The low bits of the time stamp: a window scale, 15 for none, SACK, ECN. */
const STAMP_BITS = 6
const NO_SCALE = 15
const STAMP_SACK = 16
const STAMP_ECN = 32

/** What the time stamp of a SYN+ACK with a cookie brings back of the SYN. */
export interface CookieOptions {
  /** -1 for none. */
  readonly windowScale: number
  readonly sack: boolean
  readonly ecn: boolean
}

/** The cookies of one host. */
export class SynCookies {
  private readonly loop: Loop
  private readonly inner: SipHasher
  private readonly outer: SipHasher

  constructor(loop: Loop, random: Random) {
    this.loop = loop
    this.outer = new SipHasher(random.next32(), random.next32(), random.next32(), random.next32())
    this.inner = new SipHasher(random.next32(), random.next32(), random.next32(), random.next32())
  }

  /** The sequence number of the answer to a SYN. */
  make(segment: Segment, header: IpHeader): number {
    const minutes = this.minutes
    const table = tableOf(header)
    let index = table.length - 1
    while (index > 0 && segment.mss < table[index]!) index--
    const data = (hash(this.inner, segment, header, minutes) + index) & DATA_MASK
    return (hash(this.outer, segment, header, 0) + segment.seq + (minutes << MINUTES_BITS) + data) | 0
  }

  /** The MSS that the ACK of a cookie brings back; 0 when it is none of ours, or too old. */
  check(segment: Segment, header: IpHeader): number {
    const minutes = this.minutes
    const seq = (segment.seq - 1) | 0
    const cookie = (segment.ack - 1 - hash(this.outer, segment, header, 0) - seq) | 0
    const age = (minutes - (cookie >>> MINUTES_BITS)) & 0xff
    if (age >= OLDEST) return 0
    const index = (cookie - hash(this.inner, segment, header, minutes - age)) & DATA_MASK
    return tableOf(header)[index] ?? 0
  }

  private get minutes(): number {
    return Math.floor(this.loop.now / MINUTE)
  }
}

const tableOf = (header: IpHeader): readonly number[] => (header.version === 4 ? MSS_IPV4 : MSS_IPV6)

const hash = (hasher: SipHasher, segment: Segment, header: IpHeader, minutes: number): number =>
  hasher
    .start()
    .word(header.source0)
    .word(header.source1)
    .word(header.source2)
    .word(header.source3)
    .word(header.destination0)
    .word(header.destination1)
    .word(header.destination2)
    .word(header.destination3)
    .word((segment.sourcePort << 16) | segment.destinationPort)
    .word(minutes)
    .end()

/** The time stamp, without its offset, that is not later than `nowMs` and says what the SYN offered. */
export const encodeStamp = (nowMs: number, { windowScale, sack, ecn }: CookieOptions): number => {
  const options = (windowScale < 0 ? NO_SCALE : windowScale) | (sack ? STAMP_SACK : 0) | (ecn ? STAMP_ECN : 0)
  const stamp = ((nowMs >>> STAMP_BITS) << STAMP_BITS) | options
  return ((stamp - nowMs) | 0) > 0 ? (stamp - (1 << STAMP_BITS)) | 0 : stamp
}

/** What an echoed time stamp, less its offset, says. */
export const decodeStamp = (stamp: number): CookieOptions => {
  const scale = stamp & NO_SCALE
  return {
    windowScale: scale === NO_SCALE ? -1 : scale,
    sack: (stamp & STAMP_SACK) !== 0,
    ecn: (stamp & STAMP_ECN) !== 0,
  }
}
