import { runTicks } from './bindings.ts'

/** Turns that events may have as ticks, and for how long, ms, before Node's event loop has its own. */
const TURNS = 64
const SLICE_MS = 1

/**
 * Gives the events of all programs of the thread their turns. A turn is a tick that comes when no other tick and no
 * microtask is left, which is where Node is between two of its own callbacks; it takes
 * a tenth of the time of a turn of the event loop. So that timers, immediates and the
 * process's own sockets live, that comes first after so many ticks, or such a time.
 */
export class EventTurns {
  private readonly waiting: (() => void)[] = []
  private arranged = false
  /** Turns since Node's event loop had its own, as far as is known, and when the first of them was. */
  private turns = 0
  private began = 0

  /** Calls `run` soon: never at once. */
  readonly schedule = (run: () => void): void => {
    this.waiting.push(run)
    if (this.arranged) return
    this.arranged = true
    process.nextTick(this.run)
  }

  private readonly runImmediate = (): void => {
    this.turns = 0
    this.run()
  }

  /** What the program has queued comes first. What is scheduled meanwhile has its turn, too, unless it is Node's. */
  private readonly run = (): void => {
    const { waiting } = this
    try {
      runTicks()
      while (waiting.length > 0 && !this.isOver) {
        this.turns++
        waiting.shift()!()
      }
    } finally {
      this.arranged = waiting.length > 0
      if (this.arranged) setImmediate(this.runImmediate)
    }
  }

  /** Is it Node's turn? */
  private get isOver(): boolean {
    if (this.turns === 0) {
      this.began = performance.now()
      return false
    }
    return this.turns >= TURNS || performance.now() - this.began > SLICE_MS
  }
}
