import { expect, test } from 'vitest'
import { truesize } from './truesize.ts'

test('packets cost what Linux charges for them', () => {
  // One byte of UDP; an Ethernet MTU; the last size that fits in the same block, and the next.
  expect([truesize(29), truesize(1500), truesize(1697), truesize(1698)]).toEqual([768, 2304, 2304, 4352])
  expect(truesize(9000)).toBe(16_640)
  expect(truesize(65_535)).toBe(256 + 512 + 65_536)
})
