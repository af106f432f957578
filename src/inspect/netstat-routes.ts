import { formatIpv4, prefixMask } from '../wire/address.ts'
import { left, lines, right } from './format.ts'
import { hostName, type Names } from './names.ts'
import type { NetstatOptions } from './netstat.ts'
import type { RouteSnapshot, Snapshot } from './snapshot.ts'

/** `netstat -r`, the routing tables, and `netstat -g`, the multicast groups. */

/** The main table of IPv4, or with -6 both tables of IPv6, as Linux has them in /proc/net/route and ipv6_route. */
export const printRoutes = (snapshot: Snapshot, options: NetstatOptions, names?: Names): string =>
  options.inet6 && !options.inet ? printIpv6(snapshot, options, names) : printIpv4(snapshot, options, names)

const HEADINGS = [
  'Destination     Gateway         Genmask         Flags   MSS Window  irtt Iface',
  'Destination     Gateway         Genmask         Flags Metric Ref    Use Iface',
  'Destination     Gateway         Genmask         Flags Metric Ref    Use Iface    MSS   Window irtt',
] as const

const isRejected = ({ type }: RouteSnapshot): boolean => type === 'unreachable' || type === 'prohibit'

const printIpv4 = (snapshot: Snapshot, options: NetstatOptions, names?: Names): string => {
  const form = Math.min(options.extended, 2)
  const rows = snapshot.routes
    .filter(({ family, table, dead }) => family === 4 && table === 'main' && !dead)
    .map((route) => ipv4Row(route, form, options, names))
  return lines(['Kernel IP routing table', HEADINGS[form]!, ...rows])
}

const ipv4Row = (route: RouteSnapshot, form: number, options: NetstatOptions, names?: Names): string => {
  const { destination, length, gateway, metric } = route
  const mask = formatIpv4(prefixMask(length))
  const rejected = isRejected(route)
  const target = options.numericHosts ? destination : length === 0 ? 'default' : named(destination, names)
  const hop = options.numericHosts || gateway === null ? (gateway ?? '0.0.0.0') : named(gateway, names)
  const flags = (rejected ? '!' : gateway === null ? 'U' : 'UG') + (length === 32 ? 'H' : '')
  const columns = `${column(target)} ${rejected ? left('-', 15) : column(hop)} ${left(mask, 15)} ${left(flags, 5)}`
  const iface = route.interface ?? '*'
  if (form === 0) {
    if (rejected) return `${columns}     - -          - -`
    return `${columns} ${right(0, 5)} ${left(0, 5)} ${right(0, 6)} ${iface}`
  }
  if (form === 1) {
    if (rejected) return `${columns} ${left(metric, 6)} -  ${right(0, 7)} -`
    return `${columns} ${left(metric, 6)} ${left(0, 2)} ${right(0, 7)} ${iface}`
  }
  if (rejected) return `${columns} ${left(metric, 6)} -  ${right(0, 7)} -        -     -      -`
  const use = `${left(metric, 6)} ${left(0, 3)} ${right(0, 6)} ${left(iface.slice(0, 6), 6)}`
  return `${columns} ${use}   ${left(0, 5)} ${left(0, 6)} 0`
}

/** Names are cut to the column's width. */
const column = (text: string): string => left(text.slice(0, 15), 15)

const named = (address: string, names?: Names): string => hostName(names, address) ?? address

/** What Linux has at the end of each of IPv6's tables: nothing leads further. */
const IPV6_END = ipv6Line('::/0', '::', '!n', -1, 'lo')

const printIpv6 = (snapshot: Snapshot, options: NetstatOptions, names?: Names): string => {
  const rows = (table: 'main' | 'local'): string[] =>
    snapshot.routes
      .filter((route) => route.family === 6 && route.table === table && !route.dead)
      .map((route) => ipv6Row(route, options, names))
  const heading = 'Destination                    Next Hop                   Flag Met Ref  Use If'
  const end = options.numericHosts ? IPV6_END : ipv6Line('[::]/0', '[::]', '!n', -1, 'lo')
  return lines(['Kernel IPv6 routing table', heading, ...rows('main'), end, ...rows('local'), end])
}

const ipv6Row = (route: RouteSnapshot, options: NetstatOptions, names?: Names): string => {
  const text = (address: string): string => {
    if (options.numericHosts) return address
    return address === '::' ? '[::]' : named(address, names)
  }
  let flags = 'U'
  if (isRejected(route)) flags = '!'
  if (route.gateway !== null) flags += 'G'
  if (route.length === 128 && route.table === 'main') flags += 'H'
  if (route.protocol === 'ra') flags += route.length === 0 ? 'DA' : 'A'
  if (route.expiresIn !== null) flags += 'e'
  if (route.type === 'local') flags += 'n'
  const target = `${text(route.destination)}/${route.length}`
  return ipv6Line(target, text(route.gateway ?? '::'), flags, route.metric, route.interface ?? 'lo')
}

/** References and uses are Linux's own business: one, and none. */
function ipv6Line(target: string, hop: string, flags: string, metric: number, iface: string): string {
  return `${left(target, 30)} ${left(hop, 26)} ${left(flags, 4)} ${left(metric, 3)} 1 ${right(0, 6)} ${iface}`
}

/** The multicast groups, IPv4 first, those joined last first. */
export const printGroups = (snapshot: Snapshot, { inet, inet6 }: { inet: boolean; inet6: boolean }): string => {
  const heading = [
    'IPv6/IPv4 Group Memberships',
    'Interface       RefCnt Group',
    '--------------- ------ ---------------------',
  ]
  const rows = (family: 4 | 6): string[] =>
    snapshot.interfaces.flatMap(({ name }) =>
      snapshot.groups
        .filter((group) => group.interface === name && group.family === family)
        .reverse()
        .map(({ members, group }) => `${left(name, 15)} ${left(members, 6)} ${group}`),
    )
  return lines([...heading, ...(inet ? rows(4) : []), ...(inet6 ? rows(6) : [])])
}
