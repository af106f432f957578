import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fastPaths } from './fast-paths.ts'
import { kernelsOver } from './kernels.ts'
import { Memory } from './memory.ts'

/** RFC 1071 word by word: big-endian, the last odd byte padded with zero. */
const naive = (u8: Uint8Array): number => {
  let sum = 0
  for (let i = 0; i < u8.length; i += 2) {
    sum += (u8[i]! << 8) | (u8[i + 1] ?? 0)
    if (sum > 0xffff) sum -= 0xffff
  }
  return sum
}

const SIZE = 0x8000

test('sums and copies of any bytes, from anywhere to anywhere, and nothing beside them', () => {
  const memory = new WebAssembly.Memory({ initial: 1 })
  const kernels = kernelsOver(memory)!
  const u8 = new Uint8Array(memory.buffer)
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.integer({ min: 0, max: 9000 }).map((length) => new Uint8Array(length).fill(0xff)),
    fc.integer({ min: 0, max: 9000 }).map((length) => Uint8Array.from({ length }, (_, i) => Math.imul(i, 167) >>> 3)),
  )
  fc.assert(
    fc.property(bytes, fc.nat(40), fc.nat(40), (data, from, to) => {
      u8.fill(0xa5)
      u8.set(data, from)
      const expected = naive(data)
      expect(kernels.sum(from, from + data.length)).toBe(expected)
      expect(kernels.copySum(from, from + data.length, SIZE + to)).toBe(expected)
      expect(u8.subarray(SIZE + to, SIZE + to + data.length)).toEqual(data)
      expect(u8[SIZE + to - 1]).toBe(0xa5)
      expect(u8[SIZE + to + data.length]).toBe(0xa5)
      u8.fill(0xa5, SIZE)
      kernels.copy(from, from + data.length, SIZE + to)
      expect(u8.subarray(SIZE + to, SIZE + to + data.length)).toEqual(data)
      expect(u8[SIZE + to - 1]).toBe(0xa5)
      expect(u8[SIZE + to + data.length]).toBe(0xa5)
    }),
  )
})

test('the largest sum that is promised', () => {
  const memory = new WebAssembly.Memory({ initial: 9 })
  new Uint8Array(memory.buffer).fill(0xff)
  new Uint8Array(memory.buffer)[0] = 0
  const kernels = kernelsOver(memory)!
  expect(kernels.sum(0, 0x8_0000)).toBe(0x00ff)
})

test('they see a memory that has grown, up to its last byte', () => {
  const memory = new Memory()
  const { kernels } = memory
  memory.allocate(256)
  const block = memory.allocate(2 ** 24)
  memory.u8.fill(0, block, block + 2 ** 24)
  memory.u8[block + 2 ** 24 - 1] = 0x12
  expect(kernels!.sum(block + 2 ** 24 - 1000, block + 2 ** 24)).toBe(0x12)
})

test('a memory without them', () => {
  expect(new Memory(undefined, fastPaths(['wasm'])).kernels).toBeNull()
})
