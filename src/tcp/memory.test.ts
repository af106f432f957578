import { describe, expect, it } from 'vitest'
import { established } from '../../test/support/tcp.ts'
import { isWritable } from './flow.ts'

/** tcp_mem: what all queues of a host may hold, in pages. */

const bench = () => {
  const s = established({ mss: 1000, window: 60_000 })
  const { layer } = s.connection
  layer.settings.tcp_mem = [1, 2, 3]
  return { s, layer, counters: layer.mib.tcpExt }
}

describe('memory for queues', () => {
  it('is short above the second value, until it is below the first', () => {
    const { layer, counters } = bench()
    layer.queuedBytes = 2 * 4096
    expect(layer.underPressure).toBe(false)
    layer.queuedBytes = 2 * 4096 + 1
    expect([layer.underPressure, layer.isExhausted, counters.TCPMemoryPressures]).toEqual([true, false, 1])
    layer.queuedBytes = 4097
    expect([layer.underPressure, counters.TCPMemoryPressures]).toEqual([true, 1])
    layer.queuedBytes = 4096
    expect(layer.underPressure).toBe(false)
    layer.queuedBytes = 9000
    expect([layer.underPressure, counters.TCPMemoryPressures]).toEqual([true, 2])
  })

  it('is no more above the third: an empty queue takes a segment, and no second', () => {
    const { s, layer, counters } = bench()
    layer.queuedBytes = 3 * 4096 + 1
    s.receive({ flags: 'A', seq: 1, ack: 1, payload: 'x'.repeat(1000) })
    expect(s.connection.receiveQueueBytes).toBe(1000)
    s.sent()
    s.receive({ flags: 'A', seq: 1001, ack: 1, payload: 'x'.repeat(1000) })
    expect([s.connection.receiveQueueBytes, counters.TCPRcvQDrop]).toEqual([1000, 1])
    s.receive({ flags: 'A', seq: 3001, ack: 1, payload: 'x'.repeat(1000) })
    expect(counters.TCPOFODrop).toBe(1)
    layer.queuedBytes = 1000
    s.receive({ flags: 'A', seq: 1001, ack: 1, payload: 'x'.repeat(1000) })
    expect(s.connection.receiveQueueBytes).toBe(2000)
  })

  it('is no more for sending: a first record is taken, and then there is no room', () => {
    const queued = (exhausted: boolean): number => {
      const { s, layer } = bench()
      s.connection.sendBuffer = 1_000_000
      if (exhausted) layer.queuedBytes = 3 * 4096 + 1
      else layer.settings.tcp_mem = [1000, 2000, 3000]
      s.send(200_000)
      if (exhausted) expect(isWritable(s.connection)).toBe(false)
      return s.connection.sendQueueBytes
    }
    expect(queued(false)).toBe(200_000)
    expect(queued(true)).toBeGreaterThan(0)
    expect(queued(true)).toBeLessThanOrEqual(65_536)
  })
})
