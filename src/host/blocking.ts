import type { Micros } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import type { Continuation } from '../core/loop.ts'
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

/** A call that waits: for a file, or several, for a time, or for a signal. */
export abstract class WaitingCall extends Waiter implements TimerOwner {
  /** Its neighbours among the calls of its process that wait. */
  previousCall: WaitingCall | null = null
  nextCall: WaitingCall | null = null
  protected readonly process: Process
  protected syscall: string
  /** Bytes that it still wants to send or receive; -1 when it is not about bytes. */
  protected bytes: number
  /** What stands for it in the queues of files beside the first. */
  private others: FileWaiter[] | null = null
  private timer: Timer | null = null
  private kept: OpenFile | null = null
  private waits = false

  /** @param mask `Readiness` bits that it waits for on the file that `on` names */
  constructor(process: Process, syscall: string, mask: number, exclusive: boolean, bytes: number) {
    super(mask, exclusive)
    this.process = process
    this.syscall = syscall
    this.bytes = bytes
  }

  /** It has been woken, and waits no more. @param why one of `Wakeup` */
  protected abstract woken(why: number): void

  /** Begins to wait. */
  protected begin(): void {
    this.waits = true
    this.process.blocked.add(this)
    this.process.burst = 0
  }

  /** What is waited for, in words: for those who look. */
  get reason(): string {
    if (this.bytes < 0) return this.syscall
    const count = this.bytes === 1 ? '1 byte' : `${this.bytes} bytes`
    return `${this.syscall}, ${count} ${(this.mask & Readiness.Out) !== 0 ? 'to go' : 'awaited'}`
  }

  /**
   * Waits for the readiness it was made with on `file`, and keeps that open: until the call goes on, and then leaves it
   * to the caller to let go; or until it never will.
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
    this.timer ??= new Timer(this, 0)
    this.process.host.world.loop.timers.schedule(this.timer, deadline)
    return this
  }

  /** Goes on. @returns whether it was still waiting */
  resume(why: number): boolean {
    if (!this.waits) return false
    this.stop()
    this.woken(why)
    return true
  }

  /** Never goes on. */
  abandon(): void {
    this.stop()
    this.kept?.unref()
    this.kept = null
  }

  private stop(): void {
    this.waits = false
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

/**
 * A call that is told by a promise that it goes on, and why. The
 * promise of a process which dies meanwhile never settles.
 */
export class BlockedCall extends WaitingCall {
  readonly promise: Promise<number>
  private settle!: (why: number) => void

  constructor(process: Process, syscall: string, mask = 0, exclusive = false, bytes = -1) {
    super(process, syscall, mask, exclusive, bytes)
    this.promise = new Promise((resolve) => {
      this.settle = resolve
    })
    this.begin()
    process.host.rested()
  }

  protected woken(why: number): void {
    this.process.host.resumed()
    this.settle(why)
  }
}

/**
 * A call that tries again by itself each time that it is woken, and settles its promise with the result: the program
 * runs on only when there is one. What was woken in a turn of the loop tries again when the turn is over.
 */
export abstract class RetryingCall extends WaitingCall implements Continuation {
  promise!: Promise<number>
  nextContinuation: Continuation | null = null
  /** When its patience ends; Infinity for never. */
  protected deadline: Micros = Number.POSITIVE_INFINITY
  /** Next of those that are over and serve the next that have to wait. */
  nextIdle: RetryingCall | null = null
  private file: OpenFile | null = null
  private resolve!: (result: number) => void
  private reject!: (error: unknown) => void
  private why: number = Wakeup.Ready
  /** Does one that is over serve the next? */
  protected readonly isReused: boolean
  private readonly handsOver: boolean
  private readonly take = (resolve: (result: number) => void, reject: (error: unknown) => void): void => {
    this.resolve = resolve
    this.reject = reject
  }

  constructor(process: Process, mask: number, exclusive = false) {
    super(process, '', mask, exclusive, -1)
    this.handsOver = process.host.world.fast.handover
    this.isReused = process.host.world.fast['call-reuse']
  }

  /** Begins a call. */
  protected open(file: OpenFile, deadline: Micros, syscall: string): void {
    this.file = file
    this.deadline = deadline
    this.syscall = syscall
    this.why = Wakeup.Ready
    this.promise = new Promise(this.take)
    this.process.host.rested()
  }

  /** The call is over. */
  protected settled(): void {
    this.file = null
  }

  /**
   * Tries to do what the call is for.
   * @param why one of `Wakeup`
   * @returns the call's result, or -EAGAIN when it has to wait on
   * @throws SystemError
   */
  protected abstract attempt(why: number): number

  /** Waits until there is a reason to try. */
  waitOn(): this {
    this.begin()
    return this.on(this.file!).until(this.deadline)
  }

  /** Tries, and waits if it must. */
  try(): this {
    try {
      const result = this.attempt(this.why)
      if (result === -Errno.EAGAIN) return this.waitOn()
      this.process.host.resumed()
      this.resolve(result)
    } catch (error) {
      this.process.host.resumed()
      this.reject(error)
    }
    this.settled()
    return this
  }

  protected woken(why: number): void {
    this.why = why
    const { loop } = this.process.host.world
    if (loop.isTurning && this.handsOver) {
      loop.afterTurn(this)
      return
    }
    // No run of the world ends before it has tried.
    const { host } = this.process
    host.resumed()
    void Promise.resolve().then(() => {
      host.rested()
      loop.refresh()
      this.goOn()
    })
  }

  goOn(): void {
    this.process.host.letGo(this.file!)
    try {
      this.process.sys.resume()
    } catch (error) {
      this.process.host.resumed()
      this.reject(error)
      return
    }
    this.try()
  }
}

/** Calls of a process that are over and may be used again, the last first: it is still in the processor's cache. */
export class IdleCalls<T extends RetryingCall> {
  private first: T | null = null
  private count = 0

  /** One that is to be used again; null when there is none. */
  take(): T | null {
    const call = this.first
    if (call === null) return null
    this.first = call.nextIdle as T | null
    call.nextIdle = null
    this.count--
    return call
  }

  give(call: T): void {
    if (this.count === MOST_IDLE) return
    call.nextIdle = this.first
    this.first = call
    this.count++
  }
}

/** What is kept for a burst of calls that wait. */
const MOST_IDLE = 16_384

class FileWaiter extends Waiter {
  readonly file: OpenFile
  private readonly call: WaitingCall

  constructor(call: WaitingCall, file: OpenFile, mask: number) {
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
  private head: WaitingCall | null = null
  private tail: WaitingCall | null = null

  /** The one that has waited longest; null when none waits. */
  get first(): WaitingCall | null {
    return this.head
  }

  add(call: WaitingCall): void {
    call.previousCall = this.tail
    if (this.tail === null) this.head = call
    else this.tail.nextCall = call
    this.tail = call
  }

  /** Takes out a call that is in. */
  remove(call: WaitingCall): void {
    if (call.previousCall === null) this.head = call.nextCall
    else call.previousCall.nextCall = call.nextCall
    if (call.nextCall === null) this.tail = call.previousCall
    else call.nextCall.previousCall = call.previousCall
    call.previousCall = null
    call.nextCall = null
  }

  *[Symbol.iterator](): Iterator<WaitingCall> {
    for (let call = this.head; call !== null; call = call.nextCall) yield call
  }
}
