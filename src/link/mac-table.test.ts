import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SECOND } from '../core/clock.ts'
import { MacTable } from './mac-table.ts'

describe('MacTable', () => {
  test('behaves as a map whose entries age, whatever is learned and forgotten', () => {
    // Few addresses and a small table, so that places collide, wrap round and are freed in every order.
    const address = fc.tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ min: -8, max: 7 }))
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.tuple(fc.constant('learn' as const), address, fc.integer({ min: 0, max: 3 })) },
      { weight: 2, arbitrary: fc.tuple(fc.constant('wait' as const), address, fc.integer({ min: 0, max: 60 })) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('removePort' as const), address, fc.integer({ min: 0, max: 3 })) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('removeAged' as const), address, fc.constant(0)) },
    )
    fc.assert(
      fc.property(fc.array(step, { minLength: 30, maxLength: 120 }), fc.integer(), (steps, key) => {
        const table = new MacTable(32, 100, key)
        const model = new Map<number, { port: number; seen: number }>()
        let now = 0
        const id = (high: number, low: number): number => high * 0x1_0000_0000 + (low >>> 0)
        for (const [what, [high, low], n] of steps) {
          if (what === 'learn') {
            table.learn(high, low, n, now)
            model.set(id(high, low), { port: n, seen: now })
          } else if (what === 'wait') now += n
          else if (what === 'removePort') {
            table.removePort(n)
            for (const [mac, { port }] of model) if (port === n) model.delete(mac)
          } else {
            table.removeAged(now)
            for (const [mac, { seen }] of model) if (now - seen > 100) model.delete(mac)
          }
          expect(table.size).toBe(model.size)
          for (let h = 0; h <= 1; h++) {
            for (let l = -8; l < 8; l++) {
              const entry = model.get(id(h, l))
              const expected = entry === undefined || now - entry.seen > 100 ? -1 : entry.port
              expect(table.find(h, l, now)).toBe(expected)
            }
          }
        }
        const listed: [number, number, number][] = []
        table.forEach(now, (mac, port, age) => listed.push([mac, port, age]))
        const alive = [...model].filter(([, { seen }]) => now - seen <= 100)
        expect(listed.sort((a, b) => a[0] - b[0])).toEqual(
          alive.map(([mac, { port, seen }]) => [mac, port, now - seen]).sort((a, b) => a[0]! - b[0]!),
        )
        table.clear()
        expect([table.size, table.find(0, 0, now)]).toEqual([0, -1])
      }),
      { numRuns: 200 },
    )
  })

  test('a full table stays sound while what has aged makes room', () => {
    const step = fc.tuple(
      fc.integer({ min: 0, max: 31 }),
      fc.integer({ min: 0, max: 3 }),
      fc.integer({ min: 0, max: 2 }),
    )
    fc.assert(
      fc.property(fc.array(step, { minLength: 50, maxLength: 150 }), fc.integer(), (steps, key) => {
        const table = new MacTable(8, 5 * SECOND, key)
        const last = new Map<number, number>()
        let now = 0
        for (const [low, port, wait] of steps) {
          now += wait * SECOND
          table.learn(2, low, port, now)
          const known = table.find(2, low, now) >= 0
          if (known) last.set(low, port)
          expect(table.size).toBeLessThanOrEqual(8)
          expect(known || table.size === 8).toBe(true)
          const listed: number[] = []
          table.forEach(now, (mac, at) => {
            listed.push(mac)
            expect(table.find(2, mac % 0x1_0000_0000, now)).toBe(at)
            expect(at).toBe(last.get(mac % 0x1_0000_0000))
          })
          expect(new Set(listed).size).toBe(listed.length)
        }
      }),
      { numRuns: 200 },
    )
  })

  test('a full table learns nothing new, until something in it has aged', () => {
    const table = new MacTable(3, 300 * SECOND, 0)
    for (let i = 0; i < 5; i++) table.learn(2, i, i, i * SECOND)
    expect([0, 1, 2, 3, 4].map((i) => table.find(2, i, 5 * SECOND))).toEqual([0, 1, 2, -1, -1])
    expect([table.size, table.overflows]).toEqual([3, 2])
    // A known address may still move.
    table.learn(2, 1, 9, 6 * SECOND)
    expect(table.find(2, 1, 6 * SECOND)).toBe(9)
    // After 300 s the first is gone.
    table.learn(2, 7, 7, 300 * SECOND)
    expect(table.find(2, 7, 300 * SECOND)).toBe(-1)
    table.learn(2, 7, 7, 300 * SECOND + 1)
    expect(table.find(2, 7, 300 * SECOND + 1)).toBe(-1)
    table.learn(2, 7, 7, 301.5 * SECOND)
    expect(table.find(2, 7, 301.5 * SECOND)).toBe(7)
    expect(table.size).toBe(3)
  })

  test('takes as many as it says, however they hash', () => {
    const table = new MacTable(1000, SECOND, 12345)
    for (let i = 0; i < 1000; i++) table.learn(i & 0xffff, i * 0x1_0001, i % 48, 0)
    expect([table.size, table.overflows]).toEqual([1000, 0])
    for (let i = 0; i < 1000; i++) expect(table.find(i & 0xffff, (i * 0x1_0001) | 0, 0)).toBe(i % 48)
  })
})
