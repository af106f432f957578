import type { Sys } from '../host/calls.ts'

/** HTTP/1.1 messages on a connection: lines, fields and bodies (RFC 9112). */

export const HTTP_BUFFER = 256 * 1024
const MAX_HEAD = 16 * 1024
const decoder = new TextDecoder('latin1')

/** Bytes of a connection, read as lines and as bodies. */
export class HttpStream {
  private readonly sys: Sys
  private readonly fd: number
  private readonly buffer = new Uint8Array(HTTP_BUFFER)
  private start = 0
  private end = 0

  constructor(sys: Sys, fd: number) {
    this.sys = sys
    this.fd = fd
  }

  /** Reads more. @returns false at the end of the stream */
  private async fill(): Promise<boolean> {
    if (this.start === this.end) {
      this.start = 0
      this.end = 0
    } else if (this.end === this.buffer.length) {
      this.buffer.copyWithin(0, this.start, this.end)
      this.end -= this.start
      this.start = 0
    }
    const count = await this.sys.recv(this.fd, this.buffer.subarray(this.end))
    this.end += count
    return count > 0
  }

  /**
   * The start line and the fields, up to the empty line.
   * @returns null when the stream ends before a first byte
   * @throws HttpError when it is too long or ends in the middle
   */
  async head(): Promise<string[] | null> {
    const lines: string[] = []
    let size = 0
    for (;;) {
      const line = await this.line(MAX_HEAD - size)
      if (line === null) {
        if (lines.length === 0) return null
        throw new HttpError(400, 'the request ends in its head')
      }
      size += line.length + 2
      // An empty line before the request is passed over (RFC 9112 section 2.2).
      if (line === '' && lines.length > 0) return lines
      if (line !== '') lines.push(line)
    }
  }

  /** One line without its end; null at the end of the stream. */
  async line(limit: number): Promise<string | null> {
    for (let from = this.start; ; ) {
      const at = this.buffer.subarray(0, this.end).indexOf(10, from)
      if (at - this.start > limit || (at < 0 && this.end - this.start > limit)) {
        throw new HttpError(431, 'the head is longer than 16 KiB')
      }
      if (at >= 0) {
        const text = decoder.decode(this.buffer.subarray(this.start, at))
        this.start = at + 1
        return text.endsWith('\r') ? text.slice(0, -1) : text
      }
      from = this.end
      const before = this.start
      if (!(await this.fill())) return null
      from -= before - this.start
    }
  }

  /** Hands over `length` bytes of body, as they come. */
  async body(length: number, take: (bytes: Uint8Array) => Promise<void> | void): Promise<void> {
    for (let left = length; left > 0; ) {
      if (this.start === this.end && !(await this.fill())) {
        throw new EndsEarly(`the body ends after ${length - left} of ${length} bytes`)
      }
      const count = Math.min(left, this.end - this.start)
      await take(this.buffer.subarray(this.start, this.start + count))
      this.start += count
      left -= count
    }
  }

  /** Hands over a chunked body (RFC 9112 section 7.1). */
  async chunked(take: (bytes: Uint8Array) => Promise<void> | void): Promise<void> {
    for (;;) {
      const line = await this.line(MAX_HEAD)
      const [, digits] = /^([0-9a-fA-F]{1,12})[ \t]*(?:;.*)?$/.exec(line ?? '') ?? []
      if (digits === undefined) throw new HttpError(400, 'a chunk has no size')
      const size = Number.parseInt(digits, 16)
      if (size === 0) break
      await this.body(size, take)
      if ((await this.line(2)) !== '') throw new HttpError(400, 'a chunk is longer than it says')
    }
    for (let line = await this.line(MAX_HEAD); line !== '' && line !== null; ) line = await this.line(MAX_HEAD)
  }

  /** Hands over everything up to the end of the stream. */
  async rest(take: (bytes: Uint8Array) => Promise<void> | void): Promise<void> {
    for (;;) {
      if (this.start < this.end) {
        await take(this.buffer.subarray(this.start, this.end))
        this.start = this.end
      }
      if (!(await this.fill())) return
    }
  }
}

/** An answer that is an error. */
export class HttpError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** The peer has gone in the middle of a body. */
export class EndsEarly extends Error {}

/** Fields by their names in small letters. */
export const parseFields = (lines: string[]): Map<string, string> => {
  const fields = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    if (colon <= 0) throw new HttpError(400, 'a field has no name')
    fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
  }
  return fields
}
