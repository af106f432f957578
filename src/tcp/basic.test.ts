import { describe, expect, it } from 'vitest'
import { established, TcpBench } from '../../test/support/tcp.ts'
import { ms, seconds } from '../core/clock.ts'

describe('three-way handshake (RFC 9293 section 3.5)', () => {
  for (const ipv6 of [false, true]) {
    it(`passive, ${ipv6 ? 'IPv6' : 'IPv4'}`, () => {
      const s = new TcpBench({ ipv6 })
      s.listen()
      s.receive({ flags: 'S', mss: 1400, sackPermitted: true, windowScale: 7, timestamps: { value: 5, echo: 0 } })
      s.expectSent({ flags: 'SA', seq: 0, ack: 1, mss: ipv6 ? 1440 : 1460, sackPermitted: true, windowScale: 7 })
      s.receive({ flags: 'A', seq: 1, ack: 1, timestamps: { value: 6, echo: s.lastTsVal } })
      s.accept()
      expect(s.state).toBe('ESTABLISHED')
      expect(s.connection.snd.mss).toBe(1388)
      s.expectNothing()
    })
    it(`active, ${ipv6 ? 'IPv6' : 'IPv4'}`, () => {
      const s = new TcpBench({ ipv6 })
      s.connect()
      expect(s.state).toBe('SYN_SENT')
      s.expectSent({ flags: 'S', seq: 0, mss: ipv6 ? 1440 : 1460, sackPermitted: true, windowScale: 7 })
      s.advance(ms(10))
      s.receive({ flags: 'SA', seq: 0, ack: 1, mss: 1460 })
      s.expectSent({ flags: 'A', seq: 1, ack: 1 })
      expect(s.state).toBe('ESTABLISHED')
      expect(s.connection.rtt.srtt).toBe(10_000)
    })
  }

  it('resends the SYN at 1, 3, 7, 15, 31 and 63 s and gives up at 127 s', () => {
    const s = new TcpBench()
    s.connect()
    s.expectSent({ flags: 'S', seq: 0 })
    s.advanceTo(seconds(127) - 1)
    expect(s.state).toBe('SYN_SENT')
    const at = s.sent().map((segment) => segment.at / 1e6)
    s.advance(1)
    expect(s.state).toBe('CLOSE')
    s.expectNothing()
    expect(at).toEqual([1, 3, 7, 15, 31, 63])
    expect(s.end).toBe(110)
    s.close()
    s.expectNothingLeft()
  })
})

describe('data', () => {
  it('goes out, is acknowledged, and comes in', () => {
    const s = established({ mss: 1000 })
    s.send('abcdef')
    s.expectSent({ flags: 'PA', seq: 1, ack: 1, payload: 'abcdef' })
    s.receive({ flags: 'A', seq: 1, ack: 7 }, { at: ms(1) })
    s.expectNothing()
    expect(s.connection.sendQueueBytes).toBe(0)
    s.receive({ flags: 'PA', seq: 1, ack: 7, payload: 'hello' })
    s.expectSent({ flags: 'A', seq: 7, ack: 6 })
    expect(s.read()).toBe('hello')
    expect(s.end).toBe('wait')
  })

  it('closes in four messages and TIME_WAIT', () => {
    const s = established({ mss: 1000 })
    s.shutdown()
    s.expectSent({ flags: 'FA', seq: 1, ack: 1 })
    expect(s.state).toBe('FIN_WAIT1')
    s.receive({ flags: 'A', seq: 1, ack: 2 })
    expect(s.state).toBe('FIN_WAIT2')
    s.receive({ flags: 'FA', seq: 1, ack: 2 })
    s.expectSent({ flags: 'A', seq: 2, ack: 2 })
    expect(s.state).toBe('CLOSE')
    expect(s.end).toBe('eof')
    expect(s.demux.table.size).toBe(1)
    s.close()
    s.advance(seconds(60))
    s.expectNothingLeft()
  })

  it('is cut at the MSS and resent after the time-out', () => {
    const s = established({ mss: 1000, rtt: ms(10) })
    s.send(2500)
    s.expectSent(
      { flags: 'A', seq: 1, length: 1000 },
      { flags: 'PA', seq: 1001, length: 1000 },
      { flags: 'PA', seq: 2001, length: 500 },
    )
    const start = s.clock.now()
    s.advance(ms(209))
    s.expectNothing()
    s.advance(ms(1))
    s.expectSent({ flags: 'A', seq: 1, length: 1000, at: start + ms(210) })
    s.receive({ flags: 'A', seq: 1, ack: 1001 })
    s.expectSent({ seq: 1001, length: 1000 }, { seq: 2001, length: 500 })
    s.receive({ flags: 'A', seq: 1, ack: 2501 })
    s.expectNothing()
    expect(s.connection.cc.packetsOut).toBe(0)
  })
})
