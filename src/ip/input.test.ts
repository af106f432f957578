import { describe, expect, test } from 'vitest'
import { ip, MAC_BROADCAST } from '../wire/address.ts'
import { fromHex, icmpMessage, ipv4Packet, ipv6Packet, TestNet } from './testing.ts'

/** Host a with 10.0.0.1/24 and 2001:db8::1/64 on eth0, 10.1.0.1/24 on eth1. Protocol 253 is written down. */
const host = (settings = {}) => {
  const lab = new TestNet()
  const a = lab.host6('a', { dad_transmits: 0, ...settings })
  const b = lab.host('b')
  lab.connect(a, 'eth0', b, 'eth0')
  lab.connect(a, 'eth1', b, 'eth1')
  a.add('eth0', '10.0.0.1/24')
  a.add('eth0', '2001:db8::1/64')
  a.add('eth1', '10.1.0.1/24')
  const delivered: string[] = []
  a.register(253, {
    receive: (header, frame, from) => {
      delivered.push(`${header.source} > ${header.destination} ${a.arrival} ${from.name}`)
      lab.world.frames.release(frame)
    },
    icmpError: () => {},
  })
  return { lab, a, delivered }
}

const none = { icmp_ratemask: 0 }

describe('IPv4', () => {
  test('its own addresses, on whichever interface they come in', () => {
    const { a, delivered } = host()
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1' }))
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.1.0.1' }))
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1' }))
    expect(delivered).toEqual([
      '10.0.0.2 > 10.0.0.1 unicast eth0',
      '10.0.0.2 > 10.1.0.1 unicast eth0',
      '10.0.0.2 > 10.0.0.1 unicast eth0',
    ])
    expect([a.mib.ip.InReceives, a.mib.ip.InDelivers]).toEqual([3, 3])
  })

  test('broadcasts: limited, of the subnet, and to 0.0.0.0 from nobody', () => {
    const { a, delivered } = host()
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '255.255.255.255' }), MAC_BROADCAST)
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.0.0.255' }), MAC_BROADCAST)
    a.receive('eth0', ipv4Packet({ from: '0.0.0.0', to: '255.255.255.255' }), MAC_BROADCAST)
    a.receive('eth0', ipv4Packet({ from: '0.0.0.0', to: '0.0.0.0' }), MAC_BROADCAST)
    expect(delivered.map((line) => line.split(' ').slice(2).join(' '))).toEqual([
      '255.255.255.255 broadcast eth0',
      '10.0.0.255 broadcast eth0',
      '255.255.255.255 broadcast eth0',
      '0.0.0.0 broadcast eth0',
    ])
    expect([a.mib.ipExt.InBcastPkts, a.mib.ipExt.InBcastOctets]).toEqual([4, 80])
  })

  test('groups: only those the interface has joined', () => {
    const { a, delivered } = host()
    const packet = ipv4Packet({ from: '10.0.0.2', to: '239.1.2.3' })
    const mac = 0x0100_5e01_0203
    a.receive('eth0', packet, mac)
    expect(a.drops).toEqual({ 'eth-not-for-us': 1 })
    const member = a.iface('eth0').joinGroup(ip('239.1.2.3'))
    a.receive('eth0', packet, mac)
    a.receive('eth1', packet, mac)
    // Another group with the same MAC address passes the hardware, but not IP.
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '224.129.2.3' }), mac)
    a.iface('eth0').leaveGroup(member)
    a.receive('eth0', packet, mac)
    expect(delivered).toEqual(['10.0.0.2 > 239.1.2.3 multicast eth0'])
    expect(a.drops).toEqual({ 'eth-not-for-us': 3, 'ip-no-group': 1 })
  })

  test.each([
    ['from a group', { from: '224.0.0.5', to: '10.0.0.1' }, 'ip-martian'],
    ['from everybody', { from: '255.255.255.255', to: '10.0.0.1' }, 'ip-martian'],
    ['from 0.0.0.0 to one host', { from: '0.0.0.0', to: '10.0.0.1' }, 'ip-martian'],
    ['from network 0', { from: '0.1.2.3', to: '255.255.255.255' }, 'ip-martian'],
    ['to network 0', { from: '10.0.0.2', to: '0.0.0.9' }, 'ip-martian'],
    ['from the loopback network', { from: '127.0.0.1', to: '10.0.0.1' }, 'ip-martian'],
    ['to the loopback network', { from: '10.0.0.2', to: '127.0.0.1' }, 'ip-martian'],
    ['from this host', { from: '10.1.0.1', to: '10.0.0.1' }, 'ip-martian'],
    ['from a broadcast address', { from: '10.0.0.255', to: '10.0.0.1' }, 'ip-martian'],
    ['to somebody else', { from: '10.0.0.2', to: '10.0.0.7' }, 'ip-not-for-us'],
  ])('refused: %s', (_, addresses, reason) => {
    const { a, delivered } = host()
    a.receive('eth0', ipv4Packet(addresses))
    expect([delivered, a.drops]).toEqual([[], { [reason]: 1 }])
  })

  test('accept_local and route_localnet let the last of these in', () => {
    const { a, delivered } = host({ accept_local: 1, route_localnet: 1 })
    a.receive('eth0', ipv4Packet({ from: '10.1.0.1', to: '10.0.0.1' }))
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '127.0.0.1' }))
    expect(delivered.length).toBe(2)
  })

  test('sent to all on the link, but meant for one: dropped', () => {
    const { a, delivered } = host()
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1' }), MAC_BROADCAST)
    expect([delivered, a.drops]).toEqual([[], { 'ip-link-broadcast': 1 }])
  })

  test('frames for other hosts, and its own', () => {
    const { a } = host()
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1' }), 0x0200_0000_0077)
    const own = ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1' })
    const frame = new Uint8Array([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 8, 0, ...own])
    a.iface('eth0').receive(a.test.world.frame(frame))
    expect(a.drops).toEqual({ 'eth-not-for-us': 1, 'eth-own-source': 1 })
  })

  test('rp_filter: strict wants the interface of the route back, loose any route', () => {
    for (const [rp_filter, expected] of [
      [0, 3],
      [1, 1],
      [2, 2],
    ] as const) {
      const { a, delivered } = host({ rp_filter })
      a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1' }))
      a.receive('eth0', ipv4Packet({ from: '10.1.0.2', to: '10.0.0.1' }))
      a.receive('eth0', ipv4Packet({ from: '172.16.0.1', to: '10.0.0.1' }))
      expect(delivered.length).toBe(expected)
      expect(a.mib.tcpExt.IPReversePathFilter).toBe(3 - expected)
    }
  })

  test('settings hold at once, also for packets like those before', () => {
    const { lab, a, delivered } = host({ ip_forward: 1, icmp_ratemask: 0 })
    const through = ipv4Packet({ from: '10.0.0.2', to: '10.1.0.2' })
    const forwarded = (): number => a.mib.ip.ForwDatagrams
    a.receive('eth0', through)
    a.receive('eth0', through)
    expect(forwarded()).toBe(2)
    a.settings.ip_forward = 0
    a.receive('eth0', through)
    expect([forwarded(), a.drops]).toEqual([2, { 'ip-not-for-us': 1 }])
    const odd = ipv4Packet({ from: '10.1.0.2', to: '10.0.0.1' })
    a.receive('eth0', odd)
    a.receive('eth0', odd)
    a.iface('eth0').settings.rp_filter = 1
    a.receive('eth0', odd)
    expect([delivered.length, a.settings.rp_filter]).toEqual([2, 0])
    a.iface('eth0').settings.rp_filter = 0
    a.settings.accept_local = 1
    const own = ipv4Packet({ from: '10.1.0.1', to: '10.0.0.1' })
    a.receive('eth0', own)
    a.settings.accept_local = 0
    a.receive('eth0', own)
    expect(delivered.length).toBe(3)
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('header errors are counted where Linux counts them', () => {
    const { a } = host()
    const good = ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1', payload: new Uint8Array(10) })
    const bad = (change: (packet: Uint8Array) => void): void => {
      const packet = good.slice()
      change(packet)
      a.receive('eth0', packet)
    }
    bad((packet) => packet.fill(0x44, 0, 1))
    bad((packet) => packet.fill(0xff, 10, 11))
    a.receive('eth0', good.slice(0, 25))
    expect(a.drops).toEqual({ 'ipv4-header-length': 1, 'ipv4-checksum': 1, 'ipv4-truncated': 1 })
    const { ip: counters, ipExt } = a.mib
    expect([counters.InReceives, counters.InHdrErrors, ipExt.InCsumErrors, ipExt.InTruncatedPkts]).toEqual([3, 2, 1, 1])
  })

  test('padding behind the packet is cut off', () => {
    const { lab, a } = host()
    const lengths: number[] = []
    a.register(252, {
      receive: (header, frame) => {
        lengths.push(header.payloadLength, frame.end - frame.start)
        lab.world.frames.release(frame)
      },
      icmpError: () => {},
    })
    const packet = ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1', protocol: 252, payload: new Uint8Array(4) })
    a.receive('eth0', new Uint8Array([...packet, ...new Uint8Array(22)]))
    expect(lengths).toEqual([4, 4])
  })

  test('source routes are refused, wrong options answered with a pointer', () => {
    const { lab, a } = host(none)
    a.arp.setPermanent(a.iface('eth0'), ip('10.0.0.2'), 0x0200_0000_0002)
    const wire = lab.sniff(a.iface('eth0').port)
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1', options: fromHex('83070400000000 00') }))
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1', options: fromHex('07030200') }))
    lab.run(0)
    expect(a.drops).toEqual({ 'ipv4-source-route': 1, 'ipv4-options': 1 })
    const [problem] = wire.ipv4(1).map(({ bytes }) => bytes.subarray(34))
    expect([problem![0], problem![1], problem![4]]).toEqual([12, 0, 22])
  })
})

describe('IPv6', () => {
  test('its own addresses, the all-nodes group, and nothing else', () => {
    const { lab, a, delivered } = host()
    lab.run(3000)
    const linkLocal = `${a.iface('eth0').linkLocal}`
    a.receive('eth0', ipv6Packet({ from: '2001:db8::2', to: '2001:db8::1' }))
    a.receive('eth0', ipv6Packet({ from: '2001:db8::2', to: linkLocal }))
    a.receive('eth0', ipv6Packet({ from: 'fe80::2', to: 'ff02::1' }), 0x3333_0000_0001)
    // The link-local address of one interface does not count on another.
    a.receive('eth1', ipv6Packet({ from: 'fe80::2', to: linkLocal }))
    a.receive('eth0', ipv6Packet({ from: '2001:db8::2', to: '2001:db8::77' }))
    expect(delivered).toEqual([
      '2001:db8::2 > 2001:db8::1 unicast eth0',
      `2001:db8::2 > ${linkLocal} unicast eth0`,
      'fe80::2 > ff02::1 multicast eth0',
    ])
    expect(a.drops).toEqual({ 'ip-not-for-us': 2 })
  })

  test.each([
    ['from a group', { from: 'ff02::1', to: '2001:db8::1' }, 'ipv6-source'],
    ['from ::1', { from: '::1', to: '2001:db8::1' }, 'ip-martian'],
    ['to ::1', { from: '2001:db8::2', to: '::1' }, 'ip-martian'],
    ['to a group of the interface alone', { from: 'fe80::2', to: 'ff01::1' }, 'ip-scope'],
  ])('refused: %s', (_, addresses, reason) => {
    const { a, delivered } = host()
    a.receive('eth0', ipv6Packet(addresses))
    expect([delivered, a.drops]).toEqual([[], { [reason]: 1 }])
    expect(a.mib.ip6.InHdrErrors).toBe(1)
  })

  test('extension headers are walked; what is unknown in them is treated as it asks', () => {
    const { lab, a, delivered } = host(none)
    a.nd.setPermanent(a.iface('eth0'), ip('2001:db8::2'), 0x0200_0000_0002)
    const wire = lab.sniff(a.iface('eth0').port)
    const send = (nextHeader: number, text: string): void =>
      a.receive('eth0', ipv6Packet({ from: '2001:db8::2', to: '2001:db8::1', nextHeader, payload: fromHex(text) }))
    // Hop-by-hop with padding, routing with nothing left, destination options with one to be skipped.
    send(0, '2b00 0104 00000000 3c00 0000 00000000 fd00 1e02 ffff 0100 0102030405060708')
    expect(delivered.length).toBe(1)
    // Options that say: drop silently; tell.
    send(60, 'fd00 4002 0000 0100')
    send(60, 'fd00 8002 0000 0100')
    // Routing type 0 with a segment left.
    send(43, 'fd02 0001 00000000 20010db8000000000000000000000009')
    lab.run(0)
    expect(delivered.length).toBe(1)
    expect(a.drops).toEqual({ 'ipv6-extension-option': 2, 'ipv6-routing-header': 1 })
    const told = wire.icmpv6(4).map(({ bytes }) => [bytes[55], bytes[61]])
    expect(told).toEqual([
      [2, 42],
      [0, 42],
    ])
  })

  test('an interface without IPv6 drops it', () => {
    const lab = new TestNet()
    const a = lab.host('a')
    const b = lab.host('b')
    lab.connect(a, 'eth0', b, 'eth0')
    a.receive('eth0', ipv6Packet({ from: '2001:db8::2', to: '2001:db8::1' }))
    expect(a.drops).toEqual({ 'ipv6-disabled': 1 })
  })
})

describe('the host itself', () => {
  test('packets to its own addresses go through lo, and are seen there', () => {
    const { lab, a } = host()
    lab.run(3000)
    const lo = lab.sniff(a.loopback.port)
    const eth = lab.sniff(a.iface('eth0').port)
    const linkLocal = a.iface('eth0').linkLocal!
    const pings = [
      a.ping('127.0.0.1'),
      a.ping('127.9.9.9'),
      a.ping('10.0.0.1'),
      a.ping('::1'),
      a.ping('2001:db8::1'),
      a.ping(linkLocal, { interface: a.iface('eth0') }),
    ]
    lab.run(0)
    expect(pings.map(({ events }) => events.map(({ kind }) => kind))).toEqual(new Array(6).fill(['reply']))
    expect(lo.seen.length).toBe(12)
    expect(eth.seen).toEqual([])
    expect(a.loopback.statistics).toMatchObject({ rxPackets: 12, txPackets: 12 })
    // From 127.0.0.1 to all of 127.0.0.0/8, as on Linux.
    const second = pings[1]!.events[0]!
    expect(second.kind === 'reply' && `${second.from}`).toBe('127.9.9.9')
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('its own broadcasts and groups come back to it, unless told otherwise', () => {
    const { lab, a, delivered } = host()
    const send = (to: string, flags: number): void => {
      const way = a.resolve(ip(to), null, a.iface('eth0'))
      if (typeof way === 'number') throw new Error(`${way}`)
      a.send(lab.world.frame([1, 2, 3, 4]), way, way.source, 253, 1, 0, flags)
    }
    a.iface('eth0').joinGroup(ip('239.1.2.3'))
    send('255.255.255.255', 0)
    send('10.0.0.255', 0)
    send('239.1.2.3', 0)
    send('239.1.2.3', 4)
    send('239.1.2.4', 0)
    send('ff02::1', 0)
    expect(delivered).toEqual([])
    lab.run(0)
    const linkLocal = `${a.iface('eth0').linkLocal}`
    expect(delivered).toEqual([
      '10.0.0.1 > 255.255.255.255 broadcast eth0',
      '10.0.0.1 > 10.0.0.255 broadcast eth0',
      '10.0.0.1 > 239.1.2.3 multicast eth0',
      `${linkLocal} > ff02::1 multicast eth0`,
    ])
  })

  test('a group with TTL 0 stays on the host', () => {
    const { lab, a, delivered } = host()
    a.iface('eth0').joinGroup(ip('239.1.2.3'))
    lab.run(100)
    const wire = lab.sniff(a.iface('eth0').port)
    const way = a.resolve(ip('239.1.2.3'), null, a.iface('eth0'))
    if (typeof way === 'number') throw new Error(`${way}`)
    a.send(lab.world.frame([1, 2, 3, 4]), way, way.source, 253, 0, 0, 0)
    lab.run(0)
    expect([delivered.length, wire.ipv4(253)]).toEqual([1, []])
  })
})

test('an echo to this host through a link-local address is answered from it', () => {
  const { lab, a } = host()
  lab.run(3000)
  const linkLocal = `${a.iface('eth0').linkLocal}`
  a.nd.setPermanent(a.iface('eth0'), ip('fe80::2'), 0x0200_0000_0002)
  const wire = lab.sniff(a.iface('eth0').port)
  const payload = icmpMessage(128, 0, 1)
  a.receive('eth0', ipv6Packet({ from: 'fe80::2', to: linkLocal, nextHeader: 58, payload }))
  lab.run(0)
  expect(wire.icmpv6(129).length).toBe(1)
})
