import { describe, expect, test } from 'vitest'
import { FrameChecksum } from '../core/frame.ts'
import { Cable } from './cable.ts'
import { LoopbackPort } from './loopback.ts'
import { namedDrops } from './statistics.ts'
import { cableTest, Recorder, sendNumbered, TestWorld, tcpFrame } from './testing.ts'

describe('a cable', () => {
  test('is plain Ethernet unless told otherwise', () => {
    const { cable } = cableTest()
    const features = { medium: 'ethernet', mtu: 1500, maxSegmentedPacket: 0, checksumOffload: false, fcs: false }
    expect(cable.a.features).toEqual(features)
    expect(cable.b.features).toEqual(features)
  })

  test.each<[object, string]>([
    [{ mtu: 67 }, 'mtu must be a whole number from 68 to 65536, not 67'],
    [{ mtu: 1500.5 }, 'mtu must be a whole number from 68 to 65536, not 1500.5'],
    [{ mtu: '9000' }, 'mtu must be a whole number from 68 to 65536, not 9000'],
    [{ medium: 'token-ring' }, "medium must be 'ethernet' or 'ip', not token-ring"],
    [{ maxSegmentedPacket: 65_536 }, 'maxSegmentedPacket must be a whole number from 0 to 65535, not 65536'],
    [{ maxSegmentedPacket: 65_535 }, 'maxSegmentedPacket needs checksumOffload'],
    [{ checksumOffload: 1 }, 'checksumOffload must be true or false'],
    [{ fcs: 'yes' }, 'fcs must be true or false'],
    [{ fcs: true, medium: 'ip' }, 'fcs needs an Ethernet link'],
    [{ speed: 10 }, 'speed is no option of a link'],
    [{ impairment: { loss: 2 } }, 'impairment.loss must be a fraction from 0 to 1, not 2'],
  ])('%j is refused in one line', (options, message) => {
    expect(() => new Cable(new TestWorld(), 'x', options)).toThrow(new TypeError(message))
  })

  test('carries both ways, each with its own impairment', () => {
    const s = cableTest({ impairment: { delay: 10 } })
    s.cable.bToA.impair({ delay: 3 })
    s.cable.a.send(s.world.numbered(1))
    s.cable.b.send(s.world.numbered(2))
    s.world.runOut()
    expect([s.received.times, s.received.numbers]).toEqual([[10_000], [1]])
    expect([s.back.times, s.back.numbers]).toEqual([[3000], [2]])
    s.cable.impair({})
    s.cable.a.send(s.world.numbered(3))
    s.cable.b.send(s.world.numbered(4))
    s.world.loop.turn()
    expect([s.received.times[1], s.back.times[1]]).toEqual([10_000, 10_000])
  })

  test('there is a carrier while the other end is plugged in', () => {
    const world = new TestWorld()
    const cable = new Cable(world, 'x')
    const a = new Recorder(world)
    const b = new Recorder(world)
    expect([cable.a.carrier, cable.b.carrier]).toEqual([false, false])
    cable.a.user = a
    expect([cable.a.carrier, cable.b.carrier]).toEqual([false, true])
    cable.b.user = b
    expect([cable.a.carrier, cable.b.carrier]).toEqual([true, true])
    expect([a.carrier, b.carrier]).toEqual([[true], []])
    cable.b.user = null
    expect(cable.a.carrier).toBe(false)
    expect([a.carrier, b.carrier]).toEqual([[true, false], []])
  })

  test('unplugged: both ends learn of it, frames vanish', () => {
    const s = cableTest({ impairment: { delay: 5 } })
    s.back.carrier.length = 0
    sendNumbered(s, 2)
    s.cable.setDown()
    expect([s.cable.isUp, s.cable.a.carrier, s.cable.b.carrier]).toEqual([false, false, false])
    s.cable.setDown()
    sendNumbered(s, 1)
    s.world.runOut()
    expect(s.received.arrivals).toEqual([])
    expect(namedDrops(s.statistics.drops)).toEqual({ 'link-down': 3 })
    s.cable.setUp()
    sendNumbered(s, 1)
    s.world.runOut()
    expect(s.received.numbers).toEqual([0])
    expect([s.back.carrier, s.received.carrier]).toEqual([
      [false, true],
      [false, true],
    ])
    expect(s.world.frames.inUse).toBe(0)
  })

  test('silently: nobody learns of it', () => {
    const s = cableTest()
    s.back.carrier.length = 0
    s.cable.setDown(true)
    expect([s.cable.isUp, s.cable.a.carrier, s.cable.b.carrier]).toEqual([false, true, true])
    sendNumbered(s, 1)
    s.cable.b.send(s.world.numbered(0))
    s.world.runOut()
    expect([s.received.arrivals, s.back.arrivals]).toEqual([[], []])
    s.cable.setUp()
    expect([s.back.carrier, s.received.carrier]).toEqual([[], []])
  })

  test('taps see what leaves and what arrives, each at its moment, and only that', () => {
    const s = cableTest({ impairment: { delay: 5 } })
    const seen: unknown[] = []
    const tap = (name: string) => ({
      frame: (frame: { end: number }, outgoing: boolean) => {
        seen.push([name, outgoing, s.world.memory.view.getUint32(frame.end - 4), s.world.loop.now])
      },
    })
    s.cable.a.taps.push(tap('a'))
    s.cable.b.taps.push(tap('b1'), tap('b2'))
    s.channel.filter = (frame) => (s.world.memory.view.getUint32(frame.end - 4) === 1 ? 'drop' : 'pass')
    sendNumbered(s, 2)
    s.world.runOut()
    expect(seen).toEqual([
      ['a', true, 0, 0],
      ['a', true, 1, 0],
      ['b1', false, 0, 5000],
      ['b2', false, 0, 5000],
    ])
  })

  test('two cables of one world draw apart, and another cable does not move what this one draws', () => {
    const run = (...labels: string[]) => {
      const world = new TestWorld(5)
      return labels.map((label) => {
        const cable = new Cable(world, label, { impairment: { loss: 0.5 } })
        const received = new Recorder(world)
        cable.b.user = received
        for (let i = 0; i < 100; i++) cable.a.send(world.numbered(i))
        world.runOut()
        return received.numbers
      })
    }
    const [x, y] = run('x', 'y')
    expect(x).not.toEqual(y)
    expect(run('y')).toEqual([y])
  })
})

describe('loopback', () => {
  test('hands back what it gets, later, whole and unverified as it is', () => {
    const world = new TestWorld()
    const port = new LoopbackPort(world, 'lo')
    const received = new Recorder(world)
    const tapped: boolean[] = []
    port.user = received
    port.taps.push({ frame: (_, outgoing) => tapped.push(outgoing) })
    const options = { medium: 'ip', payload: 60_000, segmentSize: 20_000, checksum: FrameChecksum.Partial } as const
    const frame = tcpFrame(world, options)
    const sent = world.bytesOf(frame)
    port.send(frame)
    expect(received.arrivals).toEqual([])
    world.loop.turn()
    expect(received.arrivals).toMatchObject([{ segmentSize: 20_000, checksum: FrameChecksum.Partial }])
    expect(received.arrivals[0]!.bytes).toEqual(sent)
    expect(tapped).toEqual([false])
    expect(port.carrier).toBe(true)
    expect(world.frames.inUse).toBe(0)
  })

  test('has the MTU of lo and offloads everything; both can be changed', () => {
    const world = new TestWorld()
    expect(new LoopbackPort(world, 'lo').features).toEqual({
      medium: 'ip',
      mtu: 65_536,
      maxSegmentedPacket: 65_535,
      checksumOffload: true,
      fcs: false,
    })
    const small = new LoopbackPort(world, 'lo1', { mtu: 1500, checksumOffload: false, maxSegmentedPacket: 0 })
    expect(small.features).toMatchObject({ mtu: 1500, checksumOffload: false, maxSegmentedPacket: 0 })
  })

  test('an endless exchange with oneself leaves room for others', () => {
    const world = new TestWorld()
    const port = new LoopbackPort(world, 'lo')
    let count = 0
    port.user = {
      receive: (frame) => {
        count++
        port.send(frame)
      },
      carrierChanged: () => {},
    }
    port.send(world.frame([0x45]))
    expect(world.loop.turn(100)).toBe(true)
    expect(count).toBe(100)
  })

  test('can be impaired like any link', () => {
    const world = new TestWorld()
    const port = new LoopbackPort(world, 'lo')
    const received = new Recorder(world)
    port.user = received
    port.channel.impair({ delay: 1 })
    port.send(world.frame([0x45]))
    world.runOut()
    expect(received.times).toEqual([1000])
  })
})
