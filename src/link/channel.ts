import type { Micros } from '../core/clock.ts'
import { type Frame, FrameChecksum, FrameQueue } from '../core/frame.ts'
import { Task } from '../core/loop.ts'
import { Timer, type TimerOwner } from '../core/timer.ts'
import type { World } from '../core/world.ts'
import { Drop } from '../wire/drop.ts'
import { ETHERNET_FCS, ETHERNET_HEADER, ETHERNET_MIN_FRAME, emitFcs, padEthernet, verifyFcs } from '../wire/ethernet.ts'
import { type Impairment, type ImpairmentOptions, parseImpairment } from './impairment.ts'
import { ImpairmentChance } from './impairment-chance.ts'
import type { LinkFeatures, LinkPort } from './port.ts'
import { finishChecksum, packetLength, splitSegments } from './segmentation.ts'
import { ChannelStatistics } from './statistics.ts'

/** What becomes of a frame that a filter has seen: `hold` keeps it until `Channel.releaseHeld`. */
export type Verdict = 'pass' | 'drop' | 'hold'

/**
 * A rule of a scenario: looks at a frame, whose bytes lie in the world's memory, and says what becomes of it. It may
 * change the bytes and take the channel down, but must neither keep the frame nor send on the channel.
 */
export type FrameFilter = (frame: Frame) => Verdict

/** Frames delivered in one run, before other tasks get their turn. */
const LINK_BATCH = 64
/** Preamble 8, frame check sequence 4, gap 12 (IEEE 802.3 sections 3.2 and 4.4.2). */
const ETHERNET_OVERHEAD = 24

/**
 * One direction of a link: takes frames at one end and delivers them at the other, later in the turn or when their time
 * has come, and does to them on the way what its `Impairment` says:
 *
 *     send -> cut, MTU, filter -> queue -> transmit at `rate` -> loss, copies, flipped bits -> delay -> deliver
 *                           |                                                            |
 *                         held                                                  held back to reorder
 *
 * Frames keep their order, whatever the jitter, save for those that are held back. Times are exact: a frame that starts
 * transmission at `t` is delivered at t + bits / rate + delay, however late the loop looked in between.
 *
 * A channel with nothing to do to its frames (`plain`) puts them in a queue and itself in the run loop, no more.
 */
export class Channel extends Task implements TimerOwner {
  readonly statistics = new ChannelStatistics()
  readonly features: LinkFeatures
  /** Told of every frame that is dropped, and why (a `Drop`), before it goes. */
  readonly dropTaps: ((frame: Frame, reason: number) => void)[] = []
  private readonly world: World
  private readonly to: LinkPort
  private readonly chance: ImpairmentChance
  private readonly timer = new Timer(this, 0)
  /** On their way, by time of arrival, which is in `frame.time`. */
  private readonly flight = new FrameQueue()
  /** On their way too, but held back so that later ones overtake; by time of arrival. */
  private readonly late = new FrameQueue()
  /** Waiting for the rate; the first is being transmitted. */
  private readonly transmit = new FrameQueue()
  /** Kept by the filter. */
  private readonly kept = new FrameQueue()
  /** Segments that a frame has just been cut into. */
  private readonly segments = new FrameQueue()

  private current: Impairment = parseImpairment({})
  private rule: FrameFilter | null = null
  private up = true
  /** Does every frame simply go on: no impairment, no filter, no check sequence, none before it that is not due yet? */
  private plain = true
  /** The longest frame that needs no closer look, and whether its marks need none either. */
  private readonly plainLength: number
  private readonly takesMarks: boolean
  private readonly batch: number
  /** When the frame being transmitted will be through: `transmitStart` + `transmitBits` / rate. */
  private departure: Micros = Number.POSITIVE_INFINITY
  /** When the rate last began to work without a pause, and the bits since then. */
  private transmitStart: Micros = 0
  private transmitBits = 0
  /** The latest arrival of any frame that was not held back. */
  private lastArrival: Micros = 0
  /** The latest arrival of any frame that was. */
  private lastLate: Micros = 0

  /**
   * @param label names the channel's source of chance; no two channels of a world should have the same
   * @param to the port at which frames arrive
   */
  constructor(world: World, label: string, features: LinkFeatures, to: LinkPort) {
    super()
    this.world = world
    this.features = features
    this.to = to
    this.chance = new ImpairmentChance(world.random.fork(label))
    this.plainLength = features.medium === 'ethernet' ? features.mtu + ETHERNET_HEADER : features.mtu
    this.takesMarks = features.checksumOffload && features.maxSegmentedPacket > 0
    this.batch = world.fast.batches ? LINK_BATCH : 1
    this.setPlain()
  }

  /** Frames that are under way: neither delivered nor dropped yet. */
  get inFlight(): number {
    return this.flight.length + this.late.length + this.transmit.length + this.kept.length
  }

  /** Frames that wait now behind the one being transmitted. */
  get queued(): number {
    this.advance(this.refresh())
    return Math.max(0, this.transmit.length - 1)
  }

  /** Bytes that wait now behind the frame being transmitted. */
  get queuedBytes(): number {
    this.advance(this.refresh())
    return this.waitingBytes
  }

  private get waitingBytes(): number {
    const first = this.transmit.first
    return first === null ? 0 : this.transmit.bytes - (first.end - first.start)
  }

  /** Frames that the filter has put on hold. */
  get held(): number {
    return this.kept.length
  }

  /** What the channel does to frames now. */
  get impairment(): Impairment {
    return this.current
  }

  /** Sees every frame first, segment by segment; null for none. */
  get filter(): FrameFilter | null {
    return this.rule
  }

  set filter(filter: FrameFilter | null) {
    this.rule = filter
    this.setPlain()
  }

  /** Does the channel carry anything? */
  get isUp(): boolean {
    return this.up
  }

  /**
   * Sets what the channel does to frames from now on, in place of what it did. Frames under way keep their time of
   * arrival; the rest of the queue goes at the new rate.
   * @throws TypeError with one line that names the wrong field
   */
  impair(options: ImpairmentOptions): void {
    const next = parseImpairment(options)
    const now = this.refresh()
    const before = this.current
    this.advance(now)
    this.current = next
    if (next.burst === null) this.chance.endBurst()
    if (this.transmit.length > 0) {
      this.transmitBits = ((this.departure - now) * before.rate) / 1e6
      this.transmitStart = now
      this.departure = next.rate === 0 ? now : now + (this.transmitBits * 1e6) / next.rate
      this.advance(now)
    }
    this.setPlain()
    this.arm(now)
  }

  /** Takes the channel up or down. Going down loses what is under way; while down, what is sent vanishes. */
  setUp(up: boolean): void {
    if (up === this.up) return
    this.up = up
    this.advance(this.refresh())
    if (!up) {
      this.dropAll(this.transmit)
      this.dropAll(this.flight)
      this.dropAll(this.late)
      this.departure = Number.POSITIVE_INFINITY
      this.lastArrival = 0
      this.lastLate = 0
      this.world.loop.timers.cancel(this.timer)
    }
    this.setPlain()
  }

  /**
   * Sends on the first `count` frames, or all, that the filter has put on hold, in order, behind what was sent before.
   */
  releaseHeld(count = Number.POSITIVE_INFINITY): void {
    const now = this.refresh()
    for (let left = Math.min(count, this.kept.length); left > 0; left--) {
      const frame = this.kept.shift()!
      if (this.up) this.enqueue(frame, now)
      else this.drop(frame, Drop['link-down'])
    }
    this.arm(now)
  }

  /** Drops the first `count` frames, or all, that the filter has put on hold. */
  dropHeld(count = Number.POSITIVE_INFINITY): void {
    for (let left = Math.min(count, this.kept.length); left > 0; left--) {
      this.drop(this.kept.shift()!, Drop['link-filter'])
    }
  }

  /** Takes a frame; it is the channel's from now on. Nothing is delivered before this returns. */
  send(frame: Frame): void {
    const length = frame.end - frame.start
    if (
      this.plain &&
      length <= this.plainLength &&
      (this.takesMarks || (frame.segmentSize === 0 && frame.checksum !== FrameChecksum.Partial))
    ) {
      const statistics = this.statistics
      statistics.sent++
      statistics.sentBytes += length
      frame.time = this.world.loop.now
      this.flight.push(frame)
      if (!this.posted) this.world.loop.post(this)
    } else this.consider(frame)
  }

  override run(): void {
    if (!this.plain) {
      this.runTimed()
      return
    }
    const flight = this.flight
    // The receiver may impair the channel, or take it down.
    for (let left = Math.min(flight.length, this.batch); left > 0 && this.plain; left--) {
      const frame = flight.shift()
      if (frame === null) return
      this.deliver(frame)
    }
    if (flight.length > 0) this.world.loop.post(this)
  }

  onTimer(): void {
    this.world.loop.post(this)
  }

  private refresh(): Micros {
    this.world.loop.refresh()
    return this.world.loop.now
  }

  private setPlain(): void {
    this.plain =
      this.world.fast['plain-links'] &&
      this.up &&
      this.current.none &&
      this.rule === null &&
      !this.features.fcs &&
      this.late.length === 0 &&
      (this.flight.length === 0 || this.lastArrival <= this.world.loop.now)
  }

  private drop(frame: Frame, reason: number): void {
    this.statistics.drops[reason]!++
    for (let i = 0; i < this.dropTaps.length; i++) this.dropTaps[i]!(frame, reason)
    this.world.frames.release(frame)
  }

  private dropAll(queue: FrameQueue): void {
    for (let frame = queue.shift(); frame !== null; frame = queue.shift()) this.drop(frame, Drop['link-down'])
  }

  /** The way of a frame that is not simply passed on: cuts it if need be. */
  private consider(frame: Frame): void {
    const { features, current, world } = this
    const length = packetLength(world.memory, frame, features.medium)
    const whole =
      frame.segmentSize === 0 ||
      (length <= features.maxSegmentedPacket && !current.perSegment && this.rule === null && !features.fcs)
    if (whole || !this.up) {
      this.enter(frame, length)
      return
    }
    const segments = this.segments
    const reason = splitSegments(world, frame, Math.min(features.mtu, current.mtu), segments)
    if (reason !== Drop.none) {
      this.count(frame)
      this.drop(frame, reason)
      return
    }
    for (let segment = segments.shift(); segment !== null; segment = segments.shift()) this.enter(segment, 0)
  }

  private count(frame: Frame): void {
    this.statistics.sent++
    this.statistics.sentBytes += frame.end - frame.start
  }

  /** Takes in a frame that is not to be cut. @param packet bytes of its IP packet */
  private enter(frame: Frame, packet: number): void {
    const { features, current, world } = this
    this.count(frame)
    if (!this.up) {
      this.drop(frame, Drop['link-down'])
      return
    }
    const most = frame.segmentSize > 0 ? features.maxSegmentedPacket : Math.min(features.mtu, current.mtu)
    if (packet > most) {
      this.drop(frame, Drop['link-mtu'])
      return
    }
    if (frame.checksum === FrameChecksum.Partial && (!features.checksumOffload || features.fcs)) {
      finishChecksum(world.memory, frame)
    }
    const verdict = this.rule === null ? 'pass' : this.rule(frame)
    if (verdict === 'drop') this.drop(frame, Drop['link-filter'])
    else if (!this.up) this.drop(frame, Drop['link-down'])
    else if (verdict === 'hold') this.kept.push(frame)
    else {
      const now = world.loop.now
      this.enqueue(frame, now)
      this.arm(now)
    }
  }

  /** Puts a frame behind those that wait for the rate, or straight on its way when there is none. */
  private enqueue(frame: Frame, now: Micros): void {
    const { current, transmit, statistics } = this
    if (current.rate === 0) {
      this.depart(frame, now)
      return
    }
    this.advance(now)
    if (transmit.length === 0) {
      transmit.push(frame)
      this.transmitStart = now
      this.transmitBits = this.wireBits(frame)
      this.departure = now + (this.transmitBits * 1e6) / current.rate
      return
    }
    const queuedBytes = this.waitingBytes + frame.end - frame.start
    const queued = transmit.length
    if (queued > current.queue || queuedBytes > current.queueBytes) {
      this.drop(frame, Drop['link-queue-full'])
      return
    }
    transmit.push(frame)
    if (queued > statistics.peakQueued) statistics.peakQueued = queued
    if (queuedBytes > statistics.peakQueuedBytes) statistics.peakQueuedBytes = queuedBytes
  }

  /** Bits that a frame takes on the wire. */
  private wireBits(frame: Frame): number {
    const length = frame.end - frame.start
    const overhead = this.current.overhead
    if (this.features.medium === 'ip') return (length + Math.max(0, overhead)) * 8
    return (Math.max(length, ETHERNET_MIN_FRAME) + (overhead < 0 ? ETHERNET_OVERHEAD : overhead)) * 8
  }

  /** Puts on their way the frames that are through transmission by `now`, each at its own time. */
  private advance(now: Micros): void {
    const transmit = this.transmit
    while (this.departure <= now) {
      const departure = this.departure
      const frame = transmit.shift()!
      const next = transmit.first
      if (next === null) this.departure = Number.POSITIVE_INFINITY
      else if (this.current.rate > 0) {
        // Summed as bits, so that no rounding adds up over a long busy time.
        this.transmitBits += this.wireBits(next)
        this.departure = this.transmitStart + (this.transmitBits * 1e6) / this.current.rate
      }
      this.depart(frame, departure)
    }
  }

  /** What happens to a frame on the wire, which it enters at `at`. */
  private depart(frame: Frame, at: Micros): void {
    const current = this.current
    if (current.none) {
      this.launch(frame, at)
      return
    }
    if (this.chance.loses(current)) {
      this.drop(frame, Drop['link-loss'])
      return
    }
    const copy = this.chance.happens(current.duplicate) ? this.world.frames.copy(frame) : null
    this.launch(frame, at)
    if (copy !== null) {
      this.statistics.duplicated++
      this.launch(copy, at)
    }
  }

  /** Gives a frame its time of arrival and its place among those under way. */
  private launch(frame: Frame, at: Micros): void {
    const current = this.current
    if (this.chance.happens(current.corrupt)) this.corrupt(frame)
    else if (this.features.fcs) this.appendFcs(frame)
    let arrival = at + current.delay
    if (current.jitter > 0) arrival = Math.max(at, arrival + current.jitter * this.chance.deviation(current.normal))
    if (this.chance.happens(current.reorder)) {
      this.statistics.reordered++
      // Among themselves those held back keep their order.
      this.lastLate = Math.max(arrival + current.reorderDelay, this.lastLate)
      frame.time = this.lastLate
      this.late.push(frame)
    } else {
      if (arrival > this.lastArrival) this.lastArrival = arrival
      frame.time = this.lastArrival
      this.flight.push(frame)
    }
  }

  /**
   * Flips bits anywhere in the frame, its check sequence included, once all checksums in it are what they should be.
   */
  private corrupt(frame: Frame): void {
    const { world } = this
    finishChecksum(world.memory, frame)
    if (this.features.fcs) this.appendFcs(frame)
    this.statistics.corrupted++
    this.chance.flipBits(world.memory, frame, this.current.corruptBits)
  }

  /** Makes of the frame what a sender puts on the wire: padded to the least size, and with its check sequence. */
  private appendFcs(frame: Frame): void {
    const memory = this.world.memory
    frame.end = emitFcs(memory, frame.start, padEthernet(memory, frame.start, frame.end))
  }

  /** Takes the check sequence off. @returns whether it was right */
  private stripFcs(frame: Frame): boolean {
    if (!verifyFcs(this.world.memory, frame.start, frame.end)) return false
    frame.end -= ETHERNET_FCS
    return true
  }

  /** Delivers what has arrived by now, and sees to it that the channel is called again when the next thing happens. */
  private runTimed(): void {
    const { flight, late } = this
    const now = this.world.loop.now
    this.advance(now)
    for (let left = Math.min(this.batch, flight.length + late.length); left > 0; left--) {
      const frame = this.nextArrival(now)
      if (frame === null) break
      if (this.features.fcs && !this.stripFcs(frame)) {
        this.drop(frame, Drop['eth-fcs'])
        this.to.user?.damaged?.()
      } else this.deliver(frame)
    }
    if (this.current.none) this.setPlain()
    this.arm(now)
  }

  /** Takes out the frame that arrives first, if it has by `now`. */
  private nextArrival(now: Micros): Frame | null {
    const first = this.flight.first
    const late = this.late.first
    // Of two that arrive together the one held back was sent first.
    if (late !== null && late.time <= now && (first === null || late.time <= first.time)) return this.late.shift()
    return first !== null && first.time <= now ? this.flight.shift() : null
  }

  /**
   * Asks to be called when the next frame departs or arrives: by the loop if that is now, else by the timer. Where a
   * frame that departs does no more than arrive later, its arrival is soon enough.
   */
  private arm(now: Micros): void {
    const { current } = this
    let next = current.even ? this.departure + current.delay : this.departure
    const first = this.flight.first
    if (first !== null && first.time < next) next = first.time
    const late = this.late.first
    if (late !== null && late.time < next) next = late.time
    if (next <= now) this.world.loop.post(this)
    else if (next === Number.POSITIVE_INFINITY) this.world.loop.timers.cancel(this.timer)
    else if (next !== this.timer.deadline) this.world.loop.timers.schedule(this.timer, next)
  }

  private deliver(frame: Frame): void {
    const { user, taps } = this.to
    if (user === null) {
      this.drop(frame, Drop['link-no-receiver'])
      return
    }
    if (taps.length > 0) for (let i = 0; i < taps.length; i++) taps[i]!.frame(frame, false)
    const statistics = this.statistics
    statistics.delivered++
    statistics.deliveredBytes += frame.end - frame.start
    user.receive(frame)
  }
}
