import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { bytesOf } from '../core/memory.ts'
import { ip } from './address.ts'
import { type DropName, dropName } from './drop.ts'
import { IpHeader } from './ip.ts'
import { emitIpv4, parseIpv4, readIpv4, setIpv4Checksum } from './ipv4.ts'

/** A UDP packet that Linux sent. */
const PACKET = `45 00 00 1f a4 7d 40 00 40 11 82 3c 0a 09 00 01 0a 09 00 02 80 16 00 09 00 0b 79 2a 78 79 7a`

const parse = (u8: Uint8Array, parser = parseIpv4): [IpHeader, DropName] => {
  const header = new IpHeader()
  return [header, dropName(parser(header, bytesOf(u8), 0, u8.length))]
}

/** The packet with some bytes changed and its checksum put right. */
const changed = (changes: Record<number, number>, extra = 0): DropName => {
  const u8 = Uint8Array.from([...hex(PACKET), ...new Uint8Array(extra)])
  for (const [at, value] of Object.entries(changes)) u8[Number(at)] = value
  const bytes = bytesOf(u8)
  setIpv4Checksum(bytes, 0, Math.min((u8[0]! & 0xf) * 4, u8.length))
  return parse(bytes.u8.slice(0, u8.length))[1]
}

test('a packet of Linux, field by field', () => {
  const [header, reason] = parse(hex(PACKET))
  expect(reason).toBe('none')
  expect({ ...header }).toEqual({
    version: 4,
    headerLength: 20,
    trafficClass: 0,
    flowLabel: 0,
    hopLimit: 64,
    protocol: 17,
    identification: 0xa47d,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: 0,
    source0: 0,
    source1: 0,
    source2: 0xffff,
    source3: 0x0a09_0001,
    destination0: 0,
    destination1: 0,
    destination2: 0xffff,
    destination3: 0x0a09_0002,
    payloadStart: 20,
    payloadEnd: 31,
    optionsStart: 20,
    nextHeaderAt: 9,
  })
  const bytes = bytesOf(new Uint8Array(20))
  emitIpv4(header, bytes, 0, 11)
  expect(toHex(bytes.u8)).toBe(toHex(hex(PACKET).slice(0, 20)))
})

test('bytes behind the packet do not belong to it', () => {
  const [header, reason] = parse(Uint8Array.from([...hex(PACKET), 1, 2, 3]))
  expect([reason, header.payloadEnd]).toEqual(['none', 31])
})

test('reasons', () => {
  for (let n = 0; n < 31; n++) expect(parse(hex(PACKET).slice(0, n))[1], `${n} bytes`).toBe('ipv4-truncated')
  expect(changed({ 0: 0x55 })).toBe('ipv4-version')
  expect(changed({ 0: 0x44 })).toBe('ipv4-header-length')
  expect(changed({ 0: 0x40 })).toBe('ipv4-header-length')
  expect(changed({ 0: 0x4f })).toBe('ipv4-truncated')
  expect(changed({ 3: 19 })).toBe('ipv4-total-length')
  expect(changed({ 0: 0x47, 3: 27 })).toBe('ipv4-total-length')
  expect(changed({ 3: 32 })).toBe('ipv4-truncated')
  expect(changed({ 2: 0xff, 3: 0xff })).toBe('ipv4-truncated')
  expect(changed({ 3: 20 })).toBe('none')
  expect(changed({ 6: 0x80 })).toBe('none')
  expect(parse(hex(PACKET.replace('82 3c', '82 3d')))[1]).toBe('ipv4-checksum')
  expect(parse(hex(PACKET.replace('82 3c', '00 00')))[1]).toBe('ipv4-checksum')
})

test('a quoted header may be cut short behind its options, and its checksum stale', () => {
  const [header, reason] = parse(hex(PACKET).fill(0, 10, 12).slice(0, 20), readIpv4)
  expect([reason, header.payloadStart, header.payloadEnd]).toEqual(['none', 20, 31])
  expect(parse(hex(PACKET).slice(0, 19), readIpv4)[1]).toBe('ipv4-truncated')
})

test('fragments', () => {
  const flags = (high: number, low: number): unknown[] => {
    const u8 = hex(PACKET)
    u8[6] = high
    u8[7] = low
    const [header] = parse(u8, readIpv4)
    return [header.dontFragment, header.moreFragments, header.fragmentOffset]
  }
  expect(flags(0x20, 0x00)).toEqual([false, true, 0])
  expect(flags(0x1f, 0xff)).toEqual([false, false, 65_528])
  expect(flags(0x60, 0x01)).toEqual([true, true, 8])
})

test('what is emitted is parsed again', () => {
  const bits = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
  const fields = fc.record({
    trafficClass: fc.nat(255),
    hopLimit: fc.nat(255),
    protocol: fc.nat(255),
    identification: fc.nat(0xffff),
    dontFragment: fc.boolean(),
    moreFragments: fc.boolean(),
    fragmentOffset: fc.nat(0x1fff).map((n) => n * 8),
    source3: bits,
    destination3: bits,
    headerLength: fc.integer({ min: 5, max: 15 }).map((n) => n * 4),
  })
  fc.assert(
    fc.property(fields, fc.nat(100), fc.nat(3), (values, payload, at) => {
      const header = Object.assign(new IpHeader(), { source: ip('0.0.0.0'), destination: ip('0.0.0.0') }, values)
      const bytes = bytesOf(new Uint8Array(200).fill(0xee))
      emitIpv4(header, bytes, at, payload)
      const parsed = new IpHeader()
      expect(dropName(parseIpv4(parsed, bytes, at, at + values.headerLength + payload))).toBe('none')
      expect(parsed).toMatchObject(values)
      expect([parsed.optionsStart, parsed.payloadStart, parsed.payloadEnd]).toEqual([
        at + 20,
        at + values.headerLength,
        at + values.headerLength + payload,
      ])
    }),
  )
})
