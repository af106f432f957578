import { expect, test } from 'vitest'
import { crowd } from './crowd.ts'

test('an idle connection takes less than 1,250 bytes, the code that its opening compiles included; one more costs what it did', () => {
  const { bytes, few, many } = crowd(5000)
  expect(bytes).toBeLessThan(1250)
  expect(bytes).toBeGreaterThan(500)
  // Whatever goes through all of them for each that comes takes many times as long.
  expect(many / few).toBeLessThan(3)
  expect(many / few).toBeGreaterThan(1 / 3)
}, 60_000)
