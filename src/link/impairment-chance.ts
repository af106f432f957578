import type { Frame } from '../core/frame.ts'
import type { Memory } from '../core/memory.ts'
import type { Random } from '../core/random.ts'
import { type Impairment, MAX_CORRUPT_BITS } from './impairment.ts'

/** What chance does to the frames of one channel, as its impairment says. Draws only when there is a question. */
export class ImpairmentChance {
  private readonly random: Random
  /** Is the burst model in its bad state? */
  private bad = false
  private readonly bits = new Int32Array(MAX_CORRUPT_BITS)

  constructor(random: Random) {
    this.random = random
  }

  /** True with probability `p`. */
  happens(p: number): boolean {
    return p > 0 && (p >= 1 || this.random.float() < p)
  }

  /** Is the next frame lost: alone, or in a burst (Gilbert and Elliott's model)? */
  loses({ loss, burst }: Impairment): boolean {
    let lost = this.happens(loss)
    if (burst !== null) {
      if (this.happens(this.bad ? burst.leave : burst.enter)) this.bad = !this.bad
      if (this.happens(this.bad ? burst.lossBad : burst.lossGood)) lost = true
    }
    return lost
  }

  /** The burst model begins anew in its good state. */
  endBurst(): void {
    this.bad = false
  }

  /** From -1 to 1, or of standard deviation 1. The normal one is a sum of twelve, which every machine adds up alike. */
  deviation(normal: boolean): number {
    if (!normal) return this.random.float() * 2 - 1
    let sum = -6
    for (let i = 0; i < 12; i++) sum += this.random.float()
    return sum
  }

  /** Flips `wanted` bits anywhere in the frame, or all when it has no more. */
  flipBits(memory: Memory, frame: Frame, wanted: number): void {
    const { bits, random } = this
    const { u8 } = memory
    const most = (frame.end - frame.start) * 8
    const count = Math.min(wanted, most)
    for (let i = 0; i < count; i++) {
      let bit = random.below(most)
      for (let j = 0; j < i; j++) {
        if (bits[j] !== bit) continue
        // Flipped already: take the next one, and look through all again.
        bit = (bit + 1) % most
        j = -1
      }
      bits[i] = bit
      u8[frame.start + (bit >>> 3)]! ^= 0x80 >>> (bit & 7)
    }
  }
}
