import { VirtualClock } from '../../src/core/clock.ts'
import { fastPaths } from '../../src/core/fast-paths.ts'
import { type Frame, FrameChecksum } from '../../src/core/frame.ts'
import { SeededRandom } from '../../src/core/random.ts'
import { World } from '../../src/core/world.ts'
import { Host } from '../../src/host/host.ts'
import type { DumpedPacket } from '../../src/inspect/tcpdump.ts'
import { parseTcpdump, TcpdumpPrinter } from '../../src/inspect/tcpdump.ts'
import type { NetworkInterface } from '../../src/ip/interface.ts'
import type { FrameTap, LinkFeatures, LinkPort, LinkUser } from '../../src/link/port.ts'
import * as C from '../../src/socket/constants.ts'
import { Received, type Socket } from '../../src/socket/socket.ts'
import { BSD } from '../../src/tcp/settings.ts'
import { ip, parseIpPrefix } from '../../src/wire/address.ts'
import { DecodedFrame, decodeFrame } from '../../src/wire/decode.ts'
import { dropName } from '../../src/wire/drop.ts'
import type { IpHeader } from '../../src/wire/ip.ts'
import { checkHost, checkNothingLeft } from '../support/invariants.ts'
import { SAMPLE_MAC_A, SAMPLE_MAC_B } from '../support/sample-frames.ts'
import { type Coverage, DropWatch, reachCounters } from './coverage.ts'
import { Bytes } from './frame-bytes.ts'
import { fromHex } from './frame-maker.ts'
import { mendChecksums } from './frame-mend.ts'
import type { FrameSetup, FrameStep } from './frames.ts'

const SECOND = 1_000_000
const ETHERNET: LinkFeatures = {
  medium: 'ethernet',
  mtu: 1500,
  maxSegmentedPacket: 0,
  checksumOffload: false,
  fcs: false,
}
/** Ethernet with an 802.1Q tag. */
const MOST_HEADER = 18
/** The most frames that one may draw at once: a datagram of the largest size, in fragments, asked for twice. */
const MOST_ANSWERS = 120

/** One case of frames: the host, and the two links that end in the fuzzer. */
export class FramePlay {
  private readonly clock = new VirtualClock()
  private readonly world: World
  private readonly host: Host
  private readonly ports: EndPort[] = []
  private readonly interfaces: NetworkInterface[] = []
  private readonly setup: FrameSetup
  private readonly seen: Coverage
  private readonly drops: DropWatch
  private readonly sockets: Socket[] = []
  private readonly decoded = new DecodedFrame()
  private readonly printer = new TcpdumpPrinter(parseTcpdump(['-nevv']))
  /** Frames that the host has sent, and those that it is to be answered with. */
  private sentCount = 0
  private readonly answers: { on: number; bytes: Uint8Array }[] = []
  private isOver = false

  constructor(setup: FrameSetup, seen: Coverage) {
    this.setup = setup
    this.seen = seen
    this.world = new World(
      this.clock,
      new SeededRandom(setup.seed),
      setup.pages * 0x1_0000,
      fastPaths(setup.seed % 8 === 0 ? [] : ['wasm']),
    )
    this.host = new Host(this.world, 'host')
    for (const [name, value] of Object.entries(setup.sysctl)) {
      // A setting may be gone since the case was written.
      if (this.host.sysctl.has(name)) this.host.sysctl.set(name, String(value))
    }
    if (setup.bsd) this.host.tcpSettings.personality = BSD
    this.drops = new DropWatch(this.host.ip.mib)
    const addresses = [
      ['10.9.0.2/24', 'fd09::2/64'],
      ['10.10.0.1/24', 'fd10::1/64'],
    ]
    for (const [i, prefixes] of addresses.entries()) {
      const port = new EndPort((frame) => this.sent(i, frame))
      this.ports.push(port)
      this.interfaces.push(this.host.addInterface(`eth${i}`, port, prefixes, { mac: SAMPLE_MAC_B + i }))
    }
    this.host.ip.addVlan(this.interfaces[0]!, 100).addAddress(parseIpPrefix('10.11.0.1/24')!)
    this.host.ip.routes.add({ prefix: parseIpPrefix('0.0.0.0/0')!, gateway: ip('10.9.0.1') })
    this.world.loop.turn()
    this.openSockets()
    // Duplicate address detection, the first solicitations.
    this.advance(5 * SECOND)
  }

  take(input: FrameStep): void {
    this.act(input)
    this.world.loop.turn()
    for (let left = 20; left > 0 && this.answers.length > 0; left--) {
      const { on, bytes } = this.answers.shift()!
      this.deliver(on, bytes)
    }
    this.drops.look(this.seen, '')
    checkHost(this.host)
  }

  end(): void {
    reachCounters(this.host.ip.mib, this.seen)
    for (const socket of this.sockets.splice(0)) socket.unref()
    this.world.loop.turn()
    if (!this.setup.abrupt) {
      this.advance(5000 * SECOND)
      checkHost(this.host)
      checkNothingLeft(this.host)
      if (this.host.ip.reassembly.waiting !== 0)
        throw new Error(`${this.host.ip.reassembly.waiting} packets wait for fragments`)
    }
    this.isOver = true
    this.host.close()
    this.world.loop.turn()
    const { frames, memory, loop } = this.world
    if (frames.inUse !== 0) throw new Error(`${frames.inUse} frames are left`)
    if (loop.timers.size !== 0) throw new Error(`${loop.timers.size} timers are left`)
    if (!this.setup.abrupt && memory.used !== frames.bytes)
      throw new Error(`${memory.used - frames.bytes} bytes of memory are left`)
  }

  private advance(duration: number): void {
    const until = this.clock.now() + duration
    for (let left = 3000; left > 0; left--) {
      const next = this.world.loop.timers.nextWake()
      if (next > until) break
      this.clock.advanceTo(next)
      this.world.loop.turn()
    }
    this.clock.advanceTo(until)
    this.world.loop.turn()
  }

  private act(input: FrameStep): void {
    switch (input.op) {
      case 'frame':
        this.receive(input.on, fromHex(input.hex))
        break
      case 'wait':
        this.advance(input.time)
        break
      case 'read':
        this.read()
        break
      case 'send':
        for (const socket of this.sockets)
          if (
            socket.type === C.SOCK_DGRAM &&
            socket.protocol === C.IPPROTO_UDP &&
            (socket.family === 6) === input.to.includes(':')
          )
            socket.send(new Uint8Array(input.length), 0, input.length, C.MSG_DONTWAIT, { address: input.to, port: 53 })
        break
      case 'ping': {
        const socket = this.open(
          input.to.includes(':') ? C.AF_INET6 : C.AF_INET,
          C.SOCK_DGRAM,
          input.to.includes(':') ? C.IPPROTO_ICMPV6 : C.IPPROTO_ICMP,
        )
        const echo = new Uint8Array([input.to.includes(':') ? 128 : 8, 0, 0, 0, 0, 7, 0, 1, 1, 2, 3])
        socket?.send(echo, 0, echo.length, C.MSG_DONTWAIT, { address: input.to, port: 0 })
        break
      }
      case 'connect':
        this.open(input.to.includes(':') ? C.AF_INET6 : C.AF_INET, C.SOCK_STREAM, 0)?.connect({
          address: input.to,
          port: 80,
        })
        break
      case 'link':
        this.interfaces[input.on]!.setUp(input.up)
        break
      case 'address': {
        const prefix = parseIpPrefix(input.prefix)!
        const iface = this.interfaces[input.on]!
        if (input.add) iface.addAddress(prefix)
        else iface.removeAddress(prefix.address)
        break
      }
      case 'group':
        this.changeGroup(input.group, input.source, input.join)
        break
    }
  }

  /**
   * A frame that is for IP must end somewhere: delivered, passed on,
   * kept for reassembly, or dropped for a reason that counts.
   */
  private receive(on: number, bytes: Uint8Array): void {
    const before = this.accounted
    const { sentCount } = this
    this.print(bytes)
    if (!this.deliver(on, bytes)) return
    if (this.sentCount - sentCount > MOST_ANSWERS) throw new Error(`one frame has drawn ${this.sentCount - sentCount}`)
    const type = etherType(bytes)
    if ((type === 0x0800 || type === 0x86dd) && this.accounted === before && this.interfaces[on]!.isUp)
      throw new Error('a packet has come to no end that counts')
  }

  private deliver(on: number, bytes: Uint8Array): boolean {
    const frame = this.world.frames.allocate(bytes.length)
    if (frame === null) return false
    // As links deliver it: with the packet on a whole word.
    frame.start = frame.transport - 14
    frame.end = frame.start + bytes.length
    this.world.memory.u8.set(bytes, frame.start)
    this.world.loop.refresh()
    this.ports[on]!.user!.receive(frame)
    this.world.loop.turn()
    return true
  }

  private get accounted(): number {
    const { ip: v4, ip6, drops } = this.host.ip.mib
    let sum = v4.InDelivers + ip6.InDelivers + v4.ForwDatagrams + ip6.OutForwDatagrams + v4.ReasmReqds + ip6.ReasmReqds
    for (const count of drops) sum += count
    return sum
  }

  /** The dissectors never throw, whatever a frame says; and say something. One frame in four is shown them. */
  private print(bytes: Uint8Array): void {
    if ((bytes.length & 3) !== (this.sentCount & 3)) return
    const packet: DumpedPacket = {
      data: bytes,
      originalLength: bytes.length,
      linkType: 1,
      timeNs: BigInt(Math.floor(this.clock.now())) * 1000n,
    }
    if (!this.printer.print(packet).endsWith('\n')) throw new Error('a packet was printed without its end of line')
  }

  /** The host has sent a frame: it must be in order. What asks for a neighbour is answered. */
  private sent(on: number, frame: Frame): void {
    const { memory, frames } = this.world
    this.sentCount++
    const { decoded } = this
    const length = frame.end - frame.start
    const bytes = memory.u8.slice(frame.start, frame.end)
    const reason = decodeFrame(decoded, memory, frame.start, frame.end, 'ethernet')
    const wrongSum = frame.checksum !== FrameChecksum.Unverified
    frames.release(frame)
    if (this.isOver) throw new Error('a frame was sent by a host that was closed')
    if (length > ETHERNET.mtu + MOST_HEADER) throw new Error(`a frame of ${length} bytes was sent`)
    if (wrongSum) throw new Error('a frame was sent whose checksum is left to a link that does not complete it')
    if (decoded.ethernet.source !== SAMPLE_MAC_B + on)
      throw new Error(`a frame was sent from ${decoded.ethernet.source.toString(16)}`)
    const isOwn = decoded.etherType === 0x0806 || this.isOwn(decoded.ip)
    if (reason !== 0 && isOwn) throw new Error(`the host has sent a frame that is wrong: ${dropName(reason)}`)
    this.print(bytes)
    if (this.setup.answers) this.answer(on, bytes)
  }

  /** Has the host made a packet itself? One with its address may be somebody else's, where such are passed on. */
  private isOwn({ version, source }: IpHeader): boolean {
    const { sysctl } = this.setup
    const passedOn = version === 6 ? sysctl['net.ipv6.conf.all.forwarding'] : sysctl['net.ipv4.conf.all.accept_local']
    return passedOn !== 1 && this.host.ip.isLocal(source)
  }

  private answer(on: number, bytes: Uint8Array): void {
    if (this.answers.length > 10) return
    const out = new Bytes().mac(SAMPLE_MAC_B + on).mac(SAMPLE_MAC_A)
    if (etherType(bytes) === 0x0806 && bytes[21] === 1) {
      const asked = bytes.slice(38, 42)
      out
        .u16(0x0806)
        .hex('0001080006040002')
        .mac(SAMPLE_MAC_A)
        .bytes(asked)
        .mac(SAMPLE_MAC_B + on)
        .bytes(bytes.slice(28, 32))
    } else if (etherType(bytes) === 0x86dd && bytes[20] === 58 && bytes[54] === 135) {
      const asked = bytes.slice(62, 78)
      out.u16(0x86dd).u32(0x6000_0000).u16(32).u8(58).u8(255).bytes(asked).bytes(bytes.slice(22, 38))
      out.u8(136).u8(0).u16(0).u32(0x6000_0000).bytes(asked).u8(2).u8(1).mac(SAMPLE_MAC_A)
    } else return
    const answer = out.done()
    mendChecksums(answer)
    this.answers.push({ on, bytes: answer })
  }

  private openSockets(): void {
    for (const family of [C.AF_INET, C.AF_INET6]) {
      const any = family === C.AF_INET ? '0.0.0.0' : '::'
      const near = family === C.AF_INET ? '10.9.0.1' : 'fd09::1'
      const listener = this.open(family, C.SOCK_STREAM, 0)
      listener?.setOption(C.SOL_IPV6, C.IPV6_V6ONLY, 1)
      listener?.bind({ address: any, port: 80 })
      listener?.listen(3)
      const udp = this.open(family, C.SOCK_DGRAM, 0)
      udp?.setOption(C.SOL_IPV6, C.IPV6_V6ONLY, 1)
      udp?.setOption(
        family === C.AF_INET ? C.SOL_IP : C.SOL_IPV6,
        family === C.AF_INET ? C.IP_RECVERR : C.IPV6_RECVERR,
        1,
      )
      udp?.setOption(C.SOL_SOCKET, C.SO_BROADCAST, 1)
      udp?.bind({ address: any, port: 53 })
      const connected = this.open(family, C.SOCK_DGRAM, 0)
      connected?.bind({ address: any, port: 5353 })
      connected?.connect({ address: near, port: 53 })
      this.open(family, C.SOCK_RAW, family === C.AF_INET ? C.IPPROTO_ICMP : C.IPPROTO_ICMPV6)
      this.open(family, C.SOCK_RAW, 253)
    }
    this.changeGroup('239.1.2.3', null, true)
    this.changeGroup('ff05::1:3', null, true)
  }

  private open(family: number, type: number, protocol: number): Socket | null {
    if (this.sockets.length >= 40) return null
    const socket = this.host.makeSocket(family, type, protocol, 0)
    if (typeof socket === 'number') return null
    socket.retain()
    socket.nonBlocking = true
    this.sockets.push(socket)
    return socket
  }

  private changeGroup(group: string, source: string | null, join: boolean): void {
    const is6 = group.includes(':')
    const socket = this.sockets.find((other) => other.protocol === C.IPPROTO_UDP && (other.family === 6) === is6)
    if (is6) {
      const name = join ? C.IPV6_JOIN_GROUP : C.IPV6_LEAVE_GROUP
      socket?.setOption(C.SOL_IPV6, name, { ipv6mr_multiaddr: group, ipv6mr_interface: this.interfaces[0]!.index })
    } else if (source === null) {
      const name = join ? C.IP_ADD_MEMBERSHIP : C.IP_DROP_MEMBERSHIP
      socket?.setOption(C.SOL_IP, name, { imr_multiaddr: group, imr_address: '10.9.0.2' })
    } else {
      const name = join ? C.IP_ADD_SOURCE_MEMBERSHIP : C.IP_DROP_SOURCE_MEMBERSHIP
      socket?.setOption(C.SOL_IP, name, { imr_multiaddr: group, imr_interface: '10.9.0.2', imr_sourceaddr: source })
    }
  }

  /** Reads everything that there is to read; accepts, and closes what was accepted or is over. */
  private read(): void {
    const bytes = new Uint8Array(2000)
    for (const socket of [...this.sockets]) {
      socket.poll()
      if (socket.isListening) {
        const accepted = socket.accept()
        if (typeof accepted === 'number') continue
        accepted.retain()
        accepted.send(bytes, 0, 500, C.MSG_DONTWAIT, null)
        if (this.sockets.length < 40) this.sockets.push(accepted)
        else accepted.unref()
        continue
      }
      for (const flags of [C.MSG_ERRQUEUE, C.MSG_PEEK, 0]) {
        for (let left = 100; left > 0; left--) {
          const received = new Received()
          received.control = []
          if (socket.receive(bytes, 0, bytes.length, flags | C.MSG_DONTWAIT, received) < 0 || flags === C.MSG_PEEK)
            break
          if (socket.type === C.SOCK_STREAM) break
        }
      }
    }
  }
}

const etherType = (frame: Uint8Array): number => {
  const at = frame[12] === 0x81 && frame[13] === 0 ? 16 : 12
  return ((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0)
}

class EndPort implements LinkPort {
  readonly features = ETHERNET
  readonly carrier = true
  user: LinkUser | null = null
  readonly taps: FrameTap[] = []
  private readonly onSent: (frame: Frame) => void

  constructor(onSent: (frame: Frame) => void) {
    this.onSent = onSent
  }

  send(frame: Frame): void {
    this.onSent(frame)
  }
}
