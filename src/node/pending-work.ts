import { type AsyncHook, createHook } from 'node:async_hooks'
import type { ChildProcess } from 'node:child_process'
import { stackNow } from './app-timers.ts'
import { binding, type Methods } from './bindings.ts'
import { programs } from './programs.ts'

/** Requests that libuv lists itself: files. */
const LISTED: ReadonlySet<string> = new Set(['FSReqCallback', 'FSReqPromise', 'CloseReq'])
/** Jobs of Node's crypto on the thread pool. */
const JOB =
  /^(RANDOMBYTES|PBKDF2|SCRYPT|KEYPAIRGEN|KEYGEN|KEYEXPORT|SIGN|VERIFY|CIPHER|DERIVEBITS|HASH|RANDOMPRIME|CHECKPRIME)REQUEST$/
/** Compression, whose handles work many times. */
const COMPRESSORS = ['Zlib', 'BrotliEncoder', 'BrotliDecoder'] as const

/** Is something still to be waited for? */
type Work = () => boolean

/** A job of Node's crypto; one that is done at once has nobody to tell. */
const isJobOpen = (job: { readonly ondone?: unknown }): boolean => job.ondone !== undefined
/** Handles of sockets. */
const SOCKETS: ReadonlySet<string> = new Set(['TCPWRAP', 'TCPSERVERWRAP', 'UDPWRAP'])
const always: Work = () => true

/** A handle of a child process, which knows its `ChildProcess` by a symbol of Node's. */
interface ProcessHandle {
  hasRef(): boolean
  readonly [owner: symbol]: ChildProcess & { readonly _closesGot: number; readonly _closesNeeded: number }
}

/**
 * What becomes of a child process: it runs, and somebody waits for it; it has ended, but not all that it has written
 * was read; it does not matter, as nobody waits for it, but may later; it is done with.
 */
const stateOf = (handle: ProcessHandle): 'open' | 'idle' | 'done' => {
  if (handle.hasRef()) return 'open'
  const symbol = Object.getOwnPropertySymbols(handle).find(({ description }) => description === 'owner_symbol')
  const child = symbol === undefined ? undefined : handle[symbol]
  if (child === undefined) return 'done'
  if (child.exitCode === null && child.signalCode === null) return 'idle'
  return child._closesGot < child._closesNeeded ? 'open' : 'done'
}

/** Looks out for work that a program gives, from now on, to the thread pool or to other processes. */
export class PendingWork {
  private readonly hook: AsyncHook
  /** By asynchronous id. */
  private readonly pending = new Map<number, Work>()
  /** Those that are not done with. */
  private readonly processes = new Set<ProcessHandle>()
  private readonly restore: (() => void)[] = []
  /** WebAssembly modules that are being compiled. */
  private compiling = 0

  /** @param traces keep where sockets are opened? See `Programs.origins` */
  constructor(traces = false) {
    const { pending, processes } = this
    this.hook = createHook({
      init(id, type, _trigger, resource) {
        if (JOB.test(type)) pending.set(id, () => isJobOpen(resource))
        else if (type === 'PROCESSWRAP') processes.add(resource as ProcessHandle)
        else if (traces && SOCKETS.has(type)) programs.origins.set(resource, stackNow())
      },
      after: (id) => void pending.delete(id),
      destroy: (id) => void pending.delete(id),
    }).enable()
    for (const name of ['compile', 'instantiate'] as const) this.watchCompiling(name)
    for (const name of COMPRESSORS) this.watch(binding('zlib')[name]?.prototype as unknown as Methods | undefined)
  }

  /** Notes what is compiled in the background: fetch(), when it is first called, waits for its parser of HTTP. */
  private watchCompiling(name: 'compile' | 'instantiate'): void {
    const native = WebAssembly[name] as (...args: unknown[]) => Promise<unknown>
    const watched = (...args: unknown[]): Promise<unknown> => {
      this.compiling++
      return native.apply(WebAssembly, args).finally(() => {
        this.compiling--
      })
    }
    Object.assign(WebAssembly, { [name]: watched })
    this.restore.push(() => Object.assign(WebAssembly, { [name]: native }))
  }

  /** Notes each write that a compressor does on the thread pool. */
  private watch(prototype: Methods | undefined): void {
    const write = prototype?.['write']
    if (prototype === undefined || write === undefined) return
    const { pending } = this
    prototype['write'] = function (this: unknown, ...args) {
      pending.set((this as { getAsyncId(): number }).getAsyncId(), always)
      return write.apply(this, args)
    }
    this.restore.push(() => {
      prototype['write'] = write
    })
  }

  get isEmpty(): boolean {
    if (this.compiling > 0) return false
    for (const isOpen of this.pending.values()) if (isOpen()) return false
    for (const handle of this.processes) {
      const state = stateOf(handle)
      if (state === 'open') return false
      if (state === 'done') this.processes.delete(handle)
    }
    return !process.getActiveResourcesInfo().some((type) => LISTED.has(type))
  }

  close(): void {
    this.hook.disable()
    for (const undo of this.restore) undo()
  }
}
