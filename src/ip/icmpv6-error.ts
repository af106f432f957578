import type { Frame } from '../core/frame.ts'
import { isLinkLocal6, isMulticast6 } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { emitIcmpv6, ICMPV6_HEADER, Icmpv6Type, isIcmpv6Error } from '../wire/icmpv6.ts'
import { type IpHeader, IpProtocol } from '../wire/ip.ts'
import { IPV6_HEADER, IPV6_MIN_MTU } from '../wire/ipv6.ts'
import { parseQuote } from '../wire/quote.ts'
import type { NetworkInterface } from './interface.ts'
import type { IpStack } from './stack.ts'

/**
 * Tells the source of an IPv6 packet what became of it, unless that must not be told (RFC 4443 section 2.4 (e)) or too
 * much has been told lately. The packet stays the caller's.
 * @param from the interface through which it came
 * @param frame holds the packet; `header` is its header, parsed as far as it goes
 * @param info the MTU or the pointer, as the type wants it
 */
export const sendIcmp6Error = (
  from: NetworkInterface,
  frame: Frame,
  header: IpHeader,
  type: number,
  code: number,
  info: number,
): void => sendError(from, frame, header, type, code, info, type === Icmpv6Type.PacketTooBig)

/**
 * Sends a parameter problem.
 * @param pointer bytes from the packet's start to what is wrong
 * @param toGroup is it due even about a packet to a group: an option that asks for it?
 */
export const sendIcmp6Problem = (
  from: NetworkInterface,
  frame: Frame,
  header: IpHeader,
  code: number,
  pointer: number,
  toGroup: boolean,
): void => sendError(from, frame, header, Icmpv6Type.ParameterProblem, code, pointer, toGroup)

const sendError = (
  from: NetworkInterface,
  frame: Frame,
  header: IpHeader,
  type: number,
  code: number,
  info: number,
  toGroup: boolean,
): void => {
  const { stack } = from
  const start = header.optionsStart - IPV6_HEADER
  const multicast = isMulticast6(header.destination0)
  if ((multicast && !toGroup) || !mayAnswer(stack, frame, header, start)) return
  const { destination0, destination1, destination2, destination3 } = header
  const toUs = !multicast && stack.isLocalWords(destination0, destination1, destination2, destination3)
  const scope = isLinkLocal6(header.source0) && !from.isLoopback ? from : null
  const destination = stack.resolve(header.source, toUs ? header.destination : null, scope)
  if (typeof destination === 'number') return
  if (type !== Icmpv6Type.PacketTooBig && !destination.interface.isLoopback && !isAllowed(stack, header)) return
  const { frames, memory } = stack.world
  const quoted = Math.min(frame.end - start, IPV6_MIN_MTU - IPV6_HEADER - ICMPV6_HEADER)
  const answer = frames.allocate(ICMPV6_HEADER + quoted)
  if (answer === null) {
    stack.mib.icmp6.OutErrors++
    return
  }
  answer.end = answer.start + ICMPV6_HEADER + quoted
  memory.u8.copyWithin(answer.start + ICMPV6_HEADER, start, start + quoted)
  const message = stack.icmpv6.out
  message.type = type
  message.code = code
  message.mtu = info
  message.pointer = info
  const { tx } = stack
  tx.version = 6
  tx.source = destination.source
  tx.destination = destination.address
  emitIcmpv6(message, tx, memory, answer.start, answer.end)
  stack.icmpv6.countOut(type)
  stack.send(answer, destination, destination.source, IpProtocol.Icmpv6, 0, 0, 0)
}

/** May the packet be answered with an error at all? */
const mayAnswer = (stack: IpStack, frame: Frame, header: IpHeader, start: number): boolean => {
  if (isMulticast6(header.source0) || header.sourceIsUnspecified6) return false
  // Never about an error or a redirect, whatever stands before it.
  const { quote } = stack
  const { memory } = stack.world
  if (parseQuote(quote, memory, start, frame.end) !== Drop.none || quote.protocol !== IpProtocol.Icmpv6) return true
  const type = memory.u8[quote.payloadStart]!
  return !isIcmpv6Error(type) && type !== Icmpv6Type.Redirect
}

/** Do the limits let another error go? */
const isAllowed = (stack: IpStack, header: IpHeader): boolean => {
  const { mib, settings } = stack
  const { source0, source1, source2, source3 } = header
  if (!stack.rateLimit.allowGlobal()) {
    mib.drops[Drop['icmp-rate-limited']]!++
    return false
  }
  const route = stack.routes.lookup(source0, source1, source2, source3, null)
  // Hosts behind a short prefix share more of the way: they may be sent more.
  const shift = route === null ? 0 : (128 - route.length) >>> 5
  const interval = (settings.icmpv6_ratelimit * 1000) / (1 << shift)
  if (stack.rateLimit.allowPeer(source0, source1, source2, source3, interval)) return true
  mib.icmp6.OutRateLimitHost++
  mib.drops[Drop['icmp-rate-limited']]!++
  return false
}
