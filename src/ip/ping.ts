import { Errno } from '../core/errno.ts'
import { Timer, type TimerOwner } from '../core/timer.ts'
import { IpAddress } from '../wire/address.ts'
import { emitIcmp, ICMP_HEADER, IcmpType } from '../wire/icmp.ts'
import { emitIcmpv6, Icmpv6Type } from '../wire/icmpv6.ts'
import { type IpHeader, IpProtocol, MAX_PACKET } from '../wire/ip.ts'
import { IPV4_MIN_HEADER } from '../wire/ipv4.ts'
import type { Destination } from './destination.ts'
import type { EchoListener } from './echo.ts'
import type { NetworkInterface } from './interface.ts'
import { SendFlag } from './output.ts'
import type { IcmpError } from './protocol.ts'
import type { IpStack } from './stack.ts'

/** How to ping; all has a default. */
export interface PingOptions {
  /** Requests to send; without end unless given. */
  readonly count?: number
  /** Milliseconds between requests: 1000. */
  readonly interval?: number
  /** Milliseconds to wait for each answer: 1000. */
  readonly timeout?: number
  /** Bytes of data in each request: 56. */
  readonly size?: number
  /** TTL or hop limit; the host's default. */
  readonly hopLimit?: number
  readonly trafficClass?: number
  readonly source?: IpAddress
  readonly interface?: NetworkInterface
  /** Must requests not be fragmented (`ping -M do`)? */
  readonly dontFragment?: boolean
  /** The identifier in requests, drawn at random unless given. */
  readonly identifier?: number
  /** Called for everything that happens to a request. */
  readonly onEvent?: (event: PingEvent) => void
  /** Called when the last request has been answered, or given up. */
  readonly onDone?: () => void
}

/** What has happened to one request. Times in microseconds. */
export type PingEvent =
  | {
      readonly kind: 'reply'
      readonly sequence: number
      readonly time: number
      readonly from: IpAddress
      readonly hopLimit: number
      /** ICMP message with header, bytes. */
      readonly bytes: number
      readonly duplicate: boolean
    }
  | {
      readonly kind: 'error'
      readonly sequence: number
      /** Time until the error came. */
      readonly time: number
      readonly from: IpAddress
      readonly type: number
      readonly code: number
      readonly errno: number
      readonly mtu: number
    }
  | { readonly kind: 'timeout'; readonly sequence: number }
  /** It could not be sent; `errno` is positive. */
  | { readonly kind: 'unsent'; readonly sequence: number; readonly errno: number }

const SEND = 0
const WAIT = 1

/** Sends echo requests and tells what becomes of them: ping(8), and with `hopLimit` the steps of traceroute(8). */
export class Ping implements EchoListener, TimerOwner {
  sent = 0
  received = 0
  duplicates = 0
  errors = 0
  /** Round-trip times, microseconds. */
  minimum = Number.POSITIVE_INFINITY
  maximum = 0
  private sum = 0
  private squares = 0
  private readonly stack: IpStack
  private readonly destination: IpAddress
  private readonly options: PingOptions
  private readonly identifier: number
  private readonly sending = new Timer(this, SEND)
  private readonly waiting = new Timer(this, WAIT)
  /** When the requests went that nothing has been heard of, by sequence, in order. */
  private readonly outstanding = new Map<number, number>()
  private readonly answered = new Set<number>()
  private running = false

  constructor(stack: IpStack, destination: IpAddress, options: PingOptions = {}) {
    this.stack = stack
    this.destination = destination
    this.options = options
    this.identifier = options.identifier ?? stack.random.below(0x1_0000)
  }

  /** Mean round-trip time, microseconds; 0 before the first answer. */
  get mean(): number {
    return this.received === 0 ? 0 : this.sum / this.received
  }

  /** Mean deviation as ping prints it: the standard deviation of round-trip times, microseconds. */
  get deviation(): number {
    return this.received === 0 ? 0 : Math.sqrt(Math.max(0, this.squares / this.received - this.mean ** 2))
  }

  get isRunning(): boolean {
    return this.running
  }

  /** Sends the first request now. @returns false when the identifier is in use */
  start(): boolean {
    if (this.running || !this.protocol.echoes.add(this.identifier, this)) return false
    this.running = true
    this.stack.world.loop.refresh()
    this.sendNext()
    return true
  }

  /** Stops; answers that come later are not heard. */
  stop(): void {
    if (!this.running) return
    this.running = false
    const { timers } = this.stack.world.loop
    timers.cancel(this.sending)
    timers.cancel(this.waiting)
    this.protocol.echoes.remove(this.identifier)
  }

  onTimer(kind: number): void {
    if (kind === SEND) this.sendNext()
    else this.giveUp()
  }

  echoReply(header: IpHeader, sequence: number, start: number, end: number): void {
    const duplicate = this.answered.has(sequence)
    const sentAt = this.outstanding.get(sequence)
    if (sentAt === undefined && !duplicate) return
    const time = this.stack.world.loop.now - (sentAt ?? this.stack.world.loop.now)
    if (duplicate) this.duplicates++
    else {
      this.received++
      this.sum += time
      this.squares += time * time
      this.minimum = Math.min(this.minimum, time)
      this.maximum = Math.max(this.maximum, time)
      this.answered.add(sequence)
    }
    const { hopLimit } = header
    const bytes = ICMP_HEADER + end - start
    this.settle(sequence, { kind: 'reply', sequence, time, from: header.source, hopLimit, bytes, duplicate })
  }

  echoError(error: IcmpError, sequence: number): void {
    const sentAt = this.outstanding.get(sequence)
    if (sentAt === undefined) return
    const { type, code, errno, mtu } = error
    this.errors++
    // It is about a request that was sent: what it says of the path can be believed.
    if (errno === Errno.EMSGSIZE) this.stack.updatePathMtu(this.destination, mtu, this.options.interface ?? null)
    const from = new IpAddress(error.reporter0, error.reporter1, error.reporter2, error.reporter3)
    const time = this.stack.world.loop.now - sentAt
    this.settle(sequence, { kind: 'error', sequence, time, from, type, code, errno, mtu })
  }

  private get protocol(): IpStack['icmp'] | IpStack['icmpv6'] {
    return this.destination.isIpv4 ? this.stack.icmp : this.stack.icmpv6
  }

  private sendNext(): void {
    const { options, stack } = this
    const { loop } = stack.world
    // Sequence numbers count from 1, and come round.
    const sequence = (this.sent + 1) & 0xffff
    this.sent++
    this.answered.delete(sequence)
    const result = this.sendRequest(sequence)
    if (result === 0) {
      this.outstanding.set(sequence, loop.now)
      this.watch()
    } else {
      this.errors++
      options.onEvent?.({ kind: 'unsent', sequence, errno: -result })
    }
    if (!this.running) return
    if (this.sent < (options.count ?? Number.POSITIVE_INFINITY)) {
      loop.timers.schedule(this.sending, loop.now + (options.interval ?? 1000) * 1000)
    } else this.finishIfDone()
  }

  private sendRequest(sequence: number): number {
    const { options, stack, destination } = this
    const way = stack.resolve(destination, options.source ?? null, options.interface ?? null)
    if (typeof way === 'number') return way
    const size = options.size ?? 56
    const frame = size <= MOST_DATA ? stack.world.frames.allocate(ICMP_HEADER + size) : null
    if (frame === null) return size <= MOST_DATA ? -Errno.ENOBUFS : -Errno.EMSGSIZE
    const { u8 } = stack.world.memory
    frame.end = frame.start + ICMP_HEADER + size
    for (let i = 0; i < size; i++) u8[frame.start + ICMP_HEADER + i] = i
    this.write(way, frame.start, frame.end, sequence)
    const flags = options.dontFragment === true ? SendFlag.DontFragment : 0
    const protocol = destination.isIpv4 ? IpProtocol.Icmp : IpProtocol.Icmpv6
    const hopLimit = options.hopLimit ?? (way.kind === 'multicast' ? 1 : 0)
    return stack.send(frame, way, way.source, protocol, hopLimit, options.trafficClass ?? 0, flags)
  }

  private write(way: Destination, start: number, end: number, sequence: number): void {
    const { stack } = this
    const { memory } = stack.world
    if (this.destination.isIpv4) {
      const { out } = stack.icmp
      out.type = IcmpType.Echo
      out.code = 0
      out.identifier = this.identifier
      out.sequence = sequence
      emitIcmp(out, memory, start, end)
      stack.icmp.countOut(IcmpType.Echo)
      return
    }
    const { out } = stack.icmpv6
    out.type = Icmpv6Type.EchoRequest
    out.code = 0
    out.identifier = this.identifier
    out.sequence = sequence
    const { tx } = stack
    tx.version = 6
    tx.source = way.source
    tx.destination = way.address
    emitIcmpv6(out, tx, memory, start, end)
    stack.icmpv6.countOut(Icmpv6Type.EchoRequest)
  }

  /** Something was heard of a request. */
  private settle(sequence: number, event: PingEvent): void {
    this.outstanding.delete(sequence)
    this.watch()
    this.options.onEvent?.(event)
    this.finishIfDone()
  }

  /** Gives up what has waited too long. */
  private giveUp(): void {
    const { loop } = this.stack.world
    const since = loop.now - this.patience
    for (const [sequence, sentAt] of this.outstanding) {
      if (sentAt > since) break
      this.outstanding.delete(sequence)
      this.options.onEvent?.({ kind: 'timeout', sequence })
    }
    this.watch()
    this.finishIfDone()
  }

  private get patience(): number {
    return (this.options.timeout ?? 1000) * 1000
  }

  private watch(): void {
    if (!this.running) return
    const { timers } = this.stack.world.loop
    timers.cancel(this.waiting)
    for (const sentAt of this.outstanding.values()) {
      timers.schedule(this.waiting, sentAt + this.patience)
      return
    }
  }

  private finishIfDone(): void {
    if (!this.running || this.outstanding.size > 0) return
    if (this.sent < (this.options.count ?? Number.POSITIVE_INFINITY)) return
    this.stop()
    this.options.onDone?.()
  }
}

/** Data bytes of the largest echo request: what an IPv4 packet holds beside its headers. */
const MOST_DATA = MAX_PACKET - IPV4_MIN_HEADER - ICMP_HEADER
