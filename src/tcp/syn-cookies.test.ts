import { describe, expect, it } from 'vitest'
import { TcpBench } from '../../test/support/tcp.ts'
import type { SegmentSpec } from '../../test/support/tcp-wire.ts'
import { MINUTE, ms, seconds } from '../core/clock.ts'
import { Feature } from './connection.ts'
import type { TcpSettings } from './settings.ts'
import { decodeStamp, encodeStamp } from './syn-cookies.ts'

const listening = (settings: Partial<TcpSettings> = {}, ipv6 = false): TcpBench => {
  const s = new TcpBench({ ipv6, settings: { tcp_syncookies: 2, ...settings } })
  s.listen(5)
  return s
}

const SYN: SegmentSpec = { flags: 'S', seq: 0, mss: 1460, sackPermitted: true, windowScale: 7 }

describe('SYN cookies (RFC 4987 section 3.6)', () => {
  it('keep nothing until the ACK comes, and then the MSS', () => {
    const s = listening()
    const timers = s.world.loop.timers.size
    s.receive({ ...SYN, mss: 1400 })
    // Without time stamps there is nowhere to keep SACK and window scale.
    s.expectSent({ flags: 'SA', ack: 1, mss: 1460, sackPermitted: false, windowScale: -1 })
    expect([s.demux.table.size, s.listener!.requests, s.world.loop.timers.size]).toEqual([0, 0, timers])
    s.advance(ms(30))
    s.receive({ flags: 'A', seq: 1, ack: 1, window: 60_000 })
    s.accept()
    expect(s.state).toBe('ESTABLISHED')
    expect(s.connection.snd.mss).toBe(1300)
    expect(s.connection.snd.wnd).toBe(60_000)
    expect([s.count('tcpExt.SyncookiesSent'), s.count('tcpExt.SyncookiesRecv')]).toEqual([1, 1])
    s.send('hello')
    s.expectSent({ flags: 'PA', seq: 1, payload: 'hello' })
    s.receive({ flags: 'PA', seq: 1, ack: 6, payload: 'world' })
    expect(s.read()).toBe('world')
  })

  it('take data that comes with the ACK', () => {
    const s = listening()
    s.receive(SYN)
    s.sent()
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'GET' })
    s.accept()
    expect(s.read()).toBe('GET')
  })

  for (const ipv6 of [false, true]) {
    it(`remember four sizes of segments, IPv${ipv6 ? 6 : 4}`, () => {
      const sizes = [100, 535, 536, 1219, 1220, 1299, 1300, 1419, 1420, 1439, 1440, 1459, 1460, 8940, 9000].map(
        (mss) => {
          const s = listening({}, ipv6)
          s.receive({ flags: 'S', seq: 0, mss })
          s.sent()
          s.receive({ flags: 'A', seq: 1, ack: 1 })
          return s.accept().snd.mssClamp
        },
      )
      expect([...new Set(sizes)]).toEqual(ipv6 ? [1220, 1420, 1440, 8940] : [536, 1300, 1440, 1460])
    })
  }

  it('keep SACK, window scale and ECN in the time stamp', () => {
    const s = listening()
    s.advanceTo(ms(12_345))
    s.receive({ ...SYN, flags: 'SEW', timestamps: { value: 100, echo: 0 } })
    s.expectSent({ flags: 'SAE', ack: 1, sackPermitted: true, windowScale: 7 })
    s.advance(ms(100))
    s.receive({ flags: 'A', seq: 1, ack: 1, window: 10, timestamps: { value: 200, echo: s.lastTsVal } })
    const c = s.accept()
    expect(c.features).toBe(Feature.Timestamps | Feature.Sack | Feature.WindowScale | Feature.Ecn)
    expect(c.snd.wnd).toBe(1280)
    // Up to 64 ms too long, as the stamp's low bits were taken for the options.
    expect(c.rtt.srtt).toBeGreaterThanOrEqual(100_000)
    expect(c.rtt.srtt).toBeLessThan(164_001)
  })

  it('the time stamp is never later than the time', () => {
    const options = { windowScale: 14, sack: true, ecn: true }
    for (let now = 1000; now < 1200; now++) {
      const stamp = encodeStamp(now, options)
      expect(now - stamp).toBeGreaterThanOrEqual(0)
      expect(now - stamp).toBeLessThan(64)
      expect(decodeStamp(stamp)).toEqual(options)
    }
    expect(decodeStamp(encodeStamp(5000, { windowScale: -1, sack: false, ecn: false })).windowScale).toBe(-1)
  })

  it('are good for two minutes of the clock', () => {
    const answer = (wait: number): string => {
      const s = listening()
      s.receive(SYN)
      s.sent()
      s.advanceTo(wait)
      s.receive({ flags: 'A', seq: 1, ack: 1 })
      return s.listener!.acceptQueue.length === 1 ? 'connection' : s.sent()[0]!.flags
    }
    expect([answer(0), answer(2 * MINUTE - 1), answer(2 * MINUTE)]).toEqual(['connection', 'connection', 'R'])
  })

  it('an ACK that brings back none is answered with a RST', () => {
    const s = listening()
    s.receive(SYN)
    s.sent()
    for (const ack of [2, 0x100_0001, 1000]) s.receive({ flags: 'A', seq: 1, ack })
    s.receive({ flags: 'A', seq: 1000, ack: 1 })
    expect(s.sent().map(({ flags }) => flags)).toEqual(['R', 'R', 'R', 'R'])
    expect(s.count('tcpExt.SyncookiesFailed')).toBe(4)
    // Nobody has sent a cookie: then nothing is looked at.
    const quiet = listening()
    quiet.isn = 0
    quiet.receive({ flags: 'A', seq: 1, ack: 1 })
    quiet.expectSent({ flags: 'R' })
    expect(quiet.count('tcpExt.SyncookiesFailed')).toBe(0)
  })

  it('begin when the queue is full (tcp_syncookies = 1), and without them SYNs are dropped', () => {
    const fill = (settings: Partial<TcpSettings>): TcpBench => {
      const s = listening(settings)
      for (let i = 0; i < 8; i++, s.peerPort++) s.receive(SYN)
      return s
    }
    const s = fill({ tcp_syncookies: 1 })
    expect(s.sent().map(({ windowScale }) => windowScale)).toEqual([7, 7, 7, 7, 7, 7, -1, -1])
    expect([s.listener!.requests, s.count('tcpExt.TCPReqQFullDoCookies')]).toEqual([6, 2])
    const without = fill({ tcp_syncookies: 0 })
    expect(without.sent().length).toBe(6)
    expect([without.listener!.requests, without.count('tcpExt.TCPReqQFullDrop')]).toEqual([6, 2])
  })

  it('wait for room in the accept queue: the client sends again', () => {
    const s = listening()
    for (let i = 0; i < 6; i++, s.peerPort++) {
      s.receive(SYN)
      s.sent()
      s.receive({ flags: 'A', seq: 1, ack: 1 })
    }
    s.receive(SYN)
    s.expectNothing()
    expect(s.count('tcpExt.ListenOverflows')).toBe(1)
    s.advance(seconds(1))
    s.listener!.accept()
    s.receive(SYN)
    s.expectSent({ flags: 'SA' })
  })
})
