import timers from 'node:timers'
import promises from 'node:timers/promises'
import { promisify } from 'node:util'
import { AppTimer, native, TimerQueue } from './app-timers.ts'

/** The functions that set timers: in virtual time for the programs of a network, in the platform's for others. */

/** What has such functions: a global object, `node:timers`. */
export type Place = Record<string, unknown>

const nativePromises = {
  setTimeout: promises.setTimeout,
  setInterval: promises.setInterval,
  wait: promises.scheduler.wait,
}

const setter =
  (name: 'setTimeout' | 'setInterval') =>
  (callback: unknown, delay?: unknown, ...args: unknown[]): unknown => {
    const queue = TimerQueue.now
    if (queue === null || typeof callback !== 'function') {
      // What is wrong with a callback is Node's to say.
      return native[name](callback as () => void, delay as number, ...args)
    }
    return queue.set(callback as () => void, delay, args, name === 'setInterval')
  }

const clear = (timer: unknown): void => {
  if (timer instanceof AppTimer) {
    timer.close()
    return
  }
  const numbered = typeof timer === 'object' ? undefined : TimerQueue.now?.byNumber(timer)
  if (numbered === undefined) native.clearTimeout(timer as NodeJS.Timeout)
  else numbered.close()
}

interface TimerOptions {
  readonly signal?: AbortSignal
  readonly ref?: boolean
}

/** What Node's promises are rejected with when their signal says so. */
const abortError = (signal: AbortSignal): Error =>
  Object.assign(new Error('The operation was aborted', { cause: signal.reason }), {
    name: 'AbortError',
    code: 'ABORT_ERR',
  })

/** `setTimeout` of `node:timers/promises`. */
const sleep = <T>(delay?: number, value?: T, options: TimerOptions = {}): Promise<T> => {
  const queue = TimerQueue.now
  if (queue === null) return nativePromises.setTimeout(delay, value, options) as Promise<T>
  const { signal, ref = true } = options
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(abortError(signal))
      return
    }
    const stop = (): void => {
      timer.close()
      reject(abortError(signal!))
    }
    const ring = (): void => {
      signal?.removeEventListener('abort', stop)
      resolve(value as T)
    }
    const timer = queue.set(ring, delay, [], false)
    if (!ref) timer.unref()
    signal?.addEventListener('abort', stop, { once: true })
  })
}

/** `setInterval` of `node:timers/promises`: what nobody has taken yet is counted. */
async function* ticks<T>(
  queue: TimerQueue,
  delay: number | undefined,
  value: T,
  { signal, ref = true }: TimerOptions,
): AsyncGenerator<T> {
  if (signal?.aborted) throw abortError(signal)
  let passed = 0
  let wake: (() => void) | null = null
  const tick = (): void => {
    passed++
    wake?.()
  }
  const timer = queue.set(tick, delay, [], true)
  if (!ref) timer.unref()
  const stop = (): void => wake?.()
  signal?.addEventListener('abort', stop, { once: true })
  try {
    for (;;) {
      if (signal?.aborted) throw abortError(signal)
      for (; passed > 0; passed--) yield value
      await new Promise<void>((resolve) => {
        wake = resolve
      })
      wake = null
    }
  } finally {
    timer.close()
    signal?.removeEventListener('abort', stop)
  }
}

const tickPromises = <T>(delay?: number, value?: T, options: TimerOptions = {}): AsyncIterable<T> => {
  const queue = TimerQueue.now
  if (queue === null) return nativePromises.setInterval(delay, value, options) as AsyncIterable<T>
  return ticks(queue, delay, value as T, options)
}

const wait = (delay: number, options?: TimerOptions): Promise<void> =>
  TimerQueue.now === null ? nativePromises.wait(delay, options) : sleep(delay, undefined, options)

const setTimeoutNow = Object.assign(setter('setTimeout'), { [promisify.custom]: sleep })
const FUNCTIONS = {
  setTimeout: setTimeoutNow,
  setInterval: setter('setInterval'),
  clearTimeout: clear,
  clearInterval: clear,
}

/** Gives a global object these functions, for good, and `node:timers` with it. Doing it twice does nothing. */
export const dispatchTimers = (place: object): void => {
  if ((place as Place)['setTimeout'] === setTimeoutNow) return
  Object.assign(place, FUNCTIONS)
  Object.assign(timers, FUNCTIONS)
  Object.assign(promises, { setTimeout: sleep, setInterval: tickPromises })
  Object.assign(promises.scheduler, { wait })
}
