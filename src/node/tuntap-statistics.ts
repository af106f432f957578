import { DROP_REASONS } from '../wire/drop.ts'

/** What a device's port has done. Frames that stand for several segments count once. */
export class TunTapStatistics {
  received = 0
  receivedBytes = 0
  sent = 0
  sentBytes = 0
  /** Times that the event loop said that there is something to read. */
  wakes = 0
  /** Times that it looked again soon instead of sleeping. */
  spins = 0
  /** Frames dropped, either way, by reason. */
  readonly drops = new Float64Array(DROP_REASONS)
}
