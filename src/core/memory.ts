import { ALL_FAST_PATHS, type FastPaths } from './fast-paths.ts'
import { type Kernels, kernelsOver } from './kernels.ts'

// Looked up once: V8 finds methods of typed arrays anew at each call.
const { copyWithin, subarray } = Uint8Array.prototype

/** Bytes seen in the three ways in which codecs and checksums want them. `Memory` is one; `bytesOf` makes another. */
export interface Bytes {
  /** The bytes. */
  readonly u8: Uint8Array
  /** The same bytes as 32-bit words in the machine's order: for checksums and bulk moves, not for header fields. */
  readonly u32: Uint32Array
  /** The same bytes, for header fields in network order. */
  readonly view: DataView
  /** Fast loops over the same bytes; null where there are none. */
  readonly kernels: Kernels | null
}

/** A copy of `source` as `Bytes`, for tests and tools that hold a packet outside a world's memory. */
export const bytesOf = (source: Uint8Array): Bytes => {
  const buffer = new ArrayBuffer((source.length + 3) & ~3)
  const u8 = new Uint8Array(buffer)
  u8.set(source)
  return { u8, u32: new Uint32Array(buffer), view: new DataView(buffer), kernels: null }
}

/**
 * The memory of a world: one linear buffer that holds every frame and every queue of every host in it.
 *
 * Frames and queues name their bytes by offset. That lets the packet path copy between them with `copyWithin`, which
 * allocates nothing (31 ns for 1,460 bytes here; `set(subarray)` takes 45 and leaves an object behind), and lets a
 * frame pass from host to host without being copied at all. The buffer is a `WebAssembly.Memory` because that grows in
 * place: 640 MB take 2 ms, and no page is touched before it is used.
 *
 * Growing replaces the views. Whoever holds `u8`, `u32` or `view` in a local variable must read it again after a call
 * that may allocate.
 *
 * Blocks are powers of two, handed out and merged by the buddy system (Knuth, TAOCP volume 1, section 2.5). A free
 * block keeps the links of its list in its own first bytes:
 *
 *     | next: int32 | previous: int32 | ... unused ... |
 */
export class Memory implements Bytes {
  u8!: Uint8Array
  u32!: Uint32Array
  view!: DataView
  readonly kernels: Kernels | null
  /** Are they for copies, too? */
  readonly sumsCopies: boolean
  /** Up to so many bytes are copied into queues and out of them one by one: that takes less time than a call. */
  readonly shortCopy: number
  /** Does a queue remember how large it was? */
  readonly remembersQueues: boolean
  /**
   * The views of short stretches that were last asked for, by the block that each lies in, and where they are: V8 asks
   * a view for that by a call. Null where none are kept.
   */
  private readonly parts: Uint8Array[] | null
  private readonly partStarts = new Int32Array(PARTS)
  private readonly partEnds = new Int32Array(PARTS)

  private i32!: Int32Array
  private readonly backing: WebAssembly.Memory
  private readonly limit: number
  /** Head of the free list of each order, as a block offset; NIL when empty. */
  private readonly free: Int32Array
  /**
   * The block of each order that was last given back, neither listed nor merged: most often it is wanted again at once.
   */
  private readonly kept: Int32Array
  /** Up to this order, blocks are kept so. */
  private readonly keptOrder: number
  /** For each smallest block that begins a free block: that block's order; 0 for all others. */
  private freeOrder: Uint8Array
  private usedBytes = 0

  /**
   * @param limit the most bytes this memory may grow to, at most 2 GiB; counted in whole pages of 64 KiB
   * @param fast which fast paths to use
   */
  constructor(limit = 0x8000_0000, fast: FastPaths = ALL_FAST_PATHS) {
    // Whole pages only, so that growing to the very limit comes out even.
    this.limit = Math.floor(Math.min(limit, 0x8000_0000) / PAGE) * PAGE
    this.backing = new WebAssembly.Memory({ initial: 0, maximum: this.limit / PAGE })
    this.kernels = fast.wasm ? kernelsOver(this.backing) : null
    this.sumsCopies = this.kernels !== null && fast['copy-checksum']
    this.shortCopy = fast['short-copies'] ? SHORT_COPY : 0
    this.remembersQueues = fast['queue-memory']
    this.keptOrder = fast['block-reuse'] ? KEPT_ORDER : 0
    this.free = new Int32Array(MAX_ORDER + 1).fill(NIL)
    this.kept = new Int32Array(MAX_ORDER + 1).fill(NIL)
    this.freeOrder = new Uint8Array(0)
    this.parts = fast['view-reuse'] ? new Array(PARTS).fill(NOTHING) : null
    this.renewViews()
  }

  /** Bytes handed out, rounded up to whole blocks. */
  get used(): number {
    return this.usedBytes
  }

  /** Bytes that the memory has grown to. */
  get capacity(): number {
    return this.u8.length
  }

  /** The size in bytes of the block that `allocate(bytes)` hands out, or would if there were one so large. */
  static blockSize(bytes: number): number {
    return bytes > LARGEST ? 2 ** Math.ceil(Math.log2(bytes)) : 1 << orderOf(bytes)
  }

  /**
   * Hands out a block of at least `bytes` bytes (see `blockSize`), its content undefined.
   * @returns the block's offset, a multiple of its size; -1 when the memory is at its limit or `bytes` is over 256 MiB
   */
  allocate(bytes: number): number {
    if (bytes > LARGEST) return NIL
    const order = orderOf(bytes)
    const kept = this.kept[order]!
    if (kept !== NIL) {
      this.kept[order] = NIL
      this.usedBytes += 1 << order
      return kept
    }
    let at = this.smallestFree(order)
    if (at > MAX_ORDER) {
      this.mergeKept()
      at = this.smallestFree(order)
      if (at > MAX_ORDER) {
        if (!this.grow(1 << order)) return NIL
        at = this.smallestFree(order)
      }
    }
    const block = this.free[at]!
    this.unlink(block, at)
    while (at > order) {
      at--
      this.link(block + (1 << at), at)
    }
    this.usedBytes += 1 << order
    return block
  }

  /** Takes back a block that `allocate(bytes)` handed out, given the same size. */
  release(block: number, bytes: number): void {
    const order = orderOf(bytes)
    this.usedBytes -= 1 << order
    if (order <= this.keptOrder && this.kept[order] === NIL) this.kept[order] = block
    else this.merge(block, order)
  }

  /** Copies `count` bytes from `from` to `to`, which must not overlap them. */
  copy(from: number, to: number, count: number): void {
    if (count <= WORTH_A_KERNEL && this.kernels !== null) this.kernels.copy(from, from + count, to)
    else copyWithin.call(this.u8, to, from, from + count)
  }

  /**
   * Copies the words in which `start` to `end` lie to others `shift`
   * bytes further, a multiple of four: for few bytes, in compiled code.
   */
  copyWords(start: number, end: number, shift: number): void {
    const { u32 } = this
    const by = shift >> 2
    const words = (end + 3) >>> 2
    for (let at = start >>> 2; at < words; at++) u32[at + by] = u32[at]!
  }

  /** The bytes from `start` to `end`, as a view that nobody keeps: perhaps the one that was asked for before. */
  part(start: number, end: number): Uint8Array {
    const { parts } = this
    if (parts === null || end - start > LONGEST_PART) return subarray.call(this.u8, start, end)
    const slot = (start >>> MIN_ORDER) & (PARTS - 1)
    if (this.partStarts[slot] === start && this.partEnds[slot] === end) return parts[slot]!
    const part: Uint8Array = subarray.call(this.u8, start, end)
    parts[slot] = part
    this.partStarts[slot] = start
    this.partEnds[slot] = end
    return part
  }

  /**
   * The order of the smallest free block, of those that are listed,
   * from which one of `order` can be cut; above MAX_ORDER for none.
   */
  private smallestFree(order: number): number {
    let at = order
    while (at <= MAX_ORDER && this.free[at] === NIL) at++
    return at
  }

  /** Lists the blocks that were held back. */
  private mergeKept(): void {
    for (let order = MIN_ORDER; order <= KEPT_ORDER; order++) {
      const block = this.kept[order]!
      this.kept[order] = NIL
      if (block !== NIL) this.merge(block, order)
    }
  }

  /** Lists a free block, as large as it becomes with its free neighbours. */
  private merge(block: number, order: number): void {
    while (order < MAX_ORDER) {
      const buddy = block ^ (1 << order)
      if (this.freeOrder[buddy >>> MIN_ORDER] !== order) break
      this.unlink(buddy, order)
      block &= ~(1 << order)
      order++
    }
    this.link(block, order)
  }

  private grow(needed: number): boolean {
    const before = this.u8.length
    // Grow by half at least, so that growing stays rare; by the block's own size, so that an aligned one fits.
    const wanted = Math.max(before >>> 1, needed + (-before & (needed - 1)), FIRST_GROWTH)
    const most = this.limit - before
    const bytes = Math.ceil(Math.min(wanted, most) / PAGE) * PAGE
    if (bytes > most || bytes < needed + (-before & (needed - 1))) return false
    try {
      this.backing.grow(bytes / PAGE)
    } catch {
      return false
    }
    this.renewViews()
    const orders = new Uint8Array(this.u8.length >>> MIN_ORDER)
    orders.set(this.freeOrder)
    this.freeOrder = orders
    // Hand the new pages to the free lists as the largest aligned blocks that they make up.
    let at = before
    let left = bytes
    while (left > 0) {
      let order = MAX_ORDER
      while (1 << order > left || (at & ((1 << order) - 1)) !== 0) order--
      this.merge(at, order)
      at += 1 << order
      left -= 1 << order
    }
    return true
  }

  private renewViews(): void {
    const buffer = this.backing.buffer
    this.u8 = new Uint8Array(buffer)
    this.u32 = new Uint32Array(buffer)
    this.i32 = new Int32Array(buffer)
    this.view = new DataView(buffer)
    this.parts?.fill(NOTHING)
    this.partStarts.fill(0)
    this.partEnds.fill(0)
  }

  private link(block: number, order: number): void {
    const head = this.free[order]!
    this.i32[block >>> 2] = head
    this.i32[(block >>> 2) + 1] = NIL
    if (head !== NIL) this.i32[(head >>> 2) + 1] = block
    this.free[order] = block
    this.freeOrder[block >>> MIN_ORDER] = order
  }

  private unlink(block: number, order: number): void {
    const next = this.i32[block >>> 2]!
    const previous = this.i32[(block >>> 2) + 1]!
    if (previous === NIL) this.free[order] = next
    else this.i32[previous >>> 2] = next
    if (next !== NIL) this.i32[(next >>> 2) + 1] = previous
    this.freeOrder[block >>> MIN_ORDER] = 0
  }
}

const SHORT_COPY = 16
/** Up to so many bytes a call into WebAssembly and its loop take less time than a call of `copyWithin`. */
const WORTH_A_KERNEL = 256
/** Views that are kept, and the bytes of the longest. */
const PARTS = 64
const LONGEST_PART = 256
const NOTHING = new Uint8Array(0)
/** Bytes in a page of WebAssembly memory. */
const PAGE = 0x1_0000
const FIRST_GROWTH = 0x10_0000
const NIL = -1
/** The smallest block is 256 bytes. */
const MIN_ORDER = 8
/** Blocks of up to 64 KiB are held back when they come back. */
const KEPT_ORDER = 16
/** The largest block is 256 MiB. */
const MAX_ORDER = 28
const LARGEST = 1 << MAX_ORDER

const orderOf = (bytes: number): number => (bytes <= 1 << MIN_ORDER ? MIN_ORDER : 32 - Math.clz32(bytes - 1))
