import type { Host } from '../host/host.ts'
import type { Process } from '../host/process.ts'
import { SO_KEEPALIVE, SO_RCVBUF, SOL_SOCKET } from '../socket/constants.ts'
import { showEndings } from './endings.ts'
import type { Gate } from './gate.ts'
import type { Lab, Pair } from './lab.ts'
import { connectTo, listenAt, readAll, told } from './programs.ts'
import type { Scenario } from './scenario.ts'

/**
 * Section F: what each side of a connection sees, and when, after the
 * wire, a program or a host between them has failed.
 */

export const PORT = 7000

/** A sender and a receiver, connected. */
export interface Talk extends Pair {
  readonly sender: Process
  readonly receiver: Process
  /** Lets the sender send so many bytes, and then wait for an answer if these were the last. */
  send(): void
  /** Lets the receiver read, from now on. */
  read(): void
}

/** What a conversation is like. */
export interface TalkOptions {
  /** Bytes of each send. After the last the sender waits for an answer. */
  readonly sends?: readonly number[]
  /** Does the receiver wait before it reads? */
  readonly isLazy?: boolean
  /** SO_RCVBUF of the receiver. */
  readonly receiveBuffer?: number
  readonly keepalive?: boolean
}

/** Starts a sender on `client` and a receiver on `server`, and runs until they are connected. */
export const startTalk = async (lab: Lab, options: TalkOptions = {}): Promise<Talk> => {
  const pair = lab.pair()
  lab.watchQueues(pair.client, pair.server, PORT, 'to server')
  const sends = (options.sends ?? []).map((size) => ({ size, gate: lab.gate() }))
  const reads = lab.gate()
  const accepted: number[] = []
  const receiver = startReceiver(lab, pair.server, reads, accepted, options)
  await lab.quietly(() => pair.server.sockets.tcp.listeners.size === 1)
  const sender = lab.spawn(pair.client, 'sender', async (sys) => {
    const fd = await connectTo(sys, '10.0.0.2', PORT)
    if (options.keepalive === true) sys.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, 1)
    for (const { size, gate } of sends) {
      await gate.wait(sys)
      await told(sys, `send(${size})`, () => lab.send(sys, fd, size))
    }
    await readAll(sys, fd)
    await sys.close(fd)
  })
  if (options.isLazy !== true) reads.open()
  await lab.until('They are connected', () => lab.state(pair.server, PORT) === 'ESTABLISHED' && accepted.length === 1)
  let sent = 0
  return { ...pair, sender, receiver, send: () => sends[sent++]!.gate.open(), read: () => reads.open() }
}

const startReceiver = (lab: Lab, host: Host, reads: Gate, accepted: number[], options: TalkOptions): Process =>
  lab.spawn(host, 'receiver', async (sys) => {
    const listener = listenAt(sys, PORT)
    if (options.receiveBuffer !== undefined) sys.setsockopt(listener, SOL_SOCKET, SO_RCVBUF, options.receiveBuffer)
    const fd = await sys.accept(listener)
    accepted.push(fd)
    await reads.wait(sys)
    await readAll(sys, fd)
    await sys.close(fd)
  })

export const DAY = 24 * 3600 * 1000
/**
 * How long the time-outs of tcp_retries2 = 15 take that begin with
 * the least RTO, 200 ms, seconds (RFC 9293 section 3.8.3).
 */
export const LEAST_PATIENCE = 924.6

/**
 * Seconds that the retransmission timer runs from the first
 * retransmission until it gives up, by its rule: doubling to 120 s.
 */
export const patience = (firstRto: number, least = LEAST_PATIENCE): number => {
  let elapsed = 0
  for (let rto = firstRto * 2; elapsed < least; rto = Math.min(rto * 2, 120)) elapsed += Math.min(rto, 120)
  return elapsed
}

const unpluggedIdle: Scenario = {
  name: 'unplugged-idle',
  group: 'F',
  title: 'The wire fails while nobody sends: neither side ever learns of it',
  description:
    'TCP sends nothing when there is nothing to send. A connection that is idle when the wire fails stays ESTABLISHED on both sides, for as long as the programs wait. SO_KEEPALIVE makes the one side that asked for it find out: after 7200 idle seconds a probe, eight more 75 seconds apart, then ETIMEDOUT.',
  async run(lab) {
    const { client, server, link, sender, receiver } = await startTalk(lab, { keepalive: true })
    const since = lab.network.now
    const before = lab.segments(/./).length
    link.cable.setDown(true)
    await lab.pass(7199 * 1000, 'The wire was cut, two hours ago')
    lab.check('segments since then', lab.segments(/./).length - before, 0)
    lab.check('both are in', [lab.states(client), lab.states(server)], [['ESTABLISHED'], ['ESTABLISHED']])
    await lab.until("The sender's keepalive has given up", () => !sender.isAlive)
    const probes = lab.segments(/./).slice(before)
    const times = probes.map(({ at }) => at)
    lab.check('keepalive probes, and the RST that nobody hears', probes.length, 10)
    lab.check(
      'they left after idle seconds',
      times.slice(0, 9).map((at) => Math.round(at - since / 1000)),
      [0, 1, 2, 3, 4, 5, 6, 7, 8].map((i) => 7200 + 75 * i),
    )
    lab.check('recv() of the sender gave ETIMEDOUT after seconds', Math.round((lab.network.now - since) / 1000), 7875)
    lab.check('it said', sender.output.at(-1)?.text, 'recv(): ETIMEDOUT')
    showEndings(lab, [sender, receiver])
    lab.note('Nobody told the receiver. It set no SO_KEEPALIVE, has nothing to send, and waits in recv() for ever.')
    await lab.pass(30 * DAY, 'A month later')
    lab.check('the receiver is in', [lab.states(server), lab.waitsIn(receiver)], [['ESTABLISHED'], 'recv'])
    lab.check('the sender has nothing left', lab.states(client), [])
  },
}

const unpluggedSending: Scenario = {
  name: 'unplugged-sending',
  group: 'F',
  title: 'The wire fails while one side sends: a quarter of an hour, then ETIMEDOUT',
  description:
    'send() succeeds: it only hands the bytes to TCP. They are sent again at growing intervals; after tcp_retries2 = 15 of them, 924.6 seconds at the least, the sender gets ETIMEDOUT from its next call, and the bytes are gone. The receiver, which has nothing to send, never learns of it.',
  async run(lab) {
    const { client, server, link, sender, receiver, send } = await startTalk(lab, { sends: [1000] })
    link.cable.setDown(true)
    send()
    await lab.until('The wire was cut; the sender sends 1000 bytes', () => sender.output.length === 1)
    lab.check('send() returned at once', sender.output[0]?.text, 'send(1000) returned 1000')
    lab.note('The bytes are in SendQ. That send() has returned says nothing about where they are.')
    await lab.pass(60_000, 'A minute later')
    lab.check('bytes in SendQ', lab.queues(client, server, PORT).sendQ, 1000)
    await lab.until('TCP has given up', () => !sender.isAlive)
    const data = lab.segments(/\(1000\)/).map(({ at }) => at)
    const [first = 0, second = 0, third = 0] = data
    lab.note(`The segment left ${data.length} times; the second was a tail loss probe (RFC 8985), the rest time-outs.`)
    const rto = data[3]! - third
    lab.check('recv() gave', sender.output.at(-1)?.text, 'recv(): ETIMEDOUT')
    lab.check('sent in all: once, a tail loss probe, 15 retransmissions', data.length, 17)
    lab.check(
      'the probe came after seconds: two round trips and the longest delay of an ACK',
      round(second - first),
      0.22,
    )
    const end = lab.network.now / 1000
    lab.check('seconds from the first retransmission to the end', round(end - third), round(patience(rto / 2)))
    lab.check(`that is ${LEAST_PATIENCE} at the least`, end - third >= LEAST_PATIENCE, true)
    lab.check('counted (TCPAbortOnTimeout)', client.ip.mib.tcpExt.TCPAbortOnTimeout, 1)
    showEndings(lab, [sender, receiver])
    lab.note('Nobody told the receiver: there was nobody to tell it. It waits in recv() for ever.')
    await lab.pass(DAY, 'A day later')
    lab.check('the receiver is in', [lab.states(server), lab.waitsIn(receiver)], [['ESTABLISHED'], 'recv'])
  },
}

/** To milliseconds. */
const round = (seconds: number): number => Math.round(seconds * 1000) / 1000

const replugged: Scenario = {
  name: 'replugged',
  group: 'F',
  title: 'The wire is mended within the retries: no error, nothing lost',
  description:
    'The wire is cut for five minutes while the sender sends. Neither program is told, because nothing has happened that TCP could not repair: the next retransmission arrives, and everything behind it. The price is time: after the wire is well the sender still waits for its timer, which may have grown to two minutes.',
  async run(lab) {
    const { client, server, link, sender, receiver, send } = await startTalk(lab, { sends: [1000, 20_000] })
    link.cable.setDown(true)
    send()
    send()
    await lab.pass(300_000, 'The wire was cut; the sender sent 1000 and 20,000 bytes; five minutes have passed')
    lab.check('bytes in SendQ', lab.queues(client, server, PORT).sendQ, 21_000)
    lab.check('what the programs know: the sender', sender.output.at(-1)?.text, 'send(20000) returned 20000')
    lab.check('and the receiver', receiver.output.length, 0)
    link.cable.setUp()
    const since = lab.network.now
    await lab.until('The wire is mended', () => lab.queues(client, server, PORT).delivered === 21_000)
    const waited = (lab.network.now - since) / 1000
    lab.note(`It took another ${waited.toFixed(1)} s until the retransmission timer fired.`)
    lab.check('at most the longest time-out, 120 s', waited > 1 && waited < 121, true)
    await lab.quietly(() => lab.queues(client, server, PORT).sendQ === 0)
    showEndings(lab, [sender, receiver])
    await lab.step('Everything is acknowledged')
    lab.check('SendQ, RecvQ, Delivered', numbers(lab, client, server), [0, 0, 21_000])
    const errors = [...sender.output, ...receiver.output].filter(({ text }) => /E[A-Z]+$/.test(text))
    lab.check('errors that either program saw', errors, [])
    lab.check('both are in', [lab.states(client), lab.states(server)], [['ESTABLISHED'], ['ESTABLISHED']])
  },
}

const numbers = (lab: Lab, client: Host, server: Host): number[] => {
  const { sendQ, recvQ, delivered } = lab.queues(client, server, PORT)
  return [sendQ, recvQ, delivered]
}

const fullThenAlive: Scenario = {
  name: 'full-then-alive',
  group: 'F',
  title: 'The receiver is full and alive: probes are answered, for ever and without error',
  description:
    'The receiving program does not read. Its queue is full, the advertised window 0, and the sender is stuck in send(). Each probe is answered, so TCP knows that the peer is alive, and asks again every two minutes, for days if need be. When the receiver reads on, everything arrives.',
  async run(lab) {
    const talk = await fill(lab)
    const { client, server, sender, receiver } = talk
    const before = lab.segments(/./).length
    await lab.pass(7 * DAY, 'A week later')
    const since = lab.segments(/./).slice(before)
    const probes = since.filter(({ from }) => from === 'client')
    const isLinux = lab.report.personality === 'linux'
    if (isLinux)
      lab.note('One probe came within 500 ms of another: answers to such are limited (tcp_invalid_ratelimit).')
    else lab.note('These probes carry a byte of data, and data is always answered.')
    lab.check('probes that were not answered', probes.length - (since.length - probes.length), isLinux ? 1 : 0)
    lab.check('a probe every two minutes', Math.round((7 * DAY) / 120_000 / probes.length), 1)
    lab.check('the answers announce a window of', [...new Set(answerWindows(since))], ['win 0'])
    lab.check('the sender still waits in', lab.waitsIn(sender), `send, ${TOTAL - taken(lab, talk)} bytes to go`)
    lab.check('both are in', [lab.states(client), lab.states(server)], [['ESTABLISHED'], ['ESTABLISHED']])
    lab.note('Who waits for whom: the sender waits in send() until the receiver reads. Only the receiver can end that.')
    talk.read()
    await lab.until('The receiver reads on', () => lab.queues(client, server, PORT).delivered === TOTAL)
    await lab.quietly(() => lab.queues(client, server, PORT).sendQ === 0)
    showEndings(lab, [sender, receiver])
    await lab.step('All of it has arrived')
    lab.check('SendQ, RecvQ, Delivered', numbers(lab, client, server), [0, 0, TOTAL])
    lab.check('send() returned', sender.output[0]?.text, `send(${TOTAL}) returned ${TOTAL}`)
  },
}

const fullThenCrash: Scenario = {
  name: 'full-then-crash',
  group: 'F',
  title: 'The receiver is full, then its host dies: probes are answered no more, ETIMEDOUT',
  description:
    'As in full-then-alive the window is 0, and probes are answered. Then the host of the receiver loses power. Probes go on, now without an answer: after tcp_retries2 = 15 of them the sender gets ETIMEDOUT. The bytes in both queues are lost.',
  async run(lab) {
    const talk = await fill(lab)
    const { client, server, sender, receiver } = talk
    await lab.pass(3600 * 1000, 'An hour later: the probes are two minutes apart')
    const before = lab.segments(/./).length
    const had = taken(lab, talk)
    lab.powerOff(server)
    await lab.until('The host of the receiver has lost power, and the sender has given up', () => !sender.isAlive)
    const probes = lab.segments(/./).slice(before)
    lab.check('probes without an answer', [probes.length, probes.every(({ from }) => from === 'client')], [15, true])
    lab.check('seconds from the first of them to the end', Math.round(lab.network.now / 1000 - probes[0]!.at), 15 * 120)
    const printed = sender.output.map(({ text }) => text)
    lab.check('send() returned what TCP had taken, recv() the error', printed, [
      `send(${TOTAL}) returned ${had}`,
      'recv(): ETIMEDOUT',
    ])
    lab.check('the sender has nothing left', lab.states(client), [])
    showEndings(lab, [sender, receiver])
    await lab.step('What each program knows')
  },
}

/** More than both queues hold. */
const TOTAL = 200_000

/** A sender that waits in send(), because the receiver does not read. */
const fill = async (lab: Lab): Promise<Talk> => {
  const talk = await startTalk(lab, { sends: [TOTAL], isLazy: true, receiveBuffer: 20_000 })
  const { client, server, send } = talk
  send()
  await lab.until('The receiver does not read: the window is 0', () => {
    const c = lab.connection(client, PORT)
    return c?.snd.wnd === 0 && lab.queues(client, server, PORT).recvQ > 0 && lab.waitsIn(talk.sender) !== ''
  })
  return talk
}

/** Bytes of the send that TCP has taken. */
const taken = (lab: Lab, { client, server }: Talk): number => {
  const { sendQ, recvQ, delivered } = lab.queues(client, server, PORT)
  return sendQ + recvQ + delivered
}

const answerWindows = (segments: readonly { from: string; text: string }[]): string[] =>
  segments.filter(({ from }) => from === 'server').map(({ text }) => /win \d+/.exec(text)?.[0] ?? '')

export const unpluggedScenarios: readonly Scenario[] = [
  unpluggedIdle,
  unpluggedSending,
  replugged,
  fullThenAlive,
  fullThenCrash,
]
