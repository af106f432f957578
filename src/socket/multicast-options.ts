import { Errno } from '../core/errno.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { IpStack } from '../ip/stack.ts'
import type { Memberships } from '../udp/membership.ts'
import { type IpAddress, parseIpAddress } from '../wire/address.ts'
import type { Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { OptionValue } from './socket-options.ts'

/** Joining and leaving groups (ip(7), ipv6(7); RFC 3678), with Linux's errors. */

/** `struct ip_mreqn`; without an index `struct ip_mreq`, whose address may be called `imr_interface`. */
export interface IpMreqn {
  imr_multiaddr: string
  imr_address?: string
  imr_interface?: string
  imr_ifindex?: number
}

/** `struct ip_mreq_source`. */
export interface IpMreqSource {
  imr_multiaddr: string
  imr_interface: string
  imr_sourceaddr: string
}

/** `struct ipv6_mreq`. */
export interface Ipv6Mreq {
  ipv6mr_multiaddr: string
  /** Index of the interface; 0 for the one that routes lead to. */
  ipv6mr_interface?: number
}

/** `struct group_req`. */
export interface GroupReq {
  gr_interface: number
  gr_group: Sockaddr
}

/** `struct group_source_req`. */
export interface GroupSourceReq {
  gsr_interface: number
  gsr_group: Sockaddr
  gsr_source: Sockaddr
}

/** What is asked for, whatever structure it came in. */
interface Request {
  readonly group: IpAddress
  readonly interface: NetworkInterface | null
  /** Null where there is none. */
  readonly source: IpAddress | null
}

/** Is it an option that this file is about? */
export const isMembershipOption = (level: number, name: number): boolean =>
  level === C.SOL_IP
    ? (name >= C.IP_ADD_MEMBERSHIP && name <= C.IP_DROP_SOURCE_MEMBERSHIP) || isProtocolIndependent(name)
    : level === C.SOL_IPV6 && (name === C.IPV6_JOIN_GROUP || name === C.IPV6_LEAVE_GROUP || isProtocolIndependent(name))

const isProtocolIndependent = (name: number): boolean =>
  name >= C.MCAST_JOIN_GROUP && name <= C.MCAST_LEAVE_SOURCE_GROUP

/** Sets one of these options. @returns 0 or a negative `Errno` */
export const setMembership = (
  memberships: Memberships,
  ip: IpStack,
  level: number,
  name: number,
  value: OptionValue,
): number => {
  if (typeof value !== 'object') return -Errno.EINVAL
  const request = isProtocolIndependent(name)
    ? readGroupRequest(ip, value as Partial<GroupReq & GroupSourceReq>)
    : level === C.SOL_IP
      ? readIpv4(ip, value as Partial<IpMreqn & IpMreqSource>)
      : readIpv6(ip, value as Partial<Ipv6Mreq>)
  if (typeof request === 'number') return request
  const { group, interface: iface, source } = request
  if (group.isIpv4 !== (level === C.SOL_IP)) return isProtocolIndependent(name) ? -Errno.EADDRNOTAVAIL : -Errno.EINVAL
  if (level === C.SOL_IPV6) {
    if (name === C.IPV6_JOIN_GROUP) return memberships.join(group, iface)
    if (name === C.IPV6_LEAVE_GROUP) return leave(memberships, group, iface)
  }
  return act(memberships, name, group, iface, source)
}

const act = (
  memberships: Memberships,
  name: number,
  group: IpAddress,
  iface: NetworkInterface | null,
  source: IpAddress | null,
): number => {
  switch (name) {
    case C.IP_ADD_MEMBERSHIP:
    case C.MCAST_JOIN_GROUP:
      return memberships.join(group, iface)
    case C.IP_DROP_MEMBERSHIP:
    case C.MCAST_LEAVE_GROUP:
      return leave(memberships, group, iface)
    default:
  }
  if (source === null) return -Errno.EINVAL
  const member = memberships.memberOf(group, iface)
  const isJoin = name === C.IP_ADD_SOURCE_MEMBERSHIP || name === C.MCAST_JOIN_SOURCE_GROUP
  if (member === null) return isJoin ? memberships.allowSource(group, source, iface) : -Errno.EINVAL
  // Sources to hear and sources not to hear do not go together; an empty filter is either.
  const isIncluding = isJoin || name === C.IP_DROP_SOURCE_MEMBERSHIP || name === C.MCAST_LEAVE_SOURCE_GROUP
  const mode = isIncluding ? 'include' : 'exclude'
  if (member.mode !== mode) {
    if (member.sources.length > 0) return -Errno.EINVAL
    if (isJoin) return member.setFilter('include', [source])
    if (isIncluding) return -Errno.EADDRNOTAVAIL
  }
  const adds = isJoin || name === C.IP_UNBLOCK_SOURCE || name === C.MCAST_UNBLOCK_SOURCE
  return adds ? memberships.allowSource(group, source, iface) : memberships.blockSource(group, source, iface)
}

const leave = (memberships: Memberships, group: IpAddress, iface: NetworkInterface | null): number =>
  !group.isIpv4 && !group.isMulticast ? -Errno.EINVAL : memberships.leave(group, iface)

const addressIn = (text: unknown, ifMissing: string): IpAddress | null =>
  parseIpAddress(text === undefined ? ifMissing : String(text)) ?? null

const readIpv4 = (ip: IpStack, value: Partial<IpMreqn & IpMreqSource>): Request | number => {
  const group = addressIn(value.imr_multiaddr, '')
  const local = addressIn(value.imr_address ?? value.imr_interface, '0.0.0.0')
  if (group === null || local === null) return -Errno.EINVAL
  const source = value.imr_sourceaddr === undefined ? null : addressIn(value.imr_sourceaddr, '')
  // A group that is none is told before an interface that is none.
  if (!group.isMulticast) return -Errno.EINVAL
  let iface: NetworkInterface | null = null
  if ((value.imr_ifindex ?? 0) !== 0) iface = ip.interfaceAt(value.imr_ifindex!)
  else if (local.isUnspecified) return { group, interface: null, source }
  else iface = ip.interfaceOf(local)
  return iface === null ? -Errno.ENODEV : { group, interface: iface, source }
}

const readIpv6 = (ip: IpStack, value: Partial<Ipv6Mreq>): Request | number => {
  const group = addressIn(value.ipv6mr_multiaddr, '')
  if (group === null || !group.isMulticast) return -Errno.EINVAL
  return withIndex(ip, group, value.ipv6mr_interface ?? 0, null)
}

const readGroupRequest = (ip: IpStack, value: Partial<GroupReq & GroupSourceReq>): Request | number => {
  const group = addressIn((value.gr_group ?? value.gsr_group)?.address, '')
  if (group === null || !group.isMulticast) return -Errno.EINVAL
  const source = value.gsr_source === undefined ? null : addressIn(value.gsr_source.address, '')
  return withIndex(ip, group, value.gr_interface ?? value.gsr_interface ?? 0, source)
}

const withIndex = (ip: IpStack, group: IpAddress, index: number, source: IpAddress | null): Request | number => {
  if (index === 0) return { group, interface: null, source }
  const iface = ip.interfaceAt(index)
  return iface === null ? -Errno.ENODEV : { group, interface: iface, source }
}
