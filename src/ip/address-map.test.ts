import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AddressMap, addressHash } from './address-map.ts'

const key = fc.tuple(
  fc.integer({ min: 0, max: 1 }),
  fc.constant(0),
  fc.constantFrom(0, 0xffff),
  fc.integer({ min: 0, max: 40 }),
  fc.integer({ min: 0, max: 2 }),
)

test('keeps to the model through growth and removal', () => {
  const step = fc.record({ key, remove: fc.boolean() })
  fc.assert(
    fc.property(fc.integer(), fc.array(step, { maxLength: 300 }), (seed, steps) => {
      const map = new AddressMap<string>(seed)
      const model = new Map<string, string>()
      steps.forEach(({ key: k, remove }, i) => {
        if (remove) expect(map.delete(...k)).toBe(model.delete(`${k}`))
        else {
          map.set(...k, `value ${i}`)
          model.set(`${k}`, `value ${i}`)
        }
        expect(map.size).toBe(model.size)
      })
      for (const { key: k } of steps) expect(map.get(...k)).toBe(model.get(`${k}`))
      expect(map.values().sort()).toEqual([...model.values()].sort())
      expect(Array.from({ length: map.capacity }, (_, i) => map.at(i)).filter((v) => v !== undefined).length).toBe(
        map.size,
      )
    }),
  )
})

test('clear forgets everything', () => {
  const map = new AddressMap<number>(1)
  for (let i = 0; i < 100; i++) map.set(0, 0, 0, i, 0, i)
  map.clear()
  expect([map.size, map.get(0, 0, 0, 7, 0), map.values()]).toEqual([0, undefined, []])
  map.set(0, 0, 0, 7, 0, 8)
  expect(map.get(0, 0, 0, 7, 0)).toBe(8)
})

test('the hash depends on each word and on the seed, and spreads neighbouring addresses', () => {
  const base = addressHash(1, 2, 3, 4, 5, 6)
  const others = [
    addressHash(0, 2, 3, 4, 5, 6),
    addressHash(1, 0, 3, 4, 5, 6),
    addressHash(1, 2, 0, 4, 5, 6),
    addressHash(1, 2, 3, 0, 5, 6),
    addressHash(1, 2, 3, 4, 0, 6),
    addressHash(1, 2, 3, 4, 5, 0),
  ]
  for (const other of others) expect(other).not.toBe(base)
  const buckets = new Array(64).fill(0)
  for (let i = 0; i < 6400; i++) buckets[addressHash(0, 0, 0xffff, 0x0a00_0000 + i, 1, 99) & 63]++
  // 100 each on the average, with a standard deviation of 10.
  expect(Math.min(...buckets)).toBeGreaterThan(50)
  expect(Math.max(...buckets)).toBeLessThan(150)
})
