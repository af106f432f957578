/** A day of the Gregorian calendar; `month` from 1 to 12. */
export interface CalendarDate {
  readonly year: number
  readonly month: number
  readonly day: number
}

/** Days from the first of March of year 0 to the first of January of 1970, and days in 400 years. */
const EPOCH = 719_468
const ERA = 146_097

/**
 * The date of a day, counted from the first of January of 1970, before it too. Years begin in March while it is
 * computed, so that leap days end a year.
 */
export const dateOfDay = (days: number): CalendarDate => {
  const era = Math.floor((days + EPOCH) / ERA)
  const dayOfEra = days + EPOCH - era * ERA
  const leapDays = Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / 146_096)
  const yearOfEra = Math.floor((dayOfEra - leapDays) / 365)
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const march = Math.floor((5 * dayOfYear + 2) / 153)
  const month = ((march + 2) % 12) + 1
  return {
    year: yearOfEra + era * 400 + (month < 3 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * march + 2) / 5) + 1,
  }
}

/** Two decimal digits, as of a time. */
export const twoDigits = (value: number): string => String(value).padStart(2, '0')

/** `13:37:05`: seconds since midnight, whole ones. */
export const clockTime = (seconds: number): string =>
  `${twoDigits(Math.floor(seconds / 3600))}:${twoDigits(Math.floor(seconds / 60) % 60)}:${twoDigits(seconds % 60)}`
