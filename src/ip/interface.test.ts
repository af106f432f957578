import { describe, expect, test } from 'vitest'
import { FrameChecksum } from '../core/frame.ts'
import { Cable } from '../link/cable.ts'
import { tcpFrame } from '../link/testing.ts'
import { ip } from '../wire/address.ts'
import { InterfaceFlag, interfaceInfo } from './interface-info.ts'
import { hex, ipv4Packet, TestNet } from './testing.ts'

const pair = (settings = {}, options = {}) => {
  const lab = new TestNet()
  const a = lab.host('a', settings)
  const b = lab.host('b')
  const cable = lab.connect(a, 'eth0', b, 'eth0', options)
  a.add('eth0', '10.0.0.1/24')
  b.add('eth0', '10.0.0.2/24')
  return { lab, a, b, cable }
}

describe('state', () => {
  test('flags and description, as ip link prints them', () => {
    const { a, cable } = pair()
    expect(
      a.interfaces
        .map(interfaceInfo)
        .map(({ index, name, flags, mtu, state, type, mac }) => [index, name, flags, mtu, state, type, mac]),
    ).toEqual([
      [1, 'lo', ['LOOPBACK', 'UP', 'LOWER_UP'], 65_536, 'UNKNOWN', 'loopback', '00:00:00:00:00:00'],
      [2, 'eth0', ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'], 1500, 'UP', 'ether', '02:00:00:00:00:01'],
    ])
    cable.setDown()
    expect(interfaceInfo(a.iface('eth0'))).toMatchObject({
      flags: ['NO-CARRIER', 'BROADCAST', 'MULTICAST', 'UP'],
      state: 'DOWN',
    })
    a.iface('eth0').setUp(false)
    a.iface('eth0').setPromiscuous(true)
    a.iface('eth0').setAllMulticast(true)
    expect(interfaceInfo(a.iface('eth0')).flags).toEqual(['BROADCAST', 'MULTICAST', 'ALLMULTI', 'PROMISC'])
    expect(a.iface('eth0').flags & InterfaceFlag.Running).toBe(0)
  })

  test('a link of IP packets is point-to-point and asks for no neighbours', () => {
    const { lab, a, b, cable } = pair({}, { medium: 'ip' })
    expect(interfaceInfo(a.iface('eth0')).flags).toEqual(['POINTOPOINT', 'MULTICAST', 'NOARP', 'UP', 'LOWER_UP'])
    const { events } = a.ping('10.0.0.2')
    lab.run(0)
    expect(events.map(({ kind }) => kind)).toEqual(['reply'])
    expect([a.arp.size, b.arp.size, cable.aToB.statistics.sentBytes]).toEqual([0, 0, 84])
    a.iface('eth0').receive(lab.world.frame([0x70, 0, 0, 0]))
    a.iface('eth0').receive(lab.world.frame([]))
    expect(a.drops).toEqual({ 'ip-version': 2 })
  })

  test('down: what comes is dropped, what is sent has no route', () => {
    const { lab, a } = pair()
    a.iface('eth0').setUp(false)
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1' }))
    expect(a.drops).toEqual({ 'interface-down': 1 })
    expect(a.iface('eth0').statistics.rxPackets).toBe(0)
    expect(a.ping('10.0.0.2').events).toMatchObject([{ kind: 'unsent', errno: 101 }])
    a.iface('eth0').setUp(true)
    const { events } = a.ping('10.0.0.2')
    lab.run(0)
    expect(events.map(({ kind }) => kind)).toEqual(['reply'])
  })

  test('no carrier: what is sent is dropped and counted; back, it goes on', () => {
    const { lab, a, cable } = pair()
    a.ping('10.0.0.2')
    lab.run(0)
    cable.setDown()
    a.arp.setPermanent(a.iface('eth0'), ip('10.0.0.2'), 0x0200_0000_0002)
    a.ping('10.0.0.2')
    expect(a.iface('eth0').statistics).toMatchObject({ txDropped: 1, txCarrierErrors: 1 })
    expect(a.drops).toEqual({ 'interface-down': 1 })
    cable.setUp()
    const { events } = a.ping('10.0.0.2')
    lab.run(0)
    expect(events.map(({ kind }) => kind)).toEqual(['reply'])
  })

  test("the MTU: at most the link's", () => {
    const { a } = pair()
    const eth0 = a.iface('eth0')
    expect([1501, 67, 100.5].map((mtu) => eth0.setMtu(mtu))).toEqual([false, false, false])
    const before = a.generation
    expect(eth0.setMtu(1000)).toBe(true)
    expect(a.generation).toBeGreaterThan(before)
    const way = a.resolve(ip('10.0.0.2'))
    expect(typeof way !== 'number' && way.mtu).toBe(1000)
  })

  test('names are taken once; what is removed can come back', () => {
    const { lab, a, b, cable } = pair()
    expect(() => a.addInterface('eth0', new Cable(lab.world, 'x').a)).toThrow(TypeError)
    a.removeInterface(a.iface('eth0'))
    expect([a.interfaceNamed('eth0'), cable.a.user, a.routes.list(4), cable.b.carrier]).toEqual([null, null, [], false])
    lab.plug(a, 'eth0', cable.a)
    a.add('eth0', '10.0.0.1/24')
    const { events } = b.ping('10.0.0.1')
    lab.run(0)
    expect(events.map(({ kind }) => kind)).toEqual(['reply'])
    expect([a.iface('eth0').index, a.interfaceAt(3)?.name]).toEqual([3, 'eth0'])
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })
})

describe('statistics', () => {
  test('packets and bytes with their Ethernet headers, groups, and what was damaged', () => {
    const { lab, a, b } = pair()
    a.ping('10.0.0.2')
    lab.run(0)
    // ARP request and reply of 42 bytes, echo and reply of 98.
    expect(a.iface('eth0').statistics).toMatchObject({ txPackets: 2, txBytes: 140, rxPackets: 2, rxBytes: 140 })
    expect(b.iface('eth0').statistics).toMatchObject({ rxPackets: 2, rxBytes: 140, rxMulticast: 0 })
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '224.0.0.1' }), 0x0100_5e00_0001)
    a.iface('eth0').receive(lab.world.frame(new Uint8Array(13)))
    a.iface('eth0').receive(lab.world.frame([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x12, 0x34, 0]))
    expect(a.iface('eth0').statistics).toMatchObject({
      rxPackets: 5,
      rxMulticast: 1,
      rxErrors: 1,
      rxFrameErrors: 1,
      rxDropped: 1,
    })
    expect(a.drops).toMatchObject({ 'eth-truncated': 1, 'eth-unknown-type': 1 })
  })

  test('a promiscuous interface lets groups through that nobody has joined', () => {
    const { a } = pair()
    const packet = ipv4Packet({ from: '10.0.0.2', to: '239.9.9.9' })
    a.receive('eth0', packet, 0x0100_5e09_0909)
    a.iface('eth0').setAllMulticast(true)
    a.receive('eth0', packet, 0x0100_5e09_0909)
    expect(a.drops).toEqual({ 'eth-not-for-us': 1, 'ip-no-group': 1 })
  })
})

describe('a host that is slow', () => {
  test('halted: the ring fills, more is an overrun; resumed, what waits is taken in order', () => {
    const { lab, a, b } = pair()
    b.processor.halt()
    b.iface('eth0').ringSize = 16
    b.arp.setPermanent(b.iface('eth0'), ip('10.0.0.1'), 0x0200_0000_0001)
    a.arp.setPermanent(a.iface('eth0'), ip('10.0.0.2'), 0x0200_0000_0002)
    const { events } = a.ping('10.0.0.2', { count: 20, interval: 0, timeout: 1000 })
    lab.run(10)
    expect(b.iface('eth0').statistics).toMatchObject({ rxPackets: 20, rxOverruns: 4 })
    expect([b.processor.queued, b.drops]).toEqual([16, { 'receive-ring-full': 4 }])
    b.processor.resume()
    lab.run(0)
    expect(events.map((event) => event.sequence)).toEqual(Array.from({ length: 16 }, (_, i) => i + 1))
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('its own packets go by netdev_max_backlog', () => {
    const { lab, a } = pair({ netdev_max_backlog: 10 })
    a.processor.halt()
    a.ping('127.0.0.1', { count: 15, interval: 0 })
    lab.run(10)
    expect([a.processor.dropped, a.drops]).toEqual([5, { 'backlog-full': 5 }])
    expect(a.loopback.statistics).toMatchObject({ rxPackets: 15, rxDropped: 5 })
    a.processor.resume()
    lab.run(0)
    expect(a.mib.icmp.InEchos).toBe(10)
  })

  test('packetTime: one after another, each in its time', () => {
    const { lab, a, b } = pair()
    b.arp.setPermanent(b.iface('eth0'), ip('10.0.0.1'), 0x0200_0000_0001)
    a.arp.setPermanent(a.iface('eth0'), ip('10.0.0.2'), 0x0200_0000_0002)
    b.processor.packetTime = 100
    const { events } = a.ping('10.0.0.2', { count: 4, interval: 0 })
    lab.run(10)
    expect(events.map((event) => event.kind === 'reply' && event.time)).toEqual([0, 100, 200, 300])
    expect(b.processor.processed).toBe(4)
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('interfaces take turns', () => {
    const lab = new TestNet()
    const a = lab.host('a', { dev_weight: 2 })
    for (const name of ['eth0', 'eth1']) {
      lab.connect(a, name, lab.host(`peer ${name}`), 'eth0')
      a.add(name, `10.${name.slice(3)}.0.1/24`)
    }
    const order: string[] = []
    a.register(253, {
      receive: (_header, frame, from) => {
        order.push(from.name)
        lab.world.frames.release(frame)
      },
      icmpError: () => {},
    })
    a.processor.halt()
    for (let i = 0; i < 4; i++) {
      a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1' }))
      a.receive('eth1', ipv4Packet({ from: '10.1.0.2', to: '10.1.0.1' }))
    }
    a.processor.resume()
    lab.run(0)
    expect(order.join(' ')).toMatch(
      /^(eth0 eth0 eth1 eth1 eth0 eth0 eth1 eth1|eth1 eth1 eth0 eth0 eth1 eth1 eth0 eth0)$/,
    )
  })
})

describe('802.1Q subinterfaces', () => {
  test('tagged on the wire, apart from the untagged network and from other VLANs', () => {
    const { lab, a, b, cable } = pair()
    const vlans = [a, b].map((host, i) => {
      const vlan = host.addVlan(host.iface('eth0'), 10)
      host.add('eth0.10', `10.10.0.${i + 1}/24`)
      return vlan
    })
    expect(vlans.map(({ name, mac }) => [name, mac])).toEqual([
      ['eth0.10', 0x0200_0000_0001],
      ['eth0.10', 0x0200_0000_0002],
    ])
    const wire = lab.sniff(cable.a)
    const { events } = a.ping('10.10.0.2')
    lab.run(0)
    expect(events.map(({ kind }) => kind)).toEqual(['reply'])
    expect(wire.seen.map(({ bytes }) => hex(bytes.subarray(12, 18)))).toEqual([
      '8100000a0806',
      '8100000a0806',
      '8100000a0800',
      '8100000a0800',
    ])
    expect(wire.seen[2]!.bytes.length).toBe(102)
    expect(vlans[0]!.statistics).toMatchObject({ txPackets: 2, txBytes: 140, rxPackets: 2 })
    expect(a.iface('eth0').statistics).toMatchObject({ txPackets: 2, txBytes: 148, rxPackets: 2 })
    a.addVlan(a.iface('eth0'), 11)
    a.add('eth0.11', '10.11.0.1/24')
    a.ping('10.11.0.2', { timeout: 10_000 })
    lab.run(100)
    expect(b.drops).toEqual({ 'vlan-unknown': 1 })
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('groups joined on a subinterface pass the interface below', () => {
    const { lab, a, b } = pair()
    const vlan = b.addVlan(b.iface('eth0'), 10, { mac: 0x0200_0000_1234 })
    b.add('eth0.10', '10.10.0.2/24')
    vlan.joinGroup(ip('239.1.2.3'))
    b.register(253, {
      receive: (_header, frame, from) => {
        seen.push(`${from.name} ${b.arrival}`)
        lab.world.frames.release(frame)
      },
      icmpError: () => {},
    })
    const seen: string[] = []
    const tagged = (mac: readonly number[], to: string): void => {
      const packet = ipv4Packet({ from: '10.10.0.1', to })
      b.iface('eth0').receive(lab.world.frame([...mac, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 10, 8, 0, ...packet]))
    }
    tagged([1, 0, 0x5e, 1, 2, 3], '239.1.2.3')
    tagged([2, 0, 0, 0, 0x12, 0x34], '10.10.0.2')
    tagged([1, 0, 0x5e, 1, 2, 4], '239.1.2.4')
    expect(seen).toEqual(['eth0.10 multicast', 'eth0.10 unicast'])
    expect(b.drops).toEqual({ 'eth-not-for-us': 1 })
    expect(b.iface('eth0').statistics.rxPackets).toBe(2)
    expect(a.drops).toEqual({})
  })

  test('a priority tag is only taken off', () => {
    const { lab, a, b } = pair()
    b.arp.setPermanent(b.iface('eth0'), ip('10.0.0.1'), 0x0200_0000_0001)
    const packet = ipv4Packet({ from: '10.0.0.1', to: '10.0.0.2' })
    b.settings.icmp_ratemask = 0
    b.iface('eth0').receive(lab.world.frame([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0xe0, 0, 8, 0, ...packet]))
    expect(b.mib.ip.InUnknownProtos).toBe(1)
    b.iface('eth0').receive(lab.world.frame([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0]))
    b.iface('eth0').receive(lab.world.frame([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xa8, 0, 10, 8, 0, ...packet]))
    expect(b.drops).toMatchObject({ 'eth-truncated': 1, 'vlan-unknown': 1 })
    expect(a.interfaces.length).toBe(2)
  })

  test('goes down and up with the interface below, and away with it', () => {
    const { a, cable } = pair()
    const vlan = a.addVlan(a.iface('eth0'), 10)
    expect(vlan.carrier).toBe(true)
    cable.setDown()
    expect(vlan.carrier).toBe(false)
    cable.setUp()
    a.iface('eth0').setUp(false)
    expect(vlan.carrier).toBe(false)
    a.iface('eth0').setUp(true)
    expect(vlan.carrier).toBe(true)
    a.removeInterface(a.iface('eth0'))
    expect(a.interfaces.map(({ name }) => name)).toEqual(['lo'])
  })

  test('identifiers that cannot be', () => {
    const { a } = pair()
    const eth0 = a.iface('eth0')
    a.addVlan(eth0, 10, { name: 'ten' })
    for (const id of [0, 4095, 1.5, 10]) expect(() => a.addVlan(eth0, id)).toThrow(TypeError)
    expect(() => a.addVlan(a.loopback, 5)).toThrow(TypeError)
    expect(a.interfaces.map(({ name }) => name)).toEqual(['lo', 'eth0', 'ten'])
  })
})

describe('what a link does not take as it is', () => {
  test('large segments are cut and checksums completed before they leave', () => {
    const { lab, a, cable } = pair()
    const wire = lab.sniff(cable.a)
    const frame = tcpFrame(lab.world, {
      medium: 'ip',
      payload: 3000,
      segmentSize: 1460,
      checksum: FrameChecksum.Partial,
    })
    a.iface('eth0').transmit(frame, 0x0200_0000_0002)
    expect(wire.seen.map(({ bytes }) => bytes.length)).toEqual([1514, 1514, 134])
    expect(a.iface('eth0').statistics).toMatchObject({ txPackets: 3, txBytes: 3162 })
    lab.run(0)
    expect(lab.world.frames.inUse).toBe(0)
  })

  test('and go whole over a link that takes them', () => {
    const { lab, a, cable } = pair({}, { maxSegmentedPacket: 65_535, checksumOffload: true })
    const wire = lab.sniff(cable.a)
    const frame = tcpFrame(lab.world, {
      medium: 'ip',
      payload: 3000,
      segmentSize: 1460,
      checksum: FrameChecksum.Partial,
    })
    a.iface('eth0').transmit(frame, 0x0200_0000_0002)
    expect(wire.seen.map(({ bytes }) => bytes.length)).toEqual([3054])
    lab.run(0)
  })

  test('what cannot be made to fit is dropped', () => {
    const { lab, a } = pair()
    const frame = tcpFrame(lab.world, {
      medium: 'ip',
      payload: 3000,
      segmentSize: 2000,
      checksum: FrameChecksum.Partial,
    })
    a.iface('eth0').transmit(frame, 0x0200_0000_0002)
    expect([a.drops, a.iface('eth0').statistics.txDropped]).toEqual([{ 'link-mtu': 1 }, 1])
    expect(lab.world.frames.inUse).toBe(0)
  })
})
