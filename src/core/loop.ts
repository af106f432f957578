import type { Clock, Micros } from './clock.ts'
import { ALL_FAST_PATHS, type FastPaths } from './fast-paths.ts'
import { type Timer, TimerWheel } from './timer.ts'

/** Something that has work to do in the next turn: a link with frames to deliver, a host with calls to resume. */
export abstract class Task {
  /** Is it in the loop's queue? */
  posted = false
  nextTask: Task | null = null
  /** Does what there is to do now. It may post itself and others again. */
  abstract run(): void
}

/** A call of a program that was woken: it goes on when the turn is over in which that happened. */
export interface Continuation {
  nextContinuation: Continuation | null
  goOn(): void
}

/**
 * The run loop of a world. Hosts do not call each other: a link queues what it carries, posts itself here, and a turn
 * drains the queues until nothing is left to do at this time. That bounds the stack's depth, and lets batches form.
 *
 * The loop does not sleep and does not know promises: a driver (`sim/`, `node/`,
 * a test) calls `turn`, then `continueCalls` if there are programs, sleeps until
 * `nextWake`, and is told through `onWork` when something came up in between.
 */
export class Loop {
  readonly clock: Clock
  readonly timers: TimerWheel
  readonly fast: FastPaths
  /**
   * Timers that go on for ever, whether or not anybody answers:
   * whoever runs until nothing is left does not wait for them.
   */
  readonly background = new Set<Timer>()
  /** World time of this turn, microseconds. It does not move while the turn lasts. */
  now: Micros
  /** `now`, modulo 2^32, as a signed integer: what protocols keep and subtract. Wraps after 71 minutes. */
  now32 = 0
  /** `now` in milliseconds, modulo 2^32, as a signed integer. Wraps after 49 days. */
  nowMs32 = 0
  /** Called when work comes up outside a turn: the driver then arranges one. */
  onWork: (() => void) | null = null
  /** Called instead at the end of a call (`hold`, `release`) in which work came up; null where that is not to be. */
  onCall: (() => void) | null = null

  private head: Task | null = null
  private tail: Task | null = null
  private firstContinuation: Continuation | null = null
  private lastContinuation: Continuation | null = null
  private turning = false
  private told = false
  private held = false
  /** Has work come up while held? */
  private owed = false

  constructor(clock: Clock, fast: FastPaths = ALL_FAST_PATHS) {
    this.clock = clock
    this.fast = fast
    this.timers = new TimerWheel(fast['lazy-timers'])
    this.now = clock.now()
    this.setNow(this.now)
    this.timers.onEarlier = () => this.tell()
  }

  /** Has something been posted that has not run? */
  get hasWork(): boolean {
    return this.head !== null
  }

  /** Is nothing left to come but background timers? */
  get isAtRest(): boolean {
    if (this.head !== null || this.timers.size > this.background.size) return false
    let set = 0
    for (const timer of this.background) if (timer.isSet) set++
    return this.timers.size === set
  }

  /** Is a turn under way? */
  get isTurning(): boolean {
    return this.turning
  }

  /** Puts `task` at the end of the queue, unless it is there already. */
  post(task: Task): void {
    if (task.posted) return
    task.posted = true
    task.nextTask = null
    if (this.tail === null) this.head = task
    else this.tail.nextTask = task
    this.tail = task
    this.tell()
  }

  /** Reads the clock: to be called on every way into the stack that is not a turn, so that `now` is true. */
  refresh(): void {
    if (!this.turning) this.setNow(this.clock.now())
  }

  /**
   * Fires what is due and runs tasks until none is left, or `budget` of them have run.
   * @param isRefreshed has the clock been read just now?
   * @returns whether work is left
   */
  turn(budget = Number.POSITIVE_INFINITY, isRefreshed = false): boolean {
    if (this.turning) return false
    this.turning = true
    this.told = false
    try {
      if (!isRefreshed) this.setNow(this.clock.now())
      this.timers.fire(this.now)
      for (let left = budget; this.head !== null && left > 0; left--) {
        const task: Task = this.head
        this.head = task.nextTask
        if (this.head === null) this.tail = null
        task.nextTask = null
        task.posted = false
        task.run()
      }
    } finally {
      this.turning = false
    }
    return this.head !== null
  }

  /**
   * What arrives now is dealt with at once, before what is due: until `leave` it is as in a turn. A turn follows.
   * @returns false when that cannot be: in a turn, when there is work that came before, or where calls take no turns
   */
  enter(): boolean {
    if (this.onCall === null || this.turning || this.head !== null) return false
    this.setNow(this.clock.now())
    this.turning = true
    return true
  }

  /** That is over. */
  leave(): void {
    this.turning = false
    this.tell()
  }

  /** Has `call`, which was woken in this turn and is not in the list yet, go on when the turn is over. */
  afterTurn(call: Continuation): void {
    call.nextContinuation = null
    if (this.lastContinuation === null) this.firstContinuation = call
    else this.lastContinuation.nextContinuation = call
    this.lastContinuation = call
  }

  /** Has the calls go on that were woken in turns, in that order. Drivers call it when their turns are over. */
  continueCalls(): void {
    let call = this.firstContinuation
    this.firstContinuation = null
    this.lastContinuation = null
    while (call !== null) {
      const next: Continuation | null = call.nextContinuation
      call.nextContinuation = null
      call.goOn()
      call = next
    }
  }

  /**
   * A call begins that will probably send. What comes up in it is done when it is over, in a turn that it takes itself,
   * as a kernel's loopback delivers within send(2): nothing has to be arranged for that.
   */
  hold(): void {
    this.held = this.onCall !== null && !this.turning
  }

  /** The call is over. */
  release(): void {
    this.held = false
    if (!this.owed) return
    this.owed = false
    this.onCall?.()
  }

  private setNow(now: Micros): void {
    this.now = now
    this.now32 = now | 0
    this.nowMs32 = (now / 1000) | 0
  }

  private tell(): void {
    if (this.turning || this.told) return
    if (this.held) {
      this.owed = true
      return
    }
    this.told = true
    this.onWork?.()
  }
}
