import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { IP_VERSIONS, runPacketdrill } from './index.ts'

/** Scripts with mistakes in them: each has a result, none hangs, and nothing is thrown. */

const folder = join(import.meta.dirname, '../../test/conformance')
const scripts = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.pkt'))
  .map((name) => readFileSync(join(folder, name), 'utf8'))

const NUMBERS = ['0', '-1', '65536', '4294967296', '99999999999', '100000000000000000000', '0x']

/** Something that goes wrong while a script is written, at a place between 0 and 1. */
const mistake = fc.tuple(
  fc.double({ min: 0, max: 1, noNaN: true }),
  fc.oneof(
    fc.record({ cut: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ insert: fc.string({ maxLength: 4 }) }),
    fc.record({ number: fc.constantFrom(...NUMBERS) }),
  ),
)

const withMistake = (text: string, [where, what]: [number, object]): string => {
  const at = Math.floor(where * text.length)
  if ('cut' in what) return text.slice(0, at) + text.slice(at + (what.cut as number))
  if ('insert' in what) return text.slice(0, at) + what.insert + text.slice(at)
  return text.slice(0, at) + text.slice(at).replace(/\d+/, (what as { number: string }).number)
}

it('runs a script with mistakes to some result', async () => {
  const outcomes = new Set<string>()
  const property = fc.asyncProperty(
    fc.constantFrom(...scripts),
    fc.array(mistake, { minLength: 1, maxLength: 3 }),
    fc.constantFrom(...IP_VERSIONS),
    async (script, mistakes, ipVersion) => {
      const { outcome, reason } = await runPacketdrill(mistakes.reduce(withMistake, script), null, { ipVersion })
      outcomes.add(outcome)
      expect(reason === '').toBe(outcome === 'passed')
    },
  )
  await fc.assert(property, { numRuns: 300, seed: 1 })
  expect([...outcomes].sort()).toEqual(['failed', 'passed', 'unsupported'])
})
