import {
  type CodedError,
  errnoException,
  invalidArgValue,
  invalidFdType,
  listenException,
  serverAlreadyListening,
  serverNotRunning,
} from './errors.ts'
import { isPipeName, normalizeArgs, toNumber } from './net-connect.ts'
import { type AddressKind, NetHandle } from './net-handle.ts'
import type { NetSocket } from './net-socket.ts'
import type { EventEmitter } from './node-types.ts'
import type { Channel, Platform, Surroundings } from './platform.ts'
import type { AddressInfo } from './socket-handle.ts'
import { validateAbortSignal, validatePort } from './validate.ts'

const STATE = Symbol('netglass server')
const Parent = Object as unknown as typeof EventEmitter
/** Linux rounds what it is given and one up to a power of two. */
const DEFAULT_BACKLOG = 511

interface ServerState {
  readonly surroundings: Surroundings
  /** Makes the socket of a connection. */
  readonly accept: (server: NetServer, handle: NetHandle) => NetSocket
  readonly channels: ServerChannels
}

/** Who watches servers. */
export interface ServerChannels {
  readonly accepted: Channel
  readonly began: Channel
  readonly listening: Channel
  readonly failed: Channel
}

/** The channels of all servers of a program. */
export const serverChannels = ({ channel }: Platform): ServerChannels => ({
  accepted: channel('net.server.socket'),
  began: channel('tracing:net.server.listen:asyncStart'),
  listening: channel('tracing:net.server.listen:asyncEnd'),
  failed: channel('tracing:net.server.listen:error'),
})

interface ListenOptions {
  port?: unknown
  host?: string
  path?: string
  backlog?: number
  ipv6Only?: boolean
  reusePort?: boolean
  fd?: number
  handle?: unknown
  _handle?: unknown
  signal?: AbortSignal
  readableAll?: boolean
  writableAll?: boolean
}

/** `net.Server`, without what constructs it. */
export class NetServer extends Parent {
  declare [STATE]: ServerState
  declare _handle: NetHandle | null
  declare _connections: number
  declare _unref: boolean
  declare _listeningId: number
  declare _pipeName: string | undefined
  declare _connectionKey: string | undefined
  declare allowHalfOpen: boolean
  declare pauseOnConnect: boolean
  declare noDelay: boolean
  declare keepAlive: boolean
  declare keepAliveInitialDelay: number
  declare highWaterMark: number | undefined
  declare maxConnections: number
  /** Node's types still have it; as in Node there is none. */
  declare readonly connections: number
  declare blockList: { check(address: string, family?: 'ipv4' | 'ipv6'): boolean } | undefined

  listen(...args: unknown[]): this {
    const [given, listener] = normalizeArgs(args)
    if (this._handle !== null) throw serverAlreadyListening()
    if (listener !== null) this.once('listening', listener as () => void)
    const { began } = this[STATE].channels
    if (began.hasSubscribers) began.publish({ server: this, options: given })
    const backlogOfArgs = toNumber(args.length > 1 && args[1]) || toNumber(args.length > 2 && args[2]) || undefined
    const options = (given['_handle'] || given['handle'] || given) as ListenOptions
    this._listeningId++
    if (options instanceof NetHandle) {
      this._handle = options
      startListening(this, null, -1, -1, backlogOfArgs)
      return this
    }
    followSignal(this, options.signal)
    if (typeof options.fd === 'number' && options.fd >= 0) throw invalidFdType('FILE')
    const isOmitted = args.length === 0 || typeof args[0] === 'function'
    if (isOmitted || (options.port === undefined && 'port' in options) || options.port === null) options.port = 0
    if (typeof options.port === 'number' || typeof options.port === 'string') {
      listenAtPort(this, options, backlogOfArgs)
      return this
    }
    if (options.path && isPipeName(options.path)) {
      listenAtPath(this, options, backlogOfArgs)
      return this
    }
    if (!('port' in options) && !('path' in options)) {
      throw invalidArgValue('options', options, 'must have the property "port" or "path"')
    }
    throw invalidArgValue('options', options)
  }

  get listening(): boolean {
    return this._handle !== null
  }

  address(): AddressInfo | string | null {
    if (this._handle !== null && !this._handle.isPath) {
      const out: Partial<AddressInfo> = {}
      const result = this._handle.getsockname(out)
      if (result !== 0) throw errnoException(result, 'address')
      return out as AddressInfo
    }
    return this._pipeName ?? null
  }

  getConnections(callback: (error: Error | null, count: number) => void): this {
    this[STATE].surroundings.platform.nextTick(callback, null, this._connections)
    return this
  }

  close(callback?: (error?: Error) => void): this {
    if (typeof callback === 'function') {
      if (this._handle === null) this.once('close', () => callback(serverNotRunning()))
      else this.once('close', callback)
    }
    if (this._handle !== null) {
      this._handle.close()
      this._handle = null
    }
    this._emitCloseIfDrained()
    return this
  }

  _emitCloseIfDrained(): void {
    if (this._handle !== null || this._connections > 0) return
    this[STATE].surroundings.platform.nextTick(() => void this.emit('close'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this._handle === null) return
    await new Promise<void>((resolve, reject) => {
      this.close((error) => (error === undefined ? resolve() : reject(error)))
    })
  }

  ref(): this {
    this._unref = false
    this._handle?.ref()
    return this
  }

  unref(): this {
    this._unref = true
    this._handle?.unref()
    return this
  }

  /** What a listener's rejected promise becomes (`captureRejections`). */
  [Symbol.for('nodejs.rejection') as never](error: Error, event: string, socket?: NetSocket): void {
    if (event === 'connection') socket?.destroy(error)
    else this.emit('error', error)
  }
}

const followSignal = (server: NetServer, signal: AbortSignal | undefined): void => {
  if (signal === undefined) return
  validateAbortSignal(signal, 'options.signal')
  const close = (): void => void server.close()
  if (signal.aborted) {
    server[STATE].surroundings.platform.nextTick(close)
    return
  }
  signal.addEventListener('abort', close, { once: true })
  server.once('close', () => signal.removeEventListener('abort', close))
}

const failToListen = (server: NetServer, error: CodedError): void => {
  const { failed } = server[STATE].channels
  if (failed.hasSubscribers) failed.publish({ server, error })
  server[STATE].surroundings.platform.nextTick(() => void server.emit('error', error))
}

const listenAtPort = (server: NetServer, options: ListenOptions, backlogOfArgs: number | undefined): void => {
  const port = validatePort(options.port, 'options.port')
  const backlog = options.backlog || backlogOfArgs
  const { host } = options
  if (!host) {
    startListening(server, null, port, 4, backlog, options)
    return
  }
  const { _listeningId: id } = server
  server[STATE].surroundings.dns.lookup(host, {}, (error, address, family) => {
    // It was told to listen elsewhere, or to close.
    if (server._listeningId !== id) return
    if (error) server.emit('error', error)
    else startListening(server, address as string, port, address ? (family as 4 | 6) : 4, backlog, options)
  })
}

const listenAtPath = (server: NetServer, options: ListenOptions, backlogOfArgs: number | undefined): void => {
  const path = options.path!
  server._pipeName = path
  startListening(server, path, -1, 'path', options.backlog || backlogOfArgs)
  const readable = options.readableAll === true ? 0o444 : 0
  const writable = options.writableAll === true ? 0o222 : 0
  if (server._handle !== null && (readable | writable) !== 0) server._handle.allow(path, readable | writable)
}

/** Makes a handle that is bound. @returns a negative `Errno` when that fails */
const boundHandle = (
  surroundings: Surroundings,
  kind: AddressKind,
  address: string,
  port: number,
  { ipv6Only, reusePort }: ListenOptions = {},
): NetHandle | number => {
  const handle = new NetHandle(surroundings)
  if (reusePort === true) handle.setReusePort()
  const result = handle.bind(kind, address, Math.max(0, port), ipv6Only === true)
  if (result === 0) return handle
  handle.close()
  return result
}

/** Binds, unless there is a handle, and listens. @param address null for any: IPv6's where there is IPv6 */
const startListening = (
  server: NetServer,
  address: string | null,
  port: number,
  kind: AddressKind | -1,
  backlog: number | undefined,
  options: ListenOptions = {},
): void => {
  const { surroundings, channels } = server[STATE]
  let at = address
  let family = kind
  if (server._handle === null) {
    let handle: NetHandle | number = -1
    if (at === null) {
      handle = boundHandle(surroundings, 6, '::', port, options)
      at = typeof handle === 'number' ? '0.0.0.0' : '::'
      family = typeof handle === 'number' ? 4 : 6
    }
    if (typeof handle === 'number') handle = boundHandle(surroundings, family as AddressKind, at, port, options)
    if (typeof handle === 'number') {
      failToListen(server, listenException(handle, 'listen', at, port))
      return
    }
    server._handle = handle
  }
  server._handle.onconnection = (status, handle) => connectionMade(server, status, handle)
  const result = server._handle.listen(backlog || DEFAULT_BACKLOG)
  if (result !== 0) {
    server._handle.close()
    server._handle = null
    failToListen(server, listenException(result, 'listen', at, port))
    return
  }
  server._connectionKey = `${family === 'path' ? -1 : family}:${at}:${port}`
  if (server._unref) server.unref()
  const { listening } = channels
  if (listening.hasSubscribers) listening.publish({ server })
  surroundings.platform.nextTick(() => {
    if (server._handle !== null) server.emit('listening')
  })
}

/** A server's connection becomes a socket. */
const connectionMade = (server: NetServer, status: number, handle: NetHandle | null): void => {
  if (handle === null) {
    server.emit('error', errnoException(status, 'accept'))
    return
  }
  if (server.maxConnections && server._connections >= server.maxConnections) {
    server.emit('drop', endpointsOf(handle))
    handle.close()
    return
  }
  const peer: Partial<AddressInfo> = {}
  if (server.blockList !== undefined && handle.getpeername(peer) === 0) {
    if (server.blockList.check(peer.address!, peer.family === 'IPv6' ? 'ipv6' : 'ipv4')) {
      handle.close()
      return
    }
  }
  server._connections++
  const { accept, channels } = server[STATE]
  const socket = accept(server, handle)
  server.emit('connection', socket)
  if (channels.accepted.hasSubscribers) channels.accepted.publish({ socket })
}

const endpointsOf = (handle: NetHandle): Record<string, unknown> | undefined => {
  if (handle.isPath) return undefined
  const local: Partial<AddressInfo> = {}
  const remote: Partial<AddressInfo> = {}
  handle.getsockname(local)
  handle.getpeername(remote)
  return {
    localAddress: local.address,
    localPort: local.port,
    localFamily: local.family,
    remoteAddress: remote.address,
    remotePort: remote.port,
    remoteFamily: remote.family,
  }
}

/** What a server begins with: the part of its constructor that follows the event emitter's. */
export const setUpServer = (server: NetServer, state: ServerState): void => {
  Object.defineProperty(server, STATE, { value: state })
  server._connections = 0
  server._handle = null
  server._unref = false
  server._listeningId = 1
}
