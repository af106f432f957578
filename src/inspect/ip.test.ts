import { beforeAll, describe, expect, it } from 'vitest'
import { ip } from './ip.ts'
import type { Snapshot } from './snapshot.ts'
import { build, OurPair } from './testing.ts'

let a: Snapshot
beforeAll(async () => {
  const pair = new OurPair()
  await build(pair)
  a = pair.a.snapshot(100, {})
})

const print = (line: string, snapshot = a): string => ip(snapshot, line.split(' '))

describe('ip address and ip link', () => {
  it('prints interfaces with their addresses', () => {
    expect(print('addr')).toBe(
      [
        '1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000',
        '    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00',
        '    inet 127.0.0.1/8 scope host lo',
        '       valid_lft forever preferred_lft forever',
        '    inet6 ::1/128 scope host ',
        '       valid_lft forever preferred_lft forever',
        '2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000',
        '    link/ether 02:00:00:00:00:0a brd ff:ff:ff:ff:ff:ff',
        '    inet 10.9.0.1/24 brd 10.9.0.255 scope global eth0',
        '       valid_lft forever preferred_lft forever',
        '    inet6 fd09::1/64 scope global ',
        '       valid_lft forever preferred_lft forever',
        '    inet6 fe80::ff:fe00:a/64 scope link ',
        '       valid_lft forever preferred_lft forever',
        '',
      ].join('\n'),
    )
  })

  it('prints them short, one a line, and those selected', () => {
    expect(print('-br addr')).toBe(
      'lo               UNKNOWN        127.0.0.1/8 ::1/128 \n' +
        'eth0             UP             10.9.0.1/24 fd09::1/64 fe80::ff:fe00:a/64 \n',
    )
    expect(print('-br link')).toContain(
      'eth0             UP             02:00:00:00:00:0a <BROADCAST,MULTICAST,UP,LOWER_UP> \n',
    )
    expect(print('-o -4 addr')).toBe(
      '1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever\n' +
        '2: eth0    inet 10.9.0.1/24 brd 10.9.0.255 scope global eth0\\       valid_lft forever preferred_lft forever\n',
    )
    expect(print('-6 a s dev lo')).toBe(
      '1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n' +
        '    inet6 ::1/128 scope host \n       valid_lft forever preferred_lft forever\n',
    )
    expect(print('-br addr show scope link')).toBe('eth0             UP             fe80::ff:fe00:a/64 \n')
    expect(print('addr list up')).toBe(print('addr'))
  })

  it('prints what an interface that is down is', () => {
    const eth0 = a.interfaces.find(({ name }) => name === 'eth0')!
    const down = { ...eth0, flagBits: 0x1002, flags: ['BROADCAST', 'MULTICAST'], state: 'DOWN' as const, addresses: [] }
    const changed = { ...a, interfaces: [down] }
    expect(print('link', changed)).toBe(
      '2: eth0: <BROADCAST,MULTICAST> mtu 1500 qdisc noqueue state DOWN mode DEFAULT group default qlen 1000\n' +
        '    link/ether 02:00:00:00:00:0a brd ff:ff:ff:ff:ff:ff\n',
    )
    expect(print('link show up', changed)).toBe('')
  })

  it('makes the columns of statistics as wide as the numbers', () => {
    const eth0 = a.interfaces.find(({ name }) => name === 'eth0')!
    const statistics = { ...eth0.statistics, rxBytes: 12_345_678_901, rxPackets: 7, txBytes: 1, txPackets: 2 }
    const text = print('-s link', { ...a, interfaces: [{ ...eth0, statistics }] })
    expect(text.split('\n').slice(2)).toEqual([
      '    RX:   bytes packets errors dropped  missed   mcast           ',
      `    12345678901       7      0       0       0 ${String(statistics.rxMulticast).padStart(7)} `,
      '    TX:   bytes packets errors dropped carrier collsns           ',
      '              1       2      0       0       0       0 ',
      '',
    ])
    expect(print('-s -s link').split('\n')).toHaveLength(21)
  })
})

describe('ip route', () => {
  it('prints the main table', () => {
    expect(print('route')).toBe(
      'default via 10.9.0.2 dev eth0 \n10.9.0.0/24 dev eth0 proto kernel scope link src 10.9.0.1 \n',
    )
    expect(print('-6 route')).toBe(
      'fd09::/64 dev eth0 proto kernel metric 256 pref medium\nfe80::/64 dev eth0 proto kernel metric 256 pref medium\n',
    )
  })

  it('leaves out what it was asked for', () => {
    expect(print('route show dev eth0')).toBe(
      'default via 10.9.0.2 \n10.9.0.0/24 proto kernel scope link src 10.9.0.1 \n',
    )
    expect(print('route show proto kernel')).toBe('10.9.0.0/24 dev eth0 scope link src 10.9.0.1 \n')
    expect(print('route show default')).toBe('default via 10.9.0.2 dev eth0 \n')
    expect(print('route show match 10.9.0.7').split('\n')).toHaveLength(3)
    expect(print('route show 10.9.0.0/16')).toBe('')
    expect(print('route show root 10.9.0.0/16')).toMatch(/^10\.9\.0\.0\/24 /)
    expect(print('-d route')).toContain('unicast default via 10.9.0.2 dev eth0 proto boot scope global \n')
    expect(print('route show table local')).toContain(
      'broadcast 10.9.0.255 dev eth0 proto kernel scope link src 10.9.0.1 \n',
    )
    expect(print('route show table all')).toContain('local ::1 dev lo table local proto kernel metric 0 pref medium\n')
  })
})

describe('ip neighbour', () => {
  it('prints entries, and those in a state', () => {
    const lines = [
      '10.9.0.2 dev eth0 lladdr 02:00:00:00:00:ff PERMANENT ',
      'fd09::2 dev eth0 lladdr 02:00:00:00:00:ff PERMANENT ',
    ]
    expect(print('neigh')).toBe(`${lines.join('\n')}\n`)
    expect(print('-6 neigh')).toBe(`${lines[1]}\n`)
    expect(print('neigh show nud permanent')).toBe(print('neigh'))
    expect(print('neigh show nud stale')).toBe('')
    expect(print('neigh show dev eth0 to 10.9.0.0/24')).toBe('10.9.0.2 lladdr 02:00:00:00:00:ff PERMANENT \n')
    expect(print('-br -4 neigh')).toBe('10.9.0.2                                eth0             02:00:00:00:00:ff\n')
  })
})

it.each([
  ['-moon link', 'Option "-moon" is unknown, try "ip -help".'],
  ['moon', 'Object "moon" is unknown, try "ip help".'],
  ['-4', 'Usage: ip'],
  ['addr show dev moon', 'Device "moon" does not exist.'],
  ['addr show lo eth0', 'either "dev" is duplicate, or "eth0" is a garbage.'],
  ['addr show dev', 'Command line is not complete.'],
  ['addr add 10.0.0.1/8 dev eth0', 'only what shows is here'],
  ['route show table moon', 'argument "moon" is wrong: table id value is invalid'],
  ['route show 10.0.0.0/99', 'any valid prefix is expected rather than "10.0.0.0/99".'],
  ['neigh show nud moon', 'argument "moon" is wrong: nud state is bad'],
  ['-f moon addr', 'argument "moon" is wrong: invalid protocol family'],
])('ip %s is refused', (line, message) => {
  expect(() => print(line)).toThrow(message)
})
