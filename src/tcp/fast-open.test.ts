import { describe, expect, it } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { TcpBench } from '../../test/support/tcp.ts'
import { ms, seconds } from '../core/clock.ts'
import { ip } from '../wire/address.ts'
import type { TcpOptions } from './connection.ts'
import { bytesOfKeys, fastOpenCookie, keysOfBytes, keysOfText } from './fast-open.ts'
import { tcpInfo } from './info.ts'
import type { TcpSettings } from './settings.ts'

const cookieText = (key: string, client: string, server: string): string =>
  toHex(fastOpenCookie(keysOfText(key)!.primary, ip(client), ip(server)))

describe('cookies (RFC 7413 section 4.1.2), as Linux computes them', () => {
  // The values are those of google/packetdrill's suite, which Linux 6.x passes.
  const key = 'a0bf63f7-ed803d81-cd641d30-cebc4a90'
  it.each([
    [key, '10.248.0.2', '192.168.0.2', '00abaaabe8e954c2'],
    [key, '10.248.0.3', '192.168.0.2', '1313a2da994a0951'],
    [key, '10.248.0.3', '192.168.0.3', '76d2c1c530f51f79'],
    ['a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4', '192.0.2.1', '192.168.0.1', '3021b9d889017eeb'],
    ['a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4', 'fd3d:fa7b:d17d::1', 'fd3d:a0b:17d6::1', 'c1d1e9742a47a9bc'],
    ['0-0-0-0', '10.248.0.2', '192.168.0.2', '93b7aa4f550f8a1a'],
  ])('key %s, client %s, server %s: %s', (text, client, server, cookie) => {
    expect(cookieText(text, client, server)).toBe(cookie)
  })

  it('keys are text for sysctl(8) and bytes for setsockopt(2)', () => {
    const bytes = hex('f763bfa0 813d80ed 301d64cd 904abcce')
    expect(keysOfBytes(bytes)).toEqual(keysOfText(key))
    expect(bytesOfKeys(keysOfText(`${key},1-2-3-4`)!)).toEqual(
      hex('f763bfa0 813d80ed 301d64cd 904abcce 01000000 02000000 03000000 04000000'),
    )
    expect(keysOfBytes(new Uint8Array(3))).toBeNull()
    for (const text of ['', '1-2-3', '1-2-3-x', '1-2-3-4,', '1-2-3-4,1-2-3-4,1-2-3-4']) {
      expect(keysOfText(text), text).toBeNull()
    }
  })
})

const KEY = 'a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4'
const OTHER_KEY = '11111111-22222222-33333333-44444444'
const cookieOf = (key: string): string => cookieText(key, '192.168.0.2', '192.168.0.1')
const COOKIE = cookieOf(KEY)

const server = (settings: Partial<TcpSettings> = {}, options: Partial<TcpOptions> = {}): TcpBench => {
  const s = new TcpBench({ settings: { tcp_fastopen: 3, tcp_fastopen_key: KEY, ...settings } })
  s.listen(10, { fastOpenQueue: 2, ...options })
  return s
}
const SYN = { flags: 'S', seq: 0, mss: 1460, sackPermitted: true } as const

describe('server (RFC 7413 section 4.2.2)', () => {
  it('gives a cookie to who asks for one, in the form of the request', () => {
    const s = server()
    s.receive({ ...SYN, fastOpen: '' })
    s.expectSent({ flags: 'SA', ack: 1, fastOpen: COOKIE })
    s.peerPort++
    s.receive({ ...SYN, fastOpen: '~' })
    s.expectSent({ flags: 'SA', ack: 1, fastOpen: `~${COOKIE}` })
    expect(s.count('tcpExt.TCPFastOpenCookieReqd')).toBe(2)
    // Sent again, the SYN+ACK goes without the option.
    s.advance(ms(1000))
    const again = s.sent()
    expect(again.map(({ flags, fastOpen }) => [flags, fastOpen])).toEqual([
      ['SA', undefined],
      ['SA', undefined],
    ])
  })

  it('takes the data of a SYN with the cookie, and answers before the third message', () => {
    const s = server()
    s.receive({ ...SYN, fastOpen: COOKIE, payload: 'question' })
    s.expectSent({ flags: 'SA', seq: 0, ack: 9, fastOpen: undefined, length: 0 })
    s.accept()
    expect(s.state).toBe('SYN_RECV')
    expect(s.read()).toBe('question')
    s.send('answer')
    s.expectSent({ flags: 'PA', seq: 1, ack: 9, payload: 'answer' })
    expect(s.connection.cc.delivered).toBe(0)
    s.receive({ flags: 'A', seq: 9, ack: 7 }, { at: ms(30) })
    expect(s.state).toBe('ESTABLISHED')
    expect(s.connection.cc.delivered).toBe(2)
    expect(s.connection.rtt.srtt).toBe(30_000)
    expect(tcpInfo(s.connection).tcpi_options & 32).toBe(32)
    expect(s.count('tcpExt.TCPFastOpenPassive')).toBe(1)
    s.expectNothing()
    s.close(true)
    s.expectSent({ flags: 'RA' })
    s.listener!.close()
    s.expectNothingLeft()
  })

  it('does not take the data with a wrong cookie, and sends the right one', () => {
    const s = server()
    s.receive({ ...SYN, fastOpen: 'aaaaaaaaaaaaaaaa', payload: 10 })
    s.expectSent({ flags: 'SA', ack: 1, fastOpen: COOKIE })
    expect(s.count('tcpExt.TCPFastOpenPassiveFail')).toBe(1)
    expect(s.shownState).toBe('SYN_RECV')
    expect(s.listener!.acceptQueue.length).toBe(0)
  })

  it('takes the cookie of the backup key, and sends that of the first', () => {
    const s = server({ tcp_fastopen_key: `${OTHER_KEY},${KEY}` })
    s.receive({ ...SYN, fastOpen: COOKIE, payload: 10 })
    s.expectSent({ flags: 'SA', ack: 11, fastOpen: cookieOf(OTHER_KEY) })
    expect(s.count('tcpExt.TCPFastOpenPassiveAltKey')).toBe(1)
  })

  it('has a queue: what is beyond it is opened in three messages', () => {
    const s = server({}, { fastOpenQueue: 1 })
    s.receive({ ...SYN, fastOpen: COOKIE, payload: 10 })
    s.expectSent({ flags: 'SA', ack: 11 })
    const { isn } = s
    s.peerPort++
    s.receive({ ...SYN, fastOpen: COOKIE, payload: 10 })
    s.expectSent({ flags: 'SA', ack: 1 })
    expect(s.count('tcpExt.TCPFastOpenListenOverflow')).toBe(1)
    // The handshake of the first is over: its place is free.
    s.peerPort--
    s.isn = isn
    s.receive({ flags: 'A', seq: 11, ack: 1 })
    s.peerPort += 2
    s.receive({ ...SYN, fastOpen: COOKIE, payload: 10 })
    s.expectSent({ flags: 'SA', ack: 11 })
  })

  it('a RST after accept(2) keeps the place for 60 s (section 5.1)', () => {
    const s = server({}, { fastOpenQueue: 1 })
    s.receive({ ...SYN, fastOpen: COOKIE, payload: 10 })
    s.accept()
    s.receive({ flags: 'R', seq: 11 })
    expect(s.state).toBe('CLOSE')
    expect(s.read()).toBe('..........')
    expect(s.end).toBe(104)
    s.sent()
    const again = (): void => {
      s.peerPort++
      s.receive({ ...SYN, fastOpen: COOKIE, payload: 10 })
    }
    s.advanceTo(seconds(59))
    again()
    s.expectSent({ flags: 'SA', ack: 1 })
    s.advanceTo(seconds(60))
    s.sent()
    again()
    s.expectSent({ flags: 'SA', ack: 11 })
  })

  it('sends the SYN+ACK again, with the data taken, and gives up after one time-out more than usual', () => {
    const s = server({ tcp_synack_retries: 2 })
    s.receive({ ...SYN, fastOpen: COOKIE, payload: 10 })
    s.accept()
    s.sent()
    s.send('x')
    s.expectSent({ flags: 'PA', seq: 1 })
    s.advanceTo(seconds(14.9))
    expect(s.sent().map(({ flags, ack, at }) => [flags, ack, at / 1e6])).toEqual([
      ['SA', 11, 1],
      ['SA', 11, 3],
      ['SA', 11, 7],
    ])
    s.advanceTo(seconds(15))
    expect(s.state).toBe('CLOSE')
    expect(s.end).toBe(110)
    s.close()
    s.listener!.close()
    s.expectNothingLeft()
  })

  it('takes data without a cookie where it is told to, or not at all', () => {
    const without = server({ tcp_fastopen: 0x202 })
    without.receive({ ...SYN, payload: 10 })
    without.expectSent({ flags: 'SA', ack: 11 })
    const option = server({}, { fastOpenNoCookie: true })
    option.receive({ ...SYN, payload: 10 })
    option.expectSent({ flags: 'SA', ack: 11 })
    for (const s of [server({ tcp_fastopen: 1 }), server({}, { fastOpenQueue: 0 }), server()]) {
      s.receive({ ...SYN, payload: 10 })
      s.expectSent({ flags: 'SA', ack: 1, fastOpen: undefined })
    }
  })
})

describe('client (RFC 7413 section 4.2.1)', () => {
  /** A client that has got a cookie for the peer. */
  const client = (settings: Partial<TcpSettings> = {}): TcpBench => {
    const s = new TcpBench({ settings: { tcp_timestamps: 0, ...settings } })
    expect(s.connectFast(1000)).toBe(0)
    s.expectSent({ flags: 'S', seq: 0, length: 0, fastOpen: '' })
    s.receive({ flags: 'SA', seq: 0, ack: 1, mss: 1460, sackPermitted: true, fastOpen: '0badc0de' })
    s.expectSent({ flags: 'A', seq: 1, ack: 1 })
    s.close(true)
    s.sent()
    return s
  }

  it('asks for a cookie, and sends data with it next time, 40 bytes less than fit', () => {
    const s = client()
    expect(s.connectFast(2000)).toBe(1420)
    s.expectSent({ flags: 'S', seq: 0, length: 1420, fastOpen: '0badc0de' })
    s.receive({ flags: 'SA', seq: 0, ack: 1421, mss: 940, sackPermitted: true }, { at: ms(20) })
    s.expectSent({ flags: 'A', seq: 1421, ack: 1 })
    expect(s.state).toBe('ESTABLISHED')
    expect(tcpInfo(s.connection)).toMatchObject({ tcpi_options: 2 | 32, tcpi_delivered: 1, tcpi_rtt: 20_000 })
    expect(s.count('tcpExt.TCPFastOpenActive')).toBe(1)
    s.close(true)
    s.sent()
    // The MSS is remembered, too.
    expect(s.connectFast(2000)).toBe(900)
    s.close()
    s.expectNothingLeft()
  })

  it('takes data of the SYN+ACK', () => {
    const s = client()
    s.connectFast('GET')
    s.expectSent({ flags: 'S', payload: 'GET' })
    s.receive({ flags: 'SA', seq: 0, ack: 4, mss: 1460, payload: 'page' })
    s.expectSent({ flags: 'A', seq: 4, ack: 5 })
    expect(s.read()).toBe('page')
  })

  it('sends again at once what the server did not take', () => {
    const s = client()
    s.connectFast(1000)
    s.sent()
    s.receive({ flags: 'SA', seq: 0, ack: 1, mss: 1460, sackPermitted: true, fastOpen: '11223344' })
    s.expectSent({ flags: 'PA', seq: 1, ack: 1, length: 1000 })
    expect(s.count('tcpExt.TCPFastOpenActiveFail')).toBe(1)
    expect(tcpInfo(s.connection)).toMatchObject({ tcpi_options: 2, tcpi_fastopen_client_fail: 2, tcpi_retrans: 1 })
    s.receive({ flags: 'A', seq: 1, ack: 1001 })
    s.expectNothing()
    s.close(true)
    s.sent()
    s.connectFast(1)
    s.expectSent({ flags: 'S', fastOpen: '11223344' })
  })

  it('sends a SYN that was lost again without data and option', () => {
    const s = client()
    s.connectFast(1000)
    s.sent()
    s.advanceUntilSent()
    s.expectSent({ flags: 'S', seq: 0, length: 0, fastOpen: undefined })
    s.receive({ flags: 'SA', seq: 0, ack: 1, mss: 1460, sackPermitted: true })
    s.expectSent({ flags: 'PA', seq: 1, length: 1000 })
    expect(tcpInfo(s.connection).tcpi_fastopen_client_fail).toBe(3)
  })

  it('asks in the experimental form once, when the other brought no cookie', () => {
    const s = new TcpBench()
    const forms = Array.from({ length: 4 }, () => {
      s.connectFast(1)
      const [syn] = s.sent()
      s.receive({ flags: 'SA', seq: 0, ack: 1, mss: 1460 })
      s.close(true)
      s.sent()
      return syn!.fastOpen
    })
    expect(forms).toEqual(['', '~', '', ''])
  })

  it('pauses after a black hole, twice as long after the next (tcp_fastopen_blackhole_timeout_sec)', () => {
    const s = client({ tcp_fastopen_blackhole_timeout_sec: 3600, tcp_syn_retries: 2 })
    const opens = (): string | undefined => {
      s.connectFast(10)
      const [syn] = s.sent()
      return syn!.fastOpen
    }
    const timeOut = (): void => {
      s.advance(seconds(20))
      expect(s.state).toBe('CLOSE')
      s.sent()
    }
    expect(opens()).toBe('0badc0de')
    timeOut()
    expect(s.count('tcpExt.TCPFastOpenBlackhole')).toBe(1)
    expect(opens()).toBeUndefined()
    s.close(true)
    s.advance(seconds(3600))
    expect(opens()).toBe('0badc0de')
    timeOut()
    s.advance(seconds(3600))
    expect(opens()).toBeUndefined()
  })
})
