import type { NetworkInterface } from '../ip/interface.ts'
import type { IcmpError } from '../ip/protocol.ts'
import type { IpHeader } from '../wire/ip.ts'
import type { UdpHeader } from '../wire/udp.ts'
import type { UdpEndpoint } from './endpoint.ts'

/** Who tells which endpoint a datagram is for: the table of a host's sockets. Headers are read, not kept. */
export interface UdpDemux {
  /** The endpoint that a datagram to one of the host's own addresses is for; null when there is none. */
  lookup(header: IpHeader, udp: UdpHeader, from: NetworkInterface): UdpEndpoint | null
  /**
   * Every endpoint that gets a copy of a datagram to a group or to everybody (see `UdpEndpoint.accepts`).
   * @param into takes them from index 0 on
   * @returns how many there are
   */
  eachMember(header: IpHeader, udp: UdpHeader, from: NetworkInterface, into: (UdpEndpoint | null)[]): number
  /** The endpoint that has sent the datagram which an ICMP error quotes (`error.quoted`); null when it is gone. */
  lookupSender(error: IcmpError, localPort: number, remotePort: number): UdpEndpoint | null
}
