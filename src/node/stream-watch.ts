import { binding, type NativePipe } from './bindings.ts'
import type { DescriptorWatch, NativeCalls, Reader, Watcher } from './syscalls.ts'

/** fcntl(2). */
const F_DUPFD_CLOEXEC = 1030

/**
 * A watch whose descriptor is read by a stream of libuv's, as Node's own pipes are: when epoll has told, the packet is
 * read and its callback runs, in one of Node's callback scopes, without a turn of the event loop in between.
 * The stream has a descriptor of its own for the same file, which it closes.
 * @returns null where Node has no such streams, or they do not take the descriptor
 */
export const openStreamWatch = (
  native: NativeCalls,
  fd: number,
  ready: () => void,
  reader: Reader,
  otherwise: Watcher,
): DescriptorWatch | null => {
  const { Pipe, constants } = binding('pipe_wrap')
  if (typeof Pipe.prototype.useUserBuffer !== 'function') return null
  const own = native.fcntl(fd, F_DUPFD_CLOEXEC, 0)
  if (own < 0) return null
  const pipe = new Pipe(constants.SOCKET)
  if (pipe.open(own) === 0) return new StreamWatch(pipe, reader, () => otherwise(native, fd, ready))
  pipe.close()
  native.close(own)
  return null
}

/**
 * While room to write is waited for, which hardly ever happens to a device, and after an error, the other kind of watch
 * takes its place.
 */
class StreamWatch implements DescriptorWatch {
  readonly #pipe: NativePipe
  readonly #reader: Reader
  readonly #openOther: () => DescriptorWatch
  readonly #state = binding('stream_wrap')
  /** Where the next read goes. */
  #into: Uint8Array
  #other: DescriptorWatch | null = null
  #open = true
  #failed = false

  constructor(pipe: NativePipe, reader: Reader, openOther: () => DescriptorWatch) {
    this.#pipe = pipe
    this.#reader = reader
    this.#openOther = openOther
    this.#into = reader.into
    pipe.unref()
    pipe.useUserBuffer(this.#into)
    pipe.onread = () => this.#read()
    pipe.readStart()
  }

  setWritable(on: boolean): void {
    if (!this.#open || (!on && this.#other === null)) return
    if (!on && !this.#failed) {
      this.#other?.close()
      this.#other = null
      this.#pipe.readStart()
      return
    }
    this.#replace().setWritable(on)
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#pipe.close()
    this.#other?.close()
  }

  /** @returns where the next read goes, when that is another place */
  #read(): Uint8Array | undefined {
    const { streamBaseState, kReadBytesOrError } = this.#state
    const length = streamBaseState[kReadBytesOrError]!
    if (length > 0) this.#reader.took(length)
    else this.#fail()
    if (!this.#open || this.#reader.into === this.#into) return undefined
    this.#into = this.#reader.into
    return this.#into
  }

  /** A stream reads no more after an error. The other watch tells of it, and whoever reads then learns what it was. */
  #fail(): void {
    this.#failed = true
    if (this.#open) this.#replace()
  }

  #replace(): DescriptorWatch {
    if (this.#other !== null) return this.#other
    this.#pipe.readStop()
    this.#other = this.#openOther()
    return this.#other
  }
}
