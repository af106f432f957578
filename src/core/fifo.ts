/** A queue in a circular array that grows as needed: adding and taking cost the same however long it is. */
export class Fifo<T> {
  length = 0
  private items: (T | undefined)[] = new Array(4).fill(undefined)
  private head = 0

  push(item: T): void {
    if (this.length === this.items.length) this.grow()
    this.items[(this.head + this.length) & (this.items.length - 1)] = item
    this.length++
  }

  /** Takes the first off; `undefined` when there is none. */
  shift(): T | undefined {
    if (this.length === 0) return undefined
    const item = this.items[this.head]
    this.items[this.head] = undefined
    this.head = (this.head + 1) & (this.items.length - 1)
    this.length--
    return item
  }

  /** The first, which stays; `undefined` when there is none. */
  peek(): T | undefined {
    return this.length === 0 ? undefined : this.items[this.head]
  }

  /** The item at `index` from the front. The caller knows that there is one. */
  at(index: number): T {
    return this.items[(this.head + index) & (this.items.length - 1)] as T
  }

  /** Takes out every item that `unwanted` names, keeping the order of the others. */
  remove(unwanted: (item: T) => boolean): void {
    for (let left = this.length; left > 0; left--) {
      const item = this.shift() as T
      if (!unwanted(item)) this.push(item)
    }
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let i = 0; i < this.length; i++) yield this.at(i)
  }

  private grow(): void {
    const larger: (T | undefined)[] = new Array(this.items.length * 2).fill(undefined)
    for (let i = 0; i < this.length; i++) larger[i] = this.at(i)
    this.items = larger
    this.head = 0
  }
}
