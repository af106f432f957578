import type { Host } from '../host/host.ts'
import {
  AF_INET,
  F_GETFD,
  F_GETFL,
  FD_CLOEXEC,
  O_NONBLOCK,
  POLLIN,
  SO_LINGER,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../socket/constants.ts'
import { BSD, LINUX } from '../tcp/settings.ts'
import type { Gate } from './gate.ts'
import type { Lab } from './lab.ts'
import { connectTo, listenAt, outcome, pollNames } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Section C, the listener: its two queues, and what accept() may meet. */

const PORT = 80

/** The listener of a host at a port. */
const listenerOf = (host: Host, port = PORT) =>
  host.sockets.tcp.listeners.all().find((claim) => claim.localPort === port)!.listener

/**
 * A server that listens and accepts one connection each time that its gate is opened; the last gate is for all others.
 */
const lazyServer = (lab: Lab, host: Host, port: number, backlog: number, gates: readonly Gate[]) => {
  const accepted: string[] = []
  lab.spawn(host, 'server', async (sys) => {
    const listener = listenAt(sys, port, backlog)
    for (const gate of gates) {
      await gate.wait(sys)
      const peer = { address: '', port: 0 }
      const fd = await sys.accept(listener, peer)
      accepted.push(`${peer.address}:${peer.port}`)
      sys.print(`accept() returned ${fd}`)
    }
    await sys.sleep(36_000)
  })
  return accepted
}

/** A client that connects, notes when connect() returned, and then reads. */
const connectAndRead = (lab: Lab, host: Host, name: string, port: number, address = '10.0.0.2') => {
  const result = { connected: -1, code: '', read: '' as number | string }
  lab.spawn(host, name, async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    result.code = String(await outcome(() => sys.connect(fd, { address, port })))
    result.connected = lab.network.now
    sys.print(`connect(): ${result.code === '0' ? 'connected' : result.code}`)
    if (result.code !== '0') return
    result.read = await outcome(() => sys.recv(fd, new Uint8Array(10)))
    sys.print(`recv(): ${result.read}`)
    await sys.sleep(36_000)
  })
  return result
}

const twoQueues: Scenario = {
  name: 'two-queues',
  group: 'C',
  title: 'SYN queue and accept queue, their limits, and what happens beyond',
  description:
    "listen()'s backlog bounds the accept queue: backlog + 1 on Linux, 3/2 of it on BSD, silently cut to somaxconn; ss shows the queue as Recv-Q and its limit as Send-Q. When it is full Linux ignores the third message: the client believes it is connected, the server does not, and the SYN+ACK comes again until somebody has called accept(). With tcp_abort_on_overflow = 1 the client gets a RST instead. tcp_max_syn_backlog bounds the half-open ones.",
  async run(lab) {
    const { client, server } = lab.pair()
    const gates = [lab.gate()]
    lazyServer(lab, server, PORT, 3, gates)
    lab.hide(client)
    lab.show(server, 'ss -lnt')
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const listener = listenerOf(server)
    for (let i = 1; i <= 3; i++) {
      connectAndRead(lab, client, `client ${i}`, PORT)
      await lab.quietly(() => listener.acceptQueue.length === i)
    }
    await lab.step('Three clients have connected; nobody has called accept()')
    lab.check(
      'accept queue and backlog (Recv-Q and Send-Q of ss)',
      [listener.acceptQueue.length, listener.backlog],
      [3, 3],
    )
    const fourth = connectAndRead(lab, client, 'client 4', PORT)
    const fifth = connectAndRead(lab, client, 'client 5', PORT)
    await lab.quietly(() => fourth.connected >= 0 && fifth.connected >= 0)
    await lab.pass(500, 'Two more at once: one takes the last place, the third message of the other is ignored')
    lab.check('accept queue', listener.acceptQueue.length, 4)
    lab.check('the server is left with', lab.states(server).filter((state) => state === 'SYN_RECV').length, 1)
    lab.check('and both clients with', [fourth.code, fifth.code], ['0', '0'])
    lab.note(
      'client 5 believes that it is connected. The server has its connection in SYN_RECV and sends the SYN+ACK again after a second.',
    )
    const before = lab.segments(/^SYN\+ACK/).length
    await lab.quietly(() => lab.segments(/^SYN\+ACK/).length > before)
    gates[0]!.open()
    await lab.quietly(() => false, 100)
    await lab.step('accept() was called; the SYN+ACK came again, and the ACK that it drew found room')
    lab.check('half-open connections', listener.requests, 0)
    lab.check('accept queue', listener.acceptQueue.length, 4)
    lab.check('overflows counted (ListenOverflows)', server.ip.mib.tcpExt.ListenOverflows, 1)

    const late = connectAndRead(lab, client, 'client 6', PORT)
    await lab.pass(500, 'A SYN that meets a full accept queue is dropped: the client waits')
    lab.check('connect() of client 6 has returned', late.connected >= 0, false)
    lab.check('overflows counted', server.ip.mib.tcpExt.ListenOverflows, 2)
    await overflowAborts(lab)
    await synQueue(lab)
    await backlogs(lab)
  },
}

/** tcp_abort_on_overflow = 1. */
const overflowAborts = async (lab: Lab): Promise<void> => {
  const client = lab.host('client-2')
  const server = lab.host('server-2', { sysctl: { 'net.ipv4.tcp_abort_on_overflow': 1 } })
  lab.link(client, server, { delay: 10, addresses: ['10.2.0.1/24', '10.2.0.2/24'] })
  lazyServer(lab, server, PORT, 1, [lab.gate()])
  await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
  connectAndRead(lab, client, 'client 1', PORT, '10.2.0.2')
  await lab.quietly(() => listenerOf(server).acceptQueue.length === 1)
  // The backlog bounds the half-open ones too: the second needs room to be let in at all.
  listenerOf(server).setBacklog(2)
  const clients = [2, 3].map((i) => connectAndRead(lab, client, `client ${i}`, PORT, '10.2.0.2'))
  await lab.quietly(() => listenerOf(server).requests === 2)
  listenerOf(server).setBacklog(1)
  await lab.quietly(() => false, 200)
  await lab.step('On a host with tcp_abort_on_overflow = 1 the third message that finds no room is answered by a RST')
  lab.check(
    'connect() of both said',
    clients.map(({ code }) => code),
    ['0', '0'],
  )
  lab.check(
    'recv() of those that found no room',
    clients.map(({ read }) => read).filter((read) => read !== ''),
    // With a backlog of 1 there is room for two on Linux, for one on BSD.
    lab.report.personality === 'bsd' ? ['ECONNRESET', 'ECONNRESET'] : ['ECONNRESET'],
  )
}

/** tcp_max_syn_backlog, without SYN cookies: three quarters of it are for everybody. */
const synQueue = async (lab: Lab): Promise<void> => {
  const client = lab.host('client-3')
  const sysctl = { 'net.ipv4.tcp_max_syn_backlog': 8, 'net.ipv4.tcp_syncookies': 0 }
  const server = lab.host('server-3', { sysctl })
  const { cable } = lab.link(client, server, { delay: 10, addresses: ['10.3.0.1/24', '10.3.0.2/24'] })
  lazyServer(lab, server, PORT, 100, [])
  await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
  lab.lose(cable.bToA, /^SYN\+ACK/)
  for (let i = 1; i <= 10; i++) connectAndRead(lab, client, `client ${i}`, PORT, '10.3.0.2')
  await lab.quietly(() => false, 100)
  lab.show(server, 'netstat -ant')
  await lab.step('Ten SYNs, and no SYN+ACK arrives: tcp_max_syn_backlog = 8')
  lab.hide(server)
  lab.check('half-open connections: all but the last quarter', listenerOf(server).requests, 7)
  lab.check('SYNs dropped (TCPReqQFullDrop)', server.ip.mib.tcpExt.TCPReqQFullDrop, 3)
}

/** What listen() makes of large backlogs, and how BSD counts. */
const backlogs = async (lab: Lab): Promise<void> => {
  const host = lab.host('server-4')
  const limits: number[] = []
  const wait = async (): Promise<void> => {
    await lab.quietly(() => host.sockets.tcp.listeners.size === limits.length + 1)
    limits.push(listenerOf(host, 8000 + limits.length).backlog)
  }
  lazyServer(lab, host, 8000, 100_000, [])
  await wait()
  host.sysctl.set('net.core.somaxconn', '128')
  lazyServer(lab, host, 8001, 100_000, [])
  await wait()
  lab.show(host, 'ss -lnt')
  await lab.step('listen(fd, 100000) with somaxconn = 4096 and 128')
  lab.check('the backlogs are', limits, [4096, 128])
  await acceptQueueOf(lab, 5, 'linux', 5)
  await acceptQueueOf(lab, 6, 'bsd', 6)
}

/** As many clients as come in while nobody calls accept(), with a backlog of 4. */
const acceptQueueOf = async (lab: Lab, index: number, name: 'linux' | 'bsd', expected: number): Promise<void> => {
  const client = lab.host(`client-${index}`)
  const server = lab.host(`server-${index}`)
  server.tcpSettings.personality = name === 'bsd' ? BSD : LINUX
  lab.link(client, server, { delay: 10, addresses: [`10.${index}.0.1/24`, `10.${index}.0.2/24`] })
  lazyServer(lab, server, PORT, 4, [lab.gate()])
  await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
  const listener = listenerOf(server)
  // One after the other, so that none is refused for those that are half open.
  for (let i = 1; i <= 12; i++) {
    connectAndRead(lab, client, `client ${i}`, PORT, `10.${index}.0.2`)
    await lab.quietly(() => false, 100)
  }
  lab.show(server, 'ss -lnt')
  await lab.step(
    `listen(fd, 4) on ${name === 'bsd' ? 'BSD: room for 4 x 3 / 2' : 'Linux: room for 4 + 1'}; twelve clients come`,
  )
  lab.check('connections in the accept queue', listener.acceptQueue.length, expected)
  lab.leave(client, server)
}

const synackLost: Scenario = {
  name: 'synack-lost',
  group: 'C',
  title: 'The third message never comes',
  description:
    'The SYN+ACK is sent again after 1, 3, 7, 15 and 31 seconds (tcp_synack_retries = 5); after 63 seconds the half-open connection is gone, silently. accept() never hears of it. Here the client, whose ACKs are lost, believes all the time that it is connected: it learns the truth when it sends.',
  async run(lab) {
    const { client, server, link } = lab.pair()
    lazyServer(lab, server, PORT, 5, [lab.gate()])
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    lab.lose(link.cable.aToB, /^ACK/)
    lab.note('The cable loses every ACK of the client.')
    let sendCode: number | string = ''
    let readCode: number | string = ''
    const later = lab.gate()
    lab.spawn(client, 'client', async (sys) => {
      const fd = await connectTo(sys, '10.0.0.2', PORT)
      sys.print('connect() returned 0')
      await later.wait(sys)
      sendCode = await outcome(() => sys.send(fd, 'hello'))
      readCode = await outcome(() => sys.recv(fd, new Uint8Array(10)))
      sys.print(`send(): ${sendCode}; recv(): ${readCode}`)
    })
    await lab.until('The client is connected, the server is not', () => lab.states(client)[0] === 'ESTABLISHED')
    lab.check('the server has it in', lab.state(server, PORT), 'SYN_RECV')
    const start = lab.segments(/^SYN\+ACK/)[0]!.at
    await lab.until('The server has given it up', () => lab.state(server, PORT) === '')
    lab.check(
      'SYN+ACKs after the first, seconds',
      lab
        .segments(/^SYN\+ACK/)
        .slice(1)
        .map(({ at }) => at - start),
      [1, 3, 7, 15, 31],
    )
    lab.check('gone after seconds', Math.round(lab.network.now / 1000 - start), 63)
    lab.check('connections to accept', listenerOf(server).acceptQueue.length, 0)
    lab.check('the client still has it in', lab.states(client), ['ESTABLISHED'])
    link.cable.aToB.filter = null
    later.open()
    await lab.until('The cable is well again, and the client sends: a RST is the answer', () => readCode !== '')
    lab.check('send() and recv() of the client', [sendCode, readCode], [5, 'ECONNRESET'])
  },
}

const acceptErrors: Scenario = {
  name: 'accept-errors',
  group: 'C',
  title: 'accept() that finds nothing, or something dead',
  description:
    'On a non-blocking listener accept() gives EAGAIN when the queue is empty. A connection that was reset while it waited stays in the queue on Linux: accept() returns it, and the first recv() gives ECONNRESET. accept4() sets O_NONBLOCK and FD_CLOEXEC; accept() takes neither over from the listener.',
  async run(lab) {
    const { client, server } = lab.pair()
    const results: {
      empty?: unknown
      poll?: string
      read?: unknown
      plain?: boolean[]
      flagged?: boolean[]
      wrong?: unknown
      emptyAgain?: unknown
    } = {}
    const resetIt = lab.gate()
    const goOn = lab.gate()
    lab.spawn(client, 'client', async (sys) => {
      const fd = await connectTo(sys, '10.0.0.2', PORT)
      await resetIt.wait(sys)
      sys.setsockopt(fd, SOL_SOCKET, SO_LINGER, { l_onoff: 1, l_linger: 0 })
      await sys.close(fd)
      sys.print('close() with l_linger 0: RST')
      for (let i = 0; i < 2; i++) await connectTo(sys, '10.0.0.2', PORT)
      await sys.sleep(3600)
    })
    const program = lab.spawn(server, 'server', async (sys) => {
      const listener = sys.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK)
      sys.bind(listener, { address: '0.0.0.0', port: PORT })
      sys.listen(listener, 5)
      results.empty = await outcome(() => sys.accept(listener))
      sys.print(`accept() on an empty queue: ${results.empty}`)
      const poll = { fd: listener, events: POLLIN, revents: 0 }
      await sys.poll([poll], -1)
      results.poll = pollNames(poll.revents)
      sys.print(`poll() says ${results.poll}; the server is busy with something else for a second`)
      resetIt.open()
      await sys.sleep(1)
      const fd = await sys.accept(listener)
      results.read = await outcome(() => sys.recv(fd, new Uint8Array(10)))
      sys.print(`accept() returned ${fd} and did not hang; recv(): ${results.read}`)
      await goOn.wait(sys)
      const plain = await sys.accept(listener)
      const flagged = await sys.accept4(listener, undefined, SOCK_NONBLOCK | SOCK_CLOEXEC)
      const flags = (descriptor: number) => [
        (sys.fcntl(descriptor, F_GETFL) & O_NONBLOCK) !== 0,
        (sys.fcntl(descriptor, F_GETFD) & FD_CLOEXEC) !== 0,
      ]
      results.plain = flags(plain)
      results.flagged = flags(flagged)
      results.wrong = await outcome(() => sys.accept4(listener, undefined, 1))
      results.emptyAgain = await outcome(() => sys.accept(listener))
    })
    await lab.until('The queue is empty', () => results.empty !== undefined)
    lab.check('accept() said', results.empty, 'EAGAIN')
    await lab.until('A connection waits: poll() says so', () => results.poll !== undefined)
    lab.check('poll() said', results.poll, 'POLLIN')
    lab.note(
      'accept(2) warns of network errors that wait on a new connection and that accept() itself might return, to be treated as EAGAIN. Linux returns the connection, and its first call says the error.',
    )
    await lab.until('It was reset before accept() was called', () => results.read !== undefined)
    lab.check('recv() on it', results.read, 'ECONNRESET')
    goOn.open()
    await lab.until('accept() and accept4(SOCK_NONBLOCK | SOCK_CLOEXEC)', () => !program.isAlive)
    lab.check('O_NONBLOCK and FD_CLOEXEC of the first', results.plain, [false, false])
    lab.check('and of the second', results.flagged, [true, true])
    lab.check('accept4() with a flag that is none', results.wrong, 'EINVAL')
    lab.check('the queue is empty again', results.emptyAgain, 'EAGAIN')
  },
}

export const listenerScenarios: readonly Scenario[] = [twoQueues, synackLost, acceptErrors]
