import { writeFileSync } from 'node:fs'
import { CELLS, type Cell, measure, table } from './grid.ts'

/** `npm run golden`: measures the grid and writes test/golden/goodput.txt, for a change that is meant to move it. */
const results = new Map<Cell, number>()
for (const cell of CELLS) {
  const start = performance.now()
  results.set(cell, await measure(cell))
  console.error(
    `${cell.control} ${cell.rate} Mbit/s ${cell.rtt} ms ${cell.loss} %: ${results.get(cell)} kbit/s, ${((performance.now() - start) / 1000).toFixed(1)} s`,
  )
}
writeFileSync(new URL('../test/golden/goodput.txt', import.meta.url), table(results))
