import { SIGKILL } from '../host/signals.ts'
import { showEndings } from './endings.ts'
import { acceptOne, connectTo, readAll, told } from './programs.ts'
import type { Scenario } from './scenario.ts'
import { DAY, LEAST_PATIENCE, PORT, startTalk } from './unplugged.ts'

/** Section F, the ends: what the other side sees when a program dies, its host dies, or its host starts again. */

const receiverProcessDies: Scenario = {
  name: 'receiver-process-dies',
  group: 'F',
  title: 'The receiving program dies: a FIN, and the first send() after it still succeeds',
  description:
    'When a program dies its host closes its sockets: a FIN goes out, as if it had called close(). To the sender a FIN only says that nothing more will come; it may send on. Its first send() succeeds, and draws a RST; the next one gives EPIPE. A sender that reads would have seen the end, recv() = 0, before.',
  async run(lab) {
    const { client, server } = lab.pair()
    const sends = [lab.gate(), lab.gate(), lab.gate()]
    const receiver = acceptOne(lab, server, PORT, async (sys, fd) => {
      await readAll(sys, fd)
    })
    const sender = lab.spawn(client, 'sender', async (sys) => {
      const fd = await connectTo(sys, '10.0.0.2', PORT)
      sys.signal(13, 'ignore')
      for (const gate of sends) {
        await gate.wait(sys)
        await told(sys, 'send(100)', () => lab.send(sys, fd, 100))
      }
    })
    const said = (): string[] => sender.output.map(({ text }) => text)
    lab.watchQueues(client, server, PORT, 'to server')
    sends[0]!.open()
    await lab.until('100 bytes have arrived', () => lab.queues(client, server, PORT).delivered === 100)
    await lab.quietly(() => lab.queues(client, server, PORT).sendQ === 0)
    receiver.signal(SIGKILL)
    await lab.until('The receiver is killed: its host sends a FIN', () => lab.states(client)[0] === 'CLOSE_WAIT')
    lab.check('the sender is in', lab.states(client), ['CLOSE_WAIT'])
    lab.check('and has been told nothing that it asked for', said(), ['send(100) returned 100'])
    sends[1]!.open()
    await lab.until(
      'The sender sends again',
      () => lab.segments(/^RST/).length === 1 && lab.states(client).length === 0,
    )
    lab.check('send() succeeded', said()[1], 'send(100) returned 100')
    lab.check('the answer was a RST: nobody can read these bytes any more', lab.segments(/^RST/)[0]?.from, 'server')
    sends[2]!.open()
    await lab.until('The sender sends once more', () => !sender.isAlive)
    lab.check('send() gave', said()[2], 'send(100): EPIPE')
    showEndings(lab, [sender, receiver])
    lab.note(
      '200 bytes were sent with success, and 100 of them read. TCP does not tell how many of them: only an answer does.',
    )
    await lab.step('What each program knows')
  },
}

const receiverHostDies: Scenario = {
  name: 'receiver-host-dies',
  group: 'F',
  title: "The receiver's host loses power: silence, and ETIMEDOUT after a quarter of an hour",
  description:
    'A host that loses power sends no FIN. For the sender this looks the same as a wire that was cut: it sends again and again, and gets ETIMEDOUT after tcp_retries2 = 15 retransmissions. Until then its calls succeed.',
  async run(lab) {
    const { client, server, sender, receiver, send } = await startTalk(lab, { sends: [1000, 500] })
    send()
    await lab.until('1000 bytes have arrived', () => lab.queues(client, server, PORT).delivered === 1000)
    await lab.quietly(() => lab.queues(client, server, PORT).sendQ === 0)
    lab.powerOff(server)
    send()
    const since = lab.network.now / 1000
    const before = lab.segments(/./).length
    await lab.until(
      'The host of the receiver loses power; the sender sends 500 bytes',
      () => sender.output.length === 2,
    )
    lab.check('send() said', sender.output[1]?.text, 'send(500) returned 500')
    await lab.pass(600_000, 'Ten minutes later')
    lab.check('the sender still waits in', [lab.states(client), lab.waitsIn(sender)], [['ESTABLISHED'], 'recv'])
    await lab.until('TCP has given up', () => !sender.isAlive)
    const sent = lab.segments(/./).slice(before)
    lab.check('segments that came from the server', sent.filter(({ from }) => from === 'server').length, 0)
    lab.check('the segment left: once, as a probe, and 15 times more', sent.length, 17)
    lab.check('recv() gave', sender.output.at(-1)?.text, 'recv(): ETIMEDOUT')
    const took = lab.network.now / 1000 - since
    lab.check(
      `after ${LEAST_PATIENCE} seconds at the least, half an hour at most`,
      took > LEAST_PATIENCE && took < 1800,
      true,
    )
    lab.note(`It took ${took.toFixed(1)} seconds.`)
    showEndings(lab, [sender, receiver])
    await lab.step('What each program knows')
  },
}

const receiverHostRestarts: Scenario = {
  name: 'receiver-host-restarts',
  group: 'F',
  title: "The receiver's host restarts: RST, at the first segment that reaches it",
  description:
    'The host of the receiver loses power and is back after a minute. It remembers nothing, so the next segment of the connection means nothing to it, and it answers with a RST: ECONNRESET for the sender, long before tcp_retries2. A sender that sends nothing would not notice at all.',
  async run(lab) {
    const { client, server, sender, receiver, send } = await startTalk(lab, { sends: [1000, 500] })
    send()
    await lab.until('1000 bytes have arrived', () => lab.queues(client, server, PORT).delivered === 1000)
    await lab.quietly(() => lab.queues(client, server, PORT).sendQ === 0)
    lab.powerOff(server)
    await lab.pass(30_000, 'The host of the receiver lost power half a minute ago')
    const before = lab.segments(/./).length
    const started = lab.powerOn(server)
    await lab.pass(30_000, 'It has been running again for half a minute, and remembers nothing')
    lab.check('the new one has', lab.states(started), [])
    lab.check('the sender believes it is', lab.states(client), ['ESTABLISHED'])
    lab.check('segments since then: nobody has told it', lab.segments(/./).length - before, 0)
    send()
    await lab.until('The sender sends 500 bytes', () => !sender.isAlive)
    const sent = lab
      .segments(/./)
      .slice(before)
      .map(({ from, text }) => `${from}: ${text.split(' ')[0]}`)
    lab.check('segments', sent, ['client: PSH+ACK', 'server: RST'])
    lab.check(
      'the sender saw',
      sender.output.map(({ text }) => text),
      ['send(1000) returned 1000', 'send(500) returned 500', 'recv(): ECONNRESET'],
    )
    lab.check('after milliseconds: a round trip', roundTrip(lab.segments(/./).slice(before), lab.network.now), 20)
    showEndings(lab, [sender, receiver])
    await lab.step('What each program knows')
  },
}

/** Milliseconds from the first of the segments until now. */
const roundTrip = (segments: readonly { at: number }[], now: number): number =>
  Math.round(now - (segments[0]?.at ?? 0) * 1000)

const senderProcessDies: Scenario = {
  name: 'sender-process-dies',
  group: 'F',
  title: 'The sending program dies: the receiver reads what was sent, then 0',
  description:
    'The host of a program that died delivers what it had handed over, and then sends a FIN. The receiver reads all of that and then 0, exactly as if the sender had finished: whether it was complete, the receiver can only know from what it read.',
  async run(lab) {
    const { client, server, sender, receiver, send } = await startTalk(lab, { sends: [50_000, 10] })
    send()
    await lab.quietly(() => sender.output.length === 1)
    sender.signal(SIGKILL)
    lab.check('it had sent', sender.output[0]?.text, 'send(50000) returned 50000')
    await lab.step('The sender is killed, after a send() of 50,000 bytes and before its next one')
    lab.check('bytes that were still in SendQ', lab.queues(client, server, PORT).sendQ > 5000, true)
    await lab.until('The receiver has read to the end', () => !receiver.isAlive)
    const read = receiver.output.map(({ text }) => Number(/\d+$/.exec(text)?.[0]))
    lab.check(
      'bytes that it has read',
      read.reduce((sum, bytes) => sum + bytes, 0),
      50_000,
    )
    lab.check('its last line', receiver.output.at(-1)?.text, 'recv() returned 0')
    showEndings(lab, [sender, receiver])
    lab.note('No error anywhere. That the sender meant to send 10 bytes more, nobody can know.')
    await lab.until('The connection ends as if the sender had closed it', () => lab.states(server).length === 0)
    lab.check('the client, whose FIN was first, is in', lab.states(client), ['TIME_WAIT'])
  },
}

const senderHostDies: Scenario = {
  name: 'sender-host-dies',
  group: 'F',
  title: "The sender's host loses power: the receiver waits for ever",
  description:
    "The receiver has nothing to send, so nothing of its can remain unanswered: it waits in recv(), and its connection stays ESTABLISHED, for ever. Even when the sender's host is back nobody is told. Only SO_KEEPALIVE or a time limit of the application ends that.",
  async run(lab) {
    const { client, server, sender, receiver, send } = await startTalk(lab, { sends: [1000, 10] })
    send()
    await lab.until('1000 bytes have arrived', () => lab.queues(client, server, PORT).delivered === 1000)
    await lab.quietly(() => lab.queues(client, server, PORT).sendQ === 0)
    lab.powerOff(client)
    const before = lab.segments(/./).length
    await lab.pass(7 * DAY, 'The host of the sender lost power a week ago')
    lab.check('the receiver is in', [lab.states(server), lab.waitsIn(receiver)], [['ESTABLISHED'], 'recv'])
    const started = lab.powerOn(client)
    await lab.pass(7 * DAY, 'It was started again another week ago, and remembers nothing')
    lab.check('it has', lab.states(started), [])
    lab.check('the receiver is in', [lab.states(server), lab.waitsIn(receiver)], [['ESTABLISHED'], 'recv'])
    lab.check('segments in these two weeks', lab.segments(/./).length - before, 0)
    showEndings(lab, [sender, receiver])
    lab.note('Who waits for whom: the receiver, for a program that has not existed for two weeks.')
    await lab.step('What each program knows')
  },
}

export const unpluggedEndScenarios: readonly Scenario[] = [
  receiverProcessDies,
  receiverHostDies,
  receiverHostRestarts,
  senderProcessDies,
  senderHostDies,
]
