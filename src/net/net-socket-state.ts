import type { Alarm } from './alarm.ts'
import type { BlockList } from './block-list.ts'
import { type CodedError, endedByOther, errnoException } from './errors.ts'
import type { NetHandle, NetHandleUser } from './net-handle.ts'
import type { NetSocket } from './net-socket.ts'
import type { Buffer, Duplex } from './node-types.ts'
import { asBuffer, type Surroundings } from './platform.ts'
import { UV_EOF } from './uv.ts'

/** What a socket keeps to itself, and what its handle's reads become: chunks of the stream, or calls of `onread`. */
export class SocketState implements NetHandleUser {
  readonly socket: NetSocket
  readonly surroundings: Surroundings
  alarm: Alarm | null = null
  noDelay = false
  keepAlive = false
  /** Seconds. */
  keepAliveDelay = 0
  bytesRead = 0
  bytesWritten = 0
  /** writeQueueSize when a write could not be done at once; 0 when none waits. */
  lastWriteQueueSize = 0
  /** Where the option `onread` has reads go, who is told of them, and who gives the next buffer. */
  buffer: Uint8Array | null = null
  bufferCallback: ((this: NetSocket, count: number, buffer: Uint8Array) => unknown) | null = null
  nextBuffer: (() => unknown) | null = null
  resets = false
  /** What it does not connect to. */
  blockList: BlockList | null = null

  constructor(socket: NetSocket, surroundings: Surroundings) {
    this.socket = socket
    this.surroundings = surroundings
  }

  onRead(count: number, data: Uint8Array | null): void {
    const { socket } = this
    const handle = socket._handle
    if (handle === null || count === 0) return
    socket._unrefTimer()
    if (count > 0) {
      if (socket.destroyed) return
      const wantsMore = data === null ? tellBuffer(socket, handle, count) : socket.push(bufferOf(socket, data))
      if (!wantsMore && !socket.destroyed && socket._handle === handle) stopReading(socket, handle)
      return
    }
    if (count !== UV_EOF) {
      socket.destroy(errnoException(count, 'read'))
      return
    }
    socket.push(null)
    socket.read(0)
  }
}

export const STATE = Symbol('netglass socket')

/** What a socket keeps to itself. */
export const stateOf = (socket: NetSocket): SocketState => socket[STATE]

/** The methods of the class that sockets extend. */
export const duplexOf = (socket: NetSocket): Duplex => socket[STATE].surroundings.platform.Duplex.prototype

export const startReading = (socket: NetSocket): void => {
  const result = socket._handle!.readStart()
  if (result) socket.destroy(errnoException(result, 'read'))
}

export const stopReading = (socket: NetSocket, handle: NetHandle): void => {
  const result = handle.readStop()
  if (result !== 0) socket.destroy(errnoException(result, 'read'))
}

export const startBufferedReading = (socket: NetSocket): void => {
  const { _handle: handle } = socket
  if (socket[STATE].buffer !== null && !socket.connecting && handle !== null && !handle.reading) startReading(socket)
}

/** The other side has ended, and this one may not stay half open: what is written now is an error. */
const writeAfterEnd = function (this: NetSocket, ...args: unknown[]): boolean {
  const { write } = duplexOf(this) as unknown as { write: (...args: unknown[]) => boolean }
  if (!this.writableEnded) return write.apply(this, args)
  const error: CodedError = endedByOther()
  const callback = args.find((argument) => typeof argument === 'function') as ((error: Error) => void) | undefined
  if (callback !== undefined) this[STATE].surroundings.platform.nextTick(callback, error)
  this.destroy(error)
  return false
}

/** What a socket does when the other side has ended. */
export const onEnd = function (this: NetSocket): void {
  if (!this.allowHalfOpen) Object.assign(this, { write: writeAfterEnd })
}

/** Lets writes go again where `writeAfterEnd` was in their way. */
export const allowWriting = (socket: NetSocket): void => {
  if (Object.hasOwn(socket, 'write')) Reflect.deleteProperty(socket, 'write')
}

const bufferOf = (socket: NetSocket, data: Uint8Array): Buffer => asBuffer(socket[STATE].surroundings.platform, data)

/** Tells of a read into the program's own buffer. @returns whether it is to go on */
const tellBuffer = (socket: NetSocket, handle: NetHandle, count: number): boolean => {
  const state = socket[STATE]
  const wantsMore = state.bufferCallback!.call(socket, count, state.buffer!) !== false
  if (state.nextBuffer !== null) {
    const next = state.nextBuffer()
    if (next instanceof Uint8Array) {
      state.buffer = next
      handle.useBuffer(next)
    }
  }
  return wantsMore
}

/** Gives a socket its handle. */
export const attach = (socket: NetSocket, handle: NetHandle): void => {
  socket._handle = handle
  handle.user = socket[STATE]
  const { buffer } = socket[STATE]
  if (buffer !== null) handle.useBuffer(buffer)
}
