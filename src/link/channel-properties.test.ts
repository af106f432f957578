import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CableOptions } from './cable.ts'
import type { ImpairmentOptions } from './impairment.ts'
import { cableTest } from './testing.ts'

const share = fc.oneof(fc.constant(0), fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true }))
const sometimes = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined })
const anyImpairment = {
  delay: sometimes(fc.double({ min: 0, max: 30, noNaN: true })),
  jitter: sometimes(fc.double({ min: 0, max: 10, noNaN: true })),
  jitterShape: fc.constantFrom<'uniform' | 'normal'>('uniform', 'normal'),
  rate: sometimes(fc.double({ min: 1e4, max: 1e9, noNaN: true })),
  queue: sometimes(fc.integer({ min: 0, max: 20 })),
  queueBytes: sometimes(fc.integer({ min: 0, max: 5000 })),
  loss: sometimes(share),
  burst: sometimes(fc.record({ enter: share, leave: share, lossGood: share, lossBad: share })),
  duplicate: sometimes(share),
  reorder: sometimes(share),
  reorderDelay: fc.double({ min: 0.001, max: 20, noNaN: true }),
  corrupt: fc.constant(0),
  mtu: sometimes(fc.integer({ min: 40, max: 1500 })),
}

type Step =
  | { readonly do: 'send'; readonly count: number; readonly length: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'impair'; readonly impairment: ImpairmentOptions }
  | { readonly do: 'up'; readonly up: boolean }
  | { readonly do: 'filter'; readonly every: number }
  | { readonly do: 'release'; readonly count: number }

const send = fc
  .record({ count: fc.integer({ min: 1, max: 100 }), length: fc.integer({ min: 18, max: 1514 }) })
  .map<Step>((step) => ({ do: 'send', ...step }))
const wait = fc.double({ min: 0, max: 15, noNaN: true }).map<Step>((ms) => ({ do: 'wait', ms }))
const upOrDown = fc.boolean().map<Step>((up) => ({ do: 'up', up }))
const filter = fc.integer({ min: 0, max: 4 }).map<Step>((every) => ({ do: 'filter', every }))
const release = fc.integer({ min: 0, max: 50 }).map<Step>((count) => ({ do: 'release', count }))

/** Scripts of things that happen to a channel. */
const scripts = (impairment: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Step[]> => {
  const impair = fc.record(impairment).map<Step>((some) => ({ do: 'impair', impairment: some as ImpairmentOptions }))
  return fc.array(
    fc.oneof(
      { weight: 4, arbitrary: send },
      { weight: 4, arbitrary: wait },
      { weight: 2, arbitrary: impair },
      { weight: 1, arbitrary: upOrDown },
    ),
    { minLength: 1, maxLength: 30 },
  )
}

/** The same, with frames put on hold and let go. */
const scriptsWithHold = (impairment: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Step[]> =>
  fc
    .tuple(scripts(impairment), fc.array(fc.tuple(fc.nat(), fc.oneof(filter, release)), { maxLength: 5 }))
    .map(([steps, holds]) => {
      const all = [...steps]
      for (const [at, step] of holds) all.splice(at % (all.length + 1), 0, step)
      return all
    })

/** Plays a script and checks the sums after each step, and that nothing is left at the end. */
const play = (script: readonly Step[], seed: number, options: CableOptions = {}) => {
  const s = cableTest(options, seed)
  let sent = 0
  let filtered = 0
  const check = (): void => {
    const { statistics, channel, world } = s
    expect(statistics.sent).toBe(sent)
    expect(statistics.delivered).toBe(s.received.arrivals.length)
    expect(sent + statistics.duplicated).toBe(statistics.delivered + statistics.dropped + channel.inFlight)
    expect(world.frames.inUse).toBe(channel.inFlight)
  }
  for (const step of script) {
    if (step.do === 'send') for (let i = 0; i < step.count; i++) s.cable.a.send(s.world.numbered(sent++, step.length))
    else if (step.do === 'wait') s.world.runUntil(s.world.loop.now + step.ms * 1000)
    else if (step.do === 'impair') s.channel.impair(step.impairment)
    else if (step.do === 'up') s.channel.setUp(step.up)
    else if (step.do === 'release') s.channel.releaseHeld(step.count)
    else
      s.channel.filter =
        step.every === 0 ? null : () => (['pass', 'drop', 'hold'] as const)[(++filtered % step.every) % 3]!
    check()
  }
  s.channel.dropHeld()
  s.world.runOut()
  check()
  expect(s.channel.inFlight).toBe(0)
  expect(s.world.loop.timers.size).toBe(0)
  const { numbers, arrivals } = s.received
  return { numbers, arrivals, statistics: s.statistics }
}

describe('whatever happens', () => {
  test('every frame is accounted for, and none is left over', () => {
    fc.assert(
      fc.property(
        scriptsWithHold({ ...anyImpairment, corrupt: sometimes(share), corruptBits: fc.integer({ min: 1, max: 9 }) }),
        fc.integer({ min: 0 }),
        fc.boolean(),
        (script, seed, fcs) => {
          play(script, seed, { fcs })
        },
      ),
      { numRuns: 150 },
    )
  })

  test('frames keep their order unless reordering is asked for', () => {
    fc.assert(
      fc.property(scripts({ ...anyImpairment, reorder: fc.constant(0) }), fc.integer({ min: 0 }), (script, seed) => {
        const { numbers } = play(script, seed)
        expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
      }),
      { numRuns: 60 },
    )
  })

  test('the same seed gives the same bytes at the same times, another seed does not', () => {
    const script: Step[] = []
    for (let i = 0; i < 20; i++) {
      script.push({ do: 'send', count: 20, length: 200 }, { do: 'wait', ms: 3.3 })
      if (i === 10) script.push({ do: 'impair', impairment: { delay: 1, reorder: 0.3, corrupt: 0.3 } })
    }
    const impairment: ImpairmentOptions = {
      delay: 7,
      jitter: 3,
      jitterShape: 'normal',
      rate: 5e6,
      queue: 30,
      loss: 0.05,
      burst: { enter: 0.05, leave: 0.5 },
      duplicate: 0.1,
      reorder: 0.1,
      corrupt: 0.1,
      corruptBits: 3,
    }
    const run = (seed: number) => play(script, seed, { impairment })
    expect(run(123)).toEqual(run(123))
    expect(run(124).arrivals).not.toEqual(run(123).arrivals)
  })
})
