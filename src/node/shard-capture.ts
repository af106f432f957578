import type { Host } from '../host/host.ts'
import { Capture } from '../link/capture.ts'
import type { LinkPort } from '../link/port.ts'
import { type CaptureRequest, capturedInterfaces } from './capture-stream.ts'

/** What is to be captured in all shards of a host: at their interfaces, or at the device. */
export interface ShardCaptureRequest extends CaptureRequest {
  readonly ofDevice?: boolean
}

/** Milliseconds after which it is told what has been captured. */
const INTERVAL = 50

/** A shard's part of a capture: tells of it now and then, and up to when that is all. */
export class ShardCapture {
  private readonly host: Host
  private readonly capture: Capture
  private readonly chunks: Uint8Array[] = []
  private readonly tell: (bytes: Uint8Array, upTo: number) => void
  private readonly timer: NodeJS.Timeout

  /**
   * @param device the shard's queue of the device
   * @param tell gets whole blocks of pcapng, as `CaptureMerger.add`
   * @throws Error, in one line, for an interface that is not there
   */
  constructor(
    host: Host,
    device: LinkPort & { readonly name: string },
    request: ShardCaptureRequest,
    tell: (bytes: Uint8Array, upTo: number) => void,
  ) {
    const ports = request.ofDevice ? [{ port: device, name: device.name }] : capturedInterfaces(host, request)
    this.host = host
    this.tell = tell
    const options = request.snaplen === undefined ? {} : { snaplen: request.snaplen }
    this.capture = new Capture(host.world, (chunk) => this.chunks.push(chunk), options)
    for (const { port, name } of ports) this.capture.add(port, name)
    this.timer = setInterval(() => this.tellNow(), INTERVAL).unref()
    this.tellNow()
  }

  close(): void {
    clearInterval(this.timer)
    this.capture.close()
    this.tell(this.taken(), Number.POSITIVE_INFINITY)
  }

  private tellNow(): void {
    const { loop, clock } = this.host.world
    // What comes from now on is later.
    loop.refresh()
    this.capture.writer.flush()
    this.tell(this.taken(), clock.epoch + loop.now)
  }

  /** What has been captured since it was last asked. */
  private taken(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.chunks.splice(0)))
  }
}
