import { Errno } from '../core/errno.ts'
import type { GroupMember } from '../ip/group.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { IpStack } from '../ip/stack.ts'
import type { IpAddress } from '../wire/address.ts'
import type { IpHeader } from '../wire/ip.ts'

interface Membership {
  readonly interface: NetworkInterface
  readonly group: IpAddress
  readonly member: GroupMember
}

/** The groups that one socket has joined (IP_ADD_MEMBERSHIP and its kin; RFC 3678). Errors as Linux gives them. */
export class Memberships {
  private readonly stack: IpStack
  private readonly list: Membership[] = []

  constructor(stack: IpStack) {
    this.stack = stack
  }

  get length(): number {
    return this.list.length
  }

  /**
   * Joins a group on an interface, or on the one that routes lead to.
   * @returns 0; or -EINVAL for no group, -ENODEV without an interface, -EADDRINUSE when joined already, -ENOBUFS over
   * `igmp_max_memberships`
   */
  join(group: IpAddress, iface: NetworkInterface | null): number {
    if (!group.isMulticast) return -Errno.EINVAL
    const through = iface ?? this.interfaceFor(group)
    if (through === null) return -Errno.ENODEV
    if (this.find(group, through) !== undefined) return -Errno.EADDRINUSE
    if (group.isIpv4 && this.list.length >= this.stack.settings.igmp_max_memberships) return -Errno.ENOBUFS
    this.list.push({ interface: through, group, member: through.joinGroup(group) })
    return 0
  }

  /** The membership in a group, on an interface or the one that routes lead to; null when there is none. */
  memberOf(group: IpAddress, iface: NetworkInterface | null): GroupMember | null {
    const through = iface ?? this.interfaceFor(group)
    return through === null ? null : (this.find(group, through)?.member ?? null)
  }

  /** Leaves a group. @returns 0 or -EADDRNOTAVAIL */
  leave(group: IpAddress, iface: NetworkInterface | null): number {
    const at = this.list.findIndex(
      (entry) => entry.group.equals(group) && (iface === null || entry.interface === iface),
    )
    if (at < 0) return -Errno.EADDRNOTAVAIL
    const [entry] = this.list.splice(at, 1)
    entry!.interface.leaveGroup(entry!.member)
    return 0
  }

  /**
   * Takes one source in: joins the group for it alone, or lifts its exclusion (IP_ADD_SOURCE_MEMBERSHIP,
   * IP_UNBLOCK_SOURCE).
   */
  allowSource(group: IpAddress, source: IpAddress, iface: NetworkInterface | null): number {
    const through = iface ?? this.interfaceFor(group)
    if (through === null) return -Errno.ENODEV
    let entry = this.find(group, through)
    if (entry === undefined) {
      const joined = this.join(group, through)
      if (joined !== 0) return joined
      entry = this.find(group, through)!
      return entry.member.setFilter('include', [source])
    }
    const { member } = entry
    const known = member.sources.some((other) => other.equals(source))
    if (member.mode === 'include') {
      return known ? -Errno.EADDRNOTAVAIL : member.setFilter('include', [...member.sources, source])
    }
    if (!known) return -Errno.EADDRNOTAVAIL
    return member.setFilter(
      'exclude',
      member.sources.filter((other) => !other.equals(source)),
    )
  }

  /** Takes one source out: excludes it, or drops it from those wanted (IP_BLOCK_SOURCE, IP_DROP_SOURCE_MEMBERSHIP). */
  blockSource(group: IpAddress, source: IpAddress, iface: NetworkInterface | null): number {
    const through = iface ?? this.interfaceFor(group)
    const entry = through === null ? undefined : this.find(group, through)
    if (entry === undefined) return -Errno.EADDRNOTAVAIL
    const { member } = entry
    const known = member.sources.some((other) => other.equals(source))
    if (member.mode === 'exclude') {
      return known ? -Errno.EADDRNOTAVAIL : member.setFilter('exclude', [...member.sources, source])
    }
    if (!known) return -Errno.EADDRNOTAVAIL
    const left = member.sources.filter((other) => !other.equals(source))
    // Nothing is wanted any more: that is to leave.
    return left.length === 0 ? this.leave(group, through) : member.setFilter('include', left)
  }

  /**
   * Does the socket want a datagram to a group?
   * @param all does it want those of groups that it has not joined itself?
   */
  wants(header: IpHeader, from: NetworkInterface, all: boolean): boolean {
    const { list } = this
    for (let i = 0; i < list.length; i++) {
      const entry = list[i]!
      if (entry.interface === from && header.destinationIs(entry.group)) {
        return entry.member.admits(header.source0, header.source1, header.source2, header.source3)
      }
    }
    return all
  }

  /** Leaves every group. */
  clear(): void {
    for (const entry of this.list) entry.interface.leaveGroup(entry.member)
    this.list.length = 0
  }

  private find(group: IpAddress, iface: NetworkInterface): Membership | undefined {
    return this.list.find((entry) => entry.interface === iface && entry.group.equals(group))
  }

  /** The interface through which packets to the group leave; else the first that can carry them. */
  private interfaceFor(group: IpAddress): NetworkInterface | null {
    const way = this.stack.resolve(group)
    if (typeof way !== 'number') return way.interface
    return null
  }
}
