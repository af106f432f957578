import { describe, expect, it } from 'vitest'
import { inState, TcpBench } from '../../test/support/tcp.ts'
import { ms, seconds } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'

const ALL = { mss: 1460, sackPermitted: true, windowScale: 7 }

describe('the SYN (RFC 9293 section 3.7.1, RFC 7323, RFC 2018)', () => {
  it('offers MSS, SACK, time stamps and a window scale, over IPv4', () => {
    const s = new TcpBench()
    s.connect()
    const [syn] = s.expectSent({ flags: 'S', seq: 0, ack: 0, window: 64_240, length: 0, ...ALL })
    expect(syn!.timestamps!.echo).toBe(0)
  })

  it('over IPv6', () => {
    const s = new TcpBench({ ipv6: true })
    s.connect()
    s.expectSent({ flags: 'S', seq: 0, window: 64_800, ...ALL, mss: 1440 })
  })

  it('offers what the settings allow', () => {
    const s = new TcpBench({ settings: { tcp_timestamps: 0, tcp_sack: 0, tcp_window_scaling: 0 } })
    s.connect()
    const [syn] = s.expectSent({ flags: 'S', window: 64_240, mss: 1460, sackPermitted: false, windowScale: -1 })
    expect(syn!.timestamps).toBeUndefined()
  })

  it('announces the MSS of the interface, or less if the application says so (TCP_MAXSEG)', () => {
    const narrow = new TcpBench({ mtu: 1280 })
    narrow.connect()
    narrow.expectSent({ flags: 'S', mss: 1240 })
    const limited = new TcpBench()
    limited.connect((c) => {
      c.ownOptions().maxSegment = 700
    })
    limited.expectSent({ flags: 'S', mss: 700 })
  })

  it('begins with a number that another pair of endpoints does not share, and that grows by one in 4 us (RFC 6528)', () => {
    const s = new TcpBench()
    const { layer } = s.demux
    const first = layer.initialSequence(s.local, 8080, s.peer, 50_000)
    expect(layer.initialSequence(s.local, 8080, s.peer, 50_001)).not.toBe(first)
    expect(layer.initialSequence(s.local, 8080, s.peer, 50_000)).toBe(first)
    s.advance(ms(1))
    expect(layer.initialSequence(s.local, 8080, s.peer, 50_000)).toBe((first + 250) | 0)
  })
})

describe('SYN_SENT (RFC 9293 section 3.10.7.3)', () => {
  it('is established by SYN+ACK, and takes over window and options', () => {
    const s = inState('SYN_SENT')
    s.advance(ms(20))
    s.receive({ flags: 'SA', seq: 0, ack: 1, window: 4000, ...ALL, timestamps: { value: 77, echo: s.lastTsVal } })
    const [ack] = s.expectSent({ flags: 'A', seq: 1, ack: 1, window: 502, length: 0 })
    expect(ack!.timestamps!.echo).toBe(77)
    expect(s.state).toBe('ESTABLISHED')
    const { snd, rtt } = s.connection
    // The window of a SYN is not scaled; the MSS leaves room for time stamps.
    expect([snd.wnd, snd.wndScale, snd.mss, rtt.srtt]).toEqual([4000, 7, 1448, 20_000])
  })

  it('uses none of the options that the peer does not answer', () => {
    const s = inState('SYN_SENT')
    s.receive({ flags: 'SA', seq: 0, ack: 1, mss: 1460 })
    const [ack] = s.expectSent({ flags: 'A', seq: 1, ack: 1, window: 64_240, sack: [] })
    expect(ack!.timestamps).toBeUndefined()
    expect(s.connection.features).toBe(0)
    expect(s.connection.snd.mss).toBe(1460)
  })

  it('sends 536 bytes a segment to a peer that names no MSS, 1220 over IPv6 (MUST-15)', () => {
    for (const [ipv6, mss] of [
      [false, 536],
      [true, 1220],
    ] as const) {
      const s = inState('SYN_SENT', { ipv6 })
      s.receive({ flags: 'SA', seq: 0, ack: 1 })
      expect(s.connection.snd.mss).toBe(mss)
    }
  })

  it('is not led to send segments of no use by a tiny MSS (tcp_min_snd_mss)', () => {
    const s = inState('SYN_SENT')
    s.receive({ flags: 'SA', seq: 0, ack: 1, mss: 1 })
    expect(s.connection.snd.mss).toBe(48)
  })

  it('resets an ACK that is not of its SYN, stays, and repeats the SYN at once', () => {
    for (const ack of [0, 2]) {
      const s = inState('SYN_SENT')
      s.receive({ flags: 'SA', seq: 0, ack, mss: 1460 })
      s.expectSent({ flags: 'R', seq: ack, length: 0 })
      expect(s.state).toBe('SYN_SENT')
      s.advance(ms(2))
      s.expectSent({ flags: 'S', seq: 0 })
    }
  })

  it('resets a bare ACK of something else too', () => {
    const s = inState('SYN_SENT')
    s.receive({ flags: 'A', seq: 0, ack: 500 })
    s.expectSent({ flags: 'R', seq: 500 })
    expect(s.state).toBe('SYN_SENT')
  })

  it('ignores an ACK of its SYN without SYN', () => {
    const s = inState('SYN_SENT')
    s.receive({ flags: 'A', seq: 1, ack: 1 })
    s.expectNothing()
    expect(s.state).toBe('SYN_SENT')
    expect(s.dropped('tcp-flags')).toBe(1)
  })

  it('is refused by a RST that acknowledges the SYN', () => {
    const s = inState('SYN_SENT')
    s.receive({ flags: 'RA', seq: 0, ack: 1 })
    s.expectNothing()
    expect(s.state).toBe('CLOSE')
    expect(s.end).toBe(Errno.ECONNREFUSED)
    s.close()
    s.expectNothingLeft()
  })

  it('ignores a RST without ACK, and answers none that acknowledges something else', () => {
    const s = inState('SYN_SENT')
    s.receive({ flags: 'R', seq: 0 })
    s.receive({ flags: 'RA', seq: 0, ack: 2 })
    s.expectNothing()
    expect(s.state).toBe('SYN_SENT')
  })

  it('resets an answer that echoes a time stamp it has not sent (RFC 7323 section 3.2)', () => {
    const s = inState('SYN_SENT')
    s.receive({ flags: 'SA', seq: 0, ack: 1, timestamps: { value: 5, echo: s.lastTsVal + 1000 } })
    s.expectSent({ flags: 'R', seq: 1 })
    expect(s.state).toBe('SYN_SENT')
    expect(s.count('tcpExt.PAWSActive')).toBe(1)
  })

  it('does not take data that comes with the SYN+ACK: the peer sends it again', () => {
    const s = inState('SYN_SENT')
    s.receive({ flags: 'SA', seq: 0, ack: 1, mss: 1460, payload: 'hello' })
    s.expectSent({ flags: 'A', seq: 1, ack: 1 })
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'hello' })
    expect(s.read()).toBe('hello')
  })

  it('lets the last ACK of the handshake ride on data that waits', () => {
    const s = new TcpBench()
    s.connect()
    s.expectSent({ flags: 'S' })
    s.send('GET /')
    s.expectNothing()
    s.receive({ flags: 'SA', seq: 0, ack: 1, mss: 1460 })
    s.expectSent({ flags: 'PA', seq: 1, ack: 1, payload: 'GET /' })
  })

  it('ends without a word when it is closed', () => {
    const s = inState('SYN_SENT')
    s.close()
    s.expectNothing()
    expect(s.shownState).toBe('CLOSE')
    s.expectNothingLeft()
  })
})

describe('simultaneous open (RFC 9293 section 3.5, figure 8)', () => {
  it('goes through SYN_RECV on a SYN, and stands when its SYN is acknowledged', () => {
    const s = inState('SYN_SENT')
    s.receive({ flags: 'S', seq: 0, mss: 1000, window: 3000 })
    s.expectSent({ flags: 'SA', seq: 0, ack: 1, mss: 1460 })
    expect(s.state).toBe('SYN_RECV')
    s.receive({ flags: 'SA', seq: 0, ack: 1, mss: 1000, window: 3000 })
    expect(s.state).toBe('ESTABLISHED')
    s.expectSent({ flags: 'A', seq: 1, ack: 1 })
    s.send('abc')
    s.expectSent({ flags: 'PA', seq: 1, ack: 1, payload: 'abc' })
    s.receive({ flags: 'A', seq: 1, ack: 4 })
    expect(s.connection.sendQueueBytes).toBe(0)
  })

  it('repeats the SYN+ACK, not the SYN, while it is not acknowledged', () => {
    const s = inState('SYN_RECV')
    s.advance(seconds(1))
    s.expectSent({ flags: 'SA', seq: 0, ack: 1, at: seconds(1) })
    s.receive({ flags: 'A', seq: 1, ack: 1 })
    expect(s.state).toBe('ESTABLISHED')
    s.expectNothing()
  })

  it('takes data with the ACK, and FIN', () => {
    const s = inState('SYN_RECV')
    s.receive({ flags: 'FPA', seq: 1, ack: 1, payload: 'bye' })
    expect(s.state).toBe('CLOSE_WAIT')
    expect(s.read()).toBe('bye')
    expect(s.end).toBe('eof')
    // The application is expected to close soon: the ACK waits for its FIN.
    s.advance(ms(40))
    s.expectSent({ flags: 'A', seq: 1, ack: 5, at: ms(40) })
  })

  it('a close in SYN_RECV sends its FIN when the connection stands', () => {
    const s = inState('SYN_RECV')
    s.shutdown()
    s.expectNothing()
    expect(s.state).toBe('SYN_RECV')
    s.receive({ flags: 'A', seq: 1, ack: 1 })
    s.expectSent({ flags: 'FA', seq: 1, ack: 1 })
    expect(s.state).toBe('FIN_WAIT1')
  })
})

describe('passive open (RFC 9293 sections 3.10.7.2 and 3.10.7.4, Syn-Received)', () => {
  const half = (syn: Parameters<TcpBench['receive']>[0] = { flags: 'S', mss: 1460 }): TcpBench => {
    const s = new TcpBench()
    s.listen()
    s.receive(syn)
    s.sent()
    return s
  }

  it('agrees to what the SYN offers, and to no more', () => {
    const s = new TcpBench()
    s.listen()
    s.receive({ flags: 'S', mss: 1460 })
    const [plain] = s.expectSent({ flags: 'SA', window: 64_240, mss: 1460, sackPermitted: false, windowScale: -1 })
    expect(plain!.timestamps).toBeUndefined()
    const t = new TcpBench()
    t.listen()
    t.receive({ flags: 'S', ...ALL, timestamps: { value: 9, echo: 0 } })
    const [full] = t.expectSent({ flags: 'SA', window: 65_160, ...ALL })
    expect(full!.timestamps!.echo).toBe(9)
  })

  it('gives the connection to the listener only with the third message', () => {
    const s = half()
    expect(s.listener!.acceptQueue.length).toBe(0)
    expect(s.listener!.requests).toBe(1)
    s.receive({ flags: 'A', seq: 1, ack: 1 }, { at: ms(30) })
    expect(s.listener!.acceptQueue.length).toBe(1)
    expect(s.listener!.requests).toBe(0)
    expect(s.accept().rtt.srtt).toBe(30_000)
    expect(s.state).toBe('ESTABLISHED')
  })

  it('takes data with the third message, and before accept', () => {
    const s = half()
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'one' })
    s.expectSent({ flags: 'A', seq: 1, ack: 4 })
    s.receive({ flags: 'PA', seq: 4, ack: 1, payload: 'two' })
    s.accept()
    expect(s.read()).toBe('onetwo')
  })

  it('takes no data from the SYN itself', () => {
    const s = new TcpBench()
    s.listen()
    s.receive({ flags: 'S', mss: 1460, payload: 'early' })
    s.expectSent({ flags: 'SA', seq: 0, ack: 1 })
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'early' })
    s.accept()
    expect(s.read()).toBe('early')
  })

  it('answers the SYN again when it comes again, twice a second at most', () => {
    const s = half()
    s.receive({ flags: 'S', mss: 1460 }, { at: ms(600) })
    s.expectSent({ flags: 'SA', seq: 0, ack: 1 })
    s.receive({ flags: 'S', mss: 1460 }, { at: ms(700) })
    s.expectNothing()
    expect(s.count('tcpExt.TCPACKSkippedSynRecv')).toBe(1)
  })

  it('resets an ACK that is not of its SYN+ACK, and waits on', () => {
    const s = half()
    s.receive({ flags: 'A', seq: 1, ack: 2 })
    s.expectSent({ flags: 'R', seq: 2 })
    s.receive({ flags: 'A', seq: 1, ack: 1 })
    s.accept()
    expect(s.state).toBe('ESTABLISHED')
  })

  it('acknowledges what lies outside of its window', () => {
    const s = half()
    s.receive({ flags: 'PA', seq: 70_000, ack: 1, payload: 'x' })
    s.expectSent({ flags: 'A', seq: 1, ack: 1 })
    expect(s.listener!.requests).toBe(1)
  })

  it('goes, and the listener stays, on a RST at RCV.NXT', () => {
    const s = half()
    s.receive({ flags: 'R', seq: 1 })
    s.expectNothing()
    expect(s.listener!.requests).toBe(0)
    expect(s.demux.table.size).toBe(0)
    s.receive({ flags: 'S', mss: 1460 })
    s.expectSent({ flags: 'SA' })
  })

  it('challenges a RST elsewhere in the window (RFC 5961 section 3.2)', () => {
    const s = half()
    s.receive({ flags: 'R', seq: 2 })
    s.expectSent({ flags: 'A', seq: 1, ack: 1 })
    expect(s.listener!.requests).toBe(1)
  })

  it('is reset by a SYN in the window', () => {
    const s = half()
    s.receive({ flags: 'S', seq: 5 })
    const [reset] = s.expectSent({ flags: 'RA', ack: 6 })
    // Without an ACK to answer, the RST itself has number 0 (section 3.10.7.1).
    expect((reset!.seq + s.isn!) | 0).toBe(0)
    expect(s.listener!.requests).toBe(0)
  })

  it('third message with FIN: CLOSE_WAIT when accepted', () => {
    const s = half()
    s.receive({ flags: 'FA', seq: 1, ack: 1 })
    s.accept()
    expect(s.state).toBe('CLOSE_WAIT')
    expect(s.end).toBe('eof')
  })

  it('a RST before accept leaves a connection that accept returns', () => {
    const s = half()
    s.receive({ flags: 'A', seq: 1, ack: 1 })
    s.receive({ flags: 'R', seq: 1 })
    s.accept()
    expect(s.state).toBe('CLOSE')
    expect(s.end).toBe(Errno.ECONNRESET)
    s.close()
    s.listener!.close()
    s.expectNothingLeft()
  })
})

describe('a listener (RFC 9293 section 3.10.7.2) and no socket at all (section 3.10.7.1)', () => {
  it('a listener resets an ACK, and ignores RST, nothing, FIN, and SYN with FIN', () => {
    const s = inState('LISTEN')
    s.receive({ flags: 'A', seq: 1, ack: 77 })
    s.expectSent({ flags: 'R', seq: 77, ack: 0, length: 0 })
    for (const flags of ['R', 'RA', 'RS', '', 'F', 'SF']) s.receive({ flags, seq: 1 })
    s.expectNothing()
    expect(s.demux.table.size).toBe(0)
  })

  it('a port that nobody has: RST with the number that the segment expects', () => {
    const s = new TcpBench()
    s.receive({ flags: 'S', seq: 0 })
    s.expectSent({ flags: 'RA', seq: 0, ack: 1, length: 0, window: 0 })
    s.receive({ flags: 'PA', seq: 10, ack: 99, payload: 'abc' })
    s.expectSent({ flags: 'R', seq: 99, ack: 0 })
    s.receive({ flags: 'F', seq: 10, payload: 'abc' })
    s.expectSent({ flags: 'RA', seq: 0, ack: 14 })
    s.receive({ flags: 'R', seq: 10 })
    s.receive({ flags: 'RA', seq: 10, ack: 5 })
    s.expectNothing()
    expect(s.count('tcp.OutRsts')).toBe(3)
  })

  it('a wrong checksum: dropped and counted, not answered', () => {
    const s = inState('LISTEN')
    s.receive({ flags: 'S', badChecksum: true })
    s.expectNothing()
    expect(s.count('tcp.InCsumErrors')).toBe(1)
    expect(s.dropped('tcp-checksum')).toBe(1)
  })
})
