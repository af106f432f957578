import { type Clock, MILLISECOND, type Micros, VirtualClock } from '../core/clock.ts'
import type { Frame } from '../core/frame.ts'
import { SeededRandom } from '../core/random.ts'
import { Timer, type TimerOwner } from '../core/timer.ts'
import { World } from '../core/world.ts'
import { Host, type HostOptions } from '../host/host.ts'
import type { Process } from '../host/process.ts'
import type { InterfaceOptions, NetworkInterface } from '../ip/interface.ts'
import { Cable, type CableOptions } from '../link/cable.ts'
import type { ImpairmentOptions } from '../link/impairment.ts'
import type { LinkPort, LinkUser } from '../link/port.ts'
import { VirtualDriver } from './driver.ts'

/** What a network is made with. */
export interface NetworkOptions {
  /** The same seed gives the same bytes on the wire: a whole number; 1 unless given. */
  readonly seed?: number
  /** Wall-clock time at the beginning, milliseconds since 1970; 2026-01-01 unless given. */
  readonly epoch?: number
  /** What tells the time in a network that lives in real time, and that its maker drives (`node/realtime.ts`). */
  readonly clock?: Clock
  /**
   * Told when a program ends with an exception that it did not catch. Without it, the run in which that happens stops and
   * is rejected.
   */
  readonly onFailure?: (process: Process, error: unknown) => void
  /** False to do without the loops in WebAssembly. The same bytes go over the wire, more slowly. */
  readonly fast?: boolean
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
  a: NetworkInterface
  b: NetworkInterface
}

/** Hosts and links in virtual time. Nothing in it depends on anything but its seed and its programs. */
export class Network {
  readonly seed: number
  readonly world: World
  readonly hosts = new Map<string, Host>()
  readonly links: NetworkLink[] = []
  private readonly clock: Clock
  /** Null for a network that others drive. */
  private readonly driver: VirtualDriver | null
  private readonly onFailure: ((process: Process, error: unknown) => void) | null
  /** Exceptions that programs did not catch and nobody was told of. */
  private readonly failures: { process: Process; error: unknown }[] = []
  /** Hosts without power, and what they were plugged into. */
  private readonly crashed = new Map<Host, readonly Plug[]>()
  private restarts = 0

  constructor(options: NetworkOptions = {}) {
    this.seed = options.seed ?? 1
    const virtual = new VirtualClock(options.epoch === undefined ? undefined : options.epoch * MILLISECOND)
    this.clock = options.clock ?? virtual
    this.world = new World(this.clock, new SeededRandom(this.seed), undefined, options.fast)
    this.driver = options.clock === undefined ? new VirtualDriver(this.world, virtual) : null
    this.onFailure = options.onFailure ?? null
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
    host.onResume = () => this.driver?.noteResumed()
    host.onFailure = (process, error) => this.programFailed(process, error)
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
   * @throws Error when a program ends with an exception, unless `onFailure` takes it
   */
  async run(duration?: number): Promise<'stopped' | 'deadline' | 'idle'> {
    const ended = await this.virtual.run(duration === undefined ? undefined : this.clock.now() + duration * MILLISECOND)
    this.throwFailure()
    return ended
  }

  /**
   * Runs until `condition` holds; it is asked after every step.
   * @param limit milliseconds after which to stop all the same
   * @returns whether it came to hold
   * @throws Error when a program ends with an exception, unless `onFailure` takes it
   */
  async runUntil(condition: () => boolean, limit = Number.POSITIVE_INFINITY): Promise<boolean> {
    if (condition()) return true
    const deadline: Micros = this.clock.now() + limit * MILLISECOND
    const ended = await this.virtual.run(deadline, condition)
    this.throwFailure()
    return ended === 'stopped'
  }

  /** @throws Error for a network that others drive */
  private get virtual(): VirtualDriver {
    if (this.driver === null) throw new Error('this network lives in real time: it runs by itself')
    return this.driver
  }

  private programFailed(process: Process, error: unknown): void {
    if (this.onFailure !== null) {
      this.onFailure(process, error)
      return
    }
    this.failures.push({ process, error })
    this.driver?.interrupt()
  }

  private throwFailure(): void {
    const failure = this.failures.shift()
    if (failure === undefined) return
    const { process, error } = failure
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`the program ${process.name} on ${process.host.name} has failed: ${reason}`, { cause: error })
  }

  /**
   * A host loses power: its memory and its programs are gone, and it says nothing. What is sent to it vanishes; the
   * carrier of its links stays, as if there were a switch between.
   */
  crash(host: Host): void {
    const plugs = host.ip.interfaces.filter((iface) => !iface.isLoopback).map((iface) => new Plug(iface))
    host.close()
    for (const { port } of plugs) port.user = new Silence(this.world)
    this.crashed.set(host, plugs)
  }

  /**
   * Starts a host again that had lost power: with the same name, links and addresses, and nothing else of what it was.
   * @returns the new host
   * @throws TypeError when it had not lost power
   */
  restart(host: Host, options: HostOptions = {}): Host {
    const plugs = this.crashed.get(host)
    if (plugs === undefined) throw new TypeError(`${host.name} is running`)
    this.crashed.delete(host)
    this.hosts.delete(host.name)
    const random = this.world.random.fork(`host ${host.name}, restarted ${++this.restarts}`)
    const started = this.host(host.name, { random, ...options })
    for (const { name, port, addresses, options } of plugs) {
      const iface = started.addInterface(name, port, addresses, options)
      for (const link of this.links) {
        if (link.cable.a === port) link.a = iface
        if (link.cable.b === port) link.b = iface
      }
    }
    return started
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

/** Where and how a host was plugged in. */
class Plug {
  readonly name: string
  readonly port: LinkPort
  readonly addresses: readonly string[]
  readonly options: InterfaceOptions

  constructor(iface: NetworkInterface) {
    this.name = iface.name
    this.port = iface.port
    this.addresses = iface.addresses
      .filter(({ address }) => !address.isLinkLocal)
      .map(({ address, length }) => `${address}/${length}`)
    this.options = { mac: iface.mac, mtu: iface.mtu }
  }
}

/** What is plugged in where a host has no power. */
class Silence implements LinkUser {
  private readonly world: World

  constructor(world: World) {
    this.world = world
  }

  receive(frame: Frame): void {
    this.world.frames.release(frame)
  }

  carrierChanged(): void {}
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
