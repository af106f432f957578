import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ip } from '../wire/address.ts'
import { ETHERNET_HEADER } from '../wire/ethernet.ts'
import {
  fromHex,
  icmpMessage,
  ipv4Packet,
  ipv6Packet,
  naiveSum,
  net,
  type TestHost,
  TestNet,
  udpDatagram,
} from './testing.ts'

/**
 * Whatever comes from the wire, nothing throws, every frame comes back to the pool, and every packet is either
 * delivered or dropped for a reason. The frames are real ones, changed in places; in some the checksums are made right
 * again, so that the changes get deeper in.
 */

/** Frames of every protocol that this layer speaks, as they pass a wire. */
const corpus = (): Uint8Array[] => {
  const lab = new TestNet()
  const a = lab.host6('a', { accept_ra_rt_info_max_plen: 64 })
  const r = lab.router('r', { disable_ipv6: 0 })
  const cable = lab.connect(a, 'eth0', r, 'eth0')
  const frames = lab.sniff(cable.a)
  a.add('eth0', '10.0.0.1/24', { probe: true })
  r.add('eth0', '10.0.0.2/24')
  r.add('eth0', '2001:db8::2/64')
  r.iface('eth0').ndp.advertise({
    prefixes: [{ prefix: net('2001:db8::/64') }],
    routes: [{ prefix: net('2001:db8:5::/48') }],
    dnsServers: [ip('2001:db8::53')],
    mtu: 1400,
  })
  lab.run(20_000)
  a.iface('eth0')
    .joinGroup(ip('239.1.2.3'))
    .setFilter('include', [ip('10.0.0.2')])
  a.iface('eth0').joinGroup(ip('ff05::7'))
  a.ping('10.0.0.2', { size: 20 })
  a.ping('10.0.0.2', { size: 2000 })
  a.ping('2001:db8::2', { size: 2000 })
  a.route('0.0.0.0/0', '10.0.0.2')
  a.ping('172.16.0.1')
  a.ping('2600::1')
  lab.run(2000)
  const query3 = fromHex('110a0000ef010203027d00010a000002')
  new DataView(query3.buffer).setUint16(2, ~naiveSum(query3) & 0xffff)
  const mldQuery = icmpMessage(130, 0, 1000 << 16, new Uint8Array(20))
  const extensions = fromHex('2b00050200000100 3c00000000000000 2c00010400000000 fd00000000000007')
  const made = [
    ipv4Packet({
      from: '10.0.0.2',
      to: '224.0.0.1',
      protocol: 2,
      ttl: 1,
      options: fromHex('94040000'),
      payload: query3,
    }),
    ipv4Packet({
      from: '10.0.0.2',
      to: '10.0.0.1',
      options: fromHex('070b04000000000000000001'),
      payload: udpDatagram(1, 2),
    }),
    ipv4Packet({ from: '10.0.0.2', to: '10.0.0.1', protocol: 17, payload: udpDatagram(1, 2, new Uint8Array(9)) }),
    ipv4Packet({
      from: '10.0.0.2',
      to: '10.0.0.1',
      protocol: 1,
      payload: icmpMessage(
        5,
        1,
        0x0a00_0003,
        ipv4Packet({ from: '10.0.0.1', to: '172.16.0.1', payload: new Uint8Array(8) }),
      ),
    }),
    ipv6Packet({ from: 'fe80::ff:fe00:2', to: 'ff02::1', nextHeader: 58, hopLimit: 1, payload: mldQuery }),
    ipv6Packet({ from: '2001:db8::2', to: '2001:db8::ff:fe00:1', nextHeader: 0, payload: extensions }),
  ]
  return [
    ...frames.seen.map(({ bytes }) => bytes),
    ...made.map(
      (packet) =>
        new Uint8Array([
          2,
          0,
          0,
          0,
          0,
          1,
          2,
          0,
          0,
          0,
          0,
          2,
          packet[0]! >>> 4 === 4 ? 8 : 0x86,
          packet[0]! >>> 4 === 4 ? 0 : 0xdd,
          ...packet,
        ]),
    ),
  ]
}

interface Change {
  readonly at: number
  readonly kind: 'flip' | 'set' | 'cut' | 'grow' | 'copy'
  readonly value: number
}

const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat({ max: 200 }),
  kind: fc.constantFrom('flip', 'flip', 'set', 'set', 'cut', 'grow', 'copy'),
  value: fc.nat({ max: 255 }),
})

const apply = (frame: Uint8Array, { at, kind, value }: Change): Uint8Array => {
  if (kind === 'cut') return frame.slice(0, Math.max(0, frame.length - 1 - (value % 64)))
  if (kind === 'grow') return new Uint8Array([...frame, ...new Uint8Array(value % 40).fill(value)])
  const changed = frame.slice()
  // Mostly behind the Ethernet header, where it is more interesting.
  const place = value % 8 === 0 ? at : at + ETHERNET_HEADER
  if (place >= changed.length) return changed
  if (kind === 'flip') changed[place]! ^= 1 << (value & 7)
  else if (kind === 'set') changed[place] = value
  else changed[place] = changed[value % changed.length]!
  return changed
}

/** Makes the checksums of the IP header and of an ICMP, IGMP or ICMPv6 message right. */
const mend = (frame: Uint8Array): void => {
  const packet = frame.subarray(14)
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
  if (packet.length >= 20 && packet[0]! >>> 4 === 4) {
    const header = (packet[0]! & 15) << 2
    if (header < 20 || header > packet.length) return
    view.setUint16(10, 0)
    view.setUint16(10, ~naiveSum(packet.subarray(0, header)) & 0xffff)
    const end = Math.min(view.getUint16(2), packet.length)
    if ((packet[9] === 1 || packet[9] === 2) && end >= header + 4) {
      view.setUint16(header + 2, 0)
      view.setUint16(header + 2, ~naiveSum(packet.subarray(header, end)) & 0xffff)
    }
  } else if (packet.length >= 48 && packet[0]! >>> 4 === 6) {
    const at = packet[6] === 0 ? 48 : 40
    if (packet[at === 48 ? 40 : 6] !== 58) return
    const end = Math.min(40 + view.getUint16(4), packet.length)
    if (end < at + 4) return
    view.setUint16(at + 2, 0)
    const length = end - at
    const pseudo = [...packet.subarray(8, 40), 0, 0, length >>> 8, length & 255, 0, 0, 0, 58]
    view.setUint16(at + 2, ~naiveSum(new Uint8Array([...pseudo, ...packet.subarray(at, end)])) & 0xffff)
  }
}

/** Everything that an IP packet can have become: delivered, passed on, taken for reassembly, or dropped. */
const accounted = (host: TestHost): number => {
  const { ip: v4, ip6, drops } = host.mib
  const done = v4.InDelivers + ip6.InDelivers + v4.ForwDatagrams + ip6.OutForwDatagrams
  return done + v4.ReasmReqds + ip6.ReasmReqds + drops.reduce((sum, n) => sum + n)
}

/** ARP packets that are taken in count nowhere. */
const isArp = (frame: Uint8Array): boolean => {
  const at = frame[12] === 0x81 && frame[13] === 0 ? 16 : 12
  return frame[at] === 8 && frame[at + 1] === 6
}

const victim = (lab: TestNet): TestHost => {
  const host = lab.host6('victim', { ip_forward: 1, ipv6_forwarding: 0, dad_transmits: 0, accept_ra: 2 })
  lab.plug(host, 'eth0', lab.lan().connect().a)
  host.add('eth0', '10.0.0.1/24')
  host.add('eth0', '10.0.0.3/24', { probe: true })
  host.iface('eth0').joinGroup(ip('239.1.2.3'))
  host.route('0.0.0.0/0', '10.0.0.2')
  host.register(17, {
    receive: (header, frame, from) => {
      host.portUnreachable(header, frame, from)
      lab.world.frames.release(frame)
    },
    icmpError: () => {},
  })
  host.addVlan(host.iface('eth0'), 10)
  return host
}

const frames = corpus()

test('the corpus has every protocol in it', () => {
  const kinds = new Set(
    frames.map((frame) => {
      const type = (frame[12]! << 8) | frame[13]!
      if (type === 0x0806) return 'arp'
      if (type === 0x0800) return `4:${frame[23]}`
      const hop = frame[20] === 0
      return `6:${hop ? frame[54] : frame[20]}:${frame[20] === 58 ? frame[54] : hop ? frame[62] : ''}`
    }),
  )
  const wanted = [
    'arp',
    '4:1',
    '4:2',
    '4:17',
    '6:58:133',
    '6:58:134',
    '6:58:135',
    '6:58:136',
    '6:58:1',
    '6:44:',
    '6:58:143',
  ]
  expect([...kinds]).toEqual(expect.arrayContaining(wanted))
})

test.each([false, true])('changed frames, checksums mended: %s', (mended) => {
  const input = fc.record({ index: fc.nat({ max: frames.length - 1 }), changes: fc.array(change, { maxLength: 6 }) })
  fc.assert(
    fc.property(fc.array(input, { minLength: 1, maxLength: 40 }), (inputs) => {
      const lab = new TestNet()
      const host = victim(lab)
      lab.run(5000)
      const eth0 = host.iface('eth0')
      let given = 0
      const before = accounted(host)
      for (const { index, changes } of inputs) {
        const frame = changes.reduce(apply, frames[index]!)
        if (mended && frame.length > 14) mend(frame)
        eth0.receive(lab.world.frame(frame))
        if (!isArp(frame)) given++
        lab.run(index % 7 === 0 ? 300 : 0)
      }
      lab.run(120_000)
      // A packet may count more than once, where answers are kept back or fragments given up; never not at all.
      expect(accounted(host) - before).toBeGreaterThanOrEqual(given)
      expect(lab.close()).toEqual({ frames: 0, timers: 0 })
    }),
    { numRuns: 120 },
  )
})

test('random bytes', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 120 }), { maxLength: 30 }), fc.boolean(), (inputs, asIp) => {
      const lab = new TestNet()
      const host = victim(lab)
      const eth0 = host.iface('eth0')
      for (const bytes of inputs) {
        const header = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd]
        if ((bytes[0] ?? 0) >>> 4 === 4) header.splice(12, 2, 8, 0)
        eth0.receive(lab.world.frame(asIp ? [...header, ...bytes] : bytes))
      }
      lab.run(1000)
      expect(lab.close()).toEqual({ frames: 0, timers: 0 })
    }),
    { numRuns: 200 },
  )
})

test('every truncation of every frame of the corpus', () => {
  const lab = new TestNet()
  const host = victim(lab)
  const eth0 = host.iface('eth0')
  for (const frame of frames) {
    for (let length = 0; length < Math.min(frame.length, 160); length++) {
      eth0.receive(lab.world.frame(frame.subarray(0, length)))
    }
  }
  lab.run(120_000)
  expect(lab.close()).toEqual({ frames: 0, timers: 0 })
})

test('a flood of fragments, solicitations and echoes leaves tables within their bounds', () => {
  const lab = new TestNet()
  const host = victim(lab)
  lab.run(5000)
  const payload = new Uint8Array(64)
  for (let i = 0; i < 5000; i++) {
    const from = `10.0.${i >>> 8}.${i & 255}`
    host.receive('eth0', ipv4Packet({ from, to: '10.0.0.1', id: i, fragment: 0x2000, payload }))
    host.receive('eth0', ipv4Packet({ from, to: '10.0.0.1', protocol: 1, payload: icmpMessage(8, 0, i) }))
    host.receive('eth0', ipv4Packet({ from: '10.0.0.2', to: `10.0.${i >>> 8}.${i & 255}`, payload }))
  }
  expect(host.arp.size).toBeLessThanOrEqual(1024)
  expect(host.reassembly.memory(4)).toBeLessThanOrEqual(4_194_304 + 768)
  lab.run(60_000)
  expect(lab.close()).toEqual({ frames: 0, timers: 0 })
})

test('a flood of router advertisements is remembered within bounds', () => {
  const lab = new TestNet()
  const host = lab.host6('host', { dad_transmits: 0, accept_ra_rt_info_max_plen: 64 })
  lab.connect(host, 'eth0', lab.host('other'), 'eth0')
  lab.run(5000)
  const word = (value: number): string => value.toString(16).padStart(8, '0')
  for (let i = 0; i < 200; i++) {
    const prefix = `030440c0 ffffffff ffffffff 00000000 20010db8 ${word(i)} 0000000000000000`
    const route = `18024000 ffffffff 20010db8 ${word(0x8000_0000 + i)}`
    const server = `19030000 ffffffff 20010db8 0000000000000000 ${word(i)}`
    const payload = fromHex(`8600 0000 40000708 00000000 00000000 ${prefix}${route}${server}`)
    const from = `fe80::${(0x100 + i).toString(16)}`
    host.receive('eth0', ipv6Packet({ from, to: 'ff02::1', nextHeader: 58, hopLimit: 255, payload }), 0x3333_0000_0001)
  }
  const { ndp } = host.iface('eth0')
  const learnt = host.routes.list(6).filter(({ protocol }) => protocol === 'ra')
  const onLink = host.routes
    .list(6)
    .filter(({ destination }) => destination.startsWith('2001:') && destination.endsWith('/64'))
  expect([
    ndp.dnsServers.length,
    learnt.length,
    onLink.length - learnt.filter(({ destination }) => destination !== 'default').length,
  ]).toEqual([16, 64, 64])
  // Who is known is still heard.
  const bye = fromHex('8600 0000 40000000 00000000 00000000')
  host.receive(
    'eth0',
    ipv6Packet({ from: 'fe80::100', to: 'ff02::1', nextHeader: 58, hopLimit: 255, payload: bye }),
    0x3333_0000_0001,
  )
  expect(
    host.routes.list(6).filter(({ gateway, destination }) => gateway === 'fe80::100' && destination === 'default'),
  ).toEqual([])
  expect(lab.close()).toEqual({ frames: 0, timers: 0 })
})

test('a frame of nothing but priority tags is no stack of calls', () => {
  const lab = new TestNet()
  const host = lab.host('host')
  lab.connect(host, 'eth0', lab.host('other'), 'eth0', { mtu: 65_535 })
  const bytes = new Uint8Array(65_535).fill(0)
  bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2])
  for (let at = 12; at + 4 <= bytes.length; at += 4) bytes[at] = 0x81
  host.iface('eth0').receive(lab.world.frame(bytes))
  expect(host.drops).toEqual({ 'eth-unknown-type': 1 })
  expect(lab.close()).toEqual({ frames: 0, timers: 0 })
})
