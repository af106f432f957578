import os from 'node:os'
import type { BenchCase, BenchSettings } from './cases.ts'

/** Running cases, and the table of what they gave. */

export interface Row {
  readonly name: string
  readonly unit: string
  readonly ours: number
  readonly kernel: number | null
  /** How many times better ours is: above 1 is better, whichever way the unit counts. */
  readonly ratio: number | null
  readonly runs: number
  /** What each run gave, in turn; of these `ours` and `kernel` are the medians. */
  readonly each: { readonly ours: readonly number[]; readonly kernel: readonly number[] }
  /** Was its goal reached? Null where it has none. */
  readonly reached: boolean | null
}

/** What `--json` prints and `--compare` reads. */
export interface Report {
  readonly machine: string
  readonly date: string
  /** Fast paths that were left out. */
  readonly without: readonly string[]
  readonly rows: readonly Row[]
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Runs before those that count: V8 goes on compiling what it has compiled well into the third. */
const WARM_UPS = 3

/** Runs a case `runs` times. */
export const measure = async (testCase: BenchCase, settings: BenchSettings, runs: number): Promise<Row> => {
  const ours: number[] = []
  const kernel: number[] = []
  for (let i = 0; testCase.warmUp && i < WARM_UPS; i++) {
    await testCase.ours(settings)
    await testCase.kernel?.()
  }
  // Turn by turn, so that what else the machine does falls on both alike.
  for (let i = 0; i < runs; i++) {
    ours.push(await testCase.ours(settings))
    if (testCase.kernel !== null) kernel.push(await testCase.kernel())
  }
  const mine = median(ours)
  const theirs = kernel.length > 0 ? median(kernel) : null
  const ratio = theirs === null ? null : testCase.better === 'higher' ? mine / theirs : theirs / mine
  const reached = isReached(testCase, mine, ratio)
  return {
    name: testCase.name,
    unit: testCase.unit,
    ours: mine,
    kernel: theirs,
    ratio,
    runs,
    each: { ours, kernel },
    reached,
  }
}

/** By the figures as they are printed. */
const isReached = ({ goal, better, digits }: BenchCase, ours: number, ratio: number | null): boolean | null => {
  if (goal === undefined) return null
  if ('ratio' in goal) return ratio === null ? null : Number(ratio.toFixed(2)) >= goal.ratio
  const figure = Number(ours.toFixed(digits))
  const { within = 0 } = goal
  return better === 'higher' ? figure >= goal.figure - within : figure <= goal.figure + within
}

/** The machine, in a line. */
export const machine = (): string => {
  const [cpu] = os.cpus()
  const memory = Math.round(os.totalmem() / 2 ** 30)
  return `${cpu?.model ?? 'unknown'}, ${os.cpus().length} cores, ${memory} GiB, ${os.type()} ${os.release()}, Node ${process.version}`
}

/** The day, as 2026-11-22. */
export const today = (): string => new Date().toISOString().slice(0, 10)

/** What figures are printed under: the machine and the day. */
export const occasion = (): string => `${machine()}, ${today()}`

const TITLE_WIDTH = 66
const NUMBER_WIDTH = 12
const GOAL_WIDTH = 12

/** @param compares is there a column for what it was before? */
export const headLine = (compares: boolean): string =>
  `${'case'.padEnd(TITLE_WIDTH)}${'netglass'.padStart(NUMBER_WIDTH)}${'kernel'.padStart(NUMBER_WIDTH)}  unit    ratio  ${compares ? `${'goal'.padEnd(GOAL_WIDTH)}  was` : 'goal'}`

/** @param was the same case of an earlier report */
export const rowLine = (testCase: BenchCase, row: Row, was: Row | undefined): string => {
  const number = (value: number | null): string =>
    (value === null ? '–' : value.toFixed(testCase.digits)).padStart(NUMBER_WIDTH)
  const ratio = row.ratio === null ? '–' : row.ratio.toFixed(2)
  const goal = goalText(testCase, row.reached)
  const change = was === undefined ? '' : `  ${changeText(testCase, row.ours, was.ours)}`
  const figures = `${number(row.ours)}${number(row.kernel)}  ${row.unit.padEnd(7)}${ratio.padStart(6)}`
  return `${testCase.title.padEnd(TITLE_WIDTH)}${figures}  ${goal.padEnd(GOAL_WIDTH)}${change}`.trimEnd()
}

/** `8`, `1 ± 0.05` or `ratio 2`, and whether it was missed. */
const goalText = ({ goal }: BenchCase, reached: boolean | null): string => {
  if (goal === undefined) return ''
  const text = 'ratio' in goal ? `ratio ${goal.ratio}` : `${goal.figure}${'within' in goal ? ` ± ${goal.within}` : ''}`
  return reached === false ? `${text} missed` : text
}

/** What it was, and how much better or worse it is than that. */
const changeText = ({ digits, better }: BenchCase, now: number, was: number): string => {
  const percent = Math.round((now / was) * 100 - 100)
  if (!Number.isFinite(percent)) return was.toFixed(digits)
  const sign = percent > 0 ? '+' : ''
  const verdict = percent === 0 ? '' : percent > 0 === (better === 'higher') ? ', better' : ', worse'
  return `${was.toFixed(digits)} (${sign}${percent} %${verdict})`
}

/** How many goals were reached, and which were not; empty where there were none. */
export const goalLine = (rows: readonly Row[]): string => {
  const judged = rows.filter(({ reached }) => reached !== null)
  const missed = judged.filter(({ reached }) => !reached).map(({ name }) => name)
  if (judged.length === 0) return ''
  return `${judged.length - missed.length} of ${judged.length} goals reached${missed.length > 0 ? `; not: ${missed.join(', ')}` : ''}`
}
