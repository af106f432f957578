import { AddressMap } from './address-map.ts'
import type { IpStack } from './stack.ts'

/** What one host may still be sent. */
class Peer {
  /** Microseconds' worth of credit, and when it was last counted. */
  credit = 0
  countedAt = 0
}

/** Errors that a host that was quiet may be sent at once. */
const BURST = 6
/** Hosts that are remembered; when there are more, all are forgotten. */
const MOST_PEERS = 4096

/**
 * How many ICMP errors may be sent: to each host one every `icmp_ratelimit` with bursts of six, and in all
 * `icmp_msgs_per_sec` with bursts of `icmp_msgs_burst`, the last blurred by chance so that nobody can measure it
 * from outside (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f)).
 */
export class IcmpRateLimiter {
  private readonly stack: IpStack
  private readonly peers: AddressMap<Peer>
  private globalCredit = 0
  private globalAt = Number.NEGATIVE_INFINITY

  constructor(stack: IpStack, seed: number) {
    this.stack = stack
    this.peers = new AddressMap(seed)
  }

  /** May another error be sent in all? Takes it from the credit if so. */
  allowGlobal(): boolean {
    const { settings, world, random } = this.stack
    const { now } = world.loop
    if (this.globalCredit < 1 && now - this.globalAt < 20_000) return false
    const elapsed = Math.min(now - this.globalAt, 1e6)
    const gained = Math.floor((elapsed * settings.icmp_msgs_per_sec) / 1e6)
    if (gained > 0 && elapsed >= 20_000) {
      this.globalCredit = Math.min(this.globalCredit + gained, settings.icmp_msgs_burst)
      this.globalAt = now
    }
    if (this.globalCredit < 1) return false
    // One on the average.
    this.globalCredit = Math.max(0, this.globalCredit - random.below(3))
    return true
  }

  /**
   * May another error be sent to the host with these four words of address?
   * @param interval time for which one error counts, microseconds
   */
  allowPeer(w0: number, w1: number, w2: number, w3: number, interval: number): boolean {
    if (interval <= 0) return true
    const { now } = this.stack.world.loop
    let peer = this.peers.get(w0, w1, w2, w3, 0)
    if (peer === undefined) {
      if (this.peers.size >= MOST_PEERS) this.peers.clear()
      peer = new Peer()
      peer.credit = BURST * interval
      peer.countedAt = now
      this.peers.set(w0, w1, w2, w3, 0, peer)
    }
    peer.credit = Math.min(peer.credit + now - peer.countedAt, BURST * interval)
    peer.countedAt = now
    if (peer.credit < interval) return false
    peer.credit -= interval
    return true
  }
}
