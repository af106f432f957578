type Tick = () => void

/**
 * What `process.nextTick` is in Node: done before anything else that
 * was waiting, in the order in which it was asked for.
 */
export class TickQueue {
  private queue: Tick[] = []
  private scheduled = false

  readonly nextTick = <A extends unknown[]>(callback: (...args: A) => void, ...args: A): void => {
    this.queue.push(() => callback(...args))
    this.schedule()
  }

  /** Does what is queued, and what that queues. What comes after a callback that throws is done later. */
  readonly drain = (): void => {
    try {
      for (let ticks = this.queue; ticks.length > 0; ticks = this.queue) {
        this.queue = []
        while (ticks.length > 0) this.run(ticks)
      }
    } finally {
      if (this.queue.length > 0) this.schedule()
    }
  }

  private run(ticks: Tick[]): void {
    const tick = ticks.shift()!
    try {
      tick()
    } catch (error) {
      this.queue = [...ticks.splice(0), ...this.queue]
      throw error
    }
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    queueMicrotask(() => {
      this.scheduled = false
      this.drain()
    })
  }
}
