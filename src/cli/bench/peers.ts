import type { Frame } from '../../core/frame.ts'
import { FrameChecksum } from '../../core/frame.ts'
import type { World } from '../../core/world.ts'
import type { LinkPort, LinkUser } from '../../link/port.ts'
import { ipv4 } from '../../wire/address.ts'
import { Drop } from '../../wire/drop.ts'
import { EtherType } from '../../wire/ethernet.ts'
import { IpHeader, IpProtocol } from '../../wire/ip.ts'
import { emitIpv4, IPV4_MIN_HEADER, readIpv4 } from '../../wire/ipv4.ts'
import { emitTcp, parseTcp, TCP_MIN_HEADER, TcpFlag, TcpHeader, tcpOptionsLength } from '../../wire/tcp.ts'
import { fillTransportChecksum } from '../../wire/transport.ts'

/** Ports that each of the peers' addresses connects from. */
const PORTS = 50_000
const FIRST_PORT = 10_000
/** 10.1.0.0: addresses count from here. */
const FIRST_ADDRESS = 0x0a01_0000

/**
 * As many clients as are wanted, at the end of a link of IP packets, none of which is kept: what a client answers follows
 * from what it is answering.
 */
export class Peers implements LinkUser {
  private readonly world: World
  private readonly port: LinkPort
  private readonly serverPort: number
  private readonly in = new IpHeader()
  private readonly out = new IpHeader()
  private readonly segment = new TcpHeader()
  private readonly reply = new TcpHeader()
  /** What the one that has connected last would send next. */
  private readonly lastOut = { address: 0, port: 0, seq: 0, ack: 0, echo: 0 }

  /** @param server the server's address */
  constructor(world: World, port: LinkPort, server: number, serverPort: number) {
    this.world = world
    this.port = port
    this.serverPort = serverPort
    this.out.version = 4
    this.out.headerLength = IPV4_MIN_HEADER
    this.out.hopLimit = 64
    this.out.dontFragment = true
    this.out.protocol = IpProtocol.Tcp
    this.out.source = ipv4(0)
    this.out.destination = ipv4(server)
    port.user = this
  }

  /** The SYN of one of them, with the options of Linux's. */
  connect(index: number): void {
    const { reply } = this
    reply.clearOptions()
    reply.mss = 1460
    reply.sackPermitted = true
    reply.windowScale = 7
    reply.hasTimestamps = true
    reply.timestamp = this.world.loop.nowMs32
    const address = FIRST_ADDRESS + Math.floor(index / PORTS)
    this.send(address, FIRST_PORT + (index % PORTS), TcpFlag.Syn, index << 4, 0)
  }

  /** The FIN of the one that has connected last. */
  hangUp(): void {
    const { address, port, seq, ack, echo } = this.lastOut
    this.stamp(echo)
    this.send(address, port, TcpFlag.Fin | TcpFlag.Ack, seq, ack)
  }

  receive(frame: Frame): void {
    const { world, in: header, segment } = this
    // The host announces itself by IPv6, too: that is nothing to them.
    const isSegment =
      readIpv4(header, world.memory, frame.start, frame.end) === Drop.none &&
      parseTcp(segment, world.memory, header.payloadStart, header.payloadEnd) === Drop.none
    world.frames.release(frame)
    if (!isSegment) return
    const isSyn = (segment.flags & TcpFlag.Syn) !== 0
    // An ACK alone needs no answer.
    if (!isSyn && (segment.flags & TcpFlag.Fin) === 0) return
    const { lastOut } = this
    lastOut.address = header.destination3
    lastOut.port = segment.destinationPort
    lastOut.seq = segment.ack
    lastOut.ack = (segment.seq + 1) | 0
    lastOut.echo = segment.timestamp
    this.stamp(segment.timestamp)
    this.send(lastOut.address, lastOut.port, TcpFlag.Ack, lastOut.seq, lastOut.ack)
  }

  carrierChanged(): void {}

  private stamp(echo: number): void {
    const { reply } = this
    reply.clearOptions()
    reply.hasTimestamps = true
    reply.timestamp = this.world.loop.nowMs32
    reply.timestampEcho = echo
  }

  private send(address: number, port: number, flags: number, seq: number, ack: number): void {
    const { world, out, reply } = this
    reply.sourcePort = port
    reply.destinationPort = this.serverPort
    reply.flags = flags
    reply.seq = seq
    reply.ack = ack
    reply.window = 0xffff
    const length = TCP_MIN_HEADER + tcpOptionsLength(reply)
    const frame = world.frames.allocate(length)
    if (frame === null) throw new Error('the world has no memory left for a frame')
    const { memory } = world
    frame.end += length
    emitTcp(reply, memory, frame.start)
    out.source3 = address
    fillTransportChecksum(out, IpProtocol.Tcp, memory, frame.start, frame.end)
    frame.checksum = FrameChecksum.Unverified
    frame.start -= IPV4_MIN_HEADER
    frame.network = frame.start
    frame.etherType = EtherType.Ipv4
    emitIpv4(out, memory, frame.start, length)
    this.port.send(frame)
  }
}
