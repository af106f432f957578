import { MINUTE } from '../core/clock.ts'
import { Fifo } from '../core/fifo.ts'
import { Readiness, type ReadinessObserver } from '../core/readiness.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { Drop } from '../wire/drop.ts'
import type { IpHeader } from '../wire/ip.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { Arrivals } from './arrivals.ts'
import type { CongestionControl } from './congestion/control.ts'
import { BufferLock, type TcpConnection, type TcpOptions } from './connection.ts'
import { FastOpenQueue } from './fast-open-server.ts'
import { destroyConnection, sendReset } from './finish.ts'
import { Verdict } from './input.ts'
import type { TcpLayer } from './layer.ts'
import { DEFAULT_MSS, DEFAULT_MSS_IPV6 } from './mss.ts'
import { Request } from './request.ts'
import { savedSyn } from './saved-syn.ts'
import type { Segment } from './segment.ts'
import { type CookieOptions, decodeStamp } from './syn-cookies.ts'
import type { PortHold } from './tuple.ts'

/** How long after it was made a cookie can come back. */
const COOKIE_LIFE = 2 * MINUTE
const NO_OPTIONS: CookieOptions = { windowScale: -1, sack: false, ecn: false }

/** What a connection takes over from the listener that it came through. */
export interface Inherited {
  options: TcpOptions
  sendBuffer: number
  receiveBuffer: number
  /** `BufferLock` bits. */
  bufferLocks: number
  /** `Nagle` bits. */
  nagle: number
  control: CongestionControl
  /** Is it noted when data arrives? */
  notesArrivals: boolean
}

/**
 * A passive open (RFC 9293 section 3.10.7.2). It has two queues and no data: half-open connections, which wait for the
 * third message of the handshake, and complete ones, which wait for accept(2).
 */
export class TcpListener {
  readonly layer: TcpLayer
  readonly localPort: number
  readonly hold: PortHold | null
  readonly inherited: Inherited
  observer: ReadinessObserver | null = null
  /** Complete connections that were not accepted yet. */
  readonly acceptQueue = new Fifo<TcpConnection>()
  /** Connections made by fast open whose handshake is not over. */
  readonly fastOpen: FastOpenQueue
  /** listen(2)'s argument, cut to somaxconn. */
  backlog = 0
  /** Half-open connections, and those of them whose SYN+ACK was not resent yet. */
  requests = 0
  youngRequests = 0
  closed = false
  /** When the last SYN was answered with a cookie: only for some time after that can an ACK bring one back. */
  private lastCookieAt = Number.NEGATIVE_INFINITY
  /** The half-open ones, the last first. */
  private firstPending: Request | null = null

  constructor(layer: TcpLayer, localPort: number, hold: PortHold | null, inherited: Inherited) {
    this.layer = layer
    this.localPort = localPort
    this.hold = hold
    this.inherited = inherited
    this.fastOpen = new FastOpenQueue(layer)
  }

  /** Sets the backlog, silently cut to net.core.somaxconn. */
  setBacklog(backlog: number): void {
    this.backlog = Math.min(Math.max(0, backlog), this.layer.settings.somaxconn)
  }

  /** How many complete connections fit: backlog + 1 on Linux, 3/2 of it on BSD. */
  get capacity(): number {
    const { numerator, denominator, extra } = this.layer.settings.personality.acceptQueue
    return Math.floor((this.backlog * numerator) / denominator) + extra
  }

  get isFull(): boolean {
    return this.acceptQueue.length >= this.capacity
  }

  /** Is the queue of half-open connections full? */
  private get hasTooManyRequests(): boolean {
    const { settings } = this.layer
    if (settings.tcp_syncookies === 0) {
      // A quarter is kept for those that are known to be there; nothing here remembers peers.
      const limit = settings.tcp_max_syn_backlog
      if (limit - this.requests < limit >> 2) return true
    }
    // As many as the backlog and one more, as Linux takes them: one at least.
    return this.requests > this.backlog
  }

  /** A segment arrives that no connection and no half-open one has claimed. @returns as `receiveSegment` does */
  receive(segment: Segment, header: IpHeader, from: NetworkInterface): number {
    if (segment.has(TcpFlag.Rst)) return Drop['tcp-reset']
    if (segment.has(TcpFlag.Ack))
      return segment.has(TcpFlag.Syn) ? Verdict.Reset : this.receiveCookie(segment, header, from)
    if (!segment.has(TcpFlag.Syn) || segment.has(TcpFlag.Fin)) return Drop['tcp-flags']
    return this.receiveSyn(segment, header, from)
  }

  private receiveSyn(segment: Segment, header: IpHeader, from: NetworkInterface): number {
    const { tcpExt } = this.layer.mib
    const cookies = this.layer.settings.tcp_syncookies
    // Who had a connection in TIME_WAIT is there, and what it takes over is as large: it needs no place and no cookie.
    const isKnown = segment.reopenSequence !== 0
    const isCrowded = !isKnown && this.hasTooManyRequests
    if (isCrowded && cookies === 0) {
      tcpExt.TCPReqQFullDrop++
      tcpExt.ListenDrops++
      return Drop['tcp-syn-queue-full']
    }
    if (this.isFull) {
      tcpExt.ListenOverflows++
      tcpExt.ListenDrops++
      return Drop['tcp-accept-queue-full']
    }
    if (isCrowded || (cookies === 2 && !isKnown)) {
      if (isCrowded) tcpExt.TCPReqQFullDoCookies++
      return this.sendCookie(segment, header, from)
    }
    const request = new Request(this, segment, header, from)
    const { saveSyn } = this.inherited.options
    if (saveSyn !== 0) request.connection.ownOptions().savedSyn = savedSyn(saveSyn, segment, header, from)
    const { take, answer } = this.fastOpen.judge(segment, header, this.inherited.options)
    request.answer = answer
    if (take) return request.takeAtOnce(segment)
    if (!this.layer.table.insert(request)) return Drop['tcp-no-socket']
    request.isPending = true
    request.nextPending = this.firstPending
    if (this.firstPending !== null) this.firstPending.previousPending = request
    this.firstPending = request
    this.requests++
    this.youngRequests++
    request.start()
    return Drop.none
  }

  /** Answers a SYN so that nothing need be kept of it. */
  private sendCookie(segment: Segment, header: IpHeader, from: NetworkInterface): number {
    const { layer } = this
    if (!segment.hasTimestamps || layer.settings.tcp_timestamps === 0) {
      // There is nowhere to keep what it offers.
      segment.windowScale = -1
      segment.sackPermitted = false
      segment.flags &= ~(TcpFlag.Ece | TcpFlag.Cwr)
    }
    if (segment.mss === 0) segment.mss = header.version === 4 ? DEFAULT_MSS : DEFAULT_MSS_IPV6
    segment.reopenSequence = layer.synCookies.make(segment, header)
    new Request(this, segment, header, from).sendCookie()
    this.lastCookieAt = layer.loop.now
    layer.mib.tcpExt.SyncookiesSent++
    return Drop.none
  }

  /** An ACK that belongs to nothing: is it the answer to a cookie? */
  private receiveCookie(segment: Segment, header: IpHeader, from: NetworkInterface): number {
    const { layer } = this
    const { settings, mib, synCookies } = layer
    if (settings.tcp_syncookies === 0 || layer.loop.now - this.lastCookieAt > COOKIE_LIFE) return Verdict.Reset
    const mss = synCookies.check(segment, header)
    if (mss === 0) {
      mib.tcpExt.SyncookiesFailed++
      return Verdict.Reset
    }
    mib.tcpExt.SyncookiesRecv++
    let options: CookieOptions = NO_OPTIONS
    if (segment.hasTimestamps) {
      options = decodeStamp(segment.timestampEcho - layer.timestampOffset(header.destination, header.source))
      const isPossible =
        settings.tcp_timestamps !== 0 &&
        (!options.sack || settings.tcp_sack !== 0) &&
        (options.windowScale < 0 || settings.tcp_window_scaling !== 0)
      if (!isPossible) return Verdict.Reset
    }
    if (this.isFull) {
      mib.tcpExt.ListenOverflows++
      mib.tcpExt.ListenDrops++
      return Drop['tcp-accept-queue-full']
    }
    return this.requestOfCookie(segment, header, from, mss, options).establishFromCookie(segment)
  }

  /** What the SYN would have left behind: the ACK is dressed up as that SYN for a moment. */
  private requestOfCookie(
    segment: Segment,
    header: IpHeader,
    from: NetworkInterface,
    mss: number,
    options: CookieOptions,
  ): Request {
    const { seq, flags, ecn, reopenSequence } = segment
    segment.seq = (seq - 1) | 0
    segment.flags = TcpFlag.Syn | (options.ecn ? TcpFlag.Ece | TcpFlag.Cwr : 0)
    segment.ecn = 0
    segment.mss = mss
    segment.windowScale = options.windowScale
    segment.sackPermitted = options.sack
    segment.reopenSequence = (segment.ack - 1) | 0
    const request = new Request(this, segment, header, from)
    Object.assign(segment, { seq, flags, ecn, reopenSequence, mss: 0, windowScale: -1, sackPermitted: false })
    return request
  }

  /** A half-open connection is gone, completed or not. */
  requestEnded(request: Request): void {
    if (!request.isPending) return
    const { previousPending: previous, nextPending: next } = request
    if (previous === null) this.firstPending = next
    else previous.nextPending = next
    if (next !== null) next.previousPending = previous
    request.isPending = false
    this.requests--
    if (request.timeouts === 0) this.youngRequests--
  }

  /** A connection is there: it waits for accept(2). */
  enqueue(c: TcpConnection): void {
    c.listener = this
    this.acceptQueue.push(c)
    this.observer?.ready(Readiness.In)
  }

  /** Takes the connection that has waited longest; `undefined` when there is none. */
  accept(): TcpConnection | undefined {
    const c = this.acceptQueue.shift()
    if (c !== undefined) c.listener = null
    return c
  }

  /** Ends the listener: half-open connections go silently, complete ones that nobody accepted are reset. */
  close(): void {
    this.closed = true
    while (this.firstPending !== null) this.firstPending.drop()
    for (let c = this.accept(); c !== undefined; c = this.accept()) {
      sendReset(c)
      destroyConnection(c)
    }
  }

  /** Lets `c` begin with the listener's options and queue sizes. */
  bequeath(c: TcpConnection): void {
    const { inherited } = this
    inherited.options.isShared = true
    c.options = inherited.options
    c.nagle = inherited.nagle
    c.control = inherited.control
    if (inherited.notesArrivals) c.arrivals = new Arrivals()
    c.bufferLocks = inherited.bufferLocks
    if ((inherited.bufferLocks & BufferLock.Send) !== 0) c.sendBuffer = inherited.sendBuffer
    if ((inherited.bufferLocks & BufferLock.Receive) !== 0) c.receiveBuffer = inherited.receiveBuffer
  }
}
