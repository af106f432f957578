import { describe, expect, test } from 'vitest'
import { Errno } from '../core/errno.ts'
import { ip } from '../wire/address.ts'
import { packRecords } from './group-reporter.ts'
import { fromHex, hex, icmpMessage, ipv4Packet, ipv6Packet, naiveSum, type Sniffer, TestNet } from './testing.ts'

const IGMP = 2
const ROUTER_ALERT = fromHex('94040000')

/** Host a, 10.0.0.1, whose groups a router at the other end could hear of. */
const host = (settings = {}, v6 = false) => {
  const lab = new TestNet()
  const a = v6 ? lab.host6('a', { dad_transmits: 0, ...settings }) : lab.host('a', settings)
  const b = lab.host('b')
  const cable = lab.connect(a, 'eth0', b, 'eth0')
  a.add('eth0', '10.0.0.1/24')
  lab.run(5000)
  return { lab, a, eth0: a.iface('eth0'), wire: lab.sniff(cable.a) }
}

/** The IGMP messages seen since the last call, behind the IP header with router alert. */
const igmp = (wire: Sniffer): string[] => {
  const messages = wire.ipv4(IGMP).map(({ bytes }) => hex(bytes.subarray(38)))
  wire.clear()
  return messages
}

/** A query with checksum: version 3 if there is more than eight bytes of it. */
const query = (text: string, to = '224.0.0.1'): Uint8Array => {
  const payload = fromHex(text)
  new DataView(payload.buffer).setUint16(2, 0)
  new DataView(payload.buffer).setUint16(2, ~naiveSum(payload) & 0xffff)
  return ipv4Packet({ from: '10.0.0.2', to, protocol: IGMP, ttl: 1, options: ROUTER_ALERT, payload })
}
const ALL_HOSTS_MAC = 0x0100_5e00_0001

describe('IGMPv3', () => {
  test('join and leave: reported at once and once more within a second', () => {
    const { lab, eth0, wire } = host()
    const member = eth0.joinGroup(ip('239.1.2.3'))
    const [first] = wire.ipv4(IGMP)
    // To 224.0.0.22, TTL 1, precedence of internetwork control, DF, router alert.
    expect(hex(first!.bytes.subarray(0, 6))).toBe('01005e000016')
    const header = first!.bytes.subarray(14, 38)
    expect([header[0], header[1], header[6], header[8], hex(header.subarray(12))]).toEqual([
      0x46,
      0xc0,
      0x40,
      1,
      '0a000001e000001694040000',
    ])
    lab.run(1001)
    const [report, again, ...more] = igmp(wire)
    expect(report).toBe('2200e8f90000000104000000ef010203')
    expect([again, more]).toEqual([report, []])
    eth0.leaveGroup(member)
    lab.run(1001)
    const left = '2200e9f90000000103000000ef010203'
    expect(igmp(wire)).toEqual([left, left])
    lab.run(100_000)
    expect(igmp(wire)).toEqual([])
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('a second socket changes nothing, and only the last one leaves', () => {
    const { lab, eth0, wire } = host()
    const first = eth0.joinGroup(ip('239.1.2.3'))
    const second = eth0.joinGroup(ip('239.1.2.3'))
    lab.run(2000)
    expect(igmp(wire).length).toBe(2)
    eth0.leaveGroup(first)
    lab.run(2000)
    expect(igmp(wire)).toEqual([])
    expect(eth0.groups.list().map(({ group, members }) => [group, members])).toEqual([
      ['224.0.0.1', 1],
      ['239.1.2.3', 1],
    ])
    eth0.leaveGroup(second)
    eth0.leaveGroup(second)
    expect(eth0.groups.list().length).toBe(1)
  })

  test('sources: what each member wants is merged, and changes are told as changes', () => {
    const { lab, a, eth0, wire } = host({ igmp_qrv: 1 })
    const group = ip('239.1.2.3')
    const one = eth0.joinGroup(group)
    igmp(wire)
    const records = (): string[] => igmp(wire).map((text) => text.slice(16))
    one.setFilter('include', [ip('10.0.0.5')])
    expect(records()).toEqual(['03000001ef0102030a000005'])
    one.setFilter('include', [ip('10.0.0.5'), ip('10.0.0.6')])
    expect(records()).toEqual(['05000001ef0102030a000006'])
    one.setFilter('include', [ip('10.0.0.6')])
    expect(records()).toEqual(['06000001ef0102030a000005'])
    // A member that excludes one source: excluded together is what no other wants.
    const two = eth0.joinGroup(group)
    two.setFilter('exclude', [ip('10.0.0.6'), ip('10.0.0.7')])
    expect(records()).toEqual(['04000000ef010203', '06000001ef0102030a000007'])
    expect(eth0.groups.list()[1]).toMatchObject({ mode: 'exclude', sources: ['10.0.0.7'] })
    eth0.leaveGroup(two)
    expect(records()).toEqual(['03000001ef0102030a000006'])
    const found = a.groups.get(0, 0, 0xffff, group.w3, eth0.index)!
    expect([5, 6].map((n) => found.admits(0, 0, 0xffff, 0x0a00_0000 + n))).toEqual([false, true])
    const many = Array.from({ length: 11 }, (_, i) => ip(`10.0.1.${i}`))
    expect(one.setFilter('include', many)).toBe(-Errno.ENOBUFS)
    lab.run(5000)
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('a general query is answered with every group, after a random time within the limit', () => {
    const times = new Set<number>()
    for (let seed = 1; seed <= 3; seed++) {
      const lab = new TestNet(seed)
      const a = lab.host('a')
      const cable = lab.connect(a, 'eth0', lab.host('b'), 'eth0')
      a.add('eth0', '10.0.0.1/24')
      const eth0 = a.iface('eth0')
      eth0.joinGroup(ip('239.1.2.3'))
      eth0.joinGroup(ip('239.1.2.4')).setFilter('include', [ip('10.0.0.5')])
      lab.run(5000)
      const wire = lab.sniff(cable.a)
      const asked = lab.world.loop.now
      a.receive('eth0', query('1132 0000 00000000 027d 0000'), ALL_HOSTS_MAC)
      lab.run(5001)
      const [answer] = wire.ipv4(IGMP)
      expect(answer!.time - asked).toBeLessThan(5_000_000)
      times.add(answer!.time)
      expect(igmp(wire).map((text) => text.slice(8))).toEqual(['0000000202000000ef01020301000001ef0102040a000005'])
    }
    expect(times.size).toBe(3)
  })

  test('a question about a group needs no answer when one about all comes sooner', () => {
    const { lab, a, eth0, wire } = host()
    eth0.joinGroup(ip('239.1.2.3'))
    lab.run(5000)
    igmp(wire)
    a.receive('eth0', query('1101 0000 00000000 027d 0000'), ALL_HOSTS_MAC)
    // Within a tenth of a second, and within 307.2 s: with this seed the second would be later.
    a.receive('eth0', query('11c8 0000 ef010203 027d 0000', '239.1.2.3'), 0x0100_5e01_0203)
    lab.run(310_000)
    expect(igmp(wire).map((text) => text.slice(16))).toEqual(['02000000ef010203'])
  })

  test('a query about a group, and about sources of it', () => {
    const { lab, a, eth0, wire } = host()
    eth0.joinGroup(ip('239.1.2.3')).setFilter('exclude', [ip('10.0.0.6')])
    lab.run(5000)
    igmp(wire)
    const ask = (text: string): string[] => {
      a.receive('eth0', query(text, '239.1.2.3'), 0x0100_5e01_0203)
      lab.run(2000)
      return igmp(wire).map((answer) => answer.slice(16))
    }
    expect(ask('110a 0000 ef010203 027d 0000')).toEqual(['02000001ef0102030a000006'])
    expect(ask('110a 0000 ef010203 027d 0002 0a000005 0a000006')).toEqual(['01000001ef0102030a000005'])
    expect(ask('110a 0000 ef010203 027d 0001 0a000006')).toEqual([])
    expect(ask('110a 0000 ef010299 027d 0000')).toEqual([])
  })
})

describe('towards old routers', () => {
  test('IGMPv2: reports to the group itself, a leave, and silence when somebody else has reported', () => {
    const { lab, a, eth0, wire } = host()
    a.receive('eth0', query('1164 0000 00000000'), ALL_HOSTS_MAC)
    expect(eth0.groups.reporter(ip('239.1.2.3')).version).toBe(2)
    const member = eth0.joinGroup(ip('239.1.2.3'))
    const [frame] = wire.ipv4(IGMP)
    expect(hex(frame!.bytes.subarray(30, 34))).toBe('ef010203')
    lab.run(11_000)
    const [first, second, ...more] = igmp(wire)
    expect([first, more]).toEqual(['1600f8faef010203', []])
    expect(second).toBe(first)
    a.receive('eth0', query('1164 0000 00000000'), ALL_HOSTS_MAC)
    lab.run(10_001)
    expect(igmp(wire)).toEqual([first])
    // Another host answers first.
    a.receive('eth0', query('1164 0000 00000000'), ALL_HOSTS_MAC)
    const heard = ipv4Packet({
      from: '10.0.0.3',
      to: '239.1.2.3',
      protocol: IGMP,
      ttl: 1,
      options: ROUTER_ALERT,
      payload: fromHex('1600f8faef010203'),
    })
    a.receive('eth0', heard, 0x0100_5e01_0203)
    lab.run(10_001)
    expect(igmp(wire)).toEqual([])
    // It was not the last to report: no leave. Then it is.
    eth0.leaveGroup(member)
    expect(igmp(wire)).toEqual([])
    const again = eth0.joinGroup(ip('239.1.2.3'))
    lab.run(11_000)
    igmp(wire)
    eth0.leaveGroup(again)
    expect(igmp(wire)).toEqual(['1700f7faef010203'])
    lab.run(260_000)
    expect(eth0.groups.reporter(ip('239.1.2.3')).version).toBe(3)
  })

  test('queries about ever more sources: from a thousand on they are about all', () => {
    const { lab, a, eth0, wire } = host()
    const member = eth0.joinGroup(ip('239.1.2.3'))
    lab.run(5000)
    igmp(wire)
    const ask = (first: number): void => {
      const sources = Array.from({ length: 300 }, (_, i) => (0x0a63_0000 + first + i).toString(16).padStart(8, '0'))
      a.receive('eth0', query(`11640000 ef010203 0202 012c ${sources.join('')}`, '239.1.2.3'), 0x0100_5e01_0203)
    }
    for (let i = 0; i < 3; i++) ask(i * 300)
    expect(member.group.queriedSources).toHaveLength(900)
    ask(900)
    expect(member.group.queriedSources).toBe(null)
    ask(1200)
    expect(member.group.queriedSources).toBe(null)
    lab.run(11_000)
    // One record: what the host hears of the group is all.
    expect(igmp(wire).map((report) => report.slice(8))).toEqual(['00000001' + '02000000' + 'ef010203'])
  })

  test('IGMPv1: no maximum response means ten seconds, and there is no leave', () => {
    const { lab, a, eth0, wire } = host()
    a.receive('eth0', query('1100 0000 00000000'), ALL_HOSTS_MAC)
    const member = eth0.joinGroup(ip('239.1.2.3'))
    lab.run(11_000)
    expect(igmp(wire)).toEqual(['1200fcfaef010203', '1200fcfaef010203'])
    eth0.leaveGroup(member)
    expect(igmp(wire)).toEqual([])
  })

  test('force_igmp_version', () => {
    const { eth0, wire } = host({ force_igmp_version: 2 })
    eth0.joinGroup(ip('239.1.2.3'))
    expect(igmp(wire)).toEqual(['1600f8faef010203'])
  })
})

test('an address goes with its interface while an old querier waits for reports: no timer stays', () => {
  const { lab, a, eth0 } = host({}, true)
  a.add('eth0', 'fe80::77/64')
  const question = icmpMessage(130, 0, 10_000 << 16, new Uint8Array(16))
  a.receive('eth0', ipv6Packet({ from: 'fe80::2', to: 'ff02::1', nextHeader: 58, hopLimit: 1, payload: question }))
  a.receive(
    'eth0',
    ipv6Packet({
      from: 'fe80::2',
      to: 'ff02::1',
      nextHeader: 0,
      hopLimit: 1,
      payload: new Uint8Array([58, 0, 5, 2, 0, 0, 1, 0, ...question]),
    }),
    0x3333_0000_0001,
  )
  expect(eth0.groups.all.filter(({ timer }) => timer.isSet)).not.toEqual([])
  eth0.setUp(false)
  expect(lab.close()).toEqual({ frames: 0, timers: 0 })
})

test('broken messages have a reason, and link-local groups are reported only if wanted', () => {
  const { a, eth0, wire } = host({ igmp_link_local_mcast_reports: 0 })
  const send = (payload: Uint8Array): void =>
    a.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: '224.0.0.1', protocol: IGMP, ttl: 1, payload }), ALL_HOSTS_MAC)
  send(fromHex('1164'))
  send(fromHex('11640000 00000000'))
  send(query('99000000 00000000').subarray(24))
  expect(a.drops).toEqual({ 'igmp-truncated': 1, 'igmp-checksum': 1, 'igmp-type': 1 })
  eth0.joinGroup(ip('224.0.0.251'))
  expect(igmp(wire)).toEqual([])
})

test('the carrier comes back: every group is reported anew', () => {
  const lab = new TestNet()
  const a = lab.host('a')
  const cable = lab.connect(a, 'eth0', lab.host('b'), 'eth0')
  a.add('eth0', '10.0.0.1/24')
  a.iface('eth0').joinGroup(ip('239.1.2.3'))
  lab.run(5000)
  const wire = lab.sniff(cable.a)
  cable.setDown()
  lab.run(1000)
  cable.setUp()
  lab.run(2000)
  expect(igmp(wire).map((text) => text.slice(16))).toEqual(['04000000ef010203', '04000000ef010203'])
})

describe('MLD', () => {
  const mld = (wire: Sniffer, type: number): string[] => {
    const messages = wire.icmpv6(type).map(({ bytes }) => hex(bytes.subarray(62)))
    wire.clear()
    return messages
  }

  test('version 2: reports to ff02::16 with hop limit 1 and a router alert', () => {
    const { lab, a, eth0, wire } = host({}, true)
    const member = eth0.joinGroup(ip('ff05::7'))
    const [first] = wire.icmpv6(143)
    const packet = first!.bytes.subarray(14)
    const linkLocal = a.iface('eth0').linkLocal!
    expect(hex(first!.bytes.subarray(0, 6))).toBe('333300000016')
    expect([packet[6], packet[7], hex(packet.subarray(24, 48))]).toEqual([
      0,
      1,
      'ff020000000000000000000000000016' + '3a00050200000100',
    ])
    expect(hex(packet.subarray(8, 24))).toBe(hex(ipv6Packet({ from: `${linkLocal}`, to: '::' }).subarray(8, 24)))
    lab.run(1001)
    const record = '04000000ff050000000000000000000000000007'
    expect(mld(wire, 143).map((text) => text.slice(16))).toEqual([record, record])
    eth0.leaveGroup(member)
    lab.run(1001)
    const left = '03000000ff050000000000000000000000000007'
    expect(mld(wire, 143).map((text) => text.slice(16))).toEqual([left, left])
    expect([a.mib.icmp6.OutMLDv2Reports > 3, a.mib.ip6.OutMcastPkts > 3]).toEqual([true, true])
  })

  test('while the link-local address is checked reports come from ::, and once more from it', () => {
    const lab = new TestNet()
    const a = lab.host6('a')
    const cable = lab.connect(a, 'eth0', lab.host('b'), 'eth0')
    const wire = lab.sniff(cable.a)
    lab.run(5000)
    const sources = wire.icmpv6(143).map(({ bytes }) => hex(bytes.subarray(22, 38)))
    const linkLocal = 'fe80000000000000000000fffe000001'
    // The first went before the wire was watched.
    expect(sources).toEqual(['0'.repeat(32), linkLocal, linkLocal])
  })

  test('version 1 towards an old router: report, done', () => {
    const { lab, a, eth0, wire } = host({}, true)
    const message = icmpMessage(130, 0, 1000 << 16, new Uint8Array(16))
    const packet = ipv6Packet({
      from: 'fe80::2',
      to: 'ff02::1',
      nextHeader: 0,
      hopLimit: 1,
      payload: new Uint8Array([...fromHex('3a00050200000100'), ...message]),
    })
    // The checksum counts the pseudo-header of the message alone.
    const alone = ipv6Packet({ from: 'fe80::2', to: 'ff02::1', nextHeader: 58, hopLimit: 1, payload: message })
    packet.set(alone.subarray(40), 48)
    a.receive('eth0', packet, 0x3333_0000_0001)
    expect(a.drops).toEqual({})
    expect(eth0.groups.reporter(ip('ff05::7')).version).toBe(2)
    lab.run(1001)
    wire.clear()
    const member = eth0.joinGroup(ip('ff05::7'))
    const group = 'ff050000000000000000000000000007'
    expect(mld(wire, 131).map((text) => text.slice(16))).toEqual([group])
    eth0.leaveGroup(member)
    expect(mld(wire, 132).map((text) => text.slice(16))).toEqual([group])
  })

  test('groups of the interface alone, and ff02::1, are never reported', () => {
    const { eth0, wire } = host({}, true)
    eth0.joinGroup(ip('ff01::7'))
    eth0.joinGroup(ip('ff02::1'))
    expect(wire.seen).toEqual([])
  })
})

test('records are shared out to reports that fit', () => {
  const sources = Array.from({ length: 10 }, (_, i) => ip(`10.0.0.${i}`))
  const group = ip('239.1.2.3')
  // A record with n sources takes 8 + 4n bytes.
  const sizes = (type: number): number[][] =>
    packRecords(
      [
        { type, group, sources },
        { type: 1, group, sources: [] },
      ],
      32,
      4,
    ).map((batch) => batch.map((record) => record.sources.length))
  expect(sizes(1)).toEqual([[6], [4, 0]])
  // A list of those not wanted is cut short: what is left out comes anyway.
  expect(sizes(2)).toEqual([[6], [0]])
})
