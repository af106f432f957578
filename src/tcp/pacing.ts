import { type TcpConnection, TcpTimer } from './connection.ts'

/**
 * Pacing: data leaves evenly at `cc.pacingRate`, not in bursts. A connection paces when its congestion control wants it
 * (BBR) or SO_MAX_PACING_RATE is set, as on Linux without the fq scheduler.
 */

/** Segments at the beginning of a connection that are not held back. */
const FREE_SEGMENTS = 10

/** Does the connection pace what it sends? */
export const paces = (c: TcpConnection): boolean =>
  c.cc.paces || c.options.maxPacingRate !== Number.POSITIVE_INFINITY || c.destination?.interface.port.paces === true

/** Must what is sent next wait? Then the timer is set for it. */
export const mustPace = (c: TcpConnection): boolean => {
  const cc = c.cc
  if (!paces(c)) return false
  const { loop } = c.layer
  if (cc.nextSendAt <= loop.now) return false
  c.pacingTimer ??= c.layer.newTimer(c, TcpTimer.Pacing)
  if (!c.pacingTimer.isSet) loop.timers.schedule(c.pacingTimer, cc.nextSendAt)
  return true
}

/**
 * `length` bytes of data leave now: when may the next follow? What left late is made up for, up to half of the time.
 */
export const paceAfter = (c: TcpConnection, length: number): void => {
  const cc = c.cc
  if (!paces(c)) return
  const { now } = c.layer.loop
  const late = Math.max(0, now - cc.nextSendAt)
  cc.nextSendAt = Math.max(cc.nextSendAt, now)
  if (cc.pacingRate === 0 || cc.dataSegmentsSent < FREE_SEGMENTS) return
  const time = (length * 1e6) / cc.pacingRate
  cc.nextSendAt += time - Math.min(time / 2, late)
}
