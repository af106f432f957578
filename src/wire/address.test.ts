import { isIP } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  formatMac,
  IPV4_LOOPBACK,
  IPV6_LOOPBACK,
  IpAddress,
  ip,
  ipv4,
  isGroupMac,
  MAC_BROADCAST,
  multicastMac,
  networkOf,
  parseIpAddress,
  parseIpPrefix,
  parseMac,
  prefixMask,
  samePrefix,
} from './address.ts'

const word = fc.oneof(fc.constantFrom(0, 1, -1, 0xffff, 0x1_0000), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }))
const address = fc.oneof(
  word.map(ipv4),
  fc.tuple(word, word, word, word).map(([a, b, c, d]) => new IpAddress(a, b, c, d)),
)

describe('text', () => {
  test.each([
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:DB8::1', '2001:db8::1'],
    ['2001:0db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['0:0:0:1:0:0:0:0', '0:0:0:1::'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['::ffff:102:304', '1.2.3.4'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
  ])('%s is printed %s', (text, printed) => {
    expect(ip(text).toString()).toBe(printed)
  })

  test.each([
    '',
    ' ',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4 ',
    '1.2.3.-4',
    '0x1.2.3.4',
    ':',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '1:2:3:4:5:6:7::8',
    ':1:2:3:4:5:6:7:8',
    '1:2:3:4:5:6:7:',
    '12345::',
    'g::',
    '::1.2.3',
    '::1.2.3.4.5',
    '1.2.3.4::',
    '::1.2.3.4:5',
    '1:2:3:4:5:6:7:1.2.3.4',
    '1:2:3:4:5:6::1.2.3.4',
    'fe80::1%eth0',
  ])('%j is no address', (text) => {
    expect(parseIpAddress(text)).toBeUndefined()
    expect(() => ip(text)).toThrow(`not an IP address: ${text}`)
  })

  test('what is printed is parsed again', () => {
    fc.assert(
      fc.property(address, (value) => {
        const text = value.toString()
        expect(ip(text).equals(value)).toBe(true)
        expect(isIP(text)).toBe(value.family)
      }),
      { numRuns: 1000 },
    )
  })

  test('IPv6 is printed as the WHATWG URL standard prints it, but for what is compatible with IPv4', () => {
    const isCompatible = ({ w0, w1, w2, w3 }: IpAddress): boolean => (w0 | w1 | w2) === 0 && w3 >>> 16 !== 0
    fc.assert(
      fc.property(
        address.filter((value) => !value.isIpv4 && !isCompatible(value)),
        (value) => {
          expect(`[${value}]`).toBe(new URL(`http://[${value}]/`).hostname)
        },
      ),
    )
  })

  test.each([
    ['::0.1.0.0', 0x1_0000],
    ['::1.2.3.4', 0x0102_0304],
    ['::255.255.0.1', 0xffff_0001],
    ['::ffff', 0xffff],
  ] as const)('%s is what inet_ntop(3) makes of 96 zeros and %s', (text, bits) => {
    const value = new IpAddress(0, 0, 0, bits | 0)
    expect(value.toString()).toBe(text)
    expect(ip(text).equals(value)).toBe(true)
  })

  test('text is an address exactly when node:net says so', () => {
    const part = fc.constantFrom(
      '0',
      '1',
      'a',
      'ffff',
      '00ab',
      '12345',
      '255',
      '256',
      '01',
      '',
      ':',
      '::',
      '.',
      '%',
      'g',
    )
    const garbled = fc.array(part, { maxLength: 16 }).map((parts) => parts.join(''))
    const groups = fc.array(fc.constantFrom('0', 'ab', 'FFFF', '', '1.2.3.4'), { maxLength: 9 }).map((g) => g.join(':'))
    const quads = fc
      .array(fc.constantFrom('0', '9', '10', '255', '256', '00', ''), { maxLength: 5 })
      .map((g) => g.join('.'))
    fc.assert(
      fc.property(fc.oneof(garbled, groups, quads), (text) => {
        if (text.includes('%')) expect(parseIpAddress(text)).toBeUndefined()
        else expect(parseIpAddress(text) !== undefined).toBe(isIP(text) !== 0)
      }),
      { numRuns: 5000 },
    )
  })
})

describe('kinds of addresses', () => {
  const kinds = (text: string): string[] => {
    const a = ip(text)
    return (['isUnspecified', 'isLoopback', 'isMulticast', 'isLinkLocal', 'isLimitedBroadcast'] as const).filter(
      (kind) => a[kind],
    )
  }

  test.each([
    ['0.0.0.0', ['isUnspecified']],
    ['::', ['isUnspecified']],
    ['127.0.0.1', ['isLoopback']],
    ['127.255.255.255', ['isLoopback']],
    ['128.0.0.0', []],
    ['::1', ['isLoopback']],
    ['::2', []],
    ['223.255.255.255', []],
    ['224.0.0.0', ['isMulticast']],
    ['239.255.255.255', ['isMulticast']],
    ['240.0.0.0', []],
    ['ff02::1', ['isMulticast']],
    ['fe00::', []],
    ['169.254.0.0', ['isLinkLocal']],
    ['169.255.0.0', []],
    ['fe80::', ['isLinkLocal']],
    ['febf::', ['isLinkLocal']],
    ['fec0::', []],
    ['255.255.255.255', ['isLimitedBroadcast']],
    ['255.255.255.254', []],
    ['::ffff:ffff', []],
    ['::7f00:1', []],
  ])('%s', (text, expected) => {
    expect(kinds(text)).toEqual(expected)
  })

  test('constants', () => {
    expect([IPV4_LOOPBACK, IPV6_LOOPBACK].map(String)).toEqual(['127.0.0.1', '::1'])
    expect(ip('1.2.3.4').family).toBe(4)
    expect(ip('::1.2.3.4').family).toBe(6)
    expect(ip('1.2.3.4').w3).toBe(0x0102_0304)
    expect(ip('255.0.0.0').w3).toBe(0xff00_0000 | 0)
  })
})

describe('prefixes', () => {
  /** An address as a string of bits: 32 or 128. */
  const bits = (a: IpAddress): string =>
    (a.isIpv4 ? [a.w3] : [a.w0, a.w1, a.w2, a.w3]).map((w) => (w >>> 0).toString(2).padStart(32, '0')).join('')

  test('agree with strings of bits', () => {
    fc.assert(
      fc.property(address, address, fc.nat(128), (a, b, n) => {
        const length = a.isIpv4 ? n % 33 : n
        const other = a.family === b.family ? b : a
        expect(samePrefix(a, other, length)).toBe(bits(a).slice(0, length) === bits(other).slice(0, length))
        const network = networkOf(a, length)
        if (network.family === a.family)
          expect(bits(network)).toBe(bits(a).slice(0, length).padEnd(bits(a).length, '0'))
        expect(samePrefix(a, network, length)).toBe(a.family === network.family)
      }),
    )
    expect(samePrefix(ip('1.2.3.4'), ip('::1'), 0)).toBe(false)
    expect([prefixMask(-1), prefixMask(0), prefixMask(1), prefixMask(31), prefixMask(32), prefixMask(99)]).toEqual([
      0, 0, -0x8000_0000, -2, -1, -1,
    ])
  })

  test.each([
    ['10.0.0.1/24', '10.0.0.1', 24],
    ['10.0.0.1', '10.0.0.1', 32],
    ['fd09::1', 'fd09::1', 128],
    ['::/0', '::', 0],
  ])('%s', (text, printed, length) => {
    const prefix = parseIpPrefix(text)!
    expect([prefix.address.toString(), prefix.length]).toEqual([printed, length])
  })

  test.each(['10.0.0.1/33', '::/129', '10.0.0.1/', '10.0.0.1/-1', '10.0.0.1/1/1', '/8', 'x/8', '::/1e1'])(
    '%j is no prefix',
    (text) => {
      expect(parseIpPrefix(text)).toBeUndefined()
    },
  )
})

describe('MAC addresses', () => {
  test('text', () => {
    expect(formatMac(0x0200_0a00_0001)).toBe('02:00:0a:00:00:01')
    expect(formatMac(0)).toBe('00:00:00:00:00:00')
    expect(formatMac(MAC_BROADCAST)).toBe('ff:ff:ff:ff:ff:ff')
    expect(parseMac('02-00-0A-00-00-01')).toBe(0x0200_0a00_0001)
    for (const text of [
      '',
      '02:00:0a:00:00',
      '02:00:0a:00:00:01:02',
      '2:0:a:0:0:1',
      '02000a000001',
      '0g:00:0a:00:00:01',
    ]) {
      expect(parseMac(text), text).toBeUndefined()
    }
    fc.assert(
      fc.property(fc.nat(2 ** 31 - 1), fc.nat(0x1_ffff), (low, high) => {
        const mac = high * 2 ** 31 + low
        expect(parseMac(formatMac(mac))).toBe(mac)
      }),
    )
  })

  test('groups', () => {
    expect(isGroupMac(MAC_BROADCAST)).toBe(true)
    expect(isGroupMac(0x0100_5e00_0001)).toBe(true)
    expect(isGroupMac(0x0200_0000_0001)).toBe(false)
    expect(formatMac(multicastMac(ip('224.0.0.1')))).toBe('01:00:5e:00:00:01')
    expect(formatMac(multicastMac(ip('239.255.255.255')))).toBe('01:00:5e:7f:ff:ff')
    expect(formatMac(multicastMac(ip('ff02::1:ff12:3456')))).toBe('33:33:ff:12:34:56')
    expect(formatMac(multicastMac(ip('ff02::ffff:ffff')))).toBe('33:33:ff:ff:ff:ff')
  })
})
