import { expect, test } from 'vitest'
import { ALL_FAST_PATHS } from '../../core/fast-paths.ts'
import type { BenchCase } from './cases.ts'
import { headLine, measure, median, type Row, rowLine } from './report.ts'

const given = (values: number[]) => async (): Promise<number> => values.shift()!

const testCase = (better: 'higher' | 'lower', ours: number[], kernel: number[] | null): BenchCase => ({
  name: 'x',
  title: 'something',
  unit: 'µs',
  better,
  digits: 1,
  runs: 3,
  warmUp: true,
  ours: given(ours),
  kernel: kernel === null ? null : given(kernel),
})

test('the median of an odd and of an even number', () => {
  expect(median([9, 1, 5])).toBe(5)
  expect(median([9, 1, 5, 6])).toBe(5.5)
})

test('the warm-up does not count, and a ratio above 1 is better whichever way the unit counts', async () => {
  const settings = { without: [], fast: ALL_FAST_PATHS }
  const time = await measure(testCase('lower', [100, 90, 80, 4, 2, 3], [100, 90, 80, 9, 6, 7]), settings, 3)
  expect(time).toEqual({ name: 'x', unit: 'µs', ours: 3, kernel: 7, ratio: 7 / 3, runs: 3 })
  const rate = await measure(testCase('higher', [100, 90, 80, 4, 2, 3], [100, 90, 80, 9, 6, 7]), settings, 3)
  expect(rate.ratio).toBe(3 / 7)
  const alone = await measure(testCase('higher', [100, 90, 80, 4, 2, 3], null), settings, 3)
  expect([alone.kernel, alone.ratio]).toEqual([null, null])
})

test('a line of the table, with what it was before', () => {
  const row: Row = { name: 'x', unit: 'µs', ours: 3, kernel: 7, ratio: 7 / 3, runs: 3 }
  const line = rowLine(testCase('lower', [], null), row, { ...row, ours: 4 })
  expect(line.replace(/ +/g, ' ')).toBe('something 3.0 7.0 µs 2.33 4.0 (-25 %)')
  expect(headLine(true).indexOf('ratio') + 5).toBe(line.indexOf('2.33') + 4)
})
