import type { Frame } from '../core/frame.ts'
import { IPV4_MAPPED, isLinkLocal6, isLoopback4, isMulticast4, isMulticast6 } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { IcmpParameterProblem, IcmpType } from '../wire/icmp.ts'
import { Ecn, type IpHeader } from '../wire/ip.ts'
import { IPV4_MIN_HEADER, parseIpv4 } from '../wire/ipv4.ts'
import { scanIpv4Options } from '../wire/ipv4-options.ts'
import { type Ipv6Chain, Ipv6Problem, parseIpv6, parseIpv6HopByHop } from '../wire/ipv6.ts'
import { ipv4Deliver, ipv6Deliver } from './deliver.ts'
import { ipv4Forward, ipv6Forward } from './forward.ts'
import { sendIcmpError } from './icmp-error.ts'
import { sendIcmp6Problem } from './icmpv6-error.ts'
import type { NetworkInterface } from './interface.ts'
import { LinkKind } from './link-kind.ts'
import { multicastScope, SCOPE_INTERFACE } from './scope.ts'
import type { Arrival, IpStack } from './stack.ts'

/** What is to become of packets between two addresses that came through one interface: the last answer, kept. */
export class InputCache {
  generation = 0
  source0 = 0
  source1 = 0
  source2 = 0
  source3 = 0
  destination0 = 0
  destination1 = 0
  destination2 = 0
  destination3 = 0
  forward = false
  private version = 0
  private readonly isOn: boolean

  /** @param isOn false for one that never keeps anything */
  constructor(isOn = true) {
    this.isOn = isOn
  }

  /**
   * Does the answer hold for this packet? It is not asked while settings want a look at every source, nor kept for
   * packets that are passed on once that is forbidden.
   */
  matches(header: IpHeader, iface: NetworkInterface): boolean {
    const { settings } = iface
    if (this.forward && (header.version === 4 ? settings.ip_forward : settings.ipv6_forwarding) === 0) return false
    return (
      this.generation === iface.stack.generation &&
      settings.rp_filter === 0 &&
      this.version === header.version &&
      this.destination3 === header.destination3 &&
      this.source3 === header.source3 &&
      // The rest of an IPv4 address is always the same.
      (header.version === 4 ||
        (this.destination2 === header.destination2 &&
          this.source2 === header.source2 &&
          this.destination1 === header.destination1 &&
          this.source1 === header.source1 &&
          this.destination0 === header.destination0 &&
          this.source0 === header.source0))
    )
  }

  keep(header: IpHeader, iface: NetworkInterface, forward: boolean): void {
    // What is let in by way of exception is looked at each time.
    if (!this.isOn || iface.settings.accept_local !== 0 || iface.settings.route_localnet !== 0) return
    this.generation = iface.stack.generation
    this.version = header.version
    this.source0 = header.source0
    this.source1 = header.source1
    this.source2 = header.source2
    this.source3 = header.source3
    this.destination0 = header.destination0
    this.destination1 = header.destination1
    this.destination2 = header.destination2
    this.destination3 = header.destination3
    this.forward = forward
  }
}

/** Takes in an IPv4 packet at `frame.start` (RFC 1122 section 3.2.1, RFC 1812 section 5.2). Owns the frame. */
export const ipv4Input = (iface: NetworkInterface, frame: Frame, kind: number): void => {
  const { stack } = iface
  const { mib, rx: header } = stack
  const { ip, ipExt } = mib
  ip.InReceives++
  ipExt.InOctets += frame.end - frame.start
  const reason = parseIpv4(header, stack.world.memory, frame.start, frame.end)
  if (reason !== Drop.none) {
    if (reason === Drop['ipv4-truncated']) ipExt.InTruncatedPkts++
    else ip.InHdrErrors++
    if (reason === Drop['ipv4-checksum']) ipExt.InCsumErrors++
    stack.drop(frame, reason)
    return
  }
  // Whatever the link has put behind the packet goes.
  frame.end = header.payloadEnd
  frame.transport = header.payloadStart
  const ecn = header.trafficClass & Ecn.Mask
  if (ecn === Ecn.NotEct) ipExt.InNoECTPkts++
  else if (ecn === Ecn.Ect0) ipExt.InECT0Pkts++
  else if (ecn === Ecn.Ect1) ipExt.InECT1Pkts++
  else ipExt.InCEPkts++
  if (header.headerLength > IPV4_MIN_HEADER && !checkOptions(iface, frame, header)) return
  if (kind === LinkKind.Host && iface.inputCache.matches(header, iface)) {
    stack.arrival = 'unicast'
    if (iface.inputCache.forward) ipv4Forward(iface, frame, header)
    else ipv4Deliver(iface, frame, header)
    return
  }
  ipv4Route(iface, frame, header, kind)
}

/** Options that are wrong are answered; source routes are refused (RFC 7126 section 4.3). @returns whether to go on */
const checkOptions = (iface: NetworkInterface, frame: Frame, header: IpHeader): boolean => {
  const { stack } = iface
  const scan = stack.optionScan
  const reason = scanIpv4Options(scan, header, stack.world.memory)
  if (reason !== Drop.none) {
    stack.mib.ip.InHdrErrors++
    sendIcmpError(iface, frame, header, IcmpType.ParameterProblem, IcmpParameterProblem.Pointer, scan.problemPointer)
    stack.drop(frame, reason)
    return false
  }
  if (scan.sourceRouteAt >= 0) {
    stack.mib.ip.InAddrErrors++
    stack.drop(frame, Drop['ipv4-source-route'])
    return false
  }
  return true
}

/** For whom is it, and can it come from where it says? */
const ipv4Route = (iface: NetworkInterface, frame: Frame, header: IpHeader, kind: number): void => {
  const { stack } = iface
  const { routes, mib } = stack
  const source = header.source3
  const destination = header.destination3
  const multicast = isMulticast4(destination)
  const everybody = destination === -1 || (destination === 0 && source === 0)
  const reason = kind === LinkKind.Own ? Drop.none : checkIpv4Source(iface, source, multicast || everybody)
  if (reason !== Drop.none) {
    if (reason === Drop['ip-reverse-path']) mib.tcpExt.IPReversePathFilter++
    stack.drop(frame, reason)
    return
  }
  if (multicast) {
    mib.ipExt.InMcastPkts++
    mib.ipExt.InMcastOctets += header.payloadEnd - header.payloadStart + header.headerLength
    const group = stack.groups.get(0, 0, IPV4_MAPPED, destination, iface.index)
    if (group === undefined || !group.admits(0, 0, IPV4_MAPPED, source)) {
      stack.drop(frame, Drop['ip-no-group'])
      return
    }
    deliver(iface, frame, header, 'multicast')
    return
  }
  if (everybody) {
    countBroadcast(stack, header)
    deliver(iface, frame, header, 'broadcast')
    return
  }
  if (destination === 0 || destination >>> 24 === 0) {
    stack.drop(frame, Drop['ip-martian'])
    return
  }
  if (isLoopback4(destination) && !iface.isLoopback && iface.settings.route_localnet === 0) {
    stack.drop(frame, Drop['ip-martian'])
    return
  }
  const local = routes.lookupLocal(0, 0, IPV4_MAPPED, destination, null)
  if (local !== null && local.type === 'broadcast') {
    countBroadcast(stack, header)
    deliver(iface, frame, header, 'broadcast')
    return
  }
  if (kind === LinkKind.Broadcast || kind === LinkKind.Multicast) {
    // Sent to everybody on the link, but meant for one (RFC 1122 section 3.3.6).
    mib.ip.InAddrErrors++
    stack.drop(frame, Drop['ip-link-broadcast'])
    return
  }
  if (local !== null) {
    iface.inputCache.keep(header, iface, false)
    deliver(iface, frame, header, 'unicast')
    return
  }
  if (iface.settings.ip_forward === 0) {
    mib.ip.InAddrErrors++
    stack.drop(frame, Drop['ip-not-for-us'])
    return
  }
  iface.inputCache.keep(header, iface, true)
  ipv4Forward(iface, frame, header)
}

const deliver = (iface: NetworkInterface, frame: Frame, header: IpHeader, arrival: Arrival): void => {
  iface.stack.arrival = arrival
  if (header.version === 4) ipv4Deliver(iface, frame, header)
  else ipv6Deliver(iface, frame, header)
}

const countBroadcast = (stack: IpStack, header: IpHeader): void => {
  stack.mib.ipExt.InBcastPkts++
  stack.mib.ipExt.InBcastOctets += header.payloadEnd - header.payloadStart + header.headerLength
}

/** Sources that no packet from outside can have are refused (RFC 1812 section 5.3.7). @returns a drop reason */
export const checkIpv4Source = (iface: NetworkInterface, source: number, toGroup: boolean): number => {
  const { stack, settings } = iface
  if (isMulticast4(source) || source === -1) return Drop['ip-martian']
  // 0.0.0.0 is for hosts that do not know their address yet, and speak to all.
  if (source >>> 24 === 0) return source === 0 && toGroup ? Drop.none : Drop['ip-martian']
  if (iface.isLoopback) return Drop.none
  if (isLoopback4(source) && settings.route_localnet === 0) return Drop['ip-martian']
  const route = stack.routes.lookupLocal(0, 0, IPV4_MAPPED, source, null)
  if (route !== null) return route.type === 'local' && settings.accept_local !== 0 ? Drop.none : Drop['ip-martian']
  if (settings.rp_filter === 0) return Drop.none
  const back = stack.routes.lookupMain(0, 0, IPV4_MAPPED, source, null)
  if (back === null || back.interface === null) return Drop['ip-reverse-path']
  return settings.rp_filter === 1 && back.interface !== iface ? Drop['ip-reverse-path'] : Drop.none
}

/** Takes in an IPv6 packet at `frame.start` (RFC 8200). Owns the frame. */
export const ipv6Input = (iface: NetworkInterface, frame: Frame, kind: number): void => {
  const { stack } = iface
  const { mib, rx: header, chain } = stack
  const { ip6 } = mib
  const { memory } = stack.world
  ip6.InReceives++
  ip6.InOctets += frame.end - frame.start
  if (!iface.ndp.isEnabled) {
    ip6.InDiscards++
    stack.drop(frame, Drop['ipv6-disabled'])
    return
  }
  let reason = parseIpv6(header, memory, frame.start, frame.end)
  if (reason === Drop.none) {
    frame.end = header.payloadEnd
    frame.transport = header.payloadStart
    const ecn = header.trafficClass & Ecn.Mask
    if (ecn === Ecn.NotEct) ip6.InNoECTPkts++
    else if (ecn === Ecn.Ect0) ip6.InECT0Pkts++
    else if (ecn === Ecn.Ect1) ip6.InECT1Pkts++
    else ip6.InCEPkts++
    reason = checkIpv6Addresses(iface, header, kind)
  }
  if (reason !== Drop.none) {
    if (reason === Drop['ipv6-truncated']) ip6.InTruncatedPkts++
    else ip6.InHdrErrors++
    stack.drop(frame, reason)
    return
  }
  reason = parseIpv6HopByHop(header, chain, memory)
  if (reason !== Drop.none) {
    ip6.InHdrErrors++
    answerProblem(iface, frame, header, chain)
    stack.drop(frame, reason)
    return
  }
  if (kind === LinkKind.Host && iface.inputCache.matches(header, iface)) {
    stack.arrival = 'unicast'
    if (iface.inputCache.forward) ipv6Forward(iface, frame, header)
    else ipv6Deliver(iface, frame, header)
    return
  }
  ipv6Route(iface, frame, header, kind)
}

/** Tells the sender what is wrong with a header, if that is to be told. */
const answerProblem = (iface: NetworkInterface, frame: Frame, header: IpHeader, chain: Ipv6Chain): void => {
  if (chain.problem < 0) return
  if (isMulticast6(header.destination0) && !chain.problemToMulticast) return
  sendIcmp6Problem(iface, frame, header, chain.problem, chain.problemPointer, chain.problem === Ipv6Problem.Option)
}

/** Addresses that cannot come from a link (RFC 4291 sections 2.5.3, 2.7). @returns a drop reason */
const checkIpv6Addresses = (iface: NetworkInterface, header: IpHeader, kind: number): number => {
  if (isMulticast6(header.source0)) return Drop['ipv6-source']
  if (iface.isLoopback || kind === LinkKind.Own) return Drop.none
  if (isLoopback6(header.source0, header.source1, header.source2, header.source3)) return Drop['ip-martian']
  if (isLoopback6(header.destination0, header.destination1, header.destination2, header.destination3)) {
    return Drop['ip-martian']
  }
  if (!isMulticast6(header.destination0)) {
    // Sent to everybody on the link, but meant for one.
    return kind === LinkKind.Host ? Drop.none : Drop['ip-link-broadcast']
  }
  return multicastScope(header.destination0) <= SCOPE_INTERFACE ? Drop['ip-scope'] : Drop.none
}

const isLoopback6 = (w0: number, w1: number, w2: number, w3: number): boolean =>
  w3 === 1 && w0 === 0 && w1 === 0 && w2 === 0

const ipv6Route = (iface: NetworkInterface, frame: Frame, header: IpHeader, kind: number): void => {
  const { stack } = iface
  const { mib } = stack
  const { destination0, destination1, destination2, destination3 } = header
  if (isMulticast6(destination0)) {
    mib.ip6.InMcastPkts++
    mib.ip6.InMcastOctets += header.payloadEnd - header.payloadStart + header.headerLength
    const group = stack.groups.get(destination0, destination1, destination2, destination3, iface.index)
    const { source0, source1, source2, source3 } = header
    if (group === undefined || !group.admits(source0, source1, source2, source3)) {
      stack.drop(frame, Drop['ip-no-group'])
      return
    }
    deliver(iface, frame, header, 'multicast')
    return
  }
  // A link-local address counts on its own link only; what the host sends to itself comes through lo.
  const scoped = isLinkLocal6(destination0) && !iface.isLoopback
  const local = stack.routes.lookupLocal(destination0, destination1, destination2, destination3, scoped ? iface : null)
  if (local !== null && local.type === 'local') {
    if (local.interface !== null && iface.isLoopback && isLinkLocal6(destination0)) {
      deliver(local.interface, frame, header, 'unicast')
      return
    }
    if (kind === LinkKind.Host) iface.inputCache.keep(header, iface, false)
    deliver(iface, frame, header, 'unicast')
    return
  }
  if (iface.settings.ipv6_forwarding === 0) {
    mib.ip6.InAddrErrors++
    stack.drop(frame, Drop['ip-not-for-us'])
    return
  }
  iface.inputCache.keep(header, iface, true)
  ipv6Forward(iface, frame, header)
}
