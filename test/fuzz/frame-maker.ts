import type { Random } from '../../src/core/random.ts'
import { SAMPLE_MAC_A, SAMPLE_MAC_B, samplePackets } from '../support/sample-frames.ts'
import { oneIn, pick } from './case.ts'
import { Bytes } from './frame-bytes.ts'
import { mendChecksums } from './frame-mend.ts'
import { icmpPayload, icmpv6Payload } from './frame-messages.ts'

/** Frames by chance: real ones with changes, and ones put together from parts that fit, more or less. */

const SAMPLES = samplePackets()
const MULTICAST_MAC = 0x0100_5e01_0203
const MULTICAST_MAC6 = 0x3333_0000_0001
const BROADCAST = 0xffff_ffff_ffff

/** Addresses that the frames are from and to: the host's, its neighbours', groups', others'. */
export const SOURCES4 = [
  '10.9.0.1',
  '10.9.0.1',
  '10.9.0.1',
  '10.9.0.3',
  '10.10.0.9',
  '192.0.2.1',
  '10.9.0.2',
  '127.0.0.1',
  '0.0.0.0',
  '10.9.0.255',
  '239.1.2.3',
]
export const DESTINATIONS4 = [
  '10.9.0.2',
  '10.9.0.2',
  '10.9.0.2',
  '10.9.0.2',
  '10.10.0.1',
  '10.10.0.9',
  '10.9.0.255',
  '255.255.255.255',
  '239.1.2.3',
  '224.0.0.1',
  '192.0.2.7',
  '127.0.0.1',
  '0.0.0.0',
]
export const SOURCES6 = [
  'fd09::1',
  'fd09::1',
  'fe80::ff:fe00:a',
  'fe80::ff:fe00:a',
  'fd09::3',
  'fd10::9',
  '2001:db8::1',
  '::',
  '::1',
  'ff02::1',
  'fd09::2',
]
export const DESTINATIONS6 = [
  'fd09::2',
  'fd09::2',
  'fd09::2',
  'fe80::ff:fe00:b',
  'ff02::1',
  'ff02::1:ff00:2',
  'ff02::1:ff00:b',
  'ff05::1:3',
  'fd10::1',
  'fd10::9',
  '2001:db8::7',
  'ff02::2',
  '::1',
  '::',
]

const IPV4_OPTIONS = [
  '01',
  '00',
  '94040000',
  '0707040000000001',
  '070b04000000000000000001',
  '830b040a0900020a09000100',
  '890b040a0900020a09000100',
  '44080500000000',
  '440c0501000000000000000001',
  '82030000',
  '8800',
  '94',
  'ff03',
  '0730',
]

const EXTENSIONS = [
  [0, '0502000001000100'.slice(0, 12)],
  [0, '050200000100'],
  [0, 'c20400001000'],
  [0, 'fe0400000000'],
  [0, 'be0400000000'],
  [60, '010400000000'],
  [60, '7e0400000000'],
  [43, '000000000000'],
  [43, '000100000000'],
  [43, '040000000000'],
  [51, '010000000000'],
  [50, '000000010000'],
  [59, '000000000000'],
  [135, '000000000000'],
  [139, '000000000000'],
] as const

export const frame = (random: Random): string => {
  const made = oneIn(random, 4) ? sample(random) : structured(random)
  const bytes = oneIn(random, 4) ? damage(random, made) : made
  if (!oneIn(random, 5)) mendChecksums(bytes)
  return toHex(bytes)
}

/** The same frame with a few changes. */
export const changedFrame = (random: Random, hex: string): string => {
  const bytes = damage(random, fromHex(hex))
  if (!oneIn(random, 4)) mendChecksums(bytes)
  return toHex(bytes)
}

const DIGITS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export const toHex = (bytes: Uint8Array): string => {
  let text = ''
  for (const byte of bytes) text += DIGITS[byte]
  return text
}

export const fromHex = (hex: string): Uint8Array => {
  const bytes = new Uint8Array(hex.length >>> 1)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16)
  return bytes
}

const damage = (random: Random, given: Uint8Array): Uint8Array => {
  let bytes = given
  for (let left = 1 + random.below(4); left > 0; left--) {
    // Mostly in the headers.
    const at = oneIn(random, 3) ? random.below(bytes.length + 1) : random.below(Math.min(bytes.length, 90) + 1)
    switch (random.below(8)) {
      case 0:
        bytes = bytes.slice(0, Math.max(0, bytes.length - random.below(60)))
        break
      case 1:
        bytes = new Uint8Array([...bytes, ...new Uint8Array(random.below(40)).fill(random.below(256))])
        break
      case 2:
        bytes = bytes.slice()
        bytes.copyWithin(at, random.below(bytes.length + 1), random.below(bytes.length + 1))
        break
      default:
        if (at >= bytes.length) break
        bytes = bytes.slice()
        bytes[at] = oneIn(random, 2)
          ? bytes[at]! ^ (1 << random.below(8))
          : pick(random, [0, 1, 0xff, 0x7f, 0x80, random.below(256)])
    }
  }
  return bytes
}

const ethernet = (random: Random, to: number, etherType: number): Bytes => {
  const out = new Bytes()
  out.mac(oneIn(random, 20) ? pick(random, [BROADCAST, SAMPLE_MAC_A, MULTICAST_MAC, SAMPLE_MAC_B]) : to)
  out.mac(oneIn(random, 30) ? pick(random, [SAMPLE_MAC_B, BROADCAST, 0]) : SAMPLE_MAC_A)
  if (oneIn(random, 12))
    out.u16(pick(random, [0x8100, 0x8100, 0x88a8])).u16(pick(random, [100, 100, 0, 0x2064, 7, 0xfff]))
  return out.u16(oneIn(random, 60) ? random.below(0x1_0000) : etherType)
}

const sample = (random: Random): Uint8Array => {
  const { destinationMac, etherType, packet } = pick(random, SAMPLES)
  return ethernet(random, destinationMac, etherType).bytes(packet).done()
}

const structured = (random: Random): Uint8Array => {
  const what = random.below(20)
  if (what < 2) return arp(random)
  return what < 11 ? ipv4(random) : ipv6(random)
}

const arp = (random: Random): Uint8Array => {
  const operation = pick(random, [1, 1, 1, 2, 2, random.below(10)])
  const to = operation === 1 ? BROADCAST : SAMPLE_MAC_B
  return ethernet(random, to, 0x0806)
    .u16(oneIn(random, 20) ? 6 : 1)
    .u16(oneIn(random, 20) ? 0x86dd : 0x0800)
    .u8(oneIn(random, 30) ? 8 : 6)
    .u8(oneIn(random, 30) ? 16 : 4)
    .u16(operation)
    .mac(pick(random, [SAMPLE_MAC_A, SAMPLE_MAC_A, SAMPLE_MAC_B, 0, BROADCAST, 0x0200_0000_0000 + random.below(2000)]))
    .ipv4(oneIn(random, 4) ? `10.9.${random.below(4)}.${random.below(256)}` : pick(random, SOURCES4))
    .mac(pick(random, [0, SAMPLE_MAC_B]))
    .ipv4(pick(random, DESTINATIONS4))
    .fill(18, 0)
    .done()
}

/** What IP carries: the protocol and the payload, with the checksum left to be mended. */
const payload = (random: Random, version: 4 | 6): readonly [protocol: number, bytes: Uint8Array] => {
  switch (random.below(version === 4 ? 8 : 9)) {
    case 0:
      return [17, udp(random)]
    case 1:
    case 2:
      return [6, tcp(random)]
    case 3:
      return [pick(random, [253, 0, 4, 41, 47, 132, 255, random.below(256)]), filled(random, random.below(60))]
    case 4:
      return version === 4 ? [2, igmp(random)] : [58, icmpv6Payload(random)]
    default:
      return version === 4 ? [1, icmpPayload(random)] : [58, icmpv6Payload(random)]
  }
}

const filled = (random: Random, length: number): Uint8Array => new Uint8Array(length).fill(random.below(256))

const PORTS = [53, 53, 5353, 7, 80, 80, 81, 9999, 0, 33_434, 547, 67]

const udp = (random: Random): Uint8Array => {
  const data = filled(random, pick(random, [0, 1, 20, 100, 600, 1400]))
  const length = oneIn(random, 12) ? pick(random, [0, 7, 8, 0xffff, data.length]) : 8 + data.length
  return new Bytes()
    .u16(pick(random, PORTS))
    .u16(pick(random, PORTS))
    .u16(length)
    .u16(oneIn(random, 4) ? 0 : 1)
    .bytes(data)
    .done()
}

const TCP_OPTIONS = [
  '020405b4',
  '0402',
  '030307',
  '01',
  '00',
  '080a0000000100000000',
  '050a0000000100000002',
  '1312',
  '220a0102030405060708',
  '2202',
  'fe04f989',
  '1e04',
  '02',
  '0200',
  'ff02',
  '1c040001',
  '1d04',
]

const tcp = (random: Random): Uint8Array => {
  let options = ''
  for (let count = oneIn(random, 2) ? random.below(6) : 0; count > 0; count--) options += pick(random, TCP_OPTIONS)
  options = options.slice(0, 80)
  while (options.length % 8 !== 0) options += '00'
  const header = oneIn(random, 20) ? random.below(16) : 5 + options.length / 8
  return new Bytes()
    .u16(1000 + random.below(6))
    .u16(pick(random, [80, 80, 80, 81, 7]))
    .u32(pick(random, [0, 1, 1, 1000, random.next32()]))
    .u32(pick(random, [0, 1, random.next32()]))
    .u16((header << 12) | pick(random, [2, 2, 2, 16, 18, 17, 4, 20, 24, 0, 63, random.below(512)]))
    .u16(pick(random, [0, 1000, 65_535]))
    .u16(0)
    .u16(oneIn(random, 8) ? random.below(0x1_0000) : 0)
    .hex(options)
    .bytes(filled(random, pick(random, [0, 0, 0, 1, 100])))
    .done()
}

const igmp = (random: Random): Uint8Array => {
  const group = pick(random, ['0.0.0.0', '239.1.2.3', '224.0.0.1', '239.9.9.9', '10.9.0.2'])
  const type = pick(random, [0x11, 0x11, 0x11, 0x12, 0x16, 0x17, 0x22, random.below(256)])
  const out = new Bytes()
    .u8(type)
    .u8(pick(random, [0, 1, 10, 100, 0xff]))
    .u16(0)
    .ipv4(group)
  if (oneIn(random, 2)) return out.done()
  const count = random.below(4)
  out
    .u8(random.below(16))
    .u8(random.below(256))
    .u16(oneIn(random, 10) ? 0xffff : count)
  for (let i = 0; i < count; i++) out.ipv4(pick(random, SOURCES4))
  return out.done()
}

/** A datagram of which the fragments are slices, so that they come together sooner or later. */
const FRAGMENTED = 2000
const SLICE = 400

const ipv4 = (random: Random): Uint8Array => {
  const to = pick(random, DESTINATIONS4)
  const mac =
    to.startsWith('239') || to.startsWith('224') ? MULTICAST_MAC : to.endsWith('255') ? BROADCAST : SAMPLE_MAC_B
  let options = ''
  for (let count = oneIn(random, 5) ? 1 + random.below(3) : 0; count > 0; count--) options += pick(random, IPV4_OPTIONS)
  options = options.slice(0, 80)
  while (options.length % 8 !== 0) options += '00'
  let [protocol, bytes] = payload(random, 4)
  let word = pick(random, [0, 0, 0x4000])
  let id = random.below(0x1_0000)
  if (oneIn(random, 6)) {
    id = random.below(3)
    protocol = 17
    const whole = new Bytes()
      .u16(53)
      .u16(53)
      .u16(FRAGMENTED)
      .u16(0)
      .fill(FRAGMENTED - 8, 7)
      .done()
    const from = random.below(FRAGMENTED / SLICE) * SLICE + (oneIn(random, 10) ? 8 : 0)
    const end = Math.min(FRAGMENTED, from + SLICE * (1 + random.below(2)))
    bytes = whole.slice(from, end)
    word = (from >>> 3) | (end < FRAGMENTED ? 0x2000 : 0)
  } else if (oneIn(random, 25)) word = random.below(0x1_0000)
  const header = 20 + options.length / 2
  const length = oneIn(random, 25)
    ? pick(random, [0, 19, header, 0xffff, random.below(0x1_0000)])
    : header + bytes.length
  return ethernet(random, mac, 0x0800)
    .u8(oneIn(random, 40) ? random.below(256) : 0x40 | (header >>> 2))
    .u8(oneIn(random, 6) ? random.below(256) : 0)
    .u16(length)
    .u16(id)
    .u16(word)
    .u8(pick(random, [64, 64, 1, 255, 0, 2]))
    .u8(protocol)
    .u16(0)
    .ipv4(pick(random, SOURCES4))
    .ipv4(to)
    .hex(options)
    .bytes(bytes)
    .done()
}

const ipv6 = (random: Random): Uint8Array => {
  const to = pick(random, DESTINATIONS6)
  const mac = to.startsWith('ff') ? MULTICAST_MAC6 : SAMPLE_MAC_B
  let [next, bytes] = payload(random, 6)
  const isNdp = next === 58 && bytes[0]! >= 133 && bytes[0]! <= 137
  if (oneIn(random, 6)) {
    const whole = new Bytes()
      .u16(53)
      .u16(5353)
      .u16(FRAGMENTED)
      .u16(0)
      .fill(FRAGMENTED - 8, 7)
      .done()
    const from = random.below(FRAGMENTED / SLICE) * SLICE
    const end = Math.min(FRAGMENTED, from + SLICE * (1 + random.below(2)))
    const word = oneIn(random, 12) ? random.below(0x1_0000) : from | (end < FRAGMENTED ? 1 : 0)
    bytes = new Bytes().u8(17).u8(0).u16(word).u32(random.below(3)).bytes(whole.slice(from, end)).done()
    next = 44
  }
  for (let count = oneIn(random, 3) ? 1 + random.below(3) : 0; count > 0; count--) {
    const [kind, body] = pick(random, EXTENSIONS)
    bytes = new Bytes()
      .u8(next)
      .u8(oneIn(random, 12) ? random.below(256) : 0)
      .hex(body)
      .bytes(bytes)
      .done()
    next = kind
  }
  return ethernet(random, mac, 0x86dd)
    .u32(oneIn(random, 30) ? random.next32() : 0x6000_0000)
    .u16(oneIn(random, 25) ? random.below(0x1_0000) : bytes.length)
    .u8(next)
    .u8(isNdp && !oneIn(random, 8) ? 255 : pick(random, [64, 64, 1, 255, 0]))
    .ipv6(pick(random, SOURCES6))
    .ipv6(to)
    .bytes(bytes)
    .done()
}
