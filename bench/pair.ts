import { SeededRandom } from '../src/core/random.ts'
import { World } from '../src/core/world.ts'
import { Host } from '../src/host/host.ts'
import { Cable, type CableOptions } from '../src/link/cable.ts'
import { RealClock, RealTimeDriver } from '../src/node/realtime.ts'

/** Two hosts on a cable in memory, in real time: what everything of ours is measured on. */
export interface BenchPair {
  readonly world: World
  readonly client: Host
  readonly server: Host
  close(): void
}

/** The server's address. */
export const SERVER = '10.0.0.2'

export const benchPair = (options: CableOptions = {}): BenchPair => {
  const world = new World(new RealClock(), new SeededRandom(1))
  const driver = new RealTimeDriver(world.loop).ref()
  const client = new Host(world, 'client')
  const server = new Host(world, 'server')
  const cable = new Cable(world, 'cable', options)
  client.addInterface('eth0', cable.a, ['10.0.0.1/8'])
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
      driver.close()
    },
  }
}

/** Segments of 64 KB, with checksums left to the link: what a loopback does. */
export const OFFLOAD: CableOptions = { maxSegmentedPacket: 65_535, checksumOffload: true }
