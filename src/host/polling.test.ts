import { describe, expect, it } from 'vitest'
import { NOTHING, Pair } from '../sim/testing.ts'
import * as C from '../socket/constants.ts'
import type { Sys } from './calls.ts'

/** A datagram comes a second after this. */
const sendLater = async (sys: Sys): Promise<void> => {
  await sys.sleep(1)
  const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
  await sys.sendto(fd, 'x', 1, 0, { address: '10.0.0.1', port: 9 })
}

/** Where it comes. */
const receiver = (sys: Sys): number => {
  const fd = sys.socket(C.AF_INET, C.SOCK_DGRAM)
  sys.bind(fd, { address: '0.0.0.0', port: 9 })
  return fd
}

describe('poll(2)', () => {
  it.each([
    ['POLLRDNORM', C.POLLRDNORM],
    ['POLLIN | POLLRDNORM', C.POLLIN | C.POLLRDNORM],
  ])('wakes who waits for %s alone', async (_, events) => {
    const p = new Pair()
    const [found] = await p.run<unknown>(
      [
        p.a,
        async (sys) => {
          const fd = receiver(sys)
          const entry = { fd, events, revents: 0 }
          return [await sys.poll([entry], -1), entry.revents]
        },
      ],
      [p.b, sendLater],
    )
    expect(found).toEqual([1, events])
    expect(p.close()).toEqual(NOTHING)
  })

  it.each([
    ['POLLWRNORM', C.POLLWRNORM],
    ['POLLOUT', C.POLLOUT],
  ])('wakes who waits for %s on a stream', async (_, events) => {
    const p = new Pair()
    const [found] = await p.run<unknown>([
      p.a,
      async (sys) => {
        const [a, b] = sys.socketpair(C.AF_UNIX, C.SOCK_STREAM | C.SOCK_NONBLOCK)
        const chunk = new Uint8Array(65_536)
        for (let sent = 1; sent > 0; ) sent = await sys.send(a, chunk).catch(() => 0)
        sys.fork(async (child) => {
          await child.sleep(1)
          while ((await child.recv(b, chunk).catch(() => 0)) > 0) {}
        })
        const entry = { fd: a, events, revents: 0 }
        return [await sys.poll([entry], -1), entry.revents]
      },
    ])
    expect(found).toEqual([1, events])
    expect(p.close()).toEqual(NOTHING)
  })
})

describe('EPOLLEXCLUSIVE', () => {
  it('passes over an instance that nobody waits for: who waits for another is woken', async () => {
    const p = new Pair()
    const [found] = await p.run<unknown>(
      [
        p.a,
        async (sys) => {
          const fd = receiver(sys)
          const [busy, idle] = [sys.epoll_create1(0), sys.epoll_create1(0)]
          for (const epoll of [busy, idle]) {
            sys.epoll_ctl(epoll, C.EPOLL_CTL_ADD, fd, { events: C.EPOLLIN | C.EPOLLEXCLUSIVE, data: fd })
          }
          const found: never[] = []
          return [await sys.epoll_wait(idle, found, 9, 5000), await sys.epoll_wait(busy, found, 9, 0)]
        },
      ],
      [p.b, sendLater],
    )
    expect(found).toEqual([1, 1])
    expect(p.close()).toEqual(NOTHING)
  })
})
