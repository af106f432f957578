import type { NetworkInterface } from '../ip/interface.ts'
import type { TupleEntry } from '../tcp/tuple.ts'
import type { IpHeader } from '../wire/ip.ts'

/**
 * Every pair of endpoints in use by TCP, whatever is under it: a connection, a half-open one, TIME_WAIT. A hash table
 * with open addressing, whose hashes lie apart from the entries, so that a look-up touches no entry but the one that it
 * finds: among a million of them hardly any is in the processor's caches. It is in parts by the upper bits of the hash,
 * each of which grows by itself: no packet waits for all to be moved. A secret seed keeps strangers from choosing who
 * shares a place.
 */
export class TupleTable {
  /** Entries in the table. */
  size = 0
  private readonly seed: number
  private readonly parts: (Part | null)[] = new Array(PARTS).fill(null)

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
    const part = this.parts[hash >>> PART_SHIFT]!
    if (part === null) return null
    for (let at = part.seek(hash, hash); at >= 0; at = part.seek(hash, at + 1)) {
      const entry = part.entries[at]!
      if (
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
    const part = this.parts[hash >>> PART_SHIFT]!
    if (part === null) return null
    for (let at = part.seek(hash, hash); at >= 0; at = part.seek(hash, at + 1)) {
      const entry = part.entries[at]!
      if (
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
    const part = this.parts[hash >>> PART_SHIFT]!
    if (part === null) return null
    for (let at = part.seek(hash, hash); at >= 0; at = part.seek(hash, at + 1)) {
      const entry = part.entries[at]!
      if (sameEndpoints(entry, like)) return entry
    }
    return null
  }

  /** Enters a structure. @returns false when its pair of endpoints is taken */
  insert(entry: TupleEntry): boolean {
    const hash = this.hashOf(entry)
    if (this.findHashed(entry, hash) !== null) return false
    let part = this.parts[hash >>> PART_SHIFT]!
    if (part === null) {
      part = new Part()
      this.parts[hash >>> PART_SHIFT] = part
    }
    part.add(entry, hash)
    entry.hash = hash
    entry.inTable = true
    this.size++
    return true
  }

  remove(entry: TupleEntry): void {
    if (!entry.inTable) return
    this.parts[entry.hash >>> PART_SHIFT]!.remove(entry)
    entry.inTable = false
    this.size--
  }

  /** Puts `by` in the place of `entry`, which has the same pair of endpoints. */
  replace(entry: TupleEntry, by: TupleEntry): void {
    const part = this.parts[entry.hash >>> PART_SHIFT]!
    part.entries[part.placeOf(entry)] = by
    by.hash = entry.hash
    entry.inTable = false
    by.inTable = true
  }

  /** Every entry, in no order. A copy: the table may change meanwhile. */
  entries(): TupleEntry[] {
    const all: TupleEntry[] = []
    for (const part of this.parts) {
      if (part !== null) for (const entry of part.entries) if (entry !== null) all.push(entry)
    }
    return all
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
    // 0 stands for an empty place.
    return h ^ (h >>> 13) || 1
  }
}

/** How many parts there are, a power of two, and where in the hash their number lies. */
const PARTS = 64
const PART_SHIFT = 26
const FIRST_PLACES = 8

/** A part: places, a power of two of them, of which at most two thirds are taken. An entry lies at its hash or behind it. */
class Part {
  entries: (TupleEntry | null)[] = new Array(FIRST_PLACES).fill(null)
  private hashes = new Int32Array(FIRST_PLACES)
  private size = 0

  /** The next place with `hash`, from `from` on; -1 when there is none. */
  seek(hash: number, from: number): number {
    const { hashes } = this
    const mask = hashes.length - 1
    for (let at = from & mask; ; at = (at + 1) & mask) {
      const there = hashes[at]!
      if (there === hash) return at
      if (there === 0) return -1
    }
  }

  /** Where an entry is that is here. */
  placeOf(entry: TupleEntry): number {
    let at = this.seek(entry.hash, entry.hash)
    while (this.entries[at] !== entry) at = this.seek(entry.hash, at + 1)
    return at
  }

  add(entry: TupleEntry, hash: number): void {
    if (++this.size * 3 > this.hashes.length * 2) this.grow()
    this.put(entry, hash)
  }

  /** Takes an entry out; those behind it that are not at their own place move up. */
  remove(entry: TupleEntry): void {
    const { entries, hashes } = this
    const mask = hashes.length - 1
    let hole = this.placeOf(entry)
    for (let at = (hole + 1) & mask; hashes[at] !== 0; at = (at + 1) & mask) {
      if (((at - hashes[at]!) & mask) < ((at - hole) & mask)) continue
      hashes[hole] = hashes[at]!
      entries[hole] = entries[at]!
      hole = at
    }
    hashes[hole] = 0
    entries[hole] = null
    this.size--
  }

  private put(entry: TupleEntry, hash: number): void {
    const { hashes } = this
    const mask = hashes.length - 1
    let at = hash & mask
    while (hashes[at] !== 0) at = (at + 1) & mask
    hashes[at] = hash
    this.entries[at] = entry
  }

  private grow(): void {
    const { entries, hashes } = this
    this.hashes = new Int32Array(hashes.length * 2)
    this.entries = new Array(hashes.length * 2).fill(null)
    for (let i = 0; i < hashes.length; i++) if (hashes[i] !== 0) this.put(entries[i]!, hashes[i]!)
  }
}

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
