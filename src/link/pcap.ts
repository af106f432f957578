import { IpAddress, ipv4 } from '../wire/address.ts'
import { concatBytes } from '../wire/options.ts'
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
/** Kuznetzov's variant: microseconds, and eight bytes more before each packet, of which none is needed. */
const PCAP_MODIFIED = 0xa1b2_cd34

/** What needs to be there to know how long a packet's record, or a block, is. */
const PCAP_RECORD = 16
const PCAP_MODIFIED_RECORD = 24
const BLOCK_HEADER = 12

/** The largest packet or block that is believed, as libpcap has it: what says that it is larger is damaged. */
const MOST = 0x100_0000

/** Reads a whole capture file. Never throws: see `CaptureFile.error`. */
export const readCapture = (file: Uint8Array): CaptureFile => {
  const packets: CapturedPacket[] = []
  const reader = new CaptureReader((packet) => void packets.push(packet))
  reader.push(file)
  reader.end()
  const { format, hardware, os, application, interfaces, names, error } = reader
  return { format, hardware, os, application, interfaces, packets, names, error }
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

/** Reads a capture file piece by piece, however large it is. Never throws: see `error`. */
export class CaptureReader {
  format: 'pcap' | 'pcapng' = 'pcap'
  hardware: string | null = null
  os: string | null = null
  application: string | null = null
  readonly interfaces: CapturedInterface[] = []
  readonly names: CapturedName[] = []
  /** What is wrong with the file, in one line. Nothing that comes behind it is read. */
  error: string | null = null

  private readonly onPacket: (packet: CapturedPacket) => void
  private readonly decoder = new TextDecoder()
  /** What has come and is not read, and how much of it there must be before there is anything to read. */
  private waiting: Uint8Array[] = []
  private waitingBytes = 0
  private needed = 4
  /** What is being read, and where in the file it begins. */
  private file: Uint8Array = new Uint8Array(0)
  private view = new DataView(this.file.buffer)
  private base = 0
  private isBegun = false
  private packets = 0
  private little = true
  private section: SectionInterface[] = []
  /** Of a pcap file: bytes before each packet, nanoseconds of a unit, and how its two lengths are ordered. */
  private recordHeader = PCAP_RECORD
  private unit = 1000n
  private minor = 4

  /** @param onPacket gets each packet; its data stay as they are only as long as the pieces do */
  constructor(onPacket: (packet: CapturedPacket) => void) {
    this.onPacket = onPacket
  }

  /** Reads on. */
  push(piece: Uint8Array): void {
    if (this.error !== null || piece.length === 0) return
    this.waiting.push(piece)
    this.waitingBytes += piece.length
    if (this.waitingBytes < this.needed) return
    const file = this.waiting.length === 1 ? piece : concatBytes(this.waiting)
    this.file = file
    this.view = new DataView(file.buffer, file.byteOffset, file.byteLength)
    const read = this.guarded(() => this.readOn())
    this.base += read
    this.waiting = read < file.length ? [file.subarray(read)] : []
    this.waitingBytes = file.length - read
  }

  /** The file is over. */
  end(): void {
    if (this.error !== null) return
    this.guarded(() => this.readEnd())
  }

  private guarded(read: () => number): number {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof Malformed)) throw error
      this.error = error.message
      return this.file.length
    }
  }

  /** @returns how much was read; `needed` bytes, from there, are to be there before the next call */
  private readOn(): number {
    let at = 0
    for (let length = 0; this.file.length - at >= this.needed; at += length) {
      if (!this.isBegun) length = this.readBeginning()
      else length = this.format === 'pcap' ? this.readRecord(at) : this.readBlockAt(at)
    }
    return at
  }

  /** Tells what is missing at the end of the file. */
  private readEnd(): number {
    const { base, waitingBytes: bytes, format } = this
    if (!this.isBegun) {
      if (base + bytes < 4) throw new Malformed('not a capture file: it has fewer than 4 bytes')
      throw new Malformed('the file ends inside its header')
    }
    if (bytes === 0) return 0
    if (format === 'pcap') throw new Malformed(`the file ends inside packet ${this.packets + 1}, at byte ${base}`)
    throw new Malformed(`the file ends inside the block at byte ${base}`)
  }

  /** The first bytes of a file, which say what it is, and of a pcap file the header. @returns how many were read */
  private readBeginning(): number {
    this.little = true
    const magic = this.u32(0)
    if (magic === PcapngBlock.Section) {
      this.format = 'pcapng'
      this.isBegun = true
      this.needed = BLOCK_HEADER
      return 0
    }
    this.little = MAGICS.has(magic)
    const swapped = this.u32(0)
    if (!MAGICS.has(swapped)) throw new Malformed(notCapture(this.file))
    this.needed = 24
    if (this.file.length < 24) return 0
    this.readHeader(swapped)
    return 24
  }

  private readHeader(magic: number): void {
    const version = this.u16(4)
    if (version !== 2) throw new Malformed(`pcap version ${version} is not known, only 2`)
    this.minor = this.u16(6)
    if (magic === PCAP_NANOSECONDS) this.unit = 1n
    if (magic === PCAP_MODIFIED) this.recordHeader = PCAP_MODIFIED_RECORD
    // The upper half of the word tells of a frame check sequence.
    this.interfaces.push({ linkType: this.u32(20) & 0xffff, snaplen: this.u32(16), name: null, description: null })
    this.isBegun = true
    this.needed = this.recordHeader
  }

  /** One packet of a pcap file. @returns its length in the file; 0 when it is not there whole */
  private readRecord(at: number): number {
    const { recordHeader: header } = this
    let captured = this.u32(at + 8)
    let originalLength = this.u32(at + 12)
    // The two were the other way round in the first versions; what wrote 2.3 did it either way.
    if (this.minor < 3 || (this.minor === 3 && captured > originalLength)) {
      ;[captured, originalLength] = [originalLength, captured]
    }
    if (captured > MOST) {
      const where = `packet ${this.packets + 1}, at byte ${this.base + at},`
      throw new Malformed(`${where} is said to have ${captured} bytes: the file is damaged there`)
    }
    this.needed = header + captured
    if (this.file.length - at < this.needed) return 0
    this.needed = header
    this.packet({
      interface: 0,
      timeNs: BigInt(this.u32(at)) * 1_000_000_000n + BigInt(this.u32(at + 4)) * this.unit,
      data: this.file.subarray(at + header, at + header + captured),
      originalLength,
      direction: null,
      comment: null,
    })
    return header + captured
  }

  private packet(packet: CapturedPacket): void {
    this.packets++
    this.onPacket(packet)
  }

  /** One block of a pcapng file. @returns its length; 0 when it is not there whole */
  private readBlockAt(at: number): number {
    if (this.u32(at) === PcapngBlock.Section) this.readByteOrder(at)
    const type = this.u32(at)
    const length = this.u32(at + 4)
    const block = `the block at byte ${this.base + at}`
    if (length < BLOCK_HEADER || (length & 3) !== 0) throw new Malformed(`${block} has the length ${length}`)
    if (length > MOST) throw new Malformed(`${block} is said to have ${length} bytes: the file is damaged there`)
    this.needed = length
    if (this.file.length - at < length) return 0
    this.needed = BLOCK_HEADER
    const again = this.u32(at + length - 4)
    if (again !== length) throw new Malformed(`${block} has the lengths ${length} and ${again}`)
    this.readBlock(type, at, at + 8, at + length - 4)
    return length
  }

  private readByteOrder(at: number): void {
    this.little = true
    if (this.u32(at + 8) === BYTE_ORDER_MAGIC) return
    this.little = false
    if (this.u32(at + 8) === BYTE_ORDER_MAGIC) return
    throw new Malformed(`the section at byte ${this.base + at} has no byte-order mark`)
  }

  /** One block whose body lies from `body` to `end`. Types that are not known are skipped. */
  private readBlock(type: number, at: number, body: number, end: number): void {
    const least = LEAST_BODY.get(type)
    if (least !== undefined && end - body < least)
      throw new Malformed(`the block at byte ${this.base + at} is too short`)
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
    if (major !== 1) throw new Malformed(`the section at byte ${this.base + at} has version ${major}, only 1 is known`)
    this.section = []
    const first = this.base + at === 0
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
      throw new Malformed(`the packet at byte ${this.base + at} is from interface ${on}, which is not described`)
    const captured = this.u32(body + 12)
    const start = body + 20
    if (captured > end - start) throw new Malformed(`the packet at byte ${this.base + at} is longer than its block`)
    let direction: 'in' | 'out' | null = null
    let comment: string | null = null
    this.eachOption(start + ((captured + 3) & ~3), end, (code, first, stop) => {
      if (code === PcapngOption.Comment) comment = (comment === null ? '' : `${comment}\n`) + this.string(first, stop)
      else if (code === PcapngOption.PacketFlags && stop - first === 4) {
        const bits = this.u32(first) & 3
        direction = bits === 1 ? 'in' : bits === 2 ? 'out' : null
      }
    })
    const units = BigInt(this.u32(body + 4)) * 0x1_0000_0000n + BigInt(this.u32(body + 8))
    this.packet({
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
    if (from === undefined) throw new Malformed(`the packet at byte ${this.base + at} comes before any interface`)
    const originalLength = this.u32(body)
    const kept = from.snaplen === 0 ? originalLength : Math.min(originalLength, from.snaplen)
    if (kept > end - body - 4) throw new Malformed(`the packet at byte ${this.base + at} is longer than its block`)
    this.packet({
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
      if (start + length > end) throw new Malformed(`the name at byte ${this.base + at} is longer than its block`)
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
      if (at + 4 + length > end) throw new Malformed(`the option at byte ${this.base + at} is longer than its block`)
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

const MAGICS: ReadonlySet<number> = new Set([PCAP_MICROSECONDS, PCAP_NANOSECONDS, PCAP_MODIFIED])

/** Kinds of file that are given for captures, by how they begin, and what makes captures of them. */
const OTHER_FILES: readonly (readonly [beginning: string, advice: string])[] = [
  ['1f8b', 'it is compressed: gunzip it first'],
  ['28b52ffd', 'it is compressed: unzstd it first'],
  ['04224d18', 'it is compressed: unlz4 it first'],
  ['fd377a58', 'it is compressed: unxz it first'],
  ['425a68', 'it is compressed: bunzip2 it first'],
  ['736e6f6f', "it is one of snoop: 'editcap -F pcapng' makes one of it that can be read"],
]

/** What is said of a file that is none. */
const notCapture = (file: Uint8Array): string => {
  const beginning = Array.from(file.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join('')
  const other = OTHER_FILES.find(([known]) => beginning.startsWith(known))
  if (other !== undefined) return `not a capture file of pcap or pcapng: ${other[1]}`
  return `not a capture file: it begins with the bytes ${beginning}, which are neither pcap's nor pcapng's`
}

/** Bytes that the fixed part of a block's body takes, by type. */
const LEAST_BODY: ReadonlyMap<number, number> = new Map<number, number>([
  [PcapngBlock.Section, 16],
  [PcapngBlock.Interface, 8],
  [PcapngBlock.Packet, 20],
  [PcapngBlock.SimplePacket, 4],
  [PcapngBlock.EnhancedPacket, 20],
])
