import * as kernel from './kernel.ts'
import * as ours from './ours.ts'
import { OFFLOAD } from './pair.ts'

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
  ours(): Promise<number>
  /** The kernel's sockets on loopback; null where there is nothing to compare with. */
  readonly kernel: (() => Promise<number>) | null
}

const MEGABYTE = 2 ** 20

export const CASES: readonly BenchCase[] = [
  {
    name: 'bulk-1500',
    title: 'bulk, MTU 1500, checksums computed and verified',
    unit: 'Gbit/s',
    better: 'higher',
    digits: 2,
    runs: 5,
    ours: () => ours.bulk(512 * MEGABYTE, {}),
    kernel: () => kernel.bulk(2048 * MEGABYTE),
  },
  {
    name: 'bulk-64k',
    title: 'bulk, segments of 64 KB',
    unit: 'Gbit/s',
    better: 'higher',
    digits: 2,
    runs: 5,
    ours: () => ours.bulk(2048 * MEGABYTE, OFFLOAD),
    kernel: () => kernel.bulk(2048 * MEGABYTE),
  },
  {
    name: 'round-trip',
    title: 'round trip of 64 bytes',
    unit: 'µs',
    better: 'lower',
    digits: 2,
    runs: 5,
    ours: () => ours.roundTrip(100_000),
    kernel: () => kernel.roundTrip(20_000),
  },
  {
    name: 'connections',
    title: 'connect, one byte, close',
    unit: '1/s',
    better: 'higher',
    digits: 0,
    runs: 5,
    ours: () => ours.connections(20_000),
    kernel: () => kernel.connections(5_000),
  },
  {
    name: 'idle-memory',
    title: 'memory of one end of an idle connection',
    unit: 'bytes',
    better: 'lower',
    digits: 0,
    runs: 1,
    ours: () => ours.idleMemory(20_000),
    kernel: () => kernel.idleMemory(2_000),
  },
]
