import { isMainThread } from 'node:worker_threads'
import { DeviceError } from './device-error.ts'
import { openStreamWatch } from './stream-watch.ts'
import {
  type DescriptorWatch,
  LITTLE_ENDIAN,
  loadSyscalls,
  type NativeCalls,
  O_CLOEXEC,
  O_NONBLOCK,
  type Syscalls,
  type Watcher,
} from './syscalls.ts'

/**
 * How the event loop learns that a descriptor is ready, which Node offers for its own sockets only. The best way that
 * there is of three:
 *
 * - A stream of Node's (stream-watch.ts), where packets are read:
 *   epoll tells, libuv reads, the callback has the packet.
 * - A `uv_poll_t` of Node's own loop, which koffi makes (`koffi.node.poll`): epoll tells, no thread waits. Five things
 *   must be kept to, or the process ends with a fatal error:
 *   - Its callback runs outside Node's callback scopes: an exception would be lost with it, and promises would not go
 *     on. So it only calls `setImmediate`, which the same iteration of the loop runs, a microsecond later.
 *   - A worker that is terminated while the callback runs takes the process with it. So workers do not use it.
 *   - When a process ends that still has a handle open, Node runs its loop a last time, and the callback with it. So
 *     all are closed on the process's 'exit'.
 *   - The handle must not be touched after `close`, and not be collected before it.
 *   - The descriptor must be one that epoll takes.
 * - In a worker, and should koffi not have poll handles any more, poll(2) waits in a thread of libuv's pool.
 */
const byPollHandle: Watcher = (native, fd, ready) =>
  typeof native.koffi.node?.poll === 'function' ? new PollWatch(native, fd, ready) : new ThreadWatch(native, fd, ready)

const byThread: Watcher = (native, fd, ready) => new ThreadWatch(native, fd, ready)

const byStream =
  (otherwise: Watcher): Watcher =>
  (native, fd, ready, reader) =>
    reader === undefined
      ? otherwise(native, fd, ready)
      : (openStreamWatch(native, fd, ready, reader, otherwise) ?? otherwise(native, fd, ready))

/** The system calls of this machine. @throws DeviceError ENOTSUP where there are none */
export const systemCalls = (platform?: string): Syscalls =>
  loadSyscalls(byStream(isMainThread ? byPollHandle : byThread), platform)

/**
 * The same for a worker that nobody terminates: one that ends by itself may have poll handles, as the main thread has.
 */
export const workerSystemCalls = (): Syscalls => loadSyscalls(byStream(byPollHandle))

/** The same, and nothing is read by a stream: to compare. */
export const pollSystemCalls = (): Syscalls => loadSyscalls(byPollHandle)

/** The same, and a thread waits for each descriptor: to compare. */
export const threadSystemCalls = (): Syscalls => loadSyscalls(byThread)

type PollHandle = ReturnType<NativeCalls['koffi']['node']['poll']>

/** Readiness from the event loop's own epoll. */
export class PollWatch implements DescriptorWatch {
  readonly #ready: () => void
  readonly #fire: () => void
  readonly #onPoll: (status: unknown) => void
  readonly #onExit = (): void => this.close()
  readonly #handle: PollHandle
  #open = true
  #pending = false
  #writable = false
  #failed = false

  constructor(native: NativeCalls, fd: number, ready: () => void) {
    this.#ready = ready
    this.#fire = () => this.#run()
    this.#onPoll = (status) => {
      // libuv stops watching a descriptor that has an error (status EBADF), whatever the error.
      if (typeof status === 'number' && status < 0) this.#failed = true
      if (this.#pending) return
      this.#pending = true
      setImmediate(this.#fire)
    }
    this.#handle = native.koffi.node.poll(fd, { readable: true }, this.#onPoll)
    this.#handle.unref()
    // One listener for each handle is no leak: `close` takes it away.
    process.setMaxListeners(process.getMaxListeners() + 1)
    process.on('exit', this.#onExit)
  }

  setWritable(on: boolean): void {
    if (!this.#open || on === this.#writable) return
    this.#writable = on
    this.#start()
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#handle.close()
    process.removeListener('exit', this.#onExit)
    process.setMaxListeners(process.getMaxListeners() - 1)
  }

  #start(): void {
    this.#handle.start({ readable: true, writable: this.#writable }, this.#onPoll)
  }

  #run(): void {
    this.#pending = false
    if (!this.#open) return
    try {
      this.#ready()
    } finally {
      if (this.#open && this.#failed) {
        this.#failed = false
        this.#start()
      }
    }
  }
}

const POLLIN = 0x1
const POLLOUT = 0x4
/** How long a thread waits at most, ms: a worker that is terminated waits for the thread. */
const THREAD_WAIT_MS = 250

/** Readiness from poll(2) in a thread of the pool; an eventfd wakes it when it shall wait for something else. */
export class ThreadWatch implements DescriptorWatch {
  readonly #native: NativeCalls
  readonly #ready: () => void
  readonly #onPoll: (error: unknown, count: number) => void
  /** Two `struct pollfd`: the descriptor and the eventfd. The thread reads and writes it while it waits. */
  readonly #fds = new DataView(new ArrayBuffer(16))
  readonly #counter = new Uint8Array(8)
  readonly #wakeFd: number
  #open = true
  #waiting = false
  #writable = false

  constructor(native: NativeCalls, fd: number, ready: () => void) {
    this.#native = native
    this.#ready = ready
    this.#onPoll = (_error, count) => this.#run(count)
    this.#wakeFd = native.eventfd(0, O_NONBLOCK | O_CLOEXEC)
    if (this.#wakeFd < 0) throw new DeviceError('EMFILE', 'cannot watch a device: no file descriptor is left')
    this.#fds.setInt32(0, fd, LITTLE_ENDIAN)
    this.#fds.setInt32(8, this.#wakeFd, LITTLE_ENDIAN)
    this.#wait()
  }

  setWritable(on: boolean): void {
    if (!this.#open || on === this.#writable) return
    this.#writable = on
    this.#wake()
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    // When nobody waits, `#run` is under way and sees to the rest.
    if (this.#waiting) this.#wake()
  }

  #wait(): void {
    this.#fds.setInt16(4, this.#writable ? POLLIN | POLLOUT : POLLIN, LITTLE_ENDIAN)
    this.#fds.setInt16(12, POLLIN, LITTLE_ENDIAN)
    this.#waiting = true
    this.#native.poll.async(new Uint8Array(this.#fds.buffer), 2, THREAD_WAIT_MS, this.#onPoll)
  }

  #wake(): void {
    this.#counter.fill(0)
    this.#counter[0] = this.#counter[7] = 1
    this.#native.write(this.#wakeFd, Number(this.#native.koffi.address(this.#counter)), 8)
  }

  #run(count: number): void {
    this.#waiting = false
    if (!this.#open) {
      this.#native.close(this.#wakeFd)
      return
    }
    try {
      if (count > 0) {
        if (this.#fds.getInt16(14, LITTLE_ENDIAN) !== 0) {
          this.#native.read(this.#wakeFd, Number(this.#native.koffi.address(this.#counter)), 8)
        }
        if (this.#fds.getInt16(6, LITTLE_ENDIAN) !== 0) this.#ready()
      }
    } finally {
      // `ready` may have closed this.
      if (this.#open) this.#wait()
      else this.#native.close(this.#wakeFd)
    }
  }
}
