import type { Micros } from '../core/clock.ts'
import { Errno, type SystemError } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import type { Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'
import type { ControlMessage } from '../socket/control.ts'
import type { OpenFile } from '../socket/open-file.ts'
import type { Received, Socket } from '../socket/socket.ts'
import { BlockedCall, RetryingCall, Wakeup } from './blocking.ts'
import type { CallContext } from './call-context.ts'
import { failure } from './failure.ts'
import type { Process } from './process.ts'
import { SIGPIPE } from './signals.ts'

/** Sending and receiving, with what has to be waited for. Calls that need not wait settle at once. */

/**
 * send(2) and its kin. What it sends is delivered before it returns.
 * @returns a promise of the bytes taken, or of an error
 */
export const transmit = (
  sys: CallContext,
  socket: Socket,
  bytes: Uint8Array,
  length: number,
  flags: number,
  to: Sockaddr | null,
  control: readonly ControlMessage[] | null,
  syscall: string,
): Promise<number> => {
  const { loop } = sys.process.host.world
  loop.hold()
  try {
    if (!(length >= 0 && length <= bytes.length)) return Promise.reject(failure(-Errno.EFAULT, syscall))
    if (socket.opensBySending(flags)) return transmitOpening(sys, socket, bytes, length, flags, to, syscall)
    const sent = socket.send(bytes, 0, length, flags, to, control)
    if (sent === length) return allSent(sys, socket, sent, syscall)
    if (sent >= 0 || sent === -Errno.EAGAIN) {
      // An Internet socket that is no stream never waits to send: EAGAIN is something else, want of a port.
      if (socket.sendWaits && !socket.nonBlocking && (flags & C.MSG_DONTWAIT) === 0) {
        return sendRest(sys, socket, bytes, length, Math.max(0, sent), flags, to, control, syscall)
      }
      if (sent > 0) return sys.settled(sent)
    }
    return Promise.reject(sendFailure(sys, sent, signalFlags(socket, flags), syscall))
  } finally {
    // Who has to wait for room does so already, and is woken when there is some.
    loop.release()
  }
}

/** Datagrams that a process sends in a row, and the time that it takes for them: none of them has to wait. */
const BURST = 4096
const BURST_TIME: Micros = 1000

/** All has been sent, and the call returns. @returns a promise of `sent` */
export const allSent = (sys: CallContext, socket: Socket, sent: number, syscall: string): Promise<number> =>
  socket.isStream || ++sys.process.burst < BURST ? sys.settled(sent) : rest(sys, sent, syscall)

/** A process that sends datagram after datagram lets others have their turn. @returns `sent` */
const rest = async (sys: CallContext, sent: number, syscall: string): Promise<number> => {
  await new BlockedCall(sys.process, syscall).until(sys.now + BURST_TIME).promise
  sys.enter()
  return sent
}

/** A send that opens the connection: what the SYN does not take follows when the connection stands (RFC 7413). */
const transmitOpening = async (
  sys: CallContext,
  socket: Socket,
  bytes: Uint8Array,
  length: number,
  flags: number,
  to: Sockaddr | null,
  syscall: string,
): Promise<number> => {
  const waits = !socket.nonBlocking && (flags & C.MSG_DONTWAIT) === 0
  const deadline = sys.deadline(socket.sendTimeout)
  const began = socket.openBySending(bytes, 0, length, flags, to)
  if (began < 0 && !(began === -Errno.EALREADY && waits)) throw sendFailure(sys, began, flags, syscall)
  const taken = Math.max(0, began)
  for (;;) {
    const result = socket.connectResult(false)
    if (result === 0) break
    if (result !== -Errno.EINPROGRESS) throw sendFailure(sys, result, flags, syscall)
    socket.noteWriter(waits && taken < length)
    const why = waits ? await sys.block(socket, Readiness.Out, deadline, syscall) : Wakeup.TimedOut
    socket.noteWriter(false)
    if (why === Wakeup.Ready) continue
    if (taken > 0) return taken
    throw failure(why === Wakeup.TimedOut ? -Errno.EINPROGRESS : -Errno.EINTR, syscall)
  }
  if (taken === length) return taken
  const rest = bytes.subarray(taken, length)
  const then = (flags & ~C.MSG_FASTOPEN) | (taken > 0 ? C.MSG_CONTINUED : 0)
  return taken + (await transmit(sys, socket, rest, rest.length, then, null, null, syscall))
}

/** The part of a send that has to wait for room. */
const sendRest = async (
  sys: CallContext,
  socket: Socket,
  bytes: Uint8Array,
  length: number,
  already: number,
  flags: number,
  to: Sockaddr | null,
  control: readonly ControlMessage[] | null,
  syscall: string,
): Promise<number> => {
  const deadline = sys.deadline(socket.sendTimeout)
  let total = already
  for (;;) {
    socket.noteWriter(true)
    const why = await sys.wait(socket, Readiness.Out, deadline, syscall, false, length - total)
    socket.noteWriter(false)
    sys.goOn(socket)
    if (givesUp(why, total, deadline, syscall)) return total
    // An error that came after some bytes were taken is for the next call to report.
    if (total > 0 && socket.hasError) return total
    const asked = total > 0 ? flags | C.MSG_CONTINUED : flags
    const sent = socket.send(bytes, total, length - total, asked, to, total === 0 ? control : null)
    if (sent > 0) total += sent
    else if (sent < 0 && sent !== -Errno.EAGAIN) {
      socket.sendEnded()
      if (total > 0) return total
      throw sendFailure(sys, sent, signalFlags(socket, flags), syscall)
    }
    if (total === length) return total
  }
}

/**
 * Must a call that has waited return what it has? With nothing to return it fails, or begins anew: after a signal whose
 * handler wants that, and without a time-out (signal(7)).
 * @throws SystemError EAGAIN, EINTR
 */
export const givesUp = (why: number, total: number, deadline: Micros, syscall: string): boolean => {
  if (why === Wakeup.Ready) return false
  if (total > 0) return true
  if (why === Wakeup.Restart && deadline === Number.POSITIVE_INFINITY) return false
  throw failure(why === Wakeup.TimedOut ? -Errno.EAGAIN : -Errno.EINTR, syscall)
}

/** Only streams draw SIGPIPE. */
export const signalFlags = (socket: Socket, flags: number): number => (socket.isStream ? flags : flags | C.MSG_NOSIGNAL)

/** EPIPE comes with SIGPIPE, unless the caller does not want it (send(2)). */
export const sendFailure = (sys: CallContext, result: number, flags: number, syscall: string): SystemError => {
  if (result === -Errno.EPIPE && (flags & C.MSG_NOSIGNAL) === 0) sys.process.signal(SIGPIPE)
  return failure(result, syscall)
}

/** recv(2) and its kin. @returns a promise of the bytes received, or of an error */
export const receiveInto = (
  sys: CallContext,
  socket: Socket,
  buffer: Uint8Array,
  length: number,
  flags: number,
  received: Received | null,
  syscall: string,
): Promise<number> => {
  if (!(length >= 0 && length <= buffer.length)) return Promise.reject(failure(-Errno.EFAULT, syscall))
  // To take from a stream the time of the last turn, or call, is good enough: an ACK that follows reads the clock.
  if (!socket.isStream || socket.receiveTimeout !== 0) sys.process.host.world.loop.refresh()
  const isBlocking = !socket.nonBlocking && (flags & (C.MSG_DONTWAIT | C.MSG_ERRQUEUE)) === 0
  // What a call that may wait is told of the end differs from what one that may not is told.
  const asked = socket.nonBlocking ? flags | C.MSG_DONTWAIT : flags
  const count = socket.receive(buffer, 0, length, asked, received)
  // Urgent data is never waited for; to sockets that have none, the flag means nothing.
  const isUrgent = (flags & C.MSG_OOB) !== 0 && socket.isStream
  if (count === -Errno.EAGAIN && isBlocking && !isUrgent) {
    return receiveCall(sys).of(sys, socket, buffer, length, flags, received, syscall).waitOn().promise
  }
  if (count < 0) return Promise.reject(failure(count, syscall))
  const target = (flags & C.MSG_WAITALL) !== 0 ? length : socket.receiveTarget(length)
  const isEnough = count === 0 || count >= target || !socket.isStream || !isBlocking || (flags & C.MSG_PEEK) !== 0
  if (isEnough || isUrgent) return sys.settled(count)
  return receiveCall(sys).of(sys, socket, buffer, length, flags, received, syscall).after(count).promise
}

/** The part of a receive that has to wait for data. One that is over serves the next. */
export class ReceiveCall extends RetryingCall {
  private socket: Socket | null = null
  private buffer!: Uint8Array
  private length = 0
  private flags = 0
  private received: Received | null = null
  /** Bytes with which it returns. */
  private target = 0
  private total = 0

  constructor(process: Process) {
    super(process, Readiness.In)
  }

  /** Begins with the call. */
  of(
    sys: CallContext,
    socket: Socket,
    buffer: Uint8Array,
    length: number,
    flags: number,
    received: Received | null,
    syscall: string,
  ): this {
    this.open(socket, sys.deadline(socket.receiveTimeout), syscall)
    this.socket = socket
    this.buffer = buffer
    this.length = length
    this.flags = flags
    this.received = received
    this.target = (flags & C.MSG_WAITALL) !== 0 ? length : socket.receiveTarget(length)
    this.total = 0
    this.noteAwaited()
    return this
  }

  /** Goes on with a call that has received `total` bytes. */
  after(total: number): this {
    this.total = total
    return this.try()
  }

  protected attempt(why: number): number {
    const { length, flags, syscall } = this
    const socket = this.socket!
    if (givesUp(why, this.total, this.deadline, syscall)) return this.total
    for (;;) {
      const { total } = this
      // An error that came after some bytes is for the next call to report, and so is what lies behind the urgent mark.
      if (total > 0 && (socket.hasError || socket.endsRun)) return total
      const count = socket.receive(this.buffer, total, length - total, flags, this.received)
      if (count > 0) {
        this.total += count
        if (this.total >= this.target || !socket.isStream || (flags & C.MSG_PEEK) !== 0) return this.total
      } else if (count !== -Errno.EAGAIN) {
        if (total > 0 || count === 0) return total
        throw failure(count, syscall)
      } else {
        this.noteAwaited()
        return count
      }
    }
  }

  protected override settled(): void {
    this.buffer = NO_BYTES
    this.received = null
    super.settled()
    this.socket = null
    if (this.isReused) this.process.idleReceives.give(this)
  }

  private noteAwaited(): void {
    this.bytes = this.target === 1 ? -1 : this.target - this.total
  }
}

const receiveCall = ({ process }: CallContext): ReceiveCall => process.idleReceives.take() ?? new ReceiveCall(process)

const NO_BYTES = new Uint8Array(0)

/** read(2) of what is no socket. */
export const readFile = async (
  sys: CallContext,
  file: OpenFile,
  buffer: Uint8Array,
  length: number,
): Promise<number> => {
  if (file.access === C.O_WRONLY) throw failure(-Errno.EBADF, 'read')
  if (!(length >= 0 && length <= buffer.length)) throw failure(-Errno.EFAULT, 'read')
  for (;;) {
    const count = file.read(buffer, 0, length)
    if (count >= 0) return count
    if (count !== -Errno.EAGAIN || file.nonBlocking) throw failure(count, 'read')
    const why = await sys.block(file, Readiness.In, Number.POSITIVE_INFINITY, 'read')
    if (why === Wakeup.Interrupted) throw failure(-Errno.EINTR, 'read')
  }
}

/** write(2) of what is no socket. */
export const writeFile = async (
  sys: CallContext,
  file: OpenFile,
  bytes: Uint8Array,
  length: number,
): Promise<number> => {
  if (file.access === C.O_RDONLY) throw failure(-Errno.EBADF, 'write')
  if (!(length >= 0 && length <= bytes.length)) throw failure(-Errno.EFAULT, 'write')
  let total = 0
  for (;;) {
    const count = file.write(bytes, total, length - total)
    if (count >= 0) {
      total += count
      if (total === length || file.nonBlocking) return total
    } else if (count !== -Errno.EAGAIN || file.nonBlocking) {
      if (total > 0 && count !== -Errno.EPIPE) return total
      throw sendFailure(sys, count, 0, 'write')
    }
    const why = await sys.block(file, Readiness.Out, Number.POSITIVE_INFINITY, 'write')
    if (givesUp(why, total, Number.POSITIVE_INFINITY, 'write')) return total
  }
}
