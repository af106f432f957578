import type { NetworkInterface } from '../ip/interface.ts'
import type { TupleEntry } from '../tcp/tuple.ts'
import type { IpHeader } from '../wire/ip.ts'

/**
 * Every pair of endpoints in use by TCP, whatever is under it: a connection, a half-open one, TIME_WAIT. A hash table
 * with open addressing, whose marks lie apart from the entries, so that a look-up touches no entry but the one that it
 * finds: among a million of them hardly any is in the processor's caches. It is in parts by the upper bits of the hash,
 * each of which grows by itself: no packet waits for all to be moved. A secret seed keeps strangers from choosing who
 * shares a place.
 *
 * What is new lies in front of all that, at the one place that its hash gives it, until something newer wants that: most
 * connections are over by then, and have touched no part, nor what V8 notes of each new object that an old one refers to.
 */
export class TupleTable {
  /** Entries in the table. */
  size = 0
  private readonly seed: number
  private readonly front: (TupleEntry | null)[] = new Array(FRONT).fill(null)
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
    const young = this.front[hash & FRONT_MASK]!
    if (young !== null && isFor(young, header, sourcePort, destinationPort, from)) return young
    const part = this.parts[hash >>> PART_SHIFT]!
    if (part === null) return null
    for (let distance = part.seek(hash); distance >= 0; distance = part.seek(hash, distance + 1)) {
      const entry = part.at(hash, distance)
      if (isFor(entry, header, sourcePort, destinationPort, from)) return entry
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
    const young = this.front[hash & FRONT_MASK]!
    if (young !== null && hasSent(young, quoted, sourcePort, destinationPort)) return young
    const part = this.parts[hash >>> PART_SHIFT]!
    if (part === null) return null
    for (let distance = part.seek(hash); distance >= 0; distance = part.seek(hash, distance + 1)) {
      const entry = part.at(hash, distance)
      if (hasSent(entry, quoted, sourcePort, destinationPort)) return entry
    }
    return null
  }

  /** What lies under the same pair of endpoints as `like`; null when nothing does. */
  findLike(like: TupleEntry): TupleEntry | null {
    return this.findHashed(like, this.hashOf(like))
  }

  private findHashed(like: TupleEntry, hash: number): TupleEntry | null {
    const young = this.front[hash & FRONT_MASK]!
    if (young !== null && sameEndpoints(young, like)) return young
    const part = this.parts[hash >>> PART_SHIFT]!
    if (part === null) return null
    for (let distance = part.seek(hash); distance >= 0; distance = part.seek(hash, distance + 1)) {
      const entry = part.at(hash, distance)
      if (sameEndpoints(entry, like)) return entry
    }
    return null
  }

  /** Enters a structure. @returns false when its pair of endpoints is taken */
  insert(entry: TupleEntry): boolean {
    const hash = this.hashOf(entry)
    if (this.findHashed(entry, hash) !== null) return false
    const older = this.front[hash & FRONT_MASK]!
    if (older !== null) this.settle(older)
    this.front[hash & FRONT_MASK] = entry
    entry.hash = hash
    entry.inTable = true
    this.size++
    return true
  }

  /** Enters what lay in front into its part. */
  private settle(entry: TupleEntry): void {
    const { hash } = entry
    let part = this.parts[hash >>> PART_SHIFT]!
    if (part === null) {
      part = new Part()
      this.parts[hash >>> PART_SHIFT] = part
    }
    part.add(entry)
  }

  remove(entry: TupleEntry): void {
    if (!entry.inTable) return
    const { hash } = entry
    if (this.front[hash & FRONT_MASK] === entry) this.front[hash & FRONT_MASK] = null
    else this.parts[hash >>> PART_SHIFT]!.remove(entry)
    entry.inTable = false
    this.size--
  }

  /** Puts `by` in the place of `entry`, which has the same pair of endpoints. */
  replace(entry: TupleEntry, by: TupleEntry): void {
    const { hash } = entry
    if (this.front[hash & FRONT_MASK] === entry) this.front[hash & FRONT_MASK] = by
    else this.parts[hash >>> PART_SHIFT]!.replace(entry, by)
    by.hash = hash
    entry.inTable = false
    by.inTable = true
  }

  /** Every entry, in no order. A copy: the table may change meanwhile. */
  entries(): TupleEntry[] {
    const all = this.front.filter((entry) => entry !== null)
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
    return h ^ (h >>> 13)
  }
}

/** How many parts there are, a power of two, and where in the hash their number lies: below it the bits of a mark. */
const PARTS = 64
const PART_SHIFT = 26
const MARK_SHIFT = 10
const MARK_MASK = 0xfff0
const FIRST_PLACES = 8
/** Places in front, a power of two. */
const FRONT = 128
const FRONT_MASK = FRONT - 1

/** What a mark says of the hash, and how far from its own place an entry lies: from `FAR` on, the hash itself is asked. */
const DISTANCE_BITS = 4
const FAR = (1 << DISTANCE_BITS) - 1

/**
 * A part: places, a power of two of them, of which at most two thirds are taken. An entry lies at its hash or behind it.
 * Beside each lies a mark of 16 bits, 12 of the hash, which its place says nothing of, and its distance: two bytes in
 * the processor's caches where an entry is none. 0 stands for an empty place.
 */
class Part {
  entries: (TupleEntry | null)[] = new Array(FIRST_PLACES).fill(null)
  private marks = new Uint16Array(FIRST_PLACES)
  private size = 0

  /** How far behind its own place what has `hash` may lie, from `distance` on; -1 when nothing there has it. */
  seek(hash: number, distance = 0): number {
    const { marks } = this
    const mask = marks.length - 1
    const mark = markOf(hash)
    for (let there = marks[(hash + distance) & mask]!; there !== 0; there = marks[(hash + ++distance) & mask]!) {
      if (there === (mark | Math.min(distance, FAR))) return distance
    }
    return -1
  }

  /** What lies so far behind the place of `hash`. */
  at(hash: number, distance: number): TupleEntry {
    return this.entries[(hash + distance) & (this.entries.length - 1)]!
  }

  add(entry: TupleEntry): void {
    if (++this.size * 3 > this.marks.length * 2) this.grow()
    this.put(entry)
  }

  /** Puts `by` where `entry` is. */
  replace(entry: TupleEntry, by: TupleEntry): void {
    this.entries[this.placeOf(entry)] = by
  }

  /** Takes an entry out; those behind it that are not at their own place move up. */
  remove(entry: TupleEntry): void {
    const { entries, marks } = this
    const mask = marks.length - 1
    let hole = this.placeOf(entry)
    for (let at = (hole + 1) & mask; marks[at] !== 0; at = (at + 1) & mask) {
      const near = marks[at]! & FAR
      const distance = near < FAR ? near : (at - entries[at]!.hash) & mask
      const moved = distance - ((at - hole) & mask)
      if (moved < 0) continue
      marks[hole] = (marks[at]! & ~FAR) | Math.min(moved, FAR)
      entries[hole] = entries[at]!
      hole = at
    }
    marks[hole] = 0
    entries[hole] = null
    this.size--
  }

  private placeOf(entry: TupleEntry): number {
    const { hash } = entry
    let distance = this.seek(hash)
    while (this.at(hash, distance) !== entry) distance = this.seek(hash, distance + 1)
    return (hash + distance) & (this.entries.length - 1)
  }

  private put(entry: TupleEntry): void {
    const { marks } = this
    const mask = marks.length - 1
    const { hash } = entry
    let distance = 0
    while (marks[(hash + distance) & mask] !== 0) distance++
    const at = (hash + distance) & mask
    marks[at] = markOf(hash) | Math.min(distance, FAR)
    this.entries[at] = entry
  }

  private grow(): void {
    const { entries } = this
    this.marks = new Uint16Array(entries.length * 2)
    this.entries = new Array(entries.length * 2).fill(null)
    for (const entry of entries) if (entry !== null) this.put(entry)
  }
}

/** The bits of a hash below those of the part, never all of them 0: the lowest ones its place tells already. */
const markOf = (hash: number): number => (hash >>> MARK_SHIFT) & MARK_MASK || 1 << DISTANCE_BITS

const mix = (h: number, word: number): number => {
  let k = Math.imul(word, 0xcc9e_2d51)
  k = (k << 15) | (k >>> 17)
  const x = h ^ Math.imul(k, 0x1b87_3593)
  return (Math.imul((x << 13) | (x >>> 19), 5) + 0xe654_6b64) | 0
}

/** Is a packet that has come through `from` for this one? */
const isFor = (
  entry: TupleEntry,
  header: IpHeader,
  sourcePort: number,
  destinationPort: number,
  from: NetworkInterface,
): boolean =>
  entry.remotePort === sourcePort &&
  entry.localPort === destinationPort &&
  header.sourceIs(entry.remote) &&
  header.destinationIs(entry.local) &&
  (entry.scope === null || entry.scope === from)

/** Has this one sent the packet that an ICMP error quotes? */
const hasSent = (entry: TupleEntry, quoted: IpHeader, sourcePort: number, destinationPort: number): boolean =>
  entry.localPort === sourcePort &&
  entry.remotePort === destinationPort &&
  quoted.sourceIs(entry.local) &&
  quoted.destinationIs(entry.remote)

const sameEndpoints = (a: TupleEntry, b: TupleEntry): boolean =>
  a.remotePort === b.remotePort &&
  a.localPort === b.localPort &&
  a.remote.equals(b.remote) &&
  a.local.equals(b.local) &&
  a.scope === b.scope
