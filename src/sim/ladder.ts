import type { Micros } from '../core/clock.ts'
import type { Frame } from '../core/frame.ts'
import type { World } from '../core/world.ts'
import type { Cable } from '../link/cable.ts'
import type { Channel } from '../link/channel.ts'
import type { FrameTap, LinkPort } from '../link/port.ts'
import { formatMac } from '../wire/address.ts'
import { DecodedFrame, decodeFrame } from '../wire/decode.ts'
import { dropName } from '../wire/drop.ts'
import { IpProtocol } from '../wire/ip.ts'
import { TcpFlag, type TcpHeader } from '../wire/tcp.ts'

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
  private readonly directions: { readonly channel: Channel; readonly open: Set<LadderEntry> }[] = []
  /** Hosts without power. */
  private readonly dark = new Set<string>()
  /** Neighbour discovery and such are left out unless asked for. */
  private readonly everything: boolean

  constructor(world: World, everything: boolean) {
    this.world = world
    this.everything = everything
  }

  /**
   * Watches both ends of a link, of which one is plugged into what is called `nameA` and the other into `nameB`.
   * @param cable what lies between, when `settle` is to know what was lost there
   */
  watch(nameA: string, a: LinkPort, nameB: string, b: LinkPort, cable: Cable | null = null): void {
    const ends = [new End(this, nameA, nameB, a), new End(this, nameB, nameA, b)] as const
    a.taps.push(ends[0])
    b.taps.push(ends[1])
    if (cable === null) return
    this.directions.push({ channel: cable.aToB, open: ends[0].track() }, { channel: cable.bToA, open: ends[1].track() })
  }

  /** Marks as lost what has not arrived and is on no channel any more. */
  settle(): void {
    for (const { channel, open } of this.directions) {
      if (channel.inFlight > 0) continue
      for (const entry of open) if (entry.arrived === null) entry.lost = true
      open.clear()
    }
  }

  /** A host has no power from now on, or has it again: what comes to it is lost. */
  setPower(host: string, on: boolean): void {
    if (on) this.dark.delete(host)
    else this.dark.add(host)
  }

  /** A frame leaves. @returns what was noted of it; null when nothing was */
  sent(frame: Frame, from: string, to: string, medium: 'ethernet' | 'ip'): LadderEntry | null {
    const text = this.describe(frame, medium)
    if (text === null) return null
    const entry: LadderEntry = { at: this.world.loop.now, from, to, arrived: null, lost: false, text }
    this.underway.set(frame, entry)
    this.entries.push(entry)
    return entry
  }

  /** A frame arrives: perhaps a copy, which nobody saw leave. */
  received(frame: Frame, from: string, to: string, medium: 'ethernet' | 'ip'): void {
    const entry = this.underway.get(frame)
    if (entry !== undefined && entry.arrived === null) {
      if (this.dark.has(to)) entry.lost = true
      else entry.arrived = this.world.loop.now
      return
    }
    const text = this.describe(frame, medium)
    if (text === null) return
    const at = this.world.loop.now
    this.entries.push({ at, from, to, arrived: at, lost: false, text: `${text}, once more` })
  }

  /** What was noted of a frame that is on its way. */
  entryOf(frame: Frame): LadderEntry | undefined {
    return this.underway.get(frame)
  }

  /** One line about a frame; null for what is left out. */
  describe(frame: Frame, medium: 'ethernet' | 'ip'): string | null {
    const { decoded } = this
    const trusted = frame.checksum !== 0
    const reason = decodeFrame(decoded, this.world.memory, frame.start, frame.end, medium)
    if (reason !== 0 && !trusted) return `damaged: ${dropName(reason)}`
    switch (decoded.layer) {
      case 'tcp':
        return this.describeTcp(decoded)
      case 'udp': {
        const { udp, ip } = decoded
        return `UDP ${ip.source}:${udp.sourcePort} > ${ip.destination}:${udp.destinationPort}, ${decoded.payloadEnd - decoded.payloadStart} bytes`
      }
      case 'icmp':
        return `ICMP type ${decoded.icmp.type}, code ${decoded.icmp.code}`
      case 'icmpv6':
        return `ICMPv6 type ${decoded.icmpv6.type}, code ${decoded.icmpv6.code}`
      case 'arp':
        return this.everything ? `ARP, from ${formatMac(decoded.arp.senderMac)}` : null
      case 'ip':
        return decoded.ip.protocol === IpProtocol.Tcp || this.everything ? `IP protocol ${decoded.ip.protocol}` : null
      default:
        return this.everything ? decoded.layer : null
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
    const seq = (tcp.seq - isn) | 0
    const words = [flagNames(tcp.flags), length > 0 ? `seq ${seq}:${seq + length} (${length})` : `seq ${seq}`]
    if ((tcp.flags & TcpFlag.Ack) !== 0) words.push(`ack ${(tcp.ack - peerIsn) | 0}`)
    if ((tcp.flags & TcpFlag.Rst) === 0) words.push(`win ${tcp.window}`)
    const options = optionNames(tcp, peerIsn)
    if (options !== '') words.push(`<${options}>`)
    return words.join(' ')
  }
}

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

/** The options but time stamps, which are the same in every segment. */
const optionNames = (tcp: TcpHeader, peerIsn: number): string => {
  const names: string[] = []
  if (tcp.mss > 0) names.push(`mss ${tcp.mss}`)
  if (tcp.sackPermitted) names.push('sackOK')
  if (tcp.windowScale >= 0) names.push(`wscale ${tcp.windowScale}`)
  if ((tcp.flags & TcpFlag.Syn) !== 0 && tcp.hasTimestamps) names.push('TS')
  for (let i = 0; i < tcp.sackCount; i++) {
    names.push(`sack ${(tcp.sack[i * 2]! - peerIsn) | 0}:${(tcp.sack[i * 2 + 1]! - peerIsn) | 0}`)
  }
  return names.join(',')
}

class End implements FrameTap {
  private readonly ladder: Ladder
  private readonly here: string
  private readonly there: string
  private readonly medium: LinkPort['features']['medium']
  /** What left here since the channel was last seen empty; null when nobody asks. */
  private open: Set<LadderEntry> | null = null

  constructor(ladder: Ladder, here: string, there: string, port: LinkPort) {
    this.ladder = ladder
    this.here = here
    this.there = there
    this.medium = port.features.medium
  }

  /** Keeps from now on what leaves here. @returns where */
  track(): Set<LadderEntry> {
    this.open ??= new Set()
    return this.open
  }

  frame(frame: Frame, outgoing: boolean): void {
    if (!outgoing) {
      this.ladder.received(frame, this.there, this.here, this.medium)
      return
    }
    const entry = this.ladder.sent(frame, this.here, this.there, this.medium)
    if (entry !== null) this.open?.add(entry)
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
