import { execFile } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { ALL_FAST_PATHS, type FastPath, type FastPaths } from '../../core/fast-paths.ts'
import type { World } from '../../core/world.ts'
import { Host } from '../../host/host.ts'
import { Cable } from '../../link/cable.ts'
import { RealTimeDriver } from '../../node/realtime.ts'
import type { Socket } from '../../socket/socket.ts'
import { accepted, listening, PORT, settle } from './direct.ts'
import { byteServer, ended, fetchBytes, stackBytes } from './ours.ts'
import { benchWorld } from './pair.ts'
import { Peers } from './peers.ts'
import { collectGarbage } from './settle.ts'

/**
 * A server with very many connections, whose clients are no hosts: what it costs to have them, and to set one more up. That is
 * measured twice: all that programs at both ends do for one, and what the server's stack alone does.
 */

/** Connections open while what one costs is measured before there is a crowd, and after. */
const FEW = 10
/** What V8 is to have compiled everything with; and rounds so long that several scavenges fall into each, of which the median counts. */
const WARM_UP = 50_000
const SAMPLE = 100_000
const ROUNDS = 9
/** The same of connections between programs, each of which takes three times as long. */
const CALLS_SAMPLE = 40_000
/** Where the programs' client finds the server: on a link of its own. */
const SERVER = '192.0.2.1'
const CALLS_PORT = PORT + 1

/**
 * How Node is to be started for a server with a million connections: for each scavenge V8 goes through all pages of the old
 * generation, 3,600 then, and with a young one of 128 MB there is an eighth of the scavenges (docs/PERFORMANCE.md, "Growth").
 */
const FOR_MANY = ['--min-semi-space-size=128', '--max-semi-space-size=128']

/** What a crowd costs. */
export interface Crowd {
  /** JavaScript's heap and the stack's memory for each connection, bytes. */
  readonly bytes: number
  /** Resident memory of the process, all that it is made of, with the crowd in it: bytes. */
  readonly resident: number
  /** One connection between two programs, all that both ends do: connect, a byte, close. */
  readonly calls: Phases
  /** One connection taken from a client that is no host, and closed by it: what the server's stack does. */
  readonly server: Phases
}

/** What one connection costs with ten open before the crowd was there, with all, and with ten when it has gone. */
export interface Phases {
  readonly before: Cost
  readonly many: Cost
  readonly after: Cost
}

/** Microseconds of processor time: the median of several rounds, and the least. */
export interface Cost {
  readonly median: number
  readonly least: number
}

class Server {
  readonly world: World
  readonly host: Host
  readonly client: Host
  readonly peers: Peers
  private readonly listener: Socket
  private next = 0

  constructor(fast: FastPaths) {
    this.world = benchWorld(fast)
    this.host = new Host(this.world, 'server')
    const cable = new Cable(this.world, 'cable', { medium: 'ip' })
    this.host.addInterface('tun0', cable.a, ['10.0.0.1/8'])
    this.peers = new Peers(this.world, cable.b, 0x0a00_0001, PORT)
    this.listener = listening({ server: this.host })
    this.client = new Host(this.world, 'client')
    const link = new Cable(this.world, 'link')
    this.client.addInterface('eth0', link.a, ['192.0.2.2/24'])
    this.host.addInterface('eth0', link.b, [`${SERVER}/24`])
    // Ports are used again.
    this.host.tcpSettings.time_wait_ms = 1
  }

  /** One more connection: all of the handshake, and accept(2). */
  open(): Socket {
    this.world.loop.refresh()
    this.peers.connect(this.next++)
    settle(this)
    return accepted(this.listener)
  }

  /** The client of the connection opened last closes it, then the server. */
  close(socket: Socket): void {
    this.peers.hangUp()
    settle(this)
    socket.unref()
    settle(this)
  }

  /** The server resets one. */
  reset(socket: Socket): void {
    socket.lingerSeconds = 0
    socket.unref()
    settle(this)
  }
}

/** The median of rounds of `sample` connections each, after one that does not count. No garbage of before is collected meanwhile. */
const costOfOne = async (sample: number, round: () => Promise<void> | void): Promise<Cost> => {
  collectGarbage()
  await round()
  const times: number[] = []
  for (let i = 0; i < ROUNDS; i++) {
    const before = process.cpuUsage()
    await round()
    const { user, system } = process.cpuUsage(before)
    times.push((user + system) / sample)
  }
  times.sort((a, b) => a - b)
  return { median: times[ROUNDS >> 1]!, least: times[0]! }
}

/** What one more costs, both ways. */
const costs = async (crowded: Server, scale: number): Promise<Record<'calls' | 'server', Cost>> => {
  const sample = Math.ceil(SAMPLE * scale)
  const server = await costOfOne(sample, () => {
    for (let i = 0; i < sample; i++) crowded.close(crowded.open())
  })
  const { host, client, world } = crowded
  const driver = new RealTimeDriver(world.loop).ref()
  const each = Math.ceil(CALLS_SAMPLE * scale)
  const program = host.spawn('server', (sys) => byteServer(sys, each * (ROUNDS + 1), CALLS_PORT))
  const calls = await costOfOne(each, () =>
    ended(client.spawn('client', (sys) => fetchBytes(sys, each, SERVER, CALLS_PORT))),
  )
  await ended(program)
  driver.close()
  return { calls, server }
}

/** Opens `count` connections to one host, keeps them, and closes them again. */
export const crowd = async (count: number, fast: FastPaths = ALL_FAST_PATHS): Promise<Crowd> => {
  const server = new Server(fast)
  const scale = Math.min(1, count / 5 / SAMPLE)
  // It is as large from the beginning as it becomes: it is no part of what connections take.
  const kept = new Array<Socket>(count)
  let open = 0
  for (let i = 0; i < Math.min(WARM_UP, count); i++) server.close(server.open())
  while (open < FEW) kept[open++] = server.open()
  const before = await costs(server, scale)
  const bytesBefore = stackBytes(server)
  while (open < count) kept[open++] = server.open()
  const bytes = (stackBytes(server) - bytesBefore) / (count - FEW)
  const many = await costs(server, scale)
  collectGarbage()
  const resident = process.memoryUsage.rss()
  while (open > FEW) server.reset(kept[--open]!)
  kept.length = FEW
  const after = await costs(server, scale)
  server.client.close()
  server.host.close()
  const phases = (which: 'calls' | 'server'): Phases => ({
    before: before[which],
    many: many[which],
    after: after[which],
  })
  return { bytes, resident, calls: phases('calls'), server: phases('server') }
}

/**
 * How much longer one more takes with the crowd than with ten open: by the medians, beside the mean of before and after. What V8 has
 * compiled, how large its young generation has become, and how fast the machine is change meanwhile, too.
 */
export const slowdown = ({ before, many, after }: Phases): number => (2 * many.median) / (before.median + after.median)

/** The same in a process of its own, whose memory is that of the crowd alone, started as a server for so many would be. */
export const crowdApart = async (count: number, without: readonly FastPath[]): Promise<Crowd> => {
  const program = fileURLToPath(new URL(`./crowd-process${extname(import.meta.url)}`, import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...process.execArgv,
    ...FOR_MANY,
    program,
    String(count),
    ...without,
  ])
  return JSON.parse(stdout) as Crowd
}
