import type { Sys } from '../host/calls.ts'
import type { Process } from '../host/process.ts'
import * as C from '../socket/constants.ts'
import { AF_INET, AF_INET6, SO_REUSEPORT, SOCK_STREAM, SOL_SOCKET } from '../socket/constants.ts'
import type { Lab } from './lab.ts'
import { connectTo, listenAt, outcome } from './programs.ts'
import type { Scenario } from './scenario.ts'
import { table } from './table.ts'

/** Section G: connections and those who accept them. */

const PORT = 80
/** Connections of `same-port`: more than there are port numbers. */
const CROWD = 65_537
const HALF = Math.ceil(CROWD / 2)

const samePort: Scenario = {
  name: 'same-port',
  group: 'G',
  title: 'Many connections share one local address and port',
  description:
    'A server accepts three clients: three sockets, all with the local address 10.0.0.2 and port 80. The remote ends tell them apart: protocol, both addresses and both ports name a connection. So the number of ports does not bound the number of connections: then come 65,537 clients more, from two addresses.',
  async run(lab) {
    const { client, server } = lab.pair({ delay: 1 })
    const crowd = lab.host('crowd', {
      sysctl: { 'net.ipv4.ip_local_port_range': '1024 65535', 'net.core.somaxconn': 70_000 },
    })
    // This cable is not drawn: a quarter of a million segments pass it.
    const { a } = lab.network.link(crowd, server, {
      addresses: [['10.1.0.1/24', '10.1.0.3/24'], '10.1.0.2/24'],
      delay: 1,
    })
    lab.hide(client)
    server.sysctl.set('net.core.somaxconn', '70000')
    server.sysctl.set('net.ipv4.tcp_max_syn_backlog', '70000')
    const heard: string[] = []
    const accepted = new Map<number, string>()
    lab.spawn(server, 'server', async (sys) => {
      sys.setrlimit(70_000)
      const listener = listenAt(sys, PORT, 70_000)
      for (;;) {
        const fd = await sys.accept(listener)
        if (accepted.size < 3) {
          const { address, port } = sys.getpeername(fd)
          accepted.set(fd, `${address}:${port}`)
          sys.print(
            `descriptor ${fd}: ${sys.getsockname(fd).address}:${sys.getsockname(fd).port} with ${address}:${port}`,
          )
          void sys.thread(async () => {
            const buffer = new Uint8Array(100)
            const count = await sys.recv(fd, buffer)
            heard.push(`${new TextDecoder().decode(buffer.subarray(0, count))} on ${fd}`)
          })
        }
      }
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    for (const port of [5001, 5002, 5003]) {
      lab.spawn(client, `client ${port}`, async (sys) => {
        const fd = sys.socket(AF_INET, SOCK_STREAM)
        sys.bind(fd, { address: '10.0.0.1', port })
        await sys.connect(fd, { address: '10.0.0.2', port: PORT })
        await sys.sleep(1)
        await sys.send(fd, `from ${port}`)
        await sys.sleep(36_000)
      })
    }
    await lab.until('Three clients are accepted', () => accepted.size === 3)
    const ports = server.sockets.tcp.table.entries().map(({ localPort }) => localPort)
    lab.check('local ports of the three connections', ports, [80, 80, 80])
    await lab.until('Each sends; every byte finds its socket', () => heard.length === 3)
    const expected = [...accepted].map(([fd, peer]) => `from ${peer.split(':')[1]} on ${fd}`).sort()
    lab.check('what came on which descriptor', [...heard].sort(), expected)

    lab.hide(server)
    const established = () => server.ip.mib.tcp.CurrEstab
    for (const address of ['10.1.0.1', '10.1.0.3']) {
      lab.spawn(crowd, `crowd ${address}`, async (sys) => {
        sys.setrlimit(70_000)
        const count = address.endsWith('1') ? HALF : CROWD - HALF
        for (let i = 0; i < count; i++) {
          const fd = sys.socket(AF_INET, SOCK_STREAM | C.SOCK_NONBLOCK)
          sys.setsockopt(fd, C.SOL_IP, C.IP_BIND_ADDRESS_NO_PORT, 1)
          sys.bind(fd, { address, port: 0 })
          await outcome(() => sys.connect(fd, { address: '10.1.0.2', port: PORT }))
          if (i % 1000 === 999) await sys.usleep(5000)
        }
        await sys.sleep(36_000)
      })
    }
    await lab.quietly(() => established() === CROWD + 3, 60_000)
    await lab.quietly(() => false, 100)
    const entries = server.sockets.tcp.table.entries()
    lab.note(
      `${(established() - 3).toLocaleString('en')} further clients are connected, from ${a.addresses.map(({ address }) => address).join(' and ')}: more than there are port numbers.`,
    )
    await lab.step('The 65,537th client of the crowd is connected')
    lab.check('connections of the server', entries.length, CROWD + 3)
    lab.check('local ports that they have', [...new Set(entries.map(({ localPort }) => localPort))], [80])
    lab.check('ESTABLISHED (CurrEstab)', established(), CROWD + 3)
  },
}

/** Who has taken how many connections. */
const shares = (processes: readonly Process[], taken: ReadonlyMap<Process, number>): string =>
  table(
    processes.map((process) => [
      `process ${process.pid}`,
      taken.get(process) ?? 0,
      '#'.repeat((taken.get(process) ?? 0) / 5),
    ]),
  )

/** A client that connects `count` times, and waits until each connection is closed. */
const visit = (lab: Lab, host: Process['host'], count: number): Process =>
  lab.spawn(host, 'visitor', async (sys) => {
    for (let i = 0; i < count; i++) {
      const fd = await connectTo(sys, '10.0.0.2', PORT)
      await sys.recv(fd, new Uint8Array(1))
      await sys.close(fd)
    }
  })

/** Accepts for ever, counts, and closes. */
const serve = async (sys: Sys, listener: number, taken: Map<Process, number>): Promise<void> => {
  for (;;) {
    const fd = await sys.accept(listener)
    taken.set(sys.process, (taken.get(sys.process) ?? 0) + 1)
    await sys.close(fd)
  }
}

const VISITS = 1000

const reuseport: Scenario = {
  name: 'reuseport',
  group: 'G',
  title: 'SO_REUSEPORT: four processes, one port, even shares',
  description:
    'Four processes each have a listening socket of their own on port 80, with SO_REUSEPORT. A hash of the addresses and ports chooses one for each connection: there are four queues, and no connection goes to two of them. Without the option the fifth cannot bind.',
  async run(lab) {
    const { client, server } = lab.pair({ delay: 0 })
    lab.hide(client)
    lab.hide(server)
    const taken = new Map<Process, number>()
    const open = (sys: Sys, sharing: number): number => {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      sys.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, sharing)
      sys.bind(fd, { address: '0.0.0.0', port: PORT })
      sys.listen(fd, 128)
      return fd
    }
    const processes = [1, 2, 3, 4].map((number) =>
      lab.spawn(server, `server ${number}`, async (sys) => serve(sys, open(sys, 1), taken)),
    )
    await lab.quietly(() => server.sockets.tcp.listeners.size === 4)
    let code: unknown = ''
    const fifth = lab.spawn(server, 'without it', async (sys) => {
      code = await outcome(() => open(sys, 0))
      sys.print(`bind(): ${code}`)
    })
    await lab.until('Four listen; a fifth without the option tries', () => !fifth.isAlive)
    lab.check('its bind() failed with', code, 'EADDRINUSE')
    const visitor = visit(lab, client, VISITS)
    await lab.quietly(() => !visitor.isAlive)
    lab.figure(`Connections of ${VISITS}, by process`, shares(processes, taken))
    await lab.step(`${VISITS} connections later`)
    const counts = processes.map((process) => taken.get(process) ?? 0)
    lab.check(
      'each connection was accepted once',
      counts.reduce((sum, count) => sum + count, 0),
      VISITS,
    )
    // Four standard deviations of a fair choice are 55.
    lab.check(
      'shares of 195 to 305, where 250 is even',
      counts.map((count) => count >= 195 && count <= 305),
      [true, true, true, true],
    )
  },
}

const sharedListener: Scenario = {
  name: 'shared-listener',
  group: 'G',
  title: 'fork() after listen(): several processes, one queue',
  description:
    'A server listens and forks three times. All four processes accept from the same socket: there is one queue, and whoever waits longest gets the next connection. Each connection is accepted exactly once, and only one process is woken for it.',
  async run(lab) {
    const { client, server } = lab.pair({ delay: 0 })
    lab.hide(client)
    lab.hide(server)
    const taken = new Map<Process, number>()
    const parent = lab.spawn(server, 'server', async (sys) => {
      const listener = listenAt(sys, PORT, 128)
      for (let i = 0; i < 3; i++) sys.fork((child) => serve(child, listener, taken))
      await serve(sys, listener, taken)
    })
    const waiting = () => [parent, ...parent.children].filter((process) => lab.waitsIn(process) === 'accept').length
    await lab.quietly(() => waiting() === 4)
    lab.show(server, 'lsof -nP -iTCP')
    await lab.step('Four processes wait in accept(), on one socket')
    lab.check('listening sockets', server.sockets.tcp.listeners.size, 1)
    lab.check('processes that wait in accept()', waiting(), 4)
    lab.hide(server)
    const visitor = visit(lab, client, VISITS)
    await lab.quietly(() => !visitor.isAlive)
    const processes = [parent, ...parent.children]
    lab.figure(`Connections of ${VISITS}, by process`, shares(processes, taken))
    await lab.step(`${VISITS} connections later`)
    const counts = processes.map((process) => taken.get(process) ?? 0)
    lab.check(
      'each connection was accepted once',
      counts.reduce((sum, count) => sum + count, 0),
      VISITS,
    )
    lab.check('in turn: those who wait longest are first', counts, [250, 250, 250, 250])
  },
}

const anyAddress: Scenario = {
  name: 'any-address',
  group: 'G',
  title: 'A server on the wildcard is reached through every address of its host',
  description:
    'The server has the addresses 10.0.0.2 and 192.168.7.2, and the loopback. One program listens on 0.0.0.0:80, another on 192.168.7.2:81. The first is reached through each of them, the second only through its own; elsewhere the host answers with a RST.',
  async run(lab) {
    const client = lab.host('client')
    const server = lab.host('server')
    lab.link(client, server, {
      delay: 10,
      addresses: [
        ['10.0.0.1/24', '192.168.7.1/24'],
        ['10.0.0.2/24', '192.168.7.2/24'],
      ],
    })
    lab.show(server, 'netstat -lnt')
    const seen: string[] = []
    const listen = (port: number, address: string) =>
      lab.spawn(server, `port ${port}`, async (sys) => {
        const listener = listenAt(sys, port, 5, address)
        for (;;) seen.push(sys.getsockname(await sys.accept(listener)).address)
      })
    listen(80, '0.0.0.0')
    listen(81, '192.168.7.2')
    await lab.quietly(() => server.sockets.tcp.listeners.size === 2)
    const results: unknown[] = []
    const tries = async (sys: Sys, address: string, port: number) => {
      const result = await outcome(() => connectTo(sys, address, port))
      results.push(typeof result === 'number' ? 'connected' : result)
      sys.print(`connect() to ${address}:${port}: ${results.at(-1)}`)
    }
    const remote = lab.spawn(client, 'client', async (sys) => {
      for (const port of [80, 81]) for (const address of ['10.0.0.2', '192.168.7.2']) await tries(sys, address, port)
    })
    const local = lab.spawn(server, 'local client', async (sys) => {
      await sys.sleep(1)
      for (const port of [80, 81]) await tries(sys, '127.0.0.1', port)
    })
    await lab.until('Everybody has tried every address', () => !remote.isAlive && !local.isAlive)
    lab.check(
      'from outside: 10.0.0.2:80, 192.168.7.2:80, 10.0.0.2:81, 192.168.7.2:81; on the host: 127.0.0.1:80, 127.0.0.1:81',
      results,
      ['connected', 'connected', 'ECONNREFUSED', 'connected', 'connected', 'ECONNREFUSED'],
    )
    lab.check('local addresses of the accepted sockets: never the wildcard', seen, [
      '10.0.0.2',
      '192.168.7.2',
      '192.168.7.2',
      '127.0.0.1',
    ])
  },
}

const dualStack: Scenario = {
  name: 'dual-stack',
  group: 'G',
  title: 'An IPv6 listener takes IPv4 as well, unless IPV6_V6ONLY',
  description:
    'One socket listens on [::]:80. Clients come over IPv6 and over IPv4; the IPv4 one has a mapped address, ::ffff:10.0.0.1. Another socket listens on [::]:81 with IPV6_V6ONLY: there IPv4 is refused, and a second socket may have 0.0.0.0:81 beside it. netstat shows all of the IPv6 ones as tcp6.',
  async run(lab) {
    const sysctl = { 'net.ipv6.conf.all.dad_transmits': 0 }
    const client = lab.host('client', { sysctl })
    const server = lab.host('server', { sysctl })
    lab.link(client, server, {
      delay: 10,
      addresses: [
        ['10.0.0.1/24', '2001:db8::1/64'],
        ['10.0.0.2/24', '2001:db8::2/64'],
      ],
    })
    lab.show(server, 'netstat -ant')
    const peers: string[] = []
    const listen = (port: number, v6only: number) =>
      lab.spawn(server, `port ${port}`, async (sys) => {
        const listener = sys.socket(AF_INET6, SOCK_STREAM)
        sys.setsockopt(listener, C.SOL_IPV6, C.IPV6_V6ONLY, v6only)
        sys.bind(listener, { address: '::', port })
        sys.listen(listener, 5)
        for (;;) {
          const peer = { address: '' }
          const fd = await sys.accept(listener, peer)
          peers.push(`${sys.getsockname(fd).address} with ${peer.address}`)
          sys.print(`accepted ${peers.at(-1)}`)
        }
      })
    listen(80, 0)
    listen(81, 1)
    await lab.quietly(() => server.sockets.tcp.listeners.size === 2)
    let beside: unknown = ''
    const both = lab.spawn(server, 'beside', async (sys) => {
      beside = [
        await outcome(() => sys.bind(sys.socket(AF_INET, SOCK_STREAM), { address: '0.0.0.0', port: 80 })),
        await outcome(() => sys.bind(sys.socket(AF_INET, SOCK_STREAM), { address: '0.0.0.0', port: 81 })),
      ]
    })
    const results: unknown[] = []
    const program = lab.spawn(client, 'client', async (sys) => {
      for (const port of [80, 81]) {
        for (const address of ['2001:db8::2', '10.0.0.2']) {
          const fd = sys.socket(address.includes(':') ? AF_INET6 : AF_INET, SOCK_STREAM)
          results.push(await outcome(() => sys.connect(fd, { address, port })))
          sys.print(`connect() to ${address} port ${port}: ${results.at(-1)}`)
        }
      }
      await sys.sleep(60)
    })
    await lab.until('Clients of both families have come to both', () => results.length === 4 && !both.isAlive)
    lab.check('port 80 by IPv6 and IPv4, port 81 by IPv6 and IPv4', results, [0, 0, 0, 'ECONNREFUSED'])
    lab.check('accepted', peers, [
      '2001:db8::2 with 2001:db8::1',
      '::ffff:10.0.0.2 with ::ffff:10.0.0.1',
      '2001:db8::2 with 2001:db8::1',
    ])
    lab.check('bind() of 0.0.0.0:80 and 0.0.0.0:81 beside them', beside, ['EADDRINUSE', 0])
    const rows = lab
      .toolOn(server, 'netstat -ant')
      .split('\n')
      .filter((line) => line.startsWith('tcp'))
    lab.check('netstat calls them', [...new Set(rows.map((row) => row.split(' ')[0]))], ['tcp6'])
    program.exit(0)
  },
}

export const listenerSharingScenarios: readonly Scenario[] = [
  samePort,
  reuseport,
  sharedListener,
  anyAddress,
  dualStack,
]
