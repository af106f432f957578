import { Fifo } from '../core/fifo.ts'
import type { Memory } from '../core/memory.ts'
import { Ring } from '../core/ring.ts'
import { PAGE, SHARED_INFO, SKB } from '../ip/truesize.ts'
import type { Credentials } from './control.ts'
import type { OpenFile } from './open-file.ts'
import type { UnixSocket } from './unix.ts'

/** What was sent at once to a Unix domain socket, as long as it was not read to its end. */
export interface UnixMessage {
  readonly sender: UnixSocket
  /** Bytes that were not read yet. */
  left: number
  /** What the sender is charged with, bytes. */
  readonly charge: number
  /** Open files that came with it, each with a reference; null for none. */
  files: OpenFile[] | null
  /** Who has sent it, if that was told. */
  readonly credentials: Credentials | null
  /** Is it the byte of MSG_OOB that was taken from its place among the others? What is left of it marks the place. */
  isTaken: boolean
}

/** What a Unix domain socket has received: messages, their bytes behind one another. */
export class UnixQueue {
  readonly ring: Ring
  readonly messages = new Fifo<UnixMessage>()
  /** The byte that was sent last with MSG_OOB, until it is read. */
  urgent: UnixMessage | null = null
  /** Bytes in the ring that were taken from their place. */
  private takenBytes = 0

  constructor(memory: Memory) {
    this.ring = new Ring(memory)
  }

  get bytes(): number {
    return this.ring.length - this.takenBytes
  }

  /** @returns false, with nothing changed, when memory is out */
  push(message: UnixMessage, source: Uint8Array, at: number): boolean {
    if (message.left > 0 && !this.ring.append(source, at, message.left)) return false
    this.messages.push(message)
    return true
  }

  /** Is there anything that was not read? */
  get hasUnread(): boolean {
    for (const { isTaken } of this.messages) if (!isTaken) return true
    return false
  }

  /** Is the next byte to be read that of MSG_OOB, or is the place where it was next? */
  get isAtMark(): boolean {
    const { messages, urgent } = this
    const first = messages.peek()
    if (first === undefined) return false
    if (first === urgent) return true
    return first.isTaken && (urgent === null || (messages.length > 1 && messages.at(1) === urgent))
  }

  /** Takes the byte of MSG_OOB from its place. */
  takeUrgent(): void {
    const message = this.urgent!
    message.isTaken = true
    message.left = 0
    this.takenBytes++
    this.urgent = null
  }

  /** Takes the first message off, with what is left of its data. */
  shift(): UnixMessage {
    const message = this.messages.shift()!
    if (message === this.urgent) this.urgent = null
    if (message.isTaken) {
      this.ring.drop(1)
      this.takenBytes--
    }
    if (message.left > 0) this.ring.drop(message.left)
    message.left = 0
    return message
  }
}

/** The most data in a page together with the shared information; and in a block of four pages. */
const PAGE_DATA = PAGE - SHARED_INFO
const BLOCK_DATA = 4 * PAGE - SHARED_INFO
const MOST_PAGES = 17 * PAGE

/** The most bytes of a stream's message. */
export const STREAM_CHUNK = PAGE_DATA + 8 * PAGE

/** What Linux charges for a message of a stream of `bytes` bytes: what is over a page is put into further ones. */
export const streamCharge = (bytes: number): number => {
  const beyond = bytes - PAGE_DATA
  if (beyond <= 0) return blockOf(bytes)
  const paged = Math.min(bytes, wholePages(beyond))
  return blockOf(bytes - paged) + wholePages(paged)
}

/** What Linux charges for a datagram of `bytes` bytes: one block, and pages for what is over 16 KB. */
export const datagramCharge = (bytes: number): number => {
  if (bytes <= BLOCK_DATA) return blockOf(bytes)
  const beyond = Math.min(bytes - BLOCK_DATA, MOST_PAGES)
  const paged = Math.min(bytes, wholePages(beyond))
  return blockOf(bytes - paged) + wholePages(paged)
}

const wholePages = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE

/** The block from the allocator that holds so much, and the structure. */
const blockOf = (bytes: number): number => {
  const needed = ((bytes + 63) & ~63) + SHARED_INFO
  return SKB + (1 << (32 - Math.clz32(needed - 1)))
}
