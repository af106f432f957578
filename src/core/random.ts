import { sipHash } from './siphash.ts'

/** A source of chance. Every host and link is given one; nothing else in the stack draws lots. */
export interface Random {
  /** The next 32 bits, as a signed integer. */
  next32(): number
  /** A number in [0, 1), with 32 bits of resolution. */
  float(): number
  /** A whole number in [0, n); `n` from 1 to 2^32. */
  below(n: number): number
  /** A source of its own for the part of the system called `label`: what one part draws does not move another's. */
  fork(label: string): Random
}

/** What is common to the sources: all rests on `next32`. */
abstract class RandomBase implements Random {
  abstract next32(): number
  abstract fork(label: string): Random

  float(): number {
    return (this.next32() >>> 0) / 0x1_0000_0000
  }

  below(n: number): number {
    return Math.floor(this.float() * n)
  }
}

/** sfc32 (Chris Doty-Humphrey's Small Fast Counting generator): the same seed gives the same numbers everywhere. */
export class SeededRandom extends RandomBase {
  readonly #seed: number
  #a: number
  #b: number
  #c: number
  #counter = 1

  /** @param seed any whole number from 0 to 2^53 - 1 */
  constructor(seed: number) {
    super()
    this.#seed = seed
    this.#a = seed | 0
    this.#b = Math.floor(seed / 0x1_0000_0000) | 0
    this.#c = 0x9e3779b9 | 0
    for (let i = 0; i < 16; i++) this.next32()
  }

  next32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    this.#c |= 0
    return sum
  }

  fork(label: string): Random {
    const words = new Int32Array(label.length)
    for (let i = 0; i < label.length; i++) words[i] = label.charCodeAt(i)
    const low = this.#seed | 0
    const high = Math.floor(this.#seed / 0x1_0000_0000) | 0
    const a = sipHash(low, high, 1, 0, words)
    const b = sipHash(low, high, 2, 0, words)
    return new SeededRandom((a >>> 0) + (b & 0x1f_ffff) * 0x1_0000_0000)
  }
}

/** What live hosts draw from: the platform's cryptographic generator, filled a page at a time. */
export class CryptoRandom extends RandomBase {
  readonly #pool = new Int32Array(256)
  #next = this.#pool.length

  next32(): number {
    if (this.#next === this.#pool.length) {
      globalThis.crypto.getRandomValues(this.#pool)
      this.#next = 0
    }
    return this.#pool[this.#next++]!
  }

  fork(_label: string): Random {
    return new CryptoRandom()
  }
}
