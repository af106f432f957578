import type { Frame } from '../core/frame.ts'
import { IPV4_MAPPED, isMulticast4 } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { emitIcmp, ICMP_HEADER, IcmpType, IcmpUnreachable, isIcmpError } from '../wire/icmp.ts'
import { type IpHeader, IpProtocol } from '../wire/ip.ts'
import { IPV4_MIN_HEADER } from '../wire/ipv4.ts'
import type { Destination } from './destination.ts'
import type { NetworkInterface } from './interface.ts'
import { Scope } from './route.ts'
import { selectIpv4Source } from './select.ts'
import type { IpStack } from './stack.ts'

/** The largest ICMP error (RFC 1812 section 4.3.2.3). */
const MAX_ERROR = 576
/** Internetwork control: the precedence of errors (RFC 1812 section 4.3.2.5). */
const PRECEDENCE = 0xc0
/** Types beyond this one (address mask reply) may be errors that are not known here. */
const LAST_KNOWN_TYPE = 18
/** The type-of-service bits that an error takes over from the packet that it is about. */
const TOS_MASK = 0x1e

/**
 * Tells the source of an IPv4 packet what became of it, unless that must not be told (RFC 1122 section 3.2.2, RFC 1812
 * section 4.3.2.7) or too much has been told lately. The packet stays the caller's.
 * @param from the interface through which it came
 * @param frame holds the packet; `header` is its header, parsed
 * @param info the MTU, the pointer or the gateway, as the type wants it
 */
export const sendIcmpError = (
  from: NetworkInterface,
  frame: Frame,
  header: IpHeader,
  type: number,
  code: number,
  info: number,
): void => {
  const { stack } = from
  if (!mayAnswer(stack, header)) return
  const destination = errorRoute(from, header)
  if (destination === null) return
  if (!isAllowed(stack, header, type, code, destination)) return
  const { frames, memory } = stack.world
  const start = header.payloadStart - header.headerLength
  const quoted = Math.min(frame.end - start, MAX_ERROR - IPV4_MIN_HEADER - ICMP_HEADER)
  const answer = frames.allocate(ICMP_HEADER + quoted)
  if (answer === null) {
    stack.mib.icmp.OutErrors++
    return
  }
  answer.end = answer.start + ICMP_HEADER + quoted
  memory.u8.copyWithin(answer.start + ICMP_HEADER, start, start + quoted)
  const message = stack.icmp.out
  message.type = type
  message.code = code
  message.mtu = info
  message.pointer = info
  message.gateway = info
  emitIcmp(message, memory, answer.start, answer.end)
  stack.icmp.countOut(type)
  const tos = (header.trafficClass & TOS_MASK) | PRECEDENCE
  stack.send(answer, destination, destination.source, IpProtocol.Icmp, 0, tos, 0)
}

/** May the packet be answered with an error at all? */
const mayAnswer = (stack: IpStack, header: IpHeader): boolean => {
  // Only about the first fragment, so that whoever gets it can tell the protocol above.
  if (header.fragmentOffset !== 0) return false
  const source = header.source3
  if (source === 0 || source === -1 || isMulticast4(source)) return false
  const destination = header.destination3
  if (destination === -1 || isMulticast4(destination)) return false
  const local = stack.routes.lookupLocal(0, 0, IPV4_MAPPED, destination, null)
  if (local !== null && local.type === 'broadcast') return false
  if (header.protocol !== IpProtocol.Icmp) return true
  // Never about an error, nor about what may be one.
  if (header.payloadEnd <= header.payloadStart) return false
  const type = stack.world.memory.u8[header.payloadStart]!
  return type <= LAST_KNOWN_TYPE && !isIcmpError(type)
}

/** The way back to the source, from the address that the packet was sent to when that is this host's. */
const errorRoute = (from: NetworkInterface, header: IpHeader): Destination | null => {
  const { stack } = from
  const { destination3 } = header
  const toUs = stack.isLocalWords(0, 0, IPV4_MAPPED, destination3)
  let source = toUs ? header.destination : null
  if (!toUs && from.settings.icmp_errors_use_inbound_ifaddr !== 0) {
    const chosen = selectIpv4Source(stack, from, null, Scope.Link)
    if (!chosen.isUnspecified) source = chosen
  }
  const destination = stack.resolve(header.source, source)
  return typeof destination === 'number' ? null : destination
}

/** Do the limits let another error go? What path-MTU discovery needs is never held back. */
const isAllowed = (stack: IpStack, header: IpHeader, type: number, code: number, destination: Destination): boolean => {
  const { settings, mib } = stack
  if (destination.interface.isLoopback || ((1 << type) & settings.icmp_ratemask) === 0) return true
  if (type === IcmpType.DestinationUnreachable && code === IcmpUnreachable.FragmentationNeeded) return true
  if (!stack.rateLimit.allowGlobal()) {
    mib.icmp.OutRateLimitGlobal++
    mib.drops[Drop['icmp-rate-limited']]!++
    return false
  }
  const { source0, source1, source2, source3 } = header
  if (stack.rateLimit.allowPeer(source0, source1, source2, source3, settings.icmp_ratelimit * 1000)) return true
  mib.icmp.OutRateLimitHost++
  mib.drops[Drop['icmp-rate-limited']]!++
  return false
}
