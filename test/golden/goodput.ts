import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { CELLS, type Cell, measure, table } from '../../bench/grid.ts'

/**
 * Measures the grid again, as far as it loses segments or does not, and compares it with test/golden/goodput.txt. A change that
 * moves these figures has to show in review: `npm run golden` writes them anew.
 */
export const compareGoodput = async (lossy: boolean): Promise<void> => {
  const results = new Map<Cell, number>()
  for (const cell of CELLS) if (cell.loss > 0 === lossy) results.set(cell, await measure(cell))
  const lines = (text: string): string[] =>
    text.split('\n').filter((line) => Number(line.trim().split(/\s+/)[2]) > 0 === lossy)
  const golden = lines(readFileSync(new URL('./goodput.txt', import.meta.url), 'utf8'))
  expect(lines(table(results))).toEqual(golden)
}
