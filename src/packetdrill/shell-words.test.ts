import { describe, expect, it } from 'vitest'
import { parseShell } from './shell-words.ts'

const words = (text: string): string[][] =>
  parseShell(text).flatMap(({ commands }) => commands.map((command) => [...command.words]))

describe('the shell of scripts', () => {
  it.each([
    ['a b\nc', [['a', 'b'], ['c']]],
    ['a; b && c || d', [['a'], ['b'], ['c'], ['d']]],
    ['a | b -x', [['a'], ['b', '-x']]],
    ['a=0\\\n  b=1', [['a=0', 'b=1']]],
    ['# nothing\n#!/bin/bash\na # the rest', [['a']]],
    ['a="1 2 $((15*1024*1024))"', [['a=1 2 15728640']]],
    ["a='x y'", [['a=x y']]],
    ['a > /dev/null 2>&1', [['a']]],
    ['a &> /dev/null', [['a']]],
    ['', []],
  ])('%j', (text, expected) => {
    expect(words(text)).toEqual(expected)
  })

  it('says how commands hang together, and where output goes', () => {
    expect(parseShell('a > f || b && c')).toEqual([
      { commands: [{ words: ['a'], output: 'f' }], after: ';', hasAlternative: true },
      { commands: [{ words: ['b'], output: null }], after: '||', hasAlternative: false },
      { commands: [{ words: ['c'], output: null }], after: '&&', hasAlternative: false },
    ])
  })

  it('refuses what it does not know', () => {
    expect(() => parseShell('a < b')).toThrow('the shell command')
    expect(() => parseShell('a=$((x*2))')).toThrow('the shell arithmetic x*2')
  })
})
