import type { Mib } from '../../src/ip/mib.ts'
import { dropName } from '../../src/wire/drop.ts'

/**
 * What a case has reached: names of states, drop reasons, counters. Cheap, and not the branches themselves; but a case
 * that reaches none that others did not is not worth keeping.
 */
export class Coverage {
  /** Each name, and the step that reached it first. */
  readonly keys = new Map<string, number>()
  /** The step that is being played. */
  step = 0

  begin(): void {
    this.keys.clear()
    this.step = 0
  }

  reach(key: string): void {
    if (!this.keys.has(key)) this.keys.set(key, this.step)
  }
}

/** Notes which reasons to drop a packet were counted since it was last asked. */
export class DropWatch {
  private readonly before: Float64Array
  private readonly mib: Mib

  constructor(mib: Mib) {
    this.mib = mib
    this.before = mib.drops.slice()
  }

  /** @param where what is put in front of the reason's name */
  look(seen: Coverage, where: string): void {
    const { drops } = this.mib
    const { before } = this
    for (let i = 0; i < drops.length; i++) {
      if (drops[i] === before[i]) continue
      before[i] = drops[i]!
      seen.reach(`drop ${where}${dropName(i)}`)
    }
  }
}

/** Notes how large each counter of a host is: none, once, twice, and by powers of four. */
export const reachCounters = (mib: Mib, seen: Coverage): void => {
  for (const [group, counters] of Object.entries(mib)) {
    if (counters instanceof Float64Array) {
      if (group === 'drops') continue
      counters.forEach((value, type) => {
        if (value > 0) seen.reach(`${group} ${type}`)
      })
      continue
    }
    for (const [name, value] of Object.entries(counters as Record<string, number>)) {
      if (value > 0) seen.reach(`${group} ${name} ${bucket(value)}`)
    }
  }
}

const bucket = (value: number): number => (value < 3 ? value : 2 + Math.ceil(Math.log2(value) / 2))
