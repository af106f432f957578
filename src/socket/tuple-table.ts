import type { NetworkInterface } from '../ip/interface.ts'
import type { TupleEntry } from '../tcp/tuple.ts'
import type { IpHeader } from '../wire/ip.ts'

/**
 * Every pair of endpoints in use by TCP, whatever is under it: a connection, a half-open one, TIME_WAIT. A secret seed keeps
 * strangers from choosing who shares a place.
 *
 * What is new lies in front, at the one place that its hash gives it, until something newer wants that: most connections are
 * over by then, and have touched nothing of what lies behind (`Settled`), nor what V8 notes of each new object that an old one
 * refers to.
 */
export class TupleTable {
  /** Entries in the table. */
  size = 0
  private readonly seed: number
  private readonly front: (TupleEntry | null)[] = new Array(FRONT).fill(null)
  private readonly settled = new Settled()

  /** @param seed 32 secret bits */
  constructor(seed: number) {
    this.seed = seed
  }

  /**
   * The hash of the pair of endpoints of a packet, for `find`. What that looks at first, which of a million is in no cache, is on
   * its way into one from now on: between the two there should be work that does not wait for it.
   */
  prepare(header: IpHeader, sourcePort: number, destinationPort: number): number {
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
    this.settled.touch(hash)
    return hash
  }

  /** What the pair of endpoints of a packet leads to; null when nothing is there. */
  find(
    header: IpHeader,
    sourcePort: number,
    destinationPort: number,
    from: NetworkInterface,
    hash = this.prepare(header, sourcePort, destinationPort),
  ): TupleEntry | null {
    const young = this.front[hash & FRONT_MASK]!
    if (young !== null && isFor(young, header, sourcePort, destinationPort, from)) return young
    const { settled } = this
    for (let place = settled.seek(hash); place >= 0; place = settled.seek(hash, place)) {
      const entry = settled.at(hash, place)
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
    const { settled } = this
    for (let place = settled.seek(hash); place >= 0; place = settled.seek(hash, place)) {
      const entry = settled.at(hash, place)
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
    const { settled } = this
    for (let place = settled.seek(hash); place >= 0; place = settled.seek(hash, place)) {
      const entry = settled.at(hash, place)
      if (sameEndpoints(entry, like)) return entry
    }
    return null
  }

  /** Enters a structure. @returns false when its pair of endpoints is taken */
  insert(entry: TupleEntry): boolean {
    const hash = this.hashOf(entry)
    if (this.findHashed(entry, hash) !== null) return false
    const older = this.front[hash & FRONT_MASK]!
    if (older !== null) this.settled.add(older)
    this.front[hash & FRONT_MASK] = entry
    entry.hash = hash
    entry.inTable = true
    this.size++
    return true
  }

  remove(entry: TupleEntry): void {
    if (!entry.inTable) return
    const { hash } = entry
    if (this.front[hash & FRONT_MASK] === entry) this.front[hash & FRONT_MASK] = null
    else this.settled.remove(entry)
    entry.inTable = false
    this.size--
  }

  /** Puts `by` in the place of `entry`, which has the same pair of endpoints. */
  replace(entry: TupleEntry, by: TupleEntry): void {
    const { hash } = entry
    if (this.front[hash & FRONT_MASK] === entry) this.front[hash & FRONT_MASK] = by
    else this.settled.replace(entry, by)
    by.hash = hash
    entry.inTable = false
    by.inTable = true
  }

  /** Every entry, in no order. A copy: the table may change meanwhile. */
  entries(): TupleEntry[] {
    return [...this.front.filter((entry) => entry !== null), ...this.settled.all()]
  }

  private hashOf(entry: TupleEntry): number {
    const { local, remote } = entry
    const ports = (entry.localPort << 16) | entry.remotePort
    return this.hash(local.w0, local.w1, local.w2, local.w3, remote.w0, remote.w1, remote.w2, remote.w3, ports)
  }

  /**
   * Mixes nine words and the seed. Pairs that differ in the last bits of a port, as those of connections that one host opens one
   * after the other, differ in the bits that say which chunk: they lie side by side, and what one has brought into the processor's
   * caches serves the next ones.
   */
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
    h = mix(h, ports & ~NEIGHBOURS)
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
    h ^= h >>> 13
    const last = ports & NEIGHBOURS
    return h ^ ((last ^ (last >>> 16)) & 7) ^ ((last & 7) << TAG_SHIFT)
  }
}

/** The bits of the two ports by which pairs are neighbours. */
const NEIGHBOURS = 0x0007_0007

/** Places in front, a power of two: for what is over within a millisecond or two, pairs in a short TIME_WAIT too. */
const FRONT = 512
const FRONT_MASK = FRONT - 1

/** How many parts there are, a power of two, and where in the hash their number and the tag lie. */
const PARTS = 64
const PART_SHIFT = 26
const TAG_SHIFT = 18
/** Of the sixteen places of a chunk fifteen are used, and nine at the most on the average of a part: neighbours fill chunks alike. */
const PLACE_BITS = 4
const PLACES = 1 << PLACE_BITS
const MOST_TAKEN = 9
/** Words of tags in a chunk, and the bit for each of its places in what `matches` gives. */
const WORDS = 4
const ALL_PLACES = 0x070f_0f0f
/** A count that is not taken down any more: nobody knows how many there were. */
const UNCOUNTED = 0xff

/**
 * A hash table in parts, by the upper bits of the hash, each of which grows by itself: no packet waits for all to be moved.
 * A part has chunks, a power of two of them, of fifteen places, where an entry lies anywhere in the chunk that its hash says, or
 * in the first behind it that has room. Of each place there is a tag, eight bits of the hash; 0 stands for an empty one. The tags
 * of a chunk are four words, whose last byte counts the entries that have gone on to the next.
 *
 * Most of what is looked up here is not there: SYNs. Of a million pairs of endpoints hardly anything is in the processor's caches,
 * so that in front of the tags there is a word for each chunk, with a bit for each tag that something in it may have: half a
 * megabyte, which stays in the last of the caches at least. Each of the two is one array for all parts, found without another.
 */
class Settled {
  /** The chunks of each part begin `stride` chunks behind those of the one before; it has `masks` of them, and one. */
  private tags = new Int32Array(PARTS * WORDS)
  private filter = new Int32Array(PARTS)
  private readonly touched = new Int32Array(1)
  private stride = 1
  private readonly masks = new Int32Array(PARTS)
  private readonly sizes = new Int32Array(PARTS)
  private readonly entries: ((TupleEntry | null)[] | null)[] = new Array(PARTS).fill(null)

  /**
   * Where in its part an entry may be that has `hash`; -1 when nothing has it.
   * @param after the place found before; -1 for none
   */
  seek(hash: number, after = -1): number {
    const part = hash >>> PART_SHIFT
    const mask = this.masks[part]!
    const home = hash & mask
    const tag = tagOf(hash)
    if ((this.filter[part * this.stride + home]! & (1 << tag)) === 0) return -1
    const { tags } = this
    let chunk = home
    let wanted = ALL_PLACES
    if (after >= 0) {
      chunk = after >>> PLACE_BITS
      wanted &= ~((bitOf(after & (PLACES - 1)) << 1) - 1)
    }
    for (;;) {
      const at = (part * this.stride + chunk) * WORDS
      const found = matches(tags, at, tag) & wanted
      if (found !== 0) return (chunk << PLACE_BITS) | firstPlace(found)
      if (tags[at + 3]! >>> 24 === 0) return -1
      chunk = (chunk + 1) & mask
      if (chunk === home) return -1
      wanted = ALL_PLACES
    }
  }

  /** Has the processor fetch what `seek` looks at first: a word that is copied, and that nothing waits for. */
  touch(hash: number): void {
    const part = hash >>> PART_SHIFT
    this.touched[0] = this.filter[part * this.stride + (hash & this.masks[part]!)]!
  }

  /** What lies at a place that `seek` has given for `hash`. */
  at(hash: number, place: number): TupleEntry {
    return this.entries[hash >>> PART_SHIFT]![place]!
  }

  add(entry: TupleEntry): void {
    const part = entry.hash >>> PART_SHIFT
    this.entries[part] ??= new Array(PLACES).fill(null)
    if (++this.sizes[part]! > (this.masks[part]! + 1) * MOST_TAKEN) this.grow(part)
    this.put(entry)
  }

  /** Puts `by`, whose hash is the same, where `entry` is. */
  replace(entry: TupleEntry, by: TupleEntry): void {
    this.entries[entry.hash >>> PART_SHIFT]![this.placeOf(entry)] = by
  }

  remove(entry: TupleEntry): void {
    const { tags } = this
    const { hash } = entry
    const part = hash >>> PART_SHIFT
    const mask = this.masks[part]!
    const first = part * this.stride
    const place = this.placeOf(entry)
    const chunk = place >>> PLACE_BITS
    this.entries[part]![place] = null
    this.sizes[part]!--
    tags[(first + chunk) * WORDS + (place & 3)]! &= ~(0xff << ((place & 12) << 1))
    for (let passed = hash & mask; passed !== chunk; passed = (passed + 1) & mask) {
      const at = (first + passed) * WORDS + 3
      if (tags[at]! >>> 24 !== UNCOUNTED) tags[at]! -= 1 << 24
    }
    const home = first + (hash & mask)
    if (!isAnyLike(tags, home * WORDS, tagOf(hash))) this.filter[home]! &= ~(1 << tagOf(hash))
  }

  /** Every entry, in no order. */
  all(): TupleEntry[] {
    return this.entries.flatMap((part) => part?.filter((entry) => entry !== null) ?? [])
  }

  private placeOf(entry: TupleEntry): number {
    const { hash } = entry
    let place = this.seek(hash)
    while (this.at(hash, place) !== entry) place = this.seek(hash, place)
    return place
  }

  private put(entry: TupleEntry): void {
    const { tags } = this
    const { hash } = entry
    const part = hash >>> PART_SHIFT
    const mask = this.masks[part]!
    this.filter[part * this.stride + (hash & mask)]! |= 1 << tagOf(hash)
    for (let chunk = hash & mask; ; chunk = (chunk + 1) & mask) {
      const at = (part * this.stride + chunk) * WORDS
      const free = matches(tags, at, 0) & ALL_PLACES
      if (free !== 0) {
        const place = firstPlace(free)
        tags[at + (place & 3)]! |= tagOf(hash) << ((place & 12) << 1)
        this.entries[part]![(chunk << PLACE_BITS) | place] = entry
        return
      }
      if (tags[at + 3]! >>> 24 !== UNCOUNTED) tags[at + 3]! += 1 << 24
    }
  }

  /** Gives a part twice as many chunks. */
  private grow(part: number): void {
    const chunks = (this.masks[part]! + 1) * 2
    if (chunks > this.stride) this.widen()
    const entries = this.entries[part]!
    const first = part * this.stride
    this.tags.fill(0, first * WORDS, (first + chunks) * WORDS)
    this.filter.fill(0, first, first + chunks)
    this.masks[part] = chunks - 1
    this.entries[part] = new Array(chunks * PLACES).fill(null)
    for (const entry of entries) if (entry !== null) this.put(entry)
  }

  /** Makes room for twice as many chunks in each part. */
  private widen(): void {
    const { stride } = this
    this.tags = spread(this.tags, stride * WORDS)
    this.filter = spread(this.filter, stride)
    this.stride = stride * 2
  }
}

/** An array twice as large, in which each run of `length` has room for another behind it. */
const spread = (from: Int32Array, length: number): Int32Array<ArrayBuffer> => {
  const wider = new Int32Array(from.length * 2)
  for (let at = 0; at < from.length; at += length) wider.set(from.subarray(at, at + length), at * 2)
  return wider
}

/** May a chunk have, or have passed on, what has the same bit of the filter as `tag`? */
const isAnyLike = (tags: Int32Array, at: number, tag: number): boolean => {
  if (tags[at + 3]! >>> 24 !== 0) return true
  const pattern = Math.imul(tag & 0x1f, 0x0101_0101)
  let found = 0
  for (let i = at; i < at + WORDS; i++) found |= zeros((tags[i]! ^ pattern) & 0x1f1f_1f1f) & ~zeros(tags[i]!)
  return found !== 0
}

/** Bits of a hash, from 2 to 255: less than what stands for nothing, and so that `matches` takes no empty place for a match. */
const tagOf = (hash: number): number => {
  const tag = (hash >>> TAG_SHIFT) & 0xff
  return tag < 2 ? tag + 2 : tag
}

/**
 * Which bytes of four words are `tag`: bit 0 to 3 for the lowest of the four, 8 to 11 for the next ones, and so on. One that comes
 * after a match and differs in the lowest bit alone may count as well.
 */
const matches = (tags: Int32Array, at: number, tag: number): number => {
  const pattern = Math.imul(tag, 0x0101_0101)
  return (
    (zeros(tags[at]! ^ pattern) >>> 7) |
    (zeros(tags[at + 1]! ^ pattern) >>> 6) |
    (zeros(tags[at + 2]! ^ pattern) >>> 5) |
    (zeros(tags[at + 3]! ^ pattern) >>> 4)
  )
}

/** The upper bit of each byte that is 0; perhaps of one that is 1, behind such. */
const zeros = (word: number): number => (word - 0x0101_0101) & ~word & 0x8080_8080

/** The place of the lowest bit of what `matches` gives: the number of the word, and four times that of the byte. And its bit. */
const firstPlace = (found: number): number => {
  const bit = 31 - Math.clz32(found & -found)
  return ((bit >>> 1) & 12) | (bit & 3)
}
const bitOf = (place: number): number => 1 << (((place & 12) << 1) | (place & 3))

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
