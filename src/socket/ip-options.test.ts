import { describe, expect, it } from 'vitest'
import type { Sys } from '../host/calls.ts'
import { Network } from '../sim/network.ts'
import { codeOf, Pair } from '../sim/testing.ts'
import { ip, parseIpPrefix } from '../wire/address.ts'
import * as C from './constants.ts'
import { AF_INET, AF_INET6, SOCK_STREAM, SOL_IP, SOL_IPV6 } from './constants.ts'

describe('the least hop limit of a TCP socket (RFC 5082)', () => {
  const versions = [
    { domain: AF_INET, level: SOL_IP, least: C.IP_MINTTL, hops: C.IP_TTL, any: '0.0.0.0', server: '10.0.0.2' },
    {
      domain: AF_INET6,
      level: SOL_IPV6,
      least: C.IPV6_MINHOPCOUNT,
      hops: C.IPV6_UNICAST_HOPS,
      any: '::',
      server: '2001:db8::2',
    },
  ] as const

  it.each(versions)('%j', async ({ domain, level, least, hops, any, server }) => {
    const pair = new Pair()
    pair.a.sysctl.set('net.ipv4.tcp_syn_retries', '1')
    const read: string[] = []
    const serve = async (sys: Sys): Promise<void> => {
      const listener = sys.socket(domain, SOCK_STREAM)
      sys.setsockopt(listener, level, least, 255)
      sys.bind(listener, { address: any, port: 179 })
      sys.listen(listener, 5)
      const fd = await sys.accept(listener)
      expect(sys.getsockopt(fd, level, least)).toBe(255)
      const buffer = new Uint8Array(10)
      const count = await sys.recv(fd, buffer)
      read.push(new TextDecoder().decode(buffer.subarray(0, count)))
    }
    pair.b.spawn('bgpd', serve)
    const [far] = await pair.run<unknown>([
      pair.a,
      (sys) => codeOf(() => sys.connect(sys.socket(domain, SOCK_STREAM), { address: server, port: 179 })),
    ])
    expect(far).toBe('ETIMEDOUT')
    expect(pair.b.ip.mib.tcpExt.TCPMinTTLDrop).toBe(2)
    await pair.run([
      pair.a,
      async (sys) => {
        const fd = sys.socket(domain, SOCK_STREAM)
        sys.setsockopt(fd, level, hops, 255)
        await sys.connect(fd, { address: server, port: 179 })
        sys.setsockopt(fd, level, hops, 254)
        await sys.send(fd, 'forged')
        await sys.usleep(1000)
        // What is sent again comes from as near as it should.
        sys.setsockopt(fd, level, hops, 255)
        await sys.sleep(5)
      },
    ])
    expect(pair.b.ip.mib.tcpExt.TCPMinTTLDrop).toBe(3)
    expect(read).toEqual(['forged'])
    pair.close()
  })

  it.each([
    // What the router quotes has the hops that it was sent with, what it sends itself has 64.
    [AF_INET, 255, 255, 0, 'ENETUNREACH', 0],
    [AF_INET, 64, 64, 0, 'ENETUNREACH', 0],
    [AF_INET, 64, 65, 0, 'ETIMEDOUT', 2],
    [AF_INET6, 255, 255, 0, 'ETIMEDOUT', 2],
    [AF_INET6, 255, 64, 0, 'ENETUNREACH', 0],
    // Linux sends a SYN each second at first, three within the three seconds of one retry.
    [AF_INET, 64, 65, 4, 'ETIMEDOUT', 3],
    [AF_INET6, 255, 255, 4, 'ETIMEDOUT', 3],
  ] as const)(
    'of errors: domain %i, sent with %i, least %i, tcp_syn_linear_timeouts %i: %s',
    async (domain, hops, least, linear, code, drops) => {
      const pair = new Pair()
      pair.a.sysctl.set('net.ipv4.tcp_syn_retries', '1')
      pair.a.sysctl.set('net.ipv4.tcp_syn_linear_timeouts', `${linear}`)
      pair.b.sysctl.set('net.ipv4.ip_forward', '1')
      pair.b.sysctl.set('net.ipv6.conf.all.forwarding', '1')
      const version = versions.find((each) => each.domain === domain)!
      const everywhere = parseIpPrefix(domain === AF_INET ? '0.0.0.0/0' : '::/0')!
      pair.a.ip.routes.add({ prefix: everywhere, gateway: ip(version.server), interface: pair.a.ip.interfaces[1]! })
      const [result] = await pair.run<unknown>([
        pair.a,
        (sys) => {
          const fd = sys.socket(domain, SOCK_STREAM)
          sys.setsockopt(fd, version.level, version.hops, hops)
          sys.setsockopt(fd, version.level, version.least, least)
          return codeOf(() => sys.connect(fd, { address: domain === AF_INET ? '10.9.9.9' : '2001:db9::9', port: 179 }))
        },
      ])
      expect(result).toBe(code)
      expect(pair.a.ip.mib.tcpExt.TCPMinTTLDrop).toBe(drops)
      pair.close()
    },
  )

  it.each([-1, 256])('cannot be %i', async (value) => {
    const pair = new Pair()
    const [codes] = await pair.run([
      pair.a,
      async (sys) => {
        const fd = sys.socket(AF_INET6, SOCK_STREAM)
        const set = (level: number, name: number) => codeOf(() => sys.setsockopt(fd, level, name, value))
        return [await set(SOL_IP, C.IP_MINTTL), await set(SOL_IPV6, C.IPV6_MINHOPCOUNT)]
      },
    ])
    expect(codes).toEqual(['EINVAL', 'EINVAL'])
    pair.close()
  })
})

describe('TCP over a hop of 1,000 bytes whose router is not heard', () => {
  /** Sends 100,000 bytes. @returns those that came, and packets that the router has cut */
  const transfer = async (sysctl: Record<string, number>, discovery?: number): Promise<[number, number]> => {
    const network = new Network()
    const client = network.host('client', { sysctl })
    const router = network.router('router')
    const further = network.router('further')
    const server = network.host('server')
    const near = network.link(client, router)
    // Protocol 1 behind an Ethernet header.
    near.cable.bToA.filter = ({ start }) => (network.world.memory.u8[start + 23] === 1 ? 'drop' : 'pass')
    network.link(router, further, { mtu: 1000 })
    network.link(further, server)
    network.computeRoutes()
    let received = 0
    server.spawn('server', async (sys) => {
      const listener = sys.socket(AF_INET, SOCK_STREAM)
      sys.bind(listener, { address: '0.0.0.0', port: 80 })
      sys.listen(listener, 1)
      const fd = await sys.accept(listener)
      const buffer = new Uint8Array(10_000)
      for (let n = await sys.recv(fd, buffer); n > 0; n = await sys.recv(fd, buffer)) received += n
    })
    client.spawn('client', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      if (discovery !== undefined) sys.setsockopt(fd, SOL_IP, C.IP_MTU_DISCOVER, discovery)
      await sys.connect(fd, { address: '10.0.2.2', port: 80 })
      await sys.send(fd, new Uint8Array(100_000))
      await sys.close(fd)
    })
    await network.run(20_000)
    network.close()
    return [received, router.ip.mib.ip.FragOKs]
  }

  it('gets nothing through with path-MTU discovery', async () => {
    expect(await transfer({})).toEqual([0, 0])
    expect(await transfer({ 'net.ipv4.ip_no_pmtu_disc': 1 }, C.IP_PMTUDISC_DO)).toEqual([0, 0])
  })

  it('has its packets cut without', async () => {
    // All but the last are full: 69 of 1,448 bytes.
    expect(await transfer({ 'net.ipv4.ip_no_pmtu_disc': 1 })).toEqual([100_000, 69])
    expect(await transfer({}, C.IP_PMTUDISC_DONT)).toEqual([100_000, 69])
  })
})
