import type { Micros } from '../core/clock.ts'
import type { Bytes } from '../core/memory.ts'
import type { IpAddress, MacAddress } from '../wire/address.ts'

/** The pcapng file format (draft-ietf-opsawg-pcapng): its numbers, and a writer. Everything is little-endian here. */

/** Types of blocks. */
export const PcapngBlock = {
  Interface: 1,
  /** The packet block of old files. */
  Packet: 2,
  SimplePacket: 3,
  Names: 4,
  Statistics: 5,
  EnhancedPacket: 6,
  /** Reads the same in either byte order. */
  Section: 0x0a0d_0d0a,
} as const

/** Codes of options; those from 2 on mean something else in each type of block. */
export const PcapngOption = {
  End: 0,
  Comment: 1,
  SectionHardware: 2,
  SectionOs: 3,
  SectionApplication: 4,
  InterfaceName: 2,
  InterfaceDescription: 3,
  InterfaceMac: 6,
  InterfaceSpeed: 8,
  InterfaceResolution: 9,
  InterfaceTimeOffset: 14,
  PacketFlags: 2,
  StatisticsStart: 2,
  StatisticsEnd: 3,
  StatisticsReceived: 4,
  StatisticsDropped: 5,
  StatisticsDelivered: 8,
} as const

export const BYTE_ORDER_MAGIC = 0x1a2b_3c4d

/** Kinds of link-layer header (tcpdump.org, "Link-layer header types"). */
export const LinkType = {
  /** BSD's loopback: packets behind an address family in the byte order of the machine. */
  Null: 0,
  Ethernet: 1,
  /** `Raw` as BSD's own number for it, which some programs write. */
  RawBsd: 12,
  /** Bare IPv4 or IPv6 packets. */
  Raw: 101,
  /** OpenBSD's loopback: the family in network order. */
  Loop: 108,
  /** Packets of any device of Linux (`-i any`), behind a header made up; and its second version. */
  Cooked: 113,
  Ipv4: 228,
  Ipv6: 229,
  Cooked2: 276,
} as const

/** Records of a name resolution block. */
export const NameRecord = { End: 0, Ipv4: 1, Ipv6: 2 } as const

/** What the head of the file says. */
export interface PcapngOptions {
  /** Wall-clock time of world time 0, microseconds since 1970: `Clock.epoch`. */
  readonly epoch: Micros
  /** What the section header says of the machine, the system and the program. */
  readonly hardware?: string
  readonly os?: string
  readonly application?: string
  /** The unit of all times in the file: nanoseconds unless given. */
  readonly resolution?: 'ns' | 'us'
}

/** What the file says of one interface. */
export interface PcapngInterface {
  readonly name: string
  readonly description?: string
  /** One of `LinkType`. */
  readonly linkType: number
  /** The most bytes kept of a packet; 0: all. */
  readonly snaplen?: number
  readonly mac?: MacAddress
  /** Bits per second. */
  readonly speed?: number
}

/** A packet of another capture. */
export interface CopiedPacket {
  /** Nanoseconds since 1970. */
  readonly timeNs: bigint
  readonly data: Uint8Array
  readonly originalLength: number
  readonly direction: 'in' | 'out' | null
  readonly comment: string | null
}

/** What an interface counted, for its statistics block. */
export interface PcapngCounts {
  /** World times at which the capture began and ended. */
  readonly start: Micros
  readonly end: Micros
  /** Packets that came by, that were not kept, and that are in the file. */
  readonly received: number
  readonly dropped: number
  readonly delivered: number
}

/** Buffers handed to the sink are about this large. */
const CHUNK = 0x1_0000
const INBOUND = 1
const OUTBOUND = 2
const MAX_OPTION = 0xffff

const encoder = new TextEncoder()

/**
 * Writes a pcapng file of one section, block by block, to a sink. Chunks given to the sink are the sink's to keep; they
 * end between blocks, so that a file cut off after any of them is whole.
 */
export class PcapngWriter {
  private readonly sink: (chunk: Uint8Array) => void
  private readonly epoch: Micros
  private readonly nanoseconds: boolean
  private buffer: Bytes = zeroBytes(CHUNK)
  private used = 0
  /** Where the block begins that is being written. */
  private block = 0
  private interfaces = 0

  constructor(sink: (chunk: Uint8Array) => void, options: PcapngOptions) {
    this.sink = sink
    this.epoch = options.epoch
    this.nanoseconds = options.resolution !== 'us'
    this.begin(PcapngBlock.Section, 16 + textRoom(options.hardware, options.os, options.application))
    this.u32(BYTE_ORDER_MAGIC)
    this.u16(1)
    this.u16(0)
    // The section's length is not known: -1.
    this.u32(0xffff_ffff)
    this.u32(0xffff_ffff)
    this.text(PcapngOption.SectionHardware, options.hardware)
    this.text(PcapngOption.SectionOs, options.os)
    this.text(PcapngOption.SectionApplication, options.application)
    this.end()
  }

  /** Describes an interface. @returns its number, for `packet` */
  addInterface(description: PcapngInterface): number {
    this.begin(PcapngBlock.Interface, 48 + textRoom(description.name, description.description))
    this.u16(description.linkType)
    this.u16(0)
    this.u32(description.snaplen ?? 0)
    this.text(PcapngOption.InterfaceName, description.name)
    this.text(PcapngOption.InterfaceDescription, description.description)
    if (description.mac !== undefined) {
      this.option(PcapngOption.InterfaceMac, 6)
      for (let shift = 40; shift >= 0; shift -= 8) this.u8(Math.floor(description.mac / 2 ** shift) & 0xff)
      this.pad()
    }
    if (description.speed !== undefined) {
      this.option(PcapngOption.InterfaceSpeed, 8)
      this.u32(description.speed >>> 0)
      this.u32(Math.floor(description.speed / 0x1_0000_0000))
    }
    this.option(PcapngOption.InterfaceResolution, 1)
    this.u8(this.nanoseconds ? 9 : 6)
    this.pad()
    this.end()
    return this.interfaces++
  }

  /**
   * Writes a packet whose `captured` bytes lie at `start` of `source`.
   * @param time world time
   * @param original bytes that the packet had
   * @param comment a remark on the packet, or null
   * @returns where in `bytes` the packet's bytes lie now: they may be changed until the next call
   */
  packet(
    on: number,
    time: Micros,
    source: Uint8Array,
    start: number,
    captured: number,
    original: number,
    outgoing: boolean,
    comment: string | null,
  ): number {
    const remark = comment === null ? undefined : comment
    this.begin(PcapngBlock.EnhancedPacket, 20 + captured + 3 + 8 + textRoom(remark))
    this.u32(on)
    this.time(time)
    return this.rest(source, start, captured, original, outgoing ? OUTBOUND : INBOUND, remark)
  }

  /** Writes a packet of another capture as it is there, to the nanosecond. Times before 1970 become 1970. */
  copy(on: number, packet: CopiedPacket): void {
    const { timeNs, data, originalLength, direction } = packet
    const remark = packet.comment ?? undefined
    this.begin(PcapngBlock.EnhancedPacket, 20 + data.length + 3 + 8 + textRoom(remark))
    this.u32(on)
    const units = timeNs < 0n ? 0n : this.nanoseconds ? timeNs : timeNs / 1000n
    this.u32(Number((units >> 32n) & 0xffff_ffffn))
    this.u32(Number(units & 0xffff_ffffn))
    const flags = direction === null ? null : direction === 'out' ? OUTBOUND : INBOUND
    this.rest(data, 0, data.length, originalLength, flags, remark)
  }

  /** What comes behind the time in an enhanced packet block. @returns where the packet's bytes lie */
  private rest(
    source: Uint8Array,
    start: number,
    captured: number,
    original: number,
    flags: number | null,
    remark: string | undefined,
  ): number {
    this.u32(captured)
    this.u32(original)
    const at = this.used
    this.buffer.u8.set(source.subarray(start, start + captured), at)
    this.used += captured
    this.pad()
    if (flags !== null) {
      this.option(PcapngOption.PacketFlags, 4)
      this.u32(flags)
    }
    this.text(PcapngOption.Comment, remark)
    this.end()
    return at
  }

  /** The buffer into which `packet` wrote last. */
  get bytes(): Bytes {
    return this.buffer
  }

  /** Writes names of addresses, for readers that show them. */
  names(entries: Iterable<readonly [address: IpAddress, name: string]>): void {
    const records: { address: IpAddress; name: Uint8Array }[] = []
    let bytes = 4
    for (const [address, text] of entries) {
      const name = utf8(text, MAX_OPTION - 17)
      records.push({ address, name })
      bytes += 4 + 16 + name.length + 1 + 3
    }
    this.begin(PcapngBlock.Names, bytes)
    for (const { address, name } of records) {
      const v4 = address.isIpv4
      this.u16(v4 ? NameRecord.Ipv4 : NameRecord.Ipv6)
      this.u16((v4 ? 4 : 16) + name.length + 1)
      if (!v4) for (const word of [address.w0, address.w1, address.w2]) this.bigEndian(word)
      this.bigEndian(address.w3)
      this.raw(name)
      this.u8(0)
      this.pad()
    }
    this.u32(NameRecord.End)
    this.end()
  }

  /** Writes an interface's counters, at the end of the capture. */
  statistics(on: number, counts: PcapngCounts): void {
    this.begin(PcapngBlock.Statistics, 80)
    this.u32(on)
    this.time(counts.end)
    this.option(PcapngOption.StatisticsStart, 8)
    this.time(counts.start)
    this.option(PcapngOption.StatisticsEnd, 8)
    this.time(counts.end)
    this.counter(PcapngOption.StatisticsReceived, counts.received)
    this.counter(PcapngOption.StatisticsDropped, counts.dropped)
    this.counter(PcapngOption.StatisticsDelivered, counts.delivered)
    this.end()
  }

  /** Hands what is buffered to the sink. */
  flush(): void {
    if (this.used === 0) return
    const { u8 } = this.buffer
    const used = this.used
    this.used = 0
    if (used < u8.length / 2) this.sink(u8.slice(0, used))
    else {
      this.buffer = zeroBytes(CHUNK)
      this.sink(u8.subarray(0, used))
    }
  }

  /** Starts a block whose body takes at most `room` bytes. */
  private begin(type: number, room: number): void {
    const needed = room + 20
    if (this.used + needed > this.buffer.u8.length) this.flush()
    if (needed > this.buffer.u8.length) this.buffer = zeroBytes((needed + 3) & ~3)
    this.block = this.used
    this.u32(type)
    this.u32(0)
  }

  /** Ends the block: closes its options where there may be some, and writes its length at both ends. */
  private end(): void {
    const { view } = this.buffer
    if (view.getUint32(this.block, true) !== PcapngBlock.Names) this.u32(PcapngOption.End)
    const length = this.used + 4 - this.block
    this.u32(length)
    view.setUint32(this.block + 4, length, true)
  }

  /** A time since 1970 as 64 bits, the upper half first, in the file's unit. */
  private time(time: Micros): void {
    // Whole microseconds and the rest apart: their sum would not fit a double to the nanosecond.
    const whole = Math.floor(this.epoch) + Math.floor(time)
    const rest = Math.floor(((this.epoch % 1) + (time % 1)) * 1000 + 0.5)
    const scale = this.nanoseconds ? 1000 : 1
    const upper = Math.floor(whole / 0x1_0000_0000)
    const low = (whole - upper * 0x1_0000_0000) * scale + (this.nanoseconds ? rest : Math.floor(rest / 1000))
    const carry = Math.floor(low / 0x1_0000_0000)
    this.u32(upper * scale + carry)
    this.u32(low - carry * 0x1_0000_0000)
  }

  private counter(code: number, value: number): void {
    this.option(code, 8)
    this.u32(value >>> 0)
    this.u32(Math.floor(value / 0x1_0000_0000))
  }

  private option(code: number, length: number): void {
    this.u16(code)
    this.u16(length)
  }

  private text(code: number, text: string | undefined): void {
    if (text === undefined) return
    const bytes = utf8(text, MAX_OPTION)
    this.option(code, bytes.length)
    this.raw(bytes)
    this.pad()
  }

  private raw(bytes: Uint8Array): void {
    this.buffer.u8.set(bytes, this.used)
    this.used += bytes.length
  }

  /** Fills up with zeros to a whole word. Blocks begin on one. */
  private pad(): void {
    while ((this.used & 3) !== 0) this.u8(0)
  }

  private u8(value: number): void {
    this.buffer.u8[this.used++] = value
  }

  private u16(value: number): void {
    this.buffer.view.setUint16(this.used, value, true)
    this.used += 2
  }

  private u32(value: number): void {
    this.buffer.view.setUint32(this.used, value, true)
    this.used += 4
  }

  private bigEndian(word: number): void {
    this.buffer.view.setInt32(this.used, word)
    this.used += 4
  }
}

/** @param size a multiple of four */
const zeroBytes = (size: number): Bytes => {
  const buffer = new ArrayBuffer(size)
  return { u8: new Uint8Array(buffer), u32: new Uint32Array(buffer), view: new DataView(buffer), kernels: null }
}

/** The text's bytes, cut before the character that would go beyond `most` of them. */
const utf8 = (text: string, most: number): Uint8Array => {
  const bytes = encoder.encode(text)
  if (bytes.length <= most) return bytes
  let end = most
  while ((bytes[end]! & 0xc0) === 0x80) end--
  return bytes.subarray(0, end)
}

/** Bytes that options with these texts take at most: three for each UTF-16 unit, a header and padding. */
const textRoom = (...texts: (string | undefined)[]): number =>
  texts.reduce((sum, text) => sum + (text === undefined ? 0 : Math.min(text.length * 3, MAX_OPTION) + 8), 0)
