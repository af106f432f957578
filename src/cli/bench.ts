import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import type { FastPath } from '../core/fast-paths.ts'
import { ablate } from './bench/ablation.ts'
import { type BenchCase, CASES } from './bench/cases.ts'
import { addMeasureCommand } from './bench/measure.ts'
import {
  goalLine,
  headLine,
  machine,
  measure,
  occasion,
  type Report,
  type Row,
  rowLine,
  today,
} from './bench/report.ts'
import { settingsWithout } from './bench/settings.ts'
import { apart } from './bench/sides.ts'
import { Failure } from './failure.ts'
import { addExamples } from './help.ts'
import { addWithoutOption } from './without.ts'

/** `netglass bench`: how fast the stack is here, beside the kernel's. */

interface BenchOptions {
  readonly case?: readonly string[]
  readonly runs?: string
  readonly json?: true
  readonly compare?: string
  readonly list?: true
  readonly without?: readonly FastPath[]
  readonly ablate?: true
  /** `--no-kernel` */
  readonly kernel: boolean
}

const append = (value: string, before: readonly string[] = []): string[] => [...before, value]

export const addBenchCommand = (program: Command): void => {
  const command = program
    .command('bench')
    .summary('measure the stack beside the kernel')
    .description(
      'Measures speed and memory of the stack, and of the kernel on loopback through node:net in the same run, turn by turn. ' +
        'Both ends of ours share one thread. A ratio above 1 says how many times better ours is.',
    )
    .option('--case <name>', 'only this case; may be given again', append)
    .option('--runs <number>', 'runs of each case, of which the median counts')
    .option('--json', 'print the figures as JSON')
    .option('--compare <file>', 'print beside each figure that of an earlier --json')
    .option('--list', 'print the names of the cases')
    .option('--no-kernel', 'measure the stack only')
    .option(
      '--ablate',
      'measure what each fast path brings, or each of --without: with it and without it, turn by turn',
    )
    // What stands behind `measure` is its own.
    .enablePositionalOptions()
    .action(bench)
  addWithoutOption(command)
  addExamples(
    command,
    'netglass bench --case round-trip --case connections --runs 3',
    'netglass bench --json > before.json',
    'netglass bench --compare before.json',
    'netglass bench --ablate --without wasm,batches',
  )
  addMeasureCommand(command)
}

const bench = async (options: BenchOptions): Promise<void> => {
  if (options.list) {
    for (const { name, title } of CASES) console.log(`${name.padEnd(18)}${title}`)
    return
  }
  const { without = [] } = options
  const chosen = options.case === undefined ? CASES : options.case.map(caseNamed)
  const runs = options.runs === undefined ? null : Number(options.runs)
  if (runs !== null && !(Number.isInteger(runs) && runs >= 1)) {
    throw new Failure(`--runs ${options.runs}: it takes a whole number from 1 on`)
  }
  if (options.ablate) {
    const other = options.json ? '--json' : options.compare === undefined ? null : '--compare'
    if (other !== null) throw new Failure(`--ablate prints a table, with and without: leave out ${other}`)
    await ablate(without, options.case === undefined ? null : chosen, runs)
    return
  }
  const before = options.compare === undefined ? null : readReport(options.compare)
  if (!options.json) {
    console.log(occasion())
    if (before !== null) console.log(`compared with ${options.compare}: ${before.machine}, ${before.date}`)
    console.log(headLine(before !== null))
  }
  const settings = settingsWithout(without)
  const rows: Row[] = []
  for (const testCase of chosen) {
    const sides = apart(options.kernel ? testCase : { ...testCase, kernel: null }, without)
    const row = await measure(sides.testCase, settings, runs ?? testCase.runs).finally(() => sides.close())
    rows.push(row)
    if (!options.json) {
      console.log(
        rowLine(
          testCase,
          row,
          before?.rows.find(({ name }) => name === row.name),
        ),
      )
    }
  }
  const report: Report = { machine: machine(), date: today(), without, rows }
  if (options.json) console.log(JSON.stringify(report, null, 2))
  else if (goalLine(rows) !== '') console.log(`\n${goalLine(rows)}`)
}

const caseNamed = (wanted: string): BenchCase => {
  const found = CASES.find(({ name }) => name === wanted)
  if (found === undefined) throw new Failure(`there is no case ${wanted}: netglass bench --list prints the names`)
  return found
}

const readReport = (path: string): Report => {
  let report: Partial<Report>
  try {
    report = JSON.parse(readFileSync(path, 'utf8')) as Partial<Report>
  } catch (error) {
    throw new Failure(`${path} cannot be compared with: ${(error as Error).message}`)
  }
  if (!Array.isArray(report.rows))
    throw new Failure(`${path} cannot be compared with: netglass bench --json makes such files`)
  return report as Report
}
