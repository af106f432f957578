import type { Micros } from '../core/clock.ts'
import { Timer, type TimerOwner } from '../core/timer.ts'
import type { OpenFile } from '../socket/open-file.ts'
import { Waiter } from '../socket/wait.ts'
import type { Process } from './process.ts'

/** Why a blocked call goes on. */
export const Wakeup = {
  /** What it waits for may have come true. */
  Ready: 0,
  TimedOut: 1,
  /** A signal was handled. */
  Interrupted: 2,
  /** A signal was handled, and calls are to begin anew after it (SA_RESTART). */
  Restart: 3,
} as const

/**
 * A call that waits: for a file, or several, for a time, or for a signal. Its promise settles once; that of a process
 * which dies meanwhile never does.
 */
export class BlockedCall implements TimerOwner {
  readonly promise: Promise<number>
  /** What is waited for, in words: for those who look. */
  readonly reason: string
  private readonly process: Process
  private readonly waiters: FileWaiter[] = []
  private timer: Timer | null = null
  /** What the call keeps open while it waits. */
  private kept: OpenFile | null = null
  private settle: ((why: number) => void) | null = null

  constructor(process: Process, reason: string) {
    this.process = process
    this.reason = reason
    this.promise = new Promise((resolve) => {
      this.settle = resolve
    })
    process.blocked.add(this)
  }

  /** Keeps a file open until the call goes on, and then leaves it to the caller to let go; or until it never will. */
  keeping(file: OpenFile): this {
    file.retain()
    this.kept = file
    return this
  }

  /** Waits for one of `mask` on `file`, too. */
  onFile(file: OpenFile, mask: number, exclusive = false): this {
    const waiter = new FileWaiter(this, mask, exclusive)
    this.waiters.push(waiter)
    file.wait(waiter)
    return this
  }

  /** Waits no longer than until `deadline`; Infinity for ever. */
  until(deadline: Micros): this {
    if (deadline === Number.POSITIVE_INFINITY) return this
    this.timer = new Timer(this, 0)
    this.process.host.world.loop.timers.schedule(this.timer, deadline)
    return this
  }

  /** Goes on. @returns whether it was still waiting */
  resume(why: number): boolean {
    const { settle } = this
    if (settle === null) return false
    this.leave()
    this.process.host.resumed()
    settle(why)
    return true
  }

  /** Never goes on. */
  abandon(): void {
    this.leave()
    this.kept?.unref()
    this.kept = null
  }

  private leave(): void {
    this.settle = null
    this.process.blocked.delete(this)
    for (const waiter of this.waiters) waiter.leave()
    if (this.timer !== null) this.process.host.world.loop.timers.cancel(this.timer)
  }

  onTimer(): void {
    this.resume(Wakeup.TimedOut)
  }
}

class FileWaiter extends Waiter {
  private readonly call: BlockedCall

  constructor(call: BlockedCall, mask: number, exclusive: boolean) {
    super(mask, exclusive)
    this.call = call
  }

  wake(): boolean {
    return this.call.resume(Wakeup.Ready)
  }
}
