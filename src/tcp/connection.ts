import { packFlags } from '../core/flags.ts'
import type { ReadinessObserver } from '../core/readiness.ts'
import { Ring } from '../core/ring.ts'
import type { Timer, TimerOwner } from '../core/timer.ts'
import type { Destination } from '../ip/destination.ts'
import type { IcmpError } from '../ip/protocol.ts'
import { PathMtuDiscovery } from '../udp/options.ts'
import type { IpAddress } from '../wire/address.ts'
import type { CongestionControl } from './congestion/control.ts'
import type { CongestionState } from './congestion/state.ts'
import { CONNECTION_FLAGS, ConnectionFields, SeldomState } from './connection-fields.ts'
import type { FastOpenKeys } from './fast-open.ts'
import type { TcpLayer } from './layer.ts'
import type { TcpListener } from './listener.ts'
import type { Md5Key } from './md5.ts'
import { updatePacingRate } from './rate.ts'
import type { Reassembly } from './reassembly.ts'
import { RttEstimator } from './rtt.ts'
import type { SendQueue } from './send-queue.ts'
import { TcpState } from './state.ts'
import { KIND_SHIFT, TupleKind } from './tuple.ts'

/** What both sides agreed to in the handshake, as bits. */
export const Feature = {
  Timestamps: 1,
  WindowScale: 2,
  Sack: 4,
  Ecn: 8,
  /** The connection's data began in the SYN. */
  FastOpen: 16,
} as const

/** The socket, as its connection sees it. */
export interface TcpObserver extends ReadinessObserver {
  /** The peer has announced urgent data: SIGURG. */
  urgent(): void
  /** The byte `seq`, of which time stamps were asked, has come to one of `TxStage`. */
  stamped(stage: number, seq: number): void
  /** SND.UNA has moved: told while `watchesAcks` is set. */
  acknowledged(una: number): void
  /** An ICMP error that says why the connection cannot be opened: told where TcpOptions.receiveErrors is set. */
  icmpError(error: IcmpError): void
}

/** How far a byte that was written has come: Linux's SCM_TSTAMP_*. */
export const TxStage = { Sent: 0, Scheduled: 1, Acknowledged: 2 } as const

/** Which directions are over, as bits: the values of shutdown(2)'s argument plus one. */
export const Shutdown = { Receive: 1, Send: 2, Both: 3 } as const

/** Who may not change a queue's size, as bits. */
export const BufferLock = { Send: 1, Receive: 2 } as const

/** What keeps small segments back, as bits (RFC 9293 section 3.7.4, tcp(7)). */
export const Nagle = {
  /** TCP_NODELAY: nothing does. */
  Off: 1,
  /** TCP_CORK, MSG_MORE: everything that is not full. */
  Cork: 2,
  /** Send what there is now, once. */
  Push: 4,
} as const

/** What the delayed acknowledgment waits for, as bits. */
export const AckPending = {
  /** An ACK is owed. */
  Scheduled: 1,
  /** The timer for it runs. */
  Timer: 2,
  /** A segment with PSH has come: reading it all draws an ACK. */
  Pushed: 4,
  Pushed2: 8,
  /** It has to leave with this segment. */
  Now: 16,
  All: 31,
} as const

/** Above them in `ReceiveVariables.pending`: how often RCV.NXT has gone round, as this many times the number. */
export const RECEIVE_ROUND = 32

/** Which of a connection's timers fired. */
export const TcpTimer = { Retransmit: 0, DelayedAck: 1, Keepalive: 2, Pacing: 3 } as const

/** What the retransmission timer is set for. */
export const Pending = {
  None: 0,
  /** Retransmission time-out (RFC 6298). */
  Retransmit: 1,
  /** Tail loss probe (RFC 8985 section 7). */
  LossProbe: 2,
  /** Zero-window probe (RFC 9293 section 3.8.6.1). */
  Persist: 3,
  /** Reordering settling time (RFC 8985 section 6.2). */
  Reorder: 4,
} as const

/** What an application can set on a connection and most leave alone. One object serves all that left it alone. */
export class TcpOptions {
  /** Does it serve several, so that it may not be written? */
  isShared = false
  keepalive = false
  /** TCP_KEEPIDLE and TCP_KEEPINTVL in seconds, TCP_KEEPCNT; 0 stands for the host's setting. */
  keepIdle = 0
  keepInterval = 0
  keepCount = 0
  /** TCP_USER_TIMEOUT, milliseconds; 0 for none. */
  userTimeoutMs = 0
  /** TCP_RTO_MAX_MS, TCP_RTO_MIN_US and TCP_DELACK_MAX_US; 0 stands for the host's. */
  mostRtoMs = 0
  leastRto = 0
  mostAckDelay = 0
  /** SO_MAX_PACING_RATE, bytes per second. */
  maxPacingRate = Number.POSITIVE_INFINITY
  /** TCP_SYNCNT; 0 stands for the host's setting. */
  synRetries = 0
  /** TCP_MAXSEG; 0 for none. */
  maxSegment = 0
  /** TCP_WINDOW_CLAMP; 0 for none. */
  windowClamp = 0
  /** TCP_DEFER_ACCEPT: retransmitted SYN+ACKs that a silent client is given. */
  deferAccept = 0
  /** TCP_LINGER2 in seconds: 0 stands for tcp_fin_timeout, less for no FIN_WAIT_2 at all. */
  linger2 = 0
  /** TCP_NOTSENT_LOWAT; 0 stands for the host's setting. */
  notSentLowat = 0
  thinLinearTimeouts = false
  /** TCP_FASTOPEN: how many connections of a listener may wait for their third message; 0 for no fast open. */
  fastOpenQueue = 0
  /** TCP_FASTOPEN_KEY; null for the host's. */
  fastOpenKeys: FastOpenKeys | null = null
  /** TCP_FASTOPEN_CONNECT and TCP_FASTOPEN_NO_COOKIE. */
  fastOpenConnect = false
  fastOpenNoCookie = false
  /** TCP_MD5SIG: keys by peer. */
  md5Keys: readonly Md5Key[] = []
  /** TCP_SAVE_SYN of a listener, and of what it has accepted what TCP_SAVED_SYN tells, until it is read. */
  saveSyn = 0
  savedSyn: Uint8Array | null = null
  /** SO_OOBINLINE. */
  oobInline = false
  /** SO_RCVLOWAT. */
  receiveLowat = 1
  /** IP_TOS or IPV6_TCLASS without ECN; IP_TTL or IPV6_UNICAST_HOPS, 0 for the default. */
  trafficClass = 0
  hopLimit = 0
  /** IP_MINTTL or IPV6_MINHOPCOUNT: what comes with less is dropped (RFC 5082). */
  minHopLimit = 0
  /** IP_MTU_DISCOVER or IPV6_MTU_DISCOVER: one of `PathMtuDiscovery` (RFC 1191). */
  pathMtuDiscovery: number = PathMtuDiscovery.Want
  /** IP_RECVERR or IPV6_RECVERR: ICMP errors are reported at once, also where the connection goes on. */
  receiveErrors = false
}

/** The sending side's variables (RFC 9293 section 3.3.1), all sequence numbers as signed integers. */
export class SendVariables extends RttEstimator {
  /** SND.UNA, SND.NXT, and ISS. */
  una = 0
  nxt = 0
  iss = 0
  /** SND.WND in bytes, scaled up, and the largest that the peer ever offered. */
  wnd = 0
  maxWnd = 0
  /** SND.WL1: sequence number of the segment that last set the window. */
  wl1 = 0
  /** Shift of the peer's windows. */
  wndScale = 0
  /** Sequence number after the last byte written, FIN included. */
  writeSeq = 0
  /** Sequence number of the first byte in the send ring. */
  ringSeq = 0
  /** `writeSeq` when PSH was last set. */
  pushedSeq = 0
  /** End of the last segment sent that was not full: Minshall's form of Nagle's rule waits for its ACK. */
  smallSeq = 0
  /** SND.UP, when urgent data is out. */
  urgentSeq = 0
  /** Effective MSS: data bytes in a segment with the options that every segment carries. */
  mss = 536
  /** Bytes of header with the options that every segment carries. */
  headerLength = 20
  /** The path MTU that `mss` was computed from. */
  pathMtu = 0
  /** The most that the peer (by its MSS option) and the application allow, without options. */
  mssClamp = 536
  /** Segments of the largest record, for offload. */
  offloadSegments = 0
  /** When data was last sent: milliseconds modulo 2^32; and when any segment was: microseconds modulo 2^32. */
  lastSentMs = 0
  lastSentAt = 0
}

/** The receiving side's variables (RFC 9293 section 3.3.1). */
export class ReceiveVariables {
  /** RCV.NXT, and IRS. */
  nxt = 0
  irs = 0
  /** The window last announced, bytes, and RCV.NXT at that time, which RFC 7323 calls Last.ACK.sent. */
  wnd = 0
  wup = 0
  /** Shift of our windows. */
  wndScale = 0
  /** Sequence number of the first byte in the receive ring: what the application reads next. */
  copied = 0
  /** The window that present arrivals justify, and the most there may ever be, bytes. */
  ssthresh = 0
  windowClamp = 0
  /** The MSS that we announced, and an estimate of what the peer really sends. */
  advertisedMss = 0
  mssEstimate = 0
  lastSegmentSize = 0
  /** TS.Recent (RFC 7323 section 4.3), and when it was set, seconds of the host's clock. */
  tsRecent = 0
  tsRecentAt = 0
  /** Delayed ACKs: `AckPending` bits; how many to send at once still; is the traffic interactive; time-out, microseconds. */
  pending = 0
  quick = 0
  pingpong = 0
  ato = 0
  /** When data last arrived: milliseconds modulo 2^32. */
  lastDataMs = 0
}

/** Measurements for sizing the receive queue, made when data first arrives. */
export class ReceiveTuning {
  /** Smoothed round-trip time seen from here, microseconds times 8; the window edge or time stamp it is measured with. */
  rtt = 0
  rttSeq = 0
  rttAt = 0
  lastEcho = 0
  /** Bytes that the application read in the last round trip; `copied` and the time when this one began. */
  space = 0
  spaceSeq = 0
  spaceAt = 0
}

/** What to report in SACK options. */
export class SackReport {
  /** Blocks, the one that changed last first: left edge, right edge … */
  readonly blocks = new Int32Array(8)
  count = 0
  /** A duplicate to report first, once (RFC 2883). */
  duplicateStart = 0
  duplicateEnd = 0
  hasDuplicate = false
  /** ACKs held back; RCV.NXT since which they are counted; duplicate ACKs sent before holding any back. */
  compressed = 0
  compressedAt = 0
  duplicateAcks = 0
}

/** One end of a TCP connection: the transmission control block. What is done with it stands in the files beside this one. */
export class TcpConnection extends ConnectionFields implements TimerOwner {
  readonly layer: TcpLayer
  state: number = TcpState.Closed
  /** The error that ended the connection and that nobody was told yet. */
  error = 0
  /** The socket; null while nobody holds the connection: not accepted yet, or an orphan. */
  observer: TcpObserver | null = null
  /** Where the connection came from, until it is accepted. */
  listener: TcpListener | null = null
  destination: Destination | null = null
  options: TcpOptions
  seldom: SeldomState
  readonly snd = new SendVariables()
  readonly rcv = new ReceiveVariables()
  /** Shared and not to be written until `ownCongestionState` has made it the connection's own. */
  cc: CongestionState
  control: CongestionControl

  /** Was it opened by a SYN of ours? */
  declare isActive: boolean
  /** Sizes of the queues, bytes, in the terms of SO_SNDBUF and SO_RCVBUF. */
  sendBuffer: number
  receiveBuffer: number
  /** Somebody waits for room in the send queue. */
  declare wantsSpace: boolean
  /** A call waits to queue more: data is about to come. */
  declare writerWaits: boolean
  /** The socket is to be told of every ACK that moves SND.UNA. */
  declare watchesAcks: boolean

  queue: SendQueue | null = null
  sendRing: Ring | null = null
  receiveRing: Ring | null = null
  reassembly: Reassembly | null = null
  sacks: SackReport | null = null
  tuning: ReceiveTuning | null = null

  retransmitTimer: Timer | null = null
  ackTimer: Timer | null = null
  keepaliveTimer: Timer | null = null
  protected tries = 0
  /** Time-outs in a row without progress. */
  retransmits = 0
  /** When the first retransmission of this episode left: milliseconds modulo 2^32; 0 for none. */
  retransmitStamp = 0
  /** When an acceptable ACK last arrived: milliseconds modulo 2^32. */
  lastAckMs = 0
  /** When the first SYN left: milliseconds modulo 2^32. Did it ask for ECN? */
  synSentMs = 0
  declare ecnOffered: boolean
  /** Was it ever in ESTABLISHED? */
  declare wasEstablished: boolean
  /** The peer's FIN has come, in order. */
  declare receivedFin: boolean
  /** Nobody holds it any more, and it is counted as such. */
  declare isOrphan: boolean
  /** The port was bound by the application: it stays the socket's when the connection ends. */
  declare keepsPort: boolean
  /** The byte at SND.NXT has been sent as a probe of a shut window, and does not count as sent. */
  declare probeByteOut: boolean
  /** Segments sent and received, and of those received the ones with data: for those who look. */
  segmentsOut = 0
  segmentsIn = 0
  dataSegmentsIn = 0
  /** Added to the millisecond clock to make time stamps (RFC 7323 section 7.1). */
  timestampOffset = 0
  /** The sum of the pseudo-header without the length. */
  pseudoSum = 0

  static {
    const handshake = ['isActive', 'ecnOffered', 'wasEstablished']
    const transfer = [
      'wantsSpace',
      'probeByteOut',
      'receivedFin',
      'isOrphan',
      'keepsPort',
      'writerWaits',
      'watchesAcks',
    ]
    packFlags(TcpConnection.prototype, [...handshake, ...transfer], CONNECTION_FLAGS, KIND_SHIFT)
  }

  constructor(layer: TcpLayer, local: IpAddress, localPort: number, remote: IpAddress, remotePort: number) {
    super(TupleKind.Connection, local, localPort, remote, remotePort)
    this.layer = layer
    this.options = layer.defaultOptions
    this.seldom = layer.pristineSeldom
    this.cc = layer.pristineCongestion
    this.control = layer.congestionControls.default
    this.sendBuffer = layer.settings.tcp_wmem[1]
    this.receiveBuffer = layer.settings.tcp_rmem[1]
  }

  /** The round-trip time and the time-out. */
  get rtt(): RttEstimator {
    return this.snd
  }

  /** Has it nothing that a segment or a write would have to heed but hardly ever has to: a handshake that goes on, urgent data, a search for the MTU? */
  get isOrdinary(): boolean {
    const { seldom } = this
    if (seldom === this.layer.pristineSeldom) return true
    return seldom.handshake === null && seldom.urgent === null && seldom.mtuSearch === null
  }

  /** `seldom`, made the connection's own so that it may be written. */
  protected ownSeldom(): SeldomState {
    if (this.seldom === this.layer.pristineSeldom) this.seldom = new SeldomState()
    return this.seldom
  }

  /** The congestion state, made the connection's own so that it may be written. */
  ownCongestionState(): CongestionState {
    if (this.cc === this.layer.pristineCongestion) {
      this.cc = this.layer.newCongestionState()
      if (this.destination?.initialCwnd) this.cc.cwnd = this.destination.initialCwnd
      this.cc.cwndStampMs = this.layer.loop.nowMs32
      // So far there was the handshake's round-trip time at most.
      if (this.rtt.srtt8 !== 0) this.cc.minRtt.reset(this.layer.loop.nowMs32, this.rtt.srtt)
      this.control.init(this)
      updatePacingRate(this)
    }
    return this.cc
  }

  /** Gives back what the handshake needed, when nothing happened in it that counts for the transfer: most connections wait then. */
  forgetHandshake(): void {
    const { cc, queue } = this
    if (queue === null || queue.length > 0 || cc.totalRetransmitted > 0 || cc.ecn !== 0) return
    this.giveBack()
    if (this.retransmitTimer?.isSet !== false) return
    this.layer.recycleTimer(this.retransmitTimer)
    this.retransmitTimer = null
  }

  /** Gives back the send queue, which is empty, and the congestion state. */
  giveBack(): void {
    this.layer.recycle(this.cc, this.queue)
    this.queue = null
    this.cc = this.layer.pristineCongestion
  }

  /** The options, made the connection's own so that they may be written. */
  ownOptions(): TcpOptions {
    if (this.options.isShared) this.options = Object.assign(new TcpOptions(), this.options, { isShared: false })
    return this.options
  }

  /** Is it being opened, so that no data can be exchanged yet? */
  get isOpening(): boolean {
    return this.state === TcpState.SynSent || (this.state === TcpState.SynReceived && this.handshake === null)
  }

  /** Does its SYN wait for data (TCP_FASTOPEN_CONNECT), so that nobody else knows of it yet? */
  get isPutOff(): boolean {
    return this.state === TcpState.SynSent && (this.queue === null || this.queue.length === 0)
  }

  sendQueue(): SendQueue {
    this.queue ??= this.layer.newSendQueue()
    return this.queue
  }

  ownSendRing(): Ring {
    this.sendRing ??= new Ring(this.layer.world.memory)
    return this.sendRing
  }

  ownReceiveRing(): Ring {
    this.receiveRing ??= new Ring(this.layer.world.memory)
    return this.receiveRing
  }

  /** Bytes written and not acknowledged: Send-Q of netstat. */
  get sendQueueBytes(): number {
    return (this.snd.writeSeq - this.snd.una) | 0
  }

  /** Bytes received in order and not read: Recv-Q of netstat. */
  get receiveQueueBytes(): number {
    return Math.max(0, (this.rcv.nxt - this.rcv.copied) | 0)
  }

  /** Tells the socket, if there is one, what has become possible: `Readiness` bits. */
  ready(events: number): void {
    this.observer?.ready(events)
  }

  onTimer(kind: number): void {
    this.layer.fireTimer(this, kind)
  }
}
