import { crowd } from './crowd.ts'

/** The process that `crowdApart` starts: prints what a crowd costs, whose size is its argument. */

console.log(JSON.stringify(crowd(Number(process.argv[2]))))
