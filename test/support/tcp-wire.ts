import type { VirtualClock } from '../../src/core/clock.ts'
import type { Frame } from '../../src/core/frame.ts'
import type { FrameTap, LinkFeatures, LinkPort, LinkUser } from '../../src/link/port.ts'
import { TcpFlag } from '../../src/wire/tcp.ts'

/** What lies between a TCP and the test that plays its peer: segments in a test's words, and the end of the link. */

/** A segment as a test writes it. */
export interface SegmentSpec {
  /** Of S F R P A U E W: SYN FIN RST PSH ACK URG ECE CWR. */
  flags: string
  seq?: number
  ack?: number
  /** The header's field, not scaled. */
  window?: number
  /** Data, or how many bytes of it. */
  payload?: string | number
  urgent?: number
  mss?: number
  windowScale?: number
  sackPermitted?: boolean
  /** SACK blocks, relative. */
  sack?: [number, number][]
  timestamps?: { value?: number; echo?: number }
  /** Fast open's cookie as hexadecimal digits, '' to ask for one; behind a `~` in the experimental form. */
  fastOpen?: string
  /** ECN field of the IP header. */
  ecn?: number
  /** Spoils the checksum. */
  badChecksum?: boolean
}

/** A segment that was sent, in the same terms. */
export interface SentSegment {
  flags: string
  seq: number
  ack: number
  window: number
  payload: string
  length: number
  urgent: number
  mss: number
  windowScale: number
  sackPermitted: boolean
  sack: [number, number][]
  timestamps?: { value: number; echo: number }
  fastOpen?: string | undefined
  ecn: number
  /** When it left: microseconds since the test began. */
  at: number
}

const FLAGS: [string, number][] = [
  ['S', TcpFlag.Syn],
  ['F', TcpFlag.Fin],
  ['R', TcpFlag.Rst],
  ['P', TcpFlag.Psh],
  ['A', TcpFlag.Ack],
  ['U', TcpFlag.Urg],
  ['E', TcpFlag.Ece],
  ['W', TcpFlag.Cwr],
]

/** The bits of flags in letters. */
export const flagsOf = (text: string): number =>
  FLAGS.reduce((bits, [name, bit]) => (text.includes(name) ? bits | bit : bits), 0)

/** Flags in letters. */
export const flagsText = (bits: number): string => FLAGS.map(([name, bit]) => ((bits & bit) !== 0 ? name : '')).join('')

/** The end of the link that the test holds. */
export class TestPort implements LinkPort {
  readonly features: LinkFeatures
  readonly carrier = true
  user: LinkUser | null = null
  readonly taps: FrameTap[] = []
  readonly sent: { frame: Frame; at: number }[] = []
  private readonly clock: VirtualClock

  constructor(features: LinkFeatures, clock: VirtualClock) {
    this.features = features
    this.clock = clock
  }

  send(frame: Frame): void {
    this.sent.push({ frame, at: this.clock.now() })
  }
}
