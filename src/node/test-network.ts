import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Recording } from '../sim/recording.ts'
import { NodeNetwork, type NodeNetworkOptions } from './network.ts'

/** A network for each test: what `netglass/testing` exports, and what the modules for the test runners stand on. */

/** How a test's network is to be. */
export interface TestNetworkOptions extends NodeNetworkOptions {
  /** Does it fail when programs have left sockets, timers or processes? It does unless this is false. */
  readonly leaks?: boolean
  /** How long they have to end by themselves, in milliseconds of the network's time; 10,000 unless given. */
  readonly grace?: number
  /** Where the capture of a run that fails goes; a new directory for temporary files unless given. */
  readonly directory?: string
  /** Packets after which the capture is full; 100,000 unless given. */
  readonly packets?: number
  /** Told of what has failed, instead of standard error. */
  readonly report?: (text: string) => void
}

/** What a test is given. */
export interface TestNetwork {
  readonly network: NodeNetwork
  /** What the test runner gives to its tests. */
  // biome-ignore lint/suspicious/noExplicitAny: each runner has its own
  readonly t: any
}

/** A test: its sockets, timers and clocks are the network's. */
export type NetworkTest = (test: TestNetwork) => unknown

/** Programs have left something behind. */
export class LeakError extends Error {
  override readonly name = 'LeakError'
  /** What, a line each. */
  readonly leaks: readonly string[]

  constructor(leaks: readonly string[]) {
    super(
      `the test has left ${leaks.length === 1 ? 'this' : `${leaks.length} things`} behind:\n  ${leaks.join('\n  ')}`,
    )
    this.leaks = leaks
  }
}

const OWN_OPTIONS = ['leaks', 'grace', 'directory', 'packets', 'report'] as const
const NETWORK_OPTIONS = [
  ...['seed', 'epoch', 'clock', 'onFailure', 'without'],
  ...['kernel', 'names', 'patience', 'limit', 'traces', 'quiet', 'sandboxes'],
]

const DEFAULT_GRACE = 10_000
const DEFAULT_PACKETS = 100_000
/** How often it is looked whether all have ended, milliseconds of the network's time. */
const LOOK = 100
/** Lines of a timeline that are printed. */
const MOST_LINES = 60

/**
 * Runs a test on a network of its own, in virtual time from one seed: that of the options, or NETGLASS_SEED, or 1. When
 * it fails, seed, capture and timeline are printed.
 * @throws what the test throws, or LeakError for what it has left behind
 */
export const runOnNetwork = async (
  name: string,
  options: TestNetworkOptions,
  test: NetworkTest,
  t?: unknown,
): Promise<void> => {
  const { leaks = true, grace = DEFAULT_GRACE, packets = DEFAULT_PACKETS } = options
  const seed = options.seed ?? Number(process.env['NETGLASS_SEED'] ?? 1)
  const network = new NodeNetwork({ traces: leaks, ...options, seed })
  const recording = new Recording(network, packets)
  try {
    await network.run(async () => void (await test({ network, t })))
    if (leaks) await checkLeaks(network, grace)
  } catch (error) {
    report(name, network, recording, options)
    throw error
  } finally {
    network.close()
  }
}

/**
 * Makes a test of a function, for whatever runs tests: `it('reconnects', onNetwork(async ({ network }) => …))`.
 * @param options come before the function, if there are any
 */
export const onNetwork: {
  (test: NetworkTest): (t?: unknown) => Promise<void>
  (options: TestNetworkOptions, test: NetworkTest): (t?: unknown) => Promise<void>
} = (...args: [NetworkTest] | [TestNetworkOptions, NetworkTest]) => {
  const [options, test] = args.length === 1 ? [{}, args[0]] : args
  return (t) => runOnNetwork(test.name === '' ? 'the test' : test.name, options, test, t)
}

const checkLeaks = async (network: NodeNetwork, grace: number): Promise<void> => {
  const look = async (): Promise<void> => {
    for (let waited = 0; waited < grace && network.leaks.length > 0; waited += LOOK) {
      await new Promise((resolve) => {
        setTimeout(resolve, LOOK)
      })
    }
  }
  await network.run(look)
  const { leaks } = network
  if (leaks.length > 0) throw new LeakError(leaks)
}

const report = (name: string, network: NodeNetwork, recording: Recording, options: TestNetworkOptions): void => {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'netglass-'))
  const pcapng = join(directory, `${name.replace(/\W+/g, '-').slice(0, 60)}-seed-${network.seed}.pcapng`)
  writeFileSync(pcapng, recording.pcapng())
  const lines = [
    `netglass: "${name}" has failed with seed ${network.seed}, at ${Number(network.now.toFixed(3))} ms of the network's time`,
    `  with another: NETGLASS_SEED=2; capture: ${pcapng}`,
    ...recording.timeline.lines({ most: MOST_LINES }).map((line) => `  ${line}`),
  ]
  const tell = options.report ?? ((text: string) => void process.stderr.write(text))
  tell(`${lines.join('\n')}\n`)
}

/** What a runner's function for tests takes: a name, its own options among ours, and the test. */
export interface TestDeclaration {
  (name: string, test: NetworkTest): void
  // biome-ignore lint/suspicious/noExplicitAny: each runner has its own options
  (name: string, options: TestNetworkOptions & Record<string, any>, test: NetworkTest): void
}

/** Splits what a test is declared with. @returns our options, and the runner's */
export const splitOptions = (options: object): [TestNetworkOptions, Record<string, unknown>] => {
  const ours = new Set<string>([...OWN_OPTIONS, ...NETWORK_OPTIONS])
  const entries = Object.entries(options)
  return [
    Object.fromEntries(entries.filter(([key]) => ours.has(key))) as TestNetworkOptions,
    Object.fromEntries(entries.filter(([key]) => !ours.has(key))),
  ]
}

/**
 * Makes a function that declares tests on networks of one that declares tests.
 * @param declare takes a name, the runner's options and a function
 */
export const declaring =
  (
    declare: (name: string, options: Record<string, unknown>, body: (t?: unknown) => Promise<void>) => void,
    common: TestNetworkOptions = {},
  ): TestDeclaration =>
  (name: string, ...rest: [NetworkTest] | [object, NetworkTest]) => {
    const [options, test] = rest.length === 1 ? [{}, rest[0]] : rest
    const [ours, theirs] = splitOptions(options)
    declare(name, theirs, (t) => runOnNetwork(name, { ...common, ...ours }, test, t))
  }
