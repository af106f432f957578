import { Errno } from '../core/errno.ts'
import type { Sockaddr } from '../socket/address.ts'
import { AF_INET, AF_INET6, AF_UNIX } from '../socket/constants.ts'
import type { Socket as StackSocket } from '../socket/socket.ts'
import type { NetContext, StreamTransport } from './context.ts'
import type { Scope, Surroundings } from './platform.ts'
import type { AddressInfo } from './socket-handle.ts'
import type { StreamOwner } from './stream-handle.ts'

/** Kinds of addresses: the two versions of IP, and paths. */
export type AddressKind = 4 | 6 | 'path'

/** Whom a `NetHandle` tells what has come. */
export interface NetHandleUser {
  onRead(count: number, data: Uint8Array | null): void
}

const DOMAINS = { 4: AF_INET, 6: AF_INET6, path: AF_UNIX } as const

const sockaddr = (kind: AddressKind, address: string, port: number): Sockaddr =>
  kind === 'path' ? { family: AF_UNIX, path: address } : { address, port }

type Done = (status: number) => void

/** What is under a socket or a server of the module `net`: a stream, whose events come in the context that began it. */
export class NetHandle implements StreamOwner {
  readonly surroundings: Surroundings
  readonly context: NetContext
  readonly scope: Scope
  user: NetHandleUser | null = null
  /** Told of each connection, which is its own then. */
  onconnection: ((this: NetHandle, status: number, handle: NetHandle | null) => void) | null = null
  isPath = false
  private readonly stream: StreamTransport
  private connected: Done | null = null
  private closed: (() => void) | null = null
  /** The path that it listens at. */
  private path: string | null = null

  constructor(surroundings: Surroundings, context = surroundings.current()) {
    this.surroundings = surroundings
    this.context = context
    this.scope = surroundings.platform.scope('NETGLASSTCP')
    this.stream = context.newStream(this)
  }

  /** @param done told when it is over, unless an error is returned */
  connect(kind: AddressKind, address: string, port: number, done: Done): number {
    this.isPath = kind === 'path'
    const result = this.stream.connect(DOMAINS[kind], sockaddr(kind, address, port))
    if (result === 0) this.connected = done
    return result
  }

  /** Nobody is to be told any more how connecting ends. */
  forgetConnect(): void {
    this.connected = null
  }

  bind(kind: AddressKind, address: string, port: number, v6only = false): number {
    this.isPath = kind === 'path'
    const result = this.stream.bind(DOMAINS[kind], sockaddr(kind, address, port), v6only)
    if (this.isPath && result === 0 && !address.startsWith('\0')) this.path = address
    return result
  }

  listen(backlog: number): number {
    return this.stream.listen(this.isPath ? AF_UNIX : AF_INET, backlog)
  }

  /** Does it read now? */
  get reading(): boolean {
    return this.stream.isReading
  }

  readStart(): number {
    return this.stream.readStart()
  }

  readStop(): number {
    return this.stream.readStop()
  }

  /** Reads go into `buffer` from now on. */
  useBuffer(buffer: Uint8Array): void {
    this.stream.useBuffer(buffer)
  }

  /**
   * @param done told when it has been written, unless it was at once
   * @returns 1 when it was written at once, 0 when `done` will be told, or a negative `Errno`
   */
  write(chunks: readonly Uint8Array[], done: Done): number {
    let bytes = 0
    for (const chunk of chunks) bytes += chunk.length
    const result = this.stream.write(done, chunks)
    if (result !== 0) return result
    this.stream.bytesWritten += bytes
    return this.stream.lastWriteWasAsync ? 0 : 1
  }

  shutdown(done: Done): number {
    return this.stream.shutdown(done)
  }

  setNoDelay(on: boolean): number {
    return this.isPath ? -Errno.EOPNOTSUPP : this.stream.setNoDelay(on)
  }

  /** @param idle seconds */
  setKeepAlive(on: boolean, idle: number): number {
    return this.isPath ? -Errno.EOPNOTSUPP : this.stream.setKeepAlive(on, idle)
  }

  /** SO_REUSEPORT: several may listen at one port and share what comes. */
  setReusePort(): number {
    return this.stream.setReusePort()
  }

  getsockname(out: Partial<AddressInfo>): number {
    return this.isPath ? -Errno.EINVAL : this.stream.localAddress(out)
  }

  getpeername(out: Partial<AddressInfo>): number {
    return this.isPath ? -Errno.EINVAL : this.stream.peerAddress(out)
  }

  /** The descriptor in the program's process; -1 for none. */
  get fd(): number {
    return this.stream.fd
  }

  get bytesRead(): number {
    return this.stream.bytesRead
  }

  get bytesWritten(): number {
    return this.stream.bytesWritten
  }

  get writeQueueSize(): number {
    return this.stream.writeQueueSize
  }

  ref(): void {
    this.stream.setRef(true)
  }

  unref(): void {
    this.stream.setRef(false)
  }

  hasRef(): boolean {
    return this.stream.hasRef && !this.stream.isClosing
  }

  /** Does it keep the program alive while it waits for something, or did until it was closed? */
  get isReferenced(): boolean {
    return this.stream.hasRef
  }

  /** Gives everybody rights to the path that it listens at. @param rights bits of a mode */
  allow(path: string, rights: number): void {
    const { host, process } = this.context
    host.sockets.unixNames.chmod(path, 0o755 | rights, process.uid)
  }

  close(done?: () => void): void {
    if (this.stream.isClosing) return
    const { host, process } = this.context
    if (this.path !== null) host.sockets.unixNames.unlink(this.path, process.uid)
    this.closed = done ?? null
    this.stream.close()
  }

  /** Closes with a RST. */
  reset(done?: () => void): number {
    if (this.stream.isClosing) return 0
    this.closed = done ?? null
    return this.stream.reset()
  }

  newBuffer(bytes: number): Uint8Array {
    return this.surroundings.platform.Buffer.allocUnsafeSlow(bytes)
  }

  onRead(count: number, data: Uint8Array | null): void {
    const { user } = this
    if (user !== null) this.scope.runInAsyncScope(user.onRead, user, count, data)
  }

  onConnect(status: number): void {
    const { connected } = this
    this.connected = null
    if (connected !== null) this.scope.runInAsyncScope(connected, null, status)
  }

  onConnection(status: number, socket: StackSocket | null): void {
    this.scope.runInAsyncScope(this.tellConnection, this, status, socket)
  }

  private tellConnection(status: number, socket: StackSocket | null): void {
    let handle: NetHandle | null = null
    if (socket !== null) {
      handle = new NetHandle(this.surroundings, this.context)
      handle.isPath = this.isPath
      handle.stream.adopt(socket)
    }
    if (this.onconnection !== null) this.onconnection(status, handle)
    else handle?.close()
  }

  onWritten(request: unknown, status: number): void {
    this.scope.runInAsyncScope(request as Done, null, status)
  }

  onShutdown(request: unknown, status: number): void {
    this.scope.runInAsyncScope(request as Done, null, status)
  }

  onClosed(): void {
    const { closed } = this
    this.closed = null
    if (closed !== null) this.scope.runInAsyncScope(closed, null)
  }
}
