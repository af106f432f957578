import { expect, test } from 'vitest'
import { ALL_FAST_PATHS } from '../../core/fast-paths.ts'
import type { BenchCase, Goal } from './cases.ts'
import { goalLine, headLine, measure, median, type Row, rowLine } from './report.ts'

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

const ROW: Row = {
  name: 'x',
  unit: 'µs',
  ours: 3,
  kernel: 7,
  ratio: 7 / 3,
  runs: 1,
  each: { ours: [3], kernel: [7] },
  reached: null,
}

test('the median of an odd and of an even number', () => {
  expect(median([9, 1, 5])).toBe(5)
  expect(median([9, 1, 5, 6])).toBe(5.5)
})

test('the warm-up does not count, and a ratio above 1 is better whichever way the unit counts', async () => {
  const settings = { without: [], fast: ALL_FAST_PATHS }
  const time = await measure(testCase('lower', [100, 90, 80, 4, 2, 3], [100, 90, 80, 9, 6, 7]), settings, 3)
  const each = { ours: [4, 2, 3], kernel: [9, 6, 7] }
  expect(time).toEqual({ name: 'x', unit: 'µs', ours: 3, kernel: 7, ratio: 7 / 3, runs: 3, each, reached: null })
  const rate = await measure(testCase('higher', [100, 90, 80, 4, 2, 3], [100, 90, 80, 9, 6, 7]), settings, 3)
  expect(rate.ratio).toBe(3 / 7)
  const alone = await measure(testCase('higher', [100, 90, 80, 4, 2, 3], null), settings, 3)
  expect([alone.kernel, alone.ratio]).toEqual([null, null])
})

test('a line of the table, with what it was before', () => {
  const row: Row = { ...ROW, ours: 3 }
  const line = rowLine(testCase('lower', [], null), row, { ...row, ours: 4 })
  expect(line.replace(/ +/g, ' ')).toBe('something 3.0 7.0 µs 2.33 4.0 (-25 %, better)')
  expect(headLine(true).indexOf('ratio') + 5).toBe(line.indexOf('2.33') + 4)
  expect(headLine(true).indexOf('was')).toBe(line.indexOf('4.0'))
  expect(rowLine(testCase('higher', [], null), row, { ...row, ours: 4 })).toMatch(/ 4\.0 \(-25 %, worse\)$/)
  expect(rowLine(testCase('higher', [], null), row, { ...row, ours: 2 })).toMatch(/ 2\.0 \(\+50 %, better\)$/)
  expect(rowLine(testCase('lower', [], null), row, { ...row, ours: 0 })).toMatch(/ 0\.0$/)
})

test('a goal is a figure, or a ratio to the kernel’s, and judged as printed', async () => {
  const settings = { without: [], fast: ALL_FAST_PATHS }
  const judged = async (better: 'higher' | 'lower', ours: number, kernel: number | null, goal: Goal) => {
    const warm = (value: number): number[] => [value, value, value, value]
    const wanted = { ...testCase(better, warm(ours), kernel === null ? null : warm(kernel)), goal }
    const row = await measure(wanted, settings, 1)
    return [row.reached, rowLine(wanted, row, undefined).split(/ {2,}/).at(-1)]
  }
  expect(await judged('higher', 7.96, null, { figure: 8 })).toEqual([true, '8'])
  expect(await judged('higher', 7.94, null, { figure: 8 })).toEqual([false, '8 missed'])
  expect(await judged('lower', 3.04, 9, { figure: 3 })).toEqual([true, '3'])
  expect(await judged('lower', 3.06, 9, { figure: 3 })).toEqual([false, '3 missed'])
  expect(await judged('lower', 3.24, null, { figure: 3, within: 0.2 })).toEqual([true, '3 ± 0.2'])
  expect(await judged('lower', 3.26, null, { figure: 3, within: 0.2 })).toEqual([false, '3 ± 0.2 missed'])
  expect(await judged('higher', 2.84, null, { figure: 3, within: 0.2 })).toEqual([true, '3 ± 0.2'])
  expect(await judged('lower', 3, 6, { ratio: 2 })).toEqual([true, 'ratio 2'])
  expect(await judged('lower', 3, 5.9, { ratio: 2 })).toEqual([false, 'ratio 2 missed'])
  expect(await judged('lower', 3, null, { ratio: 2 })).toEqual([null, 'ratio 2'])
})

test('the goals in a line', () => {
  const rows = [true, false, null].map((reached, i) => ({ ...ROW, name: `case${i}`, reached }))
  expect(goalLine(rows)).toBe('1 of 2 goals reached; not: case1')
  expect(goalLine(rows.slice(0, 1))).toBe('1 of 1 goals reached')
  expect(goalLine(rows.slice(2))).toBe('')
})
