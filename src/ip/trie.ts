import { prefixMask } from '../wire/address.ts'

/**
 * One prefix in a trie: the bits all addresses below it share. Nodes where two branches part hold no value.
 */
class TrieNode<V> {
  readonly w0: number
  readonly w1: number
  readonly w2: number
  readonly w3: number
  /** Masks of the prefix, word by word. */
  readonly m0: number
  readonly m1: number
  readonly m2: number
  readonly m3: number
  /** Bits in the prefix, 0 to 128. */
  readonly length: number
  /** Which word holds the bit behind the prefix, and that bit: it tells the branch. */
  readonly branchWord: number
  readonly branchBit: number
  value: V | null = null
  parent: TrieNode<V> | null = null
  zero: TrieNode<V> | null = null
  one: TrieNode<V> | null = null

  constructor(w0: number, w1: number, w2: number, w3: number, length: number) {
    this.m0 = prefixMask(length)
    this.m1 = prefixMask(length - 32)
    this.m2 = prefixMask(length - 64)
    this.m3 = prefixMask(length - 96)
    this.w0 = w0 & this.m0
    this.w1 = w1 & this.m1
    this.w2 = w2 & this.m2
    this.w3 = w3 & this.m3
    this.length = length
    this.branchWord = length >>> 5
    this.branchBit = length === 128 ? 0 : 0x8000_0000 >>> (length & 31)
  }

  /** The longest prefix with a value that contains this one and is shorter; null when there is none. */
  shorter(): TrieNode<V> | null {
    let node = this.parent
    while (node !== null && node.value === null) node = node.parent
    return node
  }
}

/**
 * Values by address prefix, and the longest prefix that matches an address: a binary trie with one-way paths left out
 * (Morrison's PATRICIA, 1968). A look-up visits at most as many nodes as there are prefixes nested or branching on the
 * way, about 15 among 10,000 random ones, and makes no object.
 *
 * Prefixes are four words and a length of 0 to 128 bits; IPv4 prefixes are 96 bits longer than they are written.
 */
export class PrefixTrie<V> {
  /** Prefixes with a value. */
  size = 0
  private root: TrieNode<V> | null = null

  /** The longest prefix with a value that contains the address; `shorter` leads on from it. */
  find(w0: number, w1: number, w2: number, w3: number): TrieNode<V> | null {
    let node = this.root
    let best: TrieNode<V> | null = null
    while (node !== null) {
      if (
        ((w3 ^ node.w3) & node.m3) !== 0 ||
        ((w2 ^ node.w2) & node.m2) !== 0 ||
        ((w1 ^ node.w1) & node.m1) !== 0 ||
        ((w0 ^ node.w0) & node.m0) !== 0
      ) {
        return best
      }
      if (node.value !== null) best = node
      node = (wordOf(w0, w1, w2, w3, node.branchWord) & node.branchBit) === 0 ? node.zero : node.one
    }
    return best
  }

  /** The node of exactly this prefix, if it has a value. */
  get(w0: number, w1: number, w2: number, w3: number, length: number): TrieNode<V> | null {
    let node = this.find(w0, w1, w2, w3)
    while (node !== null && node.length > length) node = node.shorter()
    return node !== null && node.length === length ? node : null
  }

  /** Gives a prefix a value, in place of the one it has. Bits behind the prefix do not matter. */
  set(w0: number, w1: number, w2: number, w3: number, length: number, value: V): void {
    const added = new TrieNode<V>(w0, w1, w2, w3, length)
    added.value = value
    let parent: TrieNode<V> | null = null
    let node = this.root
    while (node !== null) {
      const common = Math.min(commonBits(added, node), added.length, node.length)
      if (common < node.length) break
      if (node.length === length) {
        if (node.value === null) this.size++
        node.value = value
        return
      }
      parent = node
      node = branchOf(node, added)
    }
    this.size++
    if (node === null) {
      this.attach(parent, added)
      return
    }
    const common = Math.min(commonBits(added, node), added.length)
    if (common === length) {
      this.attach(parent, added)
      this.attach(added, node)
      return
    }
    const fork = new TrieNode<V>(w0, w1, w2, w3, common)
    this.attach(parent, fork)
    this.attach(fork, node)
    this.attach(fork, added)
  }

  /** Takes the value of a prefix away. @returns whether it had one */
  delete(w0: number, w1: number, w2: number, w3: number, length: number): boolean {
    const node = this.get(w0, w1, w2, w3, length)
    if (node === null) return false
    node.value = null
    this.size--
    this.prune(node)
    return true
  }

  /** Every value, shorter prefixes before longer ones that they contain, lower addresses before higher. */
  values(): V[] {
    const found: V[] = []
    const walk = (node: TrieNode<V> | null): void => {
      if (node === null) return
      if (node.value !== null) found.push(node.value)
      walk(node.zero)
      walk(node.one)
    }
    walk(this.root)
    return found
  }

  /** Takes out nodes, from `node` up, that neither have a value nor part two branches. */
  private prune(node: TrieNode<V>): void {
    let at: TrieNode<V> | null = node
    while (at !== null && at.value === null && (at.zero === null || at.one === null)) {
      const parent: TrieNode<V> | null = at.parent
      const child: TrieNode<V> | null = at.zero ?? at.one
      if (child !== null) {
        this.attach(parent, child)
        return
      }
      if (parent === null) this.root = null
      else if (parent.zero === at) parent.zero = null
      else parent.one = null
      at = parent
    }
  }

  private attach(parent: TrieNode<V> | null, child: TrieNode<V>): void {
    child.parent = parent
    if (parent === null) this.root = child
    else if ((wordOf(child.w0, child.w1, child.w2, child.w3, parent.branchWord) & parent.branchBit) === 0) {
      parent.zero = child
    } else parent.one = child
  }
}

const wordOf = (w0: number, w1: number, w2: number, w3: number, index: number): number =>
  index === 3 ? w3 : index === 0 ? w0 : index === 1 ? w1 : w2

const branchOf = <V>(node: TrieNode<V>, key: TrieNode<V>): TrieNode<V> | null =>
  (wordOf(key.w0, key.w1, key.w2, key.w3, node.branchWord) & node.branchBit) === 0 ? node.zero : node.one

/** How many leading bits two addresses share. */
const commonBits = <V>(a: TrieNode<V>, b: TrieNode<V>): number => {
  if (a.w0 !== b.w0) return Math.clz32(a.w0 ^ b.w0)
  if (a.w1 !== b.w1) return 32 + Math.clz32(a.w1 ^ b.w1)
  if (a.w2 !== b.w2) return 64 + Math.clz32(a.w2 ^ b.w2)
  return 96 + Math.clz32(a.w3 ^ b.w3)
}
