import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { samplePackets } from '../../test/support/sample-frames.ts'
import { type Bytes, bytesOf } from '../core/memory.ts'
import { ip } from './address.ts'
import { checksumOf, sumBytes } from './checksum.ts'
import { DecodedFrame, decodeFrame } from './decode.ts'
import { dropName } from './drop.ts'
import { IpHeader } from './ip.ts'
import {
  fillPartialChecksum,
  fillTransportChecksum,
  transportChecksumOffset,
  verifyTransportChecksum,
} from './transport.ts'

const header = (version: 4 | 6, protocol: number, start: number, end: number): IpHeader =>
  Object.assign(new IpHeader(), {
    version,
    protocol,
    source: ip(version === 4 ? '10.9.0.1' : 'fd09::1'),
    destination: ip(version === 4 ? '10.9.0.2' : 'fd09::2'),
    payloadStart: start,
    payloadEnd: end,
  })

const verify = (of: IpHeader, bytes: Bytes): string => dropName(verifyTransportChecksum(of, bytes))

const CASES = [
  [4, 6, 'tcp-checksum', 16],
  [4, 17, 'udp-checksum', 6],
  [4, 1, 'icmp-checksum', 2],
  [4, 2, 'igmp-checksum', 2],
  [6, 6, 'tcp-checksum', 16],
  [6, 17, 'udp-checksum', 6],
  [6, 58, 'icmp-checksum', 2],
] as const

/** A message of `length` bytes at `at`; a UDP length is put right. */
const message = (data: Uint8Array, at: number, protocol: number): { bytes: Bytes; end: number } => {
  const bytes = bytesOf(Uint8Array.from([...new Uint8Array(at).fill(0xee), ...data, 0xee]))
  if (protocol === 17) bytes.view.setUint16(at + 4, data.length)
  return { bytes, end: at + data.length }
}

describe.each(CASES)('IPv%i, protocol %i', (version, protocol, reason, offset) => {
  test('what is filled in verifies, and no other value does', () => {
    const data = fc.uint8Array({ minLength: 20, maxLength: 80 })
    fc.assert(
      fc.property(data, fc.nat(3), fc.integer({ min: 1, max: 0xfffe }), (content, at, other) => {
        const { bytes, end } = message(content, at, protocol)
        const of = header(version, protocol, at, end)
        fillTransportChecksum(of, protocol, bytes, at, end)
        expect(verify(of, bytes)).toBe('none')
        const field = bytes.view.getUint16(at + offset)
        // Adding 0xffff is adding zero; every other change is noticed.
        bytes.view.setUint16(at + offset, (field + other) % 0xffff || 0xffff)
        expect(verify(of, bytes)).toBe(reason)
        expect([bytes.u8[end], at > 0 ? bytes.u8[at - 1] : 0xee]).toEqual([0xee, 0xee])
      }),
    )
  })

  test('where the field lies', () => {
    expect(transportChecksumOffset(version, protocol)).toBe(offset)
  })
})

test('a protocol of the other family has no checksum here', () => {
  expect([transportChecksumOffset(4, 58), transportChecksumOffset(6, 1), transportChecksumOffset(6, 2)]).toEqual([
    -1, -1, -1,
  ])
  const bytes = bytesOf(new Uint8Array(20).fill(1))
  for (const [version, protocol] of [
    [4, 58],
    [6, 1],
    [6, 2],
    [4, 132],
    [6, 132],
  ] as const) {
    expect(verify(header(version, protocol, 0, 20), bytes)).toBe('none')
  }
})

test('messages too short to hold a checksum are truncated', () => {
  const bytes = bytesOf(new Uint8Array(20))
  const short = (version: 4 | 6, protocol: number, length: number): string =>
    verify(header(version, protocol, 0, length), bytes)
  expect([short(4, 6, 19), short(6, 17, 7), short(4, 1, 3), short(6, 58, 3), short(4, 2, 7)]).toEqual([
    'tcp-truncated',
    'udp-truncated',
    'icmp-truncated',
    'icmp-truncated',
    'igmp-truncated',
  ])
})

test('UDP without a checksum: fine over IPv4, refused over IPv6', () => {
  const { bytes, end } = message(new Uint8Array(20), 0, 17)
  expect(verify(header(4, 17, 0, end), bytes)).toBe('none')
  expect(verify(header(6, 17, 0, end), bytes)).toBe('udp-no-checksum')
})

test('UDP sums what its length says, whatever lies behind', () => {
  const { bytes } = message(
    Uint8Array.from({ length: 20 }, (_, i) => i),
    0,
    17,
  )
  fillTransportChecksum(header(4, 17, 0, 20), 17, bytes, 0, 20)
  bytes.u8[20] = 0x55
  expect(verify(header(4, 17, 0, 21), bytes)).toBe('none')
  bytes.view.setUint16(4, 21)
  expect(verify(header(4, 17, 0, 20), bytes)).toBe('udp-truncated')
  bytes.view.setUint16(4, 7)
  expect(verify(header(4, 17, 0, 20), bytes)).toBe('udp-length')
})

test('a UDP checksum that comes out as zero is sent as 0xffff, and verifies', () => {
  for (const version of [4, 6] as const) {
    const { bytes, end } = message(new Uint8Array(10), 0, 17)
    const of = header(version, 17, 0, end)
    // Payload that makes the sum 0xffff.
    const sum = (of.pseudoSum(17, end) + sumBytes(bytes, 0, end)) % 0xffff
    bytes.view.setUint16(8, 0xffff - sum)
    fillTransportChecksum(of, 17, bytes, 0, end)
    expect(bytes.view.getUint16(6)).toBe(0xffff)
    expect(verify(of, bytes)).toBe('none')
  }
})

test('a TCP checksum that comes out as zero stays zero', () => {
  const bytes = bytesOf(new Uint8Array(24))
  const of = header(4, 6, 0, 24)
  bytes.view.setUint16(20, checksumOf(of.pseudoSum(6, 24)))
  fillTransportChecksum(of, 6, bytes, 0, 24)
  expect(bytes.view.getUint16(16)).toBe(0)
  expect(verify(of, bytes)).toBe('none')
})

test('a partial checksum, completed later, is the whole one', () => {
  const frame = new DecodedFrame()
  let compared = 0
  for (const { packet, name, layer } of samplePackets()) {
    if (layer !== 'tcp' && layer !== 'udp') continue
    const bytes = bytesOf(packet)
    expect(dropName(decodeFrame(frame, bytes, 0, packet.length, 'ip'))).toBe('none')
    const { protocol, payloadStart: start, payloadEnd: end } = frame.ip
    const at = start + transportChecksumOffset(frame.ip.version, protocol)
    const whole = bytes.view.getUint16(at)
    if (whole === 0) continue
    fillPartialChecksum(frame.ip, protocol, bytes, start, end)
    expect(bytes.view.getUint16(at)).toBe(frame.ip.pseudoSum(protocol, end - start))
    expect(checksumOf(sumBytes(bytes, start, end)), name).toBe(whole)
    compared++
  }
  expect(compared).toBeGreaterThan(15)
})
