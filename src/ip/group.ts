import { Errno } from '../core/errno.ts'
import { Timer, type TimerOwner } from '../core/timer.ts'
import { type IpAddress, type MacAddress, multicastMac } from '../wire/address.ts'
import { contains, GroupReporter } from './group-reporter.ts'
import type { NetworkInterface } from './interface.ts'

/** Does a filter name the sources that may be heard, or those that may not (RFC 3376 section 3.1)? */
export type FilterMode = 'include' | 'exclude'

/** One socket's membership in a group, or the host's own. */
export class GroupMember {
  readonly group: InterfaceGroup
  mode: FilterMode = 'exclude'
  sources: readonly IpAddress[] = []

  constructor(group: InterfaceGroup) {
    this.group = group
  }

  /**
   * Sets whose packets the member wants: of the sources only, or of all but the sources.
   * @returns 0, or -ENOBUFS for more sources than `igmp_max_msf` or `mld_max_msf` allow
   */
  setFilter(mode: FilterMode, sources: readonly IpAddress[]): number {
    const { settings } = this.group.interface
    const most = this.group.address.isIpv4 ? settings.igmp_max_msf : settings.mld_max_msf
    if (sources.length > most) return -Errno.ENOBUFS
    this.mode = mode
    this.sources = sources
    this.group.merge()
    return 0
  }

  /** Does the member want packets of this source, four words of an address? */
  admits(s0: number, s1: number, s2: number, s3: number): boolean {
    return filterAdmits(this.mode, this.sources, s0, s1, s2, s3)
  }
}

/** A source whose change of state has still to be reported so many times. */
export interface SourceChange {
  readonly address: IpAddress
  left: number
}

/** A group that an interface is in: who is, what they want together, and what has still to be reported of it. */
export class InterfaceGroup implements TimerOwner {
  readonly interface: NetworkInterface
  readonly address: IpAddress
  readonly mac: MacAddress
  readonly members: GroupMember[] = []
  /** What the members want together (RFC 3376 section 3.2). No members: nothing, which is to include no source. */
  mode: FilterMode = 'include'
  sources: readonly IpAddress[] = []

  /** How many more times a change of the mode is to be reported, and changes of sources. */
  modeChanges = 0
  allowed: SourceChange[] = []
  blocked: SourceChange[] = []
  /** Is a query about the group to be answered when the timer fires, and about which sources (null: all)? */
  queriedSources: IpAddress[] | null = null
  /** Was this host the last to report the group: should it say so when it leaves (IGMPv2, MLDv1)? */
  wasReporter = false
  /** Unsolicited IGMPv2 or MLDv1 reports still to be sent. */
  reportsLeft = 0
  readonly timer = new Timer(this, 0)

  constructor(iface: NetworkInterface, address: IpAddress) {
    this.interface = iface
    this.address = address
    this.mac = multicastMac(address)
  }

  /** Is there something left to be reported of its change? */
  get isChanging(): boolean {
    return this.modeChanges > 0 || this.allowed.length > 0 || this.blocked.length > 0
  }

  /** Does any member want packets of this source? */
  admits(s0: number, s1: number, s2: number, s3: number): boolean {
    return filterAdmits(this.mode, this.sources, s0, s1, s2, s3)
  }

  /** Works out what the members want together, and reports what has changed. */
  merge(): void {
    const { mode, sources } = this
    const excluding = this.members.filter((member) => member.mode === 'exclude')
    const included = union(this.members.filter((member) => member.mode === 'include'))
    if (excluding.length === 0) {
      this.mode = 'include'
      this.sources = included
    } else {
      const [first, ...others] = excluding
      this.mode = 'exclude'
      this.sources = first!.sources.filter(
        (source) => others.every((other) => contains(other.sources, source)) && !contains(included, source),
      )
    }
    this.interface.groups.reporter(this.address).changed(this, mode, sources)
  }

  onTimer(): void {
    this.interface.groups.reporter(this.address).groupTimer(this)
  }
}

/** A group as plain data: what `netstat -g` says of it. */
export interface GroupInfo {
  interface: string
  family: 4 | 6
  group: string
  /** Sockets, and the host itself. */
  members: number
  mode: FilterMode
  sources: string[]
}

/** The groups of one interface, both families, and their reports to routers (IGMP, MLD). */
export class InterfaceGroups {
  private readonly iface: NetworkInterface
  private readonly joined: InterfaceGroup[] = []
  /** How many groups map to a MAC address. */
  private readonly macs = new Map<MacAddress, number>()
  private readonly igmp: GroupReporter
  private readonly mld: GroupReporter
  private allHosts: GroupMember | null = null

  constructor(iface: NetworkInterface) {
    this.iface = iface
    this.igmp = new GroupReporter(iface, iface.stack.igmp)
    this.mld = new GroupReporter(iface, iface.stack.mld)
  }

  /** Joins for one more member, who wants every source until it says otherwise. */
  join(address: IpAddress): GroupMember {
    let group = this.find(address)
    if (group === null) {
      group = new InterfaceGroup(this.iface, address)
      this.joined.push(group)
      const { w0, w1, w2, w3 } = address
      this.iface.stack.groups.set(w0, w1, w2, w3, this.iface.index, group)
      this.macs.set(group.mac, (this.macs.get(group.mac) ?? 0) + 1)
    }
    const member = new GroupMember(group)
    group.members.push(member)
    group.merge()
    return member
  }

  /** Ends a membership; the group goes with its last member. */
  leave(member: GroupMember): void {
    const { group } = member
    const at = group.members.indexOf(member)
    if (at < 0) return
    group.members.splice(at, 1)
    if (group.members.length === 0) {
      this.joined.splice(this.joined.indexOf(group), 1)
      const { w0, w1, w2, w3 } = group.address
      this.iface.stack.groups.delete(w0, w1, w2, w3, this.iface.index)
      const count = this.macs.get(group.mac)! - 1
      if (count === 0) this.macs.delete(group.mac)
      else this.macs.set(group.mac, count)
    }
    group.merge()
  }

  /** Does a group map to this MAC address? */
  hasMac(mac: MacAddress): boolean {
    return this.macs.has(mac)
  }

  /** The groups now joined. */
  get all(): readonly InterfaceGroup[] {
    return this.joined
  }

  find(address: IpAddress): InterfaceGroup | null {
    const { w0, w1, w2, w3 } = address
    return this.iface.stack.groups.get(w0, w1, w2, w3, this.iface.index) ?? null
  }

  /** What reports the groups of an address's family. */
  reporter(address: IpAddress): GroupReporter {
    return address.isIpv4 ? this.igmp : this.mld
  }

  /** The interface came up: every IPv4 host is in the all-hosts group. */
  start(): void {
    if (this.allHosts === null) this.allHosts = this.join(this.iface.stack.igmp.allNodes)
  }

  /** The link came up: every group is reported anew. */
  announce(): void {
    this.igmp.announce()
    this.mld.announce()
  }

  /** There is an address at last to report IPv6 groups from. */
  announceIpv6(): void {
    if (this.iface.isRunning) this.mld.announce()
  }

  /** The interface goes down: nothing is reported any more. */
  stop(): void {
    this.igmp.stop()
    this.mld.stop()
    if (this.allHosts !== null) this.leave(this.allHosts)
    this.allHosts = null
  }

  list(): GroupInfo[] {
    return this.joined.map((group) => ({
      interface: this.iface.name,
      family: group.address.family,
      group: `${group.address}`,
      members: group.members.length,
      mode: group.mode,
      sources: group.sources.map(String),
    }))
  }

  /** Gives up timers and groups. */
  close(): void {
    for (const group of [...this.joined]) for (const member of [...group.members]) this.leave(member)
    this.igmp.close()
    this.mld.close()
  }
}

const union = (members: readonly GroupMember[]): IpAddress[] => {
  const all: IpAddress[] = []
  for (const member of members) for (const source of member.sources) if (!contains(all, source)) all.push(source)
  return all
}

const filterAdmits = (
  mode: FilterMode,
  sources: readonly IpAddress[],
  s0: number,
  s1: number,
  s2: number,
  s3: number,
): boolean => {
  for (let i = 0; i < sources.length; i++) {
    const source = sources[i]!
    if (source.w3 === s3 && source.w2 === s2 && source.w1 === s1 && source.w0 === s0) return mode === 'include'
  }
  return mode === 'exclude'
}
