import { describe, expect, test } from 'vitest'
import { FrameChecksum } from '../core/frame.ts'
import { Task } from '../core/loop.ts'
import { Drop } from '../wire/drop.ts'
import type { CableOptions } from './cable.ts'
import { namedDrops } from './statistics.ts'
import { cableTest, impaired, sendNumbered, tcpFrame, upTo } from './testing.ts'

describe('an unimpaired channel', () => {
  test('delivers in a later step of the turn, in order, the same bytes and marks', () => {
    const s = cableTest()
    const bytes = [...upTo(100)]
    s.cable.a.send(s.world.frame(bytes))
    sendNumbered(s, 10)
    expect(s.received.arrivals).toEqual([])
    expect(s.channel.inFlight).toBe(11)
    s.world.loop.turn()
    expect([...s.received.arrivals.shift()!.bytes]).toEqual(bytes)
    expect(s.received.numbers).toEqual(upTo(10))
    expect(s.world.frames.inUse).toBe(0)
    expect(s.statistics).toMatchObject({ sent: 11, delivered: 11, sentBytes: 740, deliveredBytes: 740, dropped: 0 })
  })

  test('a frame says when it was handed over', () => {
    const s = cableTest()
    s.world.runUntil(1234.5)
    sendNumbered(s, 1)
    s.world.loop.turn()
    expect(s.received.arrivals[0]).toMatchObject({ time: 1234.5, frameTime: 1234.5 })
  })

  test('after 64 frames others get their turn', () => {
    const s = cableTest()
    const seen: number[] = []
    const other = new (class extends Task {
      run(): void {
        seen.push(s.received.arrivals.length)
        if (seen.length < 4) s.world.loop.post(this)
      }
    })()
    sendNumbered(s, 150)
    s.world.loop.post(other)
    s.world.loop.turn()
    expect(seen).toEqual([64, 128, 150, 150])
    expect(s.received.numbers).toEqual(upTo(150))
  })

  test('a reply sent on receipt goes back in the same turn, and ping-pong leaves room for others', () => {
    const s = cableTest()
    let left = 1000
    s.cable.b.user = { receive: (frame) => s.cable.b.send(frame), carrierChanged: () => {} }
    s.cable.a.user = {
      receive: (frame) => (--left > 0 ? s.cable.a.send(frame) : s.world.frames.release(frame)),
      carrierChanged: () => {},
    }
    s.cable.a.send(s.world.numbered(0))
    expect(s.world.loop.turn(10)).toBe(true)
    expect(left).toBe(995)
    expect(s.world.loop.turn()).toBe(false)
    expect(left).toBe(0)
    expect(s.world.frames.inUse).toBe(0)
  })

  test('frames for nobody are dropped and counted', () => {
    const s = cableTest()
    s.cable.b.user = null
    sendNumbered(s, 3)
    s.world.loop.turn()
    expect(namedDrops(s.statistics.drops)).toEqual({ 'link-no-receiver': 3 })
    expect(s.world.frames.inUse).toBe(0)
  })
})

describe('delay', () => {
  test('is exact', () => {
    const s = impaired({ delay: 20 })
    sendNumbered(s, 2)
    s.world.runUntil(7)
    sendNumbered(s, 1)
    s.world.runUntil(19_999.999)
    expect(s.received.times).toEqual([])
    s.world.runOut()
    expect(s.received.times).toEqual([20_000, 20_000, 20_007])
    expect(s.received.numbers).toEqual([0, 1, 0])
  })

  test('one timer, however many frames', () => {
    const s = impaired({ delay: 20 })
    sendNumbered(s, 50)
    s.world.runUntil(10_000)
    sendNumbered(s, 50)
    expect(s.world.loop.timers.size).toBe(1)
    s.world.runOut()
    expect(s.received.arrivals.length).toBe(100)
    expect(s.world.loop.timers.size).toBe(0)
  })

  test('a loop that looks late finds each frame with its own time, in order', () => {
    const s = impaired({ delay: 1, rate: 1e6 })
    sendNumbered(s, 3, 101)
    s.world.virtual.advanceTo(1e6)
    s.world.loop.turn()
    // 125 bytes are 1000 bits: a millisecond each.
    expect(s.received.arrivals.map(({ frameTime }) => frameTime)).toEqual([2000, 3000, 4000])
    expect(s.received.times).toEqual([1e6, 1e6, 1e6])
  })

  test('a shorter delay does not let later frames overtake', () => {
    const s = impaired({ delay: 20 })
    sendNumbered(s, 1)
    s.world.runUntil(1000)
    s.channel.impair({})
    s.cable.a.send(s.world.numbered(1))
    s.world.runUntil(19_000)
    s.channel.impair({ delay: 5 })
    s.cable.a.send(s.world.numbered(2))
    s.world.runOut()
    expect(s.received.numbers).toEqual([0, 1, 2])
    expect(s.received.times).toEqual([20_000, 20_000, 24_000])
    s.channel.impair({})
    s.cable.a.send(s.world.numbered(3))
    s.world.loop.turn()
    expect(s.received.times[3]).toBe(24_000)
  })
})

describe('rate', () => {
  test('an Ethernet frame takes its own bytes and 24 more, at the least 84', () => {
    const s = impaired({ rate: 10e6 })
    sendNumbered(s, 1, 1514)
    sendNumbered(s, 1, 42)
    sendNumbered(s, 1, 60)
    sendNumbered(s, 1, 61)
    s.world.runOut()
    const slots = [1538, 84, 84, 85]
    const sums = slots.map((_, i) => slots.slice(0, i + 1).reduce((sum, bytes) => sum + bytes, 0))
    expect(s.received.times).toEqual(sums.map((bytes) => (bytes * 8 * 1e6) / 10e6))
  })

  test('rounding does not add up: the 10,000th frame is where the bits say', () => {
    const s = impaired({ rate: 7e6, queue: 10_000 })
    sendNumbered(s, 10_000, 1514)
    s.world.runOut()
    expect(s.received.times).toEqual(upTo(10_000).map((i) => ((i + 1) * 1538 * 8 * 1e6) / 7e6))
  })

  test('a pause starts a new busy time', () => {
    const s = impaired({ rate: 1e6, delay: 3 })
    sendNumbered(s, 2, 101)
    s.world.runUntil(10_000)
    sendNumbered(s, 1, 101)
    s.world.runOut()
    expect(s.received.times).toEqual([4000, 5000, 14_000])
  })

  test('the overhead may be chosen, and bare IP packets have none', () => {
    const chosen = impaired({ rate: 1e6, overhead: 0 })
    sendNumbered(chosen, 1, 125)
    chosen.world.runOut()
    expect(chosen.received.times).toEqual([1000])
    const packets = cableTest({ medium: 'ip', impairment: { rate: 1e6 } })
    packets.cable.a.send(packets.world.frame(new Uint8Array(25)))
    packets.world.runOut()
    expect(packets.received.times).toEqual([200])
  })

  test('the queue behind the frame in transmission is bounded in frames', () => {
    const s = impaired({ rate: 1e6, queue: 3 })
    sendNumbered(s, 10, 101)
    expect(s.channel.queued).toBe(3)
    expect(s.channel.queuedBytes).toBe(303)
    expect(s.statistics.queueFull).toBe(6)
    s.world.runUntil(1000)
    expect(s.channel.queued).toBe(2)
    s.world.runOut()
    expect(s.received.numbers).toEqual([0, 1, 2, 3])
    expect(s.channel.queued).toBe(0)
    expect(s.channel.queuedBytes).toBe(0)
    expect(s.statistics).toMatchObject({ sent: 10, delivered: 4, peakQueued: 3, peakQueuedBytes: 303 })
  })

  test('and in bytes; a small frame may still fit', () => {
    const s = impaired({ rate: 1e6, queueBytes: 250 })
    for (const [i, length] of [500, 100, 100, 100, 50, 1].entries())
      s.cable.a.send(s.world.numbered(i, Math.max(length, 18)))
    expect(namedDrops(s.statistics.drops)).toEqual({ 'link-queue-full': 2 })
    expect(s.channel.queuedBytes).toBe(250)
    s.world.runOut()
    expect(s.received.numbers).toEqual([0, 1, 2, 4])
  })

  test('a queue of none takes a frame only when the link is idle, also at the very end of the one before', () => {
    const s = impaired({ rate: 1e6, queue: 0 })
    sendNumbered(s, 2, 101)
    s.world.virtual.advanceTo(1000)
    s.world.loop.refresh()
    s.cable.a.send(s.world.numbered(2, 101))
    s.world.runOut()
    expect(s.received.numbers).toEqual([0, 2])
    expect(s.received.times).toEqual([1000, 2000])
  })

  test('a new rate holds for what is left of the frame in transmission and for all behind it', () => {
    const s = impaired({ rate: 1e6 })
    sendNumbered(s, 3, 101)
    // A quarter of the first is through: 750 bits left.
    s.world.runUntil(250)
    s.channel.impair({ rate: 2e6 })
    s.world.runOut()
    expect(s.received.times).toEqual([250 + 375, 250 + 375 + 500, 250 + 375 + 1000])
  })

  test('no rate any more: all that waited leaves at once', () => {
    const s = impaired({ rate: 1e6 })
    sendNumbered(s, 3, 101)
    s.world.runUntil(250)
    s.channel.impair({ delay: 1 })
    s.world.runOut()
    expect(s.received.times).toEqual([1250, 1250, 1250])
    expect(s.received.numbers).toEqual([0, 1, 2])
  })

  test('lost frames take their time on the wire too', () => {
    const s = impaired({ rate: 1e6, loss: 0.5 }, 3)
    sendNumbered(s, 100, 101)
    s.world.runOut()
    expect(s.received.times).toEqual(s.received.numbers.map((n) => (n + 1) * 1000))
    expect(s.received.numbers.length).toBeLessThan(70)
  })
})

describe('MTU', () => {
  test('a frame of exactly the MTU passes, with a VLAN tag too; one byte more does not', () => {
    const s = cableTest({ mtu: 1500 })
    s.cable.a.send(tcpFrame(s.world, { payload: 1460 }))
    s.cable.a.send(tcpFrame(s.world, { payload: 1461 }))
    s.cable.a.send(tcpFrame(s.world, { payload: 1460, vlan: true }))
    s.cable.a.send(tcpFrame(s.world, { payload: 1461, vlan: true }))
    s.world.runOut()
    expect(s.received.arrivals.map(({ bytes }) => bytes.length)).toEqual([1514, 1518])
    expect(namedDrops(s.statistics.drops)).toEqual({ 'link-mtu': 2 })
  })

  test('without a link header the packet is the frame', () => {
    const s = cableTest({ medium: 'ip', mtu: 100 })
    s.cable.a.send(s.world.frame(new Uint8Array(100)))
    s.cable.a.send(s.world.frame(new Uint8Array(101)))
    s.world.runOut()
    expect(s.received.arrivals.map(({ bytes }) => bytes.length)).toEqual([100])
  })

  test('as an impairment it swallows larger packets in its own direction', () => {
    const s = cableTest()
    s.channel.impair({ mtu: 1000 })
    s.cable.a.send(tcpFrame(s.world, { payload: 960 }))
    s.cable.a.send(tcpFrame(s.world, { payload: 961 }))
    s.cable.b.send(tcpFrame(s.world, { payload: 1460 }))
    s.world.runOut()
    expect(s.received.arrivals.map(({ bytes }) => bytes.length)).toEqual([1014])
    expect(s.back.arrivals.length).toBe(1)
    expect(s.statistics.drops[Drop['link-mtu']]).toBe(1)
  })
})

describe('several segments in one frame', () => {
  const offload = { checksumOffload: true, maxSegmentedPacket: 65_535 }
  const large = { payload: 14_480, segmentSize: 1448, timestamps: true, checksum: FrameChecksum.Partial }

  test.each<[string, CableOptions]>([
    ['nothing', offload],
    ['delay', { ...offload, impairment: { delay: 5, jitter: 1 } }],
  ])('a link that takes them carries them whole through %s', (_, options) => {
    const s = cableTest(options)
    s.cable.a.send(tcpFrame(s.world, large))
    s.world.runOut()
    expect(s.received.arrivals).toMatchObject([{ segmentSize: 1448, checksum: FrameChecksum.Partial }])
    expect(s.received.arrivals[0]!.bytes.length).toBe(14_480 + 66)
    expect(s.statistics.sent).toBe(1)
  })

  test.each<[string, CableOptions]>([
    ['a link without offload', {}],
    ['loss', { ...offload, impairment: { loss: 0.000_001 } }],
    ['a rate', { ...offload, impairment: { rate: 1e9 } }],
    ['corruption', { ...offload, impairment: { corrupt: 0.000_001 } }],
    ['a check sequence', { ...offload, fcs: true }],
  ])('%s takes them one by one', (_, options) => {
    const s = cableTest(options)
    s.cable.a.send(tcpFrame(s.world, large))
    s.world.runOut()
    expect(s.received.arrivals.map(({ bytes, segmentSize }) => [bytes.length, segmentSize])).toEqual(
      new Array(10).fill([1514, 0]),
    )
    expect(s.statistics).toMatchObject({ sent: 10, delivered: 10 })
    expect(s.world.frames.inUse).toBe(0)
  })

  test('a filter sees each segment', () => {
    const s = cableTest(offload)
    const seen: number[] = []
    s.channel.filter = (frame) => {
      seen.push(s.world.memory.view.getUint32(frame.transport + 4))
      return seen.length === 3 ? 'drop' : 'pass'
    }
    s.cable.a.send(tcpFrame(s.world, { ...large, seq: 5000 }))
    s.world.runOut()
    expect(seen).toEqual(upTo(10).map((i) => 5000 + i * 1448))
    expect(s.received.arrivals.length).toBe(9)
    expect(namedDrops(s.statistics.drops)).toEqual({ 'link-filter': 1 })
  })

  test('what cannot be cut is dropped by name', () => {
    const s = cableTest()
    const frame = s.world.numbered(0, 5000)
    frame.segmentSize = 1000
    s.cable.a.send(frame)
    s.world.runOut()
    expect(namedDrops(s.statistics.drops)).toEqual({ 'link-not-segmentable': 1 })
    expect(s.world.frames.inUse).toBe(0)
  })
})

describe('a filter', () => {
  test('drops exactly the third frame', () => {
    const s = cableTest()
    let count = 0
    s.channel.filter = () => (++count === 3 ? 'drop' : 'pass')
    sendNumbered(s, 5)
    s.world.loop.turn()
    expect(s.received.numbers).toEqual([0, 1, 3, 4])
    expect(s.statistics.drops[Drop['link-filter']]).toBe(1)
    s.channel.filter = null
    sendNumbered(s, 5)
    s.world.loop.turn()
    expect(count).toBe(5)
  })

  test('holds frames until they are let go, some or all, or dropped', () => {
    const s = impaired({ delay: 1 })
    s.channel.filter = (frame) => (s.world.memory.view.getUint32(frame.end - 4) % 2 === 1 ? 'hold' : 'pass')
    sendNumbered(s, 10)
    s.world.runOut()
    expect(s.received.numbers).toEqual([0, 2, 4, 6, 8])
    expect([s.channel.held, s.channel.inFlight]).toEqual([5, 5])
    s.world.runUntil(5000)
    s.channel.releaseHeld(2)
    s.world.runOut()
    expect(s.received.numbers.slice(5)).toEqual([1, 3])
    expect(s.received.times.slice(5)).toEqual([6000, 6000])
    s.channel.dropHeld(1)
    s.channel.releaseHeld()
    s.world.runOut()
    expect(s.received.numbers.slice(7)).toEqual([7, 9])
    expect(s.channel.held).toBe(0)
    expect(namedDrops(s.statistics.drops)).toEqual({ 'link-filter': 1 })
    expect(s.world.frames.inUse).toBe(0)
  })

  test('frames held on a link that is down are lost when let go', () => {
    const s = cableTest()
    s.channel.filter = () => 'hold'
    sendNumbered(s, 2)
    s.channel.setUp(false)
    expect(s.channel.held).toBe(2)
    s.channel.releaseHeld()
    expect(namedDrops(s.statistics.drops)).toEqual({ 'link-down': 2 })
    expect(s.world.frames.inUse).toBe(0)
  })
})

describe('a channel changed by those it calls', () => {
  test('a filter may take it down: the frame it looks at is lost with the rest', () => {
    const s = impaired({ delay: 1 })
    let seen = 0
    s.channel.filter = () => {
      if (++seen === 3) s.channel.setUp(false)
      return 'pass'
    }
    sendNumbered(s, 5)
    s.world.runOut()
    expect([seen, s.received.numbers]).toEqual([3, []])
    expect(namedDrops(s.statistics.drops)).toEqual({ 'link-down': 5 })
    expect(s.world.frames.inUse).toBe(0)
  })

  test('a receiver may impair it: what is sent from then on takes its time', () => {
    const s = impaired({})
    const receive = s.received.receive.bind(s.received)
    s.received.receive = (frame) => {
      receive(frame)
      if (s.received.arrivals.length !== 1) return
      s.channel.setUp(false)
      s.channel.setUp(true)
      s.channel.impair({ delay: 7 })
      sendNumbered(s, 3)
    }
    sendNumbered(s, 5)
    s.world.runOut()
    expect(s.received.times).toEqual([0, 7000, 7000, 7000])
    expect(namedDrops(s.statistics.drops)).toEqual({ 'link-down': 4 })
    expect(s.world.frames.inUse).toBe(0)
  })
})

describe('a channel that goes down', () => {
  test('loses what is under way and what is sent, and carries again when it comes up', () => {
    const s = impaired({ delay: 10, rate: 1e6, reorder: 0.5 })
    sendNumbered(s, 10, 101)
    s.world.runUntil(5000)
    s.channel.setUp(false)
    expect(s.channel.inFlight).toBe(0)
    expect(s.world.loop.timers.size).toBe(0)
    sendNumbered(s, 3, 101)
    s.world.runOut()
    expect(s.received.arrivals).toEqual([])
    expect(namedDrops(s.statistics.drops)).toEqual({ 'link-down': 13 })
    s.channel.impair({ delay: 1 })
    s.channel.setUp(true)
    sendNumbered(s, 2)
    s.world.runOut()
    // What was lost holds nothing up: neither 15 ms nor the rate.
    expect(s.received.times).toEqual([6000, 6000])
    expect(s.world.frames.inUse).toBe(0)
  })

  test('in the middle of a batch', () => {
    const s = cableTest()
    const receive = s.received.receive.bind(s.received)
    s.received.receive = (frame) => {
      receive(frame)
      if (s.received.arrivals.length === 5) s.channel.setUp(false)
    }
    sendNumbered(s, 20)
    s.world.loop.turn()
    expect(s.received.numbers).toEqual([0, 1, 2, 3, 4])
    expect(namedDrops(s.statistics.drops)).toEqual({ 'link-down': 15 })
    expect(s.world.frames.inUse).toBe(0)
  })
})
