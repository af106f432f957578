import type { MessagePort } from 'node:worker_threads'
import { Errno } from '../../core/errno.ts'
import type { DatagramTransport, StreamTransport } from '../../net/context.ts'
import type { DatagramHandle, DatagramOwner } from '../../net/datagram-handle.ts'
import { type EventQueue, Handle } from '../../net/events.ts'
import type { AddressInfo } from '../../net/socket-handle.ts'
import type { StreamOwner } from '../../net/stream-handle.ts'
import { UV_EOF } from '../../net/uv.ts'
import type { Sockaddr } from '../../socket/address.ts'
import type { Socket } from '../../socket/socket.ts'
import type { Answers, CallMessage, EventMessage } from './protocol.ts'

/** Bytes that a stream may have on their way to the host before a write has to wait. */
const WRITE_AHEAD = 1 << 18

/** The way from a worker to the thread that has the host. */
export class HostLink {
  readonly port: MessagePort
  private readonly answers: Answers
  private readonly handles = new Map<number, RemoteHandle>()
  /** Workers of this one, by number: what is called when one has ended. */
  private readonly workers = new Map<number, () => void>()
  private next = 1
  private nextWorker = 1

  constructor(port: MessagePort, answers: Answers) {
    this.port = port
    this.answers = answers
    port.on('message', ({ target, event, args }: EventMessage) => {
      if (event === 'ended') this.workerEnded(args[0] as number)
      else this.handles.get(target)?.happened(event, args)
    })
    port.unref()
  }

  /** @returns the number of a new worker */
  noteWorker(onEnded: () => void): number {
    const id = this.nextWorker++
    this.workers.set(id, onEnded)
    return id
  }

  private workerEnded(id: number): void {
    this.workers.get(id)?.()
    this.workers.delete(id)
  }

  /** Calls, and stands still for the result. */
  ask(target: number, method: string, args: readonly unknown[]): unknown {
    this.answers.expect()
    this.post({ target, method, args, waits: true })
    return this.answers.wait()
  }

  /** Calls, and goes on. */
  post(message: CallMessage, transfer: (ArrayBuffer | MessagePort)[] = []): void {
    this.port.postMessage(message, transfer)
  }

  /** @returns the number of a new handle */
  open(kind: 'stream' | 'datagrams', handle: RemoteHandle): number {
    const id = this.next
    this.next += 2
    this.post({ target: 0, method: kind, args: [id], waits: false })
    this.handles.set(id, handle)
    return id
  }

  know(id: number, handle: RemoteHandle): void {
    this.handles.set(id, handle)
  }

  forget(id: number): void {
    this.handles.delete(id)
  }
}

/** What streams and datagram sockets of a worker share: what happens is told in the worker's own turns. */
abstract class RemoteHandle extends Handle {
  /** Where the program has made it, for those who look for what was left open. */
  origin: string | null = null
  isClosing = false
  protected readonly link: HostLink
  protected id = 0
  private readonly happenings: (readonly [event: EventMessage['event'], args: readonly unknown[]])[] = []

  constructor(link: HostLink, events: EventQueue) {
    super(events)
    this.link = link
  }

  get fd(): number {
    return this.isClosing ? -1 : this.id
  }

  happened(event: EventMessage['event'], args: readonly unknown[]): void {
    this.happenings.push([event, args])
    this.events.post(this)
  }

  handleEvents(): void {
    for (let next = this.happenings.shift(); next !== undefined; next = this.happenings.shift()) {
      const [event, args] = next
      this.tell(event, args)
      this.events.afterCallback()
    }
  }

  wake(): boolean {
    return false
  }

  protected abstract tell(event: EventMessage['event'], args: readonly unknown[]): void

  protected ask(method: string, ...args: readonly unknown[]): number {
    return this.link.ask(this.id, method, args) as number
  }

  protected post(method: string, ...args: readonly unknown[]): void {
    this.link.post({ target: this.id, method, args, waits: false })
  }

  localAddress(out: Partial<AddressInfo>): number {
    return this.address('localAddress', out)
  }

  peerAddress(out: Partial<AddressInfo>): number {
    return this.address('peerAddress', out)
  }

  private address(method: string, out: Partial<AddressInfo>): number {
    const answer = this.link.ask(this.id, method, []) as { result: number; out: AddressInfo }
    Object.assign(out, answer.out)
    return answer.result
  }

  close(how: 'close' | 'reset' = 'close'): void {
    if (this.isClosing) return
    this.beginClosing()
    this.post(how)
  }

  /** The thread stays alive until the last word has come. */
  protected beginClosing(): void {
    this.isClosing = true
    this.setRef(true)
    this.setWorking(true)
  }

  protected endClosing(): void {
    this.setWorking(false)
    this.link.forget(this.id)
  }
}

/** A connection that the host has accepted for a worker: what `adopt` takes in place of a socket. */
class Accepted {
  readonly id: number

  constructor(id: number) {
    this.id = id
  }
}

/** A stream of a worker's: does what a `StreamHandle` does, which is in the thread that has the host. */
export class RemoteStream extends RemoteHandle implements StreamTransport {
  bytesRead = 0
  bytesWritten = 0
  lastWriteWasAsync = false
  private readonly owner: StreamOwner
  private opened = false
  private connecting = false
  private reading = false
  private listening = false
  private ended = false
  private shut = false
  private failure = 0
  private ahead = 0
  private requests = 0
  private readonly writes = new Map<number, unknown>()
  private shutdownRequest: unknown = null
  private readonly unread: (readonly [count: number, data: Uint8Array | null])[] = []
  private into: Uint8Array | null = null

  constructor(link: HostLink, events: EventQueue, owner: StreamOwner) {
    super(link, events)
    this.owner = owner
  }

  /** Whatever is not null says that it has been used. */
  get socket(): Socket | null {
    return this.opened ? (this as unknown as Socket) : null
  }

  adopt(socket: Socket): void {
    this.id = (socket as unknown as Accepted).id
    this.opened = true
    this.link.know(this.id, this)
  }

  private open(): void {
    if (this.id === 0) this.id = this.link.open('stream', this)
  }

  bind(domain: number, address: Sockaddr, v6only = false): number {
    this.open()
    const result = this.ask('bind', domain, address, v6only)
    if (result === 0) this.opened = true
    return result
  }

  listen(domain: number, backlog: number): number {
    this.open()
    const result = this.ask('listen', domain, backlog)
    if (result === 0) {
      this.opened = true
      this.listening = true
      this.follow()
    }
    return result
  }

  connect(domain: number, address: Sockaddr): number {
    this.open()
    const result = this.ask('connect', domain, address)
    if (result === 0) {
      this.opened = true
      this.connecting = true
      this.follow()
    }
    return result
  }

  get isReading(): boolean {
    return this.reading
  }

  readStart(): number {
    if (this.isClosing) return -Errno.EINVAL
    if (!this.opened) return -Errno.ENOTCONN
    this.reading = true
    this.post('readStart')
    this.follow()
    if (this.unread.length > 0) this.events.post(this)
    return 0
  }

  readStop(): number {
    this.reading = false
    this.follow()
    return 0
  }

  useBuffer(buffer: Uint8Array): void {
    this.into = buffer
  }

  write(request: unknown, chunks: readonly Uint8Array[]): number {
    this.lastWriteWasAsync = false
    if (this.isClosing || !this.opened) return -Errno.EBADF
    if (this.failure !== 0) return this.failure
    // Views of large buffers would be sent with all of these.
    const copies = chunks.map((chunk) => Uint8Array.prototype.slice.call(chunk))
    const bytes = copies.reduce((sum, { length }) => sum + length, 0)
    const waits = this.connecting || this.ahead + bytes > WRITE_AHEAD
    const id = waits ? ++this.requests : 0
    if (waits) this.writes.set(id, request)
    this.ahead += bytes
    this.lastWriteWasAsync = waits
    this.follow()
    const message = { target: this.id, method: 'write', args: [id, copies, bytes], waits: false }
    this.link.post(
      message,
      copies.map(({ buffer }) => buffer),
    )
    return 0
  }

  get writeQueueSize(): number {
    return this.writes.size === 0 ? 0 : this.ahead
  }

  shutdown(request: unknown): number {
    if (this.isClosing || !this.opened || this.connecting || this.shut) return -Errno.ENOTCONN
    this.shut = true
    this.shutdownRequest = request ?? true
    this.follow()
    this.post('shutdown', 0)
    return 0
  }

  setNoDelay(on: boolean): number {
    this.open()
    return this.ask('setNoDelay', on)
  }

  setKeepAlive(on: boolean, idle: number): number {
    this.open()
    return this.ask('setKeepAlive', on, idle)
  }

  setReusePort(): number {
    this.open()
    return this.ask('setReusePort')
  }

  setTypeOfService(value: number): number {
    this.open()
    return this.ask('setTypeOfService', value)
  }

  get typeOfService(): number {
    this.open()
    return this.ask('typeOfService')
  }

  reset(): number {
    if (this.shutdownRequest !== null) return -Errno.EINVAL
    this.close('reset')
    return 0
  }

  override close(how: 'close' | 'reset' = 'close'): void {
    if (this.isClosing) return
    this.reading = false
    // Nobody knows of one without a number.
    if (this.id !== 0) super.close(how)
    else {
      this.beginClosing()
      this.happened('closed', [])
    }
  }

  override handleEvents(): void {
    super.handleEvents()
    while (this.reading && !this.isClosing && this.unread.length > 0) this.readNext()
  }

  private readNext(): void {
    const [count, data] = this.unread.shift()!
    if (data === null) {
      this.ended = true
      this.reading = count === UV_EOF && this.reading
      this.follow()
      this.owner.onRead(count, null)
      this.events.afterCallback()
      return
    }
    const { into } = this
    const given = into === null ? count : Math.min(count, into.length)
    if (into !== null) {
      into.set(data.subarray(0, given))
      if (given < count) this.unread.unshift([count - given, data.subarray(given)])
    }
    this.bytesRead += given
    this.post('taken', given)
    this.owner.onRead(given, into === null ? data : null)
    this.events.afterCallback()
  }

  protected tell(event: EventMessage['event'], args: readonly unknown[]): void {
    if (event === 'read') {
      const [count, data] = args as [number, ArrayBuffer | null]
      this.unread.push([count, data === null ? null : new Uint8Array(data)])
    } else if (event === 'connect') {
      this.connecting = false
      this.follow()
      this.owner.onConnect(args[0] as number)
    } else if (event === 'connection') {
      const [status, id] = args as [number, number | null]
      this.owner.onConnection(status, id === null ? null : (new Accepted(id) as unknown as Socket))
    } else if (event === 'written') this.written(...(args as [number, number, number]))
    else if (event === 'shutdown') {
      const request = this.shutdownRequest
      this.shutdownRequest = null
      this.follow()
      this.owner.onShutdown(request, args[1] as number)
    } else if (event === 'closed') {
      this.endClosing()
      this.owner.onClosed()
    }
  }

  private written(id: number, bytes: number, status: number): void {
    this.ahead -= bytes
    const isTold = this.writes.has(id)
    const request = this.writes.get(id)
    this.writes.delete(id)
    this.follow()
    if (isTold) this.owner.onWritten(request, status)
    else if (status < 0) this.failure = status
  }

  private follow(): void {
    if (this.isClosing) return
    const reading = this.listening || (this.reading && !this.ended)
    const busy = this.connecting || this.ahead > 0 || this.shutdownRequest !== null
    this.setWorking(reading || busy)
  }
}

/** A datagram socket of a worker's. */
export class RemoteDatagrams extends RemoteHandle implements DatagramTransport {
  private readonly owner: DatagramOwner
  private isBound = false

  constructor(link: HostLink, events: EventQueue, owner: DatagramOwner) {
    super(link, events)
    this.owner = owner
    this.id = link.open('datagrams', this)
  }

  get socket(): DatagramHandle['socket'] {
    return this.isBound ? (this as unknown as DatagramHandle['socket']) : null
  }

  bind(family: 4 | 6, address: Sockaddr, flags: number): number {
    const result = this.ask('bind', family, address, flags)
    if (result === 0) this.isBound = true
    return result
  }

  connect(address: Sockaddr): number {
    return this.ask('connect', address)
  }

  disconnect(): number {
    return this.ask('disconnect')
  }

  send(chunks: readonly Uint8Array[], to: Sockaddr | null): number {
    return this.ask(
      'send',
      chunks.map((chunk) => Uint8Array.prototype.slice.call(chunk)),
      to,
    )
  }

  receiveStart(): number {
    this.setWorking(true)
    return this.ask('receiveStart')
  }

  receiveStop(): number {
    if (!this.isClosing) this.setWorking(false)
    return this.ask('receiveStop')
  }

  setBroadcast(on: boolean): number {
    return this.ask('setBroadcast', on)
  }

  setTtl(ttl: number): number {
    return this.ask('setTtl', ttl)
  }

  setMulticastTtl(ttl: number): number {
    return this.ask('setMulticastTtl', ttl)
  }

  setMulticastLoopback(on: boolean): number {
    return this.ask('setMulticastLoopback', on)
  }

  setMulticastInterface(address: string): number {
    return this.ask('setMulticastInterface', address)
  }

  setMembership(group: string, on: string | null, join: boolean): number {
    return this.ask('setMembership', group, on, join)
  }

  setSourceMembership(source: string, group: string, on: string | null, join: boolean): number {
    return this.ask('setSourceMembership', source, group, on, join)
  }

  bufferSize(size: number, isReceive: boolean): number {
    return this.ask('bufferSize', size, isReceive)
  }

  protected tell(event: EventMessage['event'], args: readonly unknown[]): void {
    if (event === 'message') this.owner.onMessage(...(args as [number, Uint8Array | null, AddressInfo | null]))
    else if (event === 'closed') {
      this.endClosing()
      this.owner.onClosed()
    }
  }
}
