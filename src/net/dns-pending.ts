import type { Sys } from '../host/calls.ts'
import type { Process } from '../host/process.ts'
import { Handle } from './events.ts'
import type { Asking } from './platform.ts'

/** A question that was asked: keeps the program alive until it is answered, and answers in a turn of its own. */
export class PendingAnswer<T> extends Handle {
  private readonly run: (answer: T) => void
  private settled: { readonly answer: T } | null = null
  private helper: Process | null = null

  /** @param answered told once, in the context of the caller */
  constructor(surroundings: Asking, answered: (answer: T) => void) {
    super(surroundings.current().events)
    const scope = surroundings.platform.scope('NETGLASSQUERY')
    this.run = (answer) => scope.runInAsyncScope(answered, null, answer)
    this.setWorking(true)
  }

  /** The first answer counts. */
  settle(answer: T): void {
    if (this.settled !== null) return
    this.settled = { answer }
    this.events.post(this)
  }

  /** Has a process of the host find the answer. */
  find(surroundings: Asking, body: (sys: Sys) => Promise<T>): void {
    this.helper = surroundings.current().spawnHelper(async (sys) => this.settle(await body(sys)))
  }

  /** Answers, and ends the search. */
  cancel(answer: T): void {
    this.settle(answer)
    this.helper?.exit(0)
  }

  handleEvents(): void {
    if (this.settled === null) return
    this.setWorking(false)
    this.run(this.settled.answer)
    this.events.afterCallback()
  }

  wake(): boolean {
    return false
  }
}
