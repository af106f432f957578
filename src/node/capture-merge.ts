import { PcapngBlock } from '../link/pcapng.ts'

/** Captures of several threads as one: pcapng, the packets in order of time. */

interface Packet {
  readonly block: Uint8Array
  /** Nanoseconds since 1970, in two words as in the file. */
  readonly high: number
  readonly low: number
}

/** What has come of one capture. */
class Source {
  readonly packets: Packet[] = []
  /** Everything up to this time has come; Infinity when it is over. */
  high = 0
  low = 0
}

const isBefore = (a: { high: number; low: number }, b: { high: number; low: number }): boolean =>
  a.high < b.high || (a.high === b.high && a.low < b.low)

export class CaptureMerger {
  private readonly sources: Source[]
  private readonly sink: (block: Uint8Array) => void

  /**
   * @param count captures, all of interfaces of the same kind; the first one's description is the file's
   * @param sink gets the file, block by block
   */
  constructor(count: number, sink: (block: Uint8Array) => void) {
    this.sources = Array.from({ length: count }, () => new Source())
    this.sink = sink
  }

  /**
   * Takes in more of a capture.
   * @param bytes whole blocks, with times in nanoseconds
   * @param upTo time of the day up to which nothing of it is to come
   *   any more, microseconds since 1970; Infinity at its end
   */
  add(index: number, bytes: Uint8Array, upTo: number): void {
    const source = this.sources[index]!
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let at = 0; at < bytes.length; ) {
      const type = view.getUint32(at, true)
      const length = view.getUint32(at + 4, true)
      const block = bytes.subarray(at, at + length)
      if (type === PcapngBlock.EnhancedPacket) {
        source.packets.push({ block, high: view.getUint32(at + 12, true), low: view.getUint32(at + 16, true) })
      } else if (index === 0 && type !== PcapngBlock.Statistics) this.sink(block)
      at += length
    }
    if (upTo === Number.POSITIVE_INFINITY) source.high = upTo
    else {
      const nanoseconds = BigInt(Math.floor(upTo)) * 1000n
      source.high = Number(nanoseconds >> 32n)
      source.low = Number(nanoseconds & 0xffff_ffffn)
    }
    this.passOn()
  }

  /** Passes on what nothing can come before. */
  private passOn(): void {
    const until = this.sources.reduce((least, source) => (isBefore(source, least) ? source : least))
    for (;;) {
      let next: Source | null = null
      for (const source of this.sources) {
        const [first] = source.packets
        if (first !== undefined && (next === null || isBefore(first, next.packets[0]!))) next = source
      }
      if (next === null || !isBefore(next.packets[0]!, until)) return
      this.sink(next.packets.shift()!.block)
    }
  }
}
