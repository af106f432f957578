import { expect, test } from 'vitest'
import * as C from './constants.ts'
import * as inet from './inet-text.ts'

test('the order of bytes', () => {
  expect(inet.htons(0x1234)).toBe(0x3412)
  expect(inet.ntohs(inet.htons(80))).toBe(80)
  expect(inet.htonl(0x0102_0304)).toBe(0x0403_0201)
  expect(inet.ntohl(inet.htonl(0xc0a8_0001))).toBe(0xc0a8_0001)
  expect(inet.htonl(inet.INADDR_LOOPBACK)).toBe(0x0100_007f)
})

test('inet_aton takes what glibc takes', () => {
  const read = ['127.0.0.1', '127.1', '0x7f.1', '2130706433', '0177.0.0.1', '1.2.65535', '255.255.255.255'].map(
    (text) => inet.inet_aton(text),
  )
  expect(read).toEqual([0x7f00_0001, 0x7f00_0001, 0x7f00_0001, 0x7f00_0001, 0x7f00_0001, 0x0102_ffff, 0xffff_ffff])
  for (const bad of ['', '1.2.3.4.5', '256.1', '1.2.65536', '08.1', 'a', '1..2', '4294967296', '1.2.3.256', ' 1']) {
    expect([bad, inet.inet_aton(bad)]).toEqual([bad, null])
  }
})

test('inet_addr cannot tell 255.255.255.255 from what is no address', () => {
  expect(inet.inet_addr('127.0.0.1')).toBe(0x0100_007f)
  expect([inet.inet_addr('x'), inet.inet_addr('255.255.255.255')]).toEqual([inet.INADDR_NONE, inet.INADDR_NONE])
  expect(inet.inet_ntoa(inet.INADDR_LOOPBACK)).toBe('127.0.0.1')
})

test('inet_pton and inet_ntop', () => {
  expect(inet.inet_pton(C.AF_INET, '10.1.2.3')).toEqual(Uint8Array.of(10, 1, 2, 3))
  expect(inet.inet_pton(C.AF_INET, '127.1')).toBe(null)
  expect(inet.inet_pton(C.AF_INET, '::1')).toBe(null)
  expect(inet.inet_pton(C.AF_INET6, '10.1.2.3')).toBe(null)
  const bytes = inet.inet_pton(C.AF_INET6, '2001:DB8:0:0::0:1')!
  expect(inet.inet_ntop(C.AF_INET6, bytes)).toBe('2001:db8::1')
  const mapped = inet.inet_pton(C.AF_INET6, '::ffff:192.0.2.1')!
  expect([...mapped.subarray(10)]).toEqual([255, 255, 192, 0, 2, 1])
  expect(inet.inet_ntop(C.AF_INET6, mapped)).toBe('::ffff:192.0.2.1')
  expect(inet.inet_ntop(C.AF_INET, bytes)).toBe(null)
})
