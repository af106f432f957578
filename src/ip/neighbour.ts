import { Errno } from '../core/errno.ts'
import { type Frame, FrameQueue } from '../core/frame.ts'
import { Timer, type TimerOwner } from '../core/timer.ts'
import { formatMac, type IpAddress, type MacAddress } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { macHigh, macLow } from '../wire/ethernet.ts'
import { AddressMap } from './address-map.ts'
import type { NetworkInterface } from './interface.ts'
import type { IpStack } from './stack.ts'
import { frameTruesize } from './truesize.ts'

/** States of neighbour unreachability detection (RFC 4861 section 7.3.2), as bits: Linux's NUD_*. */
export const Nud = {
  None: 0x00,
  /** Asked, not answered yet: packets wait. */
  Incomplete: 0x01,
  /** Known to be there. */
  Reachable: 0x02,
  /** Its address is known, but not whether it still holds. */
  Stale: 0x04,
  /** Used while stale: somebody above may yet confirm it. */
  Delay: 0x08,
  /** Being asked again, directly. */
  Probe: 0x10,
  /** Did not answer. */
  Failed: 0x20,
  NoArp: 0x40,
  /** Set by hand: never asked about, never collected. */
  Permanent: 0x80,
} as const

const CONNECTED = Nud.Permanent | Nud.NoArp | Nud.Reachable
const IN_TIMER = Nud.Incomplete | Nud.Reachable | Nud.Delay | Nud.Probe
const VALID = Nud.Permanent | Nud.NoArp | Nud.Reachable | Nud.Probe | Nud.Stale | Nud.Delay

/** The name of a state, as `ip neigh` prints it. */
const nudName = (state: number): string => {
  if (state === Nud.Incomplete) return 'INCOMPLETE'
  if (state === Nud.Reachable) return 'REACHABLE'
  if (state === Nud.Stale) return 'STALE'
  if (state === Nud.Delay) return 'DELAY'
  if (state === Nud.Probe) return 'PROBE'
  if (state === Nud.Failed) return 'FAILED'
  if (state === Nud.NoArp) return 'NOARP'
  return state === Nud.Permanent ? 'PERMANENT' : 'NONE'
}

/** How `Neighbour.update` treats a link-layer address that differs from the one known (RFC 4861 section 7.2.5). */
export const NeighbourUpdate = {
  /** It replaces the known one. */
  Override: 0x1,
  /** It does not, but makes a reachable entry stale. */
  WeakOverride: 0x2,
  /** What is said of being a router counts. */
  RouterKnown: 0x4,
  /** It says that it is a router. */
  IsRouter: 0x8,
} as const

/** What tells ARP from neighbour discovery. */
export interface NeighbourProtocol {
  readonly family: 4 | 6
  /**
   * Asks for the neighbour's link-layer address.
   * @param unicast ask the address known so far, not everybody
   * @param waiting the packet that waits first, if any: its source is a good one to ask from
   */
  solicit(neighbour: Neighbour, unicast: boolean, waiting: Frame | null): void
  /** It did not answer: `frame`, which waited for it, is the protocol's to refuse and release. */
  unreachable(neighbour: Neighbour, frame: Frame): void
}

/** The timing of one interface and family, which router advertisements may set. */
export class NeighbourTiming {
  /** Mean time that an entry stays REACHABLE, microseconds. */
  baseReachable: number
  /** Time between probes, microseconds. */
  retrans: number
  /** What was drawn from half to one and a half `baseReachable`, and when. */
  private reachable = 0
  private drawnFrom = -1
  private drawnAt = 0

  constructor(baseReachableMs: number, retransMs: number) {
    this.baseReachable = baseReachableMs * 1000
    this.retrans = retransMs * 1000
  }

  /** How long an entry stays REACHABLE, microseconds; drawn anew every five minutes (RFC 4861 section 6.3.2). */
  reachableTime(stack: IpStack): number {
    const { now } = stack.world.loop
    if (this.drawnFrom !== this.baseReachable || now - this.drawnAt > 300e6) {
      this.drawnFrom = this.baseReachable
      this.drawnAt = now
      this.reachable = this.baseReachable / 2 + stack.random.below(Math.max(1, this.baseReachable))
    }
    return this.reachable
  }
}

/** One neighbour: an IP address on a link, and the link-layer address to which packets for it go. */
export class Neighbour implements TimerOwner {
  readonly table: NeighbourTable
  readonly interface: NetworkInterface
  readonly address: IpAddress
  mac: MacAddress = 0
  /** Its upper 16 and its lower 32 bits. */
  private macHigh = 0
  private macLow = 0
  /** One of `Nud`. */
  state: number = Nud.None
  isRouter = false
  /** Do routes lead through it? Then they are looked up anew when it fails or comes back. */
  isGateway = false
  /** Taken out of the table: whoever still holds it looks it up again. */
  dead = false
  /** World times, microseconds: when it was last known to be there, last sent to, and last changed. */
  confirmed = 0
  used = 0
  updated = 0
  probes = 0
  private readonly queue = new FrameQueue()
  private queuedBytes = 0
  private readonly timer = new Timer(this, 0)

  constructor(table: NeighbourTable, iface: NetworkInterface, address: IpAddress) {
    this.table = table
    this.interface = iface
    this.address = address
    const { now } = table.stack.world.loop
    this.used = now
    this.confirmed = now
    this.updated = now
  }

  /** Packets that wait for its answer. */
  get queued(): number {
    return this.queue.length
  }

  get isValid(): boolean {
    return (this.state & VALID) !== 0
  }

  /** Sends an IP packet to it: now, or when its link-layer address is known. Owns the frame. */
  send(frame: Frame): void {
    this.used = this.table.stack.world.loop.now
    if ((this.state & CONNECTED) !== 0) {
      this.interface.transmitTo(frame, this.macHigh, this.macLow)
      return
    }
    if ((this.state & VALID) !== 0) {
      if (this.state === Nud.Stale) {
        this.become(Nud.Delay)
        this.schedule(this.used + this.table.settings(this).delay_first_probe_time * 1e6)
      }
      this.interface.transmitTo(frame, this.macHigh, this.macLow)
      return
    }
    this.enqueue(frame)
    if (this.state === Nud.Incomplete) return
    const settings = this.table.settings(this)
    if (settings.mcast_solicit === 0) {
      this.fail()
      return
    }
    // Probes count on from the unicast ones, which make no sense yet.
    this.probes = settings.ucast_solicit
    this.become(Nud.Incomplete)
    this.probe()
    this.schedule(this.used + this.retransTime())
  }

  /**
   * Takes in what the link says of it.
   * @param mac its link-layer address, or -1 when that was not said
   * @param state one of `Nud`
   * @param flags `NeighbourUpdate` bits
   */
  update(mac: MacAddress, state: number, flags: number): void {
    const { loop } = this.table.stack.world
    const before = this.state
    if ((before & (Nud.Permanent | Nud.NoArp)) !== 0 && state !== Nud.Permanent) return
    let next = state
    let address = mac < 0 ? this.mac : mac
    const changes = (before & VALID) !== 0 && address !== this.mac
    let routerKnown = (flags & NeighbourUpdate.RouterKnown) !== 0
    if (mac < 0 && (before & VALID) === 0) return
    if (changes && (flags & NeighbourUpdate.Override) === 0) {
      if ((flags & NeighbourUpdate.WeakOverride) === 0 || (before & CONNECTED) === 0) return
      routerKnown = false
      address = this.mac
      next = Nud.Stale
    } else if (!changes && next === Nud.Stale && (before & VALID) !== 0) {
      // Hearsay of the same address tells nothing new of one that is known.
      next = before
    }
    if ((next & CONNECTED) !== 0) this.confirmed = loop.now
    if (routerKnown) this.setRouter((flags & NeighbourUpdate.IsRouter) !== 0)
    if (next === before && address === this.mac) {
      if (next === Nud.Reachable) this.schedule(this.confirmed + this.reachableTime())
      return
    }
    this.mac = address
    this.macHigh = macHigh(address)
    this.macLow = macLow(address)
    this.updated = loop.now
    if (changes && (next & CONNECTED) === 0) this.confirmed = loop.now - 2 * this.timing().baseReachable
    if (next !== before) {
      this.become(next)
      this.probes = 0
      if (next === Nud.Reachable) this.schedule(this.confirmed + this.reachableTime())
      else if (next === Nud.Delay) this.schedule(loop.now + this.table.settings(this).delay_first_probe_time * 1e6)
    }
    if ((before & VALID) === 0 && (next & VALID) !== 0) this.flush()
  }

  /** Its router flag, as an advertisement gave it. */
  setRouter(isRouter: boolean): void {
    if (this.isRouter === isRouter) return
    const wasRouter = this.isRouter
    this.isRouter = isRouter
    // A router that says it is none any more takes its default routes along (RFC 4861 section 7.2.5).
    if (wasRouter) this.interface.routerLost(this.address)
  }

  onTimer(): void {
    const { now } = this.table.stack.world.loop
    const settings = this.table.settings(this)
    const delay = settings.delay_first_probe_time * 1e6
    if (this.state === Nud.Reachable) {
      const until = this.confirmed + this.reachableTime()
      if (now < until) this.schedule(until)
      else if (now <= this.used + delay) {
        this.become(Nud.Delay)
        this.schedule(now + delay)
      } else this.become(Nud.Stale)
      return
    }
    if (this.state === Nud.Delay) {
      if (now <= this.confirmed + delay) {
        this.become(Nud.Reachable)
        this.schedule(this.confirmed + this.reachableTime())
        return
      }
      this.become(Nud.Probe)
      this.probes = 0
    }
    if ((this.state & (Nud.Probe | Nud.Incomplete)) === 0) return
    const most = settings.ucast_solicit + (this.state === Nud.Probe ? settings.mcast_resolicit : settings.mcast_solicit)
    if (this.probes >= most) {
      this.fail()
      return
    }
    this.schedule(now + this.retransTime())
    this.probe()
  }

  /** Forgets everything: the packets that wait are refused. */
  fail(): void {
    const { stack, protocol } = this.table
    this.become(Nud.Failed)
    stack.world.loop.timers.cancel(this.timer)
    for (let frame = this.queue.shift(); frame !== null; frame = this.queue.shift()) {
      protocol.unreachable(this, frame)
    }
    this.queuedBytes = 0
  }

  /** Gives up the timer and the packets that wait. */
  close(): void {
    const { stack } = this.table
    this.dead = true
    stack.world.loop.timers.cancel(this.timer)
    for (let frame = this.queue.shift(); frame !== null; frame = this.queue.shift()) {
      stack.drop(frame, Drop['neighbour-unresolved'])
    }
    this.queuedBytes = 0
  }

  private probe(): void {
    const unicast = this.probes < this.table.settings(this).ucast_solicit && (this.state & VALID) !== 0
    this.probes++
    this.table.protocol.solicit(this, unicast, this.queue.first)
  }

  private enqueue(frame: Frame): void {
    const { stack } = this.table
    const limit = this.table.settings(this).unres_qlen_bytes
    const size = frameTruesize(frame)
    while (this.queue.length > 0 && this.queuedBytes + size > limit) {
      const oldest = this.queue.shift()!
      this.queuedBytes -= frameTruesize(oldest)
      this.table.discards++
      stack.drop(oldest, Drop['neighbour-queue-full'])
    }
    this.queue.push(frame)
    this.queuedBytes += size
  }

  private flush(): void {
    this.queuedBytes = 0
    for (let frame = this.queue.shift(); frame !== null; frame = this.queue.shift()) {
      this.interface.transmitTo(frame, this.macHigh, this.macLow)
    }
  }

  private become(state: number): void {
    const before = this.state
    this.state = state
    this.updated = this.table.stack.world.loop.now
    if ((state & IN_TIMER) === 0) this.table.stack.world.loop.timers.cancel(this.timer)
    if (this.isGateway && ((before | state) & Nud.Failed) !== 0) this.table.stack.changed()
  }

  private schedule(at: number): void {
    this.table.stack.world.loop.timers.schedule(this.timer, at)
  }

  private timing(): NeighbourTiming {
    return this.interface.timing(this.table.protocol.family)
  }

  private reachableTime(): number {
    return this.timing().reachableTime(this.table.stack)
  }

  private retransTime(): number {
    return Math.max(this.timing().retrans, 10_000)
  }
}

/** A neighbour as plain data: what a line of `ip neigh` says. */
export interface NeighbourInfo {
  family: 4 | 6
  address: string
  interface: string
  mac: string | null
  state: string
  router: boolean
  probes: number
  queued: number
  /** Seconds since it was last used, confirmed and changed, as `ip -s neigh` prints them. */
  usedAgo: number
  confirmedAgo: number
  updatedAgo: number
}

/** The neighbours of all interfaces, for one family: the ARP cache, or that of neighbour discovery. */
export class NeighbourTable implements TimerOwner {
  readonly stack: IpStack
  readonly protocol: NeighbourProtocol
  /** Packets dropped because too many waited. */
  discards = 0
  /** Times there was no room for another entry. */
  overflows = 0
  private readonly entries: AddressMap<Neighbour>
  private readonly collection = new Timer(this, 0)
  private lastForced = Number.NEGATIVE_INFINITY

  constructor(stack: IpStack, protocol: NeighbourProtocol, seed: number) {
    this.stack = stack
    this.protocol = protocol
    this.entries = new AddressMap(seed)
  }

  get size(): number {
    return this.entries.size
  }

  /** The entry for an address on an interface's link, or `undefined`. */
  find(iface: NetworkInterface, w0: number, w1: number, w2: number, w3: number): Neighbour | undefined {
    return this.entries.get(w0, w1, w2, w3, iface.index)
  }

  /** The entry for an address, made if need be; null when the table is full (`gc_thresh3`). */
  obtain(iface: NetworkInterface, address: IpAddress): Neighbour | null {
    const { w0, w1, w2, w3 } = address
    const found = this.entries.get(w0, w1, w2, w3, iface.index)
    if (found !== undefined) return found
    if (!this.makeRoom()) {
      this.overflows++
      return null
    }
    const neighbour = new Neighbour(this, iface, address)
    this.entries.set(w0, w1, w2, w3, iface.index, neighbour)
    this.watchSize()
    return neighbour
  }

  /**
   * Adds or changes an entry by hand: `ip neigh replace`.
   * @returns 0, or -ENOBUFS when the table is full
   */
  setPermanent(iface: NetworkInterface, address: IpAddress, mac: MacAddress): number {
    const neighbour = this.obtain(iface, address)
    if (neighbour === null) return -Errno.ENOBUFS
    neighbour.update(mac, Nud.Permanent, NeighbourUpdate.Override)
    return 0
  }

  /** Takes an entry out: `ip neigh del`. @returns 0 or -ENOENT */
  remove(iface: NetworkInterface, address: IpAddress): number {
    const { w0, w1, w2, w3 } = address
    const neighbour = this.entries.get(w0, w1, w2, w3, iface.index)
    if (neighbour === undefined) return -Errno.ENOENT
    this.discard(neighbour)
    return 0
  }

  /**
   * Takes out the entries of an interface.
   * @param all the permanent ones too
   */
  flush(iface: NetworkInterface, all: boolean): void {
    for (const neighbour of this.entries.values()) {
      if (neighbour.interface === iface && (all || neighbour.state !== Nud.Permanent)) this.discard(neighbour)
    }
  }

  /** The entries as plain data: what `ip neigh` lists. */
  list(): NeighbourInfo[] {
    const { now } = this.stack.world.loop
    return this.entries.values().map((neighbour) => ({
      family: this.protocol.family,
      address: `${neighbour.address}`,
      interface: neighbour.interface.name,
      mac: neighbour.isValid ? formatMac(neighbour.mac) : null,
      state: nudName(neighbour.state),
      router: neighbour.isRouter,
      probes: neighbour.probes,
      queued: neighbour.queued,
      usedAgo: Math.floor((now - neighbour.used) / 1e6),
      confirmedAgo: Math.floor((now - neighbour.confirmed) / 1e6),
      updatedAgo: Math.floor((now - neighbour.updated) / 1e6),
    }))
  }

  /** The settings that hold for a neighbour. */
  settings(neighbour: Neighbour): IpStack['settings'] {
    return neighbour.interface.settings
  }

  /** Collects what has not been used for a while, as long as there are more than `gc_thresh1`. */
  onTimer(): void {
    const { settings, world } = this.stack
    const stale = world.loop.now - settings.gc_stale_time * 1e6
    for (const neighbour of this.entries.values()) {
      if (neighbour.state === Nud.Permanent) continue
      if (neighbour.state === Nud.Failed || (neighbour.used < stale && (neighbour.state & IN_TIMER) === 0)) {
        this.discard(neighbour)
      }
    }
    this.watchSize()
  }

  /** Drops everything. */
  close(): void {
    this.stack.world.loop.timers.cancel(this.collection)
    for (const neighbour of this.entries.values()) neighbour.close()
    this.entries.clear()
  }

  private discard(neighbour: Neighbour): void {
    const { w0, w1, w2, w3 } = neighbour.address
    this.entries.delete(w0, w1, w2, w3, neighbour.interface.index)
    neighbour.close()
  }

  private watchSize(): void {
    const { settings, world } = this.stack
    if (this.entries.size <= settings.gc_thresh1 || this.collection.isSet) return
    world.loop.timers.schedule(this.collection, world.loop.now + settings.gc_interval * 1e6)
  }

  /** Is there room for one more, if need be after throwing out what is neither permanent nor just confirmed? */
  private makeRoom(): boolean {
    const { settings, world } = this.stack
    const { now } = world.loop
    const { size } = this.entries
    // The hard limit holds also where it was set below the soft one.
    const enough = Math.min(settings.gc_thresh2, settings.gc_thresh3)
    if (size < enough) return true
    if (size < settings.gc_thresh3 && now - this.lastForced < 5e6) return true
    this.lastForced = now
    const candidates = this.entries
      .values()
      .filter((n) => n.state !== Nud.Permanent && (n.state === Nud.Failed || n.updated <= now - 5e6))
      .sort((a, b) => a.used - b.used)
    for (const neighbour of candidates) {
      if (this.entries.size < enough) break
      this.discard(neighbour)
    }
    return this.entries.size < settings.gc_thresh3
  }
}
