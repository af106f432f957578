import { describe, expect, it } from 'vitest'
import { established, inState, TcpBench } from '../../test/support/tcp.ts'
import { ms, seconds } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'

const NET = { type: 3, code: 0 }
const HOST = { type: 3, code: 1 }
const PROTOCOL = { type: 3, code: 2 }
const PORT = { type: 3, code: 3 }
const PROHIBITED = { type: 3, code: 13 }
const TIME_EXCEEDED = { type: 11, code: 0 }

describe('ICMP while a connection is opened (RFC 5461)', () => {
  for (const [name, error, errno] of [
    ['net unreachable', NET, Errno.ENETUNREACH],
    ['host unreachable', HOST, Errno.EHOSTUNREACH],
    ['protocol unreachable', PROTOCOL, Errno.ENOPROTOOPT],
    ['port unreachable', PORT, Errno.ECONNREFUSED],
    ['prohibited', PROHIBITED, Errno.EHOSTUNREACH],
    ['time exceeded', TIME_EXCEEDED, Errno.EHOSTUNREACH],
  ] as const) {
    it(`${name} ends SYN_SENT`, () => {
      const s = inState('SYN_SENT')
      s.icmp({ ...error, seq: 0 })
      expect(s.state).toBe('CLOSE')
      expect(s.end).toBe(errno)
      s.close()
      s.expectNothingLeft()
    })
  }

  it('ICMPv6: no route, address, port', () => {
    for (const [code, errno] of [
      [0, Errno.ENETUNREACH],
      [3, Errno.EHOSTUNREACH],
      [4, Errno.ECONNREFUSED],
    ] as const) {
      const s = inState('SYN_SENT', { ipv6: true })
      s.icmp({ type: 1, code, seq: 0 })
      expect(s.end).toBe(errno)
    }
  })

  it('one that quotes another number is counted and ignored', () => {
    const s = inState('SYN_SENT')
    s.icmp({ ...HOST, seq: 2 })
    s.icmp({ ...HOST, seq: -1 })
    expect(s.state).toBe('SYN_SENT')
    expect(s.count('tcpExt.OutOfWindowIcmps')).toBe(2)
  })

  it('a half-open connection goes when its client is not there; a closed port of it proves nothing', () => {
    const s = inState('LISTEN')
    s.receive({ flags: 'S', mss: 1460 })
    s.sent()
    s.icmp({ ...PORT, seq: 0 })
    s.icmp({ ...HOST, seq: 1 })
    expect(s.listener!.requests).toBe(1)
    s.icmp({ ...HOST, seq: 0 })
    expect(s.listener!.requests).toBe(0)
    expect(s.demux.table.size).toBe(0)
  })
})

describe('ICMP about an established connection', () => {
  it('does not end it (RFC 9293 section 3.9.2.2), hard or soft', () => {
    for (const error of [NET, HOST, PROTOCOL, PORT, TIME_EXCEEDED]) {
      const s = established({ rtt: ms(10) })
      s.send('x')
      s.sent()
      s.icmp({ ...error, seq: 1 })
      expect(s.state).toBe('ESTABLISHED')
      s.receive({ flags: 'A', seq: 1, ack: 2 })
      expect(s.connection.softError).toBe(0)
    }
  })

  it('is the error that giving up reports', () => {
    const s = established({ rtt: ms(1) })
    s.send('x')
    s.advance(seconds(900))
    s.icmp({ ...HOST, seq: 1 })
    s.advance(seconds(200))
    expect(s.state).toBe('CLOSE')
    expect(s.end).toBe(Errno.EHOSTUNREACH)
  })

  it('"no route" takes back the last doubling of the time-out (RFC 6069)', () => {
    const s = established({ rtt: ms(10) })
    s.send('x')
    s.advanceTo(ms(220))
    expect(s.sent().length).toBe(2)
    // The next would be at 640 ms.
    s.icmp({ ...HOST, seq: 1 })
    s.advanceTo(ms(430) - 1)
    s.expectNothing()
    s.advance(1)
    s.expectSent({ seq: 1, at: ms(430) })
  })

  it('a quotation too short to tell the number, or of no connection, does nothing', () => {
    const s = new TcpBench()
    s.icmp({ ...HOST, seq: 0 })
    s.expectNothing()
    expect(s.count('icmp.InErrors')).toBe(1)
  })
})
