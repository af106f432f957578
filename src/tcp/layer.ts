import { MILLISECOND, type Micros } from '../core/clock.ts'
import type { Frame } from '../core/frame.ts'
import type { Loop } from '../core/loop.ts'
import { Md5 } from '../core/md5.ts'
import type { Random } from '../core/random.ts'
import { SipHasher } from '../core/siphash.ts'
import { Timer, type TimerOwner } from '../core/timer.ts'
import type { World } from '../core/world.ts'
import type { Mib } from '../ip/mib.ts'
import type { IpStack } from '../ip/stack.ts'
import type { IpAddress } from '../wire/address.ts'
import type { IpHeader } from '../wire/ip.ts'
import { TcpHeader } from '../wire/tcp.ts'
import { Cleaning } from './acked.ts'
import { RateSample } from './congestion/control.ts'
import { CongestionControls } from './congestion/registry.ts'
import { CongestionState } from './congestion/state.ts'
import { type TcpConnection, TcpOptions } from './connection.ts'
import { SeldomState } from './connection-fields.ts'
import { FastOpenHost } from './fast-open.ts'
import { Alert } from './recovery.ts'
import { SackOutcome } from './sack.ts'
import { Segment } from './segment.ts'
import { SendQueue, SendRecordPool } from './send-queue.ts'
import type { TcpSettings } from './settings.ts'
import { SynCookies } from './syn-cookies.ts'
import { fireTimer } from './timeouts.ts'
import type { TcpTable } from './tuple.ts'

/** What the queues of all protocols may be set to, bytes: net.core. */
export interface QueueLimits {
  /** The most that SO_RCVBUF takes, before it is doubled. */
  readonly rmem_max: number
}

/** The TCP of one host: what all its connections share. */
export class TcpLayer {
  readonly world: World
  readonly loop: Loop
  readonly ip: IpStack
  readonly mib: Mib
  readonly settings: TcpSettings
  readonly limits: QueueLimits
  readonly random: Random
  /** Where pairs of endpoints are looked up. */
  readonly table: TcpTable
  readonly congestionControls: CongestionControls
  readonly records: SendRecordPool
  /** What connections have that changed none of it. */
  readonly defaultOptions = new TcpOptions()
  readonly pristineCongestion: CongestionState
  readonly pristineSeldom = new SeldomState()
  readonly fastOpen: FastOpenHost
  readonly synCookies: SynCookies
  /** Do segments that are expected, and messages that leave at once, go their own straight way? */
  readonly predicts: boolean
  readonly md5 = new Md5()

  /** The header that is being written, and the segment that is being read: one of each, as nothing here recurses. */
  readonly out = new TcpHeader()
  readonly segment = new Segment()
  readonly rateSample = new RateSample()
  readonly sackOutcome = new SackOutcome()
  readonly alert = new Alert()
  readonly cleaning = new Cleaning()
  /** The SACK blocks of the segment at hand, in order. */
  readonly sackBlocks = new Int32Array(8)

  /** States, empty queues and timers that connections have given back. */
  private readonly idleCongestion: CongestionState[] = []
  private readonly idleQueues: SendQueue[] = []
  private readonly idleTimers: Timer[] = []

  /** Connections that nobody holds, and pairs of endpoints in TIME_WAIT. */
  orphans = 0
  timeWaits = 0
  /** Connections open to tcp_mem's limit: bytes in all queues. */
  queuedBytes = 0
  private isShort = false
  private shortSince: Micros = 0
  /** Challenge ACKs sent in the second that began at `challengeSecond` (RFC 5961 section 7). */
  private challengeSecond = -1
  private challengesLeft = 0
  private readonly hasher: SipHasher
  private readonly offsetHasher: SipHasher
  private readonly pairs: (AddressPair | undefined)[] = new Array(256).fill(undefined)

  constructor(world: World, ip: IpStack, table: TcpTable, settings: TcpSettings, limits: QueueLimits, random: Random) {
    this.world = world
    this.loop = world.loop
    this.predicts = world.fast['header-prediction']
    this.records = new SendRecordPool(world.fast['record-reuse'])
    this.ip = ip
    this.mib = ip.mib
    this.table = table
    this.settings = settings
    this.limits = limits
    this.congestionControls = new CongestionControls(settings)
    this.random = random
    this.pristineCongestion = this.newCongestionState()
    this.defaultOptions.isShared = true
    this.fastOpen = new FastOpenHost(settings, world.loop, random.fork('fast open'))
    this.synCookies = new SynCookies(world.loop, random.fork('SYN cookies'))
    this.hasher = new SipHasher(random.next32(), random.next32(), random.next32(), random.next32())
    this.offsetHasher = new SipHasher(random.next32(), random.next32(), random.next32(), random.next32())
  }

  newCongestionState(): CongestionState {
    const { initial_cwnd, tcp_reordering } = this.settings
    return (
      this.idleCongestion.pop()?.reset(initial_cwnd, tcp_reordering) ??
      new CongestionState(initial_cwnd, tcp_reordering)
    )
  }

  /** Takes back what a connection needs no more, for the next. */
  recycle(cc: CongestionState, queue: SendQueue | null): void {
    if (!this.world.fast['state-reuse']) return
    if (cc !== this.pristineCongestion && this.idleCongestion.length < MOST_IDLE) this.idleCongestion.push(cc)
    if (queue === null || this.idleQueues.length >= MOST_IDLE) return
    queue.trim()
    this.idleQueues.push(queue)
  }

  newSendQueue(): SendQueue {
    return this.idleQueues.pop() ?? new SendQueue()
  }

  newTimer(owner: TimerOwner, kind: number): Timer {
    return this.idleTimers.pop()?.give(owner, kind) ?? new Timer(owner, kind)
  }

  /** Takes a timer off the wheel, and back: nobody else has it any more. */
  recycleTimer(timer: Timer): void {
    this.loop.timers.cancel(timer)
    if (!this.world.fast['state-reuse'] || this.idleTimers.length >= MOST_IDLE) return
    this.idleTimers.push(timer.give(null, 0))
  }

  /**
   * An initial sequence number: a clock of 4 µs plus a secret function of the pair of endpoints (RFC 6528 section 3).
   */
  initialSequence(local: IpAddress, localPort: number, remote: IpAddress, remotePort: number): number {
    const hash = this.hasher
      .resume(this.pairOf(local, remote).sequence)
      .word((localPort << 16) | remotePort)
      .end()
    return (hash + Math.floor(this.loop.now / 4)) | 0
  }

  /** What is added to the clock to make time stamps for a pair of hosts (RFC 7323 section 7.1). */
  timestampOffset(local: IpAddress, remote: IpAddress): number {
    return this.settings.tcp_timestamps === 1 ? this.pairOf(local, remote).timestampOffset : 0
  }

  /** What is secret about two addresses: of those asked for last, made but once. */
  private pairOf(local: IpAddress, remote: IpAddress): AddressPair {
    const at = pairPlace(local.w3 ^ local.w2, remote.w3 ^ remote.w2)
    const known = this.pairs[at]
    if (known?.remote.equals(remote) && known.local.equals(local)) return known
    const offset = hashAddresses(this.offsetHasher.start(), local, remote).end()
    const sequence = new SipHasher(0, 0, 0, 0).resume(hashAddresses(this.hasher.start(), local, remote))
    const made = { local, remote, timestampOffset: offset, sequence }
    if (this.world.fast['pair-hashes']) this.pairs[at] = made
    return made
  }

  /** Destination and source of a packet as objects that are there already; null for a pair that was not met of late. */
  knownPair(header: IpHeader): AddressPair | null {
    const { destination2, destination3, source2, source3 } = header
    const known = this.pairs[pairPlace(destination3 ^ destination2, source3 ^ source2)]
    if (known === undefined || !header.sourceIs(known.remote) || !header.destinationIs(known.local)) return null
    return known
  }

  /** Seconds since the world began: for time stamps that are kept for days. */
  get nowSeconds(): number {
    return Math.floor(this.loop.now / 1e6)
  }

  /** May another challenge ACK leave this second (RFC 5961 section 7)? */
  allowChallenge(): boolean {
    const limit = this.settings.tcp_challenge_ack_limit
    if (limit === 0x7fff_ffff) return true
    const second = this.nowSeconds
    if (second !== this.challengeSecond) {
      this.challengeSecond = second
      // Half fixed, half by chance, so that an outsider cannot count what others use up.
      this.challengesLeft = ((limit + 1) >> 1) + this.random.below(Math.max(1, limit))
    }
    if (this.challengesLeft === 0) return false
    this.challengesLeft--
    return true
  }

  /** Releases a frame that has been dealt with. */
  release(frame: Frame): void {
    this.world.frames.release(frame)
  }

  /** Releases a frame that is dropped, and counts why. */
  drop(frame: Frame, reason: number): void {
    this.mib.drops[reason]!++
    this.world.frames.release(frame)
  }

  /** A timer of a connection has fired. */
  fireTimer(c: TcpConnection, kind: number): void {
    fireTimer(c, kind)
  }

  /** Is memory for queues short for the whole host: above tcp_mem's second value, and until it is below the first? */
  get underPressure(): boolean {
    const [low, pressure] = this.settings.tcp_mem
    const pages = this.queuedBytes / PAGE
    if (pages > pressure && !this.isShort) {
      this.isShort = true
      this.shortSince = this.loop.now
      this.mib.tcpExt.TCPMemoryPressures++
    } else if (pages <= low && this.isShort) {
      this.isShort = false
      this.mib.tcpExt.TCPMemoryPressuresChrono += Math.floor((this.loop.now - this.shortSince) / MILLISECOND)
    }
    return this.isShort
  }

  /** Do the queues hold more than tcp_mem's third value? */
  get isOverLimit(): boolean {
    return this.queuedBytes > this.settings.tcp_mem[2] * PAGE
  }

  /**
   * Is there no memory for queues any more? An empty queue takes one
   * segment all the same, so that every connection gets on.
   */
  get isExhausted(): boolean {
    return this.isOverLimit && this.underPressure
  }
}

/** What connections between two addresses have in common. */
export interface AddressPair {
  readonly local: IpAddress
  readonly remote: IpAddress
  readonly timestampOffset: number
  /** The hash behind initial sequence numbers, as far as the addresses go: the ports come next. */
  readonly sequence: SipHasher
}

/** Where in `pairs` two addresses lie. */
const pairPlace = (local: number, remote: number): number =>
  (Math.imul(remote, 0x9e37_79b1) ^ Math.imul(local, 0x85eb_ca6b)) >>> 24

/** How many congestion states, send queues and timers wait at most for connections that need one. */
const MOST_IDLE = 64

/** What tcp_mem counts in, bytes. */
const PAGE = 4096

const hashAddresses = (hasher: SipHasher, local: IpAddress, remote: IpAddress): SipHasher =>
  hasher
    .word(local.w0)
    .word(local.w1)
    .word(local.w2)
    .word(local.w3)
    .word(remote.w0)
    .word(remote.w1)
    .word(remote.w2)
    .word(remote.w3)
