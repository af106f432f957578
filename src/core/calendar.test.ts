import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dateOfDay } from './calendar.ts'

describe('the date of a day since 1970', () => {
  test('around leap days, and before 1970', () => {
    const dates = [0, -1, 58, 59, 11_015, 11_016, 11_017, 20_513].map(dateOfDay)
    expect(dates.map(({ year, month, day }) => `${year}-${month}-${day}`)).toEqual([
      '1970-1-1',
      '1969-12-31',
      '1970-2-28',
      '1970-3-1',
      '2000-2-28',
      '2000-2-29',
      '2000-3-1',
      '2026-3-1',
    ])
  })

  test('is what Date says', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1_000_000, max: 1_000_000 }), (days) => {
        const date = new Date(days * 86_400_000)
        expect(dateOfDay(days)).toEqual({
          year: date.getUTCFullYear(),
          month: date.getUTCMonth() + 1,
          day: date.getUTCDate(),
        })
      }),
    )
  })
})
