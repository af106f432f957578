import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { drawQueues } from './queues.ts'

describe('drawQueues', () => {
  it('draws the three queues of the catalogue', () => {
    expect(drawQueues({ sends: [1000, 2000, 5000], sendQ: 6500, recvQ: 1500, delivered: 0 }, { width: 61 })).toBe(
      [
        'SendQ          6500  ▒▒▒▒▒▒▒▒▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓',
        'RecvQ          1500  █████▒▒▒▒',
        'Delivered         0',
        'sends                █ 1000  ▒ 2000  ▓ 5000',
        '',
      ].join('\n'),
    )
  })

  it('draws with letters, and shows what is in flight', () => {
    const view = { sends: [10, 10, 20], sendQ: 25, inFlight: 10, recvQ: 5, delivered: 10 }
    expect(drawQueues(view, { width: 41, ascii: true })).toBe(
      [
        'SendQ            25  bbbcccccccccc',
        'in flight        10  bbbccc',
        'RecvQ             5  bbb',
        'Delivered        10  aaaaa',
        'sends                a 10  b 10  c 20',
        '',
      ].join('\n'),
    )
  })

  it('shows nothing of nothing', () => {
    expect(drawQueues({ sends: [], sendQ: 0, recvQ: 0, delivered: 0 })).toBe(
      'SendQ             0\nRecvQ             0\nDelivered         0\n',
    )
  })

  it('keeps to its width, gives every send in a queue a cell, and never shows one that is not there', () => {
    const view = fc.record({
      sends: fc.array(fc.integer({ min: 1, max: 100_000 }), { maxLength: 60 }),
      a: fc.float({ min: 0, max: 1, noNaN: true }),
      b: fc.float({ min: 0, max: 1, noNaN: true }),
    })
    fc.assert(
      fc.property(view, fc.integer({ min: 40, max: 200 }), fc.boolean(), ({ sends, a, b }, width, ascii) => {
        const total = sends.reduce((sum, bytes) => sum + bytes, 0)
        const delivered = Math.floor(Math.min(a, b) * total)
        const recvQ = Math.floor(Math.max(a, b) * total) - delivered
        const sendQ = total - delivered - recvQ
        const text = drawQueues({ sends, sendQ, recvQ, delivered }, { width, ascii })
        for (const line of text.split('\n')) expect([...line].length).toBeLessThanOrEqual(width)
        const [send, receive, done] = text.split('\n').map((line) => line.slice(21))
        for (const [bytes, bar] of [
          [sendQ, send],
          [recvQ, receive],
          [delivered, done],
        ] as const) {
          expect(bar!.length > 0).toBe(bytes > 0)
        }
        if (ascii && sends.length <= 10 && delivered > 0) {
          const whole = sends.findIndex((_, i) => sends.slice(0, i + 1).reduce((x, y) => x + y, 0) >= delivered)
          expect(new Set(done).size).toBe(whole + 1)
        }
      }),
    )
  })
})
