import { expect, test } from 'vitest'
import { evaluate, runCode } from './python.ts'
import { Unsupported } from './script.ts'

test.each([
  ['1 + 2 * 3', 7],
  ['1 <= 2 <= 2', 1],
  ['3 <= 2 <= 5', 0],
  ['(x & 0x20) != 0', 1],
  ['0xffffffff | 0', 4294967295],
  ['-7 // 2', -4],
  ['-7 % 4', 1],
  ['not 1 or 5', 5],
  ["'%d of %d' % (1, x)", '1 of 33'],
])('%s is %s', (text, value) => {
  expect(evaluate(text, new Map([['x', 33]]))).toBe(value)
})

test('variables stay, and the first assertion that fails is told', () => {
  const names = new Map<string, number>([['tcpi_snd_cwnd', 11]])
  expect(runCode('cwnd = 10 # so far\nprint(cwnd); cwnd += 1', names)).toBeNull()
  expect(runCode('assert tcpi_snd_cwnd == cwnd, tcpi_snd_cwnd', names)).toBeNull()
  expect(runCode("assert cwnd == 12, 'cwnd=%d' % cwnd", names)).toBe(
    "assert cwnd == 12, 'cwnd=%d' % cwnd, which tells cwnd=11",
  )
})

test('what is not known is no pass', () => {
  expect(() => runCode('assert tcpi_nothing == 0', new Map())).toThrow(Unsupported)
  expect(() => runCode('import os', new Map())).toThrow(Unsupported)
})
