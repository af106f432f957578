import { once } from 'node:events'
import net from 'node:net'
import type { Micros } from '../core/clock.ts'
import type { Host, HostOptions } from '../host/host.ts'
import type { NameTable } from '../net/lookup.ts'
import type { Outside } from '../sim/driver.ts'
import { Network, type NetworkOptions } from '../sim/network.ts'
import { hostAddresses } from '../sim/network-file.ts'
import { AppTime } from './app-time.ts'
import { TimerQueue } from './app-timers.ts'
import { Bridge } from './bridge.ts'
import { listenToConsole } from './console-lines.ts'
import { fetchReady, separateFetch } from './http-overlay.ts'
import { KernelList } from './kernel-list.ts'
import { describeLeaks, openSockets } from './leaks.ts'
import { modulesFor, webFor } from './modules.ts'
import { NodeHost } from './node-host.ts'
import { PendingWork } from './pending-work.ts'
import { install } from './program.ts'
import { NodeContext, programs } from './programs.ts'

/** The platform's own timers, whatever is installed in their place later. */
const { setImmediate: immediate, setTimeout: timeout } = globalThis
const realNow = performance.now.bind(performance)

/** What a network for Node programs is made with. */
export interface NodeNetworkOptions extends NetworkOptions {
  /** What goes to the kernel's own stack: `127.0.0.1:5432`, `10.0.0.0/8`, `:6379`, `db.example`, `*`. */
  readonly kernel?: readonly string[]
  /** Names besides the hosts', with their addresses. */
  readonly names?: Readonly<Record<string, string | readonly string[]>>
  /** How long a program that nothing can reach any more is waited for, in real milliseconds; 1000 unless given. */
  readonly patience?: number
  /** How long a program may take, in milliseconds of the network's time; 30 days unless given. */
  readonly limit?: number
  /** Keep where programs open sockets and set timers, for `leaks`? */
  readonly traces?: boolean
  /** Is what programs on hosts print by `console` for observers, such as a timeline, alone? */
  readonly quiet?: boolean
  /**
   * Global objects besides this module's, whose timers and clocks are to be the network's: of a test runner's sandbox.
   */
  readonly sandboxes?: readonly object[]
}

/** Where a bridge leads in the kernel's stack: a port, with or without an address, or the path of a Unix socket. */
export type BridgeTarget = { readonly port: number; readonly host?: string } | { readonly path: string }

/** Nothing is left that could happen, and a program has not ended. */
export class DeadlockError extends Error {
  override readonly name = 'DeadlockError'
}

/** Turns of the event loop before such work is looked for less often. */
const EAGER_TURNS = 100
/** Turns after which a program that has events all the time is no longer waited for. */
const MOST_TURNS = 1000
const DEFAULT_PATIENCE = 1000
/** 30 days. */
const DEFAULT_LIMIT = 30 * 86_400_000

/**
 * A network whose hosts run Node programs: what they do by net, dgram, dns, http,
 * tls and whatever stands on these happens in it, and their timers and clocks are
 * on its time, which moves only when every program has nothing left to do.
 */
export class NodeNetwork extends Network {
  private readonly contexts = new Map<Host, NodeContext>()
  private readonly kernel: KernelList
  private readonly names: Map<string, string[]>
  private readonly patience: number
  private readonly limit: number
  private readonly timers: TimerQueue
  private readonly sandboxes: readonly object[]
  private readonly quiet: boolean
  private readonly traces: boolean
  private readonly bridges: Bridge[] = []
  /** Work that virtual time waits for. */
  private readonly held = new Set<Promise<unknown>>()
  private fail: ((error: unknown) => void) | null = null

  constructor(options: NodeNetworkOptions = {}) {
    super(options)
    this.kernel = new KernelList(options.kernel)
    this.names = new Map(
      Object.entries(options.names ?? {}).map(([name, value]) => [name.toLowerCase(), [value].flat()]),
    )
    this.patience = options.patience ?? DEFAULT_PATIENCE
    this.limit = options.limit ?? DEFAULT_LIMIT
    this.timers = new TimerQueue(() => this.world.clock.now())
    this.sandboxes = options.sandboxes ?? []
    this.quiet = options.quiet ?? false
    this.traces = options.traces ?? false
    this.timers.traces = this.traces
    install()
    separateFetch()
    for (const place of [globalThis, ...this.sandboxes]) listenToConsole((place as typeof globalThis).console)
  }

  override host(name: string, options: HostOptions = {}): NodeHost {
    return super.host(name, options) as NodeHost
  }

  protected override newHost(name: string, options: HostOptions): Host {
    return new NodeHost(this.world, name, options, (host) => {
      const context = this.contextOf(host)
      return { ...modulesFor(context), web: webFor(context) }
    })
  }

  /** Runs `body`, and everything that it causes, on a host: its sockets and names are that host's. */
  on<T>(host: Host | string, body: () => T): T {
    return programs.run(this.contextOf(typeof host === 'string' ? this.host(host) : host), body)
  }

  /**
   * Runs a Node program, on no host unless `on` says so, until what
   * it returns is settled; or the network, as `Network.run`.
   * @returns what the program returns
   * @throws what the program throws, or an Error when nothing is left that could happen and it has not ended
   */
  override run(duration?: number): Promise<'stopped' | 'deadline' | 'idle'>
  override run<T>(body: () => T | Promise<T>): Promise<T>
  override async run<T>(what?: number | (() => T | Promise<T>)): Promise<T | 'stopped' | 'deadline' | 'idle'> {
    if (typeof what !== 'function') return super.run(what)
    await fetchReady()
    const time = new AppTime(this.world.clock, this.timers, this.sandboxes)
    const pending = new PendingWork(this.traces)
    const driver = this.driver!
    driver.outside = new Application(this.timers, {
      isPending: () => this.isPending,
      isBusy: () => !pending.isEmpty || this.held.size > 0 || this.bridges.some(({ isBusy }) => isBusy),
      maySpeak: () => this.bridges.some(({ maySpeak }) => maySpeak),
    })
    const captures = !process.hasUncaughtExceptionCaptureCallback()
    if (captures) process.setUncaughtExceptionCaptureCallback((error) => this.fail?.(error))
    try {
      return await this.timers.own(() => this.runBody(what))
    } finally {
      if (captures) process.setUncaughtExceptionCaptureCallback(null)
      driver.outside = null
      this.fail = null
      time.uninstall()
      pending.close()
    }
  }

  private async runBody<T>(body: () => T | Promise<T>): Promise<T> {
    let result: { value: T } | null = null
    let failure: { error: unknown } | null = null
    this.fail = (error) => {
      failure ??= { error }
      this.driver?.interrupt()
    }
    this.driver!.noteResumed()
    void Promise.resolve()
      .then(body)
      .then(
        (value) => {
          result = { value }
        },
        (error: unknown) => this.fail?.(error),
      )
    const isOver = (): boolean => result !== null || failure !== null
    const end = this.now + this.limit
    for (let idle = 0; !isOver(); ) {
      const stopped = await this.runUntil(() => isOver() || this.now >= end)
      if (isOver()) break
      if (stopped) throw new Error(this.describeEndless())
      if (idle >= this.patience) throw new DeadlockError(this.describeDeadlock())
      await new Promise((resolve) => timeout(resolve, 1))
      idle++
      this.driver!.noteResumed()
    }
    if (failure !== null) throw (failure as { error: unknown }).error
    return result!.value
  }

  /**
   * Lets virtual time stand still until something is settled that is done outside of the network and that nobody can
   * see: in a worker thread, by an addon, by the kernel's sockets.
   */
  async hold<T>(work: Promise<T>): Promise<T> {
    this.held.add(work)
    try {
      return await work
    } finally {
      this.held.delete(work)
    }
  }

  /** Does a host's program wait for anything, of the network or of time? */
  isWaiting(host: Host): boolean {
    return this.contextOf(host).events.activeHandles > 0 || this.timers.timers.length > 0
  }

  /**
   * Lets a host's port lead to a server that really runs, on the kernel's stack: `bridge('db', 5432, { port: 5432 })`.
   * @returns when the server takes connections, and the host does
   * @throws Error when the server takes none within five seconds of real time
   */
  async bridge(host: Host | string, port: number, target: BridgeTarget): Promise<void> {
    const bridge = new Bridge(target, (body) => programs.runNone(body), realNow)
    this.bridges.push(bridge)
    await bridge.reach()
    const listener = this.on(host, () => net.createServer(bridge.accept).listen(port).unref())
    await once(listener, 'listening')
  }

  /** Sockets that programs have left open, a line each: `server: 0.0.0.0:80`. */
  get openSockets(): string[] {
    return openSockets(this.contexts.values()).map(({ host, text }) => `${host}: ${text}`)
  }

  /** What would keep programs alive: sockets, timers, and processes in C's manner; a line each. */
  get leaks(): string[] {
    return describeLeaks(this.hosts.values(), this.contexts.values(), this.timers)
  }

  override close(): void {
    this.fail?.(new Error('the network was closed'))
    for (const bridge of this.bridges) bridge.close()
    for (const context of this.contexts.values()) context.close()
    super.close()
  }

  private get isPending(): boolean {
    for (const { events } of this.contexts.values()) if (events.isPending) return true
    return false
  }

  private contextOf(host: Host): NodeContext {
    const known = this.contexts.get(host)
    if (known !== undefined) return known
    const context = new NodeContext(host, 'node', {
      names: this.nameTable,
      kernel: this.kernel,
      schedule: (run) => {
        this.driver?.noteResumed()
        immediate(run)
      },
    })
    context.hear = (text, isError) => {
      context.process.print(text, isError)
      return this.quiet
    }
    this.contexts.set(host, context)
    return context
  }

  private readonly nameTable: NameTable = {
    addressesOf: (name) => {
      const host = [...this.hosts.values()].find((candidate) => candidate.name.toLowerCase() === name)
      return host === undefined ? this.names.get(name) : hostAddresses(host)
    },
    nameOf: (address) => [...this.hosts.values()].find((host) => hostAddresses(host).includes(address))?.name,
  }

  /** Something repeats for ever, such as an interval, and nobody ends it. */
  private describeEndless(): string {
    return `the program has not ended after ${this.limit / 1000} s of the network's time (seed ${this.seed}; ${this.describeSockets()})`
  }

  private describeSockets(): string {
    const open = this.openSockets
    return open.length === 0 ? 'no sockets are open' : `open: ${open.join(', ')}`
  }

  private describeDeadlock(): string {
    return `nothing is left that could happen, and the program has not ended (at ${this.now} ms, seed ${this.seed}; ${this.describeSockets()})`
  }
}

interface OutsideWork {
  /** Has a program events that it has not been told of? */
  isPending(): boolean
  /** Does somebody outside of the network work for it? */
  isBusy(): boolean
  /** May somebody there say something unasked? */
  maySpeak(): boolean
}

/** Time that does not pass at once while somebody outside may speak: shorter waits are those for packets. */
const LONG: Micros = 1_000_000

/** The programs of a network, as its driver sees them. */
class Application implements Outside {
  private readonly timers: TimerQueue
  private readonly work: OutsideWork
  private listens = false

  constructor(timers: TimerQueue, work: OutsideWork) {
    this.timers = timers
    this.work = work
  }

  nextTimer(): Micros {
    return this.timers.next
  }

  advanced(): boolean {
    return this.timers.fireNext()
  }

  mayPass(time: Micros): boolean {
    this.listens = time > LONG && this.work.maySpeak()
    return !this.listens
  }

  async settle(): Promise<number> {
    if (this.listens) await new Promise((resolve) => timeout(resolve, 1))
    // Turns that the program wants for itself: others take as long as they take.
    let own = 1
    for (let turns = 0; ; turns++) {
      // Once for what is queued, once for what that has queued in Node's native parts.
      await turn()
      await turn()
      const isBusy = this.work.isBusy()
      if (this.work.isPending()) {
        if (!isBusy && ++own >= MOST_TURNS) return own
        continue
      }
      if (!isBusy) return own
      if (turns > EAGER_TURNS) await new Promise((resolve) => timeout(resolve, 1))
    }
  }
}

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    immediate(resolve)
  })
