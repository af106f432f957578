import type { Frame } from '../core/frame.ts'
import { IPV4_ANY, type IpAddress, ip, ipv4 } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import {
  emitIgmp,
  emitIgmpReport,
  IGMP_LENGTH,
  IgmpMessage,
  type IgmpRecordContent,
  IgmpType,
  igmpReportLength,
  parseIgmp,
} from '../wire/igmp.ts'
import { type IpHeader, IpProtocol } from '../wire/ip.ts'
import { verifyTransportChecksum } from '../wire/transport.ts'
import { onLinkDestination } from './destination.ts'
import { type GroupProtocol, type GroupRecord, packRecords } from './group-reporter.ts'
import type { NetworkInterface } from './interface.ts'
import { SendFlag } from './output.ts'
import type { TransportProtocol } from './protocol.ts'
import type { IpStack } from './stack.ts'

const ALL_SYSTEMS = ip('224.0.0.1')
const ALL_ROUTERS = ip('224.0.0.2')
const ALL_IGMPV3 = ip('224.0.0.22')
/** Internetwork control (RFC 3376 section 4). */
const TOS = 0xc0
/** An IP header with the router alert. */
const IP_HEADER = 24
/** What a query of version 1 means, microseconds (RFC 3376 section 7.2.1). */
const V1_RESPONSE = 10e6

/** IGMP, the host's side (RFC 3376, RFC 2236): takes in queries, and writes what `GroupReporter` wants said. */
export class Igmp implements TransportProtocol, GroupProtocol {
  readonly allNodes = ALL_SYSTEMS
  private readonly stack: IpStack
  private readonly message = new IgmpMessage()

  constructor(stack: IpStack) {
    this.stack = stack
  }

  receive(header: IpHeader, frame: Frame, from: NetworkInterface): void {
    const { stack, message } = this
    const { memory } = stack.world
    let reason = verifyTransportChecksum(header, memory)
    if (reason === Drop.none) reason = parseIgmp(message, memory, header.payloadStart, header.payloadEnd)
    if (reason !== Drop.none) {
      stack.drop(frame, reason)
      return
    }
    const group = message.group === 0 ? null : ipv4(message.group)
    if (message.type === IgmpType.Query) this.query(from, group)
    else if (message.type === IgmpType.ReportV1 || message.type === IgmpType.ReportV2) {
      if (group !== null && !stack.isLocalWords(0, 0, header.source2, header.source3)) {
        from.groups.reporter(group).heard(group)
      }
    }
    stack.world.frames.release(frame)
  }

  icmpError(): void {
    // Nobody waits for an answer to a report.
  }

  isReported(group: IpAddress): boolean {
    if (group.equals(ALL_SYSTEMS)) return false
    return group.w3 >>> 8 !== 0xe0_0000 || this.stack.settings.igmp_link_local_mcast_reports !== 0
  }

  forcedVersion(iface: NetworkInterface): number {
    return iface.settings.force_igmp_version
  }

  robustness(iface: NetworkInterface): number {
    return iface.settings.igmp_qrv
  }

  sendRecords(iface: NetworkInterface, records: readonly GroupRecord[]): void {
    for (const batch of packRecords(records, iface.mtu - IP_HEADER - IGMP_LENGTH, 4)) {
      const contents = batch.map(contentOf)
      const frame = this.stack.world.frames.allocate(igmpReportLength(contents))
      if (frame === null) return
      frame.end = frame.start + emitIgmpReport(contents, this.stack.world.memory, frame.start)
      this.send(iface, frame, ALL_IGMPV3)
    }
  }

  sendReport(iface: NetworkInterface, group: IpAddress, version: number): void {
    this.sendOld(iface, version === 1 ? IgmpType.ReportV1 : IgmpType.ReportV2, group, group)
  }

  sendLeave(iface: NetworkInterface, group: IpAddress): void {
    this.sendOld(iface, IgmpType.Leave, group, ALL_ROUTERS)
  }

  private query(from: NetworkInterface, group: IpAddress | null): void {
    const { message } = this
    const { view } = this.stack.world.memory
    const sources: IpAddress[] = []
    for (let i = 0; i < message.sourceCount; i++) sources.push(ipv4(view.getInt32(message.sourcesAt + i * 4)))
    const response = message.version === 1 ? V1_RESPONSE : message.maxResponse * 100_000
    const reporter = from.groups.reporter(ALL_SYSTEMS)
    reporter.query(message.version, group, sources, response, message.robustness, message.interval)
  }

  private sendOld(iface: NetworkInterface, type: number, group: IpAddress, to: IpAddress): void {
    const frame = this.stack.world.frames.allocate(IGMP_LENGTH)
    if (frame === null) return
    const { message } = this
    message.type = type
    message.version = 2
    message.maxResponse = 0
    message.group = group.w3
    frame.end = frame.start + emitIgmp(message, this.stack.world.memory, frame.start)
    this.send(iface, frame, to)
  }

  private send(iface: NetworkInterface, frame: Frame, to: IpAddress): void {
    const bits = iface.firstIpv4
    const source = bits === 0 ? IPV4_ANY : ipv4(bits)
    const flags = SendFlag.RouterAlert | SendFlag.NoLoop | SendFlag.DontFragment
    this.stack.send(frame, onLinkDestination(iface, to, source), source, IpProtocol.Igmp, 1, TOS, flags)
  }
}

const contentOf = (record: GroupRecord): IgmpRecordContent => ({
  type: record.type,
  group: record.group.w3,
  sources: record.sources.map((source) => source.w3),
})
