import { SystemError } from '../core/errno.ts'
import type { Sys } from '../host/calls.ts'
import type { Program } from '../host/process.ts'
import { MSG_MORE, SOL_TCP, TCP_NODELAY } from '../socket/constants.ts'
import type { FileStore } from './files.ts'
import { EndsEarly, HTTP_BUFFER, HttpError, HttpStream, parseFields } from './http-stream.ts'
import { type ConnectionHandler, finishSending, peerName, threadedServer } from './serve.ts'
import { dateText } from './small.ts'

/** A small HTTP/1.1 server of files (RFC 9110, RFC 9112). */

/** A line of the server's log: who asked for what, and what became of it. */
export interface HttpLogEntry {
  readonly peer: string
  readonly request: string
  /** 0 when the connection ended before there was an answer. */
  readonly status: number
  /** Bytes of the answer's body that were handed to the connection. */
  readonly bytes: number
  /** Why the exchange was broken off, in words; empty when it was not. */
  readonly broken: string
}

const REASONS: Record<number, string> = {
  100: 'Continue',
  200: 'OK',
  201: 'Created',
  204: 'No Content',
  206: 'Partial Content',
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  416: 'Range Not Satisfiable',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  505: 'HTTP Version Not Supported',
}

/** A request's head, taken apart. */
interface Request {
  readonly line: string
  readonly method: string
  readonly path: string
  readonly keepAlive: boolean
  readonly fields: Map<string, string>
}

const parseRequest = (lines: string[]): Request => {
  const [line = '', ...rest] = lines
  const match = /^([A-Z]+) (\S+) HTTP\/1\.([01])$/.exec(line)
  if (match === null) throw new HttpError(400, 'the request line is malformed')
  const [, method = '', target = '', minor] = match
  const fields = parseFields(rest)
  if (minor === '1' && !fields.has('host')) throw new HttpError(400, 'a Host field is missing')
  const connection = (fields.get('connection') ?? '').toLowerCase()
  return {
    line,
    method,
    path: parsePath(target),
    fields,
    keepAlive: minor === '1' ? !connection.includes('close') : connection.includes('keep-alive'),
  }
}

/** The path of a target, decoded, with `.` and `..` resolved: it never leads out of the root. */
const parsePath = (target: string): string => {
  let text = target.replace(/^https?:\/\/[^/]*/, '').split(/[?#]/, 1)[0]!
  try {
    text = decodeURIComponent(text)
  } catch {
    throw new HttpError(400, 'the target is malformed')
  }
  if (text.includes('\0')) throw new HttpError(400, 'the target is malformed')
  const parts: string[] = []
  for (const part of text.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.' && part !== '') parts.push(part)
  }
  return `/${parts.join('/')}`
}

/** A server of the files in `store`. */
export const httpServer = (store: FileStore, port = 80, log: (entry: HttpLogEntry) => void = () => {}): Program =>
  threadedServer(port, httpHandler(store, log))

/** Serves one connection: request after request, until the client or an error ends it. */
const httpHandler =
  (store: FileStore, log: (entry: HttpLogEntry) => void): ConnectionHandler =>
  async (sys, fd, peer) => {
    // The end of an answer does not wait for its beginning to be acknowledged, as Nagle's rule has it.
    sys.setsockopt(fd, SOL_TCP, TCP_NODELAY, 1)
    const exchange = new Exchange(sys, fd, store)
    for (let goOn = true, refused = false; goOn; ) {
      exchange.begin()
      try {
        goOn = await exchange.serve()
        if (exchange.request === null) return
      } catch (error) {
        // There is nobody to tell, or no way to: an answer was under way.
        if (error instanceof SystemError || error instanceof EndsEarly || exchange.hasAnswered) {
          log(exchange.entry(peerName(peer), reasonOf(error)))
          return
        }
        goOn = false
        const problem = error instanceof HttpError ? error : new HttpError(500, reasonOf(error))
        await exchange.refuse(problem).catch(() => {})
        refused = true
      }
      log(exchange.entry(peerName(peer)))
      // What was not read of the request is of no use any more.
      if (refused) await finishSending(sys, fd)
    }
  }

/** One request and its answer after another, over one connection. */
class Exchange {
  request: Request | null = null
  private status = 0
  private sent = 0
  private readonly sys: Sys
  private readonly fd: number
  private readonly store: FileStore
  private readonly stream: HttpStream
  private readonly buffer = new Uint8Array(HTTP_BUFFER)

  constructor(sys: Sys, fd: number, store: FileStore) {
    this.sys = sys
    this.fd = fd
    this.store = store
    this.stream = new HttpStream(sys, fd)
  }

  begin(): void {
    this.request = null
    this.status = 0
    this.sent = 0
  }

  /** Has an answer begun? */
  get hasAnswered(): boolean {
    return this.status !== 0
  }

  entry(peer: string, broken = ''): HttpLogEntry {
    return { peer, request: this.request?.line ?? '', status: this.status, bytes: this.sent, broken }
  }

  /** @returns whether the connection stays for another request */
  async serve(): Promise<boolean> {
    const head = await this.stream.head()
    if (head === null) return false
    const request = parseRequest(head)
    this.request = request
    switch (request.method) {
      case 'GET':
      case 'HEAD':
        await this.readBody(request, () => {})
        await this.get(request)
        return request.keepAlive
      case 'PUT':
      case 'POST':
        await this.put(request)
        return request.keepAlive
      default:
        throw new HttpError(request.method === 'DELETE' ? 405 : 501, `there is no ${request.method} here`)
    }
  }

  async refuse(problem: HttpError): Promise<void> {
    const text = `${problem.status} ${REASONS[problem.status] ?? ''}: ${problem.message}\n`
    const isHead = this.request?.method === 'HEAD'
    await this.answer(problem.status, { 'Content-Type': 'text/plain', Connection: 'close' }, text, isHead)
  }

  private async get(request: Request): Promise<void> {
    const found = await this.store.stat(request.path)
    if (found === null) throw new HttpError(404, `there is no ${request.path}`)
    const isHead = request.method === 'HEAD'
    if (found === 'directory') {
      const names = await this.store.list(request.path)
      const text = `${names.sort().join('\n')}\n`
      await this.answer(200, { 'Content-Type': 'text/plain; charset=utf-8' }, text, isHead)
      return
    }
    const range = parseRange(request.fields.get('range'), found)
    const [from, to] = range ?? [0, found]
    const fields: Record<string, string> = { 'Content-Type': 'application/octet-stream', 'Accept-Ranges': 'bytes' }
    if (range !== null) fields['Content-Range'] = `bytes ${from}-${to - 1}/${found}`
    const hasBody = !isHead && to > from
    await this.head(range === null ? 200 : 206, { ...fields, 'Content-Length': String(to - from) }, hasBody)
    if (hasBody) await this.sendFile(request.path, from, to)
  }

  private async sendFile(path: string, from: number, to: number): Promise<void> {
    const file = await this.store.open(path)
    try {
      for (let at = from; at < to; ) {
        const count = await file.read(this.buffer.subarray(0, Math.min(HTTP_BUFFER, to - at)), at)
        // The length was promised: all that is left is to break the connection.
        if (count === 0) throw new SystemError('EIO', 'read')
        await this.sys.send(this.fd, this.buffer, count, this.moreFollows)
        at += count
        this.sent += count
      }
    } finally {
      await file.close()
    }
  }

  private async put(request: Request): Promise<void> {
    if (request.path === '/') throw new HttpError(403, 'a name is missing')
    const file = await this.store.create(request.path).catch((error: unknown) => {
      throw new HttpError(403, `cannot store ${request.path}: ${reasonOf(error)}`)
    })
    try {
      if (request.fields.get('expect')?.toLowerCase() === '100-continue') {
        await this.sys.send(this.fd, 'HTTP/1.1 100 Continue\r\n\r\n')
      }
      await this.readBody(request, (bytes) => file.write(bytes))
    } catch (error) {
      await file.abandon()
      throw error
    }
    await file.close()
    await this.answer(201, { 'Content-Type': 'text/plain' }, 'stored\n')
  }

  /** Reads a request's body, however its length is told (RFC 9112 section 6.3). */
  private async readBody({ fields }: Request, take: (bytes: Uint8Array) => Promise<void> | void): Promise<void> {
    const coding = fields.get('transfer-encoding')?.toLowerCase()
    const length = fields.get('content-length') ?? '0'
    if (coding !== undefined && coding !== 'chunked') throw new HttpError(501, `there is no coding ${coding} here`)
    if (!/^[0-9]{1,15}$/.test(length)) throw new HttpError(400, 'the length is malformed')
    if (coding !== undefined) await this.stream.chunked(take)
    else await this.stream.body(Number(length), take)
  }

  /** After the body the FIN follows, in the same segment; or nothing. */
  private get moreFollows(): number {
    return this.request?.keepAlive === true ? 0 : MSG_MORE
  }

  /** @param hasBody what follows leaves in the same segment */
  private async head(status: number, fields: Record<string, string>, hasBody: boolean): Promise<void> {
    this.status = status
    const connection = this.request?.keepAlive === true ? 'keep-alive' : 'close'
    const all = { Date: httpDate(this.sys.clock()), Server: 'netglass', Connection: connection, ...fields }
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
    const text = new TextEncoder().encode(`HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\n${lines.join('')}\r\n`)
    await this.sys.send(this.fd, text, text.length, hasBody ? MSG_MORE : 0)
  }

  private async answer(status: number, fields: Record<string, string>, text: string, headOnly = false): Promise<void> {
    const body = new TextEncoder().encode(text)
    const hasBody = !headOnly && body.length > 0
    await this.head(status, { ...fields, 'Content-Length': String(body.length) }, hasBody)
    if (!hasBody) return
    await this.sys.send(this.fd, body, body.length, this.moreFollows)
    this.sent += body.length
  }
}

/** What an error of the store is called: its code where it has one, and no path of the machine in any case. */
const reasonOf = (error: unknown): string => {
  if (error instanceof EndsEarly) return error.message
  const { code } = error as { code?: unknown }
  return typeof code === 'string' ? code : error instanceof Error ? error.name : 'the server has failed'
}

/** One range of bytes: from, and the position after the last; null when none is asked for. */
const parseRange = (field: string | undefined, size: number): [number, number] | null => {
  const match = /^bytes=([0-9]*)-([0-9]*)$/.exec(field ?? '')
  if (match === null || (match[1] === '' && match[2] === '')) return null
  const from = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1])
  const to = match[1] === '' || match[2] === '' ? size : Math.min(size, Number(match[2]) + 1)
  if (from >= size || from >= to) throw new HttpError(416, `the file has ${size} bytes`)
  return [from, to]
}

/** Seconds since 1970 as HTTP writes them (RFC 9110 section 5.6.7). */
const httpDate = (seconds: number): string => {
  const [day = '', month = '', year = '', clock = ''] = dateText(seconds).split(' ')
  const name = DAYS[(Math.floor(seconds / 86_400) + 4) % 7]
  return `${name}, ${day} ${month.charAt(0)}${month.slice(1).toLowerCase()} ${year} ${clock} GMT`
}

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
