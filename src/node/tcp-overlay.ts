import { AsyncResource } from 'node:async_hooks'
import { Errno } from '../core/errno.ts'
import type { StreamTransport } from '../net/context.ts'
import { notBuffer } from '../net/errors.ts'
import type { AddressInfo } from '../net/socket-handle.ts'
import type { StreamOwner } from '../net/stream-handle.ts'
import { UV_TCP_IPV6ONLY } from '../net/uv.ts'
import { AF_INET, AF_INET6 } from '../socket/constants.ts'
import type { Socket } from '../socket/socket.ts'
import { parseIpAddress } from '../wire/address.ts'
import {
  binding,
  complete,
  type Methods,
  type NativeTcp,
  type NodeRequest,
  overlay,
  overlayGetters,
  toPort,
} from './bindings.ts'
import { type NodeContext, programs } from './programs.ts'

/** Node's class of TCP handles, with sockets of ours under those that programs of ours make. */

/** What a handle has become: one of ours, Node's own (null), or neither yet. */
const OWN = Symbol('netglass')
const BUFFER = Symbol('netglass buffer')
type Marked = NativeTcp & { [OWN]?: VirtualTcp | null; [BUFFER]?: Uint8Array }

const { streamBaseState, kReadBytesOrError, kArrayBufferOffset, kBytesWritten, kLastWriteWasAsync } =
  binding('stream_wrap')
const { TCP, constants } = binding('tcp_wrap')
const prototype = TCP.prototype as unknown as Methods
const nativeClose = prototype['close']!

/** Descriptors of ours are shown from here on, so that they are not taken for the kernel's. */
const FIRST_FD = 1 << 20

/** Who takes what a stream brings, in place of the handle's `onread`: a TLS session. */
export interface StreamUser {
  onRead(count: number, data: Uint8Array | null): void
  onWritten(request: unknown, status: number): void
  onShutdown(request: unknown, status: number): void
}

/** A TCP handle of Node's over a socket of ours. */
export class VirtualTcp implements StreamOwner {
  readonly native: NativeTcp
  readonly context: NodeContext
  readonly handle: StreamTransport
  user: StreamUser | null = null
  /**
   * Does it say that it is a native stream? Only while TLS or HTTP/2 asks; HTTP is to take the way through JavaScript.
   */
  isStreamBase = false
  private readonly scope = new AsyncResource('NETGLASSTCP', { requireManualDestroy: true })
  private connectRequest: NodeRequest | null = null
  private servesHttp2: boolean | null = null
  private closeCallback: (() => void) | undefined

  constructor(native: NativeTcp, context: NodeContext) {
    this.native = native
    this.context = context
    this.handle = context.newStream(this)
    this.handle.origin = programs.origins.get(native) ?? null
    if (!native.hasRef()) this.handle.setRef(false)
    const buffer = (native as Marked)[BUFFER]
    if (buffer !== undefined) this.handle.useBuffer(buffer)
  }

  /** Is it a server that speaks HTTP/2 in cleartext? */
  get isHttp2(): boolean {
    this.servesHttp2 ??= programs.takesHttp2 === true && ownerOf(this.native)?.constructor.name === 'Http2Server'
    return this.servesHttp2
  }

  connect(family: 4 | 6, request: NodeRequest, address: string, port: number): number {
    if (!isFamily(address, family)) return -Errno.EINVAL
    const result = this.handle.connect(domainOf(family), { address, port })
    if (result === 0) this.connectRequest = request
    return result
  }

  bind(family: 4 | 6, address: string, port: number, flags: number): number {
    if (!isFamily(address, family)) return -Errno.EINVAL
    return this.handle.bind(domainOf(family), { address, port }, (flags & UV_TCP_IPV6ONLY) !== 0)
  }

  /** Writes, and leaves in Node's shared state what became of it. */
  write(request: object, chunks: readonly Uint8Array[]): number {
    let bytes = 0
    for (const chunk of chunks) bytes += chunk.length
    const result = this.handle.write(request, chunks)
    this.handle.bytesWritten += bytes
    streamBaseState[kBytesWritten] = bytes
    streamBaseState[kLastWriteWasAsync] = result === 0 && this.handle.lastWriteWasAsync ? 1 : 0
    return result
  }

  close(callback?: () => void): void {
    if (this.handle.isClosing) return
    this.closeCallback = callback
    this.handle.close()
  }

  reset(callback?: () => void): number {
    if (this.handle.isClosing) return 0
    this.closeCallback = callback
    return this.handle.reset()
  }

  newBuffer(bytes: number): Uint8Array {
    return Buffer.allocUnsafeSlow(bytes)
  }

  onRead(count: number, data: Uint8Array | null): void {
    if (this.user !== null) this.scope.runInAsyncScope(() => this.user?.onRead(count, data))
    else this.scope.runInAsyncScope(readInto, null, this.native, count, data, this.handle)
  }

  onConnect(status: number): void {
    const request = this.connectRequest!
    this.connectRequest = null
    this.scope.runInAsyncScope(complete, null, request, status, this.native, request, true, true)
  }

  onConnection(status: number, socket: Socket | null): void {
    this.scope.runInAsyncScope(accept, null, this, status, socket)
  }

  onWritten(request: unknown, status: number): void {
    if (this.user !== null) this.scope.runInAsyncScope(() => this.user?.onWritten(request, status))
    else this.scope.runInAsyncScope(complete, null, request as NodeRequest, status, this.native, undefined)
  }

  onShutdown(request: unknown, status: number): void {
    if (this.user !== null) this.scope.runInAsyncScope(() => this.user?.onShutdown(request, status))
    else this.scope.runInAsyncScope(complete, null, request as NodeRequest, status, this.native, undefined)
  }

  onClosed(): void {
    const { closeCallback } = this
    // By way of the native handle it waits for a turn of the event loop.
    if (closeCallback === undefined || !this.context.inTicks) nativeClose.call(this.native, closeCallback)
    else {
      nativeClose.call(this.native)
      this.scope.runInAsyncScope(closeCallback, this.native)
    }
    this.scope.emitDestroy()
  }
}

const domainOf = (family: 4 | 6): number => (family === 4 ? AF_INET : AF_INET6)

const isFamily = (address: string, family: 4 | 6): boolean => {
  const parsed = parseIpAddress(String(address).replace(/%.*$/, ''))
  return parsed !== undefined && address.includes(':') === (family === 6)
}

/** Calls `onread` as Node's native streams do. */
export const emitRead = (stream: { onread: unknown }, count: number, data: Uint8Array | null): unknown => {
  streamBaseState[kReadBytesOrError] = count
  streamBaseState[kArrayBufferOffset] = 0
  const { onread } = stream as { onread: ((this: object, data?: ArrayBuffer) => unknown) | undefined }
  return onread?.call(stream, data === null ? undefined : (data.buffer as ArrayBuffer))
}

const readInto = (native: NativeTcp, count: number, data: Uint8Array | null, handle: StreamTransport): void => {
  const next = emitRead(native, count, data)
  if (next instanceof Uint8Array) handle.useBuffer(next)
}

const accept = (server: VirtualTcp, status: number, socket: Socket | null): void => {
  let client: Marked | undefined
  if (socket !== null) {
    client = new TCP(constants.SOCKET)
    const own = new VirtualTcp(client, server.context)
    client[OWN] = own
    own.handle.adopt(socket)
  }
  const own = client?.[OWN]
  if (own && server.isHttp2) own.isStreamBase = true
  try {
    server.native.onconnection?.call(server.native, status, client)
  } finally {
    if (own) own.isStreamBase = false
  }
}

const OWNER = 'owner_symbol'

/** Whose a handle is, as Node notes it. */
const ownerOf = (handle: object): object | undefined => {
  const key = ownerKey(handle)
  return key === undefined ? undefined : ((handle as Record<symbol, object | undefined>)[key] ?? undefined)
}

/** Notes in a handle whose it is, as Node does in those that it makes itself. */
export const setOwner = (handle: object, owner: object): void => {
  const key = ownerKey(handle)
  if (key !== undefined) (handle as Record<symbol, unknown>)[key] = owner
}

const ownerKey = (handle: object): symbol | undefined =>
  Object.getOwnPropertySymbols(handle).find(({ description }) => description === OWNER)

/** A new handle that is ours. */
export const newVirtualTcp = (): VirtualTcp | null => decide(new TCP(constants.SOCKET))

/** What a handle is; null for Node's own, and for one that is nothing yet. */
const virtualTcp = (handle: object): VirtualTcp | null => (handle as Marked)[OWN] ?? null

/** What a handle is, made ours now if a program of ours has it. */
export const decide = (handle: object): VirtualTcp | null => {
  const marked = handle as Marked
  const known = marked[OWN]
  if (known !== undefined) return known
  if (!(handle instanceof TCP)) return null
  const context = programs.current
  if (context === null) return null
  const own = new VirtualTcp(marked, context)
  marked[OWN] = own
  return own
}

/** As `decide`, but what the kernel is to have becomes Node's own, if it is nothing more than a handle yet. */
const decideFor = (handle: object, address: string, port: number): VirtualTcp | null => {
  const own = decide(handle)
  if (own === null || own.handle.socket !== null || !own.context.kernel.hasEndpoint(address, port)) return own
  ;(handle as Marked)[OWN] = null
  return null
}

type Chunks = Uint8Array[] | (string | Uint8Array | BufferEncoding)[]

/** The chunks of `writev`: buffers, or pairs of a chunk and its encoding. */
const buffersOf = (chunks: Chunks, allBuffers: boolean): Uint8Array[] => {
  if (allBuffers) return [...chunks] as Uint8Array[]
  const buffers: Uint8Array[] = []
  for (let i = 0; i < chunks.length; i += 2) {
    const chunk = chunks[i] as string | Uint8Array
    buffers.push(typeof chunk === 'string' ? Buffer.from(chunk, chunks[i + 1] as BufferEncoding) : chunk)
  }
  return buffers
}

const writeString =
  (encoding: BufferEncoding) =>
  (own: VirtualTcp, request: object, text: string): number =>
    own.write(request, [Buffer.from(text, encoding)])

/** Puts our methods in front of Node's. Until a program of ours runs they change nothing. */
export const overlayTcp = (): void => {
  overlayOpening()
  overlay(prototype, virtualTcp, {
    getsockname: (own, out: Partial<AddressInfo>) => own.handle.localAddress(out),
    getpeername: (own, out: Partial<AddressInfo>) => own.handle.peerAddress(out),
    readStart: (own) => own.handle.readStart(),
    readStop: (own) => own.handle.readStop(),
    writeBuffer: (own, request: object, buffer: Uint8Array) => {
      if (!ArrayBuffer.isView(buffer)) throw notBuffer()
      return own.write(request, [buffer])
    },
    writev: (own, request: object, chunks: Chunks, allBuffers: boolean) =>
      own.write(request, buffersOf(chunks, allBuffers)),
    writeUtf8String: writeString('utf8'),
    writeAsciiString: writeString('latin1'),
    writeLatin1String: writeString('latin1'),
    writeUcs2String: writeString('utf16le'),
    shutdown: (own, request: object) => own.handle.shutdown(request),
    setBlocking: () => 0,
    reset: (own, callback?: () => void) => own.reset(callback),
    close: (own, callback?: () => void) => own.close(callback),
    ref: (own) => own.handle.setRef(true),
    unref: (own) => own.handle.setRef(false),
    hasRef: (own) => own.handle.hasRef && !own.handle.isClosing,
  })
  overlayGetters(prototype, virtualTcp, {
    fd: (own) => (own.handle.fd < 0 ? -1 : own.handle.fd + FIRST_FD),
    bytesRead: (own) => own.handle.bytesRead,
    bytesWritten: (own) => own.handle.bytesWritten,
    writeQueueSize: (own) => own.handle.writeQueueSize,
  })
  Object.defineProperty(prototype, 'isStreamBase', {
    configurable: true,
    get(this: Marked) {
      if (programs.http2Asks) return true
      const own = this[OWN]
      // What may become ours is no native stream either.
      return own === undefined ? programs.current === null : own === null || own.isStreamBase
    },
  })
}

/** The calls with which a handle becomes something. */
const overlayOpening = (): void => {
  overlay(prototype, decide, {
    listen: (own, backlog: number) => own.handle.listen(AF_INET, backlog),
    setNoDelay: (own, on: boolean) => own.handle.setNoDelay(on),
    setKeepAlive: (own, on: boolean, idle: number) => own.handle.setKeepAlive(on, idle),
    setTypeOfService: (own, value: number) => own.handle.setTypeOfService(value),
    getTypeOfService: (own) => own.handle.typeOfService,
  })
  const useUserBuffer = prototype['useUserBuffer']!
  // It comes before a handle is anything.
  prototype['useUserBuffer'] = function (this: unknown, buffer) {
    virtualTcp(this as object)?.handle.useBuffer(buffer as Uint8Array)
    ;(this as Marked)[BUFFER] = buffer as Uint8Array
    return useUserBuffer.call(this, buffer)
  }
  for (const [name, family] of [
    ['connect', 4],
    ['connect6', 6],
  ] as const) {
    const native = prototype[name]!
    prototype[name] = function (this: unknown, request, address, port) {
      const own = decideFor(this as object, address as string, toPort(port))
      if (own === null) return native.call(this, request, address, port)
      return own.connect(family, request as NodeRequest, address as string, toPort(port))
    }
  }
  for (const [name, family] of [
    ['bind', 4],
    ['bind6', 6],
  ] as const) {
    const native = prototype[name]!
    prototype[name] = function (this: unknown, address, port, flags) {
      const own = decideFor(this as object, address as string, toPort(port))
      if (own === null) return native.call(this, address, port, flags)
      return own.bind(family, address as string, toPort(port), flags as number)
    }
  }
  const open = prototype['open']!
  prototype['open'] = function (this: unknown, fd) {
    ;(this as Marked)[OWN] = null
    return open.call(this, fd)
  }
}
