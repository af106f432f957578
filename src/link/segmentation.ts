import { type Frame, FrameChecksum, type FrameQueue } from '../core/frame.ts'
import type { Bytes } from '../core/memory.ts'
import type { World } from '../core/world.ts'
import { checksumOf, foldSum, sumBytes, sumWord } from '../wire/checksum.ts'
import { Drop } from '../wire/drop.ts'
import { ETHERNET_HEADER, EtherType, VLAN_TAG } from '../wire/ethernet.ts'
import { IpProtocol } from '../wire/ip.ts'
import { IPV4_MIN_HEADER } from '../wire/ipv4.ts'
import { IPV6_HEADER } from '../wire/ipv6.ts'
import { TCP_MIN_HEADER, TcpFlag } from '../wire/tcp.ts'
import { UDP_HEADER } from '../wire/udp.ts'
import type { LinkFeatures } from './port.ts'

/**
 * In software what a link's hardware would do: completing checksums that were left to it, and cutting a frame that
 * stands for several TCP segments. Both go by the frame's marks `network` and `transport`, so that it does not matter
 * which link header stands before them; what the marks point to is checked.
 */

const TCP_CHECKSUM = 16
const UDP_CHECKSUM = 6
/** Flags that only the last of several segments carries. */
const LAST_ONLY = TcpFlag.Fin | TcpFlag.Psh

/** Bytes of the IP packet, or whatever else, behind the link header, to which up to two VLAN tags belong. */
export const packetLength = (bytes: Bytes, frame: Frame, medium: LinkFeatures['medium']): number => {
  if (medium === 'ip') return frame.end - frame.start
  let header = frame.start + ETHERNET_HEADER
  for (let tags = 0; tags < 2 && header + VLAN_TAG <= frame.end; tags++, header += VLAN_TAG) {
    const etherType = bytes.view.getUint16(header - 2)
    if (etherType !== EtherType.Vlan && etherType !== EtherType.ServiceVlan) break
  }
  return frame.end - header
}

/** One past the IP packet's last byte, by its own length field; -1 when that cannot be. A link may have padded it. */
const packetEnd = (bytes: Bytes, frame: Frame): number => {
  const { u8, view } = bytes
  const at = frame.network
  if (at < frame.start || frame.transport > frame.end) return -1
  let end = -1
  if (u8[at]! >>> 4 === 4 && frame.transport >= at + IPV4_MIN_HEADER) end = at + view.getUint16(at + 2)
  else if (u8[at]! >>> 4 === 6 && frame.transport >= at + IPV6_HEADER) end = at + IPV6_HEADER + view.getUint16(at + 4)
  return end > frame.end || end < frame.transport ? -1 : end
}

/** The protocol of the header at `frame.transport`; -1 for a fragment, and when the headers do not lead there. */
const transportProtocol = (bytes: Bytes, frame: Frame): number => {
  const { u8, view } = bytes
  const network = frame.network
  if (u8[network]! >>> 4 === 4) {
    if ((view.getUint16(network + 6) & 0x3fff) !== 0) return -1
    return network + ((u8[network]! & 0xf) << 2) === frame.transport ? u8[network + 9]! : -1
  }
  let protocol = u8[network + 6]!
  let at = network + IPV6_HEADER
  while (at < frame.transport) {
    if (
      protocol !== IpProtocol.HopByHop &&
      protocol !== IpProtocol.Routing &&
      protocol !== IpProtocol.DestinationOptions
    ) {
      return -1
    }
    protocol = u8[at]!
    at += (u8[at + 1]! + 1) << 3
  }
  return at === frame.transport ? protocol : -1
}

/** Partial sum of the pseudo-header without its length (RFC 9293 section 3.1, RFC 8200 section 8.1). */
const pseudoSum = (bytes: Bytes, frame: Frame, protocol: number): number => {
  const at = frame.network
  const sum =
    bytes.u8[at]! >>> 4 === 4
      ? sumBytes(bytes, at + 12, at + IPV4_MIN_HEADER)
      : sumBytes(bytes, at + 8, at + IPV6_HEADER)
  return sum + protocol
}

/**
 * Where the checksum of a frame's TCP segment or UDP datagram lies; -1 when it carries neither whole. `bytes` is the
 * memory in which the frame lies.
 */
export const checksumFieldAt = (bytes: Bytes, frame: Frame): number => {
  const end = packetEnd(bytes, frame)
  if (end < 0) return -1
  const protocol = transportProtocol(bytes, frame)
  if (protocol === IpProtocol.Tcp && end - frame.transport >= TCP_MIN_HEADER) return frame.transport + TCP_CHECKSUM
  if (protocol === IpProtocol.Udp && end - frame.transport >= UDP_HEADER) return frame.transport + UDP_CHECKSUM
  return -1
}

/** What the field at `fieldAt` (see `checksumFieldAt`) should hold, whatever it holds now. Changes nothing. */
export const transportChecksum = (bytes: Bytes, frame: Frame, fieldAt: number): number => {
  const end = packetEnd(bytes, frame)
  const start = frame.transport
  const udp = fieldAt - start === UDP_CHECKSUM
  const before = bytes.view.getUint16(fieldAt)
  const sum = sumBytes(bytes, start, end) + (~before & 0xffff) + sumWord(end - start)
  const checksum = checksumOf(sum + pseudoSum(bytes, frame, udp ? IpProtocol.Udp : IpProtocol.Tcp))
  // For UDP zero would say that there is none (RFC 768).
  return udp && checksum === 0 ? 0xffff : checksum
}

/**
 * Writes the transport checksum of a frame whose field was left to the link (`FrameChecksum.Partial`), or may have been
 * (`Good`), and marks it `Unverified`. A UDP datagram over IPv4 that is Good and has no checksum is left without.
 */
export const finishChecksum = (bytes: Bytes, frame: Frame): void => {
  const mark = frame.checksum
  frame.checksum = FrameChecksum.Unverified
  if (mark === FrameChecksum.Unverified) return
  const at = checksumFieldAt(bytes, frame)
  if (at < 0 || (mark === FrameChecksum.Good && hasNoChecksum(bytes, frame, at))) return
  bytes.view.setUint16(at, transportChecksum(bytes, frame, at))
}

/** Is it a UDP datagram over IPv4 that says it has no checksum (RFC 768)? */
export const hasNoChecksum = (bytes: Bytes, frame: Frame, fieldAt: number): boolean =>
  fieldAt - frame.transport === UDP_CHECKSUM &&
  bytes.view.getUint16(fieldAt) === 0 &&
  bytes.u8[frame.network]! >>> 4 === 4

/**
 * Cuts a frame that stands for several TCP segments (`segmentSize` > 0) into frames of one segment each, with the
 * headers of the first: sequence numbers and IPv4 identifications count up, FIN and PSH stay on the last, CWR on the
 * first (RFC 3168 section 6.1.2), lengths and checksums are computed.
 * @param mtu the largest IP packet that may come of it, bytes
 * @param into takes the segments in order; must be empty
 * @returns `Drop.none`: the frame is used up; otherwise why it must be dropped: it is the caller's, and `into` empty
 */
export const splitSegments = (world: World, frame: Frame, mtu: number, into: FrameQueue): number => {
  const memory = world.memory
  const end = packetEnd(memory, frame)
  if (end < 0 || transportProtocol(memory, frame) !== IpProtocol.Tcp) return Drop['link-not-segmentable']
  const transport = frame.transport
  if (end - transport < TCP_MIN_HEADER) return Drop['tcp-truncated']
  const tcpHeader = (memory.u8[transport + 12]! >>> 4) << 2
  if (tcpHeader < TCP_MIN_HEADER) return Drop['tcp-header-length']
  if (tcpHeader > end - transport) return Drop['tcp-truncated']
  const payload = transport + tcpHeader
  const size = frame.segmentSize
  if (payload - frame.network + Math.min(size, end - payload) > mtu) return Drop['link-mtu']
  if (end - payload <= size) {
    frame.segmentSize = 0
    finishChecksum(memory, frame)
    into.push(frame)
    return Drop.none
  }
  const pseudo = foldSum(pseudoSum(memory, frame, IpProtocol.Tcp))
  let count = 0
  for (let at = payload; at < end; at += size, count++) {
    const segment = copyPart(world, frame, payload, at, Math.min(size, end - at))
    if (segment === null) {
      into.clear(world.frames)
      return Drop['no-memory']
    }
    finishSegment(memory, segment, count, at - payload, at + size >= end, pseudo)
    into.push(segment)
  }
  world.frames.release(frame)
  return Drop.none
}

/** A frame with all headers of `frame`, which end at `payload`, and `length` bytes from `at` behind them. */
const copyPart = (world: World, frame: Frame, payload: number, at: number, length: number): Frame | null => {
  const headers = payload - frame.start
  const segment = world.frames.allocate(headers + length)
  if (segment === null) return null
  // Headers that want more than the usual headroom push the transport header up, by whole words.
  const beyond = segment.base + (frame.transport - frame.start) - segment.transport
  const shift = segment.transport + (beyond > 0 ? (beyond + 3) & ~3 : 0) - frame.transport
  const u8 = world.memory.u8
  segment.start = frame.start + shift
  segment.network = frame.network + shift
  segment.transport = frame.transport + shift
  segment.end = segment.start + headers + length
  u8.copyWithin(segment.start, frame.start, payload)
  u8.copyWithin(segment.start + headers, at, at + length)
  segment.etherType = frame.etherType
  segment.time = frame.time
  return segment
}

/** Makes the copied headers those of segment number `index`, whose payload begins `offset` bytes into the whole. */
const finishSegment = (
  bytes: Bytes,
  segment: Frame,
  index: number,
  offset: number,
  last: boolean,
  pseudo: number,
): void => {
  const { u8, view } = bytes
  const { network, transport, end } = segment
  if (u8[network]! >>> 4 === 4) {
    view.setUint16(network + 2, end - network)
    view.setUint16(network + 4, view.getUint16(network + 4) + index)
    view.setUint16(network + 10, 0)
    view.setUint16(network + 10, checksumOf(sumBytes(bytes, network, transport)))
  } else view.setUint16(network + 4, end - network - IPV6_HEADER)
  view.setInt32(transport + 4, view.getInt32(transport + 4) + offset)
  if (!last) u8[transport + 13]! &= ~LAST_ONLY
  if (index > 0) u8[transport + 13]! &= ~TcpFlag.Cwr
  view.setUint16(transport + TCP_CHECKSUM, 0)
  view.setUint16(
    transport + TCP_CHECKSUM,
    checksumOf(sumBytes(bytes, transport, end) + pseudo + sumWord(end - transport)),
  )
}

/**
 * Makes of a frame what a link with `features` takes: cuts what stands for several segments when the link does not,
 * completes a checksum that the link would leave. What a forwarder calls before `LinkPort.send`, because frames come to
 * it from links with other features.
 * @param into takes what is to be sent, in order; must be empty
 * @returns `Drop.none`, or why the frame must be dropped: it is the caller's then, and `into` empty
 */
export const fitFrame = (world: World, frame: Frame, features: LinkFeatures, into: FrameQueue): number => {
  const length = packetLength(world.memory, frame, features.medium)
  if (frame.segmentSize > 0) {
    if (length > features.maxSegmentedPacket) return splitSegments(world, frame, features.mtu, into)
  } else if (length > features.mtu) return Drop['link-mtu']
  if (frame.checksum === FrameChecksum.Partial && !features.checksumOffload) finishChecksum(world.memory, frame)
  into.push(frame)
  return Drop.none
}
