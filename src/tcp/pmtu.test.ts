import { describe, expect, it } from 'vitest'
import { established, inState } from '../../test/support/tcp.ts'
import { ms } from '../core/clock.ts'
import { PathMtuDiscovery } from '../udp/options.ts'

/** Path MTU discovery (RFC 1191, RFC 8201): type and code of "fragmentation needed" and "packet too big". */
const tooBig = (ipv6: boolean, mtu: number, seq: number): { type: number; code: number; mtu: number; seq: number } =>
  ipv6 ? { type: 2, code: 0, mtu, seq } : { type: 3, code: 4, mtu, seq }

describe('path MTU discovery', () => {
  for (const [ipv6, first, mtu, second] of [
    [false, 1460, 1000, 960],
    [true, 1440, 1300, 1240],
  ] as const) {
    it(`${ipv6 ? 'IPv6' : 'IPv4'}: what was too large is sent again in smaller segments, at once, and the window stays`, () => {
      const s = established({ ipv6, rtt: ms(10) })
      s.send(3 * first)
      expect(s.sent().map(({ length }) => length)).toEqual([first, first, first])
      const { cwnd } = s.connection.cc
      s.icmp(tooBig(ipv6, mtu, 1))
      expect(s.connection.snd.mss).toBe(second)
      const [again] = s.sent()
      expect([again!.seq, again!.length]).toEqual([1, second])
      expect(s.connection.cc.cwnd).toBe(cwnd)
      // All of it arrives in the end.
      let una = 1
      for (let i = 0; i < 20 && una < 1 + 3 * first; i++) {
        una = Math.min(una + second, 1 + 3 * first)
        s.receive({ flags: 'A', seq: 1, ack: una })
        for (const { length } of s.sent()) expect(length).toBeLessThanOrEqual(second)
      }
      expect(s.connection.sendQueueBytes).toBe(0)
      expect(s.connection.cc.packetsOut).toBe(0)
      // What is sent later is small from the start.
      s.send(2 * second)
      expect(s.sent().map(({ length }) => length)).toEqual([second, second])
    })
  }

  it('IP_MTU_DISCOVER: without DF what is out has got through in pieces; what follows goes by the path all the same', () => {
    const { Dont, Want, Do, Probe, Interface, Omit } = PathMtuDiscovery
    const seen = [Dont, Want, Do, Probe, Interface, Omit].map((pathMtuDiscovery) => {
      const s = established({ rtt: ms(10), options: { pathMtuDiscovery } })
      s.send(1460)
      s.sent()
      s.icmp(tooBig(false, 1000, 1))
      const again = s.sent().map(({ length }) => length)
      s.receive({ flags: 'A', seq: 1, ack: 1461 })
      s.send(1460)
      return [again, s.sent().map(({ length }) => length)[0]]
    })
    // Linux 6.18.
    const small = [[960, 500], 960]
    expect(seen).toEqual([[[], 960], small, small, small, [[], 960], [[], 960]])
  })

  it('IPV6_MTU_DISCOVER: who goes by the MTU of the device does not hear of the path', () => {
    for (const pathMtuDiscovery of [PathMtuDiscovery.Interface, PathMtuDiscovery.Omit]) {
      const s = established({ ipv6: true, rtt: ms(10), options: { pathMtuDiscovery } })
      s.send(1440)
      s.sent()
      s.icmp(tooBig(true, 1300, 1))
      s.expectNothing()
      s.receive({ flags: 'A', seq: 1, ack: 1441 })
      s.send(1440)
      expect(s.sent().map(({ length }) => length)).toEqual([1440])
    }
    const s = established({ ipv6: true, rtt: ms(10), options: { pathMtuDiscovery: PathMtuDiscovery.Dont } })
    s.send(1440)
    s.sent()
    s.icmp(tooBig(true, 1300, 1))
    expect(s.sent().map(({ length }) => length)).toEqual([1240, 200])
  })

  it('ip_no_pmtu_disc: 1 as small as it ever gets, 2 deaf, 3 of TCP alone', () => {
    const seen = [0, 1, 2, 3].map((mode) => {
      const s = established({ rtt: ms(10) })
      s.ip.settings.ip_no_pmtu_disc = mode
      s.send(1460)
      s.sent()
      s.icmp(tooBig(false, 1000, 1))
      return s.connection.snd.mss
    })
    expect(seen).toEqual([960, 512, 1460, 960])
  })

  it('an error about what is not in flight changes nothing (RFC 5927)', () => {
    const s = established({ rtt: ms(10) })
    s.send(1460)
    s.sent()
    for (const seq of [0, 5000, -100]) s.icmp(tooBig(false, 1000, seq))
    expect(s.connection.snd.mss).toBe(1460)
    s.expectNothing()
    expect(s.count('tcpExt.OutOfWindowIcmps')).toBe(3)
  })

  it('a tiny MTU is not believed: 552 bytes at the least over IPv4 (route/min_pmtu), under 1280 over IPv6 is no news', () => {
    const four = established({ rtt: ms(10) })
    four.send(1460)
    four.sent()
    four.icmp(tooBig(false, 100, 1))
    expect(four.connection.snd.mss).toBe(512)
    const six = established({ ipv6: true, rtt: ms(10) })
    six.send(1440)
    six.sent()
    for (const mtu of [100, 0]) six.icmp(tooBig(true, mtu, 1))
    expect([six.connection.snd.mss, six.connection.softError]).toEqual([1440, 0])
    six.expectNothing()
  })

  it('routers from before RFC 1191 name no MTU: 552 bytes are tried', () => {
    const s = established({ rtt: ms(10) })
    s.send(1460)
    s.sent()
    s.icmp(tooBig(false, 0, 1))
    expect([s.connection.snd.mss, s.connection.softError]).toEqual([512, 0])
    expect(s.sent()[0]).toMatchObject({ seq: 1, length: 512 })
  })

  it('does not end a connection that is being opened, whatever number it names', () => {
    for (const [ipv6, mtu] of [
      [false, 0],
      [true, 0],
      [true, 1280],
    ] as const) {
      const s = inState('SYN_SENT', { ipv6 })
      s.icmp(tooBig(ipv6, mtu, 0))
      expect([ipv6, mtu, s.state]).toEqual([ipv6, mtu, 'SYN_SENT'])
    }
    const s = inState('LISTEN')
    s.receive({ flags: 'S', mss: 1460 })
    s.icmp(tooBig(false, 0, 0))
    expect(s.listener!.requests).toBe(1)
  })

  it('a larger MTU than is known is no news', () => {
    const s = established({ rtt: ms(10) })
    s.send(1460)
    s.sent()
    s.icmp(tooBig(false, 9000, 1))
    expect(s.connection.snd.mss).toBe(1460)
    s.expectNothing()
  })

  it('with SACK only what is missing is sent again', () => {
    const s = established({ rtt: ms(10), sack: true })
    s.send(3 * 1460)
    s.sent()
    s.advance(ms(10))
    s.receive({ flags: 'A', seq: 1, ack: 1, sack: [[1461, 2921]] })
    s.expectNothing()
    s.icmp(tooBig(false, 1000, 1))
    const sent = s.sent()
    expect(sent[0]).toMatchObject({ seq: 1, length: 960 })
    for (const { seq } of sent) expect(seq < 1461 || seq >= 2921).toBe(true)
  })
})
