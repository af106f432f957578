import { randomBytes } from 'node:crypto'
import { linkSync, statSync, unlinkSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { askHello } from './control-client.ts'
import {
  ControlError,
  checkPath,
  controlDirectory,
  controlPath,
  HELLO,
  makeControlDirectory,
  type StackInfo,
} from './control-socket.ts'
import { LineSplitter } from './line-splitter.ts'

/**
 * Answers a request. An async iterable that it gives is streamed, item by item, as fast as the client takes them; all
 * else is the result. What it throws goes to the client with its `code` and `message`.
 * @param signal aborted when the client cancels or goes away
 */
export type ControlHandler = (params: unknown, signal: AbortSignal) => unknown

/** What a control server is made with. */
export interface ControlServerOptions {
  /** The stack's name, among this user's; 1 to 64 letters, digits, '.', '_' and '-'. */
  readonly name: string
  /** Shown to clients. */
  readonly version?: string
  /** Where the socket goes; `controlDirectory()` unless given. */
  readonly directory?: string
  /** How long a client may neither ask anything nor take what it asked for, ms: a minute unless given. */
  readonly idleMs?: number
}

/** The longest request, bytes. */
const MAX_REQUEST = 0x10_0000
const MAX_CONNECTIONS = 64
/** Requests of one client under way; more wait in the socket. */
const MAX_PENDING = 32
const IDLE_MS = 60_000
/** How often a stale socket is removed that somebody else makes anew meanwhile. */
const ATTEMPTS = 8

/** The control socket of a running stack. It does not keep the process alive. */
export class ControlServer {
  readonly name: string
  readonly path: string
  private readonly directory: string
  private readonly version: string
  private readonly idleMs: number
  private readonly handlers = new Map<string, ControlHandler>()
  private readonly connections = new Set<Connection>()
  private server: Server | null = null
  private started = 0
  /** The socket's inode: tells whether the path is still ours. */
  private inode = 0
  private readonly onExit = (): void => this.remove()

  /** @throws ControlError when the name will not do */
  constructor(options: ControlServerOptions) {
    this.name = options.name
    this.version = options.version ?? ''
    this.idleMs = options.idleMs ?? IDLE_MS
    this.directory = options.directory ?? controlDirectory()
    this.path = controlPath(this.directory, options.name)
    this.handle(HELLO, () => this.describe())
  }

  /** Registers what answers `method`, in place of what did. */
  handle(method: string, handler: ControlHandler): this {
    this.handlers.set(method, handler)
    return this
  }

  /** The handler of a method. */
  handlerOf(method: string): ControlHandler | undefined {
    return this.handlers.get(method)
  }

  /** Clients that are connected. */
  get clients(): number {
    return this.connections.size
  }

  /**
   * Begins to listen. A socket that a stack left behind is taken over.
   * @throws ControlError EADDRINUSE when a stack of that name is running
   */
  async listen(): Promise<void> {
    makeControlDirectory(this.directory)
    const server = createServer({ allowHalfOpen: true }, (socket) => this.accept(socket))
    server.maxConnections = MAX_CONNECTIONS
    // The socket is made under another name and put in its place by a link, which fails if there is one already.
    const temporary = checkPath(join(this.directory, `.${process.pid}.${randomBytes(4).toString('hex')}`))
    await listenAt(server, temporary)
    server.unref()
    this.server = server
    this.started = Date.now()
    const forget = (): void => removeFile(temporary)
    process.once('exit', forget)
    try {
      await this.claim(temporary)
    } catch (error) {
      await this.close()
      throw error
    } finally {
      forget()
      process.removeListener('exit', forget)
    }
    process.once('exit', this.onExit)
  }

  /** Ends all conversations and removes the socket. */
  async close(): Promise<void> {
    process.removeListener('exit', this.onExit)
    const { server } = this
    this.server = null
    this.remove()
    for (const connection of this.connections) connection.destroy()
    if (server !== null) await new Promise<void>((resolve) => server.close(() => resolve()))
  }

  private describe(): StackInfo {
    return {
      name: this.name,
      pid: process.pid,
      version: this.version,
      started: this.started,
      methods: [...this.handlers.keys()].sort(),
    }
  }

  private async claim(temporary: string): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        linkSync(temporary, this.path)
        this.inode = statSync(this.path).ino
        return
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code !== 'EEXIST') {
          throw new ControlError(code ?? 'EIO', `cannot make the control socket ${this.path}: ${code}`)
        }
      }
      await this.evict()
    }
    throw new ControlError('EADDRINUSE', `cannot get the control socket ${this.path}: others keep taking it`)
  }

  /** Removes the socket that is there, unless somebody answers. */
  private async evict(): Promise<void> {
    const inode = statSync(this.path, { throwIfNoEntry: false })?.ino
    if (inode === undefined) return
    const other = await askHello(this.path)
    if (other !== null) {
      const who = other === 'silent' ? '' : ` (pid ${other.pid})`
      throw new ControlError('EADDRINUSE', `a stack named ${this.name} is running already${who}: choose another name`)
    }
    if (statSync(this.path, { throwIfNoEntry: false })?.ino === inode) removeFile(this.path)
  }

  private accept(socket: Socket): void {
    const connection = new Connection(this, socket, this.idleMs, () => this.connections.delete(connection))
    this.connections.add(connection)
  }

  private remove(): void {
    if (this.inode === 0) return
    if (statSync(this.path, { throwIfNoEntry: false })?.ino === this.inode) removeFile(this.path)
    this.inode = 0
  }
}

const listenAt = (server: Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(new ControlError(error.code ?? 'EIO', `cannot make a control socket in ${path}: ${error.code}`))
    })
    server.listen(path, () => {
      server.removeAllListeners('error')
      // What goes wrong from now on concerns a single connection, such as no descriptor for it: it is refused.
      server.on('error', () => {})
      resolve()
    })
  })

const removeFile = (path: string): void => {
  try {
    unlinkSync(path)
  } catch {
    // It is gone already.
  }
}

/** A client's conversation. Whatever the client sends harms nobody but itself. */
class Connection {
  private readonly server: ControlServer
  private readonly socket: Socket
  private readonly lines = new LineSplitter(MAX_REQUEST)
  /** Requests under way, by id. */
  private readonly pending = new Map<number | string, AbortController>()
  /** Lines that wait for `pending` to have room. */
  private waiting: string[] = []
  private ended = false

  constructor(server: ControlServer, socket: Socket, idleMs: number, closed: () => void) {
    this.server = server
    this.socket = socket
    socket.unref()
    socket.setTimeout(idleMs)
    socket.on('timeout', () => {
      // A stream may have nothing to say for long, but what was said must be taken.
      if (this.pending.size === 0 || socket.writableLength > 0) socket.destroy()
      else if (this.ended) this.probe()
      socket.setTimeout(idleMs)
    })
    socket.on('data', (chunk: Buffer) => this.take(chunk))
    socket.on('drain', () => this.proceed())
    socket.on('end', () => {
      this.ended = true
      this.proceed()
      if (this.pending.size > 0) this.probe()
    })
    // A reset shows as 'close' too.
    socket.on('error', () => {})
    socket.on('close', () => {
      for (const controller of this.pending.values()) controller.abort()
      closed()
    })
  }

  destroy(): void {
    this.socket.destroy()
  }

  /** Finds out whether a client that sends no more is still there to listen: an empty line means nothing. */
  private probe(): void {
    if (this.socket.writable) this.socket.write('\n')
  }

  private take(chunk: Buffer): void {
    const lines = this.lines.push(chunk)
    if (lines === null) {
      this.refuse('EMSGSIZE', `a request may have ${MAX_REQUEST} bytes`)
      return
    }
    for (const line of lines) this.waiting.push(line)
    this.proceed()
  }

  /** Answers what waits, as far as there is room; stops reading while there is none. */
  private proceed(): void {
    const { socket } = this
    while (this.waiting.length > 0 && this.pending.size < MAX_PENDING && !socket.writableNeedDrain) {
      const line = this.waiting.shift()!
      if (!socket.writable) return
      if (line.trim() !== '') this.request(line)
    }
    if (this.waiting.length > 0) socket.pause()
    else {
      socket.resume()
      if (this.ended && this.pending.size === 0) socket.end()
    }
  }

  private request(line: string): void {
    const request = parseRequest(line)
    if (typeof request === 'string') {
      this.refuse('EINVAL', request)
      return
    }
    const { id } = request
    if ('cancel' in request) {
      this.pending.get(id)?.abort()
      return
    }
    if (this.pending.has(id)) {
      this.refuse('EINVAL', `request ${JSON.stringify(id)} is under way already`)
      return
    }
    const controller = new AbortController()
    this.pending.set(id, controller)
    void this.answer(id, request.method, request.params, controller.signal)
  }

  private async answer(id: number | string, method: string, params: unknown, signal: AbortSignal): Promise<void> {
    try {
      const handler = this.server.handlerOf(method)
      if (handler === undefined) throw new ControlError('ENOSYS', `the stack ${this.server.name} has no '${method}'`)
      const result = await handler(params, signal)
      if (isAsyncIterable(result)) await this.stream(id, result, signal)
      else this.write({ id, result: result ?? null })
    } catch (error) {
      const { code, message } = error as { code?: unknown; message?: unknown }
      this.write({ id, error: { code: typeof code === 'string' ? code : 'EIO', message: String(message ?? error) } })
    } finally {
      this.pending.delete(id)
      this.proceed()
    }
  }

  private async stream(id: number | string, items: AsyncIterable<unknown>, signal: AbortSignal): Promise<void> {
    const iterator = items[Symbol.asyncIterator]()
    const aborted = new Promise<IteratorResult<unknown>>((resolve) => {
      const end = (): void => resolve({ done: true, value: undefined })
      if (signal.aborted) end()
      else signal.addEventListener('abort', end, { once: true })
    })
    try {
      for (;;) {
        const next = await Promise.race([iterator.next(), aborted])
        if (next.done === true || signal.aborted) break
        if (!this.write({ id, item: next.value ?? null })) await Promise.race([this.drained(), aborted])
      }
    } finally {
      // Not awaited: a generator that is waiting for something ends only after that.
      void Promise.resolve(iterator.return?.()).catch(() => {})
    }
    this.write({ id, end: true })
  }

  private drained(): Promise<void> {
    const { socket } = this
    if (!socket.writableNeedDrain) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        socket.removeListener('drain', done)
        socket.removeListener('close', done)
        resolve()
      }
      socket.on('drain', done)
      socket.on('close', done)
    })
  }

  /** @returns false when the client should take something before it gets more */
  private write(message: object): boolean {
    if (!this.socket.writable) return true
    // Made first: what cannot be said in JSON throws, and nothing has been sent.
    const line = `${JSON.stringify(message)}\n`
    return this.socket.write(line)
  }

  /** Says what is wrong and ends the conversation. */
  private refuse(code: string, message: string): void {
    this.waiting = []
    this.write({ id: null, error: { code, message } })
    this.socket.removeAllListeners('data')
    this.socket.destroySoon()
  }
}

type Request =
  | { readonly id: number | string; readonly method: string; readonly params: unknown }
  | { readonly id: number | string; readonly cancel: true }

/** A request from its line, or what is wrong with it. */
const parseRequest = (line: string): Request | string => {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return 'a request must be a line of JSON'
  }
  if (typeof value !== 'object' || value === null) return 'a request must be an object'
  const { id, method, params, cancel } = value as Record<string, unknown>
  if (typeof id !== 'number' && typeof id !== 'string') return 'a request needs an id: a number or a string'
  if (cancel === true) return { id, cancel }
  if (typeof method !== 'string') return 'a request needs a method: a string'
  return { id, method, params }
}

const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value
