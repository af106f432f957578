import { queueBytes } from './grid.ts'
import { ETHERNET_OVERHEAD, transfer, wait, withKernels } from './kernel-link.ts'

/**
 * Cells of the golden grid with the kernel's TCP at both ends: `node --import tsx bench/kernel-grid.ts reno,10,20,1
 * bbr,10,200,0,60` (congestion control, Mbit/s, round trip in ms, loss in percent, seconds).
 */

const PORT = 5201

await withKernels([PORT], async (cable) => {
  for (const argument of process.argv.slice(2)) {
    const [control = '', ...numbers] = argument.split(',')
    const [rate = 0, rtt = 0, loss = 0, seconds = 10] = numbers.map(Number)
    const delay = rtt / 2
    const queue = { queue: 1_000_000, queueBytes: queueBytes({ control, rate, rtt, loss }) }
    cable.bToA.impair({ delay })
    cable.aToB.impair({ delay, rate: rate * 1e6, overhead: ETHERNET_OVERHEAD, loss: loss / 100, ...queue })
    // The server is busy until the last cell's queue is empty.
    await wait(2)
    const { end } = await transfer(control, seconds, PORT)
    console.log(argument, Math.round((end.sum_received.bytes * 8) / 1000 / seconds), 'kbit/s')
  }
})
