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

export const closingScenarios: readonly Scenario[] = [closeFirst, closeSecond, closeTogether]
