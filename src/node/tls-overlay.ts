import { createRequire } from 'node:module'
import { type EventQueue, Handle } from '../net/events.ts'
import { UV_EOF } from '../net/uv.ts'
import { binding, type JsStream, type TlsWrap } from './bindings.ts'
import { decide, emitRead, newVirtualTcp, type StreamUser, type VirtualTcp } from './tcp-overlay.ts'

/**
 * TLS over handles of ours. Node's TLS sessions, which are native code, read and write native streams; a stream of ours is
 * given to them as a `JSStream`, Node's own class for streams that are written in JavaScript.
 */
class TlsBridge extends Handle implements StreamUser {
  readonly stream: JsStream
  session: TlsWrap | null = null
  private readonly tcp: VirtualTcp
  private readonly written: [request: object, status: number][] = []

  constructor(tcp: VirtualTcp, events: EventQueue) {
    super(events)
    this.tcp = tcp
    const { handle } = tcp
    const stream = new (binding('js_stream').JSStream)()
    stream.onreadstart = () => handle.readStart()
    stream.onreadstop = () => handle.readStop()
    stream.isClosing = () => handle.isClosing
    stream.onshutdown = (request) => handle.shutdown(request)
    stream.onwrite = (request, chunks) => this.write(request, chunks)
    // A session that is over leaves the stream to itself.
    stream.onread = () => {}
    this.stream = stream
    tcp.user = this
  }

  /** A write of Node's must not be over before the call that began it. */
  private write(request: object, chunks: Uint8Array[]): number {
    const result = this.tcp.handle.write(request, chunks)
    if (result === 0 && !this.tcp.handle.lastWriteWasAsync) {
      this.written.push([request, 0])
      this.events.post(this)
    }
    return result
  }

  onRead(count: number, data: Uint8Array | null): void {
    if (count > 0) this.stream.readBuffer(data!)
    else if (count === UV_EOF) this.stream.emitEOF()
    // A JSStream cannot tell of errors: the session's own user is told.
    else if (this.session !== null) emitRead(this.session, count, null)
  }

  onWritten(request: unknown, status: number): void {
    this.stream.finishWrite(request as object, status)
  }

  onShutdown(request: unknown, status: number): void {
    this.stream.finishShutdown(request as object, status)
  }

  handleEvents(): void {
    for (const [request, status] of this.written.splice(0)) {
      this.stream.finishWrite(request, status)
      this.events.afterCallback()
    }
  }

  wake(): boolean {
    return false
  }
}

interface TlsSocket {
  _tlsOptions: { readonly pipe?: boolean }
  _wrapHandle(wrap: unknown, handle: object | null | undefined, ...rest: unknown[]): unknown
}

interface TlsSocketClass {
  readonly prototype: TlsSocket
}

/** Lets Node's TLS take streams of ours. */
export const overlayTls = (): void => {
  const tls = binding('tls_wrap')
  const wrap = tls.wrap
  tls.wrap = (stream, ...rest) => {
    const own = decide(stream)
    if (own === null) return wrap(stream, ...rest)
    const bridge = new TlsBridge(own, own.context.events)
    bridge.session = wrap(bridge.stream, ...rest)
    return bridge.session
  }
  const { TLSSocket } = createRequire(import.meta.url)('node:tls') as { TLSSocket: TlsSocketClass }
  const wrapHandle = TLSSocket.prototype._wrapHandle
  TLSSocket.prototype._wrapHandle = function (wrapped, handle, ...rest) {
    const fresh = handle === null || handle === undefined
    const own = fresh ? (this._tlsOptions.pipe === true ? null : newVirtualTcp()) : decide(handle)
    if (own === null) return wrapHandle.call(this, wrapped, handle, ...rest)
    if (fresh) setOwner(own.native, this)
    own.isStreamBase = true
    try {
      return wrapHandle.call(this, wrapped, own.native, ...rest)
    } finally {
      own.isStreamBase = false
    }
  }
}

/** Notes in a handle whose it is, as Node does in those that it makes itself. */
const setOwner = (handle: object, owner: object): void => {
  const key = Object.getOwnPropertySymbols(handle).find(({ description }) => description === 'owner_symbol')
  if (key !== undefined) (handle as Record<symbol, unknown>)[key] = owner
}
