import { BlockList } from './block-list.ts'
import { asClass, callable, isInstance, type OldClass } from './callable.ts'
import { invalidArgType, invalidArgValue, invalidFdType } from './errors.ts'
import { LEAST_ATTEMPT, type Listener, normalizeArgs } from './net-connect.ts'
import type { NetHandle } from './net-handle.ts'
import { type NetServer, serverChannels, setUpServer } from './net-server.ts'
import type { NetSocket } from './net-socket.ts'
import { attach, onEnd, SocketState, STATE, stateOf } from './net-socket-state.ts'
import type { Platform, Surroundings } from './platform.ts'
import { SocketAddress } from './socket-address.ts'
import {
  isIP,
  isIPv4,
  isIPv6,
  validateAbortSignal,
  validateBoolean,
  validateInt32,
  validateNumber,
} from './validate.ts'

interface SocketOptions {
  handle?: NetHandle
  fd?: number
  allowHalfOpen?: boolean
  readable?: boolean
  writable?: boolean
  noDelay?: boolean
  keepAlive?: boolean
  keepAliveInitialDelay?: number
  pauseOnCreate?: boolean
  manualStart?: boolean
  onread?: { buffer?: unknown; callback?: unknown } | null
  signal?: AbortSignal
  blockList?: BlockList
  server?: NetServer
  objectMode?: boolean
  readableObjectMode?: boolean
  writableObjectMode?: boolean
}

/** Streams of bytes are all that there is. */
const refuseObjects = (options: SocketOptions): void => {
  for (const name of ['objectMode', 'readableObjectMode', 'writableObjectMode'] as const) {
    if (options[name]) throw invalidArgValue(`options.${name}`, options[name], 'is not supported')
  }
}

const validateBlockList = (value: unknown): void => {
  if (value === undefined || BlockList.isBlockList(value)) return
  throw invalidArgType('options.blockList', 'net.BlockList', value)
}

/** What Node's streams are told of a socket. */
interface StreamOptions extends SocketOptions {
  emitClose?: boolean
  autoDestroy?: boolean
  decodeStrings?: boolean
}

/** What a socket's constructor does when it has its properties. */
const construct = (self: NetSocket, state: SocketState, given: unknown): void => {
  // Not `{ ...given }`, which V8 gives a hidden class of its own each time (docs/PERFORMANCE.md).
  const options: StreamOptions = typeof given === 'number' ? { fd: given } : Object.assign({}, given)
  if (options.objectMode || options.readableObjectMode || options.writableObjectMode) refuseObjects(options)
  if (options.fd !== undefined) {
    validateInt32(options.fd, 'fd', 0)
    throw invalidFdType('FILE')
  }
  const delay = options.keepAliveInitialDelay
  if (delay !== undefined) validateNumber(delay, 'options.keepAliveInitialDelay')
  if (options.signal !== undefined) validateAbortSignal(options.signal, 'options.signal')
  validateBlockList(options.blockList)
  state.blockList = options.blockList ?? null
  options.allowHalfOpen = options.allowHalfOpen === true
  options.emitClose = false
  options.autoDestroy = true
  options.decodeStrings = false
  ;(state.surroundings.platform.Duplex as unknown as (options: object) => void).call(self, options)
  state.noDelay = Boolean(options.noDelay)
  state.keepAlive = Boolean(options.keepAlive)
  state.keepAliveDelay = Math.max(0, Math.trunc((delay ?? 0) / 1000))
  const { onread } = options
  if (onread !== null && typeof onread === 'object' && typeof onread.callback === 'function') {
    const { buffer } = onread
    const first = typeof buffer === 'function' ? (buffer as () => unknown)() : buffer
    if (first instanceof Uint8Array) {
      state.buffer = first
      state.bufferCallback = onread.callback as (this: NetSocket, count: number, buffer: Uint8Array) => unknown
      state.nextBuffer = typeof buffer === 'function' ? (buffer as () => unknown) : null
    }
  }
  self.on('end', onEnd)
  if (options.handle !== undefined) adopt(self, options, options.handle)
}

const adopt = (self: NetSocket, options: SocketOptions, handle: NetHandle): void => {
  attach(self, handle)
  if (options.readable !== false) {
    if (options.pauseOnCreate === true) {
      handle.readStop()
      ;(self as unknown as { readableFlowing: boolean }).readableFlowing = false
    } else if (options.manualStart !== true) self.read(0)
  }
}

/** Makes the socket of a connection that a server has accepted. */
const acceptWith =
  (Socket: new (options: unknown) => NetSocket) =>
  (server: NetServer, handle: NetHandle): NetSocket => {
    const { allowHalfOpen, pauseOnConnect, highWaterMark, noDelay, keepAlive, keepAliveInitialDelay } = server
    const socket = new Socket({
      handle,
      allowHalfOpen,
      pauseOnCreate: pauseOnConnect,
      readable: true,
      writable: true,
      readableHighWaterMark: highWaterMark,
      writableHighWaterMark: highWaterMark,
    })
    if (noDelay) socket.setNoDelay(true)
    if (keepAlive) {
      const state = stateOf(socket)
      state.keepAlive = true
      state.keepAliveDelay = keepAliveInitialDelay
      handle.setKeepAlive(true, keepAliveInitialDelay)
    }
    socket.server = server
    socket._server = server
    return socket
  }

interface ServerOptions {
  allowHalfOpen?: boolean
  pauseOnConnect?: boolean
  noDelay?: boolean
  keepAlive?: boolean
  keepAliveInitialDelay?: number
  highWaterMark?: number
  blockList?: BlockList
}

const constructServer = (self: NetServer, given: unknown, listener: Listener | undefined): ServerOptions => {
  if (typeof given === 'function') {
    self.on('connection', given as () => void)
    return {}
  }
  if (given !== undefined && given !== null && typeof given !== 'object') {
    throw invalidArgType('options', 'Object', given)
  }
  if (typeof listener === 'function') self.on('connection', listener as () => void)
  const options = { ...(given as ServerOptions) }
  const { keepAliveInitialDelay: delay, highWaterMark, blockList } = options
  if (delay !== undefined) validateNumber(delay, 'options.keepAliveInitialDelay')
  if (highWaterMark !== undefined) validateNumber(highWaterMark, 'options.highWaterMark')
  validateBlockList(blockList)
  return options
}

/** What of sockets and servers all programs share. */
export interface NetPrototypes {
  readonly socket: NetSocket
  readonly server: NetServer
}

/**
 * The class `Socket` of a program. Its properties are assigned where
 * V8 counts them, to make room for them in the object.
 */
const socketClass = (surroundings: Surroundings, prototype: NetSocket): SocketClass => {
  const Class: SocketClass = asClass(
    function Socket(this: NetSocket, options?: unknown): NetSocket | undefined {
      if (new.target === undefined && !isInstance(prototype, this)) return new Class(options)
      this[STATE] = new SocketState(this, surroundings)
      this.connecting = false
      this._hadError = false
      this._parent = null
      this._host = null
      this._handle = null
      this._pendingData = null
      this._pendingEncoding = ''
      this._sockname = null
      this._peername = null
      this.server = null
      this._server = null
      construct(this, this[STATE], options ?? {})
      return undefined
    },
    prototype,
    surroundings.platform.Duplex,
  )
  return Class
}

type SocketClass = OldClass<[options?: unknown], NetSocket, Platform['Duplex']>

/** The module `net` of a program. */
export const netModule = (surroundings: Surroundings, prototypes: NetPrototypes) => {
  const { platform } = surroundings
  const Socket = socketClass(surroundings, prototypes.socket)
  const accept = acceptWith(Socket)
  const channels = serverChannels(platform)
  const Server = callable<[options?: unknown, listener?: Listener], NetServer, Platform['EventEmitter']>(
    'Server',
    prototypes.server,
    platform.EventEmitter,
    (self, [given, listener]) => {
      ;(platform.EventEmitter as unknown as (options?: object) => void).call(
        self,
        typeof given === 'object' && given !== null ? given : undefined,
      )
      const options = constructServer(self, given, listener)
      setUpServer(self, { surroundings, accept, channels })
      self.allowHalfOpen = options.allowHalfOpen || false
      self.pauseOnConnect = Boolean(options.pauseOnConnect)
      self.noDelay = Boolean(options.noDelay)
      self.keepAlive = Boolean(options.keepAlive)
      self.keepAliveInitialDelay = Math.max(0, Math.trunc((options.keepAliveInitialDelay ?? 0) / 1000))
      self.highWaterMark =
        options.highWaterMark === undefined || options.highWaterMark < 0 ? undefined : options.highWaterMark
      if (options.blockList !== undefined) self.blockList = options.blockList
    },
  )
  // Functions that may be called with `new`, as Node's.
  function connect(...args: unknown[]): NetSocket {
    const normalized = normalizeArgs(args)
    const options = normalized[0] as SocketOptions & { timeout?: number }
    const socket = new Socket(options)
    if (clients.hasSubscribers) clients.publish({ socket })
    if (options.timeout) socket.setTimeout(options.timeout)
    return socket.connect(normalized)
  }
  const { autoSelectFamily } = surroundings
  const clients = platform.channel('net.client.socket')
  return {
    BlockList,
    SocketAddress,
    connect,
    createConnection: connect,
    createServer: function createServer(options?: unknown, listener?: Listener): NetServer {
      return new Server(options, listener)
    },
    isIP,
    isIPv4,
    isIPv6,
    Server,
    Socket,
    Stream: Socket,
    getDefaultAutoSelectFamily: (): boolean => autoSelectFamily.enabled,
    setDefaultAutoSelectFamily: (value: boolean): void => {
      validateBoolean(value, 'value')
      autoSelectFamily.enabled = value
    },
    getDefaultAutoSelectFamilyAttemptTimeout: (): number => autoSelectFamily.timeout,
    setDefaultAutoSelectFamilyAttemptTimeout: (value: number): void => {
      validateInt32(value, 'value', 1)
      autoSelectFamily.timeout = Math.max(LEAST_ATTEMPT, value)
    },
  }
}
