import { AddressMap } from '../ip/address-map.ts'
import type { NetworkInterface } from '../ip/interface.ts'
import { IPV4_MAPPED, type IpAddress } from '../wire/address.ts'
import type { IpHeader } from '../wire/ip.ts'

/** What may claim packets that belong to no connection: a listening TCP socket, an unconnected UDP socket. */
export interface Claimant {
  /** The address it is bound to; 0.0.0.0 or :: for any. */
  readonly local: IpAddress
  readonly localPort: number
  /** 4 or 6: AF_INET or AF_INET6. */
  readonly family: 4 | 6
  /** IPV6_V6ONLY: IPv4 packets are not for it. */
  readonly v6only: boolean
  /** SO_BINDTODEVICE, or the scope of a link-local address; null for any. */
  readonly boundInterface: NetworkInterface | null
  /** SO_REUSEPORT: one of several with equal claims, of one user, is chosen by hash. */
  readonly reusePort: boolean
  readonly uid: number
}

/**
 * Claimants by address and port. A packet goes to the one with the fewest wildcards: bound to its destination address
 * before bound to any, bound to its interface before bound to none, of its own family before dual-stack. Each question
 * takes at most three look-ups, however many claimants there are.
 */
export class ListenerTable<T extends Claimant> {
  /** Claimants in the table. */
  size = 0
  private readonly groups: AddressMap<T[]>

  /** @param seed 32 secret bits */
  constructor(seed: number) {
    this.groups = new AddressMap(seed)
  }

  add(claimant: T): void {
    const { w0, w1, w2, w3 } = claimant.local
    const group = this.groups.get(w0, w1, w2, w3, claimant.localPort)
    if (group === undefined) this.groups.set(w0, w1, w2, w3, claimant.localPort, [claimant])
    else group.push(claimant)
    this.size++
  }

  remove(claimant: T): void {
    const { w0, w1, w2, w3 } = claimant.local
    const group = this.groups.get(w0, w1, w2, w3, claimant.localPort)
    const at = group === undefined ? -1 : group.indexOf(claimant)
    if (at < 0) return
    group!.splice(at, 1)
    this.size--
    if (group!.length === 0) this.groups.delete(w0, w1, w2, w3, claimant.localPort)
  }

  /**
   * Whose a packet to `port` is; null when nobody claims it.
   * @param from the interface that it came through; null when that does not matter
   * @param flow a hash of its endpoints, which chooses among claimants with SO_REUSEPORT
   */
  find(header: IpHeader, port: number, from: NetworkInterface | null, flow: number): T | null {
    const { destination0, destination1, destination2, destination3 } = header
    const exact = this.groups.get(destination0, destination1, destination2, destination3, port)
    if (exact !== undefined) {
      const found = choose(exact, header, from, flow)
      if (found !== null) return found
    }
    if (header.version === 4) {
      const any4 = this.groups.get(0, 0, IPV4_MAPPED, 0, port)
      if (any4 !== undefined) {
        const found = choose(any4, header, from, flow)
        if (found !== null) return found
      }
    }
    const any6 = this.groups.get(0, 0, 0, 0, port)
    return any6 === undefined ? null : choose(any6, header, from, flow)
  }

  /** Every claimant, in no order; a copy. */
  all(): T[] {
    return this.groups.values().flat()
  }
}

/** How well a claimant fits, -1 when it does not. The address has been compared already. */
const score = (claimant: Claimant, header: IpHeader, from: NetworkInterface | null): number => {
  if (header.version === 4 && claimant.family === 6 && claimant.v6only) return -1
  let points = 0
  if (claimant.boundInterface !== null) {
    if (from !== null && claimant.boundInterface !== from) return -1
    points += 2
  }
  if (header.version === 4 && claimant.family === 4) points++
  return points
}

/**
 * The best of a group: of equal ones the last that came, or, if it has SO_REUSEPORT, the one of those which have it too
 * that the flow's hash falls to.
 */
const choose = <T extends Claimant>(
  group: T[],
  header: IpHeader,
  from: NetworkInterface | null,
  flow: number,
): T | null => {
  let best: T | null = null
  let bestScore = -1
  for (let i = 0; i < group.length; i++) {
    const points = score(group[i]!, header, from)
    if (points < 0 || points < bestScore) continue
    bestScore = points
    best = group[i]!
  }
  if (best === null || !best.reusePort) return best
  let equals = 0
  for (let i = 0; i < group.length; i++) if (sharesWith(group[i]!, best, bestScore, header, from)) equals++
  if (equals < 2) return best
  // Spread evenly by the upper bits of the hash (Lemire's reduction).
  let chosen = Math.floor(((flow >>> 0) * equals) / 0x1_0000_0000)
  for (let i = 0; i < group.length; i++) {
    if (sharesWith(group[i]!, best, bestScore, header, from) && chosen-- === 0) return group[i]!
  }
  return best
}

const sharesWith = (
  other: Claimant,
  best: Claimant,
  points: number,
  header: IpHeader,
  from: NetworkInterface | null,
): boolean => other.reusePort && other.uid === best.uid && score(other, header, from) === points
