/**
 * What a frame costs on its way through a cable with nothing wrong with it: from `LinkPort.send` to `LinkUser.receive`,
 * the frame's allocation and release counted apart. Prints nanoseconds per frame, the best of several rounds.
 */
import { performance } from 'node:perf_hooks'
import { VirtualClock } from '../src/core/clock.ts'
import { type Frame, FrameChecksum, FrameQueue } from '../src/core/frame.ts'
import { SeededRandom } from '../src/core/random.ts'
import { World } from '../src/core/world.ts'
import { Cable, type CableOptions } from '../src/link/cable.ts'
import type { ImpairmentOptions } from '../src/link/impairment.ts'
import type { LinkUser } from '../src/link/port.ts'

const FRAMES = 2_000_000
const ROUNDS = 7

/** Takes the frames back and counts them. */
class Sink implements LinkUser {
  count = 0
  private readonly world: World
  constructor(world: World) {
    this.world = world
  }
  receive(frame: Frame): void {
    this.count++
    this.world.frames.release(frame)
  }
  carrierChanged(): void {}
}

/** Keeps the frames, so that only the link is measured. */
class Keeper implements LinkUser {
  readonly frames = new FrameQueue()
  receive(frame: Frame): void {
    this.frames.push(frame)
  }
  carrierChanged(): void {}
}

const makeWorld = (clock = new VirtualClock()): World => new World(clock, new SeededRandom(1))

const best = (round: () => number): number => {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < ROUNDS; i++) least = Math.min(least, round())
  return least
}

/** Sends `FRAMES` frames of `bytes` in bursts of `burst`, each followed by a turn of the loop. */
const throughput = (options: CableOptions, bytes: number, burst: number, segmentSize = 0): number => {
  const world = makeWorld()
  const cable = new Cable(world, 'bench', options)
  const sink = new Sink(world)
  cable.b.user = sink
  const port = cable.a
  return best(() => {
    sink.count = 0
    const start = performance.now()
    for (let sent = 0; sent < FRAMES; sent += burst) {
      for (let i = 0; i < burst; i++) {
        const frame = world.frames.allocate(bytes)!
        frame.start -= 54
        frame.end += bytes - 54
        frame.segmentSize = segmentSize
        if (segmentSize > 0) frame.checksum = FrameChecksum.Partial
        port.send(frame)
      }
      world.loop.turn()
    }
    const ns = ((performance.now() - start) * 1e6) / sink.count
    if (sink.count < FRAMES || world.frames.inUse !== 0) throw new Error('frames were lost')
    return ns
  })
}

/**
 * The same through an impaired cable, with a millisecond of virtual
 * time between bursts of 64; frames that arrive count.
 */
const impaired = (impairment: ImpairmentOptions): number => {
  const clock = new VirtualClock()
  const world = makeWorld(clock)
  const cable = new Cable(world, 'bench', { impairment })
  const sink = new Sink(world)
  cable.b.user = sink
  const port = cable.a
  return best(() => {
    sink.count = 0
    const start = performance.now()
    for (let sent = 0; sent < FRAMES / 4; sent += 64) {
      for (let i = 0; i < 64; i++) {
        const frame = world.frames.allocate(1514)!
        frame.start -= 54
        frame.end += 1460
        port.send(frame)
      }
      const until = world.loop.now + 1000
      while (world.loop.timers.nextWake() <= until) {
        clock.advanceTo(world.loop.timers.nextWake())
        world.loop.turn()
      }
      clock.advanceTo(until)
      world.loop.turn()
    }
    return ((performance.now() - start) * 1e6) / sink.count
  })
}

/** What of that is the pool's and the loop's. */
const poolOnly = (bytes: number, burst: number): number => {
  const world = makeWorld()
  const queue = new FrameQueue()
  return best(() => {
    const start = performance.now()
    for (let sent = 0; sent < FRAMES; sent += burst) {
      for (let i = 0; i < burst; i++) {
        const frame = world.frames.allocate(bytes)!
        frame.start -= 54
        frame.end += bytes - 54
        queue.push(frame)
      }
      world.loop.turn()
      for (let frame = queue.shift(); frame !== null; frame = queue.shift()) world.frames.release(frame)
    }
    return ((performance.now() - start) * 1e6) / FRAMES
  })
}

/** One frame to and fro: a round trip is two frames, two tasks and no batch. */
const roundTrip = (): number => {
  const world = makeWorld()
  const cable = new Cable(world, 'bench')
  const home = new Keeper()
  cable.a.user = home
  cable.b.user = { receive: (frame) => cable.b.send(frame), carrierChanged: () => {} }
  const frame = world.frames.allocate(1500)!
  frame.end += 1000
  home.receive(frame)
  return best(() => {
    const start = performance.now()
    for (let i = 0; i < FRAMES; i++) {
      cable.a.send(home.frames.shift()!)
      world.loop.turn()
    }
    return ((performance.now() - start) * 1e6) / FRAMES
  })
}

const show = (name: string, ns: number): void => console.log(`${name.padEnd(58)} ${ns.toFixed(1).padStart(8)} ns`)
const ROUGH = { delay: 20, jitter: 1, loss: 0.01, duplicate: 0.01, reorder: 0.05, corrupt: 0.01 }
const offload = { checksumOffload: true, maxSegmentedPacket: 65_535 }
show('pool and loop alone, 64 frames a turn', poolOnly(1514, 64))
show('cable, 1514 bytes, 64 frames a turn', throughput({}, 1514, 64))
show('cable, 1514 bytes, 10 frames a turn', throughput({}, 1514, 10))
show('cable, 1514 bytes, 1 frame a turn', throughput({}, 1514, 1))
show('cable, 64 KB segments with offload, 10 frames a turn', throughput(offload, 65_500, 10, 1448))
show('cable, round trip of one frame (2 frames, 1 turn)', roundTrip())
show('cable, 20 ms delay', impaired({ delay: 20 }))
show('cable, 20 ms delay, 1 ms jitter, every other fault at a few %', impaired(ROUGH))
show('cable, 1 Gbit/s, 20 ms delay', impaired({ delay: 20, rate: 1e9 }))
