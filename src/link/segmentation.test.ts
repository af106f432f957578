import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FrameChecksum, FrameQueue } from '../core/frame.ts'
import { Drop } from '../wire/drop.ts'
import { EtherType } from '../wire/ethernet.ts'
import {
  checksumFieldAt,
  finishChecksum,
  fitFrame,
  packetLength,
  splitSegments,
  transportChecksum,
} from './segmentation.ts'
import { TestWorld, tcpFrame } from './testing.ts'

/** The Internet checksum of bytes, the slow way. */
const slowChecksum = (bytes: number[]): number => {
  let sum = 0
  for (let i = 0; i < bytes.length; i += 2) {
    sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0)
    if (sum > 0xffff) sum -= 0xffff
  }
  return ~sum & 0xffff
}

/** The IP packet in a frame, cut at its link header. */
const packetOf = (bytes: Uint8Array, link: number): number[] => [...bytes.subarray(link)]

/** The checksum over pseudo-header and segment; 0 when the one in the segment is right. */
const transportResidue = (packet: number[]): number => {
  const v4 = packet[0]! >>> 4 === 4
  const header = v4 ? (packet[0]! & 15) * 4 : 40
  const segment = packet.slice(header)
  const addresses = v4 ? packet.slice(12, 20) : packet.slice(8, 40)
  const protocol = v4 ? packet[9]! : packet[6]!
  return slowChecksum([...addresses, 0, 0, segment.length >>> 8, segment.length & 255, 0, 0, 0, protocol, ...segment])
}

/** What splitting should give, built byte by byte with no regard to speed. */
const slowSplit = (whole: Uint8Array, link: number, size: number): number[][] => {
  const packet = packetOf(whole, link)
  const v4 = packet[0]! >>> 4 === 4
  const ipHeader = v4 ? (packet[0]! & 15) * 4 : 40
  const headers = ipHeader + (packet[ipHeader + 12]! >>> 4) * 4
  const payload = packet.slice(headers)
  const be32 = (at: number): number =>
    packet[at]! * 0x100_0000 + packet[at + 1]! * 0x1_0000 + packet[at + 2]! * 0x100 + packet[at + 3]!
  const put = (into: number[], at: number, value: number, bytes: number): void => {
    for (let i = 0; i < bytes; i++) into[at + i] = Math.floor(value / 2 ** (8 * (bytes - 1 - i))) & 255
  }
  const segments: number[][] = []
  for (let at = 0; at === 0 || at < payload.length; at += size) {
    const part = [...packet.slice(0, headers), ...payload.slice(at, at + size)]
    if (v4) {
      put(part, 2, part.length, 2)
      put(part, 4, packet[4]! * 256 + packet[5]! + segments.length, 2)
      put(part, 10, 0, 2)
      put(part, 10, slowChecksum(part.slice(0, ipHeader)), 2)
    } else put(part, 4, part.length - 40, 2)
    put(part, ipHeader + 4, be32(ipHeader + 4) + at, 4)
    if (at + size < payload.length) part[ipHeader + 13]! &= ~0x09
    if (at > 0) part[ipHeader + 13]! &= ~0x80
    put(part, ipHeader + 16, 0, 2)
    put(part, ipHeader + 16, transportResidue(part), 2)
    segments.push([...whole.subarray(0, link), ...part])
  }
  return segments
}

const linkHeader = (medium: 'ethernet' | 'ip', vlan: boolean): number => (medium === 'ip' ? 0 : vlan ? 18 : 14)

describe('splitSegments', () => {
  test('gives what the slow way gives, whatever the headers', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<4 | 6>(4, 6),
        fc.constantFrom<'ethernet' | 'ip'>('ethernet', 'ip'),
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 0, max: 0xff }),
        fc.integer({ min: 0, max: 0xffff_ffff }),
        fc.integer({ min: 1, max: 9000 }),
        fc.integer({ min: 1, max: 1460 }),
        (version, medium, vlan, timestamps, flags, seq, payload, segmentSize) => {
          const world = new TestWorld()
          const frame = tcpFrame(world, { version, medium, vlan, timestamps, flags, seq, payload, segmentSize })
          frame.checksum = FrameChecksum.Partial
          const link = linkHeader(medium, vlan)
          const expected = slowSplit(world.bytesOf(frame), link, segmentSize)
          const into = new FrameQueue()
          expect(splitSegments(world, frame, 9000, into)).toBe(Drop.none)
          expect(into.length).toBe(expected.length)
          for (const bytes of expected) {
            const segment = into.shift()!
            expect([...world.bytesOf(segment)]).toEqual(bytes)
            expect(transportResidue(packetOf(world.bytesOf(segment), link))).toBe(0)
            expect(segment.network).toBe(segment.start + link)
            expect(segment.transport - segment.network).toBe(version === 4 ? 20 : 40)
            expect(segment.transport & 3).toBe(0)
            expect(segment.checksum).toBe(FrameChecksum.Unverified)
            expect(segment.segmentSize).toBe(0)
            world.frames.release(segment)
          }
          expect(world.frames.inUse).toBe(0)
        },
      ),
      { numRuns: 150 },
    )
  })

  test('FIN and PSH go on the last, CWR on the first, the rest on all; identifications wrap', () => {
    const world = new TestWorld()
    const frame = tcpFrame(world, { payload: 2500, flags: 0x10 | 0x08 | 0x01 | 0x80 | 0x40, identification: 0xffff })
    frame.segmentSize = 1000
    const into = new FrameQueue()
    splitSegments(world, frame, 1500, into)
    const seen: unknown[] = []
    for (let segment = into.shift(); segment !== null; segment = into.shift()) {
      const { view } = world.memory
      seen.push([
        view.getUint16(segment.network + 2),
        view.getUint16(segment.network + 4),
        view.getUint32(segment.transport + 4),
        world.memory.u8[segment.transport + 13],
      ])
    }
    expect(seen).toEqual([
      [1040, 0xffff, 1000, 0xd0],
      [1040, 0, 2000, 0x50],
      [540, 1, 3000, 0x59],
    ])
  })

  test('what is one segment already stays the frame it is, its checksum completed', () => {
    const world = new TestWorld()
    const frame = tcpFrame(world, { payload: 100, segmentSize: 100, checksum: FrameChecksum.Partial })
    const into = new FrameQueue()
    expect(splitSegments(world, frame, 140, into)).toBe(Drop.none)
    expect(into.shift()).toBe(frame)
    expect(frame.segmentSize).toBe(0)
    expect(frame.checksum).toBe(FrameChecksum.Unverified)
    expect(transportResidue(packetOf(world.bytesOf(frame), 14))).toBe(0)
  })

  test('extension headers that fill the headroom move the transport header up', () => {
    const world = new TestWorld()
    // Destination options of 64 bytes between the IPv6 header and TCP: 14 + 40 + 64 bytes of headers.
    const plain = tcpFrame(world, { version: 6, payload: 300, medium: 'ethernet' })
    const bytes = [...world.bytesOf(plain)]
    bytes[14 + 6] = 60
    bytes[14 + 4] = (20 + 300 + 64) >>> 8
    bytes[14 + 5] = (20 + 300 + 64) & 255
    bytes.splice(54, 0, 6, 7, 1, 60, ...new Array(60).fill(0))
    const frame = world.frame(bytes)
    frame.network = frame.start + 14
    frame.transport = frame.network + 40 + 64
    frame.segmentSize = 200
    const into = new FrameQueue()
    expect(splitSegments(world, frame, 1500, into)).toBe(Drop.none)
    expect(into.length).toBe(2)
    const first = into.shift()!
    const last = into.shift()!
    expect(first.start).toBeGreaterThanOrEqual(first.base)
    expect(first.transport & 3).toBe(0)
    expect([...world.bytesOf(first)].slice(54, 118)).toEqual(bytes.slice(54, 118))
    expect(world.memory.view.getUint16(first.network + 4)).toBe(64 + 20 + 200)
    expect(world.memory.view.getUint16(last.network + 4)).toBe(64 + 20 + 100)
    expect([...world.bytesOf(last)].slice(138)).toEqual(bytes.slice(338))
    for (const segment of [first, last]) {
      const packet = packetOf(world.bytesOf(segment), 14)
      packet.splice(40, 64)
      packet[6] = 6
      expect(transportResidue(packet)).toBe(0)
    }
  })

  test('refuses what it cannot cut, and leaves it to the caller', () => {
    const world = new TestWorld()
    const into = new FrameQueue()
    const refused = (change: (frame: ReturnType<typeof tcpFrame>) => void, mtu = 1500): number => {
      const frame = tcpFrame(world, { payload: 3000, segmentSize: 1000 })
      change(frame)
      const reason = splitSegments(world, frame, mtu, into)
      expect(into.length).toBe(0)
      world.frames.release(frame)
      expect(world.frames.inUse).toBe(0)
      return reason
    }
    const { memory } = world
    expect(refused((f) => (memory.u8[f.network + 9] = 17))).toBe(Drop['link-not-segmentable'])
    expect(refused((f) => (memory.u8[f.network] = 0x75))).toBe(Drop['link-not-segmentable'])
    expect(refused((f) => (memory.u8[f.network + 6] = 0x20))).toBe(Drop['link-not-segmentable'])
    expect(refused((f) => memory.view.setUint16(f.network + 2, 3041))).toBe(Drop['link-not-segmentable'])
    expect(refused((f) => memory.view.setUint16(f.network + 2, 30))).toBe(Drop['tcp-truncated'])
    expect(refused((f) => (f.transport += 4))).toBe(Drop['link-not-segmentable'])
    expect(refused((f) => (memory.u8[f.transport + 12] = 0x40))).toBe(Drop['tcp-header-length'])
    const tooLong = refused((f) => {
      memory.view.setUint16(f.network + 2, 40)
      memory.u8[f.transport + 12] = 0xf0
    })
    expect(tooLong).toBe(Drop['tcp-truncated'])
    expect(refused(() => {}, 1039)).toBe(Drop['link-mtu'])
  })

  test('cuts all or nothing when memory is short', () => {
    // One slab of 64 KiB holds 32 small frames; the large frame needs a megabyte.
    const world = new TestWorld(1, 0x10_0000 + 0x1_0000)
    const frame = tcpFrame(world, { payload: 60_000, segmentSize: 1000 })
    const into = new FrameQueue()
    expect(splitSegments(world, frame, 1500, into)).toBe(Drop['no-memory'])
    expect(into.length).toBe(0)
    expect(world.frames.inUse).toBe(1)
    expect(frame.segmentSize).toBe(1000)
  })
})

describe('finishChecksum', () => {
  test.each<[4 | 6, boolean]>([
    [4, true],
    [4, false],
    [6, true],
    [6, false],
  ])('completes TCP over IPv%i, padded by the link: %s', (version, padded) => {
    for (const mark of [FrameChecksum.Partial, FrameChecksum.Good]) {
      for (const payload of [0, 1, 2, 99, 1000]) {
        const world = new TestWorld()
        const frame = tcpFrame(world, { version, payload, checksum: mark })
        const whole = world.bytesOf(frame).length
        if (padded) {
          world.memory.u8.fill(0xee, frame.end, frame.end + 7)
          frame.end += 7
        }
        // Whatever the field holds does not matter.
        world.memory.view.setUint16(frame.transport + 16, 0x1234 * payload)
        finishChecksum(world.memory, frame)
        expect(transportResidue(packetOf(world.bytesOf(frame).subarray(0, whole), 14))).toBe(0)
        expect(frame.checksum).toBe(FrameChecksum.Unverified)
      }
    }
  })

  test('leaves an unverified frame as it is', () => {
    const world = new TestWorld()
    const frame = tcpFrame(world, { payload: 10 })
    const before = [...world.bytesOf(frame)]
    finishChecksum(world.memory, frame)
    expect([...world.bytesOf(frame)]).toEqual(before)
  })

  /** An IPv4 packet with a UDP datagram of one 16-bit word of payload. */
  const udp = (world: TestWorld, word: number, checksum: number) => {
    const frame = world.frame([
      ...[0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
      ...[0, 53, 0, 53, 0, 10, checksum >>> 8, checksum & 255, word >>> 8, word & 255],
    ])
    frame.transport = frame.start + 20
    return frame
  }

  test('a UDP checksum of zero is written as ffff (RFC 768)', () => {
    const world = new TestWorld()
    // Addresses 0x1403 + protocol 17 + ports 106 + length twice 20 = 0x1492; the payload fills up to 0xffff.
    const frame = udp(world, 0xffff - 0x1492, 0)
    frame.checksum = FrameChecksum.Partial
    finishChecksum(world.memory, frame)
    expect(world.memory.view.getUint16(frame.transport + 6)).toBe(0xffff)
  })

  test('a datagram that is good and has no checksum stays without; a partial one gets it', () => {
    const world = new TestWorld()
    const frame = udp(world, 0x0001, 0)
    frame.checksum = FrameChecksum.Good
    finishChecksum(world.memory, frame)
    expect(world.memory.view.getUint16(frame.transport + 6)).toBe(0)
    frame.checksum = FrameChecksum.Partial
    finishChecksum(world.memory, frame)
    expect(world.memory.view.getUint16(frame.transport + 6)).toBe(0xffff - 0x1493)
  })

  test('a computed value does not depend on what the field holds, and nothing is changed', () => {
    const world = new TestWorld()
    const frame = tcpFrame(world, { payload: 77 })
    const at = checksumFieldAt(world.memory, frame)
    expect(at).toBe(frame.transport + 16)
    const first = transportChecksum(world.memory, frame, at)
    for (const held of [1, 0x7fff, 0xffff]) {
      world.memory.view.setUint16(at, held)
      expect(transportChecksum(world.memory, frame, at)).toBe(first)
      expect(world.memory.view.getUint16(at)).toBe(held)
    }
  })

  test('marks that lead astray, or headers that lie, are never followed out of the frame', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 120 }),
        fc.integer({ min: -20, max: 140 }),
        fc.integer({ min: -20, max: 140 }),
        fc.integer({ min: 1, max: 200 }),
        (bytes, network, transport, segmentSize) => {
          const world = new TestWorld()
          const guard = world.numbered(1, 200)
          const frame = world.frame(bytes)
          const before = world.memory.u8.slice(0, 0x1_0000)
          frame.network = frame.start + network
          frame.transport = frame.start + transport
          frame.checksum = FrameChecksum.Partial
          finishChecksum(world.memory, frame)
          const after = world.memory.u8.slice(0, 0x1_0000)
          for (const memory of [before, after]) memory.fill(0, frame.start, frame.end)
          expect(after.every((byte, at) => byte === before[at])).toBe(true)
          frame.segmentSize = segmentSize
          const into = new FrameQueue()
          if (splitSegments(world, frame, 1500, into) !== Drop.none) world.frames.release(frame)
          into.clear(world.frames)
          world.frames.release(guard)
          expect(world.frames.inUse).toBe(0)
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe('fitFrame', () => {
  const plain = { medium: 'ethernet', mtu: 1500, maxSegmentedPacket: 0, checksumOffload: false, fcs: false } as const
  const offload = { ...plain, maxSegmentedPacket: 65_535, checksumOffload: true }

  test('cuts for a link that does not, and passes whole to one that does', () => {
    const world = new TestWorld()
    const into = new FrameQueue()
    const options = { payload: 4000, segmentSize: 1460, checksum: FrameChecksum.Partial }
    expect(fitFrame(world, tcpFrame(world, options), plain, into)).toBe(Drop.none)
    expect(into.length).toBe(3)
    into.clear(world.frames)
    const frame = tcpFrame(world, options)
    expect(fitFrame(world, frame, offload, into)).toBe(Drop.none)
    expect(into.shift()).toBe(frame)
    expect(frame.checksum).toBe(FrameChecksum.Partial)
    expect(frame.segmentSize).toBe(1460)
  })

  test('completes a checksum for a link that does not', () => {
    const world = new TestWorld()
    const into = new FrameQueue()
    const frame = tcpFrame(world, { payload: 10, checksum: FrameChecksum.Partial })
    expect(fitFrame(world, frame, plain, into)).toBe(Drop.none)
    expect(into.shift()).toBe(frame)
    expect(transportResidue(packetOf(world.bytesOf(frame), 14))).toBe(0)
  })

  test('refuses what is over the MTU', () => {
    const world = new TestWorld()
    const into = new FrameQueue()
    const frame = tcpFrame(world, { payload: 1461 })
    expect(fitFrame(world, frame, plain, into)).toBe(Drop['link-mtu'])
    const exact = tcpFrame(world, { payload: 1460, vlan: true })
    expect(fitFrame(world, exact, plain, into)).toBe(Drop.none)
  })
})

describe('packetLength', () => {
  const length = (bytes: number[], medium: 'ethernet' | 'ip' = 'ethernet'): number => {
    const world = new TestWorld()
    return packetLength(world.memory, world.frame(bytes), medium)
  }
  const type = (...types: number[]): number[] => [
    ...new Array(12).fill(0),
    ...types.flatMap((t) => [t >>> 8, t & 255, 0, 0]),
    0x08,
    0,
    ...new Array(46).fill(0),
  ]

  test('counts what is behind the link header', () => {
    expect(length(type())).toBe(46)
    expect(length(type(EtherType.Vlan))).toBe(46)
    expect(length(type(EtherType.ServiceVlan, EtherType.Vlan))).toBe(46)
    expect(length(type(EtherType.Vlan, EtherType.Vlan, EtherType.Vlan))).toBe(50)
    expect(length(type(), 'ip')).toBe(60)
    expect(length([1, 2, 3])).toBe(-11)
    expect(length([...new Array(12).fill(0), 0x81, 0])).toBe(0)
  })
})
