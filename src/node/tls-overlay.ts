import { createRequire } from 'node:module'
import { UV_EOF } from '../net/uv.ts'
import { binding, type TlsWrap } from './bindings.ts'
import { StreamBridge } from './stream-bridge.ts'
import { decide, emitRead, newVirtualTcp, setOwner, type VirtualTcp } from './tcp-overlay.ts'

/** TLS over handles of ours: Node's TLS sessions are native code. */
class TlsBridge extends StreamBridge {
  session: TlsWrap | null = null

  constructor(tcp: VirtualTcp) {
    super(tcp)
    // A session that is over leaves the stream to itself.
    this.stream.onread = () => {}
  }

  onRead(count: number, data: Uint8Array | null): void {
    if (count > 0) this.stream.readBuffer(data!)
    else if (count === UV_EOF) this.stream.emitEOF()
    // A JSStream cannot tell of errors: the session's own user is told.
    else if (this.session !== null) emitRead(this.session, count, null)
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
    const bridge = new TlsBridge(own)
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
