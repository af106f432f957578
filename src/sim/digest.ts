import type { Frame } from '../core/frame.ts'
import { SipHasher } from '../core/siphash.ts'
import type { World } from '../core/world.ts'
import type { FrameTap } from '../link/port.ts'
import type { LinkEnd, Network, NetworkLink } from './network.ts'

/**
 * A fingerprint of everything that is sent on the links of a network: every byte, when, and on which link. Two runs
 * with the same digest have had the same bytes on the wire at the same times.
 */
export class NetworkDigest {
  /** Frames so far. */
  frames = 0
  private readonly world: World
  /** Two hashes with different keys, chained frame by frame: 64 bits. */
  private readonly hashers = [new SipHasher(1, 2, 3, 4), new SipHasher(5, 6, 7, 8)] as const
  private high = 0
  private low = 0
  private ends = 0

  constructor(network: Network) {
    this.world = network.world
    network.observe({ linkAdded: (link) => this.add(link) })
  }

  /** 16 hexadecimal digits. */
  get value(): string {
    return [this.high, this.low].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
  }

  private add(link: NetworkLink<LinkEnd, LinkEnd>): void {
    link.cable.a.taps.push(new End(this, this.ends++))
    link.cable.b.taps.push(new End(this, this.ends++))
  }

  /** Takes in a frame that is sent at one end of a link. */
  take(frame: Frame, end: number): void {
    this.frames++
    const { loop, memory } = this.world
    const { u8 } = memory
    const [first, second] = this.hashers
    for (const hasher of this.hashers) {
      hasher.start().word(this.high).word(this.low).word(end)
      // Time in quarters of a microsecond: the rate of a link gives fractions.
      hasher.word(Math.floor(loop.now / 2 ** 30)).word(Math.floor((loop.now % 2 ** 30) * 4))
      hasher
        .word(frame.end - frame.start)
        .word(frame.checksum)
        .word(frame.segmentSize)
      let at = frame.start
      for (; at + 4 <= frame.end; at += 4) {
        hasher.word(u8[at]! | (u8[at + 1]! << 8) | (u8[at + 2]! << 16) | (u8[at + 3]! << 24))
      }
      let rest = 0
      for (; at < frame.end; at++) rest = (rest << 8) | u8[at]!
      hasher.word(rest)
    }
    this.high = first.end()
    this.low = second.end()
  }
}

/** Sees what is sent at one end. */
class End implements FrameTap {
  private readonly digest: NetworkDigest
  private readonly index: number

  constructor(digest: NetworkDigest, index: number) {
    this.digest = digest
    this.index = index
  }

  frame(frame: Frame, outgoing: boolean): void {
    if (outgoing) this.digest.take(frame, this.index)
  }
}
