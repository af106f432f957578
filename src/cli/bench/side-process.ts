import type { FastPath } from '../../core/fast-paths.ts'
import { CASES } from './cases.ts'
import { settingsWithout } from './settings.ts'

/** The process of one side of a case (`sides.ts`): runs it once for each message. Arguments: the case, the side, fast paths to do without. */

const [name, side, ...without] = process.argv.slice(2)
const settings = settingsWithout(without as FastPath[])
const testCase = CASES.find((known) => known.name === name)!
const run = (): Promise<number> => (side === 'ours' ? testCase.ours(settings) : testCase.kernel!())

process.on('message', () => {
  void run().then((figure) => process.send!(figure))
})
// With the one that started it gone, nobody wants to know.
process.on('disconnect', () => process.exit())
