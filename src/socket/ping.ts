import { Errno } from '../core/errno.ts'
import type { Frame } from '../core/frame.ts'
import type { Destination } from '../ip/destination.ts'
import type { EchoListener } from '../ip/echo.ts'
import type { IcmpError } from '../ip/protocol.ts'
import { Drop } from '../wire/drop.ts'
import { ICMP_HEADER, IcmpType } from '../wire/icmp.ts'
import { Icmpv6Type } from '../wire/icmpv6.ts'
import { type IpHeader, IpProtocol, MAX_PACKET } from '../wire/ip.ts'
import { fillTransportChecksum } from '../wire/transport.ts'
import type { Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { ControlMessage } from './control.ts'
import type { SocketLayer } from './layer.ts'
import { PacketSocket } from './packet-socket.ts'

const IDENTIFIERS = 0x1_0000

/**
 * A ping socket (icmp(7), `ping_group_range`): sends echo requests, and gets the replies to its own. The identifier is
 * its port, and the stack writes it and the checksum.
 */
export class PingSocket extends PacketSocket implements EchoListener {
  private isListed = false

  constructor(layer: SocketLayer, domain: number) {
    super(layer, domain, C.SOCK_DGRAM, domain === C.AF_INET ? IpProtocol.Icmp : IpProtocol.Icmpv6)
    this.reuseAddress = true
  }

  override ioctl(): number {
    return -Errno.ENOTTY
  }

  get isNumbered(): boolean {
    return this.isListed
  }

  private get messages(): SocketLayer['ip']['icmp'] | SocketLayer['ip']['icmpv6'] {
    return this.family === 4 ? this.layer.ip.icmp : this.layer.ip.icmpv6
  }

  bind(given: Sockaddr): number {
    const endpoint = this.checkBind({ ...given, port: 0 }, false)
    if (typeof endpoint === 'number') return endpoint
    const { w0, w1, w2, w3 } = endpoint.address
    const kind = this.layer.ip.routes.lookupLocal(w0, w1, w2, w3, null)?.type
    if (endpoint.address.isMulticast || endpoint.address.isLimitedBroadcast || kind === 'broadcast') {
      return -Errno.EADDRNOTAVAIL
    }
    if (this.isListed) return -Errno.EINVAL
    if (!this.obtainIdentifier(given.port ?? 0)) return -Errno.EADDRINUSE
    this.noteBound(endpoint)
    this.v6only = this.family === 6
    this.local = endpoint.address
    return 0
  }

  /** Takes an identifier, any free one for 0, unless it has one. @returns whether it has one now */
  private obtainIdentifier(wanted: number): boolean {
    if (this.isListed) return true
    const start = wanted || this.layer.random.below(IDENTIFIERS)
    for (let i = 0; i < (wanted === 0 ? IDENTIFIERS : 1); i++) {
      const identifier = (start + i) % IDENTIFIERS
      if (identifier === 0 || !this.messages.echoes.add(identifier, this)) continue
      this.localPort = identifier
      this.isListed = true
      return true
    }
    return false
  }

  override connect(given: Sockaddr): number {
    if (!this.isUndo(given) && !this.obtainIdentifier(0)) return -Errno.EAGAIN
    return super.connect(given)
  }

  send(
    source: Uint8Array,
    at: number,
    length: number,
    flags: number,
    to: Sockaddr | null,
    control: readonly ControlMessage[] | null = null,
  ): number {
    if (!this.obtainIdentifier(0)) return -Errno.EAGAIN
    if (length > MAX_PACKET) return -Errno.EMSGSIZE
    if (length < ICMP_HEADER) return -Errno.EINVAL
    if ((flags & C.MSG_OOB) !== 0) return -Errno.EOPNOTSUPP
    const echo = this.family === 4 ? IcmpType.Echo : Icmpv6Type.EchoRequest
    if (source[at] !== echo || source[at + 1] !== 0) return -Errno.EINVAL
    const way = this.prepare(to, control)
    if (typeof way === 'number') return way
    const { ip } = this.layer
    const frame = ip.world.frames.allocate(length)
    if (frame === null) return -Errno.ENOBUFS
    frame.end = frame.start + length
    const { u8 } = ip.world.memory
    u8.set(source.subarray(at, at + length), frame.start)
    this.complete(frame, way)
    this.messages.countOut(echo)
    return this.transmit(frame, way, length)
  }

  /** Writes the identifier and the checksum. */
  private complete(frame: Frame, way: Destination): void {
    const { ip } = this.layer
    const { memory } = ip.world
    memory.view.setUint16(frame.start + 2, 0)
    memory.view.setUint16(frame.start + 4, this.localPort)
    const { tx } = ip
    tx.version = this.family
    tx.source = way.source
    tx.destination = way.address
    fillTransportChecksum(tx, this.protocol, memory, frame.start, frame.end)
  }

  echoReply(header: IpHeader, _sequence: number, start: number, end: number): void {
    if (!this.local.isUnspecified && !header.destinationIs(this.local)) return
    if (this.remote !== null && !header.sourceIs(this.remote.address)) return
    const { ip } = this.layer
    // Copied from the IP header on: a receiver reads from it where the reply came from.
    const first = start - ICMP_HEADER - header.headerLength
    const frame = ip.world.frames.allocate(end - first)
    if (frame === null) {
      ip.mib.drops[Drop['no-memory']]!++
      return
    }
    const { u8 } = ip.world.memory
    u8.copyWithin(frame.start, first, end)
    frame.network = frame.start
    frame.end = frame.start + end - first
    frame.start += header.headerLength
    frame.time = ip.world.loop.now
    this.enqueue(frame, ip.interfaceOf(header.destination)?.index ?? 0)
  }

  echoError(error: IcmpError): void {
    this.noteError(error)
  }

  /** The stack closes. */
  stop(): void {
    this.isListed = false
  }

  protected override release(): void {
    if (this.isListed) this.messages.echoes.remove(this.localPort)
    this.isListed = false
    super.release()
  }
}
