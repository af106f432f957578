import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { bytesOf } from '../core/memory.ts'
import { ip } from './address.ts'
import { Drop, dropName } from './drop.ts'
import { IpHeader, IpProtocol } from './ip.ts'
import {
  emitIpv6,
  emitIpv6Fragment,
  emitIpv6RouterAlert,
  Ipv6Chain,
  openIpv6Gap,
  parseIpv6,
  parseIpv6Extensions,
  parseIpv6HopByHop,
} from './ipv6.ts'

const SOURCE = 'fd09 0000 0000 0000 0000 0000 0000 0001'
const DESTINATION = 'fd09 0000 0000 0000 0000 0000 0000 0002'
/** Where packets start in the tests: problem pointers count from there. */
const START = 4

/** A packet with this next header, and this behind the fixed header. */
const packet = (next: number, rest: string, addresses = SOURCE + DESTINATION): Uint8Array => {
  const payload = hex(rest)
  const u8 = Uint8Array.from([...hex(`6ab12345 0000 0040 ${addresses}`), ...payload])
  u8[4] = payload.length >>> 8
  u8[5] = payload.length & 0xff
  u8[6] = next
  return u8
}

interface Walked {
  reason: string
  header: IpHeader
  chain: Ipv6Chain
}

const walk = (u8: Uint8Array): Walked => {
  const header = new IpHeader()
  const chain = new Ipv6Chain()
  const bytes = bytesOf(Uint8Array.from([...new Uint8Array(START), ...u8]))
  let reason = parseIpv6(header, bytes, START, START + u8.length)
  if (reason === Drop.none) reason = parseIpv6HopByHop(header, chain, bytes)
  if (reason === Drop.none) reason = parseIpv6Extensions(header, chain, bytes)
  return { reason: dropName(reason), header, chain }
}

/** Reason, and what to answer: code, pointer, and whether also to a multicast destination. */
const verdict = (next: number, rest: string): unknown[] => {
  const { reason, chain } = walk(packet(next, rest))
  return chain.problem < 0 ? [reason] : [reason, chain.problem, chain.problemPointer, chain.problemToMulticast]
}

const TCP = '00'.repeat(20)

describe('the fixed header', () => {
  test('field by field', () => {
    const { reason, header } = walk(packet(6, TCP))
    expect(reason).toBe('none')
    expect({ ...header }).toEqual({
      version: 6,
      headerLength: 40,
      trafficClass: 0xab,
      flowLabel: 0x12345,
      hopLimit: 64,
      protocol: 6,
      identification: 0,
      dontFragment: true,
      moreFragments: false,
      fragmentOffset: 0,
      source0: 0xfd09_0000 | 0,
      source1: 0,
      source2: 0,
      source3: 1,
      destination0: 0xfd09_0000 | 0,
      destination1: 0,
      destination2: 0,
      destination3: 2,
      payloadStart: START + 40,
      payloadEnd: START + 60,
      optionsStart: START + 40,
      nextHeaderAt: START + 6,
    })
  })

  test('reasons', () => {
    const whole = packet(6, TCP)
    for (let n = 0; n < whole.length; n++) expect(walk(whole.slice(0, n)).reason).toBe('ipv6-truncated')
    expect(walk(whole.fill(0x5a, 0, 1)).reason).toBe('ipv6-version')
    expect(verdict(0, '')).toEqual(['ipv6-payload-length'])
    expect(verdict(59, 'ff')).toEqual(['ipv6-no-next-header'])
    expect(verdict(6, '')).toEqual(['none'])
    const mapped = '00000000 00000000 0000ffff 0a090001'
    expect(walk(packet(6, TCP, mapped + DESTINATION)).reason).toBe('ipv6-source')
    expect(walk(packet(6, TCP, SOURCE + mapped)).reason).toBe('ipv6-destination')
    for (const other of ['00000001 00000000 0000ffff 0a090001', '00000000 00000001 0000ffff 0a090001']) {
      expect(walk(packet(6, TCP, other + DESTINATION)).reason).toBe('none')
    }
  })

  test('what is emitted is parsed again', () => {
    const bits = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
    const fields = fc.record({
      trafficClass: fc.nat(255),
      flowLabel: fc.nat(0xf_ffff),
      hopLimit: fc.nat(255),
      protocol: fc.constantFrom(6, 17, 58, 132),
      source0: bits,
      source1: bits,
      source2: fc.constant(1),
      source3: bits,
      destination0: bits,
      destination1: bits,
      destination2: fc.constant(-1),
      destination3: bits,
    })
    fc.assert(
      fc.property(fields, fc.nat(60), fc.nat(3), (values, length, at) => {
        const bytes = bytesOf(new Uint8Array(120).fill(0xee))
        emitIpv6(Object.assign(new IpHeader(), values), bytes, at, length)
        const parsed = new IpHeader()
        expect(parseIpv6(parsed, bytes, at, at + 40 + length)).toBe(Drop.none)
        expect(parsed).toMatchObject(values)
        expect([parsed.payloadStart, parsed.payloadEnd]).toEqual([at + 40, at + 40 + length])
        expect(bytes.u8[at + 40]).toBe(0xee)
      }),
    )
  })
})

describe('the chain', () => {
  test('hop-by-hop, destination, routing, atomic fragment, destination, TCP', () => {
    const rest = [
      '3c 00 05 02 00 00 01 00',
      '2b 01 01 0c 000000000000000000000000',
      '2c 00 04 00 00000000',
      '3c 00 0000 12345678',
      '06 00 1e 04 00000000',
    ].join('')
    const { reason, header, chain } = walk(packet(0, rest + TCP))
    expect(reason).toBe('none')
    expect(header).toMatchObject({
      protocol: 6,
      headerLength: 88,
      payloadStart: START + 88,
      payloadEnd: START + 108,
      optionsStart: START + 40,
      nextHeaderAt: START + 80,
      identification: 0x1234_5678,
      fragmentOffset: 0,
      moreFragments: false,
    })
    expect({ ...chain }).toEqual({
      routerAlert: 0,
      fragmentAt: START + 72,
      fragmentNextHeaderAt: START + 64,
      problem: -1,
      problemPointer: 0,
      problemToMulticast: false,
    })
  })

  test('an unknown protocol ends it', () => {
    const { reason, header } = walk(packet(60, '84 00 01 04 00000000 ff'))
    expect([reason, header.protocol, header.nextHeaderAt]).toEqual(['none', 132, START + 40])
  })

  test('extension headers that do not fit are truncated', () => {
    for (const next of [0, 43, 44, 60]) {
      expect(verdict(next, '06 00 01 04 0000 00')).toEqual(['ipv6-extension-truncated'])
      expect(walk(packet(next, '00'.repeat(8))).reason).not.toBe('ipv6-extension-truncated')
    }
    for (const next of [0, 43, 60]) {
      expect(verdict(next, '06 01 01 04 00000000 00000000 000000')).toEqual(['ipv6-extension-truncated'])
      expect(verdict(next, '06 ff 01 04 00000000')).toEqual(['ipv6-extension-truncated'])
    }
  })

  test('hop-by-hop comes first only, a fragment header once only', () => {
    expect(verdict(60, '00 00 01 04 00000000')).toEqual(['ipv6-extension-order', 1, 40, false])
    expect(verdict(0, '00 00 01 04 00000000')).toEqual(['ipv6-extension-order', 1, 40, false])
    expect(verdict(44, '2c 00 0000 00000001 06 00 0000 00000001')).toEqual(['ipv6-extension-order', 1, 40, false])
  })

  test('eight are walked, not nine', () => {
    const options = (count: number): string => '3c 00 01 04 00000000'.repeat(count - 1)
    expect(verdict(60, `${options(8)} 06 00 01 04 00000000 ${TCP}`)).toEqual(['none'])
    expect(verdict(60, `${options(9)} 06 00 01 04 00000000 ${TCP}`)).toEqual(['ipv6-extension-limit'])
  })

  test('routing headers: none is followed, type 0 neither (RFC 5095)', () => {
    for (const type of ['00', '02', '04', 'fd']) {
      expect(verdict(43, `06 00 ${type} 00 00000000 ${TCP}`)).toEqual(['none'])
      expect(verdict(43, `06 00 ${type} 01 00000000 ${TCP}`)).toEqual(['ipv6-routing-header', 0, 42, false])
    }
  })
})

describe('options', () => {
  test.each([
    ['only padding', '00 00 01 02 0000', ['none']],
    ['padding that says something', '01 04 deadbeef', ['none']],
    ['unknown, to be skipped', '1e 04 00000000', ['none']],
    ['unknown, to be dropped', '5e 04 00000000', ['ipv6-extension-option']],
    ['unknown, to be told of', '9e 04 00000000', ['ipv6-extension-option', 2, 42, true]],
    ['unknown, to be told of unless multicast', '01 00 de 02 0000', ['ipv6-extension-option', 2, 44, false]],
    ['a jumbo payload', 'c2 04 00010000', ['ipv6-extension-option', 2, 42, false]],
    ['no length', '01 02 0000 00 05', ['ipv6-extension-option', 0, 47, false]],
    ['beyond the end', '01 05 00000000', ['ipv6-extension-option', 0, 43, false]],
  ])('%s', (_name, options, expected) => {
    for (const next of [0, 60]) expect(verdict(next, `06 00 ${options} ${TCP}`)).toEqual(expected)
  })

  test('the router alert is one in the hop-by-hop header only', () => {
    const alert = `06 00 05 02 0102 01 00 ${TCP}`
    expect(walk(packet(0, alert)).chain.routerAlert).toBe(0x0102)
    expect(walk(packet(60, alert)).chain.routerAlert).toBe(-1)
    expect(verdict(0, `06 00 05 03 010203 00 ${TCP}`)).toEqual(['ipv6-extension-option', 0, 43, false])
    expect(verdict(60, `06 00 05 03 010203 00 ${TCP}`)).toEqual(['none'])
  })

  test('a chain that is used again starts afresh', () => {
    const bytes = bytesOf(packet(6, TCP))
    const header = new IpHeader()
    const chain = Object.assign(new Ipv6Chain(), {
      routerAlert: 1,
      fragmentAt: 2,
      problem: 3,
      problemToMulticast: true,
    })
    parseIpv6(header, bytes, 0, 60)
    parseIpv6HopByHop(header, chain, bytes)
    expect(chain).toEqual(new Ipv6Chain())
  })
})

describe('fragments', () => {
  test('the walk ends behind the header', () => {
    const { reason, header, chain } = walk(packet(44, `3c 00 0010 ffffffff ${TCP}`))
    expect(reason).toBe('none')
    expect(header).toMatchObject({
      protocol: 60,
      fragmentOffset: 16,
      moreFragments: false,
      identification: -1,
      payloadStart: START + 48,
      nextHeaderAt: START + 40,
    })
    expect([chain.fragmentAt, chain.fragmentNextHeaderAt]).toEqual([START + 40, START + 6])
  })

  test.each([
    ['the last one may have any length', '06 00 0010 00000001 00', ['none']],
    ['others are multiples of 8 bytes', '06 00 0011 00000001 00', ['fragment-length', 0, 4, false]],
    ['65,535 bytes of payload fit', '06 00 fff8 00000001 00000000000000', ['none']],
    ['65,536 do not', '06 00 fff8 00000001 0000000000000000', ['fragment-too-big', 0, 42, false]],
  ])('%s', (_name, rest, expected) => {
    expect(verdict(44, rest)).toEqual(expected)
  })

  test('extension headers in front count in the size of the whole', () => {
    const options = '2c 00 01 04 00000000'
    expect(verdict(60, `${options} 06 00 fff0 00000001 00000000000000`)).toEqual(['none'])
    expect(verdict(60, `${options} 06 00 fff0 00000001 0000000000000000`)).toEqual(['fragment-too-big', 0, 50, false])
  })

  test('the first one holds all headers (RFC 7112)', () => {
    const first = (next: string, payload: string): unknown[] => verdict(44, `${next} 00 0001 00000001 ${payload}`)
    const incomplete = ['fragment-truncated', 3, 0, false]
    expect(first('06', '00'.repeat(24))).toEqual(['none'])
    expect(first('06', '00'.repeat(16))).toEqual(incomplete)
    expect(first('11', '00'.repeat(8))).toEqual(['none'])
    expect(first('11', '')).toEqual(incomplete)
    expect(first('3a', '00'.repeat(8))).toEqual(['none'])
    expect(first('84', '')).toEqual(incomplete)
    expect(first('84', '00'.repeat(8))).toEqual(['none'])
    expect(first('3b', '')).toEqual(['none'])
    expect(first('3c', '11 00 0104 00000000')).toEqual(incomplete)
    expect(first('3c', '11 02 0104 00000000')).toEqual(incomplete)
    expect(first('3c', '11 00 0104 00000000 0000000000000000')).toEqual(['none'])
    expect(first('3c', '3c 00 0104 00000000'.repeat(20))).toEqual(['none'])
  })
})

describe('emitting extension headers', () => {
  test('a fragment header, put into a packet', () => {
    const u8 = packet(6, TCP)
    const bytes = bytesOf(Uint8Array.from([...new Uint8Array(8), ...u8]))
    const start = openIpv6Gap(bytes, 8, 48, 8)
    expect(start).toBe(0)
    bytes.u8[start + 6] = IpProtocol.Fragment
    bytes.u8.fill(0xee, 40, 48)
    const fragment = Object.assign(new IpHeader(), { fragmentOffset: 8, moreFragments: true, identification: -2 })
    expect(emitIpv6Fragment(fragment, bytes, 40, 6)).toBe(8)
    expect(toHex(bytes.u8.slice(0, 48))).toBe(
      toHex(hex(`6ab12345 001c 2c40 ${SOURCE} ${DESTINATION} 06 00 0009 fffffffe`)),
    )
  })

  test('a router alert', () => {
    const bytes = bytesOf(new Uint8Array(8).fill(0xee))
    expect(emitIpv6RouterAlert(bytes, 0, 58, 0)).toBe(8)
    expect(toHex(bytes.u8)).toBe('3a00050200000100')
  })

  test('the length counts extension headers, and the first of them is named', () => {
    const bytes = bytesOf(new Uint8Array(40))
    const header = Object.assign(new IpHeader(), { protocol: 58, source: ip('fd09::1'), destination: ip('fd09::2') })
    emitIpv6(header, bytes, 0, 300, 0)
    expect(toHex(bytes.u8.slice(0, 8))).toBe('60000000012c0040')
  })
})
