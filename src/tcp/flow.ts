import { Readiness } from '../core/readiness.ts'
import { MIN_SEND_BUFFER } from '../ip/truesize.ts'
import { Chrono, stopChrono } from './chronograph.ts'
import { BufferLock, type TcpConnection } from './connection.ts'
import { pushPending } from './output.ts'
import { expandSendBuffer } from './window.ts'

/** Room in the send queue: how much there is, and telling those who wait for it. */

/** What a record costs beside its data where overhead counts, bytes. */
const RECORD_OVERHEAD = 1280

/** Memory that the send queue takes, in the terms of SO_SNDBUF. */
export const sendQueued = (c: TcpConnection): number => {
  const bytes = c.sendRing === null ? 0 : c.sendRing.length
  if (c.layer.settings.personality.bufferAccounting === 'data') return bytes
  return bytes + (c.queue === null ? 0 : c.queue.length * RECORD_OVERHEAD)
}

/** Is there room for more to be written: below the limit, and below TCP_NOTSENT_LOWAT? */
export const hasSendSpace = (c: TcpConnection): boolean => sendQueued(c) < c.sendBuffer && belowNotSentLowat(c, 1)

/**
 * The host has no memory for more: the queue becomes half as large as
 * what is in it, and so is not writable before that is gone.
 */
export const moderateSendBuffer = (c: TcpConnection): void => {
  if ((c.bufferLocks & BufferLock.Send) !== 0) return
  c.sendBuffer = Math.max(MIN_SEND_BUFFER, Math.min(c.sendBuffer, sendQueued(c) >> 1))
}

/** @param times as much as is unsent counts: a program is woken only when half of it has gone */
const belowNotSentLowat = (c: TcpConnection, times: number): boolean => {
  const limit = c.options.notSentLowat || c.layer.settings.tcp_notsent_lowat
  if (limit === 0xffff_ffff) return true
  return ((c.snd.writeSeq - c.snd.nxt) | 0) * times < limit
}

/** Is there so much room that poll(2) says so: a third of the queue where overhead counts, else any? */
export const isWritable = (c: TcpConnection): boolean => {
  const queued = sendQueued(c)
  const free = c.sendBuffer - queued
  const enough = c.layer.settings.personality.bufferAccounting === 'data' ? free > 0 : free >= queued >> 1
  return enough && belowNotSentLowat(c, 2)
}

/** After an ACK: sends what may be sent, and wakes those who wait for room. */
export const pushData = (c: TcpConnection): void => {
  pushPending(c, c.nagle)
  if (!c.wantsSpace) return
  const cc = c.cc
  const locked = (c.bufferLocks & BufferLock.Send) !== 0
  // The queue grows with the window, unless the window was not filled for want of data.
  const isShort = c.layer.queuedBytes >= c.layer.settings.tcp_mem[0] * 4096
  if (!locked && !isShort && cc.inFlight < cc.cwnd) expandSendBuffer(c)
  if (isWritable(c)) {
    c.wantsSpace = false
    c.ready(Readiness.Out)
    // Somebody may have filled the queue again at once.
    if (!c.wantsSpace) stopChrono(c, Chrono.SendBuffer)
  }
}
