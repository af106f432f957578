import type { Frame } from '../../src/core/frame.ts'
import { FrameChecksum } from '../../src/core/frame.ts'
import * as C from '../../src/socket/constants.ts'
import { Received } from '../../src/socket/socket.ts'
import { TcpSocket } from '../../src/socket/tcp.ts'
import { TcpConnection } from '../../src/tcp/connection.ts'
import { md5Digest } from '../../src/tcp/md5.ts'
import { Request } from '../../src/tcp/request.ts'
import { tcpStateName } from '../../src/tcp/state.ts'
import { TimeWait } from '../../src/tcp/time-wait.ts'
import { IpProtocol } from '../../src/wire/ip.ts'
import { emitTcp, FastOpenForm, TCP_MIN_HEADER, TcpFlag, TcpHeader, tcpOptionsLength } from '../../src/wire/tcp.ts'
import { checkHost, checkNothingLeft } from '../support/invariants.ts'
import { type Coverage, DropWatch, reachCounters } from './coverage.ts'
import { PLAIN, type SegmentFields, type TcpStep } from './segments.ts'
import type { SegmentSetup } from './tcp-setup.ts'
import { type Known, LOCAL_PORT, PEER_PORT, receivedByte, sentByte, TcpWorld } from './tcp-world.ts'

const PEER_ISN = 0x7fff_f000
const SECOND = 1_000_000
const MD5_KEY = new TextEncoder().encode('a key')
const WRONG_KEY = new TextEncoder().encode('another')
/** Sockets of the application at once. */
const MOST_SOCKETS = 5

/** The numbers that a segment is aimed by. */
interface Aim {
  readonly rcvNxt: number
  readonly irs: number
  readonly edge: number
  readonly hole: number
  readonly una: number
  readonly nxt: number
  readonly written: number
  readonly iss: number
}

/** One case of segments: the host, its sockets, and the peer. */
export class SegmentPlay {
  private readonly world: TcpWorld
  private readonly setup: SegmentSetup
  private readonly seen: Coverage
  private readonly drops: DropWatch
  private readonly header = new TcpHeader()
  private listener: TcpSocket | null = null
  private readonly sockets: TcpSocket[] = []

  constructor(setup: SegmentSetup, seen: Coverage) {
    this.setup = setup
    this.seen = seen
    this.world = new TcpWorld(setup)
    this.drops = new DropWatch(this.world.host.ip.mib)
    this.start()
  }

  take(input: TcpStep): void {
    const before = this.state
    this.act(input)
    this.world.turn()
    const after = this.state
    if (before !== after) this.seen.reach(`${before} to ${after}`)
    this.drops.look(this.seen, `${before} `)
    if (input.op === 'segment' && this.target(0) instanceof TcpConnection)
      this.seen.reach(`${before} ${(input.flags ?? PLAIN.flags) & 63}`)
    checkHost(this.world.host)
  }

  /** Everything is closed, and runs out by itself or is given up. */
  end(): void {
    const { world, setup } = this
    reachCounters(world.host.ip.mib, this.seen)
    world.port.isFull = false
    for (const socket of this.sockets.splice(0)) socket.unref()
    this.listener?.unref()
    this.listener = null
    world.turn()
    if (!setup.abrupt) {
      checkHost(world.host)
      world.advance(5000 * SECOND)
      checkNothingLeft(world.host)
    }
    world.host.close()
    world.turn()
    const { frames, memory, loop } = world.world
    if (frames.inUse !== 0) throw new Error(`${frames.inUse} frames are left`)
    if (loop.timers.size !== 0) throw new Error(`${loop.timers.size} timers are left`)
    if (setup.abrupt) return
    if (memory.used !== frames.bytes) throw new Error(`${memory.used - frames.bytes} bytes of memory are left`)
  }

  /** Goes to the state in which the case begins, as far as the settings let it. */
  private start(): void {
    const { start, active } = this.setup
    if (start === 'CLOSED') return
    const passive =
      start === 'LISTEN' || start === 'SYN_RECV' || (!active && start !== 'SYN_SENT' && start !== 'SYN_RECV crossed')
    if (passive) {
      this.listen(5)
      if (start === 'LISTEN') return
      this.play({ flags: TcpFlag.Syn })
      if (start === 'SYN_RECV') return
      this.world.advance(5000)
      this.play({ flags: TcpFlag.Ack })
      this.take({ op: 'accept' })
    } else {
      this.connect(0, 0)
      this.world.turn()
      if (start === 'SYN_SENT') return
      if (start === 'SYN_RECV crossed') {
        this.play({ flags: TcpFlag.Syn })
        return
      }
      this.world.advance(5000)
      this.play({ flags: TcpFlag.Syn | TcpFlag.Ack })
    }
    const finish = (): void => this.act({ op: 'shutdown', on: 0, how: C.SHUT_WR })
    const peerFinishes = (acknowledges: boolean): void =>
      this.play({ flags: TcpFlag.Ack | TcpFlag.Fin, ackFrom: acknowledges ? 'nxt' : 'una' })
    if (start === 'CLOSE_WAIT' || start === 'LAST_ACK') {
      peerFinishes(true)
      if (start === 'LAST_ACK') finish()
    } else if (start !== 'ESTABLISHED') {
      finish()
      if (start === 'CLOSING') peerFinishes(false)
      else if (start !== 'FIN_WAIT1') {
        this.play({ flags: TcpFlag.Ack })
        if (start === 'TIME_WAIT') peerFinishes(true)
      }
    }
  }

  /** A segment that is right, but for what is said of it. */
  private play(given: Partial<SegmentFields>): void {
    const { setup } = this
    const md5 = setup.md5 ? 'right' : 'none'
    const syn = { mss: setup.mss, windowScale: setup.windowScale, sackPermitted: setup.sack }
    const isSyn = ((given.flags ?? 0) & TcpFlag.Syn) !== 0
    this.segment({ ...PLAIN, window: setup.window, md5, ...(isSyn ? syn : {}), ...given })
    this.world.turn()
  }

  private get state(): string {
    const entry = this.target(0)
    if (entry === null) return this.listener === null ? 'CLOSED' : 'LISTEN'
    if (entry instanceof Request) return 'SYN_RECV request'
    if (entry instanceof TimeWait) return `${tcpStateName(entry.state)} rest`
    return tcpStateName((entry as TcpConnection).state) + ((entry as TcpConnection).handshake === null ? '' : ' fast')
  }

  private target(port: number): TcpConnection | Request | TimeWait | null {
    return this.world.entry(PEER_PORT + port) as TcpConnection | Request | TimeWait | null
  }

  private act(input: TcpStep): void {
    switch (input.op) {
      case 'segment':
        this.segment({ ...PLAIN, ...input })
        break
      case 'icmp':
        this.icmp(input)
        break
      case 'wait':
        this.world.advance(input.time, 300)
        break
      case 'timers':
        for (let i = 0; i < input.count; i++) this.world.advanceToTimer()
        break
      case 'accept':
        this.accept()
        break
      case 'listen':
        this.listen(input.backlog)
        break
      case 'full':
        this.world.port.isFull = input.full
        break
      default:
        this.onSocket(input)
    }
  }

  private onSocket(input: Extract<TcpStep, { readonly on: number }>): void {
    if (input.op === 'connect') {
      this.connect(input.on, input.port)
      return
    }
    const socket = this.sockets[input.on % Math.max(1, this.sockets.length)]
    if (socket === undefined) return
    switch (input.op) {
      case 'send':
        this.send(socket, input.length, input.flags)
        break
      case 'receive':
        this.receive(socket, input.length, input.flags)
        break
      case 'shutdown':
        socket.shutdown(input.how)
        break
      case 'option':
        socket.setOption(input.level, input.name, input.value)
        socket.getOption(input.level, input.name)
        socket.getOption(C.SOL_TCP, C.TCP_INFO)
        break
      case 'close':
        if (input.linger) socket.setOption(C.SOL_SOCKET, C.SO_LINGER, { l_onoff: 1, l_linger: 0 })
        this.sockets.splice(this.sockets.indexOf(socket), 1)
        socket.unref()
        break
    }
    socket.poll()
  }

  private makeSocket(): TcpSocket {
    const { host, ipv6 } = this.world
    const socket = host.makeSocket(ipv6 ? C.AF_INET6 : C.AF_INET, C.SOCK_STREAM, 0, 0)
    if (!(socket instanceof TcpSocket)) throw new Error('there is no socket')
    socket.retain()
    socket.nonBlocking = true
    socket.setOption(C.SOL_SOCKET, C.SO_REUSEADDR, 1)
    for (const [level, name, value] of this.setup.options) socket.setOption(level, name, value)
    if (this.setup.md5)
      socket.setOption(C.SOL_TCP, C.TCP_MD5SIG, {
        tcpm_addr: { address: this.world.peer.toString() },
        tcpm_key: MD5_KEY,
      })
    return socket
  }

  private listen(backlog: number): void {
    if (this.listener === null) {
      const socket = this.makeSocket()
      if (socket.bind({ address: this.world.ipv6 ? '::' : '0.0.0.0', port: LOCAL_PORT }) !== 0) {
        socket.unref()
        return
      }
      this.listener = socket
    }
    this.listener.listen(backlog)
    if (this.listener.isListening) return
    this.listener.unref()
    this.listener = null
  }

  private accept(): void {
    if (this.listener === null || this.sockets.length >= MOST_SOCKETS) return
    const socket = this.listener.accept()
    if (typeof socket === 'number') return
    socket.retain()
    socket.nonBlocking = true
    this.sockets.unshift(socket)
  }

  /** Connects a new socket from the port that the peer knows, or one that was used. */
  private connect(on: number, port: number): void {
    const peer = { address: this.world.peer.toString(), port: PEER_PORT + port }
    const used = on === 0 ? undefined : this.sockets[on % Math.max(1, this.sockets.length)]
    if (used !== undefined) {
      used.connect(peer)
      return
    }
    if (this.sockets.length >= MOST_SOCKETS) return
    const socket = this.makeSocket()
    if (socket.bind({ address: this.world.local.toString(), port: LOCAL_PORT }) !== 0) {
      socket.unref()
      return
    }
    socket.connect(peer)
    this.sockets.unshift(socket)
  }

  /** Writes bytes of which each tells its place in the stream. */
  private send(socket: TcpSocket, length: number, flags: number): void {
    const { c } = socket
    const opens = socket.opensBySending(flags)
    const first =
      opens || c.isOpening ? 1 + Math.max(0, (c.snd.writeSeq - c.snd.iss - 1) | 0) : (c.snd.writeSeq - c.snd.iss) | 0
    const bytes = new Uint8Array(length)
    for (let i = 0; i < length; i++) bytes[i] = sentByte(first + i)
    if (opens) {
      for (let i = 0; i < length; i++) bytes[i] = sentByte(1 + i)
      socket.openBySending(bytes, 0, length, flags, { address: this.world.peer.toString(), port: PEER_PORT })
    } else socket.send(bytes, 0, length, flags, null)
  }

  /** Reads, and looks whether each byte has the value that its place in the stream demands. */
  private receive(socket: TcpSocket, length: number, flags: number): void {
    const { c } = socket
    const bytes = new Uint8Array(length)
    const from = (c.rcv.copied - c.rcv.irs) | 0
    const received = new Received()
    received.control = []
    const count = socket.receive(bytes, 0, length, flags, received)
    if (count <= 0 || (flags & (C.MSG_TRUNC | C.MSG_ERRQUEUE | C.MSG_OOB)) !== 0) return
    if (count > length) throw new Error(`${count} bytes were read into ${length}`)
    // The urgent byte is no part of what is read, unless it is wanted among the rest.
    const isRight = (first: number): boolean => {
      for (let i = 0; i < count; i++) if (bytes[i] !== receivedByte(first + i)) return false
      return true
    }
    if (!isRight(from) && !isRight(from + 1))
      throw new Error(`${count} bytes were read at ${from}, and are not those that were sent`)
  }

  private aim(port: number, known: Known): Aim {
    const entry = this.target(port)
    if (entry instanceof TcpConnection || entry instanceof Request) {
      const c = entry instanceof Request ? entry.connection : entry
      const { snd, rcv, reassembly } = c
      const hole = reassembly !== null && reassembly.count > 0 ? reassembly.endAt(reassembly.count - 1) : rcv.nxt
      const fresh = rcv.irs === 0 && rcv.nxt === 0
      const rcvNxt = fresh ? PEER_ISN : rcv.nxt
      return {
        rcvNxt,
        irs: fresh ? PEER_ISN : rcv.irs,
        edge: (rcvNxt + rcv.wnd) | 0,
        hole,
        una: snd.una,
        nxt: snd.nxt,
        written: snd.writeSeq,
        iss: snd.iss,
      }
    }
    const rcvNxt = entry === null ? known.seq || PEER_ISN : entry['rcvNxt']
    const sndNxt = entry === null ? known.ack : entry['sndNxt']
    return {
      rcvNxt,
      irs: rcvNxt,
      edge: (rcvNxt + 1000) | 0,
      hole: rcvNxt,
      una: sndNxt,
      nxt: sndNxt,
      written: sndNxt,
      iss: sndNxt,
    }
  }

  /** Where record `index` of those in flight begins. */
  private recordSeq(port: number, index: number, aim: Aim): number {
    const entry = this.target(port)
    if (!(entry instanceof TcpConnection) || entry.queue === null || entry.queue.sentCount === 0) return aim.una
    const { queue } = entry
    const at = ((index % (queue.sentCount + 1)) + queue.sentCount + 1) % (queue.sentCount + 1)
    return at === queue.sentCount ? aim.nxt : queue.at(at).seq
  }

  private segment(input: SegmentFields): void {
    const { world } = this.world
    const known = this.world.knownOf(PEER_PORT + input.port)
    const aim = this.aim(input.port, known)
    const frame = this.build(input, aim, known)
    if (frame === null) return
    if (input.merged > 0 && input.length > input.merged && input.damage === 0) {
      frame.segmentSize = input.merged
      frame.checksum = FrameChecksum.Good
    }
    world.loop.refresh()
    this.world.deliver(frame)
  }

  private build(input: SegmentFields, aim: Aim, known: Known): Frame | null {
    const h = this.header
    const { world, ipv6, clock } = this.world
    const { setup } = this
    const base = { nxt: aim.rcvNxt, edge: aim.edge, hole: aim.hole, irs: aim.irs }[input.seqFrom]
    h.clearOptions()
    h.sourcePort = PEER_PORT + input.port
    h.destinationPort = LOCAL_PORT
    h.flags = input.flags
    h.seq = (base + input.seq) | 0
    h.ack =
      input.ackFrom === 'record'
        ? this.recordSeq(input.port, input.ack, aim)
        : ({ una: aim.una, nxt: aim.nxt, written: aim.written, iss: aim.iss }[input.ackFrom] + input.ack) | 0
    h.window = input.window
    h.urgent = input.urgent
    h.checksum = 0
    h.mss = input.mss
    h.windowScale = input.windowScale
    h.sackPermitted = input.sackPermitted
    const stamps = setup.timestamps && !setup.md5
    if (input.stamp !== null && (stamps || input.stamp !== 'right')) {
      const [value, echo] = input.stamp === 'right' ? [0, 0] : input.stamp
      h.hasTimestamps = true
      h.timestamp = (Math.floor(clock.now() / 1000) + 1000 + value) | 0
      h.timestampEcho = (known.timestamp + echo) | 0
    }
    // What there is room for: each block takes eight bytes.
    const room = h.hasTimestamps || input.md5 !== 'none' ? 2 : 4
    for (const [left, right] of input.sack.slice(0, room)) {
      const start = input.sackRecords ? this.recordSeq(input.port, left, aim) : (aim.una + left) | 0
      const end = input.sackRecords ? this.recordSeq(input.port, left + right, aim) : (start + right) | 0
      h.sack[h.sackCount * 2] = start
      h.sack[h.sackCount * 2 + 1] = end
      h.sackCount++
    }
    const cookie = cookieOf(input, known)
    if (cookie !== null) h.fastOpen = input.cookie === 'experiment' ? FastOpenForm.Experimental : FastOpenForm.Standard
    if (input.md5 !== 'none') h.md5At = 0
    let options = tcpOptionsLength(h, cookie)
    if (options > 40) {
      h.clearOptions()
      options = 0
    }
    const headerLength = TCP_MIN_HEADER + options
    const frame = world.frames.allocate(headerLength + input.length)
    if (frame === null) return null
    const { memory } = world
    const start = frame.transport
    frame.end = start + headerLength + input.length
    emitTcp(h, memory, start, options === 0 ? null : cookie)
    // A SYN begins a stream; and so may an ACK of a cookie, where nothing is there yet.
    const begins = (input.flags & TcpFlag.Syn) !== 0 || this.target(input.port) === null
    const first = begins ? 1 : (h.seq - aim.irs) | 0
    for (let i = 0; i < input.length; i++) memory.u8[start + headerLength + i] = receivedByte(first + i)
    const { peer, local, host } = this.world
    if (h.md5At >= 0) {
      const key = input.md5 === 'right' ? MD5_KEY : WRONG_KEY
      md5Digest(host.sockets.tcp.layer.md5, memory.u8, start, frame.end, peer, local, key, memory.u8, h.md5At)
    }
    const pseudo = this.world.putIp(frame, peer, local, IpProtocol.Tcp, input.ecn)
    memory.view.setUint16(start + 16, this.world.checksum(frame, pseudo) ^ input.damage)
    if (ipv6 && frame.end - frame.start > 65_000) {
      world.frames.release(frame)
      return null
    }
    return frame
  }

  /** An ICMP error arrives about a segment of the host's. */
  private icmp(input: Extract<TcpStep, { readonly op: 'icmp' }>): void {
    const { world, ipv6, local, peer } = this.world
    const known = this.world.knownOf(PEER_PORT + input.port)
    const aim = this.aim(input.port, known)
    const inner = ipv6 ? 40 : 20
    const frame = world.frames.allocate(8 + inner + 8)
    if (frame === null) return
    const { memory } = world
    const outer = frame.transport
    memory.u8.fill(0, outer, outer + 8 + inner + 8)
    const quoted = outer + 8 + inner
    memory.view.setUint16(quoted, LOCAL_PORT)
    memory.view.setUint16(quoted + 2, PEER_PORT + input.port)
    memory.view.setInt32(quoted + 4, (aim.una + input.seq) | 0)
    frame.transport = quoted
    frame.end = quoted + 8
    this.world.putIp(frame, local, peer, IpProtocol.Tcp, 0)
    frame.transport = outer
    memory.u8[outer] = input.type
    memory.u8[outer + 1] = input.code
    if (ipv6) memory.view.setUint32(outer + 4, input.mtu)
    else memory.view.setUint16(outer + 6, input.mtu)
    const pseudo = this.world.putIp(frame, peer, local, ipv6 ? IpProtocol.Icmpv6 : IpProtocol.Icmp, 0)
    memory.view.setUint16(outer + 2, this.world.checksum(frame, ipv6 ? pseudo : 0))
    this.world.deliver(frame)
  }
}

const cookieOf = ({ cookie }: SegmentFields, known: Known): Uint8Array | null => {
  if (cookie === 'none') return null
  if (cookie === 'ask') return new Uint8Array(0)
  if (cookie === 'wrong') return new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8])
  return known.cookie
}
