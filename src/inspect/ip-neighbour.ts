import type { NeighbourInfo } from '../ip/neighbour.ts'
import { type IpPrefix, ip, parseIpPrefix, samePrefix } from '../wire/address.ts'
import { left, lines } from './format.ts'
import { checkDevice, type IpOptions, wordAfter } from './ip-options.ts'
import { UsageError } from './options.ts'
import type { Snapshot } from './snapshot.ts'

/** `ip neighbour`. */

const STATES = ['INCOMPLETE', 'REACHABLE', 'STALE', 'DELAY', 'PROBE', 'FAILED', 'NOARP', 'PERMANENT', 'NONE']

interface Selection {
  device: string | null
  states: ReadonlySet<string>
  to: IpPrefix | null
}

const readSelection = (snapshot: Snapshot, args: readonly string[]): Selection => {
  const words = [...args]
  const states = new Set<string>()
  let device: string | null = null
  let to: IpPrefix | null = null
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === 'dev') device = checkDevice(snapshot, wordAfter(words))
    else if (word === 'nud') {
      const given = wordAfter(words)
      const name = given.toUpperCase()
      if (name !== 'ALL' && !STATES.includes(name))
        throw new UsageError(`Error: argument "${given}" is wrong: nud state is bad`)
      for (const state of name === 'ALL' ? STATES : [name]) states.add(state)
    } else {
      const text = word === 'to' ? wordAfter(words) : word
      to = parseIpPrefix(text) ?? null
      if (to === null) throw new UsageError(`Error: any valid prefix is expected rather than "${text}".`)
    }
  }
  return { device, to, states: states.size > 0 ? states : new Set(STATES.filter((s) => s !== 'NOARP' && s !== 'NONE')) }
}

/** What `ip neighbour` prints. */
export const printNeighbours = (snapshot: Snapshot, options: IpOptions, args: readonly string[]): string => {
  const { device, to, states } = readSelection(snapshot, args)
  const shown = snapshot.neighbours.filter(
    (entry) =>
      (options.family === null || entry.family === options.family) &&
      (device === null || entry.interface === device) &&
      states.has(entry.state) &&
      (to === null || samePrefix(ip(entry.address), to.address, to.length)),
  )
  return lines(shown.map((entry) => (options.brief ? briefLine : fullLine)(entry, device !== null, options)))
}

const briefLine = ({ address, interface: device, mac }: NeighbourInfo, isNamed: boolean): string =>
  `${left(address, 39)} ${isNamed ? '' : `${left(device, 16)} `}${mac ?? ''}`

const fullLine = (entry: NeighbourInfo, isNamed: boolean, options: IpOptions): string => {
  const device = isNamed ? '' : `dev ${entry.interface} `
  const mac = entry.mac === null ? '' : `lladdr ${entry.mac} `
  const router = entry.router ? 'router ' : ''
  const times = ` used ${entry.usedAgo}/${entry.confirmedAgo}/${entry.updatedAgo}probes ${entry.probes} `
  const state = entry.state === 'NONE' ? '' : `${entry.state} `
  return `${entry.address} ${device}${mac}${router}${options.statistics > 0 ? times : ''}${state}`
}
