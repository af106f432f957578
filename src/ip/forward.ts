import { type Frame, FrameChecksum } from '../core/frame.ts'
import { finishChecksum, splitSegments } from '../link/segmentation.ts'
import { IPV4_MAPPED, isLinkLocal6 } from '../wire/address.ts'
import { updateChecksum } from '../wire/checksum.ts'
import { Drop } from '../wire/drop.ts'
import { IcmpTimeExceeded, IcmpType, IcmpUnreachable } from '../wire/icmp.ts'
import { Icmpv6TimeExceeded, Icmpv6Type, Icmpv6Unreachable } from '../wire/icmpv6.ts'
import { type IpHeader, IpProtocol, MAX_PACKET } from '../wire/ip.ts'
import { IPV4_MIN_HEADER, setIpv4Checksum } from '../wire/ipv4.ts'
import { recordIpv4Options } from '../wire/ipv4-options.ts'
import { IPV6_MIN_MTU } from '../wire/ipv6.ts'
import { addressOf } from './destination.ts'
import { fragmentIpv4 } from './fragment.ts'
import { sendIcmpError } from './icmp-error.ts'
import { sendIcmp6Error } from './icmpv6-error.ts'
import type { NetworkInterface } from './interface.ts'
import type { NeighbourTable } from './neighbour.ts'
import { sendRedirect, sendRedirect6 } from './redirect.ts'
import type { Route } from './route.ts'
import type { IpStack } from './stack.ts'

/** Passes an IPv4 packet on to its next hop (RFC 1812 section 5.2.1). Owns the frame. */
export const ipv4Forward = (iface: NetworkInterface, frame: Frame, header: IpHeader): void => {
  const { stack } = iface
  const { mib } = stack
  const route = stack.routes.lookupMain(0, 0, IPV4_MAPPED, header.destination3, null)
  if (route === null || route.interface === null || !route.interface.isUp) {
    noRoute4(iface, frame, header, route)
    return
  }
  if (header.hopLimit <= 1) {
    mib.ip.InHdrErrors++
    sendIcmpError(iface, frame, header, IcmpType.TimeExceeded, IcmpTimeExceeded.Ttl, 0)
    stack.drop(frame, Drop['ip-ttl-expired'])
    return
  }
  const out = route.interface
  const mtu = route.mtu > 0 && route.mtu < out.mtu ? route.mtu : out.mtu
  const size = wholeSize(stack, frame, header)
  if (size > mtu && header.dontFragment) {
    mib.ip.FragFails++
    const { DestinationUnreachable } = IcmpType
    sendIcmpError(iface, frame, header, DestinationUnreachable, IcmpUnreachable.FragmentationNeeded, mtu)
    stack.drop(frame, Drop['ip-too-big'])
    return
  }
  if (out === iface && iface.settings.send_redirects !== 0) sendRedirect(iface, frame, header, route)
  if (!passOnHeader(iface, frame, header, out)) return
  mib.ip.ForwDatagrams++
  mib.ip.OutTransmits++
  mib.ipExt.OutOctets += frame.end - frame.start
  if (size <= mtu) {
    toNextHop(stack, stack.arp, frame, header, route)
    return
  }
  forwardPieces(stack, frame, header, route, mtu)
}

/** Takes one off the TTL, and adds this router to options that collect routers. @returns false if it was dropped */
const passOnHeader = (iface: NetworkInterface, frame: Frame, header: IpHeader, out: NetworkInterface): boolean => {
  const { stack } = iface
  const { memory, loop, clock } = stack.world
  const { u8, view } = memory
  const at = frame.start
  const before = view.getUint16(at + 8)
  u8[at + 8]!--
  view.setUint16(at + 10, updateChecksum(view.getUint16(at + 10), before, before - 0x100))
  if (header.headerLength === IPV4_MIN_HEADER) return true
  const scan = stack.optionScan
  if (scan.recordRouteAt < 0 && scan.timestampAt < 0) return true
  const sinceMidnight = Math.floor(((clock.epoch + loop.now) / 1000) % 86_400_000)
  const reason = recordIpv4Options(scan, header, memory, out.firstIpv4, sinceMidnight, stack)
  setIpv4Checksum(memory, at, header.headerLength)
  if (reason === Drop.none) return true
  stack.mib.ip.InHdrErrors++
  sendIcmpError(iface, frame, header, IcmpType.ParameterProblem, 0, scan.problemPointer)
  stack.drop(frame, reason)
  return false
}

const noRoute4 = (iface: NetworkInterface, frame: Frame, header: IpHeader, route: Route | null): void => {
  const { stack } = iface
  if (route === null) stack.mib.ipExt.InNoRoutes++
  else stack.mib.ip.InAddrErrors++
  const { Net, Host, CommunicationProhibited } = IcmpUnreachable
  const code = route === null ? Net : route.type === 'prohibit' ? CommunicationProhibited : Host
  if (route?.type !== 'blackhole') {
    sendIcmpError(iface, frame, header, IcmpType.DestinationUnreachable, code, 0)
  }
  stack.drop(frame, route?.type === 'prohibit' ? Drop['ip-administrative'] : Drop['ip-no-route'])
}

/** The size of the IP packet, or of the largest that a large segment is cut into. */
const wholeSize = (stack: IpStack, frame: Frame, header: IpHeader): number => {
  const length = frame.end - frame.start
  if (frame.segmentSize === 0) return length
  const { u8 } = stack.world.memory
  const tcpHeader = header.protocol === IpProtocol.Tcp ? (u8[frame.transport + 12]! >>> 4) << 2 : 0
  return Math.min(length, frame.transport - frame.start + tcpHeader + frame.segmentSize)
}

/** Sends a packet that is over the MTU in fragments; a large segment is first cut into the segments it stands for. */
const forwardPieces = (stack: IpStack, frame: Frame, header: IpHeader, route: Route, mtu: number): void => {
  const { pieces, segments, world } = stack
  if (frame.segmentSize > 0) {
    const reason = splitSegments(world, frame, MAX_PACKET, segments)
    if (reason !== Drop.none) {
      stack.drop(frame, reason)
      return
    }
  } else {
    if (frame.checksum === FrameChecksum.Partial) finishChecksum(world.memory, frame)
    segments.push(frame)
  }
  for (let segment = segments.shift(); segment !== null; segment = segments.shift()) {
    const reason = fragmentIpv4(stack, segment, mtu, pieces)
    if (reason !== Drop.none) stack.drop(segment, reason)
    for (let piece = pieces.shift(); piece !== null; piece = pieces.shift()) {
      toNextHop(stack, stack.arp, piece, header, route)
    }
  }
}

const toNextHop = (stack: IpStack, table: NeighbourTable, frame: Frame, header: IpHeader, route: Route): void => {
  const out = route.interface!
  if (!out.hasNeighbours) {
    out.transmit(frame, 0)
    return
  }
  const { gateway } = route
  let neighbour: ReturnType<NeighbourTable['obtain']> | undefined
  if (gateway !== null) neighbour = table.find(out, gateway.w0, gateway.w1, gateway.w2, gateway.w3)
  else {
    const { destination0, destination1, destination2, destination3 } = header
    neighbour = table.find(out, destination0, destination1, destination2, destination3)
  }
  if (neighbour === undefined) {
    const { destination0, destination1, destination2, destination3 } = header
    neighbour = table.obtain(out, gateway ?? addressOf(destination0, destination1, destination2, destination3))
    if (neighbour !== null && gateway !== null) neighbour.isGateway = true
  }
  if (neighbour === null) stack.drop(frame, Drop['neighbour-limit'])
  else neighbour.send(frame)
}

/** Passes an IPv6 packet on to its next hop (RFC 8200, RFC 4443). Owns the frame. */
export const ipv6Forward = (iface: NetworkInterface, frame: Frame, header: IpHeader): void => {
  const { stack } = iface
  const { ip6 } = stack.mib
  const { destination0, destination1, destination2, destination3 } = header
  const { DestinationUnreachable } = Icmpv6Type
  const fromNobody = header.sourceIsUnspecified6
  if (fromNobody || isLinkLocal6(header.source0) || isLinkLocal6(destination0)) {
    // What is local to a link never leaves it (RFC 4291 section 2.5.6).
    ip6.InAddrErrors++
    if (!fromNobody) sendIcmp6Error(iface, frame, header, DestinationUnreachable, Icmpv6Unreachable.BeyondScope, 0)
    stack.drop(frame, Drop['ip-scope'])
    return
  }
  const route = stack.routes.lookupMain(destination0, destination1, destination2, destination3, null)
  if (route === null || route.interface === null || !route.interface.isUp) {
    noRoute6(iface, frame, header, route)
    return
  }
  if (header.hopLimit <= 1) {
    ip6.InHdrErrors++
    sendIcmp6Error(iface, frame, header, Icmpv6Type.TimeExceeded, Icmpv6TimeExceeded.HopLimit, 0)
    stack.drop(frame, Drop['ip-ttl-expired'])
    return
  }
  const out = route.interface
  const linkMtu = Math.max(IPV6_MIN_MTU, out.ndp.mtu)
  const mtu = route.mtu >= IPV6_MIN_MTU && route.mtu < linkMtu ? route.mtu : linkMtu
  if (wholeSize(stack, frame, header) > mtu) {
    ip6.InTooBigErrors++
    ip6.FragFails++
    sendIcmp6Error(iface, frame, header, Icmpv6Type.PacketTooBig, 0, mtu)
    stack.drop(frame, Drop['ip-too-big'])
    return
  }
  if (out === iface && iface.settings.send_redirects !== 0) sendRedirect6(iface, frame, header, route)
  stack.world.memory.u8[frame.start + 7]!--
  ip6.OutForwDatagrams++
  ip6.OutTransmits++
  ip6.OutOctets += frame.end - frame.start
  toNextHop(stack, stack.nd, frame, header, route)
}

const noRoute6 = (iface: NetworkInterface, frame: Frame, header: IpHeader, route: Route | null): void => {
  const { stack } = iface
  stack.mib.ip6.InNoRoutes++
  const { NoRoute, Address, Prohibited } = Icmpv6Unreachable
  const code = route === null ? NoRoute : route.type === 'prohibit' ? Prohibited : Address
  if (route?.type !== 'blackhole') {
    sendIcmp6Error(iface, frame, header, Icmpv6Type.DestinationUnreachable, code, 0)
  }
  stack.drop(frame, route?.type === 'prohibit' ? Drop['ip-administrative'] : Drop['ip-no-route'])
}
