import type { Micros } from '../core/clock.ts'
import type { Frame } from '../core/frame.ts'
import type { World } from '../core/world.ts'
import type { Cable } from '../link/cable.ts'
import type { FrameTap, LinkPort } from '../link/port.ts'
import { formatMac, ipv4 } from '../wire/address.ts'
import { ArpOperation, type ArpPacket } from '../wire/arp.ts'
import { DecodedFrame, decodeFrame } from '../wire/decode.ts'
import { dropName } from '../wire/drop.ts'
import { TcpFlag, type TcpHeader } from '../wire/tcp.ts'
import { datagramName } from '../wire/udp.ts'
import { icmpText, icmpv6Text, otherText } from './ladder-icmp.ts'

/** What a TCP segment says, in numbers; sequence numbers count from the initial ones. */
export interface LadderSegment {
  /** `SYN+ACK`. */
  readonly flags: string
  readonly sourcePort: number
  readonly destinationPort: number
  readonly seq: number
  /** Bytes of data. */
  readonly length: number
  /** null without the flag ACK. */
  readonly ack: number | null
  /** The field as it is, not scaled. */
  readonly window: number
  readonly mss?: number
  readonly windowScale?: number
  readonly sack?: readonly (readonly [from: number, to: number])[]
}

/** A packet on a link. */
export interface LadderEntry {
  readonly at: Micros
  readonly from: string
  readonly to: string
  /** When it arrived; null when it has not, or never will. */
  arrived: Micros | null
  /** It was taken off the wire. */
  lost: boolean
  readonly text: string
  /** What it says, when it is a TCP segment. */
  readonly tcp?: LadderSegment
}

/** Records what passes the links of a network, each packet once, with when it left and when it arrived. */
export class Ladder {
  readonly entries: LadderEntry[] = []
  private readonly world: World
  private readonly decoded = new DecodedFrame()
  /** The entry of each frame on its way. A frame that is used again gets a new one. */
  private readonly underway = new WeakMap<Frame, LadderEntry>()
  /** Initial sequence numbers, by direction of a connection. */
  private readonly firsts = new Map<string, number>()
  /** What the segment described last says; null when it was none. */
  private tcp: LadderSegment | null = null
  /** Is ARP shown too? Neighbour discovery and group reports never are. */
  private readonly arp: boolean
  private ended = false

  constructor(world: World, options: { readonly arp?: boolean } = {}) {
    this.world = world
    this.arp = options.arp ?? false
  }

  /** Watches a cable, of which one end is plugged into what is called `nameA` and the other into `nameB`. */
  watch(nameA: string, nameB: string, cable: Cable): void {
    cable.a.taps.push(new End(this, nameA, nameB, cable.a))
    cable.b.taps.push(new End(this, nameB, nameA, cable.b))
    for (const channel of [cable.aToB, cable.bToA]) channel.dropTaps.push((frame) => this.lost(frame))
  }

  /** Leaves everything as it is: what happens from now on is not recorded. */
  end(): void {
    this.ended = true
  }

  /** A frame leaves. */
  sent(frame: Frame, from: string, to: string, medium: 'ethernet' | 'ip'): void {
    if (this.ended) return
    const text = this.describe(frame, medium)
    if (text === null) return
    const { tcp } = this
    const base = { at: this.world.loop.now, from, to, arrived: null, lost: false, text }
    const entry: LadderEntry = tcp === null ? base : { ...base, tcp }
    this.underway.set(frame, entry)
    this.entries.push(entry)
  }

  /** A frame is lost: on the way, or where it has arrived and nobody hears it. */
  lost(frame: Frame): void {
    if (this.ended) return
    const entry = this.underway.get(frame)
    this.underway.delete(frame)
    // What had arrived before stands: the frame was used again, and went nowhere.
    if (entry === undefined || (entry.arrived !== null && entry.arrived !== this.world.loop.now)) return
    entry.arrived = null
    entry.lost = true
  }

  /** A frame arrives: perhaps a copy, which nobody saw leave. */
  received(frame: Frame, from: string, to: string, medium: 'ethernet' | 'ip'): void {
    if (this.ended) return
    const entry = this.underway.get(frame)
    if (entry !== undefined && entry.arrived === null) {
      entry.arrived = this.world.loop.now
      return
    }
    const text = this.describe(frame, medium)
    if (text === null) return
    const at = this.world.loop.now
    this.entries.push({ at, from, to, arrived: at, lost: false, text: `${text}, once more` })
  }

  /** One line about a frame; null for what is left out. */
  describe(frame: Frame, medium: 'ethernet' | 'ip'): string | null {
    const { decoded } = this
    this.tcp = null
    const trusted = frame.checksum !== 0
    const reason = decodeFrame(decoded, this.world.memory, frame.start, frame.end, medium)
    if (reason !== 0 && !trusted) return `damaged: ${dropName(reason)}`
    switch (decoded.layer) {
      case 'tcp':
        return this.describeTcp(decoded)
      case 'udp': {
        const { udp, ip } = decoded
        const bytes = decoded.payloadEnd - decoded.payloadStart
        const ends = `${ip.source}:${udp.sourcePort} > ${ip.destination}:${udp.destinationPort}`
        return `${datagramName(udp)} ${ends}, ${bytes} ${bytes === 1 ? 'byte' : 'bytes'}`
      }
      case 'icmp':
        return icmpText(decoded.icmp)
      case 'icmpv6':
        return icmpv6Text(decoded.icmpv6)
      case 'arp':
        return this.arp ? arpText(decoded.arp) : null
      case 'ip':
        return otherText(decoded.ip, decoded.payloadEnd - decoded.payloadStart)
      default:
        return null
    }
  }

  private describeTcp(decoded: DecodedFrame): string {
    const { tcp, ip } = decoded
    const here = `${ip.source}:${tcp.sourcePort}`
    const there = `${ip.destination}:${tcp.destinationPort}`
    const forward = `${here} > ${there}`
    if ((tcp.flags & TcpFlag.Syn) !== 0) this.firsts.set(forward, tcp.seq)
    const isn = this.firsts.get(forward) ?? tcp.seq
    const peerIsn = this.firsts.get(`${there} > ${here}`) ?? tcp.ack
    const length = decoded.payloadEnd - decoded.payloadStart
    this.tcp = segmentOf(tcp, isn, peerIsn, length)
    const { seq, ack, flags } = this.tcp
    const words = [flags, length > 0 ? `seq ${seq}:${seq + length} (${length})` : `seq ${seq}`]
    if (ack !== null) words.push(`ack ${ack}`)
    if ((tcp.flags & TcpFlag.Rst) === 0) words.push(`win ${tcp.window}`)
    const options = optionNames(tcp, this.tcp)
    if (options !== '') words.push(`<${options}>`)
    return words.join(' ')
  }
}

const arpText = ({ operation, senderIp, senderMac, targetIp }: ArpPacket): string =>
  operation === ArpOperation.Request
    ? `ARP who has ${ipv4(targetIp)}? tell ${ipv4(senderIp)}`
    : `ARP ${ipv4(senderIp)} is at ${formatMac(senderMac)}`

/** The flags as people say them: `SYN+ACK`. */
const flagNames = (flags: number): string => {
  const names: string[] = []
  if ((flags & TcpFlag.Syn) !== 0) names.push('SYN')
  if ((flags & TcpFlag.Fin) !== 0) names.push('FIN')
  if ((flags & TcpFlag.Rst) !== 0) names.push('RST')
  if ((flags & TcpFlag.Psh) !== 0) names.push('PSH')
  if ((flags & TcpFlag.Urg) !== 0) names.push('URG')
  if ((flags & TcpFlag.Ack) !== 0) names.push('ACK')
  if ((flags & TcpFlag.Ece) !== 0) names.push('ECE')
  if ((flags & TcpFlag.Cwr) !== 0) names.push('CWR')
  return names.length === 0 ? 'no flags' : names.join('+')
}

const segmentOf = (tcp: TcpHeader, isn: number, peerIsn: number, length: number): LadderSegment => {
  const sack = Array.from({ length: tcp.sackCount }, (_, i): [number, number] => [
    (tcp.sack[i * 2]! - peerIsn) | 0,
    (tcp.sack[i * 2 + 1]! - peerIsn) | 0,
  ])
  return {
    flags: flagNames(tcp.flags),
    sourcePort: tcp.sourcePort,
    destinationPort: tcp.destinationPort,
    seq: (tcp.seq - isn) | 0,
    length,
    ack: (tcp.flags & TcpFlag.Ack) === 0 ? null : (tcp.ack - peerIsn) | 0,
    window: tcp.window,
    ...(tcp.mss > 0 ? { mss: tcp.mss } : {}),
    ...(tcp.windowScale >= 0 ? { windowScale: tcp.windowScale } : {}),
    ...(sack.length > 0 ? { sack } : {}),
  }
}

/** The options but time stamps, which are the same in every segment. */
const optionNames = (tcp: TcpHeader, { mss, windowScale, sack = [] }: LadderSegment): string => {
  const names: string[] = []
  if (mss !== undefined) names.push(`mss ${mss}`)
  if (tcp.sackPermitted) names.push('sackOK')
  if (windowScale !== undefined) names.push(`wscale ${windowScale}`)
  if ((tcp.flags & TcpFlag.Syn) !== 0 && tcp.hasTimestamps) names.push('TS')
  for (const [from, to] of sack) names.push(`sack ${from}:${to}`)
  return names.join(',')
}

class End implements FrameTap {
  private readonly ladder: Ladder
  private readonly here: string
  private readonly there: string
  private readonly medium: LinkPort['features']['medium']

  constructor(ladder: Ladder, here: string, there: string, port: LinkPort) {
    this.ladder = ladder
    this.here = here
    this.there = there
    this.medium = port.features.medium
  }

  frame(frame: Frame, outgoing: boolean): void {
    if (outgoing) this.ladder.sent(frame, this.here, this.there, this.medium)
    else this.ladder.received(frame, this.there, this.here, this.medium)
  }
}

/** How lines of a ladder are written. */
export interface LadderStyle {
  /** ASCII only. */
  readonly ascii?: boolean
  /** Columns for who sends to whom: `ladderWidth` of all the lines that stand together. */
  readonly width: number
}

/** Columns of an arrow with its blanks, and two more. */
const ARROW = 7
const NARROWEST = 24
const TEXT_WIDTH = 56

/** The columns that names and arrow take in these lines. */
export const ladderWidth = (entries: Iterable<LadderEntry>): number => {
  let width = NARROWEST
  for (const { from, to } of entries) width = Math.max(width, from.length + to.length + ARROW)
  return width
}

/** A packet as one line: when it left, who sent it to whom, what it was, and what became of it. */
export const ladderLine = (entry: LadderEntry, { ascii = false, width }: LadderStyle): string => {
  const { at, from, to, arrived, lost, text } = entry
  const arrow = ascii ? (lost ? '--x' : '-->') : lost ? '──✗' : '──▶'
  const fate = lost ? 'lost' : arrived === null ? 'on its way' : `arrived ${milliseconds(arrived).trim()}`
  return `${milliseconds(at)}  ${`${from} ${arrow} ${to}`.padEnd(width)}${text.padEnd(TEXT_WIDTH)} ${fate}`
}

/** A time as ladders show it: in milliseconds, after some minutes in seconds, with as many columns. */
export const milliseconds = (at: Micros): string =>
  at < 300e6 ? `${(at / 1000).toFixed(3).padStart(10)} ms` : `${(at / 1e6).toFixed(3).padStart(10)} s `
