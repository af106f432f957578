// biome-ignore lint/suspicious/noTsIgnore: see below
/** @ts-ignore */
export type { Buffer } from 'node:buffer'
// biome-ignore lint/suspicious/noTsIgnore: see below
/** @ts-ignore */
export type { EventEmitter } from 'node:events'
// biome-ignore lint/suspicious/noTsIgnore: see below
/** @ts-ignore */
export type { Duplex } from 'node:stream'

/** The modules' types, which are Node's own. Whoever uses them has @types/node; for others they are of any type. */

// biome-ignore lint/suspicious/noTsIgnore: in a program without @types/node it is an error, and in one with them none
/** @ts-ignore */
export type NodeNet = typeof import('node:net')
// biome-ignore lint/suspicious/noTsIgnore: likewise
/** @ts-ignore */
export type NodeDgram = typeof import('node:dgram')
// biome-ignore lint/suspicious/noTsIgnore: likewise
/** @ts-ignore */
export type NodeDns = typeof import('node:dns')

/** The modules as a program has them. */
export interface Modules {
  readonly net: NodeNet
  readonly dgram: NodeDgram
  readonly dns: NodeDns
}
