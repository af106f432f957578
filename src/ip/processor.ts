import type { Micros } from '../core/clock.ts'
import type { Frame } from '../core/frame.ts'
import { Task } from '../core/loop.ts'
import { Timer, type TimerOwner } from '../core/timer.ts'
import { Drop } from '../wire/drop.ts'
import type { NetworkInterface } from './interface.ts'
import type { IpStack } from './stack.ts'

/**
 * The time that a host's processor has for received packets. As a rule it has all: a frame is taken in the moment it
 * arrives. A host that is made slow (`packetTime`) or is halted (`halt`) lets frames wait: those from a link in the
 * interface's receive ring, those the host sends to itself in the backlog, which `netdev_max_backlog` bounds. Either
 * overflows as Linux's do, and is counted where Linux counts it.
 */
export class Processor extends Task implements TimerOwner {
  /** Time that each received packet takes, microseconds. */
  packetTime: Micros = 0
  /** Packets that found the backlog full: the second column of /proc/net/softnet_stat. */
  dropped = 0
  /** Packets taken in that had to wait. */
  processed = 0
  private readonly stack: IpStack
  private readonly timer = new Timer(this, 0)
  private halted = false
  private waiting = 0
  private backlogged = 0
  private freeAt: Micros = 0
  /** Which interface is served, and how many more frames of it before the next one's turn. */
  private turn = 0
  private share = 0

  constructor(stack: IpStack) {
    super()
    this.stack = stack
  }

  /** Must a frame that arrives now wait? */
  get isBusy(): boolean {
    return this.packetTime > 0 || this.halted || this.waiting > 0
  }

  /** Frames that wait. */
  get queued(): number {
    return this.waiting
  }

  /** Stops taking packets in, as when interrupts are off, until `resume`. */
  halt(): void {
    this.halted = true
  }

  resume(): void {
    this.halted = false
    this.wake()
  }

  /** Lets a frame from a link wait, or drops it when the ring is full. */
  enqueue(iface: NetworkInterface, frame: Frame): void {
    const full = iface.isLoopback ? this.backlogIsFull() : iface.ring.length >= iface.ringSize
    if (full) {
      if (iface.isLoopback) this.dropFromBacklog(iface, frame)
      else {
        iface.statistics.rxOverruns++
        this.stack.drop(frame, Drop['receive-ring-full'])
      }
      return
    }
    if (iface.isLoopback) this.backlogged++
    this.waiting++
    iface.ring.push(frame)
    this.wake()
  }

  /**
   * Lets a frame that the host has sent to itself wait, as if it had come through `iface`: a copy of its own multicast.
   */
  enqueueOwn(iface: NetworkInterface, frame: Frame): void {
    if (this.backlogIsFull()) {
      this.dropFromBacklog(iface, frame)
      return
    }
    this.backlogged++
    this.waiting++
    iface.own.push(frame)
    this.wake()
  }

  override run(): void {
    const { loop } = this.stack.world
    while (this.waiting > 0 && !this.halted) {
      if (this.packetTime > 0) {
        if (loop.now < this.freeAt) {
          loop.timers.schedule(this.timer, this.freeAt)
          return
        }
        this.freeAt = loop.now + this.packetTime
      }
      this.takeOne()
    }
  }

  onTimer(): void {
    this.run()
  }

  /** Forgets the frames of an interface that goes. */
  flush(iface: NetworkInterface): void {
    this.waiting -= iface.ring.length + iface.own.length
    this.backlogged -= iface.own.length + (iface.isLoopback ? iface.ring.length : 0)
    iface.ring.clear(this.stack.world.frames)
    iface.own.clear(this.stack.world.frames)
  }

  /** Gives up the timer. */
  close(): void {
    this.stack.world.loop.timers.cancel(this.timer)
  }

  private wake(): void {
    if (this.waiting > 0 && !this.halted && !this.timer.isSet) this.stack.world.loop.post(this)
  }

  private takeOne(): void {
    const { interfaces, settings } = this.stack
    for (;;) {
      if (this.turn >= interfaces.length) this.turn = 0
      const iface = interfaces[this.turn]!
      if (this.share <= 0 || (iface.ring.length === 0 && iface.own.length === 0)) {
        this.turn++
        this.share = settings.dev_weight
        continue
      }
      this.share--
      this.waiting--
      this.processed++
      const own = iface.own.shift()
      if (own !== null) {
        this.backlogged--
        iface.ownInput(own)
        return
      }
      if (iface.isLoopback) this.backlogged--
      iface.input(iface.ring.shift()!)
      return
    }
  }

  private backlogIsFull(): boolean {
    return this.backlogged >= this.stack.settings.netdev_max_backlog
  }

  private dropFromBacklog(iface: NetworkInterface, frame: Frame): void {
    this.dropped++
    iface.statistics.rxDropped++
    this.stack.drop(frame, Drop['backlog-full'])
  }
}
