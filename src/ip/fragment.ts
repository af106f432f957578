import type { Frame, FrameQueue } from '../core/frame.ts'
import { Drop } from '../wire/drop.ts'
import { type IpHeader, IpProtocol } from '../wire/ip.ts'
import { IPV4_MIN_HEADER, MORE_FRAGMENTS, setIpv4Checksum } from '../wire/ipv4.ts'
import { Ipv4OptionType, isCopiedOption } from '../wire/ipv4-options.ts'
import { emitIpv6Fragment, IPV6_FRAGMENT_HEADER, IPV6_HEADER, openIpv6Gap } from '../wire/ipv6.ts'
import type { IpStack } from './stack.ts'

const OFFSET_MASK = 0x1fff

/**
 * Cuts an IPv4 packet, which may be a fragment itself, into fragments of at most `mtu` bytes (RFC 791 section 3.2). The
 * first is `frame`, cut short; the others are new and have those of the options that are to be copied.
 * @param into takes the fragments in order; must be empty
 * @returns `Drop.none`, or why the packet must be dropped: it is the caller's then, and `into` empty
 */
export const fragmentIpv4 = (stack: IpStack, frame: Frame, mtu: number, into: FrameQueue): number => {
  const { memory, frames } = stack.world
  const { start } = frame
  const headerLength = (memory.u8[start]! & 0xf) << 2
  const field = memory.view.getUint16(start + 6)
  const room = (mtu - headerLength) & ~7
  if (room <= 0) return fail4(stack, Drop['ip-too-big'])
  const payload = start + headerLength
  const length = frame.end - payload
  let count = 1
  for (let offset = room; offset < length; offset += room, count++) {
    const size = Math.min(room, length - offset)
    const piece = frames.allocate(size)
    if (piece === null) {
      into.clear(frames)
      return fail4(stack, Drop['no-memory'])
    }
    // A new frame's memory may be new memory: the views are read again.
    const { u8, view } = memory
    piece.end = piece.start + size
    u8.copyWithin(piece.start, payload + offset, payload + offset + size)
    piece.transport = piece.start
    piece.start -= headerLength
    piece.network = piece.start
    piece.etherType = frame.etherType
    u8.copyWithin(piece.start, start, payload)
    if (headerLength > IPV4_MIN_HEADER) blankOptions(u8, piece.start + IPV4_MIN_HEADER, piece.transport)
    const last = offset + size >= length
    view.setUint16(piece.start + 2, headerLength + size)
    view.setUint16(
      piece.start + 6,
      (field & ~(MORE_FRAGMENTS | OFFSET_MASK)) |
        (last ? field & MORE_FRAGMENTS : MORE_FRAGMENTS) |
        ((field & OFFSET_MASK) + (offset >>> 3)),
    )
    setIpv4Checksum(memory, piece.start, headerLength)
    into.push(piece)
  }
  frame.end = payload + Math.min(room, length)
  memory.view.setUint16(start + 2, frame.end - start)
  if (count > 1) memory.view.setUint16(start + 6, field | MORE_FRAGMENTS)
  setIpv4Checksum(memory, start, headerLength)
  prepend(frame, into)
  stack.mib.ip.FragOKs++
  stack.mib.ip.FragCreates += count
  return Drop.none
}

const fail4 = (stack: IpStack, reason: number): number => {
  stack.mib.ip.FragFails++
  return reason
}

/** Puts `first` in front of what is queued. */
const prepend = (first: Frame, into: FrameQueue): void => {
  const others = into.length
  into.push(first)
  for (let i = 0; i < others; i++) into.push(into.shift()!)
}

/** Makes those options that only the first fragment carries into no-operations. */
const blankOptions = (u8: Uint8Array, start: number, end: number): void => {
  let at = start
  while (at < end) {
    const type = u8[at]!
    if (type === Ipv4OptionType.End) return
    const length = type === Ipv4OptionType.Nop ? 1 : u8[at + 1]!
    if (length < 1 || at + length > end) return
    if (!isCopiedOption(type)) u8.fill(Ipv4OptionType.Nop, at, at + length)
    at += length
  }
}

/**
 * Cuts an IPv6 packet of this host into fragments of at most `mtu` bytes (RFC 8200 section 4.5).
 * @param header the packet's: the fragment header goes in front of its payload
 * @param ident identification of all the fragments
 * @param into takes the fragments in order; must be empty
 * @returns `Drop.none`, or why the packet must be dropped: it is the caller's then, and `into` empty
 */
export const fragmentIpv6 = (
  stack: IpStack,
  frame: Frame,
  header: IpHeader,
  mtu: number,
  ident: number,
  into: FrameQueue,
): number => {
  const { memory, frames } = stack.world
  const { start } = frame
  const payload = header.payloadStart
  const headers = payload - start
  const room = (mtu - headers - IPV6_FRAGMENT_HEADER) & ~7
  if (room <= 0) return fail6(stack, Drop['ip-too-big'])
  const length = frame.end - payload
  header.identification = ident
  let count = 1
  for (let offset = room; offset < length; offset += room, count++) {
    const size = Math.min(room, length - offset)
    const piece = frames.allocate(size)
    if (piece === null) {
      into.clear(frames)
      return fail6(stack, Drop['no-memory'])
    }
    const { u8, view } = memory
    piece.end = piece.start + size
    u8.copyWithin(piece.start, payload + offset, payload + offset + size)
    piece.transport = piece.start
    piece.start -= headers + IPV6_FRAGMENT_HEADER
    piece.network = piece.start
    piece.etherType = frame.etherType
    u8.copyWithin(piece.start, start, payload)
    header.fragmentOffset = offset
    header.moreFragments = offset + size < length
    emitIpv6Fragment(header, memory, piece.start + headers, header.protocol)
    view.setUint16(piece.start + 4, headers - IPV6_HEADER + IPV6_FRAGMENT_HEADER + size)
    announceFragment(u8, piece.start, headers)
    into.push(piece)
  }
  frame.end = payload + Math.min(room, length)
  memory.view.setUint16(start + 4, frame.end - start - IPV6_HEADER)
  frame.start = openIpv6Gap(memory, start, payload, IPV6_FRAGMENT_HEADER)
  frame.network = frame.start
  header.fragmentOffset = 0
  header.moreFragments = count > 1
  emitIpv6Fragment(header, memory, frame.start + headers, header.protocol)
  announceFragment(memory.u8, frame.start, headers)
  prepend(frame, into)
  stack.mib.ip6.FragOKs++
  stack.mib.ip6.FragCreates += count
  return Drop.none
}

const fail6 = (stack: IpStack, reason: number): number => {
  stack.mib.ip6.FragFails++
  return reason
}

/** Names the fragment header in the next-header field before it: of the fixed header, or of the hop-by-hop header. */
const announceFragment = (u8: Uint8Array, start: number, headers: number): void => {
  u8[headers === IPV6_HEADER ? start + 6 : start + IPV6_HEADER] = IpProtocol.Fragment
}
