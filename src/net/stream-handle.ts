import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import type { Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'
import type { Socket } from '../socket/socket.ts'
import type { OptionValue } from '../socket/socket-options.ts'
import type { NetContext } from './context.ts'
import { SocketHandle } from './socket-handle.ts'
import { ECANCELED, UV_EOF } from './uv.ts'

/** Whom a stream handle tells what has happened. A status is 0 or a negative `Errno`, as libuv's. */
export interface StreamOwner {
  /** Memory for so many bytes to be read into, which covers its whole `ArrayBuffer`. */
  newBuffer(bytes: number): Uint8Array
  /**
   * @param count of bytes; `UV_EOF` or another negative number when nothing more will come
   * @param data they, which cover their whole `ArrayBuffer`; null when they are in the buffer of `useBuffer`
   */
  onRead(count: number, data: Uint8Array | null): void
  onConnect(status: number): void
  /** @param socket a connection, which is the owner's now: to be given to `StreamHandle.adopt`, or closed */
  onConnection(status: number, socket: Socket | null): void
  onWritten(request: unknown, status: number): void
  onShutdown(request: unknown, status: number): void
  /** The last word, after `close`: what was pending has been cancelled. */
  onClosed(): void
}

/** The most that one read brings, bytes, and how many reads follow each other before others have their turn. */
const READ_SIZE = 65_536
const READS = 32
/** Where a look for the end or an error leaves the byte that it does not get. */
const NOWHERE = new Uint8Array(1)

/** A write that could not be done at once. */
interface PendingWrite {
  readonly request: unknown
  readonly chunks: readonly Uint8Array[]
  /** The chunk that is next, and how much of it has been sent. */
  index: number
  offset: number
}

/**
 * A stream as libuv has it, over a socket of ours: what Node's TCP and Pipe handles do, in the same order, with the
 * same results. Calls return 0 or a negative `Errno`; what takes time is told to the owner, never from inside a call.
 */
export class StreamHandle extends SocketHandle {
  readonly owner: StreamOwner
  bytesRead = 0
  bytesWritten = 0
  /** Of the last write: will the owner be told when it is done? */
  lastWriteWasAsync = false
  private reading = false
  private listening = false
  private connecting = false
  private ended = false
  private shut = false
  private hungUp = false
  /** An error of bind(2) or connect(2) that is to be told later. */
  private delayed = 0
  private readonly writes: PendingWrite[] = []
  private shutdownRequest: unknown = null
  private into: Uint8Array | null = null
  private readonly early: [level: number, name: number, value: OptionValue][] = []

  constructor(context: NetContext, owner: StreamOwner) {
    super(context)
    this.owner = owner
  }

  /** Takes a connection that was accepted. */
  adopt(socket: Socket): void {
    this.install(socket)
  }

  private obtain(domain: number): number {
    if (this.socket !== null) return 0
    const created = this.create(domain, C.SOCK_STREAM)
    if (created !== 0 || this.early.length === 0) return created
    for (const [level, name, value] of this.early.splice(0)) this.setOption(level, name, value)
    return 0
  }

  /** Options that are set before there is a socket wait for it. */
  override setOption(level: number, name: number, value: OptionValue): number {
    if (this.socket !== null) return super.setOption(level, name, value)
    this.early.push([level, name, value])
    return 0
  }

  /** That the address is in use is told by `listen` or `connect`. @param v6only for AF_INET6 */
  bind(domain: number, address: Sockaddr, v6only = false): number {
    if (this.isClosing) return -Errno.EINVAL
    if (this.isMute) return 0
    const opened = this.obtain(domain)
    if (opened !== 0) return opened
    const socket = this.socket!
    socket.setOption(C.SOL_SOCKET, C.SO_REUSEADDR, 1)
    if (domain === C.AF_INET6) socket.setOption(C.SOL_IPV6, C.IPV6_V6ONLY, Number(v6only))
    const result = socket.bind(address)
    if (result === -Errno.EAFNOSUPPORT) return -Errno.EINVAL
    if (result !== 0 && result !== -Errno.EADDRINUSE) return result
    this.delayed = result
    return 0
  }

  listen(domain: number, backlog: number): number {
    if (this.isClosing) return -Errno.EINVAL
    if (this.isMute) return 0
    if (this.delayed !== 0) return this.delayed
    const opened = this.obtain(domain)
    if (opened !== 0) return opened
    const result = this.socket!.listen(backlog)
    if (result !== 0) return result
    this.listening = true
    this.follow()
    return 0
  }

  connect(domain: number, address: Sockaddr): number {
    if (this.isClosing) return -Errno.EINVAL
    if (this.isMute) return 0
    if (this.connecting) return -Errno.EALREADY
    if (this.delayed === 0) {
      const opened = this.obtain(domain)
      if (opened !== 0) return opened
      this.enter()
      const result = this.socket!.connect(address)
      if (result === -Errno.ECONNREFUSED) this.delayed = result
      else if (result !== 0 && result !== -Errno.EINPROGRESS) return result
      // It is there already, as on a Unix socket.
      if (result === 0) this.events.post(this)
    }
    this.connecting = true
    this.follow()
    if (this.delayed !== 0) this.events.post(this)
    return 0
  }

  /** Has `readStart` been called, and `readStop` not since? */
  get isReading(): boolean {
    return this.reading
  }

  readStart(): number {
    if (this.isClosing) return -Errno.EINVAL
    if (this.socket === null) return -Errno.ENOTCONN
    this.reading = true
    this.follow()
    if (!this.ended && (this.socket.poll() & READABLE) !== 0) this.events.post(this)
    return 0
  }

  readStop(): number {
    this.reading = false
    this.follow()
    return 0
  }

  /** Reads go into `buffer` from now on, and the owner is given none. */
  useBuffer(buffer: Uint8Array): void {
    this.into = buffer
  }

  /**
   * Writes what can be written now, and the rest when there is room: see `lastWriteWasAsync`.
   * @param request given back to `onWritten`
   */
  write(request: unknown, chunks: readonly Uint8Array[]): number {
    this.lastWriteWasAsync = false
    if (this.isClosing || this.socket === null) return -Errno.EBADF
    // An empty one at the end would leave the others waiting for more.
    const filled = chunks.length > 1 ? chunks.filter(({ length }) => length > 0) : chunks
    const write: PendingWrite = { request, chunks: filled, index: 0, offset: 0 }
    if (!this.connecting && this.writes.length === 0) {
      this.enter()
      const result = this.advance(write)
      if (result < 0 && result !== -Errno.EAGAIN) return result
      if (result === 0) return 0
    }
    this.lastWriteWasAsync = true
    this.writes.push(write)
    this.follow()
    return 0
  }

  /** Bytes that wait to be written, besides those in SendQ. */
  get writeQueueSize(): number {
    let size = 0
    for (const { chunks, index, offset } of this.writes) {
      for (let i = index; i < chunks.length; i++) size += chunks[i]!.length
      size -= offset
    }
    return size
  }

  /** Sends as much of `write` as there is room for. @returns 0 when that was all, else a negative `Errno` */
  private advance(write: PendingWrite): number {
    const socket = this.socket!
    const { chunks } = write
    for (; write.index < chunks.length; write.index++) {
      const chunk = chunks[write.index]!
      const more = write.index < chunks.length - 1 ? C.MSG_MORE : 0
      while (write.offset < chunk.length) {
        const sent = socket.send(chunk, write.offset, chunk.length - write.offset, C.MSG_NOSIGNAL | more, null)
        if (sent < 0) return sent
        write.offset += sent
      }
      write.offset = 0
    }
    return 0
  }

  /** Ends the sending direction when everything has been written. */
  shutdown(request: unknown): number {
    if (this.isClosing || this.socket === null || this.shut || this.connecting) return -Errno.ENOTCONN
    this.shut = true
    this.shutdownRequest = request ?? true
    this.follow()
    if (this.writes.length === 0) this.events.post(this)
    return 0
  }

  setNoDelay(on: boolean): number {
    return this.setOption(C.SOL_TCP, C.TCP_NODELAY, Number(on))
  }

  setReusePort(): number {
    return this.setOption(C.SOL_SOCKET, C.SO_REUSEPORT, 1)
  }

  /** Sets the type of service, or traffic class, of what is sent. @returns 0 or a negative `Errno` */
  setTypeOfService(value: number): number {
    const [level, name] = this.serviceOption
    return this.setOption(level, name, value)
  }

  /** That, or a negative `Errno`. */
  get typeOfService(): number {
    if (this.socket === null) return -Errno.EBADF
    const value = this.socket.getOption(...this.serviceOption)
    return typeof value === 'number' ? value : -Errno.EINVAL
  }

  private get serviceOption(): [level: number, name: number] {
    return this.socket?.family === 6 ? [C.SOL_IPV6, C.IPV6_TCLASS] : [C.SOL_IP, C.IP_TOS]
  }

  /** @param idle seconds before the first probe; must not be 0 when it is turned on */
  setKeepAlive(on: boolean, idle: number): number {
    const turned = this.setOption(C.SOL_SOCKET, C.SO_KEEPALIVE, Number(on))
    if (turned !== 0 || !on) return turned
    const wait = this.setOption(C.SOL_TCP, C.TCP_KEEPIDLE, idle)
    if (wait !== 0) return wait
    // One second, ten times: what libuv asks for.
    return this.setOption(C.SOL_TCP, C.TCP_KEEPINTVL, 1) || this.setOption(C.SOL_TCP, C.TCP_KEEPCNT, 10)
  }

  /** Closes with a RST. */
  reset(): number {
    if (this.shutdownRequest !== null) return -Errno.EINVAL
    this.setOption(C.SOL_SOCKET, C.SO_LINGER, { l_onoff: 1, l_linger: 0 })
    this.close()
    return 0
  }

  override close(): void {
    this.reading = false
    super.close()
  }

  hangUp(): void {
    this.hungUp = true
    this.events.post(this)
  }

  handleEvents(): void {
    if (this.isClosing) {
      this.cancel()
      return
    }
    const { socket } = this
    if (socket === null) return
    if (this.hungUp) {
      this.endHungUp()
      return
    }
    if (this.listening) {
      this.acceptAll(socket)
      return
    }
    if (this.connecting) {
      this.finishConnect(socket)
      return
    }
    if (this.reading && !this.ended && (socket.poll() & READABLE) !== 0) this.readSome(socket)
    if (this.writes.length > 0 && !this.isClosing) this.flush()
    if (this.shutdownRequest !== null && this.writes.length === 0 && !this.isClosing) this.finishShutdown(socket)
  }

  private endHungUp(): void {
    const wasReading = this.reading && !this.ended
    this.ended = true
    this.listening = false
    this.follow()
    if (wasReading) this.tellRead(UV_EOF, null)
  }

  private acceptAll(socket: Socket): void {
    while (this.listening && !this.isClosing) {
      this.enter()
      if (!this.context.process.files.hasRoom) {
        this.tellConnection(-Errno.EMFILE, null)
        return
      }
      const accepted = socket.accept()
      if (typeof accepted !== 'number') this.tellConnection(0, accepted)
      else if (accepted === -Errno.EAGAIN) return
      else if (accepted !== -Errno.ECONNABORTED) {
        this.tellConnection(accepted, null)
        return
      }
    }
  }

  private tellConnection(status: number, socket: Socket | null): void {
    this.owner.onConnection(status, socket)
    this.events.afterCallback()
  }

  private finishConnect(socket: Socket): void {
    this.enter()
    const status = this.delayed !== 0 ? this.delayed : socket.connectResult(false)
    if (status === -Errno.EINPROGRESS) return
    this.delayed = 0
    this.connecting = false
    this.follow()
    this.owner.onConnect(status)
    this.events.afterCallback()
    if (status !== 0 && !this.isClosing) this.cancelWrites()
    // What has come meanwhile has its turn.
    if (!this.isClosing) this.events.post(this)
  }

  private readSome(socket: Socket): void {
    for (let left = READS; left > 0 && this.reading && !this.isClosing; left--) {
      this.enter()
      const given = this.into
      const asked = given === null ? Math.min(READ_SIZE, socket.receivable) : given.length
      const data = given === null && asked > 0 ? this.owner.newBuffer(asked) : null
      const target = given ?? data ?? NOWHERE
      const count = socket.receive(target, 0, target.length, C.MSG_DONTWAIT, null)
      if (count === -Errno.EAGAIN) return
      if (count <= 0) {
        this.ended = true
        this.reading = count !== 0 && this.reading
        this.follow()
        this.tellRead(count === 0 ? UV_EOF : count, null)
        return
      }
      this.bytesRead += count
      this.tellRead(
        count,
        data === null || count === data.length ? data : Uint8Array.prototype.slice.call(data, 0, count),
      )
      if (asked < READ_SIZE && given === null) break
    }
    if (this.reading && !this.isClosing && (socket.poll() & READABLE) !== 0) this.events.post(this)
  }

  private tellRead(count: number, data: Uint8Array | null): void {
    this.owner.onRead(count, data)
    this.events.afterCallback()
  }

  private flush(): void {
    while (this.writes.length > 0 && !this.isClosing) {
      this.enter()
      const write = this.writes[0]!
      const result = this.advance(write)
      if (result === -Errno.EAGAIN) return
      this.writes.shift()
      this.follow()
      this.tellWritten(write.request, result)
    }
  }

  private tellWritten(request: unknown, status: number): void {
    this.owner.onWritten(request, status)
    this.events.afterCallback()
  }

  private finishShutdown(socket: Socket): void {
    this.enter()
    const request = this.shutdownRequest
    this.shutdownRequest = null
    const status = socket.shutdown(C.SHUT_WR)
    this.follow()
    this.owner.onShutdown(request, status)
    this.events.afterCallback()
  }

  /** After `close`: what was pending is told so. */
  private cancel(): void {
    if (this.connecting) {
      this.connecting = false
      this.owner.onConnect(ECANCELED)
      this.events.afterCallback()
    }
    if (this.writes.length > 0) this.cancelWrites()
    if (this.shutdownRequest !== null) {
      const request = this.shutdownRequest
      this.shutdownRequest = null
      this.owner.onShutdown(request, ECANCELED)
      this.events.afterCallback()
    }
    this.owner.onClosed()
    this.events.afterCallback()
  }

  private cancelWrites(): void {
    for (const { request } of this.writes.splice(0)) this.tellWritten(request, ECANCELED)
  }

  /** Notes what it waits for now. */
  private follow(): void {
    const writing = this.connecting || this.writes.length > 0
    const reading = this.listening || (this.reading && !this.ended)
    this.interest = (writing ? Readiness.Out : 0) | (reading ? READABLE : 0)
    this.setWorking(!this.isClosing && (writing || reading || this.shutdownRequest !== null))
  }
}

const READABLE = Readiness.In | Readiness.Err | Readiness.Hup | Readiness.RdHup
