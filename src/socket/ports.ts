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
 * What is left of a claim when no socket stands for it: that of connections and of pairs in TIME_WAIT. A class, as V8 makes
 * a hidden class of its own for each object that is spread from another.
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

/** Sockets, or connections, that hold a port on the same terms. */
export class PortOwner implements PortHold {
  readonly claim: PortClaim
  readonly bucket: PortBucket
  count = 1
  /** Does it stand for several, whose claims are alike and do not change? */
  readonly isShared: boolean

  constructor(bucket: PortBucket, claim: PortClaim, isShared: boolean) {
    this.bucket = bucket
    this.claim = claim
    this.isShared = isShared
  }

  get port(): number {
    return this.bucket.port
  }

  release(): void {
    if (--this.count === 0) this.bucket.remove(this)
  }

  /** The same hold on other terms: SO_REUSEADDR or SO_REUSEPORT was set. This one is released. */
  withFlags(reuseAddress: boolean, reusePort: boolean): PortOwner {
    const { local, isTimeWait } = this.claim
    const owner = this.bucket.share(new FixedClaim(this.claim, local, isTimeWait, reuseAddress, reusePort))
    this.release()
    return owner
  }

  forChild(local: IpAddress): PortHold {
    return this.bucket.share(new FixedClaim(this.claim, local, false))
  }

  forTimeWait(local: IpAddress): PortHold {
    return this.bucket.share(new FixedClaim(this.claim, local, true))
  }
}

/** Everybody who holds one port. */
class PortBucket {
  readonly port: number
  owners: PortOwner[] = []
  /**
   * Was the port chosen for connections by connect(2), and never bound by anybody? Then other connections may have it
   * too, as long as their pairs of endpoints differ.
   */
  automatic: boolean
  private readonly table: PortTable

  constructor(table: PortTable, port: number, automatic: boolean) {
    this.table = table
    this.port = port
    this.automatic = automatic
  }

  add(claim: PortClaim, isShared = false): PortOwner {
    const owner = new PortOwner(this, claim, isShared)
    // Most have one: an array that grows has room for seventeen.
    if (this.owners.length === 0) this.owners = [owner]
    else this.owners.push(owner)
    return owner
  }

  /** Counts one more holder among those with the same claim. */
  share(claim: PortClaim): PortOwner {
    for (const owner of this.owners) {
      if (owner.isShared && sameTerms(owner.claim, claim)) {
        owner.count++
        return owner
      }
    }
    return this.add(claim, true)
  }

  remove(owner: PortOwner): void {
    const at = this.owners.indexOf(owner)
    if (at >= 0) this.owners.splice(at, 1)
    if (this.owners.length === 0) this.table.forget(this)
  }
}

const sameTerms = (a: PortClaim, b: PortClaim): boolean =>
  a.reuseAddress === b.reuseAddress &&
  a.reusePort === b.reusePort &&
  a.family === b.family &&
  a.v6only === b.v6only &&
  a.uid === b.uid &&
  a.isTimeWait === b.isTimeWait &&
  a.boundInterface === b.boundInterface &&
  a.local.equals(b.local)

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
  claim.family === socket.family &&
  claim.v6only === socket.v6only &&
  claim.uid === socket.uid &&
  claim.boundInterface === socket.boundInterface &&
  claim.local.equals(local)

/** Must two sockets be bound to different interfaces, and are they? */
const differentInterfaces = (a: PortClaim, b: PortClaim): boolean =>
  a.boundInterface !== null && b.boundInterface !== null && a.boundInterface !== b.boundInterface

/**
 * May `b`, who holds the port, and `a`, who asks for it, not both have it? SO_REUSEADDR lets them if both have set it and
 * `b` does not listen; SO_REUSEPORT if both have set it and belong to one user (Linux's rules for TCP; socket(7)).
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
  private readonly buckets = new Map<number, PortBucket>()
  private readonly conflicts: (a: PortClaim, b: PortClaim) => boolean
  /** The claim made last for a connection: the next is mostly on the same terms. */
  private lastClaim: FixedClaim | null = null

  /** @param conflicts may these two not share a port? */
  constructor(conflicts: (a: PortClaim, b: PortClaim) => boolean) {
    this.conflicts = conflicts
  }

  /** Has anybody this port? */
  has(port: number): boolean {
    return this.buckets.has(port)
  }

  /** May connections have it whose pairs of endpoints are their own: has nobody bound it? */
  mayShare(port: number): boolean {
    return this.buckets.get(port)?.automatic !== false
  }

  /** Is anybody in the way of `claim` having `port`? `self`, who holds it already, is not. */
  isTaken(port: number, claim: PortClaim, self: PortOwner | null = null): boolean {
    const bucket = this.buckets.get(port)
    if (bucket === undefined) return false
    for (const owner of bucket.owners) if (owner !== self && this.conflicts(claim, owner.claim)) return true
    return false
  }

  /** Takes `port` for a socket that binds it; null when somebody is in the way. */
  bind(port: number, claim: PortClaim): PortOwner | null {
    return this.isTaken(port, claim) ? null : this.take(port, claim)
  }

  /** Takes `port` for a socket that asked for any: null when somebody has it for an address in common, on whatever terms. */
  bindAlone(port: number, claim: PortClaim): PortOwner | null {
    const bucket = this.buckets.get(port)
    if (bucket !== undefined) {
      for (const { claim: other } of bucket.owners) {
        if (!differentInterfaces(claim, other) && addressesOverlap(claim, other)) return null
      }
    }
    return this.take(port, claim)
  }

  private take(port: number, claim: PortClaim): PortOwner {
    const bucket = this.obtain(port, false)
    bucket.automatic = false
    return bucket.add(claim)
  }

  /** What a connection of `socket` from `local`, whose port is chosen for it, claims: an object that others may share. */
  claimOfConnection(socket: PortClaim, local: IpAddress): PortClaim {
    const { lastClaim } = this
    if (lastClaim !== null && isOfConnection(lastClaim, socket, local)) return lastClaim
    this.lastClaim = new FixedClaim(socket, local, false)
    return this.lastClaim
  }

  /** Takes `port` for a connection whose pair of endpoints is free; null when a socket is bound to it. */
  share(port: number, claim: PortClaim): PortOwner | null {
    const bucket = this.obtain(port, true)
    return bucket.automatic ? bucket.add(claim) : null
  }

  /** The ports in use. */
  get ports(): number {
    return this.buckets.size
  }

  forget(bucket: PortBucket): void {
    this.buckets.delete(bucket.port)
  }

  private obtain(port: number, automatic: boolean): PortBucket {
    let bucket = this.buckets.get(port)
    if (bucket === undefined) {
      bucket = new PortBucket(this, port, automatic)
      this.buckets.set(port, bucket)
    }
    return bucket
  }
}
