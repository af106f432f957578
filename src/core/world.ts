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

  /**
   * @param memoryLimit the most bytes that frames and queues may take, at most 2 GiB
   * @param fast whether to use the loops in WebAssembly, where there are any; the same happens without them
   */
  constructor(clock: Clock, random: Random, memoryLimit?: number, fast = true) {
    this.clock = clock
    this.random = random
    this.memory = new Memory(memoryLimit, fast)
    this.frames = new FramePool(this.memory)
    this.loop = new Loop(clock)
  }
}
