import { bytesOf } from '../../src/core/memory.ts'
import { foldSum, sumBytes } from '../../src/wire/checksum.ts'

/**
 * Makes the checksums in a frame right, as far as its headers can be followed: so that what was changed gets deeper in.
 */
export const mendChecksums = (frame: Uint8Array): void => {
  const at = frame.length > 17 && frame[12] === 0x81 && frame[13] === 0 ? 18 : 14
  if (frame.length < at + 20) return
  const packet = frame.subarray(at)
  const version = packet[0]! >>> 4
  if (version === 4) mendIpv4(packet)
  else if (version === 6 && packet.length >= 40) mendIpv6(packet)
}

const mendIpv4 = (packet: Uint8Array): void => {
  const header = (packet[0]! & 15) << 2
  if (header < 20 || header > packet.length) return
  put(packet, 10, 0)
  put(packet, 10, ~sum(packet.subarray(0, header)) & 0xffff)
  const fragment = ((packet[6]! << 8) | packet[7]!) & 0x3fff
  const end = Math.min((packet[2]! << 8) | packet[3]!, packet.length)
  if (fragment === 0 && end > header) mendTransport(packet, packet[9]!, header, end, packet.subarray(12, 20))
}

const mendIpv6 = (packet: Uint8Array): void => {
  const end = Math.min(40 + ((packet[4]! << 8) | packet[5]!), packet.length)
  let next = packet[6]!
  let at = 40
  while ((next === 0 || next === 60 || next === 43) && at + 8 <= end) {
    next = packet[at]!
    at += 8 + packet[at + 1]! * 8
  }
  if (at < end) mendTransport(packet, next, at, end, packet.subarray(8, 40))
}

const CHECKSUM_AT: Readonly<Record<number, number>> = { 1: 2, 2: 2, 6: 16, 17: 6, 58: 2 }

const mendTransport = (
  packet: Uint8Array,
  protocol: number,
  start: number,
  end: number,
  addresses: Uint8Array,
): void => {
  const offset = CHECKSUM_AT[protocol]
  if (offset === undefined || start + offset + 2 > end) return
  const field = start + offset
  // A UDP datagram without a checksum stays so.
  if (protocol === 17 && packet[field] === 0 && packet[field + 1] === 0) return
  put(packet, field, 0)
  const payload = packet.subarray(start, end)
  const pseudo = protocol === 1 || protocol === 2 ? 0 : sum(addresses) + protocol + payload.length
  put(packet, field, ~foldSum(sum(payload) + pseudo) & 0xffff)
}

const put = (packet: Uint8Array, at: number, value: number): void => {
  packet[at] = value >>> 8
  packet[at + 1] = value
}

const sum = (bytes: Uint8Array): number => {
  const copy = bytesOf(bytes)
  return foldSum(sumBytes(copy, 0, bytes.length))
}
