import { type Frame, FrameChecksum } from '../core/frame.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { IcmpError, TransportProtocol } from '../ip/protocol.ts'
import type { IpStack } from '../ip/stack.ts'
import { Drop } from '../wire/drop.ts'
import type { IpHeader } from '../wire/ip.ts'
import { verifyTransportChecksum } from '../wire/transport.ts'
import { parseUdp, UdpHeader } from '../wire/udp.ts'
import type { UdpDemux } from './demux.ts'
import type { UdpEndpoint } from './endpoint.ts'

/** UDP as the IP layer sees it (RFC 768): checks datagrams and hands them to endpoints. */
export class UdpProtocol implements TransportProtocol {
  private readonly stack: IpStack
  private readonly demux: UdpDemux
  private readonly udp = new UdpHeader()
  private readonly members: (UdpEndpoint | null)[] = []

  constructor(stack: IpStack, demux: UdpDemux) {
    this.stack = stack
    this.demux = demux
  }

  receive(header: IpHeader, frame: Frame, from: NetworkInterface): void {
    const { stack, udp } = this
    const { memory } = stack.world
    const counters = header.version === 4 ? stack.mib.udp : stack.mib.udp6
    let reason = parseUdp(udp, memory, header.payloadStart, header.payloadEnd)
    if (reason === Drop.none && frame.checksum === FrameChecksum.Unverified) {
      reason = verifyTransportChecksum(header, memory)
    }
    if (reason !== Drop.none) {
      if (reason === Drop['udp-checksum'] || reason === Drop['udp-no-checksum']) counters.InCsumErrors++
      counters.InErrors++
      stack.drop(frame, reason)
      return
    }
    frame.start = udp.payloadStart
    frame.end = udp.payloadEnd
    if (stack.arrival !== 'unicast') {
      this.deliverToAll(header, frame, from)
      return
    }
    const endpoint = this.demux.lookup(header, udp, from)
    if (endpoint !== null) {
      endpoint.deliver(frame, from)
      return
    }
    counters.NoPorts++
    frame.end = header.payloadEnd
    stack.portUnreachable(header, frame, from)
    stack.drop(frame, Drop['udp-no-socket'])
  }

  icmpError(error: IcmpError): void {
    const { view } = this.stack.world.memory
    const at = error.transportStart
    const endpoint = this.demux.lookupSender(error, view.getUint16(at), view.getUint16(at + 2))
    if (endpoint === null) {
      if (error.version === 4) this.stack.mib.icmp.InErrors++
      else this.stack.mib.icmp6.InErrors++
    } else endpoint.icmpError(error)
  }

  /** Gives every member a copy, and the last one the frame itself. */
  private deliverToAll(header: IpHeader, frame: Frame, from: NetworkInterface): void {
    const { stack, members, udp } = this
    const count = this.demux.eachMember(header, udp, from, members)
    if (count === 0) {
      if (header.version === 4) stack.mib.udp.IgnoredMulti++
      else stack.mib.udp6.IgnoredMulti++
      stack.drop(frame, Drop['udp-no-socket'])
      return
    }
    // Copies are made from the IP header on: receivers read from it where a datagram came from.
    const headers = frame.start - frame.network
    frame.start = frame.network
    for (let i = 0; i < count - 1; i++) {
      const copy = stack.world.frames.copy(frame)
      if (copy === null) {
        stack.mib.drops[Drop['no-memory']]!++
        continue
      }
      copy.start += headers
      members[i]!.deliver(copy, from)
    }
    frame.start += headers
    members[count - 1]!.deliver(frame, from)
    members.fill(null)
  }
}
