import { Errno } from '../core/errno.ts'
import { FrameChecksum } from '../core/frame.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { SendFlag } from '../ip/output.ts'
import { type IpAddress, isLinkLocal6 } from '../wire/address.ts'
import { checksumOf, foldSum, sumBytes } from '../wire/checksum.ts'
import { type IpHeader, IpProtocol, pseudoHeaderSum } from '../wire/ip.ts'
import { emitTcp, TCP_MIN_HEADER, TcpFlag, tcpOptionsLength } from '../wire/tcp.ts'
import type { TcpLayer } from './layer.ts'
import { findMd5Key, type Md5Key, signSegment } from './md5.ts'
import type { Segment } from './segment.ts'

/** Segments that no connection sends: SYN+ACKs of half-open ones, ACKs from TIME_WAIT, and resets. */

/** A pair of endpoints, as the structures without a connection have it. */
export interface Endpoints {
  readonly local: IpAddress
  readonly localPort: number
  readonly remote: IpAddress
  readonly remotePort: number
  /** The interface that a reply must leave through; null for any. */
  readonly scope: NetworkInterface | null
}

/** IP's fields that a reply takes over from a socket. */
export interface ReplyMarks {
  readonly hopLimit: number
  readonly trafficClass: number
  readonly md5Keys: readonly Md5Key[]
}

/**
 * Sends `layer.out`, whose sequence numbers, flags and options are set, between two endpoints, without data.
 * @param cookie of the fast-open option, where `layer.out` asks for one
 * @returns 0 or an `Errno`
 */
export const replySegment = (
  layer: TcpLayer,
  endpoints: Endpoints,
  marks: ReplyMarks,
  cookie: Uint8Array | null = null,
): number => {
  const { local, remote } = endpoints
  const destination = layer.ip.resolve(remote, local, endpoints.scope)
  if (typeof destination === 'number') return -destination
  const { out } = layer
  const md5Key = marks.md5Keys.length === 0 ? null : findMd5Key(marks.md5Keys, remote)
  if (md5Key !== null) out.md5At = 0
  const headerLength = TCP_MIN_HEADER + tcpOptionsLength(out, cookie)
  const frame = layer.world.frames.allocate(headerLength)
  if (frame === null) return Errno.ENOBUFS
  const start = frame.transport
  const { memory } = layer.world
  frame.end = start + headerLength
  out.sourcePort = endpoints.localPort
  out.destinationPort = endpoints.remotePort
  out.urgent = 0
  const pseudo = foldSum(pseudoHeaderSum(local, remote, IpProtocol.Tcp, 0) + headerLength)
  const offload = destination.interface.port.features.checksumOffload
  out.checksum = offload ? pseudo : 0
  emitTcp(out, memory, start, cookie)
  if (md5Key !== null) signSegment(layer, start, frame.end, local, remote, md5Key)
  if (offload) frame.checksum = FrameChecksum.Partial
  else memory.view.setUint16(start + 16, checksumOf(pseudo + sumBytes(memory, start, frame.end)))
  layer.mib.tcp.OutSegs++
  return (
    0 -
    layer.ip.send(frame, destination, local, IpProtocol.Tcp, marks.hopLimit, marks.trafficClass, SendFlag.DontFragment)
  )
}

const NO_MARKS: ReplyMarks = { hopLimit: 0, trafficClass: 0, md5Keys: [] }

/** Answers a segment that belongs to no connection, or offends one, with a RST (RFC 9293 section 3.10.7.1). */
export const replyReset = (layer: TcpLayer, segment: Segment, header: IpHeader, from: NetworkInterface): void => {
  if (segment.has(TcpFlag.Rst)) return
  const { out } = layer
  out.clearOptions()
  out.window = 0
  if (segment.has(TcpFlag.Ack)) {
    out.seq = segment.ack
    out.ack = 0
    out.flags = TcpFlag.Rst
  } else {
    out.seq = 0
    out.ack = segment.end
    out.flags = TcpFlag.Rst | TcpFlag.Ack
  }
  layer.mib.tcp.OutRsts++
  replySegment(
    layer,
    {
      local: header.destination,
      localPort: segment.destinationPort,
      remote: header.source,
      remotePort: segment.sourcePort,
      scope: scopeOf(header, from),
    },
    NO_MARKS,
  )
}

/**
 * The interface that a packet's sender can only be reached through:
 * that of its link, when its address means nothing beyond.
 */
export const scopeOf = (header: IpHeader, from: NetworkInterface): NetworkInterface | null =>
  header.version === 6 && isLinkLocal6(header.source0) && !from.isLoopback ? from : null
