import { VirtualClock } from '../../core/clock.ts'
import { ALL_FAST_PATHS, type FastPaths } from '../../core/fast-paths.ts'
import type { Frame } from '../../core/frame.ts'
import { SeededRandom } from '../../core/random.ts'
import { World } from '../../core/world.ts'
import { Host } from '../../host/host.ts'
import { Cable } from '../../link/cable.ts'
import type { LinkUser } from '../../link/port.ts'
import * as C from '../../socket/constants.ts'
import type { Socket } from '../../socket/socket.ts'
import { parseIpAddress } from '../../wire/address.ts'
import { EtherType } from '../../wire/ethernet.ts'
import { IpHeader, IpProtocol } from '../../wire/ip.ts'
import { emitIpv4 } from '../../wire/ipv4.ts'
import { type BenchPair, benchPair, type PairOptions, SERVER } from './pair.ts'
import { collectGarbage } from './settle.ts'

/** Cases over sockets without programs: nothing but the stack runs in them. */

/** Where `listening` listens. */
export const PORT = 5001

const open = (host: Host): Socket => {
  const socket = host.makeSocket(C.AF_INET, C.SOCK_STREAM, 0, 0)
  if (typeof socket === 'number') throw new Error(`socket: ${socket}`)
  socket.retain()
  return socket
}

const demand = (result: number, wanted: number): void => {
  if (result !== wanted) throw new Error(`a call gave ${result} in place of ${wanted}`)
}

/** A socket of `server` that listens. */
export const listening = ({ server }: Pick<BenchPair, 'server'>): Socket => {
  const listener = open(server)
  demand(listener.bind({ address: '0.0.0.0', port: PORT }), 0)
  demand(listener.listen(4096), 0)
  return listener
}

/** Takes turns until nothing is left to do. */
export const settle = ({ world }: Pick<BenchPair, 'world'>): void => {
  while (world.loop.turn()) {
    // Until nothing is left to do.
  }
}

/** Connects to the listener. @param from the client's address, for a port of whose own there is always room */
export const connected = (
  pair: BenchPair,
  listener: Socket,
  from: string | null = null,
): [client: Socket, server: Socket] => {
  const client = open(pair.client)
  pair.world.loop.refresh()
  if (from !== null) {
    demand(client.setOption(C.SOL_IP, C.IP_BIND_ADDRESS_NO_PORT, 1), 0)
    demand(client.bind({ address: from, port: 0 }), 0)
  }
  client.connect({ address: SERVER, port: PORT })
  settle(pair)
  demand(client.connectResult(false), 0)
  return [client, accepted(listener)]
}

/** The connection that `listener` has ready. */
export const accepted = (listener: Socket): Socket => {
  const socket = listener.accept()
  if (typeof socket === 'number') throw new Error(`accept: ${socket}`)
  socket.retain()
  return socket
}

/** Segments of a short and of a long message: both lie in one record of the send queue. */
const SHORT = 4
const LONG = 40

/**
 * Messages of a few full segments and of many, each sent and received by one call.
 * @returns bytes of garbage that each segment more leaves: what the calls leave is the same for both
 */
export const allocation = (options: PairOptions = {}): number => {
  const pair = benchPair(options, false)
  const [client, server] = connected(pair, listening(pair))
  const target = new Uint8Array(1448 * LONG)
  const round = (source: Uint8Array): void => {
    pair.world.loop.refresh()
    client.send(source, 0, source.length, 0, null)
    settle(pair)
    while (server.receive(target, 0, target.length, 0, null) > 0) settle(pair)
  }
  const sources = [SHORT, LONG].map((segments) => new Uint8Array(1448 * segments))
  for (let i = 0; i < 4000; i++) for (const source of sources) round(source)
  const [short, long] = sources.map((source) => {
    let least = Number.POSITIVE_INFINITY
    // What V8 allocates for itself meanwhile is not the segments': the least of several counts.
    for (let sample = 0; sample < 10; sample++) {
      collectGarbage()
      const before = process.memoryUsage().heapUsed
      for (let i = 0; i < 200; i++) round(source)
      const bytes = process.memoryUsage().heapUsed - before
      if (bytes >= 0) least = Math.min(least, bytes / 200)
    }
    return least
  })
  pair.close()
  if (!Number.isFinite(short! + long!)) throw new Error('V8 has collected garbage in each of the counts')
  return Math.max(0, long! - short!) / (LONG - SHORT)
}

/** Counts what arrives, and gives it back. */
class Sink implements LinkUser {
  count = 0
  private readonly world: World

  constructor(world: World) {
    this.world = world
  }

  receive(frame: Frame): void {
    this.count++
    this.world.frames.release(frame)
  }

  carrierChanged(): void {}
}

/** A router between two links of IP packets. @returns packets of 64 bytes that it forwards a second */
export const forwarding = (packets: number, fast: FastPaths = ALL_FAST_PATHS): number => {
  const world = new World(new VirtualClock(), new SeededRandom(1), undefined, fast)
  const router = new Host(world, 'router')
  router.ip.settings.ip_forward = 1
  const west = new Cable(world, 'west', { medium: 'ip' })
  const east = new Cable(world, 'east', { medium: 'ip' })
  router.addInterface('west', west.b, ['10.1.0.1/16'])
  router.addInterface('east', east.a, ['10.2.0.1/16'])
  const sink = new Sink(world)
  east.b.user = sink
  const header = new IpHeader()
  header.version = 4
  header.headerLength = 20
  header.hopLimit = 64
  header.protocol = IpProtocol.Udp
  header.source = parseIpAddress('10.1.0.2')!
  header.destination = parseIpAddress('10.2.0.2')!
  const payload = 44
  const burst = 64
  const start = performance.now()
  for (let sent = 0; sent < packets; sent += burst) {
    for (let i = 0; i < burst; i++) {
      const frame = world.frames.allocate(payload)!
      frame.end += payload
      frame.start -= 20
      frame.network = frame.start
      frame.etherType = EtherType.Ipv4
      emitIpv4(header, world.memory, frame.start, payload)
      west.a.send(frame)
    }
    while (world.loop.turn()) {
      // Until all are through.
    }
  }
  const seconds = (performance.now() - start) / 1000
  if (sink.count < packets) throw new Error(`${packets - sink.count} packets were lost`)
  router.close()
  return sink.count / seconds
}
