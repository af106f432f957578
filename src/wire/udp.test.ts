import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { bytesOf } from '../core/memory.ts'
import { Drop, dropName } from './drop.ts'
import { emitUdp, parseUdp, UdpHeader } from './udp.ts'

const parse = (text: string): [UdpHeader, string] => {
  const header = new UdpHeader()
  const u8 = hex(text)
  return [header, dropName(parseUdp(header, bytesOf(u8), 0, u8.length))]
}

test('a datagram', () => {
  const [header, reason] = parse('8016 0009 000b 792a 78797a')
  expect(reason).toBe('none')
  expect({ ...header }).toEqual({
    sourcePort: 32_790,
    destinationPort: 9,
    length: 11,
    checksum: 0x792a,
    payloadStart: 8,
    payloadEnd: 11,
  })
})

test.each([
  ['no room for a header', '8016 0009 000b 79', 'udp-truncated'],
  ['length 0', '8016 0009 0000 792a 78797a', 'udp-length'],
  ['length 7', '8016 0009 0007 792a 78797a', 'udp-length'],
  ['length 8', '8016 0009 0008 792a 78797a', 'none'],
  ['beyond the packet', '8016 0009 000c 792a 78797a', 'udp-truncated'],
  ['65,535', '8016 0009 ffff 792a 78797a', 'udp-truncated'],
])('%s', (_name, text, reason) => {
  expect(parse(text)[1]).toBe(reason)
})

test('what lies behind the length is no payload', () => {
  const [header] = parse('8016 0009 000a 792a 78797a')
  expect([header.payloadStart, header.payloadEnd]).toEqual([8, 10])
})

test('what is emitted is parsed again', () => {
  const port = fc.nat(0xffff)
  fc.assert(
    fc.property(port, port, fc.integer({ min: 8, max: 40 }), port, fc.nat(3), (s, d, length, checksum, at) => {
      const fields = { sourcePort: s, destinationPort: d, length, checksum }
      const bytes = bytesOf(new Uint8Array(60).fill(0xee))
      emitUdp(Object.assign(new UdpHeader(), fields), bytes, at)
      const parsed = new UdpHeader()
      expect(parseUdp(parsed, bytes, at, at + 50)).toBe(Drop.none)
      expect({ ...parsed }).toEqual({ ...fields, payloadStart: at + 8, payloadEnd: at + length })
      expect(toHex(bytes.u8.slice(at + 8, at + 10))).toBe('eeee')
    }),
  )
})
