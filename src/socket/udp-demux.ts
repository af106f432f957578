import type { Random } from '../core/random.ts'
import { AddressMap, addressHash } from '../ip/address-map.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import type { IcmpError } from '../ip/protocol.ts'
import type { IpStack } from '../ip/stack.ts'
import type { UdpDemux } from '../udp/demux.ts'
import type { UdpEndpoint } from '../udp/endpoint.ts'
import { UdpProtocol } from '../udp/input.ts'
import { IpHeader, IpProtocol } from '../wire/ip.ts'
import { UdpHeader } from '../wire/udp.ts'
import { type Claimant, ListenerTable } from './listener-table.ts'

/** A bound UDP socket, as the table knows it. Its endpoint's addresses do not change while it is in there. */
export interface UdpClaim extends Claimant {
  readonly endpoint: UdpEndpoint
  /** Its options for one version of IP are to count from now on. */
  speak(version: number): void
}

/**
 * Who gets a datagram: first a socket that is connected to its source, then the bound one with the fewest wildcards, or
 * one of several with SO_REUSEPORT, by hash. Datagrams to groups and to everybody go to all who want them.
 */
export class UdpSocketDemux implements UdpDemux {
  readonly protocol: UdpProtocol
  /** Sockets without a peer. */
  private readonly bound: ListenerTable<UdpClaim>
  /** Sockets with one, by its address and both ports. */
  private readonly connected: AddressMap<UdpClaim[]>
  /** Every socket, by its own port. */
  private readonly ports = new Map<number, UdpClaim[]>()
  private readonly seed: number
  /** A packet on its way back: what an ICMP error quotes, with the ends exchanged. */
  private readonly reverse = new IpHeader()
  private readonly reverseUdp = new UdpHeader()

  constructor(ip: IpStack, random: Random) {
    this.bound = new ListenerTable(random.next32())
    this.connected = new AddressMap(random.next32())
    this.seed = random.next32()
    this.protocol = new UdpProtocol(ip, this)
    ip.register(IpProtocol.Udp, this.protocol)
  }

  /** Sockets in the table. */
  get size(): number {
    let size = 0
    for (const group of this.ports.values()) size += group.length
    return size
  }

  add(claim: UdpClaim): void {
    const { localPort, endpoint } = claim
    const group = this.ports.get(localPort)
    if (group === undefined) this.ports.set(localPort, [claim])
    else group.push(claim)
    if (endpoint.remoteAddress === null) {
      this.bound.add(claim)
      return
    }
    const { w0, w1, w2, w3 } = endpoint.remoteAddress
    const ports = portPair(localPort, endpoint.remotePort)
    const peers = this.connected.get(w0, w1, w2, w3, ports)
    if (peers === undefined) this.connected.set(w0, w1, w2, w3, ports, [claim])
    else peers.push(claim)
  }

  remove(claim: UdpClaim): void {
    const { localPort, endpoint } = claim
    if (!without(this.ports.get(localPort), claim)) return
    if (this.ports.get(localPort)!.length === 0) this.ports.delete(localPort)
    if (endpoint.remoteAddress === null) {
      this.bound.remove(claim)
      return
    }
    const { w0, w1, w2, w3 } = endpoint.remoteAddress
    const ports = portPair(localPort, endpoint.remotePort)
    const peers = this.connected.get(w0, w1, w2, w3, ports)
    if (without(peers, claim) && peers!.length === 0) this.connected.delete(w0, w1, w2, w3, ports)
  }

  lookup(header: IpHeader, udp: UdpHeader, from: NetworkInterface | null): UdpEndpoint | null {
    return this.find(header, udp, from)?.endpoint ?? null
  }

  eachMember(header: IpHeader, udp: UdpHeader, from: NetworkInterface, into: (UdpEndpoint | null)[]): number {
    const group = this.ports.get(udp.destinationPort)
    if (group === undefined) return 0
    let count = 0
    for (let i = 0; i < group.length; i++) {
      const { endpoint } = group[i]!
      if (endpoint.accepts(header, udp, from)) into[count++] = endpoint
    }
    return count
  }

  lookupSender(error: IcmpError, localPort: number, remotePort: number): UdpEndpoint | null {
    const { reverse, reverseUdp } = this
    const { quoted } = error
    reverse.version = error.version
    reverse.source0 = quoted.destination0
    reverse.source1 = quoted.destination1
    reverse.source2 = quoted.destination2
    reverse.source3 = quoted.destination3
    reverse.destination0 = quoted.source0
    reverse.destination1 = quoted.source1
    reverse.destination2 = quoted.source2
    reverse.destination3 = quoted.source3
    reverseUdp.sourcePort = remotePort
    reverseUdp.destinationPort = localPort
    const claim = this.find(reverse, reverseUdp, null)
    claim?.speak(error.version)
    return claim?.endpoint ?? null
  }

  /** @param from null when the interface does not matter */
  private find(header: IpHeader, udp: UdpHeader, from: NetworkInterface | null): UdpClaim | null {
    const { source0, source1, source2, source3 } = header
    const { sourcePort, destinationPort } = udp
    const ports = portPair(destinationPort, sourcePort)
    const peers = this.connected.get(source0, source1, source2, source3, ports)
    // Of equal ones the last that came.
    for (let i = peers === undefined ? -1 : peers.length - 1; i >= 0; i--) {
      const claim = peers![i]!
      const { boundInterface, endpoint } = claim
      if (boundInterface !== null && from !== null && boundInterface !== from) continue
      if (header.destinationIs(endpoint.localAddress)) return claim
    }
    const flow = addressHash(source0, source1, source2, source3, ports, this.seed)
    return this.bound.find(header, destinationPort, from, flow)
  }
}

const portPair = (local: number, remote: number): number => (local << 16) | remote

/** Takes an item out of a list. @returns whether it was there */
const without = <T>(list: T[] | undefined, item: T): boolean => {
  const at = list === undefined ? -1 : list.indexOf(item)
  if (at >= 0) list!.splice(at, 1)
  return at >= 0
}
