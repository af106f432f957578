import { Timer, type TimerOwner } from '../core/timer.ts'
import type { IpAddress } from '../wire/address.ts'
import { IPV6_MIN_MTU } from '../wire/ipv6.ts'
import { AddressMap } from './address-map.ts'
import type { NetworkInterface } from './interface.ts'
import type { Route } from './route.ts'
import type { IpStack } from './stack.ts'

/**
 * What the network has told of the way to one address beside what a
 * route says: it holds for that route, and goes with it.
 */
export class Path {
  readonly address: IpAddress
  /** The route that it is about; null for an address on the link that no route leads to. */
  route: Route | null
  /** Path MTU, bytes; 0 when nobody has told. */
  mtu = 0
  /** The path's MTU is below `min_pmtu`: packets of that size go, without the prohibition to fragment them. */
  mtuLocked = false
  /** World time at which the MTU is forgotten, microseconds. */
  mtuExpires = Number.POSITIVE_INFINITY
  /** The next hop that a redirect named, through `interface`: the address itself when it is on the link. */
  gateway: IpAddress | null = null
  interface: NetworkInterface | null = null
  gatewayExpires = Number.POSITIVE_INFINITY

  constructor(address: IpAddress, route: Route | null) {
    this.address = address
    this.route = route
  }

  /** Does it hold for this route? With IPv4 also for another that says the same, as Linux keeps such things once. */
  isOf(route: Route | null): boolean {
    return this.route === route || (this.route !== null && route !== null && saySame(this.route, route))
  }
}

/** A learnt path as plain data: what `ip route get` and `ip route show cache` tell. */
export interface PathInfo {
  address: string
  mtu: number | null
  locked: boolean
  gateway: string | null
  /** Seconds left. */
  expiresIn: number
}

/** Addresses that are remembered at the most. */
const MOST_PATHS = 4096
/** How long a redirect holds, microseconds: Linux's ip_rt_gc_timeout. */
const REDIRECT_TIME = 300e6

/** Path MTUs and redirects, by destination (RFC 1191, RFC 8201, RFC 1122 section 3.2.2.2, RFC 4861 section 8). */
export class PathTable implements TimerOwner {
  private readonly stack: IpStack
  private readonly paths: AddressMap<Path>
  private readonly expiry = new Timer(this, 0)

  constructor(stack: IpStack, seed: number) {
    this.stack = stack
    this.paths = new AddressMap(seed)
  }

  get size(): number {
    return this.paths.size
  }

  /** What is known of the way to an address that a route leads to, or `undefined`. */
  get(w0: number, w1: number, w2: number, w3: number, route: Route | null): Path | undefined {
    if (this.paths.size === 0) return undefined
    const path = this.paths.get(w0, w1, w2, w3, 0)
    return path?.isOf(route) === true ? path : undefined
  }

  /**
   * Takes in that packets to an address may have `mtu` bytes at the most, 0 when that was not said. Whoever calls has
   * made sure that the message is about a packet that was really sent (RFC 5927 section 7, RFC 8201 section 4).
   * @param current the path MTU believed so far
   * @param route the one that leads there
   * @returns whether it is lower than what was believed
   */
  updateMtu(address: IpAddress, mtu: number, current: number, route: Route | null): boolean {
    const { settings, world } = this.stack
    const v4 = address.isIpv4
    // Every link of IPv6 takes 1280 bytes: who says otherwise is not believed at all (RFC 8201 section 4).
    if (!v4 && mtu < IPV6_MIN_MTU) return false
    const locked = v4 && mtu < settings.min_pmtu
    const next = locked ? Math.min(settings.min_pmtu, current) : mtu
    if (next > current || (next === current && !locked)) return false
    const path = this.obtain(address, route)
    path.mtu = next
    path.mtuLocked = locked
    path.mtuExpires = world.loop.now + (v4 ? settings.mtu_expires : settings.ipv6_mtu_expires) * 1e6
    this.changed()
    return true
  }

  /** Takes in that packets to an address are to go to `gateway`, or directly when that is the address. */
  redirect(address: IpAddress, gateway: IpAddress, iface: NetworkInterface): void {
    const { w0, w1, w2, w3 } = address
    const path = this.obtain(address, this.stack.routes.lookup(w0, w1, w2, w3, iface))
    path.gateway = gateway
    path.interface = iface
    path.gatewayExpires = this.stack.world.loop.now + REDIRECT_TIME
    this.changed()
  }

  /** Forgets what leads through an interface. */
  forget(iface: NetworkInterface): void {
    for (const path of this.paths.values()) {
      if (path.interface !== iface) continue
      path.gateway = null
      path.interface = null
      path.gatewayExpires = Number.POSITIVE_INFINITY
      this.dropIfEmpty(path)
    }
  }

  /**
   * A route is gone: so is what was learnt of ways along it.
   * @param successor takes its place, if one does
   */
  routeGone(route: Route, successor: Route | null): void {
    if (this.paths.size === 0) return
    const along = this.paths.values().filter((path) => path.route === route)
    if (along.length === 0) return
    const others = successor === null ? this.stack.routes.all() : [successor, ...this.stack.routes.all()]
    const heir = others.find((other) => saySame(other, route))
    for (const path of along) {
      if (heir !== undefined) path.route = heir
      else this.remove(path)
    }
  }

  /** Forgets all: `ip route flush cache`. */
  flush(family: 4 | 6): void {
    for (const path of this.paths.values()) if (path.address.family === family) this.remove(path)
    this.changed()
  }

  list(): PathInfo[] {
    const { now } = this.stack.world.loop
    return this.paths.values().map((path) => ({
      address: `${path.address}`,
      mtu: path.mtu === 0 ? null : path.mtu,
      locked: path.mtuLocked,
      gateway: path.gateway === null ? null : `${path.gateway}`,
      expiresIn: Math.ceil((Math.min(path.mtuExpires, path.gatewayExpires) - now) / 1e6),
    }))
  }

  onTimer(): void {
    const { now } = this.stack.world.loop
    for (const path of this.paths.values()) {
      if (path.mtuExpires <= now) {
        path.mtu = 0
        path.mtuLocked = false
        path.mtuExpires = Number.POSITIVE_INFINITY
      }
      if (path.gatewayExpires <= now) {
        path.gateway = null
        path.interface = null
        path.gatewayExpires = Number.POSITIVE_INFINITY
      }
      this.dropIfEmpty(path)
    }
    this.changed()
  }

  close(): void {
    this.stack.world.loop.timers.cancel(this.expiry)
    this.paths.clear()
  }

  /** The entry of an address, for a route: what was told of another is forgotten. */
  private obtain(address: IpAddress, route: Route | null): Path {
    const { w0, w1, w2, w3 } = address
    const found = this.paths.get(w0, w1, w2, w3, 0)
    if (found?.isOf(route) === true) return found
    if (found !== undefined) this.remove(found)
    if (this.paths.size >= MOST_PATHS) this.evict()
    const path = new Path(address, route)
    this.paths.set(w0, w1, w2, w3, 0, path)
    return path
  }

  /** Forgets the path that would be forgotten first anyway. */
  private evict(): void {
    let first: Path | null = null
    for (const path of this.paths.values()) if (first === null || expiryOf(path) < expiryOf(first)) first = path
    if (first !== null) this.remove(first)
  }

  private dropIfEmpty(path: Path): void {
    if (path.mtu === 0 && path.gateway === null) this.remove(path)
  }

  private remove(path: Path): void {
    const { w0, w1, w2, w3 } = path.address
    this.paths.delete(w0, w1, w2, w3, 0)
  }

  private changed(): void {
    let first = Number.POSITIVE_INFINITY
    for (const path of this.paths.values()) first = Math.min(first, expiryOf(path))
    const { timers } = this.stack.world.loop
    timers.cancel(this.expiry)
    timers.schedule(this.expiry, first)
    this.stack.changed()
  }
}

const expiryOf = (path: Path): number => Math.min(path.mtuExpires, path.gatewayExpires)

/** Do two routes of IPv4 say the same but for their prefix? */
const saySame = (a: Route, b: Route): boolean =>
  a.destination.isIpv4 &&
  b.destination.isIpv4 &&
  a.type === b.type &&
  a.interface === b.interface &&
  isSame(a.gateway, b.gateway) &&
  isSame(a.source, b.source) &&
  a.metric === b.metric &&
  a.protocol === b.protocol &&
  a.scope === b.scope &&
  a.mtu === b.mtu &&
  a.mtuLocked === b.mtuLocked &&
  a.advertisedMss === b.advertisedMss &&
  a.initialCwnd === b.initialCwnd

const isSame = (a: IpAddress | null, b: IpAddress | null): boolean => (a === null || b === null ? a === b : a.equals(b))
