import { expect, test } from 'vitest'
import { crowd, slowdown } from './crowd.ts'

// That one more costs what it did, test/growth counts.
test('an idle connection takes less than 1,250 bytes, the code that its opening compiles included', () => {
  const all = crowd(5000)
  const { bytes, before, many, after } = all
  expect(bytes).toBeLessThan(1250)
  expect(bytes).toBeGreaterThan(500)
  for (const { least, median } of [before, many, after]) expect(least).toBeLessThanOrEqual(median)
})

test('the slowdown is beside the mean of before and after', () => {
  const cost = (median: number) => ({ median, least: 1 })
  expect(slowdown({ bytes: 1, resident: 1, before: cost(2), many: cost(6), after: cost(4) })).toBe(2)
})
