import type { Micros } from '../core/clock.ts'
import { Ladder, ladderLine, ladderWidth, milliseconds } from './ladder.ts'
import type { Network } from './network.ts'

/** Something that happened beside packets: a program printed a line, or something was done to the network. */
interface Remark {
  readonly at: Micros
  /** Packets that had been sent before it. */
  readonly after: number
  readonly text: string
}

/** Records what happens in a network, to be read as one story: packets, what programs print, and faults. */
export class Timeline {
  private readonly ladder: Ladder
  private readonly remarks: Remark[] = []
  private ended = false

  constructor(network: Network) {
    this.ladder = new Ladder(network.world, { arp: true })
    network.observe({
      linkAdded: ({ names: [a, b], cable }) => this.ladder.watch(a, b, cable),
      printed: (process, { at, text }) => {
        const { name } = process
        // What a program ends with has its name in front.
        this.remark(at, `${process.host.name}: ${text.startsWith(`${name}: `) ? text : `${name}: ${text}`}`)
      },
      unheard: (frame) => this.ladder.lost(frame),
      fault: (text) => this.remark(network.world.loop.now, `*** ${text}`),
    })
  }

  /** Ends the story: what happens from now on is no part of it. */
  end(): void {
    this.ended = true
    this.ladder.end()
  }

  private remark(at: Micros, text: string): void {
    if (!this.ended) this.remarks.push({ at, after: this.ladder.entries.length, text })
  }

  /** Packets and remarks. */
  get length(): number {
    return this.ladder.entries.length + this.remarks.length
  }

  /**
   * The story, a line for each thing that happened, in order.
   * @param most lines; of more the first and the last are given
   */
  lines(options: { readonly most?: number; readonly ascii?: boolean } = {}): string[] {
    const { most = Number.POSITIVE_INFINITY, ascii = false } = options
    const { entries } = this.ladder
    const width = ladderWidth(entries)
    const all: string[] = []
    let next = 0
    for (const { at, after, text } of [...this.remarks, { at: 0, after: entries.length, text: '' }]) {
      for (; next < after; next++) all.push(ladderLine(entries[next]!, { ascii, width }))
      if (text !== '') all.push(`${milliseconds(at)}  ${text}`)
    }
    if (all.length <= most) return all
    const half = Math.floor(most / 2)
    return [...all.slice(0, half), `${' '.repeat(12)} ${all.length - 2 * half} more`, ...all.slice(all.length - half)]
  }
}
