import { describe, expect, it } from 'vitest'
import { Network } from '../sim/network.ts'
import { Pair } from '../sim/testing.ts'
import {
  AF_INET,
  SO_REUSEADDR,
  SOCK_STREAM,
  SOL_SOCKET,
  SOL_TCP,
  TCP_CONGESTION,
  TCP_INFO,
} from '../socket/constants.ts'
import type { TcpInfo } from '../tcp/info.ts'
import type { Sys } from './calls.ts'

it('tcp_congestion_control is what new sockets begin with', async () => {
  const network = new Network()
  const host = network.host('alice')
  const seen: unknown[] = []
  host.spawn('look', (sys) => {
    const look = (): unknown => sys.getsockopt(sys.socket(AF_INET, SOCK_STREAM), SOL_TCP, TCP_CONGESTION)
    seen.push(look())
    host.sysctl.set('net.ipv4.tcp_congestion_control', 'reno')
    seen.push(look())
  })
  await network.run(1)
  expect(seen).toEqual(['cubic', 'reno'])
  expect(() => host.sysctl.set('net.ipv4.tcp_congestion_control', 'vegas')).toThrow(
    'net.ipv4.tcp_congestion_control is one of cubic, reno, bbr, not "vegas"',
  )
  expect(host.sysctl.get('net.ipv4.tcp_congestion_control')).toBe('reno')
  network.close()
})

describe('values', () => {
  const host = new Network().host('alice')

  it.each([
    ['net.core.somaxconn', '-1', 'net.core.somaxconn is from 0 to 2147483647, not -1'],
    ['net.ipv4.tcp_syn_retries', '200', 'net.ipv4.tcp_syn_retries is from 1 to 127, not 200'],
    ['net.ipv4.tcp_syn_retries', '0', 'net.ipv4.tcp_syn_retries is from 1 to 127, not 0'],
    ['net.ipv4.tcp_retries2', '-5', 'net.ipv4.tcp_retries2 is from 0 to 255, not -5'],
    ['net.ipv4.tcp_ecn', '3', 'net.ipv4.tcp_ecn is from 0 to 2, not 3'],
    ['net.ipv4.tcp_fin_timeout', '1.5', 'net.ipv4.tcp_fin_timeout takes a whole number, not "1.5"'],
    ['net.ipv4.tcp_fin_timeout', '', 'net.ipv4.tcp_fin_timeout takes a whole number, not ""'],
    ['net.ipv4.tcp_fin_timeout', '60s', 'net.ipv4.tcp_fin_timeout takes a whole number, not "60s"'],
    ['net.ipv4.tcp_rmem', '1 2', 'net.ipv4.tcp_rmem takes 3 whole numbers, not "1 2"'],
    ['net.ipv4.tcp_rmem', '-1 -1 -1', 'net.ipv4.tcp_rmem is from 1 to 2147483647, not -1'],
    ['net.core.rmem_max', '100', 'net.core.rmem_max is from 2304 to 2147483647, not 100'],
    [
      'net.ipv4.ip_local_port_range',
      '60000 100',
      'net.ipv4.ip_local_port_range: the last port, 100, is below the first, 60000',
    ],
    ['net.ipv4.ip_local_port_range', '1024 99999', 'net.ipv4.ip_local_port_range is from 1 to 65535, not 99999'],
    [
      'net.ipv4.ip_local_port_range',
      '80 90',
      'net.ipv4.ip_local_port_range: 80 is below net.ipv4.ip_unprivileged_port_start, 1024',
    ],
    ['net.ipv4.tcp_retries2', '+5', 'net.ipv4.tcp_retries2 takes a whole number, not "+5"'],
    [
      'net.ipv4.ip_unprivileged_port_start',
      '60000',
      'net.ipv4.ip_unprivileged_port_start: 60000 is above the first of net.ipv4.ip_local_port_range, 32768',
    ],
    [
      'net.ipv4.conf.eth9.rp_filter',
      '1',
      'there is no setting net.ipv4.conf.eth9.rp_filter, but net.ipv4.conf.all.rp_filter',
    ],
    ['net.ipv4.tcp_nonsense', '1', 'there is no setting net.ipv4.tcp_nonsense'],
  ])('%s = "%s" is refused', (name, value, message) => {
    const before = host.sysctl.has(name) ? host.sysctl.get(name) : null
    expect(() => host.sysctl.set(name, value)).toThrow(message)
    if (before !== null) expect(host.sysctl.get(name)).toBe(before)
  })

  it('every setting takes what it has', () => {
    for (const name of host.sysctl.names) {
      const value = host.sysctl.get(name)
      if (value === '') continue
      host.sysctl.set(name, value)
      expect(host.sysctl.get(name), name).toBe(value)
    }
  })

  it.each([
    ['0x70403', '459779'],
    ['0777', '511'],
    ['-0', '0'],
  ])('%s is %s, as the kernel reads it', (text, value) => {
    host.sysctl.set('net.ipv4.tcp_fastopen', text)
    expect(host.sysctl.get('net.ipv4.tcp_fastopen')).toBe(value)
  })

  it('several numbers are separated by anything', () => {
    host.sysctl.set('net/ipv4/ip_local_port_range', ' 2000,\t3000 ')
    expect(host.sysctl.get('net.ipv4.ip_local_port_range')).toBe('2000\t3000')
  })
})

it('net.core.rmem_max decides how far the window may be scaled', async () => {
  const pair = new Pair()
  /** The scale that each side announces. */
  const scales = async (): Promise<unknown[]> => {
    const scaleOf = (sys: Sys, fd: number): number => (sys.getsockopt(fd, SOL_TCP, TCP_INFO) as TcpInfo).tcpi_rcv_wscale
    return pair.run(
      [
        pair.b,
        async (sys) => {
          const listener = sys.socket(AF_INET, SOCK_STREAM)
          sys.setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, 1)
          sys.bind(listener, { address: '0.0.0.0', port: 80 })
          sys.listen(listener, 1)
          return scaleOf(sys, await sys.accept(listener))
        },
      ],
      [
        pair.a,
        async (sys) => {
          const fd = sys.socket(AF_INET, SOCK_STREAM)
          await sys.connect(fd, { address: '10.0.0.2', port: 80 })
          return scaleOf(sys, fd)
        },
      ],
    )
  }
  expect(await scales()).toEqual([7, 7])
  pair.a.sysctl.set('net.core.rmem_max', '33554432')
  expect(await scales()).toEqual([7, 10])
  pair.close()
})

it('a range of groups that begins behind its end is that of nobody, as on Linux', () => {
  const { sysctl } = new Network().host('alice')
  sysctl.set('net.ipv4.ping_group_range', '100 50')
  expect(sysctl.get('net.ipv4.ping_group_range')).toBe('1\t0')
})

it('an interface has values of its own, once they are set', () => {
  const pair = new Pair()
  const { sysctl, ip } = pair.a
  const { name, settings } = ip.interfaces.find(({ isLoopback }) => !isLoopback)!
  expect(sysctl.names).toContain(`net.ipv4.conf.${name}.rp_filter`)
  sysctl.set('net.ipv4.conf.all.rp_filter', '2')
  expect(sysctl.get(`net.ipv4.conf.${name}.rp_filter`)).toBe('2')
  sysctl.set(`net/ipv4/conf/${name}/rp_filter`, '1')
  sysctl.set(`net.ipv6.conf.${name}.accept_ra`, '0')
  expect([settings.rp_filter, settings.accept_ra]).toEqual([1, 0])
  expect([sysctl.get('net.ipv4.conf.all.rp_filter'), sysctl.get('net.ipv4.conf.lo.rp_filter')]).toEqual(['2', '2'])
  sysctl.set('net.ipv4.conf.all.rp_filter', '0')
  expect(sysctl.get(`net.ipv4.conf.${name}.rp_filter`)).toBe('1')
  expect(() => sysctl.set(`net.ipv4.conf.${name}.rp_filter`, '3')).toThrow('is from 0 to 2, not 3')
  pair.close()
})
