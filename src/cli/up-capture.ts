import { CaptureSink } from '../node/capture-file.ts'
import { CaptureMerger } from '../node/capture-merge.ts'
import type { ShardCaptureRequest } from '../node/shard-capture.ts'
import type { LiveHost } from './device.ts'
import type { Closing } from './services.ts'
import type { ShardWorkers } from './up-shards.ts'

/** Captures of a host that is spread over workers: what all of them see, in order of time. */

/**
 * @param sink gets pcapng, block by block; the description of file and interfaces at once
 * @returns how to end it, after which all has been taken
 * @throws Error, in one line, for an interface that is not there
 */
export const captureAll = (
  live: LiveHost,
  shards: ShardWorkers,
  what: ShardCaptureRequest,
  sink: (block: Uint8Array) => void,
): (() => Promise<void>) => {
  const merger = new CaptureMerger(1 + shards.count, sink)
  const own = live.captureShard(what, (bytes, upTo) => merger.add(0, bytes, upTo))
  const end = shards.capture(what, (worker, bytes, upTo) => merger.add(1 + worker, bytes, upTo))
  return async () => {
    own.close()
    await end()
  }
}

/** Captures what passes all queues of the device. @throws Error, in one line, when the file cannot be made */
export const captureToFile = (path: string, live: LiveHost, shards: ShardWorkers): Closing => {
  const sink = new CaptureSink(path, (error) => live.lose(error.message))
  const end = captureAll(live, shards, { ofDevice: true }, (block) => void sink.write(block))
  return async () => {
    await end()
    sink.close()
  }
}
