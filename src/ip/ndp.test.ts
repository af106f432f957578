import { describe, expect, test } from 'vitest'
import { ip } from '../wire/address.ts'
import { interfaceInfo } from './interface-info.ts'
import type { IpSettings } from './settings.ts'
import { fromHex, hex, ipv6Packet, type Sniffer, type TestHost, TestNet } from './testing.ts'

const NS = 135
const NA = 136
const LL1 = 'fe80000000000000000000fffe000001'
const LL2 = 'fe80000000000000000000fffe000002'

const pair = (settings: Partial<IpSettings> = {}) => {
  const lab = new TestNet()
  const a = lab.host6('a', settings)
  const b = lab.host6('b', settings)
  const cable = lab.connect(a, 'eth0', b, 'eth0')
  return { lab, a, b, cable, wire: lab.sniff(cable.a) }
}

const sent = (wire: Sniffer, type: number): string[] =>
  wire
    .icmpv6(type)
    .filter(({ outgoing }) => outgoing)
    .map(({ bytes }) => hex(bytes.subarray(14)))

const stateOf = (host: TestHost, address: string): string | undefined =>
  host.nd.list().find((entry) => entry.address === address)?.state

/** Has the host a route of the interface's own to this subnet? */
const isConnected = (host: TestHost, subnet: string): boolean =>
  host.routes.list(6).some(({ destination, protocol }) => destination === subnet && protocol === 'kernel')

describe('duplicate address detection', () => {
  test('the subnet of an address that is being checked is on the link while its interface is up', () => {
    const { lab, a } = pair()
    lab.run(5000)
    const eth0 = a.iface('eth0')
    a.settings.keep_addr_on_down = 1
    a.add('eth0', '2001:db8::1/64')
    a.add('eth0', '2001:db8::2/64')
    expect(isConnected(a, '2001:db8::/64')).toBe(true)
    eth0.removeAddress(ip('2001:db8::1'))
    expect(isConnected(a, '2001:db8::/64')).toBe(true)
    eth0.setUp(false)
    expect(isConnected(a, '2001:db8::/64')).toBe(false)
    eth0.setUp(true)
    expect([eth0.findAddress(ip('2001:db8::2'))!.isTentative, isConnected(a, '2001:db8::/64')]).toEqual([true, true])
    eth0.removeAddress(ip('2001:db8::2'))
    expect(isConnected(a, '2001:db8::/64')).toBe(false)
  })

  test('the link-local address: one probe from ::, usable a second later', () => {
    const { lab, a, wire } = pair({ router_solicitations: 0 })
    const eth0 = a.iface('eth0')
    expect(eth0.addresses.map(({ address, length, isTentative }) => [`${address}`, length, isTentative])).toEqual([
      ['fe80::ff:fe00:1', 64, true],
    ])
    lab.run(2500)
    const [probe, ...more] = wire.icmpv6(NS).filter(({ outgoing }) => outgoing)
    expect(more).toEqual([])
    expect(probe!.time).toBeLessThan(1_000_000)
    const packet = probe!.bytes.subarray(14)
    // From :: to the solicited-node group, hop limit 255, about itself, with a nonce and no link-layer address.
    expect([packet[7], hex(packet.subarray(8, 40))]).toEqual([255, `${'0'.repeat(32)}ff0200000000000000000001ff000001`])
    expect(hex(packet.subarray(44, 64))).toBe(`00000000${LL1}`)
    expect([hex(packet.subarray(64, 66)), packet.length]).toEqual(['0e01', 72])
    expect(eth0.linkLocal?.toString()).toBe('fe80::ff:fe00:1')
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('a tentative address is not used and not answered for', () => {
    const { lab, a, b } = pair()
    lab.run(5000)
    b.add('eth0', '2001:db8::2/64')
    const entry = a.add('eth0', '2001:db8::1/64')
    // Its subnet is on the link at once, and spoken to from another address.
    expect([a.isLocal(entry.address), isConnected(a, '2001:db8::/64')]).toEqual([false, true])
    expect(a.resolve(ip('2001:db8::2'), null, null)).toMatchObject({ source: ip('fe80::ff:fe00:1'), kind: 'unicast' })
    lab.run(100)
    const early = b.ping('2001:db8::1', { timeout: 500 })
    lab.run(5000)
    expect(early.events.map(({ kind }) => kind)).toEqual(['timeout'])
    const { events } = b.ping('2001:db8::1')
    lab.run(10)
    expect(events.map(({ kind }) => kind)).toEqual(['reply'])
  })

  test('somebody has the address: it stays unused, with the reason to be seen', () => {
    const { lab, a, b } = pair()
    lab.run(5000)
    b.add('eth0', '2001:db8::5/64')
    lab.run(3000)
    const events: string[] = []
    a.onAddressChange = (entry, event) => events.push(`${entry.address} ${event}`)
    const entry = a.add('eth0', '2001:db8::5/64')
    lab.run(5000)
    expect(events).toEqual(['2001:db8::5 conflict'])
    expect(interfaceInfo(a.iface('eth0')).addresses[1]).toMatchObject({ flags: ['tentative', 'dadfailed'] })
    expect([entry.isUsable, a.isLocal(entry.address), b.isLocal(entry.address)]).toEqual([false, false, true])
    expect(isConnected(a, '2001:db8::/64')).toBe(true)
    a.iface('eth0').removeAddress(entry.address)
    expect(isConnected(a, '2001:db8::/64')).toBe(false)
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('two hosts ask at the same time: neither gets it', () => {
    const { lab, a, b } = pair({ router_solicitation_delay: 0 })
    lab.run(5000)
    const entries = [a, b].map((host) => host.add('eth0', '2001:db8::5/64'))
    lab.run(5000)
    expect(entries.map(({ isUsable }) => isUsable)).toEqual([false, false])
  })

  test('its own probe, come back, is known by its nonce', () => {
    const { lab, a, cable } = pair({ router_solicitation_delay: 0 })
    lab.run(5000)
    cable.aToB.filter = (frame) => {
      // A hub that reflects: the frame returns as it was sent, from somebody else's MAC address.
      const copy = lab.world.frames.copy(frame)!
      lab.world.memory.u8[copy.start + 11] = 9
      a.iface('eth0').receive(copy)
      return 'pass'
    }
    const entry = a.add('eth0', '2001:db8::5/64')
    lab.run(5000)
    expect(entry.isUsable).toBe(true)
  })

  test('dad_transmits 0 and 3', () => {
    const { lab, a, wire } = pair({ dad_transmits: 3, router_solicitations: 0 })
    lab.run(6000)
    const times = wire
      .icmpv6(NS)
      .filter(({ outgoing }) => outgoing)
      .map(({ time }) => time)
    expect(times.map((time) => time - times[0]!)).toEqual([0, 1_000_000, 2_000_000])
    a.iface('eth0').settings.dad_transmits = 0
    expect(a.add('eth0', '2001:db8::1/64').isUsable).toBe(true)
  })

  test('no link: it waits until there is one', () => {
    const { lab, a, cable } = pair()
    cable.setDown()
    lab.run(10_000)
    expect(a.iface('eth0').linkLocal).toBeNull()
    cable.setUp()
    lab.run(2500)
    expect(a.iface('eth0').linkLocal).not.toBeNull()
  })
})

describe('neighbours', () => {
  test('the exchange, byte for byte', () => {
    const { lab, a, b, wire } = pair()
    lab.run(5000)
    wire.clear()
    const { events } = a.ping('fe80::ff:fe00:2', { interface: a.iface('eth0') })
    lab.run(0)
    expect(events.map(({ kind }) => kind)).toEqual(['reply'])
    const [ask] = wire.icmpv6(NS)
    const [answer] = wire.icmpv6(NA)
    expect(hex(ask!.bytes.subarray(0, 14))).toBe('3333ff00000202000000000186dd')
    expect(hex(ask!.bytes.subarray(22, 54))).toBe(`${LL1}ff0200000000000000000001ff000002`)
    expect(hex(ask!.bytes.subarray(58))).toBe(`00000000${LL2}0101020000000001`)
    expect(hex(answer!.bytes.subarray(22, 54))).toBe(LL2 + LL1)
    // Solicited and overriding, from no router.
    expect(hex(answer!.bytes.subarray(58))).toBe(`60000000${LL2}0201020000000002`)
    expect([stateOf(a, 'fe80::ff:fe00:2'), stateOf(b, 'fe80::ff:fe00:1')]).toEqual(['REACHABLE', 'DELAY'])
    expect([a.mib.icmp6.OutNeighborSolicits, a.mib.icmp6.InNeighborAdvertisements]).toEqual([2, 1])
  })

  test('nobody answers: three solicitations, then address unreachable', () => {
    const { lab, a, wire } = pair()
    lab.run(5000)
    a.add('eth0', '2001:db8::1/64')
    lab.run(5000)
    wire.clear()
    const { events } = a.ping('2001:db8::9', { timeout: 10_000 })
    lab.run(3001)
    expect(sent(wire, NS).length).toBe(3)
    // Asked from the address that the packet bears.
    expect(sent(wire, NS)[0]!.slice(16, 48)).toBe('20010db8000000000000000000000001')
    expect(events).toMatchObject([{ kind: 'error', type: 1, code: 3, time: 3_000_000, from: ip('2001:db8::1') }])
    expect(a.drops['neighbour-unresolved']).toBe(1)
  })

  test('advertisements: with override they replace, without they cast doubt; who was not asked for is ignored', () => {
    const { lab, a } = pair()
    lab.run(5000)
    a.ping('fe80::ff:fe00:2', { interface: a.iface('eth0') })
    lab.run(100)
    const advertise = (flags: string, target: string, mac: string): void => {
      const payload = fromHex(`8800 0000 ${flags}000000 ${target} 0201 ${mac}`)
      const packet = { from: 'fe80::9', to: 'ff02::1', nextHeader: 58, hopLimit: 255, payload }
      a.receive('eth0', ipv6Packet(packet), 0x3333_0000_0001)
    }
    const entry = () => a.nd.list().map(({ address, mac, state }) => [address, mac, state])
    advertise('00', LL2, '020000000077')
    expect(entry()).toEqual([['fe80::ff:fe00:2', '02:00:00:00:00:02', 'STALE']])
    advertise('20', LL2, '020000000077')
    expect(entry()).toEqual([['fe80::ff:fe00:2', '02:00:00:00:00:77', 'STALE']])
    advertise('20', 'fe800000000000000000000000000055', '020000000077')
    expect([entry().length, a.drops['ndp-ignored']]).toEqual([1, 1])
  })

  test('a solicitation teaches who asks; one from :: is answered to all', () => {
    const { lab, a, wire } = pair()
    lab.run(5000)
    wire.clear()
    const solicit = (from: string, option: string): void => {
      const payload = fromHex(`8700 0000 00000000 ${LL1} ${option}`)
      a.receive(
        'eth0',
        ipv6Packet({ from, to: 'ff02::1:ff00:1', nextHeader: 58, hopLimit: 255, payload }),
        0x3333_ff00_0001,
      )
    }
    solicit('fe80::9', '0101 020000000099')
    solicit('::', '')
    lab.run(0)
    expect(a.nd.list()).toMatchObject([{ address: 'fe80::9', mac: '02:00:00:00:00:99', state: 'DELAY' }])
    const answers = sent(wire, NA)
    expect(answers.map((text) => [text.slice(48, 80), text.slice(88, 96)])).toEqual([
      ['fe800000000000000000000000000009', '60000000'],
      ['ff020000000000000000000000000001', '20000000'],
    ])
  })

  test('messages from beyond a router, and ones that make no sense', () => {
    const { lab, a } = pair()
    lab.run(5000)
    const send = (hopLimit: number, text: string, to = LL1): void => {
      const target = to === LL1 ? 'fe80::ff:fe00:1' : to
      a.receive('eth0', ipv6Packet({ from: 'fe80::9', to: target, nextHeader: 58, hopLimit, payload: fromHex(text) }))
    }
    send(254, `8700 0000 00000000 ${LL1}`)
    send(255, `8701 0000 00000000 ${LL1}`)
    send(255, `8700 0000 00000000 ff020000000000000000000000000001`)
    send(255, `8700 0000 00000000 ${LL1} 0100 000000000000`)
    send(255, `8700 0000 00000000 ${LL1.slice(0, 20)}`)
    send(255, `8700 0000 00000000 fe800000000000000000000000000077`)
    expect(a.drops).toMatchObject({
      'ndp-hop-limit': 1,
      'ndp-code': 1,
      'ndp-target': 2,
      'ndp-option': 1,
      'ndp-truncated': 1,
    })
  })
})

test('the route of a prefix stays while one of its addresses does', () => {
  const { a } = pair({ dad_transmits: 0 })
  const subnet = (): number => a.routes.list(6).filter(({ destination }) => destination === '2001:db8::/64').length
  a.add('eth0', '2001:db8::1/64')
  a.add('eth0', '2001:db8::2/64')
  expect(subnet()).toBe(1)
  a.iface('eth0').removeAddress(ip('2001:db8::1'))
  expect([subnet(), a.isLocal(ip('2001:db8::1')), a.isLocal(ip('2001:db8::2'))]).toEqual([1, false, true])
  a.iface('eth0').removeAddress(ip('2001:db8::2'))
  expect(subnet()).toBe(0)
})

describe('turned off and on', () => {
  test('down takes the addresses along, unless keep_addr_on_down; up makes the link-local one anew', () => {
    for (const keep_addr_on_down of [0, 1]) {
      const { lab, a } = pair({ keep_addr_on_down })
      a.add('eth0', '2001:db8::1/64')
      lab.run(5000)
      const eth0 = a.iface('eth0')
      eth0.setUp(false)
      expect(eth0.addresses.map(({ address }) => `${address}`)).toEqual(keep_addr_on_down === 1 ? ['2001:db8::1'] : [])
      expect(a.routes.list(6).filter(({ interface: name }) => name === 'eth0')).toEqual([])
      eth0.setUp(true)
      lab.run(5000)
      expect(eth0.linkLocal).not.toBeNull()
      expect(lab.close()).toEqual({ frames: 0, timers: 0 })
    }
  })

  test('disable_ipv6 and an MTU below 1280 turn it off', () => {
    const { lab, a } = pair()
    lab.run(5000)
    const eth0 = a.iface('eth0')
    eth0.setMtu(1000)
    expect([eth0.ndp.isEnabled, eth0.addresses.length]).toEqual([false, 0])
    eth0.setMtu(1500)
    lab.run(5000)
    expect([eth0.ndp.isEnabled, eth0.linkLocal === null]).toEqual([true, false])
    eth0.settings.disable_ipv6 = 1
    eth0.ndp.refresh()
    expect([eth0.ndp.isEnabled, eth0.addresses.length]).toEqual([false, 0])
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })
})
