import type { Clock, Micros } from '../core/clock.ts'
import type { Loop } from '../core/loop.ts'
import { TaskQueue } from './tasks.ts'

/** The machine's clock. World time 0 is when it was made. */
export class RealClock implements Clock {
  readonly epoch: Micros = Date.now() * 1000
  private readonly start = performance.now()

  now(): Micros {
    return (performance.now() - this.start) * 1000
  }
}

/** Tasks of the loop that run before the driver looks at the clock. */
const TASKS = 64
/** How long turns may keep the page from its own work, microseconds. */
const SLICE: Micros = 4000
const LONGEST_SLEEP_MS = 0x7fff_ffff

/**
 * Drives a world's loop in real time, in a page or a worker. Work is done in
 * microtasks for as long as a slice lasts, and then in tasks of its own, so that the
 * page is painted and hears of events; in between it sleeps until the next timer.
 */
export class RealTimeDriver {
  private readonly loop: Loop
  private readonly tasks = new TaskQueue()
  private arranged = false
  private closed = false
  /** When the slice began that microtasks share. */
  private began = Number.NEGATIVE_INFINITY
  private timer: ReturnType<typeof setTimeout> | undefined
  private wake: Micros = Number.POSITIVE_INFINITY

  constructor(loop: Loop) {
    this.loop = loop
    loop.onWork = () => this.arrange()
    this.arrange()
  }

  /** Lets go of the loop: nothing in its world moves by itself any more. */
  close(): void {
    this.closed = true
    this.loop.onWork = null
    clearTimeout(this.timer)
  }

  private arrange(): void {
    if (this.arranged || this.closed) return
    this.arranged = true
    if (this.loop.clock.now() - this.began < SLICE) queueMicrotask(() => this.run())
    else
      this.tasks.post(() => {
        this.began = this.loop.clock.now()
        this.run()
      })
  }

  private run(): void {
    this.arranged = false
    if (this.closed) return
    const { loop } = this
    const end = loop.clock.now() + SLICE
    let more = true
    while (more && loop.clock.now() < end) more = loop.turn(TASKS)
    loop.continueCalls()
    if (loop.hasWork) this.arrange()
    else this.sleep(loop.timers.nextWake())
  }

  private sleep(wake: Micros): void {
    if (wake >= this.wake) return
    clearTimeout(this.timer)
    this.wake = wake
    const ms = Math.ceil((wake - this.loop.clock.now()) / 1000)
    this.timer = setTimeout(
      () => {
        this.wake = Number.POSITIVE_INFINITY
        this.run()
      },
      Math.min(Math.max(ms, 0), LONGEST_SLEEP_MS),
    )
  }
}
