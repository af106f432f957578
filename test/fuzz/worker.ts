import { ftruncateSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { formatCase, type KeptCase, parseCases } from './case.ts'
import { type Failure, Fuzzer, minimize, shrink } from './fuzzer.ts'
import { kindNamed } from './kinds.ts'

/** A process that plays inputs of one kind, as `main.ts` tells it, and tells that what comes of it. */

/** What it is to do. */
export interface Order {
  readonly kind: string
  readonly seed: number
  readonly inputs: number
  readonly seconds: number
  /** The file into which the case that is being played is written. */
  readonly current: string
  /** Is the corpus to be made anew in the end, of what was there and what was found? */
  readonly keep: boolean
}

/** What it tells. */
export type Report =
  | { readonly type: 'progress'; readonly inputs: number; readonly reached: number }
  /** `kept` is the file of the corpus that the case stands in already; null for a new one. */
  | {
      readonly type: 'failure'
      readonly message: string
      readonly stack: string
      readonly text: string
      readonly kept: string | null
    }
  | {
      readonly type: 'done'
      readonly inputs: number
      readonly cases: number
      readonly reached: string[]
      readonly corpus: string
    }

export const CORPUS = fileURLToPath(new URL('corpus', import.meta.url))

/** Every case of a kind in the corpus, with the file that it stands in. */
export const corpusOf = (kind: string): (KeptCase & { readonly file: string })[] =>
  readdirSync(CORPUS)
    .filter((name) => name.endsWith('.txt'))
    .flatMap((file) => parseCases(readFileSync(join(CORPUS, file), 'utf8')).map((kept) => ({ ...kept, file })))
    .filter((kept) => kept.kind === kind)

/** How long a new corpus is made smaller, milliseconds. */
const MINIMIZE_TIME = 60_000

const run = async (order: Order): Promise<void> => {
  const kind = kindNamed(order.kind)
  const fuzzer = new Fuzzer(kind, order.seed)
  const current = openSync(order.current, 'w')
  fuzzer.onCase = (played) => {
    const text = formatCase(kind.name, played)
    ftruncateSync(current)
    writeSync(current, text, 0)
  }
  let told = 0
  const tell = async (): Promise<void> => {
    if (Date.now() - told < 500) return
    told = Date.now()
    await send({ type: 'progress', inputs: fuzzer.inputs, reached: fuzzer.reached.size })
    await new Promise((resolve) => setImmediate(resolve))
  }
  for (const { played, note, file } of corpusOf(kind.name)) {
    const failure = await fuzzer.play(played)
    if (failure !== null) return fail(failure, formatCase(kind.name, played, note), file)
    await tell()
  }
  const replayed = fuzzer.inputs
  const deadline = Date.now() + order.seconds * 1000
  while (fuzzer.inputs - replayed < order.inputs && Date.now() < deadline) {
    await tell()
    const failure = await fuzzer.next()
    if (failure === null) continue
    const small = await shrink(kind, failure, tell)
    const note = `seed ${order.seed}\n${small.message}`
    return fail(small, formatCase(kind.name, small.played, note), null)
  }
  const kept = fuzzer.corpus.map(({ played }) => played)
  const enough = Date.now() + MINIMIZE_TIME
  const cases = order.keep ? await minimize(kind, kept, () => Date.now() < enough, tell) : []
  await send({
    type: 'done',
    inputs: fuzzer.inputs,
    cases: fuzzer.cases,
    reached: [...fuzzer.reached],
    corpus: cases.map((played) => formatCase(kind.name, played)).join(''),
  })
}

/** Resolves when the report is on its way: what is not when the process ends is lost. */
const send = (report: Report): Promise<void> =>
  new Promise((resolve) => {
    process.send?.(report, undefined, undefined, () => resolve())
  })

const fail = ({ message, stack }: Failure, text: string, kept: string | null): Promise<void> =>
  send({ type: 'failure', message, stack, text, kept })

if (process.argv[2] !== undefined && process.send !== undefined) {
  await run(JSON.parse(process.argv[2]) as Order)
  process.disconnect()
}
