import { describe, expect, test } from 'vitest'
import { Errno } from '../core/errno.ts'
import { FrameChecksum } from '../core/frame.ts'
import { tcpFrame } from '../link/testing.ts'
import { ip } from '../wire/address.ts'
import type { PingEvent } from './ping.ts'
import type { IpSettings } from './settings.ts'
import { fromHex, hex, naiveSum, net, type TestHost, TestNet } from './testing.ts'

/** a — r1 — r2 — r3 — b, networks 10.0.0.0/24 to 10.0.3.0/24; a is 10.0.0.1, b is 10.0.3.2. */
const chain = (settings: Partial<IpSettings> = {}, mtus: readonly number[] = []) => {
  const lab = new TestNet()
  const a = lab.host('a')
  const r1 = lab.router('r1', settings)
  const r2 = lab.router('r2', settings)
  const r3 = lab.router('r3', settings)
  const b = lab.host('b')
  const line = [a, r1, r2, r3, b]
  const names = ['east', 'east', 'east', 'east']
  for (const host of [r1, r2, r3]) host.settings.disable_ipv6 = 1
  const cables = [0, 1, 2, 3].map((i) =>
    lab.connect(line[i]!, i === 0 ? 'eth0' : names[i]!, line[i + 1]!, i === 3 ? 'eth0' : 'west', {
      mtu: mtus[i] ?? 1500,
      impairment: { delay: 1 },
    }),
  )
  for (let i = 0; i < 4; i++) {
    line[i]!.add(i === 0 ? 'eth0' : 'east', `10.0.${i}.1/24`)
    line[i + 1]!.add(i === 3 ? 'eth0' : 'west', `10.0.${i}.2/24`)
  }
  a.route('0.0.0.0/0', '10.0.0.2')
  r1.route('10.0.2.0/24', '10.0.1.2')
  r1.route('10.0.3.0/24', '10.0.1.2')
  r2.route('10.0.0.0/24', '10.0.1.1')
  r2.route('10.0.3.0/24', '10.0.2.2')
  r3.route('10.0.0.0/24', '10.0.2.1')
  r3.route('10.0.1.0/24', '10.0.2.1')
  b.route('0.0.0.0/0', '10.0.3.1')
  return { lab, a, r1, r2, r3, b, cables }
}

const summary = (events: readonly PingEvent[]): unknown[] =>
  events.map((event) => {
    if (event.kind === 'reply') return ['reply', `${event.from}`, event.hopLimit]
    if (event.kind === 'error') return ['error', `${event.from}`, event.type, event.code, event.mtu]
    return [event.kind]
  })

describe('across three routers', () => {
  test('ping: the TTL falls by one at each', () => {
    const { lab, a, b, r2 } = chain()
    const { events } = a.ping('10.0.3.2')
    lab.run(200)
    expect(summary(events)).toEqual([['reply', '10.0.3.2', 61]])
    expect([r2.mib.ip.ForwDatagrams, r2.mib.ip.InReceives, r2.mib.ip.InDelivers]).toEqual([2, 2, 0])
    expect([b.mib.ip.InDelivers, b.mib.ip.OutRequests]).toEqual([1, 1])
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('traceroute: each router answers when its turn comes', () => {
    const { lab, a } = chain()
    const steps: unknown[] = []
    for (let hopLimit = 1; hopLimit <= 5; hopLimit++) {
      const { events } = a.ping('10.0.3.2', { hopLimit })
      lab.run(200)
      steps.push(...summary(events))
    }
    expect(steps).toEqual([
      ['error', '10.0.0.2', 11, 0, 0],
      ['error', '10.0.1.2', 11, 0, 0],
      ['error', '10.0.2.2', 11, 0, 0],
      ['reply', '10.0.3.2', 61],
      ['reply', '10.0.3.2', 61],
    ])
  })

  test('no route: net unreachable from the first router that has none', () => {
    const { lab, a, r1 } = chain()
    const { events } = a.ping('172.16.0.1')
    lab.run(200)
    expect(summary(events)).toEqual([['error', '10.0.0.2', 3, 0, 0]])
    expect(events[0]).toMatchObject({ errno: Errno.ENETUNREACH })
    expect(r1.drops).toEqual({ 'ip-no-route': 1 })
    expect(r1.mib.ipExt.InNoRoutes).toBe(1)
  })

  test('unreachable, prohibit and blackhole routes', () => {
    const { lab, a, r1 } = chain()
    r1.route('172.16.1.0/24', null, { type: 'unreachable' })
    r1.route('172.16.2.0/24', null, { type: 'prohibit' })
    r1.route('172.16.3.0/24', null, { type: 'blackhole' })
    const seen = ['172.16.1.1', '172.16.2.1', '172.16.3.1'].map((to) => {
      const { events } = a.ping(to)
      lab.run(1100)
      return summary(events)[0]
    })
    expect(seen).toEqual([['error', '10.0.0.2', 3, 1, 0], ['error', '10.0.0.2', 3, 13, 0], ['timeout']])
    expect(r1.drops).toEqual({ 'ip-no-route': 2, 'ip-administrative': 1 })
  })

  test('a host beyond the last router is not there: host unreachable after three seconds', () => {
    const { lab, a } = chain()
    const { events } = a.ping('10.0.3.99', { timeout: 5000 })
    lab.run(4000)
    expect(summary(events)).toEqual([['error', '10.0.2.2', 3, 1, 0]])
  })

  test('a narrow link: with DF fragmentation needed, and the next packet goes in the size it names', () => {
    const { lab, a, r2, b } = chain({}, [1500, 1500, 1000, 1500])
    const { events } = a.ping('10.0.3.2', { size: 1400, dontFragment: true })
    lab.run(200)
    expect(summary(events)).toEqual([['error', '10.0.1.2', 3, 4, 1000]])
    expect(r2.mib.ip.FragFails).toBe(1)
    const way = a.resolve(ip('10.0.3.2'))
    expect(typeof way !== 'number' && way.mtu).toBe(1000)
    // Now it is refused at home.
    expect(a.ping('10.0.3.2', { size: 1400, dontFragment: true }).events).toEqual([
      { kind: 'unsent', sequence: 1, errno: Errno.EMSGSIZE },
    ])
    const second = a.ping('10.0.3.2', { size: 972, dontFragment: true })
    lab.run(200)
    expect(summary(second.events)).toEqual([['reply', '10.0.3.2', 61]])
    expect(b.mib.ip.ReasmReqds).toBe(0)
  })

  test('a narrow link: without DF the router fragments and the host reassembles', () => {
    const { lab, a, r2, b } = chain({}, [1500, 1500, 600, 1500])
    const { events } = a.ping('10.0.3.2', { size: 1400 })
    lab.run(200)
    expect(summary(events)).toEqual([['reply', '10.0.3.2', 61]])
    // 1408 bytes in pieces of at most 576: three.
    expect([r2.mib.ip.FragOKs, r2.mib.ip.FragCreates]).toEqual([1, 3])
    expect([b.mib.ip.ReasmReqds, b.mib.ip.ReasmOKs, b.mib.ip.InDelivers]).toEqual([3, 1, 1])
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('a router that is none drops what is not for it', () => {
    const { lab, a, r1 } = chain()
    r1.settings.ip_forward = 0
    const { events } = a.ping('10.0.3.2')
    lab.run(1100)
    expect(summary(events)).toEqual([['timeout']])
    expect(r1.drops).toEqual({ 'ip-not-for-us': 1 })
    expect(r1.mib.ip.InAddrErrors).toBe(1)
  })
})

describe('what a forwarded packet looks like', () => {
  test('TTL and checksum change, nothing else; record route is filled in', () => {
    const { lab, a, r1, cables } = chain()
    a.ping('10.0.3.2')
    lab.run(100)
    const before = lab.sniff(cables[0]!.a)
    const after = lab.sniff(cables[1]!.a)
    a.ping('10.0.3.2')
    lab.run(100)
    const sent = before.ipv4(1)[0]!.bytes.subarray(14)
    const passed = after.ipv4(1)[0]!.bytes.subarray(14)
    expect([sent[8], passed[8]]).toEqual([64, 63])
    expect(passed[10]! * 256 + passed[11]!).toBe(sent[10]! * 256 + sent[11]! + 0x100)
    expect(hex(passed.subarray(12))).toBe(hex(sent.subarray(12)))
    expect(r1.mib.ip.OutTransmits).toBe(4)
  })

  test('record route and timestamp options gain this router', () => {
    const { lab, a, cables } = chain()
    a.ping('10.0.3.2')
    lab.run(100)
    const after = lab.sniff(cables[1]!.a)
    // Record route for two, timestamps with addresses for one, an echo request.
    const options = '070b04000000000000000001' + '440c0501' + '0000000000000000'
    const header = `4b00003400000000400100000a0000010a000302${options}`
    const frame = lab.world.frame(fromHex(`${header}0800f7ff00000000`))
    const way = a.resolve(ip('10.0.3.2'))
    if (typeof way === 'number') throw new Error()
    expect(a.sendRaw(frame, way)).toBe(0)
    lab.run(5)
    const passed = hex(after.ipv4(1)[0]!.bytes.subarray(34))
    expect(passed.slice(0, 24)).toBe('070b080a0001010000000001')
    // 2026-01-01T00:00:00Z is midnight: milliseconds since then are those of the world, 101.
    expect(passed.slice(24, 48)).toBe('440c0d010a00010100000065')
  })

  test('a large segment with its checksum left open is cut and completed for the next link', () => {
    const { lab, a, r1, cables } = chain()
    a.ping('10.0.3.2')
    lab.run(100)
    const after = lab.sniff(cables[1]!.a)
    const frame = tcpFrame(lab.world, {
      medium: 'ip',
      payload: 4000,
      segmentSize: 1460,
      checksum: FrameChecksum.Partial,
    })
    const memory = lab.world.memory
    // From a host that is known, to the far end.
    memory.view.setInt32(frame.network + 12, 0x0a00_0001)
    memory.view.setInt32(frame.network + 16, 0x0a00_0302)
    memory.view.setUint16(frame.network + 10, 0)
    fixChecksum(lab, frame.network)
    frame.start -= 14
    memory.u8.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0], frame.start)
    r1.iface('west').receive(frame)
    lab.run(5)
    const segments = after.ipv4(6).map(({ bytes }) => bytes)
    expect(segments.map((bytes) => bytes.length)).toEqual([1514, 1514, 1134])
    for (const bytes of segments) expect(verifies(bytes.subarray(14))).toBe(true)
    expect(segments.map((bytes) => bytes[14 + 8])).toEqual([63, 63, 63])
  })
})

describe('redirects', () => {
  /** One link with host a, routers r1 and r2; b is behind r2. */
  const triangle = () => {
    const lab = new TestNet()
    const a = lab.host('a')
    const r1 = lab.router('r1', { disable_ipv6: 1 })
    const r2 = lab.router('r2', { disable_ipv6: 1 })
    const b = lab.host('b')
    lab.lan(a, r1, r2)
    lab.connect(r2, 'eth1', b, 'eth0')
    a.add('eth0', '10.0.0.1/24')
    r1.add('eth0', '10.0.0.254/24')
    r2.add('eth0', '10.0.0.253/24')
    r2.add('eth1', '10.1.0.1/24')
    b.add('eth0', '10.1.0.2/24')
    a.route('0.0.0.0/0', '10.0.0.254')
    r1.route('10.1.0.0/24', '10.0.0.253')
    b.route('0.0.0.0/0', '10.1.0.1')
    return { lab, a, r1, r2, b }
  }

  const gatewayOf = (host: TestHost, to: string): string => {
    const way = host.resolve(ip(to))
    return typeof way === 'number' ? `${way}` : `${way.gateway}`
  }

  test('the router passes the packet on and names the better one, which the host then uses', () => {
    const { lab, a, r1 } = triangle()
    const { events } = a.ping('10.1.0.2')
    lab.run(100)
    expect(events.map(({ kind }) => kind)).toEqual(['reply'])
    expect([r1.mib.icmp.OutRedirects, a.mib.icmp.InRedirects]).toEqual([1, 1])
    expect(gatewayOf(a, '10.1.0.2')).toBe('10.0.0.253')
    // Other destinations are not concerned.
    expect(gatewayOf(a, '10.1.0.3')).toBe('10.0.0.254')
    a.ping('10.1.0.2')
    lab.run(100)
    expect(r1.mib.ip.ForwDatagrams).toBe(1)
    lab.run(300_000)
    expect(gatewayOf(a, '10.1.0.2')).toBe('10.0.0.254')
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('holds no longer than the route that it has corrected', () => {
    const { lab, a } = triangle()
    const spare = lab.router('spare', { disable_ipv6: 1 })
    lab.connect(a, 'eth1', spare, 'eth0')
    a.add('eth1', '10.9.0.1/24')
    const redirected = (): void => {
      a.ping('10.1.0.2')
      lab.run(2000)
      expect(gatewayOf(a, '10.1.0.2')).toBe('10.0.0.253')
    }
    redirected()
    // Another gateway on the link.
    expect(a.routes.replace({ prefix: net('0.0.0.0/0'), gateway: ip('10.0.0.77') })).toBe(0)
    expect(gatewayOf(a, '10.1.0.2')).toBe('10.0.0.77')
    expect(a.routes.replace({ prefix: net('0.0.0.0/0'), gateway: ip('10.0.0.254') })).toBe(0)
    redirected()
    // The link is gone, and the default route leads elsewhere.
    a.iface('eth0').setUp(false)
    a.route('0.0.0.0/0', '10.9.0.2')
    expect(gatewayOf(a, '10.1.0.2')).toBe('10.9.0.2')
    const way = a.resolve(ip('10.1.0.2'))
    expect(typeof way === 'number' ? way : way.interface.name).toBe('eth1')
  })

  test('not followed with accept_redirects 0, not sent with send_redirects 0', () => {
    const { lab, a, r1 } = triangle()
    a.settings.accept_redirects = 0
    a.ping('10.1.0.2')
    lab.run(100)
    expect(gatewayOf(a, '10.1.0.2')).toBe('10.0.0.254')
    expect(a.drops).toEqual({ 'icmp-ignored': 1 })
    r1.settings.send_redirects = 0
    lab.run(5000)
    a.ping('10.1.0.2')
    lab.run(100)
    expect(r1.mib.icmp.OutRedirects).toBe(1)
  })

  test('one that does not come from the gateway in use is refused', () => {
    const { lab, a } = triangle()
    a.ping('10.1.0.2')
    lab.run(100)
    // Now the gateway is r2's; a redirect back, forged to come from r1, counts no more.
    const packet = `4500003800000000400100000a0000fe0a000001`
    const quote = `4500001c00000000400100000a0000010a010002080000000000 0000`.replace(/ /g, '')
    const frame = lab.world.frame(fromHex(`0200000000010200000000020800${packet}050100000a0000fe${quote}`))
    const at = frame.start + 14
    fixChecksum(lab, at)
    fixIcmp(lab, at + 20, frame.end)
    a.iface('eth0').receive(frame)
    expect(gatewayOf(a, '10.1.0.2')).toBe('10.0.0.253')
    expect(a.drops).toEqual({ 'icmp-redirect': 1 })
  })
})

const fixChecksum = (lab: TestNet, at: number): void => {
  const { u8, view } = lab.world.memory
  view.setUint16(at + 10, 0)
  view.setUint16(at + 10, ~naiveSum(u8.slice(at, at + ((u8[at]! & 15) << 2))) & 0xffff)
}

const fixIcmp = (lab: TestNet, at: number, end: number): void => {
  const { u8, view } = lab.world.memory
  view.setUint16(at + 2, 0)
  view.setUint16(at + 2, ~naiveSum(u8.slice(at, end)) & 0xffff)
}

/** Are the IPv4 and TCP checksums of a packet right? */
const verifies = (packet: Uint8Array): boolean => {
  if (naiveSum(packet.subarray(0, 20)) !== 0xffff) return false
  const tcp = packet.subarray(20)
  const pseudo = new Uint8Array([...packet.subarray(12, 20), 0, 6, tcp.length >>> 8, tcp.length & 0xff])
  return naiveSum(new Uint8Array([...pseudo, ...tcp])) === 0xffff
}
