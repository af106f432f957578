import { type Frame, FrameChecksum } from '../core/frame.ts'
import type { Bytes } from '../core/memory.ts'
import { checksumFieldAt, hasNoChecksum } from '../link/segmentation.ts'
import { foldSum, sumBytes } from '../wire/checksum.ts'
import { Drop } from '../wire/drop.ts'
import { ETHERNET_HEADER, EtherType, VLAN_TAG } from '../wire/ethernet.ts'
import { IpProtocol } from '../wire/ip.ts'
import { TCP_MIN_HEADER, TcpFlag } from '../wire/tcp.ts'

/**
 * The header that stands before every frame of a device with IFF_VNET_HDR: what is left to do on it (virtio 1.2 section
 * 5.1.6, `struct virtio_net_hdr`). Little-endian, as TUNSETVNETLE asks.
 *
 *     | flags: 8 | gso type: 8 | header length: 16 | segment size: 16 | checksum start: 16 | checksum offset: 16 |
 *
 * Start and length count from the frame's first byte, the offset from the checksum's start.
 */
export const VNET_HEADER = 10

const NEEDS_CHECKSUM = 1
const CHECKSUM_VALID = 2

const GSO_NONE = 0
const GSO_TCPV4 = 1
const GSO_TCPV6 = 4
/** A bit beside the type: only the first segment carries CWR (RFC 3168 section 6.1.2). */
const GSO_ECN = 0x80

/**
 * Reads the header just before `frame.start` and sets the frame's marks by it: `checksum`, `segmentSize`, and where the
 * headers lie, as far as somebody will have to go by them.
 * @returns `Drop.none`, or why the frame must be dropped
 */
export const readVnetHeader = (bytes: Bytes, frame: Frame, medium: 'ethernet' | 'ip'): number => {
  const { u8, view } = bytes
  const at = frame.start - VNET_HEADER
  const flags = u8[at]!
  const type = u8[at + 1]! & ~GSO_ECN
  if (type === GSO_NONE) {
    if ((flags & NEEDS_CHECKSUM) === 0) {
      if ((flags & CHECKSUM_VALID) !== 0) frame.checksum = FrameChecksum.Good
      return Drop.none
    }
  } else if ((type !== GSO_TCPV4 && type !== GSO_TCPV6) || (flags & NEEDS_CHECKSUM) === 0) {
    return Drop['link-not-segmentable']
  }
  const transport = frame.start + view.getUint16(at + 6, true)
  const network = networkStart(bytes, frame, medium)
  if (network < 0 || transport <= network || transport >= frame.end) return Drop['link-not-segmentable']
  frame.network = network
  frame.transport = transport
  // The stack completes checksums of TCP and UDP only, at the place that follows from the headers.
  if (checksumFieldAt(bytes, frame) !== transport + view.getUint16(at + 8, true)) return Drop['link-not-segmentable']
  frame.checksum = FrameChecksum.Partial
  if (type !== GSO_NONE) frame.segmentSize = view.getUint16(at + 4, true)
  return Drop.none
}

/** Where the IP header lies, and `frame.etherType`; -1 when it is no IP packet behind at most two tags. */
const networkStart = (bytes: Bytes, frame: Frame, medium: 'ethernet' | 'ip'): number => {
  const { u8, view } = bytes
  let at = frame.start
  if (medium === 'ethernet') {
    at += ETHERNET_HEADER
    for (let tags = 0; tags < 2 && at + VLAN_TAG < frame.end; tags++, at += VLAN_TAG) {
      const type = view.getUint16(at - 2)
      if (type !== EtherType.Vlan && type !== EtherType.ServiceVlan) break
    }
  }
  if (at >= frame.end) return -1
  const version = u8[at]! >>> 4
  if (version !== 4 && version !== 6) return -1
  frame.etherType = version === 4 ? EtherType.Ipv4 : EtherType.Ipv6
  return at
}

/**
 * Writes the header just before `frame.start`, by the frame's marks. Where the kernel is to compute the checksum,
 * should it be needed, the field gets the sum of the pseudo-header, unless it holds that already: also in a frame
 * marked Good, whose field nobody may have filled.
 * @returns `Drop.none`, or why the frame must be dropped
 */
export const writeVnetHeader = (bytes: Bytes, frame: Frame): number => {
  const { u8, view } = bytes
  const at = frame.start - VNET_HEADER
  const { checksum, segmentSize } = frame
  // Not `fill`, which is a call out of compiled code.
  view.setFloat64(at, 0)
  view.setUint16(at + 8, 0)
  if (checksum === FrameChecksum.Unverified && segmentSize === 0) return Drop.none
  const field = checksumFieldAt(bytes, frame)
  const optional = checksum !== FrameChecksum.Partial && segmentSize === 0
  if (optional && (field < 0 || hasNoChecksum(bytes, frame, field))) return Drop.none
  const transport = frame.transport
  const isTcp = field - transport === TCP_CHECKSUM
  if (field < 0 || (segmentSize > 0 && !isTcp)) return Drop['link-not-segmentable']
  if (checksum !== FrameChecksum.Partial) fillPseudoSum(bytes, frame, field)
  u8[at] = NEEDS_CHECKSUM
  view.setUint16(at + 6, transport - frame.start, true)
  view.setUint16(at + 8, field - transport, true)
  if (segmentSize === 0) return Drop.none
  const header = (u8[transport + 12]! >>> 4) << 2
  if (header < TCP_MIN_HEADER || transport + header > frame.end) return Drop['tcp-header-length']
  if (frame.end - transport - header <= segmentSize) return Drop.none
  const type = u8[frame.network]! >>> 4 === 4 ? GSO_TCPV4 : GSO_TCPV6
  u8[at + 1] = (u8[transport + 13]! & TcpFlag.Cwr) === 0 ? type : type | GSO_ECN
  view.setUint16(at + 2, transport + header - frame.start, true)
  view.setUint16(at + 4, segmentSize, true)
  return Drop.none
}

const TCP_CHECKSUM = 16

/** Writes the sum of the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1) into the field at `field`. */
const fillPseudoSum = (bytes: Bytes, frame: Frame, field: number): void => {
  const { network, transport } = frame
  const isIpv4 = bytes.u8[network]! >>> 4 === 4
  const packet = isIpv4 ? bytes.view.getUint16(network + 2) : bytes.view.getUint16(network + 4) + 40
  const length = network + packet - transport
  const addresses = isIpv4 ? sumBytes(bytes, network + 12, network + 20) : sumBytes(bytes, network + 8, network + 40)
  const protocol = field - transport === TCP_CHECKSUM ? IpProtocol.Tcp : IpProtocol.Udp
  bytes.view.setUint16(field, foldSum(addresses + protocol + length))
}

/** Moves a frame's bytes up, to where a virtio header has room before them. @returns false when there is no room */
export const moveUp = (u8: Uint8Array, frame: Frame): boolean => {
  const by = (VNET_HEADER + 3) & ~3
  if (frame.end + by > frame.base + frame.size) return false
  u8.copyWithin(frame.start + by, frame.start, frame.end)
  frame.start += by
  frame.end += by
  frame.network += by
  frame.transport += by
  return true
}
