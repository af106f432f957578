import { Network } from './network.ts'
import { Recording } from './recording.ts'
import type { Timeline } from './timeline.ts'

/**
 * What must hold in every network of its kind: builds a network, runs it, and throws when something is wrong. It must
 * take all chance from the network (`network.random`, the hosts, the links), so that a seed gives the same run again.
 */
export type Property<N extends Network = Network> = (network: N) => Promise<unknown> | unknown

/** Makes the network for a seed, empty. */
export type NetworkMaker<N extends Network> = (seed: number) => N

const plain: NetworkMaker<Network> = (seed) => new Network({ seed })

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
export const trySeed = async <N extends Network = Network>(
  property: Property<N>,
  seed: number,
  make: NetworkMaker<N> = plain as NetworkMaker<N>,
): Promise<SeedFailure | null> => {
  const network = make(seed)
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
export const replaySeed = async <N extends Network = Network>(
  property: Property<N>,
  seed: number,
  make: NetworkMaker<N> = plain as NetworkMaker<N>,
): Promise<Counterexample | null> => {
  const network = make(seed)
  const recording = new Recording(network)
  try {
    await property(network)
    return null
  } catch (error) {
    const { timeline } = recording
    return { ...failureOf(seed, error), at: network.now, timeline, pcapng: recording.pcapng() }
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
export const shortestCounterexample = async <N extends Network = Network>(
  property: Property<N>,
  failures: readonly SeedFailure[],
  make: NetworkMaker<N> = plain as NetworkMaker<N>,
): Promise<Counterexample | null> => {
  let best: Counterexample | null = null
  for (const { seed } of failures.slice(0, MOST_REPLAYS)) {
    const found = await replaySeed(property, seed, make)
    if (found !== null && (best === null || found.timeline.length < best.timeline.length)) best = found
  }
  return best
}

const failureOf = (seed: number, error: unknown): SeedFailure => {
  if (!(error instanceof Error)) return { seed, message: String(error), stack: '' }
  return { seed, message: error.message, stack: error.stack ?? '' }
}
