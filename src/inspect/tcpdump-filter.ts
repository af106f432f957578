import { EtherType } from '../wire/ethernet.ts'
import { IpProtocol } from '../wire/ip.ts'
import { UsageError } from './options.ts'
import { type FilterNode, parseFilter, type Qualifiers, type Test, type Value } from './tcpdump-parse.ts'
import { PacketView } from './tcpdump-view.ts'

/** Does a packet meet the expression: its bytes, its length on the wire, its `LinkType`? */
export type PacketFilter = (data: Uint8Array, originalLength: number, linkType: number) => boolean

/**
 * Compiles an expression of pcap-filter(7): `tcp port 80 and not host 10.0.0.1`, `tcp[tcpflags] & tcp-syn != 0`. An
 * empty one is true of everything.
 * @throws UsageError, in one line, for one that is none
 */
export const compileFilter = (expression: string): PacketFilter => {
  const tree = parseFilter(expression)
  if (tree === null) return () => true
  return (data, originalLength, linkType) => {
    const view = new PacketView(data, originalLength, linkType)
    return view.isKnown && evaluate(tree, view)
  }
}

const evaluate = (node: FilterNode, view: PacketView): boolean => {
  switch (node.kind) {
    case 'and':
      return evaluate(node.left, view) && evaluate(node.right, view)
    case 'or':
      return evaluate(node.left, view) || evaluate(node.right, view)
    case 'not':
      return !evaluate(node.of, view)
    case 'test':
      return meets(node.test, view)
    case 'compare': {
      const left = numberIn(node.left, view)
      const right = numberIn(node.right, view)
      return left !== null && right !== null && COMPARISONS[node.operator]!(left, right)
    }
  }
}

const COMPARISONS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '=': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => a < b,
  '>': (a, b) => a > b,
  '<=': (a, b) => a <= b,
  '>=': (a, b) => a >= b,
}

const OPERATIONS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => (a + b) >>> 0,
  '-': (a, b) => (a - b) >>> 0,
  '*': (a, b) => Math.imul(a, b) >>> 0,
  '/': (a, b) => Math.floor(a / b) >>> 0,
  '%': (a, b) => (a % b) >>> 0,
  '&': (a, b) => (a & b) >>> 0,
  '|': (a, b) => (a | b) >>> 0,
  '^': (a, b) => (a ^ b) >>> 0,
  '<<': (a, b) => (b > 31 ? 0 : (a << b) >>> 0),
  '>>': (a, b) => (b > 31 ? 0 : a >>> b),
}

/** A number, unsigned in 32 bits; null for bytes that the packet does not have: nothing is true of them. */
const numberIn = (value: Value, view: PacketView): number | null => {
  switch (value.kind) {
    case 'number':
      return value.value
    case 'length':
      return view.originalLength
    case 'bytes': {
      const offset = numberIn(value.offset, view)
      const start = offset === null ? null : view.startOf(value.protocol)
      return start === null || offset === null ? null : view.number(start + offset, value.size)
    }
    case 'operation': {
      const left = numberIn(value.left, view)
      const right = numberIn(value.right, view)
      if (left === null || right === null) return null
      if (right === 0 && (value.operator === '/' || value.operator === '%')) return null
      return OPERATIONS[value.operator]!(left, right)
    }
  }
}

const meets = (test: Test, view: PacketView): boolean => {
  const { qualifiers } = test
  switch (test.kind) {
    case 'protocol':
      return isProtocol(test.protocol, view)
    case 'number':
      return numberMatches(qualifiers.protocol, test.number, view)
    case 'vlan':
      return view.takeVlan(test.id)
    case 'broadcast':
      return view.isBroadcast(qualifiers.protocol)
    case 'multicast':
      return view.isMulticast(qualifiers.protocol)
    case 'port':
      return portMatches(test.low, test.high, qualifiers, view)
    case 'mac':
      return either(qualifiers, (side) => view.macIs(side, test.mac))
    case 'net':
      return networkMatches(test.words, test.mask, qualifiers, view)
  }
}

/** Is it true of the source, the destination, any or both of them, as the qualifiers have it? */
const either = ({ direction }: Qualifiers, holds: (side: 'source' | 'destination') => boolean): boolean => {
  switch (direction) {
    case 'src':
      return holds('source')
    case 'dst':
      return holds('destination')
    case 'src and dst':
      return holds('source') && holds('destination')
    default:
      return holds('source') || holds('destination')
  }
}

const TRANSPORTS: Readonly<Record<string, number>> = { tcp: IpProtocol.Tcp, udp: IpProtocol.Udp, sctp: 132 }
const ABOVE_IPV4: Readonly<Record<string, number>> = {
  icmp: IpProtocol.Icmp,
  igmp: IpProtocol.Igmp,
  igrp: 9,
  vrrp: 112,
  carp: 112,
}
const ABOVE_IPV6: Readonly<Record<string, number>> = { icmp6: IpProtocol.Icmpv6 }
const ABOVE_BOTH: Readonly<Record<string, number>> = { ...TRANSPORTS, pim: 103, ah: 51, esp: 50 }
const ETHER_TYPES: Readonly<Record<string, number>> = {
  ip: EtherType.Ipv4,
  ip6: EtherType.Ipv6,
  arp: EtherType.Arp,
  rarp: EtherType.ReverseArp,
}

const isProtocol = (protocol: string, view: PacketView): boolean => {
  if (protocol === 'ether') return view.isEthernet
  const type = ETHER_TYPES[protocol]
  if (type !== undefined) return view.etherType === type
  if (protocol in ABOVE_BOTH) return view.carries(4, ABOVE_BOTH[protocol]!) || view.carries(6, ABOVE_BOTH[protocol]!)
  if (protocol in ABOVE_IPV4) return view.carries(4, ABOVE_IPV4[protocol]!)
  return view.carries(6, ABOVE_IPV6[protocol]!)
}

/** `ip proto 17`, `ether proto 0x806`, `proto 6`. */
const numberMatches = (within: string | null, number: number, view: PacketView): boolean => {
  if (within === 'ether') return view.etherType === number
  if (within === 'ip') return view.carries(4, number)
  if (within === 'ip6') return view.carries(6, number)
  return view.carries(4, number) || view.carries(6, number)
}

const portMatches = (low: number, high: number, qualifiers: Qualifiers, view: PacketView): boolean => {
  const { protocol } = qualifiers
  const wanted = protocol !== null && protocol in TRANSPORTS ? [TRANSPORTS[protocol]!] : Object.values(TRANSPORTS)
  for (const version of [4, 6] as const) {
    if ((protocol === 'ip' && version === 6) || (protocol === 'ip6' && version === 4)) continue
    if (!wanted.some((transport) => view.hasPorts(version, transport))) continue
    return either(qualifiers, (side) => {
      const port = view.port(version, side)
      return port !== null && port >= low && port <= high
    })
  }
  return false
}

/** Addresses in IP, and in ARP and RARP unless a protocol is named. */
const networkMatches = (
  words: readonly number[],
  mask: readonly number[],
  qualifiers: Qualifiers,
  view: PacketView,
): boolean => {
  const { protocol } = qualifiers
  const version = words.length === 1 ? 4 : 6
  if (protocol !== null && protocol in ABOVE_BOTH) throw new UsageError(`'${protocol}' modifier applied to host`)
  if (version === 6 && protocol !== null && protocol !== 'ip6') {
    throw new UsageError(`'${protocol}' modifier applied to ip6 host`)
  }
  const type = view.etherType
  const fits =
    version === 6
      ? type === EtherType.Ipv6
      : protocol === null
        ? type === EtherType.Ipv4 || type === EtherType.Arp || type === EtherType.ReverseArp
        : type === ETHER_TYPES[protocol]
  return (
    fits &&
    either(qualifiers, (side) => {
      const address = view.address(side)
      if (address === null || address.length !== words.length) return false
      return words.every((word, i) => ((address[i]! ^ word) & mask[i]!) === 0)
    })
  )
}
