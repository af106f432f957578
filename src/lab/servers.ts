import type { Host } from '../host/host.ts'
import { SERVER_DESIGNS, type ServerDesign } from '../services/echo-designs.ts'
import { dataRate, echoTester, type TesterFigures } from '../services/echo-tester.ts'
import { summarize } from '../services/statistics.ts'
import type { Lab, Pair } from './lab.ts'
import type { Scenario } from './scenario.ts'
import { table } from './table.ts'

/** Section J: seven designs of one echo service, and a tester whose clients all come at once. */

const PORT = 7
const CLIENTS = 20
const REQUESTS = 10
const SIZE = 1024
/** Milliseconds: one way through the cable, and what the server waits for before each answer. */
const DELAY = 5
const WORK = 2
const WORKERS = 4

/** Milliseconds of a request that nobody else is in the way of. */
const ALONE = 2 * DELAY + WORK

/** What a design has done with the clients. */
interface Trial {
  readonly figures: TesterFigures
  /** At most so many processes there were, and listening sockets. */
  readonly processes: number
  readonly listeners: number
  /** At most so many connections waited in accept queues, when all had connected. */
  readonly waiting: number
}

const alive = (host: Host): number => [...host.processes.values()].filter((process) => process.isAlive).length

/** Connections that wait to be accepted. */
const unaccepted = (lab: Lab, host: Host): number =>
  lab
    .snapshotOf(host)
    .sockets.reduce(
      (sum, { protocol, state, receiveQueue }) => sum + (protocol === 'tcp' && state === 'LISTEN' ? receiveQueue : 0),
      0,
    )

/** Starts a design on the server. */
const serve = async (lab: Lab, { server }: Pair, design: ServerDesign): Promise<void> => {
  lab.spawn(server, design.name, design.program({ port: PORT, work: WORK * 1000, workers: WORKERS }))
  const expected = design.name === 'reuseport' ? WORKERS : 1
  await lab.quietly(() => server.sockets.tcp.listeners.size === expected)
}

/** When it is looked how the server fares: nobody is done by then. */
const LOOK_AT = 70

/** Runs the tester against what is served. @param look called when all clients are connected */
const visit = async (lab: Lab, { client, server }: Pair, look: () => Promise<void>): Promise<Trial> => {
  const taken: { figures?: TesterFigures } = {}
  const options = { address: '10.0.0.2', port: PORT, clients: CLIENTS, requests: REQUESTS, size: SIZE }
  const listeners = server.sockets.tcp.listeners.size
  const tester = lab.spawn(
    client,
    'tester',
    echoTester(options, (figures) => {
      taken.figures = figures
    }),
  )
  await lab.network.run(LOOK_AT)
  const processes = alive(server)
  const waiting = unaccepted(lab, server)
  await look()
  await lab.quietly(() => !tester.isAlive)
  const { figures } = taken
  if (figures === undefined) throw new Error('the tester has failed')
  for (const process of [...server.processes.values()]) process.exit(0)
  return { figures, processes, listeners, waiting }
}

const milliseconds = (micros: number): string => (micros / 1000).toFixed(1)

/** A measure as the tables have it: its mean and standard deviation. */
const spread = (values: readonly number[]): string => {
  const { mean, deviation } = summarize(values)
  return `${milliseconds(mean)} ± ${milliseconds(deviation)}`
}

const HEAD = ['', 'connect, ms', 'latency, ms', 'response, ms', 'all done, ms', 'Mbit/s', 'processes', 'waiting']

const rowOf = (name: string, { figures, processes, waiting }: Trial): string[] => [
  name,
  spread(figures.connect),
  spread(figures.latency),
  spread(figures.response),
  milliseconds(Math.max(...figures.finished)),
  dataRate(figures).toFixed(2),
  String(processes),
  String(waiting),
]

/** Milliseconds, rounded: of a client's time, and the mean of all responses. */
const doneAt = ({ figures }: Trial): number => Math.round(Math.max(...figures.finished) / 1000)
const meanResponse = ({ figures }: Trial): number => Math.round(summarize(figures.response).mean / 1000)

/** What a row says of a design, and what must hold of it. */
interface Lesson {
  readonly design: string
  readonly row: string
  readonly title: string
  readonly description: string
  check(lab: Lab, trial: Trial): void
}

/** The first request of a connection, and all of them, as a server sees to one after another. */
const SESSION = WORK + (REQUESTS - 1) * ALONE + 2 * DELAY

const oneForEach = (lab: Lab, trial: Trial, what: string): void => {
  lab.check(
    `milliseconds of a request, for every client: nobody waits for another's ${what}`,
    meanResponse(trial),
    ALONE,
  )
  lab.check('milliseconds until all are done: connect, and ten requests', doneAt(trial), 2 * DELAY + REQUESTS * ALONE)
  lab.check('connections that wait to be accepted', trial.waiting, 0)
}

const inTurns = (lab: Lab, trial: Trial): void => {
  lab.check('processes', trial.processes, 1)
  lab.check('connections that wait to be accepted', trial.waiting, 0)
  const { least, most } = summarize(trial.figures.latency)
  lab.check(
    'milliseconds until the first client, and the last, has its first answer: all twenty come in turn',
    [least, most].map((micros) => Math.round(micros / 1000)),
    [ALONE, 2 * DELAY + CLIENTS * WORK],
  )
  lab.check(
    'milliseconds until all are done: the server has waited for its disk all the time',
    doneAt(trial),
    2 * (2 * DELAY) + CLIENTS * REQUESTS * WORK,
  )
}

const LESSONS: readonly Lesson[] = [
  {
    design: 'iterative',
    row: 'server-iterative',
    title: 'One connection after another: the others are connected, and wait',
    description:
      'Twenty clients come at once; each sends ten requests, and the server waits two milliseconds (as for a disk) before each answer. connect() takes no longer for the last client than for the first, for the kernel of the server sees to that; but its first answer comes when the nineteen before it have closed.',
    check(lab, trial) {
      const { connect, latency } = trial.figures
      lab.check('the longest connect(), milliseconds', Math.round(summarize(connect).most / 1000), 2 * DELAY)
      lab.check('connections that wait to be accepted, while one is served', trial.waiting, CLIENTS - 1)
      lab.check("the first client's first answer, milliseconds", Math.round(summarize(latency).least / 1000), ALONE)
      lab.check(
        "the last client's first answer, milliseconds: the nineteen others are served before",
        Math.round(summarize(latency).most / 1000),
        ALONE + (CLIENTS - 1) * SESSION,
      )
      lab.check('processes', trial.processes, 1)
    },
  },
  {
    design: 'fork',
    row: 'server-fork',
    title: 'fork() for each connection: nobody waits for another',
    description:
      'The parent accepts, forks and closes its copy of the descriptor; the child serves one connection and ends. Twenty clients are twenty-one processes, and a child that waits two milliseconds for its disk keeps nobody waiting.',
    check(lab, trial) {
      lab.check('processes: the parent and a child for each connection', trial.processes, CLIENTS + 1)
      oneForEach(lab, trial, 'process')
    },
  },
  {
    design: 'prefork',
    row: 'server-prefork',
    title: 'Four processes, forked beforehand: four are served, sixteen wait',
    description:
      'Four processes wait in accept() on one socket. No client pays for a fork(), and no more than four are served at once: the others stay in the accept queue until somebody closes, five rounds in all.',
    check(lab, trial) {
      lab.check('processes', trial.processes, WORKERS)
      lab.check('connections that wait to be accepted', trial.waiting, CLIENTS - WORKERS)
      lab.check(
        'milliseconds until all are done: five rounds',
        doneAt(trial),
        2 * DELAY + (CLIENTS / WORKERS) * SESSION,
      )
    },
  },
  {
    design: 'thread',
    row: 'server-thread',
    title: 'A thread for each connection: one process, and nobody waits',
    description:
      'Threads share the descriptors, so that nothing is to be closed twice and nothing is inherited; a thread that waits for its disk keeps nobody waiting, as a process would not.',
    check(lab, trial) {
      lab.check('processes', trial.processes, 1)
      oneForEach(lab, trial, 'thread')
    },
  },
  {
    design: 'select',
    row: 'server-select',
    title: 'select(): one process for all, and whoever makes it wait makes everybody wait',
    description:
      'One process, one thread: select() tells which connections have something, and they are seen to one after another. All twenty are connected and served at once, in turns: a request takes as long as one of everybody does, for the server waits for its disk within the loop.',
    check: inTurns,
  },
  {
    design: 'epoll',
    row: 'server-epoll',
    title: 'epoll: the same in turns, without asking for all each time',
    description:
      'As with select(), one thread sees to all connections; but the kernel keeps the list of what is watched, and tells only what is ready: the work of a wake-up grows with what has happened, not with how many are connected. What blocks within the loop blocks everybody all the same.',
    check: inTurns,
  },
  {
    design: 'reuseport',
    row: 'server-reuseport',
    title: 'SO_REUSEPORT: four listeners, four loops, shares by a hash',
    description:
      'Four processes have a listener of their own on one port. A hash of addresses and ports gives each connection to one of them; each serves its share in turns. Nobody waits in an accept queue, and the more clients a process was given, the longer each of them waits.',
    check(lab, trial) {
      lab.check('listening sockets', trial.listeners, WORKERS)
      lab.check('connections that wait to be accepted', trial.waiting, 0)
      lab.check(
        'milliseconds of a request: more than alone, less than when one process has all',
        meanResponse(trial) >= ALONE && meanResponse(trial) < CLIENTS * WORK,
        true,
      )
    },
  },
]

const designNamed = (name: string): ServerDesign => SERVER_DESIGNS.find((design) => design.name === name)!

const rows = LESSONS.map(
  ({ design, row, title, description, check }): Scenario => ({
    name: row,
    group: 'J',
    title,
    description,
    async run(lab) {
      const pair = lab.pair({ delay: DELAY })
      lab.hide(pair.client)
      lab.hide(pair.server)
      lab.show(pair.server, 'netstat -antp')
      await serve(lab, pair, designNamed(design))
      const trial = await visit(lab, pair, () => lab.step('Twenty clients have come, and have asked'))
      lab.hide(pair.server)
      lab.figure('What the clients measured: mean ± standard deviation', table([HEAD, rowOf(design, trial)]))
      await lab.step('All are done')
      check(lab, trial)
    },
  }),
)

const all: Scenario = {
  name: 'servers',
  group: 'J',
  title: 'Seven designs of one service, measured by the same twenty clients',
  description:
    'connect() takes the same time everywhere, for the kernel answers a SYN, whatever the program does. What the designs differ in is who waits for whom: for the client before it (iterative, preforked), for everybody (select, epoll, SO_REUSEPORT when the loop blocks), for nobody (a process or a thread for each). `netglass bench servers` measures the same without a disk, in real time, beside the kernel.',
  async run(lab) {
    const lines = [HEAD]
    const done = new Map<string, number>()
    const connects: number[] = []
    for (const design of SERVER_DESIGNS) {
      const pair = visitors(lab, design.name)
      await serve(lab, pair, design)
      const trial = await visit(lab, pair, async () => {})
      lines.push(rowOf(design.name, trial))
      done.set(design.name, doneAt(trial))
      connects.push(Math.round(summarize(trial.figures.connect).mean / 1000))
    }
    lab.figure('What the clients measured: mean ± standard deviation', table(lines))
    await lab.step('Seven servers later')
    lab.check(
      'milliseconds of connect(), of each design',
      connects,
      SERVER_DESIGNS.map(() => 2 * DELAY),
    )
    const order = [...done.entries()].sort((a, b) => a[1] - b[1]).map(([name]) => name)
    lab.check('the first two to be done', order.slice(0, 2).sort(), ['fork', 'thread'])
    lab.check('the last two', order.slice(-2), ['prefork', 'iterative'])
    lab.check('select and epoll take the same', done.get('select'), done.get('epoll'))
  },
}

/**
 * A pair of hosts of their own for each design: what is left of the connections of one is not in the way of the next.
 */
const visitors = (lab: Lab, name: string): Pair => {
  const client = lab.host(`client-${name}`)
  const server = lab.host(`server-${name}`)
  const link = lab.link(client, server, { delay: DELAY, addresses: ['10.0.0.1/24', '10.0.0.2/24'] })
  return { client, server, link }
}

export const serverScenarios: readonly Scenario[] = [...rows, all]
