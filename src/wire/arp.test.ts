import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { bytesOf } from '../core/memory.ts'
import { ARP_LENGTH, ArpPacket, emitArp, parseArp } from './arp.ts'
import { Drop, dropName } from './drop.ts'

const REQUEST = '0001 0800 06 04 0001  02000000000a 0a090001  000000000000 0a090002'

const parse = (text: string): [ArpPacket, string] => {
  const packet = new ArpPacket()
  const u8 = hex(text)
  return [packet, dropName(parseArp(packet, bytesOf(u8), 0, u8.length))]
}

test('a request', () => {
  const [packet, reason] = parse(REQUEST)
  expect(reason).toBe('none')
  expect({ ...packet }).toEqual({
    operation: 1,
    senderMac: 0x0200_0000_000a,
    senderIp: 0x0a09_0001,
    targetMac: 0,
    targetIp: 0x0a09_0002,
  })
  expect([packet.isProbe, packet.isAnnouncement]).toEqual([false, false])
})

test('padding behind the packet does not count', () => {
  expect(parse(`${REQUEST} ${'00'.repeat(18)}`)[1]).toBe('none')
})

test('probes and announcements are told apart (RFC 5227)', () => {
  const kind = (fields: Partial<ArpPacket>): string => {
    const { isProbe, isAnnouncement } = Object.assign(new ArpPacket(), fields)
    return isProbe ? 'probe' : isAnnouncement ? 'announcement' : 'neither'
  }
  expect(kind({ operation: 1, senderIp: 0, targetIp: 5 })).toBe('probe')
  expect(kind({ operation: 2, senderIp: 0, targetIp: 5 })).toBe('neither')
  expect(kind({ operation: 1, senderIp: 5, targetIp: 5 })).toBe('announcement')
  expect(kind({ operation: 2, senderIp: 5, targetIp: 5 })).toBe('announcement')
  expect(kind({ operation: 1, senderIp: 0, targetIp: 0 })).toBe('probe')
  expect(kind({ operation: 2, senderIp: 0, targetIp: 0 })).toBe('neither')
})

test.each([
  ['hardware type', 0, '0006'],
  ['protocol type', 2, '86dd'],
  ['hardware address length', 4, '08'],
  ['protocol address length', 5, '10'],
])('another %s', (_name, at, value) => {
  const u8 = hex(REQUEST)
  u8.set(hex(value), at)
  expect(parse(toHex(u8))[1]).toBe('arp-not-ethernet-ipv4')
})

test('only requests and replies', () => {
  for (const operation of [0, 3, 8, 0x0100, 0xffff]) {
    const bytes = bytesOf(hex(REQUEST))
    bytes.view.setUint16(6, operation)
    expect(parseArp(new ArpPacket(), bytes, 0, ARP_LENGTH)).toBe(Drop['arp-bad-operation'])
  }
})

test('every shorter packet is truncated', () => {
  for (let n = 0; n < ARP_LENGTH; n++) {
    expect(parseArp(new ArpPacket(), bytesOf(hex(REQUEST).slice(0, n)), 0, n)).toBe(Drop['arp-truncated'])
  }
})

test('what is emitted is parsed again', () => {
  const mac = fc.tuple(fc.nat(0xffff), fc.nat(0x7fff_ffff)).map(([high, low]) => high * 2 ** 32 + low * 2)
  const bits = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
  fc.assert(
    fc.property(fc.constantFrom(1, 2), mac, bits, mac, bits, fc.nat(3), (operation, sm, si, tm, ti, at) => {
      const fields = { operation, senderMac: sm, senderIp: si, targetMac: tm, targetIp: ti }
      const bytes = bytesOf(new Uint8Array(40).fill(0xee))
      expect(emitArp(Object.assign(new ArpPacket(), fields), bytes, at)).toBe(28)
      const parsed = new ArpPacket()
      expect(parseArp(parsed, bytes, at, at + 28)).toBe(Drop.none)
      expect({ ...parsed }).toEqual(fields)
      expect(bytes.u8[at + 28]).toBe(0xee)
    }),
  )
})
