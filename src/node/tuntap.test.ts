import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { VirtualClock } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import { fastPaths } from '../core/fast-paths.ts'
import { type Frame, FrameChecksum } from '../core/frame.ts'
import { SeededRandom } from '../core/random.ts'
import { Timer } from '../core/timer.ts'
import { World } from '../core/world.ts'
import type { LinkUser } from '../link/port.ts'
import { namedDrops } from '../link/statistics.ts'
import { ip } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { IpHeader, IpProtocol } from '../wire/ip.ts'
import { emitIpv4 } from '../wire/ipv4.ts'
import type { DeviceError } from './device-error.ts'
import { NetlinkType } from './netlink.ts'
import { EBADFD } from './syscalls.ts'
import { FakeKernel, hex, ORDINARY, unhex } from './testing.ts'
import { openTunTap, type TunTapOptions, type TunTapPort } from './tuntap.ts'

/** Keeps what arrives until it is told to give it back. */
class Keeper implements LinkUser {
  readonly frames: Frame[] = []
  readonly carrier: boolean[] = []
  onReceive: ((frame: Frame) => void) | null = null

  receive(frame: Frame): void {
    this.frames.push(frame)
    this.onReceive?.(frame)
  }

  carrierChanged(up: boolean): void {
    this.carrier.push(up)
  }
}

let kernel: FakeKernel
let world: World
let keeper: Keeper
let errors: DeviceError[]
let immediates: (() => void)[]

beforeEach(() => {
  kernel = new FakeKernel()
  kernel.up = true
  world = new World(new VirtualClock(), new SeededRandom(1), 0x100_0000)
  kernel.memory = world.memory
  keeper = new Keeper()
  errors = []
  immediates = []
  vi.stubGlobal('setImmediate', (callback: () => void) => immediates.push(callback))
})

afterEach(() => {
  vi.unstubAllGlobals()
})

const open = (options: Partial<TunTapOptions> = {}): TunTapPort => {
  const port = openTunTap(world, {
    kind: 'tun',
    name: 'ng0',
    offload: false,
    syscalls: kernel,
    surroundings: ORDINARY,
    onError: (error) => errors.push(error),
    ...options,
  })
  port.user = keeper
  return port
}

/** An IPv4 packet of `length` bytes, with a number in its last. */
const packet = (length: number, number = 0): Uint8Array => {
  const bytes = new Uint8Array(length).fill(0xee)
  bytes[0] = 0x45
  bytes[length - 1] = number
  return bytes
}

const frameOf = (bytes: Uint8Array): Frame => {
  const frame = world.frames.allocate(bytes.length)!
  world.memory.u8.set(bytes, frame.start)
  frame.end = frame.start + bytes.length
  return frame
}

const bytesOf = (frame: Frame): Uint8Array => world.memory.u8.slice(frame.start, frame.end)

/** Lets the event loop go round as long as the port asks for it, at most `times`. @returns how often it did */
const goRound = (times = 1000): number => {
  let count = 0
  while (immediates.length > 0 && count < times) {
    const now = immediates
    immediates = []
    for (const callback of now) callback()
    world.loop.turn()
    count++
  }
  return count
}

const closeAll = (port: TunTapPort): void => {
  for (const frame of keeper.frames) world.frames.release(frame)
  port.close()
  world.loop.turn()
  expect(world.frames.inUse).toBe(0)
  expect(kernel.descriptors.size).toBe(0)
  expect(kernel.watches.every((watch) => watch.closed)).toBe(true)
}

describe('features', () => {
  test('a plain TUN device', () => {
    const port = open()
    expect(port.features).toEqual({
      medium: 'ip',
      mtu: 1500,
      maxSegmentedPacket: 0,
      checksumOffload: false,
      fcs: false,
    })
    expect(port).toMatchObject({ name: 'ng0', index: 7, carrier: true, isClosed: false })
    closeAll(port)
  })

  test('a TAP device with offload', () => {
    const port = open({ kind: 'tap', offload: true })
    expect(port.features).toMatchObject({ medium: 'ethernet', maxSegmentedPacket: 65_535, checksumOffload: true })
    closeAll(port)
  })
})

describe('receiving', () => {
  test.each([
    ['tun', false, 0],
    ['tun', true, 0],
    ['tap', false, 14],
    ['tap', true, 14],
  ] as const)('%s, offload %s: the IP header lies on a whole word', (kind, offload, link) => {
    const port = open({ kind, offload })
    const header = new Uint8Array(offload ? 10 : 0)
    const small = packet(100 + link, 1)
    const large = packet(20_000 + link, 2)
    kernel.toRead.push(concat(header, small), concat(header, large))
    kernel.wake()
    world.loop.turn()
    expect(keeper.frames.map(bytesOf)).toEqual([small, large])
    for (const frame of keeper.frames) {
      expect((frame.start + link) % 4).toBe(0)
      expect(frame.network).toBe(frame.start + link)
      expect(frame.start - frame.base).toBeGreaterThanOrEqual(26)
    }
    // A small one takes a small block.
    expect(keeper.frames.map((frame) => frame.size)).toEqual([2048, 69_632])
    expect(port.statistics).toMatchObject({ received: 2, receivedBytes: 20_100 + 2 * link })
    closeAll(port)
  })

  test('each frame is its own', () => {
    const port = open()
    for (let i = 0; i < 5; i++) kernel.toRead.push(packet(40 + i, i), packet(15_000 + i, i))
    kernel.wake()
    world.loop.turn()
    expect(keeper.frames.map((frame) => frame.end - frame.start)).toEqual([
      40, 15_000, 41, 15_001, 42, 15_002, 43, 15_003, 44, 15_004,
    ])
    expect(keeper.frames.map((frame) => world.memory.u8[frame.end - 1])).toEqual([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    closeAll(port)
  })

  test('nothing is read before the event loop says so, and then until there is nothing', () => {
    const port = open()
    kernel.toRead.push(packet(40))
    world.loop.turn()
    expect(keeper.frames.length).toBe(0)
    kernel.wake()
    kernel.wake()
    world.loop.turn()
    expect(keeper.frames.length).toBe(1)
    expect(port.statistics.wakes).toBe(2)
    closeAll(port)
  })

  test('a batch ends after 64 frames, or 128 KiB, and others have their turn', () => {
    const port = open()
    for (let i = 0; i < 100; i++) kernel.toRead.push(packet(40, i))
    kernel.wake()
    expect(world.loop.turn(1)).toBe(true)
    expect(keeper.frames.length).toBe(64)
    expect(world.loop.turn(1)).toBe(false)
    expect(keeper.frames.length).toBe(100)
    for (let i = 0; i < 40; i++) kernel.toRead.push(packet(60_000, i))
    kernel.wake()
    expect(world.loop.turn(1)).toBe(true)
    expect(keeper.frames.length).toBe(103)
    world.loop.turn()
    expect(keeper.frames.length).toBe(140)
    closeAll(port)
  })

  test('the marks of one frame are not those of the next', () => {
    const port = open({ offload: true })
    const segments = tcpPacket(3000)
    kernel.toRead.push(
      concat(unhex('01 01 2800 b405 1400 1000'), segments),
      concat(unhex('00 00 0000 0000 0000 0000'), packet(40)),
      concat(unhex('02 00 0000 0000 0000 0000'), packet(40)),
    )
    kernel.wake()
    world.loop.turn()
    expect(keeper.frames.map((frame) => [frame.checksum, frame.segmentSize, frame.etherType])).toEqual([
      [FrameChecksum.Partial, 1460, 0x0800],
      [FrameChecksum.Unverified, 0, 0],
      [FrameChecksum.Good, 0, 0],
    ])
    expect(keeper.frames[0]!.transport - keeper.frames[0]!.network).toBe(20)
    closeAll(port)
  })

  test('a frame whose virtio header makes no sense is dropped and counted', () => {
    const port = open({ offload: true })
    kernel.toRead.push(
      concat(unhex('01 05 0000 0000 0000 0000'), packet(40)),
      concat(new Uint8Array(10), packet(40, 9)),
    )
    kernel.wake()
    world.loop.turn()
    expect(keeper.frames.map((frame) => world.memory.u8[frame.end - 1])).toEqual([9])
    expect(namedDrops(port.statistics.drops)).toEqual({ 'link-not-segmentable': 1 })
    closeAll(port)
  })

  test('without a user, and without memory, frames are dropped and counted', () => {
    const port = open()
    port.user = null
    kernel.toRead.push(packet(40))
    kernel.wake()
    world.loop.turn()
    expect(namedDrops(port.statistics.drops)).toEqual({ 'link-no-receiver': 1 })
    port.user = keeper
    // 16 MiB hold fewer than 240 frames of the largest kind.
    for (let i = 0; i < 300; i++) kernel.toRead.push(packet(60_000, i))
    kernel.wake()
    world.loop.turn()
    expect(kernel.toRead.length).toBe(0)
    const lost = port.statistics.drops[Drop['no-memory']]!
    expect(lost).toBeGreaterThan(60)
    expect(keeper.frames.length + lost).toBe(300)
    closeAll(port)
  })

  test('memory that grows is read into at its new place', () => {
    const port = open()
    kernel.toRead.push(packet(40, 1))
    kernel.wake()
    world.loop.turn()
    const before = kernel.addressed
    const block = world.memory.allocate(0x40_0000)
    kernel.toRead.push(packet(40, 2))
    kernel.wake()
    world.loop.turn()
    expect(kernel.addressed).toBe(before + 1)
    expect(keeper.frames.map((frame) => world.memory.u8[frame.end - 1])).toEqual([1, 2])
    world.memory.release(block, 0x40_0000)
    closeAll(port)
  })

  test('the port may be closed by who receives', () => {
    const port = open()
    keeper.onReceive = () => port.close()
    kernel.toRead.push(packet(40), packet(40), packet(40))
    kernel.wake()
    world.loop.turn()
    expect(keeper.frames.length).toBe(1)
    expect(kernel.toRead.length).toBe(2)
    closeAll(port)
  })

  test('taps see what passes, both ways', () => {
    const port = open()
    const seen: [number, boolean][] = []
    port.taps.push({ frame: (frame, outgoing) => seen.push([frame.end - frame.start, outgoing]) })
    kernel.toRead.push(packet(41))
    kernel.wake()
    port.send(frameOf(packet(42)))
    world.loop.turn()
    expect(seen).toEqual([
      [42, true],
      [41, false],
    ])
    closeAll(port)
  })
})

describe('a frame that the event loop has read', () => {
  /** As a driver in real time does it. */
  const drive = (): void => {
    world.loop.onCall = () => void world.loop.turn(Number.POSITIVE_INFINITY, true)
  }

  test.each([
    ['tun', false, 0],
    ['tun', true, 0],
    ['tap', true, 14],
  ] as const)('%s, offload %s: is received before its callback is over, and what follows it', (kind, offload, link) => {
    const port = open({ kind, offload })
    drive()
    const header = new Uint8Array(offload ? 10 : 0)
    const frames = [packet(100 + link, 1), packet(20_000 + link, 2), packet(101 + link, 3), packet(102 + link, 4)]
    kernel.toRead.push(concat(header, frames[1]!))
    kernel.give(concat(header, frames[0]!))
    expect(keeper.frames.map(bytesOf)).toEqual(frames.slice(0, 2))
    // What is read into was handed up, and is another.
    kernel.give(concat(header, frames[2]!))
    kernel.give(concat(header, frames[3]!))
    expect(keeper.frames.map(bytesOf)).toEqual(frames)
    expect(keeper.frames.map((frame) => (frame.start + link) % 4)).toEqual([0, 0, 0, 0])
    expect(port.statistics).toMatchObject({ received: 4, wakes: 3 })
    closeAll(port)
  })

  test('what answers it is written before more is read, and once', () => {
    const port = open()
    drive()
    keeper.onReceive = () => {
      port.send(frameOf(packet(50, kernel.toRead.length)))
      expect(kernel.written.length).toBe(keeper.frames.length - 1)
    }
    kernel.toRead.push(packet(40), packet(40))
    kernel.give(packet(40))
    expect(kernel.written.map((bytes) => bytes[49])).toEqual([2, 1, 0])
    expect(world.loop.hasWork).toBe(false)
    closeAll(port)
  })

  test('a short one is answered before what is due, and after what came before; a long one in its turn', () => {
    const log: string[] = []
    const timer = new Timer({ onTimer: () => log.push('timer') }, 0)
    const due = (): void => {
      const at = world.clock.now() + 5000
      world.loop.timers.schedule(timer, at)
      world.loop.turn()
      ;(world.clock as VirtualClock).advanceTo(at)
    }
    const port = open()
    keeper.onReceive = (frame) => {
      log.push(`${frame.end - frame.start}`)
      port.send(frameOf(packet(50)))
    }
    kernel.onWrite = () => log.push('write')
    drive()
    due()
    kernel.give(packet(2048))
    expect(log.splice(0)).toEqual(['2048', 'write', 'timer'])
    due()
    kernel.give(packet(2049))
    expect(log.splice(0)).toEqual(['timer', '2049', 'write'])
    due()
    // A turn has been arranged.
    port.send(frameOf(packet(50)))
    kernel.give(packet(100))
    expect(log).toEqual([])
    world.loop.turn()
    expect(log.splice(0)).toEqual(['timer', 'write', '100', 'write'])
    closeAll(port)
  })

  test('an error of who receives does not hold up what follows', () => {
    const port = open()
    drive()
    keeper.onReceive = () => {
      throw new Error('no')
    }
    expect(() => kernel.give(packet(40, 1))).toThrow('no')
    keeper.onReceive = null
    kernel.give(packet(40, 2))
    expect(keeper.frames.map((frame) => world.memory.u8[frame.end - 1])).toEqual([1, 2])
    expect([world.loop.isTurning, world.loop.hasWork]).toEqual([false, false])
    closeAll(port)
  })

  test.each([1, 2, 3, 21, 127, 128, 129])('%i bytes are taken out of where they were read', (length) => {
    const port = open({ kind: 'tap' })
    drive()
    const frame = Uint8Array.from({ length: 14 + length }, (_, i) => i + 1)
    kernel.give(frame)
    expect(bytesOf(keeper.frames[0]!)).toEqual(frame)
    closeAll(port)
  })

  test('memory that grows is read into at its new place', () => {
    const port = open()
    drive()
    kernel.give(packet(40, 1))
    const { into } = port
    expect(port.into).toBe(into)
    const block = world.memory.allocate(0x40_0000)
    expect(into.length).toBe(0)
    kernel.give(packet(40, 2))
    expect(keeper.frames.map((frame) => world.memory.u8[frame.end - 1])).toEqual([1, 2])
    world.memory.release(block, 0x40_0000)
    closeAll(port)
  })

  test('large ones, of which some come while the loop goes on by itself', () => {
    const port = open()
    drive()
    let number = 0
    const next = (): Uint8Array => packet(20_000, ++number)
    for (let i = 0; i < 5; i++) {
      kernel.toRead.push(next())
      // What is read then is read by the port, between what the event loop reads.
      kernel.wake()
      world.loop.turn()
      kernel.give(next())
      kernel.give(next())
      const drivenBy = world.loop.onCall
      world.loop.onCall = null
      kernel.give(next())
      world.loop.turn()
      world.loop.onCall = drivenBy
    }
    expect(keeper.frames.map((frame) => world.memory.u8[frame.end - 1])).toEqual(
      Array.from({ length: 20 }, (_, i) => i + 1),
    )
    closeAll(port)
  })

  test('without a driver it waits for a turn; one more takes its place', () => {
    const port = open()
    kernel.give(packet(40, 1))
    kernel.give(packet(41, 2))
    expect(keeper.frames.length).toBe(0)
    world.loop.turn()
    expect(keeper.frames.map(bytesOf)).toEqual([packet(41, 2)])
    expect(namedDrops(port.statistics.drops)).toEqual({ 'link-queue-full': 1 })
    closeAll(port)
  })

  test('the port may be closed by who receives, or be closed already', () => {
    const port = open()
    drive()
    keeper.onReceive = () => port.close()
    kernel.toRead.push(packet(40))
    kernel.give(packet(40))
    port.took(40)
    expect([keeper.frames.length, kernel.toRead.length]).toEqual([1, 1])
    closeAll(port)
  })
})

describe('sending', () => {
  test('frames are written in the next turn, in order', () => {
    const port = open()
    for (let i = 0; i < 10; i++) port.send(frameOf(packet(40 + i, i)))
    expect(kernel.written.length).toBe(0)
    expect(port.queued).toBe(10)
    world.loop.turn()
    expect(kernel.written.map((bytes) => bytes.length)).toEqual([40, 41, 42, 43, 44, 45, 46, 47, 48, 49])
    expect(port.statistics).toMatchObject({ sent: 10, sentBytes: 445 })
    closeAll(port)
  })

  test('a long burst is written before it is complete: it does not have to fit the queue', () => {
    const port = open({ queueLength: 100 })
    for (let i = 0; i < 1000; i++) port.send(frameOf(packet(40, i & 0xff)))
    expect(kernel.written.length).toBe(960)
    world.loop.turn()
    expect(kernel.written.length).toBe(1000)
    expect(kernel.written.every((bytes, i) => bytes[39] === (i & 0xff))).toBe(true)
    expect(namedDrops(port.statistics.drops)).toEqual({})
    closeAll(port)
  })

  test('what the kernel does not take waits until it does; what finds the queue full is dropped', () => {
    const port = open({ queueLength: 3 })
    const watch = kernel.watchOf('tun')
    kernel.writeResults.push(0, -Errno.EAGAIN)
    for (let i = 0; i < 3; i++) port.send(frameOf(packet(40, i)))
    world.loop.turn()
    expect(kernel.written.length).toBe(1)
    expect(watch.writable).toBe(true)
    for (let i = 3; i < 6; i++) port.send(frameOf(packet(40, i)))
    world.loop.turn()
    expect(kernel.written.length).toBe(1)
    expect(port.queued).toBe(3)
    expect(namedDrops(port.statistics.drops)).toEqual({ 'link-queue-full': 2 })
    watch.ready()
    world.loop.turn()
    expect(kernel.written.map((bytes) => bytes[39])).toEqual([0, 1, 2, 3])
    expect(watch.writable).toBe(false)
    closeAll(port)
  })

  test('what the kernel refuses is dropped by its reason, and the rest goes on', () => {
    const port = open()
    kernel.writeResults.push(-Errno.EINVAL, -Errno.EIO, -Errno.ENOMEM, 0)
    for (let i = 0; i < 4; i++) port.send(frameOf(packet(40, i)))
    world.loop.turn()
    expect(kernel.written.map((bytes) => bytes[39])).toEqual([3])
    expect(namedDrops(port.statistics.drops)).toEqual({ 'link-refused': 1, 'link-down': 1, 'no-memory': 1 })
    closeAll(port)
  })

  test('a packet over the MTU is dropped, but a tag is no part of the packet', () => {
    const tun = open()
    tun.send(frameOf(packet(1500)))
    tun.send(frameOf(packet(1501)))
    world.loop.turn()
    expect(kernel.written.map((bytes) => bytes.length)).toEqual([1500])
    expect(namedDrops(tun.statistics.drops)).toEqual({ 'link-mtu': 1 })
    closeAll(tun)
    const tap = open({ kind: 'tap' })
    const tagged = packet(1518)
    tagged.set(unhex('020000000001 020000000002 8100 0005 0800'))
    tap.send(frameOf(tagged))
    tap.send(frameOf(packet(1515)))
    world.loop.turn()
    expect(kernel.written.map((bytes) => bytes.length)).toEqual([1500, 1518])
    expect(namedDrops(tap.statistics.drops)).toEqual({ 'link-mtu': 1 })
    closeAll(tap)
  })

  test('offloads that are turned off one by one', () => {
    const segments = open({ offload: { tso: false, gro: false } })
    expect(segments.features).toMatchObject({ maxSegmentedPacket: 0, checksumOffload: true })
    expect(kernel.calls).toContain('ioctl 400454d0 1')
    segments.close()
    // Segments need checksums.
    const checksums = open({ offload: { tx: false, rx: false } })
    expect(checksums.features).toMatchObject({ maxSegmentedPacket: 0, checksumOffload: false })
    expect(kernel.calls.some((call) => call.startsWith('ioctl 400454ca') && call.endsWith('0110'))).toBe(true)
    checksums.close()
    // What the kernel has verified is verified again.
    const receive = open({ offload: { rx: false } })
    expect(kernel.calls).toContain('ioctl 400454d0 0')
    expect(receive.features).toMatchObject({ maxSegmentedPacket: 65_535, checksumOffload: true })
    kernel.toRead.push(new Uint8Array([2, ...Array(9).fill(0), ...packet(60)]))
    kernel.wake()
    world.loop.turn()
    expect(keeper.frames.map(({ checksum }) => checksum)).toEqual([FrameChecksum.Unverified])
    closeAll(receive)
  })

  test('with offload, the virtio header says what is left to do', () => {
    const port = open({ offload: true })
    const bytes = tcpPacket(3000)
    const frame = frameOf(bytes)
    frame.network = frame.start
    frame.transport = frame.start + 20
    frame.checksum = FrameChecksum.Partial
    frame.segmentSize = 1460
    port.send(frame)
    port.send(frameOf(packet(40)))
    world.loop.turn()
    expect(kernel.written.map((written) => hex(written.subarray(0, 10)))).toEqual([
      '01012800b40514001000',
      '00000000000000000000',
    ])
    expect(kernel.written[0]!.subarray(10)).toEqual(bytes)
    closeAll(port)
  })

  test('a frame without headroom is moved, and one that cannot be is dropped', () => {
    const port = open({ offload: true })
    const moved = frameOf(packet(100, 7))
    const shift = moved.start - moved.base
    world.memory.u8.copyWithin(moved.base, moved.start, moved.end)
    moved.start -= shift
    moved.end -= shift
    const full = world.frames.allocate(1000)!
    full.start = full.base + 4
    full.end = full.base + full.size - 4
    port.send(moved)
    port.send(full)
    world.loop.turn()
    expect(kernel.written.map((bytes) => hex(bytes.subarray(0, 11)))).toEqual(['0000000000000000000045'])
    expect(kernel.written[0]!.subarray(10)).toEqual(packet(100, 7))
    expect(namedDrops(port.statistics.drops)).toEqual({ 'link-mtu': 1 })
    closeAll(port)
  })
})

describe('the carrier', () => {
  test('comes and goes with the kernel’s interface; frames on their way are dropped', () => {
    kernel.up = false
    const port = open()
    expect(port.carrier).toBe(false)
    port.send(frameOf(packet(40)))
    expect(namedDrops(port.statistics.drops)).toEqual({ 'link-down': 1 })
    kernel.up = true
    kernel.announce()
    expect(port.carrier).toBe(true)
    kernel.announce()
    port.send(frameOf(packet(40)))
    kernel.up = false
    kernel.announce()
    expect(port.carrier).toBe(false)
    world.loop.turn()
    expect(kernel.written.length).toBe(0)
    expect(namedDrops(port.statistics.drops)).toEqual({ 'link-down': 2 })
    expect(keeper.carrier).toEqual([true, false])
    expect(errors).toEqual([])
    closeAll(port)
  })

  test('the MTU is the kernel’s', () => {
    const port = open()
    kernel.mtu = 9000
    kernel.announce()
    expect(port.features.mtu).toBe(9000)
    port.send(frameOf(packet(9000)))
    world.loop.turn()
    expect(kernel.written.length).toBe(1)
    closeAll(port)
  })

  test('other interfaces’ news is nobody’s business', () => {
    const port = open()
    const read = kernel.recv.bind(kernel)
    kernel.recv = (fd, into) => {
      const length = read(fd, into)
      if (length > 0) into[20] = 8
      return length
    }
    kernel.up = false
    kernel.announce()
    kernel.announce(NetlinkType.DeleteLink)
    expect(port.carrier).toBe(true)
    closeAll(port)
  })

  test('lost announcements are made up for', () => {
    const port = open()
    const watch = kernel.watchOf('netlink')
    const read = kernel.recv.bind(kernel)
    let lost = true
    kernel.recv = (fd, into) => {
      if (fd !== watch.fd || !lost) return read(fd, into)
      lost = false
      return -Errno.ENOBUFS
    }
    kernel.up = false
    watch.ready()
    expect(keeper.carrier).toEqual([false])
    closeAll(port)
  })
})

describe('the device is removed', () => {
  const expectLost = (port: TunTapPort): void => {
    expect(port).toMatchObject({ carrier: false, isClosed: true, queued: 0 })
    expect(keeper.carrier).toEqual([false])
    expect(errors.map((error) => `${error.code}: ${error.message}`)).toEqual(['ENODEV: device ng0 was removed'])
    expect(world.loop.turn()).toBe(false)
    expect(goRound()).toBe(0)
    port.send(frameOf(packet(40)))
    closeAll(port)
  }

  test('says the announcement', () => {
    const port = open()
    port.send(frameOf(packet(40)))
    kernel.failures.set('ioctl 800454d2', -EBADFD)
    kernel.announce(NetlinkType.DeleteLink)
    expectLost(port)
  })

  test('says reading', () => {
    const port = open()
    port.send(frameOf(packet(40)))
    world.loop.turn()
    kernel.toRead.push(packet(40), -EBADFD)
    kernel.wake()
    world.loop.turn()
    expectLost(port)
    expect(keeper.frames.length).toBe(1)
  })

  test('says writing', () => {
    const port = open()
    kernel.writeResults.push(-EBADFD)
    for (let i = 0; i < 3; i++) port.send(frameOf(packet(40)))
    world.loop.turn()
    expectLost(port)
  })

  test('another error ends it too, and has a name', () => {
    const port = open()
    kernel.toRead.push(-Errno.EFAULT)
    kernel.wake()
    world.loop.turn()
    expect(errors.map((error) => error.message)).toEqual(['device ng0 failed: Bad address (EFAULT)'])
    closeAll(port)
  })

  test('an interface that has only moved to another namespace works on', () => {
    kernel.up = false
    const port = open()
    kernel.announce(NetlinkType.DeleteLink)
    expect(port).toMatchObject({ carrier: true, isClosed: false })
    expect(keeper.carrier).toEqual([true])
    expect(errors).toEqual([])
    closeAll(port)
  })
})

describe('looking again before sleeping', () => {
  test('is tried; in vain, it is not tried again for a while', () => {
    const port = open()
    kernel.toRead.push(packet(40))
    kernel.wake()
    world.loop.turn()
    expect(goRound()).toBe(32)
    let tried = 0
    for (let i = 0; i < 63; i++) {
      kernel.toRead.push(packet(40))
      kernel.wake()
      world.loop.turn()
      tried += goRound()
    }
    expect(tried).toBe(0)
    kernel.toRead.push(packet(40))
    kernel.wake()
    world.loop.turn()
    expect(goRound()).toBe(32)
    closeAll(port)
  })

  test('goes on while it finds something, and for some time when it does no more', () => {
    const port = open()
    kernel.toRead.push(packet(40))
    kernel.wake()
    world.loop.turn()
    for (let i = 0; i < 100; i++) {
      expect(goRound(20)).toBe(20)
      kernel.toRead.push(packet(40))
    }
    expect(port.statistics.wakes).toBe(1)
    expect(port.statistics.received).toBe(100)
    let sleeps = 0
    for (; goRound() > 0; sleeps++) {
      kernel.toRead.push(packet(40))
      kernel.wake()
      world.loop.turn()
    }
    expect(sleeps).toBe(32)
    closeAll(port)
  })

  test('is not tried without that', () => {
    world = new World(new VirtualClock(), new SeededRandom(1), 0x100_0000, fastPaths(['spin']))
    kernel.memory = world.memory
    const port = open()
    kernel.toRead.push(packet(40))
    kernel.wake()
    world.loop.turn()
    expect(goRound()).toBe(0)
    closeAll(port)
  })

  test('for a time that was given, after each packet', () => {
    const clock = new VirtualClock()
    world = new World(clock, new SeededRandom(1), 0x100_0000, fastPaths(['spin']))
    kernel.memory = world.memory
    const port = open({ busyPoll: 1000 })
    kernel.wake()
    world.loop.turn()
    // Nothing has come yet.
    expect(goRound()).toBe(0)
    kernel.toRead.push(packet(1500), packet(1500), packet(1500))
    kernel.wake()
    world.loop.turn()
    expect(goRound(200)).toBe(200)
    clock.advanceTo(999)
    expect(goRound(200)).toBe(200)
    kernel.toRead.push(packet(40))
    expect(goRound(1)).toBe(1)
    clock.advanceTo(1998)
    expect(goRound(200)).toBe(200)
    clock.advanceTo(1999)
    expect(goRound(200)).toBe(1)
    expect([port.statistics.received, port.statistics.wakes]).toEqual([4, 2])
    closeAll(port)
  })

  test('is not tried under load', () => {
    const port = open()
    for (let i = 0; i < 100; i++) {
      for (let k = 0; k < 3; k++) kernel.toRead.push(packet(1500))
      kernel.wake()
      world.loop.turn()
      expect(goRound()).toBe(0)
    }
    closeAll(port)
  })

  test('ends with the port', () => {
    const port = open()
    kernel.toRead.push(packet(40))
    kernel.wake()
    world.loop.turn()
    expect(goRound(3)).toBe(3)
    closeAll(port)
    expect(goRound()).toBe(1)
  })
})

test('no memory for a port', () => {
  world = new World(new VirtualClock(), new SeededRandom(1), 0x1_0000)
  expect(() => open()).toThrow('cannot open a device: the memory of the world is used up')
  expect(kernel.calls).toEqual([])
})

test('a device that cannot be opened leaves nothing behind', () => {
  kernel.failures.set('ioctl 400454ca', -Errno.EBUSY)
  expect(() => open()).toThrow('device ng0 is in use')
  expect(world.frames.inUse).toBe(0)
  expect(kernel.descriptors.size).toBe(0)
})

const concat = (a: Uint8Array, b: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(a.length + b.length)
  bytes.set(a)
  bytes.set(b, a.length)
  return bytes
}

/** An IPv4 packet of `length` bytes with a TCP header that has no options. */
const tcpPacket = (length: number): Uint8Array => {
  const frame = world.frames.allocate(length)!
  const header = new IpHeader()
  header.source = ip('10.77.0.1')
  header.destination = ip('10.77.0.2')
  header.protocol = IpProtocol.Tcp
  emitIpv4(header, world.memory, frame.start, length - 20)
  world.memory.u8.fill(0, frame.start + 20, frame.start + length)
  world.memory.u8[frame.start + 32] = 0x50
  const bytes = world.memory.u8.slice(frame.start, frame.start + length)
  world.frames.release(frame)
  return bytes
}
