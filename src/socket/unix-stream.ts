import { Errno } from '../core/errno.ts'
import type { Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { ControlMessage } from './control.ts'
import type { Received } from './socket.ts'
import { UnixConnectionSocket } from './unix-listener.ts'
import { STREAM_CHUNK, streamCharge, type UnixMessage } from './unix-queue.ts'

/** A stream socket of the Unix domain. */
export class UnixStreamSocket extends UnixConnectionSocket {
  private stoppedAtFiles = false

  protected newPeer(): UnixStreamSocket {
    return new UnixStreamSocket(this.layer, this.type)
  }

  send(
    source: Uint8Array,
    at: number,
    length: number,
    flags: number,
    to: Sockaddr | null,
    control: readonly ControlMessage[] | null = null,
  ): number {
    let beside = this.readAncillary(control, this.peer)
    if (typeof beside === 'number') return beside
    const problem = this.sendProblem(flags, to)
    if (problem !== 0) return problem
    const most = Math.min(STREAM_CHUNK, (this.sendBuffer >>> 1) - 64)
    let sent = 0
    while (sent < length) {
      if (this.charged >= this.sendBuffer) return sent > 0 ? sent : -Errno.EAGAIN
      const count = Math.min(length - sent, most)
      if (!this.deliver(this.peer!, source, at + sent, count, streamCharge(count), beside)) {
        return sent > 0 ? sent : -Errno.ENOBUFS
      }
      sent += count
      // The descriptors go with the first part.
      beside = { files: null, credentials: beside.credentials }
    }
    return sent
  }

  receive(target: Uint8Array, at: number, length: number, flags: number, received: Received | null): number {
    if ((flags & C.MSG_OOB) !== 0) return -Errno.EOPNOTSUPP
    if (this.state !== 'connected') return -Errno.EINVAL
    this.stoppedAtFiles = false
    const { messages } = this.inbox
    if (messages.length === 0) return this.nothing()
    const isPeek = (flags & C.MSG_PEEK) !== 0
    let count = 0
    let first: UnixMessage | null = null
    for (let index = 0; index < messages.length && !this.stoppedAtFiles; ) {
      const message = messages.at(index)
      if (first !== null && (count >= length || this.differs(first, message))) break
      first ??= message
      const part = Math.min(length - count, message.left)
      this.inbox.ring.peek(target, at + count, isPeek ? count : 0, part)
      count += part
      this.stoppedAtFiles = message.files !== null
      this.tellAncillary(message, received, isPeek)
      if (isPeek) index++
      else if (!this.take(message, part)) break
    }
    return count
  }

  /** Takes `count` bytes off the first message. @returns whether that was all of it */
  private take(message: UnixMessage, count: number): boolean {
    this.inbox.ring.drop(count)
    message.left -= count
    if (message.left > 0) return false
    this.inbox.messages.shift()
    this.settle(message)
    return true
  }

  private nothing(): number {
    const error = this.takeError()
    if (error !== 0) return -error
    return (this.shutdownBits & 1) !== 0 ? 0 : -Errno.EAGAIN
  }

  override receiveTarget(length: number): number {
    return Math.min(length, this.kept.receiveLowat)
  }

  override get receivable(): number {
    return this.inbox.bytes
  }

  /** What has come with descriptors is not read together with what came later. */
  override get endsRun(): boolean {
    return this.stoppedAtFiles
  }
}
