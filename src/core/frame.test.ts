import { expect, test } from 'vitest'
import { FRAME_OVERHEAD, type Frame, FrameChecksum, FramePool, FrameQueue, TRANSPORT_OFFSET } from './frame.ts'
import { Memory } from './memory.ts'

const MIB = 1024 * 1024
const pool = (limit = 16 * MIB): { memory: Memory; frames: FramePool } => {
  const memory = new Memory(limit)
  return { memory, frames: new FramePool(memory) }
}

test.each([
  [0, 2048],
  [1480, 2048],
  [2048 - FRAME_OVERHEAD, 2048],
  [2048 - FRAME_OVERHEAD + 1, 10_240],
  [9000, 10_240],
  [10_240 - FRAME_OVERHEAD, 10_240],
  [65_535, 69_632],
  [69_548, 69_632],
])('a frame for %i bytes has room for them and for the headers before them', (bytes, size) => {
  const { frames } = pool()
  const frame = frames.allocate(bytes)!
  expect(frame.size).toBe(size)
  expect(frame.base % 4).toBe(0)
  expect([frame.start, frame.end, frame.network, frame.transport]).toEqual(new Array(4).fill(frame.base + 80))
  expect(TRANSPORT_OFFSET % 4).toBe(0)
  frame.end += bytes
  expect(frame.length).toBe(bytes)
  frame.end -= bytes
  // Ethernet, a tag and the longest IPv4 header before; a frame check sequence behind.
  expect(14 + 4 + 60).toBeLessThanOrEqual(TRANSPORT_OFFSET)
  expect(frame.start + bytes + 4).toBeLessThanOrEqual(frame.base + frame.size)
})

test('more than the largest frame, or than the memory, gives null', () => {
  expect(pool().frames.allocate(69_549)).toBeNull()
  const { frames } = pool(64 * 1024)
  const held: Frame[] = []
  for (let frame = frames.allocate(100); frame !== null; frame = frames.allocate(100)) held.push(frame)
  expect(held.length).toBe(32)
  expect(frames.inUse).toBe(32)
  expect(new Set(held.map((frame) => frame.base)).size).toBe(32)
  frames.release(held.pop()!)
  expect(frames.allocate(100)).not.toBeNull()
})

test('frames do not overlap, and are used again in a clean state', () => {
  const { frames } = pool()
  const held = [100, 5000, 60_000, 100, 5000, 60_000].map((bytes) => frames.allocate(bytes)!)
  held.sort((a, b) => a.base - b.base)
  for (let i = 1; i < held.length; i++) {
    expect(held[i - 1]!.base + held[i - 1]!.size).toBeLessThanOrEqual(held[i]!.base)
  }
  const frame = held[0]!
  const { size, base } = frame
  Object.assign(frame, { start: 1, end: 2, network: 3, transport: 4, etherType: 5, segmentSize: 6, time: 7 })
  frame.checksum = FrameChecksum.Good
  const { total } = frames
  frames.release(frame)
  const again = frames.allocate(size - FRAME_OVERHEAD)!
  expect(again).toBe(frame)
  expect({ ...again }).toEqual({
    base,
    size,
    start: base + 80,
    end: base + 80,
    network: base + 80,
    transport: base + 80,
    etherType: 0,
    checksum: FrameChecksum.Unverified,
    segmentSize: 0,
    time: 0,
    watcher: null,
    next: null,
  })
  expect([frames.inUse, frames.total]).toEqual([6, total])
})

test('a copy has the same bytes and marks, and a block of its own', () => {
  const { memory, frames } = pool()
  const frame = frames.allocate(1000)!
  frame.start -= 34
  frame.network -= 20
  frame.end += 1000
  Object.assign(frame, { etherType: 0x800, checksum: FrameChecksum.Partial, segmentSize: 500, time: 1.5 })
  for (let at = frame.start; at < frame.end; at++) memory.u8[at] = at % 251
  const copy = frames.copy(frame)!
  expect(copy.base).not.toBe(frame.base)
  const shift = copy.base - frame.base
  expect({ ...copy }).toEqual({
    ...frame,
    base: copy.base,
    start: frame.start + shift,
    end: frame.end + shift,
    network: frame.network + shift,
    transport: frame.transport + shift,
  })
  expect(memory.u8.slice(copy.start, copy.end)).toEqual(memory.u8.slice(frame.start, frame.end))
  memory.u8[copy.start]!++
  expect(memory.u8[frame.start]).toBe(frame.start % 251)
  expect(frames.inUse).toBe(2)
})

test('copying the largest frames works, and gives null when memory is out', () => {
  const { frames } = pool(MIB)
  const frame = frames.allocate(69_548)!
  let copies = 0
  while (frames.copy(frame) !== null) copies++
  expect(copies).toBe(14)
})

test('a queue gives frames in order and counts their bytes', () => {
  const { frames } = pool()
  const queue = new FrameQueue()
  expect(queue.shift()).toBeNull()
  const [a, b, c] = [10, 20, 30].map((length) => {
    const frame = frames.allocate(length)!
    frame.end += length
    return frame
  }) as [Frame, Frame, Frame]
  queue.push(a)
  queue.push(b)
  expect([queue.first, queue.length, queue.bytes]).toEqual([a, 2, 30])
  expect(queue.shift()).toBe(a)
  queue.push(c)
  expect([queue.length, queue.bytes]).toEqual([2, 50])
  expect([queue.shift(), queue.shift(), queue.shift()]).toEqual([b, c, null])
  queue.push(a)
  queue.push(b)
  queue.push(c)
  queue.clear(frames)
  expect([queue.first, queue.length, queue.bytes, frames.inUse]).toEqual([null, 0, 0, 0])
})
