import { MILLISECOND, type Micros, VirtualClock } from '../core/clock.ts'
import { SeededRandom } from '../core/random.ts'
import { Timer, type TimerOwner } from '../core/timer.ts'
import { World } from '../core/world.ts'
import { Host, type HostOptions } from '../host/host.ts'
import type { Process } from '../host/process.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { Cable, type CableOptions } from '../link/cable.ts'
import type { ImpairmentOptions } from '../link/impairment.ts'
import { VirtualDriver } from './driver.ts'

/** What a network is made with. */
export interface NetworkOptions {
  /** The same seed gives the same bytes on the wire: a whole number; 1 unless given. */
  readonly seed?: number
  /** Wall-clock time at the beginning, milliseconds since 1970; 2026-01-01 unless given. */
  readonly epoch?: number
}

/** A link between two hosts: what is wrong with it, what it is like, and the hosts' addresses on it. */
export interface NetworkLinkOptions extends ImpairmentOptions, Omit<CableOptions, 'impairment' | 'mtu'> {
  /** The largest IP packet, bytes; 1500 unless given. */
  readonly mtu?: number
  /** The addresses of the first and of the second host, with prefix lengths. A network of its own unless given. */
  readonly addresses?: readonly [string | readonly string[], string | readonly string[]]
}

/** A cable of a network, with the interfaces at its ends. */
export interface NetworkLink {
  readonly cable: Cable
  readonly a: NetworkInterface
  readonly b: NetworkInterface
}

/** Hosts and links in virtual time. Nothing in it depends on anything but its seed and its programs. */
export class Network {
  readonly seed: number
  readonly world: World
  readonly hosts = new Map<string, Host>()
  readonly links: NetworkLink[] = []
  /** Exceptions that programs did not catch. */
  readonly failures: { process: Process; error: unknown }[] = []
  private readonly clock: VirtualClock
  private readonly driver: VirtualDriver

  constructor(options: NetworkOptions = {}) {
    this.seed = options.seed ?? 1
    this.clock = new VirtualClock(options.epoch === undefined ? undefined : options.epoch * MILLISECOND)
    this.world = new World(this.clock, new SeededRandom(this.seed))
    this.driver = new VirtualDriver(this.world, this.clock)
  }

  /** Virtual time since the beginning, milliseconds. */
  get now(): number {
    return this.clock.now() / MILLISECOND
  }

  /** Adds a host, or finds the one of this name. */
  host(name: string, options: HostOptions = {}): Host {
    const known = this.hosts.get(name)
    if (known !== undefined) return known
    const host = new Host(this.world, name, options)
    host.onResume = () => this.driver.noteResumed()
    host.onFailure = (process, error) => this.failures.push({ process, error })
    this.hosts.set(name, host)
    return host
  }

  /** Joins two hosts by a cable. Times in milliseconds, rates in bits a second. */
  link(a: Host, b: Host, options: NetworkLinkOptions = {}): NetworkLink {
    const { addresses, mtu, medium, maxSegmentedPacket, checksumOffload, fcs, ...impairment } = options
    const index = this.links.length
    const cable = new Cable(this.world, `cable ${index}`, {
      ...defined({ mtu, medium, maxSegmentedPacket, checksumOffload, fcs }),
      impairment,
    })
    const [first, second] = addresses ?? [`10.0.${index}.1/24`, `10.0.${index}.2/24`]
    const link = {
      cable,
      a: a.addInterface(nextName(a), cable.a, [first].flat()),
      b: b.addInterface(nextName(b), cable.b, [second].flat()),
    }
    this.links.push(link)
    return link
  }

  /** Calls `action` at a virtual time, milliseconds since the beginning. */
  at(time: number, action: () => void): void {
    new Appointment(action).schedule(this.world, time * MILLISECOND)
  }

  /** Calls `action` after so many milliseconds. */
  after(delay: number, action: () => void): void {
    this.at(this.now + delay, action)
  }

  /**
   * Runs until nothing is left that could happen, or for so many milliseconds.
   * @returns whether the time was over, or everything at rest
   */
  run(duration?: number): Promise<'stopped' | 'deadline' | 'idle'> {
    return this.driver.run(duration === undefined ? undefined : this.clock.now() + duration * MILLISECOND)
  }

  /**
   * Runs until `condition` holds; it is asked after every step.
   * @param limit milliseconds after which to stop all the same
   * @returns whether it came to hold
   */
  async runUntil(condition: () => boolean, limit = Number.POSITIVE_INFINITY): Promise<boolean> {
    if (condition()) return true
    const deadline: Micros = this.clock.now() + limit * MILLISECOND
    return (await this.driver.run(deadline, condition)) === 'stopped'
  }

  /** Runs until a process has ended. @returns its exit status */
  async runProcess(process: Process, limit?: number): Promise<number> {
    await this.runUntil(() => !process.isAlive, limit)
    if (process.status === null) throw new Error(`${process.name} on ${process.host.name} has not ended`)
    return process.status
  }

  /** Takes everything down. What is left over then is a leak: `world.frames.inUse`, `world.loop.timers.size`. */
  close(): void {
    for (const host of this.hosts.values()) host.close()
    for (const { cable } of this.links) cable.setDown(true)
  }
}

class Appointment implements TimerOwner {
  private readonly timer = new Timer(this, 0)
  private readonly action: () => void

  constructor(action: () => void) {
    this.action = action
  }

  schedule(world: World, time: Micros): void {
    world.loop.timers.schedule(this.timer, time)
  }

  onTimer(): void {
    this.action()
  }
}

const nextName = (host: Host): string => `eth${host.ip.interfaces.filter((iface) => !iface.isLoopback).length}`

/** The entries that are not undefined. */
const defined = <T extends object>(values: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
