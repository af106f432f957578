import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { bytesOf } from '../core/memory.ts'
import { sumBytes } from './checksum.ts'
import { Drop, dropName } from './drop.ts'
import { emitIcmp, IcmpMessage, IcmpType, IcmpUnreachable, isIcmpError, parseIcmp } from './icmp.ts'

const parse = (text: string): [IcmpMessage, string] => {
  const message = new IcmpMessage()
  const u8 = hex(text)
  return [message, dropName(parseIcmp(message, bytesOf(u8), 0, u8.length))]
}

/** What a message is when only these fields are set. */
const only = (fields: Partial<IcmpMessage>): unknown => ({ ...new IcmpMessage(), ...fields })

const QUOTE = '4500001f a47d4000 4011823c 0a090001 0a090002 80160009 000b792a'

describe('messages', () => {
  test.each([
    ['echo', '08 00 b7b4 31df 0001 aabb', { type: 8, checksum: 0xb7b4, identifier: 0x31df, sequence: 1 }],
    ['echo reply', '00 00 b7b4 31df ffff', { type: 0, checksum: 0xb7b4, identifier: 0x31df, sequence: 0xffff }],
    ['port unreachable', `03 03 112e 00000000 ${QUOTE}`, { type: 3, code: 3, checksum: 0x112e }],
    ['fragmentation needed', `03 04 112e 000005dc ${QUOTE}`, { type: 3, code: 4, checksum: 0x112e, mtu: 1500 }],
    ['an MTU means nothing elsewhere', `03 01 112e 000005dc ${QUOTE}`, { type: 3, code: 1, checksum: 0x112e }],
    ['time exceeded', `0b 01 112e 00000000 ${QUOTE}`, { type: 11, code: 1, checksum: 0x112e }],
    ['parameter problem', `0c 00 112e 14000000 ${QUOTE}`, { type: 12, checksum: 0x112e, pointer: 20 }],
    ['redirect', `05 01 112e c0a80001 ${QUOTE}`, { type: 5, code: 1, checksum: 0x112e, gateway: 0xc0a8_0001 | 0 }],
    ['source quench', `04 00 112e 00000000 ${QUOTE}`, { type: 4, checksum: 0x112e }],
  ])('%s', (_name, text, fields) => {
    const [message, reason] = parse(text)
    expect(reason).toBe('none')
    expect({ ...message }).toEqual(only({ ...fields, dataStart: 8, dataEnd: hex(text).length }))
  })

  test('timestamp', () => {
    const [message, reason] = parse('0e 00 1234 0001 0002 01020304 80000000 ffffffff')
    expect(reason).toBe('none')
    expect({ ...message }).toEqual(
      only({
        type: 14,
        checksum: 0x1234,
        identifier: 1,
        sequence: 2,
        originate: 0x0102_0304,
        receive: -0x8000_0000,
        transmit: -1,
        dataStart: 20,
        dataEnd: 20,
      }),
    )
    expect(parse('0d 00 1234 0001 0002 01020304 80000000 ffffff')[1]).toBe('icmp-truncated')
  })

  test('less than eight bytes are truncated, unknown types dropped', () => {
    for (let n = 0; n < 8; n++) expect(parse('08'.repeat(n))[1]).toBe('icmp-truncated')
    const known = [0, 3, 4, 5, 8, 11, 12, 13, 14]
    for (let type = 0; type < 256; type++) {
      const reason = parse(toHex(Uint8Array.of(type, ...new Uint8Array(19))))[1]
      expect(reason, `type ${type}`).toBe(known.includes(type) ? 'none' : 'icmp-type')
      expect(isIcmpError(type)).toBe([3, 4, 5, 11, 12].includes(type))
    }
  })

  test('extensions end the quoted packet (RFC 4884)', () => {
    for (const type of ['03', '0b', '0c']) {
      const end = (length: string): number => parse(`${type} 00 0000 00${length}0000 ${QUOTE}`)[0].dataEnd
      expect([end('00'), end('05'), end('07'), end('08'), end('ff')]).toEqual([36, 28, 36, 36, 36])
    }
  })
})

describe('emitting', () => {
  const emit = (fields: Partial<IcmpMessage>, length: number): string => {
    const bytes = bytesOf(new Uint8Array(length).fill(0xee))
    emitIcmp(Object.assign(new IcmpMessage(), fields), bytes, 0, length)
    expect(sumBytes(bytes, 0, length)).toBe(0xffff)
    return toHex(bytes.u8.slice(0, length)).replace(/^(....)..../, '$1')
  }

  test('only the fields that a type has are written', () => {
    const all = { identifier: 0x1111, sequence: 0x2222, mtu: 0x3333, pointer: 0x44, gateway: 0x5555_5555 }
    expect(emit({ ...all, type: IcmpType.Echo }, 8)).toBe('080011112222')
    expect(emit({ ...all, type: IcmpType.TimeExceeded, code: 1 }, 8)).toBe('0b0100000000')
    expect(emit({ ...all, type: IcmpType.Redirect }, 8)).toBe('050055555555')
    expect(emit({ ...all, type: IcmpType.ParameterProblem }, 8)).toBe('0c0044000000')
    expect(emit({ ...all, type: IcmpType.DestinationUnreachable, code: IcmpUnreachable.Port }, 8)).toBe('030300000000')
    const needed = { type: IcmpType.DestinationUnreachable, code: IcmpUnreachable.FragmentationNeeded }
    expect(emit({ ...all, ...needed }, 8)).toBe('030400003333')
    expect(emit({ ...needed, mtu: 65_536 }, 8)).toBe('03040000ffff')
  })

  test('what is emitted is parsed again', () => {
    const word16 = fc.nat(0xffff)
    const bits = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
    const message = fc.oneof(
      fc.record({ type: fc.constantFrom(0, 8), identifier: word16, sequence: word16 }),
      fc.record({
        type: fc.constantFrom(13, 14),
        identifier: word16,
        sequence: word16,
        originate: bits,
        receive: bits,
        transmit: bits,
      }),
      fc.record({ type: fc.constant(3), code: fc.constant(4), mtu: word16 }),
      fc.record({ type: fc.constantFrom(3, 4, 11), code: fc.constantFrom(0, 1, 2, 3, 15) }),
      fc.record({ type: fc.constant(12), pointer: fc.nat(255) }),
      fc.record({ type: fc.constant(5), code: fc.nat(3), gateway: bits }),
    )
    fc.assert(
      fc.property(message, fc.nat(3), fc.nat(20), (fields, at, extra) => {
        const end = at + 20 + extra
        const bytes = bytesOf(new Uint8Array(64))
        emitIcmp(Object.assign(new IcmpMessage(), fields), bytes, at, end)
        expect(sumBytes(bytes, at, end)).toBe(0xffff)
        const parsed = new IcmpMessage()
        expect(parseIcmp(parsed, bytes, at, end)).toBe(Drop.none)
        const { checksum, dataStart } = parsed
        expect({ ...parsed }).toEqual(only({ ...fields, checksum, dataStart, dataEnd: end }))
      }),
    )
  })
})
