import { Errno } from '../core/errno.ts'
import type { NetContext, StreamTransport } from '../net/context.ts'
import { type CodedError, endpointException, errnoException } from '../net/errors.ts'
import type { AddressInfo } from '../net/socket-handle.ts'
import type { StreamOwner } from '../net/stream-handle.ts'
import { UV_EOF } from '../net/uv.ts'
import { AF_INET, AF_INET6 } from '../socket/constants.ts'
import type { Socket as StackSocket } from '../socket/socket.ts'

/** What is known of a connection when it is there, as `opened` tells it: `10.0.0.1:80`, `[::1]:80`. */
export interface SocketInfo {
  readonly remoteAddress: string
  readonly localAddress: string
}

/** A promise, and what settles it. */
class Deferred<T> {
  readonly promise: Promise<T>
  resolve!: (value: T) => void
  reject!: (error: unknown) => void

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    // Whoever does not ask need not hear of it.
    this.promise.catch(() => {})
  }
}

/** A failure of the network as an exception of the platform's kind. */
export const networkError = (message: string, cause: unknown): TypeError => new TypeError(message, { cause })

/**
 * A connection with streams, as `connect` of the Sockets API (WinterTC, TC55) gives it. What is written is done when
 * the stack has taken it, and nothing is read that nobody asks for: so that each side is held up by the other.
 */
export class Socket implements StreamOwner {
  readonly readable: ReadableStream<Uint8Array>
  readonly writable: WritableStream<Uint8Array>
  /** Resolves when the connection is there; rejects with a TypeError when there will be none. */
  readonly opened: Promise<SocketInfo>
  /** Resolves when both directions are over; rejects with what broke the connection. */
  readonly closed: Promise<void>
  readonly upgraded = false
  readonly secureTransport = 'off'
  private readonly handle: StreamTransport
  private readonly allowHalfOpen: boolean
  private readonly opening = new Deferred<SocketInfo>()
  private readonly closing = new Deferred<void>()
  private reader!: ReadableStreamDefaultController<Uint8Array>
  private writer!: WritableStreamDefaultController
  private readEnded = false
  private writeEnded = false
  private failure: unknown = null

  constructor(context: NetContext, allowHalfOpen: boolean) {
    this.allowHalfOpen = allowHalfOpen
    this.handle = context.newStream(this)
    this.opened = this.opening.promise
    this.closed = this.closing.promise
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.reader = controller
        },
        pull: () => this.pull(),
        cancel: () => this.readOver(),
      },
      { highWaterMark: 0 },
    )
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.writer = controller
      },
      write: (chunk) => this.write(chunk),
      close: () => this.endWriting(),
      abort: (reason) => this.fail(reason ?? new TypeError('the socket was aborted')),
    })
  }

  /** Begins to connect. */
  connectTo(address: string, port: number): void {
    const result = this.handle.connect(address.includes(':') ? AF_INET6 : AF_INET, { address, port })
    if (result !== 0) this.refuse(endpointException(result, 'connect', address, port))
    else this.target = { address, port }
  }

  private target = { address: '', port: 0 }

  /** Takes a connection that was accepted. */
  adopt(socket: StackSocket): this {
    this.handle.adopt(socket)
    this.isOpen()
    return this
  }

  /** There will be no connection. */
  refuse(cause: CodedError): void {
    this.fail(networkError(`there is no connection: ${cause.message}`, cause))
  }

  /** Ends both directions: what was written is still sent. */
  async close(reason?: unknown): Promise<void> {
    if (reason !== undefined) this.fail(reason)
    else if (!this.writeEnded) {
      if (!this.writable.locked) await this.writable.close().catch(() => {})
      else await this.endWriting().catch(() => {})
    }
    this.readOver()
    return this.closed
  }

  /** Breaks the connection off with a RST. */
  abort(reason: unknown): void {
    this.handle.reset()
    this.fail(reason)
  }

  onConnect(status: number): void {
    if (status === 0) this.isOpen()
    else this.refuse(endpointException(status, 'connect', this.target.address, this.target.port))
  }

  newBuffer(bytes: number): Uint8Array {
    return new Uint8Array(bytes)
  }

  onRead(count: number, data: Uint8Array | null): void {
    if (count > 0) {
      this.handle.readStop()
      if (!this.readEnded) this.reader.enqueue(data!)
      return
    }
    if (count !== UV_EOF) {
      this.fail(networkError('the connection is broken', errnoException(count, 'read')))
      return
    }
    if (this.readEnded) return
    this.reader.close()
    this.readOver()
    if (!this.allowHalfOpen && !this.writeEnded) {
      // Ends as what was written has been sent.
      if (this.writable.locked) void this.endWriting().catch(() => {})
      else void this.writable.close().catch(() => {})
    }
  }

  onConnection(): void {}

  onWritten(request: unknown, status: number): void {
    ;(request as (status: number) => void)(status)
  }

  onShutdown(request: unknown, status: number): void {
    ;(request as (status: number) => void)(status)
  }

  onClosed(): void {
    if (this.failure === null) this.closing.resolve()
    else this.closing.reject(this.failure)
  }

  private isOpen(): void {
    const [local, remote]: Partial<AddressInfo>[] = [{}, {}]
    this.handle.localAddress(local!)
    this.handle.peerAddress(remote!)
    this.opening.resolve({ localAddress: hostPort(local!), remoteAddress: hostPort(remote!) })
  }

  private async pull(): Promise<void> {
    await this.opened
    if (!this.readEnded) this.handle.readStart()
  }

  private async write(chunk: unknown): Promise<void> {
    const bytes = bytesOf(chunk)
    await this.opened
    const done = new Deferred<void>()
    const result = this.handle.write(
      (status: number) => {
        if (status === 0) done.resolve()
        else done.reject(networkError('the connection is broken', errnoException(status, 'write')))
      },
      [bytes],
    )
    if (result !== 0) {
      const failure = networkError('the connection is broken', errnoException(result, 'write'))
      this.fail(failure)
      throw failure
    }
    if (this.handle.lastWriteWasAsync) await done.promise
  }

  private async endWriting(): Promise<void> {
    if (this.writeEnded) return
    await this.opened
    this.writeEnded = true
    await new Promise<void>((resolve) => {
      const result = this.handle.shutdown(() => resolve())
      if (result !== 0) resolve()
    })
    this.closeIfOver()
  }

  private readOver(): void {
    this.readEnded = true
    this.handle.readStop()
    this.closeIfOver()
  }

  private closeIfOver(): void {
    if (this.readEnded && this.writeEnded) this.handle.close()
  }

  /** Breaks everything off. */
  private fail(reason: unknown): void {
    if (this.failure !== null || (this.readEnded && this.writeEnded)) return
    this.failure = reason
    this.opening.reject(reason)
    if (!this.readEnded) this.reader.error(reason)
    if (!this.writeEnded) this.writer.error(reason)
    this.readEnded = true
    this.writeEnded = true
    this.handle.close()
  }
}

const hostPort = ({ address = '', port = 0 }: Partial<AddressInfo>): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

const bytesOf = (chunk: unknown): Uint8Array => {
  if (chunk instanceof Uint8Array) return chunk
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk)
  if (ArrayBuffer.isView(chunk)) return new Uint8Array(chunk.buffer as ArrayBuffer, chunk.byteOffset, chunk.byteLength)
  throw new TypeError('what is written to a socket must be an ArrayBuffer or a view of one')
}

/** Where somebody listens. */
export interface NetAddr {
  readonly transport: 'tcp'
  readonly hostname: string
  readonly port: number
}

/** A port with connections, as `Deno.listen` gives it. */
export class Listener implements StreamOwner, AsyncIterable<Socket> {
  private readonly context: NetContext
  private readonly handle: StreamTransport
  private readonly waiting: Deferred<Socket | null>[] = []
  private readonly arrived: Socket[] = []
  private isClosed = false

  /** @throws TypeError when the address cannot be had */
  constructor(context: NetContext, hostname: string, port: number) {
    this.context = context
    this.handle = context.newStream(this)
    const domain = hostname.includes(':') ? AF_INET6 : AF_INET
    const result = this.handle.bind(domain, { address: hostname, port }) || this.handle.listen(domain, BACKLOG)
    if (result !== 0) {
      this.handle.close()
      throw networkError(
        `cannot listen at ${hostname}:${port}: ${errnoException(result, 'listen').code}`,
        endpointException(result, 'listen', hostname, port),
      )
    }
  }

  get addr(): NetAddr {
    const out: Partial<AddressInfo> = {}
    this.handle.localAddress(out)
    return { transport: 'tcp', hostname: out.address ?? '', port: out.port ?? 0 }
  }

  /** The next connection. @throws TypeError when it listens no more */
  async accept(): Promise<Socket> {
    const socket = await this.next()
    if (socket === null) throw networkError('the listener is closed', errnoException(-Errno.EBADF, 'accept'))
    return socket
  }

  /** The next connection, or null when it listens no more. */
  next(): Promise<Socket | null> {
    const [first] = this.arrived.splice(0, 1)
    if (first !== undefined) return Promise.resolve(first)
    if (this.isClosed) return Promise.resolve(null)
    const deferred = new Deferred<Socket | null>()
    this.waiting.push(deferred)
    return deferred.promise
  }

  close(): void {
    this.isClosed = true
    this.handle.close()
    for (const socket of this.arrived.splice(0)) void socket.close().catch(() => {})
    for (const deferred of this.waiting.splice(0)) deferred.resolve(null)
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Socket> {
    for (let socket = await this.next(); socket !== null; socket = await this.next()) yield socket
  }

  onConnection(_status: number, socket: StackSocket | null): void {
    if (socket === null) return
    const connection = new Socket(this.context, true).adopt(socket)
    const [waiting] = this.waiting.splice(0, 1)
    if (waiting === undefined) this.arrived.push(connection)
    else waiting.resolve(connection)
  }

  newBuffer(bytes: number): Uint8Array {
    return new Uint8Array(bytes)
  }

  onRead(): void {}
  onConnect(): void {}
  onWritten(): void {}
  onShutdown(): void {}
  onClosed(): void {}
}

const BACKLOG = 511
