import { type FastPath, fastPaths } from '../../core/fast-paths.ts'
import { tuneV8 } from '../../node/v8.ts'
import type { BenchSettings } from './cases.ts'

/** What a process that measures begins with: which fast paths there are, and V8 set as they say. */
export const settingsWithout = (without: readonly FastPath[]): BenchSettings => {
  const fast = fastPaths(without)
  if (fast.inlining) tuneV8()
  return { without, fast }
}
