import { AsyncLocalStorage } from 'node:async_hooks'
import type { MessagePort } from 'node:worker_threads'
import { VirtualClock } from '../core/clock.ts'
import type { Host } from '../host/host.ts'
import { NetContext } from '../net/context.ts'
import type { NameTable } from '../net/lookup.ts'
import { runTicks } from './bindings.ts'
import type { NameServer } from './dns-relay.ts'
import { EventTurns } from './event-turns.ts'
import type { KernelList } from './kernel-list.ts'
import { WorkerService } from './worker/service.ts'

/** A program's view of the network, and what of it is the kernel's. */
export class NodeContext extends NetContext {
  /** Different for each program of the thread. */
  readonly id = programs.nextId()
  /** Told of what it prints by `console`. @returns whether that is to be printed nowhere else */
  hear: ((text: string, isError: boolean) => boolean) | null = null
  readonly kernel: KernelList
  /** Have its events their turns as ticks? Where time is real, and nobody wants to do without. */
  readonly inTicks: boolean

  constructor(host: Host, name: string, options: NodeContextOptions) {
    const { clock, fast } = host.world
    const inTicks = options.schedule === undefined && !(clock instanceof VirtualClock) && fast['event-ticks']
    super(
      host,
      name,
      {
        schedule: inTicks ? programs.turns.schedule : (options.schedule ?? ((run) => afterResuming(host, run))),
        afterCallback: runTicks,
        activeChanged: (isActive) => options.onActive?.(isActive),
      },
      options.names,
    )
    this.kernel = options.kernel
    this.inTicks = inTicks
  }

  /** Is its host in this thread, so that it can ask for names by itself? */
  get hasHost(): boolean {
    return true
  }

  /** Who answers the queries of `dns.resolve` and its like: whom the host asks. */
  get nameServers(): readonly NameServer[] {
    return this.host.resolver.servers.map(({ address, port }) => [address.includes(':') ? 6 : 4, address, port])
  }

  /**
   * Has a worker thread, which is at the other end of `port`, use this program's sockets.
   * @param shared for `Answers`
   * @param onEnded called when the worker has ended and its sockets are closed
   */
  serveWorker(port: MessagePort, shared: SharedArrayBuffer, onEnded: () => void): void {
    new WorkerService(this, port, shared, onEnded)
  }
}

/** Gives events of a program a turn of the event loop; where time is virtual, its driver has to wait. */
const afterResuming = (host: Host, run: () => void): void => {
  host.resumed()
  setImmediate(run)
}

/** What a program's view of the network is made with. */
export interface NodeContextOptions {
  readonly names: NameTable
  /** What goes to the kernel's own stack. */
  readonly kernel: KernelList
  /** Gives the program's events their turn, where another one than the host's driver has to know of it. */
  readonly schedule?: (run: () => void) => void
  /** Told when the program begins to wait for something, and when it does no more. */
  readonly onActive?: (isActive: boolean) => void
}

/** Which program runs now: the one in whose context the call was made, or the thread's own. */
class Programs {
  own: NodeContext | null = null
  /** The stacks in which handles of Node's were made, when they are kept. */
  readonly origins = new WeakMap<object, string>()
  /** Gives the events of programs in real time their turns. */
  readonly turns = new EventTurns()
  /** Does Node's HTTP/2 take streams of ours; was it looked for; and does it ask now what they are? */
  takesHttp2: boolean | null = null
  http2Asks = false
  private count = 0
  private storage: AsyncLocalStorage<NodeContext | null> | null = null

  get current(): NodeContext | null {
    const store = this.storage?.getStore()
    return store === undefined ? this.own : store
  }

  /** A number for a new program. */
  nextId(): number {
    return ++this.count
  }

  /** Runs `body` with the kernel's view. */
  runNone<T>(body: () => T): T {
    this.storage ??= new AsyncLocalStorage()
    return this.storage.run(null, body)
  }

  /** Runs `body`, and everything that it causes, in `context`. */
  run<T>(context: NodeContext, body: () => T): T {
    this.storage ??= new AsyncLocalStorage()
    return this.storage.run(context, body)
  }
}

/** One for the thread, however often this module is loaded: Node's classes are there only once. */
const KEY = Symbol.for('netglass.programs')
const shared = globalThis as { [KEY]?: Programs }
shared[KEY] ??= new Programs()
export const programs: Programs = shared[KEY]
