import type { FastPath, FastPaths } from '../../core/fast-paths.ts'
import { SeededRandom } from '../../core/random.ts'
import { World } from '../../core/world.ts'
import { Host } from '../../host/host.ts'
import ourNet from '../../node/net.ts'
import { program, runProgram } from '../../node/program.ts'
import { RealClock, RealTimeDriver } from '../../node/realtime.ts'
import { type Crowd, crowdApart, slowdown } from './crowd.ts'
import * as direct from './direct.ts'
import * as nodeNet from './node-net.ts'
import * as ours from './ours.ts'
import { OFFLOAD } from './pair.ts'
import * as simulated from './simulated.ts'

/** What holds for all cases of a run. */
export interface BenchSettings {
  /** Fast paths to do without, and those that are left. */
  readonly without: readonly FastPath[]
  readonly fast: FastPaths
}

/**
 * What is to be reached: a figure in the case's unit, give or take what runs of the very same differ by, or how many times better
 * than the kernel.
 */
export type Goal = { readonly figure: number; readonly within?: number } | { readonly ratio: number }

/** One row of the table. */
export interface BenchCase {
  readonly name: string
  /** What is measured, for people. */
  readonly title: string
  readonly unit: string
  readonly better: 'higher' | 'lower'
  /** Decimals to print. */
  readonly digits: number
  /** Runs of each, of which the median counts. */
  readonly runs: number
  /** Are there to be runs before, which do not count, so that V8 has compiled what is measured? */
  readonly warmUp: boolean
  readonly goal?: Goal
  ours(settings: BenchSettings): Promise<number>
  /** The kernel's sockets on loopback; null where there is nothing to compare with. */
  readonly kernel: (() => Promise<number>) | null
}

const MEGABYTE = 2 ** 20
const MILLION = 1_000_000

/** Runs a case over node:net with our sockets under it, on the loopback of a host. */
const throughNode = async (fast: FastPaths, body: () => Promise<number>): Promise<number> => {
  const world = new World(new RealClock(), new SeededRandom(1), undefined, fast)
  const driver = new RealTimeDriver(world.loop).ref()
  const host = new Host(world, 'node')
  // The server closes first: TIME_WAIT is on its side, and ports are used again.
  host.tcpSettings.time_wait_ms = 1
  try {
    return await runProgram(program(host), body)
  } finally {
    host.close()
    driver.close()
  }
}

/** Figures of crowds that several cases share, as one takes half a minute: the n-th run of each is of the n-th crowd. */
const ofCrowd = (() => {
  const crowds = new Map<string, Promise<Crowd>>()
  return (figure: (crowd: Crowd) => number): BenchCase['ours'] => {
    let runs = 0
    return async ({ without }) => {
      const name = [runs++, ...without].join(' ')
      const crowd = crowds.get(name) ?? crowdApart(MILLION, without)
      crowds.set(name, crowd)
      return figure(await crowd)
    }
  }
})()

/** The kernel's bulk rate, which stands beside several of ours. */
const kernelBulk = (): Promise<number> => nodeNet.bulk(2048 * MEGABYTE)
const kernelRoundTrip = (): Promise<number> => nodeNet.roundTrip(20_000)
const kernelConnections = (): Promise<number> => nodeNet.connections(5000)

export const CASES: readonly BenchCase[] = [
  {
    name: 'bulk-1500',
    title: 'bulk, MTU 1500, checksums computed and verified',
    unit: 'Gbit/s',
    better: 'higher',
    digits: 2,
    runs: 5,
    warmUp: true,
    goal: { figure: 8 },
    ours: ({ fast }) => ours.bulk(1024 * MEGABYTE, { fast }),
    kernel: kernelBulk,
  },
  {
    name: 'bulk-64k',
    title: 'bulk, segments of 64 KB',
    unit: 'Gbit/s',
    better: 'higher',
    digits: 2,
    runs: 5,
    warmUp: true,
    goal: { figure: 40 },
    ours: ({ fast }) => ours.bulk(2048 * MEGABYTE, { cable: OFFLOAD, fast }),
    kernel: kernelBulk,
  },
  {
    name: 'round-trip',
    title: 'round trip of 64 bytes',
    unit: 'µs',
    better: 'lower',
    digits: 2,
    runs: 5,
    warmUp: true,
    goal: { figure: 3 },
    ours: ({ fast }) => ours.roundTrip(100_000, { fast }),
    kernel: kernelRoundTrip,
  },
  {
    name: 'connections',
    title: 'connect, one byte, close',
    unit: '1/s',
    better: 'higher',
    digits: 0,
    runs: 5,
    warmUp: true,
    goal: { figure: 100_000 },
    ours: ({ fast }) => ours.connections(20_000, { fast }),
    kernel: kernelConnections,
  },
  {
    name: 'many',
    title: '10,000 connections (kernel: 5,000) at once, 1 KB echoed on each',
    unit: '1/s',
    better: 'higher',
    digits: 0,
    runs: 3,
    warmUp: true,
    ours: ({ fast }) => ours.many(10_000, 20, { fast }),
    // Each end is a descriptor of this process, and they are limited.
    kernel: () => nodeNet.many(5000, 4),
  },
  {
    name: 'datagrams',
    title: 'UDP datagrams of 64 bytes',
    unit: '1/s',
    better: 'higher',
    digits: 0,
    runs: 5,
    warmUp: true,
    ours: ({ fast }) => ours.datagrams(200_000, { fast }),
    kernel: () => nodeNet.datagrams(50_000),
  },
  {
    name: 'forwarding',
    title: 'packets of 64 bytes through a router',
    unit: '1/s',
    better: 'higher',
    digits: 0,
    runs: 5,
    warmUp: true,
    ours: async ({ fast }) => direct.forwarding(1_000_000, fast),
    kernel: null,
  },
  {
    name: 'simulated',
    title: 'segments simulated, 20 ms, 1 Gbit/s, each received by itself',
    unit: '1/s',
    better: 'higher',
    digits: 0,
    runs: 5,
    warmUp: true,
    ours: ({ without }) => simulated.simulatedSegments(1024 * MEGABYTE, 1, without),
    kernel: null,
  },
  {
    name: 'simulated-batches',
    title: 'the same, received 64 KB at a time',
    unit: '1/s',
    better: 'higher',
    digits: 0,
    runs: 5,
    warmUp: true,
    ours: ({ without }) => simulated.simulatedSegments(1024 * MEGABYTE, 64 * 1024, without),
    kernel: null,
  },
  {
    name: 'lossy',
    title: '20 ms, 1 Gbit/s, losing 1 %: data in virtual time',
    unit: 'Mbit/s',
    better: 'higher',
    digits: 2,
    runs: 1,
    warmUp: false,
    ours: ({ without }) => simulated.lossy(16 * MEGABYTE, without),
    kernel: null,
  },
  {
    name: 'allocation',
    title: 'garbage that a segment of bulk leaves, beside the calls',
    unit: 'bytes',
    better: 'lower',
    digits: 0,
    runs: 1,
    warmUp: false,
    goal: { figure: 0 },
    ours: async ({ fast }) => direct.allocation({ fast }),
    kernel: null,
  },
  {
    name: 'idle-memory',
    title: 'memory of one end of an idle connection',
    unit: 'bytes',
    better: 'lower',
    digits: 0,
    runs: 1,
    warmUp: false,
    goal: { figure: 1024 },
    ours: ({ fast }) => ours.idleMemory(20_000, { fast }),
    kernel: () => nodeNet.idleMemory(2000),
  },
  {
    name: 'million-memory',
    title: 'memory of each of the 1,000,000 connections of a server',
    unit: 'bytes',
    better: 'lower',
    digits: 0,
    runs: 1,
    warmUp: false,
    ours: ofCrowd(({ bytes }) => bytes),
    kernel: null,
  },
  {
    name: 'million-resident',
    title: 'memory of the whole process that has them',
    unit: 'MB',
    better: 'lower',
    digits: 0,
    runs: 1,
    warmUp: false,
    goal: { figure: 1500 },
    ours: ofCrowd(({ resident }) => resident / 1e6),
    kernel: null,
  },
  {
    name: 'million-setup',
    title: 'connect, one byte, close: time with them open, beside ten open',
    unit: 'times',
    better: 'lower',
    digits: 2,
    runs: 5,
    warmUp: false,
    // With ten open it takes up to 5 % more or less from one process to the next, and before and after the crowd in the same.
    goal: { figure: 1, within: 0.05 },
    ours: ofCrowd(({ calls }) => slowdown(calls)),
    kernel: null,
  },
  {
    name: 'million-server',
    title: 'the same of the server alone, from a bare client, without calls',
    unit: 'times',
    better: 'lower',
    digits: 2,
    runs: 5,
    warmUp: false,
    ours: ofCrowd(({ server }) => slowdown(server)),
    kernel: null,
  },
  {
    name: 'node-bulk',
    title: 'bulk through node:net, loopback',
    unit: 'Gbit/s',
    better: 'higher',
    digits: 2,
    runs: 5,
    warmUp: true,
    ours: ({ fast }) => throughNode(fast, () => nodeNet.bulk(1024 * MEGABYTE)),
    kernel: kernelBulk,
  },
  {
    name: 'node-round-trip',
    title: 'round trip of 64 bytes through node:net',
    unit: 'µs',
    better: 'lower',
    digits: 2,
    runs: 5,
    warmUp: true,
    ours: ({ fast }) => throughNode(fast, () => nodeNet.roundTrip(20_000)),
    kernel: kernelRoundTrip,
  },
  {
    name: 'node-connections',
    title: 'connect, one byte, close through node:net',
    unit: '1/s',
    better: 'higher',
    digits: 0,
    runs: 5,
    warmUp: true,
    ours: ({ fast }) => throughNode(fast, () => nodeNet.connections(5000)),
    kernel: kernelConnections,
  },
  {
    name: 'net-bulk',
    title: 'bulk through netglass/net, loopback',
    unit: 'Gbit/s',
    better: 'higher',
    digits: 2,
    runs: 5,
    warmUp: true,
    goal: { ratio: 1 },
    ours: ({ fast }) => throughNode(fast, () => nodeNet.bulk(1024 * MEGABYTE, ourNet)),
    kernel: kernelBulk,
  },
  {
    name: 'net-round-trip',
    title: 'round trip of 64 bytes through netglass/net',
    unit: 'µs',
    better: 'lower',
    digits: 2,
    runs: 5,
    warmUp: true,
    goal: { ratio: 2 },
    ours: ({ fast }) => throughNode(fast, () => nodeNet.roundTrip(20_000, ourNet)),
    kernel: kernelRoundTrip,
  },
  {
    name: 'net-connections',
    title: 'connect, one byte, close through netglass/net',
    unit: '1/s',
    better: 'higher',
    digits: 0,
    runs: 5,
    warmUp: true,
    goal: { ratio: 3 },
    ours: ({ fast }) => throughNode(fast, () => nodeNet.connections(5000, ourNet)),
    kernel: kernelConnections,
  },
]
