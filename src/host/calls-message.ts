import type { Micros } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import type { Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'
import { type ControlMessage, fitControl } from '../socket/control.ts'
import { Received, type Socket } from '../socket/socket.ts'
import type { Sys } from './calls.ts'
import { receiveInto, transmit } from './calls-transfer.ts'
import { bytesOf, type Data } from './data.ts'
import { failure } from './failure.ts'

/** Calls with several buffers, and what messages have beside their data. */

/** `struct msghdr`. */
export interface Msghdr {
  /** Where to; or, filled in by recvmsg(2), where from. */
  msg_name?: Sockaddr
  /** The buffers, in order. */
  msg_iov: readonly Data[]
  /** What is sent beside the data, or has come. */
  msg_control?: ControlMessage[]
  /** Bytes of room for control messages when receiving: none are told without. */
  msg_controllen?: number
  /** MSG_TRUNC, MSG_CTRUNC, MSG_OOB, MSG_ERRQUEUE: filled in by recvmsg(2). */
  msg_flags?: number
}

/** `struct mmsghdr`. */
export interface Mmsghdr {
  msg_hdr: Msghdr
  /** Bytes sent or received. */
  msg_len: number
}

/** The buffers as one. */
export const gather = (buffers: readonly Data[]): Uint8Array => {
  const parts = buffers.map(bytesOf)
  if (parts.length === 1) return parts[0]!
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** Spreads the first `count` bytes of `whole` over the buffers, in order. */
export const scatter = (whole: Uint8Array, count: number, buffers: readonly Uint8Array[]): void => {
  let at = 0
  for (const buffer of buffers) {
    if (at >= count) return
    const part = Math.min(buffer.length, count - at)
    if (buffer !== whole) buffer.set(whole.subarray(at, at + part))
    at += part
  }
}

/** The buffers that a receive call fills. @throws SystemError EFAULT for one that cannot be written to */
export const writable = (buffers: readonly Data[], syscall: string): readonly Uint8Array[] => {
  for (const buffer of buffers) if (typeof buffer === 'string') throw failure(-Errno.EFAULT, syscall)
  return buffers as readonly Uint8Array[]
}

/** One buffer with room for all of them. */
export const roomFor = (buffers: readonly Uint8Array[]): Uint8Array =>
  buffers.length === 1 ? buffers[0]! : new Uint8Array(buffers.reduce((sum, { length }) => sum + length, 0))

/** sendmsg(2). */
export const sendMessage = (sys: Sys, socket: Socket, message: Msghdr, flags: number): Promise<number> => {
  if (message.msg_iov.length > C.IOV_MAX) return Promise.reject(failure(-Errno.EMSGSIZE, 'sendmsg'))
  const bytes = gather(message.msg_iov)
  return transmit(
    sys,
    socket,
    bytes,
    bytes.length,
    flags,
    message.msg_name ?? null,
    message.msg_control ?? null,
    'sendmsg',
  )
}

/** recvmsg(2). */
export const receiveMessage = async (sys: Sys, socket: Socket, message: Msghdr, flags: number): Promise<number> => {
  if (message.msg_iov.length > C.IOV_MAX) throw failure(-Errno.EMSGSIZE, 'recvmsg')
  const buffers = writable(message.msg_iov, 'recvmsg')
  const whole = roomFor(buffers)
  const received = new Received()
  received.control = []
  const count = await receiveInto(sys, socket, whole, whole.length, flags, received, 'recvmsg')
  scatter(whole, count, buffers)
  if (message.msg_name !== undefined && received.from !== null) Object.assign(message.msg_name, received.from)
  if (!fitControl(received.control, message.msg_controllen ?? 0)) received.flags |= C.MSG_CTRUNC
  message.msg_control = received.control
  message.msg_flags = received.flags | (flags & C.MSG_CMSG_CLOEXEC)
  return count
}

/** sendmmsg(2). @returns how many messages were sent; the error of one that is not the first is not told */
export const sendMessages = async (sys: Sys, socket: Socket, messages: Mmsghdr[], flags: number): Promise<number> => {
  let count = 0
  for (const entry of messages.slice(0, C.IOV_MAX)) {
    try {
      entry.msg_len = await sendMessage(sys, socket, entry.msg_hdr, flags)
    } catch (error) {
      if (count === 0) throw error
      return count
    }
    count++
  }
  return count
}

/**
 * recvmmsg(2). As on Linux the time-out is looked at only after each message.
 * @param limit microseconds; null for none
 */
export const receiveMessages = async (
  sys: Sys,
  socket: Socket,
  messages: Mmsghdr[],
  flags: number,
  limit: Micros | null,
): Promise<number> => {
  const deadline = limit === null ? Number.POSITIVE_INFINITY : sys.now + limit
  let one = flags & ~C.MSG_WAITFORONE
  let count = 0
  for (const entry of messages.slice(0, C.IOV_MAX)) {
    // An error after some messages is for the next call to report.
    if (count > 0 && (socket.poll() & Readiness.Err) !== 0) return count
    try {
      entry.msg_len = await receiveMessage(sys, socket, entry.msg_hdr, one)
    } catch (error) {
      if (count === 0) throw error
      return count
    }
    count++
    if ((flags & C.MSG_WAITFORONE) !== 0) one |= C.MSG_DONTWAIT
    if (sys.now >= deadline) return count
  }
  return count
}
