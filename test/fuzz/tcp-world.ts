import { VirtualClock } from '../../src/core/clock.ts'
import { fastPaths } from '../../src/core/fast-paths.ts'
import type { Frame } from '../../src/core/frame.ts'
import { FrameChecksum } from '../../src/core/frame.ts'
import { SeededRandom } from '../../src/core/random.ts'
import { seqGt } from '../../src/core/seq.ts'
import { World } from '../../src/core/world.ts'
import { Host } from '../../src/host/host.ts'
import type { FrameTap, LinkFeatures, LinkPort, LinkUser } from '../../src/link/port.ts'
import { TcpConnection } from '../../src/tcp/connection.ts'
import { Request } from '../../src/tcp/request.ts'
import { BSD } from '../../src/tcp/settings.ts'
import { TcpState } from '../../src/tcp/state.ts'
import type { TupleEntry } from '../../src/tcp/tuple.ts'
import { type IpAddress, ip } from '../../src/wire/address.ts'
import { checksumOf, sumBytes } from '../../src/wire/checksum.ts'
import { EtherType } from '../../src/wire/ethernet.ts'
import { IpHeader, IpProtocol } from '../../src/wire/ip.ts'
import { parseIpv4 } from '../../src/wire/ipv4.ts'
import { parseIpv6 } from '../../src/wire/ipv6.ts'
import { FastOpenForm, parseTcp, TcpFlag, TcpHeader } from '../../src/wire/tcp.ts'
import { verifyTransportChecksum } from '../../src/wire/transport.ts'
import { writeIp } from '../support/ip-writer.ts'

/** A host whose only link ends in the fuzzer, and what must be true of every packet that it sends. */

/** How the host and its link are made. */
export interface WorldSetup {
  readonly seed: number
  readonly ipv6: boolean
  readonly bsd: boolean
  readonly mtu: number
  /** Does the link cut segments, and complete checksums? */
  readonly offload: boolean
  /** The world's memory: so many times 64 KiB. */
  readonly pages: number
  readonly sysctl: Readonly<Record<string, number | string>>
}

export const LOCAL_PORT = 8080
export const PEER_PORT = 50_000

/**
 * The byte at a place of the stream that the host sends, and of the
 * one that it receives: its sequence number less the SYN's.
 */
export const sentByte = (place: number): number => (place * 7 + (place >>> 8)) & 0xff
export const receivedByte = (place: number): number => (place * 11 + (place >>> 7)) & 0xff

/** The other end of the host's link. */
class EndPort implements LinkPort {
  readonly features: LinkFeatures
  readonly carrier = true
  isFull = false
  user: LinkUser | null = null
  readonly taps: FrameTap[] = []
  private readonly world: TcpWorld

  constructor(world: TcpWorld, features: LinkFeatures) {
    this.world = world
    this.features = features
  }

  send(frame: Frame): void {
    this.world.sent(frame)
  }
}

/** What the fuzzer's side knows of the connection between a pair of ports. */
export interface Known {
  /** The host's last time stamp, fast-open cookie, and where its window ends: nothing says less later. */
  timestamp: number
  cookie: Uint8Array
  windowEdge: number
  /** The connection that the edge belongs to. */
  connection: TcpConnection | null
  /** Numbers to go on from when nothing is there any more. */
  seq: number
  ack: number
}

export class TcpWorld {
  readonly clock = new VirtualClock()
  readonly world: World
  readonly host: Host
  readonly port: EndPort
  readonly local: IpAddress
  readonly peer: IpAddress
  readonly ipv6: boolean
  /** Packets that the host has sent. */
  packetsSent = 0
  private readonly known = new Map<number, Known>()
  private readonly header = new IpHeader()
  private readonly segment = new TcpHeader()

  constructor(setup: WorldSetup) {
    const { seed, ipv6, mtu, offload } = setup
    // The kernels in WebAssembly are slow to set up, and do what the loops in TypeScript do: some cases have them.
    this.world = new World(
      this.clock,
      new SeededRandom(seed),
      setup.pages * 0x1_0000,
      fastPaths(seed % 8 === 0 ? [] : ['wasm']),
    )
    this.ipv6 = ipv6
    this.host = new Host(this.world, 'host', { sysctl: { 'net.ipv6.conf.all.dad_transmits': 0 } })
    for (const [name, value] of Object.entries(setup.sysctl)) {
      // A setting may be gone since the case was written.
      if (this.host.sysctl.has(name)) this.host.sysctl.set(name, String(value))
    }
    if (setup.bsd) this.host.tcpSettings.personality = BSD
    const features: LinkFeatures = {
      medium: 'ip',
      mtu,
      maxSegmentedPacket: offload ? 65_535 : 0,
      checksumOffload: offload,
      fcs: false,
    }
    this.port = new EndPort(this, features)
    this.local = ip(ipv6 ? 'fd00::1' : '192.168.0.1')
    this.peer = ip(ipv6 ? 'fd00::2' : '192.168.0.2')
    this.host.addInterface('tun0', this.port, [ipv6 ? 'fd00::1/64' : '192.168.0.1/24'])
    this.turn()
  }

  turn(): void {
    this.world.loop.turn()
  }

  /** Lets so many microseconds pass, firing at most `most` timers on the way. */
  advance(duration: number, most = 10_000): void {
    const until = this.clock.now() + duration
    for (let left = most; left > 0; left--) {
      const next = this.world.loop.timers.nextWake()
      if (next > until) break
      this.clock.advanceTo(next)
      this.turn()
    }
    this.clock.advanceTo(until)
    this.turn()
  }

  /** Goes to the next timer that is set, and fires it. */
  advanceToTimer(): void {
    const next = this.world.loop.timers.nextWake()
    if (next !== Number.POSITIVE_INFINITY) this.clock.advanceTo(next)
    this.turn()
  }

  knownOf(peerPort: number): Known {
    let known = this.known.get(peerPort)
    if (known === undefined) {
      known = { timestamp: 0, cookie: NO_BYTES, windowEdge: 0, connection: null, seq: 0, ack: 0 }
      this.known.set(peerPort, known)
    }
    return known
  }

  /** Whatever is under the pair of the host's port and one of the peer's. */
  entry(peerPort: number): TupleEntry | null {
    for (const entry of this.host.sockets.tcp.table.entries()) if (entry.remotePort === peerPort) return entry
    return null
  }

  /** Writes an IP header in front of `frame.transport`. @returns the sum of the pseudo-header */
  putIp(frame: Frame, from: IpAddress, to: IpAddress, protocol: number, trafficClass: number): number {
    const { ipv6, header } = this
    const length = frame.end - frame.transport
    const packet = { ipv6, from, to, protocol, trafficClass, length }
    frame.start = writeIp(header, this.world.memory, frame.transport, packet)
    frame.network = frame.start
    frame.etherType = this.ipv6 ? EtherType.Ipv6 : EtherType.Ipv4
    return header.pseudoSum(protocol, length)
  }

  deliver(frame: Frame): void {
    this.port.user!.receive(frame)
    this.turn()
  }

  /** The host has sent a packet: it must be in order, in every sense. */
  sent(frame: Frame): void {
    this.packetsSent++
    const { memory, frames } = this.world
    const { header: h } = this
    try {
      const version = memory.u8[frame.start]! >>> 4
      const parsed =
        version === 6 ? parseIpv6(h, memory, frame.start, frame.end) : parseIpv4(h, memory, frame.start, frame.end)
      if (parsed !== 0) throw new Error('the host has sent a packet whose IP header is wrong')
      const length = frame.end - frame.start
      const most =
        frame.segmentSize > 0
          ? this.port.features.maxSegmentedPacket
          : this.port.user === null
            ? 0
            : this.port.features.mtu
      if (length > most) throw new Error(`the host has sent ${length} bytes where ${most} are allowed`)
      if (
        frame.checksum !== FrameChecksum.Partial &&
        !h.moreFragments &&
        h.fragmentOffset === 0 &&
        verifyTransportChecksum(h, memory) !== 0
      )
        throw new Error('the host has sent a packet whose checksum is wrong')
      if (h.protocol === IpProtocol.Tcp) this.checkSegment(frame)
    } finally {
      frames.release(frame)
    }
  }

  private checkSegment(frame: Frame): void {
    const { header: h, segment: t } = this
    const { memory } = this.world
    if (parseTcp(t, memory, h.payloadStart, h.payloadEnd) !== 0)
      throw new Error('the host has sent a TCP header that is wrong')
    const known = this.knownOf(t.destinationPort)
    if (t.hasTimestamps) known.timestamp = t.timestamp
    if (t.fastOpen !== FastOpenForm.None && t.fastOpenLength > 0)
      known.cookie = memory.u8.slice(t.fastOpenAt, t.fastOpenAt + t.fastOpenLength)
    const controls = (t.flags & (TcpFlag.Syn | TcpFlag.Fin)) !== 0 ? 1 : 0
    if ((t.flags & TcpFlag.Rst) === 0)
      known.ack = (t.seq + h.payloadEnd - h.payloadStart - t.headerLength + controls) | 0
    if ((t.flags & TcpFlag.Ack) !== 0) known.seq = t.ack
    const entry = this.entry(t.destinationPort)
    const c = entry instanceof TcpConnection ? entry : entry instanceof Request ? entry.connection : null
    const data = h.payloadStart + t.headerLength
    const isSyn = (t.flags & TcpFlag.Syn) !== 0
    const iss = c !== null ? c.snd.iss : isSyn ? t.seq : null
    if (h.payloadEnd > data && iss !== null) {
      const first = (t.seq + (isSyn ? 1 : 0) - iss) | 0
      for (let at = data; at < h.payloadEnd; at++) {
        if (memory.u8[at] !== sentByte(first + at - data))
          throw new Error(
            `byte ${first + at - data} of the stream was sent with another value than it was written with`,
          )
      }
    }
    if (c !== null && entry instanceof TcpConnection) this.checkConnectionSegment(c, frame, known, h.payloadEnd - data)
  }

  /** A segment of a connection has the numbers of that connection, and keeps to what the peer allows. */
  private checkConnectionSegment(c: TcpConnection, frame: Frame, known: Known, length: number): void {
    const { segment: t } = this
    const { snd, rcv } = c
    // A RST may answer a segment that is not the connection's, with that one's numbers.
    if ((t.flags & TcpFlag.Rst) !== 0) return
    const seq = (t.seq - snd.iss) | 0
    if ((t.flags & TcpFlag.Ack) !== 0 && c.state !== TcpState.SynSent && t.ack !== rcv.nxt)
      throw new Error(`a segment acknowledges ${(t.ack - rcv.irs) | 0} where RCV.NXT is ${(rcv.nxt - rcv.irs) | 0}`)
    const end = (t.seq + length + ((t.flags & (TcpFlag.Syn | TcpFlag.Fin)) !== 0 ? 1 : 0)) | 0
    if (seqGt(end, snd.writeSeq))
      throw new Error(`a segment ends at ${(end - snd.iss) | 0}, beyond all that was written`)
    if (((t.seq - snd.una) | 0) < -1)
      throw new Error(`a segment begins at ${seq}, before SND.UNA ${(snd.una - snd.iss) | 0}`)
    if (length > 0 && frame.segmentSize === 0 && length > Math.max(snd.mssClamp, c.layer.settings.tcp_min_snd_mss))
      throw new Error(`a segment of ${length} bytes where the peer takes ${snd.mssClamp}`)
    if ((t.flags & TcpFlag.Syn) !== 0) return
    // Until the handshake of a fast open is over, ACKs of what is out
    // of window tell its first window, rounded down to the scale.
    if (c.handshake !== null) return
    if (known.connection !== c) {
      known.connection = c
      known.windowEdge = rcv.nxt
    }
    const edge = (t.ack + (t.window << rcv.wndScale)) | 0
    if (seqGt(known.windowEdge, edge) && c.layer.settings.tcp_shrink_window === 0)
      throw new Error(
        `the window that is offered ends at ${(edge - rcv.irs) | 0}, and ended at ${(known.windowEdge - rcv.irs) | 0}`,
      )
    known.windowEdge = edge
  }

  /** The sum of what lies from `frame.transport` on, and of the pseudo-header, as a checksum. */
  checksum(frame: Frame, pseudo: number): number {
    return checksumOf(pseudo + sumBytes(this.world.memory, frame.transport, frame.end))
  }
}

const NO_BYTES = new Uint8Array(0)
