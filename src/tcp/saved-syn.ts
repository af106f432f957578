import type { NetworkInterface } from '../ip/interface.ts'
import { VlanPort } from '../ip/vlan.ts'
import { ETHERNET_HEADER } from '../wire/ethernet.ts'
import type { IpHeader } from '../wire/ip.ts'
import { IPV4_MIN_HEADER } from '../wire/ipv4.ts'
import { IPV6_HEADER } from '../wire/ipv6.ts'
import type { Segment } from './segment.ts'

const TAG = 4

/**
 * What TCP_SAVED_SYN tells of a SYN: its IP and TCP headers as they came, options and all.
 * @param mode of TCP_SAVE_SYN: 1, or 2 for the Ethernet header, too, without a tag
 */
export const savedSyn = (mode: number, segment: Segment, header: IpHeader, from: NetworkInterface): Uint8Array => {
  const { u8 } = from.stack.world.memory
  const start = header.optionsStart - (header.version === 4 ? IPV4_MIN_HEADER : IPV6_HEADER)
  const headers = u8.slice(start, segment.dataStart)
  if (mode < 2 || !from.isEthernet) return headers
  const tag = from.port instanceof VlanPort ? TAG : 0
  const whole = new Uint8Array(ETHERNET_HEADER + headers.length)
  whole.set(u8.subarray(start - ETHERNET_HEADER - tag, start - 2 - tag))
  whole.set(u8.subarray(start - 2, start), ETHERNET_HEADER - 2)
  whole.set(headers, ETHERNET_HEADER)
  return whole
}
