import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import { MILLISECOND, type Micros } from '../core/clock.ts'
import { TimerQueue } from './app-timers.ts'
import { socketTimeout } from './socket-timeout.ts'
import { dispatchTimers } from './timer-functions.ts'

/** Where virtual time comes from. */
export interface TimeSource {
  /** Microseconds since 1970 when the world's clock was 0. */
  readonly epoch: Micros
  now(): Micros
}

/** What has clocks and timers for who looks there: the global object, and those of sandboxes. */
export type Globals = Record<string, unknown>

/** The timers and the clocks of an application, on virtual time, as long as it is installed. */
export class AppTime {
  private readonly queue: TimerQueue
  private readonly source: TimeSource
  private readonly restore: (() => void)[] = []

  /**
   * @param queue the timers that are set
   * @param sandboxes global objects besides this one's, whose programs are to have this time
   * @throws Error when another is installed: a process has one time
   */
  constructor(source: TimeSource, queue: TimerQueue, sandboxes: readonly object[] = []) {
    if (TimerQueue.installed !== null) {
      throw new Error('another network runs in virtual time in this thread: await its run, or close it, before')
    }
    this.source = source
    this.queue = queue
    TimerQueue.installed = queue
    const places = [...new Set([globalThis, ...sandboxes])] as unknown as Globals[]
    for (const place of places) this.installIn(place)
    const { prototype } = net.Socket
    this.replace(prototype as unknown as Globals, { setTimeout: socketTimeout(prototype.setTimeout) })
    // Those who import from `node:timers` and the like by name are to have these, too.
    syncBuiltinESMExports()
  }

  uninstall(): void {
    if (TimerQueue.installed === this.queue) TimerQueue.installed = null
    for (const undo of this.restore.splice(0).reverse()) undo()
    syncBuiltinESMExports()
  }

  /** Virtual time since 1970, milliseconds. */
  private get wall(): number {
    return (this.source.epoch + this.source.now()) / MILLISECOND
  }

  private installIn(place: Globals): void {
    dispatchTimers(place)
    this.replace(place, { Date: this.dateFrom(place['Date'] as DateConstructor) })
    const { performance, process, AbortSignal: signal } = place as unknown as typeof globalThis
    this.replace(performance as unknown as Globals, { now: () => this.source.now() / MILLISECOND })
    this.replace(process as unknown as Globals, { hrtime: this.hrtime() })
    this.replace(signal as unknown as Globals, { timeout: (delay: number) => this.abortAfter(delay, place) })
  }

  /** Puts other values in the place of an object's, until `uninstall`. */
  private replace(object: Globals, values: Globals): void {
    for (const [name, value] of Object.entries(values)) {
      const before = Object.getOwnPropertyDescriptor(object, name)
      const { enumerable = false } = before ?? {}
      Object.defineProperty(object, name, { value, enumerable, configurable: true, writable: true })
      this.restore.push(() => {
        if (before === undefined) delete object[name]
        else Object.defineProperty(object, name, before)
      })
    }
  }

  /** A `Date` for which it is now virtual time; what the other has made is of this class, too. */
  private dateFrom(Native: DateConstructor): DateConstructor {
    const now = (): number => Math.floor(this.wall)
    const Virtual = function (this: unknown, ...args: unknown[]): unknown {
      if (new.target === undefined) return new Native(now()).toString()
      return Reflect.construct(Native, args.length === 0 ? [now()] : args, new.target)
    }
    Object.defineProperty(Virtual, 'name', { value: 'Date' })
    Object.defineProperty(Virtual, 'length', { value: 7 })
    Virtual.prototype = Native.prototype
    return Object.assign(Virtual, { now, parse: Native.parse, UTC: Native.UTC }) as unknown as DateConstructor
  }

  private hrtime(): typeof process.hrtime {
    const micros = (): bigint => BigInt(Math.floor(this.source.now() * 1000))
    const hrtime = (before?: [number, number]): [number, number] => {
      const time = micros()
      const [seconds, nanos] = [Number(time / 1_000_000_000n), Number(time % 1_000_000_000n)]
      if (before === undefined) return [seconds, nanos]
      const passed = [seconds - before[0], nanos - before[1]] as [number, number]
      return passed[1] < 0 ? [passed[0] - 1, passed[1] + 1_000_000_000] : passed
    }
    return Object.assign(hrtime, { bigint: micros })
  }

  /** `AbortSignal.timeout`. */
  private abortAfter(delay: number, place: Globals): AbortSignal {
    const { AbortController: Controller, DOMException: Exception } = place as unknown as typeof globalThis
    const controller = new Controller()
    const abort = (): void => {
      controller.abort(new Exception('The operation was aborted due to timeout', 'TimeoutError'))
    }
    this.queue.set(abort, delay, [], false).unref()
    return controller.signal
  }
}
