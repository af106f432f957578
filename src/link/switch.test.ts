import { describe, expect, test } from 'vitest'
import { SECOND } from '../core/clock.ts'
import { FrameChecksum } from '../core/frame.ts'
import { Drop } from '../wire/drop.ts'
import { Cable, type CableOptions } from './cable.ts'
import { LoopbackPort } from './loopback.ts'
import { namedDrops } from './statistics.ts'
import { Switch, type SwitchOptions } from './switch.ts'
import { Recorder, TestWorld, tcpFrame } from './testing.ts'

const mac = (last: number): number[] => [2, 0, 0, 0, 0, last]
const BROADCAST = [255, 255, 255, 255, 255, 255]

/** A switch with hosts plugged into its first `hosts` ports; host n has the address 02:…:0n. */
const setup = (hosts: number, portOptions: CableOptions = {}, options: SwitchOptions = {}) => {
  const world = new TestWorld()
  const network = new Switch(world, 'sw', options)
  const cables: Cable[] = []
  const users: Recorder[] = []
  for (let i = 0; i < hosts; i++) {
    cables.push(network.connect(portOptions))
    users.push(new Recorder(world))
    cables[i]!.a.user = users[i]!
  }
  /** Sends a frame from a host's port, and runs until nothing moves. */
  const send = (from: number, to: number[], source = mac(from), ...payload: number[]): void => {
    cables[from]!.a.send(world.frame([...to, ...source, 0x90, 0, ...payload, ...new Array(50).fill(0)]))
    world.runOut()
  }
  /** How many frames each host has got since the last call. */
  const got = (): number[] => users.map((user) => user.arrivals.splice(0).length)
  return { world, network, cables, users, send, got }
}

describe('a switch', () => {
  test('floods what it does not know, then learns and sends only where it belongs', () => {
    const s = setup(4)
    s.send(0, mac(1))
    expect(s.got()).toEqual([0, 1, 1, 1])
    s.send(1, mac(0))
    expect(s.got()).toEqual([1, 0, 0, 0])
    s.send(0, mac(1))
    expect(s.got()).toEqual([0, 1, 0, 0])
    expect(s.network.entries()).toEqual([
      { mac: '02:00:00:00:00:00', port: 0, ageMs: 0 },
      { mac: '02:00:00:00:00:01', port: 1, ageMs: 0 },
    ])
    expect(s.world.frames.inUse).toBe(0)
  })

  test('broadcast and multicast go to all others, byte for byte', () => {
    const s = setup(3)
    s.send(1, BROADCAST, mac(1), 1, 2, 3)
    s.send(1, [0x33, 0x33, 0, 0, 0, 1])
    expect(s.users[1]!.arrivals).toEqual([])
    for (const host of [0, 2]) {
      const bytes = s.users[host]!.arrivals.map((arrival) => [...arrival.bytes.subarray(0, 17)])
      expect(bytes).toEqual([
        [...BROADCAST, ...mac(1), 0x90, 0, 1, 2, 3],
        [0x33, 0x33, 0, 0, 0, 1, ...mac(1), 0x90, 0, 0, 0, 0],
      ])
    }
    expect(s.network.ports[1]!.statistics).toMatchObject({ received: 2, flooded: 2, sent: 0 })
    expect(s.network.ports[2]!.statistics).toMatchObject({ received: 0, sent: 2 })
  })

  test('never sends a frame back to where it came from', () => {
    const s = setup(2)
    s.send(0, BROADCAST, mac(8))
    s.send(0, BROADCAST, mac(9))
    s.got()
    s.send(0, mac(8), mac(9))
    expect(s.got()).toEqual([0, 0])
    expect(namedDrops(s.network.ports[0]!.statistics.drops)).toEqual({ 'switch-same-port': 1 })
    expect(s.world.frames.inUse).toBe(0)
  })

  test('a host that moves is found where it was seen last', () => {
    const s = setup(3)
    s.send(0, BROADCAST, mac(7))
    s.send(2, BROADCAST, mac(7))
    s.got()
    s.send(1, mac(7))
    expect(s.got()).toEqual([0, 0, 1])
  })

  test('forgets after 300 s of silence', () => {
    const s = setup(3)
    s.send(1, BROADCAST)
    s.got()
    s.world.runUntil(300 * SECOND)
    s.send(0, mac(1))
    expect(s.got()).toEqual([0, 1, 0])
    expect(s.network.entries()[1]).toEqual({ mac: '02:00:00:00:00:01', port: 1, ageMs: 300_000 })
    s.world.runUntil(300 * SECOND + 1)
    s.send(0, mac(1))
    expect(s.got()).toEqual([0, 1, 1])
    expect(s.network.entries()).toEqual([{ mac: '02:00:00:00:00:00', port: 0, ageMs: 0 }])
  })

  test('ageing and size of the table are options', () => {
    const s = setup(3, {}, { ageing: 10, tableLimit: 1 })
    s.send(0, BROADCAST)
    s.send(1, BROADCAST)
    s.got()
    s.send(2, mac(1))
    expect(s.got()).toEqual([1, 1, 0])
    expect(s.network.table).toMatchObject({ size: 1, overflows: 2 })
    s.world.runUntil(11 * SECOND)
    s.send(2, mac(0))
    expect(s.got()).toEqual([1, 1, 0])
    expect(s.network.entries()).toEqual([{ mac: '02:00:00:00:00:02', port: 2, ageMs: 0 }])
    const refused = (options: SwitchOptions) => () => new Switch(s.world, 'x', options)
    expect(refused({ ageing: 0 })).toThrow('ageing must be a number of seconds above 0, not 0')
    expect(refused({ tableLimit: 0 })).toThrow('tableLimit must be a whole number from 1 to 1048576, not 0')
  })

  test('a cable pulled out takes its addresses along', () => {
    const s = setup(3)
    s.send(1, BROADCAST)
    s.got()
    s.cables[1]!.setDown()
    expect(s.network.entries()).toEqual([])
    s.send(0, mac(1))
    expect(s.got()).toEqual([0, 0, 1])
    // Silently, the switch goes on sending into the void.
    s.send(2, BROADCAST)
    s.got()
    s.cables[2]!.setDown(true)
    s.send(0, mac(2))
    expect(s.got()).toEqual([0, 0, 0])
    expect(namedDrops(s.cables[2]!.bToA.statistics.drops)).toEqual({ 'link-down': 1 })
    s.cables[1]!.setUp()
    s.send(0, mac(1))
    expect(s.got()).toEqual([0, 1, 0])
    expect(s.world.frames.inUse).toBe(0)
  })

  test('ports without anybody get nothing', () => {
    const s = setup(1)
    s.network.connect()
    s.send(0, BROADCAST)
    expect(namedDrops(s.network.ports[0]!.statistics.drops)).toEqual({ 'switch-no-port': 1 })
    expect(s.network.ports[1]!.statistics.sent).toBe(0)
    expect(s.world.frames.inUse).toBe(0)
  })

  test('drops what no bridge forwards', () => {
    const s = setup(2)
    s.send(0, [0x01, 0x80, 0xc2, 0, 0, 0x0f])
    s.send(0, mac(1), [1, 0, 0, 0, 0, 1])
    s.send(0, mac(1), [0, 0, 0, 0, 0, 0])
    s.cables[0]!.a.send(s.world.frame([...mac(1), ...mac(0), 8]))
    s.world.runOut()
    expect(s.got()).toEqual([0, 0])
    expect(namedDrops(s.network.ports[0]!.statistics.drops)).toEqual({
      'switch-reserved-group': 1,
      'switch-bad-source': 2,
      'eth-truncated': 1,
    })
    s.send(0, [0x01, 0x80, 0xc2, 0, 0, 0x10])
    expect(s.got()).toEqual([0, 1])
    expect(s.world.frames.inUse).toBe(0)
  })

  test('each port has its own impairment, in each direction', () => {
    const s = setup(2, { impairment: { delay: 2 } })
    s.cables[1]!.bToA.impair({ delay: 5 })
    s.send(0, BROADCAST)
    expect(s.users[1]!.times).toEqual([7000])
  })

  test('frames are forwarded in the form that each port takes', () => {
    const world = new TestWorld()
    const network = new Switch(world, 'sw')
    const offload = { checksumOffload: true, maxSegmentedPacket: 65_535 }
    const cables = [
      network.connect(offload),
      network.connect(),
      network.connect(offload),
      network.connect({ mtu: 1000 }),
    ]
    const users = cables.map((cable) => {
      const user = new Recorder(world)
      cable.a.user = user
      return user
    })
    cables[0]!.a.send(tcpFrame(world, { payload: 4000, segmentSize: 1460, checksum: FrameChecksum.Partial }))
    world.runOut()
    expect(users.map((user) => user.arrivals.map(({ bytes, checksum }) => [bytes.length, checksum]))).toEqual([
      [],
      [
        [1514, FrameChecksum.Unverified],
        [1514, FrameChecksum.Unverified],
        [54 + 1080, FrameChecksum.Unverified],
      ],
      [[4054, FrameChecksum.Partial]],
      [],
    ])
    expect(network.ports[1]!.statistics).toMatchObject({ sent: 3, sentBytes: 1514 * 2 + 1134 })
    expect(namedDrops(network.ports[3]!.statistics.drops)).toEqual({ 'link-mtu': 1 })
    expect(world.frames.inUse).toBe(0)
  })

  test('out of memory, those get the frame for whom there is a copy', () => {
    const world = new TestWorld(1, 0x1_0000)
    const network = new Switch(world, 'sw')
    const users: Recorder[] = []
    for (let i = 0; i < 4; i++) {
      users.push(new Recorder(world))
      network.connect().a.user = users[i]!
    }
    const taken = Array.from({ length: 31 }, () => world.numbered(0))
    network.ports[0]!.receive(world.numbered(5))
    for (const frame of taken) world.frames.release(frame)
    world.runOut()
    expect(users.map((user) => user.numbers)).toEqual([[], [], [], [5]])
    expect(network.ports[1]!.statistics.drops[Drop['no-memory']]).toBe(1)
    expect(network.ports[2]!.statistics.drops[Drop['no-memory']]).toBe(1)
    expect(world.frames.inUse).toBe(0)
  })

  test('two switches on a cable are one network', () => {
    const world = new TestWorld()
    const left = new Switch(world, 'left')
    const right = new Switch(world, 'right')
    const trunk = new Cable(world, 'trunk', { impairment: { delay: 1 } })
    const plug = (network: Switch) => {
      const cable = network.connect()
      const user = new Recorder(world)
      cable.a.user = user
      return { cable, user }
    }
    const [a, b, c] = [plug(left), plug(left), plug(right)]
    left.attach(trunk.a)
    right.attach(trunk.b)
    const frame = (to: number[], from: number[]) => world.frame([...to, ...from, 0x90, 0, ...new Array(50).fill(0)])
    c.cable.a.send(frame(BROADCAST, mac(3)))
    world.runOut()
    expect([a.user.times, b.user.times, c.user.times]).toEqual([[1000], [1000], []])
    a.cable.a.send(frame(mac(3), mac(1)))
    world.runOut()
    expect([b.user.times, c.user.times]).toEqual([[1000], [2000]])
    expect(left.entries().map(({ mac, port }) => [mac, port])).toEqual([
      ['02:00:00:00:00:01', 0],
      ['02:00:00:00:00:03', 2],
    ])
    expect(world.frames.inUse).toBe(0)
  })

  test('takes Ethernet only', () => {
    const world = new TestWorld()
    const network = new Switch(world, 'sw')
    expect(() => network.attach(new LoopbackPort(world, 'lo'))).toThrow('a switch takes Ethernet links only')
  })
})
