import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SipHasher, sipHash } from './siphash.ts'

const MASK = (1n << 64n) - 1n
const rotate = (x: bigint, n: bigint): bigint => ((x << n) | (x >> (64n - n))) & MASK

/** SipHash-2-4 of bytes, written down from the paper with 64-bit numbers. */
const reference = (key: Uint8Array, message: Uint8Array): bigint => {
  const word = (bytes: Uint8Array, at: number): bigint => {
    let value = 0n
    for (let i = 0; i < 8; i++) value |= BigInt(bytes[at + i] ?? 0) << BigInt(8 * i)
    return value
  }
  const k0 = word(key, 0)
  const k1 = word(key, 8)
  let v0 = k0 ^ 0x736f6d6570736575n
  let v1 = k1 ^ 0x646f72616e646f6dn
  let v2 = k0 ^ 0x6c7967656e657261n
  let v3 = k1 ^ 0x7465646279746573n
  const round = (): void => {
    v0 = (v0 + v1) & MASK
    v1 = rotate(v1, 13n) ^ v0
    v0 = rotate(v0, 32n)
    v2 = (v2 + v3) & MASK
    v3 = rotate(v3, 16n) ^ v2
    v0 = (v0 + v3) & MASK
    v3 = rotate(v3, 21n) ^ v0
    v2 = (v2 + v1) & MASK
    v1 = rotate(v1, 17n) ^ v2
    v2 = rotate(v2, 32n)
  }
  for (let at = 0; at <= message.length; at += 8) {
    const last = at + 8 > message.length
    const m = word(message, at) | (last ? BigInt(message.length & 0xff) << 56n : 0n)
    v3 ^= m
    round()
    round()
    v0 ^= m
  }
  v2 ^= 0xffn
  for (let i = 0; i < 4; i++) round()
  return v0 ^ v1 ^ v2 ^ v3
}

const upTo = (n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => i)
const KEY = upTo(16)

/** Bytes as the words that the hasher takes. */
const words = (bytes: Uint8Array): number[] =>
  Array.from({ length: bytes.length / 4 }, (_, i) => new DataView(bytes.buffer).getInt32(i * 4, true))

test('the reference agrees with the test vector of the paper (appendix A)', () => {
  expect(reference(KEY, upTo(15))).toBe(0xa129ca6149be45e5n)
  expect(reference(KEY, upTo(0))).toBe(0x726fdb47dd0e0e31n)
})

test('the low 32 bits for every length that is a multiple of four', () => {
  const [k0, k1, k2, k3] = words(KEY)
  for (let length = 0; length <= 1040; length += 4) {
    const message = upTo(length)
    const expected = Number(BigInt.asIntN(32, reference(KEY, message)))
    expect(sipHash(k0!, k1!, k2!, k3!, words(message)), `length ${length}`).toBe(expected)
    const hasher = new SipHasher(k0!, k1!, k2!, k3!).start()
    for (const w of words(message)) hasher.word(w)
    hasher.end()
    expect(hasher.high, `length ${length}`).toBe(Number(BigInt.asIntN(32, reference(KEY, message) >> 32n)))
  }
})

test('any key and message, and a hasher that is used again', () => {
  const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
  fc.assert(
    fc.property(fc.tuple(word, word, word, word), fc.array(word, { maxLength: 12 }), (key, message) => {
      const bytes = (list: readonly number[]): Uint8Array => new Uint8Array(Int32Array.from(list).buffer)
      const expected = Number(BigInt.asIntN(32, reference(bytes(key), bytes(message))))
      const hasher = new SipHasher(...key)
      for (let i = 0; i < 2; i++) {
        hasher.start()
        for (const w of message) hasher.word(w)
        expect(hasher.end()).toBe(expected)
      }
    }),
  )
})

test('a message that begins as another did goes on from there', () => {
  const [k0, k1, k2, k3] = words(KEY)
  const message = words(upTo(64))
  for (let common = 0; common <= message.length; common++) {
    const begun = new SipHasher(k0!, k1!, k2!, k3!).start()
    for (const w of message.slice(0, common)) begun.word(w)
    const hasher = new SipHasher(0, 0, 0, 0)
    for (let i = 0; i < 2; i++) {
      hasher.resume(begun)
      for (const w of message.slice(common)) hasher.word(w)
      expect(hasher.end(), `${common} words`).toBe(sipHash(k0!, k1!, k2!, k3!, message))
    }
  }
})
