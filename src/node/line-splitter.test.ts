import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LineSplitter } from './line-splitter.ts'

test('LineSplitter: lines come out whole however they were cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\n', ' '))),
      fc.array(fc.nat(20)),
      (lines, cuts) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''))
        const splitter = new LineSplitter(10_000)
        const out: string[] = []
        let at = 0
        for (const cut of [...cuts, bytes.length]) {
          out.push(...splitter.push(bytes.subarray(at, at + cut))!)
          at += cut
        }
        expect(out).toEqual(lines.map((line) => Buffer.from(line).toString()))
      },
    ),
  )
})

test('LineSplitter: a line of the limit passes, a longer one does not', () => {
  const splitter = new LineSplitter(5)
  expect(splitter.push(Buffer.from('12345\n'))).toEqual(['12345'])
  expect(splitter.push(Buffer.from('123456'))).toBe(null)
  expect(new LineSplitter(5).push(Buffer.from('123456\n'))).toBe(null)
})
