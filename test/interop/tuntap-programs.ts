import type { Frame } from '../../src/core/frame.ts'
import type { Task } from '../../src/core/loop.ts'

/**
 * What runs in the processes of tuntap.test.ts. Each function's text is written to a file beside the compiled code, so
 * that none may use what stands outside of it.
 */

/** What the child is told, in its first argument. */
export interface Orders {
  kind: 'tun' | 'tap'
  name: string
  offload: boolean
  addresses: string[]
  mtu?: number
  ref: boolean
}

/** The modules that the child loads, by the names under which it gets them. */
export interface Modules {
  random: typeof import('../../src/core/random.ts')
  loop: typeof import('../../src/core/loop.ts')
  world: typeof import('../../src/core/world.ts')
  statistics: typeof import('../../src/link/statistics.ts')
  realtime: typeof import('../../src/node/realtime.ts')
  tuntap: typeof import('../../src/node/tuntap.ts')
  ifconfig: typeof import('../../src/node/ifconfig.ts')
  address: typeof import('../../src/wire/address.ts')
  ip: typeof import('../../src/wire/ip.ts')
  ipv4: typeof import('../../src/wire/ipv4.ts')
  tcp: typeof import('../../src/wire/tcp.ts')
  transport: typeof import('../../src/wire/transport.ts')
}

export const PATHS: Record<keyof Modules, string> = {
  random: 'core/random',
  loop: 'core/loop',
  world: 'core/world',
  statistics: 'link/statistics',
  realtime: 'node/realtime',
  tuntap: 'node/tuntap',
  ifconfig: 'node/ifconfig',
  address: 'wire/address',
  ip: 'wire/ip',
  ipv4: 'wire/ipv4',
  tcp: 'wire/tcp',
  transport: 'wire/transport',
}

/** What the child does with a frame of TCP; see `toyTcp`. */
interface Toy {
  receive(frame: Frame, link: number): void
}

/**
 * The child: answers pings (IPv4, IPv6) and ARP in place, hands TCP to the toy, and reports in lines of JSON. `stats`
 * on its input asks for figures, the end of its input closes all.
 */
export const responder = (m: Modules, orders: Orders, makeToy: typeof toyTcp | null): void => {
  const say = (event: object): void => {
    process.stdout.write(`${JSON.stringify(event)}\n`)
  }
  const world = new m.world.World(new m.realtime.RealClock(), new m.random.CryptoRandom())
  const driver = new m.realtime.RealTimeDriver(world.loop)
  if (orders.ref) driver.ref()
  const { memory, frames } = world
  let port: import('../../src/node/tuntap.ts').TunTapPort
  try {
    port = m.tuntap.openTunTap(world, {
      kind: orders.kind,
      name: orders.name,
      offload: orders.offload,
      ...(orders.mtu === undefined ? {} : { mtu: orders.mtu }),
      onError: (error) => say({ error: error.message }),
    })
    m.ifconfig.configureHostSide(port.name, {
      addresses: orders.addresses.map((text) => m.address.parseIpPrefix(text)!),
    })
  } catch (error) {
    say({ error: (error as Error).message })
    driver.close()
    return
  }
  const toy: Toy | null = makeToy === null ? null : makeToy(m, world, port, say)

  const swap = (a: number, b: number, length: number): void => {
    const { u8 } = memory
    for (let i = 0; i < length; i++) {
      const byte = u8[a + i]!
      u8[a + i] = u8[b + i]!
      u8[b + i] = byte
    }
  }
  const adjust = (at: number, by: number): void => {
    const sum = memory.view.getUint16(at) + by
    memory.view.setUint16(at, (sum & 0xffff) + (sum >>> 16))
  }
  const receive = (frame: Frame): void => {
    const { u8, view } = memory
    const link = orders.kind === 'tap' ? 14 : 0
    const ip = frame.start + link
    if (link > 0) {
      swap(frame.start, frame.start + 6, 6)
      u8.set([2, 0, 0, 0, 0, 9], frame.start + 6)
      if (view.getUint16(frame.start + 12) === 0x0806) {
        // A request for the address it asks for becomes the answer.
        view.setUint16(ip + 6, 2)
        swap(ip + 8, ip + 18, 10)
        u8.set([2, 0, 0, 0, 0, 9], ip + 8)
        port.send(frame)
        return
      }
    }
    const version = u8[ip]! >>> 4
    if (version === 4 && u8[ip + 9] === 1 && u8[ip + 20] === 8) {
      swap(ip + 12, ip + 16, 4)
      u8[ip + 20] = 0
      adjust(ip + 22, 0x0800)
    } else if (version === 6 && u8[ip + 6] === 58 && u8[ip + 40] === 128) {
      swap(ip + 8, ip + 24, 16)
      u8[ip + 40] = 129
      adjust(ip + 42, 0xfeff)
    } else {
      if (version === 4 && u8[ip + 9] === 6 && toy !== null) toy.receive(frame, link)
      frames.release(frame)
      return
    }
    port.send(frame)
  }
  port.user = { receive, carrierChanged: (up) => say({ carrier: up, at: Date.now() }) }
  say({ ready: port.name, index: port.index, features: port.features, carrier: port.carrier })
  if (!orders.ref) return
  process.stdin.on('data', () => {
    const { statistics } = port
    const { wakes, spins, received, sent } = statistics
    say({
      stats: { wakes, spins, received, sent, drops: m.statistics.namedDrops(statistics.drops) },
      cpu: process.cpuUsage(),
    })
  })
  process.stdin.on('end', () => {
    port.close()
    driver.close()
    say({ closed: true, inUse: frames.inUse })
  })
}

/**
 * TCP as far as a measurement needs it, without loss: port 9 takes bytes and checks that they count up, port 19 gives
 * such bytes. It says how fast that went when the connection ends.
 */
export const toyTcp = (
  m: Modules,
  world: import('../../src/core/world.ts').World,
  port: import('../../src/node/tuntap.ts').TunTapPort,
  say: (event: object) => void,
): Toy => {
  const { memory, frames } = world
  const ip = new m.ip.IpHeader()
  const outIp = new m.ip.IpHeader()
  const tcp = new m.tcp.TcpHeader()
  const outTcp = new m.tcp.TcpHeader()
  const { TcpFlag } = m.tcp
  const offload = port.features.maxSegmentedPacket > 0
  const MSS = 1460
  const BLOCK = 0x2_0000
  const RING = 0x20_0000
  const pattern = memory.allocate(BLOCK)
  const ring = memory.allocate(RING)
  // Every byte tells where it belongs, modulo 251.
  for (let i = 0; i < BLOCK; i++) memory.u8[pattern + i] = i % 251
  let una = 0
  let nxt = 0
  let rcv = 0
  let window = 0
  let shift = 0
  let bytes = 0
  let sent = 0
  let wrong = 0
  let start = 0
  let needAck = false
  let source = false
  const linkHeader = new Uint8Array(14)

  const emit = (flags: number, length: number, syn = false): void => {
    const frame = frames.allocate(60 + length)!
    outTcp.clearOptions()
    if (syn) {
      outTcp.mss = MSS
      outTcp.windowScale = 10
    }
    outTcp.sourcePort = tcp.destinationPort
    outTcp.destinationPort = tcp.sourcePort
    outTcp.seq = nxt
    outTcp.ack = rcv
    outTcp.flags = flags
    outTcp.window = syn ? 0xffff : 4096
    const header = m.tcp.emitTcp(outTcp, memory, frame.transport)
    const data = frame.transport + header
    frame.end = data + length
    const phase = sent % 251
    sent += length
    memory.u8.copyWithin(data, pattern + phase, pattern + phase + length)
    outIp.protocol = 6
    outIp.dontFragment = true
    frame.network = frame.transport - 20
    m.ipv4.emitIpv4(outIp, memory, frame.network, header + length)
    if (offload) {
      m.transport.fillPartialChecksum(outIp, 6, memory, frame.transport, frame.end)
      frame.checksum = 1
      if (length > MSS) frame.segmentSize = MSS
    } else m.transport.fillTransportChecksum(outIp, 6, memory, frame.transport, frame.end)
    frame.start = frame.network
    if (port.features.medium === 'ethernet') {
      frame.start -= 14
      memory.u8.set(linkHeader, frame.start)
    }
    port.send(frame)
    nxt = (nxt + length) | 0
  }

  /** Sends what the window allows, and one acknowledgment for all that came in a batch. */
  const pump = (): void => {
    const most = offload ? 44 * MSS : MSS
    for (let room = window - ((nxt - una) | 0); source && room >= most; room -= most) {
      emit(TcpFlag.Ack, most)
      needAck = false
    }
    if (needAck) emit(TcpFlag.Ack, 0)
    needAck = false
  }
  class Pump extends m.loop.Task {
    override run(): void {
      pump()
    }
  }
  const task: Task = new Pump()

  const take = (at: number, end: number): void => {
    const length = end - at
    const { u8 } = memory
    if (tcp.seq !== rcv || u8[at] !== bytes % 251 || u8[end - 1] !== (bytes + length - 1) % 251) wrong++
    u8.copyWithin(ring + (bytes & 0x1f_0000), at, end)
    bytes += length
    rcv = (rcv + length) | 0
    needAck = true
  }

  return {
    receive(frame, link) {
      if (m.ipv4.parseIpv4(ip, memory, frame.start + link, frame.end) !== 0) return
      if (m.tcp.parseTcp(tcp, memory, ip.payloadStart, ip.payloadEnd) !== 0) return
      if ((tcp.flags & TcpFlag.Syn) !== 0) {
        linkHeader.set(memory.u8.subarray(frame.start, frame.start + 14))
        outIp.source = ip.destination
        outIp.destination = ip.source
        rcv = (tcp.seq + 1) | 0
        shift = tcp.windowScale
        source = tcp.destinationPort === 19
        nxt = 1000
        emit(TcpFlag.Syn | TcpFlag.Ack, 0, true)
        una = nxt = 1001
        bytes = sent = wrong = window = 0
        start = performance.now()
        return
      }
      const at = ip.payloadStart + tcp.headerLength
      if (ip.payloadEnd > at) take(at, ip.payloadEnd)
      window = tcp.window << shift
      if ((tcp.flags & TcpFlag.Ack) !== 0) {
        if (source) bytes += (tcp.ack - una) | 0
        una = tcp.ack
      }
      if ((tcp.flags & (TcpFlag.Fin | TcpFlag.Rst)) !== 0 && start > 0) {
        const seconds = (performance.now() - start) / 1000
        say({ [source ? 'given' : 'taken']: bytes, wrong, gigabits: (bytes * 8) / seconds / 1e9 })
        source = false
        start = 0
        rcv = (rcv + 1) | 0
        emit(TcpFlag.Rst | TcpFlag.Ack, 0)
      } else if (source || needAck) world.loop.post(task)
    },
  }
}

/** The kernel's end of a measurement: sends or receives bytes that count up, for some seconds. */
export const peer = async (net: typeof import('node:net'), portNumber: number, seconds: number): Promise<void> => {
  const socket = net.connect({
    host: '10.77.0.2',
    port: portNumber,
    onread: { buffer: new Uint8Array(0x10_0000), callback: (count, buffer) => check(count, buffer) },
  })
  let bytes = 0
  let wrong = 0
  const check = (count: number, buffer: Uint8Array): boolean => {
    if (buffer[0] !== bytes % 251 || buffer[count - 1] !== (bytes + count - 1) % 251) wrong++
    bytes += count
    return true
  }
  socket.on('error', () => {})
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
  const end = performance.now() + seconds * 1000
  if (portNumber === 9) {
    const block = new Uint8Array(251 * 4096).map((_, i) => i % 251)
    while (performance.now() < end) {
      if (!socket.write(block)) await new Promise((resolve) => socket.once('drain', resolve))
    }
    await new Promise<void>((resolve) => socket.end(resolve))
  } else await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  socket.destroy()
  process.stdout.write(JSON.stringify({ bytes, wrong }))
}

/** The devices of workers that are terminated in the middle of traffic: the process must outlive them. */
export const workers = async (
  threads: typeof import('node:worker_threads'),
  program: string,
  orders: Orders,
  rounds: number,
): Promise<void> => {
  for (let round = 0; round < rounds; round++) {
    const worker = new threads.Worker(program, { argv: [JSON.stringify(orders)], stdin: true, stdout: true })
    await new Promise<void>((resolve) =>
      worker.stdout.on('data', (text) => String(text).includes('carrier":true') && resolve()),
    )
    await new Promise((resolve) => setTimeout(resolve, 30 + round * 7))
    await worker.terminate()
  }
  process.stdout.write('outlived')
}
