import { describe, expect, test } from 'vitest'
import { ip } from '../wire/address.ts'
import { fromHex, TestNet } from './testing.ts'

const host = (settings = {}) => {
  const lab = new TestNet()
  const a = lab.host6('a', { dad_transmits: 0, ...settings })
  const b = lab.host('b')
  const cable = lab.connect(a, 'eth0', b, 'eth0')
  a.add('eth0', '10.0.0.1/24')
  a.add('eth0', '2001:db8::1/64')
  a.route('0.0.0.0/0', '10.0.0.2')
  a.route('::/0', '2001:db8::2')
  const mtu = (to: string): number => {
    const way = a.resolve(ip(to))
    return typeof way === 'number' ? way : way.mtu
  }
  return { lab, a, cable, mtu }
}

describe('path MTU', () => {
  test('falls for the destination alone, and moves the generation on', () => {
    const { a, mtu } = host()
    const before = a.generation
    expect(a.updatePathMtu(ip('172.16.0.1'), 1400)).toBe(true)
    expect(a.generation).toBeGreaterThan(before)
    expect([mtu('172.16.0.1'), mtu('172.16.0.2')]).toEqual([1400, 1500])
    expect(a.paths.list()).toEqual([{ address: '172.16.0.1', mtu: 1400, locked: false, gateway: null, expiresIn: 600 }])
  })

  test('never rises by a message', () => {
    const { a, mtu } = host()
    expect(a.updatePathMtu(ip('172.16.0.1'), 1600)).toBe(false)
    a.updatePathMtu(ip('172.16.0.1'), 1000)
    expect(a.updatePathMtu(ip('172.16.0.1'), 1400)).toBe(false)
    expect(a.updatePathMtu(ip('172.16.0.1'), 1000)).toBe(false)
    expect(mtu('172.16.0.1')).toBe(1000)
  })

  test('not below 552 for IPv4, where packets may then be fragmented; less than 1280 is not believed for IPv6', () => {
    const { lab, a, cable, mtu } = host()
    a.updatePathMtu(ip('172.16.0.1'), 68)
    expect([1279, 0].map((less) => a.updatePathMtu(ip('2600::1'), less))).toEqual([false, false])
    expect(a.updatePathMtu(ip('2600::2'), 1280)).toBe(true)
    expect([mtu('172.16.0.1'), mtu('2600::1'), mtu('2600::2')]).toEqual([552, 1500, 1280])
    a.arp.setPermanent(a.iface('eth0'), ip('10.0.0.2'), 0x0200_0000_0002)
    lab.run(0)
    const wire = lab.sniff(cable.a)
    a.ping('172.16.0.1', { size: 500, dontFragment: true })
    a.ping('172.16.0.2', { size: 500, dontFragment: true })
    lab.run(0)
    expect(wire.ipv4(1).map(({ bytes }) => bytes[20])).toEqual([0, 0x40])
  })

  test('is forgotten after ten minutes', () => {
    const { lab, a, mtu } = host()
    a.updatePathMtu(ip('172.16.0.1'), 1400)
    a.updatePathMtu(ip('2600::1'), 1400)
    lab.run(300_000)
    a.updatePathMtu(ip('172.16.0.2'), 1300)
    lab.run(299_999)
    expect([mtu('172.16.0.1'), mtu('2600::1'), mtu('172.16.0.2')]).toEqual([1400, 1400, 1300])
    lab.run(2)
    expect([mtu('172.16.0.1'), mtu('2600::1'), mtu('172.16.0.2')]).toEqual([1500, 1500, 1300])
    lab.run(300_000)
    expect([mtu('172.16.0.2'), a.paths.size]).toEqual([1500, 0])
  })

  test('destinations that have no path have no path MTU', () => {
    const { a } = host()
    expect(a.updatePathMtu(ip('127.0.0.1'), 1400)).toBe(false)
    expect(a.updatePathMtu(ip('224.0.0.1'), 1400)).toBe(false)
    expect(a.paths.size).toBe(0)
  })

  describe('goes with the route it was learnt on (seen on Linux 6.18)', () => {
    const learnt = () => {
      const { a, mtu } = host()
      a.updatePathMtu(ip('172.16.0.1'), 1000)
      a.updatePathMtu(ip('2600::1'), 1300)
      return { a, both: () => [mtu('172.16.0.1'), mtu('2600::1')] }
    }

    test('other routes that come and go change nothing', () => {
      const { a, both } = learnt()
      a.route('172.20.0.0/16', '10.0.0.2')
      a.route('2700::/16', '2001:db8::2')
      a.routes.removeAll((route) => [16].includes(route.length))
      expect(both()).toEqual([1000, 1300])
    })

    test('a longer prefix to the same gateway: of one kind for IPv4, another route for IPv6', () => {
      const { a, both } = learnt()
      a.route('172.16.0.0/24', '10.0.0.2')
      a.route('2600::/64', '2001:db8::2')
      expect(both()).toEqual([1000, 1500])
      a.routes.removeAll(
        (route) => (route.length === 24 && route.gateway !== null) || route.destination.equals(ip('2600::')),
      )
      expect(both()).toEqual([1000, 1300])
    })

    test('a longer prefix to another gateway', () => {
      const { a, both } = learnt()
      a.route('172.16.0.0/24', '10.0.0.3')
      a.route('2600::/64', '2001:db8::3')
      expect(both()).toEqual([1500, 1500])
    })

    test('a changed route, and one that went and came back', () => {
      const { a, both } = learnt()
      const change = (gateway4: string, gateway6: string): void => {
        for (const [prefix, gateway] of [
          ['0.0.0.0', gateway4],
          ['::', gateway6],
        ] as const) {
          a.routes.replace({ prefix: { address: ip(prefix), length: 0 }, gateway: ip(gateway) })
        }
      }
      change('10.0.0.2', '2001:db8::2')
      expect(both()).toEqual([1000, 1500])
      change('10.0.0.3', '2001:db8::3')
      expect(both()).toEqual([1500, 1500])
      change('10.0.0.2', '2001:db8::2')
      expect(both()).toEqual([1500, 1500])
      expect(a.paths.size).toBe(0)
    })

    test('ip route flush cache', () => {
      const { a, both } = learnt()
      a.paths.flush(4)
      expect(both()).toEqual([1500, 1300])
      a.paths.flush(6)
      expect([...both(), a.paths.size]).toEqual([1500, 1500, 0])
    })
  })

  test('remembers so many destinations, and forgets the oldest first', () => {
    const { lab, a, mtu } = host()
    for (let i = 0; i < 4097; i++) {
      if (i === 1) lab.run(1000)
      a.updatePathMtu(ip(`172.16.${i >>> 8}.${i & 255}`), 1400)
    }
    expect(a.paths.size).toBe(4096)
    expect([mtu('172.16.0.0'), mtu('172.16.0.1'), mtu('172.16.16.0')]).toEqual([1500, 1400, 1400])
  })
})

describe('fragments on the way out', () => {
  test('offsets, flags, lengths and one identification; the largest datagram', () => {
    const { lab, a, cable } = host()
    a.arp.setPermanent(a.iface('eth0'), ip('10.0.0.2'), 0x0200_0000_0002)
    const wire = lab.sniff(cable.a)
    a.ping('10.0.0.2', { size: 3992 })
    lab.run(0)
    const packets = wire.ipv4(1).map(({ bytes }) => bytes.subarray(14))
    const fields = packets.map((p) => [(p[2]! << 8) | p[3]!, p[6]! >>> 5, (((p[6]! & 31) << 8) | p[7]!) * 8])
    expect(fields).toEqual([
      [1500, 1, 0],
      [1500, 1, 1480],
      [1060, 0, 2960],
    ])
    expect(new Set(packets.map((p) => (p[4]! << 8) | p[5]!)).size).toBe(1)
    const data = packets.flatMap((p) => [...p.subarray(20)]).slice(8)
    expect(data).toEqual(Array.from({ length: 3992 }, (_, i) => i & 255))
    expect([a.mib.ip.OutRequests, a.mib.ip.FragOKs, a.mib.ip.FragCreates]).toEqual([1, 1, 3])
    expect(a.ping('10.0.0.2', { size: 65_507 }).events).toEqual([])
    expect(a.ping('10.0.0.2', { size: 65_508 }).events).toMatchObject([{ kind: 'unsent', errno: 90 }])
    lab.run(0)
    expect(lab.world.frames.inUse).toBe(0)
  })

  test('of the options only those are copied that are to be', () => {
    const { lab, a, cable } = host()
    a.arp.setPermanent(a.iface('eth0'), ip('10.0.0.2'), 0x0200_0000_0002)
    const b = lab.router('r')
    lab.connect(b, 'in', lab.host('x'), 'eth0')
    lab.connect(b, 'out', lab.host('y'), 'eth0', { mtu: 100 })
    b.add('in', '10.5.0.1/24')
    b.add('out', '10.6.0.1/24')
    b.arp.setPermanent(b.iface('out'), ip('10.6.0.2'), 0x0200_0000_0077)
    const wire = lab.sniff(b.iface('out').port)
    // Router alert (copied) and record route (not): 4 + 7 + 1 bytes; 120 of payload.
    const packet = new Uint8Array(32 + 120)
    packet.set(fromHex('48000098 abcd0000 40fd0000 0a050002 0a060002 94040000 07070400000000 01'))
    const view = new DataView(packet.buffer)
    let sum = 0
    for (let i = 0; i < 32; i += 2) sum += view.getUint16(i)
    sum = (sum & 0xffff) + (sum >>> 16)
    view.setUint16(10, ~((sum & 0xffff) + (sum >>> 16)) & 0xffff)
    b.receive('in', packet)
    lab.run(0)
    const options = wire.ipv4(253).map(({ bytes }) => [...bytes.subarray(34, 46)])
    expect(options).toEqual([
      [0x94, 4, 0, 0, 7, 7, 8, 10, 6, 0, 1, 1],
      [0x94, 4, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1],
    ])
    expect(wire.ipv4(253).map(({ bytes }) => bytes.length - 14)).toEqual([96, 88])
    expect(cable.a.carrier).toBe(true)
  })

  test('IPv6: the fragment header, and identifications that differ from packet to packet', () => {
    const { lab, a, cable } = host()
    lab.run(100)
    a.nd.setPermanent(a.iface('eth0'), ip('2001:db8::2'), 0x0200_0000_0002)
    const wire = lab.sniff(cable.a)
    a.ping('2001:db8::2', { size: 2000 })
    a.ping('2001:db8::2', { size: 2000 })
    lab.run(0)
    const packets = wire.ofType(0x86dd).map(({ bytes }) => bytes.subarray(14))
    const fields = packets.map((p) => {
      const view = new DataView(p.buffer, p.byteOffset)
      return [p.length, view.getUint16(4), p[6], p[40], view.getUint16(42)]
    })
    expect(fields).toEqual([
      [1496, 1456, 44, 58, 1],
      [608, 568, 44, 58, 1448],
      [1496, 1456, 44, 58, 1],
      [608, 568, 44, 58, 1448],
    ])
    const idents = packets.map((p) => new DataView(p.buffer, p.byteOffset).getUint32(44))
    expect([idents[0] === idents[1], idents[2] === idents[3], idents[0] === idents[2]]).toEqual([true, true, false])
  })
})

test('identifications of one destination count up, those of another begin elsewhere', () => {
  const { lab, a, cable } = host()
  a.arp.setPermanent(a.iface('eth0'), ip('10.0.0.2'), 0x0200_0000_0002)
  const wire = lab.sniff(cable.a)
  for (const to of ['172.16.0.1', '172.16.0.1', '172.16.0.9', '172.16.0.1']) a.ping(to)
  lab.run(0)
  const [first, second, other, third] = wire.ipv4(1).map(({ bytes }) => (bytes[18]! << 8) | bytes[19]!)
  expect([second, third]).toEqual([(first! + 1) & 0xffff, (first! + 2) & 0xffff])
  expect(other).not.toBe((first! + 2) & 0xffff)
  expect(other).not.toBe((first! + 3) & 0xffff)
})
