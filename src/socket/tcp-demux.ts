import { type Frame, FrameChecksum } from '../core/frame.ts'
import type { Random } from '../core/random.ts'
import { addressHash } from '../ip/address-map.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { IcmpError, TransportProtocol } from '../ip/protocol.ts'
import type { IpStack } from '../ip/stack.ts'
import { TcpConnection } from '../tcp/connection.ts'
import { destroyConnection } from '../tcp/finish.ts'
import { receiveIcmpError } from '../tcp/icmp.ts'
import { receiveSegment, Verdict } from '../tcp/input.ts'
import { type QueueLimits, TcpLayer } from '../tcp/layer.ts'
import type { TcpListener } from '../tcp/listener.ts'
import { checkMd5 } from '../tcp/md5.ts'
import { type ReplyMarks, replyReset } from '../tcp/reply.ts'
import { Request } from '../tcp/request.ts'
import type { Segment } from '../tcp/segment.ts'
import type { TcpSettings } from '../tcp/settings.ts'
import { TimeWait, TimeWaitVerdict } from '../tcp/time-wait.ts'
import { type TupleEntry, TupleKind } from '../tcp/tuple.ts'
import { foldSum, sumBytes } from '../wire/checksum.ts'
import { Drop } from '../wire/drop.ts'
import { type IpHeader, IpProtocol } from '../wire/ip.ts'
import { parseTcp } from '../wire/tcp.ts'
import { type Claimant, ListenerTable } from './listener-table.ts'
import { TupleTable } from './tuple-table.ts'

/** A listener and what it claims. */
export interface ListenerClaim extends Claimant {
  readonly listener: TcpListener
}

/**
 * Who gets a TCP segment: first the pair of endpoints, then the listeners; a RST when nobody does
 * (RFC 9293 section 3.10.7).
 */
export class TcpDemux implements TransportProtocol {
  readonly table: TupleTable
  readonly listeners: ListenerTable<ListenerClaim>
  readonly layer: TcpLayer
  private readonly ip: IpStack
  /** Which of several listeners with SO_REUSEPORT gets whom is no stranger's choice. */
  private readonly seed: number

  constructor(ip: IpStack, settings: TcpSettings, limits: QueueLimits, random: Random) {
    this.ip = ip
    this.table = new TupleTable(random.next32())
    this.listeners = new ListenerTable(random.next32())
    this.seed = random.next32()
    this.layer = new TcpLayer(ip.world, ip, this.table, settings, limits, random)
    ip.register(IpProtocol.Tcp, this)
  }

  receive(header: IpHeader, frame: Frame, from: NetworkInterface): void {
    const { layer, ip } = this
    const { segment } = layer
    const { mib } = ip
    const { memory } = ip.world
    mib.tcp.InSegs++
    const malformed = parseTcp(segment, memory, header.payloadStart, header.payloadEnd)
    if (malformed !== 0) {
      mib.tcp.InErrs++
      layer.drop(frame, malformed)
      return
    }
    const hash = this.table.prepare(header, segment.sourcePort, segment.destinationPort)
    if (frame.checksum === FrameChecksum.Unverified) {
      const { payloadStart, payloadEnd } = header
      const pseudo = header.pseudoSum(IpProtocol.Tcp, payloadEnd - payloadStart)
      if (foldSum(pseudo + sumBytes(memory, payloadStart, payloadEnd)) !== 0xffff) {
        mib.tcp.InErrs++
        mib.tcp.InCsumErrors++
        layer.drop(frame, Drop['tcp-checksum'])
        return
      }
    }
    // A segment to a group is no segment (RFC 9293 section 3.9.2.3, MUST-57).
    if (ip.arrival !== 'unicast') {
      layer.drop(frame, Drop['tcp-bad-address'])
      return
    }
    segment.complete(header, frame.segmentSize)
    const verdict = this.dispatch(hash, segment, header, from)
    if (verdict === Verdict.Reset) replyReset(layer, segment, header, from)
    else if (verdict > 0) mib.drops[verdict]!++
    layer.release(frame)
  }

  /** @returns `Verdict.Done`, `Verdict.Reset`, or why the segment was dropped */
  private dispatch(hash: number, segment: Segment, header: IpHeader, from: NetworkInterface): number {
    const entry = this.table.find(header, segment.sourcePort, segment.destinationPort, from, hash)
    let old: TimeWait | null = null
    if (entry !== null) {
      if (entry.kind === TupleKind.Connection) {
        const c = entry as TcpConnection
        if (header.hopLimit < c.options.minHopLimit) return this.tooFar()
        return this.checkMd5(c.options, segment, header) || receiveSegment(c, segment)
      }
      if (entry.kind === TupleKind.Request) {
        const request = entry as Request
        return this.checkMd5(request.connection.options, segment, header) || request.receive(segment)
      }
      old = entry as TimeWait
      const refusal = this.checkMd5(old, segment, header)
      if (refusal !== 0) return refusal
      const verdict = old.receive(segment)
      if (verdict !== TimeWaitVerdict.Reopen) return verdict
    }
    const { source0, source1, source2, source3 } = header
    const flow = addressHash(
      source0,
      source1,
      source2,
      source3,
      (segment.sourcePort << 16) | segment.destinationPort,
      this.seed,
    )
    const claim = this.listeners.find(header, segment.destinationPort, from, flow)
    if (claim !== null) {
      if (header.hopLimit < claim.listener.inherited.options.minHopLimit) return this.tooFar()
      const refusal = this.checkMd5(claim.listener.inherited.options, segment, header)
      if (refusal !== 0) return refusal
      old?.end()
      return claim.listener.receive(segment, header, from)
    }
    if (old !== null) {
      // Nobody listens any more: for TIME_WAIT the SYN is a segment out of window like any other.
      old.acknowledge(segment)
      return Drop['tcp-time-wait']
    }
    this.ip.mib.drops[Drop['tcp-no-socket']]!++
    return Verdict.Reset
  }

  /**
   * A segment, or an error about one, has passed more routers than the socket admits (RFC 5082).
   * @returns why it is dropped
   */
  private tooFar(): number {
    this.ip.mib.tcpExt.TCPMinTTLDrop++
    return Drop['tcp-min-ttl']
  }

  /** Is the segment signed as it must be? @returns 0, or why it is dropped */
  private checkMd5(marks: ReplyMarks, segment: Segment, header: IpHeader): number {
    if (marks.md5Keys.length === 0 && segment.md5At < 0) return 0
    return checkMd5(this.layer, marks.md5Keys, segment, header)
  }

  icmpError(error: IcmpError): void {
    const { memory } = this.ip.world
    const { quoted, transportStart, transportEnd } = error
    if (transportEnd - transportStart < 8) return
    const sourcePort = memory.view.getUint16(transportStart)
    const destinationPort = memory.view.getUint16(transportStart + 2)
    const seq = memory.view.getInt32(transportStart + 4)
    const entry = this.table.findQuoted(quoted, sourcePort, destinationPort)
    if (entry === null) {
      const { icmp, icmp6 } = this.ip.mib
      if (error.version === 4) icmp.InErrors++
      else icmp6.InErrors++
      return
    }
    if (entry instanceof TcpConnection) {
      // As on Linux: over IPv4 what is left to the quoted packet counts, over IPv6 to the error itself.
      const { hopLimit } = error.version === 4 ? quoted : this.ip.rx
      if (hopLimit < entry.options.minHopLimit) this.tooFar()
      else receiveIcmpError(entry, error, seq)
    } else if (entry instanceof Request) entry.receiveIcmpError(error, seq)
  }

  /** Throws a structure away without a word to its peer. */
  discard(entry: TupleEntry): void {
    if (entry instanceof TcpConnection) {
      entry.observer = null
      entry.listener = null
      destroyConnection(entry)
    } else if (entry instanceof Request) entry.drop()
    else if (entry instanceof TimeWait) entry.end()
  }
}
