import { WallClock } from '../core/clock.ts'
import type { Frame } from '../core/frame.ts'
import { FrameQueue } from '../core/frame.ts'
import type { Random } from '../core/random.ts'
import type { World } from '../core/world.ts'
import { LoopbackPort } from '../link/loopback.ts'
import type { LinkPort } from '../link/port.ts'
import { IPV4_LOOPBACK, IPV4_MAPPED, type IpAddress, isLinkLocal6 } from '../wire/address.ts'
import { ArpPacket } from '../wire/arp.ts'
import { Drop } from '../wire/drop.ts'
import { IcmpTimeExceeded, IcmpType, IcmpUnreachable } from '../wire/icmp.ts'
import { Icmpv6TimeExceeded, Icmpv6Type, Icmpv6Unreachable } from '../wire/icmpv6.ts'
import { IpHeader, IpProtocol } from '../wire/ip.ts'
import { readIpv4 } from '../wire/ipv4.ts'
import { Ipv4OptionScan } from '../wire/ipv4-options.ts'
import { Ipv6Chain, readIpv6 } from '../wire/ipv6.ts'
import { NdpMessage } from '../wire/ndp.ts'
import type { InterfaceAddress } from './address.ts'
import { AddressMap, addressHash } from './address-map.ts'
import { ArpProtocol, announceAddress } from './arp.ts'
import { type Destination, makeDestination } from './destination.ts'
import type { InterfaceGroup } from './group.ts'
import { IcmpProtocol4 } from './icmp.ts'
import { sendIcmpError } from './icmp-error.ts'
import { Icmpv6Protocol } from './icmpv6.ts'
import { sendIcmp6Error } from './icmpv6-error.ts'
import { Igmp } from './igmp.ts'
import { type InterfaceOptions, NetworkInterface } from './interface.ts'
import { Mib } from './mib.ts'
import { Mld } from './mld.ts'
import { NdpNeighbours } from './ndp.ts'
import { NeighbourTable } from './neighbour.ts'
import { ipSend, ipSendRaw } from './output.ts'
import { PathTable } from './path.ts'
import { Processor } from './processor.ts'
import type { IcmpError, TransportProtocol } from './protocol.ts'
import { IcmpRateLimiter } from './rate-limit.ts'
import { Reassembly } from './reassembly.ts'
import { RouteTable } from './route.ts'
import { type IpSettings, ipSettings } from './settings.ts'
import { VlanPort } from './vlan.ts'

/** What an IP stack is made with. */
export interface IpStackOptions {
  readonly random: Random
  readonly settings?: Partial<IpSettings>
  /** Names the loopback link's source of chance; no two stacks of a world should have the same. */
  readonly name?: string
  /** The loopback link, in place of the usual one. */
  readonly loopback?: LinkPort
}

/** How the packet being delivered was addressed. */
export type Arrival = 'unicast' | 'broadcast' | 'multicast'

/**
 * The IP layer of one host, both versions.
 *
 * In: `NetworkInterface.receive` → `ethernetInput` → `ipv4Input` or `ipv6Input` → `ipv4Deliver`/`ipv6Deliver` or
 * `ipv4Forward`/`ipv6Forward` → `TransportProtocol.receive`.
 * Out: `IpStack.send` → `ipSend` → `Neighbour.send` → `NetworkInterface.transmit` → `LinkPort.send`.
 */
export class IpStack {
  readonly world: World
  /** The time of day as this host tells it. */
  readonly wallClock: WallClock
  readonly random: Random
  readonly settings: IpSettings
  readonly mib = new Mib()
  readonly routes: RouteTable
  readonly paths: PathTable
  /** Neighbours by ARP, and by neighbour discovery. */
  readonly arp: NeighbourTable
  readonly nd: NeighbourTable
  readonly processor: Processor
  readonly reassembly: Reassembly
  readonly icmp: IcmpProtocol4
  readonly icmpv6: Icmpv6Protocol
  readonly igmp: Igmp
  readonly mld: Mld
  readonly rateLimit: IcmpRateLimiter
  /** Groups joined, by address and interface index. */
  readonly groups: AddressMap<InterfaceGroup>
  /** The interface `lo`: always there, the first. */
  readonly loopback: NetworkInterface
  /** Moves on whenever a route, address, interface or path MTU changes: what was resolved before is out of date. */
  generation = 1
  /** How the packet that a transport protocol is now given was addressed. */
  arrival: Arrival = 'unicast'
  /**
   * Sees every packet delivered locally, before the transport; it owns nothing and changes nothing. True when a raw
   * socket took it: then nobody is told that the protocol is unknown.
   */
  rawReceiver: ((header: IpHeader, frame: Frame, from: NetworkInterface) => boolean) | null = null
  /** Hears every ICMP error about a packet of this host. True when a raw socket may have sent it. */
  rawError: ((error: IcmpError) => boolean) | null = null
  /** Told when an address becomes usable, is found to be somebody else's, or goes. */
  onAddressChange: ((address: InterfaceAddress, event: 'ready' | 'conflict' | 'gone') => void) | null = null

  /** The secret of addresses that are stable and opaque (RFC 7217). */
  readonly stableKey: readonly number[]

  /** Headers filled again and again: of the packet being taken in, and of the one being sent. */
  readonly rx = new IpHeader()
  readonly tx = new IpHeader()
  /** Header of a packet that another one quotes, or that an error is to be sent about. */
  readonly quote = new IpHeader()
  /** What the packet being taken in has beside its header. */
  readonly optionScan = new Ipv4OptionScan()
  readonly chain = new Ipv6Chain()
  readonly arpIn = new ArpPacket()
  readonly arpOut = new ArpPacket()
  readonly ndpIn = new NdpMessage()
  readonly ndpOut = new NdpMessage()
  /** Fragments of the packet being sent, and segments of the one being forwarded. */
  readonly pieces = new FrameQueue()
  readonly segments = new FrameQueue()

  private readonly list: NetworkInterface[] = []
  private readonly transports: (TransportProtocol | null)[] = new Array(256).fill(null)
  private readonly cache: (Destination | null)[] = new Array(CACHE_SLOTS).fill(null)
  private readonly seed: number
  private readonly idents = new Int32Array(IDENT_SLOTS)
  private nextIndex = 1
  private closed = false

  constructor(world: World, options: IpStackOptions) {
    this.world = world
    this.wallClock = new WallClock(world.clock)
    this.random = options.random
    this.settings = ipSettings(options.settings)
    this.seed = this.random.next32()
    this.stableKey = [0, 1, 2, 3].map(() => this.random.next32())
    this.groups = new AddressMap(this.random.next32())
    this.routes = new RouteTable(this)
    this.paths = new PathTable(this, this.random.next32())
    this.processor = new Processor(this)
    this.reassembly = new Reassembly(this, this.random.next32())
    this.rateLimit = new IcmpRateLimiter(this, this.random.next32())
    this.arp = new NeighbourTable(this, new ArpProtocol(this), this.random.next32())
    this.nd = new NeighbourTable(this, new NdpNeighbours(this), this.random.next32())
    this.icmp = new IcmpProtocol4(this)
    this.icmpv6 = new Icmpv6Protocol(this)
    this.igmp = new Igmp(this)
    this.mld = new Mld(this)
    this.register(IpProtocol.Icmp, this.icmp)
    this.register(IpProtocol.Icmpv6, this.icmpv6)
    this.register(IpProtocol.Igmp, this.igmp)
    const port = options.loopback ?? new LoopbackPort(world, `${options.name ?? 'host'}:lo`)
    this.loopback = this.attach('lo', port, {}, true)
    this.loopback.setUp(true)
    this.loopback.addAddress({ address: IPV4_LOOPBACK, length: 8 })
  }

  /** The interfaces, `lo` first, in the order in which they came. */
  get interfaces(): readonly NetworkInterface[] {
    return this.list
  }

  /**
   * Plugs an interface into a link's port, and sets it up unless told otherwise.
   * @throws TypeError when the name is taken
   */
  addInterface(name: string, port: LinkPort, options: InterfaceOptions = {}): NetworkInterface {
    const iface = this.attach(name, port, options, false)
    if (options.up !== false) iface.setUp(true)
    return iface
  }

  /**
   * Adds an 802.1Q subinterface, named `eth0.10` unless told otherwise.
   * @param id VLAN identifier, 1 to 4094
   * @throws TypeError for an identifier that is none or is taken, or for a parent that is no Ethernet
   */
  addVlan(parent: NetworkInterface, id: number, options: InterfaceOptions & { name?: string } = {}): NetworkInterface {
    if (!Number.isInteger(id) || id < 1 || id > 4094) throw new TypeError(`${id} is no VLAN identifier: 1 to 4094`)
    if (!parent.hasNeighbours) throw new TypeError(`${parent.name} is no Ethernet interface`)
    if (parent.vlans?.has(id) === true) throw new TypeError(`${parent.name} has VLAN ${id} already`)
    const name = options.name ?? `${parent.name}.${id}`
    const iface = this.addInterface(name, new VlanPort(parent, id), { mac: parent.mac, mtu: parent.mtu, ...options })
    parent.vlans ??= new Map()
    parent.vlans.set(id, iface)
    return iface
  }

  /** Unplugs an interface; everything that depends on it goes. */
  removeInterface(iface: NetworkInterface): void {
    const at = this.list.indexOf(iface)
    if (at < 0) return
    iface.close()
    this.reassembly.forget(iface)
    this.paths.forget(iface)
    this.list.splice(at, 1)
    this.changed()
  }

  /** The interface of this name; null when there is none. */
  interfaceNamed(name: string): NetworkInterface | null {
    return this.list.find((iface) => iface.name === name) ?? null
  }

  /** The interface of this index; null when there is none. */
  interfaceAt(index: number): NetworkInterface | null {
    return this.list.find((iface) => iface.index === index) ?? null
  }

  /** The interface that has an address; null when none has. */
  interfaceOf(address: IpAddress): NetworkInterface | null {
    for (const iface of this.list) if (iface.findAddress(address) !== null) return iface
    return null
  }

  /** Makes `transport` the one that gets packets of `protocol`, 0 to 255. */
  register(protocol: number, transport: TransportProtocol): void {
    this.transports[protocol] = transport
  }

  /** Who gets packets of `protocol`; null for nobody. */
  transport(protocol: number): TransportProtocol | null {
    return this.transports[protocol]!
  }

  /**
   * How to reach an address.
   * @param source the sender's address, when it has one; an unspecified one counts as none
   * @param iface the interface that packets must leave through: SO_BINDTODEVICE, or the scope of a link-local address
   * @returns the way; or -ENETUNREACH (no route), -EHOSTUNREACH (unreachable), -EACCES (prohibited), -EINVAL
   * (blackhole, or a source that is not this host's), -EADDRNOTAVAIL (no address to send from), -ENETDOWN
   */
  resolve(
    destination: IpAddress,
    source: IpAddress | null = null,
    iface: NetworkInterface | null = null,
  ): Destination | number {
    const from = source === null || source.isUnspecified ? null : source
    const { w0, w1, w2, w3 } = destination
    const slot = this.slotFor(w0, w1, w2, w3)
    const cached = this.cache[slot]!
    if (cached !== null && cached.generation === this.generation && cached.answers(w0, w1, w2, w3, from, iface)) {
      return cached
    }
    const made = makeDestination(this, destination, from, iface)
    if (typeof made !== 'number') this.cache[slot] = made
    return made
  }

  /**
   * How to send back to the source of a packet from the address that it was sent to, or from a suitable one when that
   * was a group's or everybody's. As `resolve`; makes no object when the same was asked before.
   */
  resolveReply(header: IpHeader, from: NetworkInterface): Destination | number {
    const { source0, source1, source2, source3 } = header
    const scoped = header.version === 6 && isLinkLocal6(source0)
    const iface = scoped && !from.isLoopback ? from : null
    const unicast = this.arrival === 'unicast'
    const cached = this.cache[this.slotFor(source0, source1, source2, source3)]!
    if (
      cached !== null &&
      cached.generation === this.generation &&
      cached.requestedInterface === iface &&
      (cached.requestedSource === null ? !unicast : unicast && header.destinationIs(cached.requestedSource)) &&
      header.sourceIs(cached.address)
    ) {
      return cached
    }
    return this.resolve(header.source, unicast ? header.destination : null, iface)
  }

  /**
   * Sends the transport packet at `frame.start` to `frame.end`. Owns the frame.
   *
   * Packets to this host itself come back through the loopback interface's queue.
   * @param source a local address, of the destination's family; `destination.source` when the sender has none
   * @param hopLimit TTL or hop limit; 0 for the default (to a group: 0, which stays on this host)
   * @param trafficClass DSCP and ECN
   * @param flags `SendFlag` bits
   * @returns 0, or -EMSGSIZE, -ENOBUFS
   */
  send(
    frame: Frame,
    destination: Destination,
    source: IpAddress,
    protocol: number,
    hopLimit: number,
    trafficClass: number,
    flags: number,
  ): number {
    return ipSend(this, frame, destination, source, protocol, hopLimit, trafficClass, flags)
  }

  /** Sends a packet with the IP header that is there at `frame.start`: see `ipSendRaw`. Owns the frame. */
  sendRaw(frame: Frame, destination: Destination): number {
    return ipSendRaw(this, frame, destination)
  }

  /** Is it an address of this host, usable, of any interface; or does a local route say so? */
  isLocal(address: IpAddress): boolean {
    return this.isLocalWords(address.w0, address.w1, address.w2, address.w3)
  }

  /** As `isLocal`, for four words. */
  isLocalWords(w0: number, w1: number, w2: number, w3: number): boolean {
    const route = this.routes.lookupLocal(w0, w1, w2, w3, null)
    return route !== null && route.type === 'local'
  }

  /** Is the IPv4 address this host's? For wire/ipv4-options.ts. */
  ownsIpv4(bits: number): boolean {
    return this.isLocalWords(0, 0, IPV4_MAPPED, bits)
  }

  /**
   * Takes in what an ICMP error says of a path's MTU, after the transport has made sure that it is about something that
   * it sent.
   * @returns whether the path MTU is lower now
   */
  updatePathMtu(address: IpAddress, mtu: number, iface: NetworkInterface | null = null): boolean {
    const destination = this.resolve(address, null, iface)
    if (typeof destination === 'number' || destination.kind !== 'unicast') return false
    const { w0, w1, w2, w3 } = address
    return this.paths.updateMtu(address, mtu, destination.mtu, this.routes.lookup(w0, w1, w2, w3, iface))
  }

  /** The fragments of a packet have not all come in time: its sender is told (RFC 792, RFC 4443 section 3.3). */
  reassemblyTimeout(from: NetworkInterface, first: Frame, version: number): void {
    const { quote, world } = this
    if (version === 4) {
      if (readIpv4(quote, world.memory, first.network, first.end) !== Drop.none) return
      sendIcmpError(from, first, quote, IcmpType.TimeExceeded, IcmpTimeExceeded.Reassembly, 0)
      return
    }
    if (readIpv6(quote, world.memory, first.network, first.end) !== Drop.none) return
    sendIcmp6Error(from, first, quote, Icmpv6Type.TimeExceeded, Icmpv6TimeExceeded.Reassembly, 0)
  }

  /** Nobody listens on the port that a packet was sent to: its sender is told. The packet stays the caller's. */
  portUnreachable(header: IpHeader, frame: Frame, from: NetworkInterface): void {
    if (this.arrival !== 'unicast') return
    if (header.version === 4) {
      sendIcmpError(from, frame, header, IcmpType.DestinationUnreachable, IcmpUnreachable.Port, 0)
    } else sendIcmp6Error(from, frame, header, Icmpv6Type.DestinationUnreachable, Icmpv6Unreachable.Port, 0)
  }

  /** Tells the link who has the IPv4 addresses of an interface: gratuitous ARP. */
  announceAddresses(iface: NetworkInterface): void {
    for (const entry of iface.addresses) if (entry.address.isIpv4 && entry.isUsable) announceAddress(entry)
  }

  /** Drops a frame, for a reason of wire/drop.ts. */
  drop(frame: Frame, reason: number): void {
    this.mib.drops[reason]!++
    this.world.frames.release(frame)
  }

  /** Something has changed that what was resolved before may depend on. */
  changed(): void {
    this.generation++
  }

  /** Which counter of identifications an address's packets draw from. */
  identSlot(address: IpAddress): number {
    return addressHash(address.w0, address.w1, address.w2, address.w3, 1, this.seed) & (IDENT_SLOTS - 1)
  }

  /**
   * The identification of the next packet to a destination, the first of `count`. Counters are shared by few
   * destinations and begin anywhere, so that nobody learns from them what is sent to others (RFC 6864, RFC 7739).
   */
  nextIdent(destination: Destination, protocol: number, count: number): number {
    const slot = destination.identSlot
    const next = this.idents[slot]!
    this.idents[slot] = next + count
    if (destination.identProtocol !== protocol) {
      destination.identProtocol = protocol
      destination.identBase = addressHash(slot, protocol, 0, 0, 2, this.seed)
    }
    return (destination.identBase + next) | 0
  }

  /** 32 secret bits for keyed hashes. */
  get secret(): number {
    return this.seed
  }

  /** Gives up everything: interfaces, timers, frames. */
  close(): void {
    if (this.closed) return
    this.closed = true
    while (this.list.length > 0) this.removeInterface(this.list[this.list.length - 1]!)
    this.arp.close()
    this.nd.close()
    this.routes.close()
    this.paths.close()
    this.reassembly.close()
    this.processor.close()
    this.icmp.close()
    this.icmpv6.close()
  }

  private attach(name: string, port: LinkPort, options: InterfaceOptions, loopback: boolean): NetworkInterface {
    if (this.interfaceNamed(name) !== null) throw new TypeError(`there is an interface ${name} already`)
    const iface = new NetworkInterface(this, name, this.nextIndex++, port, options, loopback)
    this.list.push(iface)
    this.changed()
    return iface
  }

  private slotFor(w0: number, w1: number, w2: number, w3: number): number {
    return addressHash(w0, w1, w2, w3, 0, this.seed) & (CACHE_SLOTS - 1)
  }
}

/** Ways remembered, by the hash of their address. */
const CACHE_SLOTS = 256
/** Counters of identifications. */
const IDENT_SLOTS = 1024
