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
