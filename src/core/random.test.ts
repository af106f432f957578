import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CryptoRandom, type Random, SeededRandom } from './random.ts'

const take = (random: Random, count: number): number[] => Array.from({ length: count }, () => random.next32())

/** sfc32 with unsigned whole numbers. */
const reference = (seed: bigint, count: number): number[] => {
  const M = 0xffff_ffffn
  let a = seed & M
  let b = (seed >> 32n) & M
  let c = 0x9e3779b9n
  let counter = 1n
  const next = (): bigint => {
    const sum = (a + b + counter) & M
    counter = (counter + 1n) & M
    a = b ^ (b >> 9n)
    b = (c + (c << 3n)) & M
    c = ((((c << 21n) | (c >> 11n)) & M) + sum) & M
    return sum
  }
  for (let i = 0; i < 16; i++) next()
  return Array.from({ length: count }, () => Number(BigInt.asIntN(32, next())))
}

test('the first numbers of a seed never change: recorded runs depend on them', () => {
  expect(take(new SeededRandom(1), 4)).toEqual([1950625580, 354034397, 661219729, -1492591917])
  expect(take(new SeededRandom(2 ** 53 - 1), 2)).toEqual([125566104, 1993914836])
  expect(take(new SeededRandom(1).fork('link'), 2)).toEqual([913373947, -954079054])
})

test('numbers are those of sfc32', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (seed) => {
      expect(take(new SeededRandom(seed), 20)).toEqual(reference(BigInt(seed), 20))
    }),
  )
})

test('a fork depends on seed and label, not on what has been drawn', () => {
  const random = new SeededRandom(7)
  const before = take(random.fork('a'), 5)
  take(random, 100)
  expect(take(random.fork('a'), 5)).toEqual(before)
  expect(take(random.fork('b'), 5)).not.toEqual(before)
  expect(take(new SeededRandom(8).fork('a'), 5)).not.toEqual(before)
  expect(take(random.fork(''), 5)).not.toEqual(before)
})

test('seeds that differ only above 32 bits differ', () => {
  expect(take(new SeededRandom(5), 3)).not.toEqual(take(new SeededRandom(5 + 2 ** 32), 3))
})

/** The statistic of Pearson's test for `counts` that should all be equal. */
const chiSquare = (counts: readonly number[]): number => {
  const mean = counts.reduce((a, b) => a + b) / counts.length
  return counts.reduce((sum, n) => sum + (n - mean) ** 2 / mean, 0)
}

test.each([
  ['seeded', () => new SeededRandom(42)],
  ['forked', () => new SeededRandom(42).fork('host a')],
  ['crypto', () => new CryptoRandom().fork('x')],
] as const)('%s: numbers are spread evenly', (_name, make) => {
  const random = make()
  const bytes = new Array(4).fill(0).map(() => new Array(256).fill(0))
  const tens = new Array(10).fill(0)
  let sum = 0
  for (let i = 0; i < 50_000; i++) {
    const n = random.next32()
    for (let k = 0; k < 4; k++) bytes[k]![(n >>> (8 * k)) & 0xff]++
    tens[random.below(10)]++
    sum += random.float()
  }
  // 255 and 9 degrees of freedom: exceeded by chance less than once in 10^9 runs.
  for (const counts of bytes) expect(chiSquare(counts)).toBeLessThan(410)
  expect(chiSquare(tens)).toBeLessThan(65)
  expect(sum / 50_000).toBeCloseTo(0.5, 1)
})

test('below(n) stays below n and reaches 0 and n - 1', () => {
  const random = new SeededRandom(3)
  for (const n of [1, 2, 3, 1000, 2 ** 31, 2 ** 32]) {
    for (let i = 0; i < 1000; i++) {
      const drawn = random.below(n)
      expect(drawn >= 0 && drawn < n && Number.isInteger(drawn)).toBe(true)
    }
  }
  expect(new Set(Array.from({ length: 200 }, () => random.below(3)))).toEqual(new Set([0, 1, 2]))
  const extreme = new (class extends SeededRandom {
    override next32(): number {
      return -1
    }
  })(0)
  for (const n of [1, 3, 10, 2 ** 32 - 1, 2 ** 32]) expect(extreme.below(n)).toBe(n - 1)
  expect(extreme.float()).toBeLessThan(1)
})
