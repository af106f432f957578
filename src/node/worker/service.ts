import type { MessagePort } from 'node:worker_threads'
import { Errno } from '../../core/errno.ts'
import { DatagramHandle } from '../../net/datagram-handle.ts'
import type { AddressInfo } from '../../net/socket-handle.ts'
import { StreamHandle } from '../../net/stream-handle.ts'
import type { Socket } from '../../socket/socket.ts'
import type { NodeContext } from '../programs.ts'
import { Answers, type CallMessage, type EventMessage } from './protocol.ts'

/** Bytes that are on their way to a worker before its stream is read no further. */
const READ_AHEAD = 1 << 18

/** Calls that are the handle's own methods. */
const PLAIN: ReadonlySet<string> = new Set([
  'connect',
  'bind',
  'listen',
  'shutdown',
  'reset',
  'close',
  'disconnect',
  'receiveStart',
  'receiveStop',
  'send',
  'setNoDelay',
  'setKeepAlive',
  'setTypeOfService',
  'setReusePort',
  'setBroadcast',
  'setTtl',
  'setMulticastTtl',
  'setMulticastLoopback',
  'setMulticastInterface',
  'setMembership',
  'setSourceMembership',
  'bufferSize',
])

type Tell = (event: EventMessage['event'], args: readonly unknown[], transfer?: ArrayBuffer[]) => void

/** A stream of a worker's, in the thread that has the host. */
class ServedStream {
  readonly handle: StreamHandle
  private readonly tell: Tell
  private readonly service: WorkerService
  private ahead = 0

  constructor(service: WorkerService, tell: Tell) {
    this.service = service
    this.tell = tell
    this.handle = new StreamHandle(service.context, this)
    this.handle.setRef(false)
  }

  readStart(): number {
    return this.ahead < READ_AHEAD && !this.handle.isReading ? this.handle.readStart() : 0
  }

  /** The worker has told its program of so many bytes. */
  taken(bytes: number): void {
    this.ahead -= bytes
    if (!this.handle.isClosing) this.readStart()
  }

  write(request: number, chunks: Uint8Array[], bytes: number): void {
    const result = this.handle.write([request, bytes], chunks)
    if (result !== 0 || !this.handle.lastWriteWasAsync) this.tell('written', [request, bytes, result])
  }

  newBuffer(bytes: number): Uint8Array {
    return new Uint8Array(bytes)
  }

  onRead(count: number, data: Uint8Array | null): void {
    this.ahead += Math.max(0, count)
    if (this.ahead >= READ_AHEAD) this.handle.readStop()
    const buffer = data === null ? null : (data.buffer as ArrayBuffer)
    this.tell('read', [count, buffer], buffer === null ? [] : [buffer])
  }

  onConnect(status: number): void {
    this.tell('connect', [status])
  }

  onConnection(status: number, socket: Socket | null): void {
    this.tell('connection', [status, socket === null ? null : this.service.adopt(socket)])
  }

  onWritten(request: unknown, status: number): void {
    this.tell('written', [...(request as [number, number]), status])
  }

  onShutdown(request: unknown, status: number): void {
    this.tell('shutdown', [request, status])
  }

  onClosed(): void {
    this.tell('closed', [])
  }
}

/** A datagram socket of a worker's. */
class ServedDatagrams {
  readonly handle: DatagramHandle
  private readonly tell: Tell

  constructor(service: WorkerService, tell: Tell) {
    this.tell = tell
    this.handle = new DatagramHandle(service.context, this)
    this.handle.setRef(false)
  }

  newBuffer(bytes: number): Uint8Array {
    return new Uint8Array(bytes)
  }

  onMessage(count: number, data: Uint8Array | null, from: AddressInfo | null): void {
    this.tell('message', [count, data, from])
  }

  onClosed(): void {
    this.tell('closed', [])
  }
}

/** Does in the thread that has the host what a worker's program asks for. */
export class WorkerService {
  readonly context: NodeContext
  private readonly port: MessagePort
  private readonly answers: Answers
  private readonly served = new Map<number, ServedStream | ServedDatagrams>()
  /** Handles that begin here have even numbers, the worker's odd ones. */
  private next = 2

  /** @param onEnded called when the worker has ended and its sockets are closed */
  constructor(context: NodeContext, port: MessagePort, shared: SharedArrayBuffer, onEnded: () => void) {
    this.context = context
    this.port = port
    this.answers = new Answers(shared)
    port.on('message', (message: CallMessage) => this.call(message))
    port.on('close', () => {
      for (const { handle } of this.served.values()) handle.close()
      onEnded()
    })
    // The worker itself keeps the process alive.
    port.unref()
  }

  /** Takes a connection for the worker. @returns its number */
  adopt(socket: Socket): number {
    const id = this.next
    this.next += 2
    const stream = this.open(id, 'stream') as ServedStream
    stream.handle.adopt(socket)
    return id
  }

  private open(id: number, kind: 'stream' | 'datagrams'): ServedStream | ServedDatagrams {
    const tell: Tell = (event, args, transfer = []) => {
      this.port.postMessage({ target: id, event, args } satisfies EventMessage, transfer)
      if (event === 'closed') this.served.delete(id)
    }
    const made = kind === 'stream' ? new ServedStream(this, tell) : new ServedDatagrams(this, tell)
    this.served.set(id, made)
    return made
  }

  private call({ target, method, args, waits }: CallMessage): void {
    let result: unknown = -Errno.EINVAL
    try {
      result = target === 0 ? this.callProgram(method, args) : this.callHandle(target, method, args)
    } finally {
      // Nobody is to stand still for ever.
      if (waits) this.answers.give(result)
    }
  }

  private callProgram(method: string, args: readonly unknown[]): unknown {
    if (method === 'lookup') return this.context.lookup(...(args as Parameters<NodeContext['lookup']>))
    if (method === 'reverseLookup') return this.context.reverseLookup(...(args as [string, number]))
    const [id] = args as [number]
    if (method === 'worker') {
      const [, port, shared] = args as [number, MessagePort, SharedArrayBuffer]
      const message: EventMessage = { target: 0, event: 'ended', args: [id] }
      this.context.serveWorker(port, shared, () => this.port.postMessage(message))
      return undefined
    }
    this.open(id, method === 'stream' ? 'stream' : 'datagrams')
    return undefined
  }

  private callHandle(target: number, method: string, args: readonly unknown[]): unknown {
    const served = this.served.get(target)
    if (served === undefined) return undefined
    const { handle } = served
    if (method === 'localAddress' || method === 'peerAddress') {
      const out: Partial<AddressInfo> = {}
      return { result: handle[method](out), out }
    }
    if (served instanceof ServedStream) {
      if (method === 'readStart') return served.readStart()
      if (method === 'taken') return served.taken(args[0] as number)
      if (method === 'write') return served.write(...(args as [number, Uint8Array[], number]))
      if (method === 'typeOfService') return served.handle.typeOfService
    }
    if (!PLAIN.has(method)) throw new Error(`a worker has asked for ${method}`)
    return (handle as unknown as Record<string, (...args: readonly unknown[]) => unknown>)[method]!(...args)
  }
}
