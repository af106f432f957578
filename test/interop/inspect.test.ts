/**
 * What our tools print against what netstat, ss, ip, nstat, lsof and sysctl print, for two machines in the same state:
 * character for character, but for what cannot be the same (see `unlike`). Needs root, net-tools, iproute2 and lsof.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ip } from '../../src/inspect/ip.ts'
import { lsof } from '../../src/inspect/lsof.ts'
import type { PrintOptions } from '../../src/inspect/names.ts'
import { netstat } from '../../src/inspect/netstat.ts'
import type { Snapshot } from '../../src/inspect/snapshot.ts'
import type { SocketSnapshot } from '../../src/inspect/snapshot-types.ts'
import { ss } from '../../src/inspect/ss.ts'
import { build, OurPair } from '../../src/inspect/testing.ts'
import { KernelPair } from './inspect-machines.ts'

const SIDES = ['a', 'b'] as const
type Side = (typeof SIDES)[number]

const NETSTAT = [
  '-ant',
  '-tn',
  '-ltn',
  '-an4t',
  '-an6t',
  '-antW',
  '-ant --numeric-hosts',
  '-antp',
  '-ante',
  '-anteep',
  '-at',
  '-lt',
  '-t --numeric-ports',
  '-anto',
  '-antope',
  '-tnA inet6',
  '-tn --protocol=inet',
  '--tcp --numeric --listen',
  '-anu',
  '-anw',
  '-aw',
  '-lnw',
  '-anwpe',
  '-an46',
  '-un',
  '-lun',
  '-antu',
  '-anu6',
  '-aupen',
  '-auon',
].map((options) => `netstat ${options}`)

const SS = [
  '-ltn',
  '-tn',
  '-tan',
  '-tan4',
  '-tan6',
  '-ta',
  '-lt',
  '-t',
  '-tnH',
  '-ltnO',
  '-tanp',
  '-ltnp',
  '-4tn',
  '-tnf inet6',
  '-A tcp -n',
  '--tcp --all --numeric --no-header',
  '-tn state established',
  '-tn state time-wait',
  '-tn state fin-wait-2',
  '-tn state closing state last-ack',
  '-tn state connected',
  '-tn state synchronized',
  '-tn exclude established',
  '-tn exclude established exclude close-wait',
  '-tn state big',
  '-tn state bucket',
  '-tn state listening',
  '-tan sport = :17000',
  "-tan '( sport = :17000 or dport = :17000 )'",
  "-tan '( sport = :http or dport = :http )'",
  '-tan dport ne :17000 and not dport = :17001',
  '-tan dport gt 40005',
  "-tan 'sport >= :17003'",
  '-tan src 10.9.0.0/24',
  '-tan dst 10.9.0.2:17000',
  '-tan dst [fd09::2]',
  '-tan dst fd09::/64',
  '-tan dst 127',
  '-tan src 10.9',
  "-tan src '*:17001'",
  '-tan dev eth0',
  '-uan',
  '-wan',
  '-wa',
  '-lnw',
  '-wanp',
  '-tuwan',
  '-un',
  '-lun',
  '-ua',
  '-tuan',
  '-ltun',
  '-uan6',
  '-A inet,!dccp -an',
  '-uanp',
  '-uan sport = :17020',
  // The filter language.
  '-tan sport = 17000 or sport = 17001 and dport = 40001',
  "-tan 'sport = 17000 | sport = 17001 & dport = 40002'",
  '-tan dport = 80 or sport = 17010 and dport = 81',
  '-tan sport = 17010 and dport = 81 or dport = 80',
  "-tan '! sport = 17000'",
  "-tan 'not ( sport = 17000 or sport = 17001 )'",
  "-tan 'not not sport = 17010'",
  "-tan 'not sport = 17010 and not dport = 17000'",
  "-tan '( sport = 17010 ) ( dport = 40013 )'",
  "-tan 'sport >= 17000 && sport <= 17001'",
  "-tan 'sport geq 17000 and sport leq 17001'",
  "-tan 'sport lt 17001 || sport gt 40010'",
  '-tan sport neq 17000',
  '-tan sport eq http',
  "-tan 'sport = :*'",
  "-tan 'sport != :*'",
  "-tan 'sport = *:17000'",
  '-tan sport = inet:17000',
  '-tan sport = inet6::17001',
  '-tan sport = 041150',
  '-tan sport = 0x4268',
  "-tan 'sport = -1'",
  '-tn exclude all',
  '-tan src inet:10.9.0.2',
  '-tan src inet6:[fd09::2]',
  '-tan src inet:10.9.0.1 or src inet6:[fd09::1]',
  '-tan src 10.9.0.2:http',
  "-tan src '10.9.0.2:*'",
  '-tan src == 10.9.0.2',
  '-tan not dst 10.9.0.1',
  '-tan src 10.9.0.0/255.255.255.0',
  '-tan dst 0x0a.9.0.2',
  '-tan dst 10.9.0.2/0x18:17000',
  '-tan src 0.0.0.0',
  '-tan src any',
  '-tan src localhost',
  '-tan dst localhost:17000',
  '-tan src :17000',
  '-tan dst [::ffff:0:0/96]',
  '-tan dst [fd09::/16]:17001',
  '-tan src 10.9.0.2 or dst 10.9.0.1 and sport = 80',
  '-tan dev 2',
  '-tan dev ne eth0',
  '-tan fwmark 0',
  '-tan fwmark != 0',
  '-tan fwmark = 0x01/0x03',
  '-tan autobound',
  '-tan not autobound',
  '-uan autobound',
  '-wan sport = :89',
  "-uan 'sport = :17020 or sport = :17021'",
  '-t state all exclude listening',
  '-tn state ESTABLISHED state closed',
  '-tn exclude bucket exclude synchronized',
  '-tn exclude connected',
  '-A tcp,udp -an',
  '-A raw -A udp -an',
  '--query=tcp -an',
  '-46tan',
  '-6 -4 -tan',
  '-f inet6 -tan sport = 17001',
  // Tables that are empty here.
  '-Sa',
  '-Ma',
  '-0a',
  '--tipc -a',
  '--xdp -a',
  '--vsock -a',
  '-f link',
  '-A packet -an',
  '-A p_raw,tipc -an',
  '-tanT',
  '-uanT',
  '-tan --tos',
  '-uan --tos',
  '-wan --tos',
].map((options) => `ss ${options}`)

/** What is wrong with a command: the first line that ss says of it. */
const SS_ERRORS = [
  '-tan sport',
  '-tan dst != 10.9.0.1',
  "-tan 'sport ~ 5'",
  "-tan '( sport = 1'",
  "-tan 'sport = 1 )'",
  "-tan '( )'",
  '-tan and sport = 1',
  '-tan sport = 1 and',
  '-tan bogus',
  '-tan sport=17000',
  "-tan '(sport = 17000)'",
  '-tan 10.9.0.1',
  "-tan 'state established'",
  '-tan dport = :nosuch',
  '-tan sport = 10.9.0.1:17000',
  '-tan src nosuchhost.invalid',
  '-tan src 10.9.0.2/33',
  '-tan src 10.9.0.300',
  '-tan src ::1',
  '-6an src 10.9.0.1',
  '-tan src [fd09::1',
  '-tan dev nosuch',
  "-tan 'dev > eth0'",
  '-tan fwmark = abc',
  '-tan fwmark = 1/',
  "-tan 'fwmark > 1'",
  '-tan state',
  '-tan state bogus',

  '-A bogus',
  '-A tcp,bogus',
  '-f bogus',
  '-tanZ',
  '--bogus',
].map((options) => `ss ${options}`)

const UNIX_OPTIONS = ['', 'n', 'p', 'e', 'o', 'oep', 'W']
const UNIX = [
  ...['-x', '-xl', ...UNIX_OPTIONS.slice(0, -1).map((letters) => `-xa${letters}`)].map((options) => `ss ${options}`),
  ...['-x', '-xl', ...UNIX_OPTIONS.map((letters) => `-xa${letters}`), '--unix -ap', '-A unix -a'].map(
    (options) => `netstat ${options}`,
  ),
  ...[
    '-xai',
    '-xaT',
    '-xaO',
    '-xH',
    '-A u_str -a',
    '-A u_dgr -ap',
    '-A unix_seqpacket -a',
    '-A unix,udp -an',
    '-f unix -a',
    '-x state listening',
    '-x exclude established',
    '-xa state unconnected',
    '-xa src @netglass',
    "-xa src '*GLASS*'",
    "-xa 'src unix:/tmp/*'",
    "-xa 'src [@/]*'",
    '-xa dst @netglass',
    '-xa autobound',
    '-xa not autobound',
    '-xa sport = 0',
    '-xa dev eth0',
    '-xa fwmark 0',
    "-a 'src unix:@*'",
  ].map((options) => `ss ${options}`),
]

/** With columns whose width depends on what cannot be the same. */
const SS_LOOSE = [
  '-tano',
  '-tane',
  '-tanpe',
  '-tanoe',
  '-tanopeH',
  '-ltne',
  '-uane',
  '-tanm',
  '-ltnm',
  '-uanm',
  '-tanmO',
  '-s',
].map((options) => `ss ${options}`)

const ROUTES = ['-rn', '-r', '-rne', '-rnee', '-rn6', '-r6'].map((options) => `netstat ${options}`)
const GROUPS = ['-gn', '-gn4', '-gn6'].map((options) => `netstat ${options}`)

const IP = [
  'addr',
  '-4 addr',
  '-6 addr',
  'addr show dev eth0',
  'a s lo',
  '-br addr',
  '-br -4 a',
  '-o addr',
  '-o -6 addr',
  'addr show up',
  'addr show scope global',
  'link',
  '-br link',
  '-o link',
  'link show eth0',
  'route',
  'route show table local',
  'route show table all',
  'route show dev eth0',
  'route show default',
  'route show proto kernel',
  'route show 10.9.0.0/24',
  'route show root 10.0.0.0/8',
  'route show match 10.9.0.7',
  '-d route',
  '-6 route',
  '-6 route show table local',
  '-4 route show table all',
  'neigh',
  '-4 neigh',
  '-6 neigh',
  '-br neigh',
  'neigh show dev eth0',
  'neigh show nud permanent',
  'neigh show nud reachable',
  'neigh show 10.9.0.0/24',
].map((options) => `ip ${options}`)

const LSOF = [
  '-nP -i',
  '-i -P',
  '-n -i',
  '-nPi4',
  '-nPi6',
  '-nPiTCP',
  '-nP -iTCP:17000',
  '-nP -iTCP:17000-17001,80',
  '-nP -iTCP -sTCP:LISTEN',
  '-nP -iTCP -sTCP:^LISTEN',
  '-nPi@10.9.0.1',
  '-nP -i@[fd09::2]:17001',
  '-ti',
  '-nPi :80',
  '-nPi :http',
  '-nPli',
].map((options) => `lsof ${options}`)

const WIDTHS = [40, 60, 80, 100, 132, 200]
const TERMINAL = ['-tan', '-tanp', '-lt']

let kernel: KernelPair
let ours: OurPair
/** Snapshots with the kernel's process ids and inodes, and its sockets in the order in which it lists them. */
const snapshots = {} as Record<Side, Snapshot>
/** What the real tools print, by the command. */
const real = {} as Record<Side, Map<string, string>>
const errors = {} as Record<Side, Map<string, string>>
const terminals = {} as Record<Side, Map<string, string>>

beforeAll(async () => {
  kernel = new KernelPair()
  ours = new OurPair()
  await Promise.all([build(ours), build(kernel)])
  for (const side of SIDES) {
    real[side] = kernel[side].runAll([...NETSTAT, ...SS, ...SS_LOOSE, ...UNIX, ...ROUTES, ...GROUPS, ...IP, ...LSOF])
    errors[side] = kernel[side].runAll(SS_ERRORS, true)
    snapshots[side] = await snapshotOf(side)
    terminals[side] = new Map()
    for (const columns of WIDTHS) {
      for (const options of TERMINAL) {
        const text = await kernel[side].call('terminal', columns, 'ss', options)
        terminals[side].set(`${columns} ${options}`, text as string)
      }
    }
  }
})

afterAll(() => {
  kernel?.close()
  ours?.close()
})

const snapshotOf = async (side: Side): Promise<Snapshot> => {
  const inodes = (await kernel[side].call('inodes')) as Record<string, number>
  const taken = ours[side].snapshot(kernel[side].pid, inodes)
  const order = real[side].get('ss -tan')!.split('\n').map(portsOfLine)
  const place = (socket: SocketSnapshot): number =>
    socket.protocol === 'unix' ? 0 : order.indexOf(`${socket.local.port} ${socket.remote.port}`)
  // What a datagram is charged with is not the same in any two kernels.
  const charged = Number(/^UNCONN +(\d+) +\d+ +0.0.0.0:17020/m.exec(real[side].get('ss -uan')!)?.[1])
  for (const socket of taken.sockets)
    if (socket.protocol !== 'unix' && socket.local.port === 17020) socket.receiveQueue &&= charged
  taken.sockets.sort((x, y) => place(x) - place(y))
  return taken
}

/** Ports name a socket here: no two of a machine have the same pair of them. */
const portsOfLine = (line: string): string => {
  const [, , , local = '', remote = ''] = line.split(/ +/)
  const port = (end: string): number => Number(end.slice(end.lastIndexOf(':') + 1).replace('*', '0'))
  return `${port(local)} ${port(remote)}`
}

/**
 * Takes out what cannot be the same: time left, retransmissions by now, names of structures, control groups, which our
 * hosts do not have, and what memory the kernel takes for its buffers.
 */
const unlike = (text: string): string =>
  text
    .replace(/timer:\(on,[^,]*,\d+\)/g, 'timer:(on,T,N)')
    .replace(/timer:\((keepalive|timewait),[^,]+,/g, 'timer:($1,T,')
    .replace(/ on {2}\(.*\/\d+\/0\)/g, ' on (T/N/0)')
    .replace(/ on \(\d+\.\d\d\/\d+\//g, ' on (T/N/')
    .replace(/(keepalive|timewait) \(\d+\.\d\d\//g, '$1 (T/')
    .replace(/ sk:[0-9a-f]+/g, ' sk:X')
    .replace(/skmem:\(.*?\)/g, (text) => text.replace(/\d+/g, '#'))
    .replace(/^Total: \d+$/m, 'Total: #')
    // Linux counts orphans, and what else is allocated, over all namespaces.
    .replace(/^TCP: {3}\d+ \(estab (\d+), closed \d+, orphaned \d+/m, 'TCP: # (estab $1, closed #, orphaned #')
    .replace(/ cgroup:\S+/g, '')

/** Without the blanks at the ends of lines: how many there are depends on what `unlike` takes out. */
const trimmed = (text: string): string => unlike(text).replace(/ +$/gm, '')

const NAMES = { host: (address: string) => (address === '127.0.0.1' ? 'localhost' : undefined) }
const TOOLS: Record<string, (snapshot: Snapshot, args: readonly string[], print: PrintOptions) => string> = {
  netstat,
  ss,
  ip,
  lsof,
}

/** Splits a command as a shell does, and runs ours. */
const own = (side: Side, command: string, columns: number | null = null): string => {
  const [tool, ...args] = (command.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^'|'$/g, ''))
  return TOOLS[tool!]!(snapshots[side], args, { names: NAMES, columns })
}

describe.each(SIDES)('machine %s', (side) => {
  test.each([...NETSTAT, ...SS])('%s', (command) => {
    expect(unlike(own(side, command))).toBe(unlike(real[side].get(command)!))
  })

  test.each(SS_LOOSE)('%s', (command) => {
    expect(trimmed(own(side, command))).toBe(trimmed(real[side].get(command)!))
  })

  test.each(SS_ERRORS)('%s', (command) => {
    expect(errors[side].get(command)).not.toBe('')
    expect(() => own(side, command)).toThrow(errors[side].get(command)!.split('\n')[0]!)
  })

  // In the order of the kernel's table.
  const unordered = (text: string): string[] =>
    text
      .replace(/ ino:\d+ dev:\S+ *$/gm, '')
      .split('\n')
      .map((line) => line.trimEnd())
      .sort()

  test.each(UNIX)('%s', (command) => {
    expect(unordered(own(side, command))).toEqual(unordered(real[side].get(command)!))
  })

  test.each(WIDTHS)('ss on a terminal of %i columns', (columns) => {
    for (const options of TERMINAL) {
      expect(own(side, `ss ${options}`, columns)).toBe(terminals[side].get(`${columns} ${options}`))
    }
  })

  // The kernel counts who else refers to a route of IPv6.
  const references = (text: string): string => text.replace(/^(.{60,} -?\d+ +)\d+( +\d+ (?:lo|eth0))$/gm, '$1#$2')

  test.each(ROUTES)('%s', (command) => {
    expect(references(own(side, command))).toBe(references(real[side].get(command)!))
  })

  // Listed in the order in which they were joined.
  const groups = (text: string): string[] => text.split('\n').sort()

  test.each(GROUPS)('%s', (command) => {
    expect(groups(own(side, command))).toEqual(groups(real[side].get(command)!))
  })

  /** The end of a veth pair as that of a cable. */
  const cable = (text: string): string =>
    text
      .replace(/^\d+: eth0/gm, '2: eth0')
      .replace(/^eth0@if\d+ +/gm, 'eth0'.padEnd(17))
      .replace(/eth0@if\d+/g, 'eth0')
      .replace(/ link-netns(id)? [^\s\\]+/g, '')

  test.each(IP)('%s', (command) => {
    expect(own(side, command)).toBe(cable(real[side].get(command)!))
  })

  test.each(LSOF)('%s', (command) => {
    expect(own(side, command)).toBe(real[side].get(command))
  })
})
