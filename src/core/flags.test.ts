import { expect, test } from 'vitest'
import { packFlags } from './flags.ts'

class Base {
  bits = 0
  declare first: boolean
  declare second: boolean

  static {
    packFlags(Base.prototype, ['first', 'second'])
  }
}

class Derived extends Base {
  declare last: boolean

  static {
    packFlags(Derived.prototype, ['last'], 29)
  }
}

test('each is a bit of its own, set and cleared by itself', () => {
  const flagged = new Derived()
  expect([flagged.first, flagged.second, flagged.last]).toEqual([false, false, false])
  flagged.second = true
  flagged.last = true
  expect(flagged.bits).toBe(2 + 2 ** 29)
  expect([flagged.first, flagged.second, flagged.last]).toEqual([false, true, true])
  flagged.second = false
  expect([flagged.first, flagged.second, flagged.last]).toEqual([false, false, true])
  expect(Object.keys(flagged)).toEqual(['bits'])
})

test('what does not fit into the number is refused', () => {
  const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `flag${i}`)
  expect(() => packFlags(Object.create(null), names(10), 20)).not.toThrow()
  expect(() => packFlags(Object.create(null), names(11), 20)).toThrow(
    new RangeError('no room for flag10: its bit is 30 or above'),
  )
  expect(() => packFlags(Object.create(null), names(3), 10, 12)).toThrow(/no room for flag2/)
})
