import { TCP_MAX_WINDOW_SCALE, TCP_MIN_HEADER, TcpFlag } from '../wire/tcp.ts'
import { AckPending, BufferLock, Feature, ReceiveTuning, type TcpConnection } from './connection.ts'
import type { Segment } from './segment.ts'

/** The receive window: how large it is, what is announced of it, and how it follows the application's pace. */

/** The most that a window without scaling says, and the most for peers that take it for a signed number. */
export const MAX_UNSCALED = 65_535
const MAX_SIGNED = 32_767
/** No estimate of the peer's MSS lies below this, and the first none above that. */
export const MIN_MSS_ESTIMATE = 88
const FIRST_MSS_ESTIMATE = 536

/** How many bytes of data a queue of `bytes` (in the terms of SO_RCVBUF) is good for. */
export const windowOfSpace = (c: TcpConnection, bytes: number): number =>
  c.layer.settings.personality.bufferAccounting === 'data' ? bytes : bytes >> 1

/** How large a queue must be to hold `window` bytes of data. */
export const spaceOfWindow = (c: TcpConnection, window: number): number =>
  c.layer.settings.personality.bufferAccounting === 'data' ? window : window * 2

/** Bytes of data in the receive queue, in order or not. */
export const receiveQueued = (c: TcpConnection): number =>
  (c.receiveRing === null ? 0 : c.receiveRing.length) + (c.reassembly === null ? 0 : c.reassembly.dataBytes)

/** Room for data in the receive queue, bytes. */
const receiveSpace = (c: TcpConnection): number => windowOfSpace(c, c.receiveBuffer) - receiveQueued(c)

/** What of the window last announced is still open, bytes. */
export const openWindow = (c: TcpConnection): number => Math.max(0, (c.rcv.wup + c.rcv.wnd - c.rcv.nxt) | 0)

/**
 * Sets the first window of a connection, and the scale that windows
 * up to the largest queue will need (RFC 7323 section 2).
 */
export const setInitialWindow = (c: TcpConnection, mss: number, scaling: boolean): void => {
  const { settings } = c.layer
  const { rcv } = c
  let clamp = c.options.windowClamp > 0 ? c.options.windowClamp : MAX_UNSCALED << TCP_MAX_WINDOW_SCALE
  const space = Math.max(0, windowOfSpace(c, c.receiveBuffer))
  if ((c.bufferLocks & BufferLock.Receive) !== 0) clamp = Math.min(clamp, space)
  const offered = Math.min(space, clamp)
  // A whole number of segments, so that no window update is wasted on part of one.
  const whole = offered > mss ? offered - (offered % mss) : offered
  const first = settings.tcp_workaround_signed_windows ? Math.min(whole, MAX_SIGNED) : whole
  // No SYN can say more than that (RFC 7323 section 2.2); the next segment may.
  rcv.wnd = Math.min(first, MAX_UNSCALED)
  rcv.wndScale = 0
  if (scaling) {
    const most = Math.min(Math.max(whole, settings.tcp_rmem[2], c.layer.limits.rmem_max), clamp)
    rcv.wndScale = Math.min(Math.max(31 - Math.clz32(most) - 15, 0), TCP_MAX_WINDOW_SCALE)
  }
  rcv.windowClamp = Math.min(MAX_UNSCALED << rcv.wndScale, clamp)
  rcv.ssthresh = Math.min(first, settings.personality.firstWindow)
}

/**
 * The window that should be announced now: what there is room for, no more than arrivals justify, and nothing rather
 * than little, so that the peer is not led to send small segments (RFC 9293 section 3.8.6.2.2).
 */
export const windowToOffer = (c: TcpConnection): number => {
  const { rcv } = c
  const allowed = windowOfSpace(c, c.receiveBuffer)
  let free = allowed - receiveQueued(c)
  const full = Math.min(rcv.windowClamp, allowed)
  let mss = rcv.mssEstimate
  if (mss > full) {
    mss = full
    if (mss <= 0) return 0
  }
  const unit = 1 << rcv.wndScale
  const mayShrink = shrinks(c)
  // Rounding up below must not make a window of space that is not there.
  if (mayShrink) free &= -unit
  if (free < full >> 1) {
    rcv.quick = 0
    if (c.layer.underPressure) rcv.ssthresh = Math.min(rcv.ssthresh, 4 * rcv.advertisedMss)
    free &= -unit
    if (free < allowed >> 4 || free < mss || (mayShrink && free < unit)) return 0
  }
  if (free > rcv.ssthresh) free = rcv.ssthresh
  if (rcv.wndScale > 0) return (free + unit - 1) & -unit
  // Unscaled: keep what was announced while it is within a segment of the truth, else a multiple of the MSS.
  const announced = rcv.wnd
  if (announced <= free - mss || announced > free) return free - (free % mss)
  if (mss === full && free > announced + (full >> 1)) return free
  return announced
}

/** May the window be taken back when memory runs short (tcp_shrink_window)? */
const shrinks = (c: TcpConnection): boolean => c.layer.settings.tcp_shrink_window !== 0 && c.rcv.wndScale > 0

/** Decides on the window that the segment now leaving announces. @returns the header's field */
export const selectWindow = (c: TcpConnection): number => {
  const { rcv } = c
  const before = rcv.wnd
  const current = openWindow(c)
  let window = windowToOffer(c)
  if (window < current && !shrinks(c)) {
    // What was announced is not taken back (RFC 9293 section 3.8.6, SHLD-14).
    if (window === 0) c.layer.mib.tcpExt.TCPWantZeroWindowAdv++
    const unit = 1 << rcv.wndScale
    window = (current + unit - 1) & -unit
  }
  rcv.wnd = window
  rcv.wup = rcv.nxt
  const most =
    rcv.wndScale === 0 && c.layer.settings.tcp_workaround_signed_windows ? 32_767 : MAX_UNSCALED << rcv.wndScale
  const field = Math.min(window, most) >> rcv.wndScale
  if (field === 0 && before > 0) c.layer.mib.tcpExt.TCPToZeroWindowAdv++
  else if (field > 0 && before === 0) c.layer.mib.tcpExt.TCPFromZeroWindowAdv++
  return field
}

/** Would reading from the queue now open the window so far that the peer should be told? */
export const shouldUpdateWindow = (c: TcpConnection): boolean => {
  const open = openWindow(c)
  if (2 * open > c.rcv.windowClamp) return false
  const window = windowToOffer(c)
  return window > 0 && window >= 2 * open
}

/** The first estimate of the segments that the peer will send. */
export const initialMssEstimate = (c: TcpConnection): void => {
  const { rcv } = c
  const estimate = Math.min(rcv.advertisedMss, c.snd.mss, rcv.wnd >>> 1, FIRST_MSS_ESTIMATE)
  rcv.mssEstimate = Math.max(estimate, MIN_MSS_ESTIMATE)
}

/** Takes the size of an arriving segment as an estimate of the peer's MSS. */
export const estimateMss = (c: TcpConnection, segment: Segment): void => {
  const { rcv } = c
  const last = rcv.lastSegmentSize
  rcv.lastSegmentSize = 0
  const length = segment.dataLength
  const size = segment.segments > 1 ? Math.ceil(length / segment.segments) : length
  if (size >= rcv.mssEstimate) {
    rcv.mssEstimate = Math.min(size, rcv.advertisedMss)
    // Exactly one full segment with PSH: the end of a write, whose sender may be waiting for the ACK.
    if (segment.has(TcpFlag.Psh) && length === rcv.mssEstimate) rcv.pending |= AckPending.Pushed
    return
  }
  // Options make the data of full segments vary: compare what they take with their header.
  const whole = size + segment.headerLength
  const isRemnant = segment.has(TcpFlag.Fin | TcpFlag.Urg | TcpFlag.Psh)
  if (whole >= FIRST_MSS_ESTIMATE + TCP_MIN_HEADER || (whole >= MIN_MSS_ESTIMATE + TCP_MIN_HEADER && !isRemnant)) {
    rcv.lastSegmentSize = whole - c.snd.headerLength
    if (rcv.lastSegmentSize === last) {
      rcv.mssEstimate = last
      return
    }
  }
  if ((rcv.pending & AckPending.Pushed) !== 0) rcv.pending |= AckPending.Pushed2
  rcv.pending |= AckPending.Pushed
}

/** Lets the announced window grow with what arrives: two segments for each, as long as the queue has room. */
export const growWindow = (c: TcpConnection, length: number): void => {
  const { rcv } = c
  const room = Math.min(rcv.windowClamp, receiveSpace(c)) - rcv.ssthresh
  if (room <= 0) return
  if (c.layer.underPressure) {
    rcv.ssthresh = Math.min(rcv.ssthresh, 4 * rcv.advertisedMss)
    return
  }
  rcv.ssthresh += Math.min(room, Math.max(2 * rcv.advertisedMss, 2 * length))
  rcv.quick |= 1
}

/** The queues' first sizes, when the connection is established. */
export const initialBuffers = (c: TcpConnection): void => {
  const { rcv } = c
  const { settings } = c.layer
  if ((c.bufferLocks & BufferLock.Send) === 0) expandSendBuffer(c)
  const most = windowOfSpace(c, c.receiveBuffer)
  if (rcv.windowClamp >= most) rcv.windowClamp = most
  if (settings.personality.bufferAccounting === 'doubled' && settings.tcp_app_win > 0) {
    // Keep something back for the application's own pace, and a segment that is on its way anyhow.
    if (rcv.windowClamp === most && most > 4 * rcv.advertisedMss) {
      rcv.windowClamp = Math.max(most - (most >> settings.tcp_app_win), 4 * rcv.advertisedMss)
    }
    if (rcv.windowClamp > 2 * rcv.advertisedMss && rcv.windowClamp + rcv.advertisedMss > most) {
      rcv.windowClamp = Math.max(2 * rcv.advertisedMss, most - rcv.advertisedMss)
    }
  }
  rcv.ssthresh = Math.min(rcv.ssthresh, rcv.windowClamp)
}

/** What the application is thought to read in the first round trip, bytes. */
export const firstSpace = ({ rcv }: TcpConnection): number => Math.min(rcv.ssthresh, rcv.wnd, 10 * rcv.advertisedMss)

/** Begins to measure for the queue's size, when data first arrives. */
export const startTuning = (c: TcpConnection): ReceiveTuning => {
  const tuning = new ReceiveTuning()
  tuning.spaceSeq = c.rcv.copied
  tuning.spaceAt = c.layer.loop.now32
  tuning.space = firstSpace(c)
  c.tuning = tuning
  return tuning
}

/** Makes the send queue large enough for two windows (Linux's tcp_sndbuf_expand). */
export const expandSendBuffer = (c: TcpConnection): void => {
  const { settings } = c.layer
  if (settings.personality.bufferAccounting === 'data') {
    const wanted = 2 * c.cc.cwnd * c.snd.mss
    if (c.sendBuffer < wanted) c.sendBuffer = Math.min(wanted, settings.tcp_wmem[2])
    return
  }
  // A segment takes a buffer of the next power of two above its payload and headers, and its bookkeeping.
  const perSegment = (1 << (32 - Math.clz32(Math.max(c.snd.mssClamp, c.snd.mss) + 320 + 320 - 1))) + 256
  const segments = Math.max(settings.initial_cwnd, c.cc.cwnd, c.cc.reordering + 1)
  const wanted = segments * perSegment * (c.control.sendBufferFactor ?? 2)
  if (c.sendBuffer < wanted) c.sendBuffer = Math.min(wanted, settings.tcp_wmem[2])
}

/**
 * Has what the application reads in a round trip grown? Then let the queue grow with it (Linux's dynamic right-sizing).
 */
export const adjustReceiveBuffer = (c: TcpConnection): void => {
  const tuning = c.tuning
  if (tuning === null) return
  const { loop, settings } = c.layer
  const elapsed = (loop.now32 - tuning.spaceAt) >>> 0
  if (tuning.rtt === 0 || elapsed < tuning.rtt >> 3) return
  const copied = (c.rcv.copied - tuning.spaceSeq) | 0
  if (copied > tuning.space) {
    if (settings.tcp_moderate_rcvbuf && (c.bufferLocks & BufferLock.Receive) === 0) {
      // Room for twice what was read, and for the sender's growth meanwhile.
      let wanted = copied * 2 + 16 * c.rcv.advertisedMss
      wanted += 2 * Math.floor((wanted * (copied - tuning.space)) / Math.max(1, tuning.space))
      const buffer = Math.min(spaceOfWindow(c, wanted), settings.tcp_rmem[2])
      if (buffer > c.receiveBuffer) {
        c.receiveBuffer = buffer
        c.rcv.windowClamp = windowOfSpace(c, buffer)
      }
    }
    tuning.space = copied
  }
  tuning.spaceSeq = c.rcv.copied
  tuning.spaceAt = loop.now32
}

/** The longest round-trip time that is told from longer ones, microseconds: eight times as long still fits 31 bits. */
const LONGEST_SAMPLE = 120_000_000

/** Takes a round-trip time seen from the receiving side, microseconds; `exact` when it comes from time stamps. */
const takeReceiverRtt = (tuning: ReceiveTuning, sample: number, exact: boolean): void => {
  const measured = Math.min(Math.max(1, sample), LONGEST_SAMPLE)
  if (tuning.rtt === 0) tuning.rtt = measured << 3
  else if (exact) tuning.rtt += measured - (tuning.rtt >> 3)
  else tuning.rtt = Math.min(tuning.rtt, measured << 3)
}

/**
 * Measures how long the peer takes to fill a window: an upper bound
 * of the round-trip time, when there are no time stamps.
 */
export const measureReceiverRtt = (c: TcpConnection, tuning: ReceiveTuning): void => {
  const now = c.layer.loop.now32
  if (tuning.rttAt !== 0) {
    if (((c.rcv.nxt - tuning.rttSeq) | 0) < 0) return
    takeReceiverRtt(tuning, (now - tuning.rttAt) >>> 0, false)
  }
  tuning.rttSeq = (c.rcv.nxt + c.rcv.wnd) | 0
  tuning.rttAt = now === 0 ? 1 : now
}

/** Measures the round-trip time from the echo of our own time stamp in a full segment. */
export const measureReceiverRttByEcho = (c: TcpConnection, tuning: ReceiveTuning, segment: Segment): void => {
  if (!c.has(Feature.Timestamps) || segment.timestampEcho === 0 || segment.timestampEcho === tuning.lastEcho) return
  tuning.lastEcho = segment.timestampEcho
  if (segment.dataLength < c.rcv.mssEstimate) return
  const delta = (c.layer.loop.nowMs32 + c.timestampOffset - segment.timestampEcho) | 0
  if (delta >= 0 && delta < 2_000_000) takeReceiverRtt(tuning, delta * 1000, true)
}
