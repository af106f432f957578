import { formatAs6 } from '../../socket/address.ts'
import { IpAddress } from '../../wire/address.ts'
import { protocolName, type ServiceProtocol } from '../../wire/service-names.ts'
import { hexByte } from '../format.ts'
import { hostName, type Names, portName } from '../names.ts'
import type { IpContext } from './ip.ts'
import type { SequenceTable } from './sequence.ts'

/** What a packet is to be told as. */
export interface DissectOptions {
  /** Numbers and no names (`-n`). */
  readonly numeric: boolean
  /** The link's header too (`-e`). */
  readonly link: boolean
  /** How much more than one line of each header (`-v`, `-vv`, `-vvv`). */
  readonly verbose: number
  /** Less (`-q`). */
  readonly quiet: boolean
  /** Dump what no dissector knows: not with `-q`, nor where there is a dump anyhow. */
  readonly dumpsUnknown: boolean
  /** TCP sequence numbers as they are (`-S`). */
  readonly absolute: boolean
  /** Check checksums of what lies in IP, and of IPv4 headers; false with `-K`. */
  readonly checksums: boolean
  readonly names: Names | undefined
}

/** Dissectors that others need which they need themselves: headers nest in each other. */
export interface Dissectors {
  /** What IP carries, by its protocol. */
  readonly upper: (d: Dissection, ip: IpContext, protocol: number, at: number, length: number) => void
  /** What a frame carries, by its EtherType. @returns false when nothing can be told of it */
  readonly etherPayload: (d: Dissection, type: number, at: number, length: number) => boolean
}

/** The packet ended before what was to be read of it. Does not leave this folder. */
export class Truncated extends Error {}

/**
 * One packet on its way through the dissectors, and the text they make of it. Whatever they read of it is checked
 * against `end`; past that `Truncated` is thrown, which ends the text with the protocol that was cut short.
 */
export class Dissection {
  readonly options: DissectOptions
  readonly dissectors: Dissectors
  /** Where each TCP connection's sequence numbers began; it outlives the packet. */
  readonly sequences: SequenceTable
  readonly bytes: Uint8Array
  /** Where the bytes end that may be read: those kept of the packet, or of the packet within. */
  end: number
  /** Whose header is being read: it is named when that ends too soon. */
  protocol = ''
  /** Bytes of link-layer header, once it is read; a dump of the packet begins behind it. */
  linkHeader = 0
  text = ''
  private readonly view: DataView

  constructor(bytes: Uint8Array, options: DissectOptions, sequences: SequenceTable, dissectors: Dissectors) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.end = bytes.length
    this.options = options
    this.dissectors = dissectors
    this.sequences = sequences
  }

  put(text: string): void {
    this.text += text
  }

  /** Says that the header being read was cut short. */
  cutShort(): void {
    this.put(` [|${this.protocol}]`)
  }

  /** Says that what was read cannot be right. */
  invalid(): void {
    this.put(' (invalid)')
  }

  /** Are the `length` bytes at `at` there? */
  has(at: number, length: number): boolean {
    return at + length <= this.end
  }

  /** @throws Truncated unless the `length` bytes at `at` are there */
  need(at: number, length: number): void {
    if (at + length > this.end) throw new Truncated()
  }

  u8(at: number): number {
    this.need(at, 1)
    return this.bytes[at]!
  }

  u16(at: number): number {
    this.need(at, 2)
    return this.view.getUint16(at)
  }

  u24(at: number): number {
    this.need(at, 3)
    return (this.view.getUint16(at) << 8) | this.bytes[at + 2]!
  }

  u32(at: number): number {
    this.need(at, 4)
    return this.view.getUint32(at)
  }

  ipv4(at: number): string {
    this.need(at, 4)
    const address = `${this.bytes[at]}.${this.bytes[at + 1]}.${this.bytes[at + 2]}.${this.bytes[at + 3]}`
    return this.host(address)
  }

  ipv6(at: number): string {
    return this.host(this.ipv6Number(at))
  }

  /** An IPv6 address that is not to be told by name. */
  ipv6Number(at: number): string {
    this.need(at, 16)
    return formatIpv6(this.view, at)
  }

  private host(address: string): string {
    return this.options.numeric ? address : (hostName(this.options.names, address) ?? address)
  }

  port(port: number, protocol: ServiceProtocol): string {
    return (this.options.numeric ? undefined : portName(this.options.names, port, protocol)) ?? String(port)
  }

  /** `ip-proto-200`, or the protocol's name. */
  protocolName(protocol: number): string {
    const name = this.options.numeric ? undefined : protocolName(protocol)
    return name ?? `ip-proto-${protocol}`
  }

  /** An IPv6 address that is not a part of the packet. */
  ipv6Of(bytes: Uint8Array): string {
    return formatIpv6(new DataView(bytes.buffer, bytes.byteOffset, 16), 0)
  }

  mac(at: number): string {
    const text = this.hexBytes(at, 6, ':')
    if (this.options.numeric) return text
    if (text === 'ff:ff:ff:ff:ff:ff') return 'Broadcast'
    return `${text} (oui ${text.startsWith('00:00:00') ? 'Ethernet' : 'Unknown'})`
  }

  hexBytes(at: number, length: number, separator = ''): string {
    this.need(at, length)
    return Array.from(this.bytes.subarray(at, at + length), hexByte).join(separator)
  }

  /** Text of the packet; what is no printable character of ASCII comes as `^A`, `M-a` and the like. */
  characters(at: number, length: number): string {
    let text = ''
    for (let i = at; i < at + length; i++) text += visible(this.u8(i))
    return text
  }

  /** Runs `body` with nothing to be read past `end`. */
  within(end: number, body: () => void): void {
    const outer = this.end
    this.end = Math.min(outer, end)
    body()
    this.end = outer
  }
}

const visible = (byte: number): string => {
  const meta = byte >= 0x80 ? 'M-' : ''
  const code = byte & 0x7f
  return code >= 0x20 && code < 0x7f ? meta + String.fromCharCode(code) : `${meta}^${String.fromCharCode(code ^ 0x40)}`
}

/** As RFC 5952, with a dotted quad at the end of addresses that hold one of IPv4. */
const formatIpv6 = (view: DataView, at: number): string => {
  const word = (i: number): number => view.getInt32(at + i * 4)
  return formatAs6(new IpAddress(word(0), word(1), word(2), word(3)))
}

/** A table's entry, or `otherwise` with the value in the place of `%`. */
export const named = (table: ReadonlyMap<number, string>, value: number, otherwise: string): string =>
  table.get(value) ?? otherwise.replace('%', String(value))

/** The names of the bits set, one after another; `none` when there are none. */
export const flagNames = (
  names: readonly (readonly [bit: number, name: string])[],
  bits: number,
  between = ', ',
): string =>
  names
    .filter(([bit]) => (bits & bit) !== 0)
    .map(([, name]) => name)
    .join(between) || 'none'

/** The checksum field that would be right, for the one there and the sum over it all. */
export const rightChecksum = (field: number, sum: number): number => {
  const whole = field + sum
  return (whole & 0xffff) + (whole >>> 16)
}

/** One's complement of the one's-complement sum; 0 when it is right. Starts from `partial`. */
export const checksum = (bytes: Uint8Array, start: number, end: number, partial = 0): number => {
  let sum = partial
  for (let at = start; at + 1 < end; at += 2) sum += bytes[at]! * 0x100 + bytes[at + 1]!
  if (((end - start) & 1) !== 0) sum += bytes[end - 1]! * 0x100
  while (sum > 0xffff) sum = (sum % 0x1_0000) + Math.floor(sum / 0x1_0000)
  return ~sum & 0xffff
}
