import { Errno } from '../core/errno.ts'
import { Timer, type TimerOwner } from '../core/timer.ts'
import { IPV4_ANY, IPV4_MAPPED, IPV6_ANY, type IpAddress, type IpPrefix, networkOf } from '../wire/address.ts'
import type { NetworkInterface } from './interface.ts'
import type { IpStack } from './stack.ts'
import { PrefixTrie } from './trie.ts'

/** What becomes of a packet that a route matches. */
export type RouteType = 'unicast' | 'local' | 'broadcast' | 'multicast' | 'blackhole' | 'unreachable' | 'prohibit'

/** Who made a route, as `ip route` names it. */
export type RouteProtocol = 'kernel' | 'boot' | 'static' | 'ra' | 'redirect' | 'dhcp'

/** How far away the destinations of a route or the use of an address reach: Linux's numbers. */
export const Scope = { Global: 0, Site: 200, Link: 253, Host: 254, Nowhere: 255 } as const

/** The name of a scope, as `ip` prints it. */
export const scopeName = (scope: number): string =>
  scope === Scope.Global
    ? 'global'
    : scope === Scope.Site
      ? 'site'
      : scope === Scope.Link
        ? 'link'
        : scope === Scope.Host
          ? 'host'
          : scope === Scope.Nowhere
            ? 'nowhere'
            : `${scope}`

/** Router preference (RFC 4191 section 2.1): higher is better. */
export const RouterPreference = { Low: -1, Medium: 0, High: 1 } as const

/** What there is to say of a new route; all but the prefix has a default. */
export interface RouteSpec {
  /** The destinations, as prefix: `0.0.0.0/0` and `::/0` are the default routes. */
  readonly prefix: IpPrefix
  readonly type?: RouteType
  readonly gateway?: IpAddress | null
  readonly interface?: NetworkInterface | null
  /** The source of packets that name none. */
  readonly source?: IpAddress | null
  /** The lower is taken. IPv4 counts from 0, IPv6 from 1024 (0 means that). */
  readonly metric?: number
  /** Path MTU to put in place of the interface's, bytes; 0 for none. */
  readonly mtu?: number
  /** Does no ICMP message change that, and may packets be fragmented: `mtu lock`? */
  readonly mtuLocked?: boolean
  /** The MSS to announce over it (`advmss`), and TCP's first window in segments (`initcwnd`); 0 for TCP's own. */
  readonly advertisedMss?: number
  readonly initialCwnd?: number
  /** Hop limit of packets sent along it; 0 for the host's. */
  readonly hopLimit?: number
  readonly protocol?: RouteProtocol
  readonly scope?: number
  readonly table?: 'main' | 'local'
  /** Is the gateway reachable on the link although no route says so? */
  readonly onLink?: boolean
  /** World time at which the route goes, microseconds. */
  readonly expires?: number
  /** One of `RouterPreference`. */
  readonly preference?: number
}

/** One route. */
export class Route {
  readonly destination: IpAddress
  /** Bits of prefix: 0 to 32, or 0 to 128. */
  readonly length: number
  readonly type: RouteType
  readonly gateway: IpAddress | null
  /** Null for routes that lead nowhere. */
  readonly interface: NetworkInterface | null
  readonly source: IpAddress | null
  readonly metric: number
  mtu: number
  readonly mtuLocked: boolean
  readonly advertisedMss: number
  readonly initialCwnd: number
  hopLimit: number
  readonly protocol: RouteProtocol
  readonly scope: number
  readonly table: 'main' | 'local'
  readonly onLink: boolean
  /** World time at which it goes, microseconds; Infinity for most. */
  expires: number
  preference: number
  /** The next route of the same prefix: of a higher metric, or a lower preference, or added later. */
  next: Route | null = null

  constructor(spec: RouteSpec) {
    const { prefix } = spec
    const v4 = prefix.address.isIpv4
    this.destination = networkOf(prefix.address, prefix.length)
    this.length = prefix.length
    this.type = spec.type ?? 'unicast'
    this.gateway = spec.gateway ?? null
    this.interface = spec.interface ?? null
    this.source = spec.source ?? null
    this.mtu = spec.mtu ?? 0
    this.mtuLocked = spec.mtuLocked ?? false
    this.advertisedMss = spec.advertisedMss ?? 0
    this.initialCwnd = spec.initialCwnd ?? 0
    this.hopLimit = spec.hopLimit ?? 0
    this.protocol = spec.protocol ?? 'boot'
    this.scope = spec.scope ?? (v4 ? defaultScope(this.type, this.gateway) : Scope.Global)
    this.table = spec.table ?? (isLocalType(this.type) ? 'local' : 'main')
    this.metric = v4 || this.table === 'local' ? (spec.metric ?? 0) : spec.metric || DEFAULT_METRIC6
    this.onLink = spec.onLink ?? false
    this.expires = spec.expires ?? Number.POSITIVE_INFINITY
    this.preference = spec.preference ?? RouterPreference.Medium
  }
}

/** Metric of an IPv6 route that names none, and of those that the kernel makes for its own addresses. */
const DEFAULT_METRIC6 = 1024
export const KERNEL_METRIC6 = 256

const isLocalType = (type: RouteType): boolean => type === 'local' || type === 'broadcast' || type === 'multicast'

const defaultScope = (type: RouteType, gateway: IpAddress | null): number =>
  type === 'local'
    ? Scope.Host
    : gateway === null && type !== 'blackhole' && type !== 'unreachable' && type !== 'prohibit'
      ? Scope.Link
      : Scope.Global

/** A route as plain data: what a line of `ip route` says. */
export interface RouteInfo {
  family: 4 | 6
  table: 'main' | 'local'
  type: RouteType
  /** `default`, an address, or `ADDRESS/LENGTH`. */
  destination: string
  gateway: string | null
  interface: string | null
  protocol: RouteProtocol
  scope: string
  source: string | null
  metric: number
  mtu: number
  /** Seconds to go; null for a route that stays. */
  expiresIn: number | null
  preference: 'low' | 'medium' | 'high'
  /** Is the carrier gone? */
  linkDown: boolean
}

/**
 * The routing tables of a host, `local` before `main`, both families. The longest prefix wins; of routes with the same
 * prefix the one with the lowest metric.
 */
export class RouteTable implements TimerOwner {
  private readonly stack: IpStack
  private readonly tables = {
    main: { v4: new PrefixTrie<Route>(), v6: new PrefixTrie<Route>() },
    local: { v4: new PrefixTrie<Route>(), v6: new PrefixTrie<Route>() },
  }
  private readonly expiry = new Timer(this, 0)

  constructor(stack: IpStack) {
    this.stack = stack
  }

  /**
   * Adds a route.
   * @returns 0; or -EEXIST when one with the same prefix and metric is there, -ENETUNREACH when the gateway is not on a
   * link, -ENETDOWN when the interface is down, -EINVAL for a route that makes no sense
   */
  add(spec: RouteSpec): number {
    const problem = this.check(spec)
    if (problem !== 0) return problem
    const route = new Route(this.withInterface(spec))
    for (let at = this.first(route); at !== null; at = at.next) {
      if (at.metric === route.metric && !sameNextHopAllowed(at, route)) return -Errno.EEXIST
    }
    this.insert(route)
    return 0
  }

  /** Adds a route that follows from an address or a router's word: it is right by itself. */
  install(spec: RouteSpec): Route {
    const route = new Route(spec)
    this.insert(route)
    return route
  }

  /** Adds a route in place of those with the same prefix and metric. @returns 0 or an error as `add` gives */
  replace(spec: RouteSpec): number {
    const problem = this.check(spec)
    if (problem !== 0) return problem
    const route = new Route(this.withInterface(spec))
    this.removeWhere(route, (at) => at.metric === route.metric, route)
    this.insert(route)
    return 0
  }

  /**
   * Removes the first route of the prefix that agrees with everything `spec` says.
   * @returns 0, or -ESRCH when there is none
   */
  remove(spec: RouteSpec): number {
    const pattern = new Route(spec)
    let done = false
    this.removeWhere(pattern, (at) => {
      if (done || !agrees(at, spec)) return false
      done = true
      return true
    })
    return done ? 0 : -Errno.ESRCH
  }

  /** Is this very route in a table? */
  has(route: Route): boolean {
    for (let at = this.first(route); at !== null; at = at.next) if (at === route) return true
    return false
  }

  /** Removes this very route, if it is there. */
  removeRoute(route: Route): void {
    this.removeWhere(route, (at) => at === route)
  }

  /** Removes every route for which `matches` holds. @returns how many there were */
  removeAll(matches: (route: Route) => boolean): number {
    let count = 0
    for (const route of this.all()) {
      if (!matches(route)) continue
      this.removeRoute(route)
      count++
    }
    return count
  }

  /**
   * The route for an address: of the local table, then of the main one.
   * @param oif only routes through this interface, where not null
   */
  lookup(w0: number, w1: number, w2: number, w3: number, oif: NetworkInterface | null): Route | null {
    return this.lookupLocal(w0, w1, w2, w3, oif) ?? this.lookupMain(w0, w1, w2, w3, oif)
  }

  /** The route for an address in the local table: is it one of this host's, or a broadcast address? */
  lookupLocal(w0: number, w1: number, w2: number, w3: number, oif: NetworkInterface | null): Route | null {
    return lookupIn(isV4(w0, w1, w2) ? this.tables.local.v4 : this.tables.local.v6, w0, w1, w2, w3, oif)
  }

  /** The route for an address in the main table. */
  lookupMain(w0: number, w1: number, w2: number, w3: number, oif: NetworkInterface | null): Route | null {
    return lookupIn(isV4(w0, w1, w2) ? this.tables.main.v4 : this.tables.main.v6, w0, w1, w2, w3, oif)
  }

  /** Every route, in the order in which they are matched against addresses that differ, local ones first. */
  all(): Route[] {
    const found: Route[] = []
    for (const table of [this.tables.local, this.tables.main]) {
      for (const trie of [table.v4, table.v6]) {
        for (const first of trie.values()) for (let at: Route | null = first; at !== null; at = at.next) found.push(at)
      }
    }
    return found
  }

  /** Routes as plain data: what `ip route` lists. */
  list(family: 4 | 6, table: 'main' | 'local' = 'main'): RouteInfo[] {
    const now = this.stack.world.loop.now
    return this.all()
      .filter((route) => route.table === table && route.destination.family === family)
      .map((route) => describeRoute(route, now))
  }

  /** Sets when a route goes; it may be Infinity. */
  setExpiry(route: Route, expires: number): void {
    route.expires = expires
    this.scheduleExpiry()
  }

  /** Gives up the timer. */
  close(): void {
    this.stack.world.loop.timers.cancel(this.expiry)
  }

  onTimer(): void {
    const now = this.stack.world.loop.now
    this.removeAll((route) => route.expires <= now)
    this.scheduleExpiry()
  }

  private scheduleExpiry(): void {
    let first = Number.POSITIVE_INFINITY
    for (const route of this.all()) if (route.expires < first) first = route.expires
    const { timers } = this.stack.world.loop
    if (first === Number.POSITIVE_INFINITY) timers.cancel(this.expiry)
    else if (first !== this.expiry.deadline) {
      timers.cancel(this.expiry)
      timers.schedule(this.expiry, first)
    }
  }

  /** Why a route cannot be, as a negative errno, or 0. */
  private check(spec: RouteSpec): number {
    const type = spec.type ?? 'unicast'
    const { address, length } = spec.prefix
    if (length < 0 || length > (address.isIpv4 ? 32 : 128)) return -Errno.EINVAL
    if (!networkOf(address, length).equals(address)) return -Errno.EINVAL
    if (type === 'blackhole' || type === 'unreachable' || type === 'prohibit') return 0
    const gateway = spec.gateway ?? null
    if (gateway === null) {
      if (spec.interface == null) return -Errno.ENODEV
    } else {
      if (gateway.isIpv4 !== address.isIpv4) return -Errno.EINVAL
      if (gateway.isUnspecified || gateway.isMulticast || gateway.isLoopback) return -Errno.EINVAL
      if (this.stack.isLocal(gateway)) return -Errno.EINVAL
      if (gateway.isLinkLocal && !gateway.isIpv4 && spec.interface == null) return -Errno.EINVAL
      if (this.interfaceFor(spec, gateway) === null) return -Errno.ENETUNREACH
    }
    if (spec.interface != null && !spec.interface.isUp && spec.table !== 'local' && type === 'unicast') {
      return -Errno.ENETDOWN
    }
    if (spec.source != null && !spec.source.isUnspecified && !this.stack.isLocal(spec.source)) return -Errno.EINVAL
    return 0
  }

  /** The interface through which a gateway is reached on the link. */
  private interfaceFor(spec: RouteSpec, gateway: IpAddress): NetworkInterface | null {
    const named = spec.interface ?? null
    if (named !== null && (spec.onLink === true || (gateway.isLinkLocal && !gateway.isIpv4))) return named
    const route = this.lookupMain(gateway.w0, gateway.w1, gateway.w2, gateway.w3, named)
    if (route === null || route.type !== 'unicast') return null
    // A gateway behind another gateway is none for IPv4 (its route's scope must be narrower).
    if (route.gateway !== null) return null
    return route.interface
  }

  private withInterface(spec: RouteSpec): RouteSpec {
    if (spec.gateway == null || spec.interface != null) return spec
    return { ...spec, interface: this.interfaceFor(spec, spec.gateway) }
  }

  private trieOf(route: Route): PrefixTrie<Route> {
    const table = this.tables[route.table]
    return route.destination.isIpv4 ? table.v4 : table.v6
  }

  private first(route: Route): Route | null {
    const { w0, w1, w2, w3 } = route.destination
    return this.trieOf(route).get(w0, w1, w2, w3, bitsOf(route))?.value ?? null
  }

  private insert(route: Route): void {
    const { w0, w1, w2, w3 } = route.destination
    const head = this.first(route)
    let before: Route | null = null
    let at = head
    while (at !== null && !precedes(route, at)) {
      before = at
      at = at.next
    }
    route.next = at
    if (before === null) this.trieOf(route).set(w0, w1, w2, w3, bitsOf(route), route)
    else before.next = route
    if (route.expires !== Number.POSITIVE_INFINITY) this.scheduleExpiry()
    this.stack.changed()
  }

  /** @param heir takes the place of what is removed */
  private removeWhere(like: Route, matches: (route: Route) => boolean, heir: Route | null = null): void {
    const { w0, w1, w2, w3 } = like.destination
    const trie = this.trieOf(like)
    const head = this.first(like)
    let first: Route | null = null
    let last: Route | null = null
    const removed: Route[] = []
    for (let at = head; at !== null; ) {
      const next: Route | null = at.next
      if (matches(at)) removed.push(at)
      else {
        if (last === null) first = at
        else last.next = at
        last = at
        at.next = null
      }
      at = next
    }
    if (removed.length === 0) return
    if (first === null) trie.delete(w0, w1, w2, w3, bitsOf(like))
    else trie.set(w0, w1, w2, w3, bitsOf(like), first)
    const { paths } = this.stack
    for (const route of removed) paths.routeGone(route, heir)
    this.stack.changed()
  }
}

const isV4 = (w0: number, w1: number, w2: number): boolean => w2 === IPV4_MAPPED && w0 === 0 && w1 === 0

const bitsOf = (route: Route): number => (route.destination.isIpv4 ? 96 : 0) + route.length

const lookupIn = (
  trie: PrefixTrie<Route>,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  oif: NetworkInterface | null,
): Route | null => {
  for (let node = trie.find(w0, w1, w2, w3); node !== null; node = node.shorter()) {
    let spare: Route | null = null
    for (let route = node.value; route !== null; route = route.next) {
      const through = route.interface
      if (oif !== null && through !== oif && through !== null) continue
      // A router that does not answer gives way to another one of the same metric (RFC 4861 section 6.3.6).
      if (route.gateway !== null && route.next !== null && through?.gatewayFailed(route.gateway) === true) {
        if (spare === null) spare = route
        continue
      }
      if (spare !== null && spare.metric !== route.metric) return spare
      return route
    }
    if (spare !== null) return spare
  }
  return null
}

/** Does `a` come before `b` among routes of one prefix? */
const precedes = (a: Route, b: Route): boolean =>
  a.metric < b.metric || (a.metric === b.metric && a.preference > b.preference)

/** May two routes of one prefix and metric be there at once? IPv6's may when they lead elsewhere. */
const sameNextHopAllowed = (a: Route, b: Route): boolean => {
  if (a.destination.isIpv4) return a.table === 'local' && (a.interface !== b.interface || a.type !== b.type)
  if (a.interface !== b.interface) return true
  if (a.gateway === null || b.gateway === null) return a.gateway !== b.gateway
  return (a.protocol === 'ra' || b.protocol === 'ra') && !a.gateway.equals(b.gateway)
}

const agrees = (route: Route, spec: RouteSpec): boolean => {
  if (spec.type !== undefined && spec.type !== route.type) return false
  if (spec.interface != null && spec.interface !== route.interface) return false
  if (spec.gateway != null && (route.gateway === null || !route.gateway.equals(spec.gateway))) return false
  if (spec.metric !== undefined && spec.metric !== 0 && spec.metric !== route.metric) return false
  if (spec.protocol !== undefined && spec.protocol !== route.protocol) return false
  if (spec.source != null && (route.source === null || !route.source.equals(spec.source))) return false
  return true
}

const describeRoute = (route: Route, now: number): RouteInfo => {
  const { destination, length } = route
  const whole = length === (destination.isIpv4 ? 32 : 128)
  return {
    family: destination.family,
    table: route.table,
    type: route.type,
    destination: isDefault(route) ? 'default' : whole ? `${destination}` : `${destination}/${length}`,
    gateway: route.gateway === null ? null : `${route.gateway}`,
    interface: route.interface === null ? null : route.interface.name,
    protocol: route.protocol,
    scope: scopeName(route.scope),
    source: route.source === null ? null : `${route.source}`,
    metric: route.metric,
    mtu: route.mtu,
    expiresIn: route.expires === Number.POSITIVE_INFINITY ? null : Math.max(0, Math.ceil((route.expires - now) / 1e6)),
    preference: route.preference > 0 ? 'high' : route.preference < 0 ? 'low' : 'medium',
    linkDown: route.interface !== null && !route.interface.carrier,
  }
}

const isDefault = (route: Route): boolean =>
  route.length === 0 && (route.destination.equals(IPV4_ANY) || route.destination.equals(IPV6_ANY))
