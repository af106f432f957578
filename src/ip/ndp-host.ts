import { Timer, type TimerOwner } from '../core/timer.ts'
import { IPV6_ANY, IPV6_LOOPBACK, type IpAddress, ip, networkOf } from '../wire/address.ts'
import { Drop } from '../wire/drop.ts'
import { Icmpv6Type } from '../wire/icmpv6.ts'
import type { IpHeader } from '../wire/ip.ts'
import { IPV6_MIN_MTU } from '../wire/ipv6.ts'
import { type NdpMessage, solicitedNode } from '../wire/ndp.ts'
import { AddressFlag, type InterfaceAddress } from './address.ts'
import type { GroupMember } from './group.ts'
import type { NetworkInterface } from './interface.ts'
import { sendNdp } from './ndp-send.ts'
import { NeighbourUpdate, Nud } from './neighbour.ts'
import { type DnsServer, PrefixList } from './prefix-list.ts'
import { KERNEL_METRIC6, type Route } from './route.ts'
import { type RouterAdvertisementOptions, RouterAdvertiser } from './router-advertiser.ts'
import { ALL_NODES6, ALL_ROUTERS6 } from './scope.ts'

const ALL_NODES_OF_INTERFACE = ip('ff01::1')
const MULTICAST = ip('ff00::')
/**
 * After so many that nobody has answered there is no router (RFC 4861
 * section 6.3.7); RFC 7559 has hosts ask on in case that one comes.
 */
const MAX_RTR_SOLICITATIONS = 3

/** Metric of routes learnt from routers. */
const ROUTER_METRIC = 1024

/** IPv6 on one interface: the link-local address, what routers say, and what a router here says itself. */
export class NdpHost implements TimerOwner {
  /** Sends router advertisements, if this host is a router here. */
  advertiser: RouterAdvertiser | null = null
  /** Hop limit by router advertisement; 0 for the host's default. */
  hopLimit = 0
  /** Do routers say that addresses, or other settings, are to be had by DHCPv6? */
  isManaged = false
  isOtherConfig = false
  readonly prefixes: PrefixList
  private readonly iface: NetworkInterface
  private readonly solicitation = new Timer(this, 0)
  private readonly nodeGroups = new Map<InterfaceAddress, GroupMember>()
  /** The groups that every host is in. */
  private readonly memberships: GroupMember[] = []
  private multicastRoute: Route | null = null
  private enabled = false
  private routerMtu = 0
  private solicitations = 0
  private interval = 0

  constructor(iface: NetworkInterface) {
    this.iface = iface
    this.prefixes = new PrefixList(iface)
  }

  /** Is IPv6 spoken on the interface? */
  get isEnabled(): boolean {
    return this.enabled
  }

  /** The largest IPv6 packet, bytes: the interface's MTU, or less when a router says so. */
  get mtu(): number {
    const { mtu } = this.iface
    return this.routerMtu > 0 && this.routerMtu < mtu ? this.routerMtu : mtu
  }

  /** Name servers that routers have told of, and still stand to (RFC 8106). */
  get dnsServers(): readonly DnsServer[] {
    return this.prefixes.dnsServers
  }

  /** The interface is set up. */
  start(): void {
    const { iface } = this
    if (this.enabled || iface.settings.disable_ipv6 !== 0 || iface.mtu < IPV6_MIN_MTU) return
    this.enabled = true
    this.memberships.push(iface.joinGroup(ALL_NODES_OF_INTERFACE), iface.joinGroup(ALL_NODES6))
    if (iface.isLoopback) {
      iface.addAddress({ address: IPV6_LOOPBACK, length: 128 }, { probe: false, protocol: 'kernel_lo' })
      return
    }
    this.multicastRoute = iface.stack.routes.install({
      prefix: { address: MULTICAST, length: 8 },
      type: 'multicast',
      interface: iface,
      protocol: 'kernel',
      metric: KERNEL_METRIC6,
    })
    this.prefixes.addLinkLocal()
  }

  /** The interface goes down, or IPv6 on it: what was made here goes. */
  stop(): void {
    if (!this.enabled) return
    this.enabled = false
    const { iface } = this
    this.stopSoliciting()
    this.prefixes.clear()
    this.hopLimit = 0
    this.routerMtu = 0
    for (const member of this.memberships.splice(0)) iface.leaveGroup(member)
    if (this.multicastRoute !== null) iface.stack.routes.removeRoute(this.multicastRoute)
    this.multicastRoute = null
  }

  /** Turns IPv6 on or off, as `disable_ipv6` now says. */
  refresh(): void {
    const { iface } = this
    const wanted = iface.isUp && iface.settings.disable_ipv6 === 0 && iface.mtu >= IPV6_MIN_MTU
    if (wanted === this.enabled) return
    if (wanted) {
      this.start()
      return
    }
    for (const entry of [...iface.addresses]) if (!entry.address.isIpv4) iface.removeAddress(entry.address)
    this.stop()
  }

  mtuChanged(): void {
    this.refresh()
  }

  /** The link has come, perhaps not for the first time. */
  linkReady(): void {
    if (this.iface.linkLocal !== null) this.solicitRouters()
    this.advertiser?.linkReady()
  }

  /** An address has become usable. */
  addressReady(entry: InterfaceAddress): void {
    if (!entry.address.isLinkLocal) return
    // Reports sent before had no source that routers heed (RFC 3590).
    this.iface.groups.announceIpv6()
    this.solicitRouters()
    this.advertiser?.linkReady()
  }

  /** An address has turned out to be somebody else's. */
  duplicate(entry: InterfaceAddress): void {
    const { iface } = this
    if (entry.address.isLinkLocal && iface.settings.accept_dad > 1 && (entry.flags & AddressFlag.StablePrivacy) === 0) {
      iface.settings.disable_ipv6 = 1
      this.refresh()
      return
    }
    this.prefixes.duplicate(entry)
  }

  joinSolicitedNode(entry: InterfaceAddress): void {
    if (!this.iface.hasNeighbours) return
    this.nodeGroups.set(entry, this.iface.joinGroup(solicitedNode(entry.address)))
  }

  leaveSolicitedNode(entry: InterfaceAddress): void {
    const member = this.nodeGroups.get(entry)
    if (member === undefined) return
    this.nodeGroups.delete(entry)
    this.iface.leaveGroup(member)
  }

  /** Sends router advertisements from now on, in place of those before. */
  advertise(options: RouterAdvertisementOptions): RouterAdvertiser {
    this.stopAdvertising()
    this.advertiser = new RouterAdvertiser(this.iface, options)
    return this.advertiser
  }

  stopAdvertising(): void {
    this.advertiser?.close()
    this.advertiser = null
  }

  /** A neighbour is no router any more: its default route goes. */
  routerLost(address: IpAddress): void {
    const route = this.defaultRoute(address)
    if (route !== null) this.iface.stack.routes.removeRoute(route)
  }

  /** Takes in a router advertisement that has been validated (RFC 4861 section 6.3.4). @returns a drop reason */
  routerAdvertised(header: IpHeader, message: NdpMessage): number {
    const { iface } = this
    const { settings, stack } = iface
    if (settings.accept_ra === 0 || (settings.accept_ra === 1 && settings.ipv6_forwarding !== 0)) {
      return Drop['ndp-ignored']
    }
    this.stopSoliciting()
    const router = header.source
    this.isManaged = message.isManaged
    this.isOtherConfig = message.isOtherConfig
    if (message.sourceMac >= 0) {
      const flags = NeighbourUpdate.Override | NeighbourUpdate.RouterKnown | NeighbourUpdate.IsRouter
      stack.nd.obtain(iface, router)?.update(message.sourceMac, Nud.Stale, flags)
    }
    if (settings.accept_ra_defrtr !== 0) this.setDefaultRoute(router, message)
    this.setParameters(message)
    if (settings.accept_ra_pinfo !== 0) this.prefixes.advertised(message)
    this.setRoutes(router, message)
    this.prefixes.setDnsServers(message)
    return Drop.none
  }

  onTimer(): void {
    const { iface } = this
    const source = iface.linkLocal
    if (source === null || !iface.isRunning) return
    const { settings, stack } = iface
    const message = stack.ndpOut
    message.clear()
    message.type = Icmpv6Type.RouterSolicitation
    message.sourceMac = iface.hasNeighbours ? iface.mac : -1
    sendNdp(iface, source, ALL_ROUTERS6)
    this.solicitations++
    if (settings.router_solicitations >= 0 && this.solicitations >= settings.router_solicitations) return
    if (this.solicitations === MAX_RTR_SOLICITATIONS) stack.world.loop.background.add(this.solicitation)
    // Twice as long each time, blurred by a tenth (RFC 7559 section 2).
    const blur = 0.9 + 0.2 * stack.random.float()
    const most = settings.router_solicitation_max_interval * 1e6
    const first = settings.router_solicitation_interval * 1e6
    const next = this.interval === 0 ? first * blur : this.interval * (1 + blur)
    this.interval = Math.floor(next > most ? most * blur : next)
    stack.world.loop.timers.schedule(this.solicitation, stack.world.loop.now + this.interval)
  }

  close(): void {
    this.stopAdvertising()
    this.stop()
  }

  /** Asks for routers, now that there is an address to ask from (RFC 4861 section 6.3.7). */
  private solicitRouters(): void {
    const { settings, stack, isRunning } = this.iface
    const { accept_ra, ipv6_forwarding, router_solicitations } = settings
    if (!isRunning || accept_ra === 0 || (accept_ra === 1 && ipv6_forwarding !== 0)) return
    if (router_solicitations === 0 || this.iface.isLoopback) return
    this.stopSoliciting()
    this.solicitations = 0
    this.interval = 0
    stack.world.loop.timers.schedule(this.solicitation, stack.world.loop.now)
  }

  private stopSoliciting(): void {
    const { timers, background } = this.iface.stack.world.loop
    timers.cancel(this.solicitation)
    background.delete(this.solicitation)
  }

  private defaultRoute(router: IpAddress): Route | null {
    const { iface } = this
    const routes = iface.stack.routes.all()
    return (
      routes.find(
        (route) =>
          route.protocol === 'ra' &&
          route.length === 0 &&
          route.interface === iface &&
          route.gateway?.equals(router) === true,
      ) ?? null
    )
  }

  /** Is there room for one more route through a router, of which anybody on the link can name any number? */
  private get hasRoom(): boolean {
    const { iface } = this
    const learnt = iface.stack.routes.all().filter(({ protocol, interface: out }) => protocol === 'ra' && out === iface)
    return learnt.length < MOST_ROUTES
  }

  private setDefaultRoute(router: IpAddress, message: NdpMessage): void {
    const { routes, world } = this.iface.stack
    const old = this.defaultRoute(router)
    if (message.routerLifetime === 0 || (old !== null && old.preference !== message.preference)) {
      if (old !== null) routes.removeRoute(old)
      if (message.routerLifetime === 0) return
    } else if (old !== null) {
      routes.setExpiry(old, world.loop.now + message.routerLifetime * 1e6)
      return
    }
    if (!this.hasRoom) return
    routes.install({
      prefix: { address: IPV6_ANY, length: 0 },
      gateway: router,
      interface: this.iface,
      protocol: 'ra',
      metric: ROUTER_METRIC,
      preference: message.preference,
      expires: world.loop.now + message.routerLifetime * 1e6,
    })
  }

  private setParameters(message: NdpMessage): void {
    const { iface } = this
    const { settings } = iface
    const timing = iface.timing(6)
    if (message.hopLimit !== 0 && message.hopLimit >= settings.accept_ra_min_hop_limit) {
      this.hopLimit = message.hopLimit
      iface.stack.changed()
    }
    if (message.reachableTime > 0 && message.reachableTime <= MOST_REACHABLE) {
      timing.baseReachable = message.reachableTime * 1000
    }
    if (message.retransmitTimer > 0) timing.retrans = message.retransmitTimer * 1000
    if (settings.accept_ra_mtu !== 0 && message.mtu >= IPV6_MIN_MTU && message.mtu <= iface.mtu) {
      if (this.routerMtu !== message.mtu) iface.stack.changed()
      this.routerMtu = message.mtu
    }
  }

  /** More specific routes (RFC 4191), as far as the settings take them. */
  private setRoutes(router: IpAddress, message: NdpMessage): void {
    const { iface } = this
    const { routes, world } = iface.stack
    for (let i = 0; i < message.routeCount; i++) {
      const told = message.routes[i]!
      if (told.length > iface.settings.accept_ra_rt_info_max_plen || told.length === 0) continue
      const prefix = { address: networkOf(told.prefix, told.length), length: told.length }
      const spec = { prefix, gateway: router, interface: iface, protocol: 'ra', metric: ROUTER_METRIC } as const
      routes.remove(spec)
      if (told.lifetime === 0 || !this.hasRoom) continue
      const expires = world.loop.now + lifetimeOf(told.lifetime) * 1e6
      routes.install({ ...spec, preference: told.preference, expires })
    }
  }
}

/** Routes through routers, on one interface. */
const MOST_ROUTES = 64
/** The longest reachable time that a router may set: an hour, in milliseconds. */
const MOST_REACHABLE = 3_600_000

const lifetimeOf = (seconds: number): number => (seconds === 0xffff_ffff ? Number.POSITIVE_INFINITY : seconds)
