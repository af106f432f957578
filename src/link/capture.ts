import type { Micros } from '../core/clock.ts'
import { type Frame, FrameChecksum } from '../core/frame.ts'
import type { World } from '../core/world.ts'
import type { IpAddress, MacAddress } from '../wire/address.ts'
import { ETHERNET_HEADER, EtherType } from '../wire/ethernet.ts'
import { LoopbackPort } from './loopback.ts'
import { LinkType, PcapngWriter } from './pcapng.ts'
import type { FrameTap, LinkPort } from './port.ts'
import { checksumFieldAt, hasNoChecksum, transportChecksum } from './segmentation.ts'

/** What is said of a capture as a whole, and of its packets. */
export interface CaptureOptions {
  /** The most bytes kept of each packet; 262,144 unless given, as in tcpdump, and with 0. */
  readonly snaplen?: number
  /** Packets after which the capture is full; no limit unless given. */
  readonly limit?: number
  /** Hand every packet to the sink at once, for somebody who watches? Else in chunks of about 64 KiB. */
  readonly immediate?: boolean
  /**
   * A remark on a packet, which readers show beside it. It is called as the packet passes and must not keep the frame.
   */
  readonly comment?: (frame: Frame, port: LinkPort, outgoing: boolean) => string | null
  /** For the file's header. */
  readonly hardware?: string
  readonly os?: string
  readonly application?: string
  readonly resolution?: 'ns' | 'us'
}

/** What is said of one port. */
export interface CapturePortOptions {
  readonly description?: string
  readonly mac?: MacAddress
  /** Bits per second. */
  readonly speed?: number
  /**
   * Show bare IP packets behind an Ethernet header of zeros? Loopback does unless told otherwise, as Linux's `lo`;
   * other links of IP packets are shown as they are.
   */
  readonly ethernetHeader?: boolean
}

const DEFAULT_SNAPLEN = 262_144

/**
 * Writes what passes any number of ports to a sink, as a pcapng file. Checksums
 * that were left to the link are completed in the file, never in the frame; a
 * frame that stands for several segments is shown as one, as tcpdump shows it.
 */
export class Capture {
  readonly world: World
  readonly options: CaptureOptions
  readonly writer: PcapngWriter
  /** The most bytes kept of each packet. */
  readonly snaplen: number
  /** Packets written. */
  packets = 0
  /** What the sink threw; nothing is written after it. */
  error: unknown = null
  private readonly sources: CaptureSource[] = []
  private closed = false

  /**
   * @param sink takes the file's bytes, chunk by chunk; the chunks are its own
   * @throws RangeError for a `snaplen` that is no number of bytes
   */
  constructor(world: World, sink: (chunk: Uint8Array) => void, options: CaptureOptions = {}) {
    this.world = world
    this.options = options
    const { snaplen = 0, hardware, os, application, resolution } = options
    if (!Number.isInteger(snaplen) || snaplen < 0) throw new RangeError(`snaplen: ${snaplen} is no number of bytes`)
    this.snaplen = Math.min(snaplen || DEFAULT_SNAPLEN, DEFAULT_SNAPLEN)
    const guarded = (chunk: Uint8Array): void => {
      if (this.error !== null) return
      try {
        sink(chunk)
      } catch (error) {
        this.error = error ?? new Error('the sink failed')
      }
    }
    this.writer = new PcapngWriter(guarded, {
      epoch: world.clock.epoch,
      ...(hardware === undefined ? {} : { hardware }),
      ...(os === undefined ? {} : { os }),
      ...(resolution === undefined ? {} : { resolution }),
      application: application ?? 'netglass',
    })
  }

  /** Has the limit been reached, the sink failed, or the capture been closed? Then packets pass unwritten. */
  get isOver(): boolean {
    return this.closed || this.error !== null || this.packets >= (this.options.limit ?? Number.POSITIVE_INFINITY)
  }

  /** Captures from now on what passes `port`, under an interface's name. */
  add(port: LinkPort, name: string, options: CapturePortOptions = {}): void {
    if (this.closed) return
    this.world.loop.refresh()
    const header = port.features.medium === 'ip' && (options.ethernetHeader ?? port instanceof LoopbackPort)
    const linkType = header || port.features.medium === 'ethernet' ? LinkType.Ethernet : LinkType.Raw
    const { description, mac, speed } = options
    const index = this.writer.addInterface({
      name,
      linkType,
      snaplen: this.snaplen,
      ...(description === undefined ? {} : { description }),
      ...(mac === undefined ? {} : { mac }),
      ...(speed === undefined ? {} : { speed }),
    })
    const source = new CaptureSource(this, port, index, header)
    this.sources.push(source)
    port.taps.push(source)
    if (this.options.immediate === true) this.writer.flush()
  }

  /** Tells readers the names of addresses. */
  names(entries: Iterable<readonly [address: IpAddress, name: string]>): void {
    if (!this.closed) this.writer.names(entries)
  }

  /** Leaves all ports, writes what each interface counted, and hands the rest of the file to the sink. */
  close(): void {
    if (this.closed) return
    this.closed = true
    this.world.loop.refresh()
    const end = this.world.loop.now
    for (const source of this.sources) {
      const { port, index, start, seen, written } = source
      const at = port.taps.indexOf(source)
      if (at >= 0) port.taps.splice(at, 1)
      this.writer.statistics(index, { start, end, received: seen, dropped: seen - written, delivered: written })
    }
    this.writer.flush()
  }
}

/** A capture's ear at one port. */
class CaptureSource implements FrameTap {
  private readonly owner: Capture
  readonly port: LinkPort
  readonly index: number
  readonly start: Micros
  /** Packets that came by, and that were written. */
  seen = 0
  written = 0
  /** Stands before bare IP packets; empty when they are shown as they are. */
  private readonly header: Uint8Array | null
  private readonly snaplen: number

  constructor(owner: Capture, port: LinkPort, index: number, ethernetHeader: boolean) {
    this.owner = owner
    this.port = port
    this.index = index
    this.start = owner.world.loop.now
    this.header = ethernetHeader ? new Uint8Array(ETHERNET_HEADER) : null
    this.snaplen = owner.snaplen
  }

  frame(frame: Frame, outgoing: boolean): void {
    const { owner, header } = this
    this.seen++
    if (owner.isOver) return
    const { writer, world, options } = owner
    const before = header === null ? 0 : header.length
    const original = before + frame.end - frame.start
    const captured = Math.min(original, this.snaplen)
    const comment = options.comment === undefined ? null : options.comment(frame, this.port, outgoing)
    const { u8 } = world.memory
    // With a header to be put first, what lies below the packet is taken along and overwritten.
    const now = world.loop.now
    const at = writer.packet(this.index, now, u8, frame.start - before, captured, original, outgoing, comment)
    const bytes = writer.bytes
    if (header !== null) {
      const type = u8[frame.start]! >>> 4 === 6 ? EtherType.Ipv6 : EtherType.Ipv4
      header[12] = type >>> 8
      header[13] = type & 0xff
      bytes.u8.set(captured < before ? header.subarray(0, captured) : header, at)
    }
    this.completeChecksum(frame, at + before, at + captured)
    this.written++
    owner.packets++
    if (options.immediate === true) writer.flush()
  }

  /**
   * Writes into the copy, which lies from `at` to `end` of the writer's buffer, the checksum that the frame may lack.
   */
  private completeChecksum(frame: Frame, at: number, end: number): void {
    if (frame.checksum === FrameChecksum.Unverified) return
    const { writer, world } = this.owner
    const field = checksumFieldAt(world.memory, frame)
    if (field < 0 || (frame.checksum === FrameChecksum.Good && hasNoChecksum(world.memory, frame, field))) return
    const copy = at + field - frame.start
    if (copy + 2 <= end) writer.bytes.view.setUint16(copy, transportChecksum(world.memory, frame, field))
  }
}
