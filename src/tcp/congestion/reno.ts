import type { TcpConnection } from '../connection.ts'
import type { CongestionControl } from './control.ts'
import { slowStartShare, watchDelay } from './hystart-plus.ts'
import type { CongestionState } from './state.ts'

/** Reno (RFC 5681): slow start, one segment more a round trip, half at a loss. Recovery is not its business. */
export const reno: CongestionControl = {
  name: 'reno',
  init() {},
  ssthresh: (c) => Math.max(c.cc.cwnd >> 1, 2),
  acked: (c, _segments, rtt) => watchDelay(c, rtt),
  avoid(c: TcpConnection, _ack: number, acked: number) {
    const cc = c.cc
    if (!isWindowUsed(c)) return
    let left = acked
    if (cc.inSlowStart) {
      left = slowStart(c, left)
      if (left === 0) return
    }
    additiveIncrease(cc, cc.cwnd, left)
  },
  undo: (c) => Math.max(c.cc.cwnd, c.cc.priorCwnd),
}

/** Does the window limit what is sent, so that it makes sense to grow it? In slow start half of it is enough. */
export const isWindowUsed = (c: TcpConnection): boolean => {
  const cc = c.cc
  if (cc.cwndLimited) return true
  return cc.inSlowStart && cc.cwnd < 2 * cc.maxPacketsOut
}

/** One segment more for each that was acknowledged, up to the threshold. @returns how many were not used up */
export const slowStart = (c: TcpConnection, acked: number): number => {
  const { cc } = c
  const share = slowStartShare(c, acked)
  const cwnd = Math.min(cc.cwnd + share, cc.ssthresh)
  const used = cwnd - cc.cwnd
  cc.cwnd = cwnd
  return share - used
}

/** One segment more for each `w` that were acknowledged. */
export const additiveIncrease = (cc: CongestionState, w: number, acked: number): void => {
  // Credit from a time when `w` was larger may be enough already.
  if (cc.cwndCount >= w) {
    cc.cwndCount = 0
    cc.cwnd++
  }
  cc.cwndCount += acked
  if (cc.cwndCount >= w) {
    const more = Math.floor(cc.cwndCount / w)
    cc.cwndCount -= more * w
    cc.cwnd += more
  }
}
