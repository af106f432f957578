import { seqGeq, seqGt, seqLeq, seqLt } from '../core/seq.ts'

/**
 * What of the sequence space beyond RCV.NXT has arrived: ranges, in order, with gaps between them. The bytes lie in the
 * receive ring at their places already; when the gap in front closes, they only have to be counted. A FIN takes its
 * number like a byte, though none lies there.
 *
 * New ranges nearly always lie at or behind the last one, which is looked at first; else the place is found by halving.
 */
export class Reassembly {
  /** Ranges held. */
  count = 0
  /** Sequence numbers in all ranges. */
  bytes = 0
  /** The range that the last `insert` made or widened: what the first SACK block reports (RFC 2018 section 4). */
  lastStart = 0
  lastEnd = 0
  /**
   * Sequence number of a FIN that has arrived ahead of the data before it, of the first if the peer knows no better.
   */
  finSeq = 0
  hasFin = false

  private starts = new Int32Array(4)
  private ends = new Int32Array(4)

  /** Bytes of data in all ranges. */
  get dataBytes(): number {
    return this.bytes - (this.hasFin ? 1 : 0)
  }

  /** Takes note of a FIN with number `seq`, which belongs to a range. */
  noteFin(seq: number): void {
    if (!this.hasFin || seqLt(seq, this.finSeq)) this.finSeq = seq
    this.hasFin = true
  }

  startAt(index: number): number {
    return this.starts[index]!
  }

  endAt(index: number): number {
    return this.ends[index]!
  }

  /** Index of the first range that ends at or after `seq`. */
  private find(seq: number): number {
    if (this.count === 0 || seqLt(this.ends[this.count - 1]!, seq)) return this.count
    let low = 0
    let high = this.count - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (seqGeq(this.ends[middle]!, seq)) high = middle
      else low = middle + 1
    }
    return low
  }

  /**
   * Is any byte of `start` to `end` here already? Where the first
   * such run begins and ends goes to `lastStart` and `lastEnd`.
   */
  overlaps(start: number, end: number): boolean {
    let i = this.find(start)
    if (i < this.count && this.ends[i] === start) i++
    if (i === this.count || seqGeq(this.starts[i]!, end)) return false
    this.lastStart = seqGt(this.starts[i]!, start) ? this.starts[i]! : start
    this.lastEnd = seqLt(this.ends[i]!, end) ? this.ends[i]! : end
    return true
  }

  /** Adds `start` to `end`, joined with every range that it touches. @returns how many of its bytes are new */
  insert(start: number, end: number): number {
    const first = this.find(start)
    let low = start
    let high = end
    let last = first
    let covered = 0
    while (last < this.count && seqLeq(this.starts[last]!, end)) {
      covered += (this.ends[last]! - this.starts[last]!) | 0
      if (seqLt(this.starts[last]!, low)) low = this.starts[last]!
      if (seqGt(this.ends[last]!, high)) high = this.ends[last]!
      last++
    }
    this.splice(first, last - first, low, high)
    this.lastStart = low
    this.lastEnd = high
    const added = ((high - low) | 0) - covered
    this.bytes += added
    return added
  }

  /**
   * Takes off the ranges, and parts of ranges, before `seq`.
   * @returns where the range that holds `seq` ends, `seq` if none does
   */
  advance(seq: number): number {
    let gone = 0
    let end = seq
    while (gone < this.count && seqLeq(this.starts[gone]!, seq)) {
      this.bytes -= (this.ends[gone]! - this.starts[gone]!) | 0
      if (seqGt(this.ends[gone]!, end)) end = this.ends[gone]!
      gone++
    }
    if (gone > 0) {
      this.starts.copyWithin(0, gone, this.count)
      this.ends.copyWithin(0, gone, this.count)
      this.count -= gone
    }
    return end
  }

  /** Replaces `removed` ranges from `index` on by one. */
  private splice(index: number, removed: number, start: number, end: number): void {
    if (removed === 0) {
      if (this.count === this.starts.length) this.grow()
      this.starts.copyWithin(index + 1, index, this.count)
      this.ends.copyWithin(index + 1, index, this.count)
      this.count++
    } else if (removed > 1) {
      this.starts.copyWithin(index + 1, index + removed, this.count)
      this.ends.copyWithin(index + 1, index + removed, this.count)
      this.count -= removed - 1
    }
    this.starts[index] = start
    this.ends[index] = end
  }

  private grow(): void {
    const starts = new Int32Array(this.starts.length * 2)
    const ends = new Int32Array(this.starts.length * 2)
    starts.set(this.starts)
    ends.set(this.ends)
    this.starts = starts
    this.ends = ends
  }
}
