import type { Frame } from '../core/frame.ts'
import { IPV4_MAPPED, type IpAddress, ipv4 } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { type IcmpMessage, IcmpRedirect, IcmpType } from '../wire/icmp.ts'
import type { IpHeader } from '../wire/ip.ts'
import type { NdpMessage } from '../wire/ndp.ts'
import { parseQuote } from '../wire/quote.ts'
import { sendIcmpError } from './icmp-error.ts'
import type { NetworkInterface } from './interface.ts'
import { sendNdpRedirect } from './ndp-send.ts'
import { NeighbourUpdate, Nud } from './neighbour.ts'
import type { Route } from './route.ts'

/** Time for which one redirect to a host counts, microseconds. */
const REDIRECT_INTERVAL = 1e6

/**
 * Tells the source of a packet, which leaves through the interface it came by, of the better first hop (RFC 1812
 * section 5.2.7.2). The packet goes on all the same.
 */
export const sendRedirect = (iface: NetworkInterface, frame: Frame, header: IpHeader, route: Route): void => {
  const { stack } = iface
  // The source must be on this link, or it could not use the other hop.
  const back = stack.routes.lookupMain(0, 0, IPV4_MAPPED, header.source3, null)
  if (back === null || back.interface !== iface || back.gateway !== null) return
  if (!stack.rateLimit.allowPeer(0, 0, REDIRECT_KEY, header.source3, REDIRECT_INTERVAL)) return
  const gateway = route.gateway === null ? header.destination3 : route.gateway.w3
  sendIcmpError(iface, frame, header, IcmpType.Redirect, IcmpRedirect.Host, gateway)
}

/** Keeps the credit for redirects apart from that for errors. */
const REDIRECT_KEY = 0x7ed1_7ec7

/** The same for IPv6 (RFC 4861 section 8.2). */
export const sendRedirect6 = (iface: NetworkInterface, frame: Frame, header: IpHeader, route: Route): void => {
  const { stack } = iface
  const { source0, source1, source2, source3 } = header
  const target = route.gateway ?? header.destination
  // A router is named by its link-local address.
  if (route.gateway !== null && !route.gateway.isLinkLocal) return
  const back = stack.routes.lookupMain(source0, source1, source2, source3, null)
  if (back === null || back.interface !== iface || back.gateway !== null) return
  if (!stack.rateLimit.allowPeer(source0, source1 ^ REDIRECT_KEY, source2, source3, REDIRECT_INTERVAL)) return
  sendNdpRedirect(iface, frame, header, target)
}

/**
 * Takes in a redirect: a host follows it when it comes from the gateway it now uses, and leads to another one on the
 * link (RFC 1122 section 3.2.2.2).
 * @returns a drop reason
 */
export const acceptRedirect = (from: NetworkInterface, header: IpHeader, message: IcmpMessage): number => {
  const { stack, settings } = from
  if (settings.accept_redirects === 0 || settings.ip_forward !== 0 || stack.arrival !== 'unicast') {
    return Drop['icmp-ignored']
  }
  const { quote } = stack
  if (parseQuote(quote, stack.world.memory, message.dataStart, message.dataEnd) !== Drop.none || quote.version !== 4) {
    return Drop['icmp-bad-quote']
  }
  if (message.code > IcmpRedirect.HostTos || !stack.isLocalWords(0, 0, IPV4_MAPPED, quote.source3)) {
    return Drop['icmp-redirect']
  }
  const gateway = ipv4(message.gateway)
  if (gateway.isMulticast || gateway.isLimitedBroadcast || gateway.isUnspecified || stack.isLocal(gateway)) {
    return Drop['icmp-redirect']
  }
  const now = stack.resolve(quote.destination)
  if (typeof now === 'number' || now.kind !== 'unicast' || now.interface !== from) return Drop['icmp-redirect']
  const hop = now.gateway ?? now.address
  if (hop.w3 !== header.source3 || hop.equals(gateway)) return Drop['icmp-redirect']
  const way = stack.routes.lookupMain(0, 0, IPV4_MAPPED, gateway.w3, from)
  if (way === null || way.gateway !== null || way.type !== 'unicast') return Drop['icmp-redirect']
  if (settings.secure_redirects !== 0 && !isKnownGateway(from, gateway)) return Drop['icmp-redirect']
  stack.paths.redirect(now.address, gateway, from)
  return Drop.none
}

const isKnownGateway = (from: NetworkInterface, gateway: IpAddress): boolean =>
  from.stack.routes.all().some((route) => route.gateway?.equals(gateway) === true)

/** The same for IPv6, of a message that has been validated (RFC 4861 section 8.3). @returns a drop reason */
export const acceptRedirect6 = (from: NetworkInterface, header: IpHeader, message: NdpMessage): number => {
  const { stack, settings } = from
  if (settings.accept_ipv6_redirects === 0 || settings.ipv6_forwarding !== 0) return Drop['icmp-ignored']
  const address = message.destination
  const target = message.target
  const now = stack.resolve(address)
  if (typeof now === 'number' || now.kind !== 'unicast' || now.interface !== from) return Drop['icmp-redirect']
  const hop = now.gateway ?? now.address
  if (!header.sourceIs(hop) || hop.equals(target)) return Drop['icmp-redirect']
  if (message.targetMac >= 0) {
    const neighbour = stack.nd.obtain(from, target)
    let flags: number = NeighbourUpdate.Override
    if (!target.equals(address)) flags |= NeighbourUpdate.RouterKnown | NeighbourUpdate.IsRouter
    neighbour?.update(message.targetMac, Nud.Stale, flags)
  }
  stack.paths.redirect(address, target, from)
  return Drop.none
}
