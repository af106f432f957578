import type { Micros, VirtualClock } from '../core/clock.ts'
import type { World } from '../core/world.ts'

/** What else lives in a world's time: an application, with its own timers and with work that is done elsewhere. */
export interface Outside {
  /** Resolves when it can do nothing more before the time moves. */
  settle(): Promise<void>
  /** World time of its next timer; Infinity for none. */
  nextTimer(): Micros
  /** The time is now `now`: sets its clocks, and fires one of its timers that are due. @returns whether there was one */
  advanced(now: Micros): boolean
}

/**
 * Drives a world in virtual time: runs what there is to do now, lets programs run on, and sets the clock forward to the
 * next timer only when nothing is left to do.
 *
 * Programs are asynchronous functions, so that what they do next comes in microtasks. When one has been resumed the
 * driver yields until all microtasks are done: a whole turn of the platform's event loop. It does so only then: packets
 * and timers alone never wait.
 */
export class VirtualDriver {
  private readonly world: World
  private readonly clock: VirtualClock
  private resumed = false
  private running = false
  private interrupted = false
  /** Null for a world by itself. */
  outside: Outside | null = null

  constructor(world: World, clock: VirtualClock) {
    this.world = world
    this.clock = clock
  }

  /** A program is about to run on. */
  noteResumed(): void {
    this.resumed = true
  }

  /** Stops the run that is under way. */
  interrupt(): void {
    this.interrupted = true
  }

  /**
   * Runs until `deadline`, until `stop` says so, or until nothing is left that could happen.
   * @param stop asked after every step
   * @returns 'stopped', 'deadline', or 'idle' when no timer is set and nothing moves
   */
  async run(
    deadline: Micros = Number.POSITIVE_INFINITY,
    stop: (() => boolean) | null = null,
  ): Promise<'stopped' | 'deadline' | 'idle'> {
    if (this.running) throw new Error('this world is running already: await the run before')
    this.running = true
    const { loop } = this.world
    const budget = stop === null ? Number.POSITIVE_INFINITY : 1
    try {
      for (;;) {
        const more = loop.turn(budget)
        if (this.interrupted || stop?.() === true) return 'stopped'
        if (more) continue
        if (this.resumed) {
          this.resumed = false
          await (this.outside === null ? macrotask() : this.outside.settle())
          if (this.interrupted || stop?.() === true) return 'stopped'
          continue
        }
        if (loop.hasWork) continue
        const next = Math.min(loop.timers.nextWake(), this.outside?.nextTimer() ?? Number.POSITIVE_INFINITY)
        if (next > deadline) {
          this.clock.advanceTo(deadline)
          loop.turn()
          if (this.resumed) continue
          return 'deadline'
        }
        if (next === Number.POSITIVE_INFINITY) return 'idle'
        this.clock.advanceTo(next)
        if (this.outside === null) continue
        // The network comes first.
        loop.turn()
        if (this.outside.advanced(next)) this.resumed = true
      }
    } finally {
      this.running = false
      this.interrupted = false
    }
  }
}

type Schedule = (callback: () => void) => void

/** Resolves in the platform's next macrotask, when all microtasks are done. */
const macrotask = (): Promise<void> =>
  new Promise((resolve) => {
    const { setImmediate } = globalThis as { setImmediate?: Schedule }
    if (setImmediate !== undefined) setImmediate(resolve)
    else {
      const { port1, port2 } = new MessageChannel()
      port1.onmessage = () => {
        port1.close()
        resolve()
      }
      port2.postMessage(null)
    }
  })
