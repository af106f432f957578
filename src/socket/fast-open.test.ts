import { describe, expect, it } from 'vitest'
import type { Sys } from '../host/calls.ts'
import { codeOf, NOTHING, Pair } from '../sim/testing.ts'
import {
  AF_INET,
  AF_INET6,
  AF_UNSPEC,
  F_SETFL,
  MSG_DONTWAIT,
  MSG_FASTOPEN,
  O_NONBLOCK,
  POLLOUT,
  SOCK_STREAM,
  SOL_TCP,
  TCP_FASTOPEN,
  TCP_FASTOPEN_CONNECT,
  TCP_FASTOPEN_KEY,
  TCP_FASTOPEN_NO_COOKIE,
} from './constants.ts'

const PORT = 8000
const pair = (mode = 3): Pair => new Pair({ link: { delay: 50 }, host: { sysctl: { 'net.ipv4.tcp_fastopen': mode } } })

/** Answers the first bytes of so many connections with as many and `!`. */
const server =
  (connections: number, family = AF_INET) =>
  async (sys: Sys): Promise<number> => {
    const listener = sys.socket(family, SOCK_STREAM)
    sys.bind(listener, { address: family === AF_INET ? '0.0.0.0' : '::', port: PORT })
    sys.setsockopt(listener, SOL_TCP, TCP_FASTOPEN, 5)
    sys.listen(listener, 5)
    const buffer = new Uint8Array(10_000)
    for (let i = 0; i < connections; i++) {
      const fd = await sys.accept(listener)
      const count = await sys.recv(fd, buffer)
      await sys.send(fd, `${new TextDecoder().decode(buffer.subarray(0, count))}!`)
      await sys.close(fd)
    }
    return 0
  }

/** Asks `text` and waits for the answer. @returns the answer, and how many milliseconds it took */
const ask = async (
  sys: Sys,
  open: (fd: number, text: string) => Promise<unknown>,
  text: string,
  family = AF_INET,
): Promise<string> => {
  const fd = sys.socket(family, SOCK_STREAM)
  const began = sys.now
  await open(fd, text)
  const buffer = new Uint8Array(10_000)
  const count = await sys.recv(fd, buffer)
  const took = (sys.now - began) / 1000
  await sys.close(fd)
  return `${new TextDecoder().decode(buffer.subarray(0, count))} in ${took} ms`
}

describe('fast open between two hosts (RFC 7413)', () => {
  for (const [family, address] of [
    [AF_INET, '10.0.0.2'],
    [AF_INET6, '2001:db8::2'],
  ] as const) {
    it(`saves a round trip with MSG_FASTOPEN from the second connection on, ${address}`, async () => {
      const p = pair()
      const open = (sys: Sys) => (fd: number, text: string) =>
        sys.sendto(fd, text, undefined, MSG_FASTOPEN, { address, port: PORT })
      const [, answers] = await p.run<unknown>(
        [p.b, server(3, family)],
        [
          p.a,
          async (sys) => {
            await sys.sleep(10)
            const first = await ask(sys, open(sys), 'one', family)
            return [first, await ask(sys, open(sys), 'two', family), await ask(sys, open(sys), 'three', family)]
          },
        ],
      )
      // Address resolution takes a round trip the first time.
      expect(answers).toEqual(['one! in 300 ms', 'two! in 100 ms', 'three! in 100 ms'])
      expect(p.a.ip.mib.tcpExt.TCPFastOpenActive).toBe(2)
      expect(p.b.ip.mib.tcpExt.TCPFastOpenPassive).toBe(2)
      await p.network.run(130_000)
      expect(p.close()).toEqual(NOTHING)
    })
  }

  it('TCP_FASTOPEN_CONNECT puts the SYN off until there is data', async () => {
    const p = pair()
    const open = (sys: Sys) => async (fd: number, text: string) => {
      sys.setsockopt(fd, SOL_TCP, TCP_FASTOPEN_CONNECT, 1)
      await sys.connect(fd, { address: '10.0.0.2', port: PORT })
      return sys.write(fd, text)
    }
    const [, answers] = await p.run<unknown>(
      [p.b, server(2)],
      [p.a, async (sys) => [await ask(sys, open(sys), 'one'), await ask(sys, open(sys), 'two')]],
    )
    expect(answers).toEqual(['one! in 300 ms', 'two! in 100 ms'])
    await p.network.run(130_000)
    expect(p.close()).toEqual(NOTHING)
  })

  it('splice(2) brings the data that the SYN was put off for', async () => {
    const p = pair()
    const open = (sys: Sys) => async (fd: number, text: string) => {
      sys.setsockopt(fd, SOL_TCP, TCP_FASTOPEN_CONNECT, 1)
      await sys.connect(fd, { address: '10.0.0.2', port: PORT })
      const [reader, writer] = sys.pipe()
      await sys.write(writer, text)
      return sys.splice(reader, null, fd, null, 100)
    }
    const [, answers] = await p.run<unknown>(
      [p.b, server(2)],
      [p.a, async (sys) => [await ask(sys, open(sys), 'one'), await ask(sys, open(sys), 'two')]],
    )
    expect(answers).toEqual(['one! in 300 ms', 'two! in 100 ms'])
  })

  it('a blocking send goes on when the connection stands, one that does not block says what the SYN took', async () => {
    const p = pair(0x207)
    const to = { address: '10.0.0.2', port: PORT }
    const [, seen] = await p.run<unknown>(
      [p.b, server(2)],
      [
        p.a,
        async (sys) => {
          const blocking = sys.socket(AF_INET, SOCK_STREAM)
          const all = await sys.sendto(blocking, new Uint8Array(5000), undefined, MSG_FASTOPEN, to)
          const direct = sys.socket(AF_INET, SOCK_STREAM)
          const some = await sys.sendto(direct, new Uint8Array(5000), undefined, MSG_FASTOPEN | MSG_DONTWAIT, to)
          const again = await codeOf(() => sys.sendto(direct, 'x', undefined, MSG_FASTOPEN | MSG_DONTWAIT, to))
          return [all, some, again]
        },
      ],
    )
    expect(seen).toEqual([5000, 1420, 'EALREADY'])
  })

  it('errors are those of Linux', async () => {
    const p = pair(2)
    const seen = await p.alone(async (sys) => {
      const to = { address: '10.0.0.2', port: PORT }
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      sys.fcntl(fd, F_SETFL, O_NONBLOCK)
      const send = (address: object = to): Promise<number | string> =>
        codeOf(() => sys.sendto(fd, 'x', undefined, MSG_FASTOPEN, address as typeof to))
      const set = (name: number, value: number | Uint8Array): Promise<number | string> =>
        codeOf(() => sys.setsockopt(fd, SOL_TCP, name, value))
      const off = [await send(), await set(TCP_FASTOPEN_CONNECT, 1)]
      p.a.sysctl.set('net.ipv4.tcp_fastopen', '1')
      const on = [
        await send({ family: AF_UNSPEC }),
        await set(TCP_FASTOPEN_CONNECT, 2),
        await set(TCP_FASTOPEN, -1),
        await set(TCP_FASTOPEN_NO_COOKIE, 2),
        await set(TCP_FASTOPEN_KEY, new Uint8Array(15)),
        await set(TCP_FASTOPEN_CONNECT, 1),
        await set(TCP_FASTOPEN_NO_COOKIE, 1),
        await codeOf(() => sys.connect(fd, to)),
        await codeOf(() => sys.connect(fd, to)),
        await set(TCP_FASTOPEN_CONNECT, 1),
      ]
      // It can be written to: that is what sends the SYN. Nobody listens.
      const fds = [{ fd, events: POLLOUT, revents: 0 }]
      await sys.poll(fds, 0)
      const written = await sys.write(fd, 'hello')
      await sys.sleep(500)
      return { off, on, revents: fds[0]!.revents, written, refused: await codeOf(() => sys.write(fd, 'x')) }
    })
    expect(seen).toEqual({
      off: ['EOPNOTSUPP', 'EOPNOTSUPP'],
      on: ['EOPNOTSUPP', 'EINVAL', 'EINVAL', 'EINVAL', 'EINVAL', 0, 0, 0, 'EISCONN', 'EINVAL'],
      revents: POLLOUT,
      written: 5,
      refused: 'ECONNREFUSED',
    })
  })

  it('TCP_FASTOPEN_KEY and tcp_fastopen_key take and give keys', async () => {
    const p = pair()
    const key = Uint8Array.from({ length: 16 }, (_, i) => i)
    await p.alone((sys) => {
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      p.a.sysctl.set('net.ipv4.tcp_fastopen_key', '1-2-3-4')
      expect(sys.getsockopt(fd, SOL_TCP, TCP_FASTOPEN_KEY)).toEqual(
        Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0),
      )
      sys.setsockopt(fd, SOL_TCP, TCP_FASTOPEN_KEY, key)
      expect(sys.getsockopt(fd, SOL_TCP, TCP_FASTOPEN_KEY)).toEqual(key)
    })
    expect(() => p.a.sysctl.set('net.ipv4.tcp_fastopen_key', '1-2-3')).toThrow(/is four groups of hexadecimal digits/)
  })
})
