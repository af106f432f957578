import { MSG_NOSIGNAL, SHUT_RD, SHUT_RDWR, SHUT_WR } from '../socket/constants.ts'
import type { Lab, Pair } from './lab.ts'
import { acceptOne, connectTo, listenAt, outcome, readToEnd } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Section C: shutdown(), in all its kinds. */

const PORT = 80

const halfClose: Scenario = {
  name: 'half-close',
  group: 'C',
  title: 'shutdown(): one direction ends, the other goes on',
  description:
    'shutdown(SHUT_WR) sends a FIN and keeps the socket: the peer reads the rest and then 0, and can go on sending for as long as it likes. SHUT_RD sends nothing: who waits in recv() gets 0, and so does every recv() that finds no data. SHUT_RDWR is both. A listener that is shut listens no more, and who waits in accept() is told.',
  async run(lab) {
    const pair = lab.pair()
    await sendingSide(lab, pair)
    await receivingSide(lab, pair)
    await bothSides(lab, pair)
    await listener(lab, pair)
  },
}

/** SHUT_WR: a question and its answer. */
const sendingSide = async (lab: Lab, { client, server }: Pair): Promise<void> => {
  lab.watchQueues(client, server, PORT)
  let asked = 0
  let answered = 0
  const answers = lab.gate()
  acceptOne(lab, server, PORT, async (sys, fd) => {
    asked = await readToEnd(sys, fd)
    sys.print(`recv() returned 0 after ${asked} bytes: the question is complete`)
    await answers.wait(sys)
    await lab.send(sys, fd, 5000)
    sys.print('send() took 5000 bytes')
    await sys.close(fd)
  })
  let port = 0
  const program = lab.spawn(client, 'client', async (sys) => {
    const fd = await connectTo(sys, '10.0.0.2', PORT)
    port = sys.getsockname(fd).port
    await lab.send(sys, fd, 1000)
    sys.shutdown(fd, SHUT_WR)
    sys.print('send() took 1000 bytes; shutdown(SHUT_WR)')
    answered = await readToEnd(sys, fd)
    sys.print(`recv() returned 0 after ${answered} bytes: the answer is complete`)
    await sys.close(fd)
  })
  await lab.until('The client has shut its sending side', () => lab.state(client, port) === 'FIN_WAIT1')
  await lab.until('The server has read all of it, and the end', () => asked > 0)
  lab.check('the server has read', asked, 1000)
  lab.check('the server is in', lab.state(server, PORT), 'CLOSE_WAIT')
  await lab.until('The FIN is acknowledged', () => lab.state(client, port) === 'FIN_WAIT2')
  answers.open()
  await lab.until('The server answers and closes', () => lab.state(server, PORT) === 'LAST_ACK')
  await lab.until('The client has the whole answer', () => !program.isAlive)
  lab.check('the client has read', answered, 5000)
  lab.check('the client is in', lab.state(client, port), 'TIME_WAIT')
}

/** A client that waits in recv() while another thread of it calls shutdown(), and what each is told. */
const shutUnderRecv = async (lab: Lab, { client, server }: Pair, how: number, port: number) => {
  const told = { recv: -1, again: '' as string | number, send: '' as string | number, peer: -1, localPort: 0 }
  const talks = lab.gate()
  const shuts = lab.gate()
  acceptOne(lab, server, port, async (sys, fd) => {
    await talks.wait(sys)
    // Data for somebody who has said that he does not want to read.
    if (how === SHUT_RD) await sys.send(fd, 'late')
    told.peer = await readToEnd(sys, fd)
    sys.print(`recv() returned 0 after ${told.peer} bytes`)
    await sys.close(fd)
  })
  const program = lab.spawn(client, 'client', async (sys) => {
    const fd = await connectTo(sys, '10.0.0.2', port)
    told.localPort = sys.getsockname(fd).port
    const waiting = sys.recv(fd, new Uint8Array(10))
    await shuts.wait(sys)
    sys.shutdown(fd, how)
    told.recv = await waiting
    sys.print(`recv(), which waited, returned ${told.recv}`)
    await sys.sleep(1)
    told.again = await outcome(() => sys.recv(fd, new Uint8Array(10)))
    told.send = await outcome(() => sys.send(fd, 'hello', 5, MSG_NOSIGNAL))
    sys.print(`a second later recv() returns ${told.again}, send() ${told.send}`)
    await sys.close(fd)
  })
  await lab.quietly(() => lab.state(server, port) === 'ESTABLISHED')
  lab.check('the client waits in', lab.waitsIn(program).split(',')[0], 'recv')
  shuts.open()
  return { told, program, talks }
}

/** SHUT_RD: nothing is sent, and what comes is taken in all the same. */
const receivingSide = async (lab: Lab, pair: Pair): Promise<void> => {
  const before = lab.segments(/FIN/).length
  const { told, program, talks } = await shutUnderRecv(lab, pair, SHUT_RD, PORT + 1)
  await lab.until('shutdown(SHUT_RD) under a call that waits', () => told.recv >= 0)
  lab.check('recv(), which waited, returned', told.recv, 0)
  lab.check('FINs that this sent', lab.segments(/FIN/).length - before, 0)
  lab.check('the connection is in', lab.state(pair.client, told.localPort), 'ESTABLISHED')
  talks.open()
  await lab.until('The peer was not told, and sends; the client reads, sends and closes', () => !program.isAlive)
  lab.check('recv() of data that came afterwards, and send()', [told.again, told.send], [4, 5])
  await lab.quietly(() => told.peer >= 0)
  lab.check('the peer has read', told.peer, 5)
}

/** SHUT_RDWR: both at once. */
const bothSides = async (lab: Lab, pair: Pair): Promise<void> => {
  const { told, program, talks } = await shutUnderRecv(lab, pair, SHUT_RDWR, PORT + 2)
  talks.open()
  await lab.until('shutdown(SHUT_RDWR) under a call that waits', () => !program.isAlive)
  lab.check('recv(), which waited, returned', told.recv, 0)
  lab.check('later recv() and send()', [told.again, told.send], [0, 'EPIPE'])
  lab.check('the peer has read', told.peer, 0)
}

/** A listener that is shut wakes who waits in accept(), and refuses. */
const listener = async (lab: Lab, { client, server }: Pair): Promise<void> => {
  let accepted: string | number = ''
  const shuts = lab.gate()
  const program = lab.spawn(server, 'listener', async (sys) => {
    const fd = listenAt(sys, PORT + 3)
    const waiting = outcome(() => sys.accept(fd))
    await shuts.wait(sys)
    sys.shutdown(fd, SHUT_RD)
    accepted = await waiting
    sys.print(`accept(), which waited, failed with ${accepted}`)
    await sys.sleep(60)
  })
  await lab.quietly(() => lab.waitsIn(program) === 'accept')
  shuts.open()
  await lab.until('shutdown() of a listener', () => accepted !== '')
  lab.check('accept(), which waited, failed with', accepted, 'EINVAL')
  let refused: string | number = ''
  lab.spawn(client, 'late-client', async (sys) => {
    refused = await outcome(() => connectTo(sys, '10.0.0.2', PORT + 3))
    sys.print(`connect() failed with ${refused}`)
  })
  await lab.until('A client comes all the same', () => refused !== '')
  lab.check('connect() failed with', refused, 'ECONNREFUSED')
}

export const halfCloseScenarios: readonly Scenario[] = [halfClose]
