import { left, lines, right } from './format.ts'
import { parseOptions, UsageError } from './options.ts'
import type { CounterGroups, Snapshot } from './snapshot.ts'

/**
 * nstat(8) of iproute2: counters by name, as they are (`-a`), or how far they have moved on since a snapshot before.
 *
 * Every reason of wire/drop.ts is a counter too, as `Drop-tcp-checksum`: names of Linux's have no hyphen.
 */
export interface NstatPrintOptions {
  /** The snapshot to compare with; the counters come out as they are unless given. */
  readonly history?: Snapshot | null
}

const SPEC = {
  short: 'azsrnjph?',
  long: {
    ignore: 'a',
    zeros: 'z',
    noupdate: 's',
    reset: 'r',
    nooutput: 'n',
    json: 'j',
    pretty: 'p',
    help: 'h',
  },
} as const

/** Of its options, what is here. */
export const NSTAT_USAGE = 'Usage: nstat [ -azsrnjp ] [ PATTERN [ PATTERN ] ]'

/** Settings and gauges that stand among the counters: nstat leaves them out. */
const NO_COUNTERS = new Set([
  'IpForwarding',
  'IpDefaultTTL',
  'TcpRtoAlgorithm',
  'TcpRtoMin',
  'TcpRtoMax',
  'TcpMaxConn',
  'TcpCurrEstab',
])

/** The order in which nstat prints the groups. */
const GROUPS: readonly (keyof CounterGroups)[] = [
  'Ip',
  'Icmp',
  'IcmpMsg',
  'Tcp',
  'Udp',
  'Ip6',
  'Icmp6',
  'Icmp6Msg',
  'Udp6',
  'TcpExt',
  'IpExt',
]

/** Every counter of a snapshot, by the name that nstat gives it and in its order. */
export const listCounters = (snapshot: Snapshot): Map<string, number> => {
  const all = new Map<string, number>()
  for (const group of GROUPS) {
    // The types of ICMPv6 messages are not a group of their own in /proc/net/snmp6.
    const prefix = group === 'Icmp6Msg' ? 'Icmp6' : group
    for (const [name, value] of Object.entries(snapshot.counters[group])) {
      if (!NO_COUNTERS.has(prefix + name)) all.set(prefix + name, value)
    }
  }
  for (const [reason, value] of Object.entries(snapshot.drops)) all.set(`Drop-${reason}`, value)
  return all
}

/**
 * What `nstat` with these arguments prints of a host.
 * @throws UsageError for arguments that it does not understand
 */
export const nstat = (snapshot: Snapshot, args: readonly string[], print: NstatPrintOptions = {}): string => {
  const { options, operands } = parseOptions('nstat', SPEC, args)
  const given = new Set(options.map(({ name }) => name))
  if (given.has('h') || given.has('?')) throw new UsageError(NSTAT_USAGE)
  if (given.has('n')) return ''
  const before = given.has('a') || given.has('r') ? null : (print.history ?? null)
  const known = before === null ? null : listCounters(before)
  const rows = [...listCounters(snapshot)]
    .map(([name, now]) => {
      const then = known?.get(name) ?? 0
      return { name, value: Math.max(0, now - then), overflow: now < then }
    })
    .filter(({ name, value }) => (given.has('z') || value !== 0) && matches(name, operands))
  if (given.has('j')) return json(rows, given.has('p'))
  return lines([
    '#kernel',
    ...rows.map(
      ({ name, value, overflow }) =>
        `${left(name, 32)}${left(value, 16)}${right('0.0', 6)}${overflow ? ' (overflow)' : ''}`,
    ),
  ])
}

const json = (rows: readonly { name: string; value: number }[], pretty: boolean): string => {
  const kernel = Object.fromEntries(rows.map(({ name, value }) => [name, value]))
  return `${JSON.stringify({ kernel }, null, pretty ? 4 : 0)}\n`
}

/** Shell patterns, in any case. */
const matches = (name: string, patterns: readonly string[]): boolean =>
  patterns.length === 0 || patterns.some((pattern) => globExpression(pattern).test(name))

const globExpression = (pattern: string): RegExp => {
  const source = pattern
    .replace(/[.+^${}()|\\]/g, '\\$&')
    .replace(/\[!/g, '[^')
    .replace(/\*/g, '.*')
    .replace(/\?/g, '.')
  try {
    return new RegExp(`^${source}$`, 'i')
  } catch {
    throw new UsageError(`nstat: ${pattern} is no pattern`)
  }
}
