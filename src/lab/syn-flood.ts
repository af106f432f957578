import type { Host } from '../host/host.ts'
import { AF_INET, IPPROTO_RAW, SOCK_RAW } from '../socket/constants.ts'
import { ip } from '../wire/address.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { forgeSegment } from './forge.ts'
import type { Lab } from './lab.ts'
import { codeOf, connectTo, listenAt } from './programs.ts'
import type { Scenario } from './scenario.ts'
import { table } from './table.ts'

const PORT = 80
const BACKLOG = 128
/** Half-open connections that there is room for. */
const ROOM = BACKLOG + 1
/** SYNs a second, and the milliseconds that the flood lasts. */
const RATE = 100_000
const LENGTH = 400
/** The client's round trip, milliseconds, and how many connections it tries while the flood lasts. */
const ROUND_TRIP = 20
const ATTEMPTS = 10

/** What became of a flood. */
interface Outcome {
  /** How long each connect(2) of the client took, milliseconds. */
  readonly times: number[]
  /** The most structures that the server had for pairs of endpoints, and the most half-open connections. */
  readonly mostPairs: number
  readonly mostHalfOpen: number
}

const synFlood: Scenario = {
  name: 'syn-flood',
  group: 'C',
  title: '100,000 forged SYNs a second: SYN cookies',
  description:
    'A SYN from an address that is not there takes a place in the queue of half-open connections until it times out. Forged SYNs fill the queue in a moment, and real clients find no room. With SYN cookies the server then keeps nothing: its sequence number says what it would have kept, and the ACK brings it back (RFC 4987). What does not fit into it, SACK and window scale, returns in the echo of its time stamp. Real clients connect as if nothing were.',
  async run(lab) {
    const rows = [['SYN cookies', 'connected in', 'half-open', 'pairs of endpoints']]
    const describe = (how: string, { times, mostHalfOpen, mostPairs }: Outcome): void => {
      const worst = Math.max(...times)
      rows.push([how, `${Math.min(...times)} to ${worst} ms`, String(mostHalfOpen), String(mostPairs)])
    }
    const without = await flood(lab, 0, 0)
    describe('never (0)', without)
    const cookies = await flood(lab, 1, 1)
    describe('when the queue is full (1)', cookies)
    const always = await flood(lab, 2, 2)
    describe('always (2)', always)
    lab.figure(
      `${RATE} forged SYNs a second against a backlog of ${BACKLOG}; a client connects ${ATTEMPTS} times, a round trip is ${ROUND_TRIP} ms`,
      table(rows),
    )
    await lab.step('Side by side')
    lab.check('without cookies no connection in less than a second', Math.min(...without.times) >= 1000, true)
    lab.check('the queue was full', without.mostHalfOpen, ROOM)
    lab.check('with cookies, the longest connect(), ms', Math.max(...cookies.times), ROUND_TRIP)
    lab.check('half-open connections at the most', cookies.mostHalfOpen, ROOM)
    lab.check('always with cookies, the longest connect(), ms', Math.max(...always.times), ROUND_TRIP)
    lab.check('and nothing half-open at all', always.mostHalfOpen, 0)
    const most = ATTEMPTS + 1
    lab.check('the server keeps the queue and the connections', cookies.mostPairs <= ROOM + most, true)
    lab.check('or the connections only', always.mostPairs <= most, true)
  },
}

/** One flood against a new server. @param index tells its networks from those of the others */
const flood = async (lab: Lab, mode: number, index: number): Promise<Outcome> => {
  const sysctl = { 'net.ipv4.tcp_syncookies': mode, 'net.core.somaxconn': 1024 }
  const server = lab.host(`server-${index}`, { sysctl })
  const client = lab.host(`client-${index}`)
  const attacker = lab.host(`attacker-${index}`)
  const delay = ROUND_TRIP / 2
  lab.link(client, server, { delay, addresses: [`10.${index}.0.1/24`, `10.${index}.0.2/24`] })
  lab.link(attacker, server, { delay: 1, addresses: [`10.6${index}.0.1/24`, `10.6${index}.0.2/24`] })
  // Answers to addresses that nobody has go back where the SYNs come from, and nobody takes them.
  server.ip.routes.add({ prefix: { address: ip('172.16.0.0'), length: 12 }, gateway: ip(`10.6${index}.0.1`) })
  attacker.ip.routes.add({ prefix: { address: ip('0.0.0.0'), length: 0 }, gateway: ip(`10.6${index}.0.2`) })
  lab.spawn(server, 'server', async (sys) => {
    const listener = listenAt(sys, PORT, BACKLOG)
    for (;;) await sys.accept(listener)
  })
  // The neighbours know each other when it begins.
  await connectMany(lab, client, `10.${index}.0.2`, 1)
  attack(lab, attacker, `10.6${index}.0.2`)
  const watched = watch(lab, server)
  await lab.quietly(() => false, LENGTH / 4)
  const times = await connectMany(lab, client, `10.${index}.0.2`, ATTEMPTS)
  await lab.quietly(() => false, LENGTH)
  lab.show(
    server,
    'nstat -az TcpExtTCPReqQFullDrop TcpExtTCPReqQFullDoCookies TcpExtSyncookiesSent TcpExtSyncookiesRecv',
  )
  await lab.step(`tcp_syncookies = ${mode}: ${(RATE * LENGTH) / 1000} forged SYNs, and a client`)
  for (const host of [server, client, attacker]) lab.hide(host)
  return { times, ...watched }
}

/** Sends forged SYNs, each from another address and port. */
const attack = (lab: Lab, attacker: Host, to: string): void => {
  const { random } = lab.network
  lab.spawn(attacker, 'attacker', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_RAW, IPPROTO_RAW)
    for (let sent = 0; sent < (RATE * LENGTH) / 1000; sent++) {
      const packet = forgeSegment({
        from: `172.${16 + random.below(16)}.${random.below(256)}.${random.below(256)}`,
        to,
        sourcePort: 1024 + random.below(60_000),
        destinationPort: PORT,
        flags: TcpFlag.Syn,
        seq: random.next32(),
      })
      await sys.sendto(fd, packet, packet.length, 0, { address: to })
      if (sent % 100 === 99) await sys.usleep((100 * 1e6) / RATE)
    }
  })
}

/** Looks every millisecond how much the server keeps. */
const watch = (lab: Lab, server: Host): { mostPairs: number; mostHalfOpen: number } => {
  const seen = { mostPairs: 0, mostHalfOpen: 0 }
  lab.spawn(server, 'watcher', async (sys) => {
    for (let i = 0; i < LENGTH; i++) {
      const [claim] = server.sockets.tcp.listeners.all()
      seen.mostPairs = Math.max(seen.mostPairs, server.sockets.tcp.table.size)
      seen.mostHalfOpen = Math.max(seen.mostHalfOpen, claim?.listener.requests ?? 0)
      await sys.usleep(1000)
    }
  })
  return seen
}

/** Connects so many times at once, 10 ms apart. @returns how long each took, milliseconds */
const connectMany = async (lab: Lab, client: Host, address: string, count: number): Promise<number[]> => {
  const times: number[] = []
  const program = lab.spawn(client, 'client', async (sys) => {
    await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        await sys.sleep(i / 100)
        const began = sys.now
        try {
          await connectTo(sys, address, PORT)
          times.push(Math.round((sys.now - began) / 1000))
        } catch (error) {
          sys.print(`connect(): ${codeOf(error)}`)
        }
      }),
    )
  })
  await lab.quietly(() => !program.isAlive)
  return times
}

export const synFloodScenarios: readonly Scenario[] = [synFlood]
