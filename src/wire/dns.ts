import { IpAddress, ipv4 } from './address.ts'

/** Messages of the domain name system (RFC 1035; AAAA: RFC 3596; SRV: RFC 2782). */

/** Types of records. */
export const DnsType = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  ANY: 255,
} as const

/** Response codes. */
export const DnsCode = { NoError: 0, FormErr: 1, ServFail: 2, NxDomain: 3, NotImp: 4, Refused: 5 } as const

export const DNS_PORT = 53
/** The most bytes of a message over UDP. */
export const DNS_UDP_LIMIT = 512
const CLASS_IN = 1
const HEADER = 12
const TRUNCATED = 0x0200
/** Of a name and of one of its labels, bytes. */
const NAME_LIMIT = 255
const LABEL_LIMIT = 63

/** What is asked. */
export interface DnsQuestion {
  /** Without the last dot; '' is the root. */
  readonly name: string
  readonly type: number
  /** Unless it is that of the Internet. */
  readonly class?: number
}

/**
 * What a record says: an address; a name (CNAME, NS, PTR); texts; a structure; the bytes of a type that is not known.
 */
export type DnsData = IpAddress | string | readonly string[] | DnsMx | DnsSrv | DnsSoa | Uint8Array

/** A mail exchange (RFC 1035 section 3.3.9). */
export interface DnsMx {
  readonly preference: number
  readonly exchange: string
}

/** A server of a service (RFC 2782). */
export interface DnsSrv {
  readonly priority: number
  readonly weight: number
  readonly port: number
  readonly target: string
}

/** The start of a zone (RFC 1035 section 3.3.13). */
export interface DnsSoa {
  readonly server: string
  readonly mailbox: string
  /** Serial, refresh, retry, expire and minimum: seconds but the first. */
  readonly numbers: readonly [number, number, number, number, number]
}

/** A resource record. */
export interface DnsRecord {
  readonly name: string
  readonly type: number
  /** Seconds. */
  readonly ttl: number
  readonly data: DnsData
}

/** A query or an answer. */
export interface DnsMessage {
  readonly id: number
  readonly isResponse: boolean
  readonly opcode: number
  readonly isAuthoritative: boolean
  readonly isTruncated: boolean
  readonly wantsRecursion: boolean
  readonly hasRecursion: boolean
  readonly code: number
  readonly questions: readonly DnsQuestion[]
  readonly answers: readonly DnsRecord[]
  readonly authorities: readonly DnsRecord[]
}

/** A question of a resolver, which asks for recursion. */
export const dnsQuery = (id: number, name: string, type: number): DnsMessage => ({
  id,
  isResponse: false,
  opcode: 0,
  isAuthoritative: false,
  isTruncated: false,
  wantsRecursion: true,
  hasRecursion: false,
  code: DnsCode.NoError,
  questions: [{ name, type }],
  answers: [],
  authorities: [],
})

/** Can it be asked for: are its labels 1 to 63 bytes, and all together 255 at most? */
export const isDnsName = (name: string): boolean => {
  if (name === '') return true
  const labels = labelsOf(name)
  const size = labels.reduce((sum, { length }) => sum + length + 1, 1)
  return size <= NAME_LIMIT && labels.every(({ length }) => length > 0 && length <= LABEL_LIMIT)
}

/** Names are compared without the case of ASCII (RFC 4343). */
export const sameName = (a: string, b: string): boolean => nameKey(a) === nameKey(b)

const nameKey = (name: string): string => {
  // What is no printable ASCII may be written in two ways.
  const plain = /^[\x21-\x5b\x5d-\x7e]*$/.test(name) ? name : labelsOf(name).map(escaped).join('.')
  return plain.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

/** Can a host have the name: letters, digits, hyphens and underscores, and no hyphen first (res_hnok(3))? */
export const isHostName = (name: string): boolean => isDnsName(name.replace(/\.$/, '')) && /^(?!-)[\w.-]*$/.test(name)

/** The name under which an address is looked up (RFC 1035 section 3.5, RFC 3596 section 2.5). */
export const reverseName = ({ isIpv4, w0, w1, w2, w3 }: IpAddress): string => {
  if (isIpv4) return `${[0, 8, 16, 24].map((shift) => (w3 >>> shift) & 0xff).join('.')}.in-addr.arpa`
  const digits = [w0, w1, w2, w3].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
  return `${[...digits].reverse().join('.')}.ip6.arpa`
}

// Reading.

/**
 * Reads a message. Of records only those of the Internet's class are given; of a message that says that it is
 * truncated, those that are there whole.
 * @returns null for what is none: cut off, or with names that lead nowhere
 */
export const parseDns = (bytes: Uint8Array): DnsMessage | null => {
  const reader = new DnsReader(bytes)
  const id = reader.u16()
  const flags = reader.u16()
  const counts = [reader.u16(), reader.u16(), reader.u16(), reader.u16()]
  const questions: DnsQuestion[] = []
  const sections: DnsRecord[][] = [[], []]
  for (let i = 0; i < counts[0]! && reader.ok; i++) {
    const name = reader.name()
    const type = reader.u16()
    const of = reader.u16()
    questions.push(of === CLASS_IN ? { name, type } : { name, type, class: of })
  }
  if (!reader.ok) return null
  sections.forEach((section, index) => {
    for (let i = 0; i < counts[index + 1]! && reader.ok; i++) {
      const record = reader.record()
      if (reader.ok && record !== null) section.push(record)
    }
  })
  if (!reader.ok && (flags & TRUNCATED) === 0) return null
  return {
    id,
    isResponse: (flags & 0x8000) !== 0,
    opcode: (flags >>> 11) & 0xf,
    isAuthoritative: (flags & 0x0400) !== 0,
    isTruncated: (flags & TRUNCATED) !== 0,
    wantsRecursion: (flags & 0x0100) !== 0,
    hasRecursion: (flags & 0x0080) !== 0,
    code: flags & 0xf,
    questions,
    answers: sections[0]!,
    authorities: sections[1]!,
  }
}

/** Takes a message apart. What lies beyond its end is 0, and `ok` tells. */
class DnsReader {
  ok = true
  private readonly bytes: Uint8Array
  private at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  u8(): number {
    if (this.at >= this.bytes.length) this.ok = false
    return this.bytes[this.at++] ?? 0
  }

  u16(): number {
    return this.u8() * 0x100 + this.u8()
  }

  u32(): number {
    return this.u16() * 0x1_0000 + this.u16()
  }

  /** A name, which may go on at an earlier place (RFC 1035 section 4.1.4): each such place lies before the last one. */
  name(): string {
    const labels: string[] = []
    let size = 1
    let lowest = this.at
    let resume = -1
    for (;;) {
      const length = this.u8()
      if (!this.ok || length === 0) break
      if (length >= 0xc0) {
        const target = (length & 0x3f) * 0x100 + this.u8()
        if (target >= lowest) {
          this.ok = false
          break
        }
        if (resume < 0) resume = this.at
        lowest = target
        this.at = target
        continue
      }
      size += length + 1
      if (length > LABEL_LIMIT || size > NAME_LIMIT || this.at + length > this.bytes.length) {
        this.ok = false
        break
      }
      labels.push(escaped(this.bytes.subarray(this.at, this.at + length)))
      this.at += length
    }
    if (resume >= 0) this.at = resume
    return labels.join('.')
  }

  /** @returns null for one of another class */
  record(): DnsRecord | null {
    const name = this.name()
    const type = this.u16()
    const of = this.u16()
    const ttl = this.u32()
    const length = this.u16()
    const end = this.at + length
    if (end > this.bytes.length) this.ok = false
    if (of !== CLASS_IN) {
      this.at = end
      return null
    }
    const data = this.data(type, end)
    if (this.at !== end) this.ok = false
    return { name, type, ttl, data }
  }

  private data(type: number, end: number): DnsData {
    switch (type) {
      case DnsType.A:
        return ipv4(this.u32())
      case DnsType.AAAA:
        return new IpAddress(this.u32() | 0, this.u32() | 0, this.u32() | 0, this.u32() | 0)
      case DnsType.NS:
      case DnsType.CNAME:
      case DnsType.PTR:
        return this.name()
      case DnsType.MX:
        return { preference: this.u16(), exchange: this.name() }
      case DnsType.SRV:
        return { priority: this.u16(), weight: this.u16(), port: this.u16(), target: this.name() }
      case DnsType.SOA:
        return {
          server: this.name(),
          mailbox: this.name(),
          numbers: [this.u32(), this.u32(), this.u32(), this.u32(), this.u32()],
        }
      case DnsType.TXT:
        return this.texts(end)
      default:
        return this.rest(end)
    }
  }

  private texts(end: number): string[] {
    const texts: string[] = []
    while (this.ok && this.at < end) {
      const length = this.u8()
      texts.push(latin1(this.bytes.subarray(this.at, this.at + length)))
      this.at += length
    }
    return texts
  }

  private rest(end: number): Uint8Array {
    const bytes = this.bytes.slice(this.at, end)
    this.at = end
    return bytes
  }
}

/**
 * A label as text (RFC 1035 section 5.1, RFC 4343 section 2.1): no
 * byte of it passes for a dot, and none controls a terminal.
 */
const escaped = (bytes: Uint8Array): string => {
  let text = ''
  for (const byte of bytes) {
    const character = String.fromCharCode(byte)
    if (byte <= 0x20 || byte >= 0x7f) text += `\\${String(byte).padStart(3, '0')}`
    else text += character === '.' || character === '\\' ? `\\${character}` : character
  }
  return text
}

/** The labels of a name, byte by byte: what `escaped` has made text; what is no ASCII as UTF-8. */
const labelsOf = (name: string): Uint8Array[] => {
  const labels: Uint8Array[] = []
  let label: number[] = []
  for (const [part, decimal, character] of name.matchAll(/\\([0-9]{3})|\\?([\s\S])/gu)) {
    if (part === '.') {
      labels.push(Uint8Array.from(label))
      label = []
    } else if (decimal === undefined) label.push(...encoder.encode(character))
    else label.push(Number(decimal) & 0xff)
  }
  labels.push(Uint8Array.from(label))
  return labels
}

const encoder = new TextEncoder()

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes)

// Writing.

/**
 * Writes a message, names in their short form.
 * @param limit bytes; what does not fit is left out, record by record, and the message says that it is truncated
 */
export const writeDns = (message: DnsMessage, limit = 65_535): Uint8Array => {
  const writer = new DnsWriter()
  for (let i = 0; i < HEADER; i++) writer.u8(0)
  for (const { name, type, class: of = CLASS_IN } of message.questions) {
    writer.name(name)
    writer.u16(type)
    writer.u16(of)
  }
  const counts = [0, 0]
  let isCut = false
  ;[message.answers, message.authorities].forEach((section, index) => {
    for (const record of section) {
      const before = writer.bytes.length
      if (isCut) break
      writer.record(record)
      if (writer.bytes.length > limit) {
        writer.bytes.length = before
        isCut = true
      } else counts[index]!++
    }
  })
  const bytes = Uint8Array.from(writer.bytes)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, message.id)
  view.setUint16(2, flagsOf(message) | (isCut || message.isTruncated ? TRUNCATED : 0))
  view.setUint16(4, message.questions.length)
  view.setUint16(6, counts[0]!)
  view.setUint16(8, counts[1]!)
  return bytes
}

const flagsOf = (message: DnsMessage): number =>
  (message.isResponse ? 0x8000 : 0) |
  (message.opcode << 11) |
  (message.isAuthoritative ? 0x0400 : 0) |
  (message.wantsRecursion ? 0x0100 : 0) |
  (message.hasRecursion ? 0x0080 : 0) |
  message.code

class DnsWriter {
  readonly bytes: number[] = []
  /** Where names begin that were written already. */
  private readonly places = new Map<string, number>()

  u8(value: number): void {
    this.bytes.push(value & 0xff)
  }

  u16(value: number): void {
    this.u8(value >>> 8)
    this.u8(value)
  }

  u32(value: number): void {
    this.u16(value >>> 16)
    this.u16(value)
  }

  /** A name: as soon as the rest of it stands earlier in the message, it refers to that. */
  name(name: string): void {
    const labels = name === '' ? [] : labelsOf(name)
    for (const [index, label] of labels.entries()) {
      const key = nameKey(labels.slice(index).map(escaped).join('.'))
      const known = this.places.get(key)
      if (known !== undefined && known < this.bytes.length) {
        this.u16(0xc000 | known)
        return
      }
      if (this.bytes.length < 0x4000) this.places.set(key, this.bytes.length)
      this.u8(label.length)
      for (const byte of label) this.u8(byte)
    }
    this.u8(0)
  }

  /** A length, and so many bytes. */
  text(text: string): void {
    this.u8(text.length)
    for (let i = 0; i < text.length; i++) this.u8(text.charCodeAt(i))
  }

  record({ name, type, ttl, data }: DnsRecord): void {
    this.name(name)
    this.u16(type)
    this.u16(CLASS_IN)
    this.u32(ttl)
    const at = this.bytes.length
    this.u16(0)
    this.data(type, data)
    const length = this.bytes.length - at - 2
    this.bytes[at] = length >>> 8
    this.bytes[at + 1] = length & 0xff
  }

  private data(type: number, data: DnsData): void {
    if (data instanceof IpAddress) {
      const words = type === DnsType.A ? [data.w3] : [data.w0, data.w1, data.w2, data.w3]
      for (const word of words) this.u32(word)
    } else if (data instanceof Uint8Array) for (const byte of data) this.u8(byte)
    else if (typeof data === 'string') this.name(data)
    else if ('exchange' in data) {
      this.u16(data.preference)
      this.name(data.exchange)
    } else if ('target' in data) {
      for (const number of [data.priority, data.weight, data.port]) this.u16(number)
      this.name(data.target)
    } else if ('mailbox' in data) {
      this.name(data.server)
      this.name(data.mailbox)
      for (const number of data.numbers) this.u32(number)
    } else for (const text of data) this.text(text)
  }
}
