import type { Sys } from '../host/calls.ts'
import * as C from '../socket/constants.ts'
import { AF_INET, SO_REUSEADDR, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET } from '../socket/constants.ts'
import { listenAt, outcome } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Section B: the ports and addresses that clients have. */

const PORT = 80

/** A server that accepts for ever and keeps what it accepts. @returns who came */
const keeper = (peers: string[]) => async (sys: Sys) => {
  const listener = listenAt(sys, PORT, 128)
  for (;;) {
    const peer = { address: '', port: 0 }
    await sys.accept(listener, peer)
    peers.push(`${peer.address}:${peer.port}`)
  }
}

const implicitBind: Scenario = {
  name: 'implicit-bind',
  group: 'B',
  title: 'Who names no port gets one: at random, from ip_local_port_range',
  description:
    'connect(), listen() and sendto() on a socket that was not bound choose a port between 32768 and 60999, at random (RFC 6056), and connect() the address of the interface that leads to the peer. bind() to port 0 does the same. getsockname() tells. With a range of four ports the fifth connection to one server fails.',
  async run(lab) {
    const { client, server } = lab.pair()
    const peers: string[] = []
    lab.spawn(server, 'server', keeper(peers))
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const own: Record<string, { address: string; port: number }> = {}
    const done = lab.gate()
    const program = lab.spawn(client, 'client', async (sys) => {
      const name = (call: string, fd: number): void => {
        const { address, port } = sys.getsockname(fd)
        own[call] = { address, port }
        sys.print(`${call}: ${address}:${port}`)
      }
      const connects = sys.socket(AF_INET, SOCK_STREAM)
      name('before', connects)
      await sys.connect(connects, { address: '10.0.0.2', port: PORT })
      name('connect', connects)
      const listens = sys.socket(AF_INET, SOCK_STREAM)
      sys.listen(listens, 1)
      name('listen', listens)
      const sends = sys.socket(AF_INET, SOCK_DGRAM)
      await sys.sendto(sends, 'x', 1, 0, { address: '10.0.0.2', port: 9 })
      name('sendto', sends)
      const binds = sys.socket(AF_INET, SOCK_STREAM)
      sys.bind(binds, { address: '10.0.0.1', port: 0 })
      name('bind', binds)
      await done.wait(sys)
    })
    await lab.until('Four sockets that nobody gave a port', () => own['bind'] !== undefined && peers.length === 1)
    const addresses = Object.fromEntries(Object.entries(own).map(([call, { address }]) => [call, address]))
    lab.check('addresses', addresses, {
      before: '0.0.0.0',
      connect: '10.0.0.1',
      listen: '0.0.0.0',
      sendto: '0.0.0.0',
      bind: '10.0.0.1',
    })
    const isChosen = (port: number) => port >= 32_768 && port <= 60_999
    lab.check('the port before', own['before']!.port, 0)
    const chosen = ['connect', 'listen', 'sendto', 'bind'].map((call) => own[call]!.port)
    lab.check('ports from 32768 to 60999', chosen.map(isChosen), [true, true, true, true])
    lab.check('the server sees the same', [...peers], [`10.0.0.1:${own['connect']!.port}`])
    done.open()
    await lab.quietly(() => !program.isAlive)

    const ports: number[] = []
    const many = lab.spawn(client, 'many', async (sys) => {
      for (let i = 0; i < 200; i++) {
        const fd = sys.socket(AF_INET, SOCK_DGRAM)
        sys.bind(fd, { address: '0.0.0.0', port: 0 })
        ports.push(sys.getsockname(fd).port)
      }
    })
    await lab.until('Two hundred more', () => !many.isAlive)
    lab.note(`The first ten: ${ports.slice(0, 10).join(' ')}`)
    lab.check('all are different', new Set(ports).size, 200)
    lab.check('all are in the range', ports.every(isChosen), true)
    const next = ports.slice(1).filter((port, i) => port === ports[i]! + 1).length
    lab.check('followed by the next number: not more often than by chance (of 199)', next <= 2, true)

    client.sysctl.set('net.ipv4.ip_local_port_range', '40000 40003')
    const results: unknown[] = []
    const few = lab.spawn(client, 'few', async (sys) => {
      for (let i = 0; i < 5; i++) {
        const fd = sys.socket(AF_INET, SOCK_STREAM)
        results.push(await outcome(() => sys.connect(fd, { address: '10.0.0.2', port: PORT })))
      }
      results.push(await outcome(() => sys.bind(sys.socket(AF_INET, SOCK_STREAM), { address: '0.0.0.0', port: 0 })))
      sys.print(`connect() five times, bind() to port 0: ${results.join(' ')}`)
      await sys.sleep(60)
    })
    await lab.until('A range of four ports', () => results.length === 6)
    lab.check('connect() five times, then bind() to port 0', results, [0, 0, 0, 0, 'EADDRNOTAVAIL', 'EADDRINUSE'])
    few.exit(0)
  },
}

const clientBind: Scenario = {
  name: 'client-bind',
  group: 'B',
  title: 'A client may choose its own address and port',
  description:
    'A client host with two addresses, 10.0.0.1 and 10.0.0.11. A program binds the one that it wants to be seen with, and a port of its own, before it connects. An address that is not the host’s gives EADDRNOTAVAIL; a port in use EADDRINUSE. With SO_REUSEADDR two connections may go from one address and port to different servers; a second one to the same server is EADDRNOTAVAIL, as both would have the same name.',
  async run(lab) {
    const client = lab.host('client')
    const server = lab.host('server')
    lab.link(client, server, {
      delay: 10,
      addresses: [
        ['10.0.0.1/24', '10.0.0.11/24'],
        ['10.0.0.2/24', '10.0.0.3/24'],
      ],
    })
    lab.show(client, 'netstat -ant')
    const peers: string[] = []
    lab.spawn(server, 'server', keeper(peers))
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const results: unknown[] = []
    const from = async (sys: Sys, address: string, port: number, to: string): Promise<void> => {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      if (port === 7777) sys.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
      const result = await outcome(async () => {
        sys.bind(fd, { address, port })
        return sys.connect(fd, { address: to, port: PORT })
      })
      results.push(result)
      sys.print(`from ${address}:${port} to ${to}: ${result}`)
    }
    lab.spawn(client, 'client', async (sys) => {
      await from(sys, '10.0.0.11', 5555, '10.0.0.2')
      await from(sys, '10.0.0.1', 5555, '10.0.0.2')
      await from(sys, '10.0.0.11', 5555, '10.0.0.3')
      await from(sys, '10.0.0.99', 5556, '10.0.0.2')
      await from(sys, '10.0.0.1', 7777, '10.0.0.2')
      await from(sys, '10.0.0.1', 7777, '10.0.0.3')
      await from(sys, '10.0.0.1', 7777, '10.0.0.2')
      await sys.sleep(60)
    })
    await lab.until('Seven attempts', () => results.length === 7 && peers.length === 4)
    lab.check('results', results, [0, 0, 'EADDRINUSE', 'EADDRNOTAVAIL', 0, 0, 'EADDRNOTAVAIL'])
    lab.check('whom the server has seen', peers, ['10.0.0.11:5555', '10.0.0.1:5555', '10.0.0.1:7777', '10.0.0.1:7777'])

    const codes: unknown[] = []
    const user = client.spawn(
      'user',
      async (sys) => {
        codes.push(await outcome(() => sys.bind(sys.socket(AF_INET, SOCK_STREAM), { address: '0.0.0.0', port: 1023 })))
        codes.push(await outcome(() => sys.bind(sys.socket(AF_INET, SOCK_STREAM), { address: '0.0.0.0', port: 1024 })))
        const free = sys.socket(AF_INET, SOCK_STREAM)
        sys.setsockopt(free, C.SOL_IP, C.IP_FREEBIND, 1)
        codes.push(await outcome(() => sys.bind(free, { address: '10.0.0.99', port: 0 })))
        sys.print(`port 1023, port 1024, and with IP_FREEBIND an address that is not here: ${codes.join(' ')}`)
      },
      { uid: 1000 },
    )
    await lab.until('A user who is not root', () => !user.isAlive)
    lab.check('bind() to port 1023, port 1024, with IP_FREEBIND to an address that is not the host’s', codes, [
      'EACCES',
      0,
      0,
    ])
  },
}

export const ownPortScenarios: readonly Scenario[] = [implicitBind, clientBind]
