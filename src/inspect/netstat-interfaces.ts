import { InterfaceFlag } from '../ip/interface-info.ts'
import { formatIpv4, prefixMask } from '../wire/address.ts'
import { left, lines, right } from './format.ts'
import { QUEUE_LENGTH, TUN_QUEUE_LENGTH } from './ip-address.ts'
import type { NetstatOptions } from './netstat.ts'
import type { InterfaceSnapshot, Snapshot } from './snapshot.ts'

/** `netstat -i`: a line for each interface, and with -e what ifconfig(8) prints. */

const HEADING = 'Iface             MTU    RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg'

/** Interfaces that are up, with -a all, in the order of their names. */
export const printInterfaces = (snapshot: Snapshot, options: NetstatOptions): string => {
  const shown = snapshot.interfaces
    .filter(({ flagBits }) => options.all || (flagBits & InterfaceFlag.Up) !== 0)
    .sort((a, b) => compareNames(a.name, b.name))
  if (options.extended > 0) return `Kernel Interface table\n${shown.map(longForm).join('')}`
  return lines(['Kernel Interface table', HEADING, ...shown.map(shortForm)])
}

/** By character, but numbers by their value: eth2 comes before eth10. */
const compareNames = (a: string, b: string): number => {
  const left = a.split(/(\d+)/)
  const right = b.split(/(\d+)/)
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [x, y] = [left[i]!, right[i]!]
    if (x === y) continue
    if (i % 2 === 1) return Number(x) - Number(y)
    return x < y ? -1 : 1
  }
  return left.length - right.length
}

const shortForm = (iface: InterfaceSnapshot): string => {
  const { statistics: s } = iface
  const received = `${right(s.rxPackets, 8)} ${right(s.rxErrors, 6)} ${right(s.rxDropped, 6)} ${left(s.rxOverruns, 6)}`
  const sent = `${right(s.txPackets, 8)} ${right(s.txErrors, 6)} ${right(s.txDropped, 6)} ${right(s.txOverruns, 6)}`
  return `${left(iface.name.slice(0, 15), 15)} ${right(iface.mtu, 5)} ${received} ${sent} ${flagLetters(iface.flagBits)}`
}

/** In net-tools' order; promiscuous and point-to-point share a letter. */
const LETTERS: readonly (readonly [bit: number, letter: string, name: string])[] = [
  [InterfaceFlag.AllMulti, 'A', 'ALLMULTI'],
  [InterfaceFlag.Broadcast, 'B', 'BROADCAST'],
  [InterfaceFlag.Loopback, 'L', 'LOOPBACK'],
  [InterfaceFlag.Multicast, 'M', 'MULTICAST'],
  [InterfaceFlag.Promisc, 'P', 'PROMISC'],
  [InterfaceFlag.NoArp, 'O', 'NOARP'],
  [InterfaceFlag.PointToPoint, 'P', 'POINTOPOINT'],
  [InterfaceFlag.Running, 'R', 'RUNNING'],
  [InterfaceFlag.Up, 'U', 'UP'],
]

/** What ifconfig's flags are: those that fit into 16 bits. */
const SHORT_FLAGS = 0xffff

const flagLetters = (bits: number): string =>
  (bits & SHORT_FLAGS) === 0
    ? '[NO FLAGS]'
    : LETTERS.filter(([bit]) => (bits & bit) !== 0)
        .map(([, letter]) => letter)
        .join('')

/** The order in which the long form names flags. */
const LONG_ORDER = [
  InterfaceFlag.Up,
  InterfaceFlag.Broadcast,
  InterfaceFlag.Loopback,
  InterfaceFlag.PointToPoint,
  InterfaceFlag.Running,
  InterfaceFlag.NoArp,
  InterfaceFlag.Promisc,
  InterfaceFlag.AllMulti,
  InterfaceFlag.Multicast,
]

const flagNames = (bits: number): string =>
  LONG_ORDER.filter((bit) => (bits & bit) !== 0)
    .map((bit) => LETTERS.find(([letterBit]) => letterBit === bit)![2])
    .join(',')

const SCOPE_IDS: Readonly<Record<string, string>> = { host: '0x10<host>', link: '0x20<link>', site: '0x40<site>' }

const longForm = (iface: InterfaceSnapshot): string => {
  const { statistics: s } = iface
  const bits = iface.flagBits & SHORT_FLAGS
  const text = [`${iface.name}: flags=${bits}<${flagNames(bits)}>  mtu ${iface.mtu}`]
  const first = iface.addresses.find(({ family }) => family === 4)
  if (first !== undefined) {
    let line = `        inet ${first.address}  netmask ${formatIpv4(prefixMask(first.length))}`
    if ((bits & InterfaceFlag.Broadcast) !== 0) line += `  broadcast ${first.broadcast ?? '0.0.0.0'}`
    if ((bits & InterfaceFlag.PointToPoint) !== 0) line += `  destination ${first.address}`
    text.push(line)
  }
  for (const { family, address, length, scope } of iface.addresses) {
    if (family === 6)
      text.push(`        inet6 ${address}  prefixlen ${length}  scopeid ${SCOPE_IDS[scope] ?? '0x0<global>'}`)
  }
  text.push(
    `        ${linkLine(iface)}`,
    `        RX packets ${s.rxPackets}  bytes ${s.rxBytes} (${shortBytes(s.rxBytes)})`,
    `        RX errors ${s.rxErrors}  dropped ${s.rxDropped}  overruns ${s.rxOverruns}  frame ${s.rxFrameErrors}`,
    `        TX packets ${s.txPackets}  bytes ${s.txBytes} (${shortBytes(s.txBytes)})`,
    `        TX errors ${s.txErrors}  dropped ${s.txDropped} overruns ${s.txOverruns}  ` +
      `carrier ${s.txCarrierErrors}  collisions ${s.txCollisions}`,
    '',
  )
  return lines(text)
}

const linkLine = (iface: InterfaceSnapshot): string => {
  if (iface.type === 'loopback') return `loop  txqueuelen ${QUEUE_LENGTH}  (Local Loopback)`
  if (iface.type === 'ether') return `ether ${iface.mac}  txqueuelen ${QUEUE_LENGTH}  (Ethernet)`
  return `unspec ${Array(16).fill('00').join('-')}  txqueuelen ${TUN_QUEUE_LENGTH}  (UNSPEC)`
}

/** Tenths of the largest unit that the number exceeds, cut off. */
const shortBytes = (bytes: number): string => {
  let unit = 'B'
  let tenths = bytes * 10
  const names = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  for (let power = names.length; power > 0; power--) {
    if (bytes <= 1024 ** power) continue
    unit = names[power - 1]!
    tenths = Math.floor((bytes * 10) / 1024 ** power)
    break
  }
  return `${Math.floor(tenths / 10)}.${tenths % 10} ${unit}`
}
