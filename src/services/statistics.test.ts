import { expect, test } from 'vitest'
import { summarize } from './statistics.ts'

test('mean and standard deviation of a sample', () => {
  expect(summarize([2, 4, 4, 4, 5, 5, 7, 9])).toEqual({
    count: 8,
    mean: 5,
    deviation: Math.sqrt(32 / 7),
    least: 2,
    most: 9,
  })
})

test('one measurement has no spread', () => {
  expect(summarize([3])).toEqual({ count: 1, mean: 3, deviation: 0, least: 3, most: 3 })
})

test('a small spread of large numbers is not lost', () => {
  expect(summarize([1e9, 1e9 + 1, 1e9 + 2]).deviation).toBe(1)
})

test('nothing has no mean', () => {
  expect(() => summarize([])).toThrow(RangeError)
})
