import type { Random } from '../../src/core/random.ts'
import type { Coverage } from './coverage.ts'

/** What a fuzzer plays: how it begins, and one input after another. Both are plain data, and so can be written down. */
export interface Case<Setup = unknown, Step = unknown> {
  readonly setup: Setup
  readonly steps: readonly Step[]
}

/** A kind of inputs: how they are made, and what happens with them. */
export interface Kind<Setup = unknown, Step = unknown> {
  readonly name: string
  /** Inputs in the longest case that is made afresh. */
  readonly longest: number
  setup(random: Random): Setup
  step(random: Random, setup: Setup): Step
  /** A step that differs a little. */
  tweak?(random: Random, step: Step, setup: Setup): Step
  /**
   * Plays a case, and looks at everything after each input.
   * @throws Error that says what was wrong
   */
  run(played: Case<Setup, Step>, seen: Coverage): void | Promise<void>
}

/** One of `values`. */
export const pick = <T>(random: Random, values: readonly T[]): T => values[random.below(values.length)]!

/** True once in `n` times. */
export const oneIn = (random: Random, n: number): boolean => random.below(n) === 0

/**
 * A case as text: a line with the kind and the setup, one for each step, and an empty one.
 * @param note what it is about; may have several lines
 */
export const formatCase = (kind: string, { setup, steps }: Case, note = ''): string =>
  [
    ...note.split('\n').flatMap((line) => (line === '' ? [] : [`# ${line}`])),
    `${kind} ${JSON.stringify(setup)}`,
    ...steps.map((step) => JSON.stringify(step)),
    '',
    '',
  ].join('\n')

/** A case that was written down. */
export interface KeptCase {
  readonly kind: string
  readonly note: string
  readonly played: Case
}

/** Reads what `formatCase` wrote, any number of cases. @throws Error that names the line that is none */
export const parseCases = (text: string): KeptCase[] => {
  const cases: KeptCase[] = []
  let lines: string[] = []
  const finish = (at: number): void => {
    const notes = lines.filter((line) => line.startsWith('#'))
    const [first, ...steps] = lines.filter((line) => !line.startsWith('#'))
    lines = []
    if (first === undefined) return
    const space = first.indexOf(' ')
    try {
      const played = {
        setup: JSON.parse(first.slice(space + 1)) as unknown,
        steps: steps.map((step) => JSON.parse(step) as unknown),
      }
      cases.push({
        kind: first.slice(0, space),
        note: notes.map((line) => line.slice(1).trim()).join('\n'),
        played,
      })
    } catch (error) {
      throw new Error(`the case that ends before line ${at} is none: ${(error as Error).message}`)
    }
  }
  const all = text.split('\n')
  for (const [i, line] of all.entries()) {
    if (line === '') finish(i + 1)
    else lines.push(line)
  }
  finish(all.length + 1)
  return cases
}
