import { readFileSync } from 'node:fs'
import os from 'node:os'
import { parseArgs } from 'node:util'
import { type BenchCase, CASES } from './cases.ts'

/** `npm run bench`: every case, ours beside the kernel's in the same run, as one table. */

interface Row {
  readonly name: string
  readonly unit: string
  readonly ours: number
  readonly kernel: number | null
  /** How many times better ours is: above 1 is better, whichever way the unit counts. */
  readonly ratio: number | null
  readonly runs: number
}

const USAGE = `usage: npm run bench -- [--case NAME]... [--runs N] [--json] [--compare FILE]
  --case NAME     only this case: ${CASES.map(({ name }) => name).join(', ')}
  --runs N        runs of each case, of which the median counts
  --json          print the figures as JSON
  --compare FILE  print beside each figure that of an earlier --json`

const median = (values: number[]): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const measure = async (testCase: BenchCase, runs: number): Promise<Row> => {
  const ours: number[] = []
  const kernel: number[] = []
  // Turn by turn, so that what else the machine does falls on both alike.
  for (let i = 0; i < runs; i++) {
    ours.push(await testCase.ours())
    if (testCase.kernel !== null) kernel.push(await testCase.kernel())
  }
  const mine = median(ours)
  const theirs = kernel.length > 0 ? median(kernel) : null
  const ratio = theirs === null ? null : testCase.better === 'higher' ? mine / theirs : theirs / mine
  return { name: testCase.name, unit: testCase.unit, ours: mine, kernel: theirs, ratio, runs }
}

const machine = (): string => {
  const [cpu] = os.cpus()
  return `${cpu?.model ?? 'unknown'}, ${os.cpus().length} cores, ${Math.round(os.totalmem() / 2 ** 30)} GiB, ${os.type()} ${os.release()}, Node ${process.version}`
}

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      case: { type: 'string', multiple: true },
      runs: { type: 'string' },
      json: { type: 'boolean', default: false },
      compare: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    return
  }
  const chosen = values.case === undefined ? CASES : CASES.filter(({ name }) => values.case!.includes(name))
  if (chosen.length === 0) throw new Error(`there is no case ${values.case?.join(', ')}\n${USAGE}`)
  const before =
    values.compare === undefined ? null : (JSON.parse(readFileSync(values.compare, 'utf8')) as { rows: Row[] })
  const date = new Date().toISOString().slice(0, 10)
  if (!values.json) {
    console.log(`${machine()}, ${date}`)
    console.log(
      `${'case'.padEnd(52)}${'netglass'.padStart(12)}${'kernel'.padStart(12)}  unit     ratio${before ? '   was' : ''}`,
    )
  }
  const rows: Row[] = []
  for (const testCase of chosen) {
    const row = await measure(testCase, values.runs === undefined ? testCase.runs : Number(values.runs))
    rows.push(row)
    if (values.json) continue
    const number = (value: number | null): string =>
      (value === null ? '–' : value.toFixed(testCase.digits)).padStart(12)
    const ratio = row.ratio === null ? '–' : row.ratio.toFixed(2)
    const was = before?.rows.find(({ name }) => name === row.name)
    const change =
      was === undefined
        ? ''
        : `  ${was.ours.toFixed(testCase.digits)} (${((row.ours / was.ours) * 100 - 100).toFixed(0)} %)`
    console.log(
      `${testCase.title.padEnd(52)}${number(row.ours)}${number(row.kernel)}  ${row.unit.padEnd(7)}${ratio.padStart(7)}${change}`,
    )
  }
  if (values.json) console.log(JSON.stringify({ machine: machine(), date, rows }, null, 2))
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error))
    process.exit(1)
  },
)
