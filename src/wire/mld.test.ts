import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { bytesOf } from '../core/memory.ts'
import { ip } from './address.ts'
import { Drop, dropName } from './drop.ts'
import { Icmpv6Type } from './icmpv6.ts'
import { decodeIgmpTime, GroupRecordType } from './igmp.ts'
import { IpHeader } from './ip.ts'
import { Ipv6Chain } from './ipv6.ts'
import {
  decodeMldTime,
  emitMld,
  emitMldReport,
  encodeMldTime,
  MldMessage,
  MldRecord,
  mldReportLength,
  parseMld,
  readMldRecord,
} from './mld.ts'
import { verifyTransportChecksum } from './transport.ts'

const GROUP = 'ff050000 00000000 00000000 00010003'
const from = (source: string, fields: Partial<IpHeader> = {}): IpHeader =>
  Object.assign(new IpHeader(), {
    version: 6,
    protocol: 58,
    hopLimit: 1,
    source: ip(source),
    destination: ip('ff02::16'),
    ...fields,
  })
const ROUTER = from('fe80::1')
const alert = (value: number): Ipv6Chain => Object.assign(new Ipv6Chain(), { routerAlert: value })

const parse = (text: string, header = ROUTER, chain = alert(0)): [MldMessage, string] => {
  const message = new MldMessage()
  const u8 = hex(text)
  return [message, dropName(parseMld(message, header, chain, bytesOf(u8), 0, u8.length))]
}

const QUERY_V1 = `82 00 0000 2710 0000 ${GROUP}`
const QUERY_V2 = `82 00 0000 8001 0000 ${GROUP} 0a 90 0001 fd090000 00000000 00000000 00000001`
const REPORT_V1 = `83 00 0000 0000 0000 ${GROUP}`
const REPORT_V2 = `8f 00 6d65 0000 0002 04 00 0000 ${GROUP} 06 01 0001 ${GROUP} ${GROUP} 11111111`

describe('messages', () => {
  test('queries of both versions', () => {
    const [v1, reason1] = parse(QUERY_V1)
    expect(reason1).toBe('none')
    expect(v1).toMatchObject({ type: 130, version: 1, maxResponse: 10_000, group0: 0xff05_0000 | 0, group3: 0x1_0003 })
    const [v2, reason2] = parse(QUERY_V2)
    expect(reason2).toBe('none')
    expect(v2).toMatchObject({
      version: 2,
      maxResponse: 32_776,
      suppress: true,
      robustness: 2,
      interval: 256,
      sourceCount: 1,
      sourcesAt: 28,
    })
    expect(v2.group.toString()).toBe('ff05::1:3')
  })

  test('reports of both versions', () => {
    expect(parse(REPORT_V1)[0]).toMatchObject({ type: 131, version: 1, group3: 0x1_0003 })
    expect(parse(REPORT_V1.replace('83', '84'))[0]).toMatchObject({ type: 132, version: 1 })
    const [message, reason] = parse(REPORT_V2)
    expect([reason, message.version, message.recordCount]).toEqual(['none', 2, 2])
    const record = new MldRecord()
    const bytes = bytesOf(hex(REPORT_V2))
    const next = readMldRecord(record, bytes, message.recordsAt)
    expect([next, record.type, record.sourceCount, record.group.toString()]).toEqual([28, 4, 0, 'ff05::1:3'])
    expect(readMldRecord(record, bytes, next)).toBe(28 + 20 + 16 + 4)
    expect([record.type, record.sourceCount, record.sourcesAt]).toEqual([6, 1, 48])
  })

  test('hop limit, source and router alert', () => {
    for (const text of [QUERY_V1, QUERY_V2, REPORT_V1, REPORT_V2]) {
      expect(parse(text, from('fe80::1', { hopLimit: 2 }))[1]).toBe('mld-hop-limit')
      expect(parse(text, from('fd09::1'))[1]).toBe('mld-source')
      const isReport = text === REPORT_V1 || text === REPORT_V2
      expect(parse(text, from('::'))[1]).toBe(isReport ? 'none' : 'mld-source')
      const isV2 = text === QUERY_V2 || text === REPORT_V2
      for (const chain of [alert(-1), alert(1)]) {
        expect(parse(text, ROUTER, chain)[1]).toBe(isV2 ? 'mld-router-alert' : 'none')
      }
    }
    expect(parse(REPORT_V1.replace('83', '84'), from('::'))[1]).toBe('mld-source')
    expect(parse(REPORT_V1.replace('83', '85'))[1]).toBe('icmp-type')
  })

  test('every shorter message is truncated', () => {
    for (const text of [QUERY_V1, QUERY_V2, REPORT_V1, REPORT_V2]) {
      const u8 = hex(text)
      for (let n = 0; n < u8.length; n++) {
        // 24 bytes of a query are one of version 1.
        const isV1 = n === 24 && text === QUERY_V2
        expect(parse(toHex(u8.slice(0, n)))[1], `${n} bytes`).toBe(isV1 ? 'none' : 'mld-truncated')
      }
    }
    expect(parse(`8f 00 0000 0000 ffff 04 00 0000 ${GROUP}`)[1]).toBe('mld-truncated')
    expect(parse(`8f 00 0000 0000 0001 04 ff ffff ${GROUP}`)[1]).toBe('mld-truncated')
  })
})

test('times in 16 bits (RFC 3810 section 5.1.3)', () => {
  expect([0, 0x7fff, 0x8000, 0x8001, 0xffff].map(decodeMldTime)).toEqual([0, 32_767, 32_768, 32_776, 8_387_584])
  for (let code = 0; code <= 0xffff; code++)
    if (encodeMldTime(decodeMldTime(code)) !== code) expect.fail(`code ${code}`)
  fc.assert(
    fc.property(fc.nat(9_000_000), (time) => {
      const code = encodeMldTime(time)
      expect(decodeMldTime(code)).toBeLessThanOrEqual(time)
      if (code < 0xffff) expect(decodeMldTime(code + 1)).toBeGreaterThan(time)
    }),
  )
})

describe('emitting', () => {
  test('a report, byte by byte, with a checksum over the pseudo-header', () => {
    const records = [
      { type: GroupRecordType.ChangeToExclude, group: ip('ff05::1:3'), sources: [] },
      { type: GroupRecordType.BlockOldSources, group: ip('ff05::1:3'), sources: [ip('fd09::1')] },
    ]
    const bytes = bytesOf(new Uint8Array(72).fill(0xee))
    expect(mldReportLength(records)).toBe(64)
    expect(emitMldReport(records, ROUTER, bytes, 0)).toBe(64)
    const header = from('fe80::1', { payloadStart: 0, payloadEnd: 64 })
    expect(verifyTransportChecksum(header, bytes)).toBe(Drop.none)
    bytes.view.setUint16(2, 0)
    const expected = `8f000000 00000002 04000000 ${GROUP} 06000001 ${GROUP} fd090000 00000000 00000000 00000001`
    expect(toHex(bytes.u8.slice(0, 66))).toBe(toHex(hex(`${expected} eeee`)))
  })

  test('what is emitted is parsed again', () => {
    const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
    const group = fc.record({ group0: word, group1: word, group2: word, group3: word })
    const message = fc.oneof(
      fc.record({ type: fc.constant(130), version: fc.constant(1), maxResponse: fc.nat(0xffff) }),
      fc.record({
        type: fc.constant(Icmpv6Type.MulticastListenerQuery as number),
        version: fc.constant(2),
        maxResponse: fc.nat(0xffff).map(decodeMldTime),
        interval: fc.nat(255).map(decodeIgmpTime),
        suppress: fc.boolean(),
        robustness: fc.nat(7),
        sourceCount: fc.nat(2),
      }),
      fc.record({ type: fc.constantFrom(131, 132), version: fc.constant(1) }),
    )
    fc.assert(
      fc.property(message, group, fc.nat(3), (fields, words, at) => {
        const bytes = bytesOf(new Uint8Array(80).fill(0xee))
        const length = emitMld(Object.assign(new MldMessage(), fields, words), ROUTER, bytes, at)
        const header = from('fe80::1', { payloadStart: at, payloadEnd: at + length })
        expect(verifyTransportChecksum(header, bytes)).toBe(Drop.none)
        const parsed = new MldMessage()
        expect(dropName(parseMld(parsed, header, alert(0), bytes, at, at + length))).toBe('none')
        expect(parsed).toMatchObject({ ...fields, ...words })
      }),
    )
  })
})
