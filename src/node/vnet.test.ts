import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { VirtualClock } from '../core/clock.ts'
import { type Frame, FrameChecksum, FrameQueue } from '../core/frame.ts'
import { SeededRandom } from '../core/random.ts'
import { World } from '../core/world.ts'
import { finishChecksum, splitSegments } from '../link/segmentation.ts'
import { ip } from '../wire/address.ts'
import { sumBytes } from '../wire/checksum.ts'
import { Drop } from '../wire/drop.ts'
import { EtherType } from '../wire/ethernet.ts'
import { IpHeader, IpProtocol } from '../wire/ip.ts'
import { emitIpv4, parseIpv4 } from '../wire/ipv4.ts'
import { emitIpv6 } from '../wire/ipv6.ts'
import { emitTcp, TcpFlag, TcpHeader } from '../wire/tcp.ts'
import { fillPartialChecksum, fillTransportChecksum, verifyTransportChecksum } from '../wire/transport.ts'
import { hex, unhex } from './testing.ts'
import { readVnetHeader, VNET_HEADER, writeVnetHeader } from './vnet.ts'

const world = new World(new VirtualClock(), new SeededRandom(1))
const { memory } = world

interface Wanted {
  version?: 4 | 6
  link?: string
  flags?: number
  payload?: number
  checksum?: number
  segmentSize?: number
}

/** A TCP segment, or several in one, as the stack would hand it to a link. */
const tcpFrame = (wanted: Wanted = {}): Frame => {
  const { version = 4, link = '', flags = TcpFlag.Ack, payload = 100, checksum = FrameChecksum.Partial } = wanted
  const frame = world.frames.allocate(payload + 20)!
  const header = new IpHeader()
  header.version = version
  header.source = ip(version === 4 ? '10.77.0.2' : 'fd77::2')
  header.destination = ip(version === 4 ? '10.77.0.1' : 'fd77::1')
  header.protocol = IpProtocol.Tcp
  header.headerLength = version === 4 ? 20 : 40
  const tcp = new TcpHeader()
  tcp.sourcePort = 80
  tcp.destinationPort = 1024
  tcp.flags = flags
  emitTcp(tcp, memory, frame.transport)
  frame.end = frame.transport + 20 + payload
  for (let i = frame.transport + 20; i < frame.end; i++) memory.u8[i] = i & 0xff
  if (checksum === FrameChecksum.Partial) {
    fillPartialChecksum(header, IpProtocol.Tcp, memory, frame.transport, frame.end)
  } else fillTransportChecksum(header, IpProtocol.Tcp, memory, frame.transport, frame.end)
  frame.network = frame.transport - header.headerLength
  if (version === 4) emitIpv4(header, memory, frame.network, payload + 20)
  else emitIpv6(header, memory, frame.network, payload + 20)
  const linkHeader = unhex(link)
  frame.start = frame.network - linkHeader.length
  memory.u8.set(linkHeader, frame.start)
  frame.checksum = checksum
  frame.segmentSize = wanted.segmentSize ?? 0
  return frame
}

const ETHERNET_IPV4 = '020000000001 020000000002 0800'
const TAGGED_IPV4 = '020000000001 020000000002 8100 0005 0800'

const headerOf = (frame: Frame): string => hex(memory.u8.subarray(frame.start - VNET_HEADER, frame.start))

const withHeader = (frame: Frame, header: string): Frame => {
  memory.u8.set(unhex(header), frame.start - VNET_HEADER)
  return frame
}

describe('writeVnetHeader', () => {
  test.each<[string, Wanted, string]>([
    ['a finished frame needs nothing', { checksum: FrameChecksum.Unverified }, '00 00 0000 0000 0000 0000'],
    ['a checksum over IPv4', {}, '01 00 0000 0000 1400 1000'],
    ['a checksum over IPv6', { version: 6 }, '01 00 0000 0000 2800 1000'],
    ['a checksum behind an Ethernet header', { link: ETHERNET_IPV4 }, '01 00 0000 0000 2200 1000'],
    ['segments over IPv4', { payload: 3000, segmentSize: 1460 }, '01 01 2800 b405 1400 1000'],
    ['segments over IPv6', { version: 6, payload: 3000, segmentSize: 1440 }, '01 04 3c00 a005 2800 1000'],
    [
      'segments behind a tag, with CWR on the first',
      { link: TAGGED_IPV4, payload: 3000, segmentSize: 1460, flags: TcpFlag.Ack | TcpFlag.Cwr },
      '01 81 3a00 b405 2600 1000',
    ],
    ['one segment is no several', { payload: 1460, segmentSize: 1460 }, '01 00 0000 0000 1400 1000'],
    ['a good checksum need not have been written', { checksum: FrameChecksum.Good }, '01 00 0000 0000 1400 1000'],
  ])('%s', (_what, wanted, expected) => {
    const frame = tcpFrame(wanted)
    expect(writeVnetHeader(memory, frame)).toBe(Drop.none)
    expect(headerOf(frame)).toBe(expected.replaceAll(' ', ''))
    world.frames.release(frame)
  })

  test.each([4, 6] as const)('a finished checksum over IPv%i goes back to the sum of the pseudo-header', (version) => {
    const partial = tcpFrame({ version, payload: 3000 })
    const good = tcpFrame({ version, payload: 3000, segmentSize: 1440, checksum: FrameChecksum.Good })
    expect(writeVnetHeader(memory, good)).toBe(Drop.none)
    expect(memory.view.getUint16(good.transport + 16)).toBe(memory.view.getUint16(partial.transport + 16))
    world.frames.release(partial)
    world.frames.release(good)
  })

  test('segments that are not of TCP are refused, and so is a checksum that is not there', () => {
    const frame = tcpFrame({ segmentSize: 50 })
    memory.u8[frame.network + 9] = IpProtocol.Udp
    expect(writeVnetHeader(memory, frame)).toBe(Drop['link-not-segmentable'])
    memory.u8[frame.network + 9] = IpProtocol.Icmp
    expect(writeVnetHeader(memory, frame)).toBe(Drop['link-not-segmentable'])
    frame.segmentSize = 0
    expect(writeVnetHeader(memory, frame)).toBe(Drop['link-not-segmentable'])
    frame.checksum = FrameChecksum.Good
    expect(writeVnetHeader(memory, frame)).toBe(Drop.none)
    expect(headerOf(frame)).toBe('00000000000000000000')
    world.frames.release(frame)
  })

  test('a TCP header that does not fit is refused', () => {
    const frame = tcpFrame({ payload: 10, segmentSize: 5 })
    memory.u8[frame.transport + 12] = 0xf0
    expect(writeVnetHeader(memory, frame)).toBe(Drop['tcp-header-length'])
    world.frames.release(frame)
  })
})

describe('readVnetHeader', () => {
  /** As the device reads it: nothing is known of the frame but its bytes. */
  const read = (frame: Frame, header: string, medium: 'ethernet' | 'ip' = 'ip'): number => {
    frame.network = frame.base
    frame.transport = frame.base
    frame.etherType = 0
    frame.checksum = FrameChecksum.Unverified
    frame.segmentSize = 0
    return readVnetHeader(memory, withHeader(frame, header), medium)
  }

  test('no flags: the stack verifies; a checksum that somebody verified is good', () => {
    const frame = tcpFrame({ checksum: FrameChecksum.Unverified })
    expect(read(frame, '00 00 0000 0000 0000 0000')).toBe(Drop.none)
    expect(frame.checksum).toBe(FrameChecksum.Unverified)
    expect(read(frame, '02 00 0000 0000 0000 0000')).toBe(Drop.none)
    expect(frame.checksum).toBe(FrameChecksum.Good)
    world.frames.release(frame)
  })

  test.each<[string, Wanted, string, number]>([
    ['IPv4', { payload: 3000 }, '01 01 2800 b405 1400 1000', EtherType.Ipv4],
    ['IPv6 with ECN', { version: 6, payload: 3000 }, '01 84 3c00 b405 2800 1000', EtherType.Ipv6],
    ['IPv4 in Ethernet', { link: ETHERNET_IPV4, payload: 3000 }, '01 01 3600 b405 2200 1000', EtherType.Ipv4],
    ['IPv4 behind a tag', { link: TAGGED_IPV4, payload: 3000 }, '01 01 3a00 b405 2600 1000', EtherType.Ipv4],
  ])('segments of %s: the marks say where the headers are', (_what, wanted, header, etherType) => {
    const frame = tcpFrame(wanted)
    const { network, transport } = frame
    expect(read(frame, header, wanted.link === undefined ? 'ip' : 'ethernet')).toBe(Drop.none)
    expect(frame).toMatchObject({ network, transport, etherType, checksum: FrameChecksum.Partial, segmentSize: 1460 })
    world.frames.release(frame)
  })

  test.each([
    ['segments of UDP', '01 05 2800 b405 1400 1000'],
    ['segments without a checksum to compute', '00 01 2800 b405 1400 1000'],
    ['a checksum beyond the end', '01 00 0000 0000 ff7f 1000'],
    ['a checksum in the IP header', '01 00 0000 0000 0000 0a00'],
    ['a checksum at another place than the headers say', '01 00 0000 0000 1400 0600'],
  ])('%s is refused', (_what, header) => {
    const frame = tcpFrame({ payload: 3000 })
    expect(read(frame, header)).toBe(Drop['link-not-segmentable'])
    expect(read(frame, header, 'ethernet')).toBe(Drop['link-not-segmentable'])
    world.frames.release(frame)
  })

  test('what is written is read, and the checksum comes out right', () => {
    const shape = fc.record({
      version: fc.constantFrom(4 as const, 6 as const),
      payload: fc.integer({ min: 1, max: 60_000 }),
      segmentSize: fc.integer({ min: 0, max: 1460 }),
      flags: fc.integer({ min: 0, max: 0xff }),
    })
    fc.assert(
      fc.property(shape, (wanted) => {
        const frame = tcpFrame(wanted)
        const { network, transport } = frame
        expect(writeVnetHeader(memory, frame)).toBe(Drop.none)
        expect(read(frame, headerOf(frame))).toBe(Drop.none)
        const several = wanted.segmentSize > 0 && wanted.payload > wanted.segmentSize
        expect(frame).toMatchObject({ network, transport, segmentSize: several ? wanted.segmentSize : 0 })
        finishChecksum(memory, frame)
        expect(memory.view.getUint16(transport + 16)).toBe(sumOf(frame))
        world.frames.release(frame)
      }),
    )
  })

  test('garbage never throws', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: VNET_HEADER, maxLength: 200 }),
        fc.constantFrom('ethernet' as const, 'ip' as const),
        (bytes, medium) => {
          const frame = world.frames.allocate(bytes.length)!
          memory.u8.set(bytes, frame.start)
          frame.start += VNET_HEADER
          frame.end = frame.start + bytes.length - VNET_HEADER
          const reason = readVnetHeader(memory, frame, medium)
          expect([Drop.none, Drop['link-not-segmentable']]).toContain(reason)
          world.frames.release(frame)
        },
      ),
      { numRuns: 2000 },
    )
  })
})

/** The checksum of a segment, the plain way. */
const sumOf = (frame: Frame): number => {
  const before = memory.view.getUint16(frame.transport + 16)
  memory.view.setUint16(frame.transport + 16, 0)
  const at = frame.network
  const isIpv4 = memory.u8[at]! >>> 4 === 4
  let sum = sumBytes(memory, frame.transport, frame.end) + (isIpv4 ? sumBytes(memory, at + 12, at + 20) : 0)
  if (!isIpv4) sum += sumBytes(memory, at + 8, at + 40)
  sum += IpProtocol.Tcp + frame.end - frame.transport
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  memory.view.setUint16(frame.transport + 16, before)
  return ~sum & 0xffff
}

test('a frame read with segments can be cut: every piece has a right checksum', () => {
  const frame = tcpFrame({ payload: 4000 })
  withHeader(frame, '01 01 2800 b405 1400 1000')
  expect(readVnetHeader(memory, frame, 'ip')).toBe(Drop.none)
  const pieces = new FrameQueue()
  expect(splitSegments(world, frame, 1500, pieces)).toBe(Drop.none)
  expect(pieces.length).toBe(3)
  const header = new IpHeader()
  for (let piece = pieces.shift(); piece !== null; piece = pieces.shift()) {
    expect(parseIpv4(header, memory, piece.start, piece.end)).toBe(Drop.none)
    expect(verifyTransportChecksum(header, memory)).toBe(Drop.none)
    world.frames.release(piece)
  }
  expect(world.frames.inUse).toBe(0)
})
