import { expect } from 'vitest'
import type { FastPath } from '../../src/core/fast-paths.ts'
import { type Random, SeededRandom } from '../../src/core/random.ts'
import type { Sys } from '../../src/host/calls.ts'
import type { Host } from '../../src/host/host.ts'
import type { Process } from '../../src/host/process.ts'
import type { NetworkInterface } from '../../src/ip/interface.ts'
import { CaptureFile } from '../../src/node/capture-file.ts'
import { Network } from '../../src/sim/network.ts'
import {
  AF_INET,
  AF_INET6,
  MSG_DONTWAIT,
  MSG_PEEK,
  SHUT_WR,
  SO_RCVBUF,
  SO_SNDBUF,
  SOCK_STREAM,
  SOL_SOCKET,
  SOL_TCP,
  TCP_FASTOPEN_CONNECT,
  TCP_NODELAY,
} from '../../src/socket/constants.ts'
import { checkInvariants } from '../support/invariants.ts'

/** Two programs that tell each other a lot over a bad network. */

const PCAP = process.env['NETGLASS_PCAP']

/** Both sides, without cookies, every listener. */
const FAST_OPEN_WITHOUT_COOKIES = 0x607

/** What is wrong with the cable, each way. */
const FAULTS = { delay: 20, loss: 0.05, reorder: 0.05, duplicate: 0.01, corrupt: 0.01 }

const PORT = 4000
/** The byte at a position of a stream: no two streams are alike, and a byte out of place shows. */
const byteAt = (stream: number, position: number): number =>
  (Math.imul(position + stream * 7919, 0x9e37_79b1) >>> 21) & 0xff

interface Plan {
  readonly stream: number
  readonly toSend: number
  readonly toReceive: number
  readonly random: Random
  readonly configure: (sys: Sys, fd: number) => void
}

/** Sends its bytes in pieces, with pauses; then shuts its side, or leaves that to close. */
const sendAll = async (sys: Sys, fd: number, { stream, toSend, random }: Plan): Promise<void> => {
  for (let sent = 0; sent < toSend; ) {
    const size = Math.min(toSend - sent, 1 + random.below(random.below(4) === 0 ? 60_000 : 3000))
    const piece = new Uint8Array(size)
    for (let i = 0; i < size; i++) piece[i] = byteAt(stream, sent + i)
    expect(await sys.send(fd, piece)).toBe(size)
    sent += size
    if (random.below(4) === 0) await sys.usleep(random.below(300_000))
  }
  sys.shutdown(fd, SHUT_WR)
}

/** Reads to the end in pieces, with pauses and peeks, and compares every byte. */
const receiveAll = async (sys: Sys, fd: number, { stream, toReceive, random }: Plan): Promise<void> => {
  const buffer = new Uint8Array(65_536)
  const peer = 1 - stream
  for (let received = 0; ; ) {
    if (random.below(5) === 0) await sys.usleep(random.below(500_000))
    const size = 1 + random.below(random.below(3) === 0 ? buffer.length : 2000)
    if (random.below(8) === 0) await sys.recv(fd, buffer, size, MSG_PEEK | MSG_DONTWAIT).catch(() => 0)
    const count = await sys.recv(fd, buffer, size)
    if (count === 0) {
      expect(received, `bytes that ${sys.process.name} received`).toBe(toReceive)
      return
    }
    for (let i = 0; i < count; i++) {
      if (buffer[i] !== byteAt(peer, received + i)) {
        throw new Error(`${sys.process.name}: byte ${received + i} is ${buffer[i]}, not ${byteAt(peer, received + i)}`)
      }
    }
    received += count
  }
}

const exchange = async (sys: Sys, fd: number, plan: Plan): Promise<void> => {
  await Promise.all([sendAll(sys, fd, plan), receiveAll(sys, fd, plan)])
  await sys.close(fd)
}

/** Settings that make different machines of the two hosts. */
const settle = (host: Host, random: Random): void => {
  const chance = (name: string, value: number): void => {
    if (random.below(4) === 0) host.sysctl.set(name, String(value))
  }
  chance('net.ipv4.tcp_timestamps', 0)
  chance('net.ipv4.tcp_sack', 0)
  chance('net.ipv4.tcp_window_scaling', 0)
  chance('net.ipv4.tcp_recovery', 0)
  chance('net.ipv4.tcp_ecn', 1)
  chance('net.ipv4.tcp_base_mss', 256 + random.below(1000))
  chance('net.ipv4.tcp_mtu_probing', 2)
  chance('net.ipv4.tcp_fastopen', FAST_OPEN_WITHOUT_COOKIES)
  host.sysctl.set('net.ipv4.tcp_congestion_control', ['cubic', 'reno', 'bbr'][random.below(3)]!)
}

/** What the cables have done to frames, over all runs. */
export interface Damage {
  lost: number
  duplicated: number
  reordered: number
  corrupted: number
}

/** Two programs on two hosts that have much to tell each other. */
const spawnPair = (seed: number, random: Random, client: Host, server: Host, ipv6: boolean): Process[] => {
  const family = ipv6 ? AF_INET6 : AF_INET
  const sizes = [0, 1].map(() => (random.below(6) === 0 ? 0 : random.below(150_000)))
  const planOf = (stream: number): Plan => ({
    stream,
    toSend: sizes[stream]!,
    toReceive: sizes[1 - stream]!,
    random: new SeededRandom(seed * 2 + stream),
    configure: (sys, fd) => {
      if (random.below(2) === 0) sys.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, 1000 + random.below(100_000))
      if (random.below(2) === 0) sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, 1000 + random.below(100_000))
      if (random.below(2) === 0) sys.setsockopt(fd, SOL_TCP, TCP_NODELAY, 1)
    },
  })
  const [clientPlan, serverPlan] = [planOf(0), planOf(1)]
  return [
    server.spawn('server', async (sys) => {
      const listener = sys.socket(family, SOCK_STREAM)
      serverPlan.configure(sys, listener)
      sys.bind(listener, { address: ipv6 ? '::' : '0.0.0.0', port: PORT })
      sys.listen(listener, 1)
      const fd = await sys.accept(listener)
      await sys.close(listener)
      await exchange(sys, fd, serverPlan)
    }),
    client.spawn('client', async (sys) => {
      // Duplicate address detection takes its time.
      await sys.sleep(3)
      const fd = sys.socket(family, SOCK_STREAM)
      clientPlan.configure(sys, fd)
      // Its first bytes are to go with the SYN.
      if (clientPlan.toSend > 0 && random.below(3) === 0) sys.setsockopt(fd, SOL_TCP, TCP_FASTOPEN_CONNECT, 1)
      await sys.connect(fd, { address: ipv6 ? 'fd00::2' : '10.0.0.2', port: PORT })
      await exchange(sys, fd, clientPlan)
    }),
  ]
}

/** What connections share that have nothing of their own is never written, whatever becomes of them: to try throws. */
const forbidSharedWrites = ({ sockets }: Host): void => {
  const { pristineCongestion, pristineSeldom } = sockets.tcp.layer
  for (const shared of [pristineCongestion, pristineCongestion.minRtt, pristineCongestion.chrono, pristineSeldom]) {
    Object.freeze(shared)
  }
}

/**
 * Each knows the other's hardware address from the start: an ARP reply has no checksum, and one with a bit flipped
 * would send every frame to nobody, as it does on a real link without frame check sequences.
 */
const introduce = (host: Host, iface: NetworkInterface, peer: NetworkInterface): void => {
  for (const { address } of peer.addresses) {
    const table = address.isIpv4 ? host.ip.arp : host.ip.nd
    expect(table.setPermanent(iface, address, peer.mac)).toBe(0)
  }
}

const expectNothingLeft = (host: Host): void => {
  const { tcp, tcpPorts, sockets } = host.sockets
  expect(tcp.table.size, `${host.name}: pairs of endpoints`).toBe(0)
  expect(tcp.layer.records.inUse, `${host.name}: send records`).toBe(0)
  expect(tcp.layer.queuedBytes, `${host.name}: queued bytes`).toBe(0)
  expect(tcpPorts.ports, `${host.name}: ports`).toBe(0)
  expect(sockets.size, `${host.name}: sockets`).toBe(0)
}

export const noDamage = (): Damage => ({ lost: 0, duplicated: 0, reordered: 0, corrupted: 0 })

/**
 * One run of a seed, with all that is expected of it. `NETGLASS_PCAP=file` captures it.
 * @param damage what the cables do to frames is added to it
 * @param without fast paths to do without
 */
export const transfer = async (seed: number, damage: Damage, without: readonly FastPath[] = []): Promise<void> => {
  const random = new SeededRandom(seed)
  const network = new Network({ seed, without })
  const hosts = [network.host('client'), network.host('server')] as const
  for (const host of hosts) settle(host, random)
  for (const host of hosts) forbidSharedWrites(host)
  const ipv6 = random.below(2) === 0
  const mtus = ipv6 ? [1280, 1500, 9000] : [576, 1280, 1500, 9000]
  const { cable, a, b } = network.link(...hosts, {
    ...FAULTS,
    mtu: mtus[random.below(mtus.length)]!,
    addresses: ipv6 ? ['fd00::1/64', 'fd00::2/64'] : ['10.0.0.1/24', '10.0.0.2/24'],
  })
  introduce(hosts[0], a, b)
  introduce(hosts[1], b, a)
  const capture = PCAP === undefined ? null : new CaptureFile(network.world, PCAP)
  capture?.capture.add(cable.a, 'client')
  capture?.capture.add(cable.b, 'server')
  try {
    const programs = spawnPair(seed, random, ...hosts, ipv6)
    let steps = 0
    const finished = await network.runUntil(() => {
      if (++steps % 64 === 0) for (const host of hosts) checkInvariants(host)
      return programs.every((process) => !process.isAlive)
    }, 3600 * 1000)
    expect(finished, 'both programs have ended within an hour').toBe(true)
    expect(programs.map((process) => process.status)).toEqual([0, 0])
    // TIME_WAIT, and orphans that still deliver.
    await network.run(1200 * 1000)
    for (const host of hosts) expectNothingLeft(host)
  } finally {
    capture?.close()
  }
  for (const { statistics } of [cable.aToB, cable.bToA]) {
    damage.lost += statistics.lost
    damage.duplicated += statistics.duplicated
    damage.reordered += statistics.reordered
    damage.corrupted += statistics.corrupted
  }
  network.close()
  const { frames, loop, memory } = network.world
  expect(frames.inUse, 'frames').toBe(0)
  expect(loop.timers.size, 'timers').toBe(0)
  expect(memory.used, 'memory beside the pool of frames').toBe(frames.bytes)
}
