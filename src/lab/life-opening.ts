import { AF_INET, SOCK_STREAM } from '../socket/constants.ts'
import { ip } from '../wire/address.ts'
import type { Lab } from './lab.ts'
import { acceptOne, codeOf, connectTo, listenAt, readToEnd } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Section C, the beginning: how a connection comes to be, or not. */

const PORT = 80

const connect: Scenario = {
  name: 'connect',
  group: 'C',
  title: 'The three-way handshake, as the client sees it',
  description:
    'connect() on a fresh socket: CLOSED becomes SYN_SENT when the SYN leaves and ESTABLISHED when the answer comes. Three messages; the local port and address are filled in when connect() is called.',
  async run(lab) {
    const { client, server } = lab.pair()
    acceptOne(lab, server, PORT, async (sys, fd) => {
      await readToEnd(sys, fd)
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    lab.note('The client has a socket, and it is not in the table yet: it has no port.')
    let before = {}
    let port = 0
    const program = lab.spawn(client, 'client', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      before = sys.getsockname(fd)
      const connecting = sys.connect(fd, { address: '10.0.0.2', port: PORT })
      const local = sys.getsockname(fd)
      port = local.port
      sys.print(`connect() called: local endpoint is ${local.address}:${local.port}`)
      await connecting
      sys.print('connect() returned 0')
      await sys.sleep(1)
    })
    await lab.step('The server listens')
    await lab.until('The SYN has left', () => lab.state(client, port) === 'SYN_SENT')
    lab.check('before connect() the socket has no endpoint', before, {
      family: 2,
      address: '0.0.0.0',
      port: 0,
      flowinfo: 0,
      scopeId: 0,
    })
    lab.check('connect() chose a port from ip_local_port_range', port >= 32_768 && port <= 60_999, true)
    lab.check('the client is in', lab.state(client, port), 'SYN_SENT')
    await lab.until('The SYN has arrived', () => lab.state(server, PORT) === 'SYN_RECV')
    lab.check('the client is still in', lab.state(client, port), 'SYN_SENT')
    await lab.until('The SYN+ACK has arrived', () => lab.state(client, port) === 'ESTABLISHED')
    lab.check('the server is still in', lab.state(server, PORT), 'SYN_RECV')
    await lab.until('The ACK has arrived', () => lab.state(server, PORT) === 'ESTABLISHED')
    lab.check(
      'messages, with when they left in seconds',
      lab.segments(/./).map(({ at, from, text }) => `${at} ${from} ${text.split(' ')[0]}`),
      ['0 client SYN', '0.01 server SYN+ACK', '0.02 client ACK'],
    )
    await lab.network.runProcess(program)
    lab.check('connect() printed', program.output.at(-1)?.text, 'connect() returned 0')
  },
}

const listenAccept: Scenario = {
  name: 'listen-accept',
  group: 'C',
  title: 'LISTEN, SYN_RCVD and the accept queue, as the server sees it',
  description:
    'A SYN makes a new structure, kept with the listener, in SYN_RCVD. The third message moves it to ESTABLISHED and to the accept queue; only then can accept() return. The listener itself never changes state and holds no data.',
  async run(lab) {
    const { client, server } = lab.pair()
    const listeningOnly = lab.gate()
    let connection = -1
    let names: string[] = []
    lab.spawn(server, 'server', async (sys) => {
      const listener = listenAt(sys, PORT)
      await listeningOnly.wait(sys)
      connection = await sys.accept(listener)
      const local = sys.getsockname(connection)
      const peer = sys.getpeername(connection)
      names = [`${local.address}:${local.port}`, peer.address]
      sys.print(
        `accept() returned ${connection}: local ${local.address}:${local.port}, peer ${peer.address}:${peer.port}`,
      )
      await readToEnd(sys, connection)
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const [claim] = server.sockets.tcp.listeners.all()
    const listener = claim!.listener
    lab.show(server, 'ss -lnt')
    await lab.step('The server listens')
    lab.check(
      'the accept queue and its limit (Recv-Q and Send-Q of ss)',
      [listener.acceptQueue.length, listener.backlog],
      [0, 5],
    )
    lab.spawn(client, 'client', async (sys) => {
      await connectTo(sys, '10.0.0.2', PORT)
      await sys.sleep(10)
    })
    await lab.until('The SYN has made a structure in SYN_RCVD', () => listener.requests === 1)
    lab.check('it is kept with the listener; the accept queue is', listener.acceptQueue.length, 0)
    lab.note('Nobody has called accept() yet.')
    await lab.until('The third message has come', () => listener.acceptQueue.length === 1)
    lab.check('the new structure is in', lab.state(server, PORT), 'ESTABLISHED')
    lab.check('half-open structures', listener.requests, 0)
    listeningOnly.open()
    await lab.until('accept() has returned', () => connection >= 0)
    lab.check('the accept queue is empty again', listener.acceptQueue.length, 0)
    lab.check("the new socket's local endpoint is the packet's destination, its peer the client", names, [
      '10.0.0.2:80',
      '10.0.0.1',
    ])
    lab.check('the listener still listens', server.sockets.tcp.listeners.size, 1)
  },
}

const earlyData: Scenario = {
  name: 'early-data',
  group: 'C',
  title: 'Data before accept()',
  description:
    'The client may send as soon as it has the SYN+ACK, before anybody has called accept(): the bytes wait in the RecvQ of the socket that was not accepted.',
  async run(lab) {
    const { client, server } = lab.pair()
    const later = lab.gate()
    let got = 0
    lab.spawn(server, 'server', async (sys) => {
      const listener = listenAt(sys, PORT)
      await later.wait(sys)
      const fd = await sys.accept(listener)
      const buffer = new Uint8Array(1000)
      got = await sys.recv(fd, buffer)
      sys.print(`accept() returned ${fd}; recv() returned ${got} at once`)
      await sys.sleep(10)
    })
    lab.watchQueues(client, server, PORT, 'to server')
    lab.spawn(client, 'client', async (sys) => {
      const fd = await connectTo(sys, '10.0.0.2', PORT)
      await lab.send(sys, fd, 300)
      sys.print('send() took 300 bytes')
      await sys.sleep(10)
    })
    await lab.until(
      '300 bytes have arrived, and nobody has accepted',
      () => lab.queues(client, server, PORT).recvQ === 300,
    )
    lab.check('the connection is in', lab.state(server, PORT), 'ESTABLISHED')
    lab.check('RecvQ of the socket that was not accepted', lab.connection(server, PORT)?.receiveQueueBytes, 300)
    await lab.until('they are acknowledged', () => lab.queues(client, server, PORT).sendQ === 0)
    later.open()
    await lab.until('accept() and recv() have returned', () => got > 0)
    lab.check('recv() returned', got, 300)
  },
}

const refused: Scenario = {
  name: 'refused',
  group: 'C',
  title: 'Nobody listens: ECONNREFUSED',
  description:
    'A SYN to a port where nobody listens is answered by a RST at once, and connect() fails with ECONNREFUSED. After bind() but before listen() it is the same.',
  async run(lab) {
    const { client, server } = lab.pair()
    const tryOnce = async (title: string): Promise<void> => {
      const before = lab.segments(/./).length
      let code = ''
      const program = lab.spawn(client, 'client', async (sys) => {
        const fd = sys.socket(AF_INET, SOCK_STREAM)
        code = await sys.connect(fd, { address: '10.0.0.2', port: PORT }).then(() => 'connected', codeOf)
        sys.print(`connect() failed: ${code}`)
      })
      await lab.quietly(() => !program.isAlive)
      await lab.step(title)
      lab.check('connect() failed with', code, 'ECONNREFUSED')
      const [syn, reset, ...more] = lab.segments(/./).slice(before)
      lab.check(
        'the answer, and after how many milliseconds',
        [reset?.text.split(' ')[0], Math.round(((reset?.at ?? 0) - (syn?.at ?? 0)) * 1000)],
        ['RST+ACK', 10],
      )
      lab.check('nothing else was sent', more.length, 0)
    }
    await tryOnce('No socket has the port')
    lab.spawn(server, 'bound', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      sys.bind(fd, { address: '0.0.0.0', port: PORT })
      sys.print('bind() to port 80, and no listen()')
      await sys.sleep(3600)
    })
    await tryOnce('A socket is bound to it, and does not listen')
  },
}

const connectTimeout: Scenario = {
  name: 'connect-timeout',
  group: 'C',
  title: 'Nobody answers: ETIMEDOUT, or what ICMP says',
  description:
    'A SYN that is not answered is sent again after 1, 3, 7, 15, 31 and 63 seconds (tcp_syn_retries = 6); after 127 seconds connect() fails with ETIMEDOUT. An ICMP "unreachable" from a router ends it at once with ENETUNREACH or EHOSTUNREACH.',
  async run(lab) {
    const { client, server, link } = lab.pair()
    lab.hide(server)
    lab.lose(link.cable.aToB)
    lab.note('The cable loses everything that goes to the server.')
    const { program, result } = tryToConnect(lab, client, '10.0.0.2')
    await lab.until('The first SYN has left', () => lab.segments(/^SYN/).length === 1)
    await lab.until('It was sent again, and nobody answers', () => lab.segments(/^SYN/).length === 7)
    await lab.quietly(() => !program.isAlive)
    await lab.step('connect() has given up')
    const [first, ...again] = lab.segments(/^SYN /)
    lab.check('the SYN left at, seconds', first?.at, 0)
    lab.check(
      'and again at',
      again.map(({ at }) => at),
      [1, 3, 7, 15, 31, 63],
    )
    lab.check('connect() failed with', result.code, 'ETIMEDOUT')
    lab.check('after seconds', result.seconds, 127)

    const router = lab.host('router', { sysctl: { 'net.ipv4.ip_forward': 1 } })
    lab.link(client, router, { delay: 10, addresses: ['172.16.0.1/24', '172.16.0.2/24'] })
    client.ip.routes.add({ prefix: { address: ip('0.0.0.0'), length: 0 }, gateway: ip('172.16.0.2') })
    for (const [target, type, expected] of [
      ['192.0.2.1', null, 'ENETUNREACH'],
      ['198.51.100.1', 'unreachable', 'EHOSTUNREACH'],
    ] as const) {
      if (type !== null) router.ip.routes.add({ prefix: { address: ip(target), length: 32 }, type })
      const attempt = tryToConnect(lab, client, target)
      await lab.quietly(() => !attempt.program.isAlive)
      await lab.step(`A router on the way to ${target} says that there is no way`)
      lab.check('connect() failed with', attempt.result.code, expected)
      lab.check('after milliseconds', Math.round(attempt.result.seconds * 1000), 20)
    }
  },
}

const tryToConnect = (lab: Lab, client: Parameters<Lab['spawn']>[0], address: string) => {
  const result = { code: '', seconds: 0 }
  const program = lab.spawn(client, 'client', async (sys) => {
    const start = sys.clock(true)
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    result.code = await sys.connect(fd, { address, port: PORT }).then(() => 'connected', codeOf)
    result.seconds = Math.round((sys.clock(true) - start) * 1e6) / 1e6
    sys.print(`connect() to ${address} failed: ${result.code} after ${result.seconds} s`)
  })
  return { program, result }
}

export const openingScenarios: readonly Scenario[] = [connect, listenAccept, earlyData, refused, connectTimeout]
