import { expect, test } from 'vitest'
import { crowd, slowdown } from './crowd.ts'

// That one more costs what it did, test/growth counts.
test('an idle connection takes less than 1,250 bytes, the code that its opening compiles included', async () => {
  const { bytes, calls, server } = await crowd(5000)
  expect(bytes).toBeLessThan(1250)
  expect(bytes).toBeGreaterThan(500)
  for (const phases of [calls, server])
    for (const { least, median } of Object.values(phases)) expect(least).toBeLessThanOrEqual(median)
}, 60_000)

test('the slowdown is beside the mean of before and after', () => {
  const cost = (median: number) => ({ median, least: 1 })
  expect(slowdown({ before: cost(2), many: cost(6), after: cost(4) })).toBe(2)
})
