import { MILLISECOND, type Micros } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import { ALWAYS_REPORTED, Readiness } from '../core/readiness.ts'
import { Epoll, type EpollEvent, heardFor, withNormBits } from '../socket/epoll.ts'
import type { OpenFile } from '../socket/open-file.ts'
import { BlockedCall, Wakeup } from './blocking.ts'
import type { CallContext } from './call-context.ts'
import { failure } from './failure.ts'

/** select(2) and poll(2): waiting for one of several descriptors. */

/** `struct pollfd`. */
export interface PollFd {
  fd: number
  /** POLLIN, POLLOUT … */
  events: number
  revents: number
}

/** `fd_set`. */
export type SelectSet = Set<number>

/** What select calls readable, writable and exceptional (select(2), "Correspondence between select() and poll()"). */
const READABLE = Readiness.In | Readiness.Hup | Readiness.Err
const WRITABLE = Readiness.Out | Readiness.Err
const EXCEPTIONAL = Readiness.Pri

/** @param deadline world time; Infinity for ever @returns how many descriptors have `revents` */
export const pollFiles = async (sys: CallContext, fds: PollFd[], deadline: Micros): Promise<number> => {
  const { files } = sys.process
  if (fds.length > files.limit) throw failure(-Errno.EINVAL, 'poll')
  const look = (): number => {
    let count = 0
    for (const entry of fds) {
      entry.revents = 0
      if (entry.fd < 0) continue
      const file = files.get(entry.fd)
      entry.revents = file === null ? Readiness.Nval : withNormBits(file.poll()) & (entry.events | ALWAYS_REPORTED)
      if (entry.revents !== 0) count++
    }
    return count
  }
  return waitFor(sys, 'poll', deadline, look, (call) => {
    for (const entry of fds) {
      const file = entry.fd < 0 ? null : files.get(entry.fd)
      if (file !== null) call.onFile(file, heardFor(entry.events) | ALWAYS_REPORTED)
    }
  })
}

/** @param deadline world time; Infinity for ever @returns how many descriptors are left in all sets */
export const selectFiles = async (
  sys: CallContext,
  nfds: number,
  read: SelectSet | null,
  write: SelectSet | null,
  except: SelectSet | null,
  deadline: Micros,
): Promise<number> => {
  const { files } = sys.process
  const sets: [SelectSet, number][] = []
  if (read !== null) sets.push([read, READABLE])
  if (write !== null) sets.push([write, WRITABLE])
  if (except !== null) sets.push([except, EXCEPTIONAL])
  const wanted: [SelectSet, number, number][] = []
  for (const [set, mask] of sets) {
    for (const fd of set) {
      if (fd >= nfds) continue
      if (files.get(fd) === null) throw failure(-Errno.EBADF, 'select')
      wanted.push([set, mask, fd])
    }
  }
  // A descriptor that is closed meanwhile is left out.
  const isReady = ([, mask, fd]: [SelectSet, number, number]): boolean => ((files.get(fd)?.poll() ?? 0) & mask) !== 0
  const look = (): number => wanted.filter(isReady).length
  const count = await waitFor(sys, 'select', deadline, look, (call) => {
    for (const [, mask, fd] of wanted) {
      const file = files.get(fd)
      if (file !== null) call.onFile(file, mask)
    }
  })
  const ready = wanted.filter(isReady)
  for (const [set] of sets) set.clear()
  for (const [set, , fd] of ready) set.add(fd)
  return count === 0 ? 0 : ready.length
}

const waitFor = async (
  sys: CallContext,
  syscall: string,
  deadline: Micros,
  look: () => number,
  register: (call: BlockedCall) => void,
): Promise<number> => {
  for (;;) {
    const count = look()
    if (count > 0 || sys.now >= deadline) return count
    const call = new BlockedCall(sys.process, syscall).until(deadline)
    register(call)
    const why = await call.promise
    sys.enter()
    if (why === Wakeup.TimedOut) return look()
    // These calls never begin anew (signal(7)).
    if (why !== Wakeup.Ready) throw failure(-Errno.EINTR, syscall)
  }
}

/** epoll_wait(2). @param timeout milliseconds; negative for ever @returns how many events were filled in */
export const waitEpoll = async (
  sys: CallContext,
  epoll: OpenFile,
  events: EpollEvent[],
  most: number,
  timeout: number,
): Promise<number> => {
  if (!(epoll instanceof Epoll) || most <= 0) throw failure(-Errno.EINVAL, 'epoll_wait')
  const deadline = timeout < 0 ? Number.POSITIVE_INFINITY : sys.now + timeout * MILLISECOND
  for (;;) {
    const count = epoll.harvest(events, most)
    if (count > 0 || timeout === 0) return count
    const why = await sys.block(epoll, Readiness.In, deadline, 'epoll_wait')
    if (why === Wakeup.TimedOut) return 0
    if (why !== Wakeup.Ready) throw failure(-Errno.EINTR, 'epoll_wait')
  }
}
