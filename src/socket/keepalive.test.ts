import { describe, expect, it } from 'vitest'
import type { Sys } from '../host/calls.ts'
import { NOTHING, Pair } from '../sim/testing.ts'
import { AF_INET, SO_KEEPALIVE, SOCK_STREAM, SOL_SOCKET, SOL_TCP, TCP_KEEPIDLE } from './constants.ts'

const SECOND = 1_000_000

/** Runs `use` with a connection that is silent, and a count of the probes that it has sent. */
const silent = async (use: (sys: Sys, fd: number, probes: () => number) => Promise<unknown>): Promise<unknown> => {
  const p = new Pair({ link: { delay: 1 }, limit: 60 * 86_400_000 })
  const [result] = await p.run<unknown>(
    [
      p.a,
      async (sys) => {
        await sys.usleep(SECOND)
        const fd = sys.socket(AF_INET, SOCK_STREAM)
        await sys.connect(fd, { address: '10.0.0.2', port: 7 })
        const found = await use(sys, fd, () => p.a.ip.mib.tcpExt.TCPKeepAlive)
        await sys.close(fd)
        return found
      },
    ],
    [
      p.b,
      async (sys) => {
        const listener = sys.socket(AF_INET, SOCK_STREAM)
        sys.bind(listener, { address: '0.0.0.0', port: 7 })
        sys.listen(listener, 1)
        return sys.recv(await sys.accept(listener), new Uint8Array(1))
      },
    ],
  )
  expect(p.close()).toEqual(NOTHING)
  return result
}

describe('keepalive options of a connection that stands', () => {
  it('SO_KEEPALIVE that is on already puts no probe off', async () => {
    const probes = await silent(async (sys, fd, count) => {
      sys.setsockopt(fd, SOL_TCP, TCP_KEEPIDLE, 10)
      for (let i = 0; i < 3; i++) {
        sys.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, 1)
        await sys.usleep(4 * SECOND)
      }
      return count()
    })
    expect(probes).toBe(1)
  })

  it.each([25, 30, 49])('works also after %i days of silence', async (days) => {
    const probes = await silent(async (sys, fd, count) => {
      await sys.usleep(days * 86_400 * SECOND)
      sys.setsockopt(fd, SOL_TCP, TCP_KEEPIDLE, 10)
      sys.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, 1)
      await sys.usleep(11 * SECOND)
      return count()
    })
    expect(probes).toBe(1)
  })

  it('TCP_KEEPIDLE counts from what was last heard, also what came before', async () => {
    const probes = await silent(async (sys, fd, count) => {
      sys.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, 1)
      await sys.usleep(20 * SECOND)
      sys.setsockopt(fd, SOL_TCP, TCP_KEEPIDLE, 30)
      await sys.usleep(9 * SECOND)
      const before = count()
      await sys.usleep(2 * SECOND)
      const at30 = count()
      await sys.usleep(20 * SECOND)
      sys.setsockopt(fd, SOL_TCP, TCP_KEEPIDLE, 5)
      await sys.usleep(1000)
      return [before, at30, count()]
    })
    expect(probes).toEqual([0, 1, 2])
  })
})
