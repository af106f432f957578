import { clockTime, twoDigits } from '../../core/calendar.ts'
import { IpProtocol } from '../../wire/ip.ts'
import { checksum, type Dissection, named, rightChecksum } from './dissection.ts'
import type { IpContext } from './ip.ts'
import { putIpv4 } from './ipv4.ts'

/** ICMP (RFC 792): `ICMP echo request, id 1, seq 2, length 64`. */

const Type = {
  EchoReply: 0,
  Unreachable: 3,
  SourceQuench: 4,
  Redirect: 5,
  Echo: 8,
  RouterAdvertisement: 9,
  TimeExceeded: 11,
  ParameterProblem: 12,
  Timestamp: 13,
  TimestampReply: 14,
  MaskReply: 18,
} as const

const NAMES: ReadonlyMap<number, string> = new Map([
  [0, 'echo reply'],
  [3, 'unreachable'],
  [4, 'source quench'],
  [5, 'redirect'],
  [8, 'echo request'],
  [9, 'router advertisement'],
  [10, 'router solicitation'],
  [11, 'time exceeded'],
  [12, 'parameter problem'],
  [13, 'time stamp request'],
  [14, 'time stamp reply'],
  [15, 'information request'],
  [16, 'information reply'],
  [17, 'address mask request'],
])

/** Reasons why a destination cannot be reached; `%` stands for it. */
const UNREACHABLE: ReadonlyMap<number, string> = new Map([
  [0, 'net % unreachable'],
  [1, 'host % unreachable'],
  [5, '% unreachable - source route failed'],
  [6, 'net % unreachable - unknown'],
  [7, 'host % unreachable - unknown'],
  [8, '% unreachable - source host isolated'],
  [9, 'net % unreachable - admin prohibited'],
  [10, 'host % unreachable - admin prohibited'],
  [11, 'net % unreachable - tos prohibited'],
  [12, 'host % unreachable - tos prohibited'],
  [13, 'host % unreachable - admin prohibited filter'],
  [14, 'host % unreachable - host precedence violation'],
  [15, 'host % unreachable - precedence cutoff'],
])
const PROTOCOL_UNREACHABLE = 2
const PORT_UNREACHABLE = 3
const FRAGMENTATION_NEEDED = 4

const REDIRECTS = ['redirect % to net ', 'redirect % to host ', 'redirect-tos % to net ', 'redirect-tos % to host ']

/** Types of messages that quote what they are about. */
const ERRORS: ReadonlySet<number> = new Set([
  Type.Unreachable,
  Type.SourceQuench,
  Type.Redirect,
  Type.TimeExceeded,
  Type.ParameterProblem,
])

/** A message at `at`, of `length` bytes as IP has it. */
export const putIcmp = (d: Dissection, ip: IpContext, at: number, length: number): void => {
  d.protocol = 'icmp'
  const type = d.u8(at)
  d.put(`ICMP ${describe(d, type, at)}, length ${length}`)
  if (d.options.verbose === 0) return
  if (d.options.checksums && !ip.isFragment && d.has(at, length)) {
    const sum = checksum(d.bytes, at, at + length)
    if (sum !== 0) {
      const field = d.u16(at + 2)
      d.put(` (wrong icmp cksum ${field.toString(16)} (->${rightChecksum(field, sum).toString(16)})!)`)
    }
  }
  if (!ERRORS.has(type)) return
  d.put('\n\t')
  const quoted = at + 8
  putIpv4(d, quoted, d.u16(quoted + 2))
}

const describe = (d: Dissection, type: number, at: number): string => {
  const code = d.u8(at + 1)
  switch (type) {
    case Type.Echo:
    case Type.EchoReply:
      return `${NAMES.get(type)}, id ${d.u16(at + 4)}, seq ${d.u16(at + 6)}`
    case Type.Unreachable:
      return describeUnreachable(d, code, at)
    case Type.Redirect: {
      const text = REDIRECTS[code] ?? `redirect-#${code} % to net `
      return text.replace('%', d.ipv4(at + 24)) + d.ipv4(at + 4)
    }
    case Type.RouterAdvertisement:
      return describeAdvertisement(d, at)
    case Type.TimeExceeded:
      d.need(at + 8, 20)
      return code === 0
        ? 'time exceeded in-transit'
        : code === 1
          ? 'ip reassembly time exceeded'
          : `time exceeded-#${code}`
    case Type.ParameterProblem:
      return code === 0 ? `parameter problem - octet ${d.u8(at + 4)}` : `parameter problem - code ${code}`
    case Type.MaskReply:
      return `address mask is 0x${d.hexBytes(at + 8, 4)}`
    case Type.Timestamp:
      return `time stamp query id ${d.u16(at + 4)} seq ${d.u16(at + 6)}`
    case Type.TimestampReply: {
      const [origin, received, sent] = [8, 12, 16].map((offset) => timeOfDay(d.u32(at + offset)))
      return `time stamp reply id ${d.u16(at + 4)} seq ${d.u16(at + 6)}: org ${origin}, recv ${received}, xmit ${sent}`
    }
    default:
      return named(NAMES, type, 'type-#%')
  }
}

/** The destination of the packet quoted, and for ports where it was to go. */
const describeUnreachable = (d: Dissection, code: number, at: number): string => {
  const quoted = at + 8
  const destination = (): string => d.ipv4(quoted + 16)
  if (code === PROTOCOL_UNREACHABLE) return `${destination()} protocol ${d.u8(quoted + 9)} unreachable`
  if (code === PORT_UNREACHABLE) {
    const protocol = d.u8(quoted + 9)
    const port = d.u16(quoted + (d.u8(quoted) & 0xf) * 4 + 2)
    if (protocol === IpProtocol.Tcp) return `${destination()} tcp port ${d.port(port, 'tcp')} unreachable`
    if (protocol === IpProtocol.Udp) return `${destination()} udp port ${d.port(port, 'udp')} unreachable`
    return `${destination()} protocol ${protocol} port ${port} unreachable`
  }
  if (code === FRAGMENTATION_NEEDED) {
    const mtu = d.u16(at + 6)
    return `${destination()} unreachable - need to frag${mtu === 0 ? '' : ` (mtu ${mtu})`}`
  }
  return named(UNREACHABLE, code, `% unreachable - #${code}`).replace('%', destination())
}

const describeAdvertisement = (d: Dissection, at: number): string => {
  const count = d.u8(at + 4)
  const size = d.u8(at + 5)
  let text = `router advertisement lifetime ${lifetime(d.u16(at + 6))} ${count}:`
  if (size !== 2) return `${text} [size ${size}]`
  for (let i = 0; i < count; i++) text += ` {${d.ipv4(at + 8 + i * 8)} ${d.u32(at + 12 + i * 8)}}`
  return text
}

const lifetime = (seconds: number): string => {
  if (seconds < 60) return String(seconds)
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${twoDigits(seconds % 60)}`
  return `${Math.floor(seconds / 3600)}:${twoDigits(Math.floor((seconds % 3600) / 60))}:${twoDigits(seconds % 60)}`
}

/** Milliseconds since midnight. */
const timeOfDay = (milliseconds: number): string => {
  const seconds = Math.floor(milliseconds / 1000)
  return `${clockTime(seconds)}.${String(milliseconds % 1000).padStart(3, '0')}`
}
