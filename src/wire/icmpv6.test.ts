import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { bytesOf } from '../core/memory.ts'
import { ip } from './address.ts'
import { Drop, dropName } from './drop.ts'
import { emitIcmpv6, Icmpv6Message, Icmpv6Type, isIcmpv6Error, isMld, isNdp, parseIcmpv6 } from './icmpv6.ts'
import { IpHeader } from './ip.ts'
import { verifyTransportChecksum } from './transport.ts'

const parse = (text: string): [Icmpv6Message, string] => {
  const message = new Icmpv6Message()
  const u8 = hex(text)
  return [message, dropName(parseIcmpv6(message, bytesOf(u8), 0, u8.length))]
}

const only = (fields: Partial<Icmpv6Message>): unknown => ({ ...new Icmpv6Message(), ...fields })

describe('messages', () => {
  test.each([
    ['echo request', '80 00 b7b4 31df 0001 aabb', { type: 128, identifier: 0x31df, sequence: 1 }],
    ['echo reply', '81 00 b7b4 31df ffff', { type: 129, identifier: 0x31df, sequence: 0xffff }],
    ['unreachable', '01 04 b7b4 00000000 60', { type: 1, code: 4 }],
    ['packet too big', '02 00 b7b4 fffffffe 60', { type: 2, mtu: 0xffff_fffe }],
    ['time exceeded', '03 01 b7b4 00000000 60', { type: 3, code: 1 }],
    ['parameter problem', '04 02 b7b4 80000028 60', { type: 4, code: 2, pointer: 0x8000_0028 }],
    ['an error that is not known', '7f 00 b7b4 12345678 60', { type: 127 }],
    ['a neighbour solicitation', '87 00 b7b4 00000000', { type: 135 }],
    ['a listener report', '8f 00 b7b4 00000000', { type: 143 }],
  ])('%s', (_name, text, fields) => {
    const [message, reason] = parse(text)
    expect(reason).toBe('none')
    expect({ ...message }).toEqual(only({ ...fields, checksum: 0xb7b4, dataStart: 8, dataEnd: hex(text).length }))
  })

  test('types: errors, and what is known of the others', () => {
    for (let n = 0; n < 8; n++) expect(parse('80'.repeat(n))[1]).toBe('icmp-truncated')
    for (let type = 0; type < 256; type++) {
      const reason = parse(toHex(Uint8Array.of(type, ...new Uint8Array(19))))[1]
      const known = type < 128 || (type >= 128 && type <= 137) || type === 143
      expect(reason, `type ${type}`).toBe(known ? 'none' : 'icmp-type')
      expect(isIcmpv6Error(type)).toBe(type < 128)
      expect(isNdp(type)).toBe(type >= 133 && type <= 137)
      expect(isMld(type)).toBe((type >= 130 && type <= 132) || type === 143)
    }
  })

  test('extensions end the quoted packet (RFC 4884)', () => {
    const end = (type: string, length: string): number =>
      parse(`${type} 00 0000 ${length}000000 ${'00'.repeat(32)}`)[0].dataEnd
    expect([end('01', '00'), end('01', '02'), end('03', '04'), end('03', '05')]).toEqual([40, 24, 40, 40])
  })
})

test('what is emitted is parsed again, with a checksum over the pseudo-header', () => {
  const word16 = fc.nat(0xffff)
  const word32 = fc.nat(0x7fff_ffff).map((n) => n * 2 + 1)
  const message = fc.oneof(
    fc.record({ type: fc.constantFrom(128, 129), identifier: word16, sequence: word16 }),
    fc.record({ type: fc.constant(2), mtu: word32 }),
    fc.record({ type: fc.constant(4), code: fc.nat(3), pointer: word32 }),
    fc.record({ type: fc.constantFrom(1, 3), code: fc.nat(6) }),
  )
  fc.assert(
    fc.property(message, fc.nat(3), fc.nat(20), (fields, at, extra) => {
      const end = at + 8 + extra
      const bytes = bytesOf(new Uint8Array(64).fill(0xee))
      const header = Object.assign(new IpHeader(), {
        version: 6,
        protocol: 58,
        source: ip('fd09::1'),
        destination: ip('fe80::2'),
        payloadStart: at,
        payloadEnd: end,
      })
      emitIcmpv6(
        Object.assign(new Icmpv6Message(), { mtu: 5, pointer: 6, identifier: 7, ...fields }),
        header,
        bytes,
        at,
        end,
      )
      expect(verifyTransportChecksum(header, bytes)).toBe(Drop.none)
      const parsed = new Icmpv6Message()
      expect(parseIcmpv6(parsed, bytes, at, end)).toBe(Drop.none)
      expect({ ...parsed }).toEqual(only({ ...fields, checksum: parsed.checksum, dataStart: at + 8, dataEnd: end }))
    }),
  )
})

test('only the fields that a type has are written', () => {
  const bytes = bytesOf(new Uint8Array(8))
  const message = Object.assign(new Icmpv6Message(), { type: Icmpv6Type.TimeExceeded, mtu: 9, pointer: 9, sequence: 9 })
  emitIcmpv6(message, Object.assign(new IpHeader(), { version: 6 }), bytes, 0, 8)
  expect(toHex(bytes.u8.slice(4))).toBe('00000000')
  expect(message.checksum).toBe(bytes.view.getUint16(2))
})
