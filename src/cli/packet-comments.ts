import type { Frame } from '../core/frame.ts'
import type { Host } from '../host/host.ts'
import { packetComment } from '../inspect/packet.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { LinkPort } from '../link/port.ts'
import type { Network, NetworkLink } from '../sim/network.ts'
import { DecodedFrame, decodeFrame } from '../wire/decode.ts'

/** Remarks for the packets of a capture: the sockets at both ends, their states and queues as the packet passes. */
export class PacketComments {
  private readonly links = new Map<LinkPort, { readonly network: Network; readonly link: NetworkLink }>()
  private readonly decoded = new DecodedFrame()

  /** Knows from now on what passes the first end of a link. */
  add(network: Network, link: NetworkLink): void {
    this.links.set(link.a.port, { network, link })
  }

  /** A line for the sender's end and one for the receiver's, as far as they have a socket. */
  of(frame: Frame, port: LinkPort, outgoing: boolean): string | null {
    const found = this.links.get(port)
    if (found === undefined) return null
    const { network, link } = found
    const { decoded } = this
    decodeFrame(decoded, network.world.memory, frame.start, frame.end, port.features.medium)
    const ends = outgoing ? [link.a, link.b] : [link.b, link.a]
    const remarks = ends.map((iface, index) => {
      const host = hostOf(network, iface)
      return host === undefined ? null : packetComment(host, decoded, index === 0, iface)
    })
    return remarks.filter((remark) => remark !== null).join('\n') || null
  }
}

const hostOf = (network: Network, iface: NetworkInterface): Host | undefined => {
  for (const host of network.hosts.values()) if (host.ip === iface.stack) return host
  return undefined
}
