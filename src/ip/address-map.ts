/**
 * A hash table whose keys are an IP address, as four words, and a small number beside it: an interface's index, or
 * whatever else tells apart two things with one address.
 *
 * Looking up takes and makes no object. Slots are probed one after another, in an array that doubles when it is half
 * full; removal moves later entries back, so that no tombstones gather. The hash is keyed, because strangers choose
 * addresses.
 */
export class AddressMap<V> {
  /** Entries in the table. */
  size = 0
  private readonly seed: number
  private mask = FIRST_SLOTS - 1
  /** Five words a slot: the address and the number beside it. */
  private keys = new Int32Array(FIRST_SLOTS * WORDS)
  private slots: (V | undefined)[] = new Array(FIRST_SLOTS).fill(undefined)

  /** @param seed 32 secret bits */
  constructor(seed: number) {
    this.seed = seed
  }

  /** The value under a key, or `undefined`. */
  get(w0: number, w1: number, w2: number, w3: number, scope: number): V | undefined {
    const { keys, slots, mask } = this
    for (let slot = addressHash(w0, w1, w2, w3, scope, this.seed) & mask; ; slot = (slot + 1) & mask) {
      const value = slots[slot]
      if (value === undefined) return undefined
      const at = slot * WORDS
      if (
        keys[at + 3] === w3 &&
        keys[at + 4] === scope &&
        keys[at + 2] === w2 &&
        keys[at + 1] === w1 &&
        keys[at] === w0
      ) {
        return value
      }
    }
  }

  /** Puts a value under a key, in place of the one that is there. */
  set(w0: number, w1: number, w2: number, w3: number, scope: number, value: V): void {
    const found = this.find(w0, w1, w2, w3, scope)
    if (found >= 0) {
      this.slots[found] = value
      return
    }
    if ((this.size + 1) * 2 > this.mask + 1) this.grow()
    this.size++
    this.insert(w0, w1, w2, w3, scope, value)
  }

  /** Takes the entry under a key out. @returns whether there was one */
  delete(w0: number, w1: number, w2: number, w3: number, scope: number): boolean {
    let hole = this.find(w0, w1, w2, w3, scope)
    if (hole < 0) return false
    const { keys, slots, mask } = this
    this.size--
    for (let slot = (hole + 1) & mask; slots[slot] !== undefined; slot = (slot + 1) & mask) {
      const at = slot * WORDS
      const home = addressHash(keys[at]!, keys[at + 1]!, keys[at + 2]!, keys[at + 3]!, keys[at + 4]!, this.seed) & mask
      // It may move into the hole unless its home lies behind the hole, going round.
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue
      slots[hole] = slots[slot]
      keys.copyWithin(hole * WORDS, at, at + WORDS)
      hole = slot
    }
    slots[hole] = undefined
    return true
  }

  /** Every value, in no order; a copy, so that the table may change meanwhile. */
  values(): V[] {
    return this.slots.filter((value) => value !== undefined) as V[]
  }

  /** How many slots there are; `at` tells what each holds. For walks that make no copy. */
  get capacity(): number {
    return this.slots.length
  }

  /** The value in a slot, or `undefined` when it is empty. */
  at(slot: number): V | undefined {
    return this.slots[slot]
  }

  clear(): void {
    this.size = 0
    this.mask = FIRST_SLOTS - 1
    this.keys = new Int32Array(FIRST_SLOTS * WORDS)
    this.slots = new Array(FIRST_SLOTS).fill(undefined)
  }

  private find(w0: number, w1: number, w2: number, w3: number, scope: number): number {
    const { keys, slots, mask } = this
    for (let slot = addressHash(w0, w1, w2, w3, scope, this.seed) & mask; ; slot = (slot + 1) & mask) {
      if (slots[slot] === undefined) return -1
      const at = slot * WORDS
      if (
        keys[at + 3] === w3 &&
        keys[at + 4] === scope &&
        keys[at + 2] === w2 &&
        keys[at + 1] === w1 &&
        keys[at] === w0
      ) {
        return slot
      }
    }
  }

  private insert(w0: number, w1: number, w2: number, w3: number, scope: number, value: V): void {
    const { keys, slots, mask } = this
    let slot = addressHash(w0, w1, w2, w3, scope, this.seed) & mask
    while (slots[slot] !== undefined) slot = (slot + 1) & mask
    slots[slot] = value
    const at = slot * WORDS
    keys[at] = w0
    keys[at + 1] = w1
    keys[at + 2] = w2
    keys[at + 3] = w3
    keys[at + 4] = scope
  }

  private grow(): void {
    const { keys, slots } = this
    const count = slots.length * 2
    this.mask = count - 1
    this.keys = new Int32Array(count * WORDS)
    this.slots = new Array(count).fill(undefined)
    for (let slot = 0, at = 0; slot < slots.length; slot++, at += WORDS) {
      const value = slots[slot]
      if (value !== undefined) {
        this.insert(keys[at]!, keys[at + 1]!, keys[at + 2]!, keys[at + 3]!, keys[at + 4]!, value)
      }
    }
  }
}

const WORDS = 5
const FIRST_SLOTS = 16

/** A keyed hash of an address and a number beside it: 32 bits, spread well in all of them. */
export const addressHash = (w0: number, w1: number, w2: number, w3: number, scope: number, seed: number): number => {
  let h = Math.imul(seed ^ w3, 0x9e3779b1)
  h = Math.imul((h ^ (h >>> 15)) + w2, 0x85ebca6b)
  h = Math.imul((h ^ (h >>> 13)) + w1, 0xc2b2ae35)
  h = Math.imul((h ^ (h >>> 16)) + w0, 0x27d4eb2f)
  h = Math.imul((h ^ (h >>> 15)) + scope, 0x165667b1)
  h ^= h >>> 14
  h = Math.imul(h ^ seed, 0x2c1b3c6d)
  return h ^ (h >>> 16)
}
