/**
 * MD5 (RFC 1321), for TCP's MD5 signatures (RFC 2385) and nothing else: it is broken as a hash. Bytes are taken piece
 * by piece, from wherever they lie.
 */

/** Shifts of the four rounds. */
const SHIFTS = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21] as const
/** floor(2^32 * abs(sin(i + 1))). */
const SINES = Int32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0)
const BLOCK = 64

/** One message after another, each from `start` on. */
export class Md5 {
  private readonly state = new Int32Array(4)
  private readonly words = new Int32Array(16)
  private readonly block = new Uint8Array(BLOCK)
  private length = 0

  /** Starts a message. */
  start(): this {
    this.state[0] = 0x67452301
    this.state[1] = 0xefcdab89 | 0
    this.state[2] = 0x98badcfe | 0
    this.state[3] = 0x10325476
    this.length = 0
    return this
  }

  /** Takes the bytes from `start` to `end`. */
  update(bytes: Uint8Array, start = 0, end = bytes.length): this {
    for (let at = start; at < end; at++) this.byte(bytes[at]!)
    return this
  }

  /** Takes one byte. */
  byte(value: number): this {
    this.block[this.length++ % BLOCK] = value
    if (this.length % BLOCK === 0) this.compress()
    return this
  }

  /** Takes a word in network order. */
  word(value: number): this {
    return this.byte(value >>> 24)
      .byte((value >>> 16) & 0xff)
      .byte((value >>> 8) & 0xff)
      .byte(value & 0xff)
  }

  /** Ends the message and writes its 16 bytes to `into` at `at`. */
  end(into: Uint8Array, at = 0): void {
    const bits = this.length * 8
    this.byte(0x80)
    while (this.length % BLOCK !== BLOCK - 8) this.byte(0)
    for (let i = 0; i < 8; i++) this.byte(Math.floor(bits / 2 ** (8 * i)) & 0xff)
    for (let i = 0; i < 16; i++) into[at + i] = (this.state[i >> 2]! >>> (8 * (i & 3))) & 0xff
  }

  private compress(): void {
    const { state, words, block } = this
    for (let i = 0; i < 16; i++) {
      const at = i * 4
      words[i] = block[at]! | (block[at + 1]! << 8) | (block[at + 2]! << 16) | (block[at + 3]! << 24)
    }
    let a = state[0]!
    let b = state[1]!
    let c = state[2]!
    let d = state[3]!
    for (let i = 0; i < 64; i++) {
      const round = i >> 4
      let mixed: number
      let word: number
      if (round === 0) {
        mixed = (b & c) | (~b & d)
        word = i
      } else if (round === 1) {
        mixed = (d & b) | (~d & c)
        word = (5 * i + 1) & 15
      } else if (round === 2) {
        mixed = b ^ c ^ d
        word = (3 * i + 5) & 15
      } else {
        mixed = c ^ (b | ~d)
        word = (7 * i) & 15
      }
      const sum = (a + mixed + SINES[i]! + words[word]!) | 0
      const shift = SHIFTS[round * 4 + (i & 3)]!
      a = d
      d = c
      c = b
      b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0
    }
    state[0] = (state[0]! + a) | 0
    state[1] = (state[1]! + b) | 0
    state[2] = (state[2]! + c) | 0
    state[3] = (state[3]! + d) | 0
  }
}
