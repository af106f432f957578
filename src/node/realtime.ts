import type { Clock, Micros } from '../core/clock.ts'
import type { Loop } from '../core/loop.ts'
import { LONGEST_DELAY } from './app-timers.ts'

/**
 * A moment, by the clock of day and by the one that only goes
 * forward: clocks of several threads agree that know the same.
 */
export interface ClockOrigin {
  /** Microseconds since 1970. */
  readonly epoch: Micros
  /** `process.hrtime.bigint()` then. */
  readonly at: bigint
}

export const clockOrigin = (): ClockOrigin => ({ epoch: Date.now() * 1000, at: process.hrtime.bigint() })

/** The machine's clock. World time 0 is when it was made. */
export class RealClock implements Clock {
  readonly epoch: Micros
  /** Asked in place of `performance`, which makes sure each time that it is what it is. */
  readonly #hrtime = process.hrtime
  readonly #start = process.hrtime()

  /**
   * @param origin what clocks of other threads were given, if they are to agree on the time of day to the microsecond
   */
  constructor(origin?: ClockOrigin) {
    this.epoch =
      origin === undefined ? Date.now() * 1000 : origin.epoch + Number(process.hrtime.bigint() - origin.at) / 1000
  }

  /** Microseconds, with fractions; steps of the wall clock do not move it. */
  now(): Micros {
    const time = this.#hrtime()
    const start = this.#start
    return (time[0] - start[0]) * 1e6 + (time[1] - start[1]) / 1000
  }
}

/** Tasks run before the driver looks at the clock. */
const TASKS = 64
/**
 * Of so many turns, a power of two, one is timed, for all of them: to read the clock takes a good part of a short one.
 * And so is, for itself, each that begins so many microseconds after the one before, or more: they may be long.
 */
const SAMPLED = 16
const LONG: Micros = 200
/** How long turns may keep Node from its own work, microseconds. */
const SLICE: Micros = 2000
/** Turns, at the most, that take place as microtasks before Node gets its turn. */
const MICROTURNS = 64
const SETTLED = Promise.resolve()

/**
 * Drives a world's loop in real time, in Node's event loop. Work that comes up outside a turn is done in a microtask,
 * before Node goes on to anything else; a turn that has more to do than `SLICE` allows, and work that keeps coming,
 * go on with `setImmediate`, after Node has seen to its own sockets and timers. In between the driver sleeps until the
 * world's next timer, to the millisecond.
 *
 * Sleeping does not keep the process alive, unless `ref` says so; work that is there now is done in any case.
 */
export class RealTimeDriver {
  readonly #loop: Loop
  readonly #turn: () => void
  readonly #turnImmediate: () => void
  /** Turns that may take place as microtasks before Node gets its turn. */
  readonly #microturns: number
  #closed = false
  /** Has a turn been arranged? */
  #arranged = false
  /** Turns since Node last got its turn, and the time they took, microseconds. */
  #turns = 0
  #spent = 0
  /** When the last turn began: the loop's `now32`. */
  #began = 0
  #immediate: NodeJS.Immediate | null = null
  #timer: NodeJS.Timeout | null = null
  /** World time at which `#timer` fires. */
  #wake: Micros = Number.POSITIVE_INFINITY
  #keepAlive: NodeJS.Timeout | null = null

  constructor(loop: Loop) {
    this.#loop = loop
    this.#microturns = loop.fast.microturns ? MICROTURNS : 0
    this.#turn = () => this.#attempt(false)
    this.#turnImmediate = () => {
      this.#immediate = null
      this.#turns = 0
      this.#spent = 0
      this.#run()
    }
    loop.onWork = () => this.#arrange()
    if (loop.fast['call-turns']) {
      loop.onCall = () => {
        if (this.#mayTurn()) this.#attempt(true)
        else this.#arrange()
      }
    }
    this.#arrange()
  }

  /** Keeps the process alive from now on. */
  ref(): this {
    if (!this.#closed) this.#keepAlive ??= setInterval(() => {}, LONGEST_DELAY)
    return this
  }

  /** Lets the process end when nothing else keeps it. */
  unref(): this {
    if (this.#keepAlive !== null) clearInterval(this.#keepAlive)
    this.#keepAlive = null
    return this
  }

  /** Lets go of the loop: nothing in its world moves by itself any more. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#loop.onWork = null
    this.#loop.onCall = null
    this.unref()
    this.#disarm()
    if (this.#immediate !== null) clearImmediate(this.#immediate)
    this.#immediate = null
  }

  /** Has a turn take place soon. */
  #arrange(): void {
    if (this.#arranged || this.#closed) return
    this.#arranged = true
    // Not `queueMicrotask`: what that keeps for async_hooks takes longer than the rest of a turn's beginning.
    if (this.#mayTurn()) void SETTLED.then(this.#turn)
    else this.#immediate = setImmediate(this.#turnImmediate)
  }

  /** May a turn take place before Node has got its own? */
  #mayTurn(): boolean {
    return this.#turns < this.#microturns && this.#spent < SLICE
  }

  /**
   * Takes a turn where an error in it must not come to whoever is
   * above: it becomes an exception that nobody has caught.
   */
  #attempt(isRefreshed: boolean): void {
    try {
      this.#run(isRefreshed)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }

  #run(isRefreshed = false): void {
    if (this.#closed) return
    this.#arranged = false
    const loop = this.#loop
    this.#turns++
    /** For how many turns this one counts. */
    let weight = 0
    let start: Micros = 0
    try {
      let more = loop.turn(TASKS, isRefreshed)
      if (((loop.now32 - this.#began) | 0) > LONG) weight = 1
      else if ((this.#turns & (SAMPLED - 1)) === 0) weight = SAMPLED
      this.#began = loop.now32
      if (more || weight > 0) start = loop.now
      while (more && loop.clock.now() - start < SLICE) more = loop.turn(TASKS)
      loop.continueCalls()
    } finally {
      if (weight > 0) this.#spent += weight * (loop.clock.now() - start)
      if (!this.#closed) this.#afterTurn()
    }
  }

  #afterTurn(): void {
    if (this.#loop.hasWork) {
      if (this.#arranged) return
      this.#arranged = true
      this.#immediate = setImmediate(this.#turnImmediate)
    } else this.#sleep(this.#loop.timers.nextWake())
  }

  /** Sees to it that a turn takes place at `wake`. A timer that fires too early is let be: it sets the next. */
  #sleep(wake: Micros): void {
    if (wake >= this.#wake) return
    this.#disarm()
    const ms = Math.ceil((wake - this.#loop.clock.now()) / 1000)
    this.#wake = wake
    this.#timer = setTimeout(
      () => {
        this.#timer = null
        this.#wake = Number.POSITIVE_INFINITY
        this.#run()
      },
      Math.min(Math.max(ms, 1), LONGEST_DELAY),
    ).unref()
  }

  #disarm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#wake = Number.POSITIVE_INFINITY
  }
}
