import { expect, test } from 'vitest'
import { allocation, forwarding } from './direct.ts'

test('a segment of bulk leaves no garbage: a number on the heap for each would be 12 bytes', () => {
  // Code that V8 has not compiled yet, in a thread that gets no processor, leaves more.
  let least = Number.POSITIVE_INFINITY
  for (let attempt = 0; attempt < 5 && least >= 4; attempt++) least = Math.min(least, allocation())
  expect(least).toBeLessThan(4)
})

test('a router loses nothing', () => {
  expect(forwarding(1000)).toBeGreaterThan(0)
})
