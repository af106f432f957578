import { expect, test } from 'vitest'
import { crowd } from './crowd.ts'

test('an idle connection takes less than 1,250 bytes, the code that its opening compiles included', () => {
  const { bytes, few, many } = crowd(5000)
  expect(bytes).toBeLessThan(1250)
  expect(bytes).toBeGreaterThan(500)
  expect(few).toBeGreaterThan(0)
  expect(many).toBeGreaterThan(0)
}, 60_000)
