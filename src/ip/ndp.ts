import type { Frame } from '../core/frame.ts'
import type { IpAddress } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { Icmpv6Type, Icmpv6Unreachable } from '../wire/icmpv6.ts'
import type { IpHeader } from '../wire/ip.ts'
import { readIpv6 } from '../wire/ipv6.ts'
import { type NdpMessage, parseNdp, solicitedNode } from '../wire/ndp.ts'
import { duplicateFound } from './duplicate.ts'
import { sendIcmp6Error } from './icmpv6-error.ts'
import type { NetworkInterface } from './interface.ts'
import { sendNdp } from './ndp-send.ts'
import { type Neighbour, type NeighbourProtocol, NeighbourUpdate, Nud } from './neighbour.ts'
import { acceptRedirect6 } from './redirect.ts'
import { ALL_NODES6 } from './scope.ts'
import type { IpStack } from './stack.ts'

/** Neighbour discovery as the neighbour table needs it: asking, and refusing what waited in vain. */
export class NdpNeighbours implements NeighbourProtocol {
  readonly family = 6
  private readonly stack: IpStack

  constructor(stack: IpStack) {
    this.stack = stack
  }

  solicit(neighbour: Neighbour, unicast: boolean, waiting: Frame | null): void {
    const { interface: iface, address } = neighbour
    const source = this.sourceFor(iface, waiting)
    if (source === null) return
    const message = this.stack.ndpOut
    message.clear()
    message.type = Icmpv6Type.NeighborSolicitation
    message.target = address
    message.sourceMac = iface.mac
    sendNdp(iface, source, unicast ? address : solicitedNode(address))
  }

  unreachable(neighbour: Neighbour, frame: Frame): void {
    const { stack } = this
    const { quote } = stack
    if (readIpv6(quote, stack.world.memory, frame.start, frame.end) === Drop.none) {
      const { DestinationUnreachable } = Icmpv6Type
      sendIcmp6Error(neighbour.interface, frame, quote, DestinationUnreachable, Icmpv6Unreachable.Address, 0)
    }
    stack.drop(frame, Drop['neighbour-unresolved'])
  }

  /** The address to ask from: the waiting packet's source, if it is the interface's (RFC 4861 section 7.2.2). */
  private sourceFor(iface: NetworkInterface, waiting: Frame | null): IpAddress | null {
    if (waiting !== null) {
      const { view } = this.stack.world.memory
      const at = waiting.network + 8
      for (const entry of iface.addresses) {
        const { address } = entry
        if (
          entry.isUsable &&
          !address.isIpv4 &&
          address.w3 === view.getInt32(at + 12) &&
          address.w2 === view.getInt32(at + 8) &&
          address.w1 === view.getInt32(at + 4) &&
          address.w0 === view.getInt32(at)
        ) {
          return address
        }
      }
    }
    return iface.linkLocal
  }
}

/** Takes in a message of neighbour discovery. @returns a drop reason; the packet stays the caller's */
export const ndpInput = (from: NetworkInterface, header: IpHeader): number => {
  const { stack } = from
  const message = stack.ndpIn
  const reason = parseNdp(message, header, stack.world.memory, header.payloadStart, header.payloadEnd)
  if (reason !== Drop.none) {
    stack.mib.icmp6.InErrors++
    return reason
  }
  if (!from.hasNeighbours) return Drop['ndp-ignored']
  switch (message.type) {
    case Icmpv6Type.NeighborSolicitation:
      return solicited(from, header, message)
    case Icmpv6Type.NeighborAdvertisement:
      return advertised(from, message)
    case Icmpv6Type.RouterSolicitation:
      return routerSolicited(from, header, message)
    case Icmpv6Type.RouterAdvertisement:
      return from.ndp.routerAdvertised(header, message)
    default:
      return acceptRedirect6(from, header, message)
  }
}

/** A neighbour solicitation (RFC 4861 section 7.2.3, RFC 4862 section 5.4.3). */
const solicited = (from: NetworkInterface, header: IpHeader, message: NdpMessage): number => {
  const { stack } = from
  const entry = from.findAddress(message.target)
  if (entry === null) return Drop['ndp-target']
  const probing = header.sourceIsUnspecified6
  if (entry.isTentative) {
    // Somebody else asks for the same address to see whether it is free: unless it is our own probe come back.
    if (probing && !(entry.detection?.isOwnNonce(message.nonce) ?? false)) duplicateFound(entry)
    return Drop.none
  }
  if (!entry.isUsable) return Drop['ndp-target']
  const target = entry.address
  const reply = stack.ndpOut
  reply.clear()
  reply.type = Icmpv6Type.NeighborAdvertisement
  reply.target = target
  reply.isRouter = from.settings.ipv6_forwarding !== 0
  reply.isOverride = true
  reply.targetMac = from.mac
  if (probing) {
    sendNdp(from, target, ALL_NODES6)
    return Drop.none
  }
  const asker = header.source
  if (message.sourceMac >= 0) {
    stack.nd.obtain(from, asker)?.update(message.sourceMac, Nud.Stale, NeighbourUpdate.Override)
  }
  reply.isSolicited = true
  sendNdp(from, target, asker)
  return Drop.none
}

/** A neighbour advertisement (RFC 4861 section 7.2.5, RFC 4862 section 5.4.4). */
const advertised = (from: NetworkInterface, message: NdpMessage): number => {
  const { stack } = from
  const own = from.findAddress(message.target)
  if (own !== null) {
    if (own.isTentative) duplicateFound(own)
    return Drop.none
  }
  const { target0, target1, target2, target3 } = message
  const neighbour = stack.nd.find(from, target0, target1, target2, target3)
  // Whoever was not asked about is of no interest.
  if (neighbour === undefined || neighbour.state === Nud.Failed) return Drop['ndp-ignored']
  let flags: number = NeighbourUpdate.WeakOverride | NeighbourUpdate.RouterKnown
  if (message.isOverride) flags |= NeighbourUpdate.Override
  if (message.isRouter) flags |= NeighbourUpdate.IsRouter
  neighbour.update(message.targetMac, message.isSolicited ? Nud.Reachable : Nud.Stale, flags)
  return Drop.none
}

/** A router solicitation (RFC 4861 section 6.2.6). */
const routerSolicited = (from: NetworkInterface, header: IpHeader, message: NdpMessage): number => {
  const { advertiser } = from.ndp
  if (advertiser === null) return Drop['ndp-ignored']
  if (message.sourceMac >= 0 && !header.sourceIsUnspecified6) {
    const neighbour = from.stack.nd.obtain(from, header.source)
    neighbour?.update(message.sourceMac, Nud.Stale, NeighbourUpdate.Override | NeighbourUpdate.RouterKnown)
  }
  advertiser.solicited()
  return Drop.none
}
