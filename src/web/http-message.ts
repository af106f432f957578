/** Messages of HTTP/1.1 (RFC 9110, RFC 9112), read from and written to streams of bytes. */

/** What is wrong with a message, and the status that says so. */
export class HttpSyntaxError extends Error {
  readonly status: number

  constructor(message: string, status = 400) {
    super(message)
    this.status = status
  }
}

/** The most bytes of a start line and all fields together. */
const HEAD_LIMIT = 65_536
const CR = 13
const LF = 10
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

const latin1 = (bytes: Uint8Array): string => {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text
}

/** Bytes of a text with one byte a character. */
const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))

/** Reads lines and runs of bytes off a stream. */
export class ByteReader {
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>
  private rest = new Uint8Array(0)
  private filling: Promise<boolean> | null = null

  constructor(stream: ReadableStream<Uint8Array>) {
    this.reader = stream.getReader()
  }

  /** Waits until there is something to read, for whoever else waits for it, too. @returns false at the end */
  fill(): Promise<boolean> {
    if (this.rest.length > 0) return Promise.resolve(true)
    this.filling ??= this.fillNow().finally(() => {
      this.filling = null
    })
    return this.filling
  }

  private async fillNow(): Promise<boolean> {
    while (this.rest.length === 0) {
      const { done, value } = await this.reader.read()
      if (done) return false
      this.rest = value as Uint8Array<ArrayBuffer>
    }
    return true
  }

  /** What is there, at most `limit` bytes; null at the end. */
  async some(limit: number): Promise<Uint8Array | null> {
    if (!(await this.fill())) return null
    const taken = this.rest.subarray(0, limit)
    this.rest = this.rest.subarray(taken.length)
    return taken
  }

  /** A line without its end; null when the stream ends first. */
  async line(limit: number): Promise<string | null> {
    let text = ''
    while (await this.fill()) {
      const end = this.rest.indexOf(LF)
      const part = end < 0 ? this.rest : this.rest.subarray(0, end)
      text += latin1(part)
      if (text.length > limit) throw new HttpSyntaxError('the head of the message is too long', 431)
      this.rest = this.rest.subarray(end < 0 ? part.length : end + 1)
      if (end >= 0) return text.charCodeAt(text.length - 1) === CR ? text.slice(0, -1) : text
    }
    return null
  }

  /** Reads no more. */
  cancel(reason?: unknown): void {
    void this.reader.cancel(reason).catch(() => {})
  }
}

/** A start line and fields. */
export interface HttpHead {
  readonly start: string
  readonly headers: Headers
}

/** Reads the head of a message. @returns null when the stream ends before it begins */
export const readHead = async (reader: ByteReader): Promise<HttpHead | null> => {
  let left = HEAD_LIMIT
  let start = await reader.line(left)
  // An empty line before a message is passed over (RFC 9112 section 2.2).
  if (start === '') start = await reader.line(left)
  if (start === null) return null
  const headers = new Headers()
  for (;;) {
    left -= start.length
    const line = await reader.line(left)
    if (line === null) throw new HttpSyntaxError('the message ends in its head')
    if (line === '') return { start, headers }
    left -= line.length
    const colon = line.indexOf(':')
    const name = line.slice(0, colon)
    if (colon < 1 || !TOKEN.test(name)) throw new HttpSyntaxError('a field of the message is malformed')
    try {
      headers.append(name, line.slice(colon + 1).trim())
    } catch {
      throw new HttpSyntaxError(`the value of ${name} is malformed`)
    }
  }
}

/** How the end of a body is known (RFC 9112 section 6): a number of bytes, chunks, or the end of the connection. */
export type Framing = number | 'chunked' | 'close'

/** @param otherwise what holds without fields that say so */
export const framingOf = (headers: Headers, otherwise: Framing): Framing => {
  const coding = headers.get('transfer-encoding')
  const length = headers.get('content-length')
  if (coding !== null) {
    // Both together are how requests are smuggled.
    if (length !== null) throw new HttpSyntaxError('the message has both a length and a transfer coding')
    if (coding.toLowerCase() === 'chunked') return 'chunked'
    throw new HttpSyntaxError(`the transfer coding ${coding} is not known`, 501)
  }
  if (length === null) return otherwise
  const [first, ...more] = length.split(',').map((text) => text.trim())
  if (!/^[0-9]{1,15}$/.test(first!) || more.some((text) => text !== first)) {
    throw new HttpSyntaxError('the content length is malformed')
  }
  return Number(first)
}

/** The chunks of a body, and null after the last. */
class BodySource {
  private readonly reader: ByteReader
  private readonly framing: Framing
  /** Of the body, or of the chunk. */
  private left: number
  private first = true

  constructor(reader: ByteReader, framing: Framing) {
    this.reader = reader
    this.framing = framing
    this.left = typeof framing === 'number' ? framing : framing === 'close' ? Number.POSITIVE_INFINITY : 0
  }

  async next(): Promise<Uint8Array | null> {
    if (this.left === 0 && !(await this.nextChunk())) return null
    const bytes = await this.reader.some(this.left)
    if (bytes !== null) {
      this.left -= bytes.length
      return bytes
    }
    if (this.framing === 'close') return null
    throw new TypeError('the connection has ended before the body')
  }

  /** @returns whether another chunk follows */
  private async nextChunk(): Promise<boolean> {
    if (this.framing !== 'chunked') return false
    if (!this.first) await this.expectLine(/^$/)
    this.first = false
    const size = await this.expectLine(/^[0-9a-fA-F]{1,12}(?=\s*(;|$))/)
    this.left = Number.parseInt(size, 16)
    if (this.left > 0) return true
    // Trailers: nobody is told of them.
    for (let line = await this.expectLine(/^.*$/); line !== ''; line = await this.expectLine(/^.*$/));
    return false
  }

  private async expectLine(form: RegExp): Promise<string> {
    const line = await this.reader.line(HEAD_LIMIT)
    if (line === null) throw new TypeError('the connection has ended before the body')
    const match = form.exec(line)
    if (match === null) throw new HttpSyntaxError('a chunk of the body is malformed')
    return match[0]
  }
}

/** A body as a stream that reads only what is asked for. */
export interface IncomingBody {
  readonly stream: ReadableStream<Uint8Array> | null
  /** Resolves with whether the connection can be used again: was the body read to its end? */
  readonly ended: Promise<boolean>
  /** Breaks it off. */
  fail(reason: unknown): void
}

export const incomingBody = (reader: ByteReader, framing: Framing): IncomingBody => {
  if (framing === 0) return { stream: null, ended: Promise.resolve(true), fail: () => {} }
  const source = new BodySource(reader, framing)
  let end: (reusable: boolean) => void = () => {}
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  const ended = new Promise<boolean>((resolve) => {
    end = resolve
  })
  const stream = new ReadableStream<Uint8Array>(
    {
      start: (given) => {
        controller = given
      },
      pull: async (given) => {
        try {
          const bytes = await source.next()
          if (bytes !== null) {
            given.enqueue(bytes)
            return
          }
          given.close()
          end(framing !== 'close')
        } catch (error) {
          end(false)
          throw error
        }
      },
      cancel: () => end(false),
    },
    { highWaterMark: 0 },
  )
  const fail = (reason: unknown): void => {
    end(false)
    controller?.error(reason)
  }
  return { stream, ended, fail }
}

/** Writes a body, and waits for whoever takes it. */
export const writeBody = async (
  writer: WritableStreamDefaultWriter<Uint8Array>,
  body: ReadableStream<Uint8Array>,
  framing: Framing,
): Promise<void> => {
  const reader = body.getReader()
  try {
    let left = typeof framing === 'number' ? framing : Number.POSITIVE_INFINITY
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const { value } = next
      if (value.length === 0) continue
      left -= value.length
      if (left < 0) throw new TypeError('the body is longer than its content-length')
      if (framing === 'chunked') await writer.write(bytesOf(`${value.length.toString(16)}\r\n`))
      await writer.write(value)
      if (framing === 'chunked') await writer.write(CRLF)
    }
    if (typeof framing === 'number' && left > 0) throw new TypeError('the body is shorter than its content-length')
    if (framing === 'chunked') await writer.write(LAST_CHUNK)
  } catch (error) {
    void reader.cancel(error).catch(() => {})
    throw error
  }
}

const CRLF = bytesOf('\r\n')
const LAST_CHUNK = bytesOf('0\r\n\r\n')

/** The bytes of a head. */
export const headBytes = (start: string, headers: Iterable<readonly [string, string]>): Uint8Array => {
  let text = `${start}\r\n`
  for (const [name, value] of headers) text += `${name}: ${value}\r\n`
  return bytesOf(`${text}\r\n`)
}

/** May the connection be used again after this message? @param version of HTTP: `1.1`, `1.0` */
export const keepsAlive = (headers: Headers, version: string): boolean => {
  const options = (headers.get('connection') ?? '').toLowerCase().split(/\s*,\s*/)
  return version === '1.1' ? !options.includes('close') : options.includes('keep-alive')
}
