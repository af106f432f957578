import { Errno } from '../core/errno.ts'
import type { FrameWatcher } from '../core/frame.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { SourceAddress } from '../udp/datagram.ts'
import { ErrorOrigin, type QueuedError } from '../udp/error-queue.ts'
import { type IpAddress, parseIpAddress } from '../wire/address.ts'
import { formatAs6, formatSockaddr } from './address.ts'
import * as C from './constants.ts'
import { type ControlMessage, controlNumber, type PacketInfo, type PacketInfo6 } from './control.ts'
import type { DatagramSocket } from './datagram.ts'
import { arrivalMessages, SOF_TX_RECORD, timestampingMessage } from './tcp-notices.ts'

/**
 * Control messages of datagrams: what single ones are sent with, and what is told of those received (ip(7), ipv6(7)).
 */

/** What a single datagram has otherwise than its socket's options say; see `DatagramOptions` in src/udp. */
export interface Special {
  source?: IpAddress
  interface?: NetworkInterface
  hopLimit?: number
  trafficClass?: number
  dontFragment?: boolean
  /**
   * Bits of SO_TIMESTAMPING that ask for stamps of what is sent, in
   * place of the socket's, and the number that they have.
   */
  stamps?: number
  stampId?: number
  watcher?: FrameWatcher
}

/**
 * Reads the control messages of a datagram. Those of other levels are passed over, as on Linux.
 * @returns -EINVAL for a message that is wrong, -ENODEV for an interface and -EINVAL for an address that is none here
 */
export const readSpecial = (
  socket: DatagramSocket,
  control: readonly ControlMessage[],
  isIpv4: boolean,
): Special | number => {
  const special: Special = {}
  const level = isIpv4 ? C.SOL_IP : C.SOL_IPV6
  for (const message of control) {
    let problem = 0
    if (message.cmsg_level === level)
      problem = isIpv4 ? readAtIp(socket, special, message) : readAtIpv6(socket, special, message)
    // A mapped address is sent to from an IPv6 socket: what it says of the packet's source is in the form of IPv6.
    else if (
      isIpv4 &&
      message.cmsg_level === C.SOL_IPV6 &&
      message.cmsg_type === C.IPV6_PKTINFO &&
      socket.family === 6
    ) {
      problem = readPacketInfo6(socket, special, message)
    } else if (message.cmsg_level === C.SOL_SOCKET) problem = readAtSocket(socket, special, message)
    if (problem !== 0) return problem
  }
  return special
}

const readAtSocket = (socket: DatagramSocket, special: Special, message: ControlMessage): number => {
  const value = controlNumber(message)
  switch (message.cmsg_type) {
    case C.SO_MARK:
      return socket.uid === 0 ? 0 : -Errno.EPERM
    case C.SO_TIMESTAMPING:
      if (Number.isNaN(value) || (value & ~SOF_TX_RECORD) !== 0) return -Errno.EINVAL
      special.stamps = value
      return 0
    case C.SCM_TXTIME:
      return Number.isNaN(value) || socket.kept.transmitTime === null ? -Errno.EINVAL : 0
    case C.SCM_TS_OPT_ID:
      if (Number.isNaN(value) || (socket.kept.timestamping & C.SOF_TIMESTAMPING_OPT_ID) === 0) return -Errno.EINVAL
      special.stampId = value
      return 0
    default:
      return -Errno.EINVAL
  }
}

const readAtIp = (socket: DatagramSocket, special: Special, message: ControlMessage): number => {
  const value = controlNumber(message)
  switch (message.cmsg_type) {
    case C.IP_TTL:
      if (!(value >= 1 && value <= 255)) return -Errno.EINVAL
      special.hopLimit = value
      return 0
    case C.IP_TOS:
      if (!(value >= 0 && value <= 255)) return -Errno.EINVAL
      special.trafficClass = value
      return 0
    case C.IP_PKTINFO: {
      if (typeof message.data !== 'object') return -Errno.EINVAL
      const { ipi_ifindex = 0, ipi_spec_dst = '0.0.0.0' } = message.data as Partial<PacketInfo>
      return setSource(socket, special, ipi_ifindex, ipi_spec_dst)
    }
    default:
      return -Errno.EINVAL
  }
}

const readAtIpv6 = (socket: DatagramSocket, special: Special, message: ControlMessage): number => {
  const value = controlNumber(message)
  const isByte = value >= -1 && value <= 255
  switch (message.cmsg_type) {
    case C.IPV6_HOPLIMIT:
      if (!isByte) return -Errno.EINVAL
      if (value >= 0) special.hopLimit = value
      return 0
    case C.IPV6_TCLASS:
      if (!isByte) return -Errno.EINVAL
      if (value >= 0) special.trafficClass = value
      return 0
    case C.IPV6_DONTFRAG:
      if (value !== 0 && value !== 1) return -Errno.EINVAL
      special.dontFragment = value === 1
      return 0
    case C.IPV6_PKTINFO:
      return readPacketInfo6(socket, special, message)
    default:
      return -Errno.EINVAL
  }
}

const readPacketInfo6 = (socket: DatagramSocket, special: Special, message: ControlMessage): number => {
  if (typeof message.data !== 'object') return -Errno.EINVAL
  const { ipi6_ifindex = 0, ipi6_addr = '::' } = message.data as Partial<PacketInfo6>
  return setSource(socket, special, ipi6_ifindex, ipi6_addr)
}

const setSource = (socket: DatagramSocket, special: Special, index: number, text: string): number => {
  const { ip } = socket.layer
  if (index !== 0) {
    const iface = ip.interfaceAt(index)
    if (iface === null) return -Errno.ENODEV
    if (socket.boundInterface !== null && socket.boundInterface !== iface) return -Errno.EINVAL
    special.interface = iface
  }
  const address = parseIpAddress(text)
  if (address === undefined) return -Errno.EINVAL
  if (address.isUnspecified) return 0
  if (!ip.isLocal(address)) return -Errno.EINVAL
  special.source = address
  return 0
}

/** Tells of a datagram what its socket wants to know, in Linux's order. */
export const describeArrival = (socket: DatagramSocket, into: ControlMessage[], source: SourceAddress): void => {
  const { kept, layer } = socket
  into.push(...arrivalMessages(kept, layer.ip.wallClock.at(source.time)))
  // Told only once there were some.
  if (kept.dropCount && socket.dropped > 0) {
    into.push({ cmsg_level: C.SOL_SOCKET, cmsg_type: C.SO_RXQ_OVFL, data: socket.dropped })
  }
  describeHeader(socket, into, source)
}

/** What the IP header of a packet says that the socket wants to know. */
const describeHeader = (socket: DatagramSocket, into: ControlMessage[], source: SourceAddress): void => {
  const { ipOptions: options } = socket
  const isIpv4 = source.address.isIpv4
  if (socket.family === 6 && options.packetInfo6) {
    const data = { ipi6_addr: formatAs6(source.destination), ipi6_ifindex: source.interfaceIndex }
    into.push({ cmsg_level: C.SOL_IPV6, cmsg_type: C.IPV6_PKTINFO, data })
  }
  if (isIpv4) describeAtIp(socket, into, source)
  else describeAtIpv6(socket, into, source)
}

const describeAtIp = (socket: DatagramSocket, into: ControlMessage[], source: SourceAddress): void => {
  const { ipOptions: options } = socket
  const add = (cmsg_type: number, data: ControlMessage['data']): void => {
    into.push({ cmsg_level: C.SOL_IP, cmsg_type, data })
  }
  if (options.packetInfo) {
    const { interfaceIndex: ipi_ifindex, destination } = source
    add(C.IP_PKTINFO, { ipi_ifindex, ipi_spec_dst: answerFrom(socket, source).toString(), ipi_addr: `${destination}` })
  }
  if (options.receiveTtl) add(C.IP_TTL, source.hopLimit)
  if (options.receiveTos) add(C.IP_TOS, source.trafficClass)
  if (options.originalDestination) {
    add(C.IP_ORIGDSTADDR, formatSockaddr(source.destination, socket.localPort, 4))
  }
}

const describeAtIpv6 = (socket: DatagramSocket, into: ControlMessage[], source: SourceAddress): void => {
  const { ipOptions: options } = socket
  const add = (cmsg_type: number, data: ControlMessage['data']): void => {
    into.push({ cmsg_level: C.SOL_IPV6, cmsg_type, data })
  }
  if (options.receiveHops) add(C.IPV6_HOPLIMIT, source.hopLimit)
  if (options.receiveTrafficClass) add(C.IPV6_TCLASS, source.trafficClass)
  if (options.originalDestination6) {
    add(C.IPV6_ORIGDSTADDR, formatSockaddr(source.destination, socket.localPort, 6, source.interfaceIndex))
  }
}

/** The address that an answer comes from: the one it was sent to, unless that is a group's or everybody's. */
const answerFrom = ({ layer }: DatagramSocket, { destination, address, interfaceIndex }: SourceAddress): IpAddress => {
  const { ip } = layer
  if (ip.isLocal(destination)) return destination
  const way = ip.resolve(address, null, ip.interfaceAt(interfaceIndex))
  return typeof way === 'number' ? destination : way.source
}

/** When a packet left, with what else there is to tell of it. */
export const describeStamp = (socket: DatagramSocket, into: ControlMessage[], error: QueuedError): void => {
  const { at, header } = error.stamp!
  if (at >= 0) into.push(timestampingMessage(socket.layer.ip.wallClock.at(at)))
  if (header !== null) describeHeader(socket, into, header)
  into.push(describeError(socket.family, error))
}

/** An error out of the queue, as IP_RECVERR or IPV6_RECVERR has it. */
export const describeError = (family: 4 | 6, error: QueuedError): ControlMessage => {
  const offender = error.stamp?.header?.address ?? (error.origin === ErrorOrigin.Local ? null : error.offender)
  return {
    cmsg_level: family === 4 ? C.SOL_IP : C.SOL_IPV6,
    cmsg_type: family === 4 ? C.IP_RECVERR : C.IPV6_RECVERR,
    data: {
      ee_errno: error.errno,
      ee_origin: error.origin,
      ee_type: error.type,
      ee_code: error.code,
      ee_info: error.info,
      ee_data: error.stamp?.id ?? 0,
      offender: offender === null ? { family: C.AF_UNSPEC } : formatSockaddr(offender, 0, family),
    },
  }
}
