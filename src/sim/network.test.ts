import { beforeAll, describe, expect, it } from 'vitest'
import { FAST_PATHS, type FastPath } from '../core/fast-paths.ts'
import type { Sys } from '../host/calls.ts'
import { AF_INET, MSG_WAITALL, SO_REUSEADDR, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET } from '../socket/constants.ts'
import { Network } from './network.ts'

it('carries an echo over two hosts and a cable', async () => {
  const network = new Network({ seed: 7 })
  const alice = network.host('alice')
  const bob = network.host('bob')
  network.link(alice, bob, { delay: 10 })
  bob.spawn('echo', async (sys) => {
    const listener = sys.socket(AF_INET, SOCK_STREAM)
    sys.setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, 1)
    sys.bind(listener, { address: '0.0.0.0', port: 7 })
    sys.listen(listener, 5)
    for (;;) {
      const conn = await sys.accept(listener)
      sys.fork(async (child) => {
        child.close(listener)
        const buffer = new Uint8Array(4096)
        for (let n = await child.recv(conn, buffer); n > 0; n = await child.recv(conn, buffer)) {
          await child.send(conn, buffer, n)
        }
        child.close(conn)
      })
      sys.close(conn)
    }
  })
  const client = alice.spawn('client', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    await sys.connect(fd, { address: '10.0.0.2', port: 7 })
    sys.print('connected', sys.clock(true))
    const big = new Uint8Array(200_000).map((_, i) => i * 7)
    const back = new Uint8Array(big.length)
    const sending = sys.send(fd, big)
    expect(await sys.recv(fd, back, back.length, MSG_WAITALL)).toBe(big.length)
    expect(await sending).toBe(big.length)
    expect(back).toEqual(big)
    await sys.close(fd)
    return 5
  })
  expect(await network.runProcess(client, 60_000)).toBe(5)
  expect(client.output[0]?.text).toBe('connected 0.04')
  await network.run(130_000)
  expect(alice.sockets.tcp.table.size).toBe(0)
  network.close()
  expect(network.world.frames.inUse).toBe(0)
  expect(network.world.loop.timers.size).toBe(0)
})

it('comes to rest, though hosts ask for routers for ever; with a deadline they are heard to', async () => {
  const network = new Network({ seed: 1 })
  const [a, b] = [network.host('a'), network.host('b')]
  const link = network.link(a, b, { delay: 10 })
  expect(await network.run()).toBe('idle')
  // Three times in some 14 seconds (RFC 4861 section 6.3.7), and then hourly (RFC 7559).
  expect(network.now).toBeGreaterThan(10_000)
  expect(network.now).toBeLessThan(20_000)
  const asked = (): number => a.ip.mib.icmp6OutType[133]!
  expect(asked()).toBe(3)
  expect(await network.run(86_400_000)).toBe('deadline')
  expect(asked()).toBeGreaterThan(20)
  // A link that comes back is news.
  const before = asked()
  link.cable.setDown()
  link.cable.setUp()
  expect(await network.run()).toBe('idle')
  expect(asked() - before).toBe(3)
  expect(await network.runUntil(() => false)).toBe(false)
})

describe('without a fast path', () => {
  const trace = async (without: readonly FastPath[]): Promise<string[]> => {
    const network = new Network({ seed: 3, without })
    const { memory } = network.world
    expect(memory.kernels === null).toBe(without.includes('wasm'))
    const lines: string[] = []
    const link = network.link(network.host('a'), network.host('b'), { delay: 5, loss: 0.02, corrupt: 0.05, rate: 1e7 })
    link.cable.b.taps.push({
      frame: ({ start, end }) =>
        lines.push(`${network.now} ${Buffer.from(memory.u8.slice(start, end)).toString('hex')}`),
    })
    network.host('b').spawn('sink', async (sys) => {
      const listener = sys.socket(AF_INET, SOCK_STREAM)
      sys.bind(listener, { address: '0.0.0.0', port: 9 })
      sys.listen(listener, 5)
      const fd = await sys.accept(listener)
      const buffer = new Uint8Array(5000)
      while ((await sys.recv(fd, buffer)) > 0);
      await sys.close(fd)
    })
    const source = network.host('a').spawn('source', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      await sys.connect(fd, { address: '10.0.0.2', port: 9 })
      for (let size = 1; size < 4000; size += 37) await sys.send(fd, new Uint8Array(size).fill(size))
      await sys.close(fd)
    })
    expect(await network.runProcess(source, 60_000)).toBe(0)
    await network.run(200_000)
    expect(network.host('b').ip.mib.tcp.InCsumErrors).toBeGreaterThan(2)
    network.close()
    return lines
  }
  let lines: string[]
  beforeAll(async () => {
    lines = await trace([])
    expect(lines.length).toBeGreaterThan(200)
  })

  it.each(Object.keys(FAST_PATHS) as FastPath[])(
    '%s the same bytes are on the wire, corrupted ones too',
    async (path) => {
      expect(await trace([path])).toEqual(lines)
    },
  )

  it('of any name', () => {
    expect(() => new Network({ without: ['warp' as FastPath] })).toThrow(
      'there is no fast path warp; there are wasm, copy',
    )
  })
})

it('does not keep the exceptions of programs to itself', async () => {
  const network = new Network()
  const program = async (sys: Sys): Promise<void> => {
    await sys.sleep(1)
    await sys.close(77)
  }
  network.host('alice').spawn('careless', program)
  await expect(network.run(5000)).rejects.toThrow(
    'the program careless on alice has failed: EBADF: Bad file descriptor, close',
  )
  expect(network.now).toBe(1000)
  // The world goes on if it is told to.
  expect(await network.run(1000)).toBe('deadline')
  network.close()

  const told: string[] = []
  const tolerant = new Network({ onFailure: (process, error) => told.push(`${process.name}: ${error}`) })
  tolerant.host('alice').spawn('careless', program)
  await tolerant.run(5000)
  expect(told).toEqual(['careless: SystemError: EBADF: Bad file descriptor, close'])
  tolerant.close()
})

it('lets time pass for a program that sends without end', async () => {
  const network = new Network()
  const [a, b] = [network.host('a'), network.host('b')]
  network.link(a, b)
  let sent = 0
  let received = 0
  a.spawn('flood', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_DGRAM)
    for (;;) sent += await sys.sendto(fd, 'x', 1, 0, { address: '10.0.0.2', port: 9 })
  })
  b.spawn('sink', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_DGRAM)
    sys.bind(fd, { address: '0.0.0.0', port: 9 })
    for (;;) received += await sys.recv(fd, new Uint8Array(1))
  })
  expect(await network.run(5.5)).toBe('deadline')
  expect(network.now).toBe(5.5)
  expect(sent).toBe(6 * 4096 - 1)
  expect(received).toBeGreaterThan(100)
  network.close()
})
