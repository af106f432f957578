import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ip } from '../wire/address.ts'
import { hex, type TestHost, TestNet } from './testing.ts'

/** A host that gets fragments by hand; every packet of protocol 253 that is delivered is written down. */
const listener = (settings = {}, seed = 1) => {
  const lab = new TestNet(seed)
  const a = lab.host6('a', { dad_transmits: 0, icmp_ratemask: 0, ...settings })
  const b = lab.host('b')
  const cable = lab.connect(a, 'eth0', b, 'eth0')
  a.add('eth0', '10.0.0.1/24')
  a.add('eth0', '2001:db8::1/64')
  a.arp.setPermanent(a.iface('eth0'), ip('10.0.0.2'), 0x0200_0000_0002)
  const delivered: string[] = []
  a.register(253, {
    receive: (header, frame) => {
      delivered.push(hex(lab.world.memory.u8.slice(header.payloadStart, header.payloadEnd)))
      lab.world.frames.release(frame)
    },
    icmpError: () => {},
  })
  return { lab, a, cable, delivered }
}

interface Piece {
  readonly offset: number
  readonly data: Uint8Array
  readonly more: boolean
  readonly id?: number
  readonly tos?: number
  readonly protocol?: number
}

const sum16 = (bytes: Uint8Array): number => {
  let sum = 0
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return sum
}

/** Hands a fragment to the host, from 10.0.0.2. */
const give4 = (lab: TestNet, host: TestHost, piece: Piece): void => {
  const packet = new Uint8Array(20 + piece.data.length)
  const view = new DataView(packet.buffer)
  packet[0] = 0x45
  packet[1] = piece.tos ?? 0
  view.setUint16(2, packet.length)
  view.setUint16(4, piece.id ?? 7)
  view.setUint16(6, (piece.more ? 0x2000 : 0) | (piece.offset >>> 3))
  packet[8] = 64
  packet[9] = piece.protocol ?? 253
  packet.set([10, 0, 0, 2, 10, 0, 0, 1], 12)
  view.setUint16(10, ~sum16(packet.subarray(0, 20)) & 0xffff)
  packet.set(piece.data, 20)
  give(lab, host, [8, 0], packet)
}

/** The same over IPv6, from 2001:db8::2. */
const give6 = (lab: TestNet, host: TestHost, piece: Piece, nextHeader = 253): void => {
  const packet = new Uint8Array(48 + piece.data.length)
  const view = new DataView(packet.buffer)
  view.setUint32(0, 0x6000_0000 | ((piece.tos ?? 0) << 20))
  view.setUint16(4, 8 + piece.data.length)
  packet[6] = 44
  packet[7] = 64
  packet.set([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], 8)
  packet.set([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 24)
  packet[40] = nextHeader
  view.setUint16(42, piece.offset | (piece.more ? 1 : 0))
  view.setUint32(44, piece.id ?? 7)
  packet.set(piece.data, 48)
  give(lab, host, [0x86, 0xdd], packet)
}

const give = (lab: TestNet, host: TestHost, type: readonly number[], packet: Uint8Array): void => {
  const bytes = new Uint8Array(14 + packet.length)
  bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, ...type])
  bytes.set(packet, 14)
  host.iface('eth0').receive(lab.world.frame(bytes))
}

const bytes = (length: number, from = 0): Uint8Array => Uint8Array.from({ length }, (_, i) => (from + i) & 0xff)

/** A payload cut at random multiples of eight, in random order, some pieces twice. */
const cutPacket = fc
  .tuple(
    fc.integer({ min: 9, max: 3000 }),
    fc.array(fc.integer({ min: 1, max: 370 }), { maxLength: 12 }),
    fc.infiniteStream(fc.nat()),
  )
  .map(([length, cuts, lots]) => {
    const edges = [...new Set([0, ...cuts.map((cut) => cut * 8).filter((cut) => cut < length)])].sort((x, y) => x - y)
    const data = bytes(length)
    const pieces: Piece[] = edges.map((offset, i) => {
      const end = edges[i + 1] ?? length
      return { offset, data: data.slice(offset, end), more: end < length }
    })
    // A packet that was not cut is no fragment: cut it.
    if (pieces.length === 1) {
      pieces.splice(0, 1, { offset: 0, data: data.slice(0, 8), more: true })
      pieces.push({ offset: 8, data: data.slice(8), more: false })
    }
    const lot = (): number => lots.next().value as number
    const twice = pieces.flatMap((piece) => (lot() % 4 === 0 ? [piece, piece] : [piece]))
    for (let i = twice.length - 1; i > 0; i--) {
      const j = lot() % (i + 1)
      ;[twice[i], twice[j]] = [twice[j]!, twice[i]!]
    }
    return { data, pieces: twice, count: pieces.length }
  })

describe.each([
  ['IPv4', give4],
  ['IPv6', give6],
] as const)('%s', (family, giveOne) => {
  const counters = (host: TestHost) => (family === 'IPv4' ? host.mib.ip : host.mib.ip6)

  test('pieces in any order, some twice, give the packet once', () => {
    fc.assert(
      fc.property(cutPacket, ({ data, pieces, count }) => {
        const { lab, a, delivered } = listener()
        let left = new Set(pieces.map((piece) => piece.offset)).size
        expect(left).toBe(count)
        const seen = new Set<number>()
        for (const piece of pieces) {
          if (left === 0) break
          giveOne(lab, a, piece)
          if (!seen.has(piece.offset)) left--
          seen.add(piece.offset)
        }
        expect(delivered).toEqual([hex(data)])
        expect([counters(a).ReasmOKs, counters(a).ReasmFails, a.reassembly.waiting]).toEqual([1, 0, 0])
        expect([a.reassembly.memory(4), a.reassembly.memory(6)]).toEqual([0, 0])
        expect(lab.close()).toEqual({ frames: 0, timers: 0 })
      }),
      { numRuns: 60 },
    )
  })

  test('an overlap drops the whole packet, whatever comes of it later', () => {
    const { lab, a, delivered } = listener()
    giveOne(lab, a, { offset: 0, data: bytes(16), more: true })
    giveOne(lab, a, { offset: 8, data: bytes(16, 8), more: true })
    expect(a.reassembly.waiting).toBe(0)
    expect(a.drops).toEqual({ 'fragment-overlap': 2 })
    expect(counters(a).ReasmFails).toBe(1)
    giveOne(lab, a, { offset: 24, data: bytes(8, 24), more: false })
    lab.run(70_000)
    expect(delivered).toEqual([])
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('a piece that has come already is dropped alone, inside a run too', () => {
    const { lab, a, delivered } = listener()
    giveOne(lab, a, { offset: 0, data: bytes(16), more: true })
    giveOne(lab, a, { offset: 16, data: bytes(16, 16), more: true })
    giveOne(lab, a, { offset: 16, data: bytes(16, 16), more: true })
    giveOne(lab, a, { offset: 8, data: bytes(16, 8), more: true })
    expect(a.drops).toEqual({ 'fragment-duplicate': 2 })
    giveOne(lab, a, { offset: 32, data: bytes(5, 32), more: false })
    expect(delivered).toEqual([hex(bytes(37))])
  })

  test('ends that contradict each other drop the packet', () => {
    for (const second of [
      { offset: 32, data: bytes(8), more: false },
      { offset: 64, data: bytes(8), more: true },
    ]) {
      const { lab, a } = listener()
      giveOne(lab, a, { offset: 40, data: bytes(8), more: false })
      giveOne(lab, a, second)
      expect(a.drops).toEqual({ 'fragment-length': 2 })
    }
  })

  test('fragments of different packets do not mix', () => {
    const { lab, a, delivered } = listener()
    giveOne(lab, a, { offset: 0, data: bytes(8), more: true, id: 1 })
    giveOne(lab, a, { offset: 8, data: bytes(8, 100), more: false, id: 2 })
    expect([delivered, a.reassembly.waiting]).toEqual([[], 2])
    giveOne(lab, a, { offset: 8, data: bytes(8, 8), more: false, id: 1 })
    expect(delivered).toEqual([hex(bytes(16))])
  })

  test('memory is bounded: beyond the threshold fragments are refused', () => {
    const { lab, a } = listener({ ipfrag_high_thresh: 20_000, ip6frag_high_thresh: 20_000 })
    for (let id = 0; id < 100; id++) giveOne(lab, a, { offset: 0, data: bytes(1000), more: true, id })
    // 2304 bytes each: the ninth still begins below the threshold.
    expect(a.reassembly.waiting).toBe(9)
    expect(a.reassembly.memory(family === 'IPv4' ? 4 : 6)).toBe(9 * 2304)
    expect(a.drops).toEqual({ 'fragment-limit': 91 })
    expect(counters(a).ReasmFails).toBe(91)
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('a packet in too many pieces is given up', () => {
    const { lab, a, delivered } = listener()
    for (let i = 0; i < 1401; i++) giveOne(lab, a, { offset: i * 16, data: bytes(8), more: true })
    expect([a.drops, a.reassembly.waiting, delivered]).toEqual([{ 'fragment-limit': 1401 }, 0, []])
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('congestion marked on one piece marks the whole; with a piece that cannot be marked it is dropped', () => {
    const { lab, a } = listener()
    const marks: number[] = []
    a.rawReceiver = (header) => {
      marks.push(header.trafficClass)
      return false
    }
    giveOne(lab, a, { offset: 0, data: bytes(8), more: true, tos: 0x42 })
    giveOne(lab, a, { offset: 8, data: bytes(8), more: false, tos: 0x43 })
    expect(marks).toEqual([0x43])
    giveOne(lab, a, { offset: 0, data: bytes(8), more: true, tos: 0x40 })
    giveOne(lab, a, { offset: 8, data: bytes(8), more: false, tos: 0x43 })
    expect(a.drops).toEqual({ 'fragment-ecn': 2 })
    expect(marks.length).toBe(1)
  })

  test('an interface that goes takes its fragments along', () => {
    const { lab, a } = listener()
    giveOne(lab, a, { offset: 0, data: bytes(8), more: true })
    a.removeInterface(a.iface('eth0'))
    expect(a.reassembly.waiting).toBe(0)
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })
})

describe('time runs out', () => {
  test('IPv4: after 30 s, and the sender is told when the first fragment has come', () => {
    const { lab, a, cable } = listener()
    const wire = lab.sniff(cable.a)
    giveOne4AndWait(lab, a, 0)
    lab.run(29_999)
    expect(a.reassembly.waiting).toBe(1)
    lab.run(2)
    expect([a.mib.ip.ReasmTimeout, a.mib.ip.ReasmFails, a.drops['fragment-timeout']]).toEqual([1, 1, 1])
    const [told] = wire.ipv4(1)
    // Time exceeded in reassembly, about the fragment itself.
    expect(hex(told!.bytes.subarray(34, 36))).toBe('0b01')
    expect(hex(told!.bytes.subarray(42, 50))).toBe('4500001c00072000')
    wire.clear()
    giveOne4AndWait(lab, a, 16)
    lab.run(31_000)
    expect(a.mib.ip.ReasmTimeout).toBe(2)
    expect(wire.ipv4(1)).toEqual([])
  })

  test('IPv6: after 60 s', () => {
    const { lab, a, cable } = listener()
    const wire = lab.sniff(cable.a)
    a.nd.setPermanent(a.iface('eth0'), ip('2001:db8::2'), 0x0200_0000_0002)
    give6(lab, a, { offset: 0, data: bytes(8), more: true })
    lab.run(59_999)
    expect(a.reassembly.waiting).toBe(1)
    lab.run(2)
    expect(a.mib.ip6.ReasmTimeout).toBe(1)
    expect(wire.icmpv6(3).map(({ bytes: seen }) => seen[55])).toEqual([1])
  })

  const giveOne4AndWait = (lab: TestNet, host: TestHost, offset: number): void =>
    give4(lab, host, { offset, data: bytes(8), more: true })
})

describe('what only one family has', () => {
  test('IPv4: fragments of two protocols with one identification are of two packets', () => {
    const { lab, a, delivered } = listener()
    give4(lab, a, { offset: 0, data: bytes(8), more: true })
    give4(lab, a, { offset: 8, data: bytes(8), more: false, protocol: 17 })
    expect([delivered, a.reassembly.waiting]).toEqual([[], 2])
  })

  test('IPv4: fragments that reach beyond 65,535 bytes, or are empty, or are not whole words', () => {
    const { lab, a } = listener()
    give4(lab, a, { offset: 65_528, data: bytes(8), more: false })
    give4(lab, a, { offset: 8, data: bytes(0), more: true })
    give4(lab, a, { offset: 0, data: bytes(12), more: true })
    expect(a.drops).toEqual({ 'fragment-too-big': 1, 'fragment-truncated': 1, 'fragment-length': 1 })
    expect(a.reassembly.waiting).toBe(0)
  })

  test('IPv4: the largest packet there is', () => {
    const { lab, a, delivered } = listener()
    const data = bytes(65_515)
    for (let offset = 0; offset < data.length; offset += 1480) {
      const end = Math.min(offset + 1480, data.length)
      give4(lab, a, { offset, data: data.slice(offset, end), more: end < data.length })
    }
    expect(delivered).toEqual([hex(data)])
  })

  test('IPv6: an atomic fragment is delivered at once, beside others of the same identification (RFC 6946)', () => {
    const { lab, a, delivered } = listener()
    give6(lab, a, { offset: 0, data: bytes(8), more: true })
    give6(lab, a, { offset: 0, data: bytes(8, 50), more: false })
    expect([delivered, a.reassembly.waiting]).toEqual([[hex(bytes(8, 50))], 1])
  })

  test('IPv6: a first fragment without the header of the protocol above is refused with a parameter problem', () => {
    const { lab, a, cable } = listener()
    const wire = lab.sniff(cable.a)
    a.nd.setPermanent(a.iface('eth0'), ip('2001:db8::2'), 0x0200_0000_0002)
    give6(lab, a, { offset: 0, data: bytes(8), more: true }, 6)
    lab.run(1)
    expect(a.drops).toEqual({ 'fragment-truncated': 1 })
    expect(wire.icmpv6(4).map(({ bytes: seen }) => seen[55])).toEqual([3])
  })

  test('IPv6: a length that is no multiple of eight is answered with a pointer to the payload length', () => {
    const { lab, a, cable } = listener()
    const wire = lab.sniff(cable.a)
    a.nd.setPermanent(a.iface('eth0'), ip('2001:db8::2'), 0x0200_0000_0002)
    give6(lab, a, { offset: 0, data: bytes(12), more: true })
    lab.run(1)
    const [problem] = wire.icmpv6(4)
    expect([problem!.bytes[55], hex(problem!.bytes.subarray(58, 62))]).toEqual([0, '00000004'])
  })
})
