import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ip } from './address.ts'
import {
  DnsCode,
  type DnsMessage,
  DnsType,
  dnsQuery,
  isDnsName,
  parseDns,
  reverseName,
  sameName,
  writeDns,
} from './dns.ts'

const hex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))

describe('RFC 1035', () => {
  test('a question, byte for byte', () => {
    expect(writeDns(dnsQuery(0x1234, 'www.example.net', DnsType.A))).toEqual(
      hex('123401000001000000000000037777770765786 16d706c65036e65740000010001'.replace(' ', '')),
    )
  })

  const all: DnsMessage = {
    ...dnsQuery(7, 'Example.net', DnsType.ANY),
    isResponse: true,
    isAuthoritative: true,
    hasRecursion: true,
    answers: [
      { name: 'Example.net', type: DnsType.A, ttl: 1, data: ip('192.0.2.1') },
      { name: 'Example.net', type: DnsType.AAAA, ttl: 2, data: ip('2001:db8::1') },
      { name: 'www.Example.net', type: DnsType.CNAME, ttl: 3, data: 'Example.net' },
      { name: 'Example.net', type: DnsType.MX, ttl: 4, data: { preference: 10, exchange: 'mail.Example.net' } },
      { name: 'Example.net', type: DnsType.TXT, ttl: 5, data: ['one', 'two words'] },
      {
        name: '_x._tcp.Example.net',
        type: DnsType.SRV,
        ttl: 6,
        data: { priority: 1, weight: 2, port: 3, target: 'a.Example.net' },
      },
      { name: 'Example.net', type: 99, ttl: 4_294_967_295, data: Uint8Array.of(1, 2, 3) },
    ],
    authorities: [
      {
        name: 'Example.net',
        type: DnsType.SOA,
        ttl: 7,
        data: { server: 'ns.Example.net', mailbox: 'root.Example.net', numbers: [1, 2, 3, 4, 4_294_967_295] },
      },
    ],
  }

  test('every kind of record comes back as it was', () => {
    expect(parseDns(writeDns(all))).toEqual(all)
    const short = { ...all, isTruncated: true }
    expect(parseDns(writeDns(short))).toEqual(short)
  })

  test('names that were written before are referred to', () => {
    const once = writeDns({ ...all, answers: [all.answers[0]!], authorities: [] })
    // Header, question, and 2 + 10 + 4 bytes of the record.
    expect(once.length).toBe(12 + 17 + 16)
  })

  test('what does not fit is left out, and the message says so', () => {
    const answers = Array.from({ length: 60 }, (_, i) => ({
      name: 'example.net',
      type: DnsType.A,
      ttl: 1,
      data: ip(`192.0.2.${i}`),
    }))
    const bytes = writeDns({ ...all, answers, authorities: [] }, 512)
    expect(bytes.length).toBe(12 + 17 + 30 * 16)
    const read = parseDns(bytes)
    expect([read?.isTruncated, read?.answers.length]).toEqual([true, 30])
  })

  test('a name that refers to itself, or further on, is no name', () => {
    const loop = hex('000081800000000100000000c00c00010001000000010004c0000201')
    expect(parseDns(loop)).toBe(null)
    expect(parseDns(hex('000081800000000100000000c01000010001000000010004c0000201'))).toBe(null)
  })

  test('any bytes are a message or none: never an exception', () => {
    const valid = writeDns(all)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(valid.length), fc.nat(255), (random, at, byte) => {
        parseDns(random)
        const damaged = Uint8Array.from(valid)
        damaged[at] = byte
        parseDns(damaged)
        expect(parseDns(valid.subarray(0, Math.min(at, valid.length - 1)))).toBe(null)
      }),
      { numRuns: 300 },
    )
  })
})

test('names for addresses (RFC 1035 section 3.5, RFC 3596 section 2.5)', () => {
  expect(reverseName(ip('192.0.2.1'))).toBe('1.2.0.192.in-addr.arpa')
  expect(reverseName(ip('2001:db8::567:89ab'))).toBe(
    'b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa',
  )
})

test('names that can be asked for', () => {
  expect(['', 'a.b', 'x'.repeat(63), 'x'.repeat(64), 'a..b', 'ab.'.repeat(90)].map(isDnsName)).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
  ])
  expect(DnsCode.NxDomain).toBe(3)
})

describe('what a hostile server may send', () => {
  const answer = (flags: string, records: string): Uint8Array =>
    Uint8Array.from(Buffer.from(`0007${flags}000100020000000001610000010001${records}`, 'hex'))
  const GOOD = 'c00c00010001000000050004 0a000001'.replace(' ', '')

  test('a message that says that it is truncated may be cut off anywhere', () => {
    expect(parseDns(answer('8380', `${GOOD}c00c0001`))).toMatchObject({
      isTruncated: true,
      answers: [{ data: ip('10.0.0.1') }],
    })
    expect(parseDns(answer('8180', `${GOOD}c00c0001`))).toBe(null)
  })

  test('records of other classes are none of the answer, a question of another class is told', () => {
    const chaos = GOOD.replace('00010001', '00010003')
    expect(parseDns(answer('8180', chaos + GOOD))?.answers).toHaveLength(1)
    const query = {
      ...dnsQuery(1, 'version.bind', DnsType.TXT),
      questions: [{ name: 'version.bind', type: DnsType.TXT, class: 3 }],
    }
    expect(parseDns(writeDns(query))).toEqual(query)
  })

  test('a label that has a dot is not two, and one that has control characters has none as text', () => {
    const message = Buffer.from(`000781800001000000000000 03612e62 021b5b 00 00010001`.replaceAll(' ', ''), 'hex')
    const read = parseDns(message)!
    expect(read.questions[0]!.name).toBe('a\\.b.\\027[')
    expect(sameName(read.questions[0]!.name, 'a.b.\\027[')).toBe(false)
    expect(Buffer.from(writeDns(read)).equals(message)).toBe(true)
  })

  test('names are compared without the case of ASCII alone, and written as UTF-8', () => {
    expect(sameName('EXAMPLE.net', 'example.NET')).toBe(true)
    expect(sameName('\u00c4', '\u00e4')).toBe(false)
    expect(sameName('b\u00fccher', 'B\\195\\188CHER')).toBe(true)
    expect(parseDns(writeDns(dnsQuery(1, 'b\u00fccher', DnsType.A)))!.questions[0]!.name).toBe('b\\195\\188cher')
    expect(isDnsName('\u00fc'.repeat(31))).toBe(true)
    expect(isDnsName('\u00fc'.repeat(32))).toBe(false)
  })
})
