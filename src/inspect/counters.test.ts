import { beforeAll, describe, expect, it } from 'vitest'
import { serviceName, servicePort } from '../wire/service-names.ts'
import { lsof } from './lsof.ts'
import { listCounters, nstat } from './nstat.ts'
import type { Snapshot } from './snapshot.ts'
import { sysctl } from './sysctl.ts'
import { build, OurPair } from './testing.ts'

let a: Snapshot
let b: Snapshot
let later: Snapshot
beforeAll(async () => {
  const pair = new OurPair()
  await build(pair)
  a = pair.a.snapshot(100, {})
  b = pair.b.snapshot(100, {})
  await pair.network.run(5000)
  later = pair.a.snapshot(100, {})
})
const split = (line: string): string[] => (line === '' ? [] : line.split(' '))

describe('nstat', () => {
  const rows = (line: string, history: Snapshot | null = null, snapshot = a): Map<string, number> => {
    const [heading, ...all] = nstat(snapshot, split(line), { history }).trimEnd().split('\n')
    expect(heading).toBe('#kernel')
    for (const row of all) expect(row).toMatch(/^\S+ *\d+ +0\.0$/)
    return new Map(all.map((row) => [row.split(/ +/)[0]!, Number(row.split(/ +/)[1])]))
  }

  it('prints counters that have counted, with -z all', () => {
    const shown = rows('-a')
    expect(shown.get('TcpActiveOpens')).toBe(a.counters.Tcp['ActiveOpens'])
    expect([...shown.values()]).not.toContain(0)
    expect(rows('-az').size).toBe(listCounters(a).size)
    expect(nstat(a, ['-a', 'TcpActiveOpens'])).toBe(
      `#kernel\nTcpActiveOpens                  ${String(shown.get('TcpActiveOpens')).padEnd(16)}   0.0\n`,
    )
  })

  it('prints what has changed since a snapshot', () => {
    const moved = rows('', a, later)
    expect(moved.get('TcpRetransSegs')).toBe(later.counters.Tcp['RetransSegs']! - a.counters.Tcp['RetransSegs']!)
    expect(moved.get('TcpRetransSegs')).toBeGreaterThan(3)
    expect(rows('', a, a).size).toBe(0)
    expect(rows('-a', a, later).get('TcpRetransSegs')).toBe(later.counters.Tcp['RetransSegs'])
    expect(nstat(a, ['TcpRetransSegs'], { history: later })).toBe('#kernel\n')
    expect(nstat(a, ['-z', 'TcpRetransSegs'], { history: later })).toMatch(/ 0 +0\.0 \(overflow\)\n$/)
  })

  it('takes shell patterns in any case', () => {
    for (const name of rows('-az tcpext*').keys()) expect(name).toMatch(/^TcpExt/)
    expect([...rows('-az TcpIn[SE]* UdpNoPorts').keys()]).toEqual(['TcpInSegs', 'TcpInErrs', 'UdpNoPorts'])
    expect([...rows('-az TcpI?Segs').keys()]).toEqual(['TcpInSegs'])
  })

  it('names every reason to drop a packet, unlike any counter of Linux', () => {
    const drops = [...rows('-az').keys()].filter((name) => name.includes('-'))
    expect(drops).toEqual(Object.keys(a.drops).map((reason) => `Drop-${reason}`))
    expect(drops).toContain('Drop-tcp-checksum')
    expect(new Set(rows('-az').keys()).size).toBe(listCounters(a).size)
  })

  it('writes JSON', () => {
    const { kernel } = JSON.parse(nstat(a, ['-ajz'])) as { kernel: Record<string, number> }
    expect(kernel['TcpActiveOpens']).toBe(a.counters.Tcp['ActiveOpens'])
    expect(nstat(a, ['-ajp', 'TcpActiveOpens'])).toMatch(
      /^\{\n {4}"kernel": \{\n {8}"TcpActiveOpens": \d+\n {4}\}\n\}\n$/,
    )
    expect(nstat(a, ['-n'])).toBe('')
  })

  it.each([
    ['-Q', "nstat: invalid option -- 'Q'"],
    ['-h', 'Usage: nstat'],
    ['Tcp[z-a]', 'nstat: Tcp[z-a] is no pattern'],
  ])('refuses %s', (line, message) => {
    expect(() => nstat(a, split(line))).toThrow(message)
  })
})

describe('sysctl', () => {
  it.each([
    ['net.ipv4.tcp_rmem', 'net.ipv4.tcp_rmem = 4096\t131072\t6291456\n'],
    ['net/ipv4/tcp_rmem', 'net.ipv4.tcp_rmem = 4096\t131072\t6291456\n'],
    ['-n net.ipv4.tcp_retries2', '15\n'],
    ['-N net.ipv4.tcp_retries2', 'net.ipv4.tcp_retries2\n'],
    ['-e moon net.ipv4.tcp_retries2', 'net.ipv4.tcp_retries2 = 15\n'],
    ['-a -r retries[0-9]', 'net.ipv4.tcp_retries1 = 3\nnet.ipv4.tcp_retries2 = 15\n'],
  ])('%s', (line, text) => {
    expect(sysctl(a, split(line))).toBe(text)
  })

  it('prints all that a name stands for', () => {
    const all = sysctl(a, ['-a'])
    expect(all.trimEnd().split('\n')).toHaveLength(Object.keys(a.sysctl).length)
    expect(sysctl(a, ['net.core']).trimEnd().split('\n')).toEqual(
      all.split('\n').filter((line) => line.startsWith('net.core.')),
    )
  })

  it.each([
    ['', 'Usage: sysctl'],
    ['-Q', "sysctl: invalid option -- 'Q'"],
    ['moon', 'sysctl: cannot stat /proc/sys/moon: No such file or directory'],
    ['net.ipv4.ip_forward=1', 'settings of a snapshot cannot be changed'],
    ['-a -r [', 'is no regular expression'],
  ])('refuses "%s"', (line, message) => {
    expect(() => sysctl(a, split(line))).toThrow(message)
  })
})

describe('lsof', () => {
  it('prints who holds a socket', () => {
    expect(lsof(b, ['-nP', '-iTCP', '-sTCP:LISTEN'])).toBe(
      [
        'COMMAND PID USER   FD   TYPE DEVICE SIZE/OFF NODE NAME',
        'python3 100 root    3u  IPv4      1      0t0  TCP *:17000 (LISTEN)',
        'python3 100 root    4u  IPv6      2      0t0  TCP *:17001 (LISTEN)',
        'python3 100 root    5u  IPv6      3      0t0  TCP *:17002 (LISTEN)',
        'python3 100 root    6u  IPv4      4      0t0  TCP 127.0.0.1:17003 (LISTEN)',
        'python3 100 root    7u  IPv6      5      0t0  TCP [fd09::2]:17006 (LISTEN)',
        'python3 100 root    8u  IPv4      6      0t0  TCP 10.9.0.2:17005 (LISTEN)',
        'python3 100 root    9u  IPv4      7      0t0  TCP *:80 (LISTEN)',
        '',
      ].join('\n'),
    )
  })

  const lineCount = (line: string): number => Math.max(0, lsof(a, split(line)).split('\n').length - 2)
  it.each([
    ['-i :80', 1],
    ['-i :http', 1],
    ['-iTCP:17005', 2],
    ['-i UDP', 1],
    ['-i udp:17020', 1],
    ['-i @10.9.0.2:80,17005', 3],
    ['-i 6', 2],
    ['-i 4tcp@[fd09::2]', 0],
    ['-i -sTCP:SYN_SENT', 3],
    ['-iTCP -sTCP:SYN_SENT', 2],
    ['-iTCP:17000 -s TCP:^ESTABLISHED', 3],
    ['-p 100 -a -i :80', 1],
    ['-p 99 -i :80', 1],
    ['-a -p 99 -i :80', 0],
    ['-a -c py -u root -i :80', 1],
    ['-a -u 7 -i :80', 0],
  ])('%s selects %i', (line, count) => {
    expect(lineCount(line)).toBe(count)
  })

  it('prints process ids alone with -t, and user ids with -l', () => {
    expect(lsof(a, ['-ti'])).toBe('100\n')
    expect(lsof(a, ['-lnPi', ':80'])).toContain('python3 100        0   ')
  })

  it.each([
    ['-Q', 'lsof: illegal option character: Q'],
    ['file', 'lsof: file: only sockets are here'],
    ['-i @moon', 'lsof: unknown host name (moon) in: -i @moon'],
    ['-i :moon', 'lsof: unknown service moon in: -i :moon'],
    ['-i !', 'lsof: unacceptable Internet address: !'],
    ['-i -s UDP:X', 'lsof: unsupported -s protocol: UDP'],
    ['-p', 'lsof: -p takes a value'],
  ])('refuses %s', (line, message) => {
    expect(() => lsof(a, split(line))).toThrow(message)
  })
})

it('knows services both ways', () => {
  expect([serviceName(80, 'tcp'), serviceName(80, 'udp'), serviceName(53, 'udp')]).toEqual([
    'http',
    undefined,
    'domain',
  ])
  expect([servicePort('http', 'tcp'), servicePort('tftp', 'tcp'), servicePort('', 'udp')]).toEqual([
    80,
    undefined,
    undefined,
  ])
})
