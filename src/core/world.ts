import type { Clock } from './clock.ts'
import { ALL_FAST_PATHS, type FastPaths } from './fast-paths.ts'
import { FramePool } from './frame.ts'
import { Loop } from './loop.ts'
import { Memory } from './memory.ts'
import type { Random } from './random.ts'

/**
 * What hosts and links that can reach each other share: time, chance, memory and the run loop. There is no other state.
 */
export class World {
  readonly clock: Clock
  readonly random: Random
  readonly memory: Memory
  readonly frames: FramePool
  readonly loop: Loop
  /** Which fast paths its hosts and links use. */
  readonly fast: FastPaths

  /**
   * @param memoryLimit the most bytes that frames and queues may take, at most 2 GiB
   * @param fast which fast paths to use; the same happens without them
   */
  constructor(clock: Clock, random: Random, memoryLimit?: number, fast: FastPaths = ALL_FAST_PATHS) {
    this.clock = clock
    this.random = random
    this.fast = fast
    this.memory = new Memory(memoryLimit, fast)
    this.frames = new FramePool(this.memory)
    this.loop = new Loop(clock, fast)
  }
}
