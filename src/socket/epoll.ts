import { Errno } from '../core/errno.ts'
import { ALWAYS_REPORTED, Readiness } from '../core/readiness.ts'
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLERR,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EPOLLWAKEUP,
} from './constants.ts'
import { OpenFile } from './open-file.ts'
import { Waiter } from './wait.ts'

/** `struct epoll_event`. */
export interface EpollEvent {
  /** EPOLLIN, EPOLLOUT … with EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE. */
  events: number
  /** Whatever the program wants back. */
  data: unknown
}

/** Bits of `events` that say how, not what. */
const MODES = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP
/** What EPOLLEXCLUSIVE may stand with. */
const EXCLUSIVE_OK = (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE) >>> 0
/** How many epoll instances there may be in a row, each watching the next. */
const MOST_NESTED = 5
/** Read and write readiness have second names, as POLLRDNORM and POLLWRNORM. */
const RDNORM = 0x40
const WRNORM = 0x100
/** Room for urgent data goes with room. */
const WRBAND = 0x200

/** Adds the second names. */
export const withNormBits = (events: number): number =>
  events | ((events & Readiness.In) !== 0 ? RDNORM : 0) | ((events & Readiness.Out) !== 0 ? WRNORM : 0)

/** What is to be heard of for whoever asks for `events`, by their first or second names. */
export const heardFor = (events: number): number =>
  events | ((events & RDNORM) !== 0 ? Readiness.In : 0) | ((events & (WRNORM | WRBAND)) !== 0 ? Readiness.Out : 0)

/** One descriptor that an epoll instance watches. */
class Interest extends Waiter {
  readonly epoll: Epoll
  readonly fd: number
  readonly file: OpenFile
  event: EpollEvent
  /** EPOLLONESHOT has fired. */
  disabled = false

  constructor(epoll: Epoll, fd: number, file: OpenFile, event: EpollEvent) {
    // The mask may change, so that everything is heard and looked at.
    super(0xffff, (event.events & EPOLLEXCLUSIVE) !== 0)
    this.epoll = epoll
    this.fd = fd
    this.file = file
    this.event = event
  }

  get wanted(): number {
    return this.disabled ? 0 : (this.event.events & ~MODES) | ALWAYS_REPORTED
  }

  /** What of it is ready now. */
  get events(): number {
    return withNormBits(this.file.poll()) & this.wanted
  }

  wake(events: number): boolean {
    if (this.disabled || (events !== 0 && (events & heardFor(this.wanted)) === 0)) return false
    return this.epoll.mayBeReady(this)
  }

  override closed(): void {
    this.epoll.forget(this)
  }
}

/**
 * An epoll instance (epoll(7)): descriptors that are watched, and the list of those that may be ready. What is watched
 * is the open file under a number, so that closing the number alone, while a copy of it is open, changes nothing.
 */
export class Epoll extends OpenFile {
  private readonly interests = new Map<OpenFile, Interest[]>()
  /** Those that may be ready, in the order in which they became so. */
  private readonly ready = new Set<Interest>()

  /** epoll_ctl(2). @returns 0 or a negative `Errno` */
  control(operation: number, fd: number, file: OpenFile, event: EpollEvent | null): number {
    if (!file.canPoll) return -Errno.EPERM
    if ((file as OpenFile) === this) return -Errno.EINVAL
    const exclusive = event !== null && (event.events & EPOLLEXCLUSIVE) !== 0
    if (exclusive && operation === EPOLL_CTL_MOD) return -Errno.EINVAL
    if (exclusive && operation === EPOLL_CTL_ADD) {
      if (file instanceof Epoll || (event.events & ~EXCLUSIVE_OK) !== 0) return -Errno.EINVAL
    }
    const known = this.interests.get(file)?.find((interest) => interest.fd === fd)
    switch (operation) {
      case EPOLL_CTL_ADD:
        if (file instanceof Epoll && (file.reaches(this) || file.depth + this.height > MOST_NESTED)) return -Errno.ELOOP
        if (known !== undefined) return -Errno.EEXIST
        this.add(new Interest(this, fd, file, { ...event! }))
        return 0
      case EPOLL_CTL_DEL:
        if (known === undefined) return -Errno.ENOENT
        this.forget(known)
        return 0
      case EPOLL_CTL_MOD:
        if (known === undefined) return -Errno.ENOENT
        if (known.exclusive) return -Errno.EINVAL
        known.event = { ...event! }
        known.disabled = false
        this.check(known)
        return 0
      default:
        return -Errno.EINVAL
    }
  }

  /**
   * What is ready now, as epoll_wait(2) reports it: level-triggered interests stay in the list, edge-triggered ones go
   * until something new happens.
   * @returns how many were put into `into`, at most `most`
   */
  harvest(into: EpollEvent[], most: number): number {
    let count = 0
    const again: Interest[] = []
    for (const interest of this.ready) {
      if (count >= most) break
      this.ready.delete(interest)
      const { events } = interest
      if (events === 0) continue
      into[count++] = { events, data: interest.event.data }
      if ((interest.event.events & EPOLLONESHOT) !== 0) interest.disabled = true
      else if ((interest.event.events & EPOLLET) === 0) again.push(interest)
    }
    into.length = count
    // Those that were not reached come first next time, so that none starves.
    for (const interest of again) this.ready.add(interest)
    // Another thread that waits here may take what is left.
    if (count > 0 && this.ready.size > 0) this.wake(Readiness.In)
    return count
  }

  protected override get signalsChanges(): boolean {
    return false
  }

  override ioctl(): number {
    return -Errno.EINVAL
  }

  poll(): number {
    for (const interest of this.ready) if (interest.events !== 0) return Readiness.In
    return 0
  }

  /** Descriptors that are watched. */
  get size(): number {
    let count = 0
    for (const interests of this.interests.values()) count += interests.length
    return count
  }

  /** Notes that something has happened to a watched descriptor. @returns whether anybody waits here who will look at it now */
  mayBeReady(interest: Interest): boolean {
    const isAwaited = this.isWaitedFor
    this.ready.add(interest)
    this.wake(Readiness.In)
    return isAwaited
  }

  forget(interest: Interest): void {
    interest.leave()
    this.ready.delete(interest)
    const { file } = interest
    const left = this.interests.get(file)?.filter((other) => other !== interest) ?? []
    if (left.length > 0) this.interests.set(file, left)
    else {
      this.interests.delete(file)
      if (file instanceof Epoll) file.watchers.delete(this)
    }
  }

  protected release(): void {
    for (const interests of [...this.interests.values()]) for (const interest of interests) this.forget(interest)
  }

  private add(interest: Interest): void {
    const { file } = interest
    const others = this.interests.get(file)
    if (others === undefined) this.interests.set(file, [interest])
    else others.push(interest)
    if (file instanceof Epoll) file.watchers.add(this)
    file.wait(interest)
    this.check(interest)
  }

  private check(interest: Interest): void {
    if (interest.events !== 0) this.mayBeReady(interest)
  }

  /** Does this instance watch `other`, itself or through further ones? */
  private reaches(other: Epoll): boolean {
    for (const file of this.interests.keys()) {
      if (file === other || (file instanceof Epoll && file.reaches(other))) return true
    }
    return false
  }

  /** The epoll instances that watch this one. */
  private readonly watchers = new Set<Epoll>()

  /** How many instances in a row there are from this one down. */
  private get depth(): number {
    let deepest = 0
    for (const file of this.interests.keys()) if (file instanceof Epoll) deepest = Math.max(deepest, file.depth)
    return deepest + 1
  }

  /** How many instances in a row there are from this one up. */
  private get height(): number {
    let highest = 0
    for (const watcher of this.watchers) highest = Math.max(highest, watcher.height)
    return highest + 1
  }
}
