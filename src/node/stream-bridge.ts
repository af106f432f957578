import { binding, type JsStream } from './bindings.ts'
import type { StreamUser, VirtualTcp } from './tcp-overlay.ts'

/**
 * A stream of ours for native code, which reads and writes native streams alone: given to it as a `JSStream`, Node's
 * own class for streams that are written in JavaScript.
 */
export abstract class StreamBridge implements StreamUser {
  readonly stream: JsStream
  protected readonly tcp: VirtualTcp
  private readonly finish = (request: object): void => this.onWritten(request, 0)

  constructor(tcp: VirtualTcp) {
    this.tcp = tcp
    const { handle } = tcp
    const stream = new (binding('js_stream').JSStream)()
    stream.onreadstart = () => handle.readStart()
    stream.onreadstop = () => handle.readStop()
    stream.isClosing = () => handle.isClosing
    stream.onshutdown = (request) => handle.shutdown(request)
    stream.onwrite = (request, chunks) => this.write(request, chunks)
    this.stream = stream
    tcp.user = this
  }

  /**
   * A write of Node's must not be over before the call that began it, and as soon as it can be: the next waits for it.
   */
  protected write(request: object, chunks: Uint8Array[]): number {
    const { handle } = this.tcp
    for (const { length } of chunks) handle.bytesWritten += length
    const result = handle.write(request, chunks)
    if (result === 0 && !handle.lastWriteWasAsync) process.nextTick(this.finish, request)
    return result
  }

  abstract onRead(count: number, data: Uint8Array | null): void

  onWritten(request: unknown, status: number): void {
    this.stream.finishWrite(request as object, status)
  }

  onShutdown(request: unknown, status: number): void {
    this.stream.finishShutdown(request as object, status)
  }
}
