import { tableOf } from '../core/table.ts'
import { type IpAddress, type IpPrefix, ip, parseIpPrefix, samePrefix } from '../wire/address.ts'
import { lines } from './format.ts'
import { checkDevice, type IpOptions, wordAfter } from './ip-options.ts'
import { UsageError } from './options.ts'
import type { RouteSnapshot, Snapshot } from './snapshot.ts'

/** `ip route`. What a line is selected by is not repeated in it, as with ip itself. */

interface Selection {
  table: 'main' | 'local' | 'all' | 'cache'
  device: string | null
  protocol: string | null
  scope: string | null
  type: string | null
  metric: number | null
  source: IpPrefix | null
  gateway: IpPrefix | null
  /** Routes whose prefix is this one (`exact`), lies in it (`root`), or contains it (`match`). */
  to: { how: 'exact' | 'root' | 'match'; prefix: IpPrefix } | null
}

const TABLES: Readonly<Record<string, Selection['table']>> = tableOf({
  main: 'main',
  '254': 'main',
  local: 'local',
  '255': 'local',
  all: 'all',
  '0': 'all',
  cache: 'cache',
})

/** A word, or the beginning of it. */
const abbreviates = (word: string, full: string): boolean => word !== '' && full.startsWith(word)

const readSelection = (snapshot: Snapshot, options: IpOptions, args: readonly string[]): Selection => {
  const words = [...args]
  const selection: Selection = {
    table: 'main',
    device: null,
    protocol: null,
    scope: null,
    type: null,
    metric: null,
    source: null,
    gateway: null,
    to: null,
  }
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (abbreviates(word, 'table')) selection.table = tableNamed(wordAfter(words))
    else if (abbreviates(word, 'cached')) selection.table = 'cache'
    else if (word === 'dev' || word === 'oif') selection.device = checkDevice(snapshot, wordAfter(words))
    else if (abbreviates(word, 'protocol')) selection.protocol = wordAfter(words)
    else if (abbreviates(word, 'scope')) selection.scope = wordAfter(words)
    else if (abbreviates(word, 'type')) selection.type = wordAfter(words)
    else if (abbreviates(word, 'metric')) selection.metric = Number(wordAfter(words))
    else if (word === 'src') selection.source = prefixOf(wordAfter(words), options)
    else if (word === 'via') selection.gateway = prefixOf(wordAfter(words), options)
    else selection.to = readDestination(word, words, options)
  }
  return selection
}

const readDestination = (first: string, words: string[], options: IpOptions): Selection['to'] => {
  let word = abbreviates(first, 'to') ? wordAfter(words) : first
  let how: 'exact' | 'root' | 'match' = 'exact'
  for (const name of ['root', 'match', 'exact'] as const) {
    if (!abbreviates(word, name)) continue
    how = name
    word = wordAfter(words)
    break
  }
  return { how, prefix: prefixOf(word, options) }
}

const tableNamed = (name: string): Selection['table'] => {
  const table = TABLES[name]
  if (table === undefined) throw new UsageError(`Error: argument "${name}" is wrong: table id value is invalid`)
  return table
}

const prefixOf = (text: string, options: IpOptions): IpPrefix => {
  const word = text === 'default' ? (options.family === 6 ? '::/0' : '0.0.0.0/0') : text
  const prefix = parseIpPrefix(word)
  if (prefix === undefined) throw new UsageError(`Error: any valid prefix is expected rather than "${text}".`)
  return prefix
}

/** What `ip route` prints. */
export const printRoutes = (snapshot: Snapshot, options: IpOptions, args: readonly string[]): string => {
  const selection = readSelection(snapshot, options, args)
  // Both families only where all tables are asked for.
  const family = options.family ?? (selection.table === 'all' ? null : (selection.to?.prefix.address.family ?? 4))
  const shown = snapshot.routes.filter(
    (route) => (family === null || route.family === family) && !route.dead && isSelected(route, selection),
  )
  return lines(shown.map((route) => routeLine(route, selection, options)))
}

const isSelected = (route: RouteSnapshot, selection: Selection): boolean => {
  const { table, device, protocol, scope, type, metric, source, gateway, to } = selection
  if (table !== 'all' && route.table !== table) return false
  if (device !== null && deviceOf(route) !== device) return false
  if (protocol !== null && route.protocol !== protocol) return false
  if (scope !== null && route.scope !== scope) return false
  if (type !== null && route.type !== type) return false
  if (metric !== null && route.metric !== metric) return false
  if (source !== null && !lies(route.source, source)) return false
  if (gateway !== null && !lies(route.gateway, gateway)) return false
  return to === null || isTo(route, to)
}

const lies = (address: string | null, { address: network, length }: IpPrefix): boolean =>
  address !== null && samePrefix(ip(address), network, length)

const isTo = (route: RouteSnapshot, { how, prefix }: NonNullable<Selection['to']>): boolean => {
  const own: IpAddress = ip(route.destination)
  if (own.family !== prefix.address.family) return false
  if (how === 'match') return route.length <= prefix.length && samePrefix(own, prefix.address, route.length)
  if (how === 'root') return route.length >= prefix.length && samePrefix(own, prefix.address, prefix.length)
  return route.length === prefix.length && samePrefix(own, prefix.address, prefix.length)
}

/** IPv6 routes that lead nowhere lead there through `lo`. */
const deviceOf = (route: RouteSnapshot): string | null => route.interface ?? (route.family === 6 ? 'lo' : null)

const routeLine = (route: RouteSnapshot, selection: Selection, options: IpOptions): string => {
  const { details } = options
  const whole = route.family === 4 ? 32 : 128
  const device = deviceOf(route)
  const parts: string[] = []
  const add = (condition: boolean, text: string): void => {
    if (condition) parts.push(`${text} `)
  }
  add((route.type !== 'unicast' || details) && (selection.type === null || selection.type === route.type), route.type)
  const target = route.length === whole ? route.destination : `${route.destination}/${route.length}`
  add(true, route.length === 0 ? 'default' : target)
  add(route.gateway !== null && selection.gateway?.length !== whole, `via ${route.gateway}`)
  add(device !== null && selection.device === null, `dev ${device}`)
  add((route.table !== 'main' || details) && selection.table === 'all', `table ${route.table}`)
  add((route.protocol !== 'boot' || details) && selection.protocol === null, `proto ${route.protocol}`)
  add((route.scope !== 'global' || details) && selection.scope === null, `scope ${route.scope}`)
  add(route.source !== null && selection.source?.length !== whole, `src ${route.source}`)
  add((route.metric !== 0 || route.family === 6) && selection.metric === null, `metric ${route.metric}`)
  add(route.onLink, 'onlink')
  add(route.linkDown, 'linkdown')
  add(route.expiresIn !== null, `expires ${route.expiresIn}sec`)
  add(route.mtu > 0, `mtu ${route.mtu}`)
  add(route.hopLimit > 0, `hoplimit ${route.hopLimit}`)
  return parts.join('') + (route.family === 6 ? `pref ${route.preference}` : '')
}
