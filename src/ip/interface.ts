import { type Frame, FrameChecksum, FrameQueue } from '../core/frame.ts'
import type { LinkPort, LinkUser } from '../link/port.ts'
import { fitFrame } from '../link/segmentation.ts'
import { type IpAddress, type IpPrefix, isGroupMac, MAC_BROADCAST, type MacAddress } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { ETHERNET_HEADER, isMac, macHigh, macLow, readMac, writeMac, writeMacParts } from '../wire/ethernet.ts'
import type { AddressOptions, InterfaceAddress } from './address.ts'
import { activateAddress, addAddress, deactivateAddress, installSubnet, removeAddress } from './addresses.ts'
import { defendAddress, duplicateFound, restartDetection, stopDetection } from './duplicate.ts'
import { ethernetInput, ipMediumInput, ownPacketInput } from './ethernet.ts'
import { type GroupMember, InterfaceGroups } from './group.ts'
import { InputCache } from './input.ts'
import { InterfaceFlag, InterfaceStatistics } from './interface-info.ts'
import { NdpHost } from './ndp-host.ts'
import { NeighbourTiming, Nud } from './neighbour.ts'
import { type IpSettings, interfaceSettings } from './settings.ts'
import type { IpStack } from './stack.ts'

/** What may be said of a new interface; all has a default. */
export interface InterfaceOptions {
  /** Drawn at random, locally administered, unless given. Without meaning on links of IP packets. */
  readonly mac?: MacAddress
  /** At most the link's, and that unless given; bytes. */
  readonly mtu?: number
  /** Frames that the receive ring holds while the processor is busy. */
  readonly ringSize?: number
  /** Is it set up at once? Yes unless given. */
  readonly up?: boolean
}

/** One of a host's interfaces: what is plugged into a link's port, and what packets come in and leave through. */
export class NetworkInterface implements LinkUser {
  readonly stack: IpStack
  readonly name: string
  /** From 1 on, in the order in which interfaces came. */
  readonly index: number
  readonly port: LinkPort
  readonly mac: MacAddress
  /** Its upper 16 and its lower 32 bits. */
  readonly macHigh: number
  readonly macLow: number
  readonly isEthernet: boolean
  readonly isLoopback: boolean
  /** The host's settings, and what was set for this interface alone: writes here concern no other. */
  readonly settings: IpSettings
  readonly addresses: InterfaceAddress[] = []
  readonly statistics = new InterfaceStatistics()
  readonly groups: InterfaceGroups
  readonly ndp: NdpHost
  /** 802.1Q subinterfaces by VLAN identifier; null while there are none. */
  vlans: Map<number, NetworkInterface> | null = null
  /** Frames that wait for the processor, and how many may. */
  readonly ring = new FrameQueue()
  ringSize: number
  /** Copies of what the host has sent to groups here, on their way back to it. */
  readonly own = new FrameQueue()
  /** What became of the last packet that came in. */
  readonly inputCache: InputCache

  private readonly timing4: NeighbourTiming
  private readonly timing6: NeighbourTiming
  private readonly pieces = new FrameQueue()
  private linkMtu: number
  private adminUp = false
  private hasCarrier: boolean
  /** Does the port still have this interface as its user? */
  private isPluggedIn = true
  private promiscuity = 0
  private allMulticast = 0

  /** Made by `IpStack.addInterface`. */
  constructor(
    stack: IpStack,
    name: string,
    index: number,
    port: LinkPort,
    options: InterfaceOptions,
    loopback: boolean,
  ) {
    this.stack = stack
    this.inputCache = new InputCache(stack.world.fast['input-cache'])
    this.name = name
    this.index = index
    this.port = port
    this.isLoopback = loopback
    this.isEthernet = port.features.medium === 'ethernet'
    this.settings = interfaceSettings(stack.settings)
    this.mac = !this.isEthernet || loopback ? 0 : (options.mac ?? randomMac(stack))
    this.macHigh = macHigh(this.mac)
    this.macLow = macLow(this.mac)
    this.linkMtu = Math.min(options.mtu ?? port.features.mtu, port.features.mtu)
    this.ringSize = options.ringSize ?? DEFAULT_RING
    this.hasCarrier = port.carrier
    const { base_reachable_time_ms, retrans_time_ms } = stack.settings
    this.timing4 = new NeighbourTiming(base_reachable_time_ms, retrans_time_ms)
    this.timing6 = new NeighbourTiming(base_reachable_time_ms, retrans_time_ms)
    this.groups = new InterfaceGroups(this)
    this.ndp = new NdpHost(this)
    port.user = this
  }

  /** Is it set up, by whoever rules the host? */
  get isUp(): boolean {
    return this.adminUp
  }

  get carrier(): boolean {
    return this.hasCarrier
  }

  /** Can packets pass: is it set up, and is there a carrier? */
  get isRunning(): boolean {
    return this.adminUp && this.hasCarrier
  }

  get canBroadcast(): boolean {
    return this.isEthernet && !this.isLoopback
  }

  /** Are neighbours asked for their link-layer address here? */
  get hasNeighbours(): boolean {
    return this.isEthernet && !this.isLoopback
  }

  /** `InterfaceFlag` bits. */
  get flags(): number {
    let flags = 0
    if (this.isLoopback) flags |= InterfaceFlag.Loopback
    else if (this.isEthernet) flags |= InterfaceFlag.Broadcast | InterfaceFlag.Multicast
    else flags |= InterfaceFlag.PointToPoint | InterfaceFlag.NoArp | InterfaceFlag.Multicast
    if (this.adminUp) flags |= InterfaceFlag.Up
    if (this.hasCarrier && this.adminUp) flags |= InterfaceFlag.Running | InterfaceFlag.LowerUp
    if (this.promiscuity > 0) flags |= InterfaceFlag.Promisc
    if (this.allMulticast > 0) flags |= InterfaceFlag.AllMulti
    return flags
  }

  /** The largest IP packet, bytes. */
  get mtu(): number {
    return this.linkMtu
  }

  /** Sets the MTU, at most the link's own. IPv6 goes below 1280 (RFC 8200 section 5). @returns whether it can be */
  setMtu(mtu: number): boolean {
    if (!Number.isInteger(mtu) || mtu < 68 || mtu > this.port.features.mtu) return false
    this.linkMtu = mtu
    this.ndp.mtuChanged()
    this.stack.changed()
    return true
  }

  /** Asks for every frame on the link, or takes that back; as many times as it was asked. */
  setPromiscuous(on: boolean): void {
    this.promiscuity = Math.max(0, this.promiscuity + (on ? 1 : -1))
  }

  /** Asks for every multicast frame on the link, or takes that back. */
  setAllMulticast(on: boolean): void {
    this.allMulticast = Math.max(0, this.allMulticast + (on ? 1 : -1))
  }

  /** The timing of a family's neighbours here. */
  timing(family: 4 | 6): NeighbourTiming {
    return family === 4 ? this.timing4 : this.timing6
  }

  /** Sets the interface up or down, and all that goes with it: routes, neighbours, what IPv6 made by itself. */
  setUp(up: boolean): void {
    if (up === this.adminUp) return
    this.adminUp = up
    if (up) this.start()
    else this.stop()
    this.stack.changed()
    this.tellVlans()
  }

  carrierChanged(up: boolean): void {
    if (up === this.hasCarrier) return
    this.hasCarrier = up
    if (this.adminUp) {
      if (up) this.resume()
      else {
        this.stack.arp.flush(this, false)
        this.stack.nd.flush(this, false)
        // Nobody could answer now: what is being checked is checked anew when the link is back.
        for (const entry of this.addresses) if (entry.isTentative) stopDetection(entry)
      }
    }
    this.stack.changed()
    this.tellVlans()
  }

  /** Adds an address; see `addAddress` in addresses.ts. */
  addAddress(prefix: IpPrefix, options: AddressOptions = {}): InterfaceAddress | number {
    return addAddress(this, prefix, options)
  }

  /** Takes an address away. @returns 0 or -EADDRNOTAVAIL */
  removeAddress(address: IpAddress): number {
    return removeAddress(this, address)
  }

  /** An address has been found to be free: it may be used. */
  activate(entry: InterfaceAddress): void {
    activateAddress(entry)
  }

  /** An address may not be used any more. */
  deactivate(entry: InterfaceAddress): void {
    deactivateAddress(entry)
  }

  /** Another host has, or claims, an address of this one. */
  addressConflict(entry: InterfaceAddress): void {
    if (entry.isTentative) duplicateFound(entry)
    else defendAddress(entry)
  }

  /** The entry of an address of this interface; null when it has none such. */
  findAddress(address: IpAddress): InterfaceAddress | null {
    for (const entry of this.addresses) if (entry.address.equals(address)) return entry
    return null
  }

  /** The first usable IPv4 address, 0 bits for none; as a signed integer. */
  get firstIpv4(): number {
    for (const entry of this.addresses) if (entry.address.isIpv4 && entry.isUsable) return entry.address.w3
    return 0
  }

  /** The usable link-local IPv6 address; null while there is none. */
  get linkLocal(): IpAddress | null {
    for (const entry of this.addresses) {
      if (!entry.address.isIpv4 && entry.address.isLinkLocal && entry.isUsable) return entry.address
    }
    return null
  }

  /** Joins a multicast group for one socket: any source, until its filter is set. See group.ts. */
  joinGroup(group: IpAddress): GroupMember {
    return this.groups.join(group)
  }

  /** Gives up a socket's membership. */
  leaveGroup(member: GroupMember): void {
    this.groups.leave(member)
  }

  /** Has the gateway been asked and not answered? */
  gatewayFailed(gateway: IpAddress): boolean {
    const table = gateway.isIpv4 ? this.stack.arp : this.stack.nd
    const neighbour = table.find(this, gateway.w0, gateway.w1, gateway.w2, gateway.w3)
    return neighbour !== undefined && neighbour.state === Nud.Failed
  }

  /** A neighbour that was a router is none any more. */
  routerLost(address: IpAddress): void {
    this.ndp.routerLost(address)
  }

  /** Does the hardware let frames to this address through: its own, everybody's, a group's, or a subinterface's? */
  accepts(mac: MacAddress): boolean {
    if (mac === this.mac || mac === MAC_BROADCAST || this.promiscuity > 0) return true
    if (isGroupMac(mac) && (this.allMulticast > 0 || this.groups.hasMac(mac))) return true
    if (this.vlans !== null) for (const vlan of this.vlans.values()) if (vlan.accepts(mac)) return true
    return false
  }

  /** A frame came damaged, and the link has thrown it away. */
  damaged(): void {
    this.statistics.rxErrors++
  }

  /** A frame has come from the link. */
  receive(frame: Frame): void {
    if (!this.adminUp) {
      this.stack.drop(frame, Drop['interface-down'])
      return
    }
    // Whatever the hardware does not let through is not counted as received.
    if (this.isEthernet && frame.end - frame.start >= ETHERNET_HEADER) {
      const { memory } = this.stack.world
      if (!isMac(memory, frame.start, this.macHigh, this.macLow) && !this.accepts(readMac(memory, frame.start))) {
        this.stack.drop(frame, Drop['eth-not-for-us'])
        return
      }
    }
    const { statistics } = this
    statistics.rxPackets++
    statistics.rxBytes += frame.end - frame.start
    if (this.stack.processor.isBusy) this.stack.processor.enqueue(this, frame)
    else this.input(frame)
  }

  /** Takes a received frame in: what `receive` does at once, or the processor when it comes to it. */
  input(frame: Frame): void {
    if (this.isEthernet) ethernetInput(this, frame)
    else ipMediumInput(this, frame)
  }

  /** Takes in a copy of an IP packet that this host has sent to a group or everybody here, itself included. */
  ownInput(frame: Frame): void {
    this.statistics.rxPackets++
    this.statistics.rxBytes += frame.end - frame.start
    ownPacketInput(this, frame)
  }

  /**
   * Sends an IP packet, or another that `frame.etherType` names, from `frame.start` on. Owns the frame.
   * @param destination link-layer address; without meaning on links of IP packets
   */
  transmit(frame: Frame, destination: MacAddress): void {
    if (this.isEthernet) {
      this.addHeader(frame)
      writeMac(this.stack.world.memory, frame.start, destination)
    }
    this.transmitFrame(frame)
  }

  /**
   * The same, to the address of these upper and lower bits: V8 makes an object of a number of 48 that is handed over.
   */
  transmitTo(frame: Frame, high: number, low: number): void {
    if (this.isEthernet) {
      this.addHeader(frame)
      writeMacParts(this.stack.world.memory, frame.start, high, low)
    }
    this.transmitFrame(frame)
  }

  /** Puts an Ethernet header before the packet, all but its destination. */
  private addHeader(frame: Frame): void {
    const at = frame.start - ETHERNET_HEADER
    const { memory } = this.stack.world
    writeMacParts(memory, at + 6, this.macHigh, this.macLow)
    memory.view.setUint16(at + 12, frame.etherType)
    frame.start = at
  }

  /** Sends a frame whose link header is in its place. Owns the frame. */
  transmitFrame(frame: Frame): void {
    const { statistics, port } = this
    if (!this.adminUp || !this.hasCarrier) {
      statistics.txDropped++
      if (!this.hasCarrier) statistics.txCarrierErrors++
      this.stack.drop(frame, Drop['interface-down'])
      return
    }
    if (frame.watcher !== null) this.tellWatcher(frame)
    if (frame.segmentSize > 0 || frame.checksum === FrameChecksum.Partial) {
      this.transmitFitted(frame)
      return
    }
    statistics.txPackets++
    statistics.txBytes += frame.end - frame.start
    port.send(frame)
  }

  /** Once, also where the frame goes through another interface below this one. */
  private tellWatcher(frame: Frame): void {
    frame.watcher!.leaves(frame, this.index)
    frame.watcher = null
  }

  /** Gives up every timer, address, group and frame. The port is free again. */
  close(): void {
    for (const vlan of this.vlans?.values() ?? []) this.stack.removeInterface(vlan)
    this.setUp(false)
    while (this.addresses.length > 0) this.removeAddress(this.addresses[0]!.address)
    this.groups.close()
    this.ndp.close()
    this.stack.arp.flush(this, true)
    this.stack.nd.flush(this, true)
    this.stack.routes.removeAll((route) => route.interface === this)
    this.stack.processor.flush(this)
    if (this.isPluggedIn) this.port.user = null
  }

  /**
   * Leaves the port to another user, without a change of the carrier. What arrives is not this interface's any more.
   */
  handOver(user: LinkUser): void {
    this.port.user = user
    this.isPluggedIn = false
  }

  private tellVlans(): void {
    for (const vlan of this.vlans?.values() ?? []) vlan.carrierChanged(this.isRunning)
  }

  private start(): void {
    for (const entry of this.addresses) if (entry.isUsable || !entry.address.isIpv4) installSubnet(entry)
    this.groups.start()
    this.ndp.start()
    if (this.hasCarrier) this.resume()
  }

  /** The link has come: what could not be asked or told before is now. */
  private resume(): void {
    for (const entry of [...this.addresses]) {
      if (entry.isTentative && !restartDetection(entry)) activateAddress(entry)
    }
    this.groups.announce()
    this.ndp.linkReady()
    if (this.settings.arp_notify !== 0) this.stack.announceAddresses(this)
  }

  private stop(): void {
    const { routes } = this.stack
    for (const entry of [...this.addresses]) {
      stopDetection(entry)
      const keep = this.settings.keep_addr_on_down !== 0 && !entry.address.isLinkLocal && !this.isLoopback
      if (!entry.address.isIpv4 && !keep) this.removeAddress(entry.address)
    }
    this.ndp.stop()
    this.groups.stop()
    routes.removeAll((route) => route.interface === this && route.type !== 'local')
    this.stack.arp.flush(this, true)
    this.stack.nd.flush(this, true)
  }

  /** Sends what the link does not take as it is: large segments are cut, checksums completed. */
  private transmitFitted(frame: Frame): void {
    const { statistics, pieces, port } = this
    const reason = fitFrame(this.stack.world, frame, port.features, pieces)
    if (reason !== Drop.none) {
      statistics.txDropped++
      this.stack.drop(frame, reason)
      return
    }
    for (let piece = pieces.shift(); piece !== null; piece = pieces.shift()) {
      statistics.txPackets++
      statistics.txBytes += piece.end - piece.start
      port.send(piece)
    }
  }
}

/** Descriptors in a receive ring. */
const DEFAULT_RING = 256

/** A MAC address for nobody else: locally administered, of no group. */
const randomMac = (stack: IpStack): MacAddress => {
  const high = (stack.random.next32() & 0xfcff) | 0x0200
  return high * 0x1_0000_0000 + (stack.random.next32() >>> 0)
}
