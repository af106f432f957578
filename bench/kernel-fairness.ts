import { ETHERNET_OVERHEAD, transfer, wait, withKernels } from './kernel-link.ts'

/**
 * How two flows of the kernel's TCP share a bottleneck, as `bench/fairness.ts` has it of ours: `node --import tsx
 * bench/kernel-fairness.ts cubic,reno,10,20` (both congestion controls, Mbit/s, round trip in ms). The first begins
 * three seconds before the second; what is sent from the 30th to the 90th second counts.
 */

const PORTS = [5201, 5202] as const
const APART = 3
const SETTLE = 30
const MEASURED = 60

await withKernels(PORTS, async (cable) => {
  for (const argument of process.argv.slice(2)) {
    const [first = '', second = '', ...numbers] = argument.split(',')
    const [rate = 0, rtt = 0] = numbers.map(Number)
    const delay = rtt / 2
    const queue = { queue: 1_000_000, queueBytes: Math.max(30_000, (rate * 1e6 * rtt) / 8000) }
    cable.bToA.impair({ delay })
    cable.aToB.impair({ delay, rate: rate * 1e6, overhead: ETHERNET_OVERHEAD, ...queue })
    await wait(2)
    const flows = await Promise.all(
      [first, second].map(async (control, i) => {
        await wait(i * APART)
        const { intervals } = await transfer(control, SETTLE + MEASURED - i * APART, PORTS[i]!)
        return intervals.slice(SETTLE - i * APART).reduce((sum, interval) => sum + interval.sum.bytes, 0)
      }),
    )
    const total = flows[0]! + flows[1]!
    const shares = flows.map((bytes) => `${((bytes / total) * 100).toFixed(1)} %`).join(' / ')
    console.log(argument, shares, `of ${((total * 8) / MEASURED / rate / 10_000).toFixed(1)} % of the link`)
  }
})
