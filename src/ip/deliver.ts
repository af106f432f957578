import type { Frame } from '../core/frame.ts'
import { isMulticast6 } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { IcmpType, IcmpUnreachable } from '../wire/icmp.ts'
import { type IpHeader, IpProtocol } from '../wire/ip.ts'
import { parseIpv4 } from '../wire/ipv4.ts'
import { Ipv6Problem, parseIpv6, parseIpv6Extensions, parseIpv6HopByHop } from '../wire/ipv6.ts'
import { sendIcmpError } from './icmp-error.ts'
import { sendIcmp6Problem } from './icmpv6-error.ts'
import type { NetworkInterface } from './interface.ts'

/** Hands an IPv4 packet for this host, when it is whole, to its protocol. Owns the frame. */
export const ipv4Deliver = (iface: NetworkInterface, frame: Frame, header: IpHeader): void => {
  const { stack } = iface
  let packet = frame
  if (header.isFragment) {
    const whole = stack.reassembly.add(iface, frame, header, null)
    if (whole === null) return
    packet = whole
    parseIpv4(header, stack.world.memory, whole.start, whole.end)
  }
  const { mib } = stack
  const raw = stack.rawReceiver?.(header, packet, iface) === true
  const transport = header.protocol === IpProtocol.Icmpv6 ? null : stack.transport(header.protocol)
  if (transport !== null) {
    mib.ip.InDelivers++
    packet.start = header.payloadStart
    transport.receive(header, packet, iface)
    return
  }
  if (raw) {
    mib.ip.InDelivers++
    stack.world.frames.release(packet)
    return
  }
  mib.ip.InUnknownProtos++
  sendIcmpError(iface, packet, header, IcmpType.DestinationUnreachable, IcmpUnreachable.Protocol, 0)
  stack.drop(packet, Drop['ip-unknown-protocol'])
}

/** Hands an IPv6 packet for this host, when it is whole, to its protocol. Owns the frame. */
export const ipv6Deliver = (iface: NetworkInterface, frame: Frame, header: IpHeader): void => {
  const { stack } = iface
  const { mib, chain } = stack
  const { memory } = stack.world
  let packet = frame
  let reason = parseIpv6Extensions(header, chain, memory)
  if (reason === Drop.none && header.isFragment) {
    const whole = stack.reassembly.add(iface, frame, header, chain)
    if (whole === null) return
    packet = whole
    reason = parseIpv6(header, memory, whole.start, whole.end)
    if (reason === Drop.none) reason = parseIpv6HopByHop(header, chain, memory)
    if (reason === Drop.none) reason = parseIpv6Extensions(header, chain, memory)
    // A fragment inside a whole packet: nobody has sent that (RFC 8200 section 4.5).
    if (reason === Drop.none && header.isFragment) reason = Drop['ipv6-extension-order']
  }
  const whole = reason === Drop.none || reason === Drop['ipv6-no-next-header']
  const raw = whole && stack.rawReceiver?.(header, packet, iface) === true
  if (reason !== Drop.none) {
    if (reason !== Drop['ipv6-no-next-header']) mib.ip6.InHdrErrors++
    const told = chain.problem >= 0 && (!isMulticast6(header.destination0) || chain.problemToMulticast)
    if (told) {
      sendIcmp6Problem(iface, packet, header, chain.problem, chain.problemPointer, chain.problem === Ipv6Problem.Option)
    }
    stack.drop(packet, reason)
    return
  }
  packet.transport = header.payloadStart
  const { protocol } = header
  const transport = protocol === IpProtocol.Icmp || protocol === IpProtocol.Igmp ? null : stack.transport(protocol)
  if (transport !== null) {
    mib.ip6.InDelivers++
    packet.start = header.payloadStart
    transport.receive(header, packet, iface)
    return
  }
  if (raw) {
    mib.ip6.InDelivers++
    stack.world.frames.release(packet)
    return
  }
  mib.ip6.InUnknownProtos++
  const pointer = header.nextHeaderAt - packet.network
  sendIcmp6Problem(iface, packet, header, Ipv6Problem.NextHeader, pointer, false)
  stack.drop(packet, Drop['ip-unknown-protocol'])
}
