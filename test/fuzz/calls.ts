import { SystemError } from '../../src/core/errno.ts'
import { SeededRandom } from '../../src/core/random.ts'
import type { Sys } from '../../src/host/calls.ts'
import { ProcessExit } from '../../src/host/failure.ts'
import type { Host } from '../../src/host/host.ts'
import type { Process } from '../../src/host/process.ts'
import { SIG_IGN, SIGPIPE } from '../../src/host/signals.ts'
import { snapshot } from '../../src/inspect/snapshot.ts'
import { Network } from '../../src/sim/network.ts'
import { BSD } from '../../src/tcp/settings.ts'
import { anchor } from '../support/anchor.ts'
import { descriptorProblems } from '../support/descriptor-invariants.ts'
import { checkHost, checkNothingLeft } from '../support/invariants.ts'
import { CALLS, type CallContext } from '../support/random-calls.ts'
import { type Kind, oneIn, pick } from './case.ts'
import { type Coverage, DropWatch, reachCounters } from './coverage.ts'

/**
 * Processes of two hosts call anything with anything. What a step calls, and with what, follows from its own seed, so
 * that other steps can be dropped.
 */

export interface CallSetup {
  readonly seed: number
  readonly bsd: boolean
  readonly loss: number
  readonly processes: number
}

export interface CallStep {
  /** Which of the processes calls. */
  readonly process: number
  /** What it calls, and with what. */
  readonly seed: number
  /** How long it takes to the next call, milliseconds; -1 for none: what the call leads to has not begun. */
  readonly wait: number
}

/** RLIMIT_NOFILE: small, so that it is reached. */
const DESCRIPTORS = 48
const MOST_PROCESSES = 12
/** Calls of a process that may wait at a time: it is ended when there are more. */
const MOST_WAITING = 20
/** Inputs between two looks at everything, and between two snapshots, which are slow. */
const LOOK_EVERY = 5
const SNAPSHOT_EVERY = 150

class CallPlay implements CallContext {
  private readonly network: Network
  private readonly hosts: Host[]
  private readonly seen: Coverage
  private readonly setup: CallSetup
  private readonly drops: DropWatch[]
  private readonly waiting = new Map<Process, number>()
  private readonly problems: string[] = []
  private readonly over: Promise<void>
  private endAll = (): void => {}
  private readonly idle = new SeededRandom(1)

  constructor(setup: CallSetup, seen: Coverage) {
    this.setup = setup
    this.seen = seen
    this.over = new Promise((resolve) => {
      this.endAll = resolve
    })
    const { seed, bsd, loss } = setup
    this.network = new Network({
      seed,
      without: ['wasm', 'ticks'],
      onFailure: (_process, error) => this.problem('a program', error),
    })
    const sysctl = { 'net.ipv6.conf.all.dad_transmits': 0, 'net.ipv4.tcp_fin_timeout': 5 }
    this.hosts = ['a', 'b'].map((name) => this.network.host(name, { sysctl }))
    if (bsd) for (const host of this.hosts) host.tcpSettings.personality = BSD
    this.network.link(this.hosts[0]!, this.hosts[1]!, {
      delay: 2,
      loss,
      addresses: [
        ['10.0.0.1/24', '2001:db8::1/64'],
        ['10.0.0.2/24', '2001:db8::2/64'],
      ],
    })
    this.drops = this.hosts.map((host) => new DropWatch(host.ip.mib))
  }

  async begin(): Promise<void> {
    for (const host of this.hosts) host.spawn('anchor', anchor)
    for (let i = 0; i < this.setup.processes; i++) this.spawn(this.hosts[i % 2]!)
    await this.network.run(1)
  }

  async take(step: CallStep, index: number): Promise<void> {
    const processes = this.hosts.flatMap((host) =>
      [...host.processes.values()].filter((p) => p.isAlive && p.name !== 'anchor'),
    )
    const random = new SeededRandom(step.seed)
    const process = processes[step.process % Math.max(1, processes.length)] ?? this.spawn(this.hosts[step.process % 2]!)
    const waiting = this.waiting.get(process) ?? 0
    if (waiting > MOST_WAITING) process.exit(0)
    else {
      this.waiting.set(process, waiting + 1)
      const [name, call] = pick(random, CALLS)
      void this.attempt(name, () => call(process.sys, random, this)).then(() => {
        this.waiting.set(process, this.waiting.get(process)! - 1)
      })
    }
    if (step.wait >= 0) await this.network.run(step.wait)
    if (index % LOOK_EVERY === 0) this.look()
    if (index % SNAPSHOT_EVERY === 0) for (const host of this.hosts) JSON.stringify(snapshot(host))
    if (this.problems.length > 0) throw new Error(this.problems[0])
  }

  async end(): Promise<void> {
    for (const host of this.hosts) reachCounters(host.ip.mib, this.seen)
    this.look()
    for (const host of this.hosts) for (const process of [...host.processes.values()]) process.exit(0)
    await this.network.run(1_200_000)
    this.look()
    if (this.problems.length > 0) throw new Error(this.problems[0])
    for (const host of this.hosts) checkNothingLeft(host)
    this.network.close()
    this.endAll()
    const { frames, memory, loop } = this.network.world
    if (frames.inUse !== 0) throw new Error(`${frames.inUse} frames are left`)
    if (loop.timers.size !== 0) throw new Error(`${loop.timers.size} timers are left`)
    if (memory.used !== frames.bytes) throw new Error(`${memory.used - frames.bytes} bytes of memory are left`)
  }

  live(sys: Sys): Promise<void> {
    sys.setrlimit(DESCRIPTORS)
    return this.over
  }

  mayFork(host: Host): boolean {
    return host.processes.size < MOST_PROCESSES
  }

  private spawn(host: Host): Process {
    const uid = oneIn(this.idle, 4) ? 1000 : 0
    return host.spawn(
      'caller',
      (sys) => {
        sys.signal(SIGPIPE, SIG_IGN)
        return this.live(sys)
      },
      { uid },
    )
  }

  /** A call may fail with an errno; with anything else, somebody has made a mistake. */
  private async attempt(name: string, call: () => unknown): Promise<void> {
    let outcome = 'ok'
    try {
      const result = await call()
      if (typeof result === 'number' && !(result >= 0)) this.problem(name, new Error(`it returned ${result}`))
    } catch (error) {
      if (error instanceof ProcessExit) return
      if (error instanceof SystemError) outcome = error.code
      else this.problem(name, error)
    }
    this.seen.reach(`${name} ${outcome}`)
  }

  private problem(what: string, error: unknown): void {
    if (error instanceof SystemError && error.code === 'EINTR') return
    this.problems.push(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : error}`)
  }

  /** Looks whether everything that is counted is right. */
  private look(): void {
    for (const [i, host] of this.hosts.entries()) {
      this.drops[i]!.look(this.seen, '')
      checkHost(host)
      for (const problem of descriptorProblems(host)) throw new Error(`${host.name}: ${problem}`)
    }
  }
}

export const calls: Kind<CallSetup, CallStep> = {
  name: 'calls',
  longest: 1200,
  setup: (random) => ({
    seed: random.below(1_000_000),
    bsd: oneIn(random, 3),
    loss: pick(random, [0, 0.02, 0.2]),
    processes: 1 + random.below(8),
  }),
  step: (random) => ({
    process: random.below(12),
    seed: random.next32() >>> 0,
    wait: oneIn(random, 3) ? random.below(20) : oneIn(random, 40) ? random.below(3000) : oneIn(random, 2) ? 0 : -1,
  }),
  async run(played, seen) {
    const play = new CallPlay(played.setup, seen)
    await play.begin()
    for (const [i, step] of played.steps.entries()) {
      seen.step = i
      await play.take(step, i)
    }
    await play.end()
  },
}
