import { parentPort, workerData } from 'node:worker_threads'
import { snapshot } from '../inspect/snapshot.ts'
import { setSetting } from '../node/attach.ts'
import { LiveHost } from './device.ts'
import { errorLine } from './failure.ts'
import { type Closing, startServices } from './services.ts'
import type { ShardOrder, ShardReply, ShardRequest } from './up-shards.ts'

/** The worker of a shard: see up-shards.ts. It ends by itself when it is told to close, or cannot go on. */

const { options, hostName, plan, services } = workerData as ShardOrder
const port = parentPort!

const say = (reply: ShardReply): void => port.postMessage(reply)
const log = (line: string): void => say({ type: 'log', line })

const run = (): void => {
  const live = new LiveHost(options, hostName, plan)
  const closing: Closing[] = [() => live.close()]
  const close = async (): Promise<void> => {
    port.close()
    for (const each of closing) await each()
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
  port.on('message', (request: ShardRequest) => {
    if (request.type === 'close') void close()
    else if (request.type === 'ask') answer(request.id, request.method, request.params)
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
