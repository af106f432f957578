import { expect } from 'vitest'
import { VirtualClock } from '../../src/core/clock.ts'
import type { Frame } from '../../src/core/frame.ts'
import { SeededRandom } from '../../src/core/random.ts'
import { World } from '../../src/core/world.ts'
import type { Destination } from '../../src/ip/destination.ts'
import type { NetworkInterface } from '../../src/ip/interface.ts'
import { IpStack } from '../../src/ip/stack.ts'
import type { LinkFeatures } from '../../src/link/port.ts'
import { SocketSettings } from '../../src/socket/layer.ts'
import { TcpDemux } from '../../src/socket/tcp-demux.ts'
import { closeConnection, shutdownSend } from '../../src/tcp/close.ts'
import { prepareConnect, sendSyn } from '../../src/tcp/connect.ts'
import { Nagle, TcpConnection, type TcpObserver, TcpOptions } from '../../src/tcp/connection.ts'
import { FastOpenAttempt } from '../../src/tcp/fast-open.ts'
import { TcpListener } from '../../src/tcp/listener.ts'
import { ReadEnd, read, readEnd } from '../../src/tcp/read.ts'
import { TcpSettings } from '../../src/tcp/settings.ts'
import { tcpStateName } from '../../src/tcp/state.ts'
import { TimeWait } from '../../src/tcp/time-wait.ts'
import { WriteFlag, write } from '../../src/tcp/write.ts'
import { IPV4_ANY, IPV6_ANY, type IpAddress, ip } from '../../src/wire/address.ts'
import { checksumOf, sumBytes } from '../../src/wire/checksum.ts'
import { Drop } from '../../src/wire/drop.ts'
import { EtherType } from '../../src/wire/ethernet.ts'
import { IpHeader, IpProtocol } from '../../src/wire/ip.ts'
import { parseIpv4 } from '../../src/wire/ipv4.ts'
import { parseIpv6 } from '../../src/wire/ipv6.ts'
import {
  emitTcp,
  FastOpenForm,
  parseTcp,
  TCP_MIN_HEADER,
  TcpFlag,
  TcpHeader,
  tcpOptionsLength,
} from '../../src/wire/tcp.ts'
import { hex, toHex } from './hex.ts'
import { writeIp } from './ip-writer.ts'
import { flagsOf, flagsText, type SegmentSpec, type SentSegment, TestPort } from './tcp-wire.ts'

/**
 * A TCP with nothing around it: one host whose only link ends in the test, which plays the peer. Sequence numbers are
 * relative to each side's SYN, as packetdrill writes them: a side's SYN is 0, its first byte 1.
 */

export interface BenchOptions {
  ipv6?: boolean
  mtu?: number
  settings?: Partial<TcpSettings>
  seed?: number
  /** Lets the link take records of several segments whole. */
  offload?: boolean
  /** Our initial sequence number, for tests of numbers that go round. */
  isn?: number
}

export interface EstablishedOptions extends BenchOptions {
  /** The peer's MSS option. */
  mss?: number
  /** The peer's window field, in its SYN and later. */
  window?: number
  windowScale?: number
  sack?: boolean
  timestamps?: boolean
  /** Nagle's rule off. */
  nodelay?: boolean
  /** Microseconds between SYN+ACK and its ACK. */
  rtt?: number
  /** The subject connects; by default it is connected to. */
  active?: boolean
  sendBuffer?: number
  receiveBuffer?: number
  options?: Partial<TcpOptions>
}

const LOCAL_PORT = 8080
const PEER_PORT = 50_000
const PEER_ISN = 0x7fff_fff0

export class TcpBench {
  readonly world: World
  readonly clock = new VirtualClock()
  readonly ip: IpStack
  readonly demux: TcpDemux
  readonly settings = new TcpSettings()
  readonly interface: NetworkInterface
  readonly local: IpAddress
  readonly peer: IpAddress
  /** Readiness reported since the last look. */
  events = 0
  urgentSignals = 0
  /** Time stamps: the stage, and the byte's number. */
  readonly stamps: [stage: number, seq: number][] = []
  connection!: TcpConnection
  listener: TcpListener | null = null
  /** Our initial sequence number, once seen in a SYN. */
  isn: number | null = null
  localPort = LOCAL_PORT
  /** The port that the peer sends from. */
  peerPort = PEER_PORT
  /** The time stamp that the peer puts in its segments when timestamps are on; grows with the clock. */
  peerTimestamps = false
  lastTsVal = 0
  readonly ipv6: boolean
  private readonly port: TestPort
  private readonly header = new TcpHeader()
  private readonly ipHeader = new IpHeader()

  constructor(options: BenchOptions = {}) {
    this.world = new World(this.clock, new SeededRandom(options.seed ?? 1))
    this.ipv6 = options.ipv6 ?? false
    Object.assign(this.settings, options.settings)
    const random = this.world.random.fork('host')
    this.ip = new IpStack(this.world, { random, settings: { dad_transmits: 0 } })
    this.demux = new TcpDemux(this.ip, this.settings, new SocketSettings(), random)
    const features: LinkFeatures = {
      medium: 'ip',
      mtu: options.mtu ?? 1500,
      maxSegmentedPacket: options.offload ? 65_535 : 0,
      checksumOffload: false,
      fcs: false,
    }
    this.port = new TestPort(features, this.clock)
    const { isn } = options
    if (isn !== undefined) this.demux.layer.initialSequence = () => isn
    this.interface = this.ip.addInterface('tun0', this.port)
    this.local = ip(this.ipv6 ? 'fd3d:fa7b:d17d::1' : '192.168.0.1')
    this.peer = ip(this.ipv6 ? 'fd3d:fa7b:d17d::2' : '192.168.0.2')
    this.interface.addAddress({ address: this.local, length: this.ipv6 ? 64 : 24 })
    this.run()
    this.port.sent.splice(0).forEach(({ frame }) => {
      this.world.frames.release(frame)
    })
  }

  /** Lets the world do what there is to do now. */
  run(): void {
    this.world.loop.turn()
  }

  /** Moves on to `time`, microseconds, firing what is due on the way. */
  advanceTo(time: number): void {
    for (;;) {
      const next = this.world.loop.timers.nextWake()
      if (next > time) break
      this.clock.advanceTo(next)
      this.run()
    }
    this.clock.advanceTo(time)
    this.run()
  }

  advance(duration: number): void {
    this.advanceTo(this.clock.now() + duration)
  }

  /** Moves on until something is sent, at most `most` timers long. */
  advanceUntilSent(most = 100): void {
    const isTcp = ({ frame }: { frame: Frame }): boolean =>
      this.parseIp(frame) === 0 && this.ipHeader.protocol === IpProtocol.Tcp
    for (let i = 0; i < most && !this.port.sent.some(isTcp); i++) {
      const next = this.world.loop.timers.nextWake()
      if (next !== Number.POSITIVE_INFINITY) this.advanceTo(next)
    }
  }

  listen(backlog = 10, options: Partial<TcpOptions> = {}): TcpListener {
    const inherited = {
      options:
        Object.keys(options).length > 0 ? Object.assign(new TcpOptions(), options) : this.demux.layer.defaultOptions,
      sendBuffer: this.settings.tcp_wmem[1],
      receiveBuffer: this.settings.tcp_rmem[1],
      bufferLocks: 0,
      nagle: 0,
      notesArrivals: false,
      control: this.demux.layer.congestionControls.default,
    }
    const listener = new TcpListener(this.demux.layer, LOCAL_PORT, null, inherited)
    listener.setBacklog(backlog)
    this.demux.listeners.add({
      listener,
      local: this.ipv6 ? IPV6_ANY : IPV4_ANY,
      localPort: LOCAL_PORT,
      family: this.ipv6 ? 6 : 4,
      v6only: false,
      boundInterface: null,
      reusePort: false,
      uid: 0,
    })
    this.listener = listener
    return listener
  }

  connect(configure?: (c: TcpConnection) => void): void {
    const c = new TcpConnection(this.demux.layer, this.local, LOCAL_PORT, this.peer, PEER_PORT)
    this.hold(c)
    configure?.(c)
    this.demux.table.insert(c)
    prepareConnect(c, this.ip.resolve(this.peer, this.local) as Destination)
    sendSyn(c)
  }

  /** Opens fast, with `data` for the SYN. @returns how many bytes of it the SYN took */
  connectFast(data: string | number): number {
    this.localPort++
    this.isn = null
    const c = new TcpConnection(this.demux.layer, this.local, this.localPort, this.peer, PEER_PORT)
    this.hold(c)
    this.demux.table.insert(c)
    prepareConnect(c, this.ip.resolve(this.peer, this.local) as Destination, 0)
    const attempt = new FastOpenAttempt()
    c.fastOpen = attempt
    const mayCarry = attempt.prepare(this.demux.layer.fastOpen, this.peer, c.options.fastOpenNoCookie)
    const bytes = typeof data === 'number' ? new Uint8Array(data).fill(0x78) : new TextEncoder().encode(data)
    const taken = sendSyn(c, mayCarry ? bytes : null, 0, bytes.length)
    this.run()
    return taken
  }

  /** Takes `c` as the connection under test. */
  hold(c: TcpConnection): void {
    this.connection = c
    const observer: TcpObserver = {
      ready: (events) => {
        this.events |= events
      },
      urgent: () => {
        this.urgentSignals++
      },
      stamped: (stage, seq) => {
        this.stamps.push([stage, (seq - (this.isn ?? 0)) | 0])
      },
      acknowledged: () => {},
      icmpError: () => {},
    }
    c.observer = observer
  }

  accept(): TcpConnection {
    const c = this.listener?.accept()
    if (c === undefined) throw new Error('nothing to accept')
    this.hold(c)
    return c
  }

  send(data: string | number, options: { more?: boolean; urgent?: boolean; eor?: boolean } = {}): number {
    const bytes = typeof data === 'number' ? new Uint8Array(data).fill(0x78) : new TextEncoder().encode(data)
    const flags =
      (options.more ? WriteFlag.More : 0) |
      (options.urgent ? WriteFlag.Urgent : 0) |
      (options.eor ? WriteFlag.EndOfRecord : 0)
    const taken = write(this.connection, bytes, 0, bytes.length, flags)
    this.run()
    return taken
  }

  /** Reads up to `length` bytes. */
  read(length = 1_000_000): string {
    const into = new Uint8Array(Math.min(length, this.connection.receiveQueueBytes))
    const count = read(this.connection, into, 0, into.length, false)
    this.run()
    return new TextDecoder().decode(into.subarray(0, count))
  }

  /** What a read means that finds nothing: 'wait', 'eof', or the error's number. */
  get end(): 'wait' | 'eof' | number {
    const end = readEnd(this.connection)
    return end === ReadEnd.Wait ? 'wait' : end === ReadEnd.Eof ? 'eof' : end
  }

  shutdown(): void {
    shutdownSend(this.connection)
    this.run()
  }

  close(abortive = false): void {
    closeConnection(this.connection, abortive)
    this.run()
  }

  get state(): string {
    return tcpStateName(this.connection.state)
  }

  /** The state of whatever the pair of endpoints leads to; CLOSE when it leads to nothing. */
  get shownState(): string {
    for (const entry of this.demux.table.entries()) {
      if (entry instanceof TcpConnection || entry instanceof TimeWait) return tcpStateName(entry.state)
      return 'SYN_RECV'
    }
    return 'CLOSE'
  }

  /** A counter of the host: `'tcpExt.TCPTimeouts'`. */
  count(name: string): number {
    const [group, counter] = name.split('.') as [string, string]
    return (this.ip.mib as unknown as Record<string, Record<string, number>>)[group]![counter]!
  }

  /** How often something was dropped for a reason of `Drop`. */
  dropped(reason: keyof typeof Drop): number {
    return this.ip.mib.drops[Drop[reason]]!
  }

  /** A segment of the peer arrives, now or `at` a time given. */
  receive(spec: SegmentSpec, when: { at?: number } = {}): void {
    if (when.at !== undefined) this.advanceTo(when.at)
    this.deliver(this.build(spec))
  }

  /** A frame of the world arrives over the link. */
  deliver(frame: Frame): void {
    this.port.user!.receive(frame)
    this.run()
  }

  /** An ICMP error arrives about a segment of ours that begins at `seq`; type and code are ICMP's or ICMPv6's. */
  icmp(error: { type: number; code: number; mtu?: number; seq: number }): void {
    const { memory } = this.world
    const inner = this.ipv6 ? 40 : 20
    const length = 8 + inner + 8
    const frame = this.world.frames.allocate(length)!
    const start = frame.transport
    frame.end = start + length
    memory.u8.fill(0, start, frame.end)
    memory.u8[start] = error.type
    memory.u8[start + 1] = error.code
    if (this.ipv6) memory.view.setUint32(start + 4, error.mtu ?? 0)
    else memory.view.setUint16(start + 6, error.mtu ?? 0)
    const quoted = start + 8 + inner
    memory.view.setUint16(quoted, this.localPort)
    memory.view.setUint16(quoted + 2, this.peerPort)
    memory.view.setInt32(quoted + 4, ((this.isn ?? 0) + error.seq) | 0)
    this.writeIp(quoted, 8, this.local, this.peer, IpProtocol.Tcp)
    const protocol = this.ipv6 ? 58 : 1
    const sum = sumBytes(memory, start, frame.end)
    frame.start = this.writeIp(start, length, this.peer, this.local, protocol)
    memory.view.setUint16(start + 2, checksumOf(this.ipv6 ? sum + this.ipHeader.pseudoSum(protocol, length) : sum))
    frame.network = frame.start
    frame.etherType = this.ipv6 ? EtherType.Ipv6 : EtherType.Ipv4
    this.deliver(frame)
  }

  /** Writes an IP header in front of `start`. @returns where it begins */
  private writeIp(start: number, length: number, from: IpAddress, to: IpAddress, protocol: number, ecn = 0): number {
    const { ipv6 } = this
    return writeIp(this.ipHeader, this.world.memory, start, { ipv6, from, to, protocol, trafficClass: ecn, length })
  }

  /** Builds the peer's segment, as a frame of the world. */
  build(spec: SegmentSpec): Frame {
    const h = this.header
    h.clearOptions()
    h.sourcePort = this.peerPort
    h.destinationPort = this.localPort
    h.flags = flagsOf(spec.flags)
    h.seq = (PEER_ISN + (spec.seq ?? 0)) | 0
    h.ack = spec.ack === undefined ? 0 : ((this.isn ?? 0) + spec.ack) | 0
    h.window = spec.window ?? 65_535
    h.urgent = spec.urgent ?? 0
    h.checksum = 0
    h.mss = spec.mss ?? 0
    h.windowScale = spec.windowScale ?? -1
    h.sackPermitted = spec.sackPermitted ?? false
    if (spec.timestamps !== undefined || this.peerTimestamps) {
      h.hasTimestamps = true
      h.timestamp = spec.timestamps?.value ?? Math.floor(this.clock.now() / 1000) + 1000
      h.timestampEcho = spec.timestamps?.echo ?? this.lastTsVal
    }
    for (const [i, [left, right]] of (spec.sack ?? []).entries()) {
      h.sack[i * 2] = ((this.isn ?? 0) + left) | 0
      h.sack[i * 2 + 1] = ((this.isn ?? 0) + right) | 0
      h.sackCount = i + 1
    }
    let cookie: Uint8Array | null = null
    if (spec.fastOpen !== undefined) {
      h.fastOpen = spec.fastOpen.startsWith('~') ? FastOpenForm.Experimental : FastOpenForm.Standard
      cookie = hex(spec.fastOpen.replace('~', ''))
    }
    const data =
      typeof spec.payload === 'number'
        ? new Uint8Array(spec.payload).fill(0x2e)
        : new TextEncoder().encode(spec.payload ?? '')
    const headerLength = TCP_MIN_HEADER + tcpOptionsLength(h, cookie)
    const frame = this.world.frames.allocate(headerLength + data.length)!
    const { memory } = this.world
    const start = frame.transport
    frame.end = start + headerLength + data.length
    emitTcp(h, memory, start, cookie)
    memory.u8.set(data, start + headerLength)
    frame.start = this.writeIp(start, frame.end - start, this.peer, this.local, IpProtocol.Tcp, spec.ecn)
    const sum = this.ipHeader.pseudoSum(IpProtocol.Tcp, frame.end - start) + sumBytes(memory, start, frame.end)
    memory.view.setUint16(start + 16, checksumOf(sum) ^ (spec.badChecksum ? 1 : 0))
    frame.network = frame.start
    frame.etherType = this.ipv6 ? EtherType.Ipv6 : EtherType.Ipv4
    return frame
  }

  /** Takes what was sent since the last look. */
  sent(): SentSegment[] {
    const segments: SentSegment[] = []
    for (const { frame, at } of this.port.sent.splice(0)) {
      // Router solicitations and such are not TCP's.
      if (this.parseIp(frame) === 0 && this.ipHeader.protocol === IpProtocol.Tcp) segments.push(this.decode(frame, at))
      this.world.frames.release(frame)
    }
    return segments
  }

  private parseIp(frame: Frame): number {
    const { memory } = this.world
    return memory.u8[frame.start]! >>> 4 === 6
      ? parseIpv6(this.ipHeader, memory, frame.start, frame.end)
      : parseIpv4(this.ipHeader, memory, frame.start, frame.end)
  }

  private decode(frame: Frame, at: number): SentSegment {
    const { memory } = this.world
    const h = this.ipHeader
    expect(this.parseIp(frame), 'the IP header is well formed').toBe(0)
    const t = new TcpHeader()
    expect(parseTcp(t, memory, h.payloadStart, h.payloadEnd)).toBe(0)
    const sum =
      h.pseudoSum(IpProtocol.Tcp, h.payloadEnd - h.payloadStart) + sumBytes(memory, h.payloadStart, h.payloadEnd)
    expect(checksumOf(sum), 'the checksum is right').toBe(0)
    if ((t.flags & TcpFlag.Syn) !== 0) this.isn = t.seq
    if (t.hasTimestamps) this.lastTsVal = t.timestamp
    const isn = this.isn ?? 0
    const data = memory.u8.slice(h.payloadStart + t.headerLength, h.payloadEnd)
    const relative = (seq: number): number => (seq - PEER_ISN) | 0
    const sack: [number, number][] = []
    for (let i = 0; i < t.sackCount; i++) sack.push([relative(t.sack[i * 2]!), relative(t.sack[i * 2 + 1]!)])
    const segment: SentSegment = {
      flags: flagsText(t.flags),
      seq: (t.seq - isn) | 0,
      ack: (t.flags & TcpFlag.Ack) !== 0 ? relative(t.ack) : 0,
      window: t.window,
      payload: new TextDecoder().decode(data),
      length: data.length,
      urgent: t.urgent,
      mss: t.mss,
      windowScale: t.windowScale,
      sackPermitted: t.sackPermitted,
      sack,
      ecn: h.trafficClass & 3,
      at,
    }
    if (t.hasTimestamps) segment.timestamps = { value: t.timestamp, echo: t.timestampEcho }
    if (t.fastOpen !== FastOpenForm.None) {
      const cookie = toHex(memory.u8.slice(t.fastOpenAt, t.fastOpenAt + t.fastOpenLength))
      segment.fastOpen = (t.fastOpen === FastOpenForm.Experimental ? '~' : '') + cookie
    }
    return segment
  }

  /** Exactly this was sent since the last look: for each segment the fields named here. */
  expectSent(...expected: (Partial<Omit<SentSegment, 'payload'>> & { payload?: string | number })[]): SentSegment[] {
    const sent = this.sent()
    const seen = sent.map((segment, i) => {
      const wanted = expected[i]
      if (wanted === undefined)
        return { flags: segment.flags, seq: segment.seq, ack: segment.ack, length: segment.length }
      const picked: Record<string, unknown> = {}
      for (const key of Object.keys(wanted)) {
        const value = segment[key as keyof SentSegment]
        picked[key] = key === 'payload' && typeof wanted.payload === 'number' ? segment.length : value
      }
      return picked
    })
    expect(seen).toEqual(expected)
    return sent
  }

  expectNothing(): void {
    this.expectSent()
  }

  /** Everything is given back: no record, timer, queue or frame is left over. */
  expectNothingLeft(): void {
    expect(this.demux.table.size, 'pairs of endpoints').toBe(0)
    expect(this.demux.layer.records.inUse, 'send records').toBe(0)
    expect(this.demux.layer.queuedBytes, 'queued bytes').toBe(0)
    expect(this.demux.layer.orphans, 'orphans').toBe(0)
    this.sent()
    this.ip.close()
    expect(this.world.frames.inUse, 'frames').toBe(0)
    expect(this.world.loop.timers.size, 'timers').toBe(0)
  }
}

/** A connection in ESTABLISHED, with both sides at sequence number 1 and nothing in flight. */
export const established = (options: EstablishedOptions = {}): TcpBench => {
  const bench = new TcpBench(options)
  const synOptions: Partial<SegmentSpec> = {
    mss: options.mss ?? (options.ipv6 ? 1440 : 1460),
    sackPermitted: options.sack ?? false,
    window: options.window ?? 65_535,
  }
  if (options.windowScale !== undefined) synOptions.windowScale = options.windowScale
  if (options.timestamps) {
    bench.peerTimestamps = true
    synOptions.timestamps = { echo: 0 }
  }
  const configure = (c: TcpConnection): void => {
    if (options.nodelay) c.nagle |= Nagle.Off
    if (options.sendBuffer !== undefined) {
      c.sendBuffer = options.sendBuffer
      c.bufferLocks |= 1
    }
    if (options.receiveBuffer !== undefined) {
      c.receiveBuffer = options.receiveBuffer
      c.bufferLocks |= 2
    }
    if (options.options !== undefined) Object.assign(c.ownOptions(), options.options)
  }
  if (options.active) {
    bench.connect(configure)
    bench.run()
    bench.expectSent({ flags: 'S', seq: 0 })
    bench.advance(options.rtt ?? 0)
    const { timestamps: _, ...rest } = synOptions
    bench.receive({ flags: 'SA', seq: 0, ack: 1, ...rest })
    bench.sent()
  } else {
    const listener = bench.listen(10, options.options)
    if (options.receiveBuffer !== undefined) {
      listener.inherited.receiveBuffer = options.receiveBuffer
      listener.inherited.bufferLocks |= 2
    }
    bench.receive({ flags: 'S', seq: 0, ...synOptions })
    bench.expectSent({ flags: 'SA', seq: 0, ack: 1 })
    bench.advance(options.rtt ?? 0)
    bench.receive({ flags: 'A', seq: 1, ack: 1, window: options.window ?? 65_535 })
    bench.accept()
    configure(bench.connection)
    bench.expectNothing()
  }
  bench.events = 0
  return bench
}

export type BenchState =
  | 'LISTEN'
  | 'SYN_SENT'
  | 'SYN_RECV'
  | 'ESTABLISHED'
  | 'FIN_WAIT1'
  | 'FIN_WAIT2'
  | 'CLOSE_WAIT'
  | 'CLOSING'
  | 'LAST_ACK'
  | 'TIME_WAIT'

/**
 * A connection in any state, both of whose sides have sent no data: each side's next number is 1, or 2 behind its FIN.
 * SYN_RECV is that of crossed SYNs, which has a connection of its own.
 */
export const inState = (state: BenchState, options: EstablishedOptions = {}): TcpBench => {
  if (state === 'LISTEN' || state === 'SYN_SENT' || state === 'SYN_RECV') {
    const s = new TcpBench(options)
    if (state === 'LISTEN') {
      s.listen()
      return s
    }
    s.connect()
    s.sent()
    if (state === 'SYN_RECV') {
      s.receive({ flags: 'S', seq: 0, mss: options.mss ?? 1460 })
      s.expectSent({ flags: 'SA', seq: 0, ack: 1 })
    }
    return s
  }
  const s = established(options)
  const finish = (): void => {
    s.shutdown()
    s.expectSent({ flags: 'FA', seq: 1 })
  }
  const peerFinishes = (ack: number): void => {
    s.receive({ flags: 'FA', seq: 1, ack })
    s.expectSent({ flags: 'A', ack: 2 })
  }
  if (state === 'ESTABLISHED') return s
  if (state === 'CLOSE_WAIT' || state === 'LAST_ACK') {
    peerFinishes(1)
    if (state === 'LAST_ACK') finish()
    return s
  }
  finish()
  if (state === 'FIN_WAIT1') return s
  if (state === 'CLOSING') {
    peerFinishes(1)
    return s
  }
  s.receive({ flags: 'A', seq: 1, ack: 2 })
  if (state === 'TIME_WAIT') peerFinishes(2)
  return s
}
