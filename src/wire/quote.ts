import type { Bytes } from '../core/memory.ts'
import { Drop } from './drop.ts'
import { type IpHeader, IpProtocol } from './ip.ts'
import { readIpv4 } from './ipv4.ts'
import { MAX_EXTENSIONS, readIpv6 } from './ipv6.ts'

/** Bytes of the transport header that an ICMP error must quote to be of use: ports, and TCP's sequence number. */
const QUOTE_TRANSPORT = 8

/**
 * Parses the packet that an ICMP error quotes, from `start` to `end`. It is cut short as a rule, routers have changed
 * its TTL and not always its checksum, so lengths beyond `end` and a wrong checksum are no fault. `into.payloadStart`
 * is where the transport header lies, of which 8 bytes are there at least; `into.payloadEnd` is where the quotation, or
 * the packet in it, ends.
 * @returns `Drop.none`, or `Drop['icmp-bad-quote']`: also for a fragment other than the first, which has no ports
 */
export const parseQuote = (into: IpHeader, bytes: Bytes, start: number, end: number): number => {
  if (end - start < 1) return Drop['icmp-bad-quote']
  const version = bytes.u8[start]! >>> 4
  if (version === 4) {
    if (readIpv4(into, bytes, start, end) !== Drop.none) return Drop['icmp-bad-quote']
  } else if (version !== 6 || readIpv6(into, bytes, start, end) !== Drop.none) return Drop['icmp-bad-quote']
  if (into.payloadEnd > end) into.payloadEnd = end
  if (version === 6) skipExtensions(into, bytes)
  if (into.fragmentOffset !== 0 || into.payloadEnd - into.payloadStart < QUOTE_TRANSPORT) return Drop['icmp-bad-quote']
  return Drop.none
}

/** Moves the payload behind extension headers, without judging them. */
const skipExtensions = (header: IpHeader, bytes: Bytes): void => {
  const { u8, view } = bytes
  for (let count = 0; count < MAX_EXTENSIONS; count++) {
    const at = header.payloadStart
    const protocol = header.protocol
    const fragment = protocol === IpProtocol.Fragment
    if (
      !fragment &&
      protocol !== IpProtocol.HopByHop &&
      protocol !== IpProtocol.Routing &&
      protocol !== IpProtocol.DestinationOptions
    ) {
      return
    }
    if (header.payloadEnd - at < 8) return
    if (fragment) {
      header.fragmentOffset = view.getUint16(at + 2) & 0xfff8
      header.moreFragments = (u8[at + 3]! & 1) === 1
      header.identification = view.getInt32(at + 4)
    }
    const length = fragment ? 8 : (u8[at + 1]! + 1) << 3
    header.nextHeaderAt = at
    header.protocol = u8[at]!
    header.payloadStart += length
    header.headerLength += length
  }
}
