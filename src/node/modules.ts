import { AsyncResource } from 'node:async_hooks'
import { Buffer } from 'node:buffer'
import { channel } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import { Duplex } from 'node:stream'
import type { Host } from '../host/host.ts'
import type { NetContext } from '../net/context.ts'
import { noNames } from '../net/lookup.ts'
import { moduleMaker } from '../net/modules.ts'
import type { Modules } from '../net/node-types.ts'
import type { Platform } from '../net/platform.ts'
import type { HostModules, ModuleOptions } from '../web/host-modules.ts'
import { webSurroundings } from '../web/surroundings.ts'
import { makeWeb, type Web } from '../web/web.ts'
import { KernelList } from './kernel-list.ts'
import { NodeContext, programs } from './programs.ts'

export type { Modules } from '../net/node-types.ts'
export type { HostModules, ModuleOptions } from '../web/host-modules.ts'

const platform: Platform = {
  EventEmitter,
  Duplex,
  Buffer,
  nextTick: process.nextTick,
  scope: (name) => new AsyncResource(name),
  emitWarning: (text, name, code) => process.emitWarning(text, name, code),
  channel,
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
  const active = onActive === undefined ? {} : { onActive }
  return new NodeContext(host, name, { names, kernel: new KernelList(), ...active })
}

/**
 * Makes `netglass/net` and its like, where no other host was chosen, those of a new program of `host`; null for none.
 */
export const setDefaultHost = (host: Host | null, options: ModuleOptions = {}): void => {
  programs.own = host === null ? null : newContext(host, options)
}
