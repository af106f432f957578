import { clockTime, dateOfDay, twoDigits } from '../core/calendar.ts'
import { Dissection, type DissectOptions, type Dissectors, Truncated } from './dissect/dissection.ts'
import { ascii, hex, hexAndAscii } from './dissect/dump.ts'
import { putEtherPayload } from './dissect/ethernet.ts'
import { LINK_NAMES, putLink } from './dissect/link.ts'
import { SequenceTable } from './dissect/sequence.ts'
import { putUpperLayer } from './dissect/upper.ts'
import type { Names } from './names.ts'
import { parseOptions, UsageError } from './options.ts'
import { compileFilter, type PacketFilter } from './tcpdump-filter.ts'

/** tcpdump(8): a line for each packet, `tcpdump -n -r FILE tcp port 80`. */

/** What there is to print of a packet. */
export interface DumpedPacket {
  /** One of `LinkType`, or another. */
  readonly linkType: number
  /** Nanoseconds since 1970. */
  readonly timeNs: bigint
  /** The bytes kept, and how many there were. */
  readonly data: Uint8Array
  readonly originalLength: number
}

/** A command line of tcpdump. */
export interface TcpdumpCommand extends DissectOptions {
  /** How often -t was given: 1 no time, 2 seconds, 3 since the line before, 4 with the date, 5 since the first. */
  readonly times: number
  readonly nanoseconds: boolean
  /** -x, -X: once for what lies in the link's frame, twice for all of it; -A: text. */
  readonly hex: number
  readonly hexAndText: number
  readonly text: number
  /** -# */
  readonly numbered: boolean
  /** -c: packets after which to end; 0 for none. */
  readonly count: number
  /** -s: bytes to keep of a packet. */
  readonly snaplen: number
  readonly interface: string | null
  /** -r and -w. */
  readonly readFrom: string | null
  readonly writeTo: string | null
  /** --print: lines although there is -w. */
  readonly alsoPrint: boolean
  readonly expression: string
}

const SPEC = {
  short: 'Abc:DeF:i:KlnNOpqr:s:StuUvw:xX#h',
  long: {
    'interface:': 'i',
    number: '#',
    nano: 'nano',
    micro: 'micro',
    print: 'print',
    'snapshot-length:': 's',
    'absolute-tcp-sequence-numbers': 'S',
    'dont-verify-checksums': 'K',
    'no-promiscuous-mode': 'p',
    'packet-buffered': 'U',
    help: 'h',
  },
} as const

/** Of its options, what is here. */
export const TCPDUMP_USAGE =
  'Usage: tcpdump [-AeKlnqStuUvxX#] [ -c count ] [ -i interface ] [ -r file ] [ -s snaplen ] [ -w file ] [ expression ]'
const MAX_SNAPLEN = 262_144

/** Reads a command line. @throws UsageError, in one line, for one that makes no sense */
export const parseTcpdump = (args: readonly string[], names?: Names): TcpdumpCommand => {
  const { options, operands } = parseOptions('tcpdump', SPEC, args, true)
  const times = (name: string): number => options.filter((option) => option.name === name).length
  const value = (name: string): string | null => options.findLast((option) => option.name === name)?.value ?? null
  if (times('h') > 0) throw new UsageError(TCPDUMP_USAGE)
  const number = (name: string, what: string, least: number): number => {
    const text = value(name)
    if (text === null) return 0
    if (!/^[0-9]+$/.test(text) || Number(text) < least) throw new UsageError(`tcpdump: invalid ${what} ${text}`)
    return Number(text)
  }
  return {
    numeric: times('n') > 0,
    link: times('e') > 0,
    verbose: times('v'),
    quiet: times('q') > 0,
    dumpsUnknown: times('q') + times('x') + times('X') === 0,
    absolute: times('S') > 0,
    checksums: times('K') === 0,
    names,
    times: times('t'),
    nanoseconds: times('nano') > 0,
    hex: times('x'),
    hexAndText: times('X'),
    text: times('A'),
    numbered: times('#') > 0,
    count: number('c', 'packet count', 1),
    snaplen: number('s', 'snaplen', 0) || MAX_SNAPLEN,
    interface: value('i'),
    readFrom: value('r'),
    writeTo: value('w'),
    alsoPrint: times('print') > 0,
    expression: operands.join(' '),
  }
}

/** What is said of where packets come from: `link-type EN10MB (Ethernet), snapshot length 262144 bytes`. */
export const describeLink = (linkType: number, snaplen: number): string => {
  const [name, title] = LINK_NAMES.get(linkType) ?? [String(linkType), 'unknown']
  return `link-type ${name} (${title}), snapshot length ${snaplen}`
}

const NS = 1_000_000_000n

const DISSECTORS: Dissectors = { upper: putUpperLayer, etherPayload: putEtherPayload }

/** Prints packets, one after another: sequence numbers count from the first that was seen of a connection. */
export class TcpdumpPrinter {
  private readonly command: TcpdumpCommand
  private readonly filter: PacketFilter
  private readonly sequences = new SequenceTable()
  /** Seconds by which local time is ahead of UTC at a time, seconds since 1970. */
  private readonly offset: (seconds: number) => number
  private first: bigint | null = null
  private previous: bigint | null = null
  private shown = 0

  /** @throws UsageError for an expression that is none */
  constructor(command: TcpdumpCommand, offset: (seconds: number) => number = () => 0) {
    this.command = command
    this.filter = compileFilter(command.expression)
    this.offset = offset
  }

  /** How many packets the expression was true of. */
  get count(): number {
    return this.shown
  }

  /** Have as many packets come as were asked for? */
  get isDone(): boolean {
    return this.command.count > 0 && this.shown >= this.command.count
  }

  /** Is a packet one that is asked for? Then it counts. */
  matches(packet: DumpedPacket): boolean {
    if (!this.filter(packet.data, packet.originalLength, packet.linkType)) return false
    this.shown++
    return true
  }

  /** The packet's lines, with the line's end. */
  print(packet: DumpedPacket): string {
    const { command } = this
    if (packet.data.length === 0) {
      return `[Invalid header: caplen==0${packet.originalLength === 0 ? ', len==0' : ''}]\n`
    }
    const number = command.numbered ? `${String(this.shown).padStart(5)}  ` : ''
    const d = new Dissection(packet.data, command, this.sequences, DISSECTORS)
    try {
      putLink(d, packet.linkType, packet.originalLength)
    } catch (error) {
      if (!(error instanceof Truncated)) throw error
      d.cutShort()
    }
    return `${number}${this.timeText(packet.timeNs)}${d.text}${this.dump(packet.data, d.linkHeader)}\n`
  }

  private dump(data: Uint8Array, linkHeader: number): string {
    const { hex: plain, hexAndText, text } = this.command
    const part = (times: number): Uint8Array => (times > 1 ? data : data.subarray(linkHeader))
    if (hexAndText > 0) return hexAndAscii(part(hexAndText), '\n\t')
    if (plain > 0) return hex(part(plain), '\n\t')
    return text > 0 ? ascii(part(text)) : ''
  }

  private timeText(timeNs: bigint): string {
    const { times } = this.command
    const since = times === 3 ? this.previous : this.first
    this.first ??= timeNs
    this.previous = timeNs
    switch (times) {
      case 1:
        return ''
      case 2:
        return `${wholeSeconds(timeNs)}${this.fraction(timeNs)} `
      case 3:
      case 5:
        return `${this.span(timeNs - (since ?? timeNs))} `
      default: {
        const seconds = Number(wholeSeconds(timeNs))
        const local = seconds + this.offset(seconds)
        const date = times === 4 ? `${dateText(Math.floor(local / 86_400))} ` : ''
        return `${date}${clockTime(((local % 86_400) + 86_400) % 86_400)}${this.fraction(timeNs)} `
      }
    }
  }

  private span(ns: bigint): string {
    const length = ns < 0n ? -ns : ns
    return `${ns < 0n ? '-' : ' '}${clockTime(Number(length / NS))}${this.fraction(length)}`
  }

  /** Digits behind the point. */
  private fraction(timeNs: bigint): string {
    const digits = String(timeNs - wholeSeconds(timeNs) * NS).padStart(9, '0')
    return `.${this.command.nanoseconds ? digits : digits.slice(0, 6)}`
  }
}

/** Rounded down: a file may set a clock before 1970. */
const wholeSeconds = (timeNs: bigint): bigint => (timeNs < 0n ? (timeNs - NS + 1n) / NS : timeNs / NS)

/** A day since 1970 as a date: `2026-11-22`. */
const dateText = (days: number): string => {
  const { year, month, day } = dateOfDay(days)
  return `${year}-${twoDigits(month)}-${twoDigits(day)}`
}
