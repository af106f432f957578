import { type Micros, VirtualClock } from '../core/clock.ts'
import type { Frame } from '../core/frame.ts'
import { SeededRandom } from '../core/random.ts'
import { World } from '../core/world.ts'
import { ip } from '../wire/address.ts'
import { EtherType } from '../wire/ethernet.ts'
import { IpHeader, IpProtocol } from '../wire/ip.ts'
import { emitIpv4 } from '../wire/ipv4.ts'
import { emitIpv6 } from '../wire/ipv6.ts'
import { emitTcp, TcpHeader } from '../wire/tcp.ts'
import { Cable, type CableOptions } from './cable.ts'
import type { ImpairmentOptions } from './impairment.ts'
import type { LinkUser } from './port.ts'

/** What the tests of this layer share: a world in virtual time, a user that writes down what it gets, and frames. */
export class TestWorld extends World {
  readonly virtual: VirtualClock

  constructor(seed = 1, memoryLimit?: number) {
    const clock = new VirtualClock()
    super(clock, new SeededRandom(seed), memoryLimit)
    this.virtual = clock
  }

  /** Does everything that happens up to `time`, each thing at its own time. */
  runUntil(time: Micros): void {
    this.loop.turn()
    for (let wake = this.loop.timers.nextWake(); wake <= time; wake = this.loop.timers.nextWake()) {
      this.virtual.advanceTo(wake)
      this.loop.turn()
    }
    this.virtual.advanceTo(time)
    this.loop.turn()
  }

  /** Does everything that is still to happen. */
  runOut(): void {
    this.loop.turn()
    while (this.loop.timers.size > 0) {
      this.virtual.advanceTo(this.loop.timers.nextWake())
      this.loop.turn()
    }
  }

  /** A frame of these bytes; its marks point to its first byte. */
  frame(bytes: ArrayLike<number>): Frame {
    const frame = this.frames.allocate(Math.max(bytes.length, 64))!
    this.memory.u8.set(bytes, frame.start)
    frame.end = frame.start + bytes.length
    return frame
  }

  /** An Ethernet frame of `length` bytes in all, with a number in its last four. */
  numbered(number: number, length = 64): Frame {
    const bytes = new Uint8Array(length)
    bytes.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x90, 0])
    new DataView(bytes.buffer).setUint32(length - 4, number)
    return this.frame(bytes)
  }

  bytesOf(frame: Frame): Uint8Array {
    return this.memory.u8.slice(frame.start, frame.end)
  }
}

/** One frame that arrived. */
export interface Arrival {
  /** World time at which it did. */
  readonly time: Micros
  /** What the frame says of it. */
  readonly frameTime: Micros
  readonly bytes: Uint8Array
  readonly checksum: number
  readonly segmentSize: number
}

/** Writes down what arrives, and gives the frames back. */
export class Recorder implements LinkUser {
  readonly arrivals: Arrival[] = []
  readonly carrier: boolean[] = []
  private readonly world: TestWorld

  constructor(world: TestWorld) {
    this.world = world
  }

  receive(frame: Frame): void {
    const { checksum, segmentSize, time: frameTime } = frame
    const bytes = this.world.bytesOf(frame)
    this.arrivals.push({ time: this.world.loop.now, frameTime, bytes, checksum, segmentSize })
    this.world.frames.release(frame)
  }

  carrierChanged(up: boolean): void {
    this.carrier.push(up)
  }

  get times(): Micros[] {
    return this.arrivals.map(({ time }) => time)
  }

  /** The numbers in the last four bytes of the frames, in the order of arrival. */
  get numbers(): number[] {
    return this.arrivals.map(({ bytes }) => new DataView(bytes.buffer).getUint32(bytes.length - 4))
  }
}

/** A world with one cable; what is sent at `a` is written down at `b`. */
export const cableTest = (options: CableOptions = {}, seed = 1) => {
  const world = new TestWorld(seed)
  const cable = new Cable(world, 'test', options)
  const received = new Recorder(world)
  /** What came back to `a`. */
  const back = new Recorder(world)
  cable.a.user = back
  cable.b.user = received
  return { world, cable, received, back, channel: cable.aToB, statistics: cable.aToB.statistics }
}

export type CableTest = ReturnType<typeof cableTest>

export const impaired = (impairment: ImpairmentOptions, seed = 1): CableTest => cableTest({ impairment }, seed)

/** Sends frames numbered from 0, `length` bytes each, all now. */
export const sendNumbered = ({ world, cable }: CableTest, count: number, length = 64): void => {
  for (let i = 0; i < count; i++) cable.a.send(world.numbered(i, length))
}

/** 0 to `count` - 1. */
export const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

export interface TcpFrameOptions {
  readonly version?: 4 | 6
  readonly medium?: 'ethernet' | 'ip'
  readonly vlan?: boolean
  readonly payload?: number
  readonly flags?: number
  readonly seq?: number
  readonly timestamps?: boolean
  readonly identification?: number
  readonly segmentSize?: number
  /** One of `FrameChecksum`; the field is left zero. */
  readonly checksum?: number
}

/** A TCP segment with its headers and marks, as a host hands it to a link; the payload counts up. */
export const tcpFrame = (world: TestWorld, options: TcpFrameOptions = {}): Frame => {
  const { version = 4, medium = 'ethernet', vlan = false, payload = 0, flags = 0x10, seq = 1000 } = options
  const tcp = new TcpHeader()
  tcp.sourcePort = 0x1234
  tcp.destinationPort = 80
  tcp.seq = seq | 0
  tcp.ack = 0x7654_3210
  tcp.flags = flags
  tcp.window = 0xabcd
  tcp.hasTimestamps = options.timestamps ?? false
  tcp.timestamp = 0x0102_0304
  const header = new IpHeader()
  header.version = version
  header.protocol = IpProtocol.Tcp
  header.dontFragment = true
  header.identification = options.identification ?? 0xfffe
  header.source = ip(version === 4 ? '10.0.0.1' : '2001:db8::1')
  header.destination = ip(version === 4 ? '10.0.0.2' : '2001:db8::2')

  const frame = world.frames.allocate(60 + payload)!
  const memory = world.memory
  const tcpLength = emitTcp(tcp, memory, frame.transport)
  const data = frame.transport + tcpLength
  for (let i = 0; i < payload; i++) memory.u8[data + i] = (i * 7 + (i >>> 8)) & 0xff
  frame.end = data + payload
  frame.network = frame.transport - (version === 4 ? 20 : 40)
  if (version === 4) emitIpv4(header, memory, frame.network, tcpLength + payload)
  else emitIpv6(header, memory, frame.network, tcpLength + payload)
  frame.etherType = version === 4 ? EtherType.Ipv4 : EtherType.Ipv6
  frame.start = frame.network
  if (medium === 'ethernet') {
    const link = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]
    if (vlan) link.push(0x81, 0, 0, 7)
    link.push(frame.etherType >>> 8, frame.etherType & 0xff)
    frame.start -= link.length
    memory.u8.set(link, frame.start)
  }
  frame.segmentSize = options.segmentSize ?? 0
  frame.checksum = options.checksum ?? 0
  return frame
}
