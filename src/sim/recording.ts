import { Capture } from '../link/capture.ts'
import { concatBytes } from '../wire/options.ts'
import type { Network } from './network.ts'
import { Timeline } from './timeline.ts'

/** All that happens in a network from now on, kept in memory: to be looked at when something goes wrong. */
export class Recording {
  readonly timeline: Timeline
  private readonly chunks: Uint8Array[] = []
  private readonly capture: Capture

  /** @param limit packets after which the capture is full; none unless given */
  constructor(network: Network, limit = Number.POSITIVE_INFINITY) {
    this.timeline = new Timeline(network)
    const application = `netglass, seed ${network.seed}`
    this.capture = new Capture(network.world, (chunk) => this.chunks.push(chunk), { application, limit })
    network.observe({ linkAdded: ({ names: [a, b], cable }) => this.capture.add(cable.a, `${a}-${b}`) })
  }

  /** Ends the recording, of what is told too. @returns everything that passed the links, as a pcapng file */
  pcapng(): Uint8Array {
    this.timeline.end()
    this.capture.close()
    return concatBytes(this.chunks)
  }
}
