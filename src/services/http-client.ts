import type { Sys } from '../host/calls.ts'
import { HttpError, HttpStream, parseFields } from './http-stream.ts'

/** What a fetch has brought. */
export interface HttpResponse {
  readonly status: number
  readonly fields: Map<string, string>
  /** Bytes of the body. */
  readonly length: number
}

/**
 * Sends a request over a connected socket and hands over the body as it comes.
 * @param host for the Host field
 */
export const httpGet = async (
  sys: Sys,
  fd: number,
  host: string,
  path: string,
  take: (bytes: Uint8Array) => Promise<void> | void,
): Promise<HttpResponse> => {
  await sys.send(fd, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: netglass\r\nConnection: close\r\n\r\n`)
  const stream = new HttpStream(sys, fd)
  const head = await stream.head()
  const match = /^HTTP\/1\.[01] ([0-9]{3})/.exec(head?.[0] ?? '')
  if (head === null || match === null) throw new HttpError(500, 'the answer is not HTTP')
  const fields = parseFields(head.slice(1))
  let length = 0
  const count = (bytes: Uint8Array): Promise<void> | void => {
    length += bytes.length
    return take(bytes)
  }
  const said = fields.get('content-length')
  if ((fields.get('transfer-encoding') ?? '').toLowerCase() === 'chunked') await stream.chunked(count)
  else if (said !== undefined) await stream.body(Number(said), count)
  else await stream.rest(count)
  return { status: Number(match[1]), fields, length }
}
