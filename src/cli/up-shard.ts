import { parentPort, workerData } from 'node:worker_threads'
import { snapshot } from '../inspect/snapshot.ts'
import { setSetting } from '../node/attach.ts'
import type { ShardCapture, ShardCaptureRequest } from '../node/shard-capture.ts'
import { LiveHost } from './device.ts'
import { errorLine } from './failure.ts'
import { type Closing, startServices } from './services.ts'
import type { ShardOrder, ShardReply, ShardRequest } from './up-shards.ts'

/** The worker of a shard: see up-shards.ts. It ends by itself when it is told to close, or cannot go on. */

const { options, hostName, plan, mac, services } = workerData as ShardOrder
const port = parentPort!

const say = (reply: ShardReply): void => port.postMessage(reply)
const log = (line: string): void => say({ type: 'log', line })

const run = (): void => {
  const live = new LiveHost(options, hostName, plan, mac)
  const closing: Closing[] = [() => live.close()]
  const captures = new Map<number, ShardCapture>()
  const close = async (): Promise<void> => {
    for (const each of closing) await each()
    for (const capture of captures.values()) capture.close()
    port.close()
  }
  const fail = (line: string): void => say({ type: 'failed', line })
  void live.lost.then(fail)
  const answer = (id: number, method: string, params: unknown): void => {
    try {
      const value = method === 'snapshot' ? snapshot(live.host) : setSetting(live.host, params)
      say({ type: 'answer', id, value })
    } catch (error) {
      say({ type: 'refused', id, message: errorLine(error) })
    }
  }
  const capture = (id: number, what: ShardCaptureRequest): void => {
    const tell = (bytes: Uint8Array, upTo: number): void => say({ type: 'captured', id, bytes, upTo })
    try {
      captures.set(id, live.captureShard(what, tell))
    } catch {
      // The first shard has the same interfaces: it has said what is wrong.
      tell(new Uint8Array(0), Number.POSITIVE_INFINITY)
    }
  }
  port.on('message', (request: ShardRequest) => {
    if (request.type === 'close') void close()
    else if (request.type === 'capture') capture(request.id, request.what)
    else if (request.type === 'captureOver') {
      captures.get(request.id)?.close()
      captures.delete(request.id)
    } else if (request.type === 'ask') answer(request.id, request.method, request.params)
    else {
      startServices(live.host, services, log, closing).then(
        (ended) => {
          for (const each of ended) void each.then(fail)
          say({ type: 'ready' })
        },
        (error: unknown) => fail(errorLine(error)),
      )
    }
  })
  say({ type: 'ready' })
}

try {
  run()
} catch (error) {
  say({ type: 'failed', line: errorLine(error) })
  port.close()
}
