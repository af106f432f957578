import type { Micros } from '../core/clock.ts'
import { type Frame, FrameChecksum } from '../core/frame.ts'
import type { Memory } from '../core/memory.ts'
import type { IpAddress } from '../wire/address.ts'
import { checksumOf, sumBytes } from '../wire/checksum.ts'
import { IpHeader, IpProtocol } from '../wire/ip.ts'
import { parseIpv4 } from '../wire/ipv4.ts'
import { parseIpv6 } from '../wire/ipv6.ts'
import { parseTcp, TcpFlag, TcpHeader } from '../wire/tcp.ts'
import { readOptions } from './options.ts'
import type { TcpOptionSpec } from './script.ts'

/** What the host under test has sent, read into plain data. */

/** A packet that was captured. */
export interface CapturedPacket {
  /** World time at which it left. */
  readonly time: Micros
  readonly source: IpAddress
  readonly destination: IpAddress
  /** Type of service or traffic class, whole. */
  readonly tos: number
  readonly ttl: number
  readonly flowLabel: number
  /** Bytes of IPv4 options or IPv6 extension headers. */
  readonly ipOptions: number
  readonly body: CapturedTcp | CapturedUdp | CapturedIcmp
}

/** A TCP segment with live numbers, unsigned. */
export interface CapturedTcp {
  readonly protocol: 'tcp'
  readonly sourcePort: number
  readonly destinationPort: number
  readonly flags: string
  readonly seq: number
  /** Bytes of payload. */
  readonly length: number
  /** The field as it stands there, whatever the ACK flag says. */
  readonly ack: number
  readonly window: number
  readonly urgent: number
  readonly options: readonly TcpOptionSpec[]
  /** Is the payload all zeros, as everything is that scripts write? */
  readonly isZero: boolean
  /** What is wrong with the checksum, or the header; null when nothing is. */
  readonly fault: string | null
}

export interface CapturedUdp {
  readonly protocol: 'udp'
  readonly sourcePort: number
  readonly destinationPort: number
  readonly length: number
  readonly isZero: boolean
}

export interface CapturedIcmp {
  readonly protocol: 'icmp'
  readonly type: number
  readonly code: number
}

/** TCP's flags and the letters that scripts have for them. */
export const FLAG_BITS: readonly (readonly [string, number])[] = [
  ['S', TcpFlag.Syn],
  ['F', TcpFlag.Fin],
  ['R', TcpFlag.Rst],
  ['P', TcpFlag.Psh],
  ['U', TcpFlag.Urg],
  ['E', TcpFlag.Ece],
  ['W', TcpFlag.Cwr],
  ['A', TcpFlag.Ae],
  ['.', TcpFlag.Ack],
]

/** Reads a frame that begins with its IP header. @returns null for what is neither TCP, UDP nor ICMP */
export const readPacket = (memory: Memory, frame: Frame, time: Micros): CapturedPacket | null => {
  const header = new IpHeader()
  const version = memory.u8[frame.start]! >>> 4
  const fault = (version === 6 ? parseIpv6 : parseIpv4)(header, memory, frame.start, frame.end)
  if (fault !== 0) return null
  const body = readBody(memory, frame, header)
  if (body === null) return null
  return {
    time,
    source: header.source,
    destination: header.destination,
    tos: header.trafficClass,
    ttl: header.hopLimit,
    flowLabel: header.flowLabel,
    ipOptions: header.payloadStart - frame.start - (version === 6 ? 40 : 20),
    body,
  }
}

const readBody = (memory: Memory, frame: Frame, header: IpHeader): CapturedPacket['body'] | null => {
  const { payloadStart: start, payloadEnd: end, protocol } = header
  const { view, u8 } = memory
  if (protocol === IpProtocol.Tcp) return readTcp(memory, frame, header)
  if (protocol === IpProtocol.Udp && end - start >= 8) {
    return {
      protocol: 'udp',
      sourcePort: view.getUint16(start),
      destinationPort: view.getUint16(start + 2),
      length: end - start - 8,
      isZero: isZero(u8, start + 8, end),
    }
  }
  const isIcmp = protocol === IpProtocol.Icmp || protocol === IpProtocol.Icmpv6
  return isIcmp && end - start >= 8 ? { protocol: 'icmp', type: u8[start]!, code: u8[start + 1]! } : null
}

const readTcp = (memory: Memory, frame: Frame, header: IpHeader): CapturedTcp | null => {
  const { payloadStart: start, payloadEnd: end } = header
  const tcp = new TcpHeader()
  if (parseTcp(tcp, memory, start, end) !== 0) return null
  const data = start + tcp.headerLength
  let fault: string | null = null
  if (frame.checksum !== FrameChecksum.Partial) {
    const sum = header.pseudoSum(IpProtocol.Tcp, end - start) + sumBytes(memory, start, end)
    if (checksumOf(sum) !== 0) fault = 'the TCP checksum is wrong'
  }
  return {
    protocol: 'tcp',
    sourcePort: tcp.sourcePort,
    destinationPort: tcp.destinationPort,
    flags: FLAG_BITS.map(([letter, bit]) => ((tcp.flags & bit) !== 0 ? letter : '')).join(''),
    seq: tcp.seq >>> 0,
    length: end - data,
    ack: tcp.ack >>> 0,
    window: tcp.window,
    urgent: tcp.urgent,
    options: readOptions(memory.u8.slice(start + 20, data)),
    isZero: isZero(memory.u8, data, end),
    fault,
  }
}

const isZero = (u8: Uint8Array, start: number, end: number): boolean => {
  for (let at = start; at < end; at++) if (u8[at] !== 0) return false
  return true
}
