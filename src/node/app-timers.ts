import { AsyncResource } from 'node:async_hooks'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import timers from 'node:timers'
import FakeTimers from '@sinonjs/fake-timers'

/** The timers and the clocks of an application, on virtual time, as long as it is installed. */
export class AppTimers {
  private readonly clock: ReturnType<ReturnType<typeof FakeTimers.withGlobal>['install']>
  private readonly restore: (() => void)[] = []

  /** @param now milliseconds since 1970 */
  constructor(now: number) {
    const native = { setTimeout: net.Socket.prototype.setTimeout, timeout: AbortSignal.timeout }
    this.clock = FakeTimers.withGlobal(globalThis).install({
      now,
      toFake: [
        ...(['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance', 'hrtime'] as const),
      ],
      ignoreMissingTimers: true,
    })
    keepContext('setTimeout')
    keepContext('setInterval')
    net.Socket.prototype.setTimeout = socketTimeout(native.setTimeout)
    AbortSignal.timeout = abortAfter
    this.restore.push(() => {
      net.Socket.prototype.setTimeout = native.setTimeout
      AbortSignal.timeout = native.timeout
    })
    // Those who import from `node:timers` and the like by name are to have these, too.
    syncBuiltinESMExports()
  }

  /** When the next timer fires, milliseconds since 1970; Infinity for none. */
  get next(): number {
    let next = Number.POSITIVE_INFINITY
    const { timers } = this.clock as unknown as { timers?: Iterable<unknown> }
    if (timers === undefined) return next
    for (const entry of timers) {
      const [, { callAt }] = entry as [unknown, { callAt: number }]
      if (callAt < next) next = callAt
    }
    return next
  }

  /**
   * Sets the clocks forward to `time`, milliseconds since 1970, and fires the first timer that is due, if one is.
   * @returns whether one was
   */
  advanceTo(time: number): boolean {
    if (this.next <= time) {
      this.clock.next()
      return true
    }
    const whole = Math.floor(time)
    if (whole > this.clock.now) this.clock.tick(whole - this.clock.now)
    return false
  }

  uninstall(): void {
    for (const undo of this.restore.splice(0)) undo()
    this.clock.uninstall()
    syncBuiltinESMExports()
  }
}

/** Timers call back in the asynchronous context in which they were set. */
const keepContext = (name: 'setTimeout' | 'setInterval'): void => {
  const set = globalThis[name] as (callback: (...args: unknown[]) => void, ...rest: unknown[]) => unknown
  const bound = (callback: unknown, ...rest: unknown[]): unknown =>
    set(typeof callback === 'function' ? AsyncResource.bind(callback as () => void) : (callback as never), ...rest)
  Object.defineProperties(bound, Object.getOwnPropertyDescriptors(set))
  Object.assign(globalThis, { [name]: bound })
  Object.assign(timers, { [name]: bound })
}

/** `AbortSignal.timeout` with the timers that are there when it is called. */
const abortAfter = (delay: number): AbortSignal => {
  const controller = new AbortController()
  const timer = setTimeout(() => {
    controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'))
  }, delay)
  timer.unref()
  return controller.signal
}

type SetTimeout = net.Socket['setTimeout']

/** Where sockets keep their timer, which every byte that moves begins anew. */
const timerKey = (socket: net.Socket): symbol | undefined =>
  Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'timeout')

interface TimedSocket {
  [key: symbol]: NodeJS.Timeout | null | undefined
  _onTimeout(): void
  timeout?: number
}

/** `socket.setTimeout` with a timer that can be virtual; Node's own has one that cannot. */
const socketTimeout = (native: SetTimeout): SetTimeout =>
  function (this: net.Socket, delay, callback) {
    const socket = this as net.Socket & TimedSocket
    const key = timerKey(socket)
    // What is wrong with the arguments is Node's to say.
    const isPlain = Number.isFinite(delay) && delay >= 0 && (callback === undefined || typeof callback === 'function')
    if (key === undefined || !isPlain || socket.destroyed) return native.call(socket, delay, callback)
    // Stops the one before, and keeps the callback.
    native.call(socket, 0, callback)
    const before = socket[key]
    if (before !== null && before !== undefined) clearTimeout(before)
    socket[key] = null
    socket.timeout = delay
    if (delay === 0) return socket
    if (callback !== undefined) socket.once('timeout', callback)
    socket[key] = setTimeout(() => {
      if (!socket.destroyed) socket._onTimeout()
    }, delay).unref()
    return socket
  }
