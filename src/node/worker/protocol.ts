/** What a worker thread and the thread that has the host tell each other over a MessagePort. */

/** A call of the worker's. 0 is the program, others are handles. */
export interface CallMessage {
  readonly target: number
  readonly method: string
  readonly args: readonly unknown[]
  /** Does the worker wait for what it returns, in `Answers`? */
  readonly waits: boolean
}

/** Something has happened to a handle; 0 is a worker of this worker's, which has ended. */
export interface EventMessage {
  readonly target: number
  readonly event: 'read' | 'connect' | 'connection' | 'written' | 'shutdown' | 'closed' | 'message' | 'ended'
  readonly args: readonly unknown[]
}

const STATE = 0
const LENGTH = 1
const HEAD_BYTES = 8
const SIZE = 65_536

/** Where the answer to a call is left, so that a worker can stand still for it. */
export class Answers {
  readonly shared: SharedArrayBuffer
  private readonly words: Int32Array
  private readonly bytes: Uint8Array

  constructor(shared = new SharedArrayBuffer(SIZE)) {
    this.shared = shared
    this.words = new Int32Array(shared, 0, 2)
    this.bytes = new Uint8Array(shared, HEAD_BYTES)
  }

  /** To be called before a call is made. */
  expect(): void {
    Atomics.store(this.words, STATE, 0)
  }

  /** Stands still until there is an answer. */
  wait(): unknown {
    Atomics.wait(this.words, STATE, 0)
    const text = new TextDecoder().decode(this.bytes.slice(0, this.words[LENGTH]))
    return text === '' ? undefined : JSON.parse(text)
  }

  give(value: unknown): void {
    const text = new TextEncoder().encode(value === undefined ? '' : JSON.stringify(value))
    // Longer than anything that is asked for.
    if (text.length > this.bytes.length) throw new RangeError('an answer to a worker is too long')
    this.bytes.set(text)
    this.words[LENGTH] = text.length
    Atomics.store(this.words, STATE, 1)
    Atomics.notify(this.words, STATE)
  }
}
