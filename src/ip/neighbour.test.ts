import { describe, expect, test } from 'vitest'
import { Errno } from '../core/errno.ts'
import { ip, parseMac } from '../wire/address.ts'
import { type Sniffer, TestNet } from './testing.ts'

const ARP = 0x0806
const MAC_A = '020000000001'
const MAC_B = '020000000002'
const request = (mac: string, from: string, to: string): string => `0001080006040001${mac}${from}000000000000${to}`

/** Two hosts, 10.0.0.1 and 10.0.0.2, on a cable; what passes at the first one's end is written down. */
const pair = (settings = {}) => {
  const lab = new TestNet()
  const a = lab.host('a', settings)
  const b = lab.host('b')
  const cable = lab.connect(a, 'eth0', b, 'eth0')
  a.add('eth0', '10.0.0.1/24')
  b.add('eth0', '10.0.0.2/24')
  const wire = lab.sniff(cable.a)
  return { lab, a, b, cable, wire }
}

const times = (wire: Sniffer): number[] => wire.ofType(ARP).map(({ time }) => time)
/** Requests that the first host has sent. */
const requests = (wire: Sniffer): unknown[] =>
  wire.ofType(ARP).filter(({ outgoing, bytes }) => outgoing && bytes[21] === 1)
const stateOf = (host: TestNet['hosts'][number], address: string): string | undefined =>
  host.arp.list().find((entry) => entry.address === address)?.state

describe('resolution', () => {
  test('the exchange, byte for byte', () => {
    const { lab, a, b, wire } = pair()
    const { events } = a.ping('10.0.0.2')
    lab.run(0)
    const frames = wire.seen.map(({ bytes }) => bytes)
    expect(wire.payloads(ARP)).toEqual([
      request(MAC_A, '0a000001', '0a000002'),
      `0001080006040002${MAC_B}0a000002${MAC_A}0a000001`,
    ])
    // To everybody, and back to the one who asked.
    expect(Array.from(frames[0]!.subarray(0, 12))).toEqual([255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1])
    expect(Array.from(frames[1]!.subarray(0, 12))).toEqual([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2])
    expect(events.map((event) => event.kind)).toEqual(['reply'])
    expect(stateOf(a, '10.0.0.2')).toBe('REACHABLE')
    // Learnt from the request, used for the reply.
    expect(stateOf(b, '10.0.0.1')).toBe('DELAY')
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('packets wait for the answer, in order', () => {
    const { lab, a, b } = pair()
    const { events } = a.ping('10.0.0.2', { count: 3, interval: 0 })
    // Nothing has been answered when all three are sent.
    expect(stateOf(a, '10.0.0.2')).toBe('INCOMPLETE')
    lab.run(10)
    expect(events.map((event) => (event.kind === 'reply' ? event.sequence : event.kind))).toEqual([1, 2, 3])
    expect(b.mib.icmp.InEchos).toBe(3)
  })

  test('of too many packets the oldest go', () => {
    const { lab, a, b, cable } = pair()
    cable.aToB.filter = () => 'drop'
    // Each costs 2304 bytes of 212,992: 92 fit.
    a.ping('10.0.0.2', { count: 100, interval: 0, size: 1400, timeout: 10_000 })
    lab.run(1)
    expect(a.arp.list()[0]!.queued).toBe(92)
    expect(a.drops).toEqual({ 'neighbour-queue-full': 8 })
    expect(a.arp.discards).toBe(8)
    cable.aToB.filter = null
    lab.run(2000)
    expect(b.mib.icmp.InEchos).toBe(92)
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })

  test('nobody answers: three requests a second apart, then host unreachable', () => {
    const { lab, a, wire } = pair()
    const { events } = a.ping('10.0.0.9', { timeout: 10_000 })
    lab.run(2999)
    expect(times(wire)).toEqual([0, 1_000_000, 2_000_000])
    expect(stateOf(a, '10.0.0.9')).toBe('INCOMPLETE')
    expect(events).toEqual([])
    lab.run(2)
    expect(stateOf(a, '10.0.0.9')).toBe('FAILED')
    expect(events).toEqual([
      {
        kind: 'error',
        sequence: 1,
        time: 3_000_000,
        from: ip('10.0.0.1'),
        type: 3,
        code: 1,
        errno: Errno.EHOSTUNREACH,
        mtu: 0,
      },
    ])
    expect(a.drops).toEqual({ 'neighbour-unresolved': 1 })
    // It counts as sent and received through lo, as on Linux.
    expect([a.mib.icmp.OutDestUnreachs, a.mib.icmp.InDestUnreachs]).toEqual([1, 1])
    // The next packet asks anew.
    a.ping('10.0.0.9')
    expect(stateOf(a, '10.0.0.9')).toBe('INCOMPLETE')
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })
})

describe('the life of an entry', () => {
  test('REACHABLE becomes STALE after the drawn time, then DELAY, PROBE and REACHABLE again', () => {
    const { lab, a, wire } = pair()
    a.ping('10.0.0.2')
    lab.run(100)
    const reachable = a.iface('eth0').timing(4).reachableTime(a)
    expect(reachable).toBeGreaterThanOrEqual(15e6)
    expect(reachable).toBeLessThan(45e6)
    lab.run(reachable / 1000 - 200)
    expect(stateOf(a, '10.0.0.2')).toBe('REACHABLE')
    lab.run(200)
    expect(stateOf(a, '10.0.0.2')).toBe('STALE')
    lab.run(60_000)
    wire.clear()
    const used = lab.world.loop.now
    a.ping('10.0.0.2')
    lab.run(4999)
    expect(stateOf(a, '10.0.0.2')).toBe('DELAY')
    lab.run(2)
    // One request, to the address known so far.
    const [probe] = wire.ofType(ARP).filter(({ outgoing }) => outgoing)
    expect(probe!.time).toBe(used + 5_000_000)
    expect(Array.from(probe!.bytes.subarray(0, 6))).toEqual([2, 0, 0, 0, 0, 2])
    expect(stateOf(a, '10.0.0.2')).toBe('REACHABLE')
  })

  test('a neighbour that has gone is probed three times, then FAILED', () => {
    const { lab, a, cable, wire } = pair()
    a.ping('10.0.0.2')
    lab.run(100_000)
    expect(stateOf(a, '10.0.0.2')).toBe('STALE')
    cable.aToB.filter = () => 'drop'
    wire.clear()
    const used = lab.world.loop.now
    a.ping('10.0.0.2')
    lab.run(7999)
    expect(stateOf(a, '10.0.0.2')).toBe('PROBE')
    expect(times(wire).map((time) => time - used)).toEqual([5_000_000, 6_000_000, 7_000_000])
    lab.run(2)
    expect(stateOf(a, '10.0.0.2')).toBe('FAILED')
  })

  test('confirmation from above keeps it REACHABLE without a probe', () => {
    const { lab, a, wire } = pair()
    a.ping('10.0.0.2')
    lab.run(100)
    wire.clear()
    const way = a.resolve(ip('10.0.0.2'))
    if (typeof way === 'number') throw new Error()
    for (let i = 0; i < 20; i++) {
      way.confirm()
      lab.run(10_000)
    }
    expect(stateOf(a, '10.0.0.2')).toBe('REACHABLE')
    expect(requests(wire)).toEqual([])
  })

  test('a confirmation in DELAY saves the probe', () => {
    const { lab, a, wire } = pair()
    a.ping('10.0.0.2')
    lab.run(100_000)
    wire.clear()
    a.ping('10.0.0.2')
    lab.run(2000)
    const way = a.resolve(ip('10.0.0.2'))
    if (typeof way === 'number') throw new Error()
    way.confirm()
    lab.run(4000)
    expect(stateOf(a, '10.0.0.2')).toBe('REACHABLE')
    expect(requests(wire)).toEqual([])
  })

  test('a carrier lost forgets what was learnt, but not what was set', () => {
    const { lab, a, cable } = pair()
    a.arp.setPermanent(a.iface('eth0'), ip('10.0.0.77'), parseMac('02:00:00:00:00:77')!)
    a.ping('10.0.0.2')
    lab.run(100)
    cable.setDown()
    expect(a.arp.list().map(({ address, state }) => [address, state])).toEqual([['10.0.0.77', 'PERMANENT']])
  })
})

describe('entries set by hand, and limits', () => {
  test('a permanent entry is used without asking, and not changed by the link', () => {
    const { lab, a, b, wire } = pair()
    expect(a.arp.setPermanent(a.iface('eth0'), ip('10.0.0.2'), 0x0200_0000_0002)).toBe(0)
    const { events } = a.ping('10.0.0.2')
    lab.run(0)
    expect(events.map((event) => event.kind)).toEqual(['reply'])
    expect(requests(wire)).toEqual([])
    b.announceAddresses(b.iface('eth0'))
    lab.run(100_000)
    expect(stateOf(a, '10.0.0.2')).toBe('PERMANENT')
    expect(a.arp.remove(a.iface('eth0'), ip('10.0.0.2'))).toBe(0)
    expect(a.arp.remove(a.iface('eth0'), ip('10.0.0.2'))).toBe(-Errno.ENOENT)
  })

  test('the table holds gc_thresh3 entries; more packets are refused', () => {
    const { lab, a } = pair({ gc_thresh1: 2, gc_thresh2: 4, gc_thresh3: 8, icmp_ratemask: 0 })
    for (let i = 10; i < 30; i++) a.ping(`10.0.0.${i}`)
    expect(a.arp.size).toBe(8)
    expect(a.drops).toEqual({ 'neighbour-limit': 12 })
    expect(a.arp.overflows).toBe(12)
    // Once they have failed they make room, and those left are collected after a while.
    lab.run(10_000)
    a.ping('10.0.0.2')
    lab.run(100)
    expect(stateOf(a, '10.0.0.2')).toBe('REACHABLE')
    lab.run(200_000)
    expect(a.arp.size).toBeLessThanOrEqual(2)
    expect(lab.close()).toEqual({ frames: 0, timers: 0 })
  })
})
