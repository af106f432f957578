import { expect, test } from 'vitest'
import { assemble, type WasmFunction } from './wasm.ts'

const add: WasmFunction = {
  name: 'add',
  parameters: ['a', 'b'],
  locals: {},
  hasResult: true,
  code: 'local.get $a local.get $b i32.add',
}

test('a module is laid out as section 5.5 of the specification says', () => {
  expect(Buffer.from(assemble([add])).toString('hex')).toBe(
    [
      '0061736d01000000',
      // Types: one function of two i32 that gives an i32.
      '0107 01 60027f7f 017f',
      // Imports: the memory env.memory, of any size.
      '020f 01 03656e76 066d656d6f7279 020000',
      '0302 01 00',
      '0707 01 03616464 0000',
      '0a09 01 07 00 2000 2001 6a 0b',
    ]
      .join('')
      .replaceAll(' ', ''),
  )
})

test('what it makes runs, with constants of every length', () => {
  const values = [0, 63, 64, -64, -65, 8191, 8192, 0x7fff_ffff, -0x8000_0000]
  const constants = values.map((value, index) => ({
    name: `f${index}`,
    parameters: [],
    locals: {},
    hasResult: true,
    code: `i32.const ${value}`,
  }))
  const memory = new WebAssembly.Memory({ initial: 0 })
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(assemble([add, ...constants])), {
    env: { memory },
  })
  const functions = exports as Record<string, (...numbers: number[]) => number>
  expect(functions['add']!(3, 4)).toBe(7)
  expect(values.map((_, index) => functions[`f${index}`]!())).toEqual(values)
})

test('an instruction or a local that there is not is named', () => {
  expect(() => assemble([{ ...add, code: 'i32.multiply' }])).toThrow('add: there is no instruction i32.multiply')
  expect(() => assemble([{ ...add, code: 'local.get $c' }])).toThrow('add: there is no local $c')
})
