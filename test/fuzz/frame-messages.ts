import type { Random } from '../../src/core/random.ts'
import { oneIn, pick } from './case.ts'
import { Bytes } from './frame-bytes.ts'

/** ICMP, ICMPv6, neighbour discovery and MLD messages by chance; their checksums are left to be mended. */

/** Packets of the host that errors quote: of its UDP sockets, of its connections, of nobody. */
const quote4 = (random: Random): Uint8Array =>
  new Bytes()
    .u8(0x45)
    .u8(0)
    .u16(28 + random.below(600))
    .u32(0)
    .u8(64)
    .u8(pick(random, [17, 17, 6, 1, 253]))
    .u16(0)
    .ipv4(pick(random, ['10.9.0.2', '10.9.0.2', '10.10.0.1', '192.0.2.1']))
    .ipv4(pick(random, ['10.9.0.1', '10.9.0.1', '192.0.2.7']))
    .u16(pick(random, [53, 5353, 80, 0]))
    .u16(pick(random, [53, 1000, 80]))
    .u32(random.below(3))
    .done()

const quote6 = (random: Random): Uint8Array =>
  new Bytes()
    .u32(0x6000_0000)
    .u16(8 + random.below(600))
    .u8(pick(random, [17, 17, 6, 58, 44, 0]))
    .u8(64)
    .ipv6(pick(random, ['fd09::2', 'fd09::2', 'fe80::ff:fe00:b', 'fd10::1']))
    .ipv6(pick(random, ['fd09::1', 'fd09::1', '2001:db8::7']))
    .u16(pick(random, [53, 5353, 80]))
    .u16(pick(random, [53, 1000]))
    .u32(random.below(3))
    .done()

export const icmpPayload = (random: Random): Uint8Array => {
  const type = pick(random, [8, 8, 8, 0, 3, 3, 3, 5, 5, 11, 12, 4, 13, 17, 9, 10, random.below(256)])
  const out = new Bytes()
    .u8(type)
    .u8(type === 3 ? random.below(16) : random.below(4))
    .u16(0)
  if (type === 3) out.u16(0).u16(pick(random, [0, 68, 552, 1400, 65_535]))
  else if (type === 5) out.ipv4(pick(random, ['10.9.0.3', '10.9.0.2', '192.0.2.1', '239.1.2.3']))
  else out.u16(pick(random, [7, random.below(0x1_0000)])).u16(random.below(4))
  const isError = type === 3 || type === 4 || type === 5 || type === 11 || type === 12
  if (isError) return out.bytes(quote4(random)).done()
  return out.fill(pick(random, [0, 4, 12, 56, 1400]), 1).done()
}

const GROUPS = ['::', 'ff05::1:3', 'ff02::1', 'ff02::1:ff00:2', 'fd09::2']
const TARGETS = ['fd09::2', 'fd09::2', 'fe80::ff:fe00:b', 'fd09::77', 'ff02::1', 'fd09::1']

const ndpOption = (random: Random): Uint8Array => {
  const out = new Bytes()
  switch (random.below(9)) {
    case 0:
      return out.u8(1).u8(1).mac(0x0200_0000_000a).done()
    case 1:
      return out.u8(2).u8(1).mac(0x0200_0000_000a).done()
    case 2:
    case 3:
      return out
        .u8(3)
        .u8(4)
        .u8(pick(random, [64, 64, 64, 0, 128, 200]))
        .u8(pick(random, [0xc0, 0xc0, 0x40, 0x80, 0]))
        .u32(pick(random, [0, 1, 3600, 0xffff_ffff]))
        .u32(pick(random, [0, 1, 1800, 0xffff_ffff]))
        .u32(0)
        .ipv6(pick(random, ['fd09::', `fd77:${random.below(200).toString(16)}::`, 'fe80::', 'ff02::']))
        .done()
    case 4:
      return out
        .u8(5)
        .u8(1)
        .u16(0)
        .u32(pick(random, [1280, 1400, 1500, 0, 9000]))
        .done()
    case 5:
      return out
        .u8(24)
        .u8(2)
        .u8(pick(random, [48, 64, 0, 129]))
        .u8(pick(random, [0, 8, 0x18, 0x10]))
        .u32(pick(random, [0, 10, 0xffff_ffff]))
        .ipv6('2001:db8:5::')
        .done()
        .slice(0, 16)
    case 6:
      return out
        .u8(25)
        .u8(3)
        .u16(0)
        .u32(pick(random, [0, 60]))
        .ipv6('fd09::53')
        .done()
    case 7:
      return out.u8(14).u8(1).u16(random.below(9)).u32(random.next32()).done()
    default:
      return out.u8(random.below(256)).u8(random.below(4)).fill(6, random.below(256)).done()
  }
}

const neighbourDiscovery = (random: Random, type: number): Uint8Array => {
  const out = new Bytes()
    .u8(type)
    .u8(oneIn(random, 20) ? 1 : 0)
    .u16(0)
  if (type === 133) out.u32(0)
  else if (type === 134) {
    out
      .u8(pick(random, [0, 64, 255]))
      .u8(pick(random, [0, 0xc0, 8, 0x18, 0x10]))
      .u16(pick(random, [0, 1, 1800, 9000]))
      .u32(pick(random, [0, 30_000, 0xffff_ffff]))
      .u32(pick(random, [0, 1000, 0xffff_ffff]))
  } else {
    out.u32(pick(random, [0, 0x6000_0000, 0xe000_0000, 0x2000_0000]))
    out.ipv6(oneIn(random, 6) ? `fd09::${random.below(0x1_0000).toString(16)}` : pick(random, TARGETS))
    if (type === 137) out.ipv6(pick(random, ['fd09::7', '2001:db8::7', 'fd09::1']))
  }
  for (let count = random.below(4); count > 0; count--) out.bytes(ndpOption(random))
  if (type === 137 && oneIn(random, 2)) out.u8(4).u8(8).fill(6, 0).bytes(quote6(random)).fill(8, 0)
  return out.done()
}

const listenerDiscovery = (random: Random, type: number): Uint8Array => {
  const out = new Bytes().u8(type).u8(0).u16(0)
  if (type !== 143) {
    out
      .u16(pick(random, [0, 1, 1000, 0x8fff, 0xffff]))
      .u16(0)
      .ipv6(pick(random, GROUPS))
    if (oneIn(random, 2)) return out.done()
    const count = random.below(3)
    out.u8(random.below(16)).u8(125).u16(count)
    for (let i = 0; i < count; i++) out.ipv6('fd09::1')
    return out.done()
  }
  const count = random.below(4)
  out.u16(0).u16(oneIn(random, 12) ? 0xffff : count)
  for (let i = 0; i < count; i++)
    out
      .u8(1 + random.below(7))
      .u8(0)
      .u16(0)
      .ipv6(pick(random, GROUPS))
  return out.done()
}

export const icmpv6Payload = (random: Random): Uint8Array => {
  const type = pick(random, [
    128,
    128,
    129,
    1,
    1,
    2,
    2,
    3,
    4,
    130,
    130,
    131,
    132,
    143,
    133,
    134,
    134,
    134,
    135,
    135,
    135,
    136,
    136,
    137,
    random.below(256),
  ])
  if (type >= 133 && type <= 137) return neighbourDiscovery(random, type)
  if ((type >= 130 && type <= 132) || type === 143) return listenerDiscovery(random, type)
  const out = new Bytes()
    .u8(type)
    .u8(random.below(type < 5 ? 8 : 2))
    .u16(0)
  if (type < 128)
    return out
      .u32(pick(random, [0, 1280, 1400, 500, 0xffff_ffff]))
      .bytes(quote6(random))
      .done()
  return out
    .u16(7)
    .u16(random.below(4))
    .fill(pick(random, [0, 8, 56, 1300]), 1)
    .done()
}
