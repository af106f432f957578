import { Errno } from '../core/errno.ts'
import { type Frame, FrameChecksum } from '../core/frame.ts'
import { finishChecksum } from '../link/segmentation.ts'
import type { IpAddress } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { EtherType } from '../wire/ethernet.ts'
import { type IpHeader, IpProtocol, MAX_PACKET } from '../wire/ip.ts'
import { emitWholeIpv4, IPV4_MIN_HEADER, parseIpv4, setIpv4Checksum } from '../wire/ipv4.ts'
import { Ipv4OptionType } from '../wire/ipv4-options.ts'
import {
  emitIpv6,
  emitIpv6RouterAlert,
  IPV6_HEADER,
  IPV6_ROUTER_ALERT,
  Ipv6RouterAlert,
  readIpv6,
} from '../wire/ipv6.ts'
import type { Destination } from './destination.ts'
import { fragmentIpv4, fragmentIpv6 } from './fragment.ts'
import { multicastScope, SCOPE_INTERFACE } from './scope.ts'
import type { IpStack } from './stack.ts'

/** How a packet is to be sent, as bits. */
export const SendFlag = {
  /** Must not be fragmented, here or on the way: too large a packet gives -EMSGSIZE. */
  DontFragment: 0x01,
  /** Go by the interface's MTU, whatever the path's is said to be. */
  InterfaceMtu: 0x02,
  /** No copy for this host's own members of the group. */
  NoLoop: 0x04,
  /** Routers are to look at it (RFC 2113, RFC 2711). */
  RouterAlert: 0x08,
  /** Must not be fragmented even where the path's MTU is so small, or locked, that others may be. */
  EvenLocked: 0x10,
} as const

const ROUTER_ALERT = (Ipv4OptionType.RouterAlert << 24) | (4 << 16) | 0

/**
 * Sends the transport packet at `frame.start` to `frame.end`: see `IpStack.send`.
 * @returns 0, or -EMSGSIZE, -ENOBUFS
 */
export const ipSend = (
  stack: IpStack,
  frame: Frame,
  destination: Destination,
  source: IpAddress,
  protocol: number,
  hopLimit: number,
  trafficClass: number,
  flags: number,
): number =>
  destination.address.isIpv4
    ? ipv4Send(stack, frame, destination, source, protocol, hopLimit, trafficClass, flags)
    : ipv6Send(stack, frame, destination, source, protocol, hopLimit, trafficClass, flags)

const ipv4Send = (
  stack: IpStack,
  frame: Frame,
  destination: Destination,
  source: IpAddress,
  protocol: number,
  hopLimit: number,
  trafficClass: number,
  flags: number,
): number => {
  const { mib } = stack
  const headerLength = (flags & SendFlag.RouterAlert) !== 0 ? IPV4_MIN_HEADER + 4 : IPV4_MIN_HEADER
  const payload = frame.end - frame.start
  const total = headerLength + payload
  const mtu = (flags & SendFlag.InterfaceMtu) !== 0 ? destination.interface.mtu : destination.mtu
  // Segments cut from a large one fit: its sender has made them so.
  const fits = total <= mtu || frame.segmentSize > 0
  if (total > MAX_PACKET || (!fits && (flags & SendFlag.DontFragment) !== 0)) {
    if (total <= MAX_PACKET) mib.ip.FragFails++
    stack.drop(frame, Drop['ip-too-big'])
    return -Errno.EMSGSIZE
  }
  mib.ip.OutRequests++
  const packets = frame.segmentSize > 0 ? Math.ceil(payload / frame.segmentSize) : 1
  const identification = stack.nextIdent(destination, protocol, packets)
  const mayFragment = destination.mtuLocked && (flags & SendFlag.EvenLocked) === 0
  const dontFragment = (flags & SendFlag.DontFragment) !== 0 && !mayFragment
  const hops =
    hopLimit !== 0 || destination.kind === 'multicast'
      ? hopLimit
      : destination.hopLimit || stack.settings.ip_default_ttl
  frame.transport = frame.start
  frame.start -= headerLength
  frame.network = frame.start
  frame.etherType = EtherType.Ipv4
  const { memory } = stack.world
  if (headerLength > IPV4_MIN_HEADER) memory.view.setInt32(frame.start + IPV4_MIN_HEADER, ROUTER_ALERT)
  emitWholeIpv4(
    memory,
    frame.start,
    headerLength,
    total,
    trafficClass,
    identification,
    dontFragment,
    hops,
    protocol,
    source.w3,
    destination.address.w3,
  )
  return ipv4Output(stack, frame, destination, hops, fits ? 0 : mtu, flags)
}

const ipv6Send = (
  stack: IpStack,
  frame: Frame,
  destination: Destination,
  source: IpAddress,
  protocol: number,
  hopLimit: number,
  trafficClass: number,
  flags: number,
): number => {
  const { mib } = stack
  const header = stack.tx
  const extension = (flags & SendFlag.RouterAlert) !== 0 ? IPV6_ROUTER_ALERT : 0
  const payload = frame.end - frame.start + extension
  const mtu = (flags & SendFlag.InterfaceMtu) !== 0 ? destination.interface.ndp.mtu : destination.mtu
  const fits = payload + IPV6_HEADER <= mtu || frame.segmentSize > 0
  if (payload > MAX_PACKET || (!fits && (flags & SendFlag.DontFragment) !== 0)) {
    if (payload <= MAX_PACKET) mib.ip6.FragFails++
    stack.drop(frame, Drop['ip-too-big'])
    return -Errno.EMSGSIZE
  }
  mib.ip6.OutRequests++
  header.version = 6
  header.headerLength = IPV6_HEADER + extension
  header.trafficClass = trafficClass
  header.flowLabel = 0
  header.hopLimit =
    hopLimit !== 0 || destination.kind === 'multicast'
      ? hopLimit
      : destination.hopLimit || stack.settings.ipv6_hop_limit
  header.protocol = protocol
  header.source = source
  header.destination = destination.address
  frame.transport = frame.start
  const { memory } = stack.world
  if (extension > 0) {
    frame.start -= extension
    emitIpv6RouterAlert(memory, frame.start, protocol, Ipv6RouterAlert.Mld)
  }
  frame.start -= IPV6_HEADER
  frame.network = frame.start
  frame.etherType = EtherType.Ipv6
  header.optionsStart = frame.start + IPV6_HEADER
  header.payloadStart = frame.transport
  header.payloadEnd = frame.end
  emitIpv6(header, memory, frame.start, payload, extension > 0 ? IpProtocol.HopByHop : protocol)
  return ipv6Output(stack, frame, destination, header, fits ? 0 : mtu, flags)
}

/**
 * Sends a packet whose IP header the sender has written (IP_HDRINCL). Total length and checksum are filled in always,
 * identification and source where they are zero, as Linux does. Owns the frame.
 * @returns 0, or -EMSGSIZE for one over the MTU, -EINVAL for a header that is none
 */
export const ipSendRaw = (stack: IpStack, frame: Frame, destination: Destination): number => {
  const { memory } = stack.world
  const header = stack.tx
  const version = frame.end > frame.start ? memory.u8[frame.start]! >>> 4 : 0
  const length = frame.end - frame.start
  if (length > destination.interface.mtu) return refuse(stack, frame, Errno.EMSGSIZE)
  frame.network = frame.start
  if (version === 6) {
    if (readIpv6(header, memory, frame.start, frame.end) !== Drop.none) return refuse(stack, frame, Errno.EINVAL)
    memory.view.setUint16(frame.start + 4, length - IPV6_HEADER)
    frame.transport = frame.start + IPV6_HEADER
    frame.etherType = EtherType.Ipv6
    stack.mib.ip6.OutRequests++
    return ipv6Output(stack, frame, destination, header, 0, 0)
  }
  const headerLength = version === 4 ? (memory.u8[frame.start]! & 0xf) << 2 : 0
  if (headerLength < IPV4_MIN_HEADER || headerLength > length) return refuse(stack, frame, Errno.EINVAL)
  const at = frame.start
  memory.view.setUint16(at + 2, length)
  if (memory.view.getUint16(at + 4) === 0) {
    memory.view.setUint16(at + 4, stack.nextIdent(destination, memory.u8[at + 9]!, 1))
  }
  if (memory.view.getInt32(at + 12) === 0) memory.view.setInt32(at + 12, destination.source.w3)
  setIpv4Checksum(memory, at, headerLength)
  if (parseIpv4(header, memory, at, frame.end) !== Drop.none) return refuse(stack, frame, Errno.EINVAL)
  frame.transport = header.payloadStart
  frame.etherType = EtherType.Ipv4
  stack.mib.ip.OutRequests++
  return ipv4Output(stack, frame, destination, header.hopLimit, 0, 0)
}

const refuse = (stack: IpStack, frame: Frame, errno: number): number => {
  stack.drop(frame, Drop['ip-too-big'])
  return -errno
}

/** Passes a finished IPv4 packet to the link, in fragments when `mtu` is not 0. @param hopLimit as its header has it */
const ipv4Output = (
  stack: IpStack,
  frame: Frame,
  destination: Destination,
  hopLimit: number,
  mtu: number,
  flags: number,
): number => {
  const { kind } = destination
  const { ip, ipExt } = stack.mib
  const length = frame.end - frame.start
  ip.OutTransmits++
  ipExt.OutOctets += length
  if (kind === 'multicast' || kind === 'broadcast') {
    if (kind === 'multicast') {
      ipExt.OutMcastPkts++
      ipExt.OutMcastOctets += length
    } else {
      ipExt.OutBcastPkts++
      ipExt.OutBcastOctets += length
    }
    if ((flags & SendFlag.NoLoop) === 0) loopCopy(stack, frame, destination)
    if (hopLimit === 0) {
      stack.world.frames.release(frame)
      return 0
    }
  }
  if (mtu === 0) return sendOut(stack, frame, destination)
  if (frame.checksum === FrameChecksum.Partial) finishChecksum(stack.world.memory, frame)
  const reason = fragmentIpv4(stack, frame, mtu, stack.pieces)
  return sendPieces(stack, frame, destination, reason)
}

const ipv6Output = (
  stack: IpStack,
  frame: Frame,
  destination: Destination,
  header: IpHeader,
  mtu: number,
  flags: number,
): number => {
  const { ip6 } = stack.mib
  const length = frame.end - frame.start
  ip6.OutTransmits++
  ip6.OutOctets += length
  if (destination.kind === 'multicast') {
    ip6.OutMcastPkts++
    ip6.OutMcastOctets += length
    if ((flags & SendFlag.NoLoop) === 0) loopCopy(stack, frame, destination)
    // What is for this host alone, or has no hop to go, stays here.
    const stays = header.hopLimit === 0 || multicastScope(destination.address.w0) <= SCOPE_INTERFACE
    if (stays && !destination.interface.isLoopback) {
      stack.world.frames.release(frame)
      return 0
    }
  }
  if (mtu === 0) return sendOut(stack, frame, destination)
  if (frame.checksum === FrameChecksum.Partial) finishChecksum(stack.world.memory, frame)
  const ident = stack.nextIdent(destination, IpProtocol.Fragment, 1)
  const reason = fragmentIpv6(stack, frame, header, mtu, ident, stack.pieces)
  return sendPieces(stack, frame, destination, reason)
}

const sendPieces = (stack: IpStack, frame: Frame, destination: Destination, reason: number): number => {
  if (reason !== Drop.none) {
    stack.drop(frame, reason)
    return reason === Drop['no-memory'] ? -Errno.ENOBUFS : -Errno.EMSGSIZE
  }
  let result = 0
  for (let piece = stack.pieces.shift(); piece !== null; piece = stack.pieces.shift()) {
    const sent = sendOut(stack, piece, destination)
    if (sent !== 0) result = sent
  }
  return result
}

/** Hands a packet to the next hop, or to the group's or everybody's link-layer address. */
const sendOut = (stack: IpStack, frame: Frame, destination: Destination): number => {
  if (destination.linkAddress >= 0) {
    destination.interface.transmit(frame, destination.linkAddress)
    return 0
  }
  const neighbour = destination.obtainNeighbour()
  if (neighbour === null) {
    stack.drop(frame, Drop['neighbour-limit'])
    return -Errno.ENOBUFS
  }
  neighbour.send(frame)
  return 0
}

/** A copy for this host itself, when it is a member of the group, or the packet is for everybody. */
const loopCopy = (stack: IpStack, frame: Frame, destination: Destination): void => {
  const { interface: iface, address } = destination
  if (iface.isLoopback) return
  if (destination.kind === 'multicast' && iface.groups.find(address) === null) return
  const copy = stack.world.frames.copy(frame)
  if (copy === null) {
    stack.mib.drops[Drop['no-memory']]!++
    return
  }
  copy.checksum = FrameChecksum.Good
  copy.time = stack.world.loop.now
  stack.processor.enqueueOwn(iface, copy)
}
