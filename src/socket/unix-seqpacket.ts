import { Errno } from '../core/errno.ts'
import type { Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { ControlMessage } from './control.ts'
import type { SocketLayer } from './layer.ts'
import type { Received } from './socket.ts'
import { UnixConnectionSocket } from './unix-listener.ts'
import { datagramCharge } from './unix-queue.ts'

/** A seqpacket socket of the Unix domain: connections that keep the boundaries of messages. */
export class UnixSeqpacketSocket extends UnixConnectionSocket {
  constructor(layer: SocketLayer) {
    super(layer, C.SOCK_SEQPACKET)
  }

  protected newPeer(): UnixSeqpacketSocket {
    return new UnixSeqpacketSocket(this.layer)
  }

  override get isStream(): boolean {
    return false
  }

  /** An address is not looked at. */
  send(
    source: Uint8Array,
    at: number,
    length: number,
    flags: number,
    _to: Sockaddr | null,
    control: readonly ControlMessage[] | null = null,
  ): number {
    if (this.error !== 0) return -this.takeError()
    if (this.state !== 'connected') return -Errno.ENOTCONN
    const beside = this.readAncillary(control, this.peer)
    if (typeof beside === 'number') return beside
    if ((flags & C.MSG_OOB) === 0 && length > this.sendBuffer - 32) return -Errno.EMSGSIZE
    const problem = this.sendProblem(flags, null)
    if (problem !== 0) return problem
    if (this.charged >= this.sendBuffer) return -Errno.EAGAIN
    const charge = datagramCharge(length)
    return this.deliver(this.peer!, source, at, length, charge, beside) ? length : -Errno.ENOBUFS
  }

  receive(target: Uint8Array, at: number, length: number, flags: number, received: Received | null): number {
    if (this.state !== 'connected') return -Errno.ENOTCONN
    if ((flags & C.MSG_OOB) !== 0) return -Errno.EOPNOTSUPP
    const error = this.takeError()
    if (error !== 0) return -error
    if (this.inbox.messages.length === 0) return (this.shutdownBits & 1) !== 0 ? 0 : -Errno.EAGAIN
    return this.receiveMessage(target, at, length, flags, received)
  }
}
