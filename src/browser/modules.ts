import { Buffer } from 'buffer'
import { EventEmitter } from 'events'
import process from 'process/'
import { Duplex } from 'readable-stream'
import type { Host } from '../host/host.ts'
import { NetContext } from '../net/context.ts'
import { noNames } from '../net/lookup.ts'
import { moduleMaker } from '../net/modules.ts'
import type { Modules } from '../net/node-types.ts'
import { noChannel, type Platform } from '../net/platform.ts'
import type { HostModules, ModuleOptions } from '../web/host-modules.ts'
import { scope, webSurroundings } from '../web/surroundings.ts'
import { makeWeb, type Web } from '../web/web.ts'
import { TaskQueue } from './tasks.ts'
import { TickQueue } from './ticks.ts'

export type { Modules } from '../net/node-types.ts'
export type { HostModules, ModuleOptions } from '../web/host-modules.ts'

const ticks = new TickQueue()
const tasks = new TaskQueue()
// The streams' own waits for a timer, 4 ms each time. In Node, where there is no need, it is Node's.
if (!Object.is(process, (globalThis as { process?: unknown }).process)) process.nextTick = ticks.nextTick

const platform: Platform = {
  EventEmitter,
  Duplex,
  Buffer,
  nextTick: ticks.nextTick,
  scope: () => scope,
  emitWarning: (text, name) => console.warn(`${name}: ${text}`),
  channel: () => noChannel,
}

const makeModules = moduleMaker(platform)

/** Which program the modules belong to that are imported by name. */
class Default {
  context: NetContext | null = null

  get current(): NetContext {
    if (this.context === null) {
      throw new Error(
        'netglass/net, /dgram and /dns belong to a host: call setDefaultHost(host) of netglass/modules first',
      )
    }
    return this.context
  }
}

const own = new Default()

/** Those of the host that `setDefaultHost` has chosen. */
export const modules: Modules = makeModules(() => own.current)

export const web: Web = makeWeb(webSurroundings(() => own.current))

/** `net`, `dgram` and `dns` of a new program of `host`. */
export const createModules = (host: Host, options: ModuleOptions = {}): HostModules => {
  const context = newContext(host, options)
  const web = makeWeb(webSurroundings(() => context))
  return { web, ...makeModules(() => context), close: () => context.close() }
}

const newContext = (host: Host, { name = 'page', names = noNames, onActive }: ModuleOptions): NetContext => {
  const schedule = (run: () => void): void => {
    host.resumed()
    tasks.post(run)
  }
  const activeChanged = (isActive: boolean): void => onActive?.(isActive)
  return new NetContext(host, name, { schedule, afterCallback: ticks.drain, activeChanged }, names)
}

/** Makes `netglass/net` and its like those of a new program of `host`; null for none. */
export const setDefaultHost = (host: Host | null, options: ModuleOptions = {}): void => {
  own.context = host === null ? null : newContext(host, options)
}
