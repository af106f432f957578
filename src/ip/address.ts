import { Timer, type TimerOwner } from '../core/timer.ts'
import { type IpAddress, type IpPrefix, ipv4, prefixMask } from '../wire/address.ts'
import type { DuplicateDetection } from './duplicate.ts'
import type { NetworkInterface } from './interface.ts'
import { Scope, scopeName } from './route.ts'

/** State of an address, as bits: Linux's IFA_F_*. */
export const AddressFlag = {
  /** Another address of the same subnet was there first (IPv4); made for privacy (IPv6). */
  Secondary: 0x001,
  /** Not checked for duplicates. */
  NoDad: 0x002,
  /** Some other host has it: not usable. */
  DadFailed: 0x008,
  /** Past its preferred lifetime: not for new connections. */
  Deprecated: 0x020,
  /** Being checked for duplicates: not usable yet. */
  Tentative: 0x040,
  /** Set by somebody rather than learnt from a router. */
  Permanent: 0x080,
  /** Brings no route for its prefix. */
  NoPrefixRoute: 0x200,
  /** Its interface identifier is stable and opaque (RFC 7217). */
  StablePrivacy: 0x800,
} as const

/** Who gave an address, as `ip addr` names it. */
export type AddressProtocol = 'unspecified' | 'kernel_lo' | 'kernel_ra' | 'kernel_ll'

/** What there is to say of a new address; all has a default. */
export interface AddressOptions {
  /** The subnet's broadcast address; by default the last one, for IPv4 prefixes up to 30 bits. Null for none. */
  readonly broadcast?: IpAddress | null
  /** One of `Scope`; by default what the address itself tells. */
  readonly scope?: number
  /** Seconds until it goes; Infinity unless given. */
  readonly validLifetime?: number
  /** Seconds until it is deprecated; Infinity unless given. */
  readonly preferredLifetime?: number
  /**
   * IPv4: ask the link first whether somebody has it, announce it, and defend it (RFC 5227). Not usable until then.
   * IPv6 addresses are always probed (RFC 4862 section 5.4), unless this is false.
   */
  readonly probe?: boolean
  readonly noPrefixRoute?: boolean
  readonly protocol?: AddressProtocol
  /** More bits of `AddressFlag`. */
  readonly flags?: number
}

/** One address of an interface. */
export class InterfaceAddress implements TimerOwner {
  readonly address: IpAddress
  /** Bits of its subnet's prefix. */
  readonly length: number
  readonly interface: NetworkInterface
  readonly broadcast: IpAddress | null
  /** One of `Scope`. */
  readonly scope: number
  readonly protocol: AddressProtocol
  /** `AddressFlag` bits. */
  flags: number
  /** World times at which it is deprecated and at which it goes, microseconds; Infinity for most. */
  preferredUntil: number
  validUntil: number
  /** World time at which it was added or its lifetimes were last set, microseconds. */
  updated: number
  /** World time at which it was last defended against another host's claim (RFC 5227 section 2.4). */
  defended = Number.NEGATIVE_INFINITY
  /** Asks whether somebody has it, where that is asked. */
  detection: DuplicateDetection | null = null
  /** Is it defended at all? Linux's own addresses are not. */
  readonly defends: boolean
  private readonly timer = new Timer(this, 0)

  constructor(iface: NetworkInterface, prefix: IpPrefix, options: AddressOptions, now: number) {
    const { address, length } = prefix
    this.interface = iface
    this.address = address
    this.length = length
    this.broadcast = options.broadcast === undefined ? defaultBroadcast(address, length, iface) : options.broadcast
    this.scope = options.scope ?? addressScope(address)
    this.protocol = options.protocol ?? 'unspecified'
    this.defends = address.isIpv4 && options.probe === true
    this.flags =
      (options.flags ?? 0) |
      (options.noPrefixRoute === true ? AddressFlag.NoPrefixRoute : 0) |
      (options.probe === false ? AddressFlag.NoDad : 0) |
      (options.validLifetime === undefined || options.validLifetime === Number.POSITIVE_INFINITY
        ? AddressFlag.Permanent
        : 0)
    this.updated = now
    this.validUntil = now + (options.validLifetime ?? Number.POSITIVE_INFINITY) * 1e6
    this.preferredUntil = now + (options.preferredLifetime ?? Number.POSITIVE_INFINITY) * 1e6
  }

  /** May packets bear it: is it neither being checked nor taken by another host? */
  get isUsable(): boolean {
    return (this.flags & (AddressFlag.Tentative | AddressFlag.DadFailed)) === 0
  }

  get isSecondary(): boolean {
    return (this.flags & AddressFlag.Secondary) !== 0
  }

  get isTentative(): boolean {
    return (this.flags & AddressFlag.Tentative) !== 0
  }

  get isDeprecated(): boolean {
    return (this.flags & AddressFlag.Deprecated) !== 0
  }

  /** The address that means all of its subnet, whether or not it has been told one; null for none. */
  get subnetBroadcast(): IpAddress | null {
    return this.broadcast ?? lastOfSubnet(this.address, this.length)
  }

  /** Does `other` lie in this address's subnet? */
  covers(other: IpAddress): boolean {
    const { address, length } = this
    if (address.isIpv4 !== other.isIpv4) return false
    if (address.isIpv4) return ((address.w3 ^ other.w3) & prefixMask(length)) === 0
    return (
      ((address.w0 ^ other.w0) & prefixMask(length)) === 0 &&
      ((address.w1 ^ other.w1) & prefixMask(length - 32)) === 0 &&
      ((address.w2 ^ other.w2) & prefixMask(length - 64)) === 0 &&
      ((address.w3 ^ other.w3) & prefixMask(length - 96)) === 0
    )
  }

  /** Sets both lifetimes, in seconds from now, and what follows from them. */
  setLifetimes(valid: number, preferred: number): void {
    const { loop } = this.interface.stack.world
    this.updated = loop.now
    this.validUntil = loop.now + valid * 1e6
    this.preferredUntil = loop.now + preferred * 1e6
    if (valid === Number.POSITIVE_INFINITY) this.flags |= AddressFlag.Permanent
    else this.flags &= ~AddressFlag.Permanent
    this.watchLifetimes()
  }

  /** Deprecates or removes the address when that is due, and waits for what comes next. */
  watchLifetimes(): void {
    const { loop } = this.interface.stack.world
    const deprecated = loop.now >= this.preferredUntil
    if (deprecated !== this.isDeprecated) {
      this.flags ^= AddressFlag.Deprecated
      this.interface.stack.changed()
    }
    loop.timers.cancel(this.timer)
    const next = deprecated ? this.validUntil : Math.min(this.preferredUntil, this.validUntil)
    if (next !== Number.POSITIVE_INFINITY) loop.timers.schedule(this.timer, next)
  }

  onTimer(): void {
    if (this.interface.stack.world.loop.now >= this.validUntil) this.interface.removeAddress(this.address)
    else this.watchLifetimes()
  }

  /** Gives up the timer. */
  close(): void {
    this.interface.stack.world.loop.timers.cancel(this.timer)
  }
}

/** An address as plain data: what `ip addr` says of it. */
export interface AddressInfo {
  family: 4 | 6
  address: string
  length: number
  broadcast: string | null
  scope: string
  /** `secondary`, `tentative`, `deprecated`, `dadfailed`, `dynamic`, `noprefixroute`, `stable-privacy`. */
  flags: string[]
  protocol: AddressProtocol
  /** Seconds left; null for ever. */
  validFor: number | null
  preferredFor: number | null
}

/** @param now world time, microseconds */
export const describeAddress = (entry: InterfaceAddress, now: number): AddressInfo => {
  const flags: string[] = []
  if ((entry.flags & AddressFlag.Permanent) === 0) flags.push('dynamic')
  if (entry.isSecondary) flags.push(entry.address.isIpv4 ? 'secondary' : 'temporary')
  if (entry.isTentative) flags.push('tentative')
  if (entry.isDeprecated) flags.push('deprecated')
  if ((entry.flags & AddressFlag.DadFailed) !== 0) flags.push('dadfailed')
  if ((entry.flags & AddressFlag.NoPrefixRoute) !== 0) flags.push('noprefixroute')
  if ((entry.flags & AddressFlag.StablePrivacy) !== 0) flags.push('stable-privacy')
  const left = (until: number): number | null =>
    until === Number.POSITIVE_INFINITY ? null : Math.max(0, Math.ceil((until - now) / 1e6))
  return {
    family: entry.address.family,
    address: `${entry.address}`,
    length: entry.length,
    broadcast: entry.broadcast === null ? null : `${entry.broadcast}`,
    scope: scopeName(entry.scope),
    flags,
    protocol: entry.protocol,
    validFor: left(entry.validUntil),
    preferredFor: left(entry.preferredUntil),
  }
}

/** The scope that an address has by itself. */
export const addressScope = (address: IpAddress): number => {
  if (address.isLoopback) return Scope.Host
  if (address.isIpv4) return Scope.Global
  return address.isLinkLocal ? Scope.Link : address.w0 >>> 22 === 0x3fb ? Scope.Site : Scope.Global
}

const defaultBroadcast = (address: IpAddress, length: number, iface: NetworkInterface): IpAddress | null =>
  iface.canBroadcast ? lastOfSubnet(address, length) : null

/** The last address of an IPv4 subnet, which means all of it; null where a prefix of more than 30 bits leaves none. */
const lastOfSubnet = (address: IpAddress, length: number): IpAddress | null =>
  !address.isIpv4 || length > 30 ? null : ipv4(address.w3 | ~prefixMask(length))
