/**
 * The least value seen in a sliding window of time, in constant memory: the best three candidates, each younger than
 * the one before (the filter of Kathleen Nichols that Linux and BBR use).
 */
export class WindowedMinimum {
  private value0 = UNKNOWN
  private value1 = UNKNOWN
  private value2 = UNKNOWN
  private time0 = 0
  private time1 = 0
  private time2 = 0

  /** The least value in the window; 0x7fffffff before the first. */
  get value(): number {
    return this.value0
  }

  /** Forgets all. */
  clear(): void {
    this.reset(0, UNKNOWN)
  }

  /** Forgets all and begins with `value`. */
  reset(time: number, value: number): void {
    this.value0 = value
    this.value1 = value
    this.value2 = value
    this.time0 = time
    this.time1 = time
    this.time2 = time
  }

  /** Takes a measurement. `time` and `window` in one unit, modulo 2^32. @returns the least value in the window */
  update(time: number, window: number, value: number): number {
    if (value <= this.value0 || ((time - this.time2) | 0) > window) {
      this.reset(time, value)
      return value
    }
    if (value <= this.value1) {
      this.value1 = value
      this.time1 = time
      this.value2 = value
      this.time2 = time
    } else if (value <= this.value2) {
      this.value2 = value
      this.time2 = time
    }
    this.age(time, window, value)
    return this.value0
  }

  private age(time: number, window: number, value: number): void {
    const age = (time - this.time0) | 0
    if (age > window) {
      // The best is too old: the next two move up, and the newest value becomes the third.
      this.value0 = this.value1
      this.time0 = this.time1
      this.value1 = this.value2
      this.time1 = this.time2
      this.value2 = value
      this.time2 = time
      if (((time - this.time0) | 0) > window) {
        this.value0 = this.value1
        this.time0 = this.time1
        this.value1 = this.value2
        this.time1 = this.time2
      }
    } else if (this.time1 === this.time0 && age > window / 4) {
      // A quarter of the window without a better second: take one
      // from this quarter, so that it is not as old as the first.
      this.value1 = value
      this.time1 = time
      this.value2 = value
      this.time2 = time
    } else if (this.time2 === this.time1 && age > window / 2) {
      this.value2 = value
      this.time2 = time
    }
  }
}

/** The greatest value seen in a sliding window; 0 before the first. */
export class WindowedMaximum {
  private readonly negated = new WindowedMinimum()

  constructor() {
    this.negated.reset(0, 0)
  }

  get value(): number {
    return 0 - this.negated.value
  }

  /** As `WindowedMinimum.update`. */
  update(time: number, window: number, value: number): void {
    this.negated.update(time, window, -value)
  }
}

const UNKNOWN = 0x7fff_ffff
