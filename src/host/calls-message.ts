import type { Micros } from '../core/clock.ts'
import { Errno } from '../core/errno.ts'
import type { Sockaddr } from '../socket/address.ts'
import * as C from '../socket/constants.ts'
import { type ControlMessage, descriptorRoom, fitControl, isDescriptors, PassedFiles } from '../socket/control.ts'
import type { OpenFile } from '../socket/open-file.ts'
import { Received, type Socket } from '../socket/socket.ts'
import type { CallContext } from './call-context.ts'
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

/** Buffers that share a record when they are not copied: Linux's MAX_SKB_FRAGS. */
const MOST_FRAGMENTS = 17

/** A zero-copy send of many buffers: no more of them leave together than one record of the kernel has places for. */
const sendFragments = async (
  sys: CallContext,
  socket: Socket,
  buffers: readonly Data[],
  flags: number,
): Promise<number> => {
  const parts = buffers.map(bytesOf).filter(({ length }) => length > 0)
  let total = 0
  for (let first = 0; first < parts.length; first += MOST_FRAGMENTS) {
    const group = gather(parts.slice(first, first + MOST_FRAGMENTS))
    const goesOn = first + MOST_FRAGMENTS < parts.length
    const how = flags | (goesOn ? C.MSG_EOR : 0) | (first > 0 ? C.MSG_CONTINUED : 0)
    try {
      const sent = await transmit(sys, socket, group, group.length, how, null, null, 'sendmsg')
      total += sent
      if (sent < group.length) break
    } catch (error) {
      // An error after some bytes is for the next call to report.
      if (total === 0) throw error
      break
    }
  }
  return total
}

/** sendmsg(2). */
export const sendMessage = (sys: CallContext, socket: Socket, message: Msghdr, flags: number): Promise<number> => {
  if (message.msg_iov.length > C.IOV_MAX) return Promise.reject(failure(-Errno.EMSGSIZE, 'sendmsg'))
  if ((flags & C.MSG_ZEROCOPY) !== 0 && socket.isStream && message.msg_iov.length > MOST_FRAGMENTS) {
    return sendFragments(sys, socket, message.msg_iov, flags)
  }
  const bytes = gather(message.msg_iov)
  const control = message.msg_control === undefined ? null : withFiles(sys, message.msg_control)
  if (typeof control === 'number') return Promise.reject(failure(control, 'sendmsg'))
  return transmit(sys, socket, bytes, bytes.length, flags, message.msg_name ?? null, control, 'sendmsg')
}

/** Puts open files in place of the descriptors of SCM_RIGHTS. @returns -EBADF for one that is none */
const withFiles = (sys: CallContext, control: readonly ControlMessage[]): ControlMessage[] | number => {
  const { files } = sys.process
  const read: ControlMessage[] = []
  for (const message of control) {
    const { cmsg_level, cmsg_type, data } = message
    if (cmsg_level !== C.SOL_SOCKET || cmsg_type !== C.SCM_RIGHTS || !isDescriptors(data)) {
      read.push(message)
      continue
    }
    if (data.length > C.SCM_MAX_FD) return -Errno.EINVAL
    const passed: OpenFile[] = []
    for (const fd of data) {
      const file = files.get(fd)
      if (file === null) return -Errno.EBADF
      passed.push(file)
    }
    read.push({ cmsg_level, cmsg_type, data: new PassedFiles(passed) })
  }
  return read
}

/**
 * Gives files that were received descriptors, as many as there is room for in the program's buffer and the table.
 * @returns whether all have got one; the others are closed
 */
const installFiles = (
  sys: CallContext,
  received: readonly OpenFile[],
  control: ControlMessage[],
  space: number,
  closeOnExec: boolean,
): boolean => {
  const { files } = sys.process
  const room = descriptorRoom(control, space)
  const numbers: number[] = []
  let isFull = false
  for (const file of received) {
    const fd = isFull || numbers.length >= room ? -1 : files.add(file, 0, closeOnExec)
    if (fd >= 0) numbers.push(fd)
    else isFull = true
    // The descriptor has a reference of its own.
    file.unref()
  }
  if (numbers.length > 0) control.push({ cmsg_level: C.SOL_SOCKET, cmsg_type: C.SCM_RIGHTS, data: numbers })
  return !isFull
}

/** recvmsg(2). */
export const receiveMessage = async (
  sys: CallContext,
  socket: Socket,
  message: Msghdr,
  flags: number,
): Promise<number> => {
  if (message.msg_iov.length > C.IOV_MAX) throw failure(-Errno.EMSGSIZE, 'recvmsg')
  const buffers = writable(message.msg_iov, 'recvmsg')
  const whole = roomFor(buffers)
  const received = new Received()
  received.control = []
  const count = await receiveInto(sys, socket, whole, whole.length, flags, received, 'recvmsg')
  scatter(whole, count, buffers)
  if (message.msg_name !== undefined && received.from !== null) Object.assign(message.msg_name, received.from)
  const space = message.msg_controllen ?? 0
  if (!fitControl(received.control, space)) received.flags |= C.MSG_CTRUNC
  if (received.files !== null) {
    const closeOnExec = (flags & C.MSG_CMSG_CLOEXEC) !== 0
    if (!installFiles(sys, received.files, received.control, space, closeOnExec)) received.flags |= C.MSG_CTRUNC
  }
  message.msg_control = received.control
  message.msg_flags = received.flags | (flags & C.MSG_CMSG_CLOEXEC)
  return count
}

/** sendmmsg(2). @returns how many messages were sent; the error of one that is not the first is not told */
export const sendMessages = async (
  sys: CallContext,
  socket: Socket,
  messages: Mmsghdr[],
  flags: number,
): Promise<number> => {
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
  sys: CallContext,
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
    if (count > 0 && socket.hasError) return count
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
