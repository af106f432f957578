import { type IcmpMessage, IcmpType, IcmpUnreachable } from '../wire/icmp.ts'
import { type Icmpv6Message, Icmpv6Type, Icmpv6Unreachable } from '../wire/icmpv6.ts'
import type { IpHeader } from '../wire/ip.ts'

/** What a ladder says of ICMP messages and of fragments. */

const nameOf = (table: Readonly<Record<string, number>>, value: number): string =>
  (Object.entries(table).find(([, number]) => number === value)?.[0] ?? `code ${value}`)
    .replace(/(?<=[a-z])(?=[A-Z])/g, ' ')
    .toLowerCase()

/** `ICMP echo reply, sequence 1`, `ICMP destination unreachable: port`. */
export const icmpText = ({ type, code, sequence }: IcmpMessage): string => {
  const name = typeText('ICMP', nameOf(IcmpType, type), type)
  if (type === IcmpType.DestinationUnreachable) return `${name}: ${nameOf(IcmpUnreachable, code)}`
  if (type === IcmpType.Echo || type === IcmpType.EchoReply) return `${name}, sequence ${sequence}`
  return name
}

/** The same for ICMPv6. */
export const icmpv6Text = ({ type, code }: Icmpv6Message): string => {
  const name = typeText('ICMPv6', nameOf(Icmpv6Type, type), type)
  return type === Icmpv6Type.DestinationUnreachable ? `${name}: ${nameOf(Icmpv6Unreachable, code)}` : name
}

const typeText = (protocol: string, name: string, type: number): string =>
  `${protocol} ${name.startsWith('code ') ? `type ${type}` : name}`

const PROTOCOLS: Readonly<Record<number, string>> = { 1: 'ICMP', 6: 'TCP', 17: 'UDP', 58: 'ICMPv6' }

/** What is no whole packet, or of a protocol that nothing is known of: `UDP fragment at 1480, 1048 bytes, the last`. */
export const otherText = (ip: IpHeader, bytes: number): string => {
  const name = PROTOCOLS[ip.protocol] ?? `IP protocol ${ip.protocol}`
  if (!ip.isFragment) return `${name}, ${bytes} bytes`
  return `${name} fragment at ${ip.fragmentOffset}, ${bytes} bytes${ip.moreFragments ? '' : ', the last'}`
}
