import { execFile } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { FastPath } from '../../core/fast-paths.ts'
import { Failure } from '../failure.ts'
import { type BenchCase, CASES } from './cases.ts'
import { occasion, type Report } from './report.ts'

/** What each fast path brings: a case with it and without it, turn by turn, in processes of their own. */

/** The cases in which each of them counts. Those of devices are measured by bench/tun.ts. */
const WHERE: { readonly [Path in FastPath]: readonly string[] } = {
  wasm: ['bulk-1500'],
  'copy-checksum': ['bulk-1500'],
  'checksum-offload': ['bulk-64k', 'node-bulk'],
  'segmentation-offload': ['bulk-64k'],
  'input-cache': ['bulk-1500', 'forwarding'],
  'destination-cache': ['round-trip', 'bulk-1500'],
  'plain-links': ['bulk-1500', 'round-trip'],
  batches: ['bulk-1500', 'datagrams'],
  'header-prediction': ['round-trip', 'bulk-1500', 'connections'],
  'lazy-timers': ['bulk-1500', 'round-trip'],
  'record-reuse': ['bulk-1500', 'round-trip'],
  'block-reuse': ['round-trip'],
  'queue-memory': ['bulk-1500', 'bulk-64k'],
  'short-copies': ['connections'],
  'view-reuse': ['round-trip'],
  'state-reuse': ['connections'],
  'pair-hashes': ['connections'],
  'call-reuse': ['round-trip', 'connections'],
  handover: ['round-trip', 'connections'],
  'call-turns': ['round-trip', 'connections'],
  microturns: ['round-trip', 'connections'],
  inlining: ['bulk-1500', 'round-trip', 'connections'],
  'early-code': [],
  'event-ticks': ['net-round-trip', 'net-connections'],
  ticks: ['simulated'],
  spin: [],
  'stream-reads': [],
  'poll-handles': [],
}

/** Runs of each, with and without. */
const RUNS = 3

/**
 * Prints a row for each fast path and case, as a table in Markdown.
 * @param chosen only these fast paths; all unless there are some
 * @param cases these in place of those in which each counts
 */
export const ablate = async (
  chosen: readonly FastPath[],
  cases: readonly BenchCase[] | null,
  runs: number | null,
): Promise<void> => {
  const rounds = runs ?? RUNS
  console.log(`${occasion()}: the best of ${rounds} runs of each\n`)
  console.log('| without | case | unit | with | without | times |\n|---|---|---|---|---|---|')
  for (const [path, names] of Object.entries(WHERE) as [FastPath, readonly string[]][]) {
    if (chosen.length > 0 && !chosen.includes(path)) continue
    for (const testCase of cases ?? CASES.filter(({ name }) => names.includes(name))) {
      console.log(await row(path, testCase, rounds))
    }
  }
}

const row = async (path: FastPath, testCase: BenchCase, rounds: number): Promise<string> => {
  const on: number[] = []
  const off: number[] = []
  for (let round = 0; round < rounds; round++) {
    on.push(await inProcess(testCase, ''))
    off.push(await inProcess(testCase, path))
  }
  // What else the machine does makes runs slower, never faster.
  const isHigher = testCase.better === 'higher'
  const best = (values: readonly number[]): number => (isHigher ? Math.max(...values) : Math.min(...values))
  const [fast, slow] = [best(on), best(off)]
  const times = isHigher ? fast / slow : slow / fast
  const number = (value: number): string =>
    value.toLocaleString('en', { minimumFractionDigits: testCase.digits, maximumFractionDigits: testCase.digits })
  return `| ${path} | ${testCase.name} | ${testCase.unit} | ${number(fast)} | ${number(slow)} | ${times.toFixed(2)} |`
}

const run = promisify(execFile)

/** One run of a case in a new process: what V8 has learnt of the one way is not for the other. */
const inProcess = async ({ name }: BenchCase, without: string): Promise<number> => {
  const main = fileURLToPath(new URL(`../main${extname(import.meta.url)}`, import.meta.url))
  // With Node's streams above it there is five times as much that V8 has to learn first.
  const runs = name.startsWith('net-') ? '5' : '1'
  const args = [...process.execArgv, main, 'bench', '--case', name, '--runs', runs, '--no-kernel', '--json']
  try {
    const { stdout } = await run(process.execPath, [...args, '--without', without])
    return (JSON.parse(stdout) as Report).rows[0]!.ours
  } catch (error) {
    throw new Failure(`${name} without ${without || 'nothing'} has failed: ${(error as Error).message}`)
  }
}
