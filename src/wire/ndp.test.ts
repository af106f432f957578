import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { bytesOf } from '../core/memory.ts'
import { type IpAddress, ip } from './address.ts'
import { Drop, dropName } from './drop.ts'
import { Icmpv6Type } from './icmpv6.ts'
import { IpHeader } from './ip.ts'
import { emitNdp, NDP_MAX_ENTRIES, NdpMessage, ndpLength, parseNdp, solicitedNode } from './ndp.ts'
import { NDP_INFINITY, NdpPreference } from './ndp-options.ts'
import { verifyTransportChecksum } from './transport.ts'

const header = (source = 'fe80::1', destination = 'fe80::2', hopLimit = 255): IpHeader =>
  Object.assign(new IpHeader(), {
    version: 6,
    protocol: 58,
    hopLimit,
    source: ip(source),
    destination: ip(destination),
  })

const parse = (text: string, of = header()): [NdpMessage, string] => {
  const message = new NdpMessage()
  const u8 = hex(text)
  return [message, dropName(parseNdp(message, of, bytesOf(u8), 0, u8.length))]
}

const TARGET = 'fd090000 00000000 00000000 00000002'
const RS = '85 00 0000 00000000'
const RA = '86 00 0000 40 c8 0708 00007530 000003e8'
const NS = `87 00 0000 00000000 ${TARGET}`
const NA = `88 00 0000 e0000000 ${TARGET}`
const REDIRECT = `89 00 0000 00000000 fe800000 00000000 00000000 00000009 ${TARGET}`
const MAC = '02000000000b'

describe('messages', () => {
  test('router solicitation', () => {
    const [message, reason] = parse(`${RS} 01 01 ${MAC}`)
    expect(reason).toBe('none')
    expect(message).toMatchObject({ type: 133, sourceMac: 0x0200_0000_000b, targetMac: -1, unknownOptions: 0 })
  })

  test('router advertisement with every option', () => {
    const options = [
      `01 01 ${MAC}`,
      '05 01 0000 000005dc',
      '03 04 40 c0 00015180 00003840 00000000 fd090000 00000000 00000000 00000000',
      '03 04 30 80 ffffffff ffffffff 00000000 fd0a0000 00000000 00000000 00000000',
      '18 01 00 08 00000708',
      '18 02 30 18 ffffffff fd0b0000 00000000',
      '18 03 41 00 00000000 fd0c0000 00000000 80000000 00000000',
      '18 01 00 10 00000001',
      '19 05 0000 000004b0 fd090000 00000000 00000000 00000035 fd090000 00000000 00000000 00000036',
      '1f 01 0000 00000000',
    ].join('')
    const [m, reason] = parse(RA + options)
    expect(reason).toBe('none')
    expect(m).toMatchObject({
      hopLimit: 64,
      isManaged: true,
      isOtherConfig: true,
      preference: NdpPreference.High,
      routerLifetime: 1800,
      reachableTime: 30_000,
      retransmitTimer: 1000,
      sourceMac: 0x0200_0000_000b,
      mtu: 1500,
      unknownOptions: 1,
    })
    expect(
      m.prefixes
        .slice(0, m.prefixCount)
        .map((p) => [`${p.prefix}/${p.length}`, p.onLink, p.autonomous, p.validLifetime, p.preferredLifetime]),
    ).toEqual([
      ['fd09::/64', true, true, 86_400, 14_400],
      ['fd0a::/48', true, false, NDP_INFINITY, NDP_INFINITY],
    ])
    expect(m.routes.slice(0, m.routeCount).map((r) => [`${r.prefix}/${r.length}`, r.preference, r.lifetime])).toEqual([
      ['::/0', NdpPreference.High, 1800],
      ['fd0b::/48', NdpPreference.Low, NDP_INFINITY],
      ['fd0c::8000:0:0:0/65', NdpPreference.Medium, 0],
    ])
    expect(m.dnsServers.slice(0, m.dnsServerCount).map((s) => [s.address.toString(), s.lifetime])).toEqual([
      ['fd09::35', 1200],
      ['fd09::36', 1200],
    ])
  })

  test('the reserved preference of a router counts as medium', () => {
    const preference = (flags: string): number => parse(RA.replace('c8', flags))[0].preference
    expect([preference('00'), preference('08'), preference('10'), preference('18')]).toEqual([0, 1, 0, -1])
  })

  test('neighbour solicitation of Linux: duplicate address detection with a nonce', () => {
    const text = '87 00 7985 00000000 fe800000 00000000 000000ff fe00000b'
    const [message, reason] = parse(`${text} 0e 01 e02314af00b0`, header('::', 'ff02::1:ff00:b'))
    expect(reason).toBe('none')
    expect([message.target.toString(), message.nonce, message.sourceMac]).toEqual([
      'fe80::ff:fe00:b',
      0xe023_14af_00b0,
      -1,
    ])
    const longer = parse(`${text} 0e 02 ${'11'.repeat(14)}`, header('::', 'ff02::1:ff00:b'))[0]
    expect([longer.nonce, longer.unknownOptions]).toEqual([-1, 1])
  })

  test('neighbour advertisement', () => {
    const [message, reason] = parse(`${NA} 02 01 ${MAC}`)
    expect(reason).toBe('none')
    expect(message).toMatchObject({ isRouter: true, isSolicited: true, isOverride: true, targetMac: 0x0200_0000_000b })
    const flags = (byte: string): boolean[] => {
      const m = parse(NA.replace('e0', byte))[0]
      return [m.isRouter, m.isSolicited, m.isOverride]
    }
    expect([flags('80'), flags('40'), flags('20'), flags('1f')]).toEqual([
      [true, false, false],
      [false, true, false],
      [false, false, true],
      [false, false, false],
    ])
  })

  test('redirect', () => {
    const [message, reason] = parse(`${REDIRECT} 02 01 ${MAC} 04 02 0000 00000000 6000000000003a40`)
    expect(reason).toBe('none')
    expect([message.target, message.destination].map(String)).toEqual(['fe80::9', 'fd09::2'])
    expect([message.targetMac, message.quoteStart, message.quoteEnd]).toEqual([0x0200_0000_000b, 56, 64])
  })

  test('a message that is used again starts afresh', () => {
    const message = new NdpMessage()
    const all = hex(`${RA} 01 01 ${MAC} 18 01 00 08 00000708 05 01 0000 000005dc 63 01 000000000000`)
    expect(parseNdp(message, header(), bytesOf(all), 0, all.length)).toBe(Drop.none)
    expect([message.routeCount, message.mtu, message.unknownOptions]).toEqual([1, 1500, 1])
    expect(parseNdp(message, header(), bytesOf(hex(RS)), 0, 8)).toBe(Drop.none)
    message.type = 0
    const fresh = new NdpMessage()
    expect({ ...message, routes: fresh.routes }).toEqual({ ...fresh })
  })
})

describe('validation (RFC 4861)', () => {
  const WITH_SOURCE = `01 01 ${MAC}`

  test.each([
    ['RS without a source address', RS, header('::'), 'none'],
    ['RS without a source address but with a MAC', `${RS} ${WITH_SOURCE}`, header('::'), 'ndp-option'],
    ['RA from a global address', RA, header('fd09::1'), 'ndp-source'],
    ['RA from nowhere', RA, header('::'), 'ndp-source'],
    ['NS for a multicast target', NS.replace('fd09', 'ff02'), header(), 'ndp-target'],
    ['DAD to a unicast address', NS, header('::'), 'ndp-destination'],
    ['DAD to all nodes', NS, header('::', 'ff02::1'), 'ndp-destination'],
    ['DAD to a solicited-node address', NS, header('::', 'ff02::1:ff00:2'), 'none'],
    ['DAD with a MAC', `${NS} ${WITH_SOURCE}`, header('::', 'ff02::1:ff00:2'), 'ndp-option'],
    ['NS to any address', `${NS} ${WITH_SOURCE}`, header('fd09::1', 'fd09::2'), 'none'],
    ['NA for a multicast target', NA.replace('fd09', 'ff02'), header(), 'ndp-target'],
    ['solicited NA to all nodes', NA, header('fd09::1', 'ff02::1'), 'ndp-destination'],
    ['unsolicited NA to all nodes', NA.replace('e0', 'a0'), header('fd09::1', 'ff02::1'), 'none'],
    ['redirect from a global address', REDIRECT, header('fd09::1'), 'ndp-source'],
    ['redirect of a multicast destination', REDIRECT.replace('fd09', 'ff05'), header(), 'ndp-destination'],
    ['redirect to a global address', REDIRECT.replace('fe80', 'fd80'), header(), 'ndp-target'],
    ['redirect to the destination itself', `89 00 0000 00000000 ${TARGET} ${TARGET}`, header(), 'none'],
  ])('%s', (_name, text, of, reason) => {
    expect(parse(text, of)[1]).toBe(reason)
  })

  test('hop limit, code, type, and every shorter message', () => {
    for (const text of [RS, RA, NS, NA, REDIRECT]) {
      expect(parse(text)[1]).toBe('none')
      expect(parse(text, header('fe80::1', 'fe80::2', 254))[1]).toBe('ndp-hop-limit')
      expect(parse(text.replace(' 00 ', ' 01 '))[1]).toBe('ndp-code')
      const u8 = hex(text)
      for (let n = 0; n < u8.length; n++) expect(parse(toHex(u8.slice(0, n)))[1]).toBe('ndp-truncated')
    }
    expect(parse('84 00 0000 00000000')[1]).toBe('icmp-type')
    expect(parse('8a 00 0000 00000000')[1]).toBe('icmp-type')
  })

  test.each([
    ['length zero', '63 00 000000000000'],
    ['beyond the end', '63 02 000000000000'],
    ['less than eight bytes', '63 01 0000000000'],
    ['a MAC of another length', `01 02 ${MAC} 0000000000000000`],
    ['a target MAC of another length', `02 02 ${MAC} 0000000000000000`],
    ['an MTU of another length', '05 02 0000 000005dc 0000000000000000'],
    ['a prefix too short', '03 03 40 c0 00015180 00003840 00000000 fd090000 00000000'],
    ['a prefix of 129 bits', `03 04 81 c0 00015180 00003840 00000000 ${TARGET}`],
    ['a route of 129 bits', `18 03 81 00 00000000 ${TARGET}`],
    ['a route of 65 bits in 16 bytes', '18 02 41 00 00000000 fd0b0000 00000000'],
    ['a route of 1 bit in 8 bytes', '18 01 01 00 00000000'],
    ['a route too long', `18 04 40 00 00000000 ${TARGET} 0000000000000000`],
    ['name servers without an address', '19 01 0000 000004b0'],
    ['name servers with half an address', '19 02 0000 000004b0 fd090000 00000000'],
  ])('an option: %s', (_name, option) => {
    expect(parse(`${RA} ${option}`)[1]).toBe('ndp-option')
    expect(parse(`${RA} 05 01 0000 000005dc ${option}`)[1]).toBe('ndp-option')
  })

  test('entries beyond the most that are kept are left out', () => {
    const [message, reason] = parse(
      RA +
        `03 04 40 c0 00015180 00003840 00000000 ${TARGET}`.repeat(20) +
        '18 01 00 00 00000001'.repeat(20) +
        `19 ${(1 + 2 * 20).toString(16)} 0000 000004b0 ${TARGET.repeat(20)}`,
    )
    expect([reason, message.prefixCount, message.routeCount, message.dnsServerCount]).toEqual([
      'none',
      NDP_MAX_ENTRIES,
      NDP_MAX_ENTRIES,
      NDP_MAX_ENTRIES,
    ])
  })
})

describe('emitting', () => {
  test('a neighbour advertisement of Linux, byte by byte', () => {
    const message = Object.assign(new NdpMessage(), {
      type: Icmpv6Type.NeighborAdvertisement,
      target: ip('fd09::2'),
      targetMac: 0x0200_0000_000b,
      isSolicited: true,
      isOverride: true,
    })
    const bytes = bytesOf(new Uint8Array(40).fill(0xee))
    expect(emitNdp(message, header('fd09::2', 'fd09::1'), bytes, 0)).toBe(32)
    expect(toHex(bytes.u8)).toBe(toHex(hex(`88 00 1c76 60000000 ${TARGET} 02 01 ${MAC} eeeeeeee eeeeeeee`)))
  })

  test('a router advertisement, byte by byte', () => {
    const message = Object.assign(new NdpMessage(), {
      type: Icmpv6Type.RouterAdvertisement,
      hopLimit: 64,
      isManaged: true,
      preference: NdpPreference.Low,
      routerLifetime: 1800,
      reachableTime: 30_000,
      retransmitTimer: 1000,
      mtu: 1500,
    })
    Object.assign(message.addPrefix()!, {
      length: 64,
      validLifetime: 86_400,
      preferredLifetime: 14_400,
      prefix: ip('fd09::'),
    })
    Object.assign(message.addRoute()!, { length: 65, preference: 1, lifetime: 1, prefix: ip('fd0a::') })
    Object.assign(message.addDnsServer()!, { lifetime: 1200, address: ip('fd09::35') })
    const bytes = bytesOf(new Uint8Array(112).fill(0xee))
    expect(emitNdp(message, header(), bytes, 0)).toBe(104)
    bytes.view.setUint16(2, 0)
    const expected = [
      '86 00 0000 40 98 0708 00007530 000003e8',
      '05 01 0000 000005dc',
      '03 04 40 00 00015180 00003840 00000000 fd090000 00000000 00000000 00000000',
      '18 03 41 08 00000001 fd0a0000 00000000 00000000 00000000',
      '19 03 0000 000004b0 fd090000 00000000 00000000 00000035',
      'eeeeeeee eeeeeeee',
    ]
    expect(toHex(bytes.u8)).toBe(toHex(hex(expected.join(' '))))
  })

  const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
  const word32 = fc.oneof(fc.constant(NDP_INFINITY), fc.nat(0x7fff_ffff))
  const mac = fc.oneof(
    fc.constant(-1),
    fc.tuple(fc.nat(0xffff), fc.nat(0x7fff_ffff)).map(([h, l]) => h * 2 ** 32 + l),
  )
  const prefix = fc.record({
    length: fc.nat(128),
    onLink: fc.boolean(),
    autonomous: fc.boolean(),
    validLifetime: word32,
    preferredLifetime: word32,
    prefix0: word,
    prefix1: word,
    prefix2: word,
    prefix3: word,
  })
  const route = fc.record({
    length: fc.nat(128),
    preference: fc.constantFrom(-1, 0, 1),
    lifetime: word32,
    prefix0: word,
  })
  const server = fc.record({ lifetime: word32, address0: word, address1: word, address2: word, address3: word })
  const options = fc.record({
    sourceMac: mac,
    targetMac: mac,
    nonce: mac,
    mtu: fc.oneof(fc.constant(0), word32),
    prefixes: fc.array(prefix, { maxLength: 3 }),
    routes: fc.array(route, { maxLength: 3 }),
    servers: fc.array(server, { maxLength: 3 }),
  })
  const target = fc.record({ target0: fc.constant(0x2001_0db8), target1: word, target2: word, target3: word })
  const fixed = fc.oneof(
    fc.record({ type: fc.constant(133) }),
    fc.record({
      type: fc.constant(134),
      hopLimit: fc.nat(255),
      isManaged: fc.boolean(),
      isOtherConfig: fc.boolean(),
      preference: fc.constantFrom(-1, 0, 1),
      routerLifetime: fc.nat(0xffff),
      reachableTime: word32,
      retransmitTimer: word32,
    }),
    target.map((t) => ({ type: 135, ...t })),
    fc
      .tuple(target, fc.boolean(), fc.boolean(), fc.boolean())
      .map(([t, isRouter, isSolicited, isOverride]) => ({ type: 136, ...t, isRouter, isSolicited, isOverride })),
    target.map((t) => ({
      type: 137,
      ...t,
      destination0: t.target0,
      destination1: t.target1,
      destination2: t.target2,
      destination3: t.target3,
    })),
  )

  test('what is emitted is parsed again', () => {
    fc.assert(
      fc.property(fixed, options, fc.nat(3), (fields, { prefixes, routes, servers, ...simple }, at) => {
        const message = Object.assign(new NdpMessage(), fields, simple)
        for (const p of prefixes) Object.assign(message.addPrefix()!, p)
        for (const r of routes) Object.assign(message.addRoute()!, r.length === 0 ? { ...r, prefix0: 0 } : r)
        for (const s of servers) Object.assign(message.addDnsServer()!, s)
        const bytes = bytesOf(new Uint8Array(400).fill(0xee))
        const length = emitNdp(message, header(), bytes, at)
        expect(length).toBe(ndpLength(message))
        expect(bytes.u8[at + length]).toBe(0xee)
        const of = Object.assign(header(), { payloadStart: at, payloadEnd: at + length })
        expect(verifyTransportChecksum(of, bytes)).toBe(Drop.none)
        const parsed = new NdpMessage()
        expect(dropName(parseNdp(parsed, of, bytes, at, at + length))).toBe('none')
        expect({ ...parsed }).toEqual({ ...message })
      }),
    )
  })
})

test('solicited-node addresses', () => {
  const of = (text: string): IpAddress => solicitedNode(ip(text))
  expect(of('fe80::2aa:ff:fe28:9c5a').toString()).toBe('ff02::1:ff28:9c5a')
  expect(of('fd09::').toString()).toBe('ff02::1:ff00:0')
})
