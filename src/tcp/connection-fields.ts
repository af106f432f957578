import type { Timer } from '../core/timer.ts'
import type { Arrivals } from './arrivals.ts'
import type { FastOpenAttempt } from './fast-open.ts'
import type { MtuSearch } from './mtu-probe.ts'
import type { Segment } from './segment.ts'
import { DERIVED_BITS, TupleEntry } from './tuple.ts'

/**
 * Fields of a connection that take no place of their own in each: small numbers in bits of one word, and what few
 * connections have in an object that the others share. A field takes
 * eight bytes, which counts where there are a million.
 */

/** Urgent data on the way in (RFC 9293 section 3.8.5, RFC 6093). */
export class UrgentState {
  /** Sequence number of the urgent byte. */
  seq = 0
  byte = 0
  /** Announced, here and not read, read or passed. */
  stage: 'announced' | 'here' | 'read' = 'announced'
}

/**
 * What is left of the handshake of a connection that was made from the SYN alone, and that exchanges data already (RFC
 * 7413 section 4.2.2).
 */
export interface PendingHandshake {
  /** A segment arrives. @returns `HANDSHAKE_PASSED` when the connection may have it, else as `receiveSegment` does */
  screen(segment: Segment): number
  /** The third message has come. */
  complete(segment: Segment): void
  /** The connection is over before. */
  abandon(): void
}

/** The segment is none of the handshake's business. */
export const HANDSHAKE_PASSED = -5

/** What few connections have. One that is never written serves all the others. */
export class SeldomState {
  softError = 0
  handshake: PendingHandshake | null = null
  fastOpen: FastOpenAttempt | null = null
  arrivals: Arrivals | null = null
  mtuSearch: MtuSearch | null = null
  urgent: UrgentState | null = null
  pacingTimer: Timer | null = null
  probesSinceMs = 0
  outOfOrderIn = 0
  lastInvalidAckMs = 0
}

/** Where the numbers lie in `TupleEntry.bits`, and the first bit of the connection's flags. */
const FEATURES = DERIVED_BITS
const SHUTDOWN = 6
const NAGLE = 8
const BUFFER_LOCKS = 11
const PENDING = 13
const OFFERED_SCALE = 16
export const CONNECTION_FLAGS = 20

/** The fields. */
export abstract class ConnectionFields extends TupleEntry {
  protected abstract readonly seldom: SeldomState
  /** Exponent of the back-off, and probes without an answer: 16 bits each. */
  protected abstract tries: number

  /** `seldom`, made the connection's own so that it may be written. */
  protected abstract ownSeldom(): SeldomState

  /** `Feature` bits. */
  get features(): number {
    return (this.bits >>> FEATURES) & 0x1f
  }

  set features(value: number) {
    this.bits = (this.bits & ~(0x1f << FEATURES)) | (value << FEATURES)
  }

  has(feature: number): boolean {
    return (this.bits & (feature << FEATURES)) !== 0
  }

  /** `Shutdown` bits. */
  get shutdown(): number {
    return (this.bits >>> SHUTDOWN) & 0x3
  }

  set shutdown(value: number) {
    this.bits = (this.bits & ~(0x3 << SHUTDOWN)) | (value << SHUTDOWN)
  }

  /** `Nagle` bits. */
  get nagle(): number {
    return (this.bits >>> NAGLE) & 0x7
  }

  set nagle(value: number) {
    this.bits = (this.bits & ~(0x7 << NAGLE)) | (value << NAGLE)
  }

  /** `BufferLock` bits. */
  get bufferLocks(): number {
    return (this.bits >>> BUFFER_LOCKS) & 0x3
  }

  set bufferLocks(value: number) {
    this.bits = (this.bits & ~(0x3 << BUFFER_LOCKS)) | (value << BUFFER_LOCKS)
  }

  /** What `retransmitTimer` runs for: one of `Pending`. */
  get pending(): number {
    return (this.bits >>> PENDING) & 0x7
  }

  set pending(value: number) {
    this.bits = (this.bits & ~(0x7 << PENDING)) | (value << PENDING)
  }

  /** The shift of our windows that our SYN offers, whether or not the peer agrees to it. */
  get offeredScale(): number {
    return (this.bits >>> OFFERED_SCALE) & 0xf
  }

  set offeredScale(value: number) {
    this.bits = (this.bits & ~(0xf << OFFERED_SCALE)) | (value << OFFERED_SCALE)
  }

  /** Exponent of the back-off. */
  get backoff(): number {
    return this.tries & 0xffff
  }

  set backoff(value: number) {
    this.tries = (this.tries & ~0xffff) | value
  }

  /** Probes without an answer. */
  get probes(): number {
    return this.tries >>> 16
  }

  set probes(value: number) {
    this.tries = (this.tries & 0xffff) | (value << 16)
  }

  /** The last error that did not end the connection. */
  get softError(): number {
    return this.seldom.softError
  }

  set softError(value: number) {
    if (value !== this.seldom.softError) this.ownSeldom().softError = value
  }

  /** The handshake of a connection that was made by fast open, until it is complete; null for all others. */
  get handshake(): PendingHandshake | null {
    return this.seldom.handshake
  }

  set handshake(value: PendingHandshake | null) {
    if (value !== this.seldom.handshake) this.ownSeldom().handshake = value
  }

  /** The fast open with which the application has opened it; null for an ordinary connection. */
  get fastOpen(): FastOpenAttempt | null {
    return this.seldom.fastOpen
  }

  set fastOpen(value: FastOpenAttempt | null) {
    if (value !== this.seldom.fastOpen) this.ownSeldom().fastOpen = value
  }

  /** When what is in the receive queue arrived, for who has asked; null for nobody. */
  get arrivals(): Arrivals | null {
    return this.seldom.arrivals
  }

  set arrivals(value: Arrivals | null) {
    if (value !== this.seldom.arrivals) this.ownSeldom().arrivals = value
  }

  /** The search for the path MTU by probes; null where the host does none. */
  get mtuSearch(): MtuSearch | null {
    return this.seldom.mtuSearch
  }

  set mtuSearch(value: MtuSearch | null) {
    if (value !== this.seldom.mtuSearch) this.ownSeldom().mtuSearch = value
  }

  /** Urgent data that has been announced; null for none. */
  get urgent(): UrgentState | null {
    return this.seldom.urgent
  }

  set urgent(value: UrgentState | null) {
    if (value !== this.seldom.urgent) this.ownSeldom().urgent = value
  }

  /** When what is paced may leave. */
  get pacingTimer(): Timer | null {
    return this.seldom.pacingTimer
  }

  set pacingTimer(value: Timer | null) {
    if (value !== this.seldom.pacingTimer) this.ownSeldom().pacingTimer = value
  }

  /** When the first probe that was not answered left: milliseconds modulo 2^32; 0 for none. */
  get probesSinceMs(): number {
    return this.seldom.probesSinceMs
  }

  set probesSinceMs(value: number) {
    if (value !== this.seldom.probesSinceMs) this.ownSeldom().probesSinceMs = value
  }

  /** Segments that came out of order. */
  get outOfOrderIn(): number {
    return this.seldom.outOfOrderIn
  }

  set outOfOrderIn(value: number) {
    if (value !== this.seldom.outOfOrderIn) this.ownSeldom().outOfOrderIn = value
  }

  /** When the last out-of-window segment was answered: milliseconds modulo 2^32. */
  get lastInvalidAckMs(): number {
    return this.seldom.lastInvalidAckMs
  }

  set lastInvalidAckMs(value: number) {
    if (value !== this.seldom.lastInvalidAckMs) this.ownSeldom().lastInvalidAckMs = value
  }
}
