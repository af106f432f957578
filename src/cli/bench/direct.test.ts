import { expect, test } from 'vitest'
import { allocation, forwarding } from './direct.ts'

test('a segment of bulk leaves no garbage: a number on the heap for each would be 12 bytes', () => {
  expect(allocation()).toBeLessThan(4)
}, 60_000)

test('a router loses nothing', () => {
  expect(forwarding(1000)).toBeGreaterThan(0)
})
