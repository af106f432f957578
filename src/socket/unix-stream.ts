import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import type { Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { ControlMessage } from './control.ts'
import type { Received } from './socket.ts'
import type { UnixSocket } from './unix.ts'
import { UnixConnectionSocket } from './unix-listener.ts'
import { STREAM_CHUNK, streamCharge, type UnixMessage } from './unix-queue.ts'

/** What a read does at the byte of MSG_OOB, or where it was. */
const Mark = {
  Stops: 0,
  /** It is thrown away. */
  Dropped: 1,
  /** MSG_PEEK goes over it. */
  Looked: 2,
  IsData: 3,
} as const

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
    const isUrgent = (flags & C.MSG_OOB) !== 0
    const problem = isUrgent && length === 0 ? -Errno.EOPNOTSUPP : this.sendProblem(flags & ~C.MSG_OOB, to)
    if (problem !== 0) return problem
    const most = Math.min(STREAM_CHUNK, (this.sendBuffer >>> 1) - 64)
    const peer = this.peer!
    let sent = 0
    while (sent < length) {
      if (this.charged >= this.sendBuffer) return sent > 0 ? sent : -Errno.EAGAIN
      // The byte of MSG_OOB, the last, is a message of its own.
      const isLast = isUrgent && sent === length - 1
      const count = isLast ? 1 : Math.min(length - sent - Number(isUrgent), most)
      if (!this.deliver(peer, source, at + sent, count, streamCharge(count), beside)) {
        return sent > 0 ? sent : -Errno.ENOBUFS
      }
      if (isLast) this.announceUrgent(peer)
      sent += count
      // The descriptors go with the first part.
      beside = { files: null, credentials: beside.credentials }
    }
    return sent
  }

  /** The last byte is urgent; one before it that was not read is no more. */
  private announceUrgent(peer: UnixSocket): void {
    const { inbox } = peer
    inbox.urgent = inbox.messages.at(inbox.messages.length - 1)
    this.layer.onUrgent?.(peer)
    peer.wake(Readiness.In | Readiness.Pri)
  }

  receive(target: Uint8Array, at: number, length: number, flags: number, received: Received | null): number {
    if (this.state !== 'connected') return -Errno.EINVAL
    const isPeek = (flags & C.MSG_PEEK) !== 0
    if ((flags & C.MSG_OOB) !== 0) return this.receiveUrgent(target, at, length, isPeek, received)
    this.stoppedAtFiles = false
    const { messages, ring } = this.inbox
    let count = 0
    // Where the next byte lies that is looked at, beyond those that were read or dropped.
    let offset = 0
    let skip = Math.max(0, this.peekPlace(flags))
    let first: UnixMessage | null = null
    for (let index = 0; index < messages.length && !this.stoppedAtFiles; ) {
      if (first !== null && count >= length) break
      const message = messages.at(index)
      if (message.isTaken || message === this.inbox.urgent) {
        const passes = this.passMark(message, count, isPeek)
        if (passes === Mark.Stops) break
        if (passes === Mark.Looked) {
          index++
          offset++
        }
        if (passes !== Mark.IsData) continue
      }
      if (skip > 0 && skip >= message.left) {
        skip -= message.left
        offset += message.left
        index++
        continue
      }
      if (first !== null && this.differs(first, message)) break
      first ??= message
      const part = Math.min(length - count, message.left - skip)
      ring.peek(target, at + count, offset + skip, part)
      count += part
      if (isPeek) offset += skip + part
      skip = 0
      this.stoppedAtFiles = message.files !== null
      this.tellAncillary(message, received, isPeek)
      if (isPeek) index++
      else if (!this.take(message, part)) break
    }
    if (first === null) return this.nothing()
    this.movePeek(count, flags)
    return count
  }

  /**
   * Comes upon the byte of MSG_OOB, or its place: no read goes over it, the next begins behind it. Unread it is lost
   * then, unless SO_OOBINLINE makes it one of the others.
   */
  private passMark(message: UnixMessage, count: number, isPeek: boolean): number {
    const { inbox } = this
    if (message.isTaken) {
      // Of two marks the later counts.
      if (count > 0 && inbox.urgent === null) return Mark.Stops
    } else {
      if (count > 0) return Mark.Stops
      if (this.kept.outOfBandInline) {
        if (!isPeek) inbox.urgent = null
        return Mark.IsData
      }
    }
    if (isPeek) return Mark.Looked
    this.settle(inbox.shift())
    this.dropFiles(message)
    return Mark.Dropped
  }

  /** recv(2) with MSG_OOB. @returns 1, 0 where there is no room for it, or -EINVAL when there is none to be read */
  private receiveUrgent(
    target: Uint8Array,
    at: number,
    length: number,
    isPeek: boolean,
    received: Received | null,
  ): number {
    const { inbox } = this
    const { urgent } = inbox
    if (urgent === null || this.kept.outOfBandInline) return -Errno.EINVAL
    const count = Math.min(1, length)
    let before = 0
    for (const message of inbox.messages) {
      if (message === urgent) break
      before += message.isTaken ? 1 : message.left
    }
    inbox.ring.peek(target, at, before, count)
    if (received !== null) received.flags |= C.MSG_OOB
    if (!isPeek) inbox.takeUrgent()
    return count
  }

  override ioctl(request: number, value: number): number {
    if (request !== C.SIOCATMARK) return super.ioctl(request, value)
    // On Linux a connection that waits in a listener's queue looks like a mark.
    return Number(this.inbox.isAtMark || this.pendingCount > 0)
  }

  /** Takes `count` bytes off the first message. @returns whether that was all of it */
  private take(message: UnixMessage, count: number): boolean {
    this.inbox.ring.drop(count)
    message.left -= count
    if (message.left > 0) return false
    this.inbox.shift()
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
