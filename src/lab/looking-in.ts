import type { Host } from '../host/host.ts'
import { parseTcpdump, TcpdumpPrinter } from '../inspect/tcpdump.ts'
import { Capture } from '../link/capture.ts'
import { LinkType } from '../link/pcapng.ts'
import * as C from '../socket/constants.ts'
import { AF_INET, SOCK_DGRAM, SOCK_STREAM } from '../socket/constants.ts'
import type { Lab } from './lab.ts'
import { connectTo, listenAt } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Section M: one situation, looked at with each tool. */

/**
 * A server with a bit of everything: a listener with a connection that waits to be
 * accepted, an established connection with 1,000 bytes unread, one that the server has
 * closed, one that the client has, a UDP socket, a Unix domain listener and a pair.
 */
const situation = async (lab: Lab) => {
  const { client, server, link } = lab.pair()
  lab.hide(client)
  lab.hide(server)
  const ready = { server: false, client: false }
  lab.spawn(server, 'server', async (sys) => {
    const listener = listenAt(sys, 80, 5)
    for (let i = 0; i < 3; i++) await sys.accept(listener)
    const udp = sys.socket(AF_INET, SOCK_DGRAM)
    sys.bind(udp, { address: '0.0.0.0', port: 53 })
    const unix = sys.socket(C.AF_UNIX, SOCK_STREAM)
    sys.bind(unix, { path: '/run/server' })
    sys.listen(unix, 8)
    sys.socketpair(C.AF_UNIX, SOCK_DGRAM)
    await sys.close(5)
    ready.server = true
    await sys.sleep(36_000)
  })
  lab.spawn(client, 'client', async (sys) => {
    await sys.usleep(1000)
    for (const port of [5001, 5002, 5003, 5004]) {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      sys.bind(fd, { address: '10.0.0.1', port })
      await sys.connect(fd, { address: '10.0.0.2', port: 80 })
      if (port === 5001) await sys.send(fd, new Uint8Array(1000))
      if (port === 5003) await sys.close(fd)
    }
    ready.client = true
    await sys.sleep(36_000)
  })
  await lab.quietly(() => ready.client && ready.server)
  await lab.quietly(() => false, 200)
  return { client, server, link }
}

/** Runs a tool and shows what it prints. @returns its lines */
const use = async (lab: Lab, host: Host, command: string): Promise<string[]> => {
  const text = lab.toolOn(host, command)
  lab.figure(`${host.name}$ ${command}`, text)
  await lab.step(command)
  return text.split('\n').filter((line) => line !== '')
}

/** Words of a line, as columns. */
const columns = (line = ''): string[] => line.trim().split(/\s+/)

const netstat: Scenario = {
  name: 'netstat',
  group: 'M',
  title: 'netstat: sockets, Unix domain sockets, routes, interfaces, statistics',
  description:
    'A server with a listener, connections in several states, UDP and Unix domain sockets, seen with each of netstat’s options. test/interop/inspect.test.ts holds that the real netstat prints the same of the same situation.',
  async run(lab) {
    const { server } = await situation(lab)
    const tcp = await use(lab, server, 'netstat -ant')
    lab.check(
      'states of the server, by ports',
      tcp.slice(2).map((line) => columns(line).at(-1)),
      ['LISTEN', 'ESTABLISHED', 'FIN_WAIT2', 'CLOSE_WAIT', 'ESTABLISHED'],
    )
    const full = tcp.find((line) => line.includes(':5001'))
    lab.check('the connection with 1,000 bytes unread', columns(full), [
      'tcp',
      '1000',
      '0',
      '10.0.0.2:80',
      '10.0.0.1:5001',
      'ESTABLISHED',
    ])
    const programs = await use(lab, server, 'netstat -antp')
    lab.check('its program', columns(programs.find((line) => line.includes(':5001'))).at(-1), `${pidOf(server)}/server`)
    const timers = await use(lab, server, 'netstat -anto')
    lab.check('its timer', timers.find((line) => line.includes(':5001'))?.includes('off (0.00/0/0)'), true)
    const udp = await use(lab, server, 'netstat -anu')
    lab.check(
      'UDP sockets',
      udp.slice(2).map((line) => columns(line)[3]),
      ['0.0.0.0:53'],
    )
    const unix = await use(lab, server, 'netstat -xa')
    lab.check(
      'Unix domain sockets',
      unix.slice(2).map((line) =>
        columns(line.replace(/\[.*?\]/, ''))
          .slice(2, 4)
          .join(' '),
      ),
      ['STREAM LISTENING', 'DGRAM CONNECTED', 'DGRAM CONNECTED'],
    )
    const routes = await use(lab, server, 'netstat -rn')
    lab.check(
      'routes',
      routes.slice(2).map((line) => columns(line).slice(0, 3)),
      [['10.0.0.0', '0.0.0.0', '255.255.255.0']],
    )
    const interfaces = await use(lab, server, 'netstat -i')
    lab.check(
      'interfaces',
      interfaces.slice(2).map((line) => columns(line)[0]),
      ['eth0', 'lo'],
    )
    const statistics = await use(lab, server, 'netstat -st')
    lab.check(
      'connections that came',
      statistics.some((line) => /^\s+4 passive connection openings$/.test(line)),
      true,
    )
  },
}

const pidOf = (host: Host): number => [...host.processes.values()][0]!.pid

const ss: Scenario = {
  name: 'ss',
  group: 'M',
  title: 'ss: queues, timers, memory, internals, and filters',
  description:
    'The same situation with ss. Of a listener Recv-Q is the length of the accept queue, and Send-Q its limit. Filters choose by state, address and port.',
  async run(lab) {
    const { client, server } = await situation(lab)
    const listening = await use(lab, server, 'ss -lnt')
    lab.check('one waits to be accepted; five may', columns(listening[1]).slice(0, 3), ['LISTEN', '1', '5'])
    const all = await use(lab, server, 'ss -ant')
    lab.check('sockets', all.length - 1, 5)
    const closing = await use(lab, server, 'ss -tn state close-wait')
    lab.check(
      'in CLOSE_WAIT',
      closing.slice(1).map((line) => columns(line).at(-1)),
      ['10.0.0.1:5003'],
    )
    const filtered = await use(lab, server, 'ss -tn dport = :5001')
    lab.check('with the peer’s port 5001', columns(filtered[1]).slice(0, 3), ['ESTAB', '1000', '0'])
    const info = await use(lab, server, 'ss -tin dport = :5001')
    lab.check(
      'cwnd, and bytes received',
      [/cwnd:10\b/.test(info.join(' ')), /bytes_received:1000\b/.test(info.join(' '))],
      [true, true],
    )
    const memory = await use(lab, server, 'ss -tnm dport = :5001')
    lab.check('skmem', /skmem:\(r\d+,rb\d+,t\d+,tb\d+,f\d+,w\d+,o\d+,bl\d+,d\d+\)/.test(memory.join(' ')), true)
    const holders = await use(lab, server, 'ss -tlnp')
    lab.check('who listens', holders[1]?.includes(`users:(("server",pid=${pidOf(server)},fd=3))`), true)
    const unix = await use(lab, server, 'ss -xa')
    lab.check(
      'Unix domain sockets',
      unix.slice(1).map((line) => columns(line).slice(0, 2).join(' ')),
      ['u_str LISTEN', 'u_dgr ESTAB', 'u_dgr ESTAB'],
    )
    const waiting = await use(lab, client, 'ss -tno state fin-wait-2')
    lab.check('the client’s closed one waits for the server', waiting.length - 1, 1)
    const summary = await use(lab, server, 'ss -s')
    lab.check('connections established', /estab 3\b|estab 4\b/.test(summary.join(' ')), true)
  },
}

const iproute: Scenario = {
  name: 'ip',
  group: 'M',
  title: 'ip: addresses, links, routes, neighbours',
  description:
    'The server’s interfaces, addresses, routes and neighbours as iproute2 prints them, with the counters of `ip -s link`.',
  async run(lab) {
    const { server } = await situation(lab)
    const addresses = await use(lab, server, 'ip addr')
    lab.check(
      'inet addresses',
      addresses.filter((line) => line.trim().startsWith('inet ')).map((line) => columns(line)[1]),
      ['127.0.0.1/8', '10.0.0.2/24'],
    )
    const routes = await use(lab, server, 'ip route')
    lab.check(
      'routes',
      routes.map((line) => line.trim()),
      ['10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.2'],
    )
    const neighbours = await use(lab, server, 'ip neigh')
    lab.check('the neighbour', [columns(neighbours[0])[0], columns(neighbours[0]).at(-1)], ['10.0.0.1', 'PERMANENT'])
    const link = await use(lab, server, 'ip -s link show eth0')
    const received = columns(link[link.findIndex((line) => line.includes('RX:')) + 1])
    const { statistics } = server.ip.interfaceNamed('eth0')!
    lab.check('bytes and packets received', received.slice(0, 2).map(Number), [
      statistics.rxBytes,
      statistics.rxPackets,
    ])
  },
}

const nstat: Scenario = {
  name: 'nstat',
  group: 'M',
  title: 'nstat: every counter that is not zero, by its name in the kernel',
  description:
    'TcpPassiveOpens, IpInReceives, TcpExtDelayedACKs …: the counters of /proc/net/snmp and /proc/net/netstat. A dropped packet has a counter, too.',
  async run(lab) {
    const { server } = await situation(lab)
    const counters = await use(lab, server, 'nstat -a')
    const value = (name: string): number =>
      Number(columns(counters.find((line) => columns(line)[0] === name))[1] ?? Number.NaN)
    lab.check('TcpPassiveOpens', value('TcpPassiveOpens'), 4)
    lab.check('TcpInSegs', value('TcpInSegs'), server.ip.mib.tcp.InSegs)
    lab.check(
      'lines but the first with a 0 in them',
      counters.slice(1).filter((line) => columns(line)[1] === '0').length,
      0,
    )
    const zeros = await use(lab, server, 'nstat -az TcpAttemptFails TcpExtListenDrops')
    lab.check(
      'two that are 0, asked for by name',
      zeros.slice(1).map((line) => columns(line)[1]),
      ['0', '0'],
    )
  },
}

const lsof: Scenario = {
  name: 'lsof',
  group: 'M',
  title: 'lsof: who holds a socket',
  description:
    'A forked child has the same sockets under the same numbers: lsof lists each holder. `lsof -t` prints process ids alone.',
  async run(lab) {
    const { client, server } = lab.pair()
    lab.hide(client)
    lab.hide(server)
    const parent = lab.spawn(server, 'parent', async (sys) => {
      const listener = listenAt(sys, 80)
      sys.fork(async (child) => {
        await child.sleep(60)
      })
      await sys.accept(listener)
      await sys.sleep(60)
    })
    lab.spawn(client, 'client', async (sys) => {
      await sys.usleep(1000)
      await connectTo(sys, '10.0.0.2', 80)
      await sys.sleep(60)
    })
    await lab.quietly(() => lab.states(server).includes('ESTABLISHED') && parent.files.size === 5)
    const all = await use(lab, server, 'lsof -nP -i')
    lab.check(
      'rows: the listener twice, the connection once',
      all.slice(1).map((line) => `${columns(line)[1]} ${columns(line)[3]}`),
      [`${parent.pid} 3u`, `${parent.pid} 4u`, `${parent.pid + 1} 3u`],
    )
    const listening = await use(lab, server, 'lsof -nP -iTCP:80 -sTCP:LISTEN -t')
    lab.check('process ids of those who listen', listening, [`${parent.pid}`, `${parent.pid + 1}`])
  },
}

const tcpdump: Scenario = {
  name: 'tcpdump',
  group: 'M',
  title: 'tcpdump: a line for each packet, and a capture that Wireshark opens',
  description:
    'An exchange of 5 bytes is captured and printed as tcpdump prints it, with relative sequence numbers, and with a filter. The same bytes are a pcapng file; test/interop/pcapng.test.ts has tshark read it.',
  async run(lab) {
    const { client, server, link } = lab.pair()
    lab.hide(client)
    lab.hide(server)
    const packets: { data: Uint8Array; timeNs: bigint }[] = []
    let file = 0
    const capture = new Capture(lab.network.world, (chunk) => {
      file += chunk.length
    })
    capture.add(link.cable.a, 'eth0')
    link.cable.a.taps.push({
      frame: (frame) => {
        const { u8 } = client.world.memory
        packets.push({ data: u8.slice(frame.start, frame.end), timeNs: BigInt(Math.round(lab.network.now * 1e6)) })
      },
    })
    const reader = lab.spawn(server, 'server', async (sys) => {
      const listener = listenAt(sys, 80)
      const fd = await sys.accept(listener)
      while ((await sys.recv(fd, new Uint8Array(10))) > 0);
      await sys.close(fd)
    })
    const writer = lab.spawn(client, 'client', async (sys) => {
      await sys.usleep(1000)
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      sys.bind(fd, { address: '10.0.0.1', port: 5001 })
      await sys.connect(fd, { address: '10.0.0.2', port: 80 })
      await sys.send(fd, 'hello')
      await sys.close(fd)
    })
    await lab.quietly(() => !reader.isAlive && !writer.isAlive)
    await lab.quietly(() => false, 500)
    const print = async (args: string): Promise<string[]> => {
      const printer = new TcpdumpPrinter(parseTcpdump(args.split(' ')))
      const text = packets
        .map(({ data, timeNs }) => ({ linkType: LinkType.Ethernet, timeNs, data, originalLength: data.length }))
        .filter((packet) => printer.matches(packet))
        .map((packet) => printer.print(packet))
        .join('')
      lab.figure(`tcpdump ${args}`, text)
      await lab.step(`tcpdump ${args}`)
      return text.split('\n').filter((line) => line !== '')
    }
    const lines = await print('-n -t tcp')
    lab.check(
      'flags of each packet',
      lines.map((line) => /Flags \[([^\]]*)\]/.exec(line)?.[1]),
      ['S', 'S.', '.', 'P.', 'F.', '.', 'F.', '.'].slice(0, lines.length),
    )
    lab.check(
      'the one with data',
      lines[3]?.replace(/, win .*/, ''),
      'IP 10.0.0.1.5001 > 10.0.0.2.80: Flags [P.], seq 1:6, ack 1',
    )
    const fins = await print('-n -t tcp[tcpflags] & tcp-fin != 0')
    lab.check('packets with FIN', fins.length, 2)
    capture.close()
    lab.check(
      'bytes of the pcapng file: more than the frames',
      file > packets.reduce((sum, { data }) => sum + data.length, 0),
      true,
    )
  },
}

export const lookingScenarios: readonly Scenario[] = [netstat, ss, iproute, nstat, lsof, tcpdump]
