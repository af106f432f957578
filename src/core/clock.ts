/** A time or a length of time in microseconds. */
export type Micros = number

/** What tells the time. Every host, link and timer asks this and nothing else. */
export interface Clock {
  /** Microseconds since the world began; never goes back. */
  now(): Micros
  /** The wall clock at world time 0, in microseconds since 1970-01-01T00:00:00Z. For what people and captures read. */
  readonly epoch: Micros
}

/** A clock that stands still until it is told otherwise: the clock of simulations and tests. */
export class VirtualClock implements Clock {
  readonly epoch: Micros
  #now: Micros = 0

  /** @param epoch wall-clock time of world time 0, microseconds since 1970; 2026-01-01T00:00:00Z unless given */
  constructor(epoch: Micros = 1_767_225_600_000_000) {
    this.epoch = epoch
  }

  now(): Micros {
    return this.#now
  }

  /** Sets the clock forward to `time`; a time in the past leaves it where it is. */
  advanceTo(time: Micros): void {
    if (time > this.#now) this.#now = time
  }
}

/**
 * The time of day as one machine tells it: the world's, plus what its clock is off. Only what programs read and write
 * down goes by it; timers and protocols go by the world's time, as they go by a monotonic clock elsewhere.
 */
export class WallClock {
  private readonly clock: Clock
  /** What it was off at world time `since`, and by how much more each microsecond. */
  private offset: Micros = 0
  private since: Micros = 0
  private drift = 0

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** What it shows at a world time: microseconds since 1970-01-01T00:00:00Z. */
  at(time: Micros): Micros {
    return this.clock.epoch + time + this.offset + (time - this.since) * this.drift
  }

  /** Sets it forward, or back when negative. */
  step(by: Micros): void {
    this.offset += by
  }

  /** Lets it run too fast from now on, by so many microseconds a second (parts per million), or too slow. */
  setDrift(ppm: number): void {
    const now = this.clock.now()
    this.offset += (now - this.since) * this.drift
    this.since = now
    this.drift = ppm / 1e6
  }
}

export const MILLISECOND: Micros = 1_000
export const SECOND: Micros = 1_000_000
export const MINUTE: Micros = 60_000_000

/** Milliseconds to microseconds. */
export const ms = (milliseconds: number): Micros => milliseconds * MILLISECOND

/** Seconds to microseconds. */
export const seconds = (s: number): Micros => s * SECOND
