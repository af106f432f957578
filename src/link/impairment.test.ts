import { describe, expect, test } from 'vitest'
import { parseImpairment } from './impairment.ts'

describe('parseImpairment', () => {
  test('nothing asked for is nothing done', () => {
    expect(parseImpairment({})).toEqual({
      delay: 0,
      jitter: 0,
      normal: false,
      rate: 0,
      overhead: -1,
      queue: 1000,
      queueBytes: Number.POSITIVE_INFINITY,
      loss: 0,
      burst: null,
      duplicate: 0,
      reorder: 0,
      reorderDelay: 1000,
      corrupt: 0,
      corruptBits: 1,
      mtu: Number.POSITIVE_INFINITY,
      none: true,
      perSegment: false,
      even: true,
    })
  })

  test('milliseconds become microseconds; rates and shares stay', () => {
    const parsed = parseImpairment({ delay: 20, jitter: 0.5, jitterShape: 'normal', rate: 10e6, loss: 0.01 })
    expect(parsed).toMatchObject({ delay: 20_000, jitter: 500, normal: true, rate: 10e6, loss: 0.01, none: false })
  })

  test.each([
    [{ delay: 20, jitter: 3 }, false],
    [{ rate: 1e6 }, true],
    [{ loss: 0.1 }, true],
    [{ burst: { enter: 0.1, leave: 0.5 } }, true],
    [{ duplicate: 0.1 }, true],
    [{ reorder: 0.1 }, true],
    [{ corrupt: 0.1 }, true],
    [{ mtu: 1000 }, true],
  ])('%j: segments fare differently: %s', (options, perSegment) => {
    expect(parseImpairment(options)).toMatchObject({ perSegment, none: false })
  })

  test('a burst has a good state without loss and a bad one without survivors unless told otherwise', () => {
    expect(parseImpairment({ burst: { enter: 0.01, leave: 0.25 } }).burst).toEqual({
      enter: 0.01,
      leave: 0.25,
      lossGood: 0,
      lossBad: 1,
    })
  })

  test.each<[unknown, string]>([
    [null, 'impairment must be an object, not null'],
    [[], 'impairment must be an object, not an array'],
    ['lossy', 'impairment must be an object, not "lossy"'],
    [{ loss: 1.5 }, 'impairment.loss must be a fraction from 0 to 1, not 1.5'],
    [{ loss: '1%' }, 'impairment.loss must be a fraction from 0 to 1, not "1%"'],
    [{ duplicate: Number.NaN }, 'impairment.duplicate must be a fraction from 0 to 1, not NaN'],
    [{ reorder: -0.1 }, 'impairment.reorder must be a fraction from 0 to 1, not -0.1'],
    [{ corrupt: {} }, 'impairment.corrupt must be a fraction from 0 to 1, not an object'],
    [{ delay: -1 }, 'impairment.delay must be a number from 0 on, not -1'],
    [{ delay: Number.POSITIVE_INFINITY }, 'impairment.delay must be a number from 0 on, not Infinity'],
    [{ jitter: null }, 'impairment.jitter must be a number from 0 on, not null'],
    [{ jitterShape: 'gauss' }, `impairment.jitterShape must be 'uniform' or 'normal', not "gauss"`],
    [{ rate: 0 }, 'impairment.rate must be a number from 1 on, not 0'],
    [{ reorderDelay: 0 }, 'impairment.reorderDelay must be a number above 0, not 0'],
    [{ queue: 1.5 }, 'impairment.queue must be a whole number from 0 on, not 1.5'],
    [{ queueBytes: -1 }, 'impairment.queueBytes must be a whole number from 0 on, not -1'],
    [{ overhead: -1 }, 'impairment.overhead must be a whole number from 0 on, not -1'],
    [{ corruptBits: 65 }, 'impairment.corruptBits must be a whole number from 1 to 64, not 65'],
    [{ mtu: 0 }, 'impairment.mtu must be a whole number from 1 on, not 0'],
    [{ burst: 0.1 }, 'impairment.burst must be an object, not 0.1'],
    [{ burst: { enter: 0.1 } }, 'impairment.burst.leave must be a fraction from 0 to 1, not undefined'],
    [{ burst: { enter: 2, leave: 1 } }, 'impairment.burst.enter must be a fraction from 0 to 1, not 2'],
    [
      { burst: { enter: 0, leave: 1, p: 1 } },
      'impairment.burst.p is unknown; there are enter, leave, lossGood, lossBad',
    ],
    [{ delay: 'x'.repeat(100) }, `impairment.delay must be a number from 0 on, not "${'x'.repeat(39)}…`],
  ])('%j is refused in one line', (options, message) => {
    expect(() => parseImpairment(options)).toThrow(new TypeError(message))
  })

  test('a field that does not exist is named, and so are those that do', () => {
    expect(() => parseImpairment({ dealy: 20 })).toThrow(/^impairment\.dealy is unknown; there are delay, jitter, /)
  })
})
