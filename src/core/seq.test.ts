import fc from 'fast-check'
import { expect, test } from 'vitest'
import { seqDiff, seqGeq, seqGt, seqLeq, seqLt } from './seq.ts'

const MODULUS = 1n << 32n
const HALF = 1n << 31n

/** The signed distance from `b` to `a`, by whole numbers without wrap. */
const distance = (a: number, b: number): bigint => {
  const d = (((BigInt(a) - BigInt(b)) % MODULUS) + MODULUS) % MODULUS
  return d >= HALF ? d - MODULUS : d
}

/** Numbers as they occur: anywhere, and crowded around 0, 2^31 and 2^32. */
const seq = fc.oneof(
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.constantFrom(0, 0x7fff_ffff, -0x8000_0000).chain((n) => fc.integer({ min: -9, max: 9 }).map((d) => (n + d) | 0)),
)

test('numbers wrap at 2^32', () => {
  expect(seqDiff(5, -5)).toBe(10)
  expect(seqLt(-1, 0)).toBe(true)
  expect(seqLt(0x7fff_ffff, -0x8000_0000)).toBe(true)
  expect(seqGt(0, -1)).toBe(true)
})

test('a number is before or at itself, and not before', () => {
  for (const n of [0, -1, 0x7fff_ffff, -0x8000_0000]) {
    expect([seqLt(n, n), seqLeq(n, n), seqGt(n, n), seqGeq(n, n)]).toEqual([false, true, false, true])
  }
})

test('differences and comparisons agree with whole numbers', () => {
  fc.assert(
    fc.property(seq, seq, (a, b) => {
      const d = distance(a, b)
      expect(BigInt(seqDiff(a, b))).toBe(d)
      expect(seqLt(a, b)).toBe(d < 0n)
      expect(seqLeq(a, b)).toBe(d <= 0n)
      expect(seqGt(a, b)).toBe(d > 0n)
      expect(seqGeq(a, b)).toBe(d >= 0n)
    }),
  )
})
