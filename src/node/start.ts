import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { SeededRandom } from '../core/random.ts'
import { World } from '../core/world.ts'
import { Host } from '../host/host.ts'
import type { Network } from '../sim/network.ts'
import { buildNetwork, fillNetwork, type NetworkFile } from '../sim/network-file.ts'
import { reasonOf } from './capture-file.ts'
import { separateFetch } from './http-overlay.ts'
import { DeadlockError, NodeNetwork } from './network.ts'
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
  /** In virtual time, from this seed or the network file's? */
  readonly virtual?: { readonly seed?: number }
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
  const { file, result: built } = readNetwork(configuration.network, (file) => buildNetwork(file, { clock }))
  const { network } = built
  driver = new RealTimeDriver(network.world.loop)
  const host = chooseHost(network, configuration)
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

/** The host that the program is to run on. */
const chooseHost = ({ hosts }: Network, { host, network }: RunConfiguration): Host => {
  const name = host ?? [...hosts.keys()][0]
  const found = name === undefined ? undefined : hosts.get(name)
  if (found !== undefined) return found
  throw new Error(`${network} has no host ${name}: choose from ${[...hosts.keys()].join(', ')}`)
}

/** Reads a network file, and builds what it says. */
const readNetwork = <T>(path: string, build: (file: NetworkFile) => T): { file: NetworkFile; result: T } => {
  try {
    const file = JSON.parse(readFileSync(path, 'utf8')) as NetworkFile
    return { file, result: build(file) }
  } catch (error) {
    throw new Error(`${path}: ${reasonOf(error)}`)
  }
}

const immediate = globalThis.setImmediate

/** Real milliseconds that a network in which nothing happens any more is waited for. */
const PATIENCE = 200

/** A network in virtual time, and the host on which the program of the thread runs. */
export interface VirtualNetwork {
  readonly file: NetworkFile
  readonly network: NodeNetwork
  readonly host: Host
}

/** Builds what a configuration says, in virtual time. @throws Error, in one line, for what is wrong in it */
export const buildVirtually = (configuration: RunConfiguration): VirtualNetwork => {
  const { network: path, kernel = [], virtual = {} } = configuration
  const alone: NetworkFile = { hosts: { [configuration.host ?? hostname()]: {} } }
  const { file, result: network } =
    path === undefined
      ? { file: alone, result: makeNetwork(alone, virtual.seed, kernel) }
      : readNetwork(path, (file) => makeNetwork(file, virtual.seed, kernel))
  return { file, network, host: chooseHost(network, configuration) }
}

/**
 * Runs the programs of a network in virtual time, until nothing is left that could happen, and closes it.
 * @param load begins a program: the command line of another host's, or null for the one that the thread is there for
 * @throws what a program throws
 */
export const runVirtually = async (
  { file, network, host }: VirtualNetwork,
  load: (command: readonly string[] | null) => unknown,
): Promise<void> => {
  try {
    await network.run(async () => {
      for (const [name, { run }] of Object.entries(file.hosts)) {
        if (run !== undefined && name !== host.name) network.on(name, () => load([run].flat()))
      }
      const loading = Promise.resolve(network.on(host, () => load(null)))
      // Loaders work in threads of their own. A module that waits for something on its way has been loaded.
      let isLoaded = false
      const noteLoaded = (): void => {
        isLoaded = true
      }
      loading.then(noteLoaded, noteLoaded)
      const begun = (async () => {
        while (!isLoaded && !network.isWaiting(host)) await new Promise((resolve) => immediate(resolve))
      })()
      await network.hold(Promise.race([loading, begun]))
      await loading
      await new Promise(() => {})
    })
  } catch (error) {
    if (!(error instanceof DeadlockError)) throw error
  } finally {
    network.close()
  }
}

const makeNetwork = (file: NetworkFile, seed: number | undefined, kernel: readonly string[]): NodeNetwork => {
  const { names = {} } = file
  const network = new NodeNetwork({ seed: seed ?? file.seed ?? 1, kernel, names, patience: PATIENCE })
  fillNetwork(network, file)
  return network
}
