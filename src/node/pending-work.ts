import { type AsyncHook, createHook } from 'node:async_hooks'
import { binding, type Methods } from './bindings.ts'

/** Requests that libuv lists itself: files, and child processes as long as they run. */
const LISTED: ReadonlySet<string> = new Set(['FSReqCallback', 'FSReqPromise', 'ProcessWrap'])
/** Jobs of Node's crypto on the thread pool. */
const JOB =
  /^(RANDOMBYTES|PBKDF2|SCRYPT|KEYPAIRGEN|KEYGEN|KEYEXPORT|SIGN|VERIFY|CIPHER|DERIVEBITS|HASH|RANDOMPRIME|CHECKPRIME)REQUEST$/
/** Compression, whose handles work many times. */
const COMPRESSORS = ['Zlib', 'BrotliEncoder', 'BrotliDecoder'] as const

interface Work {
  readonly ondone?: unknown
}

const WRITING: Work = { ondone: true }

/** Looks out for work that a program has given to the thread pool or to other processes. */
export class PendingWork {
  private readonly hook: AsyncHook
  /** By asynchronous id. */
  private readonly pending = new Map<number, Work>()
  private readonly restore: (() => void)[] = []
  /** WebAssembly modules that are being compiled. */
  private compiling = 0

  constructor() {
    const { pending } = this
    this.hook = createHook({
      init(id, type, _trigger, resource) {
        if (JOB.test(type)) pending.set(id, resource as Work)
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
      pending.set((this as { getAsyncId(): number }).getAsyncId(), WRITING)
      return write.apply(this, args)
    }
    this.restore.push(() => {
      prototype['write'] = write
    })
  }

  get isEmpty(): boolean {
    // A job that is done at once has nobody to tell.
    for (const [id, { ondone }] of this.pending) if (ondone === undefined) this.pending.delete(id)
    return (
      this.compiling === 0 &&
      this.pending.size === 0 &&
      !process.getActiveResourcesInfo().some((type) => LISTED.has(type))
    )
  }

  close(): void {
    this.hook.disable()
    for (const undo of this.restore) undo()
  }
}
