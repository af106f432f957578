import { formatMac } from '../wire/address.ts'
import { type AddressInfo, describeAddress } from './address.ts'
import type { NetworkInterface } from './interface.ts'

/** What an interface is, as bits: Linux's IFF_*. */
export const InterfaceFlag = {
  Up: 0x1,
  Broadcast: 0x2,
  Loopback: 0x8,
  PointToPoint: 0x10,
  Running: 0x40,
  NoArp: 0x80,
  Promisc: 0x100,
  AllMulti: 0x200,
  Multicast: 0x1000,
  LowerUp: 0x1_0000,
} as const

/** What an interface has done: the columns of `ip -s -s link`. */
export class InterfaceStatistics {
  rxPackets = 0
  rxBytes = 0
  /** Frames that were damaged or made no sense. */
  rxErrors = 0
  /** Frames for which there was no room, or no use. */
  rxDropped = 0
  /** Frames that found the receive ring full. */
  rxOverruns = 0
  rxFrameErrors = 0
  rxMissed = 0
  rxMulticast = 0
  txPackets = 0
  txBytes = 0
  txErrors = 0
  txDropped = 0
  txOverruns = 0
  /** Frames that found no carrier. */
  txCarrierErrors = 0
  txCollisions = 0
}

/** An interface as plain data. */
export interface InterfaceInfo {
  index: number
  name: string
  /** As in the angle brackets of `ip link`. */
  flags: string[]
  mtu: number
  state: 'UP' | 'DOWN' | 'UNKNOWN'
  type: 'ether' | 'loopback' | 'none'
  mac: string
  addresses: AddressInfo[]
  statistics: InterfaceStatistics
}

/** An interface as plain data: what `ip -s addr` says of it. */
export const interfaceInfo = (iface: NetworkInterface): InterfaceInfo => {
  const { now } = iface.stack.world.loop
  const { index, name, mtu, isLoopback, isEthernet, statistics } = iface
  return {
    index,
    name,
    flags: flagNames(iface.flags, iface.carrier),
    mtu,
    state: isLoopback ? 'UNKNOWN' : iface.isRunning ? 'UP' : 'DOWN',
    type: isLoopback ? 'loopback' : isEthernet ? 'ether' : 'none',
    mac: formatMac(iface.mac),
    addresses: iface.addresses.map((entry) => describeAddress(entry, now)),
    statistics: { ...statistics },
  }
}

/** The names of interface flags, in the order in which `ip link` prints them. */
const flagNames = (flags: number, carrier: boolean): string[] => {
  const names: string[] = []
  if ((flags & InterfaceFlag.Up) !== 0 && !carrier) names.push('NO-CARRIER')
  const add = (bit: number, name: string): void => {
    if ((flags & bit) !== 0) names.push(name)
  }
  add(InterfaceFlag.Loopback, 'LOOPBACK')
  add(InterfaceFlag.Broadcast, 'BROADCAST')
  add(InterfaceFlag.PointToPoint, 'POINTOPOINT')
  add(InterfaceFlag.Multicast, 'MULTICAST')
  add(InterfaceFlag.NoArp, 'NOARP')
  add(InterfaceFlag.AllMulti, 'ALLMULTI')
  add(InterfaceFlag.Promisc, 'PROMISC')
  add(InterfaceFlag.Up, 'UP')
  add(InterfaceFlag.LowerUp, 'LOWER_UP')
  return names
}
