import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { CELLS, type Cell, measure, table } from '../../bench/grid.ts'

/** A change that moves these figures has to show in review: `npm run golden` writes them anew. */
it('goodput over loss, round-trip time and rate is what test/golden/goodput.txt says', {
  timeout: 600_000,
}, async () => {
  const results = new Map<Cell, number>()
  for (const cell of CELLS) results.set(cell, await measure(cell))
  expect(table(results)).toBe(readFileSync(new URL('./goodput.txt', import.meta.url), 'utf8'))
})
