import { type Frame, FrameQueue } from '../core/frame.ts'
import { Task } from '../core/loop.ts'
import type { World } from '../core/world.ts'
import type { FrameTap, LinkFeatures, LinkPort, LinkUser } from '../link/port.ts'
import { packetLength } from '../link/segmentation.ts'
import { DROP_REASONS, Drop } from '../wire/drop.ts'
import { MAX_PACKET } from '../wire/ip.ts'
import { SharedRing, sharedRingSize } from './shared-ring.ts'

/** What both threads are to be given of a link between them; `postMessage` and `workerData` carry it. */
export interface SharedLink {
  readonly buffer: SharedArrayBuffer
  /** Bytes that may be on their way, each way. */
  readonly capacity: number
}

/** Bytes each way, unless told otherwise. */
const CAPACITY = 0x20_0000

/**
 * @param capacity bytes that may be on their way, each way: a power of two, at least 256 KB
 * @throws RangeError for others
 */
export const sharedLink = (capacity = CAPACITY): SharedLink => {
  const buffer = new SharedArrayBuffer(SIGNALS + 2 * sharedRingSize(capacity))
  const link = { buffer, capacity }
  ringAt(link, 0)
  return link
}

/**
 * Words before the rings, four for each end: a count of what there was to tell it; is it asleep; does it wait for room.
 */
const SIGNALS = 32
const SIGNAL = 0
const ASLEEP = 1
const WANTS_ROOM = 2
const WORDS = 4

const ringAt = ({ buffer, capacity }: SharedLink, index: number): SharedRing => {
  const size = sharedRingSize(capacity)
  return new SharedRing(buffer, SIGNALS + index * size, size)
}

/** Frames that wait for room, unless told otherwise, and frames moved in one run. */
const QUEUE = 1000
const BATCH = 64

/** As much as a link in memory can do: IP packets of 64 KB, nothing computed and nothing cut. */
const FEATURES: LinkFeatures = {
  medium: 'ip',
  mtu: 1500,
  maxSegmentedPacket: MAX_PACKET,
  checksumOffload: true,
  fcs: false,
}

export interface SharedPortOptions {
  readonly features?: Partial<LinkFeatures>
  /** Frames that may wait for room: 1000 unless given. */
  readonly queueLength?: number
}

/**
 * One end of a link between the worlds of two threads. Frames are copied into shared memory and out of it again; a
 * thread that sleeps is woken by `Atomics.notify`. The port does not keep the thread alive: its world's driver does.
 */
export class SharedPort extends Task implements LinkPort {
  readonly features: LinkFeatures
  readonly taps: FrameTap[] = []
  /** Frames dropped, either way, by reason. */
  readonly drops = new Float64Array(DROP_REASONS)
  user: LinkUser | null = null

  private readonly world: World
  private readonly signals: Int32Array
  private readonly outgoing: SharedRing
  private readonly incoming: SharedRing
  /** The places of this end's words, and of the other's. */
  private readonly own: number
  private readonly other: number
  private readonly queue = new FrameQueue()
  private readonly queueLength: number
  private sleeping = false
  private closed = false

  /** @param end 0 in one thread, 1 in the other */
  constructor(world: World, link: SharedLink, end: 0 | 1, options: SharedPortOptions = {}) {
    super()
    this.world = world
    this.signals = new Int32Array(link.buffer, 0, 2 * WORDS)
    this.outgoing = ringAt(link, end)
    this.incoming = ringAt(link, 1 - end)
    this.own = end * WORDS
    this.other = WORDS - this.own
    this.features = { ...FEATURES, ...options.features }
    this.queueLength = options.queueLength ?? QUEUE
    world.loop.post(this)
  }

  get carrier(): boolean {
    return !this.closed
  }

  /** Senders that look wait, and lose nothing. */
  get isFull(): boolean {
    return this.queue.length >= this.queueLength
  }

  send(frame: Frame): void {
    const { taps, queue, features } = this
    for (let i = 0; i < taps.length; i++) taps[i]!.frame(frame, true)
    const most = frame.segmentSize > 0 ? features.maxSegmentedPacket : features.mtu
    if (this.closed) this.drop(frame, Drop['link-down'])
    else if (queue.length >= this.queueLength) this.drop(frame, Drop['link-queue-full'])
    else if (packetLength(this.world.memory, frame, features.medium) > most) this.drop(frame, Drop['link-mtu'])
    else {
      queue.push(frame)
      this.world.loop.post(this)
    }
  }

  /** Carries nothing any more. The other end sends on, until its ring is full. */
  close(): void {
    if (this.closed) return
    this.closed = true
    this.queue.clear(this.world.frames)
    // A wait that is under way would keep the memory.
    Atomics.add(this.signals, this.own + SIGNAL, 1)
    Atomics.notify(this.signals, this.own + SIGNAL)
  }

  override run(): void {
    if (this.closed) return
    this.flush()
    const more = this.receiveBatch()
    this.flush()
    if (this.closed) return
    if (more) this.world.loop.post(this)
    else this.sleep()
  }

  /** Moves what waits into the ring, as far as there is room. */
  private flush(): void {
    const { queue, outgoing, world, signals } = this
    let moved = false
    while (queue.first !== null) {
      if (!outgoing.write(world, queue.first)) {
        // The reader tells when it has made room; it may have done so just now.
        Atomics.store(signals, this.own + WANTS_ROOM, 1)
        if (!outgoing.write(world, queue.first)) break
      }
      moved = true
      world.frames.release(queue.shift()!)
    }
    if (moved) this.tell()
  }

  /** @returns whether there is more to read */
  private receiveBatch(): boolean {
    const { incoming, world, signals } = this
    for (let i = 0; i < BATCH; i++) {
      const frame = incoming.read(world)
      if (frame === null) break
      if (frame === 'no memory') this.drops[Drop['no-memory']]!++
      else this.accept(frame)
      if (this.closed) return false
    }
    if (Atomics.exchange(signals, this.other + WANTS_ROOM, 0) === 1) this.tell()
    return !incoming.isEmpty
  }

  private accept(frame: Frame): void {
    frame.time = this.world.loop.now
    for (let i = 0; i < this.taps.length; i++) this.taps[i]!.frame(frame, false)
    if (this.user === null) this.drop(frame, Drop['link-no-receiver'])
    else this.user.receive(frame)
  }

  /** Wakes the other end, if it sleeps: there is something to read, or room to write. */
  private tell(): void {
    const { signals, other } = this
    Atomics.add(signals, other + SIGNAL, 1)
    if (Atomics.load(signals, other + ASLEEP) === 1) Atomics.notify(signals, other + SIGNAL)
  }

  /** Waits to be told, unless something has come meanwhile. */
  private sleep(): void {
    if (this.sleeping) return
    const { signals, own, world } = this
    const count = Atomics.load(signals, own + SIGNAL)
    Atomics.store(signals, own + ASLEEP, 1)
    if (!this.incoming.isEmpty) {
      Atomics.store(signals, own + ASLEEP, 0)
      world.loop.post(this)
      return
    }
    const wait = Atomics.waitAsync(signals, own + SIGNAL, count)
    if (!wait.async) {
      Atomics.store(signals, own + ASLEEP, 0)
      world.loop.post(this)
      return
    }
    this.sleeping = true
    void wait.value.then(() => this.woken())
  }

  private woken(): void {
    this.sleeping = false
    if (this.closed) return
    Atomics.store(this.signals, this.own + ASLEEP, 0)
    this.world.loop.post(this)
  }

  private drop(frame: Frame, reason: number): void {
    this.drops[reason]!++
    this.world.frames.release(frame)
  }
}
