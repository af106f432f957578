import fc from 'fast-check'

/**
 * What `TEST_SEED` and `TEST_RUNS` in the environment ask of properties: the seed that those without one of their own
 * draw from, which is chance unless given and which a failure prints, and how many inputs those try that do not say it.
 */
const whole = (name: string): number | undefined => {
  const text = process.env[name]
  if (text === undefined) return undefined
  if (!/^\d{1,9}$/.test(text)) throw new Error(`${name} must be a whole number of up to nine digits, not ${text}`)
  return Number(text)
}

const seed = whole('TEST_SEED')
const numRuns = whole('TEST_RUNS')
fc.configureGlobal({ ...(seed !== undefined && { seed }), ...(numRuns !== undefined && { numRuns }) })
