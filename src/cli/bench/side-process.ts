import { type FastPath, fastPaths } from '../../core/fast-paths.ts'
import { tuneV8 } from '../../node/v8.ts'
import { CASES } from './cases.ts'

/** The process of one side of a case (`sides.ts`): runs it once for each message. Arguments: the case, the side, fast paths to do without. */

const [name, side, ...names] = process.argv.slice(2)
const without = names as FastPath[]
const settings = { without, fast: fastPaths(without) }
if (settings.fast.inlining) tuneV8()
const testCase = CASES.find((known) => known.name === name)!
const run = (): Promise<number> => (side === 'ours' ? testCase.ours(settings) : testCase.kernel!())

process.on('message', () => {
  void run().then((figure) => process.send!(figure))
})
// With the one that started it gone, nobody wants to know.
process.on('disconnect', () => process.exit())
