import type { Micros } from '../core/clock.ts'

/**
 * How often the loop looks again before it sleeps, and the traffic since it woke that makes that worth while, bytes.
 */
const SPINS = 32
const SPIN_BYTES = 4096
/** Every how many sleeps it is tried whether looking again finds something. */
const SPIN_TRIAL = 64
const SPIN_SCORE = 32

/** Decides whether the event loop looks at a device again, or sleeps, when it has found nothing to read. */
export class DeviceSpin {
  /** Bytes moved, and frames read, since it was asked last. */
  moved = 0
  found = 0
  /** How often it is to look again. */
  left = 0
  private readonly isOn: boolean
  private readonly busyPoll: Micros
  /** World time at which something was last found. */
  private foundAt: Micros = Number.NEGATIVE_INFINITY
  private score = 0
  private sleeps = 0

  /** @param busyPoll how long it looks after each packet in any case, microseconds */
  constructor(isOn: boolean, busyPoll: Micros) {
    this.isOn = isOn
    this.busyPoll = busyPoll
  }

  /** There is nothing to read at world time `now`. */
  looksAgain(now: Micros): boolean {
    if (this.found > 0) this.foundAt = now
    if (now - this.foundAt < this.busyPoll) this.left = 1
    else this.judge()
    this.moved = 0
    this.found = 0
    return this.left > 0
  }

  private judge(): void {
    const light = this.moved <= SPIN_BYTES
    if (this.left > 0) {
      // This was a look: it found something, or it was one more in vain.
      this.left--
      if (this.found > 0) this.score = Math.min(this.score + 2, SPIN_SCORE)
      else if (this.left === 0) this.score = Math.max(this.score - 1, 0)
    }
    const again = this.isOn && this.found > 0 && light && (this.score > 0 || this.sleeps % SPIN_TRIAL === 0)
    if (again) this.left = SPINS
    else if (!light) this.left = 0
    if (this.left === 0) this.sleeps++
  }
}
