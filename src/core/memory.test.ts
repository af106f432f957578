import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fastPaths } from './fast-paths.ts'
import { bytesOf, Memory } from './memory.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** Allocate so many bytes, or release the block at this place of the list of those held. */
type Step = { allocate: number } | { release: number }

const steps = fc.array(
  fc.oneof(
    fc.record({
      allocate: fc.oneof(
        fc.integer({ min: 0, max: 5000 }),
        fc.integer({ min: 0, max: 20 }).map((shift) => 2 ** shift),
        fc.integer({ min: 1, max: 300 * KIB }),
      ),
    }),
    fc.record({ release: fc.nat(1000) }),
  ) as fc.Arbitrary<Step>,
  { minLength: 1, maxLength: 120 },
)

/** All blocks are free: one block of the whole first mebibyte can be had, and the memory does not grow for it. */
const expectMerged = (memory: Memory): void => {
  const { capacity } = memory
  expect(memory.used).toBe(0)
  if (capacity < MIB) return
  const block = memory.allocate(MIB)
  expect(block).toBeGreaterThanOrEqual(0)
  expect(memory.capacity).toBe(capacity)
  memory.release(block, MIB)
}

test('blocks do not overlap, lie on multiples of their size, keep their bytes, and all come back', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const memory = new Memory(4 * MIB)
      const held: { at: number; bytes: number; size: number; mark: number }[] = []
      const release = (index: number): void => {
        const [block] = held.splice(index, 1)
        const { at, size, mark } = block!
        // Other blocks, and the free lists that live in free ones, have left the bytes alone.
        expect(memory.u8.subarray(at, at + size).every((byte) => byte === mark)).toBe(true)
        memory.release(at, block!.bytes)
      }
      let mark = 0
      for (const step of list) {
        if ('release' in step) {
          if (held.length > 0) release(step.release % held.length)
          continue
        }
        const bytes = step.allocate
        const at = memory.allocate(bytes)
        const size = Memory.blockSize(bytes)
        expect(size).toBeGreaterThanOrEqual(Math.max(256, bytes))
        expect(Number.isInteger(Math.log2(size))).toBe(true)
        if (at < 0) {
          expect(at).toBe(-1)
          continue
        }
        expect(at % size).toBe(0)
        expect(at + size).toBeLessThanOrEqual(memory.capacity)
        for (const other of held) expect(at + size <= other.at || other.at + other.size <= at).toBe(true)
        mark = (mark + 1) & 0xff
        memory.u8.fill(mark, at, at + size)
        held.push({ at, bytes, size, mark })
        expect(memory.used).toBe(held.reduce((sum, block) => sum + block.size, 0))
      }
      while (held.length > 0) release(held.length - 1)
      expectMerged(memory)
    }),
    { numRuns: 60 },
  )
})

test('blocks of the smallest size fill a memory to its limit, and come back in any order', () => {
  const memory = new Memory(MIB)
  const blocks: number[] = []
  for (let at = memory.allocate(1); at >= 0; at = memory.allocate(1)) blocks.push(at)
  expect(blocks.length).toBe(4096)
  expect(new Set(blocks).size).toBe(4096)
  expect(memory.used).toBe(MIB)
  blocks.sort((a, b) => ((a * 7919) % 4099) - ((b * 7919) % 4099))
  for (const block of blocks) memory.release(block, 1)
  expectMerged(memory)
})

test("the block that came back last is the next of its size, and stands in nobody's way", () => {
  const memory = new Memory(MIB)
  const blocks = [1000, 1000, 60_000, 300_000].map((bytes) => memory.allocate(bytes))
  for (const [i, bytes] of [1000, 1000, 60_000, 300_000].entries()) memory.release(blocks[i]!, bytes)
  expect(memory.used).toBe(0)
  expect(memory.allocate(1024)).toBe(blocks[0])
  memory.release(blocks[0]!, 1024)
  expect(memory.allocate(MIB)).toBe(0)
})

test('the limit gives -1 and leaves the memory as it was', () => {
  const memory = new Memory(MIB)
  expect(memory.allocate(2 * MIB)).toBe(-1)
  expect(memory.capacity).toBe(0)
  const block = memory.allocate(MIB)
  expect(block).toBe(0)
  expect(memory.allocate(1)).toBe(-1)
  memory.release(block, MIB)
  expect(memory.allocate(1)).toBeGreaterThanOrEqual(0)
})

test('a limit that is no whole number of pages counts in whole pages', () => {
  const memory = new Memory(100_000)
  expect(memory.allocate(64 * KIB)).toBe(0)
  expect(memory.allocate(1)).toBe(-1)
  expect(memory.capacity).toBe(64 * KIB)
  expect(new Memory(1000).allocate(1)).toBe(-1)
})

test('sizes that no block has give -1', () => {
  const memory = new Memory(MIB)
  for (const bytes of [2 ** 28 + 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32, 2 ** 32 + 1, 2 ** 53, Number.POSITIVE_INFINITY]) {
    expect(memory.allocate(bytes)).toBe(-1)
  }
  expect(new Memory().allocate(2 ** 28)).toBe(0)
  expect(Memory.blockSize(0)).toBe(256)
  expect(Memory.blockSize(256)).toBe(256)
  expect(Memory.blockSize(257)).toBe(512)
  expect(Memory.blockSize(2 ** 28)).toBe(2 ** 28)
  expect(Memory.blockSize(2 ** 30 + 1)).toBe(2 ** 31)
})

test('growing keeps what is there', () => {
  const memory = new Memory()
  const first = memory.allocate(300)
  memory.u8.fill(0xab, first, first + 300)
  const before = memory.u8
  const large = memory.allocate(8 * MIB)
  expect(memory.u8 === before).toBe(false)
  expect(memory.u8.subarray(first, first + 300).every((byte) => byte === 0xab)).toBe(true)
  expect(large % (8 * MIB)).toBe(0)
  expect(memory.u32.length * 4).toBe(memory.capacity)
  expect(memory.view.byteLength).toBe(memory.capacity)
})

test('a view of a short stretch serves whoever asks for the same one, until the memory grows', () => {
  const memory = new Memory()
  const block = memory.allocate(1024)
  memory.u8.set([1, 2, 3], block + 8)
  const part = memory.part(block + 8, block + 11)
  expect([...part]).toEqual([1, 2, 3])
  memory.u8[block + 9] = 7
  expect(memory.part(block + 8, block + 11) === part).toBe(true)
  expect([...part]).toEqual([1, 7, 3])
  for (const [from, to] of [
    [8, 12],
    [9, 11],
    [0, 256],
    [0, 1000],
  ] as const) {
    const other = memory.part(block + from, block + to)
    expect([other.byteOffset, other.length]).toEqual([block + from, to - from])
  }
  const large = [0, 1].map(() => memory.part(block, block + 257))
  expect(large[0] === large[1]).toBe(false)
  memory.part(block + 8, block + 11)
  memory.allocate(8 * MIB)
  expect([...memory.part(block + 8, block + 11)]).toEqual([1, 7, 3])
  // Nothing of it is nowhere, be it never so often asked for.
  expect(memory.part(0, 0).length).toBe(0)
})

test('without view-reuse each has its own', () => {
  const memory = new Memory(MIB, fastPaths(['view-reuse']))
  memory.allocate(1024)
  const parts = [0, 1].map(() => memory.part(0, 10))
  expect(parts[0] === parts[1]).toBe(false)
  expect(parts[0]).toEqual(parts[1])
})

test('copies of few bytes and of many', () => {
  for (const without of [[], ['wasm']] as const) {
    const memory = new Memory(MIB, fastPaths(without))
    const block = memory.allocate(4096)
    for (let i = 0; i < 1024; i++) memory.u8[block + i] = i * 7
    for (const count of [0, 1, 3, 17, 64, 255, 256, 257, 1000]) {
      memory.u8.fill(0, block + 2048, block + 4096)
      memory.copy(block + 5, block + 2050, count)
      expect(memory.u8.subarray(block + 2050, block + 2050 + count)).toEqual(
        memory.u8.subarray(block + 5, block + 5 + count),
      )
      expect([memory.u8[block + 2049], memory.u8[block + 2050 + count]]).toEqual([0, 0])
    }
  }
})

test('bytesOf copies, and sees the copy in three ways', () => {
  const source = Uint8Array.of(1, 2, 3, 4, 5)
  const bytes = bytesOf(source)
  source[0] = 9
  expect([...bytes.u8]).toEqual([1, 2, 3, 4, 5, 0, 0, 0])
  expect(bytes.view.getUint16(3)).toBe(0x0405)
  bytes.view.setUint8(0, 0)
  expect(bytes.u8[0]).toBe(0)
  expect(bytes.u32.length).toBe(2)
})
