import { beforeAll, describe, expect, it } from 'vitest'
import { netstat } from './netstat.ts'
import type { Snapshot } from './snapshot.ts'
import { build, OurPair } from './testing.ts'

let a: Snapshot
let b: Snapshot
beforeAll(async () => {
  const pair = new OurPair()
  await build(pair)
  a = pair.a.snapshot(100, {})
  b = pair.b.snapshot(100, {})
})

const print = (snapshot: Snapshot, line: string, names = {}): string[] =>
  netstat(snapshot, line.split(' '), { names }).trimEnd().split('\n')
/** Rows below the two headings, without the blanks at their ends. */
const rows = (snapshot: Snapshot, line: string, names = {}): string[] =>
  print(snapshot, line, names)
    .slice(2)
    .map((row) => row.trimEnd())

describe('sockets', () => {
  it('prints TCP in every state', () => {
    expect(print(a, '-ant').map((line) => line.trimEnd())).toEqual([
      'Active Internet connections (servers and established)',
      'Proto Recv-Q Send-Q Local Address           Foreign Address         State',
      'tcp        0      0 0.0.0.0:17010           0.0.0.0:*               LISTEN',
      'tcp        0      0 10.9.0.1:17010          10.9.0.2:40013          SYN_RECV',
      'tcp      300    500 10.9.0.1:40001          10.9.0.2:17000          ESTABLISHED',
      'tcp        0      0 10.9.0.1:40003          10.9.0.2:17001          ESTABLISHED',
      'tcp        0      0 10.9.0.1:40004          10.9.0.2:17000          TIME_WAIT',
      'tcp        1      0 10.9.0.1:40006          10.9.0.2:17000          CLOSE_WAIT',
      'tcp        1      0 10.9.0.1:40007          10.9.0.2:17000          CLOSE_WAIT',
      'tcp        0      1 10.9.0.1:40008          10.9.0.2:17000          FIN_WAIT1',
      'tcp        1      1 10.9.0.1:40009          10.9.0.2:17000          CLOSING',
      'tcp        0      1 10.9.0.1:40011          10.9.0.2:17000          SYN_SENT',
      'tcp        0      0 10.9.0.1:40020          10.9.0.2:80             ESTABLISHED',
      'tcp        0      0 10.9.0.1:40030          10.9.0.2:17005          ESTABLISHED',
      'tcp        0      0 10.9.0.1:40031          10.9.0.2:17005          ESTABLISHED',
      'tcp6    4000      0 fd09::1:40002           fd09::2:17001           ESTABLISHED',
      'tcp6       0      0 fd09::1:40005           fd09::2:17001           TIME_WAIT',
      'tcp6       1      1 fd09::1:40010           fd09::2:17001           LAST_ACK',
      'tcp6       0      1 fd09::1:40012           fd09::2:17001           SYN_SENT',
    ])
  })

  it('prints listeners alone with -l, connections alone with neither', () => {
    expect(rows(b, '-ltn')).toEqual([
      'tcp        0      0 0.0.0.0:80              0.0.0.0:*               LISTEN',
      'tcp        0      0 0.0.0.0:17000           0.0.0.0:*               LISTEN',
      'tcp        0      0 127.0.0.1:17003         0.0.0.0:*               LISTEN',
      'tcp        2      0 10.9.0.2:17005          0.0.0.0:*               LISTEN',
      'tcp6       0      0 :::17001                :::*                    LISTEN',
      'tcp6       0      0 :::17002                :::*                    LISTEN',
      'tcp6       0      0 fd09::2:17006           :::*                    LISTEN',
    ])
    expect(print(b, '-ltn')[0]).toBe('Active Internet connections (only servers)')
    expect(print(b, '-tn')[0]).toBe('Active Internet connections (w/o servers)')
    expect(rows(b, '-tn')).toEqual(rows(b, '-ant').filter((row) => !row.endsWith('LISTEN')))
  })

  it('separates families and protocols', () => {
    expect(rows(b, '-ant4')).toEqual(rows(b, '-ant').filter((row) => row.startsWith('tcp ')))
    expect(rows(b, '-ant6')).toEqual(rows(b, '-ant').filter((row) => row.startsWith('tcp6')))
    expect(rows(b, '-ant46')).toEqual(rows(b, '-ant'))
    expect(rows(b, '-an --inet6 --tcp')).toEqual(rows(b, '-ant6'))
    expect(rows(b, '-antA inet,inet6')).toEqual(rows(b, '-ant'))
    expect(rows(b, '-anu')[0]).toMatch(/^udp {6,}\d+ {6}0 0\.0\.0\.0:17020 {11}0\.0\.0\.0:\*$/)
    expect(rows(b, '-anu').slice(1)).toEqual([
      'udp6       0      0 :::17021                :::*',
      'udp6       0      0 fd09::2:17022           :::*',
    ])
    expect(rows(a, '-nu')).toEqual(['udp        0      0 10.9.0.1:40050          10.9.0.2:17020          ESTABLISHED'])
    expect(rows(a, '-antu')).toEqual([...rows(a, '-ant'), ...rows(a, '-anu')])
    expect(rows(a, '-anw')).toEqual([])
  })

  it('prints the Unix table where all is asked for', () => {
    const text = netstat(a, ['-an'])
    expect(text).toContain('Active UNIX domain sockets (servers and established)\n')
    expect(text).toContain('Proto RefCnt Flags       Type       State         I-Node   Path\n')
    expect(netstat(a, ['-xp'])).toBe(
      'Active UNIX domain sockets (w/o servers)\n' +
        'Proto RefCnt Flags       Type       State         I-Node   PID/Program name     Path\n',
    )
  })

  it('adds users, inodes, programs and timers', () => {
    const [heading] = print(a, '-antope').slice(1)
    expect(heading).toBe(
      'Proto Recv-Q Send-Q Local Address           Foreign Address         State       User       Inode      PID/Program name     Timer',
    )
    const row = (port: number) =>
      rows(a, '-antope')
        .find((line) => line.includes(`:${port} `))!
        .slice(68)
    expect(row(40003)).toMatch(/^ESTABLISHED 0 {10}4 {10}100\/python3 {10}keepalive \(71\d\d\.\d\d\/0\/0\)$/)
    expect(row(40004)).toMatch(/^TIME_WAIT {3}0 {10}0 {10}- {20}timewait \(59\.\d\d\/0\/0\)$/)
    expect(row(40011)).toMatch(/^SYN_SENT {4}0 {10}\d+ {9}100\/python3 {10}on \(0\.\d\d\/0\/0\)$/)
    expect(row(40020)).toMatch(/ off \(0\.00\/0\/0\)$/)
    expect(rows(a, '-ate')[0]).toContain(' LISTEN      root       1')
  })

  it('names hosts and ports unless told not to', () => {
    const names = {
      host: (address: string) => (address === '10.9.0.2' ? 'a-name-that-is-too-long.example' : undefined),
    }
    const web = (options: string) => rows(a, options, names).find((row) => row.includes(':40020'))
    expect(web('-t')).toBe('tcp        0      0 10.9.0.1:40020          a-name-that-is-too:http ESTABLISHED')
    expect(web('-tW')).toBe(
      'tcp        0      0 10.9.0.1:40020          a-name-that-is-too-long.example:http ESTABLISHED',
    )
    expect(web('-tn')).toBe('tcp        0      0 10.9.0.1:40020          10.9.0.2:80             ESTABLISHED')
    expect(web('-t --numeric-hosts')).toBe(
      'tcp        0      0 10.9.0.1:40020          10.9.0.2:http           ESTABLISHED',
    )
    expect(web('-t --numeric-ports')).toBe(
      'tcp        0      0 10.9.0.1:40020          a-name-that-is-too-l:80 ESTABLISHED',
    )
    expect(rows(b, '-lt6')[0]).toBe('tcp6       0      0 [::]:17001              [::]:*                  LISTEN')
  })

  it('cuts long addresses unless -W', () => {
    const socket = a.sockets.find((entry) => entry.protocol === 'tcp' && entry.local.port === 40002)!
    const long = { address: '2001:db8:1111:2222:3333:4444:5555:6666', port: 40002 }
    const changed = { ...a, sockets: [{ ...socket, local: long } as (typeof a.sockets)[number]] }
    expect(rows(changed, '-tn')[0]).toContain(' 2001:db8:1111:222:40002 fd09::2:17001 ')
    expect(rows(changed, '-tnW')[0]).toContain(' 2001:db8:1111:2222:3333:4444:5555:6666:40002 fd09::2:17001 ')
  })
})

describe('tables', () => {
  it('prints routes', () => {
    expect(print(a, '-rn')).toEqual([
      'Kernel IP routing table',
      'Destination     Gateway         Genmask         Flags   MSS Window  irtt Iface',
      '0.0.0.0         10.9.0.2        0.0.0.0         UG        0 0          0 eth0',
      '10.9.0.0        0.0.0.0         255.255.255.0   U         0 0          0 eth0',
    ])
    expect(print(a, '-r')[2]).toBe('default         10.9.0.2        0.0.0.0         UG        0 0          0 eth0')
    expect(print(a, '-rne')[2]).toBe('0.0.0.0         10.9.0.2        0.0.0.0         UG    0      0        0 eth0')
    expect(print(a, '-rnee')[1]).toMatch(/ Iface {4}MSS {3}Window irtt$/)
    expect(print(a, '-rn6')[0]).toBe('Kernel IPv6 routing table')
    expect(print(a, '-rn6').slice(2)).toContain(
      'fd09::/64                      ::                         U    256 1      0 eth0',
    )
  })

  it('prints interfaces by name', () => {
    const [title, , ...shown] = print(a, '-i')
    expect(title).toBe('Kernel Interface table')
    expect(shown.map((line) => line.slice(0, 21))).toEqual(['eth0             1500', 'lo              65536'])
    expect(shown[0]).toMatch(/ BMRU$/)
    const eth0 = a.interfaces.find(({ name }) => name === 'eth0')!
    const more = ['eth10', 'eth2', 'br0'].map((name) => ({ ...eth0, name }))
    const order = print({ ...a, interfaces: [...a.interfaces, ...more] }, '-i').slice(2)
    expect(order.map((line) => line.split(' ')[0])).toEqual(['br0', 'eth0', 'eth2', 'eth10', 'lo'])
    const down = { ...a, interfaces: [{ ...eth0, flagBits: eth0.flagBits & ~1 }] }
    expect(print(down, '-i')).toHaveLength(2)
    expect(print(down, '-ia')).toHaveLength(3)
    expect(netstat(a, ['-ie'])).toContain(
      'eth0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500\n' +
        '        inet 10.9.0.1  netmask 255.255.255.0  broadcast 10.9.0.255\n',
    )
  })

  it('prints groups', () => {
    expect(print(a, '-gn').slice(0, 3)).toEqual([
      'IPv6/IPv4 Group Memberships',
      'Interface       RefCnt Group',
      '--------------- ------ ---------------------',
    ])
    expect(print(a, '-gn')).toContain('eth0            1      224.0.0.1')
  })

  it('prints counters in words, by group', () => {
    const text = netstat(a, ['-s'])
    const counts = a.counters.Tcp
    expect(text).toContain(`Tcp:\n    ${counts['ActiveOpens']} active connection openings\n`)
    expect(text).toContain(`    ${counts['CurrEstab']} connections established\n`)
    expect(text).toContain('    ICMP input histogram:\n')
    expect(netstat(a, ['-st'])).not.toContain('Udp:\n')
    expect(netstat(a, ['-su'])).toContain('Udp:\n')
    expect(netstat(a, ['-6s'])).toMatch(/^Ip6:\n/)
    // A counter that net-tools has no words for.
    expect(text).toContain(`    TCPDelivered: ${a.counters.TcpExt['TCPDelivered']}\n`)
  })
})

describe('options', () => {
  it.each([
    ['-Q', "netstat: invalid option -- 'Q'"],
    ['--moon', "netstat: unrecognized option '--moon'"],
    ['--num', "netstat: option '--num' is ambiguous"],
    ['-A', "netstat: option requires an argument -- 'A'"],
    ['-A moon', "netstat: unknown address family `moon'"],
    ['-ri', 'usage: netstat'],
    ['-is', 'usage: netstat'],
    ['-h', 'usage: netstat'],
  ])('refuses %s', (line, message) => {
    expect(() => netstat(a, line.split(' '))).toThrow(message)
  })
})
