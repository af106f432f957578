import type { EventEmitter } from 'node:events'

/** What has happened, in order. */
export class Log {
  readonly lines: string[] = []

  say(line: string): void {
    this.lines.push(line)
  }

  /** Notes each of an emitter's events by name, with what `show` makes of its arguments. */
  follow(name: string, emitter: EventEmitter, events: readonly string[]): void {
    for (const event of events) {
      emitter.on(event, (...args: unknown[]) => {
        const shown = args.map(show).filter((text) => text !== '')
        this.say([`${name}: ${event}`, ...shown].join(' '))
      })
    }
  }
}

const show = (value: unknown): string => {
  if (value instanceof Error) return describe(value)
  if (value instanceof Uint8Array) return String(Buffer.from(value))
  return typeof value === 'object' || value === undefined ? '' : String(value)
}

/** An error, with what Node gives errors; ports that were chosen are left out. */
export const describe = (error: unknown): string => {
  const { name, message, code, errno, syscall, address } = error as NodeJS.ErrnoException & { address?: string }
  const parts = { name, message: message.replace(/:\d{4,5}\b/g, ':PORT'), code, errno, syscall, address }
  return Object.entries(parts)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(' ')
}

/** What a call throws. */
export const thrownBy = (call: () => unknown): string => {
  try {
    call()
  } catch (error) {
    return describe(error)
  }
  return 'nothing'
}

export const SOCKET_EVENTS = ['lookup', 'connect', 'ready', 'data', 'end', 'finish', 'timeout', 'error', 'close']
export const SERVER_EVENTS = ['listening', 'connection', 'drop', 'error', 'close']
