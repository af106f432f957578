import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT } from './constants.ts'
import { OpenFile } from './open-file.ts'
import { Waiter } from './wait.ts'

/** `struct epoll_event`. */
export interface EpollEvent {
  /** EPOLLIN, EPOLLOUT … with EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE. */
  events: number
  /** Whatever the program wants back. */
  data: unknown
}

/** Readiness bits that an interest always includes. */
const ALWAYS = Readiness.Err | Readiness.Hup
/** Bits of `events` that say how, not what. */
const MODES = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE
/** Read and write readiness have second names, as POLLRDNORM and POLLWRNORM. */
const RDNORM = 0x40
const WRNORM = 0x100

/** Adds the second names. */
export const withNormBits = (events: number): number =>
  events | ((events & Readiness.In) !== 0 ? RDNORM : 0) | ((events & Readiness.Out) !== 0 ? WRNORM : 0)

/** One descriptor that an epoll instance watches. */
class Interest extends Waiter {
  readonly epoll: Epoll
  readonly fd: number
  readonly file: OpenFile
  event: EpollEvent
  /** In the list of those that may be ready. */
  queued = false
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
    return this.disabled ? 0 : (this.event.events & ~MODES) | ALWAYS
  }

  wake(events: number): boolean {
    if (events !== 0 && (withNormBits(events) & this.wanted) === 0) return false
    return this.epoll.mayBeReady(this)
  }

  override closed(): void {
    this.epoll.forget(this)
  }
}

/** An epoll instance (epoll(7)): descriptors that are watched, and the list of those that may be ready. */
export class Epoll extends OpenFile {
  private readonly interests = new Map<number, Interest>()
  private ready: Interest[] = []

  /** epoll_ctl(2). @returns 0 or a negative `Errno` */
  control(operation: number, fd: number, file: OpenFile, event: EpollEvent | null): number {
    if ((file as OpenFile) === this) return -Errno.EINVAL
    const known = this.interests.get(fd)
    const present = known !== undefined && known.file === file
    if (operation !== EPOLL_CTL_ADD && !present) return -Errno.ENOENT
    if (operation === EPOLL_CTL_DEL) {
      this.forget(known!)
      return 0
    }
    if (event === null) return -Errno.EFAULT
    if (operation === EPOLL_CTL_ADD) {
      if (present) return -Errno.EEXIST
      if (file instanceof Epoll && file.reaches(this)) return -Errno.ELOOP
      const interest = new Interest(this, fd, file, { ...event })
      this.interests.set(fd, interest)
      file.wait(interest)
      this.check(interest)
      return 0
    }
    if (operation !== EPOLL_CTL_MOD) return -Errno.EINVAL
    if (known!.exclusive || (event.events & EPOLLEXCLUSIVE) !== 0) return -Errno.EINVAL
    known!.event = { ...event }
    known!.disabled = false
    this.check(known!)
    return 0
  }

  /**
   * What is ready now, as epoll_wait(2) reports it: level-triggered interests stay in the list, edge-triggered ones go
   * until something new happens.
   * @returns how many were put into `into`, at most `most`
   */
  harvest(into: EpollEvent[], most: number): number {
    let count = 0
    const again: Interest[] = []
    let taken = 0
    for (; taken < this.ready.length && count < most; taken++) {
      const interest = this.ready[taken]!
      interest.queued = false
      const events = withNormBits(interest.file.poll()) & interest.wanted
      if (events === 0 || this.interests.get(interest.fd) !== interest) continue
      into[count++] = { events, data: interest.event.data }
      if ((interest.event.events & EPOLLONESHOT) !== 0) interest.disabled = true
      else if ((interest.event.events & EPOLLET) === 0) again.push(interest)
    }
    // Those that were not reached come first next time, so that none starves.
    this.ready = this.ready.slice(taken)
    for (const interest of again) {
      interest.queued = true
      this.ready.push(interest)
    }
    into.length = count
    return count
  }

  poll(): number {
    for (const interest of this.ready) {
      if ((withNormBits(interest.file.poll()) & interest.wanted) !== 0) return Readiness.In
    }
    return 0
  }

  /** Notes that something has happened to a watched descriptor. @returns whether it was news */
  mayBeReady(interest: Interest): boolean {
    if (!interest.queued) {
      interest.queued = true
      this.ready.push(interest)
    }
    this.wake(Readiness.In)
    return true
  }

  forget(interest: Interest): void {
    interest.leave()
    if (this.interests.get(interest.fd) === interest) this.interests.delete(interest.fd)
    if (interest.queued) this.ready = this.ready.filter((other) => other !== interest)
    interest.queued = false
  }

  protected release(): void {
    for (const interest of [...this.interests.values()]) this.forget(interest)
  }

  private check(interest: Interest): void {
    if ((withNormBits(interest.file.poll()) & interest.wanted) !== 0) this.mayBeReady(interest)
  }

  /** Does this instance watch `other`, itself or through further ones? */
  private reaches(other: Epoll): boolean {
    for (const interest of this.interests.values()) {
      if (interest.file === other) return true
      if (interest.file instanceof Epoll && interest.file.reaches(other)) return true
    }
    return false
  }
}
