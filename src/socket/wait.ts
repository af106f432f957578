/** Who waits for a descriptor: a blocked call, a poll, an epoll instance. */
export abstract class Waiter {
  /** The queue that it is in; null when it is in none. */
  queue: WaitQueue | null = null
  previous: Waiter | null = null
  next: Waiter | null = null
  /** `Readiness` bits that it wants to hear of; errors and the end are always told. */
  readonly mask: number
  /** One of those of whom only the first is to be woken: accept(2), epoll_wait(2), EPOLLEXCLUSIVE. */
  readonly exclusive: boolean

  constructor(mask: number, exclusive = false) {
    this.mask = mask
    this.exclusive = exclusive
  }

  /**
   * Something that it waits for may have come true.
   * @returns whether it will look after it (asked of exclusive ones)
   */
  abstract wake(events: number): boolean

  /** The last descriptor of what it waits for is closed. */
  closed(): void {}

  /** Waits no more. */
  leave(): void {
    this.queue?.remove(this)
  }
}

/** POLLERR and POLLHUP, which nobody can choose not to hear of. */
const ALWAYS = 0x0008 | 0x0010

/**
 * Those who wait for one descriptor: exclusive ones in the order in
 * which they came, the others before them, the last first.
 */
export class WaitQueue {
  private head: Waiter | null = null
  private tail: Waiter | null = null
  /** While the queue is gone through: whose turn is next. It moves on when that one leaves meanwhile. */
  private cursor: Waiter | null = null

  get isEmpty(): boolean {
    return this.head === null
  }

  add(waiter: Waiter): void {
    waiter.queue = this
    if (!waiter.exclusive && this.head !== null) {
      waiter.previous = null
      waiter.next = this.head
      this.head.previous = waiter
      this.head = waiter
      return
    }
    waiter.next = null
    waiter.previous = this.tail
    if (this.tail === null) this.head = waiter
    else this.tail.next = waiter
    this.tail = waiter
  }

  remove(waiter: Waiter): void {
    if (waiter.queue !== this) return
    if (this.cursor === waiter) this.cursor = waiter.next
    if (waiter.previous === null) this.head = waiter.next
    else waiter.previous.next = waiter.next
    if (waiter.next === null) this.tail = waiter.previous
    else waiter.next.previous = waiter.previous
    waiter.queue = null
    waiter.previous = null
    waiter.next = null
  }

  /**
   * Wakes everybody who wants to hear of one of `events`, but of the exclusive ones only the first that takes it. All
   * of those hear of errors and of the end, and of 0: something has changed that is no readiness.
   */
  wake(events: number): void {
    const toAll = events === 0 || (events & ALWAYS) !== 0
    let taken = false
    this.cursor = this.head
    for (let waiter = this.cursor; waiter !== null; waiter = this.cursor) {
      this.cursor = waiter.next
      if (!toAll && (events & waiter.mask) === 0) continue
      if (toAll || !waiter.exclusive) waiter.wake(events)
      else if (!taken) taken = waiter.wake(events)
    }
  }

  /** Tells everybody that the last descriptor is closed. */
  closed(): void {
    this.cursor = this.head
    for (let waiter = this.cursor; waiter !== null; waiter = this.cursor) {
      this.cursor = waiter.next
      waiter.closed()
    }
  }
}
