import { ETHERNET_HEADER, EtherType } from '../../wire/ethernet.ts'
import { hex16 } from '../format.ts'
import { putArp } from './arp.ts'
import { type Dissection, named } from './dissection.ts'
import { putRest } from './dump.ts'
import { ETHERTYPE_NAMES, VLAN_TYPES } from './ethertype.ts'
import { putIpv4 } from './ipv4.ts'
import { putIpv6 } from './ipv6.ts'
import { putLlc } from './llc.ts'

/** What is no type is the length of an 802.3 frame. */
export const MAX_LENGTH = 1500

/** A whole frame that had `length` bytes; its header is told with `-e`, and when nobody knows what is in it. */
export const putEthernet = (d: Dissection, length: number): void => {
  const { options } = d
  d.protocol = 'ether'
  if (d.end < ETHERNET_HEADER) {
    d.cutShort()
    d.linkHeader = d.end
    return
  }
  const addresses = `${d.mac(6)} > ${d.mac(0)}, `
  if (options.link) d.put(addresses)
  let type = d.u16(12)
  let at = ETHERNET_HEADER
  let isLengthTold = false
  const tellLength = (): void => {
    d.put(isLengthTold ? ', ' : `, length ${length}: `)
    isLengthTold = true
  }
  while (VLAN_TYPES.has(type)) {
    if (!hasVlanTag(d, at)) return
    if (options.link) {
      putType(d, type)
      tellLength()
      d.put(`${vlanTag(d.u16(at))}, `)
    }
    type = d.u16(at + 2)
    at += 4
  }
  d.linkHeader = at
  if (type <= MAX_LENGTH) {
    const inside = Math.min(type, length - at)
    if (options.link) d.put(isLengthTold ? '802.3' : `802.3, length ${inside}: `)
    d.within(at + inside, () => {
      d.linkHeader += Math.abs(putLlc(d, at, inside, addresses))
    })
    return
  }
  if (options.link) {
    putType(d, type)
    tellLength()
  }
  if (putEtherPayload(d, type, at, length - at)) return
  if (!options.link) {
    d.put(addresses)
    putType(d, type)
    d.put(`, length ${length}: `)
  }
  putRest(d, at)
}

/** What a frame of a type carries, `length` bytes at `at`. @returns false when nothing can be told of it */
export const putEtherPayload = (d: Dissection, type: number, at: number, length: number): boolean => {
  switch (type) {
    case EtherType.Ipv4:
      putIpv4(d, at, length)
      return true
    case EtherType.Ipv6:
      putIpv6(d, at, length)
      return true
    case EtherType.Arp:
    case EtherType.ReverseArp:
      putArp(d, at, length)
      return true
    default:
      return false
  }
}

/** The type of what follows, by name and number. */
export const putType = (d: Dissection, type: number): void => {
  const hex = hex16(type)
  if (d.options.quiet) d.put(ETHERTYPE_NAMES.get(type) ?? `Unknown Ethertype (${hex})`)
  else d.put(`ethertype ${named(ETHERTYPE_NAMES, type, 'Unknown')} (${hex})`)
}

/** `vlan 5, p 0`, with `DEI` where frames may be dropped first. */
export const vlanTag = (tag: number): string =>
  `vlan ${tag & 0xfff}, p ${tag >> 13}${(tag & 0x1000) !== 0 ? ', DEI' : ''}`

/** Is a VLAN tag there whole at `at`? Says so where it is cut short: nothing more can be told of the packet then. */
export const hasVlanTag = (d: Dissection, at: number): boolean => {
  if (d.has(at, 4)) return true
  d.protocol = 'vlan'
  d.cutShort()
  d.linkHeader = d.end
  return false
}
