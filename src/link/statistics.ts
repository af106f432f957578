import { DROP_REASONS, Drop, type DropName, dropName } from '../wire/drop.ts'

/**
 * What one direction of a link has done. At all times
 *
 *     sent + duplicated = delivered + the sum of `drops` + Channel.inFlight
 *
 * A frame that the channel cuts into segments counts once for each segment.
 */
export class ChannelStatistics {
  /** Frames handed to the channel, and their bytes from the outermost header on, without frame check sequence. */
  sent = 0
  sentBytes = 0
  /** Frames that reached the other end's user, duplicates among them, and their bytes. */
  delivered = 0
  deliveredBytes = 0
  /** Copies that the channel made. */
  duplicated = 0
  /** Frames in which bits were flipped. */
  corrupted = 0
  /** Frames that were held back so that later ones could overtake them. */
  reordered = 0
  /** The most frames and bytes that waited behind the one being transmitted. */
  peakQueued = 0
  peakQueuedBytes = 0
  /** Frames dropped, by reason. */
  readonly drops = new Float64Array(DROP_REASONS)

  /** Frames that chance took. */
  get lost(): number {
    return this.drops[Drop['link-loss']]!
  }

  /** Frames for which the queue had no room. */
  get queueFull(): number {
    return this.drops[Drop['link-queue-full']]!
  }

  /** Frames dropped for any reason. */
  get dropped(): number {
    return sumDrops(this.drops)
  }
}

/** What one port of a switch has done. */
export class SwitchPortStatistics {
  /** Frames that came from the port, and their bytes. */
  received = 0
  receivedBytes = 0
  /** Frames handed to the port's link, and their bytes. */
  sent = 0
  sentBytes = 0
  /** Frames from this port that went to all others, for want of an entry or because they are for a group. */
  flooded = 0
  /** Frames dropped, by reason: under the port they came from, or for which they were meant. */
  readonly drops = new Float64Array(DROP_REASONS)

  /** Frames dropped for any reason. */
  get dropped(): number {
    return sumDrops(this.drops)
  }
}

/** The sum of counters by drop reason. */
const sumDrops = (drops: Float64Array): number => {
  let sum = 0
  for (let i = 0; i < drops.length; i++) sum += drops[i]!
  return sum
}

/** The reasons that have counted something, by name, for people to read. */
export const namedDrops = (drops: Float64Array): Partial<Record<DropName, number>> => {
  const named: Partial<Record<DropName, number>> = {}
  for (let i = 0; i < drops.length; i++) if (drops[i]! > 0) named[dropName(i)] = drops[i]!
  return named
}
