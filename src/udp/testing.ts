import type { NetworkInterface } from '../ip/interface.ts'
import type { IcmpError } from '../ip/protocol.ts'
import { type TestHost, TestNet } from '../ip/testing.ts'
import { ip } from '../wire/address.ts'
import { type IpHeader, IpProtocol } from '../wire/ip.ts'
import type { UdpHeader } from '../wire/udp.ts'
import { SourceAddress } from './datagram.ts'
import type { UdpDemux } from './demux.ts'
import { UdpEndpoint } from './endpoint.ts'
import { UdpProtocol } from './input.ts'

/** What the tests of this layer share: hosts with endpoints that are found by asking one after another. */

/** A table of endpoints without any cleverness: the first connected one that accepts, else the first bound one. */
export class ListDemux implements UdpDemux {
  readonly endpoints: UdpEndpoint[] = []

  lookup(header: IpHeader, udp: UdpHeader, from: NetworkInterface): UdpEndpoint | null {
    const found = this.endpoints.filter((endpoint) => endpoint.accepts(header, udp, from))
    return found.find((endpoint) => endpoint.isConnected) ?? found[0] ?? null
  }

  eachMember(header: IpHeader, udp: UdpHeader, from: NetworkInterface, into: (UdpEndpoint | null)[]): number {
    const found = this.endpoints.filter((endpoint) => endpoint.accepts(header, udp, from))
    found.forEach((endpoint, i) => {
      into[i] = endpoint
    })
    return found.length
  }

  lookupSender(error: IcmpError, localPort: number, remotePort: number): UdpEndpoint | null {
    const { destination } = error.quoted
    return (
      this.endpoints.find(
        ({ localPort: port, remoteAddress, remotePort: peer }) =>
          port === localPort && (remoteAddress === null || (remoteAddress.equals(destination) && peer === remotePort)),
      ) ?? null
    )
  }
}

/** An endpoint, and the events its observer has been told. */
export interface TestEndpoint {
  readonly endpoint: UdpEndpoint
  readonly events: number[]
  /** Sends text; `to` is `ADDRESS` and a port. */
  send(text: string, to?: string, port?: number, flags?: number): number
  /** The next datagram as text with its source, or the error number. */
  receive(): string | number
}

/** A host with UDP. */
export class UdpHost {
  readonly stack: TestHost
  readonly demux = new ListDemux()

  constructor(stack: TestHost) {
    this.stack = stack
    stack.register(IpProtocol.Udp, new UdpProtocol(stack, this.demux))
  }

  open(port: number, address = '0.0.0.0', isIpv6 = address.includes(':')): TestEndpoint {
    const endpoint = new UdpEndpoint(this.stack, isIpv6)
    endpoint.bind(ip(address), port)
    this.demux.endpoints.push(endpoint)
    const events: number[] = []
    endpoint.observer = { ready: (bits) => events.push(bits) }
    const from = new SourceAddress()
    const buffer = new Uint8Array(70_000)
    return {
      endpoint,
      events,
      send: (text, to, toPort = 0, flags = 0) => {
        const data = new TextEncoder().encode(text)
        return endpoint.send(data, 0, data.length, to === undefined ? null : { address: ip(to), port: toPort }, flags)
      },
      receive: () => {
        const count = endpoint.receive(buffer, 0, buffer.length, 0, from)
        if (count < 0) return count
        return `${new TextDecoder().decode(buffer.subarray(0, count))} from ${from.address}:${from.port}`
      },
    }
  }

  close(): void {
    for (const endpoint of this.demux.endpoints) endpoint.close()
  }
}

/** Hosts a (10.0.0.1) and b (10.0.0.2) on a cable, both with UDP, and with IPv6 (2001:db8::1 and ::2) if wanted. */
export const udpPair = (options: { v6?: boolean; cable?: object; settings?: object } = {}) => {
  const lab = new TestNet()
  const settings = {
    disable_ipv6: options.v6 === true ? 0 : 1,
    dad_transmits: 0,
    icmp_ratemask: 0,
    ...options.settings,
  }
  const a = new UdpHost(lab.host('a', settings))
  const b = new UdpHost(lab.host('b', settings))
  const cable = lab.connect(a.stack, 'eth0', b.stack, 'eth0', options.cable)
  for (const [host, n] of [
    [a, 1],
    [b, 2],
  ] as const) {
    host.stack.add('eth0', `10.0.0.${n}/24`)
    if (options.v6 === true) host.stack.add('eth0', `2001:db8::${n}/64`)
  }
  lab.run(options.v6 === true ? 3000 : 0)
  const close = (): unknown => {
    a.close()
    b.close()
    return lab.close()
  }
  return { lab, a, b, cable, close }
}
