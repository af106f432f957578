import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { bytesOf } from '../core/memory.ts'
import { Drop, dropName } from './drop.ts'
import { emitTcp, FastOpenForm, parseTcp, TcpFlag, TcpHeader, tcpOptionsLength } from './tcp.ts'

/** A header with these options, its length put right, and three bytes of payload. */
const segment = (options: string): Uint8Array => {
  const u8 = hex(`9462 1e61 46342378 9739771c 0010 faf0 3570 0007 ${options} 616263`)
  u8[12] = (20 + hex(options).length) << 2
  return u8
}

const parse = (u8: Uint8Array): [TcpHeader, string] => {
  const header = new TcpHeader()
  return [header, dropName(parseTcp(header, bytesOf(u8), 0, u8.length))]
}

/** The fields in which `header` differs from one without options. */
const options = (text: string): Partial<TcpHeader> => {
  const [header, reason] = parse(segment(text))
  expect(reason).toBe('none')
  const plain = parse(segment(''))[0]
  return Object.fromEntries(
    Object.entries(header).filter(([key, value]) => {
      if (key === 'headerLength') return false
      return key === 'sack' ? header.sackCount > 0 : value !== plain[key as keyof TcpHeader]
    }),
  )
}

describe('the header', () => {
  test('field by field', () => {
    const [header, reason] = parse(segment(''))
    expect(reason).toBe('none')
    expect(header).toMatchObject({
      sourcePort: 37_986,
      destinationPort: 7777,
      seq: 0x4634_2378,
      ack: 0x9739_771c | 0,
      headerLength: 20,
      flags: TcpFlag.Ack,
      window: 64_240,
      checksum: 0x3570,
      urgent: 7,
    })
    expect({ ...header }).toMatchObject({ mss: 0, windowScale: -1, md5At: -1, userTimeout: -1, aoAt: -1 })
  })

  test('all nine flags, and not the three bits that are reserved', () => {
    const u8 = segment('')
    u8[12] = 0x5f
    u8[13] = 0xff
    expect(parse(u8)[0].flags).toBe(0x1ff)
    expect(Object.values(TcpFlag).reduce<number>((all, flag) => all | flag, 0)).toBe(0x1ff)
    u8[12] = 0x5e
    u8[13] = 0
    expect(parse(u8)[0].flags).toBe(0)
  })

  test('every shorter segment is truncated, a header under 20 bytes is none', () => {
    const u8 = segment('0101 080a 00000001 00000002')
    for (let n = 0; n < 32; n++) expect(parse(u8.slice(0, n))[1]).toBe('tcp-truncated')
    expect(parse(u8.slice(0, 32))[1]).toBe('none')
    for (const words of [0, 1, 4]) {
      u8[12] = words << 4
      expect(parse(u8)[1]).toBe('tcp-header-length')
    }
    u8[12] = 0xf0
    expect(parse(u8)[1]).toBe('tcp-truncated')
  })
})

describe('options', () => {
  test.each([
    ['MSS', '0204 05b4', { mss: 1460 }],
    ['window scale', '0303 0a 01', { windowScale: 10 }],
    ['window scale above 14', '0303 0f 01', { windowScale: 14 }],
    ['SACK permitted', '0402 0101', { sackPermitted: true }],
    [
      'timestamps, aligned',
      '0101 080a 80000001 00000002',
      { hasTimestamps: true, timestamp: -0x7fff_ffff, timestampEcho: 2 },
    ],
    [
      'timestamps, elsewhere',
      '080a 80000001 ffffffff 0101',
      { hasTimestamps: true, timestamp: -0x7fff_ffff, timestampEcho: -1 },
    ],
    ['MD5', `0101 1312 ${'5a'.repeat(16)}`, { md5At: 24 }],
    ['user time-out in seconds', '1c04 012c', { userTimeout: 300 }],
    ['user time-out in minutes', '1c04 8005', { userTimeout: 300 }],
    ['AO', '1d06 0102 abcd 0101', { aoAt: 22 }],
    ['fast open, a request', '2202 0101', { fastOpen: FastOpenForm.Standard, fastOpenAt: 22 }],
    ['fast open', '2206 01020304 0101', { fastOpen: FastOpenForm.Standard, fastOpenAt: 22, fastOpenLength: 4 }],
    [
      'fast open, the experiment',
      'fe06 f989 aabb 0101',
      { fastOpen: FastOpenForm.Experimental, fastOpenAt: 24, fastOpenLength: 2 },
    ],
    ['another experiment', 'fe04 e2d4', { unknownOptions: 1 }],
    ['unknown kinds', '1e04 0081 6302 0101', { unknownOptions: 2 }],
    [
      'known kinds of another length are passed over',
      '0203 05 0304 0001 0403 00 0809 00000000000000 1303 00 1c03 00 1d02',
      {},
    ],
    ['SACK of another length is passed over', '0502 0506 00000001', {}],
    ['nothing counts behind the end', '00 0204 05b4 010101', {}],
    ['length 0 ends the options', '0402 0200 0204 05b4', { sackPermitted: true }],
    ['length 1 ends the options', '0402 0201 0204 05b4', { sackPermitted: true }],
    ['an option beyond the end is none', '0402 080a 00000001', { sackPermitted: true }],
    ['a kind without a length', '0402 01 02', { sackPermitted: true }],
  ])('%s', (_name, text, fields) => {
    expect(options(text)).toEqual(fields)
  })

  test('SACK blocks', () => {
    const blocks = Array.from({ length: 8 }, (_, i) => `8000000${i}`).join('')
    for (let count = 1; count <= 4; count++) {
      const header = parse(
        segment(`0101 05${(2 + count * 8).toString(16).padStart(2, '0')} ${blocks.slice(0, count * 16)}`),
      )[0]
      expect(header.sackCount).toBe(count)
      expect([...header.sack.slice(0, count * 2)]).toEqual(
        Array.from({ length: count * 2 }, (_, i) => (0x8000_0000 + i) | 0),
      )
    }
  })

  test('a header that is used again forgets', () => {
    const header = new TcpHeader()
    const full = segment('0204 05b4 0303 0a 01 0402 080a 00000001 00000002 2202 1c04 012c 0101')
    expect(parseTcp(header, bytesOf(full), 0, full.length)).toBe(Drop.none)
    for (const text of ['', '0101 080a 00000000 00000000']) {
      const plain = segment(text)
      expect(parseTcp(header, bytesOf(plain), 0, plain.length)).toBe(Drop.none)
      expect({ ...header, hasTimestamps: false, headerLength: 20 }).toEqual({ ...parse(segment(''))[0] })
    }
  })
})

describe('emitting', () => {
  const emit = (fields: Partial<TcpHeader>, sack: readonly number[] = [], cookie: Uint8Array | null = null): string => {
    const header = Object.assign(new TcpHeader(), fields)
    header.sack.set(sack)
    header.sackCount = sack.length / 2
    const bytes = bytesOf(new Uint8Array(64).fill(0xee))
    const length = emitTcp(header, bytes, 0, cookie)
    expect([header.headerLength, tcpOptionsLength(header, cookie)]).toEqual([length, length - 20])
    expect(bytes.u8[length]).toBe(0xee)
    return toHex(bytes.u8.slice(20, length))
  }
  const stamps = { hasTimestamps: true, timestamp: 1, timestampEcho: -1 }
  const COOKIE = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)

  test.each([
    ['nothing', emit({}), ''],
    ['timestamps', emit(stamps), '0101080a00000001ffffffff'],
    [
      'a SYN as Linux sends it',
      emit({ ...stamps, timestampEcho: 0, mss: 1460, sackPermitted: true, windowScale: 10 }),
      '020405b40402080a00000001000000000103030a',
    ],
    ['SACK permitted alone', emit({ sackPermitted: true }), '01010402'],
    ['SACK', emit(stamps, [1, 2]), '0101080a00000001ffffffff0101050a0000000100000002'],
    ['MD5', emit({ md5At: 0 }), `01011312${'00'.repeat(16)}`],
    ['user time-out', emit({ userTimeout: 0x7fff }), '1c047fff'],
    ['user time-out in minutes', emit({ userTimeout: 0x8000 }), '1c048223'],
    ['the longest user time-out', emit({ userTimeout: 1e9 }), '1c04ffff'],
    ['fast open, a request', emit({ fastOpen: FastOpenForm.Standard }), '22020101'],
    ['fast open', emit({ fastOpen: FastOpenForm.Standard }, [], COOKIE), '220a01020304050607080101'],
    [
      'fast open, the experiment',
      emit({ fastOpen: FastOpenForm.Experimental }, [], COOKIE),
      'fe0cf9890102030405060708',
    ],
  ])('%s', (_name, bytes, expected) => {
    expect(bytes).toBe(expected)
  })

  test('what is emitted is parsed again', () => {
    const bits = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
    const word16 = fc.nat(0xffff)
    const fields = fc.record({
      sourcePort: word16,
      destinationPort: word16,
      seq: bits,
      ack: bits,
      flags: fc.nat(0x1ff),
      window: word16,
      checksum: word16,
      urgent: word16,
      mss: fc.oneof(fc.constant(0), word16),
      windowScale: fc.integer({ min: -1, max: 14 }),
      sackPermitted: fc.boolean(),
      userTimeout: fc.oneof(
        fc.constant(-1),
        fc.nat(0x7fff),
        fc.nat(0x7fff).map((n) => n * 60),
      ),
      fastOpen: fc.constantFrom(0, 1, 2),
    })
    const sack = fc.array(bits, { maxLength: 8 }).map((list) => list.slice(0, list.length & ~1))
    const cookie = fc.option(fc.uint8Array({ minLength: 4, maxLength: 16 }))
    const time = fc.option(fc.tuple(bits, bits))
    fc.assert(
      fc.property(fields, sack, cookie, time, fc.nat(3), (values, blocks, bytesOfCookie, stamp, at) => {
        const header = Object.assign(new TcpHeader(), values, { sackCount: blocks.length / 2 })
        header.sack.set(blocks)
        if (stamp !== null) {
          Object.assign(header, { hasTimestamps: true, timestamp: stamp[0], timestampEcho: stamp[1] })
        }
        fc.pre(tcpOptionsLength(header, bytesOfCookie) <= 40)
        const bytes = bytesOf(new Uint8Array(80).fill(0xee))
        const length = emitTcp(header, bytes, at, bytesOfCookie)
        expect(length).toBe(20 + tcpOptionsLength(header, bytesOfCookie))
        const parsed = new TcpHeader()
        expect(parseTcp(parsed, bytes, at, at + length)).toBe(Drop.none)
        if (values.userTimeout > 0x7fff) header.userTimeout = Math.ceil(values.userTimeout / 60) * 60
        expect({ ...parsed }).toEqual({ ...header })
        if (values.fastOpen !== 0 && bytesOfCookie !== null) {
          expect(bytes.u8.slice(parsed.fastOpenAt, parsed.fastOpenAt + parsed.fastOpenLength)).toEqual(bytesOfCookie)
        }
      }),
    )
  })
})
