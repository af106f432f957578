import { describe, expect, it } from 'vitest'
import { established, type TcpBench } from '../../test/support/tcp.ts'
import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import { isAtMark, readUrgent } from './read.ts'

const oob = (s: TcpBench, peek = false): number | string => {
  const byte = readUrgent(s.connection, peek)
  return byte < 0 ? byte : String.fromCharCode(byte)
}

describe('sending urgent data (RFC 9293 section 3.8.5, RFC 6093)', () => {
  it('the pointer points behind the last byte of the write', () => {
    const s = established({ mss: 1000 })
    s.send('abc', { urgent: true })
    s.expectSent({ flags: 'PAU', seq: 1, urgent: 3, payload: 'abc' })
  })

  it('what comes behind it is not urgent', () => {
    const s = established({ mss: 1000, nodelay: true })
    s.send('abc', { urgent: true })
    s.send('def')
    s.expectSent({ flags: 'PAU', urgent: 3 }, { flags: 'PA', urgent: 0, payload: 'def' })
  })

  it('is announced ahead, while the window is shut', () => {
    const s = established({ mss: 1000, window: 1000 })
    s.send(1000)
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 1001, window: 0 })
    s.send('!', { urgent: true })
    s.expectNothing()
    s.advanceUntilSent()
    const probes = s.sent()
    expect(probes.some(({ flags, seq, urgent }) => flags === 'AU' && seq + urgent === 1002)).toBe(true)
    expect(probes.every(({ length }) => length === 0)).toBe(true)
  })

  it('is announced by the data before it, and no more once it is acknowledged', () => {
    const s = established({ mss: 1000, window: 2000 })
    s.send(1000)
    s.sent()
    s.send(2000)
    s.send('!', { urgent: true })
    const before = s.sent()
    expect(before.length).toBeGreaterThan(0)
    s.receive({ flags: 'A', seq: 1, ack: 2001, window: 5000 })
    for (const { seq, flags, urgent } of s.sent()) {
      expect(flags).toContain('U')
      expect(seq + urgent).toBe(3002)
    }
    s.receive({ flags: 'A', seq: 1, ack: 3002, window: 5000 })
    s.send('x')
    s.expectSent({ flags: 'PA', urgent: 0 })
  })

  it('keeps up with what is acknowledged, so that it never lies ahead by going round', () => {
    const s = established({ mss: 1000 })
    const { snd } = s.connection
    s.send('abc')
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 4 })
    expect(snd.urgentSeq).toBe(snd.una)
    // Where 2^31 bytes more would leave it, had it stayed at the beginning.
    expect((snd.una + 0x7fff_ffff - snd.urgentSeq) | 0).toBe(0x7fff_ffff)
  })

  it("passes by Nagle's rule", () => {
    const s = established({ mss: 1000 })
    s.send('a')
    s.sent()
    s.send('b', { urgent: true })
    s.expectSent({ flags: 'PAU', seq: 2, urgent: 1, payload: 'b' })
  })
})

describe('receiving urgent data', () => {
  const received = (options = {}): TcpBench => {
    const s = established({ options })
    s.receive({ flags: 'PAU', seq: 1, ack: 1, urgent: 3, payload: 'abcdef' })
    return s
  }

  it('SIGURG, POLLPRI; the byte is read apart and is not among the others', () => {
    const s = received()
    expect(s.urgentSignals).toBe(1)
    expect(s.events & Readiness.Pri).toBe(Readiness.Pri)
    expect(oob(s)).toBe('c')
    expect(oob(s)).toBe(-Errno.EINVAL)
    expect(s.read()).toBe('ab')
    expect(isAtMark(s.connection)).toBe(true)
    expect(s.read()).toBe('def')
    expect(isAtMark(s.connection)).toBe(false)
  })

  it('peeking leaves it', () => {
    const s = received()
    expect(oob(s, true)).toBe('c')
    expect(oob(s)).toBe('c')
  })

  it('SO_OOBINLINE: it stays among the others, and reading stops in front of it', () => {
    const s = received({ oobInline: true })
    expect(oob(s)).toBe(-Errno.EINVAL)
    expect(s.read()).toBe('ab')
    expect(isAtMark(s.connection)).toBe(true)
    expect(s.read()).toBe('cdef')
  })

  it('announced before it is here: EAGAIN; without any: EINVAL', () => {
    const s = established()
    expect(oob(s)).toBe(-Errno.EINVAL)
    s.receive({ flags: 'AU', seq: 1, ack: 1, urgent: 5 })
    expect(s.urgentSignals).toBe(1)
    expect(oob(s)).toBe(-Errno.EAGAIN)
    s.receive({ flags: 'PAU', seq: 1, ack: 1, urgent: 5, payload: 'abcdefg' })
    expect(s.urgentSignals).toBe(1)
    expect(oob(s)).toBe('e')
    expect(s.read()).toBe('abcd')
    expect(s.read()).toBe('fg')
  })

  it('a second one takes the place of the first, which becomes ordinary data', () => {
    const s = established()
    s.receive({ flags: 'PAU', seq: 1, ack: 1, urgent: 2, payload: 'ab' })
    s.receive({ flags: 'PAU', seq: 3, ack: 1, urgent: 2, payload: 'cd' })
    expect(s.urgentSignals).toBe(2)
    expect(oob(s)).toBe('d')
    expect(s.read()).toBe('abc')
  })

  it('a pointer to what was read already is ignored', () => {
    const s = established()
    s.receive({ flags: 'PA', seq: 1, ack: 1, payload: 'abcd' })
    s.read()
    s.receive({ flags: 'PAU', seq: 1, ack: 1, urgent: 2, payload: 'abcd' })
    expect(s.urgentSignals).toBe(0)
    expect(oob(s)).toBe(-Errno.EINVAL)
  })

  it('tcp_stdurg: the pointer is at the byte itself, by the letter of RFC 1122', () => {
    const s = established({ settings: { tcp_stdurg: 1 } })
    s.receive({ flags: 'PAU', seq: 1, ack: 1, urgent: 3, payload: 'abcdef' })
    expect(oob(s)).toBe('d')
  })
})
