import { MILLISECOND } from '../core/clock.ts'
import { Timer, type TimerOwner } from '../core/timer.ts'
import type { NetContext } from './context.ts'
import { Handle } from './events.ts'
import type { Scope } from './platform.ts'

/** A timer of a program's on its network's time. It does not keep the program alive. */
export class Alarm extends Handle implements TimerOwner {
  private readonly context: NetContext
  private readonly scope: Scope
  private readonly ring: () => void
  private readonly timer = new Timer(this, 0)
  private due = false

  constructor(context: NetContext, scope: Scope, ring: () => void) {
    super(context.events)
    this.context = context
    this.scope = scope
    this.ring = ring
  }

  /** Sets it, or begins it anew. @param delay milliseconds */
  start(delay: number): void {
    const { loop } = this.context.host.world
    loop.refresh()
    this.due = false
    loop.timers.schedule(this.timer, loop.now + delay * MILLISECOND)
  }

  stop(): void {
    this.due = false
    this.context.host.world.loop.timers.cancel(this.timer)
  }

  onTimer(): void {
    this.due = true
    this.events.post(this)
  }

  handleEvents(): void {
    if (!this.due) return
    this.due = false
    this.scope.runInAsyncScope(this.ring, null)
    this.events.afterCallback()
  }

  wake(): boolean {
    return false
  }
}
