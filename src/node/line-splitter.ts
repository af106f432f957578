const LINE_FEED = 0x0a

/** Puts chunks together and cuts them into lines. */
export class LineSplitter {
  private readonly limit: number
  /** The beginning of a line that has not ended yet: the first `length` bytes. */
  private begun = Buffer.alloc(0)
  private length = 0

  /** @param limit the longest line, bytes */
  constructor(limit: number) {
    this.limit = limit
  }

  /** Takes a chunk. @returns the lines that it completes, without line feeds; null when one is too long */
  push(chunk: Buffer): string[] | null {
    const lines: string[] = []
    let from = 0
    for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, from)) {
      if (this.length + at - from > this.limit) return null
      if (this.length === 0) lines.push(chunk.toString('utf8', from, at))
      else {
        this.keep(chunk, from, at)
        lines.push(this.begun.toString('utf8', 0, this.length))
        this.begun = Buffer.alloc(0)
        this.length = 0
      }
      from = at + 1
    }
    if (this.length + chunk.length - from > this.limit) return null
    this.keep(chunk, from, chunk.length)
    return lines
  }

  private keep(chunk: Buffer, from: number, to: number): void {
    const needed = this.length + to - from
    if (needed > this.begun.length) {
      const larger = Buffer.alloc(Math.max(needed, this.begun.length * 2))
      this.begun.copy(larger, 0, 0, this.length)
      this.begun = larger
    }
    chunk.copy(this.begun, this.length, from, to)
    this.length = needed
  }
}
