import type { Micros } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import { type Frame, FrameChecksum, FrameQueue, TRANSPORT_OFFSET } from '../core/frame.ts'
import { Task } from '../core/loop.ts'
import type { World } from '../core/world.ts'
import type { FrameTap, LinkFeatures, LinkPort, LinkUser } from '../link/port.ts'
import { packetLength } from '../link/segmentation.ts'
import { Drop } from '../wire/drop.ts'
import { ETHERNET_HEADER } from '../wire/ethernet.ts'
import { MAX_PACKET } from '../wire/ip.ts'
import { type Device, type DeviceOptions, deviceOffloads, featuresOf, openDevice } from './device.ts'
import { DeviceError, describe, refusal } from './device-error.ts'
import { DeviceSpin } from './device-spin.ts'
import type { LinkState } from './link-watch.ts'
import { type DescriptorWatch, EBADFD, type Reader, type Syscalls } from './syscalls.ts'
import { TunTapStatistics } from './tuntap-statistics.ts'
import { moveUp, readVnetHeader, VNET_HEADER, writeVnetHeader } from './vnet.ts'

/** Which device, and what it tells of itself. */
export interface TunTapOptions extends DeviceOptions {
  /** Frames that may wait for the kernel to take them: 1000 unless given. */
  readonly queueLength?: number
  /**
   * How long to look for more after each packet before sleeping, microseconds: 0 unless given (`net.core.busy_poll`).
   */
  readonly busyPoll?: Micros
  /** Told once, in one line, when the device is lost. `LinkUser.carrierChanged` has been called before. */
  readonly onError?: (error: DeviceError) => void
  /** Told when the kernel's interface goes down or comes up. */
  readonly onCarrier?: (up: boolean) => void
}

/** Where in a frame an IP header is placed that comes from the device: behind headroom, on a multiple of four. */
const NETWORK_OFFSET = 40
/** Frames and bytes moved in one run, before other tasks get their turn. */
const BATCH_FRAMES = 64
const BATCH_BYTES = 0x2_0000
/** Frames that `send` lets wait before it does not wait for the run loop. */
const FLUSH_AT = 64
/** The largest frame: an IP packet, an Ethernet header and two tags. */
const LARGEST = MAX_PACKET + ETHERNET_HEADER + 8
/** Up to this many bytes, a frame is copied out of the block it was read into, which is made for the largest. */
const COPY_LIMIT = 10_000

/** Up to this many bytes it is copied word by word, without a call out of compiled code. */
const SHORT_COPY = 128

/** A frame of at most so many bytes may be a request that somebody waits for, or an ACK: no bulk. */
const SHORT = 2048

/**
 * The kernel's end of a TUN or TAP device, as a port of a link: what the stack sends, the kernel receives from its
 * interface, and the other way round. With `offload`, large segments and unfinished checksums pass as they are.
 *
 * Reading goes straight into frames: one that was made for the largest, from which small ones are copied. It happens in
 * the run loop, in batches, from when the event loop says that there is something, or has read the first by itself,
 * until the kernel says that there is nothing more. Before sleeping again, the port looks a few times whether the
 * answer to what it sent is there already, as long as that is often the case and the traffic is light: that saves the
 * 30 microseconds that waking up takes.
 *
 * The carrier is there while the kernel's interface is up. When the device is removed, the port closes itself.
 */
export class TunTapPort extends Task implements LinkPort, Reader {
  readonly taps: FrameTap[] = []
  readonly statistics = new TunTapStatistics()
  readonly name: string
  /** The kernel's interface index. */
  readonly index: number
  user: LinkUser | null = null

  private readonly world: World
  private readonly device: Device
  private readonly syscalls: Syscalls
  private readonly fd: number
  private readonly watch: DescriptorWatch
  private readonly queue = new FrameQueue()
  private readonly queueLength: number
  private readonly onError: ((error: DeviceError) => void) | undefined
  private readonly onCarrier: ((up: boolean) => void) | undefined
  private readonly spinAgain: () => void
  /** Bytes of the header before every frame: VNET_HEADER or 0. */
  private readonly header: number
  /** Are checksums verified, whatever the kernel says of them? */
  private readonly verifies: boolean
  private readonly spin: DeviceSpin
  /** Frames read in one run. */
  private readonly batch: number
  private current: LinkFeatures
  private up: boolean
  private closed = false
  /** Is `run` under way, which writes what is sent meanwhile? */
  private running = false
  /** May there be something to read? */
  private readable = false
  /** Has the kernel refused a frame for want of room? */
  private blocked = false
  /** Is the watch to tell when there is room? */
  private awaitsRoom = false
  /** The frame that is read into next, and the one that the event loop reads into. */
  private landing: Frame
  private loopLanding: Frame
  /** Bytes of the frame that the event loop has read; 0 when there is none. */
  private landed = 0
  /** Is the callback of the event loop under way? */
  private isCalled = false
  /** What `into` gave last: this part of these bytes of the memory. */
  private landingBytes: Uint8Array | null = null
  private landingAt = 0
  private landingOf: Uint8Array | null = null
  /** The memory's bytes when their address was last asked for, and that address. */
  private seen: Uint8Array | null = null
  private base = 0
  private spinArranged = false

  /** Made by `openTunTap`. */
  constructor(world: World, device: Device, landings: readonly [Frame, Frame], options: TunTapOptions) {
    super()
    this.world = world
    this.landing = landings[0]
    this.loopLanding = landings[1]
    this.device = device
    this.syscalls = device.syscalls
    this.fd = device.fd
    this.name = device.name
    this.index = device.state.index
    const { rx, tx } = device.offloads
    this.header = rx || tx ? VNET_HEADER : 0
    this.verifies = !rx
    this.spin = new DeviceSpin(world.fast.spin, options.busyPoll ?? 0)
    this.batch = world.fast.batches ? BATCH_FRAMES : 1
    this.queueLength = options.queueLength ?? 1000
    this.onError = options.onError
    this.onCarrier = options.onCarrier
    this.current = featuresOf(device, device.state.mtu)
    this.up = device.state.up
    this.spinAgain = () => {
      this.spinArranged = false
      this.wake()
    }
    device.links.listen(device.state.index, (state) => this.linkChanged(state))
    const ready = (): void => {
      this.statistics.wakes++
      this.wake()
    }
    this.watch = device.syscalls.watch(device.fd, ready, this)
  }

  get features(): LinkFeatures {
    return this.current
  }

  get carrier(): boolean {
    return this.up && !this.closed
  }

  /** Is the port closed, by `close` or because the device is gone? */
  get isClosed(): boolean {
    return this.closed
  }

  /** Frames that wait for the kernel. */
  get queued(): number {
    return this.queue.length
  }

  /** Where the event loop reads. */
  get into(): Uint8Array {
    const { u8 } = this.world.memory
    const at = this.startIn(this.loopLanding) - this.header
    if (this.landingBytes === null || this.landingAt !== at || this.landingOf !== u8) {
      this.landingBytes = u8.subarray(at, at + LARGEST + this.header)
      this.landingAt = at
      this.landingOf = u8
    }
    return this.landingBytes
  }

  /**
   * The event loop has read a frame: it is dealt with at once, and so is what comes of that. One that somebody may wait
   * for an answer to goes up before anything else is looked at.
   */
  took(length: number): void {
    if (this.closed) return
    // Only in a world that nobody drives does one lie there still.
    if (this.landed > 0) this.statistics.drops[Drop['link-queue-full']]!++
    this.statistics.wakes++
    this.landed = length
    const { loop } = this.world
    this.isCalled = true
    loop.hold()
    try {
      if (length <= SHORT && loop.enter()) this.answer()
      else loop.refresh()
    } finally {
      this.wake()
      loop.release()
      this.isCalled = false
    }
  }

  /** Takes in what the event loop has read, and writes what answers it, before anything else is done. */
  private answer(): void {
    this.running = true
    try {
      if (this.receiveOne() > 0) this.flush()
    } finally {
      this.running = false
      this.world.loop.leave()
    }
  }

  send(frame: Frame): void {
    const { taps, queue, current } = this
    for (let i = 0; i < taps.length; i++) taps[i]!.frame(frame, true)
    if (!this.carrier) this.drop(frame, Drop['link-down'])
    else if (queue.length >= this.queueLength) this.drop(frame, Drop['link-queue-full'])
    else if (
      frame.end - frame.start > current.mtu &&
      packetLength(this.world.memory, frame, current.medium) > (frame.segmentSize > 0 ? MAX_PACKET : current.mtu)
    ) {
      this.drop(frame, Drop['link-mtu'])
    } else {
      frame.time = this.world.loop.now
      queue.push(frame)
      if (queue.length >= FLUSH_AT && !this.blocked) this.flush()
      else if (!this.running) this.world.loop.post(this)
    }
  }

  /** Gives the device back: the kernel removes it, unless it was made to stay. Frames that wait are lost. */
  close(): void {
    if (this.closed) return
    this.closed = true
    this.up = false
    this.watch.close()
    this.device.close()
    for (let frame = this.queue.shift(); frame !== null; frame = this.queue.shift()) {
      this.drop(frame, Drop['link-down'])
    }
    this.world.frames.release(this.landing)
    this.world.frames.release(this.loopLanding)
  }

  override run(): void {
    if (this.closed) return
    this.running = true
    try {
      this.flush()
      if (this.readable) this.receiveBatch()
      this.flush()
    } finally {
      this.running = false
    }
    if (this.closed) return
    if (this.readable) this.world.loop.post(this)
    else if (this.spin.left > 0 && !this.spinArranged) {
      this.spinArranged = true
      setImmediate(this.spinAgain)
    }
  }

  /** There may be something to read, or room to write. */
  private wake(): void {
    if (this.closed) return
    this.blocked = false
    this.readable = true
    this.world.loop.post(this)
  }

  private receiveBatch(): void {
    let bytes = 0
    for (let i = 0; i < this.batch && bytes < BATCH_BYTES; i++) {
      const length = this.receiveOne()
      if (length <= 0) {
        this.readable = false
        if (length === 0 && this.spin.looksAgain(this.world.loop.now)) this.statistics.spins++
        return
      }
      bytes += length
      // What answers a short one does not wait until it was looked for more.
      if (i === 0 && length <= SHORT) this.flush()
    }
  }

  /** Reads a frame and hands it up. @returns its length in bytes; 0 when there is none, -1 when the port is closed */
  private receiveOne(): number {
    const { landed, header } = this
    const landing = landed > 0 ? this.loopLanding : this.landing
    const start = this.startIn(landing)
    this.landed = 0
    const result = landed > 0 ? landed : this.syscalls.read(this.fd, this.address(start - header), LARGEST + header)
    if (result <= header) return this.readFailed(result)
    const length = result - header
    this.spin.moved += length
    this.spin.found++
    landing.start = start
    landing.end = start + length
    landing.network = landing.base + NETWORK_OFFSET
    landing.transport = landing.base + TRANSPORT_OFFSET
    landing.etherType = 0
    landing.checksum = FrameChecksum.Unverified
    landing.segmentSize = 0
    this.accept(landing, length)
    return this.closed ? -1 : length
  }

  /** Where in the memory a frame begins that is read into `landing`, behind its virtio header. */
  private startIn(landing: Frame): number {
    return landing.base + NETWORK_OFFSET - (this.current.medium === 'ethernet' ? ETHERNET_HEADER : 0)
  }

  /** Takes in a frame that was read. A frame that is dropped here leaves its block for the next. */
  private accept(landing: Frame, length: number): void {
    const { world, statistics, taps } = this
    const reason = this.header === 0 ? Drop.none : readVnetHeader(world.memory, landing, this.current.medium)
    if (reason !== Drop.none) {
      statistics.drops[reason]!++
      return
    }
    if (this.verifies && landing.checksum === FrameChecksum.Good) landing.checksum = FrameChecksum.Unverified
    const frame = this.takeFrame(landing, length)
    if (frame === null) {
      statistics.drops[Drop['no-memory']]!++
      return
    }
    statistics.received++
    statistics.receivedBytes += length
    frame.time = world.loop.now
    for (let i = 0; i < taps.length; i++) taps[i]!.frame(frame, false)
    if (this.user === null) this.drop(frame, Drop['link-no-receiver'])
    else this.user.receive(frame)
  }

  /** The frame that goes up: a copy of `landing`, or itself when it is too large for that; null when memory is out. */
  private takeFrame(landing: Frame, length: number): Frame | null {
    const { frames, memory } = this.world
    // The event loop is told only in its callback that it is to read into another one.
    if (length > COPY_LIMIT && (landing === this.landing || this.isCalled)) {
      // Another one to land in first, so that there always is one.
      const next = frames.allocate(LARGEST)
      if (next === null) return null
      if (landing === this.landing) this.landing = next
      else this.loopLanding = next
      return landing
    }
    const frame = frames.allocate(length)
    if (frame === null) return null
    const shift = frame.base - landing.base
    if (length <= SHORT_COPY) memory.copyWords(landing.start, landing.end, shift)
    else memory.u8.copyWithin(landing.start + shift, landing.start, landing.end)
    frame.start = landing.start + shift
    frame.end = landing.end + shift
    frame.network = landing.network + shift
    frame.transport = landing.transport + shift
    frame.etherType = landing.etherType
    frame.checksum = landing.checksum
    frame.segmentSize = landing.segmentSize
    return frame
  }

  /** @returns 0 when there is nothing to read, -1 when there is no device any more */
  private readFailed(result: number): number {
    if (result >= 0 || result === -Errno.EAGAIN || result === -Errno.EINTR) return 0
    // An interface that is down has nothing to read; older kernels say so by an error.
    if (result === -Errno.EIO || result === -Errno.ENETDOWN) return 0
    this.lost(-result)
    return -1
  }

  /** Writes what waits, until the kernel takes no more. */
  private flush(): void {
    const { queue } = this
    while (!this.blocked && queue.first !== null) {
      const frame = queue.first
      const reason = this.makeHeader(frame)
      const result = reason === Drop.none ? this.write(frame) : 0
      if (result === -Errno.EAGAIN) {
        this.block()
        return
      }
      if (this.closed) return
      queue.shift()
      if (reason !== Drop.none) this.drop(frame, reason)
      else if (result < 0) this.drop(frame, refusal(-result))
      else {
        this.statistics.sent++
        this.statistics.sentBytes += frame.end - frame.start
        this.spin.moved += frame.end - frame.start
        this.world.frames.release(frame)
      }
    }
    if (!this.awaitsRoom || this.blocked) return
    this.awaitsRoom = false
    this.watch.setWritable(false)
  }

  /** Puts the virtio header before the frame. @returns `Drop.none`, or why the frame cannot be sent */
  private makeHeader(frame: Frame): number {
    if (this.header === 0) return Drop.none
    const { memory } = this.world
    if (frame.start - frame.base < VNET_HEADER && !moveUp(memory.u8, frame)) return Drop['link-mtu']
    return writeVnetHeader(memory, frame)
  }

  /** @returns the negated error number, or what was written */
  private write(frame: Frame): number {
    const at = frame.start - this.header
    const result = this.syscalls.write(this.fd, this.address(at), frame.end - at)
    if (result === -EBADFD || result === -Errno.EBADF || result === -Errno.ENODEV) this.lost(-result)
    return result
  }

  private block(): void {
    this.blocked = true
    this.awaitsRoom = true
    this.watch.setWritable(true)
  }

  /** The kernel's interface has changed; null when it is gone from this network namespace. */
  private linkChanged(state: LinkState | null): void {
    if (this.closed) return
    if (state === null) {
      // Moved to another namespace it works on, but nobody tells any more whether it is up.
      if (!this.device.isAttached()) this.lost(Errno.ENODEV)
      else this.setUp(true)
      return
    }
    if (state.mtu > 0 && state.mtu !== this.current.mtu) this.current = featuresOf(this.device, state.mtu)
    this.setUp(state.up)
  }

  private setUp(up: boolean): void {
    if (up === this.up) return
    this.up = up
    this.world.loop.refresh()
    if (!up) {
      for (let frame = this.queue.shift(); frame !== null; frame = this.queue.shift()) {
        this.drop(frame, Drop['link-down'])
      }
    }
    this.user?.carrierChanged(up)
    this.onCarrier?.(up)
  }

  private lost(errno: number): void {
    if (this.closed) return
    const had = this.carrier
    this.close()
    this.world.loop.refresh()
    if (had) this.user?.carrierChanged(false)
    const why = errno === EBADFD || errno === Errno.ENODEV ? 'was removed' : `failed: ${describe(errno)}`
    this.onError?.(new DeviceError('ENODEV', `device ${this.name} ${why}`))
  }

  private drop(frame: Frame, reason: number): void {
    this.statistics.drops[reason]!++
    this.world.frames.release(frame)
  }

  /** The machine's address of offset `at` of the world's memory. */
  private address(at: number): number {
    const { u8 } = this.world.memory
    if (u8 !== this.seen) {
      this.seen = u8
      this.base = this.syscalls.addressOf(u8)
    }
    return this.base + at
  }
}

/**
 * Opens a TUN or TAP device, which the kernel makes if there is none of that name, and which is gone when the port is
 * closed, unless somebody made it to stay (`ip tuntap add`). Its kernel side is set up by ifconfig.ts.
 * @throws DeviceError with one line that says what to do
 */
export const openTunTap = (world: World, options: TunTapOptions): TunTapPort => {
  const { frames } = world
  const landing = frames.allocate(LARGEST)
  const loopLanding = frames.allocate(LARGEST)
  try {
    if (landing === null || loopLanding === null) {
      throw new DeviceError('ENOMEM', 'cannot open a device: the memory of the world is used up')
    }
    const device = openDevice({ ...options, offload: deviceOffloads(options.offload, world.fast) })
    return new TunTapPort(world, device, [landing, loopLanding], options)
  } catch (error) {
    if (landing !== null) frames.release(landing)
    if (loopLanding !== null) frames.release(loopLanding)
    throw error
  }
}
