import { IpAddress, ipv4 } from '../wire/address.ts'
import { BYTE_ORDER_MAGIC, NameRecord, PcapngBlock, PcapngOption } from './pcapng.ts'

/** Reads capture files: pcapng, and pcap with microseconds or nanoseconds, in either byte order. */

/** One interface of a capture file. */
export interface CapturedInterface {
  /** One of `LinkType`, or another. */
  readonly linkType: number
  /** Bytes kept of a packet at most; 0: all. */
  readonly snaplen: number
  readonly name: string | null
  readonly description: string | null
}

/** One packet of a capture file. */
export interface CapturedPacket {
  /** Index into `CaptureFile.interfaces`. */
  readonly interface: number
  /** Nanoseconds since 1970; 0 when the file does not say (simple packet blocks). */
  readonly timeNs: bigint
  /** The bytes kept: a view of the file. */
  readonly data: Uint8Array
  /** Bytes that the packet had. */
  readonly originalLength: number
  readonly direction: 'in' | 'out' | null
  readonly comment: string | null
}

/** A name that a capture file gives an address. */
export interface CapturedName {
  readonly address: IpAddress
  readonly names: readonly string[]
}

/** What a capture file holds. */
export interface CaptureFile {
  readonly format: 'pcap' | 'pcapng'
  readonly hardware: string | null
  readonly os: string | null
  readonly application: string | null
  readonly interfaces: readonly CapturedInterface[]
  readonly packets: readonly CapturedPacket[]
  readonly names: readonly CapturedName[]
  /** What is wrong with the file, in one line; what came before it is kept. Null for a sound file. */
  readonly error: string | null
}

const PCAP_MICROSECONDS = 0xa1b2_c3d4
const PCAP_NANOSECONDS = 0xa1b2_3c4d

/** Reads a whole capture file. Never throws: see `CaptureFile.error`. */
export const readCapture = (file: Uint8Array): CaptureFile => {
  const reader = new CaptureReader(file)
  reader.read()
  return reader
}

/** What is wrong with a file. Does not leave this module. */
class Malformed extends Error {}

/** An interface of the section being read, with what its packets' times need. */
interface SectionInterface {
  readonly index: number
  readonly snaplen: number
  /** A time is `units` x `multiplier` / `divisor` nanoseconds, plus `offset`. */
  readonly multiplier: bigint
  readonly divisor: bigint
  readonly offset: bigint
}

class CaptureReader implements CaptureFile {
  format: 'pcap' | 'pcapng' = 'pcap'
  hardware: string | null = null
  os: string | null = null
  application: string | null = null
  readonly interfaces: CapturedInterface[] = []
  readonly packets: CapturedPacket[] = []
  readonly names: CapturedName[] = []
  error: string | null = null

  private readonly file: Uint8Array
  private readonly view: DataView
  private readonly decoder = new TextDecoder()
  private little = true
  private section: SectionInterface[] = []

  constructor(file: Uint8Array) {
    this.file = file
    this.view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  }

  read(): void {
    try {
      if (this.file.length < 4) throw new Malformed('not a capture file: it has fewer than 4 bytes')
      const magic = this.u32(0)
      if (magic === PcapngBlock.Section) this.readPcapng()
      else this.readPcap(magic)
    } catch (error) {
      if (!(error instanceof Malformed)) throw error
      this.error = error.message
    }
  }

  private readPcap(magic: number): void {
    this.little = magic === PCAP_MICROSECONDS || magic === PCAP_NANOSECONDS
    const swapped = this.u32(0)
    if (swapped !== PCAP_MICROSECONDS && swapped !== PCAP_NANOSECONDS) {
      throw new Malformed(`not a capture file: it begins with 0x${magic.toString(16).padStart(8, '0')}`)
    }
    if (this.file.length < 24) throw new Malformed('the file ends inside its header')
    const version = this.u16(4)
    if (version !== 2) throw new Malformed(`pcap version ${version} is not known, only 2`)
    const unit = swapped === PCAP_NANOSECONDS ? 1n : 1000n
    // The upper half of the word tells of a frame check sequence.
    this.interfaces.push({ linkType: this.u32(20) & 0xffff, snaplen: this.u32(16), name: null, description: null })
    for (let at = 24; at < this.file.length; ) {
      const captured = at + 16 <= this.file.length ? this.u32(at + 8) : 0
      const end = at + 16 + captured
      if (end > this.file.length) throw new Malformed(`the file ends inside packet ${this.packets.length + 1}`)
      this.packets.push({
        interface: 0,
        timeNs: BigInt(this.u32(at)) * 1_000_000_000n + BigInt(this.u32(at + 4)) * unit,
        data: this.file.subarray(at + 16, end),
        originalLength: this.u32(at + 12),
        direction: null,
        comment: null,
      })
      at = end
    }
  }

  private readPcapng(): void {
    this.format = 'pcapng'
    for (let at = 0; at < this.file.length; ) {
      if (at + 12 > this.file.length) throw new Malformed(`the file ends inside the block at byte ${at}`)
      if (this.u32(at) === PcapngBlock.Section) this.readByteOrder(at)
      const type = this.u32(at)
      const length = this.u32(at + 4)
      if (length < 12 || (length & 3) !== 0) throw new Malformed(`the block at byte ${at} has the length ${length}`)
      if (at + length > this.file.length) throw new Malformed(`the file ends inside the block at byte ${at}`)
      if (this.u32(at + length - 4) !== length) {
        throw new Malformed(`the block at byte ${at} has the lengths ${length} and ${this.u32(at + length - 4)}`)
      }
      this.readBlock(type, at, at + 8, at + length - 4)
      at += length
    }
  }

  private readByteOrder(at: number): void {
    this.little = true
    if (this.u32(at + 8) === BYTE_ORDER_MAGIC) return
    this.little = false
    if (this.u32(at + 8) !== BYTE_ORDER_MAGIC) throw new Malformed(`the section at byte ${at} has no byte-order mark`)
  }

  /** One block whose body lies from `body` to `end`. Types that are not known are skipped. */
  private readBlock(type: number, at: number, body: number, end: number): void {
    const least = LEAST_BODY.get(type)
    if (least !== undefined && end - body < least) throw new Malformed(`the block at byte ${at} is too short`)
    switch (type) {
      case PcapngBlock.Section:
        this.readSection(at, body, end)
        break
      case PcapngBlock.Interface:
        this.readInterface(body, end)
        break
      case PcapngBlock.EnhancedPacket:
        this.readPacket(at, this.u32(body), body, end)
        break
      case PcapngBlock.Packet:
        this.readPacket(at, this.u16(body), body, end)
        break
      case PcapngBlock.SimplePacket:
        this.readSimplePacket(at, body, end)
        break
      case PcapngBlock.Names:
        this.readNames(body, end)
        break
    }
  }

  private readSection(at: number, body: number, end: number): void {
    const major = this.u16(body + 4)
    if (major !== 1) throw new Malformed(`the section at byte ${at} has version ${major}, only 1 is known`)
    this.section = []
    const first = at === 0
    this.eachOption(body + 16, end, (code, start, stop) => {
      if (!first) return
      if (code === PcapngOption.SectionHardware) this.hardware = this.string(start, stop)
      else if (code === PcapngOption.SectionOs) this.os = this.string(start, stop)
      else if (code === PcapngOption.SectionApplication) this.application = this.string(start, stop)
    })
  }

  private readInterface(body: number, end: number): void {
    let name: string | null = null
    let description: string | null = null
    let resolution = 6
    let offset = 0n
    this.eachOption(body + 8, end, (code, start, stop) => {
      if (code === PcapngOption.InterfaceName) name = this.string(start, stop)
      else if (code === PcapngOption.InterfaceDescription) description = this.string(start, stop)
      else if (code === PcapngOption.InterfaceResolution && stop - start === 1) resolution = this.file[start]!
      else if (code === PcapngOption.InterfaceTimeOffset && stop - start === 8) {
        offset = this.view.getBigInt64(start, this.little) * 1_000_000_000n
      }
    })
    const snaplen = this.u32(body + 4)
    const exponent = BigInt(resolution & 0x7f)
    this.section.push({
      index: this.interfaces.length,
      snaplen,
      multiplier: 1_000_000_000n,
      divisor: (resolution & 0x80) !== 0 ? 2n ** exponent : 10n ** exponent,
      offset,
    })
    this.interfaces.push({ linkType: this.u16(body), snaplen, name, description })
  }

  /** An enhanced packet block, or the old packet block, which differs in its first word only. */
  private readPacket(at: number, on: number, body: number, end: number): void {
    const from = this.section[on]
    if (from === undefined)
      throw new Malformed(`the packet at byte ${at} is from interface ${on}, which is not described`)
    const captured = this.u32(body + 12)
    const start = body + 20
    if (captured > end - start) throw new Malformed(`the packet at byte ${at} is longer than its block`)
    let direction: 'in' | 'out' | null = null
    let comment: string | null = null
    this.eachOption(start + ((captured + 3) & ~3), end, (code, first, stop) => {
      if (code === PcapngOption.Comment) comment ??= this.string(first, stop)
      else if (code === PcapngOption.PacketFlags && stop - first === 4) {
        const bits = this.u32(first) & 3
        direction = bits === 1 ? 'in' : bits === 2 ? 'out' : null
      }
    })
    const units = BigInt(this.u32(body + 4)) * 0x1_0000_0000n + BigInt(this.u32(body + 8))
    this.packets.push({
      interface: from.index,
      timeNs: (units * from.multiplier) / from.divisor + from.offset,
      data: this.file.subarray(start, start + captured),
      originalLength: this.u32(body + 16),
      direction,
      comment,
    })
  }

  private readSimplePacket(at: number, body: number, end: number): void {
    const from = this.section[0]
    if (from === undefined) throw new Malformed(`the packet at byte ${at} comes before any interface`)
    const originalLength = this.u32(body)
    const kept = from.snaplen === 0 ? originalLength : Math.min(originalLength, from.snaplen)
    if (kept > end - body - 4) throw new Malformed(`the packet at byte ${at} is longer than its block`)
    this.packets.push({
      interface: from.index,
      timeNs: 0n,
      data: this.file.subarray(body + 4, body + 4 + kept),
      originalLength,
      direction: null,
      comment: null,
    })
  }

  private readNames(body: number, end: number): void {
    for (let at = body; at + 4 <= end; ) {
      const type = this.u16(at)
      const length = this.u16(at + 2)
      if (type === NameRecord.End) return
      const start = at + 4
      if (start + length > end) throw new Malformed(`the name at byte ${at} is longer than its block`)
      const bytes = type === NameRecord.Ipv4 ? 4 : 16
      if ((type === NameRecord.Ipv4 || type === NameRecord.Ipv6) && length >= bytes) {
        const word = (i: number): number => this.view.getInt32(start + i * 4)
        const address = bytes === 4 ? ipv4(word(0)) : new IpAddress(word(0), word(1), word(2), word(3))
        const names = this.string(start + bytes, start + length).split('\0')
        this.names.push({ address, names: names.filter((name) => name !== '') })
      }
      at = start + ((length + 3) & ~3)
    }
  }

  /** Calls `option` with the code of each option and where its value begins and ends. */
  private eachOption(start: number, end: number, option: (code: number, start: number, end: number) => void): void {
    for (let at = start; at + 4 <= end; ) {
      const code = this.u16(at)
      if (code === PcapngOption.End) return
      const length = this.u16(at + 2)
      if (at + 4 + length > end) throw new Malformed(`the option at byte ${at} is longer than its block`)
      option(code, at + 4, at + 4 + length)
      at += 4 + ((length + 3) & ~3)
    }
  }

  private string(start: number, end: number): string {
    return this.decoder.decode(this.file.subarray(start, end))
  }

  private u16(at: number): number {
    return this.view.getUint16(at, this.little)
  }

  private u32(at: number): number {
    return this.view.getUint32(at, this.little)
  }
}

/** Bytes that the fixed part of a block's body takes, by type. */
const LEAST_BODY: ReadonlyMap<number, number> = new Map<number, number>([
  [PcapngBlock.Section, 16],
  [PcapngBlock.Interface, 8],
  [PcapngBlock.Packet, 20],
  [PcapngBlock.SimplePacket, 4],
  [PcapngBlock.EnhancedPacket, 20],
])
