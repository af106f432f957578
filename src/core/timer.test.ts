import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Timer, TimerWheel } from './timer.ts'

const TICK = 1024
const DAY = 86_400_000_000
/** Microseconds that the wheel goes round in: 64^5 ticks, 12.7 days. */
const ROUND = 64 ** 5 * TICK

/** Drives a wheel as a run loop does, and checks it against a plain list. */
class Bench {
  readonly wheel = new TimerWheel()
  now = 0
  readonly timers: Timer[] = []
  /** What has fired: index of the timer and when. */
  readonly fired: [index: number, at: number][] = []
  /** The list: what is set, with its deadline and the order of setting. */
  readonly model = new Map<number, { deadline: number; order: number }>()
  private orders = 0

  constructor(count: number, start = 0) {
    this.now = start
    for (let i = 0; i < count; i++) {
      this.timers.push(new Timer({ onTimer: (kind) => this.fired.push([kind, this.now]) }, i))
    }
  }

  set(index: number, delay: number): void {
    this.wheel.schedule(this.timers[index]!, this.now + delay)
    this.model.set(index, { deadline: this.now + delay, order: this.orders++ })
    this.check()
  }

  cancel(index: number): void {
    this.wheel.cancel(this.timers[index]!)
    this.model.delete(index)
    this.check()
  }

  pause(index: number): void {
    this.wheel.pause(this.timers[index]!)
    this.model.delete(index)
    this.check()
  }

  /** Lets time pass up to `to`, firing whenever the wheel asks for it. @returns how often it did */
  advance(to: number): number {
    const expected = [...this.model]
      .filter(([, { deadline }]) => deadline <= to)
      .sort(([, a], [, b]) => a.deadline - b.deadline || a.order - b.order)
      .map(([index, { deadline }]) => [index, Math.max(deadline, this.now)])
    const before = this.fired.length
    let wakes = 0
    for (let wake = this.wheel.nextWake(); wake <= to; wake = this.wheel.nextWake()) {
      this.now = Math.max(this.now, wake)
      this.wheel.fire(this.now)
      if (++wakes > 100_000) throw new Error('the wheel asks again and again')
    }
    this.now = to
    for (const [index] of expected) this.model.delete(index!)
    expect(this.fired.slice(before)).toEqual(expected)
    this.check()
    return wakes
  }

  private check(): void {
    expect(this.wheel.size).toBe(this.model.size)
    const first = Math.min(Number.POSITIVE_INFINITY, ...[...this.model.values()].map(({ deadline }) => deadline))
    expect(this.wheel.nextWake()).toBeLessThanOrEqual(first)
    for (const [index, timer] of this.timers.entries()) {
      expect(timer.deadline).toBe(this.model.get(index)?.deadline ?? Number.POSITIVE_INFINITY)
      expect(timer.isSet).toBe(this.model.has(index))
    }
  }
}

/** Delays around every boundary of the wheel, and beyond its reach. */
const delay = fc
  .tuple(
    fc.constantFrom(0, 1, 63, 64, 65, 64 ** 2, 64 ** 3, 64 ** 4, 63 * 64 ** 4, 64 ** 5, 65 * 64 ** 4, 3 * 64 ** 5),
    fc.integer({ min: -3 * TICK, max: 3 * TICK }),
    fc.integer({ min: 0, max: 5 }),
  )
  .map(([ticks, fine, times]) => ticks * TICK * Math.max(1, times) + fine)
  .map((d) => Math.max(-5000, d))

const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ set: fc.nat(7), delay }) },
    { weight: 1, arbitrary: fc.record({ cancel: fc.nat(7) }) },
    { weight: 1, arbitrary: fc.record({ pause: fc.nat(7) }) },
    { weight: 1, arbitrary: fc.record({ set: fc.nat(7), delay: fc.nat(3 * TICK) }) },
    { weight: 2, arbitrary: fc.record({ pass: delay }) },
  ) as fc.Arbitrary<{ set: number; delay: number } | { cancel: number } | { pause: number } | { pass: number }>,
  { maxLength: 60 },
)
const start = fc.constantFrom(0, 5, 64 * TICK - 1, ROUND - 1, ROUND - 3 * TICK, 5 * ROUND - 64 * TICK, 400 * DAY)

test('timers fire at their deadlines, in order of deadline and setting; none is lost', () => {
  fc.assert(
    fc.property(start, steps, (from, list) => {
      const bench = new Bench(8, from)
      for (const step of list) {
        if ('set' in step) bench.set(step.set, step.delay)
        else if ('cancel' in step) bench.cancel(step.cancel)
        else if ('pause' in step) bench.pause(step.pause)
        else bench.advance(bench.now + Math.max(0, step.pass))
      }
      bench.advance(bench.now + 20 * ROUND)
      expect([bench.wheel.size, bench.wheel.nextWake()]).toEqual([0, Number.POSITIVE_INFINITY])
    }),
    { numRuns: 400 },
  )
})

test('a late turn fires everything that is due at once, in order', () => {
  fc.assert(
    fc.property(fc.array(delay, { minLength: 1, maxLength: 30 }), (delays) => {
      const bench = new Bench(delays.length)
      for (const [index, d] of delays.entries()) bench.wheel.schedule(bench.timers[index]!, d)
      const last = Math.max(...delays, 0)
      bench.now = last
      bench.wheel.fire(last)
      const order = [...delays.keys()].sort((a, b) => delays[a]! - delays[b]! || a - b)
      expect(bench.fired.map(([index]) => index)).toEqual(order)
    }),
  )
})

test('a deadline across the end of a round is as near as it is', () => {
  const bench = new Bench(1, ROUND - TICK)
  bench.set(0, 2 * TICK)
  bench.advance(ROUND + TICK)
  expect(bench.fired).toEqual([[0, ROUND + TICK]])
})

test('moving a timer later does nothing but write; it does not fire early', () => {
  const bench = new Bench(1)
  bench.set(0, 10_000)
  for (let i = 1; i < 100; i++) {
    bench.advance(i * 1000)
    bench.set(0, 10_000)
  }
  expect(bench.fired).toEqual([])
  bench.advance(1_000_000)
  expect(bench.fired).toEqual([[0, 109_000]])
})

test('a paused timer stays in its slot, wakes nobody by itself, and leaves when the slot comes up or it is cancelled', () => {
  const bench = new Bench(3)
  const [first, second] = bench.timers as [Timer, Timer, Timer]
  bench.set(0, 10_000)
  bench.set(1, 10_000)
  const { slot } = first
  bench.pause(0)
  bench.pause(1)
  expect([bench.wheel.size, first.slot, second.slot, first.isSet]).toEqual([0, slot, slot, false])
  bench.set(0, 12_000)
  expect(first.slot).toBe(slot)
  bench.cancel(1)
  expect(second.slot).toBe(-1)
  bench.pause(0)
  bench.set(2, 50_000)
  bench.advance(60_000)
  expect([bench.fired, first.slot]).toEqual([[[2, 50_000]], -1])
  bench.set(0, 100)
  bench.pause(0)
  expect(bench.advance(DAY)).toBeLessThan(2)
  expect(bench.wheel.nextWake()).toBe(Number.POSITIVE_INFINITY)
})

test('moving a timer earlier within its tick is not missed', () => {
  const bench = new Bench(1)
  let told = 0
  bench.wheel.onEarlier = () => told++
  bench.set(0, 3071)
  bench.set(0, 2048)
  expect(told).toBe(2)
  bench.advance(10_000)
  expect(bench.fired).toEqual([[0, 2048]])
})

test('whoever sleeps is told of an earlier deadline, and only of that', () => {
  const wheel = new TimerWheel()
  let told = 0
  wheel.onEarlier = () => told++
  const timers = [0, 1, 2].map((kind) => new Timer({ onTimer: () => {} }, kind))
  wheel.schedule(timers[0]!, 5_000_000)
  expect(told).toBe(1)
  wheel.schedule(timers[1]!, 9_000_000)
  expect(told).toBe(1)
  wheel.schedule(timers[1]!, 5_000_000)
  expect(told).toBe(1)
  wheel.schedule(timers[2]!, 1_000)
  expect(told).toBe(2)
  wheel.schedule(timers[1]!, 10)
  expect(told).toBe(3)
  expect(wheel.nextWake()).toBeLessThanOrEqual(10)
})

test('timers may set, move and cancel timers while they fire', () => {
  const wheel = new TimerWheel()
  const log: string[] = []
  const timer = (name: string, action: () => void): Timer =>
    new Timer(
      {
        onTimer: () => {
          log.push(name)
          action()
        },
      },
      0,
    )
  const d = timer('d', () => {})
  const c = timer('c', () => {})
  const b = timer('b', () => {})
  const a = timer('a', () => {
    wheel.cancel(b)
    wheel.schedule(c, 3000)
    wheel.schedule(d, 0)
  })
  wheel.schedule(a, 1000)
  wheel.schedule(b, 1000)
  wheel.schedule(c, 1000)
  wheel.fire(1000)
  expect(log).toEqual(['a', 'd'])
  wheel.fire(2999)
  expect(log).toEqual(['a', 'd'])
  wheel.fire(3000)
  expect(log).toEqual(['a', 'd', 'c'])
  expect(wheel.size).toBe(0)
})

test('a timer that sets itself again fires at every period', () => {
  const wheel = new TimerWheel()
  const times: number[] = []
  let now = 0
  const timer: Timer = new Timer(
    {
      onTimer: () => {
        times.push(now)
        wheel.schedule(timer, now + 200_000)
      },
    },
    0,
  )
  wheel.schedule(timer, 200_000)
  for (let wake = wheel.nextWake(); wake <= 1_000_000; wake = wheel.nextWake()) {
    now = wake
    wheel.fire(now)
  }
  expect(times).toEqual([200_000, 400_000, 600_000, 800_000, 1_000_000])
})

test('a deadline at infinity cancels', () => {
  const bench = new Bench(1)
  bench.set(0, 1000)
  bench.wheel.schedule(bench.timers[0]!, Number.POSITIVE_INFINITY)
  expect([bench.wheel.size, bench.timers[0]!.isSet]).toEqual([0, false])
  bench.wheel.fire(10_000)
  expect(bench.fired).toEqual([])
  bench.wheel.schedule(bench.timers[0]!, Number.POSITIVE_INFINITY)
  expect([bench.wheel.size, bench.wheel.nextWake()]).toEqual([0, Number.POSITIVE_INFINITY])
})

test('few wakes go by for a far deadline', () => {
  const bench = new Bench(1)
  bench.set(0, 7_200_000_000)
  expect(bench.advance(7_200_000_000)).toBeLessThanOrEqual(6)
  expect(bench.fired).toEqual([[0, 7_200_000_000]])
})

test('cancelling thousands of timers of one tick, in any order, leaves the others', () => {
  const bench = new Bench(2000)
  for (const [i, timer] of bench.timers.entries()) bench.wheel.schedule(timer, 500 + ((i * 37) % 400))
  for (let i = 0; i < 2000; i++) if (i % 3 !== 0) bench.wheel.cancel(bench.timers[(i * 7) % 2000]!)
  bench.now = 1000
  bench.wheel.fire(1000)
  const left = [...Array(2000).keys()].filter((i) => i % 3 === 0).map((i) => (i * 7) % 2000)
  const order = left.sort((a, b) => ((a * 37) % 400) - ((b * 37) % 400) || a - b)
  expect(bench.fired.map(([index]) => index)).toEqual(order)
})

test('a timer that is given to another is his, and nobody has it while it waits for one', () => {
  const fired: string[] = []
  const owner = (name: string) => ({ onTimer: (kind: number) => fired.push(`${name} ${kind}`) })
  const wheel = new TimerWheel()
  const timer = new Timer(owner('first'), 1)
  wheel.schedule(timer, 5000)
  wheel.cancel(timer)
  timer.give(null, 0).fire()
  wheel.schedule(timer.give(owner('second'), 2), 4000)
  wheel.fire(10_000)
  expect(fired).toEqual(['second 2'])
})
