import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseIpPrefix } from '../wire/address.ts'
import {
  changeAddress,
  changeLink,
  parseAddress,
  parseError,
  parseLink,
  parseMessages,
  requestAddresses,
  requestLink,
  requestLinks,
} from './netlink.ts'
import { LITTLE_ENDIAN } from './syscalls.ts'
import { hex, unhex } from './testing.ts'

const prefix = (text: string) => parseIpPrefix(text)!
const packed = (digits: string): string => digits.replaceAll(' ', '')

const ZEROS = '00'.repeat(16)

// The bytes below are those of a little-endian machine.
describe.runIf(LITTLE_ENDIAN)('requests', () => {
  test.each<[string, Uint8Array, string]>([
    ['every interface', requestLinks(5), `20000000 1200 0103 05000000 00000000 ${ZEROS}`],
    ['interface 7', requestLink(5, 7), '20000000 1200 0100 05000000 00000000 00000000 07000000 00000000 00000000'],
    ['interface ng0', requestLink(1, 'ng0'), `28000000 1200 0100 01000000 00000000 ${ZEROS} 0800 0300 6e673000`],
    ['up', changeLink(2, 7, { up: true }), '20000000 1000 0500 02000000 00000000 00000000 07000000 01000000 01000000'],
    [
      'down',
      changeLink(2, 7, { up: false }),
      '20000000 1000 0500 02000000 00000000 00000000 07000000 00000000 01000000',
    ],
    [
      'MTU',
      changeLink(2, 7, { mtu: 9000 }),
      '28000000 1000 0500 02000000 00000000 00000000 07000000 00000000 00000000 0800 0400 28230000',
    ],
    ['every address', requestAddresses(3), '18000000 1600 0103 03000000 00000000 0000000000000000'],
    [
      'add an IPv4 address',
      changeAddress(4, 7, prefix('10.77.0.1/24'), true),
      '30000000 1400 0506 04000000 00000000 02180000 07000000 0800 0200 0a4d0001 0800 0100 0a4d0001 0800 0400 0a4d00ff',
    ],
    [
      'a network of two has no broadcast address',
      changeAddress(4, 7, prefix('10.77.0.0/31'), true),
      '28000000 1400 0506 04000000 00000000 021f0000 07000000 0800 0200 0a4d0000 0800 0100 0a4d0000',
    ],
    [
      'add an IPv6 address, without detection',
      changeAddress(4, 7, prefix('fd77::1/64'), true),
      '48000000 1400 0506 04000000 00000000 0a400000 07000000' +
        ' 1400 0200 fd770000000000000000000000000001 1400 0100 fd770000000000000000000000000001 0800 0800 02000000',
    ],
    [
      'delete an IPv4 address',
      changeAddress(4, 7, prefix('10.77.0.1/24'), false),
      '28000000 1500 0500 04000000 00000000 02180000 07000000 0800 0200 0a4d0001 0800 0100 0a4d0001',
    ],
  ])('%s', (_what, request, expected) => {
    expect(hex(request)).toBe(packed(expected))
  })

  test('detection of duplicates is a flag left out', () => {
    const with_ = changeAddress(4, 7, prefix('fd77::1/64'), true, true)
    expect(hex(with_)).not.toContain('0800080002000000')
    expect(with_.length).toBe(64)
  })
})

/** What the kernel says of a TUN device that is up, less some attributes. */
const TUN_LINK = `
  5c000000 1000 0000 2a000000 01000000
  00 00 feff 02000000 d1100100 00000000
  0800 0300 6e673000
  0800 0d00 f4010000
  0800 0400 dc050000
  1c00 1200 0800 0100 74756e00 1000 0200 05000400 00000000 05000300
  0500 2100 01000000`

describe.runIf(LITTLE_ENDIAN)('answers', () => {
  test('an interface', () => {
    const [message, ...more] = parseMessages(unhex(TUN_LINK))
    expect(more).toEqual([])
    expect(message).toMatchObject({ type: 16, flags: 0, sequence: 42 })
    expect(parseLink(message!)).toEqual({
      index: 2,
      name: 'ng0',
      up: true,
      mtu: 1500,
      mac: new Uint8Array(0),
      kind: 'tun',
    })
  })

  test('an Ethernet interface that is down', () => {
    const bytes = unhex(`2c000000 1000 0000 00000000 00000000
      00 00 0100 03000000 02100000 00000000 0a00 0100 7ed1d559d1c9 0000`)
    expect(parseLink(parseMessages(bytes)[0]!)).toMatchObject({
      index: 3,
      up: false,
      mac: unhex('7ed1d559d1c9'),
      kind: '',
    })
  })

  test('addresses: of two the local one, flags from where they are complete', () => {
    const bytes = unhex(`
      28000000 1400 0200 01000000 01000000 02180000 02000000 0800 0100 0a4d0009 0800 0200 0a4d0001
      34000000 1400 0200 01000000 01000000 0a40c0fd 02000000
        1400 0100 fe800000000000004be9ab72e60e2a5b 0800 0800 c8000000
      18000000 1400 0200 01000000 01000000 11000000 02000000`)
    const [v4, v6, other] = parseMessages(bytes)
    expect(parseAddress(v4!)).toEqual({
      index: 2,
      prefix: prefix('10.77.0.1/24'),
      tentative: false,
      duplicate: false,
    })
    expect(parseAddress(v6!)).toEqual({
      index: 2,
      prefix: prefix('fe80::4be9:ab72:e60e:2a5b/64'),
      tentative: true,
      duplicate: true,
    })
    expect(parseAddress(other!)).toBeUndefined()
  })

  test('an error, with the kernel’s own words', () => {
    const bytes = unhex(`44000000 0200 0003 07000000 00000000 eaffffff 20000000 1000 0500 07000000 00000000
      1d00 0100 ${Buffer.from('mtu less than device min\0').toString('hex')} 000000`)
    const [message] = parseMessages(bytes)
    expect(parseError(message!)).toEqual({ errno: 22, text: 'mtu less than device min' })
  })

  test('an acknowledgment', () => {
    const [message] = parseMessages(unhex('14000000 0200 0000 07000000 00000000 00000000'))
    expect(parseError(message!)).toEqual({ errno: 0, text: '' })
  })
})

test('garbage never throws, and what is cut short says nothing', () => {
  const start = unhex(TUN_LINK)
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 120 }),
        fc.tuple(fc.nat(start.length - 1), fc.nat(255), fc.nat(start.length)).map(([at, value, length]) => {
          const bytes = start.slice(0, length)
          if (at < length) bytes[at] = value
          return bytes
        }),
      ),
      (bytes) => {
        for (const message of parseMessages(bytes)) {
          parseLink(message)
          parseAddress(message)
          parseError(message)
        }
      },
    ),
    { numRuns: 5000 },
  )
})
