import { crc32 as zlibCrc32 } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { bytesOf } from '../core/memory.ts'
import { Drop } from './drop.ts'
import {
  crc32,
  EthernetHeader,
  EtherType,
  emitEthernet,
  emitFcs,
  etherTypeName,
  padEthernet,
  parseEthernet,
  readMac,
  verifyFcs,
  writeMac,
} from './ethernet.ts'

const parse = (text: string): EthernetHeader => {
  const header = new EthernetHeader()
  const bytes = bytesOf(hex(text))
  expect(parseEthernet(header, bytes, 0, hex(text).length)).toBe(Drop.none)
  return header
}

test('an untagged header', () => {
  const header = parse('ff ff ff ff ff ff  02 00 00 00 00 0a  08 06')
  expect([header.destination, header.source]).toEqual([0xffff_ffff_ffff, 0x0200_0000_000a])
  expect([header.etherType, header.headerLength, header.tags]).toEqual([EtherType.Arp, 14, 0])
})

test('an 802.1Q tag: priority 5, drop eligible, VLAN 100', () => {
  const header = parse('33 33 00 00 00 01  80 00 00 00 00 0b  81 00 b0 64  86 dd')
  expect([header.etherType, header.headerLength, header.tags]).toEqual([EtherType.Ipv6, 18, 1])
  expect({ ...header.vlan }).toEqual({ protocol: 0x8100, priority: 5, dropEligible: true, id: 100 })
  expect(header.source).toBe(0x8000_0000_000b)
})

test('an 802.1ad frame: the provider tag is the outer one', () => {
  const header = parse('02 00 00 00 00 01  02 00 00 00 00 02  88 a8 0f ff  81 00 e0 01  89 15')
  expect([header.etherType, header.headerLength, header.tags]).toEqual([EtherType.Roce, 22, 2])
  expect({ ...header.outerVlan }).toEqual({ protocol: 0x88a8, priority: 0, dropEligible: false, id: 4095 })
  expect({ ...header.vlan }).toEqual({ protocol: 0x8100, priority: 7, dropEligible: false, id: 1 })
})

test('a third tag stays the EtherType', () => {
  const header = parse('02 00 00 00 00 01  02 00 00 00 00 02  81 00 00 01  81 00 00 02  81 00 00 03  08 00')
  expect([header.etherType, header.headerLength, header.tags]).toEqual([0x8100, 22, 2])
})

test('every header that ends too early is truncated', () => {
  const frame = hex('02 00 00 00 00 01  02 00 00 00 00 02  88 a8 00 01  81 00 00 02  08 00')
  for (let n = 0; n < frame.length; n++) {
    expect(parseEthernet(new EthernetHeader(), bytesOf(frame.slice(0, n)), 0, n)).toBe(Drop['eth-truncated'])
  }
})

test('what is emitted is parsed again', () => {
  const mac = fc.tuple(fc.nat(0xffff), fc.nat(0x7fff_ffff)).map(([high, low]) => high * 2 ** 32 + low * 2)
  const tag = fc.record({
    protocol: fc.constantFrom(EtherType.Vlan, EtherType.ServiceVlan),
    priority: fc.nat(7),
    dropEligible: fc.boolean(),
    id: fc.nat(4095),
  })
  const etherType = fc.nat(0xffff).filter((type) => type !== EtherType.Vlan && type !== EtherType.ServiceVlan)
  fc.assert(
    fc.property(mac, mac, etherType, fc.nat(2), tag, tag, (destination, source, type, tags, inner, outer) => {
      const header = Object.assign(new EthernetHeader(), { destination, source, etherType: type, tags })
      Object.assign(header.vlan, inner)
      Object.assign(header.outerVlan, outer)
      const bytes = bytesOf(new Uint8Array(30).fill(0xee))
      const length = emitEthernet(header, bytes, 3)
      expect(length).toBe(14 + 4 * tags)
      const parsed = new EthernetHeader()
      expect(parseEthernet(parsed, bytes, 3, 3 + length)).toBe(Drop.none)
      if (tags < 2) Object.assign(header.outerVlan, parsed.outerVlan)
      if (tags < 1) Object.assign(header.vlan, parsed.vlan)
      expect(parsed).toEqual(header)
      expect([bytes.u8[2], bytes.u8[3 + length]]).toEqual([0xee, 0xee])
    }),
  )
})

test('MAC addresses at odd places', () => {
  const bytes = bytesOf(new Uint8Array(8))
  writeMac(bytes, 1, 0xfedc_ba98_7654)
  expect(toHex(bytes.u8)).toBe('00fedcba98765400')
  expect(readMac(bytes, 1)).toBe(0xfedc_ba98_7654)
})

test('short frames are padded with zeros to 60 bytes, long ones left alone', () => {
  const bytes = bytesOf(new Uint8Array(100).fill(0xee))
  expect(padEthernet(bytes, 2, 44)).toBe(62)
  expect(bytes.u8.subarray(44, 62).every((byte) => byte === 0)).toBe(true)
  expect([bytes.u8[43], bytes.u8[62]]).toEqual([0xee, 0xee])
  expect(padEthernet(bytes, 2, 62)).toBe(62)
  expect(padEthernet(bytes, 2, 90)).toBe(90)
})

test('CRC-32: the check value of the catalogue of CRC algorithms', () => {
  const digits = Uint8Array.from('123456789', (c) => c.charCodeAt(0))
  expect(crc32(bytesOf(digits), 0, 9) >>> 0).toBe(0xcbf4_3926)
  expect(crc32(bytesOf(digits), 4, 4)).toBe(0)
})

test('CRC-32 agrees with a bit-by-bit division, at any place and length', () => {
  const reference = (u8: Uint8Array): number => {
    let crc = 0xffff_ffff
    for (const byte of u8) {
      crc ^= byte
      for (let i = 0; i < 8; i++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1
    }
    return ~crc
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(5), (data, offset) => {
      const bytes = bytesOf(Uint8Array.from([...new Uint8Array(offset).fill(9), ...data, 9]))
      expect(crc32(bytes, offset, offset + data.length)).toBe(reference(data))
    }),
  )
  // Node has it since 20.15.
  if (zlibCrc32 !== undefined) {
    const large = Uint8Array.from({ length: 65_539 }, (_, i) => (i * i) >>> 3)
    expect(crc32(bytesOf(large), 0, large.length) >>> 0).toBe(zlibCrc32(large))
  }
})

test('the frame check sequence is verified, and stands with its lowest byte first', () => {
  const digits = Uint8Array.from('123456789\0\0\0\0', (c) => c.charCodeAt(0))
  const bytes = bytesOf(digits)
  expect(emitFcs(bytes, 0, 9)).toBe(13)
  expect(toHex(bytes.u8.subarray(9, 13))).toBe('2639f4cb')
  expect(verifyFcs(bytes, 0, 13)).toBe(true)
  bytes.u8[3]! ^= 0x10
  expect(verifyFcs(bytes, 0, 13)).toBe(false)
  // The check sequence of nothing is zero, and would be found in a row of zeros.
  const zeros = bytesOf(new Uint8Array(16))
  expect(verifyFcs(zeros, 8, 12)).toBe(true)
  for (let n = 0; n < 4; n++) expect(verifyFcs(zeros, 8, 8 + n)).toBe(false)
})

test('names', () => {
  expect([0x0800, 0x86dd, 0x0806, 0x8906, 0x8914, 0x8915, 0x8100].map(etherTypeName)).toEqual([
    'IPv4',
    'IPv6',
    'ARP',
    'FCoE',
    'FIP',
    'RoCE',
    '802.1Q',
  ])
  expect(etherTypeName(0x05ff)).toBe('802.3')
  expect(etherTypeName(0x0600)).toBe('0x0600')
  for (const type of Object.values(EtherType)) expect(etherTypeName(type)).not.toMatch(/^0x/)
})
