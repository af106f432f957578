import { Timer, type TimerOwner } from '../core/timer.ts'
import type { IpAddress } from '../wire/address.ts'
import { GroupRecordType } from '../wire/igmp.ts'
import type { FilterMode, InterfaceGroup, SourceChange } from './group.ts'
import type { NetworkInterface } from './interface.ts'

/** What a report says of one group. */
export interface GroupRecord {
  /** One of `GroupRecordType`. */
  readonly type: number
  readonly group: IpAddress
  readonly sources: readonly IpAddress[]
}

/** What tells IGMP from MLD. Versions are IGMP's: MLDv1 counts as 2, MLDv2 as 3. */
export interface GroupProtocol {
  readonly allNodes: IpAddress
  /** Is the group one whose membership is reported? */
  isReported(group: IpAddress): boolean
  /** The version that settings force, or 0. */
  forcedVersion(iface: NetworkInterface): number
  /** The robustness variable by the settings. */
  robustness(iface: NetworkInterface): number
  /** Sends the records in one report or more. */
  sendRecords(iface: NetworkInterface, records: readonly GroupRecord[]): void
  /** Sends a report of one group in the way of version 1 or 2. */
  sendReport(iface: NetworkInterface, group: IpAddress, version: number): void
  /** Tells routers that the host leaves a group, in the way of version 2. */
  sendLeave(iface: NetworkInterface, group: IpAddress): void
}

/** Time between queries when the querier does not say it, microseconds (RFC 3376 section 8.2). */
const QUERY_INTERVAL = 125e6
/** Spread of repeated reports, microseconds: version 3, and the older ones. */
const UNSOLICITED_V3 = 1e6
const UNSOLICITED_V2 = 10e6

/** Sources of one group that queries have named, beyond which all of them are taken to be meant. */
const MOST_QUERIED = 1024

const GENERAL = 0
const CHANGES = 1

/**
 * The host's side of IGMP and MLD for one interface (RFC 3376, RFC 3810, and RFC 2236, RFC 2710 towards older
 * queriers): reports what changes, at once and `robustness` - 1 times more, and answers queries after a random delay.
 */
export class GroupReporter implements TimerOwner {
  private readonly iface: NetworkInterface
  private readonly protocol: GroupProtocol
  /** Answers the general query that came last. */
  private readonly general = new Timer(this, GENERAL)
  /** Repeats reports of changes. */
  private readonly changes = new Timer(this, CHANGES)
  /** Groups left whose leaving is still to be repeated. */
  private leaving: InterfaceGroup[] = []
  /** World times until which a querier of version 1 or 2 is there. */
  private version1Until = 0
  private version2Until = 0
  private queryRobustness = 0
  private queryInterval = QUERY_INTERVAL

  constructor(iface: NetworkInterface, protocol: GroupProtocol) {
    this.iface = iface
    this.protocol = protocol
  }

  /** The version spoken now: that of the oldest querier heard lately. */
  get version(): number {
    const forced = this.protocol.forcedVersion(this.iface)
    if (forced !== 0) return forced
    const { now } = this.iface.stack.world.loop
    return now < this.version1Until ? 1 : now < this.version2Until ? 2 : 3
  }

  private get robustness(): number {
    return this.queryRobustness || this.protocol.robustness(this.iface)
  }

  /** A group's filter has changed from `mode` and `sources` to what it is now. */
  changed(group: InterfaceGroup, mode: FilterMode, sources: readonly IpAddress[]): void {
    if (!this.protocol.isReported(group.address)) return
    if (this.version < 3) {
      this.changedOld(group)
      return
    }
    const rejoined = this.leaving.findIndex((left) => left.address.equals(group.address))
    if (rejoined >= 0 && this.leaving[rejoined] !== group) this.leaving.splice(rejoined, 1)
    if (mode !== group.mode) {
      group.modeChanges = this.robustness
      group.allowed = []
      group.blocked = []
    } else if (mode === 'include') {
      this.noteSources(group, without(group.sources, sources), without(sources, group.sources))
    } else this.noteSources(group, without(sources, group.sources), without(group.sources, sources))
    if (group.members.length === 0) {
      cancel(this.iface, group.timer)
      if (group.isChanging && !this.leaving.includes(group)) this.leaving.push(group)
    }
    if (group.isChanging && this.iface.isRunning) this.sendChanges()
  }

  /**
   * A query has come.
   * @param version of the query, as `GroupProtocol` counts
   * @param group null for a general one
   * @param maxResponse how long an answer may take at the most, microseconds
   * @param robustness, interval the querier's, or 0 when it does not say; the interval in seconds
   */
  query(
    version: number,
    group: IpAddress | null,
    sources: readonly IpAddress[],
    maxResponse: number,
    robustness: number,
    interval: number,
  ): void {
    const { loop } = this.iface.stack.world
    const presence = this.robustness * this.queryInterval + maxResponse
    if (version === 1) this.version1Until = loop.now + presence
    else if (version === 2) this.version2Until = loop.now + presence
    else {
      this.queryRobustness = robustness
      this.queryInterval = interval > 0 ? interval * 1e6 : QUERY_INTERVAL
    }
    if (version < 3) this.dropChanges()
    const delay = this.iface.stack.random.below(Math.max(1, maxResponse))
    const at = loop.now + delay
    if (this.version < 3) {
      for (const joined of this.iface.groups.all) {
        if (joined.address.isIpv4 !== this.protocol.allNodes.isIpv4 || !this.protocol.isReported(joined.address))
          continue
        if (group !== null && !group.equals(joined.address)) continue
        const spread = loop.now + this.iface.stack.random.below(Math.max(1, maxResponse))
        if (joined.timer.deadline > spread) schedule(this.iface, joined.timer, spread)
      }
      return
    }
    // An answer to all that is due earlier answers this too (RFC 3376 section 5.2, rule 1).
    if (this.general.deadline <= at) return
    if (group === null) {
      schedule(this.iface, this.general, at)
      return
    }
    const joined = this.iface.groups.find(group)
    if (joined === null || !this.protocol.isReported(group)) return
    if (!joined.timer.isSet) {
      joined.queriedSources = sources.length === 0 || sources.length > MOST_QUERIED ? null : [...sources]
      schedule(this.iface, joined.timer, at)
      return
    }
    // Rules 4 and 5: several queries are answered together, at the earliest of their times.
    if (sources.length === 0) joined.queriedSources = null
    else if (joined.queriedSources !== null) {
      for (const source of sources) if (!contains(joined.queriedSources, source)) joined.queriedSources.push(source)
      // Queries without end must not cost more and more: the whole state answers them all.
      if (joined.queriedSources.length > MOST_QUERIED) joined.queriedSources = null
    }
    if (joined.timer.deadline > at) schedule(this.iface, joined.timer, at)
  }

  /** Another host has reported the group: towards old queriers one report a link is enough. */
  heard(address: IpAddress): void {
    if (this.version === 3) return
    const group = this.iface.groups.find(address)
    if (group === null) return
    cancel(this.iface, group.timer)
    group.reportsLeft = 0
    group.wasReporter = false
  }

  /** The time has come to answer a query about one group, or to report it once more in the old way. */
  groupTimer(group: InterfaceGroup): void {
    if (!this.iface.isRunning) return
    if (this.version < 3) {
      this.reportOld(group)
      return
    }
    const { queriedSources } = group
    group.queriedSources = null
    if (queriedSources === null) {
      this.protocol.sendRecords(this.iface, [currentState(group)])
      return
    }
    const wanted =
      group.mode === 'include'
        ? queriedSources.filter((source) => contains(group.sources, source))
        : without(queriedSources, group.sources)
    if (wanted.length === 0) return
    this.protocol.sendRecords(this.iface, [
      { type: GroupRecordType.ModeIsInclude, group: group.address, sources: wanted },
    ])
  }

  /** Tells of every group anew: the link has come back. */
  announce(): void {
    for (const group of this.iface.groups.all) {
      if (group.address.isIpv4 !== this.protocol.allNodes.isIpv4 || !this.protocol.isReported(group.address)) continue
      if (this.version < 3) this.changedOld(group)
      else if (group.mode === 'exclude') group.modeChanges = this.robustness
      else this.noteSources(group, group.sources, [])
    }
    if (this.version === 3) this.sendChanges()
  }

  onTimer(kind: number): void {
    if (!this.iface.isRunning) return
    if (kind === CHANGES) {
      this.sendChanges()
      return
    }
    const records = this.iface.groups.all
      .filter((group) => group.address.isIpv4 === this.protocol.allNodes.isIpv4)
      .filter((group) => this.protocol.isReported(group.address))
      .map(currentState)
    if (records.length > 0) this.protocol.sendRecords(this.iface, records)
  }

  /** Forgets what was to be sent. */
  stop(): void {
    cancel(this.iface, this.general)
    this.dropChanges()
    for (const group of this.iface.groups.all) {
      if (group.address.isIpv4 === this.protocol.allNodes.isIpv4) cancel(this.iface, group.timer)
    }
    this.version1Until = 0
    this.version2Until = 0
  }

  close(): void {
    this.stop()
  }

  /** Sends what there is to tell of changes, and once more later if that is due. */
  private sendChanges(): void {
    const records: GroupRecord[] = []
    const family = this.protocol.allNodes.isIpv4
    for (const group of [...this.iface.groups.all, ...this.leaving]) {
      if (group.address.isIpv4 === family) takeChanges(group, records)
    }
    this.leaving = this.leaving.filter((group) => group.isChanging)
    if (records.length > 0) this.protocol.sendRecords(this.iface, records)
    const more =
      this.leaving.length > 0 || this.iface.groups.all.some((g) => g.address.isIpv4 === family && g.isChanging)
    cancel(this.iface, this.changes)
    if (more) {
      const { loop } = this.iface.stack.world
      schedule(this.iface, this.changes, loop.now + 1 + this.iface.stack.random.below(UNSOLICITED_V3))
    }
  }

  private noteSources(group: InterfaceGroup, allowed: readonly IpAddress[], blocked: readonly IpAddress[]): void {
    const left = this.robustness
    const note = (list: SourceChange[], other: SourceChange[], sources: readonly IpAddress[]): SourceChange[] => {
      for (const address of sources) {
        const gone = other.findIndex((change) => change.address.equals(address))
        if (gone >= 0) other.splice(gone, 1)
      }
      const kept = list.filter((change) => !contains(sources, change.address))
      return [...kept, ...sources.map((address) => ({ address, left }))]
    }
    group.allowed = note(group.allowed, group.blocked, allowed)
    group.blocked = note(group.blocked, group.allowed, blocked)
  }

  private dropChanges(): void {
    cancel(this.iface, this.changes)
    this.leaving = []
    for (const group of this.iface.groups.all) {
      if (group.address.isIpv4 !== this.protocol.allNodes.isIpv4) continue
      group.modeChanges = 0
      group.allowed = []
      group.blocked = []
    }
  }

  /** A join or leave, told in the way of version 1 or 2. */
  private changedOld(group: InterfaceGroup): void {
    if (group.members.length === 0) cancel(this.iface, group.timer)
    if (!this.iface.isRunning) return
    if (group.members.length === 0) {
      if (this.version === 2 && group.wasReporter) this.protocol.sendLeave(this.iface, group.address)
    } else if (!group.wasReporter) {
      group.reportsLeft = this.robustness
      this.reportOld(group)
    }
  }

  private reportOld(group: InterfaceGroup): void {
    group.wasReporter = true
    group.reportsLeft = Math.max(0, group.reportsLeft - 1)
    this.protocol.sendReport(this.iface, group.address, this.version)
    if (group.reportsLeft > 0) {
      const { loop } = this.iface.stack.world
      schedule(this.iface, group.timer, loop.now + 1 + this.iface.stack.random.below(UNSOLICITED_V2))
    }
  }
}

/** Bytes of a record without its sources, for a group of `addressBytes`. */
const recordBytes = (sources: number, addressBytes: number): number => 4 + addressBytes + sources * addressBytes

/**
 * Shares records out to reports of at most `room` bytes. A record with too many sources is cut in several, or short
 * when it names those that are not wanted (RFC 3376 section 4.2.16).
 */
export const packRecords = (records: readonly GroupRecord[], room: number, addressBytes: number): GroupRecord[][] => {
  const most = Math.max(1, Math.floor((room - recordBytes(0, addressBytes)) / addressBytes))
  const batches: GroupRecord[][] = []
  let left = 0
  for (const record of records) {
    const excludes = record.type === GroupRecordType.ModeIsExclude || record.type === GroupRecordType.ChangeToExclude
    const until = excludes ? Math.min(most, record.sources.length) : record.sources.length
    for (let at = 0; at === 0 || at < until; at += most) {
      const sources = record.sources.slice(at, Math.min(at + most, until))
      const size = recordBytes(sources.length, addressBytes)
      if (size > left) {
        batches.push([])
        left = room
      }
      batches[batches.length - 1]!.push({ ...record, sources })
      left -= size
    }
  }
  return batches
}

/** Is the address among those of a list? */
export const contains = (list: readonly IpAddress[], address: IpAddress): boolean =>
  list.some((other) => other.equals(address))

/** Moves what is to be told of a group's change into records, once (RFC 3376 section 5.1). */
const takeChanges = (group: InterfaceGroup, records: GroupRecord[]): void => {
  if (group.modeChanges > 0) {
    group.modeChanges--
    const type = group.mode === 'exclude' ? GroupRecordType.ChangeToExclude : GroupRecordType.ChangeToInclude
    records.push({ type, group: group.address, sources: group.sources })
    return
  }
  const take = (changes: SourceChange[], type: number): SourceChange[] => {
    if (changes.length > 0) records.push({ type, group: group.address, sources: changes.map((c) => c.address) })
    for (const change of changes) change.left--
    return changes.filter((change) => change.left > 0)
  }
  group.allowed = take(group.allowed, GroupRecordType.AllowNewSources)
  group.blocked = take(group.blocked, GroupRecordType.BlockOldSources)
}

const currentState = (group: InterfaceGroup): GroupRecord => ({
  type: group.mode === 'exclude' ? GroupRecordType.ModeIsExclude : GroupRecordType.ModeIsInclude,
  group: group.address,
  sources: group.sources,
})

const without = (list: readonly IpAddress[], other: readonly IpAddress[]): IpAddress[] =>
  list.filter((address) => !contains(other, address))

const schedule = (iface: NetworkInterface, timer: Timer, at: number): void =>
  iface.stack.world.loop.timers.schedule(timer, at)

const cancel = (iface: NetworkInterface, timer: Timer): void => iface.stack.world.loop.timers.cancel(timer)
