import { type Random, SeededRandom } from '../../src/core/random.ts'
import { type Case, type Kind, oneIn, pick } from './case.ts'
import { Coverage } from './coverage.ts'

/** A case that went wrong. */
export interface Failure {
  readonly message: string
  readonly stack: string
  readonly played: Case
}

/** Cases are not made longer than so many times those that are made afresh. */
const GROWTH = 2
/** Times that a failing case is played again to make it smaller. */
const SHRINK_TRIES = 3000

/**
 * Makes cases of a kind and plays them: half of them afresh, half by changing one that has reached something that none
 * before it did.
 */
export class Fuzzer {
  readonly kind: Kind
  readonly random: Random
  readonly seen = new Coverage()
  /** What all cases have reached. */
  readonly reached = new Set<string>()
  /** Those that reached something first, cut after the step that did. */
  readonly corpus: { readonly played: Case; readonly keys: string[] }[] = []
  inputs = 0
  cases = 0
  /** Told of every case before it is played. */
  onCase: ((played: Case) => void) | null = null

  constructor(kind: Kind, seed: number) {
    this.kind = kind
    this.random = new SeededRandom(seed)
  }

  /** Makes a case and plays it. @returns what went wrong, or null */
  async next(): Promise<Failure | null> {
    const { random, corpus } = this
    const played = corpus.length === 0 || oneIn(random, 2) ? this.fresh() : this.changed(pick(random, corpus).played)
    return this.play(played)
  }

  /** Plays a case and keeps it if it reaches something new. @returns what went wrong, or null */
  async play(played: Case): Promise<Failure | null> {
    this.onCase?.(played)
    const failure = await attempt(this.kind, played, this.seen)
    this.inputs += played.steps.length
    this.cases++
    if (failure === null) this.keep(played)
    return failure
  }

  private keep(played: Case): void {
    const { reached } = this
    const keys: string[] = []
    let last = 0
    for (const [key, step] of this.seen.keys) {
      if (reached.has(key)) continue
      reached.add(key)
      keys.push(key)
      last = Math.max(last, step)
    }
    if (keys.length > 0)
      this.corpus.push({ played: { setup: played.setup, steps: played.steps.slice(0, last + 1) }, keys })
  }

  private fresh(): Case {
    const { kind, random } = this
    const setup = kind.setup(random)
    const count = 1 + random.below(kind.longest)
    return { setup, steps: Array.from({ length: count }, () => kind.step(random, setup)) }
  }

  private changed({ setup: before, steps: given }: Case): Case {
    const { kind, random, corpus } = this
    const setup = oneIn(random, 10) ? kind.setup(random) : before
    const steps = [...given]
    for (let changes = 1 + random.below(6); changes > 0; changes--) {
      const at = random.below(steps.length + 1)
      const what = random.below(kind.tweak === undefined ? 6 : 9)
      if (what === 0) steps.splice(at, 1 + random.below(4))
      else if (what === 1) steps.splice(at, 0, ...steps.slice(at, at + 1 + random.below(8)))
      else if (what === 2) {
        const other = pick(random, corpus).played.steps
        const from = random.below(other.length + 1)
        steps.splice(at, 0, ...other.slice(from, from + 1 + random.below(8)))
      } else if (what < 6) {
        const count = 1 + random.below(6)
        steps.splice(at, random.below(2), ...Array.from({ length: count }, () => kind.step(random, setup)))
      } else if (at < steps.length) steps[at] = kind.tweak!(random, steps[at], setup)
    }
    // Mostly something has to follow, where what was reached can lead somewhere.
    if (!oneIn(random, 3)) steps.push(...Array.from({ length: random.below(10) }, () => kind.step(random, setup)))
    return { setup, steps: steps.slice(0, kind.longest * GROWTH) }
  }
}

/** Plays a case. @returns what went wrong, or null */
export const attempt = async (kind: Kind, played: Case, seen = new Coverage()): Promise<Failure | null> => {
  seen.begin()
  try {
    const running = kind.run(played, seen)
    if (running !== undefined) await running
    return null
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const stack = error instanceof Error ? (error.stack ?? message) : message
    return { message: `input ${seen.step}: ${message}`, stack, played }
  }
}

/** Called before each time that a case is played anew: to tell that it goes on. */
type OnTry = (() => Promise<void>) | null

/** What two failures of the same fault have in common: the message without its numbers. */
const signature = ({ message }: Failure): string => message.replace(/-?[\d.]+/g, '')

/**
 * Drops inputs, many at a time and then one by one, as long as the case goes wrong in the same way.
 * @returns the smallest failing case that it found
 */
export const shrink = async (kind: Kind, failure: Failure, onTry: OnTry = null): Promise<Failure> => {
  let best = failure
  let tries = SHRINK_TRIES
  const wanted = signature(failure)
  const without = async (from: number, count: number): Promise<boolean> => {
    const { setup, steps } = best.played
    tries--
    if (onTry !== null) await onTry()
    const smaller = await attempt(kind, { setup, steps: [...steps.slice(0, from), ...steps.slice(from + count)] })
    if (smaller === null || signature(smaller) !== wanted) return false
    best = smaller
    return true
  }
  for (let count = best.played.steps.length; count >= 1 && tries > 0; count = Math.floor(count / 2)) {
    for (let again = true; again && tries > 0; ) {
      again = false
      for (let from = best.played.steps.length - count; from >= 0 && tries > 0; from -= count) {
        if (await without(from, count)) again = count === 1
      }
    }
  }
  return best
}

/**
 * The fewest of `cases` that reach what all of them do, as far as a greedy choice finds them, each without the inputs
 * that it does not need for that.
 * @param goesOn is there time left to drop inputs?
 */
export const minimize = async (
  kind: Kind,
  cases: readonly Case[],
  goesOn: () => boolean,
  onTry: OnTry = null,
): Promise<Case[]> => {
  const seen = new Coverage()
  const reach = async (played: Case): Promise<Set<string>> => {
    if (onTry !== null) await onTry()
    if ((await attempt(kind, played, seen)) !== null) return new Set()
    // How often a counter was counted, or by which flags a state was met, is not worth a case of its own.
    return new Set([...seen.keys.keys()].map((key) => key.replace(/ \d+$/, '')))
  }
  const all: { played: Case; keys: Set<string> }[] = []
  for (const played of cases) all.push({ played, keys: await reach(played) })
  const missing = new Set(all.flatMap(({ keys }) => [...keys]))
  const chosen: { played: Case; needed: string[] }[] = []
  while (missing.size > 0) {
    let best = all[0]!
    let gain = -1
    for (const entry of all) {
      let count = 0
      for (const key of entry.keys) if (missing.has(key)) count++
      // What is short is worth more.
      const value = count / (1000 + JSON.stringify(entry.played.steps).length)
      if (count > 0 && value > gain) {
        best = entry
        gain = value
      }
    }
    if (gain < 0) break
    const needed = [...best.keys].filter((key) => missing.delete(key))
    chosen.push({ played: best.played, needed })
  }
  const small: Case[] = []
  for (const { played, needed } of chosen) {
    let { steps } = played
    const { setup } = played
    for (let count = Math.ceil(steps.length / 2); count >= 1; count = count === 1 ? 0 : Math.ceil(count / 2)) {
      for (let from = steps.length - count; from >= 0 && goesOn(); from -= count) {
        const rest = [...steps.slice(0, from), ...steps.slice(from + count)]
        const keys = await reach({ setup, steps: rest })
        if (needed.every((key) => keys.has(key))) steps = rest
      }
    }
    small.push({ setup, steps })
  }
  return small
}
