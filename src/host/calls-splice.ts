import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import * as C from '../socket/constants.ts'
import type { OpenFile } from '../socket/open-file.ts'
import { PipeReader, PipeWriter } from '../socket/pipe.ts'
import { Wakeup } from './blocking.ts'
import { type CallContext, isSocket } from './call-context.ts'
import { allSent, givesUp, receiveInto, sendFailure, signalFlags, transmit, writeFile } from './calls-transfer.ts'
import { failure } from './failure.ts'
import { RegularFile } from './regular-file.ts'

/** Calls that move bytes from one file to another: sendfile(2) and splice(2). */

/** A position in a file that a call begins at and moves on: C's `off_t *`. */
export interface Offset {
  value: number
}

/** Bytes that are moved at a time, and the most that one call moves, as on Linux. */
const CHUNK = 65_536
const MOST = 0x7fff_f000

/** sendfile(2). @param offset null for the file's own position */
export const sendFile = async (
  sys: CallContext,
  out: OpenFile,
  from: OpenFile,
  offset: Offset | null,
  count: number,
): Promise<number> => {
  if (!(from instanceof RegularFile)) throw failure(-Errno.EINVAL, 'sendfile')
  if (count < 0 || (offset !== null && offset.value < 0)) throw failure(-Errno.EINVAL, 'sendfile')
  if (out.access === C.O_RDONLY) throw failure(-Errno.EBADF, 'sendfile')
  const start = offset === null ? from.position : offset.value
  const end = Math.min(start + Math.min(count, MOST), from.content.length)
  let at = start
  try {
    while (at < end) {
      const part = from.content.subarray(at, Math.min(at + CHUNK, end))
      const more = at + part.length < end ? C.MSG_MORE : 0
      const moved = await put(sys, out, part, more, 'sendfile')
      at += moved
      if (moved < part.length) break
    }
  } catch (error) {
    // An error after some bytes is for the next call to report.
    if (at === start) throw error
  } finally {
    if (offset === null) from.position = at
    else offset.value = at
  }
  return Math.max(0, at - start)
}

/** Writes to a file of any kind. */
const put = (sys: CallContext, out: OpenFile, bytes: Uint8Array, flags: number, syscall: string): Promise<number> =>
  isSocket(out)
    ? transmit(sys, out, bytes, bytes.length, flags, null, null, syscall)
    : writeFile(sys, out, bytes, bytes.length)

/**
 * splice(2): one of the two is a pipe. @param flags SPLICE_F_NONBLOCK:
 * do not wait for the pipe; SPLICE_F_MORE: more will come
 */
export const splice = async (
  sys: CallContext,
  from: OpenFile,
  fromOffset: Offset | null,
  to: OpenFile,
  toOffset: Offset | null,
  length: number,
  flags: number,
): Promise<number> => {
  if ((flags & ~C.SPLICE_F_ALL) !== 0) throw failure(-Errno.EINVAL, 'splice')
  if (length === 0) return 0
  if (from.access === C.O_WRONLY || to.access === C.O_RDONLY) throw failure(-Errno.EBADF, 'splice')
  const isPiped = from instanceof PipeReader || to instanceof PipeWriter
  if (!isPiped) throw failure(-Errno.EINVAL, 'splice')
  if ((fromOffset !== null && !(from instanceof RegularFile)) || toOffset !== null)
    throw failure(-Errno.ESPIPE, 'splice')
  if (from instanceof PipeReader) return spliceFromPipe(sys, from, to, length, flags)
  return spliceToPipe(sys, from, fromOffset, to as PipeWriter, length, flags)
}

const waitsFor = (pipe: OpenFile, flags: number): boolean => !pipe.nonBlocking && (flags & C.SPLICE_F_NONBLOCK) === 0

const spliceFromPipe = async (
  sys: CallContext,
  from: PipeReader,
  to: OpenFile,
  length: number,
  flags: number,
): Promise<number> => {
  const content = new Uint8Array(Math.min(length, from.capacity))
  for (;;) {
    const count = from.peek(content)
    if (count > 0) return passOn(sys, from, to, content, count, flags)
    if (count === 0) return 0
    await waitForPipe(sys, from, Readiness.In, flags)
  }
}

/**
 * Moves `count` bytes, or as many as are left when others read the pipe as well. What the file takes leaves the pipe in
 * the same step, so that no byte goes two ways.
 */
const passOn = async (
  sys: CallContext,
  from: PipeReader,
  to: OpenFile,
  content: Uint8Array,
  count: number,
  flags: number,
): Promise<number> => {
  const more = (flags & C.SPLICE_F_MORE) !== 0 ? C.MSG_MORE : 0
  const socket = isSocket(to) ? to : null
  const deadline = socket === null ? Number.POSITIVE_INFINITY : sys.deadline(socket.sendTimeout)
  let total = 0
  if (socket?.opensBySending(more)) {
    total = await put(sys, to, content.subarray(0, count), more, 'splice')
    from.drop(Math.min(total, from.ioctl(C.FIONREAD, 0)))
    if (total === count) return total
  }
  for (;;) {
    const length = from.peek(content.subarray(0, count - total))
    if (length <= 0) return total
    const sent = offer(sys, to, content, length, total > 0 ? more | C.MSG_CONTINUED : more)
    if (sent > 0) {
      from.drop(sent)
      total += sent
      if (total === count) return socket === null ? total : allSent(sys, socket, total, 'splice')
      if (sent === length) continue
    } else if (sent !== -Errno.EAGAIN || to.nonBlocking || socket?.sendWaits === false) {
      // An error after some bytes is for the next call to report.
      if (total > 0) return total
      throw sendFailure(sys, sent, socket === null ? 0 : signalFlags(socket, 0), 'splice')
    }
    if (to.nonBlocking) return total
    socket?.noteWriter(true)
    const why = await sys.block(to, Readiness.Out, deadline, 'splice')
    socket?.noteWriter(false)
    if (givesUp(why, total, deadline, 'splice')) return total
  }
}

/** Has a file take what it can without waiting. @returns how many bytes, or a negative errno */
const offer = (sys: CallContext, to: OpenFile, bytes: Uint8Array, length: number, flags: number): number => {
  if (!isSocket(to)) return to.write(bytes, 0, length)
  const { loop } = sys.process.host.world
  loop.hold()
  try {
    return to.send(bytes, 0, length, flags, null, null)
  } finally {
    loop.release()
  }
}

const waitForPipe = async (sys: CallContext, pipe: OpenFile, mask: number, flags: number): Promise<void> => {
  if (!waitsFor(pipe, flags)) throw failure(-Errno.EAGAIN, 'splice')
  const why = await sys.block(pipe, mask, Number.POSITIVE_INFINITY, 'splice')
  if (why === Wakeup.Interrupted) throw failure(-Errno.EINTR, 'splice')
}

const spliceToPipe = async (
  sys: CallContext,
  from: OpenFile,
  offset: Offset | null,
  to: PipeWriter,
  length: number,
  flags: number,
): Promise<number> => {
  while (to.isBroken || to.room === 0) {
    if (to.isBroken) return writeFile(sys, to, new Uint8Array(1), 1)
    await waitForPipe(sys, to, Readiness.Out, flags)
  }
  const buffer = new Uint8Array(Math.min(length, to.room))
  const count = await take(sys, from, offset, buffer)
  for (let done = 0; done < count; ) {
    // Others may have filled the pipe meanwhile. What has been taken cannot go back, so that nothing ends this wait.
    const written = to.write(buffer, done, count - done)
    if (written > 0) done += written
    else if (written === -Errno.EAGAIN) await sys.block(to, Readiness.Out, Number.POSITIVE_INFINITY, 'splice')
    else throw sendFailure(sys, written, 0, 'splice')
  }
  return count
}

/** Reads from a file of any kind; from a socket no further than to the urgent byte, which does not move. */
const take = async (sys: CallContext, from: OpenFile, offset: Offset | null, buffer: Uint8Array): Promise<number> => {
  if (from instanceof RegularFile) {
    const position = offset === null ? from.position : offset.value
    const part = from.content.subarray(position, position + buffer.length)
    buffer.set(part)
    if (offset === null) from.position += part.length
    else offset.value += part.length
    return part.length
  }
  if (!isSocket(from)) throw failure(-Errno.EINVAL, 'splice')
  if (from.endsRun && from.receivable > 0) return 0
  const length = from.receivable > 0 ? Math.min(buffer.length, from.runLength) : buffer.length
  return receiveInto(sys, from, buffer, length, 0, null, 'splice')
}
