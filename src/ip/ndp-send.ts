import type { Frame } from '../core/frame.ts'
import type { IpAddress } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { Icmpv6Type } from '../wire/icmpv6.ts'
import { type IpHeader, IpProtocol } from '../wire/ip.ts'
import { IPV6_HEADER, IPV6_MIN_MTU } from '../wire/ipv6.ts'
import { emitNdp, NDP_HOP_LIMIT, ndpLength } from '../wire/ndp.ts'
import { onLinkDestination } from './destination.ts'
import type { NetworkInterface } from './interface.ts'
import { SendFlag } from './output.ts'

/**
 * Sends the message in `stack.ndpOut` on the link of `iface`.
 * @param source the unspecified address, or one of the interface
 */
export const sendNdp = (iface: NetworkInterface, source: IpAddress, destination: IpAddress): void => {
  const { stack } = iface
  const message = stack.ndpOut
  const quoted = message.quoteEnd - message.quoteStart
  const length = ndpLength(message) + (quoted > 0 ? 8 + quoted : 0)
  const frame = stack.world.frames.allocate(length)
  if (frame === null) {
    stack.mib.icmp6.OutErrors++
    stack.mib.drops[Drop['no-memory']]!++
    return
  }
  const { memory } = stack.world
  frame.end = frame.start + length
  if (quoted > 0) {
    const at = frame.end - quoted
    memory.u8.copyWithin(at, message.quoteStart, message.quoteEnd)
    message.quoteStart = at
    message.quoteEnd = frame.end
  }
  const { tx } = stack
  tx.version = 6
  tx.source = source
  tx.destination = destination
  emitNdp(message, tx, memory, frame.start)
  stack.icmpv6.countOut(message.type)
  const way = onLinkDestination(iface, destination, source)
  stack.send(frame, way, source, IpProtocol.Icmpv6, NDP_HOP_LIMIT, 0, SendFlag.NoLoop)
}

/** Tells the source of a packet, which is on the link, that `target` is the better first hop (RFC 4861 section 8.2). */
export const sendNdpRedirect = (iface: NetworkInterface, frame: Frame, header: IpHeader, target: IpAddress): void => {
  const { stack } = iface
  const source = iface.linkLocal
  if (source === null) return
  const message = stack.ndpOut
  message.clear()
  message.type = Icmpv6Type.Redirect
  message.target = target
  message.destination = header.destination
  const neighbour = stack.nd.find(iface, target.w0, target.w1, target.w2, target.w3)
  if (neighbour?.isValid === true) message.targetMac = neighbour.mac
  // As much of the packet as goes without the redirect becoming larger than the least MTU; whole words of eight bytes.
  const start = header.optionsStart - IPV6_HEADER
  const room = IPV6_MIN_MTU - IPV6_HEADER - ndpLength(message) - 8
  message.quoteStart = start
  message.quoteEnd = start + (Math.min(frame.end - start, room) & ~7)
  sendNdp(iface, source, header.source)
}
