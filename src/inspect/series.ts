import type { Micros } from '../core/clock.ts'
import type { Frame } from '../core/frame.ts'
import { seqGt, seqLeq } from '../core/seq.ts'
import type { World } from '../core/world.ts'
import type { Host } from '../host/host.ts'
import type { FrameTap, LinkPort } from '../link/port.ts'
import { INFINITE_SSTHRESH } from '../tcp/congestion/state.ts'
import { TcpConnection } from '../tcp/connection.ts'
import { Request } from '../tcp/request.ts'
import { DecodedFrame, decodeFrame } from '../wire/decode.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { packetOwner } from './packet.ts'

/** Time-sequence data: what passed one end of a connection, segment by segment, and what that end knew at the time. */

/**
 * A segment that passed, and the state of the connection as it did. One that arrived has had no effect yet, but for
 * what its acknowledgment and its window do to `inFlight`, `sendQ` and `sendWindow`.
 */
export interface SeriesSample {
  /** World time, microseconds. */
  readonly at: Micros
  readonly direction: 'out' | 'in'
  /** As tcpdump writes them: `P.` */
  readonly flags: string
  /** Sequence number, from the ISN of the side that sent the segment: 1 is its first byte. */
  readonly seq: number
  /** Bytes of data. */
  readonly length: number
  /** Acknowledgment number, from the ISN of the other side; null without ACK. */
  readonly ack: number | null
  /** The window that the segment announces, bytes, scaled up. */
  readonly window: number
  /** SACK blocks: left and right edges, counted as `ack`. */
  readonly sacks: readonly (readonly [number, number])[]
  /** Congestion window and slow-start threshold, bytes; the threshold is null until it is set. */
  readonly cwnd: number
  readonly ssthresh: number | null
  /** Bytes of sequence space sent and not acknowledged, with this segment. */
  readonly inFlight: number
  /** The peer's window as known here (SND.WND), bytes. */
  readonly sendWindow: number
  readonly sendQ: number
  readonly recvQ: number
  /** Smoothed round-trip time, 0 before the first measurement, and retransmission time-out, microseconds. */
  readonly srtt: Micros
  readonly rto: Micros
}

/** The series of one end of a connection: what `netglass lab --series` writes. */
export interface ConnectionSeries {
  readonly version: 1
  readonly host: string
  readonly local: string
  readonly remote: string
  readonly samples: SeriesSample[]
}

/** Records the connections of hosts at their ports. */
export class SeriesRecorder {
  /** In the order of their first segments. */
  readonly series: ConnectionSeries[] = []
  private readonly world: World
  private readonly decoded = new DecodedFrame()
  private readonly byConnection = new Map<TcpConnection, ConnectionSeries>()

  constructor(world: World) {
    this.world = world
  }

  /** Records from now on what passes a port. @param host who is plugged in there; asked each time, for hosts restart */
  watch(host: () => Host | undefined, port: LinkPort): void {
    const tap: FrameTap = { frame: (frame, outgoing) => this.take(host(), frame, outgoing, port) }
    port.taps.push(tap)
  }

  private take(host: Host | undefined, frame: Frame, outgoing: boolean, port: LinkPort): void {
    const { decoded, world } = this
    decodeFrame(decoded, world.memory, frame.start, frame.end, port.features.medium)
    if (host === undefined || decoded.layer !== 'tcp') return
    const iface = host.ip.interfaces.find((candidate) => candidate.port === port)
    if (iface === undefined) return
    const entry = packetOwner(host, decoded, outgoing, iface)
    const c = entry instanceof Request ? entry.connection : entry
    if (c instanceof TcpConnection) this.seriesOf(c, host).samples.push(this.sample(c, outgoing))
  }

  private seriesOf(c: TcpConnection, host: Host): ConnectionSeries {
    let series = this.byConnection.get(c)
    if (series === undefined) {
      const [local, remote] = [`${c.local}:${c.localPort}`, `${c.remote}:${c.remotePort}`]
      series = { version: 1, host: host.name, local, remote, samples: [] }
      this.byConnection.set(c, series)
      this.series.push(series)
    }
    return series
  }

  private sample(c: TcpConnection, outgoing: boolean): SeriesSample {
    const { tcp, payloadStart, payloadEnd } = this.decoded
    const { snd, rcv, cc, rtt } = c
    const isSyn = (tcp.flags & TcpFlag.Syn) !== 0
    // A peer's ISN is not known before its SYN has been taken in.
    const peerIsn = !outgoing && isSyn ? tcp.seq : rcv.irs
    const [here, there] = outgoing ? [snd.iss, peerIsn] : [peerIsn, snd.iss]
    const scale = isSyn ? 0 : outgoing ? rcv.wndScale : snd.wndScale
    const acknowledged = outgoing || (tcp.flags & TcpFlag.Ack) === 0 ? 0 : newlyAcknowledged(c, tcp.ack)
    const length = payloadEnd - payloadStart
    const end = tcp.seq + length + Number(isSyn) + Number((tcp.flags & TcpFlag.Fin) !== 0)
    const sacks = Array.from(
      { length: tcp.sackCount },
      (_, i) => [(tcp.sack[i * 2]! - there) >>> 0, (tcp.sack[i * 2 + 1]! - there) >>> 0] as const,
    )
    return {
      at: this.world.loop.now,
      direction: outgoing ? 'out' : 'in',
      flags: flagLetters(tcp.flags),
      seq: (tcp.seq - here) >>> 0,
      length,
      ack: (tcp.flags & TcpFlag.Ack) === 0 ? null : (tcp.ack - there) >>> 0,
      window: tcp.window * 2 ** scale,
      sacks,
      cwnd: cc.cwnd * snd.mss,
      ssthresh: cc.ssthresh >= INFINITE_SSTHRESH ? null : cc.ssthresh * snd.mss,
      inFlight: Math.max(((snd.nxt - snd.una) | 0) - acknowledged, outgoing ? (end - snd.una) | 0 : 0, 0),
      sendWindow: outgoing ? snd.wnd : tcp.window * 2 ** scale,
      sendQ: Math.max(0, (c.sendRing?.length ?? 0) - acknowledged),
      recvQ: c.receiveRing?.length ?? 0,
      srtt: rtt.srtt,
      rto: rtt.rto,
    }
  }
}

/** Bytes of sequence space that an ACK acknowledges for the first time; 0 for one of what was never sent. */
const newlyAcknowledged = ({ snd }: TcpConnection, ack: number): number =>
  seqGt(ack, snd.una) && seqLeq(ack, snd.nxt) ? (ack - snd.una) | 0 : 0

/** Bytes of data that an end has sent, without what it sent again. */
const bytesSent = ({ samples }: ConnectionSeries): number =>
  samples.reduce((most, { direction, seq, length }) => (direction === 'out' ? Math.max(most, seq + length) : most), 0)

/**
 * The two ends of a connection, of the one that carried most unless
 * given: the sender's and, if recorded, the receiver's.
 */
export const busiest = (
  all: readonly ConnectionSeries[],
  chosen: ConnectionSeries | null = null,
): { sender: ConnectionSeries; receiver: ConnectionSeries | null } | null => {
  if (all.length === 0) return null
  const sender = chosen ?? all.reduce((best, series) => (bytesSent(series) > bytesSent(best) ? series : best))
  const receiver = all.find(({ local, remote }) => local === sender.remote && remote === sender.local) ?? null
  return { sender, receiver }
}

/** The letters of tcpdump for flags, from the lowest bit. */
const LETTERS = ['F', 'S', 'R', 'P', '.', 'U', 'E', 'W', 'e'] as const

const flagLetters = (flags: number): string => LETTERS.filter((_, bit) => (flags & (1 << bit)) !== 0).join('')

const COLUMNS = [
  'time_s',
  'direction',
  'flags',
  'seq',
  'length',
  'ack',
  'window',
  'cwnd',
  'ssthresh',
  'in_flight',
  'send_window',
  'sendq',
  'recvq',
  'srtt_ms',
  'rto_ms',
  'sacks',
] as const

/** A series as CSV (RFC 4180): a line of names, then a line for each segment. What is not known is left empty. */
export const seriesCsv = ({ samples }: ConnectionSeries): string => {
  const rows = samples.map((s) => [
    (s.at / 1e6).toFixed(6),
    s.direction,
    s.flags,
    s.seq,
    s.length,
    s.ack ?? '',
    s.window,
    s.cwnd,
    s.ssthresh ?? '',
    s.inFlight,
    s.sendWindow,
    s.sendQ,
    s.recvQ,
    (s.srtt / 1000).toFixed(3),
    (s.rto / 1000).toFixed(3),
    s.sacks.map(([from, to]) => `${from}-${to}`).join(' '),
  ])
  return `${[COLUMNS, ...rows].map((row) => row.join(',')).join('\r\n')}\r\n`
}
