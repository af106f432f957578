import { MILLISECOND, SECOND } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import { seqGt, seqLt } from '../core/seq.ts'
import { Timer, type TimerOwner } from '../core/timer.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { IcmpError } from '../ip/protocol.ts'
import { Drop } from '../wire/drop.ts'
import { Ecn, type IpHeader } from '../wire/ip.ts'
import { FastOpenForm, TCP_MIN_HEADER, TcpFlag, type TcpHeader } from '../wire/tcp.ts'
import { chooseSequence, prepareEndpoints } from './connect.ts'
import { Feature, TcpConnection } from './connection.ts'
import { HANDSHAKE_PASSED, type PendingHandshake } from './connection-fields.ts'
import type { FastOpenOffer } from './fast-open.ts'
import { failConnection, peerReset, setState } from './finish.ts'
import { peerMss, startTransfer } from './handshake.ts'
import { endsRequest } from './icmp.ts'
import { receiveSegment, Verdict } from './input.ts'
import type { TcpListener } from './listener.ts'
import { fitsSigned, MD5_OPTION_LENGTH, signs } from './md5.ts'
import { ALIGNED_TIMESTAMPS_LENGTH, syncMss } from './mss.ts'
import { receiveSynText } from './receive.ts'
import { enterLoss } from './recovery.ts'
import { replySegment, scopeOf } from './reply.ts'
import { isInWindow, isLikelyData, type Segment } from './segment.ts'
import { TcpState } from './state.ts'
import { type CookieOptions, encodeStamp } from './syn-cookies.ts'
import { leastRto, mostRto } from './timers.ts'
import { TupleEntry, TupleKind } from './tuple.ts'
import { initialMssEstimate, setInitialWindow } from './window.ts'

/** The first time-out of a SYN+ACK, microseconds (RFC 6298 section 2.1), and the longest. */
const FIRST_TIMEOUT = SECOND

/**
 * A half-open connection on the passive side: a SYN has come and was answered, the third message has not. It belongs to
 * its listener, and holds no more than what the connection will begin with: netstat shows it as SYN_RECV.
 *
 * With fast open the connection is there from the SYN on, in the table and in the accept queue, and the request is its
 * `handshake`.
 */
export class Request extends TupleEntry implements TimerOwner, PendingHandshake {
  readonly listener: TcpListener
  /** Its neighbours in the listener's list; is it in there? */
  previousPending: Request | null = null
  nextPending: Request | null = null
  isPending = false
  /** The connection that it will be: with endpoints, window and options, but in no table and without timers. */
  readonly connection: TcpConnection
  /** Time-outs of the SYN+ACK. */
  timeouts = 0
  /** The third message has come, but the accept queue was full, or the application wants data first (TCP_DEFER_ACCEPT). */
  acknowledged = false
  /** The fast-open option of the SYN+ACK; null for none. */
  answer: FastOpenOffer | null = null
  /** Was the connection made at once? Then RCV.NXT behind the SYN's data, and the window. */
  private isFast = false
  /** Is nothing kept but what the SYN+ACK says? */
  private isCookie = false
  private rcvNxt = 0
  private readonly window: number
  private readonly timer: Timer
  private timeout = FIRST_TIMEOUT
  private readonly sentAt: number
  /** How often the SYN+ACK was resent, by time-out or because the SYN came again; time stamps of the first and the last. */
  private resent = 0
  private firstStamp = 0
  private lastStamp = 0
  private lastInvalidAckMs = 0

  constructor(listener: TcpListener, segment: Segment, header: IpHeader, from: NetworkInterface) {
    const known = listener.layer.knownPair(header)
    const local = known === null ? header.destination : known.local
    const remote = known === null ? header.source : known.remote
    super(TupleKind.Request, local, segment.destinationPort, remote, segment.sourcePort)
    this.listener = listener
    this.scope = scopeOf(header, from)
    this.timer = new Timer(this, 0)
    this.sentAt = listener.layer.loop.now32
    this.connection = this.makeConnection(segment)
    this.rcvNxt = this.connection.rcv.nxt
    this.window = this.connection.rcv.wnd
  }

  /** When the SYN+ACK is sent again, world time; Infinity when it is not waited for any more. */
  get deadline(): number {
    return this.timer.deadline
  }

  /** Sends the SYN+ACK and waits for the answer. */
  start(): void {
    const { loop } = this.listener.layer
    this.sendSynAck()
    loop.timers.schedule(this.timer, loop.now + this.timeout)
  }

  /** A segment arrives for the half-open connection (RFC 9293 section 3.10.7.4, Syn-Received). */
  receive(segment: Segment): number {
    const verdict = this.screen(segment)
    return verdict === HANDSHAKE_PASSED ? this.receiveThird(segment) : verdict
  }

  screen(segment: Segment): number {
    const c = this.connection
    const { rcv, snd } = c
    const { mib } = this.listener.layer
    const flags = segment.flags & (TcpFlag.Rst | TcpFlag.Syn | TcpFlag.Ack)
    const stamped = segment.hasTimestamps && c.has(Feature.Timestamps)
    const tooOld = stamped && rcv.tsRecent !== 0 && ((rcv.tsRecent - segment.timestamp) | 0) > 0
    if (flags === TcpFlag.Syn && segment.seq === rcv.irs && !tooOld) {
      // The SYN again: so is our answer, and its timer starts anew.
      if (!this.answeredJustNow() && this.resendSynAck()) {
        const { loop } = this.listener.layer
        loop.timers.schedule(this.timer, loop.now + this.timeout)
      }
      return Drop.none
    }
    if (!this.isFast && segment.has(TcpFlag.Ack) && segment.ack !== snd.nxt) return Verdict.Reset
    const impossible = !this.isFast && stamped && segment.timestampEcho !== 0 && !this.hasSent(segment.timestampEcho)
    if (tooOld || impossible || !isInWindow(segment, this.rcvNxt, this.window)) {
      if (!segment.has(TcpFlag.Rst) && (isLikelyData(segment) || !this.answeredJustNow())) this.sendAck()
      if (tooOld) mib.tcpExt.PAWSEstab++
      else if (impossible) mib.tcpExt.TSEcrRejected++
      return tooOld || impossible ? Drop['tcp-paws'] : Drop['tcp-out-of-window']
    }
    if (stamped && !seqGt(segment.seq, this.rcvNxt)) {
      rcv.tsRecent = segment.timestamp
      rcv.tsRecentAt = this.listener.layer.nowSeconds
    }
    // Only a RST at exactly RCV.NXT is the peer's for sure (RFC 5961 section 3.2).
    if (segment.has(TcpFlag.Rst) && segment.seq !== this.rcvNxt) {
      if (!this.answeredJustNow()) this.sendAck()
      return Drop['tcp-reset']
    }
    // The SYN again, with the ACK: its number lies before the window, and what is behind it does not.
    if (segment.has(TcpFlag.Syn) && segment.seq === rcv.irs) segment.trimFront(1)
    if ((segment.flags & (TcpFlag.Rst | TcpFlag.Syn)) !== 0) {
      mib.tcp.AttemptFails++
      mib.tcpExt.EmbryonicRsts++
      if (this.isFast) return this.refuse(segment)
      this.drop()
      return segment.has(TcpFlag.Rst) ? Drop['tcp-reset'] : Verdict.Reset
    }
    if (!segment.has(TcpFlag.Ack)) return Drop['tcp-flags']
    return HANDSHAKE_PASSED
  }

  /** A SYN or RST, in the window, for a connection that exists: only a RST ends it, as a SYN may be anybody's. */
  private refuse(segment: Segment): number {
    if (!segment.has(TcpFlag.Rst)) return Verdict.Reset
    const { connection: c, listener } = this
    // Whoever has accepted it was led to work by a SYN that may have been forged: the place in the queue stays taken.
    this.end(c.listener === null && !listener.closed)
    peerReset(c)
    return Drop['tcp-reset']
  }

  /** Sends the SYN+ACK as a cookie: its sequence number and its time stamp say all that there is to know. */
  sendCookie(): void {
    this.isCookie = true
    this.sendSynAck()
  }

  /** The ACK of a cookie: the connection stands. @returns as `receiveSegment` does */
  establishFromCookie(segment: Segment): number {
    if (!this.listener.layer.table.insert(this)) return Drop['tcp-no-socket']
    // When the SYN+ACK left is not known, but from the time stamp.
    this.resent = 1
    this.firstStamp = segment.timestampEcho
    this.lastStamp = segment.timestampEcho
    return this.establish(segment)
  }

  /** Makes the connection at once and takes the SYN's data (RFC 7413 section 4.2.2). @returns as `receiveSegment` does */
  takeAtOnce(segment: Segment): number {
    const { listener, connection: c } = this
    const { layer } = listener
    if (!layer.table.insert(c)) return Drop['tcp-no-socket']
    this.isFast = true
    listener.fastOpen.enter()
    c.handshake = this
    c.hold = listener.hold?.forChild(c.local) ?? null
    c.snd.una = c.snd.nxt
    c.ownCongestionState().delivered = 0
    c.segmentsIn = segment.segments
    if (segment.dataLength > 0) c.dataSegmentsIn = segment.segments
    setState(c, TcpState.SynReceived)
    layer.mib.tcp.PassiveOpens++
    startTransfer(c)
    receiveSynText(c, segment)
    this.rcvNxt = c.rcv.nxt
    c.rcv.wup = c.rcv.nxt
    this.start()
    c.listener = listener
    listener.enqueue(c)
    return Drop.none
  }

  complete(segment: Segment): void {
    if (this.connection.rtt.srtt8 === 0) this.measureRtt(segment)
    this.end(false)
  }

  abandon(): void {
    this.end(false)
  }

  /** The handshake of a connection that exists is over. */
  private end(penalize: boolean): void {
    if (!this.isFast) return
    const { listener, connection: c } = this
    listener.layer.loop.timers.cancel(this.timer)
    listener.fastOpen.leave(penalize)
    this.isFast = false
    c.handshake = null
  }

  /** An ICMP error about our SYN+ACK: the client is not there (RFC 5461). */
  receiveIcmpError(error: IcmpError, seq: number): void {
    if (seq !== this.connection.snd.iss) {
      this.listener.layer.mib.tcpExt.OutOfWindowIcmps++
      return
    }
    if (error.errno === Errno.EMSGSIZE) {
      this.listener.layer.ip.updatePathMtu(this.remote, error.mtu, this.scope)
      return
    }
    // That the port or the protocol is not there proves nothing: the SYN came from it.
    if (!endsRequest(error)) return
    this.listener.layer.mib.tcpExt.ListenDrops++
    this.drop()
  }

  onTimer(): void {
    if (this.isFast) {
      this.onFastTimeout()
      return
    }
    const { listener } = this
    const { loop } = listener.layer
    const most = this.mostRetries()
    const deferral = listener.inherited.options.deferAccept
    let expired = this.timeouts >= most
    let resend = true
    if (deferral > 0) {
      expired = expired && (!this.acknowledged || this.timeouts >= deferral)
      resend = !this.acknowledged || this.timeouts >= deferral - 1
    }
    listener.layer.mib.tcpExt.TCPTimeouts++
    if (expired || (resend && !this.resendSynAck() && !this.acknowledged)) {
      this.drop()
      return
    }
    if (this.timeouts++ === 0) listener.youngRequests--
    this.timeout = Math.min(this.timeout * 2, mostRto(this.connection))
    loop.timers.schedule(this.timer, loop.now + this.timeout)
  }

  /** No answer to the SYN+ACK of a connection that exists: data in flight counts as lost too. */
  private onFastTimeout(): void {
    const { connection: c, listener } = this
    const { settings, loop, mib } = listener.layer
    mib.tcpExt.TCPTimeouts++
    if (this.timeouts >= (listener.inherited.options.synRetries || settings.tcp_synack_retries + 1)) {
      mib.tcpExt.TCPAbortOnTimeout++
      failConnection(c, c.softError || Errno.ETIMEDOUT)
      return
    }
    if (c.retransmits === 1) {
      c.sendQueue()
      enterLoss(c)
    }
    this.resendSynAck()
    c.ownCongestionState().totalRetransmitted++
    this.timeouts++
    c.retransmits++
    if (c.retransmitStamp === 0) c.retransmitStamp = loop.nowMs32 || 1
    this.timeout = Math.min(this.timeout * 2, mostRto(this.connection))
    loop.timers.schedule(this.timer, loop.now + this.timeout)
  }

  /** Takes the half-open connection away, silently. */
  drop(): void {
    const { layer } = this.listener
    layer.loop.timers.cancel(this.timer)
    if (this.inTable) layer.table.remove(this)
    this.listener.requestEnded(this)
  }

  /** Fewer retries while old requests fill more than half of the queue, so that new ones find room. */
  private mostRetries(): number {
    const { listener } = this
    const { settings } = listener.layer
    let most = listener.inherited.options.synRetries || settings.tcp_synack_retries
    const { requests } = listener
    if (requests * 2 > Math.max(8, listener.backlog)) {
      for (let young = listener.youngRequests * 2; most > 2 && requests >= young; young *= 2) most--
    }
    return most
  }

  /** The third message of the handshake. */
  private receiveThird(segment: Segment): number {
    const { listener } = this
    const { layer, inherited } = listener
    if (inherited.options.deferAccept > this.timeouts && segment.dataLength === 0 && !segment.has(TcpFlag.Fin)) {
      this.acknowledged = true
      layer.mib.tcpExt.TCPDeferAcceptDrop++
      return Drop.none
    }
    if (listener.isFull) {
      layer.mib.tcpExt.ListenOverflows++
      layer.mib.tcpExt.ListenDrops++
      if (layer.settings.tcp_abort_on_overflow) {
        this.drop()
        return Verdict.Reset
      }
      // The client thinks that it is connected. The SYN+ACK will come again, and its ACK with it.
      this.acknowledged = true
      return Drop['tcp-accept-queue-full']
    }
    return this.establish(segment)
  }

  /** Makes the connection, in the place of the half-open one. */
  private establish(segment: Segment): number {
    const { listener, connection: c } = this
    const { layer } = listener
    layer.loop.timers.cancel(this.timer)
    layer.table.replace(this, c)
    listener.requestEnded(this)
    c.hold = listener.hold?.forChild(c.local) ?? null
    // The SYN.
    c.segmentsIn = 1
    this.measureRtt(segment)
    if (this.timeouts > 0 && !this.isAnswerToFirst(segment)) {
      // Remembered for the first congestion window (RFC 5681 section 3.1).
      const cc = c.ownCongestionState()
      cc.totalRetransmitted = this.timeouts
      cc.undoable = true
    }
    setState(c, TcpState.SynReceived)
    layer.mib.tcp.PassiveOpens++
    c.listener = listener
    const verdict = receiveSegment(c, segment)
    if (c.state !== TcpState.Closed || verdict === Drop.none) listener.enqueue(c)
    else c.listener = null
    return verdict
  }

  /** What the connection will begin with, from the SYN. */
  private makeConnection(segment: Segment): TcpConnection {
    const { listener } = this
    const { layer } = listener
    const { settings } = layer
    const c = new TcpConnection(layer, this.local, this.localPort, this.remote, this.remotePort)
    listener.bequeath(c)
    c.scope = this.scope
    const { snd, rcv } = c
    const destination = layer.ip.resolve(this.remote, this.local, this.scope)
    if (typeof destination !== 'number') prepareEndpoints(c, destination)
    rcv.irs = segment.seq
    rcv.nxt = (segment.seq + 1) | 0
    rcv.wup = rcv.nxt
    rcv.copied = rcv.nxt
    if (segment.sackPermitted && settings.tcp_sack) c.features |= Feature.Sack
    const scaling = segment.windowScale >= 0 && settings.tcp_window_scaling !== 0
    if (scaling) {
      c.features |= Feature.WindowScale
      snd.wndScale = segment.windowScale
    }
    const signed = signs(c.options.md5Keys, this.remote)
    snd.headerLength = TCP_MIN_HEADER + (signed ? MD5_OPTION_LENGTH : 0)
    const announced = rcv.advertisedMss
    // A signature leaves room for time stamps or for SACK.
    if (segment.hasTimestamps && settings.tcp_timestamps && !(signed && c.has(Feature.Sack))) {
      c.features |= Feature.Timestamps
      snd.headerLength += ALIGNED_TIMESTAMPS_LENGTH
      rcv.tsRecent = segment.timestamp
      rcv.tsRecentAt = layer.nowSeconds
    }
    // A SYN must not be marked itself (RFC 3168 section 6.1.1): one that is was tampered with on the way.
    const asksForEcn = segment.has(TcpFlag.Ece) && segment.has(TcpFlag.Cwr) && segment.ecn === Ecn.NotEct
    if (asksForEcn && settings.tcp_ecn !== 0) c.features |= Feature.Ecn
    setInitialWindow(c, announced - (snd.headerLength - TCP_MIN_HEADER), scaling)
    this.synAckMss = announced
    rcv.advertisedMss = announced - (snd.headerLength - TCP_MIN_HEADER)
    snd.mssClamp = peerMss(c, segment.mss)
    chooseSequence(c, segment.reopenSequence)
    snd.nxt = (snd.iss + 1) | 0
    snd.writeSeq = snd.nxt
    snd.pushedSeq = snd.nxt
    snd.wnd = segment.window
    snd.maxWnd = segment.window
    snd.wl1 = segment.seq
    syncMss(c, c.destination?.mtu ?? 576)
    initialMssEstimate(c)
    return c
  }

  private synAckMss = 0

  /** Takes the round-trip time of the handshake: by the clock, or, if the SYN+ACK had to be resent, by its time stamp. */
  private measureRtt(segment: Segment): void {
    const { connection: c, listener } = this
    const { loop } = listener.layer
    let rtt = -1
    if (this.resent === 0) rtt = (loop.now32 - this.sentAt) | 0
    else if (segment.hasTimestamps && c.has(Feature.Timestamps) && segment.timestampEcho !== 0) {
      rtt = ((loop.nowMs32 + c.timestampOffset - segment.timestampEcho) | 0) * MILLISECOND
    }
    if (rtt < 0) return
    c.rtt.measure(Math.max(1, rtt), c.snd.una, c.snd.nxt, leastRto(c))
    c.rtt.updateRto(mostRto(c))
  }

  /** Does the segment echo the time stamp of the first SYN+ACK: was resending it a mistake? */
  private isAnswerToFirst(segment: Segment): boolean {
    return this.connection.has(Feature.Timestamps) && segment.hasTimestamps && segment.timestampEcho === this.firstStamp
  }

  /** Is `echo` a time stamp that one of our SYN+ACKs can have carried? */
  private hasSent(echo: number): boolean {
    return !seqLt(echo, this.firstStamp) && !seqGt(echo, this.lastStamp)
  }

  private answeredJustNow(): boolean {
    const { loop, settings } = this.listener.layer
    const elapsed = (loop.nowMs32 - this.lastInvalidAckMs) | 0
    if (this.lastInvalidAckMs !== 0 && elapsed >= 0 && elapsed < settings.tcp_invalid_ratelimit) {
      this.listener.layer.mib.tcpExt.TCPACKSkippedSynRecv++
      return true
    }
    this.lastInvalidAckMs = loop.nowMs32 || 1
    return false
  }

  /** Sends the SYN+ACK. @returns whether it left */
  private sendSynAck(): boolean {
    const { connection: c } = this
    const out = this.newHeader()
    out.seq = c.snd.iss
    out.flags = TcpFlag.Syn | TcpFlag.Ack | (c.has(Feature.Ecn) ? TcpFlag.Ece : 0)
    // The window of a SYN is never scaled (RFC 7323 section 2.2).
    out.window = Math.min(this.window, 65_535)
    out.mss = this.synAckMss
    out.sackPermitted = c.has(Feature.Sack)
    if (c.has(Feature.WindowScale)) out.windowScale = c.rcv.wndScale
    this.lastStamp = out.timestamp
    if (this.resent === 0) this.firstStamp = out.timestamp
    // Only the first: what is sent again must get through boxes that do not know the option.
    const { answer } = this
    if (answer === null || this.resent > 0) return replySegment(this.listener.layer, this, c.options) === 0
    out.fastOpen = answer.experimental ? FastOpenForm.Experimental : FastOpenForm.Standard
    if (!fitsSigned(out, answer.cookie, c.options.md5Keys, this.remote)) out.fastOpen = FastOpenForm.None
    return replySegment(this.listener.layer, this, c.options, answer.cookie) === 0
  }

  /** Sends it once more. @returns whether it left */
  private resendSynAck(): boolean {
    const { mib } = this.listener.layer
    this.resent++
    if (!this.sendSynAck()) return false
    mib.tcp.RetransSegs++
    mib.tcpExt.TCPSynRetrans++
    return true
  }

  /** Answers a segment that cannot be accepted (RFC 9293 section 3.10.7.4, first step). */
  private sendAck(): void {
    const { connection: c } = this
    const out = this.newHeader()
    out.seq = c.snd.nxt
    out.flags = TcpFlag.Ack
    out.window = Math.min(this.window >> c.rcv.wndScale, 65_535)
    replySegment(this.listener.layer, this, c.options)
  }

  /** What the SYN offered, as far as it was taken. */
  private get offer(): CookieOptions {
    const { connection: c } = this
    const windowScale = c.has(Feature.WindowScale) ? c.snd.wndScale : -1
    return { windowScale, sack: c.has(Feature.Sack), ecn: c.has(Feature.Ecn) }
  }

  /** The host's header, with what all segments of this connection carry. */
  private newHeader(): TcpHeader {
    const { connection: c, listener } = this
    const { out, loop } = listener.layer
    out.clearOptions()
    out.ack = this.rcvNxt
    if (c.has(Feature.Timestamps)) {
      out.hasTimestamps = true
      const now = this.isCookie ? encodeStamp(loop.nowMs32, this.offer) : loop.nowMs32
      out.timestamp = (now + c.timestampOffset) | 0
      out.timestampEcho = c.rcv.tsRecent
    }
    return out
  }
}
