import { createRequire, syncBuiltinESMExports } from 'node:module'
import { extname } from 'node:path'
import type { MessagePort, Worker, WorkerOptions } from 'node:worker_threads'
import { LONGEST_DELAY, native } from '../app-timers.ts'
import { type NodeContext, programs } from '../programs.ts'
import { Answers } from './protocol.ts'
import type { RemoteConfiguration } from './remote-program.ts'

/** What a new worker is told, before anything that its program is sent. */
export interface WorkerGreeting {
  readonly netglass: RemoteConfiguration & { readonly port: MessagePort; readonly shared: SharedArrayBuffer }
}

/** What a worker loads before its program. */
const preload = new URL(`./preload${extname(import.meta.url)}`, import.meta.url).href

const KEY = Symbol.for('netglass.workers')

/** Workers that programs start from here on have their program's host. Doing it twice does nothing. */
export const overlayWorkers = (): void => {
  const shared = globalThis as { [KEY]?: boolean }
  if (shared[KEY] === true) return
  shared[KEY] = true
  const threads = createRequire(import.meta.url)('node:worker_threads') as typeof import('node:worker_threads')
  const { MessageChannel, Worker: NodeWorker } = threads
  class OwnWorker extends NodeWorker {
    /** Are there sockets of its in the thread that has the host? */
    #isServed = false
    /** Whom `exit` is to be told then, and its code: Node takes all listeners away when it has emitted it. */
    #exit: { listeners: readonly unknown[]; args: unknown[] } | null = null
    #keepAlive: NodeJS.Timeout | undefined

    constructor(file: string | URL, options: WorkerOptions = {}) {
      const context = programs.current
      if (context === null) {
        super(file, options)
        return
      }
      const execArgv = [...(options.execArgv ?? process.execArgv), '--import', preload]
      super(file, { ...options, execArgv })
      this.#isServed = true
      greet(this, context, new MessageChannel(), () => this.#ended())
    }

    /** The program hears that it has ended when its sockets are closed: what listened in it does so no more. */
    override emit(event: string | symbol, ...args: unknown[]): boolean {
      if (event !== 'exit' || !this.#isServed) return super.emit(event, ...args)
      const listeners = this.rawListeners('exit')
      this.#exit = { listeners, args }
      // Nothing else may be left that keeps the process alive.
      this.#keepAlive = native.setInterval(() => {}, LONGEST_DELAY)
      return listeners.length > 0
    }

    #ended(): void {
      this.#isServed = false
      native.clearTimeout(this.#keepAlive)
      if (this.#exit === null) return
      const { listeners, args } = this.#exit
      for (const listener of listeners) this.once('exit', listener as () => void)
      super.emit('exit', ...args)
    }
  }
  Object.defineProperty(OwnWorker, 'name', { value: 'Worker' })
  Object.assign(threads, { Worker: OwnWorker })
  syncBuiltinESMExports()
}

const greet = (
  worker: Worker,
  context: NodeContext,
  { port1, port2 }: { port1: MessagePort; port2: MessagePort },
  onEnded: () => void,
): void => {
  const answers = new Answers()
  context.serveWorker(port1, answers.shared, onEnded)
  const { nameServers, kernel } = context
  const greeting: WorkerGreeting = {
    netglass: { port: port2, shared: answers.shared, nameServers, kernel: kernel.items },
  }
  worker.postMessage(greeting, [port2])
}
