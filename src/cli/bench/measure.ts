import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { CableOptions } from '../../link/cable.ts'
import { tuneV8 } from '../../node/v8.ts'
import { SERVER_DESIGNS } from '../../services/echo-designs.ts'
import { dataRate, type TesterFigures } from '../../services/echo-tester.ts'
import { type Summary, summarize } from '../../services/statistics.ts'
import { Failure } from '../failure.ts'
import { addExamples } from '../help.ts'
import { KernelSide } from './kernel.ts'
import * as ours from './measurements.ts'
import { OFFLOAD } from './pair.ts'
import { type BarGroup, bars, plot } from './plot.ts'
import { machine, occasion, today } from './report.ts'

/** `netglass bench measure`: tables with means and standard deviations, and plots, of both sides in the same run. */

interface MeasureOptions {
  readonly only?: readonly string[]
  readonly runs: string
  readonly json?: true
  readonly plot?: string
}

/** Both sides at one point. */
interface Point {
  /** Bytes of a buffer, or a server's design. */
  readonly x: number | string
  readonly ours: Summary
  readonly kernel: Summary | null
}

/** One table, and one plot. */
interface Table {
  readonly name: string
  readonly title: string
  /** What else there is to know of it. */
  readonly note?: string
  /** What a mean is of. */
  readonly each: 'run' | 'client' | 'request'
  /** What the other side is called; the kernel unless given. */
  readonly rival?: string
  readonly xTitle: string
  readonly unit: string
  /** Why the kernel's side is missing. */
  readonly without: string | null
  readonly points: readonly Point[]
}

/** Something that is measured over a range of sizes. */
interface Curve {
  readonly name: string
  readonly title: string
  readonly note?: string
  readonly rival?: string
  readonly xTitle: string
  readonly unit: string
  readonly sizes: readonly number[]
  readonly ours: (size: number) => Promise<number> | number
  readonly kernel: (side: KernelSide, size: number) => Promise<number>
  readonly without: (side: KernelSide) => string | null
}

const doubling = (from: number, to: number): number[] => (from > to ? [] : [from, ...doubling(2 * from, to)])

const BUFFERS = doubling(1024, 512 * 1024)
const COPIES = doubling(4, 1024)

/** Bytes that take a tenth of a second or so, whatever the buffer. */
const amount = (buffer: number): number => Math.min(256 * 2 ** 20, Math.max(128 * 2 ** 20, buffer * 16_384))
const times = (size: number): number => Math.round(1e8 / (size + 40))

/** @param cable ours; null for the loopback of one host */
const throughput = (name: string, title: string, cable: CableOptions | null, note?: string): Curve => ({
  name,
  title,
  ...(note === undefined ? {} : { note }),
  xTitle: 'buffer',
  unit: 'Gbit/s',
  sizes: BUFFERS,
  ours: (size) => ours.stream(size, amount(size), cable),
  kernel: (side, size) => side.stream(size, amount(size), cable !== null),
  without: (side) => (cable === null ? side.without : side.withoutLink),
})

const CURVES: readonly Curve[] = [
  throughput('host', 'Throughput on one host', null),
  throughput(
    'link',
    'Throughput across a link, MTU 1500',
    {},
    'ours cuts segments, computes and verifies checksums; veth passes 64 KB on unsummed',
  ),
  throughput('offload', 'Throughput across a link that takes 64 KB, unsummed, as veth does', OFFLOAD),
  {
    name: 'pipe',
    title: 'Throughput of a pipe',
    xTitle: 'buffer',
    unit: 'Gbit/s',
    sizes: BUFFERS,
    ours: (size) => ours.pipe(size, amount(size)),
    kernel: (side, size) => side.pipe(size, amount(size)),
    without: (side) => side.without,
  },
  {
    name: 'copy',
    title: 'Memory: into a queue and out of it',
    note: 'beside memcpy in C, which checks nothing, nor goes round the end of a ring',
    rival: 'memcpy',
    xTitle: 'transfer',
    unit: 'GB/s',
    sizes: COPIES,
    ours: (size) => ours.copy(size, times(size)),
    kernel: (side, size) => side.copy(size, times(size)),
    without: (side) => side.without,
  },
]

const SERVERS = 'servers'
const NAMES = [...CURVES.map(({ name }) => name), SERVERS]

const append = (value: string, before: readonly string[] = []): string[] => [...before, value]

export const addMeasureCommand = (bench: Command): void => {
  const command = bench
    .command('measure')
    .summary('tables and plots: throughput by buffer size, pipes, copies, seven servers')
    .description(
      'Measures throughput against buffer size on one host and across a link, pipes, copies in memory, and seven designs of ' +
        'an echo server, over this stack and over the kernel turn by turn: means and standard deviations. The kernel ' +
        'needs a C compiler; its link needs root.',
    )
    .option('--only <name>', `one of ${NAMES.join(', ')}; may be given again`, append)
    .option('--runs <number>', 'runs of each point', '5')
    .option('--json', 'print the figures as JSON')
    .option('--plot <directory>', 'draw each table, as SVG')
    .action(measure)
  addExamples(command, 'netglass bench measure --only host --only pipe --runs 3', 'netglass bench measure --plot plots')
}

const measure = async (options: MeasureOptions): Promise<void> => {
  const only = options.only ?? NAMES
  const wrong = only.find((name) => !NAMES.includes(name))
  if (wrong !== undefined) throw new Failure(`--only ${wrong}: choose from ${NAMES.join(', ')}`)
  const runs = Number(options.runs)
  if (!Number.isInteger(runs) || runs < 1)
    throw new Failure(`--runs ${options.runs}: it takes a whole number from 1 on`)
  tuneV8()
  const tables: Table[] = []
  const show = (table: Table): void => {
    tables.push(table)
    if (!options.json) console.log(`\n${tableText(table, runs)}`)
  }
  if (!options.json) console.log(occasion())
  const side = new KernelSide()
  try {
    for (const curve of CURVES) if (only.includes(curve.name)) show(await measureCurve(curve, side, runs))
    if (only.includes(SERVERS)) for (const table of await measureServers(side, runs)) show(table)
  } finally {
    side.close()
  }
  if (options.json) console.log(JSON.stringify({ machine: machine(), date: today(), runs, tables }, null, 2))
  if (options.plot !== undefined) draw(options.plot, tables)
}

const measureCurve = async (curve: Curve, side: KernelSide, runs: number): Promise<Table> => {
  const { sizes, ours: mineAt, kernel: theirsAt, without: withoutAt, ...told } = curve
  const without = withoutAt(side)
  const points: Point[] = []
  for (const size of sizes) {
    // V8 compiles first: what small buffers need is not what large ones do.
    await mineAt(size)
    const mine: number[] = []
    const theirs: number[] = []
    for (let run = 0; run < runs; run++) {
      mine.push(await mineAt(size))
      if (without === null) theirs.push(await theirsAt(side, size))
    }
    points.push({ x: size, ours: summarize(mine), kernel: without === null ? summarize(theirs) : null })
  }
  return { ...told, each: 'run', without, points }
}

/** The tester's clients, requests of each, and bytes of a request. */
const CLIENTS = 50
const REQUESTS = 100
const SIZE = 1024

/** What is made of the tester's figures: a table each. */
const ASPECTS: readonly (Pick<Table, 'name' | 'title' | 'each' | 'unit'> & {
  readonly note?: string
  readonly of: (figures: TesterFigures) => number[]
})[] = [
  {
    name: 'connect',
    title: 'time to connect',
    note: 'not to be compared: all of ours connect in one turn',
    each: 'client',
    unit: 'µs',
    of: ({ connect }) => connect,
  },
  {
    name: 'latency',
    title: 'latency, until the first answer begins',
    each: 'client',
    unit: 'µs',
    of: ({ latency }) => latency,
  },
  { name: 'response', title: 'response time', each: 'request', unit: 'µs', of: ({ response }) => response },
  {
    name: 'rate',
    title: 'data rate of all clients',
    each: 'run',
    unit: 'Mbit/s',
    of: (figures) => [dataRate(figures)],
  },
]

const measureServers = async (side: KernelSide, runs: number): Promise<Table[]> => {
  const { without } = side
  const mine: TesterFigures[][] = []
  const theirs: TesterFigures[][] = []
  for (const design of SERVER_DESIGNS) {
    await ours.servers(design, CLIENTS, REQUESTS, SIZE)
    const [own, other]: [TesterFigures[], TesterFigures[]] = [[], []]
    for (let run = 0; run < runs; run++) {
      own.push(await ours.servers(design, CLIENTS, REQUESTS, SIZE))
      if (without !== null) continue
      other.push(JSON.parse(await side.servers(design.name, CLIENTS, REQUESTS, SIZE)) as TesterFigures)
    }
    mine.push(own)
    theirs.push(other)
  }
  const service = `${CLIENTS} clients, ${REQUESTS} requests of ${SIZE} bytes`
  return ASPECTS.map(({ name, title, note, each, unit, of }) => ({
    name: `${SERVERS}-${name}`,
    title: `Echo servers: ${title}`,
    note: note === undefined ? service : `${service}; ${note}`,
    each,
    xTitle: 'design',
    unit,
    without,
    points: SERVER_DESIGNS.map((design, index) => ({
      x: design.name,
      ours: summarize(mine[index]!.flatMap(of)),
      kernel: without === null ? summarize(theirs[index]!.flatMap(of)) : null,
    })),
  }))
}

const sizeText = (bytes: number): string => (bytes < 1024 ? `${bytes} B` : `${bytes / 1024} KiB`)
const pointText = (x: number | string): string => (typeof x === 'number' ? sizeText(x) : x)

/** Three digits that count. */
const figure = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3))
/** One value has no deviation. */
const spread = ({ count, mean, deviation }: Summary): string =>
  count === 1 ? figure(mean) : `${figure(mean)} ± ${figure(deviation)}`

const countOf = (count: number, what: string): string =>
  `${count.toLocaleString('en')} ${what}${count === 1 ? '' : 's'}`

/** A table as text. The ratio says how many times the kernel's figure ours is. */
export const tableText = (table: Table, runs: number): string => {
  const { title, note, each, rival = 'kernel', xTitle, unit, without, points } = table
  const ofRuns = each === 'run' ? '' : ` in ${countOf(runs, 'run')}`
  const less = unit === 'µs' ? ', less is better' : ''
  const lines = [
    `${title}, ${unit}${less}: mean ± standard deviation of ${countOf(points[0]!.ours.count, each)}${ofRuns}`,
  ]
  if (note !== undefined) lines.push(`(${note})`)
  if (without !== null) lines.push(`(the kernel's is missing: ${without})`)
  lines.push(`${xTitle.padEnd(12)}${'netglass'.padEnd(20)}${rival.padEnd(20)}netglass / ${rival}`)
  for (const { x, ours: mine, kernel } of points) {
    const theirs = kernel === null ? '–' : spread(kernel)
    const ratio = kernel === null ? '–' : (mine.mean / kernel.mean).toFixed(2)
    lines.push(`${pointText(x).padEnd(12)}${spread(mine).padEnd(20)}${theirs.padEnd(20)}${ratio}`)
  }
  return lines.join('\n')
}

const draw = (directory: string, tables: readonly Table[]): void => {
  mkdirSync(directory, { recursive: true })
  for (const table of tables) writeFileSync(join(directory, `measure-${table.name}.svg`), picture(table))
}

/** A table as an SVG. */
export const picture = ({ title, note = '', rival = 'kernel', xTitle, unit, points }: Table): string => {
  const sides = [
    ['netglass', (point: Point) => point.ours],
    [rival, (point: Point) => point.kernel],
  ] as const
  const shown = sides.filter(([, of]) => points.every((point) => of(point) !== null))
  if (typeof points[0]?.x === 'string') {
    const groups: BarGroup[] = points.map((point) => ({
      name: String(point.x),
      values: shown.map(([, of]) => of(point)!),
    }))
    return bars(
      { title, note, unit },
      shown.map(([name]) => name),
      groups,
    )
  }
  const series = shown.map(([name, of]) => ({
    name,
    points: points.map((point) => [Number(point.x), of(point)!.mean, of(point)!.deviation] as const),
  }))
  return plot({ title, note, unit }, xTitle, series, { base: 2, label: sizeText })
}
