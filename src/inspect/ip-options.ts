import { UsageError } from './options.ts'
import type { Snapshot } from './snapshot.ts'

/** ip(8) of iproute2, as far as it shows: `ip [OPTIONS] { address | link | route | neighbour } [show …]`. */
export interface IpOptions {
  /** Only this family; null for both. */
  family: 4 | 6 | null
  /** -o: a record a line. */
  oneLine: boolean
  /** -br: a table. */
  brief: boolean
  /** How often -s was given. */
  statistics: number
  /** -d. */
  details: boolean
}

/** The name of a device that is there. @throws UsageError for another */
export const checkDevice = (snapshot: Snapshot, name: string): string => {
  if (!snapshot.interfaces.some((iface) => iface.name === name))
    throw new UsageError(`Device "${name}" does not exist.`)
  return name
}

/** A word that stands behind a keyword. */
export const wordAfter = (words: string[]): string => {
  const word = words.shift()
  if (word === undefined) throw new UsageError('Command line is not complete. Try option "help"')
  return word
}
