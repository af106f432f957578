import type { Micros, VirtualClock } from '../core/clock.ts'
import type { World } from '../core/world.ts'

/** What else lives in a world's time: an application, with its own timers and with work that is done elsewhere. */
export interface Outside {
  /** Resolves when it can do nothing more before the time moves, or never rests: to the turns that it has taken. */
  settle(): Promise<number>
  /** World time of its next timer; Infinity for none. */
  nextTimer(): Micros
  /** May `time` pass at once, with nothing done in it? If not, it is asked to settle first, and then again. */
  mayPass(time: Micros): boolean
  /**
   * The time is now `now`: sets its clocks, and fires one of its timers that are due.
   * @returns whether there was one
   */
  advanced(now: Micros): boolean
}

/** Turns that an application has at one moment. When it wants more they have taken their time. */
const TURNS_PER_MOMENT = 10_000
const TURN: Micros = 1

/** Times that programs run on before the platform gets a turn all the same: its own timers and sockets want it. */
const RUNS_PER_TURN = 64

/**
 * Drives a world in virtual time: runs what there is to do now, lets programs run on, and sets the clock forward to the
 * next timer only when nothing is left to do.
 *
 * Programs are asynchronous functions, so that what they do next comes in microtasks. When one has been resumed the
 * driver yields until all microtasks are done. In Node that takes 0.2 µs; elsewhere, and when as many calls wait anew
 * as have gone on does not show that programs wait for nothing but the network, a whole turn of the platform's event
 * loop. It yields only then: packets and timers alone never wait.
 */
export class VirtualDriver {
  private readonly world: World
  private readonly clock: VirtualClock
  private resumed = false
  /** Programs that have run on since all were last at rest, less those that wait again. */
  private astir = 0
  /** Times that programs have run on since the platform last got a turn. */
  private runs = 0
  /** Turns that the application has had since the time last moved. */
  private turns = 0
  private interrupted = false
  /** The run that is under way. */
  private current: Run | null = null
  private readonly soon = Promise.resolve()
  private readonly nextTick: Schedule | undefined
  private readonly macrotask: Schedule
  /** Null for a world by itself. */
  outside: Outside | null = null

  constructor(world: World, clock: VirtualClock) {
    this.world = world
    this.clock = clock
    const { process, setImmediate } = globalThis as Platform
    this.nextTick = world.fast.ticks ? process?.nextTick : undefined
    this.macrotask = setImmediate ?? postMessageToSelf
  }

  /** A program is about to run on. */
  noteResumed(): void {
    this.resumed = true
    this.astir++
  }

  /** A program waits again, or has ended. */
  noteRested(): void {
    this.astir--
  }

  /** Stops the run that is under way. */
  interrupt(): void {
    this.interrupted = true
  }

  /**
   * Runs until `deadline`, until `stop` says so, or until nothing is left that could happen.
   * @param stop asked after every step
   * @returns 'stopped', 'deadline', or 'idle' when nothing moves and
   *   no timer is set; without a deadline, none but background timers
   */
  run(deadline: Micros = Number.POSITIVE_INFINITY, stop: (() => boolean) | null = null): Promise<Ending> {
    if (this.current !== null) return Promise.reject(new Error('this world is running already: await the run before'))
    return new Promise((resolve, reject) => {
      this.current = { deadline, stop, resolve, reject }
      this.goOn()
    })
  }

  /** Goes on with the run until programs have to be let on, or it is over. */
  private readonly goOn = (): void => {
    const run = this.current!
    try {
      const ending = this.advance(run)
      if (ending === null) this.letPrograms(run)
      else {
        this.world.loop.continueCalls()
        this.end()
        run.resolve(ending)
      }
    } catch (error) {
      this.end()
      run.reject(error)
    }
  }

  private end(): void {
    this.current = null
    this.interrupted = false
  }

  /** Moves the world until a program has been resumed. @returns why the run is over; null when it is not */
  private advance({ deadline, stop }: Run): Ending | null {
    const { loop } = this.world
    const budget = stop === null ? Number.POSITIVE_INFINITY : 1
    // Programs may have run just now.
    if (this.interrupted || stop?.() === true) return 'stopped'
    for (;;) {
      const more = loop.turn(budget)
      if (this.interrupted || stop?.() === true) return 'stopped'
      if (more) continue
      loop.continueCalls()
      if (this.resumed && this.turns < TURNS_PER_MOMENT) return null
      if (loop.hasWork) continue
      const next = Math.min(loop.timers.nextWake(), this.outside?.nextTimer() ?? Number.POSITIVE_INFINITY, this.tired())
      if (next > deadline) {
        const tired = this.turns >= TURNS_PER_MOMENT
        this.clock.advanceTo(deadline)
        this.turns = 0
        loop.turn()
        loop.continueCalls()
        if (!tired && (this.resumed || loop.hasWork)) continue
        return 'deadline'
      }
      if (next === Number.POSITIVE_INFINITY) return 'idle'
      if (this.outside?.mayPass(next - this.clock.now()) === false) {
        this.turns = 0
        return null
      }
      if (deadline === Number.POSITIVE_INFINITY && this.isAtRest) return 'idle'
      this.clock.advanceTo(next)
      this.turns = 0
      if (this.outside === null) continue
      // The network comes first.
      loop.turn()
      if (this.outside.advanced(next)) this.resumed = true
    }
  }

  /** Is there nothing to wait for but what goes on for ever? */
  private get isAtRest(): boolean {
    if (this.resumed || (this.outside?.nextTimer() ?? Number.POSITIVE_INFINITY) !== Number.POSITIVE_INFINITY)
      return false
    return this.world.loop.isAtRest
  }

  /** When an application that never rests has used the time for its turns; Infinity for one that has rested. */
  private tired(): Micros {
    return this.resumed ? this.clock.now() + this.turns * TURN : Number.POSITIVE_INFINITY
  }

  /** Has programs that were resumed do what they can, and goes on then. */
  private letPrograms(run: Run): void {
    this.resumed = false
    if (this.outside !== null) {
      const settled = (turns: number): void => {
        this.turns += turns
        this.programsDone()
      }
      this.outside.settle().then(settled, (error: unknown) => {
        this.end()
        run.reject(error)
      })
    } else if (this.nextTick === undefined) this.macrotask(this.programsDone)
    else void this.soon.then(this.whenMicrotasksAreDone)
  }

  /**
   * What is given to `nextTick` in a microtask Node calls when no microtask is left, before it turns to anything else.
   * What is given to it elsewhere comes before the microtasks.
   */
  private readonly whenMicrotasksAreDone = (): void => this.nextTick!(this.microtasksDone)

  private readonly microtasksDone = (): void => {
    if (this.astir <= 0 && ++this.runs < RUNS_PER_TURN) this.programsDone()
    else {
      this.runs = 0
      this.macrotask(this.programsDone)
    }
  }

  private readonly programsDone = (): void => {
    this.astir = 0
    this.goOn()
  }
}

type Ending = 'stopped' | 'deadline' | 'idle'

/** A run that is under way. */
interface Run {
  readonly deadline: Micros
  readonly stop: (() => boolean) | null
  readonly resolve: (ending: Ending) => void
  readonly reject: (error: unknown) => void
}

type Schedule = (callback: () => void) => void

/** What of the platform's is used, where it is there. */
interface Platform {
  readonly process?: { readonly nextTick?: Schedule }
  readonly setImmediate?: Schedule
}

/** Calls back in the platform's next macrotask, when all microtasks are done. */
const postMessageToSelf: Schedule = (callback) => {
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = () => {
    port1.close()
    callback()
  }
  port2.postMessage(null)
}
