import { describe, expect, it } from 'vitest'
import { SystemError } from '../../src/core/errno.ts'
import { type Random, SeededRandom } from '../../src/core/random.ts'
import type { Sys } from '../../src/host/calls.ts'
import { ProcessExit } from '../../src/host/failure.ts'
import type { Host } from '../../src/host/host.ts'
import { SIG_IGN, SIGPIPE } from '../../src/host/signals.ts'
import { snapshot } from '../../src/inspect/snapshot.ts'
import { Network } from '../../src/sim/network.ts'
import { BSD, LINUX } from '../../src/tcp/settings.ts'
import { anchor } from '../support/anchor.ts'
import { descriptorProblems } from '../support/descriptor-invariants.ts'
import { checkInvariants } from '../support/invariants.ts'
import { CALLS } from '../support/random-calls.ts'

/**
 * Programs that call anything with anything, in any order, in many processes of two hosts: every call gives a result or
 * an errno, nothing else; what is counted stays right; and nothing is left over. `NETGLASS_SEED=n` runs one seed, and
 * `NETGLASS_RUNS=n` so many under each personality.
 */

const RUNS = Number(process.env['NETGLASS_RUNS'] ?? 1)
const ONLY = process.env['NETGLASS_SEED']
const CALLS_EACH = 10_000
/** Processes that each host begins with, and may have. */
const FIRST_PROCESSES = 4
const MOST_PROCESSES = 12
/** RLIMIT_NOFILE: small, so that it is reached. */
const DESCRIPTORS = 48
/** Calls of a process that wait at the same time. */
const MOST_WAITING = 10
/** Calls between two looks at everything. */
const LOOK_EVERY = 50

class Run {
  readonly network: Network
  readonly hosts: Host[]
  readonly random: Random
  readonly problems: string[] = []
  /** How often each outcome came: `bind EINVAL`, `send ok`. */
  readonly outcomes = new Map<string, number>()
  private left = CALLS_EACH

  constructor(seed: number, isBsd: boolean) {
    this.random = new SeededRandom(seed)
    this.network = new Network({ seed, onFailure: (_process, error) => this.problem('a program', error) })
    const sysctl = { 'net.ipv6.conf.all.dad_transmits': 0, 'net.ipv4.tcp_fin_timeout': 5 }
    this.hosts = ['a', 'b'].map((name) => this.network.host(name, { sysctl }))
    for (const host of this.hosts) host.tcpSettings.personality = isBsd ? BSD : LINUX
    this.network.link(this.hosts[0]!, this.hosts[1]!, {
      delay: 2,
      loss: 0.02,
      addresses: [
        ['10.0.0.1/24', '2001:db8::1/64'],
        ['10.0.0.2/24', '2001:db8::2/64'],
      ],
    })
  }

  async run(): Promise<void> {
    for (const host of this.hosts) host.spawn('anchor', (sys) => anchor(sys))
    for (const host of this.hosts) for (let i = 0; i < FIRST_PROCESSES; i++) this.begin(host)
    while (this.left > 0 && this.problems.length === 0) {
      await this.network.run(100)
      // Who was ended by a signal, or waits for ever, makes room for another.
      for (const host of this.hosts) {
        const alive = [...host.processes.values()].filter((process) => process.isAlive && process.name !== 'anchor')
        const stuck = alive.length >= MOST_PROCESSES ? alive[0] : undefined
        stuck?.exit(0)
        if (alive.length < FIRST_PROCESSES) this.begin(host)
      }
    }
    this.look()
    for (const host of this.hosts) for (const process of [...host.processes.values()]) process.exit(0)
    await this.network.run(1_200_000)
    this.look()
  }

  private begin(host: Host): void {
    host.spawn('caller', (sys) => this.live(sys), { uid: this.random.below(4) === 0 ? 1000 : 0 })
  }

  /** The life of a process: call after call. */
  async live(sys: Sys): Promise<void> {
    sys.setrlimit(DESCRIPTORS)
    if (this.random.below(8) > 0) sys.signal(SIGPIPE, SIG_IGN)
    let waiting = 0
    while (this.left > 0 && this.problems.length === 0) {
      this.left--
      const [name, call] = CALLS[this.random.below(CALLS.length)]!
      waiting++
      const done = this.attempt(name, () => call(sys, this.random, this)).then(() => {
        waiting--
      })
      if (this.random.below(3) === 0 || waiting >= MOST_WAITING) await sys.usleep(this.random.below(20_000))
      else if (this.random.below(2) === 0) await Promise.race([done, Promise.resolve()])
      if (waiting > MOST_WAITING * 2) sys.exit(0)
      if (this.left % LOOK_EVERY === 0) this.look()
    }
  }

  mayFork(host: Host): boolean {
    return host.processes.size < MOST_PROCESSES
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
    const key = `${name} ${outcome}`
    this.outcomes.set(key, (this.outcomes.get(key) ?? 0) + 1)
  }

  private problem(what: string, error: unknown): void {
    if (error instanceof SystemError && error.code === 'EINTR') return
    this.problems.push(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : error}`)
  }

  /** Looks whether everything that is counted is right. */
  private look(): void {
    for (const host of this.hosts) {
      try {
        checkInvariants(host)
        JSON.stringify(snapshot(host))
      } catch (error) {
        this.problem(`at ${this.left} calls to go`, error)
      }
      for (const problem of descriptorProblems(host))
        this.problems.push(`${host.name}, ${this.left} calls to go: ${problem}`)
    }
  }
}

const NAMES: ReadonlySet<string> = new Set(CALLS.map(([name]) => name))

const leftovers = (run: Run): Record<string, number> => {
  run.network.close()
  const { world } = run.network
  const sum = (count: (host: Host) => number): number => run.hosts.reduce((total, host) => total + count(host), 0)
  return {
    frames: world.frames.inUse,
    timers: world.loop.timers.size,
    sockets: sum(({ sockets }) => sockets.sockets.size + sockets.udp.size + sockets.tcp.table.size),
    listeners: sum(({ sockets }) => sockets.tcp.listeners.size),
    ports: sum(({ sockets }) => sockets.tcpPorts.ports + sockets.udpPorts.ports),
    inFlight: sum(({ sockets }) => sockets.unixInFlight.size),
  }
}

const NOTHING = { frames: 0, timers: 0, sockets: 0, listeners: 0, ports: 0, inFlight: 0 }

const seeds = ONLY === undefined ? Array.from({ length: RUNS }, (_, i) => i + 1) : [Number(ONLY)]

describe.each(['linux', 'bsd'])('with the personality %s', (personality) => {
  it.each(seeds)(`${CALLS_EACH} calls of seed %d`, { timeout: 120_000 }, async (seed) => {
    const run = new Run(seed, personality === 'bsd')
    await run.run()
    expect(run.problems.slice(0, 3), `NETGLASS_SEED=${seed}`).toEqual([])
    expect(leftovers(run), `NETGLASS_SEED=${seed}`).toEqual(NOTHING)
    // The calls reach what they are to reach: many succeed, and many fail in many ways.
    const outcomes = [...run.outcomes.keys()]
    const codes = new Set(outcomes.map((key) => key.split(' ')[1]))
    expect(codes.size).toBeGreaterThan(20)
    const accepted = run.hosts.reduce((sum, { ip }) => sum + ip.mib.tcp.PassiveOpens, 0)
    expect(accepted).toBeGreaterThan(40)
    expect(outcomes.filter((key) => key.endsWith(' ok')).length).toBeGreaterThan(NAMES.size * 0.8)
  })
})
