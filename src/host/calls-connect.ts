import { SECOND } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import type { Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'
import type { OpenFile } from '../socket/open-file.ts'
import { Socket } from '../socket/socket.ts'
import { Wakeup } from './blocking.ts'
import type { CallContext } from './call-context.ts'
import { check, failure } from './failure.ts'

/** Opening and closing: the calls that wait for the other side. */

/** accept4(2). @param peer filled with the peer's address */
export const acceptOn = async (
  sys: CallContext,
  file: OpenFile,
  peer: Sockaddr | undefined,
  flags: number,
  syscall: string,
): Promise<number> => {
  if ((flags & ~(C.SOCK_NONBLOCK | C.SOCK_CLOEXEC)) !== 0) throw failure(-Errno.EINVAL, syscall)
  const { files } = sys.process
  for (let deadline = -1; ; ) {
    // At the limit the connection stays where it is.
    if (!files.hasRoom) throw failure(-Errno.EMFILE, syscall)
    if (!(file instanceof Socket)) throw failure(-Errno.ENOTSOCK, syscall)
    const accepted = file.accept()
    if (typeof accepted !== 'number') {
      const address = accepted.acceptedPeer()
      if (peer !== undefined && typeof address !== 'number') Object.assign(peer, address)
      return sys.install(accepted, flags, syscall)
    }
    if (accepted !== -Errno.EAGAIN || file.nonBlocking) throw failure(accepted, syscall)
    if (deadline < 0) deadline = sys.deadline(file.receiveTimeout)
    const why = await sys.wait(file, Readiness.In, deadline, 'accept', true)
    sys.goOn(file)
    if (why === Wakeup.TimedOut) throw failure(-Errno.EAGAIN, syscall)
    // With a time-out set a call does not begin anew (signal(7)).
    const begins = why === Wakeup.Ready || (why === Wakeup.Restart && deadline === Number.POSITIVE_INFINITY)
    if (!begins) throw failure(-Errno.EINTR, syscall)
  }
}

/** connect(2). */
export const connectTo = async (sys: CallContext, socket: Socket, address: Sockaddr): Promise<number> => {
  let began = socket.connect(address)
  if (began === -Errno.EAGAIN && socket.connectWaits && !socket.nonBlocking) {
    began = await connectWhenAdmitted(sys, socket, address)
  }
  const isUnderWay = began === -Errno.EINPROGRESS || began === -Errno.EALREADY
  if (!isUnderWay || socket.nonBlocking) return check(began, 'connect', address)
  const deadline = sys.deadline(socket.sendTimeout)
  for (;;) {
    const result = socket.connectResult(false)
    if (result !== -Errno.EINPROGRESS) return check(result, 'connect', address)
    const why = await sys.wait(socket, Readiness.Out, deadline, 'connect')
    sys.goOn(socket)
    if (why === Wakeup.TimedOut) throw failure(began, 'connect', address)
    // The connection goes on being opened. Begun anew, the call waits on; with a time-out it does not begin anew.
    if (why === Wakeup.Interrupted || (why === Wakeup.Restart && deadline !== Number.POSITIVE_INFINITY)) {
      throw failure(-Errno.EINTR, 'connect', address)
    }
  }
}

/** Tries again whenever there is room in the listener's queue: Unix domain sockets have nothing else to wait for. */
const connectWhenAdmitted = async (sys: CallContext, socket: Socket, address: Sockaddr): Promise<number> => {
  const deadline = sys.deadline(socket.sendTimeout)
  for (;;) {
    const why = await sys.block(socket, Readiness.Out, deadline, 'connect')
    const begins = why === Wakeup.Ready || (why === Wakeup.Restart && deadline === Number.POSITIVE_INFINITY)
    if (why === Wakeup.TimedOut) return -Errno.EAGAIN
    if (!begins) return -Errno.EINTR
    const result = socket.connect(address)
    if (result !== -Errno.EAGAIN) return result
  }
}

/** Does close(2) of the last descriptor wait, by SO_LINGER? A non-blocking socket never does. */
export const lingers = (file: OpenFile): file is Socket =>
  file instanceof Socket && file.references === 1 && file.lingerSeconds > 0 && file.isStream && !file.nonBlocking

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
