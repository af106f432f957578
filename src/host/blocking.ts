import type { Micros } from '../core/clock.ts'
import { Readiness } from '../core/readiness.ts'
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
export class BlockedCall extends Waiter implements TimerOwner {
  readonly promise: Promise<number>
  /** Its neighbours among the calls of its process that wait. */
  previousCall: BlockedCall | null = null
  nextCall: BlockedCall | null = null
  private readonly process: Process
  private readonly syscall: string
  /** Bytes that it still wants to send or receive; -1 when it is not about bytes. */
  private readonly bytes: number
  /** What stands for it in the queues of files beside the first. */
  private others: FileWaiter[] | null = null
  private timer: Timer | null = null
  private kept: OpenFile | null = null
  private settle!: ((why: number) => void) | null

  /** @param mask `Readiness` bits that it waits for on the file that `on` names */
  constructor(process: Process, syscall: string, mask = 0, exclusive = false, bytes = -1) {
    super(mask, exclusive)
    this.process = process
    this.syscall = syscall
    this.bytes = bytes
    this.promise = new Promise((resolve) => {
      this.settle = resolve
    })
    process.blocked.add(this)
  }

  /** What is waited for, in words: for those who look. */
  get reason(): string {
    if (this.bytes < 0) return this.syscall
    const count = this.bytes === 1 ? '1 byte' : `${this.bytes} bytes`
    return `${this.syscall}, ${count} ${(this.mask & Readiness.Out) !== 0 ? 'to go' : 'awaited'}`
  }

  /**
   * Waits for the readiness it was made with on `file`, and keeps that open: until the call goes on, and then leaves it to
   * the caller to let go; or until it never will.
   */
  on(file: OpenFile): this {
    file.retain()
    this.kept = file
    file.wait(this)
    return this
  }

  /** Waits for one of `mask` on `file`, too, and keeps that open until the call goes on. */
  onFile(file: OpenFile, mask: number): this {
    file.retain()
    const waiter = new FileWaiter(this, file, mask)
    this.others ??= []
    this.others.push(waiter)
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
    this.stop()
    this.process.host.resumed()
    settle(why)
    return true
  }

  /** Never goes on. */
  abandon(): void {
    this.stop()
    this.kept?.unref()
    this.kept = null
  }

  private stop(): void {
    this.settle = null
    this.process.blocked.remove(this)
    this.leave()
    if (this.others !== null) {
      for (const waiter of this.others) {
        waiter.leave()
        this.process.host.letGo(waiter.file)
      }
    }
    if (this.timer !== null) this.process.host.world.loop.timers.cancel(this.timer)
  }

  wake(): boolean {
    return this.resume(Wakeup.Ready)
  }

  onTimer(): void {
    this.resume(Wakeup.TimedOut)
  }
}

class FileWaiter extends Waiter {
  readonly file: OpenFile
  private readonly call: BlockedCall

  constructor(call: BlockedCall, file: OpenFile, mask: number) {
    super(mask)
    this.file = file
    this.call = call
  }

  wake(): boolean {
    return this.call.resume(Wakeup.Ready)
  }
}

/** The calls of a process that wait, the one that has waited longest first. */
export class BlockedCalls {
  private head: BlockedCall | null = null
  private tail: BlockedCall | null = null

  /** The one that has waited longest; null when none waits. */
  get first(): BlockedCall | null {
    return this.head
  }

  add(call: BlockedCall): void {
    call.previousCall = this.tail
    if (this.tail === null) this.head = call
    else this.tail.nextCall = call
    this.tail = call
  }

  /** Takes out a call that is in. */
  remove(call: BlockedCall): void {
    if (call.previousCall === null) this.head = call.nextCall
    else call.previousCall.nextCall = call.nextCall
    if (call.nextCall === null) this.tail = call.previousCall
    else call.nextCall.previousCall = call.previousCall
    call.previousCall = null
    call.nextCall = null
  }

  *[Symbol.iterator](): Iterator<BlockedCall> {
    for (let call = this.head; call !== null; call = call.nextCall) yield call
  }
}
