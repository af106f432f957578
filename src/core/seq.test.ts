import fc from 'fast-check'
import { expect, test } from 'vitest'
import { seqAdd, seqBetween, seqDiff, seqGeq, seqGt, seqLeq, seqLt, seqMax, seqMin, seqToUnsigned } from './seq.ts'

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
  expect(seqAdd(-1, 1)).toBe(0)
  expect(seqAdd(0x7fff_ffff, 1)).toBe(-0x8000_0000)
  expect(seqDiff(5, -5)).toBe(10)
  expect(seqLt(-1, 0)).toBe(true)
  expect(seqLt(0x7fff_ffff, -0x8000_0000)).toBe(true)
  expect(seqGt(0, -1)).toBe(true)
  expect(seqToUnsigned(-1)).toBe(0xffff_ffff)
})

test('a number is before or at itself, and not before', () => {
  for (const n of [0, -1, 0x7fff_ffff, -0x8000_0000]) {
    expect([seqLt(n, n), seqLeq(n, n), seqGt(n, n), seqGeq(n, n)]).toEqual([false, true, false, true])
  }
})

test('arithmetic agrees with whole numbers', () => {
  fc.assert(
    fc.property(seq, seq, fc.integer({ min: 0, max: 2 ** 32 - 1 }), (a, b, n) => {
      const d = distance(a, b)
      expect(BigInt(seqDiff(a, b))).toBe(d)
      expect(seqToUnsigned(seqAdd(a, n))).toBe(Number((BigInt(a) + BigInt(n) + MODULUS) % MODULUS))
      expect(seqLt(a, b)).toBe(d < 0n)
      expect(seqLeq(a, b)).toBe(d <= 0n)
      expect(seqGt(a, b)).toBe(d > 0n)
      expect(seqGeq(a, b)).toBe(d >= 0n)
      expect(seqMax(a, b)).toBe(d >= 0n ? a : b)
      expect(seqMin(a, b)).toBe(d <= 0n ? a : b)
    }),
  )
})

test('an interval holds its low end and not its high end', () => {
  for (const low of [0, -3, 0x7fff_ffff]) {
    const inside = [-1, 0, 1, 4, 5, 6].filter((n) => seqBetween(seqAdd(low, n), low, seqAdd(low, 5)))
    expect(inside).toEqual([0, 1, 4])
    expect(seqBetween(low, low, low)).toBe(false)
  }
})

test('an interval is tested by distance from its low end', () => {
  const length = fc.integer({ min: 0, max: 2 ** 31 - 1 })
  fc.assert(
    fc.property(seq, length, length, (low, size, offset) => {
      expect(seqBetween(seqAdd(low, offset), low, seqAdd(low, size))).toBe(offset < size)
      expect(seqBetween(seqAdd(low, -1 - (offset >>> 1)), low, seqAdd(low, size >>> 1))).toBe(false)
    }),
  )
})
