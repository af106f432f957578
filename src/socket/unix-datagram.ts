import { Errno } from '../core/errno.ts'
import { Readiness } from '../core/readiness.ts'
import { isUnspec, type Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { ControlMessage } from './control.ts'
import type { Received } from './socket.ts'
import { UnixSocket } from './unix.ts'
import { readUnixName } from './unix-names.ts'
import { datagramCharge } from './unix-queue.ts'

/** A datagram socket of the Unix domain: nothing is lost, and who sends too much waits. */
export class UnixDatagramSocket extends UnixSocket {
  get isFull(): boolean {
    return this.inbox.messages.length > this.layer.settings.max_dgram_qlen
  }

  get waitingConnections(): Iterable<UnixSocket> {
    return []
  }

  override get isStream(): boolean {
    return false
  }

  /** Chooses whom send(2) sends to; AF_UNSPEC undoes that. */
  connect(address: Sockaddr): number {
    let peer: UnixSocket | null = null
    if (!isUnspec(address)) {
      const name = readUnixName(address)
      if (typeof name === 'number') return name
      if (name === '') return -Errno.EINVAL
      this.bindForCredentials()
      const found = this.findPeer(name)
      if (typeof found === 'number') return found
      if (!this.mayReach(found)) return -Errno.EPERM
      peer = found
    }
    const before = this.peer
    this.peer = peer
    this.state = peer === null ? 'closed' : 'connected'
    if (peer !== null) peer.state = 'connected'
    if (before !== null && before !== peer) this.disconnected(before)
    this.wake(Readiness.Out)
    return 0
  }

  /** Does a socket take what this one sends: is it connected with nobody else? */
  private mayReach(other: UnixSocket): boolean {
    return other.peer === null || other.peer === this
  }

  /** What came from a former peer is lost, and it learns that. */
  private disconnected(before: UnixSocket): void {
    if (this.inbox.messages.length === 0) return
    this.dropQueue()
    if (!before.isClosed && before.peer === this) before.fail(Errno.ECONNRESET)
  }

  send(
    source: Uint8Array,
    at: number,
    length: number,
    flags: number,
    to: Sockaddr | null,
    control: readonly ControlMessage[] | null = null,
  ): number {
    if ((flags & C.MSG_OOB) !== 0) return -Errno.EOPNOTSUPP
    let name = ''
    if (to !== null) {
      const read = readUnixName(to)
      if (typeof read === 'number') return read
      if (read === '') return -Errno.EINVAL
      name = read
    }
    this.bindForCredentials()
    if (length > this.sendBuffer - 32) return -Errno.EMSGSIZE
    const error = this.takeError()
    if (error !== 0) return -error
    if ((this.shutdownBits & 2) !== 0) return -Errno.EPIPE
    if (name === '' && this.peer === null) return -Errno.ENOTCONN
    if (this.charged >= this.sendBuffer) return -Errno.EAGAIN
    const target = name === '' ? this.livePeer() : this.findPeer(name)
    if (typeof target === 'number') return target
    if (!this.mayReach(target)) return -Errno.EPERM
    if ((target.shutdownBits & 1) !== 0) return -Errno.EPIPE
    if (target !== this && target.peer !== this && target.isFull) {
      target.turnAway(this)
      return -Errno.EAGAIN
    }
    const beside = this.readAncillary(control, target)
    if (typeof beside === 'number') return beside
    return this.deliver(target, source, at, length, datagramCharge(length), beside) ? length : -Errno.ENOBUFS
  }

  /** The peer; one that is closed is the peer no longer, which is told once. */
  private livePeer(): UnixSocket | number {
    const peer = this.peer!
    if (!peer.isClosed) return peer
    this.peer = null
    this.state = 'closed'
    this.disconnected(peer)
    return -Errno.ECONNREFUSED
  }

  receive(target: Uint8Array, at: number, length: number, flags: number, received: Received | null): number {
    if ((flags & C.MSG_OOB) !== 0) return -Errno.EOPNOTSUPP
    const error = this.takeError()
    if (error !== 0) return -error
    if (this.inbox.messages.length > 0) return this.receiveMessage(target, at, length, flags, received)
    // Who would wait learns of the end; who would not, that there is nothing.
    const isOver = (this.shutdownBits & 1) !== 0 && (flags & C.MSG_DONTWAIT) === 0
    return isOver ? 0 : -Errno.EAGAIN
  }

  poll(): number {
    let events = this.error !== 0 ? Readiness.Err : 0
    if ((this.shutdownBits & 1) !== 0) events |= Readiness.RdHup | Readiness.In
    if (this.shutdownBits === 3) events |= Readiness.Hup
    if (this.inbox.messages.length > 0) events |= Readiness.In
    if (this.isWritable && !this.isPeerFull()) events |= Readiness.Out | C.POLLWRBAND
    return events
  }

  /** Has the peer no room? Then it tells when it has. */
  private isPeerFull(): boolean {
    const { peer } = this
    if (peer === null || peer.peer === this || !peer.isFull) return false
    peer.turnAway(this)
    return true
  }

  protected get readableBytes(): number {
    return this.inbox.messages.peek()?.left ?? 0
  }

  protected leavePeer(): void {
    this.peer = null
  }
}
