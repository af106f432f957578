import { printAddresses } from './ip-address.ts'
import { printNeighbours } from './ip-neighbour.ts'
import type { IpOptions } from './ip-options.ts'
import { printRoutes } from './ip-route.ts'
import type { PrintOptions } from './names.ts'
import { UsageError } from './options.ts'
import type { Snapshot } from './snapshot.ts'

/** Of its options, what is here. */
export const IP_USAGE = 'Usage: ip [ -46osd -br ] { address | link | route | neighbour } [ show ... ]'

/** In the order in which abbreviations are looked up. */
const OBJECTS = ['address', 'route', 'link', 'neighbor', 'neighbour'] as const

/** Long names of options; each may be cut short, as iproute2 allows. */
const LONG_OPTIONS = ['oneline', 'brief', 'statistics', 'stats', 'details', 'family', 'color', 'numeric'] as const

/**
 * What `ip` with these arguments prints of a host.
 * @throws UsageError for arguments that it does not understand, and for devices and tables that are not there
 */
export const ip = (snapshot: Snapshot, args: readonly string[], _print: PrintOptions = {}): string => {
  const rest = [...args]
  const options = readOptions(rest)
  const word = rest.shift()
  if (word === undefined) throw new UsageError(IP_USAGE)
  const object = OBJECTS.find((name) => name.startsWith(word))
  if (object === undefined) throw new UsageError(`Object "${word}" is unknown, try "ip help".`)
  const verb = rest[0] ?? 'show'
  if (['show', 'list', 'lst'].some((name) => name.startsWith(verb))) rest.shift()
  else if (['add', 'change', 'replace', 'del', 'delete', 'set', 'flush', 'get', 'save'].includes(verb)) {
    throw new UsageError(`ip ${object} ${verb}: only what shows is here`)
  }
  switch (object) {
    case 'address':
      return printAddresses(snapshot, options, rest, 'address')
    case 'link':
      return printAddresses(snapshot, options, rest, 'link')
    case 'route':
      return printRoutes(snapshot, options, rest)
    default:
      return printNeighbours(snapshot, options, rest)
  }
}

/** Takes the options off the front of `rest`. */
const readOptions = (rest: string[]): IpOptions => {
  const options: IpOptions = { family: null, oneLine: false, brief: false, statistics: 0, details: false }
  while (rest[0]?.startsWith('-')) {
    const name = rest.shift()!.replace(/^--?/, '')
    if (name === '4') options.family = 4
    else if (name === '6') options.family = 6
    else if (name === 'f' || name === 'family') options.family = familyNamed(rest.shift())
    else if (name !== '' && 'oneline'.startsWith(name)) options.oneLine = true
    else if (name.startsWith('br') && 'brief'.startsWith(name)) options.brief = true
    else if (name.startsWith('s') && ('statistics'.startsWith(name) || 'stats'.startsWith(name))) options.statistics++
    else if (name.startsWith('d') && 'details'.startsWith(name)) options.details = true
    else if (!LONG_OPTIONS.some((option) => option.startsWith(name)) || name === '') {
      throw new UsageError(`Option "-${name}" is unknown, try "ip -help".`)
    }
  }
  return options
}

const familyNamed = (name: string | undefined): 4 | 6 => {
  if (name === 'inet') return 4
  if (name === 'inet6') return 6
  throw new UsageError(`Error: argument "${name ?? ''}" is wrong: invalid protocol family`)
}
