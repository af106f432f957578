import { describe, expect, test } from 'vitest'
import { ip } from '../wire/address.ts'
import { Scope } from './route.ts'
import { ipv6Scope, policyLabel, selectIpv4Source, selectIpv6Source } from './select.ts'
import { type TestHost, TestNet } from './testing.ts'

const host = (...addresses: readonly (readonly [iface: string, prefix: string, options?: object])[]): TestHost => {
  const lab = new TestNet()
  const a = lab.host6('a', { dad_transmits: 0, addr_gen_mode: 1 })
  const b = lab.host('b')
  lab.connect(a, 'eth0', b, 'eth0')
  lab.connect(a, 'eth1', b, 'eth1')
  for (const [iface, prefix, options] of addresses) a.add(iface, prefix, options)
  return a
}

const source6 = (a: TestHost, to: string, iface = 'eth0'): string => `${selectIpv6Source(a, a.iface(iface), ip(to))}`

describe('IPv6, by the rules of RFC 6724 section 5 in their order', () => {
  test.each([
    ['rule 1: the destination itself', ['2001:db8::1/64', '2001:db8::2/64'], '2001:db8::2', '2001:db8::2'],
    ['rule 2: a scope that reaches', ['fe80::1/64', '2001:db8::1/64'], '2600::1', '2001:db8::1'],
    ['rule 2: no larger a scope than needed', ['2001:db8::1/64', 'fe80::1/64'], 'fe80::99', 'fe80::1'],
    ['rule 2: for a group of the link', ['2001:db8::1/64', 'fe80::1/64'], 'ff02::1', 'fe80::1'],
    ['rule 2: for a group of the site', ['fe80::1/64', '2001:db8::1/64'], 'ff05::1', '2001:db8::1'],
    ['rule 6: 6to4 to 6to4', ['2001:db8::1/64', '2002:c633:6401::1/48'], '2002:c633:6401::9', '2002:c633:6401::1'],
    ['rule 6: unique local to unique local', ['2001:db8::1/64', 'fd00:1::1/64'], 'fd00:2::9', 'fd00:1::1'],
    ['rule 6: global to global', ['fd00:1::1/64', '2001:db8::1/64'], '2600::1', '2001:db8::1'],
    ['rule 8: the longest common prefix', ['2001:db8:1::1/64', '2001:db8:3::1/64'], '2001:db8:2::9', '2001:db8:3::1'],
    ['rule 8: only as far as its own prefix', ['2001:db8::1/64', '2001:db8::ff/64'], '2001:db8::fe', '2001:db8::1'],
  ])('%s', (_, addresses, to, expected) => {
    const a = host(...addresses.map((prefix) => ['eth0', prefix] as const))
    expect(source6(a, to)).toBe(expected)
  })

  test('rule 3: not a deprecated one', () => {
    const a = host(['eth0', '2001:db8::1/64', { preferredLifetime: 0 }], ['eth0', '2001:db9::1/64'])
    expect(source6(a, '2001:db8::9')).toBe('2001:db9::1')
  })

  test('rule 5: one of the interface through which it leaves', () => {
    const a = host(['eth0', '2001:db8::1/64'], ['eth1', '2001:db8::2/64'])
    expect([source6(a, '2600::1', 'eth0'), source6(a, '2600::1', 'eth1')]).toEqual(['2001:db8::1', '2001:db8::2'])
  })

  test('for link-local destinations only addresses of that link', () => {
    const a = host(['eth1', 'fe80::2/64'], ['eth0', '2001:db8::1/64'])
    expect(source6(a, 'fe80::9', 'eth0')).toBe('2001:db8::1')
  })

  test('none that is being checked', () => {
    const lab = new TestNet()
    const a = lab.host6('a', { addr_gen_mode: 1 })
    const b = lab.host('b')
    lab.connect(a, 'eth0', b, 'eth0')
    a.add('eth0', '2001:db8::1/64')
    expect(source6(a, '2600::1')).toBe('::')
    lab.run(3000)
    expect(source6(a, '2600::1')).toBe('2001:db8::1')
  })
})

test('scopes and labels', () => {
  const scopes = ['ff01::1', 'ff02::1', 'ff05::1', 'ff0e::1', '::1', 'fe80::1', 'fec0::1', 'fd00::1', '2001:db8::1']
  expect(scopes.map((text) => ipv6Scope(ip(text)))).toEqual([1, 2, 5, 14, 2, 2, 5, 14, 14])
  const labels = ['::1', '2600::1', '10.0.0.1', '2002::1', '2001::1', 'fd00::1', 'fec0::1', '3ffe::1', '::1:2:3']
  expect(labels.map((text) => policyLabel(ip(text)))).toEqual([0, 1, 4, 2, 5, 13, 11, 12, 1])
})

describe('IPv4, as Linux does it', () => {
  const source4 = (a: TestHost, nextHop: string | null, scope: number = Scope.Global): string =>
    `${selectIpv4Source(a, a.iface('eth0'), nextHop === null ? null : ip(nextHop), scope)}`

  test("a primary address in the next hop's subnet, else the first", () => {
    const a = host(['eth0', '10.0.0.1/24'], ['eth0', '10.0.0.5/24'], ['eth0', '10.2.0.1/24'])
    expect([source4(a, '10.2.0.9'), source4(a, '10.0.0.9'), source4(a, '8.8.8.8'), source4(a, null)]).toEqual([
      '10.2.0.1',
      '10.0.0.1',
      '10.0.0.1',
      '10.0.0.1',
    ])
  })

  test('one of another interface when this one has none, but no loopback address', () => {
    const a = host(['eth1', '10.1.0.1/24'])
    expect(source4(a, '10.0.0.9')).toBe('10.1.0.1')
    const b = host()
    expect(source4(b, '10.0.0.9')).toBe('0.0.0.0')
  })

  test('an address of link scope is for the link alone', () => {
    const a = host(['eth0', '10.0.0.1/24', { scope: Scope.Link }], ['eth0', '10.2.0.1/24'])
    expect([source4(a, '10.0.0.9'), source4(a, '10.0.0.9', Scope.Link)]).toEqual(['10.2.0.1', '10.0.0.1'])
  })
})
