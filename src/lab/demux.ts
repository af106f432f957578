import type { Sys } from '../host/calls.ts'
import { AF_INET, SO_REUSEPORT, SOCK_STREAM, SOL_SOCKET } from '../socket/constants.ts'
import { ip } from '../wire/address.ts'
import { codeOf } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Section G: which socket a packet goes to. */

const PORT = 99

/** A packet of the figure: from where, to where, and the socket that it must lead to. */
interface Packet {
  readonly from: string
  readonly port: number
  readonly to: string
  readonly socket: string
  readonly why: string
}

const PACKETS: readonly Packet[] = [
  {
    from: '172.16.1.10',
    port: 56_789,
    to: '10.1.2.3',
    socket: 'socket 1',
    why: 'both listeners match; socket 0 has one wildcard more',
  },
  {
    from: '172.16.1.10',
    port: 56_790,
    to: '192.168.3.2',
    socket: 'socket 0',
    why: 'socket 1 has another local address',
  },
  {
    from: '172.16.1.9',
    port: 30_001,
    to: '10.1.2.3',
    socket: 'socket 1',
    why: 'socket 2 has another local address',
  },
  {
    from: '172.16.1.10',
    port: 30_001,
    to: '192.168.3.2',
    socket: 'socket 0',
    why: 'socket 2 has another remote address',
  },
  {
    from: '172.16.1.9',
    port: 30_002,
    to: '192.168.3.2',
    socket: 'socket 0',
    why: 'socket 2 has another remote port',
  },
]

const demux: Scenario = {
  name: 'demux',
  group: 'G',
  title: 'The match with the fewest wildcards wins',
  description:
    'A host with the addresses 10.1.2.3 and 192.168.3.2. Socket 0 listens on *:99, socket 1 on 10.1.2.3:99, socket 2 is a connection from 172.16.1.9:30001 that was accepted from socket 0. The local port must match; a wildcard matches anything; of several that match, the one with the fewest wildcards gets the packet.',
  async run(lab) {
    const client = lab.host('client')
    const server = lab.host('server')
    const { a, b } = lab.link(client, server, {
      delay: 10,
      addresses: [
        ['172.16.1.9/24', '172.16.1.10/24'],
        ['10.1.2.3/8', '192.168.3.2/24'],
      ],
    })
    const everywhere = { address: ip('0.0.0.0'), length: 0 }
    client.ip.routes.add({ prefix: everywhere, interface: a })
    server.ip.routes.add({ prefix: everywhere, interface: b })
    for (const { address } of b.addresses) client.ip.arp.setPermanent(a, address, b.mac)
    for (const { address } of a.addresses) server.ip.arp.setPermanent(b, address, a.mac)
    lab.show(server, 'netstat -ant')

    /** Who accepted a connection from an endpoint, and what came over it. */
    const accepted = new Map<string, string>()
    const heard = new Map<string, string>()
    const listener = (name: string, address: string) =>
      lab.spawn(server, name, async (sys) => {
        const fd = sys.socket(AF_INET, SOCK_STREAM)
        // Linux lets a wildcard and an address both listen on a port only so.
        sys.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1)
        sys.bind(fd, { address, port: PORT })
        sys.listen(fd, 5)
        for (;;) {
          const peer = { address: '', port: 0 }
          const connection = await sys.accept(fd, peer)
          const remote = `${peer.address}:${peer.port}`
          accepted.set(remote, name)
          sys.print(`accepted ${remote}`)
          void sys.thread(async () => {
            const buffer = new Uint8Array(100)
            const count = await sys.recv(connection, buffer)
            heard.set(remote, new TextDecoder().decode(buffer.subarray(0, count)))
          })
        }
      })
    listener('socket 0', '0.0.0.0')
    listener('socket 1', '10.1.2.3')
    await lab.quietly(() => server.sockets.tcp.listeners.size === 2)

    const open = async (sys: Sys, from: string, port: number, to: string, toPort: number): Promise<number> => {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      sys.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1)
      sys.bind(fd, { address: from, port })
      await sys.connect(fd, { address: to, port: toPort })
      return fd
    }
    const more = lab.gate()
    lab.spawn(client, 'socket 2', async (sys) => {
      const fd = await open(sys, '172.16.1.9', 30_001, '192.168.3.2', PORT)
      await more.wait(sys)
      await sys.send(fd, 'for socket 2')
      await sys.sleep(3600)
    })
    await lab.until('Socket 2: a connection from 172.16.1.9:30001 to 192.168.3.2:99', () => accepted.size === 1)
    lab.check('it was accepted from', accepted.get('172.16.1.9:30001'), 'socket 0')

    for (const { from, port, to, socket, why } of PACKETS) {
      const remote = `${from}:${port}`
      accepted.delete(remote)
      lab.spawn(client, `client ${remote}`, async (sys) => {
        await open(sys, from, port, to, PORT)
        await sys.sleep(3600)
      })
      await lab.until(`A packet from ${remote} to ${to}:${PORT}`, () => accepted.has(remote), 60_000)
      lab.note(why)
      lab.check(`it goes to (${why})`, accepted.get(remote), socket)
    }
    more.open()
    await lab.until('Data from 172.16.1.9:30001 to 192.168.3.2:99', () => heard.size > 0)
    lab.check('it goes to the connection', heard.get('172.16.1.9:30001'), 'for socket 2')

    let code = ''
    lab.spawn(client, 'nobody', async (sys) => {
      code = await open(sys, '172.16.1.10', 40_000, '10.1.2.3', PORT + 1).then(() => 'connected', codeOf)
    })
    await lab.until(`A packet to 10.1.2.3:${PORT + 1}`, () => code !== '')
    lab.check('no socket has the port: connect() failed with', code, 'ECONNREFUSED')
  },
}

export const demuxScenarios: readonly Scenario[] = [demux]
