import { expect, test } from 'vitest'
import { DROP_REASONS, Drop, dropName } from './drop.ts'

test('every reason has a number of its own, and a name that says which layer it belongs to', () => {
  const names = Object.keys(Drop)
  expect(names.length).toBe(DROP_REASONS)
  expect(Object.values(Drop)).toEqual(names.map((_, index) => index))
  for (const name of names) {
    expect(dropName(Drop[name as keyof typeof Drop])).toBe(name)
    expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/)
  }
  expect(Drop.none).toBe(0)
})
