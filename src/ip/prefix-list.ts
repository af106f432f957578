import { type IpAddress, ip, networkOf } from '../wire/address.ts'
import type { NdpMessage } from '../wire/ndp.ts'
import { NDP_INFINITY, type NdpPrefix } from '../wire/ndp-options.ts'
import { AddressFlag, type AddressOptions, type InterfaceAddress } from './address.ts'
import type { NetworkInterface } from './interface.ts'
import { KERNEL_METRIC6, type Route } from './route.ts'
import { eui64Address, stableAddress } from './slaac.ts'

/** A name server that a router has told of. */
export interface DnsServer {
  readonly address: IpAddress
  /** World time until which it may be used, microseconds. */
  readonly expires: number
}

const LINK_LOCAL = ip('fe80::')

/** A remaining lifetime of so many seconds cannot be cut further by an advertisement (RFC 4862 section 5.5.3 (e)). */
const TWO_HOURS = 7200
/** What is remembered of advertisements at the most: anybody on the link can send them without end. */
const MOST_PREFIXES = 64
const MOST_SERVERS = 16
/** How often a stable address that is taken is replaced by another one (RFC 7217 section 6). */
const RETRIES = 3

/** The prefixes that routers advertise on one link, and the addresses that are made of them (RFC 4862 section 5.5). */
export class PrefixList {
  dnsServers: DnsServer[] = []
  private readonly iface: NetworkInterface
  private routes: Route[] = []
  private duplicates = 0

  constructor(iface: NetworkInterface) {
    this.iface = iface
  }

  /** Makes the interface's link-local address (RFC 4862 section 5.3). */
  addLinkLocal(): void {
    const { settings } = this.iface
    if (settings.addr_gen_mode === 1) return
    const stable = settings.addr_gen_mode >= 2 || !this.iface.isEthernet
    this.iface.addAddress(
      { address: this.makeAddress(LINK_LOCAL), length: 64 },
      { protocol: 'kernel_ll', flags: stable ? AddressFlag.StablePrivacy : 0 },
    )
  }

  /** Takes in the prefixes of a router advertisement. */
  advertised(message: NdpMessage): void {
    for (let i = 0; i < message.prefixCount; i++) {
      const told = message.prefixes[i]!
      const prefix = told.prefix
      if (told.preferredLifetime > told.validLifetime || prefix.isLinkLocal || prefix.isMulticast) continue
      if (told.onLink) this.setRoute(told)
      if (told.autonomous && told.length === 64 && this.iface.settings.autoconf !== 0) this.setAddress(told)
    }
  }

  setDnsServers(message: NdpMessage): void {
    const { now } = this.iface.stack.world.loop
    for (let i = 0; i < message.dnsServerCount; i++) {
      const { address, lifetime } = message.dnsServers[i]!
      this.dnsServers = this.dnsServers.filter((server) => server.expires > now && !server.address.equals(address))
      if (lifetime > 0 && this.dnsServers.length < MOST_SERVERS)
        this.dnsServers.push({ address, expires: now + secondsOf(lifetime) * 1e6 })
    }
  }

  /** An address turned out to be taken: one that was made of a prefix goes, a stable one is made anew. */
  duplicate(entry: InterfaceAddress): void {
    const { address, flags, protocol } = entry
    const stable = (flags & AddressFlag.StablePrivacy) !== 0
    if (protocol !== 'kernel_ra' && !(stable && protocol === 'kernel_ll')) return
    const { now } = this.iface.stack.world.loop
    this.iface.removeAddress(address)
    if (!stable || ++this.duplicates > RETRIES) return
    const options: AddressOptions = {
      protocol,
      flags: AddressFlag.StablePrivacy,
      noPrefixRoute: protocol === 'kernel_ra',
      validLifetime: (entry.validUntil - now) / 1e6,
      preferredLifetime: (entry.preferredUntil - now) / 1e6,
    }
    this.iface.addAddress({ address: this.makeAddress(networkOf(address, 64)), length: 64 }, options)
  }

  /** Forgets all that routers have said. */
  clear(): void {
    for (const route of this.routes) this.iface.stack.routes.removeRoute(route)
    this.routes = []
    this.dnsServers = []
    this.duplicates = 0
  }

  private makeAddress(prefix: IpAddress): IpAddress {
    const { iface } = this
    const stable = iface.settings.addr_gen_mode >= 2 || !iface.isEthernet
    return stable
      ? stableAddress(prefix, iface.stack.stableKey, iface.index, this.duplicates)
      : eui64Address(prefix, iface.mac)
  }

  /** The prefix is on the link, for so long (RFC 4861 section 6.3.4). */
  private setRoute(told: NdpPrefix): void {
    const { iface } = this
    const { routes, world } = iface.stack
    const network = networkOf(told.prefix, told.length)
    const lifetime = secondsOf(told.validLifetime)
    this.routes = this.routes.filter((route) => routes.has(route))
    const at = this.routes.findIndex((route) => route.length === told.length && route.destination.equals(network))
    if (lifetime === 0) {
      if (at >= 0) routes.removeRoute(this.routes.splice(at, 1)[0]!)
      return
    }
    const expires = world.loop.now + lifetime * 1e6
    if (at >= 0) {
      routes.setExpiry(this.routes[at]!, expires)
      return
    }
    if (this.routes.length >= MOST_PREFIXES) return
    const prefix = { address: network, length: told.length }
    const route = { prefix, interface: iface, protocol: 'kernel', metric: KERNEL_METRIC6 } as const
    this.routes.push(routes.install({ ...route, expires }))
  }

  /** Makes an address of the prefix, or renews the lifetimes of the one that was made. */
  private setAddress(told: NdpPrefix): void {
    const { iface } = this
    const { now } = iface.stack.world.loop
    const valid = secondsOf(told.validLifetime)
    const preferred = secondsOf(told.preferredLifetime)
    const network = networkOf(told.prefix, 64)
    const made = iface.addresses.find((entry) => entry.protocol === 'kernel_ra' && entry.covers(network))
    if (made !== undefined) {
      const left = (made.validUntil - now) / 1e6
      // A forged advertisement is not to end an address at once.
      made.setLifetimes(Math.max(valid, Math.min(left, TWO_HOURS)), preferred)
      return
    }
    if (valid === 0) return
    const count = iface.addresses.filter((entry) => entry.protocol === 'kernel_ra').length
    if (count >= iface.settings.ipv6_max_addresses) return
    const stable = iface.settings.addr_gen_mode >= 2 || !iface.isEthernet
    iface.addAddress(
      { address: this.makeAddress(network), length: 64 },
      {
        protocol: 'kernel_ra',
        noPrefixRoute: true,
        validLifetime: valid,
        preferredLifetime: preferred,
        flags: stable ? AddressFlag.StablePrivacy : 0,
      },
    )
  }
}

const secondsOf = (lifetime: number): number => (lifetime === NDP_INFINITY ? Number.POSITIVE_INFINITY : lifetime)
