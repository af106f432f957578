import type { Host } from '../host/host.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { RouteSpec } from '../ip/route.ts'
import { type Switch, SwitchPort } from '../link/switch.ts'
import { type IpAddress, type IpPrefix, networkOf } from '../wire/address.ts'
import type { LinkEnd, NetworkLink } from './network.ts'

/** Routes for whole networks, as a routing protocol would find them: the fewest routers win. */

/** What is joined by cables and switches: a network in IP's sense. */
interface Segment {
  readonly members: { host: Host; iface: NetworkInterface }[]
}

/** A way that has been found from a host: its first router, and how to reach that. */
interface Hop {
  readonly segment: Segment
  readonly through: NetworkInterface
  readonly router: NetworkInterface | null
}

/** The routes that were computed for the hosts of a network. */
export class Routing {
  private readonly made: { host: Host; route: RouteSpec }[] = []

  /**
   * Gives every host a route to every network that it can reach over routers (hosts that forward), in both versions of
   * IP, in place of those that were computed before. Other routes stay, and win where they are for the same prefix.
   */
  compute(hosts: Iterable<Host>, links: readonly NetworkLink<LinkEnd, LinkEnd>[]): void {
    for (const { host, route } of this.made.splice(0)) host.ip.routes.remove(route)
    const segments = segmentsOf(hosts, links)
    for (const host of hosts) {
      for (const { segment, through, router } of waysFrom(host, segments)) {
        if (router === null) continue
        for (const prefix of prefixesOf(segment)) this.add(host, prefix, through, router)
      }
    }
  }

  private add(host: Host, prefix: IpPrefix, through: NetworkInterface, router: NetworkInterface): void {
    const gateway = gatewayOf(router, prefix.address.family)
    if (gateway === undefined) return
    const route: RouteSpec = { prefix, gateway, interface: through, protocol: 'static' }
    if (host.ip.routes.add(route) === 0) this.made.push({ host, route })
  }
}

/** Everything that is joined: interfaces are joined by their cable, and by the switches between. */
const segmentsOf = (
  hosts: Iterable<Host>,
  links: readonly NetworkLink<LinkEnd, LinkEnd>[],
): Map<NetworkInterface, Segment> => {
  const groups = new Map<NetworkInterface | Switch, Set<NetworkInterface | Switch>>()
  const groupOf = (end: NetworkInterface | Switch): Set<NetworkInterface | Switch> => groups.get(end) ?? new Set([end])
  for (const { a, b } of links) {
    const one = groupOf(a instanceof SwitchPort ? a.owner : a)
    for (const end of groupOf(b instanceof SwitchPort ? b.owner : b)) one.add(end)
    for (const end of one) groups.set(end, one)
  }
  const segments = new Map<Set<NetworkInterface | Switch>, Segment>()
  const found = new Map<NetworkInterface, Segment>()
  for (const host of hosts) {
    for (const iface of host.ip.interfaces) {
      const group = groups.get(iface)
      if (group === undefined) continue
      const segment = segments.get(group) ?? { members: [] }
      segments.set(group, segment)
      segment.members.push({ host, iface })
      found.set(iface, segment)
    }
  }
  return found
}

/** Every network that a host can reach, the nearest first, and the first hop of the way. */
const waysFrom = (host: Host, segments: ReadonlyMap<NetworkInterface, Segment>): Iterable<Hop> => {
  const ways = new Map<Segment, Hop>()
  for (const iface of host.ip.interfaces) {
    const segment = segments.get(iface)
    if (segment !== undefined) ways.set(segment, { segment, through: iface, router: null })
  }
  // A map's entries can be walked while it grows: this is the queue of a breadth-first search.
  for (const { segment, through, router } of ways.values()) {
    for (const { host: next, iface } of segment.members) {
      if (next === host || (next.ipSettings.ip_forward === 0 && next.ipSettings.ipv6_forwarding === 0)) continue
      for (const beyond of next.ip.interfaces) {
        const further = segments.get(beyond)
        if (further === undefined || ways.has(further)) continue
        ways.set(further, { segment: further, through, router: router ?? iface })
      }
    }
  }
  return ways.values()
}

/** The prefixes of a network: of all addresses on it but link-local ones. */
const prefixesOf = (segment: Segment): IpPrefix[] => {
  const prefixes = new Map<string, IpPrefix>()
  for (const { iface } of segment.members) {
    for (const { address, length } of iface.addresses) {
      if (address.isLinkLocal) continue
      const prefix = { address: networkOf(address, length), length }
      prefixes.set(`${prefix.address}/${length}`, prefix)
    }
  }
  return [...prefixes.values()]
}

/** The address by which a router is reached: for IPv6 the link-local one, as routing protocols take it. */
const gatewayOf = (router: NetworkInterface, family: 4 | 6): IpAddress | undefined => {
  const addresses = router.addresses.map(({ address }) => address).filter((address) => address.family === family)
  return (family === 6 ? addresses.find((address) => address.isLinkLocal) : undefined) ?? addresses[0]
}
