import { format } from 'node:util'
import { programs } from './programs.ts'

/** Where programs print. */
const METHODS = ['log', 'info', 'debug', 'warn', 'error'] as const

const heard = new WeakSet<Console>()

/**
 * Lets programs that print by a `console` be heard, from now on: see `NodeContext.hear`. Doing it twice does nothing.
 */
export const listenToConsole = (target: Console): void => {
  if (heard.has(target)) return
  heard.add(target)
  for (const method of METHODS) {
    const before = target[method]
    target[method] = (...args: unknown[]) => {
      const { current } = programs
      const isError = method === 'warn' || method === 'error'
      if (current?.hear?.(format(...args), isError) !== true) before.apply(target, args)
    }
  }
}
