import { Timer, type TimerOwner } from '../core/timer.ts'
import type { IpAddress, IpPrefix } from '../wire/address.ts'
import { Icmpv6Type } from '../wire/icmpv6.ts'
import type { NdpMessage } from '../wire/ndp.ts'
import { NDP_INFINITY } from '../wire/ndp-options.ts'
import type { GroupMember } from './group.ts'
import type { NetworkInterface } from './interface.ts'
import { sendNdp } from './ndp-send.ts'
import { ALL_NODES6, ALL_ROUTERS6 } from './scope.ts'

/** A prefix that a router advertises. Lifetimes in seconds; Infinity for ever. */
export interface AdvertisedPrefix {
  readonly prefix: IpPrefix
  /** Are its addresses on the link? Yes unless given. */
  readonly onLink?: boolean
  /** May hosts make addresses of it? Yes unless given. */
  readonly autonomous?: boolean
  /** 2,592,000 (30 days) unless given. */
  readonly validLifetime?: number
  /** 604,800 (7 days) unless given. */
  readonly preferredLifetime?: number
}

/** What a router advertises on an interface (RFC 4861 section 6.2.1, whose defaults hold). */
export interface RouterAdvertisementOptions {
  readonly prefixes?: readonly AdvertisedPrefix[]
  /** Seconds for which the router is a default router; 0 for none. 1800 unless given. */
  readonly lifetime?: number
  /** Seconds between advertisements: 200 to 600 unless given. */
  readonly minInterval?: number
  readonly maxInterval?: number
  /** Hop limit for hosts to use; 64 unless given, 0 to leave it open. */
  readonly hopLimit?: number
  /** MTU for hosts to use, bytes; 0, which is the default, to leave it open. */
  readonly mtu?: number
  /** Milliseconds; 0 to leave it open. */
  readonly reachableTime?: number
  readonly retransmitTimer?: number
  /** Are addresses, or other settings, to be had by DHCPv6? */
  readonly managed?: boolean
  readonly otherConfig?: boolean
  /** One of `RouterPreference`. */
  readonly preference?: number
  /** More specific routes through this router (RFC 4191). */
  readonly routes?: readonly { readonly prefix: IpPrefix; readonly lifetime?: number; readonly preference?: number }[]
  /** Name servers (RFC 8106). */
  readonly dnsServers?: readonly IpAddress[]
}

/** RFC 4861 section 10, microseconds. */
const MAX_INITIAL_INTERVAL = 16e6
const INITIAL_COUNT = 3
const MIN_DELAY = 3e6
const MAX_RA_DELAY = 0.5e6

/** A router's advertisements on one interface, unsolicited and on demand (RFC 4861 section 6.2). */
export class RouterAdvertiser implements TimerOwner {
  private readonly iface: NetworkInterface
  private readonly options: RouterAdvertisementOptions
  private readonly timer = new Timer(this, 0)
  private readonly member: GroupMember
  private initialLeft = INITIAL_COUNT
  private lastSent = Number.NEGATIVE_INFINITY

  constructor(iface: NetworkInterface, options: RouterAdvertisementOptions) {
    this.iface = iface
    this.options = options
    this.member = iface.joinGroup(ALL_ROUTERS6)
    this.linkReady()
  }

  /** There is a link-local address to advertise from. */
  linkReady(): void {
    if (this.iface.linkLocal === null || !this.iface.isRunning) return
    this.initialLeft = INITIAL_COUNT
    this.scheduleAt(this.iface.stack.world.loop.now)
  }

  /** A host has asked: all are told soon, but not more often than every three seconds (RFC 4861 section 6.2.6). */
  solicited(): void {
    const { world, random } = this.iface.stack
    const wanted = world.loop.now + random.below(MAX_RA_DELAY)
    const at = Math.max(wanted, this.lastSent + MIN_DELAY)
    if (at < this.timer.deadline) this.scheduleAt(at)
  }

  onTimer(): void {
    if (!this.send(this.options.lifetime ?? 1800)) return
    const { world, random } = this.iface.stack
    const most = (this.options.maxInterval ?? 600) * 1e6
    const least = Math.min((this.options.minInterval ?? 200) * 1e6, most)
    let interval = least + random.below(Math.max(1, most - least))
    if (this.initialLeft > 0) {
      this.initialLeft--
      interval = Math.min(interval, MAX_INITIAL_INTERVAL)
    }
    this.scheduleAt(world.loop.now + interval)
  }

  /** Stops, and says so: the router is none any more (RFC 4861 section 6.2.5). */
  close(): void {
    this.iface.stack.world.loop.timers.cancel(this.timer)
    this.send(0)
    this.iface.leaveGroup(this.member)
  }

  private send(lifetime: number): boolean {
    const { iface } = this
    const source = iface.linkLocal
    if (source === null || !iface.isRunning) return false
    this.lastSent = iface.stack.world.loop.now
    this.fill(iface.stack.ndpOut, lifetime)
    sendNdp(iface, source, ALL_NODES6)
    return true
  }

  private fill(message: NdpMessage, lifetime: number): void {
    const { options, iface } = this
    message.clear()
    message.type = Icmpv6Type.RouterAdvertisement
    message.hopLimit = options.hopLimit ?? 64
    message.isManaged = options.managed ?? false
    message.isOtherConfig = options.otherConfig ?? false
    message.preference = options.preference ?? 0
    message.routerLifetime = lifetime
    message.reachableTime = options.reachableTime ?? 0
    message.retransmitTimer = options.retransmitTimer ?? 0
    message.sourceMac = iface.mac
    message.mtu = options.mtu ?? 0
    for (const advertised of options.prefixes ?? []) {
      const entry = message.addPrefix()
      if (entry === null) break
      entry.prefix = advertised.prefix.address
      entry.length = advertised.prefix.length
      entry.onLink = advertised.onLink ?? true
      entry.autonomous = advertised.autonomous ?? true
      entry.validLifetime = secondsField(advertised.validLifetime ?? 2_592_000)
      entry.preferredLifetime = secondsField(advertised.preferredLifetime ?? 604_800)
    }
    for (const route of options.routes ?? []) {
      const entry = message.addRoute()
      if (entry === null) break
      entry.prefix = route.prefix.address
      entry.length = route.prefix.length
      entry.lifetime = secondsField(route.lifetime ?? 1800)
      entry.preference = route.preference ?? 0
    }
    for (const server of options.dnsServers ?? []) {
      const entry = message.addDnsServer()
      if (entry === null) break
      entry.address = server
      entry.lifetime = Math.ceil((options.maxInterval ?? 600) * 3)
    }
  }

  private scheduleAt(at: number): void {
    this.iface.stack.world.loop.timers.schedule(this.timer, at)
  }
}

const secondsField = (seconds: number): number => (seconds >= NDP_INFINITY ? NDP_INFINITY : Math.floor(seconds))
