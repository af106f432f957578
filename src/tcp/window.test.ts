import { describe, expect, it } from 'vitest'
import { type EstablishedOptions, established, type TcpBench } from '../../test/support/tcp.ts'
import { ms } from '../core/clock.ts'
import { Nagle } from './connection.ts'
import { pushPending } from './output.ts'
import { BSD } from './settings.ts'

describe("the peer's window (RFC 9293 section 3.8.6)", () => {
  it('is filled, and no more', () => {
    const s = established({ mss: 1000, window: 3000 })
    s.send(8000)
    s.expectSent({ seq: 1, length: 1000 }, { seq: 1001, length: 1000 }, { seq: 2001, length: 1000 })
    s.receive({ flags: 'A', seq: 1, ack: 1001, window: 3000 })
    s.expectSent({ seq: 3001, length: 1000 })
    s.receive({ flags: 'A', seq: 1, ack: 4001, window: 3000 })
    s.expectSent({ seq: 4001, length: 1000 }, { seq: 5001, length: 1000 }, { seq: 6001, length: 1000 })
  })

  it('is scaled by what the peer offered, but not in its SYN (RFC 7323 section 2.2)', () => {
    const s = established({ mss: 1000, window: 100, windowScale: 5 })
    expect(s.connection.snd.wnd).toBe(3200)
    s.send(8000)
    s.expectSent({ length: 1000 }, { length: 1000 }, { seq: 2001, length: 1000 })
  })

  it('a scale above 14 counts as 14', () => {
    const s = established({ window: 1, windowScale: 15 })
    expect(s.connection.snd.wndScale).toBe(14)
  })

  it('smaller than the MSS: segments fit into it', () => {
    const s = established({ mss: 1000, window: 400 })
    expect(s.connection.snd.mss).toBe(400)
    s.send(1000)
    s.expectSent({ seq: 1, length: 400 })
    s.receive({ flags: 'A', seq: 1, ack: 401, window: 400 })
    s.expectSent({ seq: 401, length: 400 })
    s.receive({ flags: 'A', seq: 1, ack: 801, window: 400 })
    s.expectSent({ flags: 'PA', seq: 801, length: 200 })
  })

  it('two segments fit into the largest that was offered (section 3.8.6.2.1)', () => {
    const s = established({ mss: 1000, window: 1500 })
    s.send(1500)
    s.expectSent({ seq: 1, length: 750 }, { flags: 'PA', seq: 751, length: 750 })
  })

  it('a little room is not used until the persist timer says so (silly-window avoidance)', () => {
    const s = established({ mss: 1000, window: 5000, rtt: ms(1) })
    s.send(5000)
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 5001, window: 300 }, { at: ms(2) })
    s.send(1000)
    s.expectNothing()
    s.advanceTo(ms(203))
    s.expectSent({ flags: 'PA', seq: 5001, length: 300, at: ms(203) })
    s.receive({ flags: 'A', seq: 1, ack: 5301, window: 5000 })
    s.expectSent({ flags: 'PA', seq: 5301, length: 700 })
  })

  it('shut, and opened by an update with an old ACK number', () => {
    const s = established({ mss: 1000, window: 2000 })
    s.send(3000)
    s.expectSent({ seq: 1 }, { seq: 1001 })
    s.receive({ flags: 'A', seq: 1, ack: 2001, window: 0 })
    s.expectNothing()
    s.receive({ flags: 'A', seq: 1, ack: 2001, window: 2000 })
    s.expectSent({ seq: 2001, length: 1000 })
  })

  it('the peer takes its window back: nothing more leaves, what is lost is sent again as far as it fits', () => {
    const s = established({ mss: 1000, window: 5000, rtt: ms(10) })
    s.send(6000)
    expect(s.sent().length).toBe(5)
    s.receive({ flags: 'A', seq: 1, ack: 1001, window: 500 })
    s.expectNothing()
    s.advance(ms(210))
    s.expectSent({ seq: 1001, length: 500 })
    s.receive({ flags: 'A', seq: 1, ack: 1501, window: 500 })
    // The rest of that segment just fits.
    s.expectSent({ seq: 1501, length: 500 })
  })

  it('an ACK of our own after that has a number that the peer still takes', () => {
    const s = established({ mss: 1000, window: 5000 })
    s.send(5000)
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 1001, window: 500 })
    s.receive({ flags: 'PA', seq: 1, ack: 1001, window: 500, payload: 'x' })
    s.expectSent({ flags: 'A', seq: 1501, ack: 2 })
  })
})

describe("Nagle's rule (RFC 9293 section 3.7.4), in Minshall's form", () => {
  const options: EstablishedOptions = { mss: 1000 }

  it('one small segment in flight: the next waits for its ACK', () => {
    const s = established(options)
    s.send('a')
    s.expectSent({ flags: 'PA', seq: 1, payload: 'a' })
    s.send('b')
    s.send('c')
    s.expectNothing()
    s.receive({ flags: 'A', seq: 1, ack: 2 })
    s.expectSent({ flags: 'PA', seq: 2, payload: 'bc' })
  })

  it('leaves when a full segment has come together', () => {
    const s = established(options)
    s.send('a')
    s.sent()
    s.send(600)
    s.expectNothing()
    s.send(600)
    s.expectSent({ seq: 2, length: 1000 })
    s.receive({ flags: 'A', seq: 1, ack: 1002 })
    s.expectSent({ flags: 'PA', seq: 1002, length: 200 })
  })

  it('a full segment in flight holds nothing back', () => {
    const s = established(options)
    s.send(1000)
    s.sent()
    s.send('x')
    s.expectSent({ flags: 'PA', seq: 1001, payload: 'x' })
  })

  it('TCP_NODELAY: every write leaves', () => {
    const s = established({ ...options, nodelay: true })
    s.send('a')
    s.send('b')
    s.expectSent({ flags: 'PA', seq: 1, payload: 'a' }, { flags: 'PA', seq: 2, payload: 'b' })
  })

  it('FIN takes along what was held back', () => {
    const s = established(options)
    s.send('a')
    s.send('b')
    s.sent()
    s.shutdown()
    s.expectSent({ flags: 'FPA', seq: 2, payload: 'b' })
  })
})

describe('TCP_CORK and MSG_MORE', () => {
  const corked = (): TcpBench => {
    const s = established({ mss: 1000, rtt: ms(1) })
    s.connection.nagle |= Nagle.Cork
    return s
  }

  it('only full segments leave', () => {
    const s = corked()
    s.send(300)
    s.expectNothing()
    s.send(1000)
    s.expectSent({ seq: 1, length: 1000 })
    s.receive({ flags: 'A', seq: 1, ack: 1001 })
    s.expectNothing()
    s.connection.nagle &= ~Nagle.Cork
    pushPending(s.connection, s.connection.nagle | Nagle.Push)
    s.expectSent({ flags: 'PA', seq: 1001, length: 300 })
  })

  it('the rest leaves after 200 ms all the same', () => {
    const s = corked()
    s.send(300)
    s.advance(ms(201) - 1)
    s.expectNothing()
    s.advance(1)
    s.expectSent({ flags: 'PA', seq: 1, length: 300 })
  })

  it('FIN pulls the cork', () => {
    const s = corked()
    s.send(300)
    s.shutdown()
    s.expectSent({ flags: 'FPA', seq: 1, length: 300 })
  })

  it('MSG_MORE holds back that write, the next without it sends both', () => {
    const s = established({ mss: 1000 })
    s.send('head', { more: true })
    s.expectNothing()
    s.send('body')
    s.expectSent({ flags: 'PA', seq: 1, payload: 'headbody' })
  })

  it('MSG_EOR: what follows does not share a segment', () => {
    const s = established({ mss: 1000, window: 4000 })
    s.send('a')
    s.sent()
    s.send('one', { eor: true })
    s.send('two')
    s.receive({ flags: 'A', seq: 1, ack: 2, window: 4000 })
    const first = s.sent()
    expect(first[0]).toMatchObject({ seq: 2, payload: 'one' })
  })
})

describe('our window', () => {
  it('is announced scaled, rounded up to the scale', () => {
    const s = established({ windowScale: 7, timestamps: true })
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 1000 })
    const [ack] = s.sent()
    expect(ack!.window * 128).toBe(Math.ceil(s.connection.rcv.wnd / 128) * 128)
    expect(s.connection.rcv.wndScale).toBe(7)
  })

  it('follows the largest queue there may be: scale 10 for tcp_rmem of 64 MiB', () => {
    const s = established({ windowScale: 7, settings: { tcp_rmem: [4096, 131_072, 64 << 20] } })
    expect(s.connection.rcv.wndScale).toBe(11)
  })

  it('the right edge never moves back while the application does not read, down to a window of 0', () => {
    const s = established({ receiveBuffer: 40_000 })
    let next = 1
    let edge = 0
    let window = -1
    for (let i = 0; i < 100 && window !== 0; i++) {
      const length = Math.min(1000, s.connection.rcv.wnd)
      s.receive({ flags: 'A', seq: next, ack: 1, payload: length })
      next += length
      s.advance(ms(300))
      const last = s.sent().at(-1)!
      expect(last.ack).toBe(next)
      expect(last.ack + last.window).toBeGreaterThanOrEqual(edge)
      edge = last.ack + last.window
      window = last.window
    }
    expect(window).toBe(0)
    // All that was announced fitted.
    expect(s.connection.receiveQueueBytes).toBe(next - 1)
    expect(next - 1).toBeLessThanOrEqual(20_000)
  })

  it('a window of 0: more is dropped, and answered', () => {
    const s = established({ receiveBuffer: 4000 })
    let next = 1
    while (s.connection.rcv.wnd > 0) {
      const length = s.connection.rcv.wnd
      s.receive({ flags: 'A', seq: next, ack: 1, payload: length })
      next += length
      s.advance(ms(300))
    }
    s.sent()
    s.receive({ flags: 'PA', seq: next, ack: 1, payload: 'y' })
    s.expectSent({ flags: 'A', seq: 1, ack: next, window: 0 })
    expect(s.dropped('tcp-zero-window')).toBe(1)
    // A probe with an old number is answered too.
    s.advance(ms(600))
    s.receive({ flags: 'A', seq: next - 1, ack: 1 })
    s.expectSent({ flags: 'A', seq: 1, ack: next, window: 0 })
  })

  it('reading a little says nothing; reading much opens the window (section 3.8.6.2.2)', () => {
    const s = established({ receiveBuffer: 40_000 })
    let next = 1
    while (s.connection.rcv.wnd > 0) {
      const length = Math.min(1000, s.connection.rcv.wnd)
      s.receive({ flags: 'A', seq: next, ack: 1, payload: length })
      next += length
      s.advance(ms(300))
    }
    s.sent()
    s.read(100)
    s.read(100)
    s.read(100)
    s.expectNothing()
    for (let i = 0; i < 20 && s.connection.rcv.wnd === 0; i++) s.read(100)
    const [update] = s.sent()
    expect(update!.flags).toBe('A')
    // A full segment at the least, and a sixteenth of the queue.
    expect(update!.window).toBeGreaterThanOrEqual(1000)
    expect(update!.window).toBeLessThanOrEqual(2300)
  })

  it('a queue counted in bytes of data (BSD): AWS is what is free of it', () => {
    const s = established({ receiveBuffer: 10_000, settings: { personality: BSD } })
    expect(s.connection.rcv.wnd).toBe(8760)
    s.receive({ flags: 'A', seq: 1, ack: 1, payload: 1460 })
    const [ack] = s.sent()
    expect(ack!.window).toBe(8760 - 1460)
  })

  it("grows with what arrives, and the application's pace makes the queue grow (tcp_moderate_rcvbuf)", () => {
    const s = established({ windowScale: 7, timestamps: true, rtt: ms(20) })
    const before = s.connection.receiveBuffer
    let next = 1
    for (let round = 0; round < 12; round++) {
      s.advance(ms(20))
      const flight = Math.floor(s.connection.rcv.wnd / 1448)
      for (let i = 0; i < flight; i++) {
        s.receive({ flags: 'A', seq: next, ack: 1, payload: 1448 })
        next += 1448
        s.read()
      }
      s.sent()
    }
    expect(s.connection.receiveBuffer).toBeGreaterThan(4 * before)
    expect(s.connection.receiveBuffer).toBeLessThanOrEqual(6_291_456)
  })

  it('a queue that the application has set does not grow', () => {
    const s = established({ windowScale: 7, timestamps: true, rtt: ms(20), receiveBuffer: 40_000 })
    let next = 1
    for (let round = 0; round < 12; round++) {
      s.advance(ms(20))
      const flight = Math.floor(s.connection.rcv.wnd / 1448)
      for (let i = 0; i < flight; i++) {
        s.receive({ flags: 'A', seq: next, ack: 1, payload: 1448 })
        next += 1448
        s.read()
      }
      s.sent()
    }
    expect(s.connection.receiveBuffer).toBe(40_000)
  })
})
