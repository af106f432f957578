import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { codeOf, NOTHING, Pair } from '../sim/testing.ts'
import {
  AF_INET,
  EPOLL_CTL_ADD,
  EPOLLIN,
  MSG_WAITALL,
  POLLIN,
  POLLNVAL,
  SOCK_DGRAM,
  SOCK_STREAM,
} from '../socket/constants.ts'
import type { Sys } from './calls.ts'

/** A thread closes what another one waits for: the call goes on with what it has, as on Linux. */

let pair: Pair
beforeEach(() => {
  pair = new Pair()
})
afterEach(async () => {
  await pair.network.run(200_000)
  expect(pair.close()).toEqual(NOTHING)
})

const listen = (sys: Sys): number => {
  const listener = sys.socket(AF_INET, SOCK_STREAM)
  sys.bind(listener, { address: '0.0.0.0', port: 80 })
  sys.listen(listener, 5)
  return listener
}

const accepted = async (sys: Sys): Promise<number> => {
  const listener = listen(sys)
  const fd = await sys.accept(listener)
  await sys.close(listener)
  return fd
}

/** What the other side does: connects, and says something after three seconds; then reads to the end. */
const peer =
  (said: string) =>
  async (sys: Sys): Promise<string> => {
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    await sys.sleep(1)
    await sys.connect(fd, { address: '10.0.0.1', port: 80 })
    await sys.sleep(3)
    await sys.send(fd, said)
    const buffer = new Uint8Array(100_000)
    let read = 0
    for (;;) {
      const n = await codeOf(() => sys.recv(fd, buffer))
      if (typeof n === 'string') return n
      if (n === 0) break
      read += n
    }
    await sys.close(fd)
    return `end of file after ${read}`
  }

/** Runs `call` on a connection that is closed after two seconds; the peer says `late` after four. */
const closedUnder = async (
  call: (sys: Sys, fd: number) => Promise<string>,
  close?: (sys: Sys, fd: number) => unknown,
) =>
  pair.run<string>(
    [
      pair.a,
      async (sys) => {
        const fd = await accepted(sys)
        const waiting = sys.thread(() => call(sys, fd))
        await sys.sleep(1)
        await (close ?? ((_, closed) => sys.close(closed)))(sys, fd)
        return waiting
      },
    ],
    [pair.b, peer('late')],
  )

describe('close() in another thread', () => {
  it('leaves recv() what it waits for, and the connection up until then', async () => {
    const call = async (sys: Sys, fd: number) => `${await sys.recv(fd, new Uint8Array(10))} bytes at ${sys.clock(true)}`
    expect(await closedUnder(call)).toEqual(['4 bytes at 4', 'end of file after 0'])
  })

  it('leaves it also one that goes on waiting for the rest', async () => {
    const call = async (sys: Sys, fd: number) => {
      const buffer = new Uint8Array(8)
      return `${await sys.recv(fd, buffer, 8, MSG_WAITALL)}`
    }
    const [read, seen] = await pair.run<string>(
      [
        pair.a,
        async (sys) => {
          const fd = await accepted(sys)
          const waiting = sys.thread(() => call(sys, fd))
          await sys.sleep(1)
          await sys.close(fd)
          return waiting
        },
      ],
      [
        pair.b,
        async (sys) => {
          const fd = sys.socket(AF_INET, SOCK_STREAM)
          await sys.connect(fd, { address: '10.0.0.1', port: 80 })
          for (const part of ['some', 'more']) {
            await sys.sleep(2)
            await sys.send(fd, part)
          }
          return `${await sys.recv(fd, new Uint8Array(1))}`
        },
      ],
    )
    expect([read, seen]).toEqual(['8', '0'])
  })

  it('is the same with dup2()', async () => {
    const call = async (sys: Sys, fd: number) => `${await sys.recv(fd, new Uint8Array(10))} bytes`
    const replace = (sys: Sys, fd: number) => sys.dup2(sys.socket(AF_INET, SOCK_DGRAM), fd)
    expect(await closedUnder(call, replace)).toEqual(['4 bytes', 'end of file after 0'])
  })

  it('lets send() send everything', async () => {
    const call = async (sys: Sys, fd: number) => `${await sys.send(fd, new Uint8Array(20_000_000))} sent`
    // What the peer said was not read: it hears of that, behind the data.
    const [sent] = await pair.run<string>(
      [
        pair.a,
        async (sys) => {
          const fd = await accepted(sys)
          const waiting = sys.thread(() => call(sys, fd))
          await sys.sleep(1)
          await sys.close(fd)
          return waiting
        },
      ],
      [pair.b, peer('')],
    )
    expect(sent).toBe('20000000 sent')
  })

  it('lets accept() take one more connection', async () => {
    const [result, seen] = await pair.run<string>(
      [
        pair.a,
        async (sys) => {
          const listener = listen(sys)
          const waiting = sys.accept(listener)
          await sys.usleep(500_000)
          await sys.close(listener)
          const fd = await waiting
          return `${await sys.recv(fd, new Uint8Array(10))} bytes`
        },
      ],
      [pair.b, peer('late')],
    )
    expect([result, seen]).toEqual(['4 bytes', 'end of file after 0'])
  })

  it('has poll() say POLLNVAL at the next event, and not before', async () => {
    const call = async (sys: Sys, fd: number) => {
      const fds = [{ fd, events: POLLIN, revents: 0 }]
      const count = await sys.poll(fds, 10_000)
      return `${count} ${fds[0]!.revents === POLLNVAL} at ${sys.clock(true)}`
    }
    const [polled, seen] = await closedUnder(call)
    expect(polled).toBe('1 true at 4')
    // What has arrived is not read any more: the peer is told.
    expect(seen).toBe('ECONNRESET')
  })

  it('has select() go on waiting without it', async () => {
    const [result] = await pair.run<string>([
      pair.a,
      async (sys) => {
        const fd = sys.socket(AF_INET, SOCK_DGRAM)
        const read = new Set([fd])
        const waiting = sys.select(fd + 1, read, null, null, { tv_sec: 5, tv_usec: 0 })
        await sys.sleep(1)
        await sys.close(fd)
        return `${await waiting} ${read.size} at ${sys.clock(true)}`
      },
    ])
    expect(result).toBe('0 0 at 5')
  })

  it('takes a file out of an epoll set', async () => {
    const [result] = await pair.run<string>([
      pair.a,
      async (sys) => {
        const epfd = sys.epoll_create1()
        const fd = sys.socket(AF_INET, SOCK_DGRAM)
        sys.epoll_ctl(epfd, EPOLL_CTL_ADD, fd, { events: EPOLLIN, data: 1 })
        const waiting = sys.epoll_wait(epfd, [], 5, 3000)
        await sys.sleep(1)
        await sys.close(fd)
        return `${await waiting} at ${sys.clock(true)}`
      },
    ])
    expect(result).toBe('0 at 3')
  })
})
