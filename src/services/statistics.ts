/** Measurements of one thing: how many, their mean, and how far they are spread. */
export interface Summary {
  readonly count: number
  readonly mean: number
  /** The standard deviation of a sample: the sum of squares over `count` - 1. 0 for one measurement. */
  readonly deviation: number
  readonly least: number
  readonly most: number
}

/** @throws RangeError without any measurement */
export const summarize = (values: readonly number[]): Summary => {
  if (values.length === 0) throw new RangeError('there is nothing to summarize')
  let mean = 0
  let squares = 0
  let least = Number.POSITIVE_INFINITY
  let most = Number.NEGATIVE_INFINITY
  // Welford's way: the squares are of differences, so that nothing cancels.
  values.forEach((value, index) => {
    const before = value - mean
    mean += before / (index + 1)
    squares += before * (value - mean)
    least = Math.min(least, value)
    most = Math.max(most, value)
  })
  return { count: values.length, mean, deviation: Math.sqrt(squares / Math.max(1, values.length - 1)), least, most }
}
