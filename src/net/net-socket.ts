import {
  closedBeforeConnection,
  errnoException,
  invalidArgType,
  invalidHandleType,
  notBuffer,
  outOfRange,
  socketClosed,
} from './errors.ts'
import { type ConnectArguments, connectSocket } from './net-connect.ts'
import type { NetHandle } from './net-handle.ts'
import type { NetServer } from './net-server.ts'
import {
  duplexOf,
  type SocketState,
  STATE,
  startBufferedReading,
  startReading,
  stopReading,
} from './net-socket-state.ts'
import { newAlarm } from './new-alarm.ts'
import type { Duplex } from './node-types.ts'
import type { Platform } from './platform.ts'
import type { AddressInfo } from './socket-handle.ts'
import { ENOTCONN } from './uv.ts'
import { validateFunction } from './validate.ts'

type AnyFunction = (...args: never[]) => unknown
type WriteDone = (error?: Error | null) => void

/** What a socket is extended from, once there is a platform. */
const Parent = Object as unknown as typeof Duplex
/** The longest timer of Node's, ms. */
const LONGEST_TIMEOUT = 0x7fff_ffff

/** `net.Socket`, without what constructs it. */
export class NetSocket extends Parent {
  declare [STATE]: SocketState
  declare _handle: NetHandle | null
  declare connecting: boolean
  declare _hadError: boolean
  declare _parent: NetSocket | null
  declare _host: string | null
  declare _pendingData: unknown
  declare _pendingEncoding: string
  declare _sockname: Partial<AddressInfo> | null
  declare _peername: Partial<AddressInfo> | null
  declare server: NetServer | null
  declare _server: NetServer | null
  declare timeout: number
  declare autoSelectFamilyAttemptedAddresses: string[]

  connect(...args: unknown[]): this {
    connectSocket(this, args as ConnectArguments)
    return this
  }

  _unrefTimer(): void {
    for (let socket: NetSocket | null = this; socket !== null; socket = socket._parent) {
      const { alarm } = socket[STATE]
      if (alarm !== null && socket.timeout !== undefined) alarm.start(Math.min(socket.timeout, LONGEST_TIMEOUT))
    }
  }

  setTimeout(msecs: number, callback?: AnyFunction): this {
    if (this.destroyed) return this
    const state = this[STATE]
    this.timeout = msecs
    if (typeof msecs !== 'number') throw invalidArgType('msecs', 'number', msecs)
    if (msecs < 0 || !Number.isFinite(msecs)) throw outOfRange('msecs', 'a non-negative finite number', msecs)
    if (msecs > LONGEST_TIMEOUT) {
      const text = `${msecs} does not fit into a 32-bit signed integer.\nTimer duration was truncated to ${LONGEST_TIMEOUT}.`
      state.surroundings.platform.emitWarning(text, 'TimeoutOverflowWarning')
    }
    if (callback !== undefined) validateFunction(callback, 'callback')
    state.alarm?.stop()
    state.alarm = null
    if (msecs === 0) {
      if (callback !== undefined) this.removeListener('timeout', callback as () => void)
      return this
    }
    state.alarm = newAlarm(state.surroundings, () => this._onTimeout())
    state.alarm.start(Math.min(Math.max(1, msecs), LONGEST_TIMEOUT))
    if (callback !== undefined) this.once('timeout', callback as () => void)
    return this
  }

  _onTimeout(): void {
    if (this.destroyed) return
    const state = this[STATE]
    const { _handle: handle } = this
    if (handle !== null && state.lastWriteQueueSize > 0) {
      const { writeQueueSize } = handle
      // A large write goes on: that is activity.
      if (state.lastWriteQueueSize !== writeQueueSize) {
        state.lastWriteQueueSize = writeQueueSize
        this._unrefTimer()
        return
      }
    }
    this.emit('timeout')
  }

  setNoDelay(enable?: boolean): this {
    const on = enable === undefined ? true : Boolean(enable)
    const state = this[STATE]
    // Handles that programs bring with them may have less.
    if (on !== state.noDelay) this._handle?.setNoDelay?.(on)
    state.noDelay = on
    return this
  }

  setKeepAlive(enable?: boolean, initialDelay?: number): this {
    const on = Boolean(enable)
    const delay = Math.trunc(Number(initialDelay ?? 0) / 1000) || 0
    const state = this[STATE]
    const changes = on !== state.keepAlive || delay !== state.keepAliveDelay
    if (changes) this._handle?.setKeepAlive?.(on, delay)
    state.keepAlive = on
    state.keepAliveDelay = delay
    return this
  }

  address(): Partial<AddressInfo> {
    return this._getsockname()
  }

  get _connecting(): boolean {
    return this.connecting
  }

  get pending(): boolean {
    return this._handle === null || this.connecting
  }

  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.connecting) return 'opening'
    if (this.readable && this.writable) return 'open'
    if (this.readable) return 'readOnly'
    return this.writable ? 'writeOnly' : 'closed'
  }

  /** Undefined without a connection, which Node's types do not know. */
  get bufferSize(): number {
    return this._handle === null ? (undefined as unknown as number) : this.writableLength
  }

  override _read(size: number): void {
    if (this.connecting || this._handle === null) this.once('connect', () => this._read(size))
    else if (!this._handle.reading) startReading(this)
  }

  override pause(): this {
    const { _handle: handle } = this
    if (this[STATE].buffer !== null && !this.connecting && handle?.reading === true && !this.destroyed) {
      stopReading(this, handle)
    }
    return duplexOf(this).pause.call(this) as this
  }

  override resume(): this {
    startBufferedReading(this)
    return duplexOf(this).resume.call(this) as this
  }

  override read(size?: number): unknown {
    startBufferedReading(this)
    return duplexOf(this).read.call(this, size)
  }

  override end(...args: unknown[]): this {
    ;(duplexOf(this).end as (...args: unknown[]) => unknown).apply(this, args)
    return this
  }

  override _final(callback: WriteDone): void {
    if (this.connecting) {
      this.once('connect', () => this._final(callback))
      return
    }
    if (this._handle === null) {
      callback()
      return
    }
    const result = this._handle.shutdown(() => callback())
    // What is not connected has nothing to shut.
    if (result === ENOTCONN) callback()
    else if (result !== 0) callback(errnoException(result, 'shutdown'))
  }

  override _write(data: unknown, encoding: BufferEncoding, callback: WriteDone): void {
    this._writeGeneric(false, data, encoding, callback)
  }

  override _writev(chunks: { chunk: unknown; encoding: BufferEncoding }[], callback: WriteDone): void {
    this._writeGeneric(true, chunks, '', callback)
  }

  _writeGeneric(writev: boolean, data: unknown, encoding: BufferEncoding | '', callback: WriteDone): void {
    const state = this[STATE]
    if (this.connecting) {
      this._pendingData = data
      this._pendingEncoding = encoding
      const onClose = (): void => callback(closedBeforeConnection())
      this.once('connect', () => {
        this.off('close', onClose)
        this._writeGeneric(writev, data, encoding, callback)
      })
      this.once('close', onClose)
      return
    }
    this._pendingData = null
    this._pendingEncoding = ''
    if (this._handle === null) {
      callback(socketClosed())
      return
    }
    this._unrefTimer()
    const chunks = chunksOf(this, writev, data, encoding)
    const result = this._handle.write(chunks, (status) => afterWrite(this, status, callback))
    if (result < 0) callback(errnoException(result, 'write'))
    else if (result === 1) callback()
    else state.lastWriteQueueSize = chunks.reduce((sum, { length }) => sum + length, 0)
  }

  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', this.destroy)
  }

  resetAndDestroy(): this {
    if (this._handle === null) this.destroy(socketClosed())
    else if (this._handle.isPath) throw invalidHandleType()
    else if (this.connecting) this.once('connect', () => this._reset())
    else this._reset()
    return this
  }

  _reset(): this {
    this[STATE].resets = true
    return this.destroy()
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    const state = this[STATE]
    this.connecting = false
    for (let socket: NetSocket | null = this; socket !== null; socket = socket._parent) socket[STATE].alarm?.stop()
    const { _handle: handle } = this
    if (handle !== null) {
      state.bytesRead = handle.bytesRead
      state.bytesWritten = handle.bytesWritten
      const closed = (): void => void this.emit('close', error !== null)
      if (state.resets) {
        state.resets = false
        const result = handle.reset(closed)
        if (result !== 0) this.emit('error', errnoException(result, 'reset'))
      } else handle.close(closed)
      handle.user = null
      this._handle = null
      this._sockname = null
      callback(error)
    } else {
      callback(error)
      state.surroundings.platform.nextTick(() => void this.emit('close'))
    }
    const { _server: server } = this
    if (server !== null) {
      server._connections--
      server._emitCloseIfDrained()
    }
  }

  _getpeername(): Partial<AddressInfo> {
    if (this._handle === null || this.connecting) return this._peername ?? {}
    if (this._peername === null) {
      const out: Partial<AddressInfo> = {}
      if (this._handle.getpeername(out) !== 0) return out
      this._peername = out
    }
    return this._peername
  }

  _getsockname(): Partial<AddressInfo> {
    if (this._handle === null) return {}
    if (this._sockname === null) {
      this._sockname = {}
      this._handle.getsockname(this._sockname)
    }
    return this._sockname
  }

  get remoteAddress(): string | undefined {
    return this._getpeername().address
  }

  get remoteFamily(): string | undefined {
    return this._getpeername().family
  }

  get remotePort(): number | undefined {
    return this._getpeername().port
  }

  get localAddress(): string {
    return this._getsockname().address!
  }

  get localPort(): number {
    return this._getsockname().port!
  }

  get localFamily(): string {
    return this._getsockname().family!
  }

  get bytesRead(): number {
    return this._handle === null ? this[STATE].bytesRead : this._handle.bytesRead
  }

  get _bytesDispatched(): number {
    return this._handle === null ? this[STATE].bytesWritten : this._handle.bytesWritten
  }

  /** With what waits to be sent. */
  get bytesWritten(): number {
    const buffered = (this as unknown as { writableBuffer?: { chunk: unknown; encoding: BufferEncoding }[] })
      .writableBuffer
    // On the prototype, which is no stream.
    if (buffered === undefined) return undefined as unknown as number
    let bytes = this._bytesDispatched
    for (const { chunk, encoding } of buffered) bytes += byteLength(this, chunk, encoding)
    const { _pendingData: data } = this
    if (Array.isArray(data)) {
      for (const { chunk, encoding } of data as typeof buffered) bytes += byteLength(this, chunk, encoding)
    } else if (data) bytes += byteLength(this, data, this._pendingEncoding as BufferEncoding)
    return bytes
  }

  ref(): this {
    if (this._handle === null) this.once('connect', this.ref)
    else this._handle.ref()
    return this
  }

  unref(): this {
    if (this._handle === null) this.once('connect', this.unref)
    else this._handle.unref()
    return this
  }
}

const byteLength = (socket: NetSocket, chunk: unknown, encoding: BufferEncoding): number =>
  typeof chunk === 'string'
    ? socket[STATE].surroundings.platform.Buffer.byteLength(chunk, encoding)
    : (chunk as Uint8Array).length

const chunksOf = (
  socket: NetSocket,
  writev: boolean,
  data: unknown,
  encoding: BufferEncoding | '',
): readonly Uint8Array[] => {
  const { Buffer: Bytes } = socket[STATE].surroundings.platform
  if (!writev) return [toBytes(Bytes, data, encoding)]
  return (data as { chunk: unknown; encoding: BufferEncoding }[]).map(({ chunk, encoding: as }) =>
    toBytes(Bytes, chunk, as),
  )
}

const toBytes = (Bytes: Platform['Buffer'], chunk: unknown, encoding: BufferEncoding | 'buffer' | ''): Uint8Array => {
  if (typeof chunk !== 'string') return chunk as Uint8Array
  if (encoding === 'buffer') throw notBuffer()
  return Bytes.from(chunk, encoding === '' ? 'utf8' : encoding)
}

const afterWrite = (socket: NetSocket, status: number, callback: WriteDone): void => {
  if (socket.destroyed) {
    callback(null)
    return
  }
  if (status < 0) {
    callback(errnoException(status, 'write'))
    return
  }
  socket._unrefTimer()
  socket[STATE].lastWriteQueueSize = 0
  callback(null)
}
