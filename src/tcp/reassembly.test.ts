import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { established } from '../../test/support/tcp.ts'
import { Reassembly } from './reassembly.ts'

/** The model: a set of numbers, relative to where the test begins. */
const rangesOf = (held: Set<number>): [number, number][] => {
  const ranges: [number, number][] = []
  for (const at of [...held].sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last !== undefined && last[1] === at) last[1] = at + 1
    else ranges.push([at, at + 1])
  }
  return ranges
}

const shown = (r: Reassembly, base: number): [number, number][] =>
  Array.from({ length: r.count }, (_, i) => [(r.startAt(i) - base) | 0, (r.endAt(i) - base) | 0])

/** Where sequence numbers begin: ordinary places, and the ones where they go round as signed and unsigned numbers. */
const bases = fc.constantFrom(0, 1000, 0x7fff_ffff - 30, -0x8000_0000, -30, -1)

const action = fc.oneof(
  fc.record({
    kind: fc.constant('insert' as const),
    at: fc.integer({ min: 0, max: 60 }),
    length: fc.integer({ min: 1, max: 12 }),
  }),
  fc.record({ kind: fc.constant('advance' as const), at: fc.integer({ min: 0, max: 60 }), length: fc.constant(0) }),
  fc.record({
    kind: fc.constant('overlaps' as const),
    at: fc.integer({ min: 0, max: 60 }),
    length: fc.integer({ min: 1, max: 12 }),
  }),
)

describe('ranges beyond RCV.NXT (RFC 9293 section 3.10.7.4, seventh)', () => {
  it('hold exactly what was put in, joined and in order, wherever the numbers go round', () => {
    fc.assert(
      fc.property(bases, fc.array(action, { maxLength: 40 }), (base, actions) => {
        const r = new Reassembly()
        const held = new Set<number>()
        for (const { kind, at, length } of actions) {
          const start = (base + at) | 0
          const end = (base + at + length) | 0
          const numbers = Array.from({ length }, (_, i) => at + i)
          if (kind === 'insert') {
            const added = numbers.filter((n) => !held.has(n)).length
            for (const n of numbers) held.add(n)
            expect(r.insert(start, end)).toBe(added)
            // The range that it made or widened.
            const [low, high] = rangesOf(held).find(([l, h]) => l <= at && at < h)!
            expect([(r.lastStart - base) | 0, (r.lastEnd - base) | 0]).toEqual([low, high])
          } else if (kind === 'advance') {
            let reached = at
            while (held.has(reached)) reached++
            // A range that ends just there is taken off too, and says the same.
            expect((r.advance(start) - base) | 0).toBe(reached)
            for (const n of [...held]) if (n < reached) held.delete(n)
          } else {
            const common = numbers.filter((n) => held.has(n))
            expect(r.overlaps(start, end)).toBe(common.length > 0)
            if (common.length > 0) {
              let last = common[0]!
              while (common.includes(last + 1)) last++
              expect([(r.lastStart - base) | 0, (r.lastEnd - base) | 0]).toEqual([common[0], last + 1])
            }
          }
          expect(shown(r, base)).toEqual(rangesOf(held))
          expect(r.bytes).toBe(held.size)
        }
      }),
      { numRuns: 400 },
    )
  })

  it('a FIN takes a number, and no byte', () => {
    const r = new Reassembly()
    r.insert(10, 16)
    r.noteFin(15)
    expect([r.bytes, r.dataBytes, r.finSeq]).toEqual([6, 5, 15])
    // The first one counts, should there be two.
    r.noteFin(20)
    expect(r.finSeq).toBe(15)
    r.noteFin(12)
    expect(r.finSeq).toBe(12)
  })

  it('many ranges', () => {
    const r = new Reassembly()
    for (let i = 1000; i > 0; i--) expect(r.insert(i * 10, i * 10 + 5)).toBe(5)
    expect(r.count).toBe(1000)
    expect(r.insert(0, 20_000)).toBe(20_000 - 5000)
    expect(shown(r, 0)).toEqual([[0, 20_000]])
  })
})

describe('a stream in any order', () => {
  /** The stream of the test: each byte says where it stands. */
  const STREAM = Array.from({ length: 400 }, (_, i) => String.fromCharCode(33 + ((i * 7) % 90))).join('')
  const piece = fc.record({ at: fc.integer({ min: 0, max: 399 }), length: fc.integer({ min: 1, max: 60 }) })

  it('is delivered once and in order, with all overlaps; SACK tells of what is held, and of nothing else', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), fc.boolean(), (pieces, sack) => {
        // The peer's numbers pass 2^31 within the first sixteen bytes.
        const s = established({ sack })
        const have = new Set<number>()
        let text = ''
        for (const { at, length } of pieces) {
          const end = Math.min(at + length, STREAM.length)
          s.receive({ flags: 'A', seq: 1 + at, ack: 1, payload: STREAM.slice(at, end) })
          for (let i = at; i < end; i++) have.add(i)
          let next = 0
          while (have.has(next)) next++
          expect((s.connection.rcv.nxt - s.connection.rcv.irs - 1) | 0).toBe(next)
          for (const segment of s.sent()) {
            for (const [left, right] of segment.sack) {
              for (let i = left; i < right; i++) expect(have.has(i - 1)).toBe(true)
            }
          }
          text += s.read()
        }
        let all = 0
        while (have.has(all)) all++
        expect(text).toBe(STREAM.slice(0, all))
        s.connection.observer = null
        s.close(true)
        s.listener!.close()
        s.expectNothingLeft()
      }),
      { numRuns: 60 },
    )
  })
})

describe('SACK blocks that we send (RFC 2018 section 4, RFC 2883)', () => {
  it('the newest first; four at most, three beside time stamps', () => {
    const s = established({ sack: true })
    for (const at of [101, 301, 501, 701, 901]) s.receive({ flags: 'A', seq: at, ack: 1, payload: 100 })
    s.advance(1000)
    const last = s.sent().at(-1)!
    expect(last.sack).toEqual([
      [901, 1001],
      [701, 801],
      [501, 601],
      [301, 401],
    ])
    const t = established({ sack: true, timestamps: true })
    for (const at of [101, 301, 501, 701, 901]) t.receive({ flags: 'A', seq: at, ack: 1, payload: 100 })
    t.advance(1000)
    expect(t.sent().at(-1)!.sack).toEqual([
      [901, 1001],
      [701, 801],
      [501, 601],
    ])
  })

  it('a block that grows is first again, joined with its neighbours', () => {
    const s = established({ sack: true })
    for (const at of [101, 301]) s.receive({ flags: 'A', seq: at, ack: 1, payload: 100 })
    s.sent()
    s.receive({ flags: 'A', seq: 201, ack: 1, payload: 100 })
    s.expectSent({ ack: 1, sack: [[101, 401]] })
  })

  it('a duplicate of what is acknowledged is reported first, below the ACK', () => {
    const s = established({ sack: true })
    s.receive({ flags: 'A', seq: 1, ack: 1, payload: 100 })
    s.receive({ flags: 'A', seq: 201, ack: 1, payload: 100 })
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 1, payload: 100 })
    s.expectSent({
      ack: 101,
      sack: [
        [1, 101],
        [201, 301],
      ],
    })
  })

  it('a segment whose front is known: the front', () => {
    const s = established({ sack: true })
    s.receive({ flags: 'A', seq: 1, ack: 1, payload: 100 })
    s.sent()
    s.receive({ flags: 'A', seq: 51, ack: 1, payload: 100 })
    s.expectSent({ ack: 151, sack: [[51, 101]] })
  })

  it('a duplicate of what is out of order: the part, then the whole', () => {
    const s = established({ sack: true })
    s.receive({ flags: 'A', seq: 201, ack: 1, payload: 200 })
    s.sent()
    s.receive({ flags: 'A', seq: 251, ack: 1, payload: 50 })
    s.expectSent({
      ack: 1,
      sack: [
        [251, 301],
        [201, 401],
      ],
    })
  })

  it('tcp_dsack 0: no duplicate is reported', () => {
    const s = established({ sack: true, settings: { tcp_dsack: 0 } })
    s.receive({ flags: 'A', seq: 1, ack: 1, payload: 100 })
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 1, payload: 100 })
    s.expectSent({ ack: 101, sack: [] })
  })

  it('after three, ACKs of more segments out of order are put together (tcp_comp_sack)', () => {
    const s = established({ sack: true, rtt: 100_000 })
    for (let i = 0; i < 10; i++) s.receive({ flags: 'A', seq: 101 + i * 100, ack: 1, payload: 100 })
    expect(s.sent().map(({ sack }) => sack)).toEqual([[[101, 201]], [[101, 301]], [[101, 401]]])
    // A twentieth of the round-trip time, 1 ms at most.
    const now = s.clock.now()
    s.advance(1000)
    s.expectSent({ ack: 1, sack: [[101, 1101]], at: now + 1000 })
    expect(s.count('tcpExt.TCPAckCompressed')).toBe(6)
  })
})
