import net from 'node:net'
import type { BridgeTarget } from './network.ts'

/** How long a server that is just being started is waited for, and how often it is tried, in real milliseconds. */
const START_MS = 5000
const TRY_MS = 20

/** The platform's own, whatever is installed in its place later. */
const timeout = globalThis.setTimeout

/** How long an answer from the kernel's side is waited for, and how long more of it, in real milliseconds. */
const ANSWER_MS = 250
const MORE_MS = 3

/**
 * A way out of a network in virtual time, to a server that really runs: each connection to the bridge is one to the
 * server. Virtual time stands still while the server works on what it was sent.
 */
export class Bridge {
  private readonly target: BridgeTarget
  private readonly kernel: <T>(body: () => T) => T
  private readonly now: () => number
  private readonly open = new Set<net.Socket>()
  /** Real time until which the server's answer is waited for, and until which it may say more unasked. */
  private until = 0
  private mayAdd = 0
  private isStarting = false

  /**
   * @param kernel runs something so that its sockets are the kernel's
   * @param now real time, milliseconds
   */
  constructor(target: BridgeTarget, kernel: <T>(body: () => T) => T, now: () => number) {
    this.target = target
    this.kernel = kernel
    this.now = now
  }

  /** Is the server being started, or working on something? */
  get isBusy(): boolean {
    return this.isStarting || this.until > this.now()
  }

  /**
   * May the server say something of its own accord, as databases
   * notify who listens? Not for ever: it has said nothing for a while.
   */
  get maySpeak(): boolean {
    return this.open.size > 0 && this.mayAdd > this.now()
  }

  /**
   * Waits until the server takes connections.
   * @throws Error when it does not within five seconds
   */
  async reach(): Promise<void> {
    const end = this.now() + START_MS
    this.isStarting = true
    try {
      for (let reason = await this.tryOnce(); reason !== null; reason = await this.tryOnce()) {
        if (this.now() > end) throw new Error(`a bridge leads nowhere: ${reason.message}`)
        await new Promise((resolve) => timeout(resolve, TRY_MS))
      }
    } finally {
      this.isStarting = false
    }
  }

  /** @returns why no connection comes about, or null */
  private tryOnce(): Promise<Error | null> {
    return new Promise((resolve) => {
      const socket = this.kernel(() => net.connect(this.target))
      socket.once('error', resolve)
      socket.once('connect', () => {
        socket.destroy()
        resolve(null)
      })
    })
  }

  /** Takes a connection from the network. */
  readonly accept = (near: net.Socket): void => {
    const far = this.kernel(() => net.connect(this.target))
    this.open.add(near).add(far)
    // It is no program's, and keeps none alive.
    near.unref()
    this.waitFor(ANSWER_MS)
    near.on('data', () => this.waitFor(ANSWER_MS))
    far.on('data', () => this.waitFor(MORE_MS))
    near.pipe(far)
    far.pipe(near)
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      // The error of one end is the other's reset.
      socket.on('error', () => other.resetAndDestroy())
      socket.on('close', () => {
        this.open.delete(socket)
        other.end()
      })
    }
  }

  private waitFor(ms: number): void {
    const now = this.now()
    this.until = now + ms
    this.mayAdd = now + ANSWER_MS
  }

  close(): void {
    for (const socket of this.open) socket.destroy()
  }
}
