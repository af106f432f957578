import { SHUT_WR } from '../socket/constants.ts'
import type { Lab } from './lab.ts'
import { acceptOne, closeAt, connectTo, readToEnd } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Section C, the end: who closes first, and what stays behind. */

const PORT = 80

/** A connection between two programs that close when they are told to. */
const connected = async (lab: Lab, serverReads = true) => {
  const { client, server, link } = lab.pair()
  const clientCloses = lab.gate()
  const serverCloses = lab.gate()
  acceptOne(lab, server, PORT, async (sys, fd) => {
    if (serverReads) sys.print(`recv() returned 0 after ${await readToEnd(sys, fd)} bytes`)
    await closeAt(sys, fd, serverCloses)
  })
  let port = 0
  lab.spawn(client, 'client', async (sys) => {
    const fd = await connectTo(sys, '10.0.0.2', PORT)
    port = sys.getsockname(fd).port
    await closeAt(sys, fd, clientCloses)
  })
  await lab.quietly(() => lab.state(server, PORT) === 'ESTABLISHED')
  await lab.step('The connection stands')
  return {
    client,
    server,
    link,
    clientCloses,
    serverCloses,
    clientState: () => lab.state(client, port),
    serverState: () => lab.state(server, PORT),
  }
}

const closeFirst: Scenario = {
  name: 'close-first',
  group: 'C',
  title: 'The one who closes first: FIN_WAIT_1, FIN_WAIT_2, TIME_WAIT',
  description:
    'close() sends a FIN: FIN_WAIT_1. Its ACK leads to FIN_WAIT_2, however long the other side takes. The other FIN leads to TIME_WAIT, and after 60 seconds nothing is left.',
  async run(lab) {
    const { client, clientCloses, serverCloses, clientState, serverState } = await connected(lab)
    clientCloses.open()
    await lab.until('The client has closed; its FIN is on its way', () => clientState() === 'FIN_WAIT1')
    await lab.until('The FIN has arrived, and the server knows', () => serverState() === 'CLOSE_WAIT')
    await lab.until('The FIN is acknowledged', () => clientState() === 'FIN_WAIT2')
    serverCloses.open()
    await lab.until('The server closes too', () => serverState() === 'LAST_ACK')
    await lab.until('Its FIN has arrived', () => clientState() === 'TIME_WAIT')
    const since = lab.network.now
    await lab.until('The last ACK has arrived; the server has forgotten it all', () => serverState() === '')
    lab.check('the client waits in', clientState(), 'TIME_WAIT')
    await lab.until('60 seconds later', () => clientState() === '')
    lab.check('TIME_WAIT lasted, seconds', (lab.network.now - since) / 1000, 60)
    lab.check('nothing is left in the table of the client', lab.states(client), [])
  },
}

const closeSecond: Scenario = {
  name: 'close-second',
  group: 'C',
  title: 'The one who closes second: CLOSE_WAIT, LAST_ACK',
  description:
    'The FIN of the other side leads to CLOSE_WAIT, where the connection stays until the application closes, however long that takes. Then its own FIN: LAST_ACK, and with the ACK it is gone, without TIME_WAIT.',
  async run(lab) {
    const { server, clientCloses, serverCloses, serverState } = await connected(lab)
    clientCloses.open()
    await lab.until("The client's FIN has arrived", () => serverState() === 'CLOSE_WAIT')
    await lab.pass(24 * 3600 * 1000, 'A day later: the application has not closed')
    lab.check('the server is in', serverState(), 'CLOSE_WAIT')
    lab.note("The client's side is long gone: an orphan in FIN_WAIT_2 is given up after tcp_fin_timeout.")
    serverCloses.open()
    await lab.until('The application closes', () => serverState() === 'LAST_ACK' || serverState() === '')
    await lab.pass(1000, 'A moment later')
    lab.check('nothing is left, and there is no TIME_WAIT', lab.states(server), [])
  },
}

const closeTogether: Scenario = {
  name: 'close-together',
  group: 'C',
  title: 'FINs that cross: CLOSING on both sides',
  description:
    'Both applications close before either FIN has arrived: FIN_WAIT_1 on both sides, and a FIN that comes before the ACK leads to CLOSING. The ACK leads to TIME_WAIT, on both sides.',
  async run(lab) {
    const { clientCloses, serverCloses, clientState, serverState } = await connected(lab, false)
    await lab.quietly(() => false, 100)
    clientCloses.open()
    serverCloses.open()
    await lab.until(
      'Both have closed; the FINs are on their way',
      () => clientState() === 'FIN_WAIT1' && serverState() === 'FIN_WAIT1',
    )
    await lab.until('The FINs have arrived', () => clientState() === 'CLOSING' && serverState() === 'CLOSING')
    await lab.until('So have the ACKs', () => clientState() === 'TIME_WAIT' && serverState() === 'TIME_WAIT')
    const since = lab.network.now
    lab.check('both are in', [clientState(), serverState()], ['TIME_WAIT', 'TIME_WAIT'])
    await lab.until('60 seconds later', () => clientState() === '' && serverState() === '')
    lab.check('TIME_WAIT lasted, seconds', Math.round((lab.network.now - since) / 1000), 60)
    lab.check(
      'segments after the handshake',
      lab
        .segments(/./)
        .slice(3)
        .map(({ text }) => text.split(' ')[0]),
      ['FIN+ACK', 'FIN+ACK', 'ACK', 'ACK'],
    )
  },
}

const halfClose: Scenario = {
  name: 'half-close',
  group: 'C',
  title: 'shutdown(): one direction ends, the other goes on',
  description:
    'shutdown(SHUT_WR) sends a FIN and keeps the socket: the peer reads the rest and then 0, and can go on sending for as long as it likes.',
  async run(lab) {
    const { client, server } = lab.pair()
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
  },
}

export const closingScenarios: readonly Scenario[] = [closeFirst, closeSecond, closeTogether, halfClose]
