import { SECOND } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import type { Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'
import type { OpenFile } from '../socket/open-file.ts'
import type { Socket } from '../socket/socket.ts'
import { RetryingCall, Wakeup } from './blocking.ts'
import { type CallContext, isSocket } from './call-context.ts'
import { check, failure } from './failure.ts'
import type { Process } from './process.ts'

/** Opening and closing: the calls that wait for the other side. */

/** accept4(2). @param peer filled with the peer's address */
export const acceptOn = (
  sys: CallContext,
  file: OpenFile,
  peer: Sockaddr | undefined,
  flags: number,
  syscall: string,
): Promise<number> => {
  if ((flags & ~(C.SOCK_NONBLOCK | C.SOCK_CLOEXEC)) !== 0) throw failure(-Errno.EINVAL, syscall)
  const fd = acceptNow(sys, file, peer, flags, syscall)
  if (fd >= 0) return sys.settled(fd)
  const { process } = sys
  const call = process.idleAccepts.take() ?? new AcceptCall(process)
  return call.of(file as Socket, peer, flags, syscall).waitOn().promise
}

/** @returns the descriptor, or -EAGAIN when the call has to wait. @throws SystemError */
const acceptNow = (
  sys: CallContext,
  file: OpenFile,
  peer: Sockaddr | undefined,
  flags: number,
  syscall: string,
): number => {
  // At the limit the connection stays where it is.
  if (!sys.process.files.hasRoom) throw failure(-Errno.EMFILE, syscall)
  if (!isSocket(file)) throw failure(-Errno.ENOTSOCK, syscall)
  const accepted = file.accept()
  if (typeof accepted !== 'number') {
    if (peer !== undefined) {
      const address = accepted.acceptedPeer()
      if (typeof address !== 'number') Object.assign(peer, address)
    }
    return sys.install(accepted, flags, syscall)
  }
  if (accepted !== -Errno.EAGAIN || file.nonBlocking) throw failure(accepted, syscall)
  return accepted
}

/** An accept that waits for a connection. One that is over serves the next. */
export class AcceptCall extends RetryingCall {
  private socket: Socket | null = null
  private peer: Sockaddr | undefined
  private flags = 0

  constructor(process: Process) {
    super(process, Readiness.In, true)
  }

  of(socket: Socket, peer: Sockaddr | undefined, flags: number, syscall: string): this {
    this.open(socket, this.process.sys.deadline(socket.receiveTimeout), syscall)
    this.socket = socket
    this.peer = peer
    this.flags = flags
    return this
  }

  protected attempt(why: number): number {
    const { syscall } = this
    if (why === Wakeup.TimedOut) throw failure(-Errno.EAGAIN, syscall)
    // With a time-out set a call does not begin anew (signal(7)).
    const begins = why === Wakeup.Ready || (why === Wakeup.Restart && this.deadline === Number.POSITIVE_INFINITY)
    if (!begins) throw failure(-Errno.EINTR, syscall)
    return acceptNow(this.process.sys, this.socket!, this.peer, this.flags, syscall)
  }

  protected override settled(): void {
    this.peer = undefined
    super.settled()
    this.socket = null
    if (this.isReused) this.process.idleAccepts.give(this)
  }
}

/** connect(2). */
export const connectTo = (sys: CallContext, socket: Socket, address: Sockaddr): Promise<number> => {
  const { loop } = sys.process.host.world
  // What is near answers within the call. One that does not wait is
  // told that it is under way all the same, as on Linux.
  if (!socket.nonBlocking) loop.hold()
  let began: number
  try {
    began = socket.connect(address)
  } finally {
    loop.release()
  }
  if (began === -Errno.EAGAIN && socket.connectWaits && !socket.nonBlocking) {
    return connectWhenAdmitted(sys, socket, address)
  }
  const isUnderWay = began === -Errno.EINPROGRESS || began === -Errno.EALREADY
  if (!isUnderWay || socket.nonBlocking) return sys.settled(check(began, 'connect', address))
  const result = socket.connectResult(false)
  if (result !== -Errno.EINPROGRESS) return sys.settled(check(result, 'connect', address))
  const { process } = sys
  const call = process.idleConnects.take() ?? new ConnectCall(process)
  return call.of(socket, address, began).waitOn().promise
}

/** A connect that waits for the other side. One that is over serves the next. */
export class ConnectCall extends RetryingCall {
  private socket: Socket | null = null
  private address: Sockaddr | null = null
  /** What connect(2) gave at first. */
  private began = 0

  constructor(process: Process) {
    super(process, Readiness.Out)
  }

  of(socket: Socket, address: Sockaddr, began: number): this {
    this.open(socket, this.process.sys.deadline(socket.sendTimeout), 'connect')
    this.socket = socket
    this.address = address
    this.began = began
    return this
  }

  protected attempt(why: number): number {
    const address = this.address!
    if (why === Wakeup.TimedOut) throw failure(this.began, 'connect', address)
    // The connection goes on being opened. Begun anew, the call waits on; with a time-out it does not begin anew.
    if (why === Wakeup.Interrupted || (why === Wakeup.Restart && this.deadline !== Number.POSITIVE_INFINITY)) {
      throw failure(-Errno.EINTR, 'connect', address)
    }
    const result = this.socket!.connectResult(false)
    return result === -Errno.EINPROGRESS ? -Errno.EAGAIN : check(result, 'connect', address)
  }

  protected override settled(): void {
    this.address = null
    super.settled()
    this.socket = null
    if (this.isReused) this.process.idleConnects.give(this)
  }
}

/** Tries again whenever there is room in the listener's queue: Unix domain sockets have nothing else to wait for. */
const connectWhenAdmitted = async (sys: CallContext, socket: Socket, address: Sockaddr): Promise<number> => {
  const deadline = sys.deadline(socket.sendTimeout)
  for (;;) {
    const why = await sys.block(socket, Readiness.Out, deadline, 'connect')
    const begins = why === Wakeup.Ready || (why === Wakeup.Restart && deadline === Number.POSITIVE_INFINITY)
    if (why === Wakeup.TimedOut) throw failure(-Errno.EAGAIN, 'connect', address)
    if (!begins) throw failure(-Errno.EINTR, 'connect', address)
    const result = socket.connect(address)
    if (result !== -Errno.EAGAIN) return check(result, 'connect', address)
  }
}

/** Does close(2) of the last descriptor wait, by SO_LINGER? A non-blocking socket never does. */
export const lingers = (file: OpenFile): file is Socket =>
  isSocket(file) && file.references === 1 && file.lingerSeconds > 0 && file.isStream && !file.nonBlocking

/**
 * close(2) with SO_LINGER: waits until everything has been acknowledged, or the time is up.
 * @throws SystemError ETIMEDOUT when it was not all acknowledged; the rest is sent all the same
 */
export const lingeringClose = async (sys: CallContext, socket: Socket): Promise<number> => {
  const deadline = sys.now + socket.lingerSeconds * SECOND
  const { closing } = sys.process
  if (socket.beginLingeringClose()) {
    closing.add(socket)
    for (let why: number = Wakeup.Ready; socket.isLingering && why === Wakeup.Ready; ) {
      why = await sys.block(socket, 0, deadline, 'close, lingering')
    }
  }
  const isLeft = socket.isLingering
  closing.delete(socket)
  socket.unref()
  if (isLeft) throw failure(-Errno.ETIMEDOUT, 'close')
  return 0
}
