import type { PrintOptions } from './names.ts'
import { printInterfaces } from './netstat-interfaces.ts'
import { printGroups, printRoutes } from './netstat-routes.ts'
import { printInternetSockets, printUnixSockets } from './netstat-sockets.ts'
import { printStatistics } from './netstat-statistics.ts'
import { parseOptions, UsageError } from './options.ts'
import type { Snapshot } from './snapshot.ts'

/**
 * netstat(8) of net-tools: sockets, statistics, routes, interfaces and groups, column for column. Options that only
 * concern what this stack does not have (masquerading, SCTP, AX.25 …) are not known; `-c` is the caller's business.
 */
export interface NetstatOptions {
  all: boolean
  listening: boolean
  numericHosts: boolean
  numericPorts: boolean
  numericUsers: boolean
  programs: boolean
  timers: boolean
  wide: boolean
  /** How often -e was given. */
  extended: number
  tcp: boolean
  udp: boolean
  raw: boolean
  unix: boolean
  inet: boolean
  inet6: boolean
  statistics: boolean
  routes: boolean
  interfaces: boolean
  groups: boolean
}

const SPEC = {
  short: 'A:FacegilnNoprstuvWwx64h?',
  long: {
    interfaces: 'i',
    route: 'r',
    'protocol:': 'A',
    tcp: 't',
    udp: 'u',
    raw: 'w',
    unix: 'x',
    listening: 'l',
    all: 'a',
    timers: 'o',
    continuous: 'c',
    extend: 'e',
    programs: 'p',
    verbose: 'v',
    statistics: 's',
    wide: 'W',
    numeric: 'n',
    'numeric-hosts': 'numeric-hosts',
    'numeric-ports': 'numeric-ports',
    'numeric-users': 'numeric-users',
    symbolic: 'N',
    fib: 'F',
    groups: 'g',
    help: 'h',
    inet: '4',
    inet6: '6',
    ip: '4',
  },
} as const

/** Of its options, what is here. */
export const NETSTAT_USAGE = [
  'usage: netstat [-aenlopW] [-t] [-u] [-w] [-x] [-4] [-6]   sockets',
  '       netstat [-een46] -r                                 routes',
  '       netstat [-aen] -i | -g                              interfaces, multicast groups',
  '       netstat [-6tuw] -s                                  statistics',
].join('\n')

/**
 * Reads netstat's command line.
 * @throws UsageError with what it says to standard error
 */
const parseNetstat = (args: readonly string[]): NetstatOptions => {
  const options: NetstatOptions = {
    all: false,
    listening: false,
    numericHosts: false,
    numericPorts: false,
    numericUsers: false,
    programs: false,
    timers: false,
    wide: false,
    extended: 0,
    tcp: false,
    udp: false,
    raw: false,
    unix: false,
    inet: false,
    inet6: false,
    statistics: false,
    routes: false,
    interfaces: false,
    groups: false,
  }
  for (const { name, value } of parseOptions('netstat', SPEC, args).options) apply(options, name, value)
  const { interfaces, routes, statistics } = options
  if (Number(interfaces) + Number(routes) + Number(statistics) > 1) throw new UsageError(NETSTAT_USAGE)
  return options
}

/** What a letter sets, where that is no more than a field. */
const FLAGS: Readonly<Record<string, keyof NetstatOptions>> = {
  a: 'all',
  l: 'listening',
  p: 'programs',
  o: 'timers',
  W: 'wide',
  t: 'tcp',
  u: 'udp',
  w: 'raw',
  x: 'unix',
  s: 'statistics',
  r: 'routes',
  i: 'interfaces',
  g: 'groups',
  '4': 'inet',
  '6': 'inet6',
  'numeric-hosts': 'numericHosts',
  'numeric-ports': 'numericPorts',
  'numeric-users': 'numericUsers',
}

const apply = (options: NetstatOptions, name: string, value: string): void => {
  const flag = FLAGS[name]
  if (flag !== undefined) {
    Object.assign(options, { [flag]: true })
    return
  }
  switch (name) {
    case 'n':
      options.numericHosts = true
      options.numericPorts = true
      options.numericUsers = true
      return
    case 'e':
      options.extended++
      return
    case 'A':
      for (const family of value.split(',')) applyFamily(options, family)
      return
    case 'h':
    case '?':
      throw new UsageError(NETSTAT_USAGE)
  }
}

const applyFamily = (options: NetstatOptions, family: string): void => {
  if (family === 'inet' || family === 'ip' || family === 'tcpip') options.inet = true
  else if (family === 'inet6') options.inet6 = true
  else if (family === 'unix') options.unix = true
  else throw new UsageError(`netstat: unknown address family \`${family}'`)
}

/**
 * What `netstat` with these arguments prints of a host.
 * @throws UsageError for arguments that it does not understand
 */
export const netstat = (snapshot: Snapshot, args: readonly string[], print: PrintOptions = {}): string => {
  const options = parseNetstat(args)
  const { names } = print
  if (options.statistics) return printStatistics(snapshot, options)
  if (options.routes) return printRoutes(snapshot, options, names)
  if (options.interfaces) return printInterfaces(snapshot, options)
  let { tcp, udp, raw, inet, inet6 } = options
  const hasFamily = inet || inet6
  if (hasFamily && !(tcp || udp || raw)) {
    tcp = true
    udp = true
    raw = true
  }
  const hasKind = tcp || udp || raw
  if ((hasKind || options.groups) && !hasFamily) {
    inet = true
    inet6 = true
  }
  const everything = !hasKind && !options.unix && !options.groups
  let text = ''
  if (everything) {
    text += printInternetSockets(
      snapshot,
      { ...options, tcp: true, udp: true, raw: true, inet: true, inet6: true },
      names,
    )
  } else if (hasKind) text += printInternetSockets(snapshot, { ...options, tcp, udp, raw, inet, inet6 }, names)
  if (options.groups) text += printGroups(snapshot, { inet, inet6 })
  if (everything || options.unix) text += printUnixSockets(snapshot, options)
  return text
}
