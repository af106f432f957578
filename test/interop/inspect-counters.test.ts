/**
 * Tools that print numbers: the kernel's own counters, statistics and TCP_INFO are put into a snapshot, and what our
 * tools make of them is compared with what netstat, nstat, ip and ss print. Also sysctl, and what tools say to options
 * that they do not know. Needs root, net-tools, iproute2, procps and iputils-ping.
 */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ip } from '../../src/inspect/ip.ts'
import { lsof } from '../../src/inspect/lsof.ts'
import { netstat } from '../../src/inspect/netstat.ts'
import { listCounters, nstat } from '../../src/inspect/nstat.ts'
import type { CounterGroups, Snapshot } from '../../src/inspect/snapshot.ts'
import type { TcpSnapshot } from '../../src/inspect/snapshot-types.ts'
import { ss } from '../../src/inspect/ss.ts'
import { sysctl } from '../../src/inspect/sysctl.ts'
import { build, OurPair } from '../../src/inspect/testing.ts'
import { KernelPair } from './inspect-machines.ts'

let kernel: KernelPair
let ours: OurPair

beforeAll(async () => {
  kernel = new KernelPair()
  ours = new OurPair()
  await Promise.all([build(ours), build(kernel)])
  const noise = [
    'ping -q -c 3 -i 0.01 127.0.0.1',
    'ping -q -c 2 -i 0.01 ::1',
    // Ports at which nobody listens.
    `python3 -c "import socket; s = socket.socket(2, 2); s.sendto(b'x', ('127.0.0.1', 9)); s.sendto(b'x', ('127.0.0.1', 9))"`,
    `python3 -c "import socket; socket.socket(10, 2).sendto(b'x', ('::1', 9))"`,
    `python3 -c "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"`,
    'ping -q -c 1 -s 4000 127.0.0.1 -M dont',
  ]
  kernel.a.runAll(noise)
})

afterAll(() => {
  kernel?.close()
  ours?.close()
})

/** The text of files in /proc and what commands print, at a moment at which the files did not change. */
const still = (files: readonly string[], commands: readonly string[]): Map<string, string> => {
  const cats = files.map((file) => `cat ${file}`)
  for (let attempt = 0; attempt < 50; attempt++) {
    const texts = kernel.a.runAll([...cats, ...commands, ...cats.map((cat) => `${cat} `)])
    if (cats.every((cat) => texts.get(cat) === texts.get(`${cat} `))) return texts
  }
  throw new Error('the counters do not stand still')
}

const PROC = ['/proc/net/snmp', '/proc/net/netstat', '/proc/net/snmp6']

/** The kernel's counters as a snapshot has them. */
const readCounters = (texts: Map<string, string>): CounterGroups => {
  const groups: Record<string, Record<string, number>> = {}
  for (const file of ['/proc/net/snmp', '/proc/net/netstat']) {
    const lines = texts.get(`cat ${file}`)!.trim().split('\n')
    for (let i = 0; i + 1 < lines.length; i += 2) {
      const [title, ...names] = lines[i]!.split(' ')
      const [, ...values] = lines[i + 1]!.split(' ')
      groups[title!.slice(0, -1)] = Object.fromEntries(names.map((name, at) => [name, Number(values[at])]))
    }
  }
  for (const line of texts.get('cat /proc/net/snmp6')!.trim().split('\n')) {
    const [, title, name, value] = /^(Ip6|Icmp6|Udp6|UdpLite6)(\S+)\s+(\d+)$/.exec(line)!
    const group = title === 'Icmp6' && /^(In|Out)Type\d/.test(name!) ? 'Icmp6Msg' : title!
    groups[group] ??= {}
    groups[group][name!] = Number(value)
  }
  return { IcmpMsg: {}, Icmp6Msg: {}, ...groups } as unknown as CounterGroups
}

describe('counters', () => {
  const commands = ['-s', '-st', '-su', '-sw', '-6s', '-6st', '-s6u', '-stu', '-sn'].map((o) => `netstat ${o}`)

  test.each(commands)('%s', (command) => {
    const texts = still(PROC, [command])
    const snapshot = { ...ours.a.snapshot(1, {}), counters: readCounters(texts) }
    expect(netstat(snapshot, command.split(' ').slice(1))).toBe(texts.get(command))
  })

  test.each(['nstat -as', 'nstat -asz', 'nstat -asz TcpExt*', "nstat -as '*In*'", 'nstat -as --json', 'nstat -asj -p'])(
    '%s',
    (command) => {
      const texts = still(PROC, [command])
      const snapshot = { ...ours.a.snapshot(1, {}), counters: readCounters(texts), drops: {} }
      const args = command.replaceAll("'", '').split(' ').slice(1)
      // UDP-Lite and MPTCP are not here.
      const real = texts
        .get(command)!
        .replace(/^(UdpLite|MPTcp).*\n/gm, '')
        .replace(/,"(UdpLite|MPTcp)\w+":\d+/g, '')
        .replace(/,\n +"(UdpLite|MPTcp)\w+": \d+/g, '')
      expect(nstat(snapshot, args)).toBe(real)
    },
  )

  test('ours have the names of the kernel, in its order', () => {
    const theirs = readCounters(still(PROC, [])) as unknown as Record<string, Record<string, number>>
    for (const [group, counters] of Object.entries(ours.a.snapshot(1, {}).counters)) {
      if (group.endsWith('Msg')) continue
      const names = Object.keys(theirs[group]!)
      const own = Object.keys(counters)
      // Newer kernels have more, older ones fewer.
      const both = own.filter((name) => names.includes(name))
      expect(both).toEqual(names.filter((name) => own.includes(name)))
      expect(both.length).toBeGreaterThan(own.length * 0.9)
    }
    expect(listCounters(ours.a.snapshot(1, {})).size).toBeGreaterThan(200)
  })
})

describe('statistics of interfaces', () => {
  test.each([
    'netstat -i',
    'netstat -in',
    'netstat -ia',
    'netstat -ie',
    'ip -s link',
    'ip -s -s link',
    'ip -s addr',
    'ip -s -o link',
    'ip -s link show lo',
  ])('%s', (command) => {
    const texts = still(['/proc/net/dev'], [command])
    const snapshot = ours.a.snapshot(1, {})
    for (const iface of snapshot.interfaces) {
      const line = texts
        .get('cat /proc/net/dev')!
        .split('\n')
        .find((text) => text.trim().startsWith(`${iface.name}:`))!
      const [rxBytes, rxPackets, rxErrors, rxDropped, rxOverruns, rxFrameErrors, , rxMulticast, ...sent] = line
        .slice(line.indexOf(':') + 1)
        .trim()
        .split(/ +/)
        .map(Number) as number[]
      const [txBytes, txPackets, txErrors, txDropped, txOverruns, txCollisions, txCarrierErrors] = sent as number[]
      const received = { rxBytes, rxPackets, rxErrors, rxDropped, rxOverruns, rxFrameErrors, rxMulticast }
      const all = { ...received, txBytes, txPackets, txErrors, txDropped, txOverruns, txCollisions, txCarrierErrors }
      Object.assign(iface.statistics, all)
    }
    const [tool, ...args] = command.split(' ')
    const real = texts
      .get(command)!
      .replace(/^\d+: eth0/gm, '2: eth0')
      .replace(/eth0@if\d+/g, 'eth0')
      // How often the carrier came and went: nobody counts it here.
      .replace(/(transns\n +(?:\d+ +){4})\d+/g, '$10')
      .replace(/ link-netns(id)? [^\s\\]+/g, '')
    expect(ordered((tool === 'ip' ? ip : netstat)(snapshot, args))).toBe(ordered(real))
  })
})

/** ifconfig's lines of IPv6 addresses have the order of a hash table. */
const ordered = (text: string): string =>
  text.replace(/(?: +inet6 .* scopeid .*\n)+/g, (lines) => lines.trimEnd().split('\n').sort().join('\n'))

/** `struct tcp_info` as a snapshot has it. */
const readInfo = (hex: string): TcpSnapshot['info'] => {
  const bytes = Uint8Array.from(hex.match(/../g)!, (byte) => Number.parseInt(byte, 16))
  const view = new DataView(bytes.buffer)
  const u32 = (at: number): number => view.getUint32(at, true)
  const u64 = (at: number): number => Number(view.getBigUint64(at, true))
  const words = (first: number, names: readonly string[]): Record<string, number> =>
    Object.fromEntries(names.map((name, i) => [`tcpi_${name}`, u32(first + 4 * i)]))
  const [state, ca, retransmits, probes, backoff, options, wscale, limited] = bytes as unknown as number[]
  return {
    tcpi_state: state,
    tcpi_ca_state: ca,
    tcpi_retransmits: retransmits,
    tcpi_probes: probes,
    tcpi_backoff: backoff,
    tcpi_options: options,
    tcpi_snd_wscale: wscale! & 15,
    tcpi_rcv_wscale: wscale! >>> 4,
    tcpi_delivery_rate_app_limited: limited! & 1,
    ...words(8, ['rto', 'ato', 'snd_mss', 'rcv_mss', 'unacked', 'sacked', 'lost', 'retrans', 'fackets']),
    ...words(44, ['last_data_sent', 'last_ack_sent', 'last_data_recv', 'last_ack_recv', 'pmtu', 'rcv_ssthresh']),
    ...words(68, ['rtt', 'rttvar', 'snd_ssthresh', 'snd_cwnd', 'advmss', 'reordering', 'rcv_rtt', 'rcv_space']),
    ...words(100, ['total_retrans']),
    tcpi_pacing_rate: u64(104),
    tcpi_bytes_acked: u64(120),
    tcpi_bytes_received: u64(128),
    ...words(136, ['segs_out', 'segs_in', 'notsent_bytes', 'min_rtt', 'data_segs_in', 'data_segs_out']),
    tcpi_delivery_rate: u64(160),
    ...words(192, ['delivered', 'delivered_ce']),
    tcpi_bytes_sent: u64(200),
    tcpi_bytes_retrans: u64(208),
    ...words(216, ['dsack_dups', 'reord_seen', 'rcv_ooopack', 'snd_wnd', 'rcv_wnd']),
  } as unknown as TcpSnapshot['info']
}

/** Rows of ss by their ports, with the line that follows; without what moves on between two looks. */
const rows = (text: string): Map<string, string> => {
  const found = text
    .replace(/\n\t/g, ' \\t ')
    .replace(/ +/g, ' ')
    .replace(/(lastsnd|lastrcv|lastack|busy|rwnd_limited|sndbuf_limited):\S+ /g, (match, name: string) =>
      name.startsWith('last') ? `${name}:# ` : match === '' ? '' : '',
    )
    .split('\n')
  const key = (line: string): string => [...line.matchAll(/:(\d+|\*) /g)].slice(0, 2).join()
  return new Map(found.map((line) => [key(line), line.trimEnd()]))
}

describe.each(['a', 'b'] as const)('TCP_INFO of %s', (side) => {
  test.each(['-tani', '-tnie', '-ltni', '-tai'])('ss %s', async (options) => {
    const [inodes, infos] = [await kernel[side].call('inodes'), await kernel[side].call('infos')]
    const real = rows(kernel[side].run(`ss ${options}`).replace(/ (sk|cgroup|ino|timer):\S+/g, ''))
    const snapshot = ours[side].snapshot(kernel[side].pid, inodes as Record<string, number>)
    const held = (snapshot.sockets as TcpSnapshot[]).filter(({ holders }) => holders.length > 0)
    for (const socket of held) {
      const hex = (infos as Record<string, string>)[socket.holders[0]!.fd]
      if (hex === undefined) continue
      socket.info = readInfo(hex)
      socket.congestion = 'reno'
    }
    const printed = ss({ ...snapshot, sockets: held }, options.split(' '))
    const own = rows(printed.replace(/ (sk|cgroup|ino|timer):\S+/g, ''))
    let compared = 0
    for (const [ports, row] of own) {
      // Those that resend move on.
      if (ports === '' || /SYN-SENT|^ESTAB 300|FIN-WAIT-1/.test(row)) continue
      expect(row).toBe(real.get(ports))
      compared++
    }
    expect(compared).toBeGreaterThan(0)
  })
})

/**
 * What of `tcp_info` is the same on every machine that was brought
 * into the same state: neither times nor what follows from them.
 */
const SAME = ['state', 'options', 'snd_wscale', 'rcv_wscale', 'snd_mss', 'rcv_mss', 'pmtu', 'advmss'] as const
/** And where nothing is on its way. */
const SAME_WHEN_IDLE = ['snd_cwnd', 'snd_ssthresh', 'bytes_acked', 'bytes_received', 'data_segs_out'] as const

test.each(['a', 'b'] as const)('TCP_INFO of our sockets is that of the kernel: %s', async (side) => {
  const infos = (await kernel[side].call('infos')) as Record<string, string>
  const held = ours[side].snapshot(1, {}).sockets.filter((socket) => socket.protocol === 'tcp' && socket.info !== null)
  let compared = 0
  for (const socket of held as TcpSnapshot[]) {
    const hex = infos[socket.holders[0]?.fd ?? -1]
    if (hex === undefined || socket.kind === 'listener') continue
    const theirs = readInfo(hex)!
    const names = socket.state === 'ESTABLISHED' && socket.inFlight === 0 ? [...SAME, ...SAME_WHEN_IDLE] : SAME
    const pick = (info: Record<string, number>) => names.map((name) => `${name} ${info[`tcpi_${name}`]}`)
    const title = `${socket.local.port} ${socket.remote.port} ${socket.state}`
    expect([title, ...pick({ ...socket.info! })]).toEqual([title, ...pick({ ...theirs })])
    // Time-outs are counted in ticks.
    expect([socket.info!.tcpi_rto % 4000, theirs.tcpi_rto % 4000]).toEqual([0, 0])
    compared++
  }
  expect(compared).toBeGreaterThan(4)
})

describe('settings', () => {
  test('sysctl prints what the kernel prints, by the same names', () => {
    const snapshot = ours.a.snapshot(1, {})
    const real = kernel.a.run('sysctl -a').split('\n')
    const lines = new Map(real.map((line) => [line.split(' = ')[0]!, line]))
    const own = sysctl(snapshot, ['-a']).trimEnd().split('\n')
    const shared = own.filter((line) => lines.has(line.split(' = ')[0]!))
    expect(shared.length).toBeGreaterThan(100)
    // As many numbers, separated by tabs.
    const form = (line: string): string => line.replace(/-?\d+/g, '#')
    for (const line of shared) expect(form(line)).toBe(form(lines.get(line.split(' = ')[0]!)!))
  })

  test.each([
    'net.ipv4.tcp_rmem',
    'net.ipv4.tcp_rmem net.ipv4.tcp_syn_retries',
    '-n net.ipv4.tcp_wmem',
    'net/ipv4/tcp_retries2',
    '-N net.ipv4.tcp_rmem',
    'net.ipv4.ip_local_port_range',
    '-e net.ipv4.tcp_rmem net.ipv4.nothing',
    '-a -r tcp_syn_retries',
  ])('sysctl %s', (options) => {
    expect(sysctl(ours.a.snapshot(1, {}), options.split(' '))).toBe(kernel.a.run(`sysctl ${options}`))
  })
})

describe('what tools say to what they do not know', () => {
  const tools: Record<string, (snapshot: Snapshot, args: readonly string[]) => string> = {
    netstat,
    ss,
    ip,
    nstat,
    lsof,
    sysctl,
  }
  test.each([
    'netstat -Q',
    'netstat --nothing',
    'netstat --num',
    'netstat --tcp=4',
    'netstat -A',
    'ss -Q',
    'ss --nothing',
    'ss -f',
    'ss -f moon',
    'ss -A moon',
    'ss state moon',
    'ss -t sport = :moon',
    'ss -t dst 10.0.0.0/99',
    'ss -t and and',
    'ip -moon link',
    'ip moon',
    'ip addr show dev moon',
    'ip link show moon',
    'ip addr show dev',
    'ip route show table moon',
    'ip neigh show nud moon',
    'nstat -Q',
    'sysctl net.ipv4.moon',
  ])('%s', (command) => {
    const [tool, ...args] = command.split(' ')
    const said = kernel.a.runAll([command], true).get(command)!.split('\n')[0]
    const message = ((): string => {
      try {
        return tools[tool!]!(ours.a.snapshot(1, {}), args)
      } catch (error) {
        return (error as Error).message
      }
    })()
    expect(message.split('\n')[0]).toBe(said)
  })
})

test('names of services are those of /etc/services', async () => {
  const { serviceName } = await import('../../src/wire/service-names.ts')
  const known = new Map<string, string>()
  for (const line of readFileSync('/etc/services', 'utf8').split('\n')) {
    const match = /^(\S+)\s+(\d+)\/(tcp|udp)/.exec(line)
    if (match !== null && !known.has(`${match[2]}/${match[3]}`)) known.set(`${match[2]}/${match[3]}`, match[1]!)
  }
  for (let port = 1; port < 10_000; port++) {
    for (const protocol of ['tcp', 'udp'] as const) {
      const name = serviceName(port, protocol)
      if (name !== undefined)
        expect(`${port}/${protocol} ${name}`).toBe(`${port}/${protocol} ${known.get(`${port}/${protocol}`)}`)
    }
  }
})
