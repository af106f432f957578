/**
 * What stands for the words that people write, by those words:
 * without a prototype, so that `constructor` is none of them.
 */
export const tableOf = <T>(entries: Readonly<Record<string, T>>): Readonly<Record<string, T>> =>
  Object.assign(Object.create(null) as Record<string, T>, entries)
