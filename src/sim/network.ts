import { type Clock, MILLISECOND, type Micros, VirtualClock } from '../core/clock.ts'
import { type FastPath, fastPaths } from '../core/fast-paths.ts'
import type { Frame } from '../core/frame.ts'
import { type Random, SeededRandom } from '../core/random.ts'
import { Timer, type TimerOwner } from '../core/timer.ts'
import { World } from '../core/world.ts'
import { Host, type HostOptions } from '../host/host.ts'
import type { OutputLine, Process } from '../host/process.ts'
import { SIGKILL } from '../host/signals.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { Cable, type CableOptions } from '../link/cable.ts'
import type { ImpairmentOptions } from '../link/impairment.ts'
import type { LinkPort } from '../link/port.ts'
import { Switch, type SwitchOptions, type SwitchPort } from '../link/switch.ts'
import { Plug, Silence } from './crash.ts'
import { VirtualDriver } from './driver.ts'
import { type Partition, Partitions } from './partition.ts'
import { Routing } from './routing.ts'

/** What a network is made with. */
export interface NetworkOptions {
  /** The same seed gives the same bytes on the wire: a whole number; 1 unless given. */
  readonly seed?: number
  /** Wall-clock time at the beginning, milliseconds since 1970; 2026-01-01 unless given. */
  readonly epoch?: number
  /** What tells the time in a network that lives in real time, and that its maker drives (`node/realtime.ts`). */
  readonly clock?: Clock
  /**
   * Told when a program ends with an exception that it did not catch.
   * Without it, the run in which that happens stops and is rejected.
   */
  readonly onFailure?: (process: Process, error: unknown) => void
  /** Fast paths to do without (`core/fast-paths.ts`): the same bytes go over links, more slowly. */
  readonly without?: readonly FastPath[]
}

/** A link between two hosts: what is wrong with it, what it is like, and the hosts' addresses on it. */
export interface NetworkLinkOptions extends ImpairmentOptions, Omit<CableOptions, 'impairment' | 'mtu'> {
  /** The largest IP packet, bytes; 1500 unless given. */
  readonly mtu?: number
  /**
   * The addresses of the first and of the second end, with prefix lengths; what is for a switch is not looked at.
   * Unless given the link is an IPv4 network of its own, or the next address of its switch's network.
   */
  readonly addresses?: readonly [string | readonly string[], string | readonly string[]]
}

/** What a link can end in: an interface of a host, or a port of a switch. */
export type LinkEnd = NetworkInterface | SwitchPort

/** A cable of a network, with what it is plugged into at its ends: interfaces, unless one is a switch's. */
export interface NetworkLink<A extends LinkEnd = NetworkInterface, B extends LinkEnd = NetworkInterface> {
  readonly cable: Cable
  /** The names of the hosts or switches that it joins. */
  readonly names: readonly [a: string, b: string]
  a: A
  b: B
}

/** What can be linked, and what a link's end at it is. */
export type NetworkNode = Host | Switch
export type EndOf<Node extends NetworkNode> = Node extends Switch ? SwitchPort : NetworkInterface

/** Somebody who is told of everything that a network gets and suffers: see `Network.observe`. */
export interface NetworkObserver {
  hostAdded?(host: Host): void
  linkAdded?(link: NetworkLink<LinkEnd, LinkEnd>): void
  /** A program has printed a line. */
  printed?(process: Process, line: OutputLine): void
  /** A frame has arrived where nobody hears it: the host has no power, or a partition keeps it from it. */
  unheard?(frame: Frame): void
  /** Something was done to the network: a partition, a crash; in words. */
  fault?(text: string): void
}

/** Hosts and links in virtual time. Nothing in it depends on anything but its seed and its programs. */
export class Network {
  readonly seed: number
  readonly world: World
  readonly hosts = new Map<string, Host>()
  readonly switches = new Map<string, Switch>()
  readonly links: NetworkLink<LinkEnd, LinkEnd>[] = []
  /** Chance for whoever drives the network: what fails when. It draws nothing from the hosts' and the links'. */
  readonly random: Random
  private readonly clock: Clock
  /** Null for a network that others drive. */
  protected readonly driver: VirtualDriver | null
  private readonly onFailure: ((process: Process, error: unknown) => void) | null
  /** Exceptions that programs did not catch and nobody was told of. */
  private readonly failures: { process: Process; error: unknown }[] = []
  /** Hosts without power, and what they were plugged into. */
  private readonly crashed = new Map<Host, readonly Plug[]>()
  private restarts = 0
  private readonly partitions: Partitions
  private readonly routing = new Routing()
  private readonly observers: NetworkObserver[] = []
  /** The network of each switch, and the hosts on it so far. */
  private readonly switched = new Map<Switch, { index: number; hosts: number }>()

  constructor(options: NetworkOptions = {}) {
    this.seed = options.seed ?? 1
    const virtual = new VirtualClock(options.epoch === undefined ? undefined : options.epoch * MILLISECOND)
    this.clock = options.clock ?? virtual
    this.world = new World(this.clock, new SeededRandom(this.seed), undefined, fastPaths(options.without))
    this.driver = options.clock === undefined ? new VirtualDriver(this.world, virtual) : null
    this.onFailure = options.onFailure ?? null
    this.random = this.world.random.fork('network')
    this.partitions = new Partitions(this.world, this.hosts, (frame) => this.unheard(frame))
  }

  /** Virtual time since the beginning, milliseconds. */
  get now(): number {
    return this.clock.now() / MILLISECOND
  }

  /** Adds a host, or finds the one of this name. */
  host(name: string, options: HostOptions = {}): Host {
    const known = this.hosts.get(name)
    if (known !== undefined) return known
    const host = this.newHost(name, options)
    host.onResume = () => this.driver?.noteResumed()
    host.onRest = () => this.driver?.noteRested()
    host.onFailure = (process, error) => this.programFailed(process, error)
    host.onPrint = (process, line) => {
      for (const observer of this.observers) observer.printed?.(process, line)
    }
    this.hosts.set(name, host)
    for (const observer of this.observers) observer.hostAdded?.(host)
    return host
  }

  protected newHost(name: string, options: HostOptions): Host {
    return new Host(this.world, name, options)
  }

  /** Adds a host that forwards packets of both versions. */
  router(name: string, options: HostOptions = {}): Host {
    const forwards = { 'net.ipv4.ip_forward': 1, 'net.ipv6.conf.all.forwarding': 1 }
    return this.host(name, { ...options, sysctl: { ...forwards, ...options.sysctl } })
  }

  /** Adds a learning switch, or finds the one of this name. */
  switch(name: string, options: SwitchOptions = {}): Switch {
    const known = this.switches.get(name)
    if (known !== undefined) return known
    const added = new Switch(this.world, name, options)
    this.switches.set(name, added)
    return added
  }

  /**
   * Joins two hosts or switches by a cable. Times in milliseconds, rates in bits a second.
   * @throws TypeError for what no link can be, or an address that is none
   */
  link<A extends NetworkNode, B extends NetworkNode>(
    a: A,
    b: B,
    options: NetworkLinkOptions = {},
  ): NetworkLink<EndOf<A>, EndOf<B>> {
    const { addresses, mtu, medium, maxSegmentedPacket, checksumOffload, fcs, ...impairment } = options
    const index = this.links.length
    const cable = new Cable(this.world, `cable ${index}`, {
      ...defined({ mtu, medium, maxSegmentedPacket, checksumOffload, fcs }),
      impairment,
    })
    const [first, second] = addresses ?? this.nextAddresses(a, b)
    const link = {
      cable,
      names: [nameOf(a), nameOf(b)] as const,
      a: plugIn(a, cable.a, [first].flat()) as EndOf<A>,
      b: plugIn(b, cable.b, [second].flat()) as EndOf<B>,
    }
    this.links.push(link)
    this.partitions.update()
    for (const observer of this.observers) observer.linkAdded?.(link)
    return link
  }

  /** Addresses for a new link: two of a network of its own, or the next of a switch's. */
  private nextAddresses(a: NetworkNode, b: NetworkNode): [string, string] {
    const index = this.links.length
    const lan = this.lanOf(a, index) ?? this.lanOf(b, index)
    if (lan === undefined) return [`${subnet(index)}.1/24`, `${subnet(index)}.2/24`]
    if (a instanceof Switch && b instanceof Switch) {
      // Two switches that are joined are one network from then on.
      this.switched.set(b, lan)
      return ['', '']
    }
    if (lan.hosts === MOST_HOSTS) {
      throw new TypeError(`${subnet(lan.index)}.0/24 has no address left for another host: give the link its addresses`)
    }
    const address = `${subnet(lan.index)}.${++lan.hosts}/24`
    return [address, address]
  }

  private lanOf(node: NetworkNode, index: number): { index: number; hosts: number } | undefined {
    if (!(node instanceof Switch)) return undefined
    const lan = this.switched.get(node) ?? { index, hosts: 0 }
    this.switched.set(node, lan)
    return lan
  }

  /**
   * Gives every host routes to every network that it can reach over routers, by the fewest of them, in both versions of
   * IP. To be called when the links are there, and again when they have changed.
   */
  computeRoutes(): void {
    this.routing.compute([...this.hosts.values()], this.links)
  }

  /** Tells somebody from now on of what the network gets and suffers; first of what is there already. */
  observe(observer: NetworkObserver): void {
    for (const host of this.hosts.values()) observer.hostAdded?.(host)
    for (const link of this.links) observer.linkAdded?.(link)
    this.observers.push(observer)
  }

  /** A frame goes, and only observers know of it. */
  private unheard(frame: Frame): void {
    for (const observer of this.observers) observer.unheard?.(frame)
    this.world.frames.release(frame)
  }

  private tellFault(text: string): void {
    for (const observer of this.observers) observer.fault?.(text)
  }

  /**
   * Separates groups of hosts: no packet of one group arrives in another, whatever lies between, and nobody is told.
   * @returns the partition: `heal` ends it
   */
  partition(...groups: readonly (readonly Host[])[]): Partition {
    this.tellFault(`partition: ${groups.map((hosts) => hosts.map(({ name }) => name).join(', ')).join(' | ')}`)
    return this.partitions.add(groups)
  }

  /** Ends all partitions. */
  heal(): void {
    this.tellFault('all partitions end')
    for (const partition of [...this.partitions.active]) partition.heal()
  }

  /** Kills a process as SIGKILL does: its connections are closed by the host. */
  kill(process: Process): void {
    this.tellFault(`${process.name} on ${process.host.name} is killed`)
    process.signal(SIGKILL)
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
    this.tellFault(`${host.name} loses power`)
    const ifaces = host.ip.interfaces.filter((iface) => !iface.isLoopback)
    const plugs = ifaces.map((iface) => new Plug(iface))
    for (const iface of ifaces) iface.handOver(new Silence((frame) => this.unheard(frame)))
    host.close()
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
    this.tellFault(`${host.name} starts again`)
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
    this.partitions.update()
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

/** Hosts in an IPv4 network with a prefix of 24 bits. */
const MOST_HOSTS = 254

/** The first three bytes of the network that the link of this number has. */
const subnet = (index: number): string => `10.${index >>> 8}.${index & 0xff}`

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

/** Plugs a cable's end into a host, as a new interface, or into a switch. */
const plugIn = (node: NetworkNode, port: LinkPort, addresses: readonly string[]): LinkEnd =>
  node instanceof Switch ? node.attach(port) : node.addInterface(nextName(node), port, addresses)

const nameOf = (node: NetworkNode): string => (node instanceof Switch ? node.label : node.name)

const nextName = (host: Host): string => `eth${host.ip.interfaces.filter((iface) => !iface.isLoopback).length}`

/** The entries that are not undefined. */
const defined = <T extends object>(values: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
