import { Errno } from '../core/errno.ts'
import { packFlags } from '../core/flags.ts'
import { O_RDWR } from './constants.ts'
import { type Waiter, WaitQueue } from './wait.ts'

/** The first bit in `OpenFile.bits` that sockets have. */
export const SOCKET_FLAGS = 2

/**
 * An open file description: what descriptors refer to, several of them perhaps, in several processes. It goes when the
 * last one is closed.
 */
export abstract class OpenFile {
  /** Descriptors that refer to it, and calls in progress on it. */
  references = 0
  /** Boolean properties, of the classes derived from this one too. */
  bits = 0
  /** O_NONBLOCK. */
  declare nonBlocking: boolean
  /** O_ASYNC, and whom SIGIO and SIGURG go to: a process's id, 0 for nobody. */
  declare async: boolean
  owner = 0
  private queue: WaitQueue | null = null

  static {
    packFlags(OpenFile.prototype, ['nonBlocking', 'async'], 0, SOCKET_FLAGS)
  }

  /** O_RDONLY, O_WRONLY or O_RDWR. */
  get access(): number {
    return O_RDWR
  }

  /** Bytes that it holds between its two ends, if it is a pipe's end; else 0. */
  get capacity(): number {
    return 0
  }

  /** Is it a `Socket`? Asked of every call: `instanceof` goes up the chain of prototypes each time. */
  get isSocket(): boolean {
    return false
  }

  /** What it is ready for now: `Readiness` bits. */
  abstract poll(): number

  /** Does what the last close(2) does. */
  protected abstract release(): void

  /**
   * read(2), without blocking.
   * @returns bytes read, 0 at the end of file, or a negative `Errno`: -EAGAIN when it would block
   */
  read(_target: Uint8Array, _at: number, _length: number): number {
    return -Errno.EINVAL
  }

  /** write(2), without blocking. @returns bytes written, or a negative `Errno`: -EAGAIN when it would block */
  write(_source: Uint8Array, _at: number, _length: number): number {
    return -Errno.EINVAL
  }

  /** ioctl(2). @returns the value asked for or 0, or a negative `Errno` */
  ioctl(_request: number, _value: number): number {
    return -Errno.ENOTTY
  }

  /** Sets O_ASYNC, which only files that signal their changes keep. */
  setAsync(on: boolean): void {
    this.async = on && this.signalsChanges
  }

  /** Has its kind of file O_ASYNC? */
  protected get signalsChanges(): boolean {
    return true
  }

  /** Can it be waited for: has its kind of file poll(2)? Those that have not are always ready. */
  get canPoll(): boolean {
    return true
  }

  retain(): void {
    this.references++
  }

  /** One descriptor less. @returns whether it was the last */
  unref(): boolean {
    if (--this.references > 0) return false
    this.release()
    this.queue?.closed()
    return true
  }

  /** Waits with `waiter` for changes. */
  wait(waiter: Waiter): void {
    this.queue ??= new WaitQueue()
    this.queue.add(waiter)
  }

  /** Does anybody wait for it? */
  protected get isWaitedFor(): boolean {
    return this.queue !== null && !this.queue.isEmpty
  }

  /** Tells those who wait that one of `events` may have come true; 0 tells all. */
  wake(events: number): void {
    this.queue?.wake(events)
    if (this.async && this.owner !== 0) this.notifyOwner()
  }

  /** O_ASYNC: its owner is to get SIGIO. */
  protected notifyOwner(): void {}
}
