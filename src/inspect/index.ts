/** Snapshots and printers, as `netglass/inspect`. */
export { netstat } from './netstat.ts'
export { type Snapshot, snapshot } from './snapshot.ts'
export { ss } from './ss.ts'
