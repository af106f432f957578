import type { Frame } from '../core/frame.ts'
import { isGroupMac, MAC_BROADCAST } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { ETHERNET_HEADER, EtherType, isMac, readMac, VLAN_TAG } from '../wire/ethernet.ts'
import { arpInput } from './arp.ts'
import { ipv4Input, ipv6Input } from './input.ts'
import type { NetworkInterface } from './interface.ts'
import { LinkKind } from './link-kind.ts'

/** Takes in a frame with an Ethernet header: for whom it is, and what it carries. Owns the frame. */
export const ethernetInput = (iface: NetworkInterface, frame: Frame): void => {
  const { stack } = iface
  const { memory } = stack.world
  const at = frame.start
  if (frame.end - at < ETHERNET_HEADER) {
    refuse(iface, frame, Drop['eth-truncated'])
    return
  }
  let kind: number = LinkKind.Host
  if (!isMac(memory, at, iface.macHigh, iface.macLow)) {
    const destination = readMac(memory, at)
    if (destination === MAC_BROADCAST) kind = LinkKind.Broadcast
    else if (isGroupMac(destination)) {
      kind = LinkKind.Multicast
      iface.statistics.rxMulticast++
    } else kind = LinkKind.OtherHost
  }
  const type = memory.view.getUint16(at + 12)
  if (isTag(type)) {
    vlanInput(iface, frame, type)
    return
  }
  if (kind === LinkKind.OtherHost) {
    // It came because the interface is promiscuous; taps have seen it.
    stack.drop(frame, Drop['eth-not-for-us'])
    return
  }
  if (isMac(memory, at + 6, iface.macHigh, iface.macLow) && !iface.isLoopback) {
    iface.statistics.rxDropped++
    stack.drop(frame, Drop['eth-own-source'])
    return
  }
  frame.start = at + ETHERNET_HEADER
  frame.network = frame.start
  frame.etherType = type
  if (type === EtherType.Ipv4) ipv4Input(iface, frame, kind)
  else if (type === EtherType.Ipv6) ipv6Input(iface, frame, kind)
  else if (type === EtherType.Arp) arpInput(iface, frame, kind)
  else {
    iface.statistics.rxDropped++
    stack.drop(frame, Drop['eth-unknown-type'])
  }
}

/** Takes in an IP packet that came without a link header. Owns the frame. */
export const ipMediumInput = (iface: NetworkInterface, frame: Frame): void => {
  const { memory } = iface.stack.world
  frame.network = frame.start
  const version = frame.end > frame.start ? memory.u8[frame.start]! >>> 4 : 0
  if (version === 4) {
    frame.etherType = EtherType.Ipv4
    ipv4Input(iface, frame, LinkKind.Host)
  } else if (version === 6) {
    frame.etherType = EtherType.Ipv6
    ipv6Input(iface, frame, LinkKind.Host)
  } else refuse(iface, frame, Drop['ip-version'])
}

/** Takes in a copy of a packet that the host has sent to a group, or to everybody. Owns the frame. */
export const ownPacketInput = (iface: NetworkInterface, frame: Frame): void => {
  frame.network = frame.start
  const kind = iface.stack.world.memory.u8[frame.start]! >>> 4 === 4 ? EtherType.Ipv4 : EtherType.Ipv6
  frame.etherType = kind
  if (kind === EtherType.Ipv4) ipv4Input(iface, frame, LinkKind.Own)
  else ipv6Input(iface, frame, LinkKind.Own)
}

/**
 * Hands a tagged frame, without its outermost tag, to the subinterface of its VLAN. Priority tags are only taken off.
 */
const vlanInput = (iface: NetworkInterface, frame: Frame, outermost: number): void => {
  const { stack } = iface
  const { u8, view } = stack.world.memory
  let protocol = outermost
  let next = outermost
  let at = frame.start
  let id = 0
  // Anybody can put one priority tag behind another: a frame full of them must not be as many calls.
  while (id === 0 && isTag(next)) {
    if (frame.end - at < ETHERNET_HEADER + VLAN_TAG) {
      refuse(iface, frame, Drop['eth-truncated'])
      return
    }
    protocol = next
    id = view.getUint16(at + ETHERNET_HEADER) & 0xfff
    next = view.getUint16(at + ETHERNET_HEADER + 2)
    at += VLAN_TAG
  }
  u8.copyWithin(at, frame.start, frame.start + 12)
  frame.start = at
  if (id === 0) {
    ethernetInput(iface, frame)
    return
  }
  const vlan = protocol === EtherType.Vlan ? iface.vlans?.get(id) : undefined
  if (vlan === undefined) {
    iface.statistics.rxDropped++
    stack.drop(frame, Drop['vlan-unknown'])
  } else vlan.receive(frame)
}

const isTag = (etherType: number): boolean => etherType === EtherType.Vlan || etherType === EtherType.ServiceVlan

const refuse = (iface: NetworkInterface, frame: Frame, reason: number): void => {
  iface.statistics.rxErrors++
  iface.statistics.rxFrameErrors++
  iface.stack.drop(frame, reason)
}
