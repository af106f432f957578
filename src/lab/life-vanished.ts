import type { Host } from '../host/host.ts'
import type { Process } from '../host/process.ts'
import { SIG_IGN, SIGPIPE } from '../host/signals.ts'
import { AF_INET, MSG_NOSIGNAL, SHUT_WR, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET } from '../socket/constants.ts'
import { showEndings } from './endings.ts'
import type { Lab } from './lab.ts'
import { acceptOne, connectTo, listenAt, outcome, readAll, readToEnd, told } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Section C, peers that are not what they seem: gone, restarted, or never closing. */

const PORT = 80

const printed = (process: Process): string[] => process.output.filter(({ isError }) => !isError).map(({ text }) => text)

const writeToClosed: Scenario = {
  name: 'write-to-closed',
  group: 'C',
  title: 'Writing to a peer that has gone: the first write succeeds, the second is EPIPE and SIGPIPE',
  description:
    'The program at the other end has ended; its host has sent a FIN. A FIN only says that the peer sends no more, so the next write succeeds, and draws a RST. The one after that fails with EPIPE and SIGPIPE, which ends a process that has not said otherwise: with MSG_NOSIGNAL, or SIGPIPE ignored, there is EPIPE alone. When the RST came without a FIN, the first call to meet it, a read or a write, says ECONNRESET.',
  async run(lab) {
    const { client, server } = lab.pair()
    lab.spawn(server, 'server', async (sys) => {
      const listener = listenAt(sys, PORT)
      for (;;) await sys.close(await sys.accept(listener))
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const writer = async (name: string, flags: number, ignores: boolean): Promise<Process> => {
      const process = lab.spawn(client, name, async (sys) => {
        if (ignores) sys.signal(SIGPIPE, SIG_IGN)
        const fd = await connectTo(sys, '10.0.0.2', PORT)
        await sys.sleep(1)
        for (let i = 0; i < 3; i++) {
          await told(sys, 'send(100)', () => lab.send(sys, fd, 100, flags))
          await sys.sleep(1)
        }
      })
      const before = lab.segments(/^RST/).length
      await lab.quietly(() => lab.segments(/\(100\)/).length > 0 && printed(process).length === 1)
      await lab.quietly(() => lab.segments(/^RST/).length > before)
      await lab.step(`${name}: the first send() to a peer that has gone`)
      lab.check('it succeeded', printed(process)[0], 'send(100) returned 100')
      lab.check('a RST is on its way back', lab.segments(/^RST/).length - before, 1)
      await lab.until(`${name}: the second send()`, () => !process.isAlive || printed(process).length === 3)
      return process
    }
    const plain = await writer('default', 0, false)
    lab.check('send() did not return: the process was ended by signal', plain.endedBy, SIGPIPE)
    lab.check('its exit status, as the shell shows it', plain.status, 128 + SIGPIPE)
    lab.check('its last line tells nothing of that', printed(plain), ['send(100) returned 100'])
    for (const [name, flags, ignores] of [
      ['MSG_NOSIGNAL', MSG_NOSIGNAL, false],
      ['SIGPIPE-ignored', 0, true],
    ] as const) {
      const process = await writer(name, flags, ignores)
      lab.check('what its sends gave', printed(process), [
        'send(100) returned 100',
        'send(100): EPIPE',
        'send(100): EPIPE',
      ])
    }
    await resetWithoutFin(lab, client, server)
  },
}

/** The peer closes with bytes unread: a RST, and no FIN. Whoever calls first is told ECONNRESET, once. */
const resetWithoutFin = async (lab: Lab, client: Host, server: Host): Promise<void> => {
  const closes = lab.gate()
  lab.spawn(server, 'closes-unread', async (sys) => {
    const listener = listenAt(sys, PORT + 1)
    for (;;) {
      const fd = await sys.accept(listener)
      await closes.wait(sys)
      await sys.close(fd)
    }
  })
  await lab.quietly(() => server.sockets.tcp.listeners.size === 2)
  const start = (name: string, first: 'read' | 'write'): Process =>
    lab.spawn(client, name, async (sys) => {
      sys.signal(SIGPIPE, SIG_IGN)
      const fd = await connectTo(sys, '10.0.0.2', PORT + 1)
      await sys.send(fd, new Uint8Array(500))
      await sys.sleep(1)
      if (first === 'read') await told(sys, 'recv()', () => sys.recv(fd, new Uint8Array(1)))
      for (let i = 0; i < 2; i++) await told(sys, 'send(100)', () => sys.send(fd, new Uint8Array(100)))
    })
  const reader = start('reads-first', 'read')
  const writer = start('writes-first', 'write')
  closes.open()
  await lab.until('The server closes with 500 bytes unread: a RST', () => !reader.isAlive && !writer.isAlive)
  lab.check('who reads first', printed(reader), ['recv(): ECONNRESET', 'send(100): EPIPE', 'send(100): EPIPE'])
  lab.check('who writes first', printed(writer), ['send(100): ECONNRESET', 'send(100): EPIPE'])
}

const SIZE = 60_000

const lostOnClose: Scenario = {
  name: 'lost-on-close',
  group: 'C',
  title: 'close() returns, the host dies, and the bytes are lost: nobody is told',
  description:
    'send() and close() return 0 while most of the bytes are still in SendQ: TCP means to deliver them in the background. Then the host loses power. The program had ended with success; the reader waits for the rest for ever. shutdown() promises no more. The cure is in the application: it has finished when the other application has said that it has everything.',
  async run(lab) {
    const trusting = await transfer(lab, 0, 'close')
    lab.check('the program had said', printed(trusting.sender), DONE)
    lab.check('bytes that were still in SendQ', trusting.left > 5000, true)
    lab.check('they were lost with the host: the reader has got', trusting.got() === SIZE - trusting.left, true)
    lab.check('and waits for the rest in', lab.waitsIn(trusting.reader), 'recv')
    const halfway = await transfer(lab, 1, 'shutdown')
    lab.check('shutdown() is no better: the program had said', printed(halfway.sender), DONE)
    lab.check('the reader has got all', halfway.got() === SIZE, false)
    const careful = await transfer(lab, 2, 'answer')
    lab.check('the program had said nothing: nobody believes that it was done', printed(careful.sender), [
      `send(${SIZE}) returned ${SIZE}`,
    ])
    const answered = await transfer(lab, 3, 'answer', 10_000)
    lab.check('the program said that it was done, after it had the answer', printed(answered.sender), [
      `send(${SIZE}) returned ${SIZE}`,
      'the reader says that it has everything',
      'done',
    ])
    lab.check('the reader has', answered.got(), SIZE)
  },
}

const DONE = [`send(${SIZE}) returned ${SIZE}`, 'done']

/**
 * Sends, ends in one of three ways, and then the host dies, `after` milliseconds from when the reader has 10,000 bytes.
 */
const transfer = async (lab: Lab, index: number, ending: 'close' | 'shutdown' | 'answer', after = 0) => {
  const client = lab.host(`client-${index}`)
  const server = lab.host(`server-${index}`)
  const addresses = [`10.1.${index}.1/24`, `10.1.${index}.2/24`] as const
  lab.link(client, server, { delay: 10, rate: 1e6, addresses })
  lab.watchQueues(client, server, PORT, 'to server')
  lab.show(client, 'netstat -ant')
  lab.show(server, 'netstat -ant')
  let got = 0
  const reader = acceptOne(lab, server, PORT, async (sys, fd) => {
    const buffer = new Uint8Array(10_000)
    for (let count = -1; count !== 0; got += count) count = await sys.recv(fd, buffer)
    if (ending === 'answer') await sys.send(fd, 'I have it')
    sys.print(`read to the end: ${got} bytes`)
  })
  await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
  const sender = lab.spawn(client, 'sender', async (sys) => {
    const fd = await connectTo(sys, `10.1.${index}.2`, PORT)
    await told(sys, `send(${SIZE})`, () => lab.send(sys, fd, SIZE))
    if (ending === 'close') await sys.close(fd)
    else sys.shutdown(fd, SHUT_WR)
    if (ending === 'answer') {
      if ((await sys.recv(fd, new Uint8Array(100))) === 0) return
      sys.print('the reader says that it has everything')
    }
    sys.print('done')
  })
  const queues = () => lab.queues(client, server, PORT)
  await lab.quietly(() => queues().delivered >= 10_000 && printed(sender).length > 0)
  await lab.quietly(() => false, after)
  const what = { close: 'close()', shutdown: 'shutdown(SHUT_WR)', answer: 'shutdown(), and wait for an answer' }[ending]
  await lab.step(`${what}: the sender, just before its host loses power`)
  // What is on the wire still arrives.
  lab.powerOff(client)
  await lab.pass(7 * 24 * 3600 * 1000, `${what}: the host lost power a week ago`)
  showEndings(lab, [sender, reader])
  if (got < SIZE) {
    lab.note(
      `Where the data is: of ${SIZE} bytes ${got} were read, and ${SIZE - got} are lost: they were in SendQ, in the memory of a dead host.`,
    )
  }
  await lab.step('What each program has said')
  lab.leave(client, server)
  return { sender, reader, left: SIZE - got, got: () => got }
}

const halfOpen: Scenario = {
  name: 'half-open',
  group: 'C',
  title: 'One host has restarted and remembers nothing: the next segment draws a RST',
  description:
    "A host loses power and starts again: the other side's connection is half-open. Nothing happens until somebody sends. A segment of the old connection is answered with a RST, and the old side learns of it: ECONNRESET. If it is the restarted host that sends first, a SYN from the same port, the old connection answers with an ACK (RFC 5961), which draws the RST; the SYN that follows at once, 2 ms later on Linux, finds the way free.",
  async run(lab) {
    const { client, server } = lab.pair()
    const sends = lab.gate()
    acceptOne(lab, server, PORT, async (sys, fd) => {
      await readAll(sys, fd)
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const old = lab.spawn(client, 'client', async (sys) => {
      const fd = await connectTo(sys, '10.0.0.2', PORT)
      await sends.wait(sys)
      await told(sys, 'send(100)', () => lab.send(sys, fd, 100))
      await readAll(sys, fd)
    })
    await lab.until('They are connected', () => lab.state(server, PORT) === 'ESTABLISHED')
    lab.powerOff(server)
    const restarted = lab.powerOn(server)
    await lab.pass(3600_000, 'The server lost power, was started again at once, and has been running for an hour')
    lab.check('the client is in', lab.states(client), ['ESTABLISHED'])
    lab.check('the server has', lab.states(restarted), [])
    const before = lab.segments(/./).length
    sends.open()
    await lab.until('The client sends', () => !old.isAlive)
    lab.check('what it saw', printed(old), ['send(100) returned 100', 'recv(): ECONNRESET'])
    lab.check('the segments', kinds(lab, before), ['client: PSH+ACK', 'server: RST'])
    lab.leave(client, restarted)
    await restartedSpeaksFirst(lab)
  },
}

const kinds = (lab: Lab, since: number): string[] =>
  lab
    .segments(/./)
    .slice(since)
    .map(({ from, text }) => `${from.replace(/-.*/, '')}: ${text.split(' ')[0]}`)

/**
 * The client restarts and connects again from the same port (RFC 9293
 * section 3.5.1, figure 10, and RFC 5961 section 4).
 */
const restartedSpeaksFirst = async (lab: Lab): Promise<void> => {
  const client = lab.host('client-2')
  const server = lab.host('server-2')
  lab.link(client, server, { delay: 10, addresses: ['10.2.0.1/24', '10.2.0.2/24'] })
  lab.show(client, 'netstat -ant')
  lab.show(server, 'netstat -ant')
  const serve = lab.spawn(server, 'server', async (sys) => {
    const listener = listenAt(sys, PORT)
    for (let i = 1; i <= 2; i++) {
      const fd = await sys.accept(listener)
      void sys.thread(async () => {
        const result = await outcome(() => sys.recv(fd, new Uint8Array(10)))
        sys.print(`connection ${i}: recv(): ${result}`)
      })
    }
    await sys.sleep(36_000)
  })
  await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
  const connect = (host: Host): Process =>
    lab.spawn(host, 'client', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      sys.bind(fd, { address: '0.0.0.0', port: 4000 })
      await told(sys, 'connect()', () => sys.connect(fd, { address: '10.2.0.2', port: PORT }))
      await sys.sleep(36_000)
    })
  connect(client)
  await lab.quietly(() => lab.state(server, PORT) === 'ESTABLISHED')
  await lab.step('Beside it: another pair, connected')
  lab.powerOff(client)
  const restarted = lab.powerOn(client)
  const before = lab.segments(/./).length
  const since = lab.network.now
  const again = connect(restarted)
  await lab.until(
    'The client lost power, has restarted, and connects again from the same port',
    () => printed(again).length > 0,
  )
  await lab.quietly(() => false, 100)
  lab.check('connect() said', printed(again), ['connect() returned 0'])
  lab.check('the segments', kinds(lab, before), [
    'client: SYN',
    'server: ACK',
    'client: RST',
    'client: SYN',
    'server: SYN+ACK',
    'client: ACK',
  ])
  const took = Math.round(again.output[0]!.at / 1000 - since)
  lab.check('connect() took milliseconds: two round trips, and 2 until the SYN came again', took, 42)
  lab.check("the server's program was told on the old connection", printed(serve), ['connection 1: recv(): ECONNRESET'])
  await lab.step('The old connection is gone, a new one stands')
  lab.check('the server has', lab.states(server), ['ESTABLISHED'])
}

const stuckCloseWait: Scenario = {
  name: 'stuck-close-wait',
  group: 'C',
  title: 'A server that never closes: CLOSE_WAIT for ever, and who meets it',
  description:
    "The client closes; the server's program reads 0 and forgets to close. Its socket stays in CLOSE_WAIT for ever, and holds a descriptor; only the program can end that. The client's FIN_WAIT_2 ends after 60 seconds. When the client uses the same port again, its SYN meets the old socket, which answers with a challenge ACK; the RST that this draws ends the old connection, and the SYN that follows gets through. Where that RST is lost, in a firewall that knows no such connection, each SYN draws another ACK, until connect() gives up: ETIMEDOUT after 126 seconds, one less than without any answer, for the first answer made the SYN come again at once.",
  async run(lab) {
    const { client, server, link } = lab.pair()
    lab.show(server, 'ss -tanp')
    const forgetful = lab.spawn(server, 'forgetful', async (sys) => {
      const listener = listenAt(sys, PORT)
      for (;;) {
        const fd = await sys.accept(listener)
        void sys.thread(async () => {
          sys.print(`fd ${fd}: read to the end, ${await readToEnd(sys, fd)} bytes; close() is forgotten`)
        })
      }
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const open = (closes: boolean): Process =>
      lab.spawn(client, 'client', async (sys) => {
        const fd = sys.socket(AF_INET, SOCK_STREAM)
        sys.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        sys.bind(fd, { address: '0.0.0.0', port: 4000 })
        const code = await told(sys, 'connect()', () => sys.connect(fd, { address: '10.0.0.2', port: PORT }))
        if (code === 0 && !closes) await sys.sleep(3600)
        await sys.close(fd)
      })
    open(true)
    await lab.until('The client has closed, the server has not', () => lab.state(client, 4000) === 'FIN_WAIT2')
    lab.check('the server is in', lab.state(server, PORT), 'CLOSE_WAIT')
    await lab.until("The client's FIN_WAIT_2 has ended", () => lab.state(client, 4000) === '')
    lab.check('after seconds', Math.round(lab.network.now / 1000), 60)
    await lab.pass(30 * 24 * 3600 * 1000, 'A month later')
    lab.check('the server is still in', lab.states(server), ['CLOSE_WAIT'])
    lab.note('Who is stuck: the program named forgetful. ss -p names it, with the descriptor that it has to close.')

    const lossy = lab.segments(/./).length
    lab.lose(link.cable.aToB, /^RST/)
    const first = open(true)
    const since = lab.network.now
    await lab.until('The same port again; a firewall on the way drops RSTs', () => !first.isAlive)
    lab.check('connect()', printed(first), ['connect(): ETIMEDOUT'])
    lab.check('after seconds', Math.round((lab.network.now - since) / 1000), 126)
    const kindsSeen = kinds(lab, lossy)
    lab.check('SYNs', kindsSeen.filter((kind) => kind === 'client: SYN').length, 7)
    const challenges = kindsSeen.filter((kind) => kind === 'server: ACK').length
    lab.check('challenge ACKs: one SYN came within 500 ms of another (tcp_invalid_ratelimit)', challenges, 6)
    lab.check('RSTs, all lost', kindsSeen.filter((kind) => kind === 'client: RST').length, 6)
    lab.check('the server is in', lab.states(server), ['CLOSE_WAIT'])

    link.cable.aToB.filter = null
    const before = lab.segments(/./).length
    const second = open(false)
    await lab.until('The same port once more, without the firewall', () => printed(second).length === 1)
    lab.check('the segments', kinds(lab, before), [
      'client: SYN',
      'server: ACK',
      'client: RST',
      'client: SYN',
      'server: SYN+ACK',
      'client: ACK',
    ])
    lab.check('connect()', printed(second), ['connect() returned 0'])
    await lab.quietly(() => printed(forgetful).length > 0 && lab.states(server).includes('ESTABLISHED'))
    lab.note('The old socket has no connection any more, but its descriptor is still taken: nobody told the program.')
    await lab.step('What is left')
    lab.check('the server has', lab.states(server), ['ESTABLISHED'])
    lab.check('descriptors that forgetful holds beside its listener', [...forgetful.files.numbers()].length - 4, 2)
  },
}

export const vanishedScenarios: readonly Scenario[] = [writeToClosed, lostOnClose, halfOpen, stuckCloseWait]
