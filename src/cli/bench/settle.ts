import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Collects all garbage now, whether or not Node was started with `--expose-gc`. */
export const collectGarbage = (): void => {
  setFlagsFromString('--expose-gc')
  const collect = globalThis.gc ?? (runInNewContext('gc') as () => void)
  collect()
  collect()
}

/** Bytes in use on JavaScript's heap and beside it, once all garbage is gone. */
export const settledBytes = (): number => {
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
