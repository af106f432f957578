import type { Frame } from '../core/frame.ts'
import { IPV6_ANY, IpAddress, ip } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { Icmpv6Type } from '../wire/icmpv6.ts'
import { type IpHeader, IpProtocol } from '../wire/ip.ts'
import { IPV6_HEADER, IPV6_ROUTER_ALERT } from '../wire/ipv6.ts'
import { emitMld, emitMldReport, MLD_LENGTH, MldMessage, mldReportLength, parseMld } from '../wire/mld.ts'
import { onLinkDestination } from './destination.ts'
import { type GroupProtocol, type GroupRecord, packRecords } from './group-reporter.ts'
import type { NetworkInterface } from './interface.ts'
import { SendFlag } from './output.ts'
import { ALL_NODES6, ALL_ROUTERS6, multicastScope, SCOPE_INTERFACE } from './scope.ts'
import type { IpStack } from './stack.ts'

const ALL_MLDV2 = ip('ff02::16')
/** Fixed header, router alert and the report's own header. */
const OVERHEAD = IPV6_HEADER + IPV6_ROUTER_ALERT + 8

/** Multicast listener discovery, the host's side (RFC 3810, RFC 2710): IGMP for IPv6. */
export class Mld implements GroupProtocol {
  readonly allNodes = ALL_NODES6
  private readonly stack: IpStack
  private readonly message = new MldMessage()

  constructor(stack: IpStack) {
    this.stack = stack
  }

  /** Takes in a message. @returns a drop reason; the packet stays the caller's */
  input(from: NetworkInterface, header: IpHeader): number {
    const { stack, message } = this
    const { memory } = stack.world
    const reason = parseMld(message, header, stack.chain, memory, header.payloadStart, header.payloadEnd)
    if (reason !== Drop.none) return reason
    const group = message.group
    const reporter = from.groups.reporter(ALL_NODES6)
    if (message.type === Icmpv6Type.MulticastListenerQuery) {
      const response = Math.max(1, message.maxResponse) * 1000
      const version = message.version + 1
      const about = group.isUnspecified ? null : group
      reporter.query(version, about, this.sources(), response, message.robustness, message.interval)
    } else if (message.type === Icmpv6Type.MulticastListenerReport) reporter.heard(group)
    return Drop.none
  }

  isReported(group: IpAddress): boolean {
    return !group.equals(ALL_NODES6) && multicastScope(group.w0) > SCOPE_INTERFACE
  }

  forcedVersion(iface: NetworkInterface): number {
    const { force_mld_version } = iface.settings
    return force_mld_version === 0 ? 0 : force_mld_version + 1
  }

  robustness(iface: NetworkInterface): number {
    return iface.settings.mld_qrv
  }

  sendRecords(iface: NetworkInterface, records: readonly GroupRecord[]): void {
    const { tx, world } = this.stack
    for (const batch of packRecords(records, iface.ndp.mtu - OVERHEAD, 16)) {
      const frame = world.frames.allocate(mldReportLength(batch))
      if (frame === null) return
      this.address(iface, ALL_MLDV2)
      frame.end = frame.start + emitMldReport(batch, tx, world.memory, frame.start)
      this.send(iface, frame, ALL_MLDV2, Icmpv6Type.MulticastListenerReportV2)
    }
  }

  sendReport(iface: NetworkInterface, group: IpAddress): void {
    this.sendOld(iface, Icmpv6Type.MulticastListenerReport, group, group)
  }

  sendLeave(iface: NetworkInterface, group: IpAddress): void {
    this.sendOld(iface, Icmpv6Type.MulticastListenerDone, group, ALL_ROUTERS6)
  }

  private sources(): IpAddress[] {
    const { message } = this
    const { view } = this.stack.world.memory
    const sources: IpAddress[] = []
    for (let i = 0; i < message.sourceCount; i++) {
      const at = message.sourcesAt + i * 16
      sources.push(
        new IpAddress(view.getInt32(at), view.getInt32(at + 4), view.getInt32(at + 8), view.getInt32(at + 12)),
      )
    }
    return sources
  }

  private sendOld(iface: NetworkInterface, type: number, group: IpAddress, to: IpAddress): void {
    const { tx, world } = this.stack
    const frame = world.frames.allocate(MLD_LENGTH)
    if (frame === null) return
    const { message } = this
    message.type = type
    message.version = 1
    message.maxResponse = 0
    message.group = group
    this.address(iface, to)
    frame.end = frame.start + emitMld(message, tx, world.memory, frame.start)
    this.send(iface, frame, to, type)
  }

  /** Names the addresses of the packet about to be written, for its checksum. */
  private address(iface: NetworkInterface, to: IpAddress): void {
    const { tx } = this.stack
    tx.version = 6
    tx.source = sourceOf(iface)
    tx.destination = to
  }

  private send(iface: NetworkInterface, frame: Frame, to: IpAddress, type: number): void {
    const source = sourceOf(iface)
    this.stack.icmpv6.countOut(type)
    const way = onLinkDestination(iface, to, source)
    this.stack.send(frame, way, source, IpProtocol.Icmpv6, 1, 0, SendFlag.RouterAlert | SendFlag.NoLoop)
  }
}

/** Reports come from the link-local address, or from :: while that is being checked (RFC 3590). */
const sourceOf = (iface: NetworkInterface): IpAddress => iface.linkLocal ?? IPV6_ANY
