import http from 'node:http'
import https from 'node:https'
import { type NodeContext, programs } from './programs.ts'

/** What programs of one thread share without knowing: the connections that Node keeps for later requests. */

/**
 * Gives each program connections of its own in HTTP's agents, and
 * HTTP servers an order in which they close connections.
 */
export const overlayHttp = (): void => {
  const { prototype } = http.Agent
  const native = prototype.getName
  prototype.getName = function (options) {
    const name = native.call(this, options)
    const { current } = programs
    // The thread's own has the names that it knows from Node.
    return current === programs.own || current === null ? name : `${name}:netglass ${current.id}`
  }
  for (const { Server } of [http, https]) {
    for (const name of ['closeIdleConnections', 'closeAllConnections'] as const) {
      const close = Server.prototype[name]
      Server.prototype[name] = function (this: http.Server) {
        orderConnections(this)
        return close.call(this)
      }
    }
  }
}

/** An HTTP server's list of connections, which is native, and in the order of their places in memory. */
type ConnectionsList = Record<string, () => { socket?: { _handle?: { getAsyncId(): number } | null } | null }[]>

const ordered = new WeakSet<object>()

/** Has the lists of connections of all HTTP servers in the order in which the connections came. */
const orderConnections = (server: object): void => {
  const symbol = Object.getOwnPropertySymbols(server).find(
    ({ description }) => description === 'http.server.connections',
  )
  const list = symbol === undefined ? undefined : (server as Record<symbol, ConnectionsList | undefined>)[symbol]
  if (list === undefined) return
  const prototype = Object.getPrototypeOf(list) as ConnectionsList
  if (ordered.has(prototype)) return
  ordered.add(prototype)
  for (const name of ['all', 'idle', 'active']) {
    const native = prototype[name]
    if (native === undefined) continue
    prototype[name] = function (this: unknown) {
      const found = native.call(this as ConnectionsList)
      return found.sort((a, b) => (a.socket?._handle?.getAsyncId() ?? 0) - (b.socket?._handle?.getAsyncId() ?? 0))
    }
  }
}

/** Where undici, with which Node's `fetch` is made, keeps its dispatcher. */
const DISPATCHER = Symbol.for('undici.globalDispatcher.1')

interface Dispatcher {
  dispatch(options: object, handler: object): boolean
}

type Holder = Record<symbol, Dispatcher | undefined>

const separated = new WeakSet<Dispatcher>()

/** What `fetch` compiles when it is loaded: its parser of HTTP. */
const compiled: Promise<unknown>[] = []

/** Loads what `fetch` is made with, where it was not used yet. */
const loadFetch = (): void => {
  const native = WebAssembly.compile
  WebAssembly.compile = (bytes) => {
    const module = native.call(WebAssembly, bytes)
    compiled.push(module.catch(() => {}))
    return module
  }
  void globalThis.Response
  WebAssembly.compile = native
}

/** Resolves when `fetch` is ready: what it waits for should not take virtual time. */
export const fetchReady = async (): Promise<void> => {
  await Promise.all(compiled.splice(0))
  // For what comes after that.
  for (let i = 0; i < 2; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** Gives each program a dispatcher of its own for `fetch`. */
export const separateFetch = (): void => {
  const holder = globalThis as unknown as Holder
  if (holder[DISPATCHER] === undefined) loadFetch()
  const native = holder[DISPATCHER]
  if (native === undefined || separated.has(native)) return
  const own = new WeakMap<NodeContext, Dispatcher>()
  const dispatcherNow = (): Dispatcher => {
    const { current } = programs
    if (current === null) return native
    const known = own.get(current)
    if (known !== undefined) return known
    const made = new (native.constructor as new () => Dispatcher)()
    own.set(current, made)
    return made
  }
  const shared = new Proxy(native, {
    get: (_, key) => {
      const now = dispatcherNow()
      const value: unknown = Reflect.get(now, key)
      return typeof value === 'function' ? value.bind(now) : value
    },
  })
  separated.add(shared)
  holder[DISPATCHER] = shared
}
