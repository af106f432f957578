import { describe, expect, test } from 'vitest'
import { type Case, formatCase, type Kind, parseCases, pick } from './case.ts'
import { attempt, Fuzzer, minimize, shrink } from './fuzzer.ts'
import { KINDS } from './kinds.ts'
import { corpusOf } from './worker.ts'

describe.each(Object.keys(KINDS))('the corpus of %s', (name) => {
  const cases = corpusOf(name)

  test('is not empty', () => {
    expect(cases.length).toBeGreaterThan(0)
  })

  test('holds what went wrong once, and what leads far: all goes well', { timeout: 120_000 }, async () => {
    const failures: string[] = []
    for (const { played, note, file } of cases) {
      const failure = await attempt(KINDS[name]!.kind, played)
      if (failure !== null) failures.push(`${file} ${note}: ${failure.message}\n${failure.stack}`)
    }
    expect(failures).toEqual([])
  })

  test('fresh inputs of one seed', { timeout: 60_000 }, async () => {
    const fuzzer = new Fuzzer(KINDS[name]!.kind, 1)
    while (fuzzer.inputs < 1000) expect(await fuzzer.next()).toBe(null)
    expect(fuzzer.reached.size).toBeGreaterThan(20)
  })
})

/** Goes wrong when a 7 has come, and later a 3; and tells which numbers came. */
const planted: Kind<number, number> = {
  name: 'planted',
  longest: 30,
  setup: (random) => random.below(2),
  step: (random) => pick(random, [0, 1, 2, 3, 4, 5, 6, 7]),
  run: ({ steps }, seen) => {
    let armed = false
    for (const [i, step] of steps.entries()) {
      seen.step = i
      seen.reach(`n${step}`)
      if (step === 7) armed = true
      if (step === 3 && armed) throw new Error(`3 came after 7 at ${i}`)
    }
  },
}
const kind = planted as unknown as Kind

describe('the fuzzer', () => {
  test('finds what is wrong, and makes it small', async () => {
    const fuzzer = new Fuzzer(kind, 5)
    let failure = null
    while (failure === null) failure = await fuzzer.next()
    expect((await shrink(kind, failure)).played.steps).toEqual([7, 3])
  })

  test('the same seed plays the same cases', async () => {
    const play = async (seed: number): Promise<string> => {
      const fuzzer = new Fuzzer(kind, seed)
      let text = ''
      fuzzer.onCase = (played) => {
        text += formatCase('planted', played)
      }
      for (let i = 0; i < 20; i++) await fuzzer.next()
      return text
    }
    expect(await play(9)).toBe(await play(9))
    expect(await play(9)).not.toBe(await play(10))
  })

  test('keeps what reaches something first, cut behind that', async () => {
    const fuzzer = new Fuzzer(kind, 1)
    await fuzzer.play({ setup: 0, steps: [1, 1, 2, 1] })
    await fuzzer.play({ setup: 0, steps: [2, 1] })
    await fuzzer.play({ setup: 0, steps: [2, 4] })
    expect(fuzzer.corpus.map(({ played }) => played.steps)).toEqual([
      [1, 1, 2],
      [2, 4],
    ])
  })

  test('makes a corpus small that reaches the same', async () => {
    const cases: Case[] = [
      { setup: 0, steps: [1, 1, 1, 2] },
      { setup: 0, steps: [1] },
      { setup: 0, steps: [5, 6] },
    ]
    const small = await minimize(kind, cases, () => true)
    expect(small.map(({ steps }) => steps).sort()).toEqual([
      [1, 2],
      [5, 6],
    ])
  })

  test('cases are read as they were written', () => {
    const played = { setup: { a: [1] }, steps: [{ b: 'x y' }, 3] }
    const text = formatCase('some', played, 'why\nand when') + formatCase('other', { setup: null, steps: [] })
    expect(parseCases(text)).toEqual([
      { kind: 'some', note: 'why\nand when', played },
      { kind: 'other', note: '', played: { setup: null, steps: [] } },
    ])
    expect(() => parseCases('some {"a"\n')).toThrow('the case that ends before line')
  })
})
