import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../core/clock.ts'
import type { Frame } from '../core/frame.ts'
import { SeededRandom } from '../core/random.ts'
import { World } from '../core/world.ts'
import type { FrameTap, LinkFeatures, LinkPort, LinkUser } from '../link/port.ts'
import { hasUndivided, planShards, portsOf, ShardPort } from './shard.ts'

const FEATURES: LinkFeatures = {
  medium: 'ip',
  mtu: 1500,
  maxSegmentedPacket: 65_535,
  checksumOffload: true,
  fcs: false,
}

/** A queue of the device: what is sent is thrown away, what arrives a test says. */
class Queue implements LinkPort {
  readonly features: LinkFeatures
  readonly carrier = true
  readonly taps: FrameTap[] = []
  user: LinkUser | null = null
  readonly world: World
  sent = 0
  constructor(world: World, medium: LinkFeatures['medium']) {
    this.world = world
    this.features = { ...FEATURES, medium }
  }
  send(frame: Frame): void {
    this.sent++
    this.world.frames.release(frame)
  }
}

/** Three shards: packets that arrive at one by the device, and what each shard's host gets. */
const shards = (undivided: number[] = [], medium: LinkFeatures['medium'] = 'ip') => {
  const plans = planShards(3, [30_000, 39_999], undivided)
  return plans.map((plan) => {
    const world = new World(new VirtualClock(), new SeededRandom(1))
    const queue = new Queue(world, medium)
    const port = new ShardPort(world, queue, plan)
    const got: number[][] = []
    port.user = {
      receive(frame) {
        got.push([...world.memory.u8.subarray(frame.start, frame.end)])
        world.frames.release(frame)
      },
      carrierChanged() {},
    }
    const arrive = (bytes: number[]): void => {
      const frame = world.frames.allocate(bytes.length)!
      frame.start = frame.base + 40
      frame.end = frame.start + bytes.length
      world.memory.u8.set(bytes, frame.start)
      queue.user!.receive(frame)
    }
    return { world, queue, port, got, arrive }
  })
}

/** Where a packet ends up that arrives at shard `at`. @returns how often each shard's host has got it */
const where = async (
  at: number,
  bytes: number[],
  undivided: number[] = [],
  medium: LinkFeatures['medium'] = 'ip',
): Promise<number[]> => {
  const all = shards(undivided, medium)
  all[at]!.arrive(bytes)
  for (let round = 0; round < 10; round++) {
    for (const { world } of all) world.loop.turn()
    // A shard that sleeps is woken, by a turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve))
  }
  for (const { got, world } of all) {
    for (const each of got) expect(each).toEqual(bytes)
    expect(world.frames.inUse).toBe(0)
  }
  return all.map(({ got }) => got.length)
}

const TCP = 6
const UDP = 17

const port = (number: number): number[] => [number >> 8, number & 255]

const ipv4 = (protocol: number, payload: number[], { to = 10, fragment = 0 } = {}): number[] => [
  ...[0x45, 0, 0, 20 + payload.length, 0, 1, fragment >> 8, fragment & 255, 64, protocol, 0, 0],
  ...[10, 0, 0, 1, to, 0, 0, 2],
  ...payload,
]

const ipv6 = (protocol: number, payload: number[], to = 0xfd): number[] => [
  ...[0x60, 0, 0, 0, 0, payload.length, protocol, 64],
  ...[0xfd, ...Array(14).fill(0), 1],
  ...[to, ...Array(14).fill(0), 2],
  ...payload,
]

const segment = (to: number): number[] => [...port(1234), ...port(to), ...Array(16).fill(7)]

describe('which shard gets a packet', () => {
  it.each([
    ['TCP for a service: whichever the kernel has chosen', ipv4(TCP, segment(80)), [0, 1, 0]],
    ["TCP for the first shard's ports", ipv4(TCP, segment(30_000)), [1, 0, 0]],
    ["TCP for the second shard's ports", ipv4(TCP, segment(33_333)), [0, 1, 0]],
    ["TCP for the third shard's ports", ipv4(TCP, segment(39_999)), [0, 0, 1]],
    ['behind the ports', ipv4(TCP, segment(40_000)), [0, 1, 0]],
    ['UDP for the third', ipv4(UDP, segment(39_000)), [0, 0, 1]],
    ['TCP over IPv6 for the first', ipv6(TCP, segment(30_001)), [1, 0, 0]],
    ['a fragment', ipv4(UDP, segment(39_000), { fragment: 0x2000 }), [0, 1, 0]],
    ['an echo request', ipv4(1, [8, 0, 0, 0, 0, 1, 0, 1]), [0, 1, 0]],
    ['an answer to one', ipv4(1, [0, 0, 0, 0, 0, 1, 0, 1]), [1, 1, 1]],
    ['an ICMP error', ipv4(1, [3, 4, 0, 0, 0, 0, 5, 0]), [1, 1, 1]],
    ['an echo request over IPv6', ipv6(58, [128, 0, 0, 0, 0, 1, 0, 1]), [0, 1, 0]],
    ['packet too big', ipv6(58, [2, 0, 0, 0, 0, 0, 5, 0]), [1, 1, 1]],
    ['multicast', ipv4(UDP, segment(5000), { to: 224 }), [1, 1, 1]],
    ['multicast over IPv6', ipv6(UDP, segment(5000), 0xff), [1, 1, 1]],
    ['what is cut short', [0x45, 0, 0], [0, 1, 0]],
    ['a header without ports', ipv4(TCP, [1, 2]), [0, 1, 0]],
    ['nothing that is known', [0x99, 1, 2], [0, 1, 0]],
  ])('%s', async (_, bytes, expected) => {
    expect(await where(1, bytes)).toEqual(expected)
  })

  it('services that one shard has alone, by turns', async () => {
    expect(await where(2, ipv4(TCP, segment(5201)), [5201])).toEqual([1, 0, 0])
    expect(await where(0, ipv4(TCP, segment(5201)), [5201])).toEqual([1, 0, 0])
    const ports = [1, 2, 3, 4]
    expect(await where(0, ipv4(TCP, segment(2)), ports)).toEqual([0, 1, 0])
    expect(await where(0, ipv4(TCP, segment(3)), ports)).toEqual([0, 0, 1])
    expect(await where(1, ipv4(TCP, segment(4)), ports)).toEqual([1, 0, 0])
    const plans = planShards(3, [30_000, 39_999], ports)
    expect(plans.map((plan) => ports.filter((port) => hasUndivided(plan, port)))).toEqual([[1, 4], [2], [3]])
  })

  const MACS = [...Array(6).fill(2), ...Array(6).fill(4)]
  const arp = (operation: number): number[] => [...MACS, 8, 6, 0, 1, 8, 0, 6, 4, 0, operation, ...Array(20).fill(0)]

  it.each([
    ['TCP for the third', [...MACS, 8, 0, ...ipv4(TCP, segment(39_000))], [0, 0, 1]],
    ['TCP for a service', [...MACS, 8, 0, ...ipv4(TCP, segment(80))], [0, 1, 0]],
    ['TCP over IPv6 for the first', [...MACS, 0x86, 0xdd, ...ipv6(TCP, segment(30_001))], [1, 0, 0]],
    ['an ARP request: one answers', arp(1), [1, 0, 0]],
    ['an ARP reply', arp(2), [1, 1, 1]],
    ['a neighbour solicitation, to a group', [...MACS, 0x86, 0xdd, ...ipv6(58, [135, 0, 0, 0], 0xff)], [1, 0, 0]],
    ['a neighbour advertisement', [...MACS, 0x86, 0xdd, ...ipv6(58, [136, 0, 0, 0])], [1, 1, 1]],
    ['a router advertisement', [...MACS, 0x86, 0xdd, ...ipv6(58, [134, 0, 0, 0])], [1, 1, 1]],
    ['nothing that is known', [...MACS, 0x12, 0x34], [1, 1, 1]],
    ['what is cut short', [1, 2, 3], [0, 1, 0]],
  ])('on Ethernet: %s', async (_, bytes, expected) => {
    expect(await where(1, bytes, [], 'ethernet')).toEqual(expected)
  })
})

it('the ports are divided without a gap', () => {
  expect(planShards(3, [30_000, 39_999], []).map(portsOf)).toEqual([
    [30_000, 33_332],
    [33_333, 36_665],
    [36_666, 39_999],
  ])
})

it('what a shard sends leaves by its own queue, and is seen', () => {
  const [first] = shards()
  const seen: boolean[] = []
  first!.port.taps.push({ frame: (_, outgoing) => seen.push(outgoing) })
  first!.port.send(first!.world.frames.allocate(10)!)
  expect([first!.queue.sent, seen]).toEqual([1, [true]])
  first!.port.close()
})
