import { Errno } from '../core/errno.ts'
import { type DgramData, listOf, sliceOf } from './dgram-data.ts'
import { ANY, type DgramOptions, DgramState, type LazyHandle, STATE, whenBound } from './dgram-state.ts'
import {
  bufferSizeException,
  type CodedError,
  dgramAlreadyBound,
  dgramBadBufferSize,
  dgramBadType,
  dgramConnected,
  dgramNotConnected,
  dgramNotRunning,
  endpointException,
  errnoException,
  invalidArgType,
  invalidFdType,
  missingArgs,
} from './errors.ts'
import type { EventEmitter } from './node-types.ts'
import type { Surroundings } from './platform.ts'
import type { AddressInfo } from './socket-handle.ts'
import { UV_UDP_IPV6ONLY, UV_UDP_REUSEADDR, UV_UDP_REUSEPORT } from './uv.ts'
import {
  isIP,
  validateAbortSignal,
  validateFunction,
  validateNumber,
  validatePort,
  validateString,
  validateUint32,
} from './validate.ts'

type Done = (error: CodedError | null, bytes?: number) => void
const Parent = Object as unknown as typeof EventEmitter

/** `dgram.Socket`, without what constructs it. */
export class DgramSocket extends Parent {
  declare [STATE]: DgramState
  declare type: 'udp4' | 'udp6'

  bind(...args: unknown[]): this {
    const state = this[STATE]
    handleOf(this)
    if (state.bound !== 'unbound') throw dgramAlreadyBound()
    state.bound = 'binding'
    const [first, second] = args
    const callback = args.at(-1)
    if (typeof callback === 'function') onceListening(this, callback as () => void)
    let port = first
    let address = typeof second === 'string' ? second : ''
    if (typeof first === 'object' && first !== null) {
      const options = first as { port?: number; address?: string; fd?: number }
      if (typeof options.fd === 'number' && options.fd > 0) throw invalidFdType('FILE')
      port = options.port
      address = options.address || ''
    }
    state.lookup(address || ANY[state.family], (error, ip) => {
      if (state.handle !== null) bindTo(this, error, ip as string, typeof port === 'function' ? 0 : Number(port ?? 0))
    })
    return this
  }

  connect(port: unknown, address?: unknown, callback?: unknown): void {
    const state = this[STATE]
    const number = validatePort(port, 'Port', false)
    const name = typeof address === 'function' || address === undefined ? '' : address
    const done = (typeof address === 'function' ? address : callback) as ((error?: Error) => void) | undefined
    validateString(name, 'address')
    if (state.connection !== 'disconnected') throw dgramConnected()
    state.connection = 'connecting'
    if (state.bound === 'unbound') this.bind({ port: 0, exclusive: true }, null)
    const begin = (): void => connectDgram(this, number, name, done)
    if (state.bound === 'bound') begin()
    else whenBound(state, begin)
  }

  disconnect(): void {
    const state = this[STATE]
    if (state.connection !== 'connected') throw dgramNotConnected()
    check(handleOf(this).handle.disconnect(), 'connect')
    state.connection = 'disconnected'
  }

  sendto(buffer: unknown, offset: unknown, length: unknown, port: unknown, address: unknown, callback?: unknown): void {
    validateNumber(offset, 'offset')
    validateNumber(length, 'length')
    validateNumber(port, 'port')
    validateString(address, 'address')
    this.send(buffer, offset, length, port, address, callback)
  }

  send(data: unknown, ...rest: unknown[]): void {
    const state = this[STATE]
    const { list, port, address, callback } = readSend(state, data, rest)
    handleOf(this)
    if (state.bound === 'unbound') this.bind({ port: 0, exclusive: true }, null)
    if (state.bound !== 'bound') {
      const again = state.connection === 'disconnected' ? [port, address, callback] : [callback]
      whenBound(state, () => {
        if (state.handle !== null) this.send(list, ...again)
      })
      return
    }
    if (state.connection === 'connected') {
      sendNow(this, null, null, { list, port, address, callback })
      return
    }
    state.lookup(address, (error, ip) => sendNow(this, error, ip as string, { list, port, address, callback }))
  }

  close(callback?: () => void): this {
    const state = this[STATE]
    if (typeof callback === 'function') this.on('close', callback)
    if (state.queue !== null) {
      state.queue.push(() => void this.close())
      return this
    }
    const handle = handleOf(this)
    stopReceiving(state)
    handle.close()
    state.handle = null
    state.surroundings.platform.nextTick(() => void this.emit('close'))
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this[STATE].handle === null) return
    await new Promise<void>((resolve) => {
      this.close(resolve)
    })
  }

  address(): AddressInfo {
    const out: Partial<AddressInfo> = {}
    const { handle } = handleOf(this)
    check(handle.socket === null ? -Errno.EBADF : handle.localAddress(out), 'getsockname')
    return out as AddressInfo
  }

  remoteAddress(): AddressInfo {
    const { handle } = handleOf(this)
    if (this[STATE].connection !== 'connected') throw dgramNotConnected()
    const out: Partial<AddressInfo> = {}
    check(handle.peerAddress(out), 'getpeername')
    return out as AddressInfo
  }

  setBroadcast(on: unknown): void {
    check(handleOf(this).handle.setBroadcast(Boolean(on)), 'setBroadcast')
  }

  setTTL(ttl: number): number {
    validateNumber(ttl, 'ttl')
    check(handleOf(this).handle.setTtl(ttl), 'setTTL')
    return ttl
  }

  setMulticastTTL(ttl: number): number {
    validateNumber(ttl, 'ttl')
    check(handleOf(this).handle.setMulticastTtl(ttl), 'setMulticastTTL')
    return ttl
  }

  setMulticastLoopback<T>(on: T): T {
    check(handleOf(this).handle.setMulticastLoopback(Boolean(on)), 'setMulticastLoopback')
    return on
  }

  setMulticastInterface(address: string): void {
    const { handle } = handleOf(this)
    validateString(address, 'interfaceAddress')
    check(handle.socket === null ? -Errno.EBADF : handle.setMulticastInterface(address), 'setMulticastInterface')
  }

  addMembership(group: string, on?: string): void {
    setMembership(this, group, on, true)
  }

  dropMembership(group: string, on?: string): void {
    setMembership(this, group, on, false)
  }

  addSourceSpecificMembership(source: string, group: string, on?: string): void {
    setSourceMembership(this, source, group, on, true)
  }

  dropSourceSpecificMembership(source: string, group: string, on?: string): void {
    setSourceMembership(this, source, group, on, false)
  }

  setRecvBufferSize(size: number): void {
    bufferSize(this, size, true)
  }

  setSendBufferSize(size: number): void {
    bufferSize(this, size, false)
  }

  getRecvBufferSize(): number {
    return bufferSize(this, 0, true)
  }

  getSendBufferSize(): number {
    return bufferSize(this, 0, false)
  }

  getSendQueueSize(): number {
    handleOf(this)
    return 0
  }

  getSendQueueCount(): number {
    handleOf(this)
    return 0
  }

  ref(): this {
    this[STATE].handle?.setRef(true)
    return this
  }

  unref(): this {
    this[STATE].handle?.setRef(false)
    return this
  }
}

const handleOf = (socket: DgramSocket): LazyHandle => {
  const { handle } = socket[STATE]
  if (handle === null) throw dgramNotRunning()
  return handle
}

const check = (result: number, syscall: string): void => {
  if (result < 0) throw errnoException(result, syscall)
}

/** Calls back when it listens, unless an error comes first. */
const onceListening = (socket: DgramSocket, callback: () => void): void => {
  const forget = (): void => {
    socket.removeListener('error', forget)
    socket.removeListener('listening', listening)
  }
  const listening = (): void => {
    forget()
    callback.call(socket)
  }
  socket.on('error', forget)
  socket.on('listening', listening)
}

const bindTo = (socket: DgramSocket, error: CodedError | null, ip: string, port: number): void => {
  const state = socket[STATE]
  const { reuseAddr, reusePort, ipv6Only, recvBufferSize, sendBufferSize } = state.options
  let problem = error
  if (!problem) {
    const flags =
      (reuseAddr === true ? UV_UDP_REUSEADDR : 0) |
      (reusePort === true ? UV_UDP_REUSEPORT : 0) |
      (ipv6Only === true ? UV_UDP_IPV6ONLY : 0)
    const suits = isIP(ip) === state.family
    const result = suits ? state.handle!.handle.bind(state.family, { address: ip, port }, flags) : -Errno.EINVAL
    if (result !== 0) problem = endpointException(result, 'bind', ip, port)
  }
  if (problem) {
    state.bound = 'unbound'
    socket.removeListener('listening', state.flush)
    state.queue = null
    socket.emit('error', problem)
    return
  }
  state.handle!.handle.receiveStart()
  state.receiving = true
  state.bound = 'bound'
  if (recvBufferSize) bufferSize(socket, recvBufferSize, true)
  if (sendBufferSize) bufferSize(socket, sendBufferSize, false)
  socket.emit('listening')
}

const stopReceiving = (state: DgramState): void => {
  if (!state.receiving) return
  state.handle?.handle.receiveStop()
  state.receiving = false
}

const connectDgram = (
  socket: DgramSocket,
  port: number,
  address: string,
  callback: ((error?: Error) => void) | undefined,
): void => {
  const state = socket[STATE]
  if (callback !== undefined) socket.once('connect', callback)
  state.lookup(address, (error, ip) => {
    if (state.handle === null) return
    let problem = error
    if (!problem) {
      const result = state.handle.handle.connect({ address: ip as string, port })
      if (result !== 0) problem = endpointException(result, 'connect', address, port)
    }
    if (!problem) {
      state.connection = 'connected'
      state.surroundings.platform.nextTick(() => void socket.emit('connect'))
      return
    }
    state.connection = 'disconnected'
    const failure = problem
    state.surroundings.platform.nextTick(() => {
      if (callback === undefined) socket.emit('error', failure)
      else {
        socket.removeListener('connect', callback)
        callback(failure)
      }
    })
  })
}

interface Sending {
  readonly list: readonly Uint8Array[]
  readonly port: number | undefined
  readonly address: string | undefined
  readonly callback: Done | undefined
}

/** Reads the arguments of `send`: with or without offset and length, with or without a destination. */
const readSend = (state: DgramState, given: unknown, rest: readonly unknown[]): Sending => {
  const { platform } = state.surroundings
  let data = given as DgramData
  let [port, address, callback] = rest
  const isConnected = state.connection === 'connected'
  if (!isConnected) {
    const [offset, length, third, fourth, fifth] = rest
    if (fourth || (third && typeof third !== 'function')) {
      data = sliceOf(platform, data, offset, length)
      port = third
      address = fourth
      callback = fifth
    }
  } else if (typeof rest[1] === 'number') {
    data = sliceOf(platform, data, rest[0], rest[1])
    port = typeof rest[2] === 'function' ? null : rest[2]
    address = rest[3]
    callback = typeof rest[2] === 'function' ? rest[2] : rest[4]
  } else {
    callback = rest[0]
    port = rest[2]
    address = rest[3]
  }
  const list = listOf(platform, data)
  if (isConnected && (port || address)) throw dgramConnected()
  const number = isConnected ? undefined : validatePort(port, 'Port', false)
  let done = typeof callback === 'function' ? callback : undefined
  if (typeof address === 'function') {
    done = address
    address = undefined
  } else if (address !== undefined && address !== null) validateString(address, 'address')
  return {
    list,
    port: number,
    address: (address ?? undefined) as string | undefined,
    callback: done as Done | undefined,
  }
}

const sendNow = (
  socket: DgramSocket,
  error: CodedError | null,
  ip: string | null,
  { list, port, address, callback }: Sending,
): void => {
  const state = socket[STATE]
  const { nextTick } = state.surroundings.platform
  if (error) {
    nextTick(() => {
      if (callback !== undefined) callback(error)
      else socket.emit('error', error)
    })
    return
  }
  if (state.handle === null) return
  const { handle } = state.handle
  const suits = port === undefined || isIP(ip) === state.family
  const sent = suits ? handle.send(list, port === undefined ? null : { address: ip!, port }) : -Errno.EINVAL
  if (callback === undefined) return
  if (sent >= 0) nextTick(callback, null, sent)
  else nextTick(callback, endpointException(sent, 'send', (address ?? null) as string, port))
}

const setMembership = (socket: DgramSocket, group: string, on: string | undefined, join: boolean): void => {
  const handle = handleOf(socket)
  if (!group) throw missingArgs('multicastAddress')
  const syscall = join ? 'addMembership' : 'dropMembership'
  if (isIP(group) === 0) throw errnoException(-Errno.EINVAL, syscall)
  check(handle.boundHandle.setMembership(group, on ?? null, join), syscall)
}

const setSourceMembership = (
  socket: DgramSocket,
  source: string,
  group: string,
  on: string | undefined,
  join: boolean,
): void => {
  const handle = handleOf(socket)
  validateString(source, 'sourceAddress')
  validateString(group, 'groupAddress')
  const syscall = join ? 'addSourceSpecificMembership' : 'dropSourceSpecificMembership'
  const isValid = isIP(source) !== 0 && isIP(group) !== 0
  check(isValid ? handle.boundHandle.setSourceMembership(source, group, on ?? null, join) : -Errno.EINVAL, syscall)
}

const bufferSize = (socket: DgramSocket, size: number, isReceive: boolean): number => {
  if (size >>> 0 !== size) throw dgramBadBufferSize()
  // What does not fit into an int.
  const result = size > 0x7fff_ffff ? -Errno.EINVAL : handleOf(socket).handle.bufferSize(size, isReceive)
  if (result < 0) throw bufferSizeException(result, isReceive ? 'uv_recv_buffer_size' : 'uv_send_buffer_size')
  return result
}

/** What a datagram socket begins with: the part of its constructor that follows the event emitter's. */
export const setUpDgram = (
  socket: DgramSocket,
  surroundings: Surroundings,
  given: unknown,
  listener: ((...args: never[]) => void) | undefined,
): void => {
  const options = (typeof given === 'object' && given !== null ? given : { type: given }) as DgramOptions
  const { type, lookup, signal } = options
  if (options.recvBufferSize) validateUint32(options.recvBufferSize, 'options.recvBufferSize')
  if (options.sendBufferSize) validateUint32(options.sendBufferSize, 'options.sendBufferSize')
  if (lookup !== undefined) validateFunction(lookup, 'lookup')
  if (type !== 'udp4' && type !== 'udp6') throw dgramBadType()
  if (options.reusePort !== undefined && typeof options.reusePort !== 'boolean') {
    throw invalidArgType('options.reusePort', 'boolean', options.reusePort)
  }
  socket.type = type
  const state = new DgramState(surroundings, socket, type === 'udp4' ? 4 : 6, options)
  Object.defineProperty(socket, STATE, { value: state })
  if (typeof listener === 'function') socket.on('message', listener as () => void)
  if (signal === undefined) return
  validateAbortSignal(signal, 'options.signal')
  const close = (): void => {
    if (state.handle !== null) socket.close()
  }
  if (signal.aborted) close()
  else {
    signal.addEventListener('abort', close, { once: true })
    socket.once('close', () => signal.removeEventListener('abort', close))
  }
}
