import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkConnection } from '../../test/support/invariants.ts'
import { established } from '../../test/support/tcp.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { SendQueue, type SendRecord, SendRecordPool } from './send-queue.ts'

const bases = fc.constantFrom(0, 0x7fff_ffff - 50, -0x8000_0000, -50, -1)

/** What is done to a queue; `at` picks a record. */
const action = fc.record({
  kind: fc.constantFrom('push', 'shift', 'pop', 'split', 'remove', 'send', 'trim'),
  at: fc.nat(1000),
  length: fc.integer({ min: 1, max: 9 }),
})

/** The model: an array of records and how many of them are sent. */
interface Model {
  records: SendRecord[]
  sent: number
}

const check = (queue: SendQueue, model: Model): void => {
  expect(queue.length).toBe(model.records.length)
  expect(queue.sentCount).toBe(model.sent)
  model.records.forEach((record, i) => {
    expect(queue.at(i)).toBe(record)
  })
  expect(queue.first).toBe(model.records[0] ?? null)
  expect(queue.last).toBe(model.records.at(-1) ?? null)
  expect(queue.firstSent).toBe(model.sent > 0 ? model.records[0] : null)
  expect(queue.lastSent).toBe(model.sent > 0 ? model.records[model.sent - 1] : null)
  expect(queue.firstUnsent).toBe(model.records[model.sent] ?? null)
  expect(queue.hasUnsent).toBe(model.sent < model.records.length)
}

describe('the row of records', () => {
  it('does what an array does, and finds every number, wherever the numbers go round', () => {
    fc.assert(
      fc.property(bases, fc.array(action, { maxLength: 60 }), (base, actions) => {
        const pool = new SendRecordPool()
        const queue = new SendQueue()
        const model: Model = { records: [], sent: 0 }
        const { records } = model
        let end = base
        for (const { kind, at, length } of actions) {
          const index = records.length === 0 ? 0 : at % records.length
          if (kind === 'push') {
            const record = pool.take(end, (end + length) | 0, 0)
            end = record.end
            records.push(record)
            queue.push(record)
          } else if (records.length === 0) {
            queue.trim()
          } else if (kind === 'shift') {
            pool.give(records.shift()!)
            queue.shift()
            model.sent = Math.max(0, model.sent - 1)
          } else if (kind === 'pop') {
            end = records.at(-1)!.seq
            pool.give(records.pop()!)
            queue.pop()
            model.sent = Math.min(model.sent, records.length)
          } else if (kind === 'split') {
            const record = records[index]!
            if (record.length < 2) continue
            const rest = pool.take((record.seq + 1) | 0, record.end, 0)
            record.end = rest.seq
            records.splice(index + 1, 0, rest)
            queue.insertAfter(index, rest)
            if (index < model.sent) model.sent++
          } else if (kind === 'remove') {
            // Joined to the one before it.
            if (index === 0 || index === model.sent) continue
            records[index - 1]!.end = records[index]!.end
            pool.give(records[index]!)
            records.splice(index, 1)
            queue.removeAt(index)
            if (index < model.sent) model.sent--
          } else if (kind === 'send') {
            if (model.sent === records.length) continue
            model.sent++
            queue.sentCount++
          }
          check(queue, model)
          expect(pool.inUse).toBe(records.length)
        }
        for (const [i, record] of records.entries()) {
          for (let seq = record.seq; seq !== record.end; seq = (seq + 1) | 0) expect(queue.indexOf(seq)).toBe(i)
        }
        expect(queue.indexOf(end)).toBe(records.length)
      }),
      { numRuns: 300 },
    )
  })

  it('a record knows its length in numbers and in bytes: SYN and FIN count one and are none', () => {
    const pool = new SendRecordPool()
    const fin = pool.take(-5, 6, TcpFlag.Fin)
    expect([fin.length, fin.dataLength]).toEqual([11, 10])
    const plain = pool.take(0x7fff_ffff, -0x8000_0000, 0)
    expect([plain.length, plain.dataLength]).toEqual([1, 1])
  })

  it('records come back clean from the pool', () => {
    const pool = new SendRecordPool()
    const record = pool.take(1, 2, TcpFlag.Fin)
    record.sacked = 7
    record.marks = 1
    record.segments = 3
    pool.give(record)
    const again = pool.take(5, 9, 0)
    expect(again).toBe(record)
    expect([again.seq, again.end, again.flags, again.sacked, again.marks, again.segments]).toEqual([5, 9, 0, 0, 0, 0])
  })
})

describe('a stream through a connection, acknowledged in any way', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('write' as const), n: fc.integer({ min: 1, max: 4000 }) }),
    fc.record({ kind: fc.constant('ack' as const), n: fc.nat(6000) }),
    fc.record({ kind: fc.constant('sack' as const), n: fc.nat(6000), length: fc.integer({ min: 1, max: 2500 }) }),
    fc.record({ kind: fc.constant('wait' as const), n: fc.integer({ min: 1, max: 400_000 }) }),
    fc.record({ kind: fc.constant('window' as const), n: fc.integer({ min: 0, max: 20_000 }) }),
  )

  it('every segment carries the bytes that were written at its place, all of them arrive, and nothing is left', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 50 }),
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 1, max: 20 }),
        (steps, sack, offload, seed) => {
          const s = established({ mss: 500, rtt: 5000, sack, offload, nodelay: true, seed, sendBuffer: 1_000_000 })
          let written = ''
          let window = 20_000
          const nxt = (): number => (s.connection.snd.nxt - s.connection.snd.iss) | 0
          const una = (): number => (s.connection.snd.una - s.connection.snd.iss) | 0
          const look = (): void => {
            for (const { seq, payload } of s.sent()) {
              if (payload.length > 0) expect(payload).toBe(written.slice(seq - 1, seq - 1 + payload.length))
            }
            checkConnection(s.connection)
          }
          for (const step of steps) {
            if (step.kind === 'write') {
              const text = Array.from({ length: step.n }, (_, i) =>
                String.fromCharCode(33 + (((written.length + i) * 31) % 90)),
              ).join('')
              written += text
              expect(s.send(text)).toBe(step.n)
            } else if (step.kind === 'ack') {
              s.receive({ flags: 'A', seq: 1, ack: Math.min(nxt(), una() + step.n), window })
            } else if (step.kind === 'sack') {
              const left = Math.min(nxt() - 1, una() + step.n)
              const right = Math.min(nxt(), left + step.length)
              const blocks: [number, number][] = sack && right > left ? [[left, right]] : []
              s.receive({ flags: 'A', seq: 1, ack: una(), window, sack: blocks })
            } else if (step.kind === 'wait') {
              s.advance(step.n)
            } else {
              window = step.n
              s.receive({ flags: 'A', seq: 1, ack: una(), window })
            }
            look()
          }
          s.shutdown()
          for (let i = 0; i < 400 && s.connection.sendQueueBytes > 0; i++) {
            s.receive({ flags: 'A', seq: 1, ack: nxt(), window: 20_000 })
            s.advance(1000)
            look()
          }
          expect(una()).toBe(written.length + 2)
          expect(s.state).toBe('FIN_WAIT2')
          s.close(true)
          s.listener!.close()
          s.expectNothingLeft()
        },
      ),
      { numRuns: 80 },
    )
  })

  it('numbers go round 2^31 and 2^32 in the middle of the stream', () => {
    for (const isn of [0x7fff_ff00, -0x100]) {
      const s = established({ mss: 500, isn })
      const text = Array.from({ length: 3000 }, (_, i) => String.fromCharCode(33 + (i % 90))).join('')
      let got = ''
      s.send(text)
      for (let i = 0; i < 20 && got.length < 3000; i++) {
        for (const { seq, payload } of s.sent()) {
          expect(seq).toBe(1 + got.length)
          got += payload
        }
        s.receive({ flags: 'A', seq: 1, ack: 1 + got.length })
      }
      expect(got).toBe(text)
      expect(s.connection.sendQueueBytes).toBe(0)
    }
  })
})
