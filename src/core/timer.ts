import type { Micros } from './clock.ts'

/** What a timer belongs to, and who is called when it fires. */
export interface TimerOwner {
  /** @param kind which of the owner's timers it is */
  onTimer(kind: number): void
}

/** One deadline that can be set, moved and cancelled. Idle timers are in no list and cost only themselves. */
export class Timer {
  /** Null while it waits, cancelled, for somebody who needs one (`give`). */
  private owner: TimerOwner | null
  private kind: number
  /** When it fires; Infinity while it is not set. */
  deadline: Micros = Number.POSITIVE_INFINITY
  /** Breaks ties: of two timers with one deadline the one set first fires first. */
  order = 0
  /** The tick under which the wheel holds it, at or before the deadline's; while it is in the heap, its place there. */
  tick = 0
  /** Slot of the wheel, DUE in the heap, OUT in neither. */
  slot = OUT
  previous: Timer | null = null
  next: Timer | null = null

  constructor(owner: TimerOwner, kind: number) {
    this.owner = owner
    this.kind = kind
  }

  /** Makes it another's. @param owner null for nobody's: it is not set then */
  give(owner: TimerOwner | null, kind: number): this {
    this.owner = owner
    this.kind = kind
    return this
  }

  /** Its time has come. */
  fire(): void {
    this.owner?.onTimer(this.kind)
  }

  get isSet(): boolean {
    return this.deadline !== Number.POSITIVE_INFINITY
  }
}

const OUT = -1
const DUE = -2
/** A tick is 1.024 ms. */
const TICK: Micros = 1024
const SLOT_BITS = 6
const SLOTS = 1 << SLOT_BITS
const LEVELS = 5
/** Ticks that a slot of each level stands for. */
const SPANS = Array.from({ length: LEVELS }, (_, level) => 2 ** (SLOT_BITS * level))

/**
 * All timers of a world: a hierarchical timing wheel (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels",
 * 1987) of five levels of 64 slots, and in front of it a small heap with the timers of the ticks that have come, which
 * puts them in exact order: deadline first, then the order in which they were set.
 *
 * Setting and cancelling take the same time however many timers there are. Moving a timer to a later deadline, which
 * TCP does at every acknowledgment, only writes the deadline: the timer is put in its new place when its old one comes
 * up. A timer that is paused stays where it is as well.
 */
export class TimerWheel {
  /** The tick up to which slots have been emptied into the heap. */
  private now = 0
  private readonly heads: (Timer | null)[] = new Array(LEVELS * SLOTS).fill(null)
  /** Which slots of each level hold timers: two words of 32 slots. */
  private readonly occupied = new Int32Array(LEVELS * 2)
  private readonly due: Timer[] = []
  private orders = 0
  private set = 0
  /** What can have happened at most since `nextWake` was last computed. */
  private cachedWake: Micros = Number.POSITIVE_INFINITY
  private wakeIsCached = true
  /** Called when a timer is set for an earlier time than any before it, so that whoever sleeps can sleep less. */
  onEarlier: (() => void) | null = null
  private readonly isLazy: boolean

  /**
   * @param isLazy does a timer that moves to a later time, or is paused, stay where it is until that place comes up?
   */
  constructor(isLazy = true) {
    this.isLazy = isLazy
  }

  /** Timers set and not yet fired. */
  get size(): number {
    return this.set
  }

  /**
   * Sets `timer` to fire at `deadline`, or moves it there. A deadline in the past fires at the next `fire`; one at
   * Infinity is none, and cancels.
   */
  schedule(timer: Timer, deadline: Micros): void {
    if (!(deadline < Number.POSITIVE_INFINITY)) {
      this.cancel(timer)
      return
    }
    if (timer.deadline === Number.POSITIVE_INFINITY) this.set++
    timer.deadline = deadline
    timer.order = ++this.orders
    const tick = Math.floor(deadline / TICK)
    // A timer in a slot stays there when it moves later: `empty` finds out.
    if (timer.slot < 0 || tick < timer.tick || !this.isLazy) {
      if (timer.slot !== OUT) this.remove(timer)
      this.insert(timer, tick)
    }
    if (deadline < this.cachedWake) {
      this.cachedWake = deadline
      this.onEarlier?.()
    }
  }

  /** Takes `timer` off the wheel, set or not. */
  cancel(timer: Timer): void {
    if (timer.deadline !== Number.POSITIVE_INFINITY) {
      this.set--
      timer.deadline = Number.POSITIVE_INFINITY
    }
    this.remove(timer)
  }

  /**
   * Stops `timer`, which is soon to be set again: it stays in its
   * slot until that comes up. Before it is let go, `cancel` it.
   */
  pause(timer: Timer): void {
    if (timer.deadline === Number.POSITIVE_INFINITY) return
    this.set--
    timer.deadline = Number.POSITIVE_INFINITY
    if (timer.slot === DUE || !this.isLazy) this.remove(timer)
  }

  /**
   * The time at which `fire` should next be called: the first deadline when that is within a tick or so, else a time
   * shortly before it, at which `fire` does nothing but sort. Infinity when no timer is set.
   */
  nextWake(): Micros {
    if (!this.wakeIsCached) {
      this.cachedWake = this.findWake()
      this.wakeIsCached = true
    }
    return this.cachedWake
  }

  /** Fires, in order, every timer whose deadline is at or before `time`. Timers may be set and cancelled meanwhile. */
  fire(time: Micros): void {
    if (time < this.nextWake()) return
    this.wakeIsCached = false
    this.collect(Math.floor(time / TICK))
    while (this.due.length > 0) {
      const timer = this.due[0]!
      if (timer.deadline > time) return
      this.heapRemove(0)
      timer.slot = OUT
      timer.deadline = Number.POSITIVE_INFINITY
      this.set--
      timer.fire()
    }
  }

  private insert(timer: Timer, tick: number): void {
    if (tick <= this.now) {
      timer.slot = DUE
      this.heapInsert(timer)
      return
    }
    timer.tick = tick
    // The level is that of the highest group of six bits in which the tick differs from now. The last level goes round:
    // its slots hold what is less than 64 of them away.
    let level = 0
    let at = tick
    let now = this.now
    while (level < LEVELS - 1 && Math.floor(at / SLOTS) !== Math.floor(now / SLOTS)) {
      at = Math.floor(at / SLOTS)
      now = Math.floor(now / SLOTS)
      level++
    }
    // Beyond the wheel's reach (twelve days): wait in the slot farthest away and be placed anew from there.
    const slot = level * SLOTS + (Math.min(at, now + SLOTS - 1) % SLOTS)
    const head = this.heads[slot]!
    timer.slot = slot
    timer.previous = null
    timer.next = head
    if (head !== null) head.previous = timer
    else this.occupied[slot >>> 5]! |= 1 << (slot & 31)
    this.heads[slot] = timer
  }

  private remove(timer: Timer): void {
    const slot = timer.slot
    timer.slot = OUT
    if (slot === DUE) {
      this.heapRemove(timer.tick)
    } else if (slot !== OUT) {
      if (timer.next !== null) timer.next.previous = timer.previous
      if (timer.previous !== null) timer.previous.next = timer.next
      else {
        this.heads[slot] = timer.next
        if (timer.next === null) this.occupied[slot >>> 5]! &= ~(1 << (slot & 31))
      }
      timer.previous = null
      timer.next = null
    }
  }

  /** Moves to tick `to`, emptying every slot on the way: those of level 0 into the heap, higher ones into lower. */
  private collect(to: number): void {
    while (this.now < to) {
      const next = this.nextSlotTick()
      if (next > to) {
        this.now = to
        return
      }
      this.now = next
      for (let level = LEVELS - 1; level >= 0; level--) {
        const span = SPANS[level]!
        if (next % span === 0) this.empty(level * SLOTS + (Math.floor(next / span) % SLOTS))
      }
    }
  }

  /** Takes every timer out of a slot whose turn has come and places it anew. */
  private empty(slot: number): void {
    let timer = this.heads[slot]!
    if (timer === null) return
    this.heads[slot] = null
    this.occupied[slot >>> 5]! &= ~(1 << (slot & 31))
    while (timer !== null) {
      const next = timer.next!
      timer.previous = null
      timer.next = null
      timer.slot = OUT
      if (timer.deadline < Number.POSITIVE_INFINITY) this.insert(timer, Math.floor(timer.deadline / TICK))
      timer = next
    }
  }

  /** The first tick after now at which some slot has to be emptied; Infinity when all are empty. */
  private nextSlotTick(): number {
    for (let level = 0; level < LEVELS; level++) {
      const span = SPANS[level]!
      const at = Math.floor(this.now / span)
      const distance = this.distance(level, (at + 1) % SLOTS)
      if (distance >= 0) return (at + 1 + distance) * span
    }
    return Number.POSITIVE_INFINITY
  }

  /** How many slots from `from` on, going round, to the first that holds a timer; -1 when the level is empty. */
  private distance(level: number, from: number): number {
    const low = this.occupied[level * 2]!
    const high = this.occupied[level * 2 + 1]!
    if ((low | high) === 0) return -1
    // Rotate the 64 bits right by `from`, then count trailing zeros.
    const swap = from >= 32
    const a = swap ? high : low
    const b = swap ? low : high
    const shift = from & 31
    const first = shift === 0 ? a : (a >>> shift) | (b << (32 - shift))
    if (first !== 0) return trailingZeros(first)
    const second = shift === 0 ? b : (b >>> shift) | (a << (32 - shift))
    return 32 + trailingZeros(second)
  }

  private findWake(): Micros {
    // The slots may hold what is paused.
    if (this.set === 0) return Number.POSITIVE_INFINITY
    if (this.due.length > 0) return this.due[0]!.deadline
    return this.nextSlotTick() * TICK
  }

  private heapInsert(timer: Timer): void {
    const heap = this.due
    let at = heap.length
    heap.push(timer)
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (before(heap[parent]!, timer)) break
      this.heapPut(heap[parent]!, at)
      at = parent
    }
    this.heapPut(timer, at)
    this.wakeIsCached = false
  }

  private heapRemove(index: number): void {
    const heap = this.due
    const last = heap.pop()!
    if (index === heap.length) return
    let at = index
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (before(heap[parent]!, last)) break
      this.heapPut(heap[parent]!, at)
      at = parent
    }
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (before(last, heap[child]!)) break
      this.heapPut(heap[child]!, at)
      at = child
    }
    this.heapPut(last, at)
  }

  private heapPut(timer: Timer, at: number): void {
    this.due[at] = timer
    timer.tick = at
  }
}

const before = (a: Timer, b: Timer): boolean =>
  a.deadline < b.deadline || (a.deadline === b.deadline && a.order < b.order)

const trailingZeros = (word: number): number => 31 - Math.clz32(word & -word)
