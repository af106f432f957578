import type { Clock } from './clock.ts'
import { FramePool } from './frame.ts'
import { Loop } from './loop.ts'
import { Memory } from './memory.ts'
import type { Random } from './random.ts'

/** What hosts and links that can reach each other share: time, chance, memory and the run loop. There is no other state. */
export class World {
  readonly clock: Clock
  readonly random: Random
  readonly memory: Memory
  readonly frames: FramePool
  readonly loop: Loop

  /** @param memoryLimit the most bytes that frames and queues may take, at most 2 GiB */
  constructor(clock: Clock, random: Random, memoryLimit?: number) {
    this.clock = clock
    this.random = random
    this.memory = new Memory(memoryLimit)
    this.frames = new FramePool(this.memory)
    this.loop = new Loop(clock)
  }
}
