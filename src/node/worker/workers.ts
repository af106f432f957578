import { createRequire, syncBuiltinESMExports } from 'node:module'
import { extname } from 'node:path'
import type { MessagePort, Worker, WorkerOptions } from 'node:worker_threads'
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
    constructor(file: string | URL, options: WorkerOptions = {}) {
      const context = programs.current
      if (context === null) {
        super(file, options)
        return
      }
      const execArgv = [...(options.execArgv ?? process.execArgv), '--import', preload]
      super(file, { ...options, execArgv })
      greet(this, context, new MessageChannel())
    }
  }
  Object.defineProperty(OwnWorker, 'name', { value: 'Worker' })
  Object.assign(threads, { Worker: OwnWorker })
  syncBuiltinESMExports()
}

const greet = (worker: Worker, context: NodeContext, { port1, port2 }: { port1: MessagePort; port2: MessagePort }) => {
  const answers = new Answers()
  context.serveWorker(port1, answers.shared)
  const { nameServers, kernel } = context
  const greeting: WorkerGreeting = {
    netglass: { port: port2, shared: answers.shared, nameServers, kernel: kernel.items },
  }
  worker.postMessage(greeting, [port2])
}
