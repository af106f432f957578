import { Timer, type TimerOwner } from '../core/timer.ts'
import type { IpAddress } from '../wire/address.ts'
import { IPV6_MIN_MTU } from '../wire/ipv6.ts'
import { AddressMap } from './address-map.ts'
import type { NetworkInterface } from './interface.ts'
import type { IpStack } from './stack.ts'

/** What the network has told of the way to one address beside what the routes say. */
export class Path {
  readonly address: IpAddress
  /** Path MTU, bytes; 0 when nobody has told. */
  mtu = 0
  /** The path's MTU is below `min_pmtu`: packets of that size go, without the prohibition to fragment them. */
  mtuLocked = false
  /** World time at which the MTU is forgotten, microseconds. */
  mtuExpires = Number.POSITIVE_INFINITY
  /** The next hop that a redirect named, through `interface`: the address itself when it is on the link. */
  gateway: IpAddress | null = null
  interface: NetworkInterface | null = null
  /** The next hop that the routes named then; null for the address itself. */
  insteadOf: IpAddress | null = null
  gatewayExpires = Number.POSITIVE_INFINITY

  constructor(address: IpAddress) {
    this.address = address
  }

  /** Does the redirect hold for a route through `iface` to `gateway`: is it still the route that it has corrected? */
  corrects(iface: NetworkInterface, gateway: IpAddress | null): boolean {
    const { insteadOf } = this
    if (this.gateway === null || this.interface !== iface) return false
    return insteadOf === null || gateway === null ? insteadOf === gateway : insteadOf.equals(gateway)
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

  /** What is known of the way to an address, or `undefined`. */
  get(w0: number, w1: number, w2: number, w3: number): Path | undefined {
    return this.paths.size === 0 ? undefined : this.paths.get(w0, w1, w2, w3, 0)
  }

  /**
   * Takes in that packets to an address may have `mtu` bytes at the most, 0 when that was not said. Whoever calls has made sure that the message
   * is about a packet that was really sent (RFC 5927 section 7, RFC 8201 section 4).
   * @param current the path MTU believed so far
   * @returns whether it is lower than what was believed
   */
  updateMtu(address: IpAddress, mtu: number, current: number): boolean {
    const { settings, world } = this.stack
    const v4 = address.isIpv4
    // Every link of IPv6 takes 1280 bytes: who says otherwise is not believed at all (RFC 8201 section 4).
    if (v4 ? settings.ip_no_pmtu_disc !== 0 : mtu < IPV6_MIN_MTU) return false
    const locked = v4 && mtu < settings.min_pmtu
    const next = locked ? Math.min(settings.min_pmtu, current) : mtu
    if (next > current || (next === current && !locked)) return false
    const path = this.obtain(address)
    path.mtu = next
    path.mtuLocked = locked
    path.mtuExpires = world.loop.now + (v4 ? settings.mtu_expires : settings.ipv6_mtu_expires) * 1e6
    this.changed()
    return true
  }

  /** Takes in that packets to an address are to go to `gateway`, or directly when that is the address. */
  redirect(address: IpAddress, gateway: IpAddress, iface: NetworkInterface): void {
    const path = this.obtain(address)
    const { w0, w1, w2, w3 } = address
    path.gateway = gateway
    path.interface = iface
    path.insteadOf = this.stack.routes.lookup(w0, w1, w2, w3, iface)?.gateway ?? null
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

  private obtain(address: IpAddress): Path {
    const { w0, w1, w2, w3 } = address
    const found = this.paths.get(w0, w1, w2, w3, 0)
    if (found !== undefined) return found
    if (this.paths.size >= MOST_PATHS) this.evict()
    const path = new Path(address)
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
