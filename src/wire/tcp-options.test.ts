import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { padOptions } from './options.ts'
import { emitTcpOptionList, parseTcpOptionList, type TcpOption } from './tcp-options.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

const EXAMPLES: readonly (readonly [string, string, TcpOption[]])[] = [
  ['NOP', '01', [{ name: 'nop' }]],
  ['MSS', '02 04 05b4', [{ name: 'mss', value: 1460 }]],
  ['window scale, also a wrong one', '03 03 ff', [{ name: 'wscale', shift: 255 }]],
  ['SACK permitted', '04 02', [{ name: 'sackOk' }]],
  [
    'SACK',
    '05 12 00000001 80000000 fffffffe ffffffff',
    [
      {
        name: 'sack',
        blocks: [
          [1, 0x8000_0000],
          [0xffff_fffe, 0xffff_ffff],
        ],
      },
    ],
  ],
  ['timestamps', '08 0a e498027f 00000000', [{ name: 'timestamp', value: 0xe498_027f, echo: 0 }]],
  ['MD5', `13 12 ${'5a'.repeat(16)}`, [{ name: 'md5', digest: new Uint8Array(16).fill(0x5a) }]],
  ['user time-out, seconds', '1c 04 012c', [{ name: 'userTimeout', minutes: false, value: 300 }]],
  ['user time-out, minutes', '1c 04 8005', [{ name: 'userTimeout', minutes: true, value: 5 }]],
  ['AO', '1d 06 01 02 abcd', [{ name: 'ao', keyId: 1, nextKeyId: 2, mac: bytes(0xab, 0xcd) }]],
  ['fast open, a request', '22 02', [{ name: 'fastOpen', experimental: false, cookie: bytes() }]],
  ['fast open', '22 06 01020304', [{ name: 'fastOpen', experimental: false, cookie: bytes(1, 2, 3, 4) }]],
  ['fast open, the experiment', 'fe 05 f989 07', [{ name: 'fastOpen', experimental: true, cookie: bytes(7) }]],
  ['another experiment', 'fe 04 e2d4', [{ name: 'unknown', kind: 254, data: bytes(0xe2, 0xd4) }]],
  ['MPTCP', '1e 04 0081', [{ name: 'mptcp', data: bytes(0, 0x81) }]],
  ['an unknown kind', '63 03 07', [{ name: 'unknown', kind: 99, data: bytes(7) }]],
  ['a known kind of another length', '02 03 05', [{ name: 'unknown', kind: 2, data: bytes(5) }]],
  ['end', '01 00', [{ name: 'nop' }, { name: 'eol', padding: bytes() }]],
  ['end with padding', '00 00 ff', [{ name: 'eol', padding: bytes(0, 0xff) }]],
  ['length 0', '01 02 00', [{ name: 'nop' }, { name: 'malformed', data: bytes(2, 0) }]],
  ['length 1', '04 02 05 01', [{ name: 'sackOk' }, { name: 'malformed', data: bytes(5, 1) }]],
  ['beyond the end', '08 0a 000000', [{ name: 'malformed', data: bytes(8, 10, 0, 0, 0) }]],
  ['no length', '02', [{ name: 'malformed', data: bytes(2) }]],
]

describe('the list says exactly what the bytes say', () => {
  test.each(EXAMPLES)('%s', (_name, text, list) => {
    expect(parseTcpOptionList(hex(text))).toEqual(list)
    expect(toHex(emitTcpOptionList(list))).toBe(toHex(hex(text)))
  })

  test('options of a SYN of Linux', () => {
    const list = parseTcpOptionList(hex('0204 05b4 0402 080a e498027f 00000000 01 0303 0a'))
    expect(list.map((option) => option.name)).toEqual(['mss', 'sackOk', 'timestamp', 'nop', 'wscale'])
  })

  test('known kinds with any length', () => {
    for (const kind of [2, 3, 4, 5, 8, 19, 28, 29, 30, 34, 253, 254]) {
      for (let length = 0; length <= 38; length++) {
        const u8 = bytes(kind, length + 2, ...Array.from({ length }, (_, i) => (i * 37 + kind) & 0xff))
        expect(emitTcpOptionList(parseTcpOptionList(u8))).toEqual(u8)
      }
    }
  })

  test('any bytes come out as they went in', () => {
    const kind = fc.constantFrom(0, 1, 2, 3, 4, 5, 8, 19, 28, 29, 30, 34, 99, 253, 254)
    const likely = fc
      .array(fc.tuple(kind, fc.uint8Array({ maxLength: 18 })), { maxLength: 6 })
      .map((list) => bytes(...list.flatMap(([k, data]) => (k < 2 ? [k] : [k, data.length + 2, ...data]))))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 40 }), likely), (u8) => {
        expect(emitTcpOptionList(parseTcpOptionList(u8))).toEqual(u8)
      }),
      { numRuns: 2000 },
    )
  })
})

test('padding to whole words', () => {
  expect([0, 1, 3, 4, 5].map((n) => padOptions(new Uint8Array(n).fill(1)).length)).toEqual([0, 4, 4, 4, 8])
  expect(toHex(padOptions(bytes(1, 1, 1, 1, 1)))).toBe('0101010101000000')
})
