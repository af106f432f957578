import { describe, expect, it } from 'vitest'
import { parseOptions, UsageError } from './options.ts'

const SPEC = {
  short: 'abp:',
  long: { all: 'a', numeric: 'n', 'numeric-hosts': 'numeric-hosts', 'protocol:': 'p', inet: '4', ip: '4' },
} as const
const parse = (line: string, untilOperand = false) => {
  const { options, operands } = parseOptions('tool', SPEC, line === '' ? [] : line.split(' '), untilOperand)
  return { options: options.map(({ name, value }) => (value === '' ? name : `${name}=${value}`)).join(' '), operands }
}

describe('parseOptions', () => {
  it.each([
    ['', '', []],
    ['-ab', 'a b', []],
    ['-a x -b', 'a b', ['x']],
    ['-apx', 'a p=x', []],
    ['-ap x y', 'a p=x', ['y']],
    ['--all --protocol=x', 'a p=x', []],
    ['--protocol x', 'p=x', []],
    ['--al --prot x', 'a p=x', []],
    ['--numeric', 'n', []],
    ['--numeric-h', 'numeric-hosts', []],
    ['--i', '4', []],
    ['-a -- -b', 'a', ['-b']],
    ['-', '', ['-']],
  ])('%s', (line, options, operands) => {
    expect(parse(line)).toEqual({ options, operands })
  })

  it('stops at the first operand where it is told to', () => {
    expect(parse('-a x -b', true)).toEqual({ options: 'a', operands: ['x', '-b'] })
  })

  it.each([
    ['-z', "tool: invalid option -- 'z'"],
    ['-:', "tool: invalid option -- ':'"],
    ['-p', "tool: option requires an argument -- 'p'"],
    ['--zero', "tool: unrecognized option '--zero'"],
    ['--num', "tool: option '--num' is ambiguous; possibilities: '--numeric' '--numeric-hosts'"],
    ['--all=1', "tool: option '--all' doesn't allow an argument"],
    ['--protocol', "tool: option '--protocol' requires an argument"],
  ])('refuses %s', (line, message) => {
    expect(() => parse(line)).toThrow(new UsageError(message))
  })
})
