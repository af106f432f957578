import type { Frame } from '../core/frame.ts'
import type { World } from '../core/world.ts'

/**
 * Frames on their way from a world of one thread to a world of another: a ring in shared memory with one writer and
 * one reader. Its bytes are divided thus; positions count up modulo 2^32, records begin on multiples of eight:
 *
 *     | written: 32 | read: 32 | (to 16 bytes) | records …
 *     record: | bytes: 32 | segment size: 16, checksum: 16 | network:
 *     16, transport: 16 | EtherType: 16, shift: 16 | frame …
 *
 * The places of headers count from the frame's first byte. That has the same
 * place modulo eight, `shift`, in both worlds and between them: V8 copies to and
 * from shared memory word by word where all is aligned, and else byte by byte.
 *
 * A record is never cut: where the ring's end is too near, a mark says that the next one lies at the beginning.
 */

const WRITTEN = 0
const READ = 1
/** Bytes before the records, and of a record's header. */
const HEAD = 16
const RECORD = 16
/** In place of a record's length: the rest of the ring is not used. */
const SKIP = 0xffff_ffff
/** The largest frame, with its record. */
const LARGEST = 70_000

/** Bytes of shared memory for a ring whose records have `capacity` bytes. */
export const sharedRingSize = (capacity: number): number => HEAD + capacity

/** One end of a ring: the writer's, or the reader's. */
export class SharedRing {
  /** Bytes for records: a power of two. */
  private readonly capacity: number
  private readonly positions: Int32Array
  private readonly words: DataView
  private readonly bytes: Uint8Array
  /** The position that this end moves; the other end's is read when it is needed. */
  private at = 0

  /** @throws RangeError when the room is no power of two, or too little for two of the largest frames */
  constructor(buffer: SharedArrayBuffer, offset: number, length: number) {
    this.capacity = length - HEAD
    if (this.capacity < 2 * LARGEST || (this.capacity & (this.capacity - 1)) !== 0) {
      throw new RangeError(`a ring of ${this.capacity} bytes: it takes a power of two, from 262,144 on`)
    }
    this.positions = new Int32Array(buffer, offset, 2)
    this.words = new DataView(buffer, offset + HEAD, this.capacity)
    this.bytes = new Uint8Array(buffer, offset + HEAD, this.capacity)
  }

  /** The reader's: is there nothing to read? */
  get isEmpty(): boolean {
    return Atomics.load(this.positions, WRITTEN) === this.at
  }

  /** The writer's: copies a frame in. @returns false when there is no room for it now */
  write({ memory }: World, frame: Frame): boolean {
    const shift = frame.start & 7
    const length = frame.end - frame.start
    const size = sizeOf(shift + length)
    const { capacity, words } = this
    const free = capacity - ((this.at - Atomics.load(this.positions, READ)) | 0)
    let offset = this.at & (capacity - 1)
    const toEnd = capacity - offset
    const skipped = size > toEnd ? toEnd : 0
    if (skipped + size > free) return false
    if (skipped > 0) {
      words.setUint32(offset, SKIP)
      offset = 0
    }
    words.setUint32(offset, length)
    words.setUint16(offset + 4, frame.segmentSize)
    words.setUint16(offset + 6, frame.checksum)
    words.setUint16(offset + 8, frame.network - frame.start)
    words.setUint16(offset + 10, Math.max(0, frame.transport - frame.start))
    words.setUint16(offset + 12, frame.etherType)
    words.setUint16(offset + 14, shift)
    this.bytes.set(memory.u8.subarray(frame.start - shift, frame.end), offset + RECORD)
    this.at = (this.at + skipped + size) | 0
    // The reader sees the record when it sees the position.
    Atomics.store(this.positions, WRITTEN, this.at)
    return true
  }

  /**
   * The reader's: takes the next frame.
   * @returns null when there is none, `'no memory'` when there is no room for it: it is dropped then
   */
  read({ memory, frames }: World): Frame | null | 'no memory' {
    if (this.isEmpty) return null
    const { capacity, words } = this
    let offset = this.at & (capacity - 1)
    if (words.getUint32(offset) === SKIP) {
      this.at = (this.at + capacity - offset) | 0
      offset = 0
    }
    const length = words.getUint32(offset)
    const shift = words.getUint16(offset + 14)
    const frame = frames.allocate(length)
    if (frame !== null) {
      const { start } = this.place(frame, offset, length, shift)
      memory.u8.set(this.bytes.subarray(offset + RECORD, offset + RECORD + shift + length), start - shift)
    }
    this.at = (this.at + sizeOf(shift + length)) | 0
    Atomics.store(this.positions, READ, this.at)
    return frame ?? 'no memory'
  }

  /** Sets a frame's places and marks by the record at `offset`. */
  private place(frame: Frame, offset: number, length: number, shift: number): Frame {
    const { words } = this
    frame.start = frame.base + HEADROOM + shift
    frame.end = frame.start + length
    frame.network = frame.start + words.getUint16(offset + 8)
    frame.transport = frame.start + words.getUint16(offset + 10)
    frame.segmentSize = words.getUint16(offset + 4)
    frame.checksum = words.getUint16(offset + 6)
    frame.etherType = words.getUint16(offset + 12)
    return frame
  }
}

/** Bytes of a record with so many bytes behind its header. */
const sizeOf = (bytes: number): number => RECORD + ((bytes + 7) & ~7)

/** Where a frame is placed in its block, but for its shift: a multiple of eight, with room for headers before it. */
const HEADROOM = 24
