import fc from 'fast-check'
import { describe, it } from 'vitest'
import { checkConnection } from '../../test/support/invariants.ts'
import { type BenchState, type EstablishedOptions, inState, type TcpBench } from '../../test/support/tcp.ts'
import type { SegmentSpec } from '../../test/support/tcp-wire.ts'
import { seconds } from '../core/clock.ts'
import { FrameChecksum } from '../core/frame.ts'
import { TcpConnection } from './connection.ts'

/** Anything at all arrives, in every state: no exception, every invariant holds, and nothing is left in the end. */

const STATES: BenchState[] = [
  'LISTEN',
  'SYN_SENT',
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'CLOSE_WAIT',
  'CLOSING',
  'LAST_ACK',
  'TIME_WAIT',
]

/** Mostly near to what the connection expects, where things happen; sometimes anywhere. */
const near = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -3, max: 3 }) },
  { weight: 3, arbitrary: fc.integer({ min: -3000, max: 6000 }) },
  { weight: 1, arbitrary: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }) },
)

const flags = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('A', 'PA', 'FA', 'S', 'SA', 'R', 'RA') },
  { weight: 2, arbitrary: fc.subarray(['S', 'F', 'R', 'P', 'A', 'U', 'E', 'W']).map((list) => list.join('')) },
)

const segment = fc.record({
  kind: fc.constant('segment' as const),
  flags,
  seq: near,
  ack: near,
  window: fc.oneof(fc.constantFrom(0, 1, 500, 65_535), fc.nat(65_535)),
  payload: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(1400) }),
  urgent: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(65_535) }),
  sack: fc.array(fc.tuple(near, near), { maxLength: 3 }),
  ecn: fc.nat(3),
  stamp: fc.option(fc.tuple(near, near)),
  mss: fc.constantFrom(0, 0, 1, 536, 65_535),
  windowScale: fc.constantFrom(-1, -1, 0, 7, 14),
})

const step = fc.oneof(
  { weight: 8, arbitrary: segment },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      n: fc.integer({ min: 1, max: 5000 }),
      urgent: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('read' as const), n: fc.integer({ min: 1, max: 3000 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), n: fc.integer({ min: 1, max: 2_000_000 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('icmp' as const),
      type: fc.constantFrom(3, 11, 12, 4),
      code: fc.nat(15),
      mtu: fc.constantFrom(0, 68, 600, 1400, 9000),
      seq: near,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('shutdown' as const, 'close' as const, 'abort' as const) }),
  },
)

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** The connection that segments are aimed at: the one in the table, or none. */
const target = (s: TcpBench): TcpConnection | null => {
  for (const entry of s.demux.table.entries()) if (entry instanceof TcpConnection) return entry
  return null
}

/** Turns what was drawn into a segment relative to what is expected now. */
const aim = (s: TcpBench, drawn: Step & { kind: 'segment' }): SegmentSpec => {
  const c = target(s)
  const seq = c === null ? 1 : (c.rcv.nxt - c.rcv.irs) | 0
  const ack = c === null ? 1 : (c.snd.una - c.snd.iss) | 0
  const { flags, window, payload, urgent, ecn, mss, windowScale } = drawn
  const spec: SegmentSpec = {
    flags,
    window,
    payload,
    urgent,
    ecn,
    mss,
    windowScale,
    seq: seq + drawn.seq,
    ack: ack + drawn.ack,
  }
  if (drawn.sack.length > 0) spec.sack = drawn.sack.map(([left, right]) => [ack + left, ack + left + Math.abs(right)])
  if (drawn.stamp !== null)
    spec.timestamps = {
      value: Math.floor(s.clock.now() / 1000) + 1000 + drawn.stamp[0],
      echo: s.lastTsVal + drawn.stamp[1],
    }
  return spec
}

const take = (s: TcpBench, drawn: Step): void => {
  if (drawn.kind === 'segment') s.receive(aim(s, drawn))
  else if (drawn.kind === 'wait') s.advance(drawn.n)
  else if (drawn.kind === 'icmp') s.icmp(drawn)
  else if (s.connection === undefined || s.connection.observer === null) return
  else if (drawn.kind === 'read') s.read(drawn.n)
  else if (drawn.kind === 'send') {
    if (s.state === 'ESTABLISHED' || s.state === 'CLOSE_WAIT') s.send(drawn.n, { urgent: drawn.urgent })
  } else if (drawn.kind === 'shutdown') s.shutdown()
  else s.close(drawn.kind === 'abort')
}

const checkAll = (s: TcpBench): void => {
  for (const entry of s.demux.table.entries()) if (entry instanceof TcpConnection) checkConnection(entry)
}

const end = (s: TcpBench): void => {
  while ((s.listener?.acceptQueue.length ?? 0) > 0) {
    s.accept()
    s.close(true)
  }
  s.listener?.close()
  s.advance(seconds(5000))
  for (const entry of s.demux.table.entries()) s.demux.discard(entry)
  s.sent()
  s.expectNothingLeft()
}

const run = (state: BenchState, options: EstablishedOptions, steps: Step[]): void => {
  const s = inState(state, options)
  for (const drawn of steps) {
    take(s, drawn)
    checkAll(s)
    s.sent()
  }
  if (s.connection !== undefined && s.connection.observer !== null) s.close(true)
  end(s)
}

const variants: EstablishedOptions[] = [
  { rtt: 5000 },
  { rtt: 5000, sack: true, timestamps: true, windowScale: 7, offload: true, nodelay: true },
  { rtt: 5000, sack: true, settings: { tcp_recovery: 0, tcp_frto: 0, tcp_ecn: 1 }, receiveBuffer: 6000 },
]

describe('any segment in any state', () => {
  for (const state of STATES) {
    it(state, () => {
      fc.assert(
        fc.property(fc.nat(variants.length - 1), fc.array(step, { maxLength: 40 }), (variant, steps) => {
          run(state, variants[variant]!, steps)
        }),
        { numRuns: 120 },
      )
    })
  }

  it('bytes that were damaged after the checksum was found right', () => {
    const damage = fc.array(fc.tuple(fc.nat(59), fc.nat(255)), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(fc.constantFrom(...STATES), fc.array(fc.tuple(segment, damage), { maxLength: 30 }), (state, list) => {
        const s = inState(state, variants[1]!)
        for (const [drawn, bytes] of list) {
          const frame = s.build(aim(s, drawn))
          const { u8 } = s.world.memory
          // The ports stay: elsewhere nobody would look at it.
          for (const [at, value] of bytes) {
            const where = frame.network + 20 + 4 + at
            if (where < frame.end) u8[where] = value
          }
          frame.checksum = FrameChecksum.Good
          s.deliver(frame)
          checkAll(s)
          s.sent()
        }
        if (s.connection !== undefined && s.connection.observer !== null) s.close(true)
        end(s)
      }),
      { numRuns: 150 },
    )
  })
})
