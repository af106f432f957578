import type { Frame } from '../core/frame.ts'
import type { World } from '../core/world.ts'
import type { Host } from '../host/host.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { FrameTap } from '../link/port.ts'
import { formatMac } from '../wire/address.ts'
import { DecodedFrame, decodeFrame } from '../wire/decode.ts'
import { dropName } from '../wire/drop.ts'
import { IpProtocol } from '../wire/ip.ts'
import { TcpFlag, type TcpHeader } from '../wire/tcp.ts'
import type { LadderEntry } from './report.ts'

/** Records what passes the links of a network, each packet once, with when it left and when it arrived. */
export class Ladder {
  readonly entries: LadderEntry[] = []
  private readonly world: World
  private readonly decoded = new DecodedFrame()
  /** The entry of each frame on its way. A frame that is used again gets a new one. */
  private readonly underway = new WeakMap<Frame, LadderEntry>()
  /** Initial sequence numbers, by direction of a connection. */
  private readonly firsts = new Map<string, number>()
  /** Neighbour discovery and such are left out unless asked for. */
  private readonly everything: boolean

  constructor(world: World, everything: boolean) {
    this.world = world
    this.everything = everything
  }

  /** Watches both ends of a link. */
  watch(hostA: Host, a: NetworkInterface, hostB: Host, b: NetworkInterface): void {
    a.port.taps.push(new End(this, hostA.name, hostB.name, a))
    b.port.taps.push(new End(this, hostB.name, hostA.name, b))
  }

  /** A frame leaves. */
  sent(frame: Frame, from: string, to: string, medium: 'ethernet' | 'ip'): void {
    const text = this.describe(frame, medium)
    if (text === null) return
    const entry: LadderEntry = { at: this.world.loop.now, from, to, arrived: null, lost: false, text }
    this.underway.set(frame, entry)
    this.entries.push(entry)
  }

  /** A frame arrives: perhaps a copy, which nobody saw leave. */
  received(frame: Frame, from: string, to: string, medium: 'ethernet' | 'ip'): void {
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
  private readonly iface: NetworkInterface

  constructor(ladder: Ladder, here: string, there: string, iface: NetworkInterface) {
    this.ladder = ladder
    this.here = here
    this.there = there
    this.iface = iface
  }

  frame(frame: Frame, outgoing: boolean): void {
    const { medium } = this.iface.port.features
    if (outgoing) this.ladder.sent(frame, this.here, this.there, medium)
    else this.ladder.received(frame, this.there, this.here, medium)
  }
}
