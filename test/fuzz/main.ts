import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parseCases } from './case.ts'
import { attempt } from './fuzzer.ts'
import { KINDS, kindNamed } from './kinds.ts'
import { CORPUS, type Order, type Report } from './worker.ts'

/**
 * `npm run fuzz`: plays inputs to the stack until something is wrong, or the time is over. What goes wrong is made as
 * small as it can be and written into the corpus, where every later run plays it first.
 */

const USAGE = `usage: npm run fuzz -- [options] [FILE...]
  --kind KIND     ${Object.keys(KINDS).join(', ')}, or all of them (default)
  --inputs N      how many inputs to play, over all kinds
  --seconds N     how long to play (default 60 unless --inputs is given)
  --seed S        where chance begins (default: another one each time)
  --jobs N        processes (default 2)
  --keep          writes the corpus anew, with what was reached first in this run
  FILE            plays the cases in files, as the corpus has them, and nothing else`

/** A process that says nothing for so long hangs, milliseconds. */
const SILENCE = 60_000

interface Result {
  inputs: number
  reached: Set<string>
  corpus: string
  failed: boolean
}

const fail = (message: string): never => {
  console.error(`${message}\n${USAGE}`)
  process.exit(2)
}

const options = (): { values: Record<string, string | boolean | undefined>; positionals: string[] } => {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        kind: { type: 'string' },
        inputs: { type: 'string' },
        seconds: { type: 'string' },
        seed: { type: 'string' },
        jobs: { type: 'string' },
        keep: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    })
  } catch (error) {
    return fail((error as Error).message)
  }
}

const numberOf = (name: string, text: string | boolean | undefined, otherwise: number): number => {
  if (text === undefined) return otherwise
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) fail(`--${name} takes a whole number, not ${text}`)
  return value
}

/** Plays the cases of files. @returns whether all went well */
const playFiles = async (files: readonly string[]): Promise<boolean> => {
  let isGood = true
  for (const file of files) {
    for (const { kind, played, note } of parseCases(readFileSync(file, 'utf8'))) {
      const failure = await attempt(kindNamed(kind), played)
      console.log(
        `${file}: ${kind}${note === '' ? '' : ` (${note.replaceAll('\n', ', ')})`}: ${failure?.message ?? 'ok'}`,
      )
      if (failure === null) continue
      isGood = false
      console.log(failure.stack)
    }
  }
  return isGood
}

/** Writes a failing case into the corpus. @returns the file */
const writeFailure = (kind: string, text: string): string => {
  const file = join(CORPUS, `${kind}-${createHash('sha1').update(text).digest('hex').slice(0, 8)}.txt`)
  writeFileSync(file, text)
  return file
}

/** Runs one process to its end. */
const runWorker = (order: Order, begun: number): Promise<Result> =>
  new Promise((resolve) => {
    const child = fork(new URL('worker.ts', import.meta.url), [JSON.stringify(order)], {
      execArgv: ['--import', 'tsx'],
    })
    const result: Result = { inputs: 0, reached: new Set(), corpus: '', failed: false }
    let isOver = false
    let heard = Date.now()
    const reportFailure = (message: string, stack: string, text: string, kept: string | null): void => {
      result.failed = true
      isOver = true
      const file = kept ?? writeFailure(order.kind, text)
      console.log(`FAILED ${order.kind}, seed ${order.seed}: ${message}\n${stack}\n\n${text}kept in ${file}`)
    }
    const watch = setInterval(() => {
      if (Date.now() - heard < SILENCE) return
      reportFailure('it hangs', '', readFileSync(order.current, 'utf8'), null)
      child.kill('SIGKILL')
    }, 1000)
    child.on('message', (report: Report) => {
      heard = Date.now()
      if (report.type === 'progress') result.inputs = report.inputs
      else if (report.type === 'failure') reportFailure(report.message, report.stack, report.text, report.kept)
      else {
        result.inputs = report.inputs
        result.reached = new Set(report.reached)
        result.corpus = report.corpus
        isOver = true
        const rate = Math.round((report.inputs * 1000) / (Date.now() - begun))
        console.log(
          `${order.kind}: ${report.inputs} inputs in ${report.cases} cases, ${rate}/s, seed ${order.seed}, ${report.reached.length} reached`,
        )
      }
    })
    child.on('exit', (code, signal) => {
      clearInterval(watch)
      if (!isOver) reportFailure(`it ended with ${code ?? signal}`, '', readFileSync(order.current, 'utf8'), null)
      resolve(result)
    })
  })

/** What of the names reached says more than the counters: states and the reasons to drop in them. */
const summary = (reached: ReadonlySet<string>): string => {
  const names = [...reached]
  const count = (test: RegExp): number => names.filter((name) => test.test(name)).length
  return `${count(/ to /)} changes of state, ${new Set(names.flatMap((name) => /^drop .*?([a-z0-9-]+)$/.exec(name)?.[1] ?? [])).size} reasons to drop`
}

const main = async (): Promise<boolean> => {
  const { values, positionals } = options()
  if (values['help'] === true) {
    console.log(USAGE)
    return true
  }
  if (positionals.length > 0) return playFiles(positionals)
  const chosen =
    values['kind'] === undefined || values['kind'] === 'all' ? Object.keys(KINDS) : [String(values['kind'])]
  for (const name of chosen)
    if (KINDS[name] === undefined) fail(`--kind is ${Object.keys(KINDS).join(', ')} or all, not ${name}`)
  const inputs = numberOf('inputs', values['inputs'], Number.POSITIVE_INFINITY)
  const seconds = numberOf('seconds', values['seconds'], values['inputs'] === undefined ? 60 : Number.POSITIVE_INFINITY)
  const seed = numberOf('seed', values['seed'], Date.now() % 1_000_000_000)
  const jobs = Math.max(1, numberOf('jobs', values['jobs'], 2))
  const shares = chosen.reduce((sum, name) => sum + KINDS[name]!.share, 0)
  const folder = mkdtempSync(join(tmpdir(), 'netglass-fuzz-'))
  console.log(`seed ${seed}`)
  const begun = Date.now()
  let total = 0
  let failed = false
  for (const name of chosen) {
    const share = KINDS[name]!.share / shares
    const started = Date.now()
    const results = await Promise.all(
      Array.from({ length: jobs }, (_, job) =>
        runWorker(
          {
            kind: name,
            seed: seed + job,
            // JSON has no infinity.
            inputs: Math.min(Number.MAX_SAFE_INTEGER, Math.ceil((inputs * share) / jobs)),
            seconds: Math.min(1e9, seconds * share),
            current: join(folder, `${name}-${job}`),
            keep: values['keep'] === true && job === 0,
          },
          started,
        ),
      ),
    )
    const reached = new Set(results.flatMap((result) => [...result.reached]))
    total += results.reduce((sum, result) => sum + result.inputs, 0)
    console.log(`${name}: ${reached.size} names reached: ${summary(reached)}`)
    if (values['keep'] === true && results[0]!.corpus !== '')
      writeFileSync(join(CORPUS, `${name}.txt`), results[0]!.corpus)
    failed ||= results.some((result) => result.failed)
  }
  rmSync(folder, { recursive: true })
  const time = (Date.now() - begun) / 1000
  console.log(
    `${total} inputs in ${time.toFixed(1)} s, ${Math.round(total / time)}/s, seed ${seed}: ${failed ? 'FAILED' : 'ok'}`,
  )
  return !failed
}

process.exitCode = (await main()) ? 0 : 1
