import { describe, expect, test } from 'vitest'
import type { Msghdr, Sys } from '../host/calls.ts'
import { netstat } from '../inspect/netstat.ts'
import { snapshot } from '../inspect/snapshot.ts'
import { ss } from '../inspect/ss.ts'
import { codeOf, NOTHING, Pair } from '../sim/testing.ts'
import * as C from './constants.ts'

/** Unix domain sockets. What is expected here was seen on Linux 6.18 with the same calls. */

const decoder = new TextDecoder()

const PATH = { path: '/tmp/server' }

const receive = async (sys: Sys, fd: number, flags = 0): Promise<string> => {
  const buffer = new Uint8Array(100_000)
  const count = await sys.recv(fd, buffer, buffer.length, flags)
  return decoder.decode(buffer.subarray(0, count))
}

const unix = (sys: Sys, type: number = C.SOCK_STREAM): number => sys.socket(C.AF_UNIX, type)

const listener = (sys: Sys, backlog = 5, type: number = C.SOCK_STREAM): number => {
  const fd = unix(sys, type)
  sys.bind(fd, PATH)
  sys.listen(fd, backlog)
  return fd
}

const pollOf = async (sys: Sys, fd: number): Promise<number> => {
  const entry = { fd, events: 0xffff, revents: 0 }
  await sys.poll([entry], 0)
  return entry.revents
}

const alone = async <T>(program: (sys: Sys) => Promise<T> | T): Promise<T> => {
  const pair = new Pair()
  const result = await pair.alone(program)
  expect(pair.close()).toEqual(NOTHING)
  return result
}

describe('connections', () => {
  test('a stream by its path, with names, credentials and the end', async () => {
    const seen = await alone(async (sys) => {
      const server = listener(sys)
      const client = unix(sys)
      await sys.connect(client, PATH)
      const peer = {}
      const fd = await sys.accept(server, peer)
      await sys.send(client, 'hello')
      const first = await receive(sys, fd)
      await sys.send(client, 'more')
      await sys.close(client)
      return {
        first,
        peer,
        names: [sys.getsockname(fd).path, sys.getpeername(fd).path],
        credentials: sys.getsockopt(fd, C.SOL_SOCKET, C.SO_PEERCRED),
        rest: [await receive(sys, fd), await receive(sys, fd)],
        send: await codeOf(() => sys.send(fd, 'x', 1, C.MSG_NOSIGNAL)),
        pid: sys.getpid(),
      }
    })
    expect(seen).toEqual({
      first: 'hello',
      peer: { family: C.AF_UNIX, address: '', port: 0, flowinfo: 0, scopeId: 0, path: '' },
      names: ['/tmp/server', ''],
      credentials: { pid: seen.pid, uid: 0, gid: 0 },
      rest: ['more', ''],
      send: 'EPIPE',
      pid: seen.pid,
    })
  })

  test('one more connection than the backlog waits; the next gets EAGAIN, or waits for room', async () => {
    const pair = new Pair()
    const accepted: number[] = []
    const server = pair.a.spawn('server', async (sys) => {
      const fd = listener(sys, 1)
      await sys.sleep(5)
      for (let i = 0; i < 4; i++) accepted.push(await sys.accept(fd))
    })
    const results: (number | string)[] = []
    const client = pair.a.spawn('client', async (sys) => {
      await sys.sleep(1)
      for (let i = 0; i < 3; i++) {
        const fd = unix(sys, C.SOCK_STREAM | C.SOCK_NONBLOCK)
        results.push(await codeOf(() => sys.connect(fd, PATH)))
      }
      for (let i = 0; i < 2; i++) results.push(await sys.connect(unix(sys), PATH))
      results.push(sys.now)
      await sys.sleep(1)
      results.push(await codeOf(() => sys.connect(unix(sys), PATH)))
    })
    await pair.network.runUntil(() => !server.isAlive && !client.isAlive, 60_000)
    expect(results).toEqual([0, 0, 'EAGAIN', 0, 0, 5_000_000, 'ECONNREFUSED'])
    expect(accepted).toEqual([4, 5, 6, 7])
    expect(pair.close()).toEqual(NOTHING)
  })

  test('the error of every call in every wrong state', async () => {
    const codes = await alone(async (sys) => {
      const bytes = new Uint8Array(1)
      const a = unix(sys)
      const d = unix(sys, C.SOCK_DGRAM | C.SOCK_NONBLOCK)
      const q = unix(sys, C.SOCK_SEQPACKET)
      const fresh = [
        await codeOf(() => sys.listen(a, 1)),
        await codeOf(() => sys.send(a, 'x')),
        await codeOf(() => sys.recv(a, bytes)),
        sys.shutdown(a, C.SHUT_RDWR),
        await codeOf(() => sys.getpeername(a)),
        await codeOf(() => sys.connect(unix(sys), PATH)),
        await codeOf(() => sys.accept(q)),
        await codeOf(() => sys.send(q, 'x')),
        await codeOf(() => sys.recv(q, bytes)),
        await codeOf(() => sys.send(d, 'x')),
        await codeOf(() => sys.recv(d, bytes)),
        await codeOf(() => sys.listen(d, 1)),
        await codeOf(() => sys.accept(d)),
        await codeOf(() => sys.bind(unix(sys), { address: '10.0.0.1', port: 1 })),
        await codeOf(() => sys.bind(unix(sys), { path: `/${'x'.repeat(108)}` })),
      ]
      const server = unix(sys)
      sys.bind(server, PATH)
      const bound = [
        await codeOf(() => sys.connect(unix(sys), PATH)),
        await codeOf(() => sys.bind(server, PATH)),
        await codeOf(() => sys.bind(server, { path: '/tmp/other' })),
        await codeOf(() => sys.bind(server, { path: '\0other' })),
        sys.bind(server, {}),
        await codeOf(() => sys.unlink('/tmp/other')),
        await codeOf(() => sys.bind(unix(sys), { path: '/tmp/server/x' })),
        await codeOf(() => sys.connect(unix(sys), { path: '/tmp/server/x' })),
        await codeOf(() => sys.bind(unix(sys), { path: '/' })),
        await codeOf(() => sys.connect(unix(sys), { path: '/' })),
        await codeOf(() => sys.connect(d, PATH)),
        await codeOf(() => sys.sendto(d, 'x', 1, 0, PATH)),
        await codeOf(() => sys.connect(q, PATH)),
      ]
      sys.listen(server, 5)
      const client = unix(sys)
      await sys.connect(client, PATH)
      const connected = [
        await codeOf(() => sys.connect(client, PATH)),
        await codeOf(() => sys.connect(server, PATH)),
        await codeOf(() => sys.listen(client, 1)),
        await codeOf(() => sys.sendto(client, 'x', 1, 0, PATH)),
        await codeOf(() => sys.sendto(unix(sys), 'x', 1, 0, PATH)),
        await codeOf(() => sys.send(client, 'x', 1, C.MSG_OOB)),
      ]
      await sys.close(server)
      const after = [
        await codeOf(() => sys.connect(unix(sys), PATH)),
        await codeOf(() => sys.recv(client, bytes)),
        await sys.recv(client, bytes),
        await codeOf(() => sys.bind(unix(sys), PATH)),
        sys.unlink(PATH.path),
        sys.bind(unix(sys), PATH),
      ]
      return { fresh, bound, connected, after }
    })
    expect(codes.fresh).toEqual([
      ...['EINVAL', 'ENOTCONN', 'EINVAL', 0, 'ENOTCONN', 'ENOENT', 'EINVAL', 'ENOTCONN', 'ENOTCONN'],
      ...['ENOTCONN', 'EAGAIN', 'EOPNOTSUPP', 'EOPNOTSUPP', 'EINVAL', 'EINVAL'],
    ])
    expect(codes.bound).toEqual([
      ...['ECONNREFUSED', 'EADDRINUSE', 'EINVAL', 'EINVAL', 0, 'ENOENT', 'ENOTDIR', 'ENOTDIR', 'EADDRINUSE'],
      ...['ECONNREFUSED', 'EPROTOTYPE', 'EPROTOTYPE', 'EPROTOTYPE'],
    ])
    expect(codes.connected).toEqual(['EISCONN', 'EINVAL', 'EINVAL', 'EISCONN', 'EOPNOTSUPP', 1])
    expect(codes.after).toEqual(['ECONNREFUSED', 'ECONNRESET', 0, 'EADDRINUSE', 0, 0])
  })

  test('what there is no socket for', async () => {
    const codes = await alone((sys) =>
      Promise.all(
        [
          () => sys.socket(C.AF_UNIX, C.SOCK_STREAM, 6),
          () => sys.socket(C.AF_UNIX, C.SOCK_RDM),
          () => sys.socketpair(C.AF_INET, C.SOCK_STREAM),
          () => sys.getsockopt(unix(sys), C.SOL_TCP, C.TCP_NODELAY),
          () => sys.setsockopt(unix(sys), C.SOL_TCP, C.TCP_NODELAY, 1),
          () => sys.getsockopt(sys.socket(C.AF_UNIX, C.SOCK_RAW), C.SOL_SOCKET, C.SO_TYPE),
        ].map((call) => codeOf(call)),
      ),
    )
    expect(codes).toEqual([
      'EPROTONOSUPPORT',
      'ESOCKTNOSUPPORT',
      'EOPNOTSUPP',
      'EOPNOTSUPP',
      'EOPNOTSUPP',
      C.SOCK_DGRAM,
    ])
  })

  test('unread data on close: the peer reads ECONNRESET once, then the end', async () => {
    const seen = await alone(async (sys) => {
      const [a, b] = sys.socketpair(C.AF_UNIX, C.SOCK_STREAM)
      await sys.send(a, 'unread')
      await sys.close(b)
      const bytes = new Uint8Array(1)
      return [
        await codeOf(() => sys.send(a, 'x', 1, C.MSG_NOSIGNAL)),
        await codeOf(() => sys.recv(a, bytes)),
        await codeOf(() => sys.recv(a, bytes)),
      ]
    })
    expect(seen).toEqual(['EPIPE', 'ECONNRESET', 0])
  })

  test('a user may connect to what its permissions let him write to', async () => {
    const pair = new Pair()
    const codes: (number | string)[] = []
    const server = pair.a.spawn('server', async (sys) => {
      listener(sys)
      await sys.sleep(2)
      sys.chmod(PATH.path, 0o777)
      await sys.sleep(2)
    })
    const client = pair.a.spawn(
      'client',
      async (sys) => {
        await sys.sleep(1)
        codes.push(await codeOf(() => sys.connect(unix(sys), PATH)))
        codes.push(await codeOf(() => sys.chmod(PATH.path, 0o777)))
        await sys.sleep(2)
        codes.push(await codeOf(() => sys.connect(unix(sys), PATH)))
        codes.push(await codeOf(() => sys.unlink(PATH.path)))
      },
      { uid: 1000 },
    )
    await pair.network.runUntil(() => !server.isAlive && !client.isAlive, 60_000)
    expect(codes).toEqual(['EACCES', 'EPERM', 0, 'EPERM'])
  })
})

describe('names', () => {
  test('a name in the abstract space is free again when its socket is closed, and is one for each type', async () => {
    const seen = await alone(async (sys) => {
      const name = { path: '\0same' }
      const a = unix(sys)
      const b = unix(sys, C.SOCK_DGRAM)
      const twice = unix(sys)
      sys.bind(a, name)
      sys.bind(b, name)
      const codes = [
        await codeOf(() => sys.bind(twice, name)),
        await codeOf(() => sys.connect(unix(sys, C.SOCK_SEQPACKET), name)),
      ]
      await sys.close(a)
      return [...codes, sys.bind(twice, name), sys.getsockname(twice).path]
    })
    expect(seen).toEqual(['EADDRINUSE', 'ECONNREFUSED', 0, '\0same'])
  })

  test('bind() without a name chooses one: NUL and five hexadecimal digits', async () => {
    const name = await alone((sys) => {
      const fd = unix(sys)
      sys.bind(fd, { family: C.AF_UNIX })
      return sys.getsockname(fd).path
    })
    expect(name).toMatch(/^\0[0-9a-f]{5}$/)
  })
})

describe('datagrams', () => {
  test('eleven wait; who sends more waits, and goes on when one was read', async () => {
    const pair = new Pair()
    const log: string[] = []
    const reader = pair.a.spawn('reader', async (sys) => {
      const fd = unix(sys, C.SOCK_DGRAM)
      sys.bind(fd, PATH)
      await sys.sleep(3)
      for (let i = 0; i < 12; i++) log.push(`${await receive(sys, fd)} at ${sys.now}`)
    })
    const writer = pair.a.spawn('writer', async (sys) => {
      await sys.sleep(1)
      const fd = unix(sys, C.SOCK_DGRAM)
      await sys.connect(fd, PATH)
      for (let i = 0; i < 11; i++) await sys.send(fd, `${i}`)
      log.push(`poll ${await pollOf(sys, fd)}`)
      log.push(`${await codeOf(() => sys.send(fd, 'x', 1, C.MSG_DONTWAIT))}`)
      await sys.send(fd, 'last')
      log.push(`sent at ${sys.now}`)
    })
    await pair.network.runUntil(() => !reader.isAlive && !writer.isAlive, 60_000)
    expect(log.slice(0, 2)).toEqual(['poll 0', 'EAGAIN'])
    expect(log).toContain('sent at 3000000')
    expect(log.filter((line) => /^\d+ at/.test(line))).toHaveLength(11)
    expect(log).toContain('last at 3000000')
    expect(pair.close()).toEqual(NOTHING)
  })

  test('boundaries, truncation, a closed peer, and a peer that has another', async () => {
    const seen = await alone(async (sys) => {
      const [a, b] = sys.socketpair(C.AF_UNIX, C.SOCK_DGRAM)
      await sys.send(a, 'first')
      await sys.send(a, '')
      await sys.send(a, 'third')
      const three = new Uint8Array(3)
      const parts = [
        await sys.recv(b, three, 3, C.MSG_TRUNC | C.MSG_PEEK),
        await sys.recv(b, three),
        await sys.recv(b, three),
        await sys.recv(b, three),
      ]
      const big = await codeOf(() => sys.send(a, new Uint8Array(213_000)))
      const server = unix(sys, C.SOCK_DGRAM)
      sys.bind(server, PATH)
      const own = unix(sys, C.SOCK_DGRAM)
      sys.bind(own, { path: '/tmp/own' })
      await sys.connect(server, { path: '/tmp/own' })
      const stranger = await codeOf(() => sys.sendto(a, 'x', 1, 0, PATH))
      await sys.connect(own, PATH)
      await sys.close(server)
      const gone = [await codeOf(() => sys.send(own, 'x')), await codeOf(() => sys.send(own, 'x'))]
      sys.setsockopt(b, C.SOL_SOCKET, C.SO_RCVTIMEO, { tv_sec: 1, tv_usec: 0 })
      sys.shutdown(b, C.SHUT_RD)
      const over = [
        await codeOf(() => sys.recv(b, three, 3, C.MSG_DONTWAIT)),
        await sys.recv(b, three),
        await codeOf(() => sys.send(a, 'x')),
      ]
      return { parts, big, stranger, gone, over }
    })
    expect(seen).toEqual({
      parts: [5, 3, 0, 3],
      big: 'EMSGSIZE',
      stranger: 'EPERM',
      gone: ['ECONNREFUSED', 'ENOTCONN'],
      over: ['EAGAIN', 0, 'EPIPE'],
    })
  })

  test('seqpacket keeps boundaries and has an end', async () => {
    const seen = await alone(async (sys) => {
      const [a, b] = sys.socketpair(C.AF_UNIX, C.SOCK_SEQPACKET)
      await sys.send(a, 'one')
      await sys.send(a, 'two')
      const read = [await receive(sys, b), await receive(sys, b)]
      sys.shutdown(a, C.SHUT_WR)
      return [...read, await receive(sys, b), await codeOf(() => sys.sendto(a, 'x', 1, 0, { path: '/nowhere' }))]
    })
    expect(seen).toEqual(['one', 'two', '', 'EPIPE'])
  })
})

describe('room', () => {
  test.each([
    [C.SOCK_STREAM, 1, 278, 213_504],
    [C.SOCK_STREAM, 193, 32_231, 213_760],
    [C.SOCK_STREAM, 3777, 166_188, 214_016],
    [C.SOCK_STREAM, 40_000, 236_544, 244_480],
    [C.SOCK_STREAM, 100_000, 236_544, 243_456],
    [C.SOCK_DGRAM, 3777, 98_202, 219_648],
    [C.SOCK_DGRAM, 16_384, 180_224, 228_096],
    [C.SOCK_DGRAM, 100_000, 300_000, 307_968],
  ])('of type %d takes, %d bytes at a time, %d and charges %d', async (type, size, total, charge) => {
    const seen = await alone(async (sys) => {
      const [a] = sys.socketpair(C.AF_UNIX, type | C.SOCK_NONBLOCK)
      let sum = 0
      for (;;) {
        const count = await codeOf(() => sys.send(a, new Uint8Array(size)))
        if (count === 'EAGAIN') return [sum, sys.ioctl(a, C.SIOCOUTQ)]
        sum += count as number
      }
    })
    expect(seen).toEqual([total, charge])
  })

  test('a stream send that has no room waits until three quarters are free', async () => {
    const pair = new Pair()
    let sentAt = 0
    let read = 0
    await pair.alone(async (sys) => {
      const [a, b] = sys.socketpair(C.AF_UNIX, C.SOCK_STREAM)
      const sending = sys.thread(async () => {
        const count = await sys.send(a, new Uint8Array(500_000))
        sentAt = read
        return count
      })
      const buffer = new Uint8Array(10_000)
      while (read < 500_000) read += await sys.recv(b, buffer)
      expect(await sending).toBe(500_000)
    })
    expect(sentAt).toBeGreaterThan(250_000)
    expect(pair.close()).toEqual(NOTHING)
  })
})

describe('poll', () => {
  test('the masks of a connection', async () => {
    const masks = await alone(async (sys) => {
      const fresh = await pollOf(sys, unix(sys))
      const [a, b] = sys.socketpair(C.AF_UNIX, C.SOCK_STREAM)
      sys.shutdown(a, C.SHUT_WR)
      const half = await pollOf(sys, b)
      sys.shutdown(a, C.SHUT_RDWR)
      return [fresh, half, await pollOf(sys, b)]
    })
    expect(masks).toEqual([0x314, 0x2345, 0x2355])
  })
})

describe('what goes beside the data', () => {
  const rights = (fds: number[]): Msghdr => ({
    msg_iov: ['x'],
    msg_control: [{ cmsg_level: C.SOL_SOCKET, cmsg_type: C.SCM_RIGHTS, data: fds }],
  })
  const room = (bytes: number): Msghdr => ({ msg_iov: [new Uint8Array(10)], msg_controllen: bytes })

  test('a descriptor passes to another process and lives on there', async () => {
    const pair = new Pair()
    const text = await pair.alone(async (sys) => {
      const [a, b] = sys.socketpair(C.AF_UNIX, C.SOCK_STREAM)
      sys.fork(async (child) => {
        const [read, write] = child.pipe()
        await child.sendmsg(b, rights([read]))
        await child.close(read)
        await child.write(write, 'through a pipe')
      })
      const message = room(24)
      await sys.recvmsg(a, message)
      const [fd] = message.msg_control![0]!.data as number[]
      const buffer = new Uint8Array(100)
      const count = await sys.read(fd!, buffer)
      return [fd, decoder.decode(buffer.subarray(0, count)), message.msg_flags]
    })
    expect(text).toEqual([5, 'through a pipe', 0])
    expect(pair.close()).toEqual(NOTHING)
  })

  test('those for which there is no room are closed, and MSG_CTRUNC tells', async () => {
    const seen = await alone(async (sys) => {
      const [a, b] = sys.socketpair(C.AF_UNIX, C.SOCK_STREAM)
      const [read, write] = sys.pipe()
      await sys.sendmsg(a, rights([read, write]))
      await sys.sendmsg(a, rights([read]))
      await sys.sendmsg(a, rights([read]))
      const before = sys.process.files.size
      const one = room(20)
      const first = await sys.recvmsg(b, one)
      const none = room(0)
      await sys.recvmsg(b, none)
      await sys.recv(b, new Uint8Array(10))
      return [
        first,
        one.msg_control!.map(({ data }) => data),
        one.msg_flags,
        none.msg_control,
        none.msg_flags,
        sys.process.files.size - before,
        await codeOf(() => sys.sendmsg(a, rights([99]))),
        await codeOf(() => sys.sendmsg(a, rights(new Array(254).fill(0)))),
      ]
    })
    expect(seen).toEqual([1, [[7]], C.MSG_CTRUNC, [], C.MSG_CTRUNC, 1, 'EBADF', 'EINVAL'])
  })

  test('a read ends with the bytes that descriptors came with', async () => {
    const seen = await alone(async (sys) => {
      const [a, b] = sys.socketpair(C.AF_UNIX, C.SOCK_STREAM)
      await sys.send(a, 'plain ')
      await sys.sendmsg(a, { ...rights([a]), msg_iov: ['with '] })
      await sys.send(a, 'after')
      return [await receive(sys, b), await receive(sys, b)]
    })
    expect(seen).toEqual(['plain with ', 'after'])
  })

  test('credentials of who sends, with SO_PASSCRED; false ones are the superuser\u2019s alone', async () => {
    const pair = new Pair()
    const seen: unknown[] = []
    const program = pair.a.spawn(
      'user',
      async (sys) => {
        const [a, b] = sys.socketpair(C.AF_UNIX, C.SOCK_DGRAM)
        await sys.send(a, 'before')
        sys.setsockopt(b, C.SOL_SOCKET, C.SO_PASSCRED, 1)
        await sys.send(a, 'after')
        for (let i = 0; i < 2; i++) {
          const message = room(32)
          await sys.recvmsg(b, message)
          seen.push(message.msg_control![0]!.data)
        }
        const data = { pid: 1, uid: 0, gid: 0 }
        const control = [{ cmsg_level: C.SOL_SOCKET, cmsg_type: C.SCM_CREDENTIALS, data }]
        seen.push(await codeOf(() => sys.sendmsg(a, { msg_iov: ['x'], msg_control: control })))
        seen.push(sys.getsockopt(a, C.SOL_SOCKET, C.SO_PEERCRED))
      },
      { uid: 1000 },
    )
    await pair.network.runUntil(() => !program.isAlive, 1000)
    const own = { pid: program.pid, uid: 1000, gid: 1000 }
    expect(seen).toEqual([{ pid: 0, uid: 65_534, gid: 65_534 }, own, 'EPERM', own])
  })

  test('sockets that only hold each other are let go', async () => {
    const left = await alone(async (sys) => {
      const [a, b] = sys.socketpair(C.AF_UNIX, C.SOCK_STREAM)
      const [c, d] = sys.socketpair(C.AF_UNIX, C.SOCK_STREAM)
      const before = sys.process.host.sockets.sockets.size
      await sys.sendmsg(a, rights([c, d]))
      await sys.sendmsg(c, rights([a, b]))
      for (const fd of [a, b, c, d]) await sys.close(fd)
      // As on Linux they are looked for when another one is closed.
      await sys.close(unix(sys))
      return [before, sys.process.host.sockets.sockets.size]
    })
    expect(left).toEqual([4, 0])
  })
})

describe('the printers', () => {
  test('netstat and ss, as the tools print them', async () => {
    const pair = new Pair()
    const server = pair.a.spawn('server', async (sys) => {
      const fd = listener(sys, 5)
      await sys.accept(fd)
      await sys.sleep(10)
    })
    pair.a.spawn('client', async (sys) => {
      await sys.sleep(1)
      for (let i = 0; i < 2; i++) await sys.connect(unix(sys), PATH)
      await sys.sleep(10)
    })
    await pair.network.run(2000)
    const now = snapshot(pair.a)
    expect(netstat(now, ['-xap'])).toBe(
      `Active UNIX domain sockets (servers and established)
Proto RefCnt Flags       Type       State         I-Node   PID/Program name     Path
unix  3      [ ]         STREAM     CONNECTING    0        -                    /tmp/server
unix  2      [ ACC ]     STREAM     LISTENING     1        ${server.pid}/server           /tmp/server
unix  3      [ ]         STREAM     CONNECTED     2        ${server.pid + 1}/client           
unix  3      [ ]         STREAM     CONNECTED     3        ${server.pid}/server           /tmp/server
unix  3      [ ]         STREAM     CONNECTED     4        ${server.pid + 1}/client           
`,
    )
    expect(ss(now, ['-xa'])).toBe(
      [
        'Netid State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess',
        'u_str LISTEN 1      5        /tmp/server 1               * 0          ',
        'u_str ESTAB  0      0                  * 2               * 3          ',
        'u_str ESTAB  0      0        /tmp/server 3               * 2          ',
        'u_str ESTAB  0      0                  * 4               * 0          ',
        '',
      ].join('\n'),
    )
  })
})
