import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { prefixMask } from '../wire/address.ts'
import { PrefixTrie } from './trie.ts'

type Words = readonly [number, number, number, number]

interface Entry {
  readonly words: Words
  readonly length: number
}

const masked = ([a, b, c, d]: Words, length: number): Words => [
  a & prefixMask(length),
  b & prefixMask(length - 32),
  c & prefixMask(length - 64),
  d & prefixMask(length - 96),
]

const matches = (entry: Entry, words: Words): boolean => {
  const network = masked(words, entry.length)
  return masked(entry.words, entry.length).every((word, i) => word === network[i])
}

// Words of few different bits, so that prefixes nest and addresses hit.
const word = fc.oneof(fc.constantFrom(0, -1, 1, 0x8000_0000 | 0, 0x0f0f_0f0f, 0x7fff_ffff), fc.integer())
const words = fc.tuple(word, word, word, word)
const entry: fc.Arbitrary<Entry> = fc.record({ words, length: fc.integer({ min: 0, max: 128 }) })

describe('PrefixTrie against a list', () => {
  test('finds the longest prefix, and all shorter ones from there', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 40 }), fc.array(words, { maxLength: 20 }), (entries, lookups) => {
        const trie = new PrefixTrie<Entry>()
        const model = new Map<string, Entry>()
        for (const e of entries) {
          trie.set(...e.words, e.length, e)
          model.set(`${masked(e.words, e.length)}/${e.length}`, e)
        }
        expect(trie.size).toBe(model.size)
        for (const w of [...lookups, ...entries.map((e) => e.words)]) {
          const expected = [...model.values()].filter((e) => matches(e, w)).sort((a, b) => b.length - a.length)
          const found: Entry[] = []
          for (let node = trie.find(...w); node !== null; node = node.shorter()) found.push(node.value!)
          expect(found).toEqual(expected)
        }
      }),
    )
  })

  test('set, delete and get keep to the model', () => {
    const step = fc.record({ entry, remove: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const trie = new PrefixTrie<Entry>()
        const model = new Map<string, Entry>()
        for (const { entry: e, remove } of steps) {
          const key = `${masked(e.words, e.length)}/${e.length}`
          if (remove) expect(trie.delete(...e.words, e.length)).toBe(model.delete(key))
          else {
            trie.set(...e.words, e.length, e)
            model.set(key, e)
          }
          expect(trie.get(...e.words, e.length)?.value ?? null).toBe(model.get(key) ?? null)
          expect(trie.size).toBe(model.size)
        }
        expect(new Set(trie.values())).toEqual(new Set(model.values()))
      }),
    )
  })
})

test('an empty trie, the default route and a host route', () => {
  const trie = new PrefixTrie<string>()
  expect(trie.find(1, 2, 3, 4)).toBeNull()
  trie.set(0, 0, 0, 0, 0, 'default')
  trie.set(1, 2, 3, 4, 128, 'host')
  expect(trie.find(1, 2, 3, 4)!.value).toBe('host')
  expect(trie.find(1, 2, 3, 5)!.value).toBe('default')
  expect(trie.delete(0, 0, 0, 0, 0)).toBe(true)
  expect(trie.find(1, 2, 3, 5)).toBeNull()
  expect(trie.delete(0, 0, 0, 0, 0)).toBe(false)
})

test('values come in order: shorter prefixes before what they contain, then by address', () => {
  const trie = new PrefixTrie<string>()
  trie.set(0, 0, 0, 0x0a00_0200, 120, '10.0.2.0/24')
  trie.set(0, 0, 0, 0x0a00_0000, 104, '10.0.0.0/8')
  trie.set(0, 0, 0, 0x0a00_0100, 120, '10.0.1.0/24')
  trie.set(0, 0, 0, 0xc0a8_0000 | 0, 112, '192.168.0.0/16')
  expect(trie.values()).toEqual(['10.0.0.0/8', '10.0.1.0/24', '10.0.2.0/24', '192.168.0.0/16'])
})

test('10,000 routes: no look-up visits many nodes', () => {
  const trie = new PrefixTrie<number>()
  let state = 12345
  const next = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0
    return state ^ (state >>> 15)
  }
  for (let i = 0; i < 10_000; i++) trie.set(0, 0, 0xffff, next(), 96 + 8 + (i % 25), i)
  let most = 0
  for (let i = 0; i < 10_000; i++) {
    let depth = 0
    for (let node = trie.find(0, 0, 0xffff, next()); node !== null; node = node.parent) depth++
    most = Math.max(most, depth)
  }
  expect(most).toBeLessThan(30)
})
