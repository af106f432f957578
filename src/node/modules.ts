import { AsyncResource } from 'node:async_hooks'
import { Buffer } from 'node:buffer'
import { EventEmitter } from 'node:events'
import { Duplex } from 'node:stream'
import type { Host } from '../host/host.ts'
import type { NetContext } from '../net/context.ts'
import { type NameTable, noNames } from '../net/lookup.ts'
import { moduleMaker } from '../net/modules.ts'
import type { Modules } from '../net/node-types.ts'
import type { Platform } from '../net/platform.ts'
import { webSurroundings } from '../web/surroundings.ts'
import { makeWeb, type Web } from '../web/web.ts'
import { KernelList } from './kernel-list.ts'
import { NodeContext, programs } from './programs.ts'

export type { Modules } from '../net/node-types.ts'

const platform: Platform = {
  EventEmitter,
  Duplex,
  Buffer,
  nextTick: process.nextTick,
  scope: (name) => {
    const resource = new AsyncResource(name)
    return { run: (body, ...args) => void resource.runInAsyncScope(body, null, ...args) }
  },
  emitWarning: (text, name, code) => process.emitWarning(text, name, code),
}

const makeModules = moduleMaker(platform)

/** The program that calls. */
const currentProgram = (): NetContext => {
  const { current } = programs
  if (current === null) {
    throw new Error(
      'netglass/net, /dgram and /dns belong to a host: run inside network.on(host, …), or call setDefaultHost(host) of netglass/modules',
    )
  }
  return current
}

/** Those of the program that calls. */
export const modules: Modules = makeModules(currentProgram)
export const web: Web = makeWeb(webSurroundings(currentProgram))

/** How a program of a host sees names, and what it is called. */
export interface ModuleOptions {
  /** Its name in netstat -p and the like; `node` unless given. */
  readonly name?: string
  /** Names that the host knows, besides its own and localhost. */
  readonly names?: NameTable
  /** Told when the program begins to wait for something of the network, and when it does no more. */
  readonly onActive?: (isActive: boolean) => void
}

/** What a program of a host has, and what ends it. */
export interface HostModules extends Modules {
  /** Streams and fetch in the way of the web. */
  readonly web: Web
  /** Ends the program: what it has open is closed. */
  close(): void
}

/** `net`, `dgram` and `dns` of a new program of `host`. */
export const createModules = (host: Host, options: ModuleOptions = {}): HostModules => {
  const context = newContext(host, options)
  return { web: webFor(context), ...modulesFor(context), close: () => context.close() }
}

/** `connect`, `listen`, `fetch` and `serve` that are always of one program. */
export const webFor = (context: NetContext): Web => makeWeb(webSurroundings(() => context))

/** Those that are always of one program, whoever calls. */
export const modulesFor = (context: NetContext): Modules => makeModules(() => context)

const newContext = (host: Host, { name = 'node', names = noNames, onActive }: ModuleOptions): NodeContext => {
  const schedule = (run: () => void): void => {
    host.resumed()
    setImmediate(run)
  }
  const active = onActive === undefined ? {} : { onActive }
  return new NodeContext(host, name, { names, kernel: new KernelList(), schedule, ...active })
}

/** Makes `netglass/net` and its like, where no other host was chosen, those of a new program of `host`; null for none. */
export const setDefaultHost = (host: Host | null, options: ModuleOptions = {}): void => {
  programs.own = host === null ? null : newContext(host, options)
}
