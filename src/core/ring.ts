import { Memory } from './memory.ts'

// Looked up once: V8 finds methods of typed arrays anew at each call.
const { set, subarray } = Uint8Array.prototype

/**
 * A byte queue that starts at nothing: SendQ and RecvQ of a connection, and the buffer of a pipe.
 *
 *      block                head                 head + length          (modulo capacity)
 *        |                   |  queued bytes      |
 *        +-------------------+====================+------------------+
 *                            ^ offset 0           ^ offset `length`
 *
 * The block comes from the world's memory when the first byte is written, doubles while the queue grows, and goes back
 * when the last byte leaves, so that an empty queue owns no bytes. Its size is remembered: a queue that is filled and
 * drained over and over takes one block of the right size each time and copies nothing.
 *
 * Bytes can be placed beyond the end (`place`), for segments that arrive out of order; `extend` makes them count.
 * Limits are the business of whoever owns the ring.
 */
export class Ring {
  /** Bytes queued. */
  length = 0
  /** Size of the block in bytes, a power of two; 0 when there is none. */
  capacity = 0

  private readonly memory: Memory
  private block = 0
  private head = 0
  /** Bytes beyond `length` that were placed and not yet counted, at the most; they keep the block alive. */
  private ahead = 0
  /** The most bytes held since the block was taken. */
  private peak = 0
  /** How many bytes the next first block should hold at once. */
  private warm = 0

  constructor(memory: Memory) {
    this.memory = memory
  }

  /** Appends `count` bytes of `source` from `at`. @returns false, with nothing changed, when memory is out */
  append(source: Uint8Array, at: number, count: number): boolean {
    if (!this.reserve(this.length + count)) return false
    const to = (this.head + this.length) & (this.capacity - 1)
    const first = Math.min(count, this.capacity - to)
    const { u8, shortCopy } = this.memory
    setRange(u8, this.block + to, source, at, first, shortCopy)
    if (first < count) setRange(u8, this.block, source, at + first, count - first, shortCopy)
    this.extend(count)
    return true
  }

  /** Appends `count` bytes that lie at `offset` of the world's memory. @returns false when memory is out */
  appendFrom(offset: number, count: number): boolean {
    if (!this.place(offset, count, this.length)) return false
    this.extend(count)
    return true
  }

  /**
   * Puts `count` bytes from `offset` of the world's memory at position `at` of the queue, which may lie beyond its
   * end; `extend` counts them later. @returns false when memory is out
   */
  place(offset: number, count: number, at: number): boolean {
    if (!this.reserve(at + count)) return false
    const end = at + count - this.length
    if (end > this.ahead) this.ahead = end
    const to = (this.head + at) & (this.capacity - 1)
    const first = Math.min(count, this.capacity - to)
    this.memory.copy(offset, this.block + to, first)
    if (first < count) this.memory.copy(offset + first, this.block, count - first)
    return true
  }

  /** Counts `count` more bytes, which `place` has put there. */
  extend(count: number): void {
    this.length += count
    this.ahead = Math.max(0, this.ahead - count)
  }

  /** Where in the world's memory the `count` bytes from position `at` lie; -1 when they do not lie in one piece. */
  offsetOf(at: number, count: number): number {
    const from = (this.head + at) & (this.capacity - 1)
    return from + count <= this.capacity ? this.block + from : -1
  }

  /** Copies `count` bytes from position `at` of the queue to `offset` of the world's memory; the queue keeps them. */
  copyTo(offset: number, at: number, count: number): void {
    const from = (this.head + at) & (this.capacity - 1)
    const first = Math.min(count, this.capacity - from)
    this.memory.copy(this.block + from, offset, first)
    if (first < count) this.memory.copy(this.block, offset + first, count - first)
  }

  /** Copies `count` bytes from position `at` of the queue into `target` from `into`; the queue keeps them. */
  peek(target: Uint8Array, into: number, at: number, count: number): void {
    if (count === 0) return
    const mask = this.capacity - 1
    const from = (this.head + at) & mask
    const { memory } = this
    if (count <= memory.shortCopy) {
      const { u8 } = memory
      for (let i = 0; i < count; i++) target[into + i] = u8[this.block + ((from + i) & mask)]!
      return
    }
    const first = Math.min(count, this.capacity - from)
    set.call(target, memory.part(this.block + from, this.block + from + first), into)
    if (first < count) set.call(target, memory.part(this.block, this.block + count - first), into + first)
  }

  /** Drops the first `count` bytes. */
  drop(count: number): void {
    this.length -= count
    if (this.length === 0 && this.ahead === 0) this.releaseBlock()
    else this.head = (this.head + count) & (this.capacity - 1)
  }

  /** Drops everything, the bytes placed beyond the end too. */
  clear(): void {
    this.length = 0
    this.ahead = 0
    this.releaseBlock()
  }

  /** Forgets the bytes placed beyond the end. */
  forgetAhead(): void {
    this.ahead = 0
    if (this.length === 0) this.releaseBlock()
  }

  /** Makes room for `bytes` bytes in all. */
  private reserve(bytes: number): boolean {
    if (bytes > this.capacity && !this.grow(bytes)) return false
    if (bytes > this.peak) this.peak = bytes
    return true
  }

  /** Moves what is held to a block of at least `bytes` bytes. */
  private grow(bytes: number): boolean {
    let wanted = Memory.blockSize(this.capacity === 0 ? Math.max(bytes, this.warm) : bytes)
    let block = this.memory.allocate(wanted)
    if (block < 0) {
      // Memory may be too short for the size remembered, yet not for what is needed now.
      if (wanted === Memory.blockSize(bytes)) return false
      wanted = Memory.blockSize(bytes)
      block = this.memory.allocate(wanted)
      if (block < 0) return false
    }
    if (this.capacity > 0) {
      const kept = this.length + this.ahead
      const first = Math.min(kept, this.capacity - this.head)
      this.memory.copy(this.block + this.head, block, first)
      if (first < kept) this.memory.copy(this.block, block + first, kept - first)
      this.memory.release(this.block, this.capacity)
    }
    this.block = block
    this.capacity = wanted
    this.head = 0
    return true
  }

  private releaseBlock(): void {
    if (this.capacity > 0) {
      this.memory.release(this.block, this.capacity)
      // Halves each time that less was needed, so that one burst is not remembered for ever.
      if (this.memory.remembersQueues) this.warm = Math.max(this.peak, this.warm >>> 1)
      this.peak = 0
    }
    this.capacity = 0
    this.head = 0
  }
}

/** `target.set` for part of `source`, without a view where none is needed, and one by one for up to `short` bytes. */
const setRange = (
  target: Uint8Array,
  into: number,
  source: Uint8Array,
  at: number,
  count: number,
  short: number,
): void => {
  if (count <= short) for (let i = 0; i < count; i++) target[into + i] = source[at + i]!
  else if (count === source.length) set.call(target, source, into)
  else set.call(target, subarray.call(source, at, at + count), into)
}
