import type { Host } from '../host/host.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { Capture } from '../link/capture.ts'
import { type CapturedPacket, readCapture } from '../link/pcap.ts'

/** A capture that is watched from another process: pcapng, packet by packet, over the control socket. */

/** What a client wants to see of a running stack's packets. */
export interface CaptureRequest {
  /** An interface's name, or `any`; the first that is not loopback unless given. */
  readonly interface?: string
  /** The most bytes kept of a packet. */
  readonly snaplen?: number
}

/** Packets that may wait for a slow reader; those beyond are dropped. */
const MOST_WAITING = 10_000

/** The interfaces that are wanted. @throws Error, in one line, for one that is not there */
export const capturedInterfaces = (host: Host, request: CaptureRequest): readonly NetworkInterface[] => {
  const { interfaces } = host.ip
  const wanted =
    request.interface === 'any'
      ? interfaces
      : interfaces.filter(({ name, isLoopback }) =>
          request.interface === undefined ? !isLoopback : name === request.interface,
        )
  if (wanted.length > 0) return wanted
  const names = interfaces.map(({ name }) => name).join(', ')
  throw new Error(`${request.interface ?? 'any'}: No such device exists: there are ${names}`)
}

/**
 * Captures what passes a host's interfaces until `signal` is aborted: base64 of pcapng blocks. The first item describes
 * the file and its interfaces, every other one holds one packet.
 * @throws Error, in one line, for an interface that is not there
 */
export const captureStream = (host: Host, request: CaptureRequest, signal: AbortSignal): AsyncGenerator<string> => {
  const wanted = capturedInterfaces(host, request)
  const options = { immediate: true, ...(request.snaplen === undefined ? {} : { snaplen: request.snaplen }) }
  return chunkStream((sink) => {
    const capture = new Capture(host.world, sink, options)
    for (const iface of wanted) capture.add(iface.port, iface.name)
    return () => capture.close()
  }, signal)
}

/**
 * Streams the chunks of a capture until `signal` is aborted, in base64.
 * @param begin gets who takes the chunks, gives the description of
 *   file and interfaces at once, and returns how to end it
 */
export const chunkStream = (
  begin: (sink: (chunk: Uint8Array) => void) => () => void,
  signal: AbortSignal,
): AsyncGenerator<string> => {
  const chunks: Uint8Array[] = []
  let wake: () => void = () => {}
  const end = begin((chunk) => {
    if (chunks.length < MOST_WAITING) chunks.push(chunk)
    wake()
  })
  const header = Buffer.concat(chunks.splice(0)).toString('base64')
  signal.addEventListener('abort', () => {
    end()
    wake()
  })
  return (async function* () {
    yield header
    while (!signal.aborted) {
      const chunk = chunks.shift()
      if (chunk !== undefined) yield Buffer.from(chunk).toString('base64')
      else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  })()
}

/** Reads what `captureStream` yields, item by item. */
export class CaptureStreamReader {
  private header: Buffer | null = null

  /** The bytes of an item; and its packet, which the first has not. */
  read(item: unknown): { bytes: Buffer; packet: (CapturedPacket & { linkType: number }) | null } {
    const bytes = Buffer.from(String(item), 'base64')
    if (this.header === null) {
      this.header = bytes
      return { bytes, packet: null }
    }
    const { packets, interfaces } = readCapture(Buffer.concat([this.header, bytes]))
    const [packet] = packets
    return {
      bytes,
      packet: packet === undefined ? null : { ...packet, linkType: interfaces[packet.interface]!.linkType },
    }
  }

  /** The kind of the first interface's link. */
  get linkType(): number {
    return this.header === null ? 0 : (readCapture(this.header).interfaces[0]?.linkType ?? 0)
  }
}
