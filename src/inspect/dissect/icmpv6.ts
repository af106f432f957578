import { IpProtocol } from '../../wire/ip.ts'
import { IPV6_HEADER } from '../../wire/ipv6.ts'
import { hex16 } from '../format.ts'
import { type Dissection, flagNames, named, rightChecksum } from './dissection.ts'
import { putHex } from './dump.ts'
import { type IpContext, transportChecksum } from './ip.ts'
import { putMldQuery, putMldReport } from './mld.ts'
import { PREFERENCES, putNdpOptions } from './ndp-options.ts'

/** ICMPv6 (RFC 4443), with neighbour discovery and MLD: `ICMP6, neighbor solicitation, who has fe80::1, length 32`. */

const Type = {
  Unreachable: 1,
  TooBig: 2,
  TimeExceeded: 3,
  ParameterProblem: 4,
  Echo: 128,
  EchoReply: 129,
  ListenerQuery: 130,
  ListenerReport: 131,
  ListenerDone: 132,
  RouterSolicitation: 133,
  RouterAdvertisement: 134,
  NeighborSolicitation: 135,
  NeighborAdvertisement: 136,
  Redirect: 137,
  ListenerReportV2: 143,
} as const

const NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'destination unreachable'],
  [2, 'packet too big'],
  [3, 'time exceeded in-transit'],
  [4, 'parameter problem'],
  [128, 'echo request'],
  [129, 'echo reply'],
  [130, 'multicast listener query'],
  [131, 'multicast listener report'],
  [132, 'multicast listener done'],
  [133, 'router solicitation'],
  [134, 'router advertisement'],
  [135, 'neighbor solicitation'],
  [136, 'neighbor advertisement'],
  [137, 'redirect'],
  [138, 'router renumbering'],
  [143, 'multicast listener report v2'],
])

/** Types whose length is told before the rest with `-v`. */
const LENGTH_FIRST: ReadonlySet<number> = new Set([
  Type.RouterSolicitation,
  Type.RouterAdvertisement,
  Type.NeighborSolicitation,
  Type.NeighborAdvertisement,
  Type.Redirect,
])

const UNREACHABLE: ReadonlyMap<number, string> = new Map([
  [0, 'unreachable route'],
  [1, 'unreachable prohibited'],
  [2, 'beyond scope'],
  [3, 'unreachable address'],
  [4, 'unreachable port'],
])

const HEADER = 8

/** A message at `at`, of `length` bytes as IP has it. */
export const putIcmpv6 = (d: Dissection, ip: IpContext, at: number, length: number): void => {
  d.protocol = 'icmp6'
  d.need(at, 1)
  const { verbose } = d.options
  if (verbose > 0 && !ip.isFragment && d.has(at, length)) {
    const sum = transportChecksum(d, ip, IpProtocol.Icmpv6, at, at + length)
    const field = d.u16(at + 2)
    d.put(sum === 0 ? '[icmp6 sum ok] ' : `[bad icmp6 cksum ${hex16(field)} -> ${hex16(rightChecksum(field, sum))}!] `)
  }
  const type = d.u8(at)
  d.put(`ICMP6, ${named(NAMES, type, 'unknown icmp6 type (%)')}`)
  if (verbose > 0 && LENGTH_FIRST.has(type)) d.put(`, length ${length}`)
  if (!NAMES.has(type)) {
    d.put(`, length ${length}`)
    if (verbose <= 1) putHex(d, at, length)
    return
  }
  if (putBody(d, type, at, length) && verbose === 0) d.put(`, length ${length}`)
}

/** @returns false when the length is not to be told behind it */
const putBody = (d: Dissection, type: number, at: number, length: number): boolean => {
  const code = d.u8(at + 1)
  switch (type) {
    case Type.Unreachable:
      return putUnreachable(d, code, at, length)
    case Type.TooBig:
      d.put(`, mtu ${d.u32(at + 4)}`)
      break
    case Type.TimeExceeded:
      if (code === 0) d.put(` for ${d.ipv6(at + HEADER + 24)}`)
      else if (code === 1) d.put(' (reassembly)')
      else d.put(`, unknown code (${code})`)
      break
    case Type.ParameterProblem: {
      d.need(at + HEADER, IPV6_HEADER)
      const what = ['erroneous', 'next header', 'option'][code]
      if (what === undefined) d.put(`, code-#${code}`)
      else d.put(`, ${what} - octet ${d.u32(at + 4)}`)
      break
    }
    case Type.Echo:
    case Type.EchoReply:
      d.put(`, id ${d.u16(at + 4)}, seq ${d.u16(at + 6)}`)
      break
    case Type.ListenerQuery:
      putMldQuery(d, at, length)
      break
    case Type.ListenerReport:
    case Type.ListenerDone:
      if (d.has(at, 24)) d.put(`max resp delay: ${d.u16(at + 4)} addr: ${d.ipv6(at + 8)}`)
      break
    case Type.ListenerReportV2:
      putMldReport(d, at, length)
      break
    default:
      putDiscovery(d, type, at, length)
  }
  return true
}

const putUnreachable = (d: Dissection, code: number, at: number, length: number): boolean => {
  const { verbose } = d.options
  const quoted = at + HEADER
  d.put(`, ${named(UNREACHABLE, code, 'unknown unreach code (%)')}`)
  const destination = (): string => d.ipv6(quoted + 24)
  switch (code) {
    case 0:
    case 1:
    case 3:
      d.put(` ${destination()}`)
      break
    case 2:
      d.put(` ${destination()}, source address ${d.ipv6(quoted + 8)}`)
      break
    case 4:
      putPort(d, quoted, destination())
      break
    default:
      if (verbose <= 1) {
        putHex(d, at, length)
        return false
      }
  }
  return true
}

/** The port that nobody listens at; extension headers may lie before it. */
const putPort = (d: Dissection, quoted: number, destination: string): void => {
  let next = d.u8(quoted + 6)
  let at = quoted + IPV6_HEADER
  while (next === IpProtocol.HopByHop || next === IpProtocol.DestinationOptions || next === IpProtocol.Fragment) {
    const length = next === IpProtocol.Fragment ? 8 : (d.u8(at + 1) + 1) * 8
    next = d.u8(at)
    at += length
  }
  const port = d.u16(at + 2)
  if (next === IpProtocol.Tcp) d.put(`, ${destination} tcp port ${d.port(port, 'tcp')}`)
  else if (next === IpProtocol.Udp) d.put(`, ${destination} udp port ${d.port(port, 'udp')}`)
  else d.put(`, ${destination} protocol ${next} port ${port} unreachable`)
}

const ADVERTISEMENT_FLAGS = [
  [0x80, 'managed'],
  [0x40, 'other stateful'],
  [0x20, 'home agent'],
] as const
const NEIGHBOR_FLAGS = [
  [0x80, 'router'],
  [0x40, 'solicited'],
  [0x20, 'override'],
] as const

/** Neighbour discovery (RFC 4861); its options come with `-v`. */
const putDiscovery = (d: Dissection, type: number, at: number, length: number): void => {
  const isVerbose = d.options.verbose > 0
  const options = (header: number): void => {
    if (isVerbose) putNdpOptions(d, at + header, at + length)
  }
  switch (type) {
    case Type.RouterSolicitation:
      options(8)
      break
    case Type.RouterAdvertisement:
      if (isVerbose) {
        d.need(at, 16)
        const flags = d.u8(at + 5)
        d.put(`\n\thop limit ${d.u8(at + 4)}, Flags [${flagNames(ADVERTISEMENT_FLAGS, flags)}]`)
        d.put(`, pref ${PREFERENCES[(flags >> 3) & 3]}, router lifetime ${d.u16(at + 6)}s`)
        d.put(`, reachable time ${d.u32(at + 8)}ms, retrans timer ${d.u32(at + 12)}ms`)
      }
      options(16)
      break
    case Type.NeighborSolicitation:
      d.put(`, who has ${d.ipv6(at + 8)}`)
      options(24)
      break
    case Type.NeighborAdvertisement:
      d.put(`, tgt is ${d.ipv6(at + 8)}`)
      if (isVerbose) d.put(`, Flags [${flagNames(NEIGHBOR_FLAGS, d.u8(at + 4))}]`)
      options(24)
      break
    case Type.Redirect:
      d.put(`, ${d.ipv6(at + 24)} to ${d.ipv6(at + 8)}`)
      options(40)
      break
  }
}
