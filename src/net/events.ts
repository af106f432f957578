import { Waiter } from '../socket/wait.ts'

/** What an `EventQueue` asks of the platform. */
export interface EventPlatform {
  /** Calls `run` in a turn of the platform's event loop of its own: never at once. */
  schedule(run: () => void): void
  /** What the platform does after each callback into a program, before the next: Node's tick queue, for one. */
  afterCallback(): void
  /** The number of things that keep a program alive has become 0, or is 0 no longer. */
  activeChanged(isActive: boolean): void
}

/** The events of one program: handles that something has happened to, each given its turn outside the packet path. */
export class EventQueue {
  private readonly platform: EventPlatform
  private head: Handle | null = null
  private tail: Handle | null = null
  private scheduled = false
  private active = 0
  /** Is the program over? What it makes from now on, while it does not know, hears of nothing. */
  isEnded = false

  constructor(platform: EventPlatform) {
    this.platform = platform
  }

  /** Has a turn been asked for that has not been had? */
  get isPending(): boolean {
    return this.scheduled
  }

  /** Handles that keep the program alive. */
  get activeHandles(): number {
    return this.active
  }

  /** Gives `handle` a turn soon. */
  post(handle: Handle): void {
    if (handle.posted || handle.isMute) return
    handle.posted = true
    if (this.tail === null) this.head = handle
    else this.tail.nextReady = handle
    this.tail = handle
    this.schedule()
  }

  /** To be called after every callback into the program. */
  afterCallback(): void {
    this.platform.afterCallback()
  }

  countActive(change: 1 | -1): void {
    const was = this.active > 0
    this.active += change
    if (was !== this.active > 0) this.platform.activeChanged(!was)
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    this.platform.schedule(this.run)
  }

  /** What is posted meanwhile waits for the next turn, and so does the rest when a callback throws. */
  private readonly run = (): void => {
    this.scheduled = false
    const last = this.tail
    try {
      for (let handle = this.head; handle !== null; handle = handle === last ? null : this.head) {
        this.head = handle.nextReady
        if (this.head === null) this.tail = null
        handle.nextReady = null
        handle.posted = false
        handle.handleEvents()
      }
    } finally {
      if (this.head !== null) this.schedule()
    }
  }
}

/** Something of a program's that events come to: a stream or a datagram socket, as libuv's handles are. */
export abstract class Handle extends Waiter {
  readonly events: EventQueue
  /** Is it in the queue? */
  posted = false
  /** The next in the queue. */
  nextReady: Handle | null = null
  /** Was it made when its program was over? Then its calls succeed, and nothing comes of them. */
  readonly isMute: boolean
  private referenced = true
  private working = false
  private counted = false

  constructor(events: EventQueue) {
    super(0xffff)
    this.events = events
    this.isMute = events.isEnded
  }

  /** Does what there is to do, and tells the program. */
  abstract handleEvents(): void

  /** Does it keep the program alive while there is something that it waits for? */
  get hasRef(): boolean {
    return this.referenced
  }

  /** As uv_ref and uv_unref. */
  setRef(referenced: boolean): void {
    this.referenced = referenced
    this.count()
  }

  /** Notes whether it waits for something now. */
  protected setWorking(working: boolean): void {
    this.working = working
    this.count()
  }

  private count(): void {
    const counts = this.referenced && this.working
    if (counts === this.counted) return
    this.counted = counts
    this.events.countActive(counts ? 1 : -1)
  }
}
