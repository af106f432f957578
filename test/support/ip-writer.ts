import type { Memory } from '../../src/core/memory.ts'
import type { IpAddress } from '../../src/wire/address.ts'
import type { IpHeader } from '../../src/wire/ip.ts'
import { emitIpv4 } from '../../src/wire/ipv4.ts'
import { emitIpv6 } from '../../src/wire/ipv6.ts'

/** What of an IP header a peer that a test plays chooses; the rest is as a host would have it. */
export interface PeerPacket {
  readonly ipv6: boolean
  readonly from: IpAddress
  readonly to: IpAddress
  readonly protocol: number
  readonly trafficClass: number
  /** Bytes behind the header. */
  readonly length: number
}

/**
 * Writes an IP header in front of `payload`.
 * @param header filled with what is written
 * @returns where it begins
 */
export const writeIp = (header: IpHeader, memory: Memory, payload: number, packet: PeerPacket): number => {
  const { ipv6, from, to, protocol, trafficClass, length } = packet
  header.version = ipv6 ? 6 : 4
  header.source = from
  header.destination = to
  header.trafficClass = trafficClass
  header.hopLimit = 64
  header.protocol = protocol
  header.identification = 0
  header.dontFragment = true
  header.moreFragments = false
  header.fragmentOffset = 0
  header.flowLabel = 0
  header.headerLength = ipv6 ? 40 : 20
  const at = payload - header.headerLength
  if (ipv6) emitIpv6(header, memory, at, length)
  else emitIpv4(header, memory, at, length)
  return at
}
