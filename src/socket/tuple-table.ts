import type { NetworkInterface } from '../ip/interface.ts'
import type { TupleEntry } from '../tcp/tuple.ts'
import type { IpHeader } from '../wire/ip.ts'

/**
 * Every pair of endpoints in use by TCP, whatever is under it: a connection, a half-open one, TIME_WAIT. A hash table
 * with chains through the entries themselves, so that entering one allocates nothing, and with a secret seed, so that
 * strangers cannot choose who shares a chain.
 */
export class TupleTable {
  /** Entries in the table. */
  size = 0
  private readonly seed: number
  private buckets: (TupleEntry | null)[] = new Array(FIRST_BUCKETS).fill(null)

  /** @param seed 32 secret bits */
  constructor(seed: number) {
    this.seed = seed
  }

  /** What the pair of endpoints of a packet leads to; null when nothing is there. */
  find(header: IpHeader, sourcePort: number, destinationPort: number, from: NetworkInterface): TupleEntry | null {
    const hash = this.hash(
      header.destination0,
      header.destination1,
      header.destination2,
      header.destination3,
      header.source0,
      header.source1,
      header.source2,
      header.source3,
      (destinationPort << 16) | sourcePort,
    )
    let entry = this.buckets[hash & (this.buckets.length - 1)]!
    for (; entry !== null; entry = entry.nextInBucket!) {
      if (
        entry.hash === hash &&
        entry.remotePort === sourcePort &&
        entry.localPort === destinationPort &&
        header.sourceIs(entry.remote) &&
        header.destinationIs(entry.local) &&
        (entry.scope === null || entry.scope === from)
      ) {
        return entry
      }
    }
    return null
  }

  /** What sent the packet that an ICMP error quotes; null when nothing here did. */
  findQuoted(quoted: IpHeader, sourcePort: number, destinationPort: number): TupleEntry | null {
    const hash = this.hash(
      quoted.source0,
      quoted.source1,
      quoted.source2,
      quoted.source3,
      quoted.destination0,
      quoted.destination1,
      quoted.destination2,
      quoted.destination3,
      (sourcePort << 16) | destinationPort,
    )
    let entry = this.buckets[hash & (this.buckets.length - 1)]!
    for (; entry !== null; entry = entry.nextInBucket!) {
      if (
        entry.hash === hash &&
        entry.localPort === sourcePort &&
        entry.remotePort === destinationPort &&
        quoted.sourceIs(entry.local) &&
        quoted.destinationIs(entry.remote)
      ) {
        return entry
      }
    }
    return null
  }

  /** What lies under the same pair of endpoints as `like`; null when nothing does. */
  findLike(like: TupleEntry): TupleEntry | null {
    return this.findHashed(like, this.hashOf(like))
  }

  private findHashed(like: TupleEntry, hash: number): TupleEntry | null {
    let entry = this.buckets[hash & (this.buckets.length - 1)]!
    for (; entry !== null; entry = entry.nextInBucket!) {
      if (entry.hash === hash && sameEndpoints(entry, like)) return entry
    }
    return null
  }

  /** Enters a structure. @returns false when its pair of endpoints is taken */
  insert(entry: TupleEntry): boolean {
    const hash = this.hashOf(entry)
    if (this.findHashed(entry, hash) !== null) return false
    entry.hash = hash
    this.put(entry)
    return true
  }

  remove(entry: TupleEntry): void {
    if (!entry.inTable) return
    const at = entry.hash & (this.buckets.length - 1)
    let previous: TupleEntry | null = null
    for (let other = this.buckets[at]!; other !== entry; other = other.nextInBucket!) previous = other
    if (previous === null) this.buckets[at] = entry.nextInBucket
    else previous.nextInBucket = entry.nextInBucket
    entry.nextInBucket = null
    entry.inTable = false
    this.size--
  }

  /** Puts `by` in the place of `entry`, which has the same pair of endpoints. */
  replace(entry: TupleEntry, by: TupleEntry): void {
    this.remove(entry)
    by.hash = entry.hash
    this.put(by)
  }

  /** Every entry, in no order. A copy: the table may change meanwhile. */
  entries(): TupleEntry[] {
    const all: TupleEntry[] = []
    for (const first of this.buckets)
      for (let entry = first; entry !== null; entry = entry.nextInBucket) all.push(entry)
    return all
  }

  private put(entry: TupleEntry): void {
    if (this.size >= this.buckets.length) this.grow()
    const at = entry.hash & (this.buckets.length - 1)
    entry.nextInBucket = this.buckets[at]!
    this.buckets[at] = entry
    entry.inTable = true
    this.size++
  }

  private grow(): void {
    const all = this.entries()
    this.buckets = new Array(this.buckets.length * 2).fill(null)
    for (const entry of all) {
      const at = entry.hash & (this.buckets.length - 1)
      entry.nextInBucket = this.buckets[at]!
      this.buckets[at] = entry
    }
  }

  private hashOf(entry: TupleEntry): number {
    const { local, remote } = entry
    const ports = (entry.localPort << 16) | entry.remotePort
    return this.hash(local.w0, local.w1, local.w2, local.w3, remote.w0, remote.w1, remote.w2, remote.w3, ports)
  }

  /** Mixes nine words and the seed. */
  private hash(
    l0: number,
    l1: number,
    l2: number,
    l3: number,
    r0: number,
    r1: number,
    r2: number,
    r3: number,
    ports: number,
  ): number {
    let h = mix(this.seed, l3)
    h = mix(h, r3)
    h = mix(h, ports)
    // The high words of IPv4 addresses are all alike.
    if (r0 !== 0 || l0 !== 0) {
      h = mix(h, l0)
      h = mix(h, l1)
      h = mix(h, l2)
      h = mix(h, r0)
      h = mix(h, r1)
      h = mix(h, r2)
    }
    h ^= h >>> 16
    h = Math.imul(h, 0x85eb_ca6b)
    return h ^ (h >>> 13)
  }
}

const FIRST_BUCKETS = 64

const mix = (h: number, word: number): number => {
  let k = Math.imul(word, 0xcc9e_2d51)
  k = (k << 15) | (k >>> 17)
  const x = h ^ Math.imul(k, 0x1b87_3593)
  return (Math.imul((x << 13) | (x >>> 19), 5) + 0xe654_6b64) | 0
}

const sameEndpoints = (a: TupleEntry, b: TupleEntry): boolean =>
  a.remotePort === b.remotePort &&
  a.localPort === b.localPort &&
  a.remote.equals(b.remote) &&
  a.local.equals(b.local) &&
  a.scope === b.scope
