import { Errno } from '../core/errno.ts'
import { Fifo } from '../core/fifo.ts'
import { Readiness } from '../core/readiness.ts'
import type { Sockaddr } from './address.ts'
import * as C from './constants.ts'
import { UnixSocket } from './unix.ts'
import { readUnixName } from './unix-names.ts'

/** A Unix domain socket with connections: a stream or seqpacket socket, which can listen. */
export abstract class UnixConnectionSocket extends UnixSocket {
  /** As given to listen(2) and cut by somaxconn; one more connection than that may wait. */
  backlog = 0
  private readonly pending = new Fifo<UnixConnectionSocket>()

  /** A socket of the same type, for the server's side of a connection. */
  protected abstract newPeer(): UnixConnectionSocket

  override get isListening(): boolean {
    return this.state === 'listening'
  }

  get isFull(): boolean {
    return this.pending.length > this.backlog
  }

  get waitingConnections(): Iterable<UnixSocket> {
    return this.pending
  }

  /** Connections that wait to be accepted. */
  get pendingCount(): number {
    return this.pending.length
  }

  override listen(backlog: number): number {
    if (this.name === null) return -Errno.EINVAL
    if (this.state === 'connected') return -Errno.EINVAL
    const { somaxconn } = this.layer.tcp.layer.settings
    const before = this.backlog
    // As the kernel sees a negative one, it is very large.
    this.backlog = backlog < 0 ? somaxconn : Math.min(backlog, somaxconn)
    this.state = 'listening'
    this.peerCredentials = this.layer.caller.credentials
    if (this.backlog > before) this.admit()
    return 0
  }

  /** @returns 0, -EAGAIN while the listener's queue is full, or another negative `Errno` */
  connect(address: Sockaddr): number {
    const name = readUnixName(address)
    if (typeof name === 'number') return name
    if (name === '') return -Errno.EINVAL
    if (this.state === 'closed') this.bindForCredentials()
    const listener = this.findPeer(name)
    if (typeof listener === 'number') return listener
    if (!(listener instanceof UnixConnectionSocket) || !listener.isListening) return -Errno.ECONNREFUSED
    if ((listener.shutdownBits & 1) !== 0) return -Errno.ECONNREFUSED
    if (listener.isFull) {
      listener.turnAway(this)
      return -Errno.EAGAIN
    }
    if (this.state === 'connected') return -Errno.EISCONN
    if (this.state === 'listening') return -Errno.EINVAL
    const other = this.newPeer()
    other.wasHanded = false
    other.inheritFrom(listener)
    other.name = listener.name
    other.peerCredentials = this.layer.caller.credentials
    this.peerCredentials = listener.peerCredentials
    this.connectWith(other)
    listener.pending.push(other)
    listener.wake(Readiness.In)
    this.wake(Readiness.Out)
    return 0
  }

  override get connectWaits(): boolean {
    return true
  }

  override accept(): UnixSocket | number {
    if (this.state !== 'listening') return -Errno.EINVAL
    const next = this.pending.shift()
    if (next === undefined) return (this.shutdownBits & 1) !== 0 ? -Errno.EINVAL : -Errno.EAGAIN
    next.wasHanded = true
    this.admit()
    return next
  }

  poll(): number {
    let events = this.error !== 0 ? Readiness.Err : 0
    if (this.shutdownBits === 3) events |= Readiness.Hup
    if ((this.shutdownBits & 1) !== 0) events |= Readiness.RdHup | Readiness.In
    if (this.inbox.messages.length > 0 || this.pending.length > 0) events |= Readiness.In
    if (this.inbox.urgent !== null) events |= Readiness.Pri
    if (this.state === 'closed') events |= Readiness.Hup
    if (this.isWritable) events |= Readiness.Out | C.POLLWRBAND
    return events
  }

  protected get readableBytes(): number {
    return this.inbox.bytes
  }

  /** Why nothing can be sent on it; 0 when it can. */
  protected sendProblem(flags: number, to: Sockaddr | null): number {
    if ((flags & C.MSG_OOB) !== 0) return -Errno.EOPNOTSUPP
    if (to !== null) return this.state === 'connected' ? -Errno.EISCONN : -Errno.EOPNOTSUPP
    if (this.state !== 'connected' || this.peer === null) return -Errno.ENOTCONN
    if ((this.shutdownBits & 2) !== 0 || this.isPeerGone) return -Errno.EPIPE
    return 0
  }

  protected get isPeerGone(): boolean {
    return this.peer === null || this.peer.isClosed || (this.peer.shutdownBits & 1) !== 0
  }

  /** The peer reads and writes no more; with data of it unread, it learns that it was lost. Who waits is refused. */
  protected leavePeer(): void {
    const { peer } = this
    const hasUnread = this.inbox.hasUnread || !this.wasHanded
    this.state = 'closed'
    this.peer = null
    if (peer !== null && !peer.isClosed) {
      peer.shutdownBits = 3
      if (hasUnread) peer.fail(Errno.ECONNRESET)
      else peer.wake(0)
    }
    for (let next = this.pending.shift(); next !== undefined; next = this.pending.shift()) next.unref()
  }
}
