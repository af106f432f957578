import type { Micros } from '../core/clock.ts'
import { Fifo } from '../core/fifo.ts'

/** When the bytes of the receive queue arrived: kept for those who ask for time stamps of what they read. */
export class Arrivals {
  private readonly runs = new Fifo<{ end: number; at: Micros }>()

  /** Bytes up to `end` arrive `at` a time. */
  note(end: number, at: Micros): void {
    this.runs.push({ end, at })
  }

  /** The bytes up to `copied` have been read. @returns when the last of them arrived; -1 when that was not noted */
  take(copied: number): Micros {
    let at = -1
    for (let run = this.runs.peek(); run !== undefined; run = this.runs.peek()) {
      if (((copied - run.end) | 0) < 0) {
        // Part of a run: its beginning has been read.
        return run.at
      }
      at = run.at
      this.runs.shift()
    }
    return at
  }
}
