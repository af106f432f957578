import type { Memory } from './memory.ts'

/** What is known of the transport checksum of a frame. */
export const FrameChecksum = {
  /** Nothing: it has to be verified on the way in. */
  Unverified: 0,
  /**
   * Not computed: the header field holds the sum of the pseudo-header only, and the link, or whatever lies behind it,
   * completes it (checksum offload on the way out; Linux's CHECKSUM_PARTIAL).
   */
  Partial: 1,
  /** Known to be good: the sender's memory is the receiver's, or hardware has looked (CHECKSUM_UNNECESSARY). */
  Good: 2,
} as const

/** Who wants to know when a frame leaves the host. */
export interface FrameWatcher {
  /** It is handed to the link through the interface of this index, with its link header, from `start` to `end`. */
  leaves(frame: Frame, interfaceIndex: number): void
}

/**
 * One frame, or IP packet, on its way: a block of the world's memory and where in it each header starts.
 *
 *      base                 start      network    transport     payload           end
 *       |     headroom        | link     | IP       | TCP/UDP     | data            |    tailroom   |
 *
 * All positions are offsets into the world's memory. Each layer on the way out writes its header just below `start`
 * and moves `start` down; each layer on the way in reads its header at `start` and moves it up. The block begins on
 * a multiple of four and `TRANSPORT_OFFSET` is one too, so that IP headers and payload lie on whole words, which the
 * checksum wants.
 *
 * A frame has one owner at a time. Handing it to a function that sends or receives gives it away; whoever has it last
 * releases it to the pool. In debug builds of a test the pool counts what is out (`FramePool.inUse`).
 */
export class Frame {
  readonly base: number
  /** Size of the block in bytes. */
  readonly size: number
  /** First byte of the outermost header that is there now. */
  start = 0
  /** One past the last byte. */
  end = 0
  /** Where the IP header starts. Set by whoever wrote or parsed it. */
  network = 0
  /** Where the transport header starts. */
  transport = 0
  /** EtherType of what `network` points to: tells what the frame is when it has no link header. */
  etherType = 0
  /** One of `FrameChecksum`. */
  checksum: number = FrameChecksum.Unverified
  /** Payload bytes in each segment that this one stands for, when it is larger than the link's MTU; else 0. */
  segmentSize = 0
  /** World time at which the frame was handed to the link or came from it, microseconds; fractions count. */
  time = 0
  /** Who is told that it leaves; null for nobody. */
  watcher: FrameWatcher | null = null
  /** Next in the queue that owns this frame. */
  next: Frame | null = null

  constructor(base: number, size: number) {
    this.base = base
    this.size = size
  }

  /** Bytes from `start` to `end`. */
  get length(): number {
    return this.end - this.start
  }
}

/**
 * Where a transport header starts, from the frame's base: room below
 * for 802.1Q, Ethernet and IPv6, or IPv4 with options.
 */
export const TRANSPORT_OFFSET = 80

/** Bytes a frame needs beside its transport header and payload: the headroom, and room for a frame check sequence. */
export const FRAME_OVERHEAD = TRANSPORT_OFFSET + 4

/** Bytes in the blocks of each size class: an MTU of 1500, of 9000, and the largest IP packet. */
const CLASS_SIZE = [2048, 10_240, 69_632] as const
/** Blocks are cut from slabs of this many bytes. */
const SLAB_SIZE = [0x1_0000, 0x4_0000, 0x10_0000] as const

/** Where the world's frames come from and go back to. */
export class FramePool {
  private readonly memory: Memory
  private readonly free: (Frame | null)[] = [null, null, null]
  private out = 0
  private made = 0
  private taken = 0

  constructor(memory: Memory) {
    this.memory = memory
  }

  /** Frames handed out and not yet back. */
  get inUse(): number {
    return this.out
  }

  /** Frames that exist. */
  get total(): number {
    return this.made
  }

  /** Bytes of the world's memory that the pool has taken, for frames in use and free ones. */
  get bytes(): number {
    return this.taken
  }

  /**
   * An empty frame with room for `bytes` bytes of transport header and payload behind the headroom; `start`, `end` and
   * `transport` at the place for a transport header.
   * @returns null when memory is out or `bytes` is over 69,548
   */
  allocate(bytes: number): Frame | null {
    const needed = bytes + FRAME_OVERHEAD
    const sizeClass = needed <= CLASS_SIZE[0] ? 0 : needed <= CLASS_SIZE[1] ? 1 : 2
    if (needed > CLASS_SIZE[2]) return null
    let frame = this.free[sizeClass]!
    if (frame === null) {
      if (!this.addSlab(sizeClass)) return null
      frame = this.free[sizeClass]!
    }
    this.free[sizeClass] = frame.next
    this.out++
    frame.next = null
    const at = frame.base + TRANSPORT_OFFSET
    frame.start = at
    frame.end = at
    frame.network = at
    frame.transport = at
    frame.etherType = 0
    frame.checksum = FrameChecksum.Unverified
    frame.segmentSize = 0
    frame.time = 0
    frame.watcher = null
    return frame
  }

  /** Takes a frame back. Its owner must not touch it again. */
  release(frame: Frame): void {
    const sizeClass = frame.size === CLASS_SIZE[0] ? 0 : frame.size === CLASS_SIZE[1] ? 1 : 2
    this.out--
    frame.next = this.free[sizeClass]!
    this.free[sizeClass] = frame
  }

  /** A frame of its own with the same bytes and marks, or null when memory is out. */
  copy(frame: Frame): Frame | null {
    const copy = this.allocate(frame.size - FRAME_OVERHEAD)
    if (copy === null) return null
    const shift = copy.base - frame.base
    this.memory.u8.copyWithin(frame.start + shift, frame.start, frame.end)
    copy.start = frame.start + shift
    copy.end = frame.end + shift
    copy.network = frame.network + shift
    copy.transport = frame.transport + shift
    copy.etherType = frame.etherType
    copy.checksum = frame.checksum
    copy.segmentSize = frame.segmentSize
    copy.time = frame.time
    return copy
  }

  private addSlab(sizeClass: number): boolean {
    const bytes = SLAB_SIZE[sizeClass]!
    const size = CLASS_SIZE[sizeClass]!
    const slab = this.memory.allocate(bytes)
    if (slab < 0) return false
    this.taken += bytes
    for (let at = slab; at + size <= slab + bytes; at += size) {
      const frame = new Frame(at, size)
      frame.next = this.free[sizeClass]!
      this.free[sizeClass] = frame
      this.made++
    }
    return true
  }
}

/** Frames in the order in which they came. */
export class FrameQueue {
  length = 0
  /** Bytes in all frames queued. */
  bytes = 0
  private head: Frame | null = null
  private tail: Frame | null = null

  /** The first frame, which stays queued; null when there is none. */
  get first(): Frame | null {
    return this.head
  }

  push(frame: Frame): void {
    frame.next = null
    if (this.tail === null) this.head = frame
    else this.tail.next = frame
    this.tail = frame
    this.length++
    this.bytes += frame.end - frame.start
  }

  shift(): Frame | null {
    const frame = this.head
    if (frame === null) return null
    this.head = frame.next
    if (this.head === null) this.tail = null
    frame.next = null
    this.length--
    this.bytes -= frame.end - frame.start
    return frame
  }

  /** Gives every frame back to `pool`. */
  clear(pool: FramePool): void {
    for (let frame = this.shift(); frame !== null; frame = this.shift()) pool.release(frame)
  }
}
