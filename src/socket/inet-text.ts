import { formatIpv4, IpAddress, parseIpAddress } from '../wire/address.ts'
import { formatAs6 } from './address.ts'
import * as C from './constants.ts'

/** <arpa/inet.h>: the order of bytes, and addresses as text and as bytes. The host is little-endian, as x86-64 is. */

export const INADDR_ANY = 0x0000_0000
export const INADDR_LOOPBACK = 0x7f00_0001
export const INADDR_BROADCAST = 0xffff_ffff
/** What inet_addr(3) gives for what is no address: the same number as INADDR_BROADCAST. */
export const INADDR_NONE = 0xffff_ffff

/** A 16-bit number in network order, whose bytes this host holds the other way round. */
export const htons = (value: number): number => ((value & 0xff) << 8) | ((value >>> 8) & 0xff)
export const ntohs = htons

/** A 32-bit number in network order. */
export const htonl = (value: number): number =>
  (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | ((value >>> 24) & 0xff)) >>> 0
export const ntohl = htonl

/**
 * inet_pton(3): four decimal numbers for AF_INET, RFC 4291's forms for AF_INET6.
 * @returns the bytes in network order; null for what is no such text
 */
export const inet_pton = (family: number, text: string): Uint8Array | null => {
  const address = text.includes('%') ? undefined : parseIpAddress(text)
  if (address === undefined || text.includes(':') !== (family === C.AF_INET6)) return null
  const { w0, w1, w2, w3 } = address
  const bytes = new Uint8Array(family === C.AF_INET6 ? 16 : 4)
  const view = new DataView(bytes.buffer)
  const words = family === C.AF_INET6 ? [w0, w1, w2, w3] : [w3]
  words.forEach((word, index) => {
    view.setInt32(index * 4, word)
  })
  return bytes
}

/**
 * inet_ntop(3), with IPv4-compatible addresses as glibc writes them.
 * @returns null for bytes that are no address of the family
 */
export const inet_ntop = (family: number, bytes: Uint8Array): string | null => {
  const length = family === C.AF_INET ? 4 : family === C.AF_INET6 ? 16 : -1
  if (bytes.length !== length) return null
  if (length === 4) return bytes.join('.')
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16)
  const [w0, w1, w2, w3] = [0, 4, 8, 12].map((at) => view.getInt32(at)) as [number, number, number, number]
  return formatAs6(new IpAddress(w0, w1, w2, w3))
}

/**
 * inet_aton(3): one to four numbers, decimal, octal (0…) or hexadecimal (0x…); the last one fills what is left.
 * What stands behind a blank is not read.
 * @returns the address as a number in host order; null for what is no address
 */
export const inet_aton = (text: string): number | null => {
  const parts = text.split(/[ \t\n\v\f\r]/, 1)[0]!.split('.')
  if (parts.length > 4) return null
  const numbers = parts.map(readNumber)
  const last = numbers.pop()!
  if (numbers.some((number) => !(number <= 255)) || !(last < 2 ** (8 * (4 - numbers.length)))) return null
  const high = numbers.reduce((sum, number, index) => sum + number * 2 ** (24 - 8 * index), 0)
  return high + last
}

const readNumber = (text: string): number => {
  if (/^0x[0-9a-f]+$/i.test(text)) return Number.parseInt(text, 16)
  if (/^0[0-7]*$/.test(text)) return Number.parseInt(text, 8)
  return /^[1-9][0-9]*$/.test(text) ? Number(text) : Number.NaN
}

/** inet_ntoa(3). @param address a number in host order */
export const inet_ntoa = (address: number): string => formatIpv4(address)

/** inet_addr(3). @returns a number in network order; INADDR_NONE for what is no address, and for 255.255.255.255 */
export const inet_addr = (text: string): number => {
  const address = inet_aton(text)
  return address === null ? INADDR_NONE : htonl(address)
}
