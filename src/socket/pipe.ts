import { Errno } from '../core/errno.ts'
import type { Memory } from '../core/memory.ts'
import { Readiness } from '../core/readiness.ts'
import { Ring } from '../core/ring.ts'
import * as C from './constants.ts'
import { OpenFile } from './open-file.ts'

/** Bytes that a pipe holds: sixteen pages, as on Linux (pipe(7)). */
const CAPACITY = 65_536

/** What the two ends of a pipe share. */
class Pipe {
  readonly ring: Ring
  readonly reader: PipeReader
  readonly writer: PipeWriter
  isReaderOpen = true
  isWriterOpen = true

  constructor(memory: Memory) {
    this.ring = new Ring(memory)
    this.reader = new PipeReader(this)
    this.writer = new PipeWriter(this)
  }
}

/** The end of a pipe that is read from. */
export class PipeReader extends OpenFile {
  private readonly pipe: Pipe

  constructor(pipe: Pipe) {
    super()
    this.pipe = pipe
  }

  override get access(): number {
    return C.O_RDONLY
  }

  override get capacity(): number {
    return CAPACITY
  }

  poll(): number {
    const { ring, isWriterOpen } = this.pipe
    return (ring.length > 0 ? Readiness.In : 0) | (isWriterOpen ? 0 : Readiness.Hup)
  }

  /** Copies what is there, which stays. @returns how many bytes, 0 at the end of file, or -EAGAIN */
  peek(target: Uint8Array): number {
    const { ring, isWriterOpen } = this.pipe
    const count = Math.min(target.length, ring.length)
    if (count === 0) return isWriterOpen ? -Errno.EAGAIN : 0
    ring.peek(target, 0, 0, count)
    return count
  }

  /** Takes off bytes that were looked at. */
  drop(count: number): void {
    const { ring, writer } = this.pipe
    ring.drop(count)
    if (CAPACITY - ring.length >= C.PIPE_BUF) writer.wake(Readiness.Out)
  }

  override read(target: Uint8Array, at: number, length: number): number {
    const { ring, isWriterOpen } = this.pipe
    const count = Math.min(length, ring.length)
    if (count === 0) return length === 0 || !isWriterOpen ? 0 : -Errno.EAGAIN
    ring.peek(target, at, 0, count)
    this.drop(count)
    return count
  }

  override ioctl(request: number, value: number): number {
    return request === C.FIONREAD ? this.pipe.ring.length : super.ioctl(request, value)
  }

  protected release(): void {
    const { pipe } = this
    pipe.isReaderOpen = false
    pipe.ring.clear()
    pipe.writer.wake(Readiness.Err | Readiness.Out)
  }
}

/** The end of a pipe that is written to. */
export class PipeWriter extends OpenFile {
  private readonly pipe: Pipe

  constructor(pipe: Pipe) {
    super()
    this.pipe = pipe
  }

  override get access(): number {
    return C.O_WRONLY
  }

  override get capacity(): number {
    return CAPACITY
  }

  poll(): number {
    const { ring, isReaderOpen } = this.pipe
    const hasRoom = CAPACITY - ring.length >= C.PIPE_BUF
    return (hasRoom ? Readiness.Out : 0) | (isReaderOpen ? 0 : Readiness.Err)
  }

  /** Bytes that fit. */
  get room(): number {
    return CAPACITY - this.pipe.ring.length
  }

  /** Will nobody read any more? */
  get isBroken(): boolean {
    return !this.pipe.isReaderOpen
  }

  /** Up to PIPE_BUF bytes are taken all together or not at all. */
  override write(source: Uint8Array, at: number, length: number): number {
    const { ring, isReaderOpen, reader } = this.pipe
    if (length === 0) return 0
    if (!isReaderOpen) return -Errno.EPIPE
    const room = CAPACITY - ring.length
    const count = Math.min(length, room)
    if (count === 0 || (length <= C.PIPE_BUF && count < length)) return -Errno.EAGAIN
    if (!ring.append(source, at, count)) return -Errno.ENOMEM
    reader.wake(Readiness.In)
    return count
  }

  override ioctl(request: number, value: number): number {
    return request === C.FIONREAD ? this.pipe.ring.length : super.ioctl(request, value)
  }

  protected release(): void {
    const { pipe } = this
    pipe.isWriterOpen = false
    if (!pipe.isReaderOpen) pipe.ring.clear()
    pipe.reader.wake(Readiness.Hup | Readiness.In)
  }
}

/** pipe(2): the end to read from, and the end to write to. */
export const makePipe = (memory: Memory): [PipeReader, PipeWriter] => {
  const { reader, writer } = new Pipe(memory)
  return [reader, writer]
}
