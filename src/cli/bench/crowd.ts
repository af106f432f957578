import { execFile } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { ALL_FAST_PATHS, type FastPath, type FastPaths } from '../../core/fast-paths.ts'
import type { World } from '../../core/world.ts'
import { Host } from '../../host/host.ts'
import { Cable } from '../../link/cable.ts'
import type { Socket } from '../../socket/socket.ts'
import { accepted, listening, PORT, settle } from './direct.ts'
import { stackBytes } from './ours.ts'
import { benchWorld } from './pair.ts'
import { Peers } from './peers.ts'
import { collectGarbage } from './settle.ts'

/** A server with very many connections, whose clients are no hosts: what it costs to have them, and to take one more. */

/** Connections open while what one costs is measured first. */
const FEW = 10
/** What V8 is to have compiled everything with; and of what the least time of several rounds counts. */
const WARM_UP = 50_000
const SAMPLE = 10_000
const ROUNDS = 9

/** What a crowd costs. */
export interface Crowd {
  /** JavaScript's heap and the stack's memory for each connection, bytes. */
  readonly bytes: number
  /** Resident memory of the process, all that it is made of, with the crowd in it: bytes. */
  readonly resident: number
  /** One connection opened and closed, with ten open and with all: microseconds of processor time. */
  readonly few: number
  readonly many: number
}

class Server {
  readonly world: World
  readonly host: Host
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
}

/** What one connection costs from its SYN to its end: the least of several rounds, microseconds of processor time. */
const costOfOne = (server: Server): number => {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage()
    for (let i = 0; i < SAMPLE; i++) server.close(server.open())
    const { user, system } = process.cpuUsage(before)
    least = Math.min(least, (user + system) / SAMPLE)
  }
  return least
}

/** Opens `count` connections to one host, and keeps them. */
export const crowd = (count: number, fast: FastPaths = ALL_FAST_PATHS): Crowd => {
  const server = new Server(fast)
  const kept: Socket[] = []
  for (let i = 0; i < Math.min(WARM_UP, count); i++) server.close(server.open())
  while (kept.length < FEW) kept.push(server.open())
  const few = costOfOne(server)
  const before = stackBytes(server)
  while (kept.length < count) kept.push(server.open())
  const bytes = (stackBytes(server) - before) / (count - FEW)
  const many = costOfOne(server)
  collectGarbage()
  const resident = process.memoryUsage.rss()
  server.host.close()
  return { bytes, resident, few, many }
}

/** The same in a process of its own, whose memory is that of the crowd alone. */
export const crowdApart = async (count: number, without: readonly FastPath[]): Promise<Crowd> => {
  const program = fileURLToPath(new URL(`./crowd-process${extname(import.meta.url)}`, import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...process.execArgv,
    program,
    String(count),
    ...without,
  ])
  return JSON.parse(stdout) as Crowd
}
