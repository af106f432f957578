import { LinkType } from '../link/pcapng.ts'
import type { MacAddress } from '../wire/address.ts'
import { ETHERNET_HEADER, EtherType } from '../wire/ethernet.ts'
import { IpProtocol } from '../wire/ip.ts'
import { VLAN_TYPES } from './dissect/ethertype.ts'
import { COOKED_HEADERS, familyOf, familyVersion, LINK_NAMES, NULL_HEADER } from './dissect/link.ts'

/** A packet as the expressions of pcap-filter(7) see it: headers at their places, and nothing where there is none. */
export class PacketView {
  readonly data: Uint8Array
  readonly originalLength: number
  readonly isEthernet: boolean
  /** Is the link one whose headers are known? */
  readonly isKnown: boolean
  /** The type of what the frame carries; within a tag once `takeVlan` has looked behind it. */
  etherType = 0
  private readonly view: DataView
  /** Where what the frame carries begins. */
  private network = 0

  constructor(data: Uint8Array, originalLength: number, linkType: number) {
    this.data = data
    this.originalLength = originalLength
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength)
    this.isEthernet = linkType === LinkType.Ethernet
    this.isKnown = LINK_NAMES.has(linkType)
    const cooked = COOKED_HEADERS.get(linkType)
    if (this.isEthernet) {
      this.network = ETHERNET_HEADER
      this.etherType = this.number(12, 2) ?? 0
    } else if (cooked !== undefined) {
      this.network = cooked.header
      this.etherType = this.number(cooked.protocol, 2) ?? 0
    } else if (linkType === LinkType.Null || linkType === LinkType.Loop) {
      this.network = NULL_HEADER
      this.etherType = etherTypeOf(familyVersion(familyOf(this.number(0, 4) ?? 0)))
    } else if (linkType === LinkType.Ipv4) this.etherType = EtherType.Ipv4
    else if (linkType === LinkType.Ipv6) this.etherType = EtherType.Ipv6
    else this.etherType = etherTypeOf((this.number(0, 1) ?? 0) >> 4)
  }

  /** A number of 1, 2 or 4 bytes; null where the packet has not so many. */
  number(at: number, size: number): number | null {
    if (at < 0 || at + size > this.data.length) return null
    return size === 1 ? this.view.getUint8(at) : size === 2 ? this.view.getUint16(at) : this.view.getUint32(at)
  }

  /** Where a protocol's header begins; null when the packet has none. What lies in IPv6 has no place of its own. */
  startOf(protocol: string): number | null {
    switch (protocol) {
      case 'ether':
      case 'link':
        return 0
      case 'ip':
        return this.etherType === EtherType.Ipv4 ? this.network : null
      case 'ip6':
        return this.etherType === EtherType.Ipv6 ? this.network : null
      case 'arp':
        return this.etherType === EtherType.Arp ? this.network : null
      case 'rarp':
        return this.etherType === EtherType.ReverseArp ? this.network : null
      case 'icmp6':
        return this.isIpv6 && this.number(this.network + 6, 1) === IpProtocol.Icmpv6 ? this.network + 40 : null
      default: {
        const number = TRANSPORTS[protocol]
        return number !== undefined && this.carries(4, number) && this.isFirstFragment ? this.transport4 : null
      }
    }
  }

  /** Does it carry a protocol in IP of a version? Behind a fragment header of IPv6 too. */
  carries(version: 4 | 6, protocol: number): boolean {
    if (version === 4) return this.isIpv4 && this.number(this.network + 9, 1) === protocol
    if (!this.isIpv6) return false
    const next = this.number(this.network + 6, 1)
    return next === protocol || (next === IpProtocol.Fragment && this.number(this.network + 40, 1) === protocol)
  }

  /** Does it carry a protocol whose ports can be seen? */
  hasPorts(version: 4 | 6, protocol: number): boolean {
    if (version === 4) return this.carries(4, protocol) && this.isFirstFragment
    return this.isIpv6 && this.number(this.network + 6, 1) === protocol
  }

  port(version: 4 | 6, side: 'source' | 'destination'): number | null {
    const start = version === 4 ? this.transport4 : this.network + 40
    return start === null ? null : this.number(start + (side === 'source' ? 0 : 2), 2)
  }

  /** The words of an address in IP, ARP or RARP: one for IPv4, four for IPv6. */
  address(side: 'source' | 'destination'): number[] | null {
    const isSource = side === 'source'
    const [at, count] = this.isIpv6
      ? [isSource ? 8 : 24, 4]
      : this.isIpv4
        ? [isSource ? 12 : 16, 1]
        : [isSource ? 14 : 24, 1]
    const words = Array.from({ length: count }, (_, i) => this.number(this.network + at + i * 4, 4))
    return words.includes(null) ? null : (words as number[])
  }

  macIs(side: 'source' | 'destination', mac: MacAddress): boolean {
    if (!this.isEthernet) return false
    const at = side === 'source' ? 6 : 0
    const high = this.number(at, 2)
    const low = this.number(at + 2, 4)
    return high !== null && low !== null && high * 0x1_0000_0000 + low === mac
  }

  /** Looks behind an 802.1Q tag: all that is asked from now on is asked of what it encloses. @param id null for any */
  takeVlan(id: number | null): boolean {
    if (!this.isEthernet || !VLAN_TYPES.has(this.etherType)) return false
    const tag = this.number(this.network, 2)
    if (tag === null || (id !== null && (tag & 0xfff) !== id)) return false
    this.etherType = this.number(this.network + 2, 2) ?? 0
    this.network += 4
    return true
  }

  /** To all on the link; with `ip` to what looks like a broadcast address of IP. */
  isBroadcast(protocol: string | null): boolean {
    if (protocol === 'ip') {
      const to = this.isIpv4 ? this.number(this.network + 16, 4) : null
      return to === 0xffff_ffff || to === 0
    }
    return this.number(0, 2) === 0xffff && this.number(2, 4) === 0xffff_ffff && this.isEthernet
  }

  isMulticast(protocol: string | null): boolean {
    if (protocol === 'ip') return this.isIpv4 && (this.number(this.network + 16, 1) ?? 0) >= 224
    if (protocol === 'ip6') return this.isIpv6 && this.number(this.network + 24, 1) === 0xff
    return this.isEthernet && ((this.number(0, 1) ?? 0) & 1) === 1
  }

  private get isIpv4(): boolean {
    return this.etherType === EtherType.Ipv4
  }

  private get isIpv6(): boolean {
    return this.etherType === EtherType.Ipv6
  }

  private get isFirstFragment(): boolean {
    const field = this.number(this.network + 6, 2)
    return field !== null && (field & 0x1fff) === 0
  }

  /** Where what IPv4 carries begins. */
  private get transport4(): number | null {
    const first = this.number(this.network, 1)
    return first === null ? null : this.network + (first & 0xf) * 4
  }
}

const etherTypeOf = (version: number | null): number =>
  version === 4 ? EtherType.Ipv4 : version === 6 ? EtherType.Ipv6 : 0

const TRANSPORTS: Readonly<Record<string, number>> = {
  tcp: IpProtocol.Tcp,
  udp: IpProtocol.Udp,
  sctp: 132,
  icmp: IpProtocol.Icmp,
  igmp: IpProtocol.Igmp,
}
