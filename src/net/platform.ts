import type { NetContext } from './context.ts'
import type { LookupFunction } from './dns-types.ts'
import type { Buffer, Duplex, EventEmitter } from './node-types.ts'

/** Where a callback of a program's runs: in the asynchronous context in which what it belongs to was begun. */
export interface Scope {
  /** Calls `body` on `self`. Named as Node names it, whose `AsyncResource` is one. */
  runInAsyncScope<S, A extends unknown[]>(body: (this: S, ...args: A) => void, self: S, ...args: A): void
}

/** Tells those who watch. */
export interface Channel {
  readonly hasSubscribers: boolean
  publish(message: object): void
}

/** Nobody watches. */
export const noChannel: Channel = { hasSubscribers: false, publish: () => {} }

/**
 * What the modules stand on that the language does not have: Node's own, or libraries that do the same in a browser.
 */
export interface Platform {
  readonly EventEmitter: typeof EventEmitter
  readonly Duplex: typeof Duplex
  readonly Buffer: typeof Buffer
  nextTick<A extends unknown[]>(callback: (...args: A) => void, ...args: A): void
  /** The context of the caller. @param name of what begins, for those who watch */
  scope(name: string): Scope
  emitWarning(text: string, name: string, code?: string): void
  /** Where those listen who watch a program (`node:diagnostics_channel`). */
  channel(name: string): Channel
}

/** Enough to ask for names. */
export interface Asking {
  readonly platform: { scope(name: string): Scope }
  current(): NetContext
}

/** What objects of the modules know of their surroundings. */
export interface Surroundings extends Asking {
  readonly platform: Platform
  /** The program that calls now. @throws Error when no host was chosen */
  current(): NetContext
  /** The module `dns`, whose `lookup` may be another one than ours. */
  readonly dns: { lookup: LookupFunction }
  /** Are several addresses of a name tried one after the other, and for how many milliseconds each? */
  readonly autoSelectFamily: { enabled: boolean; timeout: number }
}

/** What the stack has received, as programs get it. */
export const asBuffer = ({ Buffer: Bytes }: Pick<Platform, 'Buffer'>, data: Uint8Array): Buffer =>
  data instanceof Bytes ? data : Bytes.from(data.buffer, data.byteOffset, data.byteLength)
