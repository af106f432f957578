import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { ShardPlan } from '../node/shard.ts'
import type { ShardCaptureRequest } from '../node/shard-capture.ts'
import type { MacAddress } from '../wire/address.ts'
import type { DeviceCommandOptions } from './device-options.ts'
import { Failure } from './failure.ts'
import type { Service } from './services.ts'

/** The shards of a host that run in workers: all but the first. */

/** What a worker is started with. */
export interface ShardOrder {
  readonly options: DeviceCommandOptions
  readonly hostName: string
  readonly plan: ShardPlan
  /** The link-layer address that all shards have; null on links that have none. */
  readonly mac: MacAddress | null
  readonly services: readonly Service[]
}

/** What is said to a worker. */
export type ShardRequest =
  | { readonly type: 'serve' }
  | { readonly type: 'ask'; readonly id: number; readonly method: string; readonly params: unknown }
  | { readonly type: 'capture'; readonly id: number; readonly what: ShardCaptureRequest }
  | { readonly type: 'captureOver'; readonly id: number }
  | { readonly type: 'close' }

/** What a worker says: `ready` when it is on the device, and when it serves. */
export type ShardReply =
  | { readonly type: 'ready' }
  | { readonly type: 'log'; readonly line: string }
  | { readonly type: 'failed'; readonly line: string }
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'refused'; readonly id: number; readonly message: string }
  | { readonly type: 'captured'; readonly id: number; readonly bytes: Uint8Array; readonly upTo: number }

interface Asked {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** One worker. */
class ShardWorker {
  /** Resolves with a line when it cannot go on. */
  readonly failed: Promise<string>
  private readonly worker: Worker
  private readonly over: Promise<void>
  private readonly asked = new Map<number, Asked>()
  /** Who takes what is captured, by the capture's number. */
  readonly captures = new Map<number, (bytes: Uint8Array, upTo: number) => void>()
  private nextId = 1
  private ready: () => void = () => {}
  private fail: (line: string) => void = () => {}

  constructor(order: ShardOrder, log: (line: string) => void) {
    const path = new URL(`./up-shard${extname(import.meta.url)}`, import.meta.url)
    this.failed = new Promise((resolve) => {
      this.fail = resolve
    })
    this.worker = new Worker(path, { workerData: order })
    this.worker.on('message', (reply: ShardReply) => this.heard(reply, log))
    this.worker.on('error', (error) => this.fail(error.message))
    this.over = new Promise((resolve) => {
      this.worker.once('exit', () => {
        this.fail('a worker has ended')
        for (const take of this.captures.values()) take(new Uint8Array(0), Number.POSITIVE_INFINITY)
        for (const { reject } of this.asked.values()) reject(new Error('the worker has ended'))
        resolve()
      })
    })
  }

  /** Waits until it says that it is ready. @throws Failure when it cannot be */
  async isReady(): Promise<void> {
    const ready = new Promise<void>((resolve) => {
      this.ready = resolve
    })
    const line = await Promise.race([ready, this.failed])
    if (line !== undefined) throw new Failure(line)
  }

  say(request: ShardRequest): void {
    this.worker.postMessage(request)
  }

  ask(method: string, params: unknown): Promise<unknown> {
    const id = this.nextId++
    return new Promise((resolve, reject) => {
      this.asked.set(id, { resolve, reject })
      this.say({ type: 'ask', id, method, params })
    })
  }

  /** Lets it end by itself: a worker that is terminated may take the process with it (see readiness.ts). */
  async close(): Promise<void> {
    this.say({ type: 'close' })
    await this.over
  }

  private heard(reply: ShardReply, log: (line: string) => void): void {
    if (reply.type === 'ready') this.ready()
    else if (reply.type === 'log') log(reply.line)
    else if (reply.type === 'failed') this.fail(reply.line)
    else if (reply.type === 'captured') this.captures.get(reply.id)?.(reply.bytes, reply.upTo)
    else {
      const asked = this.asked.get(reply.id)
      this.asked.delete(reply.id)
      if (reply.type === 'answer') asked?.resolve(reply.value)
      else asked?.reject(new TypeError(reply.message))
    }
  }
}

/** All of them. */
export class ShardWorkers {
  private readonly workers: readonly ShardWorker[]
  private nextCapture = 1

  constructor(orders: readonly ShardOrder[], log: (line: string) => void) {
    this.workers = orders.map((order) => new ShardWorker(order, log))
  }

  get count(): number {
    return this.workers.length
  }

  /** Waits until all are on the device. @throws Failure */
  async areUp(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.isReady()))
  }

  /** Has all start their services. @throws Failure */
  async serve(): Promise<void> {
    const ready = this.areUp()
    for (const worker of this.workers) worker.say({ type: 'serve' })
    await ready
  }

  /** Resolves with a line when one cannot go on. */
  get failed(): Promise<string> {
    return Promise.race([new Promise<string>(() => {}), ...this.workers.map(({ failed }) => failed)])
  }

  /** What each answers. */
  ask(method: string, params?: unknown): Promise<unknown[]> {
    return Promise.all(this.workers.map((worker) => worker.ask(method, params)))
  }

  /**
   * Has all capture.
   * @param take gets what each has captured, as `CaptureMerger.add`
   * @returns how to end it: what comes last is taken then
   */
  capture(
    what: ShardCaptureRequest,
    take: (worker: number, bytes: Uint8Array, upTo: number) => void,
  ): () => Promise<void> {
    const id = this.nextCapture++
    const over = this.workers.map(
      (worker, i) =>
        new Promise<void>((resolve) => {
          worker.captures.set(id, (bytes, upTo) => {
            take(i, bytes, upTo)
            if (upTo === Number.POSITIVE_INFINITY && worker.captures.delete(id)) resolve()
          })
          worker.say({ type: 'capture', id, what })
        }),
    )
    return async () => {
      for (const worker of this.workers) worker.say({ type: 'captureOver', id })
      await Promise.all(over)
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.close()))
  }
}
