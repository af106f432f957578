import type { Host } from '../host/host.ts'
import { AF_INET, SHUT_WR, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET } from '../socket/constants.ts'
import type { Lab } from './lab.ts'
import { acceptOne, codeOf, connectTo, listenAt, readToEnd } from './programs.ts'
import type { Scenario } from './scenario.ts'

const PORT = 80

const timeWait: Scenario = {
  name: 'time-wait',
  group: 'C',
  title: 'TIME_WAIT: what it is for, and what it costs',
  description:
    'Whoever closes first keeps the pair of endpoints for 60 seconds: to acknowledge the last FIN again if its ACK was lost, and to swallow old segments. It holds no descriptor. One client address and one server port can have 28,232 connections in 60 seconds, about 470 a second; then connect() fails with EADDRNOTAVAIL.',
  async run(lab) {
    await reAcknowledges(lab)
    await swallows(lab)
    await limits(lab)
  },
}

/** The last ACK is lost: the FIN comes again, and is acknowledged again; the 60 seconds begin anew. */
const reAcknowledges = async (lab: Lab): Promise<void> => {
  const { client, server, link } = lab.pair()
  acceptOne(lab, server, PORT, async (sys, fd) => {
    await readToEnd(sys, fd)
    await sys.sleep(1)
    sys.print(`close(${fd})`)
    await sys.close(fd)
  })
  let port = 0
  const program = lab.spawn(client, 'client', async (sys) => {
    const fd = await connectTo(sys, '10.0.0.2', PORT)
    port = sys.getsockname(fd).port
    await sys.close(fd)
  })
  await lab.until('The client has closed first', () => lab.state(client, port) === 'FIN_WAIT2')
  lab.check(
    'its program has ended, and no descriptor is held',
    [program.isAlive, client.sockets.sockets.size],
    [false, 0],
  )
  lab.lose(link.cable.aToB, /^ACK/, 1)
  lab.note('The next segment of the client, its last ACK, will be lost.')
  await lab.until("The server's FIN has arrived", () => lab.state(client, port) === 'TIME_WAIT')
  const entered = lab.network.now
  await lab.until('The FIN comes again, and the ACK arrives this time', () => lab.state(server, PORT) === '')
  const fins = lab.segments(/^FIN/).filter(({ from }) => from === 'server')
  lab.check('FINs that the server sent', fins.length, 2)
  await lab.quietly(() => lab.network.now >= entered + 59_000)
  lab.check('59 seconds after it began the client is in', lab.state(client, port), 'TIME_WAIT')
  await lab.until('60 seconds after the second FIN it is over', () => lab.state(client, port) === '')
  const second = Math.round((fins[1]?.at ?? 0) * 1000) + 10
  lab.check('TIME_WAIT lasted from then, seconds', Math.round(lab.network.now - second) / 1000, 60)
  lab.hide(client)
  lab.hide(server)
}

/**
 * A segment that was long on its way comes when the connection is over: it does no harm. TIME_WAIT can be longer, too.
 */
const swallows = async (lab: Lab): Promise<void> => {
  const client = lab.host('patient-client')
  const server = lab.host('old-server')
  const link = lab.link(client, server, { delay: 10, addresses: ['10.2.0.1/24', '10.2.0.2/24'] })
  lab.show(client, 'netstat -ant')
  client.sysctl.set('netglass.time_wait_ms', '240000')
  client.sysctl.set('net.ipv4.tcp_rfc1337', '1')
  acceptOne(lab, server, PORT, async (sys, fd) => {
    await readToEnd(sys, fd)
    await sys.send(fd, new Uint8Array(100))
    await sys.close(fd)
  })
  let port = 0
  let read = 0
  lab.spawn(client, 'client', async (sys) => {
    const fd = await connectTo(sys, '10.2.0.2', PORT)
    port = sys.getsockname(fd).port
    sys.shutdown(fd, SHUT_WR)
    read = await readToEnd(sys, fd)
    await sys.close(fd)
  })
  // The first segment with data is held up on its way; the one sent again in its place is not.
  let isHeld = false
  link.cable.bToA.filter = (frame) => {
    if (isHeld || frame.end - frame.start < 150) return 'pass'
    isHeld = true
    return 'hold'
  }
  await lab.until('All is over; one segment has been held up on its way', () => lab.state(client, port) === 'TIME_WAIT')
  const entered = lab.network.now
  lab.check('bytes that the program has read', read, 100)
  await lab.quietly(() => false, 5000)
  const before = lab.segments(/./).length
  link.cable.bToA.releaseHeld()
  lab.note(
    "TIME_WAIT acknowledges what it has had long ago. The server's host knows nothing of that any more and answers RST; with tcp_rfc1337 = 0, as Linux has it, this RST would end TIME_WAIT before its time (RFC 1337).",
  )
  await lab.pass(1000, 'Five seconds later the old segment arrives')
  const kinds = lab
    .segments(/./)
    .slice(before)
    .map(({ from, text }) => `${from}: ${text.split(' ')[0]}`)
  lab.check('what it leads to', kinds, ['patient-client: ACK', 'old-server: RST'])
  lab.check('the client is in', lab.state(client, port), 'TIME_WAIT')
  await lab.until('TIME_WAIT of four minutes, as elsewhere, is over', () => lab.state(client, port) === '')
  const lasted = Math.round((lab.network.now - entered) / 1000)
  lab.check('it lasted, seconds, from the old segment on', lasted, 245)
  lab.hide(client)
}

/** As many connections to one server port as there are local ports, each closed first by one side. */
const limits = async (lab: Lab): Promise<void> => {
  const client = lab.host('busy-client')
  const server = lab.host('busy-server')
  lab.link(client, server, { delay: 0.1, addresses: ['10.1.0.1/24', '10.1.0.2/24'] })
  lab.spawn(server, 'server', async (sys) => {
    const listener = listenAt(sys, PORT, 128)
    for (;;) {
      const fd = await sys.accept(listener)
      void sys.thread(async () => {
        await readToEnd(sys, fd)
        await sys.close(fd)
      })
    }
  })
  lab.spawn(server, 'closes-first', async (sys) => {
    const listener = listenAt(sys, PORT + 1, 128)
    for (;;) await sys.close(await sys.accept(listener))
  })
  const start = lab.network.now
  const first = await connectMany(lab, client, PORT, 30_000, false)
  const took = Math.round((lab.network.now - start) / 100) / 10
  lab.note(`All ports were used up after ${took} seconds of virtual time.`)
  await lab.quietly(() => false, 100)
  await lab.step('The client opens and closes connections as fast as it can')
  lab.check('connections before connect() failed', first.count, 28_232)
  lab.check('it failed with', first.code, 'EADDRNOTAVAIL')
  lab.check(
    'pairs of endpoints in TIME_WAIT',
    lab.states(client).filter((state) => state === 'TIME_WAIT').length,
    28_232,
  )
  lab.check('so that in 60 seconds it can have, a second', Math.floor(28_232 / 60), 470)

  client.sysctl.set('net.ipv4.tcp_tw_reuse', '1')
  await lab.quietly(() => false, 1000)
  const reused = await connectMany(lab, client, PORT, 1000, false)
  await lab.step('With tcp_tw_reuse = 1, a second later')
  lab.check('connections', [reused.count, reused.code], [1000, ''])
  client.sysctl.set('net.ipv4.tcp_tw_reuse', '2')

  const before = lab.states(client).length
  const other = await connectMany(lab, client, PORT + 1, 1000, true)
  await lab.quietly(() => false, 100)
  const waiting = lab.states(server).filter((state) => state === 'TIME_WAIT').length
  lab.note(
    `${waiting} pairs are in TIME_WAIT at the server: where the client chose a port again, its SYN took over the pair.`,
  )
  await lab.step('Where the server closes first, TIME_WAIT is on its side')
  lab.check('connections', [other.count, other.code], [1000, ''])
  lab.check('the client has no more in TIME_WAIT than before', lab.states(client).length <= before, true)
  lab.check('the server has nearly all', waiting > 950, true)
}

const connectMany = async (
  lab: Lab,
  client: Host,
  port: number,
  most: number,
  waitForServer: boolean,
): Promise<{ count: number; code: string }> => {
  const result = { count: 0, code: '' }
  const program = lab.spawn(client, 'busy', async (sys) => {
    try {
      for (; result.count < most; result.count++) {
        const fd = sys.socket(AF_INET, SOCK_STREAM)
        sys.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        await sys.connect(fd, { address: '10.1.0.2', port })
        if (waitForServer) await readToEnd(sys, fd)
        await sys.close(fd)
      }
    } catch (error) {
      result.code = codeOf(error)
    }
    sys.print(`${result.count} connections, ${result.code === '' ? 'no error' : result.code}`)
  })
  await lab.quietly(() => !program.isAlive)
  return result
}

export const timeWaitScenarios: readonly Scenario[] = [timeWait]
