import { ALL_FAST_PATHS, type FastPaths } from '../../core/fast-paths.ts'
import { SeededRandom } from '../../core/random.ts'
import { World } from '../../core/world.ts'
import { Host } from '../../host/host.ts'
import { Cable, type CableOptions } from '../../link/cable.ts'
import { RealClock, RealTimeDriver } from '../../node/realtime.ts'

/** Two hosts on a cable in memory, in real time: what most of ours is measured on. */
export interface BenchPair {
  readonly world: World
  readonly client: Host
  readonly server: Host
  close(): void
}

/** The server's address. */
export const SERVER = '10.0.0.2'

/** How the hosts, their cable and their world are to be. */
export interface PairOptions {
  readonly cable?: CableOptions
  /** Which fast paths to use; all unless given. */
  readonly fast?: FastPaths
  /** The client's addresses; one unless given. */
  readonly clientAddresses?: readonly string[]
}

/** A world in real time that nothing drives yet. */
export const benchWorld = (fast: FastPaths = ALL_FAST_PATHS): World =>
  new World(new RealClock(), new SeededRandom(1), undefined, fast)

/** The pair, with a driver for its programs unless `isDriven` is false. */
export const benchPair = (options: PairOptions = {}, isDriven = true): BenchPair => {
  const world = benchWorld(options.fast)
  const driver = isDriven ? new RealTimeDriver(world.loop).ref() : null
  const client = new Host(world, 'client')
  const server = new Host(world, 'server')
  const cable = new Cable(world, 'cable', options.cable)
  client.addInterface('eth0', cable.a, options.clientAddresses ?? ['10.0.0.1/8'])
  server.addInterface('eth0', cable.b, [`${SERVER}/8`])
  for (const host of [client, server]) {
    host.onFailure = (process, error) => {
      throw new Error(`${process.name} failed`, { cause: error })
    }
  }
  return {
    world,
    client,
    server,
    close() {
      client.close()
      server.close()
      driver?.close()
    },
  }
}

/** Segments of 64 KB, with checksums left to the link: what a loopback does. */
export const OFFLOAD: CableOptions = { maxSegmentedPacket: 65_535, checksumOffload: true }
