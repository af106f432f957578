import { describe, expect, it } from 'vitest'
import { established, inState, type TcpBench } from '../../test/support/tcp.ts'
import { ms, seconds } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'

describe('closing first (RFC 9293 section 3.6, case 1)', () => {
  it('FIN_WAIT1, FIN_WAIT2, TIME_WAIT for 60 s, gone', () => {
    const s = established()
    s.close()
    s.expectSent({ flags: 'FA', seq: 1, ack: 1 })
    expect(s.shownState).toBe('FIN_WAIT1')
    s.receive({ flags: 'A', seq: 1, ack: 2 }, { at: ms(10) })
    expect(s.shownState).toBe('FIN_WAIT2')
    s.receive({ flags: 'FA', seq: 1, ack: 2 }, { at: ms(20) })
    s.expectSent({ flags: 'A', seq: 2, ack: 2 })
    expect(s.shownState).toBe('TIME_WAIT')
    s.advanceTo(ms(20) + seconds(60) - 1)
    expect(s.shownState).toBe('TIME_WAIT')
    s.advance(1)
    expect(s.shownState).toBe('CLOSE')
    s.expectNothing()
    s.listener!.close()
    s.expectNothingLeft()
  })

  it('FIN goes behind what is queued, with the last data', () => {
    const s = established({ mss: 1000, window: 1500 })
    s.send(2000)
    s.expectSent({ seq: 1, length: 750 }, { seq: 751, length: 750 })
    s.close()
    s.expectNothing()
    s.receive({ flags: 'A', seq: 1, ack: 1501, window: 1500 })
    s.expectSent({ flags: 'FPA', seq: 1501, length: 500 })
    s.receive({ flags: 'A', seq: 1, ack: 2002 })
    expect(s.shownState).toBe('FIN_WAIT2')
  })

  it('half-close: data goes on coming in FIN_WAIT2, and is acknowledged', () => {
    const s = inState('FIN_WAIT2')
    for (let i = 0; i < 3; i++) {
      s.receive({ flags: 'PA', seq: 1 + 100 * i, ack: 2, payload: 100 })
      s.expectSent({ flags: 'A', seq: 2, ack: 101 + 100 * i })
    }
    s.receive({ flags: 'FA', seq: 301, ack: 2 })
    s.expectSent({ flags: 'A', seq: 2, ack: 302 })
    expect(s.read().length).toBe(300)
    expect(s.end).toBe('eof')
    expect(s.shownState).toBe('TIME_WAIT')
  })

  it('the socket learns of the end: readable, writable, hung up', () => {
    const s = inState('FIN_WAIT2')
    s.events = 0
    s.receive({ flags: 'FA', seq: 1, ack: 2 })
    expect(s.events).toBe(Readiness.In | Readiness.Out | Readiness.RdHup | Readiness.Hup)
    expect(s.end).toBe('eof')
  })

  it('a FIN that is lost is sent again', () => {
    const s = established({ rtt: ms(10) })
    s.shutdown()
    s.expectSent({ flags: 'FA', seq: 1, at: ms(10) })
    s.advanceTo(ms(220))
    s.expectSent({ flags: 'FA', seq: 1, at: ms(220) })
    s.advanceTo(ms(640))
    s.expectSent({ flags: 'FA', seq: 1, at: ms(640) })
  })
})

describe('closing second (case 1, other side)', () => {
  it('CLOSE_WAIT however long, LAST_ACK, gone at once', () => {
    const s = inState('CLOSE_WAIT')
    s.events = 0
    s.advance(seconds(100_000))
    expect(s.state).toBe('CLOSE_WAIT')
    s.expectNothing()
    s.close()
    s.expectSent({ flags: 'FA', seq: 1, ack: 2 })
    expect(s.shownState).toBe('LAST_ACK')
    s.receive({ flags: 'A', seq: 2, ack: 2 })
    expect(s.shownState).toBe('CLOSE')
    s.listener!.close()
    s.expectNothingLeft()
  })

  it('sends data in CLOSE_WAIT', () => {
    const s = inState('CLOSE_WAIT')
    s.send('still here')
    s.expectSent({ flags: 'PA', seq: 1, ack: 2, payload: 'still here' })
    s.receive({ flags: 'A', seq: 2, ack: 11 })
    expect(s.connection.sendQueueBytes).toBe(0)
  })

  it('is told of the FIN: readable, and the peer has finished', () => {
    const s = established()
    s.receive({ flags: 'FA', seq: 1, ack: 1 })
    expect(s.events).toBe(Readiness.In | Readiness.RdHup)
  })

  it('LAST_ACK: the peer is gone: a RST to our FIN ends it quietly', () => {
    const s = inState('CLOSE_WAIT')
    s.close()
    s.sent()
    s.receive({ flags: 'R', seq: 2 })
    expect(s.shownState).toBe('CLOSE')
    s.expectNothing()
  })
})

describe('closing together (RFC 9293 section 3.6, case 3)', () => {
  it('FIN_WAIT1, CLOSING, TIME_WAIT on both sides', () => {
    const s = established()
    s.close()
    s.expectSent({ flags: 'FA', seq: 1, ack: 1 })
    s.receive({ flags: 'FA', seq: 1, ack: 1 })
    s.expectSent({ flags: 'A', seq: 2, ack: 2 })
    expect(s.shownState).toBe('CLOSING')
    s.receive({ flags: 'A', seq: 2, ack: 2 })
    s.expectNothing()
    expect(s.shownState).toBe('TIME_WAIT')
    s.advance(seconds(60))
    s.listener!.close()
    s.expectNothingLeft()
  })

  it('the FIN and the ACK of ours in one segment: TIME_WAIT at once', () => {
    const s = established()
    s.close()
    s.sent()
    s.receive({ flags: 'FA', seq: 1, ack: 2 })
    s.expectSent({ flags: 'A', seq: 2, ack: 2 })
    expect(s.shownState).toBe('TIME_WAIT')
  })

  it('in CLOSING our FIN is sent again while it is not acknowledged', () => {
    const s = inState('CLOSING', { rtt: ms(10) })
    s.advanceTo(ms(220))
    s.expectSent({ flags: 'FA', seq: 1, ack: 2, at: ms(220) })
  })
})

describe('orphans', () => {
  const orphanInFinWait2 = (): TcpBench => {
    const s = established()
    s.close()
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 2 })
    expect(s.shownState).toBe('FIN_WAIT2')
    return s
  }

  it('FIN_WAIT2 ends after tcp_fin_timeout, 60 s', () => {
    const s = orphanInFinWait2()
    expect(s.demux.layer.orphans).toBe(0)
    s.advance(seconds(60) - 1)
    expect(s.shownState).toBe('FIN_WAIT2')
    s.advance(1)
    expect(s.shownState).toBe('CLOSE')
    s.expectNothing()
  })

  it('TCP_LINGER2 shortens it; less than 0 does without it, with a RST', () => {
    const short = established({ options: { linger2: 5 } })
    short.close()
    short.sent()
    short.receive({ flags: 'A', seq: 1, ack: 2 })
    short.advance(seconds(5))
    expect(short.shownState).toBe('CLOSE')
    const none = established({ options: { linger2: -1 } })
    none.close()
    none.sent()
    none.receive({ flags: 'A', seq: 1, ack: 2 })
    none.expectSent({ flags: 'R', seq: 2 })
    expect(none.shownState).toBe('CLOSE')
  })

  it('tcp_fin_timeout above 60 s: twice what is above, as Linux counts it', () => {
    const s = established({ settings: { tcp_fin_timeout: 100 } })
    s.close()
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 2 })
    s.advance(seconds(80) - 1)
    expect(s.shownState).toBe('FIN_WAIT2')
    s.advance(1)
    expect(s.shownState).toBe('CLOSE')
    s.listener!.close()
    s.expectNothingLeft()
  })

  it('FIN_WAIT2 that a socket still holds stays for ever', () => {
    const s = inState('FIN_WAIT2')
    s.advance(seconds(100_000))
    expect(s.state).toBe('FIN_WAIT2')
  })

  it('data for nobody draws a RST, in FIN_WAIT1 and FIN_WAIT2', () => {
    const early = established()
    early.close()
    early.sent()
    early.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'x' })
    early.expectSent({ flags: 'R', seq: 1 })
    expect(early.shownState).toBe('CLOSE')
    const late = orphanInFinWait2()
    late.receive({ flags: 'PA', seq: 1, ack: 2, payload: 'x' })
    late.expectSent({ flags: 'R', seq: 2 })
    expect(late.shownState).toBe('CLOSE')
    for (const s of [early, late]) {
      s.listener!.close()
      s.expectNothingLeft()
    }
  })

  it("the peer's FIN brings the orphan from FIN_WAIT2 to TIME_WAIT", () => {
    const s = orphanInFinWait2()
    s.advance(seconds(30))
    s.receive({ flags: 'FA', seq: 1, ack: 2 })
    s.expectSent({ flags: 'A', seq: 2, ack: 2 })
    s.advance(seconds(60) - 1)
    expect(s.shownState).toBe('TIME_WAIT')
    s.advance(1)
    expect(s.shownState).toBe('CLOSE')
  })

  it('in FIN_WAIT1 gives up sooner than a connection that is held: 8 time-outs', () => {
    const s = established({ rtt: ms(1) })
    s.close()
    const at: number[] = []
    for (let t = 0; t < 300 && s.shownState !== 'CLOSE'; t++) {
      s.advanceTo(ms(1) + seconds(t))
      for (const { flags, at: when } of s.sent()) {
        expect(flags).toBe('FA')
        at.push((when - ms(1)) / 1000)
      }
    }
    expect(at).toEqual([0, 201, 603, 1407, 3015, 6231, 12_663, 25_527, 51_255])
    // The next would have been at 102.711 s.
    expect(Math.ceil(s.clock.now() / 1e6)).toBe(104)
    s.listener!.close()
    s.expectNothingLeft()
  })

  it('more orphans than tcp_max_orphans: reset', () => {
    const s = established({ settings: { tcp_max_orphans: 0 } })
    s.close()
    s.expectSent({ flags: 'FA', seq: 1 }, { flags: 'RA', seq: 2 })
    expect(s.shownState).toBe('CLOSE')
    expect(s.count('tcpExt.TCPAbortOnMemory')).toBe(1)
  })
})

describe('abort (RFC 9293 section 3.10.5)', () => {
  it('close with data that nobody read: RST at once (RFC 2525 section 2.17)', () => {
    const s = established()
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'unread' })
    s.sent()
    s.send('queued')
    s.sent()
    s.close()
    s.expectSent({ flags: 'RA', seq: 7, ack: 7, length: 0 })
    expect(s.shownState).toBe('CLOSE')
    expect(s.count('tcpExt.TCPAbortOnClose')).toBe(1)
    s.listener!.close()
    s.expectNothingLeft()
  })

  it('close with a FIN that nobody read is no abort', () => {
    const s = inState('CLOSE_WAIT')
    s.close()
    s.expectSent({ flags: 'FA', seq: 1, ack: 2 })
  })

  it('close in CLOSE_WAIT with unread data: RST', () => {
    const s = established()
    s.receive({ flags: 'FPA', seq: 1, ack: 1, payload: 'unread' })
    s.sent()
    s.close()
    s.expectSent({ flags: 'RA', seq: 1, ack: 8 })
    expect(s.shownState).toBe('CLOSE')
  })

  for (const state of ['ESTABLISHED', 'CLOSE_WAIT', 'FIN_WAIT1', 'FIN_WAIT2', 'SYN_RECV'] as const) {
    it(`${state}, SO_LINGER with 0 s: RST, no TIME_WAIT, nothing left`, () => {
      const s = inState(state)
      s.close(true)
      const finished = state === 'FIN_WAIT1' || state === 'FIN_WAIT2'
      s.expectSent({ flags: 'RA', seq: finished ? 2 : 1, ack: state === 'CLOSE_WAIT' ? 2 : 1 })
      s.listener?.close()
      s.expectNothingLeft()
    })
  }

  it('SO_LINGER with 0 s throws away what was queued', () => {
    const s = established({ mss: 1000, window: 1000 })
    s.send(5000)
    s.expectSent({ length: 500 }, { length: 500 })
    s.close(true)
    s.expectSent({ flags: 'RA', seq: 1001, ack: 1 })
    s.listener!.close()
    s.expectNothingLeft()
  })

  for (const state of ['CLOSING', 'LAST_ACK'] as const) {
    it(`${state}, SO_LINGER with 0 s: all has been sent, no RST is needed`, () => {
      const s = inState(state)
      s.close(true)
      s.expectNothing()
      s.listener!.close()
      s.expectNothingLeft()
    })
  }

  it('a peer that is reset has the error told, on reads and writes', () => {
    const s = established()
    s.receive({ flags: 'R', seq: 1 })
    expect(s.events & (Readiness.Err | Readiness.Hup)).toBe(Readiness.Err | Readiness.Hup)
    expect(s.connection.error).toBe(Errno.ECONNRESET)
  })
})

describe('TIME_WAIT (RFC 9293 sections 3.6.1 and 3.10.7.4)', () => {
  it('acknowledges a FIN that comes again, and starts the time anew', () => {
    const s = inState('TIME_WAIT')
    s.receive({ flags: 'FA', seq: 1, ack: 2 }, { at: seconds(50) })
    s.expectSent({ flags: 'A', seq: 2, ack: 2, at: seconds(50) })
    s.advanceTo(seconds(110) - 1)
    expect(s.shownState).toBe('TIME_WAIT')
    s.advance(1)
    expect(s.shownState).toBe('CLOSE')
  })

  it('acknowledges old data, and keeps it', () => {
    const s = inState('TIME_WAIT')
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'x' })
    s.expectSent({ flags: 'A', seq: 2, ack: 2, length: 0 })
    expect(s.shownState).toBe('TIME_WAIT')
  })

  it('swallows a bare ACK', () => {
    const s = inState('TIME_WAIT')
    s.receive({ flags: 'A', seq: 2, ack: 2 })
    s.expectNothing()
    expect(s.dropped('tcp-time-wait')).toBe(1)
  })

  it('a RST at RCV.NXT ends it (TIME_WAIT assassination), unless tcp_rfc1337 is set', () => {
    const open = inState('TIME_WAIT')
    open.receive({ flags: 'R', seq: 2 })
    expect(open.shownState).toBe('CLOSE')
    const safe = inState('TIME_WAIT', { settings: { tcp_rfc1337: 1 } })
    safe.receive({ flags: 'R', seq: 2 })
    expect(safe.shownState).toBe('TIME_WAIT')
    safe.expectNothing()
  })

  it('a RST elsewhere changes nothing', () => {
    const s = inState('TIME_WAIT')
    s.receive({ flags: 'R', seq: 3 })
    s.receive({ flags: 'R', seq: 1 })
    s.expectNothing()
    expect(s.shownState).toBe('TIME_WAIT')
  })

  it("a SYN with a later number opens a new connection, behind the old one's numbers", () => {
    const s = inState('TIME_WAIT')
    const before = s.isn!
    s.receive({ flags: 'S', seq: 1000, mss: 1460 })
    s.expectSent({ flags: 'SA', seq: 0, ack: 1001 })
    expect((s.isn! - before) | 0).toBe(2 + 65_537)
    s.receive({ flags: 'A', seq: 1001, ack: 1 })
    s.accept()
    expect(s.state).toBe('ESTABLISHED')
    expect(s.demux.layer.timeWaits).toBe(0)
  })

  it('it needs no cookie, and begins behind the old numbers where others get one', () => {
    const s = inState('TIME_WAIT', { settings: { tcp_syncookies: 2 } })
    const before = s.isn!
    const { SyncookiesSent } = s.demux.layer.mib.tcpExt
    s.receive({ flags: 'S', seq: 1000, mss: 1460 })
    s.expectSent({ flags: 'SA', seq: 0, ack: 1001 })
    expect((s.isn! - before) | 0).toBe(2 + 65_537)
    expect(s.demux.layer.mib.tcpExt.SyncookiesSent).toBe(SyncookiesSent)
    expect(s.shownState).toBe('SYN_RECV')
  })

  it('a SYN with an old number is acknowledged, and the time goes on', () => {
    const s = inState('TIME_WAIT')
    s.receive({ flags: 'S', seq: 1, mss: 1460 }, { at: seconds(10) })
    s.expectSent({ flags: 'A', seq: 2, ack: 2 })
    s.advanceTo(seconds(60))
    expect(s.shownState).toBe('CLOSE')
  })

  it('a SYN with an old number but a later time stamp opens one too (RFC 6191)', () => {
    const s = established({ timestamps: true })
    s.shutdown()
    s.sent()
    s.receive({ flags: 'FA', seq: 1, ack: 2 })
    s.sent()
    s.receive({ flags: 'S', seq: 1, mss: 1460, timestamps: { value: 5000, echo: 0 } })
    s.expectSent({ flags: 'SA', seq: 0, ack: 2 })
    expect(s.shownState).toBe('SYN_RECV')
  })

  it('a SYN where nobody listens any more is acknowledged like any old segment', () => {
    const s = inState('TIME_WAIT', { active: true })
    s.receive({ flags: 'S', seq: 1000, mss: 1460 })
    s.expectSent({ flags: 'A', seq: 2, ack: 2 })
    expect(s.shownState).toBe('TIME_WAIT')
  })

  it('answers twice a second at most what is not data', () => {
    const s = inState('TIME_WAIT')
    s.receive({ flags: 'S', seq: 1 }, { at: ms(10) })
    s.expectSent({ flags: 'A' })
    s.receive({ flags: 'S', seq: 1 }, { at: ms(20) })
    s.expectNothing()
    expect(s.count('tcpExt.TCPACKSkippedTimeWait')).toBe(1)
  })

  it('keeps its time stamps, and the window', () => {
    const s = established({ timestamps: true })
    s.shutdown()
    s.sent()
    s.receive({ flags: 'FA', seq: 1, ack: 2, timestamps: { value: 1234 } })
    const [last] = s.sent()
    s.advance(seconds(1))
    s.receive({ flags: 'FA', seq: 1, ack: 2, timestamps: { value: 2234 } })
    const [again] = s.expectSent({ flags: 'A', seq: 2, ack: 2, window: last!.window })
    expect(again!.timestamps).toEqual({ value: last!.timestamps!.value + 1000, echo: 1234 })
  })

  it('more than tcp_max_tw_buckets: none is kept', () => {
    const s = established({ settings: { tcp_max_tw_buckets: 0 } })
    s.close()
    s.sent()
    s.receive({ flags: 'FA', seq: 1, ack: 2 })
    s.expectSent({ flags: 'A', seq: 2, ack: 2 })
    expect(s.shownState).toBe('CLOSE')
    expect(s.count('tcpExt.TCPTimeWaitOverflow')).toBe(1)
  })

  it('lasts as long as the settings say', () => {
    const s = inState('TIME_WAIT', { settings: { time_wait_ms: 240_000 } })
    s.advanceTo(seconds(240) - 1)
    expect(s.shownState).toBe('TIME_WAIT')
    s.advance(1)
    expect(s.shownState).toBe('CLOSE')
  })
})
