import type { Micros } from '../core/clock.ts'
import type { MacAddress } from '../wire/address.ts'

/**
 * Which port of a switch each MAC address was last seen at: a hash table with linear probing over typed arrays, never
 * more than half full. A look-up takes an address as the two halves in which a frame holds it and makes no object.
 */
export class MacTable {
  /** Entries, those among them that have aged and were not met since. */
  size = 0
  /** Addresses that were not learned because the table was full. */
  overflows = 0
  /** Entries may be this old, microseconds. */
  ageing: Micros
  /** The most entries. */
  readonly limit: number
  private readonly mask: number
  private readonly key: number
  /** The address's upper 16 and lower 32 bits. */
  private readonly high: Int32Array
  private readonly low: Int32Array
  /** The port's number plus one; 0 marks a free place. */
  private readonly port: Int32Array
  private readonly seen: Float64Array
  /** Before this time a full table is not searched for aged entries again. */
  private nextSweep: Micros = 0

  /** @param key any 32 bits that strangers do not know, so that they cannot make addresses collide */
  constructor(limit: number, ageing: Micros, key: number) {
    this.limit = limit
    this.ageing = ageing
    this.key = key
    const places = 2 ** Math.ceil(Math.log2(limit * 2))
    this.mask = places - 1
    this.high = new Int32Array(places)
    this.low = new Int32Array(places)
    this.port = new Int32Array(places)
    this.seen = new Float64Array(places)
  }

  /** The port of an address, given as its upper 16 and lower 32 bits; -1 when it is not known or has aged. */
  find(high: number, low: number, now: Micros): number {
    const at = this.locate(high, low)
    if (this.port[at] === 0 || now - this.seen[at]! > this.ageing) return -1
    return this.port[at]! - 1
  }

  /** Notes that an address was seen at `port` now. */
  learn(high: number, low: number, port: number, now: Micros): void {
    let at = this.locate(high, low)
    if (this.port[at] === 0) {
      if (this.size >= this.limit) {
        if (now >= this.nextSweep) {
          this.nextSweep = now + SWEEP_INTERVAL
          this.removeAged(now)
        }
        if (this.size >= this.limit) {
          this.overflows++
          return
        }
        at = this.locate(high, low)
      }
      this.size++
      this.high[at] = high
      this.low[at] = low
    }
    this.port[at] = port + 1
    this.seen[at] = now
  }

  /** Forgets every address of `port`. */
  removePort(port: number): void {
    for (let at = 0; at <= this.mask; at++) while (this.port[at] === port + 1) this.removeAt(at)
  }

  /** Forgets every address that has aged. */
  removeAged(now: Micros): void {
    for (let at = 0; at <= this.mask; at++) {
      while (this.port[at] !== 0 && now - this.seen[at]! > this.ageing) this.removeAt(at)
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.port.fill(0)
    this.size = 0
  }

  /** Calls `entry` for each address that has not aged, in no order. */
  forEach(now: Micros, entry: (mac: MacAddress, port: number, age: Micros) => void): void {
    for (let at = 0; at <= this.mask; at++) {
      const age = now - this.seen[at]!
      if (this.port[at] === 0 || age > this.ageing) continue
      entry(this.high[at]! * 0x1_0000_0000 + (this.low[at]! >>> 0), this.port[at]! - 1, age)
    }
  }

  private hash(high: number, low: number): number {
    let h = Math.imul(low ^ this.key, 0x9e37_79b1)
    h = Math.imul((h ^ (h >>> 15)) + high, 0x85eb_ca6b)
    h = Math.imul(h ^ (h >>> 13) ^ this.key, 0xc2b2_ae35)
    return (h ^ (h >>> 16)) & this.mask
  }

  /** Where an address is, or the free place at which the search for it ends. */
  private locate(high: number, low: number): number {
    let at = this.hash(high, low)
    while (this.port[at] !== 0 && (this.low[at] !== low || this.high[at] !== high)) at = (at + 1) & this.mask
    return at
  }

  /** Frees a place, and moves back those behind it that would no longer be found (Knuth, TAOCP 6.4, algorithm R). */
  private removeAt(at: number): void {
    this.size--
    let hole = at
    let next = (at + 1) & this.mask
    for (; this.port[next] !== 0; next = (next + 1) & this.mask) {
      const home = this.hash(this.high[next]!, this.low[next]!)
      // It may move when its home is not between the hole and itself, going round.
      if (((next - home) & this.mask) < ((next - hole) & this.mask)) continue
      this.high[hole] = this.high[next]!
      this.low[hole] = this.low[next]!
      this.port[hole] = this.port[next]!
      this.seen[hole] = this.seen[next]!
      hole = next
    }
    this.port[hole] = 0
  }
}

/** A second. */
const SWEEP_INTERVAL: Micros = 1_000_000
