import type { AddressInfo } from '../ip/address.ts'
import { InterfaceFlag, type InterfaceStatistics } from '../ip/interface-info.ts'
import { left, lines, right } from './format.ts'
import { checkDevice, type IpOptions, wordAfter } from './ip-options.ts'
import { UsageError } from './options.ts'
import type { InterfaceSnapshot, Snapshot } from './snapshot.ts'

/** `ip address` and `ip link`. */

/** `qlen`, `txqueuelen`: Linux's default for Ethernet and loopback, and for TUN devices. */
export const QUEUE_LENGTH = 1000
export const TUN_QUEUE_LENGTH = 500

interface Selection {
  device: string | null
  up: boolean
  scope: string | null
}

const readSelection = (snapshot: Snapshot, args: readonly string[]): Selection => {
  const words = [...args]
  const selection: Selection = { device: null, up: false, scope: null }
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === 'up') selection.up = true
    else if (word === 'scope') selection.scope = wordAfter(words)
    else {
      if (selection.device !== null)
        throw new UsageError(`Error: either "dev" is duplicate, or "${word}" is a garbage.`)
      selection.device = checkDevice(snapshot, word === 'dev' ? wordAfter(words) : word)
    }
  }
  return selection
}

/** @param object `address` shows addresses; `link` shows what is below them */
export const printAddresses = (
  snapshot: Snapshot,
  options: IpOptions,
  args: readonly string[],
  object: 'address' | 'link',
): string => {
  const selection = readSelection(snapshot, args)
  const isLink = object === 'link'
  let text = ''
  for (const iface of snapshot.interfaces) {
    if (selection.device !== null && iface.name !== selection.device) continue
    if (selection.up && (iface.flagBits & InterfaceFlag.Up) === 0) continue
    const addresses = isLink ? [] : iface.addresses.filter((entry) => isSelected(entry, options, selection))
    // An interface without any address is shown unless a family is asked for.
    if (!isLink && addresses.length === 0 && (options.family !== null || iface.addresses.length > 0)) continue
    text += options.brief
      ? briefLine(iface, addresses, isLink)
      : fullText(iface, addresses, options, isLink, selection.device !== null)
  }
  return text
}

const isSelected = (entry: AddressInfo, options: IpOptions, { scope }: Selection): boolean =>
  (options.family === null || entry.family === options.family) &&
  (scope === null || scope === 'all' || entry.scope === scope)

const nameOf = ({ name, parent }: InterfaceSnapshot): string => (parent === null ? name : `${name}@${parent}`)

/** The state as the kernel sees it: loopback and TUN devices do not tell. */
const operState = (iface: InterfaceSnapshot): string => {
  if ((iface.flagBits & InterfaceFlag.Up) === 0) return 'DOWN'
  return iface.type === 'ether' || !iface.carrier ? iface.state : 'UNKNOWN'
}

const briefLine = (iface: InterfaceSnapshot, addresses: readonly AddressInfo[], isLink: boolean): string => {
  const start = `${left(nameOf(iface), 16)} ${left(operState(iface), 14)} `
  if (!isLink) return `${start}${addresses.map(({ address, length }) => `${address}/${length} `).join('')}\n`
  const mac = iface.type === 'none' ? '' : `${iface.mac} `
  return `${start}${mac}<${iface.flags.join(',')}> \n`
}

const fullText = (
  iface: InterfaceSnapshot,
  addresses: readonly AddressInfo[],
  options: IpOptions,
  isLink: boolean,
  isNamed: boolean,
): string => {
  const breakLine = options.oneLine ? '\\' : '\n'
  const text: string[] = []
  if (isLink || !options.oneLine) {
    const link = [linkLine(iface, options, isLink, isNamed)]
    if (isLink || options.family === null) link.push(addressLine(iface))
    if (isLink && options.statistics > 0) link.push(...statisticsLines(iface.statistics, options))
    text.push(link.join(breakLine))
  }
  for (const entry of addresses) text.push(addressText(iface, entry, options, breakLine))
  if (!isLink && !options.oneLine && options.statistics > 0) text.push(...statisticsLines(iface.statistics, options))
  return lines(text)
}

/** Linux tells less of interfaces when it is asked for IPv6 alone. */
const linkLine = (iface: InterfaceSnapshot, options: IpOptions, isLink: boolean, isNamed: boolean): string => {
  const isShort = !isLink && options.family === 6 && !isNamed
  const name = isShort ? iface.name : nameOf(iface)
  const discipline = isShort ? '' : 'qdisc noqueue '
  const mode = isLink ? 'mode DEFAULT ' : ''
  const group = isShort ? '' : 'group default '
  const queueLength = iface.type === 'none' ? TUN_QUEUE_LENGTH : QUEUE_LENGTH
  const start = `${iface.index}: ${name}: <${iface.flags.join(',')}> mtu ${iface.mtu} `
  return `${start}${discipline}state ${operState(iface)} ${mode}${group}qlen ${queueLength}`
}

const addressLine = ({ type, mac }: InterfaceSnapshot): string => {
  if (type === 'none') return '    link/none '
  return `    link/${type} ${mac} brd ${type === 'loopback' ? mac : 'ff:ff:ff:ff:ff:ff'}`
}

/** Flags in iproute2's order. */
const FLAG_ORDER = [
  'secondary',
  'temporary',
  'dadfailed',
  'deprecated',
  'tentative',
  'dynamic',
  'noprefixroute',
  'stable-privacy',
]

const addressText = (iface: InterfaceSnapshot, entry: AddressInfo, options: IpOptions, breakLine: string): string => {
  const start = options.oneLine ? `${iface.index}: ${iface.name}    ` : '    '
  const broadcast = entry.broadcast === null ? '' : `brd ${entry.broadcast} `
  const flags = FLAG_ORDER.filter((flag) => entry.flags.includes(flag)).map((flag) => `${flag} `)
  const label = entry.family === 4 ? iface.name : ''
  const family = entry.family === 4 ? 'inet' : 'inet6'
  const seconds = (left: number | null): string => (left === null ? 'forever' : `${left}sec`)
  const lifetimes = `       valid_lft ${seconds(entry.validFor)} preferred_lft ${seconds(entry.preferredFor)}`
  const prefix = `${entry.address}/${entry.length}`
  return `${start}${family} ${prefix} ${broadcast}scope ${entry.scope} ${flags.join('')}${label}${breakLine}${lifetimes}`
}

/** Columns of the statistics, whose widths their numbers decide together. */
const HEADINGS = ['*X errors:', 'packets', 'errors', 'dropped', 'heartbt', 'overrun']

/** The rows of `-s`, and with another -s the errors by kind. */
const statisticsLines = (s: InterfaceStatistics, options: IpOptions): string[] => {
  const more = options.statistics > 1
  const received = [s.rxBytes, s.rxPackets, s.rxErrors, s.rxDropped, s.rxMissed, s.rxMulticast]
  const sent = [s.txBytes, s.txPackets, s.txErrors, s.txDropped, s.txCarrierErrors, s.txCollisions]
  const receiveErrors = [0, 0, 0, s.rxFrameErrors, s.rxOverruns, 0]
  const sendErrors = [0, 0, 0, s.txOverruns, 0, 0]
  const measured = more ? [received, receiveErrors, sent, sendErrors] : [received, sent]
  const widths = HEADINGS.map((heading, i) => Math.max(heading.length, ...measured.map((row) => `${row[i]!}`.length)))
  const numbers = (row: readonly number[]): string => row.map((value, i) => `${right(value, widths[i]!)} `).join('')
  const heading = (direction: string, names: readonly string[]): string => {
    const [first, ...others] = names
    const columns = others.map((name, i) => ` ${right(name, widths[i + 1]!)}`).join('')
    // An empty column for compressed packets follows.
    return `    ${direction}: ${right(first!, widths[0]! - 4)}${columns} ${' '.repeat('compressed'.length)}`
  }
  const errors = (direction: string, names: readonly string[], row: readonly number[]): string[] => {
    const columns = names.map((name, i) => `${i === 0 ? '' : ' '}${right(name, widths[i + 1]!)}`).join('')
    return [
      `    ${direction} errors:${' '.repeat(widths[0]! - 10)} ${columns}`,
      `${' '.repeat(widths[0]! + 5)}${numbers(row).slice(widths[0]! + 1)}`,
    ]
  }
  return [
    heading('RX', ['bytes', 'packets', 'errors', 'dropped', 'missed', 'mcast']),
    `    ${numbers(received)}`,
    ...(more ? errors('RX', ['length', 'crc', 'frame', 'fifo', 'overrun'], receiveErrors) : []),
    heading('TX', ['bytes', 'packets', 'errors', 'dropped', 'carrier', 'collsns']),
    `    ${numbers(sent)}`,
    ...(more ? errors('TX', ['aborted', 'fifo', 'window', 'heartbt', 'transns'], sendErrors) : []),
  ]
}
