import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import type { Clock } from '../core/clock.ts'
import { SeededRandom } from '../core/random.ts'
import { World } from '../core/world.ts'
import { Host } from '../host/host.ts'
import { type BuiltNetwork, buildNetwork, type NetworkFile } from '../sim/network-file.ts'
import { separateFetch } from './http-overlay.ts'
import { program, useProgram } from './program.ts'
import type { NodeContext } from './programs.ts'
import { RealClock, RealTimeDriver } from './realtime.ts'

/** What a process that runs over our stack is to be given: `netglass run`'s options. */
export interface RunConfiguration {
  /** A network file; a host with nothing but loopback unless given. */
  readonly network?: string
  /** The host of the network that the program runs on; the first unless given. */
  readonly host?: string
  /** What goes to the kernel's own stack. */
  readonly kernel?: readonly string[]
  /** The program's name. */
  readonly name?: string
}

/** The programs of a network file, and the network. */
export interface RunningNetwork {
  readonly world: World
  readonly hosts: ReadonlyMap<string, Host>
  /** The program that has the thread's own view. */
  readonly main: NodeContext
  /** The other hosts' programs: their command lines. */
  readonly others: readonly { context: NodeContext; command: readonly string[] }[]
}

/**
 * Builds what a configuration says, in real time, and gives the thread its program's view of it.
 * @throws Error, in one line, for what is wrong in it
 */
export const startNetwork = (configuration: RunConfiguration): RunningNetwork => {
  const clock = new RealClock()
  const { kernel = [], name = 'node' } = configuration
  let active = 0
  let driver: RealTimeDriver | null = null
  const onActive = (isActive: boolean): void => {
    active += isActive ? 1 : -1
    if (active > 0) driver?.ref()
    else driver?.unref()
  }
  if (configuration.network === undefined) {
    const world = new World(clock, new SeededRandom(1))
    const host = new Host(world, configuration.host ?? hostname())
    driver = new RealTimeDriver(world.loop)
    const main = program(host, { name, kernel, onActive })
    useProgram(main)
    return { world, hosts: new Map([[host.name, host]]), main, others: [] }
  }
  const { file, built } = readNetwork(configuration.network, clock)
  const { network } = built
  driver = new RealTimeDriver(network.world.loop)
  const first = configuration.host ?? [...network.hosts.keys()][0]
  const host = first === undefined ? undefined : network.hosts.get(first)
  if (host === undefined) {
    throw new Error(
      `${configuration.network} has no host ${first}: choose from ${[...network.hosts.keys()].join(', ')}`,
    )
  }
  const main = program(host, { name, names: built, kernel, onActive })
  useProgram(main)
  const others = Object.entries(file.hosts).flatMap(([name, { run }]) => {
    if (run === undefined || name === host.name) return []
    const command = [run].flat()
    return [{ context: program(network.host(name), { name: command[0]!, names: built, kernel, onActive }), command }]
  })
  if (others.length > 0) separateFetch()
  return { world: network.world, hosts: network.hosts, main, others }
}

const readNetwork = (path: string, clock: Clock): { file: NetworkFile; built: BuiltNetwork } => {
  try {
    const file = JSON.parse(readFileSync(path, 'utf8')) as NetworkFile
    return { file, built: buildNetwork(file, { clock }) }
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`)
  }
}
