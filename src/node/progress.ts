import { performance } from 'node:perf_hooks'

/** Columns of the bar. */
const WIDTH = 30
/** Milliseconds between two drawings. */
const PAUSE = 100

/** A bar on standard error that shows how far something long has come, where somebody is there to see it. */
export class ProgressBar {
  private readonly total: number
  private readonly shown: boolean
  private readonly start = performance.now()
  private done = 0
  private drawn = Number.NEGATIVE_INFINITY

  constructor(total: number, shown: boolean) {
    this.total = total
    this.shown = shown
  }

  /** One more is done. @param failed how many of all have failed */
  advance(failed: number): void {
    this.done++
    const now = performance.now()
    if (!this.shown || (now - this.drawn < PAUSE && this.done < this.total)) return
    this.drawn = now
    const full = Math.floor((this.done / this.total) * WIDTH)
    const rate = Math.round(this.done / ((now - this.start) / 1000))
    const bar = `${'#'.repeat(full)}${'.'.repeat(WIDTH - full)}`
    const failures = failed > 0 ? `, ${failed} failed` : ''
    process.stderr.write(`\r[${bar}] ${this.done}/${this.total} seeds, ${rate}/s${failures} `)
  }

  close(): void {
    if (this.shown && this.done > 0) process.stderr.write('\n')
  }
}
