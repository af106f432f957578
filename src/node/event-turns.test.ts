import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { runTicks } from './bindings.ts'
import { EventTurns } from './event-turns.ts'

/** What `performance.now` says: events take no time but what a test lets pass. */
let now = 0
beforeEach(() => void vi.spyOn(performance, 'now').mockImplementation(() => now))
afterEach(() => void vi.restoreAllMocks())

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('a turn is a tick of its own, when no other and no microtask is left', async () => {
  const turns = new EventTurns()
  const order: string[] = []
  const done = new Promise<void>((resolve) => {
    setImmediate(() => {
      setImmediate(() => {
        order.push('immediate')
        resolve()
      })
      turns.schedule(() => {
        order.push('event')
        process.nextTick(() => order.push('tick of the event'))
        runTicks()
        order.push('event goes on')
      })
      turns.schedule(() => order.push('next event'))
      process.nextTick(() => {
        order.push('tick')
        queueMicrotask(() => order.push('microtask'))
      })
      order.push('program')
    })
  })
  await done
  expect(order).toEqual([
    'program',
    'tick',
    'microtask',
    'event',
    'tick of the event',
    'event goes on',
    'next event',
    'immediate',
  ])
})

test('a turn that is asked for in a turn waits until that one is over', async () => {
  const turns = new EventTurns()
  const order: string[] = []
  turns.schedule(() => {
    process.nextTick(() => turns.schedule(() => order.push('second')))
    runTicks()
    order.push('first')
  })
  await immediate()
  expect(order).toEqual(['first', 'second'])
})

test('events that keep coming leave the event loop its turns', async () => {
  const turns = new EventTurns()
  let events = 0
  let going = true
  const next = (): void => {
    events++
    if (going) turns.schedule(next)
  }
  turns.schedule(next)
  const seen: number[] = []
  for (let i = 0; i < 4; i++) {
    await immediate()
    seen.push(events)
  }
  going = false
  await immediate()
  expect(seen.slice(1).map((count, i) => count - seen[i]!)).toEqual([64, 64, 64])
})

test('an event that takes long is the last before the event loop has its turn', async () => {
  const turns = new EventTurns()
  const order: string[] = []
  const long = (): void => {
    order.push('event')
    now += 3
  }
  for (let i = 0; i < 3; i++) turns.schedule(long)
  setImmediate(() => order.push('immediate'))
  while (order.length < 4) await immediate()
  expect(order.slice(0, 2)).toEqual(['event', 'immediate'])
})

test('an event that throws leaves the rest their turns', async () => {
  const turns = new EventTurns()
  const order: string[] = []
  const failed: unknown[] = []
  process.setUncaughtExceptionCaptureCallback((error) => failed.push(error))
  try {
    turns.schedule(() => {
      throw new Error('of the program')
    })
    turns.schedule(() => order.push('next'))
    for (let i = 0; i < 5 && order.length === 0; i++) await immediate()
  } finally {
    process.setUncaughtExceptionCaptureCallback(null)
  }
  expect(failed).toEqual([new Error('of the program')])
  expect(order).toEqual(['next'])
})
