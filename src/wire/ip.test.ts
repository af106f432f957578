import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytesOf } from '../core/memory.ts'
import { IpAddress, ip, ipv4 } from './address.ts'
import { sumBytes } from './checksum.ts'
import { IpHeader, pseudoHeaderSum } from './ip.ts'

const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })

/** The sum of a pseudo-header that has been written down (RFC 9293 section 3.1, RFC 8200 section 8.1). */
const written = (
  version: 4 | 6,
  source: IpAddress,
  destination: IpAddress,
  protocol: number,
  length: number,
): number => {
  const words = (a: IpAddress): number[] => (version === 4 ? [a.w3] : [a.w0, a.w1, a.w2, a.w3])
  const all = [...words(source), ...words(destination), length, protocol]
  const bytes = bytesOf(new Uint8Array(all.length * 4))
  for (const [i, w] of all.entries()) bytes.view.setInt32(i * 4, w)
  return sumBytes(bytes, 0, bytes.u8.length)
}

test('the pseudo-header sums to what it sums to when it is written down', () => {
  fc.assert(
    fc.property(fc.array(word, { minLength: 8, maxLength: 8 }), fc.nat(255), fc.nat(70_000), (w, protocol, length) => {
      const [a, b, c, d, e, f, g, h] = w as [number, number, number, number, number, number, number, number]
      const source = new IpAddress(a, b, c, d)
      const destination = new IpAddress(e, f, g | 0x10000, h)
      const header = Object.assign(new IpHeader(), { version: 6, source, destination })
      const expected = written(6, source, destination, protocol, length)
      expect(header.pseudoSum(protocol, length)).toBe(expected)
      expect(pseudoHeaderSum(source, destination, protocol, length)).toBe(expected)

      const header4 = Object.assign(new IpHeader(), { version: 4, source: ipv4(a), destination: ipv4(b) })
      const short = length & 0xffff
      const expected4 = written(4, ipv4(a), ipv4(b), protocol, short)
      expect(header4.pseudoSum(protocol, short)).toBe(expected4)
      expect(pseudoHeaderSum(ipv4(a), ipv4(b), protocol, short)).toBe(expected4)
    }),
  )
})

test('addresses go in and out', () => {
  const header = new IpHeader()
  header.source = ip('10.0.0.1')
  header.destination = ip('fd09::2')
  expect([header.source, header.destination].map(String)).toEqual(['10.0.0.1', 'fd09::2'])
  expect(header.sourceIs(ip('10.0.0.1'))).toBe(true)
  for (const other of ['10.0.0.2', '::a00:1', 'fd09::2']) expect(header.sourceIs(ip(other))).toBe(false)
  expect(header.destinationIs(ip('fd09::2'))).toBe(true)
  for (const other of ['fd0a::2', 'fd09:0:1::2', 'fd09::1:0:2', 'fd09::3']) {
    expect(header.destinationIs(ip(other))).toBe(false)
  }
})

test('a fragment has an offset, or more to come', () => {
  const header = new IpHeader()
  const isFragment = (moreFragments: boolean, fragmentOffset: number): boolean =>
    Object.assign(header, { moreFragments, fragmentOffset }).isFragment
  expect([isFragment(false, 0), isFragment(true, 0), isFragment(false, 8), isFragment(true, 8)]).toEqual([
    false,
    true,
    true,
    true,
  ])
  expect(Object.assign(header, { payloadStart: 40, payloadEnd: 100 }).payloadLength).toBe(60)
})
