import { describe, expect, test } from 'vitest'
import { AddressFlag } from './address.ts'
import { fromHex, type TestHost, TestNet } from './testing.ts'

const ARP = 0x0806

const lan = (count: number, settings = {}) => {
  const lab = new TestNet()
  const hosts = Array.from({ length: count }, (_, i) => lab.host(`h${i}`, settings))
  lab.lan(...hosts)
  return { lab, hosts }
}

/** Hands a host an ARP packet as if it had come from the link. */
const inject = (lab: TestNet, host: TestHost, text: string, to = 'ffffffffffff', from = '020000000099'): void => {
  const bytes = fromHex(`${to}${from}0806${text}`)
  host.iface('eth0').receive(lab.world.frame(bytes))
}

const macOf = (host: TestHost, address: string): string | null | undefined =>
  host.arp.list().find((entry) => entry.address === address)?.mac

describe('who asks', () => {
  for (const [what, sender, answered] of [
    ['a neighbour', '0a000063', true],
    ['one without an address', '00000000', true],
    ['a host of another network', 'c0a80001', true],
    ['a group', 'e0000001', false],
    ['everybody', 'ffffffff', false],
    ['everybody on the link', '0a0000ff', false],
    ['the host itself', '7f000001', false],
    ['nobody', '00000001', false],
    ['an address of another interface of the host', '0a010001', false],
  ] as const) {
    test(`${what}: ${answered ? 'is answered' : 'gets no answer and no entry'}`, () => {
      const { lab, hosts } = lan(1)
      const [a] = hosts as [TestHost]
      a.add('eth0', '10.0.0.1/24')
      lab.connect(a, 'eth1', lab.host('b'), 'eth0')
      a.add('eth1', '10.1.0.1/24')
      lab.run(10)
      const wire = lab.sniff(a.iface('eth0').port)
      inject(lab, a, `0001080006040001020000000099${sender}0000000000000a000001`)
      lab.run(10)
      expect(wire.payloads(ARP).length).toBe(answered ? 1 : 0)
      expect(a.arp.list().length).toBe(answered && sender !== '00000000' ? 1 : 0)
    })
  }

  test('the way back is asked for where rp_filter wants that', () => {
    const { lab, hosts } = lan(1)
    const [a] = hosts as [TestHost]
    a.add('eth0', '10.0.0.1/24')
    a.iface('eth0').settings.rp_filter = 1
    const wire = lab.sniff(a.iface('eth0').port)
    for (const sender of ['c0a80001', '0a000063']) {
      inject(lab, a, `0001080006040001020000000099${sender}0000000000000a000001`)
      lab.run(10)
    }
    expect(wire.payloads(ARP).length).toBe(1)
    expect(a.arp.list().map(({ address }) => address)).toEqual(['10.0.0.99'])
  })
})

describe('an address that is asked for first (RFC 5227)', () => {
  test('three probes, then two announcements; usable in between', () => {
    const { lab, hosts } = lan(2)
    const [a] = hosts as [TestHost, TestHost]
    const wire = lab.sniff(a.iface('eth0').port)
    const ready: number[] = []
    a.onAddressChange = (_, event) => {
      if (event === 'ready') ready.push(lab.world.loop.now)
    }
    const entry = a.add('eth0', '10.0.0.1/24', { probe: true })
    expect([entry.isTentative, a.isLocal(entry.address)]).toEqual([true, false])
    lab.run(20_000)
    const mac = '020000000001'
    const probe = `0001080006040001${mac}00000000${'0'.repeat(12)}0a000001`
    const announcement = `0001080006040001${mac}0a000001${'0'.repeat(12)}0a000001`
    expect(wire.payloads(ARP)).toEqual([probe, probe, probe, announcement, announcement])
    const [first, second, third, told, again] = wire.ofType(ARP).map(({ time }) => time)
    expect(first).toBeLessThan(1_000_000)
    for (const gap of [second! - first!, third! - second!]) {
      expect(gap).toBeGreaterThanOrEqual(1_000_000)
      expect(gap).toBeLessThan(2_000_000)
    }
    expect([told! - third!, again! - told!]).toEqual([2_000_000, 2_000_000])
    expect(ready).toEqual([told])
    expect([entry.isUsable, a.isLocal(entry.address)]).toEqual([true, true])
  })

  test('the address is taken: it is never used', () => {
    const { lab, hosts } = lan(2)
    const [a, b] = hosts as [TestHost, TestHost]
    b.add('eth0', '10.0.0.1/24')
    const events: string[] = []
    a.onAddressChange = (_, event) => events.push(event)
    const entry = a.add('eth0', '10.0.0.1/24', { probe: true })
    lab.run(20_000)
    expect(events).toEqual(['conflict'])
    expect(entry.flags & AddressFlag.DadFailed).toBe(AddressFlag.DadFailed)
    expect(a.isLocal(entry.address)).toBe(false)
    expect(a.mib.drops.reduce((sum, n) => sum + n)).toBe(1)
    expect(a.drops).toEqual({ 'arp-conflict': 1 })
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('two hosts ask for one address at once: at most one gets it', () => {
    const { lab, hosts } = lan(2)
    for (const host of hosts) host.add('eth0', '10.0.0.1/24', { probe: true })
    lab.run(20_000)
    expect(hosts.filter((host) => host.iface('eth0').addresses[0]!.isUsable).length).toBeLessThanOrEqual(1)
  })

  test('a claim is answered with an announcement, a second one within ten seconds ends the address', () => {
    const { lab, hosts } = lan(1)
    const [a] = hosts as [TestHost]
    const entry = a.add('eth0', '10.0.0.1/24', { probe: true })
    lab.run(20_000)
    const wire = lab.sniff(a.iface('eth0').port)
    const claim = `00010800060400010200000000990a000001${'0'.repeat(12)}0a000001`
    inject(lab, a, claim)
    lab.run(11_000)
    expect(wire.payloads(ARP)).toEqual([`00010800060400010200000000010a000001${'0'.repeat(12)}0a000001`])
    expect(entry.isUsable).toBe(true)
    inject(lab, a, claim)
    lab.run(100)
    expect(wire.seen.length).toBe(2)
    inject(lab, a, claim)
    lab.run(100)
    expect([wire.seen.length, entry.isUsable, a.isLocal(entry.address)]).toEqual([2, false, false])
    expect(a.routes.list(4)).toEqual([])
  })

  test('an address that was not asked for is not defended, only counted', () => {
    const { lab, hosts } = lan(1)
    const [a] = hosts as [TestHost]
    a.add('eth0', '10.0.0.1/24')
    const wire = lab.sniff(a.iface('eth0').port)
    inject(lab, a, `00010800060400010200000000990a000001${'0'.repeat(12)}0a000001`)
    lab.run(100)
    expect([wire.seen, a.drops]).toEqual([[], { 'arp-conflict': 1 }])
  })
})

describe('who is answered and learnt', () => {
  test('a probe for an address in use is answered', () => {
    const { lab, hosts } = lan(1)
    const [a] = hosts as [TestHost]
    a.add('eth0', '10.0.0.1/24')
    const wire = lab.sniff(a.iface('eth0').port)
    inject(lab, a, `000108000604000102000000009900000000${'0'.repeat(12)}0a000001`)
    lab.run(0)
    expect(wire.payloads(ARP)).toEqual(['00010800060400020200000000010a00000102000000009900000000'])
    expect(a.arp.list()).toEqual([])
  })

  test('arp_ignore: 0 answers for any local address, 1 only for the interface, 2 only to the subnet', () => {
    for (const [arp_ignore, answered] of [
      [0, [true, true, true]],
      [1, [false, true, true]],
      [2, [false, false, true]],
    ] as const) {
      const { lab, hosts } = lan(1, { arp_ignore })
      const [a] = hosts as [TestHost]
      a.add('eth0', '10.0.0.1/24')
      a.add('lo', '10.9.9.9/32')
      const wire = lab.sniff(a.iface('eth0').port)
      const ask = (from: string, to: string): boolean => {
        wire.clear()
        inject(lab, a, `0001080006040001020000000099${from}${'0'.repeat(12)}${to}`)
        lab.run(0)
        return wire.seen.length === 1
      }
      expect([ask('0a000005', '0a090909'), ask('0b000005', '0a000001'), ask('0a000005', '0a000001')]).toEqual(answered)
    }
  })

  test('an announcement changes an entry that is there, and makes none that is not, unless arp_accept', () => {
    const { lab, hosts } = lan(2)
    const [a, b] = hosts as [TestHost, TestHost]
    a.add('eth0', '10.0.0.1/24')
    b.add('eth0', '10.0.0.2/24')
    const announcement = `00010800060400010200000000990a000002${'0'.repeat(12)}0a000002`
    inject(lab, a, announcement)
    expect(a.arp.list()).toEqual([])
    expect(a.drops).toEqual({ 'arp-not-for-us': 1 })
    a.ping('10.0.0.2')
    lab.run(100)
    expect(macOf(a, '10.0.0.2')).toBe('02:00:00:00:00:02')
    inject(lab, a, announcement)
    expect(macOf(a, '10.0.0.2')).toBe('02:00:00:00:00:99')
    expect(a.arp.list()[0]!.state).toBe('STALE')
    a.settings.arp_accept = 1
    inject(lab, a, `00010800060400010200000000990a000003${'0'.repeat(12)}0a000003`)
    expect(macOf(a, '10.0.0.3')).toBe('02:00:00:00:00:99')
  })

  test('a second answer within locktime does not replace the first', () => {
    const { lab, hosts } = lan(2)
    const [a, b] = hosts as [TestHost, TestHost]
    a.add('eth0', '10.0.0.1/24')
    b.add('eth0', '10.0.0.2/24')
    a.ping('10.0.0.2')
    lab.run(100)
    const forged = '00010800060400020200000000990a0000020200000000010a000001'
    inject(lab, a, forged, '020000000001')
    expect(macOf(a, '10.0.0.2')).toBe('02:00:00:00:00:02')
    lab.run(1000)
    inject(lab, a, forged, '020000000001')
    expect(macOf(a, '10.0.0.2')).toBe('02:00:00:00:00:99')
  })

  test('packets that make no sense have a reason', () => {
    const { lab, hosts } = lan(1)
    const [a] = hosts as [TestHost]
    a.add('eth0', '10.0.0.1/24')
    inject(lab, a, '0001080006040001')
    inject(lab, a, `00010800060400030200000000990a000002${'0'.repeat(12)}0a000001`)
    inject(lab, a, `00060800060400010200000000990a000002${'0'.repeat(12)}0a000001`)
    inject(lab, a, `00010800060400010200000000990a000002${'0'.repeat(12)}e0000001`)
    inject(lab, a, `00010800060400010200000000990a000002${'0'.repeat(12)}0a000055`)
    expect(a.drops).toEqual({
      'arp-truncated': 1,
      'arp-bad-operation': 1,
      'arp-not-ethernet-ipv4': 1,
      'arp-not-for-us': 2,
    })
  })

  test('arp_notify announces when the link comes', () => {
    const lab = new TestNet()
    const a = lab.host('a', { arp_notify: 1 })
    const b = lab.host('b')
    const cable = lab.connect(a, 'eth0', b, 'eth0')
    a.add('eth0', '10.0.0.1/24')
    const wire = lab.sniff(cable.a)
    cable.setDown()
    cable.setUp()
    lab.run(0)
    expect(wire.payloads(ARP)).toEqual([`00010800060400010200000000010a000001${'0'.repeat(12)}0a000001`])
  })
})
