import type { Sys } from '../host/calls.ts'

/** Something that programs can wait for. */
export class Gate {
  private isOpen = false
  private readonly waiting: [Sys, () => void][] = []

  /** Waits until it is open. */
  async wait(sys: Sys): Promise<void> {
    if (this.isOpen) return
    await new Promise<void>((resolve) => {
      this.waiting.push([sys, resolve])
    })
  }

  /** Lets everybody through, now and later. */
  open(): void {
    this.isOpen = true
    for (const [sys, resolve] of this.waiting.splice(0)) {
      sys.process.host.resumed()
      resolve()
    }
  }
}
