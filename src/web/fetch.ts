import { Alarm } from '../net/alarm.ts'
import type { NetContext } from '../net/context.ts'
import {
  ByteReader,
  type Framing,
  framingOf,
  headBytes,
  incomingBody,
  keepsAlive,
  readHead,
  writeBody,
} from './http-message.ts'
import { networkError, type Socket } from './socket.ts'
import { scope } from './surroundings.ts'

/** Connects to a host and a port. */
export type Dial = (hostname: string, port: number) => Promise<Socket>

const MOST_REDIRECTS = 20
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
/** How long a connection waits for the next request, ms. */
const IDLE = 4000

/** A connection to a server, for one request after another. */
class Connection {
  readonly socket: Socket
  readonly reader: ByteReader
  readonly writer: WritableStreamDefaultWriter<Uint8Array>
  /** Has it had a request before? */
  used = false
  private readonly alarm: Alarm

  constructor(context: NetContext, socket: Socket, isIdle: (connection: Connection) => void) {
    this.socket = socket
    this.reader = new ByteReader(socket.readable)
    this.writer = socket.writable.getWriter()
    this.alarm = new Alarm(context, scope, () => isIdle(this))
  }

  rest(): void {
    this.alarm.start(IDLE)
  }

  take(): void {
    this.used = true
    this.alarm.stop()
  }

  close(): void {
    this.alarm.stop()
    void this.writer.close().catch(() => {})
    this.reader.cancel()
  }
}

/** `fetch` of a program, with the connections that it keeps. */
export class Fetcher {
  private readonly context: NetContext
  private readonly dial: Dial
  /** Those that wait, by origin. */
  private readonly idle = new Map<string, Connection[]>()

  constructor(context: NetContext, dial: Dial) {
    this.context = context
    this.dial = dial
  }

  /** As the platform's `fetch`; `http:` alone. @throws TypeError, or the reason of the signal that has ended it */
  async fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    let request = new Request(input, init)
    for (let redirects = 0; ; redirects++) {
      request.signal.throwIfAborted()
      const { response, connectionOver } = await this.once(request)
      const location = response.headers.get('location')
      if (!REDIRECTS.has(response.status) || location === null || request.redirect === 'manual') {
        return describe(response, request.url, redirects > 0)
      }
      await response.body?.cancel()
      connectionOver()
      if (request.redirect === 'error') throw networkError('fetch failed: there was a redirect', location)
      if (redirects === MOST_REDIRECTS) throw networkError('fetch failed: there were too many redirects', location)
      request = redirected(request, response.status, new URL(location, request.url))
    }
  }

  /** Closes the connections that wait. */
  close(): void {
    for (const connections of this.idle.values()) for (const connection of connections.splice(0)) connection.close()
  }

  private async once(request: Request): Promise<{ response: Response; connectionOver: () => void }> {
    const url = new URL(request.url)
    if (url.protocol !== 'http:') throw networkError(`fetch failed: ${url.protocol} is not spoken here`, url.href)
    const bodyBefore = request.body
    for (;;) {
      const connection = await this.connection(url)
      const wasUsed = connection.used
      connection.take()
      try {
        return await this.exchange(connection, request, url)
      } catch (error) {
        connection.socket.abort(error)
        request.signal.throwIfAborted()
        // The server has ended a connection that waited: it has not seen the request.
        if (wasUsed && error instanceof Unanswered && bodyBefore === null) continue
        if (error instanceof TypeError && error.message.startsWith('fetch failed')) throw error
        throw networkError('fetch failed', error instanceof Unanswered ? error.cause : error)
      }
    }
  }

  private async connection(url: URL): Promise<Connection> {
    const waiting = this.idle.get(url.host)?.pop()
    if (waiting !== undefined) return waiting
    const hostname = url.hostname.replace(/^\[|\]$/g, '')
    try {
      const socket = await this.dial(hostname, url.port === '' ? 80 : Number(url.port))
      return new Connection(this.context, socket, (connection) => this.drop(url.host, connection))
    } catch (error) {
      throw networkError('fetch failed', error instanceof TypeError ? (error.cause ?? error) : error)
    }
  }

  private drop(host: string, connection: Connection): void {
    const waiting = this.idle.get(host) ?? []
    const index = waiting.indexOf(connection)
    if (index >= 0) waiting.splice(index, 1)
    connection.close()
  }

  private keep(host: string, connection: Connection): void {
    const waiting = this.idle.get(host)
    if (waiting === undefined) this.idle.set(host, [connection])
    else waiting.push(connection)
    connection.rest()
  }

  private async exchange(
    connection: Connection,
    request: Request,
    url: URL,
  ): Promise<{ response: Response; connectionOver: () => void }> {
    const { signal } = request
    let breakOff: (reason: unknown) => void = () => {}
    const aborted = (): void => {
      connection.socket.abort(signal.reason)
      breakOff(signal.reason)
    }
    signal.addEventListener('abort', aborted, { once: true })
    let sending: Promise<void> | null = null
    try {
      sending = send(connection, request, url)
      // What goes wrong in sending shows in the answer, too, which may be there before everything is sent.
      sending.catch((error: unknown) => connection.socket.abort(error))
      const head = await answer(connection.reader)
      const { status, statusText, headers, version } = head
      const bodiless = request.method === 'HEAD' || status === 204 || status === 304
      const framing: Framing = bodiless ? 0 : framingOf(headers, 'close')
      const body = incomingBody(connection.reader, framing)
      breakOff = body.fail
      const sent = sending
      void body.ended.then(async (reusable) => {
        signal.removeEventListener('abort', aborted)
        const done = await sent.then(
          () => true,
          () => false,
        )
        if (reusable && done && keepsAlive(headers, version)) this.keep(url.host, connection)
        else connection.close()
      })
      const hasBody = !bodiless && status !== 205
      const response = new Response(hasBody ? (body.stream ?? '') : null, { status, statusText, headers })
      return { response, connectionOver: () => connection.close() }
    } catch (error) {
      signal.removeEventListener('abort', aborted)
      throw error
    }
  }
}

/** The connection has ended before there was an answer. */
class Unanswered extends Error {}

/** The head of the answer that is not of the kind of 100 (Continue). */
const answer = async (
  reader: ByteReader,
): Promise<{ status: number; statusText: string; headers: Headers; version: string }> => {
  for (;;) {
    const begun = await reader.fill().catch((cause: unknown) => {
      throw new Unanswered('no answer', { cause })
    })
    const head = begun ? await readHead(reader) : null
    if (head === null)
      throw new Unanswered('no answer', { cause: new TypeError('the server has ended the connection') })
    const match = /^HTTP\/(1\.[01]) ([1-5][0-9]{2})(?: (.*))?$/.exec(head.start)
    if (match === null) throw new TypeError('the status line is malformed')
    const [, version = '', status, statusText = ''] = match
    if (Number(status) >= 200) return { status: Number(status), statusText, headers: head.headers, version }
  }
}

const send = async ({ writer }: Connection, request: Request, url: URL): Promise<void> => {
  const { body, method } = request
  const headers = new Headers(request.headers)
  headers.delete('host')
  const length = headers.get('content-length')
  const framing: Framing = body === null ? 0 : length === null ? 'chunked' : Number(length)
  const fields: [string, string][] = [['host', url.host]]
  if (framing === 'chunked') fields.push(['transfer-encoding', 'chunked'])
  if (body === null && ['POST', 'PUT', 'PATCH'].includes(method)) headers.set('content-length', '0')
  if (!headers.has('accept')) fields.push(['accept', '*/*'])
  const target = `${url.pathname}${url.search}`
  await writer.write(headBytes(`${method} ${target} HTTP/1.1`, [...fields, ...headers]))
  if (body !== null) await writeBody(writer, body, framing)
}

/** The request that follows a redirect (fetch standard, HTTP-redirect fetch). */
const redirected = (request: Request, status: number, url: URL): Request => {
  const becomesGet =
    status === 303 ? !['GET', 'HEAD'].includes(request.method) : status <= 302 && request.method === 'POST'
  if (!becomesGet && request.body !== null) {
    throw networkError('fetch failed: a body cannot be sent again for a redirect', url.href)
  }
  const headers = new Headers(request.headers)
  if (becomesGet) for (const name of ['content-type', 'content-length', 'content-encoding']) headers.delete(name)
  if (new URL(request.url).origin !== url.origin) headers.delete('authorization')
  const { signal, redirect } = request
  return new Request(url, { method: becomesGet ? 'GET' : request.method, headers, signal, redirect })
}

/** Gives a response what its constructor cannot. */
const describe = (response: Response, url: string, wasRedirected: boolean): Response =>
  Object.defineProperties(response, {
    url: { value: url, configurable: true },
    redirected: { value: wasRedirected, configurable: true },
  })
