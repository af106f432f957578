import { expect, test } from 'vitest'
import { allocation, crowd, forwarding } from './direct.ts'

test('a segment of bulk leaves no garbage: a number on the heap takes 12 bytes', () => {
  expect(allocation()).toBeLessThan(1)
}, 60_000)

test('an idle connection takes less than 1,700 bytes at each end', () => {
  const { bytes } = crowd(3000)
  expect(bytes).toBeLessThan(1700)
  expect(bytes).toBeGreaterThan(500)
}, 60_000)

test('a router loses nothing', () => {
  expect(forwarding(1000)).toBeGreaterThan(0)
})
