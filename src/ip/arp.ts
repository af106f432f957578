import type { Frame } from '../core/frame.ts'
import { IPV4_MAPPED, ipv4, isLoopback4, isMulticast4, MAC_BROADCAST, type MacAddress } from '../wire/address.ts'
import { ARP_LENGTH, ArpOperation, type ArpPacket, emitArp, parseArp } from '../wire/arp.ts'
import { Drop } from '../wire/drop.ts'
import { EtherType } from '../wire/ethernet.ts'
import { IcmpType, IcmpUnreachable } from '../wire/icmp.ts'
import { readIpv4 } from '../wire/ipv4.ts'
import type { InterfaceAddress } from './address.ts'
import { sendIcmpError } from './icmp-error.ts'
import { checkIpv4Source } from './input.ts'
import type { NetworkInterface } from './interface.ts'
import { LinkKind } from './link-kind.ts'
import { type Neighbour, type NeighbourProtocol, NeighbourUpdate, Nud } from './neighbour.ts'
import { Scope } from './route.ts'
import { selectIpv4Source } from './select.ts'
import type { IpStack } from './stack.ts'

/** ARP as the neighbour table needs it: asking, and refusing what waited in vain. */
export class ArpProtocol implements NeighbourProtocol {
  readonly family = 4
  private readonly stack: IpStack

  constructor(stack: IpStack) {
    this.stack = stack
  }

  solicit(neighbour: Neighbour, unicast: boolean, waiting: Frame | null): void {
    const { interface: iface, address } = neighbour
    const source = this.sourceFor(iface, neighbour, waiting)
    sendArp(iface, ArpOperation.Request, source, 0, address.w3, unicast ? neighbour.mac : MAC_BROADCAST)
  }

  unreachable(neighbour: Neighbour, frame: Frame): void {
    const { stack } = this
    const { quote } = stack
    if (readIpv4(quote, stack.world.memory, frame.start, frame.end) === Drop.none) {
      const { DestinationUnreachable } = IcmpType
      sendIcmpError(neighbour.interface, frame, quote, DestinationUnreachable, IcmpUnreachable.Host, 0)
    }
    stack.drop(frame, Drop['neighbour-unresolved'])
  }

  /** The address to ask from, by `arp_announce`: that of the packet that waits, if it is this host's. */
  private sourceFor(iface: NetworkInterface, neighbour: Neighbour, waiting: Frame | null): number {
    const { stack } = this
    const { arp_announce } = iface.settings
    if (waiting !== null && arp_announce < 2) {
      const bits = stack.world.memory.view.getInt32(waiting.network + 12)
      const own = stack.isLocalWords(0, 0, IPV4_MAPPED, bits)
      if (own && (arp_announce === 0 || isOnSubnet(iface, bits, neighbour))) return bits
    }
    return selectIpv4Source(stack, iface, neighbour.address, Scope.Link).w3
  }
}

const isOnSubnet = (iface: NetworkInterface, bits: number, neighbour: Neighbour): boolean =>
  iface.addresses.some((entry) => entry.address.w3 === bits && entry.covers(neighbour.address))

/** Takes in an ARP packet at `frame.start` (RFC 826, RFC 5227). Owns the frame. */
export const arpInput = (iface: NetworkInterface, frame: Frame, kind: number): void => {
  const { stack } = iface
  const packet = stack.arpIn
  let reason = parseArp(packet, stack.world.memory, frame.start, frame.end)
  if (reason === Drop.none && !iface.hasNeighbours) reason = Drop['arp-not-for-us']
  if (reason === Drop.none) reason = arpPacket(iface, packet, kind)
  if (reason === Drop.none) stack.world.frames.release(frame)
  else stack.drop(frame, reason)
}

const arpPacket = (iface: NetworkInterface, packet: ArpPacket, kind: number): number => {
  const { stack } = iface
  const { senderIp, targetIp, senderMac } = packet
  if (isMulticast4(targetIp) || isLoopback4(targetIp)) return Drop['arp-not-for-us']
  const conflict = findConflict(iface, packet)
  if (conflict !== null) {
    iface.addressConflict(conflict)
    return Drop['arp-conflict']
  }
  const isRequest = packet.operation === ArpOperation.Request
  if (isRequest && answers(iface, packet) && mayAsk(iface, senderIp)) {
    // Whoever asks will be answered, and so is worth knowing (RFC 826).
    if (senderIp !== 0) {
      stack.arp.obtain(iface, ipv4(senderIp))?.update(senderMac, Nud.Stale, NeighbourUpdate.Override)
    }
    sendArp(iface, ArpOperation.Reply, targetIp, senderMac, senderIp, senderMac)
    return Drop.none
  }
  if (senderIp === 0) return Drop['arp-not-for-us']
  let neighbour = stack.arp.find(iface, 0, 0, IPV4_MAPPED, senderIp)
  if (neighbour === undefined && packet.isAnnouncement && iface.settings.arp_accept !== 0) {
    neighbour = stack.arp.obtain(iface, ipv4(senderIp)) ?? undefined
  }
  if (neighbour === undefined) return Drop['arp-not-for-us']
  const solicited = !isRequest && kind === LinkKind.Host
  // The first of several answers holds for a while, unless somebody speaks for itself to all.
  const age = stack.world.loop.now - neighbour.updated
  const override = age > iface.settings.locktime_ms * 1000 || packet.isAnnouncement || !neighbour.isValid
  neighbour.update(senderMac, solicited ? Nud.Reachable : Nud.Stale, override ? NeighbourUpdate.Override : 0)
  return Drop.none
}

/** An address of this interface that the sender claims too, or asks for while it is being checked here. */
const findConflict = (iface: NetworkInterface, packet: ArpPacket): InterfaceAddress | null => {
  if (packet.senderMac === iface.mac) return null
  for (const entry of iface.addresses) {
    if (!entry.address.isIpv4) continue
    if (packet.senderIp === entry.address.w3) return entry
    if (packet.isProbe && entry.isTentative && packet.targetIp === entry.address.w3) return entry
  }
  return null
}

/** Can packets come from there? Who does not know its address yet may ask too. */
const mayAsk = (iface: NetworkInterface, senderIp: number): boolean =>
  senderIp === 0 || checkIpv4Source(iface, senderIp, false) === Drop.none

/** Does this host answer for the address asked for, by `arp_ignore`? */
const answers = (iface: NetworkInterface, packet: ArpPacket): boolean => {
  const { stack, settings } = iface
  const { targetIp } = packet
  if (!stack.isLocalWords(0, 0, IPV4_MAPPED, targetIp)) return false
  if (settings.arp_ignore === 0) return true
  const entry = iface.findAddress(ipv4(targetIp))
  if (entry === null) return false
  return settings.arp_ignore === 1 || packet.senderIp === 0 || entry.covers(ipv4(packet.senderIp))
}

/**
 * Sends an ARP packet on the link of `iface`.
 * @param senderIp, targetIp as signed integers
 * @param to link-layer address of the frame
 */
const sendArp = (
  iface: NetworkInterface,
  operation: number,
  senderIp: number,
  targetMac: MacAddress,
  targetIp: number,
  to: MacAddress,
): void => {
  const { stack } = iface
  const frame = stack.world.frames.allocate(ARP_LENGTH)
  if (frame === null) {
    stack.mib.drops[Drop['no-memory']]!++
    return
  }
  const packet = stack.arpOut
  packet.operation = operation
  packet.senderMac = iface.mac
  packet.senderIp = senderIp
  packet.targetMac = targetMac
  packet.targetIp = targetIp
  frame.end = frame.start + emitArp(packet, stack.world.memory, frame.start)
  frame.network = frame.start
  frame.etherType = EtherType.Arp
  iface.transmit(frame, to)
}

/** Asks whether anybody has an address, without claiming it (RFC 5227 section 2.1.1). */
export const probeAddress = (entry: InterfaceAddress): void =>
  sendArp(entry.interface, ArpOperation.Request, 0, 0, entry.address.w3, MAC_BROADCAST)

/** Tells everybody on the link who has an address (RFC 5227 section 2.3). */
export const announceAddress = (entry: InterfaceAddress): void => {
  const { interface: iface, address } = entry
  if (iface.hasNeighbours) sendArp(iface, ArpOperation.Request, address.w3, 0, address.w3, MAC_BROADCAST)
}
