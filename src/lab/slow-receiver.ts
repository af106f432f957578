import type { Host } from '../host/host.ts'
import type { Process } from '../host/process.ts'
import {
  AF_INET,
  MSG_DONTWAIT,
  MSG_WAITALL,
  SO_LINGER,
  SO_RCVBUF,
  SO_SNDBUF,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../socket/constants.ts'
import type { Lab } from './lab.ts'
import { listenAt, outcome } from './programs.ts'
import type { Scenario } from './scenario.ts'
import { table } from './table.ts'

const PORT = 9000
/** Bytes of a message, messages a second, and bytes that each queue holds. */
const MESSAGE = 100
const RATE = 50
const QUEUE = 2000
/** Messages that the server keeps for a client before it does something about it. */
const LIMIT = 100
const SECONDS = 60

/** What the server does for its clients, and what came of it. */
interface Service {
  readonly clients: readonly Process[]
  readonly server: Process
  readonly host: Host
  /** Messages that each client has read. */
  readonly read: number[]
  /** Messages that the server keeps for each client, and has thrown away. */
  readonly kept: number[]
  readonly dropped: number[]
  /** Clients that the server has closed, by number. */
  readonly closed: number[]
}

const slowReceiver: Scenario = {
  name: 'slow-receiver',
  group: 'D',
  title: 'One server, three clients, one of them slow: who starves',
  description:
    'The server sends each client a message of 100 bytes 50 times a second. Two clients read as fast as it comes, the third one message a second. With blocking sends in a loop the server waits for the slow client, and the fast ones starve. With non-blocking sends and a queue of its own for each client they do not; then it has to decide what to do when the slow one has 100 messages outstanding: throw messages away, or the client.',
  async run(lab) {
    const blocking = await serve(lab, 0, 'block')
    lab.note(
      'Who starves: fast-1 and fast-2. They read all that comes and get no more than the slow client takes: one message a second, once the queues of the slow one are full.',
    )
    await lab.step('Blocking sends: a minute')
    lab.check('the server waits in', lab.waitsIn(blocking.server).split(',')[0], 'send')
    const most = (2 * QUEUE) / MESSAGE + SECONDS + 1
    lab.check(
      `messages of the fast clients, at most ${most}`,
      blocking.read[0]! <= most && blocking.read[1]! <= most,
      true,
    )
    lab.check('both fast ones got the same', blocking.read[0], blocking.read[1])
    lab.check('and not one more than the slow one and its queues', blocking.read[0]! - blocking.read[2]! <= 42, true)
    lab.leave(...hostsOf(blocking))

    const drops = await serve(lab, 1, 'drop')
    lab.note(
      'Nobody starves. The slow client gets old messages, and not all of them: the server counts what it threw away.',
    )
    await lab.step('Non-blocking sends; beyond 100 messages for a client the newest are thrown away')
    const sent = SECONDS * RATE
    lab.check('messages that the fast clients have read', drops.read.slice(0, 2), [sent, sent])
    lab.check('kept for the slow one: the limit that the server chose', drops.kept, [0, 0, LIMIT])
    lab.check('messages that the slow one has read', drops.read[2], SECONDS)
    lab.check(
      'messages thrown away, all of the slow one',
      drops.dropped.map((count) => count > 2000),
      [false, false, true],
    )
    lab.check('clients thrown away', drops.closed, [])
    lab.leave(...hostsOf(drops))

    const closes = await serve(lab, 2, 'close')
    lab.note('Nobody starves, and the slow client knows: its next recv() says ECONNRESET.')
    await lab.step('Non-blocking sends; a client for which 100 messages are kept is thrown out')
    lab.check('messages that the fast clients have read', closes.read.slice(0, 2), [sent, sent])
    lab.check('messages thrown away one by one', closes.dropped, [0, 0, 0])
    lab.check('clients thrown away', closes.closed, [2])
    await lab.until('The slow client has read what had arrived', () => !closes.clients[2]!.isAlive)
    lab.check('the last line of the slow one', closes.clients[2]!.output.at(-1)?.text, 'recv(): ECONNRESET')
  },
}

const hostsOf = ({ host, clients }: Service): Host[] => [host, ...clients.map((client) => client.host)]

/** Runs the service for a minute, and shows it. */
const serve = async (lab: Lab, index: number, policy: 'block' | 'drop' | 'close'): Promise<Service> => {
  const host = lab.host(`server-${index}`)
  const clients = ['fast-1', 'fast-2', 'slow'].map((name) => lab.host(`${name}-${index}`))
  lab.countDataOnly(host, ...clients)
  clients.forEach((client, i) => {
    lab.link(client, host, { delay: 5, addresses: [`10.${index}.${i}.2/24`, `10.${index}.${i}.1/24`] })
  })
  const read = [0, 0, 0]
  const state = { read, kept: [0, 0, 0], dropped: [0, 0, 0], closed: [] as number[] }
  const server = lab.spawn(host, 'server', async (sys) => {
    const listener = listenAt(sys, PORT)
    sys.setsockopt(listener, SOL_SOCKET, SO_SNDBUF, QUEUE)
    const fds: number[] = []
    while (fds.length < 3) fds.push(await sys.accept(listener))
    const message = new Uint8Array(MESSAGE)
    /** Bytes to go to each client. */
    const pending = [0, 0, 0]
    for (let sent = 0; sent < SECONDS * RATE; sent++) {
      for (const [client, fd] of fds.entries()) {
        if (policy === 'block') await sys.send(fd, message)
        else if (!state.closed.includes(client)) pending[client]! += MESSAGE
      }
      if (policy !== 'block') await flush()
      await sys.usleep(1e6 / RATE)
    }
    await sys.sleep(3600)

    /** Sends what is kept, as far as there is room, and sees to those who have too much. */
    async function flush(): Promise<void> {
      for (const [client, fd] of fds.entries()) {
        while (pending[client]! > 0) {
          // What is left of a message comes first: a stream has no place for half of one.
          const taken = await outcome(() => sys.send(fd, message, pending[client]! % MESSAGE || MESSAGE, MSG_DONTWAIT))
          if (typeof taken === 'string') break
          pending[client]! -= taken
        }
        state.kept[client] = Math.ceil(pending[client]! / MESSAGE)
        if (state.kept[client]! <= LIMIT) continue
        if (policy === 'drop') {
          state.dropped[client]! += state.kept[client]! - LIMIT
          pending[client]! -= (state.kept[client]! - LIMIT) * MESSAGE
          state.kept[client] = LIMIT
          continue
        }
        pending[client] = 0
        state.kept[client] = 0
        state.closed.push(client)
        sys.setsockopt(fd, SOL_SOCKET, SO_LINGER, { l_onoff: 1, l_linger: 0 })
        await sys.close(fd)
        sys.print(`client ${client} is too slow: closed`)
      }
    }
  })
  await lab.quietly(() => host.sockets.tcp.listeners.size === 1)
  const readers: Process[] = []
  for (const [client, at] of clients.entries()) {
    readers.push(
      lab.spawn(at, at.name.replace(/-\d$/, ''), async (sys) => {
        const fd = sys.socket(AF_INET, SOCK_STREAM)
        sys.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, QUEUE)
        await sys.connect(fd, { address: `10.${index}.${client}.1`, port: PORT })
        const buffer = new Uint8Array(MESSAGE)
        for (;;) {
          const count = await outcome(() => sys.recv(fd, buffer, MESSAGE, MSG_WAITALL))
          if (count !== MESSAGE) {
            sys.print(`recv(): ${count}`)
            if (typeof count === 'string' || count === 0) return
            continue
          }
          read[client]!++
          if (client === 2) await sys.sleep(1)
        }
      }),
    )
    await lab.quietly(() => lab.states(at).includes('ESTABLISHED'))
  }
  await lab.quietly(() => false, SECONDS * 1000)
  const rows = readers.map((reader, client) => [
    reader.name,
    String(read[client]),
    String(lab.queues(host, reader.host, PORT).sendQ),
    String(lab.queues(host, reader.host, PORT).recvQ),
    String(state.kept[client]),
    String(state.dropped[client]),
    state.closed.includes(client) ? 'closed by the server' : lab.waitsIn(reader),
  ])
  const heads = ['client', 'messages read', 'SendQ', 'RecvQ', 'kept by the server', 'thrown away', 'now']
  lab.figure(`After ${SECONDS} seconds and ${SECONDS * RATE} messages`, table([heads, ...rows]))
  return { ...state, clients: readers, server, host }
}

export const slowReceiverScenarios: readonly Scenario[] = [slowReceiver]
