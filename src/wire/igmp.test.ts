import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { bytesOf } from '../core/memory.ts'
import { ip } from './address.ts'
import { sumBytes } from './checksum.ts'
import { Drop, dropName } from './drop.ts'
import {
  decodeIgmpTime,
  emitIgmp,
  emitIgmpReport,
  encodeIgmpTime,
  GroupRecordType,
  IgmpMessage,
  IgmpRecord,
  IgmpType,
  igmpReportLength,
  parseIgmp,
  readIgmpRecord,
} from './igmp.ts'

const GROUP = ip('239.1.2.3').w3

const parse = (text: string): [IgmpMessage, string] => {
  const message = new IgmpMessage()
  const u8 = hex(text)
  return [message, dropName(parseIgmp(message, bytesOf(u8), 0, u8.length))]
}

describe('messages', () => {
  test.each([
    ['v1 query', '11 00 0000 00000000', { type: 0x11, version: 1, maxResponse: 0, group: 0 }],
    ['v2 query', '11 64 0000 ef010203', { type: 0x11, version: 2, maxResponse: 100, group: GROUP }],
    ['v1 report', '12 00 0000 ef010203', { type: 0x12, version: 1, group: GROUP }],
    ['v2 report', '16 00 0000 ef010203', { type: 0x16, version: 2, group: GROUP }],
    ['v2 leave', '17 00 0000 ef010203', { type: 0x17, version: 2, group: GROUP }],
    [
      'v3 query',
      '11 81 0000 ef010203 0a fd 0002 0a090001 0a090002',
      {
        type: 0x11,
        version: 3,
        maxResponse: 136,
        group: GROUP,
        suppress: true,
        robustness: 2,
        interval: 29 << 10,
        sourceCount: 2,
        sourcesAt: 12,
      },
    ],
  ])('%s', (_name, text, fields) => {
    const [message, reason] = parse(text)
    expect(reason).toBe('none')
    expect(message).toMatchObject(fields)
  })

  test('a report of Linux: one group joined from any source', () => {
    const [message, reason] = parse('22 00 e8f9 0000 0001 04 00 0000 ef010203')
    expect([reason, message.version, message.recordCount, message.recordsAt]).toEqual(['none', 3, 1, 8])
    const record = new IgmpRecord()
    const bytes = bytesOf(hex('22 00 e8f9 0000 0001 04 00 0000 ef010203'))
    expect(readIgmpRecord(record, bytes, 8)).toBe(16)
    expect({ ...record }).toEqual({ type: 4, group: GROUP, sourceCount: 0, sourcesAt: 16 })
    expect(sumBytes(bytes, 0, 16)).toBe(0xffff)
  })

  test('auxiliary data in a record is passed over', () => {
    const text = '22 00 0000 0000 0002 06 02 0001 ef010203 0a090001 1111111122222222 01 00 0000 ef010204'
    const [message, reason] = parse(text)
    expect([reason, message.recordCount]).toEqual(['none', 2])
    const record = new IgmpRecord()
    const next = readIgmpRecord(record, bytesOf(hex(text)), message.recordsAt)
    expect([next, record.sourcesAt]).toEqual([28, 16])
    expect(readIgmpRecord(record, bytesOf(hex(text)), next)).toBe(36)
    expect(record.group).toBe(GROUP + 1)
  })

  test('every shorter message is truncated', () => {
    const query = '11 81 0000 ef010203 0a fd 0002 0a090001 0a090002'
    const report = '22 00 0000 0000 0002 06 01 0001 ef010203 0a090001 11111111 01 00 0000 ef010204'
    for (const [text, whole] of [
      [query, 8],
      [report, -1],
    ] as const) {
      const u8 = hex(text)
      for (let n = 0; n < u8.length; n++) {
        // Eight bytes of a query are one of version 2.
        expect(parse(toHex(u8.slice(0, n)))[1], `${n} bytes`).toBe(n === whole ? 'none' : 'igmp-truncated')
      }
      expect(parse(text)[1]).toBe('none')
    }
    expect(parse('22 00 0000 0000 ffff 01 00 0000 ef010204')[1]).toBe('igmp-truncated')
    expect(parse('22 00 0000 0000 0001 01 ff ffff ef010204')[1]).toBe('igmp-truncated')
  })

  test('unknown types', () => {
    for (let type = 0; type < 256; type++) {
      const reason = parse(toHex(Uint8Array.of(type, ...new Uint8Array(11))))[1]
      expect(reason).toBe([0x11, 0x12, 0x16, 0x17, 0x22].includes(type) ? 'none' : 'igmp-type')
    }
  })
})

describe('times in a byte (RFC 3376 section 4.1.1)', () => {
  test('all of them, in order', () => {
    expect([0, 127, 128, 129, 143, 144, 255].map(decodeIgmpTime)).toEqual([0, 127, 128, 136, 248, 256, 31_744])
    for (let code = 0; code < 256; code++) {
      expect(encodeIgmpTime(decodeIgmpTime(code))).toBe(code)
      if (code > 0) expect(decodeIgmpTime(code)).toBeGreaterThan(decodeIgmpTime(code - 1))
    }
  })

  test('others are rounded down', () => {
    for (let time = 0; time < 40_000; time++) {
      const code = encodeIgmpTime(time)
      const isLongest = code === 255 || decodeIgmpTime(code + 1) > time
      if (decodeIgmpTime(code) > time || !isLongest) expect.fail(`time ${time}`)
    }
  })
})

describe('emitting', () => {
  test('a report with two groups, byte by byte', () => {
    const records = [
      { type: GroupRecordType.ChangeToExclude, group: GROUP, sources: [] },
      { type: GroupRecordType.AllowNewSources, group: GROUP + 1, sources: [ip('10.9.0.1').w3, ip('10.9.0.2').w3] },
    ]
    const bytes = bytesOf(new Uint8Array(40).fill(0xee))
    expect(igmpReportLength(records)).toBe(32)
    expect(emitIgmpReport(records, bytes, 4)).toBe(32)
    expect(sumBytes(bytes, 4, 36)).toBe(0xffff)
    bytes.view.setUint16(6, 0)
    expect(toHex(bytes.u8)).toBe(
      toHex(hex('eeeeeeee 22000000 00000002 04000000 ef010203 05000002 ef010204 0a090001 0a090002 eeeeeeee')),
    )
  })

  test('what is emitted is parsed again', () => {
    const time = fc.nat(255).map(decodeIgmpTime)
    const message = fc.oneof(
      fc.record({ type: fc.constant(IgmpType.Query), version: fc.constant(1), maxResponse: fc.constant(0) }),
      fc.record({
        type: fc.constant(IgmpType.Query),
        version: fc.constant(2),
        maxResponse: fc.integer({ min: 1, max: 255 }),
      }),
      fc.record({
        type: fc.constant(IgmpType.Query),
        version: fc.constant(3),
        maxResponse: time,
        interval: time,
        suppress: fc.boolean(),
        robustness: fc.nat(7),
        sourceCount: fc.nat(5),
      }),
      fc.record({ type: fc.constant(IgmpType.ReportV1), version: fc.constant(1) }),
      fc.record({ type: fc.constantFrom(IgmpType.ReportV2, IgmpType.Leave), version: fc.constant(2) }),
    )
    fc.assert(
      fc.property(message, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), fc.nat(3), (fields, group, at) => {
        const bytes = bytesOf(new Uint8Array(64).fill(0xee))
        const length = emitIgmp(Object.assign(new IgmpMessage(), fields, { group }), bytes, at)
        expect(sumBytes(bytes, at, at + length)).toBe(0xffff)
        const parsed = new IgmpMessage()
        expect(parseIgmp(parsed, bytes, at, at + length)).toBe(Drop.none)
        expect(parsed).toMatchObject({ ...fields, group })
      }),
    )
  })
})
