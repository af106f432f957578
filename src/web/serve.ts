import {
  ByteReader,
  type Framing,
  framingOf,
  type HttpHead,
  HttpSyntaxError,
  headBytes,
  type IncomingBody,
  incomingBody,
  keepsAlive,
  readHead,
  writeBody,
} from './http-message.ts'
import type { Listener, NetAddr, Socket } from './socket.ts'

/** Who asks. */
export interface ServeInfo {
  readonly remoteAddr: NetAddr
}

export type ServeHandler = (request: Request, info: ServeInfo) => Response | Promise<Response>

export interface ServeOptions {
  /** 80 unless given; 0 for any. */
  readonly port?: number
  /** Where to listen; `::` unless given, which is IPv4's, too. */
  readonly hostname?: string
  /** Ends the server as `shutdown` does. */
  readonly signal?: AbortSignal
  /** What is answered when the handler throws; a plain 500 unless given. */
  readonly onError?: (error: unknown) => Response | Promise<Response>
}

/** A server of requests, as `Deno.serve` gives it. */
export class HttpServer {
  readonly finished: Promise<void>
  private readonly listener: Listener
  private readonly handler: ServeHandler
  private readonly onError: (error: unknown) => Response | Promise<Response>
  private readonly exchanges = new Set<Exchanges>()
  private closing = false

  constructor(listener: Listener, handler: ServeHandler, { signal, onError }: ServeOptions) {
    this.listener = listener
    this.handler = handler
    this.onError = onError ?? (() => new Response('Internal Server Error', { status: 500 }))
    this.finished = this.run()
    if (signal?.aborted === true) void this.shutdown()
    else signal?.addEventListener('abort', () => void this.shutdown(), { once: true })
  }

  get addr(): NetAddr {
    return this.listener.addr
  }

  /** Takes no more connections, ends those that wait for a request, and lets the others end theirs. */
  async shutdown(): Promise<void> {
    this.closing = true
    this.listener.close()
    for (const exchanges of this.exchanges) exchanges.endIdle()
    return this.finished
  }

  get isClosing(): boolean {
    return this.closing
  }

  private async run(): Promise<void> {
    const running = new Set<Promise<void>>()
    for await (const socket of this.listener) {
      const exchanges = new Exchanges(this, socket, this.handler, this.onError)
      this.exchanges.add(exchanges)
      const over = exchanges.run().finally(() => {
        this.exchanges.delete(exchanges)
        running.delete(over)
      })
      running.add(over)
    }
    await Promise.all(running)
  }
}

/** The requests of one connection, one after the other. */
class Exchanges {
  private readonly server: HttpServer
  private readonly socket: Socket
  private readonly handler: ServeHandler
  private readonly onError: (error: unknown) => Response | Promise<Response>
  private readonly reader: ByteReader
  private readonly writer: WritableStreamDefaultWriter<Uint8Array>
  private idle = true

  constructor(
    server: HttpServer,
    socket: Socket,
    handler: ServeHandler,
    onError: (error: unknown) => Response | Promise<Response>,
  ) {
    this.server = server
    this.socket = socket
    this.handler = handler
    this.onError = onError
    this.reader = new ByteReader(socket.readable)
    this.writer = socket.writable.getWriter()
  }

  /** Ends the connection if it waits for a request. */
  endIdle(): void {
    if (this.idle) this.end()
  }

  async run(): Promise<void> {
    const controller = new AbortController()
    void this.socket.closed.catch((error: unknown) => controller.abort(error))
    try {
      while (await this.exchange(controller.signal)) this.idle = true
    } catch (error) {
      if (error instanceof HttpSyntaxError) await this.refuse(error).catch(() => {})
      else {
        this.socket.abort(error)
        return
      }
    }
    this.end()
  }

  private end(): void {
    void this.writer.close().catch(() => {})
    this.reader.cancel()
  }

  /** One request and its response. @returns whether another may follow */
  private async exchange(signal: AbortSignal): Promise<boolean> {
    if (!(await this.reader.fill().catch(() => false))) return false
    this.idle = false
    const head = await readHead(this.reader)
    if (head === null) return false
    const match = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) (\S+) HTTP\/(1\.[01])$/.exec(head.start)
    if (match === null) throw new HttpSyntaxError('the request line is malformed')
    const [, method = '', target = '', version = ''] = match
    const body = incomingBody(this.reader, framingOf(head.headers, 0))
    if (head.headers.get('expect')?.toLowerCase() === '100-continue') await this.writer.write(CONTINUE)
    const request = this.makeRequest(method, target, head, body, signal)
    // Who reads on hears of it when the client is gone.
    void body.ended.then((isOver) => (isOver ? this.reader.fill() : false)).catch(() => {})
    const response = await this.respond(request)
    const again = keepsAlive(head.headers, version) && !this.server.isClosing
    const reusable = await this.write(response, method, version, again)
    // What nobody has read of the request is not waited for.
    const isRead = request.bodyUsed || body.stream === null ? await body.ended : false
    return reusable && isRead
  }

  private makeRequest(
    method: string,
    target: string,
    { headers }: HttpHead,
    body: IncomingBody,
    signal: AbortSignal,
  ): Request {
    const { hostname, port } = this.server.addr
    const host = headers.get('host') ?? (hostname.includes(':') ? `[${hostname}]:${port}` : `${hostname}:${port}`)
    const url = target.startsWith('/') ? `http://${host}${target}` : target === '*' ? `http://${host}/` : target
    const hasBody = body.stream !== null && method !== 'GET' && method !== 'HEAD'
    try {
      return new Request(url, {
        method,
        headers,
        signal,
        ...(hasBody ? { body: body.stream, duplex: 'half' } : {}),
      } as RequestInit)
    } catch (error) {
      throw new HttpSyntaxError(`the request cannot be understood: ${(error as Error).message}`)
    }
  }

  private async respond(request: Request): Promise<Response> {
    const { remoteAddress } = await this.socket.opened
    const at = remoteAddress.lastIndexOf(':')
    const hostname = remoteAddress.slice(0, at).replace(/^\[|\]$/g, '')
    const info: ServeInfo = { remoteAddr: { transport: 'tcp', hostname, port: Number(remoteAddress.slice(at + 1)) } }
    try {
      return await this.handler(request, info)
    } catch (error) {
      return await this.onError(error)
    }
  }

  /** @returns whether the connection can be used again */
  private async write(response: Response, method: string, version: string, again: boolean): Promise<boolean> {
    const { status, statusText, body } = response
    const headers = new Headers(response.headers)
    const bodiless = method === 'HEAD' || status === 204 || status === 304
    const framing = outgoingFraming(headers, body, version)
    const stays = again && framing !== 'close'
    if (framing === 'chunked') headers.set('transfer-encoding', 'chunked')
    else if (framing === 0 && status !== 204 && status !== 304 && method !== 'HEAD') headers.set('content-length', '0')
    if (!stays) headers.set('connection', 'close')
    else if (version === '1.0') headers.set('connection', 'keep-alive')
    if (status === 204 || status === 304) headers.delete('transfer-encoding')
    await this.writer.write(headBytes(`HTTP/1.1 ${status} ${statusText}`, headers))
    if (bodiless || body === null) await body?.cancel()
    else await writeBody(this.writer, body, framing)
    return stays
  }

  private async refuse({ status, message }: HttpSyntaxError): Promise<void> {
    const headers: [string, string][] = [
      ['content-type', 'text/plain'],
      ['content-length', String(message.length)],
      ['connection', 'close'],
    ]
    await this.writer.write(headBytes(`HTTP/1.1 ${status} Bad Request`, headers))
    await this.writer.write(new TextEncoder().encode(message))
  }
}

const CONTINUE = headBytes('HTTP/1.1 100 Continue', [])

const outgoingFraming = (headers: Headers, body: ReadableStream<Uint8Array> | null, version: string): Framing => {
  if (body === null) return 0
  const length = headers.get('content-length')
  if (length !== null) return Number(length)
  return version === '1.1' ? 'chunked' : 'close'
}
