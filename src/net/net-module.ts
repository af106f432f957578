import { BlockList } from './block-list.ts'
import { callable } from './callable.ts'
import { invalidArgType, invalidArgValue, invalidFdType } from './errors.ts'
import { LEAST_ATTEMPT, type Listener, normalizeArgs } from './net-connect.ts'
import type { NetHandle } from './net-handle.ts'
import { type NetServer, setUpServer } from './net-server.ts'
import type { NetSocket } from './net-socket.ts'
import { attach, followEnd, setUpSocket, stateOf } from './net-socket-state.ts'
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

const UNSUPPORTED = ['objectMode', 'readableObjectMode', 'writableObjectMode'] as const

const validateBlockList = (value: unknown): void => {
  if (value === undefined || BlockList.isBlockList(value)) return
  throw invalidArgType('options.blockList', 'net.BlockList', value)
}

/** What a socket's constructor does. */
const construct = (self: NetSocket, surroundings: Surroundings, given: unknown): void => {
  const options: SocketOptions = typeof given === 'number' ? { fd: given } : { ...(given as SocketOptions) }
  for (const name of UNSUPPORTED) {
    if (options[name]) throw invalidArgValue(`options.${name}`, options[name], 'is not supported')
  }
  if (options.fd !== undefined) {
    validateInt32(options.fd, 'fd', 0)
    throw invalidFdType('FILE')
  }
  const delay = options.keepAliveInitialDelay
  if (delay !== undefined) validateNumber(delay, 'options.keepAliveInitialDelay')
  if (options.signal !== undefined) validateAbortSignal(options.signal, 'options.signal')
  validateBlockList(options.blockList)
  const state = setUpSocket(self, surroundings)
  state.blockList = options.blockList ?? null
  ;(surroundings.platform.Duplex as unknown as (options: object) => void).call(self, {
    ...options,
    allowHalfOpen: options.allowHalfOpen === true,
    emitClose: false,
    autoDestroy: true,
    decodeStrings: false,
  })
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
  followEnd(self)
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
      ...(highWaterMark === undefined
        ? {}
        : { readableHighWaterMark: highWaterMark, writableHighWaterMark: highWaterMark }),
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

/** The module `net` of a program. */
export const netModule = (surroundings: Surroundings, prototypes: NetPrototypes) => {
  const { platform } = surroundings
  const Socket = callable<[options?: unknown], NetSocket, Platform['Duplex']>(
    'Socket',
    prototypes.socket,
    platform.Duplex,
    (self, [options]) => construct(self, surroundings, options ?? {}),
  )
  const accept = acceptWith(Socket)
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
      setUpServer(self, { surroundings, accept })
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
  const connect = (...args: unknown[]): NetSocket => {
    const normalized = normalizeArgs(args)
    const options = normalized[0] as SocketOptions & { timeout?: number }
    const socket = new Socket(options)
    if (options.timeout) socket.setTimeout(options.timeout)
    return socket.connect(normalized)
  }
  const { autoSelectFamily } = surroundings
  return {
    BlockList,
    SocketAddress,
    connect,
    createConnection: connect,
    createServer: (options?: unknown, listener?: Listener): NetServer => new Server(options, listener),
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
