import { Errno } from '../core/errno.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { IPV4_ANY, type IpAddress, parseIpAddress } from '../wire/address.ts'
import { IPV6_MIN_MTU } from '../wire/ipv6.ts'
import type { KnownSockaddr } from './address.ts'
import * as C from './constants.ts'
import type { InetSocket } from './inet.ts'
import { htonl, ntohl } from './inet-text.ts'
import type { OptionFailure, OptionValue } from './socket-options.ts'

const NO_RANGE: readonly [number, number] = [0, 0]

/**
 * Options at IPPROTO_IP and IPPROTO_IPV6 that every socket of the Internet families keeps, with Linux's defaults and
 * limits. One object serves all sockets that left them alone.
 */
export class IpOptions {
  // At IPPROTO_IP.
  tos = 0
  /** 0 for the host's default. */
  ttl = 0
  minTtl = 0
  pathMtuDiscovery: number = C.IP_PMTUDISC_WANT
  receiveErrors = false
  packetInfo = false
  receiveTtl = false
  receiveTos = false
  originalDestination = false
  /** IP_LOCAL_PORT_RANGE: first and last; 0 for the host's. */
  portRange: readonly [number, number] = NO_RANGE
  headerIncluded = false
  multicastTtl = 1
  multicastLoop = true
  multicastAll = true
  multicastInterface: NetworkInterface | null = null
  multicastAddress: IpAddress = IPV4_ANY
  unicastInterface: NetworkInterface | null = null
  // At IPPROTO_IPV6.
  trafficClass = 0
  /** -1 for the host's default. */
  hops = -1
  minHops = 0
  pathMtuDiscovery6: number = C.IP_PMTUDISC_WANT
  receiveErrors6 = false
  packetInfo6 = false
  receiveHops = false
  receiveTrafficClass = false
  originalDestination6 = false
  dontFragment = false
  /** IPV6_MTU; 0 for none. */
  fragmentSize = 0
  multicastHops = 1
  multicastLoop6 = true
  multicastAll6 = true
  multicastInterface6: NetworkInterface | null = null
  unicastInterface6: NetworkInterface | null = null
}

/** Options that are a flag, and nothing else. */
type Flag = {
  [K in keyof IpOptions]: IpOptions[K] extends boolean ? K : never
}[keyof IpOptions]

const FLAGS: Readonly<Record<number, Flag>> = {
  [C.IP_RECVERR]: 'receiveErrors',
  [C.IP_PKTINFO]: 'packetInfo',
  [C.IP_RECVTTL]: 'receiveTtl',
  [C.IP_RECVTOS]: 'receiveTos',
  [C.IP_RECVORIGDSTADDR]: 'originalDestination',
  [C.IP_MULTICAST_LOOP]: 'multicastLoop',
}
const FLAGS6: Readonly<Record<number, Flag>> = {
  [C.IPV6_RECVERR]: 'receiveErrors6',
  [C.IPV6_RECVPKTINFO]: 'packetInfo6',
  [C.IPV6_RECVHOPLIMIT]: 'receiveHops',
  [C.IPV6_RECVTCLASS]: 'receiveTrafficClass',
  [C.IPV6_DONTFRAG]: 'dontFragment',
  [C.IPV6_RECVORIGDSTADDR]: 'originalDestination6',
  [C.IPV6_MULTICAST_ALL]: 'multicastAll6',
}
/** The ECN bits, which are TCP's own. */
const ECN = 3
/** As Linux fills in whom a path MTU is of. */
const ANY6: KnownSockaddr = { family: 0, address: '::', port: 0, flowinfo: 0, scopeId: 0 }

/** Sets an option at IPPROTO_IP. @returns 0 or a negative `Errno` */
export const setIpOption = (socket: InetSocket, name: number, value: OptionValue): number => {
  const { isStream, uid } = socket
  if (name === C.IP_MULTICAST_IF) return isStream ? -Errno.EINVAL : setMulticastInterface(socket, value)
  if (typeof value !== 'number' || !Number.isInteger(value)) return -Errno.EINVAL
  const options = socket.ownIpOptions()
  const flag = FLAGS[name]
  if (flag !== undefined) {
    options[flag] = value !== 0
    return socket.ipOptionsChanged()
  }
  switch (name) {
    case C.IP_TOS:
      options.tos = isStream ? (value & 0xff & ~ECN) | (options.tos & ECN) : value & 0xff
      break
    case C.IP_TTL:
      if (value !== -1 && (value < 1 || value > 255)) return -Errno.EINVAL
      options.ttl = value === -1 ? 0 : value
      break
    case C.IP_MINTTL:
      if (value < 0 || value > 255) return -Errno.EINVAL
      options.minTtl = value
      break
    case C.IP_MTU_DISCOVER:
      if (value < C.IP_PMTUDISC_DONT || value > C.IP_PMTUDISC_OMIT) return -Errno.EINVAL
      options.pathMtuDiscovery = value
      break
    case C.IP_MULTICAST_TTL:
      if (isStream || value < -1 || value > 255) return -Errno.EINVAL
      options.multicastTtl = value === -1 ? 1 : value
      break
    case C.IP_MULTICAST_ALL:
      if (value !== 0 && value !== 1) return -Errno.EINVAL
      options.multicastAll = value === 1
      break
    case C.IP_FREEBIND:
      socket.freeBind = value !== 0
      return 0
    case C.IP_TRANSPARENT:
      if (value !== 0 && uid !== 0) return -Errno.EPERM
      socket.freeBind = value !== 0
      return 0
    case C.IP_BIND_ADDRESS_NO_PORT:
      socket.bindAddressNoPort = value !== 0
      return 0
    case C.IP_LOCAL_PORT_RANGE:
      return setPortRange(socket, value)
    case C.IP_UNICAST_IF: {
      const iface = unicastInterface(socket, value)
      if (typeof iface === 'number') return iface
      options.unicastInterface = iface
      break
    }
    default:
      return -Errno.ENOPROTOOPT
  }
  return socket.ipOptionsChanged()
}

/** The upper half is the last port, the lower one the first; 0 stands for the host's. */
const setPortRange = (socket: InetSocket, value: number): number => {
  const low = value & 0xffff
  const high = (value >>> 16) & 0xffff
  if (low !== 0 && high !== 0 && high < low) return -Errno.EINVAL
  socket.ownIpOptions().portRange = [low, high]
  return 0
}

/** The interface that IP_UNICAST_IF names by its index in network order; null for any, or a negative `Errno`. */
const unicastInterface = (socket: InetSocket, value: number): NetworkInterface | null | number => {
  const index = ntohl(value)
  if (index === 0) return null
  const iface = socket.layer.ip.interfaceAt(index)
  if (iface === null) return -Errno.EADDRNOTAVAIL
  return socket.boundInterface !== null && socket.boundInterface !== iface ? -Errno.EINVAL : iface
}

/** As IP_UNICAST_IF is read: a signed number whose bytes are in network order. */
const networkIndex = (iface: NetworkInterface | null): number => htonl(iface?.index ?? 0) | 0

/** Takes an address as text, `struct ip_mreqn` with an index, or `struct ip_mreq` (as `imr_interface`). */
const setMulticastInterface = (socket: InetSocket, value: OptionValue): number => {
  const { ip } = socket.layer
  const given: unknown =
    typeof value === 'object' ? value : { imr_address: typeof value === 'number' ? `0.0.0.${value & 0xff}` : value }
  const { imr_ifindex = 0, imr_address, imr_interface } = given as Record<string, unknown>
  let iface: NetworkInterface | null = null
  const address = parseIpAddress(String(imr_address ?? imr_interface ?? '0.0.0.0'))
  if (address === undefined || !address.isIpv4) return -Errno.EINVAL
  if (Number(imr_ifindex) !== 0) iface = ip.interfaceAt(Number(imr_ifindex))
  else if (!address.isUnspecified) iface = ip.interfaceOf(address)
  if (iface === null && (Number(imr_ifindex) !== 0 || !address.isUnspecified)) return -Errno.EADDRNOTAVAIL
  if (iface !== null && socket.boundInterface !== null && socket.boundInterface !== iface) return -Errno.EINVAL
  const options = socket.ownIpOptions()
  options.multicastInterface = iface
  options.multicastAddress = address
  return socket.ipOptionsChanged()
}

/** Sets an option at IPPROTO_IPV6 of an IPv6 socket. @returns 0 or a negative `Errno` */
export const setIpv6Option = (socket: InetSocket, name: number, value: OptionValue): number => {
  if (typeof value !== 'number' || !Number.isInteger(value)) return -Errno.EINVAL
  const options = socket.ownIpOptions()
  const { isStream } = socket
  const flag = FLAGS6[name]
  if (flag !== undefined) {
    options[flag] = value !== 0
    return socket.ipOptionsChanged()
  }
  const isHops = value >= -1 && value <= 255
  switch (name) {
    case C.IPV6_V6ONLY:
      if (socket.isNumbered) return -Errno.EINVAL
      socket.v6only = value !== 0
      break
    case C.IPV6_UNICAST_HOPS:
      if (!isHops) return -Errno.EINVAL
      options.hops = value
      break
    case C.IPV6_MINHOPCOUNT:
      if (value < 0 || value > 255) return -Errno.EINVAL
      options.minHops = value
      break
    case C.IPV6_TCLASS: {
      if (!isHops) return -Errno.EINVAL
      const wanted = value === -1 ? 0 : value
      options.trafficClass = isStream ? (wanted & ~ECN) | (options.trafficClass & ECN) : wanted
      break
    }
    case C.IPV6_MTU_DISCOVER:
      if (value < C.IP_PMTUDISC_DONT || value > C.IP_PMTUDISC_OMIT) return -Errno.EINVAL
      options.pathMtuDiscovery6 = value
      break
    case C.IPV6_MTU:
      if (value !== 0 && value < IPV6_MIN_MTU) return -Errno.EINVAL
      options.fragmentSize = value
      break
    case C.IPV6_MULTICAST_LOOP:
      if (value !== 0 && value !== 1) return -Errno.EINVAL
      options.multicastLoop6 = value === 1
      break
    case C.IPV6_MULTICAST_HOPS:
      if (isStream) return -Errno.ENOPROTOOPT
      if (!isHops) return -Errno.EINVAL
      options.multicastHops = value === -1 ? 1 : value
      break
    case C.IPV6_MULTICAST_IF: {
      if (isStream) return -Errno.ENOPROTOOPT
      const iface = value === 0 ? null : socket.layer.ip.interfaceAt(value)
      if (iface === null && value !== 0) return -Errno.ENODEV
      if (iface !== null && socket.boundInterface !== null && socket.boundInterface !== iface) return -Errno.EINVAL
      options.multicastInterface6 = iface
      break
    }
    case C.IPV6_FREEBIND:
      socket.freeBind = value !== 0
      return 0
    case C.IPV6_TRANSPARENT:
      if (value !== 0 && socket.uid !== 0) return -Errno.EPERM
      socket.freeBind = value !== 0
      return 0
    case C.IPV6_UNICAST_IF: {
      const iface = unicastInterface(socket, value)
      if (typeof iface === 'number') return iface
      options.unicastInterface6 = iface
      break
    }
    default:
      return -Errno.ENOPROTOOPT
  }
  return socket.ipOptionsChanged()
}

/** Reads an option at IPPROTO_IP. */
export const getIpOption = (socket: InetSocket, name: number): OptionValue | OptionFailure => {
  const { ipOptions: options, layer } = socket
  const flag = FLAGS[name]
  if (flag !== undefined) return Number(options[flag])
  switch (name) {
    case C.IP_TOS:
      return options.tos
    case C.IP_TTL:
      return options.ttl || layer.ip.settings.ip_default_ttl
    case C.IP_MINTTL:
      return options.minTtl
    case C.IP_HDRINCL:
      return Number(options.headerIncluded)
    case C.IP_MTU_DISCOVER:
      return options.pathMtuDiscovery
    case C.IP_MTU:
      return socket.pathMtu || { errno: Errno.ENOTCONN }
    case C.IP_MULTICAST_TTL:
      return options.multicastTtl
    case C.IP_MULTICAST_ALL:
      return Number(options.multicastAll)
    case C.IP_MULTICAST_IF:
      return options.multicastAddress.toString()
    case C.IP_UNICAST_IF:
      return networkIndex(options.unicastInterface)
    case C.IP_FREEBIND:
    case C.IP_TRANSPARENT:
      return Number(socket.freeBind)
    case C.IP_BIND_ADDRESS_NO_PORT:
      return Number(socket.bindAddressNoPort)
    case C.IP_LOCAL_PORT_RANGE:
      return (socket.ipOptions.portRange[1] << 16) | socket.ipOptions.portRange[0]
    default:
      return { errno: Errno.ENOPROTOOPT }
  }
}

/** Reads an option at IPPROTO_IPV6 of an IPv6 socket. */
export const getIpv6Option = (socket: InetSocket, name: number): OptionValue | OptionFailure => {
  const { ipOptions: options, layer } = socket
  const flag = FLAGS6[name]
  if (flag !== undefined) return Number(options[flag])
  switch (name) {
    case C.IPV6_V6ONLY:
      return Number(socket.v6only)
    case C.IPV6_UNICAST_HOPS:
      return options.hops === -1 ? layer.ip.settings.ipv6_hop_limit : options.hops
    case C.IPV6_TCLASS:
      return options.trafficClass
    case C.IPV6_MINHOPCOUNT:
      return options.minHops
    case C.IPV6_MTU_DISCOVER:
      return options.pathMtuDiscovery6
    case C.IPV6_MTU:
      return socket.pathMtu || { errno: Errno.ENOTCONN }
    case C.IPV6_PATHMTU:
      return socket.pathMtu === 0 ? { errno: Errno.ENOTCONN } : { ip6m_addr: { ...ANY6 }, ip6m_mtu: socket.pathMtu }
    case C.IPV6_FREEBIND:
    case C.IPV6_TRANSPARENT:
      return Number(socket.freeBind)
    case C.IPV6_MULTICAST_LOOP:
      return Number(options.multicastLoop6)
    case C.IPV6_MULTICAST_HOPS:
      return options.multicastHops
    case C.IPV6_MULTICAST_IF:
      return options.multicastInterface6?.index ?? 0
    case C.IPV6_UNICAST_IF:
      return networkIndex(options.unicastInterface6)
    default:
      return { errno: Errno.ENOPROTOOPT }
  }
}
