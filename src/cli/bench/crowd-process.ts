import { type FastPath, fastPaths } from '../../core/fast-paths.ts'
import { tuneV8 } from '../../node/v8.ts'
import { crowd } from './crowd.ts'

/** The process that `crowdApart` starts: prints what a crowd costs. Arguments: its size, and fast paths to do without. */

const [count, ...without] = process.argv.slice(2)
const fast = fastPaths(without as FastPath[])
if (fast.inlining) tuneV8()
console.log(JSON.stringify(crowd(Number(count), fast)))
