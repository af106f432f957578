import type { FastPath } from '../../core/fast-paths.ts'
import { crowd } from './crowd.ts'
import { settingsWithout } from './settings.ts'

/** The process that `crowdApart` starts: prints what a crowd costs. Arguments: its size, and fast paths to do without. */

const [count, ...without] = process.argv.slice(2)
const { fast } = settingsWithout(without as FastPath[])
console.log(JSON.stringify(await crowd(Number(count), fast)))
