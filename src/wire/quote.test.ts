import { expect, test } from 'vitest'
import { samplePackets } from '../../test/support/sample-frames.ts'
import { bytesOf } from '../core/memory.ts'
import { dropName } from './drop.ts'
import { IpHeader } from './ip.ts'
import { parseQuote } from './quote.ts'

const sample = (name: string): Uint8Array => samplePackets().find((s) => s.name === name)!.packet

const quote = (u8: Uint8Array): [reason: string, payload: number, end: number, protocol: number] => {
  const header = new IpHeader()
  const reason = dropName(parseQuote(header, bytesOf(u8), 0, u8.length))
  return [reason, header.payloadStart, header.payloadEnd, header.protocol]
}

test.each([
  ['IPv4 UDP', 28],
  ['IPv4 TCP data', 28],
  ['IPv4 options', 64],
  ['IPv6 TCP data', 48],
  ['IPv6 destination options', 56],
  ['IPv6 routing header', 56],
  ['IPv6 atomic fragment', 56],
  ['IPv6 MLDv2 report', 56],
  ['IPv4 first fragment', 28],
  ['IPv6 first fragment', 56],
])('%s: eight bytes of the transport header will do', (name, least) => {
  const packet = sample(name)
  for (let n = 0; n < least; n++) expect(quote(packet.slice(0, n))[0], `${n} bytes`).toBe('icmp-bad-quote')
  for (let n = least; n <= packet.length; n++) {
    expect(quote(packet.slice(0, n)).slice(0, 3), `${n} bytes`).toEqual(['none', least - 8, n])
  }
})

test('what extensions hide is found', () => {
  expect(quote(sample('IPv6 atomic fragment'))[3]).toBe(6)
  expect(quote(sample('IPv6 MLDv1 done'))[3]).toBe(58)
  expect(quote(sample('IPv6 first fragment'))[3]).toBe(17)
})

test('later fragments, other versions and nonsense are of no use', () => {
  expect(quote(sample('IPv4 last fragment'))[0]).toBe('icmp-bad-quote')
  expect(quote(sample('IPv6 last fragment'))[0]).toBe('icmp-bad-quote')
  expect(quote(Uint8Array.of(0x50, ...new Uint8Array(60)))[0]).toBe('icmp-bad-quote')
  expect(quote(Uint8Array.of(0x44, ...new Uint8Array(60)))[0]).toBe('icmp-bad-quote')
})

test('a router may have left the checksum stale, and a link may have padded', () => {
  const packet = sample('IPv4 UDP')
  packet[8]!--
  expect(quote(packet)[0]).toBe('none')
  expect(quote(Uint8Array.from([...packet, 0, 0]))[2]).toBe(packet.length)
})
