import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import { MILLISECOND, type Micros } from '../core/clock.ts'

/** The platform's own, whatever is installed in their place later. */
export const native = {
  setTimeout: globalThis.setTimeout,
  setInterval: globalThis.setInterval,
  clearTimeout: globalThis.clearTimeout,
}

/** The longest delay that Node's timers have, milliseconds; longer ones are 1. */
export const LONGEST_DELAY = 2 ** 31 - 1

/** Frames of a stack that are kept: those of Node and of libraries come before the program's. */
const FRAMES = 50

/** The stack of the call that is made now. */
export const stackNow = (): string => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = FRAMES
  const { stack = '' } = new Error('here')
  Error.stackTraceLimit = stackTraceLimit
  return stack
}

type Callback = (...args: unknown[]) => unknown

/** Milliseconds, as Node understands what it is given. */
const delayOf = (delay: unknown): number => {
  const number = Number(delay)
  return number >= 1 && number <= LONGEST_DELAY ? Math.trunc(number) : 1
}

/**
 * A timer of an application, with the methods of Node's `Timeout`. It
 * calls back in the asynchronous context in which it was set.
 */
export class AppTimer {
  /** Where it was set, when the queue keeps that. */
  readonly origin: string | null
  /** Milliseconds. */
  readonly delay: number
  /** World time at which it fires. */
  at: Micros = 0
  /** Of timers that fire at the same time the one that was set first comes first. */
  order = 0
  /** Its place in the queue; -1 when it is not set. */
  place = -1
  /** What stands for it where only a number can; 0 when nobody has asked. */
  number = 0
  private queue: TimerQueue
  private readonly callback: Callback
  private readonly args: readonly unknown[]
  private readonly repeats: boolean
  private readonly scope = new AsyncResource('Timeout', { requireManualDestroy: true })
  private referenced = true
  /** In the platform's time, when there is no virtual time any more. */
  private real: NodeJS.Timeout | null = null

  constructor(queue: TimerQueue, callback: Callback, delay: number, args: readonly unknown[], repeats: boolean) {
    this.queue = queue
    this.callback = callback
    this.delay = delay
    this.args = args
    this.repeats = repeats
    this.origin = queue.traces ? stackNow() : null
    queue.add(this)
  }

  get isInterval(): boolean {
    return this.repeats
  }

  ref(): this {
    this.referenced = true
    return this
  }

  unref(): this {
    this.referenced = false
    return this
  }

  hasRef(): boolean {
    return this.referenced
  }

  /** Begins anew: in the virtual time that there is now, or in real time, when that in which it was set is over. */
  refresh(): this {
    // In its own callback it knows better than that, which may come from a network that is over.
    const queue = this.queue.current === this ? this.queue : TimerQueue.now
    this.close()
    if (queue === null) {
      this.real = native[this.repeats ? 'setInterval' : 'setTimeout'](() => this.fire(), this.delay)
      if (!this.referenced) this.real.unref()
      return this
    }
    this.queue = queue
    queue.add(this)
    return this
  }

  close(): this {
    this.queue.remove(this)
    this.queue.forget(this)
    if (this.real !== null) native.clearTimeout(this.real)
    this.real = null
    return this
  }

  /** Calls back. */
  fire(): void {
    try {
      this.scope.runInAsyncScope(this.callback, this, ...this.args)
    } finally {
      if (!this.repeats) this.queue.forget(this)
      else if (this.queue.current === this) this.queue.add(this)
    }
  }

  [Symbol.toPrimitive](): number {
    return this.queue.nameByNumber(this)
  }
}

/** Whose programs run: what a network's programs set is its own, and never fires when it is over. */
const owners = new AsyncLocalStorage<TimerQueue>()

/**
 * The timers of an application in virtual time, by the time at which they fire and the order in which they were set.
 */
export class TimerQueue {
  /** That of the network that runs, for those who are no network's. */
  static installed: TimerQueue | null = null
  /** Keep where each timer is set? */
  traces = false
  /** The timer that calls back now, unless it was stopped or set anew meanwhile. */
  current: AppTimer | null = null
  /** A binary heap. */
  private readonly heap: AppTimer[] = []
  private readonly clock: () => Micros
  private orders = 0
  private numbers = 0
  /** Those that were asked for their number. */
  private readonly numbered = new Map<number, AppTimer>()

  /** @param clock tells world time */
  constructor(clock: () => Micros) {
    this.clock = clock
  }

  /** The queue for a timer that is set now; null for the platform's. */
  static get now(): TimerQueue | null {
    return owners.getStore() ?? TimerQueue.installed
  }

  /** Runs `body`: what it sets, now and later, is here. */
  own<T>(body: () => T): T {
    return owners.run(this, body)
  }

  /** World time at which the next timer fires; Infinity for none. */
  get next(): Micros {
    return this.heap[0]?.at ?? Number.POSITIVE_INFINITY
  }

  get timers(): readonly AppTimer[] {
    return this.heap
  }

  /** Sets a timer, as `setTimeout` or `setInterval` does. */
  set(callback: Callback, delay: unknown, args: readonly unknown[], repeats: boolean): AppTimer {
    return new AppTimer(this, callback, delayOf(delay), args, repeats)
  }

  /** Fires the first timer that is due, if one is. @returns whether one was */
  fireNext(): boolean {
    const timer = this.heap[0]
    if (timer === undefined || timer.at > this.clock()) return false
    this.remove(timer)
    this.current = timer
    try {
      timer.fire()
    } finally {
      this.current = null
    }
    return true
  }

  add(timer: AppTimer): void {
    timer.at = this.clock() + timer.delay * MILLISECOND
    timer.order = ++this.orders
    timer.place = this.heap.length
    this.heap.push(timer)
    this.rise(timer)
  }

  remove(timer: AppTimer): void {
    if (this.current === timer) this.current = null
    const { place } = timer
    if (place < 0 || this.heap[place] !== timer) return
    const last = this.heap.pop()!
    timer.place = -1
    if (last === timer) return
    this.put(last, place)
    this.sink(last)
    this.rise(last)
  }

  /** A number that stands for a timer: browsers and some programs have no more than that. */
  nameByNumber(timer: AppTimer): number {
    timer.number ||= ++this.numbers
    this.numbered.set(timer.number, timer)
    return timer.number
  }

  /** Nobody will ask for its number any more. */
  forget(timer: AppTimer): void {
    if (timer.number > 0) this.numbered.delete(timer.number)
  }

  /** The timer of a number. */
  byNumber(number: unknown): AppTimer | undefined {
    return this.numbered.get(Number(number))
  }

  private put(timer: AppTimer, place: number): void {
    this.heap[place] = timer
    timer.place = place
  }

  private rise(timer: AppTimer): void {
    while (timer.place > 0) {
      const { place } = timer
      const parent = this.heap[(place - 1) >> 1]!
      if (!isBefore(timer, parent)) return
      this.put(timer, parent.place)
      this.put(parent, place)
    }
  }

  private sink(timer: AppTimer): void {
    for (;;) {
      const { place } = timer
      let child = this.heap[2 * place + 1]
      const right = this.heap[2 * place + 2]
      if (right !== undefined && isBefore(right, child!)) child = right
      if (child === undefined || !isBefore(child, timer)) return
      this.put(timer, child.place)
      this.put(child, place)
    }
  }
}

const isBefore = (a: AppTimer, b: AppTimer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)
