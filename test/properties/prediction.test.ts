import { describe, expect, it } from 'vitest'
import type { FastPath } from '../../src/core/fast-paths.ts'
import { SeededRandom } from '../../src/core/random.ts'
import type { Sys } from '../../src/host/calls.ts'
import type { Host } from '../../src/host/host.ts'
import { Network } from '../../src/sim/network.ts'
import {
  AF_INET,
  MSG_DONTWAIT,
  MSG_MORE,
  MSG_OOB,
  SO_RCVBUF,
  SO_SNDBUF,
  SOCK_STREAM,
  SOL_SOCKET,
  SOL_TCP,
  TCP_CORK,
  TCP_NODELAY,
  TCP_NOTSENT_LOWAT,
} from '../../src/socket/constants.ts'
import { TcpConnection } from '../../src/tcp/connection.ts'

/**
 * Header prediction does nothing that the general way does not: with it and without it every variable of both
 * connections, every counter of both hosts and every timer has the same value after every step.
 */

const PORT = 7

/**
 * Two programs that ask and answer, in messages of all sizes, with pauses, and now and then in both directions at once.
 */
const talk = async (sys: Sys, fd: number, random: SeededRandom, asks: boolean): Promise<void> => {
  const buffer = new Uint8Array(20_000)
  if (random.below(2) === 0) sys.setsockopt(fd, SOL_TCP, TCP_NODELAY, 1)
  for (let i = 0; i < 30; i++) {
    if (asks || i > 0) {
      const corks = random.below(12) === 0
      if (corks) sys.setsockopt(fd, SOL_TCP, TCP_CORK, 1)
      const messages = random.below(6) === 0 ? 1 + random.below(4) : 1
      for (let k = 0; k < messages; k++) {
        const flags = random.below(20) === 0 ? MSG_MORE : random.below(40) === 0 ? MSG_OOB : 0
        await sys.send(fd, buffer, 1 + random.below(random.below(8) === 0 ? 20_000 : 200), flags)
      }
      if (corks) sys.setsockopt(fd, SOL_TCP, TCP_CORK, 0)
    }
    if (random.below(5) === 0) await sys.usleep(random.below(random.below(4) === 0 ? 3_000_000 : 100_000))
    if (random.below(4) === 0) await sys.recv(fd, buffer, 100, MSG_DONTWAIT).catch(() => 0)
    // The other may have read already what it would wait for.
    else if (random.below(3) > 0) await Promise.race([sys.recv(fd, buffer), sys.usleep(500_000)])
  }
  await sys.close(fd)
}

const settle = (host: Host, random: SeededRandom): void => {
  const chance = (name: string, value: number | string): void => {
    if (random.below(6) === 0) host.sysctl.set(name, String(value))
  }
  chance('net.ipv4.tcp_timestamps', 0)
  chance('net.ipv4.tcp_sack', 0)
  chance('net.ipv4.tcp_window_scaling', 0)
  chance('net.ipv4.tcp_ecn', 1)
  chance('net.ipv4.tcp_mtu_probing', 2)
  chance('net.ipv4.tcp_early_retrans', 0)
  chance('net.ipv4.tcp_slow_start_after_idle', 0)
  chance('net.ipv4.tcp_mem', '2 3 4')
  host.sysctl.set('net.ipv4.tcp_congestion_control', ['cubic', 'reno', 'bbr'][random.below(3)]!)
}

/**
 * What there is to compare of an object: its numbers and switches, and
 * those of `deeper`. `offloadSegments` is worked out where it is needed.
 */
const valuesOf = (object: object, deeper: readonly string[] = []): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(object).flatMap(([key, value]): [string, unknown][] => {
      if (key === 'offloadSegments') return []
      if (deeper.includes(key)) return [[key, value === null ? null : valuesOf(value as object)]]
      return typeof value === 'object' || typeof value === 'function' ? [] : [[key, value]]
    }),
  )

const describeHost = ({ sockets, ip }: Host): string => {
  const { layer, table } = sockets.tcp
  const connections = [...table.entries()].map((entry) => {
    if (!(entry instanceof TcpConnection)) return entry.kind
    const { cc, queue, retransmitTimer, ackTimer } = entry
    const records = []
    for (let i = 0; queue !== null && i < queue.length; i++) records.push(valuesOf(queue.at(i)))
    return [
      valuesOf(entry, ['snd', 'rcv', 'tuning', 'sacks', 'seldom', 'sendRing', 'receiveRing', 'queue']),
      valuesOf(cc, ['minRtt', 'private_', 'chrono']),
      [...cc.chrono.spent],
      [retransmitTimer?.deadline, ackTimer?.deadline],
      records,
    ]
  })
  return JSON.stringify([connections, layer.queuedBytes, layer.records.inUse, ip.mib])
}

/** @returns a line for each step: the time, and both hosts */
const trace = async (seed: number, without: readonly FastPath[]): Promise<string[]> => {
  const random = new SeededRandom(seed)
  const network = new Network({ seed, without })
  const hosts = [network.host('a'), network.host('b')] as const
  for (const host of hosts) settle(host, random)
  const faults = random.below(3) === 0 ? 0.01 : 0
  network.link(...hosts, {
    delay: 1 + random.below(40),
    loss: faults,
    reorder: faults,
    rate: random.below(2) === 0 ? 1e6 : 1e9,
  })
  const own = (who: number): SeededRandom => new SeededRandom(seed * 2 + who)
  const buffer = random.below(4) === 0 ? 3000 + random.below(30_000) : 0
  const configure = (sys: Sys, fd: number): void => {
    if (buffer === 0) return
    sys.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, buffer)
    sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, buffer)
    sys.setsockopt(fd, SOL_TCP, TCP_NOTSENT_LOWAT, buffer)
  }
  const programs = [
    hosts[1].spawn('server', async (sys) => {
      const listener = sys.socket(AF_INET, SOCK_STREAM)
      configure(sys, listener)
      sys.bind(listener, { address: '0.0.0.0', port: PORT })
      sys.listen(listener, 1)
      await talk(sys, await sys.accept(listener), own(0), false)
    }),
    hosts[0].spawn('client', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      configure(sys, fd)
      await sys.connect(fd, { address: '10.0.0.2', port: PORT })
      await talk(sys, fd, own(1), true)
    }),
  ]
  const lines: string[] = []
  await network
    .runUntil(() => {
      lines.push(`${network.now} ${hosts.map(describeHost).join(' ')}`)
      return programs.every((process) => !process.isAlive)
    }, 600_000)
    // A program may be told that the other has gone.
    .catch((error: unknown) => lines.push(String(error)))
  network.close()
  return lines
}

describe('with header prediction and without it all is the same', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('seeds %i and tens above', async (first) => {
    for (let seed = first; seed < first + 30; seed += 10) {
      const without = await trace(seed, ['header-prediction'])
      const lines = await trace(seed, [])
      expect(lines.length, `steps of seed ${seed}`).toBeGreaterThan(50)
      const at = lines.findIndex((line, index) => line !== without[index])
      if (at >= 0) expect(lines[at], `step ${at} of seed ${seed}`).toBe(without[at])
      expect(lines.length).toBe(without.length)
    }
  })
})
