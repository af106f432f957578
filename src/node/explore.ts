import { mkdtempSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { type SeedFailure, type Property as SimProperty, shortestCounterexample, trySeed } from '../sim/explore.ts'
import { NodeNetwork } from './network.ts'
import { ProgressBar } from './progress.ts'

export type { SeedFailure } from '../sim/explore.ts'

/** What must hold: a function that builds a network, of programs in C's manner or in Node's, runs it, and throws. */
export type Property = SimProperty<NodeNetwork>

/** What programs print is for the timeline. */
const make = (seed: number): NodeNetwork => new NodeNetwork({ seed, quiet: true })

/** How many seeds to try, and where. */
export interface ExploreOptions {
  /** How many; 1000 unless given. */
  readonly seeds?: number
  /** The first of them; 1 unless given. */
  readonly first?: number
  /**
   * The module that calls `explore`: `import.meta.url`. Workers then load it too, with the arguments of this process,
   * and try the seeds in parallel. Without it all are tried in this thread.
   */
  readonly module?: string | URL
  /** Workers; as many as there are processors unless given. */
  readonly workers?: number
  /** Real seconds that one seed may take; 60 unless given. Kept with workers only. */
  readonly timeout?: number
  /** Where the capture of a failing run goes; a new directory for temporary files unless given. */
  readonly directory?: string
  /** Show a bar on standard error? Unless told otherwise where that is a terminal. */
  readonly progress?: boolean
}

/** What came out when all seeds have held. */
export interface ExploreResult {
  readonly seeds: number
  /** Real time, milliseconds. */
  readonly elapsed: number
}

/** Seeds were found for which the property does not hold. */
export class ExploreError extends Error {
  override readonly name = 'ExploreError'
  readonly failures: readonly SeedFailure[]
  /** The seed of the shortest run that fails, and the capture of it. */
  readonly seed: number
  readonly pcapng: string | null

  constructor(message: string, failures: readonly SeedFailure[], seed: number, pcapng: string | null, cause: unknown) {
    super(message, { cause })
    this.failures = failures
    this.seed = seed
    this.pcapng = pcapng
  }
}

/** Lines of a timeline that are printed. */
const MOST_LINES = 60
/** Seeds given to a worker at a time. */
const CHUNK = 10

/**
 * Tries a property with many seeds, in parallel workers where it is told the module.
 * @returns when all seeds have held
 * @throws ExploreError when some have not: its message has the seed whose run is the shortest, how to run it again, the
 * capture's file and the timeline
 * @throws TypeError for wrong options
 */
export const explore = async (options: ExploreOptions, property: Property): Promise<ExploreResult> => {
  const { seeds = 1000, first = 1, workers = availableParallelism(), timeout = 60 } = options
  checkWhole('seeds', seeds, 1)
  checkWhole('first', first, 0)
  checkWhole('workers', workers, 1)
  if (!(timeout > 0)) throw new TypeError(`timeout must be a number of seconds above 0, not ${timeout}`)
  const order = myOrder()
  if (order !== null) return obey(order, property)
  const start = performance.now()
  const bar = new ProgressBar(seeds, options.progress ?? process.stderr.isTTY === true)
  const failures: SeedFailure[] = []
  const tell = (failure: SeedFailure | null): void => {
    if (failure !== null) failures.push(failure)
    bar.advance(failures.length)
  }
  try {
    if (options.module === undefined) {
      for (let seed = first; seed < first + seeds; seed++) tell(await trySeed(property, seed, make))
    } else {
      await new Crew(options.module, { first, seeds, workers, timeout }, tell).run()
    }
  } finally {
    bar.close()
  }
  if (failures.length > 0) throw await describe(failures, options, seeds, property)
  return { seeds, elapsed: performance.now() - start }
}

const checkWhole = (name: string, value: number, least: number): void => {
  if (Number.isSafeInteger(value) && value >= least) return
  throw new TypeError(`${name} must be a whole number from ${least} on, not ${value}`)
}

/** Looks for the failure that is the easiest to read, and writes it all down. */
const describe = async (
  failures: SeedFailure[],
  options: ExploreOptions,
  seeds: number,
  property: Property,
): Promise<ExploreError> => {
  failures.sort((a, b) => a.seed - b.seed)
  const head = `${failures.length} of ${seeds} seeds fail`
  const hung = failures.filter(({ stack }) => stack === HUNG)
  const best = await shortestCounterexample(
    property,
    failures.filter((failure) => !hung.includes(failure)),
    make,
  )
  if (best === null) {
    const [{ seed, message }] = failures as [SeedFailure]
    const why = hung.length > 0 ? '' : '; it holds when run again: it takes time or chance from outside its network'
    return new ExploreError(`${head}. Seed ${seed}: ${message}${why}`, failures, seed, null, undefined)
  }
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'netglass-'))
  const pcapng = join(directory, `seed-${best.seed}.pcapng`)
  writeFileSync(pcapng, best.pcapng)
  const lines = [
    `${head}. The shortest is seed ${best.seed}, at ${Number(best.at.toFixed(3))} ms: ${best.message}`,
    `  run it again: explore({ first: ${best.seed}, seeds: 1 }, …); capture: ${pcapng}`,
    ...best.timeline.lines({ most: MOST_LINES }).map((line) => `  ${line}`),
  ]
  return new ExploreError(lines.join('\n'), failures, best.seed, pcapng, best)
}

/** What a worker is told: which call of `explore` of the module it is there for. */
interface Order {
  readonly netglassExplore: number
}

/** What it says: that it begins with a seed, or what became of one. */
type Report = { readonly begins: number } | { readonly ended: SeedFailure | null }

/** Stands in the place of a stack where a seed did not end. */
const HUNG = 'hung'

/** Calls of `explore` in this thread. */
let calls = 0

/** In a worker that is there to try seeds, its order. */
const myOrder = (): Order | null => {
  calls++
  const order = workerData as Order | null
  return isMainThread || typeof order?.netglassExplore !== 'number' ? null : order
}

/**
 * A worker's part: tries the seeds that it is sent, and never comes back. Calls that it is not there for do nothing.
 */
const obey = (order: Order, property: Property): Promise<ExploreResult> => {
  if (calls !== order.netglassExplore) return Promise.resolve({ seeds: 0, elapsed: 0 })
  const port = parentPort!
  const report = (message: Report): void => port.postMessage(message)
  port.on('message', async ([from, to]: [number, number]) => {
    for (let seed = from; seed < to; seed++) {
      report({ begins: seed })
      report({ ended: await trySeed(property, seed, make) })
    }
  })
  return new Promise(() => {})
}

/** The workers of one exploration, and the seeds that are left. */
class Crew {
  private readonly module: URL
  private readonly timeout: number
  private readonly count: number
  private readonly tell: (failure: SeedFailure | null) => void
  private readonly end: number
  private next: number
  private readonly call = calls
  private readonly employed = new Set<Worker>()

  constructor(
    module: string | URL,
    { first, seeds, workers, timeout }: { first: number; seeds: number; workers: number; timeout: number },
    tell: (failure: SeedFailure | null) => void,
  ) {
    this.module = new URL(module)
    this.next = first
    this.end = first + seeds
    this.timeout = timeout
    this.count = Math.min(workers, Math.ceil(seeds / CHUNK))
    this.tell = tell
  }

  async run(): Promise<void> {
    try {
      await Promise.all(Array.from({ length: this.count }, () => this.employ()))
    } finally {
      for (const worker of this.employed) void worker.terminate()
    }
  }

  /** One worker after the other in one place, until no seeds are left: a seed that hangs costs its worker. */
  private async employ(): Promise<void> {
    for (let range = this.take(); range !== null; ) range = (await this.work(range)) ?? this.take()
  }

  private take(): [number, number] | null {
    if (this.next >= this.end) return null
    const from = this.next
    this.next = Math.min(this.end, from + CHUNK)
    return [from, this.next]
  }

  /**
   * Lets a new worker try seeds until none are left or one of them hangs.
   * @returns seeds of its range that it did not come to
   */
  private work(range: [number, number]): Promise<[number, number] | null> {
    const order: Order = { netglassExplore: this.call }
    // What a worker prints is of no use: it comes from any of many runs.
    const worker = new Worker(this.module, { workerData: order, argv: process.argv.slice(2), stdout: true })
    this.employed.add(worker)
    let [current, last] = range
    return new Promise((resolve, reject) => {
      const dismiss = (rest: [number, number] | null, error?: Error): void => {
        clearTimeout(watch)
        worker.removeAllListeners()
        this.employed.delete(worker)
        void worker.terminate()
        if (error === undefined) resolve(rest)
        else reject(error)
      }
      const leave = (failure: SeedFailure): void => {
        this.tell(failure)
        dismiss(current + 1 < last ? [current + 1, last] : null)
      }
      const watch = setTimeout(() => {
        leave({ seed: current, message: `did not end within ${this.timeout} s`, stack: HUNG })
      }, this.timeout * 1000)
      worker.on('message', (message: Report) => {
        watch.refresh()
        if ('begins' in message) {
          current = message.begins
          return
        }
        this.tell(message.ended)
        if (current + 1 < last) return
        const more = this.take()
        if (more === null) {
          dismiss(null)
          return
        }
        ;[current, last] = more
        worker.postMessage(more)
      })
      worker.on('error', (error) => dismiss(null, error as Error))
      worker.on('exit', (status) => {
        dismiss(null, new Error(`a worker ended by itself (exit status ${status}): does ${this.module} call explore?`))
      })
      worker.postMessage(range)
    })
  }
}
