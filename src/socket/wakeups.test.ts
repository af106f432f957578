import { describe, expect, it } from 'vitest'
import type { Memory } from '../core/memory.ts'
import { codeOf, NOTHING, Pair } from '../sim/testing.ts'
import * as C from './constants.ts'

/** Takes all the memory that there is, and lets it grow no more. @returns what gives it back */
const exhaust = (memory: Memory): (() => void) => {
  ;(memory as unknown as { limit: number }).limit = memory.capacity
  const blocks: [number, number][] = []
  for (let size = 1 << 28; size >= 16; size >>= 1) {
    for (let block = memory.allocate(size); block >= 0; block = memory.allocate(size)) blocks.push([block, size])
  }
  return () => {
    for (const [block, size] of blocks) memory.release(block, size)
  }
}

describe('who waits to send', () => {
  it('is not left waiting where no memory is left, and nothing on the way that could bring some', async () => {
    const pair = new Pair()
    const [found] = await pair.run<unknown>(
      [
        pair.a,
        async (sys) => {
          await sys.usleep(1000)
          const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
          await sys.connect(fd, { address: '10.0.0.2', port: 7 })
          const giveBack = exhaust(pair.network.world.memory)
          const without = await codeOf(() => sys.send(fd, 'hello'))
          giveBack()
          return [without, await codeOf(() => sys.send(fd, 'hello'))]
        },
      ],
      [
        pair.b,
        async (sys) => {
          const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
          sys.bind(listener, { address: '0.0.0.0', port: 7 })
          sys.listen(listener, 1)
          return sys.recv(await sys.accept(listener), new Uint8Array(9))
        },
      ],
    )
    expect(found).toEqual(['ENOBUFS', 5])
    pair.close()
  })

  it('goes on when SO_SNDBUF of a Unix socket is raised', async () => {
    const pair = new Pair()
    const sent = await pair.alone(async (sys) => {
      const [a] = sys.socketpair(C.AF_UNIX, C.SOCK_STREAM)
      sys.setsockopt(a, C.SOL_SOCKET, C.SO_SNDBUF, 4096)
      sys.fork(async (child) => {
        await child.sleep(1)
        child.setsockopt(a, C.SOL_SOCKET, C.SO_SNDBUF, 200_000)
      })
      return sys.send(a, new Uint8Array(60_000))
    })
    expect(sent).toBe(60_000)
    expect(pair.close()).toEqual(NOTHING)
  })
})

it('a Unix socket that found a queue full and was closed is kept by nobody', async () => {
  const pair = new Pair()
  const to = { family: C.AF_UNIX, path: '/full' }
  await pair.alone(async (sys) => {
    const receiver = sys.socket(C.AF_UNIX, C.SOCK_DGRAM)
    sys.bind(receiver, to)
    const attempt = async (): Promise<unknown> => {
      const fd = sys.socket(C.AF_UNIX, C.SOCK_DGRAM | C.SOCK_NONBLOCK)
      const result = await codeOf(() => sys.sendto(fd, 'x', 1, 0, to))
      await sys.close(fd)
      return result
    }
    const results = []
    for (let i = 0; i < 20; i++) results.push(await attempt())
    expect(results).toEqual([...new Array(11).fill(1), ...new Array(9).fill('EAGAIN')])
    const { turnedAway } = sys.process.files.get(receiver) as unknown as { turnedAway: Set<unknown> }
    expect(turnedAway.size).toBe(0)
  })
  expect(pair.close()).toEqual(NOTHING)
})

it('an ICMPv6 error about a connection that is not there counts as one of ICMPv6', async () => {
  const pair = new Pair()
  const quote = new Uint8Array(48)
  quote.set([0x60, 0, 0, 0, 0, 8, 6, 64])
  quote.set([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 8)
  quote.set([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], 24)
  quote.set([0, 99, 0, 7], 40)
  await pair.run([
    pair.b,
    async (sys) => {
      const fd = sys.socket(C.AF_INET6, C.SOCK_RAW, C.IPPROTO_ICMPV6)
      await sys.sendto(fd, new Uint8Array([1, 4, 0, 0, 0, 0, 0, 0, ...quote]), 56, 0, { address: '2001:db8::1' })
      await sys.usleep(1000)
    },
  ])
  const { icmp, icmp6 } = pair.a.ip.mib
  expect([icmp6.InDestUnreachs, icmp6.InErrors, icmp.InErrors]).toEqual([1, 1, 0])
  expect(pair.close()).toEqual(NOTHING)
})
