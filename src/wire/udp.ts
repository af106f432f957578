import type { Bytes } from '../core/memory.ts'
import { Drop } from './drop.ts'

/** UDP (RFC 768). The checksum is the business of wire/transport.ts. */
export const UDP_HEADER = 8

/** The port of RoCE version 2, remote direct memory access over UDP. */
const PORT_ROCE = 4791

/** What a datagram is called: `'RoCEv2'` for one to that port, or `'UDP'`. */
export const datagramName = ({ destinationPort }: UdpHeader): string =>
  destinationPort === PORT_ROCE ? 'RoCEv2' : 'UDP'

/** A UDP header as plain values. One object is filled for datagram after datagram. */
export class UdpHeader {
  sourcePort = 0
  destinationPort = 0
  /** Bytes of header and payload. */
  length = UDP_HEADER
  checksum = 0
  /** Where the payload lies. */
  payloadStart = 0
  payloadEnd = 0
}

/**
 * Parses the UDP header at `start` of a datagram that ends at or before `end`: the length in the header counts, bytes
 * of the IP payload behind it do not belong to the datagram. The checksum is not looked at.
 * @returns `Drop.none`, with every field of `into` set, or why the datagram must be dropped
 */
export const parseUdp = (into: UdpHeader, bytes: Bytes, start: number, end: number): number => {
  if (end - start < UDP_HEADER) return Drop['udp-truncated']
  const { view } = bytes
  const length = view.getUint16(start + 4)
  if (length < UDP_HEADER) return Drop['udp-length']
  if (length > end - start) return Drop['udp-truncated']
  into.sourcePort = view.getUint16(start)
  into.destinationPort = view.getUint16(start + 2)
  into.length = length
  into.checksum = view.getUint16(start + 6)
  into.payloadStart = start + UDP_HEADER
  into.payloadEnd = start + length
  return Drop.none
}

/** Writes the header at `start`, for `header.length` bytes with it. The checksum field gets `header.checksum`. */
export const emitUdp = (header: UdpHeader, bytes: Bytes, start: number): void => {
  const { view } = bytes
  view.setUint16(start, header.sourcePort)
  view.setUint16(start + 2, header.destinationPort)
  view.setUint16(start + 4, header.length)
  view.setUint16(start + 6, header.checksum)
}
