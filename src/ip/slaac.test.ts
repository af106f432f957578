import { describe, expect, test } from 'vitest'
import { ip } from '../wire/address.ts'
import { interfaceInfo } from './interface-info.ts'
import type { RouterAdvertisementOptions } from './router-advertiser.ts'
import type { IpSettings } from './settings.ts'
import { eui64Address, stableAddress } from './slaac.ts'
import { fromHex, hex, ipv6Packet, net, TestNet } from './testing.ts'

const RS = 133
const RA = 134

/** Host a and router r, which advertises 2001:db8::/64 unless told otherwise. */
const network = (advertised: RouterAdvertisementOptions | null = {}, settings: Partial<IpSettings> = {}) => {
  const lab = new TestNet()
  const a = lab.host6('a', settings)
  const r = lab.router('r', { disable_ipv6: 0 })
  const cable = lab.connect(a, 'eth0', r, 'eth0')
  r.add('eth0', '2001:db8::ff/64')
  const wire = lab.sniff(cable.a)
  const prefixes = [{ prefix: net('2001:db8::/64') }]
  if (advertised !== null) r.iface('eth0').ndp.advertise({ prefixes, ...advertised })
  const addresses = (): string[] => a.iface('eth0').addresses.map(({ address }) => `${address}`)
  const routes = (): string[] =>
    a.routes
      .list(6)
      .map(({ destination, gateway, protocol, expiresIn }) => `${destination} ${gateway} ${protocol} ${expiresIn}`)
  return { lab, a, r, cable, wire, addresses, routes }
}

/** A router advertisement from fe80::ff, made by hand. */
const advertisement = (text: string): Uint8Array =>
  ipv6Packet({ from: 'fe80::ff', to: 'ff02::1', nextHeader: 58, hopLimit: 255, payload: fromHex(text) })

/** A prefix information option for 2001:db8:1::/64. */
const prefixOption = (flags: string, valid: number, preferred: number): string =>
  `0304 40${flags} ${valid.toString(16).padStart(8, '0')} ${preferred.toString(16).padStart(8, '0')} 00000000 20010db8000100000000000000000000`

describe('a host on a link with a router', () => {
  test('gets a prefix, an address and a default route, and reaches the world beyond', () => {
    const { lab, a, r, cable, addresses, routes } = network()
    const far = lab.host6('far', { accept_ra: 0 })
    lab.connect(r, 'eth1', far, 'eth0')
    r.add('eth1', '2001:db8:9::1/64')
    far.add('eth0', '2001:db8:9::2/64')
    lab.run(2500)
    far.route('::/0', '2001:db8:9::1')
    lab.run(17_500)
    expect(addresses()).toEqual(['fe80::ff:fe00:1', '2001:db8::ff:fe00:1'])
    expect(interfaceInfo(a.iface('eth0')).addresses[1]).toMatchObject({
      flags: ['dynamic', 'noprefixroute'],
      protocol: 'kernel_ra',
      scope: 'global',
    })
    const router = `${r.iface('eth0').linkLocal}`
    const expected = [
      expect.stringMatching(`default ${router} ra 1[78]\\d\\d`),
      expect.stringMatching('2001:db8::/64 null kernel 25[89]'),
    ]
    expect(routes().filter((line) => !line.startsWith('fe80'))).toEqual(expected)
    expect(a.nd.list().find(({ address }) => address === router)).toMatchObject({ router: true })
    const { events } = a.ping('2001:db8:9::2')
    lab.run(10)
    expect(events).toMatchObject([{ kind: 'reply', hopLimit: 63 }])
    expect(cable.a.carrier).toBe(true)
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('asks when its address is ready, and is answered within half a second', () => {
    const { lab, r, wire } = network(null)
    lab.run(500)
    r.iface('eth0').ndp.advertise({ prefixes: [{ prefix: net('2001:db8::/64') }] })
    lab.run(4000)
    const [ask] = wire.icmpv6(RS)
    const packet = ask!.bytes.subarray(14)
    expect(hex(packet.subarray(8, 40))).toBe('fe80000000000000000000fffe000001ff020000000000000000000000000002')
    expect(hex(packet.subarray(44))).toBe('000000000101020000000001')
    const answer = wire.icmpv6(RA).find(({ time }) => time >= ask!.time)
    expect(answer!.time - ask!.time).toBeLessThanOrEqual(3_500_000)
    expect(wire.icmpv6(RS).length).toBe(1)
  })

  test('without a router it asks less and less often', () => {
    const { lab, wire } = network(null)
    lab.run(200_000)
    const times = wire.icmpv6(RS).map(({ time }) => time)
    const gaps = times.slice(1).map((time, i) => (time - times[i]!) / 1e6)
    // 4 s with a tenth either way, then about twice as long each time.
    expect(gaps[0]).toBeGreaterThan(3.6)
    expect(gaps[0]).toBeLessThan(4.4)
    for (let i = 1; i < gaps.length; i++) {
      expect(gaps[i]! / gaps[i - 1]!).toBeGreaterThan(1.89)
      expect(gaps[i]! / gaps[i - 1]!).toBeLessThan(2.11)
    }
    expect(gaps.length).toBe(5)
  })

  test('router_solicitations bounds how often it asks', () => {
    const { lab, wire } = network(null, { router_solicitations: 2 })
    lab.run(200_000)
    expect(wire.icmpv6(RS).length).toBe(2)
  })

  test('takes hop limit, MTU, timers and name servers from the router', () => {
    const { lab, a, wire } = network({
      hopLimit: 99,
      mtu: 1400,
      reachableTime: 10_000,
      retransmitTimer: 500,
      otherConfig: true,
      dnsServers: [ip('2001:db8::53')],
    })
    lab.run(20_000)
    const eth0 = a.iface('eth0')
    expect([eth0.ndp.hopLimit, eth0.ndp.mtu, eth0.mtu, eth0.ndp.isOtherConfig, eth0.ndp.isManaged]).toEqual([
      99,
      1400,
      1500,
      true,
      false,
    ])
    expect([eth0.timing(6).baseReachable, eth0.timing(6).retrans]).toEqual([10e6, 0.5e6])
    expect(eth0.ndp.dnsServers.map(({ address }) => `${address}`)).toEqual(['2001:db8::53'])
    wire.clear()
    a.ping('2600::1')
    lab.run(10)
    expect(wire.icmpv6(128).map(({ bytes }) => bytes[14 + 7])).toEqual([99])
    const way = a.resolve(ip('2600::1'))
    expect(typeof way !== 'number' && way.mtu).toBe(1400)
  })

  test('a router that stops says so: the default route goes, the address stays', () => {
    const { lab, r, addresses, routes } = network()
    lab.run(20_000)
    r.iface('eth0').ndp.stopAdvertising()
    lab.run(10)
    expect(routes().some((line) => line.startsWith('default'))).toBe(false)
    expect(addresses().length).toBe(2)
  })

  test('a router that vanishes: its routes go when their time is up, the address is deprecated and goes', () => {
    const { lab, a, r, cable, addresses, routes } = network({
      lifetime: 100,
      prefixes: [{ prefix: net('2001:db8::/64'), validLifetime: 300, preferredLifetime: 200 }],
    })
    lab.run(20_000)
    cable.bToA.filter = () => 'drop'
    lab.run(101_000)
    expect(routes().some((line) => line.startsWith('default'))).toBe(false)
    expect(a.iface('eth0').addresses[1]!.isDeprecated).toBe(false)
    lab.run(100_000)
    expect(a.iface('eth0').addresses[1]!.isDeprecated).toBe(true)
    lab.run(100_000)
    expect([addresses(), routes().length]).toEqual([['fe80::ff:fe00:1'], 1])
    expect(r.iface('eth0').ndp.advertiser).not.toBeNull()
  })

  test('accept_ra: not with 0, nor with 1 when it forwards; with 2 even then', () => {
    for (const [settings, count] of [
      [{ accept_ra: 0 }, 1],
      [{ accept_ra: 1, ipv6_forwarding: 1 }, 1],
      [{ accept_ra: 2, ipv6_forwarding: 1 }, 2],
    ] as const) {
      const { lab, addresses } = network({}, settings)
      lab.run(20_000)
      expect(addresses().length).toBe(count)
    }
  })

  test('routes through the router, as far as accept_ra_rt_info_max_plen allows', () => {
    for (const [accept_ra_rt_info_max_plen, count] of [
      [0, 0],
      [64, 1],
    ] as const) {
      const { lab, routes } = network({ routes: [{ prefix: net('2001:db8:f::/48') }] }, { accept_ra_rt_info_max_plen })
      lab.run(20_000)
      expect(routes().filter((line) => line.startsWith('2001:db8:f::/48')).length).toBe(count)
    }
  })
})

describe('advertisements made by hand', () => {
  const host = (settings: Partial<IpSettings> = {}) => {
    const made = network(null, settings)
    made.lab.run(5000)
    const give = (options: string, lifetime = '0708'): void => {
      made.a.receive('eth0', advertisement(`8600 0000 4000${lifetime} 00000000 00000000 ${options}`), 0x3333_0000_0001)
      made.lab.run(3000)
    }
    const slaac = () => interfaceInfo(made.a.iface('eth0')).addresses.filter(({ protocol }) => protocol === 'kernel_ra')
    return { ...made, give, slaac }
  }

  test('lifetimes: two hours are the least to which an advertisement can cut them', () => {
    const { lab, give, slaac } = host()
    give(prefixOption('c0', 20_000, 10_000))
    expect(slaac()).toMatchObject([{ address: '2001:db8:1::ff:fe00:1', validFor: 19_997, preferredFor: 9997 }])
    give(prefixOption('c0', 600, 500))
    expect(slaac()).toMatchObject([{ validFor: 7197, preferredFor: 497 }])
    give(prefixOption('c0', 100, 100))
    expect(slaac()).toMatchObject([{ validFor: 7194, preferredFor: 97 }])
    give(prefixOption('c0', 9000, 8000))
    expect(slaac()).toMatchObject([{ validFor: 8997, preferredFor: 7997 }])
    give(prefixOption('c0', 0xffff_ffff, 0xffff_ffff))
    expect(slaac()).toMatchObject([{ validFor: null, preferredFor: null }])
    lab.run(9_000_000)
    expect(slaac().length).toBe(1)
  })

  test('each advertisement renews the default route; another preference replaces it, no lifetime ends it', () => {
    const { a, give, lab } = host()
    const defaults = () =>
      a.routes
        .list(6)
        .filter(({ destination }) => destination === 'default')
        .map(({ expiresIn, preference }) => [expiresIn, preference])
    give('', '0064')
    expect(defaults()).toEqual([[97, 'medium']])
    lab.run(50_000)
    give('', '0064')
    expect(defaults()).toEqual([[97, 'medium']])
    a.receive('eth0', advertisement('8600 0000 40080064 00000000 00000000'), 0x3333_0000_0001)
    expect(defaults()).toEqual([[100, 'high']])
    give('', '0000')
    expect(defaults()).toEqual([])
  })

  test('prefixes that give no address: not autonomous, of another length, link-local, contradictory, or expired', () => {
    const { give, slaac, routes } = host()
    give(prefixOption('80', 1000, 1000))
    give(prefixOption('c0', 1000, 1000).replace('0304 40', '0304 38'))
    give(prefixOption('c0', 1000, 1000).replace('20010db8', 'fe800000'))
    give(prefixOption('c0', 1000, 2000))
    give(prefixOption('40', 0, 0))
    expect(slaac()).toEqual([])
    // The first two are on the link, though.
    const onLink = routes().filter((line) => line.includes('2001:db8:1') || line.includes('/56'))
    expect(onLink.map((line) => line.split(' ')[0])).toEqual(['2001:db8:1::/56', '2001:db8:1::/64'])
    give(prefixOption('80', 0, 0))
    expect(routes().some((line) => line.startsWith('2001:db8:1::/64'))).toBe(false)
  })

  test('autoconf 0, and no more addresses than max_addresses', () => {
    const off = host({ autoconf: 0 })
    off.give(prefixOption('c0', 1000, 1000))
    expect(off.slaac()).toEqual([])
    const few = host({ ipv6_max_addresses: 2 })
    for (const n of [1, 2, 3]) few.give(prefixOption('c0', 1000, 1000).replace('20010db80001', `20010db8000${n}`))
    expect(few.slaac().map(({ address }) => address)).toEqual(['2001:db8:1::ff:fe00:1', '2001:db8:2::ff:fe00:1'])
  })

  test('a SLAAC address that is taken goes', () => {
    const { lab, r, give, slaac } = host()
    r.add('eth0', '2001:db8:1::ff:fe00:1/64')
    lab.run(3000)
    give(prefixOption('c0', 1000, 1000))
    expect(slaac()).toEqual([])
  })

  test('stable and opaque identifiers: the same each time, others elsewhere, another when one is taken', () => {
    const { lab, r, give, slaac } = host({ addr_gen_mode: 2 })
    give(prefixOption('c0', 1000, 1000))
    const [first] = slaac()
    expect(first!.flags).toContain('stable-privacy')
    expect(first!.address).not.toContain('ff:fe')
    const again = host({ addr_gen_mode: 2 })
    again.give(prefixOption('c0', 1000, 1000))
    expect(again.slaac()[0]!.address).toBe(first!.address)
    const taken = host({ addr_gen_mode: 2 })
    taken.r.add('eth0', `${first!.address}/64`)
    taken.lab.run(3000)
    taken.give(prefixOption('c0', 1000, 1000))
    taken.lab.run(3000)
    expect(taken.slaac().length).toBe(1)
    expect(taken.slaac()[0]!.address).not.toBe(first!.address)
    expect(r.addInterface).toBeDefined()
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('an advertisement that does not come from a link-local address is none', () => {
    const { a } = host()
    const payload = fromHex('8600 0000 40000708 00000000 00000000')
    a.receive(
      'eth0',
      ipv6Packet({ from: '2001:db8::ff', to: 'ff02::1', nextHeader: 58, hopLimit: 255, payload }),
      0x3333_0000_0001,
    )
    expect(a.drops).toMatchObject({ 'ndp-source': 1 })
  })
})

describe('the router', () => {
  test('advertises three times soon, then every 200 to 600 s, byte for byte', () => {
    const { lab, wire } = network(
      { prefixes: [{ prefix: net('2001:db8::/64'), validLifetime: 7200, preferredLifetime: 3600 }] },
      { accept_ra: 0 },
    )
    lab.run(3_600_000)
    const seen = wire.icmpv6(RA)
    const gaps = seen.slice(1).map(({ time }, i) => (time - seen[i]!.time) / 1e6)
    expect(gaps.slice(0, 3)).toEqual([16, 16, 16])
    for (const gap of gaps.slice(3)) {
      expect(gap).toBeGreaterThanOrEqual(200)
      expect(gap).toBeLessThan(600)
    }
    const packet = seen[0]!.bytes.subarray(14)
    expect([packet[7], hex(packet.subarray(24, 40))]).toEqual([255, 'ff020000000000000000000000000001'])
    expect(hex(packet.subarray(44))).toBe(
      '40000708' +
        '00000000' +
        '00000000' +
        '0101020000000002' +
        '030440c000001c2000000e100000000020010db8000000000000000000000000',
    )
  })

  test('redirects a host to the better router, and the host follows', () => {
    const lab = new TestNet()
    const a = lab.host6('a', { accept_ra: 0 })
    const r1 = lab.router('r1', { disable_ipv6: 0 })
    const r2 = lab.router('r2', { disable_ipv6: 0 })
    const far = lab.host6('far', { accept_ra: 0 })
    lab.lan(a, r1, r2)
    lab.connect(r2, 'eth1', far, 'eth0')
    a.add('eth0', '2001:db8::1/64')
    r1.add('eth0', '2001:db8::a/64')
    r2.add('eth0', '2001:db8::b/64')
    r2.add('eth1', '2001:db8:9::1/64')
    far.add('eth0', '2001:db8:9::2/64')
    lab.run(5000)
    const linkLocal = (host: typeof a): string => `${host.iface('eth0').linkLocal}`
    a.route('::/0', linkLocal(r1), { interface: a.iface('eth0') })
    r1.route('2001:db8:9::/64', linkLocal(r2), { interface: r1.iface('eth0') })
    far.route('::/0', '2001:db8:9::1')
    const { events } = a.ping('2001:db8:9::2')
    lab.run(100)
    expect(events.map(({ kind }) => kind)).toEqual(['reply'])
    expect([r1.mib.icmp6.OutRedirects, a.mib.icmp6.InRedirects]).toEqual([1, 1])
    const way = a.resolve(ip('2001:db8:9::2'))
    expect(typeof way !== 'number' && `${way.gateway}`).toBe(linkLocal(r2))
    a.ping('2001:db8:9::2')
    lab.run(100)
    expect(r1.mib.ip6.OutForwDatagrams).toBe(1)
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test("sends packet too big with the next link's MTU, and the host then fragments", () => {
    const lab = new TestNet()
    const a = lab.host6('a', { accept_ra: 0 })
    const r = lab.router('r', { disable_ipv6: 0 })
    const b = lab.host6('b', { accept_ra: 0 })
    lab.connect(a, 'eth0', r, 'west')
    lab.connect(r, 'east', b, 'eth0', { mtu: 1280 })
    a.add('eth0', '2001:db8:1::1/64')
    r.add('west', '2001:db8:1::ff/64')
    r.add('east', '2001:db8:2::ff/64')
    b.add('eth0', '2001:db8:2::1/64')
    lab.run(5000)
    a.route('::/0', '2001:db8:1::ff')
    b.route('::/0', '2001:db8:2::ff')
    const { events } = a.ping('2001:db8:2::1', { size: 1400 })
    lab.run(100)
    expect(events).toMatchObject([{ kind: 'error', type: 2, code: 0, mtu: 1280, from: ip('2001:db8:1::ff') }])
    expect([r.mib.ip6.InTooBigErrors, r.mib.icmp6.OutPktTooBigs]).toEqual([1, 1])
    const second = a.ping('2001:db8:2::1', { size: 1400 })
    lab.run(100)
    expect(second.events).toMatchObject([{ kind: 'reply', bytes: 1408 }])
    expect([a.mib.ip6.FragCreates, b.mib.ip6.ReasmOKs]).toEqual([2, 1])
    // The reply is larger than the host's own link, and fragmented there.
    expect(b.mib.ip6.FragCreates).toBe(2)
  })

  test('hop limit, no route, and what is local to a link', () => {
    const lab = new TestNet()
    const a = lab.host6('a', { accept_ra: 0 })
    const r = lab.router('r', { disable_ipv6: 0 })
    lab.connect(a, 'eth0', r, 'west')
    a.add('eth0', '2001:db8:1::1/64')
    r.add('west', '2001:db8:1::ff/64')
    lab.run(5000)
    a.route('::/0', '2001:db8:1::ff')
    r.route('2001:db8:2::/64', '2001:db8:1::77')
    r.route('2001:db8:3::/64', null, { type: 'prohibit' })
    const outcomes = [
      a.ping('2001:db8:2::1', { hopLimit: 1 }),
      a.ping('2600::1'),
      a.ping('2001:db8:3::1'),
      a.ping('2600::1', { source: a.iface('eth0').linkLocal! }),
    ]
    lab.run(100)
    expect(
      outcomes.map(({ events }) => events.map((event) => event.kind === 'error' && [event.type, event.code])),
    ).toEqual([[[3, 0]], [[1, 0]], [[1, 1]], [[1, 2]]])
    expect(r.drops).toMatchObject({ 'ip-ttl-expired': 1, 'ip-no-route': 1, 'ip-administrative': 1, 'ip-scope': 1 })
  })
})

test('interface identifiers', () => {
  expect(`${eui64Address(ip('fe80::'), 0x0011_2233_4455)}`).toBe('fe80::211:22ff:fe33:4455')
  expect(`${eui64Address(ip('2001:db8::'), 0x02ff_0000_0001)}`).toBe('2001:db8::ff:ff:fe00:1')
  const key = [1, 2, 3, 4]
  const made = stableAddress(ip('2001:db8::'), key, 2, 0)
  expect([made.w0, made.w1]).toEqual([0x2001_0db8, 0])
  expect(stableAddress(ip('2001:db8::'), key, 2, 0).equals(made)).toBe(true)
  const others = [
    stableAddress(ip('2001:db9::'), key, 2, 0),
    stableAddress(ip('2001:db8::'), [1, 2, 3, 5], 2, 0),
    stableAddress(ip('2001:db8::'), key, 3, 0),
    stableAddress(ip('2001:db8::'), key, 2, 1),
  ]
  for (const other of others) expect([other.w2, other.w3]).not.toEqual([made.w2, made.w3])
})
