import type { Micros } from '../core/clock.ts'
import { MILLISECOND } from '../core/clock.ts'
import type { Host } from '../host/host.ts'
import type { Process } from '../host/process.ts'
import type { AddressInfo } from '../ip/address.ts'
import type { GroupInfo } from '../ip/group.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { type InterfaceInfo, interfaceInfo } from '../ip/interface-info.ts'
import type { NeighbourInfo } from '../ip/neighbour.ts'
import type { PathInfo } from '../ip/path.ts'
import { type Route, type RouteProtocol, type RouteType, scopeName } from '../ip/route.ts'
import { VlanPort } from '../ip/vlan.ts'
import { DROP_REASONS, dropName } from '../wire/drop.ts'
import { listHolders, listSockets } from './snapshot-sockets.ts'
import type { Holder, SocketSnapshot } from './snapshot-types.ts'

/**
 * A host at one moment, as plain data: what the printers print, what the control
 * socket hands out, what a test compares. It holds nothing that JSON cannot say: no
 * undefined, no infinity, null for what there is not. Taking it changes nothing.
 */
export interface Snapshot {
  /** Of this form: it grows with every change that takes something away or gives it another meaning. */
  version: 1
  /** World time, microseconds; and the wall clock's at world time 0, microseconds since 1970. */
  time: Micros
  epoch: Micros
  host: string
  processes: ProcessSnapshot[]
  /** In order of protocol, family, listeners before connections, ports and addresses. */
  sockets: SocketSnapshot[]
  interfaces: InterfaceSnapshot[]
  /** Both families and tables, in the order in which `ip route show table all` lists them. */
  routes: RouteSnapshot[]
  /** What was learnt of single destinations: path MTUs and redirects. */
  paths: PathInfo[]
  neighbours: NeighbourInfo[]
  /** Multicast groups of interfaces. */
  groups: GroupInfo[]
  /** Packets that wait for fragments, and the memory that these take, bytes. */
  fragments: Record<'ipv4' | 'ipv6', { waiting: number; memory: number }>
  /** The MIB, group by group under Linux's names and in its order. */
  counters: CounterGroups
  /** Packets dropped, by every reason of wire/drop.ts but `none`. */
  drops: Record<string, number>
  /** Settings by the names of sysctl(8), as text. */
  sysctl: Record<string, string>
}

/** A process, with what it holds and what it waits for. */
export interface ProcessSnapshot {
  pid: number
  /** 0 for a process without a parent. */
  parent: number
  name: string
  uid: number
  /** Its exit status while nobody has waited for it; null while it lives. */
  status: number | null
  /** Descriptors in use. */
  descriptors: number
  /** The calls that it waits in: `accept`, `recv`, `epoll_wait` … */
  blocked: string[]
}

/** An interface, with what the tools show beside `ip addr`. */
export interface InterfaceSnapshot extends InterfaceInfo {
  /** Linux's IFF_* as bits (`InterfaceFlag`). */
  flagBits: number
  carrier: boolean
  /** The interface that an 802.1Q subinterface belongs to, and its identifier; null and 0 for others. */
  parent: string | null
  vlan: number
  /** Frames that wait in the receive ring, and how many may. */
  ringUsed: number
  ringSize: number
}

/** A route, with what the tools show beside `ip route`. */
export interface RouteSnapshot {
  family: 4 | 6
  table: 'main' | 'local'
  type: RouteType
  /** The prefix's address and length: 0.0.0.0 or :: with 0 is the default route. */
  destination: string
  length: number
  gateway: string | null
  interface: string | null
  protocol: RouteProtocol
  scope: string
  source: string | null
  metric: number
  /** Path MTU and hop limit that it sets; 0 for none. */
  mtu: number
  hopLimit: number
  onLink: boolean
  linkDown: boolean
  /** Is the interface set down? */
  dead: boolean
  /** Seconds to go; null for a route that stays. */
  expiresIn: number | null
  preference: 'low' | 'medium' | 'high'
}

/** Counters by name; the groups are those of /proc/net/snmp, /proc/net/netstat and /proc/net/snmp6. */
export interface CounterGroups {
  Ip: Record<string, number>
  Icmp: Record<string, number>
  /** By ICMP type, those that have counted: `InType3`. */
  IcmpMsg: Record<string, number>
  Tcp: Record<string, number>
  Udp: Record<string, number>
  TcpExt: Record<string, number>
  IpExt: Record<string, number>
  Ip6: Record<string, number>
  Icmp6: Record<string, number>
  /** By ICMPv6 type, those that have counted: `OutType135`. */
  Icmp6Msg: Record<string, number>
  Udp6: Record<string, number>
}

/** Takes a snapshot of a host. */
export const snapshot = (host: Host): Snapshot => {
  const { ip, world } = host
  world.loop.refresh()
  const { now } = world.loop
  const holders = listHolders(host)
  return {
    version: 1,
    time: now,
    epoch: world.clock.epoch,
    host: host.name,
    processes: [...host.processes.values()].map(describeProcess),
    sockets: listSockets(host, holders),
    interfaces: ip.interfaces.map(describeInterface),
    routes: sortRoutes(ip.routes.all()).map((route) => describeRoute(route, now)),
    paths: ip.paths.list(),
    neighbours: [...ip.arp.list(), ...ip.nd.list()],
    groups: ip.interfaces.flatMap((iface) => iface.groups.list()),
    fragments: {
      ipv4: { waiting: ip.reassembly.waitingOf(4), memory: ip.reassembly.memory(4) },
      ipv6: { waiting: ip.reassembly.waitingOf(6), memory: ip.reassembly.memory(6) },
    },
    counters: listCounters(host),
    drops: listDrops(ip.mib.drops),
    sysctl: Object.fromEntries(host.sysctl.names.map((name) => [name, host.sysctl.get(name)])),
  }
}

export type { Holder, SocketSnapshot }

const describeProcess = (process: Process): ProcessSnapshot => ({
  pid: process.pid,
  parent: process.parent?.pid ?? 0,
  name: process.name,
  uid: process.uid,
  status: process.status,
  descriptors: process.files.size,
  blocked: [...process.blocked].map((call) => call.reason),
})

const describeInterface = (iface: NetworkInterface): InterfaceSnapshot => {
  const { port } = iface
  const vlan = port instanceof VlanPort ? port : null
  const described = interfaceInfo(iface)
  return {
    ...described,
    addresses: sortAddresses(described.addresses),
    flagBits: iface.flags,
    carrier: iface.carrier,
    parent: vlan === null ? null : vlan.parent.name,
    vlan: vlan === null ? 0 : vlan.id,
    ringUsed: iface.ring.length,
    ringSize: iface.ringSize,
  }
}

const SCOPES = ['global', 'site', 'link', 'host']

/**
 * The order in which Linux lists addresses: IPv4, secondary ones behind; IPv6 by scope, the widest first, and the one
 * that came last before the others of its scope.
 */
const sortAddresses = (addresses: readonly AddressInfo[]): AddressInfo[] => {
  const v4 = addresses.filter(({ family }) => family === 4)
  const v6 = addresses.filter(({ family }) => family === 6).reverse()
  const isSecondary = ({ flags }: AddressInfo): number => Number(flags.includes('secondary'))
  return [
    ...v4.sort((a, b) => isSecondary(a) - isSecondary(b)),
    ...v6.sort((a, b) => SCOPES.indexOf(a.scope) - SCOPES.indexOf(b.scope)),
  ]
}

const describeRoute = (route: Route, now: Micros): RouteSnapshot => ({
  family: route.destination.family,
  table: route.table,
  type: route.type,
  destination: `${route.destination}`,
  length: route.length,
  gateway: route.gateway === null ? null : `${route.gateway}`,
  interface: route.interface === null ? null : route.interface.name,
  protocol: route.protocol,
  scope: scopeName(route.scope),
  source: route.source === null ? null : `${route.source}`,
  metric: route.metric,
  mtu: route.mtu,
  hopLimit: route.hopLimit,
  onLink: route.onLink,
  linkDown: route.interface?.carrier === false,
  dead: route.interface?.isUp === false,
  expiresIn: route.expires === Number.POSITIVE_INFINITY ? null : Math.max(0, Math.ceil((route.expires - now) / 1e6)),
  preference: route.preference > 0 ? 'high' : route.preference < 0 ? 'low' : 'medium',
})

/**
 * The order in which Linux lists routes: IPv4 before IPv6 and the main table before the local one; by address, where
 * IPv4 puts the longer of two prefixes with one address first, and IPv6 those that a prefix contains before it.
 */
const sortRoutes = (routes: readonly Route[]): Route[] =>
  [...routes].sort(
    (a, b) =>
      a.destination.family - b.destination.family ||
      (a.table === b.table ? 0 : a.table === 'main' ? -1 : 1) ||
      (a.destination.isIpv4 ? compareDestinations(a, b) : compareEnds(a, b)) ||
      b.length - a.length ||
      a.metric - b.metric,
  )

const compareDestinations = (a: Route, b: Route): number => (a.destination.w3 >>> 0) - (b.destination.w3 >>> 0)

/** By the last address of the prefix: what it contains ends before it or with it. */
const compareEnds = (a: Route, b: Route): number => {
  const x = lastWords(a)
  const y = lastWords(b)
  for (let i = 0; i < 4; i++) if (x[i] !== y[i]) return x[i]! - y[i]!
  return 0
}

const lastWords = ({ destination, length }: Route): number[] =>
  [destination.w0, destination.w1, destination.w2, destination.w3].map((word, i) => {
    const bits = Math.min(32, Math.max(0, length - i * 32))
    return (bits === 32 ? word : word | (0xffff_ffff >>> bits)) >>> 0
  })

const listCounters = (host: Host): CounterGroups => {
  const { mib, settings } = host.ip
  const { tcpSettings } = host
  return {
    Ip: { ...mib.ip, Forwarding: settings.ip_forward === 0 ? 2 : 1, DefaultTTL: settings.ip_default_ttl },
    Icmp: { ...mib.icmp },
    IcmpMsg: byType(mib.icmpInType, mib.icmpOutType),
    Tcp: {
      ...mib.tcp,
      RtoMin: Math.round(tcpSettings.tcp_rto_min_us / MILLISECOND),
      RtoMax: tcpSettings.tcp_rto_max_ms,
    },
    Udp: { ...mib.udp },
    TcpExt: { ...mib.tcpExt },
    IpExt: { ...mib.ipExt },
    Ip6: { ...mib.ip6 },
    Icmp6: { ...mib.icmp6 },
    Icmp6Msg: byType(mib.icmp6InType, mib.icmp6OutType),
    Udp6: { ...mib.udp6 },
  }
}

const byType = (received: Float64Array, sent: Float64Array): Record<string, number> => {
  const counters: Record<string, number> = {}
  received.forEach((count, type) => {
    if (count > 0) counters[`InType${type}`] = count
  })
  sent.forEach((count, type) => {
    if (count > 0) counters[`OutType${type}`] = count
  })
  return counters
}

const listDrops = (drops: Float64Array): Record<string, number> => {
  const counters: Record<string, number> = {}
  for (let reason = 1; reason < DROP_REASONS; reason++) counters[dropName(reason)] = drops[reason]!
  return counters
}
