import { Capture } from '../link/capture.ts'
import { concatBytes } from '../wire/options.ts'
import { Network } from './network.ts'
import { Timeline } from './timeline.ts'

/**
 * What must hold in every network of its kind: builds a network, runs it, and throws when something is wrong. It must
 * take all chance from the network (`network.random`, the hosts, the links), so that a seed gives the same run again.
 */
export type Property = (network: Network) => Promise<unknown> | unknown

/** A seed for which a property does not hold. */
export interface SeedFailure {
  readonly seed: number
  /** What it threw. */
  readonly message: string
  readonly stack: string
}

/** The failure of a seed, with all that there is to see. */
export interface Counterexample extends SeedFailure {
  /** Virtual time at which it failed, milliseconds. */
  readonly at: number
  readonly timeline: Timeline
  /** Everything that passed the links, as a pcapng file. */
  readonly pcapng: Uint8Array
}

/** Runs a property once. @returns what went wrong, or null */
export const trySeed = async (property: Property, seed: number): Promise<SeedFailure | null> => {
  const network = new Network({ seed })
  try {
    await property(network)
    return null
  } catch (error) {
    return failureOf(seed, error)
  } finally {
    network.close()
  }
}

/**
 * Runs a property once more and records everything.
 * @returns null when it holds this time: the property takes chance from elsewhere
 */
export const replaySeed = async (property: Property, seed: number): Promise<Counterexample | null> => {
  const network = new Network({ seed })
  const timeline = new Timeline(network)
  const chunks: Uint8Array[] = []
  const capture = new Capture(network.world, (chunk) => chunks.push(chunk), { application: `netglass, seed ${seed}` })
  network.observe({
    linkAdded: ({ names: [a, b], cable }) => capture.add(cable.a, `${a}-${b}`),
  })
  try {
    await property(network)
    return null
  } catch (error) {
    const at = network.now
    capture.close()
    return { ...failureOf(seed, error), at, timeline, pcapng: concatBytes(chunks) }
  } finally {
    network.close()
  }
}

/** Failures that are replayed to find the one that is easiest to read. */
const MOST_REPLAYS = 20

/**
 * Of several failures the one with the shortest story.
 * @returns null when none of them fails again
 */
export const shortestCounterexample = async (
  property: Property,
  failures: readonly SeedFailure[],
): Promise<Counterexample | null> => {
  let best: Counterexample | null = null
  for (const { seed } of failures.slice(0, MOST_REPLAYS)) {
    const found = await replaySeed(property, seed)
    if (found !== null && (best === null || found.timeline.length < best.timeline.length)) best = found
  }
  return best
}

const failureOf = (seed: number, error: unknown): SeedFailure => {
  if (!(error instanceof Error)) return { seed, message: String(error), stack: '' }
  return { seed, message: error.message, stack: error.stack ?? '' }
}
