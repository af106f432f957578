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
  return { name: testCase.name, unit: testCase.unit, ours: mine, kernel: theirs, ratio, runs }
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

/** @param compares is there a column for what it was before? */
export const headLine = (compares: boolean): string =>
  `${'case'.padEnd(TITLE_WIDTH)}${'netglass'.padStart(NUMBER_WIDTH)}${'kernel'.padStart(NUMBER_WIDTH)}  unit    ratio${compares ? '   was' : ''}`

/** @param was the same case of an earlier report */
export const rowLine = (testCase: BenchCase, row: Row, was: Row | undefined): string => {
  const number = (value: number | null): string =>
    (value === null ? '–' : value.toFixed(testCase.digits)).padStart(NUMBER_WIDTH)
  const ratio = row.ratio === null ? '–' : row.ratio.toFixed(2)
  const change =
    was === undefined
      ? ''
      : `   ${was.ours.toFixed(testCase.digits)} (${((row.ours / was.ours) * 100 - 100).toFixed(0)} %)`
  return `${testCase.title.padEnd(TITLE_WIDTH)}${number(row.ours)}${number(row.kernel)}  ${row.unit.padEnd(7)}${ratio.padStart(6)}${change}`
}
