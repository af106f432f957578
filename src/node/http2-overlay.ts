import { createRequire, syncBuiltinESMExports } from 'node:module'
import { Duplex } from 'node:stream'
import { complete, type Methods, type NodeRequest } from './bindings.ts'
import { programs } from './programs.ts'
import { StreamBridge } from './stream-bridge.ts'
import { decide, emitRead, type VirtualTcp } from './tcp-overlay.ts'

/** HTTP/2 in cleartext over handles of ours: Node's sessions, which are native code, read and write native streams. */
class Http2Bridge extends StreamBridge {
  /** What the session has begun. The rest is its socket's. */
  private readonly begun = new Set<unknown>()

  constructor(tcp: VirtualTcp) {
    super(tcp)
    // When the session is over what comes is its socket's, too.
    this.stream.onread = (data) => tcp.native.onread?.(data)
  }

  protected override write(request: object, chunks: Uint8Array[]): number {
    this.begun.add(request)
    const result = super.write(request, chunks)
    if (result !== 0) this.begun.delete(request)
    return result
  }

  onRead(count: number, data: Uint8Array | null): void {
    if (count > 0) this.stream.readBuffer(data!)
    // That it ends concerns its socket alone.
    else emitRead(this.tcp.native, count, null)
  }

  override onWritten(request: unknown, status: number): void {
    if (this.begun.delete(request)) super.onWritten(request, status)
    else complete(request as NodeRequest, status, this.tcp.native, undefined)
  }

  /** Sessions leave it to their sockets. */
  override onShutdown(request: unknown, status: number): void {
    complete(request as NodeRequest, status, this.tcp.native, undefined)
  }
}

type Http2 = Pick<typeof import('node:http2'), 'connect' | 'createServer' | 'performServerHandshake'>

/** Lets Node's HTTP/2 take streams of ours in cleartext, too. */
export const overlayHttp2 = (): void => {
  const http2 = createRequire(import.meta.url)('node:http2') as Http2
  const { connect, createServer, performServerHandshake } = http2
  // Older versions have it not: there a session has a stream in JavaScript, which knows no addresses.
  if (typeof performServerHandshake !== 'function') return
  const prepare = (): boolean => {
    programs.takesHttp2 ??= overlaySessions(performServerHandshake)
    return programs.takesHttp2
  }
  const asking =
    <A extends unknown[], R>(call: (...args: A) => R) =>
    (...args: A): R => {
      const before = programs.http2Asks
      programs.http2Asks = prepare()
      try {
        return call(...args)
      } finally {
        programs.http2Asks = before
      }
    }
  http2.connect = Object.defineProperties(asking(connect), Object.getOwnPropertyDescriptors(connect)) as typeof connect
  http2.performServerHandshake = asking(performServerHandshake)
  http2.createServer = ((...args: Parameters<typeof createServer>) => {
    prepare()
    return createServer(...args)
  }) as typeof createServer
  syncBuiltinESMExports()
}

/**
 * Puts our streams under the sessions of Node's class, which only an instance shows.
 * @returns whether there is a way
 */
const overlaySessions = (performServerHandshake: Http2['performServerHandshake']): boolean => {
  const stream = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() })
  const session = performServerHandshake(stream)
  const key = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'kHandle')
  const handle = key === undefined ? undefined : (session as unknown as Record<symbol, object | undefined>)[key]
  session.destroy()
  if (handle === undefined) return false
  const prototype = Object.getPrototypeOf(handle) as Methods
  const { consume } = prototype
  if (consume === undefined) return false
  prototype['consume'] = function (this: unknown, handle) {
    const own = decide(handle as object)
    return consume.call(this, own === null ? handle : new Http2Bridge(own).stream)
  }
  return true
}
