import type { Micros } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import * as C from '../socket/constants.ts'
import type { OpenFile } from '../socket/open-file.ts'
import type { Socket } from '../socket/socket.ts'
import { BlockedCall } from './blocking.ts'
import { failure, ProcessExit } from './failure.ts'
import type { Process } from './process.ts'

/** What system calls are made of: the process that makes them, its descriptors, and how they wait. */
export abstract class CallContext {
  readonly process: Process
  /** The last result of a call that was over at once, and its promise. */
  private lastResult = 0
  private lastSettled: Promise<number> = Promise.resolve(0)

  constructor(process: Process) {
    this.process = process
  }

  /**
   * A promise of what a call that may wait has come to at once: one serves all calls in a row that come to the same.
   */
  settled(result: number): Promise<number> {
    if (result !== this.lastResult) {
      this.lastResult = result
      this.lastSettled = Promise.resolve(result)
    }
    return this.lastSettled
  }

  /** World time, microseconds. */
  get now(): Micros {
    return this.process.host.world.loop.now
  }

  /** Every call begins here: a process that was ended calls no more, and live hosts read the clock. */
  enter(): void {
    this.resume()
    this.process.host.world.loop.refresh()
  }

  /** The same at the time that it is already: of a call that goes on behind a turn, or that need not know the time. */
  resume(): void {
    const { process } = this
    if (process.status !== null) throw new ProcessExit(process.status)
    process.host.sockets.caller = process
  }

  /**
   * What a call that may wait gives for an error: a rejection; of a process that was ended meanwhile nothing, ever, as
   * one that it dies in. So no part of its program that nobody waits for fails for that.
   */
  failed(error: unknown): Promise<never> {
    if (!(error instanceof ProcessExit)) return Promise.reject(error)
    this.process.host.rested()
    return new Promise(() => {})
  }

  /** The file behind a descriptor. */
  fileAt(fd: number, syscall: string): OpenFile {
    this.enter()
    const file = this.process.files.get(fd)
    if (file === null) throw failure(-Errno.EBADF, syscall)
    return file
  }

  /** The socket behind a descriptor. */
  protected socketAt(fd: number, syscall: string): Socket {
    this.process.host.world.loop.refresh()
    return this.socketNow(fd, syscall)
  }

  /** The same for a call that need not know the time. */
  protected socketNow(fd: number, syscall: string): Socket {
    this.resume()
    const file = this.process.files.get(fd)
    if (file === null) throw failure(-Errno.EBADF, syscall)
    if (!isSocket(file)) throw failure(-Errno.ENOTSOCK, syscall)
    return file
  }

  /** Gives a new file a descriptor. @param flags SOCK_NONBLOCK, SOCK_CLOEXEC */
  install(file: OpenFile, flags: number, syscall: string): number {
    file.nonBlocking = (flags & C.SOCK_NONBLOCK) !== 0
    const fd = this.process.files.add(file, 0, (flags & C.SOCK_CLOEXEC) !== 0)
    if (fd >= 0) return fd
    file.retain()
    file.unref()
    throw failure(fd, syscall)
  }

  /** When a call's patience ends, by SO_RCVTIMEO or SO_SNDTIMEO: 0 is without end, less is none at all. */
  deadline(limit: Micros): Micros {
    return limit === 0 ? Number.POSITIVE_INFINITY : this.now + Math.max(0, limit)
  }

  /** Waits for a file; the call keeps it open meanwhile. @returns one of `Wakeup` */
  async block(file: OpenFile, mask: number, deadline: Micros, syscall: string, exclusive = false): Promise<number> {
    const why = await this.wait(file, mask, deadline, syscall, exclusive)
    this.goOn(file)
    return why
  }

  /**
   * The first half of `block`, for calls that are asynchronous themselves
   * and save a promise: they await what it returns, then call `goOn`.
   * @param bytes how many are still to be sent or received; -1 when that is nothing to tell
   */
  wait(
    file: OpenFile,
    mask: number,
    deadline: Micros,
    syscall: string,
    exclusive = false,
    bytes = -1,
  ): Promise<number> {
    return new BlockedCall(this.process, syscall, mask, exclusive, bytes).on(file).until(deadline).promise
  }

  /**
   * The second half: lets go of the file, which is there all the same until the call waits again or returns. A process
   * that has ended meanwhile goes no further.
   */
  goOn(file: OpenFile): void {
    this.process.host.letGo(file)
    this.enter()
  }

  /** Waits until `deadline` or a signal. @returns one of `Wakeup` */
  protected async pause(deadline: Micros, syscall: string): Promise<number> {
    this.enter()
    const why = await new BlockedCall(this.process, syscall).until(deadline).promise
    this.enter()
    return why
  }
}

/** Is it a socket, so that calls for sockets make sense? */
export const isSocket = (file: OpenFile): file is Socket => file.isSocket
