import type { DatagramTransport } from './context.ts'
import type { DatagramOwner } from './datagram-handle.ts'
import type { DgramSocket } from './dgram-socket.ts'
import type { LookupCallback } from './dns-types.ts'
import { errnoException } from './errors.ts'
import { asBuffer, type Scope, type Surroundings } from './platform.ts'
import type { AddressInfo } from './socket-handle.ts'

export interface DgramOptions {
  type?: unknown
  reuseAddr?: boolean
  reusePort?: boolean
  ipv6Only?: boolean
  recvBufferSize?: number
  sendBufferSize?: number
  lookup?: (name: string, family: 4 | 6, callback: LookupCallback) => void
  signal?: AbortSignal
}

type Bind = 'unbound' | 'binding' | 'bound'
type Connection = 'disconnected' | 'connecting' | 'connected'

export const STATE = Symbol('netglass datagram socket')
export const ANY = { 4: '0.0.0.0', 6: '::' } as const
const LOOPBACK = { 4: '127.0.0.1', 6: '::1' } as const

/** What a datagram socket keeps to itself, and whom its handle tells. */
export class DgramState implements DatagramOwner {
  readonly surroundings: Surroundings
  readonly socket: DgramSocket
  readonly options: DgramOptions
  readonly family: 4 | 6
  readonly scope: Scope
  /** Null when it was closed. */
  handle: LazyHandle | null
  receiving = false
  bound: Bind = 'unbound'
  connection: Connection = 'disconnected'
  /** What waits until it is bound. */
  queue: (() => void)[] | null = null
  readonly flush = (): void => {
    const { queue } = this
    this.queue = null
    for (const waiting of queue ?? []) waiting()
  }

  constructor(surroundings: Surroundings, socket: DgramSocket, family: 4 | 6, options: DgramOptions) {
    this.surroundings = surroundings
    this.socket = socket
    this.family = family
    this.options = options
    this.scope = surroundings.platform.scope('NETGLASSUDP')
    this.handle = new LazyHandle(this)
  }

  lookup(address: string | null | undefined, callback: LookupCallback): void {
    const { lookup } = this.options
    const name = address || LOOPBACK[this.family]
    if (lookup === undefined) this.surroundings.dns.lookup(name, { family: this.family }, callback)
    else lookup(name, this.family, callback)
  }

  newBuffer(bytes: number): Uint8Array {
    return this.surroundings.platform.Buffer.allocUnsafeSlow(bytes)
  }

  onMessage(count: number, data: Uint8Array | null, from: AddressInfo | null): void {
    this.scope.runInAsyncScope(this.tellMessage, this, count, data, from)
  }

  private tellMessage(count: number, data: Uint8Array | null, from: AddressInfo | null): void {
    if (count < 0 || data === null) this.socket.emit('error', errnoException(count, 'recvmsg'))
    else {
      const message = asBuffer(this.surroundings.platform, data)
      this.socket.emit('message', message, Object.assign({}, from, { size: message.length }))
    }
  }

  onClosed(): void {}
}

/** A handle of the program that first does something with it. */
export class LazyHandle {
  private readonly state: DgramState
  private own: DatagramTransport | null = null
  private referenced = true

  constructor(state: DgramState) {
    this.state = state
  }

  get handle(): DatagramTransport {
    if (this.own === null) {
      this.own = this.state.surroundings.current().newDatagrams(this.state)
      if (!this.referenced) this.own.setRef(false)
    }
    return this.own
  }

  /** The handle, bound to any address if it has no socket yet. */
  get boundHandle(): DatagramTransport {
    const { handle } = this
    if (handle.socket === null) handle.bind(this.state.family, { address: ANY[this.state.family], port: 0 }, 0)
    return handle
  }

  setRef(referenced: boolean): void {
    this.referenced = referenced
    this.own?.setRef(referenced)
  }

  close(): void {
    this.own?.close()
  }
}

/** Does it when the socket is bound, or never when that fails. */
export const whenBound = (state: DgramState, action: () => void): void => {
  if (state.queue === null) {
    state.queue = []
    state.socket.once('listening', state.flush)
  }
  state.queue.push(action)
}
