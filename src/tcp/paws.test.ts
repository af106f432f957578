import { describe, expect, it } from 'vitest'
import { established, type TcpBench } from '../../test/support/tcp.ts'
import { ms, seconds } from '../core/clock.ts'

/** Time stamps (RFC 7323): the peer's stood at 1000 when the connection was made. */
const stamped = (): TcpBench => {
  const s = established({ timestamps: true, rtt: ms(10) })
  s.receive({ flags: 'A', seq: 1, ack: 1, timestamps: { value: 2000 } })
  s.expectNothing()
  expect(s.connection.rcv.tsRecent).toBe(2000)
  return s
}

const DAY = seconds(86_400)

describe('time stamps on what we send (RFC 7323 section 3)', () => {
  it('run in milliseconds, and echo TS.Recent', () => {
    const s = stamped()
    s.send('a')
    const [first] = s.sent()
    s.advance(ms(7))
    s.send('b')
    s.receive({ flags: 'A', seq: 1, ack: 2, timestamps: { value: 2007 } })
    const [second] = s.sent()
    expect(first!.timestamps!.echo).toBe(2000)
    expect(second!.timestamps).toEqual({ value: first!.timestamps!.value + 7, echo: 2007 })
  })

  it('are on every segment, and leave 12 bytes less for data', () => {
    const s = established({ timestamps: true, mss: 1000 })
    s.send(2000)
    for (const { length, timestamps } of s.sent().slice(0, 2)) {
      expect(length).toBe(988)
      expect(timestamps).toBeDefined()
    }
  })

  it('begin elsewhere for each pair of hosts (section 7.1), unless tcp_timestamps is 2', () => {
    const s = established({ timestamps: true })
    expect(s.connection.timestampOffset).not.toBe(0)
    const t = established({ timestamps: true, settings: { tcp_timestamps: 2 } })
    expect(t.connection.timestampOffset).toBe(0)
  })
})

describe('TS.Recent (section 4.3)', () => {
  it('follows a segment at the left edge of the window', () => {
    const s = stamped()
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'x', timestamps: { value: 3000 } })
    expect(s.connection.rcv.tsRecent).toBe(3000)
  })

  it('does not follow one beyond it', () => {
    const s = stamped()
    s.receive({ flags: 'PA', seq: 2, ack: 1, payload: 'x', timestamps: { value: 3000 } })
    const [ack] = s.expectSent({ flags: 'A', ack: 1 })
    expect(s.connection.rcv.tsRecent).toBe(2000)
    expect(ack!.timestamps!.echo).toBe(2000)
  })

  it('keeps the time stamp of the first segment that a delayed ACK answers', () => {
    const s = established({ timestamps: true })
    let next = 1
    for (let i = 0; i < 16; i++, next += 100) s.receive({ flags: 'A', seq: next, ack: 1, payload: 100 })
    s.sent()
    s.receive({ flags: 'A', seq: next, ack: 1, payload: 10, timestamps: { value: 5000 } })
    s.receive({ flags: 'A', seq: next + 10, ack: 1, payload: 10, timestamps: { value: 5010 } })
    s.advance(ms(40))
    const [ack] = s.expectSent({ flags: 'A', ack: next + 20 })
    expect(ack!.timestamps!.echo).toBe(5000)
  })

  it('goes round with the clock of the peer', () => {
    const s = established({ timestamps: true })
    for (const value of [0x6000_0000, -0x7000_0000, -0x10, 5]) {
      s.receive({ flags: 'A', seq: 1, ack: 1, timestamps: { value } })
      expect(s.connection.rcv.tsRecent).toBe(value)
    }
  })
})

describe('PAWS (section 5)', () => {
  it('drops a segment with an older time stamp, and acknowledges it', () => {
    const s = stamped()
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'old', timestamps: { value: 1998 } })
    s.expectSent({ flags: 'A', seq: 1, ack: 1, length: 0 })
    expect(s.read()).toBe('')
    expect(s.dropped('tcp-paws')).toBe(1)
    expect(s.count('tcpExt.PAWSEstab')).toBe(1)
  })

  it('one millisecond older is no reason: the clocks of a peer with several processors differ', () => {
    const s = stamped()
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'ok', timestamps: { value: 1999 } })
    expect(s.read()).toBe('ok')
    expect(s.connection.rcv.tsRecent).toBe(2000)
  })

  it('lets a RST pass (section 5.2)', () => {
    const s = stamped()
    s.receive({ flags: 'R', seq: 1, timestamps: { value: 1 } })
    expect(s.state).toBe('CLOSE')
  })

  it('answers nothing to an old bare ACK', () => {
    const s = stamped()
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'x', timestamps: { value: 2001 } })
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 1, timestamps: { value: 1500 } })
    s.expectNothing()
    expect(s.count('tcpExt.PAWSOldAck')).toBe(1)
  })

  it('takes a bare ACK that was only overtaken', () => {
    const s = stamped()
    s.receive({ flags: 'A', seq: 1, ack: 1, timestamps: { value: 1900 } })
    s.expectNothing()
    expect(s.dropped('tcp-paws')).toBe(0)
  })

  it('challenges a SYN with an old time stamp', () => {
    const s = stamped()
    s.receive({ flags: 'S', seq: 1, timestamps: { value: 5 } })
    s.expectSent({ flags: 'A', seq: 1, ack: 1 })
    expect(s.count('tcpExt.TCPSYNChallenge')).toBe(1)
  })

  it('believes anything after 24 days of silence (section 5.5)', () => {
    const s = stamped()
    s.advance(24 * DAY - seconds(1))
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'old', timestamps: { value: 5 } })
    expect(s.read()).toBe('')
    s.advance(seconds(1))
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'new', timestamps: { value: 5 } })
    expect(s.read()).toBe('new')
    expect(s.connection.rcv.tsRecent).toBe(5)
  })

  it('a segment without a time stamp is taken, as Linux does', () => {
    const s = stamped()
    s.peerTimestamps = false
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'plain' })
    expect(s.read()).toBe('plain')
  })

  it('in SYN_RECV: an old time stamp is acknowledged and not taken', () => {
    const s = established({ timestamps: true })
    s.close(true)
    s.sent()
    s.receive({ flags: 'S', seq: 0, mss: 1000, timestamps: { value: 700 } })
    s.expectSent({ flags: 'SA' })
    s.receive({ flags: 'A', seq: 1, ack: 1, timestamps: { value: 600 } })
    s.expectSent({ flags: 'A', seq: 1, ack: 1 })
    expect(s.listener!.requests).toBe(1)
    s.receive({ flags: 'A', seq: 1, ack: 1, timestamps: { value: 700 } })
    expect(s.listener!.acceptQueue.length).toBe(1)
  })
})
