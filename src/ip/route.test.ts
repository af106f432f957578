import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Errno } from '../core/errno.ts'
import { ip, ipv4, networkOf, samePrefix } from '../wire/address.ts'
import { interfaceInfo } from './interface-info.ts'
import { RouterPreference } from './route.ts'
import { net, type TestHost, TestNet } from './testing.ts'

/** Host a with 10.0.0.1/24 on eth0 and 10.1.0.1/24 on eth1. */
const host = (settings = {}) => {
  const lab = new TestNet()
  const a = lab.host('a', settings)
  const b = lab.host('b')
  const cable0 = lab.connect(a, 'eth0', b, 'eth0')
  lab.connect(a, 'eth1', b, 'eth1')
  a.add('eth0', '10.0.0.1/24')
  a.add('eth1', '10.1.0.1/24')
  return { lab, a, cable0 }
}

/** `ADDRESS via GATEWAY dev INTERFACE src SOURCE`, or the error number. */
const way = (a: TestHost, to: string, from: string | null = null, iface: string | null = null): string => {
  const result = a.resolve(ip(to), from === null ? null : ip(from), iface === null ? null : a.iface(iface))
  if (typeof result === 'number') return Object.entries(Errno).find(([, errno]) => errno === -result)![0]
  const { kind, gateway, interface: out, source } = result
  return `${kind}${gateway === null ? '' : ` via ${gateway}`} dev ${out.name} src ${source}`
}

const lines = (a: TestHost, family: 4 | 6, table: 'main' | 'local' = 'main'): string[] =>
  a.routes.list(family, table).map((route) => {
    const type = route.type === 'unicast' ? '' : `${route.type} `
    const via = route.gateway === null ? '' : ` via ${route.gateway}`
    const dev = route.interface === null ? '' : ` dev ${route.interface}`
    const source = route.source === null ? '' : ` src ${route.source}`
    const metric = route.metric === 0 ? '' : ` metric ${route.metric}`
    return `${type}${route.destination}${via}${dev} proto ${route.protocol} scope ${route.scope}${source}${metric}`
  })

describe('what comes and goes with addresses', () => {
  test('connected, local and broadcast routes, as ip route lists them', () => {
    const { a } = host()
    expect(lines(a, 4)).toEqual([
      '10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1',
      '10.1.0.0/24 dev eth1 proto kernel scope link src 10.1.0.1',
    ])
    expect(lines(a, 4, 'local')).toEqual([
      'local 10.0.0.1 dev eth0 proto kernel scope host src 10.0.0.1',
      'broadcast 10.0.0.255 dev eth0 proto kernel scope link src 10.0.0.1',
      'local 10.1.0.1 dev eth1 proto kernel scope host src 10.1.0.1',
      'broadcast 10.1.0.255 dev eth1 proto kernel scope link src 10.1.0.1',
      'local 127.0.0.0/8 dev lo proto kernel scope host src 127.0.0.1',
      'local 127.0.0.1 dev lo proto kernel scope host src 127.0.0.1',
      'broadcast 127.255.255.255 dev lo proto kernel scope link src 127.0.0.1',
    ])
    a.iface('eth0').removeAddress(ip('10.0.0.1'))
    expect(lines(a, 4)).toEqual(['10.1.0.0/24 dev eth1 proto kernel scope link src 10.1.0.1'])
    expect(lines(a, 4, 'local').filter((line) => line.includes('10.0.'))).toEqual([])
  })

  test('a second address of a subnet is secondary and goes with the first, or is promoted', () => {
    for (const promote_secondaries of [0, 1]) {
      const { a } = host({ promote_secondaries })
      a.add('eth0', '10.0.0.7/24')
      expect(lines(a, 4)[0]).toBe('10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1')
      a.iface('eth0').removeAddress(ip('10.0.0.1'))
      expect(a.iface('eth0').addresses.map(({ address }) => `${address}`)).toEqual(
        promote_secondaries === 1 ? ['10.0.0.7'] : [],
      )
      expect(lines(a, 4)[0]).toBe(
        promote_secondaries === 1
          ? '10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.7'
          : '10.1.0.0/24 dev eth1 proto kernel scope link src 10.1.0.1',
      )
      const local = lines(a, 4, 'local').filter((line) => line.includes('10.0.0.'))
      expect(local).toEqual(
        promote_secondaries === 1
          ? [
              'local 10.0.0.7 dev eth0 proto kernel scope host src 10.0.0.7',
              'broadcast 10.0.0.255 dev eth0 proto kernel scope link src 10.0.0.7',
            ]
          : [],
      )
    }
  })

  test('down takes all but the local routes; up brings back what addresses give', () => {
    const { a } = host()
    a.route('0.0.0.0/0', '10.0.0.2')
    a.iface('eth0').setUp(false)
    expect(lines(a, 4)).toEqual(['10.1.0.0/24 dev eth1 proto kernel scope link src 10.1.0.1'])
    expect(lines(a, 4, 'local')[0]).toBe('local 10.0.0.1 dev eth0 proto kernel scope host src 10.0.0.1')
    expect(way(a, '10.0.0.1')).toBe('local dev lo src 10.0.0.1')
    a.iface('eth0').setUp(true)
    expect(lines(a, 4)).toEqual([
      '10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1',
      '10.1.0.0/24 dev eth1 proto kernel scope link src 10.1.0.1',
    ])
    expect(lines(a, 4, 'local').length).toBe(7)
  })

  test('a carrier lost leaves the routes, marked', () => {
    const { a, cable0 } = host()
    cable0.setDown()
    expect(a.routes.list(4).map(({ interface: name, linkDown }) => [name, linkDown])).toEqual([
      ['eth0', true],
      ['eth1', false],
    ])
  })

  test('prefixes of 31 and 32 bits have no broadcast address, noPrefixRoute no route', () => {
    const { a } = host()
    a.add('eth0', '10.5.0.0/31')
    a.add('eth0', '10.6.0.1/32')
    a.add('eth0', '10.7.0.1/24', { noPrefixRoute: true })
    const added = [...lines(a, 4), ...lines(a, 4, 'local')].filter((line) => /10\.[567]\./.test(line))
    expect(added).toEqual([
      '10.5.0.0/31 dev eth0 proto kernel scope link src 10.5.0.0',
      'local 10.5.0.0 dev eth0 proto kernel scope host src 10.5.0.0',
      'local 10.6.0.1 dev eth0 proto kernel scope host src 10.6.0.1',
      'local 10.7.0.1 dev eth0 proto kernel scope host src 10.7.0.1',
      'broadcast 10.7.0.255 dev eth0 proto kernel scope link src 10.7.0.1',
    ])
  })

  test('addresses that cannot be', () => {
    const { a } = host()
    const eth0 = a.iface('eth0')
    expect(eth0.addAddress(net('10.0.0.1/24'))).toBe(-Errno.EEXIST)
    for (const wrong of ['0.0.0.0/0', '224.0.0.1/24', '255.255.255.255/32', '::/64', 'ff02::1/64']) {
      expect([wrong, eth0.addAddress(net(wrong))]).toEqual([wrong, -Errno.EINVAL])
    }
    expect(eth0.addAddress(net('2001:db8::1/64'))).toBe(-Errno.EACCES)
    expect(eth0.removeAddress(ip('10.9.9.9'))).toBe(-Errno.EADDRNOTAVAIL)
  })

  test('lifetimes: deprecated, then gone, with everything that hung on it', () => {
    const { lab, a } = host()
    const entry = a.add('eth0', '10.9.0.1/24', { preferredLifetime: 10, validLifetime: 20 })
    lab.run(9999)
    expect(entry.isDeprecated).toBe(false)
    lab.run(2)
    expect([entry.isDeprecated, a.isLocal(entry.address)]).toEqual([true, true])
    expect(interfaceInfo(a.iface('eth0')).addresses[1]).toMatchObject({
      address: '10.9.0.1',
      flags: ['dynamic', 'deprecated'],
      validFor: 10,
      preferredFor: 0,
    })
    lab.run(10_000)
    expect([a.isLocal(entry.address), way(a, '10.9.0.2')]).toEqual([false, 'ENETUNREACH'])
    expect(lab.close().timers).toBe(0)
  })
})

describe('routes set by hand', () => {
  test('the longest prefix wins, then the lowest metric', () => {
    const { a } = host()
    a.route('0.0.0.0/0', '10.0.0.2')
    a.route('172.16.0.0/12', '10.1.0.2')
    a.route('172.16.5.0/24', '10.0.0.3', { metric: 100 })
    a.route('172.16.5.0/24', '10.1.0.3', { metric: 50 })
    expect(way(a, '8.8.8.8')).toBe('unicast via 10.0.0.2 dev eth0 src 10.0.0.1')
    expect(way(a, '172.17.0.1')).toBe('unicast via 10.1.0.2 dev eth1 src 10.1.0.1')
    expect(way(a, '172.16.5.1')).toBe('unicast via 10.1.0.3 dev eth1 src 10.1.0.1')
    expect(a.routes.remove({ prefix: net('172.16.5.0/24') })).toBe(0)
    expect(way(a, '172.16.5.1')).toBe('unicast via 10.0.0.3 dev eth0 src 10.0.0.1')
    expect(a.routes.remove({ prefix: net('172.16.5.0/24'), metric: 7 })).toBe(-Errno.ESRCH)
  })

  test('routes that lead nowhere, and no route', () => {
    const { a } = host()
    a.route('192.0.2.0/26', null, { type: 'unreachable' })
    a.route('192.0.2.64/26', null, { type: 'prohibit' })
    a.route('192.0.2.128/26', null, { type: 'blackhole' })
    const seen = ['192.0.2.1', '192.0.2.65', '192.0.2.129', '192.0.2.193'].map((to) => way(a, to))
    expect(seen).toEqual(['EHOSTUNREACH', 'EACCES', 'EINVAL', 'ENETUNREACH'])
  })

  test('preferred source, per-route MTU and hop limit', () => {
    const { a } = host()
    a.route('172.16.0.0/12', '10.0.0.2', { source: ip('10.1.0.1'), mtu: 1200, hopLimit: 9 })
    expect(way(a, '172.16.0.1')).toBe('unicast via 10.0.0.2 dev eth0 src 10.1.0.1')
    const result = a.resolve(ip('172.16.0.1'))
    expect(typeof result !== 'number' && [result.mtu, result.hopLimit]).toEqual([1200, 9])
    // It goes with the address that it prefers.
    a.iface('eth1').removeAddress(ip('10.1.0.1'))
    expect(way(a, '172.16.0.1')).toBe('ENETUNREACH')
  })

  test('what cannot be added', () => {
    const { a } = host()
    const add = (prefix: string, gateway: string | null, more = {}): number =>
      a.routes.add({ prefix: net(prefix), gateway: gateway === null ? null : ip(gateway), ...more })
    expect(add('172.16.0.0/12', '192.0.2.1')).toBe(-Errno.ENETUNREACH)
    expect(add('172.16.0.0/12', '10.0.0.1')).toBe(-Errno.EINVAL)
    expect(add('172.16.0.0/12', '224.0.0.1')).toBe(-Errno.EINVAL)
    expect(add('172.16.0.1/12', '10.0.0.2')).toBe(-Errno.EINVAL)
    expect(add('172.16.0.0/12', null)).toBe(-Errno.ENODEV)
    expect(add('172.16.0.0/12', '10.0.0.2', { source: ip('10.9.9.9') })).toBe(-Errno.EINVAL)
    expect(add('172.16.0.0/12', '10.0.0.2')).toBe(0)
    expect(add('172.16.0.0/12', '10.0.0.3')).toBe(-Errno.EEXIST)
    expect(a.routes.replace({ prefix: net('172.16.0.0/12'), gateway: ip('10.0.0.3') })).toBe(0)
    expect(way(a, '172.16.0.1')).toBe('unicast via 10.0.0.3 dev eth0 src 10.0.0.1')
    // A gateway behind a gateway is none.
    expect(add('172.32.0.0/12', '172.16.0.1')).toBe(-Errno.ENETUNREACH)
    expect(add('172.32.0.0/12', '192.0.2.1', { interface: a.iface('eth1'), onLink: true })).toBe(0)
    expect(way(a, '172.32.0.1')).toBe('unicast via 192.0.2.1 dev eth1 src 10.1.0.1')
    a.iface('eth1').setUp(false)
    expect(add('172.48.0.0/12', null, { interface: a.iface('eth1') })).toBe(-Errno.ENETDOWN)
  })

  test('a route with an end goes when that comes', () => {
    const { lab, a } = host()
    a.route('172.16.0.0/12', '10.0.0.2', { expires: lab.world.loop.now + 5e6 })
    const before = a.generation
    lab.run(4999)
    expect([a.routes.list(4).length, a.generation]).toEqual([3, before])
    lab.run(2)
    expect(a.routes.list(4).length).toBe(2)
    expect(a.generation).toBeGreaterThan(before)
  })

  test('of two routers of one metric the preferred one is taken, and the other when it fails', () => {
    const lab = new TestNet()
    const a = lab.host6('a', { dad_transmits: 0 })
    const b = lab.host('b')
    lab.connect(a, 'eth0', b, 'eth0')
    a.add('eth0', '2001:db8::5/64')
    const eth0 = a.iface('eth0')
    const install = (gateway: string, preference: number): void => {
      a.routes.install({
        prefix: net('::/0'),
        gateway: ip(gateway),
        interface: eth0,
        protocol: 'ra',
        metric: 1024,
        preference,
      })
    }
    install('fe80::1', RouterPreference.Medium)
    install('fe80::2', RouterPreference.High)
    expect(way(a, '2600::1')).toBe('unicast via fe80::2 dev eth0 src 2001:db8::5')
    a.ping('2600::1', { timeout: 10_000 })
    lab.run(3100)
    expect(way(a, '2600::1')).toBe('unicast via fe80::1 dev eth0 src 2001:db8::5')
  })
})

describe('resolve', () => {
  test('the kinds of destinations', () => {
    const { a } = host()
    a.route('0.0.0.0/0', '10.0.0.2')
    expect(way(a, '10.0.0.9')).toBe('unicast dev eth0 src 10.0.0.1')
    expect(way(a, '10.1.0.255')).toBe('broadcast dev eth1 src 10.1.0.1')
    expect(way(a, '255.255.255.255')).toBe('broadcast dev eth0 src 10.0.0.1')
    expect(way(a, '255.255.255.255', null, 'eth1')).toBe('broadcast dev eth1 src 10.1.0.1')
    expect(way(a, '239.1.1.1')).toBe('multicast dev eth0 src 10.0.0.1')
    expect(way(a, '239.1.1.1', '10.1.0.1')).toBe('multicast dev eth1 src 10.1.0.1')
    expect(way(a, '10.1.0.1')).toBe('local dev lo src 10.1.0.1')
    expect(way(a, '127.0.0.5')).toBe('local dev lo src 127.0.0.1')
    expect(way(a, '0.0.0.0')).toBe('local dev lo src 127.0.0.1')
    expect(way(a, '0.0.0.0', '10.1.0.1')).toBe('local dev lo src 10.1.0.1')
  })

  test("a source must be this host's, and 127.0.0.1 stays inside", () => {
    const { a } = host()
    expect(way(a, '10.0.0.9', '10.1.0.1')).toBe('unicast dev eth0 src 10.1.0.1')
    expect(way(a, '10.0.0.9', '0.0.0.0')).toBe('unicast dev eth0 src 10.0.0.1')
    expect(way(a, '10.0.0.9', '10.9.9.9')).toBe('EINVAL')
    expect(way(a, '10.0.0.9', '224.0.0.1')).toBe('EINVAL')
    expect(way(a, '10.0.0.9', '127.0.0.1')).toBe('EINVAL')
    expect(way(a, '10.0.0.9', '::1')).toBe('EINVAL')
  })

  test('through an interface: only its routes, else the destination is on its link', () => {
    const { a } = host()
    a.route('172.16.0.0/12', '10.0.0.2')
    expect(way(a, '172.16.0.1', null, 'eth0')).toBe('unicast via 10.0.0.2 dev eth0 src 10.0.0.1')
    expect(way(a, '172.16.0.1', null, 'eth1')).toBe('unicast dev eth1 src 10.1.0.1')
    a.iface('eth1').setUp(false)
    expect(way(a, '172.16.0.1', null, 'eth1')).toBe('ENETDOWN')
  })

  test('IPv6 without an address to send from, and without a route', () => {
    const lab = new TestNet()
    const a = lab.host6('a')
    const b = lab.host('b')
    lab.connect(a, 'eth0', b, 'eth0')
    // The link-local address is still being checked.
    expect(way(a, 'ff02::1', null, 'eth0')).toBe('EADDRNOTAVAIL')
    expect(way(a, '2001:db8::1')).toBe('ENETUNREACH')
    lab.run(3000)
    expect(way(a, 'ff02::1', null, 'eth0')).toBe(`multicast dev eth0 src ${a.iface('eth0').linkLocal}`)
  })

  test("MTUs: the link's; on lo what IPv4 can fill", () => {
    const { a } = host()
    const mtus = ['10.0.0.9', '127.0.0.1', '10.0.0.1'].map((to) => {
      const result = a.resolve(ip(to))
      return typeof result === 'number' ? result : result.mtu
    })
    expect(mtus).toEqual([1500, 65_535, 65_535])
  })

  test('the same answer is the same object, until something changes', () => {
    const { a } = host()
    const first = a.resolve(ip('10.0.0.9'))
    expect(a.resolve(ip('10.0.0.9'))).toBe(first)
    expect(a.resolve(ip('10.0.0.9'), ip('10.1.0.1'))).not.toBe(first)
    a.route('172.16.0.0/12', '10.0.0.2')
    expect(a.resolve(ip('10.0.0.9'))).not.toBe(first)
    expect(typeof first !== 'number' && first.generation).not.toBe(a.generation)
  })
})

test('look-ups agree with a naive search over random tables', () => {
  const bits = fc.oneof(fc.integer(), fc.constantFrom(0x0a00_0000, 0x0a01_0000, 0x0a00_0001, -1))
  const entry = fc.record({ bits, length: fc.integer({ min: 0, max: 32 }) })
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 30 }), fc.array(bits, { maxLength: 20 }), (entries, lookups) => {
      const { a } = host()
      a.routes.removeAll((route) => route.table === 'main')
      const eth0 = a.iface('eth0')
      for (const { bits: b, length } of entries) {
        a.routes.add({ prefix: { address: networkOf(ipv4(b), length), length }, interface: eth0 })
      }
      for (const b of [...lookups, ...entries.map((e) => e.bits)]) {
        const matching = entries.filter(({ bits: p, length }) => samePrefix(ipv4(p), ipv4(b), length))
        const expected = matching.length === 0 ? -1 : Math.max(...matching.map(({ length }) => length))
        expect(a.routes.lookupMain(0, 0, 0xffff, b, null)?.length ?? -1).toBe(expected)
      }
    }),
    { numRuns: 50 },
  )
})
