import { lines } from './format.ts'
import { parseOptions, UsageError } from './options.ts'
import type { Snapshot } from './snapshot.ts'

/** sysctl(8) of procps, as far as it reads: `sysctl -a`, `sysctl net.ipv4.tcp_rmem`. */

const SPEC = {
  short: 'aAXnNer:hw',
  long: { all: 'a', values: 'n', names: 'N', ignore: 'e', 'pattern:': 'r', help: 'h', write: 'w' },
} as const

/** Of its options, what is here. */
export const SYSCTL_USAGE = 'Usage: sysctl [ -n | -N ] [ -e ] { -a [ -r PATTERN ] | NAME ... }'

/**
 * What `sysctl` with these arguments prints of a host. A name may stand for all below it, and have slashes for dots.
 * @throws UsageError for arguments that it does not understand, and for names that are not there
 */
export const sysctl = (snapshot: Snapshot, args: readonly string[]): string => {
  const { options, operands } = parseOptions('sysctl', SPEC, args)
  const given = new Map(options.map(({ name, value }) => [name, value]))
  const everything = given.has('a') || given.has('A') || given.has('X')
  if (given.has('h') || (!everything && operands.length === 0)) throw new UsageError(SYSCTL_USAGE)
  const assignment = operands.find((name) => name.includes('='))
  if (assignment !== undefined || given.has('w'))
    throw new UsageError('sysctl: settings of a snapshot cannot be changed')
  const all = Object.keys(snapshot.sysctl)
  const names = everything ? all : operands.flatMap((name) => lookUp(all, name, given.has('e')))
  const pattern = given.get('r')
  const shown = pattern === undefined ? names : names.filter((name) => expression(pattern).test(name))
  return lines(
    shown.map((name) => {
      if (given.has('N')) return name
      return given.has('n') ? snapshot.sysctl[name]! : `${name} = ${snapshot.sysctl[name]!}`
    }),
  )
}

const lookUp = (all: readonly string[], given: string, ignoreUnknown: boolean): string[] => {
  const name = given.replaceAll('/', '.')
  const found = all.filter((other) => other === name || other.startsWith(`${name}.`))
  if (found.length > 0 || ignoreUnknown) return found
  throw new UsageError(`sysctl: cannot stat /proc/sys/${name.replaceAll('.', '/')}: No such file or directory`)
}

const expression = (pattern: string): RegExp => {
  try {
    return new RegExp(pattern)
  } catch {
    throw new UsageError(`sysctl: ${pattern} is no regular expression`)
  }
}
