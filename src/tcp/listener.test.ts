import { describe, expect, it } from 'vitest'
import { established, TcpBench } from '../../test/support/tcp.ts'
import type { SegmentSpec } from '../../test/support/tcp-wire.ts'
import { ms, seconds } from '../core/clock.ts'
import { Readiness } from '../core/readiness.ts'
import { BufferLock, Nagle, type TcpOptions } from './connection.ts'
import { BSD, type TcpSettings } from './settings.ts'

/** A listener and clients that differ by their ports. */
class Crowd {
  readonly s: TcpBench
  /** Our initial number for each client. */
  readonly isns = new Map<number, number>()

  constructor(backlog: number, settings: Partial<TcpSettings> = {}, options: Partial<TcpOptions> = {}) {
    this.s = new TcpBench({ settings })
    this.s.listen(backlog, options)
  }

  /** A client sends; what it is answered. */
  from(port: number, spec: SegmentSpec): string[] {
    this.s.peerPort = port
    this.s.isn = this.isns.get(port) ?? null
    this.s.receive(spec)
    return this.s.sent().map(({ flags }) => {
      if (flags.includes('S')) this.isns.set(port, this.s.isn!)
      return flags
    })
  }

  syn(port: number): string[] {
    return this.from(port, { flags: 'S', mss: 1000 })
  }

  third(port: number, payload = ''): string[] {
    return this.from(port, { flags: payload === '' ? 'A' : 'PA', seq: 1, ack: 1, payload })
  }

  connect(port: number): void {
    this.syn(port)
    this.third(port)
  }

  get accepted(): number {
    return this.s.listener!.acceptQueue.length
  }

  get requests(): number {
    return this.s.listener!.requests
  }
}

describe('the SYN queue (tcp_max_syn_backlog, listen(2))', () => {
  it('holds as many half-open connections as the backlog says and one more; without SYN cookies more are dropped', () => {
    const crowd = new Crowd(3, { tcp_syncookies: 0 })
    expect([1, 2, 3, 4].map((port) => crowd.syn(port).length)).toEqual([1, 1, 1, 1])
    expect(crowd.syn(5)).toEqual([])
    expect(crowd.requests).toBe(4)
    expect(crowd.s.dropped('tcp-syn-queue-full')).toBe(1)
    expect(crowd.s.count('tcpExt.ListenDrops')).toBe(1)
    // One goes on, and there is room.
    crowd.third(2)
    expect(crowd.syn(5)).toEqual(['SA'])
  })

  it('without SYN cookies, keeps a quarter of tcp_max_syn_backlog free', () => {
    const crowd = new Crowd(100, { tcp_syncookies: 0, tcp_max_syn_backlog: 8 })
    let answered = 0
    for (let port = 1; port <= 20; port++) answered += crowd.syn(port).length
    // Taken while at least two of eight are left.
    expect(answered).toBe(7)
  })

  it('a backlog of 0 still takes one', () => {
    const crowd = new Crowd(0)
    expect(crowd.syn(1)).toEqual(['SA'])
    // The next one's SYN+ACK is a cookie: nothing is kept of it.
    expect(crowd.syn(2)).toEqual(['SA'])
    expect(crowd.requests).toBe(1)
  })

  it('when more than half full, gives up silent clients sooner', () => {
    const crowd = new Crowd(16)
    for (let port = 1; port <= 12; port++) crowd.syn(port)
    expect(crowd.requests).toBe(12)
    crowd.s.advanceTo(seconds(1))
    // None of them is young any more: two retransmissions, not five, until half the queue is free.
    crowd.s.advanceTo(seconds(8))
    expect(crowd.requests).toBe(8)
    expect(crowd.s.sent().length).toBe(12 + 12 + 8)
  })

  it('is silent when the listener closes', () => {
    const crowd = new Crowd(5)
    crowd.syn(1)
    crowd.s.listener!.close()
    crowd.s.expectNothing()
    crowd.s.expectNothingLeft()
  })
})

describe('the accept queue', () => {
  it('backlog + 1 connections fit (Linux); then the third message is ignored, and SYNs are dropped', () => {
    const crowd = new Crowd(2)
    for (const port of [1, 2, 3]) crowd.connect(port)
    expect(crowd.accepted).toBe(3)
    expect(crowd.syn(4)).toEqual([])
    expect(crowd.s.count('tcpExt.ListenOverflows')).toBe(1)
    expect(crowd.s.dropped('tcp-accept-queue-full')).toBe(1)
  })

  it('an overflow: the client retries, and is taken in later', () => {
    const crowd = new Crowd(2)
    crowd.syn(1)
    crowd.syn(2)
    crowd.third(1)
    crowd.syn(3)
    crowd.third(2)
    crowd.syn(4)
    crowd.third(3)
    expect(crowd.accepted).toBe(3)
    expect(crowd.third(4)).toEqual([])
    expect(crowd.accepted).toBe(3)
    expect(crowd.requests).toBe(1)
    crowd.s.advance(seconds(1))
    expect(crowd.s.sent().map(({ flags }) => flags)).toEqual(['SA'])
    crowd.s.accept()
    crowd.third(4)
    expect(crowd.accepted).toBe(3)
  })

  it('tcp_abort_on_overflow: RST instead', () => {
    const crowd = new Crowd(1, { tcp_abort_on_overflow: 1 })
    crowd.syn(1)
    crowd.third(1)
    crowd.syn(2)
    crowd.third(2)
    expect(crowd.accepted).toBe(2)
    const other = new Crowd(2, { tcp_abort_on_overflow: 1 })
    for (const port of [1, 2]) other.syn(port)
    other.third(1)
    other.syn(3)
    other.third(2)
    other.syn(4)
    other.third(3)
    expect(other.third(4)).toEqual(['R'])
    expect(other.requests).toBe(0)
  })

  it('BSD: room for one and a half times the backlog', () => {
    const crowd = new Crowd(4, { personality: BSD })
    for (let port = 1; port <= 9; port++) crowd.connect(port)
    expect(crowd.accepted).toBe(6)
  })

  it('somaxconn cuts the backlog silently', () => {
    const crowd = new Crowd(1000, { somaxconn: 3 })
    expect(crowd.s.listener!.backlog).toBe(3)
    for (let port = 1; port <= 9; port++) crowd.connect(port)
    expect(crowd.accepted).toBe(4)
  })

  it('first come, first served', () => {
    const crowd = new Crowd(5)
    for (const port of [7, 5, 6]) crowd.connect(port)
    expect([1, 2, 3].map(() => crowd.s.accept().remotePort)).toEqual([7, 5, 6])
    expect(crowd.s.listener!.accept()).toBeUndefined()
  })

  it('the listener is readable when a connection is complete, not before', () => {
    const crowd = new Crowd(5)
    let events = 0
    crowd.s.listener!.observer = { ready: (bits) => (events |= bits) }
    crowd.syn(1)
    expect(events).toBe(0)
    crowd.third(1)
    expect(events).toBe(Readiness.In)
  })

  it('the listener closes: who was not accepted is reset, who was is not', () => {
    const crowd = new Crowd(5)
    crowd.connect(1)
    crowd.connect(2)
    crowd.s.accept()
    crowd.s.listener!.close()
    crowd.s.peerPort = 2
    expect(crowd.s.sent().map(({ flags }) => flags)).toEqual(['RA'])
    expect(crowd.s.state).toBe('ESTABLISHED')
    expect(crowd.s.demux.table.size).toBe(1)
  })
})

describe('TCP_DEFER_ACCEPT', () => {
  it('the third message alone is not enough: data is', () => {
    const crowd = new Crowd(5, {}, { deferAccept: 2 })
    crowd.syn(1)
    expect(crowd.third(1)).toEqual([])
    expect(crowd.accepted).toBe(0)
    expect(crowd.s.count('tcpExt.TCPDeferAcceptDrop')).toBe(1)
    crowd.third(1, 'GET')
    expect(crowd.accepted).toBe(1)
    crowd.s.accept()
    expect(crowd.s.read()).toBe('GET')
  })

  it('a client that says nothing is taken in when its time is up', () => {
    const crowd = new Crowd(5, {}, { deferAccept: 2 })
    crowd.syn(1)
    crowd.third(1)
    // The first time-out sends nothing; the last one asks again.
    crowd.s.advanceTo(seconds(1))
    const early = crowd.s.sent().length
    crowd.s.advanceTo(seconds(3))
    const late = crowd.s.sent().length
    expect([early, late]).toEqual([0, 1])
    crowd.third(1)
    expect(crowd.accepted).toBe(1)
  })
})

describe('what an accepted connection begins with', () => {
  it('all of the data of a third message that has the SYN in it once more', () => {
    const s = new TcpBench()
    s.listen()
    s.receive({ flags: 'S', seq: 0 })
    s.sent()
    s.receive({ flags: 'SFPA', seq: 0, ack: 1, payload: 'ab' })
    s.accept()
    expect([s.state, s.read(), s.end]).toEqual(['CLOSE_WAIT', 'ab', 'eof'])
    s.advance(ms(200))
    s.expectSent({ flags: 'A', ack: 4 })
  })

  it("the listener's options, queue sizes and Nagle bits", () => {
    const s = new TcpBench()
    const listener = s.listen(5, { keepIdle: 42 })
    listener.inherited.nagle = Nagle.Off
    listener.inherited.receiveBuffer = 50_000
    listener.inherited.bufferLocks = BufferLock.Receive
    s.receive({ flags: 'S', mss: 1000 })
    s.sent()
    s.receive({ flags: 'A', seq: 1, ack: 1 })
    const c = s.accept()
    expect([c.options.keepIdle, c.nagle, c.receiveBuffer]).toEqual([42, Nagle.Off, 50_000])
    // Its own from the moment that it changes them.
    c.ownOptions().keepIdle = 7
    expect(listener.inherited.options.keepIdle).toBe(42)
  })

  it('the address that the SYN was sent to, the port of the listener, and the client', () => {
    const s = established()
    const { connection: c } = s
    expect([c.local, c.localPort, c.remote, c.remotePort]).toEqual([s.local, 8080, s.peer, 50_000])
  })

  it('the round-trip time of the handshake', () => {
    expect(established({ rtt: ms(35) }).connection.rtt.srtt).toBe(35_000)
  })
})
