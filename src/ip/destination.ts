import { Errno } from '../core/errno.ts'
import {
  IPV4_LOOPBACK,
  IPV6_LOOPBACK,
  IpAddress,
  MAC_BROADCAST,
  type MacAddress,
  multicastMac,
} from '../wire/address.ts'
import { MAX_PACKET } from '../wire/ip.ts'
import type { NetworkInterface } from './interface.ts'
import type { Neighbour } from './neighbour.ts'
import { type Route, Scope } from './route.ts'
import { selectIpv4Source, selectIpv6Source } from './select.ts'
import type { IpStack } from './stack.ts'

/** A generation that no stack has: what is of it is asked for anew each time. */
const NEVER = -1

/** Who is at the end of a way. */
export type DestinationKind = 'unicast' | 'local' | 'broadcast' | 'multicast'

/** What a `Destination` is made of. */
export interface DestinationParts {
  readonly stack: IpStack
  readonly address: IpAddress
  readonly source: IpAddress
  readonly interface: NetworkInterface
  readonly kind: DestinationKind
  readonly gateway: IpAddress | null
  readonly mtu: number
  readonly mtuLocked: boolean
  readonly hopLimit: number
  readonly advertisedMss?: number
  readonly initialCwnd?: number
}

/**
 * How to reach one address. A socket keeps it as long as `generation` is that of the stack, and asks again
 * (`IpStack.resolve`) when it is not.
 */
export class Destination {
  readonly stack: IpStack
  readonly address: IpAddress
  /** The source to use when the sender has none. */
  readonly source: IpAddress
  /** Where packets leave: the loopback interface for the host's own addresses. */
  readonly interface: NetworkInterface
  readonly kind: DestinationKind
  /** The next hop, when that is not the address itself. */
  readonly gateway: IpAddress | null
  /** The largest IP packet that is known to arrive whole, bytes: the path MTU. */
  readonly mtu: number
  /** Is the path MTU below what is believed, so that packets must be allowed to be fragmented? */
  readonly mtuLocked: boolean
  /** Hop limit of packets whose sender has no wish; 0 for the host's default. */
  readonly hopLimit: number
  /** What its route says of TCP's MSS and first window; 0 for nothing. */
  readonly advertisedMss: number
  readonly initialCwnd: number
  readonly generation: number
  /** Link-layer address of a group or of everybody; -1 when a neighbour is to be asked. */
  readonly linkAddress: MacAddress
  /** Which counter of identifications packets to it draw from. */
  readonly identSlot: number
  /** What is added to that counter for packets of a protocol: of the one that was sent last. */
  identProtocol = -1
  identBase = 0
  /** The next hop's entry, once a packet was sent. */
  neighbour: Neighbour | null = null
  /** What was asked for, by which the stack's cache knows it. */
  readonly requestedSource: IpAddress | null
  readonly requestedInterface: NetworkInterface | null

  constructor(parts: DestinationParts, source: IpAddress | null = null, iface: NetworkInterface | null = null) {
    const { stack, address } = parts
    this.stack = stack
    this.address = address
    this.source = parts.source
    this.interface = parts.interface
    this.kind = parts.kind
    this.gateway = parts.gateway
    this.mtu = parts.mtu
    this.mtuLocked = parts.mtuLocked
    this.hopLimit = parts.hopLimit
    this.advertisedMss = parts.advertisedMss ?? 0
    this.initialCwnd = parts.initialCwnd ?? 0
    this.generation = stack.world.fast['destination-cache'] ? stack.generation : NEVER
    this.identSlot = stack.identSlot(address)
    this.requestedSource = source
    this.requestedInterface = iface
    if (parts.kind === 'multicast') this.linkAddress = multicastMac(address)
    else if (parts.kind === 'broadcast') this.linkAddress = MAC_BROADCAST
    else this.linkAddress = parts.kind === 'local' || !parts.interface.hasNeighbours ? 0 : -1
  }

  /** The same way for packets of at most `mtu` bytes, whatever the path and the interface take. */
  narrowedTo(mtu: number): Destination {
    return new Destination({ ...this, mtu }, this.requestedSource, this.requestedInterface)
  }

  /** The protocol above has heard from the other side: its neighbour is there (RFC 4861 section 7.3.1). */
  confirm(): void {
    if (this.neighbour !== null) this.neighbour.confirmed = this.stack.world.loop.now
  }

  /** The next hop's entry, made anew if it is gone; null when the table is full. */
  obtainNeighbour(): Neighbour | null {
    const { neighbour } = this
    if (neighbour !== null && !neighbour.dead) return neighbour
    const { stack, interface: iface } = this
    const table = this.address.isIpv4 ? stack.arp : stack.nd
    const made = table.obtain(iface, this.gateway ?? this.address)
    if (made !== null && this.gateway !== null) made.isGateway = true
    this.neighbour = made
    return made
  }

  /** Is it the answer to this question? */
  answers(
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    source: IpAddress | null,
    iface: NetworkInterface | null,
  ): boolean {
    const { address, requestedSource } = this
    return (
      address.w3 === w3 &&
      address.w2 === w2 &&
      address.w1 === w1 &&
      address.w0 === w0 &&
      this.requestedInterface === iface &&
      (requestedSource === source || (requestedSource !== null && source !== null && requestedSource.equals(source)))
    )
  }
}

/**
 * Works out how to reach an address.
 * @param source the sender's own address, where it has one
 * @param iface the interface it must leave through, where that matters
 * @returns the way; or -ENETUNREACH, -EHOSTUNREACH, -EACCES, -EINVAL, -EADDRNOTAVAIL, -ENETDOWN
 */
export const makeDestination = (
  stack: IpStack,
  wanted: IpAddress,
  source: IpAddress | null,
  iface: NetworkInterface | null,
): Destination | number => {
  const problem = checkSource(stack, wanted, source)
  if (problem !== 0) return problem
  if (iface !== null && !iface.isUp) return -Errno.ENETDOWN
  let address = wanted
  if (wanted.isUnspecified) address = wanted.isIpv4 ? (source ?? IPV4_LOOPBACK) : IPV6_LOOPBACK
  const { w0, w1, w2, w3 } = address
  const group = address.isMulticast || address.isLimitedBroadcast
  let route: Route | null = null
  let out = iface
  if (group && out === null && source !== null) out = stack.interfaceOf(source)
  if (!group || out === null) {
    route = stack.routes.lookup(w0, w1, w2, w3, iface)
    if (route === null) {
      // With the interface named, IPv4 takes the destination to be on its link (as Linux does).
      if (iface === null || !address.isIpv4) return -Errno.ENETUNREACH
    } else if (route.interface === null) return refusal(route)
    else out = route.interface
  }
  return assemble(stack, address, source, iface, out!, route)
}

/** A way to a group or neighbour on the link of `iface`, whatever routes say: for the protocols that look after it. */
export const onLinkDestination = (iface: NetworkInterface, address: IpAddress, source: IpAddress): Destination =>
  new Destination({
    stack: iface.stack,
    address,
    source,
    interface: iface,
    kind: address.isMulticast ? 'multicast' : address.isLimitedBroadcast ? 'broadcast' : 'unicast',
    gateway: null,
    mtu: address.isIpv4 ? iface.mtu : iface.ndp.mtu,
    mtuLocked: false,
    hopLimit: 0,
  })

const checkSource = (stack: IpStack, wanted: IpAddress, source: IpAddress | null): number => {
  if (source === null) return 0
  if (source.isIpv4 !== wanted.isIpv4 || source.isMulticast || source.isLimitedBroadcast) return -Errno.EINVAL
  return stack.isLocal(source) ? 0 : -Errno.EINVAL
}

const refusal = (route: Route): number => {
  if (route.type === 'prohibit') return -Errno.EACCES
  return route.type === 'blackhole' ? -Errno.EINVAL : -Errno.EHOSTUNREACH
}

const kindOf = (address: IpAddress, route: Route | null): DestinationKind => {
  if (address.isMulticast) return 'multicast'
  if (address.isLimitedBroadcast) return 'broadcast'
  if (route === null) return 'unicast'
  return route.type === 'local' ? 'local' : route.type === 'broadcast' ? 'broadcast' : 'unicast'
}

const assemble = (
  stack: IpStack,
  address: IpAddress,
  requestedSource: IpAddress | null,
  requestedInterface: NetworkInterface | null,
  out: NetworkInterface,
  route: Route | null,
): Destination | number => {
  const kind = kindOf(address, route)
  const iface = kind === 'local' ? stack.loopback : out
  let gateway = kind === 'unicast' && route !== null ? route.gateway : null
  const { w0, w1, w2, w3 } = address
  const path = kind === 'unicast' ? stack.paths.get(w0, w1, w2, w3, route) : undefined
  if (path !== undefined && path.gateway !== null && path.interface === out) {
    gateway = path.gateway.equals(address) ? null : path.gateway
  }
  const source = requestedSource ?? chooseSource(stack, address, kind, out, gateway, route)
  if (!address.isIpv4 && source.isUnspecified) return -Errno.EADDRNOTAVAIL
  // What is this host's alone never leaves it.
  if (source.isLoopback && !iface.isLoopback) return -Errno.EINVAL
  // lo's MTU is more than IPv4 can fill.
  let mtu = address.isIpv4 ? Math.min(iface.mtu, MAX_PACKET) : iface.ndp.mtu
  if (route !== null && route.mtu > 0 && route.mtu < mtu) mtu = route.mtu
  const mtuLocked = route?.mtuLocked === true || path?.mtuLocked === true
  if (path !== undefined && path.mtu > 0 && path.mtu < mtu && route?.mtuLocked !== true) mtu = path.mtu
  let hopLimit = route === null ? 0 : route.hopLimit
  if (hopLimit === 0 && !address.isIpv4) hopLimit = iface.ndp.hopLimit
  const { advertisedMss = 0, initialCwnd = 0 } = route ?? {}
  const way: DestinationParts = {
    stack,
    address,
    source,
    interface: iface,
    kind,
    gateway,
    mtu,
    mtuLocked,
    hopLimit,
    advertisedMss,
    initialCwnd,
  }
  return new Destination(way, requestedSource, requestedInterface)
}

const chooseSource = (
  stack: IpStack,
  address: IpAddress,
  kind: DestinationKind,
  out: NetworkInterface,
  gateway: IpAddress | null,
  route: Route | null,
): IpAddress => {
  if (route !== null && route.source !== null && kind !== 'multicast') return route.source
  if (kind === 'local') return address
  if (!address.isIpv4) return selectIpv6Source(stack, out, address)
  const group = kind === 'multicast' || kind === 'broadcast'
  const scope = route === null || group || route.scope === Scope.Link ? Scope.Link : Scope.Global
  return selectIpv4Source(stack, out, group ? null : (gateway ?? address), scope)
}

/** An address from its four words. */
export const addressOf = (w0: number, w1: number, w2: number, w3: number): IpAddress => new IpAddress(w0, w1, w2, w3)
