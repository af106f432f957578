import { describe, expect, test } from 'vitest'
import { FrameChecksum } from '../core/frame.ts'
import { SeededRandom } from '../core/random.ts'
import type { ImpairmentOptions } from './impairment.ts'
import { namedDrops } from './statistics.ts'
import { cableTest, impaired, sendNumbered, tcpFrame, upTo } from './testing.ts'

describe('jitter', () => {
  /** The channel's source of chance, as the world forks it. */
  const chance = (seed: number) => new SeededRandom(seed).fork('test:a-b')

  test('uniform: each frame by the next number drawn, and none before the one in front of it', () => {
    const s = impaired({ delay: 10, jitter: 4 }, 42)
    const random = chance(42)
    const expected: number[] = []
    for (let i = 0; i < 200; i++) {
      s.world.runUntil(i * 1000)
      s.cable.a.send(s.world.numbered(i))
      const arrival = i * 1000 + 10_000 + 4000 * (random.float() * 2 - 1)
      expected.push(Math.max(arrival, expected[i - 1] ?? 0))
    }
    s.world.runOut()
    expect(s.received.times).toEqual(expected)
    expect(s.received.numbers).toEqual(upTo(200))
    expect(new Set(expected).size).toBe(95)
  })

  test('uniform: spread evenly over twice the jitter', () => {
    const delays = spread({ delay: 10, jitter: 4 })
    const mean = delays.reduce((sum, d) => sum + d, 0) / delays.length
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(6000)
    expect(Math.max(...delays)).toBeLessThan(14_000)
    expect(mean).toBeGreaterThan(9900)
    expect(mean).toBeLessThan(10_100)
    expect(delays.filter((d) => d < 8000).length / delays.length).toBeCloseTo(0.25, 1)
  })

  test('normal: the jitter is the standard deviation', () => {
    const delays = spread({ delay: 50, jitter: 4, jitterShape: 'normal' })
    const mean = delays.reduce((sum, d) => sum + d, 0) / delays.length
    const deviation = Math.sqrt(delays.reduce((sum, d) => sum + (d - mean) ** 2, 0) / delays.length)
    expect(Math.abs(mean - 50_000)).toBeLessThan(200)
    expect(Math.abs(deviation - 4000)).toBeLessThan(150)
    const within = delays.filter((d) => Math.abs(d - 50_000) < 4000).length / delays.length
    expect(Math.abs(within - 0.683)).toBeLessThan(0.02)
  })

  test('never makes a frame arrive before it was sent', () => {
    const delays = spread({ delay: 1, jitter: 5 })
    expect(Math.min(...delays)).toBe(0)
  })

  /** Delays of 4000 frames sent so far apart that order does not matter. */
  const spread = (impairment: ImpairmentOptions): number[] => {
    const s = impaired(impairment)
    for (let i = 0; i < 4000; i++) {
      s.world.runUntil(i * 1e6)
      s.cable.a.send(s.world.numbered(i))
    }
    s.world.runOut()
    return s.received.arrivals.map(({ frameTime }, i) => frameTime - i * 1e6)
  }
})

describe('loss', () => {
  test('of none and of all', () => {
    const none = impaired({ loss: 0, delay: 1 })
    sendNumbered(none, 100)
    none.world.runOut()
    expect(none.received.numbers).toEqual(upTo(100))
    const all = impaired({ loss: 1 })
    sendNumbered(all, 100)
    all.world.runOut()
    expect(all.received.numbers).toEqual([])
    expect(all.statistics.lost).toBe(100)
    expect(all.world.frames.inUse).toBe(0)
  })

  test('independent: one frame by one number drawn', () => {
    const s = impaired({ loss: 0.1 }, 7)
    sendNumbered(s, 1000)
    s.world.runOut()
    const random = new SeededRandom(7).fork('test:a-b')
    expect(s.received.numbers).toEqual(upTo(1000).filter(() => random.float() >= 0.1))
    expect(s.statistics.lost).toBe(1000 - s.received.numbers.length)
    expect(s.statistics.lost).toBeGreaterThan(70)
    expect(s.statistics.lost).toBeLessThan(130)
  })

  test('the directions draw apart', () => {
    const s = impaired({ loss: 0.5 })
    for (let i = 0; i < 200; i++) {
      s.cable.a.send(s.world.numbered(i))
      s.cable.b.send(s.world.numbered(i))
    }
    s.world.runOut()
    expect(s.back.numbers).not.toEqual(s.received.numbers)
  })

  test('in bursts: as often and as long as Gilbert and Elliott say', () => {
    const s = impaired({ burst: { enter: 0.02, leave: 0.25 } }, 11)
    const count = 100_000
    for (let sent = 0; sent < count; sent += 1000) {
      for (let i = 0; i < 1000; i++) s.cable.a.send(s.world.numbered(sent + i))
      s.world.runOut()
    }
    // 0.02 / 0.27 of all frames, in runs of 1 / 0.25.
    expect(Math.abs(s.statistics.lost / count - 0.0741)).toBeLessThan(0.005)
    const numbers = s.received.numbers
    let runs = 0
    for (let i = 1; i < numbers.length; i++) if (numbers[i]! > numbers[i - 1]! + 1) runs++
    expect(Math.abs(s.statistics.lost / runs - 4)).toBeLessThan(0.2)
  })

  test('in bursts: a new impairment begins in the good state', () => {
    const s = impaired({ burst: { enter: 1, leave: 0 } })
    sendNumbered(s, 5)
    s.channel.impair({})
    s.channel.impair({ burst: { enter: 0, leave: 0 } })
    sendNumbered(s, 3)
    s.world.runOut()
    expect(s.received.numbers).toEqual([0, 1, 2])
    expect(s.statistics.lost).toBe(5)
  })

  test('in bursts: each state with its own loss', () => {
    const s = impaired({ burst: { enter: 0.1, leave: 0.3, lossGood: 0.02, lossBad: 0.5 } }, 5)
    for (let i = 0; i < 50_000; i++) s.cable.a.send(s.world.numbered(i))
    s.world.runOut()
    // A quarter of all in the bad state.
    expect(Math.abs(s.statistics.lost / 50_000 - (0.25 * 0.5 + 0.75 * 0.02))).toBeLessThan(0.01)
  })
})

describe('duplication', () => {
  test('a copy with the same bytes comes right behind its original, and is a frame of its own', () => {
    const s = impaired({ duplicate: 1, delay: 2 })
    sendNumbered(s, 3)
    s.world.runOut()
    expect(s.received.numbers).toEqual([0, 0, 1, 1, 2, 2])
    expect(s.received.times).toEqual([2000, 2000, 2000, 2000, 2000, 2000])
    expect(s.received.arrivals[0]!.bytes).toEqual(s.received.arrivals[1]!.bytes)
    expect(s.statistics).toMatchObject({ sent: 3, duplicated: 3, delivered: 6 })
    expect(s.world.frames.inUse).toBe(0)
  })

  test('as often as asked', () => {
    const s = impaired({ duplicate: 0.2 })
    sendNumbered(s, 5000)
    s.world.runOut()
    expect(Math.abs(s.statistics.duplicated / 5000 - 0.2)).toBeLessThan(0.02)
    expect(s.received.arrivals.length).toBe(5000 + s.statistics.duplicated)
  })
})

describe('reordering', () => {
  test('frames chosen are held back so long, later ones overtake, all others keep their order', () => {
    const s = impaired({ reorder: 0.1, reorderDelay: 2.5, delay: 10 }, 9)
    const random = new SeededRandom(9).fork('test:a-b')
    const expected: [number, number][] = []
    for (let i = 0; i < 300; i++) {
      s.world.runUntil(i * 1000)
      s.cable.a.send(s.world.numbered(i))
      expected.push([i * 1000 + 10_000 + (random.float() < 0.1 ? 2500 : 0), i])
    }
    s.world.runOut()
    expected.sort((a, b) => a[0] - b[0] || a[1] - b[1])
    expect(s.received.arrivals.map(({ time }, i) => [time, s.received.numbers[i]])).toEqual(expected)
    const inverted = s.received.numbers.filter((n, i) => i > 0 && n < s.received.numbers[i - 1]!).length
    expect(inverted).toBeGreaterThan(15)
    expect(s.statistics.reordered).toBe(expected.filter(([time, i]) => time === i * 1000 + 12_500).length)
  })

  test('within a burst too, by a millisecond unless told otherwise', () => {
    const s = impaired({ reorder: 0.2 }, 4)
    sendNumbered(s, 100)
    s.world.runOut()
    const late = s.received.arrivals.filter(({ time }) => time === 1000).length
    expect(late).toBe(s.statistics.reordered)
    expect(late).toBeGreaterThan(8)
    expect(s.received.times.every((time) => time === 0 || time === 1000)).toBe(true)
    expect(s.received.numbers).not.toEqual(upTo(100))
    expect([...s.received.numbers].sort((a, b) => a - b)).toEqual(upTo(100))
  })
})

describe('frames held back', () => {
  test('come before one that was sent later and arrives at the same time', () => {
    const s = impaired({ reorder: 1, reorderDelay: 1 })
    s.cable.a.send(s.world.numbered(0))
    s.channel.impair({})
    s.world.runUntil(999)
    s.cable.a.send(s.world.numbered(1))
    s.channel.impair({ delay: 0.001 })
    s.cable.a.send(s.world.numbered(2))
    s.world.runOut()
    expect(s.received.numbers).toEqual([1, 0, 2])
    expect(s.received.times).toEqual([999, 1000, 1000])
  })

  test('arrive also when nothing is impaired any more, and when nothing follows them', () => {
    const s = impaired({ reorder: 1, reorderDelay: 1 })
    s.cable.a.send(s.world.numbered(0))
    s.channel.impair({})
    s.world.runOut()
    expect([s.received.times, s.received.numbers]).toEqual([[1000], [0]])
  })

  test('keep their order among themselves', () => {
    const s = impaired({ reorder: 1, delay: 5, jitter: 5 })
    for (let i = 0; i < 50; i++) {
      s.world.runUntil(i * 100)
      s.cable.a.send(s.world.numbered(i))
    }
    s.world.runOut()
    expect(s.received.numbers).toEqual(upTo(50))
    expect(new Set(s.received.times).size).toBeGreaterThan(3)
    expect(s.received.arrivals.map(({ frameTime }) => frameTime)).toEqual(s.received.times)
  })
})

describe('corruption', () => {
  /** How many bits differ. */
  const flipped = (a: Uint8Array, b: Uint8Array): number => {
    let count = 0
    for (let i = 0; i < a.length; i++) for (let x = a[i]! ^ b[i]!; x > 0; x &= x - 1) count++
    return count
  }

  test.each([1, 2, 3, 64])('flips exactly %i bits', (corruptBits) => {
    const s = impaired({ corrupt: 1, corruptBits })
    const sent = Uint8Array.from(upTo(64))
    for (let i = 0; i < 100; i++) s.cable.a.send(s.world.frame(sent))
    s.world.runOut()
    expect(s.received.arrivals.map(({ bytes }) => flipped(bytes, sent))).toEqual(new Array(100).fill(corruptBits))
    expect(s.statistics.corrupted).toBe(100)
  })

  test('no more bits than there are', () => {
    const s = impaired({ corrupt: 1, corruptBits: 64 })
    s.cable.a.send(s.world.frame([0, 0xff]))
    s.cable.a.send(s.world.frame([]))
    s.world.runOut()
    expect(s.received.arrivals.map(({ bytes }) => [...bytes])).toEqual([[0xff, 0], []])
  })

  test('anywhere in the frame, and as often as asked', () => {
    const s = impaired({ corrupt: 0.25 })
    const sent = new Uint8Array(20)
    for (let i = 0; i < 8000; i++) s.cable.a.send(s.world.frame(sent))
    s.world.runOut()
    const hits = new Array(160).fill(0)
    for (const { bytes } of s.received.arrivals) {
      for (let bit = 0; bit < 160; bit++) if ((bytes[bit >> 3]! & (0x80 >> (bit & 7))) !== 0) hits[bit]++
    }
    expect(Math.abs(s.statistics.corrupted - 2000)).toBeLessThan(150)
    expect(Math.min(...hits)).toBeGreaterThan(0)
    expect(hits.reduce((sum, n) => sum + n, 0)).toBe(s.statistics.corrupted)
  })

  test.each([FrameChecksum.Partial, FrameChecksum.Good])(
    'a frame whose checksum nobody computed (mark %i) gets it first, and must be verified',
    (checksum) => {
      const offload = { checksumOffload: true, maxSegmentedPacket: 65_535 }
      const s = cableTest({ ...offload, impairment: { corrupt: 1 } })
      const complete = tcpFrame(s.world, { payload: 500, checksum: FrameChecksum.Partial })
      const clean = cableTest({}, 2)
      const reference = tcpFrame(clean.world, { payload: 500, checksum: FrameChecksum.Partial })
      clean.cable.a.send(reference)
      clean.world.runOut()
      for (let i = 0; i < 20; i++) s.cable.a.send(tcpFrame(s.world, { payload: 500, checksum }))
      s.world.frames.release(complete)
      s.world.runOut()
      for (const arrival of s.received.arrivals) {
        expect(arrival.checksum).toBe(FrameChecksum.Unverified)
        expect(flipped(arrival.bytes, clean.received.arrivals[0]!.bytes)).toBe(1)
      }
      expect(s.received.arrivals.length).toBe(20)
    },
  )
})

describe('the frame check sequence', () => {
  test('is put on and taken off; short frames come out padded', () => {
    const s = cableTest({ fcs: true })
    const long = Uint8Array.from(upTo(100))
    s.cable.a.send(s.world.frame(long))
    s.cable.a.send(s.world.frame([1, 2, 3]))
    s.world.runOut()
    expect(s.received.arrivals.map(({ bytes }) => [...bytes])).toEqual([[...long], [1, 2, 3, ...new Array(57).fill(0)]])
    expect(s.world.frames.inUse).toBe(0)
  })

  test('a checksum left to the link is completed under it', () => {
    const s = cableTest({ fcs: true, checksumOffload: true })
    s.cable.a.send(tcpFrame(s.world, { payload: 100, checksum: FrameChecksum.Partial }))
    s.world.runOut()
    const plain = cableTest()
    plain.cable.a.send(tcpFrame(plain.world, { payload: 100, checksum: FrameChecksum.Partial }))
    plain.world.runOut()
    expect(s.received.arrivals[0]!.checksum).toBe(FrameChecksum.Unverified)
    expect(s.received.arrivals[0]!.bytes).toEqual(plain.received.arrivals[0]!.bytes)
  })

  test.each([1, 2, 3, 17])('%i flipped bits never go unnoticed', (corruptBits) => {
    const s = cableTest({ fcs: true, impairment: { corrupt: 0.5, corruptBits } })
    sendNumbered(s, 1000, 200)
    s.world.runOut()
    expect(namedDrops(s.statistics.drops)).toEqual({ 'eth-fcs': s.statistics.corrupted })
    expect(s.statistics.corrupted).toBeGreaterThan(400)
    const clean = s.world.numbered(0, 200)
    const expected = s.world.bytesOf(clean).subarray(0, 196)
    for (const { bytes } of s.received.arrivals) expect(bytes.subarray(0, 196)).toEqual(expected)
    s.world.frames.release(clean)
    expect(s.world.frames.inUse).toBe(0)
  })

  test('counts in the rate as it does without', () => {
    const s = cableTest({ fcs: true, impairment: { rate: 10e6 } })
    sendNumbered(s, 1, 1514)
    s.world.runOut()
    expect(s.received.times).toEqual([1538 * 0.8])
  })
})
