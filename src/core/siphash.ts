/**
 * SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012) of a few 32-bit words, of which
 * `end` gives the low 32 bits. It is the keyed hash behind initial sequence numbers (RFC 6528), ports (RFC 6056),
 * identifications (RFC 7739), cookies (RFC 7413, 4987) and hash tables that strangers can fill.
 *
 * The 64-bit state lives in pairs of 32-bit halves (suffix `h` and `l`).
 */
export class SipHasher {
  readonly #k0: number
  readonly #k1: number
  readonly #k2: number
  readonly #k3: number
  #v0h = 0
  #v0l = 0
  #v1h = 0
  #v1l = 0
  #v2h = 0
  #v2l = 0
  #v3h = 0
  #v3l = 0
  #low = 0
  #words = 0

  /** The key: 128 bits as four words, the low half of each 64-bit key word first. */
  constructor(k0: number, k1: number, k2: number, k3: number) {
    this.#k0 = k0
    this.#k1 = k1
    this.#k2 = k2
    this.#k3 = k3
  }

  /** Starts a message. */
  start(): this {
    this.#v0h = this.#k1 ^ 0x736f6d65
    this.#v0l = this.#k0 ^ 0x70736575
    this.#v1h = this.#k3 ^ 0x646f7261
    this.#v1l = this.#k2 ^ 0x6e646f6d
    this.#v2h = this.#k1 ^ 0x6c796765
    this.#v2l = this.#k0 ^ 0x6e657261
    this.#v3h = this.#k3 ^ 0x74656462
    this.#v3l = this.#k2 ^ 0x79746573
    this.#words = 0
    return this
  }

  /** Takes one 32-bit word of the message. */
  word(w: number): this {
    if ((this.#words++ & 1) === 0) this.#low = w
    else this.#compress(w, this.#low)
    return this
  }

  /** Ends the message: the low 32 bits of the hash, as a signed integer. */
  end(): number {
    const length = this.#words * 4
    // The last block carries the message's length in its top byte, over the odd word if there is one.
    this.#compress((length & 0xff) << 24, (this.#words & 1) === 1 ? this.#low : 0)
    this.#v2l ^= 0xff
    this.#rounds(4)
    return this.#v0l ^ this.#v1l ^ this.#v2l ^ this.#v3l
  }

  /** After `end`: the hash's high 32 bits, as a signed integer. */
  get high(): number {
    return this.#v0h ^ this.#v1h ^ this.#v2h ^ this.#v3h
  }

  /** Takes over where `other` stands in its message: words that many messages begin with need not be taken anew. */
  resume(other: SipHasher): this {
    this.#v0h = other.#v0h
    this.#v0l = other.#v0l
    this.#v1h = other.#v1h
    this.#v1l = other.#v1l
    this.#v2h = other.#v2h
    this.#v2l = other.#v2l
    this.#v3h = other.#v3h
    this.#v3l = other.#v3l
    this.#low = other.#low
    this.#words = other.#words
    return this
  }

  #compress(high: number, low: number): void {
    this.#v3h ^= high
    this.#v3l ^= low
    this.#rounds(2)
    this.#v0h ^= high
    this.#v0l ^= low
  }

  #rounds(count: number): void {
    let v0h = this.#v0h
    let v0l = this.#v0l
    let v1h = this.#v1h
    let v1l = this.#v1l
    let v2h = this.#v2h
    let v2l = this.#v2l
    let v3h = this.#v3h
    let v3l = this.#v3l
    for (let i = 0; i < count; i++) {
      let l = 0
      let h = 0
      // v0 += v1; v1 = rotl(v1, 13) ^ v0; v0 = rotl(v0, 32). A sum of
      // low halves carries when it is less than one of them.
      l = (v0l + v1l) | 0
      v0h = (v0h + v1h + (l >>> 0 < v1l >>> 0 ? 1 : 0)) | 0
      v0l = l
      h = ((v1h << 13) | (v1l >>> 19)) ^ v0h
      v1l = ((v1l << 13) | (v1h >>> 19)) ^ v0l
      v1h = h
      h = v0h
      v0h = v0l
      v0l = h
      // v2 += v3; v3 = rotl(v3, 16) ^ v2
      l = (v2l + v3l) | 0
      v2h = (v2h + v3h + (l >>> 0 < v3l >>> 0 ? 1 : 0)) | 0
      v2l = l
      h = ((v3h << 16) | (v3l >>> 16)) ^ v2h
      v3l = ((v3l << 16) | (v3h >>> 16)) ^ v2l
      v3h = h
      // v0 += v3; v3 = rotl(v3, 21) ^ v0
      l = (v0l + v3l) | 0
      v0h = (v0h + v3h + (l >>> 0 < v3l >>> 0 ? 1 : 0)) | 0
      v0l = l
      h = ((v3h << 21) | (v3l >>> 11)) ^ v0h
      v3l = ((v3l << 21) | (v3h >>> 11)) ^ v0l
      v3h = h
      // v2 += v1; v1 = rotl(v1, 17) ^ v2; v2 = rotl(v2, 32)
      l = (v2l + v1l) | 0
      v2h = (v2h + v1h + (l >>> 0 < v1l >>> 0 ? 1 : 0)) | 0
      v2l = l
      h = ((v1h << 17) | (v1l >>> 15)) ^ v2h
      v1l = ((v1l << 17) | (v1h >>> 15)) ^ v2l
      v1h = h
      h = v2h
      v2h = v2l
      v2l = h
    }
    this.#v0h = v0h
    this.#v0l = v0l
    this.#v1h = v1h
    this.#v1l = v1l
    this.#v2h = v2h
    this.#v2l = v2l
    this.#v3h = v3h
    this.#v3l = v3l
  }
}

/** One hash of an array of words under a 128-bit key. */
export const sipHash = (k0: number, k1: number, k2: number, k3: number, words: ArrayLike<number>): number => {
  const hasher = new SipHasher(k0, k1, k2, k3).start()
  for (let i = 0; i < words.length; i++) hasher.word(words[i]!)
  return hasher.end()
}
