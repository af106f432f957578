import type { NetworkInterface } from '../ip/interface.ts'
import type { PortHold } from '../tcp/tuple.ts'
import { IPV6_ANY, type IpAddress } from '../wire/address.ts'

/** What decides whether two sockets may share a local port. */
export interface PortClaim {
  readonly local: IpAddress
  /** 4 or 6: AF_INET or AF_INET6. */
  readonly family: 4 | 6
  readonly v6only: boolean
  readonly boundInterface: NetworkInterface | null
  /** SO_REUSEADDR and SO_REUSEPORT. */
  readonly reuseAddress: boolean
  readonly reusePort: boolean
  /** The user who bound it: SO_REUSEPORT works among sockets of one user. */
  readonly uid: number
  readonly isListening: boolean
  readonly isTimeWait: boolean
}

/**
 * What is left of a claim when no socket stands for it: that of connections and of pairs in TIME_WAIT. A class, as V8
 * makes a hidden class of its own for each object that is spread from another.
 */
class FixedClaim implements PortClaim {
  readonly local: IpAddress
  readonly family: 4 | 6
  readonly v6only: boolean
  readonly boundInterface: NetworkInterface | null
  readonly reuseAddress: boolean
  readonly reusePort: boolean
  readonly uid: number
  readonly isListening = false
  readonly isTimeWait: boolean

  /** The terms of `claim`, for another local address. */
  constructor(
    claim: PortClaim,
    local: IpAddress,
    isTimeWait: boolean,
    reuseAddress = claim.reuseAddress,
    reusePort = claim.reusePort,
  ) {
    this.local = local
    this.family = claim.family
    this.v6only = claim.v6only
    this.boundInterface = claim.boundInterface
    this.reuseAddress = reuseAddress
    this.reusePort = reusePort
    this.uid = claim.uid
    this.isTimeWait = isTimeWait
  }
}

/** Sockets, or connections, that hold a port on the same terms: one in the chain of all who hold it. */
export class PortOwner implements PortHold {
  readonly port: number
  readonly claim: PortClaim
  count = 1
  /** Does it stand for several, whose claims are alike and do not change? */
  readonly isShared: boolean
  /**
   * Was the port chosen for connections by connect(2), and never bound by anybody? Then other connections may have it
   * too, as long as their pairs of endpoints differ. Alike for all owners of a port.
   */
  automatic: boolean
  next: PortOwner | null = null
  private readonly table: PortTable

  constructor(table: PortTable, port: number, claim: PortClaim, isShared: boolean, automatic: boolean) {
    this.table = table
    this.port = port
    this.claim = claim
    this.isShared = isShared
    this.automatic = automatic
  }

  release(): void {
    if (--this.count === 0) this.table.remove(this)
  }

  /** The same hold on other terms: SO_REUSEADDR or SO_REUSEPORT was set. This one is released. */
  withFlags(reuseAddress: boolean, reusePort: boolean): PortOwner {
    const { local, isTimeWait } = this.claim
    const owner = this.shareOn(local, isTimeWait, reuseAddress, reusePort)
    this.release()
    return owner
  }

  forChild(local: IpAddress): PortHold {
    return this.shareOn(local, false, this.claim.reuseAddress, this.claim.reusePort)
  }

  forTimeWait(local: IpAddress): PortHold {
    return this.shareOn(local, true, this.claim.reuseAddress, this.claim.reusePort)
  }

  /** Does somebody listen on the port? */
  get hasListener(): boolean {
    for (let owner = this.table.first(this.port); owner !== null; owner = owner.next) {
      if (owner.claim.isListening) return true
    }
    return false
  }

  /** Counts one more holder among those with this one's terms but for these. */
  private shareOn(local: IpAddress, isTimeWait: boolean, reuseAddress: boolean, reusePort: boolean): PortOwner {
    const { table, port, claim } = this
    for (let owner = table.first(port); owner !== null; owner = owner.next) {
      const other = owner.claim
      if (
        owner.isShared &&
        other.isTimeWait === isTimeWait &&
        other.reuseAddress === reuseAddress &&
        other.reusePort === reusePort &&
        sameSocketTerms(other, claim) &&
        other.local.equals(local)
      ) {
        owner.count++
        return owner
      }
    }
    return table.add(port, new FixedClaim(claim, local, isTimeWait, reuseAddress, reusePort), true, false)
  }
}

const sameSocketTerms = (a: PortClaim, b: PortClaim): boolean =>
  a.family === b.family && a.v6only === b.v6only && a.uid === b.uid && a.boundInterface === b.boundInterface

/** Do two claims speak of a common local address? */
const addressesOverlap = (a: PortClaim, b: PortClaim): boolean => {
  const anyA = a.local.isUnspecified
  const anyB = b.local.isUnspecified
  if (!anyA && !anyB) return a.local.equals(b.local)
  // :: covers IPv4 unless V6ONLY says otherwise; 0.0.0.0 covers IPv4 alone.
  if (anyA && anyB) return coversIpv6(a) ? coversIpv6(b) || (!a.v6only && coversIpv4(b)) : coversIpv4(b)
  const any = anyA ? a : b
  const one = anyA ? b : a
  // Linux: what a connection of an IPv6 socket leaves may have been an IPv4 one's, as far as 0.0.0.0 can tell.
  if (any.family === 4 && !one.local.isIpv4) return !one.v6only
  return one.local.isIpv4 ? coversIpv4(any) : coversIpv6(any)
}

const coversIpv6 = (any: PortClaim): boolean => any.local.equals(IPV6_ANY)
const coversIpv4 = (any: PortClaim): boolean => any.family === 4 || any.local.isIpv4 || !any.v6only

/** Is `claim` what a connection of `socket` from `local` claims? */
const isOfConnection = (claim: FixedClaim, socket: PortClaim, local: IpAddress): boolean =>
  claim.reuseAddress === socket.reuseAddress &&
  claim.reusePort === socket.reusePort &&
  sameSocketTerms(claim, socket) &&
  claim.local.equals(local)

/** Must two sockets be bound to different interfaces, and are they? */
const differentInterfaces = (a: PortClaim, b: PortClaim): boolean =>
  a.boundInterface !== null && b.boundInterface !== null && a.boundInterface !== b.boundInterface

/**
 * May `b`, who holds the port, and `a`, who asks for it, not both have it? SO_REUSEADDR lets them if both have set it
 * and `b` does not listen; SO_REUSEPORT if both have set it and belong to one user (Linux's rules for TCP; socket(7)).
 */
export const tcpConflict = (a: PortClaim, b: PortClaim): boolean => {
  if (differentInterfaces(a, b) || !addressesOverlap(a, b)) return false
  if (a.reuseAddress && b.reuseAddress && !b.isListening) return false
  return !(a.reusePort && b.reusePort && (b.isTimeWait || a.uid === b.uid))
}

/** The same for UDP: SO_REUSEADDR on both is enough. */
export const udpConflict = (a: PortClaim, b: PortClaim): boolean => {
  if (differentInterfaces(a, b) || !addressesOverlap(a, b)) return false
  if (a.reuseAddress && b.reuseAddress) return false
  return !(a.reusePort && b.reusePort && a.uid === b.uid)
}

/** The local ports of one protocol. */
export class PortTable {
  /** How many ports are in use. */
  ports = 0
  /** Who holds each port: the first of a chain. In pages, made when a port of theirs is first used. */
  private readonly pages: ((PortOwner | null)[] | null)[] = new Array(0x1_0000 >> PAGE_BITS).fill(null)
  private readonly conflicts: (a: PortClaim, b: PortClaim) => boolean
  /** The claim made last for a connection: the next is mostly on the same terms. */
  private lastClaim: FixedClaim | null = null

  /** @param conflicts may these two not share a port? */
  constructor(conflicts: (a: PortClaim, b: PortClaim) => boolean) {
    this.conflicts = conflicts
  }

  /** Has anybody this port? */
  has(port: number): boolean {
    return this.first(port) !== null
  }

  /** The first of those who have this port; null for nobody. */
  first(port: number): PortOwner | null {
    const page = this.pages[port >>> PAGE_BITS]!
    return page === null ? null : page[port & PAGE_MASK]!
  }

  /** May connections have it whose pairs of endpoints are their own: has nobody bound it? */
  mayShare(port: number): boolean {
    return this.first(port)?.automatic !== false
  }

  /** Is anybody in the way of `claim` having `port`? `self`, who holds it already, is not. */
  isTaken(port: number, claim: PortClaim, self: PortOwner | null = null): boolean {
    for (let owner = this.first(port); owner !== null; owner = owner.next) {
      if (owner !== self && this.conflicts(claim, owner.claim)) return true
    }
    return false
  }

  /** Takes `port` for a socket that binds it; null when somebody is in the way. */
  bind(port: number, claim: PortClaim): PortOwner | null {
    return this.isTaken(port, claim) ? null : this.add(port, claim, false, false)
  }

  /**
   * Takes `port` for a socket that asked for any: null when somebody
   * has it for an address in common, on whatever terms.
   */
  bindAlone(port: number, claim: PortClaim): PortOwner | null {
    for (let owner = this.first(port); owner !== null; owner = owner.next) {
      if (!differentInterfaces(claim, owner.claim) && addressesOverlap(claim, owner.claim)) return null
    }
    return this.add(port, claim, false, false)
  }

  /**
   * What a connection of `socket` from `local`, whose port is chosen for it, claims: an object that others may share.
   */
  claimOfConnection(socket: PortClaim, local: IpAddress): PortClaim {
    const { lastClaim } = this
    if (lastClaim !== null && isOfConnection(lastClaim, socket, local)) return lastClaim
    this.lastClaim = new FixedClaim(socket, local, false)
    return this.lastClaim
  }

  /** Takes `port` for a connection whose pair of endpoints is free; null when a socket is bound to it. */
  share(port: number, claim: PortClaim): PortOwner | null {
    return this.mayShare(port) ? this.add(port, claim, false, true) : null
  }

  /** Adds one to those who hold `port`. @param isAutomatic was it chosen by connect(2)? */
  add(port: number, claim: PortClaim, isShared: boolean, isAutomatic: boolean): PortOwner {
    const first = this.first(port)
    const automatic = isAutomatic || (isShared && first?.automatic === true)
    const owner = new PortOwner(this, port, claim, isShared, automatic)
    if (first === null) this.setFirst(port, owner)
    else {
      owner.next = first.next
      first.next = owner
      // Bound by somebody, it is nobody's to share any more.
      if (!automatic && first.automatic) {
        for (let other: PortOwner | null = first; other !== null; other = other.next) other.automatic = false
      }
    }
    return owner
  }

  remove(owner: PortOwner): void {
    const first = this.first(owner.port)
    if (first === owner) {
      this.setFirst(owner.port, owner.next)
      return
    }
    for (let before = first; before !== null; before = before.next) {
      if (before.next !== owner) continue
      before.next = owner.next
      return
    }
  }

  private setFirst(port: number, owner: PortOwner | null): void {
    const page = this.pages[port >>> PAGE_BITS] ?? new Array(PAGE_MASK + 1).fill(null)
    this.pages[port >>> PAGE_BITS] = page
    this.ports += Number(owner !== null) - Number(page[port & PAGE_MASK] !== null)
    page[port & PAGE_MASK] = owner
  }
}

/** Ports in a page: 128. */
const PAGE_BITS = 7
const PAGE_MASK = (1 << PAGE_BITS) - 1
