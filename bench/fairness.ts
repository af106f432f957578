import { Network } from '../src/sim/network.ts'
import { sink, source } from './grid.ts'

/** Of ACKs, milliseconds. */
const JITTER = 1

/** How flows that share a bottleneck divide it. */
export interface Contest {
  /** The congestion control of each flow. */
  readonly controls: readonly string[]
  /** Megabits per second, and milliseconds. */
  readonly rate: number
  readonly rtt: number
  /** Seconds between the beginnings of two flows, until measuring begins, and measured. */
  readonly apart: number
  readonly settle: number
  readonly measured: number
  /** Where chance begins; 1 unless given. */
  readonly seed?: number
}

/** @returns each flow's share of what all of them got, percent, and what all got together, percent of the link */
export const contest = async ({
  controls,
  rate,
  rtt,
  apart,
  settle,
  measured,
  seed = 1,
}: Contest): Promise<[number[], number]> => {
  const network = new Network({ seed })
  const sender = network.host('sender')
  const receiver = network.host('receiver')
  const link = network.link(sender, receiver, { delay: rtt / 2 })
  const queueBytes = Math.max(30_000, (rate * 1e6 * rtt) / 8000)
  link.cable.aToB.impair({ delay: rtt / 2, rate: rate * 1e6, queue: 1_000_000, queueBytes })
  // A little jitter, as real hosts have: without it, whose packets meet the full queue is a matter of phase.
  link.cable.bToA.impair({ delay: rtt / 2, jitter: JITTER })
  const bytes = controls.map(() => 0)
  for (const [i, control] of controls.entries()) {
    receiver.spawn(
      `sink ${i}`,
      sink(5001 + i, (count) => {
        bytes[i]! += count
      }),
    )
    sender.spawn(`source ${i}`, async (sys) => {
      await sys.sleep(i * apart)
      await source('10.0.0.2', 5001 + i, control)(sys)
    })
  }
  await network.run(settle * 1000)
  const before = [...bytes]
  await network.run(measured * 1000)
  network.close()
  const got = bytes.map((count, i) => count - before[i]!)
  const total = got.reduce((sum, count) => sum + count, 0)
  const percent = (part: number, whole: number): number => Math.round((part / whole) * 1000) / 10
  return [got.map((count) => percent(count, total)), percent(total * 8, rate * 1e6 * measured)]
}
