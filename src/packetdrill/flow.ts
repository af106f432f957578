import type { IpAddress } from '../wire/address.ts'
import type { CapturedPacket, CapturedTcp } from './packet.ts'
import type { TcpOptionSpec, TcpSpec } from './script.ts'

/** How far a flow is, as the script tells it. */
export type FlowState =
  | 'new'
  | 'listening'
  | 'connecting'
  | 'syn sent'
  | 'syn acked'
  | 'syn received'
  | 'synack sent'
  | 'synack acked'

/** There is no descriptor: not yet, or not any more. */
export const UNOPENED = -1
export const CLOSED = -2

/** Numbers modulo 2^32, unsigned. */
const wrap = (number: number): number => number >>> 0

/**
 * A flow of packets, and how the script's numbers belong to the live ones. Sequence numbers in a script count from the
 * side's initial one, but for those of SYNs, which are as they stand there for the peer's and relative to each other
 * for the host's.
 */
export class Flow {
  state: FlowState = 'new'
  readonly protocol: 'tcp' | 'udp' | 'icmp'
  /** The descriptor of its socket, `UNOPENED` or `CLOSED`. */
  fd = UNOPENED
  readonly local: IpAddress
  readonly remote: IpAddress
  localPort = 0
  remotePort = 0
  /** The host's initial sequence number: in the script, and live. */
  private scriptIsn = 0
  private liveIsn = 0
  /** The peer's, which is the same in both. */
  private remoteIsn = 0
  /** Live timestamps of the host, by what the script calls them. */
  private readonly timestamps = new Map<number, number>()
  private firstTimestamp: { script: number; live: number } | null = null
  /** The IPv6 flow label: in the script, and live. */
  flowLabel: { script: number; live: number } | null = null

  constructor(protocol: Flow['protocol'], local: IpAddress, remote: IpAddress) {
    this.protocol = protocol
    this.local = local
    this.remote = remote
  }

  /** The peer's initial sequence number is known. */
  noteRemoteIsn(seq: number): void {
    this.remoteIsn = wrap(seq)
  }

  /** What the script calls the host's initial sequence number. */
  noteScriptIsn(seq: number): void {
    this.scriptIsn = wrap(seq)
  }

  /** A SYN of the host has shown its initial sequence number. */
  noteLiveIsn(seq: number): void {
    this.liveIsn = wrap(seq)
  }

  /** Is this packet of the flow, and from the host? A SYN tells a connecting flow its port and number. */
  owns(packet: CapturedPacket): boolean {
    const { body } = packet
    if (body.protocol === 'icmp') return this.protocol === 'icmp' && packet.destination.equals(this.remote)
    if (body.protocol !== this.protocol || !packet.destination.equals(this.remote)) return false
    if (body.destinationPort !== this.remotePort) return false
    const isSyn = body.protocol === 'tcp' && body.flags.includes('S') && !body.flags.includes('.')
    const mayLearn = body.protocol === 'udp' ? this.state === 'connecting' : this.state === 'syn sent' && isSyn
    if (this.localPort === 0 && mayLearn) this.localPort = body.sourcePort
    if (body.sourcePort !== this.localPort || !packet.source.equals(this.local)) return false
    if (isSyn) this.noteLiveIsn(body.seq)
    return true
  }

  /** A segment of the script as it goes to the host. @returns null when a timestamp echo answers nothing */
  toLive(spec: TcpSpec, scaledEchoes: boolean): (Omit<TcpSpec, 'options'> & { options: TcpOptionSpec[] }) | null {
    const isSyn = spec.flags.includes('S')
    const ackOffset = isSyn ? this.liveIsn - this.scriptIsn : this.liveIsn
    const options: TcpOptionSpec[] = []
    for (const option of spec.options ?? []) {
      if (option.name === 'sack') {
        options.push({ ...option, values: option.values.map((edge) => wrap(edge + ackOffset)) })
      } else if (option.name === 'TS' && spec.flags.includes('.')) {
        const echo = this.liveTimestamp(option.values[1]!, scaledEchoes)
        if (echo === null) return null
        options.push({ ...option, values: [option.values[0]!, echo] })
      } else options.push(option)
    }
    return {
      ...spec,
      seq: wrap(spec.seq + (isSyn ? 0 : this.remoteIsn)),
      // With its flag the number counts, and is 0 where the script has none.
      ack: spec.flags.includes('.') ? wrap((spec.ack ?? 0) + ackOffset) : spec.ack,
      options,
    }
  }

  /** A sequence number of the host's that an ICMP message quotes. */
  quotedSeq(seq: number): number {
    return wrap(seq + this.liveIsn)
  }

  private liveTimestamp(script: number, scaled: boolean): number | null {
    const live = this.timestamps.get(wrap(script))
    if (live !== undefined) return live
    const first = this.firstTimestamp
    return scaled && first !== null ? wrap(script - first.script + first.live) : null
  }

  /** A live segment of the host in the script's terms. Timestamps are left as they are: see `mapTimestamp`. */
  toScript(segment: CapturedTcp): CapturedTcp {
    const isSyn = segment.flags.includes('S')
    const seqOffset = isSyn ? this.liveIsn - this.scriptIsn : this.liveIsn
    const ackOffset = isSyn ? 0 : this.remoteIsn
    const options = segment.options.map((option) =>
      option.name === 'sack' ? { ...option, values: option.values.map((edge) => wrap(edge - ackOffset)) } : option,
    )
    const hasAck = segment.flags.includes('.')
    return {
      ...segment,
      seq: wrap(segment.seq - seqOffset),
      ack: hasAck ? wrap(segment.ack - ackOffset) : segment.ack,
      options,
    }
  }

  /**
   * The host has sent the timestamp `live` where the script has `script`: later echoes of it mean this one.
   * @returns what the live value is in the script's count
   */
  mapTimestamp(script: number, live: number): number {
    this.timestamps.set(wrap(script), live)
    this.firstTimestamp ??= { script, live }
    return wrap(this.firstTimestamp.script + (live - this.firstTimestamp.live))
  }
}
