import { MILLISECOND } from '../core/clock.ts'
import type { TcpConnection } from './connection.ts'
import { stateIn, stateSet, TcpState } from './state.ts'

/**
 * What a sender waited for: how long it had something to send, and how much of that the peer's window or the send
 * queue's size was the limit (tcp_info's tcpi_busy_time, tcpi_rwnd_limited and tcpi_sndbuf_limited). Measured in whole
 * milliseconds, as on Linux.
 */

/** What the sender's time passes with: of two that hold at once the higher number counts. */
export const Chrono = { Idle: 0, Busy: 1, PeerWindow: 2, SendBuffer: 3 } as const

const OPEN = stateSet(TcpState.Established, TcpState.CloseWait)

/** The times of one connection. */
export class Chronograph {
  /** One of `Chrono`, and since when: milliseconds modulo 2^32. */
  current: number = Chrono.Idle
  since = 0
  /** Milliseconds spent with each but `Idle`. */
  readonly spent = [0, 0, 0, 0]

  clear(): void {
    this.current = Chrono.Idle
    this.since = 0
    for (let i = 0; i < this.spent.length; i++) this.spent[i] = 0
  }

  turnTo(next: number, nowMs: number): void {
    if (this.current !== Chrono.Idle) this.spent[this.current]! += (nowMs - this.since) >>> 0
    this.since = nowMs
    this.current = next
  }

  /** Microseconds spent with `kind`, up to now. */
  total(kind: number, nowMs: number): number {
    const running = this.current === kind ? (nowMs - this.since) >>> 0 : 0
    return (this.spent[kind]! + running) * MILLISECOND
  }
}

/** `kind` holds from now on. */
export const startChrono = (c: TcpConnection, kind: number): void => {
  const { chrono } = c.cc
  if (kind > chrono.current) chrono.turnTo(kind, c.layer.loop.nowMs32)
}

/** `kind` holds no more. */
export const stopChrono = (c: TcpConnection, kind: number): void => {
  const { chrono } = c.cc
  if (chrono.current === Chrono.Idle) return
  if (c.queue === null || c.queue.length === 0) chrono.turnTo(Chrono.Idle, c.layer.loop.nowMs32)
  else if (kind === chrono.current) chrono.turnTo(Chrono.Busy, c.layer.loop.nowMs32)
}

/** Everything written has been sent, the congestion window has room, and the application waits for the queue. */
export const checkSendBufferLimit = (c: TcpConnection): void => {
  if (c.wantsSpace && c.queue?.hasUnsent === false && stateIn(c.state, OPEN)) startChrono(c, Chrono.SendBuffer)
}
