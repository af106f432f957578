import { beforeAll, describe, expect, it } from 'vitest'
import { Network } from '../sim/network.ts'
import { AF_INET, SO_MARK, SOCK_DGRAM, SOL_SOCKET } from '../socket/constants.ts'
import { type Snapshot, snapshot } from './snapshot.ts'
import { ss } from './ss.ts'
import { build, OurPair } from './testing.ts'

let a: Snapshot
let b: Snapshot
beforeAll(async () => {
  const pair = new OurPair()
  await build(pair)
  a = pair.a.snapshot(100, {})
  b = pair.b.snapshot(100, {})
})

const split = (line: string): string[] => (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^'|'$/g, ''))
const print = (snapshot: Snapshot, line: string): string[] =>
  ss(snapshot, split(line), {
    names: { addresses: (name) => (name === 'moon.example' ? ['fd09::1', '10.9.0.1'] : []) },
  })
    .split('\n')
    .map((row) => row.trimEnd())
    .filter((row) => row !== '')
/** Local and remote port of each row. */
const ports = (snapshot: Snapshot, line: string): string[] =>
  print(snapshot, `-H ${line}`).map((row) => [...row.matchAll(/:(\S+)/g)].map(([, port]) => port).join('-'))

describe('columns', () => {
  it('prints listeners with their queue and its limit', () => {
    expect(print(b, '-ltn')).toEqual([
      'State  Recv-Q Send-Q Local Address:Port  Peer Address:PortProcess',
      'LISTEN 0      511          0.0.0.0:80         0.0.0.0:*',
      'LISTEN 0      5            0.0.0.0:17000      0.0.0.0:*',
      'LISTEN 0      4096       127.0.0.1:17003      0.0.0.0:*',
      'LISTEN 2      10          10.9.0.2:17005      0.0.0.0:*',
      'LISTEN 0      128                *:17001            *:*',
      'LISTEN 0      1               [::]:17002         [::]:*',
      'LISTEN 0      10         [fd09::2]:17006         [::]:*',
    ])
  })

  it('prints connections, and the state only where there may be several', () => {
    expect(print(b, '-tn state fin-wait-2')).toEqual([
      'Recv-Q Send-Q Local Address:Port  Peer Address:Port Process',
      '0      0           10.9.0.2:17000     10.9.0.1:40006',
      '0      0           10.9.0.2:17000     10.9.0.1:40007',
      '0      0          [fd09::2]:17001    [fd09::1]:40010',
    ])
    expect(print(a, '-tn')[0]).toMatch(/^State {6}Recv-Q Send-Q/)
    expect(print(b, '-tn').find((row) => row.includes('ffff'))).toMatch(
      /^ESTAB +0 +0 +\[::ffff:10\.9\.0\.2\]:17001 +\[::ffff:10\.9\.0\.1\]:40003$/,
    )
  })

  it('names the table where there may be several', () => {
    expect(print(b, '-lun')[0]).toMatch(/^State/)
    expect(print(b, '-ltun')[0]).toMatch(/^Netid State/)
    expect(print(b, '-ltunH').filter((row) => row.startsWith('udp'))).toHaveLength(3)
    expect(print(a, '-un')[1]).toMatch(/^0 +0 +10\.9\.0\.1:40050 +10\.9\.0\.2:17020$/)
  })

  it('prints raw sockets with their protocol for a port', () => {
    expect(print(b, '-wanH')).toEqual([
      'UNCONN 0      0      0.0.0.0:89  0.0.0.0:*',
      'UNCONN 0      0            *:103       *:*',
    ])
    expect(print(b, '-waH')[0]).toMatch(/ 0\.0\.0\.0:ospf +0\.0\.0\.0:\*$/)
  })

  it('has no heading with -H, and nothing without a row', () => {
    expect(ss(a, ['-H', '-tn', 'sport', '=', ':1'])).toBe('')
    expect(print(a, '-tn sport = :1')).toEqual(['State Recv-Q Send-Q Local Address:Port Peer Address:PortProcess'])
  })

  it('names services unless told not to, but not those chosen for a socket', () => {
    expect(print(b, '-lt')[1]).toMatch(/0\.0\.0\.0:http +0\.0\.0\.0:\*$/)
    expect(print(b, '-ltn')[1]).toMatch(/0\.0\.0\.0:80 +0\.0\.0\.0:\*$/)
    const names = { service: () => 'name', host: (text: string) => (text === '10.9.0.2' ? 'bob' : undefined) }
    const text = ss(a, ['-tr', 'dport', '=', ':80'], { names })
    expect(text).toMatch(/10\.9\.0\.1:40020 +bob:name/)
  })

  it('breaks and spreads the columns over a terminal', () => {
    for (const columns of [40, 80, 132]) {
      // A row fills its lines; ss writes no line break between them.
      const lengths = ss(b, ['-ltn'], { columns })
        .trimEnd()
        .split('\n')
        .map((row) => Math.ceil(row.length / columns))
      expect(new Set(lengths.slice(0, -1)).size).toBe(1)
      expect(lengths[0]).toBe(columns === 40 ? 2 : 1)
    }
    expect(ss(b, ['-ltn'], { columns: 80 }).split('\n')[0]!.length).toBe(80)
  })
})

describe('details', () => {
  const row = (line: string, port: number): string => print(a, line).find((text) => text.includes(`:${port} `))!

  it('tells holders, timers and what else there is', () => {
    expect(row('-tanp', 40001)).toMatch(/ users:\(\("python3",pid=100,fd=4\)\)$/)
    expect(row('-tano', 40003)).toMatch(/ timer:\(keepalive,119min,0\)$/)
    expect(row('-tano', 40004)).toMatch(/ timer:\(timewait,59sec,0\)$/)
    expect(row('-tano', 40011)).toMatch(/ timer:\(on,\d+ms,0\)$/)
    expect(row('-tane', 40006)).toMatch(/ ino:7 sk:[0-9a-f]+ -->$/)
    expect(print(b, '-ltne').find((text) => text.includes('[::]:17002'))).toMatch(/ ino:3 sk:3 v6only:1 <->$/)
  })

  it('tells memory and TCP_INFO in a line of their own, or with -O in the same', () => {
    expect(ss(a, ['-tnm', 'sport', '=', ':40001'])).toMatch(/\n\t skmem:\(r\d+,rb\d+,t0,tb\d+,f0,w\d+,o0,bl0,d0\)\n$/)
    const info = ss(a, ['-tni', 'sport', '=', ':40001'])
    expect(info).toMatch(
      /\n\t \w+ wscale:\d+,\d+ rto:\S+ rtt:\S+ ato:40 mss:1448 pmtu:1500 rcvmss:536 advmss:1448 cwnd:10 /,
    )
    expect(ss(a, ['-tnie', 'sport', '=', ':40001'])).toMatch(/\n\t ts sack \w+ wscale/)
    const single = ss(a, ['-tniO', 'sport', '=', ':40001'])
    expect(single.trimEnd().split('\n')).toHaveLength(2)
    expect(single).not.toContain('\t')
  })

  it('counts', () => {
    const text = ss(a, ['-s'])
    expect(text).toMatch(/^Total: \d+\nTCP: {3}\d+ \(estab 8, closed 2, orphaned 3, timewait 2\)\n\n/)
    expect(text).toContain('Transport Total     IP        IPv6\n')
    expect(text).toContain('UDP\t  1         1         0        \n')
    expect(ss(a, ['-st']).startsWith(text)).toBe(true)
  })
})

describe('states', () => {
  it.each([
    ['established', ['ESTAB']],
    ['time-wait', ['TIME-WAIT']],
    ['closing', ['CLOSING']],
    ['bucket', ['SYN-RECV', 'TIME-WAIT']],
    ['listening', ['LISTEN']],
    ['synchronized', ['SYN-RECV', 'ESTAB', 'TIME-WAIT', 'CLOSE-WAIT', 'FIN-WAIT-1', 'CLOSING', 'LAST-ACK']],
  ])('%s', (name, states) => {
    const all = print(a, '-tanH').filter((row) => states.includes(row.split(' ')[0]!))
    expect(ports(a, `-tn state ${name}`).sort()).toEqual(
      all.map((row) => [...row.matchAll(/:(\S+)/g)].map(([, port]) => port).join('-')).sort(),
    )
  })

  it('adds states up, and takes others out', () => {
    expect(ports(a, '-tn state closing state last-ack')).toEqual(['40009-17000', expect.stringContaining('40010')])
    expect(ports(a, '-tn exclude established')).toHaveLength(
      print(a, '-tanH').filter((r) => !r.startsWith('EST')).length,
    )
    expect(ports(a, '-tn state all').sort()).toEqual(ports(a, '-tan').sort())
  })
})

describe('filters', () => {
  it.each([
    ['sport = :40001', ['40001-17000']],
    ['sport = 40001', ['40001-17000']],
    ['sport :40001', ['40001-17000']],
    ['sport eq 0x9c41', ['40001-17000']],
    ['dport = :http', ['40020-80']],
    ['( dport = :80 or dport = :17005 )', ['40020-80', '40030-17005', '40031-17005']],
    ["'( dport = :80 or dport = :17005 ) and sport != :40030'", ['40020-80', '40031-17005']],
    ['dport = :17005 and not sport = :40030', ['40031-17005']],
    ['dport = :17005 ! sport = :40030', ['40031-17005']],
    ['dport = :17005 sport = :40031', ['40031-17005']],
    ['sport > 40030', ['40031-17005']],
    ['sport >= 40030 and dport < 17006', ['40030-17005', '40031-17005']],
    ['dst 10.9.0.2:80', ['40020-80']],
    ['dst 10.9.0.0/24 and dport le 80', ['40020-80']],
    ['dst 10.9/16 and dport le 80', ['40020-80']],
    ['dst 10.9.0.0/255.255.255.0 and dport le 80', ['40020-80']],
    ['dst 10.8.0.0/16', []],
    ["dst '*:80'", ['40020-80']],
    ['src 10.9.0.1 dst [fd09::2]', []],
    ['dev eth0', []],
    ['dev != eth0 and dport = :80', ['40020-80']],
    ['dev 1', []],
    ['fwmark = 0 and dport = :80', ['40020-80']],
    ['fwmark 1', []],
    ['fwmark 0x10/0x10', []],
    ['not fwmark 1/1 and dport = :80', ['40020-80']],
    ['src inet:10.9.0.1 and dport = inet::80', ['40020-80']],
    ['src inet6:[fd09::1] and sport = 40020', []],
    ['src moon.example and dport = :80', ['40020-80']],
    ['src unix:*', []],
  ])('%s', (expression, expected) => {
    expect(ports(a, `-tn ${expression}`)).toEqual(expected)
  })

  it('takes IPv4 addresses of IPv6 sockets by IPv4 and by mapped prefixes', () => {
    expect(print(b, '-tnH src 10.9.0.2 and dport = :40003')).toHaveLength(1)
    expect(print(b, '-tnH src [::ffff:10.9.0.2] and dport = :40003')).toHaveLength(1)
    expect(print(b, '-tnH src [::ffff:10.9.0.2] and dport = :40001')).toHaveLength(0)
    expect(print(b, '-tnH dst fd09::/64').length).toBeGreaterThan(1)
  })

  it('tells ports that were asked for from those that were chosen', async () => {
    const network = new Network({ seed: 1 })
    const host = network.host('h')
    host.spawn('sockets', async (sys) => {
      for (const port of [0, 40_000, 70]) {
        const fd = sys.socket(AF_INET, SOCK_DGRAM)
        sys.setsockopt(fd, SOL_SOCKET, SO_MARK, port & 0xff)
        sys.bind(fd, { address: '0.0.0.0', port })
      }
      await sys.usleep(1e6)
    })
    await network.run(1)
    const taken = snapshot(host)
    const chosen = taken.sockets.flatMap((s) => (s.protocol === 'udp' && !s.portIsFixed ? [`${s.local.port}-*`] : []))
    expect(chosen).toHaveLength(1)
    expect(ports(taken, '-uan autobound')).toEqual(chosen)
    // The kernel says that 40000 was asked for, ss that it is one that could have been chosen.
    expect(ports(taken, '-uan not autobound')).toEqual(['70-*'])
    expect(ports(taken, '-uan fwmark 0x40/0xf0')).toEqual(['70-*', '40000-*'])
    expect(print(taken, '-uaneH fwmark = 70')[0]).toMatch(/ fwmark:0x46 /)
    network.close()
  })

  it('matches the names of Unix sockets', () => {
    const names = (line: string): string[] => print(b, `-xaH ${line}`).map((row) => row.split(/ +/)[4]!)
    expect(names('src @netglass')).toEqual(['@netglass', '@netglass'])
    expect(names("src '*.SEQ'")).toEqual(['@Other.seq'])
    expect(names('src unix:/tmp/netglass-[a-z]*')).toEqual(['/tmp/netglass-inspect.sock'])
    expect(names("src '@[!n]*'")).toEqual(['@Other.seq'])
    expect(names("src '@netglas?'")).toHaveLength(2)
    expect(names("src '@netgla??s'")).toEqual([])
    expect(names('autobound').every((name) => name === '*')).toBe(true)
  })

  it('joins and, or and nothing alike, from the left', () => {
    expect(ports(a, '-tn sport = :40030 or dport = :80 and sport = :40020')).toEqual(['40020-80'])
    expect(ports(a, "-tn 'sport = :40030 or ( dport = :80 and sport = :40020 )'").sort()).toEqual([
      '40020-80',
      '40030-17005',
    ])
  })
})

describe('errors', () => {
  it.each([
    ['-Q', "ss: invalid option -- 'Q'"],
    ['--moon', "ss: unrecognized option '--moon'"],
    ['-f moon', 'ss: "moon" is invalid family'],
    ['-A moon', 'ss: "moon" is illegal socket table id'],
    ['-A !tcp', 'ss: no socket tables to show with such filter.'],
    ['state moon', 'ss: wrong state name: moon'],
    ['state', 'Command line is not complete. Try option "help"'],
    ['exclude all', 'ss: no socket states to show with such filter.'],
    ['-t sport = :moon', 'Error: "moon" does not look like a port.'],
    ['-t dst 10.0.0.0/99', 'Error: an inet prefix is expected rather than "10.0.0.0/99".'],
    ['-t dst [fd09::2', 'Cannot parse dst/src address.'],
    ['-t dst > 10.0.0.1', 'syntax error'],
    ['-t ( sport = :80', 'syntax error'],
    ['-t sport = :80 )', 'syntax error'],
    ['-t and', 'syntax error'],
    ['-t moon', 'Error: an inet prefix is expected rather than "moon".'],
    ['-t 10.9.0.1', 'syntax error'],
    ['-t dev moon', 'Cannot parse device.'],
    ['-t fwmark moon', 'Cannot parse mark moon.'],
    ['-t cgroup /', 'ss: cgroup: sockets here belong to no control group'],
    ['-K -t', 'ss: -K: '],
    ['-t -N moon', 'ss: -N: '],
    ['-t sport =', 'syntax error'],
    ['-h', 'Usage: ss'],
  ])('%s', (line, message) => {
    expect(() => ss(a, split(line))).toThrow(message)
  })
})
