import { IpProtocol } from '../../wire/ip.ts'
import type { Dissection } from './dissection.ts'
import { putIcmp } from './icmp.ts'
import { putIcmpv6 } from './icmpv6.ts'
import { putIgmp } from './igmp.ts'
import type { IpContext } from './ip.ts'
import { putIpv4 } from './ipv4.ts'
import { putIpv6 } from './ipv6.ts'
import { putTcp } from './tcp.ts'
import { putUdp } from './udp.ts'

const IPV4_IN_IP = 4

/** What IP carries, by its protocol: `length` bytes at `at`. Of protocols that are not known the number and length. */
export const putUpperLayer = (d: Dissection, ip: IpContext, protocol: number, at: number, length: number): void => {
  switch (protocol) {
    case IpProtocol.Tcp:
      putTcp(d, ip, at, length)
      return
    case IpProtocol.Udp:
      putUdp(d, ip, at, length)
      return
    case IpProtocol.Icmp:
      if (ip.version === 4) putIcmp(d, ip, at, length)
      else {
        d.put(` ip-proto-${protocol} ${length}`)
      }
      return
    case IpProtocol.Icmpv6:
      if (ip.version === 6) putIcmpv6(d, ip, at, length)
      else d.put(` ip-proto-${protocol} ${length}`)
      return
    case IpProtocol.Igmp:
      putIgmp(d, at, length)
      return
    case IPV4_IN_IP:
      putIpv4(d, at, length)
      return
    case IpProtocol.Ipv6:
      putIpv6(d, at, length)
      return
    case IpProtocol.NoNextHeader:
      d.put('no next header')
      return
    default:
      d.put(` ${d.protocolName(protocol)} ${length}`)
  }
}
