import { MILLISECOND, type Micros } from '../core/clock.ts'
import { seqGt, seqLt } from '../core/seq.ts'
import { Timer, type TimerOwner } from '../core/timer.ts'
import { Drop } from '../wire/drop.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { PAWS_DAYS } from './ack.ts'
import { Feature, type TcpConnection } from './connection.ts'
import { finishConnection } from './finish.ts'
import type { TcpLayer } from './layer.ts'
import type { Md5Key } from './md5.ts'
import { replySegment } from './reply.ts'
import { isInWindow, isLikelyData, type Segment } from './segment.ts'
import { TcpState } from './state.ts'
import { TupleEntry, TupleKind } from './tuple.ts'
import { MAX_UNSCALED, openWindow } from './window.ts'

/** What a segment in TIME_WAIT leads to, beside `Drop`'s reasons. */
export const TimeWaitVerdict = {
  Done: 0,
  Reset: -1,
  /**
   * A new connection may take the place of the old one: give the SYN, with `segment.reopenSequence`, to a listener,
   * after `end`; or, if there is none, to `acknowledge`.
   */
  Reopen: -4,
} as const

/** How long RFC 7323 lets a RST with an old time stamp count, seconds. */
const PAWS_MSL = 60
/** How far beyond the old connection's last sequence number a new one begins. */
const REOPEN_DISTANCE = 65_537

/**
 * What is left of a connection whose end both sides have agreed to: it answers the peer's FIN if that comes again, and
 * keeps old segments out of a new connection between the same endpoints (RFC 9293 section 3.6.1 and 3.10.7.4). It holds
 * no descriptor and no queue. An orphan in FIN_WAIT_2 is kept in the same form, until the peer's FIN comes.
 */
export class TimeWait extends TupleEntry implements TimerOwner {
  /** TimeWait or FinWait2: what netstat shows. */
  state: number
  readonly layer: TcpLayer
  readonly timer = new Timer(this, 0)
  private rcvNxt: number
  private readonly sndNxt: number
  private readonly enteredAt: Micros
  private readonly window: number
  private readonly windowField: number
  private tsRecent: number
  private tsRecentAt: number
  private readonly hasTimestamps: boolean
  private readonly timestampOffset: number
  /** IP's fields of the ACKs that it sends. */
  readonly trafficClass: number
  readonly hopLimit: number
  readonly md5Keys: readonly Md5Key[]
  private lastInvalidAckMs = 0

  constructor(c: TcpConnection, state: number) {
    super(TupleKind.TimeWait, c.local, c.localPort, c.remote, c.remotePort)
    this.state = state
    this.layer = c.layer
    this.rcvNxt = c.rcv.nxt
    this.sndNxt = c.snd.nxt
    this.window = openWindow(c)
    this.windowField = Math.min(MAX_UNSCALED, this.window >> c.rcv.wndScale)
    this.enteredAt = c.layer.loop.now
    this.tsRecent = c.rcv.tsRecent
    this.tsRecentAt = c.rcv.tsRecentAt
    this.hasTimestamps = c.has(Feature.Timestamps)
    this.timestampOffset = c.timestampOffset
    this.trafficClass = c.options.trafficClass
    this.hopLimit = c.options.hopLimit
    this.md5Keys = c.options.md5Keys
    this.scope = c.scope
    this.hold = c.hold?.forTimeWait(c.local) ?? null
  }

  /** Starts, or starts anew, the time it has. */
  wait(delay: number): void {
    const { loop } = this.layer
    loop.timers.schedule(this.timer, loop.now + delay)
  }

  onTimer(): void {
    this.layer.mib.tcpExt.TW++
    this.end()
  }

  /** Ends it before its time. */
  end(): void {
    const { layer } = this
    layer.loop.timers.cancel(this.timer)
    if (this.inTable) layer.table.remove(this)
    layer.timeWaits--
    this.releasePort()
  }

  /** May a new connection of ours take over the pair of endpoints (tcp_tw_reuse; RFC 6191)? */
  mayBeReused(isLoopback: boolean): boolean {
    const { settings, loop } = this.layer
    const allowed = settings.tcp_tw_reuse === 1 || (settings.tcp_tw_reuse === 2 && isLoopback)
    if (!allowed || !this.hasTimestamps || this.state !== TcpState.TimeWait) return false
    return loop.now - this.enteredAt > settings.tcp_tw_reuse_delay * MILLISECOND
  }

  /** Where the sequence numbers of a connection that takes over begin. */
  get reopenSequence(): number {
    return (this.sndNxt + REOPEN_DISTANCE) | 0 || 1
  }

  /** A segment arrives. @returns one of `TimeWaitVerdict`, or why it was dropped */
  receive(segment: Segment): number {
    const tooOld = this.isTooOld(segment)
    if (this.state === TcpState.FinWait2) return this.receiveInFinWait2(segment, tooOld)
    const isReset = segment.has(TcpFlag.Rst)
    if (!tooOld && segment.seq === this.rcvNxt && (segment.length === 0 || isReset)) {
      if (isReset) {
        // TIME_WAIT assassination (RFC 1337): allowed unless the host is told otherwise.
        if (!this.layer.settings.tcp_rfc1337) {
          this.end()
          return Drop['tcp-reset']
        }
      } else this.wait(this.length)
      this.noteTimestamp(segment)
      return Drop['tcp-time-wait']
    }
    if (this.isNewConnection(segment, tooOld)) {
      segment.reopenSequence = this.reopenSequence
      return TimeWaitVerdict.Reopen
    }
    if (tooOld) this.layer.mib.tcpExt.PAWSTimewait++
    if (isReset) return Drop['tcp-time-wait']
    // A FIN that comes again starts the time anew; a SYN, which may be old or new, does not.
    if (tooOld || segment.has(TcpFlag.Ack)) this.wait(this.length)
    this.acknowledge(segment)
    return Drop['tcp-time-wait']
  }

  /** 2 MSL, microseconds. */
  private get length(): number {
    return this.layer.settings.time_wait_ms * MILLISECOND
  }

  private receiveInFinWait2(segment: Segment, tooOld: boolean): number {
    if (tooOld || !isInWindow(segment, this.rcvNxt, this.window)) {
      this.acknowledge(segment)
      return Drop['tcp-out-of-window']
    }
    if (segment.has(TcpFlag.Rst)) {
      this.end()
      return Drop['tcp-reset']
    }
    if (segment.has(TcpFlag.Syn) && !seqLt(segment.seq, this.rcvNxt)) return this.reset()
    if (!segment.has(TcpFlag.Ack) || segment.length === 0 || !seqGt(segment.end, this.rcvNxt)) return Drop.none
    // Data that nobody will read.
    if (!segment.has(TcpFlag.Fin) || segment.end !== ((this.rcvNxt + 1) | 0)) return this.reset()
    this.state = TcpState.TimeWait
    this.rcvNxt = segment.end
    this.noteTimestamp(segment)
    this.wait(this.length)
    this.sendAck()
    return Drop.none
  }

  private reset(): number {
    this.end()
    return TimeWaitVerdict.Reset
  }

  /**
   * A SYN that cannot be an old one: a later sequence number, or a
   * later time stamp (RFC 9293 section 3.10.7.4, MAY-2; RFC 6191).
   */
  private isNewConnection(segment: Segment, tooOld: boolean): boolean {
    if ((segment.flags & (TcpFlag.Syn | TcpFlag.Rst | TcpFlag.Ack)) !== TcpFlag.Syn || tooOld) return false
    if (seqGt(segment.seq, this.rcvNxt)) return true
    return this.hasTimestamps && segment.hasTimestamps && ((this.tsRecent - segment.timestamp) | 0) < 0
  }

  private isTooOld(segment: Segment): boolean {
    if (!this.hasTimestamps || !segment.hasTimestamps || this.tsRecent === 0) return false
    if (((this.tsRecent - segment.timestamp) | 0) <= 0) return false
    const age = this.layer.nowSeconds - this.tsRecentAt
    return age < (segment.has(TcpFlag.Rst) ? PAWS_MSL : PAWS_DAYS)
  }

  private noteTimestamp(segment: Segment): void {
    if (!this.hasTimestamps || !segment.hasTimestamps) return
    this.tsRecent = segment.timestamp
    this.tsRecentAt = this.layer.nowSeconds
  }

  /** Answers a segment from outside the window, not too often. */
  acknowledge(segment: Segment): void {
    if (isLikelyData(segment) || !this.answeredJustNow()) this.sendAck()
  }

  private answeredJustNow(): boolean {
    const { loop, settings, mib } = this.layer
    const elapsed = (loop.nowMs32 - this.lastInvalidAckMs) | 0
    if (this.lastInvalidAckMs !== 0 && elapsed >= 0 && elapsed < settings.tcp_invalid_ratelimit) {
      if (this.state === TcpState.FinWait2) mib.tcpExt.TCPACKSkippedFinWait2++
      else mib.tcpExt.TCPACKSkippedTimeWait++
      return true
    }
    this.lastInvalidAckMs = loop.nowMs32 || 1
    return false
  }

  private sendAck(): void {
    const { layer } = this
    const { out } = layer
    out.clearOptions()
    out.seq = this.sndNxt
    out.ack = this.rcvNxt
    out.flags = TcpFlag.Ack
    out.window = this.windowField
    if (this.hasTimestamps) {
      out.hasTimestamps = true
      out.timestamp = (layer.loop.nowMs32 + this.timestampOffset) | 0
      out.timestampEcho = this.tsRecent
    }
    replySegment(layer, this, this)
  }
}

/**
 * Replaces a connection by what is left of it.
 * @param state `TcpState.TimeWait`, or FinWait2 for an orphan that still waits for the peer's FIN
 * @param delay how long it stays, microseconds; TIME_WAIT has its own length
 */
export const enterTimeWait = (c: TcpConnection, state: number, delay: number): void => {
  const { layer } = c
  const { settings } = layer
  if (layer.timeWaits < settings.tcp_max_tw_buckets && c.inTable) {
    const rest = new TimeWait(c, state)
    layer.timeWaits++
    layer.table.replace(c, rest)
    const { rto } = c.rtt
    const length = settings.time_wait_ms * MILLISECOND
    rest.wait(state === TcpState.TimeWait ? length : Math.max(delay, (rto << 2) - (rto >> 1)))
  } else layer.mib.tcpExt.TCPTimeWaitOverflow++
  finishConnection(c)
}
