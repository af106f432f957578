import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { bytesOf } from '../core/memory.ts'
import { ip } from './address.ts'
import { Drop, dropName } from './drop.ts'
import { IpHeader } from './ip.ts'
import {
  emitIpv4OptionList,
  emitIpv4Options,
  Ipv4OptionScan,
  isCopiedOption,
  parseIpv4OptionList,
  recordIpv4Options,
  scanIpv4Options,
} from './ipv4-options.ts'
import { padOptions } from './options.ts'

/** A header with these options, behind 20 bytes of it and 4 of something else. */
const withOptions = (text: string): { header: IpHeader; bytes: ReturnType<typeof bytesOf>; options: () => string } => {
  const u8 = padOptions(hex(text))
  const bytes = bytesOf(Uint8Array.from([...new Uint8Array(24), ...u8, 0xee, 0xee]))
  const header = Object.assign(new IpHeader(), {
    optionsStart: 24,
    payloadStart: 24 + u8.length,
    headerLength: 20 + u8.length,
  })
  return { header, bytes, options: () => toHex(bytes.u8.slice(24, 24 + hex(text).length)) }
}

const scan = (text: string): { reason: string; scan: Ipv4OptionScan } => {
  const { header, bytes } = withOptions(text)
  const result = new Ipv4OptionScan()
  return { reason: dropName(scanIpv4Options(result, header, bytes)), scan: result }
}

describe('the checked walk', () => {
  test('nothing, padding, and what is not known', () => {
    expect(scan('')).toEqual({ reason: 'none', scan: new Ipv4OptionScan() })
    expect(scan('01 01 01 00')).toEqual({ reason: 'none', scan: new Ipv4OptionScan() })
    expect(scan('00 44 ff 00').reason).toBe('none')
    expect(scan('82 0b 00 00 00 00 00 00 00 00 00').reason).toBe('none')
    expect(scan('19 02 01 01').reason).toBe('none')
  })

  test('where the options lie', () => {
    const result = scan('01 07 07 04 00000000  44 08 05 00 00000000  89 07 04 0a000001  94 04 0000').scan
    expect({ ...result }).toEqual({
      recordRouteAt: 25,
      timestampAt: 32,
      sourceRouteAt: 40,
      isStrict: true,
      routerAlert: true,
      problemPointer: 0,
    })
    expect(scan('83 07 04 0a000001').scan).toMatchObject({ sourceRouteAt: 24, isStrict: false })
    expect(scan('94 04 0001').scan.routerAlert).toBe(false)
  })

  test.each([
    ['a kind without a length', '01 01 01 07', 23],
    ['length 0', '44 00 00 00', 20],
    ['length 1', '01 07 01 00', 21],
    ['beyond the end', '07 05 04 00', 20],
    ['a route too short for its pointer', '07 02 01 01', 21],
    ['a route pointer below 4', '07 07 03 00000000 00', 22],
    ['a route pointer into an address', '83 07 05 00000000 00', 22],
    ['a timestamp too short', '44 03 05 00', 21],
    ['a timestamp pointer below 5', '44 08 04 00 00000000', 22],
    ['a timestamp pointer into a slot', '44 08 06 00 00000000', 22],
    ['no room for address and time', '44 08 05 01 00000000', 22],
    ['an unknown timestamp flag', '44 08 05 02 00000000', 23],
    ['two record routes', '07 03 04 07 03 04 00 00', 23],
    ['two source routes', '83 03 04 89 03 04 00 00', 23],
    ['two timestamps', '44 04 05 00 44 04 05 00', 24],
    ['a router alert of another length', '94 03 00 00', 21],
  ])('%s', (_name, text, pointer) => {
    const { reason, scan: result } = scan(text)
    expect([reason, result.problemPointer]).toEqual(['ipv4-options', pointer])
  })
})

describe('a host on the way writes itself in', () => {
  const ME = ip('10.9.0.2').w3
  const owner = { ownsIpv4: (bits: number) => bits === ME }

  const record = (text: string): string => {
    const { header, bytes, options } = withOptions(text)
    const result = new Ipv4OptionScan()
    expect(scanIpv4Options(result, header, bytes)).toBe(Drop.none)
    const reason = recordIpv4Options(result, header, bytes, ME, 0x021f_6a3a, owner)
    expect(bytes.u8[header.payloadStart]).toBe(0xee)
    return reason === Drop.none ? options() : `${dropName(reason)} ${result.problemPointer}`
  }

  test.each([
    ['record route', '07 0b 04 00000000 00000000', '070b080a09000200000000'],
    ['record route, the last slot', '07 0b 08 0a090001 00000000', '070b0c0a0900010a090002'],
    ['record route, full', '07 07 08 0a090001', '0707080a090001'],
    ['record route without room', '07 03 04', '070304'],
    ['times only', '44 0c 05 00 00000000 00000000', '440c0900021f6a3a00000000'],
    ['addresses and times', '44 0c 05 01 00000000 00000000', '440c0d010a090002021f6a3a'],
    ['prespecified, this host', '44 0c 05 03 0a090002 00000000', '440c0d030a090002021f6a3a'],
    ['prespecified, another', '44 0c 05 03 0a090001 00000000', '440c05030a09000100000000'],
    ['full: counted', '44 08 09 e0 00000001', '440809f000000001'],
    ['full and prespecified: not counted', '44 0c 0d 03 0a090002 00000000', '440c0d030a09000200000000'],
    ['the count overflows', '44 08 09 f0 00000001', 'ipv4-options 23'],
    ['both', '07 07 04 00000000 44 08 05 00 00000000', '0707080a090002440809' + '00021f6a3a'],
    ['neither', '94 04 0000', '94040000'],
  ])('%s', (_name, before, after) => {
    expect(record(before)).toBe(after)
  })

  test('ping -T tsandaddr, answered by the second host', () => {
    const request = `44 24 0d 01 0a090001 021f6a3d${'00'.repeat(24)}`
    const expected = `442415010a090001021f6a3d0a090002021f6a3a${'00'.repeat(16)}`
    expect(record(request)).toBe(expected)
  })
})

describe('the list', () => {
  test('every option by name', () => {
    const text =
      '01 07 07 04 0a090001  83 03 04  89 07 08 ffffffff  44 0c 0d 13 0a090001 021f6a3a  94 04 0001  82 03 ab 19 02 00 ee'
    expect(parseIpv4OptionList(hex(text))).toEqual([
      { name: 'nop' },
      { name: 'recordRoute', pointer: 4, addresses: [ip('10.9.0.1')] },
      { name: 'looseSourceRoute', pointer: 4, addresses: [] },
      { name: 'strictSourceRoute', pointer: 8, addresses: [ip('255.255.255.255')] },
      { name: 'timestamp', pointer: 13, overflow: 1, flag: 3, slots: [0x0a09_0001, 0x021f_6a3a] },
      { name: 'routerAlert', value: 1 },
      { name: 'security', data: Uint8Array.of(0xab) },
      { name: 'unknown', type: 0x19, data: new Uint8Array(0) },
      { name: 'eol', padding: Uint8Array.of(0xee) },
    ])
    expect(parseIpv4OptionList(hex('01 07 09 04'))).toEqual([
      { name: 'nop' },
      { name: 'malformed', data: Uint8Array.of(7, 9, 4) },
    ])
  })

  test('any bytes come out as they went in', () => {
    const kind = fc.constantFrom(0, 1, 7, 68, 130, 131, 137, 148, 25)
    const likely = fc
      .array(fc.tuple(kind, fc.uint8Array({ maxLength: 13 })), { maxLength: 6 })
      .map((list) => Uint8Array.from(list.flatMap(([k, data]) => (k < 2 ? [k] : [k, data.length + 2, ...data]))))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 40 }), likely), (u8) => {
        expect(emitIpv4OptionList(parseIpv4OptionList(u8))).toEqual(u8)
      }),
      { numRuns: 2000 },
    )
  })

  test('options in a header are padded to whole words', () => {
    const bytes = bytesOf(new Uint8Array(16).fill(0xee))
    expect(emitIpv4Options([{ name: 'recordRoute', pointer: 4, addresses: [ip('0.0.0.0')] }], bytes, 4)).toBe(8)
    expect(toHex(bytes.u8)).toBe('eeeeeeee' + '0707040000000000' + 'eeeeeeee')
    expect(emitIpv4Options([], bytes, 0)).toBe(0)
  })

  test('which options fragments carry', () => {
    expect([7, 68, 130, 131, 137, 148].map(isCopiedOption)).toEqual([false, false, true, true, true, true])
  })
})
