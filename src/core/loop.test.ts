import { expect, test } from 'vitest'
import { MINUTE, ms, seconds, VirtualClock } from './clock.ts'
import { Loop, Task } from './loop.ts'
import { SeededRandom } from './random.ts'
import { Timer } from './timer.ts'
import { World } from './world.ts'

class Job extends Task {
  readonly action: () => void

  constructor(action: () => void) {
    super()
    this.action = action
  }

  run(): void {
    this.action()
  }
}

test('tasks run in the order in which they were posted, each once', () => {
  const loop = new Loop(new VirtualClock())
  const log: string[] = []
  const b = new Job(() => log.push('b'))
  const a = new Job(() => {
    log.push('a')
    loop.post(b)
    loop.post(c)
  })
  const c = new Job(() => log.push('c'))
  loop.post(a)
  loop.post(b)
  loop.post(a)
  expect(loop.hasWork).toBe(true)
  expect(loop.turn()).toBe(false)
  expect(log).toEqual(['a', 'b', 'c'])
  expect([loop.hasWork, a.posted]).toEqual([false, false])
})

test('a task that posts itself waits for the others, and a budget ends the turn', () => {
  const loop = new Loop(new VirtualClock())
  const log: string[] = []
  const again = new Job(() => {
    log.push('again')
    loop.post(again)
  })
  loop.post(again)
  loop.post(new Job(() => log.push('other')))
  expect(loop.turn(4)).toBe(true)
  expect(log).toEqual(['again', 'other', 'again', 'again'])
  expect(loop.turn(0)).toBe(true)
  expect(log.length).toBe(4)
})

test('a turn does not begin inside another', () => {
  const loop = new Loop(new VirtualClock())
  const log: string[] = []
  loop.post(
    new Job(() => {
      loop.post(new Job(() => log.push('inner')))
      expect(loop.turn()).toBe(false)
      log.push('outer')
    }),
  )
  loop.turn()
  expect(log).toEqual(['outer', 'inner'])
})

test('timers that are due fire before tasks, and what they post runs in the same turn', () => {
  const clock = new VirtualClock()
  const loop = new Loop(clock)
  const log: string[] = []
  const timer = new Timer({ onTimer: () => loop.post(new Job(() => log.push(`timer at ${loop.now}`))) }, 0)
  loop.timers.schedule(timer, 5000)
  loop.post(new Job(() => log.push('task')))
  loop.turn()
  expect(log).toEqual(['task'])
  clock.advanceTo(5000)
  loop.turn()
  expect(log).toEqual(['task', 'timer at 5000'])
})

test('the driver is told once of work that comes up outside a turn, never inside', () => {
  const loop = new Loop(new VirtualClock())
  let told = 0
  loop.onWork = () => told++
  loop.post(new Job(() => loop.post(new Job(() => {}))))
  loop.post(new Job(() => {}))
  loop.timers.schedule(new Timer({ onTimer: () => {} }, 0), 10)
  expect(told).toBe(1)
  loop.turn()
  expect(told).toBe(1)
  loop.timers.schedule(new Timer({ onTimer: () => {} }, 0), 5)
  expect(told).toBe(2)
})

test('what arrives while a call is held comes before what is due, and a turn follows', () => {
  const clock = new VirtualClock()
  const loop = new Loop(clock)
  const log: string[] = []
  const timer = new Timer({ onTimer: () => log.push('timer') }, 0)
  loop.timers.schedule(timer, 5000)
  loop.turn()
  clock.advanceTo(5000)
  expect(loop.enter()).toBe(false)
  loop.onCall = () => void loop.turn()
  loop.hold()
  expect([loop.enter(), loop.now, loop.isTurning]).toEqual([true, 5000, true])
  loop.post(new Job(() => log.push(`task, ${loop.enter()}`)))
  expect(loop.turn()).toBe(false)
  loop.leave()
  expect(log).toEqual([])
  expect(loop.enter()).toBe(false)
  loop.release()
  expect(log).toEqual(['timer', 'task, false'])
  // And when nothing was posted.
  loop.onCall = () => log.push('told')
  loop.hold()
  loop.enter()
  loop.leave()
  loop.release()
  expect(log.at(-1)).toBe('told')
})

test('a task that throws does not stop the loop for good', () => {
  const loop = new Loop(new VirtualClock())
  const log: string[] = []
  loop.post(
    new Job(() => {
      throw new Error('task failed')
    }),
  )
  loop.post(new Job(() => log.push('next')))
  expect(() => loop.turn()).toThrow('task failed')
  expect(loop.turn()).toBe(false)
  expect(log).toEqual(['next'])
})

test('time stands still during a turn, and its short forms wrap', () => {
  const clock = new VirtualClock()
  const loop = new Loop(clock)
  const seen: number[] = []
  loop.post(
    new Job(() => {
      clock.advanceTo(2 ** 31)
      loop.refresh()
      seen.push(loop.now)
    }),
  )
  loop.turn()
  expect(seen).toEqual([0])
  loop.refresh()
  expect([loop.now, loop.now32, loop.nowMs32]).toEqual([2 ** 31, -(2 ** 31), 2_147_483])
  clock.advanceTo(2 ** 32 + 7)
  loop.refresh()
  expect(loop.now32).toBe(7)
  clock.advanceTo((2 ** 32 + 1) * 1000)
  loop.refresh()
  expect(loop.nowMs32).toBe(1)
})

test('a virtual clock does not go back', () => {
  const clock = new VirtualClock(5)
  clock.advanceTo(10)
  clock.advanceTo(3)
  expect([clock.now(), clock.epoch]).toEqual([10, 5])
  expect([ms(2), seconds(3), MINUTE]).toEqual([2000, 3_000_000, 60_000_000])
})

test('a world joins clock, chance, memory, frames and loop', () => {
  const clock = new VirtualClock()
  const world = new World(clock, new SeededRandom(1), 64 * 1024)
  expect(world.loop.clock).toBe(clock)
  expect(world.frames.allocate(5000)).toBeNull()
  expect(world.frames.allocate(100)).not.toBeNull()
  expect(world.memory.capacity).toBe(64 * 1024)
})
